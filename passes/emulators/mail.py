"""The mail catcher: an SMTP server that takes every letter and delivers none.

Letters are kept to be read on a page. It is strict where mail servers on the
way are: bare line feeds, over-long lines, letters beyond ASCII that were not
announced, and commands out of order are refused (RFC 5321, 6152, 6531).
Errors can be ordered: refuse, defer, or hang up with the letter in hand.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from html import unescape
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, abort, redirect, render_template, request, url_for
from markupsafe import Markup, escape
from werkzeug.wrappers import Response as AnyResponse

log = logging.getLogger(__name__)

LETTERS_MAX = 200
SIZE_MAX = 10 * 1024 * 1024
_COMMAND_BYTES_MAX = 512 + 600  # with room for the parameters of extensions
_LINE_BYTES_MAX = 1000
_IDLE_SECONDS = 60.0
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# A letter's HTML runs nothing, loads nothing, and opens links beside itself.
_HTML_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; font-src 'self'; img-src data:; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_LINK = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]]")


@dataclass(frozen=True, slots=True)
class CaughtLetter:
    """A letter as it arrived: the envelope, and the message byte for byte."""

    number: int
    at: datetime
    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """The message, parsed."""
        parsed = message_from_bytes(self.raw, policy=modern)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def header(self, name: str) -> str:
        """A header as people read it; empty where there is none."""
        return str(self.message.get(name, ""))

    @property
    def text(self) -> str:
        """The plain text."""
        return self._part("plain")

    @property
    def html(self) -> str:
        """The HTML; empty where there is none."""
        return self._part("html")

    @property
    def links(self) -> list[str]:
        """Every link in the letter, once, in order."""
        return list(dict.fromkeys(_LINK.findall(self.text) + _LINK.findall(unescape(self.html))))

    def _part(self, kind: str) -> str:
        part = self.message.get_body(preferencelist=(kind,))
        return str(part.get_content()) if part is not None else ""


@dataclass(slots=True)
class _Fault:
    step: str
    answer: str | None
    times: int | None
    to: str | None

    def strikes(self, step: str, recipients: Sequence[str]) -> bool:
        if step != self.step or self.times == 0 or (self.to is not None and self.to not in recipients):
            return False
        if self.times is not None:
            self.times -= 1
        return True


class MailFaults:
    """What goes wrong, on order. Steps: connect, mail, rcpt, data (its beginning), message (its end)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []

    def refuse(
        self,
        *,
        step: str = "rcpt",
        answer: str = "550 5.1.1 There is no such mailbox",
        times: int | None = None,
        to: str | None = None,
    ) -> None:
        """Answer a step with a refusal, for ever or so many times, for everybody or one recipient."""
        self._add(_Fault(step, answer, times, to))

    def defer(
        self,
        *,
        step: str = "rcpt",
        answer: str = "451 4.3.0 Come back later",
        times: int | None = None,
        to: str | None = None,
    ) -> None:
        """As `refuse`, with an answer that asks to come again."""
        self._add(_Fault(step, answer, times, to))

    def drop(self, *, step: str = "message", times: int | None = 1, to: str | None = None) -> None:
        """Hang up instead of answering. After `message` the letter was kept: nobody else knows."""
        self._add(_Fault(step, None, times, to))

    def clear(self) -> None:
        """Everything works again."""
        with self._lock:
            self._faults.clear()

    def at(self, step: str, recipients: Sequence[str] = ()) -> _Fault | None:
        """The fault that strikes now, used up by asking."""
        with self._lock:
            return next((one for one in self._faults if one.strikes(step, recipients)), None)

    def _add(self, fault: _Fault) -> None:
        with self._lock:
            self._faults.append(fault)


