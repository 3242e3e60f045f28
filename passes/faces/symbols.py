"""The scannable symbol of a card code as one SVG path."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import zxingcpp

from passes.loyalty.card import Barcode, Symbology

_FORMATS = {
    Symbology.QR: (zxingcpp.BarcodeFormat.QRCode, {"ec_level": "M"}),
    Symbology.AZTEC: (zxingcpp.BarcodeFormat.Aztec, {}),
    Symbology.PDF417: (zxingcpp.BarcodeFormat.PDF417, {}),
    Symbology.CODE128: (zxingcpp.BarcodeFormat.Code128, {}),
}
SQUARE = frozenset({Symbology.QR, Symbology.AZTEC})

# The white that readers may need around a symbol, in modules, by their standards
# (ISO/IEC 18004, 24778 which needs none, 15438, 15417).
QUIET_MODULES = {Symbology.QR: 4, Symbology.AZTEC: 2, Symbology.PDF417: 2, Symbology.CODE128: 10}


@dataclass(frozen=True, slots=True)
class Symbol:
    """Dark modules as a path of unit squares; a bar code is one module high."""

    columns: int
    rows: int
    path: str


def symbol(barcode: Barcode) -> Symbol:
    """The symbol of a code, without the white around it."""
    return _symbol(barcode.symbology, barcode.message)


@lru_cache(maxsize=256)
def _symbol(symbology: Symbology, message: str) -> Symbol:
    form, options = _FORMATS[symbology]
    drawn = zxingcpp.create_barcode(message, form, **options)
    pixels: Any = drawn.to_image(scale=1, add_quiet_zones=False)
    rows: Any = memoryview(pixels).tolist()
    if symbology is Symbology.CODE128:
        rows = rows[:1]
    parts = []
    for y, row in enumerate(rows):
        x = 0
        while x < len(row):
            run = x
            while run < len(row) and (row[run] == 0) == (row[x] == 0):
                run += 1
            if row[x] == 0:
                parts.append(f"M{x} {y}h{run - x}v1H{x}z")
            x = run
    return Symbol(len(rows[0]), len(rows), "".join(parts))
