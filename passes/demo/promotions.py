"""The two campaigns of the past, and the truth that is planted in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from passes.demo.trade import Chance, Visit
from passes.loyalty.offers import Arm
from passes.store import Store, Work
from passes.store.doors import Decide

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Promotion:
    """An offer that ran for so many days, and which share of each arm came then.

    `opens` is counted in days from the day on which the first one began.
    """

    key: str
    opens: int
    days: int
    source: str
    treated_come: float
    holdout_come: float


# Of a thousand and eighty against a hundred and twenty, three points are not to be told from chance.
THANKS = Promotion(
    "thank-you",
    opens=0,
    days=14,
    treated_come=0.28,
    holdout_come=0.25,
    source="""
        title = {{ en = "Thank you", tr = "Teşekkürler" }}
        effect = "bonus_points"
        points = 25
        member_limit = 1
        priority = 1
        [text]
        en = "{{offer.points}} extra beans with your next cup."
        tr = "Bir sonraki kahvenizle {{offer.points}} ekstra çekirdek."
        [when]
        from = "{since}"
        until = "{until}"
        segment = {{ purchases_least = 1 }}
    """,
)
# Ten points more of six hundred than of six hundred others cannot be overlooked.
DOUBLE = Promotion(
    "double-beans",
    opens=16,
    days=14,
    treated_come=0.35,
    holdout_come=0.25,
    source="""
        title = {{ en = "Twice the beans", tr = "Çifte çekirdek" }}
        effect = "points_times"
        factor = 2
        holdout_percent = 44
        [text]
        en = "Every coffee earns {{offer.factor}} times the beans."
        tr = "Her kahve {{offer.factor}} kat çekirdek kazandırır."
        [when]
        from = "{since}"
        until = "{until}"
        categories = ["coffee"]
        segment = {{ purchases_least = 1 }}
    """,
)
PROMOTIONS = (THANKS, DOUBLE)

Arms = tuple[Arm, Arm]
"""In which arm of each of the two somebody is."""


def arms_of(pool: int) -> dict[Arms, int]:
    """How many of the pool are in which arms: a tenth is held out of both, half of all out of the second."""
    standing, half = round(pool * 0.1), round(pool * 0.5)
    return {
        (Arm.HOLDOUT, Arm.HOLDOUT): standing,
        (Arm.TREATED, Arm.HOLDOUT): half - standing,
        (Arm.TREATED, Arm.TREATED): pool - half,
    }


class Redrawn(Store):
    """A store in which a join is drawn again until the member falls into an arm that has room.

    Chance would leave the arms some people larger or smaller on every machine;
    the truth that is planted would then be another one each time.
    """

    def __init__(self, store: Store, fits: Callable[[object], bool]) -> None:
        self.postgresql = store.postgresql
        self._store = store
        self._fits = fits

    def write(self, decide: Decide[T], *, lane: str | None = None) -> T:
        """As the store does it, with what does not fit undone."""

        def fitting(work: Work) -> T:
            answer = decide(work)
            if not self._fits(answer):
                raise _Unfit
            return answer

        while True:
            try:
                return self._store.write(fitting, lane=lane)
            except _Unfit:
                continue


class _Unfit(Exception):
    """The member is in an arm that is full."""


def who_comes(
    arms: Mapping[int, Arm],
    natural: Mapping[int, Sequence[Visit]],
    promotion: Promotion,
    visit: Callable[[int], Visit],
) -> Iterable[tuple[int, Visit]]:
    """Who comes in the days of a promotion, by number, so that the planted truth holds exactly.

    Those who would have come anyway come first, the most faithful before
    others; where they are too few, `visit` makes somebody come once.
    """
    for arm, share in ((Arm.TREATED, promotion.treated_come), (Arm.HOLDOUT, promotion.holdout_come)):
        of_arm = sorted(
            (number for number, its in arms.items() if its is arm),
            key=lambda number: (-len(natural.get(number, ())), number),
        )
        for number in of_arm[: round(share * len(of_arm))]:
            for one in natural.get(number) or [visit(number)]:
                yield number, one


def window_of(chance: Chance, opens: int, promotion: Promotion) -> tuple[str, str]:
    """From and until as an offer file says it: whole days."""
    since = chance.day(opens + promotion.opens)
    return f"{since}T00:00", f"{since + timedelta(days=promotion.days)}T00:00"
