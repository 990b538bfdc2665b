"""What is refused, what is read with a notice, and what is simply read."""

import builtins
import errno
import io
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, ImageOps

from tests import picture_faults as made
from underpaint import pixels
from underpaint.errors import PictureError
from underpaint.geometry import Size

DRAWN = np.asarray(made.drawing())
AVIF = made.saved(made.drawing(), "AVIF", quality=90)
WEBP = made.saved(made.drawing(), "WEBP", quality=90)

REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "it is empty"),
    "one byte": (lambda: b"\x89", "no picture of a known kind"),
    "text": (lambda: "naïve text\n".encode() * 500, "a text"),
    "html": (lambda: b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
    "svg": (lambda: b'<?xml version="1.0"?><svg xmlns="x"/>', "an SVG drawing; export it as PNG"),
    "eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
    "pdf": (lambda: b"%PDF-1.7\n", "a PDF document"),
    "fits": (made.fits, "a FITS file"),
    "gd": (lambda: b"\xff\xfe\0\x08\0\x08\x01" + bytes(64), "a GD file"),
    "fpx": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "FlashPix"),
    "png cut in its header": (lambda: made.saved(made.drawing(), "PNG")[:20], "cut short"),
    "png cut in its pixels": (
        lambda: made.cut(made.saved(made.drawing(), "PNG"), 0.6),
        "cut short",
    ),
    "png with a wrong checksum": (made.png_with_a_wrong_checksum, "damaged"),
    "png bomb": (made.png_bomb, "50000x50000 pixels are 2500.0 megapixels and at most 100"),
    "png with 100 MB of text": (lambda: made.long_text(squeezed=False), "MiB of text"),
    "png with 100 MB of squeezed text": (lambda: made.long_text(squeezed=True), "MiB of text"),
    "png with two squeezed texts of 5 MB": (
        lambda: made.squeezed_texts(b"parameters", b"XML:com.adobe.xmp", megabytes=5),
        "MiB of text",
    ),
    "png without width": (
        lambda: made.SIGNATURE + made.header(0, 9) + made.chunk(b"IEND"),
        "no pixels",
    ),
    "png without pixels": (
        lambda: made.SIGNATURE + made.header(9, 9) + made.chunk(b"IEND"),
        "damaged",
    ),
    "jpeg cut at 10 %": (lambda: made.cut(made.jpeg(), 0.1), "cut short"),
    "jpeg cut at 50 %": (lambda: made.cut(made.jpeg(), 0.5), "cut short"),
    "jpeg cut at 90 %": (lambda: made.cut(made.jpeg(), 0.9), "cut short"),
    "jpeg with restarts cut at 50 %": (
        lambda: made.cut(made.jpeg(restart_rows=1), 0.5),
        "cut short",
    ),
    "progressive jpeg cut at 10 %": (
        lambda: made.cut(made.jpeg(progressive=True), 0.1),
        "cut short",
    ),
    "progressive jpeg cut at 50 %": (
        lambda: made.cut(made.jpeg(progressive=True), 0.5),
        "cut short",
    ),
    "progressive jpeg cut at 85 %": (
        lambda: made.cut(made.jpeg(progressive=True), 0.85),
        "cut short",
    ),
    "progressive jpeg of 10,000 scans": (made.jpeg_of_many_scans, "more than 100 passes"),
    "jpeg of 12 bits": (
        lambda: made.jpeg().replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
        "12 bits",
    ),
    "webp cut": (lambda: made.cut(WEBP, 0.5), "cut short"),
    "webp of 16383 × 16383": (made.huge_webp, "16383x16383 pixels are 268.4 megapixels"),
    "avif cut": (lambda: made.cut(AVIF, 0.8), "cut short"),
    "gif cut": (lambda: made.cut(made.saved(made.textured(), "GIF"), 0.5), "damaged"),
    "bmp cut": (lambda: made.cut(made.saved(made.drawing(), "BMP"), 0.5), "damaged"),
    "tiff cut": (lambda: made.cut(made.saved(made.drawing(), "TIFF"), 0.5), "damaged"),
    "tiff of floats": (
        lambda: made.saved(Image.new("F", (8, 8), 0.5), "TIFF"),
        "without a known white",
    ),
    "heic": (lambda: b"\0\0\0\x1cftypheic\0\0\0\0heicmif1" + bytes(40), "underpaint[heif]"),
    "video": (lambda: b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(40), "a video"),
}


