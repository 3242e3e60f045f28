"""Points for acts and by hand: the published rule, the limits, the second person, and the log."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from passes import books, club, merging, programmes
from passes.club import Outcome
from passes.enrolment import Joined
from passes.loyalty.refusals import (
    ActionDayLimit,
    ActionLimit,
    ActionUnknown,
    ActUnknown,
    AdjustmentDayLimit,
    AdjustmentInvalid,
    AdjustmentUnknown,
    AlreadyDecided,
    CardForeign,
    CodeMistyped,
    KeyReused,
    NotEnoughPoints,
    ReasonUnknown,
    Refused,
    SomebodyElse,
    WordsInvalid,
)
from passes.store import Store
from tests.cast import rows
from tests.shop import BOOKS, COFFEE, PASS_TYPE, Shop, open_shop

IDEA = """
[[actions]]
key = "idea"
name = { en = "An idea that we took up", tr = "Hayata geçirdiğimiz bir fikir" }
points = 300
member_limit = 2
member_days = 7
day_limit = 3

[adjustments]
reasons = ["goodwill", "complaint"]
approval_points = 200
person_day_points = 1000

[card]
"""


def load(shop: Shop, *changes: tuple[str, str]) -> None:
    """Load the coffee shop's file with an act that a second person decides, and stricter corrections."""
    (path,) = (path for path in programmes.DEMONSTRATION if path.stem == COFFEE)
    source = path.read_text("utf-8")
    for old, new in (("\n[card]\n", IDEA), *changes):
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    programmes.load(shop.store, name=COFFEE, source=source, pass_type=PASS_TYPE, now=shop.now)


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    opened = open_shop(store, now)
    load(opened)
    return opened


def submit(shop: Shop, joined: Joined, action: str = "idea", **options: Any) -> Outcome:
    values = {"programme": COFFEE, "words": "Oat milk", "key": shop.key(), "by": "cy", "now": shop.now}
    return club.submit(shop.store, code=joined.code, action=action, **{**values, **options})


def decide(shop: Shop, outcome: Outcome, grant: bool = True, **options: Any) -> Outcome:
    values = {"programme": COFFEE, "key": shop.key(), "by": "mo", "now": shop.now}
    return club.decide(shop.store, act_id=outcome.id, grant=grant, **{**values, **options})


def adjust(shop: Shop, joined: Joined, points: int, **options: Any) -> Outcome:
    values = {
        "programme": COFFEE,
        "reason": "goodwill",
        "note": "Waited 40 minutes.",
        "words": "Sorry for the wait.",
        "by": "cy",
        "key": shop.key(),
        "now": shop.now,
    }
    return club.adjust(shop.store, code=joined.code, points=points, **{**values, **options})


def approve(shop: Shop, outcome: Outcome, grant: bool = True, **options: Any) -> Outcome:
    values = {"programme": COFFEE, "key": shop.key(), "by": "mo", "now": shop.now}
    return club.approve(shop.store, adjustment_id=outcome.id, grant=grant, **{**values, **options})


# Acts ---------------------------------------------------------------------------------


def test_an_act_without_a_moderator_is_thanked_for_at_once(shop: Shop) -> None:
    ana = shop.join()
    outcome = submit(shop, ana, "shared-cup")
    assert outcome.state == "granted"
    assert outcome.receipt is not None
    assert (outcome.receipt.kind, outcome.receipt.points, outcome.receipt.balance_after) == ("action", 5, 105)
    assert outcome.receipt.reasons == (
        {"rule": "action", "action": "shared-cup", "act": outcome.id, "points": 5, "version": 2},
    )
    assert books.verify(shop.store).right


def test_a_moderated_act_waits_until_somebody_else_decides(shop: Shop) -> None:
    ana = shop.join()
    waiting = submit(shop, ana)
    assert (waiting.state, waiting.receipt, shop.balance(ana.code)) == ("waiting", None, 100)
    assert [act.id for act in club.acts(shop.store, programme=COFFEE)] == [waiting.id]
    granted = decide(shop, waiting)
    assert (granted.state, shop.balance(ana.code)) == ("granted", 400)
    with pytest.raises(AlreadyDecided):
        decide(shop, waiting, False)
    refused = decide(shop, submit(shop, ana), False)
    assert (refused.state, refused.receipt, shop.balance(ana.code)) == ("refused", None, 400)
    assert club.acts(shop.store, programme=COFFEE) == []
    assert [act.state for act in club.acts(shop.store, programme=COFFEE, only_waiting=False)] == [
        "refused",
        "granted",
    ]
    assert books.verify(shop.store).right


