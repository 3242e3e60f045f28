"""Open a `.pkpass` as a strict iPhone would: believe nothing, check everything.

Shares no code with what builds passes here. Each check refuses with a code of
its own, so that a test can break exactly one thing and see exactly that said.
Rules: Apple's "Building a pass", "Creating the source for a pass", `Pass`,
`PassFields`, `Pass.Barcodes` and the Wallet Developer Guide. Where a phone
would silently drop something instead of refusing, it becomes a remark.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from passes.emulators import cms

PASS_MIME = "application/vnd.apple.pkpass"
PASS_TYPE_EXTENSION = x509.ObjectIdentifier("1.2.840.113635.100.6.1.16")

# A pass has no documented size limit; a phone would not unpack a bomb either.
_TOTAL_BYTES_MAX = 10_000_000
_ENTRIES_MAX = 400
# A phone's clock and a server's may differ a little; a day is a wrong clock.
_CLOCK_TOLERANCE = timedelta(days=1)

_STYLES = ("boardingPass", "coupon", "eventTicket", "generic", "storeCard")
_SECTIONS = (
    "headerFields",
    "primaryFields",
    "secondaryFields",
    "auxiliaryFields",
    "backFields",
    "additionalInfoFields",
    "footerFields",
)
_IMAGES_ALWAYS = frozenset({"icon", "logo"})
_IMAGES_OF_STYLE = {
    "boardingPass": {"footer", "primaryLogo"},
    "coupon": {"strip"},
    "eventTicket": {"strip", "thumbnail", "background", "primaryLogo", "secondaryLogo", "artwork"},
    "generic": {"thumbnail"},
    "storeCard": {"strip"},
    "posterGeneric": {"artwork", "primaryLogo"},
}
_IMAGE_NAME = re.compile(r"([A-Za-z]+)(@2x|@3x)?\.png")
_LANGUAGE_FOLDER = re.compile(r"([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)\.lproj/(.*)")
_STRING_LINE = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*=\s*"((?:[^"\\]|\\.)*)"\s*;', re.DOTALL)
_COMMENT = re.compile(r"\s*(?:/\*.*?\*/|//[^\n]*)", re.DOTALL)
_COLOUR = re.compile(r"rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)")
_ZONED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")
_BARCODE_FORMATS = frozenset(
    "PKBarcodeFormat" + name
    for name in ("QR", "PDF417", "Aztec", "Code128", "Code39", "Codabar", "EAN13", "I2of5")
)
_ALIGNMENTS = frozenset("PKTextAlignment" + name for name in ("Left", "Center", "Right", "Natural"))
_NUMBER_STYLES = frozenset(
    "PKNumberStyle" + name for name in ("Decimal", "Percent", "Scientific", "SpellOut")
)
_DATE_STYLES = frozenset("PKDateStyle" + name for name in ("None", "Short", "Medium", "Long", "Full"))

_TEXT_KEYS = ("description", "organizationName", "passTypeIdentifier", "serialNumber", "teamIdentifier")
# Keys of a pass that is no ticket; a misspelt one is ignored by the phone, so it is remarked upon.
# fmt: off
_KNOWN_KEYS = frozenset(
    {
        "formatVersion", "logoText", "foregroundColor", "backgroundColor", "labelColor", "stripColor",
        "suppressStripShine", "barcodes", "webServiceURL", "authenticationToken", "locations", "maxDistance",
        "beacons", "relevantDate", "relevantDates", "expirationDate", "voided", "groupingIdentifier",
        "sharingProhibited", "associatedStoreIdentifiers", "appLaunchURL", "userInfo", "nfc", "semantics",
        "featuredActions", "preferredStyleSchemes", "posterGeneric",
    }
).union(_TEXT_KEYS, _STYLES)
_FIELD_KEYS = frozenset(
    {
        "key", "value", "label", "changeMessage", "textAlignment", "attributedValue", "dataDetectorTypes",
        "dateStyle", "timeStyle", "isRelative", "ignoresTimeZone", "numberStyle", "currencyCode", "semantics",
        "row",
    }
)
# fmt: on


# What a phone looks at before it shows a card, in this order.
STAGES = (
    "The file is an archive of the right files",
    "The manifest lists each file with its digest",
    "The signature covers the manifest, with the time of signing",
    "The certificate leads to a root that this phone trusts",
    "Pass type, team and serial number are there and belong to the certificate",
    "Every field is one that cards have",
    "The barcodes can be drawn",
    "The web service, places and times are as phones use them",
    "The images are pictures of a sensible size",
)


class PassRefused(Exception):
    """The phone does not accept this file; `reason_code` is stable, `sentence` is for people."""

    def __init__(self, reason_code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason_code = reason_code
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the card, as written in pass.json."""

    section: str
    key: str
    value: str | int | float
    label: str
    change_message: str | None
    source: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class InstalledPass:
    """A pass that passed every check.

    `strings` holds the translations by language folder; `remarks` says what a
    phone would silently ignore or drop.
    """

    data: bytes = field(repr=False)
    files: Mapping[str, bytes] = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)
    strings: Mapping[str, Mapping[str, str]] = field(repr=False)
    style: str
    pass_type: str
    serial: str
    team: str
    organisation: str
    web_service_url: str | None
    token: str | None = field(repr=False)
    signed_at: datetime
    fields: tuple[Field, ...] = field(repr=False)
    remarks: tuple[str, ...] = ()

    @property
    def voided(self) -> bool:
        """True if the shop stopped this card."""
        return bool(self.document.get("voided", False))

    def translate(self, text: str, language: str) -> str:
        """A localisable text of the pass in the phone's language, as Wallet looks it up.

        The base folder is the fallback of a region; English the one of an unknown language.
        """
        for folder in (language, language.partition("-")[0], "en"):
            if folder in self.strings:
                return self.strings[folder].get(text, text)
        return text

    def section(self, name: str) -> tuple[Field, ...]:
        """The fields of one section, in the order of the file."""
        return tuple(one for one in self.fields if one.section == name)

    def image(self, name: str, language: str = "en") -> bytes | None:
        """The best image of this name: two pixels a point first, then three, then one."""
        folders = ("", f"{language}.lproj/", f"{language.partition('-')[0]}.lproj/", "en.lproj/")
        for folder in folders:
            for scale in ("@2x", "@3x", ""):
                if found := self.files.get(f"{folder}{name}{scale}.png"):
                    return found
        return None


