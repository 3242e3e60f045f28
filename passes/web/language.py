"""Which language a page speaks, and how it writes numbers, money and times.

A person's own choice (a cookie) wins; then what the browser asks for, among
the languages that the page's programme has; then the programme's first one.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time, get_timezone_location, get_timezone_name
from flask import Flask, Response, g, request

from passes.language import LONGER, MIRRORED, SOURCE, choose, direction, languages, plural, say, shown
from passes.loyalty.card import FaceField, FieldKind
from passes.loyalty.money import Money, parse_amount
from passes.loyalty.refusals import Refused
from passes.web.here import installation

COOKIE = "passes_language"
_YEAR_SECONDS = 365 * 24 * 3600


def offered() -> tuple[str, ...]:
    """The languages that an address may ask for; the made-up ones help developers find mistakes."""
    return (*languages(), LONGER, MIRRORED) if installation().development else languages()


def speak(preferred: tuple[str, ...]) -> None:
    """Let this page default to these languages, the first one most."""
    g.preferred_languages = tuple(one for one in preferred if one in languages()) or (SOURCE,)
    g.pop("language", None)


def current() -> str:
    """The language of this page."""
    if "language" not in g:
        g.language = _chosen() or _asked_for()
    language: str = g.language
    return language


def _chosen() -> str | None:
    for wanted in (request.args.get("lang"), request.cookies.get(COOKIE)):
        if wanted in offered():
            return wanted
    return None


def _asked_for() -> str:
    preferred: tuple[str, ...] = g.get("preferred_languages", languages())
    for wanted, _ in request.accept_languages:
        found = choose(wanted, ("", *preferred))
        if found:
            return found
    return preferred[0]


def words(template: str, **values: object) -> str:
    """An English phrase in the page's language."""
    return say(current(), template, **values)


def words_of(refused: Refused) -> str:
    """Why the shop said no, in the page's language."""
    return say(current(), refused.words, **refused.values)


def counted(one: str, other: str, count: int, **values: object) -> str:
    """A phrase that depends on a count, in the page's language."""
    return plural(current(), one, other, count, **values)


def money(minor: int, currency: str) -> str:
    """An amount in minor units, written out."""
    return shown(current(), Money(minor, currency))


def number(value: int) -> str:
    """A whole number with its grouping."""
    return shown(current(), value)


def signed(value: int | Decimal) -> str:
    """A change, always with its sign; the minus is a real one."""
    return f"{'−' if value < 0 else '+'}{shown(current(), abs(value))}"


def decimal_signs() -> tuple[str, str]:
    """The decimal and the grouping sign that people of this page's language type."""
    return _decimal_signs(locale())


def currency_sign(currency: str) -> str:
    """How people of this page's language write a currency: $, ₺, or its code."""
    return _currency_sign(locale(), currency)


def read_amount(typed: str, currency: str) -> int:
    """Minor units of an amount as people write it in the page's language. Raises AmountInvalid."""
    decimal, group = decimal_signs()
    for sign in (currency, currency_sign(currency)):
        typed = typed.replace(sign, "")
    return parse_amount(typed.strip(), currency, decimal=decimal, group=group)


# Asked at every purchase, and slow: the tables of a language are merged with those it builds on.
@lru_cache(maxsize=64)
def _decimal_signs(spoken: Locale) -> tuple[str, str]:
    symbols = spoken.number_symbols["latn"]
    return symbols["decimal"], symbols["group"]


@lru_cache(maxsize=256)
def _currency_sign(spoken: Locale, currency: str) -> str:
    return str(spoken.currency_symbols.get(currency, currency))


def locale() -> Locale:
    """The page's locale for Babel; made-up languages write as English does."""
    return _locale(SOURCE if current() in (LONGER, MIRRORED) else current())


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(language, sep="-")


def clock(at: datetime, zone: str) -> str:
    """The time of day in this zone."""
    return str(format_time(at.astimezone(ZoneInfo(zone)), format="short", locale=locale()))


def moment(at: datetime, zone: str, now: datetime) -> str:
    """A time of today, or else a date with its time, in this zone."""
    local, today = at.astimezone(ZoneInfo(zone)), now.astimezone(ZoneInfo(zone)).date()
    if local.date() == today:
        return clock(at, zone)
    return f"{_day(at, zone)}, {clock(at, zone)}"


def starting(at: datetime, zone: str, now: datetime) -> str:
    """When something begins: a day alone where it begins with that day."""
    return _day(at, zone) if _is_midnight(at, zone) else moment(at, zone, now)


def ending(at: datetime, zone: str, now: datetime) -> str:
    """When something ends: the last whole day where it ends at midnight, which nobody reads right."""
    return _day(at - timedelta(seconds=1), zone) if _is_midnight(at, zone) else moment(at, zone, now)


def _is_midnight(at: datetime, zone: str) -> bool:
    return at.astimezone(ZoneInfo(zone)).time() == time()


def _day(at: datetime, zone: str) -> str:
    return str(format_date(at.astimezone(ZoneInfo(zone)).date(), format="medium", locale=locale()))


def place(zone: str) -> str:
    """What people call a zone: the city that it is named after."""
    return str(get_timezone_location(zone, locale=locale(), return_city=True))


def exact(at: datetime, zone: str) -> str:
    """A time in full with the name of its zone, for whoever points at it."""
    local = at.astimezone(ZoneInfo(zone))
    day = format_datetime(local, format="full", locale=locale())
    return f"{day} ({get_timezone_name(local, width='long', locale=locale())})"


def face_value(field: FaceField, zone: str) -> str:
    """One value of a card as a page shows it."""
    match field.kind:
        case FieldKind.NUMBER:
            return shown(current(), field.value)
        case FieldKind.MONEY:
            assert isinstance(field.value, int)
            assert field.currency is not None
            return money(field.value, field.currency)
        case FieldKind.INSTANT:
            assert isinstance(field.value, datetime)
            return f"{format_date(field.value.astimezone(ZoneInfo(zone)), locale=locale())}"
        case FieldKind.TEXT:
            return str(field.value)


def switch() -> list[tuple[str, str, str, bool]]:
    """(language, its own name, address of this page in it, is it this one) for the language switch."""
    rest = [(name, value) for name, value in request.args.items(multi=True) if name != "lang"]
    return [
        (
            language,
            own_name(language),
            f"{request.path}?{urlencode([*rest, ('lang', language)])}",
            language == current(),
        )
        for language in languages()
    ]


def own_name(language: str) -> str:
    """What speakers of a language call it."""
    found = Locale.parse(language, sep="-")
    name = found.get_display_name() or language
    return name[:1].upper() + name[1:]


def register(app: Flask) -> None:
    """Give templates the words, and remember a language that somebody chose."""
    app.jinja_env.globals.update(
        _=words,
        counted=counted,
        money=money,
        number=number,
        signed=signed,
        clock=clock,
        moment=moment,
        exact=exact,
        starting=starting,
        ending=ending,
        place=place,
        face_value=face_value,
        words_of=words_of,
        page_language=current,
        page_direction=lambda: direction(current()),
        language_switch=switch,
    )

    @app.after_request
    def remember(answer: Response) -> Response:
        if not request.query_string:
            return answer
        wanted = request.args.get("lang")
        if wanted and wanted in offered() and request.cookies.get(COOKIE) != wanted:
            answer.set_cookie(
                COOKIE,
                wanted,
                max_age=_YEAR_SECONDS,
                samesite="Lax",
                httponly=True,
                secure=installation().public_url.startswith("https:"),
            )
        return answer
