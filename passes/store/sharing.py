"""Small writes of many tills in one transaction of PostgreSQL.

A purchase is a handful of statements. Sixteen tills that book at once cost the
server sixteen commits and the process as many conversations; here those that
wait at the same moment share one conversation and one commit. Their questions
are asked together, then each decides on its own answers, then their writes
travel together.

What keeps them apart, as in transactions of their own:

- Each names its lane, a text that all writes about the same thing name alike
  (at the counter the card's code); of one lane one travels at a time. Lanes are
  taken in their order, so that two processes never wait for each other.
- Who learns from its answers whom it is about says so by `Work.concerns`: of
  two about the same one goes on, for two codes may lead to one card.
- What is read is locked by the first questions or not at all, and what is
  written is sent once the decision is made: one that fails leaves nothing.
- Whoever cannot go on by these rules, who raises, and everybody in a
  transaction that the database refused, starts over in one of their own.
- A row that somebody else holds delays a journey by no more than a moment.

The decisions are ordinary functions. Each runs in a greenlet, which pauses
where an answer is still on its way.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from greenlet import getcurrent, greenlet
from psycopg.pq.abc import PGresult
from sqlalchemy import Executable

from passes.loyalty.refusals import Busy
from passes.store.pipeline import Pipeline, Reply
from passes.store.work import Answer, Statements, Work

log = logging.getLogger(__name__)

_GROUP_MAX = 32
_PATIENCE_MILLISECONDS = 50


class StartOver(Exception):
    """This decision cannot share a transaction, as it turned out."""


class Passenger:
    """A decision that waits, and what came of it: an answer, or that it must run by itself."""

    __slots__ = ("_done", "answer", "decide", "is_alone", "lane")

    def __init__(self, decide: Callable[[Work], Any], lane: str) -> None:
        self.decide = decide
        self.lane = lane
        self.answer: Any = None
        self.is_alone = True
        self._done = threading.Lock()
        self._done.acquire()

    def arrive(self, answer: Any) -> None:
        """It is durable."""
        self.answer = answer
        self.is_alone = False

    def alight(self) -> None:
        """It has arrived, or is to go on by itself."""
        self._done.release()

    def wait(self) -> None:
        """Until it alights."""
        self._done.acquire()


class SharedWriter:
    """The thread of a process that takes small writes along. `connect` gives it a connection of its own."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], statements: Statements) -> None:
        self._connect = connect
        self._statements = statements
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Passenger | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._connection: psycopg.Connection[Any] | None = None
        self._pipeline: _SharedPipeline | None = None

    def write(self, decide: Callable[[Work], Any], lane: str) -> Passenger:
        """Let the decision travel, and wait for it."""
        passenger = Passenger(decide, lane)
        with self._lock:
            if self._is_closed:
                return passenger
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="shared-writer", daemon=True)
                self._thread.start()
            self._queue.put(passenger)
        passenger.wait()
        return passenger

    def close(self) -> None:
        """Finish what waits; whoever comes later travels alone."""
        with self._lock:
            self._is_closed = True
            self._queue.put(None)
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        waiting: list[Passenger] = []
        is_last = False
        while True:
            while not is_last and len(waiting) < _GROUP_MAX:
                # Only this thread takes from the queue.
                if waiting and self._queue.empty():
                    break
                more = self._queue.get()
                if more is None:
                    is_last = True
                else:
                    waiting.append(more)
            if not waiting:
                break
            waiting = self._journey(waiting)
        self._hang_up()

    def _journey(self, waiting: Sequence[Passenger]) -> list[Passenger]:
        """Carry one of each lane; the others, who go next."""
        lanes: dict[str, Passenger] = {}
        later = [one for one in waiting if lanes.setdefault(one.lane, one) is not one]
        group = [lanes[lane] for lane in sorted(lanes)]
        try:
            self._carry(group)
        except Exception as error:
            # Each by itself finds out what it was, and whom it concerns.
            level = logging.INFO if isinstance(error, (psycopg.Error, Busy)) else logging.ERROR
            log.log(level, "%d writes travel by themselves: %s", len(group), type(error).__name__)
        finally:
            for one in group:
                one.alight()
        return later

    def _carry(self, group: Sequence[Passenger]) -> None:
        """One transaction over all of them. Raises what the database says against it."""
        pipeline = self._conversation()
        about: set[int] = set()
        rides = [_Ride(one, SharedWork(pipeline, self._statements, about)) for one in group]
        try:
            pipeline.begin()
            pipeline.send("BEGIN")
            under_way = [ride for ride in rides if ride.go_on()]
            while under_way:
                pipeline.read_all()
                under_way = [ride for ride in under_way if ride.go_on()]
            decided = [ride for ride in rides if ride.is_decided]
            for ride in decided:
                ride.work.depart()
            pipeline.send("COMMIT")
            pipeline.finish()
        except BaseException as error:
            self._recover(pipeline, error)
            raise
        for ride in decided:
            ride.passenger.arrive(ride.answer)

    def _conversation(self) -> _SharedPipeline:
        if self._pipeline is None or self._connection is None or self._connection.closed:
            self._connection = self._connect()
            # It may come from the pool, with statements that it has prepared there.
            self._connection.execute("DEALLOCATE ALL")
            self._connection.execute(f"SET lock_timeout = {_PATIENCE_MILLISECONDS}")
            self._pipeline = _SharedPipeline(self._connection)
        return self._pipeline

    def _recover(self, pipeline: _SharedPipeline, error: BaseException) -> None:
        """Be ready for the next journey after one that failed."""
        pipeline.abandon()
        if isinstance(error, psycopg.errors.InvalidSqlStatementName):
            # Somebody made the server forget all statements, a pooler in between perhaps.
            pipeline.forget()
        try:
            pipeline.say("ROLLBACK")
        except psycopg.Error:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._pipeline = None


