"""What a field of a card looks like on the phone's glass: numbers, money, dates, links.

Wallet formats by the phone's language, not by the shop's; the keys are those
of Apple's `PassFieldContent`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from html.parser import HTMLParser
from urllib.parse import urlsplit

from passes.emulators.wallet_file import Field, InstalledPass

_LINK_SCHEMES = frozenset({"http", "https", "mailto", "tel"})
_BABEL_STYLES = {
    "PKDateStyleShort": "short",
    "PKDateStyleMedium": "medium",
    "PKDateStyleLong": "long",
    "PKDateStyleFull": "full",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text; `link` is where it leads, if anywhere."""

    text: str
    link: str | None = None


def label_of(field: Field, installed: InstalledPass, language: str) -> str:
    """The field's label in the phone's language."""
    return installed.translate(field.label, language)


def text_of(field: Field, installed: InstalledPass, language: str, zone: tzinfo) -> str:
    """The field's value as plain text, formatted for the phone's language and zone."""
    source, value = field.source, field.value
    if isinstance(value, str):
        if "dateStyle" in source or "timeStyle" in source:
            return _date(field, language, zone)
        return installed.translate(value, language)
    # Locale data is large; only a card that needs it pays for it.
    from babel import numbers

    if currency := source.get("currencyCode"):
        return numbers.format_currency(value, str(currency), locale=_locale(language))
    style = source.get("numberStyle")
    if style == "PKNumberStyleDecimal":
        return numbers.format_decimal(value, locale=_locale(language))
    if style == "PKNumberStylePercent":
        return numbers.format_percent(value, locale=_locale(language))
    if style == "PKNumberStyleScientific":
        return numbers.format_scientific(value, locale=_locale(language))
    return str(value)


def runs_of(field: Field, installed: InstalledPass, language: str, zone: tzinfo) -> list[Run]:
    """The field as the back of the card shows it: `attributedValue` wins, its links are links.

    Only http(s), mail and telephone links lead anywhere; every other tag is dropped.
    """
    attributed = field.source.get("attributedValue")
    if not isinstance(attributed, str):
        return [Run(text_of(field, installed, language, zone))]
    reader = _LinkReader()
    reader.feed(installed.translate(attributed, language))
    reader.close()
    return reader.runs


class _LinkReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.runs: list[Run] = []
        self._link: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            target = dict(attrs).get("href") or ""
            self._link = target if urlsplit(target).scheme in _LINK_SCHEMES else None

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._link = None

    def handle_data(self, data: str) -> None:
        self.runs.append(Run(data, self._link))


def _locale(language: str) -> str:
    return language.replace("-", "_")


def _date(field: Field, language: str, zone: tzinfo) -> str:
    from babel import dates

    moment = datetime.fromisoformat(str(field.value))
    if not field.source.get("ignoresTimeZone"):
        moment = moment.astimezone(zone)
    parts = []
    if style := _BABEL_STYLES.get(field.source.get("dateStyle", "")):
        parts.append(dates.format_date(moment, style, locale=_locale(language)))
    if style := _BABEL_STYLES.get(field.source.get("timeStyle", "")):
        parts.append(dates.format_time(moment, style, tzinfo=moment.tzinfo, locale=_locale(language)))
    return " ".join(parts)
