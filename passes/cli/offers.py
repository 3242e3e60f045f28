"""Commands of the marketer: plan an offer, publish it, pause it, end it; what members wish for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from passes.cli.opening import opened


def register(add: Callable[..., argparse.ArgumentParser], group: Callable[[str, str], Any]) -> None:
    """Tell the parser of these commands."""
    offers = group("offer", "limited-time offers")
    planning = add("plan", plan, "check an offer file and keep it as a draft", offers)
    planning.add_argument("programme")
    planning.add_argument("file", type=Path, help="its name becomes the offer's key")
    planning.add_argument("--by", metavar="LOGIN", help="who plans it")
    for name, command, words in (
        ("publish", publish, "let a draft run: at once, or when its window begins"),
        ("pause", pause, "stop an offer for a while"),
        ("resume", resume, "let a paused offer go on"),
        ("end", end, "end an offer for good, before its time"),
        ("show", show, "one offer, and what was used of it"),
        ("reach", reach, "whom it would reach now, which phones ring, and how many are held out"),
        ("progress", progress, "how many phones were told of its last change"),
    ):
        sub = add(name, command, words, offers)
        sub.add_argument("programme")
        sub.add_argument("key")
    making = add("codes", codes, "make single-use codes; they are shown once", offers)
    making.add_argument("programme")
    making.add_argument("key")
    making.add_argument("--count", type=int, default=1)
    add("list", every, "all offers of a programme", offers).add_argument("programme")
    for name, command, words in (
        ("wish", wish, "remember that a member wants to hear of a product"),
        ("unwish", unwish, "forget a member's wish"),
    ):
        sub = add(name, command, words, offers)
        sub.add_argument("programme")
        sub.add_argument("code")
        sub.add_argument("product")
    add("wishes", wishes, "how many members asked for each product", offers).add_argument("programme")


def plan(parsed: argparse.Namespace) -> object:
    """Check an offer file and keep it as a draft."""
    from passes import campaigns
    from passes.loyalty.refusals import OfferInvalid

    try:
        source = parsed.file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        words = f"{parsed.file} cannot be read: {getattr(problem, 'strerror', None) or 'it is not UTF-8'}"
        raise OfferInvalid(summary=words, problems=[words]) from problem
    with opened() as installation:
        return campaigns.plan(
            installation.store,
            programme=parsed.programme,
            name=parsed.file.name,
            source=source,
            person=parsed.by,
            now=installation.clock(),
        )


def publish(parsed: argparse.Namespace) -> object:
    """Let a draft run."""
    from passes import campaigns

    return _moved(parsed, campaigns.publish)


def pause(parsed: argparse.Namespace) -> object:
    """Stop an offer for a while."""
    from passes import campaigns

    return _moved(parsed, campaigns.pause)


def resume(parsed: argparse.Namespace) -> object:
    """Let a paused offer go on."""
    from passes import campaigns

    return _moved(parsed, campaigns.resume)


def end(parsed: argparse.Namespace) -> object:
    """End an offer for good."""
    from passes import campaigns

    return _moved(parsed, campaigns.end)


def reach(parsed: argparse.Namespace) -> object:
    """Whom it would reach now."""
    from passes import campaigns

    return _moved(parsed, campaigns.reach)


def progress(parsed: argparse.Namespace) -> object:
    """How far its last change has come."""
    from passes import campaigns

    with opened() as installation:
        return campaigns.progress(installation.store, programme=parsed.programme, key=parsed.key)


def _moved(parsed: argparse.Namespace, command: Callable[..., object]) -> object:
    with opened() as installation:
        return command(
            installation.store, programme=parsed.programme, key=parsed.key, now=installation.clock()
        )


def show(parsed: argparse.Namespace) -> object:
    """One offer."""
    from passes import campaigns

    with opened() as installation:
        return campaigns.show(installation.store, programme=parsed.programme, key=parsed.key)


def every(parsed: argparse.Namespace) -> object:
    """All offers of a programme."""
    from dataclasses import asdict

    from passes import campaigns

    with opened() as installation:
        return [asdict(view) for view in campaigns.every(installation.store, programme=parsed.programme)]


def codes(parsed: argparse.Namespace) -> object:
    """Make single-use codes."""
    from passes import campaigns

    with opened() as installation:
        return campaigns.make_codes(
            installation.store,
            programme=parsed.programme,
            key=parsed.key,
            count=parsed.count,
            now=installation.clock(),
        )


def wish(parsed: argparse.Namespace) -> object:
    """Remember a wish."""
    from passes import campaigns

    with opened() as installation:
        is_new = campaigns.wish(
            installation.store,
            programme=parsed.programme,
            code=parsed.code,
            product=parsed.product,
            now=installation.clock(),
        )
    return {"product": parsed.product, "new": is_new}


def unwish(parsed: argparse.Namespace) -> object:
    """Forget a wish."""
    from passes import campaigns

    with opened() as installation:
        was_known = campaigns.unwish(
            installation.store, programme=parsed.programme, code=parsed.code, product=parsed.product
        )
    return {"product": parsed.product, "forgotten": was_known}


def wishes(parsed: argparse.Namespace) -> object:
    """How many members asked for each product."""
    from passes import campaigns

    with opened() as installation:
        return campaigns.wishes(installation.store, programme=parsed.programme)
