"""The page on which the virtual phones lie: look at them, tap them, read their requests.

A tool for a developer's own machine. It answers only to loopback names,
changes nothing for requests from other sites, and fetches from nowhere but
loopback and the configured service (`phone.may_reach`).
"""

from __future__ import annotations

import base64
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from passes.emulators import card_face, card_text
from passes.emulators.phone import Card, Notice, Phone, Phones
from passes.emulators.wallet_file import InstalledPass, PassRefused

if TYPE_CHECKING:
    from passes.emulators.apns import ApnsEmulator

_ROOT = Path(__file__).resolve().parents[2]
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_BANNER_TIME = timedelta(seconds=8)
_OFFERS_MAX = 20
_REQUESTS_SHOWN = 60
# What tests may ask of the push service, by the names of its own methods.
_FAULTS = frozenset(
    {"answer", "share", "goaway_every", "drop_connection_after", "withhold", "slow", "reset_streams", "clear"}
)
_WORDS = {404: "There is nothing here.", 405: "That is not done this way."}
_CONTROLS = frozenset({"goaway", "go_down", "come_back"})


def create_app(
    phones: Phones,
    *,
    service_url: str,
    clock: Callable[[], datetime],
    zone: tzinfo,
    apns: ApnsEmulator | None = None,
    host: str = "127.0.0.1",
) -> Flask:
    """The phones' pages as a WSGI application.

    `service_url` is where cards come from: linked, reachable for downloads,
    and allowed to read phones and screens from its pages. `apns` adds the
    push service's history and faults.
    """
    app = Flask(
        __name__,
        root_path=str(_ROOT),
        template_folder=str(_ROOT / "templates" / "phone"),
        static_folder=str(_ROOT / "static"),
    )
    app.config["MAX_CONTENT_LENGTH"] = 64_000
    started = secrets.token_hex(4)
    offers = _Offers()
    names = _LOOPBACK_NAMES | {host, urlsplit(service_url).hostname or host}

    @app.before_request
    def _guard() -> None:
        # A page elsewhere must not reach these phones through a name it controls (DNS rebinding) …
        if (urlsplit(f"//{request.host}").hostname or "") not in names:
            abort(403, "This page answers only on this machine.")
        # … nor change anything. Browsers always say where a form comes from; other clients say nothing.
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "same-origin")
            if site not in ("same-origin", "none") or origin not in (None, request.host_url.rstrip("/")):
                abort(403, "Only this page may change its phones.")

    @app.after_request
    def _headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        # Not no-referrer: with it browsers call a form's origin "null", and the guard would refuse it.
        response.headers["Referrer-Policy"] = "same-origin"
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        if request.endpoint in ("phones_json", "screen") and _is_service(
            request.headers.get("Origin"), service_url
        ):
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Vary"] = "Origin"
        return response

    @app.errorhandler(HTTPException)
    def _error(error: HTTPException) -> tuple[str, int] | AnyResponse:
        if error.code is None or error.code < 400:
            return error.get_response()
        words = (
            error.description if error.code in (403, 410) else _WORDS.get(error.code, "That did not work.")
        )
        return render_template("error.html", words=words, service_url=service_url), error.code

    def find(phone_id: str) -> Phone:
        try:
            return phones.get(phone_id)
        except KeyError:
            abort(404)

    def find_card(phone: Phone, serial: str) -> Card:
        try:
            return phone.card(serial, pass_type=request.values.get("type"))
        except KeyError:
            abort(404)

    def page(phone: Phone, screen: str, *, live: bool = True, **values: Any) -> str:
        now = clock()
        latest = next((one for one in reversed(phone.notices) if one.text), None)
        banner = (
            latest if latest and screen not in ("lock", "add") and now - latest.at < _BANNER_TIME else None
        )
        return render_template(
            "phone.html",
            phones=phones.all(),
            phone=phone,
            screen=f"screen_{screen}.html",
            view=screen,
            live=live,
            banner=banner,
            now=now.astimezone(zone),
            requests=phone.history[: -_REQUESTS_SHOWN - 1 : -1],
            service_url=service_url,
            version=version_of(phone),
            **values,
        )

    def version_of(phone: Phone) -> str:
        # The minute makes the clock on the lock screen go.
        return f"{started}.{phone.version}.{clock().minute}"

    app.jinja_env.globals.update(
        front=lambda one, phone: Markup(
            card_face.as_svg(one, language=phone.language, zone=phone.zone, unique=_id(one))
        ),
        label=lambda field, one, phone: card_text.label_of(field, one, phone.language),
        runs=lambda field, one, phone: card_text.runs_of(field, one, phone.language, phone.zone),
        icon=_icon,
        ago=lambda notice: _ago(clock() - notice.at),
        time=lambda moment: f"{moment.astimezone(zone):%H:%M:%S}",
        address=_address,
    )

    # --- pages --------------------------------------------------------------

    @app.get("/")
    def home() -> AnyResponse:
        if not phones.all():
            phones.add("iPhone")
        return redirect(url_for("wallet", phone_id=phones.all()[0].id))

    @app.get("/phones/<phone_id>")
    def wallet(phone_id: str) -> str:
        return page(find(phone_id), "wallet")

    @app.get("/phones/<phone_id>/lock")
    def lock(phone_id: str) -> str:
        phone = find(phone_id)
        return page(phone, "lock", notices=phone.notices[:-7:-1])

    @app.get("/phones/<phone_id>/cards/<serial>")
    def card(phone_id: str, serial: str) -> str | AnyResponse:
        phone = find(phone_id)
        try:
            shown = phone.card(serial, pass_type=request.args.get("type"))
        except KeyError:
            # Removed meanwhile, perhaps in another window: the wallet is the place to be.
            return redirect(url_for("wallet", phone_id=phone_id))
        return page(phone, "card", card=shown)

    @app.get("/phones/<phone_id>/cards/<serial>/back")
    def back(phone_id: str, serial: str) -> str:
        phone = find(phone_id)
        return page(phone, "back", card=find_card(phone, serial))

    @app.get("/phones/<phone_id>/cards/<serial>/screen.png")
    def screen(phone_id: str, serial: str) -> Response:
        phone = find(phone_id)
        shown = find_card(phone, serial)
        picture = card_face.as_png(shown.installed, language=phone.language, zone=phone.zone)
        return Response(picture, mimetype="image/png")

    @app.get("/add")
    def add_sheet() -> str | tuple[str, int]:
        phone = _chosen(phones, request.args.get("phone"), find)
        try:
            installed, last_modified = phone.look(request.args.get("url", ""))
        except PassRefused as refusal:
            return page(phone, "add", live=False, refusal=refusal, installed=None, offer=None), 422
        offer = offers.keep(phone.id, installed, last_modified)
        return page(phone, "add", live=False, refusal=None, installed=installed, offer=offer)

    @app.post("/add")
    def add() -> AnyResponse:
        found = offers.take(request.form.get("offer", ""))
        if found is None:
            if "url" not in request.form:
                abort(410, "This add sheet was used already or is too old. Open the link again.")
            phone = _chosen(phones, request.form.get("phone"), find)
            try:
                found = (phone.id, *phone.look(request.form["url"]))
            except PassRefused as refusal:
                return Response(
                    page(phone, "add", live=False, refusal=refusal, installed=None, offer=None), 422
                )
        phone_id, installed, last_modified = found
        find(phone_id).install(installed, last_modified=last_modified)
        return redirect(_address("card", phone_id, installed), 303)

    # --- what a finger can do -----------------------------------------------

    @app.post("/phones")
    def add_phone() -> AnyResponse:
        name = " ".join(request.form.get("name", "").split())[:40] or "iPhone"
        return redirect(url_for("wallet", phone_id=phones.add(name).id), 303)

    @app.post("/phones/<phone_id>/airplane")
    def airplane(phone_id: str) -> AnyResponse:
        find(phone_id).set_airplane(request.form.get("on") == "1")
        return _back_to(phone_id)

    @app.post("/phones/<phone_id>/clear")
    def clear(phone_id: str) -> AnyResponse:
        find(phone_id).clear_notices()
        return redirect(url_for("lock", phone_id=phone_id), 303)

    @app.post("/phones/<phone_id>/erase")
    def erase(phone_id: str) -> AnyResponse:
        token = find(phone_id).push_token
        phones.erase(phone_id)
        if apns is not None:
            now = clock()
            apns.faults.answer(token, 410, "Unregistered", timestamp_ms=int(now.timestamp() * 1000))
        return redirect(url_for("home"), 303)

    @app.post("/phones/<phone_id>/cards/<serial>/remove")
    def remove(phone_id: str, serial: str) -> AnyResponse:
        phone = find(phone_id)
        found = find_card(phone, serial)
        phone.remove(serial, pass_type=found.installed.pass_type)
        return redirect(url_for("wallet", phone_id=phone_id), 303)

    @app.post("/phones/<phone_id>/cards/<serial>/updates")
    def updates(phone_id: str, serial: str) -> AnyResponse:
        phone = find(phone_id)
        pass_type, _ = find_card(phone, serial).key
        phone.automatic_updates(request.form.get("on") == "1", serial, pass_type=pass_type)
        return redirect(_address("back", phone_id, phone.card(serial, pass_type=pass_type).installed), 303)

    @app.post("/phones/<phone_id>/cards/<serial>/notifications")
    def notifications(phone_id: str, serial: str) -> AnyResponse:
        phone = find(phone_id)
        pass_type, _ = find_card(phone, serial).key
        phone.notifications(request.form.get("on") == "1", serial, pass_type=pass_type)
        return redirect(_address("back", phone_id, phone.card(serial, pass_type=pass_type).installed), 303)

    # --- for scripts and tests ----------------------------------------------

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", "phones": len(phones.all()), "apns_port": apns.port if apns else None}

    @app.get("/phones.json")
    def phones_json() -> dict[str, Any]:
        return {"phones": [_phone_json(phone) for phone in phones.all()]}

    @app.get("/phones/<phone_id>/version.json")
    def version(phone_id: str) -> dict[str, str]:
        return {"version": version_of(find(phone_id))}

    @app.get("/phones/<phone_id>/requests.json")
    def requests_json(phone_id: str) -> Response:
        phone = find(phone_id)
        answer = Response(app.json.dumps([_moments(asdict(one)) for one in phone.history]))
        answer.mimetype = "application/json"
        answer.headers["Content-Disposition"] = f'attachment; filename="{phone.id}-requests.json"'
        return answer

    @app.get("/apns/history.json")
    def apns_history() -> dict[str, Any]:
        if apns is None:
            abort(404)
        return {"connections": apns.connections, "requests": [one.as_json() for one in apns.history]}

    @app.post("/apns/faults")
    def apns_faults() -> tuple[dict[str, Any], int]:
        """One object: names of faults with their arguments, e.g. {"share": {"part": 0.5, "status": 503}}."""
        if apns is None:
            abort(404)
        wanted = request.get_json(silent=True)
        if not isinstance(wanted, dict) or not set(wanted) <= _FAULTS | _CONTROLS:
            return {"error": "unknown_fault", "known": sorted(_FAULTS | _CONTROLS)}, 422
        for name, given in wanted.items():
            target = getattr(apns.faults if name in _FAULTS else apns, name)
            try:
                if isinstance(given, dict):
                    target(**given)
                elif given is True:
                    target()
                else:
                    target(given)
            except TypeError as error:
                return {"error": "wrong_arguments", "fault": name, "words": str(error)}, 422
        return {"done": sorted(wanted)}, 200

    return app


