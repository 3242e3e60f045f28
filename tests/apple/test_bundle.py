"""The archive: what is in it, and that it is refused rather than wrong."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from PIL import Image

from passes.apple import bundle
from passes.apple.bundle import ArtProblem, Template, build
from passes.emulators import wallet_file
from tests.apple.cards import NOW, PASS_TYPE, SERIAL, art, chain, face, finished, pass_json, signer, template


def entries(data: bytes) -> dict[str, bytes]:
    """All files of an archive by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def opened(data: bytes) -> wallet_file.InstalledPass:
    """The pass as the strict phone sees it."""
    return wallet_file.open_pass(
        data, trust_roots=[chain()["root.pem"]], now=NOW, expected=(PASS_TYPE, SERIAL)
    )


def png(width: int, height: int) -> bytes:
    """A picture of that size."""
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()


def pictures(name: str, width: int, height: int, folder: str = "") -> dict[str, bytes]:
    """A picture in three sizes."""
    sizes = {1: "", 2: "@2x", 3: "@3x"}
    return {f"{folder}{name}{at}.png": png(width * scale, height * scale) for scale, at in sizes.items()}


ICON = pictures("icon", 38, 38)


@pytest.mark.check("A-01")
def test_a_pass_is_a_zip_with_its_files_at_the_root() -> None:
    data = finished()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert {"pass.json", "manifest.json", "signature", "icon.png"} <= set(names)
    assert not any("/" in name for name in names)


@pytest.mark.check("A-02", "A-13")
def test_a_pass_holds_the_known_files_once_and_no_others() -> None:
    with zipfile.ZipFile(io.BytesIO(finished())) as archive:
        names = archive.namelist()
    expected = {"pass.json", "manifest.json", "signature"}
    expected |= {f"{image}{at}.png" for image in ("icon", "logo", "strip") for at in ("", "@2x", "@3x")}
    assert sorted(names) == sorted(expected)


@pytest.mark.check("A-03", "A-04")
def test_the_manifest_names_every_file_by_its_full_path_with_its_sha1() -> None:
    strings = '"Points" = "Puanlar";'.encode("utf-16")
    localised = pictures("logo", 50, 50, "tr.lproj/") | {"tr.lproj/pass.strings": strings}
    files = entries(bytes(build(Template(ICON | localised), pass_json(), signer(), now=NOW)))
    manifest = json.loads(files["manifest.json"])
    assert set(manifest) == set(files) - {"manifest.json", "signature"}
    assert "tr.lproj/logo@2x.png" in manifest
    assert files["tr.lproj/pass.strings"] == strings
    for name, value in manifest.items():
        assert value == hashlib.sha1(files[name]).hexdigest()


def test_the_document_in_the_archive_is_byte_for_byte_the_given_one() -> None:
    assert entries(finished())["pass.json"] == pass_json()


@pytest.mark.check("A-09", "A-10")
@pytest.mark.parametrize("changed", ["pass.json", "icon.png", "strip@3x.png", "manifest.json", "signature"])
def test_one_changed_byte_anywhere_is_noticed(changed: str) -> None:
    opened(finished())
    files = entries(finished())
    position = len(files[changed]) - 20
    files[changed] = (
        files[changed][:position] + bytes([files[changed][position] ^ 1]) + files[changed][position + 1 :]
    )
    rebuilt = io.BytesIO()
    with zipfile.ZipFile(rebuilt, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with pytest.raises(wallet_file.PassRefused):
        opened(rebuilt.getvalue())


@pytest.mark.check("A-55")
def test_voided_and_expired_cards_still_verify() -> None:
    voided = opened(finished(face(voided=True, change=None), web_service=None))
    assert voided.document["voided"] is True
    assert voided.web_service_url is None
    expired = opened(finished(face(expires_at=NOW - timedelta(days=1))))
    assert expired.document["expirationDate"] == "2026-03-13T10:00:00+00:00"


def test_the_strict_phone_has_no_remarks() -> None:
    assert opened(finished()).remarks == ()


def test_the_buffers_are_the_file_and_the_size_is_its_length() -> None:
    made = build(template(), pass_json(), signer(), now=NOW)
    assert b"".join(made.buffers) == bytes(made)
    assert made.size == len(bytes(made))


def test_the_same_card_at_the_same_moment_gives_the_same_file() -> None:
    assert finished() == finished()
    with zipfile.ZipFile(io.BytesIO(finished())) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


@pytest.mark.check("A-18")
def test_a_card_stays_below_its_budget() -> None:
    assert len(finished()) < 300_000


@pytest.mark.check("A-19")
def test_a_hundred_passes_signed_at_once_are_all_valid_and_distinct() -> None:
    def made(number: int) -> bytes:
        document = pass_json(serial=f"card-{number}")
        return bytes(build(template(), document, signer(), now=NOW + timedelta(seconds=number)))

    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(made, range(100)))
    for number, data in enumerate(files):
        found = wallet_file.open_pass(
            data,
            trust_roots=[chain()["root.pem"]],
            now=NOW + timedelta(seconds=number),
            expected=(PASS_TYPE, f"card-{number}"),
        )
        assert found.signed_at == NOW + timedelta(seconds=number)
    assert len({entries(data)["signature"] for data in files}) == 100


