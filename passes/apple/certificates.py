"""Keys and certificates: a throw-away chain for development, a request for the real one.

The development chain has the shape of Apple's (a root, an intermediate like
WWDR G4, a Pass Type ID leaf) so that everything but a phone's trust can be
tried. Its names say that it is not Apple's. The keys of its root and
intermediate are forgotten as soon as the files are written.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from passes.apple.signing import PASS_TYPE_EXTENSION, CertificateProblem, load

# Apple's own purpose for pass certificates. It is why generic S/MIME verifiers
# must be told to skip the purpose check.
PASS_SIGNING_PURPOSE = x509.ObjectIdentifier("1.2.840.113635.100.4.14")

ORGANISATION = "Development only, not Apple"

ROOT_LIFE = timedelta(days=3650)
INTERMEDIATE_LIFE = timedelta(days=1825)
LEAF_LIFE = timedelta(days=395)  # as long as Apple's
BACKDATED = timedelta(days=1)  # for clocks that disagree a little
RENEW_BEFORE = timedelta(days=7)

RSA_BITS = 2048

CHAIN_FILES = ("root.pem", "wwdr.pem", "pass.pem", "pass.key", "apns.pem", "apns.key")


def make_development_chain(folder: Path, *, pass_type: str, team: str, now: datetime) -> None:
    """Put a throw-away chain for `pass_type` and `team` into the folder, unless a good one is there.

    Writes `root.pem`, `wwdr.pem`, `pass.pem`, `pass.key`, and `apns.pem`,
    `apns.key` for a push emulator on this machine. `pass.pem` signs passes and
    is also the client certificate towards that emulator. A chain that is
    incomplete, for another pass type or team, or within a week of its end is
    replaced as a whole. Several processes may call this at once.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.parent):
        if _chain_is_good(folder, pass_type=pass_type, team=team, now=now):
            return
        # Beside the target, so that the rename stays on one file system.
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            for name, data in _chain(pass_type=pass_type, team=team, now=now).items():
                _write_new(draft / name, data, mode=0o600 if name.endswith(".key") else 0o644)
            draft.chmod(0o755)
            if not folder.exists():
                draft.rename(folder)
                return
            for name in CHAIN_FILES:
                (draft / name).replace(folder / name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def make_request(
    folder: Path, *, pass_type: str, email: str | None = None, password: bytes | None = None
) -> tuple[Path, Path]:
    """Make a key and a certificate signing request for the developer portal; no Mac is needed.

    Writes `pass.key` (mode 0600, encrypted if a password is given) and
    `pass.csr` into the folder and returns their paths. Apple replaces the
    subject of the request by its own. An existing key is never overwritten:
    raises FileExistsError, because it may be the only one to a certificate in use.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = _rsa_key()
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, f"Pass Type ID: {pass_type}"[:64])]
    if email is not None:
        subject.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, email))
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(key, SHA256())
    key_file, request_file = folder / "pass.key", folder / "pass.csr"
    _write_new(key_file, _key_pem(key, password), mode=0o600)
    request_file.write_bytes(request.public_bytes(Encoding.PEM))
    return key_file, request_file


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out; the lock ends with the process, and leaves no file behind."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_new(path: Path, data: bytes, *, mode: int) -> None:
    # The mode is given at creation: a key must not be readable even for a moment.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _chain_is_good(folder: Path, *, pass_type: str, team: str, now: datetime) -> bool:
    if not all((folder / name).is_file() for name in CHAIN_FILES):
        return False
    root = (folder / "root.pem").read_bytes()
    try:
        for moment in (now, now + RENEW_BEFORE):
            load(
                certificate=(folder / "pass.pem").read_bytes(),
                key=(folder / "pass.key").read_bytes(),
                intermediate=(folder / "wwdr.pem").read_bytes(),
                root=root,
                pass_type=pass_type,
                team=team,
                now=moment,
            )
        server = x509.load_pem_x509_certificate((folder / "apns.pem").read_bytes())
        server.verify_directly_issued_by(x509.load_pem_x509_certificate(root))
        server_key = load_pem_private_key((folder / "apns.key").read_bytes(), None)
    except (CertificateProblem, InvalidSignature, ValueError, TypeError):
        return False
    return (
        server.public_key() == server_key.public_key()
        and server.not_valid_before_utc <= now
        and now + RENEW_BEFORE <= server.not_valid_after_utc
    )


def _chain(*, pass_type: str, team: str, now: datetime) -> Mapping[str, bytes]:
    # P-256 where Apple's key type does not matter: it is made in no time.
    root_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    intermediate_key, leaf_key = _rsa_key(), _rsa_key()

    root_name = _name(common_name="Development Root CA")
    root = _certificate(root_name, root_name, root_key.public_key(), now, ROOT_LIFE, authority_depth=1)
    root_signed = root.sign(root_key, SHA256())

    intermediate_name = _name(
        common_name="Development Apple Worldwide Developer Relations Certification Authority"[:64],
        unit="G4",
    )
    intermediate = _certificate(
        intermediate_name, root_name, intermediate_key.public_key(), now, INTERMEDIATE_LIFE, authority_depth=0
    ).sign(root_key, SHA256())

    leaf = (
        _certificate(
            _name(common_name=f"Pass Type ID: {pass_type}"[:64], unit=team, user=pass_type),
            intermediate_name,
            leaf_key.public_key(),
            now,
            LEAF_LIFE,
        )
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, PASS_SIGNING_PURPOSE]), critical=False
        )
        .add_extension(
            x509.UnrecognizedExtension(PASS_TYPE_EXTENSION, _utf8_string(pass_type)), critical=False
        )
        .sign(intermediate_key, SHA256())
    )
    server = (
        _certificate(_name(common_name="localhost"), root_name, server_key.public_key(), now, LEAF_LIFE)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("localhost"),
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                    x509.IPAddress(ipaddress.ip_address("::1")),
                ]
            ),
            critical=False,
        )
        .sign(root_key, SHA256())
    )
    return {
        "root.pem": root_signed.public_bytes(Encoding.PEM),
        "wwdr.pem": intermediate.public_bytes(Encoding.PEM),
        "pass.pem": leaf.public_bytes(Encoding.PEM),
        "pass.key": _key_pem(leaf_key, None),
        "apns.pem": server.public_bytes(Encoding.PEM),
        "apns.key": _key_pem(server_key, None),
    }


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
    *,
    authority_depth: int | None = None,
) -> x509.CertificateBuilder:
    """The common part; `authority_depth` is how many authorities may follow (None: not an authority)."""
    authority = authority_depth is not None
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=authority_depth), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority,
                key_cert_sign=authority,
                crl_sign=authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(*, common_name: str, unit: str | None = None, user: str | None = None) -> x509.Name:
    attributes = []
    if user is not None:
        attributes.append(x509.NameAttribute(NameOID.USER_ID, user))
    attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    if unit is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION))
    return x509.Name(attributes)


def _utf8_string(text: str) -> bytes:
    data = text.encode()
    return bytes((0x0C, len(data))) + data


def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)


def _key_pem(key: CertificateIssuerPrivateKeyTypes, password: bytes | None) -> bytes:
    protection: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)
