"""What happened here: which steps a visitor has taken, and one card's life over both wallets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from passes.store.ids import first_id
from passes.store.instants import instant, instant_or_none, micros
from passes.store.work import Read, Row

# The past of the demonstration is remembered as a request (passes/demo); a shop without one began
# when it was loaded.
_MADE = text("""
    SELECT COALESCE(
        (SELECT MAX(r.at) FROM programme p
            JOIN request r ON r.programme_id = p.id AND r.key = 'demonstration-past'),
        (SELECT MIN(created_at) FROM programme)
    ) AS made_at
""")
# Ids rise with time, so each of these looks at the newest rows only.
_STEPS = text("""
    SELECT
        EXISTS (SELECT 1 FROM programme p JOIN member m ON m.programme_id = p.id AND m.id > :first
            WHERE m.joined_at > :since) AS joined,
        EXISTS (SELECT 1 FROM programme p JOIN wallet_event e ON e.programme_id = p.id AND e.id > :first
            WHERE e.at > :since AND e.event = 'added') AS added,
        EXISTS (SELECT 1 FROM programme p JOIN purchase b ON b.programme_id = p.id AND b.id > :first
            WHERE b.recorded_at > :since AND b.person IS NOT NULL AND (
                EXISTS (SELECT 1 FROM member m
                    WHERE m.programme_id = p.id AND m.id = b.member_id AND m.joined_at > :since)
                OR EXISTS (SELECT 1 FROM wallet_event e
                    WHERE e.programme_id = p.id AND e.card_id = b.card_id AND e.at > :since
                        AND e.event = 'added')
            )) AS bought,
        EXISTS (SELECT 1 FROM programme p JOIN receipt t ON t.programme_id = p.id AND t.id > :first
            WHERE t.recorded_at > :since AND t.person IS NOT NULL
                AND t.kind IN ('redeem', 'undo')) AS redeemed,
        EXISTS (SELECT 1 FROM offer WHERE published_at > :since) AS published
""")


@dataclass(frozen=True, slots=True)
class Steps:
    """Which of the five things a visitor may try were done since an instant."""

    joined: bool
    added: bool
    bought: bool
    redeemed: bool
    published: bool


def made_at(read: Read) -> datetime | None:
    """When the demonstration was made, or else the first programme; None on an empty service."""
    return instant_or_none(read.ask(_MADE).value())


def steps(read: Read, *, since: datetime) -> Steps:
    """What was done after that instant, whoever did it.

    A purchase counts for a card that is new or newly on a phone, and as booked by a person.
    """
    row = read.ask(_STEPS, since=micros(since), first=first_id(since)).one()
    assert row is not None
    return Steps(*(bool(value) for value in row))


# One card --------------------------------------------------------------------

_BUSY_CARDS = text("""
    SELECT c.card_id, k.code, COALESCE(p.name, '') AS name
    FROM (
        SELECT newest.card_id, MAX(newest.id) AS last_id
        FROM (SELECT card_id, id FROM receipt WHERE programme_id = :programme_id
              ORDER BY id DESC LIMIT :looked_at) newest
        GROUP BY newest.card_id
    ) c
    JOIN card held ON held.programme_id = :programme_id AND held.id = c.card_id
    JOIN card_code k ON k.programme_id = :programme_id AND k.card_id = c.card_id
    LEFT JOIN person p ON p.programme_id = :programme_id AND p.member_id = held.member_id
    WHERE k.added_at = (SELECT MAX(other.added_at) FROM card_code other
        WHERE other.programme_id = :programme_id AND other.card_id = c.card_id)
    ORDER BY c.last_id DESC
    LIMIT :limit
""")
_CARD_OF = text("SELECT card_id FROM card_code WHERE programme_id = :programme_id AND code = :code")
_INSTALLS = text("""
    SELECT r.wallet, r.device_id, r.announced_revision, r.registered_at,
        o.revision AS owed_revision, o.due_at, o.attempts
    FROM card c
    JOIN registration r ON r.pass_type_id = c.pass_type_id AND r.card_id = c.id
    LEFT JOIN owed o ON o.pass_type_id = r.pass_type_id AND o.device_id = r.device_id
        AND o.card_id = r.card_id
    WHERE c.programme_id = :programme_id AND c.id = :card_id
    ORDER BY r.registered_at
""")
_RECEIPTS = text("""
    SELECT id, kind, points, balance_change, balance_after, amount_minor, reward_key, location, person,
        occurred_at, undone_by
    FROM receipt WHERE programme_id = :programme_id AND member_id = :member_id
    ORDER BY id DESC LIMIT :limit
""")
_JOINED = text("""
    SELECT m.joined_at, j.source, j.location FROM member m
    LEFT JOIN joining j ON j.programme_id = m.programme_id AND j.member_id = m.id
    WHERE m.programme_id = :programme_id AND m.id = :member_id
""")
_WALLET_EVENTS = text("""
    SELECT wallet, event, at FROM wallet_event
    WHERE programme_id = :programme_id AND card_id = :card_id ORDER BY id DESC LIMIT :limit
