"""The offers that a form can say: its fields become an offer file, and such a file its fields again.

A form knows a few of the kinds and conditions of an offer file. The file stays
what is kept and checked; the form only writes it.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from passes.loyalty import placeholders
from passes.loyalty.offer_file import HOLDOUT_PERCENT_MAX, USES_MAX, EffectKind
from passes.loyalty.offers import OFFERS, RING, ring_purpose
from passes.loyalty.placeholders import filled_in
from passes.loyalty.programme import Programme
from passes.loyalty.programme_file import plainly
from passes.loyalty.toml_table import POINTS_MAX

TITLE_LETTERS_MAX = 40
TEXT_LETTERS_MAX = 300
FACTOR_MAX = 10
KEY_LETTERS_MAX = 40

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
_WHOLE = re.compile(r"[0-9]{1,10}")


class Who(StrEnum):
    """Whom a form's offer is for."""

    ALL = "all"
    TIERS = "tiers"
    ASKED = "asked"  # who said yes to being told of offers


class Fault(StrEnum):
    """What is wrong with a field."""

    MISSING = "missing"
    TOO_LONG = "too_long"
    DIGITS = "digits"  # a number that no rule grants
    PLACEHOLDER = "placeholder"
    NO_TIME = "no_time"
    ENDS_FIRST = "ends_first"
    OVER = "over"
    NO_NUMBER = "no_number"
    OUT_OF_RANGE = "out_of_range"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Problem:
    """A field that cannot stay as it is: the field's name, and values for the words about it."""

    name: str
    fault: Fault
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """The fields as they were typed. `title` and `text` by language; times are local to the programme."""

    title: Mapping[str, str]
    text: Mapping[str, str]
    starts: str = ""
    ends: str = ""
    effect: str = EffectKind.BONUS_POINTS
    points: str = ""
    factor: str = ""
    who: str = Who.ALL
    tiers: frozenset[str] = frozenset()
    shops: frozenset[str] = frozenset()
    member_limit: str = ""
    quota: str = ""
    holdout: str = ""
    rings: bool = False
    by_day: bool = True


def key_of(draft: Draft, programme: Programme, form_key: str) -> str:
    """The key of a new offer, made from its title and its form: the same form gives the same key."""
    title = unicodedata.normalize("NFKD", draft.title.get(programme.language, "").casefold())
    words = re.sub(r"[^a-z0-9]+", "-", title.replace("ı", "i").encode("ascii", "ignore").decode()).strip("-")
    mark = hashlib.sha256(form_key.encode()).hexdigest()[:6]
    return f"{words[: KEY_LETTERS_MAX - 7].strip('-') or 'offer'}-{mark}"


# Checking ------------------------------------------------------------------------------


def problems(draft: Draft, programme: Programme, *, now: datetime) -> list[Problem]:
    """What is wrong, field by field and in the order of the form; empty when the file can be written."""
    found: list[Problem] = []
    for language in programme.languages:
        found += _text(f"title.{language}", draft.title, language, draft, programme, TITLE_LETTERS_MAX)
        found += _text(f"text.{language}", draft.text, language, draft, programme, TEXT_LETTERS_MAX)
    found += _effect(draft)
    found += _times(draft, programme, now)
    if draft.who == Who.TIERS and not draft.tiers & {tier.key for tier in programme.tiers}:
        found.append(Problem("tiers", Fault.NOBODY))
    if draft.who == Who.ASKED and not asks_for_offers(programme):
        found.append(Problem("who", Fault.NOBODY))
    found += _whole("member_limit", draft.member_limit, least=1, most=USES_MAX)
    found += _whole("quota", draft.quota, least=1, most=USES_MAX)
    found += _whole("holdout", draft.holdout, least=0, most=HOLDOUT_PERCENT_MAX)
    return found


