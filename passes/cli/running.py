"""Commands that run: everything at once, or web, worker and emulators by themselves."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
import traceback

from passes.cli.opening import read_settings
from passes.settings import CannotStart, Settings
from passes.supervisor import Child, Port, supervise

_SILENT_SECONDS = 2.5


def run(_parsed: argparse.Namespace) -> int:
    """Prepare what development needs, then start and watch everything."""
    settings = read_settings()
    if not settings.development:
        raise CannotStart(
            "passes run is for development; in production start passes serve and passes worker."
        )
    program = [sys.executable, "-m", "passes"]
    began = time.monotonic()
    # A process of its own: this one only watches, and should stay small.
    preparing = subprocess.Popen(
        [*program, "demo", "--history"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said, _ = preparing.communicate(timeout=_SILENT_SECONDS)
    except subprocess.TimeoutExpired:
        print("Making two shops with thirteen months of business, once …", flush=True)
        said, _ = preparing.communicate()
    if preparing.returncode:
        sys.stderr.write(said)
        return preparing.returncode
    print(f"✓ certificates and shops with history {time.monotonic() - began:.1f} s", flush=True)
    web = f"http://127.0.0.1:{settings.web_port}"
    phone = f"http://127.0.0.1:{settings.phone_port}"
    children = [
        Child(
            "web",
            [*program, "serve"],
            os.environ,
            f"{web}/health",
            [Port(settings.web_host, settings.web_port, "PASSES_WEB_PORT")],
        ),
        Child("worker", [*program, "worker"], os.environ),
        Child(
            "emulators",
            [*program, "emulate"],
            os.environ,
            f"{phone}/health",
            [
                Port("127.0.0.1", settings.phone_port, "PASSES_PHONE_PORT"),
                Port("127.0.0.1", settings.apns_port, "PASSES_APNS_PORT"),
            ],
        ),
    ]

    def ready() -> None:
        print(f"\n  Open {settings.public_url}/\n\n  Ctrl-C ends everything.", flush=True)

    return supervise(children, ready=ready, out=lambda words: print(words, flush=True))


def serve(_parsed: argparse.Namespace) -> int:
    """Start the web server, after saying in one sentence what keeps it from starting."""
    settings = read_settings()
    _try_to_build(settings)
    # Sixteen threads would each get an arena of the allocator and keep its peak.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    server = Granian(
        "app:serve",
        factory=True,
        address=settings.web_host,
        port=settings.web_port,
        interface=Interfaces.WSGI,
        workers=settings.web_processes,
        blocking_threads=settings.web_threads,
        # It warns of more threads than cores; ours wait for the database.
        log_level=LogLevels.error,
        workers_kill_timeout=3,
        websockets=False,
    )
    server.serve()
    return 0


def _try_to_build(settings: Settings) -> None:
    """Raise `CannotStart` if a web process could not start.

    Tried in a child, because this process never needs what that imports.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        words = "The web server cannot start."
        try:
            from passes.wiring import build

            build(settings).close()
            words = ""
        except CannotStart as problem:
            words = str(problem)
        except Exception:
            traceback.print_exc()
        finally:
            os.write(writing, words.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        words = told.read().decode()
    os.waitpid(child, 0)
    if words:
        raise CannotStart(words)


def worker(parsed: argparse.Namespace) -> int:
    """Announce changes and seal the books until told to stop; with `--once`, what is due now."""
    from passes import worker as due
    from passes.wiring import build, wallets

    settings = read_settings()
    installation = build(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    reached = wallets(settings, installation.clock)
    try:
        if parsed.once:
            due.step(installation, reached)
        else:
            due.run(installation, reached, stop=stop)
    finally:
        for wallet in reached.values():
            wallet.close()
        installation.close()
    return 0


def emulate(_parsed: argparse.Namespace) -> int:
    """Start the other side of the wire: push service and virtual phone."""
    from passes.clock import clock
    from passes.emulators import process

    settings = read_settings()
    if not settings.development:
        raise CannotStart("The emulators belong to development: set PASSES_MODE=development.")
    process.run(
        apns_port=settings.apns_port,
        phone_port=settings.phone_port,
        certs=settings.certs,
        state=settings.var / "emulators",
        service_url=settings.public_url,
        clock=clock(settings.clock_file),
    )
    return 0
