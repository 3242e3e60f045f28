"""The marketer's questions: the worked figures, and the same answers as slow plain Python gives."""

from __future__ import annotations

import random
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import partial
from itertools import product
from typing import NamedTuple

import pytest

from passes import store as database
from passes.loyalty.metrics import cohorts, lifetime_value, scores, to_minor
from passes.store import Store, insights
from passes.store.insights import (
    Basis,
    By,
    Cut,
    Kind,
    Visits,
    Window,
    customers,
    members,
    offers,
    postings,
    turnover,
)
from passes.store.models import metadata, purchase
from passes.store.work import Prepared
from tests.sales import PROGRAMME, Desk, fixture, noon

Q1 = Window(date(2026, 1, 1), date(2026, 4, 1))
Q2 = Window(date(2026, 4, 1), date(2026, 7, 1))
HALF = Window(date(2026, 1, 1), date(2026, 7, 1))
JANUARY = insights.month_number(date(2026, 1, 1))


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


@pytest.fixture
def sold(desk: Desk) -> Store:
    """The fixture of the metrics; every known customer is a member."""
    desk.open()
    fixture(desk)
    return desk.store


@pytest.mark.check("L-67")
def test_what_the_fixture_sold(sold: Store) -> None:
    with sold.read() as read:
        (all_of_it,) = insights.sales(read, PROGRAMME, Cut(HALF))
        nets = [
            insights.sales(read, PROGRAMME, Cut(window, basis=basis))[0].net_minor
            for basis in Basis
            for window in (Q1, Q2)
        ]
    assert (all_of_it.orders, all_of_it.gross_minor, all_of_it.discount_minor) == (18, 880_00, 15_00)
    assert (all_of_it.returned_minor, all_of_it.net_minor) == (20_00, 845_00)
    assert (all_of_it.orders_of_members, all_of_it.net_of_members_minor) == (16, 790_00)
    assert nets == [430_00, 415_00, 450_00, 395_00]


@pytest.mark.check("L-67", "L-73")
def test_of_the_fixture_members_bought_73_37_percent(desk: Desk) -> None:
    desk.open()
    fixture(desk, starred_only=True)
    with desk.store.read() as read:
        (found,) = insights.sales(read, PROGRAMME, Cut(HALF))
    assert (found.net_of_members_minor, found.net_minor) == (620_00, 845_00)
    assert (found.orders_of_members, found.orders) == (13, 18)
    assert round(100 * found.net_of_members_minor / found.net_minor, 2) == 73.37


@pytest.mark.check("L-67", "L-73")
@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Q1, {Kind.FIRST: (5, 5, 250_00), Kind.RETURNING: (4, 3, 175_00), Kind.GUEST: (1, 0, 30_00)}),
        (Q2, {Kind.FIRST: (2, 2, 120_00), Kind.RETURNING: (5, 4, 280_00), Kind.GUEST: (1, 0, 25_00)}),
    ],
    ids=["first quarter", "second quarter"],
)
def test_first_time_and_returning_orders_of_the_fixture(
    sold: Store, window: Window, expected: dict[Kind, tuple[int, int, int]]
) -> None:
    with sold.read() as read:
        found = insights.kinds(read, PROGRAMME, Cut(window))
    assert {one.kind: (one.orders, one.customers, one.gross_minor) for one in found} == expected


@pytest.mark.check("L-67")
def test_four_of_five_customers_of_the_first_quarter_come_back_in_the_second(sold: Store) -> None:
    with sold.read() as read:
        kept = insights.kept(read, PROGRAMME, Cut(HALF), middle=Q2.start)
    customers, revenue = kept.customers, kept.revenue
    assert (customers.start, customers.active, customers.new) == (5, 6, 2)
    assert (customers.rate, customers.churn, customers.lifespan) == (
        Fraction(4, 5),
        Fraction(1, 5),
        Fraction(5),
    )
    assert (revenue.start_minor, revenue.end_minor) == (400_00, 275_00)
    assert revenue.net_churn == Fraction(3125, 10000)


