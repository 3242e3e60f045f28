"""Sales, members and points written straight into the tables, and the fixture of the metrics.

The fixture has identified customers who are not members. Here every known
customer is a member, so `fixture(…, starred_only=True)` gives a member to the
starred orders alone: that is the fixture's own idea of a member's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from itertools import count
from typing import Any

from sqlalchemy import Boolean, Integer, LargeBinary, Table, insert

from passes.loyalty.dates import day_number
from passes.store import Store, Work
from passes.store.instants import micros
from passes.store.models import (
    account,
    card,
    goods_return,
    joining,
    member,
    pass_type,
    posting,
    programme,
    purchase,
    receipt,
)

PROGRAMME = 7
PASS_TYPE = 3

# number, customer (None is a guest), starred, day, amount, discount, returned, on which day
FIXTURE: Sequence[tuple[int, str | None, bool, str, int, int, int, str | None]] = (
    (1, "A", True, "2026-01-05", 40, 0, 0, None),
    (2, "B", False, "2026-01-12", 25, 0, 0, None),
    (3, "C", True, "2026-01-20", 60, 5, 0, None),
    (4, "A", True, "2026-02-03", 35, 0, 0, None),
    (5, "D", False, "2026-02-10", 80, 0, 0, None),
    (6, None, False, "2026-02-14", 30, 0, 0, None),
    (7, "B", True, "2026-03-02", 20, 0, 0, None),
    (8, "A", True, "2026-03-09", 50, 0, 0, None),
    (9, "E", True, "2026-03-15", 45, 0, 0, None),
    (10, "C", True, "2026-03-28", 70, 0, 20, "2026-04-02"),
    (11, "A", True, "2026-04-04", 30, 0, 0, None),
    (12, "F", True, "2026-04-11", 55, 5, 0, None),
    (13, "D", True, "2026-04-19", 90, 0, 0, None),
    (14, None, False, "2026-04-22", 25, 0, 0, None),
    (15, "E", True, "2026-05-06", 40, 0, 0, None),
    (16, "A", True, "2026-05-20", 45, 0, 0, None),
    (17, "G", False, "2026-06-02", 65, 0, 0, None),
    (18, "C", True, "2026-06-16", 75, 5, 0, None),
)


def noon(day: date) -> datetime:
    """An instant of that day, in any zone of Europe."""
    return datetime.combine(day, time(12), UTC)


def row(table: Table, **values: Any) -> dict[str, Any]:
    """A row with these values; what else must not be empty is zero or blank."""
    return {column.name: values.get(column.name, _blank(column)) for column in table.columns}


def _blank(column: Any) -> Any:
    if column.nullable:
        return None
    if isinstance(column.type, Boolean):
        return False
    if isinstance(column.type, LargeBinary):
        return b""
    return 0 if isinstance(column.type, Integer) else ""


@dataclass
class Desk:
    """Somebody who writes rows; `send` puts them into the database."""

    store: Store
    programme_id: int = PROGRAMME
    written: dict[Table, list[dict[str, Any]]] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: count(1))

    def write(self, table: Table, **values: Any) -> dict[str, Any]:
        """One more row of this programme."""
        made = row(table, **{"programme_id": self.programme_id, **values})
        self.written.setdefault(table, []).append(made)
        return made

    def open(self) -> None:
        """The programme itself."""
        self.written.setdefault(pass_type, []).append(row(pass_type, id=PASS_TYPE, identifier="pass.x"))
        self.written.setdefault(programme, []).append(
            row(programme, id=self.programme_id, slug=f"p{self.programme_id}", pass_type_id=PASS_TYPE)
        )

    def member(self, member_id: int, *, joined: datetime, source: str = "poster", **values: Any) -> None:
        """A member with a card, both with the same id, and an account of available points."""
        self.write(
            member,
            id=member_id,
            joined_at=micros(joined),
            points_account_id=member_id,
            language="en",
            **values,
        )
        self.write(joining, member_id=member_id, source=source)
        self.write(
            account, id=member_id, owner_kind="member", owner_id=str(member_id), asset="points",
            bucket="available", balance=0,
        )  # fmt: skip

    def card(
        self,
        member_id: int,
        *,
        issued: datetime,
        installed: datetime | None = None,
        removed: datetime | None = None,
    ) -> None:
        """The member's card."""
        self.write(
            card,
            id=member_id,
            member_id=member_id,
            pass_type_id=PASS_TYPE,
            serial=f"{self.programme_id}-{member_id}",
            issued_at=micros(issued),
            installed_at=None if installed is None else micros(installed),
            removed_at=None if removed is None else micros(removed),
        )

    def sell(
        self,
        day: date,
        gross: int,
        *,
        by: int | None = None,
        discount: int = 0,
        at: datetime | None = None,
        channel: str = "in_store",
        **values: Any,
    ) -> int:
        """A purchase of `gross` − `discount` minor units. Returns its id."""
        purchase_id: int = values.pop("id", None) or next(self.numbers)
        self.write(
            purchase,
            id=purchase_id,
            member_id=by,
            channel=channel,
            currency="USD",
            gross_minor=gross,
            discount_minor=discount,
            net_minor=gross - discount,
            occurred_at=micros(at or noon(day)),
            local_day=day_number(day),
            **values,
        )
        return purchase_id

    def take_back(self, purchase_id: int, day: date, net: int, **values: Any) -> None:
        """Goods of a purchase come back on a day."""
        self.write(
            goods_return,
            id=next(self.numbers),
            purchase_id=purchase_id,
            gross_minor=net,
            net_minor=net,
            local_day=day_number(day),
            occurred_at=micros(noon(day)),
            **{"channel": "in_store", **values},
        )

    def receipt(self, kind: str, member_id: int, at: datetime, **values: Any) -> int:
        """A receipt. Returns its id."""
        receipt_id: int = next(self.numbers)
        self.write(
            receipt,
            id=receipt_id,
            kind=kind,
            member_id=member_id,
            card_id=member_id,
            occurred_at=micros(at),
            recorded_at=micros(at),
            reasons="[]",
            **values,
        )
        return receipt_id

    def post(self, kind: str, source: int, target: int, amount: int, at: datetime, **values: Any) -> int:
        """Points from an account to another. Returns the posting's id."""
        posting_id: int = next(self.numbers)
        moved = {"id": posting_id, "kind": kind, "source": source, "target": target, "amount": amount}
        instants = {"occurred_at": micros(at), "recorded_at": micros(at)}
        self.write(posting, **{"asset": "points", **moved, **instants, **values})
        return posting_id

    def send(self) -> None:
        """Write everything down, whole tables at a time."""
        written, self.written = self.written, {}

        def decide(work: Work) -> None:
            for table, rows in written.items():
                work.put_many(insert(table), rows)

        self.store.write(decide)


def fixture(desk: Desk, *, starred_only: bool = False) -> None:
    """The eighteen orders, in minor units of 1/100, of a programme that exists."""
    for name in sorted({line[1] for line in FIXTURE if line[1]}):
        desk.member(ord(name), joined=datetime(2026, 1, 1, tzinfo=UTC))
    for number, customer, starred, day, amount, discount, returned, returned_on in FIXTURE:
        known = customer is not None and (starred or not starred_only)
        desk.sell(
            date.fromisoformat(day),
            100 * amount,
            id=number,
            by=ord(customer) if customer and known else None,
            discount=100 * discount,
        )
        if returned_on:
            desk.take_back(number, date.fromisoformat(returned_on), 100 * returned)
    desk.numbers = count(1_000)
    desk.send()
