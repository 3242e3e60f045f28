"""Misbehaviour of the emulated Google on request, and what every request came to."""

from __future__ import annotations

import threading
import zlib
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

Where = Literal["api", "token", "keys"]
_CODES = {
    400: ("INVALID_ARGUMENT", "invalid"),
    401: ("UNAUTHENTICATED", "authError"),
    403: ("PERMISSION_DENIED", "forbidden"),
    429: ("RESOURCE_EXHAUSTED", "rateLimitExceeded"),
    500: ("INTERNAL", "backendError"),
    503: ("UNAVAILABLE", "backendError"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request that arrived, in a batch each part for itself.

    `status` is None if it was never answered. `resource` is the class or object
    meant. No token, assertion or save link is kept.
    """

    number: int
    at: datetime
    method: str
    path: str
    resource: str | None
    status: int | None
    reason: str | None
    body: Any
    agent: str

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "at": self.at.isoformat()}


@dataclass(frozen=True, slots=True)
class Trouble:
    """An answer other than the right one.

    `status` None: no answer at all. `after_commit`: the work is done first, and
    then the connection ends without a word.
    """

    status: int | None
    reason: str | None = None
    retry_after_seconds: int | None = None
    after_commit: bool = False

    @property
    def code(self) -> str:
        return _CODES.get(self.status or 0, ("UNKNOWN", ""))[0]

    @property
    def why(self) -> str:
        return self.reason or _CODES.get(self.status or 0, ("", "backendError"))[1]


@dataclass(slots=True)
class _Wish:
    trouble: Trouble
    times: int | None
    where: Where
    resource: str | None = None
    method: str | None = None
    part: float | None = None

    def meets(self, where: Where, method: str, resource: str | None) -> bool:
        if self.times is not None and self.times <= 0:
            return False
        if where != self.where or self.resource not in (None, resource) or self.method not in (None, method):
            return False
        # A part of all resources: the same one always meets the same fate.
        return self.part is None or (
            resource is not None and zlib.crc32(resource.encode()) / 2**32 < self.part
        )


class Faults:
    """Every method may be called while requests arrive; `clear` ends all of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Behave again."""
        with self._lock:
            self._wishes: list[_Wish] = []
            self.slow_seconds = 0.0
            self.callbacks_withheld = False
            self.callbacks_doubled = False

    def answer(
        self,
        status: int,
        *,
        times: int | None = 1,
        resource: str | None = None,
        method: str | None = None,
        reason: str | None = None,
        retry_after_seconds: int | None = None,
        where: Where = "api",
    ) -> None:
        """Answer the next `times` requests so (None: all), or those for one class or object, or one verb."""
        self._wish(_Wish(Trouble(status, reason, retry_after_seconds), times, where, resource, method))

    def share(
        self, part: float, status: int, *, times: int | None = None, retry_after_seconds: int | None = None
    ) -> None:
        """Answer this part (0 to 1) of all classes and objects so, the same ones every time."""
        trouble = Trouble(status, None, retry_after_seconds)
        self._wish(_Wish(trouble, times, "api", part=part))

    def hang(self, *, times: int | None = 1, resource: str | None = None, where: Where = "api") -> None:
        """Take the next requests, do nothing, and never answer: the client's time runs out."""
        self._wish(_Wish(Trouble(None), times, where, resource))

    def drop_after_commit(self, *, times: int | None = 1, resource: str | None = None) -> None:
        """Do what is asked, then close the connection instead of answering."""
        self._wish(_Wish(Trouble(None, after_commit=True), times, "api", resource))

    def slow(self, seconds: float) -> None:
        """Answer everything that much later."""
        with self._lock:
            self.slow_seconds = seconds

    def withhold_callbacks(self, on: bool = True) -> None:
        """Send no callbacks; what happened meanwhile is lost to the issuer."""
        with self._lock:
            self.callbacks_withheld = on

    def double_callbacks(self, on: bool = True) -> None:
        """Send every callback twice."""
        with self._lock:
            self.callbacks_doubled = on

    def take(self, where: Where, method: str, resource: str | None) -> Trouble | None:
        """What this request shall meet; each wish is used up as it says."""
        with self._lock:
            for wish in self._wishes:
                if wish.meets(where, method, resource):
                    if wish.times is not None:
                        wish.times -= 1
                    return wish.trouble
        return None

    def as_json(self) -> dict[str, Any]:
        """The misbehaviour in force."""
        with self._lock:
            return {
                "wishes": [asdict(wish) for wish in self._wishes if wish.times is None or wish.times > 0],
                "slow_seconds": self.slow_seconds,
                "callbacks_withheld": self.callbacks_withheld,
                "callbacks_doubled": self.callbacks_doubled,
            }

    def _wish(self, wish: _Wish) -> None:
        with self._lock:
            self._wishes.append(wish)
