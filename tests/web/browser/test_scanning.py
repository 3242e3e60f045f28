"""Reading cards at the till: by camera, hand scanner, photo and hand, in a real Chromium."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from passes import checkout
from passes.emulators import card_face
from passes.emulators.wallet_file import open_pass
from passes.enrolment import Joined
from passes.loyalty import codes
from passes.loyalty.codes import CodeKind, code_from
from passes.loyalty.refusals import CodeMistyped
from tests import lens
from tests.cast import rows
from tests.emulators.pass_maker import document, make_chain, make_pass
from tests.shop import COFFEE, Shop
from tests.web.browser.hand_scanner import LAYOUTS, HandScanner
from tests.web.browser.till import call, sign_in
from tests.web.browser.window import CHROMIUM, FLAGS, Open, Watched, faults, too_small

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# What the pretended camera shows, again and again: Ana's second code first, then each other symbology.
FILMED = code_from(b"on film, as qr..")
FILM = (
    ("qr", FILMED, "moderate"),
    ("aztec", code_from(b"on film, aztec.."), "clean"),
    ("pdf417", code_from(b"on film, pdf417."), "clean"),
    ("code128", code_from(b"on film, digits.", CodeKind.DIGITS16), "clean"),
)
FRAMES_EACH = 6

# Instead of the camera: a canvas that `window.show(address)` draws on, and troubles that tests ask for.
CAMERA = """
  navigator.vibrate = (pattern) => (window.buzzes ??= []).push(pattern);
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: 1280, height: 720 });
  canvas.getContext("2d").fillRect(0, 0, 1280, 720);
  window.asked = 0;
  window.opened = [];
  window.show = async (address) => {
    const picture = new Image();
    picture.src = address;
    await picture.decode();
    const draw = () => canvas.getContext("2d").drawImage(picture, 0, 0);
    window.clearInterval(window.drawing);
    window.drawing = window.setInterval(draw, 60); // A canvas that stands still sends no frames.
    draw();
  };
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    window.asked += 1;
    window.wanted = wanted.video;
    if (window.trouble) throw new DOMException("no", window.trouble);
    const stream = canvas.captureStream(15);
    window.opened.push(stream);
    const [track] = stream.getVideoTracks();
    track.getSettings = () => ({ deviceId: wanted.video.deviceId?.exact ?? "back" });
    track.getCapabilities = () => (window.capabilities ?? {});
    track.applyConstraints = async (given) => { window.constrained = given; };
    return stream;
  };
  navigator.mediaDevices.enumerateDevices = async () =>
    (window.cameras ?? ["back"]).map((deviceId) => ({ deviceId, kind: "videoinput", label: deviceId }));
