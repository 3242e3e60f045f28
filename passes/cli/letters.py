"""Commands for letters: what waits, what was given up, and whether the mail server takes one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from passes.cli.opening import opened
from passes.settings import CannotStart

if TYPE_CHECKING:
    from passes.mail import Post
    from passes.wiring import Installation


def register(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Tell the parser of these commands."""
    box = add("mail", mail_box, "letters to members: what waits and what was given up")
    below = box.add_subparsers(metavar="COMMAND")
    add("again", mail_again, "send what was given up within a month after all", below)
    testing = add("test", mail_test, "send a test letter, and say what is wrong if it does not go", below)
    testing.add_argument("address")


def mail_box(parsed: argparse.Namespace) -> int:
    """What waits, and what was given up within a month."""
    from passes import correspondence

    with opened() as installation:
        box = correspondence.box(installation.store, now=installation.clock())
        sends = installation.post is not None
    if parsed.json:
        print(json.dumps({"sends": sends, **asdict(box)}, default=str, ensure_ascii=False))
        return 0
    if not sends:
        print("No letters are sent: PASSES_MAIL_HOST is not set.")
    waiting = box.waiting
    since = f", the oldest since {waiting.oldest_at:%Y-%m-%d %H:%M} UTC" if waiting.oldest_at else ""
    print(f"waiting: {waiting.letters}{since}")
    if waiting.trouble:
        print(f"  The last attempt met: {waiting.trouble}")
    print(f"given up within a month: {len(box.given_up)}")
    for one in box.given_up:
        print(
            f"  {one.wanted_at:%Y-%m-%d %H:%M} UTC, {one.programme}, member {one.member_id}, "
            f"{one.kind} {one.about}: {one.trouble}"
        )
    return 0


def mail_again(_parsed: argparse.Namespace) -> object:
    """Send what was given up after all."""
    from passes import correspondence

    with opened() as installation:
        return {"letters": correspondence.try_again(installation.store, now=installation.clock())}


def mail_test(parsed: argparse.Namespace) -> int:
    """Send a test letter; status 1 and one sentence when it does not go."""
    with opened() as installation:
        if installation.post is None:
            raise CannotStart("No letters are sent: PASSES_MAIL_HOST is not set.")
        problem = _trial(installation, installation.post, parsed.address)
    if parsed.json:
        print(
            json.dumps({"to": parsed.address, "sent": problem is None, "words": problem}, ensure_ascii=False)
        )
    elif problem is None:
        print(f"The mail server took a letter to {parsed.address}. Look whether it arrived.")
    else:
        print(problem, file=sys.stderr)
    return 0 if problem is None else 1


def _trial(installation: Installation, post: Post, address: str) -> str | None:
    """What keeps a letter to this address from going out; None when it went."""
    from passes.mail import Letter, Taken

    now = installation.clock()
    words = f"The cards service at {installation.public_url} can send letters."
    letter = Letter(
        key=0,
        name=f"test.{now:%Y%m%d%H%M%S%f}",
        to=address,
        subject="A test letter",
        text=f"{words}\n",
        html=f"<!doctype html><p>{words}</p>\n",
        language="en",
    )
    outcomes: list[Any] = [outcome for _, outcome in post.deliver([letter])]
    return None if outcomes == [Taken()] else str(outcomes[0].reason)
