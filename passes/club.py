"""Points that no purchase earned: for acts that the club thanks for, and by hand.

Nobody types the points of an act: they are the published rule's. What staff
give or take by hand has a reason, a limit and, above an amount, a second
person. Everything decided here stands in the audit log. Reference: loyalty A21.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from passes.booking import Booking
from passes.loyalty import codes, lasting
from passes.loyalty.actions import Action
from passes.loyalty.dates import day_number, day_start, local_date
from passes.loyalty.ledger import PostingKind
from passes.loyalty.letters import cleaned
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Counter, Receipt, ReceiptKind
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
    CardVoided,
    CodeUnknown,
    ReasonUnknown,
    SomebodyElse,
    WordsInvalid,
)
from passes.store import Store, Work, allowances, club, journal, members, programmes
from passes.store.club import Act, Adjustment
from passes.store.instants import micros
from passes.store.members import Standing
from passes.store.programmes import Finding, Loaded

ACT_LETTERS_MAX = 1_000
NOTE_LETTERS_MAX = 1_000
WORDS_LETTERS_MAX = 200
POINTS_MAX = 1_000_000_000
_ID_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an act or a correction: `waiting`, `granted`, `booked` or `refused`.

    `receipt` is None unless points moved.
    """

    id: int
    state: str
    receipt: Receipt | None

    def as_json(self) -> str:
        """As kept for the request key, without what was written to the member: the key is kept for ever."""
        receipt = self.receipt and _saying(self.receipt, None)
        return json.dumps({"id": self.id, "state": self.state, "receipt": receipt and receipt.as_json()})

    @classmethod
    def from_json(cls, text: str, words: str = "") -> Outcome:
        """An outcome kept by `as_json`; `words` are those that were written to the member."""
        values = json.loads(text)
        receipt = Receipt.from_json(values["receipt"]) if values["receipt"] else None
        return cls(values["id"], values["state"], receipt and _saying(receipt, words))


def _saying(receipt: Receipt, words: str | None) -> Receipt:
    """A correction's receipt with these words to the member, or with none at all."""
    reasons = []
    for reason in receipt.reasons:
        said = {name: value for name, value in reason.items() if name != "text"}
        if words is not None and reason.get("rule") == "adjustment":
            said["text"] = words
        reasons.append(said)
    return replace(receipt, reasons=tuple(reasons))


# Acts ---------------------------------------------------------------------------------


def submit(
    store: Store, *, programme: str, code: str, action: str, words: str, key: str, by: str, now: datetime
) -> Outcome:
    """Report an act of a member: granted at once, or waiting where a second person decides.

    `words` say what was done, `by` is who reports it. Raises ActionUnknown,
    WordsInvalid, ActionLimit or ActionDayLimit (where it is granted at once),
    SomebodyElse (staff reporting an act of their own that nobody checks), and
    what a till raises for codes and keys.
    """
    said = _said(words, ACT_LETTERS_MAX)
    typed = codes.normalise(code)
    content = {"code": typed, "action": action, "words": said, "by": by}

    def decide(work: Work) -> Outcome:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "act", content)
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return Outcome.from_json(before)
        rule = _action(loaded.programme, action)
        standing = _standing(work, loaded, typed)
        act_id = club.add_act(
            work,
            programme_id=loaded.id,
            member_id=standing.member_id,
            card_id=standing.card_id,
            action=action,
            words=said,
            by=by,
            now=now,
        )
        outcome = Outcome(act_id, club.WAITING, None)
        if not rule.moderated:
            if club.is_member(work, loaded.id, standing.member_id, by):
                raise SomebodyElse()
            receipt = _grant(work, loaded, standing, rule, loaded.version, act_id, by, now, now)
            club.decide_act(
                work,
                loaded.id,
                act_id,
                becomes=club.GRANTED,
                by=None,
                receipt_id=receipt.id,
                now=now,
            )
            outcome = Outcome(act_id, club.GRANTED, receipt)
        club.note(
            work,
            loaded.id,
            by=by,
            action="act.submit",
            about=f"act {act_id}",
            detail=f"{action} {outcome.state}",
            now=now,
        )
        asked.answered(work, outcome.as_json(), now=now)
        return outcome

    return store.write(decide)


