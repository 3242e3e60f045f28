"""One write of a till: what it looks like on the way, and booking it as the operation that it names."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, AwareDatetime, Field

from passes import checkout
from passes.access import pins
from passes.api_keys import Caller
from passes.loyalty import codes
from passes.loyalty.receipt import Receipt
from passes.loyalty.refusals import KeyReused, ReceiptUnknown, RequestInvalid, SaleUnknown
from passes.store import tills as rows
from passes.web.api import operations, wire
from passes.web.api.cards import card_of
from passes.web.api.counter import COUNTER
from passes.web.api.operations import Asked, Operation, View
from passes.web.here import installation, now

# Who asks and where is known here; what a body says of it is not believed.
_KNOWN = ("till", "person", "location")
# Said when the same is sent again; the first is the manager's word itself.
_SAID_BESIDE = ("approval", "repeat")
_PART = re.compile(r"<(\w+)>")
_NUMBER = re.compile(r"[0-9]{1,19}")
_WRITES = {one.name: (one, COUNTER.named(one.name)[1]) for one in COUNTER.all if one.is_write}


_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def _countable(at: datetime) -> datetime:
    """A clock may say anything; nobody can count with the year 1 or 9999, and nothing happened then."""
    return min(max(at, _EARLIEST), _LATEST)


DeviceTime = Annotated[AwareDatetime, AfterValidator(_countable)]
"""What a device's clock said, however wrong."""


OperationName = Annotated[str, Field(max_length=64)]
Path = dict[str, Annotated[str, Field(max_length=64)]]


class ItemAsked(wire.Asked):
    """One write of a till. `path` may name by `receipt_key` the item that made the receipt.

    `programme` is the one that it was made for, where a browser that is not
    paired may work for several.
    """

    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{8,64}$")]
    sequence: Annotated[int, Field(ge=0, lt=2**53)]
    made_at: DeviceTime
    operation: OperationName
    person: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$")] | None = None
    programme: Annotated[str, Field(max_length=64)] | None = None
    path: Path = Field(default_factory=dict)
    body: dict[str, Any] = Field(default_factory=dict)

    @property
    def about(self) -> set[str]:
        """By what it shows for whom it is: the card, the receipt, and its own key."""
        named = {self.key, self.path.get("receipt_key", ""), self.path.get("receipt_id", "")}
        code = self.body.get("code")
        if isinstance(code, str):
            named.add(codes.normalise(code))
        return named - {""}


def operation_of(name: str) -> tuple[Operation, View]:
    """What an item asks for. Raises RequestInvalid for anything that is no write of the counter."""
    found = _WRITES.get(name)
    if found is None:
        raise RequestInvalid()
    return found


