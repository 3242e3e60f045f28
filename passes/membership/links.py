"""The link that opens a member's page, the day on which it was last shown, and a new one instead of it."""

from __future__ import annotations

import hashlib
from datetime import datetime

from passes.loyalty.dates import day_start, local_date
from passes.loyalty.programme import Programme
from passes.loyalty.refusals import CardVoided, LinkUnknown
from passes.server_keys import ServerKeys
from passes.store import Store, Work, journal, members, programmes
from passes.store import membership as rows
from passes.store.membership import Link


def link(store: Store, *, secret: str) -> Link:
    """The card behind `/card/<secret>`, as one question. Raises LinkUnknown, also for a withdrawn link."""
    with store.read() as read:
        found = rows.by_link(read, hash_of(secret))
    if found is None or found.revoked_at is not None:
        raise LinkUnknown()
    return found


def programme_of(store: Store, found: Link) -> Programme:
    """The programme of a card as it stands: kept per process, so this costs next to nothing."""
    with store.read() as read:
        return programmes.at_version(read, found.programme_id, found.version)


def mark_shown(store: Store, found: Link, *, now: datetime) -> None:
    """The page shows the card: remembered to the local day, with one write a day at most."""
    zone = programme_of(store, found).zone
    day = day_start(local_date(now, zone), zone)
    if found.web_at is None or found.web_at < day:
        store.write(lambda work: rows.shown(work, found.programme_id, found.card_id, day=day))


def renew(store: Store, keys: ServerKeys, *, secret: str, key: str, now: datetime) -> str:
    """Withdraw this link and make the card another one; returns its secret.

    The same `key` gives the same new link, so that nobody whose answer was
    lost is locked out. Raises LinkUnknown, CardVoided, KeyInvalid or KeyReused.
    """
    hashed = hash_of(secret)

    def decide(work: Work) -> str:
        found = rows.by_link(work, hashed)
        if found is None:
            raise LinkUnknown()
        asked = journal.Asked(work, found.programme_id, key, "renew link", {"link": hashed.hex()})
        if (before := asked.before()) is not None:
            return keys.link_secret(found.key_id, found.card_id, int(before))
        standing = members.standing(members.of_card(work, found.programme_id, found.card_id))
        # Read again under the member's lock: the link may have been withdrawn meanwhile.
        found = rows.by_link(work, hashed)
        if found is None or found.revoked_at is not None:
            raise LinkUnknown()
        if standing is None or standing.voided_at is not None:
            raise CardVoided()
        number = rows.last_number(work, found.programme_id, found.card_id) + 1
        fresh = keys.link_secret(found.key_id, found.card_id, number)
        rows.withdraw_links(work, found.programme_id, found.card_id, now=now)
        members.add_link(
            work,
            programme_id=found.programme_id,
            card_id=found.card_id,
            number=number,
            secret_hash=hash_of(fresh),
            now=now,
        )
        asked.answered(work, str(number), now=now)
        return fresh

    return store.write(decide)


def hash_of(secret: str) -> bytes:
    """What is kept of a link's secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
