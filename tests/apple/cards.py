"""Faces, certificates and finished passes for the tests of Apple's side."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from passes import artwork
from passes.apple import bundle, certificates, document, signing
from passes.loyalty.card import (
    Barcode,
    CardFace,
    ChangeText,
    Colours,
    FaceField,
    FieldKind,
    OfferLine,
    Place,
    Strip,
    StripKind,
    Symbology,
)

NOW = datetime(2026, 3, 14, 10, 0, tzinfo=UTC)
PASS_TYPE = "pass.org.example.club"
TEAM = "TESTTEAM01"
SERIAL = "c-7Qm2Xw9LkT4"
STARTS, ENDS = NOW - timedelta(days=30), NOW + timedelta(days=300)
TOKEN = "Jw2x8Qb5m0Zr4Tt9Vd1LkEo7Ys3Ua6Pc"
SERVICE = document.WebService("https://cards.example.org/apple", TOKEN)

_FACE = CardFace(
    design="finch-club",
    organisation="Copperfinch Coffee",
    programme_name="Finch Club",
    description="Loyalty card, Finch Club, Copperfinch Coffee",
    language="en",
    colours=Colours("#1F2A2E", "#FFF7EC", "#E8B48A"),
    header=FaceField("balance", "BEANS", 640, FieldKind.NUMBER),
    primary=FaceField("next", "NEXT: ANY DRINK", "160 to go"),
    row=(
        FaceField("member", "MEMBER", "Ana Çelik"),
        FaceField("tier", "TIER", "Flight"),
        FaceField("spent", "THIS YEAR", 24990, FieldKind.MONEY, "USD"),
        FaceField("since", "SINCE", NOW, FieldKind.INSTANT),
    ),
    strip=Strip(StripKind.PROGRESS, 5, 8),
    back=(
        FaceField("rewards", "Rewards", "Extra shot: 150 beans\nBrewed coffee: 400 beans"),
        FaceField("contact", "Contact", "hello@copperfinch.example"),
    ),
    offers=(
        OfferLine("maple", "Maple Cortado is back", "Double beans until Friday", NOW + timedelta(days=3)),
    ),
    change=ChangeText("balance", "You now have %@ beans"),
    barcode=Barcode(Symbology.QR, "7QM2XW9LKT4CDFHJ", "7QM2 XW9L KT4C DFHJ"),
    places=(Place(41.8827, -87.6473, "Nearby: West Loop, 841 W Randolph St"),),
)


def face(**changes: Any) -> CardFace:
    """The card of Ana, the regular, with changes."""
    return replace(_FACE, **changes)


def pass_json(card: CardFace | None = None, **changes: Any) -> bytes:
    """The document of a card as it is shipped."""
    arguments: dict[str, Any] = {
        "pass_type": PASS_TYPE, "team": TEAM, "serial": SERIAL, "web_service": SERVICE
    }  # fmt: skip
    return document.store_card(card or face(), **(arguments | changes))


def parsed(card: CardFace | None = None, **changes: Any) -> dict[str, Any]:
    """The document of a card as a reader sees it."""
    read: dict[str, Any] = json.loads(pass_json(card, **changes))
    return read


@cache
def art() -> dict[str, bytes]:
    """The pictures of Ana's card."""
    colours = _FACE.colours
    return dict(
        artwork.pictures(
            "latte",
            ground=colours.ground,
            text=colours.text,
            label=colours.label,
            strip=_FACE.strip,
            initials="CC",
        )
    )


@cache
def template() -> bundle.Template:
    """Ana's pictures, laid out."""
    return bundle.Template(art())


@cache
def chain() -> dict[str, bytes]:
    """A development chain as files by name."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "chain"
        certificates.make_development_chain(target, pass_type=PASS_TYPE, team=TEAM, now=NOW)
        return {path.name: path.read_bytes() for path in target.iterdir()}


@cache
def signer() -> signing.Signer:
    """The signer of that chain."""
    files = chain()
    return signing.load(
        certificate=files["pass.pem"], key=files["pass.key"], intermediate=files["wwdr.pem"],
        root=files["root.pem"], now=NOW,
    )  # fmt: skip


def finished(card: CardFace | None = None, **changes: Any) -> bytes:
    """A whole `.pkpass` file."""
    return bytes(bundle.build(template(), pass_json(card, **changes), signer(), now=NOW))


# Certificates of every kind, good and bad -------------------------------------


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key of that name, made once in a run: making one takes time."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def issue(
    subject: dict[x509.ObjectIdentifier, str],
    key: rsa.RSAPrivateKey,
    issuer: Issued | None = None,
    *,
    starts: datetime = STARTS,
    ends: datetime = ENDS,
    extension: bytes | None = None,
) -> Issued:
    """A certificate under an issuer, or self-signed."""
    name = x509.Name([x509.NameAttribute(oid, text) for oid, text in subject.items()])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=subject.get(NameOID.USER_ID) is None, path_length=None), True)
    )
    if extension is not None:
        builder = builder.add_extension(
            x509.UnrecognizedExtension(signing.PASS_TYPE_EXTENSION, extension), critical=False
        )
    return Issued(builder.sign(issuer.key if issuer else key, SHA256()), key)


def intermediate(
    unit: str = "G4", *, key: str = "wwdr", starts: datetime = STARTS, ends: datetime = ENDS
) -> Issued:
    """A WWDR intermediate of some generation under `authority()`."""
    return issue(
        {
            NameOID.COMMON_NAME: "Apple Worldwide Developer Relations Certification Authority",
            NameOID.ORGANIZATIONAL_UNIT_NAME: unit,
            NameOID.ORGANIZATION_NAME: "Apple Inc.",
        },
        rsa_key(key),
        authority(),
        starts=starts,
        ends=ends,
    )


@cache
def authority(name: str = "Test Root") -> Issued:
    """A root."""
    return issue({NameOID.COMMON_NAME: name}, rsa_key(name))


def leaf(
    issuer: Issued | None = None,
    *,
    pass_type: str = PASS_TYPE,
    team: str = TEAM,
    key: str = "leaf",
    bits: int = 2048,
    extension: bytes | None = None,
    starts: datetime = STARTS,
    ends: datetime = ENDS,
) -> Issued:
    """A Pass Type ID certificate."""
    subject = {
        NameOID.USER_ID: pass_type,
        NameOID.COMMON_NAME: f"Pass Type ID: {pass_type}",
        NameOID.ORGANIZATIONAL_UNIT_NAME: team,
    }
    return issue(
        subject, rsa_key(key, bits), issuer or intermediate(), extension=extension, starts=starts, ends=ends
    )
