"""What the tests of Apple's side need of pytest."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark of tests that ask a program which is not ours."""
    config.addinivalue_line("markers", "witness: asks an outside program; without it skipped, in CI failed")
