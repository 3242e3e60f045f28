"""`passes report`: the marketer's numbers as a table or as JSON. What each means: docs/insights.md."""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from passes.cli.opening import opened
from passes.settings import CannotStart

if TYPE_CHECKING:
    from passes.store import Store
    from passes.store.insights import By, Cut, Window
    from passes.wiring import Installation

Report = Callable[["Asked"], object]

_TIMES = ("month", "week")
_PLACES = ("channel", "location", "till", "person")
_PEOPLE = ("source", "tier")
_RATES = (
    "rate",
    "share",
    "retention",
    "churn",
    "breakage",
    "burn_ratio",
    "return_on",
    "return_low",
    "return_high",
    "conversion",
)


def register(group: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add a command for each report below `group`."""
    for name, (report, words, by) in REPORTS.items():
        command = add(name, _command(report), words, group)
        command.set_defaults(is_over=report is _retention)
        command.add_argument("programme", nargs="?", help="not needed where there is but one")
        if by:
            command.add_argument("--by", choices=by, help="a row for each")
        if report not in (_liability, _active, _detectable, _offer, _predicted):
            command.add_argument(
                "--from", dest="start", type=date.fromisoformat, metavar="DAY",
                help="the first day; if absent, that of the month eleven months ago",
            )  # fmt: skip
            last = "the first of this month" if report is _retention else "tomorrow"
            command.add_argument(
                "--to", dest="end", type=date.fromisoformat, metavar="DAY",
                help=f"the day after the last; if absent, {last}",
            )  # fmt: skip
        if report in (_sales, _customers, _retention, _worth, _segments):
            command.add_argument("--channel", help="only this one, such as in_store or online")
            command.add_argument("--location", help="only the shop with this key")
            command.add_argument(
                "--basis", choices=("order_date", "event_date"), default="order_date",
                help="to which day a return is booked: that of the order, or its own",
            )  # fmt: skip
        if report in (_worth, _offer, _predicted):
            command.add_argument("--margin", type=_number, help="the gross margin, such as 0.4")
        if report is _worth:
            command.add_argument(
                "--discount",
                type=_number,
                help="the rate of half a window, such as 0.05, for the discounted value",
            )
        if report is _predicted:
            command.add_argument("--weeks", type=_count, default=52, help="how far to look ahead")
        if report is _liability:
            command.add_argument(
                "--redemption-rate",
                type=_number,
                default=Fraction(1),
                help="the share that will ever be used",
            )
        if report is _journal:
            command.add_argument(
                "--redemption-rate",
                type=_rate,
                action="append",
                metavar="[DAY=]RATE",
                help="the share that will ever be used, believed from that day on; may be repeated",
            )
            command.add_argument("--csv", action="store_true", help="the bookings, for an accounting program")
        if report in (_liability, _journal):
            command.add_argument("--hundred-points", metavar="AMOUNT", help="what 100 points cost the shop")
        if report is _active:
            command.add_argument("--days", type=_count, default=90, help="how long ago counts as lately")
        if report is _detectable:
            command.add_argument("--days", type=_count, default=30, help="how long the offer would run")
            command.add_argument("--people", type=_people, help="how many it is for; all members if absent")
            command.add_argument(
                "--holdout-share", type=_number, default=Fraction(1, 10), help="the part that is held out"
            )
        if report in (_liability, _active):
            command.add_argument(
                "--at", type=datetime.fromisoformat, help="an instant, ISO 8601 with a zone; now if absent"
            )
        if report is _offer:
            command.add_argument("--offer", required=True, help="the offer's key")
            command.add_argument("--cost", metavar="AMOUNT", help="what else it cost: printing, media")


def _number(text: str) -> Fraction:
    """A rate, share or margin on the command line, such as 0.4."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text} is no number such as 0.4")
    return Fraction(text)


def _count(text: str) -> int:
    """A whole number above zero on the command line."""
    if not re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1 to 9999")
    return int(text)


