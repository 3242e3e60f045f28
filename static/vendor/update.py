"""Takes the files that vendor.toml names out of their npm packages and writes vendor.lock.json.

A developer's command, never run by the product: `python static/vendor/update.py`. Needs npm.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PINS = HERE / "vendor.toml"
LOCK = HERE / "vendor.lock.json"


def integrity(content: bytes, algorithm: str) -> str:
    """A hash the way browsers and npm write it: `sha384-…`."""
    return f"{algorithm}-{base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def take(package: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fetch one package, copy its listed files into place, and describe them for the lock."""
    pin = f"{package['name']}@{package['version']}"
    answer = subprocess.run(
        ["npm", "pack", "--json", pin], cwd=folder, check=True, capture_output=True, text=True
    )
    packed = json.loads(answer.stdout)[0]
    tarball = folder / packed["filename"]
    if integrity(tarball.read_bytes(), "sha512") != packed["integrity"]:
        raise SystemExit(f"{pin}: the package is not what the registry says it is")
    described = {}
    with tarfile.open(tarball) as archive:
        declared = json.load(_open(archive, "package/package.json"))["license"]
        if declared != package["licence"]:
            raise SystemExit(f"{pin}: its licence is {declared}, vendor.toml says {package['licence']}")
        for source, name in sorted(package["files"].items()):
            target = ROOT / package["folder"] / name
            if target.parent.resolve() != (ROOT / package["folder"]).resolve():
                raise SystemExit(f"{pin}: {name} would leave {package['folder']}")
            content = _open(archive, f"package/{source}").read()
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            described[name] = integrity(content, "sha384")
    return {
        "name": package["name"],
        "version": package["version"],
        "licence": declared,
        "integrity": packed["integrity"],
        "folder": package["folder"],
        "files": described,
    }


def _open(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    if file is None:
        raise SystemExit(f"{name} is not a file")
    return file


def main() -> None:
    """Update every pinned package."""
    packages = tomllib.loads(PINS.read_text())["package"]
    with tempfile.TemporaryDirectory() as folder:
        lock = [take(package, Path(folder)) for package in packages]
    LOCK.write_text(json.dumps(lock, indent=2) + "\n")


if __name__ == "__main__":
    main()
