"""Looks over an installation and says, in one sentence each, what is right and what is wrong."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.robotparser import RobotFileParser

from passes import google_cards
from passes.apple.signing import RENEW_DAYS
from passes.google.client import look
from passes.google.problems import AccountRefused, GoogleFailed, TryLater
from passes.google_cards import GoogleDesk
from passes.settings import CannotStart, Settings
from passes.store import alarms, google, programmes
from passes.wiring import Installation, build

_SKEW_MAX = timedelta(seconds=60)
"""Links, tokens and rotating codes of Google's carry the time; a minute is what they forgive."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    subject: str
    right: bool
    words: str


def examine(settings: Settings) -> list[Finding]:
    """Everything worth looking at, in the order in which a problem would hit."""
    findings = [_address(settings), _server_key(settings)]
    try:
        installation = build(settings)
    except CannotStart as problem:
        return [*findings, Finding("start", False, str(problem))]
    try:
        return [
            *findings,
            Finding("database", True, f"{installation.store.url} has the newest schema."),
            *_certificates(installation),
            _programmes(installation),
            *_google(settings, installation),
            _mail(installation),
            *_alarms(installation),
        ]
    finally:
        installation.close()


def _address(settings: Settings) -> Finding:
    if settings.public_url.startswith("https://"):
        return Finding("address", True, f"Phones reach {settings.public_url}.")
    return Finding(
        "address",
        settings.development,
        f"{settings.public_url} is for this machine only: real phones insist on https.",
    )


def _server_key(settings: Settings) -> Finding:
    path = settings.server_key_file
    if not path.exists():
        return Finding(
            "server key", settings.development, f"{path} does not exist yet. Make it: passes keys create"
        )
    if _is_open_to_others(path):
        return Finding("server key", False, f"{path} can be read by others. Run: chmod 600 {path}")
    return Finding("server key", True, f"{path} is readable by its owner only. Keep a copy elsewhere.")


def _certificates(installation: Installation) -> list[Finding]:
    signer, now = installation.office.signer, installation.clock()
    findings = []
    for subject, ends in (
        ("pass certificate", signer.not_after),
        ("Apple's intermediate", signer.intermediate_not_after),
    ):
        left = ends - now
        words = f"valid until {ends:%Y-%m-%d}, {left.days} days from now"
        if left < timedelta(days=RENEW_DAYS):
            words += "; renew it in the developer portal, for the same pass type"
        findings.append(Finding(subject, left > timedelta(days=RENEW_DAYS), f"{words}."))
    kind = "throw-away: iPhones refuse it" if signer.development else "issued by Apple"
    findings.append(
        Finding("pass type", signer.development <= installation.development, f"{signer.pass_type}, {kind}.")
    )
    return findings


def _programmes(installation: Installation) -> Finding:
    with installation.store.read() as read:
        slugs = [loaded.slug for loaded in programmes.every(read)]
    if not slugs:
        return Finding("programmes", False, "There is none. Load one: passes programme load FILE")
    return Finding("programmes", True, ", ".join(slugs) + ".")


# Google -------------------------------------------------------------------------


def _google(settings: Settings, installation: Installation) -> list[Finding]:
    """The way to Google step by step: each step needs the one before, so the first wrong one ends it."""
    desk = installation.google
    if settings.google is None or desk is None:
        words = "Cards are not handed out in Google Wallet. docs/google-wallet.md says how to begin."
        return [Finding("google", True, words)]
    where = Finding("google", True, f"Cards of issuer {desk.issuer.issuer_id} go to Google.")
    if desk.emulated:
        words = f"EMULATED: cards go to {desk.addresses.api}, and no phone of Google's will ever show them."
        where = Finding("google", True, words)
    path = settings.google.account_file
    if _is_open_to_others(path):
        return [where, Finding("google key", False, f"{path} can be read by others. Run: chmod 600 {path}")]
    findings = [where, Finding("google key", True, f"{path} is the key of {desk.account.email}.")]
    try:
        ahead = desk.api.check()
    except TryLater as trouble:
        words = f"{trouble}. What to do: let this machine reach {desk.addresses.api} over https."
        if desk.emulated and installation.development:
            return [where, Finding("google access", True, "The emulator does not run just now.")]
        return [*findings, Finding("google access", False, words)]
    except GoogleFailed as refused:
        words = (
            f"{refused} What to do: see that the Google Wallet API is enabled in the account's project, that "
            "its key was not deleted there, and that the clock of this machine is right."
        )
        return [*findings, Finding("google access", False, words)]
    findings += [*_clock(ahead), Finding("google access", True, "The service account was given a token.")]
    classes = google_cards.try_classes(installation.store, desk.wallet, desk.issuer, now=installation.clock())
    findings += [_class(found) for found in classes]
    if not desk.emulated:
        findings += _reachable(installation, desk)
    with installation.store.read() as read:
        waiting = google.waiting_checks(read)
    words = f"{waiting} cards wait to be asked about: whether anybody holds them."
    return [*findings, Finding("google cards", True, words)]


