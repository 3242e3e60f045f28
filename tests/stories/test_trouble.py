"""Trouble from outside: pushes that fail, a database that is busy or full, certificates that do not fit."""

from __future__ import annotations

import io
import json
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter as Tally
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography.x509.oid import NameOID

from app import create_app
from passes import books
from passes.enrolment import Joined
from passes.settings import Settings
from passes.store import Work
from passes.wiring import DEVELOPMENT_PASS_TYPE, build
from tests.apple import cards as chain
from tests.cast import Card, rows
from tests.shop import COFFEE, Shop
from tests.stories.town import (
    ROOT,
    Town,
    all_told,
    at_the_till,
    browser,
    install,
    push_token,
    shown_balance,
    until,
    with_phones,
)
from tests.web.visitor import Page, Visitor

pytestmark = [pytest.mark.story, pytest.mark.slow]


# The push service ---------------------------------------------------------------------


@pytest.mark.check("A-109")
def test_a_push_service_that_is_silent_or_gone_delays_no_purchase(town: Town) -> None:
    town.start("serve", "worker", "emulate")
    with town.counter() as (shop, keys):
        ana = shop.join(keys=keys)
        serial = install(town, browser(town.web_url).get(f"/card/{ana.link_secret}"))
        crowd = [card.code for card in with_phones(shop, keys, 12)]
        cashier = at_the_till(browser(town.web_url))

        def purchases(stage: str, amount_minor: int) -> list[float]:
            # The same amount again would be asked about.
            seconds, amount = [], f"{amount_minor / 100:.2f}"
            for number, code in enumerate([*crowd, ana.code]):
                form = cashier.get(f"/till/card/{code}?visit={stage}-{number:04}").form("amount")
                began = time.monotonic()
                page = cashier.send(form, amount=amount, confirmed=str(amount_minor), follow=False)
                seconds.append(time.monotonic() - began)
                assert page.status == 303
            return seconds

        up = purchases("answering", 100)
        until(lambda: shown_balance(town, serial) == "110", what="110 beans on the phone")
        town.faults(withhold=True)
        silent = purchases("silent", 101)
        town.faults(clear=True, go_down=True)
        down = purchases("gone", 102)
        for seconds in (silent, down):
            assert statistics.median(seconds) <= 3 * statistics.median(up) + 0.25
            assert max(seconds) < 3
        assert rows(shop.store, "owed")

        town.faults(come_back=True)
        town.pass_time(200)
        until(lambda: all_told(shop), what="everybody told")
        until(lambda: shown_balance(town, serial) == "130", what="130 beans on the phone")


@pytest.mark.check("A-103")
def test_half_of_the_pushes_refused_reach_every_phone_that_still_exists(town: Town) -> None:
    town.start("emulate")
    with town.counter() as (shop, keys):
        cards = with_phones(shop, keys, 60)
        gone_ms = int((town.now() + timedelta(seconds=1)).timestamp() * 1000)
        town.faults(share={"part": 0.2, "status": 503, "reason": "ServiceUnavailable"})
        town.faults(share={"part": 0.15, "status": 429, "reason": "TooManyRequests"})
        town.faults(
            share={"part": 0.15, "status": 410, "reason": "Unregistered", "timestamp_ms": gone_ms},
            goaway_every=25,
        )
        for card in cards:
            shop.buy(card.code, 500)
        town.start("worker")
        tokens = {push_token(number) for number in range(60)}
        until(lambda: {push["token"] for push in town.pushes()} >= tokens, what="a push to every phone")
        until(lambda: not rows(shop.store, "owed", "attempts = 0"), what="every answer written down")
        first = town.pushes()
        dead = {push["token"] for push in first if push["status"] == 410}
        slowed = {push["token"] for push in first if push["status"] == 429}
        assert {push["status"] for push in first} >= {200, 410, 429, 503}
        assert max(Tally(push["token"] for push in first if push["token"] in slowed).values()) == 1

        town.faults(clear=True)
        town.pass_time(100)
        until(lambda: all_told(shop), what="everybody told")
        told = {push["token"] for push in town.pushes() if push["status"] == 200}
        assert told == tokens - dead
        assert {device["push_token"] for device in rows(shop.store, "device")} == told
        assert not dead & {push["token"] for push in town.pushes()[len(first) :]}


def test_two_workers_share_the_pushes_and_double_none(town_on_postgresql: Town) -> None:
    town = town_on_postgresql
    town.start("emulate", "worker", "worker 2")
    with town.counter() as (shop, keys):
        cards = with_phones(shop, keys, 300)
        # Nobody downloaded these cards, so each phone hears of the welcome first.
        until(lambda: all_told(shop), what="everybody told of the welcome")
        # Go on once both workers have shown that they are awake.
        for card in cards:
            shop.buy(card.code, 100)
            until(lambda: all_told(shop), what="everybody told")
            if len({push["connection"] for push in town.pushes()}) == 2:
                break
        before = len(town.pushes())
        # Four counters at once, so that news comes in while pushes are on their way.
        threads = [threading.Thread(target=_buy_all, args=(shop, cards[part::4])) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: all_told(shop), what="everybody told of the purchase")
        pushes = town.pushes()[before:]
        tokens = Tally(push["token"] for push in pushes)
        assert set(tokens) == {push_token(number) for number in range(300)}
        assert set(tokens.values()) == {1}
        assert {push["status"] for push in pushes} == {200}
        assert len({push["connection"] for push in pushes}) == 2, "both workers pushed"


