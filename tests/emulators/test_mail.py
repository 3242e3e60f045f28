"""The mail catcher: a server that is strict on the wire, keeps what arrives, and fails on order."""

from __future__ import annotations

import base64
import json
import smtplib
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser
from werkzeug.serving import make_server

from passes.emulators import mail as catching
from passes.emulators.mail import MailCatcher
from passes.emulators.process import QuietRequests
from tests.emulators.conftest import Clock

ROOT = Path(__file__).parents[2]
AXE = ROOT / "tests" / "vendor" / "axe-4.14.1.min.js"
CARD = "http://127.0.0.1:8000/card/secret"
Start = Callable[..., MailCatcher]


@pytest.fixture
def start(clock: Clock) -> Iterator[Start]:
    started: list[MailCatcher] = []

    def starting(**options: Any) -> MailCatcher:
        started.append(MailCatcher(clock=clock, **options).start())
        return started[-1]

    yield starting
    for one in started:
        one.stop()


@pytest.fixture
def catcher(start: Start) -> MailCatcher:
    return start()


@pytest.fixture
def client(catcher: MailCatcher) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", catcher.port, "test.example", 5) as client:
        yield client


def a_message(subject: str = "Your card", text: str = f"Here: {CARD}.\n", html: str = "") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "cards@example.com", "ana@example.com", subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message


def talk(catcher: MailCatcher, *lines: bytes) -> list[str]:
    """Say these lines and return every answer, the greeting included."""
    with socket.create_connection(("127.0.0.1", catcher.port), 5) as line:
        answers, file = [], line.makefile("rb")
        answers.append(_answer(file))
        for said in lines:
            line.sendall(said)
            answers.append(_answer(file))
        return answers


def _answer(file: Any) -> str:
    while True:
        found: bytes = file.readline()
        if found[3:4] != b"-":
            return found.decode().strip()


ENVELOPE = (b"EHLO x\r\n", b"MAIL FROM:<a@example.com>\r\n", b"RCPT TO:<b@example.com>\r\n", b"DATA\r\n")


# On the wire -----------------------------------------------------------------------------


def test_a_letter_is_kept_with_its_envelope(catcher: MailCatcher, client: smtplib.SMTP) -> None:
    client.send_message(a_message(), "bounce@example.com", ["ana@example.com", "ben@example.com"])
    [letter] = catcher.letters
    assert (letter.number, letter.sender) == (1, "bounce@example.com")
    assert letter.recipients == ("ana@example.com", "ben@example.com")
    assert (letter.header("Subject"), letter.text, letter.links) == (
        "Your card",
        f"Here: {CARD}.\r\n",
        [CARD],
    )


def test_dots_at_the_beginning_of_lines_arrive_as_they_were(
    catcher: MailCatcher, client: smtplib.SMTP
) -> None:
    client.send_message(a_message(text=".\n..\n...three\n"))
    assert catcher.letters[0].text.splitlines() == [".", "..", "...three"]


def test_it_says_what_it_can(client: smtplib.SMTP) -> None:
    client.ehlo()
    assert set(client.esmtp_features) == {"size", "8bitmime", "smtputf8", "enhancedstatuscodes"}


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ((b"MAIL FROM:a@example.com\r\n",), "501 5.5.4"),
        ((b"RCPT TO:<a@example.com>\r\n",), "503 5.5.1"),
        ((b"DATA\r\n",), "503 5.5.1"),
        ((b"EHLO x\r\n", b"MAIL FROM:<a@b.c> SIZE=99999999\r\n"), "552 5.3.4"),
        ((b"EHLO x\r\n", b"MAIL FROM:<\xc3\xa7@b.c>\r\n"), "553 5.6.7"),
        ((b"HELO x\r\n", b"MAIL FROM:<a@b.c> BODY=8BITMIME\r\n"), "555 5.5.4"),
        ((b"EHLO x\r\n", b"MAIL FROM:<a@b.c>\r\n", b"MAIL FROM:<a@b.c>\r\n"), "503 5.5.1"),
        ((b"EHLO x\r\n", b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<nobody>\r\n"), "501 5.1.3"),
        ((b"EHLO\r\n",), "501 5.5.4"),
        ((b"HACK\r\n",), "500 5.5.1"),
        ((b"NOOP\n",), "500 5.5.2"),
        ((b"NOOP " + b"x" * 2000 + b"\r\n",), "500 5.5.2"),
        ((b"\xff\r\n",), "500 5.5.2"),
        ((b"AUTH PLAIN " + base64.b64encode(b"\0a\0b") + b"\r\n",), "538 5.7.11"),
        ((b"STARTTLS\r\n",), "454 4.7.0"),
        ((*ENVELOPE, b"A: b\r\n\r\none\ntwo\r\n.\r\n"), "554 5.6.0"),
        ((*ENVELOPE, b"A: b\r\n\r\none\rtwo\r\n.\r\n"), "554 5.6.0"),
        ((*ENVELOPE, b"A: b\r\n\r\nfake end\n.\r\nMAIL FROM:<evil@x.y>\r\n.\r\n"), "554 5.6.0"),
        ((*ENVELOPE, b"A: b\r\n\r\n" + b"x" * 1500 + b"\r\n.\r\n"), "500 5.5.2"),
        ((*ENVELOPE, b"A: b\r\n\r\n\xc3\xa7\r\n.\r\n"), "554 5.6.1"),
        ((*ENVELOPE, b"A: \xc3\xa7\r\n\r\nb\r\n.\r\n"), "554 5.6.7"),
    ],
)
def test_what_other_servers_would_refuse_is_refused(
    catcher: MailCatcher, lines: tuple[bytes, ...], answer: str
) -> None:
    assert talk(catcher, *lines)[-1].startswith(answer)
    assert catcher.letters == []


