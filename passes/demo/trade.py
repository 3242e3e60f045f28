"""How the demonstration shops trade: what is bought, where, on which days and at which hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from random import Random
from zoneinfo import ZoneInfo

from passes.demo.cast import BOOKS, COFFEE
from passes.loyalty.basket import Line
from passes.loyalty.dates import local_date
from passes.loyalty.receipt import Counter

Lines = tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Trade:
    """One shop. Every share and weight is relative to its siblings.

    `weekdays` begin with Monday, `hours` at `opens_at`. `rewards` are what
    members save for; of guests there are `guests_first` a day in the beginning
    and `guests_last` in the end, since some of them join.
    """

    programme: str
    zone: str
    opens_at: int
    hours: tuple[int, ...]
    weekdays: tuple[float, ...]
    places: tuple[tuple[str, int], ...]
    online_share: float
    baskets: tuple[tuple[int, Lines], ...]
    rewards: tuple[tuple[str | None, int, int], ...]
    guests_first: float
    guests_last: float
    turkish_share: float


def _line(category: str, sku: str, name: str, unit_minor: int, quantity: int = 1) -> Line:
    return Line(quantity=quantity, unit_minor=unit_minor, sku=sku, name=name, category=category)


_DRIP = _line("coffee", "drip", "Drip coffee", 325)
_FLAT_WHITE = _line("coffee", "flat-white", "Flat white", 475)
_LATTE = _line("coffee", "latte", "Latte", 525)
_CORTADO = _line("coffee", "cortado", "Cortado", 450)
_COLD_BREW = _line("coffee", "cold-brew", "Cold brew", 500)
_MOCHA = _line("coffee", "mocha", "Mocha", 575)
_CROISSANT = _line("bakery", "croissant", "Croissant", 395)
_BREAD = _line("bakery", "banana-bread", "Banana bread", 425)
_BAGEL = _line("bakery", "bagel", "Bagel with cream cheese", 550)
_HOUSE = _line("beans", "house-blend", "House blend", 1750)
_SINGLE = _line("beans", "single-origin", "Single origin", 2100)
_TUMBLER = _line("merchandise", "tumbler", "Tumbler", 2400)
_GIFT = _line("gift-card", "gift-card-25", "Gift card", 2500)

COFFEE_SHOP = Trade(
    programme=COFFEE,
    zone="America/Chicago",
    opens_at=7,
    hours=(10, 15, 13, 10, 7, 7, 6, 5, 5, 4, 3, 2),
    weekdays=(1.0, 1.0, 1.05, 1.05, 1.15, 1.45, 0.85),
    places=(("west-loop", 45), ("wicker-park", 33), ("lakeview", 22)),
    online_share=0.07,
    baskets=(
        (110, (_DRIP,)),
        (120, (_FLAT_WHITE,)),
        (140, (_LATTE,)),
        (60, (_CORTADO,)),
        (60, (_COLD_BREW,)),
        (40, (_MOCHA,)),
        (70, (_LATTE, _CROISSANT)),
        (60, (_FLAT_WHITE, _CROISSANT)),
        (50, (_DRIP, _BREAD)),
        (50, (_COLD_BREW, _BAGEL)),
        (50, (_line("coffee", "latte", "Latte", 525, 2),)),
        (30, (_LATTE, _CORTADO, _BREAD)),
        (30, (_CROISSANT,)),
        (45, (_DRIP, _HOUSE)),
        (25, (_SINGLE,)),
        (10, (_TUMBLER,)),
        (8, (_GIFT,)),
    ),
    rewards=((None, 0, 38), ("extra-shot", 150, 8), ("brewed-coffee", 400, 22), ("any-drink", 800, 24),
             ("bag-of-beans", 1500, 8)),
    guests_first=45,
    guests_last=31,
    turkish_share=0.04,
)  # fmt: skip

_NOVEL = _line("book", "roman", "Roman", 32000)
_POEMS = _line("book", "siir", "Şiir kitabı", 18500)
_CHILDREN = _line("book", "cocuk", "Çocuk kitabı", 21000)
_HISTORY = _line("book", "tarih", "Tarih kitabı", 41000)
_MAGAZINE = _line("magazine", "dergi", "Aylık dergi", 9500)
_NOTEBOOK = _line("stationery", "defter", "Defter", 14500)
_BOOK_GIFT = _line("gift-card", "hediye-500", "Hediye kartı", 50000)

BOOKSHOP = Trade(
    programme=BOOKS,
    zone="Europe/Istanbul",
    opens_at=10,
    hours=(4, 5, 7, 8, 8, 9, 10, 11, 9, 5),
    weekdays=(0.9, 0.9, 0.95, 1.0, 1.1, 1.6, 1.2),
    places=(("alsancak", 1),),
    online_share=0.12,
    baskets=(
        (30, (_NOVEL,)),
        (14, (_POEMS,)),
        (12, (_CHILDREN,)),
        (10, (_HISTORY,)),
        (10, (_NOVEL, _POEMS)),
        (8, (_line("book", "cocuk", "Çocuk kitabı", 21000, 2), _MAGAZINE)),
        (8, (_MAGAZINE,)),
        (6, (_NOTEBOOK, _NOVEL)),
        (2, (_BOOK_GIFT,)),
    ),
    rewards=((None, 0, 40), ("25-lira", 50, 60)),
    guests_first=0.9,
    guests_last=0.7,
    turkish_share=1.0,
)


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody buys something."""

    at: datetime
    lines: Lines
    amount_minor: int
    counter: Counter


