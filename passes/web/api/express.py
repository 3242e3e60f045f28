"""A purchase's way past all that pages need and a register does not.

Finding the view, contexts, hooks and headers cost a purchase a third of its
processor time, and it is what registers send all day. So what is sure to be
right is answered before Flask sees it: a plain body, a key that was looked up
before. Everything else, and whatever is refused here, goes through Flask as if
it had not been here. That is safe: nothing was booked, and what was booked in
the same instant after all is answered by its Idempotency-Key.

The answers of both ways are the same, to the last header (a test compares them).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import orjson
from flask import Flask

from passes.web.api import operations
from passes.web.api.counter import COUNTER
from passes.web.api.operations import Asked, Operation, View
from passes.web.here import now

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_STATUS = "201 CREATED"


class Express:
    """Answers what is frequent by itself where it can, and lets the application answer everything else."""

    def __init__(self, app: Flask, root: str, headers: Sequence[tuple[str, str]]) -> None:
        self._app = app
        self._beyond: WSGIApplication = app.wsgi_app
        self._ways = {root + path: found for path, found in COUNTER.frequent.items()}
        # What every answer carries, besides what says something about this one.
        self._headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), *headers]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request of WSGI."""
        way = self._ways.get(environ["PATH_INFO"])
        if (
            way is not None
            and environ["REQUEST_METHOD"] == "POST"
            and environ.get("CONTENT_TYPE") == "application/json"
            and not environ.get("QUERY_STRING")
        ):
            raw = _read(environ)
            if raw is not None and (found := self._booked(*way, environ, raw)) is not None:
                content, said = found
                start_response(_STATUS, [*self._headers, *said, ("Content-Length", str(len(content)))])
                return [content]
        return self._beyond(environ, start_response)

    def _booked(
        self, operation: Operation, view: View, environ: WSGIEnvironment, raw: bytes
    ) -> tuple[bytes, list[tuple[str, str]]] | None:
        """The answer, and its own headers. None where something is in the way, which Flask will meet, too."""
        assert operation.body is not None
        with self._app.app_context():
            try:
                found = operations.known(operation, environ.get("HTTP_AUTHORIZATION", ""))
                if found is None:
                    return None
                key = operations.key_in(environ.get("HTTP_IDEMPOTENCY_KEY", ""))
                asked = Asked(found[0], key, condition=found[1])
                content = view(asked, operations.checked(operation.body, raw))
            except Exception:
                return None
            said = [(operations.REQUEST_ID, operations.request_id(environ.get("HTTP_X_REQUEST_ID", "")))]
            if content["recorded_at"] != now():
                said.append((operations.REPLAYED, "true"))
            return orjson.dumps(content), said


def _read(environ: WSGIEnvironment) -> bytes | None:
    """The body, which can be read again afterwards; None where it is too large or does not say how large."""
    length: str = environ.get("CONTENT_LENGTH", "")
    if not (length.isdecimal() and int(length) <= operations.BODY_BYTES_MAX):
        return None
    raw: bytes = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = BytesIO(raw)
    return raw
