"""What registers ask while a customer pays: set points aside for a reward, spend them, let go of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from passes import checkout
from passes.api_keys import Scope
from passes.loyalty.refusals import HoldOver, HoldUnknown, NotAPurchase, PointsChosenWrong, ReceiptUnknown
from passes.web.api import answers, refusals, wire
from passes.web.api.cards import proof
from passes.web.api.operations import Asked, Operation, Operations, number
from passes.web.here import installation, now

HOLDS = Operations()


@HOLDS.add(
    Operation(
        "holdReward",
        "POST",
        "/holds",
        Scope.REWARDS,
        "Set points aside for a reward while the customer pays.",
        wire.HoldAnswer,
        body=wire.RedemptionAsked,
        status=201,
        refusals=refusals.REWARD,
    )
)
def hold_reward(asked: Asked, body: wire.RedemptionAsked) -> Mapping[str, Any]:
    """Points that leave the balance now and are spent when the payment is done."""
    code, shown = proof(body.code, body.one_time, asked)
    held = checkout.authorise(
        installation().store,
        programme=asked.caller.programme,
        code=code,
        reward=body.reward,
        points=body.points,
        basket_minor=body.basket_minor,
        proof=shown,
        key=asked.request_key,
        at=asked.counter(body),
        now=now(),
    )
    return {
        "id": str(held.id),
        "reward": held.reward_key,
        "points": held.points,
        "amount_minor": held.amount_minor,
        "balance": held.balance_after,
        "lapses_at": held.lapses_at,
    }


@HOLDS.add(
    Operation(
        "captureHold",
        "POST",
        "/holds/<hold_id>/capture",
        Scope.REWARDS,
        "The payment is done: spend what was set aside, or part of it; the rest goes back.",
        wire.ReceiptAnswer,
        body=wire.CaptureAsked,
        status=201,
        refusals=(HoldUnknown, HoldOver, PointsChosenWrong, ReceiptUnknown, NotAPurchase),
    )
)
def capture_hold(asked: Asked, body: wire.CaptureAsked, hold_id: str) -> Mapping[str, Any]:
    """Done again it answers the same."""
    return answers.receipt(
        checkout.capture(
            installation().store,
            programme=asked.caller.programme,
            hold_id=number(hold_id, HoldUnknown),
            points=body.points,
            purchase_receipt_id=None if body.purchase_receipt_id is None else int(body.purchase_receipt_id),
            key=asked.request_key,
            at=asked.counter(body),
            now=now(),
        )
    )


@HOLDS.add(
    Operation(
        "releaseHold",
        "POST",
        "/holds/<hold_id>/release",
        Scope.REWARDS,
        "The payment did not happen: what was set aside goes back to where it was.",
        wire.ReceiptAnswer,
        body=wire.ReleaseAsked,
        status=201,
        refusals=(HoldUnknown, HoldOver),
    )
)
def release_hold(asked: Asked, body: wire.ReleaseAsked, hold_id: str) -> Mapping[str, Any]:
    """Done again it answers the same."""
    return answers.receipt(
        checkout.release(
            installation().store,
            programme=asked.caller.programme,
            hold_id=number(hold_id, HoldUnknown),
            key=asked.request_key,
            at=asked.counter(body),
            now=now(),
        )
    )