class _SharedPipeline(Pipeline):
    """A conversation in which whoever waits for an answer lets the others go on."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__(connection)
        self._looks: dict[tuple[str, tuple[Any, ...]], Reply] = {}

    def begin(self) -> None:
        """Nobody has asked anything."""
        self._looks.clear()
        super().begin()

    def look(self, text: str, parameters: Sequence[Any]) -> Reply:
        """Ask what changes nothing. Who asks the same before answers come gets the same answer."""
        try:
            before = self._looks.get(key := (text, tuple(parameters)))
        except TypeError:  # a list among the parameters
            return self.send(text, parameters)
        if before is not None:
            return _SameReply(self, text, before)
        reply = self._looks[key] = self.send(text, parameters)
        return reply

    def read_up_to(self, reply: Reply) -> None:
        """Pause this decision until its answer is there."""
        here = getcurrent()
        if here.parent is None:
            super().read_up_to(reply)
            return
        while reply.result is None:
            here.parent.switch()

    def read_all(self) -> None:
        """Wait for the answers to everything that was sent."""
        # What is asked from now on may have another answer.
        self._looks.clear()
        last = self._sent[-1]
        assert isinstance(last, Reply)
        super().read_up_to(last)


class _SameReply(Reply):
    """The answer to a question that another decision asked, too."""

    __slots__ = ("_first",)

    def __init__(self, pipeline: Pipeline, text: str, first: Reply) -> None:
        super().__init__(pipeline, text)
        self._first = first

    def _arrived(self) -> PGresult:
        return self._first._arrived()


class _Ride:
    """One decision under way."""

    __slots__ = ("_greenlet", "answer", "is_decided", "passenger", "work")

    def __init__(self, passenger: Passenger, work: SharedWork) -> None:
        self.passenger = passenger
        self.work = work
        self.answer: Any = None
        self.is_decided = False
        self._greenlet = greenlet(self._decide)

    def _decide(self) -> None:
        # What it raises, a refusal mostly, it raises again when it runs alone.
        with contextlib.suppress(Exception):
            self.answer = self.passenger.decide(self.work)
            self.is_decided = True

    def go_on(self) -> bool:
        """Run until it has decided, or waits for an answer: whether it waits."""
        self._greenlet.switch()
        self.work.has_answers = True
        return not self._greenlet.dead


class SharedWork(Work):
    """The questions and writes of one decision among others."""

    def __init__(self, pipeline: _SharedPipeline, statements: Statements, about: set[int]) -> None:
        super().__init__(None, statements, pipeline=pipeline)
        self._shared = pipeline
        self._about = about
        self._kept: list[tuple[str, Sequence[Any]]] = []
        self.has_answers = False

    def ask(self, statement: Executable, **values: Any) -> Answer:
        """As everywhere. Raises StartOver for what would have to wait for the decisions beside it."""
        prepared = self._statements.prepare(statement)
        is_free = prepared.is_look or (prepared.locks and not self.has_answers)
        if not is_free or self._waiting or self._kept:
            raise StartOver()
        if prepared.is_look:
            return Answer(self._shared.look(prepared.text, prepared.bind(values)))
        return Answer(self._shared.send(prepared.text, prepared.bind(values)))

    def concerns(self, member_id: int) -> None:
        """Raise StartOver where a decision beside it is about the same member."""
        if member_id in self._about:
            raise StartOver()
        self._about.add(member_id)

    def depart(self) -> None:
        """Send everything that was written, now that the decision is made."""
        self.send()
        for text, parameters in self._kept:
            self._shared.send(text, parameters)

    def _pass_on(self, text: str, parameters: Sequence[Any]) -> None:
        self._kept.append((text, parameters))
