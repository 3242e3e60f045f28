"""Offers as rows: what is limited stays exact under load, sets agree with rules, questions use their keys."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from passes import campaigns
from passes import store as database
from passes.loyalty.conditions import MemberFacts, Segment
from passes.loyalty.offers import Arm, Standing, draw
from passes.loyalty.refusals import Refused
from passes.loyalty.segments import belongs
from passes.loyalty.stacking import Use
from passes.store import Store, Work, audiences, offers, programmes, win_backs
from passes.store.instants import micros
from passes.store.models import member
from passes.store.programmes import Loaded
from passes.store.work import Prepared
from tests.test_campaigns import COFFEE, NOON, Stand, offer_file, open_stand

ZONE = "America/Chicago"


@pytest.fixture
def served(database_url: str) -> Iterator[Stand]:
    """A store as a server opens it: many threads, SQLite with its writer thread."""
    opened = database.open(database_url, writer_thread=True)
    yield open_stand(opened)
    opened.close()


def at_once(stand: Stand, members: list[int], key: str = "maple", off: int = 600) -> list[str]:
    """Everybody's purchase at the same moment, all of which saw the offer as it was before; what each got."""
    with stand.store.read() as read:
        loaded = programmes.by_slug(read, COFFEE)
        row = offers.by_key(read, loaded, key)
        assert row is not None
        (standing,) = (
            one
            for one in offers.running(read, loaded, members[0], now=NOON).standings(MemberFacts(), NOON)
            if one.id == row.id
        )
    barrier, outcomes = threading.Barrier(len(members)), []

    def buy(place: int) -> None:
        def decide(work: Work) -> None:
            use = Use(standing, off)
            offers.reserve(
                work,
                loaded,
                [use],
                member_id=members[place],
                receipt_id=place + 1,
                points={},
                now=NOON,
            )

        barrier.wait()
        try:
            stand.store.write(decide)
            outcomes.append("used")
        except Refused as refused:
            outcomes.append(refused.code)

    threads = [threading.Thread(target=buy, args=(place,)) for place in range(len(members))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(outcomes)


@pytest.mark.check("L-24")
def test_fifty_tills_share_a_quota_of_ten(served: Stand) -> None:
    ana = served.join()
    served.publish(source=offer_file(quota=10))
    assert at_once(served, [ana.member_id] * 50) == ["offer_quota_used_up"] * 40 + ["used"] * 10
    assert served.rows("SELECT used, (SELECT count(*) FROM offer_use) FROM offer") == [(10, 10)]


@pytest.mark.check("L-24")
def test_fifty_tills_spend_a_budget_to_the_last_purchase_that_fits(served: Stand) -> None:
    ana = served.join()
    served.publish(source=offer_file(budget="50.00"))
    assert at_once(served, [ana.member_id] * 50) == ["offer_budget_used_up"] * 42 + ["used"] * 8
    spent = "SELECT spent_minor, (SELECT sum(discount_minor) FROM offer_use) FROM offer"
    assert served.rows(spent) == [(4_800, 4_800)]


@pytest.mark.check("L-25")
def test_a_member_at_many_tills_at_once_uses_an_offer_as_often_as_one_may(served: Stand) -> None:
    ana, ben = served.join(), served.join()
    served.publish(source=offer_file(member_limit=3))
    everybody = [ana.member_id, ben.member_id] * 10
    assert at_once(served, everybody) == ["offer_member_limit"] * 14 + ["used"] * 6
    uses = dict(served.rows("SELECT member_id, count(*) FROM offer_use GROUP BY member_id"))
    assert uses == {ana.member_id: 3, ben.member_id: 3}


def test_an_offer_without_bounds_is_nobodys_bottleneck(served: Stand) -> None:
    ana = served.join()
    served.publish()
    assert at_once(served, [ana.member_id] * 20) == ["used"] * 20
    assert served.rows("SELECT used, spent_minor FROM offer") == [(0, 0)]


def reserve_one(loaded: Loaded, standing: Standing, work: Work) -> None:
    offers.reserve(work, loaded, [Use(standing, 1)], member_id=1, receipt_id=1, points={}, now=NOON)


@pytest.mark.check("L-29")
def test_whoever_is_beaten_by_a_pause_or_an_end_is_told_which(served: Stand) -> None:
    ana = served.join()
    for command, code in ((campaigns.pause, "offer_paused"), (campaigns.end, "offer_ended")):
        key = code.replace("_", "-")
        served.publish(key, offer_file(quota=5))
        with served.store.read() as read:
            loaded = programmes.by_slug(read, COFFEE)
            (standing,) = (
                one
                for one in offers.running(read, loaded, ana.member_id, now=NOON).standings(
                    MemberFacts(), NOON
                )
                if one.offer.key == key
            )
        served.do(command, key)
        with pytest.raises(Refused) as refusal:
            served.store.write(partial(reserve_one, loaded, standing))
        assert refusal.value.code == code


# Sets agree with rules --------------------------------------------------------------------------

MINUTES = timedelta(minutes=1)
instants = st.integers(0, 60 * 24 * 40).map(lambda minutes: NOON - minutes * MINUTES)
facts = st.fixed_dictionaries(
    {
        "tier": st.sampled_from([None, "perch", "flight"]),
        "language": st.sampled_from(["en", "tr"]),
        "joined_at": instants,
        "last_purchase_at": st.none() | instants,
        "purchases": st.integers(0, 5),
        "balance": st.integers(-5, 200),
        "consents": st.sampled_from([frozenset(), frozenset({"offers"})]),
    }
)
days = st.none() | st.integers(0, 40)
segments = st.builds(
    Segment,
    tiers=st.sampled_from([frozenset(), frozenset({"flight"}), frozenset({"flight", "perch"})]),
    languages=st.sampled_from([frozenset(), frozenset({"tr"})]),
    consent=st.sampled_from([None, "offers"]),
    joined_within_days=days,
    purchases_least=st.none() | st.integers(0, 5),
    purchases_most=st.none() | st.integers(0, 5),
    idle_days_least=days,
    idle_days_most=days,
    balance_least=st.none() | st.integers(1, 200),
)
moments = st.sampled_from(
    [NOON, datetime(2026, 3, 14, 4, 59, 59, tzinfo=UTC), datetime(2026, 3, 14, 5, tzinfo=UTC)]
)


_ADD_ANSWER = text(
    "INSERT INTO consent (programme_id, id, member_id, purpose, given,"
    " text_version, text_digest, language, source, at)"
    " SELECT programme_id, :number, id, 'offers', :given, '', '', '', '', 0 FROM member"
)


def set_facts(stand: Stand, member_id: int, values: dict[str, Any]) -> None:
    bought, agreed = values["last_purchase_at"], "offers" in values["consents"]

    def decide(work: Work) -> None:
        work.put(
            text(
                "UPDATE member SET tier = :tier, language = :language, joined_at = :joined,"
                " last_purchase_at = :bought, purchases = :purchases WHERE id = :member"
            ),
            tier=values["tier"],
            language=values["language"],
            joined=micros(values["joined_at"]),
            bought=None if bought is None else micros(bought),
            purchases=values["purchases"],
            member=member_id,
        )
        work.put(
            text("UPDATE account SET balance = :balance WHERE id = (SELECT points_account_id FROM member)"),
            balance=values["balance"],
        )
        # Asked twice: only the newest answer counts.
        work.put(text("DELETE FROM consent"))
        for number, given_ in enumerate((not agreed, agreed), start=1):
            work.put(
                _ADD_ANSWER,
                number=number,
                given=given_,
            )

    stand.store.write(decide)


@pytest.fixture
def one_member(store: Store) -> Stand:
    """The coffee shop with a single member; properties change them as they like."""
    stand = open_stand(store)
    stand.join()
    return stand


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=facts, some=st.lists(segments, min_size=8, max_size=8), now=moments)
def test_the_database_finds_exactly_the_members_of_a_segment(
    one_member: Stand, values: dict[str, Any], some: list[Segment], now: datetime
) -> None:
    ((member_id,),) = one_member.rows("SELECT id FROM member")
    set_facts(one_member, member_id, values)
    with one_member.store.read() as read:
        for segment in some:
            found = read.ask(select(member.c.id).where(audiences.member_is_in(segment, now, ZONE))).all()
            assert bool(found) == belongs(segment, MemberFacts(**values), now, ZONE), segment


