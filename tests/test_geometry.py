"""Sizes, padding and fitting."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from underpaint.errors import RequestError
from underpaint.geometry import (
    LARGEST_AREA_PX,
    Box,
    Fit,
    Padding,
    Size,
    centred,
    fit_box,
    padded,
    parse_size,
    working_size,
)

SIZES = st.builds(Size, st.integers(1, 20_000), st.integers(1, 20_000))
AREAS = st.integers(64 * 64, 4096 * 4096)
FITS = st.sampled_from(["cover", "contain", "stretch"])


@given(size=st.builds(Size, st.integers(1, 16_384), st.integers(1, 16_384)))
def test_a_written_size_is_read_back(size: Size) -> None:
    assume(size.area <= LARGEST_AREA_PX)
    assert parse_size(str(size)) == size


def test_a_size_of_more_than_a_hundred_megapixels_is_refused() -> None:
    assert parse_size("10000x10000").area == LARGEST_AREA_PX
    with pytest.raises(RequestError, match="100 megapixels, got 10001x10000"):
        parse_size("10001x10000")


@pytest.mark.parametrize("text", ["640x480", " 640 X 480 ", "640×480", "640*480"])
def test_a_size_may_be_written_in_the_usual_ways(text: str) -> None:
    assert parse_size(text) == Size(640, 480)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "640", "640x", "x480", "640x480x3", "-1x5", "1.5x2", "640 480", "٣x٣", "1e3x4"),
        *("0x5", "5x0", "16385x1", "999999999x1", "9" * 5000 + "x1", "640x480\n640x480"),
    ],
)
def test_what_is_no_size_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(RequestError, match=r"WIDTHxHEIGHT|1 to 16384") as refusal:
        parse_size(text)
    assert len(str(refusal.value)) < 150


def test_a_size_tells_its_area() -> None:
    assert Size(3, 4).area == 12
    assert Box(1, 2, 4, 8).width == 3
    assert Box(1, 2, 4, 8).height == 6


@given(size=SIZES, area=AREAS)
def test_a_working_size_never_grows_and_never_exceeds_the_area(size: Size, area: int) -> None:
    work = working_size(size, comfortable_area=area)
    assert 1 <= work.width <= size.width
    assert 1 <= work.height <= size.height
    assert work.area <= area
    assert work == size or size.area > area


@given(size=SIZES, area=AREAS)
def test_a_working_size_is_its_own(size: Size, area: int) -> None:
    work = working_size(size, comfortable_area=area)
    assert working_size(work, comfortable_area=area) == work


@given(size=SIZES, area=AREAS)
def test_a_working_size_keeps_the_shape(size: Size, area: int) -> None:
    work = working_size(size, comfortable_area=area)
    scale = min(1, math.sqrt(area / size.area))
    exact_width, exact_height = size.width * scale, size.height * scale
    # Each side is off by its own rounding, and the long one by what the short one's rounding costs.
    elongation = max(size) / max(1, min(exact_width, exact_height)) * scale
    assert abs(work.width - exact_width) <= 1 + (size.width >= size.height) * elongation
    assert abs(work.height - exact_height) <= 1 + (size.height >= size.width) * elongation


def test_a_working_size_is_turned_as_the_picture_is() -> None:
    assert working_size(Size(4000, 3000), comfortable_area=1024 * 768) == Size(1024, 768)
    assert working_size(Size(3000, 4000), comfortable_area=1024 * 768) == Size(768, 1024)
    assert working_size(Size(10_000, 1), comfortable_area=400) == Size(400, 1)


@given(size=SIZES, multiple=st.sampled_from([1, 8, 16, 64]), minimum=st.integers(1, 1024))
def test_padding_is_the_least_that_serves(size: Size, multiple: int, minimum: int) -> None:
    outer = padded(size, multiple=multiple, minimum=minimum)
    for side, inner in zip(outer, size, strict=True):
        assert side % multiple == 0
        assert side >= max(inner, minimum)
        assert side - multiple < max(inner, minimum)
    assert padded(outer, multiple=multiple, minimum=minimum) == outer


@given(size=SIZES, extra=st.tuples(st.integers(0, 999), st.integers(0, 999)))
def test_what_is_centred_has_equal_margins_but_for_one_pixel(
    size: Size, extra: tuple[int, int]
) -> None:
    outer = Size(size.width + extra[0], size.height + extra[1])
    left, top, right, bottom = centred(size, outer)
    assert (left + right, top + bottom) == extra
    assert 0 <= right - left <= 1
    assert 0 <= bottom - top <= 1


@given(source=SIZES, target=SIZES, fit=FITS)
def test_a_fitted_picture_fills_its_place_exactly(source: Size, target: Size, fit: Fit) -> None:
    placed = fit_box(source, target, fit)
    left, top, right, bottom = placed.padding
    assert placed.size.width + left + right == target.width
    assert placed.size.height + top + bottom == target.height
    assert min(*placed.padding, *placed.size) >= 0
    assert 0 <= placed.crop.left < placed.crop.right <= source.width * (1 + 1e-12)
    assert 0 <= placed.crop.top < placed.crop.bottom <= source.height * (1 + 1e-12)


@given(source=SIZES, target=SIZES)
def test_cover_shows_a_centred_part_of_the_targets_shape(source: Size, target: Size) -> None:
    placed = fit_box(source, target, "cover")
    crop = placed.crop
    assert placed.padding == Padding(0, 0, 0, 0)
    assert crop.width * target.height == pytest.approx(crop.height * target.width)
    assert crop.left == pytest.approx(source.width - crop.right, abs=1e-6)
    assert crop.top == pytest.approx(source.height - crop.bottom, abs=1e-6)
    assert crop.width == source.width or crop.height == source.height


@given(source=SIZES, target=SIZES)
def test_contain_shows_the_whole_in_its_own_shape(source: Size, target: Size) -> None:
    placed = fit_box(source, target, "contain")
    assert placed.crop == Box(0, 0, *source)
    scale = min(target.width / source.width, target.height / source.height)
    for shown, side in zip(placed.size, source, strict=True):
        assert abs(shown - max(1, side * scale)) <= 0.5 + 1e-6
    assert placed.size.width == target.width or placed.size.height == target.height


@given(size=SIZES, fit=FITS)
def test_a_picture_of_the_targets_size_is_left_alone(size: Size, fit: Fit) -> None:
    placed = fit_box(size, size, fit)
    assert placed.crop == Box(0, 0, *size)
    assert placed.size == size
    assert placed.padding == Padding(0, 0, 0, 0)
