"""What shops' own programs read of the whole programme: its facts, members with balances, receipts.

Lists are read page by page. Each page says how to go on, by a text that only
this server can make: it names the last entry, so that what is added meanwhile
moves nothing, and holds for the same question only.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from passes.api_keys import Scope
from passes.checkout import arrival
from passes.loyalty import codes
from passes.loyalty.money import minor_digits
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import ReceiptKind
from passes.loyalty.refusals import CodeMistyped, CursorInvalid, LocationUnknown, MemberUnknown
from passes.loyalty.text import Text
from passes.store import Row, journal, records
from passes.store.programmes import Loaded
from passes.store.records import Listed
from passes.web import language
from passes.web.api import answers, operations, wire
from passes.web.api.operations import Asked, Operation, Operations
from passes.web.here import installation

RECORDS = Operations()

PAGE_MAX = 200
_PROOF_LETTERS = 16

Entry = TypeVar("Entry", Listed, Row)


def _no_number(value: object) -> object:
    # A bare number would be taken for seconds since 1970, which nobody was told of.
    if isinstance(value, str) and not value[:5].endswith("-"):
        raise ValueError("an instant such as 2026-03-14T10:00:00Z")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_no_number)]


class PageAsked(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(50, ge=1, le=PAGE_MAX, description="How many entries at most.")
    order: Literal["oldest", "newest"] = Field("oldest", description="Which come first.")
    cursor: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="`next` of the page before, asked with the same other parameters.",
    )


class MembersAsked(PageAsked):
    """Which members."""

    joined_since: Instant | None = Field(None, description="Only who joined at this instant or later.")
    booked_since: Instant | None = Field(
        None, description="Only for whom a receipt was recorded at this instant or later."
    )
    tier: wire.Key | None = Field(None, description="Only members of the tier with this key.")
    code: wire.Code | None = Field(None, description="Only the member behind this card code.")


class ReceiptsAsked(PageAsked):
    """Which receipts."""

    since: Instant | None = Field(None, description="Only those recorded at this instant or later.")
    until: Instant | None = Field(None, description="Only those recorded before this instant.")
    kind: ReceiptKind | None = Field(None, description="Only those of this kind.")
    location: wire.Key | None = Field(
        None, description="Only those of this shop; a key that stands at one sees no other."
    )


class AllReceiptsAsked(ReceiptsAsked):
    """Which receipts of all members."""

    member_id: wire.Id | None = Field(None, description="Only those of this member.")


class MemberRecord(BaseModel):
    """A member and what they have now."""

    id: wire.Id
    state: Literal["open", "left", "merged"]
    merged_into: wire.Id | None = Field(description="Whose card this member's became.")
    card_id: wire.Id | None
    code: str | None = Field(description="The card's code; null once there is no card.")
    name: str | None = Field(description="Null once the person's data was erased.")
    email: str | None = Field(description="Only for keys with the scope `people`.")
    phone: str | None = Field(description="Only for keys with the scope `people`.")
    language: str
    joined_at: datetime
    tier: str | None
    balance: int = Field(description="What can be spent now; below zero after a return of spent points.")
    pending: int = Field(description="Points that still wait.")
    held: int = Field(description="Points set aside for a payment.")
    stamps: int
    purchases: int
    last_purchase_at: datetime | None


class MemberPage(BaseModel):
    """A part of a list of members."""

    data: list[MemberRecord]
    next: str | None = Field(description="The `cursor` of the next page; null where the list ends.")


class ReceiptPage(BaseModel):
    """A part of a list of receipts."""

    data: list[wire.ReceiptAnswer]
    next: str | None = Field(description="The `cursor` of the next page; null where the list ends.")


class Named(BaseModel):
    """Something of the programme that requests name by its key."""

    key: str
    name: str


class TierFacts(Named):
    """A tier, reached at `threshold` of what `tier_metric` counts."""

    threshold: int


class RewardFacts(Named):
    """A reward. Where points are paid as money, `points` is one step, worth `amount_minor`."""

    kind: str
    points: int
    amount_minor: int | None
    percent: int | None
    least_points: int
    categories: list[str]
    tiers: list[str]
    locations: list[str]


class UnitFacts(BaseModel):
    """What points are called."""

    one: str
    other: str


class ProgrammeAnswer(BaseModel):
    """What a register has to know of the programme. Names are in the language asked for."""

    slug: str
    name: str
    version: int = Field(description="Rises with each change of the rules.")
    currency: str
    decimals: int = Field(description="How many digits of an amount follow the decimal sign.")
    zone: str
    languages: list[str]
    unit: UnitFacts
    code_kind: str
    barcode: str
    undo_seconds: int = Field(description="For how long a purchase or redemption can be undone.")
    tier_metric: str
    tiers: list[TierFacts]
    rewards: list[RewardFacts]
    shops: list[Named]
    categories: list[Named]


# The operations -----------------------------------------------------------------


@RECORDS.add(
    Operation(
        "getProgramme",
        "GET",
        "/programme",
        Scope.READ,
        "The facts of the programme: currency, shops, categories, rewards, tiers.",
        ProgrammeAnswer,
    )
)
def get_programme(asked: Asked) -> Mapping[str, Any]:
    """What a register asks once a day."""
    loaded = asked.caller.loaded
    rules = loaded.programme
    return {
        "slug": loaded.slug,
        "name": _said(rules.name),
        "version": loaded.version,
        "currency": rules.currency,
        "decimals": minor_digits(rules.currency),
        "zone": rules.zone,
        "languages": rules.languages,
        "unit": {"one": _said(rules.unit.one), "other": _said(rules.unit.other)},
        "code_kind": rules.code_kind.value,
        "barcode": rules.symbology.value,
        "undo_seconds": rules.undo_seconds,
        "tier_metric": rules.tiering.metric.value,
        "tiers": [
            {"key": one.key, "name": _said(one.name), "threshold": one.threshold} for one in rules.tiers
        ],
        "rewards": _rewards(rules),
        "shops": [{"key": one.key, "name": _said(one.name)} for one in rules.shops],
        "categories": _categories(rules),
    }


@RECORDS.add(
    Operation(
        "listMembers",
        "GET",
        "/records/members",
        Scope.RECORDS,
        "All members with their balances, page by page.",
        MemberPage,
        query=MembersAsked,
        refusals=(CodeMistyped, CursorInvalid),
    )
)
def list_members(asked: Asked, query: MembersAsked) -> Mapping[str, Any]:
    """A page of members; those who left are among them."""
    loaded = asked.caller.loaded
    page = _Page("listMembers", loaded, query)
    code = None if query.code is None else arrival.typed(query.code)
    with installation().store.read() as read:
        found = records.members(
            read,
            loaded.id,
            after=page.after,
            newest_first=page.newest_first,
            limit=query.limit + 1,
            code=code,
            tier=query.tier,
            joined_since=query.joined_since,
            booked_since=query.booked_since,
        )
    return page.of(found, lambda one: _member(one, asked))


@RECORDS.add(
    Operation(
        "getMember",
        "GET",
        "/records/members/<member_id>",
        Scope.RECORDS,
        "One member by number.",
        MemberRecord,
        refusals=(MemberUnknown,),
    )
)
def get_member(asked: Asked, member_id: str) -> Mapping[str, Any]:
    """A member."""
    with installation().store.read() as read:
        found = records.members(read, asked.caller.loaded.id, limit=1, member_id=_member_id(member_id))
    if not found:
        raise MemberUnknown()
    return _member(found[0], asked)


@RECORDS.add(
    Operation(
        "listMemberReceipts",
        "GET",
        "/records/members/<member_id>/receipts",
        Scope.RECORDS,
        "The receipts of one member, page by page.",
        ReceiptPage,
        query=ReceiptsAsked,
        refusals=(MemberUnknown, LocationUnknown, CursorInvalid),
    )
)
def list_member_receipts(asked: Asked, query: ReceiptsAsked, member_id: str) -> Mapping[str, Any]:
    """A page of a member's receipts."""
    number = _member_id(member_id)
    with installation().store.read() as read:
        if not records.members(read, asked.caller.loaded.id, limit=1, member_id=number):
            raise MemberUnknown()
    return _receipts(asked, "listMemberReceipts", query, number)


