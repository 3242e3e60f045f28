"""Which share of what a till's camera sees is read, how fast, and when the member stands on the screen.

The till's own decoder in Chromium, served by the running service, looks at
pictures of 1280×720: phones that show cards under twelve conditions
(tests/lens.py), twenty tremblings of the hand each. A picture counts when its
text comes back. Slow devices look at slanted bars in turns, so it also says how
many are read within a few pictures in a row. Then the till itself scans a card
in poor light with Chromium's pretended camera, with and without network.

    python -m benchmarks.scanning
"""

from __future__ import annotations

import io
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, Route, sync_playwright

from benchmarks import ground
from benchmarks.table import NotMeasured, Row, alone
from passes import access, wiring
from passes.access import Area, Grant, PasswordCost, Role
from passes.loyalty.codes import CodeKind, code_from
from passes.settings import Settings
from passes.store import Store
from tests import lens
from tests.shop import COFFEE, open_shop
from tests.stories.town import Town
from tests.web.browser.window import FLAGS

CHROMIUM = "/usr/bin/chromium"
HANDS = 20
PICTURES_IN_A_ROW = 5  # not half a second of video
SQUARE_MIN, BARS_MIN = 0.98, 0.90
MILLISECONDS_MAX = 60.0
SCANS = 15
ONLINE_SECONDS_MAX, OFFLINE_SECONDS_MAX = 0.8, 0.5
# What each kind of symbol carries, and the share that has to be read.
KINDS = {
    "qr": (CodeKind.LETTERS, SQUARE_MIN),
    "aztec": (CodeKind.LETTERS, SQUARE_MIN),
    "code128": (CodeKind.DIGITS16, BARS_MIN),
    "pdf417": (CodeKind.LETTERS, BARS_MIN),
}
# The pictures' names; nothing of the service has this address, and no picture leaves this process.
_PICTURES = "/pictures/"
_READ = """
  async ({ decoder, addresses, formats }) => {
    const { decodeFrame } = await import(decoder);
    const read = [];
    for (const address of addresses) {
      const picture = await createImageBitmap(await (await fetch(address)).blob());
      const began = performance.now();
      const text = await decodeFrame(picture, formats);
      read.push([text, performance.now() - began]);
    }
    return read;
  }
"""


_CLICK = """
  async () => {
    window.folder ??= document.querySelector("link[href^='/till/files/']").href.replace(/[^/]+$/, "");
    const began = performance.now();
    document.querySelector("[data-slot=start]").click();
    await new Promise((resolve) => {
      new MutationObserver((_, watching) => {
        if (!document.querySelector("[data-screen=member] h1")?.textContent) return;
        watching.disconnect();
        resolve();
      }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
    });
    return (performance.now() - began) / 1000;
  }
"""


@dataclass(frozen=True, slots=True)
class Read:
    """What came of the pictures of one condition."""

    right: list[bool]
    wrong: int
    milliseconds: list[float]

    @property
    def share(self) -> float:
        """Of the pictures, how many were read."""
        return sum(self.right) / len(self.right)

    @property
    def share_in_a_row(self) -> float:
        """Of all places to begin at, how many lead to a read within a few pictures."""
        long = [*self.right, *self.right]
        begins = range(len(self.right))
        return sum(any(long[place : place + PICTURES_IN_A_ROW]) for place in begins) / len(begins)


def run() -> Iterator[Row]:
    """Measure the till with its camera, then each kind of symbol under every condition."""
    if not Path(CHROMIUM).exists():
        raise NotMeasured("chromium is missing: apt-get install --no-install-recommends chromium")
    with ground.database("SQLite") as database, sync_playwright() as playwright:
        town = Town(database.url, database.folder)
        settings = Settings.read(town.environment)
        wiring.prepare(settings)
        installation = wiring.build(settings)
        code, session = _shop(installation.store)
        installation.close()
        film = lens.video(
            database.folder / "camera.y4m",
            [lens.seen("qr", code, lens.CONDITIONS["moderate"], seed=seed) for seed in range(HANDS)],
        )
        try:
            town.start("serve")
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=[
                    *FLAGS,
                    "--use-fake-device-for-media-stream",
                    f"--use-file-for-fake-video-capture={film}",
                ],
            )
            context = browser.new_context(permissions=["camera"])
            context.add_cookies([{"name": "passes_till", "value": session, "url": f"{town.web_url}/till/"}])
            page = context.new_page()
            yield from _till(page, town.web_url)
            for kind in KINDS:
                yield from _kind(page, town.web_url, kind)
            browser.close()
        finally:
            town.stop()


