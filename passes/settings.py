"""What the operator decides: read once from the environment, checked, frozen.

Nonsense stops the program with one sentence that names the variable and says
why. Only `wiring` and the commands that start processes know this module;
everything deeper receives plain values. Secrets are never variables: a
variable names the file that holds one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit


class CannotStart(Exception):
    """Something the program needs is missing or wrong; the text is one plain sentence for a person."""


class SettingsInvalid(CannotStart):
    """A variable holds something the program cannot start with; the text is one sentence for a person."""


class Mode(StrEnum):
    """Production insists on https, real certificates and a server key; development brings its own."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of docs/settings.md: a variable, its default in words, and what it decides."""

    name: str
    default: str
    words: str


SETTINGS = (
    Setting(
        "PASSES_MODE",
        "`production`",
        "`production` or `development`. Development permits http, throw-away certificates, emulators and "
        "one-click sign-in; `make run` sets it.",
    ),
    Setting(
        "PASSES_VAR",
        "`var`",
        "The folder for what the program writes: the SQLite database, its own keys, emulator state.",
    ),
    Setting(
        "PASSES_DATABASE_URL",
        "SQLite in `PASSES_VAR`",
        "`sqlite:////absolute/path` or `postgresql://user@host/name`. A password belongs into a libpq "
        "password file: add `?passfile=/path`.",
    ),
    Setting(
        "PASSES_PUBLIC_URL",
        "none; in development `http://127.0.0.1:` and the web port",
        "The address that phones and customers use, without a path. Must be https in production.",
    ),
    Setting("PASSES_WEB_HOST", "`127.0.0.1`", "The address the web server listens on."),
    Setting("PASSES_WEB_PORT", "`8000`", "The port the web server listens on."),
    Setting(
        "PASSES_WEB_PROCESSES",
        "`1`",
        "Web server processes. More than one needs PostgreSQL: SQLite has one writer.",
    ),
    Setting("PASSES_WEB_THREADS", "`8`", "Requests that one web process works on at the same time."),
    Setting(
        "PASSES_PROXIES",
        "`0`",
        "How many reverse proxies of your own stand in front. Each adds the visitor's address to "
        "`X-Forwarded-For`; limits count by it. With 0 the header is ignored, and behind a proxy all "
        "visitors share one limit.",
    ),
    Setting("PASSES_PHONE_PORT", "`8001`", "The virtual phone (development)."),
    Setting("PASSES_GOOGLE_PORT", "`8002`", "The Google Wallet emulator (development)."),
    Setting("PASSES_APNS_PORT", "`8003`", "The APNs emulator (development)."),
    Setting("PASSES_CATCHER_PORT", "`8004`", "The mail catcher: it keeps letters to read (development)."),
    Setting(
        "PASSES_SERVER_KEY_FILE",
        "`server.keys` in `PASSES_VAR`",
        "The keys that card tokens derive from. Made by itself in development; production refuses to start "
        "without it. Back it up: without it no installed card can be updated.",
    ),
    Setting(
        "PASSES_CERTS",
        "`certs`; in development `certs/dev`",
        "The folder with `pass.pem`, `pass.key` and `wwdr.pem`.",
    ),
    Setting(
        "PASSES_BADGES",
        "`static/badges`",
        "The folder with Apple's and Google's own buttons, used unchanged where they are: `apple-en.svg`, "
        "`google-tr.png` and so on; `en` stands in for languages without a file.",
    ),
    Setting(
        "PASSES_BACKUP_FILE",
        "none",
        "A file that your backup writes, or touches, whenever it succeeds. The console says how old it is.",
    ),
    Setting("PASSES_CERTS_PASSWORD_FILE", "none", "A file whose first line is the password of `pass.key`."),
    Setting(
        "PASSES_APNS_HOST",
        "`api.push.apple.com`; in development `127.0.0.1`",
        "Where changes are announced. Apple's sandbox host never delivers updates of passes.",
    ),
    Setting(
        "PASSES_APNS_HOST_PORT",
        "`443`; in development `PASSES_APNS_PORT`",
        "The port of that host; Apple also answers on 2197.",
    ),
    Setting(
        "PASSES_APNS_CA_FILE",
        "the system's authorities; in development `root.pem` in `PASSES_CERTS`",
        "The authority that must have signed that host's certificate.",
    ),
    Setting(
        "PASSES_APNS_PUSH_TYPE",
        "none",
        "Sent as `apns-push-type` where set, `background` for example. Apple documents none for passes.",
    ),
    Setting(
        "PASSES_APNS_PRIORITY", "`10`", "Sent as `apns-priority`: `10` at once, `5` when it suits the phone."
    ),
    Setting(
        "PASSES_GOOGLE_ISSUER_ID",
        "none: no cards in Google Wallet; in development the emulator's",
        "The number of your issuer account in the Google Pay & Wallet Console.",
    ),
    Setting(
        "PASSES_GOOGLE_ACCOUNT_FILE",
        "none; in development `emulators/google-account.json` in `PASSES_VAR`",
        "The JSON key file of the service account that was invited there.",
    ),
    Setting(
        "PASSES_GOOGLE_API",
        "`https://walletobjects.googleapis.com`; in development the emulator",
        "The root of Google's API. Another address must be https, or on this machine; pages then say that "
        "Google is emulated.",
    ),
    Setting(
        "PASSES_GOOGLE_SAVE",
        "`https://pay.google.com/gp/v/save`; in development the emulator",
        "What a link that saves a card begins with.",
    ),
    Setting(
        "PASSES_GOOGLE_TOKEN",
        "what the account file names; in development the emulator",
        "Where the service account gets its access tokens.",
    ),
    Setting(
        "PASSES_GOOGLE_KEYS",
        "`https://pay.google.com/gp/m/issuer/keys`; in development the emulator",
        "Where the keys are published with which Google signs its messages.",
    ),
    Setting(
        "PASSES_GOOGLE_RATE",
        "`15`; of the emulator `200`",
        "Requests to Google a second, of all processes together. Google allows 20.",
    ),
    Setting(
        "PASSES_MAIL_HOST",
        "none: no letters; in development the mail catcher",
        "The SMTP server that takes letters to members: a relay of your own or a provider's.",
    ),
    Setting(
        "PASSES_MAIL_PORT",
        "`587`, with `tls` `465`; of the mail catcher `PASSES_CATCHER_PORT`",
        "The port of that server.",
    ),
    Setting(
        "PASSES_MAIL_SECURITY",
        "`starttls`; of the mail catcher `none`",
        "`starttls`, `tls` (from the first byte) or, in development, `none`. Its certificate is checked.",
    ),
    Setting("PASSES_MAIL_USER", "none", "The user name with which to log in there."),
    Setting("PASSES_MAIL_PASSWORD_FILE", "none", "A file whose first line is the password of that user."),
    Setting(
        "PASSES_MAIL_CA_FILE",
        "the system's authorities",
        "The authority that signed that server's certificate.",
    ),
    Setting(
        "PASSES_MAIL_FROM",
        "none; in development `cards@passes.test`",
        "The address letters come from, `cards@example.com` or `My Shop <cards@example.com>`. Without a name "
        "letters carry the shop's.",
    ),
    Setting(
        "PASSES_CLOCK_FILE",
        "none",
        "A file with a number of seconds to add to the clock (development only).",
    ),
    Setting(
        "PASSES_RESET_FILE",
        "none; set by `passes run` on SQLite",
        "A file whose making asks `passes run` to put the demonstration back (development only).",
    ),
)

