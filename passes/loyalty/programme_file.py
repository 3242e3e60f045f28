"""Reads a programme file: text in, a checked Programme out.

All mistakes are collected before refusing, because a person who writes a
programme wants to see them at once. Each names the key path and, where it
could be found in the text, the line (tomllib itself gives no positions).
"""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from zoneinfo import available_timezones

from passes.loyalty import placeholders, rule_file, terms
from passes.loyalty.codes import CodeKind
from passes.loyalty.design import Colours, Design, Scene, StripKind, Symbology
from passes.loyalty.joining import FIELDS_MAX, Asked, Joining
from passes.loyalty.money import CURRENCIES
from passes.loyalty.placeholders import Say
from passes.loyalty.programme import Consent, Contact, Programme, Shop
from passes.loyalty.refusals import ProgrammeInvalid
from passes.loyalty.rewards import RewardKind
from passes.loyalty.rule_file import STEPS_MAX, unique
from passes.loyalty.stamps import StampRule
from passes.loyalty.text import Text, Unit
from passes.loyalty.till_rules import till_rules
from passes.loyalty.toml_table import KEY, LIST_MAX, File, Table, decimal, lines_of, shown

TEXT_LENGTH_MAX = 200_000
"""Longer files are not even parsed."""

DOTS_MAX = 500
"""In one line: tomllib takes quadratic time on a key of many parts, minutes for the longest file."""

SHOPS_MAX = 10
"""Wallets show a card near at most ten places."""

LOGO_BYTES_MAX = 60_000
LOGO_SIDE_MAX = 512
"""Pixels. A logo is part of its file, so that every version of a programme keeps its own."""

CONTRAST_MIN = 3.0
CONTRAST_GOOD = 4.5
"""WCAG 2: 3 for large text, 4.5 for the small labels. Between the two is a warning."""

UNDO_SECONDS_MAX = 86_400

PURCHASE_POINTS_MAX = 10**12
"""Millions of such purchases fit into a balance."""

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def plainly(language: str, words: str, **values: object) -> str:
    """English, with numbers as they are stored: enough for whoever only checks a file."""
    return words % values if values else words


@lru_cache(maxsize=32)
def parse(text: str, *, name: str, say: Say = plainly) -> Programme:
    """The programme that a file describes; the same one for the same text.

    `name` is the file's name, with or without `.toml`; it becomes the slug.
    `say` writes the numbers that its texts take from its rules, and the terms,
    in each of its languages: `passes.language.say` wherever people will read them.
    Raises ProgrammeInvalid, and nothing else, for whatever the text is: its
    values carry `summary` (a sentence) and `problems` (all of them).
    """
    # With this some editors begin a file to say that it is text.
    text = text.removeprefix("\ufeff")
    if len(text) > TEXT_LENGTH_MAX:
        raise _refusal([f"the file has more than {TEXT_LENGTH_MAX} characters"])
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > DOTS_MAX:
            raise _refusal([f"line {number} has more than {DOTS_MAX} dots"])
    try:
        content = tomllib.loads(text, parse_float=decimal)
    except RecursionError:
        raise _refusal(["the file is nested too deeply"]) from None
    # TOMLDecodeError, and what tomllib lets through: impossible dates, endless integers.
    except ValueError as problem:
        raise _refusal([f"this is not TOML: {problem}"]) from None
    file = File(lines=lines_of(text))
    programme = _programme(Table(file, (), content), name.removesuffix(".toml"))
    for table in file.tables:
        table.refuse_unknown_keys()
    if programme is not None:
        _check_promises(file, programme)
    if file.problems or programme is None:
        raise _refusal(file.problems)
    return _worded(replace(programme, warnings=tuple(file.warnings)), say)


def _refusal(problems: list[str]) -> ProgrammeInvalid:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return ProgrammeInvalid(summary=problems[0] + more, problems=problems)


def _check_promises(file: File, programme: Programme) -> None:
    """Note every text that states a number of its own, names a rule that is not there, or is too long."""
    # With other problems a name may be missing only because its rule could not be read.
    values = None if file.problems else placeholders.names(programme)
    for promise in file.promises:
        problems = placeholders.check(promise.text, values)
        if values is not None and not problems:
            length = len(placeholders.filled_in(promise.text, values, programme.language, plainly))
            if length > promise.limit:
                problems = [f"must have at most {promise.limit} characters, not {length}"]
        file.problems += [file.located(promise.path, problem) for problem in problems]


