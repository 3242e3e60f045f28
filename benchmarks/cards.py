"""How fast cards are built and signed, against the RSA operation itself and against wallet-py3k.

The raw signature is what no signer can do without. It and our cards take turns
every 25 milliseconds in one process, so that both see the same machine; what
counts is processor time. wallet-py3k starts the `openssl` program for each
card, whose processor time is counted with its own.

    python -m benchmarks.cards
"""

from __future__ import annotations

import io
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from benchmarks.table import NotMeasured, Row, alone
from passes import language
from passes.apple import document, signing
from passes.apple.bundle import Template, build
from passes.apple.certificates import make_development_chain
from passes.apple.signing import Signer
from passes.language import say
from passes.loyalty.card import CardFace, compose
from passes.loyalty.programme import Programme
from passes.loyalty.programme_file import parse
from passes.loyalty.tiers import tier_for

ART_BYTES = 250_000
COFFEE = Path("passes/programmes/copperfinch.toml")
PASS_TYPE, TEAM = "pass.dev.passes.loyalty", "DEVTEAM001"
SLICE_SECONDS = 0.025
SLICES = 120
PARALLEL_SECONDS = 2.0
ROUNDS = 5
RATIO_RAW, RATIO_RIVAL, RATIO_TWO, MEGABYTES_MAX = 0.9, 15.0, 1.6, 60.0

Job = Callable[[], object]


def run() -> Iterator[Row]:
    """Measure all of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_development_chain(folder, pass_type=PASS_TYPE, team=TEAM, now=datetime.now(UTC))
        _draw(folder)
        values, limits = _in_turns(a_card(folder, written=True), a_signature(folder))
        yield Row("card built and signed, beside the RSA operation", values, "/CPU s", RATIO_RAW, limits)
        values, limits = _in_turns(a_card(folder), a_rival(folder))
        yield Row("… its document written too, beside wallet-py3k", values, "/CPU s", RATIO_RIVAL, limits)
        yield from _two(folder)
        yield Row("… memory after thousands of cards", _peak(folder), "MB", MEGABYTES_MAX, at_most=True)


def a_card(folder: Path, *, written: bool = False) -> Job:
    """Build one card as bytes, from its face to the archive; with `written`, from its document."""
    signer, template, face = _signer(folder), Template(_art(folder)), _face()
    ready = _document(signer, face) if written else None

    def job() -> bytes:
        now = datetime.now(UTC)
        return bytes(build(template, ready or _document(signer, face), signer, now=now))

    return job


def a_signature(folder: Path) -> Job:
    """Only the RSA operation, with the same key."""
    key = load_pem_private_key((folder / "pass.key").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    padding, digest, data = PKCS1v15(), SHA256(), b"x" * 200
    return lambda: key.sign(data, padding, digest)


def a_rival(folder: Path) -> Job:
    """The same card with wallet-py3k's own `create`. Raises `NotMeasured`."""
    if shutil.which("openssl") is None:
        raise NotMeasured("openssl is missing: apt-get install --no-install-recommends openssl")
    from wallet.models import Pass, StoreCard

    art, files = _art(folder), [str(folder / name) for name in ("pass.pem", "pass.key", "wwdr.pem")]
    # Its key must have a password.
    locked = folder / "locked.key"
    subprocess.run(
        ["openssl", "rsa", "-aes128", "-passout", "pass:x", "-in", files[1], "-out", locked],
        check=True,
        capture_output=True,
    )

    def job() -> bytes:
        card = Pass(
            StoreCard(),
            passTypeIdentifier=PASS_TYPE,
            organizationName="Copperfinch Coffee",
            teamIdentifier=TEAM,
        )
        card.serialNumber = "1"
        for name, data in art.items():
            card.addFile(name, io.BytesIO(data))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made: io.BytesIO = card.create(files[0], str(locked), files[2], "x")
        return made.getvalue()

    return job


def _signer(folder: Path) -> Signer:
    return signing.load(
        certificate=(folder / "pass.pem").read_bytes(),
        key=(folder / "pass.key").read_bytes(),
        intermediate=(folder / "wwdr.pem").read_bytes(),
        now=datetime.now(UTC),
    )


