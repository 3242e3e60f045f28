"""What every page may ask of its surroundings."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv6Network, ip_address
from typing import TYPE_CHECKING

from flask import current_app, g, request

if TYPE_CHECKING:
    from passes.wiring import Installation

_LINE_BITS = 64


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
    """Where the request came from, as limits count it: one customer line has 2**64 addresses of IPv6."""
    found = request.remote_addr or "unknown"
    try:
        line = ip_address(found)
    except ValueError:
        return found
    if line.version == 4:
        return found
    return str(line.ipv4_mapped or IPv6Network((line, _LINE_BITS), strict=False))


def on_this_machine() -> bool:
    """Whether the person sits at this very machine.

    Not when a proxy passed the request on, and not under a foreign name: a
    page elsewhere can make a browser resolve its own name to this machine.
    """
    if any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via")):
        return False
    host = request.host.rpartition(":")[0] if ":" in request.host.rpartition("]")[2] else request.host
    try:
        is_near = ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
    return is_near and host in ("127.0.0.1", "localhost", "[::1]")
