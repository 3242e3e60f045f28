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

from passes.cli import resetting
from passes.cli.opening import read_settings
from passes.clock import Clock, clock
from passes.settings import EMULATED_ISSUER_ID, CannotStart, Settings
from passes.supervisor import Child, Interlude, Port, own_address, supervise

_SILENT_SECONDS = 2.5
_PROGRAM = (sys.executable, "-m", "passes")


def run(parsed: argparse.Namespace) -> int:
    """Prepare what development needs, then start and watch everything."""
    settings = read_settings()
    if not settings.development:
        raise CannotStart(
            "passes run is for development; in production start passes serve and passes worker."
        )
    here = resetting.fresh(settings)
    present = clock(settings.clock_file)
    is_new = here is not None and not here.database.exists()
    if problem := _prepare(may_be_new=is_new or here is None):
        sys.stderr.write(problem)
        return 1
    environment = dict(os.environ)
    interlude = None
    if here is not None:
        here.forget_wish()
        if is_new:
            here.keep(now=present())
        environment["PASSES_RESET_FILE"] = str(here.asked_file)
        interlude = Interlude(here.is_asked_for, lambda: _put_back(here, present))
    phone_line = _open_to_phones(environment, settings) if parsed.lan else None

    def ready() -> None:
        print(f"\n  Open http://127.0.0.1:{settings.web_port}/", flush=True)
        if phone_line:
            print(f"  {phone_line}", flush=True)
        print("\n  Ctrl-C ends everything.", flush=True)

    return supervise(
        _children(settings, environment),
        ready=ready,
        out=lambda words: print(words, flush=True),
        interlude=interlude,
    )


def _prepare(*, may_be_new: bool) -> str | None:
    """Make certificates, tables and shops, unless they are there. What went wrong, if anything did."""
    began = time.monotonic()
    # A process of its own: this one only watches, and should stay small.
    preparing = subprocess.Popen(
        [*_PROGRAM, "demo", "--history"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said, _ = preparing.communicate(timeout=_SILENT_SECONDS)
    except subprocess.TimeoutExpired:
        if may_be_new:
            print("Making two shops with thirteen months of business, once …", flush=True)
        said, _ = preparing.communicate()
    if preparing.returncode:
        return said or "The demonstration could not be made.\n"
    print(f"✓ certificates and shops with history {time.monotonic() - began:.1f} s", flush=True)
    return None


def _put_back(here: resetting.Fresh, present: Clock) -> None:
    """Put the demonstration back, while nothing runs."""
    began = time.monotonic()
    print("\nPutting the demonstration back …", flush=True)

    def make() -> None:
        subprocess.run([*_PROGRAM, "demo", "--history"], stdout=subprocess.DEVNULL, check=True)

    here.put_back(make, now=present())
    print(f"✓ shops with history {time.monotonic() - began:.1f} s", flush=True)


def _open_to_phones(environment: dict[str, str], settings: Settings) -> str:
    """Let other machines of the network reach the web server; the sentence that says how, or why not.

    Only it: the emulators stay on this machine, and so does everything that
    signs somebody in without a password.
    """
    address = own_address()
    if address is None:
        return "This machine has no network just now, so no phone can reach it."
    environment["PASSES_WEB_HOST"] = "0.0.0.0"
    environment.setdefault("PASSES_PUBLIC_URL", f"http://{address}:{settings.web_port}")
    return f"The code on that page opens on your phone, in the same Wi-Fi: it leads to {address}."


def _children(settings: Settings, environment: dict[str, str]) -> list[Child]:
    web_host = environment.get("PASSES_WEB_HOST", settings.web_host)
    return [
        Child(
            "web",
            [*_PROGRAM, "serve"],
            environment,
            f"http://127.0.0.1:{settings.web_port}/health",
            [Port(web_host, settings.web_port, "PASSES_WEB_PORT")],
        ),
        Child("worker", [*_PROGRAM, "worker"], environment),
        Child(
            "emulators",
            [*_PROGRAM, "emulate"],
            environment,
            f"http://127.0.0.1:{settings.phone_port}/health",
            [
                Port("127.0.0.1", settings.phone_port, "PASSES_PHONE_PORT"),
                Port("127.0.0.1", settings.google_port, "PASSES_GOOGLE_PORT"),
                Port("127.0.0.1", settings.apns_port, "PASSES_APNS_PORT"),
                Port("127.0.0.1", settings.catcher_port, "PASSES_CATCHER_PORT"),
            ],
        ),
    ]


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
    reached = wallets(settings, installation.clock, installation.store)
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
    """Start the other side of the wire: push service, Google's wallet, mail server and virtual phones."""
    from passes.emulators import process

    settings = read_settings()
    if not settings.development:
        raise CannotStart("The emulators belong to development: set PASSES_MODE=development.")
    process.run(
        apns_port=settings.apns_port,
        phone_port=settings.phone_port,
        google_port=settings.google_port,
        google_issuer=settings.google.issuer_id if settings.google else EMULATED_ISSUER_ID,
        google_account=settings.google.account_file if settings.google else None,
        mail_port=settings.catcher_port if settings.catches_mail else None,
        certs=settings.certs,
        state=settings.var / "emulators",
        service_url=settings.public_url,
        clock=clock(settings.clock_file),
    )
    return 0
