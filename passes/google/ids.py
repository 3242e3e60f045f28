"""The ids of classes and objects: `<issuer>.<suffix>`.

An id is permanent and appears in links and callbacks, so suffixes are made of
internal references only, never of anything about a person.
"""

from __future__ import annotations

import re

SUFFIX_CHARACTERS_MAX = 64
"""Google names no limit; this is ours."""

ISSUER = re.compile(r"[0-9]{1,19}", re.ASCII)
RESOURCE = re.compile(r"[0-9]+\.[A-Za-z0-9._-]+", re.ASCII)
_SUFFIX = re.compile(rf"[A-Za-z0-9._-]{{1,{SUFFIX_CHARACTERS_MAX}}}", re.ASCII)


class IdInvalid(ValueError):
    """No id can be made of this: a mistake of ours or of the settings."""


def resource_id(issuer_id: str, suffix: str) -> str:
    """The id of a class (suffix: the programme's slug) or an object (suffix: the card's serial).

    Raises IdInvalid for an issuer that is no number, and for a suffix with
    anything but letters, digits, `.`, `_`, `-`, or longer than 64 characters.
    """
    if not ISSUER.fullmatch(issuer_id):
        raise IdInvalid("the issuer id must be the number that Google's console shows")
    if not _SUFFIX.fullmatch(suffix):
        raise IdInvalid("the suffix of an id must be 1 to 64 of A-Z a-z 0-9 . _ -")
    return f"{issuer_id}.{suffix}"


def belongs_to(issuer_id: str, identifier: str) -> bool:
    """Whether this is the id of a class or object of the issuer."""
    return RESOURCE.fullmatch(identifier) is not None and identifier.startswith(f"{issuer_id}.")
