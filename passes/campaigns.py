"""Campaigns: plan an offer, publish it, pause it, end it; and let time do the rest.

Publishing changes one row. The worker starts and ends offers when their time
has come and carries each change to the cards that it concerns, in slices.
Asked again, a command changes nothing and answers as things stand.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial

from passes.language import say
from passes.loyalty import codes
from passes.loyalty.dates import day_number, local_date
from passes.loyalty.offer_file import parse
from passes.loyalty.offers import Arm, Audience, CodeKind, Offer, OfferState, Stacking, draw
from passes.loyalty.overlaps import overlap
from passes.loyalty.refusals import (
    CardVoided,
    CodeUnknown,
    OfferCodeTaken,
    OfferEnded,
    OfferKeyTaken,
    OfferStateWrong,
    OfferUnknown,
    ProductInvalid,
)
from passes.loyalty.text import Text
from passes.loyalty.toml_table import KEY
from passes.store import Read, Store, Work, audiences, club, due, members, offers, programmes, win_backs
from passes.store import reach as reaching
from passes.store.offers import OfferRow, Used
from passes.store.programmes import Loaded
from passes.store.reach import Progress, Reach

SLICE = 2_000
# On SQLite a checkout waits for whoever writes: slices of this size take some milliseconds.
SQLITE_SLICE = 300
DUE_MAX = 100
PRODUCT_LENGTH_MAX = 64
CODES_MAX = 10_000
_LOOKED_AT = "due:win_back"


@dataclass(frozen=True, slots=True)
class OfferView:
    """An offer as marketers see it. `used`, `spent_minor` and `points` without what was given back.

    `is_spreading` while its last change is on its way to the cards.
    """

    key: str
    title: str
    state: OfferState
    starts_at: datetime | None
    ends_at: datetime | None
    audience: Audience
    quota: int | None
    used: int
    budget_minor: int | None
    spent_minor: int
    points: int
    is_spreading: bool


@dataclass(frozen=True, slots=True)
class Clash:
    """Another offer at the same time. `only_one` when a purchase cannot get both.

    `goes_first` says whether the other stands on the front of the card, where
    there is room for one.
    """

    key: str
    title: Text
    only_one: bool
    goes_first: bool


@dataclass(frozen=True, slots=True)
class CampaignsDone:
    """What was due: offers started and ended, members whose cards were looked at, slices for win-back."""

    started: int = 0
    ended: int = 0
    spread: int = 0
    win_back: int = 0


# Planning -------------------------------------------------------------------------------


def plan(
    store: Store, *, programme: str, name: str, source: str, person: str | None = None, now: datetime
) -> OfferView:
    """Check an offer file and keep it as a draft; a draft of that name is replaced.

    `name` becomes the offer's key. Raises OfferInvalid, ProgrammeUnknown, or
    OfferKeyTaken when an offer of that name was published already.
    """

    def decide(work: Work) -> OfferView:
        loaded = programmes.by_slug(work, programme)
        planned = parse(source, name=name, programme=loaded.programme, say=say)
        before = offers.by_key(work, loaded, planned.key)
        if before is None:
            offers.add(work, loaded, planned, source=source, person=person, now=now)
        elif before.state is OfferState.DRAFT:
            offers.set_source(work, loaded, before.id, planned, source=source)
        else:
            raise OfferKeyTaken(key=planned.key)
        _note(work, loaded, planned.key, "plan", person, now)
        return _view(work, offers.by_key_locked(work, loaded, planned.key), loaded)

    return store.write(decide)


def reach(store: Store, *, programme: str, key: str, now: datetime) -> Reach:
    """Whom the offer would reach if it started now, and which of their phones would ring. OfferUnknown."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        return reaching.of_offer(read, loaded, _found(read, loaded, key).offer, now=now)


