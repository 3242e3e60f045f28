"""The foreground processes: started, watched, started again, ended in order, never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType

import pytest

ROOT = Path(__file__).parents[1]

# Every child can say something in one piece: two that print at once would mix their words.
SAY = """
import os
def say(*words):
    os.write(1, (" ".join(str(word) for word in words) + "\\n").encode())
"""
POLITE = """
import signal, sys
def end(*_):
    say(NAME, "ends")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
say(NAME, "runs as", os.getpid())
while True:
    signal.pause()
"""
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say(NAME, "runs as", os.getpid())
while True:
    signal.pause()
"""
PLAIN = """
import signal
say(NAME, "runs as", os.getpid())
signal.pause()
"""
SHORT_LIVED = """
say(NAME, "runs as", os.getpid())
"""
HEALTHY = """
import http.server
class Health(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Health.asked += 1
        self.send_response(200 if Health.asked > 2 and self.path == "/health" else 503)
        self.end_headers()
    def log_message(self, *_): pass
say(NAME, "runs as", os.getpid())
http.server.HTTPServer(("127.0.0.1", PORT), Health).serve_forever()
"""
# As a web server does: the worker holds the port, its master is the child we know.
MASTER = """
import signal, subprocess, sys
worker = "import signal, socket; s = socket.create_server(('127.0.0.1', PORT)); print(1, flush=True);"
worker += "signal.pause()"
child = subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE)
child.stdout.readline()
say(NAME, "runs as", os.getpid(), "with", child.pid)
while True:
    signal.pause()
"""


