"""Setting Google up: settings alone decide where cards go, and the doctor says which step is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from werkzeug.serving import make_server

from app import create_app
from passes import doctor, google_cards, wiring
from passes.emulators.google import GoogleEmulator
from passes.emulators.google_objects import CLASS, OBJECT
from passes.emulators.google_signing import make_key_file, public_key_of
from passes.enrolment import Joined
from passes.google.addresses import Addresses
from passes.google_cards import Upkeep
from passes.settings import CannotStart, Settings, SettingsInvalid
from passes.store import google as google_rows
from passes.wiring import Installation
from tests.shop import COFFEE, Shop, open_shop
from tests.stories.town import free_ports

OTHER_ISSUER = "3388000000099999999"
EMAIL = "cards@cards-example.iam.gserviceaccount.com"


class Place:
    """A folder with everything that a service needs, and its settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        web, phone, google, apns, mail = free_ports(5)
        self.environ = {
            "PASSES_MODE": "development",
            "PASSES_VAR": str(folder / "var"),
            "PASSES_CERTS": str(folder / "certs"),
            "PASSES_WEB_PORT": str(web),
            "PASSES_PHONE_PORT": str(phone),
            "PASSES_GOOGLE_PORT": str(google),
            "PASSES_APNS_PORT": str(apns),
            "PASSES_CATCHER_PORT": str(mail),
        }
        wiring.prepare(self.settings())
        with self.built() as installation:
            open_shop(installation.store, installation.clock())

    def settings(self, **more: str) -> Settings:
        return Settings.read(self.environ | more)

    @contextmanager
    def built(self, **more: str) -> Iterator[Installation]:
        installation = wiring.build(self.settings(**more))
        try:
            yield installation
        finally:
            installation.close()

    def findings(self, **more: str) -> dict[str, doctor.Finding]:
        return {found.subject: found for found in doctor.examine(self.settings(**more))}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


@contextmanager
def a_google(issuer: str, account_file: Path, port: int = 0, **options: Any) -> Iterator[GoogleEmulator]:
    key = json.loads(account_file.read_text())
    google = GoogleEmulator(
        issuer_id=issuer, accounts={key["client_email"]: public_key_of(key)}, port=port, **options
    )
    google.start()
    try:
        yield google
    finally:
        google.stop()


def own_google(place: Place) -> Any:
    """The emulator that development expects."""
    file = place.settings().google
    assert file is not None
    return a_google(file.issuer_id, file.account_file, int(place.environ["PASSES_GOOGLE_PORT"]))


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """The key file of somebody's real service account."""
    file = tmp_path / "account.json"
    file.write_text(json.dumps(make_key_file(EMAIL, "https://oauth2.googleapis.com/token")))
    file.chmod(0o600)
    return file


def elsewhere(google: GoogleEmulator, account: Path) -> dict[str, str]:
    """The settings that send cards to this Google."""
    return {
        "PASSES_GOOGLE_ISSUER_ID": OTHER_ISSUER,
        "PASSES_GOOGLE_ACCOUNT_FILE": str(account),
        "PASSES_GOOGLE_API": google.address,
        "PASSES_GOOGLE_SAVE": google.save_address,
        "PASSES_GOOGLE_TOKEN": google.token_address,
        "PASSES_GOOGLE_KEYS": google.keys_address,
    }


def a_link(installation: Installation, joined: Joined | None = None) -> str:
    now = installation.clock()
    shop = Shop(installation.store, now)
    joined = joined or shop.join(keys=installation.keys, key=f"join-{now.timestamp()}")
    assert installation.google is not None
    return google_cards.save_link(
        installation.store,
        installation.google,
        programme_id=joined.programme_id,
        card_id=joined.card_id,
        now=now,
    )


# Settings -------------------------------------------------------------------------


@pytest.mark.check("G-63")
def test_another_issuer_needs_settings_only(place: Place, account: Path) -> None:
    with own_google(place) as own, place.built() as installation:
        a_link(installation)
        assert own.resources.names(CLASS) == [f"{own.issuer_id}.{COFFEE}"]
        assert len(own.resources.names(OBJECT)) == 1
    with a_google(OTHER_ISSUER, account) as other, place.built(**elsewhere(other, account)) as installation:
        link = a_link(installation)
        assert other.resources.names(CLASS) == [f"{OTHER_ISSUER}.{COFFEE}"]
        assert link.startswith(other.save_address)
        [shown] = other.look(link)
        assert shown.object_id.startswith(f"{OTHER_ISSUER}.")


