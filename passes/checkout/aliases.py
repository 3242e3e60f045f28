"""Codes of a former system: the cards that people carry already scan as cards of ours."""

from __future__ import annotations

from datetime import datetime

from passes.checkout import arrival
from passes.loyalty import codes
from passes.loyalty.refusals import CodeTaken, FormerCodeInvalid
from passes.store import Store, Work, aliases, club, members, programmes


def add_alias(store: Store, *, programme: str, code: str, former: str, by: str, now: datetime) -> str:
    """Let a code of a former system lead to the card with this code; returns it as it is kept.

    Capitals, blanks and dashes make no difference, as for our own codes. Said
    again it stays as it is. Raises FormerCodeInvalid for more than 64 letters,
    digits and `. _ : + * #`, CodeTaken where it leads to another card, and what
    `look` raises for the card's own code.
    """
    typed, known = arrival.typed(code), codes.normalise(former)
    if not codes.may_be_known(known):
        raise FormerCodeInvalid(most=codes.KNOWN_LENGTH_MAX)

    def decide(work: Work) -> str:
        loaded = programmes.by_slug(work, programme)
        standing = arrival.card(work, loaded, typed, members.at_counter(work, loaded.id, typed))
        other = members.standing(members.look(work, loaded.id, known))
        if other is not None and other.card_id != standing.card_id:
            raise CodeTaken()
        if other is None:
            members.add_code(work, programme_id=loaded.id, card_id=standing.card_id, code=known, now=now)
            aliases.count(work, loaded.id)
            # The number itself stays out of it: it may name a person elsewhere.
            club.note(
                work,
                loaded.id,
                by=by,
                action="card_alias",
                about=f"card {standing.card_id}",
                detail="a code of a former system",
                now=now,
            )
        return known

    return store.write(decide)
