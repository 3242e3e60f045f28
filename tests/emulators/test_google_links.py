"""Save links, the page behind them, and the phones that the cards land on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from passes.emulators.google import ISSUER_ID, ApiError, GoogleEmulator
from passes.emulators.google_signing import TokenRefused
from tests.emulators.conftest import NOW
from tests.emulators.issuer import CARD_ID, CLASS_ID, Issuer, a_card, a_class

AT = int(NOW.timestamp())
CARD = f"loyaltyObject/{CARD_ID}"


def test_a_link_that_names_a_card_puts_it_on_a_phone_once(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    phone = google.add_phone()
    link = google.save_address + issuer.token_for()
    assert [one.object_id for one in google.look(link)] == [CARD_ID]
    assert phone.cards == []
    assert phone.save(link) == [CARD_ID]
    assert phone.save(link) == [CARD_ID]
    assert [one.object_id for one in phone.cards] == [CARD_ID]
    assert issuer.call("GET", CARD).json["hasUsers"] is True


def test_a_link_that_carries_everything_creates_what_is_missing_and_changes_nothing(
    google: GoogleEmulator, issuer: Issuer
) -> None:
    phone = google.add_phone()
    payload = {"loyaltyClasses": [a_class()], "loyaltyObjects": [a_card()]}
    assert google.look(issuer.token_for(payload=payload))[0].title == "[TEST ONLY] Finch Club"
    assert issuer.call("GET", CARD).status == 404
    phone.save(issuer.token_for(payload=payload))
    assert issuer.call("GET", CARD).json["accountName"] == "Ana Solé"
    changed = {
        "loyaltyClasses": [a_class(programName="Other")],
        "loyaltyObjects": [a_card(accountName="Ben")],
    }
    google.add_phone().save(issuer.token_for(payload=changed))
    found = issuer.call("GET", CARD).json
    assert (found["accountName"], found["classReference"]["programName"]) == ("Ana Solé", "Finch Club")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aud": "googl"}, "aud"),
        ({"aud": ["google"]}, "aud"),
        ({"typ": "savetoandroidpay"}, "typ"),
        ({"typ": None}, "typ"),
        ({"iat": str(AT)}, "iat"),
        ({"iat": ""}, "iat"),
        ({"iat": AT + 301}, "future"),
        ({"exp": AT}, "expired"),
        ({"origins": "https://shop.example"}, "origins"),
        ({"payload": {}}, "payload"),
        ({"payload": {"passes": []}}, "payload"),
        ({"payload": {"loyaltyObjects": {"id": CARD_ID}}}, "payload"),
        ({"payload": None}, "payload"),
        ({"signer": "another"}, "Signature"),
        ({"iss": "stranger@shop.example"}, "account not found"),
        ({"header": {"alg": "none"}}, "RS256"),
    ],
)
def test_a_link_that_google_would_not_take_saves_nothing(
    google: GoogleEmulator, issuer: Issuer, changes: dict[str, Any], words: str
) -> None:
    issuer.insert()
    phone = google.add_phone()
    with pytest.raises(TokenRefused) as refused:
        phone.save(issuer.token_for(**changes))
    assert words in refused.value.words
    page = issuer.raw("GET", f"/gp/v/save/{issuer.token_for(**changes)}")
    assert (page.status, words in page.body.decode()) == (400, True)
    assert phone.cards == []


@pytest.mark.parametrize("changes", [{"exp": AT + 1}, {"origins": None}, {"iat": AT - 10**7}])
def test_a_link_lives_for_ever_unless_it_says_otherwise(
    google: GoogleEmulator, issuer: Issuer, changes: dict[str, Any]
) -> None:
    issuer.insert()
    assert google.add_phone().save(issuer.token_for(**changes)) == [CARD_ID]


def test_one_changed_letter_of_a_link_is_enough(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    phone, token = google.add_phone(), issuer.token_for()
    for place in (10, len(token) // 2, len(token) - 20):
        broken = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(TokenRefused):
            phone.save(broken)
    with pytest.raises(TokenRefused):
        phone.save("nonsense")
    assert phone.save(token) == [CARD_ID]


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"loyaltyObjects": [{"id": f"{ISSUER_ID}.none", "classId": CLASS_ID}]}, 404),
        ({"loyaltyObjects": [a_card(id=f"{ISSUER_ID}.new", classId=f"{ISSUER_ID}.none")]}, 404),
        ({"loyaltyObjects": [a_card(id=f"{ISSUER_ID}.new", points=1)]}, 400),
        ({"loyaltyObjects": [a_card(id="999.new")]}, 403),
        ({"loyaltyObjects": ["card"]}, 400),
        ({"loyaltyObjects": []}, 400),
        ({"loyaltyClasses": [a_class()]}, 400),
        ({"offerObjects": [{"id": f"{ISSUER_ID}.offer"}]}, 400),
    ],
)
def test_a_link_to_what_cannot_be_is_refused_as_the_api_would(
    google: GoogleEmulator, issuer: Issuer, payload: dict[str, Any], status: int
) -> None:
    issuer.insert()
    phone = google.add_phone()
    with pytest.raises(ApiError) as refused:
        phone.save(issuer.token_for(payload=payload))
    assert refused.value.status == status
    assert issuer.raw("GET", f"/gp/v/save/{issuer.token_for(payload=payload)}").status == status
    assert phone.cards == []


# Holders


@pytest.mark.parametrize(
    ("allowed", "same_account", "other_account"),
    [
        (None, True, True),
        ("MULTIPLE_HOLDERS", True, True),
        ("ONE_USER_ALL_DEVICES", True, False),
        ("ONE_USER_ONE_DEVICE", False, False),
    ],
)
def test_the_class_says_who_may_hold_a_card(
    google: GoogleEmulator, issuer: Issuer, allowed: str | None, same_account: bool, other_account: bool
) -> None:
    issuer.insert(a_class(multipleDevicesAndHoldersAllowedStatus=allowed))
    link = issuer.token_for()
    first = google.add_phone(account="ana@gmail.example")
    first.save(link)
    for phone, welcome in (
        (google.add_phone(account="ana@gmail.example"), same_account),
        (google.add_phone(account="ben@gmail.example"), other_account),
    ):
        if welcome:
            assert phone.save(link) == [CARD_ID]
            phone.remove(CARD_ID)
        else:
            with pytest.raises(ApiError, match="belongs to somebody else") as refused:
                phone.save(link)
            assert refused.value.status == 403
    first.remove(CARD_ID)
    assert google.add_phone(account="ben@gmail.example").save(link) == [CARD_ID]


def test_a_card_is_held_until_the_last_phone_deletes_it(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    first, second = google.add_phone(), google.add_phone()
    for phone in (first, second):
        phone.save(issuer.token_for())
    first.remove(CARD_ID)
    assert (first.cards, len(second.cards)) == ([], 1)
    assert issuer.call("GET", CARD).json["hasUsers"] is True
    second.remove(CARD_ID)
    assert issuer.call("GET", CARD).json["hasUsers"] is False
    with pytest.raises(KeyError):
        second.remove(CARD_ID)
    with pytest.raises(KeyError):
        second.card(CARD_ID)


def test_a_change_is_seen_on_every_phone_at_once(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    phones = [google.add_phone(), google.add_phone(language="ca")]
    for phone in phones:
        phone.save(issuer.token_for())
    before = google.version
    issuer.call("PATCH", CARD, {"loyaltyPoints": {"balance": {"int": 75}}})
    assert google.version > before
    assert [phone.card(CARD_ID).rows[0][0].value for phone in phones] == ["75", "75"]


# The page


def test_the_page_shows_the_card_and_its_button_saves_it(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert(card=a_card(accountName="<b>Ana</b>"))
    phone = google.add_phone("Ana's <Pixel>")
    path = f"/gp/v/save/{issuer.token_for()}"
    page = issuer.raw("GET", path)
    text = page.body.decode()
    assert page.status == 200
    assert "EMULATED" in text
    assert "&lt;b&gt;Ana&lt;/b&gt;" in text
    assert "<b>Ana" not in text
    assert "script-src" not in page.headers["content-security-policy"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    (value,) = re.findall(r'name="phone" value="(\w+)"', text)
    assert value == phone.id
    form = {"content-type": "application/x-www-form-urlencoded", "origin": google.address}
    saved = issuer.raw("POST", path, urlencode({"phone": value}).encode(), form)
    assert saved.status == 200
    assert [one.object_id for one in phone.cards] == [CARD_ID]


def test_looking_at_the_page_saves_nothing_and_a_first_phone_is_there(
    google: GoogleEmulator, issuer: Issuer
) -> None:
    issuer.insert()
    assert issuer.raw("GET", f"/gp/v/save/{issuer.token_for()}").status == 200
    (phone,) = google.phones
    assert phone.cards == []


def test_another_site_cannot_press_the_button(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    phone = google.add_phone()
    body = urlencode({"phone": phone.id}).encode()
    path = f"/gp/v/save/{issuer.token_for()}"
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        assert issuer.raw("POST", path, body, headers).status == 403
    assert issuer.raw("POST", path, urlencode({"phone": "none"}).encode()).status == 404
    assert phone.cards == []
    assert issuer.raw("POST", path, body).status == 200


def test_after_saving_a_browser_is_sent_where_the_cards_are_shown(
    start_google: Callable[..., GoogleEmulator],
) -> None:
    google = start_google(after_save=lambda phone, card: f"http://127.0.0.1:8001/{phone}/{card}")
    client = Issuer(google.address, NOW).sign_in()
    client.insert()
    phone = google.add_phone()
    saved = client.raw("POST", f"/gp/v/save/{client.token_for()}", f"phone={phone.id}".encode())
    assert (saved.status, saved.headers["location"]) == (303, f"http://127.0.0.1:8001/{phone.id}/{CARD_ID}")
    client.close()


def test_a_link_that_browsers_may_cut_is_remarked_upon(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    issuer.raw("GET", f"/gp/v/save/{issuer.token_for()}")
    assert google.history[-1].reason is None
    issuer.raw("GET", f"/gp/v/save/{issuer.token_for(origins=['https://shop.example'] * 60)}")
    assert "1800 are safe" in (google.history[-1].reason or "")


# jwt.insert and jwt.validate


def test_a_posted_token_becomes_a_link_and_creates_what_is_missing(
    google: GoogleEmulator, issuer: Issuer
) -> None:
    payload = {"loyaltyClasses": [a_class()], "loyaltyObjects": [a_card()]}
    answer = issuer.call("POST", "jwt", {"jwt": issuer.token_for(payload=payload)})
    assert answer.status == 200
    assert answer.json["resources"]["loyaltyObjects"][0]["id"] == CARD_ID
    assert google.add_phone().save(answer.json["saveUri"]) == [CARD_ID]
    assert issuer.call("POST", "jwt", {"jwt": "nonsense"}).status == 400
    assert issuer.call("POST", "jwt", {"jwt": issuer.token_for(signer="another")}).status == 400
    assert issuer.call("POST", "jwt", {}).status == 400


def test_a_token_can_be_checked_without_creating_anything(issuer: Issuer) -> None:
    good = {"loyaltyClasses": [a_class()], "loyaltyObjects": [a_card()]}
    bad = {"loyaltyObjects": [a_card(state="GONE")]}

    def verdict(body: dict[str, Any]) -> int:
        return issuer.call("POST", "jwt/validate", body).status

    assert verdict({"jwtResource": {"jwt": issuer.token_for(payload=good)}}) == 200
    assert verdict({"jwtResource": {"jwt": issuer.token_for(payload=bad)}}) == 400
    assert verdict({"jsonResource": {"json": '{"payload": {"loyaltyObjects": []}}'}}) == 200
    assert verdict({"jsonResource": {"json": '{"payload": {"loyaltyObjects": [{}]}}'}}) == 400
    assert verdict({"jsonResource": {"json": "{"}}) == 400
    assert verdict({}) == 400
    assert issuer.call("GET", CARD).status == 404
