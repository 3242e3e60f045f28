"""Points become rewards: at once, or held until a payment is done."""

from __future__ import annotations

from datetime import datetime

from passes.booking import Booking
from passes.checkout import arrival
from passes.loyalty.receipt import Counter, Receipt, ReceiptKind
from passes.store import Store, Work


def redeem(
    store: Store, *, programme: str, code: str, reward: str, key: str, at: Counter, now: datetime
) -> Receipt:
    """Exchange points for a reward.

    Raises NotEnoughPoints with `needed`, `available` and `ready` (what the
    balance does pay for), RewardUnknown, and what `accrue` raises for codes and keys.
    """
    typed = arrival.typed(code)
    content = {"code": typed, "reward": reward}

    def decide(work: Work) -> Receipt:
        loaded, asked, candidate = arrival.arrive(work, programme, typed, key, "redeem", content)
        if (before := asked.before()) is not None:
            return Receipt.from_json(before)
        wanted = loaded.programme.reward(reward)
        standing = arrival.card(work, loaded, typed, candidate)
        booking = Booking(work, loaded, standing, kind=ReceiptKind.REDEEM, at=at, occurred_at=now, now=now)
        price = wanted.price(standing.tier)
        booking.spend(price)
        booking.reasons.append({"rule": "reward", "reward": wanted.key, "points": price})
        booked = booking.finish(reward_key=wanted.key, is_undoable=True)
        asked.answered(work, booked.as_json(), now=now)
        return booked

    return store.write(decide)
