"""The push client against the emulated service, which is built on another HTTP/2 library."""

from __future__ import annotations

import collections
import contextlib
import inspect
import logging
import os
import random
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copyfile
from typing import Any, get_args

import h2.config
import h2.connection
import h2.events
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.apple.push import ApplePush, outcome_of
from passes.emulators.apns import ApnsEmulator
from passes.wallet import Accepted, Gone, Install, Later, Outcome, Parked, Rejected
from tests.certificates_for_tests import TOPIC, Authority, Identity

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

# Building an emulator takes about a millisecond, so that every test has its own.
Connect = Callable[..., ApplePush]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("push"), "Test authority")


@pytest.fixture(scope="session")
def server(authority: Authority) -> Identity:
    return authority.server()


@pytest.fixture(scope="session")
def client(authority: Authority) -> Identity:
    return authority.client()


@pytest.fixture
def apns(authority: Authority, server: Identity) -> Iterator[ApnsEmulator]:
    service = ApnsEmulator(
        certificate_file=server.certificate, key_file=server.key, client_ca_files=[authority.certificate]
    )
    service.start()
    yield service
    service.stop()


@pytest.fixture
def connect(authority: Authority, client: Identity) -> Iterator[Connect]:
    """Make a push client that does not wait long; its connection is closed after the test."""
    made = []

    def make(port: int, **changes: Any) -> ApplePush:
        settings: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": port,
            "certificate_file": client.certificate,
            "key_file": client.key,
            "ca_file": authority.certificate,
            "clock": lambda: NOW,
            "connect_timeout_seconds": 5,
            "answer_timeout_seconds": 5,
            "backoff_seconds": 0.001,
            "jitter": lambda: 0.0,
        }
        made.append(ApplePush(**{**settings, **changes}))
        return made[-1]

    yield make
    for push in made:
        push.close()


def phones(number: int, topic: str = TOPIC) -> list[Install]:
    return [Install(key=key, topic=topic, address=f"{key:064x}") for key in range(1, number + 1)]


def token(key: int) -> str:
    return f"{key:064x}"


def announce(push: ApplePush, batch: list[Install]) -> dict[int, Outcome]:
    """All outcomes by key; fails if an install was answered twice or not at all."""
    answers = list(push.announce(batch))
    assert sorted(install.key for install, _ in answers) == [install.key for install in batch]
    return {install.key: outcome for install, outcome in answers}


def kinds(outcomes: dict[int, Outcome]) -> dict[str, int]:
    return dict(collections.Counter(type(outcome).__name__ for outcome in outcomes.values()))


# What is sent


@pytest.mark.check("A-97")
def test_a_push_is_an_empty_json_object_to_the_token_for_the_pass_type(
    apns: ApnsEmulator, connect: Connect
) -> None:
    # The emulator answers 404 to any path but /3/device/<token>.
    assert announce(connect(apns.port), phones(1)) == {1: Accepted()}
    (request,) = apns.history
    assert (request.body, request.token, request.topic) == ("{}", token(1), TOPIC)
    assert request.headers["apns-topic"] == TOPIC


@pytest.mark.check("A-97")
def test_the_service_is_apples_production_unless_another_is_named() -> None:
    parameters = inspect.signature(ApplePush).parameters
    assert parameters["host"].default == "api.push.apple.com"
    assert parameters["port"].default == 443


@pytest.mark.check("A-98")
@pytest.mark.parametrize("push_type", [None, "background"])
def test_no_expiration_is_sent_so_that_a_phone_that_is_off_gets_the_push_later(
    apns: ApnsEmulator, connect: Connect, push_type: str | None
) -> None:
    announce(connect(apns.port, push_type=push_type, priority=5), phones(3))
    assert len(apns.history) == 3
    assert all("apns-expiration" not in request.headers for request in apns.history)


def test_priority_is_sent_and_a_push_type_only_when_set(apns: ApnsEmulator, connect: Connect) -> None:
    announce(connect(apns.port), phones(1))
    announce(connect(apns.port, push_type="background", priority=5), phones(1))
    plain, background = apns.history
    assert plain.headers["apns-priority"] == "10"
    assert "apns-push-type" not in plain.headers
    assert background.headers["apns-priority"] == "5"
    assert background.headers["apns-push-type"] == "background"


