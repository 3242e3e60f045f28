"""The whole engine under anything a shop can do to it, in any order, on both databases.

A machine joins, sells, holds, returns, merges, waits and retries at random. It
keeps no books of its own: it checks what must be true of any books. Nothing is
created or lost; an undo restores what was; a retry changes nothing; every
point can be explained; what was known at an instant stays what was known then.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from passes import books, checkout, club, due_work, enrolment, merging, programmes
from passes import store as stores
from passes.checkout import Held, Receipt
from passes.enrolment import Source
from passes.loyalty import dates
from passes.loyalty.basket import Line
from passes.loyalty.receipt import ReceiptKind
from passes.loyalty.refusals import NotEnoughPoints, Refused
from passes.store import Store, journal, members
from passes.store import books as store_books
from passes.store import programmes as stored
from tests.postgres import Postgres
from tests.shop import COFFEE, KEYS, PASS_TYPE, TILL

STEPS = 100
EXAMPLES = 102  # so that there are more than ten thousand steps on each database

RULES = """
[points]
pending_days = 3
hold_minutes = 30
return_days = 400

[points.expiry]
kind = "rolling"
months = 3
to = "month"

[[rewards]]
key = "mug"
name = "Mug"
points = 60
kind = "product"
stock = 4

[[rewards]]
key = "money"
name = "Pay with beans"
kind = "points_as_money"
points = 10
amount = 0.10

[stamps]
name = "Cup no. {stamps.target}"
target = 5
earned_for = "item"
categories = ["coffee"]

[adjustments]
reasons = ["goodwill"]
approval_points = 100000
person_day_points = 1000000
"""

# Members' balances as they are kept, the system's as its postings say.
_HELD_BY_ALL = text("""
    SELECT asset, sum(held) AS held FROM (
        SELECT asset, balance AS held FROM account WHERE programme_id = :programme_id AND balance IS NOT NULL
        UNION ALL
        SELECT a.asset, CASE WHEN p.target = a.id THEN p.amount ELSE -p.amount END
        FROM account a
        JOIN posting p ON p.programme_id = a.programme_id AND (p.target = a.id OR p.source = a.id)
        WHERE a.programme_id = :programme_id AND a.balance IS NULL
    ) moved GROUP BY asset