class Supervisor:
    """A supervisor in a process of its own, and what it and its children printed so far."""

    def __init__(self, *children: str, interlude: str = "None") -> None:
        program = (
            "import os, pathlib, sys\n"
            "from passes.supervisor import Child, Interlude, Port, supervise\n"
            f"{SAY}"
            "def python(name, program, **more):\n"
            "    return Child(name, (sys.executable, '-c', program), dict(os.environ), **more)\n"
            f"children = [{', '.join(children)}]\n"
            "sys.exit(supervise(children, ready=lambda: say('all ready'), out=say, back_off_seconds=0.01,\n"
            f"    interlude={interlude}))\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def until(self, words: str) -> str:
        """Read on to the first new line that contains `words`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if words in line:
                return self.lines[-1]
        raise AssertionError(f"never said {words!r}: {self.lines}")

    def finish(self) -> int:
        """Read the rest and answer the exit status."""
        assert self.process.stdout is not None
        self.lines += [line.rstrip("\n") for line in self.process.stdout]
        return self.process.wait(timeout=20)


def child(name: str, program: str, port: int = 0, **more: str) -> str:
    """The source text of one child."""
    program = (SAY + program).replace("NAME", repr(name)).replace("PORT", str(port))
    options = "".join(f", {key}={value}" for key, value in more.items())
    return f"python({name!r}, {program!r}{options})"


def pids(line: str) -> list[int]:
    """The process numbers in a "runs as" line."""
    return [int(word) for word in line.split() if word.isdigit()]


def wait_until_gone(*numbers: int) -> None:
    deadline = time.monotonic() + 10
    for number in numbers:
        while _alive(number):
            assert time.monotonic() < deadline, f"process {number} was left behind"
            time.sleep(0.01)


def _alive(number: int) -> bool:
    try:
        state = Path("/proc", str(number), "stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def end_signal(request: pytest.FixtureRequest) -> int:
    """Both ways to ask for an end."""
    number: int = request.param
    return number


def test_children_end_one_after_the_other_in_the_order_given(end_signal: int) -> None:
    names = ["web", "worker", "emulators"]
    with Supervisor(*(child(name, POLITE) for name in names)) as supervisor:
        for _ in range(4 + len(names)):
            supervisor.until("")
        supervisor.process.send_signal(end_signal)
        assert supervisor.finish() == 0
        assert [line for line in supervisor.lines if line.endswith("ends")] == [
            f"{name} ends" for name in names
        ]


def test_a_tick_with_seconds_comes_when_a_child_is_healthy_and_one_word_when_all_are(port: int) -> None:
    web = child("web", HEALTHY, port, health_url=f"'http://127.0.0.1:{port}/health'")
    with Supervisor(web) as supervisor:
        tick = supervisor.until("✓")
        assert tick.startswith("✓ web ")
        assert tick.endswith(" s")
        supervisor.until("all ready")
        supervisor.process.terminate()
        assert supervisor.finish() == 0


def test_an_interlude_runs_while_no_child_does_and_then_all_start_anew(tmp_path: Path) -> None:
    wish = tmp_path / "wish"
    act = f"lambda: (say('acting'), os.unlink({str(wish)!r}))"
    interlude = f"Interlude(pathlib.Path({str(wish)!r}).exists, {act})"
    with Supervisor(child("web", POLITE), child("worker", POLITE), interlude=interlude) as supervisor:
        numbers = [*pids(supervisor.until("runs as")), *pids(supervisor.until("runs as"))]
        wish.touch()
        supervisor.until("acting")
        assert [line for line in supervisor.lines if line.endswith("ends")] == ["web ends", "worker ends"]
        wait_until_gone(*numbers)
        again = [*pids(supervisor.until("runs as")), *pids(supervisor.until("runs as"))]
        assert not set(again) & set(numbers)
        supervisor.process.terminate()
        assert supervisor.finish() == 0


def test_what_an_interlude_raises_ends_everything(tmp_path: Path) -> None:
    wish = tmp_path / "wish"
    interlude = f"Interlude(pathlib.Path({str(wish)!r}).exists, lambda: sys.exit(3))"
    with Supervisor(child("web", POLITE), interlude=interlude) as supervisor:
        numbers = pids(supervisor.until("runs as"))
        wish.touch()
        assert supervisor.finish() == 3
        wait_until_gone(*numbers)


def test_the_own_address_is_one_that_others_reach_or_none() -> None:
    # In a process of its own: it only asks the kernel for a way out, but tests may not even ask.
    program = "from passes.supervisor import own_address; print(own_address() or '')"
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    assert not found or not ip_address(found).is_loopback


def test_a_killed_supervisor_leaves_no_child_behind(port: int) -> None:
    with Supervisor(child("web", POLITE), child("worker", POLITE)) as supervisor:
        numbers = [*pids(supervisor.until("runs as")), *pids(supervisor.until("runs as"))]
        assert len(numbers) == 2
        supervisor.process.send_signal(signal.SIGKILL)
        wait_until_gone(*numbers)


def test_a_taken_port_is_refused_in_words_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        ports = f"[Port('127.0.0.1', {number}, 'PASSES_WEB_PORT')]"
        with Supervisor(child("web", POLITE, ports=ports)) as supervisor:
            assert supervisor.finish() == 1
    assert supervisor.lines == [
        f"Port {number} is taken by another program; set PASSES_WEB_PORT to a free one."
    ]


def test_a_port_that_only_fades_away_is_free(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as listener:
        visitor = socket.create_connection(("127.0.0.1", port))
        served, _ = listener.accept()
        served.close()  # the side that closes first keeps the port in TIME_WAIT
        visitor.close()
    ports = f"[Port('127.0.0.1', {port}, 'PASSES_WEB_PORT')]"
    with Supervisor(child("web", POLITE, ports=ports)) as supervisor:
        supervisor.until("all ready")


def test_a_child_that_dies_is_started_again() -> None:
    with Supervisor(child("web", POLITE), child("worker", POLITE)) as supervisor:
        supervisor.until("all ready")
        numbers = {line.split()[0]: pids(line)[0] for line in supervisor.lines if "runs as" in line}
        while len(numbers) < 2:
            line = supervisor.until("runs as")
            numbers[line.split()[0]] = pids(line)[0]
        os.kill(numbers["worker"], signal.SIGKILL)
        assert "signal SIGKILL" in supervisor.until("worker ended")
        assert pids(supervisor.until("worker runs as"))[0] != numbers["worker"]
        supervisor.process.terminate()
        assert supervisor.finish() == 0


def test_a_child_that_keeps_dying_ends_everything() -> None:
    with Supervisor(child("web", POLITE), child("worker", SHORT_LIVED)) as supervisor:
        assert supervisor.finish() == 1
    again = [line for line in supervisor.lines if "starting it again" in line]
    assert len(again) == 5
    assert "worker ended (exit status 0) for the sixth time within a minute. Stopping." in supervisor.lines
    assert supervisor.lines[-1] == "web ends"


def test_a_child_that_dies_before_it_is_ready_ends_everything(port: int) -> None:
    web = child("web", SHORT_LIVED, health_url=f"'http://127.0.0.1:{port}/health'")
    with Supervisor(web, child("worker", POLITE)) as supervisor:
        assert supervisor.finish() == 1
    assert "web ended before it was ready (exit status 0)." in supervisor.lines
    assert "all ready" not in supervisor.lines


def test_what_a_dead_child_had_started_goes_with_it_and_frees_the_port(port: int) -> None:
    ports = f"[Port('127.0.0.1', {port}, 'PASSES_WEB_PORT')]"
    with Supervisor(child("web", MASTER, port, ports=ports)) as supervisor:
        master, worker = pids(supervisor.until("runs as"))
        os.kill(master, signal.SIGKILL)
        master_again, worker_again = pids(supervisor.until("runs as"))
        assert (master_again, worker_again) != (master, worker)
        wait_until_gone(worker)
        supervisor.process.terminate()
        assert supervisor.finish() == 0
        wait_until_gone(worker_again)


@pytest.mark.slow
def test_deaf_children_are_stopped_within_five_seconds() -> None:
    with Supervisor(*(child(name, DEAF) for name in ("web", "worker", "emulators"))) as supervisor:
        numbers = [pids(supervisor.until("runs as"))[0] for _ in range(3)]
        began = time.monotonic()
        supervisor.process.terminate()
        assert supervisor.finish() == 0
        assert time.monotonic() - began < 5
        wait_until_gone(*numbers)


def test_a_second_ctrl_c_ends_at_once() -> None:
    with Supervisor(child("web", DEAF), child("worker", DEAF)) as supervisor:
        numbers = [pids(supervisor.until("runs as"))[0] for _ in range(2)]
        supervisor.process.send_signal(signal.SIGINT)
        time.sleep(0.2)  # two signals at once would be delivered as one
        began = time.monotonic()
        supervisor.process.send_signal(signal.SIGINT)
        assert supervisor.finish() == 0
        assert time.monotonic() - began < 3  # the first time they get four and a half
        wait_until_gone(*numbers)


def test_children_are_ended_also_when_nobody_reads_what_is_said() -> None:
    with Supervisor(child("web", DEAF), child("worker", PLAIN)) as supervisor:
        numbers = [pids(supervisor.until("runs as"))[0] for _ in range(2)]
        assert supervisor.process.stdout is not None
        supervisor.process.stdout.close()
        supervisor.process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        supervisor.process.send_signal(signal.SIGINT)
        wait_until_gone(*numbers)


def test_a_grandchild_can_ask_to_end_with_its_parent() -> None:
    grandchild = (
        "from passes.supervisor import end_with_parent; end_with_parent(); print(1, flush=True); input()"
    )
    parent = (
        "import subprocess, sys, signal; r = subprocess.Popen([sys.executable, '-c', sys.argv[1]], "
        "stdin=subprocess.PIPE, stdout=subprocess.PIPE); r.stdout.readline(); print(r.pid, flush=True); "
        "signal.pause()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent, grandchild], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as output:
        number = int(output.readline())
    process.kill()
    process.wait()
    wait_until_gone(number)


def test_it_waits_in_little_memory() -> None:
    with Supervisor(child("web", POLITE)) as supervisor:
        supervisor.until("all ready")
        status = Path("/proc", str(supervisor.process.pid), "status").read_text()
        kilobytes = int(status.split("VmRSS:")[1].split()[0])
        assert kilobytes < 20_000