class Chance:
    """Everything that is left to chance in one shop's past: the same in every demonstration.

    Days are counted back from today, which is day 0.
    """

    def __init__(self, trade: Trade, now: datetime) -> None:
        self.random = Random(f"{trade.programme} and its people")
        self._trade = trade
        self._today = local_date(now, trade.zone)
        self._openings: dict[int, tuple[datetime, int]] = {}
        self._hours = list(accumulate(trade.hours))
        self._weights = list(accumulate(weight for weight, _ in trade.baskets))
        self._baskets = [(lines, sum(line.net_minor for line in lines)) for _, lines in trade.baskets]
        self._shops = [Counter(location=key, till=f"{key}-1") for key, _ in trade.places]
        self._shop_weights = [weight for _, weight in trade.places]
        self._online = Counter(till="web-shop", channel="online")
        self._busiest = max(trade.weekdays)

    def day(self, number: int) -> date:
        """Which day that is, `number` days from today."""
        return self._today + timedelta(days=number)

    def moment(self, day: int) -> datetime:
        """Some moment of a day's opening hours, more likely when the shop is full."""
        opening, _ = self._opening(day)
        hour = self.random.choices(range(len(self._hours)), cum_weights=self._hours)[0]
        return opening + timedelta(seconds=(hour + self.random.random()) * 3600)

    def is_open_for(self, day: int) -> bool:
        """Whether somebody who would come on this day does: busy days see more of them."""
        weekday = self._opening(day)[1]
        return self.random.random() * self._busiest < self._trade.weekdays[weekday]

    @property
    def turned_away(self) -> float:
        """By what the number of people who would come has to be larger than that of those who do."""
        return self._busiest * 7 / sum(self._trade.weekdays)

    def guests(self, day: int, days: int) -> int:
        """How many buy without a card on a day of a past of so many days."""
        trade = self._trade
        share = (day + days) / days
        mean = trade.guests_first + (trade.guests_last - trade.guests_first) * share
        mean *= trade.weekdays[self._opening(day)[1]] * 7 / sum(trade.weekdays)
        return int(mean * (0.85 + 0.3 * self.random.random()) + self.random.random())

    def shop(self) -> Counter:
        """One of the shops."""
        return self.random.choices(self._shops, weights=self._shop_weights)[0]

    def visit(self, at: datetime, shop: Counter) -> Visit:
        """What is bought then, mostly in the usual shop."""
        choice = self.random.random()
        lines, amount_minor = self.random.choices(self._baskets, cum_weights=self._weights)[0]
        if choice < self._trade.online_share:
            counter = self._online
        else:
            counter = shop if choice < 0.85 else self.shop()
        return Visit(at, lines, amount_minor, counter)

    def reward(self) -> tuple[str | None, int]:
        """What somebody saves for, and its price; None for those who never ask."""
        rewards: Sequence[tuple[str | None, int, int]] = self._trade.rewards
        key, points, _ = self.random.choices(rewards, weights=[weight for *_, weight in rewards])[0]
        return key, points

    def _opening(self, day: int) -> tuple[datetime, int]:
        found = self._openings.get(day)
        if found is None:
            date_of = self.day(day)
            local = datetime(
                date_of.year,
                date_of.month,
                date_of.day,
                self._trade.opens_at,
                tzinfo=ZoneInfo(self._trade.zone),
            )
            found = self._openings[day] = (local.astimezone(UTC), date_of.weekday())
        return found
