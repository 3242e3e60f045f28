"""What stands in the vendor folders is what the lock says, under licences we may ship."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from importlib.metadata import distribution
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
VENDOR = ROOT / "static" / "vendor"
OURS = {"vendor.toml", "vendor.lock.json", "update.py", "zxing-cpp.LICENSE"}
SHIPPED = {"MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Apache-2.0", "OFL-1.1"}
LOCK: list[dict[str, Any]] = json.loads((VENDOR / "vendor.lock.json").read_text())


def _update() -> Any:
    spec = spec_from_file_location("update", VENDOR / "update.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("package", LOCK, ids=lambda package: package["name"])
def test_every_vendored_file_has_the_hash_of_the_lock(package: dict[str, Any]) -> None:
    for name, expected in package["files"].items():
        content = (ROOT / package["folder"] / name).read_bytes()
        assert _update().integrity(content, "sha384") == expected, name


def test_the_vendor_folders_hold_nothing_that_the_lock_does_not_name() -> None:
    for folder in ("static/vendor", "tests/vendor"):
        named = {name for package in LOCK if package["folder"] == folder for name in package["files"]}
        found = {path.name for path in (ROOT / folder).iterdir() if path.is_file()}
        assert found - OURS == named


def test_the_lock_follows_the_pins() -> None:
    pins = tomllib.loads((VENDOR / "vendor.toml").read_text())["package"]
    assert [(pin["name"], pin["version"], sorted(pin["files"].values())) for pin in pins] == [
        (package["name"], package["version"], sorted(package["files"])) for package in LOCK
    ]


def test_licences_may_be_shipped_and_each_package_brings_its_text() -> None:
    for package in LOCK:
        tests_only = package["folder"] == "tests/vendor"
        assert package["licence"] in (SHIPPED | {"MPL-2.0"} if tests_only else SHIPPED)
        assert any("LICENSE" in name for name in package["files"])


def test_the_lock_names_no_download_address() -> None:
    assert "://" not in (VENDOR / "vendor.lock.json").read_text()


def test_names_carry_the_version_so_that_browsers_may_keep_them() -> None:
    for package in LOCK:
        assert all(package["version"] in name for name in package["files"])


def test_the_reader_of_barcodes_is_the_one_that_its_script_was_built_with() -> None:
    # With another the script starts and then dies with "memory access out of bounds".
    script = (VENDOR / "zxing-wasm-3.1.4-reader.js").read_text()
    built_with = re.findall(r"ZXING_WASM_SHA256=`([0-9a-f]{64})`", script)
    wasm = (VENDOR / "zxing-wasm-3.1.4-reader.wasm").read_bytes()
    assert built_with == [hashlib.sha256(wasm).hexdigest()]


def test_the_engine_inside_the_wasm_brings_its_licence_too() -> None:
    # Its npm package leaves it out; the same engine's Python package has it.
    files = distribution("zxing-cpp").files or []
    (text,) = [file.read_text() for file in files if file.name == "LICENSE"]
    assert (VENDOR / "zxing-cpp.LICENSE").read_text() == text
    assert "Apache License" in text
