"""Framing, encoding, metadata and saving."""

import io
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from tests import picture_faults as made
from underpaint import pixels
from underpaint.errors import OutputError, PictureError, UnderpaintError
from underpaint.geometry import Fit, Padding, Size
from underpaint.pixels import saving
from underpaint.xmp import read_packet, write_packet

SUFFIXES = [".png", ".jpg", ".jpeg", ".webp", ".avif"]


def _noise(width: int, height: int, channels: int = 3, seed: int = 0) -> pixels.Picture:
    shape = (height, width, channels)
    return pixels.read(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


# --- frame and back -------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    channels=st.sampled_from([3, 4]),
    multiple=st.sampled_from([1, 8, 64]),
    minimum=st.sampled_from([1, 64, 100]),
)
def test_a_picture_that_is_only_padded_comes_back_bit_for_bit(
    width: int, height: int, channels: int, multiple: int, minimum: int
) -> None:
    picture = _noise(width, height, 3)
    if channels == 4:
        alpha = _noise(width, height).rgb[..., 0]
        picture = pixels.read(np.dstack([picture.rgb, np.maximum(alpha, 1)]))
    x, frame = pixels.frame(picture, multiple=multiple, minimum=minimum)
    assert x.shape == (3, frame.padded.height, frame.padded.width)
    assert x.dtype == torch.float32
    assert x.is_contiguous()
    assert x.min() >= -1
    assert x.max() <= 1
    back = pixels.unframe(x, frame, picture)
    assert back.size == picture.size
    if channels == 3:
        assert np.array_equal(np.asarray(back), picture.rgb)
    else:
        assert np.array_equal(np.asarray(back)[..., 3], picture.alpha)
        opaque = picture.alpha == 255
        assert np.array_equal(np.asarray(back)[opaque][:, :3], picture.rgb[opaque])


def test_a_tensor_says_minus_one_for_black_and_one_for_white() -> None:
    rgb = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    x, _ = pixels.frame(pixels.read(rgb), multiple=1, minimum=1)
    assert x[:, 0].tolist() == [[-1, 1]] * 3


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 300), (513, 407)])
def test_padding_mirrors_the_picture_again_and_again(size: tuple[int, int]) -> None:
    picture = _noise(*size)
    x, frame = pixels.frame(picture, multiple=64, minimum=128)
    rows = _mirrored_indices(size[1], frame.padded.height, frame.margin.top)
    columns = _mirrored_indices(size[0], frame.padded.width, frame.margin.left)
    wanted = picture.rgb[np.ix_(rows, columns)].astype(np.float32) / 127.5 - 1
    assert torch.allclose(x, torch.tensor(wanted).permute(2, 0, 1), atol=1e-6)  # float32's rounding


def _mirrored_indices(length: int, outer: int, before: int) -> list[int]:
    """A walk to and fro over ``length`` pixels that does not step twice on an edge."""
    period = max(1, 2 * (length - 1))
    walked = [(i - before) % period for i in range(outer)]
    return [min(i, period - i) if length > 1 else 0 for i in walked]


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("target", [None, Size(60, 100), Size(200, 40)])
@pytest.mark.parametrize("work", [None, Size(30, 50)])
def test_the_result_has_the_targets_size(fit: Fit, target: Size | None, work: Size | None) -> None:
    picture = pixels.read(made.drawing())
    x, frame = pixels.frame(picture, target=target, fit=fit, work=work, multiple=8, minimum=64)
    assert frame.work == work or (work is None and frame.work == (target or picture.size))
    assert all(side % 8 == 0 and side >= 64 for side in x.shape[1:])
    assert pixels.unframe(x, frame, picture).size == (target or picture.size)
    assert pixels.own_pixels(picture, target, fit).size == (target or picture.size)


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_a_frame_shows_what_the_own_pixels_show(fit: Fit) -> None:
    picture, target = pixels.read(made.drawing()), Size(150, 60)
    x, frame = pixels.frame(picture, target=target, fit=fit, multiple=8, minimum=8)
    shown = np.asarray(pixels.unframe(x, frame, picture))
    assert np.array_equal(shown, np.asarray(pixels.own_pixels(picture, target, fit)))


def test_cover_cuts_the_sides_off_and_contain_mirrors_them() -> None:
    halves = np.zeros((40, 80, 3), np.uint8)
    halves[:, 40:] = 255
    halves[:, :20] = halves[:, 60:] = [255, 0, 0]
    picture = pixels.read(halves)
    cut = np.asarray(pixels.own_pixels(picture, Size(40, 40), "cover"))
    assert np.array_equal(cut, halves[:, 20:60])
    whole = np.asarray(pixels.own_pixels(picture, Size(80, 60), "contain"))
    assert np.array_equal(whole[10:50], halves)
    assert np.array_equal(whole[:10], halves[1:11][::-1])


