"""A person joins a programme and has a card."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from passes.booking import Booking
from passes.loyalty import codes, dates, joining
from passes.loyalty.lasting import expires_at, lapse_at
from passes.loyalty.ledger import PostingKind
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Counter, ReceiptKind
from passes.loyalty.refusals import EnrolmentsEnough, JoiningClosed, LinkUnknown
from passes.loyalty.tiers import starting
from passes.server_keys import ServerKeys
from passes.store import Store, Work, allowances, journal, mail, members, programmes
from passes.store.ids import new_id
from passes.store.programmes import Finding, Loaded

HOLDOUT_PERCENT = 10
_SERIAL_BYTES = 18


@dataclass(frozen=True, slots=True)
class Source:
    """Where a join came from: what was scanned or followed, and what the link carried."""

    kind: str
    location: str | None = None
    referrer: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """A member with a card. `again` when the same form was sent before."""

    programme_id: int
    member_id: int
    card_id: int
    serial: str
    code: str
    link_secret: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class CardRef:
    """The card behind a link."""

    programme_id: int
    card_id: int


def join(
    store: Store,
    *,
    programme: str,
    name: str,
    email: str | None = None,
    phone: str | None = None,
    birthday: date | None = None,
    language: str,
    consents: Mapping[str, bool],
    source: Source,
    key: str,
    keys: ServerKeys,
    now: datetime,
    desk: str | None = None,
    letters: bool = False,
    at_till: Counter | None = None,
) -> Joined:
    """Make a member, a card, its code and its link; book the welcome points.

    The same `key` returns the same card. Another form with an e-mail address
    or phone number that is known makes a new member, marked as a candidate for merging and
    without welcome points: an address must never hand out somebody's card.
    `consents` answers the programme's questions by purpose; one that is not
    answered counts as no. Of a birthday only day and month are kept. `desk`
    names a screen that waits for this card (`on_the_phone`); the first card
    that names it is the one. With `letters` the address gets the way to its
    card: where it was known, to the card it had. `at_till` is where a cashier
    does it, and only so many join at one till and day. Raises NameInvalid,
    EmailInvalid, PhoneInvalid or the refusal of a required field that is
    missing; JoiningClosed, EnrolmentsEnough, ProgrammeUnknown, KeyInvalid or KeyReused.
    """
    clean_name, clean_email = joining.clean_name(name), joining.clean_email(email)
    clean_phone = joining.clean_phone(phone)
    # Proven with our key: the request outlives the person, and a plain digest of a name and an
    # address could be found again by trying.
    born = birthday.strftime("%m-%d") if birthday else ""
    content = {"who": keys.form_proof("join", clean_name, clean_email or "", clean_phone or "", born)}
    # Drawn outside, so that a function run twice makes the same card.
    serial = secrets.token_urlsafe(_SERIAL_BYTES)
    code_bytes = secrets.token_bytes(codes.RANDOM_BYTES)

    def decide(work: Work) -> Joined:
        finding = Finding(work, programme)
        # Before the request itself, which alone says whether a refusal was overtaken.
        waiting = journal.Asked(work, finding.id, f"desk:{desk}", "desk", {}) if desk else None
        asked = journal.Asked(work, finding.id, key, "join", content)
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return _again(json.loads(before), loaded.id, keys)
        rules = loaded.programme
        if not rules.joining.is_open(now):
            raise JoiningClosed
        for _, missing in rules.joining.missing(email=clean_email, phone=clean_phone, birthday=birthday):
            raise missing
        if at_till is not None:
            _count_at(work, loaded, at_till, now)
        member_id, card_id = new_id(now), new_id(now)
        code = codes.code_from(code_bytes, rules.code_kind)
        known = members.same_email(work, loaded.id, clean_email)
        twin = known or members.same_phone(work, loaded.id, clean_phone)
        welcome = rules.earning.welcome_points
        gives_welcome = twin is None and welcome > 0 and not rules.earning.welcome_waits
        level = starting(rules.tiering, rules.tiers, now, rules.zone)
        account_id = journal.add_account(
            work,
            programme_id=loaded.id,
            owner_kind="member",
            owner_id=str(member_id),
            bucket="available",
            now=now,
        )
        members.add(
            work,
            programme_id=loaded.id,
            member_id=member_id,
            points_account_id=account_id,
            name=clean_name,
            email=clean_email,
            phone=clean_phone,
            birthday=birthday,
            language=language,
            holdout=in_holdout(rules.slug, member_id),
            merge_candidate_of=twin,
            welcome_given=gives_welcome,
            level=level,
            points_lapse_at=lapse_at(rules.points, now, rules.zone, rules.tier(level.tier)),
            now=now,
        )
        members.add_card(
            work,
            programme_id=loaded.id,
            card_id=card_id,
            member_id=member_id,
            pass_type_id=loaded.pass_type_id,
            serial=serial,
            key_id=keys.current_id,
            code=code,
            now=now,
        )
        secret = keys.link_secret(keys.current_id, card_id, 1)
        members.add_link(
            work,
            programme_id=loaded.id,
            card_id=card_id,
            number=1,
            secret_hash=hash_secret(secret),
            now=now,
        )
        _record(work, loaded, member_id, language, consents, source, now)
        if gives_welcome:
            standing = members.standing(members.of_card(work, loaded.id, card_id))
            assert standing is not None
            booking = Booking(
                work,
                loaded,
                standing,
                kind=ReceiptKind.WELCOME,
                at=Counter(location=source.location, channel=source.kind),
                occurred_at=now,
                now=now,
            )
            booking.reasons.append({"rule": "welcome", "points": welcome})
            tier = rules.tier(level.tier)
            lapses_at = expires_at(rules.points, earned_at=now, available_at=now, zone=rules.zone, tier=tier)
            booking.credit(welcome, kind=PostingKind.BONUS, expires_at=lapses_at)
            # Nobody has seen the card yet: there is no change to tell.
            booking.finish(face_changed=False)
        if letters and clean_email:
            # Whoever types an address that is known learns nothing; whose it is learns of it.
            about = "joined" if known is None else f"again:{now:%Y%m%d}"
            mail.want(
                work,
                programme_id=loaded.id,
                member_id=known or member_id,
                kind=mail.CARD_LINK,
                about=about,
                detail={},
                now=now,
            )
        kept = {
            "member": member_id,
            "card": card_id,
            "serial": serial,
            "code": code,
            "key": keys.current_id,
        }
        asked.answered(work, json.dumps(kept), now=now)
        if waiting and waiting.before() is None:
            waiting.answered(work, json.dumps({"card": card_id}), now=now)
        return Joined(loaded.id, member_id, card_id, serial, code, secret)

    return store.write(decide)


def _count_at(work: Work, loaded: Loaded, at: Counter, now: datetime) -> None:
    """One more who joins at a till today. Raises EnrolmentsEnough."""
    rules = loaded.programme
    day = dates.day_number(dates.local_date(now, rules.zone))
    name = f"enrolled:{day}:{at.location or ''}:{at.till or ''}"
    if not allowances.take(work, loaded.id, name, 1, limit=rules.till.enrolment_day_limit):
        raise EnrolmentsEnough()


def card_by_secret(store: Store, *, secret: str) -> CardRef:
    """The card behind `/card/<secret>`. Raises `LinkUnknown` where link or card are unknown or withdrawn."""
    with store.read() as read:
        row = members.by_link(read, hash_secret(secret))
    if row is None:
        raise LinkUnknown()
    return CardRef(row.programme_id, row.card_id)


class Progress(StrEnum):
    """How far somebody got who goes on with joining on their phone."""

    WAITING = "waiting"
    JOINED = "joined"
    ADDED = "added"


def on_the_phone(store: Store, *, programme: str, desk: str) -> Progress:
    """What became of the invitation that a screen shows: tells how far, never who.

    Raises KeyInvalid for a name that no screen has, ProgrammeUnknown.
    """
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        kept = journal.Asked(read, loaded.id, f"desk:{desk}", "desk", {}).before()
        if kept is None:
            return Progress.WAITING
        added = members.is_in_a_wallet(read, loaded.id, json.loads(kept)["card"])
        return Progress.ADDED if added else Progress.JOINED


@dataclass(frozen=True, slots=True)
class Seen:
    """What is counted together: the views, or the sendings, of one day and source."""

    programme_id: int
    local_day: int
    source: str
    location: str | None
    step: str


def view(loaded: Loaded, source: Source, now: datetime) -> Seen:
    """The join page was shown."""
    return _seen(loaded, source, "view", now)


def sending(loaded: Loaded, source: Source, now: datetime) -> Seen:
    """The join form was sent, whatever became of it."""
    return _seen(loaded, source, "send", now)


def count_view(store: Store, *, programme: str, source: Source, now: datetime) -> None:
    """Write down one showing of the join page."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
    count(store, {view(loaded, source, now): 1})


