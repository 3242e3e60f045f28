"""The emulated Google Wallet, asked over plain HTTP: tokens, classes, objects, lists, batches."""

from __future__ import annotations

import email.parser
import email.policy
import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from passes.emulators.google import ISSUER_ID, GoogleEmulator
from tests.emulators.conftest import NOW, Clock
from tests.emulators.issuer import (
    CARD_ID,
    CLASS_ID,
    EMAIL,
    GRANT_TYPE,
    SCOPE,
    TOKEN_ADDRESS,
    Issuer,
    a_card,
    a_class,
    public_pem,
)

Start = Callable[..., GoogleEmulator]
AT = int(NOW.timestamp())
CLASS, CARD = f"loyaltyClass/{CLASS_ID}", f"loyaltyObject/{CARD_ID}"


# Tokens


def test_a_signed_assertion_earns_a_token_for_an_hour(issuer: Issuer, clock: Clock) -> None:
    answer = issuer.exchange(issuer.assertion())
    assert answer.status == 200
    assert answer.json == {
        "access_token": answer.json["access_token"],
        "expires_in": 3600,
        "token_type": "Bearer",
    }
    issuer.insert()
    clock.forward(seconds=3599)
    assert issuer.call("GET", CLASS).status == 200
    clock.forward(seconds=1)
    refused = issuer.call("GET", CLASS)
    assert (refused.status, refused.error["status"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"iss": "stranger@shop.example"}, "invalid_grant", "account not found"),
        ({"signer": "another"}, "invalid_grant", "Invalid JWT Signature."),
        ({"header": {"alg": "none"}}, "invalid_grant", "RS256"),
        ({"header": {"alg": "HS256"}}, "invalid_grant", "RS256"),
        ({"aud": "https://oauth2.googleapis.com/other"}, "invalid_grant", "audience"),
        ({"aud": ["https://oauth2.googleapis.com/token"]}, "invalid_grant", "audience"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope", "scope"),
        ({"scope": None}, "invalid_scope", "scope"),
        ({"iat": AT + 301, "exp": AT + 400}, "invalid_grant", "iat and exp"),
        ({"iat": AT - 4000, "exp": AT - 1}, "invalid_grant", "iat and exp"),
        ({"exp": AT + 3601}, "invalid_grant", "iat and exp"),
        ({"exp": AT}, "invalid_grant", "iat and exp"),
        ({"iat": None}, "invalid_grant", "iat and exp"),
        ({"exp": str(AT + 60)}, "invalid_grant", "iat and exp"),
    ],
)
def test_an_assertion_that_google_would_not_take_earns_nothing(
    issuer: Issuer, changes: dict[str, Any], error: str, words: str
) -> None:
    answer = issuer.exchange(issuer.assertion(**changes))
    assert (answer.status, answer.json["error"]) == (400, error)
    assert words in answer.json["error_description"]


def test_an_assertion_may_name_this_server_and_more_scopes_and_a_clock_a_little_off(
    issuer: Issuer, google: GoogleEmulator
) -> None:
    for changes in (
        {"aud": google.token_address},
        {"aud": TOKEN_ADDRESS},
        {"scope": f"openid {SCOPE}"},
        {"iat": AT + 60, "exp": AT + 3660},
    ):
        assert issuer.exchange(issuer.assertion(**changes)).status == 200


def test_only_the_grant_of_service_accounts_is_known(issuer: Issuer) -> None:
    assert issuer.exchange(issuer.assertion(), "refresh_token").json["error"] == "unsupported_grant_type"
    assert issuer.exchange("", GRANT_TYPE).json["error"] == "invalid_request"
    assert issuer.exchange("not a token").json["error"] == "invalid_grant"