def _people(text: str) -> int:
    """A number of people on the command line."""
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text} is no number of people")
    return int(text)


class Asked:
    """What a command was asked, with everything that was left out filled in."""

    def __init__(self, parsed: argparse.Namespace, installation: Installation, programme: str) -> None:
        self.parsed = parsed
        self.installation = installation
        self.programme = programme

    @property
    def store(self) -> Store:
        """Where the answers are."""
        return self.installation.store

    @property
    def now(self) -> datetime:
        """The present instant."""
        return self.installation.clock()

    @property
    def window(self) -> Window:
        """The days asked for."""
        from passes.loyalty.dates import add_months, local_date
        from passes.store import programmes
        from passes.store.insights import Window

        with self.store.read() as read:
            today = local_date(self.now, programmes.by_slug(read, self.programme).programme.zone)
        month = today.replace(day=1)
        start = self.parsed.start or add_months(month, -11)
        # Who comes back is known of what is over.
        end = self.parsed.end or (month if self.parsed.is_over else today + timedelta(days=1))
        if start >= end:
            raise CannotStart(f"{start} is not before {end}; the day of --to does not count.")
        return Window(start, end)

    @property
    def cut(self) -> Cut:
        """The purchases asked for."""
        from passes.store.insights import Basis, Cut

        return Cut(self.window, self.parsed.channel, self.parsed.location, Basis(self.parsed.basis))

    @property
    def by(self) -> By | None:
        """What there is to be a row for."""
        from passes.store.insights import By

        return None if self.parsed.by is None else By(self.parsed.by)

    @property
    def at(self) -> datetime | None:
        """The instant asked for."""
        at: datetime | None = self.parsed.at
        if at is not None and at.tzinfo is None:
            raise CannotStart("An instant needs a zone, such as 2026-03-14T10:00+00:00.")
        return at

    @property
    def currency(self) -> str:
        """The programme's."""
        from passes.store import programmes

        with self.store.read() as read:
            return programmes.by_slug(read, self.programme).programme.currency

    def amount(self, text: str | None) -> int | None:
        """Minor units of an amount on the command line."""
        from passes.loyalty.money import parse_amount

        return None if text is None else parse_amount(text, self.currency)


def _command(report: Report) -> Callable[[argparse.Namespace], int]:
    def command(parsed: argparse.Namespace) -> int:
        with opened() as installation:
            asked = Asked(parsed, installation, parsed.programme or _only(installation))
            answer, currency = report(asked), asked.currency
        rows = answer if isinstance(answer, list) else [answer]
        values = [_fields(row) for row in rows]
        if parsed.json:
            whole = {"programme": asked.programme, "currency": currency, "rows": values}
            print(json.dumps(whole, default=_plain, ensure_ascii=False))
        elif getattr(parsed, "csv", False):
            _print_bookings(values, currency)
        else:
            _print_table([_flat(row) for row in values], currency)
        return 0

    return command


def _only(installation: Installation) -> str:
    from passes.store import programmes

    with installation.store.read() as read:
        slugs = [loaded.slug for loaded in programmes.every(read)]
    if len(slugs) != 1:
        raise CannotStart(f"Say which programme: {', '.join(slugs) or 'there is none yet'}.")
    return slugs[0]


# The reports ------------------------------------------------------------------


def _sales(asked: Asked) -> object:
    from passes import insights

    return insights.sales(asked.store, programme=asked.programme, cut=asked.cut, by=asked.by)


def _customers(asked: Asked) -> object:
    from passes import insights

    return insights.customers(asked.store, programme=asked.programme, cut=asked.cut, by=asked.by)


def _retention(asked: Asked) -> object:
    from passes import insights

    return insights.retention(
        asked.store, programme=asked.programme, cut=asked.cut, by=asked.by, now=asked.now
    )


