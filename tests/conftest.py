"""What every test may ask for: an instant, databases of both kinds, a store; and what none may do."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import hypothesis
import psycopg
import pytest

from tests import postgres

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

    from passes.store import Store

pytest_plugins = ["tests.conformance"]

# Thousands of small files, each written through to the disk a few times: in memory they cost nothing.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(postgres.room_for_files()))

# The same examples in every run: a red test on one machine is red on all.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("steady")

_TEMPLATE = "passes_template"
_LONGEST = ("tests/test_engine.py", "tests/stories/test_last_points.py")


_HERE = {"127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "", None}


def pytest_configure() -> None:
    """Keep every test on this machine: neither connections nor questions for names may leave it."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _refuse_strangers(address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _refuse_strangers(address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        _refuse_strangers((host,))
        return getaddrinfo(host, *rest, **options)

    vars(socket)["getaddrinfo"] = guarded_getaddrinfo
    socket.socket.connect = guarded_connect  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[method-assign, assignment]


def _refuse_strangers(address: object) -> None:
    # The address of a Unix socket is a path, any other is a tuple that begins with the host.
    # Not an OSError: code that retries on a lost connection must not swallow this.
    inside = not isinstance(address, tuple) or address[0] in _HERE
    assert inside, f"a test tried to reach {address!r}; tests stay on 127.0.0.1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Browser tests need Debian's Chromium: without it they are skipped, but not in CI."""
    if item.get_closest_marker("browser") and not shutil.which("chromium"):
        words = "Chromium is missing: apt-get install --no-install-recommends chromium"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest goes first: begun last it would keep one processor busy and the others waiting."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))


@pytest.fixture
def now() -> datetime:
    """A Saturday morning in March, in UTC."""
    return datetime(2026, 3, 14, 10, 0, tzinfo=UTC)


# Browsers --------------------------------------------------------------------


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """What browsers are driven with, once in each test process: it cannot run twice."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """A browser of this test process: a test makes contexts, which share nothing, and closes them."""
    from tests.web.browser.window import CHROMIUM, FLAGS

    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield browser
    browser.close()


# Databases -------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """A PostgreSQL of this test process; started by the first test that asks."""
    server = postgres.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_url(postgres_server: postgres.Postgres) -> str:
    """The maintenance database of the server."""
    return postgres_server.url()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated empty SQLite file, to be copied."""
    from passes import store

    path = tmp_path_factory.mktemp("template") / "empty.sqlite3"
    store.migrate(f"sqlite:///{path}")
    at_rest(path)
    return path


def at_rest(path: Path) -> None:
    """Bring all of a SQLite database into its one file."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@pytest.fixture(scope="session")
def postgres_maintenance(postgres_server: postgres.Postgres) -> Iterator[psycopg.Connection]:
    """A connection that creates and drops databases."""
    with psycopg.connect(
        host="127.0.0.1", port=postgres_server.port, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        yield connection


@pytest.fixture(scope="session")
def postgres_template(postgres_server: postgres.Postgres, postgres_maintenance: psycopg.Connection) -> str:
    """The name of a migrated empty database, to be copied."""
    from passes import store

    postgres_maintenance.execute(f"CREATE DATABASE {_TEMPLATE}")
    store.migrate(postgres_server.url(_TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated empty SQLite database of this test's own."""
    path = tmp_path / "passes.sqlite3"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(
    postgres_server: postgres.Postgres, postgres_maintenance: psycopg.Connection, postgres_template: str
) -> Iterator[str]:
    """A migrated empty PostgreSQL database of this test's own."""
    name = f"test_{uuid4().hex}"
    # Copying files is several times faster than the default, which logs every page.
    postgres_maintenance.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template} STRATEGY FILE_COPY")
    yield postgres_server.url(name)
    postgres_maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated empty database of this test's own: every test that asks runs on both engines."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """The store on an empty database, on both engines."""
    from passes import store as stores

    opened = stores.open(database_url)
    yield opened
    opened.close()
