"""The ground that the benchmarks stand on: durable databases and a shop with as many cards as wanted."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from passes import access, api_keys, programmes, store
from passes.access import Area, Grant, PasswordCost, Role
from passes.api_keys import Scope
from passes.server_keys import ServerKeys
from passes.store import Store
from passes.store import programmes as rows
from passes.wiring import DEVELOPMENT_PASS_TYPE
from tests import postgres

ENGINES = ("PostgreSQL", "SQLite")
SHOP = "benchmark"
PLACE = "west-loop"

# Ids of one kind follow each other, so that whoever knows a member's number
# knows all ids and the code. Above anything that `new_id` makes before 2055.
FIRST_ID = 1 << 62
CODES_FROM = 200_000_000_000
DEVICES_PER_CARD = 1.25


@dataclass(frozen=True, slots=True)
class Database:
    """An empty database of the newest schema, as durable as in production."""

    url: str
    folder: Path
    server: postgres.Postgres | None

    @property
    def postgresql(self) -> bool:
        """Which of the two engines it is."""
        return self.server is not None


@contextlib.contextmanager
def database(engine: str) -> Iterator[Database]:
    """A database of its own on this machine's disk, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="passes-benchmark-") as name:
        folder = Path(name)
        if engine == "SQLite":
            made = Database(f"sqlite:///{folder / 'passes.sqlite3'}", folder, None)
            store.migrate(made.url)
            yield made
            return
        server = postgres.start(
            fsync="on",
            full_page_writes="on",
            shared_buffers="2GB",
            max_wal_size="4GB",
            autovacuum="on",
        )
        try:
            store.migrate(server.url())
            yield Database(server.url(), folder, server)
        finally:
            server.stop()


def now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)


