"""Light or dark: the system's choice, unless this person has one of their own.

The choice is a cookie that the server reads and writes into the page itself,
so that no page ever flashes in the other one first.
"""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import urlencode

from flask import Flask, Response, request

from passes.web import language
from passes.web.here import https

COOKIE = "passes_look"
_YEAR_SECONDS = 365 * 24 * 3600


class Look(StrEnum):
    """How pages look to a person."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


def current() -> Look:
    """The look of this page: what the address asks for, then what was chosen before."""
    return _read(request.args.get("look")) or _read(request.cookies.get(COOKIE)) or Look.SYSTEM


def switch() -> list[tuple[str, str, bool]]:
    """(name, address of this page in that look, is it this one) for the switch of every page."""
    rest = [(name, value) for name, value in request.args.items(multi=True) if name != "look"]
    chosen = current()
    names = {
        Look.SYSTEM: language.words("Automatic"),
        Look.LIGHT: language.words("Light"),
        Look.DARK: language.words("Dark"),
    }
    return [
        (name, f"{request.path}?{urlencode([*rest, ('look', look)])}", look is chosen)
        for look, name in names.items()
    ]


def register(app: Flask) -> None:
    """Give templates the look, and remember the one that somebody chose."""
    app.jinja_env.globals.update(page_look=current, look_switch=switch)

    @app.after_request
    def remember(answer: Response) -> Response:
        # Most requests ask nothing of their address, and a checkout counts microseconds.
        if not request.query_string:
            return answer
        wanted = _read(request.args.get("look"))
        if wanted is None or request.cookies.get(COOKIE) == wanted:
            return answer
        if wanted is Look.SYSTEM:
            answer.delete_cookie(COOKIE, samesite="Lax", httponly=True, secure=https())
        else:
            answer.set_cookie(
                COOKIE, wanted, max_age=_YEAR_SECONDS, samesite="Lax", httponly=True, secure=https()
            )
        return answer


def _read(text: str | None) -> Look | None:
    return next((look for look in Look if look == text), None)
