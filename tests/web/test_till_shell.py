"""The till as an app: what a browser is given to keep, and under which rules."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from flask import Flask

from tests.shop import BOOKS, COFFEE
from tests.web.visitor import Visitor

ROOT = Path(__file__).parents[2]
OWN = sorted(
    path.relative_to(ROOT / "static" / "till").as_posix() for path in (ROOT / "static/till").glob("*")
)

# The page to test a scanner with is not part of the app.
KEPT = [name for name in OWN if not name.startswith("scanner.")]


@pytest.fixture
def stranger(app: Flask) -> Visitor:
    """Nobody in particular."""
    return Visitor(app)


def made_of(stranger: Visitor) -> dict[str, object]:
    """What the worker of the service was told to keep."""
    source = stranger.fetch("/till/worker.js").get_data(as_text=True)
    found: dict[str, object] = json.loads(re.match(r"const MADE_OF = (.*);\n", source)[1])  # type: ignore[index]
    return found


def test_the_page_of_the_app_is_the_same_for_everybody(stranger: Visitor, cy: Visitor) -> None:
    page = stranger.get("/till/app")
    assert page.status == 200
    assert cy.get("/till/app").html == page.html
    assert "Set-Cookie" not in page.answer.headers
    assert stranger.get("/till/app?lang=tr").element(lang="tr")


def test_the_worker_keeps_every_file_of_the_app_and_those_that_they_name(stranger: Visitor) -> None:
    answer = stranger.fetch("/till/worker.js")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; connect-src 'self'"
    told = made_of(stranger)
    files = told["files"]
    assert isinstance(files, list)
    assert {f"/till/files/{told['version']}/{name}" for name in KEPT} <= set(files)
    vendored = {address for address in files if address.startswith("/static/vendor/")}
    assert {address.rpartition(".")[2] for address in vendored} == {"js", "wasm"}
    for address in files:
        assert stranger.fetch(address).status_code == 200, address


def test_files_are_kept_for_ever_under_their_version_and_unknown_under_another(stranger: Visitor) -> None:
    version = made_of(stranger)["version"]
    for name in OWN:
        answer = stranger.fetch(f"/till/files/{version}/{name}")
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        may_compile = "'wasm-unsafe-eval'" in answer.headers.get("Content-Security-Policy", "")
        assert may_compile == (name == "decode-worker.js")
    assert stranger.fetch("/till/files/000000000000/codes.js").status_code == 404
    assert stranger.fetch(f"/till/files/{version}/../till.js").status_code == 404


def test_the_version_changes_with_any_file(
    stranger: Visitor, app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made_of(stranger)["version"]
    static = tmp_path / "static"
    (static / "till").mkdir(parents=True)
    for name in ("till-worker.js", "passes.css", "icon.svg", *(f"till/{name}" for name in OWN)):
        (static / name).write_bytes((ROOT / "static" / name).read_bytes())
    monkeypatch.setattr(app, "static_folder", str(static))
    assert made_of(stranger)["version"] == before
    (static / "till" / OWN[0]).write_text("changed")
    assert made_of(stranger)["version"] != before


def test_the_app_is_installed_under_the_name_of_the_shop(stranger: Visitor) -> None:
    for programme, name in ((COFFEE, "Finch Kulübü"), (BOOKS, "Sayfa Kulübü")):
        answer = stranger.fetch(f"/till/manifest.webmanifest?programme={programme}&lang=tr")
        about = json.loads(answer.get_data(as_text=True))
        assert answer.mimetype == "application/manifest+json"
        assert about["short_name"] == name
        assert (about["start_url"], about["scope"], about["display"]) == ("/till/app", "/till/", "standalone")
        assert about["orientation"] == "any"
        sizes = {(icon["sizes"], icon["purpose"]) for icon in about["icons"]}
        assert {("192x192", "any"), ("512x512", "any"), ("512x512", "maskable")} <= sizes
        for icon in about["icons"]:
            assert stranger.fetch(icon["src"]).mimetype == "image/png"


def test_what_travels_is_what_stands_here_but_for_the_comments(stranger: Visitor) -> None:
    version = made_of(stranger)["version"]
    for name in OWN:
        own = (ROOT / "static" / "till" / name).read_text().splitlines()
        sent = stranger.fetch(f"/till/files/{version}/{name}").get_data(as_text=True).splitlines()
        if name.endswith(".css"):
            assert sent == own, name
            continue
        assert sent == [line for line in own if not re.match(r"\s*(//|/\*|\*)", line)], name
        # A text over several lines could hold what looks like a comment.
        assert all(re.sub(r'"(\\.|[^"\\])*"', "", line).count("`") % 2 == 0 for line in own), name
