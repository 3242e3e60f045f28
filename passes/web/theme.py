"""The colours and pictures of a programme, for its pages.

Served as a style sheet of its own, because the pages' policy allows no style
inside a page. Addresses carry a digest of what is drawn and may be kept for ever: also
where a demonstration is put back, and the same name then belongs to another card.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, abort, make_response, request, url_for
from markupsafe import Markup

from passes import artwork, google_cards
from passes.faces import Face, Pictures, draw
from passes.faces.colours import CONTRAST_MIN as CONTRAST_MIN
from passes.faces.colours import contrast as contrast
from passes.faces.symbols import QUIET_MODULES, symbol
from passes.loyalty.card import CardFace, Strip
from passes.loyalty.design import Colours
from passes.loyalty.programme import Programme
from passes.store import programmes
from passes.store.programmes import Loaded
from passes.web.here import installation

blueprint = Blueprint("theme", __name__, url_prefix="/static-theme")

# The page's own grounds in passes.css; a colour must stand out from them to be used for buttons.
LIGHT, DARK = "#faf8f5", "#14191c"
_STEPS_MAX = 50
_BARS_HEIGHT = 0.4
"""Of a bar code, as a share of its length."""
ICONS = (180, 192, 512)
"""Sizes in pixels of the sign on a home screen."""


@dataclass(frozen=True, slots=True)
class Accent:
    """The colour of buttons and links, and the one to write on it."""

    colour: str
    on: str


def accent(colours: Colours, page: str) -> Accent:
    """The programme's own colour that can be read best as a button on this page.

    The label colour is preferred: it is the one that gives a card its character.
    """
    choices = (colours.label, colours.ground, colours.text)
    chosen = next((one for one in choices if contrast(one, page) >= CONTRAST_MIN), None)
    if chosen is None:
        chosen = max(("#000000", "#ffffff"), key=lambda one: contrast(one, page))
    on = max((colours.ground, colours.text, "#ffffff", "#000000"), key=lambda one: _fit(one, chosen, colours))
    return Accent(chosen, on)


def _fit(candidate: str, accent: str, colours: Colours) -> tuple[bool, bool, float]:
    """Readable first, the programme's own second, then whatever stands out most."""
    ratio = contrast(candidate, accent)
    return ratio >= CONTRAST_MIN, candidate in (colours.ground, colours.text), ratio


def address(loaded: Loaded) -> str:
    """Where the style sheet of a programme is."""
    return url_for("theme.sheet", slug=loaded.slug, v=google_cards.drawing(loaded.programme))


def strip_address(loaded: Loaded, strip: Strip) -> str:
    """Where the picture behind a card's main value is."""
    return url_for(
        "theme.picture",
        slug=loaded.slug,
        name="strip",
        step=strip.step,
        v=google_cards.drawing(loaded.programme),
    )


def logo_address(loaded: Loaded) -> str:
    """Where the programme's logo is."""
    return url_for(
        "theme.picture", slug=loaded.slug, name="logo", step=0, v=google_cards.drawing(loaded.programme)
    )


@blueprint.app_template_global()
def card_svg(
    face: CardFace, kind: str, loaded: Loaded, *, notice: str | None = None, live: bool = False
) -> Markup:
    """A card as a picture for a template; `kind` is one of `Face`. See `passes.faces.draw`."""
    strip = strip_address(loaded, face.strip)
    drawn = draw(
        face,
        Face(kind),
        pictures=Pictures(logo=logo_address(loaded), strip=strip, hero=strip),
        zone=loaded.programme.zone,
        notice=notice,
        live=live,
    )
    return Markup(drawn)


@blueprint.get("/<slug>.css")
def sheet(slug: str) -> Response:
    """The programme's colours as custom properties."""
    colours = _loaded(slug).programme.design.colours
    light, dark = accent(colours, LIGHT), accent(colours, DARK)
    names = {
        "card-ground": colours.ground,
        "card-text": colours.text,
        "card-label": colours.label,
        "brand-light": light.colour,
        "on-brand-light": light.on,
        "brand-dark": dark.colour,
        "on-brand-dark": dark.on,
    }
    # The colours were checked to be #RRGGBB when the programme was loaded.
    text = ":root{" + "".join(f"--{name}:{colour};" for name, colour in names.items()) + "}\n"
    return _kept(text.encode(), "text/css; charset=utf-8")


@blueprint.get("/<slug>/<any(strip,logo):name>-<int:step>.webp")
def picture(slug: str, name: str, step: int) -> Response:
    """The card's strip with so many marks lit, or its logo."""
    if step > _STEPS_MAX:
        abort(404)
    loaded = _loaded(slug)
    design = loaded.programme.design
    pictures = artwork.pictures(
        design.scene,
        ground=design.colours.ground,
        text=design.colours.text,
        label=design.colours.label,
        strip=Strip(design.strip, min(step, design.steps), design.steps),
        initials=initials(loaded.programme),
        logo=design.logo,
    )
    return _kept(artwork.webp(pictures[f"{name}@2x.png"]), "image/webp")


@blueprint.get("/<slug>/icon-<int:pixels>.png")
def icon(slug: str, pixels: int) -> Response:
    """The programme's sign, for a home screen that keeps a card."""
    if pixels not in ICONS:
        abort(404)
    loaded = _loaded(slug)
    design = loaded.programme.design
    drawn = artwork.home_icon(
        design.scene,
        ground=design.colours.ground,
        text=design.colours.text,
        label=design.colours.label,
        initials=initials(loaded.programme),
        logo=design.logo,
        pixels=pixels,
    )
    return _kept(drawn, "image/png")


def icon_address(loaded: Loaded, pixels: int) -> str:
    """Where the programme's sign of this size, one of `ICONS`, is."""
    return url_for("theme.icon", slug=loaded.slug, pixels=pixels, v=google_cards.drawing(loaded.programme))


def initials(programme: Programme) -> str:
    """The first letters of the organisation's first two words, for a design without a picture."""
    name = programme.organisation.in_(programme.language)
    return "".join(word[:1] for word in name.split()[:2])


def code_svg(face: CardFace) -> Markup:
    """The card's code as large as a screen allows: black on white with the white that readers need."""
    drawn, quiet = symbol(face.barcode), QUIET_MODULES[face.barcode.symbology]
    # A bar code is one module high and needs height of its own.
    stretch = round(drawn.columns * _BARS_HEIGHT) if drawn.rows == 1 else 1
    width, height = drawn.columns + 2 * quiet, drawn.rows * stretch + 2 * quiet
    return Markup(
        f'<svg viewBox="0 0 {width} {height}" shape-rendering="crispEdges">'
        f'<rect width="{width}" height="{height}" fill="#fff"/><g transform="translate({quiet} {quiet})">'
        f'<path transform="scale(1 {stretch})" fill="#000" d="{drawn.path}"/></g></svg>'
    )


def _loaded(slug: str) -> Loaded:
    with installation().store.read() as read:
        return programmes.by_slug(read, slug)


def _kept(body: bytes, kind: str) -> Response:
    answer = make_response(body)
    answer.headers["Content-Type"] = kind
    # Without a version in its address the answer may change any minute.
    answer.headers["Cache-Control"] = (
        "public, max-age=31536000, immutable" if "v" in request.args else "public, max-age=60"
    )
    return answer
