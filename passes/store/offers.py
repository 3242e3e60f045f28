"""Offers as rows: which run, what they are for one member, and what was used of them.

A purchase makes three calls, all within its own transaction and with the
member locked:

1. `asked = offers.running(work, loaded, member_id, codes=codes, now=happened_at)`
   sends one small question, before other answers are waited for;
2. `applied = stacking.best(asked.standings(facts, happened_at), basket,
   situation, codes=codes)` decides; `applied.discounted(basket)` is what is
   paid, `applied.multipliers` and `applied.bonuses` go to the earning rules;
3. `offers.reserve(work, loaded, applied.uses, member_id=…, receipt_id=…,
   points=…, happened_at=happened_at, now=now)` takes what is limited and
   writes the uses down.

An undone purchase calls `restore(…, undone=True)`, a full return `restore(…)`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    String,
    Update,
    bindparam,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from passes.language import say
from passes.loyalty.card import OfferLine
from passes.loyalty.conditions import MemberFacts
from passes.loyalty.dates import is_quiet
from passes.loyalty.offer_file import parse
from passes.loyalty.offers import (
    NOTICES_A_DAY_MAX,
    Arm,
    Audience,
    Offer,
    OfferState,
    Standing,
    draw,
    earning_key,
    folded,
    ring_purpose,
    silence,
)
from passes.loyalty.refusals import (
    OfferBudgetUsedUp,
    OfferCodeUsed,
    OfferEnded,
    OfferMemberLimit,
    OfferPaused,
    OfferQuotaUsedUp,
    OfferUnknown,
)
from passes.loyalty.segments import belongs
from passes.loyalty.stacking import Use
from passes.store import allowances, members, programmes, win_backs
from passes.store.ids import new_id
from passes.store.instants import instant, instant_or_none, micros
from passes.store.models import member, member_allowance, offer, offer_assignment, offer_code, offer_use
from passes.store.programmes import Loaded
from passes.store.work import Answer, Read, Row, Work

NOTICES_DAY_MICROS = 24 * 3600 * 1_000_000
ENDED_KNOWN = timedelta(days=90)
"""So long a code of an ended offer is answered with "over" instead of "unknown"."""


@dataclass(frozen=True, slots=True)
class OfferRow:
    """An offer as it is kept. What was used of it is asked by `used`.

    `is_spreading` while a change of its state is on its way to the cards.
    """

    id: int
    offer: Offer
    state: OfferState
    revision: int
    created_at: datetime
    published_at: datetime | None
    ended_at: datetime | None
    created_by: str | None
    is_spreading: bool


def state_is(*states: OfferState) -> ColumnElement[bool]:
    """Whether an offer is in one of these states. A list of values would be expanded for every question."""
    return or_(*(offer.c.state == state.value for state in states))


_of_offer = (offer.c.programme_id == bindparam("programme"), offer.c.id == bindparam("which"))
_BY_KEY = select(offer).where(offer.c.programme_id == bindparam("programme"), offer.c.key == bindparam("key"))
_BY_KEY_LOCKED = _BY_KEY.with_for_update()
_EVERY = select(offer).where(offer.c.programme_id == bindparam("programme")).order_by(offer.c.id.desc())
_NOT_OVER = _EVERY.where(state_is(OfferState.SCHEDULED, OfferState.LIVE, OfferState.PAUSED))
_SOURCE = select(
    offer.c.key, offer.c.source, offer.c.programme_version, offer.c.starts_at, offer.c.ends_at
).where(*_of_offer)
_ADD = insert(offer)
_SET_SOURCE = (
    update(offer)
    .where(*_of_offer)
    .values(
        source=bindparam("new_source"),
        programme_version=bindparam("new_version"),
        revision=offer.c.revision + 1,
        starts_at=bindparam("new_start"),
        ends_at=bindparam("new_end"),
        quota=bindparam("new_quota"),
        budget_minor=bindparam("new_budget"),
    )
)

# Writing and reading them -----------------------------------------------------------


def add(
    work: Work, loaded: Loaded, read_offer: Offer, *, source: str, person: str | None, now: datetime
) -> int:
    """Keep a new draft. Returns its id."""
    offer_id = new_id(now)
    work.put(
        _ADD,
        programme_id=loaded.id,
        id=offer_id,
        key=read_offer.key,
        source=source,
        revision=1,
        programme_version=loaded.version,
        state=OfferState.DRAFT.value,
        starts_at=_micros(read_offer.window.starts_at),
        ends_at=_micros(read_offer.window.ends_at),
        quota=read_offer.quota,
        used=0,
        budget_minor=read_offer.budget_minor,
        spent_minor=0,
        spent_points=0,
        created_at=micros(now),
        published_at=None,
        ended_at=None,
        created_by=person,
        spread_after=None,
    )
    return offer_id


def set_source(work: Work, loaded: Loaded, offer_id: int, read_offer: Offer, *, source: str) -> None:
    """A draft says something else now."""
    work.put(
        _SET_SOURCE,
        expect=1,
        programme=loaded.id,
        which=offer_id,
        new_source=source,
        new_version=loaded.version,
        new_start=_micros(read_offer.window.starts_at),
        new_end=_micros(read_offer.window.ends_at),
        new_quota=read_offer.quota,
        new_budget=read_offer.budget_minor,
    )


def move(
    work: Work,
    programme_id: int,
    offer_id: int,
    *,
    state: OfferState,
    spread: bool,
    published_at: datetime | None = None,
    ended_at: datetime | None = None,
) -> None:
    """Put an offer into another state. With `spread`, the cards that it concerns are told of it.

    `published_at` and `ended_at` are written when given; an end ends its window too.
    """
    work.put(
        _moving(published=published_at is not None, ended=ended_at is not None, spread=spread),
        expect=1,
        programme=programme_id,
        which=offer_id,
        new_state=state.value,
        **({"published": _micros(published_at)} if published_at else {}),
        **({"ended": _micros(ended_at)} if ended_at else {}),
    )


def _moving(*, published: bool, ended: bool, spread: bool) -> Update:
    key = (published, ended, spread)
    if key not in _MOVES:
        values: dict[str, Any] = {"state": bindparam("new_state")}
        if published:
            values["published_at"] = bindparam("published")
        if ended:
            values |= {"ended_at": bindparam("ended"), "ends_at": bindparam("ended")}
            values["revision"] = offer.c.revision + 1
        if spread:
            values["spread_after"] = 0
        _MOVES[key] = update(offer).where(*_of_offer).values(values)
    return _MOVES[key]


_MOVES: dict[tuple[bool, bool, bool], Update] = {}


def by_key(read: Read, loaded: Loaded, key: str) -> OfferRow | None:
    """The offer with this key, or None."""
    row = read.ask(_BY_KEY, programme=loaded.id, key=key).one()
    return None if row is None else _kept(read, loaded, row)


def by_key_locked(work: Work, loaded: Loaded, key: str) -> OfferRow:
    """The offer with this key, locked until the transaction ends. Raises OfferUnknown."""
    row = None if "\0" in key else work.ask(_BY_KEY_LOCKED, programme=loaded.id, key=key).one()
    if row is None:
        raise OfferUnknown()
    return _kept(work, loaded, row)


def every(read: Read, loaded: Loaded) -> list[OfferRow]:
    """All offers of a programme, the newest first."""
    return [_kept(read, loaded, row) for row in read.ask(_EVERY, programme=loaded.id).all()]


def published(read: Read, loaded: Loaded) -> list[OfferRow]:
    """The offers that are scheduled, live or paused."""
    return [_kept(read, loaded, row) for row in read.ask(_NOT_OVER, programme=loaded.id).all()]


def _kept(read: Read, loaded: Loaded, row: Row) -> OfferRow:
    return OfferRow(
        id=row.id,
        offer=offer_at(read, loaded, row.id, row.revision),
        state=OfferState(row.state),
        revision=row.revision,
        created_at=instant(row.created_at),
        published_at=instant_or_none(row.published_at),
        ended_at=instant_or_none(row.ended_at),
        created_by=row.created_by,
        is_spreading=row.spread_after is not None,
    )


def source_of(read: Read, loaded: Loaded, offer_id: int) -> str:
    """The file of an offer, as it was written."""
    row = read.ask(_SOURCE, programme=loaded.id, which=offer_id).one()
    if row is None:
        raise OfferUnknown()
    return str(row.source)


def offer_at(read: Read, loaded: Loaded, offer_id: int, revision: int) -> Offer:
    """What a revision of an offer says: parsed once per process, for it never changes."""
    key = ("offer", loaded.id, offer_id, revision)
    found = read.unchanging.get(key)
    if found is None:
        row = read.ask(_SOURCE, programme=loaded.id, which=offer_id).one()
        assert row is not None
        rules = programmes.at_version(read, loaded.id, row.programme_version)
        found = parse(row.source, name=row.key, programme=rules, say=say)
        # Ending an offer early is no change of what was written.
        window = replace(
            found.window,
            starts_at=instant_or_none(row.starts_at),
            ends_at=instant_or_none(row.ends_at),
        )
        found = read.unchanging[key] = replace(found, window=window)
    assert isinstance(found, Offer)
    return found


# What runs, for one member -----------------------------------------------------------


def _limit_name(offer_id: int) -> str:
    return f"offer:{offer_id}"


_RUNNING = (OfferState.SCHEDULED, OfferState.LIVE, OfferState.PAUSED)
_columns = (
    offer.c.id,
    offer.c.revision,
    offer.c.state,
    offer.c.used,
    offer.c.spent_minor,
    offer.c.spread_after,
    offer.c.starts_at,
    offer.c.ends_at,
    offer.c.published_at,
    offer_assignment.c.arm,
    offer_assignment.c.at.label("assigned_at"),
    member.c.joined_at,
    member.c.holdout,
    member.c.purchases,
    func.coalesce(member_allowance.c.used, 0).label("member_uses"),
)
_joined = (
    offer.join(member, (member.c.programme_id == offer.c.programme_id) & (member.c.id == bindparam("member")))
    .outerjoin(
        offer_assignment,
        (offer_assignment.c.programme_id == offer.c.programme_id)
        & (offer_assignment.c.offer_id == offer.c.id)
        & (offer_assignment.c.member_id == member.c.id),
    )
    .outerjoin(
        member_allowance,
        (member_allowance.c.programme_id == offer.c.programme_id)
        & (member_allowance.c.member_id == member.c.id)
        & (member_allowance.c.name == literal("offer:").concat(cast(offer.c.id, String))),
    )
)
# Whatever an offline till reports late happened while an offer ran that has ended since.
_OF_MEMBER = (
    select(*_columns)
    .select_from(_joined)
    .where(
        offer.c.programme_id == bindparam("programme"),
        or_(
            state_is(*_RUNNING),
            (offer.c.state == OfferState.ENDED.value) & (offer.c.ends_at > bindparam("at")),
        ),
    )
)
_CODE = select(offer_code.c.offer_id, offer_code.c.member_id, offer_code.c.receipt_id).where(
    offer_code.c.programme_id == bindparam("programme"), offer_code.c.code_hash == bindparam("code_hash")
)


class Running:
    """The offers of a programme as they stand for one member; the answers may still be on their way."""

    def __init__(
        self, read: Read, loaded: Loaded, member_id: int, answer: Answer, codes: Mapping[str, Answer]
    ) -> None:
        self._read = read
        self._loaded = loaded
        self._member_id = member_id
        self._answer = answer
        self._codes = codes

    def standings(self, facts: MemberFacts, now: datetime) -> list[Standing]:
        """Every offer that runs, waits or is paused; where codes were given, also those that ended lately.

        `facts` decide about a segment while its members are still being written
        down. Afterwards it counts who was in it when the offer started.
        """
        rows = self._answer.all()
        given = {row.offer_id: (code, row) for code, answer in self._codes.items() if (row := answer.one())}
        found = []
        for row in rows:
            read_offer = offer_at(self._read, self._loaded, row.id, row.revision)
            code, single_use = given.get(row.id, (None, None))
            found.append(
                Standing(
                    id=row.id,
                    offer=read_offer,
                    state=_state_at(row, read_offer, now),
                    used=row.used,
                    spent_minor=row.spent_minor,
                    arm=_arm(self._read, self._loaded, row, read_offer, self._member_id, facts, now),
                    member_uses=row.member_uses,
                    code=code,
                    code_used=single_use is not None
                    and (
                        single_use.receipt_id is not None
                        or single_use.member_id not in (None, self._member_id)
                    ),
                )
            )
        return found


def _state_at(row: Row, read_offer: Offer, at: datetime) -> OfferState:
    """An offer that has ended since was live at an instant within its window."""
    state, ends_at = OfferState(row.state), read_offer.window.ends_at
    return OfferState.LIVE if state is OfferState.ENDED and ends_at and at < ends_at else state


def running(
    read: Read, loaded: Loaded, member_id: int, *, codes: Collection[str] = (), now: datetime
) -> Running:
    """Ask how the programme's offers stand for a member: one small question, and one for each code given.

    `now` is when the purchase happened, which an offline till may report later.
    """
    # For a code, "over" is a better answer than "unknown".
    since = now - ENDED_KNOWN if codes else now
    answer = read.ask(_OF_MEMBER, programme=loaded.id, member=member_id, at=micros(since))
    single_use = {
        code: read.ask(_CODE, programme=loaded.id, code_hash=code_hash(loaded.id, code))
        for code in dict.fromkeys(map(folded, codes))
    }
    return Running(read, loaded, member_id, answer, single_use)


def for_card(
    read: Read, loaded: Loaded, member_id: int, *, language: str, now: datetime
) -> tuple[OfferLine, ...]:
    """The offers that a member's card shows, the most important first.

    What a member was promised for coming back stands last. An offer stands on
    the card for its whole window, also on days and at hours when it does not
    hold. Everything that this depends on raises the card's revision when it
    changes: the offer's state, the member's arm and purchases.
    """
    since = micros(now - ENDED_KNOWN)
    shown, newest, news = [], 0, None
    came: list[int] = []
    for row in read.ask(_OF_MEMBER, programme=loaded.id, member=member_id, at=since).all():
        if row.state == OfferState.SCHEDULED.value:
            continue
        read_offer = offer_at(read, loaded, row.id, row.revision)
        if _arm(read, loaded, row, read_offer, member_id, None, now) is not Arm.TREATED:
            continue
        # One that has left may have come later than those still there: then
        # nothing is news, or its end would ring for the one before it.
        came_at = max(row.starts_at or 0, row.published_at or 0, row.assigned_at or 0)
        ends_at = read_offer.window.ends_at
        if ends_at is None:
            continue
        if read_offer.rings and came_at < micros(ends_at):
            # What was there before the member is no news to them, and rang for nothing.
            came += [came_at] if came_at >= row.joined_at else []
            if newest < came_at:
                newest, news = came_at, read_offer.key
        limit = read_offer.member_limit
        if (
            row.state == OfferState.LIVE.value
            and now < ends_at
            and not (read_offer.new_members_only and row.purchases)
            and (limit is None or row.member_uses < limit)
        ):
            shown.append((-read_offer.priority, ends_at, read_offer))
    lines = [
        OfferLine(
            one.key,
            one.title.in_(language),
            one.text.in_(language),
            ends_at,
            is_news=one.key == news,
            rings=one.key == news
            and newest in came
            and _rings(read, loaded, one, member_id, instant(newest), _is_enough(came, newest), now),
        )
        for _, ends_at, one in sorted(shown, key=lambda entry: (entry[0], entry[1], entry[2].key))
    ]
    if promised := win_backs.standing_promise(read, loaded, member_id, now=now):
        title = say(language, "Welcome back")
        lines.append(OfferLine(win_backs.NAME, title, promised.words, promised.ends_at))
    return tuple(lines)


def _is_enough(came: Iterable[int], newest: int) -> bool:
    """Whether as many offers as may ring in a day came to a card before the newest one."""
    return sum(newest - NOTICES_DAY_MICROS < at < newest for at in came) >= NOTICES_A_DAY_MAX


def _rings(
    read: Read,
    loaded: Loaded,
    read_offer: Offer,
    member_id: int,
    came_at: datetime,
    used_up: bool,
    now: datetime,
) -> bool:
    """Whether the member's phones may ring for an offer; asked only where the answer is open."""
    rules = loaded.programme
    at_night = is_quiet(came_at, rules.zone) or is_quiet(now, rules.zone)
    if silence(
        read_offer,
        can_alert_offers=rules.can_alert_offers,
        agreed=True,
        at_night=at_night,
        used_up=used_up,
    ):
        return False
    purpose = ring_purpose({question.purpose for question in rules.consents})
    agreed = purpose in members.agreed(read, loaded.id, member_id)
    return silence(read_offer, can_alert_offers=True, agreed=agreed, at_night=at_night) is None


