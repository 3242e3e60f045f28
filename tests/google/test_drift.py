"""Whether Google still describes what we send as we do, and a report when it does not."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from passes.google import schema
from tests.google.drift import drift, facts_of, kept_facts


def described() -> dict[str, Any]:
    """A discovery document that says what the kept facts say."""
    schemas: dict[str, Any] = {}
    for type_name, fields in kept_facts().items():
        properties: dict[str, Any] = {}
        for name, fact in fields.items():
            kind = fact["type"]
            said: dict[str, Any] = {"$ref": kind} if kind in kept_facts() else {"type": kind}
            if kind in ("int32", "int64", "double"):
                said = {"type": "string" if kind == "int64" else "number", "format": kind}
            if "enum" in fact:
                said |= {
                    "enum": [*fact["enum"], "old"],
                    "enumDeprecated": [False] * len(fact["enum"]) + [True],
                }
            if fact.get("list"):
                said = {"type": "array", "items": said}
            if fact.get("deprecated"):
                said["deprecated"] = True
            properties[name] = said
        schemas[type_name] = {"properties": properties}
    return {"revision": "20260806", "schemas": schemas}


@pytest.mark.check("G-08")
def test_everything_that_is_sent_is_as_google_describes_it() -> None:
    assert drift(kept_facts()) == []
    assert drift(facts_of(described())) == []


@pytest.mark.check("G-08")
@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            ("LoyaltyObject", "accountName", None),
            "LoyaltyObject.accountName: Google has no such field any more",
        ),
        (
            ("LoyaltyPointsBalance", "int", {"type": "int64"}),
            "LoyaltyPointsBalance.int: a int32 for us, a int64 for Google",
        ),
        (
            ("LoyaltyClass", "messages", {"type": "Message"}),
            "LoyaltyClass.messages: a list of Message for us, a Message for Google",
        ),
        (
            ("LoyaltyObject", "state", {"type": "string", "enum": ["ACTIVE", "EXPIRED", "INACTIVE"]}),
            "LoyaltyObject.state: Google knows no COMPLETED",
        ),
        (
            ("Barcode", "value", {"type": "string", "deprecated": True}),
            "Barcode.value: Google asks not to use it any more",
        ),
    ],
)
def test_what_google_changes_is_reported(change: tuple[str, str, Any], line: str) -> None:
    facts: Any = copy.deepcopy(kept_facts())
    type_name, name, fact = change
    if fact is None:
        del facts[type_name][name]
    else:
        facts[type_name][name] = fact
    assert drift(facts) == [line]


def test_a_type_that_is_gone_is_reported() -> None:
    facts: Any = copy.deepcopy(kept_facts())
    del facts["Message"]
    assert drift(facts) == ["Message: Google has no such type any more"]
    assert set(facts) < set(schema.TYPES)


def test_a_published_description_is_compared_by_a_command(tmp_path: Path) -> None:
    file = tmp_path / "walletobjects.v1.json"
    document = described()
    for status, words in ((0, "Nothing that we send has changed"), (1, "Uri.uri: Google has no such field")):
        file.write_text(json.dumps(document))
        done = subprocess.run(
            [sys.executable, "-m", "tests.google.drift", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, words in done.stdout) == (status, True), done
        document["schemas"]["Uri"]["properties"].pop("uri", None)