def _worded(programme: Programme, say: Say) -> Programme:
    """With every placeholder filled in and the terms written out.

    Done once here, so that whoever shows a text needs to know of neither, and
    a member's acceptance is recorded of the very words that were shown.
    """
    worded = placeholders.filled(programme, say)
    written = {language: _terms(worded, language, say) for language in worded.languages}
    return replace(worded, terms=Text.of(written))


def _terms(programme: Programme, language: str, say: Say) -> str:
    """What follows from the rules, then what the shop adds."""
    own = programme.terms.in_(language)
    return "\n\n".join(filter(None, (terms.terms(programme, language, say), own)))


# The file, top to bottom ----------------------------------------------------
#
# Where something is wrong the problem is noted and a harmless value stands in,
# so that reading goes on to the next mistake. A programme with problems is
# never returned.


def _programme(top: Table, slug: str) -> Programme | None:
    """None when languages or currency are so wrong that nothing else can be judged."""
    if not KEY.fullmatch(slug) or len(slug) > 40:
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
    top.file.zone = zone
    category_names = _categories(top)
    top.file.known = {
        "category": frozenset(key for key, _ in category_names),
        "shop": top.keys_of_rows("shops"),
        "tier": top.keys_of_rows("tiers"),
        "reward": top.keys_of_rows("rewards"),
        "consent": top.keys_of_rows("consents", "purpose"),
    }
    code_kind, symbology = _code(top.table("code"))
    tiering = rule_file.tiering(top.table("tiering", required=False))
    stamps = rule_file.stamps(top.table("stamps")) if top.has("stamps") else None
    programme = Programme(
        slug=slug,
        name=top.words("name", limit=64),
        organisation=top.words("organisation", limit=64),
        description=top.promise("description", limit=300),
        languages=languages,
        currency=currency,
        zone=zone,
        unit=_unit(top.table("unit")),
        code_kind=code_kind,
        symbology=symbology,
        earning=rule_file.earning(top.table("earning")),
        rewards=rule_file.rewards(top.rows("rewards", least=1, most=50)),
        tiers=rule_file.tiers(top.rows("tiers", most=20), tiering),
        stamps=stamps,
        design=_design(top.table("card"), stamps),
        shops=unique(top.rows("shops", most=SHOPS_MAX), _shop),
        contact=_contact(top.table("contact")),
        terms=top.promise("terms", limit=8_000, lines=True) if top.has("terms") else Text(()),
        consents=unique(top.rows("consents", most=10), _consent, key="purpose"),
        undo_seconds=top.whole("undo_seconds", least=0, most=UNDO_SECONDS_MAX, default=600),
        can_alert_offers=top.flag("can_alert_offers", default=False),
        categories=top.file.known["category"],
        category_names=category_names,
        joining=_joining(top.table("joining", required=False)),
        points=rule_file.points(top.table("points", required=False)),
        tiering=tiering,
        actions=unique(top.rows("actions", most=50), rule_file.action),
        birthday=rule_file.birthday(top.table("birthday")) if top.has("birthday") else None,
        win_back=rule_file.win_back(top.table("win_back")) if top.has("win_back") else None,
        adjustments=rule_file.adjustments(top.table("adjustments", required=False)),
        till=till_rules(top.table("till", required=False)),
    )
    _check_whole(top, programme)
    return programme


def _check_whole(top: Table, programme: Programme) -> None:
    """What only shows when the parts are put together."""
    if "tiering" in top and not programme.tiers:
        top.note("tiering", "there are no [[tiers]] that this could be about")
    steepest = max((tier.multiplier for tier in programme.tiers), default=Fraction(1))
    if programme.earning.most(steepest) > PURCHASE_POINTS_MAX:
        words = f"one purchase at the limit could earn more than {PURCHASE_POINTS_MAX} points"
        top.file.problems.append(top.file.located(("earning", "points_per"), words))
    as_money = {reward.key for reward in programme.rewards if reward.kind is RewardKind.POINTS_AS_MONEY}
    for place, tier in enumerate(programme.tiers):
        for key in sorted(as_money.intersection(tier.grants)):
            top.file.problems.append(
                top.file.located(
                    ("tiers", place, "grants"), f"{shown(key)} is paid in points, so it cannot be given"
                )
            )
    if programme.birthday and programme.birthday.reward_key in as_money:
        top.file.problems.append(
            top.file.located(
                ("birthday", "reward"),
                f"{shown(programme.birthday.reward_key)} is paid in points, so it cannot be given",
            )
        )


