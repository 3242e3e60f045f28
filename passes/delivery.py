"""Find what is owed, announce it, record it.

Nothing is sent and nothing queued: a card or a programme changes, the worker
gives the change a number that phones can see (`stamp_due`), tells the wallets
which installs lag behind (`announce_due`) and writes down what became of it.
What is owed is state; a crash at any point, or a second worker, repeats an
announcement at worst. Telling a phone twice is harmless, never telling it is not.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event

from passes.loyalty.refusals import Busy, StorageFull
from passes.store import Store, Work, alarms, installs
from passes.store.installs import REFUSED, START, Claim, DeadToken, Place, Stamp
from passes.store.instants import micros
from passes.wallet import Accepted, Gone, Install, Later, Outcome, Parked, Rejected, Wallet

log = logging.getLogger(__name__)

APPLE, GOOGLE = installs.APPLE, installs.GOOGLE
"""The keys of the wallets in the mapping that `announce_due` takes."""

PACE_BURST = 5
PACE_REFILL = timedelta(minutes=1)
_REFILL_MICROS = PACE_REFILL // timedelta(microseconds=1)

LEASE_SECONDS = 60
GOOGLE_ROUND_SECONDS = 10
"""What is claimed at once for Google is what its rate drains in so long."""
BATCH = 500
# SQLite has one writer, and a checkout that waits for it should not notice:
# pieces of this size take it for some milliseconds.
SQLITE_BATCH = 150
SWEEP_SLICE = 20_000

POLL_SECONDS = 0.05
SWEEP_SECONDS = 60
TROUBLE_SECONDS = 60

BAD_TOKENS_MIN = 10
BAD_TOKENS_SHARE = 0.2
"""More bad tokens than this in one batch mean a wrong host or certificate, not dead phones."""

_REJECTED_FIRST, _REJECTED_MAX = timedelta(hours=1), timedelta(days=1)
_REVIVED_FIRST, _REVIVED_MAX = timedelta(minutes=1), timedelta(hours=6)

ALARM_PARKED = "push_account_refused"
ALARM_TOKENS = "push_tokens_refused"
ALARM_REJECTED = "push_request_refused"


@dataclass(frozen=True, slots=True)
class Manner:
    """How a wallet takes announcements.

    A lease is longer than any round takes. `settles` accepted ones are written
    down together. Of a slow wallet's claims one in `latest_part` are what
    changed last, and those go first; 0 where a round is over in no time. The
    others are its alarms' names and words; `%s` is what the wallet said.
    """

    lease_seconds: int
    settles: int
    latest_part: int
    parked: str
    parked_words: str
    rejected: str
    rejected_words: str


MANNERS: Mapping[str, Manner] = {
    APPLE: Manner(
        lease_seconds=LEASE_SECONDS,
        settles=BATCH,
        latest_part=0,
        parked=ALARM_PARKED,
        parked_words="The push service refuses this account; nothing is announced. It says: %s",
        rejected=ALARM_REJECTED,
        rejected_words="The push service rejects our requests: %s",
    ),
    GOOGLE: Manner(
        # A round may wait for the last of eight slow answers.
        lease_seconds=180,
        # Whoever watches an offer go out sees it move.
        settles=20,
        latest_part=3,
        parked="google_account_refused",
        parked_words="Cards at Google are not updated. %s",
        rejected="google_request_refused",
        rejected_words="Google rejects what we say about a card: %s",
    ),
}


# Pace -----------------------------------------------------------------------------


def pace(full_at: int, now: int) -> tuple[int, int]:
    """When a card's change may be announced, and when its bucket is full again after that.

    Microseconds in and out. A bucket holds five pushes and refills one a
    minute. When it is empty, one push is promised for the moment of the next
    refill, and whatever changes until then rides along.
    """
    promised_at = full_at - PACE_BURST * _REFILL_MICROS
    if promised_at > now:
        return promised_at, full_at
    counted_from = max(full_at, now)
    due_at = max(now, counted_from - (PACE_BURST - 1) * _REFILL_MICROS)
    return due_at, counted_from + _REFILL_MICROS


# Stamping -------------------------------------------------------------------------


def stamp_due(store: Store, *, now: datetime, limit: int = BATCH) -> int:
    """Number changed cards and programmes and owe the changes to their phones.

    At most `limit` cards of each pass type, and `limit` cards of one programme
    whose change is being spread, each in a short transaction. Returns how many
    cards and programmes were handled; 0 when nothing waits.
    """
    with store.read() as read:
        waiting = installs.pass_types_to_stamp(read)
        spreading = installs.is_spreading(read)
    handled = 0
    for pass_type_id in waiting:

        def decide(work: Work, pass_type_id: int = pass_type_id) -> tuple[int, int]:
            return _stamp(work, pass_type_id, now=now, limit=limit)

        cards, programmes = store.write(decide)
        handled += cards + programmes
        spreading = spreading or programmes > 0
    if spreading:
        promised_micros = PACE_BURST * _REFILL_MICROS
        handled += store.write(
            lambda work: installs.spread(work, now=now, limit=limit, promised_micros=promised_micros)
        )
    return handled


def _stamp(work: Work, pass_type_id: int, *, now: datetime, limit: int) -> tuple[int, int]:
    # The counter first: its lock is what puts the numbers in their order.
    tag = installs.next_tag(work, pass_type_id)
    changed = installs.changed_cards(work, pass_type_id, limit=limit)
    stamps = []
    for card in changed:
        due_at, full_at = pace(card.pace_full_at, micros(now)) if card.held else (0, card.pace_full_at)
        stamps.append(Stamp(card.programme_id, card.card_id, card.revision, due_at, full_at))
    installs.stamp(work, pass_type_id, tag, stamps, now=now)
    return len(changed), installs.stamp_programmes(work, pass_type_id, tag)


# Announcing -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one round: pushes by outcome, and devices forgotten.

    `stopped` when the account or most tokens were refused: wait before the next round.
    """

    claimed: int = 0
    accepted: int = 0
    later: int = 0
    gone: int = 0
    rejected: int = 0
    devices_removed: int = 0
    stopped: bool = False


