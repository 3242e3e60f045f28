"""Card codes: what is printed under the barcode and typed at a till.

A code identifies a card and is no secret. Every kind ends in a check
character that catches any single wrong character and any two neighbours
swapped, which are nearly all mistakes people make when they type.
"""

from __future__ import annotations

from enum import StrEnum
from operator import mul

from passes.loyalty.refusals import CodeMistyped

# No vowels (no rude words, no i/I/ı/İ trouble), nothing that looks like
# another (0/O, 1/I/L, S/5, B/8, G/6, U/V, Y, Z/2, E).
ALPHABET = "23456789CDFHJKMNPQRTVWX"
_DECIMALS = "0123456789"

LETTERS_LENGTH = 16
DIGITS_LENGTH = 16
EAN_LENGTH = 13

RANDOM_BYTES = 16
"""How much randomness `code_from` wants: 128 bits, so that reducing to 68 bits leaves no bias."""


KNOWN_LENGTH_MAX = 64
"""Of a code of a former system."""

_KNOWN_SYMBOLS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ._:+*#"


class CodeKind(StrEnum):
    """What the codes of a programme are made of."""

    LETTERS = "letters"  # 16 of ALPHABET: 2D barcodes
    DIGITS16 = "digits16"  # 16 digits: Code 128 in its compact digit mode
    EAN13 = "ean13"  # 13 digits: tills that only take article numbers


# Powers of 5, which generates all of 1..22 modulo 23. Distinct non-zero
# weights catch every single error and every swap; a geometric row also catches
# every doubled-symbol error (…55… read as …66…), which 1,2,3,… would not.
_WEIGHTS = tuple(pow(5, position, 23) for position in range(LETTERS_LENGTH))

# Damm's totally anti-symmetric quasigroup of order ten (H. M. Damm, 2004).
_DAMM = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)

# GS1 reserves article numbers that begin with 2 for use inside one company,
# so a card can never be taken for something on the shelf.
_EAN_PREFIX = "2"


def code_from(randomness: bytes, kind: CodeKind = CodeKind.LETTERS) -> str:
    """A new code, complete with its check character.

    `randomness` is at least RANDOM_BYTES bytes from a cryptographic source;
    the same bytes give the same code. ValueError when there are too few.
    """
    if len(randomness) < RANDOM_BYTES:
        raise ValueError(f"a card code needs {RANDOM_BYTES} random bytes, not {len(randomness)}")
    number = int.from_bytes(randomness, "big")
    match kind:
        case CodeKind.LETTERS:
            body = _spelled(number, ALPHABET, LETTERS_LENGTH - 1)
        case CodeKind.DIGITS16:
            body = _spelled(number, _DECIMALS, DIGITS_LENGTH - 1)
        case CodeKind.EAN13:
            body = _EAN_PREFIX + _spelled(number, _DECIMALS, EAN_LENGTH - 1 - len(_EAN_PREFIX))
    return body + check_character(body, kind)


def check_character(body: str, kind: CodeKind) -> str:
    """The last character of a code, computed from all before it."""
    match kind:
        case CodeKind.LETTERS:
            # With a symbol of value 0 in the check's place the sum is what the check has to cancel.
            return ALPHABET[-_weighted_sum(body + ALPHABET[0]) * pow(_WEIGHTS[-1], -1, 23) % 23]
        case CodeKind.DIGITS16:
            return str(_damm(body))
        case CodeKind.EAN13:
            return str(-_ean_sum(body + "0") % 10)


def normalise(text: str) -> str:
    """What a person or a scanner meant: upper case, no spaces or dashes.

    Knows nothing of locales: all shapes of the letter I become a plain I, so a
    Turkish keyboard and an English one give the same result.
    """
    if text.isascii() and text.isalnum():
        return text.upper()
    kept = (symbol for symbol in text if not symbol.isspace() and symbol not in _DROPPED)
    return "".join(_CASE.get(symbol, symbol) for symbol in kept)


def read(text: str, kind: CodeKind = CodeKind.LETTERS) -> str:
    """The code that was typed or scanned, normalised. CodeMistyped when it cannot be one."""
    code = normalise(text)
    if not is_code(code, kind):
        raise CodeMistyped
    return code


def is_code(code: str, kind: CodeKind) -> bool:
    """Whether a normalised text has the length, symbols and check character of this kind."""
    match kind:
        case CodeKind.LETTERS:
            return len(code) == LETTERS_LENGTH and _only(code, ALPHABET) and _weighted_sum(code) == 0
        case CodeKind.DIGITS16:
            return len(code) == DIGITS_LENGTH and _only(code, _DECIMALS) and _damm(code) == 0
        case CodeKind.EAN13:
            return len(code) == EAN_LENGTH and _only(code, _DECIMALS) and _ean_sum(code) == 0


def may_be_known(code: str) -> bool:
    """Whether a normalised text can be the code of a card: one of ours, or of a former system."""
    return 0 < len(code) <= KNOWN_LENGTH_MAX and code.isascii() and _only(code, _KNOWN_SYMBOLS)


def grouped(code: str) -> str:
    """The code in groups of four, for people: `ABCD-EFGH-…`."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


_CASE = {lower: lower.upper() for lower in "abcdefghijklmnopqrstuvwxyz"} | {"ı": "I", "İ": "I"}
# Hyphens of every kind, and the invisible marks that copying from a web page drags along.
_DROPPED = frozenset("-‐‑‒–—―−\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad\u0307")


_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)}


def _only(code: str, symbols: str) -> bool:
    return not code.strip(symbols)


def _spelled(number: int, symbols: str, length: int) -> str:
    """The lowest `length` places of a number in the base that `symbols` has."""
    places = []
    for _ in range(length):
        number, place = divmod(number, len(symbols))
        places.append(symbols[place])
    return "".join(places)


def _weighted_sum(code: str) -> int:
    weighted: int = sum(map(mul, _WEIGHTS, map(_VALUES.__getitem__, code)))
    return weighted % 23


def _damm(digits: str) -> int:
    state = 0
    for digit in digits:
        state = _DAMM[state][int(digit)]
    return state


def _ean_sum(code: str) -> int:
    """The GS1 sum modulo ten: weights 1,3,1,3,… from the left, over all thirteen digits."""
    return sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(code)) % 10
