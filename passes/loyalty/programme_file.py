"""Reads a programme file: text in, a checked Programme out.

All mistakes are collected before refusing, because a person who writes a
programme wants to see them at once. Each names the key path and, where it
could be found in the text, the line (tomllib itself gives no positions).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import TypeVar
from unicodedata import category
from zoneinfo import available_timezones

from passes.loyalty.codes import CodeKind
from passes.loyalty.design import Colours, Design, Scene, StripKind, Symbology
from passes.loyalty.money import CURRENCIES, minor_digits
from passes.loyalty.programme import (
    Consent,
    Contact,
    EarnRule,
    Programme,
    Reward,
    RewardKind,
    Rounding,
    Shop,
    StampRule,
    Text,
    Tier,
    Unit,
)
from passes.loyalty.refusals import ProgrammeInvalid

TEXT_LENGTH_MAX = 200_000
"""Longer files are not even parsed."""

SHOPS_MAX = 10
"""Wallets show a card near at most ten places."""

CONTRAST_MIN = 3.0
CONTRAST_GOOD = 4.5
"""WCAG 2: 3 for large text, 4.5 for the small labels. Between the two is a warning."""

POINTS_MAX = 1_000_000_000
STEPS_MAX = 20
UNDO_SECONDS_MAX = 86_400

_Path = tuple[str | int, ...]
_Choice = TypeVar("_Choice", bound=StrEnum)
_Row = TypeVar("_Row")

_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_RATE = re.compile(r"\s*([0-9]{1,7})\s+per\s+(\S+)\s*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,4}))?")
_FACTOR = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?")


def parse(text: str, *, name: str) -> Programme:
    """The programme that a file describes.

    `name` is the file's name, with or without `.toml`; it becomes the slug.
    Raises ProgrammeInvalid, and nothing else, for whatever the text is: its
    values carry `summary` (a sentence) and `problems` (all of them).
    """
    if len(text) > TEXT_LENGTH_MAX:
        raise _refusal([f"the file has more than {TEXT_LENGTH_MAX} characters"])
    try:
        content = tomllib.loads(text, parse_float=_decimal)
    except RecursionError:
        raise _refusal(["the file is nested too deeply"]) from None
    # TOMLDecodeError, and what tomllib lets through: impossible dates, endless integers.
    except ValueError as problem:
        raise _refusal([f"this is not TOML: {problem}"]) from None
    file = _File(lines=_lines(text))
    programme = _programme(_Table(file, (), content), name.removesuffix(".toml"))
    for table in file.tables:
        table.refuse_unknown_keys()
    if file.problems or programme is None:
        raise _refusal(file.problems)
    return replace(programme, warnings=tuple(file.warnings))


def _refusal(problems: list[str]) -> ProgrammeInvalid:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return ProgrammeInvalid(summary=problems[0] + more, problems=problems)


# The file, top to bottom ----------------------------------------------------
#
# Where something is wrong the problem is noted and a harmless value stands in,
# so that reading goes on to the next mistake. A programme with problems is
# never returned.


def _programme(top: _Table, slug: str) -> Programme | None:
    """None when languages or currency are so wrong that nothing else can be judged."""
    if not _KEY.fullmatch(slug) or len(slug) > 40:
        top.note(
            None, f"the file's name {slug[:60]!r} may only have small letters, digits and dashes, at most 40"
        )
    languages = top.file.languages = _languages(top)
    currency = top.file.currency = top.one_of("currency", CURRENCIES, "an ISO 4217 currency such as USD")
    zone = top.one_of("zone", _zones(), "an IANA time zone such as Europe/Istanbul")
    if not languages or not currency:
        # Every text and amount below would be a follow-up mistake.
        top.file.tables.clear()
        return None
    code_kind, symbology = _code(top.table("code"))
    stamps = _stamps(top.table("stamps")) if "stamps" in top else None
    return Programme(
        slug=slug,
        name=top.words("name", limit=64),
        organisation=top.words("organisation", limit=64),
        description=top.words("description", limit=300),
        languages=languages,
        currency=currency,
        zone=zone,
        unit=_unit(top.table("unit")),
        code_kind=code_kind,
        symbology=symbology,
        earning=_earning(top.table("earning")),
        rewards=_unique(top.rows("rewards", least=1, most=50), _reward),
        tiers=_tiers(top.rows("tiers", most=20)),
        stamps=stamps,
        design=_design(top.table("card"), stamps),
        shops=_unique(top.rows("shops", most=SHOPS_MAX), _shop),
        contact=_contact(top.table("contact")),
        terms=top.words("terms", limit=8_000, lines=True),
        consents=_unique(top.rows("consents", most=10), _consent, key="purpose"),
        undo_seconds=top.whole("undo_seconds", least=0, most=UNDO_SECONDS_MAX, default=600),
        can_alert_offers=top.flag("can_alert_offers", default=False),
    )


def _languages(top: _Table) -> tuple[str, ...]:
    given = top.take("languages")
    if given is None:
        return ()
    if not isinstance(given, list) or not given:
        top.note("languages", 'must be a list such as ["en", "tr"], the default language first')
        return ()
    languages: list[str] = []
    for language in given:
        if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
            top.note("languages", f"{_shown(language)} is no language code such as en or pt-BR")
        elif language in languages:
            top.note("languages", f"{language} appears twice")
        else:
            languages.append(language)
    return tuple(languages)


def _code(table: _Table) -> tuple[CodeKind, Symbology]:
    kind = table.choice("kind", CodeKind.LETTERS)
    symbology = table.choice("symbology", Symbology.QR)
    is_digits = kind is not CodeKind.LETTERS
    if is_digits != (symbology is Symbology.CODE128):
        table.note(
            "symbology",
            f"{kind} codes are drawn as code128"
            if is_digits
            else "letters codes are too long for code128: use qr, aztec or pdf417, or digits16 codes",
        )
    return kind, symbology


def _unit(table: _Table) -> Unit:
    unit = Unit(one=table.words("one", limit=20), other=table.words("other", limit=20))
    for key, text in (("one", unit.one), ("other", unit.other)):
        # The unit stands inside sentences that phones fill in at a percent sign.
        if any("%" in words for _, words in text.pairs):
            table.note(key, "must not have a percent sign")
    return unit


def _earning(table: _Table) -> EarnRule:
    points, per_minor = _points_per(table)
    rule = EarnRule(
        points=points,
        per_minor=per_minor,
        rounding=table.choice("rounding", Rounding.FLOOR),
        minimum_minor=table.amount("minimum", default=0),
        limit_minor=table.amount("limit", default=1_000_000, least=1),
        welcome_points=table.whole("welcome", least=0, most=POINTS_MAX, default=0),
    )
    if rule.minimum_minor > rule.limit_minor:
        table.note("minimum", "must not be above the limit of one purchase")
    return rule


def _points_per(table: _Table) -> tuple[int, int]:
    given = table.take("points_per")
    if given is None:
        return 1, 1
    match = _RATE.fullmatch(given) if isinstance(given, str) else None
    per_minor = table.minor(match[2]) if match else None
    if not match or not int(match[1]) or not per_minor:
        table.note("points_per", f'must be like "10 per 1.00", points for an amount, not {_shown(given)}')
        return 1, 1
    return int(match[1]), per_minor


def _reward(row: _Table) -> Reward:
    kind = row.choice("kind", RewardKind.FREE_ITEM)
    amount_minor = None
    if kind is RewardKind.AMOUNT_OFF:
        amount_minor = row.amount("amount", least=1)
    elif "amount" in row:
        row.take("amount")
        row.note("amount", 'only belongs to a reward of kind = "amount_off"')
    return Reward(
        key=row.key("key"),
        name=row.words("name", limit=40),
        points=row.whole("points", least=1, most=POINTS_MAX),
        kind=kind,
        amount_minor=amount_minor,
    )


def _tiers(rows: list[_Table]) -> tuple[Tier, ...]:
    tiers = _unique(rows, _tier)
    for row, tier, below in zip(rows, tiers, (None, *tiers), strict=False):
        if below is None and tier.spend_minor != 0:
            row.note("spend", "the first tier must begin at 0, so that every member has one")
        if below is not None and tier.spend_minor <= below.spend_minor:
            row.note("spend", "must be above the tier before it")
    return tiers


def _tier(row: _Table) -> Tier:
    return Tier(
        key=row.key("key"),
        name=row.words("name", limit=30),
        spend_minor=row.amount("spend"),
        multiplier=row.factor("multiplier", default=Fraction(1)),
        perk=row.words("perk", limit=120) if "perk" in row else None,
    )


def _stamps(table: _Table) -> StampRule:
    return StampRule(
        name=table.words("name", limit=30), target=table.whole("target", least=2, most=STEPS_MAX)
    )


def _design(table: _Table, stamps: StampRule | None) -> Design:
    colours = Colours(table.colour("ground"), table.colour("text"), table.colour("label"))
    for key, colour in (("text", colours.text), ("label", colours.label)):
        if not (colour and colours.ground):
            continue
        contrast = contrast_of(colour, colours.ground)
        words = f"{colour} on the ground {colours.ground} has a contrast of {contrast:.1f}"
        if contrast < CONTRAST_MIN:
            table.note(key, f"{words}; it must be {CONTRAST_MIN:g} or more to be readable")
        elif contrast < CONTRAST_GOOD:
            table.warn(key, f"{words}; {CONTRAST_GOOD:g} or more is easier to read")
    strip = table.choice("strip", StripKind.PLAIN)
    steps = 0
    match strip:
        case StripKind.PROGRESS:
            steps = table.whole("steps", least=1, most=STEPS_MAX, default=8)
        case StripKind.STAMPS:
            if stamps is None:
                table.note("strip", "a stamp strip needs a [stamps] section")
                stamps = StampRule(Text(()), 2)
            steps = table.whole("steps", least=1, most=STEPS_MAX, default=stamps.target)
            if steps != stamps.target:
                table.note("steps", f"must be the {stamps.target} of stamps.target, or be left out")
        case StripKind.PLAIN:
            if "steps" in table:
                table.take("steps")
                table.note("steps", "a plain strip has no steps")
    return Design(scene=table.choice("scene", Scene.PLAIN), colours=colours, strip=strip, steps=steps)


def _shop(row: _Table) -> Shop:
    return Shop(
        key=row.key("key"),
        name=row.words("name", limit=40),
        address=row.text("address", limit=120),
        latitude=row.coordinate("latitude", 90),
        longitude=row.coordinate("longitude", 180),
    )


def _contact(table: _Table) -> Contact:
    contact = Contact(
        email=table.text("email", limit=254, default=""),
        phone=table.text("phone", limit=40, default=""),
        website=table.text("website", limit=200, default=""),
    )
    if contact.email and not _EMAIL.fullmatch(contact.email):
        table.note("email", f"{contact.email!r} is no e-mail address")
    if contact.website and not contact.website.startswith("https://"):
        table.note("website", "must begin with https://")
    if not (contact.email or contact.phone or contact.website):
        table.note(None, "must have an email, phone or website: members have to be able to reach you")
    return contact


def _consent(row: _Table) -> Consent:
    return Consent(
        purpose=row.key("purpose"),
        version=row.text("version", limit=40),
        text=row.words("text", limit=1_000, lines=True),
    )


def _unique(rows: list[_Table], read: Callable[[_Table], _Row], *, key: str = "key") -> tuple[_Row, ...]:
    """Every row read; a key that an earlier row has is a mistake."""
    seen: set[object] = set()
    for row in rows:
        value = row.values.get(key)
        if isinstance(value, str) and value in seen:
            row.note(key, f"{_shown(value)} appears twice")
        elif isinstance(value, str):
            seen.add(value)
    return tuple(read(row) for row in rows)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def contrast_of(colour: str, ground: str) -> float:
    """The contrast of two `#RRGGBB` colours after WCAG 2: 1 (the same) to 21 (black on white)."""
    lighter, darker = sorted((_luminance(colour), _luminance(ground)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    def linear(channel: int) -> float:
        part = channel / 255
        return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)

    red, green, blue = bytes.fromhex(colour[1:])
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)


# Reading values, and remembering what was wrong ------------------------------


@dataclass(slots=True)
class _File:
    """What all tables of one file share."""

    lines: Mapping[_Path, int]
    languages: tuple[str, ...] = ()
    currency: str = ""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tables: list[_Table] = field(default_factory=list)

    def located(self, path: _Path, message: str) -> str:
        """The message with its key path, and the line of the key or of what encloses it."""
        line = next(
            (self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), None
        )
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        return f"{where}{f' (line {line})' if line else ''}: {message}" if where else message


class _Table:
    """One table of the file: gives checked values, notes problems, knows which keys nobody asked for."""

    def __init__(
        self, file: _File, path: _Path, values: Mapping[str, object], *, is_missing: bool = False
    ) -> None:
        self.file = file
        self.path = path
        self.values = values
        # The absence of the whole table was noted; that of each key would be noise.
        self.is_missing = is_missing
        self.asked: set[str] = set()
        file.tables.append(self)

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def note(self, key: str | None, message: str) -> None:
        if not self.is_missing:
            self.file.problems.append(self.file.located((*self.path, key) if key else self.path, message))

    def warn(self, key: str, message: str) -> None:
        self.file.warnings.append(self.file.located((*self.path, key), message))

    def refuse_unknown_keys(self) -> None:
        for key in self.values:
            if key not in self.asked:
                near = get_close_matches(key, self.asked - set(self.values), n=1) or get_close_matches(
                    key, self.asked, n=1
                )
                self.note(key, f"there is no such key{f'; did you mean {near[0]}?' if near else ''}")

    def take(self, key: str, *, required: bool = True) -> object | None:
        """The raw value; None, and a problem if it is required, when there is none."""
        self.asked.add(key)
        if key not in self.values and required:
            self.note(key, "is missing")
        return self.values.get(key)

    def text(self, key: str, *, limit: int, default: str | None = None, lines: bool = False) -> str:
        value = self.take(key, required=default is None)
        if value is None:
            return default or ""
        return self._checked_text(key, value, limit, lines)

    def key(self, key: str) -> str:
        value = self.text(key, limit=40)
        if value and not _KEY.fullmatch(value):
            self.note(key, f"{value!r} may only have small letters, digits and dashes")
        return value

    def words(self, key: str, *, limit: int, lines: bool = False) -> Text:
        """A text in every language of the programme; a plain string is the same in all."""
        value = self.take(key)
        languages = self.file.languages
        if isinstance(value, str):
            value = dict.fromkeys(languages, value)
        elif value is not None and not isinstance(value, dict):
            self.note(key, f'must be a text, or one per language such as {{ en = "…" }}, not {_shown(value)}')
            value = None
        if value is None:
            return Text.of(dict.fromkeys(languages, ""))
        table = _Table(self.file, (*self.path, key), value)
        return Text.of({language: table.text(language, limit=limit, lines=lines) for language in languages})

    def whole(self, key: str, *, least: int, most: int, default: int | None = None) -> int:
        value = self.take(key, required=default is None)
        if value is None:
            return least if default is None else default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.note(key, f"must be a whole number from {least} to {most}, not {_shown(value)}")
            return least
        return value

    def amount(self, key: str, *, least: int = 0, default: int | None = None) -> int:
        """Minor units of an amount such as 250.00, with or without quotes."""
        value = self.take(key, required=default is None)
        if value is None:
            return least if default is None else default
        minor = self.minor(value)
        if minor is None or minor < least:
            digits = minor_digits(self.file.currency)
            example = f"25.{'0' * digits}" if digits else "25"
            self.note(
                key, f"must be an amount of {self.file.currency} such as {example}, not {_shown(value)}"
            )
            return least
        return minor

    def minor(self, value: object) -> int | None:
        """An amount in the currency's minor units; None when it is none or has too many decimals."""
        match = _AMOUNT.fullmatch(_spelled(value))
        digits = minor_digits(self.file.currency)
        if not match or len(match[2] or "") > digits:
            return None
        return int(match[1] + (match[2] or "").ljust(digits, "0"))

    def factor(self, key: str, *, default: Fraction) -> Fraction:
        """A positive decimal such as 1.2, exactly."""
        value = self.take(key, required=False)
        if value is None:
            return default
        text = _spelled(value)
        # Matched before it is computed: 1e999999 is a valid number and would fill the memory.
        factor = Fraction(text) if _FACTOR.fullmatch(text) else Fraction(0)
        if not 0 < factor <= 100:
            self.note(key, f"must be a number above 0 such as 1.5, at most 100, not {_shown(value)}")
            return default
        return factor

    def coordinate(self, key: str, bound: int) -> float:
        """Degrees from -bound to bound."""
        value = self.take(key)
        if value is None:
            return 0.0
        if not isinstance(value, Decimal | int) or isinstance(value, bool) or not _is_within(value, bound):
            self.note(key, f"must be degrees from -{bound} to {bound}, not {_shown(value)}")
            return 0.0
        return float(value)

    def colour(self, key: str) -> str:
        value = self.take(key)
        if isinstance(value, str) and _COLOUR.fullmatch(value):
            return value.upper()
        if value is not None:
            self.note(key, f"must be a colour such as #1F2A2E, not {_shown(value)}")
        return ""

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.take(key, required=False)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.note(key, f"must be true or false, not {_shown(value)}")
            return default
        return value

    def choice(self, key: str, default: _Choice) -> _Choice:
        """A member of the default's enumeration, which is taken when the key is left out."""
        value = self.take(key, required=False)
        if value is None:
            return default
        choices = {choice.value: choice for choice in type(default)}
        if not isinstance(value, str) or value not in choices:
            self.note(key, f"must be {' or '.join(choices)}, not {_shown(value)}{_hint(value, choices)}")
            return default
        return choices[value]

    def one_of(self, key: str, allowed: Collection[str], what: str) -> str:
        value = self.take(key)
        if value is None:
            return ""
        if not isinstance(value, str) or value not in allowed:
            self.note(key, f"must be {what}, not {_shown(value)}{_hint(value, allowed)}")
            return ""
        return value

    def table(self, key: str) -> _Table:
        value = self.take(key)
        if value is not None and not isinstance(value, dict):
            self.note(key, f"must be a section [{key}], not {_shown(value)}")
            value = None
        return _Table(self.file, (*self.path, key), value or {}, is_missing=value is None)

    def rows(self, key: str, *, least: int = 0, most: int) -> list[_Table]:
        value = self.take(key, required=least > 0)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            self.note(key, f"must be sections [[{key}]], not {_shown(value)}")
            return []
        if not least <= len(value) <= most:
            self.note(key, f"there must be {least} to {most}, not {len(value)}")
        return [_Table(self.file, (*self.path, key, place), row) for place, row in enumerate(value[:most])]

    def _checked_text(self, key: str, value: object, limit: int, lines: bool) -> str:
        if not isinstance(value, str):
            self.note(key, f"must be a text in quotes, not {_shown(value)}")
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


