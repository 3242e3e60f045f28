"""Letters to members: wanted once, sent once, never lost, and never to somebody who left."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from dataclasses import replace as changed
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from passes import correspondence, due_work, enrolment
from passes.correspondence import Sent, send_due
from passes.enrolment import Joined
from passes.loyalty import dates
from passes.loyalty.lasting import Expiry, ExpiryKind, MonthsTo, PointsRule
from passes.loyalty.refusals import Busy
from passes.mail import Later, Letter, Outcome, Taken, Undeliverable
from passes.server_keys import ServerKeys
from passes.store import Store, alarms, mail, programmes
from tests.cast import rows
from tests.shop import BOOKS, COFFEE, KEYS, Shop, open_shop

URL = "https://cards.example.com"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ANA, BEN = "ana@example.com", "ben@example.com"


@dataclass
class Scripted:
    """A mail server that answers by address; whom nothing is said about gets the letter."""

    answers: dict[str, Outcome] = field(default_factory=dict)
    always: Outcome | None = None
    letters: list[Letter] = field(default_factory=list)
    breaks_after: int | None = None

    def deliver(self, letters: Sequence[Letter]) -> Iterator[tuple[int, Outcome]]:
        for number, letter in enumerate(letters):
            if number == self.breaks_after:
                raise RuntimeError("the mail server's door broke")
            outcome = self.always or self.answers.get(letter.to) or Taken()
            if isinstance(outcome, Taken):
                self.letters.append(letter)
            yield letter.key, outcome

    def check(self) -> str | None:
        return None


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    return open_shop(store, now)


@pytest.fixture
def post() -> Scripted:
    return Scripted()


def joins(shop: Shop, email: str | None = ANA, **options: Any) -> Joined:
    """A member who wants the letter with their card."""
    joined = shop.join(email=email, **options)
    want(shop, joined)
    return joined


def known(shop: Shop, name: str = "Ana Reyes", **options: Any) -> Joined:
    """A member who joined some time ago and had that letter."""
    joined = shop.join(name, **options)
    put(shop, "DELETE FROM mail WHERE member_id = :member", member=joined.member_id)
    return joined


def want(
    shop: Shop, joined: Joined, kind: str = mail.CARD_LINK, about: str = "joined", **detail: Any
) -> None:
    shop.store.write(
        lambda work: mail.want(
            work,
            programme_id=joined.programme_id,
            member_id=joined.member_id,
            kind=kind,
            about=about,
            detail=detail,
            now=shop.now,
        )
    )


def send(shop: Shop, post: Scripted, after: timedelta = timedelta(), **options: Any) -> Sent:
    """What a worker does so much later."""
    shop.now += after
    return send_due(shop.store, post, keys=KEYS, public_url=URL, now=shop.now, **options)


def box(shop: Shop) -> list[dict[str, Any]]:
    return sorted(rows(shop.store, "mail"), key=lambda row: int(row["id"]))


def sounding(shop: Shop) -> dict[str, str]:
    with shop.store.read() as read:
        return {alarm.name: alarm.words for alarm in alarms.open_alarms(read)}


def put(shop: Shop, statement: str, **values: Any) -> None:
    shop.store.write(lambda work: work.put(text(statement), **values))


# Sending -----------------------------------------------------------------------------


def test_the_letter_leads_to_the_card(shop: Shop, post: Scripted) -> None:
    joined = joins(shop)
    assert send(shop, post) == Sent(claimed=1, taken=1)
    [letter] = post.letters
    assert (letter.to, letter.sender_name, letter.language) == (ANA, "Copperfinch Coffee", "en")
    assert letter.subject == "Your card: Finch Club"
    link = f"{URL}/card/{joined.link_secret}"
    assert link in letter.text
    assert f'href="{link}"' in letter.html
    assert enrolment.card_by_secret(shop.store, secret=joined.link_secret).card_id == joined.card_id
    assert letter.reply_to == "hello@copperfinch.example"
    assert letter.unsubscribe is None
    assert send(shop, post, after=DAY) == Sent(), "once"
    [row] = box(shop)
    assert (row["due_at"], row["trouble"]) == (None, None)
    assert row["sent_at"] is not None


def test_a_letter_is_in_the_members_language(shop: Shop, post: Scripted) -> None:
    joins(shop, programme=BOOKS, language="tr")
    send(shop, post)
    [letter] = post.letters
    assert letter.subject == "Kartınız: Sayfa Kulübü"
    assert "İşte kartınız" in letter.text
    assert '<html lang="tr" dir="ltr">' in letter.html
    assert "Open" not in letter.text + letter.html


def test_a_letter_holds_nothing_that_a_person_typed(shop: Shop, post: Scripted) -> None:
    joins(shop, name="Win at evil.example <b>")
    send(shop, post)
    [letter] = post.letters
    assert "evil" not in f"{letter.subject}{letter.text}{letter.html}"


def test_a_letter_is_wanted_once_for_each_reason(shop: Shop, post: Scripted) -> None:
    joined = joins(shop)
    want(shop, joined)
    want(shop, joined, about="asked 2026031410")
    want(shop, joined, about="asked 2026031410")
    assert send(shop, post).taken == 2
    assert [one.text.count("Somebody, probably you") for one in post.letters] == [0, 1]


def test_what_somebody_waits_for_goes_before_what_many_get(shop: Shop, post: Scripted) -> None:
    crowd = [known(shop, f"Member {number}", email=f"{number}@example.com") for number in range(3)]
    letters = [mail.Wanted(one.member_id, "joined", {}) for one in crowd]
    programme_id = crowd[0].programme_id
    shop.store.write(
        lambda work: mail.want_many(
            work, programme_id, mail.CARD_LINK, letters, not_before=shop.now, now=shop.now
        )
    )
    shop.now += MINUTE
    joins(shop)
    assert send(shop, post, limit=1).taken == 1
    assert [one.to for one in post.letters] == [ANA]


def test_no_letter_is_wanted_for_a_member_without_an_address(shop: Shop) -> None:
    ana, nobody = known(shop, email=ANA), shop.join("Nobody")
    letters = [mail.Wanted(one.member_id, "x", {}) for one in (ana, nobody)]
    shop.store.write(
        lambda work: mail.want_many(
            work, ana.programme_id, mail.CARD_LINK, letters, not_before=shop.now, now=shop.now
        )
    )
    assert [row["member_id"] for row in box(shop)] == [ana.member_id]


def test_only_the_newest_card_that_holds_is_written_of(shop: Shop, post: Scripted) -> None:
    joined = joins(shop)
    put(shop, "UPDATE card_link SET revoked_at = 1 WHERE card_id = :card", card=joined.card_id)
    assert send(shop, post) == Sent(claimed=1, not_needed=1)
    second = KEYS.link_secret("k1", joined.card_id, 2)
    put(
        shop,
        "INSERT INTO card_link (secret_hash, programme_id, card_id, number, created_at, revoked_at)"
        " VALUES (:hash, :programme, :card, 2, 1, NULL)",
        hash=enrolment.hash_secret(second),
        programme=joined.programme_id,
        card=joined.card_id,
    )
    want(shop, joined, about="asked now")
    assert send(shop, post).taken == 1
    assert f"{URL}/card/{second}" in post.letters[0].text


def test_a_link_is_found_after_a_newer_key_came_and_not_when_its_own_is_gone(
    shop: Shop, post: Scripted
) -> None:
    joined = joins(shop)
    newer = ServerKeys({"k1": b"k" * 32, "k2": b"n" * 32})
    send_due(shop.store, post, keys=newer, public_url=URL, now=shop.now)
    assert f"{URL}/card/{joined.link_secret}" in post.letters[0].text
    want(shop, joined, about="asked now")
    other = ServerKeys({"k9": b"o" * 32})
    assert send_due(shop.store, post, keys=other, public_url=URL, now=shop.now).not_needed == 1


# Who gets none -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "leaving",
    [
        "DELETE FROM person WHERE member_id = :member",
        "UPDATE person SET email = NULL, email_key = NULL WHERE member_id = :member",
        "UPDATE member SET closed_at = 1 WHERE id = :member",
        "UPDATE member SET merged_into = 1 WHERE id = :member",
        "UPDATE card SET voided_at = 1 WHERE member_id = :member",
    ],
)
def test_who_left_before_the_letter_went_gets_none_and_nobody_is_alarmed(
    shop: Shop, post: Scripted, leaving: str
) -> None:
    joined = joins(shop)
    put(shop, leaving, member=joined.member_id)
    assert send(shop, post) == Sent(claimed=1, not_needed=1)
    assert send(shop, post, after=DAY) == Sent()
    [row] = box(shop)
    assert (row["due_at"], row["sent_at"], row["trouble"]) == (None, None, None)
    assert (post.letters, sounding(shop)) == ([], {})


def test_an_address_typed_again_and_again_is_not_flooded(shop: Shop, post: Scripted) -> None:
    for number in range(4):
        joins(shop, name=f"Ana {number}")
    assert send(shop, post).taken == 4
    for number in range(3):
        joins(shop, email=ANA.upper(), name=f"Ana again {number}")
    assert send(shop, post, after=HOUR) == Sent(claimed=3, taken=1, not_needed=2)
    joins(shop, name="Ana tomorrow")
    assert send(shop, post, after=DAY).taken == 1


def test_who_joins_with_somebodys_address_cannot_use_up_their_way_back(shop: Shop, post: Scripted) -> None:
    owner = known(shop, email=ANA)
    for number in range(9):
        joins(shop, name=f"Impostor {number}")
    send(shop, post)
    post.letters.clear()
    correspondence.ask_for_card(shop.store, programme=COFFEE, email=ANA, now=shop.now)
    assert send(shop, post).taken == correspondence.MEMBERS_OF_ADDRESS
    assert any(owner.link_secret in letter.text for letter in post.letters)


def test_a_member_learns_that_somebody_joined_with_their_address(shop: Shop, post: Scripted) -> None:
    owner = known(shop, email=ANA)
    want(shop, owner, about="again 20260314")
    send(shop, post)
    [letter] = post.letters
    assert "Somebody joined Finch Club with your address. You have a card already" in letter.text
    assert owner.link_secret in letter.text


def test_letters_nobody_sent_for_days_are_not_sent_when_mail_is_turned_on(shop: Shop, post: Scripted) -> None:
    joins(shop)
    assert send(shop, post, after=4 * DAY) == Sent(claimed=1, not_needed=1)
    assert sounding(shop) == {}


# Trouble -----------------------------------------------------------------------------


def test_a_mail_server_that_is_away_loses_nothing(shop: Shop, post: Scripted) -> None:
    for number in range(3):
        joins(shop, email=f"{number}@example.com", name=f"Member {number}")
    post.always = Later("mail.example.com:587 cannot be reached: Connection refused.", tried=False)
    assert send(shop, post) == Sent(claimed=3, later=3, stopped=True)
    assert "mail.example.com:587 cannot be reached" in sounding(shop)[correspondence.ALARM_SERVER]
    assert send(shop, post) == Sent(), "not before a minute has passed"
    for _ in range(30):
        send(shop, post, after=MINUTE)
    assert [row["attempts"] for row in box(shop)] == [0, 0, 0], "it was no letter's fault"
    post.always = None
    assert send(shop, post, after=MINUTE).taken == 3
    assert sounding(shop) == {}


def test_a_letter_put_off_is_tried_after_longer_and_longer_times(shop: Shop, post: Scripted) -> None:
    joins(shop)
    post.answers[ANA] = Later("451 4.3.0 Busy")
    waits = []
    for _ in range(9):
        assert send(shop, post) == Sent(claimed=1, later=1)
        [row] = box(shop)
        assert row["trouble"] == "451 4.3.0 Busy"
        wait = timedelta(microseconds=int(row["due_at"])) - (shop.now - datetime(1970, 1, 1, tzinfo=UTC))
        assert send(shop, post, after=wait - timedelta(seconds=1)) == Sent()
        shop.now += timedelta(seconds=1)
        waits.append(wait)
    assert waits == [MINUTE * minutes for minutes in (1, 2, 4, 8, 16, 32, 60, 60, 60)]
    assert sounding(shop) == {}, "one busy mailbox is nobody's emergency"
    post.answers.clear()
    assert send(shop, post).taken == 1


def test_a_letter_is_given_up_after_three_days_with_its_reason_and_an_alarm(
    shop: Shop, post: Scripted
) -> None:
    joins(shop)
    post.answers[ANA] = Later("451 4.3.0 Busy")
    for _ in range(3 * 24 + 6):
        send(shop, post, after=HOUR)
    [row] = box(shop)
    assert (row["due_at"], row["sent_at"], row["trouble"]) == (None, None, "451 4.3.0 Busy")
    assert "451 4.3.0 Busy" in sounding(shop)[correspondence.ALARM_GIVEN_UP]
    seen = correspondence.box(shop.store, now=shop.now)
    assert (seen.waiting.letters, [one.trouble for one in seen.given_up]) == (0, ["451 4.3.0 Busy"])
    post.answers.clear()
    assert correspondence.try_again(shop.store, now=shop.now) == 1
    assert sounding(shop) == {}
    assert send(shop, post).taken == 1


def test_letters_kept_waiting_by_the_server_are_given_up_with_its_words(shop: Shop, post: Scripted) -> None:
    joins(shop)
    post.always = Later("The mail server is away.", tried=False)
    for _ in range(3 * 24 + 1):
        send(shop, post, after=HOUR)
    assert box(shop)[0]["trouble"] == "The mail server is away."
    assert box(shop)[0]["due_at"] is None
    assert set(sounding(shop)) == {correspondence.ALARM_GIVEN_UP, correspondence.ALARM_SERVER}


def test_a_refused_address_is_over_with_and_nobody_is_alarmed(shop: Shop, post: Scripted) -> None:
    joins(shop)
    joins(shop, email=BEN, name="Ben")
    post.answers[ANA] = Undeliverable("550 5.1.1 No such mailbox")
    assert send(shop, post) == Sent(claimed=2, taken=1, given_up=1)
    assert [row["trouble"] for row in box(shop)] == ["550 5.1.1 No such mailbox", None]
    assert send(shop, post, after=DAY) == Sent()
    assert sounding(shop) == {}


def test_when_every_letter_is_refused_something_is_wrong_with_us(shop: Shop, post: Scripted) -> None:
    for number in range(5):
        joins(shop, email=f"{number}@example.com", name=f"Member {number}")
    post.always = Undeliverable("550 Relay not permitted")
    assert send(shop, post) == Sent(claimed=5, later=5, stopped=True)
    assert "550 Relay not permitted" in sounding(shop)[correspondence.ALARM_SERVER]
    post.always = None
    assert send(shop, post, after=MINUTE).taken == 5


def test_what_was_sent_before_the_door_broke_is_not_sent_again(shop: Shop, post: Scripted) -> None:
    for number in range(4):
        joins(shop, email=f"{number}@example.com", name=f"Member {number}")
    post.breaks_after = 2
    with pytest.raises(RuntimeError):
        send(shop, post)
    post.breaks_after = None
    assert send(shop, post) == Sent(claimed=2, taken=2)
    assert sorted(one.to for one in post.letters) == [f"{number}@example.com" for number in range(4)]


def test_a_letter_sent_while_the_database_was_busy_is_written_down_with_the_rest(
    shop: Shop, post: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    joins(shop)
    settle, busy = mail.settle_sent, [Busy()]

    def settling(*arguments: Any, **options: Any) -> None:
        if busy:
            raise busy.pop()
        settle(*arguments, **options)

    monkeypatch.setattr(mail, "settle_sent", settling)
    assert send(shop, post) == Sent(claimed=1, taken=1)
    assert send(shop, post, after=HOUR) == Sent(), "it does not go twice"


def test_a_letter_that_cannot_be_written_keeps_no_other_waiting(shop: Shop, post: Scripted) -> None:
    strange = known(shop, email=BEN)
    want(shop, strange, kind="nonsense")
    joins(shop)
    assert send(shop, post) == Sent(claimed=2, taken=1, later=1)
    assert [row["trouble"] for row in box(shop)] == ["It could not be written; the log says why.", None]


def test_a_worker_told_to_end_leaves_the_rest_to_the_next(shop: Shop, post: Scripted) -> None:
    for number in range(3):
        joins(shop, email=f"{number}@example.com", name=f"Member {number}")
    assert send(shop, post, stopped=lambda: True).taken == 1
    assert send(shop, post).taken == 2


# Leases --------------------------------------------------------------------------------


def test_two_workers_never_send_the_same_letter(shop: Shop, post: Scripted) -> None:
    for number in range(6):
        joins(shop, email=f"{number}@example.com", name=f"Member {number}")
    within: list[Sent] = []

    class Second(Scripted):
        """While the first worker talks to the server, another one begins."""

        def deliver(self, letters: Sequence[Letter]) -> Iterator[tuple[int, Outcome]]:
            within.append(send(shop, post, limit=10))
            return super().deliver(letters)

    first = Second()
    assert send(shop, first, limit=4) == Sent(claimed=4, taken=4)
    assert within == [Sent(claimed=2, taken=2)]
    assert sorted(one.to for one in first.letters + post.letters) == [
        f"{number}@example.com" for number in range(6)
    ]


def test_many_workers_at_once_send_every_letter_once(shop: Shop) -> None:
    for number in range(30):
        joins(shop, email=f"{number}@example.com", name=f"Member {number}")
    posts = [Scripted() for _ in range(4)]
    start = threading.Barrier(len(posts))

    def work(post: Scripted) -> int:
        start.wait(10)
        taken = 0
        while sent := send(shop, post, limit=4).taken:
            taken += sent
        return taken

    with ThreadPoolExecutor(len(posts)) as workers:
        assert sum(workers.map(work, posts)) == 30
    sent_to = sorted(letter.to for post in posts for letter in post.letters)
    assert sent_to == sorted(f"{number}@example.com" for number in range(30))


def test_the_letters_of_a_worker_that_died_are_sent_when_its_lease_ends(shop: Shop, post: Scripted) -> None:
    joins(shop)
    lease = shop.now + timedelta(seconds=correspondence.LEASE_SECONDS)
    assert shop.store.write(lambda work: mail.claim(work, now=shop.now, lease_until=lease, limit=9))
    assert send(shop, post, after=4 * MINUTE) == Sent()
    assert send(shop, post, after=MINUTE) == Sent(claimed=1, taken=1)


def test_a_worker_whose_lease_ended_changes_nothing_but_what_it_sent(shop: Shop, post: Scripted) -> None:
    joins(shop)
    joins(shop, email=BEN, name="Ben")

    class Slow(Scripted):
        """So slow that another worker has taken over and sent everything."""

        def deliver(self, letters: Sequence[Letter]) -> Iterator[tuple[int, Outcome]]:
            send(shop, post, after=6 * MINUTE)
            return super().deliver(letters)

    slow = Slow(answers={ANA: Undeliverable("550 Gone"), BEN: Later("451 Busy")})
    send(shop, slow)
    assert [(row["sent_at"] is not None, row["due_at"], row["trouble"]) for row in box(shop)] == [
        (True, None, None)
    ] * 2


# Asking for the way back ---------------------------------------------------------------


def test_who_lost_the_card_gets_the_way_back_once_an_hour(shop: Shop, post: Scripted) -> None:
    joined = known(shop, email="Ana@Example.com")
    for _ in range(3):
        correspondence.ask_for_card(shop.store, programme=COFFEE, email=" ana@example.com ", now=shop.now)
    assert send(shop, post).taken == 1
    assert post.letters[0].to == "Ana@Example.com", "to the address on file, as it was given"
    assert joined.link_secret in post.letters[0].text
    shop.now += HOUR
    correspondence.ask_for_card(shop.store, programme=COFFEE, email=ANA, now=shop.now)
    assert send(shop, post).taken == 1


def test_asking_with_an_unknown_address_writes_to_nobody(shop: Shop, post: Scripted) -> None:
    known(shop, email=ANA)
    correspondence.ask_for_card(shop.store, programme=COFFEE, email="zoe@example.com", now=shop.now)
    correspondence.ask_for_card(shop.store, programme=BOOKS, email=ANA, now=shop.now)
    assert send(shop, post) == Sent()


# Points that lapse -----------------------------------------------------------------------

CHICAGO = "America/Chicago"


def local(month: int, day: int, hour: int = 0, minute: int = 0, year: int = 2027) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(CHICAGO)).astimezone(UTC)


def monthly(shop: Shop, kind: ExpiryKind = ExpiryKind.ROLLING, to: MonthsTo = MonthsTo.MONTH) -> None:
    """Points of the coffee shop lapse after twelve months; members are told 30, 7 and 1 days before."""
    with shop.store.read() as read:
        loaded = programmes.by_slug(read, COFFEE)
        rule = PointsRule(Expiry(kind, months=12, to=to))
        read.unchanging[("programme", loaded.id, loaded.version)] = changed(loaded.programme, points=rule)


def test_who_gave_an_address_gets_a_letter_in_the_morning_before_points_lapse(
    shop: Shop, post: Scripted
) -> None:
    monthly(shop)
    shop.now = local(1, 10, 12, year=2026)
    ana = known(shop, email=ANA)
    shop.join("Nobody")
    shop.now = local(1, 25, 0, 5)
    due_work.run_due(shop.store, now=shop.now)
    shop.now = local(1, 25, 8, 59)
    assert send(shop, post) == Sent(), "nobody is written to at night"
    due_work.run_due(shop.store, now=shop.now)
    shop.now = local(1, 25, 9)
    assert send(shop, post) == Sent(claimed=1, taken=1)
    [letter] = post.letters
    assert letter.subject == "100 beans lapse on February 1, 2027"
    assert "The last day to use them is January 31, 2027." in letter.text
    assert "Your balance: 100 beans." in letter.text
    assert f"{URL}/card/{ana.link_secret}" in letter.text
    assert letter.unsubscribe == "mailto:hello@copperfinch.example?subject=unsubscribe"
    shop.now = local(1, 31, 10)
    due_work.run_due(shop.store, now=shop.now)
    assert send(shop, post).taken == 1, "and once more on the last day"


def test_what_was_used_meanwhile_needs_no_letter_and_what_is_left_is_told_exactly(
    shop: Shop, post: Scripted
) -> None:
    monthly(shop)
    shop.now = local(1, 10, 12, year=2026)
    ana, ben = known(shop, email=ANA), known(shop, "Ben", email=BEN)
    shop.buy(ana.code, 1_000)
    shop.now = local(1, 25, 0, 5)
    due_work.run_due(shop.store, now=shop.now)
    shop.redeem(ana.code, "extra-shot")
    _spend(shop, ben)
    shop.now = local(1, 25, 9)
    assert send(shop, post) == Sent(claimed=2, taken=1, not_needed=1)
    assert post.letters[0].subject == "50 beans lapse on February 1, 2027"


def _spend(shop: Shop, member: Joined) -> None:
    account = rows(shop.store, "account", f"owner_id = '{member.member_id}'")[0]["id"]
    put(shop, "UPDATE lot SET remaining = 0 WHERE account_id = :account", account=account)


def test_a_letter_that_comes_after_the_day_is_not_sent(shop: Shop, post: Scripted) -> None:
    monthly(shop)
    shop.now = local(1, 10, 12, year=2026)
    known(shop, email=ANA)
    shop.now = local(1, 31, 10)
    due_work.run_due(shop.store, now=shop.now)
    shop.now = local(2, 1, 0)
    assert send(shop, post) == Sent(claimed=1, not_needed=1)


def test_points_that_lapse_by_inactivity_are_told_too(shop: Shop, post: Scripted) -> None:
    monthly(shop, ExpiryKind.INACTIVITY)
    shop.now = local(1, 10, 12, year=2026)
    known(shop, email=ANA)
    [member] = rows(shop.store, "member")
    lapses_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(member["points_lapse_at"]))
    day = dates.local_date(lapses_at, CHICAGO)
    shop.now = dates.day_start(day - timedelta(days=7), CHICAGO) + 10 * HOUR
    due_work.run_due(shop.store, now=shop.now)
    assert send(shop, post).taken == 1
    assert post.letters[0].subject.startswith("100 beans lapse on ")


def test_a_letter_about_points_is_written_once_however_often_the_day_is_done(
    shop: Shop, post: Scripted
) -> None:
    monthly(shop)
    shop.now = local(1, 10, 12, year=2026)
    known(shop, email=ANA)
    shop.now = local(1, 25, 10)
    due_work.run_due(shop.store, now=shop.now)
    put(shop, "DELETE FROM allowance WHERE name = 'due:notices'")
    due_work.run_due(shop.store, now=shop.now)
    assert len(box(shop)) == 1
    assert send(shop, post).taken == 1


@given(
    st.integers(0, 2 * 365 * 24 * 60).map(
        lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + MINUTE * minutes
    ),
    st.sampled_from([CHICAGO, "Europe/Istanbul", "Asia/Kathmandu", "Pacific/Apia"]),
)
def test_quiet_hours_end_at_nine_in_the_morning_and_never_earlier(at: datetime, zone: str) -> None:
    told = dates.by_day(at, zone).astimezone(ZoneInfo(zone))
    assert 9 <= told.hour < 21
    assert timedelta() <= told - at <= timedelta(hours=13)
    if 9 <= at.astimezone(ZoneInfo(zone)).hour < 21:
        assert told == at


def test_the_morning_is_nine_oclock_where_the_clocks_change() -> None:
    assert dates.by_day(local(3, 14, 1), CHICAGO) == local(3, 14, 9)
    assert dates.local_date(local(3, 14, 1), CHICAGO) == date(2027, 3, 14)
