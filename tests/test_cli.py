"""The command line: what it answers, and how it refuses."""

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
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A development installation of this test's own."""
    monkeypatch.setenv("PASSES_MODE", "development")
    monkeypatch.setenv("PASSES_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("PASSES_CERTS", str(tmp_path / "certs" / "dev"))
    return tmp_path


@pytest.fixture
def run(environment: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command with --json and give its answer; `status` is what it must end with."""

    def command(*arguments: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert cli.main([*arguments, "--json"]) == status
        printed = capsys.readouterr().out
        return json.loads(printed) if printed.strip() else None

    return command


def test_a_new_installation_is_set_up_command_by_command(run: Run, environment: Path) -> None:
    refused = run("programme", "list", status=1)
    assert refused["refused"] == "cannot_start"
    assert run("certs", "dev")["pass_type"] == "pass.dev.passes.loyalty"
    assert run("keys", "create")["key"] == "k1"
    refused = run("programme", "list", status=1)
    assert refused["words"] == "The database schema is empty, this version needs 0001. Run: passes migrate"
    run("migrate")
    assert run("programme", "list") == []
    findings = {found["subject"]: found for found in run("doctor", status=1)}
    assert not findings["programmes"]["right"]
    files = [str(path) for path in sorted(Path("passes/programmes").glob("*.toml"))]
    assert [loaded["version"] for loaded in run("programme", "load", *files)] == [1, 1]
    assert [loaded["changed"] for loaded in run("programme", "load", *files)] == [False, False]
    assert all(found["right"] for found in run("doctor"))
    assert run("ledger", "verify")["problems"] == []


def test_a_broken_programme_file_is_refused_with_every_mistake(
    run: Run, environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("demo")
    path = environment / "mine.toml"
    path.write_text('name = "x"\ncurrency = "XXX"\n')
    refused = run("programme", "load", str(path), status=1)
    assert refused["refused"] == "programme_invalid"
    assert any("currency" in problem for problem in refused["values"]["problems"])
    assert cli.main(["programme", "load", str(path)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "currency" in shown.err
    assert "Traceback" not in shown.err
    path.write_bytes(b"\xff\xfe")
    assert run("programme", "load", str(path), status=1)["refused"] == "cannot_start"


def test_the_demonstration_is_the_same_after_every_start(run: Run) -> None:
    first = run("demo")
    assert run("demo") == first
    verified = run("ledger", "verify")
    assert verified["problems"] == []
    assert verified["postings"] == 15


def test_refusals_have_a_code_words_and_status_one(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("demo")
    joined = run("enrol", COFFEE, "Ben Novak", "--agree", "offers", "--language", "tr")
    refused = run("redeem", COFFEE, joined["code"], "any-drink", status=1)
    assert refused["refused"] == "not_enough_points"
    assert refused["words"] == "Not enough beans: this needs 800, there are 100."
    for arguments, code in (
        (("accrue", COFFEE, joined["code"], "0"), "amount_invalid"),
        (("accrue", COFFEE, joined["code"], "12,34,5"), "amount_invalid"),
        (("accrue", COFFEE, joined["code"], "100000"), "amount_too_large"),
        (("accrue", COFFEE, "hello", "1"), "code_mistyped"),
        (("accrue", "nowhere", joined["code"], "1"), "programme_unknown"),
        (("undo", COFFEE, "1"), "receipt_unknown"),
        (("card", COFFEE, "hello"), "code_mistyped"),
    ):
        assert run(*arguments, status=1)["refused"] == code, arguments
    assert cli.main(["redeem", COFFEE, joined["code"], "any-drink"]) == 1
    shown = capsys.readouterr()
    assert shown.err == "Not enough beans: this needs 800, there are 100.\n"


def test_a_misspelt_command_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["acrue"])
    assert ended.value.code == 2
    assert "acrue" in capsys.readouterr().err


def test_a_name_too_long_for_its_column_is_explained(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["sale", COFFEE, "1", "--location", "x" * 65])
    assert ended.value.code == 2
    assert "at most 64 characters" in capsys.readouterr().err


def test_staff_passwords_come_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("demo")
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    added = run("staff", "add", "dana", "Dana Wu", "--programme", COFFEE)
    assert added == {"login": "dana", "programme": COFFEE, "role": "cashier"}
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    assert run("staff", "add", "dana", "Dana Wu", "--programme", COFFEE, status=1)["refused"] == "login_taken"
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert run("staff", "add", "dee", "Dee", "--programme", COFFEE, status=1)["refused"] == "password_weak"


def test_development_commands_are_refused_in_production(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSES_MODE", "production")
    monkeypatch.setenv("PASSES_PUBLIC_URL", "https://cards.example.org")
    for command in (("run",), ("emulate",), ("demo",), ("certs", "dev")):
        assert run(*command, status=1)["refused"] == "cannot_start"


def test_production_refuses_to_start_without_its_key(
    run: Run, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("demo")
    monkeypatch.setenv("PASSES_MODE", "production")
    monkeypatch.setenv("PASSES_PUBLIC_URL", "https://cards.example.org")
    (environment / "var" / "server.keys").unlink()
    refused = run("serve", status=1)
    assert "server key" in refused["words"]
    assert not (environment / "var" / "server.keys").exists()


def test_a_nonsense_setting_names_the_variable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSES_WEB_PORT", "many")
    assert run("serve", status=1)["words"].startswith("PASSES_WEB_PORT must be")


def test_a_key_for_apple_is_made_and_never_overwritten(run: Run, environment: Path) -> None:
    made = run("certs", "request", "pass.org.example.loyalty")
    assert Path(made["request"]).read_text().startswith("-----BEGIN CERTIFICATE REQUEST-----")
    assert Path(made["key"]).stat().st_mode & 0o777 == 0o600
    assert run("certs", "request", "pass.org.example.loyalty", status=1)["refused"] == "cannot_start"


def test_what_a_card_held_at_an_instant(run: Run) -> None:
    run("demo")
    joined = run("enrol", COFFEE, "Ben Novak")
    run("accrue", COFFEE, joined["code"], "5.00")
    assert run("ledger", "balance", COFFEE, joined["code"])["balance"] == 150
    before = run("ledger", "balance", COFFEE, joined["code"], "--at", "2020-01-01T00:00:00+00:00")
    assert before["balance"] == 0


def test_the_worker_does_what_is_due_once(run: Run) -> None:
    run("demo")
    run("worker", "--once")
    assert run("ledger", "verify")["blocks"] == 2


def test_a_database_that_cannot_be_used_is_said_in_one_sentence(
    run: Run, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("demo")
    monkeypatch.setenv("PASSES_DATABASE_URL", "postgresql://postgres@127.0.0.1:1/nowhere")
    words = run("serve", status=1)["words"]
    assert words.startswith("The database cannot be used (")
    assert words.endswith("Look at PASSES_DATABASE_URL.")
    (environment / "junk").write_bytes(b"not a database" * 1000)
    monkeypatch.setenv("PASSES_DATABASE_URL", f"sqlite:///{environment / 'junk'}")
    assert "file is not a database" in run("programme", "list", status=1)["words"]
