"""Two members turn out to be one person: their cards, points and history become one, and can part again.

The survivor keeps its number. The other's codes find the survivor's card from
then on, its points keep their expiry, and the whole merge is written down so
that it can be undone for a while. Reference: loyalty A21.
"""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timedelta

from passes.loyalty import codes
from passes.loyalty.letters import cleaned
from passes.loyalty.refusals import (
    AlreadyUndone,
    CardForeign,
    CardVoided,
    CodeUnknown,
    MergeCovered,
    MergeHeld,
    MergeSame,
    MergeTooOld,
    MergeUnknown,
    WordsInvalid,
)
from passes.merging.parting import part
from passes.merging.side import Merged
from passes.merging.uniting import unite
from passes.store import Read, Row, Store, Work, journal, members, programmes
from passes.store import merging as rows
from passes.store.instants import instant
from passes.store.members import Standing
from passes.store.merging import Alike
from passes.store.programmes import Finding, Loaded

__all__ = ["PROOF_LETTERS_MAX", "UNDO_DAYS", "Merged", "find", "merge", "undo"]

UNDO_DAYS = 30
PROOF_LETTERS_MAX = 200
_SERIAL_BYTES = 18
_ID_LIMIT = 2**63


def find(store: Store, *, programme: str, limit: int = 100) -> list[Alike]:
    """Pairs of members that may be one person: same e-mail address, phone, or name and birthday.

    Sharing these proves nothing: families share an address, and a phone number
    may have gone to somebody else. Raises ProgrammeUnknown.
    """
    with store.read() as read:
        return rows.alike(read, programmes.by_slug(read, programme).id, limit=limit)


def merge(
    store: Store,
    *,
    programme: str,
    survivor: str,
    loser: str,
    proof: str,
    by: str,
    key: str,
    now: datetime,
) -> Merged:
    """Make the member of the card `loser` the member of the card `survivor`.

    `proof` says how `by`, who does it, knows that both are one person. A code
    of somebody who was merged before stands for the survivor. Raises
    CodeMistyped, CodeUnknown, CardForeign, CardVoided (the survivor's),
    MergeSame, MergeHeld, WordsInvalid, ProgrammeUnknown, KeyInvalid or KeyReused.
    """
    reason = _proof(proof)
    staying_code, leaving_code = codes.normalise(survivor), codes.normalise(loser)
    content = {"survivor": staying_code, "loser": leaving_code, "proof": reason, "by": by}

    def decide(work: Work) -> Merged:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "merge", content)
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return Merged(**json.loads(before))
        staying, leaving = _locked(work, loaded, staying_code, leaving_code)
        if rows.holds_points(work, loaded.id, leaving.member_id):
            raise MergeHeld()
        merged = unite(work, loaded, staying, leaving, reason, by, now)
        asked.answered(work, merged.as_json(), now=now)
        return merged

    return store.write(decide)


def undo(
    store: Store, *, programme: str, merge_id: int, proof: str, by: str, key: str, now: datetime
) -> Merged:
    """Take a merge apart again, within UNDO_DAYS: they were two people after all.

    What lapsed or was taken back meanwhile stays gone; what was spent comes
    out of the survivor's other points, and where those do not suffice nothing
    happens. Raises MergeUnknown, AlreadyUndone, MergeTooOld, MergeCovered,
    MergeSpent, WordsInvalid, ProgrammeUnknown, KeyInvalid or KeyReused.
    """
    reason = _proof(proof)
    serial = secrets.token_urlsafe(_SERIAL_BYTES)

    def decide(work: Work) -> Merged:
        finding = Finding(work, programme)
        asked = journal.Asked(
            work, finding.id, key, "unmerge", {"merge": merge_id, "proof": reason, "by": by}
        )
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return Merged(**json.loads(before))
        row, staying, leaving = _merged_before(work, loaded, merge_id)
        if row.undone_at is not None:
            raise AlreadyUndone()
        if now >= instant(row.at) + timedelta(days=UNDO_DAYS):
            raise MergeTooOld(days=UNDO_DAYS)
        if rows.person_of(work, loaded.id, row.survivor_id).merged_into is not None:
            raise MergeCovered()
        parted = part(work, loaded, row, staying, leaving, serial, reason, by, now)
        asked.answered(work, parted.as_json(), now=now)
        return parted

    return store.write(decide)


def _proof(text: str) -> str:
    reason = cleaned(text, PROOF_LETTERS_MAX + 1)
    if not reason or len(reason) > PROOF_LETTERS_MAX:
        raise WordsInvalid(limit=PROOF_LETTERS_MAX)
    return reason


# Who it is about -------------------------------------------------------------------


def _locked(work: Work, loaded: Loaded, staying_code: str, leaving_code: str) -> tuple[Standing, Standing]:
    staying, leaving = _looked(work, loaded, staying_code), _looked(work, loaded, leaving_code)
    while True:
        if staying.member_id == leaving.member_id:
            raise MergeSame()
        held = _lock(work, loaded, staying, leaving)
        # Whoever was waited for may have merged one of them.
        staying, leaving = _looked(work, loaded, staying_code), _looked(work, loaded, leaving_code)
        if {staying.card_id, leaving.card_id} == {standing.card_id for standing in held.values()}:
            break
    staying, leaving = held[staying.member_id], held[leaving.member_id]
    if staying.voided_at is not None:
        raise CardVoided()
    return staying, leaving


def _looked(read: Read, loaded: Loaded, code: str) -> Standing:
    checked = codes.read(code, loaded.programme.code_kind)
    standing = members.standing(members.look(read, loaded.id, checked))
    if standing is None:
        raise CardForeign() if members.code_elsewhere(read, checked) else CodeUnknown()
    return standing


def _lock(work: Work, loaded: Loaded, *standings: Standing) -> dict[int, Standing]:
    """Both by the order of their ids, so that two merges never wait for each other."""
    held: dict[int, Standing] = {}
    for standing in sorted(standings, key=lambda one: one.member_id):
        locked = members.standing(members.of_card(work, loaded.id, standing.card_id))
        assert locked is not None
        held[standing.member_id] = locked
    return held


def _merged_before(work: Work, loaded: Loaded, merge_id: int) -> tuple[Row, Standing, Standing]:
    row = rows.by_id(work, loaded.id, merge_id) if 0 < merge_id < _ID_LIMIT else None
    if row is None:
        raise MergeUnknown()
    held: dict[int, Standing] = {}
    for member_id in sorted((row.survivor_id, row.loser_id)):
        standing = rows.standing_of(work, loaded.id, member_id)
        assert standing is not None
        held[member_id] = standing
    row = rows.by_id(work, loaded.id, merge_id)
    assert row is not None
    return row, held[row.survivor_id], held[row.loser_id]