def _arm(
    read: Read,
    loaded: Loaded,
    row: Row,
    read_offer: Offer,
    member_id: int,
    facts: MemberFacts | None,
    now: datetime,
) -> Arm | None:
    """As written down when the offer started; whoever came later has an arm in offers for everybody."""
    if row.arm is not None:
        return Arm(row.arm)
    arm = draw(loaded.slug, read_offer).arm(member_id, holdout=bool(row.holdout))
    if read_offer.audience is Audience.ALL:
        return arm
    is_settled = row.state == OfferState.LIVE.value and row.spread_after is None
    if is_settled or facts is None or read_offer.segment is None:
        return None
    if read_offer.segment.consent is not None:
        facts = replace(facts, consents=members.agreed(read, loaded.id, member_id))
    return arm if belongs(read_offer.segment, facts, now, loaded.programme.zone) else None


# What is used of them -----------------------------------------------------------------

_TAKE = (
    update(offer)
    .where(
        *_of_offer,
        state_is(OfferState.SCHEDULED, OfferState.LIVE, OfferState.ENDED),
        offer.c.ends_at > bindparam("at"),
        offer.c.quota.is_(None) | (offer.c.used + 1 <= offer.c.quota),
        offer.c.budget_minor.is_(None) | (offer.c.spent_minor + bindparam("off") <= offer.c.budget_minor),
    )
    .values(
        used=offer.c.used + 1,
        spent_minor=offer.c.spent_minor + bindparam("off"),
        spent_points=offer.c.spent_points + bindparam("gained"),
    )
    .returning(offer.c.used)
)
_GIVE_BACK = (
    update(offer)
    .where(*_of_offer)
    .values(
        used=offer.c.used - 1,
        spent_minor=offer.c.spent_minor - bindparam("off"),
        spent_points=offer.c.spent_points - bindparam("gained"),
    )
)
_STATE = select(offer.c.state, offer.c.quota, offer.c.used, offer.c.ends_at).where(*_of_offer)
_of_code = (
    offer_code.c.programme_id == bindparam("programme"),
    offer_code.c.code_hash == bindparam("code"),
)
_TAKE_CODE = (
    update(offer_code)
    .where(
        *_of_code,
        offer_code.c.receipt_id.is_(None),
        offer_code.c.member_id.is_(None) | (offer_code.c.member_id == bindparam("member")),
    )
    .values(receipt_id=bindparam("receipt"))
    .returning(offer_code.c.offer_id)
)
_FREE_CODE = update(offer_code).where(*_of_code).values(receipt_id=None)
_ADD_USE = insert(offer_use)
_USES_OF = (
    select(offer_use, offer.c.revision, offer.c.state.label("offer_state"), offer.c.ends_at)
    .select_from(
        offer_use.join(
            offer, (offer.c.programme_id == offer_use.c.programme_id) & (offer.c.id == offer_use.c.offer_id)
        )
    )
    .where(
        offer_use.c.programme_id == bindparam("programme"),
        offer_use.c.receipt_id == bindparam("receipt"),
        offer_use.c.state == "consumed",
    )
    .order_by(offer_use.c.offer_id)
)
_RESTORE_USE = (
    update(offer_use)
    .where(offer_use.c.programme_id == bindparam("programme"), offer_use.c.id == bindparam("which"))
    .values(state="restored")
)


