"""Labelled values side by side: who gets how much room, and what is cut when there is too little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from passes.faces.lettering import LIGHT, SEMIBOLD, Line, fit, width


@dataclass(frozen=True, slots=True)
class Column:
    """One field: where it begins and what of it is shown."""

    left: float
    label: Line
    value: Line


def side_by_side(
    fields: Sequence[tuple[str, str]],
    *,
    left: float,
    right: float,
    gap: float,
    most: float,
    least: float,
    label: float,
) -> tuple[Column, ...]:
    """Fields (label, value) from `left` to `right`, the last one ending there.

    All values have one size, the largest from `most` to `least` at which they
    and their labels fit. Where even that is too wide, values stay whole and
    labels are cut; only where the values alone are too wide are they cut too.
    """
    if not fields:
        return ()
    count = len(fields)
    labels, texts = [one for one, _ in fields], [text for _, text in fields]
    space = right - left - gap * (count - 1)
    label_widths = [width(text, label, SEMIBOLD) for text in labels]
    size = _common_size(texts, label_widths, space, most, least)
    wanted = [width(text, size, LIGHT) for text in texts]
    if sum(wanted) > space:
        # A long name is cut anyway: its neighbours need not lose their labels to it.
        wanted = [max(pair) for pair in zip(wanted, label_widths, strict=True)]
    rooms = shares(wanted, space)
    values = [fit(text, room, size=size, weight=LIGHT) for text, room in zip(texts, rooms, strict=True)]
    taken = [value.width for value in values]
    missing = [max(0.0, wide - used) for wide, used in zip(label_widths, taken, strict=True)]
    given = shares(missing, max(0.0, space - sum(taken)))
    wide = [used + more for used, more in zip(taken, given, strict=True)]
    spare = space - sum(wide)
    between = gap + spare / (count - 1) if count > 1 else 0.0
    columns, x = [], left
    for place, room in enumerate(wide):
        # A value that a script replaces may grow until shortly before its neighbour.
        window = room + between - gap if place < count - 1 else right - x
        columns.append(
            Column(
                x,
                fit(labels[place], room, size=label, weight=SEMIBOLD),
                replace(values[place], room=max(window, values[place].width)),
            )
        )
        x += room + between
    return tuple(columns)


def _common_size(
    texts: Sequence[str], at_least: Sequence[float], space: float, most: float, least: float
) -> float:
    """The largest size, in tenths, at which the texts fit, each with its least width."""
    size = most
    while size > least:
        wide = sum(max(width(text, size, LIGHT), low) for text, low in zip(texts, at_least, strict=True))
        if wide <= space:
            break
        size = max(least, min(size - 0.1, int(size * space / wide * 10) / 10))
    return size


def shares(wanted: Sequence[float], space: float) -> list[float]:
    """Room for each: what it wants if all fit, else the modest ones first and the rest in equal parts."""
    given = [0.0] * len(wanted)
    by_modesty = sorted(range(len(wanted)), key=lambda place: wanted[place])
    for done, place in enumerate(by_modesty):
        given[place] = min(wanted[place], space / (len(wanted) - done))
        space -= given[place]
    return given
