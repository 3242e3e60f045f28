"""Letters to members: the way to their card, one-time codes, and that points will lapse.

A letter is wanted in the transaction that gives the reason for it
(`store.mail.want`) and sent by the worker. Address and words are made at the
moment of sending: who left or was erased meanwhile gets nothing. A mail server
that is away loses nothing; a worker that dies between handing a letter over and
writing that down may send it twice, under the same Message-ID, and never not at all.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from passes.correspondence import words
from passes.correspondence.words import Why, Words
from passes.language import choose
from passes.loyalty import dates
from passes.loyalty.lasting import ExpiryKind
from passes.loyalty.programme import Programme
from passes.loyalty.refusals import Busy, StorageFull
from passes.mail import Later, Letter, Outcome, Post, Taken, Undeliverable
from passes.server_keys import ServerKeys
from passes.store import Read, Store, Work, alarms, due, mail, programmes
from passes.store.mail import Claim, GivenUp, Quota, Recipient, Waiting

log = logging.getLogger(__name__)

BATCH = 50
# Longer than a batch may take (mail.BATCH_SECONDS_MAX and the last letter's timeouts).
LEASE_SECONDS = 300
TROUBLE_SECONDS = 60
BACK_OFF_FIRST, BACK_OFF_MAX = timedelta(minutes=1), timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=3)

CODE_LASTS = timedelta(minutes=10)
"""A one-time code that is not on its way by then is not sent (checkout.proving)."""

LINKS_A_DAY = 5
"""So many letters with a card's link go to one mail box a day: anybody may type it into a form.

Those that were asked for are counted by themselves, and so are those that members
send from their own page: whoever joins over and over with somebody's address, or
writes it into their own card, cannot use up that person's way back.
"""
MEMBERS_OF_ADDRESS = 3

ALL_REFUSED_MIN = 5
"""When so many letters of a batch are refused and none is taken, something is wrong with us."""

ALARM_SERVER = "mail_server_refused"
ALARM_GIVEN_UP = "mail_given_up"
_SHOWN_MAX = 50
_GIVEN_UP_SHOWN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one round. `stopped`: the mail server takes nothing, wait before the next round."""

    claimed: int = 0
    taken: int = 0
    later: int = 0
    given_up: int = 0
    not_needed: int = 0
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """What waits to be sent, and what was given up within a month."""

    waiting: Waiting
    given_up: list[GivenUp]


def ask_for_card(store: Store, *, programme: str, email: str, now: datetime) -> None:
    """Send the way back to their card to whoever has this address, at most once an hour.

    Tells nobody whether there is such a member. Raises `ProgrammeUnknown`.
    """

    def decide(work: Work) -> None:
        loaded = programmes.by_slug(work, programme)
        # The oldest is always among them: others may have joined with this address since.
        for member_id in mail.of_address(work, loaded.id, email, limit=MEMBERS_OF_ADDRESS):
            mail.want(
                work,
                programme_id=loaded.id,
                member_id=member_id,
                kind=mail.CARD_LINK,
                about=f"{mail.ASKED}:{now:%Y%m%d%H}",
                detail={},
                now=now,
            )

    store.write(decide)


def box(store: Store, *, now: datetime) -> Box:
    """What an operator wants to see."""
    with store.read() as read:
        return Box(mail.waiting(read), mail.given_up(read, since=now - _GIVEN_UP_SHOWN, limit=_SHOWN_MAX))


def try_again(store: Store, *, now: datetime) -> int:
    """Send what was given up within a month after all, and silence the alarm. Returns how many letters."""

    def decide(work: Work) -> int:
        alarms.clear(work, ALARM_GIVEN_UP, now=now)
        return mail.try_again(work, since=now - _GIVEN_UP_SHOWN, now=now)

    return store.write(decide)


# Sending --------------------------------------------------------------------------


@dataclass(slots=True)
class _Round:
    """One batch on its way: letters by key, and what is not yet written down."""

    claims: Mapping[int, Claim]
    quotas: Mapping[int, Quota]
    later: list[tuple[Claim, Later]]
    answered: set[int] = field(default_factory=set)
    refused: list[tuple[Claim, str]] = field(default_factory=list)
    unwritten: list[int] = field(default_factory=list)
    taken: int = 0


