"""Every example in the API's document is a request that works, with the answer that it really gets.

The examples are one story, told in the order of their file. Numbers and other
names that each run makes anew stand in the file as they were once made.
With GOLDEN=write in the environment the answers are written anew, to be read before a commit.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from app import create_app
from passes.loyalty import codes
from passes.mail import Letter, Outcome
from passes.web.api import EVERYTHING, openapi
from passes.web.api.openapi import EXAMPLES
from passes.wiring import Installation
from tests.shop import Shop
from tests.web.seeded import seed
from tests.web.test_api import Register, register
from tests.web.test_api_document import operations

CARD = "2FTX-9KQD-VM34-CHWR"
# What no two runs make alike: numbers, codes, cursors, addresses that hold a secret.
MADE = re.compile(r"(\w+_)?id|undoes|undone_by|code|next|handle|\w+_url")


@dataclass
class Story:
    """What stands in the file for what this run made, and the other way round."""

    real: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)

    def learn(self, told: Any, real: Any, name: str = "") -> None:
        """Compare an answer of the file with one of this run."""
        if isinstance(told, dict) and isinstance(real, dict):
            for key in told.keys() & real.keys():
                self.learn(told[key], real[key], key)
        elif isinstance(told, list) and isinstance(real, list):
            for one, other in zip(told, real, strict=False):
                self.learn(one, other)
        elif isinstance(told, str) and isinstance(real, str) and MADE.fullmatch(name):
            self.real.setdefault(told, real)
            self.told.setdefault(real, told)

    def retell(self, real: Any, name: str = "") -> Any:
        """An answer of this run as the file would have it."""
        if isinstance(real, dict):
            return {key: self.retell(value, key) for key, value in real.items()}
        if isinstance(real, list):
            return [self.retell(one) for one in real]
        return self.told.get(real, real) if isinstance(real, str) and MADE.fullmatch(name) else real

    def mean(self, told: Any) -> Any:
        """A request of the file as this run has to send it."""
        if isinstance(told, dict):
            return {key: self.mean(value) for key, value in told.items()}
        if isinstance(told, list):
            return [self.mean(one) for one in told]
        return self.real.get(told, told) if isinstance(told, str) else told


@dataclass
class LetterBox:
    """A shop that sends letters; its worker, who would, is not part of the story."""

    taken: int = 0

    def deliver(self, letters: Sequence[Letter]) -> Iterator[tuple[int, Outcome]]:
        self.taken += len(letters)
        yield from ()

    def check(self) -> str | None:
        return None


def send(program: Register, example: Mapping[str, Any], story: Story) -> Any:
    """Ask as the example says. The answer."""
    (operation,) = (one for one in EVERYTHING if one.name == example["operation"])
    path = operation.rule
    for name, value in story.mean(example.get("path", {})).items():
        path = path.replace(f"<{name}>", value)
    query = "&".join(f"{name}={value}" for name, value in story.mean(example.get("query", {})).items())
    if operation.body is None:
        answer = program.get(f"{path}?{query}" if query else path)
    else:
        answer = program.post(path, story.mean(example["body"]), key=example.get("key", "unused"))
    assert answer.status_code == operation.status, (operation.name, answer.get_data(as_text=True))
    operation.answer.model_validate_json(answer.get_data(), extra="forbid")
    return answer.json


@pytest.mark.check("W-96")
def test_every_example_works_and_gets_its_answer(installation: Installation, house: Shop) -> None:
    letters = LetterBox()
    app = create_app(replace(installation, public_url="https://cards.example.com", post=letters))
    ana = seed(house)
    program = register(app, house)
    shown = codes.grouped(ana.code)
    story = Story({CARD: shown}, {shown: CARD})
    examples = json.loads(EXAMPLES.read_text("utf-8"))
    for example in examples:
        house.now += timedelta(seconds=20)
        answer = send(program, example, story)
        story.learn(example.get("answer", {}), answer)
        told = story.retell(answer)
        if os.environ.get("GOLDEN") == "write":
            example["answer"] = told
        else:
            assert told == example["answer"], example["operation"]
    assert letters.taken == 0, "letters are the worker's"
    if os.environ.get("GOLDEN") == "write":
        EXAMPLES.write_text(json.dumps(examples, indent=1, ensure_ascii=False) + "\n", "utf-8")


def test_every_operation_has_an_example() -> None:
    document = openapi.document(EVERYTHING, root="", server="")
    assert set(openapi.examples()) == {one.name for one in EVERYTHING}
    for path, _, said in operations(document):
        (content,) = [
            answer["content"]["application/json"]
            for status, answer in said["responses"].items()
            if status.startswith("2")
        ]
        assert "example" in content, path
        if "requestBody" in said:
            assert "example" in said["requestBody"]["content"]["application/json"], path
        assert all("example" in one for one in said["parameters"] if one["required"]), path
