from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, time
from fractions import Fraction
from pathlib import Path
from time import thread_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import passes
from passes.language import say
from passes.loyalty import placeholders, programme_file
from passes.loyalty.actions import AdjustmentRule
from passes.loyalty.codes import CodeKind
from passes.loyalty.conditions import Hours
from passes.loyalty.design import Scene, StripKind, Symbology
from passes.loyalty.earning import Rounding
from passes.loyalty.joining import Asked, Joining
from passes.loyalty.lasting import Expiry, ExpiryKind, PointsRule
from passes.loyalty.programme import Programme
from passes.loyalty.programme_file import contrast_of, parse
from passes.loyalty.refusals import ProgrammeInvalid
from passes.loyalty.rewards import RewardKind
from passes.loyalty.stamps import StampFor
from passes.loyalty.tiers import TierRule
from passes.loyalty.toml_table import File, Table, decimal
from tests.loyalty.shops import shop, text_of

FINCH = text_of("copperfinch")
FULL = (Path(__file__).parent / "programmes" / "full.toml").read_text(encoding="utf-8")


def problems_of(text: str, name: str = "copperfinch") -> list[str]:
    with pytest.raises(ProgrammeInvalid) as refusal:
        parse(text, name=name)
    problems = refusal.value.values["problems"]
    assert isinstance(problems, list)
    assert problems
    assert str(refusal.value.values["summary"]).startswith(problems[0])
    return problems


def changed(old: str, new: str) -> str:
    assert old in FINCH
    return FINCH.replace(old, new, 1)


# The two shops ----------------------------------------------------------------


def test_the_coffee_shop_is_what_the_demonstration_promises() -> None:
    finch = shop("copperfinch")
    assert (finch.slug, finch.currency, finch.zone) == ("copperfinch", "USD", "America/Chicago")
    assert finch.languages == ("en", "tr")
    assert (finch.name.in_("en"), finch.organisation.in_("tr")) == ("Finch Club", "Copperfinch Coffee")
    assert (finch.earning.rate, finch.earning.welcome_points) == (Fraction(1, 10), 100)
    assert finch.earning.rounding is Rounding.FLOOR
    assert [(reward.name.in_("en"), reward.points) for reward in finch.rewards] == [
        ("Extra shot", 150),
        ("Brewed coffee", 400),
        ("Any drink", 800),
        ("Bag of beans", 1500),
    ]
    assert [(tier.name.in_("en"), tier.threshold, tier.multiplier) for tier in finch.tiers] == [
        ("Perch", 0, 1),
        ("Flight", 25_000, Fraction("1.2")),
        ("Copper", 75_000, Fraction("1.5")),
    ]
    assert [place.name.in_("en") for place in finch.shops] == ["West Loop", "Wicker Park", "Lakeview"]
    assert (finch.design.scene, finch.design.strip, finch.design.steps) == (
        Scene.LATTE,
        StripKind.PROGRESS,
        8,
    )
    assert (finch.undo_seconds, finch.can_alert_offers, finch.warnings) == (600, True, ())


def test_the_bookshop_is_what_the_demonstration_promises() -> None:
    sayfa = shop("marginalya")
    assert (sayfa.currency, sayfa.zone, sayfa.languages) == ("TRY", "Europe/Istanbul", ("tr", "en"))
    assert (sayfa.name.in_("tr"), sayfa.organisation.in_("tr")) == ("Sayfa Kulübü", "Marginalya Kitabevi")
    assert sayfa.earning.rate == Fraction(1, 1000)
    (lira,) = sayfa.rewards
    assert (lira.points, lira.kind, lira.amount_minor) == (50, RewardKind.AMOUNT_OFF, 2_500)
    assert (lira.name.in_("tr"), lira.name.in_("en")) == ("₺25,00 indirim", "TRY\u00a025.00 off")
    stamps = sayfa.stamps
    assert stamps is not None
    assert (stamps.target, stamps.earned_for, stamps.categories) == (10, StampFor.ITEM, frozenset({"book"}))
    assert (stamps.name.in_("tr"), stamps.name.in_("en")) == ("10. kitap", "Book no. 10")
    assert (sayfa.design.strip, sayfa.design.steps) == (StripKind.STAMPS, 10)


@pytest.mark.parametrize(
    ("slug", "text_contrast", "label_contrast"), [("copperfinch", 13.8, 7.9), ("marginalya", 11.3, 6.5)]
)
def test_the_colours_have_the_contrast_the_design_promises(
    slug: str, text_contrast: float, label_contrast: float
) -> None:
    colours = shop(slug).design.colours
    assert round(contrast_of(colours.text, colours.ground), 1) == text_contrast
    assert round(contrast_of(colours.label, colours.ground), 1) == label_contrast


