"""Under the hood: for whoever tries the service out on this machine, and for owners in the console.

The same pages stand in two places: `/hood` belongs to the demonstration and
refuses everybody else, `/console/hood` to owners who are signed in.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import orjson
from flask import Blueprint, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from passes import books, checkout, hood, issuing
from passes.access import Role
from passes.books import Verified
from passes.hood import Booked, Story
from passes.loyalty.explanation import Explained
from passes.loyalty.refusals import CodeMistyped, CodeUnknown, Refused
from passes.store import programmes
from passes.store.programmes import Loaded
from passes.web import language, signin, theme
from passes.web.errors import status_of
from passes.web.here import installation, now

blueprint = Blueprint("hood", __name__)

_CONSOLE = "console_hood"
# The oldest ones are summed up in one line; explaining each takes its rules of the time.
_EXPLAINED_MAX = 12
_EVENTS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Step:
    """A receipt on the way to the balance, and why it moved what it did."""

    booked: Booked
    title: str
    parts: tuple[Explained, ...]


@blueprint.before_request
def guard() -> AnyResponse | None:
    """Owners in the console; elsewhere only the demonstration, on this machine."""
    if request.blueprint == _CONSOLE:
        return signin.console_guard(Role.OWNER)
    signin.refuse_strangers()
    if request.method == "POST":
        signin.check_demonstration_form()
    with installation().store.read() as read:
        shops = programmes.every(read)
    asked = request.args.get("shop")
    g.loaded = next((shop for shop in shops if shop.slug == asked), shops[0] if shops else None)
    # Nothing to look under before there is a shop.
    return None if g.loaded else redirect(url_for("front.door"), 303)


@blueprint.get("")
def look() -> str | tuple[str, int]:
    """One card's story, and how the installation fares."""
    return _page()


@blueprint.post("")
def verify() -> str | tuple[str, int]:
    """The same, with the books proven just now."""
    return _page(verified=books.verify(installation().store, programme=_loaded().slug))


@blueprint.get("/card.pkpass")
def card() -> AnyResponse:
    """The card as Apple's file, or with `forged` one whose balance somebody raised afterwards.

    For the virtual phone's own look at it, so in the demonstration alone: a
    card's file holds what its phone proves itself with. Raises NotAllowed,
    CodeMistyped, CodeUnknown.
    """
    signin.refuse_strangers()
    loaded, store = _loaded(), installation().store
    story = hood.story(
        store, programme=loaded.slug, code=request.args.get("code", ""), language=language.current()
    )
    bundle = issuing.export(
        store, installation().office, programme=loaded.slug, card_id=story.card_id, now=now()
    )
    body = bytes(bundle)
    name = "forged" if "forged" in request.args else "card"
    answer = make_response(_forged(body) if name == "forged" else body)
    answer.headers["Content-Type"] = "application/vnd.apple.pkpass"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.pkpass"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _forged(body: bytes) -> bytes:
    """The same card with a thousand points more, as somebody without our key would make it."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as given, zipfile.ZipFile(made, "w") as written:
        for name in given.namelist():
            content = given.read(name)
            if name == "pass.json":
                document = orjson.loads(content)
                document["storeCard"]["headerFields"][0]["value"] += 1_000
                content = orjson.dumps(document)
            written.writestr(name, content)
    return made.getvalue()


def _loaded() -> Loaded:
    loaded: Loaded = g.loaded
    return loaded


def _page(verified: Verified | None = None) -> str | tuple[str, int]:
    loaded, store = _loaded(), installation().store
    busy = hood.busy_cards(store, programme=loaded.slug)
    typed = request.args.get("code", "").strip()
    code = typed or (busy[0].code if busy else "")
    story: Story | None = None
    refused: Refused | None = None
    if code:
        try:
            story = hood.story(store, programme=loaded.slug, code=code, language=language.current())
        except (CodeMistyped, CodeUnknown) as no:
            refused = no
    page = render_template(
        "hood/page.html",
        loaded=loaded,
        theme=theme.address(loaded),
        shops=_shops(),
        busy=busy,
        typed=typed,
        refused=refused,
        story=story,
        steps=_steps(story, loaded) if story else (),
        earlier=_earlier(story) if story else None,
        events_shown=_EVENTS_SHOWN,
        fares=hood.fares(store, programme=loaded.slug, now=now()),
        verified=verified,
        hidden=_hidden(),
        phone=installation().phone_url,
        mail=installation().mail_url,
        development=installation().development,
        here=url_for(".look", shop=loaded.slug) if request.blueprint != _CONSOLE else url_for(".look"),
        in_console=request.blueprint == _CONSOLE,
        now=now(),
    )
    return (page, status_of(refused)) if refused else page


def _shops() -> list[Loaded]:
    """The shops to choose from; an owner sees the one they work for."""
    if request.blueprint == _CONSOLE:
        return [_loaded()]
    with installation().store.read() as read:
        return programmes.every(read)


def _hidden() -> tuple[str, str]:
    """Name and value of the hidden field that proves a form is ours."""
    if request.blueprint == _CONSOLE:
        return "form_token", g.person.form_token
    return "form", signin.demonstration_form() or ""


def _earlier(story: Story) -> int | None:
    """What the receipts moved that are not explained one by one; None when there are none."""
    hidden = story.receipts[:-_EXPLAINED_MAX]
    return story.before + sum(one.change for one in hidden) if hidden or story.before else None


def _steps(story: Story, loaded: Loaded) -> tuple[Step, ...]:
    rewards = {reward.key: reward.name.in_(language.current()) for reward in loaded.programme.rewards}
    return tuple(
        Step(
            booked=one,
            title=rewards.get(one.reward_key or "", ""),
            parts=checkout.why(
                installation().store,
                programme=loaded.slug,
                receipt_id=one.id,
                language=language.current(),
            ).parts,
        )
        for one in story.receipts[-_EXPLAINED_MAX:]
    )
