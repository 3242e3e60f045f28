"""Marketers: plan an offer, see what it does on every phone, publish it, watch it go out, end it.

Every page works without script; `offers.js` counts letters and keeps the
progress fresh. A form is named by the server: sent twice, it makes one offer.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from babel.numbers import format_percent
from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from passes import access, campaigns, faces, insights
from passes.access import Area, Role
from passes.insights import OfferFigures
from passes.language import say
from passes.loyalty import codes, offer_draft
from passes.loyalty.card import NEWS_KEY, CardFace, OfferLine, compose
from passes.loyalty.dates import local_date
from passes.loyalty.offer_draft import Draft, Problem
from passes.loyalty.offer_file import TEXT_LENGTH_MAX, parse
from passes.loyalty.offers import Offer, OfferState
from passes.loyalty.programme import by_price
from passes.loyalty.refusals import NotAllowed, OfferInvalid, OfferUnknown, Refused
from passes.loyalty.toml_table import KEY
from passes.store import offers, programmes
from passes.store.insights import Cut, Window
from passes.store.offers import OfferRow
from passes.store.programmes import Loaded
from passes.store.reach import Progress, Spread
from passes.web import console, language, offer_form, signin
from passes.web.errors import status_of
from passes.web.here import installation, now

blueprint = Blueprint("offers", __name__, url_prefix="/console")
console.admit(blueprint, Role.MARKETER)

COMMANDS = {
    "publish": campaigns.publish,
    "pause": campaigns.pause,
    "resume": campaigns.resume,
    "end": campaigns.end,
}
# Those that run come first, those that are over last.
_STATES = (OfferState.LIVE, OfferState.PAUSED, OfferState.SCHEDULED, OfferState.DRAFT, OfferState.ENDED)
# So long the page of an offer that is over shows how it leaves the phones.
LEAVING = timedelta(hours=1)
# What a marketer can do something about, of all that a card shows.
_OF_THE_OFFER = ("offer", NEWS_KEY)
_FORM_KEY_LETTERS_MAX = 40
# Beside the offers' own pages: an offer of that name would have none.
_PAGES = ("new", "file")
_EXAMPLE_CODE = bytes(range(codes.RANDOM_BYTES))


# Who may come in ---------------------------------------------------------------


@blueprint.context_processor
def setting() -> dict[str, object]:
    """What pages about offers show besides."""
    return {"percent": percent, "hundredths": hundredths}


def percent(value: Fraction | float, digits: int = 0) -> str:
    """A share as hundredths, written as the page's language does."""
    rounded = round(Decimal(str(float(value))), digits + 2)
    return str(format_percent(rounded, locale=language.locale(), decimal_quantization=False))