def _categories(top: Table) -> tuple[tuple[str, Text], ...]:
    """What articles may be sorted into: a list of keys, or a section with a name for each."""
    given = top.take("categories", required=False)
    if given is None:
        return ()
    if isinstance(given, list):
        keys = top.keys("categories")
        return tuple((key, Text.of(dict.fromkeys(top.file.languages, key.replace("-", " ")))) for key in keys)
    table = top.table("categories", has_free_keys=True)
    if len(table.values) > LIST_MAX:
        top.note("categories", f"must have at most {LIST_MAX} entries, not {len(table.values)}")
        return ()
    for key in table.values:
        if not KEY.fullmatch(key) or len(key) > 40:
            table.note(key, "may only have small letters, digits and dashes, at most 40")
    return tuple((key, table.words(key, limit=40)) for key in list(table.values))


def _languages(top: Table) -> tuple[str, ...]:
    given = top.take("languages")
    if given is None:
        return ()
    if not isinstance(given, list) or not given:
        top.note("languages", 'must be a list such as ["en", "tr"], the default language first')
        return ()
    languages: list[str] = []
    for language in given:
        if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
            top.note("languages", f"{shown(language)} is no language code such as en or pt-BR")
        elif language in languages:
            top.note("languages", f"{language} appears twice")
        else:
            languages.append(language)
    return tuple(languages)


def _code(table: Table) -> tuple[CodeKind, Symbology]:
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


def _unit(table: Table) -> Unit:
    unit = Unit(one=table.words("one", limit=20), other=table.words("other", limit=20))
    for key, text in (("one", unit.one), ("other", unit.other)):
        # The unit stands inside sentences that phones fill in at a percent sign.
        if any("%" in words for _, words in text.pairs):
            table.note(key, "must not have a percent sign")
    return unit


def _design(table: Table, stamps: StampRule | None) -> Design:
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
    return Design(
        scene=table.choice("scene", Scene.PLAIN), colours=colours, strip=strip, steps=steps, logo=_logo(table)
    )


_PNG_BEGINS = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"


def _logo(table: Table) -> bytes:
    """A small PNG in base64. Whether it can be drawn is seen when the programme is loaded."""
    if not table.has("logo"):
        return b""
    given = table.take("logo")
    try:
        # Line breaks are welcome: a logo is some hundred lines long.
        logo = base64.b64decode("".join(given.split()), validate=True) if isinstance(given, str) else b""
    except (binascii.Error, ValueError):
        logo = b""
    width, height = (int.from_bytes(logo[at : at + 4]) for at in (16, 20))
    if not logo.startswith(_PNG_BEGINS) or not (0 < width <= LOGO_SIDE_MAX and 0 < height <= LOGO_SIDE_MAX):
        table.note("logo", f"must be a PNG in base64, at most {LOGO_SIDE_MAX} pixels wide and high")
        return b""
    if len(logo) > LOGO_BYTES_MAX:
        table.note("logo", f"must have at most {LOGO_BYTES_MAX} bytes, not {len(logo)}")
        return b""
    return logo


def _shop(row: Table) -> Shop:
    return Shop(
        key=row.key("key"),
        name=row.words("name", limit=40),
        address=row.text("address", limit=120),
        latitude=row.coordinate("latitude", 90),
        longitude=row.coordinate("longitude", 180),
    )


def _contact(table: Table) -> Contact:
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


def _joining(table: Table) -> Joining:
    asked = Joining(
        email=table.choice("email", Asked.OPTIONAL),
        phone=table.choice("phone", Asked.OFF),
        birthday=table.choice("birthday", Asked.OFF),
        until=table.instant("until"),
    )
    if asked.fields > FIELDS_MAX:
        table.note(
            None,
            f"asks for {asked.fields} things, the name included; more than {FIELDS_MAX} lose customers: "
            "set email, phone or birthday to off",
        )
    return asked


def _consent(row: Table) -> Consent:
    return Consent(
        purpose=row.key("purpose", limit=32),
        version=row.text("version", limit=32),
        text=row.words("text", limit=1_000, lines=True),
    )


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    # What these two mean is for each machine to say.
    return frozenset(available_timezones() - {"localtime", "Factory"})


def is_zone(name: str) -> bool:
    """Whether a programme may live in this IANA time zone."""
    return name in _zones()


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
