"""Campaigns on a real store: from draft to end, who gets an offer, and whose card changes when."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select, text

import passes
from passes import campaigns, enrolment, programmes
from passes.enrolment import Joined, Source
from passes.loyalty import stacking
from passes.loyalty.basket import Basket
from passes.loyalty.conditions import MemberFacts, Place
from passes.loyalty.offers import OfferState, Silence, Situation, earning_key
from passes.loyalty.refusals import (
    OfferCodeTaken,
    OfferEnded,
    OfferInvalid,
    OfferKeyTaken,
    OfferStateWrong,
    OfferUnknown,
    ProductInvalid,
)
from passes.loyalty.stacking import Applied
from passes.server_keys import ServerKeys
from passes.store import Store, Work, members, offers, win_backs
from passes.store import programmes as programmes_store
from passes.store.ids import new_id
from passes.store.instants import micros
from passes.store.models import card, device, google_alert, registration
from passes.store.reach import Phones, Progress, Reach, Spread

COFFEE = "copperfinch"
KEYS = ServerKeys({"k1": b"k" * 32})
FILE = Path(passes.__file__).parent / "programmes" / f"{COFFEE}.toml"
NOON = datetime(2026, 3, 14, 17, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def offer_file(effect: str = 'effect = "percent_off"\npercent = 10', **values: Any) -> str:
    """An offer that runs from 14 March 08:00 to 15 March 20:00 in Chicago."""
    when = values.pop("when", "")
    lines = [f"{key} = {value}" for key, value in values.items()]
    return "\n".join(
        [
            'title = { en = "Maple Cortado is back", tr = "Akçaağaçlı Cortado döndü" }',
            'text = "Only now."',
            effect,
            *lines,
            '[when]\nfrom = "2026-03-14T08:00"\nuntil = "2026-03-15T20:00"',
            when,
        ]
    )


OPENS, CLOSES = datetime(2026, 3, 14, 13, tzinfo=UTC), datetime(2026, 3, 16, 1, tzinfo=UTC)


@dataclass
class Stand:
    """The coffee shop, its members, and a worker that spreads what is due."""

    store: Store
    _numbers: Any = field(default_factory=lambda: count(1))

    def join(
        self, now: datetime = NOON - timedelta(days=9), *, holdout: bool = False, **options: Any
    ) -> Joined:
        """A new member, in the standing holdout or not."""
        values: dict[str, Any] = {"language": "en", "consents": {}, **options}
        joined = enrolment.join(
            self.store,
            programme=COFFEE,
            name="Ana Reyes",
            source=Source("poster"),
            key=f"key-{next(self._numbers)}",
            keys=KEYS,
            now=now,
            **values,
        )
        self.set_member(joined, holdout=holdout)
        return joined

    def set_member(self, joined: Joined, **values: Any) -> None:
        """Facts that only time would bring."""
        given = ", ".join(f"{name} = :{name}" for name in values)
        statement = text(f"UPDATE member SET {given} WHERE id = :member_id")
        self.store.write(lambda work: work.put(statement, member_id=joined.member_id, **values))

    def rows(self, question: str, **values: Any) -> list[Any]:
        with self.store.read() as read:
            return [tuple(row) for row in read.ask(text(question), **values).all()]

    def plan(self, key: str = "maple", source: str | None = None, *, now: datetime = NOON) -> None:
        campaigns.plan(self.store, programme=COFFEE, name=key, source=source or offer_file(), now=now)

    def publish(self, key: str = "maple", source: str | None = None, *, now: datetime = NOON) -> OfferState:
        self.plan(key, source, now=now)
        return campaigns.publish(self.store, programme=COFFEE, key=key, now=now).state

    def do(self, command: Any, key: str = "maple", *, now: datetime = NOON) -> OfferState:
        state = command(self.store, programme=COFFEE, key=key, now=now).state
        assert isinstance(state, OfferState)
        return state

    def work(self, now: datetime = NOON, limit: int | None = None) -> None:
        """What the worker does in one turn."""
        campaigns.starts_due(self.store, now=now)
        campaigns.ends_due(self.store, now=now)
        while campaigns.spread_due(self.store, now=now, limit=limit):
            pass
        campaigns.run_due(self.store, now=now)

    def arms(self) -> dict[int, str]:
        return dict(self.rows("SELECT member_id, arm FROM offer_assignment"))

    def revisions(self) -> dict[int, int]:
        """How often each member's card changed; everybody's is read with a revision of its own."""
        return dict(self.rows("SELECT member_id, revision FROM card"))

    def on_card(self, joined: Joined, now: datetime = NOON, language: str = "en") -> list[str]:
        with self.store.read() as read:
            loaded = programmes_store.by_slug(read, COFFEE)
            lines = offers.for_card(read, loaded, joined.member_id, language=language, now=now)
            return [line.title for line in lines]

    def rings(self, joined: Joined, now: datetime = NOON) -> list[str]:
        """For which offers on the member's card a phone may ring."""
        with self.store.read() as read:
            loaded = programmes_store.by_slug(read, COFFEE)
            lines = offers.for_card(read, loaded, joined.member_id, language="en", now=now)
            return [line.key for line in lines if line.rings]

    def apply(
        self,
        joined: Joined,
        amount_minor: int = 6_000,
        *,
        codes: tuple[str, ...] = (),
        now: datetime = NOON,
        receipt_id: int | None = None,
        points: dict[str, int] | None = None,
        **facts: Any,
    ) -> Applied:
        """What offers do to a purchase; with a receipt they are used, too."""

        def decide(work: Work) -> Applied:
            loaded = programmes_store.by_slug(work, COFFEE)
            asked = offers.running(work, loaded, joined.member_id, codes=codes, now=now)
            known = MemberFacts(**facts)
            applied = stacking.best(
                asked.standings(known, now),
                Basket.of_amount(amount_minor),
                Situation(now, "USD", Place("west-loop"), known),
                codes=codes,
            )
            if receipt_id is not None:
                offers.reserve(
                    work,
                    loaded,
                    applied.uses,
                    member_id=joined.member_id,
                    receipt_id=receipt_id,
                    points=points or {},
                    now=now,
                )
            return applied

        return self.store.write(decide)

    def restore(self, receipt_id: int, *, now: datetime = NOON, undone: bool = False) -> list[str]:
        def decide(work: Work) -> list[str]:
            loaded = programmes_store.by_slug(work, COFFEE)
            return offers.restore(work, loaded, receipt_id, now=now, undone=undone)

        return self.store.write(decide)

    def view(self, key: str = "maple") -> campaigns.OfferView:
        return campaigns.show(self.store, programme=COFFEE, key=key)


