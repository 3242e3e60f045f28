"""The demonstration put back: from a copy of the same day, or made anew."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from passes.cli import resetting
from passes.cli.resetting import Fresh
from passes.settings import Settings


@pytest.fixture
def fresh(tmp_path: Path) -> Fresh:
    """What can be put back, with a database that holds one word."""
    environment = {"PASSES_MODE": "development", "PASSES_VAR": str(tmp_path)}
    found = resetting.fresh(Settings.read(environment))
    assert found is not None
    write(found.database, "fresh")
    return found


def write(database: Path, word: str) -> None:
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("CREATE TABLE IF NOT EXISTS said (word TEXT)")
        connection.execute("INSERT INTO said VALUES (?)", (word,))
    connection.close()


def said(database: Path) -> list[str]:
    connection = sqlite3.connect(database)
    words = [word for (word,) in connection.execute("SELECT word FROM said")]
    connection.close()
    return words


def never() -> None:
    raise AssertionError("made anew for no reason")


def test_the_copy_of_today_comes_back_and_the_phones_forget(fresh: Fresh, now: datetime) -> None:
    fresh.keep(now=now)
    write(fresh.database, "later")
    assert fresh.key is not None
    fresh.emulators.mkdir()
    (fresh.emulators / "letters").mkdir()
    (fresh.emulators / "phones.json").write_text("{}")
    fresh.key.write_text("the account's")
    fresh.asked_file.touch()
    assert fresh.is_asked_for()
    fresh.put_back(never, now=now + timedelta(hours=3))
    assert said(fresh.database) == ["fresh"]
    # With another key Google would not know the shop any more.
    assert list(fresh.emulators.iterdir()) == [fresh.key]
    assert not fresh.is_asked_for()
    assert fresh.database.stat().st_mode & 0o077 == 0
    assert fresh.copy.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("hours", [-1, 13, 24 * 30])
def test_a_copy_of_another_day_is_made_anew(fresh: Fresh, now: datetime, hours: int) -> None:
    fresh.keep(now=now)
    later = now + timedelta(hours=hours)
    fresh.put_back(lambda: write(fresh.database, "anew"), now=later)
    assert said(fresh.database) == ["anew"]
    # And that one is good for the rest of its day.
    write(fresh.database, "later")
    fresh.put_back(never, now=later + timedelta(hours=1))
    assert said(fresh.database) == ["anew"]


def test_without_a_copy_everything_is_made_anew(fresh: Fresh, now: datetime) -> None:
    fresh.put_back(lambda: write(fresh.database, "anew"), now=now)
    assert said(fresh.database) == ["anew"]


def test_a_database_that_is_still_written_is_not_copied(fresh: Fresh, now: datetime) -> None:
    fresh.database.with_name(f"{fresh.database.name}-wal").write_bytes(b"half")
    fresh.keep(now=now)
    assert not fresh.copy.exists()


def test_a_database_on_a_server_cannot_be_put_back(tmp_path: Path) -> None:
    environment = {
        "PASSES_MODE": "development",
        "PASSES_VAR": str(tmp_path),
        "PASSES_DATABASE_URL": "postgresql://shop@127.0.0.1/passes",
    }
    assert resetting.fresh(Settings.read(environment)) is None
