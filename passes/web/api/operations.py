"""How an operation of the API is asked and answered: key, scope, body, answer, problem.

An operation says everything about itself in one place; the routes and the
OpenAPI document are both made from that, so they cannot differ.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import orjson
from flask import Blueprint, Response, current_app, g, request
from flask.sansio.app import App
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException, UnsupportedMediaType

from passes import api_keys
from passes.api_keys import Caller, KnownKeys, Scope
from passes.loyalty.receipt import Counter
from passes.loyalty.refusals import (
    ApiKeyInvalid,
    Busy,
    IdempotencyKeyMissing,
    Refused,
    RequestInvalid,
    TooManyRequests,
    TooManyTries,
)
from passes.loyalty.safety import Watch
from passes.store import Condition, Store
from passes.web import language
from passes.web.api import pace, wire
from passes.web.errors import BROKEN_TITLE, BROKEN_WORDS, OTHERWISE, TITLES, status_of
from passes.web.here import installation, now

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 256_000
_KNOWN_KEYS = "passes_known_keys"
PROBLEMS = "application/problem+json"
_ID_DIGITS_MAX = 19
REQUEST_ID = "X-Request-Id"
REPLAYED = "Idempotent-Replayed"
_KEY = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
_RETRY_SECONDS = {Busy: "2", TooManyTries: "60", TooManyRequests: "1"}

HTTP_WORDS = {
    400: "This request makes no sense.",
    404: "There is nothing at this address.",
    405: "This address is not asked that way.",
    413: "The body is too large.",
    415: "Send the body as application/json.",
}
"""What HTTP itself refuses, in words for those who write programs."""

Model = TypeVar("Model", bound=BaseModel)
View = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked. `rule` is Flask's; `name` is unique and stable.

    `query` describes what may stand behind the question mark. `refusals` are
    those of its own, beside what keys, bodies and the database can refuse.
    `is_frequent` is a write that has a shorter way (express.py): its path is
    always the same, and its view writes to `Asked.store` only.
    """

    name: str
    method: str
    rule: str
    scope: Scope
    summary: str
    answer: type[BaseModel]
    body: type[BaseModel] | None = None
    status: int = 200
    query: type[BaseModel] | None = None
    refusals: tuple[type[Refused], ...] = ()
    is_frequent: bool = False

    @property
    def is_write(self) -> bool:
        """Whether it must name itself by an Idempotency-Key."""
        return self.method == "POST" and self.status == 201


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and what a write is named by (empty for a question).

    `approved_by` is the manager who agreed to it at a till, `is_meant` whether
    the cashier said that the same again is no slip. `made_at` is when a till
    made what it sends afterwards. A `condition` is what a write depends on.
    """

    caller: Caller
    key: str
    approved_by: str | None = None
    is_meant: bool = False
    made_at: datetime | None = None
    condition: Condition | None = None

    @property
    def store(self) -> Store:
        """Where to write; only as long as who asks may do so."""
        store = installation().store
        return store if self.condition is None else store.under(self.condition)

    @property
    def watch(self) -> Watch | None:
        """What a till is watched for. A register's own program knows who stands there."""
        if self.caller.channel != "in_store":
            return None
        return Watch(self.caller.loaded.programme.till, self.approved_by, self.is_meant)

    def counter(self, place: wire.Place) -> Counter:
        """Where and by whom, as the receipt keeps it. Raises LocationUnknown."""
        return Counter(
            location=self.caller.place(place.location),
            till=place.till or self.caller.name[:64] or None,
            person=self.caller.person or place.person,
            channel=self.caller.channel,
        )

    @property
    def request_key(self) -> str:
        """The write's name among all callers: two registers may count their requests alike."""
        return f"{self.caller.channel}:{self.caller.id}:{self.key}"


