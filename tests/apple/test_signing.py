"""Loading certificates, and the signature, compared with a library's and with OpenSSL's reading."""

from __future__ import annotations

import hashlib
import os
import sys
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)

from passes.apple import signing
from passes.apple.signing import CertificateProblem, Signer
from passes.emulators import cms
from tests.apple.cards import (
    ENDS,
    NOW,
    PASS_TYPE,
    STARTS,
    TEAM,
    Issued,
    authority,
    intermediate,
    issue,
    leaf,
    rsa_key,
    signer,
)

MANIFEST = b'{"icon.png":"da39a3ee5e6b4b0d3255bfef95601890afd80709"}'


def load(card: Issued | None = None, **changes: Any) -> Signer:
    """Load a good set of files, with changes."""
    issuer = intermediate()
    card = card or leaf(issuer)
    arguments: dict[str, Any] = {
        "certificate": card.pem, "key": card.key_pem, "intermediate": issuer.pem, "now": NOW
    }  # fmt: skip
    return signing.load(**(arguments | changes))


def problem(*arguments: Any, **changes: Any) -> str:
    """The sentence with which loading is refused."""
    with pytest.raises(CertificateProblem) as caught:
        load(*arguments, **changes)
    assert str(caught.value) == caught.value.sentence
    assert caught.value.sentence.endswith(".") or caught.value.sentence.endswith("?")
    return caught.value.sentence


# The signature --------------------------------------------------------------------------


@pytest.mark.check("A-05", "A-06", "A-07", "A-08", "A-10")
@pytest.mark.parametrize("manifest", [MANIFEST, b'{\n  "icon.png": "x"\n}\n', b"", b"\r\n\n\r"])
def test_the_signature_is_byte_for_byte_that_of_the_library(manifest: bytes) -> None:
    issuer = intermediate()
    card = leaf(issuer, ends=datetime.now(UTC) + timedelta(days=9000))
    ours = load(card, intermediate=issuer.pem)
    builder = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(manifest)
        .add_signer(card.certificate, card.key, SHA256())
        .add_certificate(issuer.certificate)
    )
    options = [
        pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoCapabilities
    ]  # fmt: skip
    before = datetime.now(UTC).replace(microsecond=0)
    theirs = builder.sign(Encoding.DER, options)
    seconds = int((datetime.now(UTC) - before).total_seconds()) + 1
    # The library reads the clock itself, so one of these seconds is its signing time.
    assert theirs in {ours.sign(manifest, now=before + timedelta(seconds=n)) for n in range(seconds + 1)}


@pytest.mark.check("A-05")
def test_the_signature_is_detached_and_has_one_signer_with_sorted_attributes() -> None:
    read = cms.read_signature(signer().sign(MANIFEST, now=NOW))
    assert (read.detached, read.signer_count, read.attributes_sorted) == (True, 1, True)
    assert read.digest_name == "sha256"


@pytest.mark.check("A-06")
def test_the_signing_time_is_the_given_moment_in_utc() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9))).replace(microsecond=999_999)
    read = cms.read_signature(signer().sign(MANIFEST, now=elsewhere))
    assert read.signing_time == NOW


