"""Which share of what a till's camera sees is read, and how fast.

The till's own decoder in Chromium, served by the running service, looks at
pictures of 1280×720: phones that show cards under twelve conditions
(tests/lens.py), twenty tremblings of the hand each. A picture counts when its
text comes back. Slow devices look at slanted bars in turns, so it also says how
many are read within a few pictures in a row.

    python -m benchmarks.scanning
"""

from __future__ import annotations

import io
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from playwright.sync_api import Page, Route, sync_playwright

from benchmarks import ground
from benchmarks.table import Row, alone
from passes import wiring
from passes.loyalty.codes import CodeKind, code_from
from passes.settings import Settings
from tests import lens
from tests.stories.town import Town
from tests.web.browser.window import FLAGS

HANDS = 20
PICTURES_IN_A_ROW = 5  # not half a second of video
SQUARE_MIN, BARS_MIN = 0.98, 0.90
MILLISECONDS_MAX = 60.0
# What each kind of symbol carries, and the share that has to be read, where one is asked for.
KINDS = {
    "qr": (CodeKind.LETTERS, SQUARE_MIN),
    "aztec": (CodeKind.LETTERS, SQUARE_MIN),
    "code128": (CodeKind.DIGITS16, BARS_MIN),
    "pdf417": (CodeKind.LETTERS, 0.0),
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
    """Measure each kind of symbol under every condition."""
    with ground.database("SQLite") as database, sync_playwright() as playwright:
        town = Town(database.url, database.folder)
        settings = Settings.read(town.environment)
        wiring.prepare(settings)
        installation = wiring.build(settings)
        ground.open_shop(installation.store, installation.keys)
        installation.close()
        try:
            town.start("serve")
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            page = browser.new_page()
            page.goto(f"{town.web_url}/till/sign-in")
            for kind in KINDS:
                yield from _kind(page, town.web_url, kind)
            browser.close()
        finally:
            town.stop()


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
