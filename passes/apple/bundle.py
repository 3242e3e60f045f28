"""Files -> manifest -> signed archive.

The pictures of a design are the same for every card, so everything that can be
known about them is worked out once: their zip entries with headers and
checksums, the zip directory, and their hashes as the beginning of the
manifest. A card then adds three small files behind them. Entries are stored,
not deflated: the pictures are compressed already, and time stamps are constant,
so that the same card gives the same bytes but for the signing time.

Formats: Apple's "Building a Pass", and PKWARE's APPNOTE for the zip structures.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

PASS, MANIFEST, SIGNATURE = "pass.json", "manifest.json", "signature"

PICTURE = re.compile(
    r"(?:(?P<folder>[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*\.lproj)/)?"
    r"(?P<image>[a-zA-Z]+)(?:@(?P<scale>[23])x)?\.png"
)
STRINGS = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*\.lproj/pass\.strings")
SCALES = (1, 2, 3)

# Points: smallest and largest width and height. What a store card may show, and
# nothing else: phones ignore or misplace thumbnail, background and footer.
BOUNDS_POINTS: Mapping[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "icon": ((29, 38), (29, 38)),
    "logo": ((1, 160), (1, 50)),
    "strip": ((375, 375), (98, 144)),
}

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PICTURE_BYTES_MAX = 1_000_000


class ArtProblem(Exception):
    """The pictures of a design cannot be used; `sentence` names the file and what is wrong."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)


class Signs(Protocol):
    """What building needs of a signer."""

    def sign(self, manifest: bytes, *, now: datetime) -> bytes:
        """The detached signature over the manifest's bytes."""
        ...


# Zip --------------------------------------------------------------------------

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")

VERSION = 20
# Bit 11: names are UTF-8. They are ASCII, for which both readings agree; no bit is needed.
FLAGS = 0
STORED = 0
# 1 January 1980, the first moment a zip can name.
MIDNIGHT, FIRST_DAY = 0, 0x0021
MADE_ON_UNIX = 3 << 8 | VERSION
READABLE_FILE = 0o100644 << 16


def _local(name: bytes, checksum: int, size: int) -> bytes:
    return (
        LOCAL.pack(
            b"PK\x03\x04", VERSION, FLAGS, STORED, MIDNIGHT, FIRST_DAY, checksum, size, size, len(name), 0
        )
        + name
    )


def _central(name: bytes, checksum: int, size: int, offset: int) -> bytes:
    return CENTRAL.pack(
        b"PK\x01\x02", MADE_ON_UNIX, VERSION, FLAGS, STORED, MIDNIGHT, FIRST_DAY, checksum, size, size,
        len(name), 0, 0, 0, 0, READABLE_FILE, offset,
    ) + name  # fmt: skip


# Template and card --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bundle:
    """One signed card, as pieces to be written one after the other.

    A server that can write several buffers saves copying the pictures; for
    everybody else `bytes(bundle)` is the `.pkpass` file. `size` is its length
    in bytes.
    """

    buffers: Sequence[bytes]
    size: int

    def __bytes__(self) -> bytes:
        return b"".join(self.buffers)


class Template:
    """The pictures of one design, checked and laid out.

    `art` maps archive names (`icon@2x.png`, `de.lproj/logo.png`,
    `de.lproj/pass.strings`) to file contents. Raises ArtProblem when a picture is missing, is no PNG, has the
    wrong size, or does not belong on a store card. Immutable; shared between threads.
    """

    __slots__ = ("_count", "_directory", "_entries", "_entries_size", "_manifest_head")

    def __init__(self, art: Mapping[str, bytes]) -> None:
        _check(art)
        entries: list[bytes] = []
        directory: list[bytes] = []
        hashes: list[str] = []
        offset = 0
        for name in sorted(art):
            data = art[name]
            checksum = zlib.crc32(data)
            header = _local(name.encode("ascii"), checksum, len(data))
            directory.append(_central(name.encode("ascii"), checksum, len(data), offset))
            entries += (header, data)
            offset += len(header) + len(data)
            hashes.append(f'"{name}":"{_sha1(data)}",')
        self._entries = b"".join(entries)
        self._entries_size = offset
        self._directory = b"".join(directory)
        self._count = len(art)
        self._manifest_head = ("{" + "".join(hashes) + f'"{PASS}":"').encode("ascii")

    @property
    def size(self) -> int:
        """Bytes that the pictures take in each card."""
        return self._entries_size + len(self._directory)


