"""Letters: upper case that respects a language, and names made safe to print."""

from __future__ import annotations

import unicodedata

# Languages in which i and ı are two letters: their capitals are İ and I.
_DOTTED = frozenset({"tr", "az"})


def upper(text: str, language: str) -> str:
    """Upper case as this language writes it: `bilgi` is BİLGİ in Turkish and BILGI in English."""
    if language.replace("_", "-").partition("-")[0] in _DOTTED:
        text = text.replace("i", "İ")
    return text.upper()


def folded(text: str) -> str:
    """How a name is looked for: small plain letters and digits, words apart by one space.

    İ, I, ı and i are one letter, and so are ş and s: whoever types at a till
    types what their keyboard has.
    """
    apart = unicodedata.normalize("NFKD", text.casefold().replace("ı", "i"))
    plain = (symbol for symbol in apart if not unicodedata.combining(symbol))
    return " ".join("".join(symbol if symbol.isalnum() else " " for symbol in plain).split())


def turned(words: str) -> str:
    """Folded words with the last one first: people are looked for by either name."""
    first, _, last = words.rpartition(" ")
    return f"{last} {first}" if first else last


def cleaned(text: str, limit: int = 64) -> str:
    """One printable line of at most `limit` characters, cut with an ellipsis.

    Control characters, line breaks and the invisible marks that turn the
    direction of text around are dropped, so that a name cannot disturb what
    stands beside it on a card. Joiners within a word stay: Persian and Indic
    names are spelt with them.
    """
    spaced = "".join(" " if symbol.isspace() else symbol for symbol in unicodedata.normalize("NFC", text))
    visible = "".join(
        symbol for symbol in spaced if symbol in _JOINERS or unicodedata.category(symbol) not in _INVISIBLE
    )
    line = " ".join(word for part in visible.split() if (word := part.strip(_JOINERS)))
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


_JOINERS = "\u200c\u200d"
# Control, format (directional overrides, zero-width), surrogate, private use, unassigned.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
