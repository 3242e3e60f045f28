"""The API for registers and shops' own programs: `/api/v1`.

Every request shows a key; every write names itself by an Idempotency-Key, and
sent again it gets the first answer. Refusals are problems (RFC 9457) with the
codes that all of the product uses. The OpenAPI document is made from what
serves the requests.
"""

from __future__ import annotations

import orjson
from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from passes.web.api import openapi, operations
from passes.web.api.counter import COUNTER
from passes.web.here import installation

ROOT = "/api/v1"

blueprint = Blueprint("api", __name__, url_prefix=ROOT)
operations.speak_json(blueprint)
COUNTER.serve(blueprint, operations.key_holder)


@blueprint.get("/openapi.json")
def document() -> Response:
    """What can be asked, for programs and for people. Nothing in it is secret."""
    answer = Response(
        orjson.dumps(openapi.document(COUNTER.all, root=ROOT, server=installation().public_url)),
        content_type="application/json",
    )
    answer.headers["Cache-Control"] = "public, max-age=300"
    return answer


@blueprint.route("/", defaults={"rest": ""}, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@blueprint.route("/<path:rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def nothing(rest: str) -> Response:
    """No page for programs: an unknown address is a problem like any other."""
    return operations.fail(NotFound())
