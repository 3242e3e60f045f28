"""Programs that are not ours read our passes: OpenSSL, unzip, KDE's KPkPass, a Node package.

Outside of CI a missing program skips its tests; in CI it fails them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from passes.apple import signing
from passes.loyalty.card import Barcode, Symbology
from tests.apple.cards import (
    NOW,
    PASS_TYPE,
    SERIAL,
    SERVICE,
    TEAM,
    TOKEN,
    chain,
    face,
    finished,
    intermediate,
    leaf,
)

pytestmark = pytest.mark.witness

SOURCES = Path(__file__).parents[1] / "witness"
BUILT = Path(__file__).parents[1] / "build"


def missing(words: str) -> NoReturn:
    """A witness is not installed."""
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


def run(*command: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program and catch what it says."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **more)


def program(name: str) -> str:
    """Where a program is."""
    return shutil.which(name) or missing(f"{name} is not installed")


@pytest.fixture
def pkpass(tmp_path: Path) -> Path:
    """A finished pass on disk."""
    path = tmp_path / "card.pkpass"
    path.write_bytes(finished())
    return path


# OpenSSL ----------------------------------------------------------------------------------


def openssl_verifies(folder: Path, data: bytes) -> subprocess.CompletedProcess[str]:
    """OpenSSL's verdict on a pass file, at the moment of the tests."""
    folder.mkdir(exist_ok=True)
    path = folder / "card.pkpass"
    path.write_bytes(data)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    (folder / "root.pem").write_bytes(chain()["root.pem"])
    return run(
        program("openssl"), "cms", "-verify", "-binary", "-purpose", "any", "-inform", "DER",
        "-in", folder / "signature", "-content", folder / "manifest.json",
        "-CAfile", folder / "root.pem", "-attime", str(int(NOW.timestamp())), "-out", os.devnull,
    )  # fmt: skip


@pytest.mark.check("A-09", "A-08")
def test_openssl_verifies_the_signature(tmp_path: Path) -> None:
    verdict = openssl_verifies(tmp_path / "good", finished())
    assert verdict.returncode == 0, verdict.stderr


@pytest.mark.check("A-10")
def test_openssl_notices_a_changed_manifest_and_a_changed_signature(tmp_path: Path) -> None:
    for name in ("manifest.json", "signature"):
        verdict = openssl_verifies(tmp_path / name, with_changed_byte(tmp_path, finished(), name))
        assert verdict.returncode != 0


def with_changed_byte(folder: Path, data: bytes, name: str) -> bytes:
    """The archive again, with one byte near the end of a file changed."""
    before, after = folder / "before.zip", folder / "after.zip"
    before.write_bytes(data)
    with zipfile.ZipFile(before) as archive, zipfile.ZipFile(after, "w") as other:
        for entry in archive.namelist():
            content = bytearray(archive.read(entry))
            if entry == name:
                content[-5] ^= 1
            other.writestr(entry, bytes(content))
    return after.read_bytes()


@pytest.mark.check("A-55")
def test_openssl_verifies_a_voided_and_an_expired_card(tmp_path: Path) -> None:
    voided = finished(face(voided=True, change=None), web_service=None)
    expired = finished(face(expires_at=NOW - timedelta(days=1)))
    assert openssl_verifies(tmp_path / "voided", voided).returncode == 0
    assert openssl_verifies(tmp_path / "expired", expired).returncode == 0


@pytest.mark.check("A-06", "A-08", "A-10")
def test_openssl_reads_time_digest_and_two_certificates(tmp_path: Path) -> None:
    openssl_verifies(tmp_path / "good", finished())
    told = run(
        program("openssl"), "cms", "-cmsout", "-print", "-inform", "DER",
        "-in", tmp_path / "good" / "signature",
    ).stdout  # fmt: skip
    assert "UTCTIME:Mar 14 10:00:00 2026 GMT" in told
    assert "algorithm: sha256" in told
    assert told.count("cert_info:") == 2
    assert "eContent: <ABSENT>" in told


@pytest.mark.check("A-124")
def test_the_p12_of_an_old_mac_loads(tmp_path: Path) -> None:
    issuer = intermediate()
    card = leaf(issuer)
    for name, data in (("pass.pem", card.pem), ("pass.key", card.key_pem)):
        (tmp_path / name).write_bytes(data)
    made = run(
        program("openssl"), "pkcs12", "-export", "-legacy", "-in", tmp_path / "pass.pem",
        "-inkey", tmp_path / "pass.key", "-passout", "pass:open sesame", "-out", tmp_path / "pass.p12",
    )  # fmt: skip
    if made.returncode:
        missing("this OpenSSL has no legacy algorithms")
    bag = (tmp_path / "pass.p12").read_bytes()
    ours = signing.load(certificate=bag, intermediate=issuer.der, password=b"open sesame", now=NOW)
    assert (ours.pass_type, ours.team) == (PASS_TYPE, TEAM)


# Archives ---------------------------------------------------------------------------------------


@pytest.mark.check("A-01")
def test_unzip_finds_no_fault(pkpass: Path) -> None:
    verdict = run(program("unzip"), "-tq", pkpass)
    assert verdict.returncode == 0, verdict.stdout