def staff(shop: Shop, login: str, name: str) -> None:
    from passes.store import staff as people

    shop.store.write(
        lambda work: people.add(
            work, staff_id=hash(login) % 10**9, login=login, name=name, password_hash="", now=0
        )
    )


@pytest.mark.parametrize("who", ["submitter", "till person", "member by address", "member by name"])
def test_whoever_has_a_part_in_an_act_does_not_decide_it(shop: Shop, who: str) -> None:
    ana = shop.join(email="ana@copperfinch.example")
    staff(shop, "ar", "ana REYES")
    shop.buy(ana.code, 500)
    waiting = submit(shop, ana, by="bea")
    by = {"submitter": "bea", "till person": "cy", "member by name": "ar"}.get(who, "ana@copperfinch.example")
    for grant in (True, False):
        with pytest.raises(SomebodyElse):
            decide(shop, waiting, grant, by=by)
    assert decide(shop, waiting).state == "granted"


def test_staff_do_not_thank_themselves(shop: Shop) -> None:
    staff(shop, "ana", "Ana Reyes")
    ana = shop.join()
    with pytest.raises(SomebodyElse):
        submit(shop, ana, "shared-cup", by="ana")
    with pytest.raises(SomebodyElse):
        adjust(shop, ana, 10, by="ana")
    assert rows(shop.store, "act") == rows(shop.store, "adjustment") == []


def test_a_member_is_thanked_as_often_as_the_rule_says_within_its_days(shop: Shop) -> None:
    ana = shop.join()
    for day in (0, 3):
        decide(shop, submit(shop, ana, now=shop.now + timedelta(days=day)))
    third = submit(shop, ana, now=shop.now + timedelta(days=6))
    with pytest.raises(ActionLimit):
        decide(shop, third, now=shop.now + timedelta(days=30))
    # What counts is when something was done, not when it is decided.
    fourth = submit(shop, ana, now=shop.now + timedelta(days=7))
    decide(shop, fourth, now=shop.now + timedelta(days=7))
    assert decide(shop, third, False).state == "refused"
    submit(shop, ana, "shared-cup")
    with pytest.raises(ActionLimit):
        submit(shop, ana, "shared-cup")
    assert shop.balance(ana.code) == 100 + 3 * 300 + 5
    assert books.verify(shop.store).right


def test_acts_decided_in_another_order_than_done_obey_the_same_limit(shop: Shop) -> None:
    ana = shop.join()
    early, middle, late = (submit(shop, ana, now=shop.now + timedelta(days=day)) for day in (0, 3, 5))
    later = shop.now + timedelta(days=6)
    decide(shop, late, now=later)
    decide(shop, early, now=later)
    with pytest.raises(ActionLimit):
        decide(shop, middle, now=later)


def test_all_members_together_have_a_day_limit(shop: Shop) -> None:
    people = [shop.join(name) for name in ("Ana", "Ben", "Cleo", "Dee")]
    acts = [submit(shop, joined) for joined in people]
    for act in acts[:3]:
        decide(shop, act)
    with pytest.raises(ActionDayLimit):
        decide(shop, acts[3], now=shop.now + timedelta(days=1))
    tomorrow = submit(shop, people[3], now=shop.now + timedelta(days=1))
    assert decide(shop, tomorrow, now=shop.now + timedelta(days=1)).state == "granted"


