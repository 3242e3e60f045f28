"""Make passes, right ones and broken ones, without any code of the product.

Signing goes through `cryptography`'s PKCS7 builder; for signatures that no
library would make there is a small CMS writer.
"""

from __future__ import annotations

import hashlib
import io
import ipaddress
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

PASS_TYPE = "pass.org.example.club"
TEAM = "TESTTEAM01"
NOW = datetime.now(UTC).replace(microsecond=0)
TOKEN = "Jw2x8Qb5m0Zr4Tt9Vd1LkEo7Ys3Ua6Pc"


@dataclass(frozen=True, slots=True)
class Chain:
    """A root, an intermediate and a pass certificate with its key."""

    root: x509.Certificate
    wwdr: x509.Certificate
    leaf: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def trust_roots(self) -> list[bytes]:
        return [self.root.public_bytes(Encoding.PEM)]


@cache
def key_of(who: str) -> rsa.RSAPrivateKey:
    """The key of somebody in a chain, for example "root ours"; made once."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def der(tag: int, *parts: bytes) -> bytes:
    """One DER element around its parts."""
    content = b"".join(parts)
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(size)]) + size + content


def _certificate(
    name: x509.Name,
    key: rsa.RSAPrivateKey,
    issuer: x509.Name,
    issuer_key: rsa.RSAPrivateKey,
    *,
    ca: bool,
    days: tuple[int, int] = (-30, 365),
    extension: bytes | None = None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if extension is not None:
        oid = x509.ObjectIdentifier("1.2.840.113635.100.6.1.16")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, extension), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


@cache
def make_chain(
    *,
    pass_type: str = PASS_TYPE,
    team: str = TEAM,
    extension: bytes | None = b"",
    who: str = "ours",
    wwdr_ca: bool = True,
    days: tuple[int, int] = (-30, 365),
) -> Chain:
    """A chain; `extension` b"" stands for the right one, None for none at all."""
    if extension == b"":
        extension = der(0x0C, pass_type.encode())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test root {who}")])
    wwdr_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test WWDR {who}")])
    leaf_name = x509.Name(
        [
            x509.NameAttribute(NameOID.USER_ID, pass_type),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Pass Type ID: {pass_type}"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, team),
        ]
    )
    root_key, wwdr_key, key = key_of(f"root {who}"), key_of(f"wwdr {who}"), key_of("leaf")
    return Chain(
        root=_certificate(root_name, root_key, root_name, root_key, ca=True),
        wwdr=_certificate(wwdr_name, wwdr_key, root_name, root_key, ca=wwdr_ca),
        leaf=_certificate(leaf_name, key, wwdr_name, wwdr_key, ca=False, days=days, extension=extension),
        key=key,
    )


def server_certificate(chain: Chain) -> x509.Certificate:
    """A certificate of 127.0.0.1 from the chain's root; its key is the leaf's."""
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
        .issuer_name(chain.root.subject)
        .public_key(chain.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key_of("root ours"), hashes.SHA256())
    )


def png(width: int = 2, height: int = 2, colour: tuple[int, int, int] = (200, 120, 40)) -> bytes:
    """A small one-coloured PNG image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(colour) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def document(*, beans: int = 100, offer: str = "Free roll until Friday", **changes: Any) -> dict[str, Any]:
    """pass.json of a small store card; a change to None leaves the key out."""
    body: dict[str, Any] = {
        "formatVersion": 1,
        "passTypeIdentifier": PASS_TYPE,
        "teamIdentifier": TEAM,
        "serialNumber": "c-1",
        "organizationName": "Corner Bakery",
        "description": "Loyalty card, Corner Bakery",
        "webServiceURL": "https://cards.example.org/apple",
        "authenticationToken": TOKEN,
        "sharingProhibited": True,
        "logoText": "Corner Bakery",
        "foregroundColor": "rgb(255, 247, 236)",
        "labelColor": "rgb(232, 180, 138)",
        "backgroundColor": "rgb(31, 42, 46)",
        "barcodes": [
            {
                "format": "PKBarcodeFormatQR",
                "message": "7QM2XW9LKT4H3FDA",
                "messageEncoding": "iso-8859-1",
                "altText": "7QM2 XW9L KT4H 3FDA",
            }
        ],
        "locations": [{"latitude": 52.5201, "longitude": 13.4049}],
        "storeCard": {
            "headerFields": [
                {
                    "key": "beans",
                    "label": "BEANS",
                    "value": beans,
                    "numberStyle": "PKNumberStyleDecimal",
                    "changeMessage": "You now have %@ beans",
                }
            ],
            "primaryFields": [{"key": "next", "label": "NEXT: ANY DRINK", "value": "160 to go"}],
            "secondaryFields": [{"key": "name", "label": "MEMBER", "value": "A. Baker"}],
            "auxiliaryFields": [{"key": "offer", "label": "TODAY", "value": offer}],
            "backFields": [{"key": "contact", "label": "Contact", "value": "hello@bakery.example.org"}],
        },
    }
    body.update(changes)
    return {key: value for key, value in body.items() if value is not None}