def why_not(applied: Applied) -> dict[str, str]:
    return {key: refused.code for key, refused in applied.refused}


def programme_file(*, can_alert_offers: bool = True) -> str:
    """The coffee shop's, where offers may ring or not."""
    source = FILE.read_text("utf-8")
    return re.sub("can_alert_offers = (true|false)", f"can_alert_offers = {can_alert_offers}".lower(), source)


def open_stand(store: Store) -> Stand:
    programmes.load(
        store,
        name=COFFEE,
        source=programme_file(),
        pass_type="pass.dev.passes.loyalty",
        now=NOON - timedelta(days=30),
    )
    return Stand(store)


@pytest.fixture
def stand(store: Store) -> Stand:
    return open_stand(store)


# Who rings ----------------------------------------------------------------------------------

ASKED: dict[str, Any] = {"offers": True, "ring": True}
LOUD: dict[str, Any] = {"rings": "true"}


@pytest.mark.check("L-83")
def test_only_the_phones_of_those_who_asked_ring(stand: Stand) -> None:
    ana, ben = stand.join(consents=ASKED), stand.join()
    held_out = stand.join(consents=ASKED, holdout=True)
    stand.publish(source=offer_file(**LOUD))
    stand.work()
    assert [stand.on_card(one) for one in (ana, ben, held_out)] == [
        ["Maple Cortado is back"],
        ["Maple Cortado is back"],
        [],
    ]
    assert [stand.rings(one) for one in (ana, ben, held_out)] == [["maple"], [], []]


def test_no_phone_rings_unless_the_offer_asks_and_the_programme_allows_it(stand: Stand) -> None:
    ana = stand.join(consents=ASKED)
    stand.publish()
    stand.work()
    assert (stand.on_card(ana), stand.rings(ana)) == (["Maple Cortado is back"], [])
    stand.publish("walnut", offer_file(**LOUD))
    stand.work()
    assert stand.rings(ana) == ["walnut"]
    source = programme_file(can_alert_offers=False)
    programmes.load(stand.store, name=COFFEE, source=source, pass_type="pass.dev.passes.loyalty", now=NOON)
    assert stand.rings(ana) == []


def test_the_end_of_one_offer_rings_for_no_other(stand: Stand) -> None:
    ana = stand.join(consents=ASKED)
    stand.publish("maple", offer_file(**LOUD))
    stand.work()
    stand.publish("walnut", offer_file(**LOUD), now=NOON + SECOND)
    stand.work(NOON + SECOND)
    assert stand.rings(ana, NOON + SECOND) == ["walnut"]
    for command in (campaigns.pause, campaigns.end):
        stand.do(command, "walnut", now=NOON + 2 * SECOND)
        stand.work(NOON + 2 * SECOND)
        assert len(stand.on_card(ana, NOON + 2 * SECOND)) == 1
        assert stand.rings(ana, NOON + 2 * SECOND) == []


def test_an_offer_ended_before_it_began_silences_nothing(stand: Stand) -> None:
    ana = stand.join(consents=ASKED)
    stand.publish("maple", offer_file(**LOUD), now=OPENS - 2 * SECOND)
    stand.publish("walnut", offer_file(**LOUD), now=OPENS - SECOND)
    stand.do(campaigns.end, "walnut", now=OPENS - SECOND)
    stand.work(OPENS)
    assert stand.rings(ana, OPENS) == ["maple"]


# From state to state ------------------------------------------------------------------------


@pytest.mark.check("L-85", "L-27")
def test_an_offer_appears_on_and_leaves_the_card_on_time(stand: Stand) -> None:
    ana = stand.join()
    assert stand.publish(now=OPENS - timedelta(days=1)) is OfferState.SCHEDULED
    before = stand.revisions()[ana.member_id]
    stand.work(OPENS - SECOND)
    assert (stand.on_card(ana, OPENS - SECOND), stand.revisions()[ana.member_id]) == ([], before)
    stand.work(OPENS)
    assert stand.on_card(ana, OPENS) == ["Maple Cortado is back"]
    assert stand.on_card(ana, OPENS, "tr") == ["Akçaağaçlı Cortado döndü"]
    assert stand.revisions()[ana.member_id] == before + 1
    stand.work(CLOSES - SECOND)
    assert (stand.on_card(ana, CLOSES - SECOND), stand.view().state) == (["Maple Cortado is back"], "live")
    stand.work(CLOSES)
    assert (stand.on_card(ana, CLOSES), stand.view().state) == ([], "ended")
    assert stand.revisions()[ana.member_id] == before + 2
    stand.work(CLOSES)
    assert stand.revisions()[ana.member_id] == before + 2