def send_due(
    store: Store,
    post: Post,
    *,
    keys: ServerKeys,
    public_url: str,
    now: datetime,
    limit: int = BATCH,
    stopped: Callable[[], bool] = lambda: False,
) -> Sent:
    """Send up to `limit` letters that are due, and write down what became of each.

    No transaction is open while the mail server is spoken to. Any number of
    workers may call this at once; one that dies leaves leases that run out.
    Ends early, between two letters, once `stopped` says so.
    """
    with store.read() as read:
        if not mail.is_any_due(read, now=now):
            return Sent()
    lease_until = now + timedelta(seconds=LEASE_SECONDS)
    claims = store.write(lambda work: mail.claim(work, now=now, lease_until=lease_until, limit=limit))
    with store.read() as read:
        desk = _Desk(read, keys, public_url, now)
        for key, claim in enumerate(claims):
            desk.write(key, claim)
    if desk.unneeded:
        store.write(lambda work: mail.forgo(work, desk.unneeded))
    running = _Round(
        {letter.key: claims[letter.key] for letter in desk.letters}, desk.quotas, later=desk.failed
    )
    refused, given_up = False, 0
    try:
        for key, outcome in post.deliver(desk.letters):
            _note(store, running, key, outcome, now=now)
            if stopped():
                break
    finally:
        # What was answered is written down even when the mail server fails half-way.
        if running.claims or running.later:
            refused, given_up = _settle(store, running, now=now)
    return Sent(
        claimed=len(claims),
        taken=running.taken,
        later=len(claims) - len(desk.unneeded) - running.taken - given_up,
        given_up=given_up,
        not_needed=len(desk.unneeded),
        stopped=refused,
    )


def _note(store: Store, running: _Round, key: int, outcome: Outcome, *, now: datetime) -> None:
    claim = running.claims[key]
    running.answered.add(key)
    match outcome:
        case Taken():
            running.taken += 1
            try:
                # At once: the shorter the time between, the rarer a letter that comes twice.
                counted = running.quotas.get(key)
                store.write(lambda work: mail.settle_sent(work, claim, now=now, counted=counted))
            except (Busy, StorageFull):
                running.unwritten.append(key)
        case Later():
            running.later.append((claim, outcome))
        case Undeliverable(reason=reason):
            running.refused.append((claim, reason))


def _settle(store: Store, running: _Round, *, now: datetime) -> tuple[bool, int]:
    """Write the rest down. Returns whether the server takes nothing, and how many were given up."""
    unanswered = [claim for key, claim in running.claims.items() if key not in running.answered]
    all_refused = len(running.refused) >= ALL_REFUSED_MIN and not running.taken
    later, refused = list(running.later), list(running.refused)
    if all_refused:
        later += ((claim, Later(reason)) for claim, reason in refused)
        refused = []
    too_old = [(claim, one.reason) for claim, one in later if now - claim.wanted_at >= GIVEN_UP_AFTER]
    later = [(claim, one) for claim, one in later if now - claim.wanted_at < GIVEN_UP_AFTER]
    # Nothing was any letter's fault: the server is away, or takes none of ours.
    untried = next((one.reason for _, one in running.later if not one.tried), None)
    trouble = running.refused[-1][1] if all_refused else untried if not running.taken else None

    def decide(work: Work) -> None:
        for key in running.unwritten:
            mail.settle_sent(work, running.claims[key], now=now, counted=running.quotas.get(key))
        mail.release(work, unanswered)
        for claim, one in later:
            wait = _back_off(claim.attempts) if one.tried else timedelta(seconds=TROUBLE_SECONDS)
            mail.postpone(work, claim, until=now + wait, tried=one.tried, trouble=one.reason)
        for claim, reason in (*refused, *too_old):
            mail.give_up(work, claim, trouble=reason)
        if too_old:
            said = (
                f"Letters were given up after {GIVEN_UP_AFTER.days} days. The last one met: "
                f"{too_old[-1][1]} Look at them with: passes mail"
            )
            alarms.sound(work, ALARM_GIVEN_UP, said, now=now, times=len(too_old))
        if trouble is not None:
            alarms.sound(work, ALARM_SERVER, f"No letters go out. {trouble}", now=now)
        elif running.taken:
            alarms.clear(work, ALARM_SERVER, now=now)

    store.write(decide)
    return trouble is not None, len(refused) + len(too_old)


def _back_off(attempts: int) -> timedelta:
    return min(BACK_OFF_FIRST * (1 << min(attempts, 16)), BACK_OFF_MAX)


# Writing --------------------------------------------------------------------------


