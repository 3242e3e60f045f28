"""What a marketer finds on the desk: an offer that is written and waits to be published."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from passes import campaigns
from passes.demo.cast import COFFEE
from passes.store import Store, offers, programmes

KEY = "maple-cortado"
_DAYS = 7
_SOURCE = """
title = {{ en = "Maple Cortado is back", tr = "Akçaağaçlı Cortado döndü" }}
text = {{ en = "{{offer.points}} extra beans with every purchase this week.", \
tr = "Bu hafta her alışverişte {{offer.points}} çekirdek fazladan." }}
effect = "bonus_points"
points = 50
rings = true

[when]
until = "{until}T20:00"
"""


def leave_draft(store: Store, *, now: datetime) -> None:
    """Write the offer down, unless one of its name is there, whatever became of it."""
    with store.read() as read:
        loaded = programmes.by_slug(read, COFFEE)
        if offers.by_key(read, loaded, KEY) is not None:
            return
    until = (now.astimezone(ZoneInfo(loaded.programme.zone)) + timedelta(days=_DAYS)).date()
    source = _SOURCE.format(until=until.isoformat())
    campaigns.plan(store, programme=COFFEE, name=KEY, source=source, person="marketer", now=now)
