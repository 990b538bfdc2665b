"""What Gesso learns from: aligned pictures that come again from their seed, and captions that name what differs."""

import random

import numpy as np
import pytest
import torch

from training.denoiser import choose_task
from training.latents import Scene
from training.light import IN_LIGHT, LIGHTS
from training.pictures import MEDIA, Variant, choose_variants, draw
from training.vocabulary import LIGHTS as LIGHT_WORDS
from training.vocabulary import MEDIA as MEDIUM_WORDS
from training.vocabulary import PALETTES


def test_a_seed_draws_the_same_pictures_again() -> None:
    first, words = draw(11, 64)
    again, same_words = draw(11, 64)
    assert words == same_words
    for (variant, pixels), (same_variant, same_pixels) in zip(first, again, strict=True):
        assert variant == same_variant
        assert np.array_equal(pixels, same_pixels)


@pytest.mark.parametrize("medium", MEDIA)
def test_every_medium_paints_any_size_in_any_light(medium: str) -> None:
    variants = [Variant(medium, light) for light in ("neutral", "moonlight", "mist")]
    for variant, pixels in draw(5, 72, variants)[0]:
        assert pixels.shape == (72, 72, 3), variant
        assert pixels.dtype == np.uint8
        assert pixels.std() > 1, "a blank picture teaches nothing"


def test_whatever_can_be_drawn_has_a_name() -> None:
    assert set(MEDIUM_WORDS) == set(MEDIA)
    assert set(LIGHT_WORDS) == set(LIGHTS) == set(IN_LIGHT)


def test_a_caption_names_all_in_which_target_and_source_differ() -> None:
    rng = random.Random(3)
    for seed in range(40):
        variants = tuple(choose_variants(np.random.default_rng(seed)))
        scene = Scene(torch.empty(len(variants), 1), variants, ("tree", "lake"))
        for _ in range(10):
            task = choose_task(rng, scene)
            ours, theirs = variants[task.target], variants[task.source]
            for words, kind in ((MEDIUM_WORDS, "medium"), (LIGHT_WORDS, "light"), (PALETTES, "palette")):  # fmt: skip
                name = getattr(ours, kind)
                if name != getattr(theirs, kind):
                    assert any(text in task.words for text in words[name]), (task, ours, theirs)