def _buy_all(shop: Shop, cards: list[Card]) -> None:
    for card in cards:
        shop.buy(card.code, 500)


# The database ---------------------------------------------------------------------------


@contextmanager
def locked(town: Town, card_id: int) -> Iterator[None]:
    """Another program holds the database (SQLite) or the rows of a card (PostgreSQL)."""
    if town.database_url.startswith("sqlite"):
        other = sqlite3.connect(town.database_url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
            other.close()
    else:
        with psycopg.connect(town.database_url.replace("+psycopg", "")) as connection:
            connection.execute("SELECT id FROM card WHERE id = %s FOR UPDATE", [card_id])
            yield
            connection.rollback()


def test_a_locked_database_is_told_in_words_and_the_same_form_books_once_afterwards(town: Town) -> None:
    town.start("serve")
    cashier = at_the_till(browser(town.web_url))
    cashier.headers = {"Accept-Language": "tr"}
    with town.counter() as (shop, keys):
        ana = shop.join(keys=keys)
        form = cashier.get(f"/till/card/{ana.code}?visit=patience").form("amount")
        before = books.verify(shop.store)
        with locked(town, ana.card_id):
            page = cashier.send(form, amount="1,00", confirmed="100")
        assert page.status == 503
        assert "Sistem meşgul. Hiçbir şey kaydedilmedi; yeniden deneyin." in page.text
        assert page.form("amount").values["visit"] == "patience", "the page can be sent again"
        assert books.verify(shop.store) == before
        assert shop.balance(ana.code) == 100

        booked = [cashier.send(form, amount="1,00", confirmed="100").address for _ in range(2)]
        assert "/done/" in booked[0]
        assert booked[0] == booked[1]
        assert shop.balance(ana.code) == 110


def test_till_and_worker_outlive_an_absence_of_the_database(
    town_on_postgresql: Town, postgres_maintenance: psycopg.Connection
) -> None:
    town = town_on_postgresql
    town.start("serve", "worker", "emulate")
    cashier = at_the_till(browser(town.web_url))
    with town.counter() as (shop, keys):
        ana = shop.join(keys=keys)
        serial = install(town, browser(town.web_url).get(f"/card/{ana.link_secret}"))
    form = cashier.get(f"/till/card/{ana.code}?visit=patience").form("amount")
    name = town.database_url.rpartition("/")[2]
    postgres_maintenance.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgres_maintenance.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
    )
    for _ in range(5):
        page = cashier.send(form, amount="1.00", confirmed="100")
        assert page.status == 503
        assert "The system is busy. Nothing was booked; try again." in page.text
    nothing = "the database takes nothing just now"
    until(lambda: nothing in town.log("worker"), what="the worker to miss the database")
    postgres_maintenance.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    assert "/done/" in cashier.send(form, amount="1.00", confirmed="100").address
    until(lambda: shown_balance(town, serial) == "110", what="110 beans on the phone")
    assert town.running["worker"].poll() is None
    assert town.log("worker").count(nothing) == 1
    with town.counter() as (shop, _):
        assert shop.balance(ana.code) == 110


def book(cashier: Visitor, crowd: list[Joined], number: int) -> Page:
    """A purchase of a little over 1.00, entered by somebody who reads Turkish, in a visit of that number.

    Everybody comes four times, and never with the same amount: nothing else needs a manager or a question.
    """
    form = cashier.get(f"/till/card/{crowd[number // 4].code}?visit=purchase-{number}").form("amount")
    return cashier.send(form, amount=f"1,0{number % 4}", confirmed=f"10{number % 4}")


def test_a_full_database_is_told_in_words_and_changes_nothing(town_on_sqlite: Town) -> None:
    town = town_on_sqlite
    with closing(build(Settings.read(town.environment), writer_thread=True)) as installation:
        cashier = at_the_till(Visitor(create_app(installation), Accept_Language="tr"))
        shop = Shop(installation.store, town.now())
        crowd = [shop.join(keys=installation.keys) for _ in range(125)]

        def leave_room(pages: int) -> None:
            def limit(work: Work) -> None:
                held = work._connection.execute("PRAGMA page_count").fetchone()[0]
                work._connection.execute(f"PRAGMA max_page_count={held + pages}")

            installation.store.write(limit)

        leave_room(pages=0)
        booked = 0
        while "/done/" in (page := book(cashier, crowd, booked)).address:
            booked += 1
            assert booked < 500, "the database never filled up"
        assert page.status == 507
        assert "Hiçbir şey kaydedilmedi: depolama alanı dolu. İşletmeciye haber verin." in page.text
        assert sum(shop.balance(one.code) for one in crowd) == 100 * len(crowd) + 10 * booked
        assert len(rows(shop.store, "receipt", "person IS NOT NULL")) == booked
        assert books.verify(shop.store).problems == ()

        leave_room(pages=1000)
        cents = booked % 4
        last = cashier.send(page.form("amount"), amount=f"1,0{cents}", confirmed=f"10{cents}")
        assert "/done/" in last.address
        assert sum(shop.balance(one.code) for one in crowd) == 100 * len(crowd) + 10 * (booked + 1)


