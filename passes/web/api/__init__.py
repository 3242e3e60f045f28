"""The API for registers and shops' own programs: `/api/v1`.

Every request shows a key; every write names itself by an Idempotency-Key, and
sent again it gets the first answer. Refusals are problems (RFC 9457) with the
codes that all of the product uses. The OpenAPI document is made from what
serves the requests.
"""

from __future__ import annotations

import orjson
from flask import Blueprint, Response, request
from flask.globals import request_ctx
from werkzeug.exceptions import MethodNotAllowed, NotFound

from passes.web.api import openapi, operations, pace
from passes.web.api.counter import COUNTER
from passes.web.api.records import RECORDS
from passes.web.here import installation

ROOT = "/api/v1"
EVERYTHING = (*RECORDS.all, *COUNTER.all)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

blueprint = Blueprint("api", __name__, url_prefix=ROOT)
operations.speak_json(blueprint)
blueprint.record_once(lambda state: pace.register(state.app))
blueprint.record_once(lambda state: operations.remember_keys(state.app))
COUNTER.serve(blueprint, operations.key_holder)
RECORDS.serve(blueprint, operations.key_holder)


@blueprint.get("/openapi.json")
def document() -> Response:
    """What can be asked, for programs and for people. Nothing in it is secret."""
    answer = Response(
        orjson.dumps(
            openapi.document((*COUNTER.all, *RECORDS.all), root=ROOT, server=installation().public_url)
        ),
        content_type="application/json",
    )
    answer.headers["Cache-Control"] = "public, max-age=300"
    return answer


@blueprint.before_request
def options() -> Response | None:
    """What may be done at an address. Browsers of other sites get no more: keys do not belong into pages."""
    if request.method != "OPTIONS":
        return None
    answer = Response(status=204)
    answer.headers["Allow"] = ", ".join(_methods())
    return answer


@blueprint.route("/", defaults={"rest": ""}, methods=_METHODS)
@blueprint.route("/<path:rest>", methods=_METHODS)
def nothing(rest: str) -> Response:
    """No page for programs: an unknown address or a wrong method is a problem like any other."""
    allowed = _methods()
    return operations.fail(MethodNotAllowed(valid_methods=allowed) if allowed else NotFound())


def _methods() -> list[str]:
    """What may be asked of this address, by what is served there."""
    adapter = request_ctx.url_adapter
    assert adapter is not None
    served = [one for one in _METHODS if adapter.match(method=one)[0] != f"{blueprint.name}.nothing"]
    return [*served, "HEAD", "OPTIONS"] if "GET" in served else [*served, "OPTIONS"] if served else []
