"""Which wallet a visitor's phone has, and what the buttons that lead into one look like."""

from __future__ import annotations

import re
from enum import StrEnum

from flask import Blueprint, request

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