def progress(store: Store, *, programme: str, key: str) -> Progress:
    """How far the offer's last change has come on its members' phones. OfferUnknown."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        return reaching.progress(read, loaded, _found(read, loaded, key).id)


def clashes(store: Store, *, programme: str, key: str) -> list[Clash]:
    """The other published offers that may hold at the same time for somebody. OfferUnknown.

    Judged by what is written: whether anybody is in two segments at once is not looked up.
    """
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        mine = _found(read, loaded, key).offer
        others = [row.offer for row in offers.published(read, loaded) if row.offer.key != key]
    return [
        Clash(
            key=other.key,
            title=other.title,
            only_one=Stacking.EXCLUSIVE in (mine.stacking, other.stacking)
            or (mine.group is not None and mine.group == other.group),
            goes_first=_place(other) < _place(mine),
        )
        for other in others
        if overlap(mine.when, other.when, on_one_line=False)
    ]


def make_codes(store: Store, *, programme: str, key: str, count: int, now: datetime) -> list[str]:
    """Make single-use codes of an offer. They are shown once: only their hashes are kept.

    Raises OfferUnknown, or OfferStateWrong unless the offer takes such codes and is not over.
    """
    made = [
        codes.grouped(codes.code_from(secrets.token_bytes(codes.RANDOM_BYTES)))
        for _ in range(min(count, CODES_MAX))
    ]

    def decide(work: Work) -> None:
        loaded = programmes.by_slug(work, programme)
        row = offers.by_key_locked(work, loaded, key)
        if row.offer.code_kind is not CodeKind.UNIQUE or row.state is OfferState.ENDED:
            raise OfferStateWrong(key=key, state=row.state.value)
        offers.add_codes(work, loaded, row.id, made, now=now)

    store.write(decide)
    return made


# From state to state ----------------------------------------------------------------------


def publish(store: Store, *, programme: str, key: str, person: str | None = None, now: datetime) -> OfferView:
    """Let a draft run: at once, or when its window begins.

    Raises OfferUnknown, OfferEnded when its window is over, or OfferCodeTaken
    when another offer that is not over has the same code.
    """

    def decide(work: Work) -> OfferView:
        loaded = programmes.by_slug(work, programme)
        row = offers.by_key_locked(work, loaded, key)
        if row.state in (OfferState.SCHEDULED, OfferState.LIVE):
            return _view(work, row, loaded)
        if row.state is not OfferState.DRAFT:
            raise OfferStateWrong(key=key, state=row.state.value)
        if _is_over(row, now):
            raise OfferEnded()
        if row.offer.code is not None:
            for other in offers.published(work, loaded):
                if other.offer.code == row.offer.code and not _is_over(other, now):
                    raise OfferCodeTaken(key=other.offer.key)
        _note(work, loaded, key, "publish", person, now)
        return _run(work, loaded, row, published_at=now, now=now)

    return store.write(decide)


def pause(store: Store, *, programme: str, key: str, person: str | None = None, now: datetime) -> OfferView:
    """Stop an offer for a while: the tills refuse it at once, and it leaves the cards. OfferUnknown."""

    def decide(work: Work) -> OfferView:
        loaded = programmes.by_slug(work, programme)
        row = offers.by_key_locked(work, loaded, key)
        if row.state is OfferState.PAUSED:
            return _view(work, row, loaded)
        if row.state not in (OfferState.SCHEDULED, OfferState.LIVE):
            raise OfferStateWrong(key=key, state=row.state.value)
        was_live = row.state is OfferState.LIVE
        offers.move(work, loaded.id, row.id, state=OfferState.PAUSED, spread=was_live)
        _note(work, loaded, key, "pause", person, now)
        return _view(work, offers.by_key_locked(work, loaded, key), loaded)

    return store.write(decide)


def resume(store: Store, *, programme: str, key: str, person: str | None = None, now: datetime) -> OfferView:
    """Let a paused offer go on, also for those who have come into its segment meanwhile.

    Raises OfferUnknown, OfferStateWrong, or OfferEnded when its window is over.
    """

    def decide(work: Work) -> OfferView:
        loaded = programmes.by_slug(work, programme)
        row = offers.by_key_locked(work, loaded, key)
        if row.state in (OfferState.SCHEDULED, OfferState.LIVE):
            return _view(work, row, loaded)
        if row.state is not OfferState.PAUSED:
            raise OfferStateWrong(key=key, state=row.state.value)
        if _is_over(row, now):
            raise OfferEnded()
        _note(work, loaded, key, "resume", person, now)
        return _run(work, loaded, row, published_at=None, now=now)

    return store.write(decide)


def end(store: Store, *, programme: str, key: str, person: str | None = None, now: datetime) -> OfferView:
    """End an offer for good, before its time. Raises OfferUnknown or, for a draft, OfferStateWrong."""

    def decide(work: Work) -> OfferView:
        loaded = programmes.by_slug(work, programme)
        row = offers.by_key_locked(work, loaded, key)
        if row.state is OfferState.ENDED:
            return _view(work, row, loaded)
        if row.state is OfferState.DRAFT:
            raise OfferStateWrong(key=key, state=row.state.value)
        was_live = row.state is OfferState.LIVE
        offers.move(work, loaded.id, row.id, state=OfferState.ENDED, spread=was_live, ended_at=now)
        _note(work, loaded, key, "end", person, now)
        return _view(work, offers.by_key_locked(work, loaded, key), loaded)

    return store.write(decide)


def every(store: Store, *, programme: str, language: str | None = None) -> list[OfferView]:
    """All offers of a programme, the newest first, named in `language` or else the programme's own."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        used = offers.used(read, loaded)
        return [_seen(row, loaded, used, language) for row in offers.every(read, loaded)]


