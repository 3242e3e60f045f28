"""Commands of the counter: enrol, look, book, redeem, undo, sell, and what a card held when."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from passes.cli.opening import opened

if TYPE_CHECKING:
    from passes.loyalty.receipt import Counter
    from passes.wiring import Installation


def enrol(parsed: argparse.Namespace) -> object:
    """Make a member with a card."""
    from passes import enrolment

    with opened() as installation:
        return enrolment.join(
            installation.store,
            programme=parsed.programme,
            name=parsed.name,
            email=parsed.email,
            language=_language(installation, parsed.programme, parsed.language),
            consents=dict.fromkeys(parsed.agree, True),
            source=enrolment.Source("cli", location=parsed.location),
            key=_key(parsed),
            keys=installation.keys,
            now=installation.clock(),
        )


def card(parsed: argparse.Namespace) -> object:
    """Show a card; with `--output`, also write its file."""
    from passes import checkout, issuing

    with opened() as installation:
        now = installation.clock()
        view = checkout.look(
            installation.store,
            programme=parsed.programme,
            code=parsed.code,
            language=_language(installation, parsed.programme),
            now=now,
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


def accrue(parsed: argparse.Namespace) -> object:
    """Book a purchase."""
    from passes import checkout

    with opened() as installation:
        return checkout.accrue(
            installation.store,
            programme=parsed.programme,
            code=parsed.code,
            amount_minor=_amount(installation, parsed),
            key=_key(parsed),
            at=_counter(parsed),
            now=installation.clock(),
        )


def redeem(parsed: argparse.Namespace) -> object:
    """Exchange points for a reward."""
    from passes import checkout

    with opened() as installation:
        return checkout.redeem(
            installation.store,
            programme=parsed.programme,
            code=parsed.code,
            reward=parsed.reward,
            key=_key(parsed),
            at=_counter(parsed),
            now=installation.clock(),
        )


def undo(parsed: argparse.Namespace) -> object:
    """Reverse a receipt."""
    from passes import checkout

    with opened() as installation:
        return checkout.undo(
            installation.store,
            programme=parsed.programme,
            receipt_id=parsed.receipt,
            key=_key(parsed),
            at=_counter(parsed),
            now=installation.clock(),
        )


def sale(parsed: argparse.Namespace) -> object:
    """Book a sale without a member."""
    from passes import checkout

    with opened() as installation:
        return checkout.sale(
            installation.store,
            programme=parsed.programme,
            amount_minor=_amount(installation, parsed),
            key=_key(parsed),
            at=_counter(parsed),
            now=installation.clock(),
        )


def balance(parsed: argparse.Namespace) -> object:
    """What a card held at an instant, as known at another."""
    from passes import books

    with opened() as installation:
        now = installation.clock()
        at, known_at = parsed.at or now, parsed.known_at or now
        held = books.balance_as_of(
            installation.store, programme=parsed.programme, code=parsed.code, at=at, known_at=known_at
        )
    return {"balance": held, "at": at, "known_at": known_at}


def instant(text: str) -> datetime:
    """An instant from the command line, ISO 8601 with a zone. Raises ValueError."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return at


def _counter(parsed: argparse.Namespace) -> Counter:
    from passes.loyalty.receipt import Counter

    return Counter(location=parsed.location, till=parsed.till or "command line")


def _key(parsed: argparse.Namespace) -> str:
    return parsed.key if parsed.key is not None else f"cli-{uuid4()}"


def _language(installation: Installation, programme: str, wanted: str | None = None) -> str:
    from passes.language import choose
    from passes.store import programmes

    with installation.store.read() as read:
        return choose(wanted, programmes.by_slug(read, programme).programme.languages)


def _amount(installation: Installation, parsed: argparse.Namespace) -> int:
    from passes.loyalty.money import parse_amount
    from passes.store import programmes

    with installation.store.read() as read:
        currency = programmes.by_slug(read, parsed.programme).programme.currency
    return parse_amount(parsed.amount, currency)