def test_a_card_of_another_issuer_makes_room_for_todays(place: Place, account: Path) -> None:
    with own_google(place) as own, place.built() as installation:
        joined = Shop(installation.store, installation.clock()).join(keys=installation.keys, key="moves")
        [before] = own.look(a_link(installation, joined))
        with installation.store.read() as read:
            found = google_rows.by_object_id(read, before.object_id)
        assert found is not None
        installation.store.write(lambda work: google_rows.hold(work, found, now=installation.clock()))
    with a_google(OTHER_ISSUER, account) as other, place.built(**elsewhere(other, account)) as installation:
        worker = wiring.google_worker(
            place.settings(**elsewhere(other, account)), installation.clock, installation.store
        )
        assert worker is not None
        assert Upkeep(installation.store, worker).run_due(now=installation.clock()).published == 2
        [after] = other.look(a_link(installation, joined))
        assert after.object_id.startswith(f"{OTHER_ISSUER}.")
        with installation.store.read() as read:
            assert google_rows.by_object_id(read, before.object_id) is None
            kept = google_rows.by_object_id(read, after.object_id)
        assert kept is not None
        assert kept.told_revision is None, "nobody holds the new one yet"
        worker.close()


def test_two_settings_lead_to_the_real_google(account: Path) -> None:
    live = {
        "PASSES_PUBLIC_URL": "https://cards.example.com",
        "PASSES_GOOGLE_ISSUER_ID": OTHER_ISSUER,
        "PASSES_GOOGLE_ACCOUNT_FILE": str(account),
    }
    settings = Settings.read(live)
    addresses = wiring._addresses(settings)
    assert addresses == Addresses()
    assert not addresses.emulated
    assert addresses.api == "https://walletobjects.googleapis.com"
    assert wiring._account(settings).token_address == "https://oauth2.googleapis.com/token"
    assert wiring._issuer(settings).callback_address == "https://cards.example.com/google/callback"


def test_production_without_an_issuer_has_no_google() -> None:
    assert Settings.read({"PASSES_PUBLIC_URL": "https://cards.example.com"}).google is None


@pytest.mark.parametrize(
    "given",
    [
        {"PASSES_GOOGLE_ISSUER_ID": "BCR2DN4T"},
        {"PASSES_GOOGLE_ISSUER_ID": OTHER_ISSUER},
        {"PASSES_GOOGLE_ACCOUNT_FILE": "/srv/account.json"},
        {"PASSES_GOOGLE_API": "https://walletobjects.googleapis.com"},
        {"PASSES_GOOGLE_RATE": "0"},
    ],
)
def test_half_a_google_stops_the_start(given: dict[str, str]) -> None:
    with pytest.raises(SettingsInvalid, match="PASSES_GOOGLE_"):
        Settings.read({"PASSES_PUBLIC_URL": "https://cards.example.com", **given})


@pytest.mark.check("G-60")
@pytest.mark.parametrize("name", ["API", "SAVE", "TOKEN", "KEYS"])
def test_an_address_in_the_open_stops_the_start_unless_it_is_this_machine(place: Place, name: str) -> None:
    with pytest.raises(CannotStart, match=f"PASSES_GOOGLE_{name}: .*must be https"):
        wiring.build(place.settings(**{f"PASSES_GOOGLE_{name}": "http://google.example.com"}))
    with place.built(**{f"PASSES_GOOGLE_{name}": "http://127.0.0.1:9"}) as installation:
        assert installation.google is not None
        assert installation.google.emulated


@pytest.mark.parametrize("content", ["", "{}", '{"type": "service_account"}', "not json"])
def test_a_bad_account_file_stops_the_start_in_a_sentence(place: Place, tmp_path: Path, content: str) -> None:
    file = tmp_path / "account.json"
    file.write_text(content)
    given = {"PASSES_GOOGLE_ISSUER_ID": OTHER_ISSUER, "PASSES_GOOGLE_ACCOUNT_FILE": str(file)}
    with pytest.raises(CannotStart, match="PASSES_GOOGLE_ACCOUNT_FILE: The service account file"):
        wiring.build(place.settings(**given, PASSES_PUBLIC_URL="https://cards.example.com"))


