"""Phones, speaking Apple's web service, and the address from which a card is downloaded.

The callers are system daemons: no cookies, no redirects, no pages. Every
address answers with and without a slash at its end by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from flask import Blueprint, Response, current_app, request

from passes import issuing
from passes.apple import devices
from passes.apple.signing import CertificateProblem
from passes.issuing import CardGone, Issued
from passes.loyalty.refusals import Refused
from passes.web.errors import status_of
from passes.web.here import address, installation, now

blueprint = Blueprint("devices", __name__)

_REGISTRATION = "/apple/v1/devices/<library_id>/registrations/<pass_type>/<serial>"
_PRIVATE = "private, no-store"
_FILE_NAME = "card.pkpass"
_SIGNING_RETRY_SECONDS = 600

View = Callable[..., Response]


def _route(rule: str, method: str) -> Callable[[View], View]:
    # A phone follows no redirect, neither to an address without its last slash
    # nor to one without a doubled one.
    return blueprint.route(rule, methods=[method], strict_slashes=False, merge_slashes=False)


def _asked_by_a_phone(view: View) -> View:
    """Answer what cannot be done in the protocol's words: no page, no body to tell cases apart by."""

    @wraps(view)
    def answered(*args: str, **values: str) -> Response:
        try:
            return view(*args, **values)
        except CardGone:
            answer = _empty(401)
            answer.headers["WWW-Authenticate"] = "ApplePass"
            return answer
        except devices.Malformed:
            return _empty(400)
        except Refused as refused:
            return _empty(status_of(refused))

    return answered


@_route(_REGISTRATION, "POST")
@_asked_by_a_phone
def register(library_id: str, pass_type: str, serial: str) -> Response:
    """R: a phone added the card, or has a new push token."""
    here = installation()
    if len(library_id) > devices.LIBRARY_ID_LETTERS_MAX:
        return _empty(400)
    created = issuing.register(
        here.store,
        here.keys,
        library_id=library_id,
        pass_type=pass_type,
        serial=serial,
        token=_token(),
        read_push_token=lambda: devices.read_registration(_body()),
        now=now(),
    )
    return _empty(201 if created else 200)


@_route("/apple/v1/devices/<library_id>/registrations/<pass_type>", "GET")
@_asked_by_a_phone
def changes(library_id: str, pass_type: str) -> Response:
    """L: which cards changed. Needs no token: nobody else knows the device's id."""
    found = issuing.changes(
        installation().store,
        library_id=library_id,
        pass_type=pass_type,
        since=devices.read_tag(request.args.get("passesUpdatedSince")),
    )
    if found is None:
        return _empty(204)
    answer = Response(devices.list_answer(found.serials, found.tag), content_type="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


@_route("/apple/v1/passes/<pass_type>/<serial>", "GET")
@_asked_by_a_phone
def newest(pass_type: str, serial: str) -> Response:
    """G: the newest version of a card, unless the phone has it."""
    here = installation()
    found = issuing.newest(
        here.store,
        here.office,
        pass_type=pass_type,
        serial=serial,
        token=_token(),
        is_fresh=lambda at: devices.is_fresh(request.headers.get("If-Modified-Since"), at),
        now=now(),
    )
    return _empty(304) if found is None else _card(found)


@_route(_REGISTRATION, "DELETE")
@_asked_by_a_phone
def unregister(library_id: str, pass_type: str, serial: str) -> Response:
    """D: a phone removed the card or turned its updates off."""
    here = installation()
    issuing.unregister(
        here.store,
        here.keys,
        library_id=library_id,
        pass_type=pass_type,
        serial=serial,
        token=_token(),
        now=now(),
    )
    return _empty(200)


@_route("/apple/v1/log", "POST")
@_asked_by_a_phone
def log() -> Response:
    """X: what went wrong on a phone, in its own words."""
    here = installation()
    issuing.keep_log(
        here.store,
        entries=devices.read_log(_body()),
        address=address(),
        now=now(),
    )
    return _empty(200)


@_route("/download/<token>", "GET")
def download(token: str) -> Response:
    """The card behind a download address, for Safari and Mail to offer it."""
    here = installation()
    answer = _card(issuing.download(here.store, here.office, token=token, now=now()))
    answer.headers["Content-Disposition"] = f'attachment; filename="{_FILE_NAME}"'
    return answer


@blueprint.errorhandler(CertificateProblem)
def _cannot_sign(problem: CertificateProblem) -> Response:
    current_app.logger.error("No card can be signed: %s", problem)
    answer = _empty(503)
    answer.headers["Retry-After"] = str(_SIGNING_RETRY_SECONDS)
    return answer


def _token() -> str:
    return devices.token_of(request.headers.get("Authorization"))


def _body() -> bytes:
    # One byte more than is allowed shows that there is too much, without reading it all.
    return request.stream.read(devices.BODY_BYTES_MAX + 1)


def _empty(status: int) -> Response:
    answer = Response(status=status)
    answer.headers["Cache-Control"] = _PRIVATE
    return answer


def _card(issued: Issued) -> Response:
    answer = Response(list(issued.bundle.buffers), content_type=devices.PASS_MEDIA_TYPE)
    answer.headers["Content-Length"] = str(issued.bundle.size)
    answer.headers["Last-Modified"] = devices.http_date(issued.last_modified)
    answer.headers["Cache-Control"] = _PRIVATE
    return answer