def reserve(
    work: Work,
    loaded: Loaded,
    uses: Iterable[Use],
    *,
    member_id: int,
    receipt_id: int,
    points: Mapping[str, int],
    happened_at: datetime | None = None,
    now: datetime,
) -> None:
    """Take a use of each offer, and what it took off from its budget, and write that down.

    `happened_at` is earlier than `now` for what an offline till reports.
    `points` are what the earning rules gave, by `offers.earning_key`. An offer
    that gave nothing is not used. Raises OfferQuotaUsedUp, OfferBudgetUsedUp,
    OfferMemberLimit, OfferCodeUsed, OfferPaused or OfferEnded where somebody
    else was faster: then nothing of this transaction may be kept. Offers without quota and
    budget are not touched, so that no purchase waits for another's.
    """
    # Always in the same order, so that two purchases cannot wait for each other.
    for use in sorted(uses, key=lambda one: one.standing.id):
        standing, read_offer = use.standing, use.standing.offer
        gained = points.get(earning_key(use.key), 0)
        if not (use.discount_minor or gained):
            continue
        if _is_limited(read_offer):
            _take(work, loaded, standing, use.discount_minor, gained, happened_at or now)
        if read_offer.member_limit is not None:
            taken = allowances.member_take(work, loaded.id, member_id, _limit_name(standing.id), 1, now=now)
            if taken > read_offer.member_limit:
                raise OfferMemberLimit()
        hashed = code_hash(loaded.id, standing.code) if standing.code else None
        if hashed is not None:
            values = {"programme": loaded.id, "code": hashed, "member": member_id, "receipt": receipt_id}
            if work.ask(_TAKE_CODE, **values).one() is None:
                raise OfferCodeUsed()
        work.put(
            _ADD_USE,
            programme_id=loaded.id,
            id=new_id(now),
            offer_id=standing.id,
            member_id=member_id,
            receipt_id=receipt_id,
            discount_minor=use.discount_minor,
            points=gained,
            state="consumed",
            code_hash=hashed,
            at=micros(now),
        )


