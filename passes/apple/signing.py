"""Certificates: load, check dates and identity, sign.

A pass is signed with a detached CMS SignedData (RFC 5652) over the bytes of
its manifest. Everything in it but three values is the same for every pass of
a certificate, so the structure is laid out once and the signing time, the
message digest and the signature are spliced in. What is left to do for a pass
is the RSA operation itself, during which `cryptography` lets other threads run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import NameOID

# Apple repeats the pass type identifier in this extension of the leaf.
PASS_TYPE_EXTENSION = x509.ObjectIdentifier("1.2.840.113635.100.6.1.16")

# Pass certificates are issued by G4. G1 expired in February 2023, and signatures
# under G3 are rejected by phones although they look right.
UNUSABLE_GENERATIONS = frozenset({"G1", "G2", "G3"})

WWDR_NAME = "Apple Worldwide Developer Relations"

RSA_BITS_MIN = 2048

# RFC 5652 11.3: from 2050 on the signing time is a GeneralizedTime.
GENERALIZED_TIME_FROM_YEAR = 2050

PADDING = PKCS1v15()
DIGEST = SHA256()


class CertificateProblem(Exception):
    """The certificate files cannot be used; `sentence` tells the operator why.

    The sentence never quotes file contents, keys or passwords.
    """

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)


# DER ------------------------------------------------------------------------


def _tlv(tag: int, *parts: bytes) -> bytes:
    """One DER element of the given tag byte around `parts`."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(digits))) + digits + content


def _integer(number: int) -> bytes:
    # One byte more than needed when the top bit is set, so that it stays positive.
    return _tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


SEQUENCE, SET, OCTETS, OBJECT, NULL = 0x30, 0x31, 0x04, 0x06, b"\x05\x00"
CONTEXT_0 = 0xA0

OID_DATA = _tlv(OBJECT, bytes.fromhex("2a864886f70d010701"))
OID_SIGNED_DATA = _tlv(OBJECT, bytes.fromhex("2a864886f70d010702"))
OID_CONTENT_TYPE = _tlv(OBJECT, bytes.fromhex("2a864886f70d010903"))
OID_MESSAGE_DIGEST = _tlv(OBJECT, bytes.fromhex("2a864886f70d010904"))
OID_SIGNING_TIME = _tlv(OBJECT, bytes.fromhex("2a864886f70d010905"))
OID_SHA256 = _tlv(OBJECT, bytes.fromhex("608648016503040201"))
OID_RSA = _tlv(OBJECT, bytes.fromhex("2a864886f70d010101"))

# RFC 5754 2 lets the parameters of SHA-2 be NULL or absent. NULL is what
# `cryptography` and so the passes of other issuers carry.
SHA256_ALGORITHM = _tlv(SEQUENCE, OID_SHA256, NULL)
RSA_ALGORITHM = _tlv(SEQUENCE, OID_RSA, NULL)

DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Layout:
    """The signature's bytes around its three holes, for one encoding of the time.

    `head time middle digest tail signature` is the whole CMS; the signed bytes
    are `attributes time middle digest`: the same attributes, which RFC 5652 5.4
    asks to sign under the tag SET OF instead of the [0] they carry in the file.
    """

    head: bytes
    attributes: bytes
    middle: bytes
    tail: bytes