def test_the_account_that_it_makes_itself_works(start_google: Start) -> None:
    google = start_google(accounts=None)
    file = google.key_file
    assert file["token_uri"] == google.token_address
    assert load_pem_private_key(file["private_key"].encode(), None)
    with pytest.raises(LookupError):
        _ = start_google().key_file


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Basic abc"])
def test_without_a_good_token_nothing_is_answered(issuer: Issuer, header: str) -> None:
    answer = issuer.call("GET", CLASS, authorization=header)
    assert (answer.status, answer.error["errors"][0]["reason"]) == (401, "authError")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_revoked_tokens_are_refused_and_a_new_one_works(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    google.api.forget_tokens()
    assert issuer.call("GET", CLASS).status == 401
    assert issuer.sign_in().call("GET", CLASS).status == 200


def test_an_account_that_was_not_invited_is_denied(google: GoogleEmulator, issuer: Issuer) -> None:
    google.api.uninvited.add(EMAIL)
    refused = issuer.call("POST", "loyaltyClass", a_class())
    assert (refused.status, refused.error["status"]) == (403, "PERMISSION_DENIED")
    google.api.uninvited.clear()
    assert issuer.call("POST", "loyaltyClass", a_class()).status == 200


# Classes and objects


def test_a_class_handed_in_for_review_is_approved_at_once_and_answered_in_old_spelling(
    issuer: Issuer,
) -> None:
    answer = issuer.call("POST", "loyaltyClass", a_class())
    assert answer.status == 200
    assert answer.json["reviewStatus"] == "approved"
    assert answer.json["version"] == "1"
    assert issuer.call("GET", CLASS).json == answer.json


def test_an_emulator_may_answer_in_the_new_spelling(start_google: Start) -> None:
    google = start_google(legacy_spelling=False)
    client = Issuer(google.address, NOW).sign_in()
    client.insert()
    assert client.call("GET", CLASS).json["reviewStatus"] == "APPROVED"
    assert client.call("GET", CARD).json["state"] == "ACTIVE"
    client.close()


def test_an_object_comes_with_its_class(issuer: Issuer) -> None:
    issuer.insert()
    found = issuer.call("GET", CARD).json
    assert (found["state"], found["barcode"]["type"], found["hasUsers"]) == ("active", "qrCode", False)
    assert found["accountName"] == "Ana Solé"
    assert found["classReference"]["programName"] == "Finch Club"


def test_what_a_get_answers_may_be_put_back(issuer: Issuer) -> None:
    issuer.insert()
    found = issuer.call("GET", CARD).json
    answer = issuer.call("PUT", CARD, {**found, "hasUsers": True})
    assert answer.status == 200
    assert answer.json["hasUsers"] is False
    assert answer.json["version"] == "2"


def test_an_id_is_taken_once(issuer: Issuer) -> None:
    issuer.insert()
    for path, one in (("loyaltyClass", a_class()), ("loyaltyObject", a_card())):
        refused = issuer.call("POST", path, one)
        assert (refused.status, refused.error["status"]) == (409, "ALREADY_EXISTS")


@pytest.mark.parametrize("name", ["club", f"{ISSUER_ID}.", f"{ISSUER_ID}.a b", ".club", f"{ISSUER_ID}.é", ""])
def test_an_id_of_another_form_is_refused(issuer: Issuer, name: str) -> None:
    refused = issuer.call("POST", "loyaltyClass", a_class(id=name))
    assert (refused.status, refused.error["status"]) == (400, "INVALID_ARGUMENT")
    assert refused.error["details"][0]["fieldViolations"][0]["field"] == "id"


def test_another_issuers_id_is_denied(issuer: Issuer) -> None:
    assert issuer.call("POST", "loyaltyClass", a_class(id="999.club")).status == 403
    assert issuer.call("GET", "loyaltyClass/999.club").status == 403
    assert issuer.call("GET", "issuer/999").status == 403
    assert issuer.call("GET", f"issuer/{ISSUER_ID}").json["issuerId"] == ISSUER_ID


def test_what_is_not_there_is_not_found_and_a_missing_class_says_so(issuer: Issuer) -> None:
    missing_class = issuer.call("POST", "loyaltyObject", a_card())
    assert (missing_class.status, missing_class.error["errors"][0]["reason"]) == (404, "classNotFound")
    for method in ("GET", "PATCH", "PUT"):
        body = None if method == "GET" else a_card()
        missing = issuer.call(method, CARD, body)
        assert (missing.status, missing.error["errors"][0]["reason"]) == (404, "resourceNotFound")
    issuer.insert()
    assert issuer.call("GET", CARD).status == 200


def test_there_is_no_way_to_delete(issuer: Issuer) -> None:
    issuer.insert()
    assert issuer.call("DELETE", CARD).status == 404
    assert issuer.call("GET", CARD).status == 200


def test_no_card_is_made_for_a_draft(issuer: Issuer) -> None:
    assert issuer.call("POST", "loyaltyClass", a_class(reviewStatus="DRAFT")).json["reviewStatus"] == "draft"
    refused = issuer.call("POST", "loyaltyObject", a_card())
    assert (refused.status, "DRAFT" in refused.error["message"]) == (400, True)
    assert issuer.call("PATCH", CLASS, {"reviewStatus": "DRAFT", "programName": "Club"}).status == 200
    assert issuer.call("PATCH", CLASS, {"reviewStatus": "UNDER_REVIEW"}).json["reviewStatus"] == "approved"
    assert issuer.call("POST", "loyaltyObject", a_card()).status == 200
    back = issuer.call("PATCH", CLASS, {"reviewStatus": "DRAFT"})
    assert (back.status, "cannot go back" in back.error["message"]) == (400, True)


@pytest.mark.parametrize("status", ["APPROVED", "approved", "REJECTED", "REVIEW_STATUS_UNSPECIFIED", None])
def test_a_change_of_a_class_asks_for_review_in_its_own_words(issuer: Issuer, status: str | None) -> None:
    assert issuer.call("POST", "loyaltyClass", a_class(reviewStatus=status)).status == 400
    issuer.insert()
    patch = {"programName": "Club", **({"reviewStatus": status} if status else {})}
    assert issuer.call("PATCH", CLASS, patch).status == 400
    assert issuer.call("PUT", CLASS, a_class(reviewStatus=status)).status == 400
    assert issuer.call("GET", CLASS).json["programName"] == "Finch Club"
    taken = issuer.call("PATCH", CLASS, {**patch, "reviewStatus": "underReview"})
    assert (taken.status, taken.json["programName"]) == (200, "Club")


def test_a_rejected_class_says_why_and_takes_no_cards_until_it_is_handed_in_again(
    google: GoogleEmulator, issuer: Issuer
) -> None:
    issuer.call("POST", "loyaltyClass", a_class())
    google.resources.reject(CLASS_ID, "The logo is not yours.")
    found = issuer.call("GET", CLASS).json
    assert (found["reviewStatus"], found["review"]["comments"]) == ("rejected", "The logo is not yours.")
    assert issuer.call("POST", "loyaltyObject", a_card()).status == 400
    again = issuer.call("PATCH", CLASS, {"reviewStatus": "UNDER_REVIEW"}).json
    assert (again["reviewStatus"], "review" in again) == ("approved", False)


def test_a_patch_merges_objects_replaces_arrays_and_removes_by_null(issuer: Issuer) -> None:
    modules = [{"id": "a", "header": "A", "body": "1"}, {"id": "b", "header": "B", "body": "2"}]
    issuer.insert(card=a_card(textModulesData=modules))
    answer = issuer.call(
        "PATCH",
        CARD,
        {"loyaltyPoints": {"label": "Stars"}, "textModulesData": modules[:1], "accountName": None},
    ).json
    assert answer["loyaltyPoints"] == {"label": "Stars", "balance": {"int": 40}}
    assert answer["textModulesData"] == modules[:1]
    assert "accountName" not in answer
    assert answer["accountId"] == "1007"
    assert issuer.call("PATCH", CARD, {"loyaltyPoints": {"balance": None}}).status == 400


def test_another_kind_of_balance_has_to_take_the_old_one_away(issuer: Issuer) -> None:
    issuer.insert()
    trap = issuer.call("PATCH", CARD, {"loyaltyPoints": {"balance": {"string": "9"}}})
    assert (trap.status, "exactly one" in trap.error["message"]) == (400, True)
    answer = issuer.call("PATCH", CARD, {"loyaltyPoints": {"balance": {"string": "9", "int": None}}})
    assert answer.json["loyaltyPoints"]["balance"] == {"string": "9"}


def test_a_put_clears_what_it_leaves_out(issuer: Issuer) -> None:
    issuer.insert()
    answer = issuer.call("PUT", CARD, {"classId": CLASS_ID, "state": "INACTIVE"}).json
    assert (answer["state"], "accountName" in answer, answer["id"]) == ("inactive", False, CARD_ID)


def test_an_id_cannot_be_changed(issuer: Issuer) -> None:
    issuer.insert()
    for method in ("PATCH", "PUT"):
        assert issuer.call(method, CARD, a_card(id=f"{ISSUER_ID}.other")).status == 400
    assert issuer.call("PATCH", CARD, {"id": CARD_ID}).status == 200


def test_a_card_moves_to_another_approved_class_and_to_no_draft(issuer: Issuer) -> None:
    issuer.insert()
    issuer.call("POST", "loyaltyClass", a_class(id=f"{ISSUER_ID}.gold"))
    issuer.call("POST", "loyaltyClass", a_class(id=f"{ISSUER_ID}.new", reviewStatus="DRAFT"))
    assert issuer.call("PATCH", CARD, {"classId": f"{ISSUER_ID}.gold"}).status == 200
    assert issuer.call("PATCH", CARD, {"classId": f"{ISSUER_ID}.new"}).status == 400
    assert issuer.call("PATCH", CARD, {"classId": f"{ISSUER_ID}.none"}).status == 404
    assert issuer.call("GET", CARD).json["classId"] == f"{ISSUER_ID}.gold"


def test_a_validity_that_is_over_reads_expired(issuer: Issuer, clock: Clock) -> None:
    issuer.insert(card=a_card(validTimeInterval={"end": {"date": "2026-03-01T12:30:00Z"}}))
    assert issuer.call("GET", CARD).json["state"] == "active"
    clock.forward(minutes=30)
    assert issuer.call("GET", CARD).json["state"] == "expired"


def test_a_patch_may_travel_as_a_post(issuer: Issuer) -> None:
    issuer.insert()
    answer = issuer.call("POST", CARD, {"accountName": "Ben"}, x_http_method_override="PATCH")
    assert answer.json["accountName"] == "Ben"
    assert issuer.call("POST", CARD, {"accountName": "Cy"}).status == 404


# Lists


def ids(answer: Any) -> list[str]:
    return [one["id"].partition(".")[2] for one in answer.json["resources"]]


def test_objects_are_listed_by_class_and_page_by_page(issuer: Issuer) -> None:
    issuer.insert()
    issuer.call("POST", "loyaltyClass", a_class(id=f"{ISSUER_ID}.gold"))
    for number in range(4):
        issuer.call("POST", "loyaltyObject", a_card(id=f"{ISSUER_ID}.n{number}"))
    issuer.call("POST", "loyaltyObject", a_card(id=f"{ISSUER_ID}.x", classId=f"{ISSUER_ID}.gold"))
    first = issuer.call("GET", f"loyaltyObject?classId={CLASS_ID}&maxResults=3")
    assert ids(first) == ["card-7", "n0", "n1"]
    assert first.json["pagination"]["resultsPerPage"] == 3
    token = first.json["pagination"]["nextPageToken"]
    second = issuer.call("GET", f"loyaltyObject?classId={CLASS_ID}&maxResults=3&token={token}")
    assert ids(second) == ["n2", "n3"]
    assert "nextPageToken" not in second.json["pagination"]
    assert len(ids(issuer.call("GET", f"loyaltyObject?classId={CLASS_ID}"))) == 5
    assert issuer.call("GET", f"loyaltyObject?classId={ISSUER_ID}.none").status == 404
    assert issuer.call("GET", f"loyaltyObject?classId={CLASS_ID}&maxResults=many").status == 400


def test_classes_are_listed_by_issuer(issuer: Issuer) -> None:
    issuer.insert()
    assert ids(issuer.call("GET", f"loyaltyClass?issuerId={ISSUER_ID}")) == ["club"]
    assert issuer.call("GET", "loyaltyClass?issuerId=999").status == 403
    assert issuer.call("GET", "loyaltyClass").status == 400


# Wire


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "Invalid JSON payload"),
        (b"[]", "Invalid JSON payload"),
        (json.dumps(a_class(colour="red")).encode(), 'Unknown name "colour": Cannot find field.'),
        (
            json.dumps(a_class(callbackOptions={"uri": "https://x"})).encode(),
            "Unknown name \"uri\" at 'callbackOptions': Cannot find field.",
        ),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_in_googles_words(
    issuer: Issuer, body: bytes, words: str
) -> None:
    refused = issuer.call("POST", "loyaltyClass", body)
    assert (refused.status, refused.error["errors"][0]["reason"]) == (400, "invalid")
    assert words in refused.error["message"]
    assert words in refused.error["details"][0]["fieldViolations"][0]["description"]


