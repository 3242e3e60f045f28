"""Who stands at the counter: from a code or a receipt to a member whose rows are locked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from passes.loyalty import codes
from passes.loyalty.conditions import MemberFacts
from passes.loyalty.refusals import (
    CardForeign,
    CardVoided,
    CodeMistyped,
    CodeUnknown,
    ReceiptUnknown,
    TimeInvalid,
)
from passes.store import Read, Row, Work, counter, journal, members
from passes.store.counter import Seen
from passes.store.instants import instant, instant_or_none
from passes.store.members import Standing
from passes.store.programmes import Finding, Loaded
from passes.store.work import Answer

_CODE_LENGTH_MAX = 64
ID_LIMIT = 2**63
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def typed(code: str) -> str:
    """The code as it may be looked up; whether its check character is right is known with the programme."""
    read = codes.normalise(code)
    if not (read.isascii() and read.isalnum() and len(read) <= _CODE_LENGTH_MAX):
        raise CodeMistyped()
    return read


def arrive(
    work: Work, programme: str, code: str, key: str, operation: str, content: Mapping[str, Any]
) -> tuple[Loaded, journal.Asked, Answer]:
    """The programme, whether this was asked before, and the card behind a typed code, locked.

    The card is asked for before the programme's kind of code is known, so that
    all three questions travel together.
    """
    finding = Finding(work, programme)
    asked = journal.Asked(work, finding.id, key, operation, content)
    candidate = members.at_counter(work, finding.id, code)
    return finding.loaded(), asked, candidate


def card(read: Read, loaded: Loaded, code: str, answer: Answer) -> Standing:
    """The member behind a typed code. Raises CodeMistyped, CodeUnknown, CardForeign or CardVoided."""
    checked = codes.read(code, loaded.programme.code_kind)
    standing = members.standing(answer)
    if standing is not None and standing.voided_at is not None and isinstance(read, Work):
        # While this waited for the card, a merge may have given its code to another one.
        standing = members.standing(members.at_counter(read, loaded.id, checked))
    if standing is None:
        raise CardForeign() if members.code_elsewhere(read, checked) else CodeUnknown()
    if standing.voided_at is not None:
        raise CardVoided()
    return standing


def seen(read: Read, loaded: Loaded, code: str, answer: Answer) -> Seen:
    """As `card`, for a member who is only looked at."""
    checked = codes.read(code, loaded.programme.code_kind)
    found = counter.seen(answer)
    if found is None:
        raise CardForeign() if members.code_elsewhere(read, checked) else CodeUnknown()
    if found.standing.voided_at is not None:
        raise CardVoided()
    return found


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
