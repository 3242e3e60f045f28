"""Looking a member up who has no card at hand. Every look-up is written down: how, by whom, how many.

What it gives is enough to recognise somebody who is there, and nothing to reach
them by. Earning needs no more; redeeming needs a one-time code
(`proving`). Reference: loyalty E2, G.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from passes.checkout import arrival
from passes.loyalty.joining import clean_phone
from passes.loyalty.letters import folded
from passes.loyalty.receipt import Counter
from passes.loyalty.refusals import CodeUnknown, HandleExpired, LookupOff, PhoneInvalid, SearchTooShort
from passes.server_keys import HANDLE, ServerKeys
from passes.store import Read, Store, Work, club, finding, programmes
from passes.store.finding import Match
from passes.store.members import email_key
from passes.store.programmes import Loaded

FOUND_MAX = 8
LETTERS_MIN = 2
HANDLE_LASTS = timedelta(minutes=15)
_TEXT_MAX = 200
_PHONE_DIGITS_MIN = 7
_COUNTRY_DIGITS_MAX = 3
_LAST_DIGITS_SHOWN = 2


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody who may be meant. `handle` stands for their card for some minutes.

    `phone_end` are the last two digits of their number, to ask for.
    """

    handle: str
    name: str
    tier_name: str | None
    phone_end: str | None
    last_visit_at: datetime | None


@dataclass(frozen=True, slots=True)
class Search:
    """Whom a text may mean; `is_more` where it means others, too."""

    found: tuple[Found, ...]
    is_more: bool


def find(
    store: Store,
    *,
    programme: str,
    text: str,
    language: str,
    by: str,
    at: Counter,
    keys: ServerKeys,
    now: datetime,
) -> Search:
    """Members by the beginning of a name, a whole phone number or e-mail address, or a name and
    the last four digits of a number.

    `by` is who looks, for the audit log; what was typed is not kept. Raises
    LookupOff, SearchTooShort.
    """
    typed = unicodedata.normalize("NFKC", text).strip()[:_TEXT_MAX]

    def decide(work: Work) -> Search:
        loaded = programmes.by_slug(work, programme)
        if not loaded.programme.till.lookup:
            raise LookupOff()
        how, matches = _matches(work, loaded, typed)
        club.note(
            work,
            loaded.id,
            by=by,
            action="member_lookup",
            about=how,
            detail=f"{len(matches)} found at {at.till or '-'} {at.location or '-'}",
            now=now,
        )
        shown = matches[:FOUND_MAX]
        return Search(
            tuple(_shown(loaded, one, language, keys, now) for one in shown), len(matches) > FOUND_MAX
        )

    return store.write(decide)


def _matches(read: Read, loaded: Loaded, typed: str) -> tuple[str, list[Match]]:
    """By what the text was understood as, and whom it finds: one more than are shown."""
    most = FOUND_MAX + 1
    if "@" in typed:
        return "e-mail", finding.by_email(read, loaded.id, email_key(typed) or "", most=most)
    digits = [symbol for symbol in typed if unicodedata.decimal(symbol, None) is not None]
    if not any(symbol.isalpha() for symbol in typed):
        if len(digits) < _PHONE_DIGITS_MIN:
            raise SearchTooShort()
        spellings = spellings_of(typed, loaded.programme.contact.phone)
        return "phone", finding.by_phone(read, loaded.id, spellings, most=most)
    words = [word for word in typed.split() if not _is_four_digits(word)]
    last_four = next((word for word in typed.split() if _is_four_digits(word)), None)
    name = folded(" ".join(words))
    if len(name) < LETTERS_MIN:
        raise SearchTooShort()
    how = "name" if last_four is None else "name and digits"
    return how, finding.by_name(read, loaded.id, name, last_four=last_four, most=most)


def _is_four_digits(word: str) -> bool:
    return len(word) == 4 and word.isascii() and word.isdecimal()


def spellings_of(typed: str, shop_phone: str) -> list[str]:
    """How a typed phone number may have been kept: with its country's code, or without.

    Where none was typed it may be the shop's. Nothing for what is no number.
    """
    try:
        plain = clean_phone(typed) or ""
        home = (clean_phone(shop_phone) or "") if shop_phone else ""
    except PhoneInvalid:
        return []
    codes = [home[1 : 1 + length] for length in range(1, _COUNTRY_DIGITS_MAX + 1)] if home[:1] == "+" else []
    national = plain.lstrip("+0")
    if plain.startswith("+"):
        # Kept as it was said at home, without the country's code.
        bare = [national.removeprefix(code) for code in codes if national.startswith(code)]
        found = [plain, national, *bare, *(f"0{one}" for one in bare)]
    else:
        found = [plain, national, f"0{national}", f"+{national}", *(f"+{code}{national}" for code in codes)]
    return list(dict.fromkeys(found))[: finding.PHONES_MAX]


def _shown(loaded: Loaded, one: Match, language: str, keys: ServerKeys, now: datetime) -> Found:
    tier = loaded.programme.tier(one.tier)
    return Found(
        handle=keys.handle(loaded.id, one.card_id, expires_at=now + HANDLE_LASTS),
        name=one.name,
        tier_name=tier.name.in_(language) if tier else None,
        phone_end=one.phone[-_LAST_DIGITS_SHOWN:] if one.phone else None,
        last_visit_at=one.last_visit_at,
    )


def card_of(store: Store, loaded: Loaded, code: str, *, keys: ServerKeys, now: datetime) -> tuple[str, bool]:
    """The code of the card that a code or a handle stands for, and whether the card was only found.

    Raises HandleExpired, CodeUnknown for a card that was withdrawn since.
    """
    if not code.startswith(HANDLE):
        return code, False
    programme_id, card_id = keys.read_handle(code, now=now)
    if programme_id != loaded.id:
        raise HandleExpired()
    with store.read() as read:
        known = finding.code_of(read, loaded.id, card_id)
    if known is None:
        raise CodeUnknown()
    return arrival.typed(known), True
