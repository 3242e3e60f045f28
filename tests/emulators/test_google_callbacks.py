"""Signed callbacks: checked here by a verifier of our own, step by step, and proven by spoiling them."""

from __future__ import annotations

import base64
import json
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, cast

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from passes.emulators.google import ISSUER_ID, GoogleEmulator, Slips
from tests.emulators.conftest import NOW, Clock
from tests.emulators.issuer import CARD_ID, CLASS_ID, Issuer, a_card, a_class

Verdict = Callable[[bytes], dict[str, Any]]


class Bad(Exception):
    """A callback that must not be believed; says at which step."""


def lengthy(*texts: str) -> bytes:
    return b"".join(struct.pack("<I", len(one.encode())) + one.encode() for one in texts)


def is_signed(key: str, signature: str, signed: bytes) -> bool:
    public = serialization.load_der_public_key(base64.b64decode(key))
    try:
        cast(ec.EllipticCurvePublicKey, public).verify(
            base64.b64decode(signature), signed, ec.ECDSA(hashes.SHA256())
        )
    except InvalidSignature:
        return False
    return True


@pytest.fixture
def check(google: GoogleEmulator, issuer: Issuer, clock: Clock) -> Verdict:
    """A verifier that knows the keys' address and its own issuer id, and nothing else."""

    def verify(body: bytes) -> dict[str, Any]:
        at = clock().timestamp() * 1000
        outer = json.loads(body)
        if set(outer) != {"signature", "intermediateSigningKey", "protocolVersion", "signedMessage"}:
            raise Bad("members")
        protocol = outer["protocolVersion"]
        if protocol != "ECv2SigningOnly":
            raise Bad("protocol")
        roots = [
            one["keyValue"]
            for one in issuer.raw("GET", "/gp/m/issuer/keys").json["keys"]
            if one["protocolVersion"] == protocol and int(one["keyExpiration"]) > at
        ]
        inner = outer["intermediateSigningKey"]
        signed = lengthy("GooglePayPasses", protocol, inner["signedKey"])
        if not any(is_signed(root, one, signed) for root in roots for one in inner["signatures"]):
            raise Bad("intermediate")
        key = json.loads(inner["signedKey"])
        if int(key["keyExpiration"]) <= at:
            raise Bad("intermediate expired")
        signed = lengthy("GooglePayPasses", ISSUER_ID, protocol, outer["signedMessage"])
        if not is_signed(key["keyValue"], outer["signature"], signed):
            raise Bad("signature")
        message: dict[str, Any] = json.loads(outer["signedMessage"])
        if int(message["expTimeMillis"]) <= at:
            raise Bad("message expired")
        return message

    return verify


