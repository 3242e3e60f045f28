"""Faces of the two demonstration shops, ordinary and difficult."""

from __future__ import annotations

import base64
from dataclasses import replace

from passes import artwork
from passes.faces import Pictures
from passes.loyalty.card import Barcode, CardFace, FaceField
from passes.loyalty.codes import grouped
from passes.loyalty.design import Symbology
from tests.loyalty.shops import shop
from tests.loyalty.test_card import MAPLE, face_of, stamped

CODES = {
    Symbology.QR: "7KQ2MX94TDWR3NHC",
    Symbology.AZTEC: "7KQ2MX94TDWR3NHC",
    Symbology.PDF417: "7KQ2MX94TDWR3NHC",
    Symbology.CODE128: "4102938475610238",
}
NAMES = (
    "Ana Brandt",
    "Maximiliane-Theodora von Hohenstein-Schwarzenberg",
    "محمد عبد الرحمن الأنصاري",
    "山田太郎エリザベス三世ヴィクトリア",
    "👩‍👩‍👧‍👦 Zoë 🇹🇷 Ö",
    "Z̷̧̛̯̪͙a̸̢l̵̡g̶̨o̷̢̢̢ der Erste",
    "Şükrü Ağaçyetiştiricioğlu",
    "நந்தினி சுப்பிரமணியம்",
    "<script>alert(\"1\")</script> & Co. 'x'",
    "﷽﷽﷽﷽",
    "W" * 64,
)


def coffee(**facts: object) -> CardFace:
    """Ana's coffee card with today's offer."""
    return face_of(shop("copperfinch"), **{"offers": (MAPLE,), **facts})  # type: ignore[arg-type]


def books(**facts: object) -> CardFace:
    """A bookshop's card in Turkish, with stamps."""
    return face_of(stamped, **{"balance": 37, "language": "tr", "stamps": 3, **facts})  # type: ignore[arg-type]


def coded(face: CardFace, symbology: Symbology) -> CardFace:
    """The same card with another kind of code."""
    code = CODES[symbology]
    return replace(face, barcode=Barcode(symbology, code, grouped(code)))


def four_in_the_row(face: CardFace) -> CardFace:
    """The same card with a row as full as it may be."""
    fields = (FaceField("tier", "SEVİYE", "Bakır"), FaceField("offer", "BUGÜN", "Maple Cortado is back"))
    return replace(face, row=(*face.row[:2], *fields))


SAMPLES = {
    "coffee": coffee(),
    "books": books(),
    "arabic-pdf417": coded(coffee(name=NAMES[2]), Symbology.PDF417),
    "voided": coffee(voided=True),
}


def pictures(face: CardFace) -> Pictures:
    """The card's own pictures, within the page."""
    scene = shop(face.design).design.scene
    colours = face.colours
    drawn = artwork.pictures(
        scene, ground=colours.ground, text=colours.text, label=colours.label, strip=face.strip, initials="CF"
    )
    strip = _inline(drawn["strip@2x.png"])
    return Pictures(logo=_inline(drawn["logo@2x.png"]), strip=strip, hero=strip)


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


ELSEWHERE = Pictures(logo="/logo.webp", strip="/strip.webp", hero="/hero.webp")
"""Addresses, where nobody looks at the pictures."""
