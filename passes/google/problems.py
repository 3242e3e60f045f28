"""What Google's answers mean when they are not what we asked for. Nothing here opens a connection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

WORDS_MAX = 300

# Rate limits have come as 403 with one of these reasons, too.
_RATE_REASONS = frozenset(
    {"ratelimitexceeded", "userratelimitexceeded", "quotaexceeded", "dailylimitexceeded"}
)
# Tokens that might be quoted back to us: JWTs and Google's access tokens.
_SECRETS = re.compile(r"eyJ[\w-]+(?:\.[\w-]+)*|ya29\.[\w.-]+|-----BEGIN[^-]*-----.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Problem:
    """Google's error: HTTP status, its word for it, its message, and the field it complains about."""

    http_status: int
    status: str
    message: str
    field: str | None = None
    reasons: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """One line for a log, an alarm or a page; without secrets."""
        head = f"{self.http_status} {self.status}".strip()
        at = f" ({self.field})" if self.field else ""
        return f"{head}: {self.message}{at}" if self.message else head + at

    @property
    def is_about_rate(self) -> bool:
        """Whether the same request may succeed later, because there were too many."""
        return self.http_status == 429 or (self.http_status == 403 and bool(self.reasons & _RATE_REASONS))

    @property
    def is_about_alerts(self) -> bool:
        """Whether the card's notifications of the day are used up.

        Google documents the exception's name only, not its status.
        """
        words = f"{self.status} {self.message}".lower()
        return "quotaexceeded" in words or ("quota" in words and "notif" in words)


class GoogleFailed(Exception):
    """A request did not do what it should; the text is one line for a person, without secrets."""


class Refused(GoogleFailed):
    """Google takes this request never: our own mistake, or something must be created first."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class NotFound(Refused):
    """There is no such object, or its class is missing."""


class AlreadyExists(Refused):
    """What was to be inserted is there already."""


class AlertsUsedUp(Refused):
    """The card has had its notifications for today; without one the request will be taken."""


class AccountRefused(GoogleFailed):
    """Nothing will be taken until somebody changes something at Google or in the settings."""


class ClassNotPublished(GoogleFailed):
    """Cards cannot be made of this class: it is a draft, or Google rejected it."""


class TryLater(GoogleFailed):
    """Google is busy, broken or out of reach; not before `wait_seconds` have passed."""

    def __init__(self, reason: str, wait_seconds: float) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


def problem_of(http_status: int, answer: Mapping[str, Any]) -> Problem:
    """The error in an answer of the API or of the token address, whatever is left of it."""
    error = answer.get("error")
    if isinstance(error, str):
        # The token address speaks OAuth (RFC 6749, 5.2).
        return Problem(http_status, _safe(error), _safe(answer.get("error_description")))
    if not isinstance(error, Mapping):
        return Problem(http_status, "", "")
    field = None
    message = _safe(error.get("message"))
    for detail in _mappings(error.get("details")):
        for violation in _mappings(detail.get("fieldViolations")):
            field = field or _safe(violation.get("field")) or None
            message = message or _safe(violation.get("description"))
    reasons = frozenset(
        str(entry.get("reason", "")).replace("_", "").lower() for entry in _mappings(error.get("errors"))
    )
    return Problem(http_status, _safe(error.get("status")), message, field, reasons)


def retry_after_seconds(header: str | None, *, now: datetime) -> float | None:
    """How long a `Retry-After` asks to wait (RFC 9110, 10.2.3); None for none or nonsense."""
    if header is None:
        return None
    text = header.strip()
    if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
        return float(text)
    at = date_of(text)
    return None if at is None else max(0.0, (at - now).total_seconds())


def date_of(header: str | None) -> datetime | None:
    """The instant in an HTTP date (RFC 9110, 5.6.7); None for none or nonsense."""
    try:
        at = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _safe(value: object) -> str:
    """Words of Google's for our logs and pages: one printable line, nothing that opens doors."""
    if not isinstance(value, str):
        return ""
    line = " ".join(_SECRETS.sub("[removed]", value).split())
    return "".join(symbol for symbol in line if symbol.isprintable())[:WORDS_MAX]
