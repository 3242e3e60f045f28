"""Puts the demonstration back to how it was made.

A copy of the freshly made SQLite database is kept and taken again. The past of
the demonstration leads up to the day on which it was made, so a copy is good
for that day only; after it, the demonstration is made anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from passes.settings import Settings

_GOOD_FOR = timedelta(hours=12)
_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class Fresh:
    """Where the demonstration lives: its database, its copy, and what the emulators remember.

    `key` is the one file among that which is no memory: the key of the shop's account at Google.
    """

    database: Path
    copy: Path
    emulators: Path
    key: Path | None
    asked_file: Path

    def is_asked_for(self) -> bool:
        """Whether somebody wants it put back."""
        return self.asked_file.exists()

    def forget_wish(self) -> None:
        """Nobody wants it put back, or not any more."""
        self.asked_file.unlink(missing_ok=True)

    def keep(self, *, now: datetime) -> None:
        """Copy the database, which nobody may have open, as it was just made."""
        if any(part.exists() for part in self._beside()):
            return  # Something still writes: a copy would be torn.
        self.copy.parent.mkdir(parents=True, exist_ok=True)
        growing = self.copy.with_suffix(".part")
        shutil.copyfile(self.database, growing)
        growing.chmod(0o600)
        os.utime(growing, (now.timestamp(), now.timestamp()))
        growing.replace(self.copy)

    def put_back(self, make: Callable[[], None], *, now: datetime) -> None:
        """Take the copy again, or `make` everything anew where it is of another day; phones forget all."""
        for part in (self.database, *self._beside()):
            part.unlink(missing_ok=True)
        for memory in self.emulators.glob("*"):
            if memory != self.key:
                shutil.rmtree(memory) if memory.is_dir() else memory.unlink()
        if self._is_good(now):
            shutil.copyfile(self.copy, self.database)
            self.database.chmod(0o600)
        else:
            make()
            self.keep(now=now)
        self.forget_wish()

    def _is_good(self, now: datetime) -> bool:
        try:
            age_seconds = now.timestamp() - self.copy.stat().st_mtime
        except OSError:
            return False
        return 0 <= age_seconds < _GOOD_FOR.total_seconds()

    def _beside(self) -> tuple[Path, Path]:
        return self.database.with_name(f"{self.database.name}-wal"), self.database.with_name(
            f"{self.database.name}-shm"
        )


def fresh(settings: Settings) -> Fresh | None:
    """What can be put back; None for a database that is no file of ours."""
    if not settings.database_url.startswith(_SQLITE):
        return None
    folder = settings.var / "demonstration"
    return Fresh(
        database=Path(settings.database_url.removeprefix(_SQLITE)),
        copy=folder / "fresh.sqlite3",
        emulators=settings.var / "emulators",
        key=settings.google.account_file if settings.google else None,
        asked_file=folder / "reset",
    )