def _lay_out(
    leaf: x509.Certificate, intermediate: x509.Certificate, time_tag: int, time_bytes: int, key_bytes: int
) -> _Layout:
    hole_time, hole_digest, hole_signature = b"\xf5" * time_bytes, b"\xf6" * DIGEST_BYTES, b"\xf7" * key_bytes
    # In ascending order of their encodings, as DER wants a SET OF: the first
    # two bytes decide, the second being the length.
    attributes = (
        _tlv(SEQUENCE, OID_CONTENT_TYPE, _tlv(SET, OID_DATA))
        + _tlv(SEQUENCE, OID_SIGNING_TIME, _tlv(SET, _tlv(time_tag, hole_time)))
        + _tlv(SEQUENCE, OID_MESSAGE_DIGEST, _tlv(SET, _tlv(OCTETS, hole_digest)))
    )
    signer_info = _tlv(
        SEQUENCE,
        _integer(1),
        _tlv(SEQUENCE, leaf.issuer.public_bytes(), _integer(leaf.serial_number)),
        SHA256_ALGORITHM,
        _tlv(CONTEXT_0, attributes),
        RSA_ALGORITHM,
        _tlv(OCTETS, hole_signature),
    )
    certificates = sorted((leaf.public_bytes(Encoding.DER), intermediate.public_bytes(Encoding.DER)))
    signed_data = _tlv(
        SEQUENCE,
        _integer(1),
        _tlv(SET, SHA256_ALGORITHM),
        _tlv(SEQUENCE, OID_DATA),  # no content inside: detached
        _tlv(CONTEXT_0, *certificates),
        _tlv(SET, signer_info),
    )
    whole = _tlv(SEQUENCE, OID_SIGNED_DATA, _tlv(CONTEXT_0, signed_data))
    signed = _tlv(SET, attributes)
    head, rest = _cut_last(whole, hole_time)
    middle, rest = _cut_last(rest, hole_digest)
    tail, _ = _cut_last(rest, hole_signature)
    return _Layout(head, signed[: signed.rindex(hole_time)], middle, tail)


def _cut_last(data: bytes, hole: bytes) -> tuple[bytes, bytes]:
    # From the right: the holes come after the certificates, which are the only
    # foreign bytes in here and could contain anything.
    before, _, after = data.rpartition(hole)
    return before, after


# Signer ---------------------------------------------------------------------


RENEW_DAYS = 60
"""So many days before it ends, a certificate is asked about: renewing takes somebody's time."""
URGENT_DAYS = 14


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """A checked certificate with its key, ready to sign any number of passes from any thread.

    `pass_type` and `team` are what the certificate was issued for; passes must
    carry exactly these. `development` is True for a chain that is not Apple's:
    no phone will accept its passes.
    """

    pass_type: str
    team: str
    not_before: datetime
    not_after: datetime
    intermediate_not_after: datetime
    development: bool
    certificate: x509.Certificate
    intermediate: x509.Certificate
    _sign: Callable[[bytes], bytes] = field(compare=False)
    _utc_time: _Layout = field(compare=False)
    _generalized_time: _Layout = field(compare=False)

    def __repr__(self) -> str:
        """Identity only: this value holds a private key and may end up in a log."""
        return f"Signer({self.pass_type!r}, team={self.team!r}, until={self.not_after:%Y-%m-%d})"

    @property
    def ends_at(self) -> datetime:
        """When the first certificate of the chain ends, and no pass can be signed any more."""
        return min(self.not_after, self.intermediate_not_after)

    def sign(self, manifest: bytes, *, now: datetime) -> bytes:
        """Sign the manifest's very bytes; the answer is the file `signature`.

        Phones compare the signing time with the certificate's validity, so
        outside of it this raises CertificateProblem instead of producing a
        pass that no phone takes.
        """
        _check_dates(self.certificate, "The certificate", now)
        now = now.astimezone(UTC)
        if now.year < GENERALIZED_TIME_FROM_YEAR:
            layout, time = self._utc_time, now.strftime("%y%m%d%H%M%SZ").encode()
        else:
            layout, time = self._generalized_time, now.strftime("%Y%m%d%H%M%SZ").encode()
        digest = hashlib.sha256(manifest).digest()
        signature = self._sign(b"".join((layout.attributes, time, layout.middle, digest)))
        return b"".join((layout.head, time, layout.middle, digest, layout.tail, signature))


