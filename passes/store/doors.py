"""The two doors to the database: `Store.write` and `Store.read`.

`write(decide)` runs `decide(work)` in one transaction. What `decide` returns is
returned once it is durable; what it raises undoes everything. `decide` touches
no network and may run twice: after a deadlock, after a lost connection, or
when a neighbour in the same group commit took the transaction down with it.

PostgreSQL: the caller's thread, a transaction of its own, pipelined. In a
server, purchases that wait at the same moment share one (store/sharing.py).
SQLite: there is one writer. In a server, waiting functions run one after the
other on the process's writer thread and share one commit (group commit: full
durability at the price of one fsync for many). Where one fails after it wrote,
all is undone and the others run again, each by itself. The worker
and the command line write from their own thread in short transactions.

Who has thousands of small writes to do and nobody waiting for one of them does
them through `together`: one transaction for many, on the caller's thread.
"""

from __future__ import annotations

import contextlib
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import TimeoutError as PoolTimeout

from passes.loyalty.refusals import Busy, Refused, StorageFull
from passes.store.pipeline import Pipeline
from passes.store.sharing import SharedWriter
from passes.store.work import Read, Statements, Unexpected, Work, sqlite_row

T = TypeVar("T")
Decide = Callable[[Work], T]
Condition = Callable[[Read], Callable[[], None]]
"""Asks something; what it gives back looks at the answer, and raises where nothing may be written."""

_BUSY_SECONDS = 5
_TRIES_MAX = 6
_GROUP_MAX = 64
_TOGETHER_MAX = 1_000
_SQLITE_CACHE_KIB = 16_384
_SQLITE_CACHE_TOGETHER_KIB = 131_072
_SQLITE_MAPPED_BYTES = 2_147_418_112  # as much as SQLite allows unless it is built otherwise
_BROKEN_PROMISE = "a guarded write touched another number of rows than it promised"


