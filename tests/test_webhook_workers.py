"""Workers that tell webhooks: several at once, one that is killed, and receivers that hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from passes import store as stores
from passes import webhooks
from passes.clock import Clock, clock
from passes.store import Store
from passes.webhooks import Door, Sender
from tests.receiver import Receiver, Reply
from tests.shop import COFFEE, KEYS, Shop, open_shop

ROOT = Path(__file__).parents[1]
PRESENT = clock(None)


@pytest.fixture
def shop(store: Store) -> Shop:
    """The shop of just now, for workers have no other time."""
    return open_shop(store, datetime.now(UTC) - timedelta(minutes=5))


@pytest.fixture
def listen() -> Iterator[Callable[..., Receiver]]:
    """Makes receivers, and closes them in the end."""
    opened: list[Receiver] = []

    def one(**options: object) -> Receiver:
        opened.append(Receiver(**options))  # type: ignore[arg-type]
        return opened[-1]

    yield one
    for receiver in opened:
        receiver.close()


def added(shop: Shop, receiver: Receiver) -> int:
    webhook = webhooks.add(
        shop.store,
        programme=COFFEE,
        address=receiver.address,
        events=["purchase.booked"],
        keys=KEYS,
        development=True,
        by="mo",
        now=shop.now,
    )
    receiver.secrets.append(
        webhooks.secret(shop.store, programme=COFFEE, webhook_id=webhook, keys=KEYS, by="mo", now=shop.now)
    )
    return webhook


@contextmanager
def working(store: Store, *, present: Clock = PRESENT, **options: int) -> Iterator[None]:
    """A worker's thread, until the end of the block."""
    stop = threading.Event()
    door = Door(development=True, read_seconds=0.5, whole_seconds=1)
    sender = Sender(store, door, keys=KEYS, clock=present, stop=stop, **options)
    thread = threading.Thread(target=sender.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def test_several_workers_tell_everybody_everything_once_and_in_order(
    shop: Shop, database_url: str, listen: Callable[..., Receiver]
) -> None:
    joined = shop.join()
    receivers = [listen() for _ in range(3)]
    shop.now += timedelta(minutes=1)
    for receiver in receivers:
        added(shop, receiver)
    other = stores.open(database_url)
    try:
        with working(shop.store), working(other), working(other):
            booked = []
            for _ in range(20):
                booked.append(f"purchase_booked_{shop.buy(joined.code, 100, now=PRESENT()).id}")
            for receiver in receivers:
                receiver.wait_for(20)
    finally:
        other.close()
    for receiver in receivers:
        assert receiver.ids == booked
        assert {message.problem for message in receiver.messages} == {None}


def test_receivers_that_hang_hold_up_nobody_else(shop: Shop, listen: Callable[..., Receiver]) -> None:
    joined = shop.join()
    shop.now += timedelta(minutes=1)
    hanging = [listen(script=lambda _message, _number: Reply(hang=60)) for _ in range(4)]
    for receiver in hanging:
        added(shop, receiver)
    good = listen()
    added(shop, good)
    with working(shop.store, places=4):
        shop.buy(joined.code, 100, now=PRESENT())
        good.wait_for(1)
        # By now it is known who hangs: the next one comes at once.
        for receiver in hanging:
            receiver.wait_for(1)
        begun = PRESENT()
        shop.buy(joined.code, 200, now=begun)
        good.wait_for(2)
        assert PRESENT() - begun < timedelta(seconds=3)


_WORKER = """
import sys, threading
from passes import store
from passes.clock import clock
from passes.server_keys import ServerKeys
from passes.webhooks import Door, Sender
Sender(store.open(sys.argv[1]), Door(development=True), keys=ServerKeys({"k1": b"k" * 32}),
       clock=clock(None), stop=threading.Event()).run()
"""


def test_a_worker_that_is_killed_loses_nothing(
    shop: Shop, database_url: str, listen: Callable[..., Receiver]
) -> None:
    joined = shop.join()
    receiver = listen()
    shop.now += timedelta(minutes=1)
    added(shop, receiver)
    shop.now += timedelta(minutes=1)
    booked = [f"purchase_booked_{shop.buy(joined.code, amount).id}" for amount in range(100, 106)]
    worker = subprocess.Popen([sys.executable, "-c", _WORKER, database_url], cwd=ROOT)

    def kill(_message: object, number: int) -> Reply:
        if number == 3:
            # It has sent, and will never know what became of it.
            os.kill(worker.pid, signal.SIGKILL)
        return Reply()

    receiver.script = kill
    assert worker.wait(30) == -signal.SIGKILL
    later = timedelta(seconds=150)
    # Whoever comes next waits for the lease of the dead to run out; its receiver's clock goes with it.
    receiver.now = lambda: PRESENT() + later
    with working(shop.store, present=lambda: PRESENT() + later):
        receiver.wait_for(7)
    assert receiver.ids[:3] == booked[:3]
    assert receiver.ids[3:] == booked[2:]
    assert {message.problem for message in receiver.messages} == {None}
