"""What a phone's browser does with a link: fetch it, follow it, and press the wallet's button on a page.

Only loopback and the shop are asked, whatever a page says.
"""

from __future__ import annotations

import io
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import urllib3

_TIMEOUT = urllib3.Timeout(connect=3.0, read=10.0)
_ANSWER_BYTES_MAX = 10_000_000
_STEPS_MAX = 6
_PIXELS_MAX = 40_000_000
_SIDE_MAX = 1600
_PASS_MIME = "application/vnd.apple.pkpass"
_MOVED = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Elsewhere(Exception):
    """The link leads to a page for people, with no card on it: `address` is where to read it."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


class Astray(Exception):
    """The link leads nowhere; says why, for people."""


def follow(
    address: str,
    fetch: Callable[[str], Answer | None],
    *,
    wallet: str,
    arrived: Callable[[str], bool] = lambda address: False,
) -> tuple[str, Answer | None]:
    """Go along redirects, and past one page by its button for `wallet` ("Apple" or "Google").

    Returns the last address and its answer; no answer where `arrived` says that
    the address itself is what was wanted. Raises Elsewhere, or Astray.
    """
    try:
        return _followed(address, fetch, wallet, arrived)
    except ValueError as wrong:
        # Such as `http://[`: in what was typed, in a redirect, or in a page's button.
        raise Astray("That is no address.") from wrong


def _followed(
    address: str, fetch: Callable[[str], Answer | None], wallet: str, arrived: Callable[[str], bool]
) -> tuple[str, Answer | None]:
    pressed = False
    for _ in range(_STEPS_MAX):
        if arrived(address):
            return address, None
        answer = fetch(address)
        if answer is None:
            raise Astray("The address does not answer.")
        if answer.status in _MOVED and "location" in answer.headers:
            address = urljoin(address, answer.headers["location"])
        elif answer.status == 200 and answer.media_type == "text/html":
            button = None if pressed else _button(answer.body.decode("utf-8", "replace"), wallet)
            if button is None:
                raise Elsewhere(address)
            address, pressed = _unwrapped(urljoin(address, button)), True
        else:
            return address, answer
    raise Astray("The link leads from one address to the next without end.")


def may_reach(address: str, services: Sequence[str]) -> bool:
    """True for loopback and for the origins of `services`: a phone fetches nothing else."""
    try:
        parts = urlsplit(address)
        origin = (parts.scheme, parts.hostname, parts.port)
        allowed = [urlsplit(service) for service in services]
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        return False
    if origin in [(one.scheme, one.hostname, one.port) for one in allowed]:
        return True
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return False


def ask(
    http: urllib3.PoolManager, method: str, address: str, headers: Mapping[str, str], body: bytes | None
) -> Answer:
    """One request without following redirects.

    Raises what urllib3 raises, OSError, or ValueError for an answer that is too long.
    """
    response = http.request(
        method,
        address,
        headers=headers,
        body=body,
        redirect=False,
        retries=False,
        timeout=_TIMEOUT,
        preload_content=False,
    )
    try:
        data = response.read(_ANSWER_BYTES_MAX + 1)
        if len(data) > _ANSWER_BYTES_MAX:
            response.close()
            raise ValueError("the answer is too long")
    finally:
        response.release_conn()
    return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, data)


def link_in(picture: bytes) -> str | None:
    """The first text that a code on this photograph holds, links before others; None without any."""
    import zxingcpp
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(picture)) as opened:
            if opened.width * opened.height > _PIXELS_MAX:
                return None
            image = ImageOps.exif_transpose(opened).convert("L")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    image.thumbnail((_SIDE_MAX, _SIDE_MAX))
    found = [one.text for one in zxingcpp.read_barcodes(image) if one.text]
    return next((one for one in found if "://" in one), found[0] if found else None)


class _Buttons(HTMLParser):
    """The links of a page: address, words, and type."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, str, str]] = []
        self._open: tuple[str, str] | None = None
        self._words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self._open, self._words = (given["href"] or "", given.get("type") or ""), ""
        elif self._open is not None:
            # An official button is a picture whose alternative text names the wallet.
            self._words += f" {given.get('alt') or given.get('aria-label') or ''}"

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._open is not None:
            self.found.append((self._open[0], self._words, self._open[1]))
            self._open = None

    def handle_data(self, data: str) -> None:
        self._words += data


def _button(page: str, wallet: str) -> str | None:
    reader = _Buttons()
    reader.feed(page)
    reader.close()
    typed = [href for href, _, kind in reader.found if kind == _PASS_MIME and wallet == "Apple"]
    named = [href for href, words, _ in reader.found if wallet in words]
    return next(iter(typed + named), None)


def _unwrapped(address: str) -> str:
    """The shop's pages may lead to a virtual phone's own add sheet: what counts is the link inside."""
    parts = urlsplit(address)
    inside = parse_qs(parts.query).get("url") if parts.path == "/add" else None
    return inside[0] if inside else address
