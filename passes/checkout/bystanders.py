"""Cards of those who may stand beside a till: nobody books on their own under a colleague's name.

Reference: loyalty G.
"""

from __future__ import annotations

from collections.abc import Sequence

from passes.checkout import arrival
from passes.loyalty.refusals import OwnCard
from passes.store import Store, journal, safety


def refuse_bystanders(
    store: Store,
    *,
    programme_id: int,
    code: str | None = None,
    receipt_id: int | None = None,
    logins: Sequence[str],
) -> None:
    """Raise OwnCard where the card, or that of the receipt, is known to be one of these people's.

    What leads to no card passes: the booking itself refuses it.
    """
    with store.read() as read:
        known = receipt_id is not None and 0 < receipt_id < arrival.ID_LIMIT
        row = journal.receipt_row(read, programme_id, receipt_id) if receipt_id and known else None
        for login in logins:
            by_code = code and safety.own_by_code(read, programme_id, code=code, login=login).one()
            if by_code or (
                row is not None and safety.is_own(read, programme_id, member_id=row.member_id, login=login)
            ):
                raise OwnCard()