@pytest.mark.check("L-27")
def test_the_till_follows_the_window_to_the_second_whatever_the_worker_does(stand: Stand) -> None:
    ana = stand.join()
    stand.publish(now=OPENS - timedelta(days=1))
    assert why_not(stand.apply(ana, now=OPENS - SECOND)) == {"maple": "offer_not_started"}
    assert stand.apply(ana, now=OPENS).discount_minor == 600
    assert stand.apply(ana, now=CLOSES - SECOND).discount_minor == 600
    assert why_not(stand.apply(ana, now=CLOSES)) == {"maple": "offer_ended"}


def test_what_an_offline_till_reports_late_counts_as_of_when_it_happened(stand: Stand) -> None:
    ana = stand.join()
    stand.publish(source=offer_file(quota=1))
    stand.work(CLOSES)
    assert stand.view().state is OfferState.ENDED
    assert stand.apply(ana, now=CLOSES).uses == ()
    assert stand.apply(ana, now=CLOSES - SECOND, receipt_id=1).discount_minor == 600
    assert why_not(stand.apply(ana, now=CLOSES - SECOND)) == {"maple": "offer_quota_used_up"}


def test_a_worker_that_slept_through_starts_and_ends_catches_up(stand: Stand) -> None:
    ana = stand.join()
    stand.publish("maple", now=OPENS - timedelta(days=1))
    before = stand.revisions()[ana.member_id]
    stand.work(CLOSES + timedelta(days=1))
    assert (stand.view().state, stand.revisions()[ana.member_id]) == ("ended", before)


def test_an_offer_whose_window_has_begun_is_live_at_once(stand: Stand) -> None:
    assert stand.publish() is OfferState.LIVE
    assert stand.do(campaigns.publish) is OfferState.LIVE
    assert stand.view().is_spreading
    stand.work()
    assert not stand.view().is_spreading


def test_pausing_and_ending_take_it_off_the_cards_and_resuming_brings_it_back(stand: Stand) -> None:
    ana = stand.join()
    stand.publish()
    stand.work()
    first = stand.revisions()[ana.member_id]
    for number, (command, state, shown) in enumerate(
        [(campaigns.pause, "paused", 0), (campaigns.resume, "live", 1), (campaigns.end, "ended", 0)], start=1
    ):
        assert stand.do(command) == state
        assert stand.do(command) == state
        assert len(stand.on_card(ana)) == shown
        stand.work()
        assert stand.revisions()[ana.member_id] == first + number
    assert why_not(stand.apply(ana)) == {}


@pytest.mark.check("L-29")
def test_a_paused_offer_and_one_ended_early_are_refused_for_that_reason(stand: Stand) -> None:
    ana = stand.join()
    stand.publish(source=offer_file(code='"MAPLE"'))
    stand.do(campaigns.pause)
    assert why_not(stand.apply(ana, codes=("maple",))) == {"maple": "offer_paused"}
    stand.do(campaigns.end)
    assert why_not(stand.apply(ana, codes=("maple",))) == {"maple": "offer_ended"}
    assert why_not(stand.apply(ana, codes=("walnut",))) == {"walnut": "offer_code_unknown"}


def test_states_that_do_not_follow_each_other_are_refused(stand: Stand) -> None:
    stand.plan()
    for command in (campaigns.pause, campaigns.resume, campaigns.end):
        with pytest.raises(OfferStateWrong):
            stand.do(command)
    with pytest.raises(OfferEnded):
        stand.do(campaigns.publish, now=CLOSES)
    with pytest.raises(OfferUnknown):
        stand.do(campaigns.publish, "walnut")
    stand.do(campaigns.publish)
    stand.do(campaigns.end)
    with pytest.raises(OfferStateWrong):
        stand.do(campaigns.publish)


def test_a_draft_may_be_written_again_but_not_what_was_published(stand: Stand) -> None:
    stand.plan()
    stand.plan(source=offer_file('effect = "bonus_points"\npoints = 5', quota=9))
    assert stand.view().quota == 9
    stand.do(campaigns.publish)
    with pytest.raises(OfferKeyTaken):
        stand.plan()
    with pytest.raises(OfferInvalid):
        stand.plan("walnut", "effect = 5")
    assert [view.key for view in campaigns.every(stand.store, programme=COFFEE)] == ["maple"]


def test_two_offers_at_once_cannot_have_the_same_code(stand: Stand) -> None:
    stand.publish(source=offer_file(code='"MAPLE-10"'))
    stand.plan("walnut", offer_file(code='"maple1o"'))
    with pytest.raises(OfferCodeTaken):
        stand.do(campaigns.publish, "walnut")
    stand.do(campaigns.end)
    assert stand.do(campaigns.publish, "walnut") is OfferState.LIVE


