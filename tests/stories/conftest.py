"""Installations for stories, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.town import Town


@pytest.fixture
def town(database_url: str, tmp_path: Path) -> Iterator[Town]:
    """An installation that is not running yet."""
    yield from _built(database_url, tmp_path)


@pytest.fixture
def town_on_postgresql(postgresql_url: str, tmp_path: Path) -> Iterator[Town]:
    """One on PostgreSQL alone, where several may write at once."""
    yield from _built(postgresql_url, tmp_path)


@pytest.fixture
def town_on_sqlite(sqlite_url: str, tmp_path: Path) -> Iterator[Town]:
    """One on SQLite alone, where one may write at a time."""
    yield from _built(sqlite_url, tmp_path)


def _built(database_url: str, folder: Path) -> Iterator[Town]:
    town = Town(database_url, folder)
    yield town
    town.stop()