def decide(
    store: Store, *, programme: str, act_id: int, grant: bool, key: str, by: str, now: datetime
) -> Outcome:
    """Grant or refuse an act that waits.

    The points are those of the rule that was published when the act was
    submitted: what a member was promised on doing it does not change while it
    waits for the shop. Limits are looked at now. Raises ActUnknown,
    AlreadyDecided, SomebodyElse (the submitter, whoever served the member at a
    till that day, the member), ActionLimit, ActionDayLimit, KeyInvalid, KeyReused.
    """

    def act_on(work: Work) -> Outcome:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "act decide", {"act": act_id, "grant": grant, "by": by})
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return Outcome.from_json(before)
        act, standing = _waiting_act(work, loaded, act_id)
        _require_other_moderator(work, loaded, act, by)
        receipt = None
        if grant:
            version = club.version_at(work, loaded.id, act.submitted_at)
            rule = _action(programmes.at_version(work, loaded.id, version), act.action)
            receipt = _grant(work, loaded, standing, rule, version, act.id, by, act.submitted_at, now)
        state = club.GRANTED if grant else club.REFUSED
        club.decide_act(
            work,
            loaded.id,
            act.id,
            becomes=state,
            by=by,
            receipt_id=receipt.id if receipt else None,
            now=now,
        )
        club.note(
            work,
            loaded.id,
            by=by,
            action="act.decide",
            about=f"act {act.id}",
            detail=f"{act.action} {state}",
            now=now,
        )
        outcome = Outcome(act.id, state, receipt)
        asked.answered(work, outcome.as_json(), now=now)
        return outcome

    return store.write(act_on)