def files(body: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    """The files of a pass before manifest and signature."""
    return {
        "pass.json": json.dumps(document() if body is None else body).encode(),
        "icon.png": png(),
        "icon@2x.png": png(4, 4),
        "logo.png": png(6, 3),
        "strip@2x.png": png(50, 20),
    }


def manifest_of(contents: Mapping[str, bytes]) -> bytes:
    """manifest.json for these files, with newlines, which a signer must not translate."""
    hashes_by_name = {name: hashlib.sha1(data).hexdigest() for name, data in contents.items()}
    return json.dumps(hashes_by_name, indent=1).encode() + b"\n"


def sign(manifest: bytes, chain: Chain) -> bytes:
    """The signature file, made by `cryptography`."""
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
    return (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(manifest)
        .add_signer(chain.leaf, chain.key, hashes.SHA256())
        .add_certificate(chain.wwdr)
        .sign(Encoding.DER, options)
    )


def archive(contents: Mapping[str, bytes]) -> bytes:
    """A zip of these files."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        for name, data in contents.items():
            opened.writestr(name, data)
    return target.getvalue()


def make_pass(
    body: Mapping[str, Any] | None = None,
    *,
    chain: Chain | None = None,
    extra: Mapping[str, bytes] | None = None,
    signer: Callable[[bytes, Chain], bytes] = sign,
) -> bytes:
    """A whole pass: `extra` files are hashed and signed with the rest."""
    contents = files(body) | dict(extra or {})
    manifest = manifest_of(contents)
    signature = signer(manifest, chain or make_chain())
    return archive(contents | {"manifest.json": manifest, "signature": signature})


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    encoded = bytearray()
    for number in (40 * first + second, *rest):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        encoded += bytes(reversed(groups))
    return der(0x06, bytes(encoded))


def write_cms(
    manifest: bytes,
    chain: Chain,
    *,
    attributes: tuple[str, ...] = ("content-type", "signing-time", "message-digest"),
    certificates: tuple[x509.Certificate, ...] | None = None,
    at: datetime = NOW,
    detached: bool = True,
    signers: int = 1,
    digest: str = "sha256",
    value: Callable[[bytes], bytes] = lambda value: value,
    signed_manifest: bytes | None = None,
    reverse_attributes: bool = False,
) -> bytes:
    """CMS SignedData written byte by byte, with exactly the fault that is asked for."""
    digest_oid = {"sha256": "2.16.840.1.101.3.4.2.1", "sha1": "1.3.14.3.2.26"}[digest]
    hashed = hashlib.new(digest, manifest if signed_manifest is None else signed_manifest).digest()
    possible = {
        "content-type": der(0x30, oid("1.2.840.113549.1.9.3"), der(0x31, oid("1.2.840.113549.1.7.1"))),
        "signing-time": der(
            0x30, oid("1.2.840.113549.1.9.5"), der(0x31, der(0x17, f"{at:%y%m%d%H%M%SZ}".encode()))
        ),
        "message-digest": der(0x30, oid("1.2.840.113549.1.9.4"), der(0x31, der(0x04, hashed))),
    }
    chosen = sorted((possible[name] for name in attributes), reverse=reverse_attributes)
    algorithm = der(0x30, oid(digest_oid), b"\x05\x00")
    hash_type = hashes.SHA256() if digest == "sha256" else hashes.SHA1()
    signature = chain.key.sign(der(0x31, *chosen), padding.PKCS1v15(), hash_type)
    serial = chain.leaf.serial_number
    signer = der(
        0x30,
        b"\x02\x01\x01",
        der(
            0x30,
            chain.leaf.issuer.public_bytes(),
            der(0x02, serial.to_bytes(serial.bit_length() // 8 + 1)),
        ),
        algorithm,
        der(0xA0, *chosen),
        der(0x30, oid("1.2.840.113549.1.1.1"), b"\x05\x00"),
        der(0x04, value(signature)),
    )
    content = [oid("1.2.840.113549.1.7.1")]
    if not detached:
        content.append(der(0xA0, der(0x04, manifest)))
    embedded = (chain.leaf, chain.wwdr) if certificates is None else certificates
    return der(
        0x30,
        oid("1.2.840.113549.1.7.2"),
        der(
            0xA0,
            der(
                0x30,
                b"\x02\x01\x01",
                der(0x31, algorithm),
                der(0x30, *content),
                der(0xA0, *(one.public_bytes(Encoding.DER) for one in embedded)),
                der(0x31, *[signer] * signers),
            ),
        ),
    )