def load(
    *,
    certificate: bytes,
    key: bytes = b"",
    intermediate: bytes,
    password: bytes | None = None,
    now: datetime,
    root: bytes | None = None,
    pass_type: str | None = None,
    team: str | None = None,
) -> Signer:
    """Read and check a Pass Type ID certificate, its key and the intermediate that issued it.

    Each file may be PEM or DER; `certificate` or `key` may also be the `.p12`
    exported from a Mac, then the other may be left empty. `password` opens an
    encrypted key or `.p12`. `pass_type` and `team`, if given, are what the
    certificate must be for; `root`, if given, must have issued the
    intermediate. The check of an RSA key costs some 40 ms, so load once and
    keep the Signer.

    Raises CertificateProblem with one plain sentence for whatever is wrong.
    """
    leaf, private_key = _certificate_and_key(certificate, key, password)
    issuer = _certificate(intermediate, "intermediate")

    if private_key.key_size < RSA_BITS_MIN:
        raise CertificateProblem(
            f"The key has {private_key.key_size} bits; Apple asks for RSA with {RSA_BITS_MIN}."
        )
    if _public(private_key.public_key()) != _public(leaf.public_key()):
        raise CertificateProblem(
            "The key does not belong to the certificate: use the key from which the request "
            "for this certificate was made."
        )
    _check_issuer(leaf, issuer)
    if root is not None:
        _check_root(issuer, _certificate(root, "root"))
    _check_dates(leaf, "The certificate", now)
    _check_dates(issuer, "The intermediate certificate", now)
    actual_pass_type, actual_team = _identity(leaf)
    if pass_type is not None and actual_pass_type != pass_type:
        raise CertificateProblem(
            f"The certificate is for the pass type {actual_pass_type}, but {pass_type} is configured."
        )
    if team is not None and actual_team != team:
        raise CertificateProblem(
            f"The certificate belongs to the team {actual_team}, but {team} is configured."
        )

    key_bytes = private_key.key_size // 8
    return Signer(
        pass_type=actual_pass_type,
        team=actual_team,
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        intermediate_not_after=issuer.not_valid_after_utc,
        development=_text(issuer.subject, NameOID.ORGANIZATION_NAME) != "Apple Inc.",
        certificate=leaf,
        intermediate=issuer,
        _sign=lambda data: private_key.sign(data, PADDING, DIGEST),
        _utc_time=_lay_out(leaf, issuer, 0x17, 13, key_bytes),
        _generalized_time=_lay_out(leaf, issuer, 0x18, 15, key_bytes),
    )


# Reading files ----------------------------------------------------------------


def _certificate_and_key(
    certificate: bytes, key: bytes, password: bytes | None
) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    for bag in (certificate, key):
        opened = _open_bag(bag, password)
        if opened is not None:
            bag_leaf, bag_key = opened
            # A bag beside a separate file: the separate file names what to use.
            leaf = bag_leaf if bag is certificate or not certificate else _certificate(certificate, "pass")
            return leaf, bag_key if bag is key or not key else _key(key, password)
    if not key:
        raise CertificateProblem("The private key is missing: give the key file, or a .p12 that holds it.")
    return _certificate(certificate, "pass"), _key(key, password)


def _certificate(data: bytes, which: str) -> x509.Certificate:
    if not data:
        raise CertificateProblem(f"The {which} certificate is missing or empty.")
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except ValueError:
        pass
    raise CertificateProblem(f"The {which} certificate cannot be read: it is neither PEM nor DER (.cer).")


def _key(data: bytes, password: bytes | None) -> rsa.RSAPrivateKey:
    read = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key
    key: object = None
    wrong_password = False
    try:
        key = read(data, password or None)
    except TypeError:
        # Two opposite cases share this exception: a password where none is
        # needed, which is harmless, and none where one is.
        if not password:
            raise CertificateProblem("The private key is encrypted: its password is needed.") from None
        key = read(data, None)
    except ValueError as error:
        wrong_password = bool(password) and "password" in str(error).lower()
    if wrong_password:
        raise CertificateProblem("The password does not open the private key.")
    if key is None:
        if password and b"ENCRYPTED" in data:
            raise CertificateProblem("The password does not open the private key.")
        raise CertificateProblem("The private key cannot be read: it is neither PEM nor DER.")
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CertificateProblem("The private key is not an RSA key; Apple issues pass certificates for RSA.")
    return key


# PFX (RFC 7292 4): SEQUENCE { version INTEGER 3, ...
PFX_START = re.compile(rb"\x30(?:[\x00-\x7f]|\x80|\x81.|\x82..|\x83...)\x02\x01\x03", re.DOTALL)


def _open_bag(data: bytes, password: bytes | None) -> tuple[x509.Certificate, rsa.RSAPrivateKey] | None:
    """Certificate and key of a `.p12`; None if the data is none."""
    if not PFX_START.match(data):
        return None
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(data, password or None)
    except ValueError:
        key = certificate = None
        refused = True
    else:
        refused = False
    if refused:
        if not password:
            raise CertificateProblem("The .p12 file needs its password, or is damaged.")
        raise CertificateProblem("The password does not open the .p12 file, or the file is damaged.")
    if certificate is None or key is None:
        raise CertificateProblem(
            "The .p12 file holds no certificate with its private key: export both together."
        )
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CertificateProblem("The private key is not an RSA key; Apple issues pass certificates for RSA.")
    return certificate, key


