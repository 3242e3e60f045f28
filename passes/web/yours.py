"""Owners: a card of one's own in a minute. Name, colour, logo, one rule, one reward.

The form writes a programme file and hands it to the same use case as the
command line does. What a card would look like is drawn beside it from that
very file; without script, at the press of a button.
"""

from __future__ import annotations

import base64
import binascii
from contextlib import closing
from dataclasses import replace
from functools import cache
from zoneinfo import available_timezones

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from passes import access, artwork, programmes
from passes.access import Area, Role
from passes.faces import Face, Pictures, draw, warnings
from passes.language import SOURCE, languages, say
from passes.loyalty import programme_draft
from passes.loyalty.letters import cleaned
from passes.loyalty.money import CURRENCIES, decimal_text, minor_digits
from passes.loyalty.programme import Programme, by_price
from passes.loyalty.programme_draft import Draft, Fault, Problem
from passes.loyalty.programme_file import contrast_of, parse
from passes.loyalty.refusals import (
    AmountInvalid,
    LogoTooLarge,
    LogoUnreadable,
    ProgrammeChanged,
    Refused,
)
from passes.programmes import logos
from passes.store import programmes as rows
from passes.web import console, join, language, signin, theme
from passes.web.errors import status_of
from passes.web.here import installation, now

blueprint = Blueprint("yours", __name__, url_prefix="/console/yours")
console.admit(blueprint, Role.OWNER)

_ROLES = (Role.CASHIER, Role.MARKETER, Role.OWNER)
"""Whoever makes a programme does everything in it, until others are let in."""

# Room for what is too long, so that it comes back whole with words about it.
_LETTERS_KEPT = 300
_NUMBER_LETTERS_KEPT = 20
_EXAMPLE_COLOUR = "#1F4E4A"
_PREVIEWS = (Face.APPLE_FRONT, Face.GOOGLE_FRONT)


@blueprint.get("/")
def form() -> str:
    """The form, with what is most likely chosen already."""
    return _form(_likely())


@blueprint.post("/")
def make() -> str | AnyResponse | tuple[str, int]:
    """Make the programme; with the button `see`, only show what it would look like."""
    draft, wrong = _read()
    if "see" in request.form:
        return _form(draft, wrong=wrong, is_seen=True)
    problems = [*wrong, *programme_draft.problems(draft, languages=languages())]
    if problems:
        return _form(draft, wrong=problems), 422
    here = installation()
    try:
        made = programmes.begin(
            here.store,
            name=programme_draft.slug_of(draft),
            source=programme_draft.source_of(draft, say=say),
            owner_id=console.person().id,
            roles=_ROLES,
            pass_type=here.office.signer.pass_type,
            now=now(),
        )
    except Refused as refused:
        return _form(draft, refused=refused), status_of(refused)
    access.work_at(here.store, secret=signin.secret(Area.CONSOLE), programme=made.slug, location=None)
    return redirect(url_for("yours.ready", made=1), 303)


@blueprint.get("/change")
def change() -> str | AnyResponse:
    """The form of the card that they work for; where its file says more, the way to that file."""
    draft = _standing()
    if draft is None:
        return redirect(url_for("yours.ready"), 303)
    amount = _amount(draft.amount_minor or 0, draft.currency)
    return _form(replace(draft, amount=amount), version=console.loaded().version)


@blueprint.post("/change")
def keep() -> str | AnyResponse | tuple[str, int]:
    """Make this the newest version of the programme, on every card; with the button `see`, only show it."""
    loaded = console.loaded()
    version = request.form.get("version", 0, type=int)
    draft, wrong = _read()
    if "see" in request.form:
        return _form(draft, wrong=wrong, is_seen=True, version=version)
    problems = [*wrong, *programme_draft.problems(draft, languages=languages())]
    if problems:
        return _form(draft, wrong=problems, version=version), 422
    here = installation()
    try:
        if version != loaded.version or _standing() is None:
            raise ProgrammeChanged
        programmes.load(
            here.store,
            name=loaded.slug,
            source=programme_draft.source_of(draft, say=say),
            pass_type=here.office.signer.pass_type,
            now=now(),
        )
    except Refused as refused:
        return _form(draft, refused=refused, version=loaded.version), status_of(refused)
    return redirect(url_for("yours.ready"), 303)


@blueprint.post("/preview")
def preview() -> str:
    """The part of the page that shows the card, for the form as it stands."""
    draft, wrong = _read()
    return render_template("console/yours-preview.html", **_seen(draft, wrong))


