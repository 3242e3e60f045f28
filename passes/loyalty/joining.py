"""What somebody is asked when joining, and what a usable answer is.

Little is asked: a name, and of e-mail, phone and birthday what the programme
wants. Answers are brought into one normal form; nothing is guessed.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from passes.loyalty.letters import cleaned
from passes.loyalty.refusals import (
    BirthdayInvalid,
    BirthdayMissing,
    EmailInvalid,
    EmailMissing,
    NameInvalid,
    PhoneInvalid,
    PhoneMissing,
    Refused,
)

NAME_LETTERS_MAX = 64
EMAIL_LENGTH_MAX = 254
PHONE_DIGITS_MIN = 6
PHONE_DIGITS_MAX = 15
"""ITU-T E.164: a number with its country code has at most 15 digits."""

FIELDS_MAX = 3
"""Of everything that is typed, the name included: every further field loses somebody."""

_EMAIL = re.compile(r"[^@\s,;<>\"\x00-\x1f]{1,64}@[^@\s,;<>\"\x00-\x1f]+\.[^@\s.,;<>\"\x00-\x1f]{2,}\Z")
_BETWEEN_DIGITS = frozenset(" -./()‐‑‒–—―\u00ad")
# A year in which every day of every year exists.
_LEAP_YEAR = 2000


class Asked(StrEnum):
    """Whether a form has a field, and whether it may stay empty."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Joining:
    """What the join form asks beside the name. From `until` on nobody joins any more."""

    email: Asked = Asked.OPTIONAL
    phone: Asked = Asked.OFF
    birthday: Asked = Asked.OFF
    until: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether people may join at this instant."""
        return self.until is None or now < self.until

    @property
    def fields(self) -> int:
        """How many fields there are, the name included."""
        return 1 + sum(one is not Asked.OFF for one in (self.email, self.phone, self.birthday))

    def missing(
        self, *, email: str | None, phone: str | None, birthday: date | None
    ) -> tuple[tuple[str, Refused], ...]:
        """The required fields that were left empty, each with what to say about it."""
        answers: tuple[tuple[str, Asked, object, Refused], ...] = (
            ("email", self.email, email, EmailMissing()),
            ("phone", self.phone, phone, PhoneMissing()),
            ("birthday", self.birthday, birthday, BirthdayMissing()),
        )
        return tuple(
            (field, refusal)
            for field, asked, answer, refusal in answers
            if asked is Asked.REQUIRED and answer is None
        )


def clean_name(text: str) -> str:
    """The name on one printable line, in whatever script. Raises NameInvalid."""
    name = cleaned(text, NAME_LETTERS_MAX + 1)
    if not name or len(name) > NAME_LETTERS_MAX:
        raise NameInvalid(limit=NAME_LETTERS_MAX)
    return name


def clean_email(text: str | None) -> str | None:
    """The address without what surrounds it; None for none. Raises EmailInvalid."""
    trimmed = (text or "").strip()
    if not trimmed:
        return None
    if len(trimmed) > EMAIL_LENGTH_MAX or not _EMAIL.match(trimmed):
        raise EmailInvalid
    return trimmed


def clean_phone(text: str | None) -> str | None:
    """The number as a `+` where one was typed, and its digits; None for none.

    A number without a country code stays without one: whose it would be is
    not known. `00` in front is what some countries dial for the `+`. Raises
    PhoneInvalid for anything but 6 to 15 digits with the usual signs between them.
    """
    # Digits of other scripts and the invisible marks of pasted numbers.
    plain = "".join(
        symbol for symbol in unicodedata.normalize("NFKC", text or "") if unicodedata.category(symbol) != "Cf"
    ).strip()
    if not plain:
        return None
    is_international = plain.startswith(("+", "00"))
    if is_international:
        # The 0 that callers from abroad leave out.
        plain = plain.removeprefix("+" if plain[0] == "+" else "00").replace("(0)", "")
    digits = []
    for symbol in plain:
        digit = unicodedata.decimal(symbol, None)
        if digit is not None:
            digits.append(str(digit))
        elif symbol not in _BETWEEN_DIGITS and not symbol.isspace():
            raise PhoneInvalid(least=PHONE_DIGITS_MIN, most=PHONE_DIGITS_MAX)
    if not PHONE_DIGITS_MIN <= len(digits) <= PHONE_DIGITS_MAX:
        raise PhoneInvalid(least=PHONE_DIGITS_MIN, most=PHONE_DIGITS_MAX)
    return ("+" if is_international else "") + "".join(digits)


def clean_birthday(month: str, day: str) -> date | None:
    """The day and month of a birthday, as a date of a leap year; None for neither.

    Nobody is asked for the year: no rule needs an age. Raises BirthdayInvalid
    for one without the other and for days that no year has.
    """
    if not month and not day:
        return None
    if not (re.fullmatch("[0-9]{1,2}", month) and re.fullmatch("[0-9]{1,2}", day)):
        raise BirthdayInvalid
    try:
        return date(_LEAP_YEAR, int(month), int(day))
    except ValueError:
        raise BirthdayInvalid from None
