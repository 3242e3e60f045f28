"""The service account's file, its signatures, and addresses that may stand in for Google's."""

from __future__ import annotations

import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from passes.google.account import AccessToken, AccountUnusable, ServiceAccount, token_of
from passes.google.addresses import Addresses, AddressInvalid
from passes.google.ids import SUFFIX_CHARACTERS_MAX, resource_id
from passes.google.links import TOKEN_CHARACTERS_MAX, LinkInvalid, save_link
from tests.google.cards import (
    CLASS_ID,
    EMAIL,
    ISSUER,
    NOW,
    OBJECT_ID,
    account,
    account_file,
    account_key,
    card,
    parts,
    pem,
)

ORIGIN = "https://cards.example.org"


def link(**changes: Any) -> str:
    arguments: dict[str, Any] = {
        "object_id": OBJECT_ID, "class_id": CLASS_ID, "origins": [ORIGIN], "now": NOW
    }  # fmt: skip
    return save_link(account(), **(arguments | changes))


# The file ---------------------------------------------------------------------


def test_a_key_file_of_the_console_is_read(tmp_path: Path) -> None:
    loaded = ServiceAccount.load(account_file(tmp_path))
    assert (loaded.email, loaded.key_id) == (EMAIL, "0f1e2d3c")
    assert loaded.token_address == "https://oauth2.googleapis.com/token"
    assert loaded.key.private_numbers() == account_key().private_numbers()
    assert "key=" not in repr(loaded)


# In pieces, so that nobody who looks for keys in this repository finds one.
DASHES, NAME = "-----", " PRIVATE KEY-----"
BROKEN_KEY = f"{DASHES}BEGIN{NAME}\nc2VjcmV0\n{DASHES}END{NAME}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": "authorized_user"}, "not the key of a service account"),
        ({"client_email": None}, "lacks client_email"),
        ({"client_email": "nobody"}, "no e-mail address"),
        ({"private_key": None}, "lacks private_key"),
        ({"private_key_id": ""}, "lacks private_key_id"),
        ({"token_uri": 5}, "lacks token_uri"),
        ({"token_uri": "http://evil.example/token"}, "not https"),
        ({"private_key": BROKEN_KEY}, "be read"),
        ({"private_key": pem(ec.generate_private_key(ec.SECP256R1()))}, "not RSA"),
        ({"private_key": pem(rsa.generate_private_key(public_exponent=65537, key_size=1024))}, "2048"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = account_file(tmp_path, **changes)
    with pytest.raises(AccountUnusable, match=words) as refused:
        ServiceAccount.load(path)
    said = "".join(traceback.format_exception(refused.value))
    assert str(path) in str(refused.value)
    assert str(refused.value).endswith(".")
    assert "BEGIN" not in said
    assert "c2VjcmV0" not in said


def test_a_file_that_is_missing_or_no_json_is_refused_without_its_text(tmp_path: Path) -> None:
    with pytest.raises(AccountUnusable, match="cannot be read"):
        ServiceAccount.load(tmp_path / "none.json")
    path = tmp_path / "account.json"
    path.write_text('{"private_key": "secret')
    with pytest.raises(AccountUnusable, match="not JSON") as refused:
        ServiceAccount.load(path)
    assert "secret" not in "".join(traceback.format_exception(refused.value))
    path.write_text("[]")
    with pytest.raises(AccountUnusable, match="not the key"):
        ServiceAccount.load(path)


# Signatures -------------------------------------------------------------------


@pytest.mark.check("G-21")
def test_an_assertion_asks_for_the_wallets_scope_and_ends_within_the_hour() -> None:
    token = account().assertion(audience="https://oauth2.googleapis.com/token", now=NOW)
    header, claims, signature, signed = parts(token)
    assert header == {"alg": "RS256", "typ": "JWT", "kid": "0f1e2d3c"}
    assert claims["iss"] == EMAIL
    assert claims["scope"] == "https://www.googleapis.com/auth/wallet_object.issuer"
    assert claims["aud"] == "https://oauth2.googleapis.com/token"
    assert claims["iat"] == int(NOW.timestamp())
    assert 0 < claims["exp"] - claims["iat"] <= 3600
    account_key().public_key().verify(signature, signed, PKCS1v15(), SHA256())


def test_a_token_is_used_until_shortly_before_its_end() -> None:
    token = token_of({"access_token": "t", "expires_in": 3599}, now=NOW)
    assert token is not None
    assert token.usable(NOW + timedelta(minutes=57))
    assert not token.usable(NOW + timedelta(minutes=58))
    assert "secret" not in repr(AccessToken("secret", NOW))


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"access_token": "t"},
        {"access_token": "", "expires_in": 3599},
        {"access_token": "a\r\nx: y", "expires_in": 3599},
        {"access_token": "t", "expires_in": "3599"},
        {"access_token": "t", "expires_in": -1},
        {"access_token": "t", "expires_in": True},
    ],
)
def test_an_answer_without_a_usable_token_gives_none(answer: dict[str, Any]) -> None:
    assert token_of(answer, now=NOW) is None


