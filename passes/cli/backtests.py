"""`passes programme backtest`: what the last purchases would have earned under a new programme file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passes.cli.opening import opened
from passes.settings import CannotStart

if TYPE_CHECKING:
    from passes.backtest import BacktestFigures

DAYS_MAX = 3_660


def register(group: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command below `group`."""
    trying = add("backtest", backtest, "what the last purchases would have earned under new rules", group)
    trying.add_argument("file", type=Path, help="the programme file to try")
    trying.add_argument("--programme", help="whose purchases; if absent, the file's name says it")
    trying.add_argument("--days", type=_days, default=90, help="how many days before today (90)")
    trying.add_argument(
        "--redemption-rate",
        type=_share,
        default=Fraction(1),
        metavar="SHARE",
        help="the share of points ever used, where there is less than a year of history (1)",
    )
    trying.add_argument("--names", action="store_true", help="name the members who win or lose most")


def backtest(parsed: argparse.Namespace) -> object:
    """Try a programme file on the purchases of the last days. Nothing is written."""
    from passes import backtest as backtests

    try:
        source = parsed.file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise CannotStart(f"{parsed.file} cannot be read as text.") from problem
    with opened() as installation:
        found = backtests.backtest(
            installation.store,
            programme=parsed.programme or parsed.file.stem,
            source=source,
            days=parsed.days,
            redemption_rate=parsed.redemption_rate,
            with_names=parsed.names,
            now=installation.clock(),
        )

    if parsed.json:
        return _numbers(asdict(found))
    _print(found)
    return None


def _numbers(value: Any) -> Any:
    """With exact fractions as the numbers that JSON has."""
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    if isinstance(value, Mapping):
        return {name: _numbers(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_numbers(part) for part in value]
    return value


# In words ----------------------------------------------------------------------------


def _print(found: BacktestFigures) -> None:
    from passes.loyalty.money import decimal_text

    def amount(minor: int | None) -> str:
        return "unknown" if minor is None else f"{decimal_text(minor, found.currency)} {found.currency}"

    cost, liability = found.cost, found.liability
    print(f"{found.programme}, version {found.version}, {found.since:%Y-%m-%d} to {found.until:%Y-%m-%d}:")
    print(f"{found.purchases} purchases of {found.members} members; {found.refused} would be refused")
    _table(
        ("", "before", "after"),
        [
            ("points", found.points_before, found.points_after),
            *((f"  {one.rule}", one.before, one.after) for one in found.rules),
            ("stamps", found.stamps_before, found.stamps_after),
            ("cost", amount(cost.before_minor), amount(cost.after_minor)),
            ("points outstanding", liability.outstanding_before, liability.outstanding_after),
            ("expected to cost", amount(liability.before_minor), amount(liability.after_minor)),
        ],
    )
    share = f"{100 * float(liability.redemption_rate):.2f} % of points used, {liability.rate_from}"
    print(f"worth of a point: {cost.known_from_before}, then {cost.known_from_after}; {share}")
    for words, side in (("win", found.winners), ("lose", found.losers)):
        print(f"\n{side.members} members {words} {side.points} points")
        _table(
            ("member", "before", "after", "difference", "name"),
            [(one.member_id, one.before, one.after, one.difference, one.name or "") for one in side.largest],
        )
    print(f"\n{found.unchanged} members get the same")
    _table(
        ("tier", "before", "after", "at review"),
        [(one.tier, one.before, one.after, _blank(one.at_review)) for one in found.tiers],
    )
    _table(
        ("reward", "points before", "after", "members before", "after", "change"),
        [
            (
                one.reward,
                _blank(one.points_before),
                _blank(one.points_after),
                _blank(one.members_before),
                _blank(one.members_after),
                one.change,
            )
            for one in found.rewards
        ],
    )
    print()
    for note in found.notes:
        print(note)


def _blank(value: int | None) -> object:
    return "–" if value is None else value


def _table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    cells = [[str(cell) for cell in line] for line in lines]
    if not cells:
        return
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    for line in (head, *cells):
        first, *rest = (
            (cell.ljust if not place else cell.rjust)(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join((first, *rest)).rstrip())


def _days(text: str) -> int:
    days = int(text)
    if not 0 < days <= DAYS_MAX:
        raise argparse.ArgumentTypeError(f"from 1 to {DAYS_MAX} days")
    return days


def _share(text: str) -> Fraction:
    try:
        share = Fraction(text)
    except (ValueError, ZeroDivisionError) as problem:
        raise argparse.ArgumentTypeError("a share such as 0.85") from problem
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("from 0 to 1")
    return share
