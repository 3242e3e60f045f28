"""Which numbered checks are proven, argued, open or failing.

The lists are docs/checks/*.md. A test proves a check by carrying its number:
`@pytest.mark.check("A-57")`. A check that cannot apply is argued in
tests/conformance.toml. With `--conformance` pytest prints every check with
its tests, and one line for each list at the end.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKS = ROOT / "docs" / "checks"
ARGUMENTS = ROOT / "tests" / "conformance.toml"


class State(StrEnum):
    """What is known about a check."""

    PROVEN = "proven"
    ARGUED = "argued"
    OPEN = "open"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Check:
    """One numbered line of a list."""

    number: str
    words: str


@dataclass(slots=True)
class Test:
    """What became of one test function: the outcomes of all its parameters."""

    __test__ = False

    name: str
    outcomes: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """`failed` if any run failed, `passed` if all passed, else `skipped`."""
        if "failed" in self.outcomes:
            return "failed"
        return "passed" if set(self.outcomes) == {"passed"} else "skipped"


def read_checks(folder: Path) -> dict[str, list[Check]]:
    """The lists by name, in the order of their lines."""
    return {
        path.stem: [
            Check(found[1], found[2])
            for found in re.finditer(r"^- ([A-Z]-\d+) (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        ]
        for path in sorted(folder.glob("*.md"))
    }


def read_arguments(path: Path) -> dict[str, str]:
    """Reason by number of the check."""
    argued: dict[str, str] = tomllib.loads(path.read_text(encoding="utf-8"))["argued"]
    return argued


def state_of(tests: Sequence[Test], reason: str | None) -> State:
    """Proven: at least one test, and all passed, on every engine. A skipped test proves nothing."""
    outcomes = {test.outcome for test in tests}
    if "failed" in outcomes:
        return State.FAILING
    if outcomes == {"passed"}:
        return State.PROVEN
    return State.ARGUED if reason and not outcomes else State.OPEN


def report(
    lists: Mapping[str, Sequence[Check]], arguments: Mapping[str, str], tests: Mapping[str, Sequence[Test]]
) -> Iterator[str]:
    """The lines to print: every check with its tests or reason, then one summary line for each list."""
    summaries = []
    for name, checks in lists.items():
        counts = dict.fromkeys(State, 0)
        for check in checks:
            its_tests = tests.get(check.number, ())
            reason = arguments.get(check.number)
            state = state_of(its_tests, reason)
            counts[state] += 1
            yield f"{check.number} {state}: {check.words}"
            for test in its_tests:
                times = f" ({len(test.outcomes)} runs)" if len(test.outcomes) > 1 else ""
                yield f"      {test.outcome} {test.name}{times}"
            if state is State.ARGUED:
                yield f"      because {reason}"
        counted = ", ".join(f"{counts[state]} {state}" for state in State)
        summaries.append(f"{name}: {counted} of {len(checks)}")
    yield ""
    yield from summaries


class Collector:
    """Watches a test run, also one spread over processes, and remembers what became of each marked test."""

    def __init__(self) -> None:
        self.tests: dict[str, dict[str, Test]] = {}
        self._outcomes: dict[str, str] = {}
        self._checks: dict[str, Sequence[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has three phases; the worst one counts."""
        numbers = [value for key, value in report.user_properties if key == "check"]
        if not numbers:
            return
        self._checks[report.nodeid] = [str(number) for number in numbers]
        before = self._outcomes.get(report.nodeid, "passed")
        self._outcomes[report.nodeid] = max(before, report.outcome, key=["passed", "skipped", "failed"].index)

    def by_check(self) -> dict[str, list[Test]]:
        """The marked test functions of each check."""
        found: dict[str, dict[str, Test]] = {}
        for nodeid, numbers in self._checks.items():
            name = nodeid.split("[")[0]
            for number in numbers:
                test = found.setdefault(number, {}).setdefault(name, Test(name))
                test.outcomes.append(self._outcomes[nodeid])
        return {number: [tests[name] for name in sorted(tests)] for number, tests in found.items()}


def numbers_of(item: pytest.Item) -> Iterable[str]:
    """The checks that a test says it proves."""
    return [str(number) for mark in item.iter_markers("check") for number in mark.args]


# Pytest calls these -----------------------------------------------------------

_KNOWN = {check.number for checks in read_checks(CHECKS).values() for check in checks}
_COLLECTOR = pytest.StashKey[Collector]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--conformance`."""
    parser.addoption(
        "--conformance", action="store_true", help="print every numbered check and what proves it"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Watch the run if its result is to be printed."""
    if config.getoption("--conformance"):
        config.stash[_COLLECTOR] = Collector()
        config.pluginmanager.register(config.stash[_COLLECTOR])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the numbers travel with the reports: marks do not cross to another process, properties do."""
    for item in items:
        item.user_properties.extend(("check", number) for number in numbers_of(item))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A number that no list has is a typing mistake, which would otherwise prove nothing unnoticed."""
    unknown = [number for number in numbers_of(item) if number not in _KNOWN]
    if unknown:
        pytest.fail(f"docs/checks has no {', '.join(unknown)}", pytrace=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Print after pytest's own summary, so that the last lines are the totals."""
    yield
    collector = session.config.stash.get(_COLLECTOR, None)
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if collector is None or terminal is None:
        return
    for line in report(read_checks(CHECKS), read_arguments(ARGUMENTS), collector.by_check()):
        terminal.write_line(line)
