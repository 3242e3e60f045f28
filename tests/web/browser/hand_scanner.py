"""A scanner that types like a keyboard, on computers of several countries."""

from __future__ import annotations

import time

from playwright.sync_api import Page

# What other keyboards make of keys that an American one writes as their name says.
LAYOUTS: dict[str, dict[str, str]] = {
    "Turkish Q": {"KeyI": "ı", "Quote": "i", "Slash": ".", "Period": "ç"},
    "AZERTY": {
        "KeyA": "q",
        "KeyQ": "a",
        "KeyZ": "w",
        "KeyW": "z",
        "KeyM": ",",
        "Semicolon": "m",
        **{f"Digit{digit}": "à&é\"'(-è_ç"[digit] for digit in range(10)},
    },
    "QWERTZ": {"KeyY": "z", "KeyZ": "y", "Minus": "ß"},
}
KEYS = {"~": "Backquote", ":": "Semicolon", "/": "Slash", ".": "Period"}
SHIFT = 8


class HandScanner:
    """An American scanner on a computer with any layout: presses keys at the pace that it was made for.

    The pace stands in the events themselves, so that a busy machine cannot slow it down.
    """

    def __init__(self, page: Page) -> None:
        self._keys = page.context.new_cdp_session(page)
        self._at = 0.0

    def scan(
        self,
        text: str,
        *,
        gap_ms: int = 10,
        ending: str = "Enter",
        layout: dict[str, str] | None = None,
        caps: bool = False,
    ) -> None:
        """All keys of a text, and what the scanner was set to end with."""
        self._at = max(time.time(), self._at + 0.4)
        for symbol in text:
            code = KEYS.get(symbol, f"Digit{symbol}" if symbol.isdigit() else f"Key{symbol}")
            written = (layout or {}).get(code, symbol)
            self._press(code, written.lower() if caps else written, 0 if symbol.isdigit() else SHIFT)
            self._at += gap_ms / 1000
        if ending:
            self._press(ending, ending, 0, text="\r" if ending == "Enter" else "")

    def unplug(self) -> None:
        """It types nothing more."""
        self._keys.detach()

    def _press(self, code: str, key: str, modifiers: int, *, text: str | None = None) -> None:
        values = {"code": code, "key": key, "modifiers": modifiers, "timestamp": self._at}
        written = key if text is None else text
        self._keys.send("Input.dispatchKeyEvent", {"type": "keyDown", "text": written, **values})
        self._keys.send("Input.dispatchKeyEvent", {"type": "keyUp", **values})


def scan(page: Page, code: str) -> None:
    """A card's code; the scanner is unplugged again.

    A page that is loaded without network while it is plugged in would not hear that the network is back.
    """
    scanner = HandScanner(page)
    scanner.scan(code)
    scanner.unplug()