def resident_megabytes() -> float:
    """What this process holds in memory; pages of a file that it reads in place are the system's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("RssAnon:"))


def code_of(number: int) -> str:
    """The card code of the member with this number: an EAN-13, which SQL and pgbench can compute too."""
    check = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(f"{CODES_FROM + number}"))
    return f"{CODES_FROM + number}{-check % 10}"


def code_expression(number: str) -> str:
    """As `code_of`, as an expression in SQL and in pgbench, for numbers below a million."""
    digits = " + ".join(f"({number} / {10**place}) % 10 * {1 if place % 2 else 3}" for place in range(6))
    # The leading 2 weighs one.
    return f"(({CODES_FROM} + {number}) * 10 + (10 - (2 + {digits}) % 10) % 10)"


def open_shop(opened: Store, keys: ServerKeys) -> None:
    """One programme with a cashier, and no members yet."""
    coffee = next(path for path in programmes.DEMONSTRATION if path.stem == "copperfinch")
    source = (
        coffee.read_text("utf-8")
        .replace('kind = "letters"', 'kind = "ean13"')
        .replace('symbology = "qr"', 'symbology = "code128"')
        # Sixteen cashiers in a hurry book for few members: what a shop asks twice about is not measured here.
        .replace("[till]\n", "[till]\nrepeat_seconds = 0\nmember_day_limit = 10000\n")
    )
    programmes.load(opened, name=SHOP, source=source, pass_type=DEVELOPMENT_PASS_TYPE, now=now())
    access.add_staff(
        opened,
        login="cashier",
        name="Cy",
        password="a long password",
        grants=[Grant(SHOP, Role.CASHIER)],
        now=now(),
        cost=PasswordCost(memory_kib=64, passes=1, lanes=1),
    )


@dataclass(frozen=True, slots=True)
class Cashier:
    """A signed-in till."""

    cookie: str
    form_token: str


def sign_in(opened: Store) -> Cashier:
    """One more till."""
    secret = access.sign_in_for_demonstration(
        opened, programme=SHOP, role=Role.CASHIER, area=Area.TILL, now=now()
    )
    access.work_at(opened, secret=secret, programme=SHOP, location=None)
    person = access.session(opened, secret=secret, area=Area.TILL, now=now())
    assert person is not None
    return Cashier(f"passes_till={secret}", person.form_token)


def api_secret(opened: Store) -> str:
    """A key for one more register."""
    _, secret = api_keys.issue(
        opened, programme=SHOP, name="register", scopes=[Scope.PURCHASES], location=PLACE, now=now()
    )
    return secret


_FILL = (
    """INSERT INTO account (programme_id, id, owner_kind, owner_id, asset, bucket, balance)
       SELECT {programme}, {base} + i, 'member', CAST({base} + i AS {text}), 'points', 'available', 0
       FROM n""",
    """INSERT INTO member (programme_id, id, joined_at, language, holdout, welcome_given, merge_candidate_of,
           points_account_id, metric_period, metric, tier, purchases)
       SELECT {programme}, {base} + i, {at}, 'en', false, true, NULL, {base} + i, {year}, 0, 'perch', 0
       FROM n""",
    """INSERT INTO person (programme_id, member_id, name)
       SELECT {programme}, {base} + i, 'Ana Reyes' FROM n""",
    """INSERT INTO card (programme_id, id, member_id, pass_type_id, serial, key_id, issued_at, voided_at,
           revision, downloaded_revision, stamped_revision, tag, changed, pace_full_at)
       SELECT {programme}, {base} + i, {base} + i, {pass_type}, {serial}, '{key_id}', {at}, NULL,
           1, 1, 1, 1, false, {at} FROM n""",
    """INSERT INTO card_code (programme_id, code, card_id, added_at)
       SELECT {programme}, CAST({code} AS {text}), {base} + i, {at} FROM n""",
    """INSERT INTO device (pass_type_id, id, library_id, push_token, push_token_at)
       SELECT {pass_type}, {base} + i, {library}, {token}, {at} FROM devices""",
    # Every fourth card is on a second phone. All were told of the card's first
    # revision and the programme's.
    """INSERT INTO registration (pass_type_id, device_id, card_id, programme_id, announced_revision,
           registered_at)
       SELECT {pass_type}, {base} + i, {base} + CASE WHEN i < {cards} THEN i ELSE (i - {cards}) * 4 END,
           {programme}, 2, {at} FROM devices""",
    "UPDATE pass_type SET counter = 1",
    "UPDATE programme SET stamped_revision = revision, tag = 1, spread_after = NULL",
)


def serial_of(number: int) -> str:
    """The serial of the card of a member."""
    return f"benchmark-{FIRST_ID + number}"


def library_of(number: int) -> str:
    """The id by which the first phone of a member is known."""
    return f"phone-{FIRST_ID + number}"


def fill(on: Database, cards: int, keys: ServerKeys) -> None:
    """Members with a card each and 1.25 phones, up to date; `cards` is a multiple of four."""
    opened = store.open(on.url)
    with opened.read() as read:
        shop = rows.by_slug(read, SHOP)
    opened.close()
    values = {
        "programme": shop.id,
        "pass_type": shop.pass_type_id,
        "base": FIRST_ID,
        "at": int(now().timestamp()) * 1_000_000,
        "year": now().year,
        "cards": cards,
        "key_id": keys.current_id,
        "text": "text",
        "code": code_expression("i"),
        "serial": f"'benchmark-' || ({FIRST_ID} + i)",
        "library": f"'phone-' || ({FIRST_ID} + i)",
        "token": ("lpad(to_hex(i), 64, '0')" if on.postgresql else "substr(printf('%064x', i), 1, 64)"),
    }
    numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}) "
    if on.postgresql:
        numbers = "WITH n(i) AS (SELECT generate_series(0, {count} - 1)::bigint) "

    def spoken(text: str) -> str:
        if "FROM devices" in text:
            devices = int(cards * DEVICES_PER_CARD)
            return numbers.format(count=devices).replace(" n(i)", " devices(i)").replace(
                "FROM n ", "FROM devices "
            ) + text.format(**values)
        return (numbers.format(count=cards) if "FROM n" in text else "") + text.format(**values)

    if on.postgresql:
        assert on.server is not None
        with psycopg.connect(on.server.url().replace("+psycopg", ""), autocommit=True) as connection:
            for text in _FILL:
                connection.execute(spoken(text))
            # Not what is empty: PostgreSQL would then believe that it stays so, and every connection
            # that plans while it is small would read all of it ever after. No installation does that.
            for table in _filled(connection):
                connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))
            connection.execute("CHECKPOINT")
    else:
        plain = sqlite3.connect(on.url.removeprefix("sqlite:///"))
        plain.execute("PRAGMA synchronous=OFF")
        plain.execute("PRAGMA cache_size=-400000")
        with plain:
            for text in _FILL:
                plain.execute(spoken(text))
        plain.execute("ANALYZE")
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        plain.close()


def _filled(connection: psycopg.Connection[Any]) -> list[str]:
    """The tables that hold anything."""
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    holds = sql.SQL("SELECT EXISTS (SELECT 1 FROM {})")
    return [
        name
        for (name,) in tables
        if connection.execute(holds.format(sql.Identifier(name))).fetchone() == (True,)
    ]


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