# Certificates -----------------------------------------------------------------------------


def fitting(**changes: bytes) -> dict[str, bytes]:
    """Certificate files that fit each other and the demonstration's cards, but for the changes."""
    issuer = chain.intermediate()
    leaf = chain.leaf(issuer, pass_type=DEVELOPMENT_PASS_TYPE)
    return {
        "root.pem": chain.authority().pem,
        "wwdr.pem": issuer.pem,
        "pass.pem": leaf.pem,
        "pass.key": leaf.key_pem,
        **{name.replace("_", "."): content for name, content in changes.items()},
    }


def misfits() -> dict[str, tuple[dict[str, bytes], str]]:
    """Folders that cannot work, and what the operator must be told."""
    day = timedelta(days=1)
    issuer = chain.intermediate()
    ours = DEVELOPMENT_PASS_TYPE
    nobody = {NameOID.USER_ID: ours, NameOID.COMMON_NAME: "x"}
    teamless = chain.issue(nobody, chain.rsa_key("leaf", 2048), issuer)
    old = chain.intermediate("G3")
    return {
        "key": (
            fitting(pass_key=chain.leaf(key="another").key_pem),
            "The key does not belong to the certificate",
        ),
        "pass type": (
            fitting(pass_pem=chain.leaf(issuer, pass_type="pass.org.example.other").pem),
            f"The cards of the programme copperfinch have the pass type {ours}, "
            "but the certificate is for pass.org.example.other",
        ),
        "team": (fitting(pass_pem=teamless.pem), "it names no team"),
        "generation": (
            fitting(wwdr_pem=old.pem, pass_pem=chain.leaf(old, pass_type=ours).pem),
            "The intermediate is WWDR G3, under which phones accept no passes",
        ),
        "root": (
            fitting(root_pem=chain.authority("Other Root").pem),
            "was not issued by the root Other Root",
        ),
        "expired": (
            fitting(pass_pem=chain.leaf(issuer, pass_type=ours, ends=chain.NOW - day).pem),
            "The certificate expired on 2026-03-13",
        ),
        "tomorrow": (
            fitting(pass_pem=chain.leaf(issuer, pass_type=ours, starts=chain.NOW + day).pem),
            "The certificate is not valid before 2026-03-15 10:00 UTC",
        ),
    }


def command(town: Town, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command to its end, with the certificates of this folder."""
    return subprocess.run(
        [sys.executable, "-m", "passes", *arguments],
        cwd=ROOT,
        env={**town.environment, "PASSES_CERTS": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def folder_of(town: Town, name: str, files: dict[str, bytes]) -> Path:
    folder = town.folder / f"certificates, {name}"
    folder.mkdir()
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return folder


@pytest.mark.check("A-22", "A-120")
def test_certificates_that_do_not_fit_keep_the_service_from_starting(town_on_sqlite: Town) -> None:
    town = town_on_sqlite
    town.pass_time((chain.NOW - town.now()).total_seconds())
    wrong = misfits()
    folders = [folder_of(town, name, files) for name, (files, _) in wrong.items()]
    with ThreadPoolExecutor(2) as two:
        ended = two.map(lambda folder: command(town, folder, "serve"), folders)
        for (name, (_, words)), serving in zip(wrong.items(), ended, strict=True):
            assert (serving.returncode, serving.stdout) == (1, ""), name
            assert words in serving.stderr, name
            assert len(serving.stderr.splitlines()) == 1, name
            assert serving.stderr.rstrip().endswith((".", "?")), name

    # Those that fit do work, and a card says what its certificate says, whoever's it is.
    with town.counter() as (shop, keys):
        code = shop.join(keys=keys).code
    moved = folder_of(
        town,
        "another team",
        fitting(pass_pem=chain.leaf(pass_type=DEVELOPMENT_PASS_TYPE, team="OTHERTEAM1").pem),
    )
    file = town.folder / "ana.pkpass"
    written = command(town, moved, "card", COFFEE, code, "--output", str(file))
    assert (written.returncode, written.stderr) == (0, "")
    with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
        card = json.loads(archive.read("pass.json"))
    assert card["passTypeIdentifier"] == DEVELOPMENT_PASS_TYPE
    assert card["teamIdentifier"] == "OTHERTEAM1"