_NAMES = frozenset(setting.name for setting in SETTINGS)


@dataclass(frozen=True, slots=True)
class Mail:
    """The SMTP server that takes letters. `security` is starttls, tls or none; `sender` may carry a name."""

    host: str
    port: int
    security: str
    sender: str
    user: str | None
    password_file: Path | None
    ca_file: Path | None


@dataclass(frozen=True, slots=True)
class Google:
    """Whose cards at Google, and where Google is. Addresses of None are Google's own.

    `emulated` when nobody named an issuer: development brings its own.
    """

    issuer_id: str
    account_file: Path
    api: str | None
    save: str | None
    token: str | None
    keys: str | None
    emulated: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """Every decision of the operator, checked. Paths are absolute; see SETTINGS for meaning and defaults."""

    mode: Mode
    var: Path
    database_url: str
    public_url: str
    web_host: str
    web_port: int
    web_processes: int
    web_threads: int
    proxies: int
    phone_port: int
    google_port: int
    apns_port: int
    server_key_file: Path
    certs: Path
    certs_password_file: Path | None
    badges: Path
    backup_file: Path | None
    apns_host: str
    apns_host_port: int
    apns_ca_file: Path | None
    apns_push_type: str | None
    apns_priority: int
    google: Google | None
    google_rate: int
    catcher_port: int
    mail: Mail | None
    clock_file: Path | None
    reset_file: Path | None

    @property
    def development(self) -> bool:
        """Whether http, throw-away certificates, emulators and demonstration sign-in are permitted."""
        return self.mode is Mode.DEVELOPMENT

    @property
    def catches_mail(self) -> bool:
        """Whether letters go to the mail catcher of development."""
        mail = self.mail
        return (
            self.development
            and mail is not None
            and (mail.host, mail.port) == ("127.0.0.1", self.catcher_port)
        )

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Check every `PASSES_*` variable of `environ`.

        A variable that is set but empty counts as not set. Relative paths
        start at the current folder. Files are named, not opened: whether a
        key or certificate is there is found out by whoever needs it.

        Raises SettingsInvalid at the first variable that makes no sense.
        """
        given = _Given(environ)
        mode = _mode(given)
        development = mode is Mode.DEVELOPMENT
        var = given.path("PASSES_VAR", Path("var"))
        database_url = _database_url(given, var)
        web_port = given.integer("PASSES_WEB_PORT", 8000, 1, 65535)
        phone_port = given.integer("PASSES_PHONE_PORT", 8001, 1, 65535)
        google_port = given.integer("PASSES_GOOGLE_PORT", 8002, 1, 65535)
        apns_port = given.integer("PASSES_APNS_PORT", 8003, 1, 65535)
        catcher_port = given.integer("PASSES_CATCHER_PORT", 8004, 1, 65535)
        if development:
            _refuse_shared_ports(
                {
                    "PASSES_WEB_PORT": web_port,
                    "PASSES_PHONE_PORT": phone_port,
                    "PASSES_GOOGLE_PORT": google_port,
                    "PASSES_APNS_PORT": apns_port,
                    "PASSES_CATCHER_PORT": catcher_port,
                }
            )
        google = _google(given, var, development=development, port=google_port)
        certs = given.path("PASSES_CERTS", Path("certs/dev" if development else "certs"))
        clock_file = given.path_or_none("PASSES_CLOCK_FILE")
        if clock_file is not None and not development:
            raise SettingsInvalid("PASSES_CLOCK_FILE is set, but only development may move the clock.")
        reset_file = given.path_or_none("PASSES_RESET_FILE")
        if reset_file is not None and not development:
            raise SettingsInvalid("PASSES_RESET_FILE is set, but only a demonstration can be put back.")
        return cls(
            mode=mode,
            var=var,
            database_url=database_url,
            public_url=_public_url(given, development=development, web_port=web_port),
            web_host=given.host("PASSES_WEB_HOST", "127.0.0.1"),
            web_port=web_port,
            web_processes=_web_processes(given, database_url),
            web_threads=given.integer("PASSES_WEB_THREADS", 8, 1, 1024),
            proxies=given.integer("PASSES_PROXIES", 0, 0, 9),
            phone_port=phone_port,
            google_port=google_port,
            apns_port=apns_port,
            server_key_file=given.path("PASSES_SERVER_KEY_FILE", var / "server.keys"),
            certs=certs,
            certs_password_file=given.path_or_none("PASSES_CERTS_PASSWORD_FILE"),
            badges=given.path("PASSES_BADGES", Path("static/badges")),
            backup_file=given.path_or_none("PASSES_BACKUP_FILE"),
            apns_host=given.host("PASSES_APNS_HOST", "127.0.0.1" if development else "api.push.apple.com"),
            apns_host_port=given.integer(
                "PASSES_APNS_HOST_PORT", apns_port if development else 443, 1, 65535
            ),
            apns_ca_file=given.path_or_none("PASSES_APNS_CA_FILE")
            or (certs / "root.pem" if development else None),
            apns_push_type=_push_type(given),
            apns_priority=_priority(given),
            google=google,
            google_rate=given.integer(
                "PASSES_GOOGLE_RATE", 200 if google is not None and google.emulated else 15, 1, 1000
            ),
            catcher_port=catcher_port,
            mail=_mail(given, development=development, catcher_port=catcher_port),
            clock_file=clock_file,
            reset_file=reset_file,
        )


class _Given:
    """The variables that were set, read as what they should be."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str) -> str | None:
        if name not in _NAMES:
            raise LookupError(f"{name} is missing from SETTINGS")
        return self._environ.get(name, "").strip() or None

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        text = self.text(name)
        if text is None:
            return default
        # int() would also take "1_000", "+5" and digits of other scripts.
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise SettingsInvalid(f"{name} must be a whole number from {least} to {most}, not “{text}”.")
        return int(text)

    def path_or_none(self, name: str) -> Path | None:
        text = self.text(name)
        return Path(text).absolute() if text else None

    def path(self, name: str, default: Path) -> Path:
        return self.path_or_none(name) or default.absolute()

    def host(self, name: str, default: str) -> str:
        text = self.text(name) or default
        if not re.fullmatch(r"[A-Za-z0-9.:_-]+", text) or "//" in text:
            raise SettingsInvalid(f"{name} must be a host name or address without a scheme, not “{text}”.")
        return text


