"""Staff sign in and out, at the till and in the console."""

from __future__ import annotations

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from passes import access, tills
from passes.access import Area, AtTill, Person, Role, pins
from passes.language import say
from passes.loyalty.refusals import NotAllowed, Refused, TillUnknown
from passes.store import programmes, team
from passes.store.programmes import Loaded
from passes.store.team import Colleague
from passes.tills import Device
from passes.web.errors import status_of
from passes.web.here import address, https, installation, now, on_this_machine

blueprint = Blueprint("signin", __name__)

DEVICE = "passes_till_device"
"""The cookie that makes a browser a paired till."""

# As long as browsers keep a cookie at all; every sign-in at the till begins it anew.
DEVICE_SECONDS = 400 * 24 * 3600

_PURPOSE = "sign-in"
_DEMONSTRATION = "demonstration"

# Where each area begins. Addresses, because a till may run without a console's pages and the other way round.
_HOMES = {Area.TILL: "/till/app", Area.CONSOLE: "/console/"}
_AREAS = {Role.CASHIER: Area.TILL, Role.MARKETER: Area.CONSOLE, Role.OWNER: Area.CONSOLE}


def cookie(area: Area) -> str:
    """Each area has a cookie of its own, so that till and console can be open side by side."""
    return f"passes_{area}"


def person(area: Area) -> Person | None:
    """Who is signed in to this area of the service.

    What began at a paired till holds at that till alone; and at a paired till
    nothing else holds.
    """
    secret = request.cookies.get(cookie(area))
    found = access.session(installation().store, secret=secret, area=area, now=now()) if secret else None
    if found is not None and area is Area.TILL:
        at = at_till()
        if found.till_id != (None if at is None else at.till_id):
            return None
    return found


def device() -> Device | None:
    """The till that this browser is paired with, or was before the owner took it out of force."""
    if "device" not in g:
        secret = request.cookies.get(DEVICE)
        g.device = tills.device(installation().store, secret=secret) if secret else None
    found: Device | None = g.device
    return found


def at_till() -> AtTill | None:
    """The paired till in force that this is."""
    found = device()
    if found is None or found.is_revoked:
        return None
    return AtTill(found.loaded.id, found.till_id, found.location)


def cashiers(loaded: Loaded) -> list[Colleague]:
    """Who can open a paired till of this programme with a PIN."""
    with installation().store.read() as read:
        everybody = team.team(read, programme_id=loaded.id)
    return [one for one in everybody if one.has_pin and {Role.CASHIER, Role.OWNER} & set(one.roles)]


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
    """Login and password; at a paired till, who it is and their PIN."""
    if person(area):
        return redirect(_HOMES[area], 303)
    if area is Area.TILL and at_till() and "password" not in request.args:
        return _pin_form(request.args.get("who", ""))
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
            at=at_till() if area is Area.TILL else None,
            now=now(),
        )
    except Refused as refused:
        return _form(area, login=login, refused=refused), status_of(refused)
    # A paired till knows where it stands; anybody else says so first.
    asks_where = area is Area.TILL and at_till() is None
    return _signed_in(begun, area, url_for("till.place") if asks_where else None)


@blueprint.post("/till/sign-in/pin")
def enter() -> tuple[str, int] | AnyResponse:
    """Begin a session at a paired till with a PIN."""
    login, at = request.form.get("login", ""), at_till()
    try:
        access.read_form(installation().keys, request.form.get("form", ""), purpose=_PURPOSE, now=now())
        if at is None:
            raise TillUnknown
        begun = pins.sign_in(
            installation().store, at=at, login=login, pin=request.form.get("pin", ""), now=now()
        )
    except Refused as refused:
        page = _form(Area.TILL, refused=refused) if at is None else _pin_form(login, refused)
        return page, status_of(refused)
    return _signed_in(begun, Area.TILL)