@blueprint.get("/ready")
def ready() -> str:
    """The card of the programme that they work for, and the ways to it."""
    loaded = console.loaded()
    address = f"{installation().public_url}{url_for('join.form', slug=loaded.slug)}"
    return render_template(
        "console/yours-ready.html",
        face=join.sample_face(loaded.programme, balance=_balance(loaded.programme), name=_first_name()),
        address=address,
        code=Markup(artwork.qr_svg(address)),
        demonstration=signin.demonstration_form(),
        is_new="made" in request.args,
        can_change=_standing() is not None,
    )


@blueprint.get("/file")
def file() -> Response:
    """The programme's file, to go on with where the form ends."""
    loaded = console.loaded()
    answer = make_response(_source())
    answer.headers["Content-Type"] = "application/toml; charset=utf-8"
    answer.headers["Content-Disposition"] = f'attachment; filename="{loaded.slug}.toml"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _source() -> str:
    with installation().store.read() as read:
        return rows.source_of(read, console.loaded())


def _standing() -> Draft | None:
    """The form of the card as it is now, unless its file says more than a form can."""
    return programme_draft.draft_of(_source())


# Reading the form ------------------------------------------------------------------


def _read() -> tuple[Draft, list[Problem]]:
    """The fields as they were sent, and what is wrong with the logo alone."""
    typed: MultiDict[str, str] = request.form

    def line(name: str) -> str:
        return cleaned(typed.get(name, ""), limit=_LETTERS_KEPT)

    def short(name: str) -> str:
        return cleaned(typed.get(name, ""), limit=_NUMBER_LETTERS_KEPT)

    logo, wrong = _logo()
    currency, amount = short("currency"), short("amount")
    try:
        amount_minor = language.read_amount(amount, currency)
    except AmountInvalid:
        amount_minor = None
    draft = Draft(
        shop=line("shop"),
        name=line("name"),
        email=line("email"),
        ground=short("ground"),
        logo=logo,
        points=short("points"),
        amount=amount,
        amount_minor=amount_minor,
        unit_one=line("unit_one"),
        unit_other=line("unit_other"),
        reward=line("reward"),
        price=short("price"),
        currency=currency,
        zone=cleaned(typed.get("zone", ""), limit=_LETTERS_KEPT),
        language=short("language"),
    )
    return draft, wrong


def _logo() -> tuple[bytes, list[Problem]]:
    """The picture sent now, or the one that was sent before and came back with the form."""
    if "no_logo" in request.form:
        return b"", []
    sent = request.files.get("logo")
    if sent is not None and sent.filename:
        try:
            # Whatever is large was put into a file, which is let go of here.
            with closing(sent):
                return logos.read(sent.read(logos.UPLOAD_BYTES_MAX + 1)), []
        except LogoTooLarge as refused:
            return _kept(), [Problem("logo", Fault.TOO_LARGE, refused.values)]
        except LogoUnreadable:
            return _kept(), [Problem("logo", Fault.UNREADABLE)]
    return _kept(), []


def _kept() -> bytes:
    """What came back was ours, but a browser sends what it likes: it is read like any upload."""
    try:
        return logos.read(base64.b64decode(request.form.get("kept_logo", ""), validate=True))
    except (binascii.Error, ValueError, LogoUnreadable, LogoTooLarge):
        return b""


def _likely() -> Draft:
    """An empty form, with the currency and the zone of the shop that the owner has already."""
    programme = console.loaded().programme
    minor = 10 ** minor_digits(programme.currency)
    return Draft(
        ground=_EXAMPLE_COLOUR,
        points="10",
        amount=_amount(minor, programme.currency),
        amount_minor=minor,
        unit_one=say(_spoken(), "point"),
        unit_other=say(_spoken(), "points"),
        price="500",
        currency=programme.currency,
        zone=programme.zone,
        language=_spoken(),
    )


def _spoken() -> str:
    """The page's language where cards can have it; the made-up ones are English."""
    return language.current() if language.current() in languages() else SOURCE


def _amount(minor: int, currency: str) -> str:
    """An amount as it is typed into a field of this page."""
    return decimal_text(minor, currency).replace(".", language.decimal_signs()[0])


# What the page shows -----------------------------------------------------------------


def _form(
    draft: Draft,
    *,
    wrong: list[Problem] | None = None,
    refused: Refused | None = None,
    is_seen: bool = False,
    version: int | None = None,
) -> str:
    """The page; `version` is the one that is being changed, None for a new card."""
    wrong = wrong or []
    return render_template(
        "console/yours.html",
        wrong={problem.name: _words(problem) for problem in wrong},
        first_wrong=wrong[0].name if wrong else "",
        refused=refused,
        version=version,
        currencies=sorted(CURRENCIES),
        zones=zones(),
        languages=[(one, language.own_name(one)) for one in languages()],
        limits=programme_draft,
        **_seen(draft, wrong) | {"is_seen": is_seen},
    )