def open_pass(
    data: bytes,
    *,
    trust_roots: Sequence[bytes],
    now: datetime,
    expected: tuple[str, str] | None = None,
    allow_http: bool = False,
    passed: Callable[[str], None] = lambda stage: None,
) -> InstalledPass:
    """Check a `.pkpass` from its first byte to its last field.

    `trust_roots` are PEM certificates; `expected` is (pass type, serial) when
    the file answers a request for that very pass; `allow_http` is the
    developer switch "Allow HTTP Services"; `passed` hears of each of `STAGES`
    that is behind it. Raises `PassRefused`.
    """
    stages = iter(STAGES)
    files = _unpack(data)
    passed(next(stages))
    _check_manifest(files)
    passed(next(stages))
    signature = _signature(files["signature"], files["manifest.json"])
    passed(next(stages))
    leaf = _check_chain(signature, trust_roots)
    if signature.signing_time > now + _CLOCK_TOLERANCE:
        _refuse("signed_in_the_future", f"The signature is dated {signature.signing_time}, still to come.")
    passed(next(stages))
    document = _json_object(files["pass.json"], "pass.json", "document_json")
    _check_top(document)
    _check_identity(leaf, document)
    if expected is not None and expected != (document["passTypeIdentifier"], document["serialNumber"]):
        _refuse("another_pass", f"Asked for {expected[1]!r}, got {document['serialNumber']!r}.")
    passed(next(stages))
    style = _style(document)
    remarks = _remarks(document, style, files)
    fields = _fields(document, style)
    passed(next(stages))
    _check_barcodes(document)
    passed(next(stages))
    _check_web_service(document, allow_http=allow_http)
    _check_relevance(document, style)
    passed(next(stages))
    _check_images(files, document, style)
    passed(next(stages))
    return InstalledPass(
        data=data,
        files=files,
        document=document,
        strings=_strings(files),
        style=style,
        pass_type=document["passTypeIdentifier"],
        serial=document["serialNumber"],
        team=document["teamIdentifier"],
        organisation=document["organizationName"],
        web_service_url=document.get("webServiceURL"),
        token=document.get("authenticationToken"),
        signed_at=signature.signing_time,
        fields=fields,
        remarks=tuple(remarks),
    )