def test_a_picture_is_resized_for_work_and_back() -> None:
    picture = pixels.read(made.drawing(400, 300))
    x, frame = pixels.frame(picture, work=Size(200, 150), multiple=64, minimum=64)
    assert frame.padded == Size(256, 192)
    assert frame.margin == Padding(28, 21, 28, 21)
    back = np.asarray(pixels.unframe(x, frame, picture)).astype(int)
    # A smooth drawing loses little in half the size: less than a step on average.
    assert np.abs(back - picture.rgb).mean() < 1


def test_values_beyond_the_range_are_clipped_and_others_rounded() -> None:
    x = torch.tensor([-7.0, -1.0, 0.0, 0.0039, 1.0, 7.0]).expand(3, 1, 6)
    seen = np.asarray(pixels.to_image(x))[0, :, 0].tolist()
    assert seen == [0, 0, 128, 128, 255, 255]


def test_half_precision_and_gradients_do_no_harm() -> None:
    x = torch.zeros(3, 2, 2, dtype=torch.bfloat16, requires_grad=True)
    assert pixels.to_image(x).size == (2, 2)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_result_that_is_not_finite_is_refused(number: float) -> None:
    picture = _noise(8, 8)
    x, frame = pixels.frame(picture, multiple=8, minimum=8)
    x[1, 2, 3] = number
    with pytest.raises(UnderpaintError, match="not finite; try --precision float32"):
        pixels.unframe(x, frame, picture)


# --- the source's own pixels ----------------------------------------------------------------------


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("target", [None, Size(37, 23)])
def test_the_own_pixels_are_the_sources_bit_for_bit(channels: int, target: Size | None) -> None:
    array = np.random.default_rng(1).integers(0, 256, (23, 37, channels), dtype=np.uint8)
    picture = pixels.read(array)
    for fit in ("cover", "contain", "stretch"):
        own = pixels.own_pixels(picture, target, fit)
        assert np.array_equal(np.asarray(own), array)
    again = pixels.read(pixels.encode(own, ".png"))
    assert np.array_equal(np.asarray(pixels.own_pixels(again)), array)


# --- transparency ---------------------------------------------------------------------------------


def _cut_out(hidden: list[int]) -> pixels.Picture:
    """A soft-edged orange disc; ``hidden`` is the colour under its transparent surroundings."""
    y, x = np.mgrid[0:64, 0:64]
    distance = np.hypot(x - 31.5, y - 31.5)
    alpha = (np.clip(24 - distance, 0, 1) * 255).round().astype(np.uint8)
    rgb = np.where(alpha[..., None] > 0, [230, 120, 30], hidden).astype(np.uint8)
    return pixels.read(np.dstack([rgb, alpha]))


@pytest.mark.parametrize("work", [None, Size(40, 40)])
def test_what_is_hidden_under_transparent_pixels_never_reaches_the_network(
    work: Size | None,
) -> None:
    tensors = [
        pixels.frame(_cut_out(hidden), work=work, multiple=8, minimum=8)[0]
        for hidden in ([0, 0, 0], [255, 255, 255], [0, 255, 0])
    ]
    assert torch.equal(tensors[0], tensors[1])
    assert torch.equal(tensors[0], tensors[2])


def test_transparent_pixels_take_their_neighbours_colour() -> None:
    x, _ = pixels.frame(_cut_out([0, 0, 255]), multiple=8, minimum=8)
    colour = (x + 1) * 127.5
    wanted = torch.tensor([230.0, 120.0, 30.0])[:, None, None]
    assert (colour - wanted).abs().max() <= 1  # one rounding to a byte


def test_where_nothing_is_visible_the_network_sees_white() -> None:
    x, _ = pixels.frame(pixels.read(np.zeros((9, 5, 4), np.uint8)), multiple=8, minimum=8)
    assert torch.equal(x, torch.ones_like(x))


