"""Google behind the wallet seam: whatever happens on the way, Google ends with the newest state."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from passes.google.client import GoogleApi
from passes.google.documents import Pictures, loyalty_class, message
from passes.google.problems import AccountRefused, ClassNotPublished, TryLater
from passes.google.schema import Document
from passes.google.wallet import GoogleWallet, Wanted
from passes.language import say
from passes.loyalty.card import FaceField, FieldKind
from passes.wallet import Accepted, Gone, Install, Later, Outcome, Parked, Rejected, Wallet
from tests.apple.cards import face
from tests.google.cards import CLASS_ID, ISSUER, LOGO, NOW, OBJECT_ID, card, club
from tests.google.service import Fault, Google, problem, running
from tests.google.test_client import Clock, make
from tests.loyalty.shops import shop


def number(key: int) -> str:
    return f"{ISSUER}.c-{key}"


def beans(balance: int, key: int = 0, **changes: Any) -> Document:
    header = FaceField("balance", "BEANS", balance, FieldKind.NUMBER)
    return card(face(header=header, **changes), object_id=number(key))


def install(key: int = 0) -> Install:
    return Install(key, CLASS_ID, number(key))


class Shop:
    """What the product knows: what each object should be, and the class."""

    def __init__(self, google: Google) -> None:
        self.google = google
        self.cards: dict[str, Wanted | None] = {}
        self.its_class: Document | None = club()
        self.clock = Clock()
        self.pauses: list[float] = []
        self.wallet = self.made()

    def made(self, *, threads: int = 4, round_seconds_max: float = 40, **changes: Any) -> GoogleWallet:
        api: GoogleApi = make(self.google, self.clock, self.pauses, **changes)
        return GoogleWallet(
            api,
            wanted_of=lambda one: self.cards[one.address],
            class_of=lambda identifier: self.its_class if identifier == CLASS_ID else None,
            clock=self.clock,
            threads=threads,
            round_seconds_max=round_seconds_max,
        )

    def wants(self, balance: int, key: int = 0, **options: Any) -> None:
        self.cards[number(key)] = Wanted(beans(balance, key), **options)

    def told(self, *keys: int) -> list[Outcome]:
        found = dict(self.wallet.announce([install(key) for key in keys or (0,)]))
        return [found[install(key)] for key in keys or (0,)]

    def holds(self, balance: int, *keys: int) -> None:
        """Google holds these cards; what was asked for it is forgotten."""
        self.google.classes[CLASS_ID] = club() | {"reviewStatus": "APPROVED"}
        for key in keys or (0,):
            self.google.objects[number(key)] = beans(balance, key) | {"kind": "x", "hasUsers": True}

    def balance(self, key: int = 0) -> Any:
        return self.google.objects[number(key)]["loyaltyPoints"]["balance"]


@pytest.fixture
def counter() -> Iterator[Shop]:
    with running() as google:
        counter = Shop(google)
        yield counter
        counter.wallet.close()


def test_it_is_a_wallet_like_apples(counter: Shop) -> None:
    wallet: Wallet = counter.wallet
    assert list(wallet.announce([])) == []


# Announcing -------------------------------------------------------------------


def test_a_known_card_changes_by_one_small_request(counter: Shop) -> None:
    counter.holds(640)
    counter.wants(740, before=beans(640))
    assert counter.told() == [Accepted()]
    assert counter.google.calls == [
        ("PATCH", f"/loyaltyObject/{number(0)}", {"loyaltyPoints": {"balance": {"int": 740}}})
    ]
    counter.wants(740, before=beans(740))
    assert counter.told() == [Accepted()]
    assert len(counter.google.calls) == 1


def test_without_a_memory_one_request_says_everything(counter: Shop) -> None:
    counter.holds(640)
    counter.google.objects[number(0)]["loyaltyPoints"]["balance"] = {"string": "many"}
    counter.google.objects[number(0)]["validTimeInterval"] = {"end": {"date": "2026-01-01"}}
    counter.wants(740)
    assert counter.told() == [Accepted()]
    assert counter.google.methods() == ["PATCH"]
    held = {name: value for name, value in counter.google.objects[number(0)].items() if name in beans(740)}
    assert held == beans(740)
    assert "validTimeInterval" not in counter.google.objects[number(0)]


@pytest.mark.check("G-33")
def test_a_wish_to_notify_is_sent_once(counter: Shop) -> None:
    counter.holds(640)
    counter.wants(740, before=beans(640), notify=True)
    counter.told()
    counter.wants(840, before=beans(740))
    counter.told()
    assert [call[2].get("notifyPreference") for call in counter.google.calls] == ["NOTIFY_ON_UPDATE", None]


def test_many_cards_change_at_once_and_each_is_answered_once(counter: Shop) -> None:
    keys = range(40)
    counter.holds(1, *keys)
    counter.google.delay_seconds = 0.1
    for key in keys:
        counter.wants(100 + key, key, before=beans(1, key))
    began = time.monotonic()
    answers = list(counter.wallet.announce([install(key) for key in keys]))
    assert time.monotonic() - began < 40 * 0.1
    assert sorted(one.key for one, _ in answers) == list(keys)
    assert {type(outcome) for _, outcome in answers} == {Accepted}
    assert all(counter.balance(key) == {"int": 100 + key} for key in keys)
    assert len(counter.google.peers) <= 4


def test_documents_are_made_as_late_as_possible(counter: Shop) -> None:
    counter.holds(1, *range(9))
    for key in range(9):
        counter.wants(2, key)
    answers = counter.wallet.announce([install(key) for key in range(9)])
    next(answers)
    counter.wants(3, 8)
    list(answers)
    assert counter.balance(8) == {"int": 3}


@pytest.mark.check("G-22")
def test_a_card_that_google_lost_is_made_again(counter: Shop) -> None:
    counter.holds(640)
    del counter.google.objects[number(0)]
    counter.wants(740, before=beans(640))
    assert counter.told() == [Accepted()]
    assert counter.google.methods() == ["PATCH", "POST"]
    assert counter.balance() == {"int": 740}


def test_a_card_whose_class_is_missing_brings_its_class(counter: Shop) -> None:
    counter.wants(740)
    assert counter.told() == [Accepted()]
    assert [call[:2] for call in counter.google.calls] == [
        ("PATCH", f"/loyaltyObject/{number(0)}"),
        ("POST", "/loyaltyObject"),
        ("POST", "/loyaltyClass"),
        ("POST", "/loyaltyObject"),
    ]
    assert counter.google.classes[CLASS_ID]["programName"] == club()["programName"]


def test_a_card_of_a_class_that_is_nobodys_is_our_mistake(counter: Shop) -> None:
    counter.wants(740)
    counter.its_class = None
    outcome = counter.told()[0]
    assert isinstance(outcome, Rejected)
    assert "404 NOT_FOUND" in outcome.reason


@pytest.mark.check("G-22")
def test_somebody_else_may_insert_the_card_first(counter: Shop) -> None:
    counter.holds(640)
    counter.google.faults.append(Fault(*problem(404, "NOT_FOUND", "not found"), only="PATCH"))
    counter.wants(740)
    assert counter.told() == [Accepted()]
    assert counter.google.methods() == ["PATCH", "POST", "GET", "PATCH"]
    assert counter.google.calls[-1][2] == {"loyaltyPoints": {"balance": {"int": 740}}}
    assert counter.balance() == {"int": 740}


@pytest.mark.check("G-24")
def test_an_insert_that_was_applied_before_its_answer_got_lost_ends_in_one_card(counter: Shop) -> None:
    counter.wallet.prepare(club(), beans(1, 1))
    counter.google.calls.clear()
    counter.google.faults.append(Fault(after=True))
    counter.wallet.prepare(club(), beans(740))
    assert counter.google.methods() == ["POST", "POST", "GET"]
    assert set(counter.google.objects) == {number(0), number(1)}
    assert counter.balance() == {"int": 740}


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (problem(400, "INVALID_ARGUMENT", "Unknown name"), Rejected, "Unknown name"),
        (problem(403, "PERMISSION_DENIED", "Permission Denied"), Parked, "invite it in the Google Pay"),
        (problem(429, "RESOURCE_EXHAUSTED", "slow down"), Later, "slow down"),
        (problem(503, "UNAVAILABLE", "busy"), Later, "busy"),
        ((0, None), Later, "cannot be reached"),
    ],
)
def test_every_answer_has_its_outcome(
    counter: Shop, fault: tuple[int, Any], kind: type[Rejected | Parked | Later], words: str
) -> None:
    counter.holds(640)
    counter.google.refused[number(0)] = Fault(*fault)
    counter.wants(740)
    outcome = counter.told()[0]
    assert isinstance(outcome, kind)
    assert words in outcome.reason
    if isinstance(outcome, Later):
        assert outcome.at == NOW + timedelta(seconds=75)


def test_google_may_say_when_to_come_back(counter: Shop) -> None:
    counter.holds(640)
    counter.google.refused[number(0)] = Fault(429, headers=(("Retry-After", "600"),))
    counter.wants(740)
    assert counter.told() == [Later(NOW + timedelta(seconds=600), "429")]


def test_one_bad_card_does_not_hold_up_the_others(counter: Shop) -> None:
    counter.holds(1, 0, 2, 3)
    counter.wants(5, 0)
    counter.cards[number(1)] = None
    counter.cards[number(2)] = Wanted(beans(5, 2) | {"state": "FROZEN"})
    counter.cards[number(3)] = Wanted(beans(5, 4))
    fine, gone, wrong, mistaken = counter.told(0, 1, 2, 3)
    assert fine == Accepted()
    assert gone == Gone(NOW, "there is no such card")
    assert isinstance(wrong, Rejected)
    assert isinstance(mistaken, Rejected)
    assert "FROZEN" in wrong.reason
    assert number(4) in mistaken.reason
    assert counter.google.methods() == ["PATCH"]


def test_a_refused_account_parks_everything_that_is_left(counter: Shop) -> None:
    keys = range(30)
    counter.holds(1, *keys)
    for key in keys:
        counter.wants(5, key)
    counter.google.token_faults.extend([Fault(400, {"error": "invalid_grant"})] * 30)
    outcomes = counter.told(*keys)
    assert {type(outcome) for outcome in outcomes} == {Parked}
    assert len(counter.google.assertions) <= 8
    assert counter.google.calls == []
    counter.google.token_faults.clear()
    assert counter.told(*keys) == [Accepted()] * 30


def test_a_round_ends_before_its_lease_does(counter: Shop) -> None:
    keys = range(20)
    counter.holds(1, *keys)
    for key in keys:
        counter.wants(5, key)
    counter.google.delay_seconds = 0.2
    counter.wallet = counter.made(threads=2, round_seconds_max=0.5)
    outcomes = counter.told(*keys)
    begun = outcomes.count(Accepted())
    assert 2 <= begun < 20
    assert outcomes.count(Later(NOW, "the round's time was over")) == 20 - begun
    assert sum(counter.balance(key) == {"int": 5} for key in keys) == begun


def test_a_caller_may_stop_listening(counter: Shop) -> None:
    counter.holds(1, *range(9))
    for key in range(9):
        counter.wants(5, key)
    answers = counter.wallet.announce([install(key) for key in range(9)])
    assert isinstance(answers, Generator)
    next(answers)
    with pytest.raises(RuntimeError, match="one announcing thread"):
        next(counter.wallet.announce([install()]))
    answers.close()
    asked = len(counter.google.calls)
    assert counter.told(8) == [Accepted()]
    assert len(counter.google.calls) == asked + 1


def test_a_service_that_hangs_costs_one_time_out_a_card(counter: Shop) -> None:
    counter.holds(640)
    counter.wants(740)
    counter.google.delay_seconds = 3.0
    counter.wallet = counter.made(timeout_seconds=0.1, tries_max=1)
    began = time.monotonic()
    outcome = counter.told()[0]
    assert isinstance(outcome, Later)
    assert time.monotonic() - began < 2.8


# New cards --------------------------------------------------------------------


def test_a_card_is_at_google_before_its_link_is_made(counter: Shop) -> None:
    counter.wallet.prepare(club(), card())
    assert set(counter.google.objects) == {OBJECT_ID}
    counter.wallet.prepare(club(), beans(1, 1))
    # The class was known to be there.
    assert [call[1] for call in counter.google.calls] == ["/loyaltyClass", "/loyaltyObject", "/loyaltyObject"]
    counter.google.refused["loyaltyObject"] = Fault(503)
    with pytest.raises(TryLater):
        counter.wallet.prepare(club(), beans(1, 2))
    counter.google.refused["loyaltyObject"] = Fault(*problem(403, "PERMISSION_DENIED", "no"))
    with pytest.raises(AccountRefused):
        counter.wallet.prepare(club(), beans(1, 2))


@pytest.mark.check("G-22")
def test_a_card_that_is_there_already_is_compared_and_brought_up_to_date(counter: Shop) -> None:
    counter.holds(640)
    counter.wallet.prepare(club(), beans(640))
    assert counter.google.methods() == ["POST", "GET", "POST", "GET"]
    counter.google.calls.clear()
    counter.wallet.prepare(club(), beans(740))
    assert counter.google.methods() == ["POST", "GET", "PATCH"]
    assert counter.balance() == {"int": 740}


@pytest.mark.check("G-12")
@pytest.mark.parametrize(
    ("status", "words"), [("draft", "is a draft: publish it first"), ("REJECTED", "was rejected by Google")]
)
def test_no_card_is_made_for_a_class_that_nobody_could_use(counter: Shop, status: str, words: str) -> None:
    its_class = club(draft=status == "draft")
    counter.google.classes[CLASS_ID] = its_class | {
        "reviewStatus": status, "review": {"comments": "The logo is blurred."}
    }  # fmt: skip
    for _ in range(2):
        with pytest.raises(ClassNotPublished, match=f"{words}. The logo is blurred."):
            counter.wallet.prepare(its_class, card())
    assert counter.google.objects == {}


@pytest.mark.check("G-11")
def test_a_class_follows_its_programme(counter: Shop) -> None:
    counter.wallet.publish(club())
    counter.wallet.publish(club())
    assert counter.google.methods() == ["POST", "POST", "GET"]
    new = loyalty_class(shop("copperfinch"), class_id=CLASS_ID, pictures=Pictures(LOGO, hero=LOGO), say=say)
    counter.wallet.publish(new)
    assert counter.google.calls[-1] == (
        "PATCH",
        f"/loyaltyClass/{CLASS_ID}",
        {"heroImage": new["heroImage"], "reviewStatus": "UNDER_REVIEW"},
    )
    counter.google.calls.clear()
    counter.wallet.publish(club())
    assert counter.google.calls[-1][2] == {"heroImage": None, "reviewStatus": "UNDER_REVIEW"}


@pytest.mark.check("G-13")
def test_erasure_blanks_the_card_that_nobody_can_delete(counter: Shop) -> None:
    counter.holds(640)
    counter.wallet.erase(number(0))
    held = counter.google.objects[number(0)]
    assert held["state"] == "INACTIVE"
    for text in ("Ana", "7QM2", "640"):
        assert text not in str(held)
    counter.wallet.erase(number(7))
    assert "DELETE" not in counter.google.methods()


def test_who_holds_a_card_can_be_asked(counter: Shop) -> None:
    counter.holds(640)
    assert counter.wallet.is_held(number(0))
    counter.google.objects[number(0)]["hasUsers"] = False
    assert not counter.wallet.is_held(number(0))


def test_a_message_goes_to_one_card_by_one_request(counter: Shop) -> None:
    counter.holds(640)
    sale = message("campaign-7", header="Sale", body="Now", ends_at=NOW + timedelta(days=1), alert=True)
    assert counter.wallet.tell(number(0), sale)
    assert [call[1] for call in counter.google.calls] == [f"/loyaltyObject/{number(0)}/addMessage"]


FAULTS: dict[str, Callable[[], list[Fault]]] = {
    "429": lambda: [Fault(429)] * 2,
    "503": lambda: [Fault(503)] * 2,
    "drop after commit": lambda: [Fault(after=True)] * 2,
    "drop before": lambda: [Fault()] * 2,
    "slow": lambda: [Fault(after=True, delay_seconds=0.5)],
}


@pytest.mark.check("G-62")
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("held", [True, False])
def test_whatever_happens_on_the_way_google_ends_with_the_newest_state(
    counter: Shop, name: str, held: bool
) -> None:
    counter.holds(640)
    if not held:
        del counter.google.objects[number(0)]
    counter.wallet = counter.made(timeout_seconds=0.3)
    counter.wants(740, before=beans(640))
    counter.google.faults.extend(FAULTS[name]())
    assert counter.told() == [Accepted()]
    assert counter.balance() == {"int": 740}
    assert len(counter.google.objects) == 1