class Store:
    """One database. Make it with `passes.store.open`, close it when done."""

    def __init__(self, engine: Engine, *, writer_thread: bool) -> None:
        self._engine = engine
        self.postgresql = engine.dialect.name == "postgresql"
        self._statements = Statements(engine.dialect)
        self._writer = None if self.postgresql else _SqliteWriter(self, threaded=writer_thread)
        self._shared = (
            SharedWriter(self._own_connection, self._statements)
            if self.postgresql and writer_thread
            else None
        )

    @property
    def url(self) -> str:
        """Where the database is, without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    def write(self, decide: Decide[T], *, lane: str | None = None) -> T:
        """Run `decide` in one transaction and return its answer once that is durable.

        With a `lane`, PostgreSQL may carry others' writes in the same transaction
        (store/sharing.py): of one lane only one at a time, and only such that
        carry their caller's key.
        Raises `Busy` when the database could not take the write in time and
        `StorageFull` when the disk is full; nothing has changed then. Whatever
        `decide` raises is passed on, with everything undone.
        """
        if self._writer is not None:
            return self._writer.write(decide)
        if lane is not None and self._shared is not None:
            passenger = self._shared.write(decide, lane)
            if not passenger.is_alone:
                answer: T = passenger.answer
                return answer
        return self._write_postgresql(decide)

    def _own_connection(self) -> psycopg.Connection[Any]:
        pooled = self._raw()
        connection: psycopg.Connection[Any] = pooled.driver_connection
        pooled.detach()
        return connection

    @contextlib.contextmanager
    def read(self, *, snapshot: bool = False) -> Iterator[Read]:
        """A connection for questions. With `snapshot`, all of them see one instant.

        Raises `Busy` when the database cannot be reached.
        """
        pooled = self._raw()
        try:
            connection = pooled.driver_connection
            pipeline = _pipeline_of(pooled) if self.postgresql else None
            read = Read(connection, self._statements, pipeline=pipeline)
            if not snapshot:
                yield read
                return
            if pipeline is not None:
                pipeline.say("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            else:
                connection.execute("BEGIN")
            try:
                yield read
            finally:
                if pipeline is not None:
                    pipeline.say("ROLLBACK")
                else:
                    connection.execute("ROLLBACK")
        except psycopg.OperationalError as error:
            if not pooled.driver_connection.closed:
                raise
            self._forget_connections(pooled)
            raise Busy() from error
        finally:
            pooled.close()

    @contextlib.contextmanager
    def together(self, *, at_most: int = _TOGETHER_MAX) -> Iterator[Store]:
        """A store whose writes share transactions: commits after `at_most` of them and at the end.

        For this thread alone, and for work that may be repeated: what is answered is
        durable only after the next commit. A write that raises is undone by itself;
        when the block ends by an exception, everything since the last commit is undone.
        Others that write to SQLite wait meanwhile. Raises what `write` raises.
        """
        pooled = self._raw()
        one = _Together(self, pooled, at_most)
        try:
            one.remember(_SQLITE_CACHE_TOGETHER_KIB)
            one.begin()
            yield one
            one.commit()
        except (sqlite3.OperationalError, psycopg.OperationalError) as error:
            if self.postgresql and pooled.driver_connection.closed:
                self._forget_connections(pooled)
            refusal = _refusal(error)
            if refusal is None:
                raise
            raise refusal from error
        finally:
            one.rollback()
            one.remember(_SQLITE_CACHE_KIB)
            pooled.close()

    def under(self, condition: Condition) -> Store:
        """This store, whose writes happen only where a condition holds in their own transaction."""
        return _Under(self, condition)

    def close(self) -> None:
        """Finish waiting writes and let go of every connection."""
        if self._writer is not None:
            self._writer.close()
        if self._shared is not None:
            self._shared.close()
        self._engine.dispose()

    def _write_postgresql(self, decide: Decide[T]) -> T:
        for tries in range(1, _TRIES_MAX + 1):
            pooled = self._raw()
            connection = pooled.driver_connection
            assert isinstance(connection, psycopg.Connection)
            pipeline = _pipeline_of(pooled)
            work = Work(connection, self._statements, pipeline=pipeline)
            try:
                return self._transact_postgresql(connection, pipeline, work, decide)
            except Refused:
                # Two of the same request met: what the second waited for is the first one's answer.
                read = Read(connection, self._statements, pipeline=pipeline)
                if tries == _TRIES_MAX or work.overtaken is None or not work.overtaken(read):
                    raise
            except (
                psycopg.errors.SerializationFailure,
                psycopg.errors.DeadlockDetected,
                # Two of the same key (or id) met: the second run finds the first one's row.
                psycopg.errors.UniqueViolation,
            ):
                if tries == _TRIES_MAX:
                    raise
                time.sleep(random.uniform(0, 0.002 * 2**tries))
            except psycopg.errors.InvalidSqlStatementName:
                # Somebody made the server forget all statements, a pooler in between perhaps.
                pipeline.forget()
                if tries == _TRIES_MAX:
                    raise
            except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled) as error:
                raise Busy() from error
            except psycopg.errors.DiskFull as error:
                raise StorageFull() from error
            except psycopg.OperationalError as error:
                if not connection.closed:
                    raise
                # The server went away. Whether a commit arrived is unknown, but
                # writes carry the caller's key, so running again is safe.
                self._forget_connections(pooled)
                if tries >= 3:
                    raise Busy() from error
                time.sleep(0.05 * tries)
            finally:
                pooled.close()
        raise AssertionError("unreachable")

    def _transact_postgresql(
        self, connection: psycopg.Connection[Any], pipeline: Pipeline, work: Work, decide: Decide[T]
    ) -> T:
        try:
            pipeline.begin()
            pipeline.send("BEGIN")
            answer = decide(work)
            work.send()
            # In the same breath: after an error the server skips it.
            pipeline.send("COMMIT")
            pipeline.finish()
        except BaseException as error:
            pipeline.abandon()
            if not connection.closed:
                pipeline.say("ROLLBACK")
            if isinstance(error, psycopg.errors.DivisionByZero):
                raise Unexpected(_BROKEN_PROMISE) from error
            raise
        return answer

    def _raw(self) -> Any:
        """A pooled connection. Raises `Busy` when the server cannot be reached."""
        try:
            return self._engine.raw_connection()
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Busy() from error

    def _forget_connections(self, pooled: Any) -> None:
        """The server went away, and every idle connection with it."""
        pooled.invalidate()
        self._engine.dispose()


class _Under(Store):
    """A store whose writes have a condition. Its question travels with theirs."""

    def __init__(self, store: Store, condition: Condition) -> None:
        self.postgresql = store.postgresql
        self._store = store
        self._condition = condition

    def write(self, decide: Decide[T], *, lane: str | None = None) -> T:
        """As the store does it. Raises first of all what the condition raises."""

        def allowed(work: Work) -> T:
            verify = self._condition(work)
            try:
                answer = decide(work)
            except Refused:
                verify()
                raise
            verify()
            return answer

        return self._store.write(allowed, lane=lane)

    @contextlib.contextmanager
    def read(self, *, snapshot: bool = False) -> Iterator[Read]:
        """As the store does it: the condition is one of writes."""
        with self._store.read(snapshot=snapshot) as read:
            yield read


class _Together(Store):
    """One connection whose writes are parts of one transaction, each in a savepoint."""

    def __init__(self, store: Store, pooled: Any, at_most: int) -> None:
        self._engine = store._engine
        self._statements = store._statements
        self.postgresql = store.postgresql
        self._connection = pooled.driver_connection
        self._pipeline = _pipeline_of(pooled) if store.postgresql else None
        self._at_most = at_most
        self._written = 0

    def write(self, decide: Decide[T], *, lane: str | None = None) -> T:
        """Run `decide` as a part of the transaction; what it raises undoes this part."""
        work = Work(self._connection, self._statements, pipeline=self._pipeline)
        try:
            if self._pipeline is None:
                self._connection.execute("SAVEPOINT one")
                answer = decide(work)
                self._connection.execute("RELEASE SAVEPOINT one")
            else:
                answer = self._write_postgresql_part(self._pipeline, work, decide)
        except BaseException as error:
            if self._is_open():
                self._say("ROLLBACK TO SAVEPOINT one", "RELEASE SAVEPOINT one")
            if isinstance(error, psycopg.errors.DivisionByZero):
                raise Unexpected(_BROKEN_PROMISE) from error
            raise
        self._written += 1
        if self._written >= self._at_most:
            self.commit()
            self.begin()
        return answer

    def _write_postgresql_part(self, pipeline: Pipeline, work: Work, decide: Decide[T]) -> T:
        try:
            pipeline.begin()
            pipeline.send("SAVEPOINT one")
            answer = decide(work)
            work.send()
            pipeline.send("RELEASE SAVEPOINT one")
            pipeline.finish()
        except BaseException:
            pipeline.abandon()
            raise
        return answer

    @contextlib.contextmanager
    def read(self, *, snapshot: bool = False) -> Iterator[Read]:
        """Questions within the transaction: they see what it wrote."""
        yield Read(self._connection, self._statements, pipeline=self._pipeline)

    @contextlib.contextmanager
    def together(self, *, at_most: int = _TOGETHER_MAX) -> Iterator[Store]:
        """The same transactions."""
        yield self

    def close(self) -> None:
        """Nothing: whoever opened it ends it."""

    def remember(self, kib: int) -> None:
        """Let SQLite keep so much: what does not fit is written before its time, often again and again."""
        if not self.postgresql:
            self._connection.execute(f"PRAGMA cache_size=-{kib}")

    def begin(self) -> None:
        """Begin a transaction."""
        self._written = 0
        if self.postgresql:
            self._say("BEGIN")
        else:
            _take_turn(self._connection)

    def commit(self) -> None:
        """Make what was written durable."""
        self._say("COMMIT")

    def rollback(self) -> None:
        """Undo what was not committed, if there is anything; nobody remembers what was read of it."""
        if self._is_open():
            self._statements.unchanging.clear()
            self._say("ROLLBACK")

    def _say(self, *texts: str) -> None:
        if self._pipeline is not None:
            self._pipeline.say(*texts)
            return
        for text in texts:
            self._connection.execute(text)

    def _is_open(self) -> bool:
        """Whether a transaction is under way; a full disk, for one, ends it."""
        if self.postgresql:
            idle = psycopg.pq.TransactionStatus.IDLE
            return not self._connection.closed and self._connection.info.transaction_status != idle
        is_open: bool = self._connection.in_transaction
        return is_open


class _Waiting:
    """A function that waits for the writer thread, and what came of it: an answer or an error."""

    __slots__ = ("_answer", "_done", "_error", "decide", "is_over")

    def __init__(self, decide: Decide[Any]) -> None:
        self.decide = decide
        self.is_over = False
        self._answer: Any = None
        self._error: BaseException | None = None
        # A Future would do, at several times the price.
        self._done = threading.Lock()
        self._done.acquire()

    def succeed(self, answer: Any) -> None:
        """It is durable."""
        self._answer = answer
        self._end()

    def fail(self, error: BaseException) -> None:
        """Nothing was written."""
        self._error = error
        self._end()

    def _end(self) -> None:
        self.is_over = True
        self._done.release()

    def result(self) -> Any:
        """The answer, once it is there. Raises the error."""
        self._done.acquire()
        if self._error is not None:
            raise self._error
        return self._answer


class _SqliteWriter:
    """The one place of a process that writes to SQLite."""

    def __init__(self, store: Store, *, threaded: bool) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._pooled: Any = None
        self._threaded = threaded
        self._thread: threading.Thread | None = None

    def write(self, decide: Decide[T]) -> T:
        waiting = _Waiting(decide)
        if not self._threaded:
            with self._lock:
                self._run_group([waiting])
        else:
            if self._thread is None:
                self._start()
            self._queue.put(waiting)
        answer: T = waiting.result()
        return answer

    def close(self) -> None:
        with self._lock:
            thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join()
        if self._pooled is not None:
            self._pooled.close()
            self._pooled = None

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="sqlite-writer", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            group = [first]
            stop = False
            while len(group) < _GROUP_MAX:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    stop = True
                    break
                group.append(more)
            self._run_group(group)
            if stop:
                return

    def _run_group(self, group: list[_Waiting]) -> None:
        """Run the functions in one transaction; where that fails as a whole, one by one."""
        try:
            undone = self._transact(group)
            for waiting in undone:
                if not waiting.is_over and self._transact([waiting]):
                    waiting.fail(Busy())
        except BaseException as error:
            for waiting in group:
                if not waiting.is_over:
                    waiting.fail(error)

    def _transact(self, group: list[_Waiting]) -> list[_Waiting]:
        """One transaction over the group. Returns those that must run again on their own."""
        try:
            connection = self._connection()
            _take_turn(connection)
        except sqlite3.OperationalError as error:
            refusal = _refusal(error)
            if refusal is None:
                raise
            for waiting in group:
                waiting.fail(refusal)
            return []
        answers: list[tuple[_Waiting, Any]] = []
        for position, waiting in enumerate(group):
            changes = connection.total_changes
            try:
                answer = waiting.decide(Work(connection, self._store._statements))
                answers.append((waiting, answer))
            except BaseException as error:
                # Most refusals come before anything is written. A savepoint for each of the
                # others would cost every purchase two statements.
                if connection.in_transaction and connection.total_changes != changes:
                    self._undo(connection)
                waiting.fail(_refusal(error) or error)
                if not connection.in_transaction:
                    # The neighbours' finished work is undone with it (a full disk and the
                    # like do the same): those run again.
                    return [done for done, _ in answers] + group[position + 1 :]
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                self._undo(connection)
            if len(group) > 1:
                return [waiting for waiting, _ in answers]
            for waiting, _ in answers:
                waiting.fail(_refusal(error) or error)
            return []
        for waiting, answer in answers:
            waiting.succeed(answer)
        return []

    def _undo(self, connection: sqlite3.Connection) -> None:
        """Undo the transaction; nobody remembers what was read of it."""
        self._store._statements.unchanging.clear()
        connection.execute("ROLLBACK")

    def _connection(self) -> sqlite3.Connection:
        if self._pooled is None:
            self._pooled = self._store._raw()
            self._pooled.driver_connection.execute("PRAGMA busy_timeout=1")
        connection = self._pooled.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        return connection


def _take_turn(connection: sqlite3.Connection) -> None:
    """Begin a transaction once no other process writes. Raises what SQLite says after five seconds.

    SQLite's own waiting looks again after up to a tenth of a second: a busy
    server, whose pauses are shorter, would keep the worker out for ever.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if not isinstance(_refusal(error), Busy) or time.monotonic() >= deadline:
                raise