def test_alpha_is_carried_on_cut_and_scaled_like_the_picture() -> None:
    picture, target = _cut_out([0, 0, 0]), Size(100, 50)
    for fit in ("cover", "contain", "stretch"):
        x, frame = pixels.frame(picture, target=target, fit=fit, multiple=8, minimum=8)
        result = pixels.unframe(x, frame, picture)
        assert result.mode == "RGBA"
        alpha = np.asarray(result)[..., 3]
        own = np.asarray(pixels.own_pixels(picture, target, fit))[..., 3]
        # Pillow scales alpha with and without colour in different roundings.
        assert np.abs(alpha.astype(int) - own).max() <= 1
        if fit == "contain":
            assert (alpha[:, :25] == 255).all()
            assert (alpha[:, 75:] == 255).all()
            assert alpha[0, 25] == 0
        elif fit == "cover":
            assert alpha[0].max() == 255  # the disc's middle rows reach the edges


# --- encoding and metadata ------------------------------------------------------------------------

TEXTS = ["a fox, 8k\nSteps: 4, Sampler: Euler, Seed: 7", "naïve café", "狐 🦊 שלום\nSteps: 4"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("xmp_bytes", [200, 200_000])
def test_metadata_comes_back_from_every_format(suffix: str, text: str, xmp_bytes: int) -> None:
    xmp = b"<x:xmpmeta>" + "é狐".encode() + b"y" * xmp_bytes + b"</x:xmpmeta>"
    data = pixels.encode(made.drawing(), suffix, xmp=xmp, infotext=text)
    assert pixels.read_metadata(data) == (xmp, text)
    assert pixels.read(data).notices == ()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_without_metadata_has_none(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"plain{suffix}"
    path.write_bytes(pixels.encode(made.drawing(), suffix))
    assert pixels.read_metadata(path) == (None, None)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_formats_carry_none(kind: str) -> None:
    assert pixels.read_metadata(made.saved(made.drawing(), kind)) == (None, None)


@pytest.mark.parametrize("data", [b"", b"text\n", made.cut(made.jpeg(), 0.02), made.png_bomb()])
def test_metadata_of_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(PictureError, match="cannot read the picture given as bytes"):
        pixels.read_metadata(data)


def test_the_infotext_lies_where_other_tools_look() -> None:
    text = TEXTS[2]
    with Image.open(io.BytesIO(pixels.encode(made.drawing(), ".png", infotext=text))) as png:
        assert png.text["parameters"] == text
    latin = pixels.encode(made.drawing(), ".png", infotext=TEXTS[1])
    assert b"tEXtparameters\0" + TEXTS[1].encode("latin-1") in latin
    for suffix in (".jpg", ".webp", ".avif"):
        data = pixels.encode(made.drawing(), suffix, infotext=text)
        with Image.open(io.BytesIO(data)) as image:
            comment = image.getexif().get_ifd(0x8769)[0x9286]
        assert comment == b"UNICODE\0" + text.encode("utf-16-be")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_xmp_packet_lies_where_other_tools_look(suffix: str) -> None:
    data = pixels.encode(made.drawing(), suffix, xmp=b"<x:xmpmeta/>")
    with Image.open(io.BytesIO(data)) as image:
        found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    assert found in (b"<x:xmpmeta/>", "<x:xmpmeta/>")


@pytest.mark.parametrize("recipe_bytes", [200, 200_000])
def test_a_jpeg_shows_every_reader_where_its_pixels_come_from(recipe_bytes: int) -> None:
    packet = write_packet("x" * recipe_bytes, "http://cv.iptc.org/made&more")
    data = pixels.encode(made.drawing(), ".jpg", xmp=packet)
    assert pixels.read_metadata(data)[0] == packet
    with Image.open(io.BytesIO(data)) as image:
        main = image.info["xmp"]  # Pillow knows no extended packets
    assert read_packet(main).digital_source_type == "http://cv.iptc.org/made&more"


def test_a_comment_in_the_other_byte_order_is_read() -> None:
    comment = b"UNICODE\0" + TEXTS[0].encode("utf-16-le")
    outer = struct.pack("<HHHIII", 1, 0x8769, 4, 1, 26, 0)
    inner = struct.pack("<HHHIII", 1, 0x9286, 7, len(comment), 44, 0)
    block = struct.pack("<2sHI", b"II", 42, 8) + outer + inner + comment
    assert pixels.read_metadata(made.jpeg_with((0xE1, b"Exif\0\0" + block)))[1] == TEXTS[0]


def test_the_same_picture_gives_the_same_bytes_in_another_process_and_second() -> None:
    script = (
        "import hashlib; from tests import picture_faults as made; from underpaint import pixels\n"
        f"for suffix in {SUFFIXES}:\n"
        "    data = pixels.encode(made.drawing(), suffix, xmp=b'<x/>', infotext='a, é')\n"
        "    print(hashlib.sha256(data).hexdigest())"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    here = [
        pixels.read(pixels.encode(made.drawing(), suffix, xmp=b"<x/>", infotext="a, é")).sha256
        for suffix in SUFFIXES
    ]
    told = subprocess.run(  # starting takes longer than a second, which is what profiles count in
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert told.stdout.split() == here


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_result_is_tagged_srgb(suffix: str) -> None:
    with Image.open(io.BytesIO(pixels.encode(made.drawing(), suffix))) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


@pytest.mark.parametrize(("suffix", "loss"), [(".png", 0), (".jpg", 2), (".webp", 3), (".avif", 2)])
def test_a_result_is_what_was_painted(suffix: str, loss: float) -> None:
    back = pixels.read(pixels.encode(made.drawing(), suffix))
    # Mean steps of 255; WebP has half the colour resolution, the others full.
    assert np.abs(back.rgb.astype(int) - np.asarray(made.drawing())).mean() <= loss


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif"])
def test_alpha_is_kept_where_the_format_has_it(suffix: str) -> None:
    picture = _cut_out([0, 0, 0])
    back = pixels.read(pixels.encode(picture.to_pil(), suffix))
    assert picture.alpha is not None
    assert back.alpha is not None
    assert np.abs(back.alpha.astype(int) - picture.alpha).mean() <= 1
    assert pixels.encoding_notices(picture.to_pil(), suffix) == ()


def test_a_jpeg_is_laid_on_white_and_that_is_said() -> None:
    image = _cut_out([0, 0, 0]).to_pil()
    back = pixels.read(pixels.encode(image, ".jpg"))
    assert back.alpha is None
    assert (back.rgb[:4, :4] >= 253).all()
    assert [n.code for n in pixels.encoding_notices(image, ".jpg")] == ["flattened"]
    assert pixels.encoding_notices(made.drawing(), ".jpg", infotext="short") == ()


def test_an_infotext_too_long_for_a_jpeg_is_left_out_and_that_is_said() -> None:
    text = "é" * 33_000
    data = pixels.encode(made.drawing(), ".jpg", xmp=b"<x/>", infotext=text)
    assert pixels.read_metadata(data) == (b"<x/>", None)
    notices = pixels.encoding_notices(made.drawing(), ".jpg", infotext=text)
    assert [n.code for n in notices] == ["infotext-left-out"]
    assert pixels.read_metadata(pixels.encode(made.drawing(), ".webp", infotext=text))[1] == text


@pytest.mark.parametrize("letters", range(32_680, 32_694))
def test_what_is_said_of_a_long_infotext_is_what_was_done(letters: int) -> None:
    image, text = Image.new("RGB", (8, 8)), "a" * letters
    said = {notice.code for notice in pixels.encoding_notices(image, ".jpg", infotext=text)}
    _, kept = pixels.read_metadata(pixels.encode(image, ".jpg", infotext=text))
    assert (kept is None) is ("infotext-left-out" in said)


def test_nothing_of_the_sources_file_leaks_into_the_result() -> None:
    place = Image.Exif()
    place.get_ifd(0x8825)[1] = "N"
    place[0x010E] = "my garden"
    source = made.saved(made.drawing(), "JPEG", exif=place, comment=b"secret", xmp=b"<private/>")
    with Image.open(io.BytesIO(source)) as image:
        for suffix in SUFFIXES:
            results = (image, pixels.own_pixels(pixels.read(source)))
            for data in (pixels.encode(result, suffix) for result in results):
                assert b"garden" not in data
                assert b"secret" not in data
                assert b"private" not in data


@pytest.mark.parametrize("name", ["a.gif", "a.bmp", "a", "a.png.txt", ".png", "a.tiff"])
def test_an_unknown_ending_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(OutputError, match=r"\.png, \.jpg, \.jpeg, \.webp or \.avif"):
        pixels.suffix_of(name)


def test_an_ending_may_be_in_capitals() -> None:
    assert pixels.suffix_of("A/B.JPG") == ".jpg"


def test_a_picture_too_large_for_its_format_is_refused_by_name() -> None:
    with pytest.raises(OutputError, match=r"16383 pixels a side .* 16384x1; write a \.png"):
        pixels.encode(Image.new("RGB", (16_384, 1)), ".webp")


# --- saving ---------------------------------------------------------------------------------------


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pixels.write_atomically(path, b"one", overwrite=False)
    assert path.read_bytes() == b"one"
    pixels.write_atomically(path, b"two", overwrite=True)
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_an_existing_file_is_never_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"mine")
    for refuse in (pixels.check_destination, lambda p: pixels.write_atomically(p, b"x")):
        with pytest.raises(OutputError, match="exists already"):
            refuse(path)
    assert path.read_bytes() == b"mine"
    pixels.check_destination(path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_a_file_made_at_the_last_moment_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    path = tmp_path / "a.png"
    flush = os.fsync

    def somebody_else_writes(opened: int) -> None:
        flush(opened)
        path.write_bytes(b"theirs")

    monkeypatch.setattr(saving.os, "fsync", somebody_else_writes)
    if not links:
        monkeypatch.setattr(saving.os, "link", _no_links)
    with pytest.raises(OutputError, match="exists already"):
        pixels.write_atomically(path, b"ours")
    assert path.read_bytes() == b"theirs"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def _no_links(*_: object, **__: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_a_file_system_without_hard_links_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving.os, "link", _no_links)
    path = tmp_path / "a.png"
    pixels.write_atomically(path, b"one")
    assert path.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("moment", ["fsync", "link"])
def test_an_interrupt_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool, moment: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if moment == "fsync":
        monkeypatch.setattr(saving.os, "fsync", interrupted)
    else:
        monkeypatch.setattr(saving.os, "link", interrupted)
        monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pixels.write_atomically(tmp_path / "a.png", b"x" * 1000, overwrite=overwrite)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path: Path, overwrite: bool) -> None:
    path = tmp_path / "a.png"
    if overwrite:
        path.write_bytes(b"mine")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError, match="larger than this system allows"):
            pixels.write_atomically(path, b"x" * 1_000_000, overwrite=overwrite)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == (["a.png"] if overwrite else [])
    assert not overwrite or path.read_bytes() == b"mine"


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving.os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full; free some space"):
        pixels.write_atomically(tmp_path / "a.png", b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_place_that_takes_no_file_is_refused_before_and_at_writing(
    tmp_path: Path, overwrite: bool
) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    before = sorted(tmp_path.rglob("*"))
    for place, words in [
        (tmp_path / "folder.png", "it is a folder; name a file in it"),
        (tmp_path / "none" / "a.png", "the folder does not exist"),
        (tmp_path / "file" / "a.png", "is a file and not a folder"),
        (tmp_path / "pipe.png", "a device or a pipe"),
        ("/dev/null", "a device or a pipe"),
        (tmp_path / "loop.png", "links lead back"),
        (tmp_path / ("x" * 300 + ".png"), "name is too long"),
        (str(tmp_path / "a\0.png"), "no name a file can have"),
    ]:
        with pytest.raises(OutputError, match=words):
            pixels.check_destination(place, overwrite=overwrite)
        with pytest.raises(OutputError, match=words):
            pixels.write_atomically(place, b"x", overwrite=overwrite)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/dev/null").is_file()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    for refuse in (pixels.check_destination, lambda p: pixels.write_atomically(p, b"x")):
        with pytest.raises(OutputError, match="you may not write there"):
            refuse(tmp_path / "a.png")
    tmp_path.chmod(0o700)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts Linux's descriptors")
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_that_may_not_be_listed_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    opening = os.open

    def unlistable(path: Path, flags: int, *rest: int) -> int:
        if path == tmp_path and flags == os.O_RDONLY:  # as mode 0o300 does, but for root
            raise PermissionError(13, "Permission denied")
        return opening(path, flags, *rest)

    before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patch:
        patch.setattr(saving.os, "open", unlistable)
        pixels.check_destination(tmp_path / "a.png", overwrite=overwrite)
        pixels.write_atomically(tmp_path / "a.png", b"one", overwrite=overwrite)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"one"]


def test_overwriting_a_link_replaces_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "real.png").write_bytes(b"old")
    link = tmp_path / "link.png"
    link.symlink_to(Path("deep") / "real.png")
    pixels.write_atomically(link, b"new", overwrite=True)
    assert link.is_symlink()
    assert (tmp_path / "deep" / "real.png").read_bytes() == b"new"
    assert len(list(tmp_path.rglob("*"))) == 3


def test_a_link_to_nothing_is_known_before_the_work_is_done(tmp_path: Path) -> None:
    link = tmp_path / "link.png"
    link.symlink_to("nowhere.png")
    with pytest.raises(OutputError, match="exists already"):
        pixels.check_destination(link)
    pixels.check_destination(link, overwrite=True)
    link.unlink()
    link.symlink_to(tmp_path / "no" / "where.png")
    with pytest.raises(OutputError):
        pixels.check_destination(link, overwrite=True)


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    pixels.write_atomically(tmp_path / "a.png", b"x")
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "usual").stat().st_mode
