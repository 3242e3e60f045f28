"""Members: the page that a card lives on. It is a card itself, for whoever has no wallet.

The address is the key to the card, so nothing here may leak it: no referrer,
no index, nothing kept on the way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import quote, urlsplit

from flask import (
    Blueprint,
    Response,
    current_app,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from markupsafe import Markup
from werkzeug.http import quote_etag
from werkzeug.wrappers import Response as AnyResponse

from passes import access, artwork, checkout, google_cards, issuing, membership
from passes.access import Limit
from passes.checkout import OneTimeCode
from passes.faces.symbols import SQUARE
from passes.language import LONGER, MIRRORED, SOURCE, direction, languages
from passes.loyalty.dates import local_date
from passes.loyalty.joining import Asked
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import ReceiptKind
from passes.loyalty.refusals import (
    BirthdayLocked,
    Busy,
    CardVoided,
    GoogleNotSetUp,
    GoogleUnavailable,
    LinkUnknown,
    Refused,
    StorageFull,
)
from passes.membership import Known, Link
from passes.store import programmes
from passes.web import claims, language, theme
from passes.web.answers import FIELDS, Answers, day_first, months
from passes.web.errors import status_of
from passes.web.here import installation, now
from passes.web.join import remember, setting

blueprint = Blueprint("member", __name__)

_SHOPS_SHOWN = 3
_WITH_FORMS = {
    f"member.{name}" for name in ("details", "correct", "leaving", "leave", "one_time", "new_one_time")
}
TITLES = {
    ReceiptKind.ACCRUE: "Purchase",
    ReceiptKind.REDEEM: "Reward",
    ReceiptKind.UNDO: "Taken back",
    ReceiptKind.WELCOME: "Welcome",
    ReceiptKind.HOLD: "Set aside for a payment",
    ReceiptKind.CAPTURE: "Paid with what was set aside",
    ReceiptKind.VOID: "Free again",
    ReceiptKind.RETURN: "Goods given back",
    ReceiptKind.ACTIVATE: "Can be spent now",
    ReceiptKind.EXPIRE: "Not used in time",
    ReceiptKind.BIRTHDAY: "Happy birthday",
    ReceiptKind.ACTION: "Thank you",
    ReceiptKind.ADJUST: "Correction",
    ReceiptKind.MERGE: "Two cards became one",
}
"""What an entry is called whose reward or amount does not name it."""


@blueprint.after_request
def keep_private(answer: Response) -> Response:
    """The address opens the card: it must not travel on, be found, or be kept."""
    # Under "no-referrer" browsers hide from us, too, where a form came from, and it would be refused.
    has_forms = request.endpoint in _WITH_FORMS
    answer.headers["Referrer-Policy"] = "same-origin" if has_forms else "no-referrer"
    answer.headers["X-Robots-Tag"] = "noindex, nofollow"
    answer.headers.setdefault("Cache-Control", "private, no-store")
    return answer


@blueprint.errorhandler(LinkUnknown)
def unknown(refused: LinkUnknown) -> tuple[str, int]:
    """No card is here, or none any more; of a shop or two the way back to one's own card is shown."""
    with installation().store.read() as read:
        standing = programmes.every(read)
    shown = standing if len(standing) <= _SHOPS_SHOWN else ()
    return render_template("member/unknown.html", refused=refused, standing=shown), status_of(refused)


@blueprint.get("/card/<secret>")
def card(secret: str) -> AnyResponse:
    """A member's own page: the card to show, what it holds and why, and the way into a wallet."""
    found = _open(secret)
    if found.voided_at is not None:
        return _gone(found)
    if request.method == "GET" and "prefetch" not in request.headers.get("Sec-Purpose", ""):
        with suppress(Busy, StorageFull):  # the member is worth more than the count
            membership.mark_shown(installation().store, found, now=now())
    return make_response(
        render_template(
            "member/card.html", tag=quote_etag(_tag(found)), claimed=claims.outcome(), **_shown(found, secret)
        )
    )


@blueprint.get("/card/<secret>/now")
def fresh(secret: str) -> AnyResponse:
    """The parts of the page that change, for a page that is open; 304 while nothing has changed."""
    found = _open(secret)
    if found.voided_at is not None:
        return _gone(found)
    tag = _tag(found)
    if request.if_none_match.contains(tag):
        answer = Response(status=304)
    else:
        answer = make_response(render_template("member/now.html", **_shown(found, secret)))
    answer.set_etag(tag)
    return answer


