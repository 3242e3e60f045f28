"""What a till's camera sees: a phone that shows a card, well or badly held and lit.

The symbols are drawn by the emulators' own hand, not by the code that draws our
cards. Sizes and conditions are those under which readers were compared before
one was chosen, at 1280×720: square symbols are 42 % of the picture's height,
bars 70 % of its width, or as much as still fits when they stand upright.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from passes.emulators.drawing import modules_of

SIZE = (1280, 720)
_MIDDLE = (SIZE[0] / 2, SIZE[1] / 2)
_SQUARE_PIXELS = int(SIZE[1] * 0.42)
_BARS_PIXELS = int(SIZE[0] * 0.70)
_UPRIGHT_SHARE = 0.75  # what of that fits into the height, with the white beside it
_TABLE = 118
_ROW_MODULES = 3  # of PDF417

# By our words for them: how the emulators call them.
KINDS = MappingProxyType({"qr": "QR", "aztec": "Aztec", "pdf417": "PDF417", "code128": "Code128"})


@dataclass(frozen=True, slots=True)
class Condition:
    """How a phone is held and lit. Lengths are pixels of the picture, angles degrees."""

    share: float = 1.0
    turn: float = 0.0
    tilt: float = 0.0
    blur: float = 0.0
    motion: int = 0
    gain: float = 1.0
    noise: float = 2.0
    glare: bool = False


CONDITIONS = MappingProxyType(
    {
        "clean": Condition(),
        "small": Condition(share=0.55),
        "blur 1.5": Condition(blur=1.5),
        "blur 2.2": Condition(blur=2.2),
        "turned 12°": Condition(turn=12),
        "turned 45°": Condition(turn=45),
        "turned 90°": Condition(turn=90),
        "low light": Condition(gain=0.22, noise=10),
        "moderate": Condition(blur=1.3, turn=10, gain=0.35, noise=8),
        "perspective": Condition(tilt=0.18),
        "motion": Condition(motion=7),
        "glare": Condition(glare=True),
    }
)


def seen(kind: str, text: str, condition: Condition = CONDITIONS["clean"], *, seed: int = 0) -> Image.Image:
    """One picture of the camera; another `seed` is another trembling of the hand."""
    hand, noise = Random(seed), np.random.default_rng(seed)
    # A symbol that is wider than the picture is high has to be held further away to be turned.
    is_bar = KINDS[kind] in ("PDF417", "Code128")
    fits = _UPRIGHT_SHARE if is_bar and condition.turn >= 45 else 1.0
    share = condition.share * fits * hand.uniform(0.96, 1.04)
    turn = condition.turn + hand.uniform(-2, 2)
    shift = (hand.uniform(-14, 14), hand.uniform(-14, 14))
    picture = _held(_phone(kind, text), share=share, turn=turn, shift=shift, tilt=condition.tilt)
    if condition.blur:
        picture = picture.filter(ImageFilter.GaussianBlur(condition.blur))
    light: NDArray[np.float64] = np.asarray(picture, dtype=np.float64)
    if condition.motion:
        light = np.mean([np.roll(light, step, axis=1) for step in range(condition.motion)], axis=0)
    if condition.glare:
        light = light + _glare(hand)
    light = light * condition.gain + noise.normal(0, condition.noise, light.shape)
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))


def video(path: Path, pictures: Sequence[Image.Image], *, frames_per_second: int = 15) -> Path:
    """Write pictures of one even size as the film that Chromium's pretended camera plays again and again."""
    width, height = pictures[0].size
    grey = bytes([128]) * (width // 2 * (height // 2))
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{frames_per_second}:1 Ip A1:1 C420jpeg\n".encode())
        for picture in pictures:
            file.write(b"FRAME\n" + picture.convert("L").tobytes() + grey + grey)
    return path


@lru_cache(maxsize=8)
def _phone(kind: str, text: str) -> Image.Image:
    """A phone with a white card on its screen, upright and sharp, in the middle of the picture."""
    symbol = _symbol(kind, text)
    picture = Image.new("L", SIZE, _TABLE)
    draw = ImageDraw.Draw(picture)
    across, down = symbol.width / 2 + 50, symbol.height / 2 + 50
    for margin, radius, ink in ((110, 60, 30), (0, 28, 245)):
        box = (
            _MIDDLE[0] - across - margin,
            _MIDDLE[1] - down - margin,
            _MIDDLE[0] + across + margin,
            _MIDDLE[1] + down + margin,
        )
        draw.rounded_rectangle(box, radius, fill=ink)
    picture.paste(symbol, (round(_MIDDLE[0] - symbol.width / 2), round(_MIDDLE[1] - symbol.height / 2)))
    return picture


def _symbol(kind: str, text: str) -> Image.Image:
    modules = np.array(modules_of(KINDS[kind], text))
    if kind == "pdf417":
        modules = modules.repeat(_ROW_MODULES, axis=0)
    sharp = Image.fromarray(np.where(modules, 15, 245).astype(np.uint8))
    if kind in ("qr", "aztec"):
        return sharp.resize((_SQUARE_PIXELS, _SQUARE_PIXELS), Image.Resampling.BOX)
    height = 160 if kind == "code128" else round(_BARS_PIXELS * sharp.height / sharp.width)
    return sharp.resize((_BARS_PIXELS, height), Image.Resampling.BOX)


def _held(
    picture: Image.Image, *, share: float, turn: float, shift: tuple[float, float], tilt: float
) -> Image.Image:
    """Seen from a little elsewhere: one projective map, taken backwards, from the picture to the phone."""
    angle = np.deg2rad(turn)
    to_middle = np.array([[1, 0, -_MIDDLE[0] - shift[0]], [0, 1, -_MIDDLE[1] - shift[1]], [0, 0, 1]])
    turned = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, share]])
    leant = np.array([[1, 0, 0], [0, 1, 0], [tilt / _MIDDLE[0], tilt / _MIDDLE[1] / 2, 1]])
    back = np.array([[1, 0, _MIDDLE[0]], [0, 1, _MIDDLE[1]], [0, 0, 1]])
    whole = back @ leant @ turned @ to_middle
    values = (whole / whole[2, 2]).flatten()[:8].tolist()
    return picture.transform(
        SIZE, Image.Transform.PERSPECTIVE, values, Image.Resampling.BICUBIC, fillcolor=_TABLE
    )


def _glare(hand: Random) -> NDArray[np.float64]:
    """A lamp's reflection over a corner of the symbol, so bright that little is left below it."""
    across, down = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    x, y = _MIDDLE[0] + hand.uniform(90, 130), _MIDDLE[1] - hand.uniform(50, 90)
    bright: NDArray[np.float64] = 190 * np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * 70.0**2))
    return bright
