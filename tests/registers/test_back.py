"""What has come back of an order depends on what came back, not on who told of it first."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.registers.back import Parts, SoldLine, come_back, everything, spread, still_due, within
from passes.registers.orders import GoodsRefunded, Nature

AT = datetime(2026, 3, 12, tzinfo=UTC)
SOLD = (
    SoldLine("a", Nature.GOODS, 3, 1000),
    SoldLine("b", Nature.GOODS, 1, 500),
    SoldLine("s", Nature.SHIPPING, 1, 490),
)


def refund(
    number: int, paid: int | None, pieces: dict[str, int] | None = None, **money: int
) -> GoodsRefunded:
    return GoodsRefunded("1", str(number), "USD", AT, pieces or {}, money, paid)


@pytest.mark.parametrize(
    ("refunds", "back"),
    [
        ([refund(1, 334, {"a": 1})], {1: (1, 333)}),
        ([refund(1, 500, {"b": 1})], {2: (1, 500)}),
        # Less than its price was paid out: the piece is back all the same.
        ([refund(1, 400, {"b": 1})], {2: (1, 500)}),
        # The shop adds five dollars: they belong to what stayed.
        ([refund(1, 1000, {"b": 1})], {1: (0, 336), 2: (1, 500), 3: (0, 164)}),
        ([refund(1, 490, s=490)], {3: (1, 490)}),
        ([refund(1, 200, shipping=200)], {3: (0, 200)}),
        ([refund(1, 1990)], everything(SOLD)),
        ([refund(1, 5000, {"a": 1})], everything(SOLD)),
        ([refund(1, None, {"a": 2}), refund(2, None, {"a": 2})], {1: (3, 1000)}),
        ([refund(1, 100, {"unknown": 1})], {1: (0, 51), 2: (0, 25), 3: (0, 24)}),
        ([], {}),
    ],
)
def test_refunds_bring_back(refunds: list[GoodsRefunded], back: dict[int, tuple[int, int]]) -> None:
    assert come_back(SOLD, refunds) == back


lines = st.lists(
    st.builds(
        SoldLine,
        key=st.sampled_from("abcdef"),
        nature=st.sampled_from([Nature.GOODS, Nature.SHIPPING, Nature.TIP]),
        quantity=st.integers(1, 5),
        paid_minor=st.integers(0, 3000),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda line: line.key,
)
refunds = st.lists(
    st.builds(
        refund,
        st.integers(),
        st.none() | st.integers(0, 6000),
        st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 3), max_size=3),
        s=st.just(0) | st.integers(0, 800),
    ),
    min_size=1,
    max_size=5,
)


@given(lines, refunds)
def test_each_refund_more_brings_more_on_no_line_less(
    sold: list[SoldLine], told: list[GoodsRefunded]
) -> None:
    whole = everything(sold)
    before: Parts = {}
    for count in range(1, len(told) + 1):
        after = come_back(sold, told[:count])
        for number, (quantity, money) in whole.items():
            had, has = before.get(number, (0, 0)), after.get(number, (0, 0))
            assert had[0] <= has[0] <= quantity
            assert had[1] <= has[1] <= money
            # All pieces take all their money along.
            assert has[0] < quantity or has[1] == money
        before = after
    assert come_back(sold, told) == come_back(sold, told[::-1])


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=8), st.data())
def test_a_split_adds_up_and_never_takes_back(weights: list[int], data: st.DataObject) -> None:
    whole = sum(weights)
    if not whole:
        return
    total = data.draw(st.integers(0, whole - 1))
    parts = spread(total, weights)
    assert sum(parts) == total
    assert all(0 <= part <= weight for part, weight in zip(parts, weights, strict=True))
    assert all(one <= more for one, more in zip(parts, spread(min(total + 1, whole), weights), strict=True))


def test_what_somebody_took_back_by_hand_is_not_taken_twice() -> None:
    due = still_due({1: (2, 600), 2: (1, 500)}, {1: (1, 300)})
    assert due == {1: (1, 300), 2: (1, 500)}
    assert within(due, {1: (1, 280), 2: (0, 0), 3: (1, 490)}) == {1: (1, 280)}
    assert within({1: (0, 300)}, {1: (2, 250)}) == {1: (0, 250)}