def _refuse(reason_code: str, sentence: str) -> NoReturn:
    raise PassRefused(reason_code, sentence)


# --- the archive ------------------------------------------------------------


_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    # What zipfile lets through when offsets and sizes are nonsense.
    ValueError,
    OverflowError,
    OSError,
    struct.error,
)


def _unpack(data: bytes) -> dict[str, bytes]:
    if not data.startswith(b"PK\x03\x04"):
        _refuse("not_a_zip", "The file does not begin like a zip archive.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _entries(archive)
    except _UNREADABLE as error:
        raise PassRefused("broken_zip", f"The archive cannot be read: {error}.") from error


def _entries(archive: zipfile.ZipFile) -> dict[str, bytes]:
    entries = archive.infolist()
    if len(entries) > _ENTRIES_MAX or sum(entry.file_size for entry in entries) > _TOTAL_BYTES_MAX:
        _refuse("too_large", "The pass is larger than a phone would take.")
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        _refuse("duplicate_entry", "A file occurs twice in the archive.")
    if "pass.json" not in names and any(name.endswith("/pass.json") for name in names):
        _refuse("not_at_root", "The files lie in a folder; they belong to the root of the archive.")
    files: dict[str, bytes] = {}
    for entry in entries:
        if entry.flag_bits & 0x1:
            _refuse("encrypted", f"{entry.filename} is encrypted.")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            _refuse("compression", f"{entry.filename} is packed in a way that phones do not know.")
        if entry.is_dir():
            if not _LANGUAGE_FOLDER.fullmatch(entry.filename):
                _refuse("unexpected_file", f"The folder {entry.filename} does not belong into a pass.")
            continue
        if not _belongs(entry.filename):
            _refuse("unexpected_file", f"{entry.filename} does not belong into a pass.")
        files[entry.filename] = archive.read(entry)
    for name in ("pass.json", "manifest.json", "signature", "icon.png"):
        if name not in files:
            _refuse("missing_file", f"{name} is missing.")
    return files


def _belongs(name: str) -> bool:
    folder = _LANGUAGE_FOLDER.fullmatch(name)
    inner = folder[2] if folder else name
    if folder and inner == "pass.strings":
        return True
    if not folder and inner in ("pass.json", "manifest.json", "signature", "personalization.json"):
        return True
    image = _IMAGE_NAME.fullmatch(inner)
    known = _IMAGES_ALWAYS.union({"personalizationLogo"}, *_IMAGES_OF_STYLE.values())
    return image is not None and image[1] in known


def _check_manifest(files: Mapping[str, bytes]) -> None:
    manifest = _json_object(files["manifest.json"], "manifest.json", "manifest_json")
    listed, present = set(manifest), set(files) - {"manifest.json", "signature"}
    if listed != present:
        difference = ", ".join(sorted(listed ^ present))
        _refuse("manifest_entries", f"The manifest and the archive do not name the same files: {difference}.")
    for name, value in manifest.items():
        expected = hashlib.sha1(files[name], usedforsecurity=False).hexdigest()
        if value != expected:
            _refuse("manifest_hash", f"{name} is not the file that was signed: its SHA-1 differs.")


def _json_object(data: bytes, name: str, reason_code: str) -> dict[str, Any]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            _refuse(reason_code, f"{name} names a key twice.")
        return found

    def constant(text: str) -> NoReturn:
        _refuse(reason_code, f"{name} holds {text}, which is not JSON.")

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise PassRefused(reason_code, f"{name} is not JSON in UTF-8: {error}.") from error
    if not isinstance(value, dict):
        _refuse(reason_code, f"{name} is not a JSON object.")
    return value


# --- the signature ----------------------------------------------------------


def _signature(data: bytes, manifest: bytes) -> cms.Signature:
    try:
        signature = cms.read_signature(data)
    except cms.MissingAttribute as error:
        code = "signature_" + error.name.replace("-", "_")
        raise PassRefused(code, f"In the signature, {error.name} is missing.") from error
    except (cms.NotDer, IndexError) as error:
        raise PassRefused("signature_unreadable", f"The signature cannot be read: {error}.") from error
    if not signature.detached:
        _refuse("signature_not_detached", "The signature carries the manifest inside; it must be detached.")
    if signature.signer_count != 1:
        _refuse("signature_signers", f"{signature.signer_count} signers signed; a pass has one.")
    if signature.digest_name != "sha256":
        _refuse("signature_digest", "The signature's digest is not SHA-256.")
    if not signature.attributes_sorted:
        _refuse("signature_unreadable", "The signed attributes are not in DER order.")
    if signature.message_digest != cms.digest("sha256", manifest):
        _refuse("signature_message_digest", "The signature was made for another manifest.")
    return signature


def _check_chain(signature: cms.Signature, trust_roots: Sequence[bytes]) -> x509.Certificate:
    if len(signature.certificates) != 2:
        _refuse(
            "signature_certificates",
            f"{len(signature.certificates)} certificates are embedded; it needs the pass's and its issuer's.",
        )
    try:
        certificates = [x509.load_der_x509_certificate(one) for one in signature.certificates]
        leaves = [
            one
            for one in certificates
            if one.issuer.public_bytes() == signature.issuer and one.serial_number == signature.serial_number
        ]
        keys = [one.public_key() for one in leaves]
    except _UNUSABLE as error:
        raise PassRefused(
            "signature_certificates", f"An embedded certificate cannot be read: {error}."
        ) from error
    if len(leaves) != 1:
        _refuse("signature_certificates", "The signer's own certificate is not among those embedded.")
    leaf = leaves[0]
    intermediate = next(one for one in certificates if one is not leaf)
    _check_value(keys[0], signature)
    if not _issued(leaf, intermediate) or not _may_issue(intermediate):
        _refuse("chain", "The pass's certificate was not issued by the embedded intermediate.")
    roots = [x509.load_pem_x509_certificate(pem) for pem in trust_roots]
    if not any(_issued(intermediate, root) and _may_issue(root) for root in roots):
        _refuse("chain_untrusted", "The chain of certificates does not end at a root this phone trusts.")
    for one in (leaf, intermediate):
        if not one.not_valid_before_utc <= signature.signing_time <= one.not_valid_after_utc:
            _refuse("signed_outside_validity", "The pass was signed when its certificate was not valid.")
    return leaf


def _check_value(key: object, signature: cms.Signature) -> None:
    try:
        if isinstance(key, rsa.RSAPublicKey) and signature.algorithm in _RSA:
            key.verify(signature.value, signature.signed_bytes, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey) and signature.algorithm == _ECDSA_SHA256:
            key.verify(signature.value, signature.signed_bytes, ec.ECDSA(hashes.SHA256()))
        else:
            _refuse("signature_value", "The kind of signature does not fit the certificate's key.")
    except InvalidSignature as error:
        raise PassRefused("signature_value", "The signature is not the certificate's.") from error


_RSA = ("1.2.840.113549.1.1.1", "1.2.840.113549.1.1.11")
_ECDSA_SHA256 = "1.2.840.10045.4.3.2"


# What damaged certificates raise when one looks into them.
_UNUSABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*_UNUSABLE, InvalidSignature):
        return False
    return True


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (*_UNUSABLE, x509.ExtensionNotFound):
        return False