def test_a_later_programme_file_does_not_change_what_an_offer_means(stand: Stand) -> None:
    ana = stand.join()
    stand.publish(source=offer_file(when='shops = ["west-loop"]'))
    moved = FILE.read_text("utf-8").replace('key = "west-loop"', 'key = "loop"')
    programmes.load(stand.store, name=COFFEE, source=moved, pass_type="pass.dev.passes.loyalty", now=NOON)
    stand.store.write(lambda work: work.unchanging.clear())
    assert stand.apply(ana).discount_minor == 600


# Who gets it ----------------------------------------------------------------------------------


@pytest.mark.check("L-84")
def test_members_of_the_holdout_neither_see_nor_get_an_offer_and_their_cards_stay_as_they_are(
    stand: Stand,
) -> None:
    ana, ben = stand.join(), stand.join(holdout=True)
    before = stand.revisions()
    stand.publish()
    stand.work()
    assert stand.arms() == {ana.member_id: "treated", ben.member_id: "holdout"}
    assert (stand.on_card(ana), stand.on_card(ben)) == (["Maple Cortado is back"], [])
    assert (stand.apply(ana).discount_minor, why_not(stand.apply(ben))) == (
        600,
        {"maple": "offer_not_for_you"},
    )
    stand.do(campaigns.end)
    stand.work()
    after = stand.revisions()
    assert (after[ana.member_id] - before[ana.member_id], after[ben.member_id]) == (2, before[ben.member_id])
    assert stand.rows("SELECT revision FROM programme") == stand.rows("SELECT 1")


@pytest.mark.check("L-84")
def test_an_extra_share_is_held_out_and_arms_never_change(stand: Stand) -> None:
    for _ in range(60):
        stand.join()
    stand.publish(source=offer_file(holdout_percent=50))
    stand.work(limit=7)
    arms = stand.arms()
    assert 15 < list(arms.values()).count("holdout") < 45
    reach = campaigns.reach(stand.store, programme=COFFEE, key="maple", now=NOON)
    assert (reach.treated, reach.holdout) == (
        list(arms.values()).count("treated"),
        list(arms.values()).count("holdout"),
    )
    stand.do(campaigns.pause)
    stand.work()
    stand.do(campaigns.resume)
    stand.work(limit=7)
    assert stand.arms() == arms


def test_a_spread_that_is_interrupted_goes_on_where_it_was(stand: Stand) -> None:
    everybody = [stand.join() for _ in range(7)]
    before = stand.revisions()
    stand.publish()
    assert campaigns.spread_due(stand.store, now=NOON, limit=3) == 3
    assert [len(stand.on_card(one)) for one in everybody] == [1] * 7  # for everybody: an arm needs no row
    assert len(stand.arms()) == 3
    stand.work()
    assert len(stand.arms()) == 7
    assert stand.revisions() == {member: revision + 1 for member, revision in before.items()}


def test_whoever_joins_while_an_offer_for_everybody_runs_gets_it_and_loses_it(stand: Stand) -> None:
    stand.join()
    stand.publish()
    stand.work()
    late = stand.join(NOON + SECOND)
    assert stand.on_card(late) == ["Maple Cortado is back"]
    assert stand.apply(late).discount_minor == 600
    before = stand.revisions()[late.member_id]
    stand.work(CLOSES)
    assert stand.revisions()[late.member_id] == before + 1


def test_a_segment_is_who_was_in_it_when_the_offer_started(stand: Stand) -> None:
    ana, ben = stand.join(), stand.join()
    stand.set_member(ana, tier="copper")
    stand.set_member(ben, tier="perch")
    source = offer_file(when='tiers = ["copper"]')
    stand.publish(source=source, now=OPENS - SECOND)
    # The window is open, the worker has not come by: the till asks the segment itself.
    assert stand.apply(ana, now=OPENS, tier="copper").discount_minor == 600
    assert why_not(stand.apply(ben, now=OPENS, tier="perch")) == {"maple": "offer_not_for_you"}
    stand.work()
    stand.set_member(ana, tier="perch")
    stand.set_member(ben, tier="copper")
    assert stand.apply(ana, tier="perch").discount_minor == 600
    assert why_not(stand.apply(ben, tier="copper")) == {"maple": "offer_not_for_you"}
    assert (stand.on_card(ana), stand.on_card(ben)) == (["Maple Cortado is back"], [])


@dataclass(frozen=True)
class Phone:
    """What a test puts a card on."""

    wallet: str
    alerts: int = 0


def put_on(stand: Stand, joined: Joined, *phones: Phone, now: datetime = NOON) -> None:
    """The member's card is on these phones; Google took so many notices for it today."""
    for phone in phones:
        number = new_id(now)

        def decide(work: Work, phone: Phone = phone, number: int = number) -> None:
            (found,) = work.ask(
                select(card).where(card.c.programme_id == joined.programme_id, card.c.id == joined.card_id)
            ).all()
            of_phone = {"pass_type_id": found.pass_type_id, "wallet": phone.wallet}
            work.put(
                insert(device), **of_phone, id=number, library_id=str(number), push_token="a", push_token_at=1
            )
            work.put(
                insert(registration),
                **of_phone,
                device_id=number,
                card_id=joined.card_id,
                programme_id=joined.programme_id,
                announced_revision=0,
                registered_at=1,
            )
            for place in range(phone.alerts):
                work.put(
                    insert(google_alert),
                    programme_id=joined.programme_id,
                    card_id=joined.card_id,
                    id=number + place,
                    about="balance",
                    at=micros(now) - 1,
                )

        stand.store.write(decide)