def _shop(store: Store) -> tuple[str, str]:
    """The coffee shop with one member: their code, and the secret of a cashier's session."""
    shop = open_shop(store, ground.now())
    access.add_staff(
        store,
        login="cy",
        name="Cy",
        password="a long password",
        grants=[Grant(COFFEE, Role.CASHIER)],
        now=ground.now(),
        cost=PasswordCost(memory_kib=64, passes=1, lanes=1),
    )
    session = access.sign_in_for_demonstration(
        store, programme=COFFEE, role=Role.CASHIER, area=Area.TILL, now=ground.now()
    )
    access.work_at(store, secret=session, programme=COFFEE, location="west-loop")
    return shop.join("Ana Reyes").code, session


def _till(page: Page, base: str) -> Iterator[Row]:
    """From the click on the large button until the member stands on the screen."""
    page.goto(f"{base}/till/app")
    page.locator("[data-screen=scan]").wait_for()
    page.evaluate("() => navigator.serviceWorker.ready.then(() => 1)")
    page.reload()
    for network, seconds_max in (("online", ONLINE_SECONDS_MAX), ("offline", OFFLINE_SECONDS_MAX)):
        page.context.set_offline(network == "offline")
        took = [_scan(page, base) for _ in range(SCANS)]
        yield Row(
            f"scan click to member, {network}, p50", statistics.median(took), "s", seconds_max, at_most=True
        )
    page.context.set_offline(False)


def _scan(page: Page, base: str) -> float:
    page.locator("[data-screen=scan]").wait_for()
    seconds: float = page.evaluate(_CLICK)
    page.locator("[data-slot=next]").click()
    # The same card would be ignored for three seconds; somebody else was here.
    page.evaluate("async () => { (await import(`${window.folder}codes.js`)).isFresh('somebody else'); }")
    return seconds


def _kind(page: Page, base: str, kind: str) -> Iterator[Row]:
    code_kind, least = KINDS[kind]
    by_condition = {
        name: _read(page, base, kind, code_from(name.encode().ljust(16, b"."), code_kind), condition)
        for name, condition in lens.CONDITIONS.items()
    }
    for name, read in by_condition.items():
        print(
            f"  {kind:8} {name:12} {read.share:6.0%} of pictures, {read.share_in_a_row:6.0%} within "
            f"{PICTURES_IN_A_ROW}, {statistics.median(read.milliseconds):4.0f} ms",
            file=sys.stderr,
        )
    wrong = sum(read.wrong for read in by_condition.values())
    if wrong:
        raise RuntimeError(f"{wrong} pictures of {kind} were read as another text")
    shares = [read.share for read in by_condition.values()]
    times = sorted(one for read in by_condition.values() for one in read.milliseconds)
    yield Row(f"{kind} read, twelve conditions", 100 * statistics.fmean(shares), "%", 100 * least)
    in_a_row = statistics.fmean(read.share_in_a_row for read in by_condition.values())
    yield Row(f"… within {PICTURES_IN_A_ROW} pictures", 100 * in_a_row, "%", 100 * least)
    yield Row("… a picture, p50", statistics.median(times), "ms", MILLISECONDS_MAX, at_most=True)


def _read(page: Page, base: str, kind: str, code: str, condition: lens.Condition) -> Read:
    pictures = [_png(kind, code, condition, seed) for seed in range(HANDS)]

    def show(route: Route) -> None:
        number = int(route.request.url.rpartition("/")[2])
        route.fulfill(body=pictures[number], content_type="image/png")

    page.route(f"**{_PICTURES}*", show)
    answers = page.evaluate(
        _READ, {"decoder": _decoder(page, base), "addresses": _addresses(), "formats": [kind]}
    )
    page.unroute(f"**{_PICTURES}*")
    return Read(
        [text == code for text, _ in answers],
        sum(text not in (code, None) for text, _ in answers),
        [took for _, took in answers],
    )


def _addresses() -> Sequence[str]:
    return [f"{_PICTURES}{number}" for number in range(HANDS)]


def _decoder(page: Page, base: str) -> str:
    """The decoder's address in this version of the till."""
    made_of = page.request.get(f"{base}/till/worker.js").text()
    return next(part for part in made_of.split('"') if part.endswith("/decoder.js"))


def _png(kind: str, code: str, condition: lens.Condition, seed: int) -> bytes:
    file = io.BytesIO()
    lens.seen(kind, code, condition, seed=seed).save(file, "PNG", compress_level=1)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(alone(run))