def content_of(operation: str, path: Mapping[str, str], body: Mapping[str, Any]) -> str:
    """A fingerprint of all that an item asks for: what a manager agrees to is this and nothing else."""
    asked = {name: value for name, value in body.items() if name not in _SAID_BESIDE}
    told = json.dumps([operation, dict(path), asked], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def is_booked(caller: Caller, key: str) -> bool:
    """Whether an item was booked before: the till only did not hear of it."""
    return _answer(caller, key) is not None


def book(
    caller: Caller,
    item: ItemAsked,
    *,
    occurred_at: datetime | None,
    before: Collection[datetime] | None = None,
    beside: Sequence[str] = (),
    approved_by: str | None = None,
    is_meant: bool = False,
) -> tuple[Mapping[str, Any], int]:
    """Book an item as the operation that it names; its answer and status, the first ones if it comes again.

    `occurred_at` is when it happened, None for just now; `before`, for one that
    was booked before, when that may have been said to be. `beside` are logins
    of those on whose cards it may not be booked either. `approved_by` is an
    owner who agrees without a token. Raises what the operation refuses.
    """
    operation, view = operation_of(item.operation)
    asked, body, path = _told(
        caller,
        item,
        operation,
        approved_by=approved_by,
        is_meant=is_meant,
        made_at=None if occurred_at is None and before is None else item.made_at,
    )
    if beside:
        _refuse_bystanders(asked, body, path, beside)
    if operation.body is None:
        return view(asked, **path), operation.status
    if "occurred_at" not in operation.body.model_fields:
        return view(asked, _checked(operation, body), **path), operation.status
    # Which instant it was booked with depends on when it came first, and it may come again much later.
    tries = [occurred_at] if before is None else [occurred_at, None, *before]
    for at in dict.fromkeys(tries):
        try:
            return view(asked, _checked(operation, body | {"occurred_at": at}), **path), operation.status
        except KeyReused:
            continue
    raise KeyReused()


def _refuse_bystanders(
    asked: Asked, body: Mapping[str, Any], path: Mapping[str, str], beside: Sequence[str]
) -> None:
    code, receipt_id = body.get("code"), path.get("receipt_id") or body.get("receipt_id")
    checkout.refuse_bystanders(
        installation().store,
        programme_id=asked.caller.loaded.id,
        code=codes.normalise(card_of(asked, code)[0]) if isinstance(code, str) else None,
        receipt_id=int(receipt_id) if isinstance(receipt_id, str) and _NUMBER.fullmatch(receipt_id) else None,
        logins=beside,
    )


def _told(
    caller: Caller,
    item: ItemAsked,
    operation: Operation,
    *,
    approved_by: str | None,
    is_meant: bool,
    made_at: datetime | None,
) -> tuple[Asked, dict[str, Any], dict[str, str]]:
    """The item as its operation is asked: who, the body, the path's parts."""
    body = {name: value for name, value in item.body.items() if name not in _KNOWN}
    approval, is_repeat = body.pop("approval", None), body.pop("repeat", False)
    path = dict(item.path)
    if (made_by := path.pop("receipt_key", None)) is not None:
        if "<sale_id>" in operation.rule:
            path["sale_id"] = _sale_of(caller, made_by)
        else:
            receipt_id = str(_receipt_of(caller, made_by).id)
            (path if "<receipt_id>" in operation.rule else body)["receipt_id"] = receipt_id
    if path.keys() != set(_PART.findall(operation.rule)):
        raise RequestInvalid()
    if isinstance(approval, str) and approved_by is None:
        approved_by = pins.approved_by(
            installation().keys,
            approval,
            programme_id=caller.loaded.id,
            key=item.key,
            content=content_of(item.operation, item.path, item.body),
            now=now(),
        )
    asked = Asked(caller, item.key, approved_by, is_meant or is_repeat is True, made_at)
    return asked, body, path


def _checked(operation: Operation, body: Mapping[str, Any]) -> Any:
    assert operation.body is not None
    return operations.checked(operation.body, json.dumps(body, default=_written).encode())


def _written(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()


def outcome(caller: Caller, key: str) -> Receipt | None:
    """The receipt of an item that was booked, None for one that leaves none. Raises ReceiptUnknown."""
    answer = _answer(caller, key)
    if answer is None:
        raise ReceiptUnknown()
    kept = orjson.loads(answer)
    # Members who joined, holds and sales are kept in other shapes.
    return Receipt.from_json(answer) if isinstance(kept, dict) and "programme_version" in kept else None


def _receipt_of(caller: Caller, key: str) -> Receipt:
    found = outcome(caller, key)
    if found is None:
        raise ReceiptUnknown()
    return found


def _sale_of(caller: Caller, key: str) -> str:
    """The sale without a card that an item made. Raises SaleUnknown."""
    answer = _answer(caller, key) or ""
    if not answer.isdecimal():
        raise SaleUnknown()
    return answer


def _answer(caller: Caller, key: str) -> str | None:
    with installation().store.read() as read:
        return rows.answer_to(read, caller.loaded.id, Asked(caller, key).request_key)
