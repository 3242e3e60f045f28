"""The pages that cashiers use without script: scan, see the member, book, redeem, undo.

Every page works without script; `till.js` only makes it quicker. A visit is
named on the server when a card is scanned, and that name is the request key of
what is booked in it: a double tap, a refresh or a step back books once.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import replace

from flask import Response, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from passes import access, artwork, checkout
from passes.access import Area, AtTill, Limit, Role, pins
from passes.checkout import MemberView, Proof
from passes.loyalty import codes
from passes.loyalty.explanation import Explained
from passes.loyalty.money import AMOUNT_LIMIT_MINOR, Money
from passes.loyalty.receipt import Counter, Receipt
from passes.loyalty.refusals import (
    AmountInvalid,
    AmountTooLarge,
    ApprovalNeeded,
    CardForeign,
    CardVoided,
    CodeMistyped,
    CodeUnknown,
    HandleExpired,
    KeyReused,
    LooksRepeated,
    NotAllowed,
    PictureUnreadable,
    PinLocked,
    PinWrong,
    ReceiptUnknown,
    Refused,
    TooManyTries,
)
from passes.loyalty.safety import Watch, approvals
from passes.store import programmes
from passes.web import language, signin
from passes.web.errors import status_of
from passes.web.here import installation, now
from passes.web.till import receipts
from passes.web.till.place import NO_TILL, Place, blueprint, here, who

PICTURE_BYTES_MAX = 12_000_000
PICTURE_PIXELS_MAX = 50_000_000

# A larger number fits into no database.
_RECEIPT = f"int(max={2**63 - 1})"
_NUMBER = re.compile(r"[0-9]{1,19}")
_VISIT = re.compile(r"[A-Za-z0-9_-]{8,40}")
_NO_CARD = (CodeMistyped, CodeUnknown, CardForeign, CardVoided, HandleExpired, PictureUnreadable)
_AMOUNT = (AmountInvalid, AmountTooLarge)
_MANAGER = (ApprovalNeeded, PinWrong, PinLocked)
_ASKED_BACK = (LooksRepeated, *_MANAGER)


# Where --------------------------------------------------------------------------


@blueprint.get("/place")
def place() -> str | AnyResponse:
    """Choose the shop. Whoever has only one, or works at a paired till, never sees this page."""
    if who().till_id is not None:
        return redirect(url_for("shell.app"), 303)
    choices = _choices()
    if len(choices) == 1 and "stay" not in request.args:
        _work_at(*choices[0])
        return redirect(url_for("shell.app"), 303)
    with installation().store.read() as read:
        shops = [Place(programmes.by_slug(read, slug), location) for slug, location in choices]
    return render_template("till/place.html", shops=shops)


@blueprint.post("/place")
def choose() -> AnyResponse:
    """Work at the chosen shop from now on."""
    slug, _, location = request.form.get("place", "").partition("/")
    if who().till_id is not None or (slug, location or None) not in _choices():
        raise NotAllowed
    _work_at(slug, location or None)
    return redirect(url_for("shell.app"), 303)


def _choices() -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    with installation().store.read() as read:
        for slug in access.programmes_for(who(), Role.CASHIER):
            shops = programmes.by_slug(read, slug).programme.shops
            found += [(slug, shop.key) for shop in shops] or [(slug, None)]
    return found


def _work_at(slug: str, location: str | None) -> None:
    access.work_at(installation().store, secret=signin.secret(Area.TILL), programme=slug, location=location)


# Scan --------------------------------------------------------------------------


@blueprint.get("/")
def scan() -> str:
    """Waiting for a card."""
    return _scan()


@blueprint.post("/")
def scanned() -> tuple[str, int] | AnyResponse:
    """A code was scanned, typed or photographed."""
    typed = request.form.get("code", "").strip()
    try:
        code = _from_picture() if not typed and request.files.get("photo") else _read(typed)
        view = _look(code)
    except _NO_CARD as refused:
        return _scan(typed=typed, refused=refused), status_of(refused)
    return redirect(url_for("till.member", code=view.code, visit=_new_visit()), 303)


def _scan(
    *,
    typed: str = "",
    refused: Refused | None = None,
    sale_amount: str = "",
    sale_refused: Refused | None = None,
    sale_minor: int | None = None,
    sale_key: str | None = None,
) -> str:
    sold = request.args.get("sold", type=int)
    return render_template(
        "till/scan.html",
        typed=typed,
        refused=refused,
        sale_amount=sale_amount,
        sale_refused=sale_refused,
        sale_minor=sale_minor,
        sale_approval=_approval_of_sale(sale_minor) if sale_minor is not None else "",
        sale_key=sale_key or _new_visit(),
        sold=sold if sold and 0 < sold < AMOUNT_LIMIT_MINOR else None,
    )


def _read(text: str) -> str:
    return codes.read(text, here().loaded.programme.code_kind)


def _from_picture() -> str:
    """The first card code in an uploaded photo. Raises PictureUnreadable."""
    picture = request.files["photo"].read(PICTURE_BYTES_MAX + 1)
    for text in artwork.read_barcodes(
        picture, limit_bytes=PICTURE_BYTES_MAX, limit_pixels=PICTURE_PIXELS_MAX
    ):
        try:
            return _read(text)
        except CodeMistyped:
            continue
    raise PictureUnreadable


def _look(code: str) -> MemberView:
    """The member behind a code. Somebody who tries numbers at random is signed out."""
    known, is_found = _card(code)
    try:
        view = checkout.look(
            installation().store,
            programme=here().loaded.slug,
            code=known,
            language=language.current(),
            now=now(),
        )
        # Who was only looked up must not turn into a card that was there.
        return replace(view, code=code) if is_found else view
    except (CodeUnknown, CardForeign):
        secret = signin.secret(Area.TILL)
        try:
            access.limit(installation().store, Limit.CODE_SESSION, secret, now=now())
        except TooManyTries:
            access.sign_out(installation().store, secret=secret, now=now())
            raise
        raise


def _card(code: str) -> tuple[str, bool]:
    """The code of the card that is meant, and whether the card itself was not there."""
    return checkout.card_of(installation().store, here().loaded, code, keys=installation().keys, now=now())


def _proof(is_found: bool) -> Proof:
    return Proof(installation().keys, request.form.get("one_time", "").strip() or None, is_found)


def _new_visit() -> str:
    return secrets.token_urlsafe(12)


# The member ----------------------------------------------------------------------


@blueprint.get("/card/<code>")
def member(code: str) -> str | AnyResponse | tuple[str, int]:
    """The member, what to book, and which rewards are ready."""
    if not _VISIT.fullmatch(request.args.get("visit", "")):
        return redirect(url_for("till.member", code=code, visit=_new_visit()), 303)
    try:
        return _member(code)
    except _NO_CARD as refused:
        return _scan(typed=code, refused=refused), status_of(refused)


@blueprint.post("/card/<code>")
def accrue(code: str) -> tuple[str, int] | AnyResponse:
    """Book a purchase, once the cashier has seen the amount the way we read it."""
    typed = request.form.get("amount", "").strip()
    if other := _card_in(typed):
        # A hand scanner typed the next card into the amount.
        return redirect(url_for("till.member", code=codes.grouped(other), visit=_new_visit()), 303)
    try:
        amount_minor = _amount(typed)
        if request.form.get("confirmed") != str(amount_minor):
            return _member(code, typed=typed, amount_minor=amount_minor), 200
        receipt = checkout.accrue(
            installation().store,
            programme=here().loaded.slug,
            code=_card(code)[0],
            amount_minor=amount_minor,
            key=f"{_visit()}:sale",
            at=_counter(),
            watch=_watch("bookPurchase", f"{_visit()}:sale", amount_minor),
            now=now(),
        )
    except Refused as refused:
        return _refuse(code, refused, typed=typed)
    return _done(receipt, code)


@blueprint.post("/card/<code>/redeem")
def redeem(code: str) -> tuple[str, int] | AnyResponse:
    """Exchange points for a reward."""
    reward = request.form.get("reward", "")
    try:
        known, is_found = _card(code)
        receipt = checkout.redeem(
            installation().store,
            programme=here().loaded.slug,
            code=known,
            reward=reward,
            key=f"{_visit()}:{reward}"[:128],
            at=_counter(),
            proof=_proof(is_found),
            now=now(),
        )
    except Refused as refused:
        return _refuse(code, refused)
    return _done(receipt, code)


@blueprint.post("/card/<code>/use")
def use(code: str) -> tuple[str, int] | AnyResponse:
    """Use a reward that the member was given."""
    redemption = request.form.get("redemption", "")
    try:
        known, is_found = _card(code)
        receipt = checkout.use(
            installation().store,
            programme=here().loaded.slug,
            code=known,
            redemption_id=int(redemption) if _NUMBER.fullmatch(redemption) else 0,
            key=f"{_visit()}:use:{redemption}"[:128],
            at=_counter(),
            proof=_proof(is_found),
            now=now(),
        )
    except Refused as refused:
        return _refuse(code, refused)
    return _done(receipt, code)


@blueprint.get("/quote")
def quote() -> AnyResponse | tuple[AnyResponse, int]:
    """What an amount would earn, in words, while it is being typed. Changes nothing."""
    code = request.args.get("code", "")
    try:
        amount_minor = _amount(request.args.get("amount", ""))
        words, approval = _echo(code, amount_minor)
        return jsonify(minor=amount_minor, words=words, approval=approval)
    except Refused as refused:
        return jsonify(words=language.words_of(refused)), status_of(refused)


def _member(
    code: str, *, typed: str = "", amount_minor: int | None = None, refused: Refused | None = None
) -> str:
    echo, approval = _echo(code, amount_minor) if amount_minor is not None else ("", "")
    return render_template(
        "till/member.html",
        view=_look(code),
        visit=_visit(),
        another=_new_visit(),
        typed=typed,
        amount_minor=amount_minor,
        echo=echo,
        approval=approval,
        is_meant=_is_meant() or isinstance(refused, LooksRepeated),
        refused=refused,
        wrong_amount=isinstance(refused, _AMOUNT),
        already=isinstance(refused, KeyReused),
        sign=language.decimal_signs()[0],
    )


def _refuse(code: str, refused: Refused, *, typed: str = "") -> tuple[str, int]:
    if isinstance(refused, _NO_CARD):
        return _scan(typed=code, refused=refused), status_of(refused)
    # Pressed again, Confirm says that it is meant, or that a manager agrees.
    amount_minor = _amount(typed) if isinstance(refused, _ASKED_BACK) else None
    return _member(code, typed=typed, amount_minor=amount_minor, refused=refused), status_of(refused)


def _visit() -> str:
    given = request.values.get("visit", "")
    return given if _VISIT.fullmatch(given) else _new_visit()


def _card_in(typed: str) -> str | None:
    try:
        return _read(typed)
    except CodeMistyped:
        return None


def _amount(typed: str) -> int:
    """Minor units of an amount as people write it in the page's language. Raises AmountInvalid."""
    return language.read_amount(typed, here().loaded.programme.currency)


