"""The page on which the virtual phones lie: look at them, tap them, read their requests.

A tool for a developer's own machine. It answers only to loopback names,
changes nothing for requests from other sites, and fetches from nowhere but
loopback and the configured service (`browsing.may_reach`). One phone alone
(`?embed=1`) may be shown inside the service's own pages, `?embed=only` without
a way to the others.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from passes.emulators.browsing import Elsewhere, link_in
from passes.emulators.desk import Desk
from passes.emulators.phone import Phones
from passes.emulators.seats import ANDROID, IPHONE, OnPhone, Refused, Seat, Sheet, is_link, kind_of
from passes.emulators.wallet_file import STAGES

if TYPE_CHECKING:
    from passes.emulators.apns import ApnsEmulator
    from passes.emulators.google import GoogleEmulator

_ROOT = Path(__file__).resolve().parents[2]
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
)
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_BANNER_TIME = timedelta(seconds=8)
_SHEETS_MAX = 20
_REQUESTS_SHOWN = 60
_NOTICES_SHOWN = 6
_FORM_BYTES_MAX = 64_000
_PHOTO_BYTES_MAX = 12_000_000
_NAME_MAX = 40
# What tests may ask of the push service, by the names of its own methods.
_FAULTS = frozenset(
    {"answer", "share", "goaway_every", "drop_connection_after", "withhold", "slow", "reset_streams", "clear"}
)
_WORDS = {
    404: "There is nothing here.",
    405: "That is not done this way.",
    413: "That is too large.",
}
_CONTROLS = frozenset({"goaway", "go_down", "come_back"})
# What the service's own pages may read.
_SHARED = frozenset({"phones_json", "screen", "held", "held_screen"})
# Addresses that mean the same inside a frame.
_UNFRAMED = frozenset({"static", "picture", "screen", "held", "held_screen", "home", "requests_json"})
# How a phone may stand in a frame: with a way to the other phones, or by itself.
_FRAMES = frozenset({"1", "only"})
LANGUAGES = {"en": "English", "tr": "Türkçe", "de": "Deutsch", "es": "Español", "ar": "العربية"}


@dataclass(frozen=True, slots=True)
class Held:
    """The card that somebody is holding to a till just now."""

    phone_id: str
    serial: str
    type: str
    at: datetime


def create_app(
    phones: Phones,
    *,
    service_url: str,
    clock: Callable[[], datetime],
    zone: tzinfo,
    apns: ApnsEmulator | None = None,
    google: GoogleEmulator | None = None,
    host: str = "127.0.0.1",
) -> Flask:
    """The phones' pages as a WSGI application.

    `service_url` is where cards come from: linked, reachable for downloads,
    allowed to read phones and screens from its pages and to show a phone in
    them. `apns` adds the push service's history and faults, `google` the
    Android phones.
    """
    app = Flask(
        __name__,
        root_path=str(_ROOT),
        template_folder=str(_ROOT / "templates" / "phone"),
        static_folder=str(_ROOT / "static"),
    )
    app.config["MAX_CONTENT_LENGTH"] = _FORM_BYTES_MAX
    desk = Desk(phones, service_url=service_url, clock=clock, zone=zone, apns=apns, google=google)
    started = secrets.token_hex(4)
    sheets = _Sheets()
    names = _LOOPBACK_NAMES | {host, urlsplit(service_url).hostname or host}
    ancestors = " ".join(["'self'", *_origins(service_url)])
    held: list[Held] = []

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
        if request.endpoint in ("find", "check"):
            request.max_content_length = _PHOTO_BYTES_MAX
        g.embed = request.args.get("embed", "")
        if g.embed not in _FRAMES:
            g.embed = "1" if request.headers.get("Sec-Fetch-Dest") == "iframe" else ""

    @app.url_defaults
    def _stay_in_the_frame(endpoint: str, values: dict[str, Any]) -> None:
        if g.get("embed") and endpoint not in _UNFRAMED:
            values.setdefault("embed", g.embed)

    @app.after_request
    def _headers(response: Response) -> Response:
        policy = _POLICY.format(ancestors=ancestors if g.get("embed") else "'none'")
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers["X-Content-Type-Options"] = "nosniff"
        # Not no-referrer: with it browsers call a form's origin "null", and the guard would refuse it.
        response.headers["Referrer-Policy"] = "same-origin"
        if request.endpoint == "picture":
            response.headers["Cache-Control"] = "max-age=31536000, immutable"
        elif request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        if request.endpoint in _SHARED and _is_service(request.headers.get("Origin"), service_url):
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Vary"] = "Origin"
        return response

    @app.errorhandler(HTTPException)
    def _error(error: HTTPException) -> tuple[str, int] | AnyResponse:
        if error.code is None or error.code < 400:
            return error.get_response()
        words = (
            error.description
            if error.code in (403, 409, 410)
            else _WORDS.get(error.code, "That did not work.")
        )
        return render_template("error.html", words=words, service_url=service_url), error.code

    @app.errorhandler(Refused)
    def _refused(refused: Refused) -> tuple[str, int] | AnyResponse:
        return render_template("error.html", words=refused.sentence, service_url=service_url), 409

    def find_phone(phone_id: str) -> Seat:
        try:
            return desk.get(phone_id)
        except KeyError:
            abort(404)

    def find_card(phone: Seat, serial: str) -> OnPhone:
        try:
            return phone.card(serial, request.values.get("type"))
        except KeyError:
            abort(404)

    def page(phone: Seat, view: str, *, live: bool = True, **values: Any) -> str:
        held[:] = [one for one in held if one.phone_id != phone.id or view == "hold"]
        now = clock()
        heard = phone.heard()
        latest = heard[0] if heard and view not in ("lock", "add") else None
        return render_template(
            "phone.html",
            phones=desk.all(),
            phone=phone,
            screen=f"screen_{view}.html",
            view=view,
            live=live,
            embed=g.embed,
            banner=latest if latest and now - latest.at < _BANNER_TIME else None,
            heard=heard[:_NOTICES_SHOWN],
            now=now.astimezone(zone),
            requests=() if g.embed else phone.asked()[:_REQUESTS_SHOWN],
            service_url=service_url,
            version=version_of(phone),
            languages=LANGUAGES,
            androids=google is not None,
            **values,
        )

    def version_of(phone: Seat) -> str:
        # The minute makes the clock on the lock screen go.
        return f"{started}.{phone.version}.{clock().minute}"

    app.jinja_env.globals.update(
        front=lambda one, phone, small=False: Markup(phone.front(one, small=small)),
        icon=lambda notice: desk.pictures.address(notice.icon) if notice.icon else "",
        ago=lambda notice: _ago(clock() - notice.at),
        time=lambda moment: f"{moment.astimezone(zone):%H:%M:%S}",
        address=_address,
        mail=lambda: url_for("mail.box") if "mail.box" in app.view_functions else None,
    )

    # --- pages --------------------------------------------------------------

    @app.get("/")
    def home() -> str | AnyResponse:
        first = desk.first()
        if g.embed:
            return redirect(url_for("wallet", phone_id=first.id))
        return render_template(
            "desk.html", phones=desk.all(), service_url=service_url, androids=google is not None
        )

    @app.get("/phones/<phone_id>")
    def wallet(phone_id: str) -> str:
        phone = find_phone(phone_id)
        return page(phone, "wallet", cards=phone.cards())

    @app.get("/phones/<phone_id>/lock")
    def lock(phone_id: str) -> str:
        return page(find_phone(phone_id), "lock")

    @app.get("/phones/<phone_id>/cards/<serial>")
    def card(phone_id: str, serial: str) -> str | AnyResponse:
        phone = find_phone(phone_id)
        cards = phone.cards()
        try:
            shown = phone.card(serial, request.args.get("type"))
        except KeyError:
            # Removed meanwhile, perhaps in another window: the wallet is the place to be.
            return redirect(url_for("wallet", phone_id=phone_id))
        return page(phone, "card", card=shown, cards=cards, place=_place(shown, cards))

    @app.get("/phones/<phone_id>/cards/<serial>/back")
    def back(phone_id: str, serial: str) -> str:
        phone = find_phone(phone_id)
        return page(phone, "back", card=find_card(phone, serial))

    @app.get("/phones/<phone_id>/cards/<serial>/hold")
    def hold(phone_id: str, serial: str) -> str:
        """Held to a till: bright, and what a till can take a picture of."""
        phone = find_phone(phone_id)
        shown = find_card(phone, serial)
        # The page asks for itself whenever the card changes: that is no new holding.
        if [(one.phone_id, one.serial, one.type) for one in held] != [(phone_id, shown.serial, shown.type)]:
            held[:] = [Held(phone_id, shown.serial, shown.type, clock())]
        return page(phone, "hold", card=shown)

    @app.get("/phones/<phone_id>/cards/<serial>/screen.png")
    def screen(phone_id: str, serial: str) -> Response:
        phone = find_phone(phone_id)
        return Response(phone.screen(find_card(phone, serial)), mimetype="image/png")

    @app.get("/pictures/<name>.png")
    def picture(name: str) -> Response:
        try:
            data = desk.pictures.get(name)
        except KeyError:
            abort(404)
        return Response(data, mimetype="image/jpeg" if data.startswith(b"\xff\xd8") else "image/png")

    # --- adding a card ------------------------------------------------------

    def look(phone: Seat, link: str) -> tuple[str, int]:
        try:
            if not is_link(link):
                raise Refused("That is no link: it should begin with http.", "no_link")
            sheet = phone.look(link)
        except Elsewhere as elsewhere:
            return page(phone, "add", live=False, refusal=None, sheet=None, elsewhere=elsewhere.address), 200
        except Refused as refusal:
            return page(phone, "add", live=False, refusal=refusal, sheet=None, elsewhere=None), 422
        name = sheets.keep(sheet)
        return page(phone, "add", live=False, refusal=None, sheet=sheet, sheet_name=name, elsewhere=None), 200

    @app.get("/add")
    def add_sheet() -> tuple[str, int]:
        link = request.args.get("url", "").strip()
        return look(_meant(desk, request.args.get("phone"), link, find_phone), link)

    @app.post("/add")
    def add() -> AnyResponse | tuple[str, int]:
        sheet = sheets.take(request.form.get("offer", ""))
        if sheet is None:
            if "url" not in request.form:
                abort(410, "This add sheet was used already or is too old. Open the link again.")
            link = request.form["url"].strip()
            phone = _meant(desk, request.form.get("phone"), link, find_phone)
            try:
                sheet = phone.look(link)
            except Elsewhere:
                return look(phone, link)
            except Refused as refusal:
                return page(phone, "add", live=False, refusal=refusal, sheet=None, elsewhere=None), 422
        phone = find_phone(sheet.phone_id)
        try:
            added = phone.install(sheet.accepted)
        except Refused as refusal:
            return page(phone, "add", live=False, refusal=refusal, sheet=None, elsewhere=None), 422
        return redirect(_address("card", phone.id, added, new=1), 303)

    @app.post("/phones/<phone_id>/find")
    def find(phone_id: str) -> AnyResponse | tuple[str, int]:
        """A link was typed or pasted, or a photograph of a code was given."""
        phone = find_phone(phone_id)
        link = request.form.get("link", "").strip()
        photo = request.files.get("photo")
        if not link and photo is not None and photo.filename:
            found = link_in(photo.read())
            if found is None:
                refusal = Refused("There is no code on this picture that this phone can read.", "no_code")
                return page(phone, "add", live=False, refusal=refusal, sheet=None, elsewhere=None), 422
            link = found
        return redirect(url_for("add_sheet", url=link, phone=phone_id), 303)

    @app.route("/check", methods=["GET", "POST"])
    def check() -> tuple[str, int]:
        """What an iPhone thinks of a .pkpass file, step by step."""
        file = request.files.get("pass")
        if file is None or not file.filename:
            return render_template("check.html", stages=STAGES, behind=None, service_url=service_url), 200
        behind, refusal = desk.examine(file.read())
        return render_template(
            "check.html",
            stages=STAGES,
            behind=behind,
            refusal=refusal,
            name=file.filename,
            service_url=service_url,
        ), 422 if refusal else 200

    # --- what a finger can do -----------------------------------------------

    @app.post("/phones")
    def add_phone() -> AnyResponse:
        kind = ANDROID if request.form.get("kind") == ANDROID else IPHONE
        if kind == ANDROID and google is None:
            abort(404)
        return redirect(url_for("wallet", phone_id=desk.add(_name(), kind).id), 303)

    @app.post("/phones/<phone_id>/name")
    def rename(phone_id: str) -> AnyResponse:
        phone = find_phone(phone_id)
        phone.rename(_name() or phone.name)
        return _back_to(phone_id)

    @app.post("/phones/<phone_id>/language")
    def speak(phone_id: str) -> AnyResponse:
        phone = find_phone(phone_id)
        if request.form.get("language") in LANGUAGES:
            phone.speak(request.form["language"])
        return _back_to(phone_id)

    @app.post("/phones/<phone_id>/airplane")
    def airplane(phone_id: str) -> AnyResponse:
        find_phone(phone_id).set_airplane(request.form.get("on") == "1")
        return _back_to(phone_id)

    @app.post("/phones/<phone_id>/clear")
    def clear(phone_id: str) -> AnyResponse:
        find_phone(phone_id).clear()
        return redirect(url_for("lock", phone_id=phone_id), 303)

    @app.post("/phones/<phone_id>/erase")
    def erase(phone_id: str) -> AnyResponse:
        find_phone(phone_id)
        desk.erase(phone_id)
        return redirect(url_for("home"), 303)

    @app.post("/phones/<phone_id>/cards/<serial>/remove")
    def remove(phone_id: str, serial: str) -> AnyResponse:
        phone = find_phone(phone_id)
        phone.remove(find_card(phone, serial))
        return redirect(url_for("wallet", phone_id=phone_id), 303)

    @app.post("/phones/<phone_id>/cards/<serial>/updates")
    def updates(phone_id: str, serial: str) -> AnyResponse:
        phone = find_phone(phone_id)
        found = find_card(phone, serial)
        phone.update(found, request.form.get("on") == "1")
        return redirect(_address("back", phone_id, found), 303)

    @app.post("/phones/<phone_id>/cards/<serial>/notifications")
    def notifications(phone_id: str, serial: str) -> AnyResponse:
        phone = find_phone(phone_id)
        found = find_card(phone, serial)
        phone.notify(found, request.form.get("on") == "1")
        return redirect(_address("back", phone_id, found), 303)

    # --- for scripts, tills and tests ---------------------------------------

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {
            "status": "ok",
            "phones": len(desk.all()),
            "apns_port": apns.port if apns else None,
            "google_port": google.port if google else None,
        }

    @app.get("/phones.json")
    def phones_json() -> dict[str, Any]:
        told = []
        for phone in desk.all():
            one = phone.as_json()
            for each, shown in zip(one["cards"], phone.cards(), strict=False):
                each["screen"] = _address("screen", phone.id, shown)
            told.append(one)
        return {"phones": told}

    def holding() -> tuple[Held, Seat, OnPhone] | None:
        for one in held:
            try:
                phone = desk.get(one.phone_id)
                return one, phone, phone.card(one.serial, one.type or None)
            except KeyError:
                continue
        return None

    @app.get("/held.json", endpoint="held")
    def held_json() -> dict[str, Any] | tuple[str, int]:
        """Which card is being held to a till, and since when; 204 where none is."""
        found = holding()
        if found is None:
            return "", 204
        one, phone, shown = found
        return {
            "phone": phone.name,
            "issuer": shown.issuer,
            "screen": _address("screen", phone.id, shown),
            "since": one.at.isoformat(),
        }

    @app.get("/held.png")
    def held_screen() -> Response:
        """What a till's camera would see just now; 404 where no card is held."""
        found = holding()
        if found is None:
            abort(404)
        _, phone, shown = found
        return Response(phone.screen(shown), mimetype="image/png")

    @app.get("/phones/<phone_id>/version.json")
    def version(phone_id: str) -> dict[str, str]:
        return {"version": version_of(find_phone(phone_id))}

    @app.get("/phones/<phone_id>/requests.json")
    def requests_json(phone_id: str) -> Response:
        phone = find_phone(phone_id)
        answer = Response(app.json.dumps(phone.export()), mimetype="application/json")
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


