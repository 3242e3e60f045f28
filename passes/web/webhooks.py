"""Owners: tell the shop's own programs what happens, try it, see what came back, send it again."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from passes import webhooks
from passes.access import Role
from passes.loyalty.refusals import Refused, WebhookTimeMissing
from passes.web import console
from passes.web.errors import status_of
from passes.web.here import installation, now

blueprint = Blueprint("webhooks", __name__, url_prefix="/console/webhooks")
console.admit(blueprint, Role.OWNER)

_PAGE = 25
_ID_LIMIT = 2**63


@blueprint.get("/")
def every() -> str:
    """All webhooks, and a form for another one."""
    return _every()


@blueprint.post("/")
def add() -> AnyResponse | tuple[str, int]:
    """Add one; its page shows the secret that its receiver needs."""
    address, chosen = request.form.get("address", ""), request.form.getlist("events")
    try:
        number = webhooks.add(
            installation().store,
            programme=console.loaded().slug,
            address=address,
            events=chosen,
            keys=installation().keys,
            development=installation().development,
            by=console.person().login,
            now=now(),
        )
    except Refused as refused:
        return _every(refused=refused, address=address, chosen=chosen), status_of(refused)
    return redirect(url_for("webhooks.show", number=number), 303)


@blueprint.get("/<int:number>")
def show(number: int) -> str:
    """How it goes, and its last deliveries."""
    return _show(number)


@blueprint.get("/<int:number>/deliveries")
def progress(number: int) -> str:
    """The part of the page that changes while messages go out."""
    return render_template("console/webhook-deliveries.html", **_last(number))


@blueprint.get("/<int:number>/deliveries/<int:delivery>")
def exchange(number: int, delivery: int) -> str:
    """One delivery: what was sent and what came back."""
    return _exchange(number, delivery)


@blueprint.post("/<int:number>/test")
def test(number: int) -> AnyResponse | tuple[str, int]:
    """Send a message that only tries the way."""
    try:
        webhooks.ping(installation().store, **_which(number), now=now())
    except Refused as refused:
        return _refused(number, refused)
    return _back(number)


@blueprint.post("/<int:number>/deliveries/<int:delivery>/again")
def again(number: int, delivery: int) -> AnyResponse | tuple[str, int]:
    """Send one delivery once more."""
    try:
        webhooks.again(installation().store, **_which(number), delivery_id=delivery, now=now())
    except Refused as refused:
        return _refused(number, refused)
    return _back(number)


@blueprint.post("/<int:number>/replay")
def replay(number: int) -> AnyResponse | tuple[str, int]:
    """Send everything since an instant once more."""
    try:
        webhooks.again_since(
            installation().store,
            **_which(number),
            since=_instant(request.form.get("since", "")),
            by=console.person().login,
            now=now(),
        )
    except Refused as refused:
        return _refused(number, refused)
    return _back(number)


@blueprint.post("/<int:number>/secret")
def secret(number: int) -> str:
    """Show what its receiver verifies with."""
    here = installation()
    shown = webhooks.secret(
        here.store, **_which(number), keys=here.keys, by=console.person().login, now=now()
    )
    return _show(number, secret=shown)


@blueprint.post("/<int:number>/rotate")
def rotate(number: int) -> str:
    """Change the secret, and show the new one."""
    here = installation()
    shown = webhooks.rotate(
        here.store, **_which(number), keys=here.keys, by=console.person().login, now=now()
    )
    return _show(number, secret=shown)


@blueprint.post("/<int:number>/pause")
def pause(number: int) -> AnyResponse:
    """Tell it nothing until it may go on."""
    webhooks.pause(installation().store, **_which(number), by=console.person().login, now=now())
    return redirect(url_for("webhooks.show", number=number), 303)


@blueprint.post("/<int:number>/resume")
def resume(number: int) -> AnyResponse:
    """Let it go on, first with what it missed."""
    webhooks.resume(installation().store, **_which(number), by=console.person().login, now=now())
    return redirect(url_for("webhooks.show", number=number), 303)


@blueprint.post("/<int:number>/remove")
def remove(number: int) -> AnyResponse:
    """Forget it."""
    webhooks.remove(installation().store, **_which(number), by=console.person().login, now=now())
    return redirect(url_for("webhooks.every"), 303)


def _which(number: int) -> webhooks.Which:
    return {"programme": console.loaded().slug, "webhook_id": number}


def _back(number: int) -> AnyResponse:
    return redirect(url_for("webhooks.show", number=number, _anchor="deliveries"), 303)


def _instant(typed: str) -> datetime:
    """What a field for day and time was given, in the programme's zone. Raises WebhookTimeMissing."""
    try:
        local = datetime.fromisoformat(typed)
    except ValueError:
        raise WebhookTimeMissing() from None
    return local.replace(tzinfo=ZoneInfo(console.loaded().programme.zone))


def _every(*, refused: Refused | None = None, address: str = "", chosen: list[str] | None = None) -> str:
    return render_template(
        "console/webhooks.html",
        standings=webhooks.every(installation().store, programme=console.loaded().slug),
        kinds=webhooks.CHOOSABLE,
        chosen=[kind.value for kind in webhooks.CHOOSABLE] if chosen is None else chosen,
        address=address,
        refused=refused,
    )


def _show(number: int, *, secret: str | None = None, refused: Refused | None = None) -> str:
    standing = webhooks.show(installation().store, **_which(number))
    return render_template(
        "console/webhook.html",
        standing=standing,
        webhook=standing.webhook,
        both_until=webhooks.both_until(standing.webhook, now=now()),
        secret=secret,
        refused=refused,
        **_last(number),
    )


def _refused(number: int, refused: Refused) -> tuple[str, int]:
    return _show(number, refused=refused), status_of(refused)


def _last(number: int) -> dict[str, object]:
    before = request.args.get("before", type=int)
    if before is not None and not 0 < before < _ID_LIMIT:
        before = None
    found = webhooks.last_deliveries(installation().store, **_which(number), before=before, limit=_PAGE + 1)
    shown = found[:_PAGE]
    return {
        "number_of_webhook": number,
        "deliveries": shown,
        "is_first": before is None,
        "further": shown[-1].event_id if len(found) > _PAGE else None,
        # Those on their way just now; what is tried again in hours is not waited for.
        "is_under_way": any(one.state == webhooks.WAITING and one.attempts == 0 for one in shown),
    }


def _exchange(number: int, delivery: int) -> str:
    here = installation()
    return render_template(
        "console/webhook-delivery.html",
        webhook=webhooks.show(here.store, **_which(number)).webhook,
        shown=webhooks.exchange(
            here.store, **_which(number), delivery_id=delivery, keys=here.keys, now=now()
        ),
    )
