from __future__ import annotations

import re
import tomllib
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import passes
from passes.loyalty import programme_file
from passes.loyalty.codes import CodeKind
from passes.loyalty.design import Scene, StripKind, Symbology
from passes.loyalty.programme import Programme, RewardKind, Rounding
from passes.loyalty.programme_file import contrast_of, parse
from passes.loyalty.refusals import ProgrammeInvalid
from tests.loyalty.shops import shop, text_of

FINCH = text_of("copperfinch")


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
    assert [(tier.name.in_("en"), tier.spend_minor, tier.multiplier) for tier in finch.tiers] == [
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
    assert (finch.undo_seconds, finch.can_alert_offers, finch.warnings) == (600, False, ())


def test_the_bookshop_is_what_the_demonstration_promises() -> None:
    sayfa = shop("marginalya")
    assert (sayfa.currency, sayfa.zone, sayfa.languages) == ("TRY", "Europe/Istanbul", ("tr", "en"))
    assert (sayfa.name.in_("tr"), sayfa.organisation.in_("tr")) == ("Sayfa Kulübü", "Marginalya Kitabevi")
    assert sayfa.earning.rate == Fraction(1, 1000)
    (lira,) = sayfa.rewards
    assert (lira.points, lira.kind, lira.amount_minor) == (50, RewardKind.AMOUNT_OFF, 2_500)
    # A strip of stamps would promise what no rule gives yet.
    assert sayfa.stamps is None
    assert (sayfa.design.strip, sayfa.design.steps) == (StripKind.PROGRESS, 8)


@pytest.mark.parametrize(
    ("slug", "text_contrast", "label_contrast"), [("copperfinch", 13.8, 7.9), ("marginalya", 11.3, 6.5)]
)
def test_the_colours_have_the_contrast_the_design_promises(
    slug: str, text_contrast: float, label_contrast: float
) -> None:
    colours = shop(slug).design.colours
    assert round(contrast_of(colours.text, colours.ground), 1) == text_contrast
    assert round(contrast_of(colours.label, colours.ground), 1) == label_contrast


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
        ("points = 150", "points = 0", "rewards[0].points (line 35): must be a whole number from 1"),
        ("points = 400", "points = 4.5", "rewards[1].points (line 41): must be a whole number"),
        ("points = 800", "points = true", "rewards[2].points (line 47): must be a whole number"),
        ("points = 1500", "", "rewards[3].points (line 50): is missing"),
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
            'earning.points_per (line 27): must be like "10 per',
        ),
        ('points_per = "10 per 1.00"', 'points_per = "10 per 0"', "earning.points_per (line 27)"),
        ('points_per = "10 per 1.00"', 'points_per = "10 per 1.005"', "earning.points_per (line 27)"),
        ('rounding = "floor"', 'rounding = "flor"', "earning.rounding (line 28): must be floor or half_up"),
        (
            "limit = 500.00",
            "limit = -500.00",
            "earning.limit (line 29): must be an amount of USD such as 25.00",
        ),
        ("limit = 500.00", "limit = 1e999999999", "earning.limit (line 29): must be an amount"),
        ("limit = 500.00", "limit = 500.00\nminimum = 501", "earning.minimum (line 30): must not be above"),
        ("welcome = 100", "welcome = -1", "earning.welcome (line 30): must be a whole number"),
        (
            "welcome = 100",
            "wellcome = 100",
            "earning.wellcome (line 30): there is no such key; did you mean welcome?",
        ),
        ("multiplier = 1.2", "multiplier = 0", "tiers[1].multiplier (line 65): must be a number above 0"),
        ("multiplier = 1.2", "multiplier = -1.2", "tiers[1].multiplier (line 65): must be a number above 0"),
        ("multiplier = 1.2", "multiplier = nan", "tiers[1].multiplier (line 65): must be a number above 0"),
        (
            "multiplier = 1.2",
            "multiplier = 1e999999",
            "tiers[1].multiplier (line 65): must be a number above 0",
        ),
        ("spend = 750.00", "spend = 250.00", "tiers[2].spend (line 70): must be above the tier before it"),
        ("spend = 0", "spend = 1", "tiers[0].spend (line 59): the first tier must begin at 0"),
        ('key = "flight"', 'key = "perch"', "tiers[1].key (line 62): 'perch' appears twice"),
        ('key = "any-drink"', 'key = "Any drink"', "rewards[2].key (line 45): 'Any drink' may only have"),
        ('kind = "free_item"', 'kind = "amount_off"', "rewards[0].amount (line 32): is missing"),
        (
            'kind = "free_item"',
            'kind = "free_item"\namount = 2',
            "rewards[0].amount (line 37): only belongs to",
        ),
        ('label = "#E8B48A"', 'label = "#5F4A3E"', "has a contrast of 1.8; it must be 3 or more"),
        ('label = "#E8B48A"', 'label = "copper"', "card.label (line 78): must be a colour such as #1F2A2E"),
        ('strip = "progress"', 'strip = "stamps"', "card.strip (line 79): a stamp strip needs a [stamps]"),
        ('strip = "progress"', 'strip = "plain"', "card.steps (line 80): a plain strip has no steps"),
        ("steps = 8", "steps = 21", "card.steps (line 80): must be a whole number from 1 to 20"),
        ("latitude = 41.88578", "latitude = 141.88", "shops[0].latitude (line 86): must be degrees from -90"),
        (
            "longitude = -87.65054",
            "longitude = nan",
            "shops[0].longitude (line 87): must be degrees from -180",
        ),
        ("longitude = -87.65054", 'longitude = "west"', "shops[0].longitude (line 87): must be degrees"),
        ('symbology = "qr"', 'symbology = "code128"', "code.symbology (line 24): letters codes are too long"),
        ('kind = "letters"', 'kind = "ean13"', "code.symbology (line 24): ean13 codes are drawn as code128"),
        ('en = "beans"', 'en = "be%@ns"', "unit.other (line 20): must not have a percent sign"),
        ('"Finch Club"', '"Finch\\tClub"', "name.en (line 11): must not have control characters"),
        ('"Finch Club"', '"   "', "name.en (line 11): must not be empty"),
        ('"Finch Club"', f'"{"x" * 65}"', "name.en (line 11): must have at most 64 characters"),
        ('"Finch Club"', "7", "name.en (line 11): must be a text in quotes, not 7"),
        (
            'email = "hello@copperfinch.example"',
            'email = "hello"',
            "contact.email (line 104): 'hello' is no e-mail",
        ),
        ('website = "https', 'website = "http', "contact.website (line 106): must begin with https://"),
        ("undo_seconds = 600", "undo_seconds = 90000", "undo_seconds (line 7): must be a whole number"),
        (
            "can_alert_offers = false",
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
        "kontakt (line 103): there is no such key; did you mean contact?",
    ]