@RECORDS.add(
    Operation(
        "listReceipts",
        "GET",
        "/records/receipts",
        Scope.RECORDS,
        "All receipts, page by page.",
        ReceiptPage,
        query=AllReceiptsAsked,
        refusals=(MemberUnknown, LocationUnknown, CursorInvalid),
    )
)
def list_receipts(asked: Asked, query: AllReceiptsAsked) -> Mapping[str, Any]:
    """A page of receipts."""
    member_id = None if query.member_id is None else _member_id(query.member_id)
    return _receipts(asked, "listReceipts", query, member_id)


def _receipts(asked: Asked, name: str, query: ReceiptsAsked, member_id: int | None) -> Mapping[str, Any]:
    loaded = asked.caller.loaded
    page = _Page(name, loaded, query, member_id)
    with installation().store.read() as read:
        found = records.receipts(
            read,
            loaded.id,
            after=page.after,
            newest_first=page.newest_first,
            limit=query.limit + 1,
            member_id=member_id,
            location=asked.caller.place(query.location),
            kind=query.kind and query.kind.value,
            since=query.since,
            until=query.until,
        )
    return page.of(found, lambda row: answers.receipt(journal.receipt_of(row, loaded.programme)))


# Pages --------------------------------------------------------------------------


class _Page:
    """Where a list goes on, and how to go on from there. Raises CursorInvalid for what we never said."""

    def __init__(self, name: str, loaded: Loaded, query: PageAsked, *more: object) -> None:
        asked_for = query.model_dump(mode="json", exclude={"cursor", "limit"})
        self._question = orjson.dumps([name, loaded.slug, asked_for, more], option=orjson.OPT_SORT_KEYS)
        self._limit = query.limit
        self.newest_first = query.order == "newest"
        self.after = None if query.cursor is None else self._read(query.cursor)

    def of(self, found: Sequence[Entry], shown: Callable[[Entry], Mapping[str, Any]]) -> dict[str, Any]:
        """The page's answer; `found` has one entry more where the list goes on."""
        entries = found[: self._limit]
        goes_on = len(found) > self._limit
        return {
            "data": [shown(one) for one in entries],
            "next": self._written(entries[-1].id) if goes_on else None,
        }

    def _written(self, entry_id: int) -> str:
        return f"{entry_id:x}-{self._proof(entry_id)}"

    def _read(self, cursor: str) -> int:
        number, _, _ = cursor.partition("-")
        try:
            entry_id = int(number, 16)
        except ValueError:
            raise CursorInvalid() from None
        if not hmac.compare_digest(cursor.encode(), self._written(entry_id).encode()):
            raise CursorInvalid()
        return entry_id

    def _proof(self, entry_id: int) -> str:
        proof = installation().keys.form_proof("cursor", self._question.decode(), str(entry_id))
        return proof[:_PROOF_LETTERS]


