"""The two demonstration shops, read from their files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import passes
from passes.language import say
from passes.loyalty.programme import Programme
from passes.loyalty.programme_file import parse

FILES = Path(passes.__file__).parent / "programmes"


def text_of(slug: str) -> str:
    return (FILES / f"{slug}.toml").read_text(encoding="utf-8")


@lru_cache(maxsize=4)
def shop(slug: str) -> Programme:
    return parse(text_of(slug), name=f"{slug}.toml", say=say)
