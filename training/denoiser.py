"""Trains Gesso's UNet and text encoder on latents, as a rectified flow that also knows where img2img starts.

    python -m training.denoiser --pictures DIR --run DIR --minutes 70

img2img hands the network a noised SOURCE, which is another medium than the prompt asks for. So most samples are
pairs of aligned pictures: the noisy input is made from a mixture of source and target, and the network must point
at the target (`paired_sample`). It resumes from `RUN/denoiser.pt`.
"""

from __future__ import annotations

import argparse
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.autoencoder import save_checkpoint
from training.captions import EMPTY_SHARE, MAX_TOKENS, caption, said
from training.hardware import DTYPE, compiled
from training.latents import Scene, Scenes
from training.linear import LATENT_CHANNELS
from training.pictures import MAIN, Variant
from training.team import SAVE, STOP, WORKERS, Member, Shared, start_team
from training.text import TEXT_WIDTH, tokenize
from training.vocabulary import LIGHTS, MEDIA, PALETTES

BATCH, CROP = 48, 20  # latents of 20 x 20 cells, 160 px
LARGE_BATCH, LARGE_CROP, CROPS_EVERY = 18, 32, 4  # three in four batches are whole pictures
LEARNING_RATE, MUON_BOOST, WARM_UP = 1e-3, 2.0, 100
COOL_SHARE = 0.4  # the last part of the time, in which the rate falls to nothing
EMA_DECAY = 0.995
FIRST_SHARDS = 2  # a worker encodes before it starts; the others come while it trains
PLAIN_SHARE = 0.2  # ordinary denoising, no source
MAIN_WEIGHT = 1.5
OTHER_WEIGHT = 3.0  # three of seven are in a scene, the main media in each
LEAST_STRENGTH, MOST_STRENGTH = 0.45, 0.97  # of the runs that are practised
LEAST_WALK, MOST_WALK = 0.25, 0.95  # to so much of the level that it started from
MOST_GUIDANCE = 2.5  # by which it goes there; 1 is none
OVERSHOOT = 0.15  # a little past the target, where guidance leads
COARSE_CELLS, COARSE_NOISE, COARSE_SHARE = 8, 0.5, 0.7
AREA_CELLS = 4


@dataclass(frozen=True, slots=True)
class Practice:
    """What is practised most; shares lie in 0 to 1.

    Attributes:
        walks: Of a batch, goes on from a run's start by the network's own word.
        starts: Of the others, stand there too, where light and colour are decided.
        photographs: Of the sources.
        lines: Of the sources, line drawings; likewise of what has no words.
        area_weight: How much more an error counts that a whole area has in common.
    """

    walks: float
    starts: float
    photographs: float
    lines: float
    area_weight: float


COLOURS = Practice(walks=1 / 3, starts=0.5, photographs=0.3, lines=0.5, area_weight=16.0)
TEXTURES = Practice(walks=1 / 6, starts=0.1, photographs=0.45, lines=0.3, area_weight=2.0)
PRACTICES = {
    "colours": COLOURS,
    "textures": TEXTURES,
}  # in this order: textures are the last steps' work
PHOTOGRAPH, SKETCH = Variant("photograph"), Variant("line_drawing")


def new_unet() -> UNet2DConditionModel:
    """An untrained UNet: 16.6 M parameters, 16.4 GFLOP a forward at 512²; no attention at its finest level."""
    unet = UNet2DConditionModel(
        sample_size=64,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 128, 256),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        addition_embed_type="text",  # the words reach every block through the time's embedding too
        addition_embed_type_num_heads=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.constant_(unet.add_embedding.norm2.weight, 0.1)
    for name, module in unet.named_modules():
        if name.endswith("conv2"):  # residual branches begin as nothing
            nn.init.zeros_(module.weight)
    return unet


@dataclass(frozen=True, slots=True)
class Task:
    """What one sample asks: turn `source` (a variant's index) into `target`, told by `words`."""

    source: int
    target: int
    words: str


