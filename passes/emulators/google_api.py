"""The walletobjects v1 REST interface and its token endpoint: who may ask, what is meant, how it is answered.

Sources: the walletobjects:v1 discovery document; Google's pages on service
accounts, error codes and batching.
"""

from __future__ import annotations

import email.parser
import email.policy
import json
import re
import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import parse_qs, parse_qsl, unquote

from passes.emulators.google_faults import Faults, Trouble
from passes.emulators.google_objects import CLASS, OBJECT, Kind, Resources
from passes.emulators.google_schema import ApiError, Violation, invalid
from passes.emulators.google_server import Call, Reply, Silence
from passes.emulators.google_signing import GRANT_TYPE, TOKEN_ADDRESS, ServiceAccounts, TokenRefused

TOKEN_PATH = "/token"
BATCH_PATH = "/batch"
ROOT = "/walletobjects/v1/"
BATCH_PARTS_MAX = 1000
TOKEN_LIFE = timedelta(seconds=3600)

_KINDS = {kind.path: kind for kind in (CLASS, OBJECT)}
_RESOURCE = re.compile(r"(loyaltyClass|loyaltyObject)(?:/([^/]+)(/addMessage)?)?")
_ISSUER = re.compile(r"issuer/([0-9]+)")
_UNAUTHENTICATED = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
    "valid authentication credential."
)

# Called with: method, path, resource, status, reason, body, user agent.
Record = Callable[[str, str, str | None, int | None, str | None, Any, str], None]


