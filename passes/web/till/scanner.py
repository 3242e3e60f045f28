"""A page to try a hand scanner or a camera with: it shows what arrives, and books nothing."""

from __future__ import annotations

from flask import render_template

from passes.web.till import shell
from passes.web.till.place import blueprint


@blueprint.get("/scanner")
def scanner() -> str:
    """What the scanner sends, how fast, and what the till would make of it."""
    return render_template("till/scanner.html", file=shell.file)
