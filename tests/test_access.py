"""Staff: passwords, sessions, rights, forms and limits."""

from __future__ import annotations

import hashlib
import time
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from passes import access
from passes.access import Area, Grant, Limit, PasswordCost, Role
from passes.loyalty.refusals import FormStale, NameInvalid, SignInFailed, TooManyTries
from passes.server_keys import ServerKeys
from passes.store import Store, models

CHEAP = PasswordCost(memory_kib=64, passes=1, lanes=1)
PASSWORD = "correct horse battery"
SHOP = "192.0.2.7"
KEYS = ServerKeys({"k1": b"1" * 32})
ELSEWHERE = ServerKeys({"k1": b"2" * 32})


@pytest.fixture
def cy(store: Store, now: datetime) -> int:
    """Cy, who stands at a till but has no programme yet."""
    return access.add_staff(
        store, login="Cy@Shop", name="Cy", password=PASSWORD, grants=[], now=now, cost=CHEAP
    )


def sign_in(store: Store, now: datetime, *, login: str = "cy@shop", password: str = PASSWORD) -> str:
    return access.sign_in(
        store, login=login, password=password, area=Area.TILL, address=SHOP, now=now, cost=CHEAP
    )


def test_a_session_opens_with_the_password_and_the_login_in_any_case(
    store: Store, cy: int, now: datetime
) -> None:
    secret = sign_in(store, now, login=" CY@shop ")
    person = access.session(store, secret=secret, area=Area.TILL, now=now)
    assert person is not None
    assert (person.id, person.name, person.programme) == (cy, "Cy", None)


def test_an_unknown_login_and_a_wrong_password_are_refused_alike(
    store: Store, cy: int, now: datetime
) -> None:
    for login, password in (("cy@shop", "wrong"), ("nobody", PASSWORD), ("", ""), ("cy@shop", "")):
        with pytest.raises(SignInFailed):
            sign_in(store, now, login=login, password=password)


def test_an_unknown_login_takes_as_long_as_a_wrong_password(store: Store, now: datetime) -> None:
    # The decoy is computed with the cost of the day, so the work is the same.
    dear = PasswordCost(memory_kib=16_384, passes=2, lanes=1)
    access.add_staff(store, login="cy@shop", name="Cy", password=PASSWORD, grants=[], now=now, cost=dear)

    def seconds(login: str) -> float:
        shortest = 9.0
        for _ in range(3):
            # What the machine does besides is no difference between the two.
            began = time.thread_time()
            with pytest.raises(SignInFailed):
                access.sign_in(
                    store, login=login, password="wrong", area=Area.TILL, address=SHOP, now=now, cost=dear
                )
            shortest = min(shortest, time.thread_time() - began)
        return shortest

    known, unknown = seconds("cy@shop"), seconds("nobody")
    assert unknown > known / 3


def test_neither_passwords_nor_session_secrets_are_stored(store: Store, cy: int, now: datetime) -> None:
    secret = sign_in(store, now)
    with store.read() as read:
        staff = read.ask(select(models.staff)).one()
        session = read.ask(select(models.session)).one()
    assert staff is not None
    assert session is not None
    assert staff.password_hash.startswith("$argon2id$")
    assert PASSWORD not in repr(staff)
    assert secret not in repr(session)
    assert bytes(session.token_hash) == hashlib.sha256(secret.encode()).digest()


def test_the_default_cost_of_a_password_is_not_cheap() -> None:
    kept = access.hash_password(PASSWORD, cost=PasswordCost())
    assert kept.startswith("$argon2id$v=19$m=32768,t=3,p=1$")


def test_a_till_session_does_not_open_the_console(store: Store, cy: int, now: datetime) -> None:
    secret = sign_in(store, now)
    assert access.session(store, secret=secret, area=Area.CONSOLE, now=now) is None


def test_a_session_ends_after_a_shift(store: Store, cy: int, now: datetime) -> None:
    secret = sign_in(store, now)
    just_before = now + access.SESSION_TIME - timedelta(microseconds=1)
    assert access.session(store, secret=secret, area=Area.TILL, now=just_before)
    assert access.session(store, secret=secret, area=Area.TILL, now=now + access.SESSION_TIME) is None


def test_signing_out_ends_one_session_and_revoking_ends_all(store: Store, cy: int, now: datetime) -> None:
    first, second, third = (sign_in(store, now) for _ in range(3))
    access.sign_out(store, secret=first, now=now)
    assert access.session(store, secret=first, area=Area.TILL, now=now) is None
    assert access.session(store, secret=second, area=Area.TILL, now=now)
    access.revoke_all(store, staff_id=cy, now=now)
    assert access.session(store, secret=second, area=Area.TILL, now=now) is None
    assert access.session(store, secret=third, area=Area.TILL, now=now) is None


def test_a_disabled_person_is_out_at_once(store: Store, cy: int, now: datetime) -> None:
    secret = sign_in(store, now)
    access.disable_staff(store, staff_id=cy, now=now)
    assert access.session(store, secret=secret, area=Area.TILL, now=now) is None
    with pytest.raises(SignInFailed):
        sign_in(store, now)


