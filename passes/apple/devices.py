"""Apple's web service for updating passes, as a protocol: read requests, shape answers.

No socket, no database: text in, values out. What a phone sends is read
leniently where a mistake can be survived (tags, dates) and refused where
nothing sensible can be done. Source: Apple, "Adding a Web Service to Update
Passes" and the pages of its five endpoints.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

import orjson

PASS_MEDIA_TYPE = "application/vnd.apple.pkpass"

PUSH_TOKEN_LETTERS_MAX = 512
LIBRARY_ID_LETTERS_MAX = 255
BODY_BYTES_MAX = 65_536
LOG_ENTRIES_MAX = 50
LOG_LETTERS_MAX = 500
TAG_MAX = 2**63 - 1

_SCHEME = "applepass"
_PUSH_TOKEN = re.compile(rf"[0-9A-Fa-f]{{1,{PUSH_TOKEN_LETTERS_MAX}}}")
_TAG = re.compile(r"[0-9]{1,19}")


class Malformed(Exception):
    """The body is not what the endpoint takes: to be answered with 400."""


def token_of(authorization: str | None) -> str:
    """The token of an `Authorization: ApplePass <token>` header; empty when there is none.

    The scheme's case does not matter (RFC 9110, 11.1). Any other scheme gives
    no token: `AndroidPass`, used by readers on other systems, comes with push
    tokens that Apple's service does not know.
    """
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if scheme.lower() == _SCHEME else ""


def read_registration(body: bytes) -> str:
    """The push token in the body of a registration, `{"pushToken": "<hex>"}`.

    Tokens have no fixed length, by Apple's word. Raises Malformed.
    """
    content = _json(body)
    token = content.get("pushToken") if isinstance(content, dict) else None
    if not isinstance(token, str) or not _PUSH_TOKEN.fullmatch(token):
        raise Malformed("the body must be an object with a hexadecimal pushToken")
    return token


def read_tag(text: str | None) -> int | None:
    """The tag that a phone names in `passesUpdatedSince`; None for anything we never gave out."""
    if text is None or not _TAG.fullmatch(text):
        return None
    tag = int(text)
    return tag if tag <= TAG_MAX else None


def list_answer(serials: Iterable[str], tag: int) -> bytes:
    """The body that lists changed passes. The tag is a string: phones hand it back as they got it."""
    return orjson.dumps({"serialNumbers": list(serials), "lastUpdated": str(tag)})


def http_date(at: datetime) -> str:
    """An instant as `Last-Modified` wants it (RFC 9110, 5.6.7), in GMT, without fractions."""
    return format_datetime(at.astimezone(UTC), usegmt=True)


def read_http_date(text: str | None) -> datetime | None:
    """The instant in an HTTP date; None when it is missing or cannot be read."""
    if not text:
        return None
    try:
        at = parsedate_to_datetime(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def is_fresh(if_modified_since: str | None, last_modified: datetime) -> bool:
    """Whether the phone's version is the newest, so that 304 answers it."""
    since = read_http_date(if_modified_since)
    return since is not None and since >= last_modified


# Logs ---------------------------------------------------------------------------

# Anything long enough to be a token, a device id or a serial, and what follows
# the words that introduce one.
_SECRETS = re.compile(
    r"(?P<before>(?:ApplePass|AndroidPass|Bearer)\s+|/devices/|/registrations/[^/\s]+/|pushToken\W{1,4})"
    r"[^\s/\"',;)]+|[A-Za-z0-9_=+-]{16,}"
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def read_log(body: bytes) -> list[str]:
    """The entries of a log body, `{"logs": ["…", …]}`, cut to size and redacted.

    Entries that are no text are dropped. Raises Malformed.
    """
    content = _json(body)
    entries = content.get("logs") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise Malformed("the body must be an object with a list of logs")
    texts = (entry for entry in entries[:LOG_ENTRIES_MAX] if isinstance(entry, str))
    return [kept for kept in map(redacted, texts) if kept]


def redacted(entry: str) -> str:
    """One line without control characters, tokens, device ids and serials."""
    # Cut twice: before, so that a huge entry costs little; and after.
    line = _CONTROLS.sub(" ", entry[: LOG_LETTERS_MAX * 4])
    line = _SECRETS.sub(lambda found: f"{found['before'] or ''}…", line)
    return line.strip()[:LOG_LETTERS_MAX].encode("utf-8", "replace").decode()


def _json(body: bytes) -> object:
    if len(body) > BODY_BYTES_MAX:
        raise Malformed("the body is too large")
    try:
        content: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Malformed("the body is not JSON") from None
    return content