def _worth(asked: Asked) -> object:
    from passes import insights

    return insights.worth(
        asked.store,
        programme=asked.programme,
        cut=asked.cut,
        margin=asked.parsed.margin or Fraction(1),
        discount=asked.parsed.discount,
    )


def _cohorts(asked: Asked) -> object:
    from passes import insights

    return insights.cohorts(asked.store, programme=asked.programme, window=asked.window, now=asked.now)


def _segments(asked: Asked) -> object:
    from passes import insights

    return insights.segments(asked.store, programme=asked.programme, cut=asked.cut)


def _predicted(asked: Asked) -> object:
    from passes import insights

    return insights.predicted(
        asked.store,
        programme=asked.programme,
        weeks=asked.parsed.weeks,
        margin=asked.parsed.margin or Fraction(1),
        now=asked.now,
    )


def _points(asked: Asked) -> object:
    from passes import insights

    return insights.points(asked.store, programme=asked.programme, window=asked.window, by=asked.by)


def _issued(asked: Asked) -> object:
    from passes import insights

    return insights.issued(asked.store, programme=asked.programme, window=asked.window)


def _liability(asked: Asked) -> object:
    from passes import insights

    return insights.liability(
        asked.store,
        programme=asked.programme,
        at=asked.at,
        redemption_rate=asked.parsed.redemption_rate,
        hundred_points_minor=asked.amount(asked.parsed.hundred_points),
        now=asked.now,
    )


def _active(asked: Asked) -> object:
    from passes import insights

    return insights.active(
        asked.store, programme=asked.programme, days=asked.parsed.days, at=asked.at, now=asked.now
    )


def _tiers(asked: Asked) -> object:
    from passes import insights

    return insights.tiers(asked.store, programme=asked.programme, window=asked.window)


def _funnel(asked: Asked) -> object:
    from passes import insights

    return insights.funnel(asked.store, programme=asked.programme, window=asked.window, by=asked.by)


def _removals(asked: Asked) -> object:
    from passes import insights

    return insights.removals(asked.store, programme=asked.programme, window=asked.window)


def _offer(asked: Asked) -> object:
    from passes import insights

    return insights.offer(
        asked.store,
        programme=asked.programme,
        key=asked.parsed.offer,
        margin=asked.parsed.margin,
        cost_minor=asked.amount(asked.parsed.cost),
        now=asked.now,
    )


def _journal(asked: Asked) -> object:
    from passes import insights

    try:
        return insights.liability_journal(
            asked.store,
            programme=asked.programme,
            window=asked.window,
            rates=dict(asked.parsed.redemption_rate or ()),
            hundred_points_minor=asked.amount(asked.parsed.hundred_points),
        )
    except ValueError as problem:
        raise CannotStart(
            "What are 100 points worth? Say --hundred-points, or points.hundred_points_worth in the file."
        ) from problem


def _rate(text: str) -> tuple[date, Fraction]:
    """`0.95`, or `2027-01-01=0.97` from a day on."""
    day, _, rate = text.rpartition("=")
    try:
        return (date.fromisoformat(day) if day else date.min), _number(rate)
    except (ValueError, argparse.ArgumentTypeError) as problem:
        raise argparse.ArgumentTypeError(f"{text} is no rate such as 0.95 or 2027-01-01=0.97") from problem


def _detectable(asked: Asked) -> object:
    from passes import insights

    return insights.detectable(
        asked.store,
        programme=asked.programme,
        days=asked.parsed.days,
        people=asked.parsed.people,
        holdout_share=asked.parsed.holdout_share,
        now=asked.now,
    )


def _watch(asked: Asked) -> object:
    from passes import insights

    return insights.watch(asked.store, programme=asked.programme, window=asked.window)