def test_every_push_carries_an_identifier_of_its_own(apns: ApnsEmulator, connect: Connect) -> None:
    announce(connect(apns.port), phones(50))
    assert len({uuid.UUID(request.headers["apns-id"]) for request in apns.history}) == 50


def test_each_install_is_pushed_under_its_own_pass_type(apns: ApnsEmulator, connect: Connect) -> None:
    batch = [*phones(1), Install(key=2, topic="pass.test.other", address=token(2))]
    outcomes = announce(connect(apns.port), batch)
    # The emulator knows from the certificate that only one of them is allowed.
    assert outcomes == {1: Accepted(), 2: Rejected("TopicDisallowed")}
    assert apns.history[1].topic == "pass.test.other"


@pytest.mark.parametrize(
    "address", ["", "a", "not hexadecimal", "../3/device/ab", "ab?x", "ab\r\nx: y", "ab ", "é" * 8, "a" * 513]
)
def test_an_address_that_fits_no_path_is_answered_as_apple_would_without_asking(
    apns: ApnsEmulator, connect: Connect, address: str
) -> None:
    batch = [Install(key=1, topic=TOPIC, address=address), Install(key=2, topic=TOPIC, address=token(2))]
    assert announce(connect(apns.port), batch) == {1: Gone(None, "BadDeviceToken"), 2: Accepted()}
    assert apns.received == 1


@pytest.mark.parametrize("topic", ["", "pass test", "pass.test\r\nx: y", "pass.tést"])
def test_a_pass_type_that_fits_no_header_is_rejected_without_asking(
    apns: ApnsEmulator, connect: Connect, topic: str
) -> None:
    assert announce(connect(apns.port), phones(1, topic)) == {1: Rejected("BadTopic")}
    assert apns.connections == 0


