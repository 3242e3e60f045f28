"""Commands for what no purchase earns: acts, corrections by hand, and members that are one person."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from passes.cli.opening import opened


def register(add: Callable[..., argparse.ArgumentParser], group: Callable[[str, str], Any]) -> None:
    """Tell the parser of these commands."""
    acts = group("act", "acts that the club thanks for")
    submitting = add("submit", act_submit, "report an act of a member", acts)
    submitting.add_argument("programme")
    submitting.add_argument("code")
    submitting.add_argument("action", help="the act's key in the programme")
    submitting.add_argument("words", help="what was done")
    deciding = add("decide", act_decide, "grant or refuse an act that waits", acts)
    deciding.add_argument("programme")
    deciding.add_argument("act", type=int)
    deciding.add_argument("decision", choices=("grant", "refuse"))
    listing = add("list", act_list, "acts that wait for a decision", acts)
    listing.add_argument("programme")
    listing.add_argument("--all", action="store_true", help="also those that were decided")

    adjusting = group("adjust", "points given or taken by hand")
    asking = add("book", adjust_book, "give points, or take them with a number below zero", adjusting)
    asking.add_argument("programme")
    asking.add_argument("code")
    asking.add_argument("points", type=int)
    asking.add_argument("reason", help="one of the programme's reasons")
    asking.add_argument("--note", required=True, help="for the shop")
    asking.add_argument("--words", required=True, help="for the member")
    approving = add("decide", adjust_decide, "approve or refuse a correction as the second person", adjusting)
    approving.add_argument("programme")
    approving.add_argument("adjustment", type=int)
    approving.add_argument("decision", choices=("approve", "refuse"))
    add("list", adjust_list, "the newest corrections", adjusting).add_argument("programme")
    for sub in (asking, approving):
        sub.add_argument("--allow-negative", action="store_true", help="even if the balance goes below zero")

    merging = group("merge", "members that are one person")
    add("find", merge_find, "pairs that may be one person", merging).add_argument("programme")
    doing = add("do", merge_do, "make one member of two", merging)
    doing.add_argument("programme")
    doing.add_argument("survivor", help="a code of the member who stays")
    doing.add_argument("loser", help="a code of the member who goes")
    undoing = add("undo", merge_undo, "take a merge apart again", merging)
    undoing.add_argument("programme")
    undoing.add_argument("merge", type=int)
    for sub in (doing, undoing):
        sub.add_argument("--proof", required=True, help="how you know")
    for sub in (submitting, deciding, asking, approving, doing, undoing):
        sub.add_argument("--by", required=True, metavar="LOGIN", help="who does this")
        sub.add_argument("--key", default=None, help="name this request, so that repeating it is harmless")


def act_submit(parsed: argparse.Namespace) -> object:
    """Report an act of a member."""
    from passes import club

    with opened() as installation:
        return club.submit(
            installation.store,
            programme=parsed.programme,
            code=parsed.code,
            action=parsed.action,
            words=parsed.words,
            key=_key(parsed),
            by=parsed.by,
            now=installation.clock(),
        )


def act_decide(parsed: argparse.Namespace) -> object:
    """Grant or refuse an act that waits."""
    from passes import club

    with opened() as installation:
        return club.decide(
            installation.store,
            programme=parsed.programme,
            act_id=parsed.act,
            grant=parsed.decision == "grant",
            key=_key(parsed),
            by=parsed.by,
            now=installation.clock(),
        )


def act_list(parsed: argparse.Namespace) -> object:
    """Acts that wait for a decision, or all of them."""
    from dataclasses import asdict

    from passes import club

    with opened() as installation:
        found = club.acts(installation.store, programme=parsed.programme, only_waiting=not parsed.all)
    return [asdict(one) for one in found]


def adjust_book(parsed: argparse.Namespace) -> object:
    """Give or take points by hand."""
    from passes import club

    with opened() as installation:
        return club.adjust(
            installation.store,
            programme=parsed.programme,
            code=parsed.code,
            points=parsed.points,
            reason=parsed.reason,
            note=parsed.note,
            words=parsed.words,
            by=parsed.by,
            key=_key(parsed),
            allow_negative=parsed.allow_negative,
            now=installation.clock(),
        )


def adjust_decide(parsed: argparse.Namespace) -> object:
    """Approve or refuse a correction as the second person."""
    from passes import club

    with opened() as installation:
        return club.approve(
            installation.store,
            programme=parsed.programme,
            adjustment_id=parsed.adjustment,
            grant=parsed.decision == "approve",
            key=_key(parsed),
            by=parsed.by,
            allow_negative=parsed.allow_negative,
            now=installation.clock(),
        )


def adjust_list(parsed: argparse.Namespace) -> object:
    """The newest corrections."""
    from dataclasses import asdict

    from passes import club

    with opened() as installation:
        found = club.adjustments(installation.store, programme=parsed.programme)
    return [asdict(one) for one in found]


def merge_find(parsed: argparse.Namespace) -> object:
    """Pairs of members that may be one person."""
    from dataclasses import asdict

    from passes import merging

    with opened() as installation:
        found = merging.find(installation.store, programme=parsed.programme)
    return [asdict(pair) for pair in found]


def merge_do(parsed: argparse.Namespace) -> object:
    """Make one member of two."""
    from passes import merging

    with opened() as installation:
        return merging.merge(
            installation.store,
            programme=parsed.programme,
            survivor=parsed.survivor,
            loser=parsed.loser,
            proof=parsed.proof,
            by=parsed.by,
            key=_key(parsed),
            now=installation.clock(),
        )


def merge_undo(parsed: argparse.Namespace) -> object:
    """Take a merge apart again."""
    from passes import merging

    with opened() as installation:
        return merging.undo(
            installation.store,
            programme=parsed.programme,
            merge_id=parsed.merge,
            proof=parsed.proof,
            by=parsed.by,
            key=_key(parsed),
            now=installation.clock(),
        )


def _key(parsed: argparse.Namespace) -> str:
    return parsed.key if parsed.key is not None else f"cli-{uuid4()}"