class _Sheets:
    """What add sheets are showing: fetched once, installed if accepted."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, Sheet] = OrderedDict()

    def keep(self, sheet: Sheet) -> str:
        """The name under which the sheet's form finds it again."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._kept[name] = sheet
            while len(self._kept) > _SHEETS_MAX:
                self._kept.popitem(last=False)
        return name

    def take(self, name: str) -> Sheet | None:
        """The sheet, once."""
        with self._lock:
            return self._kept.pop(name, None)


def _meant(desk: Desk, phone_id: str | None, link: str, find: Callable[[str], Seat]) -> Seat:
    """The phone that is named, or the first that the link is made for."""
    if phone_id:
        return find(phone_id)
    kind = kind_of(link)
    return desk.first(kind if kind != ANDROID or desk.google is not None else None)


def _name() -> str:
    return " ".join(request.form.get("name", "").split())[:_NAME_MAX]


def _back_to(phone_id: str) -> AnyResponse:
    """To the page that the switch was on, if it was one of this phone's."""
    place = request.form.get("from", "")
    home = url_for("wallet", phone_id=phone_id)
    start = home.partition("?")[0]
    inside = place.partition("?")[0] == start or place.startswith(f"{start}/")
    return redirect(place if inside and "\\" not in place and "//" not in place else home, 303)


