"""Checked values out of a TOML file: every mistake is noted with its key and line.

Where something is wrong the problem is noted and a harmless value stands in,
so that reading goes on to the next mistake. What a file with problems gives
must be thrown away.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar
from unicodedata import category
from zoneinfo import ZoneInfo

from passes.loyalty.dates import day_start
from passes.loyalty.money import minor_digits
from passes.loyalty.text import Text

POINTS_MAX = 1_000_000_000
LIST_MAX = 200
"""Longer lists of keys or article numbers are refused."""

KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

Path = tuple[str | int, ...]
_Choice = TypeVar("_Choice", bound=StrEnum)

_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,4}))?")
_FACTOR = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_YEARS = range(1970, 3000)
_PROMISE_FACTOR = 4
"""How much longer a text may be while its placeholders are not filled in."""
_HINTS_MAX = 100
"""Looking for what was meant takes time, and nobody reads on after so many problems."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A text whose numbers have to come from rules. `limit` is its length once they are filled in."""

    path: Path
    text: str
    limit: int


@dataclass(slots=True)
class File:
    """What all tables of one file share. `known` are the keys that rules may name, by what they are."""

    lines: Mapping[Path, int]
    languages: tuple[str, ...] = ()
    currency: str = ""
    zone: str = ""
    known: dict[str, frozenset[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def located(self, path: Path, message: str) -> str:
        """The message with its key path, and the line of the key or of what encloses it."""
        line = next(
            (self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), None
        )
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        return f"{where}{f' (line {line})' if line else ''}: {message}" if where else message


class Table:
    """One table of the file: gives checked values, notes problems, knows which keys nobody asked for.

    `has_free_keys` where the keys are names (languages, tiers) rather than words of the format.
    """

    def __init__(
        self,
        file: File,
        path: Path,
        values: Mapping[str, object],
        *,
        is_missing: bool = False,
        has_free_keys: bool = False,
    ) -> None:
        self.file = file
        self.path = path
        self.values = values
        # The absence of the whole table was noted; that of each key would be noise.
        self.is_missing = is_missing
        self.has_free_keys = has_free_keys
        self.asked: set[str] = set()
        file.tables.append(self)

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def note(self, key: str | None, message: str) -> None:
        """Remember a problem with a key, or with the table itself."""
        if not self.is_missing:
            self.file.problems.append(self.file.located((*self.path, key) if key else self.path, message))

    def warn(self, key: str | None, message: str) -> None:
        """Remember what is allowed but unwise."""
        self.file.warnings.append(self.file.located((*self.path, key) if key else self.path, message))

    def refuse_unknown_keys(self) -> None:
        """Note every key that no reader asked for."""
        for key in self.values:
            if key in self.asked:
                continue
            meant: list[str] = []
            if len(key) <= 60 and len(self.file.problems) < _HINTS_MAX:
                meant = get_close_matches(key, self.asked - set(self.values), n=1)
                meant = meant or get_close_matches(key, self.asked, n=1)
            self.note(key, f"there is no such key{f'; did you mean {meant[0]}?' if meant else ''}")

    def take(self, key: str, *, required: bool = True) -> object | None:
        """The raw value; None, and a problem if it is required, when there is none."""
        self.asked.add(key)
        if key not in self.values and required:
            self.note(key, "is missing")
        return self.values.get(key)

    def has(self, key: str) -> bool:
        """Whether a key that may be left out is there."""
        self.asked.add(key)
        return key in self.values

    def belongs(self, key: str, condition: bool, to: str) -> bool:
        """Whether a key of some kinds only may be read; a problem where it is out of place."""
        self.asked.add(key)
        if not condition and key in self.values:
            self.note(key, f"only belongs to {to}")
        return condition

    # Texts ----------------------------------------------------------------------

    def text(self, key: str, *, limit: int, default: str | None = None, lines: bool = False) -> str:
        """A text of at most `limit` characters, on one line unless `lines`."""
        value = self.take(key, required=default is None)
        if value is None:
            return default or ""
        return self._checked_text(key, value, limit, lines)

    def key(self, key: str, *, limit: int = 40) -> str:
        """The stable name of a row."""
        value = self.text(key, limit=limit)
        if value and not KEY.fullmatch(value):
            self.note(key, f"{value!r} may only have small letters, digits and dashes")
        return value

    def words(self, key: str, *, limit: int, lines: bool = False) -> Text:
        """A text in every language of the programme; a plain string is the same in all."""
        languages = self.file.languages
        table = self._by_language(key)
        if table is None:
            return Text.of(dict.fromkeys(languages, ""))
        return Text.of({language: table.text(language, limit=limit, lines=lines) for language in languages})

    def promise(self, key: str, *, limit: int, lines: bool = False) -> Text:
        """Like `words`, for what members are told they get: its numbers are placeholders."""
        text = self.words(key, limit=limit * _PROMISE_FACTOR, lines=lines)
        is_one = isinstance(self.values.get(key), str)
        for language, words in text.pairs[:1] if is_one else text.pairs:
            path = (*self.path, key) if is_one else (*self.path, key, language)
            self.file.promises.append(Promise(path, words, limit))
        return text

    def _by_language(self, key: str) -> Table | None:
        value = self.take(key)
        if isinstance(value, str):
            value = dict.fromkeys(self.file.languages, value)
        elif value is not None and not isinstance(value, dict):
            self.note(key, f'must be a text, or one per language such as {{ en = "…" }}, not {shown(value)}')
            value = None
        if value is None:
            return None
        return Table(self.file, (*self.path, key), value, has_free_keys=True)

    def texts(self, key: str, *, limit: int) -> tuple[str, ...]:
        """A list of different texts, such as article numbers; empty when it is left out."""
        value = self.take(key, required=False)
        if value is None:
            return ()
        if not isinstance(value, list) or not value:
            self.note(key, f'must be a list of texts such as ["…", "…"], not {shown(value, empty=True)}')
            return ()
        if len(value) > LIST_MAX:
            self.note(key, f"must have at most {LIST_MAX} entries, not {len(value)}")
            return ()
        found: list[str] = []
        for entry in value:
            text = self._checked_text(key, entry, limit, lines=False)
            if text in found:
                self.note(key, f"{text} appears twice")
            elif text:
                found.append(text)
        return tuple(found)

    def keys(self, key: str, what: str | None = None) -> tuple[str, ...]:
        """A list of keys; `what` they name (a category, a shop) has to exist. Empty when it is left out."""
        found = self.texts(key, limit=40)
        for value in found:
            if what:
                self._refuse_unknown(key, value, what)
            elif not KEY.fullmatch(value):
                self.note(key, f"{value!r} may only have small letters, digits and dashes")
        return found

    def reference(self, key: str, what: str) -> str | None:
        """One key of what has to exist; None when it is left out."""
        if self.take(key, required=False) is None:
            return None
        value = self.text(key, limit=40)
        if value:
            self._refuse_unknown(key, value, what)
        return value

    def wholes_by(self, key: str, what: str, *, least: int, most: int) -> tuple[tuple[str, int], ...]:
        """Whole numbers by key of what has to exist, such as `{ gold = 5 }`; empty when it is left out."""
        if self.take(key, required=False) is None:
            return ()
        table = self.table(key, has_free_keys=True)
        found = []
        for name in list(table.values)[:LIST_MAX]:
            table._refuse_unknown(name, name, what)
            found.append((name, table.whole(name, least=least, most=most)))
        return tuple(found)

    def _refuse_unknown(self, key: str, value: str, what: str) -> None:
        known = self.file.known.get(what, frozenset())
        if value not in known:
            hint = did_you_mean(value, known) if len(self.file.problems) < _HINTS_MAX else ""
            more = "" if hint or what != "category" else ": name it in categories first"
            self.note(key, f"there is no {what} {shown(value)}{hint or more}")

    # Numbers --------------------------------------------------------------------

    def whole(self, key: str, *, least: int, most: int, default: int | None = None) -> int:
        """A whole number of a range; the least one where it is wrong."""
        value = self.take(key, required=default is None)
        if value is None:
            return least if default is None else default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.note(key, f"must be a whole number from {least} to {most}, not {shown(value)}")
            return least
        return value

    def whole_or_none(self, key: str, *, least: int, most: int) -> int | None:
        """Like `whole`; None when it is left out."""
        if self.take(key, required=False) is None:
            return None
        return self.whole(key, least=least, most=most)

    def wholes(self, key: str, *, least: int, most: int, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list of at most ten different whole numbers, given back the largest first."""
        value = self.take(key, required=False)
        if value is None:
            return default
        if (
            not isinstance(value, list)
            or len(value) > 10
            or not all(isinstance(entry, int) and not isinstance(entry, bool) for entry in value)
            or not all(least <= entry <= most for entry in value)
        ):
            self.note(key, f"must be a list of at most 10 whole numbers from {least} to {most}")
            return default
        if len(set(value)) < len(value):
            self.note(key, "a number appears twice")
        return tuple(sorted(set(value), reverse=True))

    def amount(self, key: str, *, least: int = 0, default: int | None = None) -> int:
        """Minor units of an amount such as 250.00, with or without quotes."""
        value = self.take(key, required=default is None)
        if value is None:
            return least if default is None else default
        minor = self.minor(value)
        if minor is None or minor < least:
            digits = minor_digits(self.file.currency)
            example = f"25.{'0' * digits}" if digits else "25"
            self.note(key, f"must be an amount of {self.file.currency} such as {example}, not {shown(value)}")
            return least
        return minor

    def amount_or_none(self, key: str, *, least: int = 1) -> int | None:
        """Like `amount`; None when it is left out."""
        if self.take(key, required=False) is None:
            return None
        return self.amount(key, least=least)

    def minor(self, value: object) -> int | None:
        """An amount in the currency's minor units; None when it is none or has too many decimals."""
        match = _AMOUNT.fullmatch(_spelled(value))
        digits = minor_digits(self.file.currency)
        if not match or len(match[2] or "") > digits:
            return None
        return int(match[1] + (match[2] or "").ljust(digits, "0"))

    def factor(self, key: str, *, default: Fraction | None = None) -> Fraction:
        """A positive decimal such as 1.2, exactly."""
        value = self.take(key, required=default is None)
        stand_in = Fraction(1) if default is None else default
        if value is None:
            return stand_in
        text = _spelled(value)
        # Matched before it is computed: 1e999999 is a valid number and would fill the memory.
        factor = Fraction(text) if _FACTOR.fullmatch(text) else Fraction(0)
        if not 0 < factor <= 100:
            self.note(key, f"must be a number above 0 such as 1.5, at most 100, not {shown(value)}")
            return stand_in
        return factor

    def coordinate(self, key: str, bound: int) -> float:
        """Degrees from -bound to bound."""
        value = self.take(key)
        if value is None:
            return 0.0
        if not isinstance(value, Decimal | int) or isinstance(value, bool) or not _is_within(value, bound):
            self.note(key, f"must be degrees from -{bound} to {bound}, not {shown(value)}")
            return 0.0
        return float(value)

    # Other values ---------------------------------------------------------------

    def instant(self, key: str) -> datetime | None:
        """The instant of a date (its first one) or a date with a time; None when it is left out.

        Without an offset it is local to the programme's zone. With or without quotes.
        """
        value = self.take(key, required=False)
        if value is None:
            return None
        at = _instant(value)
        if at is None or at.year not in _YEARS:
            self.note(
                key,
                f'must be a date such as "2026-05-01", or with a time "2026-05-01T08:00", not {shown(value)}',
            )
            return None
        zone = self.file.zone or "UTC"
        if not isinstance(at, datetime):
            return day_start(at, zone)
        return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)

    def colour(self, key: str) -> str:
        """`#RRGGBB` in capitals; empty where it is wrong."""
        value = self.take(key)
        if isinstance(value, str) and _COLOUR.fullmatch(value):
            return value.upper()
        if value is not None:
            self.note(key, f"must be a colour such as #1F2A2E, not {shown(value)}")
        return ""

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.take(key, required=False)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.note(key, f"must be true or false, not {shown(value)}")
            return default
        return value

    def choice(self, key: str, default: _Choice) -> _Choice:
        """A member of the default's enumeration, which is taken when the key is left out."""
        value = self.take(key, required=False)
        if value is None:
            return default
        choices = {choice.value: choice for choice in type(default)}
        if not isinstance(value, str) or value not in choices:
            self.note(
                key, f"must be {' or '.join(choices)}, not {shown(value)}{did_you_mean(value, choices)}"
            )
            return default
        return choices[value]

    def one_of(self, key: str, allowed: Collection[str], what: str) -> str:
        """One of many texts; empty where it is wrong."""
        value = self.take(key)
        if value is None:
            return ""
        if not isinstance(value, str) or value not in allowed:
            self.note(key, f"must be {what}, not {shown(value)}{did_you_mean(value, allowed)}")
            return ""
        return value

    def table(self, key: str, *, required: bool = True, has_free_keys: bool = False) -> Table:
        """A section; without its keys where it is missing."""
        value = self.take(key, required=required)
        if value is not None and not isinstance(value, dict):
            self.note(key, f"must be a section [{key}], not {shown(value)}")
            return Table(self.file, (*self.path, key), {}, is_missing=True)
        is_missing = value is None and required
        return Table(
            self.file,
            (*self.path, key),
            value or {},
            is_missing=is_missing,
            has_free_keys=has_free_keys,
        )

    def rows(self, key: str, *, least: int = 0, most: int) -> list[Table]:
        """Repeated sections."""
        value = self.take(key, required=least > 0)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            self.note(key, f"must be sections [[{key}]], not {shown(value)}")
            return []
        if not least <= len(value) <= most:
            self.note(key, f"there must be {least} to {most}, not {len(value)}")
        return [Table(self.file, (*self.path, key, place), row) for place, row in enumerate(value[:most])]

    def keys_of_rows(self, key: str, column: str = "key") -> frozenset[str]:
        """The keys that repeated sections have, before they are read; wrong ones are noted then."""
        value = self.values.get(key)
        rows = value if isinstance(value, list) else []
        keys = (row.get(column) for row in rows if isinstance(row, dict))
        return frozenset(key.strip() for key in keys if isinstance(key, str))

    def _checked_text(self, key: str, value: object, limit: int, lines: bool) -> str:
        if not isinstance(value, str):
            self.note(key, f"must be a text in quotes, not {shown(value)}")
            return ""
        text = value.strip()
        if not text:
            self.note(key, "must not be empty")
        elif len(text) > limit:
            self.note(key, f"must have at most {limit} characters, not {len(text)}")
        elif any(
            category(symbol) in {"Cc", "Cs", "Cn"} and not (lines and symbol == "\n") for symbol in text
        ):
            self.note(key, "must not have control characters" + ("" if lines else " or line breaks"))
        # Cut, so that what is checked next need not cope with texts of any length.
        return text[:limit]


def _is_within(value: Decimal | int, bound: int) -> bool:
    # NaN compares with nothing, so it has to be asked for first.
    return Decimal(value).is_finite() and -bound <= value <= bound


def _instant(value: object) -> date | None:
    """A date or a datetime, however it was written."""
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        try:
            return datetime.fromisoformat(value) if len(value) > 10 else date.fromisoformat(value)
        except ValueError:
            return None
    # A datetime is a date, too.
    return value if isinstance(value, date) else None


def decimal(text: str) -> Decimal:
    """TOML floats as exact decimals; what does not fit becomes NaN, which every reader refuses."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _spelled(value: object) -> str:
    """A number as its text, whether it was written with or without quotes; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return ""
    if isinstance(value, int) and value.bit_length() > 200:
        return ""
    return str(value)


def shown(value: object, *, empty: bool = False) -> str:
    """A value as a message may quote it: short, and on one line."""
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "an empty list" if empty and not value else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 200:
        # Python refuses to spell out huge integers, and so do we.
        return "a number that long"
    words = repr(value) if isinstance(value, str) else str(value)
    return words if len(words) <= 60 else words[:59] + "…"


def did_you_mean(value: object, allowed: Collection[str]) -> str:
    """What somebody may have meant, as the end of a sentence; empty when nothing is near."""
    near = get_close_matches(value, allowed, n=1) if isinstance(value, str) and len(value) <= 60 else []
    return f"; did you mean {near[0]}?" if near else ""


def lines_of(text: str) -> dict[Path, int]:
    """Where headers and keys stand, as far as that can be seen without parsing TOML again.

    `rewards`, 1, `points` is that key under the second `[[rewards]]`. Texts
    over several lines are skipped, so that nothing in them looks like a key.
    """
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    header: Path = ()
    fence = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if fence:
            if fence in line:
                fence = ""
            continue
        # Cut by hand: the obvious regular expressions take cubic time on a line of blanks.
        bare = line.strip()
        if bare.startswith("["):
            steps = _steps(bare.lstrip("[").partition("]")[0])
            header = _within_rows(steps, counts)
            if bare.startswith("[["):
                found.setdefault(steps, number)
                header = (*header, counts.get(steps, 0))
                counts[steps] = counts.get(steps, 0) + 1
            found.setdefault(header, number)
        elif "=" in bare and not bare.startswith("#"):
            key, _, value = bare.partition("=")
            found.setdefault((*header, *_steps(key)), number)
            fence = next((mark for mark in ('"""', "'''") if value.count(mark) == 1), "")
    return found


def _within_rows(steps: Path, counts: Mapping[Path, int]) -> Path:
    """`rewards.window` after the second `[[rewards]]` is `rewards`, 1, `window`."""
    if len(steps) > 10:
        # No key of ours is that deep, and every slice below costs time.
        return steps
    found: Path = ()
    for end, step in enumerate(steps, start=1):
        found = (*found, step)
        if end < len(steps) and steps[:end] in counts:
            found = (*found, counts[steps[:end]] - 1)
    return found


def _steps(dotted: str) -> Path:
    return tuple(step.strip().strip("\"'") for step in dotted.split("."))
