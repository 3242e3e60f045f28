"""Points, tiers, first steps, removed cards and offers: the worked figures, and what plain Python says."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from passes.loyalty.experiments import Proportion, cuped, proportions, sums
from passes.loyalty.liability import Outstanding
from passes.loyalty.metrics import IssueCohort, PointsFlow, share
from passes.store import Store, insights
from passes.store.insights import SLOT_SECONDS, By, Moved, Window
from passes.store.instants import micros
from passes.store.models import (
    account,
    consumption,
    join_count,
    lot,
    offer_assignment,
    offer_use,
    tier_change,
)
from tests.sales import PROGRAMME, Desk

PENDING, AVAILABLE, HELD = 1, 2, 3
ISSUE, REDEEMED, EXPIRED, CLAWBACK, ADJUST = 11, 12, 13, 14, 15
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
ALL_DAYS = Window(date(2000, 1, 1), date(2100, 1, 1))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def accounts(desk: Desk) -> None:
    for number, kind, bucket in (
        (PENDING, "member", "pending"), (AVAILABLE, "member", "available"), (HELD, "member", "held"),
        (ISSUE, "system", "issue"), (REDEEMED, "system", "redeemed"), (EXPIRED, "system", "expired"),
        (CLAWBACK, "system", "clawback"), (ADJUST, "system", "adjust"),
    ):  # fmt: skip
        desk.write(account, id=number, owner_kind=kind, owner_id="1", asset="points", bucket=bucket)


# Points ------------------------------------------------------------------------


@pytest.fixture
def traced(desk: Desk) -> Store:
    """The ledger's worked trace: two sales, a return, a hold, a restore, an expiry, a claw-back."""
    accounts(desk)
    for kind, source, target, amount, at in (
        ("earn", ISSUE, PENDING, 120, "2026-01-10"),
        ("clawback", PENDING, CLAWBACK, 30, "2026-01-20"),
        ("activate", PENDING, AVAILABLE, 90, "2026-01-24"),
        ("earn", ISSUE, PENDING, 60, "2026-02-05"),
        ("activate", PENDING, AVAILABLE, 60, "2026-02-19"),
        ("hold", AVAILABLE, HELD, 100, "2026-03-01T10:00"),
        ("capture", HELD, REDEEMED, 100, "2026-03-01T10:03"),
        ("restore", REDEEMED, AVAILABLE, 100, "2026-03-04"),
        ("expire", AVAILABLE, EXPIRED, 90, "2027-02-01"),
        ("redeem", AVAILABLE, REDEEMED, 40, "2027-02-10"),
        ("clawback", AVAILABLE, CLAWBACK, 60, "2027-02-12"),
    ):
        desk.post(kind, source, target, amount, utc(at))
    desk.send()
    return desk.store


@pytest.mark.check("L-67")
def test_points_of_the_trace(traced: Store) -> None:
    with traced.read() as read:
        until_2028 = insights.points(read, PROGRAMME, since=LONG_AGO, until=utc("2028-01-01"))
        only_2026 = insights.points(read, PROGRAMME, since=utc("2026-01-01"), until=utc("2027-01-01"))
    assert until_2028 == {None: PointsFlow(earned=90, bonus=0, burned=40, expired=90)}
    assert only_2026 == {None: PointsFlow(earned=150, bonus=0, burned=0, expired=0)}


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-01-15", Outstanding(120, 0, 0, 0)),
        ("2026-02-10", Outstanding(60, 90, 0, 0)),
        ("2026-03-01T10:01", Outstanding(0, 50, 100, 0)),
        ("2026-03-05", Outstanding(0, 150, 0, 0)),
        ("2027-02-11", Outstanding(0, 20, 0, 0)),
        ("2027-03-01", Outstanding(0, 0, 0, 40)),
    ],
)
def test_what_members_could_use_at_each_moment_of_the_trace(
    traced: Store, at: str, expected: Outstanding
) -> None:
    with traced.read() as read:
        assert insights.outstanding(read, PROGRAMME, at=utc(at)) == expected


SIGNS = {
    "earn": ("earned", 1), "clawback": ("earned", -1), "bonus": ("bonus", 1), "redeem": ("burned", 1),
    "capture": ("burned", 1), "restore": ("burned", -1), "expire": ("expired", 1),
}  # fmt: skip
KINDS = (*SIGNS, "adjust", "hold", "void", "activate", "transfer")


