"""Pictures of Google's cards: fetched once from the shop and kept, as Google does.

Only loopback and the shop itself are asked; a picture that cannot be had is
asked for again after a while, and until then the card is shown without it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import urllib3

from passes.emulators.browsing import may_reach

_TIMEOUT = urllib3.Timeout(connect=1.0, read=3.0)
_BYTES_MAX = 4_000_000
_KEPT_MAX = 200
_AGAIN_SECONDS = 5.0
_KINDS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


class GooglePictures:
    """PNG and JPEG files by their addresses. `services` may be asked beside loopback."""

    def __init__(self, *, services: Sequence[str] = (), http: urllib3.PoolManager | None = None) -> None:
        self._services = tuple(services)
        self._http = http or urllib3.PoolManager()
        self._lock = Lock()
        # Each with the moment until which a missing one is not asked for again.
        self._kept: OrderedDict[str, tuple[bytes | None, float]] = OrderedDict()

    def get(self, url: str | None) -> bytes | None:
        """The picture, or None if there is none to be had."""
        if url is None:
            return None
        with self._lock:
            found = self._kept.get(url)
        if found is not None and (found[0] is not None or time.monotonic() < found[1]):
            return found[0]
        data = self._fetch(url)
        with self._lock:
            self._kept[url] = (data, time.monotonic() + _AGAIN_SECONDS)
            while len(self._kept) > _KEPT_MAX:
                self._kept.popitem(last=False)
        return data

    def _fetch(self, url: str) -> bytes | None:
        if not may_reach(url, self._services):
            return None
        try:
            answer = self._http.request(
                "GET", url, redirect=False, retries=False, timeout=_TIMEOUT, preload_content=False
            )
            try:
                data = answer.read(_BYTES_MAX + 1)
            finally:
                answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            return None
        return data if answer.status == 200 and data.startswith(_KINDS) and len(data) <= _BYTES_MAX else None
