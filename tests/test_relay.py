"""A second network takes over below a level: rows keep their order, and each reads its own words."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import soft_picture
from tests.tiny_families import make_tiny_xl
from underpaint import Engine, Request, refine, render, sweep
from underpaint.denoiser import Denoiser, Guidance, Prompt, Row
from underpaint.errors import RequestError
from underpaint.geometry import Size
from underpaint.guidance import guided
from underpaint.levels import Level, Prediction
from underpaint.models import catalog
from underpaint.models.stable_diffusion import UNetDenoiser
from underpaint.planning import resolve
from underpaint.recipe import Recipe
from underpaint.relay import Relay, relayed


class Says:
    """Answers with a constant, and remembers what it was asked."""

    prediction: Prediction = "eps"

    def __init__(self, number: float) -> None:
        self.number, self.heard = number, list[object]()

    def __call__(self, rows: Sequence[Row]) -> list[Tensor]:
        self.heard += [row.prompt for row in rows]
        return [torch.full_like(row.x, self.number) for row in rows]


def row(sigma: float, prompt: object, negative: object = None, scale: float = 1.0) -> Row:
    level = Level((1 - sigma**2) ** 0.5, sigma)
    return Row(torch.zeros(1, 2, 2), level, Prompt(prompt), negative, Guidance(scale))  # type: ignore[arg-type]


def test_rows_above_and_below_and_without_a_second_network_share_a_call() -> None:
    first, second = Says(1.0), Says(2.0)
    below = Level(0.8, 0.6)
    pair = Relay(Prompt("base"), Prompt("refined"), lambda: second, below)
    rows = [row(0.5, pair), row(0.7, pair), row(0.1, "plain"), row(0.6, pair)]
    answers = [float(one.mean()) for one in relayed(first)(rows)]
    assert answers == [2.0, 1.0, 1.0, 2.0]
    assert first.heard == ["base", "plain"]
    assert second.heard == ["refined", "refined"]


def test_both_halves_of_a_guided_row_go_to_the_same_network() -> None:
    first, second = Says(1.0), Says(2.0)
    below = Level(0.8, 0.6)
    wanted = Relay(Prompt("yes"), Prompt("yes, refined"), lambda: second, below)
    unwanted = Relay(Prompt("no"), Prompt("no, refined"), lambda: second, below)
    (answer,) = guided(relayed(first))([row(0.3, wanted, unwanted, scale=3.0)])
    assert float(answer.mean()) == 2.0
    assert second.heard == ["yes, refined", "no, refined"]
    assert first.heard == []


def test_each_network_is_guided_by_what_it_predicts_itself() -> None:
    first, second = Says(1.0), Says(2.0)
    first.prediction = "v"
    seen: list[Prediction] = []

    def guide(denoiser: Denoiser) -> Denoiser:
        seen.append(denoiser.prediction)
        return guided(denoiser)

    wanted = Relay(Prompt("yes"), Prompt("refined"), lambda: second, Level(0.8, 0.6))
    unwanted = Relay(Prompt("no"), Prompt("no, refined"), lambda: second, Level(0.8, 0.6))
    relayed(first, guide)(
        [row(0.3, wanted, unwanted, scale=3.0), row(0.9, wanted, unwanted, scale=3.0)]
    )
    assert seen == ["eps", "v"]
    assert second.heard == ["refined", "no, refined"]
    assert first.heard == ["yes", "no"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("xl")
    return make_tiny_xl(folder / "base"), make_tiny_xl(folder / "refiner", refiner=True, seed=5)


def retold(model: Path, tmp_path: Path, **scheduler: Any) -> Path:
    """A copy whose scheduler says something else."""
    folder = tmp_path / "retold"
    shutil.copytree(model, folder)
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | scheduler))
    return folder


def rendered(model: Path, **asked: Any) -> tuple[np.ndarray, Recipe]:
    engine = Engine(model, device="cpu", precision="float32")
    fields = {"strength": 0.6, "steps": 4, "guidance_scale": 3.0, **asked}
    request = Request(source=soft_picture(48, 32), prompt="oil", seed=3, **fields)
    result = engine.render(request)
    return np.asarray(result.image), result.recipe


def test_a_refiner_takes_over_where_it_was_told_to(pair: tuple[Path, Path]) -> None:
    base, refiner = pair
    alone, _ = rendered(base)
    never, _ = rendered(base, refiner=str(refiner), refiner_start=0.0)
    always, recipe = rendered(base, refiner=str(refiner), refiner_start=1.0)
    other, _ = rendered(refiner)
    half, _ = rendered(base, refiner=str(refiner), refiner_start=0.3)
    assert np.array_equal(never, alone)
    # The encoders and decoders of the two have other random weights; what is compared is the way.
    assert not np.array_equal(always, alone)
    assert not np.array_equal(always, other)
    assert not np.array_equal(half, alone)
    assert not np.array_equal(half, always)
    assert recipe.refiner is not None
    assert recipe.refiner.family == "stable-diffusion-xl-refiner"
    assert Recipe.from_json(recipe.to_json(), source=None).refiner == recipe.refiner


@pytest.mark.parametrize(
    ("strength", "start", "expected"),
    [
        (0.75, 0.2, ["refiner-unheard"]),
        (0.75, 0.25, []),
        (0.6, 0.6, ["base-unheard"]),
        (0.15, 0.2, ["base-unheard"]),
        (0.6, 0.5, []),
    ],
)
def test_whoever_never_has_a_turn_is_told(
    pair: tuple[Path, Path], strength: float, start: float, expected: list[str]
) -> None:
    fields = {"strength": strength, "steps": 3, "refiner": str(pair[1]), "refiner_start": start}
    request = Request(source=soft_picture(48, 32), prompt="oil", **fields)
    plan = resolve(request, catalog.find(pair[0]), Size(48, 32)).plan
    turns = {"refiner-unheard", "base-unheard"}
    assert [one.code for one in plan.notices if one.code in turns] == expected


def test_a_level_at_which_the_refiner_takes_over_is_its_own(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, second = pair
    asked: list[tuple[int, float]] = []
    plain = UNetDenoiser.__call__

    def noted(self: UNetDenoiser, rows: Sequence[Row]) -> list[Tensor]:
        asked.append((self.network.config["cross_attention_dim"], self.schedule.t(rows[0].level)))
        return plain(self, rows)

    monkeypatch.setattr(UNetDenoiser, "__call__", noted)
    rendered(base, refiner=str(second), strength=0.4, steps=4, refiner_start=0.3)
    # .4 * (1 - 1/4) is a little more than .3
    assert asked == [(80, pytest.approx(0.4))] + [(48, pytest.approx(t)) for t in (0.3, 0.2, 0.1)]


def test_a_refiner_that_predicts_noise_does_not_begin_with_nothing_else(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    base = retold(pair[0], tmp_path, prediction_type="v_prediction", rescale_betas_zero_snr=True)
    with pytest.raises(RequestError, match="lower refiner_start"):
        rendered(base, refiner=str(pair[1]), strength=1.0, refiner_start=1.0)
    picture, _ = rendered(base, refiner=str(pair[1]), strength=1.0, refiner_start=0.9)
    assert picture.std() > 0


def test_a_refiner_of_other_latents_is_refused_before_anything_is_loaded(
    pair: tuple[Path, Path], tiny: Path
) -> None:
    with pytest.raises(RequestError, match="other latents"):
        rendered(pair[0], refiner=str(tiny))


def test_a_flow_and_a_refiner_that_is_none_are_not_combined(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    flow = retold(pair[0], tmp_path, prediction_type="flow_prediction")
    with pytest.raises(RequestError, match="one is a flow and one is none"):
        rendered(flow, refiner=str(pair[1]))


def test_a_recipe_names_the_refiner_without_its_folder_and_refine_asks_for_it(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    base, second = pair
    soft_picture(48, 32).save(tmp_path / "source.png")
    result = render(
        tmp_path / "source.png", "oil", strength=0.6, steps=4, seed=3, model=base, refiner=second,
        device="cpu", precision="float32",
    )  # fmt: skip
    assert result.recipe.request.refiner == "refiner"
    assert str(second.parent) not in result.recipe.to_json()
    result.save(tmp_path / "near.png")
    with pytest.raises(RequestError, match="with the refiner 'refiner', which is not shipped"):
        refine(tmp_path / "near.png", model=base, count=1)
    (cell, _) = sweep(
        tmp_path / "source.png", "oil", tmp_path / "swept", strength=[0.6, 0.8], steps=4, seed=3,
        model=base, shared={"refiner": str(second)}, device="cpu", precision="float32",
    )  # fmt: skip
    assert Path(cell.path).read_bytes() == (tmp_path / "near.png").read_bytes()
    again = refine(tmp_path / "near.png", model=base, refiner=second, count=1, seed=1)
    assert again.results[0].recipe.refiner == result.recipe.refiner


def test_taking_turns_keeps_one_of_each_network_and_one_call_for_both_halves(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, second = pair
    calls: list[int] = []
    plain = UNetDenoiser.__call__

    def counted(self: UNetDenoiser, rows: Sequence[Row]) -> list[Tensor]:
        calls.append(id(self))
        return plain(self, rows)

    monkeypatch.setattr(UNetDenoiser, "__call__", counted)
    pictures, counts = [], []
    for offload in ("none", "text"):
        engine = Engine(base, device="cpu", precision="float32", offload=offload)
        request = Request(
            source=soft_picture(48, 32), prompt="oil", seed=3, strength=0.6, steps=4,
            guidance_scale=3.0, refiner=str(second), refiner_start=0.3,
        )  # fmt: skip
        pictures.append(engine.render(request).encode(".png"))
        counts.append((len(calls), len(set(calls))))
        calls.clear()
    assert pictures[0] == pictures[1]
    assert counts == [(4, 2), (4, 2)]


def test_another_refiner_reads_the_prompt_anew(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    base, one = pair
    two = make_tiny_xl(tmp_path / "two", refiner=True, seed=6)
    engine = Engine(base, device="cpu", precision="float32")
    # a second model that is gone leaves its identity to the next
    identity = {True: 1, False: 2}
    monkeypatch.setattr(
        "underpaint.engine.id", lambda one: identity[one is engine.model], raising=False
    )

    def painted(place: Path) -> bytes:
        fields = {"strength": 0.6, "steps": 2, "guidance_scale": 3.0, "refiner_start": 1.0}
        asked = Request(
            source=soft_picture(48, 32), prompt="oil", seed=3, refiner=str(place), **fields
        )
        return engine.render(asked).encode(".png")

    first, other = painted(one), painted(two)
    assert first != other
    assert painted(one) == first