class MailCatcher:
    """The server and the letters it keeps, newest `LETTERS_MAX`, under `state_folder`.

    `tls` protects connections: from the first byte if `wrapped`, else after
    STARTTLS, without which nothing is taken. `login` is the one user and
    password that may send; without it everybody may.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        state_folder: Path | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        tls: ssl.SSLContext | None = None,
        wrapped: bool = False,
        login: tuple[str, str] | None = None,
    ) -> None:
        if host not in _LOOPBACK:
            raise ValueError(f"the mail catcher listens on this machine only, not on {host}")
        self.host, self.port = host, port
        self.tls, self.wrapped, self.login = tls, wrapped, login
        self.faults = MailFaults()
        self.connections = 0
        self.clock = clock
        self._folder = state_folder / "mail" if state_folder else None
        self._lock = threading.Lock()
        self._letters = list(self._read())
        self._number = max((one.number for one in self._letters), default=0)
        self._server: _Server | None = None
        self._serving: threading.Thread | None = None

    def start(self) -> MailCatcher:
        """Listen. `port` is the real one afterwards. Raises OSError where it is taken."""
        self._server = _Server((self.host, self.port), self)
        self.port = int(self._server.server_address[1])
        self._serving = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._serving.start()
        return self

    def stop(self) -> None:
        """Listen no more; letters are kept."""
        if self._server is not None and self._serving is not None:
            self._server.shutdown()
            self._server.server_close()
            self._serving.join(1)
            self._server = None

    @property
    def letters(self) -> list[CaughtLetter]:
        """What arrived, oldest first."""
        with self._lock:
            return list(self._letters)

    def letter(self, number: int) -> CaughtLetter | None:
        """The letter with this number."""
        return next((one for one in self.letters if one.number == number), None)

    def keep(self, sender: str, recipients: Sequence[str], raw: bytes) -> CaughtLetter:
        """Put a letter into the box."""
        with self._lock:
            self._number += 1
            letter = CaughtLetter(self._number, self.clock(), sender, tuple(recipients), raw)
            self._letters.append(letter)
            gone, self._letters = self._letters[:-LETTERS_MAX], self._letters[-LETTERS_MAX:]
            self._write(letter)
            for one in gone:
                self._forget(one)
        return letter

    def empty(self) -> None:
        """Throw every letter away."""
        with self._lock:
            for one in self._letters:
                self._forget(one)
            self._letters = []

    def register(self, app: Flask, *, zone: tzinfo | None = None) -> None:
        """Add the pages under /mail/ to the emulators' pages."""
        app.register_blueprint(_pages(self, zone))

    # On disk ---------------------------------------------------------------

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number:09d}.json"

    def _write(self, letter: CaughtLetter) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = {
            "at": letter.at.isoformat(),
            "sender": letter.sender,
            "recipients": letter.recipients,
            "raw": base64.b64encode(letter.raw).decode(),
        }
        beside = self._file(letter.number).with_suffix(".new")
        # Letters hold links that open cards.
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(kept, file)
        beside.replace(self._file(letter.number))

    def _forget(self, letter: CaughtLetter) -> None:
        if self._folder is not None:
            self._file(letter.number).unlink(missing_ok=True)

    def _read(self) -> Iterator[CaughtLetter]:
        if self._folder is None or not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob("*.json")):
            try:
                kept = json.loads(path.read_text("utf-8"))
                yield CaughtLetter(
                    int(path.stem),
                    datetime.fromisoformat(kept["at"]),
                    kept["sender"],
                    tuple(kept["recipients"]),
                    base64.b64decode(kept["raw"]),
                )
            except (OSError, ValueError, KeyError):
                log.warning("%s is no letter and is left alone", path.name)


