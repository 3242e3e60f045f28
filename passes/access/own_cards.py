"""Which members are people of the staff: nobody books on a card of their own."""

from __future__ import annotations

from datetime import datetime

from passes.access.people import login_of
from passes.loyalty import codes
from passes.loyalty.refusals import CodeUnknown, PersonUnknown
from passes.store import Read, Store, Work, programmes, team
from passes.store import staff as rows
from passes.store.instants import micros
from passes.store.programmes import Loaded


def link(store: Store, *, programme: str, login: str, code: str, by: int | None, now: datetime) -> int:
    """The card of this code is that person's own from now on; the member's id.

    Raises ProgrammeUnknown, PersonUnknown, CodeMistyped, CodeUnknown.
    """

    def decide(work: Work) -> int:
        loaded = programmes.by_slug(work, programme)
        staff_id, member_id = _person(work, loaded.id, login), _member(work, loaded, code)
        team.link_card(work, programme_id=loaded.id, staff_id=staff_id, member_id=member_id, now=micros(now))
        _note(work, "staff.card", loaded.id, login, member_id, by, now)
        return member_id

    return store.write(decide)


def unlink_code(store: Store, *, programme: str, login: str, code: str, by: int | None, now: datetime) -> int:
    """The card of this code is not that person's own after all; the member's id. Raises as `link`."""
    with store.read() as read:
        member_id = _member(read, programmes.by_slug(read, programme), code)
    unlink(store, programme=programme, login=login, member_id=member_id, by=by, now=now)
    return member_id


def _member(read: Read, loaded: Loaded, code: str) -> int:
    kept = codes.read(code, loaded.programme.code_kind)
    member_id = team.member_of_code(read, programme_id=loaded.id, code=kept)
    if member_id is None:
        raise CodeUnknown()
    return member_id


def unlink(
    store: Store, *, programme: str, login: str, member_id: int, by: int | None, now: datetime
) -> None:
    """That member is not this person after all. Raises ProgrammeUnknown, PersonUnknown."""

    def decide(work: Work) -> None:
        loaded = programmes.by_slug(work, programme)
        staff_id = _person(work, loaded.id, login)
        if team.unlink_card(work, programme_id=loaded.id, staff_id=staff_id, member_id=member_id):
            _note(work, "staff.card_taken", loaded.id, login, member_id, by, now)

    store.write(decide)


def _person(work: Work, programme_id: int, login: str) -> int:
    known = rows.by_login(work, login_of(login))
    if known is None or not team.roles(work, programme_id=programme_id, login=known.login):
        raise PersonUnknown
    return known.id


def _note(
    work: Work, action: str, programme_id: int, login: str, member_id: int, by: int | None, now: datetime
) -> None:
    rows.note(
        work,
        action,
        about=login_of(login),
        staff_id=by,
        programme_id=programme_id,
        detail={"member": member_id},
        now=now,
    )
