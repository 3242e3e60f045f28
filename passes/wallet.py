"""The seam every wallet fills.

A wallet (Apple or Google) is told which installs changed and answers,
for each, what became of it. What is owed, retried or removed is decided by
`delivery`; how a change reaches a phone is the wallet's own business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Install:
    """One phone (or wallet) to be told that cards of a pass type changed.

    At Apple `address` is the push token and `topic` the pass type identifier;
    at Google they are the object's id and its class's. `key` is opaque to the
    wallet: delivery finds its rows by it.
    """

    key: int
    topic: str
    address: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The wallet's service took the announcement (which is not: delivered)."""


@dataclass(frozen=True, slots=True)
class Later:
    """Try this install again, not before `at`."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The install no longer exists; `since` is when the service learnt it (None: unknown)."""

    since: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Our own mistake: no retry can help, the install is kept, an alarm is due."""

    reason: str


@dataclass(frozen=True, slots=True)
class Parked:
    """Nothing is wrong with the install, the whole account is refused: stop and alarm."""

    reason: str


Outcome = Accepted | Later | Gone | Rejected | Parked


class Wallet(Protocol):
    """What `delivery` needs of a wallet."""

    def announce(self, batch: Sequence[Install]) -> Iterator[tuple[Install, Outcome]]:
        """Tell each install of the batch that its cards changed.

        Yields every install exactly once, in any order, as answers arrive.
        Never raises for a single install; a dead connection is retried inside
        and ends as `Later` for those whose fate is unknown.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