@pytest.fixture
def _no_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter without the extra, whatever is installed in this one."""
    importing = builtins.__import__

    def without_heif(name: str, *rest: object, **more: object) -> object:
        if name == "pillow_heif":
            raise ImportError(name)
        return importing(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_heif)


@pytest.mark.usefixtures("_no_heif")
@pytest.mark.parametrize("case", REFUSED)
def test_a_picture_that_cannot_be_used_is_refused_in_one_sentence(case: str) -> None:
    build, words = REFUSED[case]
    data = build()
    with pytest.raises(PictureError) as refusal:
        pixels.read(data)
    message = str(refusal.value)
    assert words in message
    assert message.startswith("cannot read the picture given as bytes: ")
    assert "\n" not in message
    assert not message.endswith(".")
    assert len(message) < 400


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads Linux's counters")
def test_a_refusal_takes_less_than_300_mb(tmp_path: Path) -> None:
    for index, (build, _) in enumerate(REFUSED.values()):
        (tmp_path / f"{index:02}").write_bytes(build())
    script = """
import pathlib, sys
from underpaint import pixels
from underpaint.errors import PictureError
def kib(key):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak counts anew from here
    before = kib("VmRSS")
    try:
        pixels.read(path)
    except PictureError:
        print(path.name, (kib("VmHWM") - before) // 1024)
"""
    told = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    ).stdout.split()
    grown = dict(zip(told[::2], map(int, told[1::2]), strict=True))
    assert len(grown) == len(REFUSED)
    assert max(grown.values()) < 300


def _read_with(data: bytes, *codes: str) -> pixels.Picture:
    picture = pixels.read(data)
    assert [notice.code for notice in picture.notices] == list(codes)
    return picture


def _near(picture: pixels.Picture, tolerance: float) -> None:
    """The drawing, within what the format loses on average."""
    assert picture.size == Size(96, 64)
    assert np.abs(picture.rgb.astype(int) - DRAWN).mean() <= tolerance


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        (made.animated("PNG"), 0),
        (made.animated("WEBP"), 4),
        (made.animated("AVIF"), 4),
        (made.saved(made.drawing(), "TIFF", save_all=True, append_images=[made.drawing()]), 0),
        (made.multi_picture(), 3),
    ],
    ids=["apng", "webp", "avif", "tiff", "mpo"],
)
def test_of_several_pictures_the_first_is_taken_and_that_is_said(
    data: bytes, tolerance: float
) -> None:
    _near(_read_with(data, "first-frame"), tolerance)


def test_a_gif_of_10000_frames_gives_its_first_at_once() -> None:
    picture = _read_with(made.gif_of_many_frames(), "first-frame")
    assert np.array_equal(picture.rgb, np.full((2, 2, 3), [255, 0, 0]))


def test_a_progressive_jpeg_without_its_last_scan_is_refused() -> None:
    whole = made.jpeg(progressive=True)
    with pytest.raises(PictureError, match="cut short"):
        pixels.read(whole[: whole.rindex(b"\xff\xda")])


@pytest.mark.parametrize("progressive", [False, True])
def test_half_of_a_large_jpeg_is_refused_too(progressive: bool) -> None:
    image = made.drawing(300, 200).resize((6000, 4000))
    whole = made.saved(image, "JPEG", quality=95, progressive=progressive)
    with pytest.raises(PictureError, match="cut short"):
        pixels.read(made.cut(whole, 0.6))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.99, None], ids=["cut at 99 %", "no end marker"])
def test_a_jpeg_whose_very_end_is_missing_is_read(progressive: bool, share: float | None) -> None:
    whole = made.jpeg(progressive=progressive, size=256)
    data = whole[:-2] if share is None else made.cut(whole, share)
    picture = _read_with(data, "truncated")
    differs = (picture.rgb != pixels.read(whole).rgb).any(axis=2)
    assert not differs[: 256 - 32].any()  # a row of coded blocks, and chroma smoothed across it
    assert share is not None or not differs.any()


def test_a_broken_jpeg_reads_the_same_while_pillow_is_told_to_be_lenient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(PictureError, match="cut short"):
        pixels.read(made.cut(made.jpeg(), 0.5))


@pytest.mark.parametrize(
    "build",
    [
        lambda: made.grey_16_bit([0, 65535]),
        made.rgb_16_bit,
        lambda: made.deep_avif(10),
        lambda: made.deep_avif(12),
    ],
    ids=["16-bit grey png", "16-bit rgb png", "10-bit avif", "12-bit avif"],
)
def test_a_deep_picture_is_read_at_8_bits_and_that_is_said(build: Callable[[], bytes]) -> None:
    _read_with(build(), "bit-depth")


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    picture = pixels.read(made.grey_16_bit([0, 257, 257 * 100, 257 * 100 + 128, 65535]))
    assert picture.rgb[0, :, 0].tolist() == [0, 1, 100, 100, 255]


def test_16_bit_rgb_is_the_same_picture() -> None:
    _near(pixels.read(made.rgb_16_bit()), 0)


@pytest.mark.parametrize(("bits", "photometric"), [(12, 1), (16, 1), (16, 0)])
def test_a_deep_grey_tiff_has_its_own_black_and_white(bits: int, photometric: int) -> None:
    white = (1 << bits) - 1
    packed = b"".join(v.to_bytes(2, "little") for v in (0, white // 2, white, white))
    if bits == 12:
        packed = int("0007ffffffff", 16).to_bytes(6)
    tags = [(256, 4), (257, 1), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1)]
    tags += [(278, 1), (279, len(packed))]
    body = b"".join(
        tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little")
        for tag, value in tags
    )
    data = (
        b"II*\0"
        + (8 + len(packed)).to_bytes(4, "little")
        + packed
        + len(tags).to_bytes(2, "little")
    )
    picture = _read_with(data + body + bytes(4), "bit-depth")
    seen = picture.rgb[0, :, 0].tolist()
    assert seen == ([0, 127, 255, 255] if photometric else [255, 128, 0, 0])


@pytest.mark.parametrize(
    "data",
    [
        made.saved(made.drawing(), "PNG", icc_profile=b"no profile"),
        made.saved(made.drawing(), "PNG", icc_profile=made.display_p3()[:200]),
        made.saved(made.drawing(), "PNG", icc_profile=made.linear_grey()),
        made.saved(made.drawing(), "PNG", icc_profile=made.display_p3() + bytes(10_000_000)),
        made.with_chunks(made.chunk(b"iCCP", b"x\0\0not deflate")),
    ],
    ids=["text", "cut", "for grey", "10 MB", "not inflatable"],
)
def test_a_profile_that_cannot_be_used_is_ignored_and_that_is_said(data: bytes) -> None:
    _near(_read_with(data, "bad-profile"), 0)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "TIFF"])
def test_a_10_mb_profile_is_ignored_in_every_format(kind: str) -> None:
    profile = made.display_p3() + bytes(10_000_000)
    if kind == "JPEG":
        data = made.jpeg_with(*made.profile_segments(profile))
    else:
        data = made.saved(made.drawing(), kind, icc_profile=profile)
    _near(_read_with(data, "bad-profile"), 4)


NONSENSE = b"Exif\0\0MM\0\x2a\xff\xff\xff\xff\0\0"


@pytest.mark.parametrize(
    "block", [NONSENSE, b"Exif\0\0" + made.exif(0), b"Exif\0\0" + made.exif(9)]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_that_makes_no_sense_is_ignored_and_that_is_said(kind: str, block: bytes) -> None:
    if kind == "JPEG":
        data = made.jpeg_with((0xE1, block))
    elif kind == "PNG":
        data = made.with_chunks(made.chunk(b"eXIf", block[6:]))
    else:
        data = made.saved(made.drawing(), kind, exif=block, quality=95)
    _near(_read_with(data, "bad-exif"), 4)


def test_an_avif_whose_exif_makes_no_sense_is_read() -> None:
    block = Image.Exif()
    block[0x010E] = "a description"
    sound = made.saved(made.drawing(), "AVIF", exif=block, quality=90)
    assert sound.count(b"MM\0*") == 1
    _near(_read_with(sound.replace(b"MM\0*", b"\xff\xff\0*"), "bad-exif"), 4)
    _near(_read_with(sound), 4)


def test_what_such_an_avif_says_of_itself_is_read_too() -> None:
    block = Image.Exif()
    block[0x010E] = "a description"
    sound = made.saved(made.drawing(), "AVIF", exif=block, xmp=b"<x:xmpmeta/>", quality=90)
    assert pixels.read_metadata(sound)[0] == b"<x:xmpmeta/>"
    assert pixels.read_metadata(sound.replace(b"MM\0*", b"\xff\xff\0*")) == (b"<x:xmpmeta/>", None)


def test_grey_with_premultiplied_alpha_is_read_with_its_alpha() -> None:
    grey, alpha = 200, 128
    data = made.saved(Image.new("LA", (6, 4), (grey * alpha // 255, alpha)), "TIFF")
    tag = struct.pack(
        "<HHI", 338, 3, 1
    )  # extra samples, one short: 2 is plain alpha, 1 premultiplied
    assert data.count(tag + b"\x02\x00") == 1
    picture = pixels.read(data.replace(tag + b"\x02\x00", tag + b"\x01\x00"))
    assert picture.alpha is not None
    assert set(np.asarray(picture.alpha).ravel().tolist()) == {alpha}
    assert abs(int(picture.rgb[0, 0, 0]) - grey) <= 1


def test_a_sound_lab_profile_is_no_damaged_one() -> None:
    lab = ImageCms.createProfile("LAB")
    drawn = made.drawing().convert("RGB")
    way = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    data = made.saved(
        ImageCms.applyTransform(drawn, way), "TIFF", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes()
    )  # fmt: skip
    picture = pixels.read(data)
    assert picture.notices == ()
    apart = picture.rgb.astype(int) - np.asarray(drawn, dtype=int)
    assert np.abs(apart).mean() < 4  # Lab in 8 bits


@pytest.mark.parametrize("orientation", [0, 9])
def test_a_tiff_held_in_an_impossible_way_is_read_as_it_lies(orientation: int) -> None:
    data = made.saved(made.drawing(), "TIFF", tiffinfo={274: orientation})
    _near(_read_with(data, "bad-exif"), 0)


def test_a_wholly_transparent_picture_is_read_and_that_is_said() -> None:
    clear = made.drawing().convert("RGBA")
    clear.putalpha(0)
    picture = _read_with(made.saved(clear, "PNG"), "transparent")
    _near(picture, 0)
    assert picture.alpha is not None


@pytest.mark.parametrize(
    ("keywords", "damaged"),
    [([b"%d" % i for i in range(60)], False), ([b"parameters"] * 60, True)],
    ids=["nobody reads", "repeated and damaged"],
)
def test_texts_that_are_not_used_cost_nothing(keywords: list[bytes], damaged: bool) -> None:
    data = made.squeezed_texts(*keywords, megabytes=8, damaged=damaged)
    tracemalloc.start()
    try:
        _near(_read_with(data), 0)
        assert pixels.read_metadata(data) == (None, None)
        assert tracemalloc.get_traced_memory()[1] < 50e6  # one text is inflated at most
    finally:
        tracemalloc.stop()


# --- accepted -------------------------------------------------------------------------------------


def _held(orientation: int) -> Image.Image:
    """The drawing as a sensor stores it that was held in that way, by Pillow's own inverse."""
    transpose = Image.Transpose
    stored = {
        2: transpose.FLIP_LEFT_RIGHT,
        3: transpose.ROTATE_180,
        4: transpose.FLIP_TOP_BOTTOM,
        5: transpose.TRANSPOSE,
        6: transpose.ROTATE_90,
        7: transpose.TRANSVERSE,
        8: transpose.ROTATE_270,
    }
    image = made.drawing()
    return image.transpose(stored[orientation]) if orientation in stored else image


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_picture_is_read_upright_however_the_camera_was_held(kind: str, orientation: int) -> None:
    image, block = _held(orientation), b"Exif\0\0" + made.exif(orientation)
    if kind == "JPEG":
        data = made.jpeg_with((0xE1, block), image=image)
    elif kind == "TIFF":
        data = made.saved(image, kind, tiffinfo={274: orientation})
    else:
        data = made.saved(image, kind, exif=block, quality=95)
    assert np.array_equal(np.asarray(ImageOps.exif_transpose(image)), np.asarray(image))
    _near(_read_with(data), {"PNG": 0, "TIFF": 0}.get(kind, 3))


def test_a_pillow_image_is_turned_upright_and_a_turned_one_is_not_turned_again() -> None:
    data = made.saved(_held(6), "PNG", exif=made.exif(6))
    with Image.open(io.BytesIO(data)) as stored:
        _near(pixels.read(stored), 0)
        _near(pixels.read(ImageOps.exif_transpose(stored)), 0)


def test_display_p3_is_converted_to_srgb() -> None:
    rgb = np.array([[[128, 128, 128], [200, 120, 90], [60, 90, 160], [255, 0, 0]]], np.uint8)
    data = made.saved(Image.fromarray(rgb), "PNG", icc_profile=made.display_p3())
    light = made.linear(rgb / 255) @ (np.linalg.inv(made.SRGB_TO_XYZ) @ made.P3_TO_XYZ).T
    wanted = np.round(made.encoded(light) * 255)
    seen = _read_with(data).rgb.astype(int)
    # lcms calculates in 16 bits through tables: one step, and one more for its rounding to bytes
    assert np.abs(seen - wanted).max() <= 2
    assert np.abs(seen - rgb.astype(int)).max() > 5


def test_a_picture_tagged_srgb_keeps_every_pixel() -> None:
    rng = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for profile in (made.plain_srgb(), made.icc(b"RGB ", _srgb_tags())):
        data = made.saved(Image.fromarray(rng), "PNG", icc_profile=profile)
        assert np.array_equal(_read_with(data).rgb, rng)


def test_a_profile_that_is_almost_srgb_is_applied() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    profile = made.icc(b"RGB ", _srgb_tags(np.linspace(0, 1, 1024) ** 2.2))
    seen = _read_with(made.saved(Image.fromarray(ramp), "PNG", icc_profile=profile)).rgb
    wanted = np.round(made.encoded((ramp / 255) ** 2.2) * 255)
    assert np.abs(wanted - ramp).max() < 10
    assert np.abs(seen - wanted).max() <= 1  # rounding through lcms's tables


def _srgb_tags(light: np.ndarray | None = None) -> dict[bytes, bytes]:
    curve = made._curve(made.linear(np.linspace(0, 1, 1024)) if light is None else light)
    tags = {f"{c}TRC".encode(): curve for c in "rgb"}
    return tags | {
        f"{c}XYZ".encode(): made._xyz(*made.SRGB_TO_XYZ[:, i]) for i, c in enumerate("rgb")
    }


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_grey_profile_is_applied_to_a_grey_picture(mode: str) -> None:
    image = Image.new(mode, (4, 4), 55 if mode == "L" else (55, 9))
    picture = _read_with(made.saved(image, "PNG", icc_profile=made.linear_grey()))
    wanted = round(255 * float(made.encoded(np.array(55 / 255))))
    assert wanted == 128
    assert np.abs(picture.rgb.astype(int) - wanted).max() <= 1
    assert (picture.alpha is None) == (mode == "L")


def test_cmyk_without_a_profile_is_read_by_the_plain_formula() -> None:
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    for data in (made.saved(inks, "TIFF"), made.saved(inks, "JPEG", quality=100)):
        assert np.abs(_read_with(data).rgb.astype(int) - [0, 255, 255]).max() <= 2


def test_cmyk_with_a_profile_is_read_through_it() -> None:
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    profile = made.cmyk_that_prints_grey(lightness=50)
    for kind in ("TIFF", "JPEG"):
        picture = _read_with(made.saved(inks, kind, icc_profile=profile, quality=100))
        assert np.abs(picture.rgb.astype(int) - 119).max() <= 2  # L* 50 is 119 in sRGB


def test_adobe_inverted_cmyk_is_read_upright_in_colour() -> None:
    # Adobe stores 255 − ink; Pillow writes the same way, so the stored numbers must be inverted.
    inks = Image.new("CMYK", (16, 16), (10, 200, 30, 40))
    data = made.saved(inks, "JPEG", quality=100)
    assert b"Adobe" in data
    wanted = np.asarray(inks.convert("RGB"))
    assert np.abs(_read_with(data).rgb.astype(int) - wanted).max() <= 2


def test_a_palette_with_transparency_gives_alpha() -> None:
    image = made.drawing().quantize(16)
    image.putpixel((0, 0), 3)
    image.info["transparency"] = 3
    picture = _read_with(made.saved(image, "PNG"))
    assert picture.alpha is not None
    assert picture.alpha[0, 0] == 0
    assert np.array_equal(picture.alpha == 0, np.asarray(image) == 3)
    assert np.array_equal(picture.rgb, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_every_usual_mode_is_read(mode: str, kind: str) -> None:
    image = made.drawing().convert("RGBA")
    image.putalpha(made.drawing().getchannel("R"))
    image = image.convert("RGB").convert(mode) if mode in "1P" else image.convert(mode)
    picture = _read_with(made.saved(image, kind))
    assert np.array_equal(picture.rgb, np.asarray(image.convert("RGB")))
    if mode.endswith("A"):
        assert np.array_equal(picture.alpha, np.asarray(image.getchannel("A")))
    else:
        assert picture.alpha is None


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "GIF", "PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (513, 407), (64, 2000)])
def test_any_size_is_read_from_any_format(kind: str, size: tuple[int, int]) -> None:
    image = made.drawing(*size)
    picture = _read_with(made.saved(image, kind))
    assert picture.size == Size(*size)
    if kind in {"BMP", "TIFF", "PNG"}:
        assert np.array_equal(picture.rgb, np.asarray(image))


def test_heic_is_read_where_the_extra_is_installed() -> None:
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(_held(6)).save(file, quality=95, exif=made.exif(6))
    _near(_read_with(file.getvalue()), 4)
    deep = heif.from_bytes("RGB;16", (16, 16), bytes(16 * 16 * 6))
    file = io.BytesIO()
    deep.save(file)
    _read_with(file.getvalue(), "bit-depth")
    with pytest.raises(PictureError, match="cut short"):
        pixels.read(made.cut(file.getvalue(), 0.9))


# --- where it comes from --------------------------------------------------------------------------


def test_a_path_gives_name_and_hash(tmp_path: Path) -> None:
    path = tmp_path / "näme.png"
    made.drawing().save(path)
    for source in (path, str(path)):
        picture = pixels.read(source)
        assert picture.name == "näme.png"
        assert picture.sha256 == pixels.read(path.read_bytes()).sha256
    assert pixels.read(path.read_bytes()).name is None


def test_an_array_is_copied() -> None:
    for shape in ((5, 7), (5, 7, 3), (5, 7, 4)):
        array = np.full(shape, 9, np.uint8)
        picture = pixels.read(array)
        array[:] = 0
        assert picture.size == Size(7, 5)
        assert (picture.rgb == 9).all()
        assert (picture.alpha is not None) == (shape[-1] == 4)
    assert not picture.rgb.flags.writeable


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32 and only uint8"),
        (np.zeros((4, 4, 2), np.uint8), r"\[4, 4, 2\]"),
        (np.zeros((4,), np.uint8), r"\[4\]"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
    ],
)
def test_an_array_of_another_make_is_refused(array: np.ndarray, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        pixels.read(array)


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for source, words in [
        (tmp_path / "none.png", "no such file"),
        (tmp_path, "it is a folder"),
        (pipe, "a pipe or a device"),
        ("/dev/zero", "a pipe or a device"),
        ("a\0b.png", "no name a file can have"),
        ("x" * 300 + ".png", "check the path"),
        ("https://example.org/a.png", "download it first"),
        (None, "NoneType"),
        (7, "it is int"),
    ]:
        with pytest.raises(PictureError, match=words):
            pixels.read(source)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_closed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "closed.png"
    made.drawing().save(path)
    path.chmod(0)
    with pytest.raises(PictureError, match="you may not open it"):
        pixels.read(path)


def test_the_limit_is_the_callers() -> None:
    data = made.saved(made.drawing(), "PNG")
    for source in (data, made.drawing(), DRAWN):
        assert pixels.read(source, limit_px=96 * 64).size == Size(96, 64)
        with pytest.raises(PictureError, match="scale it down first"):
            pixels.read(source, limit_px=96 * 64 - 1)


def test_reading_leaves_the_process_as_it_was_and_runs_in_threads() -> None:
    before = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    sources = [made.jpeg(size=256)[:-2], made.cut(made.jpeg(), 0.5), made.multi_picture(), AVIF]
    alone = [_outcome(source) for source in sources]
    together: list[list[bytes]] = []
    threads = [
        threading.Thread(target=lambda: together.append([_outcome(s) for s in sources * 5]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [alone * 5] * 4
    after = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    assert after == before


def _outcome(source: bytes) -> bytes:
    try:
        return pixels.read(source).rgb.tobytes()
    except PictureError as refusal:
        return str(refusal).encode()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP"])
def test_damage_anywhere_ends_in_a_picture_or_a_refusal(kind: str) -> None:
    data = made.saved(made.drawing(), kind)
    rng = np.random.default_rng(11)
    for _ in range(60):
        hurt = bytearray(data)
        for at in rng.integers(0, len(hurt), 4):
            hurt[at] = rng.integers(0, 256)
        cut = hurt[: rng.integers(1, len(hurt) + 1)] if rng.random() < 0.5 else hurt
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of a TIFF's tags
            _outcome(bytes(cut))


# --- colours and transparency that decoders leave to the reader ------------------------------------


def png(depth: int, colour: int, row: bytes, *more: bytes, width: int = 2) -> bytes:
    """A PNG of one row, with chunks before its pixels."""
    numbers = struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)
    pixel_rows = made.chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"".join(
        (made.SIGNATURE, made.chunk(b"IHDR", numbers), *more, pixel_rows, made.chunk(b"IEND"))
    )


@pytest.mark.parametrize(
    ("depth", "colour", "row", "clear"),
    [
        (2, 0, bytes([0b01100000]), (1,)),
        (4, 0, bytes([0x5A]), (5,)),
        (8, 0, bytes([5, 10]), (5,)),
        (16, 0, struct.pack(">2H", 1000, 1001), (1000,)),
        (8, 2, bytes([1, 2, 3, 4, 5, 6]), (1, 2, 3)),
        (16, 2, struct.pack(">6H", 65535, 0, 0x1234, 0x3400, 0x5600, 0x7800), (65535, 0, 0x1234)),
        (16, 2, struct.pack(">6H", 0x1234, 0x3456, 0x5678, 0x3400, 0x5600, 0x7800),
         (0x1234, 0x3456, 0x5678)),
    ],
)  # fmt: skip
def test_the_colour_that_a_png_calls_transparent_is_so_at_every_depth(
    depth: int, colour: int, row: bytes, clear: tuple[int, ...]
) -> None:
    told = made.chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear))
    alpha = pixels.read(png(depth, colour, row, told)).alpha
    assert alpha is not None
    assert alpha.tolist() == [[0, 255]]


def grey_profile() -> bytes:
    """An ICC profile of linear greys (ICC.1:2022, 8.3.2)."""
    white = struct.pack(">3i", 63190, 65536, 54061)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"grey\0" + bytes(79),
        b"wtpt": b"XYZ " + bytes(4) + white,
        b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, 256) + bytes(2),
        b"cprt": b"text" + bytes(4) + b"none",
    }
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(value))
        body += value
    head = struct.pack(">I", 132 + 12 * len(tags) + len(body)) + bytes(4)
    head += (
        struct.pack(">I", 0x02100000) + b"mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28) + white
    )
    return head.ljust(128, b"\0") + table + body


