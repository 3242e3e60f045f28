"""Why a receipt moved so many points, in words: for every point a line that accounts for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from passes.loyalty.basket import Line
from passes.loyalty.earned import CapName, Earned, EarnedLine, Missed
from passes.loyalty.earning import Rounding, carried_points
from passes.loyalty.money import Money, minor_digits
from passes.loyalty.programme import Programme
from passes.loyalty.stamps import STAMPS
from passes.loyalty.text import Text

Say = Callable[..., str]
"""`say(language, words, **values)`: an English template in another language, filled in."""

_DECIMALS = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Explained:
    """One part of a receipt.

    `points` is signed and exact; the parts of a receipt add up to its points.
    `rule` says what kind of rule it was, `key` which one. `line` counts from 1;
    `amount_minor`, `rate` (points per minor unit) and `multiplier` belong to
    lines of a purchase. `version` is that of the programme whose rules applied.
    """

    rule: str
    words: str
    points: Fraction
    version: int
    key: str | None = None
    line: int | None = None
    amount_minor: int | None = None
    rate: str | None = None
    multiplier: str | None = None

    @property
    def figure(self) -> Decimal:
        """The points as people are shown them: to four decimals, without idle zeros."""
        return _decimal(self.points)


def explain(
    reasons: Iterable[Mapping[str, Any]],
    *,
    points: int,
    version: int,
    programme: Programme,
    language: str,
    say: Say,
    lines: Sequence[Line] = (),
    names: Mapping[str, str] | None = None,
) -> tuple[Explained, ...]:
    """Every part of a receipt in words; they add up to its `points` exactly.

    `programme` is the version under which the receipt was booked. `lines` are
    those of its purchase, for their names; `names` are titles of rules that
    are not the programme's own, such as offers, by their key.
    """
    teller = _Teller(programme, version, language, say, lines, names or {})
    told = [part for reason in reasons for part in teller.parts(reason)]
    rest = points - sum((part.points for part in told), start=Fraction(0))
    if rest:
        # Some movements only say what they were: the whole, less what others account for, is theirs.
        place = next((place for place, part in enumerate(told) if part.rule in _TAKES_THE_REST), None)
        if place is None:
            told.append(teller.part("other", say(language, "A change of the balance."), rest))
        else:
            told[place] = replace(told[place], points=told[place].points + rest)
    return tuple(told)


_TAKES_THE_REST = frozenset(
    {"undo", "return", "adjustment", "merge", "hold", "release", "capture", "activate"}
)


@dataclass(frozen=True, slots=True)
class _Teller:
    """Puts reasons into the words of one language."""

    programme: Programme
    version: int
    language: str
    say: Say
    lines: Sequence[Line]
    names: Mapping[str, str]

    def part(self, rule: str, words: str, points: Fraction | int, key: str | None = None) -> Explained:
        return Explained(rule, words, Fraction(points), self.version, key)

    def parts(self, reason: Mapping[str, Any]) -> Iterator[Explained]:
        """What one reason comes to."""
        rule, points = str(reason.get("rule", "other")), _whole(reason.get("points"))
        if rule == "earn":
            yield from self.earned(Earned.from_json(reason))
            return
        match rule:
            case _ if reason.get("asset") == STAMPS:
                points = 0
            case "reward" | "expire":
                points = -abs(points)
            case "hold" | "release" | "timeout" | "capture" | "activate" | "tier" | "stamp":
                # They move points between a member's own pockets, or none at all.
                points = 0
        key = next((str(reason[name]) for name in _KEYS if reason.get(name) is not None), None)
        yield self.part(rule, self.words(rule, reason, key or ""), points, key)

    def words(self, rule: str, reason: Mapping[str, Any], key: str) -> str:
        """What a reason other than a purchase is called."""
        say, language = self.say, self.language
        match rule:
            case "welcome" if _whole(reason.get("points")) < 0:
                return say(language, "Only one of two gifts for joining counts.")
            case "welcome":
                return say(language, "A gift for joining.")
            case "reward":
                return say(language, "Reward: %(reward)s", reward=self.reward(key))
            case "hold":
                return say(language, "Set aside for a reward: %(reward)s", reward=self.reward(key))
            case "release" | "timeout":
                return say(language, "What was set aside is free again.")
            case "capture":
                return say(language, "Paid with what was set aside.")
            case "activate":
                return say(language, "What was waiting can be spent now.")
            case "undo":
                return say(language, "An earlier entry was undone.")
            case "return":
                return say(language, "Goods were given back.")
            case "restore":
                return say(language, "Given back, as its reward was: %(reward)s", reward=self.reward(key))
            case "stamp":
                return self.stamped(_whole(reason.get("stamps")), _whole(reason.get("rewards")))
            case "tier":
                return say(language, "Tier: %(tier)s", tier=self.tier(key))
            case "birthday" if _whole(reason.get("points")) < 0:
                return say(language, "Only one of two birthday gifts counts.")
            case "birthday":
                return say(language, "A birthday gift.")
            case "win_back":
                return say(language, "A gift for coming back.")
            case "action":
                return say(language, "Thank you: %(action)s", action=self.action(key))
            case "adjustment":
                return str(reason.get("text") or "") or say(language, "Corrected by the shop.")
            case "expire" if reason.get("asset") == STAMPS:
                return say(language, "Stamps that were not used in time.")
            case "expire":
                unit = self.programme.unit.other.in_(language)
                return say(language, "%(unit)s that were not used in time.", unit=unit)
            case "leave":
                return say(language, "The member left.")
            case "merge":
                return say(language, "Two cards became one.")
            case "unmerge":
                return say(language, "Cards that had become one are two again.")
            case "carried":
                return say(language, "Part points of two cards make a whole one.")
            case "welcome_twice":
                return say(language, "Only one of two gifts for joining counts.")
            case "offer":
                return say(language, "Offer: %(offer)s", offer=self.names.get(key, key))
        return say(language, "A change of the balance.")

    def stamped(self, count: int, rewards: int) -> str:
        words = self.say(self.language, "Stamps: %(count)s", count=count)
        if not rewards:
            return words
        full = self.say(self.language, "The card is full: %(reward)s", reward=self.reward(STAMPS))
        return f"{words}. {full}"

    # A purchase, in the order in which it was computed.

    def earned(self, earned: Earned) -> Iterator[Explained]:
        for line in earned.lines:
            yield self.line(line, len(earned.lines))
        yield from self.rounded(earned)
        on_top = 0
        for one in earned.multipliers:
            if one.is_short and not earned.missed:
                on_top += one.points
                yield self.part("multiplier", self.short(one.key, one.points), one.points, one.key)
        for bonus in earned.bonuses:
            if bonus.counts:
                on_top += bonus.points
                words = self.say(self.language, "Bonus: %(bonus)s", bonus=self.name(bonus.key))
                yield self.part("bonus", words, bonus.points, bonus.key)
        if earned.missed:
            yield self.part("minimum", self.minimum(earned.missed), -earned.rounded - on_top)
        for cut in earned.cuts:
            yield self.part("cap", self.cap(cut.cap, cut.limit), -cut.lost, cut.cap)

    def line(self, line: EarnedLine, count: int) -> Explained:
        say, language, programme = self.say, self.language, self.programme
        what = self.line_name(line.number, count)
        amount = Money(line.net_minor, programme.currency)
        if line.excluded is not None:
            words = say(
                language,
                "%(what)s: %(amount)s earns nothing.",
                what=what,
                amount=Money(line.paid_minor, programme.currency),
            )
        else:
            points, per = self.rate(Fraction(line.rate))
            words = say(
                language,
                "%(what)s: %(points)s %(unit)s for every %(per)s of %(amount)s.",
                what=what,
                points=points,
                unit=programme.unit.name(points, language),
                per=per,
                amount=amount,
            )
            if line.multiplier != "1":
                words += " " + say(
                    language,
                    "Times %(factor)s: %(names)s.",
                    factor=_decimal(Fraction(line.multiplier)),
                    names=", ".join(self.name(key) for key in line.multipliers),
                )
        return Explained(
            rule="line",
            words=words,
            points=Fraction(line.raw),
            version=self.version,
            key=line.rate_key,
            line=line.number,
            amount_minor=line.net_minor,
            rate=line.rate,
            multiplier=line.multiplier,
        )

    def line_name(self, number: int, count: int) -> str:
        line = self.lines[number - 1] if number <= len(self.lines) else None
        found = line and (line.name or line.sku or (line.category and self.category(line.category)))
        if found:
            return found
        if count == 1:
            return self.say(self.language, "Purchase")
        return self.say(self.language, "Line %(number)s", number=number)

    def rate(self, rate: Fraction) -> tuple[int, Money]:
        """Points for an amount: for one unit of the currency, where that makes whole points."""
        currency = self.programme.currency
        unit = 10 ** minor_digits(currency)
        points = rate * unit
        if points.denominator == 1:
            return points.numerator, Money(unit, currency)
        return rate.numerator, Money(rate.denominator, currency)

    def rounded(self, earned: Earned) -> Iterator[Explained]:
        before = Fraction(0)
        if earned.rounding is Rounding.CARRY and (before := carried_points(earned.carried_before)):
            words = self.say(self.language, "Part points kept from before.")
            yield self.part("carried", words, before, earned.rounding)
        if change := earned.rounded - Fraction(earned.raw) - before:
            yield self.part("rounding", self.rounding(earned.rounding), change, earned.rounding)

    def rounding(self, rounding: Rounding) -> str:
        say, language = self.say, self.language
        match rounding:
            case Rounding.FLOOR:
                return say(language, "Part points are dropped.")
            case Rounding.HALF_UP:
                return say(language, "Part points are rounded to the nearest whole.")
            case Rounding.CEIL:
                return say(language, "Part points are rounded up.")
            case Rounding.PER_LINE_FLOOR:
                return say(language, "Part points are dropped, line by line.")
            case Rounding.BLOCK:
                return say(language, "Only full amounts count.")
            case Rounding.CARRY:
                return say(language, "Part points wait for your next purchase.")

    def short(self, key: str, points: int) -> str:
        name = self.name(key)
        if points:
            return self.say(self.language, "%(name)s: only so much was left of it.", name=name)
        return self.say(self.language, "%(name)s: nothing was left of it.", name=name)

    def minimum(self, missed: Missed) -> str:
        rule, say, language = self.programme.earning, self.say, self.language
        if missed is Missed.AMOUNT:
            least = Money(rule.minimum_minor, self.programme.currency)
            return say(language, "Purchases below %(amount)s earn nothing.", amount=least)
        return say(
            language,
            "Fewer than %(points)s %(unit)s are not given.",
            points=rule.minimum_points,
            unit=self.programme.unit.name(rule.minimum_points, language),
        )

    def cap(self, cap: CapName, limit: int) -> str:
        unit = self.programme.unit.name(limit, self.language)
        if cap is CapName.PURCHASE:
            return self.say(
                self.language, "At most %(points)s %(unit)s for one purchase.", points=limit, unit=unit
            )
        return self.say(
            self.language, "On one day only so many: %(points)s %(unit)s were left.", points=limit, unit=unit
        )

    def name(self, key: str) -> str:
        """What a multiplier or bonus is called; its key when this programme does not know it."""
        rule = self.programme.earning
        if key.startswith("tier:"):
            return self.tier(key.removeprefix("tier:"))
        named = {one.key: one.name for one in rule.bonuses} | {one.key: one.name for one in rule.multipliers}
        return self.named(key, named)

    def reward(self, key: str) -> str:
        names = {reward.key: reward.name for reward in self.programme.rewards}
        if self.programme.stamps:
            names[STAMPS] = self.programme.stamps.name
        return self.named(key, names)

    def tier(self, key: str) -> str:
        return self.named(key, {tier.key: tier.name for tier in self.programme.tiers})

    def action(self, key: str) -> str:
        return self.named(key, {action.key: action.name for action in self.programme.actions})

    def category(self, key: str) -> str:
        return self.named(key, dict(self.programme.category_names))

    def named(self, key: str, texts: Mapping[str, Text]) -> str:
        text = texts.get(key)
        return text.in_(self.language) if text else self.names.get(key, key)


_KEYS = ("key", "reward", "action", "tier", "offer", "code", "receipt", "hold")
"""Under which names a reason says what it is about, the most telling first."""


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _decimal(fraction: Fraction) -> Decimal:
    """A fraction as people write it: 1.5, or 1.3333 for what has no end."""
    rounded = (Decimal(fraction.numerator) / fraction.denominator).quantize(_DECIMALS)
    return rounded.quantize(Decimal(1)) if rounded == rounded.to_integral() else rounded.normalize()