# SMTP --------------------------------------------------------------------------------


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], catcher: MailCatcher) -> None:
        self.catcher = catcher
        super().__init__(address, _Session)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is nothing to write home about."""
        log.debug("a mail session broke off", exc_info=True)


class _HangUp(Exception):
    """The session ends here, without another word."""


@dataclass(slots=True)
class _Envelope:
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)
    eight_bit: bool = False
    beyond_ascii: bool = False


class _Session(socketserver.StreamRequestHandler):
    """One client, one command after the other."""

    timeout = _IDLE_SECONDS
    server: _Server

    def handle(self) -> None:
        """Talk until the client goes."""
        self._catcher = self.server.catcher
        self._catcher.connections += 1
        self._envelope = _Envelope()
        self._protected = self._known = False
        self._extended = False
        if self._catcher.wrapped:
            self._protect()
        commands: dict[str, Callable[[str], None]] = {
            "EHLO": self._ehlo,
            "HELO": self._helo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": lambda _: self._say("250 2.0.0 Still here"),
            "VRFY": lambda _: self._say("252 2.5.2 Write and see"),
        }
        try:
            self._step("connect", "220 catcher.test keeps every letter")
            while True:
                line = self.rfile.readline(_COMMAND_BYTES_MAX + 1)
                if not line:
                    return
                if len(line) > _COMMAND_BYTES_MAX or not line.endswith(b"\r\n"):
                    self._say("500 5.5.2 A command is one line, and ends with CR LF")
                    return
                try:
                    verb, _, rest = line[:-2].decode("utf-8").partition(" ")
                except UnicodeDecodeError:
                    self._say("500 5.5.2 That is no UTF-8")
                    continue
                if verb.upper() == "QUIT":
                    self._say("221 2.0.0 Goodbye")
                    return
                command = commands.get(verb.upper())
                if command is None:
                    self._say("500 5.5.1 What is that?")
                else:
                    command(rest.strip())
        except _HangUp:
            return

    def _say(self, answer: str) -> None:
        self.wfile.write(answer.encode() + b"\r\n")

    def _step(self, step: str, answer: str, recipients: Sequence[str] = ()) -> bool:
        """Answer, unless something was ordered to go wrong. Whether all is well."""
        fault = self._catcher.faults.at(step, recipients)
        if fault is None:
            self._say(answer)
            return True
        if fault.answer is None:
            raise _HangUp
        self._say(fault.answer)
        if fault.answer.startswith("421"):
            raise _HangUp
        return False

    # Greeting ----------------------------------------------------------------

    def _ehlo(self, name: str) -> None:
        if not name:
            self._say("501 5.5.4 Who is there?")
            return
        self._extended, self._envelope = True, _Envelope()
        offers = [f"SIZE {SIZE_MAX}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
        if self._catcher.tls and not self._protected:
            offers.append("STARTTLS")
        if self._catcher.login and self._protected:
            offers.append("AUTH PLAIN")
        lines = ["catcher.test", *offers]
        for line in lines[:-1]:
            self._say(f"250-{line}")
        self._say(f"250 {lines[-1]}")

    def _helo(self, name: str) -> None:
        self._extended, self._envelope = False, _Envelope()
        self._say("250 catcher.test" if name else "501 5.5.4 Who is there?")

    def _starttls(self, _: str) -> None:
        if self._catcher.tls is None or self._protected:
            self._say("454 4.7.0 TLS is not available")
            return
        self._say("220 2.0.0 Go ahead")
        self._protect()
        # Nothing said in the open counts any more.
        self._envelope, self._extended = _Envelope(), False

    def _protect(self) -> None:
        assert self._catcher.tls is not None
        try:
            self.connection = self._catcher.tls.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError):
            raise _HangUp from None
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self._protected = True

    def finish(self) -> None:
        """Close what TLS put in place of the first connection too."""
        with suppress(OSError):
            super().finish()
            self.connection.close()

    def _auth(self, rest: str) -> None:
        if self._catcher.login is None or not self._protected:
            self._say("538 5.7.11 Not without TLS")
            return
        try:
            _, user, password = base64.b64decode(rest.partition(" ")[2], validate=True).decode().split("\0")
        except ValueError:
            self._say("501 5.5.2 Only AUTH PLAIN, in one line")
            return
        self._known = (user, password) == self._catcher.login
        self._say("235 2.7.0 Welcome" if self._known else "535 5.7.8 Wrong name or password")

    # A letter ------------------------------------------------------------------

    def _mail(self, rest: str) -> None:
        if self._catcher.tls and not self._protected:
            self._say("530 5.7.0 STARTTLS first")
            return
        if self._catcher.login and not self._known:
            self._say("530 5.7.0 Log in first")
            return
        found = re.fullmatch(r"FROM:<([^<>]*)>((?: [A-Za-z0-9-]+(?:=[!-~]+)?)*)", rest, re.IGNORECASE)
        if found is None:
            self._say("501 5.5.4 MAIL FROM:<address>")
            return
        if self._envelope.sender is not None:
            self._say("503 5.5.1 There is a sender already")
            return
        options = dict(one.upper().partition("=")[::2] for one in found[2].split())
        if not self._extended and options:
            self._say("555 5.5.4 Say EHLO first")
            return
        if int(options.get("SIZE") or 0) > SIZE_MAX:
            self._say("552 5.3.4 That is too much")
            return
        if not found[1].isascii() and "SMTPUTF8" not in options:
            self._say("553 5.6.7 Such letters need SMTPUTF8")
            return
        envelope = _Envelope(
            found[1],
            eight_bit=options.get("BODY") == "8BITMIME",
            beyond_ascii="SMTPUTF8" in options,
        )
        if self._step("mail", "250 2.1.0 Go on"):
            self._envelope = envelope

    def _rcpt(self, rest: str) -> None:
        found = re.fullmatch(r"TO:<([^<>\s@]+@[^<>\s@]+)>", rest, re.IGNORECASE)
        if self._envelope.sender is None:
            self._say("503 5.5.1 From whom?")
        elif found is None:
            self._say("501 5.1.3 RCPT TO:<address>")
        elif not found[1].isascii() and not self._envelope.beyond_ascii:
            self._say("553 5.6.7 Such letters need SMTPUTF8")
        elif self._step("rcpt", "250 2.1.5 Fine", [found[1]]):
            self._envelope.recipients.append(found[1])

    def _data(self, _: str) -> None:
        envelope = self._envelope
        if not envelope.recipients:
            self._say("503 5.5.1 To whom?")
            return
        if not self._step("data", "354 End with a line that is a dot", envelope.recipients):
            return
        raw, problem = self._body(envelope)
        self._envelope = _Envelope()
        if problem:
            self._say(problem)
            return
        assert envelope.sender is not None
        fault = self._catcher.faults.at("message", envelope.recipients)
        if fault is not None and fault.answer is not None:
            self._say(fault.answer)
            return
        self._catcher.keep(envelope.sender, envelope.recipients, raw)
        if fault is not None:
            raise _HangUp
        self._say("250 2.0.0 Kept")

    def _rset(self, _: str) -> None:
        self._envelope = _Envelope()
        self._say("250 2.0.0 Forgotten")

    def _body(self, envelope: _Envelope) -> tuple[bytes, str | None]:
        """The message, its dots unstuffed, and why it is refused."""
        lines: list[bytes] = []
        size, problem, in_header = 0, None, True
        while True:
            line = self.rfile.readline(_LINE_BYTES_MAX + 2)
            if not line:
                raise _HangUp
            if line == b".\r\n":
                return b"".join(lines), problem
            size += len(line)
            if len(line) > _LINE_BYTES_MAX:
                problem = problem or "500 5.5.2 A line is longer than 1000 bytes"
            elif not line.endswith(b"\r\n") or b"\r" in line[:-2]:
                # Two servers that end a line differently see two letters in one.
                problem = problem or "554 5.6.0 A line ends with CR LF and holds neither"
            elif size > SIZE_MAX:
                problem = problem or "552 5.3.4 That is too much"
            elif in_header and not line.isascii() and not envelope.beyond_ascii:
                problem = problem or "554 5.6.7 Such headers need SMTPUTF8"
            elif not line.isascii() and not envelope.eight_bit:
                problem = problem or "554 5.6.1 Eight bits need 8BITMIME"
            in_header = in_header and line != b"\r\n"
            if problem is None:
                lines.append(line[1:] if line.startswith(b".") else line)


# Pages -------------------------------------------------------------------------------


def _pages(catcher: MailCatcher, zone: tzinfo | None) -> Blueprint:
    """The letters as pages: a list, one letter, its HTML by itself, and what scripts ask."""
    pages = Blueprint("mail", __name__, url_prefix="/mail")

    def find(number: int) -> CaughtLetter:
        letter = catcher.letter(number)
        if letter is None:
            abort(404)
        return letter

    def when(letter: CaughtLetter) -> str:
        local = letter.at.astimezone(zone)
        return (
            f"{local:%H:%M}"
            if local.date() == catcher.clock().astimezone(zone).date()
            else f"{local:%d %b, %H:%M}"
        )

    def page(template: str, **values: Any) -> Response:
        answer = Response(render_template(template, when=when, **values))
        answer.headers["Content-Security-Policy"] = _PAGE_POLICY
        return answer

    @pages.get("/")
    def box() -> Response:
        return page("mail.html", letters=catcher.letters[::-1])

    @pages.get("/<int:number>")
    def letter(number: int) -> Response:
        found = find(number)
        return page("mail_letter.html", letter=found, text=_linked(found.text))

    @pages.get("/<int:number>/html")
    def html(number: int) -> Response:
        answer = Response(f'<base target="_blank">{find(number).html}', mimetype="text/html")
        answer.headers["Content-Security-Policy"] = _HTML_POLICY
        return answer

    @pages.get("/<int:number>/source")
    def source(number: int) -> Response:
        return Response(find(number).raw, mimetype="text/plain")

    @pages.post("/empty")
    def empty() -> AnyResponse:
        catcher.empty()
        return redirect(url_for("mail.box"), 303)

    @pages.get("/letters.json")
    def letters_json() -> dict[str, Any]:
        return {"letters": [_as_json(one) for one in catcher.letters]}

    @pages.post("/faults")
    def faults() -> tuple[dict[str, Any], int]:
        """One object: names of faults with their arguments, e.g. {"defer": {"step": "rcpt", "times": 1}}."""
        wanted = request.get_json(silent=True)
        known = ("refuse", "defer", "drop", "clear")
        if not isinstance(wanted, dict) or not set(wanted) <= set(known):
            return {"error": "unknown_fault", "known": list(known)}, 422
        for name, given in wanted.items():
            try:
                getattr(catcher.faults, name)(**(given if isinstance(given, dict) else {}))
            except TypeError as error:
                return {"error": "wrong_arguments", "fault": name, "words": str(error)}, 422
        return {"done": sorted(wanted)}, 200

    return pages


def _linked(text: str) -> Markup:
    """Plain text with its links made links."""
    parts, end = [], 0
    for found in _LINK.finditer(text):
        parts += [escape(text[end : found.start()]), Markup('<a href="{0}">{0}</a>').format(found[0])]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def _as_json(letter: CaughtLetter) -> dict[str, Any]:
    return {
        "number": letter.number,
        "at": letter.at.isoformat(),
        "from": letter.header("From"),
        "sender": letter.sender,
        "to": list(letter.recipients),
        "subject": letter.header("Subject"),
        "text": letter.text,
        "links": letter.links,
    }
