"""The web application: wiring, blueprints and the headers that every answer carries.

Flask finds `templates/` and `static/` beside this file.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Flask, Request, Response, abort, g, request, url_for
from flask.globals import request_ctx
from flask.sessions import SessionInterface, SessionMixin
from jinja2 import StrictUndefined
from werkzeug.middleware.proxy_fix import ProxyFix

from passes import issuing
from passes.loyalty.refusals import FormStale
from passes.web import (
    api,
    compression,
    devices,
    errors,
    front,
    golive,
    google,
    health,
    hood,
    join,
    keys,
    language,
    look,
    member,
    offers,
    overview,
    poster,
    register_console,
    registers,
    signin,
    theme,
    till,
    tills,
    wallets,
    webhooks,
    yours,
)
from passes.web.api import express, reference
from passes.web.till import shell

if TYPE_CHECKING:
    from passes.wiring import Installation

ROOT = Path(__file__).parent

# One policy for all pages: nothing inline, nothing from elsewhere.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; media-src 'self' blob:; worker-src 'self'; manifest-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'; report-uri /csp-report"
)
REQUEST_BYTES_MAX = 16_000_000
# A form with a picture may be large, and is read only once it is known who sends it; its one text is a code.
_FORM = "application/x-www-form-urlencoded"
# Whatever type their callers name: not forms, and with limits of their own.
_READ_ELSEWHERE = ("devices.", "health.", "google.", "api.", "desk.", "registers.")
_SAFE = ("GET", "HEAD", "OPTIONS")


class _NoSessions(SessionInterface):
    """Staff and members have sessions of their own, in the database: Flask's cookie is never read or set."""

    def open_session(self, app: Flask, request: Request) -> None:
        """None is kept."""

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Nothing is kept."""


class Application(Flask):
    """Flask without what no page here uses, and every request would pay for."""

    session_interface = _NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """No view is a coroutine."""
        return func


def create_app(installation: Installation | None = None) -> Flask:
    """The application; `installation` is built from the environment when not given."""
    if installation is None:
        from passes.wiring import build

        installation = build(writer_thread=True)
    app = Application("passes", root_path=str(ROOT))
    app.extensions["passes"] = installation
    app.config["MAX_CONTENT_LENGTH"] = REQUEST_BYTES_MAX
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals["asset"] = _asset
    for module in (
        front,
        join,
        poster,
        wallets,
        member,
        till,
        shell,
        offers,
        overview,
        signin,
        theme,
        health,
        devices,
        google,
        registers,
        register_console,
        webhooks,
        keys,
        api,
        reference,
        tills,
        till.desk,
        till.pairing,
        yours,
        golive,
    ):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(hood.blueprint, url_prefix="/hood")
    app.register_blueprint(hood.blueprint, url_prefix="/console/hood", name="console_hood")
    errors.register(app)
    language.register(app)
    compression.register(app)
    look.register(app)
    if installation.proxies:
        # Only the address: what host and scheme people use is PASSES_PUBLIC_URL, whatever a proxy says.
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=installation.proxies, x_proto=0, x_host=0
        )
    _refuse_null_characters(app)
    _refuse_foreign_forms(app, installation.public_url)
    always = _always(https=installation.public_url.startswith("https:"))
    _set_headers(app, always, development=installation.development)
    app.wsgi_app = express.Express(app, api.ROOT, always)  # type: ignore[method-assign]
    return app


def _refuse_null_characters(app: Flask) -> None:
    """No database can hold them, so they are refused here, in whichever part of a request they come."""

    @app.before_request
    def refuse() -> None:
        # The request itself: going through its proxy takes longer than looking.
        asked = request_ctx.request
        texts = [asked.path]
        if asked.query_string:
            texts += (part for pair in asked.args.items(multi=True) for part in pair)
        # Any other body is read by whoever knows how large it may be.
        if asked.mimetype == _FORM and not (asked.endpoint or "").startswith(_READ_ELSEWHERE):
            texts += (part for pair in asked.form.items(multi=True) for part in pair)
        if any("\0" in text for text in texts):
            abort(400)


def _refuse_foreign_forms(app: Flask, public_url: str) -> None:
    """A browser says where a form came from; ours come from here. Beside the tokens, not instead of them."""

    @app.before_request
    def refuse() -> None:
        asked = request_ctx.request
        endpoint = asked.endpoint or ""
        # Callers of these show a key or a signature, which no browser sends by itself.
        if asked.method in _SAFE or endpoint in ("health.report", "google.callback"):
            return
        if endpoint.startswith(("api.", "registers.")):
            return
        if asked.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise FormStale
        origin = asked.headers.get("Origin")
        if origin is not None and _site(origin) not in (asked.host, _site(public_url)):
            raise FormStale


def _site(address: str) -> str | None:
    try:
        return urlsplit(address).netloc
    except ValueError:
        return None


def _policy(development: bool) -> str:
    """The policy of this page. The demonstration shows pages of ours, and the phone, inside one page."""
    policy = CONTENT_SECURITY_POLICY
    # "empty" is the card's own worker, which fetches what its page shows next.
    if development and request.headers.get("Sec-Fetch-Dest") in ("iframe", "empty"):
        policy = policy.replace("frame-ancestors 'none'", "frame-ancestors 'self'")
    if phone := g.get("phone_beside"):
        policy = policy.replace("connect-src 'self'", f"connect-src 'self' {phone}")
        policy += f"; frame-src 'self' {phone}"
    return policy


def _always(*, https: bool) -> list[tuple[str, str]]:
    """The headers of every answer."""
    always = [("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "same-origin")]
    return [*always, ("Strict-Transport-Security", "max-age=31536000")] if https else always


def _set_headers(app: Flask, always: Sequence[tuple[str, str]], *, development: bool) -> None:
    @app.after_request
    def protect(answer: Response) -> Response:
        headers = answer.headers
        for name, value in always:
            headers.setdefault(name, value)
        if answer.mimetype == "text/html":
            headers.setdefault("Content-Security-Policy", _policy(development))
            headers.setdefault("Permissions-Policy", "camera=(self), microphone=(), geolocation=()")
            # Pages speak the visitor's language and show their balance.
            headers.setdefault("Cache-Control", "no-store")
        elif request.endpoint == "static" and answer.status_code == 200:
            kept = "v" in request.args or "/vendor/" in request.path
            headers["Cache-Control"] = f"public, max-age={31536000 if kept else 300}" + (
                ", immutable" if kept else ""
            )
        return answer


def _asset(name: str) -> str:
    """The address of a file in `static/`, which changes when the file does."""
    return url_for("static", filename=name, v=_digest(name, (ROOT / "static" / name).stat().st_mtime_ns))


@lru_cache(maxsize=64)
def _digest(name: str, _changed_ns: int) -> str:
    return hashlib.sha256((ROOT / "static" / name).read_bytes()).hexdigest()[:12]


def serve() -> Flask:
    """The application of a web server's process, which ends with the process that started it."""
    from passes.supervisor import end_with_parent

    end_with_parent()
    app = create_app()
    installation = app.extensions["passes"]
    threading.Thread(
        target=issuing.draw_ahead, args=(installation.store, installation.office), name="artist", daemon=True
    ).start()
    threading.Thread(target=join.keep_counting, args=(app,), name="counter", daemon=True).start()
    return app
