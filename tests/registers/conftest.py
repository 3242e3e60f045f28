"""The coffee shop's registers of other makers, without the web between."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from passes import registers
from passes.registers import Kind, Opened, Outcome, odoo, shopify, square
from passes.store import Store
from passes.wiring import register_books
from tests.cast import rows
from tests.registers.makers import SHOPIFY_SECRET, SQUARE_SECRET, as_body
from tests.shop import COFFEE, KEYS, Shop, open_shop


@dataclass
class Desk:
    """Three registers that tell the coffee shop of their orders."""

    shop: Shop
    programme: str = COFFEE
    ids: dict[Kind, int] = field(default_factory=dict)

    def add(self, kind: Kind, **options: Any) -> int:
        secrets = {Kind.SHOPIFY: SHOPIFY_SECRET, Kind.SQUARE: SQUARE_SECRET, Kind.ODOO: ""}
        values = {"programme": self.programme, "name": f"The {kind}", "secret": secrets[kind], **options}
        register_id = registers.add(self.shop.store, KEYS, kind=kind, now=self.shop.now, **values)
        self.ids[kind] = register_id
        return register_id

    def opened(self, kind: Kind) -> Opened:
        return registers.opened(
            self.shop.store,
            KEYS,
            programme=self.programme,
            kind=kind,
            register_id=self.ids[kind],
            now=self.shop.now,
        )

    def hear(self, kind: Kind, message: dict[str, Any], **options: Any) -> Outcome:
        """A genuine message arrives."""
        opened, body = self.opened(kind), as_body(message)
        if kind is Kind.ODOO:
            event = odoo.read(body, currency=opened.loaded.programme.currency)
        else:
            event = {Kind.SHOPIFY: shopify.read, Kind.SQUARE: square.read}[kind](body)
        return registers.take(
            self.shop.store,
            opened,
            event,
            key=registers.digest(body),
            **{"books": register_books(), "now": self.shop.now, **options},
        )

    def shopify(self, message: dict[str, Any], **options: Any) -> Outcome:
        return self.hear(Kind.SHOPIFY, message, **options)

    def square(self, message: dict[str, Any], **options: Any) -> Outcome:
        return self.hear(Kind.SQUARE, message, **options)

    def odoo(self, message: dict[str, Any], **options: Any) -> Outcome:
        return self.hear(Kind.ODOO, message, **options)

    def work(self, after: timedelta = timedelta(minutes=1)) -> int:
        """The worker comes round, some time later."""
        return registers.run_due(self.shop.store, books=register_books(), now=self.shop.now + after)

    def retry(self, message: registers.Message, kind: Kind = Kind.SHOPIFY) -> Outcome:
        """The owner asks for a message to be tried again."""
        return registers.retry(
            self.shop.store,
            programme=self.programme,
            register_id=self.ids[kind],
            message_key=message.key,
            books=register_books(),
            now=self.shop.now,
        )

    def messages(self, kind: Kind = Kind.SHOPIFY) -> list[registers.Message]:
        return registers.latest(self.shop.store, programme=self.programme, register_id=self.ids[kind])

    def states(self, kind: Kind = Kind.SHOPIFY) -> list[tuple[str, str | None]]:
        """What became of every message, in the order of their kinds."""
        return sorted(((one.state, one.why) for one in self.messages(kind)), key=str)

    def back(self, order: str) -> dict[int, tuple[int, int]]:
        """What has come back of an order in the books: pieces and money by line."""
        (known,) = rows(self.shop.store, "register_order", f"order_key = '{order}'")
        back: dict[int, tuple[int, int]] = {}
        for one in rows(self.shop.store, "goods_return", f"purchase_id = {known['purchase_id']}"):
            for line in rows(self.shop.store, "return_line", f"return_id = {one['id']}"):
                had = back.get(line["line_number"], (0, 0))
                back[line["line_number"]] = (had[0] + line["quantity"], had[1] + line["net_minor"])
        return back


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    return open_shop(store, now)


@pytest.fixture
def desk(shop: Shop) -> Desk:
    """All three registers, on both databases."""
    desk = Desk(shop)
    for kind in Kind:
        desk.add(kind)
    return desk
