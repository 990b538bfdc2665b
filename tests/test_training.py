"""What Gesso learns from: aligned pictures that come again from their seed, and captions that name what differs."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTokenizer

from training import gpu
from training.__main__ import RELEASED, parts
from training.canvas import RARER, ordinary
from training.denoiser import (
    MOST_GUIDANCE,
    PHOTOGRAPH,
    PRACTICES,
    SKETCH,
    Batch,
    Networks,
    Practice,
    choose_source,
    choose_task,
    coarse_noise,
    draw_levels,
    open_networks,
    paired_sample,
    walkers,
)
from training.export import latest_networks
from training.latents import Scene
from training.light import IN_LIGHT, LIGHTS
from training.pictures import MEDIA, Variant, choose_variants, draw, write_shard
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
            if not task.words:
                continue
            for words, kind in ((MEDIUM_WORDS, "medium"), (LIGHT_WORDS, "light"), (PALETTES, "palette")):  # fmt: skip
                name = getattr(ours, kind)
                if name != getattr(theirs, kind):
                    assert any(text in task.words for text in words[name]), (task, ours, theirs)


def test_without_words_a_picture_stays_and_a_sketch_becomes_a_photograph() -> None:
    rng = random.Random(4)
    seen = set[bool]()
    for seed in range(60):
        variants = tuple(choose_variants(np.random.default_rng(seed)))
        scene = Scene(torch.empty(len(variants), 1), variants, ())
        for _ in range(20):
            task = choose_task(rng, scene)
            if not task.words:
                ours, theirs = variants[task.target], variants[task.source]
                assert (ours == theirs != SKETCH) or (theirs, ours) == (SKETCH, PHOTOGRAPH)
                seen.add(ours == theirs)
    assert seen == {True, False}


@pytest.mark.parametrize("practice", PRACTICES.values(), ids=PRACTICES)
def test_sources_and_walks_are_as_often_as_a_practice_says(practice: Practice) -> None:
    rng, seen = random.Random(6), Counter[str]()
    for seed in range(150):
        variants = tuple(choose_variants(np.random.default_rng(seed)))
        scene = Scene(torch.empty(len(variants), 1), variants, ())
        for _ in range(40):
            target = rng.choice([i for i, one in enumerate(variants) if one.medium == "oil"] or [0])
            if variants[target] not in {SKETCH, PHOTOGRAPH}:
                seen[variants[choose_source(rng, scene, target, practice)].medium] += 1
    # the others are any variant, now and then these two
    others = 1 - practice.photographs - practice.lines
    for name, share in (("photograph", practice.photographs), ("line_drawing", practice.lines)):
        assert share - 0.03 < seen[name] / seen.total() < share + 0.35 * others
    _, shares = draw_levels(np.random.default_rng(5), np.zeros(6000, bool), practice)
    assert (shares[: walkers(6000, practice)] == 1).all()
    rest = (shares[walkers(6000, practice) :] == 1).mean()
    assert practice.starts - 0.02 < rest < practice.starts + 0.02 + (1 - practice.starts) * 0.02


def test_textures_are_practised_last_for_a_quarter_of_the_denoisers_time(tmp_path: Path) -> None:
    commands = parts(tmp_path, 100, 10, tmp_path / "to")
    colours, textures = [one for one in commands if one[0] == "training.denoiser"]
    assert colours[-2:] == ["--practice", "colours"]
    assert textures[-2:] == ["--practice", "textures"]
    told = [float(one[one.index("--minutes") + 1]) for one in (colours, textures)]
    assert told == pytest.approx([56, 75])  # counted in all
    assert commands.index(textures) == commands.index(colours) + 1


def test_at_the_start_of_a_run_nothing_but_source_and_noise_is_in_what_the_network_sees() -> None:
    levels, shares = draw_levels(np.random.default_rng(5), np.zeros(4000, bool))
    begun = shares == 1
    assert begun[: walkers(4000)].all()
    assert 0.5 < begun.mean() < 0.9  # and the others stand on their way, or past the target
    assert (levels[begun] >= 0.45).all()
    assert shares.max() <= 1
    assert shares.min() < 0
    source, target, noise = (torch.full((1, 1, 1, 1), value) for value in (3.0, 100.0, 7.0))
    t, share = torch.tensor([0.6]), torch.tensor([1.0])
    assert paired_sample(source, target, t, share, noise).item() == pytest.approx(0.4 * 3 + 0.6 * 7)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    return open_networks(tmp_path_factory.mktemp("run"), RELEASED)


def batch_of(count: int) -> Batch:
    """A batch of white noise whose targets are all ones."""
    x = torch.randn(count, 32, 8, 8, generator=torch.Generator().manual_seed(count))
    levels = torch.linspace(0.5, 0.9, count)
    tokens = torch.zeros(count, 48, dtype=torch.long)
    return Batch(x, torch.ones_like(x), levels, tokens, torch.zeros(count, dtype=torch.bool))


def test_a_third_of_a_batch_goes_on_by_the_network_s_own_word(networks: Networks) -> None:
    batch, estimate = batch_of(9), 5.0

    def says(
        x: torch.Tensor, levels: torch.Tensor, *_: object, **__: object
    ) -> tuple[torch.Tensor]:
        return ((x - estimate) / (levels / 1000)[:, None, None, None],)

    x, t = networks.walk(says, batch, torch.zeros(9, 48, 160))
    assert (t[:3] < batch.t[:3]).all()
    assert torch.equal(t[3:], batch.t[3:])
    assert torch.equal(x[3:], batch.x[3:])
    towards = torch.lerp(
        torch.full_like(x[:3], estimate), batch.x[:3], (t / batch.t)[:3, None, None, None]
    )
    torch.testing.assert_close(x[:3], towards)


def test_it_goes_on_as_guidance_leads_it(networks: Networks) -> None:
    batch = batch_of(300)

    def says(
        x: torch.Tensor, levels: torch.Tensor, words: torch.Tensor, **_: object
    ) -> tuple[torch.Tensor]:
        estimate = torch.where(words.mean((1, 2)) > 50, 5.0, 3.0)[:, None, None, None]
        return ((x - estimate) / (levels / 1000)[:, None, None, None],)

    x, t = networks.walk(says, batch, torch.full((300, 48, 160), 100.0))
    left = (t / batch.t)[:100, None, None, None]
    estimates = ((x[:100] - left * batch.x[:100]) / (1 - left)).mean((1, 2, 3))
    assert (estimates - estimates.median()).abs().max() > 1
    assert estimates.min() > 5 - 1e-3  # as said with words, and away from what is said without
    assert estimates.max() < 3 + MOST_GUIDANCE * 2 + 1e-3


def test_who_walked_is_blamed_for_light_and_colour_but_not_for_texture(networks: Networks) -> None:
    batch = batch_of(9)
    texture = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4)

    def misses_by(error: torch.Tensor | float) -> torch.Tensor:
        def says(
            x: torch.Tensor, levels: torch.Tensor, *_: object, **__: object
        ) -> tuple[torch.Tensor]:
            return ((x - batch.target[: len(x)] - error) / (levels / 1000)[:, None, None, None],)

        return networks.loss(says, batch)

    assert misses_by(0.0).max() < 1e-6
    assert misses_by(texture)[:3].max() < 1e-6
    assert misses_by(texture)[3:].min() > 1
    areas = (
        misses_by(1.0) * batch.t.square()
    )  # an estimate as wrong costs the same wherever it is made
    assert areas[:3] == pytest.approx(areas[:1].expand(3), rel=1e-3)
    assert areas.min() > 10


def test_clouds_of_noise_lie_over_most_samples_and_average_to_nothing() -> None:
    torch.manual_seed(0)
    clouds = coarse_noise(torch.empty(400, 2, 20, 20))
    there = clouds.std(dim=(1, 2, 3)) > 0
    assert 0.55 < there.float().mean() < 0.85
    assert abs(clouds.mean().item()) < 0.01
    white = torch.randn_like(clouds)
    areas = [
        torch.nn.functional.avg_pool2d(one, 5)[there].std() / one[there].std()
        for one in (clouds, white)
    ]
    assert areas[0] > 3 * areas[1]


def test_ordinary_colours_come_more_often_than_rare_ones() -> None:
    rng = np.random.default_rng(6)
    counts = np.bincount([ordinary(rng, 4) for _ in range(20_000)], minlength=4)
    assert counts[1:] / counts[:-1] == pytest.approx([RARER] * 3, abs=0.08)


def test_the_gpu_s_trainer_learns_resumes_and_leaves_what_a_release_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.pictures.SHARD_SCENES", 2)
    write_shard(3, out=tmp_path, size_px=64)
    monkeypatch.setattr("training.gpu.TELL_EVERY", 1)

    def train(minutes: float, folder: Path) -> None:
        gpu.train(
            tmp_path, folder, minutes, batch=4, choosers=0, device=torch.device("cpu"), released=RELEASED
        )  # fmt: skip

    run = tmp_path / "run"
    run.mkdir()
    train(1e-6, run)
    begun = torch.load(run / "denoiser.pt")
    assert begun["step"] == 1
    train(begun["spent"] / 60 + 1e-6, run)
    later = torch.load(run / "denoiser.pt")
    assert later["step"] == 2
    moved = [not torch.equal(a, b) for a, b in zip(begun["masters"], later["masters"], strict=True)]
    assert sum(moved) > 0.9 * len(moved)
    latest, text = latest_networks(run)
    released = UNet2DConditionModel.from_pretrained(RELEASED / "unet", torch_dtype=torch.float32)
    for name, weight in latest.state_dict().items():
        torch.testing.assert_close(weight, released.state_dict()[name], atol=0.02, rtol=0.1)
    assert text.dtype is torch.float32


def test_the_gpu_s_batches_are_the_tasks_that_were_chosen() -> None:
    rng = np.random.default_rng(1)
    scenes = [
        Scene(torch.full((13, 1, 2, 2), float(i)) + torch.arange(13.0)[:, None, None, None] / 100,
              tuple(choose_variants(rng)), ("tree",))
        for i in range(5)
    ]  # fmt: skip
    tokenizer = CLIPTokenizer.from_pretrained(RELEASED / "tokenizer")
    chosen = next(iter(gpu.Choices(scenes, tokenizer, 64, PRACTICES["textures"])))
    latents = torch.cat([scene.latents for scene in scenes])
    batch = gpu.as_batch(chosen, latents)
    assert torch.equal(batch.target, latents[chosen.targets])
    assert torch.equal(
        latents[chosen.sources].round(), latents[chosen.targets].round()
    )  # one scene
    assert torch.equal(batch.plain, chosen.sources == chosen.targets)
    assert batch.tokens.shape == (64, 48)
