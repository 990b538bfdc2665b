"""Distilled models: recognised, run in few steps at any strength, honest about what they never saw."""

import json
import re
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import soft_picture
from tests.tiny_families import make_tiny_flux
from underpaint import Engine, Request
from underpaint.errors import RequestError
from underpaint.geometry import Size
from underpaint.levels import FlowSchedule, Schedule, read_schedule
from underpaint.models import catalog
from underpaint.models.distilled import DISTILLATIONS, named, named_steps, off_trained_times
from underpaint.plan import make_plan
from underpaint.planning import resolve


def copied(tiny: Path, tmp_path: Path, name: str, **scheduler: Any) -> Path:
    folder = tmp_path / name
    shutil.copytree(tiny, folder)
    (folder / "underpaint.json").unlink()  # what it prefers is the family's business here
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | scheduler))
    return folder


def codes(folder: Path, **asked: Any) -> tuple[list[str], Request]:
    request = Request(source=soft_picture(32, 32), prompt="oil", seed=1, **asked)
    checkpoint = catalog.find(folder, distilled=request.distilled, prediction=request.prediction)
    made = resolve(request, checkpoint, Size(32, 32))
    return [notice.code for notice in made.plan.notices], made.request


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("sdxl-turbo", "turbo"),
        ("SSD-1B-LCM", "lcm"),
        ("sdxl_lightning_4step", "lightning"),
        ("Hyper-SDXL-8steps", "hyper"),
        ("dmd2_sdxl_4step", "dmd"),
        ("realvisxlV50_v50LightningBakedvae", "lightning"),
        ("juggernautXL_juggXILightningByRD", "lightning"),
        ("dreamshaperXL_lightningDPMSDE", "lightning"),
        ("zImageTurbo", "turbo"),
        ("dreamshaper_8LCM", "lcm"),
        ("bigLust_v16DMD2", "dmd"),
        ("photonLCMv1", "lcm"),
        ("LCMv5", "lcm"),
        ("nonTurbo", "none"),
        ("noLightning_v1", "none"),
        ("hyperrealism_v3", "none"),
        ("epicHyperRealism_v1", "none"),
        ("turbocharged", "none"),
        ("stable-diffusion-v1-5", "none"),
    ],
)
def test_a_name_tells_of_a_distillation_only_as_a_word_of_its_own(name: str, way: str) -> None:
    assert named(name) == way


@pytest.mark.parametrize(
    ("name", "way", "steps"),
    [
        ("sdxl_lightning_4step", "lightning", 4),
        ("Hyper-SDXL-8steps", "hyper", 8),
        ("Hyper-SD15-1step", "hyper", 1),
        ("dmd2_sdxl_4step_unet", "dmd", 4),
        ("myLightning4Step", "lightning", 4),
        ("sdxl_lightning_4step", "none", None),
        ("lcm_4step", "lcm", None),
        ("lightning_v2.4steps", "lightning", None),
        ("lightning_50steps", "lightning", None),
        ("lightning_4stepping", "lightning", None),
        ("lightning", "lightning", None),
    ],
)
def test_a_name_tells_how_many_steps_were_taught(name: str, way: Any, steps: int | None) -> None:
    assert named_steps(name, way) == steps


def test_the_steps_of_a_name_are_its_defaults_and_its_trained_times(
    tiny: Path, tmp_path: Path
) -> None:
    folder = copied(tiny, tmp_path, "sdxl_lightning_4step")
    said, request = codes(folder, strength=1.0)
    assert request.steps == 4
    assert "off-trained-times" not in said
    eighths = {"strength": 0.875, "steps": 7}
    assert "off-trained-times" in codes(folder, **eighths)[0]
    usual = copied(tiny, tmp_path, "sdxl_lightning")
    assert "off-trained-times" not in codes(usual, **eighths)[0]
    (folder / "underpaint.json").write_text('{"steps_over_all": 6}')
    assert codes(folder, strength=1.0)[1].steps == 6


def test_what_a_name_tells_is_assumed_aloud_and_can_be_denied(tiny: Path, tmp_path: Path) -> None:
    folder = copied(tiny, tmp_path, "sdxl-turbo")
    said, request = codes(folder, strength=0.5)
    assert "distilled-assumed" in said
    assert (request.guidance_scale, request.sampler) == (1.0, "euler")
    said, request = codes(folder, strength=0.5, distilled="none")
    assert said == []
    assert (request.guidance_scale, request.sampler) == (7.5, "dpmpp_2m")


def test_what_the_scheduler_says_needs_no_notice(tiny: Path, tmp_path: Path) -> None:
    folder = copied(tiny, tmp_path, "plain", _class_name="LCMScheduler")
    said, request = codes(folder, strength=0.6, steps=3)
    assert "distilled-assumed" not in said
    assert request.sampler == "lcm"


@pytest.mark.parametrize("way", sorted(DISTILLATIONS))
def test_on_its_trained_times_a_distilled_model_runs_without_a_notice(
    way: Any, tiny: Path, tmp_path: Path
) -> None:
    folder, times = copied(tiny, tmp_path, "plain"), DISTILLATIONS[way].times
    on = (times - 1) / times
    assert "off-trained-times" not in codes(folder, strength=on, steps=times - 1, distilled=way)[0]
    off = on - 0.4 / times
    assert "off-trained-times" in codes(folder, strength=off, steps=times - 1, distilled=way)[0]


