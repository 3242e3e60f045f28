"""Is the service well? And what browsers report about broken pages."""

from __future__ import annotations

import logging
import re
import threading
from datetime import datetime, timedelta

from flask import Blueprint, Response, current_app, jsonify, request

from passes.store.health import State, state
from passes.web.here import installation, now

log = logging.getLogger(__name__)
blueprint = Blueprint("health", __name__)

_REPORTS_PER_MINUTE = 30
_REPORT_BYTES_MAX = 4_000


class _Calm:
    """Lets through so many a minute: a broken page on a busy day must not fill the log."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: datetime | None = None
        self._count = 0

    def allows(self, at: datetime) -> bool:
        with self._lock:
            if self._since is None or at - self._since >= timedelta(minutes=1):
                self._since, self._count = at, 0
            self._count += 1
            return self._count <= _REPORTS_PER_MINUTE


def _calm() -> _Calm:
    found: _Calm = current_app.extensions.setdefault("passes reports", _Calm())
    return found


@blueprint.get("/health")
def health() -> tuple[Response, int]:
    """Whether this process can do its work: the database answers and has the schema that the code needs."""
    found = state(installation().store)
    well = found is State.CURRENT
    answer = jsonify(status="ok" if well else "failing", database=found)
    answer.headers["Cache-Control"] = "no-store"
    return answer, 200 if well else 503


@blueprint.post("/csp-report")
def report() -> tuple[str, int]:
    """A browser refused something that a page of ours contains: a mistake, or an attack."""
    request.max_content_length = _REPORT_BYTES_MAX
    body = request.get_data(cache=False)
    if _calm().allows(now()):
        said = body.decode("utf-8", "replace").translate(_ONE_LINE)
        log.warning("content security policy: %s", _SECRET.sub(r"\1…", said))
    return "", 204


# A report is a stranger's text: it must not be able to forge log lines.
_ONE_LINE = dict.fromkeys((*range(32), 127, 0x85, 0x2028, 0x2029), " ")
# It names the page, and the address of a card's page opens the card. JSON may write a slash as `\/`.
_SECRET = re.compile(r"((?:card|download|save)(?:\\?/|%2[Ff]))[^/\\\"'?#&\s%]+")
