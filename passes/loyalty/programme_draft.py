"""The programmes that a short form can say: its fields become a programme file.

One rule and one reward. Everything else that a programme can have stands in
the file, which remains what is kept and checked; the form only writes it.
"""

from __future__ import annotations

import base64
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from passes.loyalty import placeholders
from passes.loyalty.design import Colours
from passes.loyalty.letters import folded
from passes.loyalty.money import CURRENCIES, decimal_text, minor_digits, parse_amount
from passes.loyalty.placeholders import Say
from passes.loyalty.programme_file import CONTRAST_GOOD, contrast_of, is_zone
from passes.loyalty.refusals import AmountInvalid

NAME_LETTERS_MAX = 64
UNIT_LETTERS_MAX = 20
REWARD_LETTERS_MAX = 40
SLUG_LETTERS_MAX = 36
"""Room for a number behind it."""
POINTS_MAX = 100_000
PRICE_MAX = 1_000_000
AMOUNT_MAX_MINOR = 10_000_000

_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_WHOLE = re.compile(r"[0-9]{1,9}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_EMAIL_LETTERS_MAX = 254
_PURCHASES_MAX = 10_000
"""The largest purchase is so many times the amount of the rule, or what is usual if that is more."""


class Fault(StrEnum):
    """What is wrong with a field."""

    MISSING = "missing"
    TOO_LONG = "too_long"
    NO_COLOUR = "no_colour"
    DIGITS = "digits"  # a number that no rule grants
    SIGN = "sign"  # one that means something else inside a sentence
    NO_NUMBER = "no_number"
    OUT_OF_RANGE = "out_of_range"
    NO_AMOUNT = "no_amount"
    NOT_OFFERED = "not_offered"
    NO_EMAIL = "no_email"
    UNREADABLE = "unreadable"  # no picture
    TOO_LARGE = "too_large"  # a picture of which nobody knows the end


@dataclass(frozen=True, slots=True)
class Problem:
    """A field that cannot stay as it is: the field's name, and values for the words about it."""

    name: str
    fault: Fault
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """The fields as they were typed. `amount_minor` is None where `amount` is none.

    Members get `points` for every `amount`, and `reward` costs `price` of them.
    `name` is what the card is called, empty where it is called as the shop.
    """

    shop: str = ""
    name: str = ""
    email: str = ""
    ground: str = ""
    logo: bytes = b""
    points: str = ""
    amount: str = ""
    amount_minor: int | None = None
    unit_one: str = ""
    unit_other: str = ""
    reward: str = ""
    price: str = ""
    currency: str = ""
    zone: str = ""
    language: str = ""


def slug_of(draft: Draft) -> str:
    """What addresses call the programme; other letters than a to z are left out."""
    plain = folded(draft.name or draft.shop).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return words[:SLUG_LETTERS_MAX].strip("-") or "card"


def colours_on(ground: str) -> Colours:
    """A ground with the colours that can be read on it: 4.5 and more, whatever the ground is.

    White wherever it can be read, because shade below it helps it; labels are a
    quieter shade of the text.
    """
    text = "#FFFFFF" if contrast_of("#FFFFFF", ground) >= CONTRAST_GOOD else "#000000"
    shades = (_mixed(text, ground, amount) for amount in (0.30, 0.20, 0.10))
    label = next((shade for shade in shades if contrast_of(shade, ground) >= CONTRAST_GOOD), text)
    return Colours(ground.upper(), text, label)


def _mixed(one: str, other: str, amount: float) -> str:
    parts = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * amount):02X}" for a, b in parts)


# Checking ------------------------------------------------------------------------------


def problems(draft: Draft, *, languages: tuple[str, ...]) -> list[Problem]:
    """What is wrong, in the order of the form; empty when the file can be written."""
    return list(_problems(draft, languages))


def _problems(draft: Draft, languages: tuple[str, ...]) -> Iterator[Problem]:
    yield from _line("shop", draft.shop, limit=NAME_LETTERS_MAX)
    if draft.name:
        yield from _line("name", draft.name, limit=NAME_LETTERS_MAX)
    if not draft.email:
        yield Problem("email", Fault.MISSING)
    elif not _EMAIL.fullmatch(draft.email) or len(draft.email) > _EMAIL_LETTERS_MAX:
        yield Problem("email", Fault.NO_EMAIL)
    if not _COLOUR.fullmatch(draft.ground):
        yield Problem("ground", Fault.NO_COLOUR)
    yield from _whole("points", draft.points, most=POINTS_MAX)
    if not draft.amount:
        yield Problem("amount", Fault.MISSING)
    elif draft.amount_minor is None or not 0 < draft.amount_minor <= AMOUNT_MAX_MINOR:
        yield Problem("amount", Fault.NO_AMOUNT)
    for name, unit in (("unit_one", draft.unit_one), ("unit_other", draft.unit_other)):
        yield from _promise(name, unit, limit=UNIT_LETTERS_MAX)
    yield from _promise("reward", draft.reward, limit=REWARD_LETTERS_MAX)
    yield from _whole("price", draft.price, most=PRICE_MAX)
    if draft.currency not in CURRENCIES:
        yield Problem("currency", Fault.NOT_OFFERED)
    if not is_zone(draft.zone):
        yield Problem("zone", Fault.NOT_OFFERED)
    if draft.language not in languages:
        yield Problem("language", Fault.NOT_OFFERED)