@dataclass(slots=True)
class _Round:
    """One batch on its way: pushes by key, and outcomes not yet written down."""

    wallet: str
    pushes: Sequence[Sequence[Claim]]
    answered: set[int] = field(default_factory=set)
    accepted: list[Claim] = field(default_factory=list)
    postponed: list[tuple[Claim, datetime]] = field(default_factory=list)
    gone: list[tuple[Sequence[Claim], Gone]] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    refused: list[Claim] = field(default_factory=list)
    parked: str | None = None
    outcomes: Counter[type[Outcome]] = field(default_factory=Counter)


def announce_due(
    store: Store,
    wallets: Mapping[str, Wallet],
    *,
    wallet: str = APPLE,
    now: datetime,
    limit: int = BATCH,
) -> Told:
    """Announce what is owed to up to `limit` installs of a wallet, and write down what became of it.

    One push for each phone, however many of its cards changed. No transaction
    is open while the wallet's service is spoken to; a worker that dies leaves
    leases that run out.
    """
    manner = MANNERS[wallet]
    lease_until = now + timedelta(seconds=manner.lease_seconds)
    latest = limit // manner.latest_part if manner.latest_part else 0
    claims = store.write(
        lambda work: installs.claim(
            work, wallet=wallet, now=now, lease_until=lease_until, limit=limit - latest, latest=latest
        )
    )
    if not claims:
        return Told()
    if manner.latest_part:
        # A round takes seconds: whoever stands at a till looks at the phone now.
        claims.sort(key=lambda claim: claim.due_at, reverse=True)
    pushes = _by_phone(claims)
    batch = [
        Install(key, claims_of_phone[0].pass_type, claims_of_phone[0].push_token)
        for key, claims_of_phone in enumerate(pushes)
    ]
    running = _Round(wallet, pushes)
    try:
        for install, outcome in wallets[wallet].announce(batch):
            _note(running, install.key, outcome, now)
            if len(running.accepted) >= manner.settles:
                _write_accepted(store, running, now=now)
    finally:
        # What was answered is written down even when the wallet fails half-way.
        removed, suspicious = _settle(store, running, now=now)
    return Told(
        claimed=len(claims),
        accepted=running.outcomes[Accepted],
        later=running.outcomes[Later],
        gone=running.outcomes[Gone],
        rejected=running.outcomes[Rejected],
        devices_removed=removed,
        stopped=running.parked is not None or suspicious,
    )