def advised(tiny: Path, tmp_path: Path, **asked: Any) -> str:
    request = Request(source=soft_picture(32, 32), prompt="oil", seed=1, **asked)
    checkpoint = catalog.find(copied(tiny, tmp_path, "plain"), distilled=request.distilled)
    made = resolve(request, checkpoint, Size(32, 32)).plan.notices
    return " ".join(one.message for one in made if one.code == "off-trained-times")


def test_what_is_advised_meets_only_trained_times(tiny: Path, tmp_path: Path) -> None:
    said = advised(tiny, tmp_path, distilled="lcm", strength=0.5, steps=4)
    assert "strength 0.5 with 5 steps would" in said
    assert advised(tiny, tmp_path / "a", distilled="lcm", strength=0.5, steps=5) == ""
    said = advised(
        tiny, tmp_path / "b", distilled="turbo", strength=0.75, steps=3, spacing="karras"
    )
    assert "strength 0.75 with 3 steps and the model's own spacing would" in said


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m"])
@pytest.mark.parametrize("way", sorted(DISTILLATIONS))
def test_advice_leads_to_no_further_advice(way: Any, sampler: str) -> None:
    schedules = [
        FlowSchedule(), FlowSchedule(terminal=0.02), table(), table(rescale_betas_zero_snr=True),
    ]  # fmt: skip
    followed = 0
    for schedule, strength, steps in product(schedules, (0.2, 0.5, 0.77, 1.0), (1, 2, 3, 4, 8)):

        def said(strength: float, steps: int, schedule: Schedule = schedule) -> str:
            plan = make_plan(schedule, strength=strength, steps=steps, sampler=sampler)
            notices = off_trained_times(way, schedule, plan.levels, sampler=sampler)
            return " ".join(one.message for one in notices)

        if advice := re.search(r"strength (\S+) with (\d+) step", said(strength, steps)):
            assert said(float(advice[1]), int(advice[2])) == ""
            followed += 1
    assert followed > 10


def table(**also: Any) -> Schedule:
    told = {"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear"}
    return read_schedule({**told, "beta_start": 0.00085, "beta_end": 0.012, **also})


@pytest.mark.parametrize("strength", [0.01, 0.24, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("way", sorted(DISTILLATIONS))
def test_no_strength_and_no_number_of_steps_stops_it(
    way: Any, strength: float, steps: int, tiny: Path
) -> None:
    engine = Engine(tiny, device="cpu", precision="float32", distilled=way)
    request = Request(
        source=soft_picture(32, 32), prompt="oil", seed=1, strength=strength, steps=steps,
        sampler=DISTILLATIONS[way].sampler, guidance_scale=1.0,
    )  # fmt: skip
    result = engine.render(request)
    assert result.recipe.plan.evaluations == steps
    assert np.asarray(result.image).std() > 0


def test_an_interval_that_the_run_never_meets_is_told(tiny: Path, tmp_path: Path) -> None:
    folder = copied(tiny, tmp_path, "plain")
    asked: dict[str, Any] = {"strength": 0.3, "negative_prompt": "blur", "steps": 2}
    assert codes(folder, guidance_interval=(0.2, 1.0), **asked)[0] == []
    said = codes(folder, guidance_interval=(0.5, 1.0), **asked)[0]
    assert said == ["negative-unheard", "guidance-unheard"]


def test_schnell_is_known_by_its_missing_guidance(tmp_path: Path) -> None:
    folder = make_tiny_flux(tmp_path / "plain", dev=False)
    checkpoint = catalog.find(folder)
    assert (checkpoint.distilled, checkpoint.notices) == ("turbo", ())
    assert (checkpoint.defaults.guidance_scale, checkpoint.embeds_guidance) == (1.0, False)
    assert catalog.find(make_tiny_flux(tmp_path / "dev")).embeds_guidance


def test_a_prediction_that_the_file_cannot_tell_is_taken_from_the_request(tiny: Path) -> None:
    assert catalog.find(tiny).schedule.prediction == "eps"
    assert catalog.find(tiny, prediction="v").schedule.prediction == "v"


@pytest.mark.parametrize("asked", [{"prediction": "v"}, {"distilled": "lcm"}])
def test_an_engine_refuses_a_request_for_another_reading_of_its_model(
    asked: dict[str, Any], tiny: Path
) -> None:
    engine = Engine(tiny, device="cpu", precision="float32")
    with pytest.raises(RequestError, match="open an Engine with"):
        engine.render(Request(source=soft_picture(32, 32), prompt="oil", **asked))


@pytest.mark.parametrize(
    ("asked", "heard"),
    [({"guidance_scale": 1.0}, False), ({"guidance_scale": 2.0}, True), ({"strength": 0.0}, True)],
)
def test_a_negative_prompt_that_nothing_hears_is_said(
    asked: dict[str, Any], tiny: Path, *, heard: bool
) -> None:
    said, _ = codes(tiny, negative_prompt="blur", **asked)
    assert ("negative-unheard" in said) is not heard


@pytest.mark.parametrize("shaped", [{"guidance_interval": (0.2, 0.8)}, {"guidance_rescale": 0.7}])
def test_guidance_that_is_shaped_and_not_there_is_said(shaped: dict[str, Any], tiny: Path) -> None:
    said, _ = codes(tiny, guidance_scale=1.0, **shaped)
    assert "guidance-unheard" in said
    said, _ = codes(tiny, guidance_scale=2.0, **shaped)
    assert "guidance-unheard" not in said
