"""Read a CMS signature (RFC 5652) the way a phone does: strictly, from its DER bytes.

Only what a pass may contain is understood: SignedData, detached, one signer.
Nothing here trusts anything; `wallet_file` decides what the parts are worth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_DATA = "1.2.840.113549.1.7.1"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
_DIGESTS = {"2.16.840.1.101.3.4.2.1": "sha256", "1.3.14.3.2.26": "sha1"}

_INTEGER, _OCTETS, _OID, _SEQUENCE, _SET = 0x02, 0x04, 0x06, 0x30, 0x31
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_EXPLICIT_0 = 0xA0


class NotDer(ValueError):
    """The bytes are not the DER structure that was expected."""


class MissingAttribute(NotDer):
    """A signed attribute that every pass needs is not there; `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the signature carries no {name}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Element:
    """One DER element: its tag, what is inside, and all its bytes."""

    tag: int
    content: bytes
    raw: bytes

    def expect(self, tag: int, what: str) -> Element:
        """The element itself if it has this tag; `NotDer` otherwise."""
        if self.tag != tag:
            raise NotDer(f"{what}: tag 0x{tag:02x} was expected, 0x{self.tag:02x} arrived")
        return self

    def parts(self) -> list[Element]:
        """The elements inside a constructed element."""
        return list(elements(self.content))


@dataclass(frozen=True, slots=True)
class Signature:
    """A detached signature, taken apart but not believed.

    `signed_bytes` is what the signature value was made over: the signed
    attributes, encoded as the SET that RFC 5652 5.4 asks for.
    """

    detached: bool
    signer_count: int
    certificates: tuple[bytes, ...]
    issuer: bytes
    serial_number: int
    digest_name: str | None
    message_digest: bytes
    signing_time: datetime
    signed_bytes: bytes
    attributes_sorted: bool
    algorithm: str
    value: bytes


def elements(data: bytes) -> Iterator[Element]:
    """Every DER element of `data`, one after the other."""
    offset = 0
    while offset < len(data):
        element = _read(data, offset)
        offset += len(element.raw)
        yield element


def only(data: bytes, what: str) -> Element:
    """The single element that fills `data`; trailing bytes are refused."""
    element = _read(data, 0)
    if len(element.raw) != len(data):
        raise NotDer(f"{what}: {len(data) - len(element.raw)} bytes follow its end")
    return element


def _read(data: bytes, start: int) -> Element:
    if start + 2 > len(data):
        raise NotDer("the data end inside an element")
    tag, first = data[start], data[start + 1]
    if tag & 0x1F == 0x1F:
        raise NotDer("long tags do not occur in signatures")
    body = start + 2
    length = first
    if first & 0x80:
        size = first & 0x7F
        # 0x80 alone is BER's indefinite length, which DER forbids.
        if not 1 <= size <= 4 or body + size > len(data):
            raise NotDer("a length is not in its DER form")
        length = int.from_bytes(data[body : body + size])
        if length < 0x80 or data[body] == 0:
            raise NotDer("a length is longer than DER allows")
        body += size
    if body + length > len(data):
        raise NotDer("the data end inside an element")
    return Element(tag, data[body : body + length], data[start : body + length])


def object_identifier(element: Element) -> str:
    """The dotted form of an OBJECT IDENTIFIER."""
    content = element.expect(_OID, "object identifier").content
    numbers: list[int] = []
    value = 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    if not numbers or content[-1] & 0x80:
        raise NotDer("an object identifier ends in the middle")
    first = min(numbers[0] // 40, 2)
    return ".".join(str(number) for number in (first, numbers[0] - 40 * first, *numbers[1:]))


def moment(element: Element) -> datetime:
    """A UTCTime or GeneralizedTime in its DER form (seconds, `Z`), as an aware instant."""
    text = element.content.decode("ascii", "replace")
    if element.tag == _UTC_TIME:
        # X.509: two digits from 50 on belong to the 1900s.
        text = ("19" if text[:2] >= "50" else "20") + text
    elif element.tag != _GENERALIZED_TIME:
        raise NotDer("a time is neither UTCTime nor GeneralizedTime")
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise NotDer(f"{text!r} is not a time in UTC with seconds") from error


def read_signature(data: bytes) -> Signature:
    """Take a pass's `signature` file apart (RFC 5652 sections 3 and 5).

    Raises `NotDer` for anything that is not SignedData with at least one
    signer, and `MissingAttribute` where content-type, message-digest or
    signing-time is absent.
    """
    outer = only(data, "signature").expect(_SEQUENCE, "ContentInfo").parts()
    if len(outer) != 2 or object_identifier(outer[0]) != _SIGNED_DATA:
        raise NotDer("the file is not CMS SignedData")
    inner = only(outer[1].expect(_EXPLICIT_0, "content").content, "SignedData")
    parts = inner.expect(_SEQUENCE, "SignedData").parts()
    if len(parts) < 4:
        raise NotDer("SignedData lacks some of its parts")
    _expect_version_one(parts[0])
    announced = [_algorithm(one) for one in parts[1].expect(_SET, "digest algorithms").parts()]
    content = parts[2].expect(_SEQUENCE, "content").parts()
    if not content or object_identifier(content[0]) != _DATA:
        raise NotDer("the signed content is not of type data")
    certificates = next((part.parts() for part in parts[3:] if part.tag == _EXPLICIT_0), [])
    signers = parts[-1].expect(_SET, "signers").parts()
    if not signers:
        raise NotDer("nobody signed")
    signature = _read_signer(
        signers[0],
        detached=len(content) == 1,
        signer_count=len(signers),
        certificates=tuple(certificate.raw for certificate in certificates),
    )
    if signature.digest_name not in [_DIGESTS.get(one) for one in announced]:
        raise NotDer("the signer's digest is not among those announced")
    return signature


def _expect_version_one(element: Element) -> None:
    # RFC 5652 5.1 and 5.3: 1, as only data is signed and the signer is named by issuer and number.
    if element.expect(_INTEGER, "version").content != b"\1":
        raise NotDer("the version is not 1")


def _algorithm(element: Element) -> str:
    """An AlgorithmIdentifier whose parameters are absent or NULL, which is all that occurs here."""
    parts = element.expect(_SEQUENCE, "algorithm").parts()
    if not parts or [part.raw for part in parts[1:]] not in ([], [b"\x05\x00"]):
        raise NotDer("an algorithm has unknown parameters")
    return object_identifier(parts[0])


def _read_signer(
    signer: Element, *, detached: bool, signer_count: int, certificates: tuple[bytes, ...]
) -> Signature:
    parts = signer.expect(_SEQUENCE, "signer").parts()
    if len(parts) < 5:
        raise NotDer("the signer lacks some of its parts")
    _expect_version_one(parts[0])
    identity = parts[1].expect(_SEQUENCE, "signer's issuer and serial number").parts()
    if len(identity) != 2:
        raise NotDer("the signer is not named by issuer and serial number")
    digest = _algorithm(parts[2])
    if parts[3].tag != _EXPLICIT_0:
        # Without signed attributes there is no signing time, and phones refuse.
        raise MissingAttribute("signing-time")
    encoded = [part.raw for part in parts[3].parts()]
    attributes = _attributes(parts[3].parts())
    for oid, name in (
        (_CONTENT_TYPE, "content-type"),
        (_MESSAGE_DIGEST, "message-digest"),
        (_SIGNING_TIME, "signing-time"),
    ):
        if oid not in attributes:
            raise MissingAttribute(name)
    if object_identifier(attributes[_CONTENT_TYPE]) != _DATA:
        raise NotDer("the signed content-type is not data")
    return Signature(
        detached=detached,
        signer_count=signer_count,
        certificates=certificates,
        issuer=identity[0].expect(_SEQUENCE, "issuer").raw,
        serial_number=int.from_bytes(identity[1].expect(_INTEGER, "serial number").content, signed=True),
        digest_name=_DIGESTS.get(digest),
        message_digest=attributes[_MESSAGE_DIGEST].expect(_OCTETS, "message-digest").content,
        signing_time=moment(attributes[_SIGNING_TIME]),
        # RFC 5652 5.4: signed as a SET although it travels under an implicit tag.
        signed_bytes=bytes([_SET]) + parts[3].raw[1:],
        attributes_sorted=encoded == sorted(encoded),
        algorithm=_algorithm(parts[4]),
        value=parts[5].expect(_OCTETS, "signature value").content if len(parts) > 5 else b"",
    )


def _attributes(parts: list[Element]) -> dict[str, Element]:
    found: dict[str, Element] = {}
    for part in parts:
        pair = part.expect(_SEQUENCE, "attribute").parts()
        if len(pair) != 2:
            raise NotDer("an attribute is not a name with values")
        name = object_identifier(pair[0])
        values = pair[1].expect(_SET, "attribute values").parts()
        if name in found or not values:
            raise NotDer(f"attribute {name} occurs twice or has no value")
        found[name] = values[0]
    return found


def digest(name: str, data: bytes) -> bytes:
    """The hash that a signature's digest algorithm gives for `data`."""
    return hashlib.new(name, data).digest()
