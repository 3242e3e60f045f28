"""What `make test` and `make check` run, one stage after the other, and the one line they end with.

    python -m tests.stages test | check

Every stage that is not a test run counts as one; a test run counts its tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_BIN = Path(sys.executable).parent
# One more than there are processors: many tests wait, for a browser, a process or a database.
_WORKERS = str((os.cpu_count() or 1) + 1)
_PYTEST = (str(_BIN / "python"), "-m", "pytest", "-q", "-n", _WORKERS, "--dist", "worksteal")

STATIC = {
    "lint": (str(_BIN / "ruff"), "check", "--quiet", "."),
    "types": (str(_BIN / "mypy"), "--no-error-summary"),
    "arrows": (str(_BIN / "lint-imports"), "--no-logo"),
}
STAGES = {
    "test": STATIC | {"tests": (*_PYTEST, "--durations=5")},
    # One engine is enough to find a mistake quickly; `test` runs both.
    "check": STATIC
    | {"tests": (*_PYTEST, "-m", "not slow and not story and not browser", "-k", "not postgresql")},
}
CHROMIUM = "Browser tests need Chromium: apt-get install --no-install-recommends chromium"


@dataclass(frozen=True, slots=True)
class Count:
    """How many passed and how many failed."""

    passed: int
    failed: int


def count_tests(output: str, status: int) -> Count:
    """What a test run that ended with `status` counts for, from pytest's last line."""
    lines = output.strip().splitlines() or [""]
    numbers = {
        word.removesuffix("s"): int(number)
        for number, word in re.findall(r"(\d+) (passed|failed|errors?)\b", lines[-1])
    }
    failed = numbers.get("failed", 0) + numbers.get("error", 0)
    # A run that was broken off, or found no test, has no failed test to show for it.
    return Count(numbers.get("passed", 0), max(failed, 1) if status else failed)


def run(name: str, command: Sequence[str]) -> Count:
    """Run one stage. A test run is shown as it goes; another stage counts as one, and speaks if it failed."""
    began = time.monotonic()
    is_test_run = tuple(command[: len(_PYTEST)]) == _PYTEST
    shown = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            shown.append(line)
            if is_test_run:
                print(line, end="", flush=True)
    status = process.returncode
    if status and not is_test_run:
        print("".join(shown), end="")
    print(f"{'✗' if status else '✓'} {name} {time.monotonic() - began:.1f} s", flush=True)
    if is_test_run:
        return count_tests("".join(shown), status)
    return Count(0, 1) if status else Count(1, 0)


def main(which: str) -> int:
    """Run every stage, also after one failed, and end with the totals."""
    counts = []
    if which == "test" and not shutil.which("chromium"):
        print(CHROMIUM, flush=True)
        # Elsewhere the browser tests are skipped; in CI nothing is.
        counts += [Count(0, 1)] if os.environ.get("CI") else []
    counts += [run(name, command) for name, command in STAGES[which].items()]
    failed = sum(each.failed for each in counts)
    print(f"{sum(each.passed for each in counts)} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