def test_what_joining_asks_for_is_what_the_file_says() -> None:
    finch, sayfa = shop("copperfinch"), shop("marginalya")
    assert finch.joining == Joining(email=Asked.OPTIONAL, birthday=Asked.OPTIONAL)
    assert sayfa.joining == parse(text_of("marginalya").partition("[joining]")[0], name="marginalya").joining
    assert sayfa.joining == Joining(Asked.OPTIONAL, Asked.OFF, Asked.OFF)
    assert [one.purpose for one in finch.consents] == ["ring"]
    until = parse(FINCH + 'until = "2027-01-01"\n', name="copperfinch").joining.until
    assert until == datetime(2027, 1, 1, 6, tzinfo=UTC)  # midnight in Chicago


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('phone = "optional"', "joining (line 159): asks for 4 things, the name included"),
        ('phone = "sometimes"', "joining.phone (line 162): must be off or optional or required"),
        ("phone = true", "joining.phone (line 162): must be off or optional or required, not true"),
        ('until = "soon"', "joining.until (line 162): must be a date"),
        ('adress = "off"', "joining.adress (line 162): there is no such key"),
    ],
)
def test_what_joining_cannot_ask_for_is_named(lines: str, problem: str) -> None:
    assert any(one.startswith(problem) for one in problems_of(f"{FINCH}{lines}\n"))


def test_contrast_is_symmetric_and_runs_from_one_to_twenty_one() -> None:
    assert contrast_of("#000000", "#FFFFFF") == contrast_of("#FFFFFF", "#000000") == pytest.approx(21)
    assert contrast_of("#123456", "#123456") == 1


def test_every_programme_file_that_ships_is_valid() -> None:
    for path in sorted((Path(passes.__file__).parent / "programmes").glob("*.toml")):
        assert isinstance(parse(path.read_text(encoding="utf-8"), name=path.name), Programme)


# Mistakes, each with its place --------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("points = 150", "points = 0", "rewards[0].points (line 51): must be a whole number from 1"),
        ("points = 400", "points = 4.5", "rewards[1].points (line 57): must be a whole number"),
        ("points = 800", "points = true", "rewards[2].points (line 63): must be a whole number"),
        ("points = 1500", "", "rewards[3].points (line 66): is missing"),
        ('zone = "America/Chicago"', 'zone = "America/Chicgo"', "did you mean America/Chicago?"),
        ('zone = "America/Chicago"', 'zone = "../../etc/passwd"', "zone (line 5): must be an IANA time zone"),
        ('currency = "USD"', 'currency = "usd"', "currency (line 4): must be an ISO 4217 currency"),
        ('currency = "USD"', "currency = 7", "currency (line 4): must be an ISO 4217 currency"),
        (
            'languages = ["en", "tr"]',
            'languages = ["en", "tr", "en"]',
            "languages (line 3): en appears twice",
        ),
        ('languages = ["en", "tr"]', 'languages = ["EN"]', "languages (line 3): 'EN' is no language code"),
        ('languages = ["en", "tr"]', "languages = []", "languages (line 3): must be a list"),
        ('languages = ["en", "tr"]', 'languages = ["en", "tr", "de"]', "name.de (line 10): is missing"),
        ('languages = ["en", "tr"]', 'languages = ["en"]', "name.tr (line 12): there is no such key"),
        (
            'points_per = "10 per 1.00"',
            'points_per = "ten"',
            'earning.points_per (line 34): must be like "10 per',
        ),
        ('points_per = "10 per 1.00"', 'points_per = "10 per 0"', "earning.points_per (line 34)"),
        ('points_per = "10 per 1.00"', 'points_per = "10 per 1.005"', "earning.points_per (line 34)"),
        ('rounding = "floor"', 'rounding = "flor"', "earning.rounding (line 35): must be floor or half_up"),
        (
            "limit = 500.00",
            "limit = -500.00",
            "earning.limit (line 36): must be an amount of USD such as 25.00",
        ),
        ("limit = 500.00", "limit = 1e999999999", "earning.limit (line 36): must be an amount"),
        ("limit = 500.00", "limit = 500.00\nminimum = 501", "earning.minimum (line 37): must not be above"),
        ("welcome = 100", "welcome = -1", "earning.welcome (line 37): must be a whole number"),
        (
            "welcome = 100",
            "wellcome = 100",
            "earning.wellcome (line 37): there is no such key; did you mean welcome?",
        ),
        ("multiplier = 1.2", "multiplier = 0", "tiers[1].multiplier (line 81): must be a number above 0"),
        ("multiplier = 1.2", "multiplier = -1.2", "tiers[1].multiplier (line 81): must be a number above 0"),
        ("multiplier = 1.2", "multiplier = nan", "tiers[1].multiplier (line 81): must be a number above 0"),
        (
            "multiplier = 1.2",
            "multiplier = 1e999999",
            "tiers[1].multiplier (line 81): must be a number above 0",
        ),
        ("spend = 750.00", "spend = 250.00", "tiers[2].spend (line 86): must be above the tier before it"),
        ("spend = 0", "spend = 1", "tiers[0].spend (line 75): the first tier must begin at 0"),
        ('key = "flight"', 'key = "perch"', "tiers[1].key (line 78): 'perch' appears twice"),
        ('key = "any-drink"', 'key = "Any drink"', "rewards[2].key (line 61): 'Any drink' may only have"),
        ('kind = "free_item"', 'kind = "amount_off"', "rewards[0].amount (line 48): is missing"),
        (
            'kind = "free_item"',
            'kind = "event_seat"\namount = 2',
            "rewards[0].amount (line 53): only belongs to",
        ),
        ('label = "#E8B48A"', 'label = "#5F4A3E"', "has a contrast of 1.8; it must be 3 or more"),
        ('label = "#E8B48A"', 'label = "copper"', "card.label (line 109): must be a colour such as #1F2A2E"),
        ('strip = "progress"', 'strip = "stamps"', "card.strip (line 110): a stamp strip needs a [stamps]"),
        ('strip = "progress"', 'strip = "plain"', "card.steps (line 111): a plain strip has no steps"),
        ("steps = 8", "steps = 21", "card.steps (line 111): must be a whole number from 1 to 20"),
        (
            "latitude = 41.88578",
            "latitude = 141.88",
            "shops[0].latitude (line 117): must be degrees",
        ),
        (
            "longitude = -87.65054",
            "longitude = nan",
            "shops[0].longitude (line 118): must be degrees from -180",
        ),
        ("longitude = -87.65054", 'longitude = "west"', "shops[0].longitude (line 118): must be degrees"),
        ('symbology = "qr"', 'symbology = "code128"', "code.symbology (line 31): letters codes are too long"),
        ('kind = "letters"', 'kind = "ean13"', "code.symbology (line 31): ean13 codes are drawn as code128"),
        ('en = "beans"', 'en = "be%@ns"', "unit.other (line 27): must not have a percent sign"),
        ('"Finch Club"', '"Finch\\tClub"', "name.en (line 11): must not have control characters"),
        ('"Finch Club"', '"   "', "name.en (line 11): must not be empty"),
        ('"Finch Club"', f'"{"x" * 65}"', "name.en (line 11): must have at most 64 characters"),
        ('"Finch Club"', "7", "name.en (line 11): must be a text in quotes, not 7"),
        (
            'email = "hello@copperfinch.example"',
            'email = "hello"',
            "contact.email (line 135): 'hello' is no e-mail",
        ),
        ('website = "https', 'website = "http', "contact.website (line 137): must begin with https://"),
        ("undo_seconds = 600", "undo_seconds = 90000", "undo_seconds (line 7): must be a whole number"),
        (
            "can_alert_offers = true",
            'can_alert_offers = "no"',
            "can_alert_offers (line 8): must be true or false",
        ),
        (
            "undo_seconds = 600",
            "undo_second = 600",
            "undo_second (line 7): there is no such key; did you mean",
        ),
        ("undo_seconds = 600", f"undo_seconds = 0x{'F' * 9_000}", "not a number that long"),
    ],
)
def test_a_mistake_is_named_with_its_place(old: str, new: str, problem: str) -> None:
    assert any(problem in found for found in problems_of(changed(old, new))), problems_of(changed(old, new))


