"""The OpenAPI 3.1 document, made from the operations that are served.

Its examples (examples.json) are requests that a test sends in their order to
an application with one member, and the answers that it got.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from passes.loyalty.refusals import (
    ApiKeyInvalid,
    Busy,
    IdempotencyKeyMissing,
    KeyReused,
    LocationUnknown,
    Refused,
    RequestInvalid,
    ScopeMissing,
    StorageFull,
    TooManyRequests,
)
from passes.web.api import wire
from passes.web.api.operations import HTTP_WORDS, PROBLEMS, REPLAYED, REQUEST_ID, Operation
from passes.web.errors import BROKEN_TITLE, BROKEN_WORDS, OTHERWISE, STATUS, TITLES

VERSION = "1.0.0"
EXAMPLES = Path(__file__).with_name("examples.json")

TAGS = {
    "Programme": "What a register has to know before it asks anything else.",
    "Members": "Who stands at the counter, and how somebody becomes a member.",
    "Purchases": "Quotes, purchases, and sales to guests that can be claimed.",
    "Rewards": "Points for rewards, at once or held until the payment is done.",
    "Returns": "Goods that come back, and what that does to points.",
    "Receipts": "What was booked and why, and mistakes taken back.",
    "Records": "The whole programme page by page, for the shop's own programs.",
}
_TAG_OF = {
    "programme": "Programme",
    "members": "Members",
    "one-time-codes": "Members",
    "quotes": "Purchases",
    "amounts": "Purchases",
    "purchases": "Purchases",
    "sales": "Purchases",
    "claims": "Purchases",
    "redemptions": "Rewards",
    "uses": "Rewards",
    "holds": "Rewards",
    "returns": "Returns",
    "receipts": "Receipts",
    "records": "Records",
}
PARAMETERS = {
    "code": "The code on the card, as scanned or typed, or the handle of a member who was found.",
    "receipt_id": "The receipt's number.",
    "member_id": "The member's number.",
    "hold_id": "The hold's number.",
    "sale_id": "The sale's number.",
}
_SCHEMAS = "#/components/schemas/{model}"
_PART = re.compile(r"<(\w+)>")
_ALWAYS: tuple[type[Refused], ...] = (ApiKeyInvalid, ScopeMissing, TooManyRequests, Busy)
_OF_WRITES: tuple[type[Refused], ...] = (IdempotencyKeyMissing, KeyReused, StorageFull)


def document(operations: Sequence[Operation], *, root: str, server: str) -> dict[str, Any]:
    """What can be asked at `server`, under `root`."""
    return _document(tuple(operations), root, server)


@lru_cache(maxsize=4)
def _document(operations: tuple[Operation, ...], root: str, server: str) -> dict[str, Any]:
    models: list[type[BaseModel]] = [wire.Problem]
    models += [one.answer for one in operations]
    models += [one.body for one in operations if one.body is not None]
    _, definitions = models_json_schema(
        [(model, _mode(model)) for model in dict.fromkeys(models)], ref_template=_SCHEMAS
    )
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(_PART.sub(r"{\1}", one.rule), {})[one.method.lower()] = _operation(one)
    used = {tag_of(one) for one in operations}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "passes",
            "version": VERSION,
            "summary": "Loyalty at the counter, for registers and shops' own programs.",
            "description": (wire.__doc__ or "").strip(),
        },
        "servers": [{"url": f"{server}{root}"}],
        "security": [{"key": []}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items() if name in used],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of the shop: made in the console, or by `passes api-key add`.",
                }
            },
            "schemas": definitions["$defs"],
        },
    }


def _mode(model: type[BaseModel]) -> Any:
    return "validation" if issubclass(model, wire.Asked) else "serialization"


def tag_of(one: Operation) -> str:
    """The group that an operation stands in, by the first part of its address."""
    return _TAG_OF[one.rule.split("/")[1]]


@cache
def examples() -> Mapping[str, Mapping[str, Any]]:
    """The example of each operation by its name: `path`, `query`, `body`, `key`, `answer`."""
    told = json.loads(EXAMPLES.read_text("utf-8"))
    # The first of each: the story may need an operation twice.
    return {one["operation"]: one for one in reversed(told)}


def _operation(one: Operation) -> dict[str, Any]:
    example = examples().get(one.name, {})
    said: dict[str, Any] = {
        "operationId": one.name,
        "tags": [tag_of(one)],
        "summary": one.summary,
        "description": f"Needs the scope `{one.scope}`.",
        # Roles, as OpenAPI 3.1 allows them beside a bearer's scheme.
        "security": [{"key": [one.scope.value]}],
        "parameters": [*_path_parameters(one, example), *_query_parameters(one, example)],
        "responses": {str(one.status): _answer(one, example), **_problems(one)},
    }
    if one.is_write:
        said["parameters"].append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": "Names this request: sent again with the same body it gets the same answer.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"},
                "example": example.get("key", "order-1047"),
            }
        )
    if one.body is not None:
        content = {"schema": _named(one.body)}
        said["requestBody"] = {
            "required": True,
            "content": {"application/json": _with_example(content, example, "body")},
        }
    return said


def _path_parameters(one: Operation, example: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name in _PART.findall(one.rule):
        said = {
            "name": name,
            "in": "path",
            "required": True,
            "description": PARAMETERS[name],
            "schema": {"type": "string", "minLength": 1},
        }
        yield _with_example(said, example.get("path", {}), name)


def _query_parameters(one: Operation, example: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if one.query is None:
        return
    schema = one.query.model_json_schema()
    for name, about in schema["properties"].items():
        # What may be left out is null in Python, and never in an address.
        kinds = [kind for kind in about.pop("anyOf", ()) if kind.get("type") != "null"]
        words = about.pop("description", "")
        about.pop("title", None)
        if about.get("default", "") is None:
            del about["default"]
        kind = {**about, **(kinds[0] if kinds else {})}
        if reference := kind.pop("$ref", None):
            kind.update(schema["$defs"][reference.rpartition("/")[2]])
            kind = {key: value for key, value in kind.items() if key not in ("title", "description")}
        said = {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": words,
            "schema": kind,
        }
        yield _with_example(said, example.get("query", {}), name)


def _with_example(said: dict[str, Any], example: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {**said, "example": example[name]} if name in example else said


def _answer(one: Operation, example: Mapping[str, Any]) -> dict[str, Any]:
    headers = {REQUEST_ID: _REQUEST_ID_HEADER}
    if one.is_write:
        headers[REPLAYED] = {
            "description": "`true` where this request was answered before, and this is that answer again.",
            "schema": {"type": "string", "enum": ["true"]},
        }
    return {
        "description": one.summary,
        "headers": headers,
        "content": {"application/json": _with_example({"schema": _named(one.answer)}, example, "answer")},
    }


# Problems -----------------------------------------------------------------------


def _problems(one: Operation) -> dict[str, dict[str, Any]]:
    """What may go wrong, by status; each code with an example."""
    by_status: dict[int, dict[str, str]] = {}
    for status, code, words in _codes(one):
        by_status.setdefault(status, {})[code] = words
    return {str(status): _problem(status, codes) for status, codes in sorted(by_status.items())}


def _codes(one: Operation) -> Iterator[tuple[int, str, str]]:
    """Status, code and words of everything that this operation can refuse."""
    refusals = [*_ALWAYS, *one.refusals]
    http: list[int] = []
    if one.is_write:
        refusals += _OF_WRITES
    if one.body is not None:
        refusals.append(RequestInvalid)
        http += (413, 415)
        if issubclass(one.body, wire.Place):
            refusals.append(LocationUnknown)
    if one.query is not None:
        refusals.append(RequestInvalid)
    has_parts = bool(_PART.findall(one.rule))
    if has_parts:
        http.append(404)
    if has_parts or one.query is not None:
        http.append(400)
    for status in http:
        yield status, f"http_{status}", HTTP_WORDS[status]
    for refusal in dict.fromkeys(refusals):
        yield STATUS[refusal.code], refusal.code, refusal.words % _Somehow()
    yield 500, "internal", f"{BROKEN_TITLE}. {BROKEN_WORDS}"


class _Somehow(dict[str, str]):
    """Stands in for whatever a refusal's words name."""

    def __missing__(self, key: str) -> str:
        return "…"


