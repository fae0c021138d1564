"""Read back the pixels of a palette PNG of two bits a pixel, as this program writes them, and nothing else."""

import zlib
from collections.abc import Iterator


def chunks(image: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the content of each chunk; fail where a checksum is wrong."""
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    place = 8
    while place < len(image):
        size = int.from_bytes(image[place : place + 4], "big")
        kind, content = image[place + 4 : place + 8], image[place + 8 : place + 8 + size]
        assert int.from_bytes(image[place + 8 + size : place + 12 + size], "big") == zlib.crc32(kind + content)
        yield kind, content
        place += 12 + size


def pixels(image: bytes) -> list[list[str]]:
    """Return the rows of an image, a colour (`#0b0f0d`) for each pixel; fail where it is not such an image."""
    found = dict(chunks(image))
    assert [kind for kind, _ in chunks(image)] == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    width, height = int.from_bytes(found[b"IHDR"][:4], "big"), int.from_bytes(found[b"IHDR"][4:8], "big")
    assert found[b"IHDR"][8:] == b"\x02\x03\0\0\0"
    colours = [f"#{found[b'PLTE'][n : n + 3].hex()}" for n in range(0, len(found[b"PLTE"]), 3)]
    content, step = zlib.decompress(found[b"IDAT"]), width // 4 + 1
    assert len(content) == step * height
    rows: list[list[str]] = []
    above = bytes(step - 1)
    for start in range(0, len(content), step):
        kept = content[start + 1 : start + step]
        above = bytes((one + other) % 256 for one, other in zip(kept, above, strict=True)) if content[start] else kept
        rows.append([colours[byte >> shift & 3] for byte in above for shift in (6, 4, 2, 0)])
    return rows