def test_a_reset_forgets_the_letter_in_hand(catcher: MailCatcher) -> None:
    answers = talk(catcher, *ENVELOPE[:3], b"RSET\r\n", b"DATA\r\n", b"QUIT\r\n")
    assert [answer[:3] for answer in answers[-3:]] == ["250", "503", "221"]


def test_it_listens_on_this_machine_only() -> None:
    with pytest.raises(ValueError, match="this machine only"):
        MailCatcher("0.0.0.0", 0)


# Errors on order ---------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["mail", "rcpt", "data", "message"])
def test_a_step_can_be_refused_or_deferred_so_many_times(
    catcher: MailCatcher, client: smtplib.SMTP, step: str
) -> None:
    catcher.faults.refuse(step=step, answer="550 5.0.0 No", times=1)
    catcher.faults.defer(step=step, times=1)
    for status in (550, 451):
        with pytest.raises(smtplib.SMTPException) as refused:
            client.send_message(a_message())
        assert str(status) in str(refused.value)
        client.rset()
    client.send_message(a_message())
    assert len(catcher.letters) == 1


def test_one_recipient_can_be_refused(catcher: MailCatcher, client: smtplib.SMTP) -> None:
    catcher.faults.refuse(to="ben@example.com")
    refused = client.send_message(a_message(), to_addrs=["ana@example.com", "ben@example.com"])
    assert set(refused) == {"ben@example.com"}
    assert catcher.letters[0].recipients == ("ana@example.com",)
    catcher.faults.clear()
    assert client.send_message(a_message(), to_addrs=["ben@example.com"]) == {}


def test_it_can_hang_up_with_the_letter_kept(catcher: MailCatcher, client: smtplib.SMTP) -> None:
    catcher.faults.drop()
    with pytest.raises(smtplib.SMTPServerDisconnected):
        client.send_message(a_message())
    assert len(catcher.letters) == 1


# On disk -------------------------------------------------------------------------------------


def test_letters_survive_a_restart_and_only_the_newest_are_kept(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching, "LETTERS_MAX", 3)
    first = start(state_folder=tmp_path)
    for number in range(5):
        first.keep("a@example.com", ["b@example.com"], a_message(f"Letter {number}").as_bytes())
    files = sorted((tmp_path / "mail").iterdir())
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
    (tmp_path / "mail" / "000000099.json").write_text("{damaged")
    second = start(state_folder=tmp_path)
    assert [one.header("Subject") for one in second.letters] == ["Letter 2", "Letter 3", "Letter 4"]
    assert second.keep("a@example.com", ["b@example.com"], b"\r\n").number > first.letters[-1].number
    second.empty()
    assert second.letters == []
    assert start(state_folder=tmp_path).letters == []


# Pages ---------------------------------------------------------------------------------------


