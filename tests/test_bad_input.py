"""What people and machines get wrong at a counter: it is refused in words, or still comes out right."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from passes import books, campaigns, checkout, cli, club, enrolment, merging, programmes
from passes import store as stores
from passes.loyalty.basket import Line
from passes.loyalty.programme_file import parse
from passes.loyalty.receipt import Counter, Receipt
from passes.loyalty.refusals import (
    AmountInvalid,
    LineInvalid,
    NotAPurchase,
    NotEnoughPoints,
    ProgrammeInvalid,
    ReceiptUnknown,
    TimeInvalid,
)
from passes.store import Store
from tests.shop import COFFEE, PASS_TYPE, TILL, Shop

FILE = next(path for path in programmes.DEMONSTRATION if path.stem == COFFEE).read_text("utf-8")


def a_shop(store: Store, now: datetime, rules: str = "", **changes: tuple[str, str]) -> Shop:
    """The coffee shop with other rules: `changes` replace words of its file."""
    load(store, now, rules, **changes)
    return Shop(store, now)


def load(store: Store, now: datetime, rules: str = "", **changes: tuple[str, str]) -> None:
    """Make a changed file the current version."""
    source = FILE + rules
    for old, new in changes.values():
        assert old in source
        source = source.replace(old, new)
    programmes.load(store, name=COFFEE, source=source, pass_type=PASS_TYPE, now=now)


# What comes with a purchase -----------------------------------------------------------


def test_a_quote_counts_the_gifts_that_come_with_the_purchase(store: Store, now: datetime) -> None:
    waits = ("welcome = 100", "welcome = 100\nwelcome_waits = true")
    back = "\n[win_back]\npoints = 70\nidle_days = 30\nevery_days = 60\nvalid_days = 30\n"
    shop = a_shop(store, now, back, waits=waits)
    ana = next(one for one in iter(shop.join, None) if not enrolment.in_holdout(COFFEE, one.member_id))
    later = now + timedelta(days=45)
    for at, points in ((now, 200), (later, 170)):
        while campaigns.win_back_due(store, now=at):
            pass
        quote = checkout.quote(store, programme=COFFEE, code=ana.code, amount_minor=1_000, at=TILL, now=at)
        bought = shop.buy(ana.code, 1_000, now=at)
        assert (quote.points, quote.balance_after) == (bought.points, bought.balance_after)
        assert bought.points == points
        assert sum(part.points for part in quote.why) == points


def test_a_gift_for_joining_that_waits_is_not_given_to_who_may_have_had_it(
    store: Store, now: datetime
) -> None:
    shop = a_shop(store, now, waits=("welcome = 100", "welcome = 100\nwelcome_waits = true"))
    first = shop.join(email="ana@example.org")
    again = shop.join(email="ana@example.org")
    assert [shop.buy(one.code, 1_000).points for one in (first, again)] == [200, 100]


@pytest.mark.parametrize(("agreed", "points"), [(True, 300), (False, 100)])
def test_rules_for_members_who_gave_a_consent_meet_them_at_the_till(
    store: Store, now: datetime, agreed: bool, points: int
) -> None:
    rule = """
