"""Installations for stories, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.town import Town


@pytest.fixture
def town(database_url: str, tmp_path: Path) -> Iterator[Town]:
    """An installation that is not running yet."""
    built = Town(database_url, tmp_path)
    yield built
    built.stop()
