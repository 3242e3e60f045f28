"""Commands about the keys of registers: make one, list them, take one out of force."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from passes.cli.opening import opened

SCOPES = ("read", "purchases", "rewards", "returns", "members", "records", "people")


def register(add: Callable[..., argparse.ArgumentParser], group: Callable[[str, str], Any]) -> None:
    """Tell the parser of these commands."""
    keys = group("api-key", "keys with which registers and programs ask the API")
    making = add("add", make, "make a key; its secret is shown once", keys)
    making.add_argument("programme")
    making.add_argument("name", help="of the register or program that will use it")
    making.add_argument("--scope", action="append", choices=SCOPES, required=True, dest="scopes")
    making.add_argument("--location", help="the shop where it stands; it can then book nowhere else")
    making.add_argument("--days", type=int, help="for how long it is good; for ever without")
    add("list", every, "all keys of a programme", keys).add_argument("programme")
    revoking = add("revoke", revoke, "take a key out of force at once", keys)
    revoking.add_argument("programme")
    revoking.add_argument("key", type=int, help="its number, as the list shows it")


def make(parsed: argparse.Namespace) -> object:
    """Make a key; its secret is shown once."""
    from passes import api_keys
    from passes.api_keys import Scope

    with opened() as installation:
        now = installation.clock()
        key_id, secret = api_keys.issue(
            installation.store,
            programme=parsed.programme,
            name=parsed.name,
            scopes=[Scope(scope) for scope in parsed.scopes],
            location=parsed.location,
            expires_at=None if parsed.days is None else now + timedelta(days=parsed.days),
            now=now,
        )
    return {"key": key_id, "secret": secret}


def every(parsed: argparse.Namespace) -> object:
    """All keys of a programme."""
    from passes import api_keys

    with opened() as installation:
        return api_keys.every(installation.store, programme=parsed.programme)


def revoke(parsed: argparse.Namespace) -> object:
    """Take a key out of force at once."""
    from passes import api_keys

    with opened() as installation:
        name = api_keys.revoke(
            installation.store, programme=parsed.programme, key_id=parsed.key, now=installation.clock()
        )
    return {"revoked": name}
