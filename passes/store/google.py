"""Google: what it holds of ours, what it has told us, and the rate that all processes share.

A card has one object there, whether or not anybody holds it. `told` are
digests of the members of the document that Google was last given; a member
that is on its way is not among them, so that after a crash it is sent again.
Whoever sends leaves a mark, and writes down what was accepted only while the
mark is still its own: of two that spoke at once, none knows who was heard last.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from passes.store import installs
from passes.store.cards import Held
from passes.store.ids import new_id
from passes.store.installs import GOOGLE
from passes.store.instants import instant, instant_or_none, micros
from passes.store.work import Read, Row, Work

ALERTS_MAX = 3
ALERTS_WITHIN = timedelta(hours=24)
"""Google's limit for one card, messages and changes counted together to be safe."""

BALANCE = "balance"
"""What a notification of a change is about, in `google_alert`."""

_MARK, _RINGING = "", "!"  # among the digests, where no member has such a name
_ABOUT_MAX = 64
_NONCES_AT_ONCE = 500


# Classes ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClassState:
    """What is known of a programme's class: waiting, published or refused, and Google's words."""

    class_id: str
    digest: str | None
    state: str
    words: str
    tried_at: datetime | None


WAITING, PUBLISHED, REFUSED = "waiting", "published", "refused"

_CLASS = text(
    "SELECT class_id, digest, state, words, tried_at FROM google_class WHERE programme_id = :programme_id"
)
_KEEP_CLASS = text("""
    INSERT INTO google_class (programme_id, class_id, digest, state, words, tried_at)
    VALUES (:programme_id, :class_id, :digest, :state, :words, :now)
    ON CONFLICT (programme_id) DO UPDATE SET class_id = excluded.class_id, digest = excluded.digest,
        state = excluded.state, words = excluded.words, tried_at = excluded.tried_at
""")


_ANY_REFUSED = text("SELECT 1 FROM google_class WHERE state = 'refused' LIMIT 1")


def is_any_refused(read: Read) -> bool:
    """Whether Google takes some programme's cards not."""
    return read.ask(_ANY_REFUSED).one() is not None


def class_of(read: Read, programme_id: int) -> ClassState | None:
    """What became of the programme's class; None when it was never tried."""
    row = read.ask(_CLASS, programme_id=programme_id).one()
    if row is None:
        return None
    return ClassState(row.class_id, row.digest, row.state, row.words, instant_or_none(row.tried_at))


def keep_class(
    work: Work, programme_id: int, *, class_id: str, digest: str | None, state: str, words: str, now: datetime
) -> None:
    """Write down what Google made of the class; `digest` is of the document that was tried."""
    work.put(
        _KEEP_CLASS,
        programme_id=programme_id,
        class_id=class_id,
        digest=digest,
        state=state,
        words=words,
        now=micros(now),
    )


# Objects ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Object:
    """A card's object. `told` as far as it is known; `ringing` when a notification was booked but not heard.

    `told_revision` is what the holder was announced, None while nobody holds it.
    """

    programme_id: int
    card_id: int
    object_id: str
    revision: int
    inserted_at: datetime
    told: Mapping[str, str]
    ringing: bool
    erased: bool
    told_revision: int | None


_OBJECT = """
    SELECT o.programme_id, o.card_id, o.object_id, o.revision, o.inserted_at, o.told, o.erased_at,
           (SELECT r.announced_revision FROM card c JOIN registration r
            ON r.pass_type_id = c.pass_type_id AND r.card_id = c.id
            WHERE c.programme_id = o.programme_id AND c.id = o.card_id AND r.wallet = 'google'
            LIMIT 1) AS told_revision
    FROM google_object o
"""
_BY_CARD = text(f"{_OBJECT} WHERE o.programme_id = :programme_id AND o.card_id = :card_id")
_BY_ID = text(f"{_OBJECT} WHERE o.object_id = :object_id")
_TOLD = "SELECT told FROM google_object WHERE programme_id = :programme_id AND card_id = :card_id"
_LOCK_ON_SQLITE, _LOCK_ON_POSTGRESQL = text(_TOLD), text(f"{_TOLD} FOR NO KEY UPDATE")
_NEW = text("""
    INSERT INTO google_object (programme_id, card_id, object_id, revision, told, inserted_at)
    VALUES (:programme_id, :card_id, :object_id, 0, '{}', :now)
    ON CONFLICT (programme_id, card_id) DO UPDATE SET
        object_id = excluded.object_id, revision = 0, told = '{}', inserted_at = excluded.inserted_at,
        check_due_at = NULL, erased_at = NULL
    WHERE google_object.object_id <> excluded.object_id
""")
_KEEP_TOLD = text(
    "UPDATE google_object SET told = :told WHERE programme_id = :programme_id AND card_id = :card_id"
)
_ERASE_AGAIN = text("""
    UPDATE google_object SET erased_at = NULL WHERE programme_id = :programme_id AND card_id = :card_id
""")
_INSERTED = text("""
    UPDATE google_object SET revision = :revision, inserted_at = :now, erased_at = NULL,
        check_due_at = coalesce(check_due_at, :check_at)
    WHERE programme_id = :programme_id AND card_id = :card_id
""")


