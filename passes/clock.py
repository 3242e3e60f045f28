"""The one clock. Edges ask it once per request and pass the instant on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

Clock = Callable[[], datetime]


def clock(offset_file: Path | None) -> Clock:
    """The machine's clock; with `offset_file` moved by the number of seconds in it, read each time."""
    if offset_file is None:
        return _machine
    return lambda: _machine() + timedelta(seconds=_offset_seconds(offset_file))


def _machine() -> datetime:
    return datetime.now(UTC)


def _offset_seconds(path: Path) -> float:
    try:
        return float(path.read_text("ascii"))
    except (OSError, ValueError):
        return 0.0
