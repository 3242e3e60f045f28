"""How fast one process announces through one HTTP/2 connection, against h2load on the same server.

h2load (C) cannot present a client certificate, so it gets a listener of the
same nginx that asks for none; ours presents one. The rounds alternate, and the
medians count, because machines have moods.

    python -m benchmarks.push
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.ground import free_port
from benchmarks.table import NotMeasured, Row, alone
from passes.apple.certificates import make_development_chain
from passes.apple.push import ApplePush
from passes.wallet import Accepted, Install
from passes.wiring import DEVELOPMENT_PASS_TYPE, DEVELOPMENT_TEAM
from tests.certificates_for_tests import TOPIC, Authority, Identity

PUSHES = 100_000
ROUNDS = 5
STREAMS = 500
TARGET = 0.5
PROGRAMS = {"nginx": "nginx-light", "h2load": "nghttp2-client"}

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  ssl_certificate {certificate};
  ssl_certificate_key {key};
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_client_certificate {authority};
  http2_max_concurrent_streams 1000;
  keepalive_requests 1000000000;
  server {{
    listen 127.0.0.1:{open_port} ssl http2;
    location /3/device/ {{ add_header apns-id $request_id; return 200; }}
  }}
  server {{
    listen 127.0.0.1:{checked_port} ssl http2;
    ssl_verify_client on;
    location /3/device/ {{ add_header apns-id $request_id; return 200; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Sink:
    """The server: one listener without, one with client certificates."""

    open_port: int
    checked_port: int
    authority: Path
    client: Identity
    folder: Path


@contextlib.contextmanager
def sink() -> Iterator[Sink]:
    """nginx in a temporary folder, answering 200 with an apns-id to every push."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority(folder, "Benchmark authority")
        client = authority.client()
        with _nginx(folder, authority.server(), clients=authority.certificate) as ports:
            yield Sink(*ports, authority.certificate, client, folder)


@dataclass(frozen=True, slots=True)
class DevelopmentSink:
    """The server as an installation in development finds it: where, and who signed its certificate."""

    port: int
    open_port: int
    folder: Path
    authority: Path


@contextlib.contextmanager
def sink_for_development(folder: Path) -> Iterator[DevelopmentSink]:
    """The same server for a worker that presents the certificate of the development chain."""
    certs = folder / "certs"
    make_development_chain(
        certs, pass_type=DEVELOPMENT_PASS_TYPE, team=DEVELOPMENT_TEAM, now=datetime.now(UTC)
    )
    clients = folder / "clients.pem"
    clients.write_bytes((certs / "wwdr.pem").read_bytes() + (certs / "root.pem").read_bytes())
    with _nginx(folder, Identity(certs / "apns.pem", certs / "apns.key"), clients=clients) as ports:
        yield DevelopmentSink(ports[1], ports[0], folder, certs / "root.pem")


@contextlib.contextmanager
def _nginx(folder: Path, server: Identity, *, clients: Path) -> Iterator[tuple[int, int]]:
    """The ports that ask for no client certificate, and for one that `clients` signed."""
    if shutil.which("nginx") is None:
        raise NotMeasured(f"nginx is missing: apt-get install --no-install-recommends {PROGRAMS['nginx']}")
    ports = free_port(), free_port()
    errors = folder / "error.log"
    (folder / "nginx.conf").write_text(
        NGINX.format(
            folder=folder,
            certificate=server.certificate,
            key=server.key,
            authority=clients,
            open_port=ports[0],
            checked_port=ports[1],
        )
    )
    (folder / "body.json").write_text("{}")
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(errors)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as nginx:
        try:
            _wait_for(ports[1], nginx, errors)
            yield ports
        finally:
            nginx.terminate()


def h2load_rate(server: Sink | DevelopmentSink) -> float:
    """Requests a second of h2load with one connection and as many streams as ours."""
    token = "0" * 64
    told = subprocess.run(
        [
            *("h2load", "-n", str(PUSHES), "-c", "1", "-t", "1", "-m", str(STREAMS)),
            *(
                "-d",
                str(server.folder / "body.json"),
                "-H",
                f"apns-topic: {TOPIC}",
                "-H",
                "apns-priority: 10",
            ),
            *("-H", "apns-id: 123e4567-e89b-12d3-a456-426655440000"),
            f"https://127.0.0.1:{server.open_port}/3/device/{token}",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    succeeded = re.search(r"(\d+) succeeded", told)
    rate = re.search(r"([\d.]+) req/s", told)
    assert succeeded is not None
    assert rate is not None
    assert int(succeeded[1]) == PUSHES, told
    return float(rate[1])


def our_rate(push: ApplePush, batch: list[Install]) -> float:
    """Announcements a second, each answer looked at."""
    began = time.perf_counter()
    accepted = sum(isinstance(outcome, Accepted) for _, outcome in push.announce(batch))
    seconds = time.perf_counter() - began
    assert accepted == len(batch)
    return accepted / seconds


def require_programs() -> None:
    """Raises `NotMeasured` when a program that the comparison needs is not installed."""
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise NotMeasured(f"{program} is missing: apt-get install --no-install-recommends {package}")


def run() -> Iterator[Row]:
    """Measure. Raises `NotMeasured`."""
    require_programs()
    batch = [Install(key=key, topic=TOPIC, address=f"{key:064x}") for key in range(PUSHES)]
    ours, theirs = [], []
    with sink() as server:
        push = ApplePush(
            host="127.0.0.1",
            port=server.checked_port,
            certificate_file=server.client.certificate,
            key_file=server.client.key,
            ca_file=server.authority,
            clock=lambda: datetime.now(UTC),
            streams_max=STREAMS,
        )
        our_rate(push, batch[:1000])
        for _ in range(ROUNDS):
            theirs.append(h2load_rate(server))
            ours.append(our_rate(push, batch))
        push.close()
    yield Row(
        "announce to APNs, one connection, beside h2load",
        statistics.median(ours),
        "/s",
        TARGET,
        statistics.median(theirs),
    )


def _wait_for(port: int, nginx: subprocess.Popen[bytes], errors: Path) -> None:
    for _ in range(200):
        if nginx.poll() is not None:
            raise RuntimeError(f"nginx ended: {errors.read_text() if errors.exists() else ''}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise RuntimeError("nginx does not listen after four seconds")


if __name__ == "__main__":
    sys.exit(alone(run))
