"""The marketer's commands: from a file to a running offer, and what members wish for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from passes import cli
from tests.shop import COFFEE

Run = Callable[..., Any]

MAPLE = """
title = "Maple Cortado is back"
text = "{offer.percent} percent off."
effect = "percent_off"
percent = 10
unique_codes = true
[when]
until = "2999-12-31"
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command with --json on an installation of this test's own, and give its answer."""
    monkeypatch.setenv("PASSES_MODE", "development")
    monkeypatch.setenv("PASSES_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("PASSES_CERTS", str(tmp_path / "certs" / "dev"))

    def command(*arguments: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert cli.main([*arguments, "--json"]) == status
        printed = capsys.readouterr().out
        return json.loads(printed) if printed.strip() else None

    command("demo")
    return command


def test_an_offer_is_planned_published_paused_and_ended(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "maple.toml"
    path.write_text(MAPLE, "utf-8")
    draft = run("offer", "plan", COFFEE, str(path), "--by", "mo")
    assert (draft["key"], draft["state"], draft["title"]) == ("maple", "draft", "Maple Cortado is back")
    reach = run("offer", "reach", COFFEE, "maple")
    assert {"treated", "holdout", "agreed", "web_cards", "nowhere"} < set(reach)
    assert set(reach["iphones"]) == set(reach["androids"]) == {"rings", "silent"}
    for command, state in (("publish", "live"), ("pause", "paused"), ("resume", "live"), ("end", "ended")):
        assert run("offer", command, COFFEE, "maple")["state"] == state
        if command == "publish":
            assert len(run("offer", "codes", COFFEE, "maple", "--count", "3")) == 3
    assert run("offer", "show", COFFEE, "maple")["state"] == "ended"
    assert "maple" in [one["key"] for one in run("offer", "list", COFFEE)]
    assert run("offer", "publish", COFFEE, "maple", status=1)["refused"] == "offer_state_wrong"
    assert run("offer", "show", COFFEE, "walnut", status=1)["refused"] == "offer_unknown"


def test_a_broken_offer_file_is_refused_with_every_mistake(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "maple.toml"
    path.write_text(MAPLE.replace("percent = 10", "percent = 0\nquotum = 5"), "utf-8")
    refused = run("offer", "plan", COFFEE, str(path), status=1)
    assert refused["refused"] == "offer_invalid"
    assert len(refused["values"]["problems"]) == 2
    path.write_bytes(b"\xff\xfe")
    assert run("offer", "plan", COFFEE, str(path), status=1)["refused"] == "offer_invalid"
    assert run("offer", "plan", COFFEE, str(tmp_path / "none.toml"), status=1)["refused"] == "offer_invalid"


def test_wishes_are_counted(run: Run) -> None:
    code = run("enrol", COFFEE, "Ana Reyes")["code"]
    assert run("offer", "wish", COFFEE, code, "maple-cortado") == {"product": "maple-cortado", "new": True}
    assert run("offer", "wishes", COFFEE) == {"maple-cortado": 1}
    assert run("offer", "unwish", COFFEE, code, "maple-cortado")["forgotten"]
    assert run("offer", "wish", COFFEE, code, "Maple!", status=1)["refused"] == "product_invalid"
