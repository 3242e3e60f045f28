"""The REST client against a small Google on this machine."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from passes.google.addresses import Addresses
from passes.google.callbacks import KeysUnavailable
from passes.google.client import GoogleApi, Resource, fetch_root_keys
from passes.google.documents import object_patch, offer_message
from passes.google.problems import (
    AccountRefused,
    AlreadyExists,
    GoogleFailed,
    NotFound,
    Refused,
    TryLater,
    problem_of,
    retry_after_seconds,
)
from passes.google.schema import DocumentInvalid
from passes.loyalty.card import FaceField, FieldKind
from tests.apple.cards import face
from tests.google.cards import CLASS_ID, NOW, OBJECT_ID, account, card, club, published
from tests.google.service import Fault, Google, problem, running

RICHER = card(face(header=FaceField("balance", "BEANS", 740, FieldKind.NUMBER)))
ALERTING = object_patch(RICHER, card(), notify=True) or {}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def google() -> Iterator[Google]:
    with running() as service:
        yield service


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def api(google: Google, clock: Clock, pauses: list[float]) -> Iterator[GoogleApi]:
    made = make(google, clock, pauses)
    yield made
    made.close()


def make(google: Google, clock: Clock, pauses: list[float], **changes: Any) -> GoogleApi:
    arguments: dict[str, Any] = {
        "clock": clock, "pace": lambda: 0.0, "pause": pauses.append, "jitter": lambda: 0.5,
        "addresses": Addresses(api=google.address),
    }  # fmt: skip
    return GoogleApi(account(f"{google.address}/token"), **(arguments | changes))


def filled(google: Google, api: GoogleApi) -> None:
    """A class and a card that Google holds; what was asked for it is forgotten."""
    api.insert(Resource.CLASS, club())
    api.insert(Resource.OBJECT, card())
    google.calls.clear()


def error(code: int, status: str = "X", message: str = "words", **extras: Any) -> Fault:
    return Fault(*problem(code, status, message, **extras))


# Requests ---------------------------------------------------------------------


def test_a_card_is_inserted_read_and_patched_over_one_connection(google: Google, api: GoogleApi) -> None:
    api.insert(Resource.CLASS, club())
    api.insert(Resource.OBJECT, card())
    api.patch(Resource.OBJECT, OBJECT_ID, object_patch(RICHER, card()) or {})
    assert api.get(Resource.OBJECT, OBJECT_ID)["loyaltyPoints"]["balance"] == {"int": 740}
    assert api.add_message(Resource.CLASS, CLASS_ID, offer_message(face().offers[0])) is False
    assert google.classes[CLASS_ID]["messages"][0]["id"] == "offer-maple"
    assert [call[:2] for call in google.calls] == [
        ("POST", "/loyaltyClass"),
        ("POST", "/loyaltyObject"),
        ("PATCH", f"/loyaltyObject/{OBJECT_ID}"),
        ("GET", f"/loyaltyObject/{OBJECT_ID}"),
        ("POST", f"/loyaltyClass/{CLASS_ID}/addMessage"),
    ]
    assert len(google.peers) == 1


@pytest.mark.check("G-02", "G-03")
def test_nothing_wrong_leaves_the_machine(google: Google, api: GoogleApi) -> None:
    for resource, document in ((Resource.CLASS, club()), (Resource.OBJECT, card())):
        for name in ("id", "reviewStatus", "state", "classId", "programLogo"):
            if name in document:
                with pytest.raises(DocumentInvalid):
                    api.insert(resource, {key: value for key, value in document.items() if key != name})
    with pytest.raises(DocumentInvalid):
        api.patch(Resource.OBJECT, OBJECT_ID, {"balance": 5})
    with pytest.raises(DocumentInvalid):
        api.get(Resource.OBJECT, "3388.a/../../permissions/1")
    assert google.calls == []
    assert google.assertions == []


# The token --------------------------------------------------------------------


@pytest.mark.check("G-21")
def test_a_token_serves_until_shortly_before_its_end(google: Google, api: GoogleApi, clock: Clock) -> None:
    filled(google, api)
    clock.now += timedelta(minutes=57)
    api.get(Resource.OBJECT, OBJECT_ID)
    assert len(google.assertions) == 1
    clock.now += timedelta(minutes=1)
    api.get(Resource.OBJECT, OBJECT_ID)
    assert len(google.assertions) == 2


@pytest.mark.check("G-21")
def test_a_token_that_is_refused_is_replaced_once(google: Google, api: GoogleApi) -> None:
    filled(google, api)
    google.revoked.update(google.tokens)
    api.get(Resource.OBJECT, OBJECT_ID)
    assert len(google.assertions) == 2
    assert len(google.calls) == 2
    google.refused[OBJECT_ID] = error(401, "UNAUTHENTICATED")
    with pytest.raises(AccountRefused, match="UNAUTHENTICATED"):
        api.get(Resource.OBJECT, OBJECT_ID)
    assert len(google.assertions) == 3
    assert len(google.calls) == 4


def test_many_threads_share_one_token(google: Google, api: GoogleApi) -> None:
    google.classes[CLASS_ID] = club()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: api.get(Resource.CLASS, CLASS_ID), range(24)))
    assert len(google.assertions) == 1


def test_an_account_that_gets_no_token_is_said_to_be_refused(google: Google, api: GoogleApi) -> None:
    google.token_faults.append(
        Fault(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
    )
    with pytest.raises(AccountRefused, match=r"invalid_grant: Invalid JWT Signature\."):
        api.check()
    api.check()


def test_a_clock_that_is_wrong_is_found_out(google: Google, api: GoogleApi, clock: Clock) -> None:
    ahead = api.check()
    assert ahead is not None
    clock.now += timedelta(minutes=5)
    later = api.check()
    assert later is not None
    assert timedelta(minutes=4, seconds=50) < later - ahead <= timedelta(minutes=5)
    assert len(google.assertions) == 2


def test_a_token_address_in_trouble_is_asked_again(
    google: Google, api: GoogleApi, pauses: list[float]
) -> None:
    google.token_faults.extend([Fault(503), Fault(200, {"access_token": ""})])
    google.classes[CLASS_ID] = club()
    api.get(Resource.CLASS, CLASS_ID)
    assert len(google.assertions) == 3
    assert len(pauses) == 2


# Trouble ----------------------------------------------------------------------


@pytest.mark.check("G-23")
@pytest.mark.parametrize("fault", [error(429), error(500), error(503), Fault(), error(403, errors=[
    {"reason": "rateLimitExceeded"}])])  # fmt: skip
def test_what_may_pass_is_tried_again_after_a_random_while(
    google: Google, api: GoogleApi, pauses: list[float], fault: Fault
) -> None:
    filled(google, api)
    google.faults.extend([fault, fault])
    assert api.get(Resource.OBJECT, OBJECT_ID)["id"] == OBJECT_ID
    assert len(google.calls) == 3
    # Full jitter: half of 0.5 and of 1 second, by this test's chance.
    assert pauses == [0.25, 0.5]


@pytest.mark.check("G-23")
def test_what_does_not_pass_is_tried_three_times_and_put_off(google: Google, api: GoogleApi) -> None:
    filled(google, api)
    google.faults.extend([error(503, "UNAVAILABLE", "busy")] * 5)
    with pytest.raises(TryLater, match="503 UNAVAILABLE: busy") as later:
        api.get(Resource.OBJECT, OBJECT_ID)
    assert len(google.calls) == 3
    assert later.value.wait_seconds == 75


@pytest.mark.check("G-23")
def test_google_says_how_long_to_wait(google: Google, api: GoogleApi, pauses: list[float]) -> None:
    filled(google, api)
    in_four = format_datetime(NOW + timedelta(seconds=4), usegmt=True)
    for header in ("4", in_four):
        google.faults.append(Fault(429, headers=(("Retry-After", header),)))
        api.get(Resource.OBJECT, OBJECT_ID)
    assert pauses == [4, 4]
    google.calls.clear()
    google.faults.append(Fault(429, headers=(("Retry-After", "3600"),)))
    with pytest.raises(TryLater) as later:
        api.get(Resource.OBJECT, OBJECT_ID)
    assert later.value.wait_seconds == 3600
    assert len(google.calls) == 1


@pytest.mark.check("G-23")
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (403, AccountRefused),
        (404, NotFound),
        (409, AlreadyExists),
        (302, Refused),
        (412, Refused),
    ],
)
def test_what_cannot_pass_is_not_tried_again(
    google: Google, api: GoogleApi, status: int, kind: type[GoogleFailed]
) -> None:
    filled(google, api)
    google.faults.append(Fault(*problem(status, "NO", "never"), headers=(("Location", "/keys"),)))
    with pytest.raises(kind, match="never"):
        api.get(Resource.OBJECT, OBJECT_ID)
    assert len(google.calls) == 1


def test_a_service_that_hangs_is_left_after_the_time_out(
    google: Google, clock: Clock, pauses: list[float]
) -> None:
    api = make(google, clock, pauses, timeout_seconds=0.2, tries_max=2)
    filled(google, api)
    google.delay_seconds = 3.0
    began = time.monotonic()
    with pytest.raises(TryLater, match="ReadTimeoutError"):
        api.get(Resource.OBJECT, OBJECT_ID)
    assert time.monotonic() - began < 2.9
    assert len(google.calls) == 2
    api.close()
    with pytest.raises(ValueError, match="10 seconds"):
        make(google, clock, pauses, timeout_seconds=11)


def test_a_service_that_is_not_there_is_put_off(google: Google, clock: Clock, pauses: list[float]) -> None:
    api = make(google, clock, pauses, addresses=Addresses(api="http://127.0.0.1:9"))
    with pytest.raises(TryLater, match="cannot be reached"):
        api.get(Resource.OBJECT, OBJECT_ID)
    assert len(pauses) == 2


def test_a_connection_that_was_closed_meanwhile_is_opened_again(google: Google, api: GoogleApi) -> None:
    filled(google, api)
    google.faults.append(Fault(200, after=True, headers=(("Connection", "close"),)))
    api.get(Resource.OBJECT, OBJECT_ID)
    assert api.get(Resource.OBJECT, OBJECT_ID)["id"] == OBJECT_ID
    assert len(google.peers) == 2


# Notifications ----------------------------------------------------------------

USED_UP = error(429, "RESOURCE_EXHAUSTED", "QuotaExceededException: notification quota")


@pytest.mark.check("G-35")
@pytest.mark.parametrize("resource", Resource)
def test_a_message_beyond_the_days_alerts_goes_out_as_text_once(
    google: Google, api: GoogleApi, pauses: list[float], resource: Resource
) -> None:
    filled(google, api)
    identifier = OBJECT_ID if resource is Resource.OBJECT else CLASS_ID
    alert = offer_message(face().offers[0], alert=True)
    assert api.add_message(resource, identifier, alert) is True
    google.calls.clear()
    google.faults.append(USED_UP)
    assert api.add_message(resource, identifier, alert) is False
    assert [call[2]["message"]["messageType"] for call in google.calls] == ["TEXT_AND_NOTIFY", "TEXT"]
    assert pauses == []


def test_a_balance_beyond_the_days_alerts_is_changed_in_silence(google: Google, api: GoogleApi) -> None:
    filled(google, api)
    google.faults.append(USED_UP)
    api.patch(Resource.OBJECT, OBJECT_ID, ALERTING)
    first, second = (call[2] for call in google.calls)
    assert first.pop("notifyPreference") == "NOTIFY_ON_UPDATE"
    assert first == second
    assert google.objects[OBJECT_ID]["loyaltyPoints"]["balance"] == {"int": 740}


def test_an_alert_whose_fate_is_unknown_is_not_repeated(google: Google, api: GoogleApi) -> None:
    filled(google, api)
    alert = offer_message(face().offers[0], alert=True)
    for fault in (Fault(after=True), error(503)):
        google.calls.clear()
        google.faults.append(fault)
        with pytest.raises(TryLater):
            api.add_message(Resource.OBJECT, OBJECT_ID, alert)
        assert len(google.calls) == 1
    google.calls.clear()
    google.faults.append(error(429))
    assert api.add_message(Resource.OBJECT, OBJECT_ID, alert) is True
    assert len(google.calls) == 2


# Words ------------------------------------------------------------------------


def test_an_error_keeps_code_status_message_and_field(google: Google, api: GoogleApi) -> None:
    filled(google, api)
    violations = [{"fieldViolations": [{"field": "barcode.type", "description": "unknown"}]}]
    google.faults.append(error(400, "INVALID_ARGUMENT", "Bad barcode.", details=violations))
    with pytest.raises(Refused) as refused:
        api.get(Resource.OBJECT, OBJECT_ID)
    known = refused.value.problem
    assert (known.http_status, known.status) == (400, "INVALID_ARGUMENT")
    assert (known.message, known.field) == ("Bad barcode.", "barcode.type")
    assert str(refused.value) == "400 INVALID_ARGUMENT: Bad barcode. (barcode.type)"


def test_no_token_and_no_key_reaches_a_log_or_an_error(
    google: Google, api: GoogleApi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    filled(google, api)
    said = []
    google.refused[OBJECT_ID] = error(401, "UNAUTHENTICATED", f"bad {google.tokens[0]}")
    with pytest.raises(AccountRefused) as refused:
        api.get(Resource.OBJECT, OBJECT_ID)
    said.append(str(refused.value))
    google.token_seconds = -1
    google.token_faults.append(
        Fault(400, {"error": "invalid_grant", "error_description": f"bad {google.assertions[0]}"})
    )
    google.revoked.update(google.tokens)
    with pytest.raises(AccountRefused) as refused:
        api.get(Resource.CLASS, CLASS_ID)
    said.append(str(refused.value))
    everything = "\n".join([*said, caplog.text])
    assert "[removed]" in said[0]
    assert "[removed]" in said[1]
    for secret in (*google.tokens, *google.assertions, *(text.split(".")[2] for text in google.assertions)):
        assert secret not in everything


@pytest.mark.parametrize(
    "answer",
    [{}, {"error": None}, {"error": []}, {"error": {"details": [None, {"fieldViolations": 5}], "errors": 7}}],
)
def test_an_error_without_words_is_still_an_error(answer: dict[str, Any]) -> None:
    assert problem_of(502, answer).http_status == 502
    assert str(problem_of(502, answer)) == "502"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7),
        (" 7 ", 7),
        ("-7", None),
        ("soon", None),
        ("1e5", None),
        ("Sat, 14 Mar 2026 10:00:09 GMT", 9),
        ("Sat, 14 Mar 2026 09:00:00 GMT", 0),
        ("Sat, 14 Mar 2026 10:00:09 -0000", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, now=NOW) == seconds


# Pace -------------------------------------------------------------------------


def test_every_request_waits_for_its_turn_retries_included(google: Google, clock: Clock) -> None:
    turns = iter(range(1, 1000))
    waited: list[float] = []
    api = make(google, clock, waited, pace=lambda: float(next(turns)))
    google.classes[CLASS_ID] = club()
    google.faults.extend([error(503)] * 2)
    for _ in range(10):
        api.get(Resource.CLASS, CLASS_ID)
    # Ten answers and two tries more; what it waits between tries comes on top.
    assert next(turns) == 13
    assert {float(turn) for turn in range(1, 13)} <= set(waited)
    api.close()


# Root keys --------------------------------------------------------------------


@pytest.mark.check("G-48")
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ((), None),
        ((("Cache-Control", "public, max-age=3600"),), 3600),
        ((("Cache-Control", 'private,MAX-AGE="3600"'), ("Age", "600")), 3000),
        ((("Cache-Control", "max-age=60"), ("Age", "600")), 0),
        ((("Cache-Control", "s-maxage=60"),), None),
        ((("Cache-Control", "max-age=60"), ("Age", "old")), 60),
    ],
)
def test_root_keys_hold_as_long_as_their_address_says(
    google: Google, headers: tuple[tuple[str, str], ...], seconds: int | None
) -> None:
    google.keys = (200, published(), headers)
    found = fetch_root_keys(f"{google.address}/keys")
    assert found.body == published()
    assert found.life == (None if seconds is None else timedelta(seconds=seconds))


def test_root_keys_that_cannot_be_had_are_unavailable(google: Google) -> None:
    for status, body in ((500, b"{}"), (302, b""), (200, b" " * 300_000)):
        google.keys = (status, body, (("Location", "/keys"),))
        with pytest.raises(KeysUnavailable):
            fetch_root_keys(f"{google.address}/keys")
    with pytest.raises(KeysUnavailable, match="cannot be reached"):
        fetch_root_keys("http://127.0.0.1:9/keys", timeout_seconds=1)
