"""A browser at the till: signed in, and what the modules of the app answer there."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.shop import COFFEE
from tests.web.browser.window import Watched
from tests.web.conftest import PASSWORD


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
