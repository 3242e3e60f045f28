"""Does the database answer, and has it the schema that this code needs?"""

from __future__ import annotations

import sqlite3
from enum import StrEnum

import psycopg
from sqlalchemy import Select, String, column, select, table
from sqlalchemy.exc import SQLAlchemyError

from passes.loyalty.refusals import Busy
from passes.store.doors import Store
from passes.store.migrations import HEAD

_VERSION: Select[str] = select(column("version_num", String)).select_from(table("alembic_version"))


class State(StrEnum):
    """How the database does."""

    CURRENT = "current"
    OUTDATED = "outdated"
    UNREACHABLE = "unreachable"


def state(store: Store) -> State:
    """One short question; never raises for a database that is away."""
    try:
        with store.read() as read:
            return State.CURRENT if read.ask(_VERSION).value() == HEAD else State.OUTDATED
    except (Busy, sqlite3.Error, psycopg.Error, SQLAlchemyError):
        return State.UNREACHABLE