def build(template: Template, pass_json: bytes, signer: Signs, *, now: datetime) -> Bundle:
    """Sign the document with the pictures of the template and lay out the archive.

    The very bytes of `pass_json` are hashed and stored. Raises what the signer
    raises; nothing is produced then.
    """
    manifest = b'%b%b"}' % (template._manifest_head, _sha1(pass_json).encode("ascii"))
    signature = signer.sign(manifest, now=now)
    buffers = [template._entries]
    directory = [template._directory]
    offset = template._entries_size
    for name, data in ((b"pass.json", pass_json), (b"manifest.json", manifest), (b"signature", signature)):
        checksum, size = zlib.crc32(data), len(data)
        header = _local(name, checksum, size)
        directory.append(_central(name, checksum, size, offset))
        buffers += (header, data)
        offset += len(header) + size
    listing = b"".join(directory)
    count = template._count + 3
    end = END.pack(b"PK\x05\x06", 0, 0, count, count, len(listing), offset, 0)
    buffers += (listing, end)
    return Bundle(buffers, offset + len(listing) + len(end))


def _sha1(data: bytes) -> str:
    # Apple's manifest is defined with SHA-1; it names files, the signature protects it.
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


# Checks -----------------------------------------------------------------------


def _check(art: Mapping[str, bytes]) -> None:
    sizes: dict[tuple[str, str], dict[int, tuple[int, int]]] = {}
    for name, data in art.items():
        if STRINGS.fullmatch(name):
            _check_strings(name, data)
            continue
        match = PICTURE.fullmatch(name)
        if match is None:
            raise ArtProblem(f"{name} does not belong in a pass.")
        if match["image"] not in BOUNDS_POINTS:
            raise ArtProblem(f"{name}: a store card shows icon, logo and strip only.")
        place = (match["folder"] or "", match["image"])
        sizes.setdefault(place, {})[int(match["scale"] or 1)] = _png_size(name, data)

    if ("", "icon") not in sizes:
        raise ArtProblem("icon.png is missing: no phone takes a pass without it.")
    for (folder, image), found in sizes.items():
        title = f"{folder}/{image}" if folder else image
        if folder and ("", image) in sizes:
            raise ArtProblem(f"{title}.png would never be seen: {image}.png at top level overrides it.")
        suffixes = {1: "", 2: "@2x", 3: "@3x"}
        missing = [f"{title}{suffixes[scale]}.png" for scale in SCALES if scale not in found]
        if missing:
            raise ArtProblem(f"{missing[0]} is missing: give {title} in all three sizes.")
        width, height = found[1]
        (width_min, width_max), (height_min, height_max) = BOUNDS_POINTS[image]
        if not (width_min <= width <= width_max and height_min <= height <= height_max):
            raise ArtProblem(
                f"{title}.png is {width}×{height} pixels; allowed are "
                f"{width_min}–{width_max} × {height_min}–{height_max}."
            )
        for scale in SCALES[1:]:
            if found[scale] != (width * scale, height * scale):
                actual = "×".join(map(str, found[scale]))
                raise ArtProblem(
                    f"{title}@{scale}x.png is {actual} pixels; it must be {scale} times {title}.png: "
                    f"{width * scale}×{height * scale}."
                )


def _check_strings(name: str, data: bytes) -> None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or data.isascii():
        return
    raise ArtProblem(f"{name} has letters outside ASCII and must therefore be UTF-16 with a byte order mark.")


def _png_size(name: str, data: bytes) -> tuple[int, int]:
    """Width and height in pixels of a PNG whose every chunk is whole (PNG 3rd edition, 5)."""
    if not data.startswith(PNG_SIGNATURE):
        raise ArtProblem(f"{name} is no PNG picture.")
    if len(data) > PICTURE_BYTES_MAX:
        raise ArtProblem(f"{name} is too large: {len(data)} bytes, at most {PICTURE_BYTES_MAX}.")
    size: tuple[int, int] | None = None
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        body = data[position + 4 : position + 8 + length]
        checksum = data[position + 8 + length : position + 12 + length]
        if zlib.crc32(body).to_bytes(4, "big") != checksum:
            break
        position += 12 + length
        if size is None:
            if kind != b"IHDR" or length != 13:
                break
            size = struct.unpack(">2L", body[4:12])
        elif kind == b"IEND" and position == len(data):
            return size
    raise ArtProblem(f"{name} is a damaged PNG picture.")
