"""The API's reference page says all that the served document says, and its commands work."""

from __future__ import annotations

import gzip
import html
import json
import re
import shlex
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask

from passes.web.api import EVERYTHING, ROOT, openapi
from tests.web.visitor import Visitor

GZIP_MAX = 60_000


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    said = app.test_client().get(f"{ROOT}/openapi.json").json
    assert isinstance(said, dict)
    return said


@pytest.mark.check("W-94")
def test_the_page_shows_every_operation_parameter_answer_and_example(
    ana: Visitor, document: dict[str, Any]
) -> None:
    page = ana.get("/api/")
    assert page.status == 200
    anchors = {given["id"] for _, given in page.elements if "id" in given}
    links = {given["href"][1:] for _, given in page.elements if given.get("href", "").startswith("#")}
    assert links <= anchors
    names = {one["operationId"] for item in document["paths"].values() for one in item.values()}
    assert names <= links
    assert {"Problem", "ReceiptAnswer", "LineAsked"} <= anchors
    articles = re.findall(r'<article class="panel operation" id="(\w+)".*?</article>', page.html, re.DOTALL)
    assert set(articles) == names
    whole = {
        name: html.unescape(part)
        for name, part in re.findall(
            r'<article class="panel operation" id="(\w+)"(.*?)</article>', page.html, re.DOTALL
        )
    }
    for path, item in document["paths"].items():
        for method, said in item.items():
            shown = whole[said["operationId"]]
            assert said["summary"] in shown
            assert f">{method.upper()}</span> <code>{path}</code>" in shown
            for parameter in said["parameters"]:
                assert f"<code>{parameter['name']}</code>" in shown
            body = said.get("requestBody", {}).get("content", {}).get("application/json")
            if body:
                schema = document["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
                for field in schema["properties"]:
                    assert f"<code>{field}</code>" in shown
            for status, answer in said["responses"].items():
                assert status in shown
                for content in answer["content"].values():
                    for code in content.get("examples", {}):
                        assert f"<code>{code}</code>" in shown
                    if "example" in content:
                        for key in content["example"]:
                            assert f'"{key}":' in shown


@pytest.mark.check("W-94")
def test_each_command_asks_what_its_example_asks(ana: Visitor) -> None:
    commands = dict(
        re.findall(
            r'<article class="panel operation" id="(\w+)".*?<code>(curl .*?)</code>',
            ana.get("/api/").html,
            re.DOTALL,
        )
    )
    for operation in EVERYTHING:
        example = openapi.examples()[operation.name]
        _, address, *options = shlex.split(html.unescape(commands[operation.name]).replace("\\\n", ""))
        given = list(zip(options[::2], options[1::2], strict=True))
        headers = dict(value.split(": ", 1) for option, value in given if option == "-H")
        assert headers.pop("Authorization") == "Bearer $PASSES_KEY"
        path = operation.rule
        for name, value in example.get("path", {}).items():
            path = path.replace(f"<{name}>", value)
        asked = urlsplit(address)
        assert asked.path == ROOT + path
        assert dict(parse_qsl(asked.query)) == {
            name: str(value) for name, value in example.get("query", {}).items()
        }
        bodies = [json.loads(value) for option, value in given if option == "-d"]
        assert bodies == ([example["body"]] if operation.body else [])
        wanted = {"Idempotency-Key": example["key"]} if operation.is_write else {}
        assert headers == {**wanted, **({"Content-Type": "application/json"} if operation.body else {})}


def test_the_page_is_small_and_may_be_kept_by_nobody(app: Flask) -> None:
    answer = app.test_client().get("/api/", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.get_data()) <= GZIP_MAX
    assert "bookPurchase" in gzip.decompress(answer.get_data()).decode()


def test_the_page_speaks_turkish_around_what_the_document_says(ana: Visitor) -> None:
    page = ana.get("/api/?lang=tr")
    assert "Kasalar için API" in page.text
    assert "Nasıl sorulur" in page.text
