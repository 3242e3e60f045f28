"""One SVG picture in the making: boxes, pictures, lines of text and symbols.

Only presentation attributes, so that it may stand in a page whose policy
allows no styles; no ids, so that a page may hold many.
"""

from __future__ import annotations

import re
from html import escape

from passes.faces.lettering import Line
from passes.faces.symbols import Symbol

FONTS = "'Card Inter', system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
"""The font that widths are measured with, where a page brings it; else the phone's own."""


# Neither XML nor a font has anything for these.
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def _written(text: str) -> str:
    return escape(_UNWRITABLE.sub("", text))


class Sheet:
    """Collects shapes, back to front. All measures are points from the top left corner."""

    def __init__(self, width: float) -> None:
        self.width = width
        self._parts: list[str] = []

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str,
        *,
        radius: float = 0,
        opacity: float = 1,
        line: str | None = None,
    ) -> None:
        """A rectangle, with round corners and an outline if wanted."""
        extra = f' rx="{radius:g}"' if radius else ""
        extra += f' opacity="{opacity:g}"' if opacity < 1 else ""
        extra += f' stroke="{line}"' if line else ""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}"{extra}/>'
        )

    def picture(
        self,
        address: str,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        filled: bool = False,
        clip: str = "",
        opacity: float = 1,
    ) -> None:
        """A picture: whole at the left of its place, or (`filled`) cropped to fill it.

        `clip` is a CSS shape such as `inset(0 round 8px)`.
        """
        ratio = "xMidYMid slice" if filled else "xMinYMid meet"
        extra = f' clip-path="{clip}"' if clip else ""
        extra += f' opacity="{opacity:g}"' if opacity < 1 else ""
        self._parts.append(
            f'<image href="{escape(address)}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
            f'preserveAspectRatio="{ratio}"{extra}/>'
        )

    def words(
        self, line: Line, x: float, baseline: float, fill: str, *, anchor: str = "start", live: str = ""
    ) -> None:
        """A line of text at its baseline; `anchor` is start (left), middle or end (right).

        A measured line carries its width, so that no font can make it wider. A
        guessed one stands in a window of its room and is cut off there, and so
        is a `live` one, whose text a script may replace: that is the name by
        which the script finds it.
        """
        if not line.text and not live:
            return
        leftwards = line.leftwards
        if leftwards and anchor != "middle":
            anchor_written = "start" if anchor == "end" else "end"
        else:
            anchor_written = anchor
        attributes = f'font-size="{line.size:g}" font-weight="{line.weight}" fill="{fill}"'
        attributes += f' text-anchor="{anchor_written}"' if anchor_written != "start" else ""
        attributes += ' direction="rtl"' if leftwards else ""
        attributes += f' data-live="{live}" data-room="{line.room:g}"' if live else ""
        text = _written(line.text)
        if line.sure and not live:
            self._parts.append(
                f'<text x="{x:g}" y="{baseline:g}" {attributes} textLength="{line.width:.1f}" '
                f'lengthAdjust="spacingAndGlyphs">{text}</text>'
            )
            return
        left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * line.room
        right, top, bottom = left + line.room, baseline - 1.15 * line.size, baseline + 0.45 * line.size
        # A shape in the card's own measures: a nested <svg> would obey whatever a page says of `svg`.
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        window = f"polygon({','.join(f'{across:g}px {down:g}px' for across, down in corners)})"
        self._parts.append(
            f'<text x="{x:g}" y="{baseline:g}" {attributes} clip-path="{window} view-box">{text}</text>'
        )

    def symbol(self, symbol: Symbol, x: float, y: float, width: float, height: float) -> None:
        """A barcode of this size, black. White must already be behind it."""
        across, down = width / symbol.columns, height / symbol.rows
        self._parts.append(
            f'<path transform="translate({x:g} {y:g}) scale({across:g} {down:g})" fill="#000" '
            f'shape-rendering="crispEdges" d="{symbol.path}"/>'
        )

    def finish(self, height: float, *, kind: str, language: str, title: str, words: str) -> str:
        """The picture; `title` and `words` are what people hear who do not see it."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="face face-{kind}" role="img" '
            f'viewBox="0 0 {self.width:g} {height:g}" lang="{escape(language)}" direction="ltr" '
            f'font-family="{escape(FONTS)}"><title>{_written(title)}</title><desc>{_written(words)}</desc>'
            f"{''.join(self._parts)}</svg>"
        )