@pytest.mark.check("L-67")
def test_what_the_customers_of_the_fixture_are_worth(sold: Store) -> None:
    with sold.read() as read:
        worth = insights.worth(read, PROGRAMME, Cut(HALF))[None]
        kept = insights.kept(read, PROGRAMME, Cut(HALF), middle=Q2.start)
    assert (worth.customers, worth.repeating, worth.orders, worth.net_minor) == (7, 5, 16, 790_00)
    assert round(float(worth.repeat_rate or 0), 4) == 0.7143
    assert round(float(worth.frequency or 0), 3) == 2.286
    assert worth.average_order == Fraction("4937.5")
    value, quarters = worth.customer_value, kept.customers.lifespan
    assert value is not None
    assert quarters is not None
    assert to_minor(lifetime_value(value, quarters / 2)) == 282_14


@pytest.mark.check("L-67", "L-68")
def test_the_cohorts_of_the_fixture(sold: Store) -> None:
    with sold.read() as read:
        cells = insights.cohort_cells(read, PROGRAMME, HALF)
    sizes = {first: customers for (first, month), customers in cells.items() if first == month}
    matrix = {cohort.month - JANUARY: cohort for cohort in cohorts(cells, sizes, present=JANUARY + 6)}
    assert matrix[0].size == 3
    assert matrix[0].active == (3, 1, 3, 1, 1, 1, None)
    assert (matrix[1].size, matrix[1].active) == (1, (1, 0, 1, 0, 0, None))
    assert (matrix[2].size, matrix[2].active) == (1, (1, 0, 1, 0, None))
    present = {cohort.month - JANUARY: cohort for cohort in cohorts(cells, sizes, present=JANUARY + 3)}
    assert present[0].active[:4] == (3, 1, 3, None)


@pytest.mark.check("L-67")
def test_recency_frequency_and_money_of_the_fixture(sold: Store) -> None:
    with sold.read() as read:
        found = insights.scored(read, PROGRAMME, Cut(HALF))
    cells = {f"{one.recency}{one.frequency}{one.money}": one for one in found}
    assert set(cells) == {"455", "121", "555", "224", "323", "111", "512"}
    assert (cells["455"].orders, cells["455"].net_minor) == (5, 200_00)
    assert (cells["555"].orders, cells["555"].net_minor) == (3, 175_00)
    assert all(one.customers == 1 for one in found)


# The same from plain Python --------------------------------------------------------

