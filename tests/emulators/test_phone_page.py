"""The page of the virtual phones, and the process that serves it."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
import zxingcpp
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flask.testing import FlaskClient
from PIL import Image

from passes.emulators import card_face, drawing
from passes.emulators.apns import ApnsEmulator
from passes.emulators.google import GoogleEmulator
from passes.emulators.google_signing import make_key_file
from passes.emulators.phone import Phone, Phones
from passes.emulators.phone_page import create_app
from passes.emulators.process import Postman, accounts, run
from passes.emulators.wallet_file import STAGES, InstalledPass, open_pass
from tests.emulators.pass_maker import (
    NOW,
    PASS_TYPE,
    Chain,
    document,
    make_chain,
    make_pass,
    server_certificate,
)
from tests.emulators.pass_service import PassService

ROOT = Path(__file__).resolve().parents[2]


class Desk:
    """The phones, their page, and a shop that issues cards."""

    def __init__(
        self,
        service: PassService,
        http: urllib3.PoolManager,
        apns: ApnsEmulator | None = None,
        google: GoogleEmulator | None = None,
    ) -> None:
        self.now = NOW
        self.service = service

        def make(name: str, **options: Any) -> Phone:
            return Phone(
                name, trust_roots=make_chain().trust_roots, clock=lambda: self.now, http=http, **options
            )

        self.phones = Phones(make)
        self.phone = self.phones.add("Ana's iPhone")
        self.app = create_app(
            self.phones, service_url=service.url, clock=lambda: self.now, zone=UTC, apns=apns, google=google
        )
        self.app.testing = True
        self.address = "http://localhost"
        self.browser: FlaskClient = self.app.test_client()

    def text(self, path: str, status: int = 200) -> str:
        answer = self.browser.get(path)
        assert answer.status_code == status
        return answer.text


@pytest.fixture
def desk() -> Iterator[Desk]:
    service = PassService()
    with urllib3.PoolManager() as http:
        yield Desk(service, http)
    service.stop()


def installed(**changes: Any) -> InstalledPass:
    data = make_pass(document(**changes))
    return open_pass(data, trust_roots=make_chain().trust_roots, now=NOW)


# --- adding, looking, removing ----------------------------------------------


def test_the_add_sheet_shows_the_card_and_adding_it_makes_a_phones_requests(desk: Desk) -> None:
    sheet = desk.text(f"/add?url={desk.service.issue()}")
    assert "Corner Bakery" in sheet
    assert "<svg" in sheet
    assert desk.phone.cards == []
    offer = re.search(r'name="offer" value="([^"]+)"', sheet)
    assert offer is not None
    answer = desk.browser.post("/add", data={"offer": offer[1]})
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/phones/iphone/cards/c-1?type={PASS_TYPE}&new=1"
    assert [one.method for one in desk.phone.history] == ["GET", "POST", "GET", "GET"]
    assert desk.browser.post("/add", data={"offer": offer[1]}).status_code == 410


def test_a_card_can_be_added_by_its_address_in_one_step(desk: Desk) -> None:
    answer = desk.browser.post("/add", data={"url": desk.service.issue(), "phone": "iphone"})
    assert answer.status_code == 303
    assert [one.installed.serial for one in desk.phone.cards] == ["c-1"]


def test_a_pass_that_is_refused_says_why(desk: Desk) -> None:
    address = desk.service.issue(teamIdentifier="OTHERTEAM1")
    assert "another_team" in desk.text(f"/add?url={address}", status=422)
    assert desk.browser.post("/add", data={"url": address}).status_code == 422
    assert desk.phone.cards == []


def test_only_loopback_and_the_service_are_fetched(desk: Desk) -> None:
    for address, code in (
        ("http://169.254.169.254/latest/meta-data", "forbidden_address"),
        ("file:///etc/passwd", "no_link"),
        ("", "no_link"),
    ):
        assert code in desk.text(f"/add?url={address}", status=422)
    assert desk.phone.history == []


def test_the_front_door_leads_to_a_phone_even_if_there_is_none(desk: Desk) -> None:
    desk.phones.erase("iphone")
    assert 'src="/phones/iphone?embed=only"' in desk.text("/")
    assert "No cards yet" in desk.text("/phones/iphone")


def test_wallet_card_back_and_lock_screen_show_the_pass(desk: Desk) -> None:
    desk.phone.add(desk.service.issue())
    desk.service.issue(storeCard=document(beans=224)["storeCard"])
    desk.phone.receive_push(PASS_TYPE)
    desk.now += timedelta(seconds=5)
    for path in ("/phones/iphone", f"/phones/iphone/cards/c-1?type={PASS_TYPE}"):
        page = desk.text(path)
        assert ">224</text>" in page
        assert "You now have 224 beans" in page
    assert "hello@bakery.example.org" in desk.text("/phones/iphone/cards/c-1/back")
    lock = desk.text("/phones/iphone/lock")
    assert "You now have 224 beans" in lock
    assert "now</time>" in lock
    desk.now += timedelta(minutes=3)
    assert "3 min ago" in desk.text("/phones/iphone/lock")
    assert "You now have 224 beans" not in desk.text("/phones/iphone")


def test_the_lock_screen_says_why_an_update_was_silent(desk: Desk) -> None:
    desk.phone.add(desk.service.issue())
    desk.service.issue(storeCard=document(offer="Cortado")["storeCard"])
    desk.phone.receive_push(PASS_TYPE)
    words = "This iPhone stays silent: its owner did not ask for offers."
    assert words in desk.text("/phones/iphone/lock")
    desk.browser.post("/phones/iphone/clear")
    assert "No notices" in desk.text("/phones/iphone/lock")


def test_the_switches_and_removal_reach_the_phone(desk: Desk) -> None:
    desk.phone.add(desk.service.issue())
    post = desk.browser.post
    post("/phones/iphone/cards/c-1/updates", data={"on": "0", "type": PASS_TYPE})
    post("/phones/iphone/cards/c-1/notifications", data={"on": "0", "type": PASS_TYPE})
    card = desk.phone.card("c-1")
    assert (card.automatic_updates, card.notifications, card.registered) == (False, False, False)
    answer = post("/phones/iphone/airplane", data={"on": "1", "from": "/phones/iphone/lock"})
    assert answer.headers["Location"] == "/phones/iphone/lock"
    assert desk.phone.airplane
    post("/phones/iphone/airplane", data={"on": "0"})
    post("/phones/iphone/cards/c-1/remove", data={"type": PASS_TYPE})
    assert desk.phone.cards == []
    assert desk.browser.get("/phones/iphone/cards/c-1").headers["Location"] == "/phones/iphone"


@pytest.mark.parametrize(
    "place", ["https://example.org", "//example.org", "/phones/iphone//x", "/phones/iphonex"]
)
def test_a_switch_leads_back_only_to_its_own_phone(desk: Desk, place: str) -> None:
    answer = desk.browser.post("/phones/iphone/airplane", data={"on": "0", "from": place})
    assert answer.headers["Location"] == "/phones/iphone"


def test_phones_are_added_and_erased(desk: Desk) -> None:
    answer = desk.browser.post("/phones", data={"name": "  Ben’s   iPhone "})
    assert answer.headers["Location"] == "/phones/iphone-2"
    assert desk.phones.get("iphone-2").name == "Ben’s iPhone"
    desk.browser.post("/phones/iphone-2/erase")
    assert [one.id for one in desk.phones.all()] == ["iphone"]
    assert desk.browser.get("/phones/iphone-2").status_code == 404


@pytest.mark.check("W-105")
def test_every_request_is_shown_and_can_be_exported(desk: Desk) -> None:
    desk.phone.add(desk.service.issue())
    page = desk.text("/phones/iphone")
    assert "/apple/v1/passes/pass.org.example.club/c-1" in page
    assert "registered" in page
    answer = desk.browser.get("/phones/iphone/requests.json")
    assert "attachment" in answer.headers["Content-Disposition"]
    exported = json.loads(answer.text)
    assert [one["status"] for one in exported] == [200, 201, 200, 304]


# --- for scripts ------------------------------------------------------------


def test_phones_json_tells_what_the_owner_sees_and_no_secret(desk: Desk) -> None:
    desk.phone.add(desk.service.issue())
    text = desk.text("/phones.json")
    (phone,) = json.loads(text)["phones"]
    (card,) = phone["cards"]
    assert card["fields"]["beans"] == "100"
    assert card["barcode"] == {"format": "PKBarcodeFormatQR", "message": "7QM2XW9LKT4H3FDA"}
    assert card["registered"]
    for secret in (desk.phone.push_token, desk.phone.device_id, desk.phone.card("c-1").installed.token):
        assert secret is not None
        assert secret not in text


def test_the_version_rises_when_something_happens(desk: Desk) -> None:
    before = desk.text("/phones/iphone/version.json")
    assert desk.text("/phones/iphone/version.json") == before
    desk.phone.set_airplane(True)
    assert desk.text("/phones/iphone/version.json") != before


def test_a_till_reads_the_code_from_the_pixels_of_the_screen(desk: Desk) -> None:
    desk.phone.add(desk.service.issue())
    answer = desk.browser.get(f"/phones/iphone/cards/c-1/screen.png?type={PASS_TYPE}")
    assert answer.mimetype == "image/png"
    (read,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(answer.data)))
    assert read.text == "7QM2XW9LKT4H3FDA"


def test_the_service_may_read_screens_from_its_pages_and_nobody_else(desk: Desk) -> None:
    desk.phone.add(desk.service.issue())
    path = "/phones/iphone/cards/c-1/screen.png"
    port = desk.service.url.rpartition(":")[2]
    for origin in (desk.service.url, f"http://localhost:{port}"):
        answer = desk.browser.get(path, headers={"Origin": origin})
        assert answer.headers["Access-Control-Allow-Origin"] == origin
    for origin in ("https://example.org", f"https://localhost:{port}", "http://localhost:1", "null"):
        answer = desk.browser.get(path, headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in answer.headers
    answer = desk.browser.get("/phones/iphone/requests.json", headers={"Origin": desk.service.url})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_pages_of_this_machine_may_read_what_is_held_while_others_use_its_lan_address() -> None:
    phones = Phones(lambda name, **options: Phone(name, trust_roots=[], clock=lambda: NOW, **options))
    app = create_app(phones, service_url="http://10.0.0.7:8000", clock=lambda: NOW, zone=UTC)
    for origin, allowed in (
        ("http://10.0.0.7:8000", True),
        ("http://127.0.0.1:8000", True),
        ("http://localhost:8000", True),
        ("http://127.0.0.1:8001", False),
        ("http://10.0.0.8:8000", False),
    ):
        answer = app.test_client().get("/held.json", headers={"Origin": origin})
        assert ("Access-Control-Allow-Origin" in answer.headers) is allowed


# --- safety -----------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "phones.example.org"},
    ],
)
def test_other_sites_change_nothing(desk: Desk, headers: dict[str, str]) -> None:
    assert desk.browser.post("/phones/iphone/airplane", data={"on": "1"}, headers=headers).status_code == 403
    assert not desk.phone.airplane


def test_the_pages_own_forms_are_accepted(desk: Desk) -> None:
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert desk.browser.post("/phones/iphone/airplane", data={"on": "1"}, headers=headers).status_code == 303
    assert desk.phone.airplane


def test_a_name_that_is_not_this_machines_is_not_answered(desk: Desk) -> None:
    assert desk.browser.get("/phones.json", headers={"Host": "evil.example:8001"}).status_code == 403


def test_every_page_has_a_strict_policy_and_nothing_inline(desk: Desk) -> None:
    desk.phone.add(desk.service.issue())
    card = "/phones/iphone/cards/c-1"
    for path in ("/phones/iphone", "/phones/iphone/lock", card, f"{card}/back", "/nothing", "/phones/nobody"):
        answer = desk.browser.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", answer.text)


def test_what_a_pass_says_is_escaped(desk: Desk) -> None:
    body = document(organizationName="<b>Bakery</b>", logoText='"><script>')["storeCard"]
    body["primaryFields"][0] |= {"value": "<script>alert(1)</script>", "changeMessage": "<i>%@</i>"}
    link = "<a href='javascript:alert(1)'>tap</a> <a href='https://bakery.example.org'>site</a><img src=x>"
    body["backFields"][0] |= {"attributedValue": link}
    desk.phone.add(
        desk.service.issue(storeCard=body, organizationName="<b>Bakery</b>", logoText='"><script>')
    )
    after = json.loads(json.dumps(body))
    after["primaryFields"][0]["value"] = "<u>new</u>"
    desk.service.issue(storeCard=after, organizationName="<b>Bakery</b>", logoText='"><script>')
    desk.phone.receive_push(PASS_TYPE)
    for path in ("/phones/iphone", "/phones/iphone/lock", "/phones/iphone/cards/c-1/back"):
        page = desk.text(path)
        for markup in ("<b>Bakery", "<script>", "<i>", "<u>", "javascript:", "<img src=x"):
            assert markup not in page
    assert 'href="https://bakery.example.org"' in desk.text("/phones/iphone/cards/c-1/back")


# --- the drawing ------------------------------------------------------------


@pytest.mark.parametrize("name", ["QR", "PDF417", "Aztec", "Code128"])
def test_each_kind_of_barcode_can_be_read_from_the_screen(name: str) -> None:
    barcode = {
        "format": f"PKBarcodeFormat{name}",
        "message": "4006381333931",
        "messageEncoding": "iso-8859-1",
    }
    picture = card_face.as_png(installed(barcodes=[barcode]))
    (read,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))
    assert read.text == "4006381333931"


def test_a_format_that_this_phone_does_not_know_gives_way_to_the_next() -> None:
    shared = {"message": "4006381333931", "messageEncoding": "iso-8859-1"}
    barcodes = [{"format": f"PKBarcodeFormat{name}", **shared} for name in ("EAN13", "QR")]
    shown = card_face.shown_barcode(installed(barcodes=barcodes))
    assert shown is not None
    assert shown["format"] == "PKBarcodeFormatQR"
    assert card_face.shown_barcode(installed(barcodes=barcodes[:1])) is None


def test_only_four_fields_of_the_row_are_shown_and_all_stay_on_the_card() -> None:
    body = document()["storeCard"]
    words = "an extraordinarily long name that no card can show"
    body["secondaryFields"] = [{"key": f"s{n}", "label": words, "value": f"{n} {words}"} for n in range(6)]
    items = card_face.layout(installed(storeCard=body))
    row = [one for one in items if isinstance(one, drawing.Words) and 240 < one.y < 270]
    assert [one.text[0] for one in row] == list("0123")
    assert all(one.text.endswith("…") for one in row)
    for one in items:
        if isinstance(one, drawing.Words):
            width = drawing.text_width(one.text, one.size)
            left = one.x - {"start": 0, "middle": width / 2, "end": width}[one.anchor]
            assert left >= -0.5
            assert left + width <= card_face.WIDTH + 0.5


def test_turkish_labels_keep_their_dots() -> None:
    body = document()["storeCard"]
    body["headerFields"][0]["label"] = "indirim"
    items = card_face.layout(installed(storeCard=body), language="tr")
    assert "İNDİRİM" in [one.text for one in items if isinstance(one, drawing.Words)]


def test_a_stopped_card_says_so() -> None:
    stopped = installed(voided=True, webServiceURL=None, authenticationToken=None)
    assert "This card was stopped" in card_face.as_svg(stopped)


# --- pushes -----------------------------------------------------------------


def until(happened: Callable[[], object], seconds: float = 10) -> None:
    limit = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.01)


def test_pushes_find_their_phone_by_token_and_unknown_ones_are_dropped(desk: Desk) -> None:
    desk.phone.add(desk.service.issue())
    desk.service.issue(storeCard=document(beans=224)["storeCard"])
    postman = Postman(desk.phones)
    postman.deliver("00" * 32, PASS_TYPE, {})
    postman.deliver(desk.phone.push_token, PASS_TYPE, {})
    until(lambda: desk.phone.notices)
    assert desk.phone.notices[0].text == "You now have 224 beans"


def test_a_push_with_expiration_zero_is_not_kept_for_a_phone_that_is_away(desk: Desk) -> None:
    desk.phone.add(desk.service.issue())
    desk.phone.set_airplane(True)
    desk.service.issue(storeCard=document(beans=224)["storeCard"])
    postman = Postman(desk.phones)
    postman.deliver(desk.phone.push_token, PASS_TYPE, {"apns-expiration": "0"})
    postman.deliver(desk.phone.push_token, "pass.org.example.last", {})
    until(lambda: desk.phone.state()["waiting_topics"])
    assert desk.phone.state()["waiting_topics"] == ["pass.org.example.last"]


# --- the process ------------------------------------------------------------


def write_chain(folder: Path) -> Chain:
    """The files that `certs dev` makes, from the tests' own chain."""
    chain = make_chain()
    for file, certificate in (
        ("root.pem", chain.root),
        ("wwdr.pem", chain.wwdr),
        ("pass.pem", chain.leaf),
        ("apns.pem", server_certificate(chain)),
    ):
        (folder / file).write_bytes(certificate.public_bytes(Encoding.PEM))
    key = chain.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "apns.key").write_bytes(key)
    return chain


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


