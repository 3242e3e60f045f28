"""The books are right, and here is the proof."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from passes.loyalty import codes
from passes.loyalty.refusals import CodeUnknown
from passes.store import Read, Store, books, members, programmes

# Small enough for SQLite's one writer to be free again within milliseconds.
_BLOCK_POSTINGS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and every sentence that says something is wrong."""

    postings: int
    accounts: int
    lots: int
    blocks: int
    problems: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def seal_due(store: Store, *, now: datetime) -> int:
    """Seal what was posted since the last block, a block per programme. Returns the postings sealed."""
    with store.read() as read:
        identifiers = [loaded.id for loaded in programmes.every(read)]
    sealed = 0
    for programme_id in identifiers:
        sealed += store.write(
            lambda work, programme_id=programme_id: books.seal(  # type: ignore[misc]
                work, programme_id, limit=_BLOCK_POSTINGS_MAX, now=now
            )
        )
    return sealed


def balance_as_of(store: Store, *, programme: str, code: str, at: datetime, known_at: datetime) -> int:
    """A card's points at an instant in business time, as known at another.

    A sale that an offline till reports late changes what was true, never what
    was known. Raises CodeMistyped, CodeUnknown or ProgrammeUnknown.
    """
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        found = members.look(read, loaded.id, codes.read(code, loaded.programme.code_kind)).one()
        if found is None:
            raise CodeUnknown()
        return books.balance_as_of(read, loaded.id, found.points_account_id, at=at, known_at=known_at)


def verify(store: Store, *, programme: str | None = None) -> Verified:
    """Recompute every balance from the journal, check lots, receipts and the chain of blocks.

    Of one programme or of all. Reads one instant of the database and changes
    nothing. Raises ProgrammeUnknown.
    """
    postings = accounts = lots = sealed = 0
    problems: list[str] = []
    with store.read(snapshot=True) as read:
        asked = programmes.every(read) if programme is None else [programmes.by_slug(read, programme)]
        for loaded in asked:
            counted = books.counts(read, loaded.id)
            postings += counted.postings
            accounts += counted.accounts
            lots += counted.lots
            found, number = _chain_problems(read, loaded.id)
            sealed += number
            problems += [f"{loaded.slug}: {words}" for words in (*_problems(read, loaded.id), *found)]
    return Verified(postings, accounts, lots, sealed, tuple(problems))


def _problems(read: Read, programme_id: int) -> list[str]:
    return [
        *(
            f"account {row.id} shows {row.balance}, its postings add up to {row.recomputed}"
            for row in books.wrong_balances(read, programme_id)
        ),
        *(
            f"postings name account {row.account_id}, which does not exist"
            for row in books.strange_accounts(read, programme_id)
        ),
        *(
            f"lot {row.id} shows {row.remaining} of {row.original}, with {row.consumed} consumed"
            for row in books.wrong_lots(read, programme_id)
        ),
        *(
            f"account {row.id} shows {row.balance}, its lots hold {row.remaining}"
            for row in books.wrong_holdings(read, programme_id)
        ),
        *(
            f"account {row.id} shows {row.balance} held, its open holds add up to {row.held}"
            for row in books.wrong_held(read, programme_id)
        ),
        *(
            f"receipt {row.id} states {row.points} points, its postings moved {row.booked}"
            for row in books.wrong_receipts(read, programme_id)
        ),
    ]


def _chain_problems(read: Read, programme_id: int) -> tuple[list[str], int]:
    problems = []
    previous, number = books.GENESIS, 0
    for head, rows in books.blocks(read, programme_id):
        number += 1
        if head.number != number:
            problems.append(f"block {number} is missing")
            number = head.number
        if head.previous_hash != previous:
            problems.append(f"block {head.number} does not follow the one before it")
        if len(rows) != head.postings or books.hash_block(head.previous_hash, rows) != head.hash:
            problems.append(f"block {head.number} was changed after it was sealed")
        previous = head.hash
    return problems, number
