"""Words are measured with the font that pages show, shrink before they are cut, and stay whole letters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.faces.lettering import ELLIPSIS, LIGHT, SEMIBOLD, cut, fit, leftwards, shrunk, width, wrap
from tests.faces.samples import NAMES

ANYTHING = st.text(max_size=80)


def test_words_are_about_as_wide_as_on_a_phone_whose_font_is_a_little_narrower() -> None:
    # Widths on public screenshots of iPhones, in points of a card 375 wide.
    assert width("123456", 23) == pytest.approx(74, rel=0.08)
    assert width("23001208654", 14.6, LIGHT) == pytest.approx(88.5, rel=0.08)
    assert width("ID CONTACT", 12, SEMIBOLD) == pytest.approx(72, rel=0.08)


def test_heavier_letters_are_wider_and_larger_ones_relatively_narrower() -> None:
    assert width("Member", 12, SEMIBOLD) > width("Member", 12)
    assert width("Member", 32) / 32 < width("Member", 14) / 14


def test_turkish_letters_are_measured_not_guessed() -> None:
    assert fit("Uçuş ığüşöç İIĞÜŞÖÇ ₺25,00", 500, size=20).sure


def test_what_fits_keeps_its_size_and_its_letters() -> None:
    line = fit("Flight", 100, size=28, least=14)
    assert (line.text, line.size) == ("Flight", 28)


def test_what_does_not_fit_shrinks_no_more_than_it_must() -> None:
    line = fit("Maple Cortado is back", 200, size=28, least=14)
    assert line.text == "Maple Cortado is back"
    assert 190 < line.width <= 200


def test_what_does_not_fit_at_the_smallest_size_is_cut() -> None:
    line = fit("Maple Cortado is back", 100, size=28, least=14)
    assert line.size == 14
    assert line.text.startswith("Maple Cort")
    assert line.text.endswith(ELLIPSIS)
    assert line.width <= 100


@given(ANYTHING, st.floats(20, 300), st.sampled_from([LIGHT, SEMIBOLD]))
def test_no_text_is_wider_than_its_room(text: str, room: float, weight: int) -> None:
    line = fit(text, room, size=28.6, least=14.6, weight=weight)
    assert line.width <= room or line.text == ELLIPSIS
    assert 14.6 <= line.size <= 28.6


@given(ANYTHING)
def test_a_cut_never_parts_a_letter_from_its_marks(text: str) -> None:
    kept = cut(text, 60, size=15)
    if kept != text:
        rest = text[len(kept.removesuffix(ELLIPSIS)) :].lstrip()
        assert not rest or unicodedata.category(rest[0]) not in ("Mn", "Me", "Mc", "Cf")


def test_a_family_of_emoji_and_a_flag_are_kept_whole_or_not_at_all() -> None:
    family, flag = "👩‍👩‍👧‍👦", "🇹🇷"
    for room in range(10, 200, 3):
        kept = cut(f"{family}{flag}{family}{flag}", room, size=15).removesuffix(ELLIPSIS)
        assert kept.replace(family, "").replace(flag, "") == ""


@given(ANYTHING, st.floats(14, 40))
def test_shrinking_finds_a_size_between_the_limits(text: str, size: float) -> None:
    assert 12 <= shrunk(text, 80, size=size, least=12) <= size


@given(st.text("abc déİ\n", max_size=200))
def test_wrapped_lines_hold_every_word_and_none_is_too_wide(text: str) -> None:
    lines = wrap(text, 90, size=15)
    assert "".join("".join(line.text.split()) for line in lines) == "".join(text.split())
    assert all(line.width <= 91 for line in lines)


def test_line_breaks_of_the_text_stay() -> None:
    assert [line.text for line in wrap("one\n\ntwo three", 400, size=15)] == ["one", "", "two three"]


@pytest.mark.parametrize(
    ("text", "expected"), [("Ana", False), ("42 محمد", True), ("", False), ("דנה", True)]
)
def test_the_first_letter_decides_the_direction(text: str, expected: bool) -> None:
    assert leftwards(text) is expected


@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_script_have_a_width(name: str) -> None:
    assert 0 < width(name, 20) < 20 * len(name) * 1.5