REPORTS: dict[str, tuple[Report, str, tuple[str, ...]]] = {
    "sales": (_sales, "orders, net sales, members' share, attach rate", (*_TIMES, *_PLACES, *_PEOPLE)),
    "customers": (_customers, "first-time, returning and guest orders", (*_TIMES, *_PLACES, *_PEOPLE)),
    "retention": (_retention, "who comes back, churn, net revenue retention", _TIMES),
    "worth": (_worth, "repeat rate, frequency, customer value, lifetime value", ()),
    "cohorts": (_cohorts, "customers by the month of their first order", ()),
    "segments": (_segments, "customers by recency and frequency", ()),
    "predicted": (_predicted, "what today's customers are expected to buy", ()),
    "points": (_points, "points earned, burned and expired", (*_TIMES, *_PLACES[1:], *_PEOPLE)),
    "issued": (_issued, "what became of the points issued in a window", ()),
    "liability": (_liability, "points outstanding and what they will cost", ()),
    "journal": (_journal, "what points defer and release, month by month, for the accounts", ()),
    "active": (_active, "members who earned or burned lately", ()),
    "tiers": (_tiers, "from which tier to which members moved", ()),
    "funnel": (_funnel, "from the join page to the first redemption", ("source",)),
    "removals": (_removals, "cards that left their phones", ()),
    "detectable": (_detectable, "the least effect that an offer's result could show", ()),
    "offer": (_offer, "what an offer changed", ()),
    "watch": (_watch, "what may be abuse, for somebody to look into", ()),
}


# Showing ------------------------------------------------------------------------


def _fields(row: object) -> dict[str, Any]:
    assert is_dataclass(row)
    assert not isinstance(row, type)
    return {name: _whole(value) for name, value in asdict(row).items()}


def _whole(value: object) -> object:
    """Fractions as numbers, wherever they are; everything else as it is."""
    if isinstance(value, Fraction):
        return round(float(value), 6)
    if isinstance(value, tuple):
        return [_whole(part) for part in value]
    return value


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """One column for each part of what has parts."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}_{part}": inner for part, inner in value.items()}
        elif isinstance(value, list):
            flat |= {f"{name}_{place}": inner for place, inner in enumerate(value)}
        else:
            flat[name] = value
    return flat


def _print_bookings(months: list[dict[str, Any]], currency: str) -> None:
    """Debit and credit, a line for each side of each booking; what is negative changes sides."""
    from passes.loyalty.money import decimal_text

    lines = csv.writer(sys.stdout, lineterminator="\n")
    lines.writerow(("month", "account", "debit", "credit", "currency"))
    for month in months:
        for debit, credit, amount in (
            ("sales", "points owed", month["deferred_minor"]),
            ("points owed", "revenue from points", month["recognised_minor"]),
        ):
            sides = (debit, credit) if amount >= 0 else (credit, debit)
            text = decimal_text(abs(amount), currency)
            if amount:
                lines.writerow((month["month"], sides[0], text, "", currency))
                lines.writerow((month["month"], sides[1], "", text, currency))


def _print_table(rows: list[dict[str, Any]], currency: str) -> None:
    """Columns that fit a screen: one row per line, or for a single row one value per line."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    words = {name: name.replace("_minor", "").replace("_", " ") for name in names}
    cells = [{name: _cell(name, row.get(name), currency) for name in names} for row in rows]
    if len(cells) == 1:
        for name in names:
            print(f"{words[name]}: {cells[0][name] or '–'}")
        return
    widths = {name: max([len(words[name]), *(len(row[name]) for row in cells)]) for name in names}
    print("  ".join(words[name].rjust(widths[name]) for name in names))
    for row in cells:
        print("  ".join(row[name].rjust(widths[name]) for name in names))


def _cell(name: str, value: object, currency: str) -> str:
    from passes.loyalty.money import decimal_text

    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and name.endswith(("_z", "_p")):
        return f"{value:.4f}"
    if isinstance(value, float) and (any(word in name for word in _RATES) or name.endswith("lift")):
        return f"{100 * value:.2f} %"
    if isinstance(value, (int, float)) and "_minor" in name:
        return decimal_text(round(value), currency)
    return f"{value:.3f}" if isinstance(value, float) else str(_plain(value))