class _Desk:
    """Where the letters of one batch are written, from what is known at that moment."""

    def __init__(self, read: Read, keys: ServerKeys, public_url: str, now: datetime) -> None:
        self._read, self._keys, self._public_url, self._now = read, keys, public_url, now
        self._links: Counter[Quota] = Counter()
        self.quotas: dict[int, Quota] = {}
        self.letters: list[Letter] = []
        self.unneeded: list[Claim] = []
        self.failed: list[tuple[Claim, Later]] = []

    def write(self, key: int, claim: Claim) -> None:
        """Write the letter under this key, unless none is needed any more."""
        try:
            letter = self._write(key, claim)
        except Exception:
            # One letter that cannot be written must not keep the others waiting.
            log.exception("a letter could not be written")
            self.failed.append((claim, Later("It could not be written; the log says why.")))
            return
        if letter is None:
            self.unneeded.append(claim)
        else:
            self.letters.append(letter)

    def _write(self, key: int, claim: Claim) -> Letter | None:
        if claim.trouble is None and self._now - claim.wanted_at >= GIVEN_UP_AFTER:
            # Nobody sent letters at that time; now it would only surprise.
            return None
        loaded = programmes.by_id(self._read, claim.programme_id)
        rules = loaded.programme
        recipient = mail.recipient(self._read, claim.programme_id, claim.member_id)
        secret = self._secret(claim) if recipient else None
        if recipient is None or secret is None:
            return None
        address = f"{self._public_url}/card/{secret}"
        language = choose(recipient.language, rules.languages)
        said = self._say(key, claim, rules, recipient, language, address)
        if said is None:
            return None
        contact = rules.contact.email or None
        return Letter(
            key=key,
            name=f"{claim.programme_id}.{claim.id}",
            to=recipient.email,
            subject=said.subject,
            text=words.as_text(said, rules, language),
            html=words.as_html(said, rules, language),
            language=language,
            sender_name=rules.organisation.in_(language),
            reply_to=contact,
            # A link letter comes once, for the asking; the others can be stopped.
            unsubscribe=f"mailto:{contact}?subject=unsubscribe"
            if contact and claim.kind == mail.EXPIRY
            else None,
        )

    def _say(
        self, key: int, claim: Claim, rules: Programme, recipient: Recipient, language: str, address: str
    ) -> Words | None:
        match claim.kind:
            case mail.CARD_LINK:
                if self._is_flooded(key, claim, recipient):
                    return None
                return words.card_link(rules, language, address=address, why=_why(claim.about))
            case mail.ONE_TIME_CODE:
                return self._one_time_code(claim, rules, language, address)
            case mail.EXPIRY:
                return self._expiry(claim, rules, recipient, language, address)
        raise ValueError(f"no letter is of the kind {claim.kind}")

    def _one_time_code(self, claim: Claim, rules: Programme, language: str, address: str) -> Words | None:
        code_id, key_id = int(str(claim.detail["code"])), str(claim.detail["key"])
        if self._now >= claim.wanted_at + CODE_LASTS:
            # Nobody waits at the till for it any more.
            return None
        digits = self._keys.one_time_digits(key_id, claim.programme_id, code_id)
        minutes = CODE_LASTS // timedelta(minutes=1)
        return words.one_time_code(rules, language, address=address, digits=digits, minutes=minutes)

    def _is_flooded(self, key: int, claim: Claim, recipient: Recipient) -> bool:
        counted = mail.quota(claim.programme_id, recipient.email, pool=_pool(claim.about), now=self._now)
        self._links[counted] += 1
        self.quotas[key] = counted
        return mail.links_sent(self._read, counted) + self._links[counted] > LINKS_A_DAY

    def _expiry(
        self, claim: Claim, rules: Programme, recipient: Recipient, language: str, address: str
    ) -> Words | None:
        number = int(str(claim.detail["day"]))
        day = date(number // 10_000, number // 100 % 100, number % 100)
        since, until = dates.day_start(day, rules.zone), dates.day_start(day + timedelta(days=1), rules.zone)
        # As it stands now: some may be spent since, or have lapsed already.
        found = due.lapsing(
            self._read,
            claim.programme_id,
            since=since,
            until=until,
            after=claim.member_id - 1,
            last=claim.member_id,
            by_inactivity=rules.points.expiry.kind is ExpiryKind.INACTIVITY,
        )
        lapsing = [one for one in found if one.lapses_at > self._now]
        points = sum(one.points for one in lapsing)
        if points <= 0:
            return None
        return words.expiry(
            rules,
            language,
            address=address,
            points=points,
            lapse_on=day,
            whole_day=all(one.lapses_at == since for one in lapsing),
            balance=recipient.balance,
        )

    def _secret(self, claim: Claim) -> str | None:
        """The secret of the newest link, derived again; None when none holds or its key is gone."""
        link = mail.newest_link(self._read, claim.programme_id, claim.member_id)
        if link is None:
            return None
        try:
            secret = self._keys.link_secret(link.key_id, link.card_id, link.number)
        except KeyError:
            secret = ""
        if hashlib.sha256(secret.encode()).digest() == link.secret_hash:
            return secret
        log.error("the link of a card derives from a key that the server does not have")
        return None


def _why(about: str) -> Why:
    """For what reason a card's link is sent."""
    if about.startswith(mail.JOINED_AGAIN):
        return Why.JOINED_AGAIN
    return Why.ASKED if about.startswith((mail.ASKED, mail.OWN)) else Why.JOINED


def _pool(about: str) -> str:
    """Which letters are counted together: those asked for, those sent from one's own page, the others."""
    return next((one for one in (mail.ASKED, mail.OWN) if about.startswith(one)), mail.JOINED)