def test_every_mistake_is_listed_at_once() -> None:
    text = (
        changed("points = 150", "points = 0").replace("steps = 8", "steps = 0").replace("welcome", "welcom")
    )
    problems = problems_of(text)
    assert len(problems) == 3
    assert [re.split(r" \(|:", problem)[0] for problem in problems] == [
        "rewards[0].points",
        "card.steps",
        "earning.welcom",
    ]


def test_a_missing_section_is_one_mistake_and_not_one_for_every_key() -> None:
    assert problems_of(FINCH.replace("[contact]", "[kontakt]")) == [
        "contact: is missing",
        "kontakt (line 134): there is no such key; did you mean contact?",
    ]


def test_more_shops_than_a_card_can_name_are_refused() -> None:
    more = "".join(
        f'[[shops]]\nkey = "s{number}"\nname = "S"\naddress = "A"\nlatitude = 1\nlongitude = 1\n'
        for number in range(8)
    )
    assert problems_of(FINCH + more) == ["shops (line 113): there must be 0 to 10, not 11"]


def test_a_programme_needs_a_reward() -> None:
    start, end = FINCH.index("[[rewards]]"), FINCH.index("[[tiers]]")
    assert problems_of(FINCH[:start] + FINCH[end:])[0] == "rewards: is missing"


def test_a_weak_contrast_is_a_warning_and_no_refusal() -> None:
    (warning,) = parse(changed("#E8B48A", "#8A7768"), name="copperfinch").warnings
    assert warning.startswith("card.label (line 109): #8A7768 on the ground #1F2A2E has a contrast of 3.")


def test_a_file_name_becomes_the_slug_and_must_fit_an_address() -> None:
    assert parse(FINCH, name="my-cafe.toml").slug == "my-cafe"
    assert "'My Café' may only have small letters" in problems_of(FINCH, name="My Café.toml")[0]


def test_what_is_not_toml_is_refused_with_the_line() -> None:
    assert "this is not TOML" in problems_of("languages = [")[0]
    assert "line 2" in problems_of("a = 1\nb = = 2")[0]


@pytest.mark.parametrize(
    "text", ["a = 2026-13-45", "a = " + "9" * 5_000, "a = " + "[" * 5_000, "\ud800", "x" * 300_000]
)
def test_what_trips_a_parser_is_refused_all_the_same(text: str) -> None:
    problems_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "a = 1\n" + " " * 150_000 + "x",
        "[" + " " * 150_000,
        FINCH.replace("hello@copperfinch.example", f"a@{'.' * 150_000}@"),
    ],
)
def test_a_long_line_costs_no_time(text: str) -> None:
    """A regular expression that backtracks would not come back in a lifetime."""
    problems_of(text)


