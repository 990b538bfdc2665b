"""The measures of Gesso measure what they say, tried on pictures whose answer is known."""

from itertools import islice

import numpy as np
import pytest

pytest.importorskip("cv2", reason="training needs the extra 'train'")
pytest.importorskip("skimage", reason="training needs the extra 'train'")

from training.evaluate import media, side_light, sketches, words
from training.evaluate.blind import score
from training.evaluate.colours import JUST_VISIBLE, TOWARDS, moved
from training.evaluate.drawn import CLASSES, variants
from training.evaluate.photographs import PHOTOGRAPHS, photographs
from training.evaluate.round_trip import grid
from training.evaluate.setting import table
from training.evaluate.side_light import towards
from training.evaluate.stock import psnr_db
from training.evaluate.windows import INPUT_PX, glimpse, windows_of
from training.evaluate.words import combinations
from training.grading import PALETTES
from training.light import LIGHTS
from training.pictures import COLOURLESS, Variant, draw


def test_every_light_and_palette_but_the_plain_ones_has_a_statistic() -> None:
    assert set(TOWARDS) == {*LIGHTS[1:], *PALETTES[1:]}


@pytest.mark.parametrize("seed", [11_000_002, 11_000_009])  # scenes with colours to take away
def test_drawn_pictures_move_towards_their_light_and_palette(seed: int) -> None:
    plain = Variant("photograph")
    lit = [Variant("photograph", light=light) for light in LIGHTS[1:]]
    graded = [Variant("photograph", palette=palette) for palette in PALETTES[1:]]
    pictures = dict(draw(seed, 96, [plain, *lit, *graded])[0])
    for variant in (*lit, *graded):
        name = variant.light if variant.light != "neutral" else variant.palette
        assert moved(name, pictures[plain], pictures[variant]) >= JUST_VISIBLE, variant


def test_a_grid_of_one_level_is_found_and_noise_is_none() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 4, (256, 256)).astype(np.float32)
    lines = np.zeros_like(noise)
    lines[:, ::8] = 4  # its deviation over a cell: 4·sqrt(1/8·7/8) = 1.3
    share, levels = grid(noise)
    # The mean of 3 bins over 256 rows strays by about 4 % from its neighbours', of 1024 cells by 4/32.
    assert share == pytest.approx(1, abs=0.2)
    assert levels < 0.2
    share, levels = grid(noise + lines)
    assert share == pytest.approx(5, abs=0.5)  # 1 + (4·256/8)² of lines over 256·4² of noise
    assert levels == pytest.approx(1.32, abs=0.15)


def test_side_light_is_signed_by_its_lamp() -> None:
    plain = np.full((32, 32, 3), 100, np.uint8)
    lit = plain.copy()
    lit[:, :16] = 137  # twice the light: (137 / 100) ** 2.2 = 2.0
    assert towards("left", plain, lit) == pytest.approx(1, abs=0.01)
    assert towards("right", plain, lit) == pytest.approx(-1, abs=0.01)
    assert towards("left", plain, plain) == 0


def test_windows_cover_a_picture_of_any_size() -> None:
    assert [
        len(list(windows_of(np.zeros((side, side, 3), np.uint8)))) for side in (100, 256, 512)
    ] == [1, 4, 16]
    for window in windows_of(np.zeros((100, 300, 3), np.uint8)):
        assert window.shape == (INPUT_PX, INPUT_PX, 3)


def test_a_glimpse_is_a_picture_of_the_networks_size() -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    for _ in range(20):
        seen = glimpse(rng, picture)
        assert seen.shape == (INPUT_PX, INPUT_PX, 3)
        assert seen.dtype == np.uint8


def test_the_classifier_is_shown_every_medium_of_every_scene() -> None:
    shown = [variant.medium for variant in variants(np.random.default_rng(0))]
    assert set(shown) == set(CLASSES)
    assert shown.count("photograph") == 3


def test_combinations_ask_for_nothing_that_a_medium_cannot_show() -> None:
    for one in combinations(list(PHOTOGRAPHS), 200):
        assert one.medium != "line_drawing"
        if one.medium in COLOURLESS:
            assert one.palette == "sepia"
            assert one.light != "neon"
        assert one.prompt(without="light").count(", ") == 1


def test_photographs_are_squares_of_the_size_asked_for() -> None:
    for picture in photographs(64).values():
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.uint8


def test_the_same_picture_has_infinite_psnr_and_one_level_off_has_48_db() -> None:
    one = np.full((8, 8, 3), 100, np.uint8)
    assert psnr_db(one, one) == float("inf")
    assert psnr_db(one, one + 1) == pytest.approx(48.13, abs=0.01)


def test_tables_are_aligned() -> None:
    assert table(["a", "long"], [["wide", 1]]) == [
        "| a    | long |",
        "|------|------|",
        "| wide | 1    |",
    ]


def test_side_light_counts_the_renders_that_moved_the_right_way() -> None:
    half = {
        "left": {"photograph": {"a": 1.0, "b": -1.0}},
        "right": {"photograph": {"a": 1.0, "b": 1.0}},
    }
    written = "\n".join(side_light.lines({"source": half, "plain": half}))
    assert "right way at strength 0.7: 75.0%, target at least 95.0%: not met" in written
    assert "| left  | photograph | 50%       | 2.00 | 0.50 |" in written


def test_the_gate_counts_the_better_of_pastel_and_charcoal() -> None:
    names = {medium: {"a": medium, "b": medium} for medium in CLASSES}
    names["charcoal"] = {"a": "pencil", "b": "pencil"}
    names["oil"] = {"a": "oil", "b": "photograph"}
    found = {"renders": {"0.6": names}}
    assert media.gate(found, 0.6) == pytest.approx(5.5 / 6)
    assert media.render_row(found, 0.6, "oil") == ("oil", "50%", "b: photograph")


def test_words_are_listed_by_whether_they_work() -> None:
    one = {"kind": "light", "name": "mist", "by": 2.0}
    found = {
        "words": [{**one, "words": "mist", "moved": True}, {**one, "words": "haze", "moved": False}]
    }
    assert words.word_row(found, "light", "mist") == ["light", "mist", "mist", "haze"]


def test_blind_labels_are_scored_at_each_strength() -> None:
    key = [{"medium": "oil", "strength": 0.6}, {"medium": "ink", "strength": 0.8}]
    assert score(key, ["oil", "pencil"]) == [
        "strength 0.6: 1 of 1",
        "strength 0.8: 0 of 1",
        "2: ink called pencil",
    ]


def test_a_sketch_s_render_is_compared_by_the_colours_of_places() -> None:
    drawn = list(islice(sketches.sketches(64), 3))
    for sketch, scene in drawn:
        assert sketch.shape == scene.shape == (64, 64, 3)
        assert sketch.std(axis=2).max() == 0  # a line drawing has no colours
        there = sketches.places(scene)
        assert sketches.apart(there, there) == 0
        assert sketches.apart(sketches.places(scene[:, ::-1]), there) > 1
        assert sketches.apart(sketches.places(sketch), there) > 5


def test_sketches_are_judged_against_one_colour_for_all() -> None:
    found = {"strength": {"0.7": 16.0}, "lightness": {"0.7": -3.0}, "own": 12.0, "one": 17.0}
    assert "met" in sketches.lines(found)[-1]
    assert "not met" in sketches.lines({**found, "one": 15.0})[-1]