def test_the_day_limit_holds_for_moderators_at_the_same_time(shop: Shop, database_url: str) -> None:
    from passes import store as database

    acts = [submit(shop, shop.join(f"Member {number}")) for number in range(8)]
    served = database.open(database_url, writer_thread=True)
    states: list[str] = []

    def attempt(act: Outcome, number: int) -> None:
        try:
            busy = Shop(served, shop.now)
            states.append(decide(busy, act, key=f"decide-{number}").state)
        except ActionDayLimit:
            states.append("limit")

    threads = [threading.Thread(target=attempt, args=(act, number)) for number, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    served.close()
    assert sorted(states) == ["granted"] * 3 + ["limit"] * 5
    assert books.verify(shop.store).right


def test_points_are_those_of_the_rule_when_the_act_was_submitted(shop: Shop) -> None:
    ana = shop.join()
    before = submit(shop, ana, now=shop.now + timedelta(hours=1))
    changed = Shop(shop.store, shop.now + timedelta(hours=2))
    load(changed, ("points = 300", "points = 400"))
    after = submit(shop, ana, now=shop.now + timedelta(hours=3))
    later = shop.now + timedelta(hours=4)
    first, second = (decide(shop, act, now=later).receipt for act in (before, after))
    assert first is not None
    assert second is not None
    assert (first.points, second.points) == (300, 400)
    assert [receipt.reasons[0]["version"] for receipt in (first, second)] == [2, 3]


def test_an_act_of_somebody_merged_meanwhile_is_the_survivors(shop: Shop) -> None:
    ana, twin = shop.join(), shop.join("Ana R.")
    waiting = submit(shop, twin)
    merging.merge(
        shop.store,
        programme=COFFEE,
        survivor=ana.code,
        loser=twin.code,
        proof="ID card",
        by="mo",
        key=shop.key(),
        now=shop.now,
    )
    granted = decide(shop, waiting)
    assert granted.receipt is not None
    assert (granted.receipt.member_id, shop.balance(twin.code)) == (ana.member_id, 400)


def test_the_same_request_submits_and_decides_once(shop: Shop) -> None:
    ana = shop.join()
    first = submit(shop, ana, key="submit")
    assert submit(shop, ana, key="submit") == first
    with pytest.raises(KeyReused):
        submit(shop, ana, key="submit", words="Soy milk")
    granted = decide(shop, first, key="decide")
    assert decide(shop, first, key="decide") == granted
    with pytest.raises(KeyReused):
        decide(shop, first, False, key="decide")
    assert len(rows(shop.store, "act")) == 1
    assert shop.balance(ana.code) == 400


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"action": "dancing"}, ActionUnknown),
        ({"words": " \n"}, WordsInvalid),
        ({"words": "x" * 1001}, WordsInvalid),
        ({"code": "HELLO"}, CodeMistyped),
    ],
)
def test_what_is_no_act_is_refused(shop: Shop, options: dict[str, Any], refusal: type[Refused]) -> None:
    ana = shop.join()
    values = {"programme": COFFEE, "words": "x", "key": "k", "by": "cy", "now": shop.now}
    with pytest.raises(refusal):
        club.submit(shop.store, **{"code": ana.code, "action": "idea", **values, **options})
    with pytest.raises(ActUnknown):
        decide(shop, Outcome(7, "waiting", None))
    with pytest.raises(ActUnknown):
        decide(shop, Outcome(2**70, "waiting", None))
    assert rows(shop.store, "act") == []


# Corrections by hand -----------------------------------------------------------------------


@pytest.mark.check("L-65")
def test_a_small_correction_is_booked_with_its_reason_and_words(shop: Shop) -> None:
    ana = shop.join()
    given = adjust(shop, ana, 200)
    assert given.receipt is not None
    assert (given.state, given.receipt.kind, given.receipt.balance_after) == ("booked", "adjust", 300)
    (reason,) = given.receipt.reasons
    assert (reason["rule"], reason["reason"], reason["text"]) == (
        "adjustment",
        "goodwill",
        "Sorry for the wait.",
    )
    assert "40 minutes" not in given.receipt.as_json()
    taken = adjust(shop, ana, -50)
    assert taken.receipt is not None
    assert (taken.receipt.points, taken.receipt.balance_after) == (-50, 250)
    (first, _) = rows(shop.store, "adjustment")
    assert (first["note"], first["asked_by"], first["decided_by"]) == ("Waited 40 minutes.", "cy", None)
    assert books.verify(shop.store).right


