"""A programme's rules as words: its names, its numbers, and its conditions.

Dates and times of day are written as numbers that every language reads alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from passes.loyalty.conditions import Condition, Hours, Segment, Window
from passes.loyalty.money import Money
from passes.loyalty.placeholders import Say
from passes.loyalty.programme import Programme
from passes.loyalty.text import Text


@dataclass(frozen=True, slots=True)
class Speech:
    """One programme speaking one language."""

    programme: Programme
    language: str
    say: Say

    # Conditions -------------------------------------------------------------------------

    def when(self, condition: Condition) -> str:
        """A condition as a list of what it asks for; empty when it asks for nothing."""
        parts = list(self.things(condition.categories, condition.skus, condition.brands))
        if condition.locations:
            parts.append(self.say(self.language, "at %(shops)s", shops=self.shop_names(condition.locations)))
        if condition.channels:
            parts.append(self.joined(self._channel(channel) for channel in sorted(condition.channels)))
        if condition.tiers:
            parts.append(
                self.say(self.language, "only for %(tiers)s", tiers=self.tier_names(condition.tiers))
            )
        if condition.minimum_minor:
            parts.append(
                self.say(
                    self.language,
                    "purchases of at least %(amount)s",
                    amount=self.money(condition.minimum_minor),
                )
            )
        if condition.window:
            parts += self.window(condition.window)
        if condition.segment:
            parts += self.segment(condition.segment)
        return "; ".join(parts)

    def things(
        self,
        categories: frozenset[str],
        skus: frozenset[str],
        brands: frozenset[str] = frozenset(),
    ) -> Iterator[str]:
        """Categories, article numbers and brands, each as one part of a list."""
        if categories:
            yield self.joined(self.category(key) for key in sorted(categories))
        if skus:
            yield self.say(self.language, "article number %(numbers)s", numbers=self.joined(sorted(skus)))
        if brands:
            yield self.say(self.language, "brand %(brands)s", brands=self.joined(sorted(brands)))

    def _channel(self, channel: str) -> str:
        match channel:
            case "in_store":
                return self.say(self.language, "in the shop")
            case "online":
                return self.say(self.language, "online")
        return channel

    def window(self, window: Window) -> Iterator[str]:
        """The parts that a time is made of, in the programme's zone."""
        zone = ZoneInfo(window.zone)
        if window.starts_at:
            yield self.say(self.language, "from %(date)s", date=_moment(window.starts_at.astimezone(zone)))
        if window.ends_at:
            ends_at = window.ends_at.astimezone(zone)
            if ends_at.time() == time():
                last = (ends_at - timedelta(days=1)).date().isoformat()
                yield self.say(self.language, "up to and including %(date)s", date=last)
            else:
                yield self.say(self.language, "until %(date)s", date=_moment(ends_at))
        if window.weekdays:
            names = self._weekday_names()
            yield self.joined(names[weekday] for weekday in sorted(window.weekdays))
        if window.hours:
            yield self.joined(_span(hours) for hours in window.hours)

    def _weekday_names(self) -> tuple[str, ...]:
        return (
            self.say(self.language, "Monday"),
            self.say(self.language, "Tuesday"),
            self.say(self.language, "Wednesday"),
            self.say(self.language, "Thursday"),
            self.say(self.language, "Friday"),
            self.say(self.language, "Saturday"),
            self.say(self.language, "Sunday"),
        )

    def segment(self, segment: Segment) -> Iterator[str]:
        """What a segment asks of members, one part each."""
        if segment.tiers:
            yield self.say(self.language, "only for %(tiers)s", tiers=self.tier_names(segment.tiers))
        if segment.languages:
            yield self.say(
                self.language,
                "members whose language is %(languages)s",
                languages=self.joined(sorted(segment.languages)),
            )
        if segment.consent is not None:
            yield self.say(
                self.language, "members who agreed to %(purpose)s", purpose=segment.consent.replace("-", " ")
            )
        if segment.joined_within_days is not None:
            yield self.say(
                self.language,
                "members who joined within the last %(days)s",
                days=self.days(segment.joined_within_days),
            )
        if segment.purchases_least is not None:
            yield self.say(
                self.language, "purchases so far: at least %(count)s", count=segment.purchases_least
            )
        if segment.purchases_most is not None:
            yield self.say(self.language, "purchases so far: at most %(count)s", count=segment.purchases_most)
        if segment.idle_days_least is not None:
            yield self.say(
                self.language,
                "last purchase at least %(days)s ago",
                days=self.days(segment.idle_days_least),
            )
        if segment.idle_days_most is not None:
            yield self.say(
                self.language, "last purchase at most %(days)s ago", days=self.days(segment.idle_days_most)
            )
        if segment.balance_least is not None:
            yield self.say(
                self.language,
                "a balance of at least %(points)s",
                points=self.points(segment.balance_least),
            )

    # Names and numbers --------------------------------------------------------------------

    def text_of(self, text: Text) -> str:
        """A text in this language."""
        return text.in_(self.language)

    def unit(self, count: int = 2) -> str:
        """What points are called behind a number."""
        return self.programme.unit.name(count, self.language)

    def points(self, count: int) -> str:
        """A number of points with its unit."""
        return self.say(self.language, "%(points)s %(unit)s", points=count, unit=self.unit(count))

    def money(self, minor: int) -> Money:
        """An amount that `say` writes the way the language does."""
        return Money(minor, self.programme.currency)

    def days(self, count: int) -> str:
        """A number of days in words."""
        if count == 1:
            return self.say(self.language, "one day")
        return self.say(self.language, "%(count)s days", count=count)

    def months(self, count: int) -> str:
        """A number of months in words."""
        if count == 1:
            return self.say(self.language, "one month")
        return self.say(self.language, "%(count)s months", count=count)

    def hours_long(self, count: int) -> str:
        """A number of hours in words."""
        if count == 1:
            return self.say(self.language, "one hour")
        return self.say(self.language, "%(count)s hours", count=count)

    def day_of_year(self, month: int, day: int) -> str:
        """A day such as 31 December."""
        names = (
            self.say(self.language, "January"),
            self.say(self.language, "February"),
            self.say(self.language, "March"),
            self.say(self.language, "April"),
            self.say(self.language, "May"),
            self.say(self.language, "June"),
            self.say(self.language, "July"),
            self.say(self.language, "August"),
            self.say(self.language, "September"),
            self.say(self.language, "October"),
            self.say(self.language, "November"),
            self.say(self.language, "December"),
        )
        return f"{day} {names[month - 1]}"

    def category(self, key: str) -> str:
        """What people call a category."""
        names = dict(self.programme.category_names)
        return self.text_of(names[key]) if key in names else key.replace("-", " ")

    def tier_names(self, keys: Iterable[str]) -> str:
        """The names of tiers, in the file's order."""
        wanted = set(keys)
        return self.joined(self.text_of(tier.name) for tier in self.programme.tiers if tier.key in wanted)

    def shop_names(self, keys: Iterable[str]) -> str:
        """The names of shops, in the file's order."""
        wanted = set(keys)
        return self.joined(self.text_of(shop.name) for shop in self.programme.shops if shop.key in wanted)

    def joined(self, parts: Iterable[str]) -> str:
        """Parts of a list."""
        return ", ".join(parts)

    def detailed(self, words: str, details: list[str]) -> str:
        """Words with their details behind them, as one line that ends."""
        return f"{words} ({'; '.join(details)})." if details else f"{words}."


def decimal(factor: Fraction) -> Decimal:
    """A factor as it is written in a file."""
    return Decimal(factor.numerator) / factor.denominator


def _moment(at: datetime) -> str:
    """A local instant; its day alone where the day begins."""
    return at.date().isoformat() if at.time() == time() else f"{at:%Y-%m-%d %H:%M}"


def _span(hours: Hours) -> str:
    return f"{hours.since:%H:%M}–{hours.until:%H:%M}"