def show(store: Store, *, programme: str, key: str) -> OfferView:
    """One offer. OfferUnknown."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        return _view(read, _found(read, loaded, key), loaded)


def _run(
    work: Work, loaded: Loaded, row: OfferRow, *, published_at: datetime | None, now: datetime
) -> OfferView:
    starts_at = row.offer.window.starts_at
    has_begun = starts_at is None or starts_at <= now
    offers.move(
        work,
        loaded.id,
        row.id,
        state=OfferState.LIVE if has_begun else OfferState.SCHEDULED,
        spread=has_begun,
        published_at=published_at,
    )
    return _view(work, offers.by_key_locked(work, loaded, row.offer.key), loaded)


def _place(offer: Offer) -> tuple[int, datetime, str]:
    """What orders the offers on a card."""
    assert offer.window.ends_at is not None
    return (-offer.priority, offer.window.ends_at, offer.key)


def _note(work: Work, loaded: Loaded, key: str, what: str, person: str | None, now: datetime) -> None:
    """A line for the audit log, where somebody is known to have done it."""
    if person is not None:
        club.note(work, loaded.id, by=person, action=f"offer.{what}", about=key, detail="", now=now)


def _is_over(row: OfferRow, now: datetime) -> bool:
    ends_at = row.offer.window.ends_at
    return ends_at is not None and ends_at <= now


def _found(read: Read, loaded: Loaded, key: str) -> OfferRow:
    row = None if "\0" in key else offers.by_key(read, loaded, key)
    if row is None:
        raise OfferUnknown()
    return row


def _view(read: Read, row: OfferRow, loaded: Loaded) -> OfferView:
    return _seen(row, loaded, offers.used(read, loaded, row.id))


def _seen(
    row: OfferRow, loaded: Loaded, used_of: Mapping[int, Used], language: str | None = None
) -> OfferView:
    used = used_of.get(row.id, Used())
    return OfferView(
        key=row.offer.key,
        title=row.offer.title.in_(language or loaded.programme.language),
        state=row.state,
        starts_at=row.offer.window.starts_at,
        ends_at=row.offer.window.ends_at,
        audience=row.offer.audience,
        quota=row.offer.quota,
        used=used.uses,
        budget_minor=row.offer.budget_minor,
        spent_minor=used.discount_minor,
        points=used.points,
        is_spreading=row.is_spreading,
    )


# What time makes due -----------------------------------------------------------------------


def run_due(store: Store, *, now: datetime, stopped: Callable[[], bool] = lambda: False) -> CampaignsDone:
    """Do everything that is due for offers, and end early once `stopped` says so."""
    started, ended = starts_due(store, now=now), ends_due(store, now=now)
    members_told = 0
    while not stopped() and (handled := spread_due(store, now=now)):
        members_told += handled
    slices = 0 if stopped() else win_back_due(store, now=now)
    return CampaignsDone(started, ended, members_told, slices)


def starts_due(store: Store, *, now: datetime, limit: int = DUE_MAX) -> int:
    """Start the offers whose window has begun. Returns how many."""
    with store.read() as read:
        begun = audiences.begun(read, limit=limit, now=now)
    return sum(store.write(partial(_start, *one)) for one in begun)


def ends_due(store: Store, *, now: datetime, limit: int = DUE_MAX) -> int:
    """End the offers whose window is over, or of which nothing is left. Returns how many.

    A card must not promise what is used up. Offers whose uses come back with
    returned goods stay, and others as long as the last use can be undone.
    """
    with store.read() as read:
        over = audiences.over(read, limit=limit, now=now)
        spent = [
            (slug, key)
            for slug, key, used_at in audiences.used_up(read, limit=limit)
            if _is_spent(read, slug, key, used_at, now)
        ]
    for slug, key in spent:
        end(store, programme=slug, key=key, now=now)
    return sum(store.write(partial(_finish, *one)) for one in over) + len(spent)


def _is_spent(read: Read, slug: str, key: str, used_at: datetime, now: datetime) -> bool:
    loaded = programmes.by_slug(read, slug)
    may_be_undone = now < used_at + timedelta(seconds=loaded.programme.undo_seconds)
    return not may_be_undone and not _found(read, loaded, key).offer.restore_on_return


def _start(programme_id: int, offer_id: int, work: Work) -> bool:
    return audiences.start(work, programme_id, offer_id)


def _finish(programme_id: int, offer_id: int, work: Work) -> bool:
    return audiences.finish(work, programme_id, offer_id)


def spread_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Carry changes of offers on to the cards, one slice of members for each offer.

    Returns how many members were looked at; 0 when nothing is on its way.
    Only cards of members who get the offer change: those of the holdout are
    neither changed nor announced, which is why this is no revision of the
    whole programme. A slice that was interrupted is done again, in full.
    """
    size = limit or (SLICE if store.postgresql else SQLITE_SLICE)
    with store.read() as read:
        waiting = audiences.spreading(read)
    handled = 0
    for slug, offer_id in waiting:

        def decide(work: Work, slug: str = slug, offer_id: int = offer_id) -> int:
            loaded = programmes.by_slug(work, slug)
            return audiences.spread(work, loaded, offer_id, limit=size, now=now)

        handled += store.write(decide)
    return handled


