"""The Android phones on the page: Google's cards seen, added, told of changes, held to a till."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
import urllib3
import zxingcpp
from flask.testing import FlaskClient
from PIL import Image

from passes.emulators import drawing, google_face
from passes.emulators.drawing import Words
from passes.emulators.google import GoogleEmulator
from passes.emulators.google_card import show
from passes.emulators.phone import Phone, Phones
from passes.emulators.phone_page import create_app
from tests.emulators.conftest import NOW, Clock
from tests.emulators.issuer import CARD_ID, EMAIL, Issuer, a_card, a_class, public_pem
from tests.emulators.pass_maker import NOW as PASS_NOW
from tests.emulators.pass_maker import make_chain
from tests.emulators.pass_service import Answer, PassService

CARD = f"loyaltyObject/{CARD_ID}"
ON_PHONE = f"/phones/android/cards/{CARD_ID}"
LIMIT = "This Android stays silent: 3 notifications in 24 hours are the limit."


class Shelf:
    """One Android on the page, and the shop that speaks to its Google."""

    def __init__(self, google: GoogleEmulator, issuer: Issuer, service: PassService, clock: Clock) -> None:
        self.google, self.issuer, self.service = google, issuer, service
        self.phone = google.add_phone("Bea’s Android")
        http = urllib3.PoolManager()

        def make(name: str, **options: Any) -> Phone:
            roots = make_chain().trust_roots
            return Phone(name, trust_roots=roots, clock=lambda: PASS_NOW, http=http, **options)

        self.phones = Phones(make)
        self.app = create_app(self.phones, service_url=service.url, clock=clock, zone=UTC, google=google)
        self.browser: FlaskClient = self.app.test_client()

    def link(self) -> str:
        return self.google.save_address + self.issuer.token_for()

    def save(self) -> None:
        """Put the card on the phone by its link, as a finger does."""
        answer = self.browser.post("/add", data={"url": self.link(), "phone": "android"})
        assert answer.status_code == 303

    def text(self, path: str, status: int = 200) -> str:
        answer = self.browser.get(path)
        assert answer.status_code == status
        return answer.text

    def earns(self, points: int, *, ask: bool = True) -> None:
        more = {"notifyPreference": "NOTIFY_ON_UPDATE"} if ask else {}
        answer = self.issuer.call("PATCH", CARD, {"loyaltyPoints": {"balance": {"int": points}}, **more})
        assert answer.status == 200, answer.body


@pytest.fixture
def shelf(google: GoogleEmulator, issuer: Issuer, clock: Clock) -> Iterator[Shelf]:
    service = PassService()
    issuer.insert()
    yield Shelf(google, issuer, service, clock)
    service.stop()


def test_a_save_link_shows_the_card_and_adding_it_tells_google(shelf: Shelf) -> None:
    sheet = shelf.text(f"/add?url={shelf.link()}")
    assert "Finch Club" in sheet
    assert shelf.phone.cards == []
    offer = re.search(r'name="offer" value="([^"]+)"', sheet)
    assert offer is not None
    answer = shelf.browser.post("/add", data={"offer": offer[1]})
    assert answer.headers["Location"] == f"{ON_PHONE}?new=1"
    assert [one.object_id for one in shelf.phone.cards] == [CARD_ID]
    assert shelf.issuer.call("GET", CARD).json["hasUsers"] is True


@pytest.mark.parametrize("wallet", ["Apple", "Google"])
def test_the_link_of_a_card_is_followed_past_the_shops_page_and_its_redirects(
    shelf: Shelf, wallet: str
) -> None:
    service = shelf.service
    page = (
        '<a href="/elsewhere">Terms</a><a href="/card/x/apple"><img alt="Add to Apple Wallet"></a>'
        "<a href='/card/x/google'>Add to Google Wallet</a>"
    )
    goal = service.issue() if wallet == "Apple" else shelf.link()
    service.instead |= {
        f"GET /card/x/{wallet.lower()}": Answer(303, {"Location": goal}),
        "GET /card/x": Answer(200, {"Content-Type": "text/html; charset=utf-8"}, page.encode()),
    }
    phone = "iphone" if wallet == "Apple" else "android"
    if wallet == "Apple":
        shelf.phones.add("iPhone")
    answer = shelf.browser.post(f"/phones/{phone}/find", data={"link": f"{service.url}/card/x"})
    sheet = shelf.text(answer.headers["Location"])
    assert re.search(r'name="offer" value="([^"]+)"', sheet)
    answer = shelf.browser.post("/add", data={"url": f"{service.url}/card/x", "phone": phone})
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"/phones/{phone}/cards/")


def test_a_page_without_a_card_is_shown_as_a_page_to_read(shelf: Shelf) -> None:
    shelf.service.instead["GET /join"] = Answer(200, {"Content-Type": "text/html"}, b"<form>Your name</form>")
    shelf.phones.add("iPhone")
    for phone in ("iphone", "android"):
        text = shelf.text(f"/add?url={shelf.service.url}/join&phone={phone}")
        assert "There is no card here yet" in text
        assert f'href="{shelf.service.url}/join" target="_top"' in text


def test_what_google_refuses_is_said_and_nothing_is_added(shelf: Shelf) -> None:
    other = shelf.google.save_address + shelf.issuer.token_for(signer="another")
    assert "Signature" in shelf.text(f"/add?url={other}", status=422)
    away = shelf.text("/add?url=http://169.254.169.254/latest&phone=android", status=422)
    assert "fetches only from this machine" in away
    shelf.phone.set_airplane(True)
    assert "airplane mode" in shelf.text(f"/add?url={shelf.link()}", status=422)
    assert shelf.phone.cards == []


def test_a_photograph_of_a_link_is_read(shelf: Shelf) -> None:
    shelf.service.instead["GET /c"] = Answer(303, {"Location": shelf.link()})
    picture = io.BytesIO()
    code = zxingcpp.create_barcode(f"{shelf.service.url}/c", zxingcpp.BarcodeFormat.QRCode)
    Image.fromarray(code.to_image(scale=8)).save(picture, "PNG")
    for photo, status in ((picture.getvalue(), 303), (b"no picture", 422)):
        answer = shelf.browser.post(
            "/phones/android/find",
            data={"photo": (io.BytesIO(photo), "photo.png")},
            content_type="multipart/form-data",
        )
        assert answer.status_code == status
        if status == 303:
            assert "Finch Club" in shelf.text(answer.headers["Location"])


def test_wallet_card_details_and_lock_screen_show_the_card(shelf: Shelf) -> None:
    shelf.save()
    modules = {"textModulesData": [{"id": "how", "header": "How it works", "body": "One bean a coffee"}]}
    shelf.issuer.call("PATCH", CARD, modules)
    shelf.issuer.call("POST", f"{CARD}/addMessage", {"message": {"header": "Rain", "body": "Half price"}})
    assert "Copperfinch. [TEST ONLY] Finch Club" in shelf.text("/phones/android")
    assert ">Ana Solé</text>" in shelf.text(ON_PHONE)
    details = shelf.text(f"{ON_PHONE}/back")
    for words in ("Half price", "One bean a coffee", "Allow notifications"):
        assert words in details
    assert "Automatic updates" not in details
    shelf.earns(55)
    assert "Your pass was updated" in shelf.text("/phones/android/lock")
    assert ">55</text>" in shelf.text(ON_PHONE)


@pytest.mark.check("W-104")
def test_the_fourth_notice_of_a_day_is_shown_as_suppressed(shelf: Shelf, clock: Clock) -> None:
    shelf.save()
    for points in (41, 42, 43):
        shelf.earns(points)
        assert LIMIT not in shelf.text("/phones/android/lock")
    shelf.earns(44)
    lock = shelf.text("/phones/android/lock")
    assert (lock.count("Your pass was updated</p>"), lock.count(f">{LIMIT}")) == (3, 1)
    assert ">44</text>" in shelf.text(ON_PHONE)
    clock.forward(hours=24)
    shelf.issuer.now = clock()
    shelf.issuer.sign_in()
    shelf.earns(45)
    assert shelf.text("/phones/android/lock").count("Your pass was updated</p>") == 4


def test_a_change_that_nobody_asked_to_be_noticed_is_silent_and_says_so(shelf: Shelf) -> None:
    shelf.save()
    shelf.earns(50, ask=False)
    words = "This Android stays silent: the shop asked for no notification."
    assert words in shelf.text("/phones/android/lock")
    shelf.browser.post(f"{ON_PHONE}/notifications", data={"on": "0"})
    shelf.earns(51)
    words = "This Android stays silent: its owner has turned notifications off."
    assert words in shelf.text("/phones/android/lock")
    shelf.browser.post("/phones/android/clear")
    assert "No notices" in shelf.text("/phones/android/lock")


@pytest.mark.check("W-101")
def test_what_happened_in_airplane_mode_arrives_on_return_once(shelf: Shelf) -> None:
    shelf.save()
    shelf.browser.post("/phones/android/airplane", data={"on": "1"})
    shelf.earns(41)
    shelf.earns(42)
    message = {"header": "Rain", "body": "Half price", "messageType": "TEXT_AND_NOTIFY"}
    shelf.issuer.call("POST", f"{CARD}/addMessage", {"message": message})
    assert ">40</text>" in shelf.text(ON_PHONE)
    assert "No notices" in shelf.text("/phones/android/lock")
    for _ in range(2):
        shelf.browser.post("/phones/android/airplane", data={"on": "0"})
        lock = shelf.text("/phones/android/lock")
        assert lock.count("Your pass was updated</p>") == 1
        assert lock.count("Half price</p>") == 1
        assert ">42</text>" in shelf.text(ON_PHONE)


def test_a_phone_in_airplane_mode_stays_so_across_a_restart(
    start_google: Callable[..., GoogleEmulator], clock: Clock, tmp_path: Path
) -> None:
    google = start_google(state_folder=tmp_path)
    with_issuer = Issuer(google.address, NOW).sign_in()
    with_issuer.insert()
    phone = google.add_phone()
    phone.save(with_issuer.token_for())
    phone.set_airplane(True)
    patch = {"loyaltyPoints": {"balance": {"int": 90}}, "notifyPreference": "NOTIFY_ON_UPDATE"}
    with_issuer.call("PATCH", CARD, patch)
    with_issuer.close()
    google.stop()
    again = start_google(state_folder=tmp_path, accounts={EMAIL: public_pem()}).phone(phone.id)
    assert again.airplane
    assert again.card(CARD_ID).rows[0][0].value == "40"
    again.set_airplane(False)
    assert again.card(CARD_ID).rows[0][0].value == "90"
    assert [one.words for one in again.notices] == ["Your pass was updated"]


def test_removing_a_card_tells_google_and_needs_the_network(shelf: Shelf) -> None:
    shelf.save()
    shelf.phone.set_airplane(True)
    answer = shelf.browser.post(f"{ON_PHONE}/remove")
    assert (answer.status_code, "airplane mode" in answer.text) == (409, True)
    shelf.phone.set_airplane(False)
    assert shelf.browser.post(f"{ON_PHONE}/remove").headers["Location"] == "/phones/android"
    assert shelf.issuer.call("GET", CARD).json["hasUsers"] is False


@pytest.mark.parametrize("phone", ["iphone", "android"])
def test_a_phone_is_renamed_speaks_another_language_and_is_erased(shelf: Shelf, phone: str) -> None:
    shelf.phones.add("iPhone")
    shelf.browser.post(f"/phones/{phone}/name", data={"name": "  Cy’s   phone "})
    shelf.browser.post(f"/phones/{phone}/language", data={"language": "tr"})
    shelf.browser.post(f"/phones/{phone}/language", data={"language": "klingon"})
    told = {one["id"]: one for one in json.loads(shelf.text("/phones.json"))["phones"]}
    assert (told[phone]["name"], told[phone]["language"]) == ("Cy’s phone", "tr")
    shelf.browser.post(f"/phones/{phone}/erase")
    assert shelf.browser.get(f"/phones/{phone}").status_code == 404


def test_an_erased_phones_cards_stay_in_its_account(shelf: Shelf) -> None:
    shelf.save()
    shelf.browser.post("/phones/android/erase")
    assert shelf.issuer.call("GET", CARD).json["hasUsers"] is True
    shelf.earns(50)
    answer = shelf.browser.post("/phones", data={"kind": "android", "name": "New"})
    assert answer.headers["Location"] == "/phones/android-2"
    assert "No cards yet" in shelf.text("/phones/android-2")


@pytest.mark.check("W-105")
def test_every_request_between_shop_and_google_is_shown_and_can_be_exported(shelf: Shelf) -> None:
    shelf.save()
    shelf.issuer.insert(a_class(id="3388000000012345678.other"), a_card(id="3388000000012345678.stranger"))
    shelf.issuer.call("PATCH", CARD, {"loyaltyPoints": {"balance": {"int": "many"}}})
    page = shelf.text("/phones/android")
    log = page[page.index('data-live="log"') :]
    assert "PATCH" in log
    assert "400" in log
    assert f"/walletobjects/v1/{CARD}" in log
    assert "stranger" not in log
    answer = shelf.browser.get("/phones/android/requests.json")
    assert "attachment" in answer.headers["Content-Disposition"]
    exported = json.loads(answer.text)
    assert [one["status"] for one in exported if one["method"] == "PATCH"] == [400]
    assert "eyJ" not in answer.text


def test_a_saved_card_of_a_class_with_callbacks_shows_the_callback(shelf: Shelf) -> None:
    callback = {"url": f"{shelf.service.url}/google/callback"}
    patch = {"reviewStatus": "UNDER_REVIEW", "callbackOptions": callback}
    shelf.issuer.call("PATCH", f"loyaltyClass/{a_class()['id']}", patch)
    shelf.service.instead["POST /google/callback"] = Answer(200)
    shelf.save()
    shelf.google.wait_until(lambda: shelf.google.callbacks[-1].outcome == "taken")
    page = shelf.text("/phones/android")
    assert "Google → shop" in page
    assert "saved: taken" in page


def test_a_card_that_the_shop_ended_lies_among_the_old_ones(shelf: Shelf) -> None:
    shelf.save()
    assert "Archived passes" not in shelf.text("/phones/android")
    shelf.issuer.call("PATCH", CARD, {"state": "INACTIVE"})
    assert "Archived passes" in shelf.text("/phones/android")
    assert "The shop ended this card." in shelf.text(ON_PHONE)


# --- holding to a till ------------------------------------------------------


def test_a_till_reads_the_code_from_the_pixels_of_an_android(shelf: Shelf) -> None:
    shelf.save()
    (phone,) = json.loads(shelf.text("/phones.json"))["phones"]
    answer = shelf.browser.get(phone["cards"][0]["screen"])
    assert answer.mimetype == "image/png"
    (read,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(answer.data)))
    assert read.text == "7HK2"


def test_the_card_that_is_held_can_be_taken_from_one_address(shelf: Shelf, clock: Clock) -> None:
    shelf.save()
    assert shelf.browser.get("/held.png").status_code == 404
    assert shelf.browser.get("/held.json").status_code == 204
    assert "Hold this to the till" in shelf.text(f"{ON_PHONE}/hold")
    origin = {"Origin": shelf.service.url}
    held = shelf.browser.get("/held.json", headers=origin)
    assert held.headers["Access-Control-Allow-Origin"] == shelf.service.url
    assert (held.json or {})["issuer"] == "Copperfinch"
    (read,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(shelf.browser.get("/held.png").data)))
    assert read.text == "7HK2"
    # The page fetches itself when something changed: the till must not take that for another customer.
    clock.forward(seconds=5)
    shelf.text(f"{ON_PHONE}/hold")
    assert shelf.browser.get("/held.json").json == held.json
    shelf.text(ON_PHONE)
    assert shelf.browser.get("/held.png").status_code == 404


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("QR_CODE", "ÇĞ-7HK2"),
        ("AZTEC", "7HK2"),
        ("PDF_417", "7HK2"),
        ("CODE_128", "4006381333931"),
        ("CODE_39", "7HK2"),
        ("DATA_MATRIX", "7HK2"),
        ("EAN_13", "4006381333931"),
        ("EAN_8", "96385074"),
        ("ITF_14", "15400141288763"),
        ("UPC_A", "036000291452"),
    ],
)
def test_each_kind_of_barcode_can_be_read_from_an_android(kind: str, value: str) -> None:
    card = show(a_class(), a_card(barcode={"type": kind, "value": value}), language="en", now=NOW)
    picture = google_face.as_png(card, lambda url: None)
    read = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))
    assert [one.text.lstrip("0") for one in read] == [value.lstrip("0")]


# --- the drawing ------------------------------------------------------------


def a_picture(colour: tuple[int, int, int]) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (66, 66), colour).save(target, "PNG")
    return target.getvalue()


def test_pictures_are_fetched_from_the_shop_only_and_shown_from_here(shelf: Shelf) -> None:
    png = {"Content-Type": "image/png"}
    shelf.service.instead["GET /logo.png"] = Answer(200, png, a_picture((200, 30, 30)))
    shelf.issuer.call(
        "PATCH",
        f"loyaltyClass/{a_class()['id']}",
        {
            "reviewStatus": "UNDER_REVIEW",
            "programLogo": {"sourceUri": {"uri": f"{shelf.service.url}/logo.png"}},
            "heroImage": {"sourceUri": {"uri": "https://elsewhere.example/hero.png"}},
        },
    )
    shelf.save()
    card = shelf.text(ON_PHONE)
    addresses = set(re.findall(r'href="(/pictures/[^"]+)"', card))
    assert len(addresses) == 1
    shown = shelf.browser.get(addresses.pop())
    assert (shown.mimetype, "immutable" in shown.headers["Cache-Control"]) == ("image/png", True)
    assert "elsewhere.example" not in card
    # The class names no colour: the logo's own is the ground.
    assert 'fill="#c81e1e"' in card
    assert len(shelf.service.paths("GET")) == 1


def test_a_card_without_a_logo_shows_the_issuers_letter_and_grey() -> None:
    card = show(a_class(), a_card(), language="en", now=NOW)
    face = google_face.layout(card, lambda url: None)
    assert "C" in [one.text for one in face.items if isinstance(one, Words)]
    assert google_face.ground_of(card, b"\x89PNG\r\n\x1a\nbroken") == (60, 64, 67)


def test_nothing_on_the_card_runs_out_of_it() -> None:
    long = "an extraordinarily long text that no card can show " * 3
    card = show(
        a_class(programName=long, issuerName=long, rewardsTier=long, hexBackgroundColor="#fff"),
        a_card(accountName=long, accountId=long, barcode={"type": "TEXT_ONLY", "alternateText": long}),
        language="en",
        now=NOW,
    )
    for face in (google_face.layout(card, lambda url: None), google_face.head(card, lambda url: None)):
        for one in face.items:
            if isinstance(one, Words):
                width = drawing.text_width(one.text, one.size)
                left = one.x - {"start": 0, "middle": width / 2, "end": width}[one.anchor]
                assert left >= -0.5
                assert left + width <= google_face.WIDTH + 0.5
                assert 0 <= one.y <= face.height


# --- frames -----------------------------------------------------------------


def test_one_phone_alone_may_stand_in_the_shops_pages_and_nobody_elses(shelf: Shelf) -> None:
    shelf.save()
    answer = shelf.browser.get("/?embed=1")
    assert answer.headers["Location"] == "/phones/android?embed=1"
    for path in ("/phones/android", ON_PHONE, f"{ON_PHONE}/hold", "/phones/android/lock"):
        for ask in ({"query_string": {"embed": "1"}}, {"headers": {"Sec-Fetch-Dest": "iframe"}}):
            answer = shelf.browser.get(path, **ask)
            policy = answer.headers["Content-Security-Policy"]
            assert f"frame-ancestors 'self' {shelf.service.url} http://" in policy
            assert "embed=1" in answer.text
            assert "Requests" not in answer.text
        policy = shelf.browser.get(path).headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
    answer = shelf.browser.post("/phones/android/airplane?embed=1", data={"on": "1", "from": "/phones/x"})
    assert answer.headers["Location"] == "/phones/android?embed=1"


def test_the_save_page_may_stand_in_the_shops_pages_only(start_google: Callable[..., GoogleEmulator]) -> None:
    for services, ancestors in (
        ((), "'none'"),
        (("http://10.0.0.7:8000",), "http://10.0.0.7:8000 http://127.0.0.1:8000"),
    ):
        google = start_google(services=services)
        issuer = Issuer(google.address, NOW).sign_in()
        issuer.insert()
        page = issuer.raw("GET", f"/gp/v/save/{issuer.token_for()}")
        issuer.close()
        assert f"frame-ancestors {ancestors}" in page.headers["content-security-policy"]
