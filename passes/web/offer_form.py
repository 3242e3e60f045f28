"""The form of an offer: its fields read from a request, and words for what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable

from werkzeug.datastructures import MultiDict

from passes.loyalty.letters import cleaned
from passes.loyalty.offer_draft import TEXT_LETTERS_MAX, Draft, Fault, Problem, Who
from passes.loyalty.offer_file import EffectKind
from passes.loyalty.programme import Programme
from passes.web import language

# Room for what is too long, so that it comes back whole with words about it.
_LETTERS_KEPT = TEXT_LETTERS_MAX * 4
_NUMBER_LETTERS_KEPT = 20


def empty(programme: Programme) -> Draft:
    """The form of a new offer."""
    nothing = dict.fromkeys(programme.languages, "")
    return Draft(title=nothing, text=nothing)


def read(form: MultiDict[str, str], programme: Programme) -> Draft:
    """The fields as they were sent; choices that are not offered count as not made."""

    def typed(name: str) -> str:
        return cleaned(form.get(name, ""), limit=_NUMBER_LETTERS_KEPT)

    effect, who = form.get("effect", ""), form.get("who", "")
    effects = (EffectKind.BONUS_POINTS.value, EffectKind.POINTS_TIMES.value)
    return Draft(
        title={one: _line(form.get(f"title.{one}", "")) for one in programme.languages},
        text={one: _lines(form.get(f"text.{one}", "")) for one in programme.languages},
        starts=typed("starts"),
        ends=typed("ends"),
        effect=effect if effect in effects else "",
        points=typed("points"),
        factor=typed("factor"),
        who=who if who in list(Who) else Who.ALL,
        tiers=frozenset(form.getlist("tiers")) & {tier.key for tier in programme.tiers},
        shops=frozenset(form.getlist("shops")) & {shop.key for shop in programme.shops},
        member_limit=typed("member_limit"),
        quota=typed("quota"),
        holdout=typed("holdout"),
        rings=form.get("rings") == "on",
        by_day=form.get("by_day") == "on",
    )


def _line(text: str) -> str:
    return cleaned(text, limit=_LETTERS_KEPT)


def _lines(text: str) -> str:
    lines = (cleaned(line, limit=_LETTERS_KEPT) for line in text[: _LETTERS_KEPT * 2].splitlines())
    return "\n".join(lines).strip()


def words(wrong: Iterable[Problem]) -> dict[str, str]:
    """What is wrong, in the page's language, by field."""
    return {problem.name: _words(problem) for problem in wrong}


def _words(problem: Problem) -> str:
    values = problem.values
    match problem.fault:
        case Fault.MISSING:
            return language.words("This is missing.")
        case Fault.TOO_LONG:
            return language.words("This has %(length)s letters; there is room for %(limit)s.", **values)
        case Fault.DIGITS:
            return language.words(
                "Write no numbers: a card must not promise what no rule gives. "
                "Put the name of the number instead, like {offer.points}."
            )
        case Fault.PLACEHOLDER:
            return language.words(
                "What stands in braces is no name of a number that this offer has. "
                "There are {offer.points} or {offer.factor}, {offer.quota} and {offer.member_limit}."
            )
        case Fault.NO_TIME:
            return language.words("This is no date and time.")
        case Fault.ENDS_FIRST:
            return language.words("It would end before it begins.")
        case Fault.OVER:
            return language.words("This is in the past.")
        case Fault.NO_NUMBER:
            return language.words("Write a number.")
        case Fault.OUT_OF_RANGE:
            return language.words("Write a number from %(least)s to %(most)s.", **values)
        case Fault.NOBODY:
            return language.words("Nobody would get it. Choose at least one.")
