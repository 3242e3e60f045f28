"""Members: the page that a card lives on. It is a card itself, for whoever has no wallet.

The address is the key to the card, so nothing here may leak it: no referrer,
no index, nothing kept on the way.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from urllib.parse import quote

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.http import quote_etag
from werkzeug.wrappers import Response as AnyResponse

from passes import artwork, issuing, membership
from passes.loyalty.card import CardFace
from passes.loyalty.dates import local_date
from passes.loyalty.design import Symbology
from passes.loyalty.receipt import ReceiptKind
from passes.loyalty.refusals import Busy, CardVoided, StorageFull
from passes.membership import Link
from passes.web import language, theme
from passes.web.errors import status_of
from passes.web.here import installation, now

blueprint = Blueprint("member", __name__)

TITLES = {
    ReceiptKind.ACCRUE: "Purchase",
    ReceiptKind.REDEEM: "Reward",
    ReceiptKind.UNDO: "Taken back",
    ReceiptKind.WELCOME: "Welcome",
    ReceiptKind.HOLD: "Set aside for a payment",
    ReceiptKind.CAPTURE: "Paid with what was set aside",
    ReceiptKind.VOID: "Free again",
    ReceiptKind.RETURN: "Goods given back",
    ReceiptKind.ACTIVATE: "Can be spent now",
    ReceiptKind.EXPIRE: "Not used in time",
    ReceiptKind.BIRTHDAY: "Happy birthday",
    ReceiptKind.ACTION: "Thank you",
    ReceiptKind.ADJUST: "Correction",
    ReceiptKind.MERGE: "Two cards became one",
}
"""What an entry is called whose reward or amount does not name it."""

# Browsers inside other apps cannot open a pass.
_INSIDE_AN_APP = re.compile(r"FBAN|FBAV|Instagram|Line/|MicroMessenger|TikTok|BytedanceWebview|GSA/")


@blueprint.after_request
def keep_private(answer: Response) -> Response:
    """The address opens the card: it must not travel on, be found, or be kept."""
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["X-Robots-Tag"] = "noindex, nofollow"
    answer.headers.setdefault("Cache-Control", "private, no-store")
    return answer


@blueprint.get("/card/<secret>")
def card(secret: str) -> AnyResponse:
    """A member's own page: the card to show, what it holds and why, and the way into a wallet."""
    found = _open(secret)
    if found.voided_at is not None:
        return _gone(found)
    with suppress(Busy, StorageFull):  # the member is worth more than the count
        membership.mark_shown(installation().store, found, now=now())
    return make_response(
        render_template("member/card.html", tag=quote_etag(_tag(found)), **_shown(found, secret))
    )


@blueprint.get("/card/<secret>/now")
def fresh(secret: str) -> AnyResponse:
    """The parts of the page that change, for a page that is open; 304 while nothing has changed."""
    found = _open(secret)
    if found.voided_at is not None:
        return _gone(found)
    tag = _tag(found)
    if request.if_none_match.contains(tag):
        answer = Response(status=304)
    else:
        answer = make_response(render_template("member/now.html", **_shown(found, secret)))
    answer.set_etag(tag)
    return answer


@blueprint.get("/card/<secret>/apple")
def apple(secret: str) -> AnyResponse:
    """To the card as a file, under an address that holds for ten minutes. Raises CardVoided."""
    return redirect(url_for("devices.download", token=_download_token(_open_valid(secret))), 303)


@blueprint.get("/card/<secret>/phone")
def phone(secret: str) -> AnyResponse:
    """To the virtual iPhone, which is there in development only. Raises CardVoided."""
    token = _download_token(_open_valid(secret))
    phone_url = installation().phone_url
    if phone_url is None:
        return redirect(url_for("member.card", secret=secret), 303)
    address = f"{installation().public_url}{url_for('devices.download', token=token)}"
    return redirect(f"{phone_url}/add?url={quote(address, safe='')}", 303)


def _open(secret: str) -> Link:
    """The card of this link; from here on the page speaks its member's language. Raises LinkUnknown."""
    found = membership.link(installation().store, secret=secret)
    language.speak((found.language,))
    return found


def _open_valid(secret: str) -> Link:
    found = _open(secret)
    if found.voided_at is not None:
        raise CardVoided
    return found


def _tag(found: Link) -> str:
    """Names everything that the page shows, as it stands: its words change with the day, too."""
    today = local_date(now(), membership.programme_of(installation().store, found).zone)
    known = (
        found.revision,
        found.version,
        found.holders,
        found.installed_at,
        found.removed_at,
        language.current(),
        today,
    )
    return hashlib.sha256(repr(known).encode()).hexdigest()[:20]


def _gone(found: Link) -> AnyResponse:
    """A withdrawn card, and one whose member left: nothing is said of whose it was."""
    rules = membership.programme_of(installation().store, found)
    return make_response(render_template("member/gone.html", programme=rules), status_of(CardVoided()))


def _shown(found: Link, secret: str) -> dict[str, object]:
    """What the page and its changing parts show."""
    here = installation()
    seen = membership.overview(here.store, found, language=language.current(), now=now())
    agent = request.user_agent.string
    return {
        "secret": secret,
        "seen": seen,
        "face": seen.face,
        "loaded": seen.loaded,
        "programme": seen.loaded.programme,
        "theme": theme.address(seen.loaded),
        "art": theme,
        "barcode": _barcode(seen.face),
        "titles": TITLES,
        "now": now(),
        "today": local_date(now(), seen.loaded.programme.zone),
        "development": here.phone_url is not None,
        "continue_code": Markup(artwork.qr_svg(f"{here.public_url}{url_for('member.card', secret=secret)}")),
        "android": "Android" in agent,
        "inside_an_app": bool(_INSIDE_AN_APP.search(agent)),
    }


def _download_token(found: Link) -> str:
    return issuing.download_token(
        installation().keys, programme_id=found.programme_id, card_id=found.card_id, now=now()
    )


def _barcode(face: CardFace) -> Markup | None:
    """The card's code to show at a till. Pages draw QR only; other cards are typed in from their text."""
    if face.barcode.symbology is not Symbology.QR or face.voided:
        return None
    return Markup(artwork.qr_svg(face.barcode.message))