def _decimal(text: str) -> Decimal:
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


def _shown(value: object) -> str:
    """A value as a message may quote it: short, and on one line."""
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 200:
        # Python refuses to spell out huge integers, and so do we.
        return "a number that long"
    words = repr(value) if isinstance(value, str) else str(value)
    return words if len(words) <= 60 else words[:59] + "…"


def _hint(value: object, allowed: Collection[str]) -> str:
    near = get_close_matches(value, allowed, n=1) if isinstance(value, str) and len(value) <= 60 else []
    return f"; did you mean {near[0]}?" if near else ""


def _lines(text: str) -> dict[_Path, int]:
    """Where headers and keys stand, as far as that can be seen without parsing TOML again.

    `rewards`, 1, `points` is that key under the second `[[rewards]]`. Texts
    over several lines are skipped, so that nothing in them looks like a key.
    """
    found: dict[_Path, int] = {}
    counts: dict[_Path, int] = {}
    header: _Path = ()
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
            header = steps
            if bare.startswith("[["):
                header = (*steps, counts.get(steps, 0))
                counts[steps] = counts.get(steps, 0) + 1
                found.setdefault(steps, number)
            found.setdefault(header, number)
        elif "=" in bare and not bare.startswith("#"):
            key, _, value = bare.partition("=")
            found.setdefault((*header, *_steps(key)), number)
            fence = next((mark for mark in ('"""', "'''") if value.count(mark) == 1), "")
    return found


def _steps(dotted: str) -> _Path:
    return tuple(step.strip().strip("\"'") for step in dotted.split("."))