@pytest.mark.check("A-06")
def test_from_2050_on_the_signing_time_has_four_digits_for_the_year() -> None:
    issuer = intermediate(ends=datetime(2060, 1, 1, tzinfo=UTC))
    card = leaf(issuer, ends=datetime(2060, 1, 1, tzinfo=UTC))
    ours = load(card, intermediate=issuer.pem)
    last = ours.sign(MANIFEST, now=datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC))
    first = ours.sign(MANIFEST, now=datetime(2050, 1, 1, tzinfo=UTC))
    assert b"\x17\x0d491231235959Z" in last
    assert b"\x18\x0f20500101000000Z" in first
    for signature, moment in (
        (last, datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (first, datetime(2050, 1, 1, tzinfo=UTC)),
    ):
        assert cms.read_signature(signature).signing_time == moment


@pytest.mark.check("A-07")
def test_the_digest_is_that_of_the_very_bytes() -> None:
    manifest = b'{\n"a": 1\r\n}\n'
    assert (
        cms.read_signature(signer().sign(manifest, now=NOW)).message_digest
        == hashlib.sha256(manifest).digest()
    )


@pytest.mark.check("A-08")
def test_leaf_and_intermediate_are_embedded_and_nothing_else() -> None:
    signature = signer().sign(MANIFEST, now=NOW)
    embedded = pkcs7.load_der_pkcs7_certificates(signature)
    assert {certificate.subject for certificate in embedded} == {
        signer().certificate.subject,
        signer().intermediate.subject,
    }
    assert len(embedded) == 2
    signer().certificate.verify_directly_issued_by(signer().intermediate)


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_longer_keys_only_change_a_length(bits: int) -> None:
    issuer = intermediate()
    card = leaf(issuer, key=f"leaf-{bits}", bits=bits)
    read = cms.read_signature(load(card, intermediate=issuer.pem).sign(MANIFEST, now=NOW))
    assert len(read.value) == bits // 8


@pytest.mark.check("A-122")
def test_an_expired_signer_refuses_to_sign() -> None:
    ours = load()
    ours.sign(MANIFEST, now=ENDS)
    with pytest.raises(CertificateProblem, match="expired"):
        ours.sign(MANIFEST, now=ENDS + timedelta(seconds=1))
    with pytest.raises(CertificateProblem, match="clock"):
        ours.sign(MANIFEST, now=STARTS - timedelta(seconds=1))


# Loading ----------------------------------------------------------------------------------


def test_a_signer_knows_whose_it_is_and_how_long() -> None:
    ours = load(root=authority().pem, pass_type=PASS_TYPE, team=TEAM)
    assert (ours.pass_type, ours.team) == (PASS_TYPE, TEAM)
    assert (ours.not_before, ours.not_after) == (STARTS, ENDS)
    assert ours.intermediate_not_after == ENDS
    assert not ours.development


@pytest.mark.check("A-124")
@pytest.mark.parametrize("password", [None, b"", b"not needed"])
def test_pem_and_der_files_load_in_every_mixture(password: bytes | None) -> None:
    issuer = intermediate()
    card = leaf(issuer)
    key_der = card.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for certificate in (card.pem, card.der):
        for key in (card.key_pem, key_der):
            for wwdr in (issuer.pem, issuer.der):
                ours = load(certificate=certificate, key=key, intermediate=wwdr, password=password)
                assert ours.certificate == card.certificate


@pytest.mark.check("A-124")
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_loads_with_its_password(form: PrivateFormat) -> None:
    card = leaf()
    key = card.key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"open sesame"))
    assert load(card, key=key, password=b"open sesame").certificate == card.certificate
    assert problem(card, key=key) == "The private key is encrypted: its password is needed."
    assert problem(card, key=key, password=b"wrong") == "The password does not open the private key."


def p12(card: Issued, *, old: bool, password: bytes = b"open sesame") -> bytes:
    """A `.p12` as today's tools write it, or with the algorithms of old Macs."""
    encryption: KeySerializationEncryption = BestAvailableEncryption(password)
    if old:
        encryption = (
            PrivateFormat.PKCS12.encryption_builder()
            .kdf_rounds(2048)
            .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
            .hmac_hash(SHA1())
            .build(password)
        )
    return pkcs12.serialize_key_and_certificates(b"pass", card.key, card.certificate, None, encryption)


