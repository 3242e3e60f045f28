"""Programmes come from files: check one, load it, keep its versions.

The demonstration shops' files stand beside this one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from passes.loyalty.ledger import POINTS, Bucket
from passes.loyalty.programme import Programme
from passes.loyalty.programme_file import parse
from passes.loyalty.refusals import ProgrammeInvalid
from passes.loyalty.stamps import STAMPS
from passes.loyalty.toml_table import File, lines_of
from passes.store import Store, Work, cards, journal, programmes, purchases

DEMONSTRATION = tuple(sorted(Path(__file__).parent.glob("*.toml")))

_SYSTEM_BUCKETS = (
    Bucket.ISSUE,
    Bucket.REDEEMED,
    Bucket.EXPIRED,
    Bucket.CLAWBACK,
    Bucket.ADJUST,
    Bucket.MERGED,
)


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """What became of a programme file. `changed` is False when it was the current version already."""

    slug: str
    version: int
    changed: bool


def load(store: Store, *, name: str, source: str, pass_type: str, now: datetime) -> LoadedFile:
    """Check a programme file and make it the current version of its programme.

    `name` becomes the programme's slug. A new version changes every card of
    the programme, which is one row; delivery will notice. Past receipts keep
    the version they were booked under. Raises `ProgrammeInvalid`, also for
    another currency once something was sold, or another kind of card numbers
    once there are cards.
    """
    rules = parse(source, name=name)
    digest = hashlib.sha256(source.encode()).hexdigest()

    def decide(work: Work) -> LoadedFile:
        current = programmes.standing(work, rules.slug)
        if current is None:
            pass_type_id = programmes.pass_type_id(work, pass_type, now=now)
            programme_id = programmes.add(work, slug=rules.slug, pass_type_id=pass_type_id, now=now)
            for asset in (POINTS, STAMPS):
                for bucket in _SYSTEM_BUCKETS:
                    journal.add_account(
                        work,
                        programme_id=programme_id,
                        owner_kind="system",
                        owner_id=rules.slug,
                        bucket=bucket.value,
                        asset=asset,
                        now=now,
                    )
            version = 1
        elif current.digest == digest:
            return LoadedFile(rules.slug, current.version, changed=False)
        else:
            programme_id, version = current.id, current.version + 1
            before = programmes.at_version(work, programme_id, current.version)
            _refuse_another_shop(work, programme_id, before, rules, source)
        programmes.add_version(
            work, programme_id=programme_id, version=version, source=source, digest=digest, now=now
        )
        return LoadedFile(rules.slug, version, changed=True)

    return store.write(decide)


def _refuse_another_shop(
    work: Work, programme_id: int, before: Programme, rules: Programme, source: str
) -> None:
    """What was booked and handed out must stay what it is: amounts in a currency, numbers on cards."""
    file = File(lines=lines_of(source))
    problems = []
    if rules.currency != before.currency and purchases.any_of(work, programme_id):
        words = f"must stay {before.currency}: purchases were booked in it"
        problems.append(file.located(("currency",), words))
    if rules.code_kind != before.code_kind and cards.any_of(work, programme_id):
        words = f"must stay {before.code_kind}: members have cards with such numbers"
        problems.append(file.located(("code", "kind"), words))
    if problems:
        raise ProgrammeInvalid(summary="; ".join(problems), problems=problems)
