"""What a till loads before it can scan, as it comes over the wire."""

from __future__ import annotations

import gzip
import json
import re

import pytest
from flask import Flask

from tests.web.visitor import Visitor

FIRST_LOAD_BYTES_MAX = 520_000
READER = "/static/vendor/zxing-wasm-3.1.4-reader.wasm"


@pytest.mark.check("W-13")
def test_all_of_the_till_with_what_reads_barcodes_comes_in_520_kilobytes(app: Flask) -> None:
    wire = Visitor(app, Accept_Encoding="gzip, deflate, br")
    worker = gzip.decompress(wire.fetch("/till/worker.js").data).decode()
    made_of = json.loads(re.match(r"const MADE_OF = (.*);\n", worker)[1])  # type: ignore[index]
    sheets = {"/static/passes.css", "/static/vendor/pico-2.1.1.min.css"}
    addresses = {"/till/app", "/till/worker.js", *sheets, *made_of["files"]}
    assert READER in addresses
    sizes = {address: len(wire.fetch(address).data) for address in addresses}
    assert sum(sizes.values()) <= FIRST_LOAD_BYTES_MAX, sizes


def test_the_reader_comes_small_as_wasm_and_is_kept_for_ever(app: Flask) -> None:
    small = Visitor(app, Accept_Encoding="gzip").fetch(READER)
    assert small.mimetype == "application/wasm"  # browsers compile it while it loads
    assert small.headers["Content-Encoding"] == "gzip"
    assert small.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert gzip.decompress(small.data) == Visitor(app).fetch(READER).data
