"""Whose an order is: the card that its texts name."""

from __future__ import annotations

from collections.abc import Sequence

from passes.loyalty import codes
from passes.loyalty.basket import KEY_LETTERS_MAX
from passes.loyalty.codes import CodeKind
from passes.registers.orders import OrderPaid
from passes.store import Read, registers
from passes.store.programmes import Loaded

_WORDS_MAX = 200


def card_of(read: Read, loaded: Loaded, event: OrderPaid) -> int | None:
    """The card that an order names; None where it names none that we know."""
    kind = loaded.programme.code_kind
    free = (word for text in event.words for word in text.replace(",", " ").split()[:_WORDS_MAX])
    # Among free words only what has the shape of a code: an order note is no place to guess.
    shaped = (word for word in free if codes.is_code(codes.normalise(word), kind))
    for text in (*event.who, *shaped, *_joined(event.words, kind)):
        candidate = codes.normalise(text.strip())
        if not (candidate.isascii() and candidate.isalnum() and len(candidate) <= KEY_LETTERS_MAX):
            continue
        if (found := registers.card_of(read, loaded.id, candidate)) is not None:
            return found
    return None


def code_of(read: Read, loaded: Loaded, card_id: int | None) -> str | None:
    """A code of that card as the counter reads it: an alias may have another shape. None for a void card."""
    if card_id is None:
        return None
    kind = loaded.programme.code_kind
    known = registers.codes_of(read, loaded.id, card_id)
    return next((code for code in known if codes.is_code(code, kind)), None)


def _joined(texts: Sequence[str], kind: CodeKind) -> list[str]:
    """Texts that are nothing but a code, written in groups."""
    return [text for text in texts if codes.is_code(codes.normalise(text.strip()), kind)]