# Checks -----------------------------------------------------------------------


def _check_issuer(leaf: x509.Certificate, issuer: x509.Certificate) -> None:
    if leaf.issuer != issuer.subject:
        raise CertificateProblem(
            f"The intermediate is {_title(issuer.subject)}, but the certificate was issued by "
            f"{_title(leaf.issuer)}: download that one from Apple."
        )
    generation = _generation(issuer.subject)
    if generation in UNUSABLE_GENERATIONS:
        raise CertificateProblem(
            f"The intermediate is WWDR {generation}, under which phones accept no passes: "
            "have a new certificate issued under G4."
        )
    try:
        leaf.verify_directly_issued_by(issuer)
        return
    except (ValueError, TypeError, InvalidSignature):
        pass
    raise CertificateProblem(
        f"The certificate names {_title(issuer.subject)} as its issuer but was not signed by the one given."
    )


def _check_root(issuer: x509.Certificate, root: x509.Certificate) -> None:
    try:
        issuer.verify_directly_issued_by(root)
        return
    except (ValueError, TypeError, InvalidSignature):
        pass
    raise CertificateProblem(
        f"The intermediate {_title(issuer.subject)} was not issued by the root {_title(root.subject)}."
    )


def _check_dates(certificate: x509.Certificate, which: str, now: datetime) -> None:
    if now < certificate.not_valid_before_utc:
        raise CertificateProblem(
            f"{which} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: "
            "is the clock of this machine right?"
        )
    if now > certificate.not_valid_after_utc:
        generation = _generation(certificate.subject)
        name = f" (WWDR {generation})" if generation else ""
        raise CertificateProblem(f"{which}{name} expired on {certificate.not_valid_after_utc:%Y-%m-%d}.")


def _identity(leaf: x509.Certificate) -> tuple[str, str]:
    """Pass type identifier and team of a leaf, as Apple writes them."""
    pass_type = _text(leaf.subject, NameOID.USER_ID)
    team = _text(leaf.subject, NameOID.ORGANIZATIONAL_UNIT_NAME)
    if pass_type is None or not pass_type.startswith("pass."):
        raise CertificateProblem(
            f"This is no Pass Type ID certificate: its user id is {pass_type or 'missing'}, "
            "not an identifier that starts with pass."
        )
    if team is None:
        raise CertificateProblem("This is no Pass Type ID certificate: it names no team.")
    try:
        extension = leaf.extensions.get_extension_for_oid(PASS_TYPE_EXTENSION).value
    except x509.ExtensionNotFound:
        return pass_type, team
    if isinstance(extension, x509.UnrecognizedExtension) and not extension.value.endswith(pass_type.encode()):
        raise CertificateProblem(
            f"The certificate contradicts itself: its user id is {pass_type}, its extension names another id."
        )
    return pass_type, team


def _text(name: x509.Name, oid: x509.ObjectIdentifier) -> str | None:
    for attribute in name.get_attributes_for_oid(oid):
        if isinstance(attribute.value, str):
            return attribute.value
    return None


def _generation(name: x509.Name) -> str | None:
    """G1, G2, G3 … of a WWDR intermediate; None for any other name."""
    common_name = _text(name, NameOID.COMMON_NAME) or ""
    if WWDR_NAME not in common_name:
        return None
    unit = _text(name, NameOID.ORGANIZATIONAL_UNIT_NAME) or ""
    for text in (unit, common_name.rpartition(" ")[2]):
        if re.fullmatch(r"G[0-9]+", text):
            return text
    return "G1"  # the first generation carried no number


def _title(name: x509.Name) -> str:
    generation = _generation(name)
    common_name = _text(name, NameOID.COMMON_NAME) or name.rfc4514_string()
    return f"{common_name} ({generation})" if generation else common_name


def _public(key: object) -> bytes:
    if not isinstance(key, rsa.RSAPublicKey):
        return b""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