class Operations:
    """Operations in the order in which they were added, and what answers each."""

    def __init__(self) -> None:
        self._views: dict[Operation, View] = {}

    @property
    def all(self) -> tuple[Operation, ...]:
        """What can be asked."""
        return tuple(self._views)

    @property
    def frequent(self) -> Mapping[str, tuple[Operation, View]]:
        """What has a shorter way, and what answers it, by its path."""
        return {one.rule: (one, view) for one, view in self._views.items() if one.is_frequent}

    def add(self, operation: Operation) -> Callable[[View], View]:
        """Let a function answer it: called with `Asked`, query and body if any, and the path's parts."""

        def keep(view: View) -> View:
            self._views[operation] = view
            return view

        return keep

    def include(self, others: Operations) -> None:
        """Answer those of another subject, too."""
        self._views |= others._views

    def named(self, name: str) -> tuple[Operation, View]:
        """An operation and what answers it, by the operation's name."""
        return next(pair for pair in self._views.items() if pair[0].name == name)

    def serve(
        self, blueprint: Blueprint, whose: Callable[[Operation], Caller], *, writes: bool = True
    ) -> None:
        """Answer all of them under a blueprint, or without `writes` only the questions.

        `whose` finds out who asks, or refuses.
        """
        for operation, view in self._views.items():
            if operation.is_write and not writes:
                continue
            blueprint.add_url_rule(
                operation.rule,
                operation.name,
                _answering(operation, view, whose),
                methods=[operation.method],
                strict_slashes=False,
            )


def _answering(
    operation: Operation, view: View, whose: Callable[[Operation], Caller]
) -> Callable[..., Response]:
    def answer(**path: str) -> Response:
        asked = Asked(whose(operation), _key() if operation.is_write else "")
        said: list[BaseModel] = []
        if operation.query is not None:
            said.append(query(operation.query))
        if operation.body is not None:
            said.append(body(operation.body))
        content = view(asked, *said, **path)
        given = answered(content, operation.status)
        # What an earlier instant booked was answered before.
        if operation.is_write and content.get("recorded_at", now()) != now():
            given.headers[REPLAYED] = "true"
        return given

    return answer


def speak_json(blueprint: Blueprint) -> None:
    """Let a blueprint say every refusal as a problem, and number its answers."""
    blueprint.register_error_handler(Refused, refuse)
    blueprint.register_error_handler(HTTPException, fail)
    blueprint.register_error_handler(Exception, crash)
    blueprint.after_request(_number)


def _request_id() -> str:
    """The number of this request in logs: the caller's own if it can stand in one, or else a new one."""
    if "request_id" not in g:
        g.request_id = request_id(request.headers.get(REQUEST_ID, ""))
    number: str = g.request_id
    return number


def request_id(named: str) -> str:
    """What a request is called in logs, given what its caller calls it."""
    return named if _KEY.match(named) else f"{random.getrandbits(64):016x}"


def _number(answer: Response) -> Response:
    answer.headers[REQUEST_ID] = _request_id()
    return answer


# Asking -----------------------------------------------------------------------


def key_holder(operation: Operation) -> Caller:
    """Who shows a key that may do this. Raises ApiKeyInvalid, ScopeMissing, TooManyRequests."""
    secret = _secret(request.headers.get("Authorization", ""))
    caller = api_keys.caller(installation().store, secret=secret, now=now())
    if not pace.here().allows(caller.id, now()):
        raise TooManyRequests()
    caller.require(operation.scope)
    _known_keys().keep(secret, caller)
    return caller


def known(operation: Operation, authorization: str) -> tuple[Caller, Condition] | None:
    """Who showed this key before, if it was one that may do this, and what must still hold."""
    secret = _secret(authorization)
    caller = _known_keys().find(secret)
    if caller is None or operation.scope not in caller.scopes or not pace.here().allows(caller.id, now()):
        return None
    return caller, api_keys.still_so(secret, caller, now=now())


def _secret(authorization: str) -> str:
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise ApiKeyInvalid()
    return secret.strip()


def remember_keys(app: App) -> None:
    """Begin to know keys in this application."""
    app.extensions[_KNOWN_KEYS] = KnownKeys()


def _known_keys() -> KnownKeys:
    known: KnownKeys = current_app.extensions[_KNOWN_KEYS]
    return known


def _key() -> str:
    return key_in(request.headers.get("Idempotency-Key", ""))


def key_in(text: str) -> str:
    """What a write is named by. Raises IdempotencyKeyMissing for what can be no name."""
    if not _KEY.match(text):
        raise IdempotencyKeyMissing()
    return text


