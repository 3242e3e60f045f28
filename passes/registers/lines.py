"""An order's lines as the programme's rules see them: whole units a piece, categories of ours."""

from __future__ import annotations

from collections.abc import Sequence

from passes.loyalty.basket import KEY_LETTERS_MAX, NAME_LETTERS_MAX, Line
from passes.loyalty.letters import cleaned
from passes.loyalty.programme import Programme
from passes.registers.keeping import Places
from passes.registers.orders import Nature, OrderLine


def as_lines(rules: Programme, places: Places, sold: Sequence[OrderLine]) -> tuple[Line, ...]:
    """The lines as our rules see them; none where only the amount is known."""
    lone = sold[0]
    if len(sold) == 1 and lone.nature is Nature.GOODS and not (lone.name or lone.sku or lone.marks):
        return () if lone.net_minor else (Line(lone.quantity, lone.gross_minor, lone.gross_minor),)
    return tuple(_line(rules, places, line) for line in sold)


def _line(rules: Programme, places: Places, line: OrderLine) -> Line:
    # Whole units a piece: what is added by that is a discount again.
    unit = -(-max(line.gross_minor, line.net_minor) // line.quantity)
    return Line(
        quantity=line.quantity,
        unit_minor=unit,
        discount_minor=unit * line.quantity - line.net_minor,
        sku=cleaned(line.sku or "", KEY_LETTERS_MAX) or None,
        name=cleaned(line.name or "", NAME_LETTERS_MAX) or None,
        category=_category(rules, places, line),
        brand=cleaned(line.brand or "", KEY_LETTERS_MAX) or None,
        tax_minor=line.tax_minor,
    )


def _category(rules: Programme, places: Places, line: OrderLine) -> str | None:
    marks = line.marks if line.nature is Nature.GOODS else (line.nature.value,)
    for mark in (one.casefold() for one in marks):
        if (ours := places.categories.get(mark, mark)) in rules.categories:
            return ours
    return None
