"""Staff sign in and out."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from passes import access
from passes.access import Area, Person, Role
from passes.loyalty.refusals import NotAllowed, Refused
from passes.web.errors import status_of
from passes.web.here import address, https, installation, now, on_this_machine

blueprint = Blueprint("signin", __name__)

_PURPOSE = "sign-in"
_DEMONSTRATION = "demonstration"


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


@blueprint.get("/till/sign-in")
def form() -> str | AnyResponse:
    """Login and password."""
    if person(Area.TILL):
        return redirect(url_for("till.scan"), 303)
    return _form()


@blueprint.post("/till/sign-in")
def send() -> tuple[str, int] | AnyResponse:
    """Begin a session at the till."""
    login = request.form.get("login", "")
    try:
        access.read_form(installation().keys, request.form.get("form", ""), purpose=_PURPOSE, now=now())
        begun = access.sign_in(
            installation().store,
            login=login,
            password=request.form.get("password", ""),
            area=Area.TILL,
            address=address(),
            now=now(),
        )
    except Refused as refused:
        return _form(login=login, refused=refused), status_of(refused)
    return _signed_in(begun, Area.TILL)


@blueprint.post("/till/sign-out")
def leave() -> AnyResponse:
    """End this session, here and on the server."""
    someone = person(Area.TILL)
    if someone is not None:
        access.check_form_token(someone, request.form.get("form_token", ""))
        access.sign_out(installation().store, secret=secret(Area.TILL), now=now())
    answer = redirect(url_for("signin.form"), 303)
    answer.delete_cookie(
        cookie(Area.TILL), path=f"/{Area.TILL}", httponly=True, samesite="Lax", secure=https()
    )
    return answer


@blueprint.post("/demonstration")
def demonstrate() -> AnyResponse:
    """Sign in without a password: in development, for whoever sits at this machine, and nobody else."""
    if not installation().development or not on_this_machine():
        raise NotAllowed
    access.read_form(installation().keys, request.form.get("form", ""), purpose=_DEMONSTRATION, now=now())
    begun = access.sign_in_for_demonstration(
        installation().store,
        programme=request.form.get("programme", ""),
        role=Role.CASHIER,
        area=Area.TILL,
        now=now(),
    )
    return _signed_in(begun, Area.TILL)


def demonstration_form() -> str | None:
    """The hidden value of the one-click forms; None where they are refused anyway."""
    if not installation().development or not on_this_machine():
        return None
    return access.new_form(installation().keys, purpose=_DEMONSTRATION, now=now()).text


def _form(*, login: str = "", refused: Refused | None = None) -> str:
    hidden = access.new_form(installation().keys, purpose=_PURPOSE, now=now()).text
    return render_template("signin/form.html", form=hidden, login=login, refused=refused)


def _signed_in(begun: str, area: Area) -> Response:
    answer = redirect(url_for("till.scan"), 303)
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
