"""Customers: the form that gives them a card, on this screen or on their phone, and the way back to it."""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit

from flask import (
    Blueprint,
    Flask,
    current_app,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.blueprints import BlueprintSetupState
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from passes import access, artwork, correspondence, enrolment
from passes.access import Limit
from passes.enrolment import Seen, Source
from passes.language import LONGER, MIRRORED, SOURCE, say
from passes.loyalty import codes, joining
from passes.loyalty.card import CardFace, compose
from passes.loyalty.letters import cleaned
from passes.loyalty.programme import Programme
from passes.loyalty.refusals import (
    Busy,
    EmailInvalid,
    EmailMissing,
    FormStale,
    KeyReused,
    LinkUnknown,
    ProgrammeUnknown,
    Refused,
    StorageFull,
)
from passes.loyalty.tiers import tier_for
from passes.store import Store, programmes
from passes.store.programmes import Loaded
from passes.web import answers, claims, language, theme
from passes.web.compression import compressed
from passes.web.errors import status_of
from passes.web.here import address, https, installation, now
from passes.web.wallets import on_a_phone

log = logging.getLogger(__name__)

blueprint = Blueprint("join", __name__)

_PURPOSE = "join"
_CLAIM = "claim"
_AGAIN = "again"
_YEAR_SECONDS = 365 * 24 * 3600
SOURCES = ("poster", "link", "till", "email", "social")
_ABOUT_THE_WAY = ("claim", "from", "at", "utm_source", "utm_medium", "utm_campaign")
# Links from advertisements carry any amount; a code with more letters is too fine for a phone's camera.
_CODE_LETTERS_MAX = 500
# What a screen that shows an invitation is called: unguessable, and short enough for a small code.
_DESK = re.compile(r"[A-Za-z0-9_-]{16}")
_DESK_BYTES = 12
_WRITE_EVERY = timedelta(seconds=1)
# A code that no card has: it is not drawn at random.
_NOBODYS_CODE = bytes(codes.RANDOM_BYTES)


# Counting ----------------------------------------------------------------------


class Tally:
    """How often pages were shown, written down at most once a second.

    A page may be asked for a thousand times a second; the database must not
    be written to as often. What a process has not written when it ends is lost:
    the views of one second.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Counter[Seen] = Counter()
        self._written_at: datetime | None = None

    def add(self, seen: Seen, now: datetime, *, at_once: bool = False) -> Mapping[Seen, int]:
        """Count one; returns what is to be written down now, which may be nothing."""
        with self._lock:
            self._waiting[seen] += 1
            if not at_once and self._written_at and abs(now - self._written_at) < _WRITE_EVERY:
                return {}
            self._written_at = now
            return self._taken()

    def rest(self) -> Mapping[Seen, int]:
        """What still waits, to be written down now."""
        with self._lock:
            return self._taken()

    def _taken(self) -> Mapping[Seen, int]:
        due, self._waiting = self._waiting, Counter()
        return due


def keep_counting(app: Flask) -> None:
    """Write down what waits, for as long as the process lives: after a rush no further visitor may come."""
    tally: Tally = app.extensions["passes_join_tally"]
    store = app.extensions["passes"].store
    while True:
        time.sleep(_WRITE_EVERY.total_seconds())
        if due := tally.rest():
            try:
                _write(store, due)
            except Exception:  # a database that is away comes back, and counting must go on then
                log.exception("views of the join page were not counted")


@blueprint.record_once
def _count_here(state: BlueprintSetupState) -> None:
    state.app.extensions["passes_join_tally"] = Tally()


def _count(seen: Seen, *, at_once: bool = False) -> None:
    tally: Tally = current_app.extensions["passes_join_tally"]
    if due := tally.add(seen, now(), at_once=at_once):
        _write(installation().store, due)


def _write(store: Store, due: Mapping[Seen, int]) -> None:
    with suppress(Busy, StorageFull):  # the customer is worth more than the count
        enrolment.count(store, due)


# The form ----------------------------------------------------------------------


@blueprint.get("/join/<slug>")
def form(slug: str) -> str | tuple[str, int] | AnyResponse:
    """The join form; or, in a browser that has a card, the way back to it."""
    loaded = open_programme(slug)
    if "new" not in request.args and (secret := _own_card(loaded)):
        anew = f"{request.path}?{urlencode([*request.args.items(), ('new', '1')])}"
        form_here = access.new_form(installation().keys, purpose=_CLAIM, now=now()).text
        return render_template(
            "join/known.html",
            secret=secret,
            anew=anew,
            claimed=claims.shown(loaded),
            form=form_here,
            **setting(loaded),
        )
    if not loaded.programme.joining.is_open(now()):
        return _closed(loaded)
    if request.method == "GET" and "prefetch" not in request.headers.get("Sec-Purpose", ""):
        _count(enrolment.view(loaded, _source(loaded), now()))
    # A token in it differs each time: there is nothing to guess from its length.
    return compressed(make_response(_form(loaded)))


@blueprint.post("/join/<slug>")
def send(slug: str) -> tuple[str, int] | AnyResponse:
    """Join. Sent twice, the same form gives the same card."""
    loaded = open_programme(slug)
    if "new" not in request.args and (secret := _own_card(loaded)):
        return redirect(url_for("member.card", secret=secret), 303)
    if not loaded.programme.joining.is_open(now()):
        return _closed(loaded)
    source = _source(loaded)
    key = None
    given = answers.Answers(loaded.programme)
    try:
        access.limit(installation().store, Limit.JOIN_ADDRESS, address(), now=now())
        access.limit(installation().store, Limit.JOIN_PROGRAMME, slug, now=now())
        _count(enrolment.sending(loaded, source, now()), at_once=True)
        sent = access.read_form(
            installation().keys, request.form.get("form", ""), purpose=_PURPOSE, now=now()
        )
        key = sent.key
        if given.problems:
            refused = next(iter(given.problems.values()))
            return _form(loaded, problems=given.problems, key=key), status_of(refused)
        joined = enrolment.join(
            installation().store,
            programme=slug,
            name=given.name,
            email=given.email,
            phone=given.phone,
            birthday=given.birthday,
            language=_member_language(),
            consents={one.purpose: one.purpose in request.form for one in loaded.programme.consents},
            source=source,
            key=f"join:{sent.key}",
            keys=installation().keys,
            now=now(),
            desk=_desk(),
            letters=_sends_letters(),
        )
    except Refused as refused:
        # A form whose key is used up, or was never good, gets a new one.
        kept = None if isinstance(refused, FormStale | KeyReused) else key
        return _form(loaded, refused=refused, key=kept), status_of(refused)
    outcome = claims.take(loaded, joined.code, joined.card_id)
    answer = redirect(url_for("member.card", secret=joined.link_secret, claim=outcome), 303)
    remember(answer, slug, joined.link_secret)
    return answer


@blueprint.post("/join/<slug>/claim")
def claim(slug: str) -> tuple[str, int] | AnyResponse:
    """Put a guest's sale on the card that this browser has."""
    access.read_form(installation().keys, request.form.get("form", ""), purpose=_CLAIM, now=now())
    loaded = open_programme(slug)
    secret = _own_card(loaded)
    if secret is None:
        return redirect(url_for("join.form", slug=slug, claim=request.args.get("claim")), 303)
    access.limit(installation().store, Limit.MEMBER_LINK, secret, now=now())
    outcome = claims.take_here(loaded, enrolment.card_by_secret(installation().store, secret=secret).card_id)
    return redirect(url_for("member.card", secret=secret, claim=outcome), 303)


def remember(answer: AnyResponse, slug: str, secret: str) -> None:
    """Let this browser's join page of the programme lead back to the card behind this link."""
    answer.set_cookie(
        _cookie(slug),
        secret,
        max_age=_YEAR_SECONDS,
        path=url_for("join.form", slug=slug),
        httponly=True,
        samesite="Lax",
        secure=https(),
    )


def _typed(name: str) -> str:
    return request.form.get(name, "")


def _form(
    loaded: Loaded,
    *,
    problems: Mapping[str, Refused] | None = None,
    refused: Refused | None = None,
    key: str | None = None,
) -> str:
    programme = loaded.programme
    hidden = access.new_form(installation().keys, purpose=_PURPOSE, now=now(), key=key)
    # One field of a form made elsewhere may hold anything: the card shows what it could be called.
    name = cleaned(_typed("name"), joining.NAME_LETTERS_MAX)
    return render_template(
        "join/form.html",
        form=hidden.text,
        face=sample_face(
            programme,
            balance=programme.earning.welcome_points,
            name=name or language.words("Your name"),
        ),
        referrer=_referrer(),
        refused=refused,
        problems=problems or {},
        asked=programme.joining,
        gifted=_gifted(programme),
        months=answers.months(),
        day_first=answers.day_first(),
        desk=_Desk(loaded) if _is_a_screen() else None,
        claimed=claims.shown(loaded),
        **setting(loaded),
    )


def _gifted(programme: Programme) -> str:
    """The tiers that get the birthday gift, where it is not for all."""
    keys = programme.birthday.tiers if programme.birthday else ()
    return ", ".join(tier.name.in_(language.current()) for tier in programme.tiers if tier.key in keys)


def _closed(loaded: Loaded) -> tuple[str, int]:
    return render_template("join/closed.html", **setting(loaded)), 410


@blueprint.errorhandler(ProgrammeUnknown)
def unknown(refused: ProgrammeUnknown) -> tuple[str, int]:
    return render_template("join/unknown.html", refused=refused, theme=None), status_of(refused)


# From a screen to the phone ------------------------------------------------------


def _is_a_screen() -> bool:
    """Whether the card will live elsewhere: not on a phone, nor beside the demonstration's virtual one."""
    framed = request.headers.get("Sec-Fetch-Dest") == "iframe"
    return not (on_a_phone() or framed or "desk" in request.args or "phone" in request.args)


class _Desk:
    """The same invitation for a phone, drawn on a screen that then waits for what becomes of it."""

    def __init__(self, loaded: Loaded) -> None:
        name = secrets.token_urlsafe(_DESK_BYTES)
        path = url_for("join.form", slug=loaded.slug)
        kept = [(key, value) for key, value in request.args.items() if key in _ABOUT_THE_WAY]
        own = installation().public_url
        invitation = for_a_code(f"{own}{path}", [("lang", language.current()), ("desk", name), *kept])
        self.code = Markup(artwork.qr_svg(invitation))
        self.short = f"{urlsplit(own).netloc}{path}"
        # A phone that scans such an address looks for us within itself.
        self.is_out_of_reach = urlsplit(own).hostname in ("127.0.0.1", "localhost", "::1")
        self.here = url_for("join.desk", slug=loaded.slug, name=name)
        self.state = url_for("join.desk_state", slug=loaded.slug, name=name)
        self.alone = f"{path}?{urlencode([*request.args.items(), ('phone', '1')])}"


def for_a_code(address: str, query: Iterable[tuple[str, str]]) -> str:
    """The address with as much of the query as a code that phones still read can hold, from the first on."""
    kept: list[tuple[str, str]] = []
    for pair in query:
        if len(f"{address}?{urlencode([*kept, pair])}") <= _CODE_LETTERS_MAX:
            kept.append(pair)
    return f"{address}?{urlencode(kept)}" if kept else address


@blueprint.get("/join/<slug>/desk/<name>")
def desk(slug: str, name: str) -> str:
    """How far the person got who scanned the code that this screen showed. Never says who it was."""
    loaded = open_programme(slug)
    progress = enrolment.on_the_phone(installation().store, programme=slug, desk=name)
    return render_template(
        "join/desk.html",
        progress=progress,
        state=url_for("join.desk_state", slug=slug, name=name),
        **setting(loaded),
    )


@blueprint.get("/join/<slug>/desk/<name>/state")
def desk_state(slug: str, name: str) -> AnyResponse:
    """The same for the page's script, which asks now and then."""
    progress = enrolment.on_the_phone(installation().store, programme=slug, desk=name)
    answer = jsonify(progress=progress)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _desk() -> str | None:
    """The screen that showed the invitation which led here."""
    name = request.args.get("desk", "")
    return name if _DESK.fullmatch(name) else None


# A card that was lost --------------------------------------------------------------


@blueprint.get("/join/<slug>/again")
def again(slug: str) -> str:
    """Where somebody asks for the way to a card they have."""
    loaded = open_programme(slug)
    return _again(loaded, sent="sent" in request.args)


@blueprint.post("/join/<slug>/again")
def send_again(slug: str) -> tuple[str, int] | AnyResponse:
    """Send a letter to the address, if a card has it. The answer is the same either way."""
    loaded = open_programme(slug)
    try:
        access.limit(installation().store, Limit.AGAIN_ADDRESS, address(), now=now())
        access.read_form(installation().keys, _typed("form"), purpose=_AGAIN, now=now())
        email = joining.clean_email(_typed("email"))
        if email is None:
            raise EmailMissing
        # Per programme, and whoever asks: nobody's mail box is to be filled from here.
        access.limit(installation().store, Limit.AGAIN_EMAIL, f"{slug} {email.casefold()}", now=now())
        if _sends_letters():
            correspondence.ask_for_card(installation().store, programme=slug, email=email, now=now())
    except Refused as refused:
        return _again(loaded, refused=refused), status_of(refused)
    return redirect(url_for("join.again", slug=slug, sent=1), 303)


def _again(loaded: Loaded, *, sent: bool = False, refused: Refused | None = None) -> str:
    hidden = access.new_form(installation().keys, purpose=_AGAIN, now=now())
    return render_template(
        "join/again.html",
        form=hidden.text,
        letters=_sends_letters(),
        refused=refused,
        # Several people may share a browser, and whoever sent the form looks for another card.
        secret=None if sent or refused or "other" in request.args else _own_card(loaded),
        sent=sent,
        wrong=isinstance(refused, EmailInvalid | EmailMissing),
        **setting(loaded),
    )


def _sends_letters() -> bool:
    return installation().post is not None


# What both know ------------------------------------------------------------------


def sample_face(programme: Programme, *, balance: int, name: str, code: str = "") -> CardFace:
    """What a card of this programme looks like, for whoever has none yet; its code is nobody's."""
    return compose(
        programme,
        member_name=name,
        balance=balance,
        tier=tier_for(programme.tiers, 0),
        code=code or codes.code_from(_NOBODYS_CODE, programme.code_kind),
        language=language.current(),
        say=say,
    )


def setting(loaded: Loaded) -> dict[str, object]:
    """What every page of a programme shows."""
    return {
        "loaded": loaded,
        "programme": loaded.programme,
        "theme": theme.address(loaded),
        "art": theme,
    }


def open_programme(slug: str) -> Loaded:
    """The programme of this address; the page speaks its languages from here on. Raises ProgrammeUnknown."""
    with installation().store.read() as read:
        loaded = programmes.by_slug(read, slug)
    language.speak((*loaded.programme.languages,))
    return loaded


def _member_language() -> str:
    return SOURCE if language.current() in (LONGER, MIRRORED) else language.current()


def _source(loaded: Loaded) -> Source:
    """Where this visitor came from, as far as the address tells. Names nobody knows count as a link."""
    kind = request.args.get("from", "link")
    return Source(
        kind=kind if kind in SOURCES else "link",
        location=location(loaded),
        referrer=_referrer(),
        utm_source=_clipped("utm_source"),
        utm_medium=_clipped("utm_medium"),
        utm_campaign=_clipped("utm_campaign"),
    )


def location(loaded: Loaded) -> str | None:
    """The key of the shop that the address names, if there is such a shop."""
    key = request.args.get("at")
    return key if key in {shop.key for shop in loaded.programme.shops} else None


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


def _cookie(slug: str) -> str:
    return f"passes_card_{slug}"


def _own_card(loaded: Loaded) -> str | None:
    """The link of the card that this browser got from this programme, while it holds."""
    secret = request.cookies.get(_cookie(loaded.slug))
    if not secret:
        return None
    try:
        found = enrolment.card_by_secret(installation().store, secret=secret)
    except LinkUnknown:
        return None
    return secret if found.programme_id == loaded.id else None
