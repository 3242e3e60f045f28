"""Break the product on purpose, one mistake at a time, and see that a test turns red.

    python -m tests.mutate [CHECK…]

tests/mutations.toml holds a mistake for every check that docs/checks marks
with [!] and a test proves. Each is made in a copy of the working tree, where
only the tests that carry the check's number run. A mistake that none of them
notices means that the check is not proven, whatever `make conformance` says.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance import read_checks

ROOT = Path(__file__).parents[1]
MUTATIONS = Path("tests", "mutations.toml")
RUN_SECONDS_MAX = 300
CONTROL_SECONDS_MAX = 1800  # of all tests of the mistakes together

# Not tracked, slow to make, and only read.
_SHARED = (Path("tests", "witness", "node_modules"), Path("tests", "build"))


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mistake: in `file`, `old` (which occurs once) becomes `new`. `why` says who would make it."""

    why: str
    file: str
    old: str
    new: str


def read_mutations(root: Path) -> dict[str, Mutation]:
    """The mistakes by number of the check."""
    tables = tomllib.loads((root / MUTATIONS).read_text(encoding="utf-8"))
    return {number: Mutation(**table) for number, table in tables.items()}


def marked_tests(root: Path) -> dict[str, list[str]]:
    """The test functions that carry each number, as pytest names them."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        if any(root / shared in path.parents for shared in _SHARED):
            continue
        for function in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(function, ast.FunctionDef):
                continue
            for mark in function.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.check":
                    for number in mark.args:
                        name = f"{path.relative_to(root).as_posix()}::{function.name}"
                        found.setdefault(ast.literal_eval(number), []).append(name)
    return found


def proven_pitfalls(root: Path) -> list[str]:
    """The numbers of the checks that are marked with [!] and have a test."""
    marked = marked_tests(root)
    lists = read_checks(root / "docs" / "checks").values()
    return [
        check.number
        for checks in lists
        for check in checks
        if check.words.startswith("[!]") and check.number in marked
    ]


def copy_tree(root: Path, copy: Path) -> None:
    """Copy every file that git knows or would add, as it is now. What is shared is linked."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            # With its time, by which Python knows whether its own copy is out of date.
            shutil.copy2(root / name, copy / name)
    for shared in _SHARED:
        if (root / shared).is_dir():
            (copy / shared).symlink_to(root / shared)


def survives(copy: Path, mutation: Mutation, tests: Sequence[str]) -> str | None:
    """What happened instead of a failing test; None if the mistake was noticed.

    The copy is afterwards what it was before.
    """
    if not tests:
        return "no test carries its number"
    file = copy / mutation.file
    right, times = file.read_text(encoding="utf-8"), file.stat()
    if (count := right.count(mutation.old)) != 1:
        return f"its text occurs {count} times in {mutation.file}"
    file.write_text(right.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        # What Python compiled in the control run stays valid for every other file.
        status, output = _pytest(copy, tests, PYTHONDONTWRITEBYTECODE="1")
    finally:
        file.write_text(right, encoding="utf-8")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    if status == 0:
        return "its tests pass"
    # A mistake that keeps tests from starting was not noticed by any of them.
    if status != 1 or not re.search(r"^FAILED ", output, re.MULTILINE):
        return f"its tests did not fail but broke off\n{output}"
    return None


def _pytest(
    copy: Path, tests: Sequence[str], *, seconds_max: float = RUN_SECONDS_MAX, **environment: str
) -> tuple[int, str]:
    """The exit status and the output of these tests, up to the first failure."""
    try:
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
            cwd=copy,
            # A mutation may keep size and second of its file, and Python would run the old bytecode.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=seconds_max,
        )
    except subprocess.TimeoutExpired:
        return -1, f"no end within {seconds_max} s"
    return run.returncode, run.stdout


def run(root: Path, numbers: Sequence[str]) -> int:
    """Try the mistakes of these checks, or of all; print a line for each. 1 if any went unnoticed."""
    mutations = read_mutations(root)
    if strangers := [number for number in numbers if number not in mutations]:
        print(f"{MUTATIONS} has no {', '.join(strangers)}")
        return 1
    missing = [] if numbers else [number for number in proven_pitfalls(root) if number not in mutations]
    chosen = {number: mutations[number] for number in numbers or mutations}
    marked = marked_tests(root)
    green = 0
    with tempfile.TemporaryDirectory(prefix="passes-mutate-") as folder:
        copy = Path(folder)
        copy_tree(root, copy)
        tests = sorted({test for number in chosen for test in marked.get(number, ())})
        # Without names pytest would run everything.
        status, output = _pytest(copy, tests, seconds_max=CONTROL_SECONDS_MAX) if tests else (0, "")
        if status:
            print(f"{output}\nThese tests must pass before a mistake can turn them red.")
            return 1
        for number, mutation in chosen.items():
            instead = survives(copy, mutation, marked.get(number, ()))
            if instead is None:
                print(f"{number} red: {mutation.why}", flush=True)
            else:
                green += 1
                print(f"{number} GREEN: {mutation.why} ({instead})", flush=True)
    for number in missing:
        print(f"{number} is proven but has no mutation in {MUTATIONS}")
    print(f"{len(chosen) - green} red, {green} green")
    return 1 if green or missing else 0


if __name__ == "__main__":
    sys.exit(run(ROOT, sys.argv[1:]))