""")
_ALERTS = text("""
    SELECT about, at FROM google_alert
    WHERE programme_id = :programme_id AND card_id = :card_id ORDER BY id DESC LIMIT :limit
""")
_AT_GOOGLE = text("""
    SELECT inserted_at, erased_at FROM google_object WHERE programme_id = :programme_id AND card_id = :card_id
""")
_LETTERS = text("""
    SELECT kind, wanted_at, sent_at, due_at, trouble FROM mail
    WHERE programme_id = :programme_id AND member_id = :member_id ORDER BY id DESC LIMIT :limit
""")
_WEB_DAY = text("SELECT web_at FROM card WHERE programme_id = :programme_id AND id = :card_id")


@dataclass(frozen=True, slots=True)
class BusyCard:
    """A card that something was booked for lately; `name` is empty once the person was erased."""

    card_id: int
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Install:
    """One phone that holds the card: the revision it was told last, and what it still has to be told."""

    wallet: str
    device_id: int
    announced_revision: int
    registered_at: datetime
    owed_revision: int | None
    due_at: datetime | None
    attempts: int


def busy_cards(read: Read, programme_id: int, *, limit: int) -> list[BusyCard]:
    """The cards that something was booked for last, the newest first."""
    rows = read.ask(_BUSY_CARDS, programme_id=programme_id, looked_at=limit * 20, limit=limit).all()
    return [BusyCard(row.card_id, row.code, row.name) for row in rows]


def card_of(read: Read, programme_id: int, code: str) -> int | None:
    """The card with this code."""
    found: int | None = read.ask(_CARD_OF, programme_id=programme_id, code=code).value()
    return found


def installs(read: Read, programme_id: int, card_id: int) -> list[Install]:
    """Every phone that holds the card, the first one first."""
    return [
        Install(
            row.wallet,
            row.device_id,
            row.announced_revision,
            instant(row.registered_at),
            row.owed_revision,
            instant_or_none(row.due_at),
            row.attempts or 0,
        )
        for row in read.ask(_INSTALLS, programme_id=programme_id, card_id=card_id).all()
    ]


@dataclass(frozen=True, slots=True)
class Past:
    """The rows that tell a card's life, each kind the newest first."""

    joined: Row | None
    receipts: list[Row]
    wallet_events: list[Row]
    alerts: list[Row]
    at_google: Row | None
    letters: list[Row]
    web_at: datetime | None


def past(read: Read, programme_id: int, *, card_id: int, member_id: int, limit: int) -> Past:
    """What happened to a card and its member; at most `limit` of each kind."""
    card = {"programme_id": programme_id, "card_id": card_id}
    member = {"programme_id": programme_id, "member_id": member_id}
    return Past(
        joined=read.ask(_JOINED, **member).one(),
        receipts=read.ask(_RECEIPTS, **member, limit=limit).all(),
        wallet_events=read.ask(_WALLET_EVENTS, **card, limit=limit).all(),
        alerts=read.ask(_ALERTS, **card, limit=limit).all(),
        at_google=read.ask(_AT_GOOGLE, **card).one(),
        letters=read.ask(_LETTERS, **member, limit=limit).all(),
        web_at=instant_or_none(read.ask(_WEB_DAY, **card).value()),
    )


# The installation ---------------------------------------------------------------

_WAITING = text("""
    SELECT wallet, COUNT(*) AS count, MIN(due_at) AS since FROM owed WHERE due_at <= :now GROUP BY wallet
""")
_UNSEALED = text("""
    SELECT COUNT(*) AS count, MIN(recorded_at) AS since FROM posting
    WHERE programme_id = :programme_id AND block IS NULL
""")
_BLOCKS = text("""
    SELECT number, postings, hash, sealed_at FROM block WHERE programme_id = :programme_id
    ORDER BY number DESC LIMIT :limit
""")
_LETTERS_WAITING = text("SELECT COUNT(*) AS count, MIN(due_at) AS since FROM mail WHERE due_at <= :now")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits for the worker, and since when the oldest of it does."""

    count: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed block of the journal."""

    number: int
    postings: int
    hash: str
    sealed_at: datetime


def owed_now(read: Read, *, now: datetime) -> dict[str, Waiting]:
    """What is due to be told to phones, by wallet; wallets to which nothing is due are absent."""
    return {row.wallet: _waiting(row) for row in read.ask(_WAITING, now=micros(now)).all()}


def unsealed(read: Read, programme_id: int) -> Waiting:
    """Postings that are in no block yet."""
    return _waiting(read.ask(_UNSEALED, programme_id=programme_id).one())


def letters_now(read: Read, *, now: datetime) -> Waiting:
    """Letters that are due."""
    return _waiting(read.ask(_LETTERS_WAITING, now=micros(now)).one())


def newest_blocks(read: Read, programme_id: int, *, limit: int) -> list[Block]:
    """The blocks sealed last, the newest first."""
    rows = read.ask(_BLOCKS, programme_id=programme_id, limit=limit).all()
    return [Block(row.number, row.postings, row.hash, instant(row.sealed_at)) for row in rows]


def _waiting(row: Row | None) -> Waiting:
    return Waiting(row.count, instant_or_none(row.since)) if row is not None else Waiting(0, None)
