"""The front door: what this is, and where everybody goes from here.

In production the shops and their join pages, and nothing else. In development,
for whoever sits at this machine, also the three other sides of the service, a
list of things to try that ticks itself from what was really booked, and the
way back to how it was.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Blueprint, g, jsonify, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from passes import artwork
from passes.loyalty import codes
from passes.loyalty.card import CardFace
from passes.loyalty.programme import by_price
from passes.loyalty.refusals import NotAllowed
from passes.store import hood, programmes
from passes.store.hood import Steps
from passes.store.programmes import Loaded
from passes.web import join, signin, theme
from passes.web.here import installation, now

blueprint = Blueprint("front", __name__)

# Well-formed, and no card's.
_SAMPLE = codes.code_from(b"a card for show!")


@blueprint.get("/")
def door() -> str:
    """The shops; for whoever tries the service out on this machine, every side of it."""
    with installation().store.read() as read:
        shops = programmes.every(read)
    if not shops:
        return render_template("front/empty.html")
    loaded = next((shop for shop in shops if shop.slug == request.args.get("shop")), shops[0])
    setting = {
        "shops": shops,
        "loaded": loaded,
        "theme": theme.address(loaded),
    }
    demonstration = signin.demonstration_form()
    if demonstration is None:
        return render_template("front/shops.html", faces=[_face(shop) for shop in shops], **setting)
    join_address = f"{installation().public_url}{url_for('join.form', slug=loaded.slug)}"
    return render_template(
        "front/door.html",
        face=_face(loaded),
        demonstration=demonstration,
        steps=_steps(),
        phone=installation().phone_url,
        mail=installation().mail_url,
        own_phone=join_address if _is_reached_by_phones() else None,
        own_phone_code=Markup(artwork.qr_svg(join_address)),
        may_reset=installation().reset_file is not None,
        postgresql=installation().store.postgresql,
        **setting,
    )


@blueprint.get("/try/<slug>")
def sides(slug: str) -> str:
    """What a customer sees, or the till, with the phone beside it. Raises NotAllowed, ProgrammeUnknown.

    `side=till` begins at the till, where whoever comes from the front door has just signed in.
    """
    signin.refuse_strangers()
    with installation().store.read() as read:
        loaded = programmes.by_slug(read, slug)
    # The only page that shows others inside itself, ours and the phone's, and looks at what the phone shows.
    g.phone_beside = phone = installation().phone_url
    is_till = request.args.get("side") == "till"
    begins_at = url_for("shell.app") if is_till else url_for("join.form", slug=slug)
    return render_template(
        "front/sides.html",
        loaded=loaded,
        theme=theme.address(loaded),
        phone=phone,
        begins_at=begins_at,
        demonstration=signin.demonstration_form(),
    )


@blueprint.get("/demonstration/state")
def state() -> AnyResponse:
    """Which steps are done and whether the shops are being put back, for the page that watches."""
    signin.refuse_strangers()
    asked = installation().reset_file
    steps = _steps()
    return jsonify(
        steps=[steps.joined, steps.added, steps.bought, steps.redeemed, steps.published],
        resetting=asked is not None and asked.exists(),
    )


@blueprint.post("/demonstration/reset")
def reset() -> str:
    """Ask whoever started this process to put everything back. Raises NotAllowed where nobody would."""
    signin.refuse_strangers()
    signin.check_demonstration_form()
    asked = installation().reset_file
    if asked is None:
        raise NotAllowed
    asked.parent.mkdir(parents=True, exist_ok=True)
    asked.touch(mode=0o600)
    return render_template("front/reset.html")


def _steps() -> Steps:
    with installation().store.read() as read:
        since = hood.made_at(read) or now()
        return hood.steps(read, since=since)


def _is_reached_by_phones() -> bool:
    """Whether the address of this service is one that other machines reach."""
    host = urlsplit(installation().public_url).hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _face(loaded: Loaded) -> CardFace:
    """A card that makes a good picture: four fifths of the way to a reward."""
    rewards = by_price(loaded.programme)
    balance = (
        rewards[len(rewards) // 2].points * 4 // 5 if rewards else loaded.programme.earning.welcome_points
    )
    return join.sample_face(loaded.programme, balance=balance, name="Ana", code=_SAMPLE)
