"""Words that people read: texts in several languages, and what points are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """The same words in several languages; the first one stands in for any that is missing."""

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, words: Mapping[str, str]) -> Text:
        """From `{language: words}`; the order of the mapping is kept."""
        return cls(tuple(words.items()))

    def in_(self, language: str) -> str:
        """The words in this language, else in its base language (`tr-TR` → `tr`), else in the default one."""
        words = dict(self.pairs)
        base = language.replace("_", "-").partition("-")[0]
        return words.get(language) or words.get(base) or (self.pairs[0][1] if self.pairs else "")


@dataclass(frozen=True, slots=True)
class Unit:
    """What the points are called: `one` bean, `other` beans."""

    one: Text
    other: Text

    def name(self, count: int, language: str) -> str:
        """The name that stands after this number."""
        return (self.one if count == 1 else self.other).in_(language)