def pages_of(catcher: MailCatcher) -> Flask:
    """The pages as the virtual phone's application carries them."""
    app = Flask(
        "emulators",
        root_path=str(ROOT),
        template_folder=str(ROOT / "templates" / "phone"),
        static_folder=str(ROOT / "static"),
    )
    app.add_url_rule("/", "home", lambda: "phones")
    catcher.register(app, zone=UTC)
    app.testing = True
    return app


@pytest.fixture
def browser(catcher: MailCatcher) -> FlaskClient:
    return pages_of(catcher).test_client()


def caught(catcher: MailCatcher, **options: Any) -> int:
    return catcher.keep("cards@example.com", ["ana@example.com"], a_message(**options).as_bytes()).number


def test_an_empty_box_says_so(browser: FlaskClient) -> None:
    assert "No letters yet" in browser.get("/mail/").text


def test_the_newest_letter_comes_first_and_yesterdays_have_a_date(
    browser: FlaskClient, catcher: MailCatcher, clock: Clock
) -> None:
    caught(catcher, subject="Older")
    clock.now += timedelta(days=1)
    caught(catcher, subject="Newer")
    text = browser.get("/mail/").text
    assert text.index("Newer") < text.index("Older")
    assert "01 Mar, 12:00" in text


def test_a_letter_shows_its_words_and_its_link(browser: FlaskClient, catcher: MailCatcher) -> None:
    number = caught(catcher, html=f'<p>Here: <a href="{CARD}">card</a></p>')
    text = browser.get(f"/mail/{number}").text
    assert f'<a href="{CARD}">{CARD}</a>.' in text
    assert f'src="/mail/{number}/html" sandbox=' in text
    assert browser.get(f"/mail/{number}/source").mimetype == "text/plain"
    assert browser.get("/mail/99").status_code == 404


def test_a_letter_runs_nothing_and_becomes_no_part_of_the_page(
    browser: FlaskClient, catcher: MailCatcher
) -> None:
    evil = "<script>alert(1)</script>"
    number = caught(catcher, subject=evil, text=f"{evil} javascript:alert(1)\n", html=f"<p>{evil}</p>")
    for path in ("/mail/", f"/mail/{number}"):
        answer = browser.get(path)
        assert "<script" not in answer.text
        assert 'href="javascript' not in answer.text
        assert "script-src" not in answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    alone = browser.get(f"/mail/{number}/html").headers["Content-Security-Policy"]
    assert "sandbox allow-popups" in alone
    assert "allow-scripts" not in alone
    assert "default-src 'none'" in alone


def test_scripts_read_letters_and_order_errors(
    browser: FlaskClient, catcher: MailCatcher, client: smtplib.SMTP
) -> None:
    caught(catcher)
    [letter] = browser.get("/mail/letters.json").get_json()["letters"]
    assert (letter["to"], letter["subject"], letter["links"]) == (["ana@example.com"], "Your card", [CARD])
    assert browser.post("/mail/faults", json={"defer": {"step": "mail", "times": 1}}).status_code == 200
    with pytest.raises(smtplib.SMTPSenderRefused):
        client.send_message(a_message())
    assert browser.post("/mail/faults", json={"explode": True}).status_code == 422
    assert browser.post("/mail/faults", json={"drop": {"when": "now"}}).status_code == 422
    assert browser.post("/mail/faults", data=json.dumps([1])).status_code == 422
    assert browser.post("/mail/empty").status_code == 303
    assert catcher.letters == []


@pytest.mark.browser
def test_the_pages_are_accessible_narrow_wide_light_and_dark(catcher: MailCatcher, chromium: Browser) -> None:
    number = caught(catcher, html=f'<!doctype html><p>Here: <a href="{CARD}">card</a></p>')
    server = make_server("127.0.0.1", 0, pages_of(catcher), threaded=True, request_handler=QuietRequests)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    troubles: list[str] = []
    for scheme, width in (("light", 360), ("dark", 1280)):
        context = chromium.new_context(
            base_url=f"http://127.0.0.1:{server.server_port}",
            viewport={"width": width, "height": 800},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page = context.new_page()
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        for path in ("/mail/", f"/mail/{number}"):
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            if path != "/mail/":
                assert page.frame_locator("iframe").get_by_role("link", name="card").is_visible()
            page.evaluate(AXE.read_text("utf-8"))
            found = page.evaluate("axe.run(document, {iframes: false})")
            assert [one["id"] for one in found["violations"]] == []
        context.close()
    server.shutdown()
    server.server_close()
    thread.join(5)
    assert troubles == []