def _place(card: OnPhone, cards: list[OnPhone]) -> int:
    """Where the card lies in the pile."""
    keys = [(one.type, one.serial) for one in sorted(cards, key=lambda one: one.archived)]
    return keys.index((card.type, card.serial)) if (card.type, card.serial) in keys else 0


def _origins(service_url: str) -> list[str]:
    """The service's own origins; on this machine its port under every name, whatever name others use."""
    parts = urlsplit(service_url)
    port = f":{parts.port}" if parts.port else ""
    found = [f"{parts.scheme}://{parts.netloc}", f"http://127.0.0.1{port}", f"http://localhost{port}"]
    return list(dict.fromkeys(found))


def _is_service(origin: str | None, service_url: str) -> bool:
    """True for the service's own pages, also under this machine's own names where others use another."""
    if origin is None:
        return False
    asking, service = urlsplit(origin), urlsplit(service_url)
    if (asking.scheme, asking.port) != (service.scheme, service.port):
        return False
    return asking.hostname == service.hostname or asking.hostname in _LOOPBACK_NAMES


def _address(endpoint: str, phone_id: str, card: OnPhone, **more: Any) -> str:
    return url_for(endpoint, phone_id=phone_id, serial=card.serial, type=card.type or None, **more)


def _ago(passed: timedelta) -> str:
    minutes = int(passed.total_seconds() // 60)
    if minutes < 1:
        return "now"
    if minutes < 60:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 1440 else f"{minutes // 1440} d ago"
