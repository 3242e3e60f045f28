"""Staff sign in and out, at the till and in the console."""

from __future__ import annotations

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from passes import access
from passes.access import Area, Person, Role
from passes.loyalty.refusals import NotAllowed, Refused
from passes.store import programmes
from passes.store.programmes import Loaded
from passes.web.errors import status_of
from passes.web.here import address, https, installation, now, on_this_machine

blueprint = Blueprint("signin", __name__)

_PURPOSE = "sign-in"
_DEMONSTRATION = "demonstration"

# Where each area begins. Addresses, because a till may run without a console's pages and the other way round.
_HOMES = {Area.TILL: "/till/", Area.CONSOLE: "/console/offers"}
_AREAS = {Role.CASHIER: Area.TILL, Role.MARKETER: Area.CONSOLE, Role.OWNER: Area.CONSOLE}


def cookie(area: Area) -> str:
    """Each area has a cookie of its own, so that till and console can be open side by side."""
    return f"passes_{area}"


def person(area: Area) -> Person | None:
    """Who is signed in to this area of the service."""
    secret = request.cookies.get(cookie(area))
    return access.session(installation().store, secret=secret, area=area, now=now()) if secret else None


def secret(area: Area) -> str:
    """The secret of the session in this area; empty when there is none."""
    return request.cookies.get(cookie(area), "")


def console_guard(role: Role = Role.MARKETER) -> AnyResponse | None:
    """For `before_request` of every part of the console: only that role, and only forms of the session.

    Leaves the person as `g.person`, and as `g.loaded` the programme they work for: the one chosen in
    this session while they still may, otherwise their first. Answers with the way to the sign-in
    form when nobody is signed in. Raises FormStale and NotAllowed.
    """
    found = person(Area.CONSOLE)
    if found is None:
        return redirect(url_for("signin.form", area=Area.CONSOLE), 303)
    if request.method == "POST":
        access.check_form_token(found, request.form.get("form_token", ""))
    slugs = access.programmes_for(found, role)
    if not slugs:
        raise NotAllowed
    g.person = found
    g.loaded = _chosen(found, slugs)
    return None


def _chosen(found: Person, slugs: tuple[str, ...]) -> Loaded:
    if found.loaded is not None and found.loaded.slug in slugs:
        return found.loaded
    with installation().store.read() as read:
        return programmes.by_slug(read, slugs[0])


# The till is registered first (the decorator below): an address without an area is the till's.
@blueprint.get("/console/sign-in", defaults={"area": Area.CONSOLE})
@blueprint.get("/till/sign-in", defaults={"area": Area.TILL})
def form(area: Area) -> str | AnyResponse:
    """Login and password."""
    if person(area):
        return redirect(_HOMES[area], 303)
    return _form(area)


@blueprint.post("/console/sign-in", defaults={"area": Area.CONSOLE})
@blueprint.post("/till/sign-in", defaults={"area": Area.TILL})
def send(area: Area) -> tuple[str, int] | AnyResponse:
    """Begin a session."""
    login = request.form.get("login", "")
    try:
        access.read_form(installation().keys, request.form.get("form", ""), purpose=_PURPOSE, now=now())
        begun = access.sign_in(
            installation().store,
            login=login,
            password=request.form.get("password", ""),
            area=area,
            address=address(),
            now=now(),
        )
    except Refused as refused:
        return _form(area, login=login, refused=refused), status_of(refused)
    return _signed_in(begun, area)


@blueprint.post("/console/sign-out", defaults={"area": Area.CONSOLE})
@blueprint.post("/till/sign-out", defaults={"area": Area.TILL})
def leave(area: Area) -> AnyResponse:
    """End this session, here and on the server."""
    someone = person(area)
    if someone is not None:
        access.check_form_token(someone, request.form.get("form_token", ""))
        access.sign_out(installation().store, secret=secret(area), now=now())
    answer = redirect(url_for("signin.form", area=area), 303)
    answer.delete_cookie(cookie(area), path=f"/{area}", httponly=True, samesite="Lax", secure=https())
    return answer


@blueprint.post("/demonstration")
def demonstrate() -> AnyResponse:
    """Sign in without a password: in development, for whoever sits at this machine, and nobody else.

    `role` is cashier, marketer or owner; a cashier begins in the first shop, with `beside` next to the phone.
    """
    refuse_strangers()
    check_demonstration_form()
    asked = request.form.get("role", Role.CASHIER)
    role = next((one for one in Role if one == asked), None)
    if role is None:
        raise NotAllowed
    slug = request.form.get("programme", "")
    area = _AREAS[role]
    store = installation().store
    begun = access.sign_in_for_demonstration(store, programme=slug, role=role, area=area, now=now())
    with store.read() as read:
        shops = programmes.by_slug(read, slug).programme.shops
    access.work_at(store, secret=begun, programme=slug, location=shops[0].key if shops else None)
    beside = area is Area.TILL and "beside" in request.form
    return _signed_in(begun, area, url_for("front.sides", slug=slug, side="till") if beside else None)


def refuse_strangers() -> None:
    """Raise NotAllowed unless this is development and the person sits at this very machine."""
    if not in_demonstration():
        raise NotAllowed


@blueprint.app_template_global()
def in_demonstration() -> bool:
    """Whether the doors of the demonstration are open to whoever asks."""
    return installation().development and on_this_machine()


def demonstration_form() -> str | None:
    """The hidden value of the one-click forms; None where they are refused anyway."""
    if not in_demonstration():
        return None
    return access.new_form(installation().keys, purpose=_DEMONSTRATION, now=now()).text


def check_demonstration_form() -> None:
    """Refuse a form that was not made by `demonstration_form`. Raises FormStale."""
    access.read_form(installation().keys, request.form.get("form", ""), purpose=_DEMONSTRATION, now=now())


def _form(area: Area, *, login: str = "", refused: Refused | None = None) -> str:
    hidden = access.new_form(installation().keys, purpose=_PURPOSE, now=now()).text
    return render_template("signin/form.html", area=area, form=hidden, login=login, refused=refused)


def _signed_in(begun: str, area: Area, home: str | None = None) -> Response:
    answer = redirect(home or _HOMES[area], 303)
    answer.set_cookie(
        cookie(area),
        begun,
        max_age=int(access.SESSION_TIME.total_seconds()),
        path=f"/{area}",
        httponly=True,
        samesite="Lax",
        secure=https(),
    )
    assert isinstance(answer, Response)
    return answer
