from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.money import CURRENCIES, Money, decimal_text, minor_digits, parse_amount
from passes.loyalty.refusals import AmountInvalid


@pytest.mark.parametrize(
    ("currency", "digits"),
    [("USD", 2), ("TRY", 2), ("JPY", 0), ("KWD", 3), ("ISK", 0), ("HUF", 2), ("IQD", 3)],
)
def test_each_currency_has_its_own_number_of_decimals(currency: str, digits: int) -> None:
    assert minor_digits(currency) == digits
    assert currency in CURRENCIES


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.40", "USD", 1240),
        ("12.4", "USD", 1240),
        (" 12 ", "USD", 1200),
        ("1,234.50", "USD", 123450),
        ("1 234.50", "USD", 123450),
        ("0.01", "USD", 1),
        ("1,234,567.89", "USD", 123456789),
        ("500", "JPY", 500),
        ("1.234", "KWD", 1234),
        ("١٢.٤٠", "USD", 1240),
    ],
)
def test_an_amount_is_read_as_english_people_type_it(text: str, currency: str, minor: int) -> None:
    assert parse_amount(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "minor"), [("12,40", 1240), ("1.234,50", 123450), ("1.234", 123400), ("1\u00a0234,5", 123450)]
)
def test_an_amount_is_read_as_turkish_people_type_it(text: str, minor: int) -> None:
    assert parse_amount(text, "TRY", decimal=",", group=".") == minor


@pytest.mark.parametrize(
    "text",
    ["", " ", "0", "0.00", "-5", "+5", "12.345", "12,40", "1,23,456.00", "1.234,50", "1..2", "1.2.3", ".",
     "12.", ".5", "1e5", "0x10", "NaN", "²", "12 €", "9" * 40, "10000000000.00", "1234,567.00", ",123",
     "12.-5"],
)  # fmt: skip
def test_what_is_not_clearly_one_positive_amount_is_refused(text: str) -> None:
    with pytest.raises(AmountInvalid):
        parse_amount(text, "USD")


def test_a_currency_without_decimals_refuses_them() -> None:
    with pytest.raises(AmountInvalid):
        parse_amount("5.0", "JPY")


@given(st.text(max_size=30), st.sampled_from(["USD", "JPY", "KWD"]), st.sampled_from([".,", ",.", ",\u202f"]))
def test_any_text_is_an_amount_or_refused(text: str, currency: str, signs: str) -> None:
    with contextlib.suppress(AmountInvalid):
        assert parse_amount(text, currency, decimal=signs[0], group=signs[1]) > 0


@given(st.integers(min_value=1, max_value=10**12 - 1), st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
def test_what_is_written_is_read_back(minor: int, currency: str) -> None:
    assert parse_amount(decimal_text(minor, currency), currency) == minor


def test_money_is_written_plainly_for_logs() -> None:
    assert str(Money(-1240, "USD")) == "-12.40 USD"
    assert str(Money(7, "JPY")) == "7 JPY"
    assert str(Money(7, "KWD")) == "0.007 KWD"
