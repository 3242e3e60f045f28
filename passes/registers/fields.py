"""Reading a maker's JSON: every field is checked before it is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from passes.loyalty.money import AMOUNT_LIMIT_MINOR, minor_digits
from passes.registers.orders import KEY_LETTERS_MAX, Malformed

_PARTS_MAX = 1_000
_DIGITS_MAX = 24
# As makers write numbers in texts; Python takes 1_000 and the digits of every script as well.
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")


class Fields:
    """An object of a message. `path` says where it stands, for whoever looks for a mistake."""

    def __init__(self, values: object, path: str = "") -> None:
        if not isinstance(values, dict):
            raise Malformed(f"{path or 'the message'} is no object")
        self._values: Mapping[str, Any] = values
        self._path = path

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) not in (None, False, "", [])

    def raw(self, name: str) -> Any:
        """A value as it came; None where there is none."""
        return self._values.get(name)

    def at(self, name: str) -> Fields:
        """An object within this one; empty where there is none."""
        return Fields(self._values.get(name) or {}, self._where(name))

    def each(self, name: str) -> list[Fields]:
        """A list of objects; empty where there is none."""
        found = self._values.get(name) or []
        if not isinstance(found, list) or len(found) > _PARTS_MAX:
            raise Malformed(f"{self._where(name)} is no list, or one that is too long")
        return [Fields(one, f"{self._where(name)}[{place}]") for place, one in enumerate(found)]

    def key(self, name: str) -> str:
        """An id, whether it is written as a number or as text."""
        found = self.key_or_none(name)
        if found is None:
            raise self._wrong(name, "is missing")
        return found

    def key_or_none(self, name: str) -> str | None:
        """An id, or None."""
        found = self._values.get(name)
        if found is None or found is False or found == "":
            return None
        if isinstance(found, bool) or not isinstance(found, (int, str)):
            raise self._wrong(name, "is no id")
        text = str(found)
        if len(text) > KEY_LETTERS_MAX or not text.isprintable():
            raise self._wrong(name, "is no id")
        return text

    def text(self, name: str) -> str | None:
        """A text, or None where there is none or something else."""
        found = self._values.get(name)
        if not isinstance(found, str) or not found.strip():
            return None
        # JSON may name halves of a letter, which nothing can keep.
        return found.encode("utf-8", "replace").decode()

    def flag(self, name: str) -> bool:
        """Whether something is true."""
        return self._values.get(name) is True

    def count(self, name: str) -> int:
        """A whole number of pieces, 0 or more."""
        found = self._values.get(name)
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 2**31:
            raise self._wrong(name, "is no number of pieces")
        return found

    def number(self, name: str) -> Decimal:
        """A number, written as one or as text."""
        return self._decimal(name, self._values.get(name))

    def number_or(self, name: str, otherwise: Decimal) -> Decimal:
        """A number, or `otherwise` where there is none."""
        return self.number(name) if self._values.get(name) is not None else otherwise

    def minor(self, name: str, currency: str, *, rounds: bool = False) -> int:
        """An amount in minor units, written in the currency's own units: `12.40` USD is 1240.

        May be below zero. With `rounds`, what a maker's floating point left
        over is rounded away; otherwise a part of a minor unit is wrong.
        """
        scaled = self.number(name).scaleb(minor_digits(currency))
        whole = scaled.to_integral_value(rounding=ROUND_HALF_EVEN)
        if (scaled != whole and not rounds) or abs(whole) >= AMOUNT_LIMIT_MINOR:
            raise self._wrong(name, "is no amount in this currency")
        return int(whole)

    def minor_or(self, name: str, currency: str, otherwise: int = 0, *, rounds: bool = False) -> int:
        """An amount, or `otherwise` where there is none."""
        if self._values.get(name) is None:
            return otherwise
        return self.minor(name, currency, rounds=rounds)

    def instant(self, name: str) -> datetime:
        """An instant with its zone."""
        found = self._values.get(name)
        try:
            at = datetime.fromisoformat(found) if isinstance(found, str) else None
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise self._wrong(name, "is no instant")
        return at

    def first_instant(self, *names: str) -> datetime:
        """The first of these instants that is there."""
        return self.instant(next((name for name in names if name in self), names[-1]))

    def _decimal(self, name: str, found: object) -> Decimal:
        if isinstance(found, bool) or not isinstance(found, (int, str, Decimal)):
            raise self._wrong(name, "is no number")
        if len(str(found)) > _DIGITS_MAX or (isinstance(found, str) and not _NUMBER.fullmatch(found)):
            raise self._wrong(name, "is no number")
        try:
            number = Decimal(found)
        except InvalidOperation:
            raise self._wrong(name, "is no number") from None
        if not number.is_finite() or number.adjusted() > 15:
            raise self._wrong(name, "is no number")
        return number

    def _where(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def _wrong(self, name: str, how: str) -> Malformed:
        return Malformed(f"{self._where(name)} {how}")


def parsed(body: bytes) -> Fields:
    """The object that a message is. Raises Malformed."""
    reading: Callable[[str], Decimal] = Decimal
    try:
        return Fields(json.loads(body, parse_float=reading))
    except (ValueError, ArithmeticError, RecursionError):
        # Also of a number with more digits in its exponent than a number can have.
        raise Malformed("the message is no JSON") from None