def _problem(status: int, codes: Mapping[str, str]) -> dict[str, Any]:
    headers: dict[str, Any] = {REQUEST_ID: _REQUEST_ID_HEADER}
    if status in (429, 503):
        headers["Retry-After"] = {
            "description": "So many seconds later the same request may be sent again.",
            "schema": {"type": "string", "pattern": "^[0-9]+$"},
        }
    return {
        "description": HTTPStatus(status).phrase,
        "headers": headers,
        "content": {
            PROBLEMS: {
                "schema": {
                    "allOf": [
                        {"$ref": _SCHEMAS.format(model="Problem")},
                        {"properties": {"code": {"enum": list(codes)}}},
                    ]
                },
                "examples": {
                    code: {"value": _problem_example(status, code, words)} for code, words in codes.items()
                },
            }
        },
    }


def _problem_example(status: int, code: str, words: str) -> dict[str, Any]:
    errors = []
    if code == RequestInvalid.code:
        errors = [{"pointer": "/amount_minor", "detail": "Input should be a valid integer"}]
    return {
        "type": "about:blank",
        "title": TITLES.get(status, OTHERWISE),
        "status": status,
        "detail": words,
        "code": code,
        "errors": errors,
    }


_REQUEST_ID_HEADER = {
    "description": "The number of this request: the caller's own, or a new one. Name it when you ask us.",
    "schema": {"type": "string"},
}


def _named(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _SCHEMAS.format(model=model.__name__)}
