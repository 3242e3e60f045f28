"""What Google's description of its API says otherwise than ours: a report, one line for each difference.

Our side is `passes.google.schema`, trimmed to what we send. Google's is the
list of facts beside this file, or its machine-readable description as it is
published today, which is compared by hand now and then:

    python -m tests.google.drift walletobjects.v1.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passes.google import schema

Facts = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Type, field, and what is known of it: `type`, `list`, `enum`, `deprecated`."""

KEPT = Path(__file__).parent / "field_facts.json"


def kept_facts() -> Facts:
    """Google's description as of the revision that we were written to."""
    found: Facts = json.loads(KEPT.read_text(encoding="utf-8"))["types"]
    return found


def facts_of(description: Mapping[str, Any]) -> Facts:
    """The same facts from a discovery document."""
    schemas = description["schemas"]
    return {
        name: {field: _fact(said) for field, said in schemas[name].get("properties", {}).items()}
        for name in schema.TYPES
        if name in schemas
    }


def _fact(said: Mapping[str, Any]) -> dict[str, Any]:
    fact: dict[str, Any] = {}
    if said.get("type") == "array":
        fact["list"], said = True, {**said["items"], "deprecated": said.get("deprecated")}
    fact["type"] = said.get("$ref") or (
        said.get("format") if said.get("format") in ("int32", "int64", "double") else said.get("type")
    )
    if "enum" in said:
        old = said.get("enumDeprecated") or [False] * len(said["enum"])
        fact["enum"] = [word for word, gone in zip(said["enum"], old, strict=True) if not gone]
    if said.get("deprecated"):
        fact["deprecated"] = True
    return fact


def drift(facts: Facts) -> list[str]:
    """Where Google says otherwise; empty as long as everything that we send is what it expects."""
    report = []
    for type_name, fields in schema.TYPES.items():
        if type_name not in facts:
            report.append(f"{type_name}: Google has no such type any more")
            continue
        for name, kind in fields.items():
            said = facts[type_name].get(name)
            where = f"{type_name}.{name}"
            if said is None:
                report.append(f"{where}: Google has no such field any more")
                continue
            if said.get("deprecated"):
                report.append(f"{where}: Google asks not to use it any more")
            if isinstance(kind, frozenset):
                if gone := kind - set(said.get("enum", ())):
                    report.append(f"{where}: Google knows no {', '.join(sorted(gone))}")
                continue
            wanted = f"list of {kind[0]}" if isinstance(kind, tuple) else kind
            is_now = f"list of {said['type']}" if said.get("list") else said["type"]
            if wanted != is_now:
                report.append(f"{where}: a {wanted} for us, a {is_now} for Google")
    return report


if __name__ == "__main__":
    published = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    lines = drift(facts_of(published))
    print("\n".join(lines) or f"Nothing that we send has changed as of revision {published.get('revision')}.")
    sys.exit(1 if lines else 0)
