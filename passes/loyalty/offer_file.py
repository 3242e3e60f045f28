"""Reads an offer file: text in, a checked Offer out.

It is checked against a programme, whose languages, currency, zone, shops,
categories and tiers it may name. All mistakes are collected before refusing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from fractions import Fraction
from zoneinfo import available_timezones

from passes.loyalty import placeholders
from passes.loyalty.condition_file import condition
from passes.loyalty.conditions import Condition, Segment, Window
from passes.loyalty.money import Money
from passes.loyalty.offers import (
    AmountOff,
    Audience,
    BonusPoints,
    CodeKind,
    Effect,
    FreeItem,
    Offer,
    PercentOff,
    PointsTimes,
    Scope,
    Stacking,
    folded,
)
from passes.loyalty.placeholders import Say, Value
from passes.loyalty.programme import Programme
from passes.loyalty.programme_file import plainly
from passes.loyalty.refusals import OfferInvalid
from passes.loyalty.text import Text
from passes.loyalty.toml_table import KEY, POINTS_MAX, File, Table, decimal, lines_of, shown

TEXT_LENGTH_MAX = 50_000
"""Longer files are not even parsed."""

USES_MAX = 1_000_000_000
PRIORITY_MAX = 1_000
HOLDOUT_PERCENT_MAX = 90

_CODE = re.compile(r"[0-9A-Z]{4,24}")


class EffectKind(StrEnum):
    """What an offer file may say that its offer does."""

    PERCENT_OFF = "percent_off"
    AMOUNT_OFF = "amount_off"
    FREE_ITEM = "free_item"
    BONUS_POINTS = "bonus_points"
    POINTS_TIMES = "points_times"


_DISCOUNTS = {EffectKind.PERCENT_OFF, EffectKind.AMOUNT_OFF, EffectKind.FREE_ITEM}


def parse(text: str, *, name: str, programme: Programme, say: Say = plainly) -> Offer:
    """The offer that a file describes.

    `name` is the file's name, with or without `.toml`; it becomes the key.
    `say` writes the numbers in its texts, as for programme files. Raises
    OfferInvalid, and nothing else: its values carry `summary` and `problems`.
    """
    if len(text) > TEXT_LENGTH_MAX:
        raise _refusal([f"the file has more than {TEXT_LENGTH_MAX} characters"])
    try:
        content = tomllib.loads(text, parse_float=decimal)
    except RecursionError:
        raise _refusal(["the file is nested too deeply"]) from None
    except ValueError as problem:
        raise _refusal([f"this is not TOML: {problem}"]) from None
    file = File(
        lines=lines_of(text),
        languages=programme.languages,
        currency=programme.currency,
        zone=programme.zone,
        known={
            "category": programme.categories,
            "shop": frozenset(shop.key for shop in programme.shops),
            "tier": frozenset(tier.key for tier in programme.tiers),
            "consent": frozenset(consent.purpose for consent in programme.consents),
        },
    )
    offer = _offer(Table(file, (), content), name.removesuffix(".toml"))
    for table in file.tables:
        table.refuse_unknown_keys()
    values = {**placeholders.names(programme), **names(offer, programme.currency)}
    _check_promises(file, None if file.problems else values, programme.language)
    if file.problems:
        raise _refusal(file.problems)

    def said(words: Text) -> Text:
        return Text(tuple((one, placeholders.filled_in(each, values, one, say)) for one, each in words.pairs))

    return replace(offer, title=said(offer.title), text=said(offer.text))


def names(offer: Offer, currency: str) -> Mapping[str, Value]:
    """Every name that the texts of an offer may use beside those of its programme."""
    effect = offer.effect
    found: dict[str, Value | None] = {
        "offer.minimum": _money(offer.minimum_minor, currency),
        "offer.quota": offer.quota,
        "offer.member_limit": offer.member_limit,
        "offer.code": offer.code,
    }
    match effect:
        case PercentOff(percent=percent, most_minor=most):
            found |= {"offer.percent": percent, "offer.most": _money(most, currency)}
        case AmountOff(amount_minor=amount, most_minor=most):
            found |= {"offer.amount": _money(amount, currency), "offer.most": _money(most, currency)}
        case FreeItem(most_minor=most):
            found |= {"offer.most": _money(most, currency)}
        case BonusPoints(points=points):
            found |= {"offer.points": points}
        case PointsTimes(factor=factor):
            found |= {"offer.factor": decimal(str(factor.numerator)) / factor.denominator}
    return {name: value for name, value in found.items() if value is not None}


def _money(minor: int | None, currency: str) -> Money | None:
    return Money(minor, currency) if minor else None


def _refusal(problems: list[str]) -> OfferInvalid:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return OfferInvalid(summary=problems[0] + more, problems=problems)


def _check_promises(file: File, values: Mapping[str, Value] | None, language: str) -> None:
    """Note every text that states a number of its own or names a rule that is not there."""
    for promise in file.promises:
        problems = placeholders.check(promise.text, values)
        if values is not None and not problems:
            length = len(placeholders.filled_in(promise.text, values, language, plainly))
            if length > promise.limit:
                problems = [f"must have at most {promise.limit} characters, not {length}"]
        file.problems += [file.located(promise.path, problem) for problem in problems]


def _offer(top: Table, key: str) -> Offer:
    if not KEY.fullmatch(key) or len(key) > 40:
        top.note(
            None, f"the file's name {key[:60]!r} may only have small letters, digits and dashes, at most 40"
        )
    if top.has("zone"):
        top.file.zone = top.one_of("zone", available_timezones(), "an IANA time zone") or top.file.zone
    when = condition(top)
    kind = top.choice("effect", EffectKind.PERCENT_OFF) if top.has("effect") else None
    if kind is None:
        top.take("effect")
    audience, segment, product = _audience(top, when)
    code_kind, code = _code(top)
    is_discount = kind in _DISCOUNTS
    return Offer(
        key=key,
        title=top.promise("title", limit=40),
        text=top.promise("text", limit=300, lines=True),
        effect=_effect(top, kind or EffectKind.PERCENT_OFF),
        window=_window(top, when),
        quota=top.whole_or_none("quota", least=1, most=USES_MAX),
        member_limit=top.whole_or_none("member_limit", least=1, most=USES_MAX),
        budget_minor=top.amount_or_none("budget")
        if top.belongs("budget", is_discount, "an offer that takes money off")
        else None,
        audience=audience,
        segment=segment,
        product=product,
        new_members_only=top.flag("new_members_only", default=False),
        minimum_minor=when.minimum_minor,
        categories=when.categories,
        skus=when.skus,
        brands=when.brands,
        locations=when.locations,
        channels=when.channels,
        code_kind=code_kind,
        code=code,
        stacking=top.choice("stacking", Stacking.STACKABLE),
        group=top.key("group") if top.has("group") else None,
        priority=top.whole("priority", least=-PRIORITY_MAX, most=PRIORITY_MAX, default=0),
        holdout_percent=top.whole("holdout_percent", least=0, most=HOLDOUT_PERCENT_MAX, default=0),
        restore_on_return=top.flag("restore_on_return", default=False),
        rings=top.flag("rings", default=False),
        by_day=top.flag("by_day", default=False),
        partner=top.text("partner", limit=64, default=""),
    )


def _window(top: Table, when: Condition) -> Window:
    if when.window is None or when.window.ends_at is None:
        top.note("when", "until is missing: an offer has an end")
    return when.window or Window(top.file.zone)


def _audience(top: Table, when: Condition) -> tuple[Audience, Segment | None, str | None]:
    """Whom it is for: who asked for the product, who is in the segment (or of the tiers), or everybody."""
    product = top.key("product") if top.has("product") else None
    segment = when.segment
    if when.tiers:
        wanted = segment or Segment()
        segment = replace(wanted, tiers=when.tiers & wanted.tiers if wanted.tiers else when.tiers)
        if not segment.tiers:
            top.note("when", "tiers and segment.tiers have nothing in common, so this is for nobody")
    if product is not None and segment is not None:
        top.note("product", "an offer is for those who asked for a product or for a segment, not for both")
    if product is not None:
        return Audience.REQUESTED, None, product
    return (Audience.SEGMENT, segment, None) if segment else (Audience.ALL, None, None)


def _code(top: Table) -> tuple[CodeKind, str | None]:
    unique = top.flag("unique_codes", default=False)
    if not top.has("code"):
        return (CodeKind.UNIQUE if unique else CodeKind.NONE), None
    text = top.text("code", limit=40)
    code = folded(text)
    if text and not _CODE.fullmatch(code):
        top.note("code", f"must be 4 to 24 letters A to Z and digits, not {shown(text)}")
    if unique:
        top.note("code", "cannot be given together with unique_codes: each of those is made by chance")
    return CodeKind.SHARED, code


def _effect(top: Table, kind: EffectKind) -> Effect:
    percent, amount, points, factor, most = 1, 1, 1, Fraction(1), None
    if top.belongs("percent", kind is EffectKind.PERCENT_OFF, "percent_off"):
        percent = top.whole("percent", least=1, most=100)
    if top.belongs("amount", kind is EffectKind.AMOUNT_OFF, "amount_off"):
        amount = top.amount("amount", least=1)
    if top.belongs("points", kind is EffectKind.BONUS_POINTS, "bonus_points"):
        points = top.whole("points", least=1, most=POINTS_MAX)
    if top.belongs("factor", kind is EffectKind.POINTS_TIMES, "points_times"):
        factor = top.factor("factor")
        if factor <= 1:
            top.note("factor", f"must be above 1, or the offer gives nothing, not {factor}")
    scope = Scope.ORDER
    if top.belongs("scope", kind in _DISCOUNTS - {EffectKind.FREE_ITEM}, "percent_off and amount_off"):
        scope = top.choice("scope", Scope.ORDER)
    is_bounded = kind in _DISCOUNTS and not (kind is EffectKind.AMOUNT_OFF and scope is Scope.ORDER)
    if top.belongs("most", is_bounded, "percent_off, free_item, and amount_off of items"):
        most = top.amount_or_none("most")
    match kind:
        case EffectKind.PERCENT_OFF:
            return PercentOff(percent, scope, most)
        case EffectKind.AMOUNT_OFF:
            return AmountOff(amount, scope, most)
        case EffectKind.FREE_ITEM:
            return FreeItem(most)
        case EffectKind.BONUS_POINTS:
            return BonusPoints(points)
        case EffectKind.POINTS_TIMES:
            return PointsTimes(factor)