def _is_limited(read_offer: Offer) -> bool:
    return read_offer.quota is not None or read_offer.budget_minor is not None


def _take(work: Work, loaded: Loaded, standing: Standing, off: int, gained: int, at: datetime) -> None:
    values = {"programme": loaded.id, "which": standing.id}
    if work.ask(_TAKE, **values, at=micros(at), off=off, gained=gained).one() is not None:
        return
    row = work.ask(_STATE, **values).one()
    assert row is not None
    if row.quota is not None and row.used >= row.quota:
        raise OfferQuotaUsedUp()
    if row.state == OfferState.PAUSED.value:
        raise OfferPaused()
    if row.ends_at <= micros(at):
        raise OfferEnded()
    raise OfferBudgetUsedUp()


def restore(work: Work, loaded: Loaded, receipt_id: int, *, now: datetime, undone: bool = False) -> list[str]:
    """Give back the uses of a purchase that was returned in full. Returns the keys of those offers.

    Only offers that say so and still run give a use back. `undone` is for a
    mistake taken back at the till: then every use is given back.
    """
    given_back = []
    for row in work.ask(_USES_OF, programme=loaded.id, receipt=receipt_id).all():
        read_offer = offer_at(work, loaded, row.offer_id, row.revision)
        runs = OfferState(row.offer_state) in _RUNNING and row.ends_at > micros(now)
        if not (undone or (read_offer.restore_on_return and runs)):
            continue
        work.put(_RESTORE_USE, expect=1, programme=loaded.id, which=row.id)
        if _is_limited(read_offer):
            work.put(
                _GIVE_BACK,
                expect=1,
                programme=loaded.id,
                which=row.offer_id,
                off=row.discount_minor,
                gained=row.points,
            )
        if read_offer.member_limit is not None:
            name = _limit_name(row.offer_id)
            # Missing where the use came from a member who is one person with this one.
            if name in allowances.member_used(work, loaded.id, row.member_id):
                allowances.member_give_back(work, loaded.id, row.member_id, name, 1)
        if row.code_hash is not None:
            work.put(_FREE_CODE, expect=1, programme=loaded.id, code=row.code_hash)
        given_back.append(read_offer.key)
    return given_back