""")


@dataclass(frozen=True)
class Known:
    """What the account of a member was said to hold, and when. A code may come to stand for somebody else."""

    account_id: int
    at: datetime
    balance: int


class Engine(RuleBasedStateMachine):
    """The coffee shop on a database of its own: whatever is due is looked for in every programme there is."""

    fresh: Callable[[], AbstractContextManager[Store]]
    slug = COFFEE

    def __init__(self) -> None:
        super().__init__()
        self.opened = contextlib.ExitStack()
        self.store = self.opened.enter_context(type(self).fresh())
        self.now = datetime(2026, 1, 10, 9, 0, tzinfo=UTC)
        self.numbers = count(1)
        self.codes: list[str] = []
        self.bought: list[Receipt] = []
        self.spent: list[Receipt] = []
        self.holds: list[Held] = []
        self.merges: list[int] = []
        self.known: list[Known] = []
        self.last: tuple[Callable[[], Any], Any] | None = None
        self.steps = 0

    @initialize()
    def open(self) -> None:
        (path,) = (path for path in programmes.DEMONSTRATION if path.stem == COFFEE)
        source = _without(path.read_text("utf-8"), "[points", "[stamps", "[adjustments") + RULES
        programmes.load(self.store, name=self.slug, source=source, pass_type=PASS_TYPE, now=self.now)
        self.join(0)

    # What a shop does -----------------------------------------------------------

    @rule(number=st.integers(0, 3))
    def join(self, number: int) -> None:
        key, now = self.key(), self.now
        joined = enrolment.join(
            self.store,
            programme=self.slug,
            name="Ana Reyes",
            email=f"member{number}@example.org" if number else None,
            language="en",
            consents={},
            source=Source("poster"),
            key=key,
            keys=KEYS,
            now=now,
        )
        self.codes.append(joined.code)

    @rule(
        who=st.integers(0, 5),
        coffees=st.integers(0, 6),
        beans=st.integers(0, 2),
        cents=st.integers(1, 9_999),
        late_days=st.sampled_from([0, 0, 0, 1, 20, 200]),
    )
    def buy(self, who: int, coffees: int, beans: int, cents: int, late_days: int) -> None:
        lines = [
            Line(quantity=quantity, unit_minor=unit, category=category)
            for quantity, unit, category in ((coffees, 350, "coffee"), (beans, cents, "beans"))
            if quantity
        ]
        amount = sum(line.net_minor for line in lines) or cents
        code, key, now = self.code(who), self.key(), self.now
        bought = self.ask(
            lambda: checkout.accrue(
                self.store,
                programme=self.slug,
                code=code,
                amount_minor=amount,
                lines=lines,
                key=key,
                at=TILL,
                occurred_at=now - timedelta(days=late_days) if late_days else None,
                now=now,
            )
        )
        if bought is not None:
            assert bought.points >= 0
            self.bought.append(bought)

    @rule(who=st.integers(0, 5), cents=st.integers(1, 20_000))
    def promise(self, who: int, cents: int) -> None:
        """A quote, and the purchase that must keep it."""
        code = self.code(who)
        try:
            quote = checkout.quote(
                self.store, programme=self.slug, code=code, amount_minor=cents, at=TILL, now=self.now
            )
        except Refused:
            return
        key, now = self.key(), self.now
        bought = self.ask(
            lambda: checkout.accrue(
                self.store, programme=self.slug, code=code, amount_minor=cents, key=key, at=TILL, now=now
            )
        )
        assert bought is not None
        assert (bought.points, bought.balance_after) == (quote.points, quote.balance_after)
        self.bought.append(bought)

    @rule(who=st.integers(0, 5), reward=st.sampled_from(["extra-shot", "brewed-coffee", "mug"]))
    def redeem(self, who: int, reward: str) -> None:
        code, key, now = self.code(who), self.key(), self.now
        spent = self.ask(
            lambda: checkout.redeem(
                self.store, programme=self.slug, code=code, reward=reward, key=key, at=TILL, now=now
            )
        )
        if spent is not None:
            assert spent.balance_after >= 0
            self.spent.append(spent)

    @rule(who=st.integers(0, 5), steps=st.integers(1, 30))
    def pay_with_points(self, who: int, steps: int) -> None:
        code, key, now = self.code(who), self.key(), self.now
        spent = self.ask(
            lambda: checkout.redeem(
                self.store,
                programme=self.slug,
                code=code,
                reward="money",
                points=steps * 10,
                basket_minor=100_000,
                key=key,
                at=TILL,
                now=now,
            )
        )
        if spent is not None:
            assert spent.points == -steps * 10

    @rule(who=st.integers(0, 5))
    def hold(self, who: int) -> None:
        code, key, now = self.code(who), self.key(), self.now
        held = self.ask(
            lambda: checkout.authorise(
                self.store, programme=self.slug, code=code, reward="mug", key=key, at=TILL, now=now
            )
        )
        if held is not None:
            self.holds.append(held)

    @precondition(lambda self: self.holds)
    @rule(which=st.integers(0, 20), points=st.none() | st.integers(0, 60), releases=st.booleans())
    def resolve(self, which: int, points: int | None, releases: bool) -> None:
        held, key, now = self.holds[which % len(self.holds)], self.key(), self.now
        if releases:
            self.ask(
                lambda: checkout.release(
                    self.store, programme=self.slug, hold_id=held.id, key=key, at=TILL, now=now
                )
            )
        else:
            self.ask(
                lambda: checkout.capture(
                    self.store,
                    programme=self.slug,
                    hold_id=held.id,
                    points=points,
                    key=key,
                    at=TILL,
                    now=now,
                )
            )

    @rule(which=st.integers(0, 50), of_spent=st.booleans())
    def undo(self, which: int, of_spent: bool) -> None:
        known = self.spent if of_spent else self.bought
        if not known:
            return
        receipt, key, now = known[which % len(known)], self.key(), self.now
        self.ask(
            lambda: checkout.undo(
                self.store, programme=self.slug, receipt_id=receipt.id, key=key, at=TILL, now=now
            )
        )

    @rule(who=st.integers(0, 5), coffees=st.integers(1, 12))
    def buy_and_undo(self, who: int, coffees: int) -> None:
        """Undone at once, a purchase leaves no trace but its receipts."""
        code = self.code(who)
        try:
            before = self.standing(code)
            bought = checkout.accrue(
                self.store,
                programme=self.slug,
                code=code,
                amount_minor=350 * coffees,
                lines=[Line(quantity=coffees, unit_minor=350, category="coffee")],
                key=self.key(),
                at=TILL,
                now=self.now,
            )
        except Refused:
            return
        checkout.undo(
            self.store, programme=self.slug, receipt_id=bought.id, key=self.key(), at=TILL, now=self.now
        )
        assert self.standing(code) == before

    @precondition(lambda self: self.bought)
    @rule(which=st.integers(0, 50), cents=st.none() | st.integers(1, 3_000))
    def take_back(self, which: int, cents: int | None) -> None:
        receipt, key, now = self.bought[which % len(self.bought)], self.key(), self.now
        taken = self.ask(
            lambda: checkout.take_back(
                self.store,
                programme=self.slug,
                receipt_id=receipt.id,
                amount_minor=cents,
                key=key,
                at=TILL,
                now=now,
            )
        )
        if taken is not None:
            assert taken.amount_minor is not None
            assert receipt.amount_minor is not None
            assert taken.amount_minor <= receipt.amount_minor

    @rule(who=st.integers(0, 5), points=st.integers(-200, 200).filter(bool))
    def correct(self, who: int, points: int) -> None:
        code, key, now = self.code(who), self.key(), self.now
        self.ask(
            lambda: club.adjust(
                self.store,
                programme=self.slug,
                code=code,
                points=points,
                reason="goodwill",
                note="spilled coffee",
                words="Sorry!",
                by="olive",
                key=key,
                now=now,
            )
        )

    @rule(one=st.integers(0, 5), other=st.integers(0, 5))
    def merge(self, one: int, other: int) -> None:
        survivor, loser, key, now = self.code(one), self.code(other), self.key(), self.now
        merged = self.ask(
            lambda: merging.merge(
                self.store,
                programme=self.slug,
                survivor=survivor,
                loser=loser,
                proof="showed both cards and a passport",
                by="olive",
                key=key,
                now=now,
            )
        )
        if merged is not None:
            self.merges.append(merged.id)

    @precondition(lambda self: self.merges)
    @rule(which=st.integers(0, 20))
    def unmerge(self, which: int) -> None:
        merge_id, key, now = self.merges[which % len(self.merges)], self.key(), self.now
        self.ask(
            lambda: merging.undo(
                self.store,
                programme=self.slug,
                merge_id=merge_id,
                proof="they are twins",
                by="olive",
                key=key,
                now=now,
            )
        )

    @rule(cents=st.integers(1, 5_000))
    def sell_to_a_guest(self, cents: int) -> None:
        checkout.sale(
            self.store, programme=self.slug, amount_minor=cents, key=self.key(), at=TILL, now=self.now
        )

    @rule(minutes=st.sampled_from([1, 20, 60, 60 * 24, 60 * 24 * 4, 60 * 24 * 40, 60 * 24 * 400]))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        due_work.run_due(self.store, now=self.now)

    @rule()
    def work_ahead_is_done_once(self) -> None:
        due_work.run_due(self.store, now=self.now)
        assert due_work.run_due(self.store, now=self.now) == due_work.DueDone()

    @precondition(lambda self: self.last)
    @rule()
    def retry(self) -> None:
        """The last request once more, at a later time: the first answer again, and nothing moved."""
        assert self.last is not None
        request, answer = self.last
        counted = self.postings()
        assert request() == answer
        assert self.postings() == counted

    @rule(who=st.integers(0, 5))
    def remember(self, who: int) -> None:
        code = self.code(who)
        if len(self.known) < 20:
            with self.store.read() as read:
                loaded = stored.by_slug(read, self.slug)
                standing = members.standing(members.look(read, loaded.id, code))
            assert standing is not None
            account_id = standing.points_account_id
            self.known.append(Known(account_id, self.now, self.balance_then(account_id, self.now)))
            # What comes next comes later.
            self.now += timedelta(seconds=1)

    # What must be true ------------------------------------------------------------

    @invariant()
    def nothing_is_created_or_lost(self) -> None:
        self.steps += 1
        if self.steps % 8 and self.steps < STEPS:
            return
        assert books.verify(self.store, programme=self.slug).problems == ()
        with self.store.read() as read:
            programme_id = stored.by_slug(read, self.slug).id
            for row in read.ask(_HELD_BY_ALL, programme_id=programme_id).all():
                assert row.held == 0, row.asset

    @invariant()
    def what_was_known_then_stays_so(self) -> None:
        if self.steps % 8 == 0:
            for known in self.known:
                assert self.balance_then(known.account_id, known.at) == known.balance

    def teardown(self) -> None:
        with self.opened:
            self.explained()

    def explained(self) -> None:
        """Every receipt of the programme adds up in words."""
        for code in dict.fromkeys(self.codes):
            with self.store.read() as read:
                loaded = stored.by_slug(read, self.slug)
                standing = members.standing(members.look(read, loaded.id, code))
                assert standing is not None
                rows = journal.receipts_of_member(read, loaded.id, standing.member_id, limit=1000).all()
            for row in rows:
                told = checkout.why(self.store, programme=self.slug, receipt_id=row.id)
                assert sum((part.points for part in told.parts), start=Fraction(0)) == row.points
                assert told.receipt.kind in ReceiptKind

    # Shared -----------------------------------------------------------------------

    def key(self) -> str:
        return f"key-{next(self.numbers)}"

    def code(self, who: int) -> str:
        return self.codes[-1 - who % len(self.codes)]

    def ask(self, request: Callable[[], Any]) -> Any:
        """Carry a request out. A refusal must move nothing."""
        counted = self.postings()
        try:
            answer = request()
        except Refused as refused:
            assert self.postings() == counted
            if isinstance(refused, NotEnoughPoints):
                self.check_shortage(**refused.values)  # type: ignore[arg-type]
            return None
        self.last = (request, answer)
        return answer

    def check_shortage(self, *, needed: int, available: int, **_: object) -> None:
        assert available < needed

    def postings(self) -> int:
        with self.store.read() as read:
            return int(store_books.counts(read, stored.by_slug(read, self.slug).id).postings)

    def standing(self, code: str) -> object:
        view = checkout.look(self.store, programme=self.slug, code=code, language="en", now=self.now)
        with self.store.read() as read:
            loaded = stored.by_slug(read, self.slug)
            standing = members.standing(members.look(read, loaded.id, code))
            assert standing is not None
            lots = journal.open_lots(read, loaded.id, standing.points_account_id)
        # When accounts were opened, and when somebody was here last, is no movement;
        # what counted for a year that is over counts for nothing.
        this_year = dates.local_date(self.now, loaded.programme.zone).year
        facts = dataclasses.replace(
            standing,
            metric=standing.metric if standing.metric_period == this_year else 0,
            metric_period=this_year,
            pending_account_id=None,
            stamps_account_id=None,
            last_purchase_at=None,
            last_stamp_at=None,
            points_lapse_at=None,
        )
        return facts, sorted(lots, key=lambda lot: lot.id), view.pending, view.stamps, view.issued

    def balance_then(self, account_id: int, at: datetime) -> int:
        with self.store.read() as read:
            programme_id = stored.by_slug(read, self.slug).id
            return store_books.balance_as_of(read, programme_id, account_id, at=at, known_at=at)


def _without(source: str, *headers: str) -> str:
    """The programme file without the sections that begin like these."""
    kept, skipping = [], False
    for line in source.splitlines(keepends=True):
        if line.startswith("["):
            skipping = line.startswith(headers)
        if not skipping:
            kept.append(line)
    return "".join(kept)


@pytest.fixture
def fresh_sqlite(sqlite_template: Path, tmp_path: Path) -> Callable[[], AbstractContextManager[Store]]:
    """Opens an empty SQLite database each time it is called."""

    @contextlib.contextmanager
    def fresh() -> Iterator[Store]:
        path = tmp_path / f"{uuid4().hex}.sqlite3"
        shutil.copyfile(sqlite_template, path)
        opened = stores.open(f"sqlite:///{path}")
        yield opened
        opened.close()
        path.unlink()

    return fresh


@pytest.fixture
def fresh_postgresql(
    postgres_server: Postgres, postgres_maintenance: psycopg.Connection, postgres_template: str
) -> Callable[[], AbstractContextManager[Store]]:
    """Opens an empty PostgreSQL database each time it is called."""

    @contextlib.contextmanager
    def fresh() -> Iterator[Store]:
        name = f"engine_{uuid4().hex}"
        postgres_maintenance.execute(
            f"CREATE DATABASE {name} TEMPLATE {postgres_template} STRATEGY FILE_COPY"
        )
        opened = stores.open(postgres_server.url(name))
        yield opened
        opened.close()
        postgres_maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)")

    return fresh


@pytest.mark.slow
@pytest.mark.check("L-57")
@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_whatever_happens_the_books_are_right(request: pytest.FixtureRequest, engine: str) -> None:
    fresh = request.getfixturevalue(f"fresh_{engine}")
    machine = type("Engine", (Engine,), {"fresh": staticmethod(fresh)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )
