"""What all parts of the console share: who may come in, whom they work for, and what each page shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from flask import Blueprint, g

from passes import access
from passes.access import Person, Role
from passes.apple.signing import RENEW_DAYS, URGENT_DAYS
from passes.loyalty.offers import OfferState
from passes.store import offers
from passes.store.offers import OfferRow
from passes.store.programmes import Loaded
from passes.web import signin, theme
from passes.web.here import installation, now


def admit(blueprint: Blueprint, role: Role) -> None:
    """Let only this role into a part of the console, and only forms of their own session."""
    blueprint.before_request(lambda: signin.console_guard(role))
    blueprint.context_processor(setting)


def person() -> Person:
    """Who is signed in."""
    found: Person = g.person
    return found


def loaded() -> Loaded:
    """The programme that they work for."""
    found: Loaded = g.loaded
    return found


def setting() -> dict[str, object]:
    """What every page of the console shows."""
    found: Loaded | None = g.get("loaded")
    return {
        "person": g.get("person"),
        "loaded": found,
        "programme": found.programme if found else None,
        "theme": theme.address(found) if found else None,
        "several": found is not None and len(access.programmes_for(person(), Role.MARKETER)) > 1,
        "owns": found is not None and access.may(person(), found.slug, Role.OWNER),
        "now": now(),
        "running_offers": _running,
        "certificate": _certificate(),
    }


@dataclass(frozen=True, slots=True)
class Ending:
    """A certificate that ends soon: when, in how many days, and whether it is high time."""

    day: date
    days: int
    is_urgent: bool


def _certificate() -> Ending | None:
    """What ends soon, for every page: without it no card can be made or changed any more."""
    signer = installation().office.signer
    left = signer.ends_at - now()
    if signer.development or left > timedelta(days=RENEW_DAYS):
        return None
    return Ending(signer.ends_at.date(), max(0, left.days), left.days <= URGENT_DAYS)


def _running() -> list[OfferRow]:
    """What every page can stop: the offers that run, or will without anybody's doing."""
    with installation().store.read() as read:
        standing = offers.published(read, loaded())
    return [row for row in standing if row.state is not OfferState.PAUSED]