def test_points_are_what_adding_up_the_journal_gives(desk: Desk) -> None:
    chance = random.Random(5)
    accounts(desk)
    people = {
        person: (chance.choice(("poster", "link")), chance.choice(("gold", None))) for person in (1, 2, 3)
    }
    desk.open()
    for person, (source, tier) in people.items():
        desk.member(person + 100, joined=utc("2026-01-01"), source=source, tier=tier)
    moved: list[tuple[str, int, datetime, dict[str, Any]]] = []
    kept: list[tuple[int, str, int]] = []
    for _ in range(400):
        at = utc("2026-01-01") + timedelta(minutes=chance.randrange(60 * 24 * 120))
        person, location = chance.choice(tuple(people)), chance.choice(("west", "east", None))
        receipt = desk.receipt("accrue", person + 100, at, location=location)
        what = {"location": location, "source": people[person][0], "tier": people[person][1]}
        if kept and chance.random() < 0.15:
            number, kind, amount = kept.pop(chance.randrange(len(kept)))
            desk.post("reversal", REDEEMED, AVAILABLE, amount, at, reverses=number, receipt_id=receipt)
            moved.append((kind, -amount, at, what))
            continue
        kind, amount = chance.choice(KINDS), chance.randrange(1, 500)
        number = desk.post(kind, AVAILABLE, REDEEMED, amount, at, receipt_id=receipt)
        kept.append((number, kind, amount))
        moved.append((kind, amount, at, what))
    # Stamps and other programmes are another matter.
    for values in ({"asset": "stamps"}, {"programme_id": PROGRAMME + 1}):
        desk.post("earn", ISSUE, AVAILABLE, 7, utc("2026-02-01"), **values)
    desk.send()
    since, until = utc("2026-01-11"), utc("2026-04-02T13:45")
    with desk.store.read() as read:
        for by in (None, By.LOCATION, By.SOURCE, By.TIER, By.MONTH):
            expected: dict[object, dict[str, int]] = defaultdict(lambda: dict.fromkeys(
                ("earned", "bonus", "burned", "expired"), 0))  # fmt: skip
            for kind, amount, at, what in moved:
                if since <= at < until:
                    slot = int(at.timestamp()) // SLOT_SECONDS
                    bucket = None if by is None else slot if by is By.MONTH else what[by.value]
                    name, sign = SIGNS.get(kind, ("", 0))
                    expected[bucket]
                    if sign:
                        expected[bucket][name] += sign * amount
            found = insights.points(read, PROGRAMME, since=since, until=until, by=by)
            assert found == {bucket: PointsFlow(**flow) for bucket, flow in expected.items()}, by


def test_what_members_could_use_is_what_the_journal_says(desk: Desk) -> None:
    chance = random.Random(6)
    numbers = {}
    for number in range(1, 41):
        bucket = chance.choice(("pending", "available", "held"))
        numbers[number] = bucket
        desk.write(
            account, id=number, owner_kind="member", owner_id=str(number), asset="points", bucket=bucket,
        )  # fmt: skip
    desk.write(account, id=99, owner_kind="system", owner_id="s", asset="points", bucket="issue")
    held: Counter[int] = Counter()
    for step in range(300):
        number, amount = chance.choice(tuple(numbers)), chance.randrange(1, 90)
        gives = chance.random() < 0.6
        at = utc("2026-01-01") + timedelta(hours=step)
        desk.post("adjust", 99 if gives else number, number if gives else 99, amount, at)
        if step < 250:
            held[number] += amount if gives else -amount
    desk.send()
    with desk.store.read() as read:
        found = insights.outstanding(read, PROGRAMME, at=utc("2026-01-01") + timedelta(hours=250))
    above: Counter[str] = Counter()
    for number, balance in held.items():
        above[numbers[number]] += max(balance, 0)
    assert found == Outstanding(
        above["pending"], above["available"], above["held"], -sum(min(one, 0) for one in held.values())
    )


def test_outstanding_now_is_read_from_the_balances(desk: Desk) -> None:
    for number, bucket, balance in (
        (1, "available", 50),
        (2, "available", -20),
        (3, "held", 30),
        (4, "pending", 5),
    ):
        desk.write(
            account, id=number, owner_kind="member", owner_id=str(number), asset="points", bucket=bucket,
            balance=balance,
        )  # fmt: skip
    desk.write(
        account, id=5, owner_kind="member", owner_id="5", asset="stamps", bucket="available", balance=9
    )
    desk.write(account, id=6, owner_kind="system", owner_id="s", asset="points", bucket="issue")
    desk.send()
    with desk.store.read() as read:
        assert insights.outstanding(read, PROGRAMME) == Outstanding(5, 50, 30, 20)


