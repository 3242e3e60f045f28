"""What must hold for every page: headers, guards, forms, words instead of tracebacks."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask, request
from sqlalchemy import text

from app import CONTENT_SECURITY_POLICY, REQUEST_BYTES_MAX, create_app
from passes.loyalty.design import Colours
from passes.loyalty.refusals import Refused
from passes.store import Store
from passes.web import errors
from passes.web.theme import CONTRAST_MIN, DARK, LIGHT, accent, contrast
from passes.wiring import Installation
from tests.shop import Shop
from tests.web.visitor import Visitor

ROOT = Path(__file__).parents[2]

# Open to everybody, on purpose. Everything else needs a session.
PUBLIC = {
    "front.door",
    # These refuse whoever does not sit at this machine: tests/web/test_front.py, test_hood.py.
    "front.sides",
    "front.state",
    "front.reset",
    "hood.look",
    "hood.verify",
    "hood.card",
    "join.form",
    "join.send",
    "join.claim",
    "join.desk",
    "join.desk_state",
    "join.again",
    "join.send_again",
    "wallets.picture",
    "poster.poster",
    "poster.snippet",
    "poster.code",
    "member.card",
    "member.fresh",
    "member.apple",
    "member.google",
    "member.details",
    "member.consents",
    "member.speak",
    "member.correct",
    "member.letter",
    "member.renew",
    "member.record",
    "member.leaving",
    "member.leave",
    "member.one_time",
    "member.new_one_time",
    "theme.sheet",
    "theme.picture",
    "theme.icon",
    "member.manifest",
    "member.worker",
    "signin.form",
    "signin.send",
    "signin.enter",
    "signin.leave",
    # Whoever has the code of a few minutes: tests/web/test_till_pairing.py.
    "pairing.form",
    "pairing.send",
    "signin.demonstrate",
    # The till as an app: its page and files, which hold nothing of anybody.
    "shell.app",
    "shell.files",
    "shell.worker",
    "shell.manifest",
    # What can be asked of the API; nothing in it is secret.
    "reference.page",
    "health.health",
    "health.report",
    # Google's own programs: pictures, and messages that are believed for their signature.
    "google.callback",
    "google.robots",
    "google.logo",
    "google.hero",
    # Other makers' registers: believed for their signature, or the secret in the address.
    "registers.shopify_order",
    "registers.square_payment",
    "registers.odoo_order",
    "static",
}
# Phones speak Apple's protocol with a token of their own: tests/web/test_devices.py.
# Registers show a key: tests/web/test_api.py.
# The till's app is told what it lacks in words of its own: tests/web/test_till_desk.py.
PHONES, REGISTERS, DESK = "devices.", "api.", "desk."

# Where staff work: without a session, every address leads to the sign-in form.
STAFF = (
    *("till.", "tills.", "offers.", "register_console.", "webhooks.", "keys.", "console_hood.", "yours."),
    "golive.",
    "overview.",
)

# How a form is checked: by the session's token, or by a proof of its own.
FORMS = {
    "join.send",
    "join.claim",
    "join.send_again",
    "signin.send",
    "signin.demonstrate",
    "signin.leave",
    "front.reset",
}
NO_FORMS = {
    "health.report",
    "google.callback",
    "registers.shopify_order",
    "registers.square_payment",
    "registers.odoo_order",
}


def every_public_subclass(kind: type[Refused]) -> list[type[Refused]]:
    return [kind, *(below for one in kind.__subclasses__() for below in every_public_subclass(one))]


def test_every_route_is_guarded_or_public_on_purpose(app: Flask) -> None:
    guarded = {rule.endpoint for rule in app.url_map.iter_rules()} - PUBLIC
    own_guards = (PHONES, REGISTERS, DESK, *STAFF)
    unguarded = {one for one in guarded if not one.startswith(own_guards)}
    assert unguarded == set()
    stranger = app.test_client()
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(STAFF):
            address = re.sub(r"<[^>]*>", "1", rule.rule)
            for method in rule.methods or ():
                if method in ("GET", "POST"):
                    answer = stranger.open(address, method=method)
                    assert answer.status_code == 303, rule
                    area = "till" if rule.endpoint.startswith("till.") else "console"
                    assert answer.headers["Location"] == f"/{area}/sign-in"


@pytest.mark.check("W-11")
def test_every_form_needs_its_token(app: Flask, cy: Visitor, mo: Visitor, house: Shop) -> None:
    for rule in app.url_map.iter_rules():
        if "POST" not in (rule.methods or ()) or rule.endpoint.startswith((PHONES, REGISTERS, DESK)):
            continue
        if rule.endpoint in NO_FORMS:
            continue
        address = rule.rule.replace("<slug>", "copperfinch").replace("<code>", house.join().code)
        person = mo if address.startswith("/console/") else cy
        page = person.post(re.sub(r"<[^>]*>", "1", address), {"name": "Ana", "code": "x", "amount": "1.00"})
        assert page.status == 422, rule
        assert "This page was open for too long. Send it again." in page.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_a_form_from_another_site_is_refused_even_with_a_good_token(
    app: Flask, ana: Visitor, headers: dict[str, str]
) -> None:
    form = ana.get("/join/copperfinch").form("name")
    elsewhere = Visitor(app, **headers)
    assert elsewhere.send(form, name="Ana").status == 422
    ana.headers.update({"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"})
    assert ana.send(form, name="Ana").status == 200


PAGES = (
    "/",
    "/join/copperfinch",
    "/till/",
    "/till/today",
    "/till/place?stay=1",
    "/till/scanner",
    "/nothing",
    "/card/x",
)


@pytest.mark.check("W-02")
@pytest.mark.parametrize("address", PAGES)
def test_every_page_carries_the_policy(cy: Visitor, address: str) -> None:
    headers = cy.get(address).answer.headers
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "'unsafe" not in CONTENT_SECURITY_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Permissions-Policy"] == "camera=(self), microphone=(), geolocation=()"
    assert headers["Referrer-Policy"] == ("no-referrer" if address == "/card/x" else "same-origin")
    assert "no-store" in headers["Cache-Control"]
    assert "Strict-Transport-Security" not in headers


def test_https_is_kept_once_it_was_used(live: Flask) -> None:
    page = Visitor(live, base="https://cards.shop.example").get("/")
    assert page.answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_templates_and_scripts_hold_nothing_that_the_policy_forbids() -> None:
    for path in (ROOT / "templates").rglob("*.html"):
        source = path.read_text()
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|javascript:", source), path
        # Browsers run no JSON: a policy does not mind it.
        inline = [tag for tag in re.findall(r"<script[^>]*>", source) if "src=" not in tag]
        assert set(inline) <= {'<script type="application/json" id="words">'}, path
    for path in [*(ROOT / "static").glob("*.js"), *(ROOT / "static" / "till").glob("*.js")]:
        assert not re.search(r"\beval\(|new Function|setAttribute\(.style", path.read_text()), path


@pytest.mark.check("W-10")
def test_our_styles_know_no_left_or_right() -> None:
    physical = (
        r"(margin|padding|border|inset)-(left|right)|[^-](left|right)\s*:|text-align:\s*(left|right)|float:"
    )
    # The virtual phone is a page of the emulators and not of the service.
    sheets = {path for path in (ROOT / "static").glob("*.css") if path.name != "phone.css"}
    assert sheets
    for sheet in sheets:
        assert re.findall(physical, sheet.read_text()) == [], sheet


def test_every_refusal_has_a_status_and_words_in_every_language() -> None:
    for refusal in every_public_subclass(Refused):
        assert refusal.code in errors.STATUS, refusal
        assert 400 <= errors.STATUS[refusal.code] < 600


def test_a_crash_shows_words_and_no_traceback(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(installation)

    @app.get("/crash")
    def crash() -> str:
        raise RuntimeError("the secret of the crash")

    page = Visitor(app).get("/crash")
    assert page.status == 500
    assert "It is our mistake, not yours. Please try again." in page.text
    assert "secret" not in page.html
    assert "the secret of the crash" in caplog.text


def test_wrong_addresses_and_methods_are_answered_in_words(ana: Visitor) -> None:
    missing = ana.get("/nothing/here")
    assert (missing.status, "There is nothing here" in missing.text) == (404, True)
    wrong = ana.post("/health", {})
    assert (wrong.status, "That cannot be done here" in wrong.text) == (405, True)
    assert "Burada bir şey yok" in ana.get("/nothing?lang=tr").text


def test_an_absurd_upload_is_refused_before_it_is_read(cy: Visitor) -> None:
    kind = "multipart/form-data; boundary=x"
    huge = bytes(REQUEST_BYTES_MAX + 1)
    answer = cy.client.post("/till/", data=huge, content_type=kind, base_url=cy.base)
    assert answer.status_code == 413


def test_health_tells_whether_the_database_is_there_and_current(
    ana: Visitor, store: Store, app: Flask
) -> None:
    answer = ana.fetch("/health")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok", "database": "current"})
    store.write(lambda work: work.put(text("UPDATE alembic_version SET version_num = '0000'")))
    answer = ana.fetch("/health")
    assert (answer.status_code, answer.get_json()) == (503, {"status": "failing", "database": "outdated"})
    store.write(lambda work: work.put(text("DROP TABLE alembic_version")))
    assert ana.fetch("/health").get_json() == {"status": "failing", "database": "unreachable"}


def test_reports_of_browsers_are_logged_on_one_line_and_not_without_end(
    ana: Visitor, house: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="passes.web.health")
    for _ in range(40):
        answer = ana.client.post("/csp-report", data=b'{"blocked": "inline"}\nforged line')
        assert answer.status_code == 204
    assert len(caplog.records) == 30
    assert all("\n" not in record.getMessage() for record in caplog.records)
    house.now += timedelta(minutes=1)
    ana.client.post("/csp-report", data=b"again")
    assert len(caplog.records) == 31
    assert ana.client.post("/csp-report", data=b"x" * 100_000).status_code == 413


@pytest.mark.check("W-10")
def test_the_language_is_remembered_and_the_page_stays(ana: Visitor, cy: Visitor) -> None:
    page = ana.get("/join/copperfinch?from=poster")
    turkish = next(given["href"] for _, given in page.elements if given.get("hreflang") == "tr")
    assert turkish == "/join/copperfinch?from=poster&lang=tr"
    assert "Finch Kulübü programına katılın" in ana.get(turkish).text
    assert ana.get("/join/copperfinch").element(lang="tr", dir="ltr")
    mirrored = cy.get("/till/?lang=ar-XB")
    assert mirrored.element(lang="ar-XB", dir="rtl")
    assert ana.get("/?lang=xx").element(lang="tr")


def test_made_up_languages_do_not_exist_in_production(live: Flask) -> None:
    page = Visitor(live, base="https://cards.shop.example").get("/?lang=ar-XB")
    assert page.element(lang="en", dir="ltr")


def test_static_files_are_kept_by_name(ana: Visitor) -> None:
    page = ana.get("/")
    sheet = next(given["href"] for _, given in page.elements if given.get("rel") == "stylesheet")
    assert ana.fetch(sheet).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    pico = "/static/vendor/pico-2.1.1.min.css"
    assert ana.fetch(pico).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert ana.fetch("/static/passes.css").headers["Cache-Control"] == "public, max-age=300"


def test_the_theme_makes_readable_buttons_of_any_colours() -> None:
    for colours in (
        Colours("#1F2A2E", "#FFF7EC", "#E8B48A"),
        Colours("#F3ECDD", "#22313F", "#8A3B2B"),
        Colours("#808080", "#FFFFFF", "#909090"),
        Colours("#FFFF00", "#000000", "#FFEE00"),
        Colours("#777777", "#777777", "#777777"),
    ):
        for page in (LIGHT, DARK):
            chosen = accent(colours, page)
            assert contrast(chosen.colour, page) >= CONTRAST_MIN
            assert contrast(chosen.colour, chosen.on) >= CONTRAST_MIN


def test_the_grounds_that_the_theme_counts_with_are_those_of_the_pages() -> None:
    papers = re.findall(r"--paper: (#[0-9a-f]{6});", (ROOT / "static" / "passes.css").read_text())
    # Dark twice: once for the system, once for whoever chose it.
    assert papers == [LIGHT, DARK, DARK]


def test_the_words_of_a_template_are_never_markup(app: Flask) -> None:
    with app.test_request_context("/"):
        html = app.jinja_env.from_string("{{ _('Join %(programme)s', programme=name) }}").render(name="<b>")
    assert html == "Join &lt;b&gt;"


@pytest.mark.parametrize(
    ("method", "address", "form"),
    [
        ("GET", "/join/copper%00finch", {}),
        ("GET", "/join/copperfinch?utm_source=a%00b", {}),
        ("POST", "/join/copperfinch", {"name": "Ana\0", "form": "x"}),
        ("GET", "/card/abc%00", {}),
        ("GET", "/download/abc%00", {}),
        ("GET", "/static-theme/copper%00finch.css", {}),
        ("POST", "/till/sign-in", {"login": "c\0y", "password": "x"}),
        ("POST", "/till/", {"code": "\0" * 16}),
        ("GET", "/apple/v1/devices/a%00b/registrations/pass.dev.passes.loyalty", {}),
        ("GET", "/apple/v1/passes/pass.dev.passes.loyalty/a%00b", {}),
    ],
)
def test_a_null_character_anywhere_is_refused_in_words(
    app: Flask, method: str, address: str, form: dict[str, str]
) -> None:
    answer = app.test_client().open(address, method=method, data=form or None)
    assert answer.status_code == 400
    assert b"Traceback" not in answer.data


def test_a_null_character_in_a_phones_report_is_dropped(app: Flask, store: Store) -> None:
    answer = app.test_client().post("/apple/v1/log", json={"logs": ["Get pass\0 task"]})
    assert answer.status_code == 200
    with store.read() as read:
        kept = read.ask(text("SELECT text FROM wallet_log")).value()
    assert kept is not None
    assert "\0" not in kept


def test_a_null_character_in_a_push_token_is_no_mistake_of_ours(app: Flask) -> None:
    registration = "/apple/v1/devices/phone/registrations/pass.dev.passes.loyalty/serial"
    answer = app.test_client().post(
        registration, json={"pushToken": "a\0b"}, headers={"Authorization": "ApplePass x\x01"}
    )
    assert answer.status_code in (400, 401)


def test_an_origin_that_is_no_address_is_a_foreign_form(app: Flask) -> None:
    answer = app.test_client().post("/join/copperfinch", headers={"Origin": "http://[bad"})
    assert answer.status_code == 422


@pytest.mark.parametrize(("proxies", "believed"), [(0, "127.0.0.1"), (1, "192.0.2.9"), (2, "192.0.2.8")])
def test_only_our_own_proxies_are_believed_about_an_address(
    installation: Installation, proxies: int, believed: str
) -> None:
    app = create_app(replace(installation, proxies=proxies))
    seen: list[str | None] = []
    app.before_request(lambda: seen.append(request.remote_addr))
    answer = app.test_client().get(
        "/",
        headers={"X-Forwarded-For": "127.0.0.1, 192.0.2.8, 192.0.2.9", "X-Forwarded-Host": "evil.example"},
    )
    assert seen == [believed]
    assert "evil.example" not in answer.text


def test_a_phones_report_is_read_whatever_type_it_names(app: Flask, store: Store) -> None:
    body = b'{"logs":["Get pass task"]}'
    kind = "application/x-www-form-urlencoded"
    assert app.test_client().post("/apple/v1/log", data=body, content_type=kind).status_code == 200
    with store.read() as read:
        assert read.ask(text("SELECT text FROM wallet_log")).value() == "Get pass task"
