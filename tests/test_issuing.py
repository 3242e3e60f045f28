"""What a card says, and who gets it."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from passes import due_work, issuing, showing
from passes.apple import certificates, signing
from passes.apple.document import DocumentInvalid
from passes.issuing import CardGone, Office
from passes.loyalty.card import CardFace, Strip, StripKind
from passes.loyalty.refusals import CardVoided, LinkUnknown
from passes.server_keys import ServerKeys
from passes.store import Store, cards, programmes
from tests.cast import PHONE, PUSH_TOKEN, Card, a_card, an_install, rows
from tests.shop import KEYS, PASS_TYPE, Shop, open_shop

SOME_DAY = datetime.fromisoformat("2026-03-01T00:00:00+00:00")


def make_signer(folder: Path, pass_type: str) -> signing.Signer:
    certificates.make_development_chain(folder, pass_type=pass_type, team="DEVTEAM001", now=SOME_DAY)
    return signing.load(
        certificate=(folder / "pass.pem").read_bytes(),
        key=(folder / "pass.key").read_bytes(),
        intermediate=(folder / "wwdr.pem").read_bytes(),
        now=SOME_DAY,
    )


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    signer = make_signer(tmp_path_factory.mktemp("certs") / "dev", PASS_TYPE)
    return Office(signer=signer, keys=KEYS, web_service_url="https://cards.shop.example/apple")


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    return open_shop(store, now)


@pytest.fixture
def card(shop: Shop) -> Card:
    return a_card(shop)


def face(shop: Shop, card: Card, *, now: datetime | None = None) -> CardFace:
    with shop.store.read() as read:
        loaded = programmes.by_id(read, card.programme_id)
        return showing.face(read, loaded, card.card_id, now=now or shop.now)


@pytest.mark.check("A-90")
def test_a_face_shows_what_was_just_booked(shop: Shop, card: Card) -> None:
    booked = shop.buy(card.code, 1_250)
    shown = face(shop, card)
    assert shown.header.value == booked.balance_after
    assert shown.barcode.message == card.code
    assert any(field.value == "Ana Reyes" for field in shown.row)
    [why] = [field for field in shown.back if field.key == "why"]
    assert "Last change: +125 beans on March 14, 2026." in str(why.value)
    shop.redeem(card.code, "extra-shot")
    [why] = [field for field in face(shop, card).back if field.key == "why"]
    assert "Last change: −150 beans" in str(why.value)


def test_a_tier_outlasts_the_year_in_which_it_was_reached(shop: Shop, card: Card) -> None:
    def tier(now: datetime) -> object:
        return next(field.value for field in face(shop, card, now=now).row if field.key == "tier")

    lowest = tier(shop.now)
    shop.buy(card.code, 45_000)
    assert tier(shop.now) != lowest
    # It is kept through the next year, and reviewed when that has ended in Chicago.
    due_work.run_due(shop.store, now=datetime.fromisoformat("2028-01-01T05:59:59+00:00"))
    assert tier(shop.now) != lowest
    due_work.run_due(shop.store, now=datetime.fromisoformat("2028-01-01T06:00:00+00:00"))
    assert tier(shop.now) == lowest


def test_an_unknown_card_has_no_face(shop: Shop, card: Card) -> None:
    with shop.store.read() as read, pytest.raises(LinkUnknown):
        showing.face(read, programmes.by_id(read, card.programme_id), 1, now=shop.now)


@pytest.mark.check("A-119")
def test_the_same_card_is_issued_again_with_the_same_serial_and_token(
    shop: Shop, card: Card, office: Office
) -> None:
    for minutes in (0, 5):
        at = shop.now + timedelta(minutes=minutes)
        token = issuing.download_token(KEYS, programme_id=card.programme_id, card_id=card.card_id, now=at)
        issued = issuing.download(shop.store, office, token=token, now=at)
        assert card.serial.encode() in bytes(issued.bundle)
        assert card.token.encode() in bytes(issued.bundle)
    assert len(rows(shop.store, "card")) == 1


@pytest.mark.check("A-25")
def test_serial_and_token_outlive_keys_designs_and_certificates(
    shop: Shop, card: Card, office: Office, tmp_path: Path
) -> None:
    renewed = replace(
        office,
        signer=make_signer(tmp_path / "dev", PASS_TYPE),
        keys=ServerKeys({"k1": b"k" * 32, "k2": b"n" * 32}),
    )
    for one in (office, renewed):
        shop.store.write(lambda work: programmes.revise(work, card.programme_id))
        issued = issuing.newest(
            shop.store,
            one,
            pass_type=PASS_TYPE,
            serial=card.serial,
            token=card.token,
            is_fresh=lambda _last_modified: False,
            now=shop.now,
        )
        assert issued is not None
        with zipfile.ZipFile(io.BytesIO(bytes(issued.bundle))) as archive:
            document = json.loads(archive.read("pass.json"))
        assert (document["serialNumber"], document["authenticationToken"]) == (card.serial, card.token)


def test_a_download_remembers_what_it_handed_out(shop: Shop, card: Card, office: Office) -> None:
    shop.buy(card.code, 500)
    issuing.export(shop.store, office, programme="copperfinch", card_id=card.card_id, now=shop.now)
    with shop.store.read() as read:
        facts = cards.facts(read, card.programme_id, card.card_id)
    assert facts is not None
    assert rows(shop.store, "card")[0]["downloaded_revision"] == facts.effective_revision
    an_install(shop, card)
    [registered] = rows(shop.store, "registration")
    assert registered["announced_revision"] == facts.effective_revision


def test_a_withdrawn_card_is_not_handed_out(shop: Shop, card: Card, office: Office) -> None:
    shop.store.write(lambda work: cards.void(work, card.programme_id, card.card_id, now=shop.now))
    with pytest.raises(CardVoided):
        issuing.export(shop.store, office, programme="copperfinch", card_id=card.card_id, now=shop.now)
    with pytest.raises(LinkUnknown):
        issuing.export(shop.store, office, programme="copperfinch", card_id=1, now=shop.now)


def test_a_certificate_of_another_pass_type_signs_nothing(shop: Shop, card: Card, tmp_path: Path) -> None:
    foreign = make_signer(tmp_path / "dev", "pass.somebody.else")
    office = Office(signer=foreign, keys=KEYS, web_service_url="https://cards.shop.example/apple")
    with pytest.raises(DocumentInvalid, match=PASS_TYPE):
        issuing.export(shop.store, office, programme="copperfinch", card_id=card.card_id, now=shop.now)


def test_pictures_are_laid_out_once_for_each_step(shop: Shop, card: Card, office: Office) -> None:
    with shop.store.read() as read:
        programme = programmes.by_id(read, card.programme_id).programme
    strip = Strip(StripKind.PROGRESS, 3, programme.design.steps)
    assert office.templates.of(programme, strip) is office.templates.of(programme, strip)


@pytest.mark.check("A-61")
def test_a_stranger_is_refused_before_anything_is_read(shop: Shop, card: Card) -> None:
    def refuse() -> str:
        raise AssertionError("the body of a stranger was read")

    with pytest.raises(CardGone):
        issuing.register(
            shop.store,
            KEYS,
            library_id=PHONE,
            pass_type=PASS_TYPE,
            serial=card.serial,
            token="wrong",
            read_push_token=refuse,
            now=shop.now,
        )
    assert PUSH_TOKEN not in str(rows(shop.store, "device"))


def test_pictures_drawn_ahead_are_those_that_cards_use(
    shop: Shop, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuing.draw_ahead(shop.store, office)
    card = a_card(shop)
    monkeypatch.setattr("passes.artwork.pictures", lambda *_, **__: pytest.fail("a customer waits for it"))
    with shop.store.read() as read:
        loaded = programmes.by_slug(read, "copperfinch")
        facts = cards.facts(read, card.programme_id, card.card_id)
        assert facts is not None
        face = showing.face_of(read, loaded, facts, now=shop.now)
    assert issuing.pass_file(office, loaded, facts, face, now=shop.now).size > 50_000
