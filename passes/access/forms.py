"""Forms: proofs that this server made them, and that they belong to a session."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from passes.access.people import Person
from passes.loyalty.refusals import FormStale
from passes.store.instants import instant, micros

FORM_TIME = timedelta(hours=12)
"""How long a form that needs no session may stay open."""


class Prover(Protocol):
    """What proves that this server made a form: the server keys."""

    def form_proof(self, *parts: str) -> str:
        """A proof for these texts."""
        ...


@dataclass(frozen=True, slots=True)
class Form:
    """A form without a session. `key` names the request: sent twice, it is booked once."""

    purpose: str
    key: str
    text: str


def new_form(prover: Prover, *, purpose: str, now: datetime, key: str | None = None) -> Form:
    """A form's hidden value, made on the server; `purpose` keeps forms apart.

    A form that is shown again after a refusal keeps its `key`.
    """
    key = key or secrets.token_urlsafe(18)
    issued = f"{micros(now):x}"
    return Form(purpose, key, f"{issued}.{key}.{prover.form_proof(purpose, issued, key)}")


def read_form(prover: Prover, text: str, *, purpose: str, now: datetime) -> Form:
    """The form that this hidden value belongs to. Raises FormStale when it is old, foreign or forged."""
    issued, _, rest = text.partition(".")
    key, _, proof = rest.rpartition(".")
    if not hmac.compare_digest(proof.encode(), prover.form_proof(purpose, issued, key).encode()):
        raise FormStale
    # Proven, so this is a number that we wrote.
    if not timedelta(0) <= now - instant(int(issued, 16)) < FORM_TIME:
        raise FormStale
    return Form(purpose, key, text)


def check_form_token(person: Person, given: str) -> None:
    """Refuse a form that was not made for this session. Raises FormStale."""
    if not hmac.compare_digest(given.encode(), person.form_token.encode()):
        raise FormStale
