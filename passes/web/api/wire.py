"""What travels over the wire of the API: requests are checked here, answers are described here.

Money is whole minor units (1240 is 12.40), points are whole, ids are text:
they have more digits than some languages' numbers. Instants carry an offset.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from passes.checkout import MemberView, Quote, Receipt, Why
from passes.loyalty.basket import Line
from passes.loyalty.explanation import Explained

_LIMIT = 2**53

Code = Annotated[str, Field(min_length=1, max_length=64, examples=["2FTX-9KQD-VM34-CHWR"])]
Minor = Annotated[int, Field(ge=0, lt=_LIMIT)]
Key = Annotated[str, Field(min_length=1, max_length=64)]
Id = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,18}$", examples=["284324659200003124"])]


class Asked(BaseModel):
    """What a request may hold: nothing unknown, nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Place(Asked):
    """Where and by whom; a key that stands at a location needs none and takes no other."""

    location: Key | None = Field(None, description="The shop's key in the programme.")
    till: Key | None = None
    person: Key | None = Field(None, description="Who served, as the register knows them.")


class LineAsked(Asked):
    """One line of a purchase."""

    quantity: Annotated[int, Field(ge=1, lt=1_000_000)] = 1
    unit_minor: Minor
    discount_minor: Minor = 0
    tax_minor: Minor = Field(0, description="The tax contained in what is left of the line.")
    sku: Key | None = None
    name: Annotated[str, Field(max_length=200)] | None = None
    category: Key | None = Field(None, description="A category of the programme, such as `coffee`.")
    brand: Key | None = None

    def line(self) -> Line:
        """The same for the rules."""
        return Line(
            quantity=self.quantity,
            unit_minor=self.unit_minor,
            discount_minor=self.discount_minor,
            sku=self.sku,
            name=self.name,
            category=self.category,
            brand=self.brand,
            tax_minor=self.tax_minor,
        )


class QuoteAsked(Place):
    """A purchase that may happen."""

    code: Code
    amount_minor: Minor = Field(description="What is to be paid, in the programme's currency.")
    lines: Annotated[list[LineAsked], Field(max_length=500)] = []
    discount_minor: Minor = Field(0, description="Taken off the whole, after the lines' own discounts.")
    unearning_minor: Minor = Field(0, description="Paid with something that earns nothing.")
    offer_codes: Annotated[list[Key], Field(max_length=10)] = []
    takes_discounts: bool = Field(
        False, description="The register takes off what offers say; `amount_minor` is then before them."
    )


class PurchaseAsked(QuoteAsked):
    """A purchase that happened."""

    occurred_at: AwareDatetime | None = Field(None, description="When, if not just now.")


class RedemptionAsked(Place):
    """Points for a reward."""

    code: Code
    reward: Key = Field(description="The reward's key in the programme.")
    points: Annotated[int, Field(ge=1, lt=_LIMIT)] | None = Field(
        None, description="How many, where points are paid as money."
    )
    basket_minor: Minor | None = Field(
        None, description="What is to be paid, where points are paid as money."
    )


class ReturnedLine(Asked):
    """Pieces of one line that come back."""

    number: Annotated[int, Field(ge=1, le=500)]
    quantity: Annotated[int, Field(ge=1, lt=1_000_000)]


class ReturnAsked(Place):
    """Goods that come back; without lines and amount, all of them."""

    receipt_id: Id
    lines: Annotated[list[ReturnedLine], Field(max_length=500)] = []
    amount_minor: Annotated[int, Field(ge=1, lt=_LIMIT)] | None = None
    reason: Annotated[str, Field(max_length=200)] = ""
    occurred_at: AwareDatetime | None = None


class UndoAsked(Place):
    """A mistake to be taken back."""


# Answers ----------------------------------------------------------------------


class Reason(BaseModel):
    """One part of the points, in words; the parts add up to all of them."""

    words: str
    points: str = Field(description="Exact: a decimal number, or a fraction such as 1/3.")


