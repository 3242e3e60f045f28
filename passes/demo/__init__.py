"""The demonstration shops, their people and their past, made by the real use cases."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import orjson

from passes import access, checkout, enrolment, programmes
from passes.access import pins
from passes.demo import history
from passes.demo.cast import BOOKS, CAST, COFFEE, PINS, STAFF, Member
from passes.demo.draft import leave_draft
from passes.demo.history import Past
from passes.enrolment import Source
from passes.loyalty.receipt import Counter
from passes.loyalty.refusals import ProgrammeUnknown
from passes.store import Store, Work, journal, staff
from passes.store.programmes import Finding
from passes.wiring import Installation

__all__ = ["BOOKS", "COFFEE", "Filled", "fill"]

_NO_LIMIT = 10**9


@dataclass(frozen=True, slots=True)
class Filled:
    """What the demonstration holds; the same after every start.

    `purchases` are those of members; `guests` are sales without one.
    """

    programmes: tuple[str, ...]
    staff: tuple[str, ...]
    members: int
    purchases: int = 0
    guests: int = 0


def fill(installation: Installation, *, history_share: float = 0.0) -> Filled:
    """Load both shops, their staff and a few members with a past. Harmless when they are there.

    With a `history_share` of 1 thirteen months of business come before that,
    with less so much of it: once, and whole or not at all. Nobody knows the
    passwords of these people: on this machine the front page signs visitors in
    with one click.
    """
    now = installation.clock()
    with installation.store.together(at_most=_NO_LIMIT) as one:
        lived = _lived(one)
        begins = history_share > 0 and lived is None
        _open(installation, one, history.begins(now) if begins else now)
        past = Past(installation, one, now)
        if begins:
            history.expect(past, share=history_share)
        for member in CAST:
            past.at(now - timedelta(days=member.days_ago), partial(_join, past, member))
        past.run()
        leave_draft(one, now=now)
        if begins:
            past.settle()
            lived = dict(past.tally)
            _remember(one, lived, now)
    found = lived or {}
    return Filled(
        programmes=tuple(path.stem for path in programmes.DEMONSTRATION),
        staff=tuple(login for login, _, _ in STAFF),
        members=len(CAST) + found.get("members", 0),
        purchases=found.get("purchases", 0),
        guests=found.get("guests", 0),
    )


def _open(installation: Installation, store: Store, now: datetime) -> None:
    """Load both programmes and let their staff in."""
    for path in programmes.DEMONSTRATION:
        programmes.load(
            store,
            name=path.stem,
            source=path.read_text("utf-8"),
            pass_type=installation.office.signer.pass_type,
            now=now,
        )
    for login, name, grants in STAFF:
        with store.read() as read:
            known = staff.by_login(read, login) is not None
        if not known:
            access.add_staff(
                store, login=login, name=name, password=secrets.token_urlsafe(24), grants=grants, now=now
            )
            if login in PINS:
                pins.set_pin(
                    store,
                    programme=grants[0].programme,
                    login=login,
                    pin=PINS[login],
                    by=None,
                    now=now,
                )


def _join(past: Past, member: Member, now: datetime) -> None:
    joined = enrolment.join(
        past.store,
        programme=member.programme,
        name=member.name,
        language=member.language,
        consents={"ring": member.rings},
        source=Source("demonstration"),
        key=f"demonstration-{member.key}",
        keys=past.installation.keys,
        now=now,
    )
    if joined.again:
        return
    for number, (days_ago, amount_minor) in enumerate(member.purchases):
        key = f"demonstration-{member.key}-{number}"
        past.at(
            past.now - timedelta(days=days_ago), partial(_buy, past, member, joined.code, amount_minor, key)
        )


def _buy(past: Past, member: Member, code: str, amount_minor: int, key: str, now: datetime) -> None:
    checkout.accrue(
        past.store,
        programme=member.programme,
        code=code,
        amount_minor=amount_minor,
        key=key,
        at=Counter(till="demonstration"),
        now=now,
    )


# That the past was lived through is kept as the answer to a request like any other:
# it is written with everything else, or not at all.


def _lived(store: Store) -> dict[str, int] | None:
    try:
        with store.read() as read:
            asked = journal.Asked(read, Finding(read, COFFEE).id, "demonstration-past", "past", {})
            before = asked.before()
    except ProgrammeUnknown:
        return None
    lived: dict[str, int] | None = None if before is None else orjson.loads(before)
    return lived


def _remember(store: Store, lived: dict[str, int], now: datetime) -> None:
    def decide(work: Work) -> None:
        asked = journal.Asked(work, Finding(work, COFFEE).id, "demonstration-past", "past", {})
        asked.answered(work, orjson.dumps(lived).decode(), now=now)

    store.write(decide)