def seen_on_the_web(stand: Stand, joined: Joined) -> None:
    statement = text("UPDATE card SET web_at = 1 WHERE id = :card_id")
    stand.store.write(lambda work: work.put(statement, card_id=joined.card_id))


IPHONE, ANDROID, TIRED = Phone("apple"), Phone("google"), Phone("google", alerts=3)


def reach_of(stand: Stand, *, now: datetime = NOON, **values: Any) -> Reach:
    stand.plan(source=offer_file(**values), now=now)
    return campaigns.reach(stand.store, programme=COFFEE, key="maple", now=now)


@pytest.mark.check("L-83")
def test_the_reach_says_which_phones_ring_and_why_the_others_stay_silent(stand: Stand) -> None:
    for consents, phones in (
        (ASKED, (IPHONE, IPHONE)),
        (ASKED, (IPHONE, ANDROID)),
        (ASKED, (TIRED,)),
        (ASKED, (Phone("google", alerts=2),)),
        ({"offers": True, "ring": False}, (IPHONE, ANDROID)),
        ({}, (TIRED,)),
    ):
        put_on(stand, stand.join(consents=consents), *phones)
    put_on(stand, stand.join(holdout=True, consents=ASKED), IPHONE, ANDROID)
    seen_on_the_web(stand, stand.join())
    stand.join(consents=ASKED)
    reach = reach_of(stand, **LOUD)
    assert (reach.treated, reach.holdout, reach.agreed) == (8, 1, 5)
    assert reach.iphones == Phones(3, {Silence.MEMBER: 1})
    assert reach.androids == Phones(2, {Silence.MEMBER: 2, Silence.NOTICES: 1})
    assert (reach.web_cards, reach.nowhere) == (1, 1)
    tomorrow = reach_of(stand, now=NOON + timedelta(hours=24), **LOUD)
    assert tomorrow.androids == Phones(3, {Silence.MEMBER: 2})
    quiet = reach_of(stand)
    assert (quiet.iphones, quiet.androids.stay_silent) == (Phones(0, {Silence.OFFER: 4}), 5)
    source = programme_file(can_alert_offers=False)
    programmes.load(stand.store, name=COFFEE, source=source, pass_type="pass.dev.passes.loyalty", now=NOON)
    assert reach_of(stand, **LOUD).iphones == Phones(0, {Silence.PROGRAMME: 4})


@pytest.mark.check("L-81")
def test_at_the_same_instant_it_is_night_in_one_zone_and_day_in_another(stand: Stand) -> None:
    """13:00 UTC: eight in the morning in Chicago, four in the afternoon in Istanbul."""
    ana = stand.join(consents=ASKED)
    put_on(stand, ana, IPHONE, ANDROID)
    wanted = {**LOUD, "by_day": "true"}
    reach = reach_of(stand, now=OPENS, **wanted)
    assert (reach.iphones, reach.androids) == (Phones(0, {Silence.NIGHT: 1}), Phones(0, {Silence.NIGHT: 1}))
    stand.do(campaigns.publish, now=OPENS)
    stand.work(OPENS)
    assert (stand.on_card(ana, OPENS), stand.rings(ana, OPENS)) == (["Maple Cortado is back"], [])
    # What came at night does not ring in the morning either.
    assert stand.rings(ana, OPENS + timedelta(hours=2)) == []
    stand.do(campaigns.end, now=OPENS)
    source = programme_file().replace('zone = "America/Chicago"', 'zone = "Europe/Istanbul"')
    programmes.load(stand.store, name=COFFEE, source=source, pass_type="pass.dev.passes.loyalty", now=OPENS)
    stand.plan("walnut", offer_file(**wanted), now=OPENS)
    reach = campaigns.reach(stand.store, programme=COFFEE, key="walnut", now=OPENS)
    assert (reach.iphones, reach.androids) == (Phones(1), Phones(1))
    stand.do(campaigns.publish, "walnut", now=OPENS)
    stand.work(OPENS)
    assert stand.rings(ana, OPENS) == ["walnut"]
    # A phone that was off until the night stays silent, too.
    assert stand.rings(ana, OPENS + timedelta(hours=6)) == []
    # Without `by_day` an offer rings whenever it comes.
    stand.plan("acorn", offer_file(**LOUD), now=OPENS + timedelta(hours=6))
    late = campaigns.reach(stand.store, programme=COFFEE, key="acorn", now=OPENS + timedelta(hours=6))
    assert late.iphones.rings == 1


@pytest.mark.check("L-82")
def test_after_three_offers_of_a_day_the_next_ones_are_silent(stand: Stand) -> None:
    ana, ben = stand.join(consents=ASKED), stand.join(consents=ASKED)
    for one in (ana, ben):
        put_on(stand, one, IPHONE, ANDROID)
    for_copper = offer_file(**LOUD, when='tiers = ["copper"]')
    stand.set_member(ben, tier="copper")
    later = NOON
    # The first two are for Ben alone, so that Ana hears of more than he can.
    for number, source in enumerate((for_copper, for_copper, offer_file(**LOUD), offer_file(**LOUD))):
        later = NOON + number * SECOND
        key = f"offer-{number}"
        stand.plan(key, source, now=later)
        reach = campaigns.reach(stand.store, programme=COFFEE, key=key, now=later)
        silent = {Silence.NOTICES: 1} if number == 3 else {}
        assert reach.iphones.silent == reach.androids.silent == silent, number
        stand.do(campaigns.publish, key, now=later)
        stand.work(later)
        assert stand.rings(ben, later) == ([key] if number < 3 else [])
    assert stand.rings(ana, later) == ["offer-3"]
    tomorrow = later + timedelta(hours=24)
    stand.plan("offer-4", offer_file(**LOUD), now=tomorrow)
    reach = campaigns.reach(stand.store, programme=COFFEE, key="offer-4", now=tomorrow)
    assert (reach.iphones.rings, reach.androids.rings) == (2, 2)


