"""What was measured, what bounds it, and whether that is good enough.

Machines differ and have moods, so a figure means little by itself: wherever
something bounds or rivals us it is measured in the same run, in turns, and the
ratio of the medians counts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

FULL = os.environ.get("BENCH") == "full"
"""Whether to take the minutes that a million cards need."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    `target` is for `value / limit` where there is a limit, else for `value`;
    it is the least that is good, or with `at_most` the most.
    """

    name: str
    value: float
    unit: str
    target: float
    limit: float | None = None
    at_most: bool = False

    @property
    def figure(self) -> float:
        """What the target is held against."""
        return self.value if self.limit is None else self.value / self.limit

    @property
    def good(self) -> bool:
        """Whether the target is reached."""
        return self.figure <= self.target if self.at_most else self.figure >= self.target


class NotMeasured(Exception):
    """Something that the comparison needs is missing; the sentence says how to get it."""


Measure = Callable[[], Iterable[Row]]


def alone(measure: Measure) -> int:
    """Print the rows of one benchmark. Returns the exit status: 1 when one of them falls short."""
    return show(measured(measure))


def measured(measure: Measure) -> list[Row]:
    """The rows of one benchmark; what is missing on this machine is said, not hidden."""
    rows = []
    try:
        for row in measure():
            rows.append(row)
            print(_line(row), file=sys.stderr, flush=True)
    except NotMeasured as missing:
        print(f"not measured: {missing}", flush=True)
    return rows


def show(rows: Sequence[Row]) -> int:
    """Print the table. Returns the exit status: 1 when a row falls short of its target."""
    width = max((len(row.name) for row in rows), default=0)
    print(f"{'':{width}}  {'measured':>16}  {'beside it':>10}  {'ratio':>7}  target")
    for row in rows:
        print(_line(row, width))
    return 0 if all(row.good for row in rows) else 1


def _line(row: Row, width: int = 0) -> str:
    limit = "" if row.limit is None else _number(row.limit)
    ratio = "" if row.limit is None else f"{row.figure:.2f}"
    sign = "≤" if row.at_most else "≥"
    verdict = "ok" if row.good else "short"
    value = f"{_number(row.value)} {row.unit}"
    return (
        f"{row.name:{width}}  {value:>16}  {limit:>10}  {ratio:>7}  {sign} {_number(row.target):<6} {verdict}"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
