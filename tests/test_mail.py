"""The door that speaks SMTP, against the mail catcher: what becomes of a letter, and what is on the wire."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from passes import mail
from passes.emulators.mail import MailCatcher
from passes.mail import Later, Letter, MailServer, Outcome, Security, Taken, Undeliverable, compose
from tests.certificates_for_tests import Authority

NOW = datetime(2026, 3, 14, 10, 0, tzinfo=UTC)
Start = Callable[..., MailCatcher]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[MailCatcher] = []

    def starting(**options: Any) -> MailCatcher:
        started.append(MailCatcher(clock=lambda: NOW, **options).start())
        return started[-1]

    yield starting
    for one in started:
        one.stop()


@pytest.fixture
def catcher(start: Start) -> MailCatcher:
    return start()


def server_of(catcher: MailCatcher, **options: Any) -> MailServer:
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": catcher.port,
        "security": Security.NONE,
        "sender": "cards@example.com",
        "clock": lambda: NOW,
        **options,
    }
    return MailServer(**values)


def a_letter(key: int = 1, to: str = "ana@example.com", **changes: Any) -> Letter:
    values: dict[str, Any] = {
        "key": key,
        "name": f"7.{key}",
        "to": to,
        "subject": "Kartınız: Sayfa Kulübü",
        "text": "Merhaba.\n.\n.nokta\n",
        "html": "<!doctype html><p>Merhaba ☕</p>",
        "language": "tr",
        "sender_name": "Marginalya Kitabevi",
        **changes,
    }
    return Letter(**values)


def outcomes(server: MailServer, *letters: Letter) -> dict[int, Outcome]:
    found = list(server.deliver(letters))
    assert sorted(key for key, _ in found) == sorted(one.key for one in letters), "each once"
    return dict(found)


# What a letter looks like ------------------------------------------------------------


def test_a_letter_arrives_as_it_was_written(catcher: MailCatcher) -> None:
    letter = a_letter(reply_to="merhaba@marginalya.example", unsubscribe="mailto:stop@marginalya.example")
    assert outcomes(server_of(catcher), letter) == {1: Taken()}
    [caught] = catcher.letters
    assert (caught.sender, caught.recipients) == ("cards@example.com", ("ana@example.com",))
    assert caught.header("From") == "Marginalya Kitabevi <cards@example.com>"
    assert caught.header("To") == "ana@example.com"
    assert caught.header("Subject") == "Kartınız: Sayfa Kulübü"
    assert caught.header("Date") == "Sat, 14 Mar 2026 10:00:00 +0000"
    assert caught.header("Message-ID") == "<7.1@example.com>"
    assert caught.header("Auto-Submitted") == "auto-generated"
    assert caught.header("Content-Language") == "tr"
    assert caught.header("Reply-To") == "merhaba@marginalya.example"
    assert caught.header("List-Unsubscribe") == "<mailto:stop@marginalya.example>"
    assert caught.text.splitlines() == ["Merhaba.", ".", ".nokta"]
    assert "Merhaba ☕" in caught.html
    assert caught.message.get_content_type() == "multipart/alternative"
    assert caught.raw.isascii(), "any mail server on the way can carry it"


@pytest.mark.parametrize(
    "name",
    [
        "Şükrü Işık",
        "مقهى النور",
        "喫茶ギャラリー喫茶ギャラリー喫茶ギャラリー喫茶ギャラリー喫茶ギャラリー喫茶ギャラリー喫茶ギャラリー喫茶ギャラリー",
        'Ünal, "Kahve" & Çay; (İzmir) <x@y.example>',
        "Joe's, Inc.",
        "a" * 300,
    ],
)
def test_names_in_any_script_are_encoded_and_read_back(name: str) -> None:
    letter = a_letter(sender_name=name, subject=f"{name} ☕")
    raw = compose(letter, sender="cards@example.com", at=NOW).as_bytes()
    read = message_from_bytes(raw, policy=default)
    [sender] = read["From"].addresses
    assert sender.addr_spec == "cards@example.com"
    # The newer parser of Python puts blanks between the encoded pieces of a name, against RFC 2047.
    shown = message_from_bytes(raw)["From"].rpartition("<")[0]
    decoded = str(make_header(decode_header(shown))).strip()
    assert decoded.removeprefix('"').removesuffix('"') == (name if len(name) <= 70 else f"{name[:69]}…")
    assert read["Subject"] == (f"{name} ☕" if len(name) <= 70 else f"{name[:149]}…")
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\u2028", "\u0085", "\0", "\x0b"])
def test_no_name_or_subject_becomes_another_header(end: str) -> None:
    evil = f"Club{end}Bcc: victim@example.com{end}{end}<html>"
    letter = a_letter(sender_name=evil, subject=evil)
    raw = compose(letter, sender="cards@example.com", at=NOW).as_bytes()
    read = message_from_bytes(raw, policy=default)
    assert "Bcc" not in read
    assert [name for name in read if name not in {"MIME-Version", "Content-Type", "Content-Language"}] == [
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted")
    ]


def test_the_operators_name_stands_before_the_shops() -> None:
    message = compose(a_letter(), sender="Kart Masası <cards@example.com>", at=NOW)
    assert message["From"] == "Kart Masası <cards@example.com>"


def test_the_same_letter_has_the_same_message_id_whenever_it_is_sent() -> None:
    first = compose(a_letter(), sender="cards@example.com", at=NOW)
    again = compose(a_letter(), sender="cards@example.com", at=NOW.replace(hour=11))
    assert first["Message-ID"] == again["Message-ID"]


@pytest.mark.parametrize(
    "address",
    [
        "ana",
        "@example.com",
        "ana@",
        "ana@exa mple.com",
        "ana@example.com>\r\nRCPT TO:<victim@example.com",
        "ana@example.com\n",
        "<ana@example.com>",
        '"ana reyes"@example.com',
        "ana,ben@example.com",
        "ana@example..com",
        ".ana@example.com",
        "ana@[127.0.0.1]",
        "ana@-example.com",
        "a" * 65 + "@example.com",
        "ana@" + "e" * 260 + ".com",
        "an\u202ea@example.com",
    ],
)
def test_an_address_that_is_none_is_refused_without_asking_the_server(
    catcher: MailCatcher, address: str
) -> None:
    [(_, outcome)] = server_of(catcher).deliver([a_letter(to=address)])
    assert isinstance(outcome, Undeliverable)
    assert address not in outcome.reason
    assert catcher.letters == []


def test_an_address_beyond_ascii_goes_where_the_server_can_write_to_it(catcher: MailCatcher) -> None:
    assert outcomes(server_of(catcher), a_letter(to="çiğdem@müze.example")) == {1: Taken()}
    [caught] = catcher.letters
    assert caught.recipients == ("çiğdem@müze.example",)
    assert caught.header("To") == "çiğdem@müze.example"


def test_an_address_beyond_ascii_is_refused_where_the_server_cannot(
    catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("passes.mail.smtplib.SMTP.has_extn", lambda *_: False)
    [(_, outcome)] = server_of(catcher).deliver([a_letter(to="çiğdem@müze.example")])
    assert outcome == Undeliverable("The mail server writes to no address with such letters.")


# What becomes of it -------------------------------------------------------------------


def test_one_connection_carries_a_batch(catcher: MailCatcher) -> None:
    letters = [a_letter(key) for key in range(20)]
    assert set(outcomes(server_of(catcher), *letters).values()) == {Taken()}
    assert (len(catcher.letters), catcher.connections) == (20, 1)


def test_a_refused_recipient_is_over_with_and_the_others_get_theirs(catcher: MailCatcher) -> None:
    catcher.faults.refuse(to="gone@example.com", answer="550 5.1.1 <gone@example.com>: no such mailbox")
    found = outcomes(server_of(catcher), a_letter(1), a_letter(2, "gone@example.com"), a_letter(3))
    assert found == {1: Taken(), 2: Undeliverable("550 5.1.1 <…>: no such mailbox"), 3: Taken()}
    assert catcher.connections == 1


@pytest.mark.parametrize("step", ["rcpt", "data", "message"])
def test_a_letter_put_off_is_tried_later_and_the_others_get_theirs(catcher: MailCatcher, step: str) -> None:
    catcher.faults.defer(step=step, times=1)
    found = outcomes(server_of(catcher), a_letter(1), a_letter(2))
    assert found == {1: Later("451 4.3.0 Come back later"), 2: Taken()}


@pytest.mark.parametrize("step", ["rcpt", "data", "message"])
def test_what_was_refused_by_policy_is_tried_later(catcher: MailCatcher, step: str) -> None:
    catcher.faults.refuse(step=step, answer="554 5.7.1 Relay access denied", times=1)
    assert outcomes(server_of(catcher), a_letter()) == {1: Later("554 5.7.1 Relay access denied")}


def test_a_refused_content_is_over_with(catcher: MailCatcher) -> None:
    catcher.faults.refuse(step="message", answer="552 5.3.4 Too large", times=1)
    assert outcomes(server_of(catcher), a_letter()) == {1: Undeliverable("552 5.3.4 Too large")}


@pytest.mark.parametrize("answer", ["550 5.1.8 Sender refused", "451 4.7.1 Greylisted", "530 5.7.0 Log in"])
def test_a_refused_sender_is_no_letters_fault(catcher: MailCatcher, answer: str) -> None:
    catcher.faults.refuse(step="mail", answer=answer)
    found = outcomes(server_of(catcher), a_letter(1), a_letter(2))
    assert found == dict.fromkeys((1, 2), Later(f"The mail server refuses our sender: {answer}", tried=False))


def test_a_server_that_is_away_has_tried_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    server = MailServer(
        host="127.0.0.1", port=port, security=Security.NONE, sender="cards@example.com", clock=lambda: NOW
    )
    found = outcomes(server, a_letter(1), a_letter(2))
    reason = f"127.0.0.1:{port} cannot be reached: Connection refused."
    assert found == dict.fromkeys((1, 2), Later(reason, tried=False))
    assert server.check() == reason


def test_a_connection_lost_with_a_letter_in_hand_is_opened_again_for_the_rest(catcher: MailCatcher) -> None:
    catcher.faults.drop(step="message", to="second@example.com")
    found = outcomes(server_of(catcher), a_letter(1), a_letter(2, "second@example.com"), a_letter(3))
    assert found == {1: Taken(), 2: Later("The connection was lost."), 3: Taken()}
    # Nobody can know that it had arrived: sent again, it comes twice, under the same id.
    assert [one.header("Message-ID") for one in catcher.letters] == [
        f"<7.{key}@example.com>" for key in (1, 2, 3)
    ]
    assert catcher.connections == 2


def test_a_server_that_takes_nothing_is_not_asked_again_for_every_letter(catcher: MailCatcher) -> None:
    catcher.faults.drop(step="rcpt", times=None)
    found = outcomes(server_of(catcher), *(a_letter(key) for key in range(5)))
    assert [one.tried for one in found.values() if isinstance(one, Later)] == [True, *[False] * 4]
    assert catcher.connections == 1


def test_a_server_that_closes_after_some_letters_is_called_again(catcher: MailCatcher) -> None:
    catcher.faults.refuse(step="rcpt", answer="421 4.7.0 Too many letters", times=1, to="third@example.com")
    found = outcomes(
        server_of(catcher), a_letter(1), a_letter(2), a_letter(3, "third@example.com"), a_letter(4)
    )
    assert [type(found[key]) for key in (1, 2, 3, 4)] == [Taken, Taken, Later, Taken]
    assert catcher.connections == 2


def test_a_server_that_does_not_answer_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        server = MailServer(
            host="127.0.0.1", port=port, security=Security.NONE, sender="cards@example.com", clock=lambda: NOW
        )
        assert server.check() == f"127.0.0.1:{port} did not answer within 0.2 seconds."


def test_a_slow_server_gets_no_letter_after_the_batchs_time(
    catcher: MailCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "BATCH_SECONDS_MAX", -1.0)
    [(_, outcome)] = server_of(catcher).deliver([a_letter()])
    assert outcome == Later("The mail server is slow; the rest goes with the next batch.", tried=False)


# TLS and login -----------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority", "Mail for tests")


@pytest.fixture
def tls(authority: Authority) -> ssl.SSLContext:
    identity = authority.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    return context


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_letters_travel_encrypted_and_after_a_login(
    start: Start, tls: ssl.SSLContext, authority: Authority, tmp_path: Path, security: Security
) -> None:
    catcher = start(tls=tls, wrapped=security is Security.TLS, login=("shop", "open sesame"))
    password = tmp_path / "password"
    password.write_text("open sesame\r\nanother line\n")
    server = server_of(
        catcher,
        security=security,
        ca_file=authority.certificate,
        user="shop",
        password_file=password,
    )
    assert server.check() is None
    assert outcomes(server, a_letter()) == {1: Taken()}
    password.write_text("wrong\n")
    problem = server.check()
    assert problem == (
        f"127.0.0.1:{catcher.port} refuses user name and password: 535 5.7.8 Wrong name or password"
    )
    assert outcomes(server, a_letter()) == {1: Later(problem, tried=False)}
    password.unlink()
    assert "PASSES_MAIL_PASSWORD_FILE" in str(server.check())


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_a_certificate_nobody_vouches_for_gets_no_letter(
    start: Start, tls: ssl.SSLContext, tmp_path: Path, security: Security
) -> None:
    catcher = start(tls=tls, wrapped=security is Security.TLS)
    stranger = Authority(tmp_path / "stranger", "A stranger")
    server = server_of(catcher, security=security, ca_file=stranger.certificate)
    problem = server.check()
    assert problem is not None
    assert problem.startswith(f"The certificate of 127.0.0.1:{catcher.port} is not trusted: ")
    [(_, outcome)] = server.deliver([a_letter()])
    assert outcome == Later(problem, tried=False)
    assert catcher.letters == []


def test_a_certificate_for_another_name_gets_no_letter(
    start: Start, tls: ssl.SSLContext, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    catcher = start(tls=tls, wrapped=True)
    monkeypatch.setattr(socket, "getaddrinfo", _to_loopback)
    server = server_of(catcher, host="mail.example.com", security=Security.TLS, ca_file=authority.certificate)
    assert "is not trusted" in str(server.check())


def _to_loopback(_host: str, port: int, *_: object, **__: object) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]


def test_without_the_offer_of_tls_nothing_is_sent(catcher: MailCatcher) -> None:
    server = server_of(catcher, security=Security.STARTTLS)
    assert server.check() == f"127.0.0.1:{catcher.port} offers no STARTTLS, so nothing is sent."
    [(_, outcome)] = server.deliver([a_letter()])
    assert isinstance(outcome, Later)
    assert catcher.letters == []


def test_tls_where_none_is_spoken_is_said(catcher: MailCatcher) -> None:
    problem = server_of(catcher, security=Security.TLS).check()
    assert problem == f"127.0.0.1:{catcher.port} does not speak TLS as PASSES_MAIL_SECURITY=tls expects."


def test_a_login_that_is_not_offered_is_said(catcher: MailCatcher, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("open sesame")
    server = server_of(catcher, user="shop", password_file=password)
    assert "offers no login" in str(server.check())


def test_a_user_name_that_no_login_can_carry_is_said(
    start: Start, tls: ssl.SSLContext, authority: Authority, tmp_path: Path
) -> None:
    catcher = start(tls=tls, wrapped=True, login=("shop", "open sesame"))
    password = tmp_path / "password"
    password.write_text("open sesame")
    server = server_of(
        catcher, security=Security.TLS, ca_file=authority.certificate, user="çay", password_file=password
    )
    assert server.check() == "PASSES_MAIL_USER has letters that a login cannot carry."
    password.write_text("açıl susam")
    assert server.check() == "The password of the mail server has letters that its login cannot carry."
    server = server_of(catcher, security=Security.TLS, ca_file=tmp_path / "none.pem")
    assert "PASSES_MAIL_CA_FILE" in str(server.check())
