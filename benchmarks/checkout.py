"""Booking purchases over HTTP, beside a busy worker, against the bare database.

Twice: by registers through the API, and by cashiers who send the form of the
page without script.
What bounds them is the database: so the statements that one purchase really
issues, the look-ups of its key or session included, are recorded and then replayed by
pgbench (C, as many clients) on PostgreSQL and by a bare `sqlite3` loop on
SQLite, one commit each. Both run on the same database as the service, in turns
with it, while the worker announces every change to a push server.

    python -m benchmarks.checkout
"""

from __future__ import annotations

import random
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psycopg
from psycopg import pq
from sqlalchemy import Engine, event

from app import create_app
from benchmarks import ground, push, shoppers
from benchmarks.ground import FIRST_ID, Database
from benchmarks.shoppers import Asker, Register, Till
from benchmarks.table import FULL, Row, alone
from passes import wiring
from passes.settings import Settings
from passes.store.ids import new_id
from tests.stories.town import Town

MEMBERS = 20_000
ROUNDS = 5 if FULL else 3
SECONDS = 8.0 if FULL else 5.0
# One for each of two cores; SQLite has one writer.
PROCESSES = {"PostgreSQL": 2, "SQLite": 1}
RATIO_POSTGRESQL, RATIO_SQLITE, ROUND_TRIPS_MAX, P99_MILLISECONDS_MAX = 0.4, 0.5, 4, 60.0
# The form is the way of cashiers whose browser runs no script: a page for one person at a
# time, which checks her session and is watched. It must not become slower than it is.
RATIO_FORM = 0.25

# Ids of replayed purchases, above the service's own.
_REPLAYED_FROM = FIRST_ID // 2
_IDS_PER_PURCHASE = 8

# By itself, quoted or not: never a part of a longer text.
_LONG_NUMBER = re.compile(r"'\d{15,19}'|(?<=[ (])\d{15,19}(?=[,) ]|$)")


def run() -> Iterator[Row]:
    """Measure both engines."""
    for engine in ground.ENGINES:
        with ground.database(engine) as database, push.sink_for_development(database.folder) as sink:
            town = Town(
                database.url,
                database.folder,
                {
                    "PASSES_APNS_HOST_PORT": str(sink.port),
                    "PASSES_APNS_CA_FILE": str(sink.authority),
                    # As in production, where nobody moves the clock.
                    "PASSES_CLOCK_FILE": "",
                    "PASSES_WEB_PROCESSES": str(PROCESSES[engine]),
                },
            )
            yield from _engine(engine, database, town)


def _engine(engine: str, database: Database, town: Town) -> Iterator[Row]:
    settings = Settings.read(town.environment)
    wiring.prepare(settings)
    installation = wiring.build(settings)
    ground.open_shop(installation.store, installation.keys)
    ground.fill(database, MEMBERS, installation.keys)
    many = range(shoppers.TILLS)
    registers = [Register(ground.api_secret(installation.store)) for _ in many]
    cashiers = [Till(ground.sign_in(installation.store)) for _ in many]
    installation.close()
    port = int(town.web_url.rpartition(":")[2])
    ratio = RATIO_POSTGRESQL if database.postgresql else RATIO_SQLITE
    ways: list[tuple[str, Sequence[Asker], Recorded, float]] = [
        ("the API", registers, record(database, settings, registers[0]), ratio),
        ("the till's form", cashiers, record(database, settings, cashiers[0]), RATIO_FORM),
    ]
    try:
        town.start("serve", "worker")
        for number, (way, askers, recorded, target) in enumerate(ways):
            ours, theirs, percentiles = [], [], []
            shoppers.shop(port, askers, members=MEMBERS, seconds=2)
            for turn in range(ROUNDS):
                theirs.append(replayed(database, recorded, turn + number * ROUNDS))
                booked = shoppers.shop(port, askers, members=MEMBERS, seconds=SECONDS)
                ours.append(booked.rate)
                percentiles.append(booked.percentile(0.99))
            yield Row(
                f"purchase by {way}, {engine}, beside "
                + ("pgbench" if database.postgresql else "bare loop, synchronous=FULL"),
                statistics.median(ours),
                "/s",
                target,
                statistics.median(theirs),
            )
            yield Row(
                f"… p99 of {shoppers.TILLS} at full load",
                statistics.median(percentiles),
                "ms",
                P99_MILLISECONDS_MAX,
                at_most=True,
            )
            if database.postgresql:
                yield Row(
                    "… round trips to the database", recorded.round_trips, "", ROUND_TRIPS_MAX, at_most=True
                )
    finally:
        town.stop()