class Api:
    """Answers calls to `/token`, `/walletobjects/v1/…` and `/batch`.

    `record` hears of every request before it is answered; `address` gives
    this server's own root, without a slash at the end.
    """

    def __init__(
        self,
        resources: Resources,
        accounts: ServiceAccounts,
        *,
        faults: Faults,
        clock: Callable[[], datetime],
        record: Record,
        address: Callable[[], str],
    ) -> None:
        self.uninvited: set[str] = set()
        self._resources, self._accounts, self._faults = resources, accounts, faults
        self._clock, self._record, self._address = clock, record, address
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, datetime]] = {}

    def answer(self, call: Call) -> Reply | Silence:
        """One request, whichever of the three it is."""
        if call.path == TOKEN_PATH:
            return self._token(call)
        return self._batch(call) if call.path == BATCH_PATH else self._rest(call)

    def forget_tokens(self) -> None:
        """Revoke every access token."""
        with self._lock:
            self._tokens.clear()

    # --- tokens ---------------------------------------------------------------

    def _token(self, call: Call) -> Reply | Silence:
        form = parse_qs(call.body.decode("utf-8", "replace"))
        grant = form.get("grant_type", [""])[0]

        def answered(status: int | None, reason: str | None) -> None:
            self._note(call, None, status, reason, {"grant_type": grant})

        trouble = self._faults.take("token", call.method, None)
        if trouble is not None:
            answered(trouble.status, trouble.why)
            if trouble.status is None:
                return Silence(hang=True)
            return _json(trouble.status, {"error": "internal_failure"}, _retry_after(trouble))
        try:
            given = self._grant(call, grant, form)
        except TokenRefused as refused:
            answered(400, refused.error)
            return _json(400, {"error": refused.error, "error_description": refused.words})
        answered(200, None)
        return _json(200, given, {"Cache-Control": "no-store"})

    def _grant(self, call: Call, grant: str, form: dict[str, list[str]]) -> dict[str, Any]:
        if call.method != "POST":
            raise TokenRefused("invalid_request", "Only POST is allowed.")
        if grant != GRANT_TYPE:
            raise TokenRefused("unsupported_grant_type", f"Invalid grant_type: {grant}")
        if len(form.get("assertion", ())) != 1:
            raise TokenRefused("invalid_request", "Missing required parameter: assertion")
        now = self._clock()
        # Google's libraries sign for Google's own address, whatever address they are told to ask.
        audiences = frozenset({TOKEN_ADDRESS, self._address() + TOKEN_PATH})
        account = self._accounts.check_assertion(form["assertion"][0], audiences=audiences, now=now)
        token = f"ya29.{secrets.token_urlsafe(48)}"
        with self._lock:
            self._tokens = {one: kept for one, kept in self._tokens.items() if kept[1] > now}
            self._tokens[token] = (account, now + TOKEN_LIFE)
        return {
            "access_token": token,
            "expires_in": int(TOKEN_LIFE.total_seconds()),
            "token_type": "Bearer",
        }

    def _account_of(self, call: Call) -> str:
        kind, _, token = call.headers.get("authorization", "").partition(" ")
        with self._lock:
            account, expires = self._tokens.get(token.strip(), ("", None))
        if kind.lower() != "bearer" or expires is None or expires <= self._clock():
            raise ApiError(401, "UNAUTHENTICATED", "authError", _UNAUTHENTICATED)
        return account

    # --- REST -----------------------------------------------------------------

    def _rest(self, call: Call) -> Reply | Silence:
        method = call.method
        if method == "POST":
            method = call.headers.get("x-http-method-override", method).upper()
        body: Any = None
        resource = self._resource_of(call.path)
        try:
            unread = None
            try:
                body = json.loads(call.body) if call.body else None
            except ValueError:
                unread = "Invalid JSON payload received. Unexpected token."
            if resource is None and isinstance(body, dict) and isinstance(body.get("id"), str):
                resource = body["id"]
            trouble = self._faults.take("api", method, resource)
            if trouble is not None and not trouble.after_commit:
                return self._misbehave(call, method, resource, body, trouble)
            if self._account_of(call) in self.uninvited:
                raise ApiError(403, "PERMISSION_DENIED", "forbidden", "Permission Denied")
            if unread:
                raise invalid(Violation("", unread))
            answer = self._do(method, call, body)
        except ApiError as refused:
            self._note(call, resource, refused.status, refused.reason, _public(body), method)
            headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}
            return _json(refused.status, refused.as_json(), headers)
        if trouble is not None:
            self._note(call, resource, None, "dropped after commit", _public(body), method)
            return Silence(hang=False)
        self._note(call, resource, 200, None, _public(body), method)
        return _json(200, answer)

    def _do(self, method: str, call: Call, body: Any) -> dict[str, Any]:
        path = call.path.removeprefix(ROOT)
        if path == call.path:
            raise _no_such_method(method, call.path)
        if found := _RESOURCE.fullmatch(path):
            kind = _KINDS[found[1]]
            name = unquote(found[2]) if found[2] else None
            return self._on_resource(method, kind, name, bool(found[3]), call, body)
        if (method, path) == ("POST", "jwt"):
            return self._insert_jwt(body)
        if (method, path) == ("POST", "jwt/validate"):
            return self._validate_jwt(body)
        if method == "GET" and (found := _ISSUER.fullmatch(path)):
            if found[1] != self._resources.issuer_id:
                raise ApiError(403, "PERMISSION_DENIED", "forbidden", "Permission Denied")
            return {"issuerId": found[1], "name": "Emulated issuer"}
        raise _no_such_method(method, call.path)

    def _on_resource(
        self, method: str, kind: Kind, name: str | None, message: bool, call: Call, body: Any
    ) -> dict[str, Any]:
        resources = self._resources
        if name is None and method == "POST":
            return resources.insert(kind, body)
        if name is None and method == "GET":
            most = call.query.get("maxResults", "0")
            if not most.isascii() or not most.isdigit():
                raise invalid(Violation("maxResults", f"Invalid value at 'maxResults', {most!r}"))
            of = call.query.get("issuerId" if kind is CLASS else "classId")
            return resources.page(kind, of, int(most), call.query.get("token"))
        if name is not None and message and method == "POST":
            return resources.add_message(kind, name, body)
        if name is not None and not message:
            if method == "GET":
                return resources.get(kind, name)
            if method == "PATCH":
                return resources.patch(kind, name, body)
            if method == "PUT":
                return resources.update(kind, name, body)
        raise _no_such_method(method, call.path)

    def _insert_jwt(self, body: Any) -> dict[str, Any]:
        token = body.get("jwt") if isinstance(body, dict) and set(body) == {"jwt"} else None
        classes, objects = self._payload(token)
        names = self._resources.add_missing(classes, objects)
        return {
            "saveUri": f"{self._address()}/gp/v/save/{token}",
            "resources": {
                "loyaltyClasses": [self._resources.get(CLASS, one["id"]) for one in classes],
                "loyaltyObjects": [self._resources.get(OBJECT, name) for name in names],
            },
        }

    def _validate_jwt(self, body: Any) -> dict[str, Any]:
        given = body if isinstance(body, dict) else {}
        if set(given) == {"jwtResource"} and isinstance(given["jwtResource"], dict):
            self._resources.judge(*self._payload(given["jwtResource"].get("jwt")))
            return {}
        if set(given) == {"jsonResource"} and isinstance(given["jsonResource"], dict):
            try:
                payload = json.loads(str(given["jsonResource"].get("json")))["payload"]
                lists = [payload.get(name, []) for name in ("loyaltyClasses", "loyaltyObjects")]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise invalid(Violation("jsonResource.json", "This is no save link's JSON.")) from error
            self._resources.judge(*lists)
            return {}
        raise invalid(Violation("", "Exactly one of jwtResource, jsonResource must be set."))

    def _payload(self, token: object) -> tuple[list[Any], list[Any]]:
        """A save link's classes and objects."""
        try:
            payload = self._accounts.check_save(str(token), now=self._clock())
        except TokenRefused as refused:
            raise invalid(Violation("jwt", refused.words)) from refused
        return payload.get("loyaltyClasses", []), payload.get("loyaltyObjects", [])

    def _misbehave(
        self, call: Call, method: str, resource: str | None, body: Any, trouble: Trouble
    ) -> Reply | Silence:
        self._note(call, resource, trouble.status, trouble.why, _public(body), method)
        if trouble.status is None:
            return Silence(hang=True)
        error = ApiError(trouble.status, trouble.code, trouble.why, "The service is not itself today.")
        return _json(trouble.status, error.as_json(), _retry_after(trouble))

    def _resource_of(self, path: str) -> str | None:
        found = _RESOURCE.fullmatch(path.removeprefix(ROOT))
        return unquote(found[2]) if found and found[2] else None

    # --- batches --------------------------------------------------------------

    def _batch(self, call: Call) -> Reply | Silence:
        """A multipart/mixed of requests. The answers come in another order: their ids tell them apart."""
        try:
            parts = _parts_of(call)
        except ValueError as error:
            refused = invalid(Violation("", f"Invalid batch: {error}"))
            self._note(call, None, 400, refused.reason, None)
            return _json(400, refused.as_json())
        boundary = f"batch_{secrets.token_hex(12)}"
        out = []
        for identifier, inner in reversed(parts):
            reply = self._rest(inner)
            if isinstance(reply, Silence):
                return reply
            head = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
            out.append(
                f"--{boundary}\r\nContent-Type: application/http\r\n"
                f"Content-ID: <response-{identifier}>\r\n\r\n"
                f"HTTP/1.1 {reply.status} Answer\r\n{head}Content-Length: {len(reply.body)}\r\n\r\n".encode()
                + reply.body
                + b"\r\n"
            )
        body = b"".join(out) + f"--{boundary}--\r\n".encode()
        return Reply(200, body, {"Content-Type": f"multipart/mixed; boundary={boundary}"})

    def _note(
        self,
        call: Call,
        resource: str | None,
        status: int | None,
        reason: str | None,
        body: Any,
        method: str | None = None,
    ) -> None:
        agent = call.headers.get("user-agent", "")
        self._record(method or call.method, call.path, resource, status, reason, body, agent)


