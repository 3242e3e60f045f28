"""Thirteen months of two shops, lived through by the real use cases in the order of time.

Everything is booked at its own instant, so that points, levels, lapses and
offers come out as they would have; what time makes due is done week by week.
Phones that exist only here are told of their changes here, too: the worker
finds nothing to do.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from itertools import count

from passes import (
    books,
    campaigns,
    checkout,
    correspondence,
    delivery,
    due_work,
    enrolment,
    issuing,
    mail,
    membership,
)
from passes.checkout import Proof
from passes.demo.members import Keeps, Person, Role, people_of
from passes.demo.promotions import PROMOTIONS, Arms, Promotion, Redrawn, arms_of, who_comes, window_of
from passes.demo.trade import BOOKSHOP, COFFEE_SHOP, Chance, Trade, Visit
from passes.enrolment import Joined
from passes.loyalty.basket import Line
from passes.loyalty.dates import day_start, local_date
from passes.loyalty.offer_file import parse
from passes.loyalty.offers import Arm, Draw, draw
from passes.loyalty.receipt import Counter, Receipt
from passes.loyalty.refusals import NotEnoughPoints, OneTimeCodeNeeded
from passes.mail import Letter
from passes.store import Store, Work, cards, google, programmes
from passes.wallet import Accepted, Install, Outcome
from passes.wiring import Installation

DAYS = 395
OPENS = -72
"""The day on which the first campaign began. Both were over before any of the cast joined."""

_COFFEE_PEOPLE = {Role.POOL: 1_200, Role.NEVER: 30, Role.LATER: 60}
_BOOK_PEOPLE = {Role.POOL: 110, Role.NEVER: 4, Role.LATER: 10}
_QUIET = timedelta(minutes=20)
"""Nothing happened in the last minutes: a receipt that could still be undone belongs to the visitor."""

_MISTAKES = 0.004
_RETURNS = 0.02
"""Of purchases of several things."""
_ASKS_FOR_REWARD = 0.75


def begins(now: datetime) -> datetime:
    """When the past begins: the instant before anybody joined."""
    zone = COFFEE_SHOP.zone
    return day_start(local_date(now, zone) - timedelta(days=DAYS + 1), zone)


def expect(past: Past, *, share: float) -> None:
    """Let two shops open, with a `share` of all members and guests."""
    coffee = _Shop(past, COFFEE_SHOP, _fewer(_COFFEE_PEOPLE, share), share)
    coffee.promote(PROMOTIONS)
    _Shop(past, BOOKSHOP, _fewer(_BOOK_PEOPLE, share), share)
    for days in range(-DAYS, 1, 7):
        past.at(day_start(coffee.chance.day(days), COFFEE_SHOP.zone), past.work)


def _fewer(people: dict[Role, int], share: float) -> dict[Role, int]:
    return {role: round(number * share) for role, number in people.items()}


class Past:
    """What is still to happen, in the order of time; `tally` counts what has."""

    def __init__(self, installation: Installation, one: Store, now: datetime) -> None:
        self.installation = installation
        self.store = one
        self.now = now
        self.tally: Tally[str] = Tally()
        self._queue: list[tuple[float, int, datetime, Callable[[datetime], object]]] = []
        self._order = count()

    def at(self, when: datetime, act: Callable[[datetime], object]) -> None:
        """Let something happen at an instant, unless that is still to come."""
        if when < self.now - _QUIET:
            heappush(self._queue, (when.timestamp(), next(self._order), when, act))

    def run(self) -> None:
        """Let everything happen, also what happens because of it."""
        # A hundred thousand plans are no garbage: looking through them again and again takes seconds.
        gc.disable()
        try:
            while self._queue:
                *_, when, act = heappop(self._queue)
                act(when)
        finally:
            gc.enable()

    def work(self, now: datetime) -> None:
        """Do what time has made due."""
        campaigns.ends_due(self.store, now=now)
        campaigns.starts_due(self.store, now=now)
        while campaigns.spread_due(self.store, now=now):
            pass
        due_work.run_due(self.store, now=now)
        while correspondence.send_due(
            self.store,
            _Delivered(),
            keys=self.installation.keys,
            public_url=self.installation.public_url,
            now=now,
        ).claimed:
            pass

    def settle(self) -> None:
        """Bring everything up to date, and tell every phone of the past."""
        self.work(self.now)
        while delivery.stamp_due(self.store, now=self.now):
            pass
        for wallet in _TOLD:
            while delivery.announce_due(self.store, _TOLD, wallet=wallet, now=self.now).claimed:
                pass
        while books.seal_due(self.store, now=self.now):
            pass


class _Told:
    """A push service for phones that exist only in the past: all of them heard."""

    def announce(self, batch: Sequence[Install]) -> Iterator[tuple[Install, Outcome]]:
        """Every install has been told."""
        for install in batch:
            yield install, Accepted()

    def close(self) -> None:
        """Nothing is open."""


class _Delivered:
    """A mail server of the past: every letter of then has long arrived."""

    def deliver(self, letters: Sequence[Letter]) -> Iterator[tuple[int, mail.Outcome]]:
        """Every letter arrives."""
        for letter in letters:
            yield letter.key, mail.Taken()

    def check(self) -> str | None:
        """Nothing is wrong."""
        return None


_TOLD = {delivery.APPLE: _Told(), delivery.GOOGLE: _Told()}


@dataclass(frozen=True, slots=True)
class _Life:
    """A person who has joined."""

    person: Person
    joined: Joined


class _Shop:
    """One shop, and what its people do when it is their time."""

    def __init__(self, past: Past, trade: Trade, people: dict[Role, int], share: float) -> None:
        self.past = past
        self.trade = trade
        self.chance = Chance(trade, past.now)
        self._lives: dict[int, _Life] = {}
        self._room: dict[Arms, int] = {}
        self._draws: list[Draw] = []
        self._arms: list[dict[int, Arm]] = [{} for _ in PROMOTIONS]
        self._natural: list[dict[int, list[Visit]]] = [{} for _ in PROMOTIONS]
        self._keys = count(1)
        self._pool = people[Role.POOL]
        self._people = people_of(trade, self.chance, people, DAYS, OPENS)
        for person in self._people:
            past.at(person.joins_at, partial(self._join, person))
        for day in range(-DAYS, 1):
            for _ in range(self._guests(day, share)):
                visit = self.chance.visit(self.chance.moment(day), self.chance.shop())
                past.at(visit.at, partial(self._sell, visit))

    def _guests(self, day: int, share: float) -> int:
        wanted = self.chance.guests(day, DAYS) * share
        return int(wanted + self.chance.random.random()) if share < 1 else int(wanted)

    # Campaigns -----------------------------------------------------------------------

    def promote(self, promotions: Sequence[Promotion]) -> None:
        """Plan the campaigns, and keep what people would have done meanwhile aside."""
        past, zone = self.past, self.trade.zone
        self._room = arms_of(self._pool)
        with past.store.read() as read:
            rules = programmes.by_slug(read, self.trade.programme).programme
        for place, promotion in enumerate(promotions):
            since, until = window_of(self.chance, OPENS, promotion)
            source = promotion.source.format(since=since, until=until)
            self._draws.append(draw(rules.slug, parse(source, name=promotion.key, programme=rules)))
            opens = OPENS + promotion.opens
            begins_at = day_start(self.chance.day(opens), zone)
            ends_at = day_start(self.chance.day(opens + promotion.days), zone)
            for person in self._people:
                if person.role is Role.POOL:
                    meanwhile = [one for one in person.visits if begins_at <= one.at < ends_at]
                    self._natural[place][person.number] = meanwhile
                    person.visits = [one for one in person.visits if not begins_at <= one.at < ends_at]
            past.at(begins_at - timedelta(days=2), partial(self._plan, promotion, source))
            past.at(begins_at, partial(self._begin, place, promotion))
            past.at(ends_at, past.work)

    def _plan(self, promotion: Promotion, source: str, now: datetime) -> None:
        store, programme = self.past.store, self.trade.programme
        campaigns.plan(
            store, programme=programme, name=promotion.key, source=source, person="marketer", now=now
        )
        campaigns.publish(store, programme=programme, key=promotion.key, now=now)

    def _begin(self, place: int, promotion: Promotion, now: datetime) -> None:
        self.past.work(now)

        def once(_number: int) -> Visit:
            day = OPENS + promotion.opens + self.chance.random.randrange(promotion.days)
            return self.chance.visit(self.chance.moment(day), self.chance.shop())

        for number, visit in who_comes(self._arms[place], self._natural[place], promotion, once):
            self.past.at(visit.at, partial(self._buy, self._lives[number], visit))

    def _fits(self, answer: object) -> bool:
        assert isinstance(answer, Joined)
        return self._room[self._arms_of(answer)] > 0

    def _arms_of(self, joined: Joined) -> Arms:
        standing = enrolment.in_holdout(self.trade.programme, joined.member_id)
        first, second = (one.arm(joined.member_id, holdout=standing) for one in self._draws)
        return first, second

    # Customers -----------------------------------------------------------------------

    def _join(self, person: Person, now: datetime) -> None:
        past, programme = self.past, self.trade.programme
        for _ in range(person.views):
            enrolment.count_view(past.store, programme=programme, source=person.source, now=now)
        enrolment.count_send(past.store, programme=programme, source=person.source, now=now)
        is_planned = bool(self._draws) and person.role is Role.POOL
        joined = enrolment.join(
            Redrawn(past.store, self._fits) if is_planned else past.store,
            programme=programme,
            name=person.name,
            email=person.email,
            birthday=person.birthday,
            language=person.language,
            consents={"ring": person.rings},
            source=person.source,
            key=f"past-join-{person.number}",
            keys=past.installation.keys,
            now=now,
        )
        if is_planned:
            arms = self._arms_of(joined)
            self._room[arms] -= 1
            for place, arm in enumerate(arms):
                self._arms[place][person.number] = arm
        life = self._lives[person.number] = _Life(person, joined)
        past.tally["members"] += 1
        if person.installs_at:
            at_google = person.keeps is Keeps.GOOGLE and past.installation.google is not None
            past.at(person.installs_at, partial(self._save if at_google else self._install, life))
        elif person.keeps is Keeps.WEB:
            for when in {now, person.visits[-1].at if person.visits else now}:
                past.at(when + timedelta(seconds=20), partial(self._open, life))
        for visit in person.visits:
            past.at(visit.at, partial(self._buy, life, visit))

    def _install(self, life: _Life, now: datetime) -> None:
        keys, serial = self.past.installation.keys, life.joined.serial
        pass_type = self.past.installation.office.signer.pass_type
        phone = hashlib.sha256(f"phone {self.trade.programme} {life.person.number}".encode()).hexdigest()
        issuing.register(
            self.past.store,
            keys,
            library_id=phone[:32],
            pass_type=pass_type,
            serial=serial,
            token=keys.token(keys.current_id, pass_type, serial),
            read_push_token=lambda: phone,
            now=now,
        )
        self.past.tally["installs"] += 1
        if life.person.removes_at:
            self.past.at(life.person.removes_at, partial(self._remove, life, phone[:32]))

    def _save(self, life: _Life, now: datetime) -> None:
        """Save the card at Google: what a link's page and Google's message write down, without Google."""
        desk, joined = self.past.installation.google, life.joined
        assert desk is not None
        object_id = desk.issuer.object_id(joined.serial)

        def decide(work: Work) -> None:
            card = joined.programme_id, joined.card_id
            facts = cards.facts(work, *card)
            assert facts is not None
            google.add_object(work, *card, object_id=object_id, now=now)
            google.inserted(work, *card, revision=facts.effective_revision, check_at=now, now=now)
            found = google.object_of(work, *card)
            assert found is not None
            google.hold(work, found, now=now)
            google.check(work, found, at=None)

        self.past.store.write(decide)
        self.past.tally["installs"] += 1
        if life.person.removes_at:
            self.past.at(life.person.removes_at, partial(self._let_go, life))

    def _let_go(self, life: _Life, now: datetime) -> None:
        def decide(work: Work) -> None:
            found = google.object_of(work, life.joined.programme_id, life.joined.card_id)
            assert found is not None
            google.let_go(work, found, now=now)

        self.past.store.write(decide)
        self.past.tally["installs"] -= 1

    def _open(self, life: _Life, now: datetime) -> None:
        """Open the card's own page: it is the card of whoever has no wallet."""
        store = self.past.store
        membership.mark_shown(store, membership.link(store, secret=life.joined.link_secret), now=now)

    def _remove(self, life: _Life, phone: str, now: datetime) -> None:
        keys, serial = self.past.installation.keys, life.joined.serial
        pass_type = self.past.installation.office.signer.pass_type
        issuing.unregister(
            self.past.store,
            keys,
            library_id=phone,
            pass_type=pass_type,
            serial=serial,
            token=keys.token(keys.current_id, pass_type, serial),
            now=now,
        )
        self.past.tally["installs"] -= 1

    # The counter ---------------------------------------------------------------------

    def _buy(self, life: _Life, visit: Visit, now: datetime) -> None:
        if self.chance.random.random() >= _MISTAKES:
            self._book(life, visit, now)
            return
        # A slip of the finger, seen at once: undone, and booked as it should have been.
        wrong = self._accrue(life, visit.amount_minor * 10, (), visit.counter, now)
        self.past.at(now + timedelta(seconds=40), partial(self._undo, wrong))
        self.past.at(now + timedelta(seconds=75), partial(self._book, life, visit))

    def _book(self, life: _Life, visit: Visit, now: datetime) -> None:
        random = self.chance.random
        booked = self._accrue(life, visit.amount_minor, visit.lines, visit.counter, now)
        self.past.tally["purchases"] += 1
        if len(visit.lines) > 1 and random.random() < _RETURNS:
            later = now + timedelta(hours=random.uniform(1, 60))
            self.past.at(later, partial(self._take_back, booked, len(visit.lines)))
        reward, points = life.person.reward
        if reward and booked.balance_after >= points and random.random() < _ASKS_FOR_REWARD:
            self.past.at(now + timedelta(seconds=30), partial(self._redeem, life, reward, visit.counter))

    def _accrue(
        self, life: _Life, amount_minor: int, lines: Sequence[Line], at: Counter, now: datetime
    ) -> Receipt:
        return checkout.accrue(
            self.past.store,
            programme=self.trade.programme,
            code=life.joined.code,
            amount_minor=amount_minor,
            key=self._key(),
            at=at,
            lines=lines,
            now=now,
        )

    def _undo(self, receipt: Receipt, now: datetime) -> None:
        checkout.undo(
            self.past.store,
            programme=self.trade.programme,
            receipt_id=receipt.id,
            key=self._key(),
            at=receipt.counter,
            now=now,
        )
        self.past.tally["undone"] += 1

    def _take_back(self, receipt: Receipt, line: int, now: datetime) -> None:
        checkout.take_back(
            self.past.store,
            programme=self.trade.programme,
            receipt_id=receipt.id,
            key=self._key(),
            at=receipt.counter,
            lines={line: 1},
            now=now,
        )
        self.past.tally["returns"] += 1

    def _redeem(self, life: _Life, reward: str, at: Counter, now: datetime) -> None:
        redeem = partial(
            checkout.redeem,
            self.past.store,
            programme=self.trade.programme,
            code=life.joined.code,
            reward=reward,
            key=self._key(),
            at=at,
            now=now,
        )
        # Where two visits met within a minute, the first one took the points.
        with contextlib.suppress(NotEnoughPoints):
            try:
                redeem()
            except OneTimeCodeNeeded:
                keys, joined = self.past.installation.keys, life.joined
                shown = checkout.show_code(
                    self.past.store,
                    programme_id=joined.programme_id,
                    member_id=joined.member_id,
                    keys=keys,
                    now=now,
                )
                redeem(proof=Proof(keys, shown.digits))
            self.past.tally["redemptions"] += 1

    def _sell(self, visit: Visit, now: datetime) -> None:
        checkout.sale(
            self.past.store,
            programme=self.trade.programme,
            amount_minor=visit.amount_minor,
            key=self._key(),
            at=visit.counter,
            lines=visit.lines,
            now=now,
        )
        self.past.tally["guests"] += 1

    def _key(self) -> str:
        return f"past-{next(self._keys)}"