@blueprint.get("/card/<secret>/manifest.webmanifest")
def manifest(secret: str) -> AnyResponse:
    """What a phone needs to put this card, and only this one, on its home screen."""
    found = _open_valid(secret)
    with installation().store.read() as read:
        loaded = programmes.by_id(read, found.programme_id)
    rules, here = loaded.programme, language.current()
    home = url_for("member.card", secret=secret)
    about = {
        "id": home,
        "name": f"{rules.name.in_(here)} · {rules.organisation.in_(here)}",
        "short_name": rules.name.in_(here),
        "description": rules.description.in_(here),
        "lang": here,
        "dir": direction(here),
        "start_url": home,
        "scope": home,
        "display": "standalone",
        "background_color": rules.design.colours.ground,
        "theme_color": rules.design.colours.ground,
        "icons": [
            {
                "src": theme.icon_address(loaded, pixels),
                "sizes": f"{pixels}x{pixels}",
                "type": "image/png",
                "purpose": purpose,
            }
            for pixels in (192, 512)
            for purpose in ("any", "maskable")
        ],
    }
    return Response(json.dumps(about, ensure_ascii=False), mimetype="application/manifest+json")


@blueprint.get("/card/worker.js")
def worker() -> AnyResponse:
    """What keeps the last card for a moment without network. It reaches no further than the cards."""
    answer = current_app.send_static_file("card-worker.js")
    answer.headers["Cache-Control"] = "no-cache"
    answer.headers["Content-Security-Policy"] = "default-src 'none'; connect-src 'self'"
    return answer


@blueprint.get("/card/<secret>/apple")
def apple(secret: str) -> AnyResponse:
    """To the card as a file, under an address that holds for ten minutes. Raises CardVoided."""
    return redirect(url_for("devices.download", token=_download_token(_open_valid(secret))), 303)


@blueprint.get("/card/<secret>/google")
def google(secret: str) -> AnyResponse:
    """To Google's own page that saves the card, which Google has been given by then.

    Raises CardVoided. Where Google does not answer, the page says so and offers to try again.
    """
    found = _open_valid(secret)
    desk = installation().google
    if desk is None:
        return redirect(url_for("member.card", secret=secret), 303)
    try:
        address = google_cards.save_link(
            installation().store, desk, programme_id=found.programme_id, card_id=found.card_id, now=now()
        )
    except (GoogleUnavailable, GoogleNotSetUp) as refused:
        page = render_template(
            "member/trouble.html",
            refused=refused,
            secret=secret,
            may_try_again=isinstance(refused, GoogleUnavailable),
            programme=membership.programme_of(installation().store, found),
        )
        return make_response(page, status_of(refused))
    return redirect(address, 303)


# Choices -------------------------------------------------------------------------


@blueprint.get("/card/<secret>/details")
def details(secret: str) -> AnyResponse:
    """What the member agreed to, what is known of them, and the ways to change, take along and leave."""
    found = _open(secret)
    if found.voided_at is not None:
        return _gone(found)
    return _details(found, secret, done=request.args.get("done"))


@blueprint.post("/card/<secret>/consents")
def consents(secret: str) -> AnyResponse:
    """Say yes or no. What the form did not change is left alone, so that an old page undoes nothing."""
    found = _sent(secret)
    answers = {
        one.purpose: one.purpose in request.form
        for one in membership.programme_of(installation().store, found).consents
        if (one.purpose in request.form) != (f"{one.purpose}_was" in request.form)
    }
    membership.consent(installation().store, found, answers=answers, language=_spoken(), now=now())
    return _back(secret, "consents")


@blueprint.post("/card/<secret>/language")
def speak(secret: str) -> AnyResponse:
    """The card speaks another language, and so does this page from now on."""
    found = _sent(secret)
    wanted = request.form.get("language", "")
    membership.speak(installation().store, found, language=wanted, now=now())
    answer = _back(secret, "language")
    # A language chosen for pages once would hide the one that was chosen just now.
    answer.delete_cookie(language.COOKIE)
    return answer


@blueprint.post("/card/<secret>/details")
def correct(secret: str) -> AnyResponse:
    """Put right what is known; a refused form keeps what was typed and says what to correct."""
    found = _sent(secret)
    chosen = membership.choices(installation().store, found, now=now())
    typed = Answers(chosen.loaded.programme, also=_known_fields(chosen.known))
    problems = dict(typed.problems)
    if not problems:
        before = chosen.known
        known = Known(
            typed.name,
            typed.email if "email" in typed.asked else before.email,
            typed.phone if "phone" in typed.asked else before.phone,
            typed.birthday if "birthday" in typed.asked else before.birthday,
        )
        try:
            membership.correct(installation().store, found, known=known, now=now())
        except BirthdayLocked as refused:
            problems["birthday"] = refused
    if problems:
        answer = _details(found, secret, problems=problems)
        answer.status_code = status_of(next(iter(problems.values())))
        return answer
    return _back(secret, "details")


