"""What travels over the wire of the API: requests are checked here, answers are described here.

Money is whole minor units (1240 is 12.40), points are whole, ids are text:
they have more digits than some languages' numbers. Instants carry an offset.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from passes.loyalty.basket import Line
from passes.loyalty.tenders import Tender, TenderKind

_LIMIT = 2**53

Code = Annotated[str, Field(min_length=1, max_length=64, examples=["2FTX-9KQD-VM34-CHWR"])]
OneTime = Annotated[str, Field(pattern=r"^[0-9]{6}$", examples=["482913"])]
ONE_TIME = "Six digits from the member, where they were only looked up, or the reward is costly."
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


HERE = Place.model_validate({})
"""Where the caller stands, said by nobody else."""


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


class TenderAsked(Asked):
    """A part of what was paid."""

    kind: Literal["cash", "card", "gift_card", "points", "other"]
    amount_minor: Annotated[int, Field(ge=1, lt=_LIMIT)]

    def tender(self) -> Tender:
        """The same for the rules."""
        return Tender(TenderKind(self.kind), self.amount_minor)


Tenders = Annotated[list[TenderAsked], Field(max_length=20)]
TENDERS = (
    "What was paid with, together what is to be paid after offers. Gift cards and points earn nothing. "
    "Left out, everything earns but `unearning_minor`."
)


class QuoteAsked(Place):
    """A purchase that may happen."""

    code: Code
    amount_minor: Minor = Field(description="What is to be paid, in the programme's currency.")
    lines: Annotated[list[LineAsked], Field(max_length=500)] = []
    discount_minor: Minor = Field(0, description="Taken off the whole, after the lines' own discounts.")
    unearning_minor: Minor = Field(0, description="Paid with something that earns nothing.")
    tenders: Tenders = Field([], description=TENDERS)
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
    one_time: OneTime | None = Field(None, description=ONE_TIME)
    reward: Key = Field(description="The reward's key in the programme.")
    points: Annotated[int, Field(ge=1, lt=_LIMIT)] | None = Field(
        None, description="How many, where points are paid as money."
    )
    basket_minor: Minor | None = Field(
        None, description="What is to be paid, where points are paid as money."
    )


class UseAsked(Place):
    """A reward that the member has already."""

    code: Code
    redemption_id: Id = Field(description="Of `issued` in the member's answer.")
    one_time: OneTime | None = Field(None, description=ONE_TIME)
    purchase_receipt_id: Id | None = Field(
        None, description="The purchase in which it is used, so that a return gives it back."
    )


class CaptureAsked(Place):
    """The payment for which points were set aside is done."""

    points: Annotated[int, Field(ge=0, lt=_LIMIT)] | None = Field(
        None, description="How many of them are spent; all where it is left out."
    )
    purchase_receipt_id: Id | None = Field(
        None, description="The purchase in which they were spent, so that a return gives them back."
    )


class ReleaseAsked(Place):
    """The payment for which points were set aside did not happen."""


class SaleAsked(Place):
    """A sale without a member."""

    amount_minor: Minor = Field(description="What was paid, in the programme's currency.")
    lines: Annotated[list[LineAsked], Field(max_length=500)] = []
    discount_minor: Minor = Field(0, description="Taken off the whole, after the lines' own discounts.")
    tenders: Tenders = Field(
        [], description="What was paid with: of gift cards and points nothing can be claimed."
    )
    occurred_at: AwareDatetime | None = Field(None, description="When, if not just now.")


class MemberAsked(Place):
    """A new member."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    email: Annotated[str, Field(max_length=320)] | None = None
    phone: Annotated[str, Field(max_length=40)] | None = None
    language: Annotated[str, Field(min_length=2, max_length=16)] | None = Field(
        None, description="One of the programme's; its first where none is named."
    )
    consents: Annotated[dict[Key, bool], Field(max_length=20)] = Field(
        {}, description="What the person said to the programme's questions, by purpose; no where unsaid."
    )


class Find(Asked):
    """Whom to look up."""

    find: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="The beginning of a name, also with the last four digits of the phone; a whole phone "
        "number; a whole e-mail address."
    )


class ClaimAsked(Place):
    """A guest's receipt, and whose it shall be."""

    code: Code
    claim: Annotated[str, Field(min_length=1, max_length=300)] = Field(
        description="What the receipt's QR code says: the address, or what follows `claim=` in it."
    )


class Typed(Asked):
    """An amount as a person typed it."""

    typed: Annotated[str, Field(min_length=1, max_length=64, examples=["1,234.50"])] = Field(
        description="As it was typed, with or without a sign for the thousands."
    )


class OneTimeAsked(Place):
    """A code for the member to prove themselves with."""

    handle: Code = Field(description="What looking up gave, or the code of a card.")


class ReturnedLine(Asked):
    """Pieces of one line that come back."""

    number: Annotated[int, Field(ge=1, le=500)]
    quantity: Annotated[int, Field(ge=1, lt=1_000_000)]


class ReturnPreviewAsked(Place):
    """Goods that may come back; without lines and amount, all of them."""

    receipt_id: Id
    lines: Annotated[list[ReturnedLine], Field(max_length=500)] = []
    amount_minor: Annotated[int, Field(ge=1, lt=_LIMIT)] | None = None


class ReturnAsked(ReturnPreviewAsked):
    """Goods that come back; without lines and amount, all of them."""

    reason: Annotated[str, Field(max_length=200)] = ""
    occurred_at: AwareDatetime | None = None


class SaleReturnAsked(Place):
    """Goods of a guest's sale that come back; without lines and amount, all of them."""

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
    stamp_rewards: int = Field(description="How many stamp cards it filled, each worth a reward.")
    tier_reached: str | None = Field(description="The key of the tier that it lifted the member to.")
    balance_before: int
    balance: int = Field(description="What can be spent now.")
    amount_minor: int | None
    refund_minor: int | None = Field(description="What a return pays out; null for everything else.")
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