def test_what_became_of_the_points_of_a_month(desk: Desk) -> None:
    accounts(desk)
    january, february = utc("2026-01-15"), utc("2026-02-15")

    def issued(kind: str, amount: int, at: datetime, takings: list[tuple[int, int]]) -> None:
        source = desk.post(kind, ISSUE, AVAILABLE, amount, at)
        number = next(desk.numbers)
        desk.write(
            lot, id=number, account_id=AVAILABLE, asset="points", posting_id=source, original=amount,
            remaining=amount - sum(taken for _, taken in takings), earned_at=micros(at),
        )  # fmt: skip
        for posting_id, taken in takings:
            desk.write(consumption, lot_id=number, posting_id=posting_id, amount=taken)

    redeem = desk.post("redeem", AVAILABLE, REDEEMED, 60, february)
    undo = desk.post("reversal", REDEEMED, AVAILABLE, 10, february, reverses=redeem)
    hold = desk.post("hold", AVAILABLE, HELD, 20, february)
    void = desk.post("void", HELD, AVAILABLE, 5, february, reverses=hold)
    expire = desk.post("expire", AVAILABLE, EXPIRED, 15, february)
    clawback = desk.post("clawback", AVAILABLE, CLAWBACK, 12, february)
    earned = desk.post("earn", ISSUE, AVAILABLE, 3, january)
    undone = desk.post("reversal", AVAILABLE, ISSUE, 3, january, reverses=earned)
    issued("earn", 100, january, [(redeem, 60), (undo, -10), (hold, 20), (void, -5), (expire, 15)])
    issued("bonus", 40, january, [(clawback, 12), (undone, 3)])
    issued("earn", 500, february, [(redeem, 1)])
    issued("merge", 70, january, [])  # moved here, not issued
    desk.send()
    with desk.store.read() as read:
        found = insights.issue_cohort(read, PROGRAMME, since=utc("2026-01-01"), until=utc("2026-02-01"))
    assert found == IssueCohort(issued=140, used=65, expired=15, taken_back=15, remaining=45)
    assert found.issued == found.used + found.expired + found.taken_back + found.remaining


# Members -----------------------------------------------------------------------


def test_active_members_are_open_and_earned_or_burned_lately(desk: Desk) -> None:
    desk.open()
    joined, lately, at = utc("2025-01-01"), utc("2026-03-01"), utc("2026-03-14")
    cases: list[tuple[str, datetime, dict[str, Any], dict[str, Any]]] = [
        ("earn", lately, {}, {}),
        ("redeem", lately, {}, {}),
        ("earn", utc("2025-11-01"), {}, {}),  # too long ago
        ("bonus", lately, {}, {}),  # given, not earned
        ("earn", lately, {}, {"undone_by": 1}),
        ("earn", lately, {"closed_at": micros(utc("2026-03-10"))}, {}),
        ("expire", lately, {}, {}),
        ("earn", utc("2026-03-15"), {}, {}),  # still to come
        ("capture", at, {}, {}),
    ]
    for number, (kind, when, person, receipt) in enumerate(cases, start=101):
        desk.member(number, joined=joined, **person)
        desk.post(kind, ISSUE, number, 5, when, receipt_id=desk.receipt("accrue", number, when, **receipt))
    desk.member(201, joined=utc("2026-03-20"))
    # Two members who became one: what either did is the survivor's.
    desk.member(301, joined=joined)
    desk.member(302, joined=joined, merged_into=301)
    desk.post("earn", ISSUE, 302, 5, lately, receipt_id=desk.receipt("accrue", 302, lately))
    desk.send()
    with desk.store.read() as read:
        found = insights.active_members(read, PROGRAMME, since=at - timedelta(days=90), at=at)
    assert found == (4, 9)