[[earning.multipliers]]
key = "news"
name = "For readers of our news"
factor = 3
when = { segment = { consent = "ring" } }
"""
    shop = a_shop(store, now, rule)
    ana = shop.join(consents={"ring": agreed})
    assert shop.buy(ana.code, 1_000).points == points


# What no database keeps ---------------------------------------------------------------


@pytest.mark.parametrize("number", [2**63, 10**30, -1, 0])
def test_a_reward_is_not_used_in_a_purchase_that_cannot_be(store: Store, now: datetime, number: int) -> None:
    shop = a_shop(store, now)
    ana = shop.join()
    bought = shop.buy(ana.code, 10_000)
    spent = shop.redeem(ana.code, "extra-shot")

    def captured(receipt_id: int) -> Receipt:
        held = checkout.authorise(
            store, programme=COFFEE, code=ana.code, reward="extra-shot", key=shop.key(), at=TILL, now=now
        )
        return checkout.capture(
            store,
            programme=COFFEE,
            hold_id=held.id,
            purchase_receipt_id=receipt_id,
            key=shop.key(),
            at=TILL,
            now=now,
        )

    assert captured(bought.id).points == -150
    with pytest.raises(ReceiptUnknown):
        captured(number)
    with pytest.raises(NotAPurchase):
        captured(spent.id)


@pytest.mark.parametrize(
    "line",
    [
        Line(1, 100, category="c" * 65),
        Line(1, 100, sku="s" * 65),
        Line(1, 100, brand="b" * 65),
        Line(1, 100, name="n" * 201),
        Line(1, 100, name="a\0b"),
        Line(1, 100, sku="\ud800"),
    ],
    ids=["category", "sku", "brand", "name", "nul", "half a sign"],
)
def test_texts_for_which_there_is_no_room_are_refused_in_words(
    store: Store, now: datetime, line: Line
) -> None:
    shop = a_shop(store, now)
    ana = shop.join()
    with pytest.raises(LineInvalid):
        shop.buy(ana.code, 100, lines=[line])
    with pytest.raises(LineInvalid):
        checkout.sale(
            store, programme=COFFEE, amount_minor=100, lines=[line], key=shop.key(), at=TILL, now=now
        )


def test_more_pieces_than_anybody_can_carry_are_refused(store: Store, now: datetime) -> None:
    shop = a_shop(store, now)
    ana = shop.join()
    with pytest.raises(AmountInvalid):
        shop.buy(ana.code, 100, lines=[Line(2**31, 0), Line(1, 100)])
    assert shop.buy(ana.code, 100, lines=[Line(2**31 - 1, 0), Line(1, 100)]).points == 10


@pytest.mark.parametrize("year", [1, 1970, 1999])
def test_a_till_that_lost_its_time_is_told_so(store: Store, now: datetime, year: int) -> None:
    shop = a_shop(store, now)
    ana = shop.join()
    then = datetime(year, 1, 1, tzinfo=UTC)
    with pytest.raises(TimeInvalid):
        shop.buy(ana.code, 100, occurred_at=then)
    with pytest.raises(TimeInvalid):
        checkout.sale(
            store, programme=COFFEE, amount_minor=100, occurred_at=then, key=shop.key(), at=TILL, now=now
        )


@pytest.mark.parametrize("year", [2094, 9999])
def test_a_till_that_is_ahead_of_us_books_now(store: Store, now: datetime, year: int) -> None:
    shop = a_shop(store, now)
    ana = shop.join()
    assert shop.buy(ana.code, 100, occurred_at=datetime(year, 12, 31, tzinfo=UTC)).occurred_at == now


def test_what_cannot_be_written_is_dropped_from_the_reason_of_a_return(store: Store, now: datetime) -> None:
    shop = a_shop(store, now)
    ana = shop.join()
    bought = shop.buy(ana.code, 100)
    returned = checkout.take_back(
        store, programme=COFFEE, receipt_id=bought.id, reason="cold\0\ud800 tea", key="r", at=TILL, now=now
    )
    (told,) = [reason for reason in returned.reasons if reason["rule"] == "return"]
    assert told["words"] == "cold tea"


# Programme files ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('key = "extra-shot"', 'key = "stamps"'), "rewards[0].key (line 49): 'stamps' is what a full punch"),
        (
            (
                'points_per = "10 per 1.00"\nrounding = "floor"\nlimit = 500.00',
                'points_per = "9999999 per 0.01"\nlimit = 5000.00',
            ),
            "earning.points_per (line 34): one purchase at the limit could earn more than 10",
        ),
        (('zone = "America/Chicago"', 'zone = "localtime"'), "zone (line 5): must be an IANA time zone"),
        (
            ('purpose = "ring"', f'purpose = "{"o" * 33}"'),
            "consents[0].purpose (line 145): must have at most 32",
        ),
        (
            ('version = "2026-01"', f'version = "{"v" * 33}"'),
            "consents[0].version (line 146): must have at most",
        ),
    ],
    ids=[
        "reserved key",
        "more than anybody can count",
        "a zone of the machine",
        "long purpose",
        "long version",
    ],
)
def test_files_are_refused_by_key_and_line(change: tuple[str, str], problem: str) -> None:
    with pytest.raises(ProgrammeInvalid) as refused:
        parse(FILE.replace(*change), name=COFFEE)
    assert str(refused.value.values["summary"]).startswith(problem)


def test_a_file_that_an_editor_marked_as_text_is_read() -> None:
    assert parse(f"\ufeff{FILE}", name=COFFEE) == parse(FILE, name=COFFEE)


def test_the_longest_names_of_consents_and_channels_have_room(store: Store, now: datetime) -> None:
    purpose, channel = "p" * 32, "c" * 16
    rule = f"""
