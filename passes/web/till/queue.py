"""The till's queue: every write of the app comes here, at once or when the network is back.

Items are booked in the order in which they were made. Each is named by its
key, so that sending them again books nothing twice; one that is refused does
not hold up the others, and one that the system is too busy for holds up only
what comes after it for the same customer. What is odd about an item, such as a
number that another device used, is for the owner to decide (loyalty E3, G).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any

from flask import Response
from pydantic import Field

from passes import tills
from passes.api_keys import Caller
from passes.loyalty.refusals import (
    Busy,
    CardForeign,
    CodeUnknown,
    OtherPerson,
    PlaceChanged,
    Refused,
    ReviewDismissed,
    StorageFull,
    TooManyTries,
)
from passes.store import tills as rows
from passes.store.instants import instant
from passes.store.work import Row
from passes.tills import Device, Item, Judged, Why
from passes.web.api import operations, wire
from passes.web.here import installation, now
from passes.web.till import items
from passes.web.till.desk import Standing, blueprint, caller_at, count_guess, standing
from passes.web.till.items import DeviceTime, ItemAsked
from passes.web.till.place import Place

log = logging.getLogger(__name__)

ITEMS_MAX = 50
_COME_AGAIN = (Busy, StorageFull, OtherPerson, PlaceChanged, TooManyTries)


class QueueAsked(wire.Asked):
    """What a till has to send, in the order in which it was made, and what its clock says now.

    `left` is how many items it still holds after these; None where it does not say.
    """

    device_time: DeviceTime
    # Each is checked by itself: one that is not well formed must not hold up the others for ever.
    items: Annotated[list[dict[str, Any]], Field(max_length=ITEMS_MAX)]
    left: Annotated[int, Field(ge=0, lt=2**31)] | None = None


@dataclass(slots=True)
class Taking:
    """One sending of a till while it is worked through.

    `held` are customers for whom an earlier item has to come again, `number`
    is up to where the queue was taken without a gap.
    """

    found: Standing
    skew: timedelta
    held: set[str] = field(default_factory=set)
    number: int = 0
    has_gap: bool = False

    @property
    def device(self) -> Device | None:
        """The paired device that sends, in force or not."""
        return self.found.device


@blueprint.post("/queue")
def take() -> Response:
    """Book what a till did. A paired device needs nobody to be signed in."""
    found = standing()
    if found.device is None:
        found.caller()
    asked = operations.body(QueueAsked)
    taking = Taking(found, now() - asked.device_time)
    results = [_result(taking, sent) for sent in asked.items]
    if found.device is not None and not found.device.is_revoked:
        has_all = asked.left == 0 and not taking.has_gap
        tills.heard(installation().store, found.device, now=now())
        if has_all or taking.number > found.device.sequence:
            tills.taken(installation().store, found.device, number=taking.number, has_all=has_all, now=now())
    return operations.answered({"server_time": now(), "results": results}, 200)


def _result(taking: Taking, sent: Mapping[str, Any]) -> dict[str, Any]:
    """What became of one item."""
    key = str(sent.get("key", ""))[:64]
    try:
        item = operations.checked(ItemAsked, json.dumps(sent).encode())
        items.operation_of(item.operation)
    except Refused as refused:
        return _said(key, "refused", problem=operations.told(refused))
    if taking.held & item.about:
        return _later(taking, item)
    try:
        said = _take(taking, item)
    except _COME_AGAIN as refused:
        return _later(taking, item, operations.told(refused))
    except Exception as error:
        # Our own mistake: it stays with the till, and no other customer waits for it.
        log.error("an item of a till's queue failed", exc_info=error)
        return _later(taking, item)
    if not taking.has_gap:
        taking.number = max(taking.number, item.sequence)
    return said


def _take(taking: Taking, item: ItemAsked) -> dict[str, Any]:
    device = taking.device
    caller = _caller(taking, item)
    if item.programme not in (None, caller.programme):
        # A till stands where it stands: here nobody will work for that shop again.
        return _said(item.key, "refused", problem=operations.told(PlaceChanged()))
    kept = None if device is None else _kept(device, item)
    if kept is not None and kept.state == "dismissed":
        return _said(item.key, "refused", problem=operations.told(ReviewDismissed()))
    if kept is not None and kept.state == "open":
        return _said(item.key, "review", 202)
    was_booked = items.is_booked(caller, item.key)
    judged = tills.judge(
        device,
        Item(item.key, item.sequence, item.made_at, caller.person),
        is_known=was_booked,
        refused_at=None if kept is None or device is None or device.is_revoked else instant(kept.occurred_at),
        skew=taking.skew,
        now=now(),
    )
    if device is not None and (why := _odd(device, item, judged, caller)) and not was_booked:
        return _for_review(device, item, why, judged, caller)
    before = {item.made_at, *(() if kept is None else (instant(kept.occurred_at),))} if was_booked else None
    beside = () if device is None or was_booked else _beside(device, judged, caller)
    try:
        answer, status = items.book(
            caller, item, occurred_at=judged.occurred_at, before=before, beside=beside
        )
    except _COME_AGAIN:
        raise
    except Refused as refused:
        if isinstance(refused, CodeUnknown | CardForeign):
            count_guess(taking.found)
        if device is not None and judged.is_old:
            # Its cashier does not wait for an answer any more: the owner hears of it.
            return _for_review(device, item, refused.code, judged, caller, refused)
        if device is not None:
            _keep(device, item, refused.code, judged, caller, content=None)
        return _said(item.key, "refused", problem=operations.told(refused))
    return _said(item.key, "booked", status, answer=answer)


def _caller(taking: Taking, item: ItemAsked) -> Caller:
    """Who did it, and where. Raises OtherPerson or PlaceChanged where it has to wait."""
    found, device = taking.found, taking.device
    if device is None:
        caller = found.caller()
        if item.person not in (None, caller.person):
            raise OtherPerson(person=item.person or "")
        if item.programme not in (None, caller.programme):
            raise PlaceChanged()
        return caller
    person = item.person or (found.person.login if found.person is not None else "")
    return caller_at(Place(device.loaded, device.location), till=device.name, person=person)


def _odd(device: Device, item: ItemAsked, judged: Judged, caller: Caller) -> str | None:
    """Why the owner has to look at an item of a paired device; None for nearly all."""
    if judged.why is not None:
        return judged.why
    was_here = tills.has_worked_here(
        installation().store, device, person=caller.person or "", made_at=item.made_at
    )
    return None if was_here else Why.PERSON_NEVER_HERE


def _beside(device: Device, judged: Judged, caller: Caller) -> tuple[str, ...]:
    """Who may hide behind a colleague's name."""
    return tills.standing_by(
        installation().store, device, person=caller.person or "", judged=judged, now=now()
    )