FIRST_DAY = date(2025, 11, 3)
CHANNELS, LOCATIONS, TILLS = ("in_store", "online"), ("west", "east", None), ("front", "back", None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when something was booked."""

    day: date
    channel: str
    location: str | None
    till: str | None


@dataclass(frozen=True, slots=True)
class Sold:
    """One generated purchase."""

    id: int
    by: int | None
    at: datetime
    place: Place
    gross: int
    discount: int
    voided: bool


@dataclass(frozen=True, slots=True)
class Back:
    """One generated return."""

    sale: Sold
    place: Place
    net: int


class Movement(NamedTuple):
    """A purchase, or what came back of one."""

    sale: Sold
    place: Place
    orders: int
    gross: int
    discount: int
    returned: int

    @property
    def net(self) -> int:
        """What it adds to net sales."""
        return self.gross - self.discount - self.returned


class Plain:
    """Generated sales as lists, and every figure by walking through them."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.chance = random.Random(seed)
        self.purchases: list[Sold] = []
        self.returns: list[Back] = []
        people = range(1, 26)
        self.sources = {person: self.chance.choice(("poster", "link")) for person in people}
        self.tiers = {person: self.chance.choice(("green", "gold", None)) for person in people}
        desk.open()
        for person in people:
            desk.member(person, joined=noon(FIRST_DAY), source=self.sources[person], tier=self.tiers[person])
        for _ in range(260):
            self._sell(desk)
        # Another programme's sales must change nothing.
        desk.write(purchase, programme_id=PROGRAMME + 1, id=1, member_id=1, local_day=20260101, net_minor=99)
        desk.send()

    def _place(self, day: date) -> Place:
        chance = self.chance
        return Place(day, chance.choice(CHANNELS), chance.choice(LOCATIONS), chance.choice(TILLS))

    def _sell(self, desk: Desk) -> None:
        chance = self.chance
        day = FIRST_DAY + timedelta(days=chance.randrange(200))
        place = self._place(day)
        by = chance.choice([None, None, None, *self.sources])
        # Few instants a day, so that two orders often share one.
        at = noon(day) + timedelta(hours=chance.randrange(3))
        gross, discount = chance.randrange(100, 9_000), chance.choice([0, 0, 50])
        voided = chance.random() < 0.08
        number = desk.sell(
            day, gross, by=by, discount=discount, at=at, voided_by=1 if voided else None,
            channel=place.channel, location=place.location, till=place.till,
        )  # fmt: skip
        sale = Sold(number, by, at, place, gross, discount, voided)
        self.purchases.append(sale)
        for _ in range(chance.choice([0, 0, 0, 1, 2])):
            back = Back(
                sale,
                self._place(day + timedelta(days=chance.randrange(60))),
                chance.randrange(1, 1 + (gross - discount) // 2),
            )
            desk.take_back(
                number, back.place.day, back.net,
                channel=back.place.channel, location=back.place.location, till=back.place.till,
            )  # fmt: skip
            self.returns.append(back)

    def bucket(self, by: By | None, movement: Movement) -> object:
        """What a movement counts for."""
        person, place = movement.sale.by or 0, movement.place
        answers: dict[By | None, object] = {
            None: None,
            By.MONTH: insights.month_number(place.day),
            By.WEEK: insights.week_number(place.day),
            By.CHANNEL: place.channel,
            By.LOCATION: place.location,
            By.TILL: place.till,
            By.SOURCE: self.sources.get(person),
            By.TIER: self.tiers.get(person),
        }
        return answers[by]

    def movements(self, cut: Cut) -> Iterator[Movement]:
        """What counts in a cut."""
        for sale in self.purchases:
            if not sale.voided and _inside(cut, sale.place):
                yield Movement(sale, sale.place, 1, sale.gross, sale.discount, 0)
        for back in self.returns:
            place = back.sale.place if cut.basis is Basis.ORDER_DATE else back.place
            if not back.sale.voided and _inside(cut, place):
                yield Movement(back.sale, place, 0, 0, 0, back.net)

    def is_first(self, sale: Sold) -> bool:
        """Whether the customer bought nothing before, ever and anywhere."""
        return not any(
            other.by == sale.by and not other.voided and (other.at, other.id) < (sale.at, sale.id)
            for other in self.purchases
        )


def _inside(cut: Cut, place: Place) -> bool:
    return (
        cut.window.start <= place.day < cut.window.end
        and cut.channel in (None, place.channel)
        and cut.location in (None, place.location)
    )


@pytest.fixture
def plain(desk: Desk) -> Plain:
    return Plain(desk, seed=20260314)


WINDOW = Window(date(2025, 12, 1), date(2026, 4, 13))
CUTS = [
    Cut(WINDOW, channel, location, basis)
    for channel, location, basis in product((None, "online"), (None, "east"), Basis)
]
BYS = [None, By.MONTH, By.WEEK, By.CHANNEL, By.LOCATION, By.TILL, By.SOURCE, By.TIER]


def test_sales_are_what_adding_them_up_gives(plain: Plain, store: Store) -> None:
    with store.read() as read:
        for cut, by in product(CUTS, BYS):
            expected: dict[object, list[int]] = defaultdict(lambda: [0] * 7)
            for one in plain.movements(cut):
                known = one.sale.by is not None
                line = (one.orders, one.gross, one.discount, one.returned, one.net,
                        one.orders * known, one.net * known)  # fmt: skip
                bucket = plain.bucket(by, one)
                expected[bucket] = [a + b for a, b in zip(expected[bucket], line, strict=True)]
            found = {
                row.bucket: [
                    row.orders, row.gross_minor, row.discount_minor, row.returned_minor, row.net_minor,
                    row.orders_of_members, row.net_of_members_minor,
                ]
                for row in insights.sales(read, PROGRAMME, cut, by)
            }  # fmt: skip
            assert found == dict(expected), (cut, by)


@pytest.mark.check("L-73")
def test_first_time_and_returning_are_what_looking_back_gives(plain: Plain, store: Store) -> None:
    with store.read() as read:
        for cut, by in product(CUTS, BYS):
            orders: dict[object, int] = defaultdict(int)
            people: dict[object, set[int]] = defaultdict(set)
            nets: dict[object, int] = defaultdict(int)
            for one in plain.movements(cut):
                person = one.sale.by
                known = Kind.FIRST if person and plain.is_first(one.sale) else Kind.RETURNING
                key = plain.bucket(by, one), known if person else Kind.GUEST
                orders[key] += one.orders
                nets[key] += one.net
                people[key] |= {person} if one.orders and person else set()
            found = {
                (row.bucket, row.kind): (row.orders, row.customers, row.net_minor)
                for row in insights.kinds(read, PROGRAMME, cut, by)
            }
            assert found == {key: (orders[key], len(people[key]), nets[key]) for key in orders}, (cut, by)


@dataclass(slots=True)
class Customer:
    """What one did in one bucket."""

    orders: int = 0
    net: int = 0
    last: date = date.min


def by_person(
    plain: Plain, cut: Cut, bucket_of: Callable[[Movement], object]
) -> dict[tuple[object, int], Customer]:
    """What each customer did in each bucket."""
    found: dict[tuple[object, int], Customer] = defaultdict(Customer)
    for one in plain.movements(cut):
        if one.sale.by is not None:
            customer = found[bucket_of(one), one.sale.by]
            customer.orders += one.orders
            customer.net += one.net
            if one.orders:
                customer.last = max(customer.last, one.place.day)
    return found


def test_worth_is_what_counting_customers_gives(plain: Plain, store: Store) -> None:
    with store.read() as read:
        for cut, by in product(CUTS, BYS):
            expected: dict[object, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
            for (bucket, _), one in by_person(plain, cut, partial(plain.bucket, by)).items():
                line = (one.orders >= 1, one.orders >= 2, one.orders, one.net)
                expected[bucket] = [a + b for a, b in zip(expected[bucket], line, strict=True)]
            found = {
                bucket: [row.customers, row.repeating, row.orders, row.net_minor]
                for bucket, row in insights.worth(read, PROGRAMME, cut, by).items()
            }
            assert found == dict(expected), (cut, by)


def test_retention_is_what_looking_for_each_customer_gives(plain: Plain, store: Store) -> None:
    middle = date(2026, 2, 3)
    with store.read() as read:
        for cut in CUTS:
            people = by_person(plain, cut, lambda one: int(one.place.day >= middle))
            start, end = (
                {who for (half, who), one in people.items() if half == number and one.orders}
                for number in (0, 1)
            )
            kept = insights.kept(read, PROGRAMME, cut, middle=middle)
            assert (kept.customers.start, kept.customers.active) == (len(start), len(end))
            assert kept.customers.kept == len(start & end)
            assert kept.revenue.start_minor == sum(people[0, who].net for who in start)
            assert kept.revenue.end_minor == sum(people[1, who].net for who in start if (1, who) in people)


@pytest.mark.parametrize("by", [By.MONTH, By.WEEK])
def test_retention_month_by_month_is_that_of_each_pair_of_months(plain: Plain, store: Store, by: By) -> None:
    number = insights.month_number if by is By.MONTH else insights.week_number
    start_of = insights.month_start if by is By.MONTH else insights.week_start
    with store.read() as read:
        series = insights.kept_by(read, PROGRAMME, Cut(WINDOW), by)
        assert list(series) == list(range(number(WINDOW.start) + 1, number(date(2026, 4, 12)) + 1))
        for period, kept in series.items():
            start, end = max(start_of(period - 1), WINDOW.start), min(start_of(period + 1), WINDOW.end)
            pair = Cut(Window(start, end))
            assert kept == insights.kept(read, PROGRAMME, pair, middle=start_of(period)), period


def test_cohorts_are_what_looking_back_gives(plain: Plain, store: Store) -> None:
    months: dict[int, set[int]] = defaultdict(set)
    for sale in plain.purchases:
        if sale.by is not None and not sale.voided and sale.place.day < WINDOW.end:
            months[sale.by].add(insights.month_number(sale.place.day))
    expected: dict[tuple[int, int], int] = defaultdict(int)
    for seen in months.values():
        if min(seen) >= insights.month_number(WINDOW.start):
            for month in seen:
                expected[min(seen), month] += 1
    with store.read() as read:
        assert insights.cohort_cells(read, PROGRAMME, WINDOW) == expected


def test_visits_are_what_going_through_the_days_of_each_customer_gives(plain: Plain, store: Store) -> None:
    middle = date(2026, 2, 3)
    days: dict[int, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for one in plain.movements(Cut(WINDOW)):
        if one.sale.by is not None:
            days[one.sale.by][one.place.day] += one.net
    with store.read() as read:
        assert insights.visits(read, PROGRAMME, WINDOW, middle=middle) == [
            Visits(
                who,
                len(nets),
                min(nets),
                max(nets),
                sum(net for day, net in nets.items() if day > min(nets)),
                sum(day < middle for day in nets),
                max((day for day in nets if day < middle), default=None),
            )
            for who, nets in sorted(days.items())
        ]
        first = min(sale.place.day for sale in plain.purchases if sale.by and not sale.voided)
        assert insights.first_sale(read, PROGRAMME) == first
        assert insights.first_sale(read, PROGRAMME + 5) is None


def test_scores_are_those_of_the_pure_rule(plain: Plain, store: Store) -> None:
    with store.read() as read:
        for cut in CUTS:
            people = [one for one in by_person(plain, cut, lambda _: None).values() if one.orders]
            columns = (
                scores([one.last.toordinal() for one in people]),
                scores([one.orders for one in people]),
                scores([one.net for one in people]),
            )
            expected: dict[tuple[int, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
            for cell, one in zip(zip(*columns, strict=True), people, strict=True):
                line = (1, one.orders, one.net)
                expected[cell] = [a + b for a, b in zip(expected[cell], line, strict=True)]
            found = {
                (row.recency, row.frequency, row.money): [row.customers, row.orders, row.net_minor]
                for row in insights.scored(read, PROGRAMME, cut)
            }
            assert found == expected


@pytest.mark.parametrize("day", [date(2024, 2, 29) + timedelta(days=step * 97) for step in range(40)])
def test_weeks_begin_on_monday_and_months_on_the_first(day: date) -> None:
    monday = insights.week_start(insights.week_number(day))
    assert monday.weekday() == 0
    assert 0 <= (day - monday).days < 7
    assert insights.month_start(insights.month_number(day)) == day.replace(day=1)


QUESTIONS = {
    "sales": turnover._sales(By.TIER, Basis.ORDER_DATE, False, False),
    "sales by the day of the return": turnover._sales(By.WEEK, Basis.EVENT_DATE, True, True),
    "kinds": turnover._kinds(By.SOURCE, Basis.ORDER_DATE, False, False),
    "worth": customers._worth(By.MONTH, Basis.ORDER_DATE, False, False),
    "kept": customers._kept_by(By.MONTH, Basis.ORDER_DATE, False, False),
    "cohorts": customers._COHORTS,
    "scores": customers._scored(Basis.ORDER_DATE, False, False),
    "visits": customers._visits(),
    "points": postings._flow(By.TIER),
    "points issued": postings._ISSUED,
    "points taken": postings._TAKEN,
    "outstanding": postings._OUTSTANDING_AT,
    "active": members._ACTIVE,
    "tiers": members._MIGRATION,
    "steps": members._STEPS,
    "removals": members._REMOVALS,
    "arms": offers._BOUGHT,
    "sizes of arms": offers._SIZES,
    "everybody": offers._EVERYBODY_BOUGHT,
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_new_sqlite_file_looks_rows_up_instead_of_walking_through_them(
    sqlite_url: str, question: str
) -> None:
    """What comes second in a join is found by more than its programme: a million rows may have that."""
    opened = database.open(sqlite_url)
    prepared = Prepared(QUESTIONS[question], opened._engine.dialect)
    asked = QUESTIONS[question].compile(dialect=opened._engine.dialect).params
    values = prepared.bind({name: 1 for name, fixed in asked.items() if fixed is None})
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {prepared.text}", values)]
    connection.close()
    opened.close()
    tables = {table.name for table in metadata.sorted_tables}
    walked = [line for line in plan if line.startswith("SCAN") and line.split()[1] in tables]
    assert walked == []
    once = [line for line in plan if line.endswith("(programme_id=?)")]
    # One table leads each part of a question.
    assert len({line.split()[1] for line in once}) <= 1 + ("UNION ALL" in plan), plan


def test_an_empty_shop_answers_with_nothing(store: Store) -> None:
    with store.read() as read:
        (nothing,) = insights.sales(read, PROGRAMME, Cut(HALF))
        assert (nothing.orders, nothing.net_minor) == (0, 0)
        assert insights.kinds(read, PROGRAMME, Cut(HALF), By.MONTH) == []
        assert insights.worth(read, PROGRAMME, Cut(HALF)) == {}
        assert insights.kept(read, PROGRAMME, Cut(HALF), middle=Q2.start).customers.rate is None
        assert insights.scored(read, PROGRAMME, Cut(HALF)) == []
        assert insights.cohort_cells(read, PROGRAMME, HALF) == {}