def test_texts_over_several_lines_do_not_look_like_keys() -> None:
    text = FINCH.replace('[terms]\nen = """', '[terms]\nen = """\n[card]\nlabel = 1\n')
    assert "card.steps (line 111)" in problems_of(text.replace("steps = 8", "steps = 0"))[0]


def test_article_number_codes_go_with_code_128() -> None:
    text = FINCH.replace('kind = "letters"\nsymbology = "qr"', 'kind = "ean13"\nsymbology = "code128"')
    programme = parse(text, name="copperfinch")
    assert (programme.code_kind, programme.symbology) == (CodeKind.EAN13, Symbology.CODE128)


def test_amounts_follow_the_currency() -> None:
    text = FINCH.replace('"USD"', '"JPY"')
    assert "earning.limit (line 36): must be an amount of JPY such as 25, not 500.00" in problems_of(text)


# Whatever the text is -----------------------------------------------------------


def parses_or_refuses(text: str, name: str = "copperfinch") -> None:
    try:
        assert isinstance(parse(text, name=name), Programme)
    except ProgrammeInvalid as problem:
        refusal = problem
    else:
        return
    assert refusal.values["problems"]
    assert str(refusal)


@given(st.text(max_size=300), st.text(max_size=50))
def test_any_text_is_a_programme_or_refused(text: str, name: str) -> None:
    parses_or_refuses(text, name)


VALUES = [
    *(
        "",
        "0",
        "-1",
        "1.5",
        "nan",
        "inf",
        "1e400",
        "true",
        '""',
        '"x"',
        "[]",
        "[[]]",
        "{}",
        "[{}]",
        "{ en = 1 }",
    ),
    *("1979-05-27", "07:32:00", '"\\u0000"', f"0x{'F' * 99}", "'''", '["en"]'),
]


@settings(max_examples=400)
@given(st.data())
def test_any_value_in_any_place_is_accepted_or_refused(data: st.DataObject) -> None:
    lines = FINCH.split("\n")
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(lines) - 1))
        key, mark, _ = lines[place].partition("=")
        value = data.draw(st.sampled_from(VALUES))
        lines[place] = f"{key}= {value}" if mark else value
    parses_or_refuses("\n".join(lines))


@settings(max_examples=200)
@given(st.integers(0, len(FINCH)), st.integers(0, 40), st.text(max_size=8))
def test_a_file_with_a_hole_in_it_is_accepted_or_refused(start: int, length: int, patch: str) -> None:
    parses_or_refuses(FINCH[:start] + patch + FINCH[start + length :])


# The reference ------------------------------------------------------------------


