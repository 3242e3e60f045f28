"""The alarms about Google, and how one is raised."""

from __future__ import annotations

from datetime import datetime

from passes.store import Store, alarms

ALARM_ACCOUNT = "google_account_refused"
ALARM_CLASS = "google_class_refused"
ALARM_CARD = "google_request_refused"


def sound(store: Store, name: str, words: str, *, now: datetime) -> None:
    """Raise an alarm in a transaction of its own."""
    store.write(lambda work: alarms.sound(work, name, words, now=now))
