"""The people of a programme: what they may do, who may open tills with a PIN, which cards are their own."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, and_, bindparam, delete, func, insert, select, update

from passes.store.models import audit, card, card_code, person, session, staff, staff_card, staff_grant
from passes.store.work import Read, Row, Work

_SET_PIN = update(staff).where(staff.c.id == bindparam("staff_id")).values(pin_hash=bindparam("pin_hash"))
_TEAM = (
    select(
        staff.c.id,
        staff.c.login,
        staff.c.name,
        staff.c.pin_hash.is_not(None).label("has_pin"),
        staff_grant.c.role,
        select(func.max(session.c.created_at))
        .where(session.c.staff_id == staff.c.id)
        .scalar_subquery()
        .label("active_at"),
    )
    .select_from(staff.join(staff_grant, staff_grant.c.staff_id == staff.c.id))
    .where(staff_grant.c.programme_id == bindparam("programme_id"), staff.c.disabled_at.is_(None))
    .order_by(staff.c.name, staff.c.id, staff_grant.c.role)
)
_AT_TILL = select(
    staff.c.id,
    staff.c.disabled_at,
    select(session.c.token_hash)
    .where(session.c.till_id == bindparam("till_id"), session.c.staff_id == staff.c.id)
    .exists()
    .label("worked_here"),
).where(staff.c.login == bindparam("login"))
_SESSIONS_AT_TILL = (
    select(staff.c.login, session.c.created_at, session.c.expires_at, session.c.revoked_at)
    .select_from(session.join(staff, staff.c.id == session.c.staff_id))
    .where(
        session.c.till_id == bindparam("till_id"),
        session.c.created_at <= bindparam("until"),
        session.c.expires_at > bindparam("since"),
    )
)
_ROLES = (
    select(staff_grant.c.role)
    .select_from(staff.join(staff_grant, staff_grant.c.staff_id == staff.c.id))
    .where(
        staff.c.login == bindparam("login"),
        staff.c.disabled_at.is_(None),
        staff_grant.c.programme_id == bindparam("programme_id"),
    )
)
_OWNER_BY_PASSWORD = (
    select(audit.c.id)
    .select_from(audit.join(staff_grant, staff_grant.c.staff_id == audit.c.staff_id))
    .where(
        audit.c.action == "session.begin",
        staff_grant.c.programme_id == bindparam("programme_id"),
        staff_grant.c.role == "owner",
    )
    .limit(1)
)
_theirs = staff_grant.alias("theirs")
_NOT_OWNED = select(_theirs.c.programme_id).where(
    _theirs.c.staff_id == bindparam("staff_id"),
    ~select(staff_grant.c.staff_id)
    .where(
        staff_grant.c.staff_id == bindparam("owner_id"),
        staff_grant.c.programme_id == _theirs.c.programme_id,
        staff_grant.c.role == "owner",
    )
    .exists(),
)
_LINK_CARD = insert(staff_card)
_UNLINK_CARD = (
    delete(staff_card)
    .where(
        staff_card.c.programme_id == bindparam("programme_id"),
        staff_card.c.staff_id == bindparam("staff_id"),
        staff_card.c.member_id == bindparam("member_id"),
    )
    .returning(staff_card.c.member_id)
)
_OWN_CARDS = (
    select(staff_card.c.staff_id, staff_card.c.member_id, person.c.name)
    .select_from(
        staff_card.outerjoin(
            person,
            and_(
                person.c.programme_id == staff_card.c.programme_id,
                person.c.member_id == staff_card.c.member_id,
            ),
        )
    )
    .where(staff_card.c.programme_id == bindparam("programme_id"))
    .order_by(staff_card.c.staff_id, staff_card.c.member_id)
)
_LINK_SAME_ADDRESS = insert(staff_card).from_select(
    ["programme_id", "staff_id", "member_id", "added_at"],
    select(person.c.programme_id, staff.c.id, person.c.member_id, bindparam("added_at", type_=BigInteger))
    .select_from(
        staff.join(staff_grant, staff_grant.c.staff_id == staff.c.id).join(
            person,
            and_(person.c.programme_id == staff_grant.c.programme_id, person.c.email_key == staff.c.login),
        )
    )
    .where(
        staff.c.id == bindparam("whose"),
        ~select(staff_card.c.member_id)
        .where(
            staff_card.c.programme_id == person.c.programme_id,
            staff_card.c.staff_id == staff.c.id,
            staff_card.c.member_id == person.c.member_id,
        )
        .correlate(staff, person)
        .exists(),
    )
    .distinct(),
)
_theirs_already = staff_card.alias("theirs_already")
_FOLLOW = insert(staff_card).from_select(
    ["programme_id", "staff_id", "member_id", "added_at"],
    select(
        staff_card.c.programme_id,
        staff_card.c.staff_id,
        bindparam("to_member", type_=BigInteger),
        staff_card.c.added_at,
    ).where(
        staff_card.c.programme_id == bindparam("programme_id"),
        staff_card.c.member_id == bindparam("from_member"),
        ~select(_theirs_already.c.member_id)
        .where(
            _theirs_already.c.programme_id == staff_card.c.programme_id,
            _theirs_already.c.staff_id == staff_card.c.staff_id,
            _theirs_already.c.member_id == bindparam("to_member", type_=BigInteger),
        )
        .exists(),
    ),
)
_MEMBER_OF_CODE = (
    select(card.c.member_id)
    .select_from(
        card_code.join(
            card, and_(card.c.programme_id == card_code.c.programme_id, card.c.id == card_code.c.card_id)
        )
    )
    .where(card_code.c.programme_id == bindparam("programme_id"), card_code.c.code == bindparam("code"))
)


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody with a role in a programme. `active_at` is when they signed in last, in microseconds."""

    id: int
    login: str
    name: str
    roles: tuple[str, ...]
    has_pin: bool
    active_at: int | None


