"""Under the hood: one card's life over both wallets, and how the installation fares.

Everything is read, nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from passes.loyalty import codes
from passes.loyalty.refusals import CodeUnknown
from passes.store import Row, Store, alarms, cards, programmes
from passes.store import hood as rows
from passes.store.alarms import Alarm
from passes.store.hood import Block, BusyCard, Install, Waiting
from passes.store.instants import instant

_EVENTS_MAX = 60
_CARDS_MAX = 6
_BLOCKS_MAX = 5
# The worker seals every five seconds: what waits for longer than this waits in vain.
_LATE = timedelta(seconds=60)


class What(StrEnum):
    """One thing that can happen to a card."""

    JOINED = "joined"
    BOOKED = "booked"
    ADDED = "added"
    REMOVED = "removed"
    REFUSED = "refused"
    AT_GOOGLE = "at_google"
    ERASED_AT_GOOGLE = "erased_at_google"
    RANG = "rang"
    LETTER_WANTED = "letter_wanted"
    LETTER_SENT = "letter_sent"
    LETTER_GIVEN_UP = "letter_given_up"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the card.

    `about` says more, by `what`: the source of joining, the wallet, the kind
    of letter, what a notification was about. `receipt` belongs to BOOKED.
    """

    at: datetime
    what: What
    about: str = ""
    receipt: Booked | None = None


@dataclass(frozen=True, slots=True)
class Booked:
    """A receipt of the card's member: `change` is signed and led to `balance_after`."""

    id: int
    kind: str
    points: int
    change: int
    balance_after: int
    amount_minor: int | None
    reward_key: str | None
    location: str | None
    person: str | None
    undone: bool


@dataclass(frozen=True, slots=True)
class Story:
    """A card's life, the newest event first. `before` is the balance before the oldest receipt shown."""

    programme: str
    card_id: int
    zone: str
    currency: str
    code: str
    name: str
    balance: int
    unit: str
    revision: int
    web_at: datetime | None
    installs: tuple[Install, ...]
    events: tuple[Event, ...]
    before: int

    @property
    def receipts(self) -> tuple[Booked, ...]:
        """What moved the balance, the oldest first."""
        booked = [event.receipt for event in self.events if event.receipt is not None]
        return tuple(reversed([one for one in booked if one.change]))


@dataclass(frozen=True, slots=True)
class Fares:
    """How the installation fares: what waits for the worker, what is wrong, what was sealed."""

    owed: dict[str, Waiting]
    unsealed: Waiting
    letters: Waiting
    alarms: tuple[Alarm, ...]
    blocks: tuple[Block, ...]
    now: datetime

    @property
    def worker_is_late(self) -> bool:
        """Whether something waits for so long that no worker can be running.

        Sealing alone tells: what is owed to phones has the pace of their
        wallets, and letters that of the mail server.
        """
        since = self.unsealed.since
        return since is not None and since < self.now - _LATE


def busy_cards(store: Store, *, programme: str) -> list[BusyCard]:
    """The cards that something was booked for last. Raises ProgrammeUnknown."""
    with store.read() as read:
        return rows.busy_cards(read, programmes.by_slug(read, programme).id, limit=_CARDS_MAX)


def story(store: Store, *, programme: str, code: str, language: str) -> Story:
    """The life of the card with this code.

    Raises CodeMistyped, CodeUnknown or ProgrammeUnknown.
    """
    with store.read(snapshot=True) as read:
        loaded = programmes.by_slug(read, programme)
        rules = loaded.programme
        wanted = codes.read(code, rules.code_kind)
        card_id = rows.card_of(read, loaded.id, wanted)
        facts = None if card_id is None else cards.facts(read, loaded.id, card_id)
        if facts is None:
            raise CodeUnknown
        past = rows.past(read, loaded.id, card_id=facts.card_id, member_id=facts.member_id, limit=_EVENTS_MAX)
        held = rows.installs(read, loaded.id, facts.card_id)
    booked = [_booked(row) for row in past.receipts]
    return Story(
        programme=loaded.slug,
        card_id=facts.card_id,
        zone=rules.zone,
        currency=rules.currency,
        code=facts.code,
        name=facts.name,
        balance=facts.balance,
        unit=rules.unit.name(facts.balance, language),
        revision=facts.effective_revision,
        web_at=past.web_at,
        installs=tuple(held),
        events=_in_order(past, booked),
        before=booked[-1].balance_after - booked[-1].change if booked else 0,
    )


def fares(store: Store, *, programme: str, now: datetime) -> Fares:
    """How the installation fares, with the books of one programme. Raises ProgrammeUnknown."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        return Fares(
            owed=rows.owed_now(read, now=now),
            unsealed=rows.unsealed(read, loaded.id),
            letters=rows.letters_now(read, now=now),
            alarms=tuple(alarms.open_alarms(read)),
            blocks=tuple(rows.newest_blocks(read, loaded.id, limit=_BLOCKS_MAX)),
            now=now,
        )


def _booked(row: Row) -> Booked:
    return Booked(
        id=row.id,
        kind=row.kind,
        points=row.points,
        change=row.balance_change,
        balance_after=row.balance_after,
        amount_minor=row.amount_minor,
        reward_key=row.reward_key,
        location=row.location,
        person=row.person,
        undone=row.undone_by is not None,
    )


def _in_order(past: rows.Past, booked: list[Booked]) -> tuple[Event, ...]:
    """All kinds of events together, the newest first."""
    events = [
        Event(instant(row.occurred_at), What.BOOKED, receipt=one)
        for row, one in zip(past.receipts, booked, strict=True)
    ]
    events += [Event(instant(row.at), What(row.event), row.wallet) for row in past.wallet_events]
    events += [Event(instant(row.at), What.RANG, row.about) for row in past.alerts]
    for letter in past.letters:
        events.append(Event(instant(letter.wanted_at), What.LETTER_WANTED, letter.kind))
        if letter.sent_at is not None:
            events.append(Event(instant(letter.sent_at), What.LETTER_SENT, letter.kind))
        elif letter.due_at is None and letter.trouble:
            events.append(Event(instant(letter.wanted_at), What.LETTER_GIVEN_UP, letter.trouble))
    if past.joined is not None:
        events.append(Event(instant(past.joined.joined_at), What.JOINED, past.joined.source or ""))
    if past.at_google is not None:
        events.append(Event(instant(past.at_google.inserted_at), What.AT_GOOGLE))
        if past.at_google.erased_at is not None:
            events.append(Event(instant(past.at_google.erased_at), What.ERASED_AT_GOOGLE))
    # Sorted stably from the oldest kind to the newest, so that what shares an instant keeps its sense.
    return tuple(sorted(events, key=lambda event: (event.at, _RANK[event.what]), reverse=True))


_RANK = {what: place for place, what in enumerate((What.JOINED, What.BOOKED))} | {
    what: 2 for what in What if what not in (What.JOINED, What.BOOKED)
}