[[earning.multipliers]]
key = "where"
name = "Where"
factor = 2
when = {{ channels = ["{channel}"] }}
"""
    shop = a_shop(
        store,
        now,
        rule,
        purpose=('purpose = "ring"', f'purpose = "{purpose}"'),
        version=('version = "2026-01"', f'version = "{"v" * 32}"'),
    )
    ana = shop.join(consents={purpose: True})
    assert shop.buy(ana.code, 1_000, at=Counter(channel=channel)).points == 200


def test_a_programme_that_was_used_keeps_its_currency_and_its_numbers(store: Store, now: datetime) -> None:
    shop = a_shop(store, now)
    euros = ('currency = "USD"', 'currency = "EUR"')
    digits = ('kind = "letters"\nsymbology = "qr"', 'kind = "digits16"\nsymbology = "code128"')
    load(store, now, euros=euros, digits=digits)
    load(store, now)
    ana = shop.join()
    with pytest.raises(ProgrammeInvalid, match=r"code.kind \(line 30\): must stay letters"):
        load(store, now, digits=digits)
    load(store, now, euros=euros)
    load(store, now)
    shop.buy(ana.code, 1_000)
    with pytest.raises(ProgrammeInvalid, match=r"currency \(line 4\): must stay USD"):
        load(store, now, euros=euros)
    assert shop.balance(ana.code) == 200


# Explaining ---------------------------------------------------------------------------


def test_a_line_of_which_only_the_category_is_known_has_its_name_in_every_language(
    store: Store, now: datetime
) -> None:
    shop = a_shop(store, now)
    ana = shop.join()
    bought = shop.buy(ana.code, 1_000, lines=[Line(1, 1_000, category="beans")])

    def told(language: str) -> str:
        parts = checkout.why(store, programme=COFFEE, receipt_id=bought.id, language=language).parts
        return parts[0].words.partition(":")[0]

    assert (told("en"), told("tr")) == ("bags of beans", "paket kahve")


def test_a_gift_that_two_cards_had_is_not_explained_as_a_gift(store: Store, now: datetime) -> None:
    shop = a_shop(store, now)
    ana, twin = shop.join(), shop.join()
    merging.merge(
        store, programme=COFFEE, survivor=ana.code, loser=twin.code, proof="said so", by="olive",
        key="merge", now=now,
    )  # fmt: skip
    view = checkout.look(store, programme=COFFEE, code=ana.code, language="en", now=now)
    told = {
        part.words: part.points
        for receipt in view.recent
        for part in checkout.why(store, programme=COFFEE, receipt_id=receipt.id, language="en").parts
    }
    assert told["Only one of two gifts for joining counts."] == -100
    assert told["A gift for joining."] == 100


# Several at once ----------------------------------------------------------------------


def test_a_purchase_that_waits_for_a_merge_is_the_survivors(postgresql_url: str, now: datetime) -> None:
    store = stores.open(postgresql_url)
    shop = a_shop(store, now)
    ana, twin = shop.join(), shop.join()
    with ThreadPoolExecutor(1) as pool:
        with store.together() as merged:
            merging.merge(
                merged, programme=COFFEE, survivor=ana.code, loser=twin.code, proof="said so", by="olive",
                key="merge", now=now,
            )  # fmt: skip
            waiting = pool.submit(shop.buy, twin.code, 1_000)
            time.sleep(0.3)
            assert not waiting.done()
        assert waiting.result().member_id == ana.member_id
    assert shop.balance(ana.code) == 200
    store.close()


def test_an_offer_that_is_over_is_still_explained_by_its_title(store: Store, now: datetime) -> None:
    offer = """
