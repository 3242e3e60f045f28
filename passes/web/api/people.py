"""What registers and tills ask about people: look somebody up, ask them for a code, let them join."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import url_for

from passes import access, checkout, enrolment
from passes.access import Limit
from passes.api_keys import Scope
from passes.enrolment import Source
from passes.loyalty import codes
from passes.loyalty.refusals import (
    EnrolmentsEnough,
    LookupOff,
    OneTimeCodeNotSent,
    SearchTooShort,
    TooManyTries,
)
from passes.web import language
from passes.web.api import refusals, wire
from passes.web.api.cards import card_of
from passes.web.api.operations import Asked, Operation, Operations
from passes.web.here import installation, now

PEOPLE = Operations()


@PEOPLE.add(
    Operation(
        "findMembers",
        "POST",
        "/members/find",
        Scope.MEMBERS,
        "Look members up by name, phone or e-mail. Every look-up is written down.",
        wire.FoundMembers,
        # In a body: addresses are written down by whatever stands between a till and the service.
        body=wire.Find,
        refusals=(LookupOff, SearchTooShort, TooManyTries),
    )
)
def find_members(asked: Asked, body: wire.Find) -> Mapping[str, Any]:
    """Who may be meant."""
    here, caller = installation(), asked.caller
    by = caller.person or caller.name
    access.limit(here.store, Limit.LOOKUP, f"{caller.channel}:{caller.id}:{by}", now=now())
    search = checkout.find(
        here.store,
        programme=caller.programme,
        text=body.find,
        language=language.current(),
        by=by,
        at=asked.counter(wire.HERE),
        keys=here.keys,
        now=now(),
    )
    return {
        "found": [
            {
                "handle": one.handle,
                "name": one.name,
                "tier_name": one.tier_name,
                "phone_end": one.phone_end,
                "last_visit_at": one.last_visit_at,
            }
            for one in search.found
        ],
        "more": search.is_more,
    }


@PEOPLE.add(
    Operation(
        "sendOneTimeCode",
        "POST",
        "/one-time-codes",
        Scope.MEMBERS,
        "Send a member six digits that prove once, for ten minutes, that they are here.",
        wire.OneTimeAnswer,
        body=wire.OneTimeAsked,
        status=202,
        refusals=(*refusals.CARD, OneTimeCodeNotSent, TooManyTries),
    )
)
def send_one_time_code(asked: Asked, body: wire.OneTimeAsked) -> Mapping[str, Any]:
    """By letter, where letters are sent."""
    here = installation()
    if here.post is None:
        raise OneTimeCodeNotSent()
    code, _ = card_of(asked, body.handle)
    ends_at = checkout.send_code(
        here.store, programme=asked.caller.programme, code=code, keys=here.keys, now=now()
    )
    return {"expires_at": ends_at}


@PEOPLE.add(
    Operation(
        "enrolMember",
        "POST",
        "/members",
        Scope.MEMBERS,
        "Make a member on the spot; the answer leads to the card.",
        wire.NewMemberAnswer,
        body=wire.MemberAsked,
        status=201,
        refusals=(*refusals.JOINING, EnrolmentsEnough),
    )
)
def enrol_member(asked: Asked, body: wire.MemberAsked) -> Mapping[str, Any]:
    """A new member with a card."""
    at, rules = asked.counter(body), asked.caller.loaded.programme
    joined = enrolment.join(
        installation().store,
        programme=asked.caller.programme,
        name=body.name,
        email=body.email or None,
        phone=body.phone or None,
        language=body.language if body.language in rules.languages else rules.language,
        consents=body.consents,
        source=Source("till", location=at.location),
        key=asked.request_key,
        keys=installation().keys,
        now=now(),
        letters=installation().post is not None,
        at_till=at,
    )
    return {
        "member_id": str(joined.member_id),
        "card_id": str(joined.card_id),
        "code": codes.grouped(joined.code),
        "card_url": installation().public_url + url_for("member.card", secret=joined.link_secret),
    }
