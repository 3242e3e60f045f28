"""Where Google's services answer, and the rule which addresses may stand in for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_UNPRINTABLE = re.compile(r"[\s\x00-\x20\x7f\\]")


class AddressInvalid(ValueError):
    """An address that must not be used; the text is one sentence for a person."""


def secure(address: str) -> bool:
    """Whether this is an https address, or plain http that does not leave this machine."""
    if _UNPRINTABLE.search(address):
        return False
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return False
    if parts.username is not None or not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)


def checked(address: str) -> str:
    """The address without a final slash. Raises AddressInvalid unless it is `secure`, without query."""
    if not secure(address) or "?" in address or "#" in address:
        raise AddressInvalid(
            f"“{address}” cannot stand in for Google: it must be https without a query, "
            "or plain http on this machine."
        )
    return address.rstrip("/")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Google's own addresses unless an emulator or a proxy stands in.

    `api` is the root of the REST API, `save` what a save link begins with,
    `callback_keys` where the keys that sign callbacks are published. `token`
    exchanges assertions; None means what the service account file names.
    """

    api: str = "https://walletobjects.googleapis.com"
    save: str = "https://pay.google.com/gp/v/save"
    callback_keys: str = "https://pay.google.com/gp/m/issuer/keys"
    token: str | None = None

    def __post_init__(self) -> None:
        """Raise AddressInvalid for an address that would leave the machine in the clear."""
        for name in ("api", "save", "callback_keys"):
            object.__setattr__(self, name, checked(getattr(self, name)))
        if self.token is not None:
            object.__setattr__(self, "token", checked(self.token))

    @property
    def emulated(self) -> bool:
        """Whether cards go somewhere else than to Google; pages must say so."""
        return self.api != Addresses.__dataclass_fields__["api"].default