def _text(
    name: str, texts: Mapping[str, str], language: str, draft: Draft, programme: Programme, limit: int
) -> list[Problem]:
    text = texts.get(language, "")
    if not text:
        return [Problem(name, Fault.MISSING)]
    values = {**placeholders.names(programme), **_values(draft)}
    # Each of these is one sentence; the first is enough to go on with.
    for problem in placeholders.check(text, values):
        fault = Fault.DIGITS if problem.startswith("states") else Fault.PLACEHOLDER
        return [Problem(name, fault)]
    length = len(filled_in(text, values, language, plainly))
    if length > limit:
        return [Problem(name, Fault.TOO_LONG, {"limit": limit, "length": length})]
    return []


def _values(draft: Draft) -> dict[str, Any]:
    """What the texts may speak of; numbers that are still wrong stand for themselves."""
    found: dict[str, Any] = {}
    if draft.effect == EffectKind.BONUS_POINTS:
        found["offer.points"] = int(draft.points) if _WHOLE.fullmatch(draft.points) else 0
    else:
        found["offer.factor"] = _factor(draft.factor) or Decimal(0)
    for name, typed in (("offer.quota", draft.quota), ("offer.member_limit", draft.member_limit)):
        if typed:
            found[name] = int(typed) if _WHOLE.fullmatch(typed) else 0
    return found


def _effect(draft: Draft) -> list[Problem]:
    if draft.effect == EffectKind.BONUS_POINTS:
        if not draft.points:
            return [Problem("points", Fault.MISSING)]
        return _whole("points", draft.points, least=1, most=POINTS_MAX)
    if draft.effect != EffectKind.POINTS_TIMES:
        return [Problem("effect", Fault.MISSING)]
    if not draft.factor:
        return [Problem("factor", Fault.MISSING)]
    factor = _factor(draft.factor)
    if factor is None:
        return [Problem("factor", Fault.NO_NUMBER)]
    if not 1 < factor <= FACTOR_MAX:
        return [Problem("factor", Fault.OUT_OF_RANGE, {"least": "1.1", "most": FACTOR_MAX})]
    return []


def _factor(typed: str) -> Decimal | None:
    """A decimal with a point or a comma, at most two places."""
    if not re.fullmatch(r"[0-9]{1,3}([.,][0-9]{1,2})?", typed):
        return None
    try:
        return Decimal(typed.replace(",", "."))
    except InvalidOperation:
        return None


def _whole(name: str, typed: str, *, least: int, most: int) -> list[Problem]:
    if not typed:
        return []
    if not _WHOLE.fullmatch(typed):
        return [Problem(name, Fault.NO_NUMBER)]
    if not least <= int(typed) <= most:
        return [Problem(name, Fault.OUT_OF_RANGE, {"least": least, "most": most})]
    return []


def _times(draft: Draft, programme: Programme, now: datetime) -> list[Problem]:
    if not draft.ends:
        return [Problem("ends", Fault.MISSING)]
    starts_at, ends_at = (instant_of(typed, programme.zone) for typed in (draft.starts, draft.ends))
    if draft.starts and starts_at is None:
        return [Problem("starts", Fault.NO_TIME)]
    if ends_at is None:
        return [Problem("ends", Fault.NO_TIME)]
    if ends_at <= (starts_at or now):
        return [Problem("ends", Fault.ENDS_FIRST if starts_at else Fault.OVER)]
    return [Problem("ends", Fault.OVER)] if ends_at <= now else []


def instant_of(typed: str, zone: str) -> datetime | None:
    """The instant of a local time as browsers write it, `2026-03-14T08:00`; None where it is none."""
    if not _TIME.fullmatch(typed):
        return None
    try:
        local = datetime.fromisoformat(typed).replace(tzinfo=ZoneInfo(zone))
        return local.astimezone(UTC) if 2000 <= local.year < 2100 else None
    except ValueError:
        return None


# Writing and reading the file ------------------------------------------------------------


