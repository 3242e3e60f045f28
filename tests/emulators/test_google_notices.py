"""Who is notified by the emulated Google, how often, and why not."""

from __future__ import annotations

from typing import Any

import pytest

from passes.emulators.google import ISSUER_ID, GoogleEmulator
from passes.emulators.google_phone import AndroidPhone
from tests.emulators.conftest import Clock
from tests.emulators.issuer import CARD_ID, CLASS_ID, Issuer, a_card

CLASS, CARD = f"loyaltyClass/{CLASS_ID}", f"loyaltyObject/{CARD_ID}"
LIMIT = "3 notifications in 24 hours are the limit"


@pytest.fixture
def phone(google: GoogleEmulator, issuer: Issuer) -> AndroidPhone:
    issuer.insert()
    phone = google.add_phone()
    phone.save(issuer.token_for())
    return phone


def says(issuer: Issuer, where: str = CARD, **message: Any) -> Any:
    message = {"header": "Rain", "body": "Half price today", "messageType": "TEXT_AND_NOTIFY", **message}
    return issuer.call("POST", f"{where}/addMessage", {"message": message})


def earns(issuer: Issuer, points: int, **more: Any) -> Any:
    return issuer.call("PATCH", CARD, {"loyaltyPoints": {"balance": {"int": points}}, **more})


def test_a_message_is_listed_and_notifies_only_if_it_says_so(issuer: Issuer, phone: AndroidPhone) -> None:
    answer = says(issuer, messageType="TEXT", id="m1")
    assert answer.json["resource"]["messages"][0]["id"] == "m1"
    assert phone.notifications == []
    assert phone.notices[0].silent == "the shop asked for no notification"
    assert says(issuer, id="m2").status == 200
    (notice,) = phone.notifications
    assert (notice.cause, notice.title, notice.words) == ("message", "Rain", "Half price today")
    assert [one.id for one in phone.card(CARD_ID).messages] == ["m1", "m2"]


def test_a_changed_balance_notifies_in_that_request_only_and_in_googles_words(
    google: GoogleEmulator, issuer: Issuer, phone: AndroidPhone
) -> None:
    answer = earns(issuer, 50, notifyPreference="NOTIFY_ON_UPDATE")
    assert "notifyPreference" not in answer.json
    (notice,) = phone.notifications
    assert (notice.cause, notice.title, notice.words) == ("update", "Finch Club", "Your pass was updated")
    earns(issuer, 60)
    assert phone.notices[-1].silent == "the shop asked for no notification"
    earns(issuer, 60, notifyPreference="NOTIFY_ON_UPDATE")
    assert phone.notices[-1].silent == "no field that notifies has changed"
    issuer.call("PATCH", CARD, {"accountName": "Ben", "notifyPreference": "NOTIFY_ON_UPDATE"})
    assert len(phone.notifications) == 1
    assert google.history[-1].body["notifyPreference"] == "NOTIFY_ON_UPDATE"


def test_the_fourth_notifying_message_in_24_hours_is_refused_and_the_same_text_is_not(
    issuer: Issuer, phone: AndroidPhone, clock: Clock
) -> None:
    for _ in range(3):
        assert says(issuer).status == 200
    refused = says(issuer)
    assert (refused.status, refused.error["errors"][0]["reason"]) == (429, "quotaExceeded")
    assert "QuotaExceeded" in refused.error["message"]
    assert says(issuer, messageType="TEXT").status == 200
    assert len(issuer.call("GET", CARD).json["messages"]) == 4
    clock.forward(hours=23, minutes=59)
    issuer.now = clock()
    issuer.sign_in()
    assert says(issuer).status == 429
    clock.forward(minutes=1)
    assert says(issuer).status == 200
    assert len(phone.notifications) == 4