def test_a_real_issuer_needs_a_public_address(place: Place, account: Path) -> None:
    given = {"PASSES_GOOGLE_ISSUER_ID": OTHER_ISSUER, "PASSES_GOOGLE_ACCOUNT_FILE": str(account)}
    with pytest.raises(CannotStart, match="PASSES_PUBLIC_URL"):
        wiring.build(place.settings(**given))


def test_the_key_of_development_is_made_once_and_for_its_owner_only(place: Place) -> None:
    google = place.settings().google
    assert google is not None
    assert google.account_file.stat().st_mode & 0o777 == 0o600
    before = google.account_file.read_bytes()
    wiring.prepare(place.settings())
    assert google.account_file.read_bytes() == before


def test_on_the_local_network_google_still_finds_this_machine(place: Place) -> None:
    with place.built(PASSES_PUBLIC_URL="http://192.168.7.7:8000") as installation:
        assert installation.google is not None
        assert installation.google.issuer.address == f"http://127.0.0.1:{place.environ['PASSES_WEB_PORT']}"
        assert installation.google.origins == (installation.google.issuer.address,)


def test_no_call_of_a_page_takes_longer_than_a_visitor_waits(place: Place) -> None:
    assert wiring.GOOGLE_WEB_TIMEOUT_SECONDS <= 5


# The doctor -------------------------------------------------------------------------


@pytest.mark.check("G-60")
def test_the_doctor_says_that_google_is_emulated(place: Place) -> None:
    assert "EMULATED" in place.findings()["google"].words
    assert place.findings()["google access"].words == "The emulator does not run just now."
    with own_google(place):
        findings = place.findings()
    assert all(found.right for found in findings.values()), findings
    assert findings["google class copperfinch"].words.endswith(f"{COFFEE} is published.")


@pytest.mark.check("G-57")
@pytest.mark.parametrize(("seconds", "words"), [(300, "ahead of"), (-300, "behind")])
def test_the_doctor_finds_a_wrong_clock(place: Place, tmp_path: Path, seconds: int, words: str) -> None:
    moved = tmp_path / "clock"
    moved.write_text(str(seconds))
    with own_google(place):
        assert place.findings()["clock"].right
        clock = place.findings(PASSES_CLOCK_FILE=str(moved))["clock"]
    assert not clock.right
    assert f"{words} Google's" in clock.words
    assert "What to do: " in clock.words


def test_the_doctor_says_what_to_do_for_each_step(place: Place, account: Path) -> None:
    with a_google(OTHER_ISSUER, account) as google:
        given = elsewhere(google, account)
        account.chmod(0o644)
        assert place.findings(**given)["google key"].words.endswith(f"Run: chmod 600 {account}")
        account.chmod(0o600)
        google.faults.answer(403, times=None)
        refused = place.findings(**given)["google class copperfinch"]
        assert not refused.right
        assert "invite the service account" in refused.words
        google.faults.clear()
        google.faults.answer(400, resource=f"{OTHER_ISSUER}.{COFFEE}", times=None)
        rejected = place.findings(**given)
        assert "change what Google complains about" in rejected["google class copperfinch"].words
        assert rejected["google class marginalya"].right
        google.faults.clear()
        google.go_down()
    gone = place.findings(**given)["google access"]
    assert gone.right, "development without its emulator is not wrong"


def test_the_doctor_finds_a_key_that_google_does_not_know(
    place: Place, account: Path, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger.json"
    stranger.write_text(json.dumps(make_key_file(EMAIL, "https://oauth2.googleapis.com/token")))
    stranger.chmod(0o600)
    with a_google(OTHER_ISSUER, account) as google:
        given = elsewhere(google, account) | {"PASSES_GOOGLE_ACCOUNT_FILE": str(stranger)}
        access = place.findings(**given)["google access"]
    assert not access.right
    assert "What to do: " in access.words


def test_the_doctor_looks_at_pictures_and_at_the_ear_as_google_would(place: Place) -> None:
    with place.built() as installation:
        assert installation.google is not None
        wrong = doctor._reachable(installation, installation.google)
        assert [found.right for found in wrong] == [False, False, False]
        assert all("PASSES_PUBLIC_URL" in found.words for found in wrong)
        server = make_server(
            "127.0.0.1", int(place.environ["PASSES_WEB_PORT"]), create_app(installation), threaded=True
        )
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        serving.start()
        try:
            with own_google(place):
                right = doctor._reachable(installation, installation.google)
        finally:
            server.shutdown()
            server.server_close()
            serving.join()
        assert all(found.right for found in right), right