# KPkPass ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def kpkpass() -> Path:
    """The program around KPkPass, built when its source is newer."""
    source, built = SOURCES / "kpkpass_read.cpp", BUILT / "kpkpass_read"
    if built.exists() and built.stat().st_mtime > source.stat().st_mtime:
        return built
    if not Path("/usr/include/KPim/KPkPass").exists():
        missing("libkpimpkpass-dev is not installed")
    qt = Path("/usr/include", run(program("g++"), "-print-multiarch").stdout.strip(), "qt5")
    folders = [f"-I{folder}" for folder in ("/usr/include/KPim", qt, qt / "QtCore", qt / "QtGui")]
    BUILT.mkdir(exist_ok=True)
    draft = BUILT / f"kpkpass_read.{os.getpid()}"
    libraries = ("-lKPimPkPass", "-lQt5Gui", "-lQt5Core")
    made = run(program("g++"), "-std=c++17", "-fPIC", *folders, "-o", draft, source, *libraries)
    assert made.returncode == 0, made.stderr
    draft.replace(built)
    return built


def read_by_kpkpass(reader: Path, path: Path) -> dict[str, Any]:
    """What KPkPass understood."""
    told = run(
        reader, path, env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "TZ": "UTC", "LANG": "C.UTF-8"}
    )
    assert told.returncode == 0, told.stderr
    read: dict[str, Any] = json.loads(told.stdout)
    return read


@pytest.mark.check("A-01", "A-12", "A-27", "A-33", "A-45")
def test_kpkpass_reads_the_card_as_it_was_meant(kpkpass: Path, pkpass: Path) -> None:
    read = read_by_kpkpass(kpkpass, pkpass)
    assert (read["type"], read["passType"], read["serial"]) == ("StoreCard", PASS_TYPE, SERIAL)
    assert (read["organisation"], read["logoText"]) == ("Copperfinch Coffee", "Finch Club")
    assert (read["ground"], read["text"], read["label"]) == ("#1f2a2e", "#fff7ec", "#e8b48a")
    assert (read["service"], read["token"]) == (SERVICE.url, TOKEN)
    assert read["barcodes"] == [
        {
            "format": "QR",
            "message": "7QM2XW9LKT4CDFHJ",
            "encoding": "iso-8859-1",
            "text": "7QM2 XW9L KT4C DFHJ",
        }
    ]
    assert [field["key"] for field in read["header"]] == ["balance"]
    assert [field["key"] for field in read["row"]] == ["member", "tier", "spent", "since"]
    assert read["row"][0]["value"] == "Ana Çelik"
    assert read["row"][3]["value"].startswith("2026-03-14T10:00:00")
    assert read["primary"][0] == {
        "key": "next", "label": "NEXT: ANY DRINK", "value": "160 to go", "changeMessage": ""
    }  # fmt: skip
    assert read["strip"] == [[375, 144], [750, 288], [1125, 432]]
    assert read["icon"] == [[38, 38], [76, 76], [114, 114]]
    assert read["voided"] is False


@pytest.mark.check("A-28", "A-39", "A-41")
def test_kpkpass_sees_expiry_places_and_the_second_code(kpkpass: Path, tmp_path: Path) -> None:
    path = tmp_path / "card.pkpass"
    code = Barcode(Symbology.CODE128, "1234567890123456", "1234 5678 9012 3456")
    path.write_bytes(finished(face(voided=True, expires_at=NOW, barcode=code), web_service=None))
    read = read_by_kpkpass(kpkpass, path)
    # Not asked: voided. This version looks for the text "true", Apple documents a boolean.
    assert read["expires"] == "2026-03-14T10:00:00Z"
    assert [entry["format"] for entry in read["barcodes"]] == ["Code128", "QR"]
    assert read["locations"] == [[41.8827, -87.6473, "Nearby: West Loop, 841 W Randolph St"]]
    assert (read["service"], read["token"]) == ("", "")


# Node -----------------------------------------------------------------------------------------------


def read_by_node(path: Path) -> subprocess.CompletedProcess[str]:
    """What @walletpass/pass-js says."""
    node = program("node")
    if not (SOURCES / "node_modules").exists():
        missing("the Node witness is not installed: npm ci --prefix tests/witness --ignore-scripts")
    return run(node, SOURCES / "read_pass.js", path)


@pytest.mark.check("A-21", "A-24", "A-35", "A-51")
def test_pass_js_accepts_the_pass_and_reads_the_same_document(pkpass: Path) -> None:
    told = read_by_node(pkpass)
    assert told.returncode == 0, told.stderr
    theirs = json.loads(told.stdout)
    with zipfile.ZipFile(pkpass) as archive:
        ours = json.loads(archive.read("pass.json"))
    # It rewrites dates and the order of a location's keys, which mean the same.
    for document in (ours, theirs):
        document["storeCard"]["secondaryFields"].pop()
    assert theirs == ours


def test_pass_js_refuses_a_broken_archive(tmp_path: Path) -> None:
    path = tmp_path / "card.pkpass"
    path.write_bytes(finished().replace(b"Copperfinch", b"Copperfunch"))
    assert read_by_node(path).returncode != 0
