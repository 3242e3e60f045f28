"""The two doors: what is answered is durable, what is refused never happened."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import bindparam, insert, select, text, update

from passes import store as database
from passes.loyalty.refusals import Busy, StorageFull
from passes.store import Store, Unexpected, Work, doors, health
from passes.store.models import alarm

_ADD = insert(alarm)
_NAMES = select(alarm.c.name).order_by(alarm.c.name)
_COUNT_UP = update(alarm).where(alarm.c.name == bindparam("which")).values(count=alarm.c.count + 1)


def add(work: Work, name: str) -> None:
    work.put(_ADD, name=name, words="w", since=1, last_at=1, count=0, cleared_at=None)


def names(store: Store) -> list[str]:
    with store.read() as read:
        return [row.name for row in read.ask(_NAMES).all()]


@pytest.fixture
def served(database_url: str) -> Iterator[Store]:
    """A store as a server opens it: SQLite with its writer thread."""
    opened = database.open(database_url, writer_thread=True)
    yield opened
    opened.close()


def test_an_sqlite_database_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "var" / "passes.sqlite3"
    database.migrate(f"sqlite:///{path}")
    store = database.open(f"sqlite:///{path}")
    store.write(lambda work: add(work, "private"))
    assert {found.name: oct(found.stat().st_mode & 0o777) for found in path.parent.iterdir()} == {
        "passes.sqlite3": "0o600",
        "passes.sqlite3-shm": "0o600",
        "passes.sqlite3-wal": "0o600",
    }
    store.close()


def test_a_refusal_undoes_everything_that_was_written(store: Store) -> None:
    def decide(work: Work) -> None:
        add(work, "gone")
        raise Busy()

    with pytest.raises(Busy):
        store.write(decide)
    assert names(store) == []


def test_a_broken_promise_undoes_the_transaction(store: Store) -> None:
    def decide(work: Work) -> None:
        add(work, "gone")
        work.put(_COUNT_UP, expect=1, which="nobody")

    with pytest.raises(Unexpected):
        store.write(decide)
    assert names(store) == []


def test_a_function_sees_its_own_writes(store: Store) -> None:
    def decide(work: Work) -> list[str]:
        add(work, "mine")
        return [row.name for row in work.ask(_NAMES).all()]

    assert store.write(decide) == ["mine"]


def test_one_refusal_in_a_group_leaves_its_neighbours(served: Store) -> None:
    """Functions that wait together share a commit, not a fate."""
    gate, answers = threading.Event(), []

    def first(work: Work) -> None:
        add(work, "first")
        gate.wait(5)

    def writes(name: str) -> None:
        def decide(work: Work) -> str:
            add(work, name)
            if name.startswith("bad"):
                raise Busy()
            return name

        try:
            answers.append(served.write(decide))
        except Busy:
            answers.append("refused")

    threads = [threading.Thread(target=lambda: served.write(first))]
    threads += [threading.Thread(target=writes, args=(name,)) for name in ("a", "bad1", "b", "bad2", "c")]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["a", "b", "c", "refused", "refused"]
    assert names(served) == ["a", "b", "c", "first"]


def test_waiting_functions_share_one_commit_on_sqlite(sqlite_url: str) -> None:
    """Group commit: far fewer commits than writes, and every answer after its commit."""
    store = database.open(sqlite_url, writer_thread=True)
    commits: list[int] = []
    gate, begun = threading.Event(), threading.Event()

    def first(work: Work) -> None:
        begun.set()
        connection: sqlite3.Connection = work._connection
        connection.set_trace_callback(lambda statement: commits.append(1) if statement == "COMMIT" else None)
        gate.wait(5)

    opener = threading.Thread(target=lambda: store.write(first))
    opener.start()
    assert begun.wait(5)
    threads = [threading.Thread(target=store.write, args=(partial(add, name=f"n{n:02}"),)) for n in range(40)]
    for thread in threads:
        thread.start()
    assert store._writer is not None
    for _ in range(500):
        if store._writer._queue.qsize() == 40:
            break
        time.sleep(0.01)
    gate.set()
    for thread in [opener, *threads]:
        thread.join()
    assert len(names(store)) == 40
    assert len(commits) <= 3
    store.close()


def test_many_threads_write_at_once(served: Store) -> None:
    served.write(lambda work: add(work, "counter"))
    threads = [
        threading.Thread(
            target=lambda: [
                served.write(lambda work: work.put(_COUNT_UP, expect=1, which="counter")) for _ in range(20)
            ]
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with served.read() as read:
        assert read.ask(select(alarm.c.count)).value() == 160


def test_a_locked_sqlite_file_is_refused_in_words_and_heals(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "_BUSY_SECONDS", 0.05)
    store = database.open(sqlite_url)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy):
        store.write(lambda work: add(work, "blocked"))
    other.execute("ROLLBACK")
    other.close()
    store.write(lambda work: add(work, "free"))
    assert names(store) == ["free"]
    store.close()


def test_a_locked_postgresql_row_is_refused_in_words_and_heals(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "_BUSY_SECONDS", 1)
    store = database.open(postgresql_url)
    store.write(lambda work: add(work, "row"))
    with psycopg.connect(postgresql_url.replace("+psycopg", "")) as other:
        other.execute("UPDATE alarm SET count = 5")
        with pytest.raises(Busy):
            store.write(lambda work: work.put(_COUNT_UP, expect=1, which="row"))
        other.rollback()
    store.write(lambda work: work.put(_COUNT_UP, expect=1, which="row"))
    store.close()


@pytest.mark.parametrize("writer_thread", [False, True])
def test_a_full_sqlite_file_refuses_and_keeps_what_was_booked(sqlite_url: str, writer_thread: bool) -> None:
    store = database.open(sqlite_url, writer_thread=writer_thread)
    store.write(lambda work: add(work, "before"))

    def limit(work: Work) -> None:
        connection: sqlite3.Connection = work._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 2}")

    store.write(limit)

    def much(work: Work) -> None:
        for number in range(200):
            work.put(_ADD, name=f"n{number}", words="x" * 4000, since=1, last_at=1, count=0, cleared_at=None)

    with pytest.raises(StorageFull):
        store.write(much)
    assert names(store) == ["before"]
    store.write(lambda work: work.put(_COUNT_UP, expect=1, which="before"))
    store.close()


def test_two_of_the_same_key_on_postgresql_run_again_instead_of_failing(postgresql_url: str) -> None:
    """The loser of a race meets a unique key; its second run sees the winner's row."""
    store = database.open(postgresql_url)
    barrier = threading.Barrier(2)
    runs = []

    def decide(work: Work) -> str:
        runs.append(1)
        if work.ask(_NAMES).one() is not None:
            return "seen"
        if len(runs) <= 2:
            barrier.wait(5)
        add(work, "same")
        return "written"

    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(store.write(decide))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["seen", "written"]
    assert names(store) == ["same"]
    store.close()


