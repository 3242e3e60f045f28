"""The emulators as one process: Apple's push service, Google's wallet, mail, and the virtual phones.

Ends on SIGTERM or SIGINT within a second, and with its parent, so that a
killed supervisor leaves no listener behind.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from werkzeug.serving import WSGIRequestHandler, make_server

from passes.emulators.apns import ApnsEmulator
from passes.emulators.google import ISSUER_ID, GoogleEmulator
from passes.emulators.google_signing import public_key_of
from passes.emulators.mail import MailCatcher
from passes.emulators.phone import Phone, Phones
from passes.emulators.phone_page import create_app

log = logging.getLogger(__name__)

_PARENT_LOOK_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1
_CERTIFICATE_FILES = ("root.pem", "wwdr.pem", "apns.pem", "apns.key")


def run(
    *,
    apns_port: int,
    phone_port: int,
    certs: Path,
    state: Path,
    service_url: str,
    google_port: int = 0,
    google_issuer: str = ISSUER_ID,
    google_account: Path | None = None,
    mail_port: int | None = None,
    host: str = "127.0.0.1",
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Serve until told to stop; to be called from a process's main thread.

    `certs` holds root.pem, wwdr.pem, apns.pem and apns.key; `state` keeps
    phones and histories; `service_url` is the shop that cards come from.
    `google_account` is the key file of the shop's service account, whose public
    half alone is used; without the file Google knows an account of its own.
    Without `mail_port` no letters are caught. Raises SystemExit with a sentence
    where a port is taken or a file is missing.
    """
    for name in _CERTIFICATE_FILES:
        if not (certs / name).is_file():
            raise SystemExit(f"{certs / name} is missing: the emulators need the throw-away chain.")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _end_with_parent(stop)

    listener = _listen(host, phone_port)
    phones = Phones(_maker(certs, service_url, clock), folder=state)
    postman = Postman(phones)
    apns = ApnsEmulator(
        certificate_file=certs / "apns.pem",
        key_file=certs / "apns.key",
        # Clients show the pass certificate, which the intermediate issued.
        client_ca_files=[certs / "root.pem", certs / "wwdr.pem"],
        host=host,
        port=apns_port,
        on_push=postman.deliver,
        state_folder=state,
        clock=clock,
    )
    google = GoogleEmulator(
        issuer_id=google_issuer,
        accounts=accounts(google_account),
        host=host,
        port=google_port,
        state_folder=state,
        # As customers see it: the issuer has been published.
        demo_mode=False,
        callback_hosts=frozenset({urlsplit(service_url).hostname or host}),
        after_save=lambda phone, card: f"http://{host}:{phone_port}/phones/{phone}/cards/{card}?new=1",
        services=(service_url,),
        clock=clock,
    )
    zone = _zone(clock)
    app = create_app(
        phones, service_url=service_url, clock=clock, zone=zone, apns=apns, google=google, host=host
    )
    started: list[Any] = []
    try:
        _start(apns, "the push service", host, apns_port, started)
        _start(google, "Google's wallet", host, google_port, started)
        if mail_port is not None:
            catcher = MailCatcher(host, mail_port, state, clock)
            _start(catcher, "the mail catcher", host, mail_port, started)
            catcher.register(app, zone=zone)
        if not phones.all() and not google.phones:
            phones.add("iPhone")
            google.add_phone("Android")
        server = make_server(
            host, phone_port, app, threaded=True, request_handler=QuietRequests, fd=listener.fileno()
        )
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        serving.start()
        stop.wait()
        server.shutdown()
        serving.join(0.5)
    finally:
        listener.close()
        for one in reversed(started):
            one.stop()


def _start(
    one: ApnsEmulator | GoogleEmulator | MailCatcher, what: str, host: str, port: int, started: list[Any]
) -> None:
    try:
        one.start()
    except OSError as error:
        raise SystemExit(f"Port {port} of {host} cannot be used for {what}: {error}.") from error
    started.append(one)


def accounts(file: Path | None) -> dict[str, bytes] | None:
    """Who may speak for the issuer: the public half of a service account's key file, by its address.

    None where there is no file. Raises SystemExit for a file that is none.
    """
    if file is None or not file.is_file():
        return None
    try:
        key_file = json.loads(file.read_text("utf-8"))
        return {key_file["client_email"]: public_key_of(key_file)}
    except (ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{file} is no key file of a service account.") from error


class Postman:
    """Carries pushes to phones, each on a thread of its own, so that none waits for another.

    A topic that is already on its way to a phone is not carried twice: the
    phone will ask for everything that changed anyway.
    """

    def __init__(self, phones: Phones) -> None:
        self._phones = phones
        self._lock = threading.Lock()
        self._bags: dict[str, queue.SimpleQueue[tuple[str, bool]]] = {}
        self._waiting: set[tuple[str, str]] = set()

    def deliver(self, token: str, topic: str, headers: dict[str, str]) -> None:
        """Take one push; returns at once. Unknown tokens are dropped, as APNs would."""
        phone = self._phones.by_token(token)
        if phone is None:
            return
        # apns-expiration 0 means: one attempt, not stored for a phone that is away.
        stored = headers.get("apns-expiration") != "0"
        with self._lock:
            if (phone.id, topic) in self._waiting:
                return
            self._waiting.add((phone.id, topic))
            bag = self._bags.get(phone.id)
            if bag is None:
                bag = self._bags[phone.id] = queue.SimpleQueue()
                threading.Thread(target=self._walk, args=(phone.id, bag), daemon=True).start()
            bag.put((topic, stored))

    def _walk(self, phone_id: str, bag: queue.SimpleQueue[tuple[str, bool]]) -> None:
        while True:
            topic, stored = bag.get()
            with self._lock:
                # From here on a new push means news that this visit may miss.
                self._waiting.discard((phone_id, topic))
            try:
                self._phones.get(phone_id).receive_push(topic, stored=stored)
            except KeyError:
                with self._lock:
                    self._bags.pop(phone_id, None)
                return
            except Exception:
                log.exception("a phone failed to take a push")


class QuietRequests(WSGIRequestHandler):
    """Pages poll ten times a second: on one connection, and nobody wants to read that."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return


def _maker(certs: Path, service_url: str, clock: Callable[[], datetime]) -> Callable[..., Phone]:
    trust_roots = [(certs / "root.pem").read_bytes()]
    http = urllib3.PoolManager(num_pools=4, maxsize=4)
    zone = _zone(clock)

    def make(name: str, **options: Any) -> Phone:
        return Phone(
            name,
            trust_roots=trust_roots,
            clock=clock,
            http=http,
            services=[service_url],
            zone=zone,
            **options,
        )

    return make


def _zone(clock: Callable[[], datetime]) -> tzinfo:
    """The zone of this machine, which is the zone of the phones on it."""
    return clock().astimezone().tzinfo or UTC


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=64)
    except OSError as error:
        raise SystemExit(f"Port {port} of {host} cannot be used for the virtual phone: {error}.") from error


def _end_with_parent(stop: threading.Event) -> None:
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    def watch() -> None:
        # The kernel's signal is tied to the parent's thread and does not exist everywhere.
        while not stop.wait(_PARENT_LOOK_SECONDS):
            if os.getppid() != parent:
                stop.set()

    threading.Thread(target=watch, daemon=True).start()
