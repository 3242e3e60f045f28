"""The tests' small shop with a Google of its own: real use cases, the emulator, callbacks over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from passes import delivery, google_cards
from passes.emulators.google import GoogleEmulator
from passes.emulators.google_card import Shown
from passes.emulators.google_phone import AndroidPhone
from passes.google.account import ServiceAccount
from passes.google.addresses import Addresses
from passes.google.callbacks import CallbackReader, CallbackRefused, KeysUnavailable
from passes.google.client import GoogleApi, fetch_root_keys
from passes.google.wallet import GoogleWallet
from passes.google_cards import Announcer, GoogleDesk, Issuer, Upkeep
from passes.loyalty.refusals import Busy
from passes.store import google as google_rows
from passes.wallet import Wallet
from tests.cast import Card, PushService, a_card, rows
from tests.google.cards import EMAIL, ISSUER, account_key
from tests.shop import Shop

KEY_ID = "0f1e2d3c"


@dataclass
class Rehearsal:
    """A shop, its desk and its worker's side, and the emulator that both talk to."""

    shop: Shop
    google: GoogleEmulator
    address: str
    account: ServiceAccount
    addresses: Addresses
    desk: GoogleDesk
    announcer: Announcer
    answers: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.upkeep = Upkeep(self.shop.store, self.announcer)

    def api(self, **options: Any) -> GoogleApi:
        """A client as another process has it."""
        options = {"pace": lambda: 0.0, "backoff_seconds": 0.001, "later_seconds": 60.0, **options}
        return GoogleApi(self.account, clock=lambda: self.shop.now, addresses=self.addresses, **options)

    def another_worker(self, **options: Any) -> Announcer:
        """The Google side of a second worker."""
        return Announcer(
            self.shop.store,
            self.desk.issuer,
            self.api(**options),
            clock=lambda: self.shop.now,
            rate_per_second=1000,
            threads=4,
        )

    def link(self, card: Card) -> str:
        """What the member's page leads to."""
        return google_cards.save_link(
            self.shop.store,
            self.desk,
            programme_id=card.programme_id,
            card_id=card.card_id,
            now=self.shop.now,
        )

    def saved(self, card: Card, phone: AndroidPhone) -> str:
        """Save the card on the phone, and wait until we were told; the object's id."""
        heard = len(self.answers)
        [object_id] = phone.save(self.link(card))
        self.google.wait_until(lambda: len(self.answers) > heard)
        return object_id

    def a_held_card(self, name: str = "Ana Reyes") -> tuple[Card, AndroidPhone, str]:
        """A new member's card on a phone of its own, up to date."""
        card, phone = a_card(self.shop, name), self.google.add_phone()
        object_id = self.saved(card, phone)
        self.deliver()
        return card, phone, object_id

    def deliver(self, announcer: Announcer | None = None) -> delivery.Told:
        """One turn of the worker."""
        store, now = self.shop.store, self.shop.now
        while delivery.stamp_due(store, now=now):
            pass
        wallets: dict[str, Wallet] = {
            delivery.APPLE: PushService(),
            delivery.GOOGLE: announcer or self.announcer,
        }
        delivery.announce_due(store, wallets, now=now)
        return delivery.announce_due(store, wallets, wallet=delivery.GOOGLE, now=now)

    def callback(self, object_id: str, event: str, **options: Any) -> bytes:
        """What Google would send."""
        class_id = self.google.pair(object_id)[0]["id"]
        body, _ = self.google.signer.envelope(class_id, object_id, event, now=self.shop.now, **options)
        return body

    def take(self, body: bytes) -> None:
        """What our address does with it."""
        google_cards.take_callback(self.shop.store, self.desk, body, self.shop.now)

    def holders(self) -> list[str]:
        """The objects that we believe to be held."""
        return [row["push_token"] for row in rows(self.shop.store, "device", "wallet = 'google'")]

    def told(self, object_id: str) -> Any:
        """What we know Google to hold of it."""
        with self.shop.store.read() as read:
            return google_rows.by_object_id(read, object_id)

    def patches(self, object_id: str | None = None) -> list[Any]:
        """The bodies of the patches of objects, as far as the emulator still knows them."""
        return [
            one
            for one in self.asked("PATCH")
            if "loyaltyObject" in one.path and (object_id is None or object_id in one.path)
        ]

    def asked(self, method: str) -> list[Any]:
        """Every request of that method to the API."""
        return [
            one
            for one in self.google.history
            if one.method == method and one.path.startswith("/walletobjects")
        ]


def balance_of(shown: Shown) -> str:
    """The first value of the card's front."""
    return shown.rows[0][0].value


@contextmanager
def rehearsal(shop: Shop, **options: Any) -> Iterator[Rehearsal]:
    """Everything started; options go to the emulator."""
    key = account_key()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    options = {"callback_delays_seconds": (0.02, 0.05, 0.2), **options}
    google = GoogleEmulator(
        issuer_id=ISSUER, accounts={EMAIL: public}, clock=lambda: shop.now, demo_mode=False, **options
    )
    google.start()
    held: list[Rehearsal] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                held[0].take(body)
                status = 200
            except CallbackRefused:
                status = 400
            except (KeysUnavailable, Busy):
                status = 503
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()
            held[0].answers.append(status)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    listening = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    listening.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    account = ServiceAccount(EMAIL, KEY_ID, google.token_address, key)
    addresses = Addresses(
        api=google.address,
        save=google.save_address.rstrip("/"),
        callback_keys=google.keys_address,
        token=google.token_address,
    )
    issuer = Issuer(ISSUER, address)
    common: dict[str, Any] = {
        "clock": lambda: shop.now,
        "addresses": addresses,
        "pace": lambda: 0.0,
        "backoff_seconds": 0.001,
    }
    web, worker = GoogleApi(account, **common, tries_max=1), GoogleApi(account, **common)
    desk = GoogleDesk(
        issuer=issuer,
        account=account,
        addresses=addresses,
        api=web,
        wallet=GoogleWallet(web, wanted_of=lambda _: None, class_of=lambda _: None, clock=lambda: shop.now),
        reader=CallbackReader(issuer_id=ISSUER, fetch=lambda: fetch_root_keys(addresses.callback_keys)),
        origins=(address,),
    )
    announcer = Announcer(shop.store, issuer, worker, clock=lambda: shop.now, rate_per_second=1000, threads=4)
    made = Rehearsal(shop, google, address, account, addresses, desk, announcer)
    held.append(made)
    try:
        yield made
    finally:
        announcer.close()
        desk.close()
        google.stop()
        server.shutdown()
        server.server_close()
        listening.join()