def test_every_key_is_described_in_the_documentation() -> None:
    """What the parser asks for is what docs/programme-file.md describes, and the other way round."""
    described = set(re.findall(r"^\| `([a-z_.\[\]]+)`", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert described == asked_for()


PAGE = Path(passes.__file__).parents[1] / "docs" / "programme-file.md"


def test_every_key_has_an_example_in_the_documentation() -> None:
    """Each example is read for itself, so none has a key that does not exist."""
    shown: set[str] = set()
    for example in re.findall(
        r"^```toml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        shown |= keys_within(tomllib.loads(example))
    described = {re.sub(r"\[\]", "", key) for key in asked_for()}
    assert shown - described == set()
    # Of what excludes each other an example can only show one.
    assert described - shown == {
        *("earning.carries", "points.expiry.starts", "points.expiry.month", "points.expiry.day"),
        *("rewards.percent", "rewards.skus", "tiers.points", "tiers.visits"),
        *("stamps.skus", "stamps.amount", "stamps.minutes_between"),
        *("when.skus", "when.brands", "when.segment.tiers", "when.segment.joined_within_days"),
        *("when.segment.purchases_most", "when.segment.idle_days_most", "when.segment.balance_least"),
    }


def keys_within(table: dict[str, Any], path: str = "") -> set[str]:
    found = set()
    for key, value in table.items():
        words = re.sub(r"^(earning\.excluded|rewards\.window|.*\.when)\.", "when.", f"{path}{key}")
        rows = value if isinstance(value, list) and value and isinstance(value[0], dict) else [value]
        inner = [row for row in rows if isinstance(row, dict) and words not in WITH_FREE_KEYS]
        if not inner or set(inner[0]) <= {"en", "tr"} or words.endswith((".when", "window", "excluded")):
            found.add(words)
        for row in inner:
            if not set(row) <= {"en", "tr"}:
                found |= keys_within(row, f"{words}.")
    return found


WITH_FREE_KEYS = {"categories", "points.pending_by_category", "rewards.tier_points", "birthday.tier_days"}


def test_the_placeholders_described_are_those_there_are() -> None:
    described = set(
        re.findall(r"`\{([a-z_.A-Z]+)\}`", PAGE.read_text(encoding="utf-8").partition("## `[unit]`")[0])
    )
    found: set[str] = set()
    for text in VARIANTS:
        for name in placeholders.names(parse(text, name="full")):
            first, *rest = name.split(".")
            found.add(".".join([first, "KEY", rest[-1]] if len(rest) > 1 else [first, *rest]))
    assert described == found


def asked_for() -> set[str]:
    """The keys that a file with one of everything is asked for, as the documentation writes them.

    Conditions are described once, wherever they stand.
    """
    keys = set()
    for table in tables_of(FULL):
        if table.has_free_keys:
            continue
        for key in table.asked:
            words = "".join(
                f"[{step}]" if isinstance(step, int) else f".{step}" for step in (*table.path, key)
            )
            words = re.sub(r"\[[0-9]+\]", "[]", words).removeprefix(".")
            words = re.sub(r"^(earning\.excluded\[\]|rewards\[\]\.window|.*\.when)\.", "when.", words)
            keys.add(words)
    return {key for key in keys if not any(other.startswith((f"{key}.", f"{key}[]")) for other in keys)}


def tables_of(text: str) -> list[Table]:
    file = File(lines={})
    content = tomllib.loads(text, parse_float=decimal)
    programme_file._programme(Table(file, (), content), "full")
    return file.tables


# Every rule -----------------------------------------------------------------------


def fuller(old: str, new: str) -> str:
    assert old in FULL
    return FULL.replace(old, new, 1)


FIXED_DAY = fuller(
    'kind = "rolling"\nmonths = 18\nto = "quarter"\nstarts = "activation"',
    'kind = "fixed_day"\nmonth = 2\nday = 29',
)
STAMPS_BY_AMOUNT = fuller(
    'earned_for = "item"\ncategories = ["coffee"]\nskus = ["A-1"]', 'earned_for = "amount"\namount = 5.00'
)
STAMPS_BY_VISIT = STAMPS_BY_AMOUNT.replace('"amount"\namount = 5.00', '"visit"\nminutes_between = 45')
BY_VISITS = fuller('metric = "spend"', 'metric = "visits"').replace("spend = 0", "visits = 0")
BY_VISITS = BY_VISITS.replace("spend = 400.00", "visits = 12").replace("{tier.gold.threshold}", "them")
REJECTING = fuller('mode = "clamp"', 'mode = "reject"')
UNMODERATED = fuller("moderated = true", "moderated = false")
VARIANTS = (FULL, UNMODERATED, FIXED_DAY, STAMPS_BY_AMOUNT, STAMPS_BY_VISIT, BY_VISITS, REJECTING)


def test_every_field_of_every_rule_can_be_written_in_a_file() -> None:
    """Each field with a default is something else in one of the files at least."""
    left: set[str] = set()
    found: set[str] = set()
    for text in VARIANTS:
        for value in values_within(parse(text, name="full")):
            for one in fields(value):
                name = f"{type(value).__name__}.{one.name}"
                left.add(name)
                standard = one.default_factory() if callable(one.default_factory) else one.default
                if getattr(value, one.name) != standard:
                    found.add(name)
    assert left - found == {"Programme.warnings"}


def values_within(value: object) -> Iterator[Any]:
    """Every dataclass value in a programme."""
    if is_dataclass(value) and not isinstance(value, type):
        yield value
        for one in fields(value):
            yield from values_within(getattr(value, one.name))
    elif isinstance(value, tuple | frozenset):
        for part in value:
            yield from values_within(part)


def test_the_full_file_gives_the_rules_that_it_says() -> None:
    full = parse(FULL, name="full", say=say)
    (excluded, deposit) = full.earning.excluded
    assert excluded.categories == {"gift-card"}
    assert (list(deposit.skus), list(deposit.brands)) == (["4006381333931"], ["Deposit"])
    (rate,) = full.earning.rates
    assert (rate.rate, rate.priority, rate.when.minimum_minor) == (Fraction(3, 500), 1, 1_000)
    (tuesday,) = full.earning.multipliers
    window = tuesday.when.window
    assert window is not None
    # Chicago is five hours behind in summer; 24:00 and what passes midnight are times like any other.
    assert (window.starts_at, window.ends_at) == (
        datetime(2026, 5, 1, 5, tzinfo=UTC),
        datetime(2026, 6, 1, 17, tzinfo=UTC),
    )
    assert window.weekdays == {1, 2}
    assert window.hours == (Hours(time(8), time(11)), Hours(time(22), time(2)))
    assert full.rewards[0].window is not None
    assert full.rewards[0].window.hours == (Hours(time(9), time(0)),)
    assert full.points.notice_days == (14, 3)
    assert [tier.threshold for tier in parse(BY_VISITS, name="full").tiers] == [0, 12]
    assert dict(full.category_names)["gift-card"].in_("tr") == "gift cards"


def test_a_file_that_says_little_has_the_usual_rules() -> None:
    finch = shop("copperfinch")
    assert (finch.tiering, finch.adjustments, finch.win_back) == (TierRule(), AdjustmentRule(), None)
    assert replace(finch.points, expiry=Expiry()) == PointsRule()
    assert parse(without(FINCH, "[points.expiry]"), name="finch").points == PointsRule()


def without(text: str, header: str) -> str:
    """A file without one of its sections."""
    start = text.index(f"\n{header}\n") + 1
    end = text.find("\n[", start)
    return text[:start] + text[end + 1 :]


def test_categories_may_be_a_list_of_keys() -> None:
    text = without(FULL, "[categories]").replace(
        "currency =", 'categories = ["coffee", "beans", "gift-card"]\ncurrency ='
    )
    full = parse(text, name="full")
    assert full.categories == {"coffee", "beans", "gift-card"}
    assert dict(full.category_names)["gift-card"].in_("en") == "gift card"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        # What does not exist.
        (
            'categories = ["gift-card"]',
            'categories = ["gift-cards"]',
            "there is no category 'gift-cards'; did",
        ),
        (
            'categories = ["gift-card"]',
            'categories = ["tea"]',
            "no category 'tea': name it in categories first",
        ),
        ('shops = ["west", "east"]', 'shops = ["north"]', "when.shops: there is no shop 'north'"),
        (
            'tiers = ["basic", "gold"]',
            'tiers = ["silver"]',
            "segment.tiers: there is no tier 'silver'",
        ),
        (
            "tier_points = { gold = 80 }",
            "tier_points = { golden = 80 }",
            "no tier 'golden'; did you mean gold?",
        ),
        ('grants = ["coffee"]', 'grants = ["tea"]', "tiers[1].grants: there is no reward 'tea'"),
        ('grants = ["coffee"]', 'grants = ["pay"]', "'pay' is paid in points, so it cannot be given"),
        ('reward = "coffee"', 'reward = "tea"', "birthday.reward: there is no reward 'tea'"),
        ('reward = "coffee"', 'reward = "pay"', "birthday.reward: 'pay' is paid in points"),
        (
            'consent = "offers"',
            'consent = "letters"',
            "segment.consent: there is no consent 'letters'",
        ),
        ('languages = ["tr"]', 'languages = ["de"]', "'de' is none of the programme's languages"),
        ("pending_by_category = { beans = 14 }", "pending_by_category = { tea = 14 }", "no category 'tea'"),
        # What can never happen, or means nothing.
        ("factor = 2", "factor = 0", "multipliers[0].factor: must be a number above 0"),
        ('"3 per 5.00"', '"0 per 5.00"', "rates[0].points_per: must be like"),
        ("until = 2026-06-01T12:00:00", 'until = "2026-05-01"', "when.until: must be after from"),
        (
            "until = 2026-06-01T12:00:00",
            'until = "2026-02-30"',
            "when.until: must be a date such as",
        ),
        ("until = 2026-06-01T12:00:00", "until = 9999-12-31", "when.until: must be a date such as"),
        ("until = 2026-06-01T12:00:00", 'until = "2026-05-03"', "none of these days lies between from and"),
        ('"08:00-11:00"', '"08:00-08:00"', "hours: 08:00-08:00 begins when it ends"),
        ('"08:00-11:00"', '"8-11"', "hours: must be like \"08:00-11:00\", not '8-11'"),
        ('"08:00-11:00"', '"24:00-01:00"', "hours: must be like"),
        ('"08:00-11:00"', '"08:00-24:30"', "hours: must be like"),
        ('weekdays = ["tue", "wed"]', 'weekdays = ["tues"]', "must be of mon, tue, wed, thu, fri, sat, sun"),
        ('weekdays = ["tue", "wed"]', "weekdays = []", "weekdays: must be a list of texts"),
        ('weekdays = ["tue", "wed"]', 'weekdays = ["tue", "tue"]', "weekdays: tue appears twice"),
        (
            "purchases_most = 100",
            "purchases_most = 1",
            "purchases_most: must not be below purchases_",
        ),
        (
            "idle_days_most = 60",
            "idle_days_most = 2",
            "idle_days_most: must not be below idle_days_",
        ),
        (
            'when = { categories = ["beans"], channels = ["in_store"], minimum = 10.00 }',
            "",
            "rates[0].when: must say when this rate applies",
        ),
        ('categories = ["gift-card"]', "", "earning.excluded[0]: must say what earns nothing"),
        (
            "welcome = 50",
            "welcome = 0",
            "welcome_waits: there are no welcome points that could wait",
        ),
        ('rounding = "block"', 'rounding = "floor"', 'carries: only belongs to rounding = "block"'),
        ("purchase = 500", "purchase = 1", "caps: purchase must not be below minimum_points"),
        (
            "pending_days = 2",
            "pending_days = 91",
            "points.pending_days: must be a whole number from 0",
        ),
        (
            "notice_days = [14, 3]",
            "notice_days = [3, 3]",
            "points.notice_days: a number appears twice",
        ),
        ("notice_days = [14, 3]", "notice_days = [0]", "notice_days: must be a list of at most 10"),
        (
            "hundred_points_worth = 1.00",
            "",
            "points.hundred_points_worth: is missing: it says what",
        ),
        ("months = 18", "months = 0", "points.expiry.months: must be a whole number from 1"),
        ("months = 18", "month = 2", "points.expiry.month: only belongs to the kind fixed_day"),
        ('months = 18\nto = "quarter"\nstarts = "activation"', "months = 1", ""),
        ('kind = "rolling"', 'kind = "inactivity"', "expiry.to: only belongs to the kind rolling"),
        ("amount = 0.10\n", "", "rewards[2].amount: is missing"),
        ("percent = 25\n", "", "rewards[1].percent: is missing"),
        (
            "percent = 25",
            "percent = 101",
            "rewards[1].percent: must be a whole number from 1 to 100",
        ),
        (
            "amount = 4.50\n",
            "amount = 4.50\npercent = 5\n",
            "percent: only belongs to a reward of kind",
        ),
        (
            "member_limit = 2\nmember_days = 30",
            "member_days = 30",
            "member_days: only belongs to a",
        ),
        (
            "tier_points = { gold = 80 }",
            "tier_points = { gold = 0 }",
            "tier_points.gold: must be a",
        ),
        ('tiers = ["basic", "gold"]\ntier_p', 'tiers = ["basic"]\ntier_p', "not for the tier 'gold'"),
        ("days = 180", "days = 0", "tiering.days: must be a whole number from 1"),
        (
            'window = "rolling"',
            'window = "lifetime"',
            'tiering.days: only belongs to window = "rolling"',
        ),
        ('review = "one_down"', 'review = "never"', "tiering.grace_days: no tier ends here"),
        (
            'metric = "spend"',
            'metric = "points"',
            'spend: only belongs to tiering.metric = "spend"',
        ),
        ("spend = 400.00", "spend = 0.00", "tiers[1].spend: must be above the tier before it"),
        ('earned_for = "item"', 'earned_for = "amount"', "stamps.amount: is missing"),
        ('earned_for = "item"', 'earned_for = "visit"', "stamps.skus: only belongs to earned_for"),
        ("purchase_limit = 3", "purchase_limit = 6", "stamps.purchase_limit: must not be above"),
        ('points = 20\nreward = "coffee"\n', "", "birthday: must have points or a reward"),
        (
            "tier_days = { gold = 7 }",
            "tier_days = { gold = 2 }",
            "tier_days: must be more than the 2",
        ),
        ('span = "days"\ndays = 2', 'span = "month"', "birthday.tier_days: only belongs to span"),
        ("points = 40", "points = 0", "win_back.points: must be a whole number from 1"),
        (
            'reasons = ["goodwill", "correction", "spilled-coffee"]',
            'reasons = ["Good will"]',
            "may only have small",
        ),
        (
            "minimum = 2.00",
            "minimum = 900.01",
            "multipliers[0].when: minimum is above the limit of one purchase",
        ),
        # Numbers of its own, and rules that are not there.
        (
            'terms = "The shop',
            'terms = "From 2026 on the shop',
            "terms: states a number itself ('2')",
        ),
        ('"Brand week"', '"½ brand week"', "earning.bonuses[0].name: states a number itself ('½')"),
        (
            "{stamps.target} stamps",
            "{stamp.target} stamps",
            "stamps.name: there is no placeholder {stamp",
        ),
        ("{multiplier.double-tuesday.factor} kat", "iki} kat", "name.tr: a brace stands alone"),
        ("{action.clean-up.points} points", "{win_back.points} points", ""),
        ("welcome = 50\nwelcome_waits = true\n", "", ""),
        (
            '"{stamps.target} stamps, one coffee"',
            '"{stamps.target} stamps, one very large coffee"',
            "stamps.name: must have at most 30 characters, not 31",
        ),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_its_place(old: str, new: str, problem: str) -> None:
    if problem:
        found = problems_of(fuller(old, new), name="full")
        assert all(re.search(r" \(line [0-9]+\): ", one) for one in found)
        assert any(problem in re.sub(r" \(line [0-9]+\)", "", one) for one in found), found
    else:
        parse(fuller(old, new), name="full")


def with_rates(*rates: str) -> str:
    """The full file with these rates instead of its own."""
    start, end = FULL.index("[[earning.rates]]"), FULL.index("[[earning.multipliers]]")
    rows = "".join(
        f'[[earning.rates]]\nkey = "rate-{number}"\npoints_per = "3 per 5.00"\n{rate}\n'
        for number, rate in enumerate(rates)
    )
    return FULL[:start] + rows + FULL[end:]


def with_bonuses(*bonuses: str) -> str:
    """The full file with these bonuses instead of its own."""
    start, end = FULL.index("[[earning.bonuses]]"), FULL.index("[earning.caps]")
    rows = "".join(
        f'[[earning.bonuses]]\nkey = "bonus-{number}"\nname = "B"\npoints = 5\n{bonus}\n'
        for number, bonus in enumerate(bonuses)
    )
    return FULL[:start] + rows + FULL[end:]


@pytest.mark.parametrize(
    ("text", "is_ambiguous"),
    [
        (with_rates('when = { categories = ["beans"] }', 'when = { categories = ["coffee"] }'), False),
        (with_rates('when = { categories = ["beans"] }', 'when = { shops = ["west"] }'), True),
        (with_rates('when = { categories = ["beans"] }', 'when = { shops = ["west"] }\npriority = 1'), False),
        (
            with_rates(
                'when = { categories = ["beans"], from = "2026-01-01", until = "2026-02-01" }',
                'when = { categories = ["beans"], from = "2026-02-01" }',
            ),
            False,
        ),
        (with_rates('when = { weekdays = ["mon", "tue"] }', 'when = { weekdays = ["tue"] }'), True),
        (with_bonuses('group = "a"', 'group = "b"'), False),
        (with_bonuses('group = "a"', 'group = "a"'), True),
        (with_bonuses('group = "a"', 'group = "a"\npriority = -1'), False),
        (with_bonuses("", ""), False),
        # One purchase may have a line for each.
        (
            with_bonuses(
                'group = "a"\nwhen = { categories = ["beans"] }',
                'group = "a"\nwhen = { categories = ["coffee"] }',
            ),
            True,
        ),
        (
            with_bonuses(
                'group = "a"\nwhen = { shops = ["west"] }', 'group = "a"\nwhen = { shops = ["east"] }'
            ),
            False,
        ),
    ],
)
def test_two_rules_that_could_both_count_need_different_priorities(text: str, is_ambiguous: bool) -> None:
    if is_ambiguous:
        (problem,) = problems_of(text, name="full")
        assert re.match(r"earning\.(rates|bonuses)\[1\]\.priority \(line [0-9]+\): one ", problem)
        assert "give them different priorities" in problem
    else:
        parse(text, name="full")


def test_a_yearly_day_has_to_exist() -> None:
    assert parse(FIXED_DAY, name="full").points.expiry == Expiry(ExpiryKind.FIXED_DAY, month=2, day=29)
    (problem,) = problems_of(FIXED_DAY.replace("day = 29", "day = 30"), name="full")
    assert problem.startswith("points.expiry.day (line ")
    assert problem.endswith("month 2 never has a day 30")


def test_points_must_not_lapse_before_they_can_be_spent() -> None:
    text = fuller('months = 18\nto = "quarter"\nstarts = "activation"', "months = 1")
    assert parse(text, name="full").points.expiry.months == 1
    (problem,) = problems_of(text.replace("{ beans = 14 }", "{ beans = 28 }"), name="full")
    assert "points would lapse before they can be spent" in problem
    waiting = (
        fuller('to = "quarter"\n', "")
        .replace("months = 18", "months = 1")
        .replace("beans = 14", "beans = 28")
    )
    assert parse(waiting, name="full").points.pending_by_category == (("beans", 28),)


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (
            "tier_points = { gold = 80 }",
            "tier_points = { gold = 101 }",
            "'gold' pays 101, more than the ordinary 100",
        ),
        ("multiplier = 1.25", "multiplier = 0.5", "is lower than that of the tier before it"),
        (
            "member_limit = 2\nmember_days = 365\nday_limit = 50\n",
            "",
            "has neither member_limit nor day_limit",
        ),
        ("approval_points = 100", "approval_points = 1001", "so nobody is ever asked to approve"),
    ],
)
def test_what_is_unwise_is_a_warning(old: str, new: str, warning: str) -> None:
    (found,) = parse(fuller(old, new), name="full").warnings
    assert warning in found
    assert " (line " in found


# Whatever the rules are -----------------------------------------------------------


RULE_VALUES = [
    *VALUES,
    *(
        '{ categories = ["beans"] }',
        "{ segment = {} }",
        '{ hours = ["00:00-24:00"] }',
        '{ from = "2026-01-01" }',
    ),
    *(
        "[1]",
        "[[1]]",
        "[true]",
        '["a", "a"]',
        '["beans", 7]',
        "{ beans = 1 }",
        "{ gold = -1 }",
        "{ a = { b = 1 } }",
    ),
    *(
        "2026-02-29T99:00:00",
        '"9999-12-31"',
        "0001-01-01",
        "1979-05-27T00:32:00.999999-07:00",
        '"1970-01-01"',
    ),
    *('"{stamps.target}"', '"{"', '"{{}}"', '"rolling"', '"item"', '"points_as_money"', "9" * 30),
]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_value_in_any_rule_is_accepted_or_refused(data: st.DataObject) -> None:
    lines = FULL.split("\n")
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(lines) - 1))
        key, mark, _ = lines[place].partition("=")
        value = data.draw(st.sampled_from(RULE_VALUES))
        lines[place] = f"{key}= {value}" if mark else value
    parses_or_refuses("\n".join(lines), "full")


