"""Installations for stories, on both databases: the demonstration's shops, before the first customer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.conftest import at_rest
from tests.postgres import Postgres
from tests.stories.town import Town

_DATABASE = "passes_shops"


@pytest.fixture(scope="session")
def shops(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `passes demo` makes on SQLite: keys, certificates, a database. Made once, to be copied."""
    folder = tmp_path_factory.mktemp("shops")
    database = folder / "passes.sqlite3"
    shutil.copyfile(sqlite_template, database)
    Town(f"sqlite:///{database}", folder).run("demo")
    at_rest(database)
    return folder


@pytest.fixture(scope="session")
def shops_on_postgresql(
    postgres_server: Postgres,
    postgres_maintenance: psycopg.Connection,
    postgres_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The same beside a database on PostgreSQL."""
    folder = tmp_path_factory.mktemp("shops")
    postgres_maintenance.execute(f"CREATE DATABASE {_DATABASE} TEMPLATE {postgres_template}")
    Town(postgres_server.url(_DATABASE), folder).run("demo")
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def town(request: pytest.FixtureRequest) -> Town:
    """An installation that is not running yet."""
    built: Town = request.getfixturevalue(f"town_on_{request.param}")
    return built


@pytest.fixture
def town_on_postgresql(
    postgres_server: Postgres,
    postgres_maintenance: psycopg.Connection,
    shops_on_postgresql: Path,
    tmp_path: Path,
) -> Iterator[Town]:
    """One on PostgreSQL alone, where several may write at once."""
    shutil.copytree(shops_on_postgresql, tmp_path, dirs_exist_ok=True)
    name = f"town_{uuid4().hex}"
    postgres_maintenance.execute(f"CREATE DATABASE {name} TEMPLATE {_DATABASE} STRATEGY FILE_COPY")
    yield from _built(postgres_server.url(name), tmp_path)
    postgres_maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def town_on_sqlite(shops: Path, tmp_path: Path) -> Iterator[Town]:
    """One on SQLite alone, where one may write at a time."""
    shutil.copytree(shops, tmp_path, dirs_exist_ok=True)
    yield from _built(f"sqlite:///{tmp_path}/passes.sqlite3", tmp_path)


def _built(database_url: str, folder: Path) -> Iterator[Town]:
    town = Town(database_url, folder)
    yield town
    town.stop()