_USED = (
    select(
        offer_use.c.offer_id,
        func.count().label("uses"),
        func.sum(offer_use.c.discount_minor).label("discount_minor"),
        func.sum(offer_use.c.points).label("points"),
    )
    .where(offer_use.c.programme_id == bindparam("programme"), offer_use.c.state == "consumed")
    .group_by(offer_use.c.offer_id)
)
_USED_OF_ONE = _USED.where(offer_use.c.offer_id == bindparam("which"))


@dataclass(frozen=True, slots=True)
class Used:
    """What an offer has cost so far: uses that were not given back, money taken off, points given."""

    uses: int = 0
    discount_minor: int = 0
    points: int = 0


def used(read: Read, loaded: Loaded, offer_id: int | None = None) -> Mapping[int, Used]:
    """What one offer, or each of the programme, has cost so far; those never used are missing."""
    if offer_id is None:
        rows = read.ask(_USED, programme=loaded.id).all()
    else:
        rows = read.ask(_USED_OF_ONE, programme=loaded.id, which=offer_id).all()
    return {row.offer_id: Used(row.uses, int(row.discount_minor), int(row.points)) for row in rows}


# Single-use codes ------------------------------------------------------------------------

_ADD_CODE = insert(offer_code)


def code_hash(programme_id: int, code: str) -> bytes:
    """What is kept of a single-use code. 64 random bits need no slow hash."""
    told = f"offer code:{programme_id}:{folded(code)}"
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).digest()


def add_codes(work: Work, loaded: Loaded, offer_id: int, codes: Iterable[str], *, now: datetime) -> None:
    """Keep new single-use codes by their hashes; anybody may use them."""
    work.put_many(
        _ADD_CODE,
        (
            {
                "programme_id": loaded.id,
                "code_hash": code_hash(loaded.id, code),
                "offer_id": offer_id,
                "member_id": None,
                "receipt_id": None,
                "made_at": micros(now),
            }
            for code in codes
        ),
    )


def _micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)
