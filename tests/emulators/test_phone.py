"""The virtual iPhone against a small web service."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import urllib3

from passes.emulators.browsing import may_reach
from passes.emulators.phone import Phone, Phones
from passes.emulators.wallet_file import PassRefused
from tests.emulators.pass_maker import NOW, PASS_TYPE, TOKEN, document, make_chain, make_pass
from tests.emulators.pass_service import MIME, Answer, PassService


@pytest.fixture
def service() -> Iterator[PassService]:
    started = PassService()
    yield started
    started.stop()


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager() as pool:
        yield pool


@pytest.fixture
def phone(http: urllib3.PoolManager) -> Phone:
    return make_phone("Ana's iPhone", http=http)


def make_phone(name: str, **options: Any) -> Phone:
    defaults: dict[str, Any] = {"trust_roots": make_chain().trust_roots, "clock": lambda: NOW}
    return Phone(name, **(defaults | options))


def lines(phone: Phone) -> list[str]:
    """The phone's history as 'METHOD place status'."""
    places = {
        "/download/": "download",
        "/v1/log": "log",
        f"registrations/{PASS_TYPE}/": "registration",
        "registrations/": "list",
        "/v1/passes/": "pass",
    }
    return [
        f"{one.method} {next(name for part, name in places.items() if part in one.path)} {one.status}"
        for one in phone.history
    ]


def test_adding_a_card_downloads_registers_lists_and_fetches_as_a_phone_does(
    service: PassService, phone: Phone
) -> None:
    card = phone.add(service.issue())
    assert card.installed.serial == "c-1"
    assert card.registered
    assert service.registered == {"c-1": phone.push_token}
    assert lines(phone) == ["GET download 200", "POST registration 201", "GET list 200", "GET pass 304"]
    assert "passesUpdatedSince" not in service.paths("GET")[1]
    assert service.last_headers("POST", "registrations")["authorization"] == f"ApplePass {TOKEN}"
    assert service.logs == []


def test_a_push_fetches_the_new_balance_and_the_lock_screen_says_so(
    service: PassService, phone: Phone
) -> None:
    phone.add(service.issue(**document(beans=100, webServiceURL=None, authenticationToken=None)))
    balance(service, 1224)
    notices = phone.receive_push(PASS_TYPE)
    assert [one.text for one in notices] == ["You now have 1,224 beans"]
    assert phone.card("c-1").installed.section("headerFields")[0].value == 1224
    assert phone.notices == notices
    assert service.paths()[-2].endswith("?passesUpdatedSince=1")


def balance(service: PassService, beans: int, **changes: Any) -> None:
    service.issue(storeCard=document(beans=beans, **changes)["storeCard"])