def _mode(given: _Given) -> Mode:
    text = given.text("PASSES_MODE") or Mode.PRODUCTION
    try:
        return Mode(text)
    except ValueError:
        raise SettingsInvalid(f"PASSES_MODE must be production or development, not “{text}”.") from None


def _database_url(given: _Given, var: Path) -> str:
    text = given.text("PASSES_DATABASE_URL")
    if text is None:
        return f"sqlite:///{var / 'passes.sqlite3'}"
    scheme, _, rest = text.partition("://")
    if scheme == "sqlite":
        if not rest.startswith("//") or rest.endswith("/"):
            raise SettingsInvalid(
                "PASSES_DATABASE_URL must name an absolute file, with four slashes: sqlite:////srv/passes.sqlite3."
            )
        return text
    if scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        # The text is not repeated: it may hold a password.
        raise SettingsInvalid("PASSES_DATABASE_URL must begin with sqlite:// or postgresql://.")
    address = urlsplit(f"postgresql://{rest}")
    if address.password is not None or "password=" in address.query:
        raise SettingsInvalid(
            "PASSES_DATABASE_URL must not contain a password, because other programs can read it there: "
            "write it into a libpq password file and add ?passfile=/path to the address."
        )
    if not address.path.strip("/"):
        raise SettingsInvalid("PASSES_DATABASE_URL names no database: postgresql://user@host/name.")
    return f"postgresql+psycopg://{rest}"


