"""Letters to members: wanted, on their way, sent or given up.

A letter is a row from the moment it is wanted, in the transaction that gave
the reason for it. Of the three ends, `sent_at` tells one; of the others,
`trouble` says why a letter was given up, and stays empty where none was needed.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from passes.store.due import Many
from passes.store.ids import block_of_ids, new_id
from passes.store.instants import instant, instant_or_none, micros
from passes.store.members import email_key
from passes.store.staff import count_try, tries
from passes.store.work import Read, Work

CARD_LINK = "card_link"
"""The way to the member's newest card; `about` begins with one of the four reasons below."""
JOINED, JOINED_AGAIN, ASKED, OWN = "joined", "again", "asked", "own"
EXPIRY = "expiry"
"""Points lapse; `detail` names the day (yyyymmdd)."""
ONE_TIME_CODE = "one_time_code"
"""Six digits that hold for minutes; `detail` names the code and the key they derive from, never them."""

# What one person waits for goes before what many get on the same day.
_AHEAD = timedelta(days=1)
_TROUBLE_LETTERS_MAX = 300
_DAY_MICROS = timedelta(days=1) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A letter for one of many members."""

    member_id: int
    about: str
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Claim:
    """A letter that this worker sends now. `attempts` were made before; `trouble` is what kept it waiting."""

    programme_id: int
    id: int
    member_id: int
    kind: str
    about: str
    detail: Mapping[str, object]
    wanted_at: datetime
    attempts: int
    lease_until: int
    trouble: str | None


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a letter goes to, as they stand now. `balance` is what can be spent."""

    email: str
    language: str
    balance: int


@dataclass(frozen=True, slots=True)
class Link:
    """A card link that still holds: what its secret derives from, and the hash that proves it."""

    card_id: int
    key_id: str
    number: int
    secret_hash: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many letters wait, since when the oldest is overdue, and what the last attempt at one met."""

    letters: int
    oldest_at: datetime | None
    trouble: str | None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A letter that will not arrive, and why."""

    programme: str
    member_id: int
    kind: str
    about: str
    wanted_at: datetime
    trouble: str


# Wanting --------------------------------------------------------------------------

_COLUMNS = (
    "programme_id, id, member_id, kind, about, detail, "
    "wanted_at, due_at, lease_until, attempts, sent_at, trouble"
)
_WANT = text(
    f"""
    INSERT INTO mail ({_COLUMNS})
    VALUES (:programme_id, :id, :member_id, :kind, :about, :detail, :at, :due, 0, 0, NULL, NULL)
    ON CONFLICT DO NOTHING
"""
)
# Members without an address are left out here, so that they have no rows that nobody could send.
_WANT_MANY = Many(
    {
        "programme_id": "bigint",
        "id": "bigint",
        "member_id": "bigint",
        "kind": "text",
        "about": "text",
        "detail": "text",
        "at": "bigint",
        "due": "bigint",
    },
    on_postgresql=f"INSERT INTO mail ({_COLUMNS})"
    " SELECT u.programme_id, u.id, u.member_id, u.kind, u.about, u.detail, u.at, u.due, 0, 0, NULL, NULL"
    " FROM {source} JOIN person ON person.programme_id = u.programme_id"
    " AND person.member_id = u.member_id AND person.email IS NOT NULL ON CONFLICT DO NOTHING",
    on_sqlite=f"INSERT INTO mail ({_COLUMNS})"
    " SELECT :programme_id, :id, :member_id, :kind, :about, :detail, :at, :due, 0, 0, NULL, NULL"
    " FROM person WHERE programme_id = :programme_id AND member_id = :member_id AND email IS NOT NULL"
    " ON CONFLICT DO NOTHING",
)
_of_address = """
    SELECT person.member_id FROM person
    JOIN member ON member.programme_id = person.programme_id AND member.id = person.member_id
    WHERE person.programme_id = :programme AND person.email_key = :email_key
        AND member.closed_at IS NULL AND member.merged_into IS NULL
"""
_OLDEST_OF_ADDRESS = text(f"{_of_address} ORDER BY person.member_id LIMIT 1")
_NEWEST_OF_ADDRESS = text(f"{_of_address} ORDER BY person.member_id DESC LIMIT :most")


def want(
    work: Work,
    *,
    programme_id: int,
    member_id: int,
    kind: str,
    about: str,
    detail: Mapping[str, object],
    now: datetime,
) -> None:
    """Want a letter that somebody waits for: once for each member, kind and `about`."""
    work.put(
        _WANT,
        programme_id=programme_id,
        id=new_id(now),
        member_id=member_id,
        kind=kind,
        about=about,
        detail=json.dumps(detail, separators=(",", ":")),
        at=micros(now),
        due=micros(now - _AHEAD),
    )


