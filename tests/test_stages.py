"""The totals of `make test`, and what make relies on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.stages import Count, count_tests, run

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("output", "status", "counted"),
    [
        ("....\n= 2 failed, 1200 passed, 3 skipped, 1 error in 61.23s (0:01:01) =", 1, Count(1200, 3)),
        ("....\n12 passed, 2 errors in 1.23s", 1, Count(12, 2)),
        ("....\n12 passed in 1.23s", 0, Count(12, 0)),
        ("....\n12 passed in 1.23s", 2, Count(12, 1)),
        ("no tests ran in 0.01s", 5, Count(0, 1)),
        ("", 3, Count(0, 1)),
    ],
)
def test_a_test_run_counts_its_tests(output: str, status: int, counted: Count) -> None:
    assert count_tests(output, status) == counted


def test_another_stage_counts_as_one_and_shows_what_it_said_if_it_failed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run("lint", ("bash", "-c", "echo good")) == Count(1, 0)
    assert run("types", ("bash", "-c", "echo bad >&2; exit 3")) == Count(0, 1)
    shown = capfd.readouterr().out
    assert "good" not in shown
    assert "bad\n✗ types" in shown


def test_the_lock_for_development_holds_every_pin_of_the_other_one() -> None:
    pins = {
        name: set(re.findall(r"^[a-z0-9-]+(?:\[[a-z]+\])?==\S+", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.txt", "requirements-dev.txt")
    }
    assert pins["requirements.txt"]
    assert pins["requirements.txt"] <= pins["requirements-dev.txt"]


def test_the_locks_name_no_index_and_no_folder_of_a_machine() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = [line for line in (ROOT / name).read_text().splitlines() if not line.lstrip().startswith("#")]
        assert not [line for line in lines if "://" in line or "/" in line.split("--hash")[0]]


def test_readme_and_ci_name_commands_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", readme, re.MULTILINE)) <= targets
    assert "make test" in readme
    assert "stage tests make test" in (ROOT / ".ci" / "run").read_text()


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "certs" / "README.md"]
    for page in pages:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
