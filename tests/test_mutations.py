"""Every mistake of tests/mutations.toml can still be made, and the runner tells red from green."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conformance import CHECKS, numbers_of, read_checks
from tests.mutate import ROOT, marked_tests, proven_pitfalls, read_mutations, run

WORDS = {check.number: check.words for checks in read_checks(CHECKS).values() for check in checks}


def test_every_proven_pitfall_has_a_mistake() -> None:
    assert set(proven_pitfalls(ROOT)) <= set(read_mutations(ROOT))


def test_every_mistake_belongs_to_a_marked_check_and_can_be_made_in_one_place() -> None:
    for number, mutation in read_mutations(ROOT).items():
        assert WORDS[number].startswith("[!]"), number
        assert mutation.why, number
        assert mutation.file.startswith("passes/"), number
        right = (ROOT / mutation.file).read_text(encoding="utf-8")
        assert right.count(mutation.old) == 1, number
        wrong = right.replace(mutation.old, mutation.new)
        assert wrong != right, number
        compile(wrong, mutation.file, "exec")


def test_the_runner_knows_every_mark_that_pytest_knows(request: pytest.FixtureRequest) -> None:
    marked = marked_tests(ROOT)
    for item in request.session.items:
        for number in numbers_of(item):
            assert item.nodeid.split("[")[0] in marked[number]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two checks, with one good test and one that proves nothing."""
    # It needs none of pytest's plugins, and it starts pytest a dozen times.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    files = {
        ".gitignore": "__pycache__/\n",
        "pytest.ini": "[pytest]\nmarkers =\n    check(*ids): proves\n",
        "docs/checks/shop.md": "- S-01 [!] Sums.\n- S-02 [!] Rounds.\n- S-03 [!] Open.\n- S-04 Easy.\n",
        "passes.py": "def total(a, b):\n    return round(a + b, 2)\n",
        "tests/test_total.py": (
            "import pytest\n"
            "from passes import total\n"
            "@pytest.mark.check('S-01', 'S-04')\n"
            "def test_sum(): assert total(1, 2) == 3\n"
            "@pytest.mark.check('S-02')\n"
            "def test_rounding(): assert total(1, 2) == 3\n"
        ),
        "tests/mutations.toml": (
            "[S-01]\nwhy = 'subtracts'\nfile = 'passes.py'\nold = 'a + b'\nnew = 'a - b'\n"
            "[S-02]\nwhy = 'drops cents'\nfile = 'passes.py'\nold = 'b, 2)'\nnew = 'b, 0)'\n"
        ),
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.slow
def test_a_mistake_that_no_test_notices_is_green_until_the_test_is_better(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shop, []) == 1
    assert capsys.readouterr().out.splitlines() == [
        "S-01 red: subtracts",
        "S-02 GREEN: drops cents (its tests pass)",
        "1 red, 1 green",
    ]
    assert run(shop, ["S-01"]) == 0
    change(shop / "tests" / "test_total.py", "def test_rounding(): assert total(1, 2) == 3",
           "def test_rounding(): assert total(0.111, 0.5) == 0.61")  # fmt: skip
    assert run(shop, []) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["S-02 red: drops cents", "2 red, 0 green"]
    assert "a + b, 2" in (shop / "passes.py").read_text(), "only the copy is broken"


@pytest.mark.slow
def test_what_keeps_tests_from_running_is_no_proof(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(shop / "tests" / "mutations.toml", "a - b", "a +")
    assert run(shop, ["S-01"]) == 1
    assert "S-01 GREEN: subtracts (its tests did not fail but broke off" in capsys.readouterr().out
    change(shop / "tests" / "mutations.toml", "old = 'a + b'", "old = 'a * b'")
    assert run(shop, ["S-01"]) == 1
    assert "(its text occurs 0 times in passes.py)" in capsys.readouterr().out
    change(shop / "passes.py", "a + b", "a - b")
    assert run(shop, ["S-01"]) == 1
    assert "must pass before a mistake can turn them red" in capsys.readouterr().out


def test_a_pitfall_without_a_mistake_is_named(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "tests" / "mutations.toml").write_text("")
    assert run(shop, []) == 1
    assert capsys.readouterr().out.splitlines() == [
        "S-01 is proven but has no mutation in tests/mutations.toml",
        "S-02 is proven but has no mutation in tests/mutations.toml",
        "0 red, 0 green",
    ]
    assert run(shop, ["S-09"]) == 1