def weight(variant: Variant) -> float:
    """How often a variant is the target: every medium about as often, photographs less a picture, as a scene has three."""
    if variant.medium in {"photograph", "line_drawing"}:
        return 0.8
    return MAIN_WEIGHT if variant.medium in MAIN else OTHER_WEIGHT


def choose_task(rng: random.Random, scene: Scene, practice: Practice = COLOURS) -> Task:
    """A target variant, its caption, and the variant that stands for the source (itself: ordinary denoising).

    What differs from the source is always named, what does not now and then: so what a prompt leaves out stays. Only
    a line drawing never stays one unless that is said.
    """
    count = len(scene.variants)
    target = rng.choices(range(count), [weight(variant) for variant in scene.variants])[0]
    if rng.random() < EMPTY_SHARE:
        return wordless_task(rng, scene, target, practice)
    source = target if rng.random() < PLAIN_SHARE else choose_source(rng, scene, target, practice)
    ours, theirs = scene.variants[target], scene.variants[source]
    names_medium = ours.medium != theirs.medium or ours == SKETCH or rng.random() < 0.7
    names_light = ours.light != theirs.light or rng.random() < (0.25, 0.8)[ours.light != "neutral"]
    names_palette = ours.palette != theirs.palette or rng.random() < (
        0.15, 0.8,
    )[ours.palette != "natural"]  # fmt: skip
    words = caption(
        rng,
        medium=said(rng, MEDIA, ours.medium) if names_medium else None,
        light=said(rng, LIGHTS, ours.light) if names_light else None,
        palette=said(rng, PALETTES, ours.palette) if names_palette else None,
        subjects=scene.words,
    )
    return Task(source, target, words)


def wordless_task(rng: random.Random, scene: Scene, target: int, practice: Practice) -> Task:
    """Without words a picture stays what it is, but a line drawing always becomes a photograph.

    Guidance leads away from this. Led away from white paper, every render of a sketch would be too dark.
    """
    if scene.variants[target] == SKETCH or rng.random() < practice.lines:
        return Task(scene.variants.index(SKETCH), scene.variants.index(PHOTOGRAPH), "")
    return Task(target, target, "")


def choose_source(rng: random.Random, scene: Scene, target: int, practice: Practice) -> int:
    """What people bring: mostly a photograph in plain light, often a line drawing, else any other variant."""
    draw = rng.random()
    source = scene.variants.index(PHOTOGRAPH if draw < practice.photographs else SKETCH)
    if source != target and draw < practice.photographs + practice.lines:
        return source
    return rng.choice([i for i in range(len(scene.variants)) if i != target])


def draw_levels(
    rng: np.random.Generator, plain: np.ndarray, practice: Practice = COLOURS
) -> tuple[np.ndarray, np.ndarray]:
    """Levels t in (0, 1] and how much of the source is in x there, for samples that are `plain` or pairs.

    Plain: logit-normal around .6, a third uniform, a few of pure noise, no source. Pairs stand on the way of a
    deterministic run that started at strength s: `(t/(1-t)) / (s/(1-s))` of the source is left at level t; sometimes
    less, as a good estimate leaves, or a little past the target, where guidance leads. Those that will walk
    (`walkers`) stand at its start. Runs from below .45 are not practised, so that low strengths stay faithful.
    """
    count = len(plain)
    t = 1 / (1 + np.exp(-rng.normal(0.4, 1.0, count)))
    kind = rng.random(count)
    t = np.where(kind < 0.3, rng.uniform(0.02, 1, count), t)
    t = np.where(kind > 0.98, 1.0, np.clip(t, 0.02, 1))
    strength = rng.uniform(LEAST_STRENGTH, MOST_STRENGTH, count)
    walking = np.arange(count) < walkers(count, practice)
    starts = (rng.random(count) < practice.starts) | walking
    gone = np.where(starts, 1, np.sqrt(rng.random(count)))
    on_the_way = np.maximum(strength * gone, 0.03)
    left = (on_the_way / (1 - on_the_way)) / (strength / (1 - strength))
    exact = starts | (rng.random(count) < 0.5)
    scale = np.where(exact, 1, rng.uniform(-OVERSHOOT, 1, count))
    return np.where(plain, t, on_the_way), np.where(plain, 0, left * scale)


