"""The product's Google side against the emulator: two code bases that share only Google's documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from passes.emulators.google import GoogleEmulator, Slips
from passes.google.account import ServiceAccount
from passes.google.addresses import Addresses
from passes.google.callbacks import CallbackReader, CallbackRefused, Event
from passes.google.client import GoogleApi, Resource, fetch_root_keys
from passes.google.documents import message
from passes.google.links import save_link
from passes.google.wallet import GoogleWallet
from tests.google.cards import CLASS_ID, ISSUER, NOW, OBJECT_ID, card, club

ORIGIN = "http://127.0.0.1:8000"


@pytest.fixture
def google() -> Iterator[GoogleEmulator]:
    emulator = GoogleEmulator(issuer_id=ISSUER, clock=lambda: NOW, callback_delays_seconds=(0.01,))
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture
def account(google: GoogleEmulator, tmp_path: Path) -> ServiceAccount:
    file = tmp_path / "account.json"
    file.write_text(json.dumps(google.key_file))
    file.chmod(0o600)
    return ServiceAccount.load(file)


@pytest.fixture
def addresses(google: GoogleEmulator) -> Addresses:
    return Addresses(
        api=google.address, save=google.save_address.rstrip("/"), callback_keys=google.keys_address
    )


@pytest.fixture
def make_wallet(account: ServiceAccount, addresses: Addresses) -> Iterator[Callable[..., GoogleWallet]]:
    """Wallets as fresh processes have them; keywords go to the client."""
    made: list[GoogleWallet] = []

    def make(**options: Any) -> GoogleWallet:
        options = {"backoff_seconds": 0.001, "pace": lambda: 0.0, **options}
        api = GoogleApi(account, clock=lambda: NOW, addresses=addresses, **options)
        wallet = GoogleWallet(
            api, wanted_of=lambda install: None, class_of=lambda name: None, clock=lambda: NOW
        )
        made.append(wallet)
        return wallet

    yield make
    for wallet in made:
        wallet.close()


@pytest.fixture
def link(account: ServiceAccount, addresses: Addresses) -> str:
    return save_link(
        account, object_id=OBJECT_ID, class_id=CLASS_ID, origins=[ORIGIN], now=NOW, addresses=addresses
    )


def made(google: GoogleEmulator) -> list[tuple[str, int | None]]:
    """What was asked of the API, and how it was answered."""
    return [(one.method, one.status) for one in google.history if one.path.startswith("/walletobjects")]


def hint(number: int) -> dict[str, Any]:
    end = NOW + timedelta(days=1)
    return message(f"hint-{number}", header="Rain", body="Half price today", ends_at=end, alert=True)


@pytest.mark.check("G-15")
def test_a_card_reaches_a_phone_and_shows_its_face(
    google: GoogleEmulator, make_wallet: Callable[..., GoogleWallet], link: str
) -> None:
    wallet = make_wallet()
    wallet.prepare(club(), card())
    phone = google.add_phone()
    phone.save(link)
    shown = phone.card(OBJECT_ID)
    assert shown.title == "[TEST ONLY] Finch Club"
    assert shown.rows[0][0].value == "640"
    assert shown.barcode is not None
    assert shown.remarks == ()
    assert wallet.is_held(OBJECT_ID) is True


@pytest.mark.check("G-06", "G-22")
def test_what_google_holds_already_is_compared_in_any_spelling_and_left_alone(
    google: GoogleEmulator, make_wallet: Callable[..., GoogleWallet]
) -> None:
    make_wallet().prepare(club(), card())
    before = len(made(google))
    make_wallet().prepare(club(), card())
    assert made(google)[before:] == [("POST", 409), ("GET", 200), ("POST", 409), ("GET", 200)]


@pytest.mark.check("G-24")
def test_an_insert_whose_answer_is_lost_ends_in_one_card(
    google: GoogleEmulator, make_wallet: Callable[..., GoogleWallet]
) -> None:
    google.faults.drop_after_commit(resource=OBJECT_ID)
    make_wallet().prepare(club(), card())
    assert made(google)[1:] == [("POST", None), ("POST", 409), ("GET", 200)]


@pytest.mark.check("G-62")
@pytest.mark.parametrize("trouble", ["busy", "down", "unauthorised", "lost", "late"])
def test_a_bad_moment_of_googles_ends_with_the_card_as_wanted(
    google: GoogleEmulator, make_wallet: Callable[..., GoogleWallet], link: str, trouble: str
) -> None:
    wallet = make_wallet(timeout_seconds=0.3)
    wallet.prepare(club(), card())
    troubles: dict[str, Callable[[], None]] = {
        "busy": lambda: google.faults.answer(429, retry_after_seconds=0, resource=OBJECT_ID),
        "down": lambda: google.faults.answer(503, times=2, resource=OBJECT_ID),
        "unauthorised": google.api.forget_tokens,
        "lost": lambda: google.faults.drop_after_commit(resource=OBJECT_ID),
        "late": lambda: google.faults.hang(resource=OBJECT_ID),
    }
    troubles[trouble]()
    wallet.erase(OBJECT_ID)
    phone = google.add_phone()
    phone.save(link)
    shown = phone.card(OBJECT_ID)
    assert (shown.state, shown.rows, shown.barcode, shown.messages) == ("INACTIVE", (), None, ())


@pytest.mark.check("G-35")
def test_the_fourth_notice_of_a_day_is_on_the_card_without_a_notification(
    google: GoogleEmulator, make_wallet: Callable[..., GoogleWallet], link: str
) -> None:
    wallet = make_wallet()
    wallet.prepare(club(), card())
    phone = google.add_phone()
    phone.save(link)
    assert [wallet.tell(OBJECT_ID, hint(number)) for number in range(4)] == [True, True, True, False]
    assert len(phone.notifications) == 3
    assert [one.id for one in phone.card(OBJECT_ID).messages][-4:] == [f"hint-{n}" for n in range(4)]


SPOILED = [
    Slips(recipient="999"),
    Slips(sender="GoogleWalletPasses"),
    Slips(protocol="ECv1"),
    Slips(stranger=True),
    Slips(signed_by_root=True),
    Slips(intermediate_expires=timedelta(seconds=-1)),
    Slips(message_expires=timedelta(seconds=-1)),
    Slips(changed_after_signing=("save", "del")),
    Slips(message={"classId": "999.club"}),
    Slips(envelope={"extra": 1}),
    Slips(envelope={"signature": None}),
]


@pytest.mark.check("G-43", "G-44", "G-47")
def test_the_emulators_callbacks_are_believed_and_spoiled_ones_are_not(google: GoogleEmulator) -> None:
    reader = CallbackReader(issuer_id=ISSUER, fetch=lambda: fetch_root_keys(google.keys_address))
    for slips in (Slips(), Slips(message={"note": "Solé", "count": 2}, signed_key={"more": 1})):
        body, nonce = google.signer.envelope(CLASS_ID, OBJECT_ID, "save", now=NOW, slips=slips)
        found = reader.read(body, now=NOW)
        assert (found.object_id, found.event, found.nonce) == (OBJECT_ID, Event.SAVE, nonce)
    for slips in SPOILED:
        body, _ = google.signer.envelope(CLASS_ID, OBJECT_ID, "save", now=NOW, slips=slips)
        with pytest.raises(CallbackRefused):
            reader.read(body, now=NOW)


def test_a_document_the_product_writes_comes_back_as_it_was_written(
    make_wallet: Callable[..., GoogleWallet], account: ServiceAccount, addresses: Addresses
) -> None:
    make_wallet().prepare(club(), card())
    api = GoogleApi(account, clock=lambda: NOW, pace=lambda: 0.0, addresses=addresses)
    held = api.get(Resource.OBJECT, OBJECT_ID)
    api.close()
    for name in ("textModulesData", "loyaltyPoints", "accountName", "accountId", "classId"):
        assert held[name] == card()[name]