class AsMoneyAnswer(BaseModel):
    """Points that can be paid as money: `least` to `most` of them, in steps worth `step_minor`; 0: none."""

    reward: str
    name: str
    least: int
    most: int
    step: int
    step_minor: int


class ApprovalAnswer(BaseModel):
    """What a manager will have to agree to before the purchase is booked."""

    why: Literal["amount", "visits"]
    words: str


class QuoteAnswer(BaseModel):
    """What the purchase would come to. Nothing was booked."""

    pay_minor: int
    discount_minor: int
    points: int
    balance: int = Field(description="What could be spent afterwards.")
    offers: list[OfferAnswer]
    why: list[Reason]
    as_money: list[AsMoneyAnswer]
    approval: list[ApprovalAnswer] = Field(
        description="At the till's own app, what a manager will have to agree to. Registers decide that "
        "themselves: empty."
    )


class RewardAnswer(BaseModel):
    """A reward of the programme; `missing` points are 0 when the balance pays for it."""

    key: str
    name: str
    kind: str
    points: int
    missing: int
    ready: bool = Field(description="Whether it can be had here and now.")
    refused: str | None = Field(description="The stable code of why not.")
    why: str | None = Field(description="Why not, in words.")


class IssuedAnswer(BaseModel):
    """A reward that the member was given and can use."""

    id: Id
    key: str
    name: str
    expires_at: datetime | None


class OfferHereAnswer(BaseModel):
    """An offer that holds for this member, here and now, for what it is about."""

    key: str
    title: str
    text: str
    ends_at: datetime | None


class HoldAnswer(BaseModel):
    """Points set aside for a reward: they left the balance, and come back by themselves at `lapses_at`."""

    id: Id
    reward: str
    points: int
    amount_minor: int | None = Field(description="What the reward takes off, where that is an amount.")
    balance: int
    lapses_at: datetime


class AmountAnswer(BaseModel):
    """How an amount was understood."""

    amount_minor: int
    currency: str
    words: str = Field(description="The same as the language asked for writes it.")


class Expiring(BaseModel):
    """Points that cannot be spent any more from `at` on."""

    points: int
    at: datetime


class MemberAnswer(BaseModel):
    """Who stands at the counter: never an address or a number to call."""

    member_id: Id
    card_id: Id
    code: str
    name: str
    identified: Literal["card", "found"] = Field(
        description="`found` by name or number: redeeming then needs a one-time code."
    )
    balance: int
    unit: str
    tier: str | None
    tier_name: str | None
    pending: int
    held: int
    stamps: int
    stamps_needed: int | None = Field(description="How many fill a card; null where there are no stamps.")
    issued: list[IssuedAnswer]
    rewards: list[RewardAnswer]
    next_reward: RewardAnswer | None = Field(
        description="The cheapest that the balance does not pay for yet."
    )
    as_money: list[AsMoneyAnswer] = Field(description="What the balance allows, whatever the basket.")
    offers: list[OfferHereAnswer]
    recent: list[ReceiptAnswer]
    last_visit_at: datetime | None
    expiring: Expiring | None = Field(description="Points that lapse within 30 days.")
    birthday: bool = Field(description="Whether it is within 7 days.")
    as_of: datetime


class FoundMember(BaseModel):
    """Somebody who may be meant: enough to recognise them, nothing to reach them by."""

    handle: str = Field(description="Stands for their card wherever a code is asked for, for 15 minutes.")
    name: str
    tier_name: str | None
    phone_end: str | None = Field(description="The last two digits of their number, to ask for.")
    last_visit_at: datetime | None


class FoundMembers(BaseModel):
    """At most eight members."""

    found: list[FoundMember]
    more: bool = Field(description="Whether there are others: type more.")


class OneTimeAnswer(BaseModel):
    """A code is on its way to the member's e-mail."""

    expires_at: datetime


class SaleAnswer(BaseModel):
    """A sale that was booked without a member."""

    id: Id
    amount_minor: int
    currency: str
    claim_url: str | None = Field(
        description="Where the guest may make its points theirs, for a QR code on the receipt."
    )
    claim_until: datetime | None


class SaleReturnAnswer(BaseModel):
    """Goods of a guest's sale came back; `refund_minor` is paid out."""

    id: Id
    sale_id: Id
    refund_minor: int
    currency: str


class NewMemberAnswer(BaseModel):
    """A new member. The page at `card_url` is theirs alone: show it as a QR code, keep it nowhere."""

    member_id: Id
    card_id: Id
    code: str
    card_url: str


class ReturnableLine(BaseModel):
    """A line of a purchase: of its `sold` pieces `quantity` can still come back, for `paid_minor`."""

    number: int
    name: str | None
    category: str | None
    sold: int
    quantity: int
    paid_minor: int


class ReturnableAnswer(BaseModel):
    """What of a purchase can still come back."""

    receipt_id: Id
    currency: str
    paid_minor: int = Field(description="For everything that is left.")
    lines: list[ReturnableLine]


class ReturnPreview(BaseModel):
    """What taking goods back would do. Nothing was booked."""

    amount_minor: int = Field(description="What the goods cost.")
    refund_minor: int = Field(description="What is paid out.")
    currency: str
    points: int
    stamps: int
    balance_before: int
    balance: int


class FieldProblem(BaseModel):
    """What is wrong at one place of the request."""

    pointer: str = Field(description="JSON pointer into the body, or `?` and the name of a parameter.")
    detail: str


class Problem(BaseModel):
    """Why not (RFC 9457). `code` is stable; `detail` is for people, in the language asked for."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] = []
