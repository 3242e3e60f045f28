"""The operator's commands for tills and those who work at them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from passes import cli
from tests.shop import COFFEE

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command with --json and give its answer; `typed` is what stands on standard input."""
    monkeypatch.setenv("PASSES_MODE", "development")
    monkeypatch.setenv("PASSES_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("PASSES_CERTS", str(tmp_path / "certs" / "dev"))

    def command(*arguments: str, status: int = 0, typed: str = "") -> Any:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        capsys.readouterr()
        assert cli.main([*arguments, "--json"]) == status
        return json.loads(capsys.readouterr().out)

    return command


def test_an_operator_sets_up_tills_and_gives_pins(run: Run) -> None:
    run("demo")
    made = run("till", "add", COFFEE, "Front", "--location", "west-loop")
    assert made["address"] == "http://127.0.0.1:8000/till/pair"
    assert len(made["code"]) == 9
    refused = run("till", "add", COFFEE, "Front", "--location", "west-loop", status=1)
    assert refused["refused"] == "till_name_taken"
    assert (
        run("till", "add", COFFEE, "Back", "--location", "nowhere", status=1)["refused"] == "location_unknown"
    )
    again = run("till", "pair-code", COFFEE, str(made["till"]))
    assert (again["name"], again["code"] != made["code"]) == ("Front", True)
    (listed,) = run("till", "list", COFFEE)
    assert (listed["name"], listed["state"]) == ("Front", "not paired")
    assert again["code"] not in json.dumps(listed)
    assert run("till", "revoke", COFFEE, str(made["till"])) == {"blocked": "Front"}
    assert run("till", "revoke", COFFEE, str(made["till"]), status=1)["refused"] == "till_unknown"
    assert run("till", "reviews", COFFEE) == []

    pin = ("staff", "pin", "cashier", "--programme", COFFEE)
    assert run(*pin, typed="1234\n", status=1)["refused"] == "pin_weak"
    assert run(*pin, typed="9046\n") == {"login": "cashier", "has_pin": True}
    assert run(*pin, "--take") == {"login": "cashier", "has_pin": False}
    assert run("staff", "pin", "bookseller", "--programme", COFFEE, typed="9046\n", status=1)["refused"] == (
        "person_unknown"
    )
    member = run("enrol", COFFEE, "Cy Morales")
    card = ("staff", "card", "cashier", member["code"], "--programme", COFFEE)
    assert run(*card)["own"] is True
    assert run(*card, "--remove")["own"] is False
    assert (
        run("staff", "card", "cashier", "2222", "--programme", COFFEE, status=1)["refused"] == "code_mistyped"
    )
