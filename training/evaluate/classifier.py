"""A small network that names the medium of a picture, taught on freshly drawn pictures alone.

    python -m training.evaluate.classifier          # trains it anew, and keeps it for the measures

It looks through windows in the picture's own pixels, since strokes keep theirs, and means what it sees.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from training.evaluate.drawn import CLASSES, Drawn, draw_all
from training.evaluate.windows import Pixels, as_a_lens_would, glimpse, windows_of
from training.quick import quick_picture

SCENES, HELD_OUT = 200, 20
STEPS, BATCH, LEARNING_RATE = 1800, 32, 3e-3
HOME = Path.home() / ".cache" / "underpaint-training" / "classifier.pt"
PHOTOGRAPH = CLASSES.index("photograph")
PHOTOGRAPH_WEIGHT = 2.5  # photographs differ most among themselves
# Dead leaves a scene that count as photographs: textures and things that no scene holds.
QUICK_SHARE = 3
SMOOTHING = 0.05  # of labels: a window may hold nothing but bare paper


class MediumNet(nn.Module):
    """Logits `[n, media]` of windows `[n, 3, 96, 96]`, -1…1: 48 MFLOP a window, .2 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inner = 3
        for outer, side, stride in ((16, 3, 2), (40, 4, 2), (64, 3, 1), (96, 3, 2), (128, 3, 2)):
            convolution = nn.Conv2d(inner, outer, side, stride, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(outer), nn.ReLU(inplace=True)]
            inner = outer
        self.features = nn.Sequential(*layers)
        self.last = nn.Linear(2 * inner, len(CLASSES))

    def forward(self, windows: Tensor) -> Tensor:
        """The logits, from what lies everywhere and what lies somewhere."""
        seen = self.features(windows).flatten(2)
        return self.last(torch.cat([seen.mean(2), seen.std(2)], dim=1))


@torch.no_grad()
def probabilities(net: MediumNet, picture: Pixels | Image.Image) -> NDArray[np.float64]:
    """How likely each of `CLASSES` is, `[media]`: the geometric mean over the windows of a picture."""
    windows = torch.stack([as_input(window) for window in windows_of(np.asarray(picture))])
    return net(windows).double().log_softmax(1).mean(0).softmax(0).numpy()


def named(net: MediumNet, picture: Pixels | Image.Image) -> str:
    """The likeliest medium."""
    return CLASSES[int(probabilities(net, picture).argmax())]


def as_input(window: Pixels) -> Tensor:
    """A window as the network takes it, `[3, 96, 96]`, -1…1."""
    return torch.from_numpy(window).permute(2, 0, 1).float() / 127.5 - 1


def train(drawn: Drawn) -> MediumNet:
    """A classifier of the scenes that are not held out; says how it gets on."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    net = MediumNet().to(memory_format=torch.channels_last).train()
    learnt = np.flatnonzero(drawn.scenes >= HELD_OUT)
    pools = [drawn.pixels[learnt[drawn.media[learnt] == medium]] for medium in range(len(CLASSES))]
    pools[PHOTOGRAPH] = np.concatenate(
        [pools[PHOTOGRAPH], *(quick_picture(rng)[None] for _ in range(QUICK_SHARE * SCENES))]
    )
    chances = np.full(len(CLASSES), 1.0)
    chances[PHOTOGRAPH] = PHOTOGRAPH_WEIGHT
    chances /= chances.sum()
    optimizer = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=0.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, STEPS, pct_start=0.15)
    losses: list[float] = []
    for step in range(1, STEPS + 1):
        media = rng.choice(len(CLASSES), BATCH, p=chances)
        rows = [pools[medium][rng.integers(len(pools[medium]))] for medium in media]
        rows = [
            as_a_lens_would(rng, row) if medium == PHOTOGRAPH else row
            for medium, row in zip(media, rows, strict=True)
        ]
        batch = torch.stack([as_input(glimpse(rng, picture)) for picture in rows])
        loss = F.cross_entropy(net(batch), torch.from_numpy(media), label_smoothing=SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
        losses.append(loss.item())
        if step % 100 == 0:
            print(
                f"classifier: step {step} of {STEPS}, loss {np.mean(losses[-100:]):.3f}", flush=True
            )
    return net.eval()


def confusion(
    net: MediumNet, pictures: Sequence[Pixels], media: Sequence[int]
) -> NDArray[np.int64]:
    """How many pictures of each medium (rows) were given each name (columns)."""
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    for picture, medium in zip(pictures, media, strict=True):
        counts[medium, int(probabilities(net, picture).argmax())] += 1
    return counts


def make_classifier(path: Path = HOME) -> None:
    """Draws pictures, trains on them, judges the held-out ones, and writes network and judgement."""
    started_s = time.process_time()
    print(f"classifier: drawing {SCENES} scenes", flush=True)
    drawn = draw_all(SCENES)
    net = train(drawn)
    kept = drawn.scenes < HELD_OUT
    counts = confusion(net, list(drawn.pixels[kept]), drawn.media[kept].tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    torch.save(
        {"net": net.state_dict(), "confusion": counts.tolist(), "classes": CLASSES}, unfinished
    )
    unfinished.replace(path)
    spent_s = time.process_time() - started_s
    print(
        f"classifier: {counts.trace() / counts.sum():.1%} of held-out pictures, {spent_s:.0f} s CPU",
        flush=True,
    )


def classifier(path: Path = HOME) -> tuple[MediumNet, NDArray[np.int64]]:
    """The classifier and its confusion matrix on held-out pictures, trained first where there is none."""
    if not path.exists() or tuple(torch.load(path)["classes"]) != CLASSES:
        make_classifier(path)
    kept = torch.load(path)
    net = MediumNet()
    net.load_state_dict(kept["net"])
    return net.eval(), np.array(kept["confusion"])


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_classifier()
