"""Commands that set up and look after an installation."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from passes.cli.opening import opened, read_settings
from passes.settings import CannotStart


def migrate(_parsed: argparse.Namespace) -> object:
    """Bring the database to the newest schema."""
    from passes.wiring import migrate

    migrate(read_settings())
    return {"schema": "current"}


def doctor(parsed: argparse.Namespace) -> int:
    """Look over the installation; status 1 when something is wrong."""
    from passes import doctor

    findings = doctor.examine(read_settings())
    if parsed.json:
        print(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            print(f"{'✓' if finding.right else '✗'} {finding.subject}: {finding.words}")
    return 0 if all(finding.right for finding in findings) else 1


def demo(parsed: argparse.Namespace) -> object:
    """Prepare development and load the demonstration."""
    from passes import demo
    from passes.wiring import build, prepare

    settings = read_settings()
    if not settings.development:
        raise CannotStart("The demonstration belongs to development: set PASSES_MODE=development.")
    prepare(settings)
    installation = build(settings)
    try:
        return demo.fill(installation, history_share=1.0 if parsed.history else 0.0)
    finally:
        installation.close()


def certs_dev(_parsed: argparse.Namespace) -> object:
    """Make a throw-away chain."""
    from passes.apple.certificates import make_development_chain
    from passes.clock import clock
    from passes.wiring import DEVELOPMENT_PASS_TYPE, DEVELOPMENT_TEAM

    settings = read_settings()
    if not settings.development:
        raise CannotStart("A throw-away chain is of no use in production: set PASSES_MODE=development.")
    make_development_chain(
        settings.certs,
        pass_type=DEVELOPMENT_PASS_TYPE,
        team=DEVELOPMENT_TEAM,
        now=clock(settings.clock_file)(),
    )
    return {"certificates": str(settings.certs), "pass_type": DEVELOPMENT_PASS_TYPE}


def certs_request(parsed: argparse.Namespace) -> object:
    """Make a key and a signing request for Apple's portal."""
    from passes.apple.certificates import make_request

    settings = read_settings()
    try:
        key_file, request_file = make_request(settings.certs, pass_type=parsed.pass_type, email=parsed.email)
    except FileExistsError as problem:
        raise CannotStart(
            f"{settings.certs / 'pass.key'} exists already, and may be the only key to a certificate in use."
        ) from problem
    return {"key": str(key_file), "request": str(request_file)}


def keys_create(_parsed: argparse.Namespace) -> object:
    """Make the server key, unless there is one."""
    from passes.server_keys import ServerKeys

    settings = read_settings()
    keys = ServerKeys.create(settings.server_key_file)
    return {"file": str(settings.server_key_file), "key": keys.current_id}


def staff_add(parsed: argparse.Namespace) -> object:
    """Add a person; the password comes from standard input."""
    from passes import access

    if sys.stdin.isatty():
        from getpass import getpass

        password = getpass("Password: ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    with opened() as installation:
        access.add_staff(
            installation.store,
            login=parsed.login,
            name=parsed.name,
            password=password,
            grants=[access.Grant(parsed.programme, access.Role(parsed.role))],
            now=installation.clock(),
        )
    return {"login": parsed.login, "programme": parsed.programme, "role": parsed.role}


def programme_load(parsed: argparse.Namespace) -> object:
    """Check programme files and make them current."""
    from passes import programmes

    with opened() as installation:
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


def programme_list(_parsed: argparse.Namespace) -> object:
    """Which programmes there are."""
    from passes.store import programmes

    with opened() as installation, installation.store.read() as read:
        return [
            {
                "programme": loaded.slug,
                "version": loaded.version,
                "name": loaded.programme.name.in_(loaded.programme.language),
            }
            for loaded in programmes.every(read)
        ]


def due(_parsed: argparse.Namespace) -> object:
    """Do everything that is due now: points that open or lapse, levels, holds, birthdays, notices."""
    from passes import due_work

    with opened() as installation:
        return due_work.run_due(installation.store, now=installation.clock())


def ledger_verify(parsed: argparse.Namespace) -> int:
    """Prove the books; status 1 when they are wrong."""
    from passes import books

    with opened() as installation:
        verified = books.verify(installation.store)
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