def want_many(
    work: Work,
    programme_id: int,
    kind: str,
    letters: Sequence[Wanted],
    *,
    not_before: datetime,
    now: datetime,
) -> None:
    """Want a letter for each of these members who has an address; those wanted before stay as they are."""
    ids = block_of_ids(now, max(len(letters), 1))
    _WANT_MANY.put(
        work,
        [
            {
                "programme_id": programme_id,
                "id": identifier,
                "member_id": one.member_id,
                "kind": kind,
                "about": one.about,
                "detail": json.dumps(one.detail, separators=(",", ":")),
                "at": micros(now),
                "due": micros(not_before),
            }
            for identifier, one in zip(ids, letters, strict=False)
        ],
    )


def of_address(read: Read, programme_id: int, email: str, *, limit: int) -> list[int]:
    """Up to `limit` members with an address: the oldest first, then the newest."""
    known = {"programme": programme_id, "email_key": email_key(email)}
    oldest = read.ask(_OLDEST_OF_ADDRESS, **known).all()
    newest = read.ask(_NEWEST_OF_ADDRESS, **known, most=limit).all()
    return list(dict.fromkeys(row.member_id for row in (*oldest, *newest)))[:limit]


# Claiming -------------------------------------------------------------------------

_IS_DUE = text("SELECT 1 FROM mail WHERE due_at <= :now AND lease_until <= :now LIMIT 1")
_DUE = """
    SELECT programme_id, id FROM mail WHERE due_at <= :now AND lease_until <= :now
    ORDER BY due_at LIMIT :most
"""
_RETURNING = (
    "RETURNING programme_id, id, member_id, kind, about, detail, wanted_at, attempts, lease_until, trouble, "
    "due_at"
)
_CLAIM_ON_SQLITE = text(
    f"UPDATE mail SET lease_until = :lease WHERE (programme_id, id) IN ({_DUE}) {_RETURNING}"
)
_CLAIM_ON_POSTGRESQL = text(
    f"""
    UPDATE mail SET lease_until = :lease
    WHERE (programme_id, id) IN ({_DUE} FOR UPDATE SKIP LOCKED) {_RETURNING}
"""
)


def is_any_due(read: Read, *, now: datetime) -> bool:
    """Whether a letter waits to be sent now."""
    return read.ask(_IS_DUE, now=micros(now)).one() is not None


def claim(work: Work, *, now: datetime, lease_until: datetime, limit: int) -> list[Claim]:
    """Lease the `limit` letters that have been due for longest; another worker leaves them alone."""
    statement = _CLAIM_ON_POSTGRESQL if work.postgresql else _CLAIM_ON_SQLITE
    rows = work.ask(statement, now=micros(now), lease=micros(lease_until), most=limit).all()
    return [
        Claim(
            row.programme_id,
            row.id,
            row.member_id,
            row.kind,
            row.about,
            json.loads(row.detail),
            instant(row.wanted_at),
            row.attempts,
            row.lease_until,
            row.trouble,
        )
        for row in sorted(rows, key=lambda row: (row.due_at, row.id))
    ]


# What a letter is made from -------------------------------------------------------

_RECIPIENT = text(
    """
    SELECT person.email, member.language, account.balance
    FROM member
    JOIN person ON person.programme_id = member.programme_id AND person.member_id = member.id
    JOIN account ON account.programme_id = member.programme_id AND account.id = member.points_account_id
    WHERE member.programme_id = :programme AND member.id = :member
        AND member.closed_at IS NULL AND member.merged_into IS NULL AND person.email IS NOT NULL
"""
)
_LINK = text(
    """
    SELECT card.id, card.key_id, card_link.number, card_link.secret_hash
    FROM card JOIN card_link ON card_link.programme_id = card.programme_id AND card_link.card_id = card.id
    WHERE card.programme_id = :programme AND card.member_id = :member
        AND card.voided_at IS NULL AND card_link.revoked_at IS NULL
    ORDER BY card.id DESC, card_link.number DESC LIMIT 1
"""
)


def recipient(read: Read, programme_id: int, member_id: int) -> Recipient | None:
    """The member to write to; None when they left, were erased or gave no address."""
    row = read.ask(_RECIPIENT, programme=programme_id, member=member_id).one()
    return None if row is None else Recipient(row.email, row.language, row.balance)


def newest_link(read: Read, programme_id: int, member_id: int) -> Link | None:
    """The newest link of the member's newest card that holds."""
    row = read.ask(_LINK, programme=programme_id, member=member_id).one()
    return None if row is None else Link(row.id, row.key_id, row.number, bytes(row.secret_hash))


@dataclass(frozen=True, slots=True)
class Quota:
    """What letters with a card's link to one mail box are counted under.

    By themselves, not by looking at members: one who leaves or takes another
    address afterwards would take the count along. `pool` keeps reasons apart.
    """

    name: str
    window_at: int


