"""Tests stay on this machine and out of each other's databases."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "cards.example.com"])
def test_nothing_reaches_another_machine(host: str) -> None:
    with pytest.raises(AssertionError, match=r"tests stay on 127\.0\.0\.1"):
        socket.create_connection((host, 443), timeout=1)
    with socket.socket() as connection, pytest.raises(AssertionError):
        connection.connect_ex((host, 443))


@contextmanager
def plainly(url: str) -> Iterator[Any]:
    """A connection with the bare driver, closed at the end."""
    connection: Any = (
        sqlite3.connect(url.removeprefix("sqlite:///"))
        if url.startswith("sqlite")
        else psycopg.connect(url.replace("+psycopg", ""))
    )
    try:
        yield connection
        connection.commit()
    finally:
        connection.close()


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_gets_a_database_of_its_own(database_url: str, turn: int) -> None:
    with plainly(database_url) as connection:
        connection.execute("CREATE TABLE left_behind (turn INTEGER)")  # fails if the other turn was here


def test_the_database_is_migrated(database_url: str) -> None:
    with plainly(database_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall()