def test_a_profile_of_greys_is_used_where_a_decoder_widened_them() -> None:
    told = made.chunk(b"iCCP", b"g\0\0" + zlib.compress(grey_profile()))
    plain = pixels.read(png(8, 0, bytes([128, 0]), told))
    deep = struct.pack(">4H", 128 * 257, 65535, 0, 65535)
    widened = pixels.read(png(16, 4, deep, told))
    assert plain.rgb[0, 0, 0] == 188
    assert np.array_equal(plain.rgb, widened.rgb)
    assert "bad-profile" not in [notice.code for notice in widened.notices]


@pytest.mark.parametrize(
    ("name", "body", "other"),
    [
        (b"cICP", bytes([12, 13, 0, 1]), True),  # Display P3
        (b"cICP", bytes([9, 16, 0, 1]), True),  # BT.2020, PQ
        (b"cICP", bytes([1, 13, 0, 1]), False),
        (b"gAMA", struct.pack(">I", 100_000), True),
        (b"gAMA", struct.pack(">I", 45_455), False),
    ],
)
def test_colours_that_are_named_otherwise_than_by_a_profile_are_said(
    name: bytes, body: bytes, *, other: bool
) -> None:
    found = pixels.read(png(8, 2, bytes(6), made.chunk(name, body)))
    assert ("other-colours" in [notice.code for notice in found.notices]) is other