def test_the_fourth_notifying_update_is_done_in_silence(issuer: Issuer, phone: AndroidPhone) -> None:
    for points in (41, 42, 43, 44):
        assert earns(issuer, points, notifyPreference="NOTIFY_ON_UPDATE").status == 200
    assert [one.silent for one in phone.notices] == [None, None, None, LIMIT]
    assert phone.card(CARD_ID).rows[0][0].value == "44"
    assert says(issuer).status == 429


def test_a_word_to_the_whole_class_counts_for_every_card_and_reaches_holders_only(
    google: GoogleEmulator, issuer: Issuer, phone: AndroidPhone
) -> None:
    other = f"{ISSUER_ID}.other"
    issuer.call("POST", "loyaltyObject", a_card(id=other))
    assert says(issuer, CLASS).status == 200
    assert [one.object_id for one in google.announcements] == [CARD_ID]
    assert says(issuer).status == 200
    assert says(issuer).status == 200
    assert says(issuer).status == 429
    # The class itself has two words left; this card is at its limit and stays silent.
    assert says(issuer, CLASS).status == 200
    assert [one.silent for one in phone.notices] == [None, None, None, LIMIT]
    assert says(issuer, CLASS).status == 200
    assert says(issuer, CLASS).status == 429
    assert says(issuer, f"loyaltyObject/{other}").status == 429


def test_a_tier_that_changes_on_the_class_notifies_its_holders(issuer: Issuer, phone: AndroidPhone) -> None:
    patch = {"reviewStatus": "UNDER_REVIEW", "notifyPreference": "NOTIFY_ON_UPDATE"}
    issuer.call("PATCH", CLASS, {**patch, "countryCode": "ES"})
    issuer.call("PATCH", CLASS, {**patch, "rewardsTier": "Gold"})
    assert [one.silent is None for one in phone.notices] == [False, True]


def test_there_is_silence_where_nobody_holds_the_card_or_the_owner_wants_it(
    google: GoogleEmulator, issuer: Issuer, phone: AndroidPhone
) -> None:
    phone.mute(CARD_ID)
    says(issuer)
    assert phone.notices[-1].silent == "its owner has turned notifications off"
    phone.mute(CARD_ID, muted=False)
    says(issuer)
    assert len(phone.notifications) == 1
    phone.clear_notices()
    phone.remove(CARD_ID)
    says(issuer)
    assert phone.notices == []
    assert google.announcements[-1].silent == "no phone holds the card"


def test_a_message_that_is_not_to_be_seen_now_is_neither_listed_nor_announced(
    issuer: Issuer, phone: AndroidPhone, clock: Clock
) -> None:
    tomorrow = {"start": {"date": "2026-03-02T00:00:00Z"}, "end": {"date": "2026-03-03T00:00:00Z"}}
    assert says(issuer, displayInterval=tomorrow).status == 200
    assert phone.notices[-1].silent == "its display interval is not now"
    assert phone.card(CARD_ID).messages == ()
    clock.forward(hours=13)
    assert len(phone.card(CARD_ID).messages) == 1
    clock.forward(hours=24)
    assert phone.card(CARD_ID).messages == ()


def test_an_eleventh_message_is_refused_until_the_array_is_shortened(
    issuer: Issuer, phone: AndroidPhone
) -> None:
    for _ in range(10):
        assert says(issuer, messageType="TEXT").status == 200
    assert says(issuer, messageType="TEXT").status == 400
    messages = issuer.call("GET", CARD).json["messages"]
    assert issuer.call("PATCH", CARD, {"messages": messages[1:]}).status == 200
    assert says(issuer, messageType="TEXT").status == 200


@pytest.mark.parametrize(
    "body", [{}, {"message": None}, {"message": {"messageType": "EXPIRATION_NOTIFICATION"}}, {"text": "Hi"}]
)
def test_a_message_needs_its_form(issuer: Issuer, phone: AndroidPhone, body: dict[str, Any]) -> None:
    assert issuer.call("POST", f"{CARD}/addMessage", body).status == 400
    assert (
        issuer.call("POST", f"loyaltyObject/{ISSUER_ID}.none/addMessage", {"message": {"body": "x"}}).status
        == 404
    )