@pytest.mark.check("L-84")
def test_the_database_draws_the_same_arms(store: Store) -> None:
    stand = open_stand(store)
    for number in range(40):
        stand.join(holdout=number % 10 == 0)
    stand.plan(source=offer_file(holdout_percent=40))
    with store.read() as read:
        loaded = programmes.by_slug(read, COFFEE)
        row = offers.by_key(read, loaded, "maple")
        assert row is not None
        drawn = draw(loaded.slug, row.offer)
        asked = read.ask(select(member.c.id, member.c.holdout, audiences.is_held_out(drawn).label("held")))
        for one in asked.all():
            arm = drawn.arm(one.id, holdout=bool(one.holdout))
            assert (arm is Arm.HOLDOUT) == bool(one.held)


# Keys -----------------------------------------------------------------------------------------------

QUESTIONS = {
    "offers of a member": offers._OF_MEMBER,
    "single-use code": offers._CODE,
    "uses of a receipt": offers._USES_OF,
    "cards of those treated": audiences._REVISE_TREATED,
    "promise": win_backs._NEWEST,
    "wish": audiences._WISH,
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_about_offers_never_walks_a_table(sqlite_url: str, question: str) -> None:
    store = database.open(sqlite_url)
    statement = QUESTIONS[question]
    prepared = Prepared(statement, store._engine.dialect)
    asked = statement.compile(dialect=store._engine.dialect).params
    values = prepared.bind({name: 1 for name, fixed in asked.items() if fixed is None})
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {prepared.text}", values)]
    connection.close()
    store.close()
    assert plan
    assert [line for line in plan if line.startswith("SCAN")] == []
