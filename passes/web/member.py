"""Members: the page that a card lives on."""

from __future__ import annotations

import re
from urllib.parse import quote

from flask import Blueprint, make_response, render_template, request
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from passes import artwork, enrolment, issuing, showing
from passes.loyalty.card import CardFace
from passes.loyalty.design import Symbology
from passes.store import programmes
from passes.web import language, theme
from passes.web.here import installation, now

blueprint = Blueprint("member", __name__)

# Browsers inside other apps cannot open a pass.
_INSIDE_AN_APP = re.compile(r"FBAN|FBAV|Instagram|Line/|MicroMessenger|TikTok|BytedanceWebview|GSA/")


@blueprint.get("/card/<secret>")
def card(secret: str) -> AnyResponse:
    """A member's own page: the card, the way into a wallet, and the code to show at a till."""
    reference = enrolment.card_by_secret(installation().store, secret=secret)
    with installation().store.read() as read:
        loaded = programmes.by_id(read, reference.programme_id)
        face = showing.face(read, loaded, reference.card_id, now=now())
    language.speak((face.language, *loaded.programme.languages))
    token = issuing.download_token(
        installation().keys, programme_id=loaded.id, card_id=reference.card_id, now=now()
    )
    own_address = f"{installation().public_url}/card/{secret}"
    download = f"{installation().public_url}/download/{token}"
    phone_url = installation().phone_url
    agent = request.user_agent.string
    answer = make_response(
        render_template(
            "member/card.html",
            loaded=loaded,
            programme=loaded.programme,
            theme=theme.address(loaded),
            art=theme,
            face=face,
            download=f"/download/{token}",
            phone=f"{phone_url}/add?url={quote(download, safe='')}" if phone_url else None,
            barcode=_barcode(face),
            continue_code=Markup(artwork.qr_svg(own_address)),
            android="Android" in agent,
            inside_an_app=bool(_INSIDE_AN_APP.search(agent)),
        )
    )
    # The address is the key to the card: it must not leak to anybody, nor be kept.
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["X-Robots-Tag"] = "noindex, nofollow"
    return answer


def _barcode(face: CardFace) -> Markup | None:
    """The card's code to show at a till. Pages draw QR only; other cards are typed in from their text."""
    if face.barcode.symbology is not Symbology.QR or face.voided:
        return None
    return Markup(artwork.qr_svg(face.barcode.message))
