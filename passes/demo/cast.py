"""The people whom stories about the demonstration name, and the shops' staff."""

from __future__ import annotations

from dataclasses import dataclass

from passes.access import Grant, Role

COFFEE = "copperfinch"
BOOKS = "marginalya"


@dataclass(frozen=True, slots=True)
class Member:
    """`days_ago` when they joined; `purchases` as days ago and minor units, oldest first."""

    key: str
    programme: str
    name: str
    language: str
    days_ago: int
    purchases: tuple[tuple[int, int], ...] = ()
    rings: bool = False


# The regular stands at 640: 100 for joining and 540 for 54.00 spent.
CAST = (
    Member(
        "regular",
        COFFEE,
        "Nora Whitfield",
        "en",
        40,
        ((38, 1240), (31, 860), (24, 950), (17, 1150), (6, 1200)),
        rings=True,
    ),
    Member("newcomer", COFFEE, "Sam Okafor", "en", 2),
    Member("turkish", COFFEE, "İpek Şahin", "tr", 20, ((12, 640),)),
    Member("arabic", COFFEE, "ليلى حداد", "en", 18, ((9, 775),)),
    Member("long", COFFEE, "Maximiliana Featherstonehaugh-Cholmondeley Wu", "en", 15, ((3, 2310),)),
    Member("reader", BOOKS, "Deniz Aydın", "tr", 30, ((25, 48000), (8, 21500)), rings=True),
)

# What opens a paired till; docs/first-ten-minutes.md names them.
PINS = {"cashier": "4826", "owner": "7391", "bookseller": "4826", "publisher": "7391"}

STAFF = (
    ("cashier", "Cy Morales", (Grant(COFFEE, Role.CASHIER),)),
    ("marketer", "Mo Lindqvist", (Grant(COFFEE, Role.MARKETER),)),
    ("owner", "Olive Copper", (Grant(COFFEE, Role.OWNER),)),
    ("bookseller", "Elif Kaya", (Grant(BOOKS, Role.CASHIER),)),
    ("publisher", "Sevgi Polat", (Grant(BOOKS, Role.MARKETER), Grant(BOOKS, Role.OWNER))),
)
