"""Renders the pictures of docs/choosing-a-strength.md with the released weights: ``python -m docs.make_guide``."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from benchmarks.scale_plot import draw_panels
from docs.make_gallery import PICTURES, QUALITY, ROOT, SEED, Cell, Easel, Pixels, sheet
from training.evaluate.photographs import photographs, square
from underpaint import Request
from underpaint.levels import FlowSchedule, Level, Schedule, read_schedule
from underpaint.models import catalog
from underpaint.peers import PEERS, Peer, copied_steps

SIZE_PX = 384  # outlines of a sketch are lost at less
STRENGTHS = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
PROMPT = "oil painting"
LONG_PROMPT = (
    "an oil painting of a harbour at night with a hundred lanterns, rain and a red fishing boat"
)
STEPS = 20  # asked of every tool in the chart
FLUX_SHIFT = 3.158  # exp(1.15), its dynamic shift at 1024²


def sources(easel: Easel) -> dict[str, Pixels]:
    """A sketch, a photograph, and a near-miss: a painting that went well but for its details."""
    photograph = photographs(SIZE_PX)["coffee"]
    missed = easel.cell(photographs(SIZE_PX)["astronaut"], PROMPT, label="", strength=0.5)
    sketch = np.asarray(Image.open(ROOT / "examples" / "sketch.png").convert("RGB"))
    return {
        "a sketch": square(sketch, SIZE_PX),
        "a photograph": photograph,
        "a near-miss": np.asarray(missed.image),
    }


def ladder(easel: Easel) -> Image.Image:
    """What each strength makes of each source."""
    rows = []
    for name, source in sources(easel).items():
        cells = [
            easel.cell(source, PROMPT, label=f"{strength:g}", strength=strength)
            for strength in STRENGTHS
        ]
        rows.append([Cell(name, Image.fromarray(source)), *cells])
    return sheet(rows)


def survivors(easel: Easel) -> Image.Image:
    """What the model can still make out of each source where the run starts."""
    rows = []
    for name, source in sources(easel).items():
        row = [Cell(name, Image.fromarray(source))]
        for strength in STRENGTHS:
            request = Request(source=source, prompt=PROMPT, strength=strength, seed=SEED)
            row.append(Cell(f"{strength:g}", easel.engine.what_survives(request).convert("RGB")))
        rows.append(row)
    return sheet(rows)


def mistakes(easel: Easel) -> Image.Image:
    """Too much strength, too little for a long prompt, and the wrong tool."""
    of = sources(easel)
    sketch, photograph = of["a sketch"], of["a photograph"]
    wanted = "oil painting, golden hour"
    return sheet(
        [
            [
                Cell("the source", Image.fromarray(sketch)),
                easel.cell(sketch, wanted, label="too much: 0.97", strength=0.97),
                easel.cell(sketch, wanted, label="better: 0.55", strength=0.55),
            ],
            [
                Cell("the source", Image.fromarray(sketch)),
                easel.cell(sketch, LONG_PROMPT, label="too little: 0.2", strength=0.2),
                easel.cell(sketch, "oil painting", label="better: 0.6", strength=0.6),
            ],
            [
                Cell("the source", Image.fromarray(photograph)),
                easel.cell(photograph, "a blue cup", label="one thing: no", strength=0.6),
                easel.cell(photograph, "pencil drawing", label="all of it: yes", strength=0.6),
            ],
        ]
    )


def schedules() -> dict[str, Schedule]:
    """The levels of families that people know, and Gesso's."""
    table = {
        "num_train_timesteps": 1000,
        "prediction_type": "epsilon",
        "_class_name": "DDIMScheduler",
    }
    flow = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}
    old = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    return {
        "SD 1.5, SDXL": read_schedule(table | old),
        "SD 3": read_schedule(flow | {"shift": 3.0}),
        "FLUX.1 dev at 1024 px": read_schedule(flow | {"shift": FLUX_SHIFT}),
        "Gesso": catalog.find(None).schedule,
    }


def noise_share(level: Level) -> float:
    """How much of x is noise: 0 to 1, and on a flow's schedule sigma itself."""
    return level.sigma / (level.alpha + level.sigma)


def elsewhere() -> Image.Image:
    """Two charts: how noisy the same strength is on other models, how many steps run in other tools."""
    xs = np.linspace(0, 1, 101)
    noisy = [
        (name, xs, [noise_share(schedule.level(float(x))) for x in xs])
        for name, schedule in schedules().items()
    ]
    flow = FlowSchedule()
    table = schedules()["SD 1.5, SDXL"]
    kinds: list[tuple[str, Peer, Schedule]] = [
        *((peer, peer, table) for peer in PEERS),
        ("diffusers, flow models", "diffusers", flow),
    ]
    ran = [(name, xs[1:], [_share(peer, x, of) for x in xs[1:]]) for name, peer, of in kinds]
    return draw_panels(
        {
            "noise in the start, against strength": noisy,
            f"evaluations that run of {STEPS} steps, against strength": ran,
        },
        across=2,
    )


def _share(peer: Peer, strength: float, schedule: Schedule) -> float:
    try:
        count, _ = copied_steps(
            peer, steps=STEPS, strength=float(strength), sampler="dpmpp_2m", schedule=schedule
        )
    except ValueError:
        count = 0  # the tool gives up
    return count / STEPS


SHEETS: dict[str, Callable[[Easel], Image.Image]] = {
    "ladder": ladder,
    "survives": survivors,
    "mistakes": mistakes,
}


def main(names: Sequence[str] = tuple(SHEETS)) -> None:
    """Writes the sheets and the charts."""
    PICTURES.mkdir(exist_ok=True)
    elsewhere().save(PICTURES / "guide-elsewhere.png", optimize=True)
    easel = Easel()
    for name in names:
        SHEETS[name](easel).save(PICTURES / f"guide-{name}.webp", quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
