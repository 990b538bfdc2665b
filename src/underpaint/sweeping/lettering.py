"""Words on pictures at any size, in a font that has their letters.

Pillow carries one scalable font, which knows the letters of English. Other letters are looked for
in the fonts that the system has; what none of them can write is not drawn, and the caller is told.
"""

import unicodedata
from functools import cache

from PIL import Image, ImageDraw, ImageFont, features

# Names that Pillow finds in the folders of Linux, macOS and Windows; wide ones last, they are large.
_SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "Arial.ttf",
    "arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "Hiragino Sans GB.ttc",
    "msyh.ttc",
    "Arial Unicode.ttf",
)
_MISSING = "\uffff"  # no character, so every font draws its sign for a missing one
_BITMAP_PX = 11  # the height of Pillow's bitmap font, which is all there is without FreeType
ELLIPSIS = "…"


def can_write(text: str) -> bool:
    """Whether a font here has every letter of ``text`` and can order and join them."""
    return _font_name(text) is not None


def width_of(text: str, size_px: int) -> int:
    """How wide one line is."""
    text = _in_one_line(text)
    if not features.check("freetype2"):
        return round(ImageFont.load_default().getlength(_plain(text)) * size_px / _BITMAP_PX)
    return round(_font(_font_name(text) or "", size_px).getlength(text))


def line_px(size_px: int) -> int:
    """How far lines lie apart."""
    return round(size_px * 1.3)


def write(image: Image.Image, at: tuple[int, int], text: str, size_px: int, colour: str) -> None:
    """Draws one line, its top left corner at ``at``."""
    text = _in_one_line(text)
    if not text:
        return
    if not features.check("freetype2"):
        _write_enlarged(image, at, text, size_px, colour)
        return
    font = _font(_font_name(text) or "", size_px)
    # The baseline lies where it does in every font of that size.
    place = (at[0], at[1] + size_px)
    ImageDraw.Draw(image).text(place, text, fill=colour, font=font, anchor="ls")


def wrapped(text: str, size_px: int, *, within_px: int, lines: int) -> list[str]:
    """The text in at most ``lines`` lines no wider than ``within_px``; the rest is an ellipsis."""
    made: list[str] = []
    line = ""
    for word in _pieces(text, size_px, within_px):
        longer = f"{line} {word}" if line else word
        if not line or width_of(longer, size_px) <= within_px:
            line = longer
            continue
        made.append(line)
        line = word
    made.append(line)
    if len(made) <= lines:
        return made
    last = made[lines - 1]
    while last and width_of(last + ELLIPSIS, size_px) > within_px:
        last = last[:-1]
    return [*made[: lines - 1], last.rstrip() + ELLIPSIS]


def _pieces(text: str, size_px: int, within_px: int) -> list[str]:
    """The words of ``text``, those that are too long for a line in parts."""
    pieces: list[str] = []
    for word in text[:2000].split():
        rest = word
        while width_of(rest, size_px) > within_px and len(rest) > 1:
            fits = len(rest) - 1
            while fits > 1 and width_of(rest[:fits], size_px) > within_px:
                fits = fits * 3 // 4
            pieces.append(rest[:fits])
            rest = rest[fits:]
        pieces.append(rest)
    return pieces


@cache
def _font(name: str, size_px: int) -> ImageFont.FreeTypeFont:
    found = ImageFont.truetype(name, size_px) if name else ImageFont.load_default(size_px)
    assert isinstance(found, ImageFont.FreeTypeFont)  # noqa: S101  a size was given
    return found


def _font_name(text: str) -> str | None:
    """The first font that has all letters, "" for Pillow's own; None where there is none."""
    letters = frozenset("".join(text.split()))
    if not features.check("freetype2"):
        return "" if text.isascii() else None
    if _runs_to_the_left(letters) and not features.check("raqm"):
        return None
    return _font_with(letters)


@cache
def _font_with(letters: frozenset[str]) -> str | None:
    for name in ("", *_SYSTEM_FONTS):
        try:
            font = _font(name, 24)
        except OSError:
            continue
        missing = _drawn(font, _MISSING)
        visible = (one for one in letters if unicodedata.category(one) != "Cf")
        if all(_drawn(font, one) != missing for one in visible):
            return name
    return None


def _drawn(font: ImageFont.FreeTypeFont, letter: str) -> bytes:
    """What a letter looks like in that font: two that look alike are both missing."""
    canvas = Image.new("L", (64, 48))
    ImageDraw.Draw(canvas).text((8, 36), letter, fill=255, font=font, anchor="ls")
    return canvas.tobytes()


def _runs_to_the_left(letters: frozenset[str]) -> bool:
    return any(unicodedata.bidirectional(one) in {"R", "AL"} for one in letters)


def _write_enlarged(
    image: Image.Image, at: tuple[int, int], text: str, size_px: int, colour: str
) -> None:
    """The bitmap font, brought to the size: rough, and readable."""
    font = ImageFont.load_default()
    plain = _plain(text)
    small = Image.new("L", (max(1, round(font.getlength(plain))), _BITMAP_PX))
    ImageDraw.Draw(small).text((0, 0), plain, fill=255, font=font)
    size = (max(1, small.width * size_px // _BITMAP_PX), size_px)
    mask = small.resize(size, Image.Resampling.BICUBIC)
    image.paste(Image.new("RGB", size, colour), at, mask)


def _in_one_line(text: str) -> str:
    """With a space where anything parts words or lines: no font draws a carriage return."""
    return " ".join(text.split())


def _plain(text: str) -> str:
    """What the bitmap font can draw."""
    return text.replace(ELLIPSIS, "...").encode("ascii", "replace").decode()
