from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

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
PLACES = re.compile(r"%\([a-z_]+\)s|%%@|%%|%@")


def words_in_code() -> Iterator[tuple[str, str]]:
    """Every refusal's words and every template given to `say` or `plural`, with its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "emulators" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        refusals = {node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and _is_refusal(node)}
        for node in ast.walk(tree):
            texts: list[ast.expr] = []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                texts = node.args[1:2] if name == "say" else node.args[1:3] if name == "plural" else []
            elif isinstance(node, ast.ClassDef) and node in refusals:
                texts = [
                    line.value
                    for line in node.body
                    if isinstance(line, ast.Assign | ast.AnnAssign)
                    and line.value
                    and "words" in ast.unparse(line)[:6]
                ]
            for text in texts:
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield text.value, str(path.relative_to(PACKAGE))


def _is_refusal(node: ast.ClassDef) -> bool:
    return node.name == "Refused" or any(ast.unparse(base).endswith("Refused") for base in node.bases)


def card_words() -> Iterator[tuple[str, str]]:
    """The card's templates that reach `say` through a table."""
    tree = ast.parse((PACKAGE / "loyalty" / "card.py").read_text(encoding="utf-8"))
    tables: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            tables += node.values
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "fields":
            tables += [
                row.elts[1]
                for row in ast.walk(node.value)
                if isinstance(row, ast.Tuple) and row is not node.value
            ]
    for text in tables:
        if isinstance(text, ast.Constant) and isinstance(text.value, str):
            yield text.value, "loyalty/card.py"


ALL_WORDS = sorted(dict([*words_in_code(), *card_words()]).items())


def test_the_search_for_words_finds_them() -> None:
    found = dict(ALL_WORDS)
    assert len(found) > 45
    assert {"Next: %(reward)s", "Rewards", "Part points are dropped.", "No card has this number."} <= set(
        found
    )


@pytest.mark.parametrize("language", [language for language in languages() if language != "en"])
def test_every_sentence_is_translated_with_the_same_places(language: str) -> None:
    with (TRANSLATIONS / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    problems = []
    for words, path in ALL_WORDS:
        message = catalogue.get(words)
        if message is None or not message.string or message.fuzzy:
            problems.append(f"{path}: not translated: {words}")
            continue
        strings = [message.string] if isinstance(message.string, str) else list(message.string)
        for string in strings:
            if sorted(PLACES.findall(words)) != sorted(PLACES.findall(string)):
                problems.append(f"{path}: other places than {words}: {string}")
    assert not problems, "\n".join(problems)


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
