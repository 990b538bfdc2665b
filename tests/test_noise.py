"""The seed names the noise."""

import math

import pytest
import torch

from underpaint.noise import Noise, Variation, draws_of

SHAPE = (4, 8, 6)


def test_one_seed_draws_one_sequence():
    a, b = Noise(7, SHAPE), Noise(7, SHAPE)
    for _ in range(3):
        assert torch.equal(a(), b())


def test_draws_follow_one_another_and_differ():
    noise = Noise(7, SHAPE)
    assert not torch.equal(noise(), noise())


def test_another_seed_is_another_noise():
    assert not torch.equal(Noise(7, SHAPE)(), Noise(8, SHAPE)())


def test_pictures_do_not_share_a_source():
    alone = Noise(1, SHAPE)
    expected = [alone(), alone()]
    one, other = Noise(1, SHAPE), Noise(2, SHAPE)
    found = [one()]
    other()
    torch.manual_seed(99)
    torch.randn(5)
    found.append(one())
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_drawing_leaves_torchs_own_stream_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Noise(7, SHAPE)()
    assert torch.equal(torch.rand(3), expected)


def test_the_noise_is_float32_on_the_cpu_even_where_defaults_differ():
    torch.set_default_dtype(torch.float64)
    try:
        draw = Noise(7, SHAPE)()
    finally:
        torch.set_default_dtype(torch.float32)
    assert (draw.shape, draw.dtype, draw.device.type) == (SHAPE, torch.float32, "cpu")


def test_the_noise_is_that_of_a_cpu_generator_as_diffusers_users_know_it():
    generator = torch.Generator("cpu").manual_seed(7)
    assert torch.equal(Noise(7, SHAPE)(), torch.randn(SHAPE, generator=generator))


def test_the_largest_seed_is_taken():
    assert Noise(2**53 - 1, SHAPE)().isfinite().all()


def test_draws_are_standard_normal():
    draw = Noise(7, (4, 128, 128))()
    # 65,536 draws: deviations of mean and variance are .004 and .0055; five of them
    assert abs(float(draw.mean())) < 0.02
    assert abs(float(draw.var()) - 1) < 0.03


# --- turned towards another seed's ----------------------------------------------------------------


def test_a_variation_of_nothing_and_of_all_are_the_two_seeds_own_noise():
    for share, seed in [(0.0, 7), (1.0, 8)]:
        found, expected = draws_of(7, SHAPE, Variation(8, share)), Noise(seed, SHAPE)
        assert all(torch.equal(found(), expected()) for _ in range(3))


def test_a_variation_turns_by_its_share_of_a_right_angle():
    shape = (4, 128, 128)
    own, turned = Noise(7, shape)(), draws_of(7, shape, Variation(8, 0.2))()
    cosine = float((own * turned).sum() / own.norm() / turned.norm())
    # two seeds' vectors of 65,536 numbers stand at right angles to within .004 (one deviation)
    assert abs(cosine - math.cos(0.2 * math.pi / 2)) < 0.02


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_variation_keeps_the_noise_standard_normal(share: float):
    draw = draws_of(7, (4, 128, 128), Variation(8, share))()
    assert abs(float(draw.mean())) < 0.02  # as above
    assert abs(float(draw.var()) - 1) < 0.03  # half way, a straight line would leave .5


def test_a_variation_towards_its_own_seed_is_its_own_noise():
    turned, own = draws_of(7, SHAPE, Variation(7, 0.3)), Noise(7, SHAPE)
    assert all(torch.equal(turned(), own()) for _ in range(3))


def test_every_draw_is_turned():
    found = draws_of(7, SHAPE, Variation(8, 0.5))
    one, other = Noise(7, SHAPE), Noise(8, SHAPE)
    for _ in range(3):
        expected = math.sqrt(0.5) * (one() + other())
        assert torch.allclose(found(), expected, atol=1e-6)  # float32 of numbers up to 5