def object_of(read: Read, programme_id: int, card_id: int) -> Object | None:
    """The object of a card, None before anybody wanted one."""
    return _object(read.ask(_BY_CARD, programme_id=programme_id, card_id=card_id).one())


def by_object_id(read: Read, object_id: str) -> Object | None:
    """As `object_of`, by the id that Google knows."""
    return _object(read.ask(_BY_ID, object_id=object_id).one())


def add_object(work: Work, programme_id: int, card_id: int, *, object_id: str, now: datetime) -> None:
    """Keep a row for the card's object, if there is none yet; one of another issuer's makes room."""
    values = {"programme_id": programme_id, "card_id": card_id}
    work.put(_NEW, **values, object_id=object_id, now=micros(now))


def begin(
    work: Work, programme_id: int, card_id: int, members: Sequence[str], *, ringing: bool = False
) -> str:
    """These members are about to be sent; what Google holds of them is unknown until `settle`.

    Returns the mark to settle with. `ringing` when a notification goes with
    it, so that a repetition after trouble need not be booked again.
    """
    told = _locked(work, programme_id, card_id)
    mark = secrets.token_hex(4)
    for member in members:
        told.pop(member, None)
    told[_MARK] = mark
    if ringing:
        told[_RINGING] = "1"
    _keep(work, programme_id, card_id, told)
    return mark


@dataclass(frozen=True, slots=True)
class Sent:
    """Members that Google has taken, by their digests, sent under a mark."""

    programme_id: int
    card_id: int
    mark: str
    digests: Mapping[str, str]


def settle(work: Work, sent: Sent) -> bool:
    """Write down what Google has taken. False when somebody else spoke meanwhile.

    Then nobody knows whose word stands, and it has to be said once more.
    """
    told = _locked(work, sent.programme_id, sent.card_id)
    is_mine = told.get(_MARK) == sent.mark
    if is_mine:
        told |= sent.digests
        told.pop(_MARK)
        told.pop(_RINGING, None)
    else:
        for member in sent.digests:
            told.pop(member, None)
        # What was sent may have come after the object was erased.
        work.put(_ERASE_AGAIN, programme_id=sent.programme_id, card_id=sent.card_id)
    _keep(work, sent.programme_id, sent.card_id, told)
    return is_mine


def inserted(
    work: Work, programme_id: int, card_id: int, *, revision: int, check_at: datetime, now: datetime
) -> None:
    """Google holds the card as of this effective revision; at `check_at` it is asked whether anybody does."""
    values = {"programme_id": programme_id, "card_id": card_id}
    work.put(_INSERTED, **values, revision=revision, check_at=micros(check_at), now=micros(now))


def _locked(work: Work, programme_id: int, card_id: int) -> dict[str, str]:
    lock = _LOCK_ON_POSTGRESQL if work.postgresql else _LOCK_ON_SQLITE
    told: dict[str, str] = json.loads(
        work.ask(lock, programme_id=programme_id, card_id=card_id).value() or "{}"
    )
    return told


def _keep(work: Work, programme_id: int, card_id: int, told: Mapping[str, str]) -> None:
    values = {"programme_id": programme_id, "card_id": card_id}
    work.put(_KEEP_TOLD, **values, told=json.dumps(told, separators=(",", ":"), sort_keys=True))


def _object(row: Row | None) -> Object | None:
    if row is None:
        return None
    told = json.loads(row.told)
    ringing = told.pop(_RINGING, None) is not None
    told.pop(_MARK, None)
    return Object(
        programme_id=row.programme_id,
        card_id=row.card_id,
        object_id=row.object_id,
        revision=row.revision,
        inserted_at=instant(row.inserted_at),
        told=told,
        ringing=ringing,
        erased=row.erased_at is not None,
        told_revision=row.told_revision,
    )


# Holders ------------------------------------------------------------------------

