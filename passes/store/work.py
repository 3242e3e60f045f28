"""Statements inside one transaction or one read.

A `Work` is what a use case's function gets from `Store.write`; a `Read` is
what `Store.read` gives. Both speak SQLAlchemy Core statements through the bare
driver: a statement is compiled once and then costs what the driver costs.

On PostgreSQL everything is pipelined: `ask` and `put` only send, and the
answer is waited for when it is read. Statements that do not depend on each
other therefore share one round trip without anybody arranging it.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from sqlalchemy import Executable
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler


class Row(Protocol):
    """One row: columns by name, or unpacked in order."""

    def __getattr__(self, name: str) -> Any: ...
    def __iter__(self) -> Any: ...
    def __getitem__(self, index: int) -> Any: ...
    def _asdict(self) -> dict[str, Any]: ...


class Prepared:
    """SQL text of one dialect with the values that the statement itself fixed."""

    __slots__ = ("fixed", "text")

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        assert isinstance(statement, ClauseElement)
        compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        assert isinstance(compiled, SQLCompiler)
        self.text = str(compiled)
        required = {bind.key for bind in compiled.bind_names if bind.required}
        values = compiled.construct_params({}, _check=False)
        self.fixed: Mapping[str, Any] = {key: value for key, value in values.items() if key not in required}


class Statements:
    """Compiled statements of one engine. Constants stay, passing ones go with their last reference."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.unchanging: dict[object, Any] = {}
        self._prepared: WeakKeyDictionary[ClauseElement, Prepared] = WeakKeyDictionary()

    def prepare(self, statement: Executable) -> Prepared:
        """The statement as text for this engine."""
        assert isinstance(statement, ClauseElement)
        prepared = self._prepared.get(statement)
        if prepared is None:
            prepared = self._prepared[statement] = Prepared(statement, self._dialect)
        return prepared


class Answer:
    """The rows of one question; on PostgreSQL they may still be on their way."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def one(self) -> Row | None:
        """The first row, or None."""
        row: Row | None = self._cursor.fetchone()
        return row

    def all(self) -> list[Row]:
        """Every row."""
        rows: list[Row] = self._cursor.fetchall()
        return rows

    def value(self) -> Any:
        """The first column of the first row, or None."""
        row = self._cursor.fetchone()
        return None if row is None else row[0]


class Unexpected(Exception):
    """A guarded write touched another number of rows than its caller promised."""


class Read:
    """Questions on one connection."""

    def __init__(self, connection: Any, statements: Statements, *, postgresql: bool) -> None:
        self._connection = connection
        self._statements = statements
        self.postgresql = postgresql
        # Facts that never change once written, such as parsed programme
        # versions, kept per process by whoever reads them.
        self.unchanging = statements.unchanging

    def ask(self, statement: Executable, **values: Any) -> Answer:
        """Run a statement that answers with rows (SELECT, or a write with RETURNING)."""
        prepared = self._statements.prepare(statement)
        parameters = {**prepared.fixed, **values} if prepared.fixed else values
        cursor = self._connection.cursor()
        cursor.execute(prepared.text, parameters)
        return Answer(cursor)


class Work(Read):
    """Questions and writes of one transaction."""

    def __init__(self, connection: Any, statements: Statements, *, postgresql: bool) -> None:
        super().__init__(connection, statements, postgresql=postgresql)
        self._promises: list[tuple[Any, int, str]] = []

    def put(self, statement: Executable, *, expect: int | None = None, **values: Any) -> None:
        """Run a write. With `expect`, another number of rows undoes the whole transaction.

        Raises `Unexpected`, on PostgreSQL when the transaction is about to commit.
        """
        prepared = self._statements.prepare(statement)
        parameters = {**prepared.fixed, **values} if prepared.fixed else values
        cursor = self._connection.cursor()
        cursor.execute(prepared.text, parameters)
        if expect is not None:
            self._promises.append((cursor, expect, prepared.text))

    def put_many(self, statement: Executable, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run one write for each mapping of values."""
        prepared = self._statements.prepare(statement)
        parameters = [{**prepared.fixed, **row} if prepared.fixed else row for row in rows]
        if parameters:
            self._connection.cursor().executemany(prepared.text, parameters)

    def keep_promises(self) -> None:
        """Check every `expect`; called by the door before it commits."""
        for cursor, expected, text in self._promises:
            if cursor.rowcount != expected:
                raise Unexpected(f"{cursor.rowcount} rows instead of {expected}: {text}")


_row_makers: dict[tuple[str, ...], Callable[[tuple[Any, ...]], Any]] = {}


def sqlite_row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Any:
    """Row factory that gives SQLite the named rows that psycopg gives by itself."""
    names = tuple(column[0] for column in cursor.description)
    make = _row_makers.get(names)
    if make is None:
        kind: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        make = _row_makers[names] = kind._make
    return make(values)
