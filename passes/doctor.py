"""Looks over an installation and says, in one sentence each, what is right and what is wrong."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import timedelta

from passes.settings import CannotStart, Settings
from passes.store import alarms, programmes
from passes.wiring import Installation, build

_WARN_DAYS = 60


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
    try:
        mode = path.stat().st_mode
    except OSError:
        return Finding(
            "server key", settings.development, f"{path} does not exist yet. Make it: passes keys create"
        )
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
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
        if left < timedelta(days=_WARN_DAYS):
            words += "; renew it in the developer portal, for the same pass type"
        findings.append(Finding(subject, left > timedelta(days=_WARN_DAYS), f"{words}."))
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


def _alarms(installation: Installation) -> list[Finding]:
    with installation.store.read() as read:
        standing = alarms.open_alarms(read)
    return [
        Finding("alarm", False, f"{alarm.words} ({alarm.count} times since {alarm.since:%Y-%m-%d %H:%M} UTC)")
        for alarm in standing
    ]