def quota(programme_id: int, email: str, *, pool: str, now: datetime) -> Quota:
    """The count of one mail box, reason and day (UTC). Hashed: whose box it is is nobody's business."""
    local, _, domain = unicodedata.normalize("NFKC", email).casefold().rpartition("@")
    # What stands behind a plus, and letters that only look different, lead to the same box.
    box = f"{programme_id} {local.partition('+')[0] or local}@{domain}"
    name = f"letters:{pool}:{hashlib.sha256(box.encode()).hexdigest()}"
    return Quota(name, micros(now) // _DAY_MICROS * _DAY_MICROS)


def links_sent(read: Read, wanted: Quota) -> int:
    """How many links that mail box got today, whoever typed its address."""
    return tries(read, name=wanted.name, window_at=wanted.window_at)


# Settling -------------------------------------------------------------------------

_of_letter = "programme_id = :programme AND id = :letter AND sent_at IS NULL"
# Whoever sent it writes it down, even if somebody else holds the lease by now.
_SENT = text(
    f"UPDATE mail SET sent_at = :now, due_at = NULL, lease_until = 0, trouble = NULL WHERE {_of_letter}"
)
_of_lease = f"{_of_letter} AND lease_until = :lease"
_POSTPONE = text(
    f"""
    UPDATE mail SET due_at = :at, lease_until = 0, attempts = attempts + :tried, trouble = :trouble
    WHERE {_of_lease}
"""
)
_END = text(f"UPDATE mail SET due_at = NULL, lease_until = 0, trouble = :trouble WHERE {_of_lease}")
_RELEASE = text(f"UPDATE mail SET lease_until = 0 WHERE {_of_lease}")


def settle_sent(work: Work, claim: Claim, *, now: datetime, counted: Quota | None = None) -> None:
    """The mail server took the letter; `counted` is what it is counted under."""
    work.put(_SENT, programme=claim.programme_id, letter=claim.id, now=micros(now))
    if counted is not None:
        count_try(work, name=counted.name, window_at=counted.window_at)


def postpone(work: Work, claim: Claim, *, until: datetime, tried: bool, trouble: str) -> None:
    """Send it later; `tried` unless it was not this letter's turn at all."""
    work.put(
        _POSTPONE,
        programme=claim.programme_id,
        letter=claim.id,
        lease=claim.lease_until,
        at=micros(until),
        tried=int(tried),
        trouble=trouble[:_TROUBLE_LETTERS_MAX],
    )


def give_up(work: Work, claim: Claim, *, trouble: str) -> None:
    """The letter will not arrive, and this is why."""
    _end(work, [claim], trouble[:_TROUBLE_LETTERS_MAX])


def forgo(work: Work, claims: Iterable[Claim]) -> None:
    """These letters are not needed any more."""
    _end(work, claims, None)


def _end(work: Work, claims: Iterable[Claim], trouble: str | None) -> None:
    work.put_many(
        _END,
        [
            {
                "programme": claim.programme_id,
                "letter": claim.id,
                "lease": claim.lease_until,
                "trouble": trouble,
            }
            for claim in claims
        ],
    )


def release(work: Work, claims: Iterable[Claim]) -> None:
    """Nobody tried these: whoever comes next may."""
    work.put_many(
        _RELEASE,
        [
            {"programme": claim.programme_id, "letter": claim.id, "lease": claim.lease_until}
            for claim in claims
        ],
    )


# Looking --------------------------------------------------------------------------

_WAITING = text("SELECT count(*) AS letters, min(wanted_at) AS oldest FROM mail WHERE due_at IS NOT NULL")
_NEWEST_TROUBLE = text(
    "SELECT trouble FROM mail WHERE due_at IS NOT NULL AND trouble IS NOT NULL ORDER BY due_at DESC LIMIT 1"
)
_given_up = (
    "mail.due_at IS NULL AND mail.sent_at IS NULL AND mail.trouble IS NOT NULL AND mail.wanted_at >= :since"
)
_GIVEN_UP = text(
    f"""
    SELECT programme.slug, mail.member_id, mail.kind, mail.about, mail.wanted_at, mail.trouble
    FROM mail JOIN programme ON programme.id = mail.programme_id
    WHERE {_given_up}
    ORDER BY mail.wanted_at DESC LIMIT :most
"""
)
_AGAIN = text(f"UPDATE mail SET due_at = :now, wanted_at = :now, attempts = 0 WHERE {_given_up} RETURNING id")


def waiting(read: Read) -> Waiting:
    """What was not sent yet."""
    row = read.ask(_WAITING).one()
    assert row is not None
    return Waiting(row.letters, instant_or_none(row.oldest), read.ask(_NEWEST_TROUBLE).value())


def given_up(read: Read, *, since: datetime, limit: int) -> list[GivenUp]:
    """Letters wanted since then that will not arrive, newest first."""
    return [
        GivenUp(row.slug, row.member_id, row.kind, row.about, instant(row.wanted_at), row.trouble)
        for row in read.ask(_GIVEN_UP, since=micros(since), most=limit).all()
    ]


def try_again(work: Work, *, since: datetime, now: datetime) -> int:
    """Send what was given up since then after all. Returns how many letters."""
    return len(work.ask(_AGAIN, since=micros(since), now=micros(now)).all())
