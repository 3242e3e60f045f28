"""The emulated Google's pages: adding a card, the keys of callbacks, and what tests may ask over HTTP."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from passes.emulators import google_face
from passes.emulators.google_card import Shown
from passes.emulators.google_phone import Offline
from passes.emulators.google_schema import ApiError
from passes.emulators.google_server import Call, Reply, Silence
from passes.emulators.google_signing import TokenRefused

if TYPE_CHECKING:
    from passes.emulators.google import GoogleEmulator

LINK_CHARACTERS_MAX = 1800

_SAVE = "/gp/v/save/"
_KEYS = "/gp/m/issuer/keys"
_KEYS_SECONDS = 300
_FAULTS = frozenset(
    {
        "answer",
        "share",
        "hang",
        "drop_after_commit",
        "slow",
        "withhold_callbacks",
        "double_callbacks",
        "clear",
    }
)
_STYLE = """
:root{--ink:#1d1d1f;--soft:#5b5c63;--ground:#f3f1ee;--panel:#fff;--line:#dcd9d4;--strong:#0060c7;
font:16px/1.45 Roboto,Inter,"Liberation Sans",Arial,sans-serif;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--ink:#f2f2f5;--soft:#a9a9b2;--ground:#101114;--panel:#1b1c20;
--line:#33343a;--strong:#1c6bd0}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;color:var(--ink);background:var(--ground);padding:20px 16px 40px}
main{max-width:26rem;margin:0 auto}
.banner{margin:0 0 18px;color:var(--soft);font-size:.875rem;text-align:center}
h1{font-size:1.6rem;font-weight:500;line-height:1.2;margin:0 0 18px;text-align:center}
p{margin:12px 0;text-align:center}
.card{display:block;width:100%;height:auto;max-height:64vh;margin:0 auto 20px;
filter:drop-shadow(0 6px 16px #0004)}
form{display:grid;gap:10px}
button{display:flex;align-items:center;justify-content:center;gap:10px;min-height:56px;padding:8px 20px;
border:0;border-radius:20px;background:var(--strong);color:#fff;font:inherit;font-size:1.06rem;font-weight:600;
cursor:pointer;text-decoration:none}
button+button{background:var(--panel);color:var(--ink);border:1px solid var(--line)}
:focus-visible{outline:3px solid var(--strong);outline-offset:3px}
"""
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; base-uri 'none'; "
        "frame-ancestors {ancestors}; "
        # Also where a browser is sent once a card is saved.
        "form-action 'self' http://127.0.0.1:* http://localhost:*"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Pages:
    """Answers everything of a `GoogleEmulator` that is not its API."""

    def __init__(self, google: GoogleEmulator) -> None:
        self._google = google

    def answer(self, call: Call) -> Reply | Silence:
        """One request."""
        reply = self._answer(call)
        if isinstance(reply, Silence) or "Content-Security-Policy" not in reply.headers:
            return reply
        # The shop may show the save page beside its own; nobody else may.
        inside = " ".join(one for service in self._google.services for one in _origins(service)) or "'none'"
        policy = reply.headers["Content-Security-Policy"].format(ancestors=inside)
        return replace(reply, headers={**reply.headers, "Content-Security-Policy": policy})

    def _answer(self, call: Call) -> Reply | Silence:
        if call.method not in ("GET", "HEAD") and not _is_own(call):
            return _page(403, "Not here", "<p>Only this page may change its phones.</p>")
        if call.path.startswith(_SAVE):
            return self._save(call, call.path.removeprefix(_SAVE))
        if call.path == _KEYS and call.method in ("GET", "HEAD"):
            return self._keys(call)
        return self._emulator(call)

    # --- for browsers -----------------------------------------------------------

    def _save(self, call: Call, token: str) -> Reply:
        google = self._google
        try:
            if call.method == "POST":
                phone_id = parse_qs(call.body.decode("utf-8", "replace")).get("phone", [""])[0]
                names = google.phone(phone_id).save(token)
                reply = self._saved(phone_id, names)
            else:
                reply = self._offer(google.look(token))
        except (TokenRefused, ApiError) as refused:
            words = refused.words if isinstance(refused, TokenRefused) else refused.message
            status = 400 if isinstance(refused, TokenRefused) else refused.status
            google.record_page(call.method, f"{_SAVE}…", status, words)
            return _page(status, "Something went wrong", f"<p>{escape(words)}</p>")
        except Offline as away:
            google.record_page(call.method, f"{_SAVE}…", 409, str(away))
            return _page(409, "Not now", f"<p>{away}</p>")
        except KeyError:
            google.record_page(call.method, f"{_SAVE}…", 404, "no such phone")
            return _page(404, "Something went wrong", "<p>There is no such phone.</p>")
        # Longer ones work here, but browsers may cut them.
        long = f"the link's token has {len(token)} characters; {LINK_CHARACTERS_MAX} are safe"
        google.record_page(
            call.method, f"{_SAVE}…", reply.status, long if len(token) > LINK_CHARACTERS_MAX else None
        )
        return reply

    def _offer(self, cards: list[Shown]) -> Reply:
        phones = self._google.phones or [self._google.add_phone()]
        buttons = "".join(
            f'<button name="phone" value="{escape(phone.id)}">Add to {escape(phone.name)}</button>'
            for phone in phones
        )
        return _page(
            200,
            "Add to Google Wallet",
            "".join(map(self._card, cards)) + f'<form method="post">{buttons}</form>',
        )

    def _saved(self, phone_id: str, names: list[str]) -> Reply:
        if self._google.after_save is not None:
            return Reply(303, b"", {**_HEADERS, "Location": self._google.after_save(phone_id, names[0])})
        phone = self._google.phone(phone_id)
        cards = "".join(self._card(phone.card(name)) for name in names)
        return _page(200, f"Added to {phone.name}", cards)

    def _card(self, card: Shown) -> str:
        unique = f"c{card.object_id.encode().hex()}"
        return google_face.as_svg(card, self._google.pictures.get, unique=unique)

    # --- for issuers ------------------------------------------------------------

    def _keys(self, call: Call) -> Reply | Silence:
        trouble = self._google.faults.take("keys", call.method, None)
        status = trouble.status if trouble is not None else 200
        if status is None:
            return Silence(hang=True)
        self._google.record_page(call.method, _KEYS, status, trouble.why if trouble is not None else None)
        if status != 200:
            return _json(status, {"error": {"code": status}})
        keys = self._google.signer.public_keys(self._google.clock())
        return _json(200, keys, {"Cache-Control": f"public, max-age={_KEYS_SECONDS}"})

    # --- for scripts and tests --------------------------------------------------

    def _emulator(self, call: Call) -> Reply:
        google = self._google
        match call.method, call.path.strip("/").split("/"):
            case "GET", ["health"]:
                return _json(200, {"status": "ok", "objects": google.as_json()["objects"]})
            case "GET", ["emulator", "state.json"]:
                return _json(200, google.as_json())
            case "GET", ["emulator", "history.json"]:
                return _json(
                    200,
                    {
                        "requests": [one.as_json() for one in google.history],
                        "callbacks": [one.as_json() for one in google.callbacks],
                    },
                )
            case "POST", ["emulator", "faults"]:
                return self._faults(_body(call))
            case "POST", ["emulator", "phones"]:
                wanted = {name: str(value) for name, value in _body(call).items()}
                if not set(wanted) <= {"name", "account", "language"}:
                    return _json(422, {"error": "wrong_arguments"})
                return _json(201, google.add_phone(**wanted).as_json())
            case "POST", ["emulator", "phones", phone_id, "save" | "remove" as verb]:
                return self._finger(phone_id, verb, _body(call))
        return _json(404, {"error": "not_found"})

    def _finger(self, phone_id: str, verb: str, given: dict[str, Any]) -> Reply:
        """What a finger does: {"link": …} is saved, {"object": …} is removed."""
        try:
            phone = self._google.phone(phone_id)
            if verb == "save":
                phone.save(str(given.get("link", "")))
            else:
                phone.remove(str(given.get("object", "")))
        except KeyError:
            return _json(404, {"error": "not_found"})
        except Offline as away:
            return _json(409, {"error": "offline", "words": str(away)})
        except TokenRefused as refused:
            return _json(400, {"error": refused.error, "words": refused.words})
        except ApiError as refused:
            return _json(refused.status, refused.as_json())
        return _json(200, phone.as_json())

    def _faults(self, wanted: dict[str, Any]) -> Reply:
        """Names of faults with their arguments, e.g. {"share": {"part": 0.5, "status": 503}}."""
        if not wanted or not set(wanted) <= _FAULTS:
            return _json(422, {"error": "unknown_fault", "known": sorted(_FAULTS)})
        for name, given in wanted.items():
            target = getattr(self._google.faults, name)
            try:
                if isinstance(given, dict):
                    target(**given)
                elif given is True:
                    target()
                else:
                    target(given)
            except TypeError as error:
                return _json(422, {"error": "wrong_arguments", "fault": name, "words": str(error)})
        return _json(200, {"done": sorted(wanted)})


def _origins(service: str) -> list[str]:
    """A service's origin, and on this machine its port under every name."""
    parts = urlsplit(service)
    port = f":{parts.port}" if parts.port else ""
    return [f"{parts.scheme}://{parts.netloc}", f"http://127.0.0.1{port}", f"http://localhost{port}"]


def _is_own(call: Call) -> bool:
    """Whether this page, or no page at all, sent it: browsers say where a form comes from."""
    origin, site = call.headers.get("origin"), call.headers.get("sec-fetch-site", "same-origin")
    own = origin is None or origin == f"http://{call.headers.get('host')}"
    return own and site in ("same-origin", "none")


def _body(call: Call) -> dict[str, Any]:
    try:
        found = json.loads(call.body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _page(status: int, title: str, inside: str) -> Reply:
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width">'
        f'<style>{_STYLE}</style><main><p class="banner">EMULATED Google Wallet, on this machine only</p>'
        f"<h1>{escape(title)}</h1>{inside}</main></html>"
    )
    return Reply(status, text.encode(), {**_HEADERS, "Content-Type": "text/html; charset=utf-8"})


def _json(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
    return Reply(
        status,
        json.dumps(body).encode(),
        {**_HEADERS, "Content-Type": "application/json; charset=utf-8", **(headers or {})},
    )
