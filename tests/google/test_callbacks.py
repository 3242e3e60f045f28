"""Callbacks: what Google signed is believed, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from passes.google.callbacks import (
    BODY_BYTES_MAX,
    Callback,
    CallbackReader,
    CallbackRefused,
    Event,
    KeysUnavailable,
    Published,
    lengths_and_values,
    read_callback,
    root_keys,
)
from tests.google.cards import (
    CLASS_ID,
    ISSUER,
    NOW,
    OBJECT_ID,
    Call,
    curve_key,
    milliseconds,
    public,
    published,
    root_entry,
)


def read(body: bytes | Call | None = None, *, roots: bytes | None = None, **options: Any) -> Callback:
    raw = body if isinstance(body, bytes) else (body or Call()).body()
    found = root_keys(published() if roots is None else roots)
    arguments: dict[str, Any] = {"issuer_id": ISSUER, "roots": found, "now": NOW}
    return read_callback(raw, **(arguments | options))


def changed(**members: Any) -> bytes:
    """A sound envelope with other members; None takes one away."""
    envelope = Call().envelope() | members
    return json.dumps({name: value for name, value in envelope.items() if value is not None}).encode()


@pytest.mark.parametrize(("word", "event"), [("save", Event.SAVE), ("del", Event.DELETE)])
def test_what_google_signed_is_read(word: str, event: Event) -> None:
    assert read(Call(message={"eventType": word})) == Callback(
        class_id=CLASS_ID,
        object_id=OBJECT_ID,
        event=event,
        nonce="5ab4a1ea-3f3c-4dd1-9c3f-8b8d7d0a1c22",
        expires_at=NOW + timedelta(minutes=10),
    )


def test_an_event_that_we_do_not_know_is_read_as_none() -> None:
    assert read(Call(message={"eventType": "moved"})).event is None


@pytest.mark.check("G-43")
def test_lengths_count_bytes_so_that_any_letters_verify() -> None:
    assert lengths_and_values("é", "ab") == b"\x02\x00\x00\x00\xc3\xa9\x02\x00\x00\x00ab"
    long = "ü" * 200
    assert lengths_and_values(long)[:4] == b"\x90\x01\x00\x00"
    assert read(Call(message={"nonce": "é-ağaç-樹"})).nonce == "é-ağaç-樹"
    assert read(Call(key_extras={"note": "größer"})).object_id == OBJECT_ID


@pytest.mark.check("G-47")
@pytest.mark.parametrize("extras", [{"count": 3}, {"count": "3", "x": [1]}, {}])
def test_unknown_members_inside_the_signed_texts_are_accepted(extras: dict[str, Any]) -> None:
    assert read(Call(message=extras, key_extras=extras)).event is Event.SAVE


def test_numbers_may_be_texts() -> None:
    ends = NOW + timedelta(minutes=5)
    assert read(Call(message={"expTimeMillis": milliseconds(ends)})).expires_at == ends
    assert read(Call(key_extras={"keyExpiration": int(milliseconds(ends))})).nonce


def test_escaped_signs_in_the_body_do_not_matter() -> None:
    assert read(Call().body().replace(b"=", b"\\u003d")).event is Event.SAVE


def test_one_of_several_signatures_of_the_key_is_enough() -> None:
    envelope = Call().envelope()
    stranger = Call(root="another root").envelope()["intermediateSigningKey"]["signatures"]
    intermediate = envelope["intermediateSigningKey"]
    intermediate["signatures"] = [*stranger, *intermediate["signatures"]]
    assert read(json.dumps(envelope).encode()).event is Event.SAVE


SOUND = Call().envelope()
KEY = SOUND["intermediateSigningKey"]
NEXT_HOUR, LAST_HOUR = NOW + timedelta(hours=1), NOW - timedelta(hours=1)

REFUSED: dict[str, Callable[[], Any]] = {
    "wrong protocol": lambda: read(changed(protocolVersion="ECv1")),
    "wrong protocol, signed": lambda: read(Call(protocol="ECv2")),
    "unknown root": lambda: read(Call(root="another root")),
    "expired root": lambda: read(roots=published(root_entry(keyExpiration=milliseconds(LAST_HOUR)))),
    "root that expires now": lambda: read(roots=published(root_entry(keyExpiration=milliseconds(NOW)))),
    "root without an end": lambda: read(roots=published(root_entry(keyExpiration=None))),
    "root of another protocol": lambda: read(roots=published(root_entry(protocolVersion="ECv2"))),
    "no roots": lambda: read(roots=b'{"keys":[]}'),
    "expired intermediate": lambda: read(Call(key_ends=LAST_HOUR)),
    "intermediate that expires now": lambda: read(Call(key_ends=NOW)),
    "message signed by the root": lambda: read(Call(message_signer="root")),
    "message signed by a stranger": lambda: read(Call(message_signer="somebody")),
    "one byte changed": lambda: read(
        changed(signedMessage=SOUND["signedMessage"].replace('"save"', '"sava"'))
    ),
    "another key put in": lambda: read(
        changed(
            intermediateSigningKey={
                **KEY,
                "signedKey": KEY["signedKey"].replace(
                    public(curve_key("intermediate")), public(curve_key("somebody"))
                ),
            }
        )
    ),
    "another sender": lambda: read(Call(sender="GoogleWalletPasses")),
    "another recipient": lambda: read(Call(recipient="3388000000099999999")),
    "our issuer is another": lambda: read(issuer_id="3388000000099999999"),
    "expired message": lambda: read(Call(message={"expTimeMillis": milliseconds(LAST_HOUR)})),
    "message that expires now": lambda: read(Call(message={"expTimeMillis": milliseconds(NOW)})),
    "message without an end": lambda: read(Call(message={"expTimeMillis": None})),
    "an end far beyond time": lambda: read(Call(message={"expTimeMillis": 10**18})),
    "an end that is true": lambda: read(Call(message={"expTimeMillis": True})),
    "class of another issuer": lambda: read(Call(message={"classId": "3388000000099999999.copperfinch"})),
    "object of another issuer": lambda: read(Call(message={"objectId": f"{ISSUER}9.c-1"})),
    "object that is a number": lambda: read(Call(message={"objectId": 7})),
    "no nonce": lambda: read(Call(message={"nonce": None})),
    "empty nonce": lambda: read(Call(message={"nonce": ""})),
    "endless nonce": lambda: read(Call(message={"nonce": "n" * 257})),
    "no event": lambda: read(Call(message={"eventType": None})),
    "an extra member": lambda: read(changed(extra=1)),
    "no signature": lambda: read(changed(signature=None)),
    "a signature that is not base64": lambda: read(changed(signature="?" * 20)),
    "a signature with a line break": lambda: read(changed(signature=SOUND["signature"] + "\n")),
    "a signature that is no text": lambda: read(changed(signature=7)),
    "a signature of zeros": lambda: read(changed(signature="AAAA")),
    "an extra member beside the key": lambda: read(changed(intermediateSigningKey={**KEY, "x": 1})),
    "no signatures of the key": lambda: read(changed(intermediateSigningKey={**KEY, "signatures": []})),
    "signatures that are no list": lambda: read(changed(intermediateSigningKey={**KEY, "signatures": "x"})),
    "a hundred signatures": lambda: read(
        changed(intermediateSigningKey={**KEY, "signatures": KEY["signatures"] * 100})
    ),
    "a key that is a list": lambda: read(changed(intermediateSigningKey=[1, 2])),
    "an oversized body": lambda: read(Call().body() + b" " * BODY_BYTES_MAX),
    "no JSON": lambda: read(b"\xff\xfe"),
    "half a letter": lambda: read(changed(signedMessage="\ud800")),
    "a JSON list": lambda: read(b"[]"),
    "nothing": lambda: read(b""),
}


@pytest.mark.check("G-44", "G-45")
@pytest.mark.parametrize("case", REFUSED)
def test_everything_else_is_refused(case: str) -> None:
    with pytest.raises(CallbackRefused):
        REFUSED[case]()


def test_an_intermediate_key_on_another_curve_is_refused() -> None:
    big = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(CallbackRefused, match="cannot be used"):
        read(Call(key_extras={"keyValue": public(big)}))


def test_a_list_of_keys_survives_entries_that_make_no_sense() -> None:
    odd = published({}, root_entry(keyValue="AAAA"), root_entry(keyValue=5), root_entry())
    assert len(root_keys(odd)) == 1
    for nonsense in (b"", b"[]", b'{"keys":{}}'):
        with pytest.raises(CallbackRefused):
            root_keys(nonsense)


# Fetching the keys ------------------------------------------------------------


class Publisher:
    """Google's list of root keys; counts how often it is asked."""

    def __init__(self, body: bytes | None = None, life: timedelta | None = timedelta(hours=2)) -> None:
        self.body = published() if body is None else body
        self.life = life
        self.down = False
        self.asked = 0

    def __call__(self) -> Published:
        self.asked += 1
        if self.down:
            raise KeysUnavailable("down")
        return Published(self.body, self.life)


