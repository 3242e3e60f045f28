"""The OpenAPI document: what it must be by its own standard, and that it says what is served."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from passes.api_keys import Scope
from passes.web.api import EVERYTHING, ROOT, openapi
from passes.web.errors import STATUS

Document = dict[str, Any]
PARTS = {"openapi", "info", "servers", "security", "tags", "paths", "components"}
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document() -> Document:
    """As served, but for the address."""
    said: Document = json.loads(
        json.dumps(openapi.document(EVERYTHING, root=ROOT, server="http://127.0.0.1:8000"))
    )
    return said


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Path, method and description of every operation."""
    for path, item in document["paths"].items():
        for method, said in item.items():
            yield path, method, said


def every_object(part: Any) -> Iterator[Document]:
    """All objects in a document, however deep."""
    if isinstance(part, dict):
        yield part
        for below in part.values():
            yield from every_object(below)
    elif isinstance(part, list):
        for below in part:
            yield from every_object(below)


@pytest.mark.check("W-96")
def test_the_document_says_what_is_served(app: Flask) -> None:
    answer = app.test_client().get(f"{ROOT}/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.json is not None
    said = {(method.upper(), re.sub(r"[{}]", "", path)) for path, method, _ in operations(answer.json)}
    routes = {
        (method, re.sub(r"[<>]", "", rule.rule.removeprefix(ROOT)))
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api.") and rule.endpoint not in ("api.document", "api.nothing")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert said == routes


@pytest.mark.check("W-96")
def test_the_document_is_built_as_openapi_3_1_wants_it(document: Document) -> None:
    assert document["openapi"] == "3.1.0"
    assert set(document) == PARTS
    assert {"title", "version"} <= set(document["info"])
    assert set(document["components"]) == {"securitySchemes", "schemas"}
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) for name in document["components"]["schemas"])
    tags = {tag["name"] for tag in document["tags"]}
    names = []
    for path, method, said in operations(document):
        names.append(said["operationId"])
        assert path.startswith("/")
        assert method in METHODS
        assert set(said["tags"]) <= tags
        assert said["summary"].endswith(".")
        assert ("requestBody" in said) <= (method in ("post", "put", "patch"))
        given = [(one["in"], one["name"]) for one in said["parameters"]]
        assert len(given) == len(set(given))
        assert {name for place, name in given if place == "path"} == set(re.findall(r"{(\w+)}", path))
        for one in said["parameters"]:
            assert {"name", "in", "required", "schema"} <= set(one)
            assert one["required"] or one["in"] != "path"
            assert one["description"], one
        for status, answer in said["responses"].items():
            assert re.fullmatch(r"[1-5][0-9]{2}", status)
            assert answer["description"]
            assert all("schema" in content for content in answer["content"].values())
        (security,) = said["security"]
        assert set(security) <= set(document["components"]["securitySchemes"])
        assert set(security["key"]) <= set(Scope)
    assert len(names) == len(set(names))
    assert tags == {tag for _, _, said in operations(document) for tag in said["tags"]}
    for one in every_object(document):
        reference = one.get("$ref")
        if reference is not None:
            kind, _, name = reference.rpartition("/")
            assert kind == "#/components/schemas"
            assert name in document["components"]["schemas"]


def test_every_problem_has_its_code_status_and_example(document: Document) -> None:
    for path, method, said in operations(document):
        refused = {status: one for status, one in said["responses"].items() if status[0] in "45"}
        assert {"401", "403", "429", "500", "503"} <= set(refused), (path, method)
        for status, answer in refused.items():
            (content,) = answer["content"].values()
            assert set(answer["content"]) == {"application/problem+json"}
            codes = content["schema"]["allOf"][1]["properties"]["code"]["enum"]
            assert codes == list(content["examples"])
            for code, example in content["examples"].items():
                value = example["value"]
                assert (value["code"], str(value["status"])) == (code, status)
                assert code.startswith("http_") or code == "internal" or str(STATUS[code]) == status
                assert "%(" not in value["detail"]
