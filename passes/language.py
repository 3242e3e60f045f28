"""Words in the languages of the people who read them.

English is written in the code; other languages come from the `.po` files in
`translations/`, read once when first needed. Numbers, amounts and decimals
that are filled in are written the way the language writes them. Two made-up
languages find mistakes: `en-XA` is accented and a third longer, `ar-XB` runs
from right to left.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal

TRANSLATIONS = Path(__file__).parent / "translations"
SOURCE = "en"
LONGER = "en-XA"
MIRRORED = "ar-XB"


@runtime_checkable
class Amount(Protocol):
    """Money, as far as writing it needs: `minor` units, of which `digits` follow the decimal sign."""

    @property
    def minor(self) -> int: ...
    @property
    def currency(self) -> str: ...
    @property
    def digits(self) -> int: ...


def say(language: str, words: str, **values: object) -> str:
    """The English template `words` in a language, with its `%(name)s` filled in.

    Falls back to English where a translation is missing. Integers and Decimals
    get the language's digits grouping, money its currency, days their month's
    name; give a str where a number is only a name (a year, a code).
    """
    return _filled(language, _translated(language, words), values)


def plural(language: str, one: str, other: str, count: int, **values: object) -> str:
    """Like `say` for a template that depends on a count, which fills in `%(count)s`."""
    catalogue = _catalogue(_base(language))
    forms = catalogue.plurals.get(one)
    template = forms[catalogue.form(abs(count))] if forms else one if abs(count) == 1 else other
    return _filled(language, _disguised(language, template), {"count": count, **values})


def shown(language: str, value: object) -> str:
    """A value the way this language writes it."""
    match value:
        case str() | bool():
            return str(value)
        case int() | Decimal():
            return _number(language, value)
        case Amount():
            return _money(language, value.minor, value.currency, value.digits)
        case date() if not isinstance(value, datetime):
            return _day(language, value)
    return str(value)


# Kept, because a card writes a dozen numbers and most of them stand on every card.
@lru_cache(maxsize=4096, typed=True)
def _number(language: str, value: int | Decimal) -> str:
    return format_decimal(value, locale=_locale(language), decimal_quantization=False)


@lru_cache(maxsize=4096, typed=True)
def _money(language: str, minor: int, currency: str, digits: int) -> str:
    locale = _locale(language)
    pattern = _currency_pattern(locale, digits)
    amount = Decimal(minor).scaleb(-digits)
    text = format_currency(amount, currency, pattern, locale=locale, currency_digits=False)
    # CLDR wants a space between a currency's letters and the number, which Babel leaves out.
    return re.sub(r"(?<=[^\W\d_])(?=\d)", "\u00a0", text)


@lru_cache(maxsize=256)
def _day(language: str, value: date) -> str:
    return format_date(value, "long", locale=_locale(language))


@lru_cache(maxsize=1)
def languages() -> tuple[str, ...]:
    """The languages people may choose: English and every one that has a translation."""
    found = sorted(path.parts[-3] for path in TRANSLATIONS.glob("*/LC_MESSAGES/messages.po"))
    return (SOURCE, *(language.replace("_", "-") for language in found if language != SOURCE))


def direction(language: str) -> str:
    """`ltr` or `rtl`, for the page's `dir`."""
    return "rtl" if language == MIRRORED else _locale(language).text_direction


def choose(wanted: str | None, offered: tuple[str, ...]) -> str:
    """The best of the offered languages for an `Accept-Language`-like tag; the first one when none fits."""
    if wanted in offered:
        return str(wanted)
    return next((language for language in offered if _base(language) == _base(wanted or "")), offered[0])


# Catalogues -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Catalogue:
    words: Mapping[str, str]
    plurals: Mapping[str, tuple[str, ...]]
    form: Callable[[int], int]


@lru_cache(maxsize=64)
def _catalogue(base: str) -> _Catalogue:
    """What the `.po` file of a language says; empty when there is none."""
    path = TRANSLATIONS / base / "LC_MESSAGES" / "messages.po"
    words: dict[str, str] = {}
    plurals: dict[str, tuple[str, ...]] = {}
    # The base language came from outside: it names a file only if it is one of those that exist.
    if base not in languages() or not path.is_file():
        return _Catalogue(words, plurals, lambda count: int(count != 1))
    with path.open("rb") as file:
        catalogue = read_po(file, locale=base)
    for message in catalogue:
        if not message.id or message.fuzzy:
            continue
        strings = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
        if not all(strings):
            continue
        if isinstance(message.id, str):
            words[message.id] = strings[0]
        else:
            plurals[message.id[0]] = strings
    return _Catalogue(words, plurals, gettext.c2py(catalogue.plural_expr))


def _translated(language: str, words: str) -> str:
    return _disguised(language, _catalogue(_base(language)).words.get(words, words))


def _filled(language: str, template: str, values: Mapping[str, object]) -> str:
    # Without values a percent sign is only that, as in a refusal's own words.
    if not values:
        return template
    return template % {name: shown(language, value) for name, value in values.items()}


@lru_cache(maxsize=256)
def _currency_pattern(locale: Locale, digits: int) -> str:
    """The locale's way to write money, with as many decimals as the currency has.

    The locale's own data would round some away: it gives the Iraqi dinar none, ISO 4217 three.
    """
    pattern: str = locale.currency_formats["standard"].pattern
    return re.sub(r"0(\.0+)?(?=[^0]|$)", "0." + "0" * digits if digits else "0", pattern)


@lru_cache(maxsize=64)
def _locale(language: str) -> Locale:
    try:
        return Locale.parse(_base(language), sep="-")
    except (ValueError, UnknownLocaleError):
        return Locale.parse(SOURCE)


def _base(language: str) -> str:
    """The language without its country: `tr-TR` is read from `tr`. The made-up ones are English inside."""
    if language in (LONGER, MIRRORED):
        return SOURCE
    return language.replace("_", "-").partition("-")[0].lower()


# Made-up languages ----------------------------------------------------------

_PLACE = re.compile(r"(%\([a-z_]+\)s|%%@|%%|%@|\n)")
_ACCENTS = str.maketrans(
    "AaCcDdEeGgHhIiJjKkLlNnOoRrSsTtUuWwYyZz",
    "ÅåÇçÐðÉéĜĝĤĥÎîĴĵĶķĻļÑñÖöŔŕŠšŢţÛûŴŵÝýŽž",
)


def _disguised(language: str, template: str) -> str:
    """English made to look foreign, for the made-up languages; anything else as it is."""
    if language == LONGER:
        parts = _PLACE.split(template)
        accented = "".join(part if _PLACE.fullmatch(part) else part.translate(_ACCENTS) for part in parts)
        return f"[{accented} {'~' * (len(template) * 3 // 10 + 1)}]"
    if language == MIRRORED:
        # Right-to-left override around every word, as Android's ar-XB does.
        return "".join(
            part if _PLACE.fullmatch(part) else re.sub(r"(\S+)", "\u200f\u202e\\1\u202c\u200f", part)
            for part in _PLACE.split(template)
        )
    return template