def test_who_joins_while_an_offer_runs_finds_it_and_is_not_rung(stand: Stand) -> None:
    stand.publish(source=offer_file(**LOUD))
    stand.work()
    late = stand.join(NOON + SECOND, consents=ASKED)
    assert (stand.on_card(late, NOON + 2 * SECOND), stand.rings(late, NOON + 2 * SECOND)) == (
        ["Maple Cortado is back"],
        [],
    )


def test_the_newest_answer_decides_and_a_card_on_the_web_counts_where_no_phone_has_it(stand: Stand) -> None:
    ana = stand.join(consents={"ring": False})
    put_on(stand, ana, IPHONE)
    seen_on_the_web(stand, ana)
    assert reach_of(stand, **LOUD).iphones.rings == 0
    change = text("UPDATE consent SET given = :given WHERE purpose = 'ring'")
    stand.store.write(lambda work: work.put(change, given=True))
    reach = reach_of(stand, **LOUD)
    assert (reach.iphones.rings, reach.web_cards) == (1, 0)


def test_an_offer_for_who_never_bought_reaches_nobody_else(stand: Stand) -> None:
    ana, ben = stand.join(), stand.join()
    stand.set_member(ana, purchases=1)
    for one in (ana, ben):
        put_on(stand, one, IPHONE)
    reach = reach_of(stand, new_members_only="true")
    assert (reach.treated, reach.iphones.stay_silent) == (1, 1)


def test_the_progress_counts_phones_that_were_told_and_those_that_wait(stand: Stand) -> None:
    ana, ben, eve = stand.join(), stand.join(), stand.join(holdout=True)
    put_on(stand, ana, IPHONE, IPHONE)
    put_on(stand, ben, ANDROID)
    put_on(stand, eve, IPHONE)

    def progress() -> Progress:
        return campaigns.progress(stand.store, programme=COFFEE, key="maple")

    stand.publish()
    assert (progress().treated, progress().iphones) == (0, Spread())
    stand.work()
    assert (progress().treated, progress().holdout) == (2, 1)
    assert (progress().iphones, progress().androids) == (Spread(2, 0, 2), Spread(1, 0, 1))
    stand.store.write(lambda work: work.put(text("UPDATE card SET changed = :not"), **{"not": False}))
    assert progress().iphones == Spread(2, 2, 0)


def test_closed_and_merged_members_are_not_meant(stand: Stand) -> None:
    ana, ben = stand.join(), stand.join()
    stand.set_member(ana, closed_at=1)
    stand.set_member(ben, merged_into=7)
    stand.publish()
    stand.work()
    assert stand.arms() == {}


def test_new_members_lose_an_offer_for_new_members_with_their_first_purchase(stand: Stand) -> None:
    ana = stand.join()
    stand.publish(source=offer_file(new_members_only="true"))
    stand.work()
    assert (stand.on_card(ana), stand.apply(ana, purchases=0).discount_minor) == (
        ["Maple Cortado is back"],
        600,
    )
    stand.set_member(ana, purchases=1)
    assert (stand.on_card(ana), why_not(stand.apply(ana, purchases=1))) == (
        [],
        {"maple": "offer_not_for_you"},
    )


def test_the_card_shows_the_most_important_offer_first(stand: Stand) -> None:
    ana = stand.join()
    stand.publish("maple", offer_file())
    stand.publish("walnut", offer_file(priority=5).replace("Maple Cortado is back", "Walnut"))
    assert stand.on_card(ana) == ["Walnut", "Maple Cortado is back"]


# "Tell me when it's back" ------------------------------------------------------------------------


def test_who_asked_for_a_product_gets_its_offer_also_while_it_runs(stand: Stand) -> None:
    ana, ben, cem = (stand.join() for _ in range(3))

    def wish(one: Joined, product: str = "maple-cortado") -> bool:
        return campaigns.wish(stand.store, programme=COFFEE, code=one.code, product=product, now=NOON)

    assert (wish(ana), wish(ana), wish(cem, "walnut-latte")) == (True, False, True)
    assert campaigns.wishes(stand.store, programme=COFFEE) == {"maple-cortado": 1, "walnut-latte": 1}
    stand.publish(source=offer_file(product='"maple-cortado"'))
    stand.work()
    assert [len(stand.on_card(one)) for one in (ana, ben, cem)] == [1, 0, 0]
    before = stand.revisions()[ben.member_id]
    assert wish(ben)
    assert (len(stand.on_card(ben)), stand.revisions()[ben.member_id]) == (1, before + 1)
    assert stand.apply(ben).discount_minor == 600
    assert campaigns.unwish(stand.store, programme=COFFEE, code=cem.code, product="walnut-latte")
    assert campaigns.wishes(stand.store, programme=COFFEE) == {"maple-cortado": 2}
    with pytest.raises(ProductInvalid):
        wish(ana, "Maple Cortado!")


# What is used -----------------------------------------------------------------------------------