def reader(publisher: Publisher) -> CallbackReader:
    return CallbackReader(issuer_id=ISSUER, fetch=publisher)


@pytest.mark.check("G-48")
def test_a_thousand_forgeries_cause_one_more_fetch_a_minute() -> None:
    publisher = Publisher()
    callbacks = reader(publisher)
    forged = Call(root="forger").body()
    callbacks.read(Call().body(), now=NOW)
    for second in range(60):
        for _ in range(17):
            with pytest.raises(CallbackRefused):
                callbacks.read(forged, now=NOW + timedelta(seconds=60 + second))
    assert publisher.asked == 2
    # Whatever else is wrong with a message is no reason to ask at all.
    with pytest.raises(CallbackRefused):
        callbacks.read(Call(message_signer="forger").body(), now=NOW + timedelta(minutes=9))
    assert publisher.asked == 2


@pytest.mark.check("G-48")
def test_keys_are_kept_as_long_as_their_address_says_and_renewed_at_half_that_time() -> None:
    publisher = Publisher(life=timedelta(hours=2))
    callbacks = reader(publisher)

    def at(minutes: float) -> int:
        later = NOW + timedelta(minutes=minutes)
        callbacks.read(
            Call(
                key_ends=later + timedelta(hours=1),
                message={"expTimeMillis": milliseconds(later + timedelta(minutes=1))},
            ).body(),
            now=later,
        )
        return publisher.asked

    assert [at(0), at(1), at(59)] == [1, 1, 1]
    assert at(60) == 2
    publisher.down = True
    # The old keys go on while there are no new ones.
    assert [at(121), at(121.5), at(170)] == [3, 3, 4]
    with pytest.raises(KeysUnavailable):
        at(181)


