"""Faces of the two demonstration shops, ordinary and difficult."""

from __future__ import annotations

import base64
from dataclasses import replace

from passes import artwork
from passes.faces import Pictures
from passes.loyalty.card import Barcode, CardFace, FaceField
from passes.loyalty.codes import grouped
from passes.loyalty.design import Colours, Design, Scene, StripKind, Symbology
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


SCENES = {"copperfinch": Scene.LATTE, "marginalya": Scene.SHELF}
SAMPLES = {
    "coffee": coffee(),
    "books": books(),
    "arabic-pdf417": coded(coffee(name=NAMES[2]), Symbology.PDF417),
    "voided": coffee(voided=True),
}


def pictures(face: CardFace) -> Pictures:
    """The card's own pictures, within the page."""
    scene = SCENES.get(face.design, Scene.PLAIN)
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


def programmes() -> dict[str, CardFace]:
    """A card of each of four programmes that look nothing like each other."""
    finch, sayfa = shop("copperfinch"), shop("marginalya")
    loud = replace(
        sayfa,
        slug="loud",
        design=Design(Scene.PLAIN, Colours("#FFD400", "#1A1A1A", "#7A3E00"), StripKind.PLAIN, 0),
        symbology=Symbology.PDF417,
    )
    night = replace(
        finch,
        slug="night",
        design=Design(Scene.PLAIN, Colours("#11012B", "#E9AA7A", "#9C8CFF"), StripKind.PROGRESS, 6),
        symbology=Symbology.AZTEC,
    )
    return {
        "coffee": coffee(),
        "books": books(),
        "loud": face_of(loud, balance=49, language="en", name=NAMES[1], spend_minor=0),
        "night": face_of(night, balance=1_499, language="en"),
    }
