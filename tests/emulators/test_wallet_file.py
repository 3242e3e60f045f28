"""Every check of the virtual phone is proven by a pass that breaks just that."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import subprocess
import warnings
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from passes.emulators.wallet_file import InstalledPass, PassRefused, open_pass
from tests.emulators import pass_maker
from tests.emulators.pass_maker import NOW, PASS_TYPE, document, make_chain, make_pass, write_cms


def opened(data: bytes, **options: Any) -> InstalledPass:
    return open_pass(data, trust_roots=make_chain().trust_roots, now=NOW, **options)


def refused(data: bytes, **options: Any) -> str:
    with pytest.raises(PassRefused) as caught:
        opened(data, **options)
    assert caught.value.sentence.endswith((".", ";"))
    return caught.value.reason_code


def rezipped(data: bytes, change: Callable[[dict[str, bytes]], object]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    change(contents)
    return pass_maker.archive(contents)


def test_a_good_pass_is_installed_with_its_fields_and_images() -> None:
    installed = opened(make_pass())
    assert (installed.pass_type, installed.serial) == (PASS_TYPE, "c-1")
    assert installed.token == pass_maker.TOKEN
    assert [one.key for one in installed.fields] == ["beans", "next", "name", "offer", "contact"]
    assert installed.section("headerFields")[0].value == 100
    assert installed.image("icon") == pass_maker.png(4, 4)
    assert installed.remarks == ()
    assert not installed.voided


def test_a_pass_signed_by_openssl_is_installed(tmp_path: Path) -> None:
    chain = make_chain()
    (tmp_path / "leaf.pem").write_bytes(chain.leaf.public_bytes(Encoding.PEM))
    (tmp_path / "wwdr.pem").write_bytes(chain.wwdr.public_bytes(Encoding.PEM))
    key = chain.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)

    def by_openssl(manifest: bytes, _: object) -> bytes:
        command = (
            "openssl cms -sign -binary -md sha256 -outform DER -signer leaf.pem -inkey key.pem -certfile"
        )
        answer = subprocess.run(
            [*command.split(), "wwdr.pem"], input=manifest, capture_output=True, check=True, cwd=tmp_path
        )
        return answer.stdout

    assert opened(make_pass(signer=by_openssl)).serial == "c-1"


def test_the_cms_writer_of_these_tests_makes_signatures_that_pass() -> None:
    assert opened(make_pass(signer=write_cms)).serial == "c-1"


@pytest.mark.parametrize(
    "name", ["pass.json", "icon.png", "icon@2x.png", "logo.png", "strip@2x.png", "manifest.json", "signature"]
)
@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_one_changed_byte_in_any_file_is_noticed(name: str, place: float) -> None:
    def change(contents: dict[str, bytes]) -> None:
        data = bytearray(contents[name])
        data[int(len(data) * place)] ^= 1
        contents[name] = bytes(data)

    assert refused(rezipped(make_pass(), change))


def test_a_changed_byte_is_blamed_on_the_file_that_changed() -> None:
    data = rezipped(make_pass(), lambda files: files.update({"logo.png": files["logo.png"] + b"x"}))
    assert refused(data) == "manifest_hash"


# --- the archive ------------------------------------------------------------


def test_something_that_is_no_zip_is_refused() -> None:
    assert refused(b"<html>not found</html>") == "not_a_zip"


def test_a_cut_off_zip_is_refused() -> None:
    assert refused(make_pass()[:-40]) == "broken_zip"


def test_a_flipped_byte_inside_the_zip_is_refused() -> None:
    data = bytearray(make_pass())
    data[data.index(b"Corner Bakery")] ^= 1
    assert refused(bytes(data)) == "broken_zip"


def test_a_pass_inside_a_folder_is_refused() -> None:
    def move(contents: dict[str, bytes]) -> None:
        for name in list(contents):
            contents[f"Club.pass/{name}"] = contents.pop(name)

    assert refused(rezipped(make_pass(), move)) == "not_at_root"


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "__MACOSX/._pass.json", "pass.json~", "readme.txt", "../icon.png", "hidden/icon.png"],
)
def test_a_file_that_does_not_belong_into_a_pass_is_refused(name: str) -> None:
    assert refused(make_pass(extra={name: b"x"})) == "unexpected_file"


def test_a_file_that_occurs_twice_is_refused() -> None:
    target = io.BytesIO(make_pass())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with zipfile.ZipFile(target, "a") as archive:
            archive.writestr("icon.png", pass_maker.png())
    assert refused(target.getvalue()) == "duplicate_entry"


@pytest.mark.parametrize("name", ["pass.json", "manifest.json", "signature", "icon.png"])
def test_a_missing_file_is_refused(name: str) -> None:
    assert refused(rezipped(make_pass(), lambda files: files.pop(name))) == "missing_file"


def test_an_archive_that_unpacks_to_too_much_is_refused() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("icon.png", bytes(11_000_000))
    assert refused(target.getvalue()) == "too_large"


def test_damage_anywhere_is_refused_in_words_and_never_crashes() -> None:
    """Every byte of the archive, one at a time: refused, unless it is one that zip readers do not look at."""
    whole = make_pass()
    chances = random.Random(7)
    for place in range(0, len(whole), 3):
        data = bytearray(whole)
        data[place] = chances.randrange(256)
        with contextlib.suppress(PassRefused):
            assert opened(bytes(data)).document == opened(whole).document


# A damaged certificate may have a serial number that cryptography warns about.
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_damage_anywhere_in_the_signature_is_refused() -> None:
    contents = pass_maker.files()
    manifest = pass_maker.manifest_of(contents)
    signature = pass_maker.sign(manifest, make_chain())
    chances = random.Random(7)
    survived = []
    for place in range(len(signature)):
        data = bytearray(signature)
        data[place] ^= 1 << chances.randrange(8)
        whole = pass_maker.archive(contents | {"manifest.json": manifest, "signature": bytes(data)})
        with contextlib.suppress(PassRefused):
            opened(whole)
            survived.append(place)
    # The count of unused bits before each certificate's own signature may pass: X.509 is read leniently.
    assert len(survived) <= 2


# --- the manifest -----------------------------------------------------------


def with_manifest(change: Callable[[dict[str, bytes]], bytes]) -> bytes:
    contents = pass_maker.files()
    manifest = change(contents)
    signature = pass_maker.sign(manifest, make_chain())
    return pass_maker.archive(contents | {"manifest.json": manifest, "signature": signature})


def test_a_file_that_the_manifest_does_not_name_is_refused() -> None:
    def without_logo(contents: dict[str, bytes]) -> bytes:
        return pass_maker.manifest_of({name: data for name, data in contents.items() if name != "logo.png"})

    assert refused(with_manifest(without_logo)) == "manifest_entries"


def test_a_manifest_that_names_a_missing_file_is_refused() -> None:
    def with_a_ghost(contents: dict[str, bytes]) -> bytes:
        return pass_maker.manifest_of(contents | {"logo@2x.png": b"x"})

    assert refused(with_manifest(with_a_ghost)) == "manifest_entries"


def test_a_localised_file_is_named_with_its_folder() -> None:
    strings = b'"BEANS" = "Bohnen";'
    assert opened(make_pass(extra={"de.lproj/pass.strings": strings})).translate("BEANS", "de") == "Bohnen"

    def by_base_name(contents: dict[str, bytes]) -> bytes:
        contents["de.lproj/pass.strings"] = strings
        return pass_maker.manifest_of({name.rpartition("/")[2]: data for name, data in contents.items()})

    assert refused(with_manifest(by_base_name)) == "manifest_entries"


def test_upper_case_hashes_are_refused() -> None:
    def upper(contents: dict[str, bytes]) -> bytes:
        text = pass_maker.manifest_of(contents).decode()
        for data in contents.values():
            digest = hashlib.sha1(data).hexdigest()
            text = text.replace(digest, digest.upper())
        return text.encode()

    assert refused(with_manifest(upper)) == "manifest_hash"


@pytest.mark.parametrize("manifest", [b"[]", b"{", b'{"a":1,"a":1}', b"\xff{}"])
def test_a_manifest_that_is_no_json_object_is_refused(manifest: bytes) -> None:
    assert refused(with_manifest(lambda _: manifest)) == "manifest_json"


# --- the signature ----------------------------------------------------------


def faulty(**fault: Any) -> bytes:
    return make_pass(signer=lambda manifest, chain: write_cms(manifest, chain, **fault))


@pytest.mark.parametrize("name", ["content-type", "signing-time", "message-digest"])
def test_a_signature_without_an_attribute_is_refused(name: str) -> None:
    rest = tuple({"content-type", "signing-time", "message-digest"} - {name})
    assert refused(faulty(attributes=rest)) == "signature_" + name.replace("-", "_")


@pytest.mark.parametrize(
    ("reason_code", "fault"),
    [
        ("signature_not_detached", {"detached": False}),
        ("signature_signers", {"signers": 2}),
        ("signature_unreadable", {"signers": 0}),
        ("signature_unreadable", {"reverse_attributes": True}),
        ("signature_digest", {"digest": "sha1"}),
        ("signature_message_digest", {"signed_manifest": b"{}"}),
        ("signature_value", {"value": lambda value: value[:-1] + bytes([value[-1] ^ 1])}),
        ("signed_outside_validity", {"at": NOW - timedelta(days=31)}),
        ("signed_outside_validity", {"at": NOW - timedelta(days=400)}),
        ("signed_in_the_future", {"at": NOW + timedelta(days=2)}),
    ],
)
def test_a_faulty_signature_is_refused(reason_code: str, fault: dict[str, Any]) -> None:
    assert refused(faulty(**fault)) == reason_code


def test_translated_newlines_in_the_manifest_break_the_signature() -> None:
    data = make_pass(
        signer=lambda manifest, chain: write_cms(
            manifest, chain, signed_manifest=manifest.replace(b"\n", b"\r\n")
        )
    )
    assert refused(data) == "signature_message_digest"


def test_a_signature_is_not_anything_else() -> None:
    assert refused(make_pass(signer=lambda *_: b"signed, honestly")) == "signature_unreadable"
    assert refused(make_pass(signer=lambda *_: b"")) == "signature_unreadable"
    trailing = make_pass(signer=lambda manifest, chain: pass_maker.sign(manifest, chain) + b"\0")
    assert refused(trailing) == "signature_unreadable"


def test_exactly_two_certificates_must_be_embedded() -> None:
    chain = make_chain()
    for certificates in [(), (chain.leaf,), (chain.leaf, chain.wwdr, chain.root)]:
        assert refused(faulty(certificates=certificates)) == "signature_certificates"


def test_the_signer_must_be_among_the_certificates() -> None:
    chain = make_chain()
    assert refused(faulty(certificates=(chain.root, chain.wwdr))) == "signature_certificates"


def test_the_second_certificate_must_have_issued_the_first() -> None:
    chain = make_chain()
    assert refused(faulty(certificates=(chain.leaf, chain.root))) == "chain"


def test_an_intermediate_that_may_not_issue_is_refused() -> None:
    chain = make_chain(wwdr_ca=False)
    data = make_pass(chain=chain)
    with pytest.raises(PassRefused) as caught:
        open_pass(data, trust_roots=chain.trust_roots, now=NOW)
    assert caught.value.reason_code == "chain"


def test_a_chain_to_an_unknown_root_is_refused() -> None:
    assert refused(make_pass(chain=make_chain(who="strangers"))) == "chain_untrusted"
    with pytest.raises(PassRefused):
        open_pass(make_pass(), trust_roots=[], now=NOW)


def test_a_pass_stays_good_when_its_certificate_expires_later() -> None:
    later = NOW + timedelta(days=800)
    assert open_pass(make_pass(), trust_roots=make_chain().trust_roots, now=later).serial == "c-1"


def test_a_pass_of_another_type_than_its_certificate_is_refused() -> None:
    assert refused(make_pass(document(passTypeIdentifier="pass.org.example.other"))) == "another_pass_type"


def test_a_pass_of_another_team_than_its_certificate_is_refused() -> None:
    assert refused(make_pass(document(teamIdentifier="OTHERTEAM1"))) == "another_team"


@pytest.mark.parametrize(
    "extension", [None, b"\x0c\x04pass", pass_maker.der(0x04, PASS_TYPE.encode()), PASS_TYPE.encode()]
)
def test_the_certificate_repeats_the_pass_type_in_apples_extension(extension: bytes | None) -> None:
    assert refused(make_pass(chain=make_chain(extension=extension))) == "certificate_extension"


def test_an_ia5_string_in_apples_extension_is_read_too() -> None:
    chain = make_chain(extension=pass_maker.der(0x16, PASS_TYPE.encode()))
    assert opened(make_pass(chain=chain)).serial == "c-1"


def test_an_answer_for_another_card_is_refused() -> None:
    assert opened(make_pass(), expected=(PASS_TYPE, "c-1")).serial == "c-1"
    assert refused(make_pass(), expected=(PASS_TYPE, "c-2")) == "another_pass"


# --- pass.json --------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason_code", "changes"),
    [
        ("format_version", {"formatVersion": "1"}),
        ("format_version", {"formatVersion": True}),
        ("format_version", {"formatVersion": None}),
        ("format_version", {"formatVersion": 2}),
        ("required_key", {"serialNumber": 12}),
        ("required_key", {"serialNumber": ""}),
        ("required_key", {"description": None}),
        ("required_key", {"organizationName": None}),
        ("required_key", {"teamIdentifier": None}),
        ("required_key", {"passTypeIdentifier": None}),
        ("pass_type", {"passTypeIdentifier": "org.example.club"}),
        ("team", {"teamIdentifier": "short"}),
        ("serial_number", {"serialNumber": "a/b"}),
        ("type", {"logoText": 3}),
        ("type", {"voided": "yes"}),
        ("colour", {"backgroundColor": "#1F2A2E"}),
        ("colour", {"labelColor": "rgb(1, 2, 256)"}),
        ("date", {"expirationDate": "2027-01-01T00:00:00"}),
        ("app_launch", {"appLaunchURL": "club://card"}),
        ("style", {"storeCard": None}),
        ("style", {"storeCard": []}),
        ("style", {"generic": {}}),
        (
            "barcodes",
            {"barcodes": {"format": "PKBarcodeFormatQR", "message": "1", "messageEncoding": "utf-8"}},
        ),
        (
            "barcodes",
            {"barcode": {"format": "PKBarcodeFormatQR", "message": "1", "messageEncoding": "utf-8"}},
        ),
        ("barcodes", {"barcodes": [{"format": "QR", "message": "1", "messageEncoding": "utf-8"}]}),
        ("barcodes", {"barcodes": [{"format": "PKBarcodeFormatQR", "messageEncoding": "utf-8"}]}),
        ("barcodes", {"barcodes": [{"format": "PKBarcodeFormatQR", "message": "1"}]}),
        (
            "barcodes",
            {"barcodes": [{"format": "PKBarcodeFormatQR", "message": "ş", "messageEncoding": "iso-8859-1"}]},
        ),
        ("web_service", {"webServiceURL": None}),
        ("web_service", {"authenticationToken": None}),
        ("web_service", {"webServiceURL": "https://cards.example.org/apple/v1"}),
        ("web_service", {"webServiceURL": "https://cards.example.org/apple?x=1"}),
        ("web_service_http", {"webServiceURL": "http://cards.example.org/apple"}),
        ("token", {"authenticationToken": "only-15-letters"}),
        ("locations", {"locations": [{"latitude": 1.0, "longitude": 1.0}] * 11}),
        ("locations", {"locations": [{"latitude": "1.0", "longitude": 1.0}]}),
        ("locations", {"locations": [{"latitude": 91, "longitude": 1.0}]}),
        ("beacons", {"beacons": [{"proximityUUID": str(number)} for number in range(11)]}),
        ("beacons", {"beacons": [{"proximityUUID": "a", "major": 65536}]}),
        ("not_for_style", {"relevantDates": []}),
        ("not_for_style", {"groupingIdentifier": "group"}),
    ],
)
def test_a_mistake_in_pass_json_is_refused(reason_code: str, changes: dict[str, Any]) -> None:
    assert refused(make_pass(document(**changes))) == reason_code


@pytest.mark.parametrize(
    ("reason_code", "section", "entry"),
    [
        ("field_key", "backFields", {"key": "beans", "value": "twice"}),
        ("field_key", "backFields", {"value": "no key"}),
        ("field_value", "backFields", {"key": "x", "value": None}),
        ("field_value", "backFields", {"key": "x", "value": True}),
        ("type", "backFields", {"key": "x", "value": "", "label": 3}),
        ("field_number", "backFields", {"key": "x", "value": "3", "numberStyle": "PKNumberStyleDecimal"}),
        ("field_number", "backFields", {"key": "x", "value": "3.10", "currencyCode": "USD"}),
        ("field_format", "backFields", {"key": "x", "value": 3, "numberStyle": "Decimal"}),
        (
            "field_format",
            "backFields",
            {"key": "x", "value": 3, "numberStyle": "PKNumberStyleDecimal", "currencyCode": "USD"},
        ),
        ("date", "backFields", {"key": "x", "value": "2027-01-01", "dateStyle": "PKDateStyleShort"}),
        ("change_message", "backFields", {"key": "x", "value": "", "changeMessage": "Something changed"}),
        ("change_message", "backFields", {"key": "x", "value": "", "changeMessage": ""}),
        ("field_format", "backFields", {"key": "x", "value": "", "textAlignment": "PKTextAlignmentLeft"}),
        (
            "field_format",
            "auxiliaryFields",
            {"key": "x", "value": "", "textAlignment": "PKTextAlignmentJustified"},
        ),
    ],
)
def test_a_mistake_in_a_field_is_refused(reason_code: str, section: str, entry: dict[str, Any]) -> None:
    body = document()
    body["storeCard"][section] = [*body["storeCard"][section], entry]
    assert refused(make_pass(body)) == reason_code


def test_http_is_allowed_with_the_developer_switch() -> None:
    data = make_pass(document(webServiceURL="http://127.0.0.1:8000/apple"))
    assert refused(data) == "web_service_http"
    assert opened(data, allow_http=True).web_service_url == "http://127.0.0.1:8000/apple"


def test_a_stopped_card_needs_no_web_service() -> None:
    installed = opened(make_pass(document(voided=True, webServiceURL=None, authenticationToken=None)))
    assert installed.voided
    assert installed.web_service_url is None


@pytest.mark.parametrize("name", ["thumbnail.png", "background@2x.png", "footer.png"])
def test_a_store_card_carries_no_image_of_another_style(name: str) -> None:
    assert refused(make_pass(extra={name: pass_maker.png()})) == "image_for_style"


def test_an_image_must_be_a_png() -> None:
    assert refused(make_pass(extra={"logo@2x.png": b"\xff\xd8\xff\xe0" + bytes(40)})) == "image_not_png"


def test_what_a_phone_would_drop_silently_is_remarked_upon() -> None:
    body = document(webserviceURL="https://misspelt.example.org")
    body["storeCard"]["auxiliaryFields"] += [
        {"key": f"x{n}", "value": "y", "colour": "red"} for n in range(3)
    ]
    remarks = opened(make_pass(body)).remarks
    assert "Wallet does not know the key 'webserviceURL'." in remarks
    assert "Wallet does not know the field key 'colour'." in remarks
    assert "Only 4 of 5 fields are shown in the row below the strip." in remarks


# --- translations -----------------------------------------------------------


def test_translations_are_read_from_utf_16_with_quotes_newlines_and_comments() -> None:
    text = '/* card */\n"BEANS" = "Çekirdek";\n"a \\"b\\"" = "line\\nnext \\\\ 😀";\n'
    installed = opened(make_pass(extra={"tr.lproj/pass.strings": text.encode("utf-16")}))
    assert installed.translate("BEANS", "tr") == "Çekirdek"
    assert installed.translate("BEANS", "tr-TR") == "Çekirdek"
    assert installed.translate('a "b"', "tr") == "line\nnext \\ 😀"
    assert installed.translate("BEANS", "en") == "BEANS"


@pytest.mark.parametrize("data", ['"a" = "ş";'.encode(), b'"a" = "b"', b"a = b;"])
def test_strings_that_cannot_be_read_are_refused(data: bytes) -> None:
    assert refused(make_pass(extra={"tr.lproj/pass.strings": data})) == "strings"
