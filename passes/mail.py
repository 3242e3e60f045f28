"""Letters go out: the one place that speaks SMTP.

One connection carries a batch. What the server says about a letter is told
apart from what it says about us: an address that does not exist is over with
(5xx), a mailbox that is busy is tried later (4xx), and where the connection,
the login or the sender is refused, nothing is any letter's fault.

Sources: RFC 5321 (SMTP, replies), RFC 3207 (STARTTLS), RFC 2034 and 3463
(enhanced codes), RFC 3834 (automatic letters), RFC 6531 (addresses beyond ASCII).
"""

from __future__ import annotations

import logging
import re
import smtplib
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from passes.loyalty.letters import cleaned

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
BATCH_SECONDS_MAX = 120.0
"""No letter is begun after that, so that a slow server does not outlast the sender's lease."""

_REASON_LETTERS_MAX = 200
_SUBJECT_LETTERS_MAX = 150
_NAME_LETTERS_MAX = 70
# Authentication required, failed, too weak or without encryption: never a recipient's fault.
_ACCOUNT_CODES = frozenset({530, 534, 535, 538})
_CLOSING = 421


class Security(StrEnum):
    """How the connection is protected: TLS after a greeting in the open, from the first byte, or never."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter to one person.

    `name` is unique among this installation's letters and always the same for
    the same letter, so that one sent twice can be recognised. `sender_name`
    stands before the sender's address; `unsubscribe` is an address (mailto: or
    https:) at which letters of this kind can be stopped.
    """

    key: int
    name: str
    to: str
    subject: str
    text: str
    html: str
    language: str
    sender_name: str = ""
    reply_to: str | None = None
    unsubscribe: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """The mail server took the letter (which is not: delivered)."""


@dataclass(frozen=True, slots=True)
class Later:
    """Try again. Not `tried`: it was not this letter's turn, the server takes none."""

    reason: str
    tried: bool = True


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """No retry can help: this letter cannot arrive."""

    reason: str


Outcome = Taken | Later | Undeliverable


class Post(Protocol):
    """What `correspondence` needs of a mail server."""

    def deliver(self, letters: Sequence[Letter]) -> Iterator[tuple[int, Outcome]]:
        """Hand over each letter; yields every key exactly once, as answers arrive. Never raises for one."""
        ...

    def check(self) -> str | None:
        """What is wrong with connection or login, in one sentence; None when both are right."""
        ...


class _Trouble(Exception):
    """The server takes no letters from us at all; the text is one sentence."""


