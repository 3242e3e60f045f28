"""The printer of `make conformance`, on a list of four checks and on a run of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance import (
    ARGUMENTS,
    CHECKS,
    Check,
    Collector,
    State,
    Test,
    read_arguments,
    read_checks,
    report,
    state_of,
)

FOUR = {
    "apple": [Check("A-01", "One."), Check("A-02", "Two."), Check("A-03", "Three."), Check("A-04", "Four.")]
}


def test_the_report_names_every_check_and_ends_with_its_totals() -> None:
    tests = {
        "A-01": [Test("tests/test_a.py::test_one", ["passed", "passed"])],
        "A-02": [
            Test("tests/test_a.py::test_one", ["passed"]),
            Test("tests/test_a.py::test_two", ["failed"]),
        ],
    }
    assert list(report(FOUR, {"A-03": "there is no third."}, tests)) == [
        "A-01 proven: One.",
        "      passed tests/test_a.py::test_one (2 runs)",
        "A-02 failing: Two.",
        "      passed tests/test_a.py::test_one",
        "      failed tests/test_a.py::test_two",
        "A-03 argued: Three.",
        "      because there is no third.",
        "A-04 open: Four.",
        "",
        "apple: 1 proven, 1 argued, 1 open, 1 failing of 4",
    ]


@pytest.mark.parametrize(
    ("outcomes", "reason", "state"),
    [
        ([["passed"], ["passed", "passed"]], None, State.PROVEN),
        ([["passed"], ["passed", "failed"]], None, State.FAILING),
        ([["passed"], ["skipped"]], None, State.OPEN),
        ([["passed", "skipped"]], None, State.OPEN),
        ([["skipped"]], "it does not apply", State.OPEN),
        ([["failed"]], "it does not apply", State.FAILING),
        ([], "it does not apply", State.ARGUED),
        ([], None, State.OPEN),
    ],
)
def test_one_engine_that_fails_or_skips_is_no_proof(
    outcomes: list[list[str]], reason: str | None, state: State
) -> None:
    assert state_of([Test("test", runs) for runs in outcomes], reason) is state


def test_a_failing_teardown_fails_the_check() -> None:
    collector = Collector()
    for phase, outcome in (("setup", "passed"), ("call", "passed"), ("teardown", "failed")):
        collector.pytest_runtest_logreport(
            pytest.TestReport(
                nodeid="tests/test_a.py::test_one[sqlite]",
                location=("tests/test_a.py", 1, "test_one"),
                keywords={},
                outcome=outcome,  # type: ignore[arg-type]
                longrepr=None,
                when=phase,  # type: ignore[arg-type]
                user_properties=[("check", "A-01")],
            )
        )
    assert collector.by_check() == {"A-01": [Test("tests/test_a.py::test_one", ["failed"])]}


def test_the_lists_are_complete_and_no_number_occurs_twice() -> None:
    lists = read_checks(CHECKS)
    assert {name: len(checks) for name, checks in lists.items()} == {
        "apple": 128,
        "google": 66,
        "loyalty": 90,
        "web": 105,
    }
    for checks in lists.values():
        letter = checks[0].number[0]
        numbers = [f"{letter}-{count:02}" for count in range(1, len(checks) + 1)]
        assert [check.number for check in checks] == numbers


def test_every_argument_names_a_check_and_gives_a_reason() -> None:
    known = {check.number for checks in read_checks(CHECKS).values() for check in checks}
    for number, reason in read_arguments(ARGUMENTS).items():
        assert number in known
        assert len(reason) >= 40


@pytest.mark.slow
def test_a_marked_run_in_two_processes_prints_its_totals_and_refuses_unknown_numbers(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(
        "import pytest\n"
        "@pytest.mark.check('A-01', 'G-01')\n"
        "def test_right(): pass\n"
        "@pytest.mark.check('A-02')\n"
        "@pytest.mark.parametrize('engine', ['sqlite', 'postgresql'])\n"
        "def test_half(engine): assert engine == 'sqlite'\n"
        "@pytest.mark.check('A-999')\n"
        "def test_typing_mistake(): pass\n"
        "def test_unmarked(): raise AssertionError\n"
    )
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "check", "--conformance"),
            *("-c", "pyproject.toml", "-p", "tests.conformance", "-p", "no:cacheprovider"),
            *("--rootdir", str(tmp_path), "--confcutdir", str(tmp_path), str(tmp_path)),
        ],
        cwd=CHECKS.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert "docs/checks has no A-999" in run.stdout
    assert "A-02 failing" in run.stdout
    assert "test_sample.py::test_half (2 runs)" in run.stdout
    assert run.stdout.splitlines()[-4:] == [
        "apple: 1 proven, 0 argued, 126 open, 1 failing of 128",
        "google: 1 proven, 2 argued, 63 open, 0 failing of 66",
        "loyalty: 0 proven, 0 argued, 90 open, 0 failing of 90",
        "web: 0 proven, 0 argued, 105 open, 0 failing of 105",
    ]
