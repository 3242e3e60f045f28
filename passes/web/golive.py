"""Owners: what is still to do before real customers come. Every line is what this service sees of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from flask import Blueprint, render_template, request, url_for

from passes import hood, tills
from passes.access import Role
from passes.apple.signing import RENEW_DAYS
from passes.google.problems import GoogleFailed, TryLater
from passes.language import say
from passes.loyalty import terms
from passes.store import team
from passes.store.programmes import Loaded
from passes.web import console, language, signin
from passes.web.here import installation, now

blueprint = Blueprint("golive", __name__, url_prefix="/console/golive")
console.admit(blueprint, Role.OWNER)

BACKUP_TIME = timedelta(days=2)
"""An older backup than this was forgotten."""


class Standing(StrEnum):
    """How far a line is."""

    DONE = "done"
    TO_DO = "to-do"
    WRONG = "wrong"  # it was done, and does not hold


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to see to: what it is, how it stands, and the very next command or page."""

    title: str
    standing: Standing
    words: str
    command: str = ""
    page: str = ""
    address: str = ""


@blueprint.get("/")
def checklist() -> str:
    """All lines; with `ask` Google and the mail server are asked as well, which may take seconds."""
    loaded, asks = console.loaded(), "ask" in request.args
    lines = [
        _mode(),
        _address(),
        _apple(),
        _google(asks=asks),
        _mail(asks=asks),
        _staff(loaded),
        _till(loaded),
        _terms(loaded),
        *_worker(loaded),
        _backup(),
    ]
    return render_template(
        "console/golive.html",
        lines=lines,
        done=sum(line.standing is Standing.DONE for line in lines),
        asked=asks,
        can_ask=installation().google is not None or installation().post is not None,
    )


def _mode() -> Line:
    title = language.words("Production")
    if not installation().development:
        return Line(title, Standing.DONE, language.words("No throw-away keys, no sign-in with one click."))
    words = language.words(
        "This is development: wallets are emulated, and whoever sits at this machine signs in with one click."
    )
    return Line(title, Standing.TO_DO, words, command="export PASSES_MODE=production")


def _address() -> Line:
    title, address = language.words("An address for phones"), installation().public_url
    if address.startswith("https://"):
        return Line(title, Standing.DONE, language.words("Phones reach %(address)s.", address=address))
    words = language.words("Real phones insist on https, and %(address)s is not.", address=address)
    return Line(title, Standing.TO_DO, words, command="export PASSES_PUBLIC_URL=https://cards.example.com")


def _apple() -> Line:
    title, signer = language.words("Apple’s certificate"), installation().office.signer
    if signer.development:
        words = language.words("A throw-away one: real iPhones refuse it. This makes the request for Apple:")
        return Line(title, Standing.TO_DO, words, command="passes certs request pass.com.example.card")
    left = signer.ends_at - now()
    words = language.words(
        "%(pass_type)s is good until %(day)s.", pass_type=signer.pass_type, day=signer.ends_at.date()
    )
    if left < timedelta(days=RENEW_DAYS):
        renewal = language.words("Renew it at Apple, for the same pass type.")
        return Line(title, Standing.WRONG, f"{words} {renewal}", command="passes doctor")
    return Line(title, Standing.DONE, words)


def _google(*, asks: bool) -> Line:
    title, desk = language.words("Google Wallet"), installation().google
    if desk is None:
        words = language.words("Not set up: on Android the card lives in the browser.")
        return Line(title, Standing.TO_DO, words, command="export PASSES_GOOGLE_ISSUER_ID=…")
    if desk.emulated:
        words = language.words("Emulated: no phone of Google’s will show these cards.")
        return Line(title, Standing.TO_DO, words, command="export PASSES_GOOGLE_ISSUER_ID=…")
    if asks:
        try:
            desk.api.check()
        except (TryLater, GoogleFailed) as trouble:
            return Line(title, Standing.WRONG, str(trouble), command="passes doctor")
    words = language.words("Cards of issuer %(issuer)s go to Google.", issuer=desk.issuer.issuer_id)
    return Line(title, Standing.DONE, words)