@pytest.mark.parametrize(
    "text",
    [
        "[" + "a." * 90_000 + "a]",
        "a." * 90_000 + "a = 1",
        ("a." * 500 + "a = 1\n[x]\n") * 190,
        FINCH + "\n[extra]\n" + "".join(f"key{number} = 1\n" for number in range(14_000)),
        FINCH.replace(
            "[categories]", "[categories]\n" + "".join(f"k{number} = 'x'\n" for number in range(15_000))
        ),
        FINCH.replace('["gift-card"]', str([f"gift-{number}" for number in range(14_000)])),
        FINCH.replace("with every cup", "{x}" * 50_000),
        FINCH.replace("are returned", "{" * 150_000),
        with_rates(*(f'when = {{ skus = ["{number}"] }}' for number in range(2_000))),
        with_rates(*['when = { weekdays = ["mon"], hours = ["08:00-09:00"] }'] * 50),
    ],
    ids=[
        "dots",
        "dotted-key",
        "dotted-keys",
        "keys",
        "categories",
        "list",
        "places",
        "braces",
        "rates",
        "rivals",
    ],
)
def test_a_hostile_file_costs_no_time(text: str) -> None:
    began = thread_time()
    parses_or_refuses(text)
    assert thread_time() - began < 3


def test_a_rule_for_one_tier_and_a_segment_of_another_never_applies() -> None:
    text = fuller("minimum = 2.00", 'tiers = ["basic"]')
    parse(text, name="full")
    start = text.index("[earning.multipliers.when.segment]")
    text = text[:start] + text[start:].replace('tiers = ["basic", "gold"]', 'tiers = ["gold"]', 1)
    (problem,) = problems_of(text, name="full")
    assert problem.startswith("earning.multipliers[0].when.tiers (line ")
    assert "none of these is one of the segment's" in problem