@pytest.mark.check("L-65")
def test_above_an_amount_a_second_person_approves_and_never_the_same(shop: Shop) -> None:
    ana = shop.join()
    waiting = adjust(shop, ana, 201)
    assert (waiting.state, waiting.receipt, shop.balance(ana.code)) == ("waiting", None, 100)
    for grant in (True, False):
        with pytest.raises(SomebodyElse):
            approve(shop, waiting, grant, by="cy")
    booked = approve(shop, waiting)
    assert (booked.state, shop.balance(ana.code)) == ("booked", 301)
    (row,) = rows(shop.store, "adjustment")
    assert (row["asked_by"], row["decided_by"], row["state"]) == ("cy", "mo", "booked")
    with pytest.raises(AlreadyDecided):
        approve(shop, waiting)
    with pytest.raises(AdjustmentUnknown):
        approve(shop, Outcome(7, "waiting", None))
    assert books.verify(shop.store).right


@pytest.mark.check("L-65")
def test_one_person_moves_so_much_a_local_day_and_what_was_refused_does_not_count(shop: Shop) -> None:
    ana, ben = shop.join(), shop.join("Ben Novak")
    adjust(shop, ana, 200)
    waiting = adjust(shop, ben, -700, allow_negative=True)
    with pytest.raises(AdjustmentDayLimit) as refused:
        adjust(shop, ana, 101)
    assert refused.value.values == {"limit": 1000, "left": 100}
    adjust(shop, ana, 100)
    adjust(shop, ana, 101, by="bea")
    # 05:00 UTC is midnight in Chicago.
    midnight = datetime(2026, 3, 15, 5, 0, tzinfo=shop.now.tzinfo)
    with pytest.raises(AdjustmentDayLimit):
        adjust(shop, ana, 1, now=midnight - timedelta(microseconds=1))
    adjust(shop, ana, 1, now=midnight)
    approve(shop, waiting, False)
    adjust(shop, ana, -150)
    with pytest.raises(AdjustmentDayLimit):
        adjust(shop, ana, 1001, by="dee")
    assert shop.balance(ben.code) == 100
    assert books.verify(shop.store).right


@pytest.mark.check("L-65")
def test_the_day_limit_holds_at_the_same_time(shop: Shop, database_url: str) -> None:
    from passes import store as database

    people = [shop.join(f"Member {number}") for number in range(8)]
    served = database.open(database_url, writer_thread=True)
    states: list[str] = []

    def attempt(joined: Joined, number: int) -> None:
        try:
            states.append(adjust(Shop(served, shop.now), joined, 200, key=f"adjust-{number}").state)
        except AdjustmentDayLimit:
            states.append("limit")

    threads = [
        threading.Thread(target=attempt, args=(joined, number)) for number, joined in enumerate(people)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    served.close()
    assert sorted(states) == ["booked"] * 5 + ["limit"] * 3
    assert books.verify(shop.store).right


@pytest.mark.check("L-65")
def test_below_zero_only_when_it_is_said(shop: Shop) -> None:
    ana = shop.join()
    with pytest.raises(NotEnoughPoints):
        adjust(shop, ana, -101)
    assert rows(shop.store, "adjustment") == []
    adjust(shop, ana, -101, allow_negative=True)
    assert shop.balance(ana.code) == -1
    shop.buy(ana.code, 100)
    assert shop.balance(ana.code) == 9
    waiting = adjust(shop, ana, -300)
    with pytest.raises(NotEnoughPoints):
        approve(shop, waiting)
    approve(shop, waiting, allow_negative=True)
    assert shop.balance(ana.code) == -291
    assert books.verify(shop.store).right


def test_points_that_lapsed_but_are_still_in_the_books_are_not_given_away(shop: Shop) -> None:
    ana = shop.join()
    shop.buy(ana.code, 1000)
    later = shop.now + timedelta(days=400)
    with pytest.raises(NotEnoughPoints):
        adjust(shop, ana, -150, now=later)
    adjust(shop, ana, -150, now=later, allow_negative=True)
    assert books.verify(shop.store).problems == ()


@pytest.mark.check("L-65")
@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"points": 0}, AdjustmentInvalid),
        ({"points": 10**12}, AdjustmentInvalid),
        ({"reason": "correction"}, ReasonUnknown),
        ({"note": ""}, WordsInvalid),
        ({"words": "x" * 201}, WordsInvalid),
        ({"programme": BOOKS}, CardForeign),
    ],
)
def test_a_correction_without_a_reason_words_or_points_is_refused(
    shop: Shop, options: dict[str, Any], refusal: type[Refused]
) -> None:
    ana = shop.join()
    with pytest.raises(refusal):
        adjust(shop, ana, **{"points": 10, **options})
    assert rows(shop.store, "adjustment") == rows(shop.store, "audit") == []
    assert shop.balance(ana.code) == 100