def _check_identity(leaf: x509.Certificate, document: Mapping[str, Any]) -> None:
    pass_type, team = document["passTypeIdentifier"], document["teamIdentifier"]
    if _subject(leaf, NameOID.USER_ID) != pass_type:
        _refuse("another_pass_type", f"The certificate is not for {pass_type}.")
    if _subject(leaf, NameOID.ORGANIZATIONAL_UNIT_NAME) != team:
        _refuse("another_team", f"The certificate does not belong to team {team}.")
    try:
        extension = leaf.extensions.get_extension_for_oid(PASS_TYPE_EXTENSION).value
        assert isinstance(extension, x509.UnrecognizedExtension)
        element = cms.only(extension.value, "pass type extension")
        text = element.content.decode("utf-8") if element.tag in (0x0C, 0x16) else None
    except (*_UNUSABLE, x509.ExtensionNotFound):
        text = None
    if text != pass_type:
        _refuse("certificate_extension", "Apple's extension in the certificate does not name the pass type.")


def _subject(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str | None:
    found = certificate.subject.get_attributes_for_oid(oid)
    return str(found[0].value) if len(found) == 1 else None


# --- pass.json --------------------------------------------------------------


def _check_top(document: Mapping[str, Any]) -> None:
    # True == 1 in Python; JSON's true is still not the number 1.
    if document.get("formatVersion") != 1 or type(document["formatVersion"]) is not int:
        _refuse("format_version", "formatVersion is not the number 1.")
    for key in _TEXT_KEYS:
        if not isinstance(document.get(key), str) or not document[key]:
            _refuse("required_key", f"{key} is missing or is not a text.")
    if not document["passTypeIdentifier"].startswith("pass."):
        _refuse("pass_type", 'passTypeIdentifier does not begin with "pass.".')
    if not re.fullmatch(r"[A-Z0-9]{10}", document["teamIdentifier"]):
        _refuse("team", "teamIdentifier is not ten capital letters and digits.")
    if "/" in document["serialNumber"]:
        _refuse("serial_number", "A serial number with a slash cannot be asked for.")
    for key in ("logoText", "groupingIdentifier", "appLaunchURL"):
        if not isinstance(document.get(key, ""), str):
            _refuse("type", f"{key} is not a text.")
    for key in ("voided", "sharingProhibited", "suppressStripShine"):
        if not isinstance(document.get(key, False), bool):
            _refuse("type", f"{key} is neither true nor false.")
    for key in ("foregroundColor", "backgroundColor", "labelColor", "stripColor"):
        if key in document:
            colour_of(document[key], key)
    if "expirationDate" in document and not is_zoned(document["expirationDate"]):
        _refuse("date", "expirationDate is not a date and time with its zone.")
    if "appLaunchURL" in document and not document.get("associatedStoreIdentifiers"):
        _refuse("app_launch", "appLaunchURL needs associatedStoreIdentifiers.")


def colour_of(value: object, key: str) -> tuple[int, int, int]:
    """The three parts of `rgb(r, g, b)`, the only form Apple documents."""
    match = _COLOUR.fullmatch(value) if isinstance(value, str) else None
    parts = tuple(int(part) for part in match.groups()) if match else ()
    if len(parts) != 3 or max(parts) > 255:
        _refuse("colour", f"{key} is not of the form rgb(r, g, b).")
    return parts[0], parts[1], parts[2]


def is_zoned(value: object) -> bool:
    """True for an ISO 8601 date and time that carries its zone."""
    return isinstance(value, str) and bool(_ZONED.fullmatch(value))


def _style(document: Mapping[str, Any]) -> str:
    found = [style for style in _STYLES if style in document]
    if len(found) > 1:
        _refuse("style", "The pass has more than one style.")
    if not found:
        _refuse("style", "The pass has no style that this phone knows.")
    if not isinstance(document[found[0]], dict):
        _refuse("style", f"{found[0]} is not an object.")
    return found[0]


def _fields(document: Mapping[str, Any], style: str) -> tuple[Field, ...]:
    fields: list[Field] = []
    for section in _SECTIONS:
        entries = document[style].get(section, [])
        if not isinstance(entries, list):
            _refuse("type", f"{section} is not a list.")
        fields.extend(_field(section, entry) for entry in entries)
    keys = [one.key for one in fields]
    if len(set(keys)) != len(keys):
        _refuse("field_key", "Two fields have the same key, so changes cannot be matched.")
    return tuple(fields)


def _field(section: str, entry: object) -> Field:
    if not isinstance(entry, dict):
        _refuse("type", f"An entry of {section} is not an object.")
    key, value = entry.get("key"), entry.get("value")
    if not isinstance(key, str) or not key:
        _refuse("field_key", f"A field in {section} has no key.")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        _refuse("field_value", f"The value of {key} is neither text nor number.")
    for name in ("label", "changeMessage"):
        if not isinstance(entry.get(name, ""), str):
            _refuse("type", f"{name} of {key} is not a text.")
    if "changeMessage" in entry and "%@" not in entry["changeMessage"]:
        _refuse("change_message", f"The changeMessage of {key} has no %@, so its text would never be shown.")
    for name, allowed in (
        ("numberStyle", _NUMBER_STYLES),
        ("dateStyle", _DATE_STYLES),
        ("timeStyle", _DATE_STYLES),
        ("textAlignment", _ALIGNMENTS),
    ):
        if name in entry and entry[name] not in allowed:
            _refuse("field_format", f"{entry[name]!r} is no {name}.")
    if ("numberStyle" in entry or "currencyCode" in entry) and isinstance(value, str):
        _refuse("field_number", f"{key} is formatted as a number but its value is a text.")
    if "numberStyle" in entry and "currencyCode" in entry:
        _refuse("field_format", f"{key} has both numberStyle and currencyCode.")
    if ("dateStyle" in entry or "timeStyle" in entry) and not is_zoned(value):
        _refuse("date", f"{key} is formatted as a date but its value is no date with a zone.")
    if "textAlignment" in entry and section in ("primaryFields", "backFields"):
        _refuse("field_format", f"textAlignment is not allowed in {section}.")
    return Field(section, key, value, entry.get("label", ""), entry.get("changeMessage"), entry)


def _check_barcodes(document: Mapping[str, Any]) -> None:
    barcodes = document.get("barcodes", [])
    if not isinstance(barcodes, list):
        _refuse("barcodes", "barcodes is not a list.")
    if "barcode" in document:
        _refuse("barcodes", "barcode was replaced by barcodes in iOS 9.")
    for one in barcodes:
        if not isinstance(one, dict) or one.get("format") not in _BARCODE_FORMATS:
            _refuse("barcodes", "A barcode has no format that Wallet knows.")
        if not isinstance(one.get("message"), str) or not one["message"]:
            _refuse("barcodes", "A barcode has no message.")
        if not isinstance(one.get("altText", ""), str):
            _refuse("barcodes", "altText is not a text.")
        try:
            one["message"].encode(one["messageEncoding"])
        except (KeyError, TypeError, LookupError, UnicodeEncodeError) as error:
            raise PassRefused("barcodes", "A barcode's message does not fit its messageEncoding.") from error


def _check_web_service(document: Mapping[str, Any], *, allow_http: bool) -> None:
    if ("webServiceURL" in document) != ("authenticationToken" in document):
        _refuse("web_service", "webServiceURL and authenticationToken belong together.")
    if "webServiceURL" not in document:
        return
    address, token = document["webServiceURL"], document["authenticationToken"]
    if not isinstance(token, str) or len(token) < 16:
        _refuse("token", "authenticationToken is shorter than 16 characters.")
    if not isinstance(address, str):
        _refuse("web_service", "webServiceURL is not a text.")
    parts = urlsplit(address)
    if parts.scheme != "https" and not (allow_http and parts.scheme == "http"):
        _refuse("web_service_http", "webServiceURL is not https, and this phone's developer switch is off.")
    if not parts.hostname or parts.query or parts.fragment or parts.username is not None:
        _refuse("web_service", "webServiceURL is not a plain address.")
    if re.search(r"/v1/?$", parts.path):
        _refuse("web_service", "webServiceURL ends in /v1, which the phone appends itself.")


def _check_relevance(document: Mapping[str, Any], style: str) -> None:
    locations, beacons = document.get("locations", []), document.get("beacons", [])
    if not isinstance(locations, list) or len(locations) > 10:
        _refuse("locations", "There are more than ten locations.")
    for one in locations:
        place = one if isinstance(one, dict) else {}
        if not _within(place.get("latitude"), 90) or not _within(place.get("longitude"), 180):
            _refuse("locations", "A location is not a latitude and a longitude, as numbers.")
    if not isinstance(beacons, list) or not all(isinstance(one, dict) for one in beacons):
        _refuse("beacons", "beacons is not a list of objects.")
    if len({one.get("proximityUUID") for one in beacons}) > 10:
        _refuse("beacons", "There are more than ten different beacons.")
    for one in beacons:
        if not isinstance(one.get("proximityUUID"), str):
            _refuse("beacons", "A beacon has no proximityUUID.")
        numbers = [one.get(name, 0) for name in ("major", "minor")]
        if not all(type(number) is int and 0 <= number <= 65535 for number in numbers):
            _refuse("beacons", "A beacon's major or minor is not between 0 and 65535.")
    if style in ("storeCard", "coupon"):
        for key in ("relevantDate", "relevantDates", "groupingIdentifier"):
            if key in document:
                _refuse("not_for_style", f"{key} is not for the style {style}.")


def _within(value: object, limit: int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -limit <= value <= limit


def _check_images(files: Mapping[str, bytes], document: Mapping[str, Any], style: str) -> None:
    allowed = _IMAGES_ALWAYS | _IMAGES_OF_STYLE[style]
    if "posterGeneric" in document:
        allowed = allowed | _IMAGES_OF_STYLE["posterGeneric"]
    for path, data in files.items():
        if not path.endswith(".png"):
            continue
        image = _IMAGE_NAME.fullmatch(path.rpartition("/")[2])
        if image is None or (image[1] not in allowed and image[1] != "personalizationLogo"):
            _refuse("image_for_style", f"{path} is not an image of a {style}.")
        if not data.startswith(b"\x89PNG\r\n\x1a\n") or data[12:16] != b"IHDR":
            _refuse("image_not_png", f"{path} is not a PNG image.")


def _remarks(document: Mapping[str, Any], style: str, files: Mapping[str, bytes]) -> list[str]:
    remarks = [f"Wallet does not know the key {key!r}." for key in sorted(set(document) - _KNOWN_KEYS)]
    remarks += [f"{key} is null; leave it out." for key, value in document.items() if value is None]
    sections = {name: document[style].get(name, []) for name in _SECTIONS}
    for entries in sections.values():
        for entry in entries if isinstance(entries, list) else ():
            unknown = sorted(set(entry) - _FIELD_KEYS) if isinstance(entry, dict) else []
            remarks += [f"Wallet does not know the field key {key!r}." for key in unknown]
    row = len(sections["secondaryFields"]) + len(sections["auxiliaryFields"])
    for count, limit, where in (
        (len(sections["headerFields"]), 3, "beside the logo"),
        (len(sections["primaryFields"]), 1, "on the strip"),
        (row, 4, "in the row below the strip"),
    ):
        if style == "storeCard" and count > limit:
            remarks.append(f"Only {limit} of {count} fields are shown {where}.")
    for path in files:
        folder = _LANGUAGE_FOLDER.fullmatch(path)
        if folder and folder[2].endswith(".png") and folder[2] in files:
            remarks.append(f"{folder[2]} at the top level hides its translation in {folder[1]}.lproj.")
    return remarks


# --- translations -----------------------------------------------------------


def _strings(files: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for path, data in files.items():
        folder = _LANGUAGE_FOLDER.fullmatch(path)
        if folder and folder[2] == "pass.strings":
            found[folder[1]] = _parse_strings(path, data)
    return found


def _parse_strings(path: str, data: bytes) -> dict[str, str]:
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    if not marked and not data.isascii():
        # Apple asks for UTF-16 as soon as a text leaves ASCII.
        _refuse("strings", f"{path} is neither ASCII nor UTF-16 with its mark.")
    try:
        text = data.decode("utf-16" if marked else "ascii")
    except UnicodeDecodeError as error:
        raise PassRefused("strings", f"{path} cannot be read: {error}.") from error
    found: dict[str, str] = {}
    offset = 0
    while text[offset:].strip():
        if comment := _COMMENT.match(text, offset):
            offset = comment.end()
            continue
        line = _STRING_LINE.match(text, offset)
        if line is None:
            _refuse("strings", f'{path} is not made of lines like "key" = "text";')
        found[_unescape(line[1])] = _unescape(line[2])
        offset = line.end()
    return found


def _unescape(text: str) -> str:
    named = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda match: named.get(match[1], match[1]), text, flags=re.DOTALL)
