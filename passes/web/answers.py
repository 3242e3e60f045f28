"""What somebody typed about themselves: read from a form as the programme asks for it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date
from typing import TypeVar

from babel.dates import get_month_names
from flask import request

from passes.language import LONGER, MIRRORED, say
from passes.loyalty import joining
from passes.loyalty.joining import Asked
from passes.loyalty.programme import Programme
from passes.loyalty.refusals import Refused
from passes.web import language

_Value = TypeVar("_Value")

FIELDS = ("email", "phone", "birthday")
"""What a programme may ask beside the name."""


class Answers:
    """What was filled in, as far as this programme asks for it; and what is wrong with it, by field.

    `also` are fields that are there although the programme does not ask for
    them, because something is known. What was not asked for is not looked at,
    whoever sends it.
    """

    def __init__(self, programme: Programme, *, also: Collection[str] = ()) -> None:
        rule = programme.joining
        self.asked = frozenset(
            field for field in FIELDS if getattr(rule, field) is not Asked.OFF or field in also
        )
        self.problems: dict[str, Refused] = {}
        self.name = self._read("name", lambda: joining.clean_name(_typed("name"))) or ""
        self.email: str | None = None
        self.phone: str | None = None
        self.birthday: date | None = None
        if "email" in self.asked:
            self.email = self._read("email", lambda: joining.clean_email(_typed("email")))
        if "phone" in self.asked:
            self.phone = self._read("phone", lambda: joining.clean_phone(_typed("phone")))
        if "birthday" in self.asked:
            self.birthday = self._read(
                "birthday", lambda: joining.clean_birthday(_typed("birthday_month"), _typed("birthday_day"))
            )
        for field, refusal in rule.missing(email=self.email, phone=self.phone, birthday=self.birthday):
            self.problems.setdefault(field, refusal)

    def _read(self, field: str, read: Callable[[], _Value]) -> _Value | None:
        try:
            return read()
        except Refused as refused:
            self.problems[field] = refused
            return None


def _typed(name: str) -> str:
    return request.form.get(name, "")


def months() -> list[str]:
    """The names of the months in the page's language, January first."""
    names = get_month_names("wide", context="stand-alone", locale=language.locale())
    here = language.current()
    # The made-up languages have no calendar: their months are made up from the English ones.
    return [
        say(here, names[number]) if here in (LONGER, MIRRORED) else names[number] for number in range(1, 13)
    ]


def day_first() -> bool:
    """Whether people of the page's language say the day before the month."""
    pattern = str(language.locale().date_formats["long"])
    return pattern.find("d") < pattern.find("M")
