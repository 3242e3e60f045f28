"""Reading what phones send, and shaping what they get: text and bytes only."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.apple import devices
from passes.apple.devices import Malformed

AT = datetime(2026, 3, 14, 10, 0, 5, tzinfo=UTC)


@pytest.mark.check("A-59")
@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("ApplePass abc", "abc"),
        ("applepass abc", "abc"),
        ("APPLEPASS   abc ", "abc"),
        ("Bearer abc", ""),
        ("AndroidPass abc", ""),
        ("ApplePassabc", ""),
        ("abc", ""),
        ("ApplePass", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_token_comes_with_apples_scheme_in_any_case(header: str | None, token: str) -> None:
    assert devices.token_of(header) == token


@pytest.mark.check("A-66")
def test_a_registration_holds_a_push_token_of_any_length() -> None:
    for letters in (1, 64, 512):
        body = json.dumps({"pushToken": "aB" * (letters // 2) + "0" * (letters % 2)}).encode()
        assert len(devices.read_registration(body)) == letters


@pytest.mark.check("A-62", "A-94")
@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda words: json.dumps(words).encode()))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for read in (devices.read_registration, devices.read_log):
        try:
            read(body)
        except Malformed:
            continue


@pytest.mark.check("A-74")
@given(st.text(max_size=40))
def test_any_text_is_a_tag_or_none(text: str) -> None:
    tag = devices.read_tag(text)
    assert tag is None or (0 <= tag <= devices.TAG_MAX and text.isascii())


@pytest.mark.check("A-68", "A-69")
@given(st.integers(min_value=0, max_value=devices.TAG_MAX))
def test_a_tag_comes_back_as_it_was_given(tag: int) -> None:
    content = json.loads(devices.list_answer(["s"], tag))
    assert isinstance(content["lastUpdated"], str)
    assert devices.read_tag(content["lastUpdated"]) == tag


def test_a_tag_beyond_what_a_database_holds_is_none() -> None:
    assert devices.read_tag(str(devices.TAG_MAX)) == devices.TAG_MAX
    assert devices.read_tag(str(devices.TAG_MAX + 1)) is None


@pytest.mark.check("A-80", "A-81")
def test_dates_are_http_dates() -> None:
    assert devices.http_date(AT) == "Sat, 14 Mar 2026 10:00:05 GMT"
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))
    assert devices.http_date(elsewhere) == "Sat, 14 Mar 2026 10:00:05 GMT"
    for text in (
        "Sat, 14 Mar 2026 10:00:05 GMT",
        "Saturday, 14-Mar-26 10:00:05 GMT",
        "Sat Mar 14 10:00:05 2026",
    ):
        assert devices.read_http_date(text) == AT, text


@pytest.mark.check("A-81")
def test_a_version_is_fresh_from_its_own_second_on() -> None:
    assert devices.is_fresh(devices.http_date(AT), AT)
    assert devices.is_fresh(devices.http_date(AT + timedelta(days=1)), AT)
    assert not devices.is_fresh(devices.http_date(AT - timedelta(seconds=1)), AT)
    assert not devices.is_fresh(None, AT)


@given(st.text(max_size=60))
def test_any_text_is_a_date_or_none(text: str) -> None:
    at = devices.read_http_date(text)
    assert at is None or at.tzinfo is not None


@pytest.mark.check("A-95")
@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        ("Web service error for pass.shop.loyalty: 500", "Web service error for pass.shop.loyalty: 500"),
        ("Authorization: ApplePass short", "Authorization: ApplePass …"),
        ("GET /v1/devices/ab12/registrations/pass.x/ser-1", "GET /v1/devices/…/registrations/pass.x/…"),
        ('{"pushToken": "abc123"}', '{"pushToken": "…"}'),
        ("device 0f1e2d3c4b5a69788796a5b4c3d2e1f0 left", "device … left"),
        ("one\r\ntwo\x00three", "one two three"),
        ("  ", ""),
    ],
)
def test_a_log_entry_is_one_line_without_secrets(entry: str, kept: str) -> None:
    assert devices.redacted(entry) == kept


@pytest.mark.check("A-94")
def test_a_log_is_cut_to_size() -> None:
    entries = ["a b " * 100_00, "\ud83d", *("x" for _ in range(500)), 5, None]
    body = json.dumps({"logs": entries[:1] + entries[2:]}).encode()
    kept = devices.read_log(body)
    assert len(kept) == devices.LOG_ENTRIES_MAX
    assert len(kept[0]) <= devices.LOG_LETTERS_MAX
