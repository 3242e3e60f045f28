"""What members decide for themselves: what they agree to, how their card speaks, what is known of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from passes.loyalty.dates import local_date
from passes.loyalty.programme import Consent, Programme
from passes.loyalty.refusals import BirthdayLocked, CardVoided, LinkUnknown
from passes.store import Store, Work, cards, mail, members, offers, programmes
from passes.store import membership as rows
from passes.store.members import Standing
from passes.store.membership import Link
from passes.store.programmes import Loaded

SOURCE = "member page"
"""Where an answer was given, as it is kept with it."""

BIRTHDAY_LOCK = timedelta(days=365)
"""A birthday is changed once in this time, so that nobody has several a year. Reference: loyalty A9."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the person. The birthday is a day of a leap year; nobody is asked for the year."""

    name: str
    email: str | None
    phone: str | None
    birthday: date | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A question of the programme and what the member said to it last."""

    question: Consent
    given: bool


@dataclass(frozen=True, slots=True)
class Choices:
    """What a member can decide. `birthday_open_on` is the day from which it can be changed; None for now."""

    loaded: Loaded
    code: str
    language: str
    known: Known
    answers: tuple[Answer, ...]
    birthday_open_on: date | None


def choices(store: Store, found: Link, *, now: datetime) -> Choices:
    """What stands now. Raises LinkUnknown for a card whose member left."""
    with store.read(snapshot=True) as read:
        loaded = programmes.by_id(read, found.programme_id)
        facts = cards.facts(read, loaded.id, found.card_id)
        person = rows.person_of(read, loaded.id, found.member_id)
        if facts is None or person is None:
            raise LinkUnknown()
        agreed = members.agreed(read, loaded.id, found.member_id)
        locked_until = _birthday_locked(person)
        return Choices(
            loaded=loaded,
            code=facts.code,
            language=facts.language,
            known=Known(person.name, person.email, person.phone, person.birthday),
            answers=tuple(Answer(one, one.purpose in agreed) for one in loaded.programme.consents),
            birthday_open_on=local_date(locked_until, loaded.programme.zone)
            if locked_until and now < locked_until
            else None,
        )


def consent(
    store: Store, found: Link, *, answers: Mapping[str, bool], language: str, now: datetime
) -> frozenset[str]:
    """Say yes or no to the programme's questions, in front of their words in `language`.

    Only questions that are answered otherwise than before get a new row, with
    the version of the words. It holds at once: where the card shows other
    offers afterwards, its phones are told. Returns what changed. Raises CardVoided.
    """

    def decide(work: Work) -> frozenset[str]:
        loaded, standing = _held(work, found)
        before = members.agreed(work, loaded.id, standing.member_id)
        changed = [
            one
            for one in loaded.programme.consents
            if answers.get(one.purpose, one.purpose in before) != (one.purpose in before)
        ]
        if not changed:
            return frozenset()
        shown = offers.for_card(work, loaded, standing.member_id, language=standing.language, now=now)
        for question in changed:
            members.add_consent(
                work,
                programme_id=loaded.id,
                member_id=standing.member_id,
                purpose=question.purpose,
                given=answers[question.purpose],
                text_version=question.version,
                text_digest=hashlib.sha256(question.text.in_(language).encode()).hexdigest(),
                language=language,
                source=SOURCE,
                now=now,
            )
        if shown != offers.for_card(work, loaded, standing.member_id, language=standing.language, now=now):
            members.revise_cards(work, loaded.id, standing.member_id)
        return frozenset(one.purpose for one in changed)

    return store.write(decide)


def speak(store: Store, found: Link, *, language: str, now: datetime) -> None:
    """The card speaks this language from now on, one of the programme's. Raises CardVoided."""

    def decide(work: Work) -> None:
        loaded, standing = _held(work, found)
        if language in loaded.programme.languages and language != standing.language:
            rows.set_language(work, loaded.id, standing.member_id, language)
            members.revise_cards(work, loaded.id, standing.member_id)

    store.write(decide)


def correct(store: Store, found: Link, *, known: Known, now: datetime) -> bool:
    """Put right what is known of the person, in the normal forms of `loyalty.joining`. False for no change.

    A birthday may always be taken away, and be changed once a year. Raises
    BirthdayLocked or CardVoided.
    """

    def decide(work: Work) -> bool:
        loaded, standing = _held(work, found)
        person = rows.person_of(work, loaded.id, standing.member_id)
        if person is None:
            raise CardVoided()
        before = Known(person.name, person.email, person.phone, person.birthday)
        if known == before:
            return False
        moved = known.birthday != before.birthday
        locked_until = _birthday_locked(person)
        if moved and known.birthday and locked_until and now < locked_until:
            raise BirthdayLocked(day=local_date(locked_until, loaded.programme.zone))
        rows.set_person(
            work,
            loaded.id,
            standing.member_id,
            name=known.name,
            email=known.email,
            phone=known.phone,
            birthday=known.birthday,
            birthday_changed_at=now if moved else person.birthday_changed_at,
        )
        if known.name != before.name:
            members.revise_cards(work, loaded.id, standing.member_id)
        return True

    return store.write(decide)


def send_card(store: Store, found: Link, *, now: datetime) -> None:
    """Send the way to this card to the member's own address, at most once an hour. Raises CardVoided."""

    def decide(work: Work) -> None:
        loaded, standing = _held(work, found)
        mail.want(
            work,
            programme_id=loaded.id,
            member_id=standing.member_id,
            kind=mail.CARD_LINK,
            about=f"{mail.OWN}:{now:%Y%m%d%H}",
            detail={},
            now=now,
        )

    store.write(decide)


def languages_of(rules: Programme, spoken: tuple[str, ...]) -> tuple[str, ...]:
    """The languages that a card of this programme can speak, out of those that there are words for."""
    return tuple(one for one in rules.languages if one in spoken)


def _birthday_locked(person: rows.Person) -> datetime | None:
    changed_at = person.birthday_changed_at
    return None if changed_at is None else changed_at + BIRTHDAY_LOCK


def _held(work: Work, found: Link) -> tuple[Loaded, Standing]:
    """The member of the card, locked. Raises CardVoided."""
    loaded = programmes.by_id(work, found.programme_id)
    standing = members.standing(members.of_card(work, found.programme_id, found.card_id))
    if standing is None or standing.voided_at is not None:
        raise CardVoided()
    return loaded, standing