_HELD = text("""
    SELECT c.pass_type_id, c.key_id, c.issued_at, c.revision + p.revision AS effective, c.voided_at
    FROM card c JOIN programme p ON p.id = c.programme_id
    WHERE c.programme_id = :programme_id AND c.id = :card_id
""")
_HEARD_OF = text("""
    SELECT 1 FROM wallet_event
    WHERE programme_id = :programme_id AND card_id = :card_id AND wallet = 'google' LIMIT 1
""")
_CHECK = text("""
    UPDATE google_object SET check_due_at = :at WHERE programme_id = :programme_id AND card_id = :card_id
""")
_TAKE_CHECK = text("""
    UPDATE google_object SET check_due_at = NULL
    WHERE programme_id = :programme_id AND card_id = :card_id AND check_due_at <= :now RETURNING card_id
""")
_CHECKS = text("""
    SELECT object_id FROM google_object WHERE check_due_at IS NOT NULL AND check_due_at <= :now
    ORDER BY check_due_at LIMIT :limit
""")
_WAITING_CHECKS = text("SELECT count(*) FROM google_object WHERE check_due_at IS NOT NULL")


def hold(work: Work, found: Object, *, now: datetime) -> bool:
    """Somebody has the card in Google Wallet. True when that is news.

    What changed since the object was last given to Google is then owed to it.
    """
    held = _held_of(work, found)
    return held is not None and installs.register(
        work,
        held,
        library_id=_library_id(found.object_id),
        push_token=found.object_id,
        wallet=GOOGLE,
        announced_revision=found.revision,
        now=now,
    )


def let_go(work: Work, found: Object, *, now: datetime) -> None:
    """Nobody has the card in Google Wallet any more. Harmless when nobody had."""
    held = _held_of(work, found)
    if held is not None:
        installs.unregister(work, held, library_id=_library_id(found.object_id), wallet=GOOGLE, now=now)


def take_check(work: Work, found: Object, *, now: datetime) -> bool:
    """End a question that was due. False when something was heard meanwhile that its answer cannot know."""
    values = {"programme_id": found.programme_id, "card_id": found.card_id}
    return work.ask(_TAKE_CHECK, **values, now=micros(now)).one() is not None


def was_heard_of(read: Read, found: Object) -> bool:
    """Whether anything was ever heard of the card at Google."""
    values = {"programme_id": found.programme_id, "card_id": found.card_id}
    return read.ask(_HEARD_OF, **values).one() is not None


def check(work: Work, found: Object, *, at: datetime | None) -> None:
    """Ask Google at this instant whether anybody holds the card (None: no need to)."""
    values = {"programme_id": found.programme_id, "card_id": found.card_id}
    work.put(_CHECK, **values, at=None if at is None else micros(at))


def checks_due(read: Read, *, now: datetime, limit: int) -> list[str]:
    """The objects about whose holders Google is to be asked now, longest due first."""
    return [row.object_id for row in read.ask(_CHECKS, now=micros(now), limit=limit).all()]


def waiting_checks(read: Read) -> int:
    """How many such questions stand in the calendar."""
    count: int = read.ask(_WAITING_CHECKS).value()
    return count


def _held_of(read: Read, found: Object) -> Held | None:
    row = read.ask(_HELD, programme_id=found.programme_id, card_id=found.card_id).one()
    if row is None:
        return None
    issued_at = instant(row.issued_at)
    return Held(found.programme_id, found.card_id, row.pass_type_id, row.key_id, issued_at, row.effective)


def _library_id(object_id: str) -> str:
    # No phone of Apple's has such an id; and whoever claims it is refused by its wallet.
    return f"google:{object_id}"


# Erasing ------------------------------------------------------------------------

_SLICE = text("""
    SELECT o.programme_id, o.card_id, o.object_id,
           o.erased_at IS NULL AND (c.voided_at IS NOT NULL OR m.closed_at IS NOT NULL) AS is_over
    FROM (
        SELECT programme_id, card_id, object_id, erased_at FROM google_object
        WHERE (programme_id, card_id) > (:programme_id, :card_id)
        ORDER BY programme_id, card_id LIMIT :limit
    ) AS o
    JOIN card c ON c.programme_id = o.programme_id AND c.id = o.card_id
    JOIN member m ON m.programme_id = c.programme_id AND m.id = c.member_id
    ORDER BY o.programme_id, o.card_id
""")
_ERASED_FOR_NOW = text("""
    UPDATE google_object SET told = '{}', check_due_at = NULL
    WHERE programme_id = :programme_id AND card_id = :card_id
""")
_ERASED = text("""
    UPDATE google_object SET erased_at = :now, told = '{}', check_due_at = NULL
    WHERE programme_id = :programme_id AND card_id = :card_id
""")


Place = tuple[int, int]
"""Programme and card of an object: where a sweep stands."""

START: Place = (0, 0)


def to_erase(read: Read, *, after: Place, limit: int) -> tuple[list[str], Place | None]:
    """Among the next `limit` objects, those that say something of a card or a member that is no more.

    And where to go on: None after the last object.
    """
    programme_id, card_id = after
    rows = read.ask(_SLICE, programme_id=programme_id, card_id=card_id, limit=limit).all()
    place = (rows[-1].programme_id, rows[-1].card_id) if len(rows) == limit else None
    return [row.object_id for row in rows if row.is_over], place


