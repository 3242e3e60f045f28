"""The till as an app: its page, its files, and what lets it be installed and begin without network.

Everything here is open to everybody, on purpose: it holds nothing personal, so
a browser may keep it. Who works here, and for which shop, the app asks at
`/till/api`.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import re
from functools import lru_cache
from pathlib import Path

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    make_response,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from passes.language import direction
from passes.store import programmes
from passes.store.programmes import Loaded
from passes.web import language, theme
from passes.web.compression import compressed
from passes.web.here import installation

blueprint = Blueprint("shell", __name__, url_prefix="/till")

_YEAR_SECONDS = 365 * 24 * 3600
_WORKER_POLICY = "default-src 'none'; connect-src 'self'"
# The one script that may compile WebAssembly: a dedicated worker obeys the policy that it was served with.
_DECODER = "decode-worker.js"
_DECODER_POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"
# Whole lines only. No text in quotes goes over lines, so none can look like one (a test holds that).
_COMMENTS = re.compile(rb"^[ \t]*(?://[^\n]*|/\*.*?\*/[ \t]*)\n", re.MULTILINE | re.DOTALL)
# Of pages that are only there with network.
_ELSEWHERE = frozenset({"scanner.js", "scanner.css"})
# Files of others are named in our scripts by their whole address, which carries their version.
_VENDORED = re.compile(r"/static/vendor/[\w.-]+\w")


def version() -> str:
    """What the app is made of, in twelve characters that change when any of it does."""
    parts = _parts()
    return _digest(tuple(parts), tuple(path.stat().st_mtime_ns for path in parts))


def file(name: str) -> str:
    """The address of one of the app's own files; a script's relative imports inherit the version in it."""
    return url_for("shell.files", version=version(), path=name)


@blueprint.get("/app")
def app() -> AnyResponse:
    """The page that the app is. It says what it is made of and nothing about anybody."""
    loaded = _shop(None)
    page = render_template(
        "till/app.html",
        file=file,
        version=version(),
        manifest=url_for("shell.manifest"),
        touch_icon=theme.icon_address(loaded, 180) if loaded else url_for("static", filename="icon.svg"),
        theme=None,
    )
    return compressed(make_response(page))


@blueprint.get("/files/<version>/<path:path>", endpoint="files")
def one_file(version: str, path: str) -> AnyResponse:
    """A script or style sheet of the app, kept for ever: its address changes when any of them does."""
    if version != _current() or path not in _files():
        abort(404)
    found = _folder() / path
    answer = Response(_lean(found, found.stat().st_mtime_ns), mimetype=mimetypes.guess_type(path)[0])
    answer.add_etag()
    answer.headers["Cache-Control"] = f"public, max-age={_YEAR_SECONDS}, immutable"
    if path == _DECODER:
        answer.headers["Content-Security-Policy"] = _DECODER_POLICY
    return compressed(answer)


@blueprint.get("/worker.js")
def worker() -> AnyResponse:
    """What keeps the app for a start without network; its list of files changes when one of them does."""
    kept = [name for name in _files() if name not in _ELSEWHERE]
    made_of = {
        "version": version(),
        "page": url_for("shell.app"),
        "files": [*map(file, kept), *_vendored()],
    }
    source = (_static() / "till-worker.js").read_text()
    answer = Response(f"const MADE_OF = {json.dumps(made_of)};\n{source}", mimetype="text/javascript")
    answer.headers["Cache-Control"] = "no-cache"
    answer.headers["Content-Security-Policy"] = _WORKER_POLICY
    answer.add_etag()
    return compressed(answer).make_conditional(request)


@blueprint.get("/manifest.webmanifest")
def manifest() -> AnyResponse:
    """What a phone, tablet or computer needs to install the till, under the name of the shop's programme.

    `?programme=` chooses among several; browsers ask without saying who works here.
    """
    loaded = _shop(request.args.get("programme"))
    here = language.current()
    name = loaded.programme.name.in_(here) if loaded else "passes"
    home = url_for("shell.app")
    about = {
        "id": home,
        "name": language.words("%(programme)s till", programme=name),
        "short_name": name,
        "lang": here,
        "dir": direction(here),
        "start_url": home,
        "scope": "/till/",
        "display": "standalone",
        "orientation": "any",
        "background_color": loaded.programme.design.colours.ground if loaded else theme.LIGHT,
        "theme_color": loaded.programme.design.colours.ground if loaded else theme.LIGHT,
        "icons": _icons(loaded),
    }
    return Response(json.dumps(about, ensure_ascii=False), mimetype="application/manifest+json")


def _shop(slug: str | None) -> Loaded | None:
    with installation().store.read() as read:
        standing = programmes.every(read)
    return next((one for one in standing if one.slug == slug), standing[0] if standing else None)


def _icons(loaded: Loaded | None) -> list[dict[str, str]]:
    if loaded is None:
        drawn = url_for("static", filename="icon.svg")
        return [{"src": drawn, "sizes": "any", "type": "image/svg+xml", "purpose": "any"}]
    return [
        {
            "src": theme.icon_address(loaded, pixels),
            "sizes": f"{pixels}x{pixels}",
            "type": "image/png",
            "purpose": purpose,
        }
        for pixels in (192, 512)
        for purpose in ("any", "maskable")
    ]


# What it is made of -------------------------------------------------------------


def _static() -> Path:
    return Path(current_app.static_folder or "")


def _folder() -> Path:
    return _static() / "till"


def _files() -> list[str]:
    folder = _folder()
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@lru_cache(maxsize=128)
def _lean(path: Path, _changed_ns: int) -> bytes:
    """A file as it travels: without its comments, which are for whoever reads it here."""
    content = path.read_bytes()
    return _COMMENTS.sub(b"", content) if path.suffix == ".js" else content


def _vendored() -> list[str]:
    sources = [(_folder() / name).read_text() for name in _files() if name.endswith(".js")]
    return sorted({found for source in sources for found in _VENDORED.findall(source)})


def _parts() -> list[Path]:
    """Whatever the worker keeps, and the words in it: a change of any must reach tills that stand open."""
    root = Path(current_app.root_path)
    return [
        *(_folder() / name for name in _files()),
        *(_static() / name for name in ("till-worker.js", "passes.css", "icon.svg")),
        root / "templates" / "till" / "app.html",
        *sorted((root / "templates" / "till" / "app").glob("*.html")),
        *sorted((root / "passes" / "translations").rglob("*.po")),
    ]


def _current() -> str:
    # A name of its own: `version` is the address's where this is asked.
    return version()


@lru_cache(maxsize=8)
def _digest(parts: tuple[Path, ...], _changed_ns: tuple[int, ...]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.name.encode() + b"\0" + hashlib.sha256(part.read_bytes()).digest())
    return digest.hexdigest()[:12]
