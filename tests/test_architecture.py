"""Facts that could drift: who may read the clock, the environment and the settings, and what lies at the top.

The arrows between modules are import-linter's (pyproject.toml). Here is what
it cannot say: calls, parts of packages, and names of files.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "passes"

# What stands at the top of the repository, beside files whose names begin with a dot.
TOP = {
    *("app.py", "passes", "templates", "static", "certs", "tests", "pyproject.toml"),
    *("README.md", "Makefile", "docs", "changes", "benchmarks", "LICENSE"),
    *("requirements.txt", "requirements-dev.txt"),
}
TOP_DOTTED = {".ci", ".gitignore"}

# Rules, use cases and the store are told the time; so is everything else that is not an edge.
CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
EDGES = {"__main__", "cli", "clock", "emulators", "supervisor", "web", "wiring"}
# The names that open a write transaction, on whatever a page may call its store.
WRITE_DOORS = {"write"}

SOURCES = sorted(path for path in PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    """The first name below `passes`: `store` for passes/store/cards.py."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def dotted(node: ast.expr) -> str:
    """`a.b.c` as written; empty for anything but names."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imports_of(tree: ast.Module) -> Iterator[str]:
    """Everything a module imports, also inside functions; `from a import b` is `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def clock_reads(tree: ast.Module) -> list[str]:
    """Calls that read the wall clock, under any of the usual spellings."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            if any(name == clock or name.endswith(f".{clock}") for clock in CLOCKS):
                found.append(f"line {node.lineno}: {name}()")
    found += [f"imports {name}" for name in imports_of(tree) if name in {"time.time", "time.time_ns"}]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_time_is_an_argument(path: Path) -> None:
    if module_of(path) not in EDGES:
        assert clock_reads(tree_of(path)) == []


def test_the_test_of_clocks_sees_every_spelling() -> None:
    source = (
        "import datetime as d, time\nfrom time import time as t\nfrom datetime import datetime, date\n"
        "datetime.now(tz)\nd.datetime.utcnow()\ndate.today()\ntime.time()\ntime.monotonic()\n"
    )
    assert len(clock_reads(ast.parse(source))) == 5


def test_pages_read_and_only_use_cases_write() -> None:
    for path in (PACKAGE / "web").rglob("*.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                whose = dotted(node.func.value).split(".")[-1]
                writes = node.func.attr in WRITE_DOORS and "store" in whose
                assert not writes, f"{path.name}:{node.lineno} writes; let a use case do it"


def test_emulators_are_witnesses_and_share_nothing_with_what_they_check() -> None:
    for path in (PACKAGE / "emulators").rglob("*.py"):
        ours = {name for name in imports_of(tree_of(path)) if name.split(".")[0] == "passes"}
        assert all(name.startswith("passes.emulators") for name in ours), path.name


def test_nobody_outside_imports_an_emulator_but_the_commands() -> None:
    for path in SOURCES:
        if module_of(path) not in {"cli", "demo", "doctor", "emulators"}:
            names = set(imports_of(tree_of(path)))
            assert not any(name.startswith("passes.emulators") for name in names), path.name


def test_only_wiring_and_the_commands_know_the_settings() -> None:
    for path in SOURCES:
        if module_of(path) not in {"__main__", "cli", "demo", "doctor", "settings", "wiring", "worker"}:
            names = set(imports_of(tree_of(path)))
            assert not any(name.startswith("passes.settings") for name in names), path.name


def test_only_settings_know_the_names_of_variables() -> None:
    for path in SOURCES:
        if module_of(path) in {"__main__", "cli", "settings", "wiring"}:
            continue  # the commands hand the environment on, and set a variable for a child
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Subscript | ast.Call):
                target = node.value if isinstance(node, ast.Subscript) else node.func
                read = dotted(target)
                assert not read.endswith(("os.environ", "os.environ.get", "os.getenv")), (
                    f"{path.name}: {read}"
                )


def test_http_clients_live_behind_the_network_doors() -> None:
    doors = {"apple/push.py", "google/client.py", "webhooks/door.py"}
    for path in SOURCES:
        if str(path.relative_to(PACKAGE)) in doors or module_of(path) == "emulators":
            continue
        names = set(imports_of(tree_of(path)))
        assert not any(name.startswith(("http.client", "http.server", "urllib.request")) for name in names), (
            path.name
        )


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a checkout knows which files belong to it")
def test_the_top_level_is_the_one_that_was_agreed() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    top = {line.split("/")[0] for line in listed}
    assert {name for name in top if not name.startswith(".")} <= TOP
    assert {name for name in top if name.startswith(".")} <= TOP_DOTTED
