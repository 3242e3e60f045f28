"""What a form can say about an offer, and what it is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.offer_draft import (
    Draft,
    Fault,
    Problem,
    Who,
    draft_of,
    instant_of,
    key_of,
    problems,
    source_of,
)
from passes.loyalty.offer_file import parse
from passes.loyalty.offers import Audience, BonusPoints, PointsTimes
from tests.loyalty.shops import shop

NOW = datetime(2026, 3, 14, 17, tzinfo=UTC)
FINCH = shop("copperfinch")
MAPLE = Draft(
    title={"en": "Maple Cortado is back", "tr": "Akçaağaçlı Cortado döndü"},
    text={"en": "{offer.points} extra beans.", "tr": "{offer.points} ekstra çekirdek."},
    starts="2026-03-15T08:00",
    ends="2026-03-22T20:00",
    points="50",
)


def wrong(**changes: Any) -> list[tuple[str, Fault]]:
    found = problems(replace(MAPLE, **changes), FINCH, now=NOW)
    return [(problem.name, problem.fault) for problem in found]


def test_a_form_writes_the_file_that_says_the_same() -> None:
    assert problems(MAPLE, FINCH, now=NOW) == []
    offer = parse(source_of(MAPLE, FINCH), name="maple", programme=FINCH)
    assert (offer.effect, offer.audience, offer.rings) == (BonusPoints(50), Audience.ALL, False)
    assert offer.text.in_("tr") == "50 ekstra çekirdek."
    assert offer.window.starts_at == datetime(2026, 3, 15, 13, tzinfo=UTC)  # 08:00 in Chicago's summer
    assert offer.window.ends_at == datetime(2026, 3, 23, 1, tzinfo=UTC)
    full = replace(
        MAPLE,
        effect="points_times",
        points="",
        factor="1,5",
        text={"en": "{offer.factor} times the beans.", "tr": "{offer.factor} kat çekirdek."},
        who=Who.TIERS,
        tiers=frozenset({"copper", "flight"}),
        shops=frozenset({"lakeview"}),
        member_limit="2",
        quota="500",
        holdout="20",
        rings=True,
    )
    offer = parse(source_of(full, FINCH), name="maple", programme=FINCH)
    assert offer.effect == PointsTimes(Fraction(3, 2))
    assert offer.segment is not None
    assert offer.segment.tiers == {"copper", "flight"}
    assert offer.locations == {"lakeview"}
    assert (offer.member_limit, offer.quota) == (2, 500)
    assert (offer.holdout_percent, offer.rings) == (20, True)
    asked = parse(source_of(replace(MAPLE, who=Who.ASKED), FINCH), name="maple", programme=FINCH)
    assert asked.segment is not None
    assert asked.segment.consent == "ring"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"who": Who.TIERS, "tiers": frozenset({"copper"})},
        {"who": Who.ASKED, "rings": True, "quota": "5", "holdout": "10"},
        {"effect": "points_times", "points": "", "factor": "2", "text": {"en": "More.", "tr": "Daha."}},
        {"starts": "", "shops": frozenset({"lakeview", "west-loop"}), "member_limit": "1"},
        {"title": {"en": 'Ca"fé\\ \x7f {', "tr": "İçli\tköfte"}},
    ],
)
def test_the_file_of_a_form_becomes_the_same_form(changes: dict[str, Any]) -> None:
    draft = replace(MAPLE, **changes)
    assert draft_of(source_of(draft, FINCH), FINCH) == draft


@pytest.mark.parametrize(
    "more",
    [
        'code = "MAPLE"',
        'effect = "percent_off"\npercent = 5',
        "[when]\nuntil = 2026-03-22\ncategories = ['coffee']",
        "[when]\nuntil = 2026-03-22\nsegment = { idle_days_least = 5 }",
        "title = 5",
        "=",
    ],
)
def test_a_file_that_says_more_is_left_to_its_text(more: str) -> None:
    source = source_of(MAPLE, FINCH)
    if more.startswith("[when]"):
        source = source[: source.index("[when]")] + more
    elif more.startswith("effect"):
        source = source.replace('effect = "bonus_points"\npoints = 50', more)
    elif more.startswith("title"):
        source = more + source[source.index("\n") :]
    else:
        source = more + "\n" + source
    assert draft_of(source, FINCH) is None


def test_dates_written_by_hand_are_shown_as_the_times_they_are() -> None:
    read = draft_of(source_of(MAPLE, FINCH).replace('"2026-03-22T20:00"', "2026-03-22"), FINCH)
    assert read is not None
    assert read.ends == "2026-03-22T00:00"


@pytest.mark.check("W-70")
def test_every_mistake_names_its_field() -> None:
    assert wrong(title={"en": "x" * 41, "tr": ""}) == [
        ("title.en", Fault.TOO_LONG),
        ("title.tr", Fault.MISSING),
    ]
    assert problems(replace(MAPLE, title={"en": "x" * 41, "tr": "x"}), FINCH, now=NOW) == [
        Problem("title.en", Fault.TOO_LONG, {"limit": 40, "length": 41})
    ]
    # What counts is the text with its numbers filled in.
    assert wrong(title={"en": "x" * 26 + " {offer.points}", "tr": "x"}) == []
    assert wrong(text={"en": "50 beans", "tr": "{offer.pionts}"}) == [
        ("text.en", Fault.DIGITS),
        ("text.tr", Fault.PLACEHOLDER),
    ]
    assert wrong(ends="2026-03-15T08:00") == [("ends", Fault.ENDS_FIRST)]
    assert wrong(starts="", ends="2026-03-14T11:59") == [("ends", Fault.OVER)]
    assert wrong(starts="2026-03-01T08:00", ends="2026-03-02T08:00") == [("ends", Fault.OVER)]
    assert wrong(starts="tomorrow") == [("starts", Fault.NO_TIME)]
    assert wrong(ends="2026-02-30T08:00") == [("ends", Fault.NO_TIME)]
    assert wrong(ends="") == [("ends", Fault.MISSING)]
    assert wrong(points="0") == [("points", Fault.OUT_OF_RANGE)]
    assert wrong(points="many") == [("points", Fault.NO_NUMBER)]
    assert wrong(points="") == [("points", Fault.MISSING)]
    for factor, fault in (("", Fault.MISSING), ("1", Fault.OUT_OF_RANGE), ("x", Fault.NO_NUMBER)):
        changes = {"effect": "points_times", "factor": factor, "text": MAPLE.title}
        assert wrong(**changes) == [("factor", fault)]
    assert wrong(effect="gift", text=MAPLE.title) == [("effect", Fault.MISSING)]
    assert wrong(who=Who.TIERS) == [("tiers", Fault.NOBODY)]
    assert wrong(who=Who.TIERS, tiers=frozenset({"nickel"})) == [("tiers", Fault.NOBODY)]
    assert wrong(quota="-1", member_limit="0", holdout="91") == [
        ("member_limit", Fault.OUT_OF_RANGE),
        ("quota", Fault.NO_NUMBER),
        ("holdout", Fault.OUT_OF_RANGE),
    ]


@pytest.mark.check("W-72")
def test_local_times_are_right_on_both_sides_of_a_clock_change() -> None:
    for zone, typed, hour in (
        ("America/Chicago", "2026-03-07T08:00", 14),
        ("America/Chicago", "2026-03-08T08:00", 13),
        ("Europe/Istanbul", "2026-03-07T08:00", 5),
        ("Europe/Istanbul", "2026-03-08T08:00", 5),
        ("Europe/Berlin", "2026-10-24T08:00", 6),
        ("Europe/Berlin", "2026-10-25T08:00", 7),
    ):
        at = instant_of(typed, zone)
        assert at is not None
        assert at.hour == hour, (zone, typed)
        draft = replace(MAPLE, starts="", ends=typed)
        offer = parse(
            source_of(draft, replace(FINCH, zone=zone)), name="m", programme=replace(FINCH, zone=zone)
        )
        assert offer.window.ends_at == at


def test_the_same_form_makes_the_same_key_and_another_form_another() -> None:
    assert key_of(MAPLE, FINCH, "a") == key_of(MAPLE, FINCH, "a")
    assert key_of(MAPLE, FINCH, "a") != key_of(MAPLE, FINCH, "b")
    assert key_of(MAPLE, FINCH, "a").startswith("maple-cortado-is-back-")


@given(st.text(max_size=60))
def test_any_title_makes_a_key_that_an_offer_may_have(title: str) -> None:
    draft = replace(MAPLE, title={"en": title, "tr": title})
    assert parse(source_of(MAPLE, FINCH), name=key_of(draft, FINCH, "a"), programme=FINCH)


@given(st.text(max_size=45), st.text(max_size=45), st.text(max_size=12), st.text(max_size=12))
def test_what_the_form_finds_right_the_file_does_too(title: str, text: str, number: str, time: str) -> None:
    draft = replace(
        MAPLE,
        title={"en": title, "tr": title},
        text={"en": text, "tr": text},
        quota=number,
        ends=time or MAPLE.ends,
    )
    if not problems(draft, FINCH, now=NOW):
        parse(source_of(draft, FINCH), name="maple", programme=FINCH)