def _pipeline_of(pooled: Any) -> Pipeline:
    """The pipeline of a pooled connection, which lives as long as that."""
    found: Pipeline | None = pooled.info.get("pipeline")
    if found is None:
        found = pooled.info["pipeline"] = Pipeline(pooled.driver_connection)
    return found


def _refusal(error: BaseException) -> Busy | StorageFull | None:
    """What a person is told for a database's error that is nobody's programming mistake."""
    if isinstance(error, psycopg.errors.DiskFull):
        return StorageFull()
    if isinstance(error, psycopg.OperationalError):
        return Busy()
    if not isinstance(error, sqlite3.OperationalError):
        return None
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy()
    if code == sqlite3.SQLITE_FULL:
        return StorageFull()
    return None


def open(url: str, *, writer_thread: bool = False, connections: int = 8) -> Store:
    """Open the database at an SQLAlchemy URL (`sqlite:///…` or `postgresql+psycopg://…`).

    `writer_thread` belongs to servers, where many threads write at once.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            parsed,
            pool_size=connections,
            max_overflow=-1,
            pool_reset_on_return=None,
            connect_args={
                "check_same_thread": False,
                "isolation_level": None,
                "timeout": _BUSY_SECONDS,
                "cached_statements": 256,
            },
        )
        event.listen(engine, "connect", _prepare_sqlite)
    else:
        engine = create_engine(
            parsed,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=_BUSY_SECONDS,
            pool_use_lifo=True,
            pool_reset_on_return=None,
            connect_args={
                "autocommit": True,
                "options": f"-c lock_timeout={_BUSY_SECONDS}s -c timezone=UTC",
            },
        )
    return Store(engine, writer_thread=writer_thread)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.row_factory = sqlite_row
    for pragma in (
        # FULL: what was answered survives a power cut. Group commit pays for it.
        "synchronous=FULL",
        "foreign_keys=ON",
        f"cache_size=-{_SQLITE_CACHE_KIB}",
        # Read in place what the system keeps in memory anyway, once for all connections: a
        # question among a million cards otherwise copies a page at each step.
        f"mmap_size={_SQLITE_MAPPED_BYTES}",
        "wal_autocheckpoint=4000",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