def _mail(*, asks: bool) -> Line:
    title, here = language.words("Letters to members"), installation()
    if here.post is None:
        words = language.words("None are sent: nobody can get a lost card back by e-mail.")
        return Line(title, Standing.TO_DO, words, command="export PASSES_MAIL_HOST=smtp.example.com")
    if here.mail_url is not None:
        words = language.words("They stay on this machine, where they can be read.")
        return Line(
            title,
            Standing.TO_DO,
            words,
            command="export PASSES_MAIL_HOST=smtp.example.com",
            page=language.words("Letters"),
            address=here.mail_url,
        )
    if asks and (trouble := here.post.check()) is not None:
        return Line(title, Standing.WRONG, trouble, command="passes doctor")
    return Line(title, Standing.DONE, language.words("A mail server takes them."))


def _staff(loaded: Loaded) -> Line:
    title = language.words("An owner with a password")
    with installation().store.read() as read:
        has_password = team.has_owner_with_password(read, programme_id=loaded.id)
        people = len(team.team(read, programme_id=loaded.id))
    if has_password:
        words = language.counted("%(count)s person works here.", "%(count)s people work here.", people)
        return Line(title, Standing.DONE, words)
    words = language.words("So far somebody signed in with one click. Give each person a login of their own:")
    command = f'passes staff add you@example.com "Your Name" --programme {loaded.slug} --role owner'
    return Line(title, Standing.TO_DO, words, command=command)


def _till(loaded: Loaded) -> Line:
    title, here = language.words("A till, and somebody to open it"), installation()
    known = tills.every(here.store, here.keys, programme=loaded.slug, now=now())
    paired = [till for till in known if till.paired_at is not None and till.revoked_at is None]
    page, address = language.words("Tills"), url_for("tills.every")
    if not paired:
        words = language.words("No device is paired yet.")
        return Line(title, Standing.TO_DO, words, page=page, address=address)
    if not signin.cashiers(loaded):
        words = language.words("Nobody has a PIN yet.")
        return Line(title, Standing.TO_DO, words, page=page, address=address)
    words = language.counted("%(count)s till is paired.", "%(count)s tills are paired.", len(paired))
    return Line(title, Standing.DONE, words)


def _terms(loaded: Loaded) -> Line:
    title, programme = language.words("Your own terms"), loaded.programme
    spoken = programme.language
    page, address = language.words("The programme as a file"), url_for("yours.file")
    # What follows from the rules is written by itself; the shop's own words come after it.
    if programme.terms.in_(spoken) == terms.terms(programme, spoken, say):
        words = language.words(
            "Members accept what follows from your rules. Write under [terms] what else has to be said, "
            "and load the file."
        )
        command = f"passes programme load {loaded.slug}.toml"
        return Line(title, Standing.TO_DO, words, command=command, page=page, address=address)
    words = language.words("They follow those that your rules give.")
    return Line(title, Standing.DONE, words)


def _worker(loaded: Loaded) -> list[Line]:
    title = language.words("The worker")
    fares = hood.fares(installation().store, programme=loaded.slug, now=now())
    lines = []
    if fares.worker_is_late:
        words = language.words("Nobody does what waits: phones are not told of changes.")
        lines.append(Line(title, Standing.WRONG, words, command="passes worker"))
    elif fares.blocks:
        last = language.moment(fares.blocks[0].sealed_at, loaded.programme.zone, now())
        lines.append(
            Line(title, Standing.DONE, language.words("It sealed the books last %(when)s.", when=last))
        )
    else:
        words = language.words("It shows with the first booking whether it runs.")
        lines.append(Line(title, Standing.TO_DO, words, command="passes worker"))
    if fares.alarms:
        words = " ".join(alarm.words for alarm in fares.alarms)
        lines.append(Line(language.words("Alarms"), Standing.WRONG, words, command="passes doctor"))
    return lines


def _backup() -> Line:
    title, path = language.words("A backup"), installation().backup_file
    if path is None:
        words = language.words("Nothing says that one is made. Name the file that your backup touches:")
        command = "export PASSES_BACKUP_FILE=/var/backups/passes.done"
        return Line(title, Standing.TO_DO, words, command=command)
    try:
        made_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        tool = "pg_dump --format=custom --file=passes.dump passes"
        if not installation().store.postgresql:
            tool = "sqlite3 passes.sqlite3 '.backup passes.copy'"
        words = language.words("None was made yet.")
        return Line(title, Standing.TO_DO, words, command=f"{tool} && touch {path}")
    when = language.moment(made_at, console.loaded().programme.zone, now())
    if now() - made_at > BACKUP_TIME:
        return Line(title, Standing.WRONG, language.words("The last one is too old: %(when)s.", when=when))
    return Line(title, Standing.DONE, language.words("The last one was made %(when)s.", when=when))
