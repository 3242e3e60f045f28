"""Numbers in texts that promise something: always those of a rule, never typed.

A text such as `"{stamps.target}. kitap"` names the rule that its number comes
from. A name exists only while its rule grants something: without a welcome
gift there is no `{earning.welcome}`, and a text that speaks of one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from unicodedata import category

from passes.loyalty.money import Money
from passes.loyalty.programme import Programme
from passes.loyalty.text import Text
from passes.loyalty.tiers import TierMetric

Value = int | Decimal | Money | str
"""What stands behind a name. A str is filled in as it is, a date in words for example."""

Say = Callable[..., str]
"""`say(language, words, **values)`: an English template in another language, filled in."""

_PLACE = re.compile(r"\{([^{}]*)\}")
_VALUE = "%(value)s"
_PROBLEMS_MAX = 5
"""Of one text; who reads them mends the rest, too."""


def fill(
    text: str, programme: Programme, language: str, say: Say, more: Mapping[str, Value] | None = None
) -> str:
    """The text with its placeholders filled in the way the language writes numbers and amounts.

    `more` are names beside those of the programme, such as `offer.points`.
    KeyError for a name that does not exist: `check` comes first.
    """
    if "{" not in text:
        return text
    values = {**names(programme), **(more or {})}
    return filled_in(text, values, language, say)


def filled_in(text: str, values: Mapping[str, Value], language: str, say: Say) -> str:
    """Like `fill`, for whoever fills many texts."""
    return _PLACE.sub(lambda place: say(language, _VALUE, value=values[place[1].strip()]), text)


def check(text: str, allowed_names: Collection[str] | None) -> list[str]:
    """What is wrong with a text that promises something, in English sentences; empty when nothing is.

    `allowed_names` are those of `names` and of whatever else the text may
    speak of; None where they cannot be known yet.

    Wrong are names that do not exist, stray braces, and digits of any script.
    Numbers spelled out in letters cannot be seen.
    """
    problems = []
    for name in dict.fromkeys(_PLACE.findall(text)):
        if allowed_names is not None and name.strip() not in allowed_names:
            problems.append(_unknown(name.strip(), allowed_names))
            if len(problems) == _PROBLEMS_MAX:
                return problems
    rest = _PLACE.sub("", text)
    if "{" in rest or "}" in rest:
        problems.append("a brace stands alone; a placeholder is like {earning.points}")
    # Nd, Nl and No: digits, Ⅳ and ½; not the letters with which some languages count.
    if digit := next((symbol for symbol in rest if category(symbol) in {"Nd", "Nl", "No"}), None):
        problems.append(
            f"states a number itself ({digit!r}); write a placeholder such as {{earning.points}}, "
            "so that the text cannot promise what no rule grants"
        )
    return problems


def _unknown(name: str, allowed_names: Collection[str]) -> str:
    near = get_close_matches(name, allowed_names, n=1) if len(name) <= 60 else []
    words = name if len(name) <= 60 else name[:59] + "…"
    return f"there is no placeholder {{{words}}}{f'; did you mean {{{near[0]}}}?' if near else ''}"


def filled(programme: Programme, say: Say) -> Programme:
    """The programme with every placeholder of its texts filled in, each in its own language."""
    values = names(programme)

    def said(text: Text) -> Text:
        return Text(
            tuple((language, filled_in(words, values, language, say)) for language, words in text.pairs)
        )

    earning = programme.earning
    stamps = programme.stamps
    return replace(
        programme,
        description=said(programme.description),
        terms=said(programme.terms),
        earning=replace(
            earning,
            multipliers=tuple(replace(rule, name=said(rule.name)) for rule in earning.multipliers),
            bonuses=tuple(replace(rule, name=said(rule.name)) for rule in earning.bonuses),
        ),
        rewards=tuple(replace(reward, name=said(reward.name)) for reward in programme.rewards),
        tiers=tuple(replace(tier, perk=tier.perk and said(tier.perk)) for tier in programme.tiers),
        stamps=stamps and replace(stamps, name=said(stamps.name)),
        actions=tuple(replace(action, name=said(action.name)) for action in programme.actions),
    )


# What there is ----------------------------------------------------------------


def names(programme: Programme) -> Mapping[str, Value]:
    """Every name that a text of this programme may use, with its value."""
    found: dict[str, Value | None] = {}
    for part in (_earning, _points, _rewards, _tiers, _stamps, _occasions, _actions):
        for name, value in part(programme):
            found[name] = value
    # What is 0 or was left out grants nothing.
    return {name: value for name, value in found.items() if value is not None and value != 0}


_Names = Iterable[tuple[str, Value | None]]


def _earning(programme: Programme) -> _Names:
    rule, currency = programme.earning, programme.currency
    yield "earning.points", rule.points
    yield "earning.amount", Money(rule.per_minor, currency)
    yield "earning.welcome", rule.welcome_points
    yield "earning.minimum", _money(rule.minimum_minor, currency)
    yield "earning.minimum_points", rule.minimum_points
    yield "earning.purchase_cap", rule.caps.purchase_points
    yield "earning.day_cap", rule.caps.day_points
    for rate in rule.rates:
        yield f"rate.{rate.key}.points", rate.points
        yield f"rate.{rate.key}.amount", Money(rate.per_minor, currency)
        yield f"rate.{rate.key}.minimum", _money(rate.when.minimum_minor, currency)
    for multiplier in rule.multipliers:
        yield f"multiplier.{multiplier.key}.factor", _decimal(multiplier.factor)
        yield f"multiplier.{multiplier.key}.minimum", _money(multiplier.when.minimum_minor, currency)
    for bonus in rule.bonuses:
        yield f"bonus.{bonus.key}.points", bonus.points
        yield f"bonus.{bonus.key}.minimum", _money(bonus.when.minimum_minor, currency)


def _points(programme: Programme) -> _Names:
    rule = programme.points
    yield "expiry.months", rule.expiry.months
    yield "points.pending_days", rule.pending_days
    yield "points.return_days", rule.return_days
    yield "points.hundred_points_worth", _money(rule.hundred_points_minor, programme.currency)


def _rewards(programme: Programme) -> _Names:
    for reward in programme.rewards:
        yield f"reward.{reward.key}.points", reward.points
        yield f"reward.{reward.key}.amount", _money(reward.amount_minor, programme.currency)
        yield f"reward.{reward.key}.percent", reward.percent
        yield f"reward.{reward.key}.least_points", reward.least_points
        yield f"reward.{reward.key}.valid_days", reward.valid_days


def _tiers(programme: Programme) -> _Names:
    is_spend = programme.tiering.metric is TierMetric.SPEND
    for tier in programme.tiers:
        threshold = tier.threshold
        yield f"tier.{tier.key}.threshold", _money(threshold, programme.currency) if is_spend else threshold
        # A factor of 1 is no promise.
        yield f"tier.{tier.key}.multiplier", _decimal(tier.multiplier) if tier.multiplier != 1 else None
        yield f"tier.{tier.key}.early_access_hours", tier.early_access_hours


def _stamps(programme: Programme) -> _Names:
    if rule := programme.stamps:
        yield "stamps.target", rule.target
        yield "stamps.amount", _money(rule.per_minor, programme.currency)
        yield "stamps.reward_amount", _money(rule.reward_minor, programme.currency)
        yield "stamps.reward_valid_days", rule.reward_valid_days
        yield "stamps.months", rule.months


def _occasions(programme: Programme) -> _Names:
    if birthday := programme.birthday:
        yield "birthday.points", birthday.points
        yield "birthday.days", birthday.days
    if win_back := programme.win_back:
        yield "win_back.points", win_back.points
        yield "win_back.idle_days", win_back.idle_days
        yield "win_back.valid_days", win_back.valid_days


def _actions(programme: Programme) -> _Names:
    for action in programme.actions:
        yield f"action.{action.key}.points", action.points


def _money(minor: int | None, currency: str) -> Money | None:
    return Money(minor, currency) if minor else None


def _decimal(factor: Fraction) -> Decimal:
    return Decimal(factor.numerator) / factor.denominator
