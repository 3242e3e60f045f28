"""What a message says: the event, and the receipt as the API tells of it; never who somebody is.

Composed at the moment of sending from what stands in the books, so that a
message names the same facts as the API does.
"""

from __future__ import annotations

from typing import Any

import orjson

from passes.loyalty.events import OF_RECEIPTS, EventKind
from passes.store import Read, deliveries, journal
from passes.store.deliveries import Event
from passes.store.programmes import Loaded

_RECEIPTS = frozenset(OF_RECEIPTS.values())


def message_id(event: Event) -> str:
    """The name of a message: the same for every attempt, receiver and replay, for ever.

    Without a full stop, which the specification asks for because the name is
    part of what is signed.
    """
    return f"{event.kind.replace('.', '_')}_{event.about}"


def compose(read: Read, loaded: Loaded, event: Event) -> bytes:
    """The body of a message about an event, as it is signed and sent."""
    return orjson.dumps(
        {
            "id": message_id(event),
            "type": event.kind.value,
            "created_at": event.happened_at,
            "programme": loaded.slug,
            "data": _data(read, loaded, event),
        }
    )


def _data(read: Read, loaded: Loaded, event: Event) -> dict[str, Any]:
    if event.kind in _RECEIPTS:
        row = journal.receipt_row(read, loaded.id, event.about)
        assert row is not None, "receipts are never removed"
        return {"receipt": journal.receipt_of(row, loaded.programme).told()}
    match event.kind:
        case EventKind.MEMBER_JOINED:
            card = deliveries.first_card(read, loaded.id, event.about)
            assert card is not None, "who joins gets a card"
            return {"member": {"member_id": str(event.about), "card_id": str(card[0]), "code": card[1]}}
        case EventKind.MEMBER_LEFT:
            return {"member": {"member_id": str(event.about)}}
        case EventKind.CARD_ADDED | EventKind.CARD_REMOVED:
            phone = deliveries.on_phone(read, loaded.id, event.about)
            assert phone is not None, "a card's timeline is never cut"
            card_id, member_id, wallet = phone
            return {"card": {"card_id": str(card_id), "member_id": str(member_id), "wallet": wallet}}
        case EventKind.MEMBER_MERGED | EventKind.MEMBER_PARTED:
            merged = deliveries.merged(read, loaded.id, event.about)
            assert merged is not None, "merges are never removed"
            stayed, became = merged
            return {
                "merge": {
                    "merge_id": str(event.about),
                    "member_id": str(stayed),
                    "merged_member_id": str(became),
                }
            }
        case EventKind.PING:
            return {}
    raise ValueError(f"nothing is said about {event.kind}")