class ReceiptAnswer(BaseModel):
    """What was booked."""

    id: Id
    kind: str
    card_id: Id
    member_id: Id
    points: int = Field(description="Gained or lost, points that still wait included.")
    stamps: int
    balance_before: int
    balance: int = Field(description="What can be spent now.")
    amount_minor: int | None
    currency: str
    reward: str | None
    location: str | None
    till: str | None
    person: str | None
    occurred_at: datetime
    recorded_at: datetime
    undo_until: datetime | None
    undoes: Id | None
    undone_by: Id | None


class ReceiptWithReasons(ReceiptAnswer):
    """A receipt, and why it moved the points it did."""

    why: list[Reason]


class OfferAnswer(BaseModel):
    """An offer in a quote."""

    key: str
    discount_minor: int
    refused: str | None = Field(description="The stable code of why it does not hold.")
    words: str | None


class QuoteAnswer(BaseModel):
    """What the purchase would come to. Nothing was booked."""

    pay_minor: int
    discount_minor: int
    points: int
    balance: int = Field(description="What could be spent afterwards.")
    offers: list[OfferAnswer]
    why: list[Reason]


class RewardAnswer(BaseModel):
    """A reward of the programme; `missing` points are 0 when it is ready."""

    key: str
    name: str
    points: int
    missing: int


class MemberAnswer(BaseModel):
    """Who stands at the counter: never an address or a number to call."""

    member_id: Id
    card_id: Id
    code: str
    name: str
    balance: int
    unit: str
    tier: str | None
    pending: int
    held: int
    rewards: list[RewardAnswer]


class FieldProblem(BaseModel):
    """What is wrong at one place of the body."""

    pointer: str = Field(description="JSON pointer into the body.")
    detail: str


class Problem(BaseModel):
    """Why not (RFC 9457). `code` is stable; `detail` is for people, in the language asked for."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] = []


def receipt(booked: Receipt) -> dict[str, Any]:
    """A receipt as `ReceiptAnswer` describes it."""
    return {
        "id": str(booked.id),
        "kind": booked.kind.value,
        "card_id": str(booked.card_id),
        "member_id": str(booked.member_id),
        "points": booked.points,
        "stamps": booked.stamps,
        "balance_before": booked.balance_before,
        "balance": booked.balance_after,
        "amount_minor": booked.amount_minor,
        "currency": booked.currency,
        "reward": booked.reward_key,
        "location": booked.counter.location,
        "till": booked.counter.till,
        "person": booked.counter.person,
        "occurred_at": booked.occurred_at,
        "recorded_at": booked.recorded_at,
        "undo_until": booked.undo_until,
        "undoes": _id(booked.undoes),
        "undone_by": _id(booked.undone_by),
    }


def with_reasons(found: Why) -> dict[str, Any]:
    """As `ReceiptWithReasons`."""
    return {**receipt(found.receipt), "why": _reasons(found.parts)}


def quote(found: Quote) -> dict[str, Any]:
    """As `QuoteAnswer`."""
    return {
        "pay_minor": found.pay_minor,
        "discount_minor": found.discount_minor,
        "points": found.points,
        "balance": found.balance_after,
        "offers": [
            {
                "key": one.key,
                "discount_minor": one.discount_minor,
                "refused": one.refused,
                "words": one.words,
            }
            for one in found.offers
        ],
        "why": _reasons(found.why),
    }


def member(found: MemberView) -> dict[str, Any]:
    """As `MemberAnswer`."""
    return {
        "member_id": str(found.member_id),
        "card_id": str(found.card_id),
        "code": found.code,
        "name": found.name,
        "balance": found.balance,
        "unit": found.unit,
        "tier": found.tier_key,
        "pending": found.pending,
        "held": found.held,
        "rewards": [
            {"key": one.key, "name": one.name, "points": one.points, "missing": one.missing}
            for one in found.rewards
        ],
    }


def _reasons(parts: tuple[Explained, ...]) -> list[dict[str, Any]]:
    return [{"words": part.words, "points": _exact(part.points)} for part in parts]


def _exact(points: Fraction) -> str:
    digits = Decimal(points.numerator) / points.denominator
    return f"{digits:f}" if Fraction(digits) == points else f"{points.numerator}/{points.denominator}"


def _id(number: int | None) -> str | None:
    return None if number is None else str(number)
