"""The command line: everything a counter, an operator and a developer do without a browser.

Every command takes `--json`. Exit status: 0 done, 1 refused or wrong (one
sentence on standard error), 2 a misspelt command.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from passes.loyalty.refusals import Refused
from passes.settings import CannotStart, Settings
from passes.supervisor import Child, Port, supervise

if TYPE_CHECKING:
    from passes.wiring import Installation

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
    add("run", _run, "start everything on this machine (development)")
    add("serve", _serve, "start the web server")
    add("worker", _worker, "announce changes to phones and seal the books").add_argument(
        "--once", action="store_true", help="do what is due now, then end"
    )
    add("emulate", _emulate, "start the APNs emulator and the virtual phone (development)")

    # Setting up
    add("migrate", _migrate, "bring the database to the newest schema")
    add("doctor", _doctor, "look over this installation and say what is wrong")
    add("demo", _demo, "load the demonstration shops and their people (development)")
    certs = group("certs", "certificates")
    add("dev", _certs_dev, "make a throw-away chain for development", certs)
    request = add("request", _certs_request, "make a key and a signing request for Apple's portal", certs)
    request.add_argument("pass_type", help="the pass type identifier, such as pass.com.example.loyalty")
    request.add_argument("--email")
    keys = group("keys", "the server's own keys")
    add("create", _keys_create, "make the server key, unless there is one", keys)
    staff = group("staff", "people who work with this installation")
    person = add("add", _staff_add, "add a person; the password is read from standard input", staff)
    person.add_argument("login")
    person.add_argument("name")
    person.add_argument("--programme", required=True)
    person.add_argument("--role", choices=("cashier", "marketer", "owner"), default="cashier")
    programme = group("programme", "loyalty programmes")
    loading = add("load", _programme_load, "check programme files and make them current", programme)
    loading.add_argument("files", nargs="+", type=Path)
    add("list", _programme_list, "which programmes there are", programme)
    ledger = group("ledger", "the books")
    add("verify", _ledger_verify, "recompute every balance and check lots, receipts and blocks", ledger)

    asof = add("balance", _ledger_balance, "what a card held at an instant", ledger)
    asof.add_argument("programme")
    asof.add_argument("code")
    asof.add_argument("--at", type=_instant, help="business time, ISO 8601 with a zone; now if absent")
    asof.add_argument("--known-at", type=_instant, help="as known then; now if absent")

    # At the counter
    joining = add("enrol", _enrol, "make a member with a card")
    joining.add_argument("programme")
    joining.add_argument("name")
    joining.add_argument("--email")
    joining.add_argument("--language")
    joining.add_argument("--agree", action="append", default=[], metavar="PURPOSE", help="a consent given")
    showing = add("card", _card, "show a card, or write its file")
    showing.add_argument("programme")
    showing.add_argument("code")
    showing.add_argument("--output", type=Path, help="write the .pkpass here")
    earning = add("accrue", _accrue, "book a purchase")
    earning.add_argument("programme")
    earning.add_argument("code")
    earning.add_argument("amount", help="such as 12.40, in the programme's currency")
    spending = add("redeem", _redeem, "exchange points for a reward")
    spending.add_argument("programme")
    spending.add_argument("code")
    spending.add_argument("reward")
    undoing = add("undo", _undo, "reverse a receipt")
    undoing.add_argument("programme")
    undoing.add_argument("receipt", type=int)
    guest = add("sale", _sale, "book a sale without a member")
    guest.add_argument("programme")
    guest.add_argument("amount")
    for counter in (joining, earning, spending, undoing, guest):
        counter.add_argument(
            "--key", default=None, help="name this request, so that repeating it is harmless"
        )
        counter.add_argument("--location", help="the shop's key in the programme")
        counter.add_argument("--till")
    return parser


# Showing ----------------------------------------------------------------------


def _show(parsed: argparse.Namespace, answer: object) -> None:
    if answer is None:
        return
    values = asdict(answer) if is_dataclass(answer) and not isinstance(answer, type) else answer
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


# Running ------------------------------------------------------------------------


def _settings() -> Settings:
    return Settings.read(os.environ)


def _installation(settings: Settings | None = None) -> Installation:
    from passes.wiring import build

    return build(settings or _settings())


def _run(parsed: argparse.Namespace) -> int:
    settings = _settings()
    if not settings.development:
        raise CannotStart(
            "passes run is for development; in production start passes serve and passes worker."
        )
    program = [sys.executable, "-m", "passes"]
    # Preparing imports much that this process, which only watches, never needs again.
    import subprocess

    prepared = subprocess.run([*program, "demo", "--json"], capture_output=True, text=True, check=False)
    if prepared.returncode:
        sys.stderr.write(prepared.stderr or prepared.stdout)
        return prepared.returncode
    web = f"http://127.0.0.1:{settings.web_port}"
    phone = f"http://127.0.0.1:{settings.phone_port}"
    children = [
        Child(
            "web",
            [*program, "serve"],
            os.environ,
            f"{web}/health",
            [Port(settings.web_host, settings.web_port, "PASSES_WEB_PORT")],
        ),
        Child("worker", [*program, "worker"], os.environ),
        Child(
            "emulators",
            [*program, "emulate"],
            os.environ,
            f"{phone}/health",
            [
                Port("127.0.0.1", settings.phone_port, "PASSES_PHONE_PORT"),
                Port("127.0.0.1", settings.apns_port, "PASSES_APNS_PORT"),
            ],
        ),
    ]

    def ready() -> None:
        print(f"\n  Open {settings.public_url}/\n\n  Ctrl-C ends everything.", flush=True)

    return supervise(children, ready=ready, out=lambda words: print(words, flush=True))


def _serve(_parsed: argparse.Namespace) -> int:
    from passes.wiring import build

    settings = _settings()
    # Refusals are shown here, in one sentence, before processes are started.
    build(settings).close()
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    server = Granian(
        "app:serve",
        factory=True,
        address=settings.web_host,
        port=settings.web_port,
        interface=Interfaces.WSGI,
        workers=settings.web_processes,
        blocking_threads=settings.web_threads,
        log_level=LogLevels.warning,
        workers_kill_timeout=3,
        websockets=False,
    )
    server.serve()
    return 0


def _worker(parsed: argparse.Namespace) -> int:
    from passes import worker
    from passes.wiring import build, wallets

    settings = _settings()
    installation = build(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    reached = wallets(settings, installation.clock)
    try:
        if parsed.once:
            worker.step(installation, reached)
        else:
            worker.run(installation, reached, stop=stop)
    finally:
        for wallet in reached.values():
            wallet.close()
        installation.close()
    return 0


def _emulate(_parsed: argparse.Namespace) -> int:
    from passes.clock import clock
    from passes.emulators import process

    settings = _settings()
    if not settings.development:
        raise CannotStart("The emulators belong to development: set PASSES_MODE=development.")
    process.run(
        apns_port=settings.apns_port,
        phone_port=settings.phone_port,
        certs=settings.certs,
        state=settings.var / "emulators",
        service_url=settings.public_url,
        clock=clock(settings.clock_file),
    )
    return 0


# Setting up ----------------------------------------------------------------------


def _migrate(_parsed: argparse.Namespace) -> object:
    from passes.wiring import migrate

    migrate(_settings())
    return {"schema": "current"}


def _doctor(parsed: argparse.Namespace) -> int:
    from passes import doctor

    findings = doctor.examine(_settings())
    if parsed.json:
        print(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            print(f"{'✓' if finding.right else '✗'} {finding.subject}: {finding.words}")
    return 0 if all(finding.right for finding in findings) else 1


def _demo(_parsed: argparse.Namespace) -> object:
    from passes import demo
    from passes.wiring import build, prepare

    settings = _settings()
    if not settings.development:
        raise CannotStart("The demonstration belongs to development: set PASSES_MODE=development.")
    prepare(settings)
    installation = build(settings)
    try:
        return demo.fill(installation)
    finally:
        installation.close()


def _certs_dev(_parsed: argparse.Namespace) -> object:
    from passes.apple.certificates import make_development_chain
    from passes.clock import clock
    from passes.wiring import DEVELOPMENT_PASS_TYPE, DEVELOPMENT_TEAM

    settings = _settings()
    if not settings.development:
        raise CannotStart("A throw-away chain is of no use in production: set PASSES_MODE=development.")
    make_development_chain(
        settings.certs,
        pass_type=DEVELOPMENT_PASS_TYPE,
        team=DEVELOPMENT_TEAM,
        now=clock(settings.clock_file)(),
    )
    return {"certificates": str(settings.certs), "pass_type": DEVELOPMENT_PASS_TYPE}


def _certs_request(parsed: argparse.Namespace) -> object:
    from passes.apple.certificates import make_request

    settings = _settings()
    try:
        key_file, request_file = make_request(settings.certs, pass_type=parsed.pass_type, email=parsed.email)
    except FileExistsError as problem:
        raise CannotStart(
            f"{settings.certs / 'pass.key'} exists already, and may be the only key to a certificate in use."
        ) from problem
    return {"key": str(key_file), "request": str(request_file)}


def _keys_create(_parsed: argparse.Namespace) -> object:
    from passes.server_keys import ServerKeys

    settings = _settings()
    keys = ServerKeys.create(settings.server_key_file)
    return {"file": str(settings.server_key_file), "key": keys.current_id}


def _staff_add(parsed: argparse.Namespace) -> object:
    from passes import access

    if sys.stdin.isatty():
        from getpass import getpass

        password = getpass("Password: ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    installation = _installation()
    try:
        access.add_staff(
            installation.store,
            login=parsed.login,
            name=parsed.name,
            password=password,
            grants=[access.Grant(parsed.programme, access.Role(parsed.role))],
            now=installation.clock(),
        )
    finally:
        installation.close()
    return {"login": parsed.login, "programme": parsed.programme, "role": parsed.role}


def _programme_load(parsed: argparse.Namespace) -> object:
    from passes import programmes

    installation = _installation()
    try:
        loaded = []
        for path in parsed.files:
            try:
                source = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as problem:
                raise CannotStart(f"{path} cannot be read as text.") from problem
            answer = programmes.load(
                installation.store,
                name=path.stem,
                source=source,
                pass_type=installation.office.signer.pass_type,
                now=installation.clock(),
            )
            loaded.append(asdict(answer))
        return loaded
    finally:
        installation.close()


def _programme_list(_parsed: argparse.Namespace) -> object:
    from passes.store import programmes

    installation = _installation()
    try:
        with installation.store.read() as read:
            return [
                {
                    "programme": loaded.slug,
                    "version": loaded.version,
                    "name": loaded.programme.name.in_(loaded.programme.language),
                }
                for loaded in programmes.every(read)
            ]
    finally:
        installation.close()


def _ledger_verify(parsed: argparse.Namespace) -> int:
    from passes import books

    installation = _installation()
    try:
        verified = books.verify(installation.store)
    finally:
        installation.close()
    if parsed.json:
        print(json.dumps(asdict(verified)))
    else:
        for problem in verified.problems:
            print(problem, file=sys.stderr)
        state = "The books are right" if verified.right else "The books are WRONG"
        print(
            f"{state}: {verified.postings} postings, {verified.accounts} accounts, "
            f"{verified.lots} lots, {verified.blocks} blocks."
        )
    return 0 if verified.right else 1


def _ledger_balance(parsed: argparse.Namespace) -> object:
    from passes import books

    def work(installation: Installation, now: datetime) -> object:
        at, known_at = parsed.at or now, parsed.known_at or now
        balance = books.balance_as_of(
            installation.store, programme=parsed.programme, code=parsed.code, at=at, known_at=known_at
        )
        return {"balance": balance, "at": at, "known_at": known_at}

    return _at_counter(work)


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return at


# At the counter --------------------------------------------------------------------


def _enrol(parsed: argparse.Namespace) -> object:
    from passes import enrolment

    def work(installation: Installation, now: datetime) -> object:
        return enrolment.join(
            installation.store,
            programme=parsed.programme,
            name=parsed.name,
            email=parsed.email,
            language=parsed.language or _language(installation, parsed.programme),
            consents=dict.fromkeys(parsed.agree, True),
            source=enrolment.Source("cli", location=parsed.location),
            key=_key(parsed),
            keys=installation.keys,
            now=now,
        )

    return _at_counter(work)


def _card(parsed: argparse.Namespace) -> object:
    from passes import checkout, issuing

    def work(installation: Installation, now: datetime) -> object:
        language = _language(installation, parsed.programme)
        view = checkout.look(
            installation.store, programme=parsed.programme, code=parsed.code, language=language, now=now
        )
        if parsed.output is not None:
            bundle = issuing.export(
                installation.store,
                installation.office,
                programme=parsed.programme,
                card_id=view.card_id,
                now=now,
            )
            parsed.output.write_bytes(bytes(bundle))
        return view

    return _at_counter(work)


def _accrue(parsed: argparse.Namespace) -> object:
    from passes import checkout

    return _at_counter(
        lambda installation, now: checkout.accrue(
            installation.store,
            programme=parsed.programme,
            code=parsed.code,
            amount_minor=_amount(installation, parsed),
            key=_key(parsed),
            at=_counter(parsed),
            now=now,
        )
    )


def _redeem(parsed: argparse.Namespace) -> object:
    from passes import checkout

    return _at_counter(
        lambda installation, now: checkout.redeem(
            installation.store,
            programme=parsed.programme,
            code=parsed.code,
            reward=parsed.reward,
            key=_key(parsed),
            at=_counter(parsed),
            now=now,
        )
    )


def _undo(parsed: argparse.Namespace) -> object:
    from passes import checkout

    return _at_counter(
        lambda installation, now: checkout.undo(
            installation.store,
            programme=parsed.programme,
            receipt_id=parsed.receipt,
            key=_key(parsed),
            at=_counter(parsed),
            now=now,
        )
    )


def _sale(parsed: argparse.Namespace) -> object:
    from passes import checkout

    return _at_counter(
        lambda installation, now: checkout.sale(
            installation.store,
            programme=parsed.programme,
            amount_minor=_amount(installation, parsed),
            key=_key(parsed),
            at=_counter(parsed),
            now=now,
        )
    )


def _at_counter(work: Callable[[Installation, datetime], object]) -> object:
    installation = _installation()
    try:
        return work(installation, installation.clock())
    finally:
        installation.close()


def _counter(parsed: argparse.Namespace) -> Any:
    from passes.loyalty.receipt import Counter

    return Counter(location=parsed.location, till=parsed.till or "command line")


def _key(parsed: argparse.Namespace) -> str:
    return parsed.key if parsed.key is not None else f"cli-{uuid4()}"


def _language(installation: Installation, programme: str) -> str:
    from passes.store import programmes

    with installation.store.read() as read:
        return programmes.by_slug(read, programme).programme.language


def _amount(installation: Installation, parsed: argparse.Namespace) -> int:
    from passes.loyalty.money import parse_amount
    from passes.store import programmes

    with installation.store.read() as read:
        currency = programmes.by_slug(read, parsed.programme).programme.currency
    return parse_amount(parsed.amount, currency)