class _Offers:
    """Passes that add sheets are showing: downloaded once, installed if accepted."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, tuple[str, InstalledPass, str | None]] = OrderedDict()

    def keep(self, phone_id: str, installed: InstalledPass, last_modified: str | None) -> str:
        """The name under which the sheet's form finds the pass again."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._kept[name] = (phone_id, installed, last_modified)
            while len(self._kept) > _OFFERS_MAX:
                self._kept.popitem(last=False)
        return name

    def take(self, name: str) -> tuple[str, InstalledPass, str | None] | None:
        """The pass, once."""
        with self._lock:
            return self._kept.pop(name, None)


def _chosen(phones: Phones, phone_id: str | None, find: Callable[[str], Phone]) -> Phone:
    if phone_id:
        return find(phone_id)
    return phones.all()[0] if phones.all() else phones.add("iPhone")


def _back_to(phone_id: str) -> AnyResponse:
    """To the page that the switch was on, if it was one of this phone's."""
    place = request.form.get("from", "")
    home = url_for("wallet", phone_id=phone_id)
    inside = place == home or place.startswith(f"{home}/")
    return redirect(place if inside and "\\" not in place and "//" not in place else home, 303)


def _is_service(origin: str | None, service_url: str) -> bool:
    """True for the service's own pages; on loopback under any of its names."""
    if origin is None:
        return False
    asking, service = urlsplit(origin), urlsplit(service_url)
    if (asking.scheme, asking.port) != (service.scheme, service.port):
        return False
    return asking.hostname == service.hostname or {asking.hostname, service.hostname} <= _LOOPBACK_NAMES


