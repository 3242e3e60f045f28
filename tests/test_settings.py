"""The operator's decisions: defaults, refusals, and the table that documents them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from passes.settings import SETTINGS, Mode, Settings, SettingsInvalid

ROOT = Path(__file__).parents[1]
PRODUCTION = {"PASSES_PUBLIC_URL": "https://cards.example.com"}
DEVELOPMENT = {"PASSES_MODE": "development"}


def test_production_needs_nothing_but_its_public_address() -> None:
    settings = Settings.read(PRODUCTION)
    assert settings.mode is Mode.PRODUCTION
    assert not settings.development
    assert settings.public_url == "https://cards.example.com"
    assert settings.database_url == f"sqlite:///{Path('var').absolute()}/passes.sqlite3"
    assert settings.server_key_file == Path("var/server.keys").absolute()
    assert settings.certs == Path("certs").absolute()
    assert (settings.web_host, settings.web_port, settings.web_processes) == ("127.0.0.1", 8000, 1)
    assert (settings.apns_host, settings.apns_host_port) == ("api.push.apple.com", 443)
    assert settings.apns_ca_file is None
    assert settings.apns_push_type is None
    assert settings.apns_priority == 10


def test_development_points_at_its_own_emulators() -> None:
    settings = Settings.read(DEVELOPMENT | {"PASSES_APNS_PORT": "9003", "PASSES_WEB_PORT": "9000"})
    assert settings.development
    assert settings.public_url == "http://127.0.0.1:9000"
    assert (settings.apns_host, settings.apns_host_port) == ("127.0.0.1", 9003)
    assert settings.certs == Path("certs/dev").absolute()
    assert settings.apns_ca_file == settings.certs / "root.pem"


def test_letters_go_nowhere_until_production_names_a_server() -> None:
    assert Settings.read(PRODUCTION).mail is None
    named = PRODUCTION | {"PASSES_MAIL_HOST": "mail.example.com", "PASSES_MAIL_FROM": "cards@example.com"}
    mail = Settings.read(named).mail
    assert mail is not None
    assert (mail.host, mail.port, mail.security, mail.sender) == (
        "mail.example.com",
        587,
        "starttls",
        "cards@example.com",
    )
    wrapped = Settings.read(named | {"PASSES_MAIL_SECURITY": "tls"}).mail
    assert wrapped is not None
    assert wrapped.port == 465


def test_letters_of_development_go_to_the_catcher_unless_it_names_a_server() -> None:
    mail = Settings.read(DEVELOPMENT | {"PASSES_CATCHER_PORT": "9004"}).mail
    assert mail is not None
    assert (mail.host, mail.port, mail.security) == ("127.0.0.1", 9004, "none")
    real = Settings.read(DEVELOPMENT | {"PASSES_MAIL_HOST": "mail.example.com"}).mail
    assert real is not None
    assert (real.port, real.security) == (587, "starttls")


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.read(PRODUCTION | {"PASSES_WEB_PORT": " ", "PASSES_APNS_PUSH_TYPE": ""}).web_port == 8000


def test_a_postgresql_address_names_the_driver() -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        url = f"{scheme}://shop@db.example.com/passes?passfile=/run/pgpass"
        settings = Settings.read(PRODUCTION | {"PASSES_DATABASE_URL": url, "PASSES_WEB_PROCESSES": "4"})
        assert settings.database_url == "postgresql+psycopg://shop@db.example.com/passes?passfile=/run/pgpass"
        assert settings.web_processes == 4


def test_the_public_address_loses_its_last_slash() -> None:
    url = "https://Cards.Example.com:8443/"
    assert Settings.read({"PASSES_PUBLIC_URL": url}).public_url == "https://cards.example.com:8443"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "PASSES_PUBLIC_URL is not set"),
        ({"PASSES_MODE": "prod"}, "PASSES_MODE must be production or development"),
        (PRODUCTION | {"PASSES_WEB_PORT": "http"}, "PASSES_WEB_PORT must be a whole number from 1 to 65535"),
        (PRODUCTION | {"PASSES_WEB_PORT": "65536"}, "PASSES_WEB_PORT must be a whole number"),
        (PRODUCTION | {"PASSES_WEB_PORT": "٨٠٠٠"}, "PASSES_WEB_PORT must be a whole number"),
        (PRODUCTION | {"PASSES_WEB_PROCESSES": "2"}, "SQLite has one writer"),
        (PRODUCTION | {"PASSES_WEB_THREADS": "0"}, "PASSES_WEB_THREADS"),
        (PRODUCTION | {"PASSES_WEB_HOST": "http://0.0.0.0"}, "PASSES_WEB_HOST must be a host name"),
        (PRODUCTION | {"PASSES_DATABASE_URL": "mysql://shop@db/passes"}, "must begin with sqlite"),
        (PRODUCTION | {"PASSES_DATABASE_URL": "sqlite:///passes.sqlite3"}, "four slashes"),
        (PRODUCTION | {"PASSES_DATABASE_URL": "sqlite://"}, "four slashes"),
        (PRODUCTION | {"PASSES_DATABASE_URL": "postgresql://shop@db"}, "names no database"),
        (PRODUCTION | {"PASSES_CLOCK_FILE": "clock"}, "only development may move the clock"),
        (PRODUCTION | {"PASSES_APNS_PUSH_TYPE": "Back ground"}, "PASSES_APNS_PUSH_TYPE"),
        (PRODUCTION | {"PASSES_APNS_PRIORITY": "7"}, "PASSES_APNS_PRIORITY must be 10, 5 or 1"),
        (DEVELOPMENT | {"PASSES_PHONE_PORT": "8000"}, "PASSES_PHONE_PORT and PASSES_WEB_PORT are both 8000"),
        (PRODUCTION | {"PASSES_MAIL_HOST": "smtp://mail"}, "PASSES_MAIL_HOST must be a host name"),
        (PRODUCTION | {"PASSES_MAIL_HOST": "mail"}, "PASSES_MAIL_FROM is not set"),
        (PRODUCTION | {"PASSES_MAIL_FROM": "My Shop"}, "PASSES_MAIL_FROM must be like"),
        (PRODUCTION | {"PASSES_MAIL_FROM": "Şef <şef@example.com>"}, "PASSES_MAIL_FROM must be like"),
        (PRODUCTION | {"PASSES_MAIL_SECURITY": "ssl"}, "PASSES_MAIL_SECURITY must be starttls, tls or none"),
        (PRODUCTION | {"PASSES_MAIL_SECURITY": "none"}, "PASSES_MAIL_SECURITY is none"),
        (PRODUCTION | {"PASSES_MAIL_USER": "shop"}, "PASSES_MAIL_USER and PASSES_MAIL_PASSWORD_FILE"),
        (
            DEVELOPMENT | {"PASSES_MAIL_USER": "shop", "PASSES_MAIL_PASSWORD_FILE": "password"},
            "PASSES_MAIL_USER is set, but passwords never travel in the open",
        ),
        (DEVELOPMENT | {"PASSES_PUBLIC_URL": "ftp://127.0.0.1"}, "must begin with https://"),
    ],
)
def test_nonsense_is_refused_in_words_that_name_the_variable(environ: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        Settings.read(environ)
    assert words in str(refused.value)
    assert str(refused.value).startswith("PASSES_")


@pytest.mark.check("A-26")
@pytest.mark.parametrize(
    "url",
    [
        "http://cards.example.com",
        "cards.example.com",
        "https://",
        "https://cards.example.com/v1",
        "https://cards.example.com/apple/v1/",
        "https://cards.example.com?shop=1",
        "https://cards.example.com#top",
        "https://name@cards.example.com",
        "https://cards example.com",
    ],
)
def test_a_public_address_that_phones_would_refuse_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="PASSES_PUBLIC_URL"):
        Settings.read({"PASSES_PUBLIC_URL": url})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:hunter2@db.example.com/passes",
        "postgresql://shop@db.example.com/passes?password=hunter2",
        "mysql://shop:hunter2@db.example.com/passes",
    ],
)
def test_a_password_in_the_database_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        Settings.read(PRODUCTION | {"PASSES_DATABASE_URL": url})
    assert "hunter2" not in str(refused.value)


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    rows = [f"| `{setting.name}` | {setting.default} | {setting.words} |" for setting in SETTINGS]
    documented = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in documented if line.startswith("| `PASSES_")] == rows


def test_every_setting_is_read() -> None:
    tree = ast.parse((ROOT / "passes" / "settings.py").read_text(encoding="utf-8"))
    read = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"text", "integer", "path", "path_or_none", "host"}
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert read == {setting.name for setting in SETTINGS}