def _public_url(given: _Given, *, development: bool, web_port: int) -> str:
    text = given.text("PASSES_PUBLIC_URL")
    if text is None:
        if development:
            return f"http://127.0.0.1:{web_port}"
        raise SettingsInvalid("PASSES_PUBLIC_URL is not set: phones need the https address of this service.")
    address = urlsplit(text)
    if address.scheme != "https" and not (development and address.scheme == "http"):
        raise SettingsInvalid(
            f"PASSES_PUBLIC_URL must begin with https://, because phones refuse anything else, not “{text}”."
        )
    extras = address.path.strip("/") or address.query or address.fragment or address.username
    if not address.hostname or extras or re.search(r"\s", text):
        raise SettingsInvalid(
            f"PASSES_PUBLIC_URL must be a host and perhaps a port (https://cards.example.com), not “{text}”."
        )
    return f"{address.scheme}://{address.netloc.lower()}"


def _web_processes(given: _Given, database_url: str) -> int:
    processes = given.integer("PASSES_WEB_PROCESSES", 1, 1, 256)
    if processes > 1 and database_url.startswith("sqlite:"):
        raise SettingsInvalid(
            f"PASSES_WEB_PROCESSES is {processes}, but SQLite has one writer: use 1, or PostgreSQL."
        )
    return processes


def _push_type(given: _Given) -> str | None:
    text = given.text("PASSES_APNS_PUSH_TYPE")
    if text is not None and not re.fullmatch(r"[a-z]{1,32}", text):
        raise SettingsInvalid(f"PASSES_APNS_PUSH_TYPE must be a lower-case word, not “{text}”.")
    return text


def _priority(given: _Given) -> int:
    priority = given.integer("PASSES_APNS_PRIORITY", 10, 1, 10)
    if priority not in (1, 5, 10):
        raise SettingsInvalid(f"PASSES_APNS_PRIORITY must be 10, 5 or 1, not “{priority}”.")
    return priority


EMULATED_ISSUER_ID = "3388000000012345678"
"""The issuer of development: the emulator's."""


