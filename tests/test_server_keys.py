"""Everything that must not be guessed is derived, and nothing of it is stored."""

from __future__ import annotations

import stat
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from passes.loyalty.refusals import LinkUnknown
from passes.server_keys import ServerKeyMissing, ServerKeys

PASS_TYPE = "pass.org.example.loyalty"


@pytest.fixture
def keys(tmp_path: Path) -> ServerKeys:
    return ServerKeys.create(tmp_path / "var" / "server.keys")


@pytest.mark.check("A-24")
def test_a_token_is_long_differs_per_pass_and_is_the_same_for_ever(keys: ServerKeys, tmp_path: Path) -> None:
    token = keys.token("k1", PASS_TYPE, "serial")
    assert len(token) == 32
    assert token.isascii()
    assert token == ServerKeys.load(tmp_path / "var" / "server.keys").token("k1", PASS_TYPE, "serial")
    others = {keys.token("k1", PASS_TYPE, "serial2"), keys.token("k1", PASS_TYPE + "x", "serial")}
    # Where one part ends and the next begins matters too.
    others.add(keys.token("k1", PASS_TYPE + "s", "erial"))
    others.add(ServerKeys({"k1": b"other" * 8}).token("k1", PASS_TYPE, "serial"))
    assert len({token, *others}) == 5


@pytest.mark.check("A-25")
def test_adding_a_key_changes_no_token_of_a_card_in_use(keys: ServerKeys, tmp_path: Path) -> None:
    path = tmp_path / "var" / "server.keys"
    before = keys.token("k1", PASS_TYPE, "serial")
    path.write_text(path.read_text() + "k2 " + "ab" * 32 + "\n")
    rotated = ServerKeys.load(path)
    assert rotated.current_id == "k2"
    assert rotated.token("k1", PASS_TYPE, "serial") == before
    assert rotated.token("k2", PASS_TYPE, "serial") != before


def test_the_key_file_is_its_owners_only_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "server.keys"
    first = ServerKeys.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ServerKeys.create(path).token("k1", "a", "b") == first.token("k1", "a", "b")
    assert [found.name for found in tmp_path.iterdir()] == ["server.keys"]


@pytest.mark.parametrize("text", ["", "k1", "k1 zz", "k1 abcd", "\xff"])
def test_a_damaged_key_file_is_refused_in_a_sentence_without_its_content(tmp_path: Path, text: str) -> None:
    path = tmp_path / "server.keys"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ServerKeyMissing) as refused:
        ServerKeys.load(path)
    assert str(refused.value).endswith(".")
    assert "abcd" not in str(refused.value)
    with pytest.raises(ServerKeyMissing):
        ServerKeys.load(tmp_path / "absent")


@pytest.mark.check("A-115")
def test_a_download_address_opens_one_card_for_ten_minutes(keys: ServerKeys, now: datetime) -> None:
    token = keys.download_token(7, 8, expires_at=now + timedelta(minutes=10))
    assert keys.read_download_token(token, now=now) == (7, 8)
    assert keys.read_download_token(token, now=now + timedelta(seconds=599)) == (7, 8)
    with pytest.raises(LinkUnknown):
        keys.read_download_token(token, now=now + timedelta(minutes=10))


@pytest.mark.check("A-115")
def test_no_changed_letter_of_a_download_address_opens_anything(keys: ServerKeys, now: datetime) -> None:
    token = keys.download_token(7, 8, expires_at=now + timedelta(minutes=10))
    for position, letter in enumerate(token):
        forged = token[:position] + ("B" if letter == "A" else "A") + token[position + 1 :]
        with pytest.raises(LinkUnknown):
            keys.read_download_token(forged, now=now)
    for forged in ("", "A", token + "A", token[:-1], token + "=", "💥", "../../etc"):
        with pytest.raises(LinkUnknown):
            keys.read_download_token(forged, now=now)
    with pytest.raises(LinkUnknown):
        ServerKeys({"k1": b"x" * 32}).read_download_token(token, now=now)


def test_nothing_shows_a_secret(keys: ServerKeys, tmp_path: Path) -> None:
    secret = (tmp_path / "var" / "server.keys").read_text().split()[1]
    assert secret not in repr(keys)
    assert secret not in str(keys)
