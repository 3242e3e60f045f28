"""The shapes of loyalty classes and objects: which names exist, and what each may hold.

`google_schema.json` is the structure, without its prose, of the walletobjects:v1
discovery document, revision 20260806. An enum is an object of its values, each
with its old spellings.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

Shape = str | list[Any] | dict[str, list[str]]
SCHEMAS = cast(
    dict[str, dict[str, Shape]],
    json.loads((Path(__file__).parent / "google_schema.json").read_text(encoding="utf-8")),
)

_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)
_WHOLE = re.compile(r"-?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with a request; `where` is the field's path, empty for the whole."""

    where: str
    words: str


@dataclass(eq=False)
class ApiError(Exception):
    """A refusal as the API words it: HTTP status, Google's code and reason, and what is wrong where."""

    status: int
    code: str
    reason: str
    message: str
    violations: tuple[Violation, ...] = ()
    retry_after_seconds: int | None = None

    def __str__(self) -> str:
        return self.message

    def as_json(self) -> dict[str, Any]:
        """The body of the answer."""
        error: dict[str, Any] = {
            "code": self.status,
            "message": self.message,
            "errors": [{"message": self.message, "domain": "global", "reason": self.reason}],
            "status": self.code,
        }
        if self.violations:
            error["details"] = [
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [
                        {"field": one.where, "description": one.words}
                        if one.where
                        else {"description": one.words}
                        for one in self.violations
                    ],
                }
            ]
        return {"error": error}


def invalid(*violations: Violation) -> ApiError:
    """400, with every violation in the message."""
    words = "\n".join(one.words for one in violations)
    return ApiError(400, "INVALID_ARGUMENT", "invalid", words, violations)


@dataclass(slots=True)
class _Reading:
    keep_null: bool
    violations: list[Violation] = field(default_factory=list)


def read(schema: str, given: object, *, keep_null: bool = False) -> dict[str, Any]:
    """A request as it will be stored: known names only, enums in upper case, int64 as strings.

    null means absent, and is dropped; with `keep_null` (PATCH) it stays as the
    wish to remove. Raises ApiError 400 that lists everything unknown or of a wrong type.
    """
    reading = _Reading(keep_null)
    if not isinstance(given, dict):
        raise invalid(Violation("", "Invalid JSON payload received. Expected an object."))
    found = _object(reading, schema, given, "")
    if reading.violations:
        raise invalid(*reading.violations)
    return found


def merge(stored: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """PATCH: objects merge name by name, arrays are replaced as a whole, null removes."""
    merged = dict(stored)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = merge(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def old_spelling(schema: str, stored: dict[str, Any]) -> dict[str, Any]:
    """The same with every enum in its oldest spelling (`active`, `qrCode`), as answers may carry it."""
    spelled = {}
    for name, value in stored.items():
        spelled[name] = _spell(SCHEMAS[schema].get(name, "string"), value)
    return spelled


def parts(schema: str, value: dict[str, Any], where: str = "") -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every object inside a value, itself first: (schema, object, path)."""
    yield schema, value, where
    for name, inner in value.items():
        shape, path = SCHEMAS[schema][name], f"{where}.{name}" if where else name
        items = [(path, inner)]
        if isinstance(shape, list):
            shape, items = shape[0], [(f"{path}[{place}]", one) for place, one in enumerate(inner)]
        if isinstance(shape, str) and shape.startswith("#"):
            for at, one in items:
                yield from parts(shape[1:], one, at)


def _spell(shape: Shape, value: Any) -> Any:
    if isinstance(shape, list):
        return [_spell(shape[0], one) for one in value]
    if isinstance(shape, dict):
        return (shape.get(value) or [value])[0]
    return old_spelling(shape[1:], value) if shape.startswith("#") else value


def _object(reading: _Reading, schema: str, given: dict[str, Any], where: str) -> dict[str, Any]:
    found = {}
    for name, value in given.items():
        shape = SCHEMAS[schema].get(name)
        if shape is None:
            at = f" at '{where}'" if where else ""
            words = f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
            reading.violations.append(Violation(where, words))
        elif value is not None:
            found[name] = _value(reading, shape, value, f"{where}.{name}" if where else name)
        elif reading.keep_null:
            found[name] = None
    return found


def _value(reading: _Reading, shape: Shape, given: Any, where: str) -> Any:
    if isinstance(shape, list):
        if isinstance(given, list):
            # null is an absence, and nothing in a list can be absent.
            inside = _Reading(False, reading.violations)
            return [_value(inside, shape[0], one, f"{where}[{place}]") for place, one in enumerate(given)]
    elif isinstance(shape, dict):
        if (found := _enum(shape, given)) is not None:
            return found
    elif shape.startswith("#"):
        if isinstance(given, dict):
            return _object(reading, shape[1:], given, where)
    elif (found := _scalar(shape, given)) is not None:
        return found
    words = f"Invalid value at '{where}' ({_name_of(shape)}), {json.dumps(given, ensure_ascii=False)[:200]}"
    reading.violations.append(Violation(where, words))
    return given


def _enum(shape: dict[str, list[str]], given: Any) -> str | None:
    return next((value for value, old in shape.items() if given == value or given in old), None)


def _scalar(shape: str, given: Any) -> Any:
    """The value as stored; None if it is not of that type."""
    if shape == "boolean":
        return given if isinstance(given, bool) else None
    if shape == "string":
        return given if isinstance(given, str) else None
    if isinstance(given, bool):
        return None
    if shape == "double":
        return given if isinstance(given, int | float) and math.isfinite(given) else None
    number = int(given) if isinstance(given, str) and _WHOLE.fullmatch(given) else given
    if not isinstance(number, int):
        return None
    if shape == "int32":
        return number if number in _INT32 else None
    return str(number) if number in _INT64 else None


def _name_of(shape: Shape) -> str:
    if isinstance(shape, list):
        return f"list of {_name_of(shape[0])}"
    if isinstance(shape, dict):
        return "enum"
    return shape[1:] if shape.startswith("#") else f"TYPE_{shape.upper()}"
