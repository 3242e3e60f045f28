"""How fast changes are announced, database included, and how fast due work is claimed.

The same push server and the same rival as in `benchmarks.push`; what comes
before and after the pushes (claiming in batches of 500, writing down what
became of them) is part of the time here.

    python -m benchmarks.delivery
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import text

from benchmarks import ground, push
from benchmarks.table import Row, alone
from passes import delivery, store
from passes.apple.push import ApplePush
from passes.server_keys import ServerKeys
from passes.store import Store, Work, installs

CARDS = 20_000
ROUNDS = 3
RATIO, CLAIMS = 0.15, 30_000

_KEYS = ServerKeys({"k1": b"k" * 32})
_OWE_ALL = text("""
    INSERT INTO owed (pass_type_id, device_id, card_id, revision, due_at, lease_until, attempts)
    SELECT pass_type_id, device_id, card_id, announced_revision + 1, 0, 0, 0 FROM registration WHERE true
    ON CONFLICT (pass_type_id, device_id, card_id) DO UPDATE SET lease_until = 0, attempts = 0
""")


def run() -> Iterator[Row]:
    """Measure both engines. Raises `NotMeasured`."""
    push.require_programs()
    for engine in ground.ENGINES:
        with ground.database(engine) as database, push.sink_for_development(database.folder) as sink:
            opened = store.open(database.url)
            ground.open_shop(opened, _KEYS)
            ground.fill(database, CARDS, _KEYS)
            certs = database.folder / "certs"
            apple = ApplePush(
                host="127.0.0.1",
                port=sink.port,
                certificate_file=certs / "pass.pem",
                key_file=certs / "pass.key",
                ca_file=sink.authority,
                clock=ground.now,
            )
            announced, limits, claimed = [], [], []
            for _ in range(ROUNDS):
                limits.append(push.h2load_rate(sink))
                claimed.append(_claimed(opened))
                announced.append(_announced(opened, apple))
            apple.close()
            opened.close()
        yield Row(
            f"announce, {engine} included, beside h2load",
            statistics.median(announced),
            "/s",
            RATIO,
            statistics.median(limits),
        )
        yield Row(f"… due rows claimed, {engine}", statistics.median(claimed), "/s", CLAIMS)


def _announced(opened: Store, apple: ApplePush) -> float:
    opened.write(lambda work: work.put(_OWE_ALL))
    count, began = 0, time.perf_counter()
    while (told := delivery.announce_due(opened, {delivery.APPLE: apple}, now=ground.now())).claimed:
        count += told.accepted
    seconds = time.perf_counter() - began
    assert count == CARDS * ground.DEVICES_PER_CARD, count
    return count / seconds


def _claimed(opened: Store) -> float:
    opened.write(lambda work: work.put(_OWE_ALL))
    count, began = 0, time.perf_counter()

    def decide(work: Work) -> int:
        now = ground.now()
        return len(installs.claim(work, now=now, lease_until=now + timedelta(hours=1), limit=delivery.BATCH))

    while claimed := opened.write(decide):
        count += claimed
    assert count == CARDS * ground.DEVICES_PER_CARD, count
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(alone(run))