def body(model: type[Model]) -> Model:
    """What was sent, checked. Raises RequestInvalid with the places that are wrong."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType()
    # Also of a body that does not say how long it is: reading ends there.
    request.max_content_length = BODY_BYTES_MAX
    return checked(model, request.get_data(cache=False))


def checked(model: type[Model], raw: bytes) -> Model:
    """What stands in this JSON. Raises RequestInvalid with the places that are wrong."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as invalid:
        raise _Malformed(_flaws(invalid, "/")) from None


def query(model: type[Model]) -> Model:
    """What stands behind the question mark, checked. Raises RequestInvalid with the names that are wrong."""
    given = request.args.to_dict(flat=False)
    if twice := [name for name, values in given.items() if len(values) > 1]:
        raise _Malformed([{"pointer": f"?{name}", "detail": "named twice"} for name in twice])
    try:
        return model.model_validate({name: value for name, (value,) in given.items()}, strict=False)
    except ValidationError as invalid:
        raise _Malformed(_flaws(invalid, "?")) from None


def _flaws(invalid: ValidationError, before: str) -> list[dict[str, str]]:
    return [
        {"pointer": "".join(before + _pointed(part) for part in error["loc"]), "detail": error["msg"]}
        for error in invalid.errors(include_url=False, include_context=False, include_input=False)
    ]


def _pointed(part: str | int) -> str:
    """One part of a JSON pointer (RFC 6901)."""
    return str(part).replace("~", "~0").replace("/", "~1")


class _Malformed(RequestInvalid):
    """With the places that are wrong."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__()
        self.errors = errors


def number(text: str, unknown: type[Refused]) -> int:
    """An id as it stands in an address or a body. Raises `unknown` for what can be none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _ID_DIGITS_MAX):
        raise unknown()
    return int(text)


# Answering --------------------------------------------------------------------


def answered(content: Mapping[str, Any], status: int, kind: str = "application/json") -> Response:
    """An answer that nobody may keep."""
    answer = Response(orjson.dumps(content), status, content_type=kind)
    # Balances are of this moment, and nobody else's business.
    answer.headers["Cache-Control"] = "no-store"
    return answer


def problem(status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None) -> Response:
    """Why not, as RFC 9457 writes it."""
    return _as_answer(_problem(status, code, detail, errors))


def _problem(status: int, code: str, detail: str, errors: list[dict[str, str]] | None) -> dict[str, Any]:
    # The type is `about:blank`: the code says which problem it is.
    return {
        "type": "about:blank",
        "title": TITLES.get(status, OTHERWISE),
        "status": status,
        "detail": detail,
        "code": code,
        "errors": errors or [],
    }


def _as_answer(content: dict[str, Any]) -> Response:
    answer = answered(content, content["status"], PROBLEMS)
    if answer.status_code == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def told(refused: Refused) -> dict[str, Any]:
    """A refusal as a problem's content: its stable code, and words in the language asked for."""
    errors = refused.errors if isinstance(refused, _Malformed) else None
    return _problem(status_of(refused), refused.code, language.words_of(refused), errors)


def refuse(refused: Refused) -> Response:
    """A refusal with its stable code and words."""
    answer = _as_answer(told(refused))
    if type(refused) in _RETRY_SECONDS:
        answer.headers["Retry-After"] = _RETRY_SECONDS[type(refused)]
    return answer


def fail(error: HTTPException) -> Response:
    """What HTTP itself refuses: an unknown address, a wrong method, too large a body."""
    status = error.code or 500
    words = BROKEN_WORDS if status >= 500 else HTTP_WORDS.get(status, TITLES.get(status, OTHERWISE))
    answer = problem(status, f"http_{status}", language.words(words))
    if error.response is None and "Allow" in (headers := dict(error.get_headers())):
        answer.headers["Allow"] = headers["Allow"]
    return answer


def crash(error: Exception) -> Response:
    """Our own mistake: said, logged, and nothing of it shown."""
    log.error("an operation failed (request %s)", _request_id(), exc_info=error)
    return problem(500, "internal", f"{language.words(BROKEN_TITLE)}. {language.words(BROKEN_WORDS)}")
