"""A browser window of which every complaint is kept, and what can be wrong with a page in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, Request, expect

AXE = (Path(__file__).parents[2] / "vendor" / "axe-4.14.1.min.js").read_text()
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
# All that a page's colours have to do with.
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
expect.set_options(timeout=15_000)
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


HARMLESS = (
    # A refused form answers 422; Chromium reports that as a failure to load.
    "Failed to load resource",
    # A test may be in a field before the page was drawn for the first time, which is when this is looked at.
    "Autofocus processing was blocked because a document already has a focused element",
)

# Names and words of the shops and their people, which no page translates.
FROM_THE_SHOP = (
    "Finch|Sayfa|Marginalya|Copperfinch|Ana|Cy|West|Wicker|Lakeview|Alsancak|Extra shot|Perch|may ring"
)


@dataclass
class Watched:
    """A page of which every complaint is kept."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    deaf: bool = False

    def open(self, address: str) -> Page:
        self.page.goto(self.base + address)
        return self.page

    def watch(self) -> None:
        def heard(text: str) -> None:
            if not self.deaf and not text.startswith(HARMLESS):
                self.complaints.append(text)

        def asked(request: Request) -> None:
            if not request.url.startswith((self.base, "data:", "blob:")):
                self.complaints.append(f"asked {request.url}")

        self.page.on("console", lambda message: heard(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", asked)


Open = Callable[..., Watched]
SCHEMES: tuple[Literal["dark", "light"], ...] = ("dark", "light")


def violations(window: Watched, rules: object = RULES) -> list[str]:
    """What axe finds, in one line each. Axe itself tries inline styles, so nobody listens meanwhile."""
    window.deaf = True
    if not window.page.evaluate("typeof axe === 'object'"):
        window.page.evaluate(AXE + ";1")
    found = window.page.evaluate("(rules) => axe.run(document, {runOnly: rules})", rules)
    window.deaf = False
    return [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found["violations"]]


def faults(window: Watched, state: str, *, width: int) -> list[str]:
    """What is wrong with the page as it stands: for axe in light and dark, for who wants no motion, too wide.

    320 is a small phone, and what 640 becomes at 200 % zoom; the window is `width` afterwards.
    """
    page, wrong = window.page, []
    for scheme, rules in zip(SCHEMES, (RULES, COLOURS), strict=True):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        wrong += [f"{state}, {scheme}: {one}" for one in violations(window, rules)]
    wrong += [f"{state}: something moves" for _ in page.evaluate("document.getAnimations()")]
    for other in (320, 1920, width):
        page.set_viewport_size({"width": other, "height": 900})
        if (over := too_wide(page)) > 0:
            wrong.append(f"{state}: {over} px too wide at {other}")
    return wrong


def too_wide(page: Page) -> int:
    """By how many pixels the page can be pushed sideways."""
    over: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return over


def too_small(window: Watched, state: str, *, least: int = 44, but_for: str = ".skip, .alert") -> list[str]:
    """What is to be pressed and lower than `least` pixels, or narrower than 44. A label counts as its box."""
    small = window.page.evaluate(
        """([least, butFor]) =>
          [...document.querySelectorAll("a, button, summary, select, input:not([type=hidden])")]
          .filter((one) => !one.closest(butFor) && one.checkVisibility())
          .map((one) => [one, (one.closest("label") ?? one).getBoundingClientRect()])
          .filter(([one, box]) => box.height && (box.height < least - 0.5 || box.width < 44))
          .map(([one, box]) => `${one.outerHTML.slice(0, 90)} ${box.width}x${box.height}`)""",
        [least, but_for],
    )
    return [f"{state}: {one}" for one in small]


def plain_english(
    window: Watched,
    state: str,
    *,
    where: str = "h1, h2, h3, label, button, summary, .lead, .hint, a.button",
    own_words: str = FROM_THE_SHOP,
) -> list[str]:
    """What a page in the made-up language says in plain English, but for the shops' own words."""
    return [
        f"{state}: {text}"
        for text in window.page.locator(where).all_inner_texts()
        if re.search(r"[a-z]{3}", text) and "[" not in text and not re.search(own_words, text)
    ]


def focused(page: Page) -> str:
    name: str = page.evaluate(
        """() => {
          const one = document.activeElement;
          const rest = one.id ? `#${one.id}` : one.matches("a[class]") ? `.${one.className}` : "";
          return one.localName + rest;
        }"""
    )
    return name


def ring(page: Page) -> bool:
    """Whether the focus can be seen."""
    seen: bool = page.evaluate(
        """() => {
          const style = getComputedStyle(document.activeElement);
          return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
        }"""
    )
    return seen
