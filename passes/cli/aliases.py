"""The command that lets a card of a former system go on scanning."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from passes.cli.opening import opened


def register(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Tell the parser of this command."""
    aliasing = add("alias", alias, "let a code of a former system lead to a card")
    aliasing.add_argument("programme")
    aliasing.add_argument("code", help="the card's number here")
    aliasing.add_argument("former", help="what the former card's barcode says, up to 64 signs")


def alias(parsed: argparse.Namespace) -> object:
    """Let a code of a former system lead to a card."""
    from passes import checkout

    with opened() as installation:
        kept = checkout.add_alias(
            installation.store,
            programme=parsed.programme,
            code=parsed.code,
            former=parsed.former,
            by="command line",
            now=installation.clock(),
        )
    return {"code": parsed.code, "also": kept}