@pytest.mark.check("L-25")
def test_one_member_uses_an_offer_as_often_as_one_may(stand: Stand) -> None:
    ana, ben = stand.join(), stand.join()
    stand.publish(source=offer_file(member_limit=2))
    stand.work()
    for receipt_id in (1, 2):
        assert stand.apply(ana, receipt_id=receipt_id).discount_minor == 600
    assert why_not(stand.apply(ana)) == {"maple": "offer_member_limit"}
    assert (stand.on_card(ana), len(stand.on_card(ben))) == ([], 1)
    assert stand.apply(ben, receipt_id=3).discount_minor == 600


@pytest.mark.check("L-29")
def test_the_last_use_and_the_last_of_the_budget_are_exact(stand: Stand) -> None:
    ana = stand.join()
    stand.publish("few", offer_file('effect = "amount_off"\namount = 1.00', quota=2))
    stand.publish("poor", offer_file('effect = "amount_off"\namount = 1.00', budget="2.50"))
    for receipt_id in (1, 2):
        assert stand.apply(ana, receipt_id=receipt_id).discount_minor == 200
    assert why_not(stand.apply(ana)) == {"few": "offer_quota_used_up", "poor": "offer_budget_used_up"}
    assert (stand.view("few").used, stand.view("poor").spent_minor) == (2, 200)


def test_an_offer_that_is_used_up_leaves_the_cards_once_no_use_can_come_back(stand: Stand) -> None:
    ana, ben = stand.join(), stand.join()
    stand.publish("few", offer_file(quota=1))
    stand.publish("kind", offer_file(quota=1, restore_on_return="true"))
    stand.work()
    stand.apply(ana, receipt_id=1)
    undone_until = NOON + timedelta(seconds=600)
    stand.work(undone_until - SECOND)
    assert (len(stand.on_card(ben)), stand.view("few").state) == (2, "live")
    before = stand.revisions()[ben.member_id]
    stand.work(undone_until)
    assert [stand.view(key).state for key in ("few", "kind")] == ["ended", "live"]
    assert (len(stand.on_card(ben)), stand.revisions()[ben.member_id]) == (1, before + 1)


@pytest.mark.check("L-28")
def test_an_offer_that_gave_nothing_is_not_used(stand: Stand) -> None:
    ana = stand.join()
    stand.publish(source=offer_file('effect = "points_times"\nfactor = 2', quota=1))
    assert [use.key for use in stand.apply(ana, receipt_id=1, points={}).uses] == ["maple"]
    assert (stand.view().used, stand.rows("SELECT count(*) FROM offer_use")) == (0, [(0,)])
    stand.apply(ana, receipt_id=2, points={earning_key("maple"): 600})
    assert stand.rows("SELECT used, spent_points FROM offer") == [(1, 600)]
    assert (stand.view().used, stand.view().points) == (1, 600)
    assert stand.rows("SELECT receipt_id, points, discount_minor, state FROM offer_use") == [
        (2, 600, 0, "consumed")
    ]


def test_a_full_return_gives_the_use_back_where_the_offer_says_so_and_still_runs(stand: Stand) -> None:
    ana = stand.join()
    limits: dict[str, Any] = {"quota": 1, "member_limit": 1, "budget": "6.00"}
    stand.publish("kind", offer_file(restore_on_return="true", **limits))
    stand.publish("strict", offer_file(**limits, group='"one"'))
    stand.work()
    stand.apply(ana, receipt_id=1)
    assert why_not(stand.apply(ana)) == {"kind": "offer_quota_used_up", "strict": "offer_quota_used_up"}
    assert stand.restore(1) == ["kind"]
    assert stand.restore(1) == []
    assert (stand.view("kind").used, stand.view("kind").spent_minor, stand.view("strict").used) == (0, 0, 1)
    assert [use.key for use in stand.apply(ana, receipt_id=2).uses] == ["kind"]
    assert stand.restore(2, now=CLOSES) == []


def test_a_purchase_taken_back_at_the_till_gives_every_use_back(stand: Stand) -> None:
    ana = stand.join()
    stand.publish(source=offer_file(quota=1, member_limit=1))
    stand.apply(ana, receipt_id=1)
    assert stand.restore(1, undone=True) == ["maple"]
    assert (stand.view().used, stand.apply(ana, receipt_id=2).discount_minor) == (0, 600)


def test_a_use_can_be_given_back_after_its_member_became_another(stand: Stand) -> None:
    ana, ben = stand.join(), stand.join()
    stand.publish(source=offer_file(member_limit=1))
    stand.apply(ana, receipt_id=1)
    moved = text("UPDATE offer_use SET member_id = :to")
    stand.store.write(lambda work: work.put(moved, to=ben.member_id))
    assert stand.restore(1, undone=True) == ["maple"]


def test_a_single_use_code_works_once_and_again_after_it_was_given_back(stand: Stand) -> None:
    ana, ben = stand.join(), stand.join()
    stand.publish(source=offer_file(unique_codes="true"))
    stand.work()
    one, two = campaigns.make_codes(stand.store, programme=COFFEE, key="maple", count=2, now=NOON)
    assert (one != two, len(one.replace("-", ""))) == (True, 16)
    assert stand.apply(ana).uses == ()
    assert stand.apply(ana, codes=(one.lower(),), receipt_id=1).discount_minor == 600
    assert why_not(stand.apply(ben, codes=(one,))) == {"maple": "offer_code_used"}
    assert stand.apply(ben, codes=(two,), receipt_id=2).discount_minor == 600
    stand.restore(1, undone=True)
    assert stand.apply(ben, codes=(one,), receipt_id=3).discount_minor == 600
    kept = stand.rows("SELECT code_hash FROM offer_code")
    assert all(one.replace("-", "").encode() not in bytes(row[0]) for row in kept)
    stand.do(campaigns.end)
    with pytest.raises(OfferStateWrong):
        campaigns.make_codes(stand.store, programme=COFFEE, key="maple", count=1, now=NOON)