@blueprint.post("/card/<secret>/letter")
def letter(secret: str) -> AnyResponse:
    """Send the way to this card to the member's own address."""
    found = _sent(secret)
    if installation().post is not None:
        membership.send_card(installation().store, found, now=now())
    return _back(secret, "letter")


@blueprint.post("/card/<secret>/link")
def renew(secret: str) -> AnyResponse:
    """Withdraw this address and go on under a new one. Sent twice, it is the same new one."""
    form = _form_of(secret)
    fresh = membership.renew(
        installation().store, installation().keys, secret=secret, key=f"link:{form.key}", now=now()
    )
    answer = _back(fresh, "link")
    slug = membership.programme_of(installation().store, _open(fresh)).slug
    # Only this browser is known to be the owner's: its join page leads to the card again.
    remember(answer, slug, fresh)
    return answer


@blueprint.get("/card/<secret>/record.json")
def record(secret: str) -> AnyResponse:
    """Everything that is known about the member, as a file."""
    found = _open_valid(secret)
    access.limit(installation().store, Limit.MEMBER_RECORD, secret, now=now())
    known = membership.record(installation().store, found, now=now())
    answer = Response(json.dumps(known, ensure_ascii=False, indent=2), mimetype="application/json")
    name = f"{known['programme']}-{now():%Y-%m-%d}.json"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@blueprint.get("/card/<secret>/leave")
def leaving(secret: str) -> AnyResponse:
    """What leaving means, before it happens."""
    found = _open(secret)
    if found.voided_at is not None:
        return _gone(found)
    return _leaving(found, secret)


@blueprint.post("/card/<secret>/leave")
def leave(secret: str) -> AnyResponse:
    """Leave for good. Without the tick that says so nothing happens."""
    found = _sent(secret)
    if "sure" not in request.form:
        answer = _leaving(found, secret, refused=True)
        answer.status_code = 422
        return answer
    membership.leave(installation().store, found, now=now())
    return redirect(url_for("member.card", secret=secret), 303)


@blueprint.get("/card/<secret>/code")
def one_time(secret: str) -> str:
    """A code for the till, once it is asked for."""
    return _one_time(_open_valid(secret), secret)


@blueprint.post("/card/<secret>/code")
def new_one_time(secret: str) -> str:
    """Six digits that prove once, for some minutes, that the member is here."""
    found, here = _sent(secret), installation()
    shown = checkout.show_code(
        here.store,
        programme_id=found.programme_id,
        member_id=found.member_id,
        keys=here.keys,
        now=now(),
    )
    return _one_time(found, secret, shown)


def _one_time(found: Link, secret: str, shown: OneTimeCode | None = None) -> str:
    with installation().store.read() as read:
        loaded = programmes.by_id(read, found.programme_id)
    form = access.new_form(installation().keys, purpose=_purpose(secret), now=now())
    return render_template("member/code.html", secret=secret, shown=shown, form=form.text, **setting(loaded))


def _form_of(secret: str) -> access.Form:
    """The form that was sent, made for this link and for no other. Raises FormStale or TooManyTries."""
    form = access.read_form(
        installation().keys, request.form.get("form", ""), purpose=_purpose(secret), now=now()
    )
    access.limit(installation().store, Limit.MEMBER_LINK, secret, now=now())
    return form


def _sent(secret: str) -> Link:
    """The card that a form of its own page is about. Raises FormStale, TooManyTries or LinkUnknown."""
    _form_of(secret)
    return _open_valid(secret)


def _purpose(secret: str) -> str:
    """What the forms of this link are made for; the link itself is no business of theirs."""
    return f"member:{hashlib.sha256(secret.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _back(secret: str, done: str) -> AnyResponse:
    return redirect(url_for("member.details", secret=secret, done=done), 303)


def _spoken() -> str:
    """The language in which the page's words were read."""
    here = language.current()
    return SOURCE if here in (LONGER, MIRRORED) else here


