"""`passes programme backtest`: what the last purchases would have earned under a new programme file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from passes.cli.opening import opened
from passes.settings import CannotStart

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
        return backtests.backtest(
            installation.store,
            programme=parsed.programme or parsed.file.stem,
            source=source,
            days=parsed.days,
            redemption_rate=parsed.redemption_rate,
            with_names=parsed.names,
            now=installation.clock(),
        )


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