@pytest.mark.check("A-124")
@pytest.mark.parametrize("old", [True, False])
def test_a_p12_loads_by_itself(old: bool) -> None:
    issuer = intermediate()
    card = leaf(issuer)
    bag = p12(card, old=old)
    for certificate, key in ((bag, b""), (b"", bag), (bag, bag), (card.der, bag)):
        ours = load(certificate=certificate, key=key, intermediate=issuer.pem, password=b"open sesame")
        assert ours.certificate == card.certificate
    with_wrong = problem(certificate=bag, key=b"", password=b"wrong")
    assert with_wrong == "The password does not open the .p12 file, or the file is damaged."
    assert problem(certificate=bag, key=b"") == "The .p12 file needs its password, or is damaged."


def test_a_p12_without_a_key_is_refused() -> None:
    card = leaf()
    bag = pkcs12.serialize_key_and_certificates(None, None, None, [card.certificate], NoEncryption())
    assert "no certificate with its private key" in problem(certificate=bag, key=b"")


@pytest.mark.check("A-120")
def test_an_expired_certificate_is_named_with_its_day() -> None:
    sentence = problem(leaf(ends=NOW - timedelta(days=1)))
    assert sentence == "The certificate expired on 2026-03-13."


@pytest.mark.check("A-120")
def test_a_certificate_of_tomorrow_is_named_with_its_moment() -> None:
    sentence = problem(leaf(starts=NOW + timedelta(days=1)))
    assert sentence == (
        "The certificate is not valid before 2026-03-15 10:00 UTC: is the clock of this machine right?"
    )


@pytest.mark.check("A-120")
def test_an_expired_intermediate_is_named() -> None:
    issuer = intermediate(ends=NOW - timedelta(days=1))
    sentence = problem(leaf(issuer), intermediate=issuer.pem)
    assert sentence == "The intermediate certificate (WWDR G4) expired on 2026-03-13."


@pytest.mark.check("A-120")
def test_a_key_of_another_certificate_is_refused() -> None:
    assert "does not belong to the certificate" in problem(key=leaf(key="another").key_pem)


@pytest.mark.check("A-120")
@pytest.mark.parametrize(("unit", "name"), [("G3", "G3"), ("Apple Worldwide Developer Relations", "G1")])
def test_the_wrong_generation_of_the_intermediate_is_named(unit: str, name: str) -> None:
    given = intermediate(unit, key=f"wwdr-{name}")
    sentence = problem(leaf(), intermediate=given.pem)
    assert f"({name})" in sentence
    assert "(G4)" in sentence
    # And a certificate that really was issued by such a one is of no use on a phone either.
    assert f"WWDR {name}" in problem(leaf(given), intermediate=given.pem)


@pytest.mark.check("A-120")
def test_an_intermediate_of_the_right_name_but_another_key_is_refused() -> None:
    sentence = problem(leaf(), intermediate=intermediate(key="impostor").pem)
    assert "was not signed by the one given" in sentence


@pytest.mark.check("A-120")
def test_an_intermediate_of_another_root_is_refused() -> None:
    load(root=authority().pem)
    assert "was not issued by the root Other Root" in problem(root=authority("Other Root").pem)


@pytest.mark.check("A-22")
def test_a_certificate_for_another_pass_type_or_team_is_refused() -> None:
    assert problem(pass_type="pass.org.example.other") == (
        f"The certificate is for the pass type {PASS_TYPE}, but pass.org.example.other is configured."
    )
    assert problem(team="OTHERTEAM1") == (
        f"The certificate belongs to the team {TEAM}, but OTHERTEAM1 is configured."
    )


@pytest.mark.check("A-22")
def test_a_certificate_that_is_for_no_pass_type_is_refused() -> None:
    issuer = intermediate()
    other = issue({x509.NameOID.COMMON_NAME: "Apple Development: Ana"}, rsa_key("leaf"), issuer)
    assert "no Pass Type ID certificate" in problem(other, intermediate=issuer.pem)
    assert "not an identifier that starts with pass." in problem(leaf(pass_type="org.example.club"))