def win_back_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Promise a gift to members who stayed away, once on each local day of a programme.

    Returns how many slices of members were looked at; 0 once a day's work is
    done. After a crash the day is gone through again, and nobody is promised twice.
    """
    size = limit or (SLICE if store.postgresql else SQLITE_SLICE)
    with store.read() as read:
        loaded_ones = [loaded for loaded in programmes.every(read) if _win_back_is_due(read, loaded, now)]
    return sum(_promise_gifts(store, loaded, size=size, now=now) for loaded in loaded_ones)


def _promise_gifts(store: Store, loaded: Loaded, *, size: int, now: datetime) -> int:
    rule, today = loaded.programme.win_back, local_date(now, loaded.programme.zone)
    assert rule is not None
    words = {
        language: say(
            language,
            "Your next purchase brings you %(points)s %(unit)s.",
            points=rule.points,
            unit=loaded.programme.unit.name(rule.points, language),
        )
        for language in loaded.programme.languages
    }
    with store.read() as read:
        since = _looked_at_on(read, loaded) or today - timedelta(days=1)
    after, slices = 0, 0
    while True:
        with store.read() as read:
            up_to = due.members_end(read, loaded.id, after=after, limit=size)
        if up_to is None:
            break

        def decide(work: Work, after: int = after, up_to: int = up_to) -> None:
            win_backs.promise(work, loaded, rule, words, after=after, up_to=up_to, since=since, now=now)

        store.write(decide)
        after, slices = up_to, slices + 1
    store.write(lambda work: due.mark_day(work, loaded.id, _LOOKED_AT, day_number(today)))
    return slices


def _win_back_is_due(read: Read, loaded: Loaded, now: datetime) -> bool:
    looked_at = _looked_at_on(read, loaded)
    today = local_date(now, loaded.programme.zone)
    return loaded.programme.win_back is not None and (looked_at is None or looked_at < today)


def _looked_at_on(read: Read, loaded: Loaded) -> date | None:
    number = due.marked_day(read, loaded.id, _LOOKED_AT)
    return None if number is None else date(number // 10_000, number // 100 % 100, number % 100)


# "Tell me when it's back" --------------------------------------------------------------------


def wish(store: Store, *, programme: str, code: str, product: str, now: datetime) -> bool:
    """Remember that a member wants to hear of a product. False when that was known.

    Offers for those who asked begin for this member at once where they run.
    Raises ProductInvalid, CodeMistyped, CodeUnknown, CardVoided or ProgrammeUnknown.
    """
    _check_product(product)

    def decide(work: Work) -> bool:
        loaded = programmes.by_slug(work, programme)
        member = _member(work, loaded, code)
        if not audiences.add_wish(work, loaded.id, product, member.member_id, now=now):
            return False
        for row in offers.published(work, loaded):
            if row.state is OfferState.LIVE and row.offer.product == product:
                audiences.assign_one(work, loaded, row.id, row.offer, member.member_id, now=now)
                arm = draw(loaded.slug, row.offer).arm(member.member_id, holdout=bool(member.holdout))
                if arm is Arm.TREATED:
                    members.revise_cards(work, loaded.id, member.member_id)
        return True

    return store.write(decide)


def unwish(store: Store, *, programme: str, code: str, product: str) -> bool:
    """Forget a wish. False when there was none. Offers that run for it go on. Raises as `wish`."""
    _check_product(product)

    def decide(work: Work) -> bool:
        loaded = programmes.by_slug(work, programme)
        return audiences.drop_wish(work, loaded.id, product, _member(work, loaded, code).member_id)

    return store.write(decide)


def wishes(store: Store, *, programme: str) -> dict[str, int]:
    """How many members asked for each product."""
    with store.read() as read:
        return audiences.wishes(read, programmes.by_slug(read, programme).id)


def _check_product(product: str) -> None:
    if len(product) > PRODUCT_LENGTH_MAX or not KEY.fullmatch(product):
        raise ProductInvalid()


def _member(work: Work, loaded: Loaded, code: str) -> members.Standing:
    read_code = codes.read(code, loaded.programme.code_kind)
    found = members.standing(members.at_counter(work, loaded.id, read_code))
    if found is None:
        raise CodeUnknown()
    if found.voided_at is not None:
        raise CardVoided()
    return found