def _by_phone(claims: Iterable[Claim]) -> list[list[Claim]]:
    """Claims of the same push token together: several device ids may be one phone."""
    phones: dict[tuple[int, str], list[Claim]] = {}
    for claim in claims:
        phones.setdefault((claim.pass_type_id, claim.push_token), []).append(claim)
    return list(phones.values())


def _note(running: _Round, key: int, outcome: Outcome, now: datetime) -> None:
    claims = running.pushes[key]
    running.answered.add(key)
    running.outcomes[type(outcome)] += 1
    match outcome:
        case Accepted():
            running.accepted += claims
        case Later(at=at):
            running.postponed += ((claim, max(at, now)) for claim in claims)
        case Gone():
            running.gone.append((claims, outcome))
        case Rejected(reason=reason):
            running.rejected.append(reason)
            # Said once in the card's timeline, however often it is tried again.
            running.refused += (claim for claim in claims if claim.attempts == 0)
            running.postponed += (
                (claim, now + _backoff(_REJECTED_FIRST, _REJECTED_MAX, claim.attempts)) for claim in claims
            )
        case Parked(reason=reason):
            running.parked = reason
            running.answered.discard(key)


def _write_accepted(store: Store, running: _Round, *, now: datetime) -> None:
    accepted, running.accepted = running.accepted, []

    def decide(work: Work) -> None:
        installs.settle_accepted(work, accepted)
        known = MANNERS[running.wallet]
        alarms.clear(work, known.parked, now=now)
        if any(claim.attempts for claim in accepted):
            # What was rejected is among what is tried again; if it still is, it sounds once more.
            alarms.clear(work, known.rejected, now=now)
        if running.wallet == APPLE:
            alarms.clear(work, ALARM_TOKENS, now=now)

    if accepted:
        store.write(decide)


def _settle(store: Store, running: _Round, *, now: datetime) -> tuple[int, bool]:
    """Write the rest down. Returns the devices removed, and whether too many tokens were called bad."""
    _write_accepted(store, running, now=now)
    unanswered = [
        claim for key, claims in enumerate(running.pushes) if key not in running.answered for claim in claims
    ]
    bad = sum(1 for _, gone in running.gone if gone.since is None)
    # Decided over the whole batch: the first bad tokens look like any others.
    suspicious = bad >= BAD_TOKENS_MIN and bad > BAD_TOKENS_SHARE * len(running.pushes)

    def decide(work: Work) -> int:
        installs.release(work, unanswered)
        postponed, dead = list(running.postponed), []
        for claims, gone in running.gone:
            if gone.since is None and suspicious:
                postponed += ((claim, now + timedelta(seconds=TROUBLE_SECONDS)) for claim in claims)
                continue
            dead.append(DeadToken(claims[0].pass_type_id, claims[0].push_token, gone.since or now))
            # Only rows of phones that registered again since are still there.
            postponed += (
                (claim, now + _backoff(_REVIVED_FIRST, _REVIVED_MAX, claim.attempts)) for claim in claims
            )
        removed = installs.remove_devices(work, dead, now=now)
        installs.postpone(work, postponed)
        installs.cards_happened(work, running.refused, wallet=running.wallet, event=REFUSED, now=now)
        _sound(work, running, bad if suspicious else 0, now=now)
        return removed

    removed = 0
    if unanswered or running.postponed or running.gone or running.parked:
        removed = store.write(decide)
    return removed, suspicious