@pytest.mark.check("G-48")
def test_keys_are_never_kept_past_the_end_of_one_of_them() -> None:
    ends = NOW + timedelta(minutes=10)
    publisher = Publisher(
        published(root_entry("old", keyExpiration=milliseconds(ends)), root_entry()), timedelta(days=30)
    )
    callbacks = reader(publisher)
    callbacks.read(Call(root="old").body(), now=NOW)
    publisher.body = published()
    still_good = Call(message={"expTimeMillis": 2**45}).body()
    callbacks.read(still_good, now=NOW + timedelta(minutes=4))
    assert publisher.asked == 1
    callbacks.read(still_good, now=ends)
    assert publisher.asked == 2
    with pytest.raises(CallbackRefused):
        callbacks.read(Call(root="old", message={"expTimeMillis": 2**45}).body(), now=ends)


def test_a_new_root_is_learnt_before_the_old_list_ends() -> None:
    publisher = Publisher()
    callbacks = reader(publisher)
    callbacks.read(Call().body(), now=NOW)
    publisher.body = published(root_entry(), root_entry("new root"))
    body = Call(root="new root").body()
    assert callbacks.read(body, now=NOW + timedelta(minutes=2)).event is Event.SAVE
    assert publisher.asked == 2


def test_without_keys_there_is_no_answer_and_with_keys_their_address_does_not_matter() -> None:
    publisher = Publisher()
    callbacks = reader(publisher)
    publisher.down = True
    for _ in range(100):
        with pytest.raises(KeysUnavailable):
            callbacks.read(Call().body(), now=NOW)
    assert publisher.asked == 1
    publisher.down = False
    assert callbacks.read(Call().body(), now=NOW + timedelta(seconds=10)).event is Event.SAVE
    publisher.down = True
    assert callbacks.read(Call().body(), now=NOW + timedelta(minutes=5)).event is Event.SAVE


@pytest.mark.parametrize("body", [b"oops", b'{"keys":[]}', published(root_entry(protocolVersion="ECv2"))])
def test_a_list_without_a_key_in_force_counts_as_unavailable(body: bytes) -> None:
    with pytest.raises(KeysUnavailable):
        reader(Publisher(body)).read(Call().body(), now=NOW)


def test_a_list_that_must_not_be_kept_is_kept_a_minute() -> None:
    publisher = Publisher(life=timedelta(0))
    callbacks = reader(publisher)
    for second in range(30):
        callbacks.read(Call().body(), now=NOW + timedelta(seconds=second))
    assert publisher.asked == 1