@pytest.mark.check("A-22")
def test_the_extension_must_repeat_the_pass_type() -> None:
    load(leaf(extension=b"\x0c\x15" + PASS_TYPE.encode()))
    assert "contradicts itself" in problem(leaf(extension=b"\x0c\x16pass.org.example.other"))


@pytest.mark.parametrize("which", ["certificate", "intermediate", "root"])
@pytest.mark.parametrize(
    "data", [b"", b"\x30\x03\x02\x01\x05", b"-----BEGIN CERTIFICATE-----\n!\n", b"hello"]
)
def test_an_unreadable_file_is_named(which: str, data: bytes) -> None:
    sentence = problem(**{which: data})
    assert {"certificate": "pass", "intermediate": "intermediate", "root": "root"}[which] in sentence


@pytest.mark.parametrize(
    "key", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n"]
)
def test_an_unreadable_or_missing_key_is_named(key: bytes) -> None:
    assert "private key" in problem(key=key)


def test_keys_that_apple_does_not_issue_for_are_refused() -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    assert "not an RSA key" in problem(key=curve)
    weak = leaf(key="weak", bits=1024)
    assert "1024 bits" in problem(weak)


@pytest.mark.check("A-123")
def test_after_renewal_a_pass_of_the_same_card_is_signed_by_the_new_certificate() -> None:
    issuer = intermediate()
    old = load(leaf(issuer), intermediate=issuer.pem)
    new = load(leaf(issuer, key="renewed"), intermediate=issuer.pem)
    assert (old.pass_type, old.team) == (new.pass_type, new.team)
    signatures = [cms.read_signature(one.sign(MANIFEST, now=NOW)) for one in (old, new)]
    assert signatures[0].value != signatures[1].value
    assert signatures[0].message_digest == signatures[1].message_digest


# Secrets ------------------------------------------------------------------------------------


@pytest.fixture
def audited() -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """What the interpreter reports of files and processes while a test listens."""
    events: list[tuple[str, tuple[Any, ...]]] = []
    listening = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event in {
            "open",
            "subprocess.Popen",
            "os.system",
            "os.posix_spawn",
            "os.fork",
            "os.exec",
        }:
            events.append((event, arguments))

    sys.addaudithook(hook)
    yield events
    listening = False


@pytest.mark.check("A-20")
def test_loading_and_signing_start_no_process_and_write_no_file(audited: list[tuple[str, Any]]) -> None:
    card = leaf()
    key = card.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    del audited[:]
    load(card, key=key, password=b"open sesame").sign(MANIFEST, now=NOW)
    assert [event for event, _ in audited if event != "open"] == []
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    assert [arguments for event, arguments in audited if event == "open" and arguments[2] & writes] == []


@pytest.mark.check("A-20")
def test_neither_exceptions_nor_the_signer_show_key_or_password() -> None:
    card = leaf(key="another")
    password = b"open sesame"
    encrypted = card.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    shown = [repr(load()), str(load())]
    for changes in (
        {"key": card.key_pem},
        {"key": encrypted, "password": b"a wrong password"},
        {"key": card.key_pem.replace(b"A", b"B", 40)},
        {"key": encrypted, "password": password},
    ):
        try:
            load(leaf(), **changes)
        except CertificateProblem as refused:
            shown.append("".join(traceback.format_exception(refused)))
    secrets = [line.decode() for line in card.key_pem.splitlines() if len(line) > 40]
    secrets += [line.decode() for line in encrypted.splitlines() if len(line) > 40]
    secrets += [str(card.key.private_numbers().d), "open sesame", "a wrong password"]
    assert len(shown) == 6
    for text in shown:
        assert not any(secret in text for secret in secrets)


def test_signing_costs_little_more_than_the_rsa_operation() -> None:
    """A guard against a second key load per pass (37 ms), not a benchmark."""
    ours = signer()
    started = time.process_time()
    for _ in range(20):
        ours.sign(MANIFEST, now=NOW)
    assert time.process_time() - started < 0.4
