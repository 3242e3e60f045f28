"""The REST API of Google Wallet: the only file here that opens connections.

What is asked may be asked again: an insert that was applied before its answer
got lost answers 409 the second time, and a patch says the same thing twice. The
one exception is a message with a notification, which is not repeated when its
fate is unknown.

Batches are not used: every call in one counts against the same rate, and their
largest size is not documented. Many connections at a time do as well.

Source: Google, "Google Wallet API", REST resources and "Error codes".
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3
from urllib3.exceptions import HTTPError

from passes.google.account import GRANT_TYPE, AccessToken, ServiceAccount, token_of
from passes.google.addresses import Addresses
from passes.google.callbacks import KeysUnavailable, Published
from passes.google.documents import add_message, notifies, silent
from passes.google.ids import RESOURCE
from passes.google.problems import (
    AccountRefused,
    AlertsUsedUp,
    AlreadyExists,
    NotFound,
    Problem,
    Refused,
    TryLater,
    date_of,
    problem_of,
    retry_after_seconds,
)
from passes.google.schema import Document, DocumentInvalid, refuse_invalid

TIMEOUT_SECONDS = 10
"""Google's own advice for clients."""
ANSWER_BYTES_MAX = 4 * 1024 * 1024
KEYS_BYTES_MAX = 256 * 1024
AGENT = "passes"


class Resource(StrEnum):
    """The two kinds of things at Google, as they stand in paths."""

    CLASS = "loyaltyClass"
    OBJECT = "loyaltyObject"

    @property
    def type_name(self) -> str:
        """Its name in the schema."""
        return "LoyaltyClass" if self is Resource.CLASS else "LoyaltyObject"


