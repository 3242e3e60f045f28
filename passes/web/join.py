"""Customers: the form that gives them a card."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from passes import access, enrolment
from passes.access import Limit
from passes.enrolment import Source
from passes.language import LONGER, MIRRORED, SOURCE, say
from passes.loyalty.card import CardFace, compose
from passes.loyalty.programme import Programme
from passes.loyalty.refusals import (
    Busy,
    EmailInvalid,
    FormStale,
    KeyReused,
    LinkUnknown,
    NameInvalid,
    Refused,
    StorageFull,
)
from passes.loyalty.tiers import tier_for
from passes.store import programmes
from passes.store.programmes import Loaded
from passes.web import language, theme
from passes.web.errors import status_of
from passes.web.here import address, https, installation, now

blueprint = Blueprint("join", __name__)

_PURPOSE = "join"
_YEAR_SECONDS = 365 * 24 * 3600
_SOURCES = ("poster", "link", "till", "email", "social")
_FIELDS = {NameInvalid: "name", EmailInvalid: "email"}


@blueprint.get("/join/<slug>")
def form(slug: str) -> str | AnyResponse:
    """The join form; or, in a browser that has a card, the way back to it."""
    loaded = _loaded(slug)
    if "new" not in request.args and (secret := _own_card(loaded)):
        return render_template("join/again.html", secret=secret, **_setting(loaded))
    with suppress(Busy, StorageFull):  # the customer is worth more than the count
        enrolment.count_view(installation().store, programme=slug, source=_source(loaded), now=now())
    return _form(loaded)


@blueprint.post("/join/<slug>")
def send(slug: str) -> tuple[str, int] | AnyResponse:
    """Join. Sent twice, the same form gives the same card."""
    loaded = _loaded(slug)
    source = _source(loaded)
    if "new" not in request.args and (secret := _own_card(loaded)):
        return redirect(url_for("member.card", secret=secret), 303)
    key = None
    try:
        access.limit(installation().store, Limit.JOIN_ADDRESS, address(), now=now())
        enrolment.count_send(installation().store, programme=slug, source=source, now=now())
        sent = access.read_form(
            installation().keys, request.form.get("form", ""), purpose=_PURPOSE, now=now()
        )
        key = sent.key
        joined = enrolment.join(
            installation().store,
            programme=slug,
            name=request.form.get("name", ""),
            email=request.form.get("email") or None,
            language=_member_language(),
            consents={one.purpose: one.purpose in request.form for one in loaded.programme.consents},
            source=source,
            key=f"join:{sent.key}",
            keys=installation().keys,
            now=now(),
        )
    except Refused as refused:
        # A form whose key is used up, or was never good, gets a new one.
        kept = None if isinstance(refused, FormStale | KeyReused) else key
        return _form(loaded, refused=refused, key=kept), status_of(refused)
    answer = redirect(url_for("member.card", secret=joined.link_secret), 303)
    answer.set_cookie(
        _cookie(loaded),
        joined.link_secret,
        max_age=_YEAR_SECONDS,
        path=url_for("join.form", slug=slug),
        httponly=True,
        samesite="Lax",
        secure=https(),
    )
    return answer


def sample_face(programme: Programme, *, balance: int, name: str, code: str = "") -> CardFace:
    """What a card of this programme looks like, for whoever has none yet."""
    return compose(
        programme,
        member_name=name,
        balance=balance,
        tier=tier_for(programme.tiers, 0),
        code=code,
        language=language.current(),
        say=say,
    )


def _form(loaded: Loaded, *, refused: Refused | None = None, key: str | None = None) -> str:
    setting = _setting(loaded)
    programme = loaded.programme
    hidden = access.new_form(installation().keys, purpose=_PURPOSE, now=now(), key=key)
    return render_template(
        "join/form.html",
        form=hidden.text,
        face=sample_face(
            programme,
            balance=programme.earning.welcome_points,
            name=request.form.get("name") or language.words("Your name"),
        ),
        referrer=_referrer(),
        refused=refused,
        wrong=_FIELDS.get(type(refused)) if refused else None,
        **setting,
    )


def _setting(loaded: Loaded) -> dict[str, object]:
    """What every page of a programme shows."""
    return {
        "loaded": loaded,
        "programme": loaded.programme,
        "theme": theme.address(loaded),
        "art": theme,
    }


def _loaded(slug: str) -> Loaded:
    with installation().store.read() as read:
        loaded = programmes.by_slug(read, slug)
    language.speak((*loaded.programme.languages,))
    return loaded


def _member_language() -> str:
    return SOURCE if language.current() in (LONGER, MIRRORED) else language.current()


def _source(loaded: Loaded) -> Source:
    """Where this visitor came from, as far as the address tells. Names nobody knows count as a link."""
    kind = request.args.get("from", "link")
    location = request.args.get("at")
    return Source(
        kind=kind if kind in _SOURCES else "link",
        location=location if location in {shop.key for shop in loaded.programme.shops} else None,
        referrer=_referrer(),
        utm_source=_clipped("utm_source"),
        utm_medium=_clipped("utm_medium"),
        utm_campaign=_clipped("utm_campaign"),
    )


def _clipped(name: str) -> str | None:
    return request.args.get(name, "")[:100] or None


def _referrer() -> str | None:
    """The foreign page that led here, without its query; kept in the form while it is being filled in."""
    text = request.form.get("referrer") if request.method == "POST" else request.referrer
    try:
        found = urlsplit(text or "")
    except ValueError:
        return None
    if found.scheme not in ("http", "https") or found.netloc in (request.host, ""):
        return None
    return f"{found.scheme}://{found.netloc.rpartition('@')[2]}{found.path}"[:500]


def _cookie(loaded: Loaded) -> str:
    return f"passes_card_{loaded.slug}"


def _own_card(loaded: Loaded) -> str | None:
    """The link of the card that this browser got from this programme, while it holds."""
    secret = request.cookies.get(_cookie(loaded))
    if not secret:
        return None
    try:
        found = enrolment.card_by_secret(installation().store, secret=secret)
    except LinkUnknown:
        return None
    return secret if found.programme_id == loaded.id else None
