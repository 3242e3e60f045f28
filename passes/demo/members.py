"""The members of a shop's past: when they joined, by which way, and how often they came since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from random import Random

from passes.demo import people
from passes.demo.cast import BOOKS, COFFEE
from passes.demo.trade import Chance, Trade, Visit
from passes.enrolment import Source
from passes.loyalty.receipt import Counter

INSTALLED_SHARE = 0.86
REMOVED_SHARE = 0.058
"""Of those installed. What is left is 81 % of all cards."""

_ANDROID_SHARE = 0.36
"""Of those installed."""
_WEB_SHARE = 0.3
"""Of those not installed: they open the card's page instead."""

_RING_SHARE = 0.54
"""Those whose phones may ring for offers."""
_EMAIL_SHARE = 0.55
_BIRTHDAY_SHARE = 0.4
_FIRST_VISIT_AT_ONCE = 0.7


class Keeps(StrEnum):
    """Where somebody has the card."""

    APPLE = "apple"
    GOOGLE = "google"
    WEB = "web"
    NOWHERE = "nowhere"


class Role(StrEnum):
    """What a member is there for."""

    POOL = "pool"  # bought before the campaigns began, and takes part in both
    NEVER = "never"  # joined and never bought
    LATER = "later"  # joined after the campaigns had begun


@dataclass(frozen=True, slots=True)
class Habit:
    """How often somebody comes, and how likely they stop in four weeks."""

    share: int
    visits_a_week: float
    stops: float


_HABITS = {
    COFFEE: (
        Habit(10, 2.3, 0.03),
        Habit(24, 0.75, 0.07),
        Habit(44, 0.27, 0.1),
        Habit(22, 0.05, 0.4),
    ),
    BOOKS: (Habit(25, 0.5, 0.03), Habit(45, 0.2, 0.05), Habit(30, 0.06, 0.2)),
}


@dataclass(slots=True)
class Person:
    """Somebody who joined. `visits` are in order; `reward` is what they save for.

    `rings` when their phone may ring for offers.
    """

    number: int
    role: Role
    name: str
    email: str | None
    language: str
    birthday: date | None
    rings: bool
    keeps: Keeps
    source: Source
    views: int
    joins_at: datetime
    installs_at: datetime | None
    removes_at: datetime | None
    visits_a_week: float
    reward: tuple[str | None, int]
    visits: list[Visit]


def people_of(trade: Trade, chance: Chance, roles: dict[Role, int], days: int, opens: int) -> list[Person]:
    """Everybody, in the order in which they joined.

    The past has so many `days`; `opens` is the day on which the first
    campaign begins, before which the pool has joined and bought.
    """
    joined: list[tuple[int, Role]] = []
    for role, count in roles.items():
        first, last = (opens, -1) if role is Role.LATER else (-days, opens - 1)
        for place in range(count):
            # The shop was news in the beginning, and new faces came faster.
            share = ((place + chance.random.random()) / count) ** (1.0 if role is Role.LATER else 1.5)
            joined.append((min(first + int(share * (last - first)), last), role))
    joined.sort()
    return [_person(trade, chance, number, role, day, opens) for number, (day, role) in enumerate(joined)]


def _person(trade: Trade, chance: Chance, number: int, role: Role, day: int, opens: int) -> Person:
    random = chance.random
    turkish = random.random() < trade.turkish_share
    habits = _HABITS[trade.programme]
    habit = random.choices(habits, weights=[one.share for one in habits])[0]
    shop = chance.shop()
    joins_at = chance.moment(day)
    installs_at = removes_at = None
    if random.random() < INSTALLED_SHARE:
        installs_at = joins_at + timedelta(seconds=random.choice((18, 25, 31, 40, 55, 90, 240)))
        if random.random() < REMOVED_SHARE:
            removes_at = installs_at + timedelta(days=random.expovariate(1 / 60))
    person = Person(
        number=number,
        role=role,
        name=people.name(random, turkish=turkish),
        email=f"{number:04d}@{trade.programme}.example" if random.random() < _EMAIL_SHARE else None,
        language="tr" if turkish else "en",
        birthday=date(random.randrange(1950, 2007), random.randrange(1, 13), random.randrange(1, 29))
        if random.random() < _BIRTHDAY_SHARE
        else None,
        rings=random.random() < _RING_SHARE,
        keeps=Keeps.NOWHERE,
        source=_source(random, shop),
        views=random.choice((1, 2, 2, 3, 4)),
        joins_at=joins_at,
        installs_at=installs_at,
        removes_at=removes_at,
        visits_a_week=habit.visits_a_week,
        reward=chance.reward(),
        visits=[],
    )
    # Numbers of their own: who has which phone must not change who comes and buys.
    own = Random(f"{trade.programme} {number}")
    if installs_at:
        person.keeps = Keeps.GOOGLE if own.random() < _ANDROID_SHARE else Keeps.APPLE
    elif own.random() < _WEB_SHARE:
        person.keeps = Keeps.WEB
    if role is not Role.NEVER:
        person.visits.extend(_visits(chance, person, habit, shop, day, opens))
    return person


def _visits(
    chance: Chance, person: Person, habit: Habit, shop: Counter, day: int, opens: int
) -> Iterator[Visit]:
    random = chance.random
    daily = habit.visits_a_week / 7 * chance.turned_away
    stops = day + random.expovariate(habit.stops / 28)
    warm_to = random.random() < 0.1  # some come twice as often once they know the place
    at_once = random.random() < _FIRST_VISIT_AT_ONCE
    if person.role is Role.POOL:
        at_once = at_once or day > opens - 12
    elif day < opens + 16:
        at_once = False
    if at_once:
        first = person.joins_at + timedelta(minutes=2 + 6 * random.random())
        yield chance.visit(first, shop)
    else:
        since = day if person.role is Role.POOL else max(day, opens + 16)
        yield chance.visit(chance.moment(since + random.randrange(1, 10)), shop)
        day = since + 10
    place = float(day)
    while True:
        place += random.expovariate(daily * (2 if warm_to and place > day + 60 else 1))
        if place >= min(stops, 1):
            return
        if int(place // 1) > day and chance.is_open_for(int(place // 1)):
            yield chance.visit(chance.moment(int(place // 1)), shop)


def _source(random: Random, shop: Counter) -> Source:
    kind = random.choices(("poster", "till", "link", "social", "email"), weights=(45, 31, 12, 8, 4))[0]
    match kind:
        case "poster" | "till":
            return Source(kind, location=shop.location)
        case "link":
            referrer = random.choice(("https://copperfinch.example/", "https://maps.example/", None))
            return Source(kind, referrer=referrer)
        case "social":
            return Source(kind, referrer="https://social.example/", utm_source="social", utm_medium="post",
                          utm_campaign="finch-club")  # fmt: skip
        case _:
            return Source(kind, utm_source="newsletter", utm_medium="email", utm_campaign="welcome-club")