class GoogleApi:
    """Loyalty classes and objects of one issuer, over connections that are kept open.

    `pace` is called before every request and answers how many seconds to wait;
    all workers together must stay below Google's rate. A request has up to
    `tries_max` attempts; between them `pause` is called with a time that is
    random up to `backoff_seconds`, doubled each time, or with what Google asks
    for. When Google asks for more than `patience_seconds`, or no attempt
    worked, TryLater says when to come back. `jitter` gives a number in [0, 1).
    Safe for any number of threads.
    """

    def __init__(
        self,
        account: ServiceAccount,
        *,
        clock: Callable[[], datetime],
        pace: Callable[[], float],
        addresses: Addresses | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        tries_max: int = 3,
        backoff_seconds: float = 0.5,
        patience_seconds: float = 5,
        later_seconds: float = 60,
        connections: int = 8,
        jitter: Callable[[], float] = random.random,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        if tries_max < 1 or not 0 < timeout_seconds <= TIMEOUT_SECONDS:
            raise ValueError(f"at least one try, and at most {TIMEOUT_SECONDS} seconds for each")
        addresses = addresses or Addresses()
        self._account = account
        self._root = f"{addresses.api}/walletobjects/v1"
        self._token_address = addresses.token or account.token_address
        self._clock, self._pace, self._jitter, self._pause = clock, pace, jitter, pause
        self._tries_max, self._backoff_seconds = tries_max, backoff_seconds
        self._patience_seconds, self._later_seconds = patience_seconds, later_seconds
        self._pool = urllib3.PoolManager(
            num_pools=4,
            maxsize=connections,
            retries=False,
            timeout=urllib3.Timeout(total=timeout_seconds),
            headers={"user-agent": AGENT, "accept": "application/json"},
        )
        self._token: AccessToken | None = None
        self._renewing = threading.Lock()

    def insert(self, resource: Resource, document: Mapping[str, Any]) -> Document:
        """Create a class or object; Google's version of it. Raises GoogleFailed, such as AlreadyExists."""
        refuse_invalid(resource.type_name, document)
        return self._call("POST", f"/{resource}", document)

    def get(self, resource: Resource, identifier: str) -> Document:
        """What Google holds. Raises GoogleFailed (NotFound among others)."""
        return self._call("GET", _path(resource, identifier))

    def patch(self, resource: Resource, identifier: str, patch: Mapping[str, Any]) -> Document:
        """Change what a patch names. Raises GoogleFailed.

        A card whose notifications of the day are used up is changed without one.
        """
        refuse_invalid(resource.type_name, patch, patch=True)
        path = _path(resource, identifier)
        try:
            return self._call("PATCH", path, patch)
        except AlertsUsedUp:
            return self._call("PATCH", path, silent(patch))

    def add_message(self, resource: Resource, identifier: str, message: Mapping[str, Any]) -> bool:
        """Put a message on one card, or on all of a class; whether it notifies. Raises GoogleFailed.

        A card whose notifications of the day are used up gets it without one.
        """
        body = add_message(message)
        path = f"{_path(resource, identifier)}/addMessage"
        try:
            self._call("POST", path, body, repeatable=not notifies(body))
        except AlertsUsedUp:
            self._call("POST", path, silent(body))
            return False
        return notifies(body)

    def check(self) -> timedelta | None:
        """Get a new token, so that a setup can be tried. Raises GoogleFailed.

        Returns by how much our clock is ahead of Google's (None: it did not
        say); a minute is too much for links and for rotating codes.
        """
        with self._renewing:
            self._token, server_time = self._fetch_token()
            return None if server_time is None else self._clock() - server_time

    def close(self) -> None:
        """Let go of connections."""
        self._pool.clear()

    # Calling ------------------------------------------------------------------

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, repeatable: bool = True
    ) -> Document:
        refused_token: AccessToken | None = None
        tries = 0
        while True:
            token = None
            try:
                token = self._access_token(refused_token)
                self._wait_for_turn()
                status, headers, answer = self._exchange(
                    method,
                    f"{self._root}{path}",
                    None if body is None else orjson.dumps(body),
                    {"authorization": f"Bearer {token.value}", "content-type": "application/json"},
                )
            except TryLater as trouble:
                if token is not None and not repeatable:
                    raise
                reason, asked = str(trouble), None
            else:
                if 200 <= status < 300:
                    return answer
                problem = problem_of(status, answer)
                if status == 401 and refused_token is None:
                    refused_token = token
                    continue
                self._raise_if_final(problem, body)
                if status >= 500 and not repeatable:
                    raise TryLater(str(problem), self._later())
                reason, asked = (
                    str(problem),
                    retry_after_seconds(headers.get("retry-after"), now=self._clock()),
                )
            tries += 1
            if asked is not None and asked > self._patience_seconds:
                raise TryLater(reason, asked)
            if tries >= self._tries_max:
                raise TryLater(reason, max(asked or 0.0, self._later()))
            self._pause(max(asked or 0.0, self._jitter() * self._backoff_seconds * 2 ** (tries - 1)))

    def _raise_if_final(self, problem: Problem, body: Mapping[str, Any] | None) -> None:
        """Raise for what a repetition cannot help; return for what it may."""
        status = problem.http_status
        if status < 500 and body is not None and notifies(body) and problem.is_about_alerts:
            raise AlertsUsedUp(problem)
        if status >= 500 or problem.is_about_rate:
            return
        if status == 401:
            raise AccountRefused(f"Google does not accept the token it has just given: {problem}.")
        if status == 403:
            raise AccountRefused(
                f"Google refuses the service account {self._account.email}: invite it in the Google Pay & "
                f"Wallet Console with Developer access, and check the issuer id. It says: {problem}"
            )
        raise {404: NotFound, 409: AlreadyExists}.get(status, Refused)(problem)

    def _exchange(
        self, method: str, address: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], Document]:
        """One request and its answer. Raises TryLater when there is none."""
        try:
            response = self._pool.request(
                method,
                address,
                body=body,
                headers={**self._pool.headers, **headers},
                redirect=False,
                preload_content=False,
            )
            try:
                raw = response.read(ANSWER_BYTES_MAX + 1)
                # A connection with more to come cannot be used again.
                if len(raw) > ANSWER_BYTES_MAX:
                    response.close()
                    raise TryLater("Google's answer is too long", self._later())
            finally:
                response.release_conn()
        except HTTPError as error:
            # Its own words would quote the address.
            raise TryLater(f"Google cannot be reached: {type(error).__name__}", self._later()) from None
        return response.status, response.headers, _json_object(raw)

    def _wait_for_turn(self) -> None:
        if (seconds := self._pace()) > 0:
            self._pause(seconds)

    def _later(self) -> float:
        """Seconds until the next round, by chance longer, so that many do not come back together."""
        return self._later_seconds * (1 + self._jitter() / 2)

    # The token ----------------------------------------------------------------

    def _access_token(self, refused: AccessToken | None) -> AccessToken:
        """The token in hand, or a new one: when there is none, it ends soon, or it is the `refused` one."""
        with self._renewing:
            held = self._token
            if held is not None and held is not refused and held.usable(self._clock()):
                return held
            self._token = None
            self._token, _ = self._fetch_token()
            return self._token

    def _fetch_token(self) -> tuple[AccessToken, datetime | None]:
        """A new token, and the time at Google when it was made. Raises TryLater, AccountRefused."""
        now = self._clock()
        assertion = self._account.assertion(audience=self._token_address, now=now)
        status, headers, answer = self._exchange(
            "POST",
            self._token_address,
            urlencode({"grant_type": GRANT_TYPE, "assertion": assertion}).encode("ascii"),
            {"content-type": "application/x-www-form-urlencoded"},
        )
        if status == 200 and (token := token_of(answer, now=now)) is not None:
            return token, date_of(headers.get("date"))
        problem = problem_of(status, answer)
        if status in (400, 401, 403):
            raise AccountRefused(
                f"Google gives the service account {self._account.email} no token: its key may have been "
                f"withdrawn, or this machine's clock is wrong. It says: {problem}"
            )
        raise TryLater(f"Google gave no token: {problem}", self._later())


