"""Emulators that tests may start, and that end with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from passes.emulators.google import GoogleEmulator
from tests.emulators.issuer import EMAIL, Issuer, public_pem

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start_google(clock: Clock) -> Iterator[Callable[..., GoogleEmulator]]:
    started: list[GoogleEmulator] = []

    def start(**options: Any) -> GoogleEmulator:
        options = {
            "accounts": {EMAIL: public_pem()},
            "clock": clock,
            "callback_delays_seconds": (0.01, 0.01),
            **options,
        }
        emulator = GoogleEmulator(**options)
        emulator.start()
        started.append(emulator)
        return emulator

    yield start
    for emulator in started:
        emulator.stop()


@pytest.fixture
def google(start_google: Callable[..., GoogleEmulator]) -> GoogleEmulator:
    return start_google()


@pytest.fixture
def issuer(google: GoogleEmulator) -> Iterator[Issuer]:
    client = Issuer(google.address, NOW).sign_in()
    yield client
    client.close()
