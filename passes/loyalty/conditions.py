"""When a rule applies: to which lines, where, when and for whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from passes.loyalty.basket import Line
from passes.loyalty.dates import local_date


@dataclass(frozen=True, slots=True)
class Hours:
    """Local times of a day, half-open. `until` before `since` reaches past midnight."""

    since: time
    until: time

    def contain(self, at: time) -> bool:
        """Whether this time of day is within."""
        if self.since < self.until:
            return self.since <= at < self.until
        return at >= self.since or at < self.until


@dataclass(frozen=True, slots=True)
class Window:
    """When, in a named zone: from one instant to another, on some weekdays, at some hours.

    Half-open: `starts_at <= now < ends_at`. Weekdays are 0 for Monday to 6;
    none named means all of them. Hours past midnight belong to the weekday on
    which they began.
    """

    zone: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    weekdays: frozenset[int] = frozenset()
    hours: tuple[Hours, ...] = ()

    def contains(self, at: datetime) -> bool:
        """Whether this instant is within."""
        if (self.starts_at and at < self.starts_at) or (self.ends_at and at >= self.ends_at):
            return False
        if not (self.weekdays or self.hours):
            return True
        local = at.astimezone(ZoneInfo(self.zone))
        clock = local.time().replace(tzinfo=None)
        if not self.hours:
            return local.weekday() in self.weekdays
        for span in self.hours:
            if not span.contain(clock):
                continue
            began_yesterday = span.until <= span.since and clock < span.until
            weekday = (local.weekday() - began_yesterday) % 7
            if not self.weekdays or weekday in self.weekdays:
                return True
        return False


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """What rules may know of a member at one instant.

    `last_purchase_at` and `purchases` are of before the purchase in question.
    """

    tier: str | None = None
    joined_at: datetime | None = None
    last_purchase_at: datetime | None = None
    purchases: int = 0
    balance: int = 0
    language: str | None = None
    birthday: tuple[int, int] | None = None
    consents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Segment:
    """Members that meet all of these; what is None or empty is not asked."""

    tiers: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    consent: str | None = None
    joined_within_days: int | None = None
    purchases_least: int | None = None
    purchases_most: int | None = None
    idle_days_least: int | None = None
    idle_days_most: int | None = None
    balance_least: int | None = None

    def includes(self, member: MemberFacts, *, at: datetime, zone: str) -> bool:
        """Whether a member belongs to it at an instant.

        Days are whole local days of `zone` between two dates, so that somebody
        who joined today joined within 0 days. Who never bought anything is
        neither idle nor recent: `purchases_most = 0` asks for them.
        """
        return (
            (not self.tiers or member.tier in self.tiers)
            and (not self.languages or member.language in self.languages)
            and (self.consent is None or self.consent in member.consents)
            and (self.purchases_least is None or member.purchases >= self.purchases_least)
            and (self.purchases_most is None or member.purchases <= self.purchases_most)
            and (self.balance_least is None or member.balance >= self.balance_least)
            and _within(self.joined_within_days, member.joined_at, at, zone)
            and _within(self.idle_days_most, member.last_purchase_at, at, zone)
            and _beyond(self.idle_days_least, member.last_purchase_at, at, zone)
        )


def _within(days_most: int | None, since: datetime | None, at: datetime, zone: str) -> bool:
    return days_most is None or (since is not None and _days_between(since, at, zone) <= days_most)


def _beyond(days_least: int | None, since: datetime | None, at: datetime, zone: str) -> bool:
    return days_least is None or (since is not None and _days_between(since, at, zone) >= days_least)


def _days_between(since: datetime, at: datetime, zone: str) -> int:
    return (local_date(at, zone) - local_date(since, zone)).days


@dataclass(frozen=True, slots=True)
class Place:
    """Where a purchase happens: the shop's key and the channel, such as in_store or online."""

    location: str | None = None
    channel: str = "in_store"


@dataclass(frozen=True, slots=True)
class Condition:
    """When a rule applies. What is empty or None is not asked.

    `categories`, `skus` and `brands` choose lines (a line matches when each
    non-empty set has it); everything else is about the whole purchase.
    """

    categories: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    locations: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()
    window: Window | None = None
    minimum_minor: int = 0
    segment: Segment | None = None

    @property
    def chooses_lines(self) -> bool:
        """Whether it applies to some lines only."""
        return bool(self.categories or self.skus or self.brands)

    def fits_line(self, line: Line) -> bool:
        """Whether a line is one of those chosen."""
        return (
            (not self.categories or line.category in self.categories)
            and (not self.skus or line.sku in self.skus)
            and (not self.brands or line.brand in self.brands)
        )

    def fits_occasion(self, *, at: datetime, zone: str, place: Place, member: MemberFacts) -> bool:
        """Whether when, where and for whom are right; amounts and lines are not asked here.

        `zone` decides a segment's days; a window brings its own.
        """
        return (
            (not self.channels or place.channel in self.channels)
            and (not self.locations or place.location in self.locations)
            and (not self.tiers or member.tier in self.tiers)
            and (self.window is None or self.window.contains(at))
            and (self.segment is None or self.segment.includes(member, at=at, zone=zone))
        )
