"""The operator's commands for webhooks, what the worker does by itself, and what doctor says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from passes import cli, doctor, webhooks, wiring, worker
from passes.settings import Settings
from passes.webhooks import Door
from tests.receiver import Receiver, Reply
from tests.shop import COFFEE, Shop

Run = Callable[..., Any]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver(lambda _message, _number: Reply(200, body=b"thanks"))
    yield opened
    opened.close()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A development installation of this test's own."""
    return {
        "PASSES_MODE": "development",
        "PASSES_VAR": str(tmp_path / "var"),
        "PASSES_CERTS": str(tmp_path / "certs" / "dev"),
    }


@pytest.fixture
def run(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; what it answered, or its refusal."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def command(*arguments: str) -> Any:
        capsys.readouterr()
        cli.main([*arguments, "--json"])
        return json.loads(capsys.readouterr().out or "null")

    command("demo")
    return command


def test_everything_about_a_webhook_can_be_done_by_command(
    run: Run, environ: dict[str, str], receiver: Receiver
) -> None:
    made = run("webhook", "add", COFFEE, receiver.address, "--event", "purchase.booked")
    number = str(made["webhook"])
    receiver.secrets = [made["secret"]]
    assert run("webhook", "secret", COFFEE, number) == {"secret": made["secret"]}

    tried = run("webhook", "test", COFFEE, number)
    assert (tried["event"], tried["state"], tried["status"], tried["answer"]) == (
        "ping",
        "taken",
        200,
        "thanks",
    )

    assert stepped(environ, 450) == 1
    assert run("webhook", "deliveries", COFFEE, number)[0]["event"] == "purchase.booked"
    run("webhook", "replay", COFFEE, number, "--delivery", str(tried["delivery"]))
    assert stepped(environ) == 1
    again = run("webhook", "replay", COFFEE, number, "--since", tried["happened_at"])
    assert again["again"] == 1
    assert stepped(environ) == 1
    assert [message.problem for message in receiver.messages] == [None] * 4
    assert receiver.types == ["ping", "purchase.booked", "ping", "purchase.booked"]

    assert run("webhook", "rotate", COFFEE, number)["secret"] != made["secret"]
    run("webhook", "pause", COFFEE, number)
    assert run("webhook", "test", COFFEE, number)["refused"] == "webhook_paused"
    (standing,) = run("webhook", "list", COFFEE)
    assert (standing["address"], standing["paused_why"]) == (receiver.address, "paused")
    run("webhook", "resume", COFFEE, number)
    assert run("webhook", "remove", COFFEE, number) == {"removed": made["webhook"]}
    assert run("webhook", "list", COFFEE) == []
    assert run("webhook", "remove", COFFEE, number)["refused"] == "webhook_unknown"
    assert run("webhook", "add", COFFEE, "http://10.0.0.8/")["refused"] == "webhook_address_invalid"


def stepped(environ: dict[str, str], *amounts: int) -> int:
    """How many messages a worker sends in one step, after purchases of just now."""
    installation = wiring.build(Settings.read(environ))
    shop = Shop(installation.store, installation.clock())
    for amount in amounts:
        shop.buy(shop.join(keys=installation.keys).code, amount)
    try:
        return worker.step(installation, {}).messages
    finally:
        installation.close()


def test_doctor_says_which_webhook_was_switched_off(
    run: Run, environ: dict[str, str], receiver: Receiver
) -> None:
    number = run("webhook", "add", COFFEE, receiver.address)["webhook"]
    receiver.script = lambda _message, _number: Reply(500)
    installation = wiring.build(Settings.read(environ))
    shop = Shop(installation.store, installation.clock())
    shop.join(keys=installation.keys)
    door = Door(development=True)

    def send(at: datetime) -> None:
        webhooks.find_due(installation.store, now=at)
        webhooks.send_due(installation.store, door, keys=installation.keys, clock=lambda: at)

    send(shop.now)
    send(shop.now + timedelta(days=3, minutes=1))
    installation.close()
    said = [one for one in doctor.examine(Settings.read(environ)) if one.subject == "alarm"]
    assert [one.right for one in said] == [False]
    assert f"Webhook {number} gets nothing any more" in said[0].words
    assert "passes webhook resume" in said[0].words