def hundredths(value: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return language.signed(round(Decimal(str(value * 100)), 1))


@blueprint.get("/programme")
def choose() -> str:
    """Choose the programme to work for."""
    with installation().store.read() as read:
        slugs = access.programmes_for(console.person(), Role.MARKETER)
        choices = [programmes.by_slug(read, slug) for slug in slugs]
    return render_template("console/programme.html", choices=choices)


@blueprint.post("/programme")
def chosen() -> AnyResponse:
    """Work for this programme from now on."""
    slug = request.form.get("programme", "")
    if slug not in access.programmes_for(console.person(), Role.MARKETER):
        raise NotAllowed
    secret = signin.secret(Area.CONSOLE)
    access.work_at(installation().store, secret=secret, programme=slug, location=None)
    return redirect(url_for("overview.home"), 303)


# All offers ----------------------------------------------------------------------


@blueprint.get("/offers")
def every() -> str:
    """Every offer, those that run first; and the members' share of what is sold."""
    loaded = console.loaded()
    views = campaigns.every(installation().store, programme=loaded.slug, language=_spoken(loaded))
    return render_template(
        "console/offers.html",
        groups=[(state.value, [view for view in views if view.state is state]) for state in _STATES],
        share=_share_of_members(loaded),
    )


def _share_of_members(loaded: Loaded) -> Fraction | None:
    """The members' share of this month's sales; None before the first of them."""
    today = local_date(now(), loaded.programme.zone)
    month = Cut(Window(today.replace(day=1), today + date.resolution))
    found = insights.sales(installation().store, programme=loaded.slug, cut=month)
    return found[0].member_share if found else None


# One offer -----------------------------------------------------------------------


@blueprint.get("/offers/<key>")
def show(key: str) -> str:
    """What an offer says and whom it reaches; once it runs, how far it has come and what it does."""
    return _show(key)


@blueprint.get("/offers/<key>/progress")
def progress(key: str) -> str:
    """The part of the page that changes while phones are told."""
    loaded = console.loaded()
    view = campaigns.show(installation().store, programme=loaded.slug, key=key)
    return render_template("console/progress.html", view=view, told=_told(loaded, key))


@blueprint.post("/offers/<key>/<command>")
def move(key: str, command: str) -> AnyResponse | tuple[str, int]:
    """Publish, pause, resume or end it. Asked twice, it happens once."""
    if command not in COMMANDS:
        abort(404)
    loaded = console.loaded()
    try:
        COMMANDS[command](
            installation().store, programme=loaded.slug, key=key, person=console.person().login, now=now()
        )
    except OfferUnknown:
        raise
    except Refused as refused:
        return _show(key, refused=refused), status_of(refused)
    if request.form.get("back") == "list":
        return redirect(url_for("offers.every"), 303)
    return redirect(url_for("offers.show", key=key), 303)


def _show(key: str, *, refused: Refused | None = None) -> str:
    loaded, store = console.loaded(), installation().store
    view = campaigns.show(store, programme=loaded.slug, key=key)
    row = _row(loaded, key)
    offer, is_ahead = row.offer, view.state in (OfferState.DRAFT, OfferState.SCHEDULED)
    assert view.ends_at is not None
    # Later, cards wait for other reasons than the end of this offer.
    is_leaving = view.state is OfferState.ENDED and now() < view.ends_at + LEAVING
    is_coming = is_ahead or view.state is OfferState.PAUSED
    spoken = _spoken(loaded)
    return render_template(
        "console/offer.html",
        view=view,
        offer=offer,
        refused=refused,
        reach=campaigns.reach(store, programme=loaded.slug, key=key, now=now()) if is_coming else None,
        clashes=campaigns.clashes(store, programme=loaded.slug, key=key)
        if view.state is not OfferState.ENDED
        else [],
        told=_told(loaded, key) if is_leaving or not (is_ahead or view.state is OfferState.ENDED) else None,
        figures=None if is_ahead else _figures(loaded, key),
        face=(face := _face(loaded, offer, spoken)),
        flaws=[
            one.words(language.current())
            for one in faces.warnings(face, loaded.programme.zone)
            if one.key in _OF_THE_OFFER and one.flaw is not faces.Flaw.SMALL
        ],
        lock_words=_lock_words(face),
        offer_language=spoken,
    )


def _spoken(loaded: Loaded) -> str:
    """The page's language where the programme has it, or else the programme's own."""
    current = language.current()
    return current if current in loaded.programme.languages else loaded.programme.language


def _row(loaded: Loaded, key: str) -> OfferRow:
    with installation().store.read() as read:
        row = offers.by_key(read, loaded, key)
    if row is None:
        raise OfferUnknown
    return row


@dataclass(frozen=True, slots=True)
class Told:
    """Progress as the page shows it. `phones` of both wallets together."""

    iphones: Spread
    androids: Spread
    treated: int

    @property
    def phones(self) -> Spread:
        """Both wallets together."""
        one, other = self.iphones, self.androids
        return Spread(
            one.phones + other.phones,
            one.told + other.told,
            one.waiting + other.waiting,
            one.troubled + other.troubled,
        )


def _told(loaded: Loaded, key: str) -> Told:
    found: Progress = campaigns.progress(installation().store, programme=loaded.slug, key=key)
    return Told(found.iphones, found.androids, found.treated)


def _figures(loaded: Loaded, key: str) -> OfferFigures:
    return insights.offer(installation().store, programme=loaded.slug, key=key, now=now())


# What the wallets will show ---------------------------------------------------------


def _face(loaded: Loaded, offer: Offer, spoken: str) -> CardFace:
    """An example card with the offer on it, in the marketer's own name."""
    programme = loaded.programme
    dearest = by_price(programme)[-1:]
    ends_at = offer.window.ends_at
    assert ends_at is not None
    title, text = offer.title.in_(spoken), offer.text.in_(spoken)
    line = OfferLine(offer.key, title, text, ends_at, is_news=True, rings=offer.rings)
    return compose(
        programme,
        member_name=console.person().name,
        # Far enough for every kind of strip to show something.
        balance=dearest[0].points * 2 // 5 if dearest else 0,
        tier=programme.tiers[0] if programme.tiers else None,
        stamps=programme.stamps.target // 2 if programme.stamps else 0,
        code=codes.code_from(_EXAMPLE_CODE),
        language=spoken,
        say=say,
        offers=(line,),
        rings=offer.rings,
    )


def _lock_words(face: CardFace) -> str | None:
    """What a ringing iPhone says; None where none rings."""
    if face.offer_change is None or face.news is None:
        return None
    return face.offer_change.text.replace("%@", str(face.news.value))


# Writing one ---------------------------------------------------------------------------


@blueprint.get("/offers/new")
def new() -> str:
    """An empty form."""
    return _form(offer_form.empty(console.loaded().programme), form_key=secrets.token_urlsafe(18))


@blueprint.post("/offers/new")
def create() -> AnyResponse | tuple[str, int]:
    """Keep a new draft."""
    form_key = request.form.get("key", "")
    if not 8 <= len(form_key) <= _FORM_KEY_LETTERS_MAX:
        abort(400)
    programme = console.loaded().programme
    draft = offer_form.read(request.form, programme)
    return _keep(draft, offer_draft.key_of(draft, programme, form_key), form_key=form_key)


@blueprint.get("/offers/<key>/edit")
def edit(key: str) -> str | AnyResponse:
    """A draft's form, or its file where that says more than the form can."""
    row, source = _draft(key)
    draft = offer_draft.draft_of(source, console.loaded().programme)
    if draft is None or "file" in request.args:
        return _file(name=row.offer.key, source=source, known=row.offer)
    return _form(draft, key=key)


@blueprint.post("/offers/<key>/edit")
def change(key: str) -> AnyResponse | tuple[str, int]:
    """A draft says something else now."""
    row, _ = _draft(key)
    if "source" in request.form:
        return _keep_file(key, _source(), known=row.offer)
    return _keep(offer_form.read(request.form, console.loaded().programme), key, is_known=True)


@blueprint.get("/offers/file")
def file() -> str:
    """An offer as a file."""
    return _file()


@blueprint.post("/offers/file")
def send_file() -> AnyResponse | tuple[str, int]:
    """Keep the draft of a file that was sent or pasted."""
    name = request.form.get("name", "").strip()
    sent = request.files.get("file")
    if not name and sent and sent.filename:
        name = sent.filename
    key = name.removesuffix(".toml")
    return _keep_file(f"{key}-offer" if key in _PAGES else key, _source())


def _draft(key: str) -> tuple[OfferRow, str]:
    """A draft and its file. Anything else is shown, but not written again."""
    loaded = console.loaded()
    row = _row(loaded, key)
    if row.state is not OfferState.DRAFT:
        abort(redirect(url_for("offers.show", key=key), 303))
    with installation().store.read() as read:
        return row, offers.source_of(read, loaded, row.id)


def _source() -> str:
    sent = request.files.get("file")
    if sent and sent.filename:
        # A character takes at most four bytes; the parser refuses what is too long.
        data: bytes = sent.read(TEXT_LENGTH_MAX * 4 + 1)
        return data.decode("utf-8", "replace").replace("\0", "\ufffd")
    return request.form.get("source", "").replace("\r\n", "\n").replace("\0", "\ufffd")


def _keep(
    draft: Draft, key: str, *, form_key: str | None = None, is_known: bool = False
) -> AnyResponse | tuple[str, int]:
    loaded = console.loaded()
    known = key if is_known else None
    wrong = offer_draft.problems(draft, loaded.programme, now=now())
    if wrong:
        return _form(draft, form_key=form_key, key=known, wrong=wrong), 422
    try:
        _plan(key, offer_draft.source_of(draft, loaded.programme))
    except OfferInvalid as refused:
        return _form(draft, form_key=form_key, key=known, refused=refused), status_of(refused)
    return redirect(url_for("offers.show", key=key), 303)


def _keep_file(key: str, source: str, *, known: Offer | None = None) -> AnyResponse | tuple[str, int]:
    try:
        if not KEY.fullmatch(key):
            parse(source, name=key[:60], programme=console.loaded().programme, say=say)
        _plan(key, source)
    except Refused as refused:
        return _file(name=key, source=source, known=known, refused=refused), status_of(refused)
    return redirect(url_for("offers.show", key=key), 303)


def _plan(key: str, source: str) -> None:
    campaigns.plan(
        installation().store,
        programme=console.loaded().slug,
        name=key,
        source=source,
        person=console.person().login,
        now=now(),
    )


def _form(
    draft: Draft,
    *,
    form_key: str | None = None,
    key: str | None = None,
    wrong: list[Problem] | None = None,
    refused: Refused | None = None,
) -> str:
    """The form; `key` is that of the draft that is written again, `form_key` names a new one."""
    programme = console.loaded().programme
    return render_template(
        "console/form.html",
        draft=draft,
        key=key,
        form_key=form_key,
        refused=refused,
        wrong=offer_form.words(wrong or []),
        first_wrong=wrong[0].name if wrong else None,
        ring_question=offer_draft.rings_by(programme, language.current()),
        languages=[(one, language.own_name(one)) for one in programme.languages],
        title_letters_max=offer_draft.TITLE_LETTERS_MAX,
        text_letters_max=offer_draft.TEXT_LETTERS_MAX,
        asks_for_offers=offer_draft.asks_for_offers(programme),
    )


def _file(
    *, name: str = "", source: str = "", known: Offer | None = None, refused: Refused | None = None
) -> str:
    problems = refused.values["problems"] if isinstance(refused, OfferInvalid) else []
    return render_template(
        "console/file.html",
        name=name,
        source=source,
        known=known,
        refused=refused,
        problems=problems,
        letters_max=TEXT_LENGTH_MAX,
    )