def _kept(device: Device, item: ItemAsked) -> Row | None:
    """What was kept of an item that came before."""
    with installation().store.read() as read:
        return rows.review_by_key(read, programme_id=device.loaded.id, till_id=device.till_id, key=item.key)


def _for_review(
    device: Device, item: ItemAsked, why: str, judged: Judged, caller: Caller, refused: Refused | None = None
) -> dict[str, Any]:
    content: dict[str, Any] = {"item": item.model_dump(mode="json")}
    if refused is not None:
        values = {
            name: value if isinstance(value, int) else str(value) for name, value in refused.values.items()
        }
        content["refused"] = {"words": refused.words, "values": values}
    _keep(device, item, why, judged, caller, content=content)
    return _said(item.key, "review", 202)


def _keep(
    device: Device,
    item: ItemAsked,
    why: str,
    judged: Judged,
    caller: Caller,
    *,
    content: dict[str, Any] | None,
) -> None:
    tills.keep(
        installation().store,
        programme_id=device.loaded.id,
        till_id=device.till_id,
        key=item.key,
        operation=item.operation,
        content=content,
        person=caller.person,
        why=why,
        occurred_at=judged.happened_at,
        now=now(),
    )


def _later(taking: Taking, item: ItemAsked, problem: Any = None) -> dict[str, Any]:
    """It has to come again, and so does what comes after it for the same customer."""
    taking.held |= item.about
    taking.has_gap = True
    return _said(item.key, "later", problem["status"] if problem else 503, problem=problem)


def _said(
    key: str, state: str, status: int = 0, *, answer: Mapping[str, Any] | None = None, problem: Any = None
) -> dict[str, Any]:
    return {
        "key": key,
        "state": state,
        "status": status or problem["status"],
        "answer": answer,
        "problem": problem,
    }
