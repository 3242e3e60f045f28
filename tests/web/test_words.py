"""Every phrase of the pages in every language."""

from __future__ import annotations

import re

import pytest

from passes.language import languages, plural, say
from passes.loyalty.refusals import Refused
from tests.web import phrases

# The same in every language: nothing in them but places to fill in.
SAME = {"%(amount)s = %(points)s %(unit)s"}


@pytest.mark.check("W-10")
@pytest.mark.parametrize("language", [one for one in languages() if one != "en"])
def test_no_page_falls_back_to_english(language: str) -> None:
    missing = {
        phrase
        for phrase in phrases.of_templates() | phrases.of_code() | {one.words for one in _refusals(Refused)}
        if say(language, phrase) == phrase and phrase not in SAME
    }
    for one, other in phrases.pairs():
        missing -= {one, other}
        values = dict.fromkeys(set(re.findall(r"%\((\w+)\)s", other)) - {"count"}, "x")
        assert plural(language, one, other, 2, **values) != plural("en", one, other, 2, **values)
    assert missing == set()


def test_the_search_for_phrases_finds_them() -> None:
    assert "Ten seconds, no app." in phrases.of_templates()
    assert "Your name" in phrases.of_code()
    assert "Something went wrong" in phrases.of_code()


def _refusals(kind: type[Refused]) -> list[type[Refused]]:
    return [kind, *(below for one in kind.__subclasses__() for below in _refusals(one))]