def _line(name: str, text: str, *, limit: int) -> Iterator[Problem]:
    if not text:
        yield Problem(name, Fault.MISSING)
    elif len(text) > limit:
        yield Problem(name, Fault.TOO_LONG, {"length": len(text), "limit": limit})


def _promise(name: str, text: str, *, limit: int) -> Iterator[Problem]:
    if not text or len(text) > limit:
        yield from _line(name, text, limit=limit)
    elif "%" in text or "{" in text or "}" in text:
        yield Problem(name, Fault.SIGN)
    elif placeholders.check(text, ()):
        yield Problem(name, Fault.DIGITS)


def _whole(name: str, typed: str, *, most: int) -> Iterator[Problem]:
    if not typed:
        yield Problem(name, Fault.MISSING)
    elif not _WHOLE.fullmatch(typed):
        yield Problem(name, Fault.NO_NUMBER)
    elif not 1 <= int(typed) <= most:
        yield Problem(name, Fault.OUT_OF_RANGE, {"least": 1, "most": most})


def mended(draft: Draft, wrong: list[Problem], example: Draft) -> Draft:
    """The draft with the example's fields where its own cannot stay: something to look at meanwhile."""
    fields = {problem.name for problem in wrong}
    if fields & {"amount", "currency"}:
        fields |= {"amount", "amount_minor"}
    return replace(draft, **{name: getattr(example, name) for name in fields})


# Writing and reading the file ------------------------------------------------------------------------


def source_of(draft: Draft, *, say: Say) -> str:
    """The programme file of a draft without problems; `say` words the description in its language."""
    assert draft.amount_minor is not None
    colours = colours_on(draft.ground)
    amount = decimal_text(draft.amount_minor, draft.currency)
    described = say(draft.language, "Collect %(unit)s with every purchase.", unit=draft.unit_other)
    lines = [
        f"languages = [{_quoted(draft.language)}]",
        f"currency = {_quoted(draft.currency)}",
        f"zone = {_quoted(draft.zone)}",
        f"organisation = {_quoted(draft.shop)}",
        f"name = {_quoted(draft.name or draft.shop)}",
        f"description = {_quoted(described)}",
        "",
        "[unit]",
        f"one = {_quoted(draft.unit_one)}",
        f"other = {_quoted(draft.unit_other)}",
        "",
        "[code]",
        'kind = "letters"',
        'symbology = "qr"',
        "",
        "[earning]",
        f'points_per = "{int(draft.points)} per {amount}"',
        f"limit = {decimal_text(_limit_minor(draft), draft.currency)}",
        "",
        "[[rewards]]",
        'key = "reward"',
        f"name = {_quoted(draft.reward)}",
        f"points = {int(draft.price)}",
        "",
        "[card]",
        f"ground = {_quoted(colours.ground)}",
        f"text = {_quoted(colours.text)}",
        f"label = {_quoted(colours.label)}",
        'strip = "progress"',
    ]
    if draft.logo:
        lines.append(f"logo = {_quoted(base64.b64encode(draft.logo).decode())}")
    lines += ["", "[contact]", f"email = {_quoted(draft.email)}"]
    return "\n".join(lines) + "\n"


def draft_of(source: str) -> Draft | None:
    """The fields of a file, or None when it says more than the form can."""
    try:
        said = tomllib.loads(source, parse_float=str)
        per, card, [reward] = said["earning"]["points_per"].split(" per "), said["card"], said["rewards"]
        currency, shop, name = said["currency"], said["organisation"], said["name"]
        draft = Draft(
            shop=shop,
            name="" if name == shop else name,
            email=said["contact"]["email"],
            ground=card["ground"],
            logo=base64.b64decode(card.get("logo", "")),
            points=per[0],
            amount=per[1],
            amount_minor=parse_amount(per[1], currency),
            unit_one=said["unit"]["one"],
            unit_other=said["unit"]["other"],
            reward=reward["name"],
            price=str(reward["points"]),
            currency=currency,
            zone=said["zone"],
            language=said["languages"][0],
        )
        described = said["description"]
        # Whatever else a file says would be lost, so it has to be this one to the letter.
        is_same = source_of(draft, say=lambda *_, **__: described) == source
    except (ValueError, TypeError, LookupError, AttributeError, AmountInvalid):
        return None
    return draft if is_same else None


def _limit_minor(draft: Draft) -> int:
    """The largest purchase: above it somebody most likely mistyped."""
    assert draft.amount_minor is not None
    most: int = 999_999_999 * 10 ** minor_digits(draft.currency)
    return min(max(1_000_000, _PURCHASES_MAX * draft.amount_minor), most)


def earned_with(draft: Draft) -> tuple[int, int]:
    """A purchase in minor units that is easy to compute with, and the points for it."""
    assert draft.amount_minor is not None
    return 10 * draft.amount_minor, 10 * int(draft.points)


def spent_for(draft: Draft) -> int:
    """Minor units that have to be spent until the points pay for the reward."""
    assert draft.amount_minor is not None
    # One purchase of just that size: points come for each purchase on its own, rounded down.
    points, price = int(draft.points), int(draft.price)
    return (price * draft.amount_minor + points - 1) // points


def _quoted(text: str) -> str:
    # JSON's strings are TOML's basic ones, but for one character that TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