def acts(store: Store, *, programme: str, only_waiting: bool = True, limit: int = 100) -> list[Act]:
    """Acts that wait for a decision, oldest first; or all of them, newest first."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        return club.acts(read, loaded.id, only_waiting=only_waiting, limit=limit)


def _waiting_act(work: Work, loaded: Loaded, act_id: int) -> tuple[Act, Standing]:
    """An act that waits, and its member (or who that became), locked."""
    act = club.act_by_id(work, loaded.id, act_id) if 0 < act_id < _ID_LIMIT else None
    if act is None:
        raise ActUnknown()
    standing = _standing_of(work, loaded, act.member_id)
    # Read again under the member's lock: another moderator may have decided meanwhile.
    act = club.act_by_id(work, loaded.id, act_id)
    assert act is not None
    if act.state != club.WAITING:
        raise AlreadyDecided()
    return act, standing


def _require_other_moderator(work: Work, loaded: Loaded, act: Act, by: str) -> None:
    day = local_date(act.submitted_at, loaded.programme.zone)
    since, until = (day_start(one, loaded.programme.zone) for one in (day, day + timedelta(days=1)))
    if (
        by == act.submitted_by
        or club.is_member(work, loaded.id, act.member_id, by)
        or club.served(work, loaded.id, act.member_id, by, since=since, until=until)
    ):
        raise SomebodyElse()


def _grant(
    work: Work,
    loaded: Loaded,
    standing: Standing,
    rule: Action,
    version: int,
    act_id: int,
    by: str,
    submitted_at: datetime,
    now: datetime,
) -> Receipt:
    rules = loaded.programme
    day = local_date(submitted_at, rules.zone)
    _require_member_limit(work, loaded, standing, rule, day)
    if rule.day_limit is not None:
        name = f"action:{rule.key}:{day_number(day)}"
        if not allowances.take(work, loaded.id, name, 1, limit=rule.day_limit):
            raise ActionDayLimit()
    booking = _booking(work, loaded, standing, ReceiptKind.ACTION, by, now)
    booking.reasons.append(
        {"rule": "action", "action": rule.key, "act": act_id, "points": rule.points, "version": version}
    )
    booking.credit(rule.points, kind=PostingKind.BONUS, expires_at=_expires_at(rules, standing, now))
    lapses_at = lasting.lapse_at(rules.points, now, rules.zone, rules.tier(standing.tier))
    if lapses_at is not None:
        later = max(standing.points_lapse_at or 0, micros(lapses_at))
        booking.standing = replace(booking.standing, points_lapse_at=later)
        members.keep(work, loaded.id, booking.standing)
    return booking.finish()


def _require_member_limit(work: Work, loaded: Loaded, standing: Standing, rule: Action, day: date) -> None:
    """No run of `member_days` local days may have more than `member_limit` acts, by when they were done."""
    if rule.member_limit is None:
        return
    zone = loaded.programme.zone
    before = rule.member_days - 1 if rule.member_days else None
    since = None if before is None else day_start(day - timedelta(days=before), zone)
    submitted = club.granted_since(work, loaded.id, standing.member_id, rule.key, since=since)
    days = [local_date(at, zone) for at in submitted]
    if before is None:
        most = len(days)
    else:
        # Acts are not always decided in the order in which they were done.
        starts = [day - timedelta(days=back) for back in range(before + 1)]
        most = max(sum(start <= one <= start + timedelta(days=before) for one in days) for start in starts)
    if most >= rule.member_limit:
        raise ActionLimit()


# Corrections by hand -----------------------------------------------------------------------


def adjust(
    store: Store,
    *,
    programme: str,
    code: str,
    points: int,
    reason: str,
    note: str,
    words: str,
    by: str,
    key: str,
    allow_negative: bool = False,
    now: datetime,
) -> Outcome:
    """Give points by hand, or take them (below zero): booked, or waiting for a second person.

    `reason` is one of the programme's; `note` stays with the shop, `words` are
    for the member. Above the programme's amount somebody else approves first
    (`approve`). Only `allow_negative` may leave a balance below zero. Raises
    AdjustmentInvalid, ReasonUnknown, WordsInvalid, AdjustmentDayLimit,
    SomebodyElse (one's own card), NotEnoughPoints, and what a till raises for
    codes and keys.
    """
    if not 0 < abs(points) <= POINTS_MAX:
        raise AdjustmentInvalid()
    for_shop, for_member = _said(note, NOTE_LETTERS_MAX), _said(words, WORDS_LETTERS_MAX)
    typed = codes.normalise(code)
    content = {
        "code": typed,
        "points": points,
        "reason": reason,
        "note": for_shop,
        "words": for_member,
        "by": by,
        "allow_negative": allow_negative,
    }

    def act_on(work: Work) -> Outcome:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "adjust", content)
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return Outcome.from_json(before, for_member)
        rule = loaded.programme.adjustments
        if reason not in rule.reasons:
            raise ReasonUnknown(reasons=", ".join(rule.reasons))
        standing = _standing(work, loaded, typed)
        if club.is_member(work, loaded.id, standing.member_id, by):
            raise SomebodyElse()
        day = day_number(local_date(now, loaded.programme.zone))
        name = _day_name(by, day)
        if not allowances.take(work, loaded.id, name, abs(points), limit=rule.person_day_points):
            left = rule.person_day_points - allowances.used(work, loaded.id, name)
            raise AdjustmentDayLimit(limit=rule.person_day_points, left=max(left, 0))
        adjustment_id = club.add_adjustment(
            work,
            programme_id=loaded.id,
            member_id=standing.member_id,
            card_id=standing.card_id,
            points=points,
            reason=reason,
            note=for_shop,
            words=for_member,
            by=by,
            local_day=day,
            now=now,
        )
        outcome = Outcome(adjustment_id, club.WAITING, None)
        if abs(points) <= rule.approval_points:
            one = club.adjustment_by_id(work, loaded.id, adjustment_id)
            assert one is not None
            outcome = _book(work, loaded, standing, one, None, allow_negative, now)
        _note_adjustment(work, loaded, "adjust", adjustment_id, outcome.state, points, reason, by, now)
        asked.answered(work, outcome.as_json(), now=now)
        return outcome

    return store.write(act_on)


def approve(
    store: Store,
    *,
    programme: str,
    adjustment_id: int,
    grant: bool,
    key: str,
    by: str,
    allow_negative: bool = False,
    now: datetime,
) -> Outcome:
    """Book or refuse a correction that waits for a second person.

    Whether it may leave a balance below zero is the second person's to say.
    Raises AdjustmentUnknown, AlreadyDecided, SomebodyElse (who asked, or the
    member), NotEnoughPoints, CardVoided, KeyInvalid or KeyReused.
    """
    content = {"adjustment": adjustment_id, "grant": grant, "by": by, "allow_negative": allow_negative}

    def act_on(work: Work) -> Outcome:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "adjust approve", content)
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            known = club.adjustment_by_id(work, loaded.id, adjustment_id)
            return Outcome.from_json(before, known.words if known else "")
        one, standing = _waiting_adjustment(work, loaded, adjustment_id)
        if by == one.asked_by or club.is_member(work, loaded.id, one.member_id, by):
            raise SomebodyElse()
        if grant:
            outcome = _book(work, loaded, standing, one, by, allow_negative, now)
        else:
            club.decide_adjustment(
                work, loaded.id, one.id, becomes=club.REFUSED, by=by, receipt_id=None, now=now
            )
            # What was not moved does not count against the day of whoever asked.
            name = _day_name(one.asked_by, one.local_day)
            allowances.give_back(work, loaded.id, name, abs(one.points))
            outcome = Outcome(one.id, club.REFUSED, None)
        _note_adjustment(
            work, loaded, "adjust.approve", one.id, outcome.state, one.points, one.reason, by, now
        )
        asked.answered(work, outcome.as_json(), now=now)
        return outcome

    return store.write(act_on)


def adjustments(store: Store, *, programme: str, limit: int = 100) -> list[Adjustment]:
    """The newest corrections, those that wait for a second person included."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        return club.adjustments(read, loaded.id, limit=limit)


def _waiting_adjustment(work: Work, loaded: Loaded, adjustment_id: int) -> tuple[Adjustment, Standing]:
    known = 0 < adjustment_id < _ID_LIMIT
    one = club.adjustment_by_id(work, loaded.id, adjustment_id) if known else None
    if one is None:
        raise AdjustmentUnknown()
    standing = _standing_of(work, loaded, one.member_id)
    # Read again under the member's lock: another person may have decided meanwhile.
    one = club.adjustment_by_id(work, loaded.id, adjustment_id)
    assert one is not None
    if one.state != club.WAITING:
        raise AlreadyDecided()
    return one, standing


def _book(
    work: Work,
    loaded: Loaded,
    standing: Standing,
    one: Adjustment,
    approved_by: str | None,
    allow_negative: bool,
    now: datetime,
) -> Outcome:
    booking = _booking(work, loaded, standing, ReceiptKind.ADJUST, approved_by or one.asked_by, now)
    booking.reasons.append(
        {
            "rule": "adjustment",
            "adjustment": one.id,
            "reason": one.reason,
            "text": one.words,
            "points": one.points,
        }
    )
    if one.points > 0:
        expires_at = _expires_at(loaded.programme, standing, now)
        booking.credit(one.points, kind=PostingKind.ADJUST, expires_at=expires_at)
    else:
        if not allow_negative:
            booking.require(-one.points)
        booking.spend(-one.points, kind=PostingKind.ADJUST)
    receipt = booking.finish()
    club.decide_adjustment(
        work, loaded.id, one.id, becomes=club.BOOKED, by=approved_by, receipt_id=receipt.id, now=now
    )
    return Outcome(one.id, club.BOOKED, receipt)


def _note_adjustment(
    work: Work,
    loaded: Loaded,
    action: str,
    adjustment_id: int,
    state: str,
    points: int,
    reason: str,
    by: str,
    now: datetime,
) -> None:
    club.note(
        work,
        loaded.id,
        by=by,
        action=action,
        about=f"adjustment {adjustment_id}",
        detail=f"{points:+d} {reason} {state}",
        now=now,
    )


def _day_name(login: str, day: int) -> str:
    return f"adjust:{login}:{day}"


# Small things ---------------------------------------------------------------------------------


def _said(text: str, limit: int) -> str:
    said = cleaned(text, limit + 1)
    if not said or len(said) > limit:
        raise WordsInvalid(limit=limit)
    return said


def _action(rules: Programme, key: str) -> Action:
    for action in rules.actions:
        if action.key == key:
            return action
    raise ActionUnknown()


def _standing(work: Work, loaded: Loaded, code: str) -> Standing:
    checked = codes.read(code, loaded.programme.code_kind)
    standing = members.standing(members.at_counter(work, loaded.id, checked))
    if standing is None:
        raise CardForeign() if members.code_elsewhere(work, checked) else CodeUnknown()
    if standing.voided_at is not None:
        raise CardVoided()
    return standing


def _standing_of(work: Work, loaded: Loaded, member_id: int) -> Standing:
    """A member, or who they became, with the card they have now. Raises CardVoided where they have none."""
    card_id = club.card_now(work, loaded.id, member_id)
    standing = members.standing(members.of_card(work, loaded.id, card_id))
    assert standing is not None
    if standing.voided_at is not None:
        raise CardVoided()
    return standing


def _booking(
    work: Work, loaded: Loaded, standing: Standing, kind: ReceiptKind, by: str, now: datetime
) -> Booking:
    at = Counter(person=by, channel="console")
    return Booking(work, loaded, standing, kind=kind, at=at, occurred_at=now, now=now)


def _expires_at(rules: Programme, standing: Standing, now: datetime) -> datetime | None:
    return lasting.expires_at(
        rules.points, earned_at=now, available_at=now, zone=rules.zone, tier=rules.tier(standing.tier)
    )
