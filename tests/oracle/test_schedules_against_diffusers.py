"""Schedules read from a scheduler's JSON stand at diffusers' own levels and times."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.flux import pipeline_flux
from diffusers.schedulers.scheduling_ddim import DDIMScheduler, rescale_zero_terminal_snr
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
)
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

from underpaint.levels import FlowSchedule, TableSchedule, ladder, read_schedule

# diffusers 0.42 under NumPy 2: nothing of ours
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TABLES: dict[str, dict[str, Any]] = {
    "linear": {"beta_schedule": "linear"},
    "linear-500": {"beta_schedule": "linear", "beta_end": 0.03, "num_train_timesteps": 500},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "squaredcos_cap_v2": {"beta_schedule": "squaredcos_cap_v2"},
    "trained": {"trained_betas": np.geomspace(1e-4, 0.05, 300).tolist()},
    "v": {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "prediction_type": "v_prediction",
    },
}


def saved(scheduler: Any) -> dict[str, Any]:
    """What ``scheduler_config.json`` would hold."""
    return {"_class_name": type(scheduler).__name__, **scheduler.config}


@pytest.mark.parametrize("options", TABLES.values(), ids=TABLES)
def test_every_entry_of_a_table_is_diffusers_own(options: Mapping[str, Any]):
    theirs: Any = DDIMScheduler(**options)
    ours = read_schedule(saved(theirs))
    assert isinstance(ours, TableSchedule)
    assert ours.entries == len(theirs.alphas_cumprod)
    alphas = [ours.level((i + 1) / ours.entries).alpha for i in range(ours.entries)]
    # theirs is a float32 running product of up to 1000 factors: 1000 * 2**-24 at the worst
    assert np.square(alphas) == pytest.approx(theirs.alphas_cumprod.double().numpy(), rel=6e-5)
    assert ours.prediction == ("v" if "prediction_type" in options else "eps")


def test_a_rescaled_table_is_that_of_the_paper_as_diffusers_computes_it():
    options: dict[str, Any] = TABLES["v"] | {"rescale_betas_zero_snr": True}
    ours = read_schedule(saved(DDIMScheduler(**options)))
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    theirs = torch.cumprod(1 - rescale_zero_terminal_snr(betas), dim=0).numpy()
    alphas = np.array([ours.level((i + 1) / 1000).alpha for i in range(1000)])
    # both in float64; their detour over betas costs about 1e-13 where alpha is near 0
    assert alphas**2 == pytest.approx(theirs, abs=1e-12)
    assert alphas[-1] == 0


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("steps", [7, 20])
def test_sigmas_and_times_of_euler_are_on_our_schedule(spacing: Any, steps: int):
    theirs: Any = EulerDiscreteScheduler(**TABLES["scaled_linear"], timestep_spacing=spacing)
    theirs.set_timesteps(steps)
    ours = read_schedule(saved(theirs))
    for sigma, time in zip(theirs.sigmas[:-1].tolist(), theirs.timesteps.tolist(), strict=True):
        # between entries they interpolate sigma and we the angle: they differ by the square of one
        # table step (.6 % in sigma), whole times only by float32
        level = ours.level((time + 1) / ours.entries)
        assert level.noise_ratio == pytest.approx(sigma, rel=1e-4)
        # only the first trained level is told; theirs at time 0 is ours
        assert ours.time(level) == pytest.approx(time, abs=1e-6)
        assert ours.time(ours.at_noise_ratio(sigma)) == pytest.approx(time, abs=0.02)


@pytest.mark.parametrize("steps", [5, 20])
def test_the_karras_ladder_is_the_formula_of_diffusers(steps: int):
    theirs: Any = EulerDiscreteScheduler(**TABLES["scaled_linear"], use_karras_sigmas=True)
    theirs.set_timesteps(steps)
    ours = read_schedule(saved(theirs))
    levels = ladder(ours, 1.0, steps, "karras")
    # float32 of theirs, raised to the seventh power
    sigmas = theirs.sigmas[:-1].double().numpy()
    assert [level.noise_ratio for level in levels] == pytest.approx(sigmas, rel=5e-5)
    # they interpolate log(sigma) between entries and we the angle, a fraction of an entry apart;
    # towards the first entry log(sigma) bends most
    times = theirs.timesteps.double().numpy()
    assert [ours.time(level) for level in levels] == pytest.approx(times, abs=0.1)


@pytest.mark.parametrize("steps", [5, 20])
def test_the_log_snr_ladder_is_the_exponential_one_of_diffusers(steps: int):
    theirs: Any = EulerDiscreteScheduler(**TABLES["scaled_linear"], use_exponential_sigmas=True)
    theirs.set_timesteps(steps)
    levels = ladder(read_schedule(saved(theirs)), 1.0, steps, "log_snr")
    sigmas = theirs.sigmas[:-1].double().numpy()
    assert [level.noise_ratio for level in levels] == pytest.approx(sigmas, rel=5e-5)


@pytest.mark.parametrize("shift", [1.0, 3.0, 0.7])
def test_every_entry_of_a_static_flow_is_diffusers_own(shift: float):
    theirs: Any = FlowMatchEulerDiscreteScheduler(shift=shift)
    ours = read_schedule(saved(theirs))
    assert ours == FlowSchedule(shift)
    for i, (sigma, time) in enumerate(
        zip(theirs.sigmas.tolist(), theirs.timesteps.tolist(), strict=True)
    ):
        level = ours.level(1 - i / 1000)
        # float32 of theirs
        assert level.sigma == pytest.approx(sigma, rel=1e-6)
        assert ours.time(level) == pytest.approx(time, rel=1e-6)


def test_the_shift_of_unipc_flows_is_diffusers_own():
    theirs: Any = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
    )
    theirs.set_timesteps(10)
    ours = read_schedule(saved(theirs))
    times = np.linspace(1, 1 / 1000, 11)[:-1]
    sigmas = theirs.sigmas[:-1].double().numpy()
    # they step back from sigma 1 by 1e-6, and store float32
    assert [ours.level(t).sigma for t in times] == pytest.approx(sigmas, abs=2e-6)


@pytest.mark.parametrize("tokens", [256, 1024, 4096, 6144])
@pytest.mark.parametrize("kind", ["exponential", "linear"])
def test_a_shift_that_depends_on_the_size_is_that_of_the_flux_pipeline(tokens: int, kind: Any):
    theirs: Any = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.4, max_shift=1.3, time_shift_type=kind
    )
    config = saved(theirs)
    pipeline: Any = pipeline_flux
    mu = pipeline.calculate_shift(tokens, 256, 4096, 0.4, 1.3)
    theirs.set_timesteps(sigmas=np.linspace(1, 0.05, 20), mu=mu)
    ours = read_schedule(config, image_tokens=tokens)
    found = [ours.level(t) for t in np.linspace(1, 0.05, 20)]
    # float32 of theirs
    sigmas = theirs.sigmas[:-1].double().numpy()
    assert [level.sigma for level in found] == pytest.approx(sigmas, rel=1e-6)
    times = theirs.timesteps.double().numpy()
    assert [ours.time(level) for level in found] == pytest.approx(times, rel=1e-6)


def test_flux_at_a_megapixel_starts_where_the_field_knows_it_to():
    # 1024² is 4096 tokens, mu 1.15; .5 becomes e^1.15 / (e^1.15 + 1) = .76
    config = saved(FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True))
    level = read_schedule(config, image_tokens=4096).level(0.5)
    assert level.sigma == pytest.approx(math.exp(1.15) / (math.exp(1.15) + 1), rel=1e-14)


@pytest.mark.parametrize("steps", [2, 4, 50])
def test_a_run_that_must_leave_from_a_terminal_level_has_diffusers_levels(steps: int):
    theirs: Any = FlowMatchEulerDiscreteScheduler(shift=2.5, shift_terminal=0.02)
    theirs.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))
    ours = ladder(read_schedule(saved(theirs)), 1.0, steps, "model")
    sigmas = theirs.sigmas[:-1].double().numpy()
    # float32 of theirs, of differences from 1
    assert [level.sigma for level in ours] == pytest.approx(sigmas, abs=3e-7)


def test_a_config_without_sizes_means_those_of_the_flux_pipeline():
    config = {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True}
    pipeline: Any = pipeline_flux
    ours = read_schedule(config, image_tokens=1000)
    assert isinstance(ours, FlowSchedule)
    assert ours.shift == pytest.approx(math.exp(pipeline.calculate_shift(1000)), rel=1e-14)