def _echo(code: str, amount_minor: int) -> tuple[str, str]:
    """The amount as we read it, and what it earns; and in words for what a manager has to come."""
    programme = here().loaded.programme
    amount = language.money(amount_minor, programme.currency)
    if not code:
        return amount, _approval_of_sale(amount_minor)
    quoted = checkout.quote(
        installation().store,
        programme=programme.slug,
        code=_card(code)[0],
        amount_minor=amount_minor,
        at=_counter(),
        language=language.current(),
        watch=Watch(programme.till),
        now=now(),
    )
    unit = programme.unit.name(quoted.points, language.current())
    words = language.words("%(amount)s = %(points)s %(unit)s", amount=amount, points=quoted.points, unit=unit)
    return words, " ".join(one.words for one in quoted.approval)


def _approval_of_sale(amount_minor: int) -> str:
    rules = here().loaded.programme
    needed = approvals(rules.till, amount=Money(amount_minor, rules.currency), at=_counter())
    return " ".join(language.words_of(refused) for _, refused in needed)


def _watch(operation: str, key: str, amount_minor: int) -> Watch:
    """What these pages are watched for. A manager who agrees stands here and types their PIN beside it."""
    login, pin = request.form.get("manager", "").strip(), request.form.get("manager_pin", "")
    manager = None
    if login or pin:
        manager = pins.agree(
            installation().store,
            at=signin.at_till() or AtTill(here().loaded.id, NO_TILL, here().location),
            login=login,
            pin=pin,
            key=key,
            about={"operation": operation, "amount_minor": amount_minor},
            asked_by=who().login,
            now=now(),
        )
    return Watch(here().loaded.programme.till, manager, _is_meant())


