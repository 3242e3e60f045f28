"""The door of webhooks: nothing inside this network is reached, and no receiver can hold it open."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from passes.loyalty.refusals import WebhookAddressInvalid
from passes.webhooks.addresses import may_be_reached, read
from passes.webhooks.door import ANSWER_BYTES_MAX, Answer, Door, Silence
from tests.certificates_for_tests import Authority
from tests.receiver import Receiver, Reply

BODY, HEADERS = b'{"type":"ping"}', {"webhook-id": "ping_1"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


@pytest.fixture
def door() -> Door:
    """In development, and in a hurry."""
    return Door(development=True, read_seconds=0.3, whole_seconds=0.8)


def sent(door: Door, address: str) -> Answer | Silence:
    with door.line(address) as line:
        return line.send(BODY, HEADERS)


# Where messages go -------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "http://shop.example/hooks",
        "http://127.0.0.1:8080/hooks",
        "ftp://shop.example/hooks",
        "file:///etc/passwd",
        "https:///hooks",
        "https://user:secret@shop.example/hooks",
        "https://shop.example/hooks#part",
        "https://shop.example:0/",
        "https://shop.example:65536/",
        "https://shop.example/a b",
        "https://shop.example/\r\nHost: inside",
        "https://şhop.example/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://inside.localhost/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://10.0.0.8/",
        "https://192.168.1.20/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[fe80::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:10.0.0.8]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::a00:8]/",
        "https://[2002:a00:8::1]/",
        "https://0.0.0.0/",
        "https://[::]/",
        f"https://shop.example/{'x' * 500}",
        "shop.example",
        "",
    ],
)
def test_such_an_address_is_no_webhook(address: str) -> None:
    with pytest.raises(WebhookAddressInvalid):
        read(address, development=False)


@pytest.mark.parametrize(
    ("address", "authority", "path"),
    [
        ("https://shop.example", "shop.example", "/"),
        ("https://SHOP.example:443/hooks?to=us&x=%20", "shop.example", "/hooks?to=us&x=%20"),
        ("https://shop.example:8443/hooks", "shop.example:8443", "/hooks"),
        ("https://xn--hop-3ja.example/", "xn--hop-3ja.example", "/"),
        ("https://9.9.9.9/", "9.9.9.9", "/"),
        ("https://[2620:fe::fe]:8443/", "[2620:fe::fe]:8443", "/"),
    ],
)
def test_such_an_address_is_one(address: str, authority: str, path: str) -> None:
    target = read(address, development=False)
    assert (target.authority, target.path) == (authority, path)


def test_only_development_goes_to_this_machine_and_never_further_inside() -> None:
    for address in ("http://127.0.0.1:9/", "http://localhost:9/", "http://[::1]:9/", "https://localhost/"):
        read(address, development=True)
    for address in ("http://shop.example/", "http://10.0.0.8/", "https://10.0.0.8/", "https://[fd00::1]/"):
        with pytest.raises(WebhookAddressInvalid):
            read(address, development=True)


INSIDE = """
10.1.2.3 100.64.0.1 127.0.0.1 169.254.0.1 172.16.0.1 192.168.0.1 198.18.0.1 192.0.0.170 224.0.0.1 240.0.0.1
255.255.255.255 0.1.2.3 ::1 fe80::1 fec0::1 fd12::1 ff02::1 2001:db8::1 2001::1 ::ffff:192.168.0.1
2002:7f00:1:: ::7f00:1
"""


@pytest.mark.parametrize("number", INSIDE.split())
def test_no_number_of_this_network_is_reached(number: str) -> None:
    assert not may_be_reached(ip_address(number), development=False)


def test_numbers_of_the_internet_are_reached() -> None:
    for number in ("9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9"):
        assert may_be_reached(ip_address(number), development=False)


def resolves_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[Any]:
    """A name's addresses, each time it is asked for the next; returns where connections went to."""
    asked, reached = iter(answers), []

    def look_up(_host: str, port: int, **_options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port)) for place in next(asked)]

    def connect(place: tuple[str, int], _seconds: float) -> socket.socket:
        reached.append(place)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect)
    return reached


@pytest.mark.parametrize(
    "inside", [["10.0.0.8"], ["127.0.0.1"], ["169.254.169.254"], ["9.9.9.9", "10.0.0.8"]]
)
def test_a_name_that_leads_inside_is_not_followed(monkeypatch: pytest.MonkeyPatch, inside: list[str]) -> None:
    reached = resolves_to(monkeypatch, inside)
    said = sent(Door(development=False), "https://shop.example/hooks")
    assert said.words == "The name leads to an address inside this network, where messages do not go."
    assert reached == []


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    # A name that would lead inside the second time is not asked a second time.
    reached = resolves_to(monkeypatch, ["9.9.9.9"], ["10.0.0.8"])
    said = sent(Door(development=False), "https://shop.example/hooks")
    assert said.words == "The connection was refused."
    assert reached == [("9.9.9.9", 443)]


def test_an_address_that_was_fit_for_development_is_refused_in_production(receiver: Receiver) -> None:
    assert isinstance(sent(Door(development=False), receiver.address), Silence)
    assert receiver.messages == []


