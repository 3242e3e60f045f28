"""How an operation of the API is asked and answered: key, scope, body, answer, problem.

An operation says everything about itself in one place; the routes and the
OpenAPI document are both made from that, so they cannot differ.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from flask import Blueprint, Response, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException

from passes import api_keys
from passes.api_keys import Caller, Scope
from passes.loyalty.receipt import Counter
from passes.loyalty.refusals import (
    ApiKeyInvalid,
    Busy,
    IdempotencyKeyMissing,
    Refused,
    RequestInvalid,
    TooManyTries,
)
from passes.web import language
from passes.web.api import wire
from passes.web.errors import BROKEN_TITLE, BROKEN_WORDS, OTHERWISE, TITLES, status_of
from passes.web.here import installation, now

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 256_000
PROBLEMS = "application/problem+json"
_KEY = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
_RETRY_SECONDS = {Busy: "2", TooManyTries: "60"}

Model = TypeVar("Model", bound=BaseModel)
View = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked. `rule` is Flask's; `name` is unique and stable."""

    name: str
    method: str
    rule: str
    scope: Scope
    summary: str
    answer: type[BaseModel]
    body: type[BaseModel] | None = None
    status: int = 200

    @property
    def is_write(self) -> bool:
        """Whether it must name itself by an Idempotency-Key."""
        return self.method == "POST" and self.status == 201


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and what a write is named by (empty for a question)."""

    caller: Caller
    key: str

    def counter(self, place: wire.Place) -> Counter:
        """Where and by whom, as the receipt keeps it. Raises LocationUnknown."""
        return Counter(
            location=self.caller.place(place.location),
            till=place.till or self.caller.name[:64],
            person=place.person,
            channel="api",
        )


class Operations:
    """The operations of a blueprint, in the order in which they were added."""

    def __init__(self, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        self.all: list[Operation] = []
        blueprint.register_error_handler(Refused, refuse)
        blueprint.register_error_handler(HTTPException, fail)
        blueprint.register_error_handler(Exception, crash)

    def add(self, operation: Operation) -> Callable[[View], View]:
        """Let a function answer it: called with `Asked`, the body if there is one, and the path's parts."""
        self.all.append(operation)

        def register(view: View) -> View:
            def answer(**path: str) -> Response:
                asked = Asked(_caller(operation.scope), _key() if operation.is_write else "")
                if operation.body is None:
                    return _json(view(asked, **path), operation.status)
                return _json(view(asked, _body(operation.body), **path), operation.status)

            self._blueprint.add_url_rule(
                operation.rule, operation.name, answer, methods=[operation.method], strict_slashes=False
            )
            return view

        return register


# Asking -----------------------------------------------------------------------


def _caller(scope: Scope) -> Caller:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise ApiKeyInvalid()
    caller = api_keys.caller(installation().store, secret=secret.strip(), now=now())
    caller.require(scope)
    return caller


def _key() -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not _KEY.match(key):
        raise IdempotencyKeyMissing()
    return key


def _body(model: type[Model]) -> Model:
    if (request.content_length or 0) > BODY_BYTES_MAX:
        raise _Malformed([{"pointer": "", "detail": f"at most {BODY_BYTES_MAX} bytes"}])
    raw = request.get_data(cache=False)
    try:
        return model.model_validate_json(raw)
    except ValidationError as invalid:
        raise _Malformed(
            [
                {"pointer": "".join(f"/{part}" for part in error["loc"]), "detail": error["msg"]}
                for error in invalid.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


class _Malformed(RequestInvalid):
    """With the places that are wrong."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__()
        self.errors = errors


# Answering --------------------------------------------------------------------


def _json(content: Mapping[str, Any], status: int, kind: str = "application/json") -> Response:
    answer = Response(orjson.dumps(content), status, content_type=kind)
    # Balances are of this moment, and nobody else's business.
    answer.headers["Cache-Control"] = "no-store"
    return answer


def problem(status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None) -> Response:
    """Why not, as RFC 9457 writes it. The type is `about:blank`: the code says which problem it is."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(status, OTHERWISE),
        "status": status,
        "detail": detail,
        "code": code,
        "errors": errors or [],
    }
    answer = _json(content, status, PROBLEMS)
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def refuse(refused: Refused) -> Response:
    """A refusal with its stable code and words."""
    errors = refused.errors if isinstance(refused, _Malformed) else None
    answer = problem(status_of(refused), refused.code, language.words_of(refused), errors)
    if type(refused) in _RETRY_SECONDS:
        answer.headers["Retry-After"] = _RETRY_SECONDS[type(refused)]
    return answer


def fail(error: HTTPException) -> Response:
    """What HTTP itself refuses: an unknown address, a wrong method, too large a body."""
    status = error.code or 500
    title = TITLES.get(status, OTHERWISE) if status < 500 else BROKEN_WORDS
    answer = problem(status, f"http_{status}", language.words(title))
    if error.response is None and "Allow" in (headers := dict(error.get_headers())):
        answer.headers["Allow"] = headers["Allow"]
    return answer


def crash(error: Exception) -> Response:
    """Our own mistake: said, logged, and nothing of it shown."""
    log.error("an operation failed", exc_info=error)
    return problem(500, "internal", f"{language.words(BROKEN_TITLE)}. {language.words(BROKEN_WORDS)}")
