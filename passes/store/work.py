"""Statements inside one transaction or one read.

A `Work` is what a use case's function gets from `Store.write`; a `Read` is
what `Store.read` gives. Both speak SQLAlchemy Core statements through the bare
driver: a statement is compiled once and then costs what the driver costs.

A `Work` on PostgreSQL is pipelined: `ask` and `put` only send, and the answer
is waited for when it is read. Statements that do not depend on each other
therefore share one round trip without anybody arranging it. Writes that follow
each other travel as one statement, as long as each has a table of its own.
"""

from __future__ import annotations

import re
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol
from weakref import ref

from sqlalchemy import Executable, Select, TextClause
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement, visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import SelectBase

from passes.store.pipeline import Pipeline


class Row(Protocol):
    """One row: columns by name, or unpacked in order."""

    def __getattr__(self, name: str) -> Any: ...
    def __iter__(self) -> Any: ...
    def __getitem__(self, index: int) -> Any: ...
    def _asdict(self) -> dict[str, Any]: ...


class Prepared:
    """SQL text of one dialect, and how to bind values to it.

    `table` is the table of a write that neither reads nor changes any other. A
    question `is_look` when it leaves everything as it is, and `locks` when it
    keeps others from what it reads.
    Parameters travel in their order, PostgreSQL's numbered, so that no driver
    need look for names in the text every time.
    """

    __slots__ = ("_fixed", "_in_order", "is_look", "locks", "row", "table", "text")

    def __init__(self, statement: Executable, dialect: Dialect) -> None:
        assert isinstance(statement, ClauseElement)
        compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        assert isinstance(compiled, SQLCompiler)
        required = {bind.key for bind in compiled.bind_names if bind.required}
        values = compiled.construct_params({}, _check=False)
        self._fixed: Mapping[str, Any] = {key: value for key, value in values.items() if key not in required}
        self.text = str(compiled)
        if dialect.name == "postgresql":
            order = list(dict.fromkeys(_PARAMETER.findall(self.text)))
            numbered = _PARAMETER.sub(lambda found: f"${order.index(found[1]) + 1}", self.text)
            self.text = numbered.replace("%%", "%")
        else:
            order = list(compiled.positiontup or ())
        self._in_order: Callable[[Mapping[str, Any]], Sequence[Any]] = _in_order(order)
        self.table = _only_table(statement)
        is_select = isinstance(statement, SelectBase)
        self.locks = is_select and getattr(statement, "_for_update_arg", None) is not None
        self.is_look = is_select and not self.locks
        # How SQLite makes a row of it, once its columns are known.
        self.row: Callable[[sqlite3.Cursor, tuple[Any, ...]], Any] = sqlite_row

    def bind(self, values: Mapping[str, Any]) -> Any:
        """The parameters for the driver."""
        if self._fixed:
            values = {**self._fixed, **values}
        return self._in_order(values)