def test_more_shops_than_a_card_can_name_are_refused() -> None:
    more = "".join(
        f'[[shops]]\nkey = "s{number}"\nname = "S"\naddress = "A"\nlatitude = 1\nlongitude = 1\n'
        for number in range(8)
    )
    assert problems_of(FINCH + more) == ["shops (line 82): there must be 0 to 10, not 11"]


def test_a_programme_needs_a_reward() -> None:
    start, end = FINCH.index("[[rewards]]"), FINCH.index("[[tiers]]")
    assert problems_of(FINCH[:start] + FINCH[end:]) == ["rewards: is missing"]


def test_a_weak_contrast_is_a_warning_and_no_refusal() -> None:
    (warning,) = parse(changed("#E8B48A", "#8A7768"), name="copperfinch").warnings
    assert warning.startswith("card.label (line 78): #8A7768 on the ground #1F2A2E has a contrast of 3.")


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
    assert "card.steps (line 80)" in problems_of(text.replace("steps = 8", "steps = 0"))[0]


def test_article_number_codes_go_with_code_128() -> None:
    text = FINCH.replace('kind = "letters"\nsymbology = "qr"', 'kind = "ean13"\nsymbology = "code128"')
    programme = parse(text, name="copperfinch")
    assert (programme.code_kind, programme.symbology) == (CodeKind.EAN13, Symbology.CODE128)


def test_amounts_follow_the_currency() -> None:
    text = FINCH.replace('"USD"', '"JPY"')
    assert "earning.limit (line 29): must be an amount of JPY such as 25, not 500.00" in problems_of(text)


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
    page = (Path(passes.__file__).parents[1] / "docs" / "programme-file.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `([a-z_.\[\]]+)`", page, flags=re.MULTILINE))
    assert described == asked_for()


def asked_for() -> set[str]:
    """The keys that a file with one of everything is asked for, as the documentation writes them."""
    text = FINCH.replace('kind = "free_item"', 'kind = "amount_off"\namount = 1').replace(
        "[contact]", '[stamps]\nname = "S"\ntarget = 8\n[contact]'
    )
    file = programme_file._File(lines={})
    content = tomllib.loads(text, parse_float=programme_file._decimal)
    programme_file._programme(programme_file._Table(file, (), content), "copperfinch")
    keys = set()
    for table in file.tables:
        for key in table.asked - {"en", "tr"}:
            path = [str(step) for step in (*table.path, key) if not isinstance(step, int)]
            is_row = any(isinstance(step, int) for step in table.path)
            keys.add(".".join([path[0] + "[]", *path[1:]] if is_row else path))
    return {key for key in keys if not any(other.startswith((f"{key}.", f"{key}[]")) for other in keys)}
