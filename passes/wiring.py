"""Settings become live objects, here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from passes import checkout, registers
from passes import store as database
from passes.apple import signing
from passes.apple.certificates import make_development_chain
from passes.apple.push import ApplePush
from passes.clock import Clock, clock
from passes.google.account import AccountUnusable, ServiceAccount, make_development_account
from passes.google.addresses import Addresses, AddressInvalid, secure
from passes.google.callbacks import CallbackReader
from passes.google.client import GoogleApi, fetch_root_keys
from passes.google.wallet import GoogleWallet
from passes.google_cards import Announcer, GoogleDesk, Issuer, SharedPace
from passes.issuing import Office
from passes.mail import MailServer, Post, Security
from passes.server_keys import ServerKeyMissing, ServerKeys
from passes.settings import CannotStart, Settings
from passes.store import Store, programmes
from passes.wallet import Wallet
from passes.webhooks import Door

DEVELOPMENT_PASS_TYPE = "pass.dev.passes.loyalty"
DEVELOPMENT_TEAM = "DEVTEAM001"
DEVELOPMENT_ACCOUNT = "loyalty@emulated.iam.gserviceaccount.com"
GOOGLE_WEB_TIMEOUT_SECONDS = 5
"""A customer waits; the worker has the ten seconds that Google advises."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Everything a request, a worker step or a command needs.

    `clock` gives the present instant; edges ask it once per request and pass
    the answer on. `phone_url` is the virtual phone's page, in development.
    `proxies` pass requests on; only so many are believed about a visitor's address.
    `reset_file`, once made, has the demonstration put back by whoever started this process.
    `google` hands out cards of Google's; None where it is not set up.
    `post` takes letters to members; None where none are sent. `mail_url` is where those
    of development can be read. `badges` is the folder with the wallets' own buttons.
    `backup_file` is what the operator's backup touches whenever it succeeds.
    """

    store: Store
    keys: ServerKeys
    office: Office
    clock: Clock
    public_url: str
    development: bool
    phone_url: str | None
    proxies: int = 0
    reset_file: Path | None = None
    google: GoogleDesk | None = None
    post: Post | None = None
    mail_url: str | None = None
    badges: Path | None = None
    backup_file: Path | None = None

    def close(self) -> None:
        """Finish waiting writes and let go of the database."""
        if self.google is not None:
            self.google.close()
        self.store.close()


def build(settings: Settings | None = None, *, writer_thread: bool = False) -> Installation:
    """The live objects for a web process, a worker or a command.

    `writer_thread` belongs to processes in which many threads write. Raises
    `CannotStart` for a missing key, a certificate that does not fit (its files
    to each other, or to the cards of a programme) or an outdated schema.
    """
    settings = settings or Settings.read(os.environ)
    present = clock(settings.clock_file)
    keys = _keys(settings)
    signer = _signer(settings, present())
    office = Office(
        signer=signer,
        keys=keys,
        web_service_url=f"{settings.public_url}/apple",
        allow_http=settings.development,
    )
    try:
        database.require_current(settings.database_url)
    except (database.SchemaOutdated, database.DatabaseUnreachable) as problem:
        raise CannotStart(str(problem)) from problem
    store = database.open(settings.database_url, writer_thread=writer_thread)
    try:
        _check_pass_types(store, signer)
        desk = _google_desk(settings, store, present)
    except BaseException:
        store.close()
        raise
    return Installation(
        store=store,
        keys=keys,
        office=office,
        clock=present,
        public_url=settings.public_url,
        development=settings.development,
        phone_url=f"http://127.0.0.1:{settings.phone_port}" if settings.development else None,
        proxies=settings.proxies,
        reset_file=settings.reset_file,
        google=desk,
        post=_post(settings, present),
        badges=settings.badges,
        backup_file=settings.backup_file,
        mail_url=f"http://127.0.0.1:{settings.phone_port}/mail/" if settings.catches_mail else None,
    )


def register_books() -> registers.Books:
    """How what registers of other makers tell is booked: as the counter books."""
    return registers.Books(
        accrue=checkout.accrue,
        sale=checkout.sale,
        take_back=checkout.take_back,
        take_back_sale=checkout.take_back_sale,
    )


def wallets(settings: Settings, present: Clock, store: Store) -> Mapping[str, Wallet]:
    """The wallets that changes are announced to, by name. Each belongs to one thread."""
    reached: dict[str, Wallet] = {
        "apple": ApplePush(
            host=settings.apns_host,
            port=settings.apns_host_port,
            certificate_file=settings.certs / "pass.pem",
            key_file=settings.certs / "pass.key",
            key_password=_password(settings),
            ca_file=settings.apns_ca_file,
            push_type=settings.apns_push_type,
            priority=settings.apns_priority,
            clock=present,
        )
    }
    if (google := google_worker(settings, present, store)) is not None:
        reached["google"] = google
    return reached


def webhook_door(installation: Installation) -> Door:
    """What takes messages to webhooks; in development also to receivers on this machine."""
    return Door(development=installation.development)


def google_worker(settings: Settings, present: Clock, store: Store) -> Announcer | None:
    """What brings changes to Google, with its share of the rate; None where it is not set up.

    A few turns are reserved at once, so that a customer whose card is to be
    made waits for a third of a second at most.
    """
    if settings.google is None:
        return None
    rate = settings.google_rate
    threads = min(64, max(8, rate + 1))
    api = GoogleApi(
        _account(settings),
        clock=present,
        pace=SharedPace(store, rate_per_second=rate, clock=clock(None), slots=max(1, rate * 3 // 10)),
        addresses=_addresses(settings),
        connections=threads,
    )
    return Announcer(store, _issuer(settings), api, clock=present, rate_per_second=rate, threads=threads)


def _google_desk(settings: Settings, store: Store, present: Clock) -> GoogleDesk | None:
    google = settings.google
    if google is None:
        return None
    addresses, account, issuer = _addresses(settings), _account(settings), _issuer(settings)
    api = GoogleApi(
        account,
        clock=present,
        pace=SharedPace(store, rate_per_second=settings.google_rate, clock=clock(None)),
        addresses=addresses,
        timeout_seconds=GOOGLE_WEB_TIMEOUT_SECONDS,
        tries_max=1,
        connections=4,
    )
    return GoogleDesk(
        issuer=issuer,
        account=account,
        addresses=addresses,
        api=api,
        wallet=GoogleWallet(
            api, wanted_of=lambda _install: None, class_of=lambda _class_id: None, clock=present
        ),
        reader=CallbackReader(
            issuer_id=google.issuer_id, fetch=lambda: fetch_root_keys(addresses.callback_keys)
        ),
        origins=(issuer.address,),
    )


def _issuer(settings: Settings) -> Issuer:
    """Whose cards, and where Google finds us: it takes https, an emulator this machine."""
    assert settings.google is not None
    address = settings.public_url
    if not secure(address):
        address = f"http://127.0.0.1:{settings.web_port}"
    if address.startswith("http:") and not settings.google.emulated and _addresses(settings) == Addresses():
        raise CannotStart(
            "PASSES_GOOGLE_ISSUER_ID is set, but Google fetches pictures from an https address only: "
            "PASSES_PUBLIC_URL must be one."
        )
    return Issuer(settings.google.issuer_id, address)


def _addresses(settings: Settings) -> Addresses:
    assert settings.google is not None
    google = settings.google
    given = {"api": google.api, "save": google.save, "callback_keys": google.keys, "token": google.token}
    names = {"callback_keys": "PASSES_GOOGLE_KEYS"}
    for field, address in given.items():
        try:
            Addresses(**({field: address} if address is not None else {}))
        except AddressInvalid as problem:
            name = names.get(field, f"PASSES_GOOGLE_{field.upper()}")
            raise CannotStart(f"{name}: {problem}") from problem
    return Addresses(**{field: address for field, address in given.items() if address is not None})


def _account(settings: Settings) -> ServiceAccount:
    assert settings.google is not None
    path = settings.google.account_file
    try:
        if settings.google.emulated:
            make_development_account(path, email=DEVELOPMENT_ACCOUNT)
        return ServiceAccount.load(path)
    except AccountUnusable as problem:
        raise CannotStart(f"PASSES_GOOGLE_ACCOUNT_FILE: {problem}") from problem


def _post(settings: Settings, present: Clock) -> Post | None:
    server = settings.mail
    if server is None:
        return None
    return MailServer(
        host=server.host,
        port=server.port,
        security=Security(server.security),
        sender=server.sender,
        user=server.user,
        password_file=server.password_file,
        ca_file=server.ca_file,
        clock=present,
    )


def prepare(settings: Settings) -> None:
    """What development brings along: a throw-away chain, a server key, the newest schema."""
    make_development_chain(
        settings.certs,
        pass_type=DEVELOPMENT_PASS_TYPE,
        team=DEVELOPMENT_TEAM,
        now=clock(settings.clock_file)(),
    )
    ServerKeys.create(settings.server_key_file)
    if settings.google is not None and settings.google.emulated:
        make_development_account(settings.google.account_file, email=DEVELOPMENT_ACCOUNT)
    migrate(settings)


def migrate(settings: Settings) -> None:
    """Bring the database to the newest schema, unless it has it. Raises `CannotStart`."""
    try:
        database.require_current(settings.database_url)
    except database.SchemaOutdated:
        database.migrate(settings.database_url)
    except database.DatabaseUnreachable as problem:
        raise CannotStart(str(problem)) from problem


def _keys(settings: Settings) -> ServerKeys:
    try:
        if settings.development and not settings.server_key_file.exists():
            return ServerKeys.create(settings.server_key_file)
        return ServerKeys.load(settings.server_key_file)
    except ServerKeyMissing as problem:
        raise CannotStart(
            f"{problem} Make one with: passes keys create; and keep a copy of it in a safe place."
        ) from problem


def _signer(settings: Settings, now: datetime) -> signing.Signer:
    certs = settings.certs
    try:
        return signing.load(
            certificate=(certs / "pass.pem").read_bytes(),
            key=(certs / "pass.key").read_bytes(),
            intermediate=(certs / "wwdr.pem").read_bytes(),
            # Of Apple's chain the root is not asked for; ours comes with one, which the emulators trust.
            root=(certs / "root.pem").read_bytes() if settings.development else None,
            password=_password(settings),
            now=now,
        )
    except OSError as problem:
        raise CannotStart(
            f"{problem.filename} cannot be read: PASSES_CERTS must name its folder."
        ) from problem
    except signing.CertificateProblem as problem:
        raise CannotStart(problem.sentence) from problem


def _check_pass_types(store: Store, signer: signing.Signer) -> None:
    """Cards keep their pass type for ever, and only its own certificate can sign them."""
    with store.read() as read:
        issued = programmes.pass_types(read)
    for slug, pass_type in issued.items():
        if pass_type != signer.pass_type:
            raise CannotStart(
                f"The cards of the programme {slug} have the pass type {pass_type}, "
                f"but the certificate is for {signer.pass_type}: PASSES_CERTS must name the folder of the "
                "certificate they were issued with, or of its renewal."
            )


def _password(settings: Settings) -> bytes | None:
    path = settings.certs_password_file
    if path is None:
        return None
    try:
        return path.read_bytes().split(b"\n", 1)[0].rstrip(b"\r")
    except OSError as problem:
        raise CannotStart(
            f"{path} cannot be read: PASSES_CERTS_PASSWORD_FILE must name the file with the password."
        ) from problem
