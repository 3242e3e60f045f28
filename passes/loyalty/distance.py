"""How far shops are apart, and which of them nobody gets between so fast. Reference: loyalty G."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from math import asin, cos, radians, sin, sqrt

from passes.loyalty.programme import Shop

FAR_KM, FAR_WITHIN = 50, timedelta(minutes=10)
"""A card that is in two shops so far apart within so little time is in two hands."""

_EARTH_KM = 6371


def kilometres(one: Shop, other: Shop) -> float:
    """How far two shops are apart, as the crow flies."""
    north, south = radians(one.latitude), radians(other.latitude)
    across = radians(other.longitude - one.longitude)
    half = sin((south - north) / 2) ** 2 + cos(north) * cos(south) * sin(across / 2) ** 2
    return 2 * _EARTH_KM * asin(sqrt(half))


def far_from(shops: Iterable[Shop], location: str | None) -> frozenset[str]:
    """The keys of the shops that are far from this one; none where nobody stands in a shop."""
    every = list(shops)
    here = next((shop for shop in every if shop.key == location), None)
    if here is None:
        return frozenset()
    return frozenset(shop.key for shop in every if kilometres(here, shop) > FAR_KM)
