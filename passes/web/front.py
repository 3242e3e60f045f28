"""The front door: what this is, and where everybody goes from here."""

from __future__ import annotations

from flask import Blueprint, render_template
from markupsafe import Markup

from passes import artwork
from passes.loyalty import codes
from passes.loyalty.programme import by_price
from passes.store import programmes
from passes.store.programmes import Loaded
from passes.web import join, signin, theme
from passes.web.here import installation

blueprint = Blueprint("front", __name__)


@blueprint.get("/")
def door() -> str:
    """In production the shops and their join pages; in development also every other side of the service."""
    with installation().store.read() as read:
        shops = programmes.every(read)
    first = shops[0] if shops else None
    return render_template(
        "front/door.html",
        shops=shops,
        face=join.sample_face(first.programme, balance=_showing(first), name="Ana", code=_SAMPLE)
        if first
        else None,
        loaded=first,
        barcode=Markup(artwork.qr_svg(_SAMPLE)),
        art=theme,
        theme=theme.address(first) if first else None,
        demonstration=signin.demonstration_form(),
        development=installation().development,
        phone=installation().phone_url,
    )


# Well-formed, and no card's.
_SAMPLE = codes.code_from(b"a card for show!")


def _showing(loaded: Loaded) -> int:
    """A balance that makes a good picture: four fifths of the way to a reward."""
    rewards = by_price(loaded.programme)
    return rewards[len(rewards) // 2].points * 4 // 5 if rewards else loaded.programme.earning.welcome_points
