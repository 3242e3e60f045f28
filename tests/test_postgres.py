"""The server that the tests bring along: real, private, and gone when its starter is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tests import postgres

_STARTER = """
import signal
from tests import postgres
server = postgres.start()
print(server.process.pid, server.folder, flush=True)
signal.pause()
"""


def test_it_is_postgresql_18_on_loopback_alone(postgres_maintenance: psycopg.Connection) -> None:
    assert postgres_maintenance.info.server_version // 10000 == 18
    shown = postgres_maintenance.execute("SHOW listen_addresses").fetchone()
    assert shown == ("127.0.0.1",)


def test_programs_behind_a_closed_folder_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root starts the server as somebody else")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    programs = postgres._programs()
    package = programs.parents[1]
    for name in (package.name, f"{package.name}.libs"):
        (closed / name).symlink_to(package.with_name(name))
    monkeypatch.setattr(postgres, "_programs", lambda: closed / programs.relative_to(package.parent))
    server = postgres.start()
    try:
        assert not server.programs.is_relative_to(closed)
        with psycopg.connect(server.url().replace("+psycopg", "")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
    assert not server.folder.exists()
    assert not server.programs.exists()


def test_it_ends_with_a_test_run_that_is_killed() -> None:
    starter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _STARTER,
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert starter.stdout is not None
    with starter.stdout as output:
        pid, folder = output.readline().split()
    assert Path("/proc", pid).exists()
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    deadline = time.monotonic() + 10
    while _alive(int(pid)):
        assert time.monotonic() < deadline, "the server outlived its starter"
        time.sleep(0.01)
    postgres._sweep()
    assert not Path(folder).exists()


def _alive(pid: int) -> bool:
    try:
        state = Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # in a container nobody may be there to collect it
