"""What a shop hangs up and links to: a poster to print, codes to download, a link for its own pages.

Open to everybody on purpose: all of it is made to be seen, and none of it is about a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Blueprint, Response, make_response, render_template, request, url_for
from markupsafe import Markup

from passes import artwork
from passes.loyalty.programme import by_price
from passes.loyalty.refusals import ProgrammeUnknown
from passes.store.programmes import Loaded
from passes.web import join, language
from passes.web.here import installation

blueprint = Blueprint("poster", __name__)


blueprint.register_error_handler(ProgrammeUnknown, join.unknown)

_CODE_MILLIMETRES = 80

Query = Mapping[str, str | None]
"""What an invitation says about itself; empty values are left out."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way in: where a shop would put the link, the link itself, and the code that leads the same way."""

    name: str
    address: str
    html: str
    code: str


@blueprint.get("/join/<slug>/poster")
def poster(slug: str) -> str:
    """A page to print and hang up, in one shop (`?at=`) or any."""
    loaded = join.open_programme(slug)
    at = join.location(loaded)
    programme = loaded.programme
    return render_template(
        "join/poster.html",
        shop=next((shop for shop in programme.shops if shop.key == at), None),
        code=Markup(artwork.qr_svg(_invitation(loaded, {"from": "poster", "at": at}))),
        download=_code_address(loaded, {"from": "poster", "at": at}),
        short=_short(loaded),
        face=join.sample_face(programme, balance=programme.earning.welcome_points, name=_visitor()),
        headline=_headline(loaded),
        benefits=_benefits(loaded),
        **join.setting(loaded),
    )


@blueprint.get("/join/<slug>/snippet")
def snippet(slug: str) -> str:
    """Links and pieces of HTML for the shop's own site, letters and profiles, each counted by itself."""
    loaded = join.open_programme(slug)
    at = join.location(loaded)
    ways = (
        (language.words("Your website"), {"from": "link", "utm_source": "website"}),
        (language.words("Your newsletter"), {"from": "email", "utm_source": "newsletter"}),
        (language.words("Your profile on a social network"), {"from": "social", "utm_source": "social"}),
    )
    label = language.words("Join %(programme)s", programme=loaded.programme.name.in_(language.current()))
    found = []
    for name, source in ways:
        query: Query = {**source, "at": at}
        address = _invitation(loaded, query)
        link = Markup('<a href="{}">{}</a>').format(address, label)
        code = _code_address(loaded, query)
        found.append(Way(name, address, str(link), code))
    return render_template("join/snippet.html", ways=found, **join.setting(loaded))


@blueprint.get("/join/<slug>/code.svg")
def code(slug: str) -> Response:
    """The code of an invitation as a drawing, for posters of the shop's own."""
    loaded = join.open_programme(slug)
    query: Query = {
        "from": request.args.get("from") if request.args.get("from") in join.SOURCES else None,
        "at": join.location(loaded),
        **{name: request.args.get(name, "")[:100] for name in ("utm_source", "utm_medium", "utm_campaign")},
    }
    kept = [(key, value) for key, value in query.items() if value]
    drawn = artwork.qr_svg(join.for_a_code(_invitation(loaded, {}), kept))
    # A size, so that it does not fill the page of whoever places it.
    sized = drawn.replace("<svg ", f'<svg width="{_CODE_MILLIMETRES}mm" height="{_CODE_MILLIMETRES}mm" ', 1)
    answer = make_response(sized)
    answer.headers["Content-Type"] = "image/svg+xml"
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer.headers["Cache-Control"] = "public, max-age=300"
    name = "-".join(filter(None, (loaded.slug, query["at"])))
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.svg"'
    return answer


def _invitation(loaded: Loaded, query: Query) -> str:
    kept = {key: value for key, value in query.items() if value}
    path = url_for("join.form", slug=loaded.slug)
    return f"{installation().public_url}{path}" + (f"?{urlencode(kept)}" if kept else "")


def _code_address(loaded: Loaded, query: Query) -> str:
    kept = urlencode({key: value for key, value in query.items() if value})
    return f"{url_for('poster.code', slug=loaded.slug)}?{kept}"


def _short(loaded: Loaded) -> str:
    """The address as people type it."""
    return f"{installation().public_url.partition('://')[2]}{url_for('join.form', slug=loaded.slug)}"


def _visitor() -> str:
    return language.words("Your name")


def _headline(loaded: Loaded) -> str:
    """What joining brings at once; where that is nothing, what every purchase brings."""
    rule = loaded.programme.earning
    if rule.welcome_points and not rule.welcome_waits:
        return language.words(
            "%(points)s %(unit)s for joining",
            points=rule.welcome_points,
            unit=loaded.programme.unit.name(rule.welcome_points, language.current()),
        )
    return _earning(loaded)


def _benefits(loaded: Loaded) -> list[str]:
    """What the rules promise, in a line each: none of these numbers stands anywhere but in the rules."""
    programme = loaded.programme
    lines = [_earning(loaded)] if _headline(loaded) != _earning(loaded) else []
    for reward in by_price(programme)[:2]:
        lines.append(
            language.words(
                "%(reward)s for %(points)s %(unit)s",
                reward=reward.name.in_(language.current()),
                points=reward.points,
                unit=programme.unit.name(reward.points, language.current()),
            )
        )
    return lines


def _earning(loaded: Loaded) -> str:
    programme = loaded.programme
    rule = programme.earning
    return language.words(
        "%(points)s %(unit)s for every %(amount)s",
        points=rule.points,
        unit=programme.unit.name(rule.points, language.current()),
        amount=language.money(rule.per_minor, programme.currency),
    )