def test_tiers_at_two_instants_are_what_replaying_the_changes_gives(desk: Desk) -> None:
    chance = random.Random(8)
    tiers = (None, "silver", "gold")
    start, end = utc("2026-02-01"), utc("2026-05-01")
    desk.open()
    expected: Counter[tuple[str, str | None, str, str | None]] = Counter()
    for person in range(101, 181):
        joined = utc("2025-10-01") + timedelta(days=chance.randrange(240))
        closed = joined + timedelta(days=chance.randrange(1, 300)) if chance.random() < 0.3 else None
        tier = first = chance.choice(tiers)
        history = []
        at = joined
        for _ in range(chance.randrange(4)):
            # Two changes may share an instant: the later id holds.
            at += timedelta(days=chance.choice((0, 20, 40)))
            new = chance.choice(tiers)
            desk.write(
                tier_change, id=next(desk.numbers), member_id=person, from_key=tier, to_key=new,
                cause="upgrade", at=micros(at),
            )  # fmt: skip
            history.append((at, new))
            tier = new
        desk.member(person, joined=joined, tier=tier, closed_at=None if closed is None else micros(closed))
        line: list[str | None] = []
        for instant in (start, end):
            state = "joined" if joined > instant else "closed" if closed and closed <= instant else "open"
            line += [state, next((new for when, new in reversed(history) if when <= instant), first)]
        expected[line[0] or "", line[1], line[2] or "", line[3]] += 1
    desk.send()
    with desk.store.read() as read:
        found = insights.tier_moves(read, PROGRAMME, since=start, until=end)
    assert {
        (one.state_start, one.tier_start, one.state_end, one.tier_end): one.members for one in found
    } == expected


def test_a_member_whose_tier_never_changed_has_always_had_it(desk: Desk) -> None:
    desk.open()
    desk.member(101, joined=utc("2026-01-01"), tier="green")
    desk.send()
    with desk.store.read() as read:
        found = insights.tier_moves(read, PROGRAMME, since=utc("2026-02-01"), until=utc("2026-03-01"))
    assert found == [Moved("open", "green", "open", "green", 1)]


# First steps and removals --------------------------------------------------------


@pytest.mark.check("L-71")
def test_of_a_thousand_views_304_cards_are_on_a_phone(desk: Desk) -> None:
    desk.open()
    for step, views in (("view", 1_000), ("send", 400)):
        desk.write(
            join_count, local_day=20260310, source="poster", location="", step=step, count=views
        )  # fmt: skip
    desk.write(join_count, local_day=20260401, source="poster", location="", step="view", count=5)
    joined = utc("2026-03-10")
    for number in range(380):
        person = 1_001 + number
        desk.member(person, joined=joined)
        later = [joined + timedelta(minutes=minutes) for minutes in (1, 5, 60, 61, 600)]
        desk.card(person, issued=later[0], installed=later[1] if number < 304 else None)
        if number < 240:
            desk.receipt("accrue", person, later[2], points=0)
        if number < 230:
            desk.receipt("accrue", person, later[3], points=4)
        if number < 60:
            desk.receipt("redeem", person, later[4], points=-4)
        elif number < 80:
            desk.receipt("redeem", person, later[4], points=-4, undone_by=1)
    desk.member(9_001, joined=utc("2026-04-02"))
    desk.send()
    with desk.store.read() as read:
        counts = insights.join_counts(read, PROGRAMME, Window(date(2026, 3, 1), date(2026, 4, 1)))
        taken = insights.steps(read, PROGRAMME, since=utc("2026-03-01"), until=utc("2026-04-01"))
    assert counts == {("poster", "view"): 1_000, ("poster", "send"): 400}
    names = ("joined_at", "issued_at", "installed_at", "scanned_at", "earned_at", "redeemed_at")
    assert [sum(getattr(one, name) is not None for one in taken) for name in names] == [
        380, 380, 304, 240, 230, 60,
    ]  # fmt: skip
    assert share(304, 380) == Fraction(8, 10)
    both = next(one for one in taken if one.redeemed_at is not None)
    assert [getattr(both, name) - both.joined_at for name in names] == [
        minutes * 60_000_000 for minutes in (0, 1, 5, 60, 61, 600)
    ]


@pytest.mark.check("L-71")
def test_twelve_of_three_hundred_cards_leave_their_phones(desk: Desk) -> None:
    desk.open()
    start, end, before = utc("2026-03-01"), utc("2026-04-01"), utc("2026-01-01")
    removed = [utc("2026-03-10")] * 12 + [utc("2026-04-10")] * 8 + [None] * 280
    for number, when in enumerate(removed, start=101):
        desk.member(number, joined=before)
        desk.card(number, issued=before, installed=before, removed=when)
    for number, (installed, gone) in enumerate(
        [(None, None), (before, utc("2026-02-01")), (utc("2026-03-05"), None)], start=1_001
    ):
        desk.member(number, joined=before)
        desk.card(number, issued=before, installed=installed, removed=gone)
    desk.send()
    with desk.store.read() as read:
        on_phones, left = insights.removals(read, PROGRAMME, since=start, until=end)
    assert (on_phones, left) == (300, 12)
    assert share(left, on_phones) == Fraction(4, 100)