@pytest.mark.parametrize("length", [2, 64, 160, 512])
def test_no_token_length_is_assumed(apns: ApnsEmulator, connect: Connect, length: int) -> None:
    batch = [Install(key=1, topic=TOPIC, address="aB" * (length // 2))]
    assert announce(connect(apns.port), batch) == {1: Accepted()}
    assert apns.history[0].token == "aB" * (length // 2)


def test_no_announcement_opens_no_connection(apns: ApnsEmulator, connect: Connect) -> None:
    assert announce(connect(apns.port), []) == {}
    assert apns.connections == 0


@pytest.mark.parametrize(
    "wrong", [{"priority": 7}, {"push_type": "back\nground"}, {"streams_max": 0}, {"tries_max": 0}]
)
def test_settings_that_make_no_sense_are_refused(connect: Connect, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        connect(1, **wrong)


# What the answers mean

SINCE = datetime(2026, 2, 28, 23, 59, 59, 123_000, tzinfo=UTC)
SINCE_MS = int(SINCE.timestamp() * 1000)


@pytest.mark.check("A-100")
@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [
        (410, "Unregistered", Gone(SINCE, "Unregistered")),
        (410, "ExpiredToken", Gone(SINCE, "ExpiredToken")),
        (400, "BadDeviceToken", Gone(None, "BadDeviceToken")),
        (400, "DeviceTokenNotForTopic", Gone(None, "DeviceTokenNotForTopic")),
        (400, "TopicDisallowed", Rejected("TopicDisallowed")),
        (400, "BadTopic", Rejected("BadTopic")),
        (400, "MissingTopic", Rejected("MissingTopic")),
        (400, "PayloadEmpty", Rejected("PayloadEmpty")),
        (400, "InvalidPushType", Rejected("InvalidPushType")),
        (400, "BadPriority", Rejected("BadPriority")),
        (400, "BadExpirationDate", Rejected("BadExpirationDate")),
        (403, "BadCertificate", Parked("BadCertificate")),
        (403, "BadCertificateEnvironment", Parked("BadCertificateEnvironment")),
        (403, "Forbidden", Parked("Forbidden")),
        (403, "ExpiredProviderToken", Parked("ExpiredProviderToken")),
        (404, "BadPath", Rejected("BadPath")),
        (405, "MethodNotAllowed", Rejected("MethodNotAllowed")),
        (413, "PayloadTooLarge", Rejected("PayloadTooLarge")),
        (429, "TooManyRequests", Later(NOW + timedelta(seconds=60), "TooManyRequests")),
        (500, "InternalServerError", Later(NOW + timedelta(seconds=60), "InternalServerError")),
        (503, "ServiceUnavailable", Later(NOW + timedelta(seconds=60), "ServiceUnavailable")),
        (503, "Shutdown", Later(NOW + timedelta(seconds=60), "Shutdown")),
        (418, "IAmATeapot", Rejected("IAmATeapot")),
        (302, "Elsewhere", Rejected("Elsewhere")),
        (599, "Odd", Later(NOW + timedelta(seconds=60), "Odd")),
    ],
)
def test_every_answer_of_apple_has_its_outcome(
    apns: ApnsEmulator, connect: Connect, status: int, reason: str, outcome: Outcome
) -> None:
    apns.faults.answer(token(1), status, reason, timestamp_ms=SINCE_MS if status == 410 else None)
    assert announce(connect(apns.port), phones(1)) == {1: outcome}


@pytest.mark.parametrize(
    "body",
    [
        b'{"reason":"Unregistered"}',
        b'{"reason":"Unregistered","timestamp":"soon"}',
        b'{"reason":"Unregistered","timestamp":true}',
        b'{"reason":"Unregistered","timestamp":99999999999999999999}',
        b'{"reason":"Unregistered","timestamp":1e308}',
        b'{"reason":"Unregistered","timestamp":null}',
    ],
)
def test_a_dead_token_without_a_usable_instant_is_still_gone(body: bytes) -> None:
    assert outcome_of(410, body) == Gone(None, "Unregistered")


@given(status=st.integers(0, 9999), body=st.binary(max_size=64))
def test_no_answer_is_too_strange_to_be_judged(status: int, body: bytes) -> None:
    assert isinstance(outcome_of(status, body), get_args(Outcome))


def test_a_reason_is_kept_short_and_printable() -> None:
    assert outcome_of(400, b'{"reason":"' + b"x" * 5000 + b'"}') == Rejected("x" * 100)
    assert outcome_of(400, b'{"reason":"a\\nb"}') == Rejected("status 400")


def test_a_403_stops_the_batch_and_parks_everything_without_a_verdict(
    apns: ApnsEmulator, connect: Connect
) -> None:
    apns.faults.answer(token(1), 403, "Forbidden")
    outcomes = announce(connect(apns.port, streams_max=20), phones(2000))
    assert outcomes[1] == outcomes[2000] == Parked("Forbidden")
    assert set(map(type, outcomes.values())) == {Accepted, Parked}
    assert apns.received < 200


def test_after_a_403_the_next_batch_uses_a_new_connection(apns: ApnsEmulator, connect: Connect) -> None:
    push = connect(apns.port)
    apns.faults.answer(token(1), 403, "BadCertificate", times=1)
    assert announce(push, phones(1)) == {1: Parked("BadCertificate")}
    assert announce(push, phones(1)) == {1: Accepted()}
    assert apns.connections == 2


@pytest.mark.check("A-103")
def test_too_many_requests_for_one_phone_delays_only_that_phone(apns: ApnsEmulator, connect: Connect) -> None:
    apns.faults.answer(token(7), 429, "TooManyRequests")
    outcomes = announce(connect(apns.port, streams_max=50), phones(300))
    assert outcomes.pop(7) == Later(NOW + timedelta(seconds=60), "TooManyRequests")
    assert kinds(outcomes) == {"Accepted": 299}
    assert (apns.received, apns.connections) == (300, 1)


def test_a_delay_is_spread_by_chance(apns: ApnsEmulator, connect: Connect) -> None:
    apns.faults.share(1, 429, "TooManyRequests")
    dice = iter([0.0, 0.5])
    outcomes = announce(connect(apns.port, jitter=lambda: next(dice)), phones(2))
    assert {outcome.at - NOW for outcome in outcomes.values() if isinstance(outcome, Later)} == {
        timedelta(seconds=60),
        timedelta(seconds=75),
    }


# Trouble on the service's side


@pytest.mark.check("A-103")
@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_tried_again_on_a_new_connection_after_a_pause(
    apns: ApnsEmulator, connect: Connect, status: int
) -> None:
    apns.faults.answer(token(3), status, "ServiceUnavailable", times=2)
    pauses: list[float] = []
    push = connect(apns.port, backoff_seconds=2, pause=pauses.append)
    assert kinds(announce(push, phones(50))) == {"Accepted": 50}
    sent = collections.Counter(request.token for request in apns.history)
    assert sent.pop(token(3)) == 3
    assert set(sent.values()) == {1}
    assert apns.connections == 3
    assert pauses == [1.0, 2.0]


@pytest.mark.check("A-103")
def test_a_lasting_server_error_ends_as_later_and_not_as_a_storm(
    apns: ApnsEmulator, connect: Connect
) -> None:
    apns.faults.share(1, 503, "ServiceUnavailable")
    pauses: list[float] = []
    push = connect(apns.port, streams_max=50, backoff_seconds=2, pause=pauses.append)
    outcomes = announce(push, phones(1000))
    assert set(outcomes.values()) == {Later(NOW + timedelta(seconds=60), "ServiceUnavailable")}
    assert apns.received <= 3 * 50
    assert pauses == [1.0, 2.0]


@pytest.mark.check("A-103")
@pytest.mark.parametrize(("every", "streams"), [(500, 500), (500, 200), (100, 500), (1, 10)])
def test_half_refused_and_a_goaway_now_and_then_loses_and_doubles_nothing(
    apns: ApnsEmulator, connect: Connect, every: int, streams: int
) -> None:
    number = {500: 3000, 100: 1000, 1: 50}[every]
    apns.faults.share(0.5, 410, "Unregistered", timestamp_ms=SINCE_MS)
    apns.faults.goaway_every(every)
    outcomes = announce(connect(apns.port, streams_max=streams), phones(number))
    told = {request.token: request.status for request in apns.history}
    assert len(told) == len(apns.history) == number
    assert outcomes == {
        key: Accepted() if told[token(key)] == 200 else Gone(SINCE, "Unregistered")
        for key in range(1, number + 1)
    }
    assert number * 0.4 < kinds(outcomes)["Gone"] < number * 0.6
    assert number / every <= apns.connections <= number / every + 1


@pytest.mark.check("A-103")
def test_a_goaway_with_pushes_under_way_sends_exactly_the_unprocessed_ones_again(
    apns: ApnsEmulator, connect: Connect
) -> None:
    apns.faults.goaway_every(40)
    assert kinds(announce(connect(apns.port, streams_max=100), phones(100))) == {"Accepted": 100}
    # 60 streams were open beyond the last one that the first GOAWAY promised to process.
    assert apns.ignored == 60 + 20
    assert collections.Counter(request.token for request in apns.history).most_common(1)[0][1] == 1


def test_a_push_that_fails_every_time_is_sent_three_times_while_others_get_through(
    apns: ApnsEmulator, connect: Connect
) -> None:
    apns.faults.answer(token(1), 500, "InternalServerError")
    outcomes = announce(connect(apns.port, streams_max=2), phones(30))
    assert outcomes.pop(1) == Later(NOW + timedelta(seconds=60), "InternalServerError")
    assert kinds(outcomes) == {"Accepted": 29}
    assert apns.received == 29 + 3


def test_answers_promised_by_a_goaway_are_waited_for(apns: ApnsEmulator, connect: Connect) -> None:
    apns.faults.goaway_every(10)
    apns.faults.slow(0.05)
    assert kinds(announce(connect(apns.port), phones(30))) == {"Accepted": 30}
    assert apns.received == 30


@pytest.mark.check("A-103")
def test_a_connection_that_breaks_loses_nothing_and_repeats_only_what_was_unanswered(
    apns: ApnsEmulator, connect: Connect
) -> None:
    apns.faults.drop_connection_after(400)
    outcomes = announce(connect(apns.port, streams_max=100), phones(2000))
    assert kinds(outcomes) == {"Accepted": 2000}
    sent = collections.Counter(request.token for request in apns.history)
    assert set(sent) == {token(key) for key in range(1, 2001)}
    assert max(sent.values()) <= 3
    assert apns.received <= 2000 + 100 * apns.connections


def test_streams_that_the_service_refuses_unprocessed_are_sent_again(
    apns: ApnsEmulator, connect: Connect
) -> None:
    apns.faults.reset_streams(30)
    assert kinds(announce(connect(apns.port), phones(100))) == {"Accepted": 100}
    assert apns.received == 100


def test_a_service_that_only_refuses_streams_does_not_hold_the_caller_for_ever(
    apns: ApnsEmulator, connect: Connect
) -> None:
    apns.faults.reset_streams(10**9)
    assert kinds(announce(connect(apns.port, answer_timeout_seconds=0.1), phones(20))) == {"Later": 20}
    assert apns.received == 0


def test_a_push_without_an_answer_is_sent_again_and_ends_as_later(
    apns: ApnsEmulator, connect: Connect
) -> None:
    apns.faults.withhold()
    outcomes = announce(connect(apns.port, answer_timeout_seconds=0.05), phones(2))
    assert set(outcomes.values()) == {Later(NOW + timedelta(seconds=60), "no answer in time")}
    assert apns.wait_for(6)
    assert (apns.received, apns.connections) == (6, 3)


def test_one_push_without_an_answer_does_not_keep_the_others(apns: ApnsEmulator, connect: Connect) -> None:
    apns.faults.withhold(1)
    outcomes = announce(connect(apns.port, answer_timeout_seconds=0.4), phones(50))
    assert kinds(outcomes) == {"Accepted": 50}
    assert apns.received == 51


def test_an_unreachable_service_ends_as_later_and_is_used_again_when_it_is_back(
    apns: ApnsEmulator, connect: Connect
) -> None:
    pauses: list[float] = []
    push = connect(apns.port, backoff_seconds=2, pause=pauses.append)
    assert announce(push, phones(1)) == {1: Accepted()}
    apns.go_down()
    outcomes = announce(push, phones(20))
    assert set(outcomes.values()) == {Later(NOW + timedelta(seconds=60), "Connection refused")}
    assert pauses == [1.0, 2.0]
    apns.come_back()
    assert kinds(announce(push, phones(20))) == {"Accepted": 20}


def test_a_service_that_comes_back_within_the_tries_is_enough(apns: ApnsEmulator, connect: Connect) -> None:
    apns.go_down()
    push = connect(apns.port, pause=lambda seconds: apns.come_back())
    assert kinds(announce(push, phones(5))) == {"Accepted": 5}


def test_a_goaway_between_two_batches_costs_no_push(apns: ApnsEmulator, connect: Connect) -> None:
    push = connect(apns.port)
    announce(push, phones(5))
    apns.goaway()
    _until(lambda: apns.goaways == 1)
    assert kinds(announce(push, phones(5))) == {"Accepted": 5}
    assert (apns.received, apns.connections) == (10, 2)


def test_an_account_refused_in_a_goaway_is_parked(apns: ApnsEmulator, connect: Connect) -> None:
    apns.faults.goaway_every(1, reason="BadCertificate")
    outcomes = announce(connect(apns.port, streams_max=1), phones(3))
    assert outcomes == {1: Accepted(), 2: Parked("BadCertificate"), 3: Parked("BadCertificate")}


@pytest.mark.parametrize("seed", range(5))
def test_whatever_goes_wrong_every_install_is_answered_once_and_accepted_means_taken(
    apns: ApnsEmulator, connect: Connect, seed: int
) -> None:
    dice = random.Random(seed)
    apns.max_concurrent_streams = dice.choice([1, 3, 50])
    apns.faults.share(dice.random() / 3, 410, "Unregistered", timestamp_ms=SINCE_MS)
    apns.faults.share(dice.random() / 3, 503, "ServiceUnavailable", times=dice.randrange(20))
    apns.faults.goaway_every(dice.choice([None, 7, 60]))
    apns.faults.drop_connection_after(dice.choice([None, 90]))
    apns.faults.reset_streams(dice.randrange(20))
    apns.faults.withhold(dice.randrange(3))
    outcomes = announce(connect(apns.port, answer_timeout_seconds=0.1), phones(300))
    taken = {request.token for request in apns.history if request.status == 200}
    gone = {request.token for request in apns.history if request.status == 410}
    for key, outcome in outcomes.items():
        assert isinstance(outcome, Accepted | Gone | Later)
        if isinstance(outcome, Accepted):
            assert token(key) in taken
        if isinstance(outcome, Gone):
            assert token(key) in gone
    assert apns.streams_open_max <= apns.max_concurrent_streams


# One connection, used well


@pytest.mark.check("A-104")
@pytest.mark.parametrize("limit", [1, 7, 100])
def test_one_connection_carries_every_batch_and_never_more_streams_than_allowed(
    apns: ApnsEmulator, connect: Connect, limit: int
) -> None:
    apns.max_concurrent_streams = limit
    push = connect(apns.port)
    for _ in range(3):
        assert kinds(announce(push, phones(200))) == {"Accepted": 200}
    assert apns.connections == 1
    assert apns.streams_open_max == limit


def test_our_own_stream_limit_holds_too(apns: ApnsEmulator, connect: Connect) -> None:
    announce(connect(apns.port, streams_max=5), phones(100))
    assert apns.streams_open_max == 5


def test_thousands_of_refusals_do_not_use_up_the_window(apns: ApnsEmulator, connect: Connect) -> None:
    # A client that returns no flow-control credit stops after about 1,285 refusals.
    apns.faults.share(1, 410, "Unregistered", timestamp_ms=SINCE_MS)
    assert kinds(announce(connect(apns.port), phones(4000))) == {"Gone": 4000}
    assert (apns.received, apns.connections) == (4000, 1)


def test_a_caller_that_takes_its_time_is_no_silence(apns: ApnsEmulator, connect: Connect) -> None:
    push = connect(apns.port, streams_max=2, answer_timeout_seconds=0.3)
    for number, _ in enumerate(push.announce(phones(6))):
        if number in (0, 3):
            time.sleep(0.4)
    assert (apns.received, apns.connections) == (6, 1)


def test_a_caller_that_stops_listening_leaves_no_answers_to_the_next_batch(
    apns: ApnsEmulator, connect: Connect
) -> None:
    push = connect(apns.port)
    apns.faults.share(1, 410, "Unregistered", timestamp_ms=SINCE_MS)
    announcing = push.announce(phones(2000))
    next(announcing)
    announcing.close()  # type: ignore[attr-defined]
    apns.faults.clear()
    assert kinds(announce(push, phones(100))) == {"Accepted": 100}


def test_two_announcements_at_once_are_a_mistake(apns: ApnsEmulator, connect: Connect) -> None:
    push = connect(apns.port)
    announcing = push.announce(phones(3))
    next(announcing)
    with pytest.raises(RuntimeError, match="one thread at a time"):
        next(push.announce(phones(3)))
    assert len(list(announcing)) == 2


def test_a_closed_client_connects_again_when_asked(apns: ApnsEmulator, connect: Connect) -> None:
    push = connect(apns.port)
    announce(push, phones(1))
    push.close()
    push.close()
    assert announce(push, phones(1)) == {1: Accepted()}
    assert apns.connections == 2


def test_closing_in_the_middle_of_a_batch_raises_nothing(apns: ApnsEmulator, connect: Connect) -> None:
    push = connect(apns.port, streams_max=5)
    announcing = push.announce(phones(50))
    first = next(announcing)
    push.close()
    assert [install.key for install, _ in sorted([first, *announcing], key=lambda pair: pair[0].key)] == [
        install.key for install in phones(50)
    ]


def test_the_address_is_looked_up_for_every_connection_and_a_dead_one_passed_over(
    apns: ApnsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def recorded(host: str, port: int, *more: Any, **options: Any) -> Any:
        if host != "localhost":
            return look_up(host, port, *more, **options)
        asked.append(host)
        return [
            *look_up("127.0.0.1", closed_port, *more, **options),
            *look_up("127.0.0.1", port, *more, **options),
        ]

    with socket.create_server(("127.0.0.1", 0)) as closed:
        closed_port = closed.getsockname()[1]
    monkeypatch.setattr(socket, "getaddrinfo", recorded)
    push = connect(apns.port, host="localhost")
    announce(push, phones(1))
    assert announce(push, phones(1)) == {1: Accepted()}
    push.close()
    assert announce(push, phones(1)) == {1: Accepted()}
    assert asked == ["localhost", "localhost"]
    assert apns.connections == 2


# Certificates


def replace(target: Identity, source: Identity) -> None:
    """Put new files over old ones, as a renewal does."""
    for old, new in ((target.certificate, source.certificate), (target.key, source.key)):
        arriving = old.with_suffix(".new")
        copyfile(new, arriving)
        os.replace(arriving, old)


@pytest.fixture
def renewable(tmp_path: Path, client: Identity) -> Identity:
    identity = Identity(tmp_path / "pass.pem", tmp_path / "pass.key")
    replace(identity, client)
    return identity


@pytest.mark.check("A-107")
@pytest.mark.parametrize("told", [True, False], ids=["told", "noticed"])
def test_a_renewed_certificate_is_used_without_a_restart_and_the_old_connection_closed(
    apns: ApnsEmulator, connect: Connect, authority: Authority, renewable: Identity, told: bool
) -> None:
    push = connect(apns.port, certificate_file=renewable.certificate, key_file=renewable.key)
    announce(push, phones(1))
    announce(push, phones(1))
    replace(renewable, authority.client("renewed"))
    if told:
        push.reload()
        _until(lambda: apns.connections_open == 0)
    announce(push, phones(1))
    announce(push, phones(1))
    _until(lambda: apns.connections_open == 1)
    first, second, third, fourth = (request.certificate for request in apns.history)
    assert first == second != third == fourth
    assert apns.connections == 2


def test_a_half_finished_renewal_keeps_the_old_certificate_until_the_pair_fits(
    apns: ApnsEmulator,
    connect: Connect,
    authority: Authority,
    renewable: Identity,
    caplog: pytest.LogCaptureFixture,
) -> None:
    push = connect(apns.port, certificate_file=renewable.certificate, key_file=renewable.key)
    announce(push, phones(1))
    renewed = authority.client("renewed")
    copyfile(renewed.certificate, renewable.certificate)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert announce(push, phones(1)) == {1: Accepted()}
    assert [record.message for record in caplog.records] == [
        "the push certificate changed but cannot be used yet: TLS: KEY_VALUES_MISMATCH"
    ]
    with pytest.raises(ssl.SSLError):
        push.reload()
    copyfile(renewed.key, renewable.key)
    assert announce(push, phones(1)) == {1: Accepted()}
    assert len({request.certificate for request in apns.history}) == 2
    assert apns.connections == 2


def test_an_encrypted_key_opens_with_its_password_and_the_password_is_never_shown(
    apns: ApnsEmulator, connect: Connect, authority: Authority
) -> None:
    sealed = authority.client("sealed", password=b"open sesame")
    files = {"certificate_file": sealed.certificate, "key_file": sealed.key}
    assert announce(connect(apns.port, **files, key_password=b"open sesame"), phones(1)) == {1: Accepted()}
    for wrong in (b"guess", None):
        push = connect(apns.port, **files, key_password=wrong)
        (outcome,) = announce(push, phones(1)).values()
        assert isinstance(outcome, Parked)
        assert outcome.reason.startswith("certificate or key cannot be used: TLS: ")
        assert "guess" not in outcome.reason + repr(push)


def test_a_missing_certificate_parks_the_batch_and_a_later_one_works(
    apns: ApnsEmulator, connect: Connect, client: Identity, tmp_path: Path
) -> None:
    identity = Identity(tmp_path / "pass.pem", tmp_path / "pass.key")
    push = connect(apns.port, certificate_file=identity.certificate, key_file=identity.key)
    parked = Parked("certificate or key cannot be used: No such file or directory")
    assert announce(push, phones(2)) == {1: parked, 2: parked}
    replace(identity, client)
    assert kinds(announce(push, phones(2))) == {"Accepted": 2}


def test_a_certificate_that_the_service_does_not_accept_parks_the_batch(
    apns: ApnsEmulator, connect: Connect, authority: Authority, tmp_path: Path
) -> None:
    foreign = Authority(tmp_path, "Somebody else").client()
    expired = authority.client("expired", valid_until=datetime(2021, 1, 1, tzinfo=UTC))
    for identity, sign in ((foreign, "UNKNOWN_CA"), (expired, "CERTIFICATE_EXPIRED")):
        pauses: list[float] = []
        push = connect(
            apns.port,
            certificate_file=identity.certificate,
            key_file=identity.key,
            pause=pauses.append,
        )
        (outcome,) = announce(push, phones(1)).values()
        assert isinstance(outcome, Parked)
        assert sign in outcome.reason
        assert pauses == []
    assert apns.received == 0


def test_a_service_that_cannot_prove_who_it_is_gets_no_token(
    apns: ApnsEmulator, connect: Connect, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "Somebody else")
    outcomes = announce(connect(apns.port, ca_file=other.certificate), phones(2))
    assert kinds(outcomes) == {"Parked": 2}
    assert "not trusted" in str(outcomes[1])
    assert apns.received == 0


# Services that are no push services


@contextlib.contextmanager
def impostor(
    server: Identity, conversation: Callable[[ssl.SSLSocket], None], protocols: list[str]
) -> Iterator[int]:
    """A TLS server that does with each connection what `conversation` says; gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    if protocols:
        context.set_alpn_protocols(protocols)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(5)
            try:
                with context.wrap_socket(connection, server_side=True) as tls:
                    conversation(tls)
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _http1(tls: ssl.SSLSocket) -> None:
    tls.recv(1000)
    tls.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


def _noise(tls: ssl.SSLSocket) -> None:
    tls.sendall(bytes(range(256)) * 40)
    tls.recv(1000)


def _silence(tls: ssl.SSLSocket) -> None:
    tls.recv(1000)
    time.sleep(0.2)


def _hang_up(tls: ssl.SSLSocket) -> None:
    tls.recv(1000)


def _ping_for_ever(tls: ssl.SSLSocket) -> None:
    """Alive by every sign but answers."""
    http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    http.initiate_connection()
    for number in range(200):
        http.ping(number.to_bytes(8, "big"))
        tls.sendall(http.data_to_send())
        time.sleep(0.005)


def _no_streams(tls: ssl.SSLSocket) -> None:
    """SETTINGS with MAX_CONCURRENT_STREAMS 0."""
    tls.sendall(bytes.fromhex("000006 04 00 00000000 0003 00000000"))
    tls.recv(1000)
    time.sleep(0.2)


@pytest.mark.parametrize(
    ("conversation", "protocols"),
    [
        (_http1, []),
        (_http1, ["h2"]),
        (_noise, ["h2"]),
        (_silence, ["h2"]),
        (_hang_up, ["h2"]),
        (_ping_for_ever, ["h2"]),
        (_no_streams, ["h2"]),
    ],
)
def test_a_service_that_is_none_ends_as_later(
    server: Identity,
    connect: Connect,
    conversation: Callable[[ssl.SSLSocket], None],
    protocols: list[str],
) -> None:
    with impostor(server, conversation, protocols) as port:
        push = connect(port, connect_timeout_seconds=0.1, answer_timeout_seconds=0.1)
        began = time.monotonic()
        assert kinds(announce(push, phones(3))) == {"Later": 3}
        assert time.monotonic() - began < 3


def _answer_twice_over(tls: ssl.SSLSocket) -> None:
    """Interim headers, a body in pieces, trailers: legal, and unlike Apple's usual answers."""
    http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    http.initiate_connection()
    while data := tls.recv(65536):
        for event in http.receive_data(data):
            if isinstance(event, h2.events.StreamEnded):
                http.send_headers(event.stream_id, [(":status", "103")])
                http.send_headers(event.stream_id, [(":status", "410")])
                http.send_data(event.stream_id, b'{"reason":"Unreg')
                http.send_data(event.stream_id, b'istered","timestamp":%d}' % SINCE_MS)
                http.send_headers(event.stream_id, [("x-trailer", "1")], end_stream=True)
        tls.sendall(http.data_to_send())


def test_an_answer_in_pieces_is_put_together(server: Identity, connect: Connect) -> None:
    with impostor(server, _answer_twice_over, ["h2"]) as port:
        push = connect(port)
        assert set(announce(push, phones(20)).values()) == {Gone(SINCE, "Unregistered")}
        push.close()


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline, "waited five seconds in vain"
        time.sleep(0.002)
