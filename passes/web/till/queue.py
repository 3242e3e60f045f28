"""The till's queue: every write of the app comes here, at once or when the network is back.

Items are booked in the order in which they were made. Each is named by its
key, so that sending them again books nothing twice; one that is refused does
not hold up the others, and one that the system is too busy for holds up only
what comes after it for the same customer.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from flask import Response
from pydantic import AwareDatetime, Field

from passes.api_keys import Caller
from passes.loyalty import codes
from passes.loyalty.refusals import Busy, ReceiptUnknown, Refused, RequestInvalid, StorageFull
from passes.store import tills as rows
from passes.web.api import operations, wire
from passes.web.api.counter import COUNTER
from passes.web.api.operations import Asked, Operation, View
from passes.web.here import installation, now
from passes.web.till.desk import blueprint, standing

log = logging.getLogger(__name__)

ITEMS_MAX = 50
_COME_AGAIN = (Busy, StorageFull)
# Who asks and where is known here; what a body says of it is not believed.
_KNOWN = ("till", "person", "location")
_PART = re.compile(r"<(\w+)>")
_WRITES = {one.name: (one, COUNTER.named(one.name)[1]) for one in COUNTER.all if one.is_write}


class ItemAsked(wire.Asked):
    """One write of a till. `path` may name by `receipt_key` the item that made the receipt."""

    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{8,64}$")]
    sequence: Annotated[int, Field(ge=0, lt=2**53)]
    made_at: AwareDatetime
    operation: Annotated[str, Field(max_length=64)]
    person: Annotated[str, Field(max_length=64)] | None = None
    path: dict[str, Annotated[str, Field(max_length=64)]] = Field(default_factory=dict)
    body: dict[str, Any] = Field(default_factory=dict)


class QueueAsked(wire.Asked):
    """What a till has to send, in the order in which it was made, and what its clock says now."""

    device_time: AwareDatetime
    # Each is checked by itself: one that is not well formed must not hold up the others for ever.
    items: Annotated[list[dict[str, Any]], Field(max_length=ITEMS_MAX)]


@blueprint.post("/queue")
def take() -> Response:
    """Book what a till did."""
    asked = operations.body(QueueAsked)
    caller = standing().caller()
    held: set[str] = set()
    results = [_result(caller, item, held) for item in asked.items]
    return operations.answered({"server_time": now(), "results": results}, 200)


def _result(caller: Caller, sent: Mapping[str, Any], held: set[str]) -> dict[str, Any]:
    """What became of one item; `held` are customers for whom an earlier one has to come again."""
    key = str(sent.get("key", ""))[:64]
    about: set[str] = set()
    try:
        item = operations.checked(ItemAsked, orjson.dumps(sent))
        about = _about(item)
        if held & about:
            return _said(key, "later", 503)
        answer, status = _book(caller, item)
        return _said(key, "booked", status, answer=answer)
    except _COME_AGAIN as refused:
        held |= about
        return _said(key, "later", 503, problem=operations.told(refused))
    except Refused as refused:
        problem = operations.told(refused)
        return _said(key, "refused", problem["status"], problem=problem)
    except Exception as error:
        # Our own mistake: it stays with the till, and no other customer waits for it.
        log.error("an item of a till's queue failed", exc_info=error)
        held |= about
        return _said(key, "later", 500)


def _said(
    key: str, state: str, status: int, *, answer: Mapping[str, Any] | None = None, problem: Any = None
) -> dict[str, Any]:
    return {"key": key, "state": state, "status": status, "answer": answer, "problem": problem}


def _book(caller: Caller, item: ItemAsked) -> tuple[Mapping[str, Any], int]:
    operation, view = _write(item.operation)
    body = {name: value for name, value in item.body.items() if name not in _KNOWN}
    path = dict(item.path)
    if (made_by := path.pop("receipt_key", None)) is not None:
        receipt_id = _receipt_of(caller, made_by)
        (path if "<receipt_id>" in operation.rule else body)["receipt_id"] = receipt_id
    if path.keys() != set(_PART.findall(operation.rule)):
        raise RequestInvalid()
    asked = Asked(caller, item.key)
    if operation.body is None:
        return view(asked, **path), operation.status
    return view(asked, operations.checked(operation.body, orjson.dumps(body)), **path), operation.status


def _write(name: str) -> tuple[Operation, View]:
    found = _WRITES.get(name)
    if found is None:
        raise RequestInvalid()
    return found


def _receipt_of(caller: Caller, key: str) -> str:
    """The receipt that an item made. Raises ReceiptUnknown."""
    with installation().store.read() as read:
        answer = rows.answer_to(read, caller.loaded.id, Asked(caller, key).request_key)
    if answer is None:
        raise ReceiptUnknown()
    kept = orjson.loads(answer)
    return str(kept["id"] if isinstance(kept, dict) else kept)


def _about(item: ItemAsked) -> set[str]:
    """By what an item shows for whom it is: the card, the receipt, and its own key."""
    named = {item.key, item.path.get("receipt_key", ""), item.path.get("receipt_id", "")}
    code = item.body.get("code")
    if isinstance(code, str):
        named.add(codes.normalise(code))
    return named - {""}
