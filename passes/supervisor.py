"""Keeps a handful of processes running in the foreground, and ends them in order.

Children ask the kernel to end with this process, so that not even `kill -9`
leaves one behind that holds a port. Each child leads a process group: when it
dies, whatever it had started is ended too before it is started again.

Only small parts of the standard library are imported: this process waits for
most of its life and should cost next to nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.05
_READY_SECONDS_MAX = 60.0
_END_SECONDS_MAX = 4.5  # leaves half a second of the promised five for the kernel
_END_SECONDS_KEPT = 0.5  # what each later child is left with, whatever the ones before it take
_RESTARTS_A_MINUTE = 5
_INTERLUDE_SECONDS = 0.25  # how long somebody waits at most until their wish is noticed

Out = Callable[[str], None]


class Port(NamedTuple):
    """An address a child will listen on, and the variable with which the operator chooses another."""

    host: str
    number: int
    variable: str


class Child(NamedTuple):
    """One process: `argv` is its program, `env` its whole environment.

    It counts as ready when `health_url` (plain http) answers 200, or at once
    if there is none.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    health_url: str | None = None
    ports: Sequence[Port] = ()


class Interlude(NamedTuple):
    """Something that can be done only while no child runs: `act`, as soon as `asked` says so."""

    asked: Callable[[], bool]
    act: Callable[[], None]


def supervise(
    children: Sequence[Child],
    *,
    ready: Callable[[], None],
    out: Out,
    back_off_seconds: float = 0.5,
    interlude: Interlude | None = None,
) -> int:
    """Run `children` until Ctrl-C or SIGTERM, then end them one after the other in the order given.

    Ticks go to `out` as children become ready; `ready` is called once, when
    all are. A child that dies before that ends everything. One that dies later
    is started again after `back_off_seconds`, doubled each time; the sixth
    death within a minute ends everything. Ending takes at most five seconds;
    a second Ctrl-C ends at once. When an `interlude` is asked for, all children
    end, it acts, and they are started anew; what it raises ends everything.

    Answers the exit status: 0 if the end was asked for, 1 otherwise. Runs in
    the main thread, because signals arrive there.
    """
    for child in children:
        for port in child.ports:
            if (problem := _refusal(port)) is not None:
                out(problem)
                return 1

    def say(words: str) -> None:
        # Whoever listened may be gone (a closed terminal); the children still have to be ended.
        with suppress(OSError):
            out(words)

    with _signals() as wait:
        running = [_Running(child, back_off_seconds) for child in children]
        try:
            for one in running:
                one.start()
            if not _all_ready(running, wait, say):
                return 1
            if not wait.asked_to_end:
                ready()
            while not wait.asked_to_end:
                for one in running:
                    if not one.look_after(say):
                        return 1
                if interlude is not None and interlude.asked():
                    _end(running, wait, say)
                    interlude.act()
                    for one in running:
                        one.start()
                    if not _all_ready(running, wait, say):
                        return 1
                seconds = min(one.seconds_to_wait() for one in running)
                wait(seconds if interlude is None else min(seconds, _INTERLUDE_SECONDS))
            return 0
        except _EndAsked:
            return 0
        finally:
            _end(running, wait, say)


def end_with_parent() -> None:
    """Have this process end (SIGTERM) when its parent does, also if the parent is killed.

    For processes that one of the children starts in turn, such as a web
    server's workers. Never for one that a person starts: it would end with
    the shell, in spite of nohup.
    """
    parent = os.getppid()
    if _ask_kernel():
        return
    # Without Linux's prctl: a changed parent is the only sign.
    threading.Thread(target=_watch, args=(parent,), name="end-with-parent", daemon=True).start()


def own_address() -> str | None:
    """Under which IPv4 address other machines of this network reach this one; None without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: it only asks the kernel which way it would go (RFC 5737: nobody lives there).
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        host: str = probe.getsockname()[0]
    return None if host.startswith(("127.", "0.")) else host


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _ask_kernel() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    refused: int = ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return not refused


def _refusal(port: Port) -> str | None:
    """Why the port cannot be listened on, in words; None if it can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            port.host, port.number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # Without this, connections of the last run that are still fading away would count as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            return f"Port {port.number} is taken by another program; set {port.variable} to a free one."
        return f"Port {port.number} on {port.host} cannot be used ({problem.strerror}); set {port.variable}."
    return None


# Signals -----------------------------------------------------------------------


class _EndAsked(Exception):
    """Ctrl-C or SIGTERM came while the children were still starting."""


