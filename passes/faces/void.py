"""What a card that is not valid any more shows in place of its code."""

from __future__ import annotations

from passes.faces.colours import mixed
from passes.faces.lettering import SEMIBOLD, fit
from passes.faces.sheet import Sheet
from passes.language import say
from passes.loyalty.card import CardFace

PICTURE_SHARE = 0.25
"""How much of its pictures' strength such a card keeps."""

HEIGHT = 68.0


def draw_void(
    sheet: Sheet, face: CardFace, middle: float, y: float, width: float, *, ground: str = "", text: str = ""
) -> None:
    """An empty frame around this point that says why there is nothing to scan."""
    ground, text = ground or face.colours.ground, text or face.colours.text
    sheet.box(
        middle - width / 2, y - HEIGHT / 2, width, HEIGHT, mixed(ground, text, 0.06),
        radius=12, line=mixed(ground, text, 0.45),
    )  # fmt: skip
    words = fit(say(face.language, "No longer valid"), width - 32, size=17, least=12, weight=SEMIBOLD)
    sheet.words(words, middle, y + 6, text, anchor="middle")
