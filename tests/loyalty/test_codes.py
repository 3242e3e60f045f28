from __future__ import annotations

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.codes import (
    ALPHABET,
    CodeKind,
    check_character,
    code_from,
    grouped,
    is_code,
    normalise,
    read,
)
from passes.loyalty.refusals import CodeMistyped

randomness = st.binary(min_size=16, max_size=24)
kinds = st.sampled_from(CodeKind)
LENGTHS = {CodeKind.LETTERS: 16, CodeKind.DIGITS16: 16, CodeKind.EAN13: 13}


def symbols_of(kind: CodeKind) -> str:
    return ALPHABET if kind is CodeKind.LETTERS else "0123456789"


def test_the_alphabet_has_no_vowels_and_no_look_alikes() -> None:
    assert ALPHABET == "23456789CDFHJKMNPQRTVWX"
    assert not set(ALPHABET) & set("01AEIOUYBGLSZ")


@given(randomness, kinds)
def test_every_new_code_reads_as_itself(random_bytes: bytes, kind: CodeKind) -> None:
    code = code_from(random_bytes, kind)
    assert len(code) == LENGTHS[kind]
    assert read(code, kind) == code


@given(randomness, kinds)
def test_every_single_wrong_symbol_is_caught(random_bytes: bytes, kind: CodeKind) -> None:
    code = code_from(random_bytes, kind)
    for place, right in enumerate(code):
        for wrong in set(symbols_of(kind)) - {right}:
            assert not is_code(code[:place] + wrong + code[place + 1 :], kind)


@given(randomness, st.sampled_from([CodeKind.LETTERS, CodeKind.DIGITS16]))
def test_every_swap_of_neighbours_is_caught(random_bytes: bytes, kind: CodeKind) -> None:
    code = code_from(random_bytes, kind)
    for place, (left, right) in enumerate(pairwise(code)):
        if left != right:
            assert not is_code(code[:place] + right + left + code[place + 2 :], kind)


def test_the_letter_check_catches_every_pair_of_errors_it_promises() -> None:
    """Exhaustive, not by example: the check is linear, so only the difference of two symbols matters."""
    weights = [pow(5, place, 23) for place in range(16)]
    # A single error of size d changes the sum by w·d, a swap by (w - w')·d, doubled symbols by (w + w')·d.
    for difference in range(1, 23):
        assert all(weight * difference % 23 for weight in weights)
        assert all((left - right) * difference % 23 for left, right in pairwise(weights))
        assert all((left + right) * difference % 23 for left, right in pairwise(weights))
        assert all((left - right) * difference % 23 for left in weights for right in weights if left != right)
    # And that these are the weights in use: changing one symbol by one shifts the check accordingly.
    base = ALPHABET[0] * 15
    for place in range(15):
        body = base[:place] + ALPHABET[1] + base[place + 1 :]
        check = ALPHABET.index(check_character(body, CodeKind.LETTERS))
        assert (weights[place] + weights[15] * check) % 23 == 0


def test_the_digit_check_catches_every_single_error_and_swap_in_every_state() -> None:
    """Exhaustive over two digits in front of any remainder: Damm's table loses no difference afterwards."""
    for first in range(10):
        for left in range(10):
            for right in range(10):
                prefix = f"{first}{left}{right}"
                check = check_character(prefix.rjust(15, "0"), CodeKind.DIGITS16)
                assert is_code(prefix.rjust(15, "0") + check, CodeKind.DIGITS16)
                for other in range(10):
                    if other != right:
                        wrong = f"{first}{left}{other}".rjust(15, "0")
                        assert not is_code(wrong + check, CodeKind.DIGITS16)
                if left != right:
                    assert not is_code(f"{first}{right}{left}".rjust(15, "0") + check, CodeKind.DIGITS16)


@pytest.mark.parametrize("number", ["4006381333931", "5901234123457", "9780201379624"])
def test_the_article_number_check_agrees_with_numbers_in_print(number: str) -> None:
    assert read(number, CodeKind.EAN13) == number


def test_an_article_number_code_cannot_be_an_article_on_the_shelf() -> None:
    assert code_from(bytes(16), CodeKind.EAN13).startswith("2")


@given(randomness)
def test_a_code_reads_the_same_however_it_is_typed(random_bytes: bytes) -> None:
    code = code_from(random_bytes)
    assert read(f"  {grouped(code).lower()}\n") == code
    assert read(" ".join(code)) == code
    assert read(code.replace("2", "2–", 1)) == code


@given(st.text(max_size=60))
def test_any_text_is_read_or_politely_refused(text: str) -> None:
    for kind in CodeKind:
        with contextlib.suppress(CodeMistyped):
            assert is_code(read(text, kind), kind)


def test_upper_casing_knows_no_locale() -> None:
    assert normalise("iıİI") == "IIII"
    # What Python makes of "İ".lower(): an i and a combining dot.
    assert normalise("i̇") == "I"


def test_digits_of_other_scripts_are_not_a_code() -> None:
    with pytest.raises(CodeMistyped):
        read("٤٠٠٦٣٨١٣٣٣٩٣١", CodeKind.EAN13)


def test_codes_are_shown_in_groups_of_four() -> None:
    assert grouped("ABCDEFGHJKLMNPQR") == "ABCD-EFGH-JKLM-NPQR"
    assert grouped("4006381333931") == "4006-3813-3393-1"


def test_too_little_randomness_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="16 random bytes"):
        code_from(bytes(15))


def test_all_codes_differ_in_practice() -> None:
    codes = {code_from(number.to_bytes(16, "big")) for number in range(2_000)}
    assert len(codes) == 2_000
