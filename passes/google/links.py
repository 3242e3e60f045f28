"""The signed link behind an "Add to Google Wallet" button.

It names an object that is at Google already, so it stays short and carries
nothing about the member. It does not expire, and whoever opens it first may
save the card: make it when the button is pressed, behind a page that knows who
asks, and keep it out of logs.

Source: Google, "JSON Web Token (JWT)" of the Wallet API.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from passes.google.account import ServiceAccount
from passes.google.addresses import Addresses, secure
from passes.google.ids import RESOURCE

TOKEN_CHARACTERS_MAX = 1800
"""Google's advice: browsers may cut what is longer."""

_ORIGIN = re.compile(r"https?://[^/\s?#@]+")


class LinkInvalid(ValueError):
    """No link can be made of this: a mistake of ours or of the settings."""


def save_link(
    account: ServiceAccount,
    *,
    object_id: str,
    class_id: str,
    origins: Sequence[str],
    now: datetime,
    addresses: Addresses | None = None,
) -> str:
    """The address that saves a card which Google already holds.

    `origins` are the sites that show the button, such as
    `https://cards.example.com`. The caller has made sure that the object is
    there (`GoogleWallet.prepare`). Raises LinkInvalid.
    """
    for identifier in (object_id, class_id):
        if not RESOURCE.fullmatch(identifier):
            raise LinkInvalid("the ids of object and class must be the issuer, a dot, and the rest")
    if not origins or not all(_ORIGIN.fullmatch(origin) and secure(origin) for origin in origins):
        raise LinkInvalid("a link needs the https origin of the site that shows its button")
    token = account.sign(
        {
            "iss": account.email,
            "aud": "google",
            "typ": "savetowallet",
            "iat": int(now.timestamp()),
            "origins": list(origins),
            "payload": {"loyaltyObjects": [{"id": object_id, "classId": class_id}]},
        }
    )
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise LinkInvalid(
            f"the link's token has {len(token)} characters; beyond {TOKEN_CHARACTERS_MAX} browsers cut it"
        )
    return f"{(addresses or Addresses()).save}/{token}"