def _details(
    found: Link, secret: str, *, problems: Mapping[str, Refused] | None = None, done: str | None = None
) -> Response:
    here = installation()
    chosen = membership.choices(here.store, found, now=now())
    rules = chosen.loaded.programme
    return make_response(
        render_template(
            "member/details.html",
            secret=secret,
            chosen=chosen,
            known=chosen.known,
            problems=problems or {},
            done=done,
            fields=_fields(rules, chosen.known),
            typed=request.form if problems else _as_typed(chosen.known),
            months=months(),
            day_first=day_first(),
            letters=here.post is not None,
            mail_url=here.mail_url,
            spoken=[(one, language.own_name(one)) for one in membership.languages_of(rules, languages())],
            form=access.new_form(here.keys, purpose=_purpose(secret), now=now()).text,
            **setting(chosen.loaded),
        )
    )


def _fields(rules: Programme, known: Known) -> dict[str, Asked]:
    """The fields asked for, and those that are known; and whether each may stay empty."""
    asked = {name: getattr(rules.joining, name) for name in FIELDS}
    return {
        name: Asked.OPTIONAL if how is Asked.OFF else how
        for name, how in asked.items()
        if how is not Asked.OFF or name in _known_fields(known)
    }


def _known_fields(known: Known) -> frozenset[str]:
    return frozenset(name for name in FIELDS if getattr(known, name) is not None)


def _as_typed(known: Known) -> dict[str, str]:
    """What is known, as the form's fields have it."""
    return {
        "name": known.name,
        "email": known.email or "",
        "phone": known.phone or "",
        "birthday_day": str(known.birthday.day) if known.birthday else "",
        "birthday_month": str(known.birthday.month) if known.birthday else "",
    }


def _leaving(found: Link, secret: str, *, refused: bool = False) -> Response:
    here = installation()
    seen = membership.overview(here.store, found, language=language.current(), now=now())
    return make_response(
        render_template(
            "member/leave.html",
            secret=secret,
            seen=seen,
            refused=refused,
            form=access.new_form(here.keys, purpose=_purpose(secret), now=now()).text,
            **setting(seen.loaded),
        )
    )


# The card and its page -----------------------------------------------------------------


def _open(secret: str) -> Link:
    """The card of this link; from here on the page speaks its member's language. Raises LinkUnknown."""
    found = membership.link(installation().store, secret=secret)
    language.speak((found.language,))
    return found


def _open_valid(secret: str) -> Link:
    found = _open(secret)
    if found.voided_at is not None:
        raise CardVoided
    return found


def _tag(found: Link) -> str:
    """Names everything that the page shows, as it stands: its words change with the day, too."""
    today = local_date(now(), membership.programme_of(installation().store, found).zone)
    known = (
        found.revision,
        found.version,
        found.holders,
        found.installed_at,
        found.removed_at,
        language.current(),
        today,
    )
    return hashlib.sha256(repr(known).encode()).hexdigest()[:20]


def _gone(found: Link) -> AnyResponse:
    """A withdrawn card, and one whose member left: nothing is said of whose it was."""
    rules = membership.programme_of(installation().store, found)
    return make_response(render_template("member/gone.html", programme=rules), status_of(CardVoided()))


def _shown(found: Link, secret: str) -> dict[str, object]:
    """What the page and its changing parts show."""
    here = installation()
    seen = membership.overview(here.store, found, language=language.current(), now=now())
    return {
        "secret": secret,
        "seen": seen,
        "face": seen.face,
        **setting(seen.loaded),
        "code": theme.code_svg(seen.face),
        "is_square": seen.face.barcode.symbology in SQUARE,
        "titles": TITLES,
        "now": now(),
        "today": local_date(now(), seen.loaded.programme.zone),
        "google_address": url_for("member.google", secret=secret) if here.google else None,
        "virtual_iphone": _virtual_phone("member.apple", secret),
        "virtual_android": _virtual_phone("member.google", secret) if here.google else None,
        # A phone that scans such an address looks for us within itself.
        "is_out_of_reach": urlsplit(here.public_url).hostname in ("127.0.0.1", "localhost", "::1"),
        "continue_code": Markup(artwork.qr_svg(f"{here.public_url}{url_for('member.card', secret=secret)}")),
    }


def _virtual_phone(endpoint: str, secret: str) -> str | None:
    """Where the virtual phone takes the card from this address of ours; None in production."""
    here = installation()
    if here.phone_url is None:
        return None
    address = f"{here.public_url}{url_for(endpoint, secret=secret)}"
    return f"{here.phone_url}/add?url={quote(address, safe='')}"


def _download_token(found: Link) -> str:
    return issuing.download_token(
        installation().keys, programme_id=found.programme_id, card_id=found.card_id, now=now()
    )
