"""A browser at the till: signed in, and what the modules of the app answer there."""

from __future__ import annotations

import contextlib
from typing import Any

from playwright.sync_api import Error, Page, Route

from passes import access
from passes.access import Area, Role
from tests.shop import COFFEE, Shop
from tests.web.browser.window import Watched
from tests.web.conftest import PASSWORD

QUEUE = "**/till/api/queue"
FULL = """
  () => {
    window.put ??= IDBObjectStore.prototype.put;
    IDBObjectStore.prototype.put = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
  }
"""
ROOM = "() => { IDBObjectStore.prototype.put = window.put; }"


def sign_in(window: Watched, login: str = "cy", shop: str = f"{COFFEE}/west-loop") -> Page:
    """Sign in with a password, as on a till that nobody has paired."""
    page = window.open("/till/sign-in")
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.press("#password", "Enter")
    page.wait_for_url(lambda url: "sign-in" not in url)
    window.open("/till/place?stay=1").locator(f"button[value='{shop}']").click()
    page.wait_for_url(lambda url: "place" not in url)
    return page


def call(page: Page, module: str, expression: str, **given: Any) -> Any:
    """What a module of the app answers; `it` is the module, `given` the values."""
    return page.evaluate(
        f"""async ([module, given]) => {{
          const told = async () => {{
            const source = await (await fetch("/till/worker.js")).text();
            return `/till/files/${{JSON.parse(source.slice(16, source.indexOf(";\\n"))).version}}/`;
          }};
          const sheet = document.querySelector("link[href^='/till/files/']");
          window.folder ??= sheet?.getAttribute("href").replace(/[^/]+$/, "") ?? (await told());
          const it = await import(`${{window.folder}}${{module}}.js`);
          return {expression};
        }}""",
        [module, given],
    )


def come_to_work(window: Watched, house: Shop) -> None:
    """Cy is signed in at West Loop, as with a password but quicker."""
    store = house.store
    session = access.sign_in_for_demonstration(
        store, programme=COFFEE, role=Role.CASHIER, area=Area.TILL, now=house.now
    )
    access.work_at(store, secret=session, programme=COFFEE, location="west-loop")
    window.page.context.add_cookies(
        [{"name": "passes_till", "value": session, "url": f"{window.base}/till/"}]
    )


def lost(page: Page) -> None:
    """From now on the server hears the queue, and its answer never arrives."""

    def lose(route: Route) -> None:
        route.fetch()
        # On a busy machine the page has given up on it by itself.
        with contextlib.suppress(Error):
            route.abort()

    page.route(QUEUE, lose)


def connect(page: Page) -> None:
    """The network is back, and every page in this browser knows."""
    page.context.set_offline(False)
    for one in page.context.pages:
        one.wait_for_function("() => navigator.onLine")


def deliver(page: Page) -> None:
    """The network is back, and what waits goes."""
    connect(page)
    call(page, "queue", "it.flush()")
