"""The API is asked whatever its own document allows, and much that it does not: every answer keeps to it.

Requests are made by schemathesis from the served document, well formed and
malformed; some of them then speak of the card, the receipts and the gift that
the shop really has, for requests about nothing never get far.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.openapi import from_wsgi
from schemathesis.specs.openapi import checks

from passes import books, checkout
from passes.web.api import EVERYTHING, ROOT
from tests.shop import COFFEE, Shop
from tests.web.seeded import seed
from tests.web.test_api import register

EXAMPLES = {"sqlite": 20, "postgresql": 5}
CHECKED = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.missing_required_header,
]


@pytest.fixture
def known(house: Shop) -> Mapping[str, Any]:
    """What exists, by the names that paths and bodies have for it."""
    ana = seed(house)
    bought = house.buy(ana.code, 1240)
    (gift,) = checkout.look(house.store, programme=COFFEE, code=ana.code, language="en", now=house.now).issued
    return {
        "code": ana.code,
        "receipt_id": str(bought.id),
        "member_id": str(ana.member_id),
        "redemption_id": str(gift.id),
        "reward": "extra-shot",
        "find": "Ana",
        "typed": "12.40",
        "location": "west-loop",
        # What somebody paid with by chance is never what they had to pay.
        "tenders": [],
    }


def test_every_answer_keeps_to_the_document(app: Flask, house: Shop, known: Mapping[str, Any]) -> None:
    schema = from_wsgi(f"{ROOT}/openapi.json", app=app)
    program = register(app, house)
    engine = "postgresql" if house.store.postgresql else "sqlite"
    asked: dict[str, set[int]] = {}

    def ask(case: Case[Any], speaks_of: frozenset[str]) -> None:
        for part in (case.body, case.path_parameters, case.query):
            if isinstance(part, dict):
                named = speaks_of | {"tenders"} if speaks_of else speaks_of
                part.update({name: known[name] for name in named & part.keys()})
        # Slow enough for nobody to be told to go slower, and for an undo to come in time.
        house.now += timedelta(milliseconds=20)
        answer = case.call(headers={"Authorization": f"Bearer {program.secret}"})
        case.validate_response(answer, checks=CHECKED)
        asked.setdefault(case.operation.definition.raw["operationId"], set()).add(answer.status_code)

    names = st.frozensets(st.sampled_from(sorted(known)))
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        cases = st.one_of(
            st.tuples(operation.as_strategy(), names),
            # What is wrong with these must stay in them.
            st.tuples(operation.as_strategy(GenerationMode.NEGATIVE), st.just(frozenset())),
        )

        @settings(
            max_examples=EXAMPLES[engine],
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(asked_for=cases)
        def asks(asked_for: tuple[Case[Any], frozenset[str]]) -> None:
            ask(*asked_for)

        asks()
    assert set(asked) == {one.name for one in EVERYTHING}
    assert books.verify(house.store).problems == ()
    # Not only refusals: many were asked for something that they did. How many is chance, and
    # tests/web/test_api_examples.py plays every one of them.
    done = {one.name for one in EVERYTHING if one.status in asked[one.name]}
    assert len(done) > len(EVERYTHING) / 3, done