@pytest.mark.parametrize("secret", ["", "x", "ü" * 40, "a" * 10_000])
def test_nonsense_opens_no_session(store: Store, now: datetime, secret: str) -> None:
    assert access.session(store, secret=secret, area=Area.TILL, now=now) is None


def test_guessing_at_one_login_is_stopped_and_lets_go_again(store: Store, cy: int, now: datetime) -> None:
    for _ in range(10):
        with pytest.raises(SignInFailed):
            sign_in(store, now, password="guess")
    with pytest.raises(TooManyTries):
        sign_in(store, now)  # even the right password must wait
    assert sign_in(store, now + timedelta(minutes=5))


def test_guessing_at_many_logins_from_one_address_is_stopped(store: Store, now: datetime) -> None:
    for number in range(60):
        with pytest.raises(SignInFailed):
            sign_in(store, now, login=f"guess{number}")
    with pytest.raises(TooManyTries):
        sign_in(store, now, login="guess60")


def test_old_counts_and_ended_sessions_are_forgotten(store: Store, cy: int, now: datetime) -> None:
    secret = sign_in(store, now)
    access.forget_due(store, now=now + timedelta(hours=2))
    assert access.session(store, secret=secret, area=Area.TILL, now=now)
    access.forget_due(store, now=now + timedelta(days=3))
    with store.read() as read:
        assert read.ask(select(models.rate)).all() == []
        assert read.ask(select(models.session)).all() == []


@pytest.mark.parametrize(
    ("login", "name", "password", "refusal"),
    [
        ("c", "Cy", PASSWORD, access.LoginInvalid),
        ("c y", "Cy", PASSWORD, access.LoginInvalid),
        ("-cy", "Cy", PASSWORD, access.LoginInvalid),
        ("cy2", " \n", PASSWORD, NameInvalid),
        ("cy2", "Cy", "short", access.PasswordWeak),
        ("cy2", "Cy", "x" * 201, access.PasswordWeak),
        ("CY@SHOP", "Cy", PASSWORD, access.LoginTaken),
    ],
)
def test_staff_with_unusable_particulars_are_not_added(
    store: Store, cy: int, now: datetime, login: str, name: str, password: str, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        access.add_staff(store, login=login, name=name, password=password, grants=[], now=now, cost=CHEAP)


def test_roles_hold_in_one_programme_and_owners_hold_them_all() -> None:
    person = access.Person(
        id=1,
        login="cy",
        name="Cy",
        grants=(Grant("coffee", Role.CASHIER), Grant("books", Role.OWNER)),
        form_token="t",
        programme=None,
        location=None,
    )
    assert access.may(person, "coffee", Role.CASHIER)
    assert not access.may(person, "coffee", Role.MARKETER)
    assert access.may(person, "books", Role.MARKETER)
    assert not access.may(person, "elsewhere", Role.CASHIER)
    assert access.programmes_for(person, Role.CASHIER) == ("coffee", "books")
    assert access.programmes_for(person, Role.MARKETER) == ("books",)
    with pytest.raises(FormStale):
        access.check_form_token(person, "u")
    access.check_form_token(person, "t")


def test_a_form_comes_back_with_the_key_it_went_out_with(now: datetime) -> None:
    form = access.new_form(KEYS, purpose="join", now=now)
    assert access.read_form(KEYS, form.text, purpose="join", now=now + timedelta(hours=11)).key == form.key
    again = access.new_form(KEYS, purpose="join", now=now, key=form.key)
    assert again.key == form.key


def test_old_foreign_and_forged_forms_are_refused(now: datetime) -> None:
    form = access.new_form(KEYS, purpose="join", now=now)
    issued, key, proof = form.text.split(".")
    for text, purpose, at in (
        (form.text, "join", now + access.FORM_TIME),
        (form.text, "join", now - timedelta(seconds=1)),
        (form.text, "sign-in", now),
        (access.new_form(ELSEWHERE, purpose="join", now=now).text, "join", now),
        (f"{issued}.{key}x.{proof}", "join", now),
        (f"{issued}0.{key}.{proof}", "join", now),
        ("", "join", now),
        ("..", "join", now),
        ("ü.ü.ü", "join", now),
    ):
        with pytest.raises(FormStale):
            access.read_form(KEYS, text, purpose=purpose, now=at)


def test_each_kind_of_try_has_its_own_count(store: Store, now: datetime) -> None:
    for _ in range(120):
        access.limit(store, Limit.JOIN_ADDRESS, SHOP, now=now)
    with pytest.raises(TooManyTries):
        access.limit(store, Limit.JOIN_ADDRESS, SHOP, now=now)
    access.limit(store, Limit.SIGN_IN_ADDRESS, SHOP, now=now)
    access.limit(store, Limit.JOIN_ADDRESS, "192.0.2.8", now=now)


def test_an_address_is_not_kept_in_the_clear(store: Store, now: datetime) -> None:
    access.limit(store, Limit.JOIN_ADDRESS, SHOP, now=now)
    with store.read() as read:
        assert SHOP not in repr(read.ask(select(models.rate)).all())
