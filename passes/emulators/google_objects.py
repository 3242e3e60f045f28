"""Loyalty classes and objects as Google keeps them: inserted, merged, approved, held, and told to phones.

Sources: the walletobjects:v1 discovery document and Google's pages on updates
and push notifications. Where Google is silent this side is the stricter one:
messages and field updates share one allowance of three in 24 hours.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from passes.emulators import google_rules
from passes.emulators.google_journal import Journal
from passes.emulators.google_schema import ApiError, Violation, invalid, merge, old_spelling, read

NOTIFICATIONS_MAX = 3
NOTIFICATIONS_PERIOD = timedelta(hours=24)

# What only the platform writes; clients echo it from a GET, and it is ignored.
_PLATFORM = ("kind", "version", "hasUsers", "hasLinkedDevice", "classReference", "review")
# An object that a save link only names.
_REFERENCE = frozenset({"id", "classId"})
_LIMIT = f"{NOTIFICATIONS_MAX} notifications in 24 hours are the limit"
_UNASKED = "the shop asked for no notification"
_QUOTA = "QuotaExceededException: at most 3 notifications may be sent for a pass in 24 hours."


@dataclass(frozen=True, slots=True)
class Kind:
    """Classes or objects; `path` as in the address."""

    path: str
    schema: str
    noun: str


CLASS = Kind("loyaltyClass", "LoyaltyClass", "class")
OBJECT = Kind("loyaltyObject", "LoyaltyObject", "object")


@dataclass(slots=True)
class Stored:
    """One class or object. `notified`: when it asked for attention on phones, in the last 24 hours."""

    fields: dict[str, Any]
    version: int = 1
    notified: list[datetime] = field(default_factory=list)

    def recently(self, now: datetime) -> int:
        self.notified = [at for at in self.notified if now - at < NOTIFICATIONS_PERIOD]
        return len(self.notified)

    def as_json(self) -> dict[str, Any]:
        return {
            "fields": self.fields,
            "version": self.version,
            "notified": [at.isoformat() for at in self.notified],
        }


@dataclass(frozen=True, slots=True)
class Announcement:
    """What became of a wish to be noticed: shown with `title` and `words`, or `silent` for that reason.

    `cause` is "message" or "update"; the words of an update are Google's, not the shop's.
    """

    at: datetime
    object_id: str
    cause: str
    title: str
    words: str
    silent: str | None = None


class Resources:
    """All classes and objects of one issuer. Every method may be called from any thread.

    `on_announcement` hears of everything that was to be noticed, while the
    resources are locked: it must not call back. `legacy_spelling` answers with
    enums as they were once spelled, which Google still does.
    """

    def __init__(
        self,
        issuer_id: str,
        *,
        clock: Callable[[], datetime],
        journal: Journal | None = None,
        legacy_spelling: bool = True,
        on_announcement: Callable[[Announcement], None] = lambda announcement: None,
    ) -> None:
        self.issuer_id = issuer_id
        self._clock, self._journal, self._legacy = clock, journal, legacy_spelling
        self._on_announcement = on_announcement
        self._lock = threading.RLock()
        self._kept: dict[Kind, dict[str, Stored]] = {CLASS: {}, OBJECT: {}}
        # Per object the phones that hold it, and whose account each is.
        self._holders: dict[str, dict[str, str]] = {}
        if journal is not None:
            for kind in (CLASS, OBJECT):
                for name, one in journal.all(kind.noun).items():
                    notified = [datetime.fromisoformat(at) for at in one["notified"]]
                    self._kept[kind][name] = Stored(one["fields"], one["version"], notified)
            self._holders = journal.all("holders")

    # --- the methods of the API ---------------------------------------------

    def insert(self, kind: Kind, given: object) -> dict[str, Any]:
        """Raises ApiError 400, 403 (another issuer's id), 404 (no such class), 409 (exists)."""
        wanted = _without(_PLATFORM, read(kind.schema, given))
        wanted.pop("notifyPreference", None)
        with self._lock:
            name = self._identifier(kind, wanted.get("id"))
            if name in self._kept[kind]:
                words = f"The {kind.noun} {name} already exists."
                raise ApiError(409, "ALREADY_EXISTS", "existingResource", words)
            self._check(kind, wanted, None)
            self._kept[kind][name] = Stored(wanted)
            self._save(kind, name)
            return self._answer(kind, name)

    def get(self, kind: Kind, name: str) -> dict[str, Any]:
        """Objects come with a copy of their class. Raises ApiError 400, 403, 404."""
        with self._lock:
            self._find(kind, name)
            return self._answer(kind, name, whole=True)

    def page(self, kind: Kind, of: str | None, most: int | None, token: str | None) -> dict[str, Any]:
        """Classes of the issuer `of`, or objects of the class `of`: `most` after `token`; all without."""
        with self._lock:
            if kind is CLASS:
                if of != self.issuer_id:
                    raise _denied() if of else invalid(Violation("issuerId", "issuerId is required."))
                names = sorted(self._kept[CLASS])
            else:
                self._find(CLASS, of or "")
                names = sorted(
                    name for name, one in self._kept[OBJECT].items() if one.fields["classId"] == of
                )
            # The token is the last name given, so that what is inserted meanwhile upsets nothing.
            rest = [name for name in names if token is None or name > token]
            shown = rest[:most] if most else rest
            pages: dict[str, Any] = {"kind": "walletobjects#pagination", "resultsPerPage": len(shown)}
            if len(shown) < len(rest):
                pages["nextPageToken"] = shown[-1]
            return {"resources": [self._answer(kind, name) for name in shown], "pagination": pages}

    def patch(self, kind: Kind, name: str, given: object) -> dict[str, Any]:
        """Merge. Raises ApiError as `update` does."""
        patch = _without(_PLATFORM, read(kind.schema, given, keep_null=True))
        with self._lock:
            before = self._find(kind, name)
            wanted = merge(before.fields, patch)
            if kind is CLASS:
                # What is stored says APPROVED, and a change must ask for review in its own words.
                wanted["reviewStatus"] = patch.get("reviewStatus")
            return self._replace(kind, name, before, wanted)

    def update(self, kind: Kind, name: str, given: object) -> dict[str, Any]:
        """Replace everything. Raises ApiError 400, 403, 404."""
        wanted = _without(_PLATFORM, read(kind.schema, given))
        with self._lock:
            before = self._find(kind, name)
            wanted.setdefault("id", name)
            return self._replace(kind, name, before, wanted)

    def add_message(self, kind: Kind, name: str, given: object) -> dict[str, Any]:
        """Append a message, and notify where it says so. Raises ApiError 400, 403, 404, 429."""
        message = read("AddMessageRequest", given).get("message")
        with self._lock:
            stored = self._find(kind, name)
            if not message:
                raise invalid(Violation("message", "Invalid value at 'message': this field is required."))
            wanted = {**stored.fields, "messages": [*stored.fields.get("messages", ()), message]}
            if broken := google_rules.violations(kind.schema, wanted):
                raise invalid(*broken)
            if message.get("messageType") == "TEXT_AND_NOTIFY":
                if self._used(kind, stored) >= NOTIFICATIONS_MAX:
                    raise ApiError(429, "RESOURCE_EXHAUSTED", "quotaExceeded", _QUOTA)
                silent = None if shown_now(message, self._clock()) else "its display interval is not now"
                self._announce(
                    kind, name, "message", message.get("header", ""), message.get("body", ""), silent
                )
            elif kind is OBJECT:
                self._whisper(name, "message", stored.fields, message.get("header", ""))
            stored.fields = wanted
            stored.version += 1
            self._save(kind, name)
            return {"resource": self._answer(kind, name)}

    # --- what happens on phones ---------------------------------------------

    def add_missing(self, classes: list[Any], objects: list[Any]) -> list[str]:
        """What a save link carries: create what is not there, leave alone what is. The objects' ids.

        An object with nothing but id and classId must be there already. Raises ApiError.
        """
        with self._lock:
            for one in classes:
                if _id_of(one) not in self._kept[CLASS]:
                    self.insert(CLASS, one)
            names = []
            for one in objects:
                name = _id_of(one)
                if isinstance(one, dict) and set(one) <= _REFERENCE:
                    self._find(OBJECT, name)
                elif name not in self._kept[OBJECT]:
                    self.insert(OBJECT, one)
                names.append(name)
            return names

    def judge(self, classes: list[Any], objects: list[Any]) -> None:
        """Raise ApiError 400 or 403 if a save link's classes or objects are wrong; creates nothing."""
        for one in classes:
            wanted = _without(_PLATFORM, read(CLASS.schema, one))
            self._identifier(CLASS, wanted.get("id"))
            if broken := google_rules.violations(CLASS.schema, wanted) + _review(wanted, None):
                raise invalid(*broken)
        for one in objects:
            wanted = _without(_PLATFORM, read(OBJECT.schema, one))
            self._identifier(OBJECT, wanted.get("id"))
            if set(wanted) <= _REFERENCE:
                continue
            if broken := google_rules.violations(OBJECT.schema, wanted):
                raise invalid(*broken)

    def hold(self, name: str, phone: str, account: str) -> bool:
        """This phone saves the object; False if it held it already.

        Raises ApiError 403 where the class lets only one user, or one device, hold it.
        """
        with self._lock:
            stored = self._find(OBJECT, name)
            holders = self._holders.setdefault(name, {})
            if phone in holders:
                return False
            allowed = self._kept[CLASS][stored.fields["classId"]].fields.get(
                "multipleDevicesAndHoldersAllowedStatus"
            )
            others = set(holders.values()) - {account}
            if (allowed == "ONE_USER_ALL_DEVICES" and others) or (
                allowed == "ONE_USER_ONE_DEVICE" and holders
            ):
                raise ApiError(403, "PERMISSION_DENIED", "forbidden", "This pass belongs to somebody else.")
            holders[phone] = account
            self._save_holders(name)
            return True

    def release(self, name: str, phone: str) -> bool:
        """This phone deletes the object; False if it did not hold it."""
        with self._lock:
            found = self._holders.get(name, {}).pop(phone, None) is not None
            if found:
                self._save_holders(name)
            return found

    def held_by(self, phone: str) -> list[str]:
        """The objects on a phone, in the order in which they were saved."""
        with self._lock:
            return [name for name, holders in self._holders.items() if phone in holders]

    def holders(self, name: str) -> list[str]:
        """The phones that hold an object."""
        with self._lock:
            return list(self._holders.get(name, ()))

    def holding(self) -> set[str]:
        """Every phone that holds anything, erased ones too."""
        with self._lock:
            return {phone for holders in self._holders.values() for phone in holders}

    def knows(self, kind: Kind, name: str) -> bool:
        """True if there is one of this id."""
        with self._lock:
            return name in self._kept[kind]

    def names(self, kind: Kind) -> list[str]:
        """Every id there is, in the order of insertion."""
        with self._lock:
            return list(self._kept[kind])

    def pair(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The class and the object, enums in upper case, for whoever draws the card. Raises ApiError 404."""
        with self._lock:
            stored = self._find(OBJECT, name)
            shown = self._shown(OBJECT, name, stored)
            return dict(self._kept[CLASS][stored.fields["classId"]].fields), shown

    def callback_url(self, name: str) -> str | None:
        """Where the class of this object wants to hear of saves and deletions."""
        with self._lock:
            fields = self._kept[CLASS][self._kept[OBJECT][name].fields["classId"]].fields
            url = fields.get("callbackOptions", {}).get("url")
            return str(url) if url else None

    def reject(self, name: str, comments: str) -> None:
        """A reviewer turns a class down."""
        with self._lock:
            stored = self._find(CLASS, name)
            stored.fields |= {"reviewStatus": "REJECTED", "review": {"comments": comments}}
            self._save(CLASS, name)

    # --- inside ---------------------------------------------------------------

    def _identifier(self, kind: Kind, name: object) -> str:
        if not isinstance(name, str) or not google_rules.IDENTIFIER.fullmatch(name):
            words = f"Invalid value at 'id': {name!r} is not of the form issuerId.identifier."
            raise invalid(Violation("id", words))
        if name.split(".")[0] != self.issuer_id:
            raise _denied()
        return name

    def _find(self, kind: Kind, name: str) -> Stored:
        self._identifier(kind, name)
        if name not in self._kept[kind]:
            raise _missing(kind, name)
        return self._kept[kind][name]

    def _replace(self, kind: Kind, name: str, before: Stored, wanted: dict[str, Any]) -> dict[str, Any]:
        if wanted.get("id") != name:
            raise invalid(Violation("id", f"Invalid value at 'id': must be {name}, as in the address."))
        notify = wanted.pop("notifyPreference", None) == "NOTIFY_ON_UPDATE"
        self._check(kind, wanted, before.fields)
        if notify:
            self._announce_update(kind, name, before, wanted)
        elif kind is OBJECT and wanted != before.fields:
            self._whisper(name, "update", wanted, "")
        before.fields = wanted
        before.version += 1
        self._save(kind, name)
        return self._answer(kind, name)

    def _check(self, kind: Kind, wanted: dict[str, Any], before: dict[str, Any] | None) -> None:
        """Raise what is wrong, and settle the class's review."""
        broken = google_rules.violations(kind.schema, wanted)
        if kind is CLASS:
            broken += _review(wanted, before)
        if broken:
            raise invalid(*broken)
        if kind is OBJECT:
            self._check_class(wanted["classId"])
            self._check_links(wanted, before or {})

    def _check_class(self, name: str) -> None:
        status = self._find(CLASS, name).fields["reviewStatus"]
        if status != "APPROVED":
            words = f"Invalid value at 'classId': the class {name} is {status}; it must be approved."
            raise invalid(Violation("classId", words))

    def _check_links(self, wanted: dict[str, Any], before: dict[str, Any]) -> None:
        links, objects = wanted.get("linkedObjectIds", []), self._kept[OBJECT]
        where, broken = "linkedObjectIds", []
        for link in links:
            if link not in objects:
                broken.append(Violation(where, f"The linked object {link} was not found."))
            elif objects[link].fields.get("linkedObjectIds"):
                broken.append(Violation(where, f"{link} has links itself; links cannot be nested."))
        if links and any(wanted["id"] in one.fields.get("linkedObjectIds", ()) for one in objects.values()):
            broken.append(Violation(where, "This object is linked itself; links cannot be nested."))
        if lost := set(before.get("linkedObjectIds", ())) - set(links):
            broken.append(Violation(where, f"Linked objects cannot be unlinked: {', '.join(sorted(lost))}."))
        # Offers are another kind of pass, which this emulator does not keep.
        broken += [
            Violation("linkedOfferIds", f"The offer object {offer} was not found.")
            for offer in wanted.get("linkedOfferIds", ())
        ]
        if broken:
            raise invalid(*broken)

    def _announce_update(self, kind: Kind, name: str, before: Stored, wanted: dict[str, Any]) -> None:
        # The two fields that Google names; its whole list is not published.
        if kind is CLASS:
            changed = before.fields.get("rewardsTier") != wanted.get("rewardsTier")
            title = wanted["programName"]
        else:
            changed = _balance(before.fields) != _balance(wanted)
            title = self._kept[CLASS][wanted["classId"]].fields["programName"]
        silent = None if changed else "no field that notifies has changed"
        self._announce(kind, name, "update", title, "Your pass was updated", silent)

    def _announce(
        self, kind: Kind, name: str, cause: str, title: str, words: str, silent: str | None
    ) -> None:
        now = self._clock()
        told = [name] if kind is OBJECT else self._held_of(name)
        stored = self._kept[kind][name]
        for one in told:
            reason = silent
            if reason is None and self._used(OBJECT, self._kept[OBJECT][one]) >= NOTIFICATIONS_MAX:
                reason = _LIMIT
            if reason is None and not self._holders.get(one):
                reason = "no phone holds the card"
            self._on_announcement(Announcement(now, one, cause, title, words, reason))
        if silent is None and self._used(kind, stored) < NOTIFICATIONS_MAX:
            stored.notified.append(now)

    def _whisper(self, name: str, cause: str, fields: dict[str, Any], title: str) -> None:
        """Let the phones know of a change that nobody wanted to be noticed, and why it is not."""
        if self._holders.get(name):
            silent = _LIMIT if self._used(OBJECT, self._kept[OBJECT][name]) >= NOTIFICATIONS_MAX else _UNASKED
            title = title or self._kept[CLASS][fields["classId"]].fields["programName"]
            self._on_announcement(Announcement(self._clock(), name, cause, title, "", silent))

    def _used(self, kind: Kind, stored: Stored) -> int:
        """How much of its allowance is spent; what a class says counts for each of its objects."""
        now = self._clock()
        used = stored.recently(now)
        if kind is OBJECT:
            used += self._kept[CLASS][stored.fields["classId"]].recently(now)
        return used

    def _held_of(self, class_name: str) -> list[str]:
        return [
            name
            for name, holders in self._holders.items()
            if holders and self._kept[OBJECT][name].fields["classId"] == class_name
        ]

    def _shown(self, kind: Kind, name: str, stored: Stored) -> dict[str, Any]:
        shown = dict(stored.fields)
        if kind is OBJECT:
            shown["hasUsers"] = bool(self._holders.get(name))
            if shown["state"] == "ACTIVE" and _is_over(shown, self._clock()):
                shown["state"] = "EXPIRED"
        return shown

    def _answer(self, kind: Kind, name: str, *, whole: bool = False) -> dict[str, Any]:
        stored = self._kept[kind][name]
        shown = {
            "kind": f"walletobjects#{kind.path}",
            "version": str(stored.version),
            **self._shown(kind, name, stored),
        }
        if whole and kind is OBJECT:
            shown["classReference"] = dict(self._kept[CLASS][stored.fields["classId"]].fields)
        return old_spelling(kind.schema, shown) if self._legacy else shown

    def _save(self, kind: Kind, name: str) -> None:
        if self._journal is not None:
            self._journal.write(kind.noun, name, self._kept[kind][name].as_json())

    def _save_holders(self, name: str) -> None:
        if self._journal is not None:
            self._journal.write("holders", name, self._holders[name] or None)


def shown_now(message: dict[str, Any], now: datetime) -> bool:
    """Whether a message's display interval, if it has one, contains this instant."""
    return not _is_over(message, now, "displayInterval") and not _is_to_come(message, now)


def _is_over(given: dict[str, Any], now: datetime, name: str = "validTimeInterval") -> bool:
    end = _end_of(given.get(name, {}), "end")
    return end is not None and end <= now


def _is_to_come(given: dict[str, Any], now: datetime) -> bool:
    start = _end_of(given.get("displayInterval", {}), "start")
    return start is not None and start > now


def _end_of(interval: dict[str, Any], name: str) -> datetime | None:
    found = google_rules.moment(interval[name]["date"]) if name in interval else None
    # Without an offset the viewer's own time is meant; this viewer lives in UTC.
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found


def _review(wanted: dict[str, Any], before: dict[str, Any] | None) -> list[Violation]:
    """Settle a class's review status: what is handed in for review is approved at once."""
    status = wanted.get("reviewStatus")
    if status == "UNDER_REVIEW":
        wanted["reviewStatus"] = "APPROVED"
        wanted.pop("review", None)
        return []
    if status == "DRAFT":
        if before is None or before["reviewStatus"] == "DRAFT":
            return []
        words = "a class that left DRAFT cannot go back."
    elif status is None:
        words = "this field is required, in every change too."
    else:
        words = f"{status} is set by Google only; send UNDER_REVIEW."
    return [Violation("reviewStatus", f"Invalid value at 'reviewStatus': {words}")]


def _balance(fields: dict[str, Any]) -> Any:
    return fields.get("loyaltyPoints", {}).get("balance")


def _without(names: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


def _id_of(given: object) -> str:
    return str(given.get("id", "")) if isinstance(given, dict) else ""


def _denied() -> ApiError:
    return ApiError(403, "PERMISSION_DENIED", "forbidden", "Permission Denied")


def _missing(kind: Kind, name: str) -> ApiError:
    reason = "classNotFound" if kind is CLASS else "resourceNotFound"
    return ApiError(404, "NOT_FOUND", reason, f"The {kind.noun} {name} was not found.")
