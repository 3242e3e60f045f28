"""Cards as pictures: what a wallet shows for a CardFace, drawn on the server as one SVG.

Drawn from the same value as the real pass, so that a preview cannot promise
anything else. The wallets' faces are approximate: no wallet publishes all its
measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from passes.faces import apple, google, web
from passes.faces.flaws import Flaw as Flaw
from passes.faces.flaws import Warning as Warning
from passes.faces.flaws import warnings as warnings
from passes.loyalty.card import CardFace


class Face(StrEnum):
    """Which side of which card."""

    APPLE_FRONT = "apple-front"
    APPLE_BACK = "apple-back"
    APPLE_LOCK = "apple-lock"
    GOOGLE_FRONT = "google-front"
    GOOGLE_DETAILS = "google-details"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class Pictures:
    """Addresses of a card's pictures; None where a card has none."""

    logo: str
    strip: str | None
    hero: str | None


def draw(
    face: CardFace,
    kind: Face,
    *,
    pictures: Pictures,
    zone: str,
    notice: str | None = None,
    live: bool = False,
) -> str:
    """One `<svg …>` to stand in a page: escaped, without styles, scripts or ids, never mirrored.

    Its title and description say everything it shows, in reading order. Dates
    are those of `zone`. `notice` is the lock screen's text, else what the face's
    own change says (ValueError if it has none). With `live` the member's name on
    a front carries `data-live="name"`, for a script (static/faces.js) that writes another.
    """
    match kind:
        case Face.APPLE_FRONT:
            return apple.front(face, pictures, zone, live=live)
        case Face.APPLE_BACK:
            return apple.back(face, zone)
        case Face.APPLE_LOCK:
            return apple.lock(face, pictures, zone, notice)
        case Face.GOOGLE_FRONT:
            return google.front(face, pictures, zone, live=live)
        case Face.GOOGLE_DETAILS:
            return google.details(face, pictures, zone)
        case Face.WEB:
            return web.card(face, pictures, zone, live=live)
