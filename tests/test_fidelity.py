"""How far a result strayed: against other people's code, at the ends, and on every kind of pair."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import color, data, feature, metrics

from tests.conftest import soft_picture
from underpaint import PictureError, compare
from underpaint.fidelity import heat_map
from underpaint.fidelity.colours import delta_e_2000, lab, palette_distance
from underpaint.fidelity.comparison import at_one_size
from underpaint.fidelity.edges import edge_f1, edges
from underpaint.fidelity.structure import C1, C2, SCALE_WEIGHTS, ms_ssim, ssim_map

Floats = NDArray[np.float64]
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")
SAME = {"structure": 1.0, "edges": 1.0, "delta_e": 0.0, "palette": 0.0}


def photograph(name: str, side: int = 192) -> Image.Image:
    return Image.fromarray(getattr(data, name)()).resize((side, side), Image.Resampling.BILINEAR)


def grey(image: Image.Image) -> Floats:
    return np.asarray(image.convert("L"), dtype=np.float64)


def noisy(image: Image.Image, deviation: float) -> Image.Image:
    noise = np.random.default_rng(1).normal(0, deviation, (image.height, image.width, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


# --- structure ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_map_of_ssim_is_scikit_images(name: str) -> None:
    a, b = grey(photograph(name)), grey(noisy(photograph(name), 20))
    options: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "data_range": 255}
    _, theirs = metrics.structural_similarity(
        a, b, full=True, use_sample_covariance=False, **options
    )
    # the same sums in another order, in float64
    np.testing.assert_allclose(ssim_map(a, b), theirs, atol=1e-9)


def reference_ms_ssim(a: Floats, b: Floats) -> float:
    """Wang et al. 2003, written with scipy's filter."""
    product = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        mean_a, mean_b, aa, bb, ab = (
            gaussian_filter(one, 1.5, radius=5)[5:-5, 5:-5] for one in (a, b, a * a, b * b, a * b)
        )
        contrast = (2 * (ab - mean_a * mean_b) + C2) / (aa + bb - mean_a**2 - mean_b**2 + C2)
        if scale == len(SCALE_WEIGHTS) - 1:
            contrast *= (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
        product *= contrast.mean() ** (weight / sum(SCALE_WEIGHTS))
        a, b = (one.reshape(len(one) // 2, 2, -1, 2).mean(axis=(1, 3)) for one in (a, b))
    return product


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("deviation", [3, 60])
def test_five_scales_are_multiplied_with_the_published_weights(name: str, deviation: int) -> None:
    a, b = grey(photograph(name)), grey(noisy(photograph(name), deviation))
    assert ms_ssim(a, b) == pytest.approx(reference_ms_ssim(a, b), rel=1e-9)


def test_the_published_weights_sum_to_one() -> None:
    assert sum(SCALE_WEIGHTS) == pytest.approx(1, abs=2e-4)  # four digits each


@pytest.mark.parametrize("side", [11, 20])
def test_a_picture_with_room_for_one_scale_has_plain_ssim(side: int) -> None:
    a, b = grey(photograph("coffee", side)), grey(noisy(photograph("coffee", side), 20))
    inner = ssim_map(a, b)[5:-5, 5:-5]
    assert ms_ssim(a, b) == pytest.approx(inner.mean(), rel=1e-9)


def test_contrasts_turned_round_are_no_likeness() -> None:
    picture = grey(photograph("astronaut"))
    assert ms_ssim(picture, 255 - picture) == pytest.approx(0.001)


def test_one_scale_that_agrees_by_chance_does_not_decide_alone() -> None:
    picture = grey(photograph("coffee"))
    rng = np.random.default_rng(0)
    found = [ms_ssim(picture, picture + rng.normal(0, 400, picture.shape)) for _ in range(8)]
    assert max(found) < 2 * min(found)


# --- edges ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_edges_are_scikit_images(name: str) -> None:
    picture = grey(photograph(name))
    ours, theirs = edges(picture), feature.canny(picture / 255, sigma=1.5, mode="nearest")
    inner = (slice(8, -8),) * 2  # it blurs the rim in another way
    # ties between equally steep neighbours fall differently
    assert (ours ^ theirs)[inner].sum() < 0.02 * theirs[inner].sum()


def test_a_shift_of_two_pixels_is_forgiven_and_of_four_is_not() -> None:
    squares = np.zeros((96, 96))
    squares[30:60, 30:60] = 200
    assert edge_f1(squares, np.roll(squares, 2, axis=1)) == 1
    assert edge_f1(squares, np.roll(squares, 4, axis=1)) < 0.8  # what lies along it still agrees


def test_edges_that_one_picture_lacks_count_as_lost() -> None:
    flat, line = np.full((64, 64), 90.0), np.full((64, 64), 90.0)
    line[:, 30:] = 200
    assert edge_f1(flat, flat) == 1
    assert edge_f1(flat, line) == edge_f1(line, flat) == 0


def test_a_faint_edge_counts_where_it_hangs_on_a_clear_one() -> None:
    ramp = np.zeros((64, 64))
    ramp[:, 32:] = np.linspace(0, 60, 64)[:, None]  # fades towards the top
    alone = ramp.copy()
    alone[40:] = 0
    assert edges(ramp)[:, 28:36].any(axis=1).sum() > edges(alone)[:36, 28:36].any(axis=1).sum()


# --- colour ---------------------------------------------------------------------------------------


def test_lab_is_scikit_images() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (200, 50, 3), dtype=np.uint8)
    rgb[0, :9] = [[i, i, i] for i in range(9)]
    # float32 against float64
    np.testing.assert_allclose(lab(rgb), color.rgb2lab(rgb), atol=2e-3)


def test_the_colour_difference_is_scikit_images() -> None:
    a, b = np.random.default_rng(0).uniform([0, -100, -100], [100, 100, 100], (2, 4000, 3))
    b[:2000] = a[:2000] + np.random.default_rng(1).normal(0, 3, (2000, 3))
    b[0], a[1, 1:], b[1, 1:] = a[0], 0, 0
    np.testing.assert_allclose(delta_e_2000(a, b), color.deltaE_ciede2000(a, b), atol=1e-6)


SHARMA = [  # Sharma, Wu & Dalal 2005, table 1: pairs 1, 7, 9, 13, 17, 25, 33 and 34
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("a", "b", "published"), SHARMA)
def test_the_published_pairs_have_the_published_difference(
    a: tuple[float, ...], b: tuple[float, ...], published: float
) -> None:
    # four digits are printed
    assert float(delta_e_2000(np.array(a), np.array(b))) == pytest.approx(published, abs=5e-5)


def test_a_palette_is_the_same_wherever_its_colours_lie() -> None:
    colours = lab(np.asarray(photograph("coffee", 100)))
    shuffled = np.random.default_rng(0).permutation(colours.reshape(-1, 3)).reshape(colours.shape)
    assert palette_distance(colours, shuffled) == 0
    assert palette_distance(colours, colours[:, ::-1]) == 0


@pytest.mark.parametrize("size", [(256, 256), (256, 144), (192, 192)])
def test_fine_stripes_are_the_same_palette_a_pixel_further(size: tuple[int, int]) -> None:
    paper = np.full((size[1], size[0], 3), 255, np.uint8)
    paper[:, ::8] = 0
    assert palette_distance(lab(paper), lab(np.roll(paper, 1, axis=1))) < 1


@given(
    st.tuples(*[st.floats(-20, 20)] * 3).filter(lambda step: max(map(abs, step)) > 0.1),
)
def test_moving_every_colour_by_a_step_is_as_far_as_the_step_is_long(
    step: tuple[float, float, float],
) -> None:
    colours = lab(np.asarray(photograph("coffee", 32)))
    distance = palette_distance(colours, colours + np.array(step, dtype=np.float32))
    # 32 axes stand for all directions: the mean of |cos| over them varies by 3.6 %
    assert distance == pytest.approx(float(np.linalg.norm(step)), rel=0.04, abs=1e-3)


# --- the pair -------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)  # a busy machine takes its time
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 5))
def test_every_size_compares_with_itself_as_the_same(width: int, height: int, seed: int) -> None:
    picture, other = soft_picture(width, height, seed=seed), soft_picture(width, height, seed=9)
    assert asdict(compare(picture, picture)) == SAME
    found, back = compare(picture, other), compare(other, picture)
    assert 0 <= found.structure <= 1
    assert 0 <= found.edges <= 1
    assert 0 <= found.delta_e <= 120
    assert asdict(found) == pytest.approx(asdict(back), abs=2e-4)  # rounded to four digits


