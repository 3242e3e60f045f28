"""Talking to PostgreSQL, in transactions without waiting in between: libpq's pipeline.

psycopg has a pipeline of its own, built on cursors. A purchase is a handful of
small statements, and much of a till's processor time went into cursors; here a
statement is prepared once for each connection and mixture of types, sent, and
its answer is read when somebody asks for it. Connections, values of rows and
errors stay psycopg's.

Source: PostgreSQL, "libpq: Pipeline Mode".
"""

from __future__ import annotations

import select
from collections import deque, namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGresult
from psycopg.types.numeric import Int8Dumper

_INT8, _BOOL, _BYTEA, _UNKNOWN = 20, 16, 17, 0
_TEXT, _BINARY = pq.Format.TEXT, pq.Format.BINARY
_ROWS, _DONE, _READY = pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.PIPELINE_SYNC

Key = tuple[str, tuple[int, ...]]
"""A statement and the types of its parameters: what a plan is made for."""


class Reply:
    """The answer to a statement; on its way until it is read."""

    __slots__ = ("_next", "_pipeline", "_text", "result")

    def __init__(self, pipeline: Pipeline, text: str) -> None:
        self._pipeline = pipeline
        self._text = text
        self._next = 0
        self.result: PGresult | None = None

    def fetchone(self) -> Any:
        """The next row, or None."""
        result = self._arrived()
        if self._next >= result.ntuples:
            return None
        self._next += 1
        return self._pipeline.rows(self._text, result, self._next - 1, self._next)[0]

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        result = self._arrived()
        start, self._next = self._next, result.ntuples
        return self._pipeline.rows(self._text, result, start, self._next) if start < self._next else []

    def _arrived(self) -> PGresult:
        if self.result is None:
            self._pipeline.read_up_to(self)
        assert self.result is not None
        return self.result