def _is_meant() -> bool:
    return request.form.get("repeat") == "yes"


def _counter() -> Counter:
    at = signin.device() if who().till_id is not None else None
    return Counter(location=here().location, till=None if at is None else at.name, person=who().login)


# Afterwards ----------------------------------------------------------------------


def _done(receipt: Receipt, code: str | None = None) -> AnyResponse:
    # Without the page that a redirect carries for people: nobody ever sees it.
    answer = Response(status=303)
    answer.headers["Location"] = url_for("till.done", receipt_id=receipt.id, card=code)
    return answer


@blueprint.get(f"/done/<{_RECEIPT}:receipt_id>")
def done(receipt_id: int) -> str:
    """What was booked: the old and the new balance, Undo, and the next customer."""
    receipt = next((one for one in _mine() if one.id == receipt_id), None)
    if receipt is None:
        raise ReceiptUnknown
    card = receipts.card(here().loaded, receipt)
    return render_template(
        "till/done.html",
        receipt=receipt,
        card=card,
        # As it was shown to us: a receipt tells nobody the code of a card that was not there.
        shown=request.args.get("card") or (receipts.handle(here().loaded, card) if card else None),
        visit=_new_visit(),
        reward=receipts.reward_name(here().loaded, receipt),
        parts=_parts(receipt),
    )