def walkers(count: int, practice: Practice = COLOURS) -> int:
    """How many of a batch, its first ones, walk: `Networks.walk`."""
    return int(count * practice.walks)


@dataclass(frozen=True, slots=True)
class Batch:
    """Noisy latents `x` and their `target` `[b, 32, h, w]`, levels `t [b]`, token ids `[b, 48]`, and which are no pairs."""

    x: Tensor
    target: Tensor
    t: Tensor
    tokens: Tensor
    plain: Tensor


class Batches:
    """Draws batches: scenes, tasks, crops, levels, noise."""

    def __init__(
        self, scenes: Scenes, tokenizer: CLIPTokenizer, practice: Practice, *, seed: int
    ) -> None:
        self.scenes, self.tokenizer, self.practice = scenes, tokenizer, practice
        self.rng, self.numbers = random.Random(seed), np.random.default_rng(seed)

    def draw(self, count: int, crop: int) -> Batch:
        """One batch of `count` crops of `crop` x `crop` cells."""
        sources, targets, words, plain = [], [], [], []
        for _ in range(count):
            scene = self.scenes.any(self.rng)
            task = choose_task(self.rng, scene, self.practice)
            room = scene.latents.shape[-1] - crop
            y, x = self.rng.randint(0, room), self.rng.randint(0, room)
            window = scene.latents[:, :, y : y + crop, x : x + crop]
            sources.append(window[task.source])
            targets.append(window[task.target])
            words.append(task.words)
            plain.append(task.source == task.target)
        source, target = torch.stack(sources).float(), torch.stack(targets).float()
        levels, shares = draw_levels(self.numbers, np.array(plain), self.practice)
        t, share = torch.from_numpy(levels).float(), torch.from_numpy(shares).float()
        return noisy_batch(source, target, t, share, tokenize(self.tokenizer, words))


def noisy_batch(source: Tensor, target: Tensor, t: Tensor, share: Tensor, tokens: Tensor) -> Batch:
    """A batch of noised mixtures, where its latents lie; only pairs get clouds of noise too."""
    noise = torch.randn_like(target)
    noise += coarse_noise(noise) * (share != 0)[:, None, None, None]
    x = paired_sample(source, target, t, share, noise)
    return Batch(x, target, t, tokens, share == 0)


