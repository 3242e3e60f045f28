"""Registers of other makers on the command line: add one, look at what it told, try again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passes.cli.opening import opened

if TYPE_CHECKING:
    from passes.registers import Register
    from passes.wiring import Installation

_KINDS = ("shopify", "square", "odoo")


def register(add: Callable[..., argparse.ArgumentParser], group: Callable[[str, str], Any]) -> None:
    """Tell the parser of these commands."""
    commands = group("register", "registers of other makers that tell us of their orders")
    adding = add("add", make, "add one; its secret is read from standard input", commands)
    adding.add_argument("programme")
    adding.add_argument("kind", choices=_KINDS)
    adding.add_argument("name", help="what receipts and the console call it")
    _lists(adding)
    changing = add("change", change, "replace its lists of locations and categories", commands)
    _which(changing)
    _lists(changing)
    add(
        "list", every, "all registers of a programme, with the addresses to enter there", commands
    ).add_argument("programme")
    _which(
        add(
            "renew",
            renew,
            "believe another secret, read from standard input; at Odoo another address",
            commands,
        )
    )
    listing = add("messages", messages, "what a register told last, and what became of it", commands)
    _which(listing)
    listing.add_argument("--limit", type=int, default=20)
    trying = add("retry", retry, "try a refused or waiting message again", commands)
    _which(trying)
    trying.add_argument("message", help="its name, as `messages` shows it")
    _which(add("remove", remove, "listen to a register no longer; what it told stays", commands))


def _which(command: argparse.ArgumentParser) -> None:
    command.add_argument("programme")
    command.add_argument("register", type=int, help="its number, as the list shows it")


def _lists(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--locations",
        type=_file,
        help="a file with lines `their location = shop`; * is any other",
    )
    command.add_argument(
        "--categories",
        type=_file,
        help="a file with lines `article, product or maker = category`",
    )


def make(parsed: argparse.Namespace) -> object:
    """Add a register."""
    from passes import registers
    from passes.registers import Kind

    kind = Kind(parsed.kind)
    secret = "" if kind is Kind.ODOO else sys.stdin.readline()
    with opened() as installation:
        number = registers.add(
            installation.store,
            installation.keys,
            programme=parsed.programme,
            kind=kind,
            name=parsed.name,
            secret=secret,
            locations=parsed.locations or "",
            categories=parsed.categories or "",
            now=installation.clock(),
        )
        one = registers.one(
            installation.store, installation.keys, programme=parsed.programme, register_id=number
        )
        return {"register": number, "address": _address(installation, parsed.programme, one)}


def change(parsed: argparse.Namespace) -> object:
    """Replace the lists for which there is a file."""
    from passes import registers

    with opened() as installation:
        name = registers.change(
            installation.store,
            programme=parsed.programme,
            register_id=parsed.register,
            locations=parsed.locations,
            categories=parsed.categories,
            now=installation.clock(),
        )
    return {"changed": name}


def renew(parsed: argparse.Namespace) -> object:
    """Believe another secret; at Odoo make another address."""
    from passes import registers

    with opened() as installation:
        one = registers.renew(
            installation.store,
            installation.keys,
            programme=parsed.programme,
            register_id=parsed.register,
            # Odoo has none: an empty line, or nothing at all.
            secret=sys.stdin.readline(),
            now=installation.clock(),
        )
        return {"register": one.id, "address": _address(installation, parsed.programme, one)}


def every(parsed: argparse.Namespace) -> object:
    """All registers of a programme."""
    from passes import registers

    with opened() as installation:
        return [
            {
                "register": one.id,
                "kind": one.kind,
                "name": one.name,
                "address": None if one.removed_at else _address(installation, parsed.programme, one),
                "heard_at": one.heard_at,
                "waiting": one.waiting,
                "removed_at": one.removed_at,
            }
            for one in registers.every(installation.store, installation.keys, programme=parsed.programme)
        ]


def messages(parsed: argparse.Namespace) -> object:
    """What a register told last."""
    from passes import registers

    with opened() as installation:
        return registers.latest(
            installation.store,
            programme=parsed.programme,
            register_id=parsed.register,
            limit=parsed.limit,
        )


def retry(parsed: argparse.Namespace) -> object:
    """Try a message again."""
    from passes import registers
    from passes.wiring import register_books

    with opened() as installation:
        return registers.retry(
            installation.store,
            programme=parsed.programme,
            register_id=parsed.register,
            message_key=parsed.message,
            books=register_books(),
            now=installation.clock(),
        )


def remove(parsed: argparse.Namespace) -> object:
    """Listen to a register no longer."""
    from passes import registers

    with opened() as installation:
        name = registers.remove(
            installation.store,
            programme=parsed.programme,
            register_id=parsed.register,
            now=installation.clock(),
        )
    return {"removed": name}


def _address(installation: Installation, programme: str, one: Register) -> str:
    from passes import registers

    return registers.address(installation.public_url, programme, one)


def _file(name: str) -> str:
    try:
        return Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise argparse.ArgumentTypeError(f"{name} cannot be read") from None