def _google(given: _Given, var: Path, *, development: bool, port: int) -> Google | None:
    """Google Wallet: without an issuer, the emulator in development and nothing in production."""
    issuer_id = given.text("PASSES_GOOGLE_ISSUER_ID")
    account_file = given.path_or_none("PASSES_GOOGLE_ACCOUNT_FILE")
    if issuer_id is not None and not re.fullmatch(r"[0-9]{1,19}", issuer_id):
        raise SettingsInvalid(
            "PASSES_GOOGLE_ISSUER_ID must be the number that the Google Pay & Wallet Console shows, "
            f"not “{issuer_id}”."
        )
    if (issuer_id is None) != (account_file is None):
        raise SettingsInvalid(
            "PASSES_GOOGLE_ISSUER_ID and PASSES_GOOGLE_ACCOUNT_FILE belong together: set both or neither."
        )
    emulated = issuer_id is None
    addresses = {
        "api": given.text("PASSES_GOOGLE_API"),
        "save": given.text("PASSES_GOOGLE_SAVE"),
        "token": given.text("PASSES_GOOGLE_TOKEN"),
        "keys": given.text("PASSES_GOOGLE_KEYS"),
    }
    if emulated and not development:
        if any(addresses.values()):
            raise SettingsInvalid("PASSES_GOOGLE_ISSUER_ID is not set, but addresses of Google are.")
        return None
    if emulated:
        root = f"http://127.0.0.1:{port}"
        usual = {
            "api": root,
            "save": f"{root}/gp/v/save",
            "token": f"{root}/token",
            "keys": f"{root}/gp/m/issuer/keys",
        }
        addresses = {name: address or usual[name] for name, address in addresses.items()}
    return Google(
        issuer_id=issuer_id or EMULATED_ISSUER_ID,
        account_file=account_file or (var / "emulators" / "google-account.json").absolute(),
        emulated=emulated,
        **addresses,
    )


def _mail(given: _Given, *, development: bool, catcher_port: int) -> Mail | None:
    """Where letters go: without a host, to the mail catcher in development and nowhere in production."""
    catches = given.text("PASSES_MAIL_HOST") is None and development
    security = given.text("PASSES_MAIL_SECURITY") or ("none" if catches else "starttls")
    if security not in ("starttls", "tls", "none"):
        raise SettingsInvalid(f"PASSES_MAIL_SECURITY must be starttls, tls or none, not “{security}”.")
    if security == "none" and not development:
        raise SettingsInvalid("PASSES_MAIL_SECURITY is none, but only development may write in the open.")
    usual = catcher_port if catches else 465 if security == "tls" else 587
    port = given.integer("PASSES_MAIL_PORT", usual, 1, 65535)
    user, password_file = given.text("PASSES_MAIL_USER"), given.path_or_none("PASSES_MAIL_PASSWORD_FILE")
    if (user is None) != (password_file is None):
        raise SettingsInvalid(
            "PASSES_MAIL_USER and PASSES_MAIL_PASSWORD_FILE belong together: set both or neither."
        )
    if user is not None and security == "none":
        raise SettingsInvalid(
            "PASSES_MAIL_USER is set, but passwords never travel in the open: use starttls."
        )
    sender = given.text("PASSES_MAIL_FROM") or ("cards@passes.test" if development else None)
    if sender is not None and not _SENDER.fullmatch(sender):
        raise SettingsInvalid(
            f"PASSES_MAIL_FROM must be like cards@example.com or My Shop <cards@example.com>, not “{sender}”."
        )
    host, ca_file = given.host("PASSES_MAIL_HOST", "127.0.0.1"), given.path_or_none("PASSES_MAIL_CA_FILE")
    if given.text("PASSES_MAIL_HOST") is None and not catches:
        return None
    if sender is None:
        raise SettingsInvalid("PASSES_MAIL_FROM is not set: letters need an address to come from.")
    return Mail(host, port, security, sender, user, password_file, ca_file)


_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
_SENDER = re.compile(rf"{_ADDRESS}|[^<>@\x00-\x1f]*<{_ADDRESS}>")


def _refuse_shared_ports(ports: Mapping[str, int]) -> None:
    seen: dict[int, str] = {}
    for name, port in ports.items():
        if port in seen:
            raise SettingsInvalid(f"{name} and {seen[port]} are both {port}: each needs its own port.")
        seen[port] = name
