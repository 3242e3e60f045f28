"""The owner's webhooks in a real Chromium: added, tried, looked at, sent again, and their secret changed."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from passes import access, webhooks
from passes.access import Grant, Role
from passes.webhooks import Door
from tests.receiver import Receiver, Reply
from tests.shop import COFFEE, KEYS, Shop
from tests.web.browser.window import Open, Watched, faults, plain_english, too_small
from tests.web.conftest import CHEAP, PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OWN_WORDS = "Finch|Oz|http|whsec|[a-z]+[.][a-z]+"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver(lambda _message, _number: Reply(200, body=b'{"thanks": true}'))
    yield opened
    opened.close()


@pytest.fixture
def worker(house: Shop) -> Iterator[None]:
    """The worker's thread beside the pages, at the pages' time."""
    stop = threading.Event()
    sender = webhooks.Sender(
        house.store, Door(development=True), keys=KEYS, clock=lambda: house.now, stop=stop
    )
    thread = threading.Thread(target=sender.run, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join()


def sign_in(window: Watched, house: Shop, language: str = "en") -> Page:
    """Oz, the owner, signs in."""
    grants = [Grant(COFFEE, Role.OWNER)]
    access.add_staff(
        house.store, login="oz", name="Oz", password=PASSWORD, grants=grants, now=house.now, cost=CHEAP
    )
    page = window.open(f"/console/sign-in?lang={language}")
    page.locator("#login").fill("oz")
    page.locator("#password").fill(PASSWORD)
    page.locator("form button[type=submit]").click()
    return page


@pytest.mark.check("W-97")
def test_an_owner_adds_a_webhook_tries_it_looks_sends_again_and_changes_its_secret(
    browse: Open, house: Shop, receiver: Receiver, worker: None
) -> None:
    window = browse(width=1280, height=900)
    page = sign_in(window, house)
    page.get_by_role("link", name="Webhooks", exact=True).click()
    wrong = look(window, "none yet")
    page.locator("#address").fill(receiver.address)
    page.get_by_role("button", name="Add it").click()
    expect(page.locator("h1")).to_have_text(receiver.address)

    # Its secret is shown when somebody asks for it, and fits what the receiver gets.
    page.get_by_role("button", name="Show it").click()
    receiver.secrets, receiver.now = [page.locator("#secret").input_value()], lambda: house.now
    page.get_by_role("button", name="Send a test message").click()
    # The page hears of it by itself.
    expect(page.get_by_text("Taken", exact=True)).to_be_visible()
    wrong += look(window, "tried")
    page.get_by_role("link", name="A test message").click()
    ping = receiver.messages[0]
    assert ping.problem is None
    request = page.get_by_label("Request", exact=True)
    for words in (receiver.address, ping.id, ping.headers["webhook-signature"], ping.body.decode()):
        expect(request).to_contain_text(words)
    expect(page.get_by_label("Answer", exact=True)).to_have_text('{"thanks": true}')
    wrong += look(window, "one message")
    page.get_by_role("button", name="Send it again").click()
    receiver.wait_for(2)
    assert receiver.ids == [ping.id] * 2

    # The old secret signs beside the new one.
    page.get_by_text("Change it", exact=True).click()
    page.get_by_role("button", name="Yes, change it").click()
    changed = page.locator("#secret").input_value()
    assert changed != receiver.secrets[0]
    expect(page.get_by_text("signs beside it until")).to_be_visible()
    for secret in (receiver.secrets[0], changed):
        receiver.secrets = [secret]
        sent = len(receiver.messages)
        page.get_by_role("button", name="Send a test message").click()
        receiver.wait_for(sent + 1)
        assert receiver.messages[-1].problem is None

    page.get_by_text("Remove", exact=True).click()
    page.get_by_role("button", name="Yes, remove it").click()
    expect(page.get_by_text(receiver.address)).to_have_count(0)
    assert wrong == []


def look(window: Watched, state: str) -> list[str]:
    """What is wrong with the page as it stands."""
    return faults(window, state, width=1280) + too_small(window, state, but_for=".skip, .alert, nav a")


def test_every_word_of_the_webhooks_pages_is_translated(
    browse: Open, house: Shop, receiver: Receiver
) -> None:
    window = browse()
    page = sign_in(window, house, "en-XA")
    window.open("/console/webhooks/")
    said = plain_english(window, "none yet", own_words=OWN_WORDS)
    page.locator("#address").fill(receiver.address)
    page.locator("button.big").click()
    said += plain_english(window, "added", own_words=OWN_WORDS)
    assert said == []