def _document(signer: Signer, face: CardFace) -> bytes:
    service = document.WebService("http://127.0.0.1:8000/apple", "t" * 32, True)
    return document.store_card(
        face, pass_type=signer.pass_type, team=signer.team, serial="s" * 24, web_service=service
    )


def _face() -> CardFace:
    rules = _rules()
    return compose(
        rules,
        member_name="Nora Whitfield",
        balance=640,
        tier=tier_for(rules.tiers, 5400),
        code="CDFH23456789JKM4",
        language="en",
        say=language.say,
        voided=False,
        last_change=None,
    )


def _draw(folder: Path) -> None:
    """The pictures of the coffee shop's card, blown up with noise to the size of photographs."""
    from passes import artwork

    rules = _rules()
    colours = rules.design.colours
    art = artwork.pictures(
        rules.design.scene,
        ground=colours.ground,
        text=colours.text,
        label=colours.label,
        strip=_face().strip,
        initials="CC",
    )
    (folder / "art").mkdir()
    for name, data in art.items():
        (folder / "art" / name).write_bytes(data)
    missing = ART_BYTES - sum(map(len, art.values()))
    (folder / "art" / "strip@3x.png").write_bytes(
        _with_comment(art["strip@3x.png"], os.urandom(max(missing, 0)))
    )


def _art(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "art").iterdir()}


def _rules() -> Programme:
    return parse(COFFEE.read_text("utf-8"), name="copperfinch", say=say)


def _with_comment(png: bytes, text: bytes) -> bytes:
    """The picture with an extra chunk that no reader looks at, before its end."""
    body = b"paSs" + text
    chunk = len(text).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return png[:-12] + chunk + png[-12:]


def _in_turns(one: Job, other: Job) -> tuple[float, float]:
    """How many of each a processor second makes: medians over alternating slices."""
    rates: tuple[list[float], list[float]] = ([], [])
    for job in (one, other):
        job()
    for _ in range(SLICES):
        for job, into in zip((one, other), rates, strict=True):
            count, began, until = 0, _cpu_seconds(), time.perf_counter() + SLICE_SECONDS
            while time.perf_counter() < until:
                job()
                count += 1
            into.append(count / (_cpu_seconds() - began))
    return statistics.median(rates[0]), statistics.median(rates[1])


def _cpu_seconds() -> float:
    """Of this process and the programs it started."""
    used = os.times()
    fine = time.process_time()
    return fine + used.children_user + used.children_system


# Two at once -------------------------------------------------------------------


def _two(folder: Path) -> Iterator[Row]:
    one, threads, processes = [], [], []
    for _ in range(ROUNDS):
        one.append(_threads(folder, 1))
        threads.append(_threads(folder, 2))
        processes.append(_processes(folder, 2))
    limit = statistics.median(one)
    yield Row("… two threads, beside one", statistics.median(threads), "/s", RATIO_TWO, limit)
    yield Row("… two processes, beside one", statistics.median(processes), "/s", RATIO_TWO, limit)


def _threads(folder: Path, count: int) -> float:
    job, made = a_card(folder), [0] * count
    until = time.perf_counter() + PARALLEL_SECONDS

    def work(number: int) -> None:
        while time.perf_counter() < until:
            job()
            made[number] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(made) / PARALLEL_SECONDS


def _processes(folder: Path, count: int) -> float:
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Barrier(count), context.SimpleQueue()
    workers = [context.Process(target=_work, args=(folder, ready, answers)) for _ in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return float(sum(answers.get() for _ in workers))


def _work(folder: Path, ready: object, answers: object) -> None:
    job, made = a_card(folder), 0
    ready.wait()  # type: ignore[attr-defined]
    until = time.perf_counter() + PARALLEL_SECONDS
    while time.perf_counter() < until:
        job()
        made += 1
    answers.put(made / PARALLEL_SECONDS)  # type: ignore[attr-defined]


def _peak(folder: Path) -> float:
    """Megabytes of a process of its own that does nothing else."""
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.cards", "--many", folder],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(told.stdout)


def _many(folder: Path) -> None:
    job = a_card(folder)
    for _ in range(3000):
        job()
    # Not from getrusage, which remembers the process that started this one.
    peak = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    print(int(peak.split()[1]) / 1024)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--many"]:
        _many(Path(sys.argv[2]))
    else:
        sys.exit(alone(run))