def _member_id(text: str) -> int:
    member_id = operations.number(text, MemberUnknown)
    if not 0 < member_id < arrival.ID_LIMIT:
        raise MemberUnknown()
    return member_id


# Answers ------------------------------------------------------------------------


def _member(found: Listed, asked: Asked) -> dict[str, Any]:
    shows_person = Scope.PEOPLE in asked.caller.scopes
    left = "left" if found.closed_at else "open"
    return {
        "id": str(found.id),
        "state": left if found.merged_into is None else "merged",
        "merged_into": None if found.merged_into is None else str(found.merged_into),
        "card_id": None if found.card_id is None else str(found.card_id),
        "code": None if found.code is None else codes.grouped(found.code),
        "name": found.name,
        "email": found.email if shows_person else None,
        "phone": found.phone if shows_person else None,
        "language": found.language,
        "joined_at": found.joined_at,
        "tier": found.tier,
        "balance": found.balance,
        "pending": found.pending,
        "held": found.held,
        "stamps": found.stamps,
        "purchases": found.purchases,
        "last_purchase_at": found.last_purchase_at,
    }


def _rewards(rules: Programme) -> list[dict[str, Any]]:
    return [
        {
            "key": one.key,
            "name": _said(one.name),
            "kind": one.kind.value,
            "points": one.points,
            "amount_minor": one.amount_minor,
            "percent": one.percent,
            "least_points": one.least_points,
            "categories": sorted(one.categories),
            "tiers": sorted(one.tiers),
            "locations": sorted(one.locations),
        }
        for one in rules.rewards
    ]


def _categories(rules: Programme) -> list[dict[str, str]]:
    names = dict(rules.category_names)
    return [
        {"key": key, "name": _said(names[key]) if key in names else key} for key in sorted(rules.categories)
    ]


def _said(text: Text) -> str:
    return text.in_(language.current())
