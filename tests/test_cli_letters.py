"""The operator's commands for letters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from passes import cli, wiring, worker
from passes.emulators.mail import MailCatcher
from passes.settings import Settings
from passes.store import mail
from tests.shop import COFFEE, Shop
from tests.test_correspondence import ANA

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def catcher() -> Iterator[MailCatcher]:
    catcher = MailCatcher().start()
    yield catcher
    catcher.stop()


@pytest.fixture
def environ(tmp_path: Path, catcher: MailCatcher) -> dict[str, str]:
    """A development installation of this test's own, whose letters are caught."""
    return {
        "PASSES_MODE": "development",
        "PASSES_VAR": str(tmp_path / "var"),
        "PASSES_CERTS": str(tmp_path / "certs" / "dev"),
        "PASSES_CATCHER_PORT": str(catcher.port),
    }


@pytest.fixture
def run(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command: its status, and what it printed."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(arguments)
        return status, *capsys.readouterr()

    command("demo")
    return command


def wanted(environ: dict[str, str], name: str, email: str, at: datetime) -> None:
    """A letter that a new member of the coffee shop waits for since then."""
    installation = wiring.build(Settings.read(environ))
    shop = Shop(installation.store, at)
    joined = shop.join(name, COFFEE, email=email, keys=installation.keys, key=f"key-{name}")
    installation.store.write(
        lambda work: mail.want(
            work,
            programme_id=joined.programme_id,
            member_id=joined.member_id,
            kind=mail.CARD_LINK,
            about="joined",
            detail={},
            now=at,
        )
    )
    installation.close()


def test_a_test_letter_goes_out_or_one_sentence_says_why_not(
    run: Run, catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("mail", "test", "me@example.com")[0] == 0
    [letter] = catcher.letters
    assert letter.recipients == ("me@example.com",)
    assert "http://127.0.0.1:8000 can send letters" in letter.text
    status, _, said = run("mail", "test", "nonsense")
    assert (status, said) == (1, "This is no address that letters can be sent to.\n")
    catcher.stop()
    status, said, _ = run("mail", "test", "me@example.com", "--json")
    assert (status, json.loads(said)["sent"]) == (1, False)
    assert json.loads(said)["words"].endswith("cannot be reached: Connection refused.")


def test_production_without_a_mail_server_sends_none_and_says_so(
    environ: dict[str, str], tmp_path: Path
) -> None:
    assert Settings.read({"PASSES_PUBLIC_URL": "https://cards.example.com"}).mail is None
    real = Settings.read(environ | {"PASSES_MAIL_HOST": "mail.example.com"})
    assert not real.catches_mail
    assert Settings.read(environ).catches_mail


def test_the_operator_sees_what_waits_and_what_was_given_up_and_sends_it_again(
    run: Run, environ: dict[str, str], catcher: MailCatcher
) -> None:
    now = datetime.now(UTC)
    wanted(environ, "Ana", ANA, now - timedelta(days=2))
    wanted(environ, "Ben", "ben@example.com", now)
    catcher.faults.refuse(to="ben@example.com", answer="550 5.1.1 No such mailbox")
    catcher.faults.defer(to=ANA)
    assert run("worker", "--once")[0] == 0
    assert catcher.letters == []
    status, said, _ = run("mail")
    assert status == 0
    assert "waiting: 1, the oldest since " in said
    assert "The last attempt met: 451 4.3.0 Come back later" in said
    assert "card_link joined: 550 5.1.1 No such mailbox" in said
    assert ANA not in said
    found: dict[str, Any] = json.loads(run("mail", "--json")[1])
    assert (found["sends"], found["waiting"]["letters"], len(found["given_up"])) == (True, 1, 1)
    catcher.faults.clear()
    assert json.loads(run("mail", "again", "--json")[1]) == {"letters": 1}
    run("worker", "--once")
    assert [one.recipients for one in catcher.letters] == [("ben@example.com",)]


def test_the_worker_sends_letters_and_pages_know_where_to_read_them(
    run: Run, environ: dict[str, str], catcher: MailCatcher
) -> None:
    settings = Settings.read(environ)
    wanted(environ, "Ana", ANA, datetime.now(UTC))
    installation = wiring.build(settings)
    try:
        assert installation.post is not None
        assert installation.mail_url == "http://127.0.0.1:8001/mail/"
        assert worker.step(installation, {}).letters == 1
    finally:
        installation.close()
    assert len(catcher.letters) == 1