def _sound(work: Work, running: _Round, bad_tokens: int, *, now: datetime) -> None:
    known = MANNERS[running.wallet]
    if running.parked is not None:
        alarms.sound(work, known.parked, known.parked_words % running.parked, now=now)
    if bad_tokens:
        words = (
            f"The push service calls {bad_tokens} of {len(running.pushes)} tokens bad. No phone was "
            "forgotten: check that host and certificate belong to this pass type."
        )
        alarms.sound(work, ALARM_TOKENS, words, now=now)
    if running.rejected:
        words = known.rejected_words % running.rejected[-1]
        alarms.sound(work, known.rejected, words, now=now, times=len(running.rejected))


def _backoff(first: timedelta, longest: timedelta, attempts: int) -> timedelta:
    return min(first * (1 << min(attempts, 16)), longest)


# Sweeping -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Swept:
    """How many forgotten installs are owed again, and where to go on (None: all were looked at)."""

    owed: int
    after: Place | None


def sweep(store: Store, *, now: datetime, after: Place = START, limit: int = SWEEP_SLICE) -> Swept:
    """Owe again whatever lags behind and is owed nothing, among the next `limit` installs.

    `owed` is derived from revisions: after losing all of it, sweeping brings it back.
    """
    with store.read() as read:
        found, place = installs.forgotten(read, after=after, limit=limit)
    for start in range(0, len(found), BATCH):
        piece = found[start : start + BATCH]
        store.write(lambda work, piece=piece: installs.owe(work, piece, now=now))  # type: ignore[misc]
    return Swept(len(found), place)


# The worker -----------------------------------------------------------------------


def run(store: Store, wallets: Mapping[str, Wallet], *, clock: Callable[[], datetime], stop: Event) -> None:
    """Stamp, announce to Apple and sweep until `stop` is set.

    Any number of workers may run at once on PostgreSQL.
    """
    place = START
    batch = BATCH if store.postgresql else SQLITE_BATCH
    sweep_at = announce_at = clock()
    patience = _Patience("the database takes nothing just now; trying again until it does")
    while not stop.is_set():
        now = clock()
        busy = False
        with patience:
            with store.read() as read:
                waiting = installs.is_anything_waiting(read, wallet=APPLE, now=now)
            if waiting:
                # On a Saturday something always changes: what comes in a moment shares a round, or
                # rounds of three cards would take the processor and the database from the tills.
                busy = stamp_due(store, now=now, limit=batch) >= batch
                if now >= announce_at:
                    told = announce_due(store, wallets, now=now, limit=batch)
                    busy = busy or told.claimed >= batch
                    if told.stopped:
                        announce_at = now + timedelta(seconds=TROUBLE_SECONDS)
            if now >= sweep_at:
                place = sweep(store, now=now, after=place).after or START
                sweep_at = now + timedelta(seconds=SWEEP_SECONDS)
        if not busy:
            stop.wait(POLL_SECONDS)


def run_google(
    store: Store,
    wallets: Mapping[str, Wallet],
    *,
    rate_per_second: float,
    clock: Callable[[], datetime],
    stop: Event,
) -> None:
    """Announce to Google until `stop` is set, beside `run`: its pace is that of requests, not of pushes."""
    announce_at = clock()
    limit = max(1, int(rate_per_second * GOOGLE_ROUND_SECONDS))
    patience = _Patience("announcing to Google waits for the database")
    while not stop.is_set():
        now = clock()
        busy = False
        with patience:
            with store.read() as read:
                waiting = now >= announce_at and installs.is_due(read, wallet=GOOGLE, now=now)
            if waiting:
                told = announce_due(store, wallets, wallet=GOOGLE, now=now, limit=limit)
                busy = told.claimed > 0
                if told.stopped:
                    announce_at = now + timedelta(seconds=TROUBLE_SECONDS)
        if not busy:
            stop.wait(POLL_SECONDS)


class _Patience:
    """Swallows that the database takes nothing, and says so once: an absence of hours would fill the log."""

    def __init__(self, words: str) -> None:
        self._words, self._trouble = words, False

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        troubled = kind is not None and issubclass(kind, (Busy, StorageFull))
        if troubled and not self._trouble:
            log.warning(self._words)
        self._trouble = troubled
        return troubled