def _in_order(names: Sequence[str]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """What takes the values of these names out of a mapping."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: [values[name] for name in names]


_PARAMETER = re.compile(r"%\((\w+)\)s")
_NUMBER = re.compile(r"\$(\d+)")


def _only_table(statement: ClauseElement) -> object | None:
    if not isinstance(statement, UpdateBase):
        return None
    reads = any(isinstance(part, (Select, TextClause)) for part in visitors.iterate(statement))
    return None if reads else statement.table


@dataclass(frozen=True, slots=True)
class Write:
    """A write that was not sent yet."""

    prepared: Prepared
    parameters: Sequence[Any]
    expect: int | None


class Statements:
    """Compiled statements of one engine. Constants stay, passing ones go with their last reference."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.unchanging: dict[object, Any] = {}
        # By identity, which is quicker than asking a weak dictionary a dozen times for each purchase.
        self._prepared: dict[int, tuple[ref[ClauseElement], Prepared]] = {}
        self._joined: dict[tuple[tuple[str, bool], ...], str] = {}

    def prepare(self, statement: Executable) -> Prepared:
        """The statement as text for this engine."""
        assert isinstance(statement, ClauseElement)
        place = id(statement)
        found = self._prepared.get(place)
        if found is not None and found[0]() is statement:
            return found[1]
        prepared = Prepared(statement, self._dialect)
        self._prepared[place] = ref(statement, lambda gone: self._forget(place, gone)), prepared
        return prepared

    def _forget(self, place: int, gone: ref[ClauseElement]) -> None:
        """Its place may have been taken by another statement meanwhile."""
        found = self._prepared.get(place)
        if found is not None and found[0] is gone:
            del self._prepared[place]

    def join(self, writes: Sequence[Write]) -> str:
        """Several writes as one statement of PostgreSQL; its parameters are theirs, then what they expect.

        Where a write touches another number of rows than expected, the
        statement divides by zero, which ends the transaction.
        """
        key = tuple((write.prepared.text, write.expect is not None) for write in writes)
        text = self._joined.get(key)
        if text is None:
            text = self._joined[key] = _join(writes)
        return text


def _join(writes: Sequence[Write]) -> str:
    parts, checks = [], []
    before, expected = 0, sum(len(write.parameters) for write in writes)
    for number, write in enumerate(writes):
        part = _counted_from(before, write.prepared.text)
        before += len(write.parameters)
        if write.expect is not None:
            part += " RETURNING 1"
            expected += 1
            checks.append(f"(SELECT count(*) FROM w{number}) = ${expected}")
        parts.append(f"w{number} AS ({part})")
    return f"WITH {', '.join(parts)} SELECT 1 / ({' AND '.join(checks) or 'true'})::integer AS kept"


def _counted_from(before: int, text: str) -> str:
    return _NUMBER.sub(lambda found: f"${int(found[1]) + before}", text)


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
    """Questions on one connection. `pipeline` is that of a PostgreSQL connection; SQLite has none."""

    def __init__(self, connection: Any, statements: Statements, *, pipeline: Pipeline | None = None) -> None:
        self._connection = connection
        self._statements = statements
        self._pipeline = pipeline
        self.postgresql = pipeline is not None
        # Facts that never change once written, such as parsed programme
        # versions, kept per process by whoever reads them.
        self.unchanging = statements.unchanging

    def ask(self, statement: Executable, **values: Any) -> Answer:
        """Run a statement that answers with rows (SELECT, or a write with RETURNING)."""
        prepared = self._statements.prepare(statement)
        if self._pipeline is not None:
            return Answer(self._pipeline.ask(prepared.text, prepared.bind(values)))
        cursor = self._connection.cursor()
        cursor.execute(prepared.text, prepared.bind(values))
        if prepared.row is sqlite_row:
            prepared.row = row_factory(cursor)
        cursor.row_factory = prepared.row
        return Answer(cursor)


class Work(Read):
    """Questions and writes of one transaction.

    Where it answers a request by its key, `overtaken` says whether the same
    request was answered by another transaction meanwhile.
    """

    def __init__(self, connection: Any, statements: Statements, *, pipeline: Pipeline | None = None) -> None:
        super().__init__(connection, statements, pipeline=pipeline)
        self.overtaken: Callable[[Read], bool] | None = None
        self._waiting: list[Write] = []

    def ask(self, statement: Executable, **values: Any) -> Answer:
        """Run a statement that answers with rows (SELECT, or a write with RETURNING)."""
        if self._pipeline is None:
            return super().ask(statement, **values)
        self.send()
        prepared = self._statements.prepare(statement)
        return Answer(self._pipeline.send(prepared.text, prepared.bind(values)))

    def put(self, statement: Executable, *, expect: int | None = None, **values: Any) -> None:
        """Run a write. With `expect`, another number of rows undoes the whole transaction.

        Raises `Unexpected`, on PostgreSQL when the transaction is about to commit.
        """
        prepared = self._statements.prepare(statement)
        parameters = prepared.bind(values)
        if self._pipeline is None:
            cursor = self._connection.cursor()
            cursor.execute(prepared.text, parameters)
            if expect not in (None, cursor.rowcount):
                raise Unexpected(f"{cursor.rowcount} rows instead of {expect}: {prepared.text}")
            return
        # The parts of a joined statement do not see each other's work, so two
        # of the same table must not meet in one.
        if prepared.table is None or any(write.prepared.table is prepared.table for write in self._waiting):
            self.send()
        self._waiting.append(Write(prepared, parameters, expect))
        if prepared.table is None:
            self.send()

    def put_many(self, statement: Executable, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run one write for each mapping of values."""
        prepared = self._statements.prepare(statement)
        parameters = [prepared.bind(row) for row in rows]
        if self._pipeline is None:
            self._connection.cursor().executemany(prepared.text, parameters)
            return
        self.send()
        for one in parameters:
            self._pass_on(prepared.text, one)

    def concerns(self, member_id: int) -> None:
        """Say whose books this is about, once that is known: nobody else may decide about them meanwhile."""

    def send(self) -> None:
        """Send the writes that still wait; called by the door before it commits."""
        writes = self._waiting
        if not writes or self._pipeline is None:
            return
        self._waiting = []
        if len(writes) == 1 and writes[0].expect is None:
            self._pass_on(writes[0].prepared.text, writes[0].parameters)
            return
        parameters = [value for write in writes for value in write.parameters]
        parameters += [write.expect for write in writes if write.expect is not None]
        self._pass_on(self._statements.join(writes), parameters)

    def _pass_on(self, text: str, parameters: Sequence[Any]) -> None:
        assert self._pipeline is not None
        self._pipeline.send(text, parameters)


_row_makers: dict[tuple[str, ...], Callable[[sqlite3.Cursor, tuple[Any, ...]], Any]] = {}


def sqlite_row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Any:
    """Row factory that gives SQLite the named rows that psycopg gives by itself."""
    return row_factory(cursor)(cursor, values)


def row_factory(cursor: sqlite3.Cursor) -> Callable[[sqlite3.Cursor, tuple[Any, ...]], Any]:
    """The row factory for the columns of what was just executed."""
    names = tuple(column[0] for column in cursor.description)
    make = _row_makers.get(names)
    if make is None:
        kind: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        _row_makers[names] = make = lambda _cursor, values: tuple.__new__(kind, values)
    return make