def test_tag_and_last_modified_go_back_verbatim(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    balance(service, 224)
    phone.receive_push(PASS_TYPE)
    balance(service, 300)
    phone.receive_push(PASS_TYPE)
    assert service.paths()[-2].endswith("?passesUpdatedSince=2")
    assert service.last_headers("GET", "/passes/")["if-modified-since"] == "Sun, 22 Nov 2026 00:00:02 GMT"
    assert phone.receive_push(PASS_TYPE) == []
    assert lines(phone)[-1] == "GET list 204"


def test_a_change_without_a_message_is_silent_and_says_why(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    balance(service, 100, offer="Maple Cortado is back")
    (notice,) = phone.receive_push(PASS_TYPE)
    assert notice.text is None
    assert notice.why == "its owner did not ask for offers"


def test_one_message_among_several_changes_is_shown(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    balance(service, 224, offer="Maple Cortado is back")
    (notice,) = phone.receive_push(PASS_TYPE)
    assert notice.text == "You now have 224 beans"


def test_two_messages_at_once_collapse_into_a_general_one(service: PassService, phone: Phone) -> None:
    body = document()["storeCard"]
    body["primaryFields"][0]["changeMessage"] = "Next: %@"
    phone.add(service.issue(storeCard=body))
    after = json.loads(json.dumps(body))
    after["headerFields"][0]["value"], after["primaryFields"][0]["value"] = 224, "36 to go"
    service.issue(storeCard=after)
    (notice,) = phone.receive_push(PASS_TYPE)
    assert notice.text == "Store card changed"


def test_a_field_that_appears_for_the_first_time_does_not_speak(service: PassService, phone: Phone) -> None:
    body = document()["storeCard"]
    header = body.pop("headerFields")
    phone.add(service.issue(storeCard=body))
    service.issue(storeCard=body | {"headerFields": header})
    (notice,) = phone.receive_push(PASS_TYPE)
    assert (notice.text, notice.why) == (None, "what appears on a card for the first time makes no sound")


def test_a_card_whose_notifications_are_off_stays_silent(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    phone.notifications(False, "c-1")
    balance(service, 224)
    (notice,) = phone.receive_push(PASS_TYPE)
    assert (notice.text, notice.why) == (None, "its owner has turned notifications for this card off")
    assert phone.card("c-1").installed.section("headerFields")[0].value == 224


def test_the_change_message_is_translated_and_its_number_formatted_for_the_phone(
    service: PassService, http: urllib3.PoolManager
) -> None:
    phone = make_phone("iPhone", language="tr", http=http)
    strings = '"You now have %@ beans" = "Artık %@ çekirdeğin var";'.encode("utf-16")
    for beans in (100, 1224):
        balance(service, beans)
        data = make_pass(service.bodies["c-1"], extra={"tr.lproj/pass.strings": strings})
        headers = {"Content-Type": MIME, "Last-Modified": service.modified("c-1")}
        if beans == 100:
            phone.add(data)
        service.instead["GET /apple/v1/passes"] = Answer(200, headers, data)
        phone.receive_push(PASS_TYPE)
    assert phone.notices[-1].text == "Artık 1.224 çekirdeğin var"


@pytest.mark.check("W-101")
def test_updates_missed_in_airplane_mode_arrive_on_return_once(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    phone.set_airplane(True)
    asked = len(service.requests)
    for beans in (110, 120, 130):
        balance(service, beans)
        phone.receive_push(PASS_TYPE)
    assert len(service.requests) == asked
    phone.set_airplane(False)
    assert [one.text for one in phone.notices] == ["You now have 130 beans"]
    assert lines(phone)[4:] == ["GET list 200", "GET pass 200"]


def test_a_push_that_must_not_be_stored_is_missed_in_airplane_mode(
    service: PassService, phone: Phone
) -> None:
    phone.add(service.issue())
    phone.set_airplane(True)
    balance(service, 224)
    phone.receive_push(PASS_TYPE, stored=False)
    phone.set_airplane(False)
    assert phone.notices == []


def test_nothing_can_be_downloaded_in_airplane_mode(service: PassService, phone: Phone) -> None:
    phone.set_airplane(True)
    with pytest.raises(PassRefused) as caught:
        phone.add(service.issue())
    assert caught.value.reason_code == "offline"
    assert service.requests == []


def test_a_card_added_offline_is_registered_on_return(service: PassService, phone: Phone) -> None:
    service.issue()
    phone.set_airplane(True)
    phone.add(make_pass(service.bodies["c-1"]))
    assert service.registered == {}
    phone.set_airplane(False)
    assert "c-1" in service.registered


def test_removing_a_card_unregisters_it(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    phone.remove("c-1")
    assert phone.cards == []
    assert service.registered == {}
    assert lines(phone)[-1] == "DELETE registration 200"
    with pytest.raises(KeyError):
        phone.card("c-1")


def test_a_card_removed_offline_is_never_unregistered(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    phone.set_airplane(True)
    phone.remove("c-1")
    phone.set_airplane(False)
    assert "c-1" in service.registered
    balance(service, 224)
    phone.receive_push(PASS_TYPE)
    assert "GET pass 200" not in lines(phone)


def test_an_erased_phone_tells_nobody_and_hears_nothing(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    asked = len(service.requests)
    phone.erase()
    balance(service, 224)
    assert phone.receive_push(PASS_TYPE) == []
    assert len(service.requests) == asked
    assert "c-1" in service.registered


def test_automatic_updates_off_unregisters_and_on_registers_and_catches_up(
    service: PassService, phone: Phone
) -> None:
    phone.add(service.issue())
    phone.automatic_updates(False, "c-1")
    assert service.registered == {}
    balance(service, 224)
    assert phone.receive_push(PASS_TYPE) == []
    phone.automatic_updates(True, "c-1")
    assert "c-1" in service.registered
    assert phone.card("c-1").installed.section("headerFields")[0].value == 224


def test_a_stopped_card_is_shown_as_stopped_and_asks_no_more(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    service.issue(voided=True, webServiceURL=None, authenticationToken=None)
    phone.receive_push(PASS_TYPE)
    card = phone.card("c-1")
    assert card.installed.voided
    assert not card.polling
    asked = len(service.requests)
    phone.receive_push(PASS_TYPE)
    assert len(service.requests) == asked


@pytest.mark.parametrize("part", ["POST /apple/v1/devices", "GET /apple/v1/passes"])
def test_not_being_allowed_ends_polling(service: PassService, phone: Phone, part: str) -> None:
    address = service.issue()
    service.instead[part] = Answer(401)
    phone.add(address)
    assert not phone.card("c-1").polling
    assert "Authentication failure" in service.logs[0]
    asked = len(service.requests)
    phone.receive_push(PASS_TYPE)
    assert len(service.requests) == asked


@pytest.mark.parametrize("listed_as", ["same pass", "not modified"])
def test_a_listed_card_that_did_not_change_is_reported(
    service: PassService, phone: Phone, listed_as: str
) -> None:
    phone.add(service.issue())
    if listed_as == "same pass":
        service.versions["c-1"] += 1
    else:
        body = json.dumps({"serialNumbers": ["c-1"], "lastUpdated": "9"}).encode()
        service.instead[f"registrations/{PASS_TYPE}?"] = Answer(
            200, {"Content-Type": "application/json"}, body
        )
    assert phone.receive_push(PASS_TYPE) == []
    (text,) = service.logs
    assert text.startswith(
        f"[{NOW:%Y-%m-%d %H:%M:%S} +0000] Get pass task (pass type {PASS_TYPE}, serial number c-1"
    )
    assert text.endswith("encountered error: Server requested update but the pass was unchanged")


def test_reports_hold_neither_token_nor_device(service: PassService, phone: Phone) -> None:
    service.instead["GET /apple/v1/passes"] = Answer(500)
    service.instead["DELETE"] = Answer(500)
    phone.add(service.issue())
    phone.remove("c-1")
    text = "\n".join(service.logs)
    assert "Unexpected response code 500" in text
    for secret in (TOKEN, phone.device_id, phone.push_token):
        assert secret not in text


def test_an_update_that_does_not_verify_is_refused_and_reported(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    balance(service, 224)
    data = make_pass(service.bodies["c-1"], chain=make_chain(who="strangers"))
    service.instead["GET /apple/v1/passes"] = Answer(200, {"Content-Type": MIME}, data)
    assert phone.receive_push(PASS_TYPE) == []
    assert phone.card("c-1").installed.section("headerFields")[0].value == 100
    assert "Received invalid pass data (The chain of certificates" in service.logs[0]


def test_an_update_with_another_token_or_for_another_card_is_refused(
    service: PassService, phone: Phone
) -> None:
    phone.add(service.issue())
    for change, words in (({"authenticationToken": "x" * 32}, "changed"), ({"serialNumber": "c-2"}, "'c-2'")):
        service.issue(**change)
        service.bodies["c-1"] |= change
        phone.receive_push(PASS_TYPE)
        assert words in service.logs[-1]
    assert phone.card("c-1").installed.token == TOKEN


def test_an_update_of_another_mime_type_is_refused(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    balance(service, 224)
    service.instead["GET /apple/v1/passes"] = Answer(200, {"Content-Type": "application/zip"}, b"")
    phone.receive_push(PASS_TYPE)
    assert "application/zip" in service.logs[0]


def test_a_pass_without_last_modified_is_reported(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    balance(service, 224)
    data = make_pass(service.bodies["c-1"])
    service.instead["GET /apple/v1/passes"] = Answer(200, {"Content-Type": MIME}, data)
    assert len(phone.receive_push(PASS_TYPE)) == 1
    assert "Last-Modified" in service.logs[0]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"serialNumbers": ["c-1"], "lastUpdated": 5}',
        b'{"serialNumbers": "c-1", "lastUpdated": "5"}',
        b'{"serialNumbers": ["c-1"]}',
    ],
)
def test_a_list_that_is_not_as_documented_is_reported(
    service: PassService, phone: Phone, body: bytes
) -> None:
    phone.add(service.issue())
    service.instead[f"registrations/{PASS_TYPE}?"] = Answer(200, {"Content-Type": "application/json"}, body)
    phone.receive_push(PASS_TYPE)
    assert "Response body could not be understood" in service.logs[0]


def test_no_redirect_is_followed_by_the_daemon(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    balance(service, 224)
    elsewhere = {"Location": f"{service.url}/download/c-1"}
    service.instead["GET /apple/v1/passes"] = Answer(302, elsewhere)
    phone.receive_push(PASS_TYPE)
    assert "Unexpected redirect" in service.logs[0]
    assert len([path for path in service.paths() if path.startswith("/download")]) == 1


def test_a_fetch_that_failed_is_tried_again_with_the_next_push(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    balance(service, 224)
    service.instead["GET /apple/v1/passes"] = Answer(503)
    assert phone.receive_push(PASS_TYPE) == []
    del service.instead["GET /apple/v1/passes"]
    assert len(phone.receive_push(PASS_TYPE)) == 1


def test_a_service_that_is_gone_is_survived(
    service: PassService, phone: Phone, http: urllib3.PoolManager
) -> None:
    phone.add(service.issue())
    service.stop()
    http.clear()
    assert phone.receive_push(PASS_TYPE) == []
    assert phone.history[-1].status is None
    assert "no answer" in phone.history[-1].answer


@pytest.mark.parametrize(
    ("reason_code", "answer"),
    [
        ("not_found", Answer(404)),
        ("redirected", Answer(302, {"Location": "/elsewhere"})),
        ("wrong_mime", Answer(200, {"Content-Type": "text/html"})),
        ("file_name", Answer(200, {"Content-Type": MIME})),
        (
            "file_name",
            Answer(200, {"Content-Type": MIME, "Content-Disposition": "attachment; filename=card.zip"}),
        ),
        (
            "not_a_zip",
            Answer(200, {"Content-Type": MIME, "Content-Disposition": "inline; filename=a.pkpass"}),
        ),
    ],
)
def test_a_download_that_is_no_pass_is_refused(
    service: PassService, phone: Phone, reason_code: str, answer: Answer
) -> None:
    address = service.issue()
    service.instead["/download"] = answer
    with pytest.raises(PassRefused) as caught:
        phone.add(address)
    assert caught.value.reason_code == reason_code
    assert phone.cards == []


def test_the_phone_reaches_only_loopback_and_its_service() -> None:
    services = ["http://192.0.2.5:8000"]
    for address in (
        "http://127.0.0.1:1/",
        "http://localhost/x",
        "http://[::1]:8/",
        "http://192.0.2.5:8000/a",
    ):
        assert may_reach(address, services)
    for address in (
        "http://192.0.2.5:80/",
        "https://192.0.2.5:8000/",
        "http://169.254.169.254/latest",
        "http://localhost.example.org/",
        "http://127.0.0.1@example.org/",
        "file:///etc/passwd",
        "http://[::1",
        "",
    ):
        assert not may_reach(address, services)


def test_a_forbidden_address_is_not_asked(phone: Phone) -> None:
    with pytest.raises(PassRefused) as caught:
        phone.add("http://192.0.2.7/card.pkpass")
    assert caught.value.reason_code == "forbidden_address"
    assert phone.history == []


def test_a_pass_cannot_send_the_phone_to_a_forbidden_address(phone: Phone) -> None:
    card = phone.add(make_pass(document(webServiceURL="http://192.0.2.7/apple")))
    assert not card.registered
    assert {one.status for one in phone.history} == {None}
    assert "not asked" in phone.history[0].answer


def test_adding_the_same_card_again_replaces_it(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    phone.notifications(False, "c-1")
    balance(service, 224)
    phone.add(f"{service.url}/download/c-1")
    (card,) = phone.cards
    assert card.installed.section("headerFields")[0].value == 224
    assert not card.notifications


def test_two_cards_of_one_type_are_updated_by_one_push(service: PassService, phone: Phone) -> None:
    phone.add(service.issue("c-1"))
    phone.add(service.issue("c-2"))
    for serial in ("c-1", "c-2"):
        service.issue(serial, storeCard=document(beans=224)["storeCard"])
    assert {one.serial for one in phone.receive_push(PASS_TYPE)} == {"c-1", "c-2"}


def test_the_history_shows_no_secret_of_pass_or_download(service: PassService, phone: Phone) -> None:
    secret = "c-aVeryLongSecretSerialNumber"
    phone.add(service.issue(secret))
    text = repr(phone.history)
    assert TOKEN not in text
    assert phone.push_token not in text
    assert phone.history[0].path == "/download/c-aV…"
    assert phone.history[1].headers == {"Authorization": "ApplePass …"}


def test_a_restored_phone_goes_on_where_it_was(service: PassService, tmp_path: Path) -> None:
    with urllib3.PoolManager() as http:

        def make(name: str, **options: Any) -> Phone:
            return make_phone(name, http=http, **options)

        before = Phones(make, folder=tmp_path)
        phone = before.add("Ana's iPhone")
        before.add("Ben's iPhone")
        phone.add(service.issue())
        balance(service, 224)
        phone.receive_push(PASS_TYPE)
        assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600, 0o600]

        after = Phones(make, folder=tmp_path)
        assert [one.id for one in after.all()] == ["iphone", "iphone-2"]
        restored = after.get("iphone")
        assert restored.state() == phone.state()
        assert after.by_token(phone.push_token) is restored
        balance(service, 300)
        assert [one.text for one in restored.receive_push(PASS_TYPE)] == ["You now have 300 beans"]
        assert service.paths()[-2].endswith("?passesUpdatedSince=2")

        assert after.erase("iphone") == phone.push_token
        assert [path.name for path in tmp_path.iterdir()] == ["phone-iphone-2.json"]
        assert after.by_token(phone.push_token) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "x", "id": "iphone"}'])
def test_a_saved_phone_that_cannot_be_read_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "phone-iphone.json").write_text(content)
    assert Phones(make_phone, folder=tmp_path).all() == []


def test_pushes_from_many_threads_leave_one_consistent_card(service: PassService, phone: Phone) -> None:
    phone.add(service.issue())
    balance(service, 224)
    threads = [threading.Thread(target=phone.receive_push, args=(PASS_TYPE,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [one.text for one in phone.notices] == ["You now have 224 beans"]
    assert service.logs == []


def test_instants_come_from_the_clock_it_was_given(service: PassService, http: urllib3.PoolManager) -> None:
    then = datetime.fromisoformat("2026-11-22T10:00:00+00:00")
    chain = make_chain()
    at = max(then, NOW)
    phone = Phone("iPhone", trust_roots=chain.trust_roots, clock=lambda: at, http=http)
    assert phone.add(service.issue()).added_at == at
    assert {one.at for one in phone.history} == {at}