# Certificates ------------------------------------------------------------------------


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Receiver, Authority]]:
    """A receiver behind TLS, and who vouches for it."""
    authority = Authority(tmp_path / "ca", "Somebody")
    identity = authority.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    opened = Receiver(context=context)
    yield opened, authority
    opened.close()


def test_a_certificate_is_verified_against_the_name(
    secure: tuple[Receiver, Authority], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, authority = secure
    trusting = Door(development=True, ca_file=authority.certificate)
    for host in ("127.0.0.1", "localhost"):
        said = sent(trusting, f"https://{host}:{receiver.port}/hooks")
        assert isinstance(said, Answer), said
        assert receiver.messages[-1].headers["host"] == f"{host}:{receiver.port}"
    # Trusted for another name only.
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _host, *rest, **kind: look_up("127.0.0.1", *rest, **kind)
    )
    wrong = sent(trusting, f"https://shop.example:{receiver.port}/hooks")
    assert "certificate is not trusted: Hostname mismatch" in wrong.words
    assert len(receiver.messages) == 2


def test_a_certificate_that_nobody_vouches_for_is_refused(secure: tuple[Receiver, Authority]) -> None:
    said = sent(Door(development=True), f"https://127.0.0.1:{secure[0].port}/hooks")
    assert isinstance(said, Silence)
    assert "certificate is not trusted" in said.words
    assert secure[0].messages == []


def test_who_speaks_no_tls_gets_nothing(receiver: Receiver, door: Door) -> None:
    said = sent(door, f"https://127.0.0.1:{receiver.port}/hooks")
    assert isinstance(said, Silence)
    assert receiver.messages == []


def test_a_handshake_without_end_is_cut_off(door: Door) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                for byte in b"\x16\x03\x03\x3f\xff" + bytes(100):
                    connection.send(bytes([byte]))
                    time.sleep(0.1)

        threading.Thread(target=drip, daemon=True).start()
        begun = time.monotonic()
        said = sent(door, f"https://127.0.0.1:{server.getsockname()[1]}/")
    assert said.words == "The receiver took too long."
    assert time.monotonic() - begun < 2


# What receivers do -------------------------------------------------------------------


def test_messages_in_a_row_share_a_connection(receiver: Receiver, door: Door) -> None:
    with door.line(receiver.address) as line:
        answers = [line.send(BODY, HEADERS) for _ in range(5)]
    assert {answer.status for answer in answers if isinstance(answer, Answer)} == {204}
    assert (len(receiver.messages), receiver.connections) == (5, 1)
    assert receiver.messages[0].body == BODY
    assert receiver.messages[0].headers["webhook-id"] == "ping_1"


def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver, door: Door) -> None:
    receiver.script = lambda _message, _number: Reply(307, {"Location": receiver.address + "/elsewhere"})
    said = sent(door, receiver.address)
    assert isinstance(said, Answer)
    assert (said.status, len(receiver.messages)) == (307, 1)


def test_no_more_of_an_answer_is_read_than_is_worth_it(receiver: Receiver, door: Door) -> None:
    receiver.script = lambda _message, _number: Reply(200, body=b"x" * (ANSWER_BYTES_MAX * 200))
    with door.line(receiver.address) as line:
        first, second = line.send(BODY, HEADERS), line.send(BODY, HEADERS)
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert (first.status, len(first.words)) == (200, 500)
    # What was left of it is not waited for: the next message has a connection of its own.
    assert receiver.connections == 2


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(hang=20), "The receiver took too long."),
        (Reply(200, drip=True, body=b"slow" * 99), "The receiver took too long."),
        (Reply(close=True), "The receiver hung up."),
    ],
)
def test_who_does_not_answer_in_time_or_at_all_is_left(
    receiver: Receiver, door: Door, reply: Reply, words: str
) -> None:
    receiver.script = lambda _message, _number: reply
    begun = time.monotonic()
    said = sent(door, receiver.address)
    assert time.monotonic() - begun < 2
    assert isinstance(said, Silence)
    assert said.words == words


def test_a_status_counts_even_when_the_body_never_ends(receiver: Receiver, door: Door) -> None:
    receiver.script = lambda _message, _number: Reply(200, {"Content-Length": "1000"}, b"beginning")
    said = sent(door, receiver.address)
    assert isinstance(said, Answer)
    assert (said.status, said.words) == (200, "beginning")


def test_who_hung_up_between_two_messages_gets_the_next_one_anyway(receiver: Receiver, door: Door) -> None:
    receiver.script = lambda _message, number: Reply(close=number == 2)
    with door.line(receiver.address) as line:
        answers = [line.send(BODY, HEADERS) for _ in range(3)]
    assert all(isinstance(answer, Answer) for answer in answers)
    assert receiver.connections == 2


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 999999 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a number\r\n",
        b"\0" * 70_000,
        b"HTTP/1.1 200 " + b"A" * 70_000,
    ],
)
def test_nonsense_is_no_trouble(door: Door, nonsense: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(nonsense)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        said = sent(door, f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join(2)
    assert isinstance(said, Answer | Silence)
    assert "\0" not in said.words


def test_nobody_listens(door: Door) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    said = sent(door, f"http://127.0.0.1:{port}/")
    assert said.words == "The connection was refused."