def source_of(draft: Draft, programme: Programme) -> str:
    """The offer file of a form without problems."""
    lines = [f"title = {_by_language(draft.title, programme)}", f"effect = {_quoted(draft.effect)}"]
    if draft.effect == EffectKind.BONUS_POINTS:
        lines.append(f"points = {int(draft.points)}")
    else:
        lines.append(f"factor = {_factor(draft.factor)}")
    for key, typed in (("member_limit", draft.member_limit), ("quota", draft.quota)):
        if typed:
            lines.append(f"{key} = {int(typed)}")
    if draft.holdout and int(draft.holdout):
        lines.append(f"holdout_percent = {int(draft.holdout)}")
    if draft.rings:
        lines.append("rings = true")
    if draft.by_day:
        lines.append("by_day = true")
    lines += [f"text = {_by_language(draft.text, programme)}", "", "[when]"]
    if draft.starts:
        lines.append(f"from = {_quoted(draft.starts)}")
    lines.append(f"until = {_quoted(draft.ends)}")
    tiers = [tier.key for tier in programme.tiers if tier.key in draft.tiers]
    if draft.who == Who.TIERS:
        lines.append(f"tiers = {_list(tiers)}")
    shops = [shop.key for shop in programme.shops if shop.key in draft.shops]
    if shops and len(shops) < len(programme.shops):
        lines.append(f"shops = {_list(shops)}")
    if draft.who == Who.ASKED:
        lines.append(f"segment = {{ consent = {_quoted(_question(programme))} }}")
    return "\n".join(lines) + "\n"


def draft_of(source: str, programme: Programme) -> Draft | None:
    """The fields of a file, or None when it says more than the form can."""
    try:
        said = tomllib.loads(source)
        when = dict(said.pop("when", {}))
        segment = when.pop("segment", None)
        tiers = when.pop("tiers", None)
        draft = Draft(
            title=_texts(said.pop("title", ""), programme),
            text=_texts(said.pop("text", ""), programme),
            starts=_local(when.pop("from", "")),
            ends=_local(when.pop("until", "")),
            effect=str(said.pop("effect", "")),
            points=str(said.pop("points", "")),
            factor=str(said.pop("factor", "")),
            who=Who.TIERS if tiers else Who.ASKED if segment else Who.ALL,
            tiers=frozenset(tiers or ()),
            shops=frozenset(when.pop("shops", ())),
            member_limit=str(said.pop("member_limit", "")),
            quota=str(said.pop("quota", "")),
            holdout=str(said.pop("holdout_percent", "")),
            rings=said.pop("rings", False) is True,
            by_day=said.pop("by_day", False) is True,
        )
    except (ValueError, TypeError, AttributeError):
        return None
    is_more = said or when or segment not in (None, {"consent": _question(programme)}) or (segment and tiers)
    known = draft.effect in (EffectKind.BONUS_POINTS, EffectKind.POINTS_TIMES)
    return None if is_more or not known or not instant_of(draft.ends, programme.zone) else draft


def _texts(said: str | Mapping[str, str], programme: Programme) -> Mapping[str, str]:
    if isinstance(said, str):
        return dict.fromkeys(programme.languages, said)
    return {language: said.get(language, "") for language in programme.languages}


def _local(said: object) -> str:
    """A time as a form shows it; a date is its first minute, and anything else is shown as it is."""
    if isinstance(said, datetime):
        return said.isoformat(timespec="minutes") if said.tzinfo is None else str(said)
    text = str(said)
    return f"{text}T00:00" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text


def _by_language(texts: Mapping[str, str], programme: Programme) -> str:
    pairs = ", ".join(f"{language} = {_quoted(texts[language])}" for language in programme.languages)
    return f"{{ {pairs} }}"


def _list(keys: list[str]) -> str:
    return f"[{', '.join(map(_quoted, keys))}]"


def _quoted(text: str) -> str:
    # JSON's strings are TOML's basic ones, but for one character that TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def rings_by(programme: Programme, language: str) -> str | None:
    """The question whose answer lets phones ring, as members read it; None where no offer may."""
    if not programme.can_alert_offers:
        return None
    asked = {one.purpose: one.text for one in programme.consents}
    words = asked.get(RING) or asked.get(OFFERS)
    return words.in_(language) if words else None


def asks_for_offers(programme: Programme) -> bool:
    """Whether the programme asks its members anything about offers."""
    return _question(programme) in {one.purpose for one in programme.consents}


def _question(programme: Programme) -> str:
    """The purpose of the question that who asked for offers said yes to."""
    return ring_purpose({one.purpose for one in programme.consents})