class MailServer:
    """A mail server that takes our letters: a relay of the operator's own, or a provider's.

    `sender` is the address that letters come from, perhaps with a name:
    `Cards <cards@example.com>`. The password is the first line of its file and
    is read anew for every connection. `ca_file` replaces the system's authorities.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        security: Security,
        sender: str,
        user: str | None = None,
        password_file: Path | None = None,
        ca_file: Path | None = None,
        clock: Callable[[], datetime],
    ) -> None:
        self._host, self._port, self._security = host, port, security
        self._sender = sender
        self._sender_address = address_of(sender)
        self._user, self._password_file, self._ca_file = user, password_file, ca_file
        self._clock = clock

    def deliver(self, letters: Sequence[Letter]) -> Iterator[tuple[int, Outcome]]:
        """Hand over each letter on one connection; a lost one is opened again while that gets us further."""
        waiting = deque(letters)
        no_more_at = time.monotonic() + BATCH_SECONDS_MAX
        reason = ""
        while waiting and not reason:
            try:
                server = self._connect()
            except _Trouble as trouble:
                reason = str(trouble)
                break
            taken = 0
            try:
                while waiting:
                    if time.monotonic() > no_more_at:
                        reason = "The mail server is slow; the rest goes with the next batch."
                        break
                    letter = waiting[0]
                    try:
                        outcome = self._hand_over(server, letter)
                    except _Lost as lost:
                        waiting.popleft()
                        yield letter.key, Later(str(lost))
                        # A connection that brought nothing will not bring the rest either.
                        reason = "" if taken else str(lost)
                        break
                    waiting.popleft()
                    taken += isinstance(outcome, Taken)
                    yield letter.key, outcome
            except _Trouble as trouble:
                reason = str(trouble)
            finally:
                with suppress(smtplib.SMTPException, OSError):
                    server.quit()
                server.close()
        for letter in waiting:
            yield letter.key, Later(reason, tried=False)

    def check(self) -> str | None:
        """What is wrong with connection or login, in one sentence; None when both are right."""
        try:
            server = self._connect()
        except _Trouble as trouble:
            return str(trouble)
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
        server.close()
        return None

    def _connect(self) -> smtplib.SMTP:
        """A connection on which letters may be handed over. Raises `_Trouble`."""
        place = f"{self._host}:{self._port}"
        try:
            return self._open()
        except ssl.SSLCertVerificationError as problem:
            words = f"The certificate of {place} is not trusted: {problem.verify_message}."
        except ssl.SSLError:
            words = f"{place} does not speak TLS as PASSES_MAIL_SECURITY={self._security} expects."
        except smtplib.SMTPAuthenticationError as problem:
            words = f"{place} refuses user name and password: {_said(problem.smtp_code, problem.smtp_error)}"
        except smtplib.SMTPNotSupportedError:
            words = f"{place} offers no login that we know; is PASSES_MAIL_USER meant for it?"
        except smtplib.SMTPResponseException as problem:
            words = f"{place} takes no letters: {_said(problem.smtp_code, problem.smtp_error)}"
        except TimeoutError:
            words = f"{place} did not answer within {TIMEOUT_SECONDS:g} seconds."
        except socket.gaierror:
            words = f"The name {self._host} is unknown."
        except smtplib.SMTPServerDisconnected as problem:
            words = f"{place} hung up; does it speak SMTP as PASSES_MAIL_SECURITY={self._security} expects?"
            if _was_slow(problem):
                words = f"{place} did not answer within {TIMEOUT_SECONDS:g} seconds."
        except UnicodeError:
            words = "PASSES_MAIL_USER has letters that a login cannot carry."
        except OSError as problem:
            words = f"{place} cannot be reached: {problem.strerror or type(problem).__name__}."
        raise _Trouble(words)

    def _open(self) -> smtplib.SMTP:
        # Our own name is given: looking it up may take as long as a timeout.
        own_name = self._sender_address.partition("@")[2]
        if self._security is Security.NONE:
            server = smtplib.SMTP(self._host, self._port, own_name, TIMEOUT_SECONDS)
        elif self._security is Security.TLS:
            server = smtplib.SMTP_SSL(
                self._host, self._port, own_name, timeout=TIMEOUT_SECONDS, context=self._context()
            )
        else:
            server = smtplib.SMTP(self._host, self._port, own_name, TIMEOUT_SECONDS)
        try:
            server.ehlo_or_helo_if_needed()
            if self._security is Security.STARTTLS:
                # Somebody on the way may have taken the offer out: never go on in the open.
                if not server.has_extn("starttls"):
                    raise _Trouble(f"{self._host}:{self._port} offers no STARTTLS, so nothing is sent.")
                code, said = server.starttls(context=self._context())
                if code != 220:
                    raise _Trouble(f"{self._host}:{self._port} refuses STARTTLS: {_said(code, said)}")
                server.ehlo_or_helo_if_needed()
            if self._user is not None:
                server.login(self._user, self._password())
        except BaseException:
            server.close()
            raise
        return server

    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ssl.SSLError) as problem:
            raise _Trouble(
                f"{self._ca_file} cannot be read as certificates: PASSES_MAIL_CA_FILE."
            ) from problem

    def _password(self) -> str:
        path = self._password_file
        try:
            line = path.read_text("utf-8").split("\n", 1)[0].rstrip("\r") if path else ""
        except (OSError, UnicodeDecodeError):
            raise _Trouble(
                f"{path} cannot be read: PASSES_MAIL_PASSWORD_FILE must name the password's file."
            ) from None
        if not line.isascii():
            raise _Trouble("The password of the mail server has letters that its login cannot carry.")
        return line

    def _hand_over(self, server: smtplib.SMTP, letter: Letter) -> Outcome:
        """One letter. Raises `_Lost` when the connection is gone, `_Trouble` when none would be taken."""
        problem = unusable(letter.to)
        if problem is not None:
            return Undeliverable(problem)
        beyond_ascii = not letter.to.isascii()
        if beyond_ascii and not server.has_extn("smtputf8"):
            return Undeliverable("The mail server writes to no address with such letters.")
        try:
            message = compose(letter, sender=self._sender, at=self._clock())
            raw = message.as_bytes(policy=SMTPUTF8 if beyond_ascii else SMTP)
        except Exception:
            # One letter that cannot be a message must not keep the others waiting.
            log.exception("a letter could not be made into a message")
            return Undeliverable("It could not be made into a message; the log says why.")
        try:
            options = ["SMTPUTF8", "BODY=8BITMIME"] if beyond_ascii else []
            code, said = server.mail(self._sender_address, options)
            if code != 250:
                # Before any recipient was named: it is about us.
                self._is_lost(code, said)
                raise _Trouble(f"The mail server refuses our sender: {_said(code, said)}")
            code, said = server.rcpt(letter.to)
            if code in (250, 251):
                try:
                    code, said = server.data(raw)
                except smtplib.SMTPDataError as refused:
                    code, said = refused.smtp_code, _as_bytes(refused.smtp_error)
                if code == 250:
                    return Taken()
            self._is_lost(code, said)
            outcome = _judged(code, said, letter.to)
            server.rset()
        except (smtplib.SMTPServerDisconnected, OSError) as gone:
            slow = _was_slow(gone)
            raise _Lost(
                "The mail server did not answer in time." if slow else "The connection was lost."
            ) from gone
        return outcome

    def _is_lost(self, code: int, said: bytes) -> None:
        if code == _CLOSING:
            raise _Lost(f"The mail server closes: {_said(code, said)}")


def _was_slow(problem: OSError) -> bool:
    # While it waits for a reply, smtplib calls a timeout a lost connection.
    return isinstance(problem, TimeoutError) or isinstance(problem.__context__, TimeoutError)


class _Lost(Exception):
    """The connection ended; what became of the letter in hand is unknown."""


def compose(letter: Letter, *, sender: str, at: datetime) -> EmailMessage:
    """The letter as a message: plain text and the same as simple HTML.

    Whatever is in names and subjects, a header stays one header: control
    characters, line breaks and marks that turn text around are dropped.
    """
    address = address_of(sender)
    own_name = sender.rpartition("<")[0].strip().strip('"') or letter.sender_name
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(cleaned(own_name, _NAME_LETTERS_MAX), addr_spec=address)
    # Without the person's name: they typed it themselves, and the address may be somebody else's.
    local, _, domain = letter.to.rpartition("@")
    message["To"] = Address(username=local, domain=domain)
    message["Subject"] = cleaned(letter.subject, _SUBJECT_LETTERS_MAX)
    message["Date"] = at
    message["Message-ID"] = f"<{letter.name}@{address.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    if letter.reply_to and unusable(letter.reply_to) is None and letter.reply_to.isascii():
        message["Reply-To"] = Address(addr_spec=letter.reply_to)
    if letter.unsubscribe:
        message["List-Unsubscribe"] = f"<{letter.unsubscribe}>"
    message.set_content(letter.text, charset="utf-8", cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", charset="utf-8", cte="quoted-printable")
    # Last, because setting the content drops what was said about it before.
    message["Content-Language"] = letter.language
    return message


_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_LABEL = r"[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9\u0080-\U0010ffff-]*[A-Za-z0-9\u0080-\U0010ffff])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")


def unusable(address: str) -> str | None:
    """Why nobody can be written to at this address, in one sentence; None when it is one."""
    if len(address) > 254 or not _ADDRESS.fullmatch(address) or cleaned(address, 320) != address:
        return "This is no address that letters can be sent to."
    if len(address.rpartition("@")[0]) > 64:
        return "The part before the @ is too long."
    return None


def address_of(sender: str) -> str:
    """The bare address in `Name <address>`, or what was given where there is no name."""
    _, _, inside = sender.rpartition("<")
    return inside.strip().removesuffix(">").strip()


def _judged(code: int, said: bytes, address: str) -> Outcome:
    """What a reply that is no success means for a letter. Raises `_Trouble` when it means all of them."""
    reason = _said(code, said, address)
    if code in _ACCOUNT_CODES:
        raise _Trouble(f"The mail server takes no letters from us: {reason}")
    # X.7.X is about security and policy, often about us: "relaying denied" is no answer to a recipient.
    by_policy = re.match(rb"\s*[45]\.7\.", said) is not None
    return Undeliverable(reason) if 500 <= code < 600 and not by_policy else Later(reason)


def _as_bytes(said: bytes | str) -> bytes:
    return said if isinstance(said, bytes) else said.encode()


def _said(code: int, said: bytes | str, address: str = "") -> str:
    """A server's reply for people; without the address, for a person may be erased one day."""
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    if address:
        words = re.sub(re.escape(address), "…", words, flags=re.IGNORECASE)
    return cleaned(f"{code} {words}", _REASON_LETTERS_MAX)
