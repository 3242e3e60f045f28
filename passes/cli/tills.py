"""Commands about tills and those who work at them: set up, pair, block, PINs, own cards."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from passes.cli.opening import opened


def register(
    add: Callable[..., argparse.ArgumentParser], group: Callable[[str, str], Any], staff: Any
) -> None:
    """Tell the parser of these commands; `staff` is the group of those about people."""
    till = group("till", "paired tills")
    adding = add("add", set_up, "set a till up; its pairing code is good for ten minutes, once", till)
    adding.add_argument("programme")
    adding.add_argument("name", help="as receipts show it")
    adding.add_argument("--location", help="the shop where it stands")
    add("list", every, "all tills of a programme", till).add_argument("programme")
    for name, command, words in (
        ("pair-code", new_code, "another code, with which another device takes its place"),
        ("revoke", revoke, "block a till at once"),
    ):
        one = add(name, command, words, till)
        one.add_argument("programme")
        one.add_argument("till", type=int, help="its number, as the list shows it")
    add("reviews", reviews, "what tills did and somebody has to look at", till).add_argument("programme")

    pin = add("pin", give_pin, "give somebody a PIN for tills; it is read from standard input", staff)
    pin.add_argument("login")
    pin.add_argument("--programme", required=True)
    pin.add_argument("--take", action="store_true", help="take the PIN away instead")
    card = add("card", own_card, "say which card is somebody's own, so that they cannot book on it", staff)
    card.add_argument("login")
    card.add_argument("code")
    card.add_argument("--programme", required=True)
    card.add_argument("--remove", action="store_true", help="it is not theirs after all")


def set_up(parsed: argparse.Namespace) -> object:
    """Set a till up."""
    from passes import tills

    with opened() as installation:
        till_id, code = tills.set_up(
            installation.store,
            installation.keys,
            programme=parsed.programme,
            name=parsed.name,
            location=parsed.location,
            by=None,
            now=installation.clock(),
        )
        return {"till": till_id, **_pairing(installation.public_url, code)}


def new_code(parsed: argparse.Namespace) -> object:
    """Another pairing code."""
    from passes import tills

    with opened() as installation:
        name, code = tills.new_code(
            installation.store,
            installation.keys,
            programme=parsed.programme,
            till_id=parsed.till,
            by=None,
            now=installation.clock(),
        )
        return {"name": name, **_pairing(installation.public_url, code)}


def _pairing(public_url: str, code: str) -> dict[str, str]:
    return {"code": f"{code[:4]}-{code[4:]}", "address": f"{public_url}/till/pair"}


def every(parsed: argparse.Namespace) -> object:
    """All tills of a programme; codes that wait are shown by `pair-code` alone."""
    from passes import tills

    with opened() as installation:
        found = tills.every(
            installation.store, installation.keys, programme=parsed.programme, now=installation.clock()
        )
    return [
        {
            "till": one.id,
            "name": one.name,
            "location": one.location,
            "state": "blocked" if one.revoked_at else "paired" if one.paired_at else "not paired",
            "seen_at": one.seen_at,
            "synced_at": one.synced_at,
        }
        for one in found
    ]


def revoke(parsed: argparse.Namespace) -> object:
    """Block a till at once."""
    from passes import tills

    with opened() as installation:
        name = tills.revoke(
            installation.store,
            programme=parsed.programme,
            till_id=parsed.till,
            by=None,
            now=installation.clock(),
        )
    return {"blocked": name}


def reviews(parsed: argparse.Namespace) -> object:
    """What waits to be looked at; it is decided in the console."""
    from passes import tills

    with opened() as installation:
        waiting = tills.open_reviews(installation.store, programme=parsed.programme)
    return [
        {
            "review": one.id,
            "till": one.till,
            "person": one.person,
            "operation": one.operation,
            "why": one.why,
            "occurred_at": one.occurred_at,
        }
        for one in waiting
    ]


def give_pin(parsed: argparse.Namespace) -> object:
    """Give somebody a PIN; it comes from standard input and stands in no command line."""
    from passes.access import pins

    pin = None if parsed.take else _typed("PIN: ")
    with opened() as installation:
        pins.set_pin(
            installation.store,
            programme=parsed.programme,
            login=parsed.login,
            pin=pin,
            by=None,
            now=installation.clock(),
        )
    return {"login": parsed.login, "has_pin": pin is not None}


def _typed(words: str) -> str:
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass(words)
    return sys.stdin.readline().rstrip("\n")


def own_card(parsed: argparse.Namespace) -> object:
    """Say which card is somebody's own."""
    from passes.access import own_cards

    with opened() as installation:
        change = own_cards.unlink_code if parsed.remove else own_cards.link
        member_id = change(
            installation.store,
            programme=parsed.programme,
            login=parsed.login,
            code=parsed.code,
            by=None,
            now=installation.clock(),
        )
    return {"login": parsed.login, "member": member_id, "own": not parsed.remove}