@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
def test_errors_leave_no_statement_behind_that_postgresql_does_not_know(
    postgresql_url: str, together: bool
) -> None:
    """What follows an error in a pipeline never reaches the server, and must not count as prepared."""
    opened = database.open(postgresql_url)
    number = text("SELECT CAST(:given AS integer)")

    def refused(work: Work) -> None:
        raise Busy

    def wrong(work: Work) -> None:
        work.ask(number, given="none")
        work.ask(_NAMES).all()

    with opened.together() if together else contextlib.nullcontext(opened) as store:
        for _ in range(4):
            with pytest.raises(Busy):
                store.write(refused)
        assert store.write(lambda work: work.ask(_NAMES).all()) == []
        with pytest.raises(psycopg.DataError):
            store.write(wrong)
        assert store.write(lambda work: work.ask(_NAMES).all()) == []
    opened.close()


def test_a_deadlock_on_postgresql_is_run_again(postgresql_url: str) -> None:
    store = database.open(postgresql_url)
    store.write(lambda work: add(work, "a"))
    store.write(lambda work: add(work, "b"))
    barrier = threading.Barrier(2)
    first_time = threading.local()

    def decide(first: str, second: str) -> None:
        def both(work: Work) -> None:
            work.ask(_COUNT_UP.returning(alarm.c.count), which=first).one()
            if not getattr(first_time, "done", False):
                first_time.done = True
                barrier.wait(5)
            work.ask(_COUNT_UP.returning(alarm.c.count), which=second).one()

        store.write(both)

    threads = [threading.Thread(target=decide, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as read:
        assert [row.count for row in read.ask(select(alarm.c.count)).all()] == [2, 2]
    store.close()


def test_a_lost_postgresql_connection_is_made_anew(postgresql_url: str) -> None:
    store = database.open(postgresql_url)
    store.write(lambda work: add(work, "before"))
    with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    store.write(lambda work: add(work, "after"))
    assert names(store) == ["after", "before"]
    store.close()


def test_after_a_restart_of_postgresql_a_read_is_refused_once_and_then_works(postgresql_url: str) -> None:
    store = database.open(postgresql_url)
    with store.read(), store.read():
        assert names(store) == []
    with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(Busy):
        names(store)
    assert names(store) == []
    store.close()


def test_a_server_that_cannot_be_reached_is_said_in_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        store = database.open(f"postgresql+psycopg://postgres@127.0.0.1:{port}/nowhere")
        with pytest.raises(Busy):
            names(store)
        with pytest.raises(Busy):
            store.write(lambda work: add(work, "nowhere"))
        assert health.state(store) is health.State.UNREACHABLE
        store.close()


_CUT = """
import os, signal, sys
from passes import store as database
from tests.store.test_doors import add
store = database.open(sys.argv[1], writer_thread=sys.argv[3] == "thread")
store.write(lambda work: add(work, "earlier"))
def decide(work):
    add(work, "cut")
    if sys.argv[2] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
store.write(decide)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("thread", ["thread", "plain"])
@pytest.mark.parametrize(("moment", "kept"), [("before", ["earlier"]), ("after", ["cut", "earlier"])])
def test_a_power_cut_loses_nothing_that_was_answered_and_keeps_nothing_half(
    database_url: str, moment: str, kept: list[str], thread: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _CUT, database_url, moment, thread],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    store = database.open(database_url)
    assert names(store) == kept
    store.close()


def test_a_snapshot_sees_one_instant(store: Store) -> None:
    with store.read(snapshot=True) as read:
        assert read.ask(_NAMES).all() == []
        store.write(lambda work: add(work, "later"))
        assert read.ask(_NAMES).all() == []
    assert names(store) == ["later"]


@pytest.mark.slow
def test_short_pauses_of_a_busy_neighbour_are_enough_to_write(sqlite_url: str) -> None:
    """Another process that writes nearly all the time must not keep this one out."""
    store = database.open(sqlite_url)
    neighbour = sqlite3.connect(
        sqlite_url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False
    )

    def hog() -> None:
        for _ in range(40):
            neighbour.execute("BEGIN IMMEDIATE")
            time.sleep(0.02)
            neighbour.execute("ROLLBACK")
            time.sleep(0.004)

    busy = threading.Thread(target=hog)
    busy.start()
    written: list[str] = []
    while busy.is_alive():
        written.append(f"number {len(written)}")
        store.write(lambda work: add(work, written[-1]))
        time.sleep(0.01)  # the neighbour needs a turn too
    neighbour.close()
    store.close()
    assert len(written) >= 20


def test_writes_together_are_durable_at_the_end(store: Store) -> None:
    with store.together() as one:
        for number in range(3):
            one.write(partial(add, name=f"number {number}"))
            with one.read() as read:
                assert len(read.ask(_NAMES).all()) == number + 1
        assert names(store) == []
    assert names(store) == ["number 0", "number 1", "number 2"]


def test_writes_together_are_committed_now_and_then(store: Store) -> None:
    with store.together(at_most=2) as one:
        for number in range(3):
            one.write(partial(add, name=f"number {number}"))
        assert names(store) == ["number 0", "number 1"]


def test_a_refusal_among_writes_together_undoes_its_own_alone(store: Store) -> None:
    def decide(work: Work) -> None:
        add(work, "gone")
        raise Busy()

    def promise(work: Work) -> None:
        add(work, "gone")
        work.put(_COUNT_UP, expect=1, which="nobody")

    with store.together() as one:
        one.write(lambda work: add(work, "before"))
        with pytest.raises(Busy):
            one.write(decide)
        with pytest.raises(Unexpected):
            one.write(promise)
        with pytest.raises((sqlite3.IntegrityError, psycopg.errors.UniqueViolation)):
            one.write(lambda work: add(work, "before"))
        one.write(lambda work: add(work, "after"))
    assert names(store) == ["after", "before"]


def test_writes_together_that_are_interrupted_leave_what_was_committed(store: Store) -> None:
    def interrupted() -> None:
        with store.together(at_most=2) as one:
            for number in range(3):
                one.write(partial(add, name=f"number {number}"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(store) == ["number 0", "number 1"]
    store.write(lambda work: add(work, "next"))
    assert names(store) == ["next", "number 0", "number 1"]


def test_writes_together_in_a_server_take_turns_with_its_writer_thread(served: Store) -> None:
    served.write(lambda work: add(work, "by the thread"))
    with served.together() as one:
        one.write(lambda work: add(work, "together"))
    served.write(lambda work: add(work, "by the thread again"))
    assert names(served) == ["by the thread", "by the thread again", "together"]


def test_a_connection_lost_amid_writes_together_is_said_in_words(postgresql_url: str) -> None:
    store = database.open(postgresql_url)

    def cut_off() -> None:
        with store.together() as one:
            one.write(lambda work: add(work, "lost"))
            with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            one.write(lambda work: add(work, "lost too"))

    with pytest.raises(Busy):
        cut_off()
    store.write(lambda work: add(work, "after"))
    assert names(store) == ["after"]
    store.close()