@dataclass(frozen=True, slots=True)
class Seen:
    """What an address answers to somebody who comes without any key."""

    status: int
    content_type: str
    body: bytes


def look(
    address: str, *, method: str = "GET", body: bytes | None = None, timeout_seconds: float = 10
) -> Seen:
    """Look at an address of ours from outside, as Google does: without following it elsewhere.

    Raises TryLater where nothing answers.
    """
    with urllib3.PoolManager(
        retries=False, timeout=urllib3.Timeout(total=timeout_seconds), headers={"user-agent": AGENT}
    ) as pool:
        try:
            response = pool.request(method, address, body=body, redirect=False, preload_content=False)
            seen = response.read(ANSWER_BYTES_MAX)
            response.close()
        except HTTPError as error:
            raise TryLater(f"{address} does not answer: {type(error).__name__}", timeout_seconds) from None
    return Seen(response.status, response.headers.get("content-type", ""), seen)


def fetch_root_keys(address: str, *, timeout_seconds: float = 5) -> Published:
    """The keys that vouch for callbacks, and how long their address says they hold.

    Raises KeysUnavailable.
    """
    with urllib3.PoolManager(
        retries=False, timeout=urllib3.Timeout(total=timeout_seconds), headers={"user-agent": AGENT}
    ) as pool:
        try:
            response = pool.request("GET", address, redirect=False, preload_content=False)
            body = response.read(KEYS_BYTES_MAX + 1)
            response.close()
        except HTTPError as error:
            raise KeysUnavailable(f"the address cannot be reached: {type(error).__name__}") from None
    if response.status != 200 or len(body) > KEYS_BYTES_MAX:
        raise KeysUnavailable(f"the address answers {response.status} with {len(body)} bytes")
    return Published(body, _life(response.headers.get("cache-control", ""), response.headers.get("age", "")))


def _life(cache_control: str, age: str) -> timedelta | None:
    """What is left of `max-age` after `Age` (RFC 9111, 4.2); None when nothing is said."""
    found = re.search(r"(?:^|[,\s])max-age=\"?([0-9]{1,9})", cache_control, re.ASCII | re.IGNORECASE)
    if found is None:
        return None
    passed = int(age) if re.fullmatch(r"[0-9]{1,9}", age.strip(), re.ASCII) else 0
    return timedelta(seconds=max(0, int(found[1]) - passed))


def _path(resource: Resource, identifier: str) -> str:
    if not RESOURCE.fullmatch(identifier):
        raise DocumentInvalid("the id must be the issuer, a dot, and letters, digits, . _ -")
    return f"/{resource}/{quote(identifier, safe='')}"


def _json_object(raw: bytes) -> Document:
    try:
        found = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
