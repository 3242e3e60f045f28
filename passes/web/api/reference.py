"""The reference of the API as a page, drawn from the very document that is served.

Public, without script, in one piece: what is looked for is found by the
browser's own search too. `reference.js` narrows the list and copies commands.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, render_template

from passes.web.api import EVERYTHING, ROOT, openapi, pace
from passes.web.compression import compressed
from passes.web.here import installation

blueprint = Blueprint("reference", __name__, url_prefix="/api")

SECRET = "$PASSES_KEY"
"""Stands in every command for the caller's own key."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value is: in words, or one of the document's objects, by name, or a list of them."""

    words: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One value of an object, or one parameter; `place` is path, query or header."""

    name: str
    kind: Kind
    required: bool
    words: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """An object of the document."""

    name: str
    words: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that can go wrong."""

    status: str
    code: str
    words: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An operation as the page shows it."""

    name: str
    method: str
    path: str
    summary: str
    scope: str
    parameters: tuple[Field, ...]
    body: Model | None
    status: str
    answer: str
    example: str
    problems: tuple[Problem, ...]
    command: str


@dataclass(frozen=True, slots=True)
class Group:
    """Operations about one subject."""

    name: str
    words: str
    operations: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """The whole page. `models` are the objects that others are made of."""

    server: str
    groups: tuple[Group, ...]
    models: tuple[Model, ...]


@blueprint.get("/")
def page() -> Response:
    """Every operation with what it takes, answers and refuses."""
    shown = _reference(installation().public_url)
    html = render_template(
        "api/reference.html", reference=shown, theme=None, rate=pace.REQUESTS_A_SECOND, burst=pace.BURST
    )
    return compressed(Response(html))


@lru_cache(maxsize=2)
def _reference(server: str) -> Reference:
    document = openapi.document(EVERYTHING, root=ROOT, server=server)
    return reference(document)


def reference(document: Mapping[str, Any]) -> Reference:
    """What the page shows of an OpenAPI document of ours."""
    schemas = document["components"]["schemas"]
    server = document["servers"][0]["url"]
    every = [
        (said["tags"][0], _operation(server, path, method, said, schemas))
        for path, item in document["paths"].items()
        for method, said in item.items()
    ]
    bodies = {shown.body.name for _, shown in every if shown.body}
    return Reference(
        server=server,
        groups=tuple(
            Group(
                tag["name"],
                tag["description"],
                tuple(shown for name, shown in every if name == tag["name"]),
            )
            for tag in document["tags"]
        ),
        models=tuple(_model(name, schemas[name]) for name in schemas if name not in bodies),
    )


def _operation(
    server: str, path: str, method: str, said: Mapping[str, Any], schemas: Mapping[str, Any]
) -> Shown:
    (status, answer), *_ = ((status, one) for status, one in said["responses"].items() if status[0] == "2")
    content = answer["content"]["application/json"]
    body = said.get("requestBody", {}).get("content", {}).get("application/json")
    model = _name_of(body["schema"]) if body else None
    return Shown(
        name=said["operationId"],
        method=method.upper(),
        path=path,
        summary=said["summary"],
        scope=said["security"][0]["key"][0],
        parameters=tuple(
            Field(one["name"], _kind(one["schema"]), one["required"], one["description"], one["in"])
            for one in said["parameters"]
        ),
        body=_model(model, schemas[model]) if model else None,
        status=status,
        answer=_name_of(content["schema"]),
        example=_pretty(content["example"]) if "example" in content else "",
        problems=tuple(_problems(said["responses"])),
        command=_command(server, path, method, said),
    )


def _model(name: str, schema: Mapping[str, Any]) -> Model:
    required = schema.get("required", ())
    fields = [
        Field(key, _kind(about), key in required, about.get("description", ""))
        for key, about in schema.get("properties", {}).items()
    ]
    # What is needed comes first; each part keeps its order.
    return Model(name, schema.get("description", ""), tuple(sorted(fields, key=lambda one: not one.required)))


def _problems(responses: Mapping[str, Any]) -> Iterator[Problem]:
    for status, answer in responses.items():
        for content in answer["content"].values():
            for code, example in content.get("examples", {}).items():
                yield Problem(status, code, example["value"]["detail"])


# What a value is, in words ------------------------------------------------------------


def _kind(schema: Mapping[str, Any]) -> Kind:
    if "$ref" in schema:
        name = _name_of(schema)
        return Kind(name, name)
    if "anyOf" in schema:
        kinds = [_kind(one) for one in schema["anyOf"]]
        model = next((one.model for one in kinds if one.model), None)
        return Kind(" or ".join(one.words for one in kinds), model)
    if "enum" in schema or "const" in schema:
        return Kind(" | ".join(map(str, schema.get("enum", [schema.get("const")]))))
    kind = schema.get("type")
    if kind == "array":
        inner = _kind(schema["items"])
        return Kind(f"list of {inner.words}" + _bounds(schema, "Items"), inner.model)
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return Kind(f"object of {_kind(schema['additionalProperties']).words}")
    if kind == "string" and schema.get("format") == "date-time":
        return Kind("instant (RFC 3339)")
    if kind == "string":
        return Kind("text" + _bounds(schema, "Length") + _pattern(schema))
    return Kind(f"{kind or 'anything'}{_range(schema)}" + _default(schema))


def _bounds(schema: Mapping[str, Any], what: str) -> str:
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    if most is None:
        return ""
    return f", {least}–{most}" if least else f", at most {most}"


def _pattern(schema: Mapping[str, Any]) -> str:
    return f" matching {schema['pattern']}" if "pattern" in schema else ""


def _range(schema: Mapping[str, Any]) -> str:
    least = schema.get("minimum")
    most = schema.get("maximum", schema.get("exclusiveMaximum", 2**53))
    words = f" ≥ {least}" if least is not None else ""
    # Above that, many languages' numbers are not exact: a limit of theirs and not of the subject.
    return words + (f", ≤ {most - ('exclusiveMaximum' in schema)}" if most < 2**53 else "")


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    return "" if default in (None, []) else f", else {json.dumps(default)}"


def _name_of(schema: Mapping[str, Any]) -> str:
    name: str = schema["$ref"].rpartition("/")[2]
    return name


# Commands -----------------------------------------------------------------------------


def _command(server: str, path: str, method: str, said: Mapping[str, Any]) -> str:
    """The example as a command for a shell."""
    query, headers = {}, {"Authorization": f"Bearer {SECRET}"}
    for one in said["parameters"]:
        if "example" not in one:
            continue
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", str(one["example"]))
        elif one["in"] == "query":
            query[one["name"]] = one["example"]
        else:
            headers[one["name"]] = one["example"]
    body = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    if body is not None:
        headers["Content-Type"] = "application/json"
    address = f"{server}{path}" + (f"?{urlencode(query)}" if query else "")
    parts = [f"curl {shlex.quote(address)}"]
    # In double quotes, so that the shell fills in the key; nothing else in a header needs quoting.
    parts += [f'-H "{name}: {value}"' for name, value in headers.items()]
    if method == "post" and body is None:
        parts.append("-X POST")
    if body is not None:
        parts.append(f"-d {shlex.quote(_pretty(body))}")
    return " \\\n  ".join(parts)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