class Running:
    """The emulators in a process of their own."""

    def __init__(self, folder: Path, service_url: str) -> None:
        self.phone_port, self.apns_port = free_port(), free_port()
        script = (
            "from pathlib import Path; from passes.emulators.process import run; "
            f"run(apns_port={self.apns_port}, phone_port={self.phone_port}, certs=Path({str(folder)!r}), "
            f"state=Path({str(folder / 'state')!r}), service_url={service_url!r})"
        )
        self.process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
        self.http = urllib3.PoolManager()
        until(self.answers)

    def answers(self) -> bool:
        assert self.process.poll() is None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.phone_port)) == 0 and bool(self.get("/health"))

    def get(self, path: str) -> Any:
        return self.http.request("GET", f"http://127.0.0.1:{self.phone_port}{path}").json()

    def post(self, path: str, **options: Any) -> int:
        answer = self.http.request(
            "POST", f"http://127.0.0.1:{self.phone_port}{path}", redirect=False, **options
        )
        return answer.status

    def stop(self) -> float:
        """Ask it to end; the seconds that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        self.http.clear()
        return time.monotonic() - began


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Running, PassService]]:
    write_chain(tmp_path)
    service = PassService()
    started = Running(tmp_path, service.url)
    yield started, service
    started.stop()
    service.stop()


def test_a_push_over_the_wire_changes_the_card_and_survives_a_restart(
    running: tuple[Running, PassService], tmp_path: Path
) -> None:
    started, service = running
    chain = make_chain()
    health = started.get("/health")
    assert (health["status"], health["phones"], health["apns_port"]) == ("ok", 2, started.apns_port)
    assert started.post("/add", fields={"url": service.issue()}) == 303
    service.issue(storeCard=document(beans=224)["storeCard"])
    token = service.registered["c-1"]

    key = chain.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "pass.key").write_bytes(key)
    push(started.apns_port, tmp_path, token, PASS_TYPE)
    until(lambda: started.get("/phones.json")["phones"][0]["notices"])
    (notice,) = started.get("/phones.json")["phones"][0]["notices"]
    assert notice["text"] == "You now have 224 beans"
    assert started.get("/apns/history.json")["requests"][0]["status"] == 200

    assert started.stop() < 2
    again = Running(tmp_path, service.url)
    try:
        phone, _ = again.get("/phones.json")["phones"]
        assert phone["cards"][0]["fields"]["beans"] == "224"
        assert phone["notices"] == [notice]
    finally:
        again.stop()


def push(port: int, folder: Path, token: str, topic: str) -> None:
    """One push, written with h2 by hand."""
    import h2.config
    import h2.connection
    import h2.events

    context = ssl.create_default_context(cafile=str(folder / "root.pem"))
    whole = (folder / "pass.pem").read_bytes() + (folder / "wwdr.pem").read_bytes()
    (folder / "client.pem").write_bytes(whole)
    context.load_cert_chain(folder / "client.pem", folder / "pass.key")
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as line,
    ):
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        connection.initiate_connection()
        stream = connection.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "127.0.0.1"),
            (":path", f"/3/device/{token}"),
            ("apns-topic", topic),
        ]
        connection.send_headers(stream, headers)
        connection.send_data(stream, b"{}", end_stream=True)
        line.sendall(connection.data_to_send())
        while True:
            events = connection.receive_data(line.recv(65536))
            line.sendall(connection.data_to_send())
            for event in events:
                if isinstance(event, h2.events.ResponseReceived):
                    assert dict(event.headers)[b":status"] == b"200"
                if isinstance(event, h2.events.StreamEnded):
                    return


def test_faults_are_asked_for_over_http_and_nonsense_is_refused(
    running: tuple[Running, PassService],
) -> None:
    started, _ = running
    assert started.post("/apns/faults", json={"share": {"part": 0.5, "status": 503}}) == 200
    assert started.post("/apns/faults", json={"clear": True}) == 200
    assert started.post("/apns/faults", json={"slow": 0.1}) == 200
    assert started.post("/apns/faults", json={"explode": True}) == 422
    assert started.post("/apns/faults", json={"share": {"half": 1}}) == 422
    assert started.post("/apns/faults", json=[]) == 422


def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    write_chain(tmp_path)
    phone_port, apns_port = free_port(), free_port()
    script = (
        "from pathlib import Path; from passes.emulators.process import run; "
        f"run(apns_port={apns_port}, phone_port={phone_port}, certs=Path({str(tmp_path)!r}), "
        f"state=Path({str(tmp_path / 'state')!r}), service_url='http://127.0.0.1:1')"
    )
    parent_script = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {script!r}]); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent_script], cwd=ROOT)

    def open_() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", phone_port)) == 0

    until(open_)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(5)
    until(lambda: not open_(), seconds=5)


def test_a_missing_chain_is_named_in_words(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"root\.pem is missing"):
        run(apns_port=0, phone_port=0, certs=tmp_path, state=tmp_path, service_url="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("taken", "what"),
    [
        ("phone_port", "the virtual phone"),
        ("apns_port", "the push service"),
        ("google_port", "Google's wallet"),
        ("mail_port", "the mail catcher"),
    ],
)
def test_a_taken_port_is_named_in_words(tmp_path: Path, taken: str, what: str) -> None:
    write_chain(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        ports = {name: free_port() for name in ("phone_port", "apns_port", "google_port", "mail_port")}
        given = ", ".join(f"{name}={number}" for name, number in (ports | {taken: port}).items())
        script = (
            "from pathlib import Path; from passes.emulators.process import run; "
            f"run({given}, certs=Path({str(tmp_path)!r}), state=Path({str(tmp_path / 'state')!r}), "
            "service_url='http://127.0.0.1:1')"
        )
        answer = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30
        )
    assert answer.returncode == 1
    assert f"Port {port} of 127.0.0.1 cannot be used for {what}" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_google_knows_the_account_whose_key_file_lies_there(tmp_path: Path) -> None:
    write_chain(tmp_path)
    file = tmp_path / "account.json"
    for content in ("no JSON", "{}"):
        file.write_text(content)
        with pytest.raises(SystemExit, match="no key file of a service account"):
            accounts(file)
    file.write_text(json.dumps(make_key_file("till@shop.example", "")))
    known = accounts(file)
    assert known is not None
    assert b"PUBLIC KEY" in known["till@shop.example"]
    assert accounts(tmp_path / "none.json") is None


# --- a file by itself -------------------------------------------------------


def checked(desk: Desk, data: bytes) -> tuple[int, str]:
    answer = desk.browser.post(
        "/check", data={"pass": (io.BytesIO(data), "card.pkpass")}, content_type="multipart/form-data"
    )
    return answer.status_code, answer.text


def test_a_pass_is_looked_at_step_by_step(desk: Desk) -> None:
    assert "What would an iPhone say?" in desk.text("/check")
    status, page = checked(desk, make_pass(document()))
    assert (status, page.count("✓"), page.count("✗")) == (200, len(STAGES), 0)
    assert "An iPhone adds this pass" in page
    for spoiled, stage, code in (
        (b"no archive", 0, "not_a_zip"),
        (make_pass(document(), extra={"notes.txt": b"x"}), 0, "unexpected_file"),
        (make_pass(document(teamIdentifier="OTHERTEAM1")), 4, "another_team"),
    ):
        status, page = checked(desk, spoiled)
        assert (status, page.count("✓"), page.count("✗")) == (422, stage, 1)
        assert code in page
    assert desk.phone.cards == []
    assert desk.phone.history == []
