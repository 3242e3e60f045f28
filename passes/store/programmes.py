"""Programmes: which there are, and what their versions say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update

from passes.language import say
from passes.loyalty.ledger import POINTS
from passes.loyalty.programme import Programme
from passes.loyalty.programme_file import parse
from passes.loyalty.refusals import ProgrammeUnknown
from passes.store.ids import new_id
from passes.store.instants import micros
from passes.store.models import account, offer, pass_type, programme, programme_version
from passes.store.work import Read, Row, Work


@dataclass(frozen=True, slots=True)
class Loaded:
    """A programme as it stands now.

    `revision` and `tag` count changes to all of its cards. `accounts` maps the
    buckets of the system's accounts to their ids: `issue` is where points come
    from, `stamps:issue` where stamps do. `has_offers` while any offer runs,
    waits for its beginning or is paused.
    """

    id: int
    slug: str
    version: int
    pass_type_id: int
    pass_type: str
    revision: int
    tag: int
    programme: Programme
    accounts: Mapping[str, int]
    has_offers: bool


columns = (
    programme,
    pass_type.c.identifier.label("pass_type"),
    select(offer.c.id)
    .where(offer.c.programme_id == programme.c.id, offer.c.state != "draft", offer.c.state != "ended")
    .correlate(programme)
    .exists()
    .label("has_offers"),
)
joined = programme.join(pass_type, pass_type.c.id == programme.c.pass_type_id)
_BY_SLUG = select(*columns).select_from(joined).where(programme.c.slug == bindparam("slug"))
_BY_ID = select(*columns).select_from(joined).where(programme.c.id == bindparam("programme_id"))
_EVERY = select(*columns).select_from(joined).order_by(programme.c.id)
_PASS_TYPES = select(programme.c.slug, pass_type.c.identifier).select_from(joined).order_by(programme.c.id)
_SOURCE = (
    select(programme.c.slug, programme_version.c.source)
    .select_from(programme_version.join(programme, programme.c.id == programme_version.c.programme_id))
    .where(
        programme_version.c.programme_id == bindparam("programme_id"),
        programme_version.c.version == bindparam("version"),
    )
)
_ACCOUNTS = select(account.c.asset, account.c.bucket, account.c.id).where(
    account.c.programme_id == bindparam("programme_id"), account.c.owner_kind == "system"
)
_REVISE = (
    update(programme)
    .where(programme.c.id == bindparam("programme_id"))
    .values(revision=programme.c.revision + 1)
)


def by_slug(read: Read, slug: str) -> Loaded:
    """The programme of that name. Raises `ProgrammeUnknown`."""
    if not slug.isascii() or "\0" in slug:
        raise ProgrammeUnknown()
    return from_row(read, read.ask(_BY_SLUG, slug=slug).one())


def by_id(read: Read, programme_id: int) -> Loaded:
    """The programme with that id. Raises `ProgrammeUnknown`."""
    return from_row(read, read.ask(_BY_ID, programme_id=programme_id).one())


def every(read: Read) -> list[Loaded]:
    """All programmes, oldest first."""
    return [from_row(read, row) for row in read.ask(_EVERY).all()]


def pass_types(read: Read) -> Mapping[str, str]:
    """The pass type of each programme's cards, by slug, without reading what the programmes say."""
    return {row.slug: row.identifier for row in read.ask(_PASS_TYPES).all()}


def at_version(read: Read, programme_id: int, version: int) -> Programme:
    """What a version said: parsed once per process, for it never changes."""
    key = ("programme", programme_id, version)
    found = read.unchanging.get(key)
    if found is None:
        row = read.ask(_SOURCE, programme_id=programme_id, version=version).one()
        if row is None:
            raise ProgrammeUnknown()
        found = read.unchanging[key] = parse(row.source, name=row.slug, say=say)
    assert isinstance(found, Programme)
    return found


def source_of(read: Read, loaded: Loaded) -> str:
    """The file of the programme as it stands now."""
    row = read.ask(_SOURCE, programme_id=loaded.id, version=loaded.version).one()
    assert row is not None
    return str(row.source)