def count_send(store: Store, *, programme: str, source: Source, now: datetime) -> None:
    """Write down one sending of the join form."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
    count(store, {sending(loaded, source, now): 1})


def count(store: Store, tally: Mapping[Seen, int]) -> None:
    """Write down how often each was seen, all in one transaction."""

    def decide(work: Work) -> None:
        # In one order, so that two processes never wait for each other in a circle.
        for seen in sorted(tally, key=str):
            members.count_join(
                work,
                programme_id=seen.programme_id,
                local_day=seen.local_day,
                source=seen.source,
                location=seen.location,
                step=seen.step,
                times=tally[seen],
            )

    store.write(decide)


def _seen(loaded: Loaded, source: Source, step: str, now: datetime) -> Seen:
    local = now.astimezone(ZoneInfo(loaded.programme.zone))
    day = local.year * 10_000 + local.month * 100 + local.day
    return Seen(loaded.id, day, source.kind, source.location, step)


def in_holdout(programme: str, member_id: int) -> bool:
    """Whether a member gets no offers, so that offers can be judged: one in ten, for ever the same."""
    digest = hashlib.sha256(f"holdout:{programme}:{member_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100 < HOLDOUT_PERCENT


def hash_secret(secret: str) -> bytes:
    """What is kept of a link's secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _again(kept: Mapping[str, str], programme_id: int, keys: ServerKeys) -> Joined:
    card_id = int(kept["card"])
    return Joined(
        programme_id=programme_id,
        member_id=int(kept["member"]),
        card_id=card_id,
        serial=kept["serial"],
        code=kept["code"],
        link_secret=keys.link_secret(kept["key"], card_id, 1),
        again=True,
    )


def _record(
    work: Work,
    loaded: Loaded,
    member_id: int,
    language: str,
    consents: Mapping[str, bool],
    source: Source,
    now: datetime,
) -> None:
    rules: Programme = loaded.programme
    for question in rules.consents:
        words = question.text.in_(language)
        members.add_consent(
            work,
            programme_id=loaded.id,
            member_id=member_id,
            purpose=question.purpose,
            given=consents.get(question.purpose, False),
            text_version=question.version,
            text_digest=hashlib.sha256(words.encode()).hexdigest(),
            language=language,
            source=source.kind,
            now=now,
        )
    members.add_joining(
        work,
        programme_id=loaded.id,
        member_id=member_id,
        source=source.kind,
        location=source.location,
        referrer=source.referrer,
        utm_source=source.utm_source,
        utm_medium=source.utm_medium,
        utm_campaign=source.utm_campaign,
        terms_version=hashlib.sha256(rules.terms.in_(language).encode()).hexdigest()[:12],
    )
