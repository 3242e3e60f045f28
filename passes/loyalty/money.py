"""Money as integers of minor units, and amounts as people type them.

No floats: 0.1 + 0.2 must be 0.30 at a till.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from passes.loyalty.refusals import AmountInvalid

# ISO 4217 (list one): every other currency in use has two digits.
_DIGITS = (
    dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV",
         "XAF", "XOF", "XPF"), 0)
    | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)
    | dict.fromkeys(("CLF", "UYW"), 4)
)  # fmt: skip

_CURRENCY_LIST = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD
CDF CHF CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT
LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR
NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP
STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYI UYU UYW UZS VED VES VND VUV WST
XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""

CURRENCIES = frozenset(_CURRENCY_LIST.split())
"""Currencies a programme may use: ISO 4217 list one without funds, metals and test codes."""

AMOUNT_LIMIT_MINOR = 10**12
"""No single amount may reach this: far above any purchase, far below 63 bits."""


def minor_digits(currency: str) -> int:
    """How many digits follow the decimal sign: 2 for USD, 0 for JPY, 3 for KWD."""
    return _DIGITS.get(currency, 2)


@dataclass(frozen=True, slots=True)
class Money:
    """`minor` units (cents, kuruş, fils) of an ISO 4217 currency."""

    minor: int
    currency: str

    @property
    def digits(self) -> int:
        """How many of the minor digits follow the decimal sign."""
        return minor_digits(self.currency)

    def __str__(self) -> str:
        """For logs and files: `12.40 USD`. People are shown `language.say(…)` instead."""
        return f"{decimal_text(self.minor, self.currency)} {self.currency}"


def decimal_text(minor: int, currency: str) -> str:
    """Minor units as plain decimal text with a point: 1240 USD → `12.40`, 5 JPY → `5`."""
    digits = minor_digits(currency)
    whole, part = divmod(abs(minor), 10**digits)
    sign = "-" if minor < 0 else ""
    return f"{sign}{whole}.{part:0{digits}d}" if digits else f"{sign}{whole}"


def parse_amount(text: str, currency: str, *, decimal: str = ".", group: str = ",") -> int:
    """Minor units of an amount that a person typed, such as `1,234.50`.

    `decimal` and `group` are the signs of the person's locale. Spaces between
    digits count as grouping, digits of any script are understood. AmountInvalid
    for anything that is not clearly one positive amount: groups that are not
    three digits long, the other locale's signs, too many decimals, zero,
    negative, huge.
    """
    cleaned = "".join(_plain(symbol) for symbol in text.strip())
    whole, mark, part = cleaned.partition(decimal)
    digits = minor_digits(currency)
    if mark and not (part.isdecimal() and len(part) <= digits):
        raise AmountInvalid
    groups = whole.replace(" ", group).split(group)
    if not all(block.isdecimal() for block in groups):
        raise AmountInvalid
    if len(groups) > 1 and not (len(groups[0]) <= 3 and all(len(block) == 3 for block in groups[1:])):
        raise AmountInvalid
    joined = "".join(groups)
    # Guarded before int(): an absurdly long number must cost nothing.
    if len(joined) > 18:
        raise AmountInvalid
    minor = int(joined + part.ljust(digits, "0"))
    if not 0 < minor < AMOUNT_LIMIT_MINOR:
        raise AmountInvalid
    return minor


def _plain(symbol: str) -> str:
    """The ASCII digit or space that a symbol stands for, else the symbol itself."""
    if symbol.isspace():
        return " "
    value = unicodedata.decimal(symbol, None)
    return symbol if value is None else str(value)
