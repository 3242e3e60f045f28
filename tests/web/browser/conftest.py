"""Pages in a real Chromium, on one engine; at the end nothing may have been complained about."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext
from werkzeug.serving import make_server

from passes.enrolment import Joined
from passes.store import Store
from passes.store import open as open_store
from passes.wiring import Installation
from tests.shop import Shop
from tests.web.browser.window import Open, Watched
from tests.web.conftest import application


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """One engine is enough to look at pages."""
    opened = open_store(sqlite_url, writer_thread=True)
    yield opened
    opened.close()


@pytest.fixture
def served(installation: Installation) -> Iterator[str]:
    """The address of the running application."""
    server = make_server("127.0.0.1", 0, Flask("not yet"), threaded=True)
    base = f"http://127.0.0.1:{server.server_port}"
    server.app = application("browser", replace(installation, public_url=base))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield base
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def browse(chromium: Browser, served: str) -> Iterator[Open]:
    """Make a browser window; at the end nothing may have been complained about."""
    windows: list[tuple[BrowserContext, Watched]] = []

    def open_window(*, width: int = 412, height: int = 915, **options: Any) -> Watched:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce", **options
        )
        # Generous: the first page draws the card's pictures, and the machine may be busy.
        context.set_default_timeout(30_000)
        watched = Watched(context.new_page(), served)
        watched.watch()
        windows.append((context, watched))
        return watched

    yield open_window
    complaints = [one for _, watched in windows for one in watched.complaints]
    for context, _ in windows:
        context.close()
    assert complaints == []


@pytest.fixture
def ana(house: Shop) -> Joined:
    """The regular: 640 beans."""
    joined = house.join("Ana Reyes")
    house.buy(joined.code, 54_00)
    return joined
