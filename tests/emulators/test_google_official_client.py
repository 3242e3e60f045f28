"""Google's own client drives the emulator: what it cannot do here, it could not do there.

Only the root address and the token address are ours. Source: the discovery
document that comes with google-api-python-client.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import google_auth_httplib2
import httplib2
import pytest
from google.auth import jwt
from google.oauth2 import service_account
from googleapiclient import discovery
from googleapiclient.errors import HttpError

from passes.emulators.google import ISSUER_ID, GoogleEmulator
from tests.emulators.issuer import CARD_ID, CLASS_ID, SCOPE, a_card, a_class


class Credentials(service_account.Credentials):
    """Asks nobody but the token address: the library looks up a region at Google's besides."""

    def _is_regional_access_boundary_lookup_required(self) -> bool:
        return False


@pytest.fixture
def google(tmp_path: Path) -> Iterator[GoogleEmulator]:
    emulator = GoogleEmulator(state_folder=tmp_path / "google")
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture
def wallet(google: GoogleEmulator) -> Iterator[Any]:
    """The client as an issuer builds it."""
    text = (files("googleapiclient.discovery_cache.documents") / "walletobjects.v1.json").read_text()
    document = {**json.loads(text), "rootUrl": f"{google.address}/", "baseUrl": f"{google.address}/"}
    credentials = Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
        {**google.key_file, "token_uri": f"{google.address}/token"}, scopes=[SCOPE]
    )
    http = google_auth_httplib2.AuthorizedHttp(credentials, http=httplib2.Http(timeout=10))
    client = discovery.build_from_document(document, http=http)
    yield client
    client.close()
    http.http.close()


@pytest.mark.witness
@pytest.mark.check("G-58")
def test_the_whole_life_of_a_card(google: GoogleEmulator, wallet: Any) -> None:
    classes, cards = wallet.loyaltyclass(), wallet.loyaltyobject()
    made = classes.insert(body=a_class()).execute()
    assert made["reviewStatus"].upper() == "APPROVED"
    assert cards.insert(body=a_card()).execute()["id"] == CARD_ID
    assert cards.get(resourceId=CARD_ID).execute()["accountName"] == "Ana Solé"

    with pytest.raises(HttpError) as twice:
        cards.insert(body=a_card()).execute()
    assert twice.value.status_code == 409
    with pytest.raises(HttpError) as nobody:
        cards.get(resourceId=f"{ISSUER_ID}.nobody").execute()
    assert nobody.value.status_code == 404

    changed = cards.patch(
        resourceId=CARD_ID,
        body={"loyaltyPoints": {"balance": {"int": 164}}, "notifyPreference": "NOTIFY_ON_UPDATE"},
    ).execute()
    assert changed["loyaltyPoints"] == {"label": "Points", "balance": {"int": 164}}
    whole = {**a_card(), "accountName": "Ana Reyes"}
    assert cards.update(resourceId=CARD_ID, body=whole).execute()["accountName"] == "Ana Reyes"
    message = {"id": "m1", "header": "Maple Cortado is back", "body": "This week.", "messageType": "TEXT"}
    told = cards.addmessage(resourceId=CARD_ID, body={"message": message}).execute()
    assert [one["id"] for one in told["resource"]["messages"]] == ["m1"]

    cards.insert(body=a_card(id=f"{ISSUER_ID}.card-8")).execute()
    cards.insert(body=a_card(id=f"{ISSUER_ID}.card-9")).execute()
    listed, token = [], None
    while True:
        page = cards.list(classId=CLASS_ID, maxResults=2, token=token).execute()
        listed += [one["id"] for one in page["resources"]]
        token = page.get("pagination", {}).get("nextPageToken")
        if not token:
            break
    assert sorted(listed) == [CARD_ID, f"{ISSUER_ID}.card-8", f"{ISSUER_ID}.card-9"]
    assert [one["id"] for one in classes.list(issuerId=ISSUER_ID).execute()["resources"]] == [CLASS_ID]


@pytest.mark.witness
@pytest.mark.check("G-58")
def test_answers_of_a_batch_find_their_questions(google: GoogleEmulator, wallet: Any) -> None:
    wallet.loyaltyclass().insert(body=a_class()).execute()
    answers: dict[str, Any] = {}

    def keep(name: str, answer: Any, error: Exception | None) -> None:
        answers[name] = error if error is not None else answer["id"]

    batch = wallet.new_batch_http_request(callback=keep)
    batch.add(wallet.loyaltyobject().insert(body=a_card()), request_id="good")
    batch.add(wallet.loyaltyobject().get(resourceId=f"{ISSUER_ID}.nobody"), request_id="missing")
    batch.add(wallet.loyaltyclass().get(resourceId=CLASS_ID), request_id="class")
    batch.execute()
    assert (answers["good"], answers["class"]) == (CARD_ID, CLASS_ID)
    assert isinstance(answers["missing"], HttpError)
    assert answers["missing"].status_code == 404


@pytest.mark.witness
@pytest.mark.check("G-58")
def test_a_link_that_the_client_asks_for_can_be_saved(google: GoogleEmulator, wallet: Any) -> None:
    credentials = wallet._http.credentials
    claims = {
        "iss": google.key_file["client_email"],
        "aud": "google",
        "typ": "savetowallet",
        "iat": int(google.clock().timestamp()),
        "origins": ["https://shop.example"],
        "payload": {"loyaltyClasses": [a_class()], "loyaltyObjects": [a_card()]},
    }
    token = jwt.encode(credentials.signer, claims).decode()  # type: ignore[no-untyped-call]
    answer = wallet.jwt().insert(body={"jwt": token}).execute()
    phone = google.add_phone()
    assert phone.save(answer["saveUri"]) == [CARD_ID]
    assert [card.object_id for card in phone.cards] == [CARD_ID]
