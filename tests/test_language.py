from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

import passes
from passes.language import (
    TRANSLATIONS,
    choose,
    direction,
    languages,
    plural,
    say,
    shown,
)
from passes.loyalty.money import Money
from passes.loyalty.refusals import AmountTooLarge, NotEnoughPoints

PACKAGE = Path(passes.__file__).parent
TEMPLATES = PACKAGE.parent / "templates"
PLACES = re.compile(r"%\([a-z_]+\)s|%%@|%%|%@")

# Who takes a template, and as which argument; the last two take one and many.
SPEAKERS = {"say": 1, "words": 0, "_": 0, "plural": 1, "counted": 0}
COUNTING = {"plural", "counted"}
EVERYWHERE = {"say", "plural"}  # the others are names of the pages' own


@dataclass(frozen=True)
class Phrase:
    """An English template as the code has it; `other` when it depends on a count."""

    words: str
    other: str | None
    path: str


def phrases_in_code() -> Iterator[Phrase]:
    """Every refusal's words and every template that is said."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "emulators" in path.parts:
            continue
        place = str(path.relative_to(PACKAGE.parent))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if name in SPEAKERS and (name in EVERYWHERE or "web" in path.parts):
                    given = [_text(argument) for argument in node.args[SPEAKERS[name] :]]
                    yield from _phrase(name, given, place)
            elif isinstance(node, ast.ClassDef) and _is_refusal(node):
                for line in node.body:
                    if isinstance(line, ast.Assign | ast.AnnAssign) and line.value:
                        target = line.targets[0] if isinstance(line, ast.Assign) else line.target
                        if ast.unparse(target) == "words":
                            yield from _phrase("words", [_text(line.value)], place)


def phrases_in_tables() -> Iterator[Phrase]:
    """The card's templates that reach `say` through a table."""
    tables: list[ast.expr] = []
    for node in ast.walk(ast.parse((PACKAGE / "loyalty" / "card.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict):
            tables += node.values
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "fields":
            rows = [
                row for row in ast.walk(node.value) if isinstance(row, ast.Tuple) and row is not node.value
            ]
            tables += [row.elts[1] for row in rows]
    for text in tables:
        yield from _phrase("words", [_text(text)], "passes/loyalty/card.py")


def phrases_in_pages() -> Iterator[Phrase]:
    """The templates that pages say."""
    environment = Environment(autoescape=True)
    for path in sorted(TEMPLATES.rglob("*.html")):
        for call in environment.parse(path.read_text(encoding="utf-8")).find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name in SPEAKERS:
                given = [
                    argument.value if isinstance(argument, nodes.Const) else None
                    for argument in call.args[SPEAKERS[call.node.name] :]
                ]
                yield from _phrase(call.node.name, given, str(path.relative_to(PACKAGE.parent)))


def _phrase(name: str, given: list[str | None], path: str) -> Iterator[Phrase]:
    if given and given[0] is not None:
        other = given[1] if name in COUNTING and len(given) > 1 else None
        yield Phrase(given[0], other, path)


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_refusal(node: ast.ClassDef) -> bool:
    return node.name == "Refused" or any(ast.unparse(base).endswith("Refused") for base in node.bases)


ALL_PHRASES = [*phrases_in_code(), *phrases_in_tables(), *phrases_in_pages()]


def test_the_search_for_words_finds_them() -> None:
    found = {phrase.words for phrase in ALL_PHRASES}
    assert len(found) > 45
    assert {"Next: %(reward)s", "Rewards", "Part points are dropped.", "No card has this number."} <= found


@pytest.mark.parametrize("language", [language for language in languages() if language != "en"])
def test_every_sentence_is_translated_with_the_same_places(language: str) -> None:
    with (TRANSLATIONS / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    problems = set()
    for phrase in ALL_PHRASES:
        message = catalogue.get(phrase.words)
        said = message.string if message and message.string else ()
        strings = (said,) if isinstance(said, str) else tuple(said)
        if message is None or not strings or not all(strings) or message.fuzzy:
            problems.add(f"{phrase.path}: not translated: {phrase.words}")
        elif isinstance(message.id, str) != (phrase.other is None):
            problems.add(f"{phrase.path}: depends on a count in one place only: {phrase.words}")
        for string in strings:
            if sorted(PLACES.findall(string)) != sorted(PLACES.findall(phrase.other or phrase.words)):
                problems.add(f"{phrase.path}: other places than {phrase.words}: {string}")
    assert not problems, "\n".join(sorted(problems))


def test_turkish_is_offered_beside_english() -> None:
    assert languages()[:1] == ("en",)
    assert "tr" in languages()


def test_a_refusal_is_said_in_the_persons_language() -> None:
    refusal = AmountTooLarge(limit=Money(50_000, "USD"))
    assert (
        say("en", refusal.words, **refusal.values)
        == "This amount is above the limit of $500.00 for one purchase."
    )
    assert (
        say("tr", refusal.words, **refusal.values)
        == "Bu tutar, tek alışverişteki $500,00 sınırının üzerinde."
    )
    assert str(refusal) == "This amount is above the limit of 500.00 USD for one purchase."
    beans = NotEnoughPoints(unit="beans", needed=1800, available=640)
    assert say("en", beans.words, **beans.values) == "Not enough beans: this needs 1,800, there are 640."


def test_a_country_reads_its_language_and_an_unknown_language_reads_english() -> None:
    assert say("tr-TR", "Rewards") == say("tr_TR", "Rewards") == "Ödüller"
    for language in ("de", "", "../../etc", "tr/../tr", "x" * 500, "%s"):
        assert say(language, "Rewards") == "Rewards"
        assert shown(language, 7) == "7"
        assert direction(language) == "ltr"


def test_words_without_a_translation_stay_english() -> None:
    assert say("tr", "Nobody wrote this: %(what)s", what=1) == "Nobody wrote this: 1"


def test_a_percent_sign_is_only_a_percent_sign_where_nothing_is_filled_in() -> None:
    assert say("en", "100 % coffee") == "100 % coffee"
    assert say("en", "%(name)s", name="100 %(x)s") == "100 %(x)s"


@pytest.mark.parametrize(
    ("language", "value", "text"),
    [
        ("en", 1234567, "1,234,567"),
        ("tr", 1234567, "1.234.567"),
        ("tr", Decimal("1.2"), "1,2"),
        ("en", Money(1240, "USD"), "$12.40"),
        ("tr", Money(123450, "TRY"), "₺1.234,50"),
        ("en", Money(1000, "TRY"), "TRY\u00a010.00"),
        ("en", Money(500, "JPY"), "¥500"),
        ("en", Money(1234, "KWD"), "KWD\u00a01.234"),
        ("en", Money(1234, "IQD"), "IQD\u00a01.234"),
        ("de", Money(123450, "EUR"), "1.234,50\u00a0€"),
        ("en", True, "True"),
        ("en", "2026", "2026"),
    ],
)
def test_values_are_written_as_the_language_writes_them(language: str, value: object, text: str) -> None:
    assert shown(language, value) == text


def test_counts_choose_their_words() -> None:
    assert plural("en", "%(count)s bean", "%(count)s beans", 1) == "1 bean"
    assert plural("en", "%(count)s bean", "%(count)s beans", -1) == "-1 bean"
    assert plural("en", "%(count)s bean", "%(count)s beans", 1200) == "1,200 beans"
    assert plural("tr", "%(count)s %(unit)s", "%(count)s %(unit)s", 0, unit="yaprak") == "0 yaprak"


def test_the_longer_language_is_a_third_longer_and_keeps_the_places() -> None:
    words = "Not enough %(unit)s: this needs %(needed)s."
    text = say("en-XA", words, unit="beans", needed=5)
    assert text.startswith("[Ñöţ éñöûĝĥ beans: ")
    assert len(text) >= len(say("en", words, unit="beans", needed=5)) * 1.3
    assert "%@" in say("en-XA", "You now have %%@ %(unit)s", unit="beans")


def test_the_mirrored_language_runs_from_right_to_left() -> None:
    assert direction("ar-XB") == direction("ar") == direction("he") == "rtl"
    assert direction("en") == direction("tr") == direction("en-XA") == "ltr"
    assert (
        say("ar-XB", "%(count)s to go", count=5) == "5 \u200f\u202eto\u202c\u200f \u200f\u202ego\u202c\u200f"
    )


def test_the_best_of_the_offered_languages_is_chosen() -> None:
    assert choose("tr", ("en", "tr")) == "tr"
    assert choose("tr-TR", ("en", "tr")) == "tr"
    assert choose("de", ("tr", "en")) == "tr"
    assert choose(None, ("tr", "en")) == "tr"
