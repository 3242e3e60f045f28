"""What Google asks of us: its messages about cards that were saved or removed, pictures, robots.

Google's own programs call here, without cookies and without forms: a message
is believed for its signature alone.
"""

from __future__ import annotations

import logging
import time

from flask import Blueprint, Response, abort, make_response, request

from passes import artwork, google_cards
from passes.google.callbacks import BODY_BYTES_MAX, CallbackRefused, KeysUnavailable
from passes.loyalty.card import Strip
from passes.loyalty.programme import Programme
from passes.loyalty.refusals import Busy, StorageFull
from passes.store import programmes
from passes.web.here import installation, now

blueprint = Blueprint("google", __name__)

log = logging.getLogger(__name__)

STEPS_MAX = 50
RETRY_SECONDS = 60
LOG_SECONDS = 10.0


class Seldom:
    """Says when it is time for the next line: anybody may send nonsense all day, and fill no log with it."""

    def __init__(self) -> None:
        self.next_at = 0.0

    def is_time(self) -> bool:
        """Whether the last line is long enough ago; then this is the next one."""
        now_seconds = time.monotonic()
        if now_seconds < self.next_at:
            return False
        self.next_at = now_seconds + LOG_SECONDS
        return True


seldom = Seldom()

# Googlebot has to be let in where Google calls and where its pictures are. Nobody
# finds a card by searching, and nothing is to be found where people work.
ROBOTS = """\
User-agent: Googlebot
Allow: /google/
Allow: /join/
Disallow: /card/
Disallow: /download/
Disallow: /till
Disallow: /console

User-agent: *
Allow: /google/
Allow: /join/
Disallow: /card/
Disallow: /download/
Disallow: /till
Disallow: /console
"""


@blueprint.post("/google/callback")
def callback() -> Response:
    """Google says that somebody saved or removed a card. The answer says nothing about why not."""
    here = installation()
    if here.google is None:
        abort(404)
    # One byte more than is allowed shows that there is too much, without reading it all.
    body = request.stream.read(BODY_BYTES_MAX + 1)
    try:
        google_cards.take_callback(here.store, here.google, body, now())
    except CallbackRefused as refused:
        if seldom.is_time():
            log.warning("a message that looks like Google's was refused: %s", refused)
        return _empty(400)
    except (KeysUnavailable, Busy, StorageFull) as trouble:
        log.warning("a message of Google's has to come again: %s", trouble)
        answer = _empty(503)
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
        return answer
    return _empty(200)


@blueprint.get("/robots.txt")
def robots() -> Response:
    """What programs may read here."""
    answer = Response(ROBOTS, content_type="text/plain; charset=utf-8")
    answer.headers["Cache-Control"] = "public, max-age=3600"
    return answer


@blueprint.get("/google/<slug>/<drawing>/logo.png")
def logo(slug: str, drawing: str) -> Response:
    """The logo of a programme's class."""
    programme = _programme(slug)
    design = programme.design
    return _picture(
        artwork.google_logo(
            design.scene,
            ground=design.colours.ground,
            text=design.colours.text,
            label=design.colours.label,
            initials=google_cards.initials(programme),
            logo=design.logo,
        ),
        is_newest=drawing == google_cards.drawing(programme),
    )


@blueprint.get("/google/<slug>/<drawing>/hero-<int:step>.png")
def hero(slug: str, drawing: str, step: int) -> Response:
    """The wide picture of a card with so many marks lit."""
    if step > STEPS_MAX:
        abort(404)
    programme = _programme(slug)
    design = programme.design
    return _picture(
        artwork.google_hero(
            design.scene,
            ground=design.colours.ground,
            text=design.colours.text,
            label=design.colours.label,
            strip=Strip(design.strip, min(step, design.steps), design.steps),
        ),
        is_newest=drawing == google_cards.drawing(programme),
    )


def _programme(slug: str) -> Programme:
    with installation().store.read() as read:
        return programmes.by_slug(read, slug).programme


def _picture(png: bytes, *, is_newest: bool) -> Response:
    answer = make_response(png)
    answer.headers["Content-Type"] = "image/png"
    # Under the address of an earlier drawing stands what is there now, for a while.
    answer.headers["Cache-Control"] = (
        "public, max-age=31536000, immutable" if is_newest else "public, max-age=60"
    )
    return answer


def _empty(status: int) -> Response:
    answer = Response(status=status)
    answer.headers["Cache-Control"] = "no-store"
    return answer
