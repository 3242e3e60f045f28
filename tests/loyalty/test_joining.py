"""What people answer when they join, brought into one form or refused."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.joining import (
    Asked,
    Joining,
    clean_birthday,
    clean_email,
    clean_name,
    clean_phone,
)
from passes.loyalty.refusals import (
    BirthdayInvalid,
    EmailInvalid,
    NameInvalid,
    PhoneInvalid,
    Refused,
)

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Ana \t Reyes ", "Ana Reyes"),
        ("Zoë\n<script>alert(1)</script>", "Zoë <script>alert(1)</script>"),
        ("\u202eAna\u202c", "Ana"),
        ("ليلى حداد", "ليلى حداد"),
        ("李", "李"),
        ("🦜", "🦜"),
        ("e\u0301mile", "émile"),
    ],
)
def test_a_name_is_one_printable_line_of_any_script(typed: str, kept: str) -> None:
    assert clean_name(typed) == kept


@pytest.mark.parametrize("typed", ["", " \u200b\u00ad", "\x07", "x" * 65])
def test_what_is_no_name_is_refused(typed: str) -> None:
    with pytest.raises(NameInvalid):
        clean_name(typed)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("+1 (312) 555-0142", "+13125550142"),
        ("001 312 555 0142", "+13125550142"),
        ("0232 555 01 42", "02325550142"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+٩٠ ٢٣٢ ٥٥٥ ٠١ ٤٢", "+902325550142"),
        ("\u200e+90\u00a0232\u2011555\u201101\u201142\u200f", "+902325550142"),
        ("＋９０２３２５５５０１４２", "+902325550142"),
        ("312.555.0142", "3125550142"),
        ("123456", "123456"),
        ("+123456789012345", "+123456789012345"),
        ("   ", None),
        (None, None),
    ],
)
def test_a_phone_number_is_kept_as_its_digits(typed: str | None, kept: str | None) -> None:
    assert clean_phone(typed) == kept


@pytest.mark.parametrize(
    "typed",
    ["12345", "+1234567890123456", "call me", "555-CALL-NOW", "+", "0x1234567", "1+2345678", "555 0142 x12"],
)
def test_what_is_no_phone_number_is_refused_with_how_to_type_one(typed: str) -> None:
    with pytest.raises(PhoneInvalid) as refusal:
        clean_phone(typed)
    assert refusal.value.values == {"least": 6, "most": 15}


@pytest.mark.parametrize(
    ("month", "day", "kept"),
    [("2", "29", (2, 29)), ("12", "31", (12, 31)), ("01", "01", (1, 1)), ("", "", None)],
)
def test_a_birthday_has_a_day_and_a_month_and_no_year(
    month: str, day: str, kept: tuple[int, int] | None
) -> None:
    found = clean_birthday(month, day)
    assert (found and (found.month, found.day)) == kept


@pytest.mark.parametrize(
    ("month", "day"), [("2", "30"), ("4", "31"), ("", "5"), ("5", ""), ("13", "1"), ("x", "1"), ("-1", "1")]
)
def test_days_that_no_year_has_are_refused(month: str, day: str) -> None:
    with pytest.raises(BirthdayInvalid):
        clean_birthday(month, day)


def test_an_address_is_trimmed_and_otherwise_as_it_was_typed() -> None:
    assert clean_email(" Ana@Example.ORG ") == "Ana@Example.ORG"
    assert clean_email("ipek@kitap.com.tr") == "ipek@kitap.com.tr"
    assert clean_email("\t") is None
    with pytest.raises(EmailInvalid):
        clean_email("ana@localhost")


def test_what_is_required_and_missing_is_named_in_the_forms_order() -> None:
    strict = Joining(Asked.REQUIRED, Asked.REQUIRED, Asked.REQUIRED)
    assert [field for field, _ in strict.missing(email=None, phone=None, birthday=None)] == [
        "email",
        "phone",
        "birthday",
    ]
    given_all = strict.missing(email="a@b.de", phone="+123456", birthday=date(2000, 1, 1))
    assert given_all == ()
    assert Joining().missing(email=None, phone=None, birthday=None) == ()


def test_people_join_until_the_instant_and_not_at_it() -> None:
    until = Joining(until=NOW)
    assert until.is_open(NOW - timedelta(microseconds=1))
    assert not until.is_open(NOW)
    assert Joining().is_open(NOW)


@given(st.text(max_size=300))
def test_any_text_is_taken_or_refused_in_words(text: str) -> None:
    for clean in (clean_name, clean_email, clean_phone):
        with suppress(Refused):
            found = clean(text)
            assert found is None or clean(found) == found
    with suppress(BirthdayInvalid):
        clean_birthday(text, text)