# Pictures -----------------------------------------------------------------------------


@pytest.mark.check("A-12")
def test_our_own_pictures_exist_in_three_sizes_of_exact_multiples() -> None:
    for image in ("icon", "logo", "strip"):
        sizes = [Image.open(io.BytesIO(art()[f"{image}{at}.png"])).size for at in ("", "@2x", "@3x")]
        width, height = sizes[0]
        assert sizes == [(width, height), (2 * width, 2 * height), (3 * width, 3 * height)]


@pytest.mark.check("A-11")
def test_without_an_icon_there_is_no_pass() -> None:
    with pytest.raises(ArtProblem, match=r"icon\.png is missing"):
        Template(pictures("logo", 50, 50))


@pytest.mark.check("A-11")
@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"GIF89a",
        b"\xff\xd8\xff\xe0 JPEG",
        png(38, 38)[:40],
        png(38, 38)[:-4],
        png(38, 38) + b"x",
        png(38, 38).replace(b"IDAT", b"IDAX"),
        b"\x89PNG\r\n\x1a\n" + struct.pack(">L", 0) + b"IEND" + struct.pack(">L", zlib.crc32(b"IEND")),
    ],
)
def test_what_is_no_whole_png_is_refused(broken: bytes) -> None:
    with pytest.raises(ArtProblem, match=r"icon\.png is"):
        Template(ICON | {"icon.png": broken})


@pytest.mark.check("A-12")
@pytest.mark.parametrize("missing", ["icon@2x.png", "icon@3x.png", "icon.png"])
def test_each_picture_must_come_in_all_three_sizes(missing: str) -> None:
    with pytest.raises(ArtProblem, match=missing):
        Template({name: data for name, data in ICON.items() if name != missing})


@pytest.mark.check("A-12")
@pytest.mark.parametrize(
    "wrong",
    [
        {"icon@2x.png": png(75, 76)},
        {"icon@3x.png": png(114, 113)},
        {"icon.png": png(100, 100)},
        pictures("logo", 161, 50),
        pictures("logo", 50, 51),
        pictures("strip", 320, 123),
    ],
)
def test_pictures_of_other_sizes_are_refused(wrong: dict[str, bytes]) -> None:
    with pytest.raises(ArtProblem, match="pixels"):
        Template(ICON | wrong)


@pytest.mark.check("A-13")
@pytest.mark.parametrize("image", ["thumbnail", "background", "footer", "artwork"])
def test_pictures_of_other_styles_are_refused(image: str) -> None:
    with pytest.raises(ArtProblem, match="icon, logo and strip only"):
        Template(ICON | pictures(image, 38, 38))


@pytest.mark.check("A-02")
@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store", "__MACOSX/icon.png", "icon.png~", "../icon.png", "/icon.png", "pass.json",
        "manifest.json",
        "signature", "icon@4x.png", "icon.jpg", "en/logo.png", "EN.lproj/logo.png", "icon.png\n",
    ],
)  # fmt: skip
def test_files_that_do_not_belong_in_a_pass_are_refused(name: str) -> None:
    with pytest.raises(ArtProblem, match="belong"):
        Template(ICON | {name: png(38, 38)})


@pytest.mark.check("A-14")
def test_a_picture_at_top_level_and_in_a_language_folder_is_refused() -> None:
    logo = pictures("logo", 50, 50)
    Template(ICON | pictures("logo", 50, 50, "tr.lproj/"))
    with pytest.raises(ArtProblem, match="overrides"):
        Template(ICON | logo | pictures("logo", 50, 50, "tr.lproj/"))


@pytest.mark.check("A-15")
def test_strings_outside_ascii_must_be_utf_16() -> None:
    words = '"Points" = "Yapraklar çoğaldı";'
    Template(ICON | {"tr.lproj/pass.strings": words.encode("utf-16")})
    Template(ICON | {"tr.lproj/pass.strings": b'"Points" = "Puan";'})
    with pytest.raises(ArtProblem, match="UTF-16"):
        Template(ICON | {"tr.lproj/pass.strings": words.encode()})


@pytest.mark.check("A-15")
def test_translations_arrive_on_the_phone_letter_for_letter() -> None:
    written = r'"Points" = "çay \"sıcak\" \\ ☕\nğüşiöç 🍁";'
    translated = Template(art() | {"tr.lproj/pass.strings": written.encode("utf-16")})
    read = opened(bytes(build(translated, pass_json(), signer(), now=NOW)))
    assert read.strings == {"tr": {"Points": 'çay "sıcak" \\ ☕\nğüşiöç 🍁'}}


def test_a_huge_picture_is_refused() -> None:
    padding = b"zTXt" + b"x" * bundle.PICTURE_BYTES_MAX
    chunk = struct.pack(">L", len(padding) - 4) + padding + struct.pack(">L", zlib.crc32(padding))
    whole = png(38, 38)
    with pytest.raises(ArtProblem, match="too large"):
        Template(ICON | {"icon.png": whole[:33] + chunk + whole[33:]})