def _parts_of(call: Call) -> list[tuple[str, Call]]:
    """The requests of a batch with their ids. Raises ValueError with words."""
    kind = call.headers.get("content-type", "")
    whole = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        b"Content-Type: " + kind.encode() + b"\r\n\r\n" + call.body
    )
    if call.method != "POST" or whole.get_content_type() != "multipart/mixed" or not whole.is_multipart():
        raise ValueError("a POST of multipart/mixed is expected.")
    found: list[tuple[str, Call]] = []
    for part in whole.iter_parts():
        identifier = str(part.get("Content-ID", "")).strip().removeprefix("<").removesuffix(">")
        if part.get_content_type() != "application/http" or not identifier:
            raise ValueError("each part needs the type application/http and a Content-ID.")
        payload = cast(bytes, part.get_payload(decode=True))
        head, _, body = payload.replace(b"\r\n", b"\n").partition(b"\n\n")
        line, _, rest = head.decode("utf-8", "replace").lstrip("\n").partition("\n")
        words = line.split()
        if len(words) not in (2, 3):
            raise ValueError(f"{line!r} is no request line.")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (one.partition(":") for one in rest.split("\n"))
            if name
        }
        outer = {name: call.headers[name] for name in ("authorization", "user-agent") if name in call.headers}
        path, _, asked = words[1].partition("?")
        query = dict(parse_qsl(asked, keep_blank_values=True))
        inner = Call(words[0], path, query, outer | headers, body)
        found.append((identifier, inner))
    if not found or len(found) > BATCH_PARTS_MAX:
        raise ValueError(f"1 to {BATCH_PARTS_MAX} parts are allowed.")
    if len({identifier for identifier, _ in found}) != len(found):
        raise ValueError("Content-IDs must be unique.")
    return found


def _public(body: Any) -> Any:
    """A request's body for the history, without what opens doors: save links and keys of rotating codes."""
    if isinstance(body, dict):
        return {
            name: "…" if name in ("jwt", "jwtResource", "key") else _public(value)
            for name, value in body.items()
        }
    return [_public(one) for one in body] if isinstance(body, list) else body


def _json(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
    return Reply(
        status,
        json.dumps(body, indent=1, ensure_ascii=False).encode(),
        {"Content-Type": "application/json; charset=UTF-8", **(headers or {})},
    )


def _retry_after(trouble: Trouble) -> dict[str, str]:
    return {} if trouble.retry_after_seconds is None else {"Retry-After": str(trouble.retry_after_seconds)}


def _no_such_method(method: str, path: str) -> ApiError:
    return ApiError(404, "NOT_FOUND", "notFound", f"{method} {path} is no method of this emulator.")