def revise(work: Work, programme_id: int) -> None:
    """Every card of the programme changed: one row, whatever their number."""
    work.put(_REVISE, expect=1, programme_id=programme_id)


class Finding:
    """A programme asked for in the same breath as other questions.

    On PostgreSQL the row travels in one round trip with what is asked next;
    `loaded()` waits for it. The name of a programme never changes its id, so a
    slug seen before needs no look-up of its own.
    """

    def __init__(self, read: Read, slug: str) -> None:
        self._read = read
        found = read.unchanging.get(("slug", slug))
        if found is None:
            found = by_slug(read, slug).id
            read.unchanging[("slug", slug)] = found
        assert isinstance(found, int)
        self.id = found
        self._answer = read.ask(_BY_ID, programme_id=found)

    def loaded(self) -> Loaded:
        """The programme as it stands now."""
        return from_row(self._read, self._answer.one())


def from_row(read: Read, row: Row | None) -> Loaded:
    """The programme of a row that has `columns`. Raises `ProgrammeUnknown` when there is no row."""
    if row is None:
        raise ProgrammeUnknown()
    return Loaded(
        id=row.id,
        slug=row.slug,
        version=row.version,
        pass_type_id=row.pass_type_id,
        pass_type=row.pass_type,
        revision=row.revision,
        tag=row.tag,
        programme=at_version(read, row.id, row.version),
        accounts=_accounts(read, row.id),
        has_offers=bool(row.has_offers),
    )


def _accounts(read: Read, programme_id: int) -> Mapping[str, int]:
    key = ("accounts", programme_id)
    found = read.unchanging.get(key)
    if found is None:
        rows = read.ask(_ACCOUNTS, programme_id=programme_id).all()
        found = read.unchanging[key] = {
            row.bucket if row.asset == POINTS else f"{row.asset}:{row.bucket}": row.id for row in rows
        }
    assert isinstance(found, dict)
    return found


# Loading a file ----------------------------------------------------------------

_STANDING = (
    select(programme.c.id, programme.c.version, programme_version.c.digest)
    .select_from(
        programme.join(
            programme_version,
            (programme_version.c.programme_id == programme.c.id)
            & (programme_version.c.version == programme.c.version),
        )
    )
    .where(programme.c.slug == bindparam("slug"))
    .with_for_update(of=[programme])
)
_PASS_TYPE = select(pass_type.c.id).where(pass_type.c.identifier == bindparam("identifier"))
_ADD_PASS_TYPE = insert(pass_type)
_ADD = insert(programme)
_ADD_VERSION = insert(programme_version)
_SET_VERSION = (
    update(programme)
    .where(programme.c.id == bindparam("programme_id"))
    .values(version=bindparam("new_version"), revision=programme.c.revision + 1)
)


def standing(work: Work, slug: str) -> Row | None:
    """Id, version and digest of a programme, locked; None when there is no such programme."""
    return work.ask(_STANDING, slug=slug).one()


def pass_type_id(work: Work, identifier: str, *, now: datetime) -> int:
    """The id of a pass type, made when it is new."""
    found: int | None = work.ask(_PASS_TYPE, identifier=identifier).value()
    if found is None:
        found = new_id(now)
        work.put(_ADD_PASS_TYPE, id=found, identifier=identifier, counter=0)
    return found


def add(work: Work, *, slug: str, pass_type_id: int, now: datetime) -> int:
    """Write a programme that has no version yet. Returns its id."""
    programme_id = new_id(now)
    work.put(
        _ADD,
        id=programme_id,
        slug=slug,
        pass_type_id=pass_type_id,
        version=0,
        revision=0,
        stamped_revision=1,
        tag=0,
        spread_after=None,
        created_at=micros(now),
    )
    return programme_id


def add_version(
    work: Work, *, programme_id: int, version: int, source: str, digest: str, now: datetime
) -> None:
    """Write a version and make it the current one, which changes every card."""
    work.put(
        _ADD_VERSION,
        programme_id=programme_id,
        version=version,
        source=source,
        digest=digest,
        loaded_at=micros(now),
    )
    work.put(_SET_VERSION, expect=1, programme_id=programme_id, new_version=version)
