"""Programmes come from files: check one, load it, keep its versions.

The demonstration shops' files stand beside this one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from passes.loyalty.ledger import POINTS, Bucket
from passes.loyalty.programme import Programme
from passes.loyalty.programme_file import parse
from passes.loyalty.refusals import ProgrammeInvalid, ProgrammeNameTaken
from passes.loyalty.stamps import STAMPS
from passes.loyalty.toml_table import File, lines_of
from passes.programmes import logos
from passes.store import Store, Work, cards, journal, programmes, purchases, staff

DEMONSTRATION = tuple(sorted(Path(__file__).parent.glob("*.toml")))

NAMESAKES_MAX = 50
"""So many programmes may have the same name."""

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
    rules = _checked(source, name)
    digest = hashlib.sha256(source.encode()).hexdigest()

    def decide(work: Work) -> LoadedFile:
        current = programmes.standing(work, rules.slug)
        if current is None:
            _begin(work, rules.slug, source, digest, pass_type=pass_type, now=now)
            return LoadedFile(rules.slug, 1, changed=True)
        if current.digest == digest:
            return LoadedFile(rules.slug, current.version, changed=False)
        before = programmes.at_version(work, current.id, current.version)
        _refuse_another_shop(work, current.id, before, rules, source)
        version = current.version + 1
        programmes.add_version(
            work, programme_id=current.id, version=version, source=source, digest=digest, now=now
        )
        return LoadedFile(rules.slug, version, changed=True)

    return store.write(decide)


def begin(
    store: Store,
    *,
    name: str,
    source: str,
    owner_id: int,
    roles: Sequence[str],
    pass_type: str,
    now: datetime,
) -> LoadedFile:
    """Check a programme file and make a new programme of it, in which this person has these roles.

    Where `name` is taken a number follows it. The same file of the same person
    is one programme, however often it is sent. Raises ProgrammeInvalid, ProgrammeNameTaken.
    """
    _checked(source, name)
    digest = hashlib.sha256(source.encode()).hexdigest()

    def decide(work: Work) -> LoadedFile:
        for slug in (name, *(f"{name}-{number}" for number in range(2, NAMESAKES_MAX + 1))):
            current = programmes.standing(work, slug)
            if current is None:
                programme_id = _begin(work, slug, source, digest, pass_type=pass_type, now=now)
                for role in roles:
                    staff.grant(work, staff_id=owner_id, programme_id=programme_id, role=role)
                staff.note(
                    work, "programme.begin", about=slug, staff_id=owner_id, programme_id=programme_id, now=now
                )
                return LoadedFile(slug, 1, changed=True)
            if current.digest == digest and staff.has_role(work, owner_id, current.id):
                return LoadedFile(slug, current.version, changed=False)
        raise ProgrammeNameTaken

    return store.write(decide)


def _checked(source: str, name: str) -> Programme:
    """What the file says. Raises ProgrammeInvalid, also for a logo that nobody could draw."""
    rules = parse(source, name=name)
    if rules.design.logo and not logos.can_be_drawn(rules.design.logo):
        problem = File(lines=lines_of(source)).located(("card", "logo"), "is damaged: it cannot be drawn")
        raise ProgrammeInvalid(summary=problem, problems=[problem])
    return rules


def _begin(work: Work, slug: str, source: str, digest: str, *, pass_type: str, now: datetime) -> int:
    """A programme with its accounts and its first version. Returns its id."""
    pass_type_id = programmes.pass_type_id(work, pass_type, now=now)
    programme_id = programmes.add(work, slug=slug, pass_type_id=pass_type_id, now=now)
    for asset in (POINTS, STAMPS):
        for bucket in _SYSTEM_BUCKETS:
            journal.add_account(
                work,
                programme_id=programme_id,
                owner_kind="system",
                owner_id=slug,
                bucket=bucket.value,
                asset=asset,
                now=now,
            )
    programmes.add_version(work, programme_id=programme_id, version=1, source=source, digest=digest, now=now)
    return programme_id


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