class Pipeline:
    """The pipeline of one connection, for one thread at a time.

    Between `begin` and `finish` the connection takes nothing else; whoever
    sees an error calls `abandon`, and the transaction is still to be rolled back.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._pgconn = connection.pgconn
        # For lists of whole numbers; single ones are written here.
        connection.adapters.register_dumper(int, Int8Dumper)
        self._transformer = Transformer(connection)
        self._names: dict[Key, bytes] = {}
        self._prepared = 0
        self._makers: dict[str, Callable[[Sequence[Any]], Any]] = {}
        # What was sent and has no answer yet; of a preparation its key.
        self._sent: deque[Reply | Key] = deque()
        self._is_asked = self._is_ending = False
        self._poll = select.poll()
        self._poll.register(self._pgconn.socket, select.POLLIN)

    # Sending --------------------------------------------------------------------

    def begin(self) -> None:
        """From now on statements are sent without waiting."""
        self._pgconn.enter_pipeline_mode()

    def send(self, text: str, parameters: Sequence[Any] = ()) -> Reply:
        """Send a statement with the parameters `$1` and so on."""
        values, types, formats = self._dumped(parameters)
        key = (text, types)
        name = self._names.get(key)
        if name is None:
            self._prepared += 1
            name = self._names[key] = b"passes_%d" % self._prepared
            self._pgconn.send_prepare(name, text.encode(), types)
            self._sent.append(key)
        self._pgconn.send_query_prepared(name, values, formats)
        reply = Reply(self, text)
        self._sent.append(reply)
        self._is_asked = False
        return reply

    def finish(self) -> None:
        """Wait until everything that was sent is done. Raises the error of the first that failed."""
        self._end()
        while self._sent:
            self._read_next()
        self._leave()

    def abandon(self) -> None:
        """Leave the pipeline after an error, here or at the server, and keep what was prepared.

        Where that is not possible any more the connection is closed.
        """
        pgconn = self._pgconn
        try:
            if pgconn.status == pq.ConnStatus.OK and pgconn.pipeline_status != pq.PipelineStatus.OFF:
                self._end()
                while self._sent:
                    self._take()
                self._leave()
        except psycopg.Error:
            pgconn.finish()
        finally:
            self._sent.clear()
            self._is_ending = False

    def ask(self, text: str, parameters: Sequence[Any] = ()) -> Reply:
        """Send one statement and wait for its answer, outside of `begin` and `finish`."""
        for again in (False, True):
            self.begin()
            try:
                reply = self.send(text, parameters)
                self.finish()
            except psycopg.errors.InvalidSqlStatementName:
                # Somebody made the server forget all statements, a pooler in between perhaps.
                self.abandon()
                self.forget()
                if again or self._pgconn.transaction_status != pq.TransactionStatus.IDLE:
                    raise
            except BaseException:
                self.abandon()
                raise
            else:
                return reply
        raise AssertionError("unreachable")

    def say(self, *texts: str) -> None:
        """Send these, each without parameters, and wait for all of them."""
        self.begin()
        try:
            for text in texts:
                self.send(text)
            self.finish()
        except BaseException:
            self.abandon()
            raise

    def forget(self) -> None:
        """Prepare everything anew: the server knows none of it any more."""
        self._names.clear()

    # Reading --------------------------------------------------------------------

    def read_up_to(self, reply: Reply) -> None:
        """Read answers in their order until this one is there."""
        if not self._is_asked:
            # The server sends what it has when its buffer is full, or when it is asked to.
            self._pgconn.send_flush_request()
            self._flush()
            self._is_asked = True
        while reply.result is None:
            self._read_next()

    def rows(self, text: str, result: PGresult, start: int, end: int) -> list[Any]:
        """Some rows of a statement's answer, their columns by name."""
        make = self._makers.get(text)
        if make is None:
            names = [(result.fname(place) or b"").decode() for place in range(result.nfields)]
            kind: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
            make = self._makers[text] = kind._make
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(start, end, make)

    def _read_next(self) -> None:
        result = self._take()
        if result.status not in (_ROWS, _DONE):
            raise error_from_result(result, encoding="utf-8")

    def _take(self) -> PGresult:
        """What the server says to the oldest statement without an answer, and the nothing that follows."""
        result = self._result()
        if result is None or self._pgconn.status != pq.ConnStatus.OK:
            raise psycopg.OperationalError("the connection to the database is lost")
        self._result()
        sent = self._sent.popleft()
        if isinstance(sent, Reply):
            sent.result = result
        elif result.status != _DONE:
            del self._names[sent]
        return result

    def _end(self) -> None:
        """Let the server end what belongs together, whether or not something failed."""
        if not self._is_ending:
            self._pgconn.pipeline_sync()
            self._is_ending = True
        self._flush()

    def _leave(self) -> None:
        """Read the server's word that there is no more, and be an ordinary connection again."""
        result = self._result()
        if result is None or result.status != _READY:
            raise psycopg.OperationalError("the database answers something else than it was asked")
        self._is_ending = False
        self._pgconn.exit_pipeline_mode()

    def _result(self) -> PGresult | None:
        pgconn = self._pgconn
        while pgconn.is_busy():
            self._poll.poll()
            pgconn.consume_input()
        return pgconn.get_result()

    def _flush(self) -> None:
        pgconn = self._pgconn
        while pgconn.flush():
            # The server may be waiting for us to read before it reads on.
            self._poll.modify(pgconn.socket, select.POLLIN | select.POLLOUT)
            try:
                ready = self._poll.poll()
            finally:
                self._poll.modify(pgconn.socket, select.POLLIN)
            if any(event & ~select.POLLOUT for _, event in ready):
                pgconn.consume_input()

    def _dumped(self, parameters: Sequence[Any]) -> tuple[list[Any], tuple[int, ...], Sequence[pq.Format]]:
        """Values as the wire wants them, their types, and whether they are text or bytes."""
        kinds = tuple(map(type, parameters))
        found = _WAYS.get(kinds)
        if found is None:
            ways = [_WAY.get(kind) for kind in kinds]
            if None in ways:
                return self._dumped_by_psycopg(parameters)
            known = [way for way in ways if way is not None]
            found = _WAYS[kinds] = (
                tuple(way[0] for way in known),
                tuple(way[1] for way in known),
                tuple(way[2] for way in known),
            )
        dump, types, formats = found
        return [how(value) for how, value in zip(dump, parameters, strict=True)], types, formats

    def _dumped_by_psycopg(
        self, parameters: Sequence[Any]
    ) -> tuple[list[Any], tuple[int, ...], Sequence[pq.Format]]:
        dumpers = [
            None if value is None else self._transformer.get_dumper(value, PyFormat.AUTO)
            for value in parameters
        ]
        values = [
            None if dumper is None else dumper.dump(value)
            for dumper, value in zip(dumpers, parameters, strict=True)
        ]
        types = tuple(_UNKNOWN if dumper is None else dumper.oid for dumper in dumpers)
        return values, types, [_TEXT if dumper is None else dumper.format for dumper in dumpers]


# How the everyday kinds of values travel, their type, and whether as text. Whole numbers have
# one type, whatever their size: otherwise a statement would be planned for every mixture.
_Way = tuple[Callable[[Any], bytes | None], int, pq.Format]
_WAY: dict[type, _Way] = {
    int: (b"%d".__mod__, _INT8, _TEXT),
    str: (str.encode, _UNKNOWN, _TEXT),
    type(None): (lambda _value: None, _UNKNOWN, _TEXT),
    bool: (lambda value: b"t" if value else b"f", _BOOL, _TEXT),
    bytes: (lambda value: value, _BYTEA, _BINARY),
}
_WAYS: dict[
    tuple[type, ...],
    tuple[tuple[Callable[[Any], bytes | None], ...], tuple[int, ...], tuple[pq.Format, ...]],
] = {}