def test_the_server_says_what_it_is_and_keeps_the_connection(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    answer = issuer.call("GET", CARD)
    assert answer.headers["server"].startswith("walletobjects-emulator")
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert "connection" not in answer.headers


def test_it_answers_only_to_names_of_this_machine(issuer: Issuer) -> None:
    assert issuer.call("GET", CLASS, host="wallet.example").status == 403
    assert issuer.call("GET", CLASS, host="[bad").status == 403
    assert issuer.call("GET", CLASS, host="localhost:1").status == 404


def test_bodies_have_a_length_and_a_limit(issuer: Issuer) -> None:
    assert issuer.raw("POST", "/token", None, {"Content-Length": "99999999"}).status == 413
    assert issuer.raw("POST", "/token", None, {"Transfer-Encoding": "chunked"}).status == 411


def batch_of(*requests: tuple[str, str, str, Any]) -> tuple[bytes, str]:
    """A multipart/mixed as googleapiclient's BatchHttpRequest writes it."""
    lines = []
    for identifier, method, path, body in requests:
        data = json.dumps(body) if body is not None else ""
        lines.append(
            f"--b\r\nContent-Type: application/http\r\nMIME-Version: 1.0\r\n"
            f"Content-Transfer-Encoding: binary\r\nContent-ID: <uuid + {identifier}>\r\n\r\n"
            f"{method} /walletobjects/v1/{path}?alt=json HTTP/1.1\r\nContent-Type: application/json\r\n"
            f"MIME-Version: 1.0\r\nHost: 127.0.0.1\r\ncontent-length: {len(data)}\r\n\r\n{data}\r\n"
        )
    return ("".join(lines) + "--b--\r\n").encode(), 'multipart/mixed; boundary="b"'


def parts_of(answer: Any) -> Iterator[tuple[str, int, Any]]:
    raw = b"Content-Type: " + answer.headers["content-type"].encode() + b"\r\n\r\n" + answer.body
    whole = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(raw)
    for part in whole.iter_parts():
        head, _, body = cast(bytes, part.get_payload(decode=True)).partition(b"\r\n\r\n")
        yield str(part["Content-ID"]), int(head.split()[1]), json.loads(body)


def test_a_batch_is_answered_part_by_part_in_any_order(google: GoogleEmulator, issuer: Issuer) -> None:
    issuer.insert()
    body, kind = batch_of(
        ("1", "GET", CARD, None),
        ("2", "GET", f"loyaltyObject/{ISSUER_ID}.none", None),
        ("3", "PATCH", CARD, {"accountName": "Ben"}),
    )
    headers = {"content-type": kind, "authorization": f"Bearer {issuer.token}"}
    answer = issuer.raw("POST", "/batch", body, headers)
    assert answer.status == 200
    found = {name: (status, inside) for name, status, inside in parts_of(answer)}
    assert list(found) == ["<response-uuid + 3>", "<response-uuid + 2>", "<response-uuid + 1>"]
    assert [status for status, _ in found.values()] == [200, 404, 200]
    assert found["<response-uuid + 3>"][1]["accountName"] == "Ben"
    assert len(google.history) == 6


def test_a_batch_without_a_token_is_refused_part_by_part_and_a_wrong_one_as_a_whole(issuer: Issuer) -> None:
    body, kind = batch_of(("1", "GET", CARD, None))
    answer = issuer.raw("POST", "/batch", body, {"content-type": kind})
    assert [status for _, status, _ in parts_of(answer)] == [401]
    assert issuer.raw("POST", "/batch", body, {"content-type": "text/plain"}).status == 400
    twice, kind = batch_of(("1", "GET", CARD, None), ("1", "GET", CARD, None))
    assert issuer.raw("POST", "/batch", twice, {"content-type": kind}).status == 400
    many, kind = batch_of(*((str(number), "GET", CARD, None) for number in range(1001)))
    assert issuer.raw("POST", "/batch", many, {"content-type": kind}).status == 400


# Memory


def test_the_history_holds_every_request_and_no_secret(google: GoogleEmulator, issuer: Issuer) -> None:
    secret = "3132333435363738393031323334353637383930"
    rotating = {
        "type": "QR_CODE",
        "valuePattern": "7HK2-{totp_value_0}",
        "totpDetails": {
            "algorithm": "TOTP_SHA1",
            "periodMillis": "30000",
            "parameters": [{"key": secret, "valueLength": 8}],
        },
    }
    link = issuer.token_for()
    issuer.insert(card=a_card(rotatingBarcode=rotating))
    issuer.call("POST", "jwt", {"jwt": link})
    issuer.call("GET", f"loyaltyObject/{ISSUER_ID}.none")
    issuer.raw("GET", f"/gp/v/save/{link}")
    made = [(one.method, one.path.rsplit("/", 1)[1], one.status) for one in google.history]
    assert made == [
        ("POST", "token", 200),
        ("POST", "loyaltyClass", 200),
        ("POST", "loyaltyObject", 200),
        ("POST", "jwt", 200),
        ("GET", f"{ISSUER_ID}.none", 404),
        ("GET", "…", 200),
    ]
    assert [one.resource for one in google.history][1:3] == [CLASS_ID, CARD_ID]
    text = json.dumps([one.as_json() for one in google.history])
    for hidden in (secret, link, issuer.token):
        assert hidden not in text


def test_everything_survives_a_restart(start_google: Start, tmp_path: Any) -> None:
    google = start_google(state_folder=tmp_path, accounts=None, history_limit=3)
    key_file, root = google.key_file, google.signer.root_pem
    google.stop()
    google = start_google(state_folder=tmp_path, accounts={EMAIL: public_pem()}, history_limit=3)
    client = Issuer(google.address, NOW).sign_in()
    client.insert()
    phone = google.add_phone("Pixel", account="ana@gmail.example", language="ca")
    phone.save(client.token_for())
    phone.mute(CARD_ID)
    client.call("POST", f"{CARD}/addMessage", {"message": {"header": "Hi", "messageType": "TEXT_AND_NOTIFY"}})
    before, known = google.history, client.call("GET", CARD).json
    client.close()
    google.stop()
    file = tmp_path / "google.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open("a") as broken:
        broken.write('{"kind": "obj')
    again = start_google(state_folder=tmp_path, accounts={EMAIL: public_pem()}, history_limit=3)
    client = Issuer(again.address, NOW)
    assert again.history[:2] == before[1:]
    assert client.sign_in().call("GET", CARD).json == known
    assert known["hasUsers"] is True
    (restored,) = again.phones
    assert [restored.id, restored.account, restored.language] == [phone.id, "ana@gmail.example", "ca"]
    assert restored.notices == phone.notices
    assert restored.muted == {CARD_ID}
    assert restored.cards == phone.cards
    assert again.signer.root_pem == root
    for _ in range(2):
        assert (
            client.call(
                "POST", f"{CARD}/addMessage", {"message": {"header": "Hi", "messageType": "TEXT_AND_NOTIFY"}}
            ).status
            == 200
        )
    # The allowance of 24 hours is remembered too.
    refused = client.call("POST", f"{CARD}/addMessage", {"message": {"messageType": "TEXT_AND_NOTIFY"}})
    assert refused.status == 429
    client.close()
    again.stop()
    third = start_google(state_folder=tmp_path, accounts=None)
    assert third.key_file["private_key"] == key_file["private_key"]


def test_a_long_life_does_not_grow_the_file_without_end(start_google: Start, tmp_path: Any) -> None:
    google = start_google(state_folder=tmp_path, history_limit=1)
    client = Issuer(google.address, NOW).sign_in()
    for _ in range(600):
        client.call("GET", CARD)
    client.close()
    assert len((tmp_path / "google.jsonl").read_text().splitlines()) < 1100
