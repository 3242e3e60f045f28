"""Who may come to the till, and where they work there."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, g, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from passes import access
from passes.access import Area, Person, Role
from passes.loyalty.refusals import NotAllowed
from passes.store.programmes import Loaded
from passes.web import language, signin, theme
from passes.web.here import now

NO_TILL = 0
"""Stands for a paired till where a browser is none."""

blueprint = Blueprint("till", __name__, url_prefix="/till")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the person works: a programme, and its shop where it has any."""

    loaded: Loaded
    location: str | None

    @property
    def shop_name(self) -> str:
        """What to call it on the page."""
        for shop in self.loaded.programme.shops:
            if shop.key == self.location:
                return shop.name.in_(language.current())
        return self.loaded.programme.organisation.in_(language.current())


@blueprint.before_request
def guard() -> AnyResponse | None:
    """Only cashiers, and only forms of their own session. Holds for every page of the till."""
    found = signin.person(Area.TILL)
    if found is None:
        return redirect(url_for("signin.form"), 303)
    g.person = found
    if request.method == "POST":
        access.check_form_token(found, request.form.get("form_token", ""))
    if not access.programmes_for(found, Role.CASHIER):
        raise NotAllowed
    if request.endpoint == "till.place" or request.endpoint == "till.choose":
        return None
    # A right that was taken away meanwhile counts at once.
    if found.loaded is None or not access.may(found, found.loaded.slug, Role.CASHIER):
        return redirect(url_for("till.place"), 303)
    g.place = Place(found.loaded, found.location)
    return None


@blueprint.context_processor
def setting() -> dict[str, object]:
    """What every page of the till shows."""
    place: Place | None = g.get("place")
    return {
        "person": g.get("person"),
        "place": place,
        "programme": place.loaded.programme if place else None,
        "theme": theme.address(place.loaded) if place else None,
        "now": now(),
    }


def who() -> Person:
    """Who is signed in."""
    person: Person = g.person
    return person


def here() -> Place:
    """Where they work."""
    place: Place = g.place
    return place
