"""Smaller answers for slow connections.

Style sheets, scripts, drawings and what decodes barcodes always. Of the pages only those that ask for
it by `compressed`: where a page repeats what somebody wrote into its address
beside a secret that stays the same, its compressed length gives the secret
away (BREACH), so pages of a session or of a card are sent as they are.
"""

from __future__ import annotations

import gzip
import zlib
from functools import lru_cache

from flask import Flask, Response, request

_KINDS = frozenset(
    {"text/css", "text/javascript", "application/javascript", "image/svg+xml", "application/wasm"}
)
_GZIP = 16 + zlib.MAX_WBITS  # a window of 32 KB, with the head and tail of a gzip file
_BLOCKS = 6
_BYTES_MIN = 600  # below, it is one packet either way


def register(app: Flask) -> None:
    """Compress what lies in `static/` and the programmes' style sheets."""

    @app.after_request
    def shrink(answer: Response) -> Response:
        if request.endpoint in ("static", "theme.sheet") and answer.mimetype in _KINDS:
            return _shrunk(answer)
        return answer


def compressed(answer: Response) -> Response:
    """A page that holds no secret, compressed for browsers that can read it."""
    return _shrunk(answer)


def _shrunk(answer: Response) -> Response:
    answer.vary.add("Accept-Encoding")
    if answer.status_code != 200 or not request.accept_encodings["gzip"] or answer.content_encoding:
        return answer
    if (answer.content_length or _BYTES_MIN) < _BYTES_MIN:
        return answer
    answer.direct_passthrough = False
    tag, _ = answer.get_etag()
    body = answer.get_data()
    # Files are compressed once; what has no tag is a page that differs each time.
    answer.set_data(_kept(body) if tag else gzip.compress(body, 6, mtime=0))
    answer.content_encoding = "gzip"
    if tag:
        answer.set_etag(tag, weak=True)
    return answer


@lru_cache(maxsize=64)
def _kept(body: bytes) -> bytes:
    # In these smaller blocks the wasm comes out 4 KB shorter than in the usual ones; texts stay as long.
    packing = zlib.compressobj(9, zlib.DEFLATED, _GZIP, _BLOCKS)
    return packing.compress(body) + packing.flush()
