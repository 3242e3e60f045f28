"""The throw-away chain and the request for the real certificate."""

from __future__ import annotations

import socket
import ssl
import stat
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from passes.apple import signing
from passes.apple.certificates import CHAIN_FILES, make_development_chain, make_request
from tests.apple.cards import NOW, PASS_TYPE, TEAM


def make(
    folder: Path, *, pass_type: str = PASS_TYPE, team: str = TEAM, now: datetime = NOW
) -> dict[str, bytes]:
    """Make the chain and read what is there then."""
    make_development_chain(folder, pass_type=pass_type, team=team, now=now)
    return {name: (folder / name).read_bytes() for name in CHAIN_FILES}


def load(folder: Path, *, now: datetime = NOW) -> signing.Signer:
    """The signer of a folder."""
    return signing.load(
        certificate=(folder / "pass.pem").read_bytes(),
        key=(folder / "pass.key").read_bytes(),
        intermediate=(folder / "wwdr.pem").read_bytes(),
        root=(folder / "root.pem").read_bytes(),
        pass_type=PASS_TYPE,
        team=TEAM,
        now=now,
    )


@pytest.mark.check("A-126")
def test_the_chain_signs_like_apples_and_says_that_it_is_not(tmp_path: Path) -> None:
    make(tmp_path / "dev")
    ours = load(tmp_path / "dev")
    assert ours.development
    for certificate in (ours.certificate, ours.intermediate):
        assert "not Apple" in certificate.subject.rfc4514_string()
    assert ours.intermediate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)[0].value == "G4"
    usage = ours.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.CLIENT_AUTH in usage
    assert ExtendedKeyUsageOID.EMAIL_PROTECTION not in usage


def test_exactly_the_six_files_are_written_and_only_keys_are_private(tmp_path: Path) -> None:
    make(tmp_path / "dev")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "dev").iterdir()}
    assert set(modes) == set(CHAIN_FILES)
    assert {name for name, mode in modes.items() if mode == 0o600} == {"pass.key", "apns.key"}
    assert [path.name for path in tmp_path.iterdir()] == ["dev"]


def test_a_good_chain_is_left_alone(tmp_path: Path) -> None:
    assert make(tmp_path / "dev") == make(tmp_path / "dev", now=NOW + timedelta(days=300))


@pytest.mark.parametrize(
    "change",
    [
        {"now": NOW + timedelta(days=390)},
        {"now": NOW - timedelta(days=30)},
        {"pass_type": "pass.org.example.other"},
        {"team": "OTHERTEAM1"},
    ],
)
def test_a_chain_that_is_ending_or_for_something_else_is_replaced(
    tmp_path: Path, change: dict[str, str]
) -> None:
    before = make(tmp_path / "dev")
    (tmp_path / "dev" / "README").write_text("mine")
    after = make(tmp_path / "dev", **change)  # type: ignore[arg-type]
    assert not set(before.values()) & set(after.values())
    assert (tmp_path / "dev" / "README").read_text() == "mine"


@pytest.mark.parametrize("broken", CHAIN_FILES)
def test_a_damaged_or_incomplete_chain_is_replaced(tmp_path: Path, broken: str) -> None:
    before = make(tmp_path / "dev")
    (tmp_path / "dev" / broken).unlink()
    middle = make(tmp_path / "dev")
    assert before["root.pem"] != middle["root.pem"]
    (tmp_path / "dev" / broken).write_bytes(before[broken])
    assert make(tmp_path / "dev")["root.pem"] != middle["root.pem"]
    load(tmp_path / "dev")


def test_several_processes_end_up_with_one_chain(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        made = [pool.submit(make, tmp_path / "dev") for _ in range(6)]
        chains = [each.result(timeout=60) for each in made]
    assert all(each == chains[0] for each in chains)
    load(tmp_path / "dev")


def test_the_chain_serves_a_push_connection_in_both_directions(tmp_path: Path) -> None:
    folder = tmp_path / "dev"
    make(folder)
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "root.pem"))
    server_context.load_cert_chain(folder / "apns.pem", folder / "apns.key")
    server_context.verify_mode = ssl.CERT_REQUIRED
    client_context = ssl.create_default_context(cafile=str(folder / "root.pem"))
    together = tmp_path / "client.pem"
    together.write_bytes((folder / "pass.pem").read_bytes() + (folder / "wwdr.pem").read_bytes())
    client_context.load_cert_chain(together, folder / "pass.key")

    for host in ("127.0.0.1", "localhost", "::1"):
        near, far = socket.socketpair()
        seen: list[object] = []

        def serve(far: socket.socket = far, seen: list[object] = seen) -> None:
            with server_context.wrap_socket(far, server_side=True) as secured:
                seen.append(secured.getpeercert())
                secured.send(b"ok")

        thread = Thread(target=serve)
        thread.start()
        with client_context.wrap_socket(near, server_hostname=host) as secured:
            assert secured.recv(2) == b"ok"
        thread.join(10)
        assert PASS_TYPE in str(seen[0])


@pytest.mark.check("A-125")
def test_a_request_is_made_without_a_mac_and_its_key_is_private(tmp_path: Path) -> None:
    key_file, request_file = make_request(tmp_path, pass_type=PASS_TYPE, email="ana@example.org")
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    request = x509.load_pem_x509_csr(request_file.read_bytes())
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert request.is_signature_valid
    assert request.public_key() == key.public_key()
    assert PASS_TYPE in request.subject.rfc4514_string()


@pytest.mark.check("A-125")
def test_a_key_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    key_file, request_file = make_request(tmp_path, pass_type=PASS_TYPE, password=b"open sesame")
    before = key_file.read_bytes(), request_file.read_bytes()
    assert b"ENCRYPTED" in before[0]
    with pytest.raises(FileExistsError):
        make_request(tmp_path, pass_type=PASS_TYPE)
    assert (key_file.read_bytes(), request_file.read_bytes()) == before