class Shop:
    """An issuer's web server that takes callbacks, and answers as it is told."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.agents: list[str] = []
        self.statuses: list[int] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                shop.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                shop.agents.append(self.headers["User-Agent"])
                self.send_response(shop.statuses.pop(0) if shop.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/google/callback"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.close()


@pytest.fixture
def card(issuer: Issuer, shop: Shop) -> str:
    issuer.insert(a_class(callbackOptions={"url": shop.url}))
    return CARD_ID


def outcomes(google: GoogleEmulator) -> list[str]:
    return [one.outcome for one in google.callbacks]


def test_saving_and_deleting_are_told_with_a_signature_that_holds(
    google: GoogleEmulator, issuer: Issuer, card: str, shop: Shop, check: Verdict
) -> None:
    phone = google.add_phone()
    phone.save(issuer.token_for())
    google.wait_until(lambda: outcomes(google) == ["taken"])
    phone.save(issuer.token_for())
    phone.remove(card)
    google.wait_until(lambda: outcomes(google) == ["taken", "taken"])
    save, deletion = (check(body) for body in shop.bodies)
    assert save == {
        "classId": CLASS_ID,
        "objectId": CARD_ID,
        "expTimeMillis": int((NOW + timedelta(hours=1)).timestamp() * 1000),
        "eventType": "save",
        "nonce": google.callbacks[0].nonce,
        "count": 1,
    }
    assert (deletion["eventType"], deletion["count"]) == ("del", 0)
    assert save["nonce"] != deletion["nonce"]
    assert shop.agents == ["Googlebot"] * 2


def test_the_wire_looks_like_googles(google: GoogleEmulator, card: str, shop: Shop) -> None:
    google.send_callback(card, "save")
    google.wait_until(lambda: shop.bodies)
    (body,) = shop.bodies
    assert b"=" not in body
    assert b"\\u003d" in body
    assert isinstance(json.loads(body)["signedMessage"], str)


def test_the_keys_come_with_others_that_do_not_count_and_may_be_cached(issuer: Issuer) -> None:
    answer = issuer.raw("GET", "/gp/m/issuer/keys")
    assert answer.headers["cache-control"] == "public, max-age=300"
    keys = answer.json["keys"]
    assert len(keys) == 3
    assert {one["protocolVersion"] for one in keys} == {"ECv2", "ECv2SigningOnly"}
    at = NOW.timestamp() * 1000
    assert [int(one["keyExpiration"]) > at for one in keys] == [True, False, True]


@pytest.mark.parametrize(
    ("slips", "step"),
    [
        (Slips(recipient="999"), "signature"),
        (Slips(sender="GoogleWalletPasses"), "intermediate"),
        (Slips(protocol="ECv1"), "protocol"),
        (Slips(stranger=True), "intermediate"),
        (Slips(signed_by_root=True), "signature"),
        (Slips(intermediate_expires=timedelta(seconds=-1)), "intermediate expired"),
        (Slips(message_expires=timedelta(seconds=-1)), "message expired"),
        (Slips(changed_after_signing=("save", "del")), "signature"),
        (Slips(envelope={"extra": 1}), "members"),
        (Slips(envelope={"signature": None}), "members"),
    ],
)
def test_a_spoiled_callback_fails_at_its_step(
    google: GoogleEmulator, card: str, check: Verdict, slips: Slips, step: str
) -> None:
    good, _ = google.signer.envelope(CLASS_ID, card, "save", now=NOW)
    assert check(good)["eventType"] == "save"
    bad, _ = google.signer.envelope(CLASS_ID, card, "save", now=NOW, slips=slips)
    with pytest.raises(Bad) as refused:
        check(bad)
    assert str(refused.value) == step


def test_a_callback_may_carry_more_or_less_and_still_holds(
    google: GoogleEmulator, card: str, check: Verdict
) -> None:
    slips = Slips(message={"note": "Solé", "count": None}, signed_key={"more": 1}, nonce="n1")
    body, nonce = google.signer.envelope(CLASS_ID, card, "save", now=NOW, slips=slips)
    message = check(body)
    assert (message["note"], message["nonce"], nonce) == ("Solé", "n1", "n1")
    assert "count" not in message


def test_a_root_key_expires_with_time(
    google: GoogleEmulator, card: str, check: Verdict, clock: Clock
) -> None:
    body, _ = google.signer.envelope(CLASS_ID, card, "save", now=NOW)
    clock.forward(days=8)
    with pytest.raises(Bad, match="intermediate expired"):
        check(body)


def test_a_shop_that_fails_is_told_again_until_it_answers(
    google: GoogleEmulator, card: str, shop: Shop, check: Verdict
) -> None:
    shop.statuses = [503, 429]
    google.send_callback(card, "save")
    google.wait_until(lambda: outcomes(google) == ["taken"])
    assert google.callbacks[0].attempts == 3
    assert len({check(body)["nonce"] for body in shop.bodies}) == 1


def test_a_shop_that_never_answers_is_given_up_and_one_that_refuses_is_not_asked_again(
    google: GoogleEmulator, card: str, shop: Shop
) -> None:
    shop.statuses = [500, 500, 500, 400]
    google.send_callback(card, "save")
    google.wait_until(lambda: outcomes(google) == ["given up"])
    google.send_callback(card, "del")
    google.wait_until(lambda: outcomes(google) == ["given up", "refused"])
    assert [(one.attempts, one.status) for one in google.callbacks] == [(3, 500), (1, 400)]


def test_a_shop_that_is_away_is_no_reason_to_fail(
    google: GoogleEmulator, issuer: Issuer, card: str, shop: Shop
) -> None:
    shop.close()
    google.add_phone().save(issuer.token_for())
    google.wait_until(lambda: outcomes(google) == ["given up"])
    assert google.callbacks[0].status is None


def test_only_this_machine_is_called_unless_a_host_is_named(
    start_google: Callable[..., GoogleEmulator], shop: Shop
) -> None:
    # This machine under a name that is not among those of loopback; nobody listens there.
    url = "https://0.0.0.0:9/callback"
    for hosts, outcome in ((frozenset(), "no address"), (frozenset({"0.0.0.0"}), "given up")):
        google = start_google(callback_hosts=hosts)
        client = Issuer(google.address, NOW).sign_in()
        client.insert(a_class(callbackOptions={"url": url}))
        client.close()
        google.send_callback(CARD_ID, "save")
        google.wait_until(lambda: google.callbacks[0].outcome != "waiting")  # noqa: B023
        assert outcomes(google) == [outcome]


def test_a_class_without_an_address_hears_nothing(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    google.add_phone().save(issuer.token_for())
    assert google.callbacks == []


def test_callbacks_are_lost_or_doubled_on_request(
    google: GoogleEmulator, card: str, shop: Shop, check: Verdict
) -> None:
    google.faults.withhold_callbacks()
    google.send_callback(card, "save")
    assert outcomes(google) == ["withheld"]
    google.faults.clear()
    google.faults.double_callbacks()
    google.send_callback(card, "save")
    google.wait_until(lambda: len(shop.bodies) == 2)
    assert len({check(body)["nonce"] for body in shop.bodies}) == 1


def test_the_new_class_of_a_card_hears_of_it(
    google: GoogleEmulator, issuer: Issuer, card: str, shop: Shop
) -> None:
    issuer.call("POST", "loyaltyClass", a_class(id=f"{ISSUER_ID}.gold", callbackOptions={"url": shop.url}))
    issuer.call("PATCH", f"loyaltyObject/{card}", a_card(classId=f"{ISSUER_ID}.gold"))
    google.send_callback(card, "save")
    google.wait_until(lambda: shop.bodies)
    assert json.loads(json.loads(shop.bodies[0])["signedMessage"])["classId"] == f"{ISSUER_ID}.gold"


def test_keys_may_be_out_of_reach(google: GoogleEmulator, issuer: Issuer) -> None:
    google.faults.answer(503, where="keys")
    assert issuer.raw("GET", "/gp/m/issuer/keys").status == 503
    assert issuer.raw("GET", "/gp/m/issuer/keys").status == 200
