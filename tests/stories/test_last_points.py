"""The last points of a member, claimed by four processes at the same moment: exactly one gets the reward.

Two claim at the till over HTTP, two on the command line, all of them released
by one barrier, fifty times. That this would notice a double win is shown by
taking the guard, and then the lock, out of the product.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stdout
from functools import cache, partial
from typing import Any
from unittest.mock import patch

import pytest

from passes import books, cli, wiring
from passes.apple import signing
from passes.booking import Booking
from passes.google import account
from passes.store import members
from tests.shop import COFFEE, Shop
from tests.stories.town import Town, at_the_till, browser

pytestmark = [pytest.mark.story, pytest.mark.slow]

ROUNDS = 50
REWARD = "extra-shot"  # for 150 beans: 100 for joining and 50 for 5.00
WON, REFUSED = "won", "not_enough_points"
WAIT_SECONDS = 60

# What a claimant does, given the codes of the rounds: one outcome for each.
Claimant = Callable[[list[str]], list[str]]
Barrier = Any  # multiprocessing's has no public type
_barrier: Barrier = None


def claim_at_the_till(web_url: str, codes: list[str]) -> list[str]:
    """Send the form of the reward from a member's page that was loaded before."""
    cashier = at_the_till(browser(web_url))
    outcomes = []
    for code in codes:
        form = cashier.get(f"/till/card/{code}").form("reward", REWARD)
        _barrier.wait(WAIT_SECONDS)
        page = cashier.send(form, reward=REWARD)
        if "/done/" in page.address:
            outcomes.append(WON)
        else:
            assert "Not enough beans: this needs 150, there are 0." in page.text, page.text
            assert page.status == 409
            outcomes.append(REFUSED)
        _barrier.wait(WAIT_SECONDS)
    return outcomes


def claim_on_the_command_line(
    environment: Mapping[str, str], claimant: str, mutation: str, codes: list[str]
) -> list[str]:
    """Run the command with everything it prepares behind it when the barrier falls."""
    os.environ.update(environment)
    build = wiring.build

    def build_and_wait(*given: Any, **options: Any) -> wiring.Installation:
        installation = build(*given, **options)
        with installation.store.read():  # connected
            _barrier.wait(WAIT_SECONDS)
        return installation

    outcomes = []
    with patch.object(wiring, "build", build_and_wait), _without(mutation), _keys_read_once():
        for number, code in enumerate(codes):
            said = io.StringIO()
            try:
                with redirect_stdout(said):
                    cli.main(["redeem", COFFEE, code, REWARD, "--key", f"{claimant}-{number}", "--json"])
                outcomes.append(json.loads(said.getvalue()).get("refused", WON))
            except Exception as error:
                outcomes.append(type(error).__name__)
            _barrier.wait(WAIT_SECONDS)
    return outcomes


@contextmanager
def _keys_read_once() -> Iterator[None]:
    """Checking two RSA keys for every command would take longer than all the rest of it."""
    with (
        patch.object(signing, "_key", cache(signing._key)),
        patch.object(account, "_key", cache(account._key)),
    ):
        yield


@contextmanager
def _without(what: str) -> Iterator[None]:
    """The product with a protection missing: nothing, the `guard` of the balance, or the row `lock`."""
    if what == "guard":
        with patch.object(Booking, "require", lambda *_, **__: None):
            yield
    elif what == "lock":
        with patch.object(members, "_AT_COUNTER", members._LOOK):
            yield
    else:
        yield


def race(claimants: list[Claimant], codes: list[str]) -> list[Tally[str]]:
    """Let every claimant, in a process of its own, claim every code at once; the outcomes of each round."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(claimants))
    with ProcessPoolExecutor(
        len(claimants), mp_context=context, initializer=_keep, initargs=(barrier,)
    ) as processes:
        running = [processes.submit(claimant, codes) for claimant in claimants]
        told = [claim.result(WAIT_SECONDS * 2) for claim in running]
    return [Tally(outcomes) for outcomes in zip(*told, strict=True)]


def _keep(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def with_last_points(town: Town, count: int) -> list[str]:
    """Codes of members who can pay for the reward exactly once."""
    codes = []
    with town.counter() as (shop, keys):
        for number in range(count):
            joined = shop.join(f"Member {number}", keys=keys)
            shop.buy(joined.code, 500)
            codes.append(joined.code)
    return codes


def on_the_command_line(town: Town, names: str, mutation: str = "nothing") -> list[Claimant]:
    return [partial(claim_on_the_command_line, town.environment, name, mutation) for name in names]


def balances(shop: Shop, codes: list[str]) -> set[int]:
    return {shop.balance(code) for code in codes}


@pytest.mark.check("L-60")
def test_the_last_points_are_spent_once_by_four_processes(town: Town) -> None:
    if town.database_url.startswith("postgresql"):
        town.environment["PASSES_WEB_PROCESSES"] = "2"
    town.start("serve")
    codes = with_last_points(town, ROUNDS)
    tills: list[Claimant] = [partial(claim_at_the_till, town.web_url)] * 2
    rounds = race([*tills, *on_the_command_line(town, "ab")], codes)
    assert rounds == [Tally({WON: 1, REFUSED: 3})] * ROUNDS
    with town.counter() as (shop, _):
        assert balances(shop, codes) == {0}
        assert books.verify(shop.store).problems == ()


def test_the_race_notices_a_missing_guard(town_on_sqlite: Town) -> None:
    town = town_on_sqlite
    codes = with_last_points(town, 3)
    rounds = race(on_the_command_line(town, "abcd", "guard"), codes)
    assert rounds == [Tally({WON: 4})] * 3
    with town.counter() as (shop, _):
        assert balances(shop, codes) == {-450}


def test_the_race_notices_a_missing_lock(town_on_postgresql: Town) -> None:
    """A till that does not wait decides on an old balance. Sometimes the lots, which cannot hold
    less than nothing, still stop it; where they were read late enough, two win."""
    town = town_on_postgresql
    codes = with_last_points(town, 10)
    rounds = race(on_the_command_line(town, "abcd", "lock"), codes)
    assert [outcomes for outcomes in rounds if outcomes != Tally({WON: 1, REFUSED: 3})]
