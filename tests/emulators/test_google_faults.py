"""The emulated Google on a bad day, and the doors through which other processes ask for one."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from passes.emulators.google import ISSUER_ID, GoogleEmulator
from tests.emulators.conftest import NOW
from tests.emulators.issuer import CARD_ID, CLASS_ID, Issuer, a_card, a_class

CARD = f"loyaltyObject/{CARD_ID}"


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (429, "RESOURCE_EXHAUSTED", "rateLimitExceeded"),
        (503, "UNAVAILABLE", "backendError"),
        (500, "INTERNAL", "backendError"),
        (401, "UNAUTHENTICATED", "authError"),
    ],
)
def test_the_next_answers_are_as_asked_for(
    google: GoogleEmulator, issuer: Issuer, status: int, code: str, reason: str
) -> None:
    issuer.insert()
    google.faults.answer(status, times=2, retry_after_seconds=7)
    for _ in range(2):
        answer = issuer.call("GET", CARD)
        assert (answer.status, answer.error["status"]) == (status, code)
        assert answer.error["errors"][0]["reason"] == reason
        assert answer.headers["retry-after"] == "7"
    assert issuer.call("GET", CARD).status == 200
    assert [one.status for one in google.history[-3:]] == [status, status, 200]


def test_a_fault_may_be_meant_for_one_card_or_one_verb(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    google.faults.answer(503, resource=CARD_ID, method="PATCH", times=None)
    assert issuer.call("GET", CARD).status == 200
    assert issuer.call("GET", f"loyaltyClass/{CLASS_ID}").status == 200
    for _ in range(3):
        assert issuer.call("PATCH", CARD, {"accountName": "Ben"}).status == 503
    google.faults.clear()
    assert issuer.call("PATCH", CARD, {"accountName": "Ben"}).status == 200


def test_an_insert_is_known_by_the_id_in_its_body(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.call("POST", "loyaltyClass", a_class())
    google.faults.answer(500, resource=CARD_ID)
    assert issuer.call("POST", "loyaltyObject", a_card(id=f"{ISSUER_ID}.other")).status == 200
    assert issuer.call("POST", "loyaltyObject", a_card()).status == 500
    assert issuer.call("POST", "loyaltyObject", a_card()).status == 200


def test_a_share_of_all_cards_always_meets_the_same_fate(google: GoogleEmulator, issuer: Issuer) -> None:
    google.faults.share(0.3, 503)
    paths = [f"loyaltyObject/{ISSUER_ID}.n{number}" for number in range(200)]
    first = [issuer.call("GET", path).status for path in paths]
    assert [issuer.call("GET", path).status for path in paths] == first
    assert 30 < first.count(503) < 90
    assert first.count(404) + first.count(503) == 200


def test_a_lost_answer_is_not_lost_work(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.call("POST", "loyaltyClass", a_class())
    google.faults.drop_after_commit()
    with pytest.raises(http.client.RemoteDisconnected):
        issuer.call("POST", "loyaltyObject", a_card())
    assert google.history[-1].status is None
    again = issuer.call("POST", "loyaltyObject", a_card())
    assert again.status == 409
    assert issuer.call("GET", CARD).status == 200


def test_a_request_that_is_never_answered_does_nothing(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    google.faults.hang()
    impatient = Issuer(google.address, NOW)
    impatient.token = issuer.token
    impatient._connection.timeout = 0.2
    with pytest.raises(TimeoutError):
        impatient.call("PATCH", CARD, {"accountName": "Ben"})
    assert issuer.call("GET", CARD).json["accountName"] == "Ana Solé"


def test_a_hanging_request_does_not_keep_it_from_stopping(google: GoogleEmulator, issuer: Issuer) -> None:
    google.faults.hang(times=None)
    impatient = Issuer(google.address, NOW)
    impatient._connection.timeout = 0.1
    with pytest.raises(TimeoutError):
        impatient.call("GET", CARD)
    begun = time.monotonic()
    google.stop()
    assert time.monotonic() - begun < 2


def test_slow_answers_are_late_and_right(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    google.faults.slow(0.2)
    begun = time.monotonic()
    assert issuer.call("GET", CARD).status == 200
    assert time.monotonic() - begun >= 0.2


def test_the_token_endpoint_has_faults_of_its_own(google: GoogleEmulator, issuer: Issuer) -> None:
    google.faults.answer(503, where="token")
    assert issuer.call("GET", CARD).status == 404
    assert issuer.exchange(issuer.assertion()).status == 503
    assert issuer.exchange(issuer.assertion()).status == 200


def test_a_part_of_a_batch_may_fail_alone(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    google.faults.answer(503, resource=CARD_ID)
    parts = "".join(
        f"--b\r\nContent-Type: application/http\r\nContent-ID: <{number}>\r\n\r\n"
        f"GET /walletobjects/v1/{path} HTTP/1.1\r\n\r\n\r\n"
        for number, path in enumerate((CARD, f"loyaltyClass/{CLASS_ID}"))
    )
    headers = {"content-type": "multipart/mixed; boundary=b", "authorization": f"Bearer {issuer.token}"}
    answer = issuer.raw("POST", "/batch", f"{parts}--b--".encode(), headers)
    assert answer.body.count(b"HTTP/1.1 200") == 1
    assert answer.body.count(b"HTTP/1.1 503") == 1


def test_a_service_that_is_down_refuses_and_comes_back_on_the_same_port(
    google: GoogleEmulator, issuer: Issuer
) -> None:
    issuer.insert()
    port = google.port
    google.go_down()
    assert google.as_json()["listening"] is False
    issuer.close()
    with pytest.raises(ConnectionRefusedError):
        issuer.call("GET", CARD)
    google.come_back()
    assert google.port == port
    assert issuer.call("GET", CARD).status == 200


def test_a_taken_port_is_an_error(
    start_google: Callable[..., GoogleEmulator], google: GoogleEmulator
) -> None:
    with pytest.raises(OSError, match="in use"):
        start_google(port=google.port)


def test_waiting_for_what_does_not_happen_ends(google: GoogleEmulator) -> None:
    with pytest.raises(TimeoutError):
        google.wait_until(lambda: False, timeout_seconds=0.05)


# For other processes


def post(issuer: Issuer, path: str, body: Any) -> Any:
    return issuer.raw("POST", path, json.dumps(body).encode(), {"content-type": "application/json"})


def test_faults_can_be_asked_for_over_http_and_are_shown(google: GoogleEmulator, issuer: Issuer) -> None:
    wanted = {"answer": {"status": 503, "times": 2}, "slow": 0, "double_callbacks": True}
    assert post(issuer, "/emulator/faults", wanted).json == {"done": sorted(wanted)}
    shown = issuer.raw("GET", "/emulator/state.json").json["faults"]
    assert shown["wishes"][0]["trouble"]["status"] == 503
    assert issuer.call("GET", CARD).status == 503
    assert post(issuer, "/emulator/faults", {"clear": True}).status == 200
    assert issuer.call("GET", CARD).status == 404
    assert post(issuer, "/emulator/faults", {"explode": True}).status == 422
    assert post(issuer, "/emulator/faults", {"answer": {"code": 503}}).status == 422
    assert post(issuer, "/emulator/faults", {}).status == 422


def test_phones_can_be_added_and_used_over_http(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    made = post(issuer, "/emulator/phones", {"name": "Pixel", "language": "ca"})
    assert made.status == 201
    place = f"/emulator/phones/{made.json['id']}"
    saved = post(issuer, f"{place}/save", {"link": google.save_address + issuer.token_for()})
    assert saved.json["cards"][0]["rows"][0][0] == {"label": "Points", "value": "40"}
    issuer.call("POST", f"{CARD}/addMessage", {"message": {"body": "Hi", "messageType": "TEXT_AND_NOTIFY"}})
    state = issuer.raw("GET", "/emulator/state.json").json
    assert state["phones"][0]["notices"][0]["words"] == "Hi"
    assert (state["objects"], state["classes"]) == (1, [CLASS_ID])
    assert post(issuer, f"{place}/remove", {"object": CARD_ID}).json["cards"] == []
    assert post(issuer, f"{place}/remove", {"object": CARD_ID}).status == 404
    assert post(issuer, f"{place}/save", {"link": "nonsense"}).status == 400
    assert post(issuer, "/emulator/phones/none/save", {"link": "x"}).status == 404
    assert post(issuer, "/emulator/phones", {"colour": "red"}).status == 422
    lost = issuer.token_for({"id": f"{ISSUER_ID}.none", "classId": CLASS_ID})
    assert post(issuer, f"{place}/save", {"link": lost}).status == 404


def test_the_history_and_health_are_there_for_scripts(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    history = issuer.raw("GET", "/emulator/history.json").json
    assert history["requests"][0]["path"] == "/token"
    assert history["callbacks"] == []
    assert issuer.raw("GET", "/health").json == {"status": "ok", "objects": 1}
    assert issuer.raw("GET", "/elsewhere").status == 404


def test_another_site_cannot_ask_for_faults(google: GoogleEmulator, issuer: Issuer) -> None:
    body = json.dumps({"slow": 9}).encode()
    assert issuer.raw("POST", "/emulator/faults", body, {"origin": "https://evil.example"}).status == 403
    assert google.faults.slow_seconds == 0