title = { en = "Cake week", tr = "Pasta haftası" }
effect = "percent_off"
percent = 10
[text]
en = "Cake."
tr = "Pasta."
[when]
until = "2026-04-01"
"""
    shop = a_shop(store, now)
    ana = next(one for one in iter(shop.join, None) if not enrolment.in_holdout(COFFEE, one.member_id))
    campaigns.plan(store, programme=COFFEE, name="cake", source=offer, now=now)
    campaigns.publish(store, programme=COFFEE, key="cake", now=now)
    bought = shop.buy(ana.code, 1_000, takes_discounts=True)
    campaigns.end(store, programme=COFFEE, key="cake", now=now)

    def told(language: str) -> list[str]:
        parts = checkout.why(store, programme=COFFEE, receipt_id=bought.id, language=language).parts
        return [part.words for part in parts if part.rule == "offer"]

    assert (told("en"), told("tr")) == (["Offer: Cake week"], ["Kampanya: Pasta haftası"])


def test_a_request_that_comes_again_while_it_is_under_way_gets_the_same_answer(
    postgresql_url: str, now: datetime
) -> None:
    store = stores.open(postgresql_url)
    shop = a_shop(store, now)
    ana = shop.join()
    shop.buy(ana.code, 500)

    def twice(ask: Callable[[Store], object]) -> list[object]:
        with ThreadPoolExecutor(1) as pool:
            with store.together() as first:
                answer = ask(first)
                again = pool.submit(ask, store)
                time.sleep(0.3)
                assert not again.done()
            return [answer, again.result()]

    def spend(door: Store) -> object:
        return Shop(door, now).redeem(ana.code, "extra-shot", key="last-points")

    def act(door: Store) -> object:
        return club.submit(
            door, programme=COFFEE, code=ana.code, action="shared-cup", words="cup", by="olive",
            key="one-cup", now=now,
        )  # fmt: skip

    for ask in (spend, act):
        first, again = twice(ask)
        assert first == again
    assert shop.balance(ana.code) == 5
    with pytest.raises(NotEnoughPoints):
        shop.redeem(ana.code, "extra-shot")
    store.close()


def test_a_payment_that_is_captured_again_has_the_same_reward(store: Store, now: datetime) -> None:
    shop = a_shop(store, now)
    ana = shop.join()
    shop.buy(ana.code, 1_000)
    held = checkout.authorise(
        store, programme=COFFEE, code=ana.code, reward="extra-shot", key="hold", at=TILL, now=now
    )
    first, again = (
        checkout.capture(store, programme=COFFEE, hold_id=held.id, key=key, at=TILL, now=now)
        for key in ("one", "other")
    )
    assert first == again


# A programme that changed -------------------------------------------------------------


def test_a_given_reward_keeps_its_name_when_the_programme_has_it_no_more(store: Store, now: datetime) -> None:
    grants = ("spend = 250.00", 'spend = 250.00\ngrants = ["extra-shot"]')
    shop = a_shop(store, now, grants=grants)
    ana = shop.join()
    shop.buy(ana.code, 30_000)
    load(store, now, key=('key = "extra-shot"', 'key = "other-shot"'), name=("Ekstra shot", "Başka"))

    def issued(language: str) -> list[str]:
        view = checkout.look(store, programme=COFFEE, code=ana.code, language=language, now=now)
        return [one.name for one in view.issued]

    assert (issued("en"), issued("tr")) == (["Extra shot"], ["Ekstra shot"])


# The command line ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["accrue", COFFEE, "X", "7.00", "--occurred-at", "2026-01-01"], "write day, time and zone"),
        (["accrue", COFFEE, "X", "7.00", "--occurred-at", "yesterday"], "write day, time and zone"),
        (["return", COFFEE, "1", "--line", "x"], "write a line's number and how many pieces"),
        (["return", COFFEE, "1", "--line", "1:"], "write a line's number and how many pieces"),
    ],
)
def test_what_a_command_cannot_read_it_explains(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(words)
    assert told in capsys.readouterr().err


# Clocks -------------------------------------------------------------------------------


def test_points_that_another_machine_booked_a_moment_later_can_be_spent(store: Store, now: datetime) -> None:
    shop = a_shop(store, now)
    ana = shop.join()
    shop.buy(ana.code, 1_000)
    assert shop.redeem(ana.code, "extra-shot", now=now - timedelta(seconds=2)).balance_after == 50
    assert books.verify(store).problems == ()