def _clock(ahead: timedelta | None) -> list[Finding]:
    if ahead is None:
        return []
    seconds = round(abs(ahead).total_seconds())
    which = "ahead of" if ahead > timedelta() else "behind"
    if abs(ahead) > _SKEW_MAX:
        words = (
            f"This machine's clock is {seconds} seconds {which} Google's: links and tokens will be refused. "
            "What to do: let it keep time by itself, with timedatectl set-ntp true."
        )
        return [Finding("clock", False, words)]
    return [Finding("clock", True, f"This machine's clock is {seconds} seconds {which} Google's.")]


def _class(found: google_cards.ClassFinding) -> Finding:
    subject = f"google class {found.slug}"
    if found.problem is None:
        return Finding(subject, True, f"{found.class_id} is published.")
    if isinstance(found.problem, AccountRefused):
        todo = "invite the service account in the Google Pay & Wallet Console (Users, role Developer)"
    elif isinstance(found.problem, TryLater):
        todo = "try again in a minute"
    else:
        todo = "change what Google complains about in the programme's file, load it, and look again"
    return Finding(subject, False, f"{found.problem} What to do: {todo}.")


def _reachable(installation: Installation, desk: GoogleDesk) -> list[Finding]:
    """Google comes to us for pictures and with messages: what this machine sees of itself can be tried."""
    with installation.store.read() as read:
        standing = programmes.every(read)
    findings = [_picture(loaded.slug, desk.issuer.logo_address(loaded.programme)) for loaded in standing]
    return [*findings, _callback(desk)]


def _picture(slug: str, address: str) -> Finding:
    subject = f"google picture {slug}"
    todo = "What to do: let the public reach this service at PASSES_PUBLIC_URL, and see that it runs."
    try:
        seen = look(address)
    except TryLater as trouble:
        return Finding(subject, False, f"{trouble}. {todo}")
    if seen.status != 200 or not seen.content_type.startswith("image/"):
        words = f"{address} answers {seen.status} {seen.content_type}, not a picture. {todo}"
        return Finding(subject, False, words)
    return Finding(subject, True, f"{address} is a picture.")


def _callback(desk: GoogleDesk) -> Finding:
    address, robots = desk.issuer.callback_address, f"{desk.issuer.address}/robots.txt"
    todo = "What to do: let the public reach this service at PASSES_PUBLIC_URL, robots.txt included."
    try:
        rules = RobotFileParser()
        rules.parse(look(robots).body.decode("utf-8", "replace").splitlines())
        if not rules.can_fetch("Googlebot", address):
            return Finding("google callback", False, f"{robots} keeps Googlebot from {address}. {todo}")
        seen = look(address, method="POST", body=b"{}")
    except TryLater as trouble:
        return Finding("google callback", False, f"{trouble}. {todo}")
    # Nothing but Google's signature is taken, so a refusal is the sign that somebody listens.
    if seen.status != 400:
        return Finding("google callback", False, f"{address} answers {seen.status}. {todo}")
    return Finding("google callback", True, f"{address} listens to Google.")


def _mail(installation: Installation) -> Finding:
    post = installation.post
    if post is None:
        return Finding("mail", True, "No letters are sent: PASSES_MAIL_HOST is not set.")
    problem = post.check()
    if problem is not None and installation.mail_url is not None:
        return Finding("mail", True, "The mail catcher does not run just now.")
    return Finding("mail", problem is None, problem or "The mail server takes letters.")


def _is_open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:
        return False


def _alarms(installation: Installation) -> list[Finding]:
    with installation.store.read() as read:
        standing = alarms.open_alarms(read)
    return [
        Finding("alarm", False, f"{alarm.words} ({alarm.count} times since {alarm.since:%Y-%m-%d %H:%M} UTC)")
        for alarm in standing
    ]
