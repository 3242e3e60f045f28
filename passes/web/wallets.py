"""Which wallet a visitor's phone has, and what the buttons that lead into one look like.

The wallets' own buttons belong to Apple and Google and may not be redrawn. An
operator who has them puts the files into a folder, and they are shown as they
are; until then there are plain buttons with the same words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from flask import Blueprint, Response, abort, make_response, request, url_for

from passes.language import SOURCE
from passes.web import language
from passes.web.here import installation, on_this_machine

blueprint = Blueprint("wallets", __name__)

# Browsers inside other apps cannot open a pass.
_INSIDE_AN_APP = re.compile(
    r"FBAN|FBAV|FB_IAB|Instagram|\bLine/|MicroMessenger|TikTok|musical_ly|BytedanceWebview|GSA/|Snapchat"
    r"|Pinterest/|LinkedInApp|Twitter for|\bwv\)"
)


class Likely(StrEnum):
    """The wallet that a visitor most likely has; NEITHER on anything that is no phone."""

    APPLE = "apple"
    GOOGLE = "google"
    NEITHER = "neither"


@blueprint.app_template_global("likely_wallet")
def likely() -> Likely:
    """What the browser says about the machine it runs on."""
    agent = request.user_agent.string
    if "Android" in agent:
        return Likely.GOOGLE
    if re.search(r"\b(iPhone|iPod)\b", agent):
        return Likely.APPLE
    return Likely.NEITHER


def on_a_phone() -> bool:
    """Whether this is the screen on which the card shall live."""
    return likely() is not Likely.NEITHER


@blueprint.app_template_global("inside_an_app")
def inside_an_app() -> bool:
    """Whether the page is shown by a browser within an app, such as a social network's."""
    return bool(_INSIDE_AN_APP.search(request.user_agent.string))


@blueprint.app_template_global("needs_certificate")
def needs_certificate() -> bool:
    """Whether this visitor's wallet would refuse our cards, because they are signed for trying out only.

    On the machine itself they go into the virtual phone, which knows the throw-away chain.
    """
    return installation().development and not on_this_machine()


@blueprint.app_template_global("browser_address")
def browser_address() -> str:
    """This page for the phone's own browser: an address that Android hands on to it."""
    scheme, _, rest = installation().public_url.partition("://")
    host = rest.partition("/")[0]
    query = f"?{request.query_string.decode('ascii', 'replace')}" if request.query_string else ""
    return f"intent://{host}{request.path}{query}#Intent;scheme={scheme};end"


@dataclass(frozen=True, slots=True)
class Badge:
    """A wallet's own button: where it is, and how it is read out."""

    address: str
    words: str


_WORDS = {Likely.APPLE: "Add to Apple Wallet", Likely.GOOGLE: "Add to Google Wallet"}
_KINDS = {"svg": "image/svg+xml", "png": "image/png"}
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_BADGE_BYTES_MAX = 500_000


@blueprint.app_template_global("badge")
def badge(wallet: str) -> Badge | None:
    """The operator's file for this wallet's button, in the page's language or else in English."""
    for spoken in (language.current(), SOURCE):
        for kind in _KINDS:
            path = _path(wallet, spoken, kind)
            if path is not None and path.is_file():
                address = url_for(
                    "wallets.picture",
                    wallet=wallet,
                    spoken=spoken,
                    kind=kind,
                    v=f"{path.stat().st_mtime_ns:x}",
                )
                return Badge(address, language.words(_WORDS[Likely(wallet)]))
    return None


@blueprint.get("/badges/<any(apple,google):wallet>-<spoken>.<any(svg,png):kind>")
def picture(wallet: str, spoken: str, kind: str) -> Response:
    """A wallet's own button as the operator got it."""
    path = _path(wallet, spoken, kind)
    if path is None or not path.is_file() or path.stat().st_size > _BADGE_BYTES_MAX:
        abort(404)
    answer = make_response(path.read_bytes())
    answer.headers["Content-Type"] = _KINDS[kind]
    answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    # Opened by itself, a drawing is a page; this one may do nothing.
    answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return answer


def _path(wallet: str, spoken: str, kind: str) -> Path | None:
    folder = installation().badges
    if folder is None or not _LANGUAGE.fullmatch(spoken):
        return None
    return folder / f"{wallet}-{spoken}.{kind}"