# Links ------------------------------------------------------------------------


@pytest.mark.check("G-14")
def test_a_link_carries_the_claims_that_google_asks_for() -> None:
    address, _, token = link().rpartition("/")
    assert address == "https://pay.google.com/gp/v/save"
    header, claims, _, _ = parts(token)
    assert header["alg"] == "RS256"
    assert claims == {
        "iss": EMAIL,
        "aud": "google",
        "typ": "savetowallet",
        "iat": int(NOW.timestamp()),
        "origins": [ORIGIN],
        "payload": {"loyaltyObjects": [{"id": OBJECT_ID, "classId": CLASS_ID}]},
    }
    assert type(claims["iat"]) is int


@pytest.mark.check("G-15")
def test_a_links_signature_verifies_with_the_accounts_public_key() -> None:
    _, _, signature, signed = parts(link().rpartition("/")[2])
    public = account_key().public_key()
    public.verify(signature, signed, PKCS1v15(), SHA256())
    with pytest.raises(InvalidSignature):
        public.verify(signature, signed + b"A", PKCS1v15(), SHA256())


@pytest.mark.check("G-16", "G-18")
def test_a_link_names_the_card_only_and_stays_short() -> None:
    longest = "x" * SUFFIX_CHARACTERS_MAX
    token = link(
        object_id=resource_id(ISSUER, longest), class_id=resource_id(ISSUER, longest), origins=[ORIGIN] * 3
    ).rpartition("/")[2]
    assert len(token) < TOKEN_CHARACTERS_MAX == 1800
    claims = parts(token)[1]
    assert set(claims["payload"]["loyaltyObjects"][0]) == {"id", "classId"}
    for secret in (card()["barcode"]["value"], card()["accountName"]):
        assert secret not in str(claims)


@pytest.mark.check("G-16")
def test_a_link_that_browsers_would_cut_is_not_handed_out() -> None:
    with pytest.raises(LinkInvalid, match="1800"):
        link(origins=[f"https://shop-{number}.example.org" for number in range(40)])


@pytest.mark.parametrize(
    "changes",
    [
        {"object_id": "c-1"},
        {"class_id": f"{ISSUER}.a/b"},
        {"origins": []},
        {"origins": ["http://cards.example.org"]},
        {"origins": ["https://cards.example.org/path"]},
        {"origins": ["cards.example.org"]},
    ],
)
def test_a_link_of_nonsense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(LinkInvalid):
        link(**changes)


def test_a_link_may_lead_to_an_emulator_on_this_machine() -> None:
    here = Addresses(save="http://127.0.0.1:8002/gp/v/save/")
    made = link(addresses=here, origins=["http://127.0.0.1:8000"])
    assert made.startswith("http://127.0.0.1:8002/gp/v/save/ey")


# Addresses --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["api", "save", "callback_keys", "token"])
@pytest.mark.parametrize(
    "address",
    [
        "http://wallet.example.org",
        "http://127.0.0.1.example.org",
        "ftp://127.0.0.1",
        "//example.org",
        "https://",
        "https://user@example.org",
        "https://example.org/?a=b",
        "https://example.org/#x",
        "https://exa mple.org",
        "https://[::1",
        "",
    ],
)
def test_addresses_in_the_clear_are_refused(name: str, address: str) -> None:
    values: dict[str, Any] = {name: address}
    with pytest.raises(AddressInvalid):
        Addresses(**values)


def test_googles_own_addresses_are_the_default_and_anything_else_is_called_emulated() -> None:
    assert not Addresses().emulated
    assert not Addresses(api="https://walletobjects.googleapis.com/").emulated
    for here in ("http://127.0.0.1:8002", "http://[::1]:8002", "http://localhost:8002"):
        assert Addresses(api=here).emulated
