"""Who stands at the counter: from a code or a receipt to a member whose rows are locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from passes.loyalty import codes
from passes.loyalty.conditions import MemberFacts
from passes.loyalty.receipt import Counter
from passes.loyalty.refusals import (
    CardForeign,
    CardVoided,
    CodeMistyped,
    CodeUnknown,
    OwnCard,
    ReceiptUnknown,
    Refused,
    TimeInvalid,
)
from passes.loyalty.safety import Approved, Watch
from passes.store import Read, Row, Work, club, counter, journal, members, safety
from passes.store.counter import Seen
from passes.store.instants import instant, instant_or_none
from passes.store.members import Standing
from passes.store.programmes import Finding, Loaded
from passes.store.work import Answer

ID_LIMIT = 2**63
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def typed(code: str) -> str:
    """The code as it may be looked up; whether its check character is right is known with the programme."""
    read = codes.normalise(code)
    if not codes.may_be_known(read):
        raise CodeMistyped()
    return read


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody at the counter; the answers may still be on their way.

    `asked` is the request, `loaded` the programme, `card` the card behind the
    code, locked. `own` have a row where it is the card of one of the staff who
    are part of this.
    """

    loaded: Loaded
    asked: journal.Asked
    code: str
    card: Answer
    own: tuple[Answer, ...]

    def standing(self, work: Work) -> Standing:
        """The member behind the code.

        Raises CodeMistyped, CodeUnknown, CardForeign, CardVoided or OwnCard.
        """
        found = card(work, self.loaded, self.code, self.card)
        work.concerns(found.member_id)
        if any(answer.one() is not None for answer in self.own):
            raise OwnCard()
        return found


def arrive(
    work: Work,
    programme: str,
    code: str,
    key: str,
    operation: str,
    content: Mapping[str, Any],
    *staff: str | None,
) -> Arrival:
    """Who stands at the counter, and whether this was asked before; `staff` are the logins of who serve.

    The card is asked for before the programme's kind of code is known, so that
    all questions travel together.
    """
    finding = Finding(work, programme)
    asked = journal.Asked(work, finding.id, key, operation, content)
    candidate = members.at_counter(work, finding.id, code)
    own = tuple(
        safety.own_by_code(work, finding.id, code=code, login=login) for login in staff if login is not None
    )
    return Arrival(finding.loaded(), asked, code, candidate, own)


def card(read: Read, loaded: Loaded, code: str, answer: Answer) -> Standing:
    """The member behind a typed code. Raises CodeMistyped, CodeUnknown, CardForeign or CardVoided."""
    standing = members.standing(answer)
    if standing is not None and standing.voided_at is not None and isinstance(read, Work):
        # While this waited for the card, a merge may have given its code to another one.
        standing = members.standing(members.at_counter(read, loaded.id, code))
    if standing is None:
        raise _nobody(read, loaded, code)
    if standing.voided_at is not None:
        raise CardVoided()
    return standing


def seen(read: Read, loaded: Loaded, code: str, answer: Answer) -> Seen:
    """As `card`, for a member who is only looked at."""
    found = counter.seen(answer)
    if found is None:
        raise _nobody(read, loaded, code)
    if found.standing.voided_at is not None:
        raise CardVoided()
    return found


def _nobody(read: Read, loaded: Loaded, code: str) -> Refused:
    """Why a code leads to no card. A slip can be told only in codes of our own."""
    if not codes.is_code(code, loaded.programme.code_kind):
        return CodeMistyped()
    return CardForeign() if members.code_elsewhere(read, code) else CodeUnknown()


def refuse_own(work: Work, loaded: Loaded, member_id: int, *staff: str | None) -> None:
    """Raise OwnCard where the member is one of the staff who are part of this."""
    for login in staff:
        if login is not None and safety.is_own(work, loaded.id, member_id=member_id, login=login):
            raise OwnCard()


def agreed(
    work: Work,
    loaded: Loaded,
    watch: Watch,
    approved: Sequence[Approved],
    *,
    about: str,
    at: Counter,
    key: str,
    now: datetime,
) -> None:
    """Write down what a manager agreed to, if anything."""
    if not approved or watch.approved_by is None:
        return
    club.note(
        work,
        loaded.id,
        action="till_approved",
        by=watch.approved_by,
        about=about,
        detail=f"{' '.join(approved)} for {at.person or '-'} at {at.till or '-'} {at.location or '-'}, {key}",
        now=now,
    )


def receipt(work: Work, loaded: Loaded, receipt_id: int) -> tuple[Row, Standing]:
    """A receipt as it stands, and its member, locked. Raises ReceiptUnknown."""
    if not 0 < receipt_id < ID_LIMIT:
        raise ReceiptUnknown()
    row = journal.receipt_row(work, loaded.id, receipt_id)
    if row is None:
        raise ReceiptUnknown()
    standing = members.standing(members.of_card(work, loaded.id, row.card_id))
    assert standing is not None
    # Read again under the member's lock: another till may have changed it meanwhile.
    row = journal.receipt_row(work, loaded.id, receipt_id)
    assert row is not None
    return row, standing


def facts(standing: Standing) -> MemberFacts:
    """What rules may know of the member."""
    return MemberFacts(
        tier=standing.tier,
        joined_at=instant(standing.joined_at),
        last_purchase_at=instant_or_none(standing.last_purchase_at),
        purchases=standing.purchases,
        balance=standing.balance,
        language=standing.language,
    )


def happened(occurred_at: datetime | None, now: datetime) -> datetime:
    """When something happened: at an offline till earlier, never later than now.

    Raises TimeInvalid for the time of a clock that forgot what time it is.
    """
    if occurred_at is None:
        return now
    if occurred_at < _LONG_AGO:
        raise TimeInvalid()
    return min(occurred_at, now)