def coarse_noise(like: Tensor) -> Tensor:
    """Clouds of noise, for most samples of a batch: so that what is only noise is not taken for light and shade.

    White noise averages out over an area, but not to nothing, and a sketch's paper says nothing against it.
    """
    count, channels, height, width = like.shape
    grid = (height // COARSE_CELLS + 1, width // COARSE_CELLS + 1)
    clouds = nn.functional.interpolate(
        like.new_empty(count, channels, *grid).normal_(), (height, width), mode="bilinear"
    )
    chance, size = torch.rand(2, count, device=like.device)
    amount = COARSE_NOISE * size * (chance < COARSE_SHARE)
    return clouds * amount[:, None, None, None]


def paired_sample(
    source: Tensor, target: Tensor, t: Tensor, share: Tensor, noise: Tensor
) -> Tensor:
    """The noisy mixture x; the velocity v for which `x - t·v` is the target itself is `(x - target) / t`."""
    t, share = t[:, None, None, None], share[:, None, None, None]
    return (1 - t) * torch.lerp(target, source, share) + t * noise


def learning_rate(step: int, done: float) -> float:
    """The rate after so many steps, when `done` of the time is over: it warms up, stays, and falls to nearly nothing."""
    return LEARNING_RATE * min(1, (step + 1) / WARM_UP) * min(1, 0.01 + (1 - done) / COOL_SHARE)


class Networks:
    """The UNet in bf16 and the frozen text encoder, as one worker holds them."""

    def __init__(self, run: Path, practice: Practice = COLOURS) -> None:
        self.practice = practice
        self.unet, self.text = new_unet(), CLIPTextModel.from_pretrained(run / "text")
        self.parameters = list(self.unet.parameters())

    def matrices(self) -> list[bool]:
        """Which parameters Muon steps: the UNet's own, save its first and last convolution and the time's embedding."""
        return [
            name.startswith(("down", "mid", "up")) and p.dim() > 1
            for name, p in self.unet.named_parameters()
        ]

    def loss(self, step_unet: Callable[..., tuple[Tensor]], batch: Batch) -> Tensor:
        """Squared error of the velocity, one number a sample, errors of whole areas weighed up.

        What is best stays the mean of all targets. But it is reached sooner where light and colour are concerned:
        texture, which no network can foretell, makes nearly all of the plain error and of its gradient. Samples
        that walked are blamed for areas alone, and as much as at their start.
        """
        with torch.no_grad():
            words = self.text(input_ids=batch.tokens).last_hidden_state
        x, t = self.walk(step_unet, batch, words)
        missed = self.say(step_unet, x, t, words) - (x - batch.target) / t[:, None, None, None]
        of_areas = nn.functional.avg_pool2d(missed, AREA_CELLS).square().mean((1, 2, 3))
        walked = t < batch.t
        plainly = missed.square().mean((1, 2, 3)) * ~walked
        return plainly + self.practice.area_weight * (t / batch.t).square() * of_areas

    @torch.no_grad()
    def walk(
        self, step_unet: Callable[..., tuple[Tensor]], batch: Batch, words: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The batch's `x` and `t`, after the first ones went a step of a run by the network's own word.

        On a real run there is no true target to mix with the noise, only the network's estimate of it, led away from
        the one without words. A network that never saw its own estimates takes them for something else: it found
        paper where none was left, and took the light away twice.
        """
        count = walkers(len(batch.t), self.practice)
        t = batch.t.clone()
        t[:count] *= torch.empty_like(t[:count]).uniform_(LEAST_WALK, MOST_WALK)
        x, level = (torch.cat([one[:count], one[:count]]) for one in (batch.x, batch.t))
        without = self.text(input_ids=self.no_words(x.device)).last_hidden_state
        both = torch.cat([words[:count], without.expand(count, -1, -1)])
        said, plain = self.say(step_unet, x, level, both).chunk(2)
        scale = torch.empty_like(t[:count]).uniform_(1, MOST_GUIDANCE)[:, None, None, None]
        gone = (batch.t - t)[:count, None, None, None]
        return torch.cat(
            [batch.x[:count] - gone * torch.lerp(plain, said, scale), batch.x[count:]]
        ), t

    def no_words(self, device: torch.device) -> Tensor:
        """The tokens `[1, 48]` of an empty prompt."""
        config = self.text.config
        tokens = torch.full((1, MAX_TOKENS), config.eos_token_id, device=device)
        tokens[0, 0] = config.bos_token_id
        return tokens

    def say(
        self, step_unet: Callable[..., tuple[Tensor]], x: Tensor, t: Tensor, words: Tensor
    ) -> Tensor:
        """The velocity `[b, 32, h, w]` in float32."""
        numbers = self.parameters[0].dtype
        x = x.to(numbers, memory_format=torch.channels_last)
        return step_unet(x, t * 1000, words.to(numbers), return_dict=False)[0].float()


def open_networks(run: Path, released: Path | None, practice: Practice = COLOURS) -> Networks:
    """New networks, or those of a released folder, whose other parts also stand in for what `run` does not have."""
    if not released:
        return Networks(run, practice)
    for role, name in {"vae": "vae", "text_encoder": "text", "tokenizer": "tokenizer"}.items():
        if not (run / name).exists():
            shutil.copytree(released / role, run / name)
    networks = Networks(run, practice)
    unet = UNet2DConditionModel.from_pretrained(released / "unet", torch_dtype=torch.float32)
    networks.unet.load_state_dict(unet.state_dict())
    return networks


def train(
    pictures: Path, run: Path, minutes: float, *, shards: int, released: Path | None, practice: str
) -> None:
    """Trains until `minutes` in all have passed, saving every four."""
    networks = open_networks(run, released)
    if (run / "denoiser.pt").exists():
        with torch.no_grad():
            torch._foreach_copy_(networks.parameters, torch.load(run / "denoiser.pt")["masters"])
    start_team(work, networks.parameters, pictures, run, minutes, shards, PRACTICES[practice])


def work(
    rank: int,
    shared: Shared,
    pictures: Path,
    run: Path,
    minutes: float,
    shards: int,
    practice: Practice,
) -> None:
    """One worker: its half of each batch."""
    vae = AutoencoderTiny.from_pretrained(run / "vae")
    scenes = Scenes(pictures, run / "latents", vae, rank=rank, workers=WORKERS)
    tokenizer = CLIPTokenizer.from_pretrained(run / "tokenizer")
    networks = Networks(run, practice)
    networks.unet.to(DTYPE, memory_format=torch.channels_last)
    member = Member(
        rank,
        shared,
        networks.parameters,
        networks.matrices(),
        lr=LEARNING_RATE,
        decay=EMA_DECAY,
        boost=MUON_BOOST,
    )
    scenes.encode_missing(most=FIRST_SHARDS, limit=shards)
    shared.barrier.wait()
    scenes.load_cached()
    batches = Batches(scenes, tokenizer, practice, seed=time.time_ns() % 2**31 + rank)
    step, spent, path = 0, 0.0, run / "denoiser.pt"
    if path.exists():
        saved = torch.load(path)
        step, spent = saved["step"], saved["spent"]
        member.resume_optimizer(run / f"denoiser-optimizer-{rank}.pt")
        if rank == 0:
            with torch.no_grad():
                torch._foreach_copy_(member.mean, saved["mean"])
    step_unet = compiled(networks.unet)
    last, saved_at, seen = time.monotonic(), spent, []
    while True:
        if step % 50 == 0:
            scenes.encode_missing(most=1, limit=shards)
            scenes.load_cached()
        batch = (
            batches.draw(LARGE_BATCH // WORKERS, LARGE_CROP)
            if step % CROPS_EVERY
            else batches.draw(BATCH // WORKERS, CROP)
        )
        losses = networks.loss(step_unet, batch)
        losses.mean().backward()
        seen.append((losses[batch.plain].mean().item(), losses[~batch.plain].mean().item()))
        if rank == 0:
            now = time.monotonic()
            spent, last = spent + now - last, now
            done = min(1, spent / (minutes * 60))
            rate = learning_rate(step, done)
            save = spent - saved_at > 240 or done >= 1
            shared.orders.copy_(torch.tensor([rate, done >= 1, save, spent, step]))
        orders = member.update()
        step += 1
        if rank == 0 and step % 50 == 0:
            plain, paired = np.nanmean(seen[-50:], axis=0)
            print(
                f"step {step} {spent:.0f} s plain {plain:.4f} paired {paired:.4f} "
                f"rate {rate:.2e} scenes {len(scenes.scenes)}",
                flush=True,
            )
        if orders[SAVE]:
            saved_at = spent
            member.save_optimizer(run / f"denoiser-optimizer-{rank}.pt")
            if rank == 0:
                state = {
                    "masters": member.masters,
                    "mean": member.mean,
                    "step": step,
                    "spent": spent,
                }
                save_checkpoint(path, state)
        if orders[STOP]:
            return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=70)
    parser.add_argument("--shards", type=int, default=60)
    parser.add_argument("--begin-from", type=Path, help="a released folder to improve")
    parser.add_argument("--practice", choices=PRACTICES, default="colours")
    options = parser.parse_args()
    train(
        options.pictures,
        options.run,
        options.minutes,
        shards=options.shards,
        released=options.begin_from,
        practice=options.practice,
    )
