"""The OpenAPI 3.1 document, made from the operations that are served."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from passes.web.api import wire
from passes.web.api.operations import PROBLEMS, Operation
from passes.web.errors import STATUS

VERSION = "1.0.0"
_SCHEMAS = "#/components/schemas/{model}"
_PART = re.compile(r"<(\w+)>")
_ALWAYS = (401, 403, 500, 503)


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
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of the shop: `passes api-key add`.",
                }
            },
            "schemas": definitions["$defs"],
        },
    }


def _mode(model: type[BaseModel]) -> Any:
    return "validation" if issubclass(model, wire.Asked) else "serialization"


def _operation(one: Operation) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "description": f"Needs the scope `{one.scope}`.",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PART.findall(one.rule)
        ],
        "responses": {
            str(one.status): {
                "description": one.summary,
                "content": {"application/json": {"schema": _named(one.answer)}},
            },
            **{str(status): _PROBLEM for status in sorted({*_ALWAYS, *STATUS.values()})},
            "400": _PROBLEM,
        },
    }
    if one.is_write:
        said["parameters"].append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": "Names this request: sent again with the same body it gets the same answer.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"},
            }
        )
    if one.body is not None:
        said["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _named(one.body)}},
        }
    return said


def _named(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _SCHEMAS.format(model=model.__name__)}


_PROBLEM = {
    "description": "Why not.",
    "content": {PROBLEMS: {"schema": {"$ref": _SCHEMAS.format(model="Problem")}}},
}