def set_pin(work: Work, *, staff_id: int, pin_hash: str | None) -> None:
    """Somebody's PIN from now on; None takes it away."""
    work.put(_SET_PIN, expect=1, staff_id=staff_id, pin_hash=pin_hash)


def team(read: Read, *, programme_id: int) -> list[Colleague]:
    """Everybody who has a role in a programme, by name."""
    found: dict[int, Colleague] = {}
    for row in read.ask(_TEAM, programme_id=programme_id).all():
        roles = (*found[row.id].roles, row.role) if row.id in found else (row.role,)
        found[row.id] = Colleague(row.id, row.login, row.name, roles, bool(row.has_pin), row.active_at)
    return list(found.values())


def roles(read: Read, *, programme_id: int, login: str) -> tuple[str, ...]:
    """What somebody may do in a programme."""
    return tuple(row.role for row in read.ask(_ROLES, programme_id=programme_id, login=login).all())


def has_owner_with_password(read: Read, *, programme_id: int) -> bool:
    """Whether an owner ever signed in with a password: those of the demonstration have none that is known."""
    return bool(read.ask(_OWNER_BY_PASSWORD, programme_id=programme_id).all())


def owns_all_of(read: Read, *, owner_id: int, staff_id: int) -> bool:
    """Whether somebody is an owner of every programme in which that person has a role."""
    return not read.ask(_NOT_OWNED, owner_id=owner_id, staff_id=staff_id).all()


def at_till(read: Read, *, till_id: int, login: str) -> Row | None:
    """`worked_here`: whether this person ever signed in at the till; and their `disabled_at`."""
    return read.ask(_AT_TILL, till_id=till_id, login=login).one()


def sessions_at_till(read: Read, *, till_id: int, since: int, until: int) -> list[Row]:
    """Sessions at a till that began until then and could have lasted since: `login`, and when they ended."""
    return read.ask(_SESSIONS_AT_TILL, till_id=till_id, since=since, until=until).all()


def link_card(work: Work, *, programme_id: int, staff_id: int, member_id: int, now: int) -> None:
    """This member is that person; linked already, it stays so."""
    work.ask(_UNLINK_CARD, programme_id=programme_id, staff_id=staff_id, member_id=member_id).one()
    work.put(_LINK_CARD, programme_id=programme_id, staff_id=staff_id, member_id=member_id, added_at=now)


def unlink_card(work: Work, *, programme_id: int, staff_id: int, member_id: int) -> bool:
    """This member is not that person after all; whether it was linked."""
    asked = work.ask(_UNLINK_CARD, programme_id=programme_id, staff_id=staff_id, member_id=member_id)
    return asked.one() is not None


def own_cards(read: Read, *, programme_id: int) -> list[Row]:
    """`staff_id`, `member_id` and the member's `name` (None once erased) of every linked card."""
    return read.ask(_OWN_CARDS, programme_id=programme_id).all()


def link_same_address(work: Work, *, staff_id: int, now: int) -> None:
    """Link the cards of members whose address is this person's login, wherever they have a role."""
    work.put(_LINK_SAME_ADDRESS, whose=staff_id, added_at=now)


def follow_merge(work: Work, *, programme_id: int, from_member: int, to_member: int) -> None:
    """Whoever was one of two members is the one that is left; should they part again, still both."""
    work.put(_FOLLOW, programme_id=programme_id, from_member=from_member, to_member=to_member)


def member_of_code(read: Read, *, programme_id: int, code: str) -> int | None:
    """The member behind a card code, in its normal form."""
    found: int | None = read.ask(_MEMBER_OF_CODE, programme_id=programme_id, code=code).value()
    return found