def test_more_noise_is_further_in_every_measure() -> None:
    picture = photograph("chelsea")
    found = [compare(picture, noisy(picture, deviation)) for deviation in (0, 8, 30, 90)]
    for name, sign in (("structure", -1), ("edges", -1), ("delta_e", 1), ("palette", 1)):
        figures = [sign * getattr(one, name) for one in found]
        assert figures == sorted(figures), name
        assert figures[0] < figures[-1]


def test_black_and_white_are_a_hundred_apart() -> None:
    black, white = (Image.new("RGB", (40, 30), colour) for colour in ("black", "white"))
    found = compare(black, white)
    assert found.delta_e == pytest.approx(100, abs=0.01)
    assert found.palette == pytest.approx(100, abs=0.1)  # the axes are even about L
    assert found.structure < 0.01


def test_large_pictures_are_compared_at_512_and_the_smaller_ones_size() -> None:
    large, small = soft_picture(1200, 900), soft_picture(600, 450)
    assert [one.size for one in at_one_size(large, small, longest_px=512)] == [(512, 384)] * 2
    assert compare(large, small).structure > 0.99
    floored = soft_picture(1016, 760)  # what a tool makes of 1020 x 765 in multiples of 8
    assert compare(soft_picture(1020, 765), floored).structure > 0.99


