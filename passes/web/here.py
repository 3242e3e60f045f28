"""What every page may ask of its surroundings."""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

from flask import current_app, g, request

if TYPE_CHECKING:
    from passes.wiring import Installation


def installation() -> Installation:
    """The live objects of this service."""
    found: Installation = current_app.extensions["passes"]
    return found


def now() -> datetime:
    """The instant of this request: asked once, so that one answer never disagrees with itself."""
    if "now" not in g:
        g.now = installation().clock()
    at: datetime = g.now
    return at


def https() -> bool:
    """Whether people reach this service over https, so that cookies must be `Secure`."""
    return installation().public_url.startswith("https:")


def address() -> str:
    """Where the request came from."""
    return request.remote_addr or "unknown"


def on_this_machine() -> bool:
    """Whether the person sits at this very machine.

    Not when a proxy passed the request on, and not under a foreign name: a
    page elsewhere can make a browser resolve its own name to this machine.
    """
    if any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via")):
        return False
    host = request.host.rpartition(":")[0] if ":" in request.host.rpartition("]")[2] else request.host
    try:
        return ip_address(address()).is_loopback and host in ("127.0.0.1", "localhost", "[::1]")
    except ValueError:
        return False
