"""Every phrase that the pages say, collected from templates and code."""

from __future__ import annotations

import ast
from pathlib import Path

from jinja2 import Environment
from jinja2.nodes import Call, Const, Name

from passes.web import errors

ROOT = Path(__file__).parent.parent.parent


def of_templates() -> set[str]:
    """What `_()` and `counted()` are given in templates."""
    found: set[str] = set()
    for path in (ROOT / "templates").rglob("*.html"):
        for call in Environment().parse(path.read_text()).find_all(Call):
            if isinstance(call.node, Name) and call.node.name in ("_", "counted"):
                constants = [one.value for one in call.args if isinstance(one, Const)]
                found |= {
                    one for one in constants[: 1 if call.node.name == "_" else 2] if isinstance(one, str)
                }
    return found


def pairs() -> set[tuple[str, str]]:
    """What `counted()` is given in templates: what is said of one, and of any other number."""
    return {
        (call.args[0].value, call.args[1].value)
        for path in (ROOT / "templates").rglob("*.html")
        for call in Environment().parse(path.read_text()).find_all(Call)
        if isinstance(call.node, Name)
        and call.node.name == "counted"
        and isinstance(call.args[0], Const)
        and isinstance(call.args[1], Const)
    }


def of_code() -> set[str]:
    """What `language.words()` is given in the pages' code, and the titles of error pages."""
    found: set[str] = set()
    for path in (ROOT / "passes" / "web").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                first = node.args[0] if node.args else None
                if node.func.attr == "words" and isinstance(first, ast.Constant):
                    found.add(str(first.value))
    found |= {*errors.TITLES.values(), *errors.WORDS.values()}
    return found | {errors.OTHERWISE, errors.BROKEN_TITLE, errors.BROKEN_WORDS}