@pytest.mark.parametrize(("codes", "other"), [((1, 13), False), ((12, 13), True), ((9, 16), True)])
def test_so_are_those_of_an_avif(codes: tuple[int, int], *, other: bool) -> None:
    at = AVIF.index(b"colrnclx") + 8
    told = AVIF[:at] + struct.pack(">HH", *codes) + AVIF[at + 4 :]
    found = pixels.read(told)
    assert ("other-colours" in [notice.code for notice in found.notices]) is other


def test_entries_of_an_exif_block_that_overlap_take_no_memory() -> None:
    count, size = 2000, 400_000
    entries = (struct.pack(">HHII", 1000 + i, 7, size - 16, 8) for i in range(count))
    block = b"MM\0*" + struct.pack(">IH", 8, count) + b"".join(entries)
    picture = png(8, 0, bytes(2), made.chunk(b"eXIf", block.ljust(size, b"\0")))
    tracemalloc.start()
    pixels.read(picture)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_a_disk_that_fails_while_a_picture_is_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    made.drawing().save(path)

    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("underpaint.pixels.reading.sniff", failing)
    for look in (pixels.read, pixels.read_metadata):
        with pytest.raises(PictureError, match="Input/output error"):
            look(path)


def test_a_leftover_in_a_pillow_picture_is_one_sentence() -> None:
    image = Image.new("RGB", (3, 2))
    image.info["transparency"] = b"\0"
    with pytest.raises(PictureError, match="convert it to RGB"):
        pixels.read(image)
