"""The same small shop in every test: Ana the regular, a counter to book at, the real use cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from passes import checkout, enrolment, programmes
from passes.enrolment import Joined, Source
from passes.loyalty.receipt import Counter, Receipt
from passes.server_keys import ServerKeys
from passes.store import Store

PASS_TYPE = "pass.dev.passes.loyalty"
COFFEE = "copperfinch"
BOOKS = "marginalya"
KEYS = ServerKeys({"k1": b"k" * 32})
TILL = Counter(location="west-loop", till="front", person="cy")


@dataclass
class Shop:
    """Both demonstration programmes on an empty store, at one instant."""

    store: Store
    now: datetime
    _numbers: Any = field(default_factory=lambda: count(1))

    def key(self) -> str:
        """A request key that was not used before."""
        return f"key-{next(self._numbers)}"

    def join(self, name: str = "Ana Reyes", programme: str = COFFEE, **options: Any) -> Joined:
        """A new member with 100 beans (50 yaprak in the bookshop)."""
        values: dict[str, Any] = {
            "language": "en",
            "consents": {},
            "source": Source("poster", location="west-loop"),
            "key": self.key(),
            "keys": KEYS,
            "now": self.now,
            **options,
        }
        return enrolment.join(self.store, programme=programme, name=name, **values)

    def buy(self, code: str, amount_minor: int, programme: str = COFFEE, **options: Any) -> Receipt:
        """A purchase at the till."""
        values = {"key": self.key(), "at": TILL, "now": self.now, **options}
        return checkout.accrue(
            self.store, programme=programme, code=code, amount_minor=amount_minor, **values
        )

    def redeem(self, code: str, reward: str, programme: str = COFFEE, **options: Any) -> Receipt:
        """A reward at the till."""
        values = {"key": self.key(), "at": TILL, "now": self.now, **options}
        return checkout.redeem(self.store, programme=programme, code=code, reward=reward, **values)

    def undo(self, receipt_id: int, programme: str = COFFEE, **options: Any) -> Receipt:
        """A mistake taken back."""
        values = {"key": self.key(), "at": TILL, "now": self.now, **options}
        return checkout.undo(self.store, programme=programme, receipt_id=receipt_id, **values)

    def balance(self, code: str, programme: str = COFFEE) -> int:
        """What the till shows."""
        return checkout.look(self.store, programme=programme, code=code, language="en", now=self.now).balance


def open_shop(store: Store, now: datetime) -> Shop:
    """Load both shops into the store."""
    for path in programmes.DEMONSTRATION:
        programmes.load(store, name=path.stem, source=path.read_text("utf-8"), pass_type=PASS_TYPE, now=now)
    return Shop(store, now)
