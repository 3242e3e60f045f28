"""Owners: make the keys with which registers ask the API, see when each was used, take one out of force.

A secret is in the one answer to the form that made it, and nowhere else. The
same form sent twice shows the same secret again: it is derived from the form.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from passes import api_keys
from passes.access import Role
from passes.api_keys import PREFIX, RESTORE_TIME, ApiKey, Scope
from passes.loyalty.refusals import ApiKeyUnknown, Refused
from passes.web import console, language
from passes.web.errors import status_of
from passes.web.here import installation, now

blueprint = Blueprint("keys", __name__, url_prefix="/console/keys")
console.admit(blueprint, Role.OWNER)

LASTS_DAYS = (30, 90, 365)
"""For how long a key may be made to last, beside for ever."""

_FORM_KEY_LETTERS = range(8, 41)


@blueprint.get("/")
def every() -> str:
    """All keys, and a form for one more."""
    return _page()


@blueprint.post("/")
def make() -> str | tuple[str, int]:
    """Make a key; this page alone shows its secret."""
    form_key = request.form.get("key", "")
    if len(form_key) not in _FORM_KEY_LETTERS:
        abort(400)
    slug, here = console.loaded().slug, installation()
    derived = here.keys.form_proof("api key", slug, str(console.person().id), form_key)
    try:
        key_id, secret = api_keys.issue(
            here.store,
            programme=slug,
            name=request.form.get("name", ""),
            scopes=[scope for scope in Scope if scope in request.form.getlist("scope")],
            location=request.form.get("location") or None,
            expires_at=_ends_at(request.form.get("days", "")),
            secret=PREFIX + derived,
            by=console.person().id,
            now=now(),
        )
    except Refused as refused:
        return _page(refused=refused, form_key=form_key), status_of(refused)
    return _page(made=(key_id, secret))


@blueprint.post("/<int:number>/revoke")
def revoke(number: int) -> AnyResponse | tuple[str, int]:
    """Take a key out of force at once. Asked twice, it happens once."""
    try:
        api_keys.revoke(
            installation().store,
            programme=console.loaded().slug,
            key_id=number,
            by=console.person().id,
            now=now(),
        )
    except ApiKeyUnknown as refused:
        if not any(key.id == number for key in _keys()):
            return _page(refused=refused), status_of(refused)
    return redirect(url_for("keys.every"), 303)


@blueprint.post("/<int:number>/restore")
def restore(number: int) -> AnyResponse | tuple[str, int]:
    """Put a key back that was taken out of force a moment ago."""
    try:
        api_keys.restore(
            installation().store,
            programme=console.loaded().slug,
            key_id=number,
            by=console.person().id,
            now=now(),
        )
    except ApiKeyUnknown as refused:
        return _page(refused=refused), status_of(refused)
    return redirect(url_for("keys.every"), 303)


def _keys() -> list[ApiKey]:
    return api_keys.every(installation().store, programme=console.loaded().slug)


def _ends_at(days: str) -> datetime | None:
    return now() + timedelta(days=int(days)) if days in map(str, LASTS_DAYS) else None


def _page(
    *, made: tuple[int, str] | None = None, refused: Refused | None = None, form_key: str | None = None
) -> str:
    # A refused form keeps what was typed; one that was answered is a new one.
    typed = request.form if refused and form_key else {}
    chosen = request.form.getlist("scope") if typed else [Scope.READ, Scope.PURCHASES]
    keys = _keys()
    return render_template(
        "console/keys.html",
        keys=keys,
        made=made,
        refused=refused,
        typed={name: typed.get(name, "") for name in ("name", "location", "days")},
        chosen=chosen,
        form_key=form_key or secrets.token_urlsafe(18),
        scopes=scope_words(),
        shop_names={shop.key: shop.name.in_(language.current()) for shop in console.loaded().programme.shops},
        lasts_days=LASTS_DAYS,
        just_revoked=[key for key in keys if _seconds_left(key) > 0],
        seconds_left=_seconds_left,
        is_over=lambda key: key.expires_at is not None and key.expires_at <= now(),
    )


def _seconds_left(key: ApiKey) -> int:
    """For how many seconds more it can be put back; 0 for keys in force."""
    if key.revoked_at is None:
        return 0
    left = key.revoked_at + RESTORE_TIME - now()
    return max(0, -(-left // timedelta(seconds=1)))


def scope_words() -> dict[Scope, str]:
    """What each scope lets a key do, in the page's language."""
    return {
        Scope.READ: language.words("Look: the member behind a card, quotes, receipts, the programme's facts"),
        Scope.PURCHASES: language.words("Book purchases, and undo mistakes"),
        Scope.REWARDS: language.words("Exchange points for rewards, and use gifts"),
        Scope.RETURNS: language.words("Take goods back"),
        Scope.MEMBERS: language.words("Find members by name, and make new ones"),
        Scope.RECORDS: language.words("Read all members and all receipts of the programme"),
        Scope.PEOPLE: language.words("See e-mail addresses and phone numbers among them"),
    }