# Coming back -------------------------------------------------------------------------------------

CHICAGO = ZoneInfo("America/Chicago")


def day(month: int, number: int, year: int = 2026) -> datetime:
    return datetime(year, month, number, 12, tzinfo=CHICAGO).astimezone(UTC)


@pytest.fixture
def returning(stand: Stand) -> Stand:
    """The coffee shop wants people back: 90 days idle, once in 180, valid for 30."""
    rule = "\n[win_back]\npoints = 200\nidle_days = 90\nevery_days = 180\nvalid_days = 30\n"
    source = re.sub(r"\n\[win_back\][^\[]*", "\n", FILE.read_text("utf-8")) + rule
    programmes.load(stand.store, name=COFFEE, source=source, pass_type="pass.dev.passes.loyalty", now=NOON)
    return stand


def bonus(stand: Stand, joined: Joined, now: datetime) -> int | None:
    """What coming back brings; the purchase itself is booked as well."""

    def decide(work: Work) -> int | None:
        loaded = programmes_store.by_slug(work, COFFEE)
        standing = members.standing(members.of_card(work, loaded.id, joined.card_id))
        assert standing is not None
        points = win_backs.win_back_bonus(work, loaded, standing, now=now)
        if points is not None:
            win_backs.keep(work, loaded, joined.member_id, now=now)
        return points

    given = stand.store.write(decide)
    stand.set_member(joined, last_purchase_at=micros(now), purchases=2)
    return given


def promised(stand: Stand, now: datetime) -> int:
    """Members who are promised something new on this day."""
    before = stand.rows("SELECT count(*) FROM notice")[0][0]
    while campaigns.win_back_due(stand.store, now=now, limit=2):
        pass
    return int(stand.rows("SELECT count(*) FROM notice")[0][0]) - int(before)


@pytest.mark.check("L-32")
def test_a_member_who_stayed_away_is_promised_a_gift_and_gets_it_once_in_half_a_year(
    returning: Stand,
) -> None:
    ana, ben, cem = returning.join(), returning.join(holdout=True), returning.join(language="tr")
    for one in (ana, ben):
        returning.set_member(one, last_purchase_at=micros(day(1, 1)), purchases=1)
    before = returning.revisions()
    assert promised(returning, day(3, 31)) == 0
    assert promised(returning, day(4, 5)) == 1  # Ben is held out, Cem never bought
    assert promised(returning, day(4, 5)) == 0
    assert returning.on_card(ana, day(4, 5)) == ["Welcome back"]
    assert returning.revisions() == {**before, ana.member_id: before[ana.member_id] + 1}
    assert (bonus(returning, ana, day(4, 10)), bonus(returning, ana, day(4, 10))) == (200, None)
    assert returning.on_card(ana, day(4, 10)) == []
    assert bonus(returning, ben, day(4, 10)) is None
    assert bonus(returning, cem, day(4, 10)) is None
    for one in (ben, cem):
        returning.set_member(one, closed_at=1)
    assert promised(returning, day(10, 6)) == 0
    assert promised(returning, day(10, 7)) == 1
    assert (bonus(returning, ana, day(10, 8))) == 200


@pytest.mark.check("L-32")
def test_a_promise_that_was_not_taken_up_leaves_the_card_after_its_days(returning: Stand) -> None:
    ana = returning.join()
    returning.set_member(ana, last_purchase_at=micros(day(1, 1)), purchases=1)
    assert promised(returning, day(4, 5)) == 1
    revision = returning.revisions()[ana.member_id]
    for number, changes in ((4, 0), (5, 1), (6, 1)):
        # 30 local days from 5 April: the last one is 4 May.
        assert len(returning.on_card(ana, day(5, number))) == 1 - changes
        assert promised(returning, day(5, number)) == 0
        assert returning.revisions()[ana.member_id] == revision + changes
    assert bonus(returning, ana, day(5, 5)) is None


def test_the_last_day_of_a_promise_still_brings_the_gift(returning: Stand) -> None:
    ana = returning.join()
    returning.set_member(ana, last_purchase_at=micros(day(1, 1)), purchases=1)
    promised(returning, day(4, 5))
    assert bonus(returning, ana, datetime(2026, 5, 4, 23, 59, 59, tzinfo=CHICAGO)) == 200


def test_a_promise_speaks_the_members_language(returning: Stand) -> None:
    cem = returning.join(language="tr")
    returning.set_member(cem, last_purchase_at=micros(day(1, 1)), purchases=1)
    promised(returning, day(4, 5))
    with returning.store.read() as read:
        loaded = programmes_store.by_slug(read, COFFEE)
        (line,) = offers.for_card(read, loaded, cem.member_id, language="tr", now=day(4, 6))
    assert (line.title, line.text) == (
        "Yeniden hoş geldiniz",
        "Bir sonraki alışverişiniz size 200 çekirdek kazandırır.",
    )