# Offers ------------------------------------------------------------------------


def test_each_arm_of_an_offer_is_what_adding_up_its_members_gives(desk: Desk) -> None:
    chance = random.Random(9)
    before, since, until = utc("2026-01-01"), utc("2026-02-01"), utc("2026-03-04")
    pairs: dict[str, list[tuple[float, float]]] = {"treated": [], "holdout": []}
    buyers: Counter[str] = Counter()
    orders: Counter[str] = Counter()
    for person in range(101, 301):
        arm = "holdout" if chance.random() < 0.2 else "treated"
        assigned = since if chance.random() < 0.8 else since + timedelta(days=10)
        desk.write(offer_assignment, offer_id=5, member_id=person, arm=arm, at=micros(assigned))
        y = x = 0
        bought = 0
        for _ in range(chance.choice((0, 0, 1, 2, 4))):
            at = utc("2025-12-20") + timedelta(hours=chance.randrange(24 * 90))
            amount, voided = chance.randrange(100, 9_000), chance.random() < 0.1
            number = desk.sell(at.date(), amount, by=person, at=at, voided_by=1 if voided else None)
            back = chance.choice((0, 0, 50))
            for part in (back, back):
                if part:
                    desk.take_back(number, at.date(), part)
            if voided:
                continue
            net = amount - 2 * back
            if max(since, assigned) <= at < until:
                y, bought = y + net, bought + 1
            elif before <= at < since:
                x += net
        pairs[arm].append((y, x))
        buyers[arm] += bought > 0
        orders[arm] += bought
    desk.write(offer_assignment, offer_id=6, member_id=101, arm="treated", at=micros(since))
    desk.send()
    with desk.store.read() as read:
        found = insights.arms(read, PROGRAMME, 5, days=ALL_DAYS, before=before, since=since, until=until)
    assert {arm: (one.buyers, one.orders, one.spend.size) for arm, one in found.items()} == {
        arm: (buyers[arm], orders[arm], len(rows)) for arm, rows in pairs.items()
    }
    for arm, rows in pairs.items():
        expected, spend = sums(rows), found[arm].spend
        for name in ("y", "x", "yy", "xx", "xy"):
            assert getattr(spend, name) == pytest.approx(getattr(expected, name), rel=1e-12), (arm, name)
    assert cuped(found["treated"].spend, found["holdout"].spend).effect.difference == pytest.approx(
        cuped(sums(pairs["treated"]), sums(pairs["holdout"])).effect.difference
    )


def test_everybody_assigned_counts_whether_or_not_they_bought(desk: Desk) -> None:
    since, until = utc("2026-02-01"), utc("2026-03-01")
    for number in range(400):
        desk.write(
            offer_assignment, offer_id=5, member_id=1_000 + number, at=micros(since),
            arm="holdout" if number < 100 else "treated",
        )  # fmt: skip
        if number % 10 == 0:
            desk.sell(date(2026, 2, 10), 500, by=1_000 + number)
    desk.send()
    with desk.store.read() as read:
        found = insights.arms(
            read,
            PROGRAMME,
            5,
            days=ALL_DAYS,
            before=since - (until - since),
            since=since,
            until=until,
        )
    effect = proportions(
        *(Proportion(found[arm].buyers, found[arm].spend.size) for arm in ("treated", "holdout"))
    )
    assert (found["treated"].spend.size, found["treated"].buyers) == (300, 30)
    assert effect.difference == 0


def test_what_an_offer_gave_leaves_out_what_was_undone(desk: Desk) -> None:
    for state, discount in (("consumed", 120), ("consumed", 30), ("restored", 500)):
        desk.write(
            offer_use, id=next(desk.numbers), offer_id=5, member_id=1, receipt_id=1, state=state,
            discount_minor=discount, points=2,
        )  # fmt: skip
    desk.send()
    with desk.store.read() as read:
        assert insights.offer_uses(read, PROGRAMME, 5) == (2, 150, 4)
        assert insights.offer_uses(read, PROGRAMME, 6) == (0, 0, 0)
