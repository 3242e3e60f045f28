"""The demonstration shops and their people, made by the real use cases."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from passes import access, checkout, enrolment, programmes
from passes.access import Grant, Role
from passes.enrolment import Source
from passes.loyalty.receipt import Counter
from passes.store import staff
from passes.wiring import Installation

COFFEE = "copperfinch"
BOOKS = "marginalya"


@dataclass(frozen=True, slots=True)
class Filled:
    """What the demonstration holds; the same after every start."""

    programmes: tuple[str, ...]
    staff: tuple[str, ...]
    members: int


@dataclass(frozen=True, slots=True)
class _Member:
    """`days_ago` when they joined; `purchases` as days ago and minor units, oldest first."""

    key: str
    programme: str
    name: str
    language: str
    days_ago: int
    purchases: tuple[tuple[int, int], ...] = ()
    agrees: bool = False


# The regular stands at 640: 100 for joining and 540 for 54.00 spent.
_CAST = (
    _Member(
        "regular",
        COFFEE,
        "Nora Whitfield",
        "en",
        40,
        ((38, 1240), (31, 860), (24, 950), (17, 1150), (6, 1200)),
        agrees=True,
    ),
    _Member("newcomer", COFFEE, "Sam Okafor", "en", 2),
    _Member("turkish", COFFEE, "İpek Şahin", "tr", 20, ((12, 640),)),
    _Member("arabic", COFFEE, "ليلى حداد", "en", 18, ((9, 775),)),
    _Member("long", COFFEE, "Maximiliana Featherstonehaugh-Cholmondeley Wu", "en", 15, ((3, 2310),)),
    _Member("reader", BOOKS, "Deniz Aydın", "tr", 30, ((25, 48000), (8, 21500)), agrees=True),
)

_STAFF = (
    ("cashier", "Cy Morales", (Grant(COFFEE, Role.CASHIER),)),
    ("marketer", "Mo Lindqvist", (Grant(COFFEE, Role.MARKETER),)),
    ("owner", "Olive Copper", (Grant(COFFEE, Role.OWNER),)),
    ("bookseller", "Elif Kaya", (Grant(BOOKS, Role.CASHIER),)),
)


def fill(installation: Installation) -> Filled:
    """Load both shops, their staff and a few members with a past. Harmless when they are there.

    Nobody knows the passwords of these people: on this machine the front page
    signs visitors in with one click.
    """
    now = installation.clock()
    store = installation.store
    for path in programmes.DEMONSTRATION:
        programmes.load(
            store,
            name=path.stem,
            source=path.read_text("utf-8"),
            pass_type=installation.office.signer.pass_type,
            now=now,
        )
    for login, name, grants in _STAFF:
        with store.read() as read:
            known = staff.by_login(read, login) is not None
        if not known:
            access.add_staff(
                store, login=login, name=name, password=secrets.token_urlsafe(24), grants=grants, now=now
            )
    for member in _CAST:
        _live(installation, member, now)
    return Filled(
        programmes=tuple(path.stem for path in programmes.DEMONSTRATION),
        staff=tuple(login for login, _, _ in _STAFF),
        members=len(_CAST),
    )


def _live(installation: Installation, member: _Member, now: datetime) -> None:
    joined = enrolment.join(
        installation.store,
        programme=member.programme,
        name=member.name,
        language=member.language,
        consents={"offers": member.agrees},
        source=Source("demonstration"),
        key=f"demonstration-{member.key}",
        keys=installation.keys,
        now=now - timedelta(days=member.days_ago),
    )
    if joined.again:
        return
    for number, (days_ago, amount_minor) in enumerate(member.purchases):
        at = now - timedelta(days=days_ago)
        checkout.accrue(
            installation.store,
            programme=member.programme,
            code=joined.code,
            amount_minor=amount_minor,
            key=f"demonstration-{member.key}-{number}",
            at=Counter(till="demonstration"),
            now=at,
        )
