"""What is remembered of an order whose purchase is booked: its lines, its refunds, what of them is booked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import orjson

from passes.registers.back import Parts, SoldLine
from passes.registers.orders import GoodsRefunded, Nature, OrderCancelled, OrderPaid


@dataclass(frozen=True, slots=True)
class Plan:
    """The return that is being booked: for which message, what comes back, and when it happened."""

    message: str
    parts: Parts
    at: datetime


@dataclass(frozen=True, slots=True)
class Memory:
    """An order as it stands. `count` returns of it are booked, `booked` is what they brought back."""

    sold: tuple[SoldLine, ...]
    refunds: tuple[GoodsRefunded, ...] = ()
    cancelled: bool = False
    booked: Parts = field(default_factory=dict)
    count: int = 0
    plan: Plan | None = None
    location: str | None = None
    channel: str = "in_store"

    @classmethod
    def of(cls, event: OrderPaid, *, location: str | None) -> Memory:
        """An order of which nothing has come back, sold in our shop `location`."""
        lines = (SoldLine(line.key, line.nature, line.quantity, line.net_minor) for line in event.lines)
        return cls(tuple(lines), location=location, channel=event.channel)

    def with_event(self, event: OrderCancelled | GoodsRefunded) -> Memory:
        """One thing more is known of it."""
        if isinstance(event, OrderCancelled):
            return replace(self, cancelled=True)
        return replace(self, refunds=(*self.refunds, event))

    def without(self, event: OrderCancelled | GoodsRefunded) -> Memory:
        """What was planned for this event is off."""
        if isinstance(event, OrderCancelled):
            return replace(self, cancelled=False, plan=None)
        kept = tuple(one for one in self.refunds if one.refund != event.refund)
        return replace(self, refunds=kept, plan=None)

    def with_plan(self, plan: Plan) -> Memory:
        """A return is to be booked."""
        return replace(self, plan=plan)

    def with_booked(self) -> Memory:
        """The planned return is booked."""
        assert self.plan is not None
        booked = dict(self.booked)
        for number, (quantity, money) in self.plan.parts.items():
            had_quantity, had_money = booked.get(number, (0, 0))
            booked[number] = (had_quantity + quantity, had_money + money)
        return replace(self, booked=booked, count=self.count + 1, plan=None)

    def as_json(self) -> str:
        """As kept."""
        return orjson.dumps(self, option=orjson.OPT_NON_STR_KEYS).decode()

    @classmethod
    def from_json(cls, text: str) -> Memory:
        """What `as_json` wrote."""
        values = orjson.loads(text)
        plan = values["plan"]
        return cls(
            sold=tuple(SoldLine(**{**line, "nature": Nature(line["nature"])}) for line in values["sold"]),
            refunds=tuple(
                GoodsRefunded(**{**one, "occurred_at": datetime.fromisoformat(one["occurred_at"])})
                for one in values["refunds"]
            ),
            cancelled=values["cancelled"],
            booked=_parts(values["booked"]),
            count=values["count"],
            plan=plan and Plan(plan["message"], _parts(plan["parts"]), datetime.fromisoformat(plan["at"])),
            location=values["location"],
            channel=values["channel"],
        )


def _parts(values: Mapping[str, tuple[int, int]]) -> Parts:
    return {int(number): (part[0], part[1]) for number, part in values.items()}