def _parts(receipt: Receipt) -> tuple[Explained, ...]:
    """Why the points moved, where they did."""
    if not receipt.points:
        return ()
    return checkout.why(
        installation().store,
        programme=here().loaded.slug,
        receipt_id=receipt.id,
        language=language.current(),
    ).parts


@blueprint.post(f"/undo/<{_RECEIPT}:receipt_id>")
def undo(receipt_id: int) -> AnyResponse:
    """Reverse a booking."""
    receipt = checkout.undo(
        installation().store,
        programme=here().loaded.slug,
        receipt_id=receipt_id,
        key=f"undo:{receipt_id}",
        at=_counter(),
        now=now(),
    )
    return _done(receipt)


@blueprint.post("/sale")
def sale() -> tuple[str, int] | AnyResponse:
    """A customer without a card."""
    typed = request.form.get("amount", "").strip()
    key = request.form.get("visit", "")
    if other := _card_in(typed):
        return redirect(url_for("till.member", code=codes.grouped(other), visit=_new_visit()), 303)
    try:
        amount_minor = _amount(typed)
        if request.form.get("confirmed") != str(amount_minor):
            return _scan(sale_amount=typed, sale_minor=amount_minor, sale_key=key), 200
        checkout.sale(
            installation().store,
            programme=here().loaded.slug,
            amount_minor=amount_minor,
            key=f"{key}:guest",
            at=_counter(),
            watch=_watch("bookSale", f"{key}:guest", amount_minor),
            now=now(),
        )
    except Refused as refused:
        kept = None if isinstance(refused, KeyReused) else key
        known = _amount(typed) if isinstance(refused, _MANAGER) else None
        page = _scan(sale_amount=typed, sale_refused=refused, sale_key=kept, sale_minor=known)
        return page, status_of(refused)
    return redirect(url_for("till.scan", sold=amount_minor), 303)


@blueprint.get("/today")
def today() -> str:
    """The last twenty bookings of this person."""
    rows = [
        (receipt, receipts.card(here().loaded, receipt), receipts.reward_name(here().loaded, receipt))
        for receipt in _mine()
    ]
    handles = {card.card_id: receipts.handle(here().loaded, card) for _, card, _ in rows if card}
    standing = [
        receipt for receipt, _, _ in rows if receipt.amount_minor is not None and receipt.undone_by is None
    ]
    return render_template(
        "till/today.html",
        rows=rows,
        handles=handles,
        total_minor=sum(receipt.amount_minor or 0 for receipt in standing),
        sales=len(standing),
    )


def _mine() -> list[Receipt]:
    return checkout.recent(installation().store, programme=here().loaded.slug, person=who().login)
