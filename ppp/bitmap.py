"""A writer of PNG images of four colours, lines of text and bars, cheap enough for tens of thousands of packages.

An image is a stack of bands: each is compressed by itself, once for all images that have it, and ends at a whole byte,
so that bands are joined as they are. Letters are drawn from `site/preview/font.txt`, a row of dots at a time; a row of
dots is as many rows of the image as it is high, all but the first of which say "as above", which takes next to no
bytes. A dot is as wide as whole bytes, so no bits are shifted.

The bytes of an image depend on zlib's: where that is another one, so are they, and the pixels are not.
"""

import zlib
from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import cache, lru_cache
from typing import Final, NamedTuple

from ppp.resources import resource

WIDTH: Final = 1200
HEIGHT: Final = 630
#: Two bits a pixel, four pixels a byte.
_PIXELS_PER_BYTE: Final = 4
_MARGIN: Final = 15
#: A letter is drawn in 5 x 9 dots, and followed by one column without any.
_COLUMNS: Final = 6
LETTER_ROWS: Final = 9
#: The filters of PNG that a row begins with: its own bytes, or the difference to the row above.
_AS_IS: Final = b"\0"
_SAME_AS_ABOVE: Final = b"\2"
_ADLER_BASE: Final = 65_521
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
#: Of a deflate stream: its header, and an empty last block.
_ZLIB_HEADER: Final = b"\x78\x01"
_LAST_BLOCK: Final = b"\x03\x00"


class Colour(IntEnum):
    """A colour of the palette: those of the site's dark theme."""

    BACKGROUND = 0
    TEXT = 1
    GOOD = 2
    BAD = 3


_PALETTE: Final = bytes.fromhex("0b0f0de3ece67ee2a8ff8f85")


class Band(NamedTuple):
    """Some rows of an image: their number, the Adler-32 of their bytes, and these bytes compressed."""

    rows: int
    adler: int
    deflated: bytes


#: Words of one colour on a line.
Run = tuple[str, Colour]


def letters_on_line(scale: int, width: int = WIDTH) -> int:
    """Return how many letters a line has room for at a scale, in an image `width` pixels wide."""
    return (width // _PIXELS_PER_BYTE - _MARGIN) // (_COLUMNS * scale)


def line_height(scale: int) -> int:
    """Return the height of a line in pixels."""
    return LETTER_ROWS * scale * _PIXELS_PER_BYTE


@cache
def gap(rows: int, width: int = WIDTH) -> Band:
    """Return an empty band, `rows` pixels high and `width` wide, which is a multiple of four."""
    return bar((), rows, width)


@lru_cache(2_048)
def bar(runs: tuple[tuple[Colour, int], ...], rows: int, width: int = WIDTH) -> Band:
    """Return a band of colours from the margin on: each for so many times four pixels, `rows` pixels high."""
    room = width // _PIXELS_PER_BYTE
    row = b"".join(bytes([colour * 0b01010101]) * count for colour, count in runs)
    if row:
        row = (bytes(_MARGIN) + row)[: room - _MARGIN]
    return _repeated([row.ljust(room, b"\0")], rows)


@lru_cache(2_048)
def line(runs: tuple[Run, ...], scale: int, width: int = WIDTH) -> Band:
    """Return a line of text whose dots are `4 * scale` pixels wide and high; what is too long ends in three dots."""
    letters = [(letter, colour) for words, colour in runs for letter in words]
    most = letters_on_line(scale, width)
    if len(letters) > most:
        letters = [*letters[: most - 3], *((".", colour) for _, colour in letters[most - 3 : most])]
    glyphs = [_glyph(letter, colour, scale) for letter, colour in letters]
    dots = (bytes(_MARGIN) + b"".join(glyph[row] for glyph in glyphs) for row in range(LETTER_ROWS))
    return _repeated([row.ljust(width // _PIXELS_PER_BYTE, b"\0") for row in dots], _PIXELS_PER_BYTE * scale)


def png(bands: Iterable[Band], width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """Return the image of bands from top to bottom; raise `ValueError` if they are not `height` rows together."""
    stack = [*bands]
    if (rows := sum(band.rows for band in stack)) != height:
        raise ValueError(f"{rows} rows are not {height}")
    adler = 1
    for band in stack:
        adler = _joined_adler(adler, band.adler, band.rows * (width // _PIXELS_PER_BYTE + 1))
    deflated = b"".join(band.deflated for band in stack)
    pixels = _ZLIB_HEADER + deflated + _LAST_BLOCK + adler.to_bytes(4, "big")
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x02\x03\0\0\0"
    chunks = ((b"IHDR", header), (b"PLTE", _PALETTE), (b"IDAT", pixels), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def _repeated(rows: Sequence[bytes], times: int) -> Band:
    # Each row so many times; all but the first of them as above.
    again = (_SAME_AS_ABOVE + bytes(len(rows[0]))) * (times - 1)
    content = b"".join(_AS_IS + row + again for row in rows)
    # Runs of one byte are all that there is, and looking for nothing else takes a tenth of the time.
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_RLE)
    deflated = packer.compress(content) + packer.flush(zlib.Z_SYNC_FLUSH)
    return Band(len(rows) * times, zlib.adler32(content), deflated)


def _joined_adler(first: int, second: int, second_bytes: int) -> int:
    # Of two texts in a row, as RFC 1950 defines it: the second one's sums begin with those of the first.
    low, high = first & 0xFFFF, first >> 16
    joined_low = (low + (second & 0xFFFF) - 1) % _ADLER_BASE
    return (high + (second >> 16) + second_bytes * (low - 1)) % _ADLER_BASE << 16 | joined_low


@lru_cache(2_048)
def _glyph(letter: str, colour: Colour, scale: int) -> tuple[bytes, ...]:
    # A row of bytes for each row of dots; a letter that the font lacks is a box.
    dot, none = bytes([colour * 0b01010101]) * scale, bytes(scale)
    rows = _font().get(letter) or ("#####",) * 7 + (".....",) * 2
    return tuple(b"".join(dot if one == "#" else none for one in f"{row}.") for row in rows)


@cache
def _font() -> dict[str, tuple[str, ...]]:
    # Blocks of letters side by side: a line with their names, then their rows of dots.
    font: dict[str, tuple[str, ...]] = {" ": (".....",) * LETTER_ROWS}
    for block in resource("site/preview/font.txt").read_text("ascii").split("\n\n"):
        names, *rows = block.splitlines()
        font |= zip(names, zip(*(row.split(" ") for row in rows), strict=True), strict=True)
    return font
