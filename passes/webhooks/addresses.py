"""Where webhooks may go: which addresses are taken, and which of the network's are reached.

An owner types an address and this server calls it: without a check, the owner
of one programme could make it call whatever only this machine can reach
(Standard Webhooks 1.0.0, "Server side request forgery").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from passes.loyalty.refusals import WebhookAddressInvalid

LENGTH_MAX = 500
_HOST_LENGTH_MAX = 253
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_VISIBLE = re.compile(r"[!-~]+")
# Addresses of IPv4 in those of IPv6: a translator would pass them on.
_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Target:
    """An address in its parts. `path` has the query; `authority` is what a Host header says."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host, and port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def read(address: str, *, development: bool) -> Target:
    """Take an address apart. Raises WebhookAddressInvalid.

    It must be https; development allows http to this machine.
    """
    if len(address) > LENGTH_MAX or not _VISIBLE.fullmatch(address):
        raise WebhookAddressInvalid()
    try:
        parts = urlsplit(address)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise WebhookAddressInvalid() from None
    if parts.scheme not in _PORTS or "@" in parts.netloc or parts.fragment or port == 0:
        raise WebhookAddressInvalid()
    number = _as_number(host)
    if number is None and (
        len(host) > _HOST_LENGTH_MAX or not _HOST.fullmatch(host) or _looks_like_number(host)
    ):
        raise WebhookAddressInvalid()
    if parts.scheme == "http" and not (development and is_this_machine(host)):
        raise WebhookAddressInvalid()
    if number is not None and not may_be_reached(number, development=development):
        raise WebhookAddressInvalid()
    if number is None and is_this_machine(host) and not development:
        raise WebhookAddressInvalid()
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)


def is_this_machine(host: str) -> bool:
    """Whether a name or number in an address means the machine itself."""
    number = _as_number(host)
    if number is not None:
        return number.is_loopback
    return host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost")


def may_be_reached(number: IPv4Address | IPv6Address, *, development: bool) -> bool:
    """Whether webhooks may connect to this address of the network: public ones, in development ours too."""
    if development and number.is_loopback:
        return True
    if isinstance(number, IPv6Address):
        inside = number.ipv4_mapped or number.sixtofour
        if inside is not None:
            return may_be_reached(inside, development=False)
        if number.teredo is not None or any(number in network for network in _TRANSLATED):
            return False
        # What stands in its place is a private network's (site-local, RFC 3879).
        if number.is_site_local:
            return False
    return number.is_global and not number.is_multicast and not number.is_reserved


def _as_number(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _looks_like_number(host: str) -> bool:
    """Whether a resolver may read it as an address that we do not: 127.1, 0x7f.1, 2130706433."""
    last = host.rstrip(".").rpartition(".")[2]
    return last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last) is not None