class _Wait:
    """Sleeps until a signal comes; remembers how often an end was asked for."""

    def __init__(self, wakeup: socket.socket) -> None:
        self._wakeup = wakeup
        self.asked_to_end = 0

    def __call__(self, seconds: float) -> None:
        readable, _, _ = select.select([self._wakeup], [], [], seconds)
        if readable:
            self._wakeup.recv(4096)

    def note(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self.asked_to_end += 1


@contextmanager
def _signals() -> Iterator[_Wait]:
    """Turn the signals that matter into wake-ups, and put everything back afterwards."""
    ours, wakeup = socket.socketpair()
    with ours, wakeup:
        ours.setblocking(False)
        wait = _Wait(wakeup)
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
        handlers = {number: signal.signal(number, wait.note) for number in numbers}
        previous = signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
        try:
            yield wait
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in handlers.items():
                signal.signal(number, handler)


# Children ----------------------------------------------------------------------


class _Running:
    """A child, its current process, and when it last had to be started again."""

    def __init__(self, child: Child, back_off_seconds: float) -> None:
        self.child = child
        self.process: subprocess.Popen[bytes] | None = None
        self._back_off_seconds = back_off_seconds
        self._deaths: deque[float] = deque()
        self._start_again_at: float | None = None

    def start(self) -> None:
        parent = os.getpid()

        def in_the_child() -> None:
            _ask_kernel()
            if os.getppid() != parent:  # it died before the kernel was asked
                os._exit(1)

        self._start_again_at = None
        # A group of its own: Ctrl-C in a terminal reaches this process alone, which then ends
        # the children in order.
        self.process = subprocess.Popen(
            list(self.child.argv),
            env=dict(self.child.env),
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=in_the_child,
        )

    def died(self) -> str | None:
        """How the process ended, in words; None while it runs or waits to be started again."""
        if self.process is None or self.process.poll() is None:
            return None
        status = self.process.returncode
        self._kill_group()
        self.process = None
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def look_after(self, out: Out) -> bool:
        """Start the child again if it died and its pause is over. False: it dies too often."""
        now = time.monotonic()
        if (how := self.died()) is not None:
            while self._deaths and self._deaths[0] < now - 60:
                self._deaths.popleft()
            if len(self._deaths) == _RESTARTS_A_MINUTE:
                out(f"{self.child.name} ended ({how}) for the sixth time within a minute. Stopping.")
                return False
            pause = self._back_off_seconds * 2 ** len(self._deaths)
            self._deaths.append(now)
            self._start_again_at = now + pause
            out(f"{self.child.name} ended ({how}); starting it again in {pause:.1f} s.")
        if self._start_again_at is not None and now >= self._start_again_at:
            self.start()
        return True

    def seconds_to_wait(self) -> float:
        # A death wakes us by itself; the long time-out only guards against a lost wake-up.
        return 5.0 if self._start_again_at is None else max(0.0, self._start_again_at - time.monotonic())

    def terminate(self) -> None:
        if self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        if self.process is not None:
            self._kill_group()
            self.process.kill()
            self.process.wait()

    def _kill_group(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


def _all_ready(running: Sequence[_Running], wait: _Wait, out: Out) -> bool:
    """Wait for every child's health. False: one died or took too long."""
    began = time.monotonic()
    waiting = list(running)
    while waiting:
        for one in list(waiting):
            name, seconds = one.child.name, time.monotonic() - began
            if wait.asked_to_end:
                raise _EndAsked
            if (how := one.died()) is not None:
                out(f"{name} ended before it was ready ({how}).")
                return False
            if one.child.health_url is None or _healthy(one.child.health_url):
                waiting.remove(one)
                out(f"✓ {name} {seconds:.1f} s")
            elif seconds > _READY_SECONDS_MAX:
                out(f"{name} was not ready after {seconds:.0f} s.")
                return False
        if waiting:
            wait(_POLL_SECONDS)
    return True


def _healthy(url: str) -> bool:
    """Whether a GET answers 200. By hand, because an HTTP client would triple this process."""
    authority, _, path = url.removeprefix("http://").partition("/")
    host, _, port = authority.rpartition(":")
    request = f"GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1) as connection:
            connection.sendall(request.encode("ascii"))
            status = connection.recv(64)
    except OSError:
        return False
    return status.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))


def _end(running: Sequence[_Running], wait: _Wait, out: Out) -> None:
    """End the children one after the other; who does not go in time is killed with all it started."""
    deadline = time.monotonic() + _END_SECONDS_MAX
    asked = wait.asked_to_end
    for position, one in enumerate(running):
        one.terminate()
        share = deadline - _END_SECONDS_KEPT * (len(running) - position - 1)
        while one.process is not None and one.process.poll() is None:
            if time.monotonic() >= share or wait.asked_to_end > max(asked, 1):
                out(f"{one.child.name} did not end by itself and was stopped.")
                break
            wait(_POLL_SECONDS)
        one.kill()