# What one purchase asks of the database ------------------------------------------


@dataclass(frozen=True, slots=True)
class Recorded:
    """The statements of one purchase with the names of what differs from one to the next.

    `:member`, `:code`, and `:id0` to `:id7`. `round_trips` is 0 where there is no network.
    """

    statements: tuple[str, ...]
    round_trips: int


def record(database: Database, settings: Settings, asker: Asker) -> Recorded:
    """Book one purchase through the whole application and note what it says to the database."""
    said: list[str] = []
    traced: list[psycopg.Connection[object]] = []

    def listen(connection: psycopg.Connection[object] | sqlite3.Connection, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(said.append)
        else:
            traced.append(connection)

    event.listen(Engine, "connect", listen)
    installation = wiring.build(settings)
    client = create_app(installation).test_client(use_cookies=False)
    member = 17

    def book() -> None:
        head, _, body = asker.purchase(member).partition(b"\r\n\r\n")
        asked, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        answer = client.post(asked.split(" ")[1], data=body, headers=headers)
        told = f"HTTP/1.1 {answer.status}\r\n{answer.headers}".encode()
        assert asker.is_booked(told), answer.get_data(as_text=True)

    round_trips = 0
    # Several times first: programmes are read and statements prepared once.
    for _ in range(5):
        book()
    said.clear()
    earliest = new_id(ground.now())
    if database.server is None:
        book()
    else:
        with tempfile.TemporaryFile() as trace:
            for connection in traced:
                connection.pgconn.trace(trace.fileno())
                connection.pgconn.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
            book()
            for connection in traced:
                connection.pgconn.untrace()
            trace.seek(0)
            round_trips = _round_trips(trace.read().decode("utf-8", "replace"))
        said += _logged(database, book)
    event.remove(Engine, "connect", listen)
    installation.close()
    names = dict(_ids(said, earliest)) | {str(FIRST_ID + member): ":member"}

    def named(statement: str) -> str:
        statement = statement.replace(f"'{ground.code_of(member)}'", ":code")
        statement = re.sub(r"'v\d{15}:sale'|'api[:;]\d+[:;]v\d{15}'", ":id0", statement)
        return _LONG_NUMBER.sub(lambda found: names.get(found[0].strip("'"), found[0]), statement)

    plain = tuple(named(one) for one in said if not re.match("SAVEPOINT|RELEASE", one))
    return Recorded(plain, round_trips)


def _ids(said: list[str], earliest: int) -> Iterator[tuple[str, str]]:
    found = [text for one in said for text in re.findall(r"\b\d{15,19}\b", one)]
    fresh = dict.fromkeys(text for text in found if earliest <= int(text) < _REPLAYED_FROM)
    for number, text in enumerate(fresh):
        yield text, f":id{number}"


def _round_trips(trace: str) -> int:
    """How often the client had to wait: answers that follow something it sent."""
    sides = [line[0] for line in trace.splitlines() if line[:2] in ("F\t", "B\t")]
    return sum(pair == ("F", "B") for pair in pairwise(sides))


def _logged(database: Database, book: object) -> list[str]:
    """The statements of one purchase as PostgreSQL logs them, with their values filled in."""
    assert database.server is not None
    log = database.server.folder / "log"
    with psycopg.connect(database.url.replace("+psycopg", ""), autocommit=True) as connection:
        for setting in ("ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()"):
            connection.execute(setting)
        time.sleep(0.3)
        began = log.stat().st_size
        assert callable(book)
        book()
        time.sleep(0.1)
        text = log.read_text("utf-8")[began:]
        for setting in ("ALTER SYSTEM RESET log_statement", "SELECT pg_reload_conf()"):
            connection.execute(setting)
    said: list[str] = []
    for entry in re.split(r"\n(?=\d{4}-\d\d-\d\d )", text):
        if found := re.search(r"LOG:  (?:execute [^:]*|statement): (.*)", entry, re.DOTALL):
            said.append(" ".join(found[1].split()))
        elif found := re.search(r"DETAIL:  Parameters: (.*)", entry, re.DOTALL):
            said[-1] = _filled_in(said[-1], found[1])
    return said


def _filled_in(statement: str, parameters: str) -> str:
    values = dict(re.findall(r"\$(\d+) = ('(?:[^']|'')*'|NULL)", parameters))
    # pgbench would take a colon inside a text for the beginning of a variable.
    plain = {number: re.sub(r":(?!sale')", ";", value) for number, value in values.items()}
    return re.sub(r"\$(\d+)", lambda found: plain[found[1]], statement)


# The same without us -------------------------------------------------------------


def replayed(database: Database, recorded: Recorded, turn: int, *, members: int = MEMBERS) -> float:
    """Purchases a second of the bare statements, on the same database of so many members."""
    first = _REPLAYED_FROM + (turn << 40)
    if database.server is None:
        return _loop(database, recorded, first, members)
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "purchase.sql"
        script.write_text(pgbench_script(recorded, first, members))
        told = subprocess.run(
            [
                *(database.server.programs / "pgbench", "--no-vacuum", "--protocol=prepared"),
                *("--client", str(shoppers.TILLS), "--jobs", "2", "--time", f"{SECONDS:.0f}"),
                *("--define", "n=0", "--file", script),
                *("--host", "127.0.0.1", "--port", str(database.server.port), "--username", "postgres"),
                "postgres",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    rate = re.search(r"tps = ([\d.]+)", told.stdout)
    assert rate is not None, told.stderr[-2000:]
    assert "number of failed transactions: 0" in told.stdout, told.stdout
    return float(rate[1])


def pgbench_script(recorded: Recorded, first: int, members: int) -> str:
    """The purchase for pgbench: pipelined as ours, so with as many round trips."""
    lines = [
        f"\\set i random(0, {members - 1})",
        f"\\set member {FIRST_ID} + :i",
        f"\\set code {ground.code_expression(':i')}",
        "\\set n :n + 1",
    ]
    lines += [
        f"\\set id{number} {first} + (:n * 64 + :client_id) * {_IDS_PER_PURCHASE} + {number}"
        for number in range(_IDS_PER_PURCHASE)
    ]
    inside = False
    for position, statement in enumerate(recorded.statements):
        if statement == "BEGIN":
            inside = True
            lines.append("\\startpipeline")
        lines.append(f"{statement};")
        if statement == "COMMIT":
            inside = False
            lines.append("\\endpipeline")
        elif inside and statement.startswith("SELECT"):
            following = recorded.statements[position + 1]
            if not following.startswith("SELECT"):
                lines += ["\\endpipeline", "\\startpipeline"]
    return "\n".join(lines) + "\n"


def _loop(database: Database, recorded: Recorded, first: int, members: int) -> float:
    connection = sqlite3.connect(
        database.url.removeprefix("sqlite:///"), isolation_level=None, timeout=10, cached_statements=256
    )
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA cache_size=-16384")
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    connection.execute("PRAGMA foreign_keys=ON")
    count = 0
    began = time.perf_counter()
    while (now := time.perf_counter()) < began + SECONDS:
        number = random.randrange(members)
        values: dict[str, object] = {"member": FIRST_ID + number, "code": ground.code_of(number)}
        values |= {f"id{place}": first + count * _IDS_PER_PURCHASE + place for place in range(8)}
        for statement in recorded.statements:
            connection.execute(statement, values).fetchall()
        count += 1
    connection.close()
    return count / (now - began)


if __name__ == "__main__":
    sys.exit(alone(run))