def _seen(draft: Draft, wrong: list[Problem]) -> dict[str, object]:
    """The card of a draft; what is still missing stands there as an example."""
    problems = programme_draft.problems(draft, languages=languages())
    shown = programme_draft.mended(draft, problems, _example(draft))
    programme = parse(programme_draft.source_of(shown, say=say), name="preview", say=say)
    face = join.sample_face(programme, balance=_balance(programme), name=_first_name())
    colours = programme.design.colours
    drawn = artwork.sketch(
        ground=colours.ground,
        text=colours.text,
        label=colours.label,
        strip=face.strip,
        initials=theme.initials(programme),
        logo=shown.logo,
    )
    strip, logo = _inside(drawn.strip), _inside(drawn.logo)
    pictures = Pictures(logo=logo, strip=strip, hero=strip)
    spent, points = programme_draft.earned_with(shown)
    spoken = language.current()
    return {
        "draft": draft,
        "kept_logo": base64.b64encode(draft.logo).decode(),
        "logo_problem": next((_words(one) for one in wrong if one.name == "logo"), None),
        "drawings": [Markup(draw(face, kind, pictures=pictures, zone=programme.zone)) for kind in _PREVIEWS],
        "colours": colours,
        "contrasts": (contrast_of(colours.text, colours.ground), contrast_of(colours.label, colours.ground)),
        "warnings": [*_unseen_logo(shown), *(one.words(spoken) for one in warnings(face, programme.zone))],
        "spent": language.money(spent, shown.currency),
        "points": points,
        "unit": programme.unit.name(points, shown.language),
        "needed": language.money(programme_draft.spent_for(shown), shown.currency),
        "reward": shown.reward,
        "one_place": lambda ratio: f"{ratio:.1f}".replace(".", language.decimal_signs()[0]),
        "is_seen": False,
    }


def _unseen_logo(draft: Draft) -> list[str]:
    if not draft.logo or logos.stands_out(draft.logo, draft.ground):
        return []
    return [language.words("The logo is hard to see on this colour. Choose another colour, or another logo.")]


def _example(draft: Draft) -> Draft:
    """Stands in for what is missing; in a currency that the draft may have chosen."""
    currency = draft.currency if draft.currency in CURRENCIES else console.loaded().programme.currency
    minor = 10 ** minor_digits(currency)
    return replace(
        _likely(),
        shop=language.words("Your shop"),
        email="hello@example.com",
        reward=language.words("Your reward"),
        currency=currency,
        amount_minor=minor,
    )


def _balance(programme: Programme) -> int:
    rewards = by_price(programme)
    return rewards[0].points * 3 // 5 if rewards else 0


def _first_name() -> str:
    return console.person().name.split()[0]


def _inside(webp: bytes) -> str:
    """The address of a picture that stands in the page itself: nobody else may ask for it."""
    return "data:image/webp;base64," + base64.b64encode(webp).decode()


@cache
def zones() -> tuple[str, ...]:
    """The time zones offered: those of places."""
    return tuple(
        sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))
    )


def _words(problem: Problem) -> str:
    values = problem.values
    match problem.fault:
        case Fault.MISSING:
            return language.words("This is missing.")
        case Fault.TOO_LONG:
            return language.words("This has %(length)s letters; there is room for %(limit)s.", **values)
        case Fault.NO_COLOUR:
            return language.words("This is no colour. Write it like #1F4E4A.")
        case Fault.DIGITS:
            return language.words("Write no numbers here: a card must not promise what no rule gives.")
        case Fault.SIGN:
            return language.words("Leave out the signs %(signs)s.", signs="% { }")
        case Fault.NO_NUMBER:
            return language.words("Write a whole number.")
        case Fault.OUT_OF_RANGE:
            return language.words("Write a number from %(least)s to %(most)s.", **values)
        case Fault.NO_AMOUNT:
            return language.words(
                "Write an amount such as %(example)s.",
                example=_amount(1_000, console.loaded().programme.currency),
            )
        case Fault.NOT_OFFERED:
            return language.words("Choose one from the list.")
        case Fault.NO_EMAIL:
            return language.words("This is no e-mail address.")
        case Fault.UNREADABLE:
            return language.words(LogoUnreadable.words)
        case Fault.TOO_LARGE:
            return language.words(LogoTooLarge.words, **values)