@pytest.mark.parametrize("size", [(64, 48), (90, 64)])
def test_pictures_of_other_shapes_are_refused_in_one_sentence(size: tuple[int, int]) -> None:
    with pytest.raises(PictureError, match=r"64x64 and \d+x\d+, and only .* one shape.*; crop"):
        compare(soft_picture(64, 64), soft_picture(*size))


def test_what_is_transparent_is_seen_on_white() -> None:
    hidden = soft_picture(64, 64)
    hidden.putalpha(0)
    assert asdict(compare(hidden, Image.new("RGB", (64, 64), "white"))) == SAME


def test_the_heat_map_is_bright_where_the_pictures_differ() -> None:
    picture = photograph("coffee", 128)
    altered = picture.copy()
    altered.paste((0, 255, 0), (0, 0, 64, 128))
    shown = np.asarray(heat_map(picture, altered))
    assert shown.shape[1] == 2 * 256 + 8
    for panel in (shown[:256, :256], shown[:256, 264:]):
        changed, kept = panel[:, :110].mean(), panel[:, 146:].mean()
        assert changed > kept + 30
        assert tuple(panel[128, 250]) == (68, 1, 84)  # nothing changed: the legend's first colour


def test_comparing_loads_no_torch() -> None:
    script = (
        "import sys, numpy, underpaint\n"
        "underpaint.compare(numpy.zeros((9, 9), 'uint8'), numpy.ones((9, 9), 'uint8'))\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_path_is_read(tmp_path: Path) -> None:
    soft_picture(32, 32).save(tmp_path / "a.png")
    assert asdict(compare(tmp_path / "a.png", str(tmp_path / "a.png"))) == SAME