def test_who_decided_what_stands_in_the_log(shop: Shop) -> None:
    staff(shop, "mo", "Mo")
    ana = shop.join()
    decide(shop, submit(shop, ana))
    approve(shop, adjust(shop, ana, 300))
    log = [(row["action"], row["detail"]) for row in rows(shop.store, "audit")]
    assert log == [
        ("act.submit", "cy: idea waiting"),
        ("act.decide", "idea granted"),
        ("adjust", "cy: +300 goodwill waiting"),
        ("adjust.approve", "+300 goodwill booked"),
    ]
    assert [row["staff_id"] is None for row in rows(shop.store, "audit")] == [True, False, True, False]
    assert {row["programme_id"] for row in rows(shop.store, "audit")} == {ana.programme_id}


def test_the_same_correction_is_booked_once(shop: Shop) -> None:
    ana = shop.join()
    first = adjust(shop, ana, 100, key="sorry")
    assert adjust(shop, ana, 100, key="sorry") == first
    with pytest.raises(KeyReused):
        adjust(shop, ana, 110, key="sorry")
    assert shop.balance(ana.code) == 200


# The command line -----------------------------------------------------------------------------


def test_acts_corrections_and_merges_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from passes import cli

    monkeypatch.setenv("PASSES_MODE", "development")
    monkeypatch.setenv("PASSES_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("PASSES_CERTS", str(tmp_path / "certs" / "dev"))

    def run(*arguments: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert cli.main([*arguments, "--json"]) == status
        printed = capsys.readouterr().out
        return json.loads(printed) if printed.strip() else None

    run("certs", "dev")
    run("keys", "create")
    run("migrate")
    run("programme", "load", *(str(path) for path in programmes.DEMONSTRATION))
    ana, twin = (run("enrol", COFFEE, "Ana Reyes", "--email", "ana@example.org")["code"] for _ in range(2))
    granted = run("act", "submit", COFFEE, ana, "shared-cup", "Own cup", "--by", "cy")
    assert (granted["state"], granted["receipt"]["points"]) == ("granted", 5)
    assert run("act", "list", COFFEE) == []
    assert [act["state"] for act in run("act", "list", COFFEE, "--all")] == ["granted"]
    refused = run("act", "decide", COFFEE, str(granted["id"]), "grant", "--by", "mo", status=1)
    assert refused["refused"] == "already_decided"
    asking = ("adjust", "book", COFFEE, twin, "600", "goodwill", "--note", "n", "--words", "w", "--by", "cy")
    waiting = run(*asking, "--key", "once")
    assert run(*asking, "--key", "once") == waiting
    assert run("adjust", "decide", COFFEE, str(waiting["id"]), "approve", "--by", "mo")["state"] == "booked"
    assert [one["points"] for one in run("adjust", "list", COFFEE)] == [600]
    (pair,) = run("merge", "find", COFFEE)
    assert (pair["shared"], pair["older_code"], pair["newer_code"]) == ("email", ana, twin)
    merged = run("merge", "do", COFFEE, ana, twin, "--proof", "ID card", "--by", "mo")
    assert merged["balance"] == 705
    assert run("merge", "find", COFFEE) == []
    parted = run("merge", "undo", COFFEE, str(merged["id"]), "--proof", "Sisters", "--by", "mo")
    assert parted["points"] == -600
    assert run("ledger", "verify")["problems"] == []
