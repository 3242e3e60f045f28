"""The command line: everything a counter, an operator and a developer do without a browser.

Every command takes `--json`. Exit status: 0 done, 1 refused or wrong (one
sentence on standard error), 2 a misspelt command.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from passes.cli import (
    aliases,
    api_keys,
    backtests,
    club,
    counter,
    letters,
    offers,
    registers,
    reports,
    returning,
    running,
    tills,
    upkeep,
    webhooks,
)
from passes.loyalty.refusals import Refused
from passes.settings import CannotStart

# Everything heavy is imported by the command that needs it: the supervisor
# and `--help` must stay small and quick.

Command = Callable[[argparse.Namespace], object]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        answer = parsed.command(parsed)
    except Refused as refusal:
        return _fail(parsed, refusal.code, str(refusal), refusal.values)
    except CannotStart as problem:
        return _fail(parsed, "cannot_start", str(problem), {})
    except KeyboardInterrupt:
        return 130
    if isinstance(answer, int):
        return answer
    _show(parsed, answer)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="passes", description=__doc__.partition("\n")[0] if __doc__ else None
    )
    parser.set_defaults(json=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, words: str, under: Any = commands) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = under.add_parser(name, help=words, description=words)
        sub.add_argument("--json", action="store_true", help="answer in JSON")
        sub.set_defaults(command=command)
        return sub

    def group(name: str, words: str) -> Any:
        return commands.add_parser(name, help=words, description=words).add_subparsers(
            required=True, metavar="COMMAND"
        )

    # Running
    add("run", running.run, "start everything on this machine (development)").add_argument(
        "--lan", action="store_true", help="let phones in the same network open the pages"
    )
    add("serve", running.serve, "start the web server")
    add("worker", running.worker, "announce changes to phones and seal the books").add_argument(
        "--once", action="store_true", help="do what is due now, then end"
    )
    add("emulate", running.emulate, "start the APNs emulator and the virtual phone (development)")

    # Setting up
    add("migrate", upkeep.migrate, "bring the database to the newest schema")
    add("doctor", upkeep.doctor, "look over this installation and say what is wrong")
    demo = add("demo", upkeep.demo, "load the demonstration shops and their people (development)")
    demo.add_argument("--history", action="store_true", help="with thirteen months of business, made once")
    certs = group("certs", "certificates")
    add("dev", upkeep.certs_dev, "make a throw-away chain for development", certs)
    request = add(
        "request", upkeep.certs_request, "make a key and a signing request for Apple's portal", certs
    )
    request.add_argument("pass_type", help="the pass type identifier, such as pass.com.example.loyalty")
    request.add_argument("--email")
    keys = group("keys", "the server's own keys")
    add("create", upkeep.keys_create, "make the server key, unless there is one", keys)
    staff = group("staff", "people who work with this installation")
    person = add("add", upkeep.staff_add, "add a person; the password is read from standard input", staff)
    person.add_argument("login")
    person.add_argument("name")
    person.add_argument("--programme", required=True)
    person.add_argument("--role", choices=("cashier", "marketer", "owner"), default="cashier")
    programme = group("programme", "loyalty programmes")
    loading = add("load", upkeep.programme_load, "check programme files and make them current", programme)
    loading.add_argument("files", nargs="+", type=Path)
    add("list", upkeep.programme_list, "which programmes there are", programme)
    backtests.register(programme, add)
    add("due", upkeep.due, "do everything that is due now: points, levels, holds, birthdays, notices")
    ledger = group("ledger", "the books")
    add("verify", upkeep.ledger_verify, "recompute every balance and check lots, receipts and blocks", ledger)

    asof = add("balance", counter.balance, "what a card held at an instant", ledger)
    asof.add_argument("programme")
    asof.add_argument("code")
    asof.add_argument("--at", type=counter.instant, help="business time, ISO 8601 with a zone; now if absent")
    asof.add_argument("--known-at", type=counter.instant, help="as known then; now if absent")

    reports.register(group("report", "the marketer's numbers"), add)

    # The club
    club.register(add, group)
    offers.register(add, group)
    letters.register(add)
    api_keys.register(add, group)
    webhooks.register(add, group)
    registers.register(add, group)
    tills.register(add, group, staff)

    counter.register(add, group)
    returning.register(add)
    aliases.register(add)
    return parser


# Showing ----------------------------------------------------------------------


def _show(parsed: argparse.Namespace, answer: object) -> None:
    if answer is None:
        return
    values = [_fields(one) for one in answer] if isinstance(answer, list) else _fields(answer)
    if parsed.json:
        print(json.dumps(values, default=_plain, ensure_ascii=False))
    elif isinstance(values, Mapping):
        for name, value in values.items():
            print(f"{name.replace('_', ' ')}: {_plain_text(value)}")
    elif isinstance(values, list):
        for value in values:
            print(_plain_text(value))
    else:
        print(values)


def _fields(answer: object) -> object:
    return asdict(answer) if is_dataclass(answer) and not isinstance(answer, type) else answer


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def _plain_text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain_text(part)}" for name, part in value.items() if part is not None)
    if isinstance(value, (list, tuple)):
        return "; ".join(_plain_text(part) for part in value) or "none"
    return "none" if value is None else str(_plain(value))


def _fail(parsed: argparse.Namespace, code: str, words: str, values: Mapping[str, object]) -> int:
    if parsed.json:
        print(
            json.dumps({"refused": code, "words": words, "values": values}, default=str, ensure_ascii=False)
        )
    else:
        print(words, file=sys.stderr)
        problems = values.get("problems")
        for problem in problems if isinstance(problems, (list, tuple)) else ():
            print(f"  {problem}", file=sys.stderr)
    return 1