@blueprint.post("/console/sign-out", defaults={"area": Area.CONSOLE})
@blueprint.post("/till/sign-out", defaults={"area": Area.TILL})
def leave(area: Area) -> AnyResponse:
    """End this session, here and on the server."""
    someone = person(area)
    if someone is not None:
        access.check_form_token(someone, request.form.get("form_token", ""))
        access.sign_out(installation().store, secret=secret(area), now=now())
    answer = redirect(url_for("signin.form", area=area), 303)
    assert isinstance(answer, Response)
    end_session(answer, area)
    return answer


@blueprint.post("/demonstration")
def demonstrate() -> AnyResponse:
    """Sign in without a password: in development, for whoever sits at this machine, and nobody else.

    `role` is cashier, marketer or owner; a cashier begins at a paired till in the first shop, with
    `beside` next to the phone, an owner with `yours` at a card of their own.
    """
    refuse_strangers()
    check_demonstration_form()
    asked = request.form.get("role", Role.CASHIER)
    role = next((one for one in Role if one == asked), None)
    if role is None:
        raise NotAllowed
    slug, area, store = request.form.get("programme", ""), _AREAS[role], installation().store
    with store.read() as read:
        loaded = programmes.by_slug(read, slug)
    location = loaded.programme.shops[0].key if loaded.programme.shops else None
    at, secret = _demonstration_till(loaded, location) if area is Area.TILL else (None, None)
    begun = access.sign_in_for_demonstration(store, programme=slug, role=role, area=area, at=at, now=now())
    if at is None:
        access.work_at(store, secret=begun, programme=slug, location=location)
    home = None
    if area is Area.TILL and "beside" in request.form:
        home = url_for("front.sides", slug=slug, side="till")
    elif role is Role.OWNER and "yours" in request.form:
        home = url_for("yours.form")
    answer = _signed_in(begun, area, home)
    if secret is not None:
        keep_device(answer, secret)
        # The next click knows by it that this browser has a till already.
        keep_device(answer, secret, path=url_for("signin.demonstrate"))
    return answer


def _demonstration_till(loaded: Loaded, location: str | None) -> tuple[AtTill, str | None]:
    """The till that this browser is, or becomes; then with the secret for its cookie."""
    at = at_till()
    if at is not None and at.programme_id == loaded.id:
        return at, None
    paired = tills.pair_for_demonstration(
        installation().store,
        installation().keys,
        programme=loaded.slug,
        location=location,
        # The owner reads it in the console, cashiers at the till: in the shop's own language.
        called=say(loaded.programme.language, "Demo till"),
        now=now(),
    )
    return AtTill(paired.programme_id, paired.till_id, location), paired.secret


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


def _pin_form(login: str, refused: Refused | None = None) -> str:
    found = device()
    assert found is not None
    everybody = cashiers(found.loaded)
    return render_template(
        "till/pin.html",
        till=found,
        cashiers=everybody,
        chosen=next((one for one in everybody if one.login == login), None),
        form=access.new_form(installation().keys, purpose=_PURPOSE, now=now()).text,
        refused=refused,
    )


def _signed_in(begun: str, area: Area, home: str | None = None) -> Response:
    answer = redirect(home or _HOMES[area], 303)
    assert isinstance(answer, Response)
    keep_session(answer, begun, area)
    return answer


def keep_session(answer: Response, begun: str, area: Area) -> None:
    """Put a session's secret into its cookie."""
    answer.set_cookie(
        cookie(area),
        begun,
        max_age=int(access.SESSION_TIME.total_seconds()),
        path=f"/{area}",
        httponly=True,
        samesite="Lax",
        secure=https(),
    )
    if area is Area.TILL and at_till() is not None:
        keep_device(answer, request.cookies[DEVICE])


def end_session(answer: Response, area: Area) -> None:
    """Take a session's cookie away."""
    answer.delete_cookie(cookie(area), path=f"/{area}", httponly=True, samesite="Lax", secure=https())


def keep_device(answer: Response, secret: str, *, path: str = "/till") -> None:
    """Make this browser a paired till. No page of another site ever sends this cookie."""
    answer.set_cookie(
        DEVICE,
        secret,
        max_age=DEVICE_SECONDS,
        path=path,
        httponly=True,
        samesite="Strict",
        secure=https(),
    )
