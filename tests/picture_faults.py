"""Picture files, faulty and unusual, made in memory; all from the same drawing."""

import base64
import io
import struct
import zlib
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def drawing(width: int = 96, height: int = 64) -> Image.Image:
    """A picture whose every corner differs, smooth enough for lossy formats."""
    y, x = np.mgrid[0:height, 0:width]
    red = 255 * x / max(1, width - 1)
    green = 255 * y / max(1, height - 1)
    blue = 127 + 100 * np.sin(x / 9) * np.cos(y / 7)
    return Image.fromarray(np.stack([red, green, blue], axis=-1).round().astype(np.uint8))


def textured(width: int = 96, height: int = 96) -> Image.Image:
    """A picture with detail everywhere, so that a file's bytes are spread evenly over its rows."""
    noise = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.blend(drawing(width, height), Image.fromarray(noise), 0.4)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    made = io.BytesIO()
    image.save(made, kind, **options)  # type: ignore[arg-type]
    return made.getvalue()


# --- PNG ------------------------------------------------------------------------------------------


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def png_of(rows: NDArray[np.generic], depth: int, colour: int, *extra: bytes) -> bytes:
    """A PNG of ``[H, W·channels]`` values, most significant byte first, with further chunks."""
    big = rows.astype(">u2" if depth == 16 else np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in big)
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    ihdr = header(rows.shape[1] // channels, rows.shape[0], depth, colour)
    body = (*extra, chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND"))
    return SIGNATURE + ihdr + b"".join(body)


def with_chunks(*extra: bytes) -> bytes:
    """The drawing as PNG with further chunks behind its header."""
    plain = saved(drawing(), "PNG")
    return plain[:33] + b"".join(extra) + plain[33:]


def png_with_a_wrong_checksum() -> bytes:
    plain = saved(drawing(), "PNG")
    at = plain.index(b"IDAT")
    length = int.from_bytes(plain[at - 4 : at])
    return plain[: at + 4 + length] + b"\0\0\0\0" + plain[at + 8 + length :]


def png_bomb() -> bytes:
    """50,000 × 50,000 pixels of zeros in a few hundred KiB."""
    squeeze = zlib.compressobj(1)
    data = squeeze.compress(bytes(50_001 * 3000)) + squeeze.flush()
    return SIGNATURE + header(50_000, 50_000) + chunk(b"IDAT", data) + chunk(b"IEND")


def long_text(squeezed: bool) -> bytes:
    text = b"a" * 100_000_000
    if squeezed:
        return with_chunks(chunk(b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(text, 1)))
    return with_chunks(chunk(b"iTXt", b"Comment\0\0\0\0\0" + text))


def squeezed_texts(*keywords: bytes, megabytes: int, damaged: bool = False) -> bytes:
    """A long text under each keyword; a damaged one shows it only at its very end."""
    squeezed = zlib.compress(b"a" * (megabytes << 20))
    squeezed = squeezed[:-4] + bytes(4) if damaged else squeezed
    return with_chunks(*(chunk(b"zTXt", word + b"\0\0" + squeezed) for word in keywords))


def grey_16_bit(values: list[int]) -> bytes:
    return png_of(np.array([values]), 16, 0)


def rgb_16_bit() -> bytes:
    deep = np.asarray(drawing()).astype(np.uint32) * 257
    return png_of(deep.reshape(64, -1), 16, 2)


# --- JPEG -----------------------------------------------------------------------------------------


def jpeg(*, progressive: bool = False, restart_rows: int = 0, size: int = 96) -> bytes:
    return saved(
        textured(size, size),
        "JPEG",
        quality=90,
        progressive=progressive,
        restart_marker_rows=restart_rows,
    )


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def jpeg_of_many_scans(count: int = 10_000) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    plain = jpeg(progressive=True, size=16)
    last = plain.rindex(b"\xff\xda")
    return plain[:last] + plain[last:-2] * count + b"\xff\xd9"


def jpeg_with(*segments: tuple[int, bytes], image: Image.Image | None = None) -> bytes:
    """A JPEG with segments (marker, body) put in front."""
    plain = saved(image or drawing(), "JPEG", quality=95, subsampling="4:4:4")
    made = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments
    )
    return plain[:2] + made + plain[2:]


def profile_segments(profile: bytes) -> list[tuple[int, bytes]]:
    parts = [profile[i : i + 65_000] for i in range(0, len(profile), 65_000)]
    return [
        (0xE2, b"ICC_PROFILE\0" + bytes([i + 1, len(parts)]) + part) for i, part in enumerate(parts)
    ]


def exif(orientation: int) -> bytes:
    """An EXIF block that says how the camera was held."""
    return struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def multi_picture() -> bytes:
    return saved(drawing(), "MPO", save_all=True, append_images=[drawing(48, 32)])


# --- others ---------------------------------------------------------------------------------------


def huge_webp() -> bytes:
    """A header of 16383 × 16383 pixels; no pixel data behind it is worth decoding."""
    bits = struct.pack("<I", 16382 | 16382 << 14)
    body = b"VP8L" + struct.pack("<I", 14) + b"\x2f" + bits + bytes(9)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def animated(kind: str) -> bytes:
    frames = [drawing(), drawing().rotate(180), drawing().rotate(90)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)


def gif_of_many_frames(count: int = 10_000) -> bytes:
    """A red first frame of 2 × 2 pixels, then blue ones."""
    palette = bytes([255, 0, 0, 0, 0, 255])
    screen = b"GIF89a" + struct.pack("<HHBBB", 2, 2, 0x80, 0, 0) + palette
    place = b"\x2c" + struct.pack("<HHHHB", 0, 0, 2, 2, 0)
    return screen + _gif_frame(place, 0) + _gif_frame(place, 1) * (count - 1) + b"\x3b"


def _gif_frame(place: bytes, index: int) -> bytes:
    # clear, four pixels, end; codes are three bits wide, and four from the fifth pixel's entry on
    codes, widths = [4, index, index, index, index, 5], [3, 3, 3, 3, 3, 4]
    bits = at = 0
    for code, width in zip(codes, widths, strict=True):
        bits |= code << at
        at += width
    data = bits.to_bytes(-(-at // 8), "little")
    return place + bytes([2, len(data)]) + data + b"\0"


AVIF_10 = (
    "0000WW^{RQVRmU|00000VRmU|ZE0pPZE0a<O+hh20002%ZDn*}000000000XXk=`10000000000aA{+70000000000"
    "00000000004sdC7Z2$lO000310016oY;R)#0000)000310RR910RR926951JDgXcgC~0YKW&i*H00031000_kZf0cy"
    "000000RRADb}%tRZ)|UJ00000YH4tCZ~y=ROKEUpZvX%Q6lrsCWdHyG000005C8xG5C8xG5O8UDX#fBK00RmN3IG5A"
    "3}JRLLxBKH000006Ju{|a&BX6cmM$a4FCp!0000NX>e^}0000000001009I60)qqq001&=WMOm?0162h4FB4oA)wHJ"
    "G8-93hlU}ErkZAgKmc`wZJ8!ty#qa_ho5M}Km"
)

AVIF_12 = (
    "0000SW^{RQVRmU|00000VRmU|ZE0pPZE0a<0002%ZDn*}000000000XXk=`10000000000aA{+7000000000000000"
    "000004sdC7Z2$lO000310016oY;R)#0000)000310RR910RR924*&oFDF6TfC~0YKW&i*H00031000_kZf0cy00000"
    "0RRADb}%tRZ)|UJ00000YH4tCZ~y=ROKEUpZvX%Q6lrsCWdHyG000005C8xG5C8xG5O8UDX#fBK00RsR3;+NC3}JRL"
    "LxDhS000006Ju{|a&BX6cmM$a4FCp!0000NX>e^}0000000001009I60)qqq001#<WMOm?0163M4FB5D5YTQAG8!32"
    "hlU}ErkZAgKmc`wZJ8!t8iEFQ-m?C?"
)


@cache
def deep_avif(bits: int) -> bytes:
    """A 16 × 16 ramp of 10 or 12 bits a channel, once encoded with OpenCV's imencode."""
    return base64.b85decode({10: AVIF_10, 12: AVIF_12}[bits])


def fits() -> bytes:
    cards = ["SIMPLE  =                    T", "BITPIX  =                    8", "END"]
    return "".join(f"{card:<80}" for card in cards).encode().ljust(2880) + bytes(2880)


# --- profiles -------------------------------------------------------------------------------------


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def _curve(values: NDArray[np.floating]) -> bytes:
    table = np.round(values * 65535).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", len(values)) + table


def icc(
    space: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"mntr", pcs: bytes = b"XYZ "
) -> bytes:
    """A version 2 profile (ICC.1:2001-04, clause 6)."""
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(0.9642, 1, 0.8249),
        **tags,
    }
    at, table, data = 132 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        body = value + bytes(-len(value) % 4)
        table += name + struct.pack(">II", at, len(body))
        data, at = data + body, at + len(body)
    head = struct.pack(">I4sI", at, bytes(4), 0x02100000) + kind + space + pcs + bytes(12)
    head += b"acsp" + bytes(28) + _fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


# Display P3's primaries, adapted to D50 (the columns of its published profile).
P3_TO_XYZ = np.array(
    [
        [0.515102, 0.291965, 0.157153],
        [0.241182, 0.692236, 0.066582],
        [-0.001050, 0.041882, 0.784378],
    ]
)
SRGB_TO_XYZ = np.array(
    [[0.436075, 0.385065, 0.143080], [0.222504, 0.716879, 0.060617], [0.013932, 0.097105, 0.714173]]
)


def linear(encoded: NDArray[np.floating]) -> NDArray[np.floating]:
    """IEC 61966-2-1."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encoded(light: NDArray[np.floating]) -> NDArray[np.floating]:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def display_p3() -> bytes:
    curve = _curve(linear(np.linspace(0, 1, 1024)))
    tags = {f"{c}TRC".encode(): curve for c in "rgb"}
    tags |= {f"{c}XYZ".encode(): _xyz(*P3_TO_XYZ[:, i]) for i, c in enumerate("rgb")}
    return icc(b"RGB ", tags)


def linear_grey() -> bytes:
    return icc(b"GRAY", {b"kTRC": _curve(np.array([0.0, 1.0]))})


def cmyk_that_prints_grey(lightness: float = 50) -> bytes:
    """Full cyan prints as mid-grey, no ink as white, all else as black."""
    clut = np.zeros((2, 2, 2, 2, 3))
    clut[..., 1:] = 128
    clut[0, 0, 0, 0, 0], clut[1, 0, 0, 0, 0] = 255, lightness * 2.55
    ramp = np.arange(256, dtype=np.uint8).tobytes()
    body = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    body += ramp * 4 + clut.round().astype(np.uint8).tobytes() + ramp * 3
    return icc(b"CMYK", {b"A2B0": body}, kind=b"prtr", pcs=b"Lab ")


def plain_srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