def _address(endpoint: str, phone_id: str, installed: InstalledPass) -> str:
    return url_for(endpoint, phone_id=phone_id, serial=installed.serial, type=installed.pass_type)


def _id(installed: InstalledPass) -> str:
    """A name for a card within a page, good in HTML and in a CSS url()."""
    return "c" + f"{installed.pass_type}/{installed.serial}".encode().hex()


def _icon(notice: Notice, phone: Phone) -> str:
    """The card's icon as a data: address; empty if the card is gone."""
    try:
        installed = phone.card(notice.serial, pass_type=notice.pass_type).installed
    except KeyError:
        return ""
    data = installed.image("icon", phone.language) or b""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _ago(passed: timedelta) -> str:
    minutes = int(passed.total_seconds() // 60)
    if minutes < 1:
        return "now"
    if minutes < 60:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 1440 else f"{minutes // 1440} d ago"


def _moments(value: dict[str, Any]) -> dict[str, Any]:
    return {name: one.isoformat() if isinstance(one, datetime) else one for name, one in value.items()}


def _phone_json(phone: Phone) -> dict[str, Any]:
    """A phone for scripts: what its owner sees and what it asked. No token, no device id."""
    return {
        "id": phone.id,
        "name": phone.name,
        "version": phone.version,
        "airplane": phone.airplane,
        "cards": [_card_json(phone, one) for one in phone.cards],
        "notices": [_moments(asdict(one)) for one in phone.notices],
        "requests": [
            {"at": one.at.isoformat(), "method": one.method, "status": one.status, "answer": one.answer}
            for one in phone.history
        ],
    }


def _card_json(phone: Phone, card: Card) -> dict[str, Any]:
    installed = card.installed
    barcode = card_face.shown_barcode(installed)
    return {
        "serial": installed.serial,
        "pass_type": installed.pass_type,
        "organisation": installed.organisation,
        "fields": {
            one.key: card_text.text_of(one, installed, phone.language, phone.zone) for one in installed.fields
        },
        "barcode": barcode and {"format": barcode["format"], "message": barcode["message"]},
        "voided": installed.voided,
        "registered": card.registered,
        "polling": card.polling,
        "automatic_updates": card.automatic_updates,
        "notifications": card.notifications,
        "updated_at": card.updated_at.isoformat(),
        "remarks": list(installed.remarks),
        "screen": _address("screen", phone.id, installed),
    }