def erased(work: Work, found: Object, *, now: datetime) -> None:
    """The object says nothing about anybody any more.

    While something else was on its way there, it may say so again in a moment,
    even if its sender died: then it is erased once more.
    """
    if _MARK in _locked(work, found.programme_id, found.card_id):
        work.put(_ERASED_FOR_NOW, programme_id=found.programme_id, card_id=found.card_id)
    else:
        work.put(_ERASED, programme_id=found.programme_id, card_id=found.card_id, now=micros(now))


# Callbacks ------------------------------------------------------------------------

_NEW_NONCE = text("""
    INSERT INTO google_nonce (nonce_hash, expires_at) VALUES (:nonce_hash, :expires_at)
    ON CONFLICT (nonce_hash) DO NOTHING RETURNING nonce_hash
""")
_FORGET_NONCES = text("""
    DELETE FROM google_nonce WHERE nonce_hash IN (
        SELECT nonce_hash FROM google_nonce WHERE expires_at < :now ORDER BY expires_at LIMIT :limit
    )
""")


def is_new(work: Work, *, issuer_id: str, nonce: str, expires_at: datetime) -> bool:
    """Whether a callback was never seen before; from now on it was. Safe under any number of workers."""
    nonce_hash = hashlib.sha256(f"{issuer_id}\0{nonce}".encode()).digest()
    kept = work.ask(_NEW_NONCE, nonce_hash=nonce_hash, expires_at=micros(expires_at))
    return kept.one() is not None


def forget_nonces(work: Work, *, now: datetime) -> None:
    """Forget some of the callbacks that would not be taken any more anyway."""
    work.put(_FORGET_NONCES, now=micros(now), limit=_NONCES_AT_ONCE)


# Notifications --------------------------------------------------------------------

_ALERTS = text("""
    SELECT about, at FROM google_alert
    WHERE programme_id = :programme_id AND card_id = :card_id AND (at > :since OR about = :about)
""")
_FORGET_ALERTS = text("""
    DELETE FROM google_alert
    WHERE programme_id = :programme_id AND card_id = :card_id AND at <= :since AND about = :balance
""")
_BOOK_ALERT = text("""
    INSERT INTO google_alert (programme_id, card_id, id, about, at)
    VALUES (:programme_id, :card_id, :id, :about, :now)
""")


def book_alert(work: Work, *, programme_id: int, card_id: int, about: str, now: datetime) -> bool:
    """Book a notification for a card before it is sent; False when the card has had its three of the day.

    `about` is `BALANCE`, or what rings once and never again, such as an offer:
    the same a second time gets False as well.
    """
    about = about_key(about)
    of_card = {"programme_id": programme_id, "card_id": card_id}
    # Two workers that count at once must not both find room for one more.
    _locked(work, programme_id, card_id)
    since = micros(now - ALERTS_WITHIN)
    standing = work.ask(_ALERTS, **of_card, since=since, about=about).all()
    if sum(row.at > since for row in standing) >= ALERTS_MAX:
        return False
    if about != BALANCE and any(row.about == about for row in standing):
        return False
    work.put(_FORGET_ALERTS, **of_card, since=since, balance=BALANCE)
    work.put(_BOOK_ALERT, **of_card, id=new_id(now), about=about, now=micros(now))
    return True


def about_key(about: str) -> str:
    """`about` as it stands in the row: shortened where it is longer than fits."""
    if len(about) <= _ABOUT_MAX:
        return about
    return hashlib.sha256(about.encode()).hexdigest()


# The shared rate ------------------------------------------------------------------

_RESERVE = text("""
    INSERT INTO pacer (name, next_at) VALUES (:name, :now + :length)
    ON CONFLICT (name) DO UPDATE SET next_at = :length
        + CASE WHEN pacer.next_at < :now OR pacer.next_at > :now + :nonsense THEN :now ELSE pacer.next_at END
    RETURNING next_at
""")
_NONSENSE_MICROS = 60_000_000


def reserve(work: Work, *, name: str, slots: int, rate_per_second: float, now: datetime) -> float:
    """Reserve the next `slots` moments of a rate that all processes share.

    Returns the seconds until the first of them; the others follow at the
    rate's distance. A moment more than a minute ahead was not reserved by
    anybody: a clock was wrong, and the rate begins anew.
    """
    at, length = micros(now), round(slots * 1_000_000 / rate_per_second)
    ends_at: int = (
        work.ask(_RESERVE, name=name, now=at, length=length, nonsense=_NONSENSE_MICROS).all()[0].next_at
    )
    return max(0, ends_at - length - at) / 1_000_000
