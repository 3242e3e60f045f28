"""Pairing this browser with a till: the code from the owner's screen, typed or scanned. Open to everybody."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from passes import access, tills
from passes.access import Area, Limit
from passes.loyalty import codes
from passes.loyalty.refusals import Refused
from passes.web import signin
from passes.web.errors import status_of
from passes.web.here import address, installation, now

blueprint = Blueprint("pairing", __name__, url_prefix="/till")

_PURPOSE = "pairing"
_TYPED_LETTERS_MAX = 20


@blueprint.get("/pair")
def form() -> str:
    """Where the code is typed; whoever scanned it only has to agree."""
    return _form(request.args.get("code", ""))


@blueprint.post("/pair")
def send() -> AnyResponse | tuple[str, int]:
    """Become the till of the code. Whoever was signed in here is not any more."""
    typed = request.form.get("code", "")[:_TYPED_LETTERS_MAX]
    store = installation().store
    try:
        access.read_form(installation().keys, request.form.get("form", ""), purpose=_PURPOSE, now=now())
        access.limit(store, Limit.PAIRING_ADDRESS, address(), now=now())
        paired = tills.pair(store, code=typed, now=now())
    except Refused as refused:
        return _form(typed, refused), status_of(refused)
    if began := signin.secret(Area.TILL):
        access.sign_out(store, secret=began, now=now())
    answer = redirect(url_for("shell.app"), 303)
    assert isinstance(answer, Response)
    signin.end_session(answer, Area.TILL)
    signin.keep_device(answer, paired.secret)
    return answer


def _form(typed: str, refused: Refused | None = None) -> str:
    letters = codes.normalise(typed[:_TYPED_LETTERS_MAX])
    return render_template(
        "till/pair.html",
        code=f"{letters[:4]}-{letters[4:]}" if len(letters) == tills.CODE_LETTERS else letters,
        form=access.new_form(installation().keys, purpose=_PURPOSE, now=now()).text,
        refused=refused,
        present=signin.device(),
    )
