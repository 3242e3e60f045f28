"""Opening the installation that a command works on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from passes.settings import Settings

if TYPE_CHECKING:
    from passes.wiring import Installation


def read_settings() -> Settings:
    """The operator's decisions. Raises `CannotStart`."""
    return Settings.read(os.environ)


@contextmanager
def opened() -> Iterator[Installation]:
    """The live objects, let go of at the end. Raises `CannotStart`."""
    from passes.wiring import build

    installation = build(read_settings())
    try:
        yield installation
    finally:
        installation.close()