"""

# The page comes out of sight, or back.
HIDE = """(isHidden) => {
  Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
# Counts what would be heard, and notes how the page looked.
EAR = """
  window.tones = 0;
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (at) {
    window.tones += 1;
    return start.call(this, at);
  };
  window.looks = [];
  new MutationObserver(() => window.looks.push(document.documentElement.className))
    .observe(document, { attributeFilter: ["class"], subtree: true });
"""

# While the page's memory says so, the decoder's script cannot be loaded.
NO_DECODER = """
  const Loaded = Worker;
  window.Worker = function (address) {
    if (!localStorage.getItem("without")) return new Loaded(address);
    const missing = Object.assign(new EventTarget(), { postMessage() {}, terminate() {} });
    window.setTimeout(() => missing.dispatchEvent(new Event("error")), 50);
    return missing;
  };
"""


@pytest.fixture(scope="module")
def chromium(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests here, whose pretended camera shows each symbology in turn."""
    pictures = [
        lens.seen(kind, text, lens.CONDITIONS[condition], seed=frame)
        for kind, text, condition in FILM
        for frame in range(FRAMES_EACH)
    ]
    film = lens.video(tmp_path_factory.mktemp("film") / "cards.y4m", pictures)
    flags = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
    yield browser
    browser.close()


def picture(text: str, kind: str = "qr", condition: str = "clean") -> str:
    """What the camera sees, as an address."""
    file = io.BytesIO()
    lens.seen(kind, text, lens.CONDITIONS[condition]).save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def to_the_till(window: Watched) -> Page:
    """Signed in, with the app waiting for the next customer."""
    page = sign_in(window)
    window.open("/till/app")
    expect(page.locator("#screen")).to_have_attribute("data-screen", "scan")
    return page


def the_member(page: Page) -> Any:
    return page.locator("[data-screen=member] h1")


def known_as(house: Shop, joined: Joined, code: str) -> None:
    """One more code of the same card."""
    checkout.add_alias(
        house.store, programme=COFFEE, code=joined.code, former=code, by="olive", now=house.now
    )


# Codes -------------------------------------------------------------------------


def texts(random: Random) -> list[str]:
    """Codes of all kinds, right and nearly right, as people and scanners write them."""
    found = ["", "0", "-", "ı" * 16, "٣" * 16, "HTTPS://SHOP.EXAMPLE/A?B=1", "\x85\x1c", "ﬀ" * 16, "😀" * 8]
    for kind in CodeKind:
        for _ in range(250):
            code = code_from(random.randbytes(16), kind)
            place = random.randrange(len(code) - 1)
            other = random.choice("0123456789ABCDEFGHIJKLMNPQRSTUVWXYZ")
            found += [
                code,
                codes.grouped(code).lower(),
                f" {code[:place]} \u200b{code[place:]}\u00a0\n",
                code[:place] + other + code[place + 1 :],
                code[:place] + code[place + 1] + code[place] + code[place + 2 :],
                code[1:],
                code + other,
                f"]Q1{code}",
            ]
    return found


def answered(text: str, kind: CodeKind) -> str | None:
    """What the server says of it; the identifier before it is the till's own business."""
    try:
        return codes.read(text.removeprefix("]Q1"), kind)
    except CodeMistyped:
        return None


def test_the_till_knows_codes_as_the_server_does(browse: Open, house: Shop) -> None:
    page = sign_in(browse())
    given = texts(Random(20260314))
    for kind in CodeKind:
        said = call(
            page, "codes", "given.texts.map((one) => it.readCode(one, given.kind))", texts=given, kind=kind
        )
        assert said == [answered(text, kind) for text in given]
    plain = [text for text in given if not text.startswith("]")]
    known = call(page, "codes", "given.texts.map((one) => it.mayBeKnown(one))", texts=plain)
    assert known == [codes.may_be_known(codes.normalise(text)) for text in plain]
    assert call(page, "codes", "it.grouped(given.code)", code=FILMED) == codes.grouped(FILMED)


# The camera --------------------------------------------------------------------


@pytest.mark.check("W-29")
@pytest.mark.check("L-75")
def test_one_tap_and_a_card_in_poor_light_gives_the_member(browse: Open, house: Shop, ana: Joined) -> None:
    known_as(house, ana, FILMED)
    window = browse(permissions=["camera"])
    page = to_the_till(window)
    began = time.monotonic()
    page.locator("[data-slot=start]").click()
    expect(the_member(page)).to_have_text("Ana Reyes", timeout=10_000)
    seconds = time.monotonic() - began
    print(f"from the tap to the member: {seconds:.2f} s")
    assert seconds <= 2
    # The camera sleeps while the customer is served.
    assert page.locator("video").count() == 0


@pytest.mark.check("W-30")
def test_the_camera_reads_every_symbology(browse: Open, house: Shop) -> None:
    page = sign_in(browse(permissions=["camera"]))
    filmed = {text for _, text, _ in FILM}
    read = call(
        page,
        "camera",
        """await new Promise((resolve) => {
          const read = new Set();
          it.openCamera(document.createElement("video"), {
            formats: given.formats,
            onTrouble: resolve,
            onText(text) {
              read.add(text);
              const isAll = read.size === given.formats.length;
              if (isAll) resolve([...read]);
              return isAll;
            },
          });
        })""",
        formats=[kind for kind, _, _ in FILM],
    )
    assert set(read) == filmed


def test_what_a_phone_holds_up_is_read_from_its_screen_in_every_symbology(browse: Open, house: Shop) -> None:
    page = sign_in(browse())
    for kind, text, _ in FILM:
        name = f"PKBarcodeFormat{lens.KINDS[kind]}"
        barcode = {"format": name, "message": text, "messageEncoding": "iso-8859-1"}
        signed = make_pass(document(barcodes=[barcode]))
        shown = open_pass(signed, trust_roots=make_chain().trust_roots, now=datetime.now(UTC))
        screen = card_face.as_png(shown)
        read = call(
            page,
            "decoder",
            """await it.decodeImage(
              new Blob([Uint8Array.from(atob(given.screen), (one) => one.charCodeAt(0))]),
              given.formats,
            )""",
            screen=base64.b64encode(screen).decode(),
            formats=[kind],
        )
        assert read == text


@pytest.mark.check("W-31")
def test_without_a_camera_the_till_says_why_and_takes_the_number(browse: Open, ana: Joined) -> None:
    # Refused: by the browser itself, in a window without the permission, and never asked again.
    page = to_the_till(browse())
    page.locator("[data-slot=start]").click()
    expect(page.locator("#code-wrong")).to_contain_text("not allowed")
    expect(page.locator("#code")).to_be_focused()
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => { window.askedAgain = true; }; }")
    page.locator("[data-slot=start]").click()
    expect(page.locator("#code-wrong")).to_contain_text("not allowed")
    assert page.evaluate("window.askedAgain") is None
    # In trouble otherwise: each has its own words, and the number can be typed at once.
    window = browse()
    window.page.add_init_script(CAMERA)
    page = to_the_till(window)
    said = set()
    for trouble in ("NotFoundError", "NotReadableError"):
        page.evaluate("(trouble) => { window.trouble = trouble; }", trouble)
        page.locator("[data-slot=start]").click()
        expect(page.locator("#code-wrong")).to_be_visible()
        expect(page.locator("#code")).to_be_focused()
        said.add(page.locator("#code-wrong").inner_text())
    page.evaluate("() => { window.trouble = null; }")
    page.locator("[data-slot=start]").click()
    expect(page.locator("video")).to_be_visible()
    page.evaluate("window.opened.at(-1).getVideoTracks()[0].dispatchEvent(new Event('ended'))")
    expect(page.locator("#code-wrong")).to_be_visible()
    expect(page.locator("#code")).to_be_focused()
    said.add(page.locator("#code-wrong").inner_text())
    page.evaluate("() => Object.defineProperty(window, 'isSecureContext', { value: false })")
    page.locator("[data-slot=start]").click()
    expect(page.locator("#code-wrong")).to_contain_text("https")
    said.add(page.locator("#code-wrong").inner_text())
    assert len(said) == 4
    page.locator("#code").fill(ana.code)
    page.keyboard.press("Enter")
    expect(the_member(page)).to_have_text("Ana Reyes")


@pytest.mark.check("W-32")
def test_light_and_a_second_camera_are_offered_where_they_exist(browse: Open, house: Shop) -> None:
    window = browse()
    window.page.add_init_script(CAMERA)
    page = to_the_till(window)
    page.locator("[data-slot=start]").click()
    expect(page.locator("video")).to_be_visible()
    expect(page.get_by_role("button", name="Torch")).to_have_count(0)
    expect(page.get_by_role("combobox", name="Camera")).to_have_count(0)
    wanted = page.evaluate("window.wanted")
    assert (wanted["width"], wanted["height"]) == ({"ideal": 1280}, {"ideal": 720})
    assert wanted["facingMode"] == {"ideal": "environment"}
    page.get_by_role("button", name="Stop").click()
    assert page.evaluate("window.opened[0].getTracks().every((track) => track.readyState === 'ended')")

    page.evaluate("() => { window.capabilities = { torch: true }; window.cameras = ['back', 'front']; }")
    page.locator("[data-slot=start]").click()
    torch = page.get_by_role("button", name="Torch")
    torch.click()
    expect(torch).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("window.constrained") == {"advanced": [{"torch": True}]}
    page.get_by_role("combobox", name="Camera").select_option("front")
    page.wait_for_function("() => window.wanted.deviceId?.exact === 'front'")
    # Out of sight it rests, and comes back by itself.
    page.evaluate(HIDE, True)
    assert page.evaluate("window.opened.at(-1).getTracks().every((track) => track.readyState === 'ended')")
    page.evaluate(HIDE, False)
    page.wait_for_function("() => window.opened.at(-1).active")


@pytest.mark.check("W-33")
@pytest.mark.check("W-34")
@pytest.mark.check("L-74")
def test_a_read_is_heard_felt_and_seen_once_and_the_next_card_takes_over(
    browse: Open, house: Shop, ana: Joined
) -> None:
    ben = house.join("Ben Ode")
    window = browse()
    window.page.add_init_script(CAMERA)
    window.page.add_init_script(EAR)
    page = to_the_till(window)
    page.evaluate("window.show", picture(ana.code))
    page.locator("[data-slot=start]").click()
    expect(the_member(page)).to_have_text("Ana Reyes")
    assert page.evaluate("window.tones") > 0
    assert page.evaluate("window.buzzes") == [60]
    assert any("flash-read" in look for look in page.evaluate("window.looks"))
    expect(page.locator("#said")).to_contain_text("Ana Reyes")

    # The same card again within three seconds is the same read; another is somebody else.
    sounded = page.evaluate("window.tones")
    scanner = HandScanner(page)
    scanner.scan(ana.code)
    page.wait_for_timeout(300)
    assert page.evaluate("window.tones") == sounded
    scanner.scan(ben.code)
    expect(the_member(page)).to_have_text("Ben Ode")
    assert page.evaluate("window.tones") > sounded

    # Silent, and still so after a new start.
    page.locator("#menu-button").click()
    page.locator("[data-menu=mute]").click()
    page.reload()
    expect(page.locator("#screen")).to_have_attribute("data-screen", "scan")
    page.evaluate("window.show", picture(ana.code))
    page.locator("[data-slot=start]").click()
    expect(the_member(page)).to_have_text("Ana Reyes")
    assert page.evaluate("window.tones") == 0


@pytest.mark.check("W-51")
def test_the_screen_stays_on_while_the_till_is_seen(browse: Open, house: Shop) -> None:
    window = browse()
    window.page.add_init_script(
        """window.locks = [];
        navigator.wakeLock.request = async (kind) => {
          const lock = { kind, released: false, async release() { lock.released = true; } };
          window.locks.push(lock);
          return lock;
        };"""
    )
    page = to_the_till(window)
    standing = "window.locks.map(({ kind, released }) => [kind, released])"
    assert page.evaluate(standing) == [["screen", False]]
    page.evaluate(HIDE, True)
    assert page.evaluate(standing) == [["screen", True]]
    page.evaluate(HIDE, False)
    assert page.evaluate(standing) == [["screen", True], ["screen", False]]


# Hand scanners -----------------------------------------------------------------


@pytest.mark.check("W-35")
@pytest.mark.check("L-74")
def test_a_hand_scanner_is_understood_wherever_the_cursor_is(browse: Open, house: Shop, ana: Joined) -> None:
    members = cycle(
        [(ana.code, "Ana Reyes"), *((house.join(name).code, name) for name in ("Ben Ode", "Cem"))]
    )
    page = to_the_till(browse())
    scanner = HandScanner(page)

    def scan(gap_ms: int, ending: str = "Enter") -> None:
        code, name = next(members)
        scanner.scan(code, gap_ms=gap_ms, ending=ending)
        expect(the_member(page)).to_have_text(name)
        expect(page.locator("#amount")).to_have_value("")

    def to_the_next_customer() -> None:
        page.locator("[data-slot=next]").click()
        expect(page.locator("#code")).to_have_value("")

    for gap_ms in (0, 10, 30, 80):
        page.evaluate("document.activeElement.blur()")
        scan(gap_ms)
        to_the_next_customer()
        page.locator("#code").focus()
        scan(gap_ms, "Tab")
        page.locator("#amount").focus()
        scan(gap_ms)
        page.evaluate("document.activeElement.blur()")
        scan(gap_ms)
        to_the_next_customer()
    scan(10, ending="")  # a scanner without Enter just stops


@pytest.mark.check("L-74")
def test_keyboards_of_other_countries_do_no_harm(browse: Open, house: Shop, ana: Joined) -> None:
    known_as(house, ana, (telling := tellingly()))
    ben = house.join("Ben Ode")
    page = to_the_till(browse())
    scanner = HandScanner(page)
    for layout in LAYOUTS.values():
        for caps in (False, True):
            scanner.scan(telling, layout=layout, caps=caps)
            expect(the_member(page)).to_have_text("Ana Reyes")
            page.locator("#amount").focus()
            scanner.scan(ben.code, layout=layout, caps=caps)
            expect(the_member(page)).to_have_text("Ben Ode")
            expect(page.locator("#amount")).to_have_value("")
            # The same card again within three seconds would be the same read.
            call(page, "codes", "it.isFresh('another')")


def tellingly() -> str:
    """A code with what a French keyboard writes otherwise: W, M, Q and digits."""
    made = (code_from(bytes([*b"telling", *number.to_bytes(9, "big")])) for number in range(100_000))
    return next(code for code in made if {"W", "M", "Q"} <= set(code) and set(code) & set("23456789"))


@pytest.mark.check("W-36")
@pytest.mark.check("L-75")
def test_a_typed_number_is_checked_before_anybody_is_asked(browse: Open, ana: Joined) -> None:
    page = to_the_till(browse())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/members/" in request.url else None)
    wrong = ana.code[:-1] + ("2" if ana.code[-1] != "2" else "3")
    page.locator("#code").fill(wrong)
    page.keyboard.press("Enter")
    expect(page.locator("#code-wrong")).to_contain_text("Check the number")
    expect(page.locator("#code")).to_have_attribute("aria-invalid", "true")
    assert asked == []
    page.locator("#code").fill(f" {codes.grouped(ana.code).lower().replace('-', ' - ')} ")
    page.keyboard.press("Enter")
    expect(the_member(page)).to_have_text("Ana Reyes")


# What is no card ---------------------------------------------------------------


def test_what_is_no_card_is_said_and_changes_nothing(browse: Open, house: Shop, ana: Joined) -> None:
    window = browse()
    window.page.add_init_script(CAMERA)
    page = to_the_till(window)
    scanner = HandScanner(page)
    booked = len(rows(house.store, "purchase"))
    # A poster's web address under the camera: it says so, and goes on looking.
    page.evaluate("window.show", picture("https://shop.example/menu?table=4"))
    page.locator("[data-slot=start]").click()
    expect(page.locator("[data-slot=watching]")).to_contain_text("not one of our cards")
    page.evaluate("window.show", picture(ana.code))
    expect(the_member(page)).to_have_text("Ana Reyes")
    # While a customer is served and an amount stands there: an article, a web address, half a card.
    page.locator("#amount").fill("12.40")
    for text in ("5000159407236", "HTTPS://SHOP.EXAMPLE/MENU", ana.code[:9]):
        page.locator("#amount").focus()
        scanner.scan(text)
        expect(page.locator("#toasts, #said-now").filter(has_text="card").first).to_be_attached()
        expect(page.locator("#amount")).to_have_value("12.40")
        expect(the_member(page)).to_have_text("Ana Reyes")
        page.evaluate("() => document.querySelector('#toasts').replaceChildren()")
        page.evaluate("() => { document.querySelector('#said-now').textContent = ''; }")
    assert len(rows(house.store, "purchase")) == booked


def test_a_code_of_a_former_system_is_a_card_like_any_other(browse: Open, house: Shop, ana: Joined) -> None:
    known_as(house, ana, "OLD.40017")
    page = to_the_till(browse())
    HandScanner(page).scan("OLD.40017")
    expect(the_member(page)).to_have_text("Ana Reyes")


# The page that tests a scanner ---------------------------------------------------


def test_a_scanner_can_be_tested_without_booking_anything(browse: Open, house: Shop, tmp_path: Path) -> None:
    window = browse(permissions=["camera"])
    window.page.add_init_script(NO_DECODER)
    sign_in(window)
    page = window.open("/till/scanner")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/till/" in request.url else None)
    verdict = page.locator("#verdict")
    scanner = HandScanner(page)
    page.locator("#amount").fill("12.40")
    scanner.scan(FILMED, layout=LAYOUTS["AZERTY"])
    expect(verdict).to_contain_text(codes.grouped(FILMED))
    expect(verdict).to_contain_text("American keyboard")
    expect(page.locator("#amount")).to_have_value("12.40")
    page.locator("details summary").click()
    expect(page.locator("#keys tr")).to_have_count(16)
    # An article in a shop, and a web address.
    scanner.scan("5000159407236")
    expect(verdict).to_contain_text("No card number of this shop")
    # What the scanner writes before each code is left out.
    page.locator("#prefix").fill("~K1")
    page.locator("#prefix").press("Tab")
    page.evaluate("document.activeElement.blur()")
    other = code_from(b"with a prefix...")
    scanner.scan(f"~K1{other}")
    expect(verdict).to_contain_text(codes.grouped(other))
    # The camera, and a photo.
    page.reload()
    page.get_by_role("button", name="Start the camera").click()
    expect(verdict).to_contain_text(codes.grouped(FILMED))
    photo = lens.seen("qr", code_from(b"in a photo......"), lens.CONDITIONS["turned 45°"])
    photo.resize((3840, 2160)).save(tmp_path / "photo.jpg")
    # Without network what reads pictures may be missing; once it is back it is asked for again.
    page.evaluate("() => localStorage.setItem('without', 'decoder')")
    page.reload()
    page.locator("#photo").set_input_files(tmp_path / "photo.jpg")
    expect(verdict).to_contain_text("could not be loaded")
    page.evaluate("() => localStorage.removeItem('without')")
    page.locator("#photo").set_input_files(tmp_path / "photo.jpg")
    expect(verdict).to_contain_text(codes.grouped(code_from(b"in a photo......")))
    assert [one for one in asked if "/till/api/" in one] == []
    assert faults(window, "scanner", width=412) == []
    assert too_small(window, "scanner", least=56) == []
