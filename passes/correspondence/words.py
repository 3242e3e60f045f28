"""What letters say: plain text, and the same as simple HTML in the programme's colours.

Letters carry nothing that the person typed: an address may be somebody else's,
and a name would be a way to write to them in the shop's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum, auto
from html import escape

from passes.language import direction, plural, say
from passes.loyalty.programme import Programme


class Why(Enum):
    """For what reason a letter leads to a card."""

    JOINED = auto()
    JOINED_AGAIN = auto()  # somebody joined with the address of a member
    ASKED = auto()


@dataclass(frozen=True, slots=True)
class Words:
    """A letter's words before they are laid out: a subject, paragraphs and one button."""

    subject: str
    heading: str
    paragraphs: tuple[str, ...]
    button: str
    address: str
    after: tuple[str, ...]


def card_link(rules: Programme, language: str, *, address: str, why: Why) -> Words:
    """Here is your card: after joining, to somebody who has one already, or for the asking."""
    name = rules.name.in_(language)
    after: tuple[str, ...] = (
        say(language, "From there it goes into your phone's wallet, or you show it right from the page."),
        say(language, "Whoever has this link can open the card: keep it to yourself."),
    )
    not_you = say(language, "If it was not you, there is nothing you have to do.")
    match why:
        case Why.JOINED:
            first = say(language, "Keep this letter: its link leads to your card, on any phone.")
        case Why.JOINED_AGAIN:
            first = say(
                language,
                "Somebody joined %(programme)s with your address. You have a card already, and this is it.",
                programme=name,
            )
            after = (say(language, "If it was you, use this card: your balance is on it."), not_you, *after)
        case Why.ASKED:
            first = say(language, "Somebody, probably you, asked for the way back to this card.")
            after = (*after, not_you)
    return Words(
        subject=say(language, "Your card: %(programme)s", programme=name),
        heading=say(language, "Here is your card"),
        paragraphs=(first,),
        button=say(language, "Open my card"),
        address=address,
        after=after,
    )


def one_time_code(rules: Programme, language: str, *, address: str, digits: str, minutes: int) -> Words:
    """Six digits for the till, for somebody who stands there without their card."""
    return Words(
        subject=say(language, "Your code: %(digits)s", digits=digits),
        heading=say(language, "Your one-time code is %(digits)s", digits=f"{digits[:3]} {digits[3:]}"),
        paragraphs=(
            say(
                language,
                "Say it at the till of %(programme)s. It works once, for %(minutes)s minutes.",
                programme=rules.name.in_(language),
                minutes=minutes,
            ),
        ),
        button=say(language, "Open my card"),
        address=address,
        after=(
            say(language, "If you are not at the till, tell it to nobody: somebody may be trying to use it."),
        ),
    )


def expiry(
    rules: Programme,
    language: str,
    *,
    address: str,
    points: int,
    lapse_on: date,
    whole_day: bool,
    balance: int,
) -> Words:
    """So many points lapse on a day. `whole_day`: they do when it begins, so the day before is the last."""
    unit = rules.unit.name
    lapse = plural(
        language,
        "%(count)s %(unit)s lapses on %(day)s.",
        "%(count)s %(unit)s lapse on %(day)s.",
        points,
        unit=unit(points, language),
        day=lapse_on,
    )
    paragraphs = [lapse]
    if whole_day:
        last_day = lapse_on - timedelta(days=1)
        paragraphs.append(say(language, "The last day to use them is %(day)s.", day=last_day))
    paragraphs.append(
        say(language, "Your balance: %(count)s %(unit)s.", count=balance, unit=unit(balance, language))
    )
    return Words(
        subject=lapse.rstrip("."),
        heading=say(language, "Some of your %(unit)s will lapse", unit=unit(2, language)),
        paragraphs=tuple(paragraphs),
        button=say(language, "Open my card"),
        address=address,
        after=(),
    )


def as_text(words: Words, rules: Programme, language: str) -> str:
    """The letter for readers of plain text."""
    parts = [
        words.heading,
        *words.paragraphs,
        f"{words.button}:\n{words.address}",
        *words.after,
        "-- \n" + "\n".join(_footer(rules, language)),
    ]
    return "\n\n".join(parts) + "\n"


def as_html(words: Words, rules: Programme, language: str) -> str:
    """The letter as HTML that every mail program shows: one column, styles on the elements, no pictures."""
    colours = rules.design.colours
    # The button stands on white, whatever the card's ground is.
    dark, light = sorted((colours.ground, colours.text), key=_brightness)
    address = escape(words.address)
    body = "".join(f'<p style="margin:0 0 14px">{escape(one)}</p>' for one in words.paragraphs)
    after = "".join(
        f'<p style="margin:14px 0 0;color:#5c5f66;font-size:15px">{escape(one)}</p>' for one in words.after
    )
    footer = "<br>".join(escape(one) for one in _footer(rules, language))
    return (
        f'<!doctype html><html lang="{escape(language)}" dir="{direction(language)}"><head>'
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(words.subject)}</title></head>"
        '<body style="margin:0;padding:24px 12px;background:#f4f3f0;color:#1d1d1f;'
        "font:17px/1.5 -apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif\">"
        '<div style="max-width:520px;margin:0 auto;background:#ffffff;border-radius:16px;overflow:hidden">'
        f'<p style="margin:0;padding:20px 28px;background:{colours.ground};color:{colours.text};'
        f'font-weight:600">{escape(rules.organisation.in_(language))}'
        f'<br><span style="color:{colours.label};font-weight:400;font-size:15px">'
        f"{escape(rules.name.in_(language))}</span></p>"
        '<div style="padding:28px">'
        f'<h1 style="margin:0 0 14px;font-size:24px;line-height:1.25">{escape(words.heading)}</h1>{body}'
        f'<p style="margin:22px 0"><a href="{address}" style="display:inline-block;padding:13px 24px;'
        f"border-radius:12px;background:{dark};color:{light};font-weight:600;"
        f'text-decoration:none">{escape(words.button)}</a></p>{after}</div></div>'
        '<p style="max-width:520px;margin:16px auto 0;padding:0 16px;color:#5c5f66;font-size:14px">'
        f"{footer}</p></body></html>\n"
    )


def _brightness(colour: str) -> int:
    """How light a colour `#RRGGBB` looks; green counts most."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return 2 * red + 7 * green + blue


def _footer(rules: Programme, language: str) -> list[str]:
    """Why this letter came, and where questions go."""
    contact = rules.contact.email or rules.contact.phone or rules.contact.website
    return [
        say(
            language,
            "You get this letter because you have a card of %(programme)s. It is not advertising.",
            programme=rules.name.in_(language),
        ),
        say(language, "Questions? %(contact)s", contact=contact),
    ]
