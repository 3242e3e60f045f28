"""The demonstration: its past is made whole or not at all, the books are right, nothing is left to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from passes import books, demo, due_work, insights
from passes import store as stores
from passes.apple import certificates, signing
from passes.demo import COFFEE, history
from passes.due_work import DueDone
from passes.google_cards import GoogleDesk, Issuer
from passes.issuing import Office
from passes.loyalty.offers import OfferState
from passes.store import Store, hood, installs, offers, programmes
from passes.store.insights import Cut, Window
from passes.wiring import DEVELOPMENT_TEAM, Installation
from tests.cast import rows
from tests.shop import KEYS, PASS_TYPE

NOW = datetime(2026, 3, 14, 16, 0, tzinfo=UTC)
SMALL = 0.01

Open = Callable[[Store], Installation]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    folder = tmp_path_factory.mktemp("certs") / "dev"
    certificates.make_development_chain(folder, pass_type=PASS_TYPE, team=DEVELOPMENT_TEAM, now=NOW)
    signer = signing.load(
        certificate=(folder / "pass.pem").read_bytes(),
        key=(folder / "pass.key").read_bytes(),
        intermediate=(folder / "wwdr.pem").read_bytes(),
        root=(folder / "root.pem").read_bytes(),
        now=NOW,
    )
    return Office(signer=signer, keys=KEYS, web_service_url="https://cards.shop.example/apple")


@pytest.fixture
def opened(office: Office) -> Open:
    """An installation on a store, at a Saturday noon in March."""

    def build(store: Store) -> Installation:
        return Installation(store, KEYS, office, lambda: NOW, "http://127.0.0.1", True, None)

    return build


def assert_nothing_is_left_to_do(store: Store) -> None:
    """A worker that starts now finds neither changes to announce nor points to lapse nor postings to seal."""
    with store.read() as read:
        for wallet in (installs.APPLE, installs.GOOGLE):
            assert not installs.is_anything_waiting(read, wallet=wallet, now=NOW)
    assert rows(store, "owed") == []
    assert rows(store, "alarm") == []
    assert due_work.run_due(store, now=NOW) == DueDone()
    assert books.seal_due(store, now=NOW) == 0
    assert books.verify(store).problems == ()


def test_the_past_is_made_once_and_leaves_nothing_to_do(store: Store, opened: Open) -> None:
    first = demo.fill(opened(store), history_share=SMALL)
    assert first.members == len(rows(store, "member")) > 15
    assert first.guests == len(rows(store, "purchase", "member_id IS NULL"))
    assert first.purchases > 100
    assert_nothing_is_left_to_do(store)
    postings = books.verify(store).postings
    assert demo.fill(opened(store), history_share=SMALL) == first
    assert books.verify(store).postings == postings


def test_the_past_lies_in_the_past(sqlite_url: str, opened: Open) -> None:
    store = stores.open(sqlite_url)
    demo.fill(opened(store), history_share=SMALL)
    newest = max(row["occurred_at"] for row in rows(store, "purchase"))
    assert newest < (NOW - timedelta(minutes=15)).timestamp() * 1_000_000
    assert all(row["recorded_at"] == row["occurred_at"] for row in rows(store, "purchase"))
    ids = [row["id"] for row in sorted(rows(store, "purchase"), key=lambda row: row["occurred_at"])]
    assert ids == sorted(ids)
    store.close()


def test_a_past_that_was_interrupted_begins_anew(
    sqlite_url: str, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores.open(sqlite_url)

    def cut(_past: history.Past) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(history.Past, "settle", cut)
        with pytest.raises(KeyboardInterrupt):
            demo.fill(opened(store), history_share=SMALL)
    assert rows(store, "member") == []
    assert rows(store, "programme") == []
    filled = demo.fill(opened(store), history_share=SMALL)
    assert filled.members == len(rows(store, "member"))
    assert_nothing_is_left_to_do(store)
    store.close()


def test_without_a_past_there_are_the_people_of_the_stories_alone(sqlite_url: str, opened: Open) -> None:
    store = stores.open(sqlite_url)
    filled = demo.fill(opened(store))
    assert (filled.members, filled.purchases, filled.guests) == (6, 0, 0)
    assert demo.fill(opened(store)) == filled
    later = demo.fill(opened(store), history_share=SMALL)
    assert later.members == len(rows(store, "member"))
    assert books.verify(store).problems == ()
    store.close()


def test_members_hold_their_cards_in_both_wallets_and_as_pages(sqlite_url: str, opened: Open) -> None:
    store = stores.open(sqlite_url)
    # Of all that a desk at Google is, the past needs to know whose cards they are.
    desk = cast(GoogleDesk, SimpleNamespace(issuer=Issuer("3388000000012345678", "http://127.0.0.1")))
    demo.fill(replace(opened(store), google=desk), history_share=0.05)
    held: dict[str, int] = Counter(row["wallet"] for row in rows(store, "registration"))
    assert held["apple"] > held["google"] > 5
    assert len(rows(store, "google_object")) >= held["google"]
    # Every step of a card's way to Google and back is in its story.
    events = Counter((row["wallet"], row["event"]) for row in rows(store, "wallet_event"))
    assert events["google", "added"] - events["google", "removed"] == held["google"]
    on_phones = {row["card_id"] for row in rows(store, "registration")}
    pages = {row["id"] for row in rows(store, "card", "web_at IS NOT NULL")}
    assert pages
    assert not pages & on_phones
    assert_nothing_is_left_to_do(store)
    with store.read() as read:
        made_at = hood.made_at(read)
        assert made_at == NOW
        # The list of things to try begins empty.
        assert hood.steps(read, since=made_at) == hood.Steps(False, False, False, False, False)
        drafts = offers.every(read, programmes.by_slug(read, COFFEE))
    assert [(one.offer.key, one.state) for one in drafts if one.state is OfferState.DRAFT] == [
        ("maple-cortado", OfferState.DRAFT)
    ]
    store.close()


@pytest.mark.slow
def test_the_whole_past_shows_what_a_marketer_looks_for(sqlite_url: str, opened: Open) -> None:
    store = stores.open(sqlite_url)
    installation = opened(store)
    filled = demo.fill(installation, history_share=1.0)
    assert_nothing_is_left_to_do(store)

    # Sizes: about twelve hundred members, twenty-two thousand sales to them, fifteen thousand to guests.
    programme = rows(store, "programme", f"slug = '{COFFEE}'")[0]["id"]
    members = rows(store, "member", f"programme_id = {programme}")
    assert 1_200 <= len(members) <= 1_400
    assert 20_000 <= filled.purchases <= 24_000
    assert 14_000 <= filled.guests <= 16_000
    cards = rows(store, "card")
    on_phones = sum(card["installed_at"] is not None and card["removed_at"] is None for card in cards)
    assert on_phones / len(cards) == pytest.approx(0.81, abs=0.02)
    assert {row["tier"] for row in members} == {"perch", "flight", "copper"}

    # A planted truth: ten points more among six hundred are found …
    found = insights.offer(store, programme=COFFEE, key="double-beans", now=NOW)
    assert (found.treated, found.holdout, found.final) == (600, 600, True)
    assert (found.buyers_treated, found.buyers_holdout) == (210, 150)
    assert found.conversion is not None
    assert found.conversion.shown
    assert found.uses > 0
    # … three points among a hundred and twenty are not.
    lost = insights.offer(store, programme=COFFEE, key="thank-you", now=NOW)
    assert (lost.treated, lost.holdout, lost.final) == (1_080, 120, True)
    assert (lost.buyers_treated, lost.buyers_holdout) == (302, 30)
    assert lost.conversion is not None
    assert not lost.conversion.shown

    # Members buy more and more of what is sold, and most who joined came by a poster or the till.
    def member_share(months_ago: int) -> float:
        end = NOW.date() - timedelta(days=30 * months_ago)
        window = Window(end - timedelta(days=30), end)
        (whole,) = insights.sales(store, programme=COFFEE, cut=Cut(window))
        assert whole.member_share is not None
        return float(whole.member_share)

    assert member_share(11) < 0.5 < member_share(0)
    store.close()
