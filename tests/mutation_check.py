"""Do the tests notice? Breaks the mathematics in one place at a time and runs its tests.

    python tests/mutation_check.py            every mutation; some minutes
    python tests/mutation_check.py samplers   those of one module

A mutation turns a constant, a sign or a comparison in a temporary copy of ``src``. It is killed when
a test fails and survives when all pass; a survivor means that a test is missing. The exit code is 1
when one survives. Not collected by pytest. Needs ``fork``, so not Windows.
"""

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ORACLE = "tests/oracle/test_samplers_against_diffusers.py"
TESTS = {
    "levels": ["tests/test_levels.py", "tests/oracle/test_schedules_against_diffusers.py"],
    "plan": ["tests/test_plan.py"],
    "denoiser": ["tests/test_denoiser.py"],
    "guidance": ["tests/test_guidance.py"],
    "samplers": ["tests/test_samplers.py", "tests/test_convergence.py", ORACLE],
    "noise": ["tests/test_noise.py"],
    "img2img": ["tests/test_img2img.py"],
    "models/attention": ["tests/test_attention.py"],
    "models/halves": ["tests/test_halves.py"],
}
HEAVY = (  # imported once for all runs
    "hypothesis.strategies",
    "diffusers.pipelines.flux.pipeline_flux",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "diffusers.schedulers",
)


@dataclass(frozen=True)
class Mutation:
    """One text of a module, which occurs once, and what it becomes."""

    module: str
    old: str
    new: str


MUTATIONS = [
    # levels, figures of a level
    Mutation("levels", "atan2(self.sigma, self.alpha)", "atan2(self.alpha, self.sigma)"),
    Mutation("levels", "self.alpha**2 / (self.alpha**2 +", "self.alpha / (self.alpha**2 +"),
    Mutation("levels", "math.log(self.sigma / self.alpha)", "math.log(self.alpha / self.sigma)"),
    # levels, flows
    Mutation("levels", "(1.0 + (self.shift - 1.0) * t)", "(1.0 + (self.shift + 1.0) * t)"),
    Mutation("levels", "(self.shift - (self.shift - 1.0)", "(self.shift + (self.shift - 1.0)"),
    Mutation("levels", "sigma = ratio / (1.0 + ratio)", "sigma = ratio / (1.1 + ratio)"),
    Mutation("levels", "mu = first + (last - first)", "mu = first - (last - first)"),
    Mutation("levels", "(image_tokens - int(low))", "(image_tokens - int(high))"),
    Mutation("levels", '("base_image_seq_len", 256)', '("base_image_seq_len", 250)'),
    Mutation("levels", '("max_image_seq_len", 4096)', '("max_image_seq_len", 4000)'),
    Mutation("levels", '("base_shift", 0.5)', '("base_shift", 0.4)'),
    Mutation("levels", '("max_shift", 1.15)', '("max_shift", 1.16)'),
    Mutation("levels", "(start - terminal) / (start -", "(start - terminal) / (1 -"),
    Mutation("levels", "start - factor * (start -", "start - factor * (1 -"),
    Mutation("levels", "0 < terminal < start", "0 < terminal"),
    Mutation("levels", "else math.exp(mu)", "else math.exp(-mu)"),
    # levels, tables
    Mutation("levels", "self.entries - 1.0, 0.0)", "self.entries - 0.0, 0.0)"),
    Mutation("levels", "self.entries - 1.0, 0.0)", "self.entries - 1.0, -1.0)"),
    Mutation("levels", "np.linspace(0.0, 1.0, len(self.angles))", "np.linspace(0.0, 0.999, len(self.angles))"),
    Mutation("levels", "(steps + 0.008) / 1.008", "(steps + 0.009) / 1.008"),
    Mutation("levels", "0.999)\n", "0.99)\n"),
    Mutation("levels", "math.sqrt(last), entries) ** 2", "math.sqrt(last), entries) ** 2.01"),
    Mutation("levels", "np.sqrt(np.cumprod(1.0 - betas))", "np.cumprod(1.0 - betas)"),
    Mutation("levels", "(alphas - alphas[-1]) * alphas[0]", "(alphas - alphas[-1]) * alphas[1]"),
    Mutation("levels", "np.concatenate([[0.0], np", "np.concatenate([[0.001], np"),
    Mutation("levels", "if alpha < 1e-12", "if alpha < 1e-18"),
    # levels, ladders
    Mutation("levels", "KARRAS_RHO = 7.0", "KARRAS_RHO = 6.0"),
    Mutation("levels", "NOISE_RATIO_CAP = 80.0", "NOISE_RATIO_CAP = 70.0"),
    Mutation("levels", "high / 4)", "high / 2)"),
    Mutation("levels", "(1 - i / count)", "(1 - i / (count + 1))"),
    Mutation("levels", "high * (low / high) ** steps", "high * (low / high) ** (0.98 * steps)"),
    # plan
    Mutation("plan", "max(4, round(over_all * start_t))", "max(3, round(over_all * start_t))"),
    Mutation("plan", "round(over_all * start_t)", "int(over_all * start_t + 0.9)"),
    Mutation("plan", "evaluations // 2 + 1", "(evaluations + 1) // 2"),
    Mutation("plan", "start.sigma < UNHEARD_SIGMA", "start.sigma <= UNHEARD_SIGMA"),
    Mutation("plan", "UNHEARD_SIGMA = 2.0**-24", "UNHEARD_SIGMA = 2.0**-10"),
    Mutation("plan", "schedule.level(1.0).alpha == 0", "schedule.level(1.0).alpha >= 0"),
    Mutation("plan", "if start_t > last_usable_t", "if start_t > last_usable_t + 1"),
    Mutation("plan", 'schedule.prediction == "eps"', 'schedule.prediction != "flow"'),
    Mutation("plan", "1.0 - 1.0 / schedule.entries", "1.0 - 2.0 / schedule.entries"),
    Mutation("plan", "start_t).sigma) if strength == 1", "start_t).sigma) if strength > 0.9"),
    Mutation("plan", "Level(0.0, schedule.level(start_t).sigma)", "Level(0.0, 1.0)"),
    Mutation("plan", "SOURCE_LOST_SHARE = 0.02", "SOURCE_LOST_SHARE = 0.021"),
    Mutation("plan", "strength < PROMPT_WEAK_STRENGTH", "strength <= PROMPT_WEAK_STRENGTH"),
    Mutation("plan", "> LONG_PROMPT_WORDS", ">= LONG_PROMPT_WORDS"),
    Mutation("plan", "< lowest * (1 - 1e-9)", "<= lowest * (1 + 1e-9)"),
    Mutation("plan", "not isinstance(schedule, FlowSchedule)", "isinstance(schedule, FlowSchedule)"),
    # denoiser
    Mutation("denoiser", "return (x - sigma * output) / alpha\n", "return (x + sigma * output) / alpha\n"),
    Mutation("denoiser", "(alpha / norm * x - sigma * output) / norm", "(alpha * x - sigma * output) / norm"),
    Mutation("denoiser", "(alpha / norm * x - norm * x0) / sigma", "(alpha / norm * x - x0) / sigma"),
    Mutation("denoiser", "(x - sigma * output) / (alpha + sigma)", "x - sigma * output"),
    Mutation("denoiser", "(x - (alpha + sigma) * x0) / sigma", "(x - x0) / sigma"),
    Mutation("denoiser", "self.scale != 1.0 and", "self.scale > 1.0 and"),
    Mutation("denoiser", "self.low.at_or_below(level)", "level.at_or_below(self.low)"),
    Mutation("denoiser", "level.at_or_below(self.high)", "self.high.at_or_below(level)"),
    Mutation("levels", "self.angle <= other.angle + ROUNDING", "self.angle < other.angle"),
    # guidance
    Mutation("guidance", "negative + row.guidance.scale *", "positive + row.guidance.scale *"),
    Mutation("guidance", "(positive - negative)", "(negative - positive)"),
    Mutation("guidance", "output * grow", "output"),
    Mutation("guidance", "wanted, row.guidance.patch) /", "output, row.guidance.patch) /"),
    Mutation("guidance", "squares.sum(dim=(1, 3)).sqrt()", "squares.sum(dim=(1, 3))"),
    Mutation("guidance", "(wanted.std() / output.std())", "(output.std() / wanted.std())"),
    Mutation("guidance", "phi * restored + (1 - phi) * output", "(1 - phi) * restored + phi * output"),
    Mutation("guidance", "estimates[len(rows) :]", "estimates[: len(halves)]"),
    Mutation("guidance", "and row.guidance.acts_at(row.level)", "and row.guidance.scale != 1"),
    # samplers, shared
    Mutation("samplers", "(nxt.sigma / cur.sigma) * (x - cur.alpha * x0)", "(nxt.sigma / cur.sigma) * (x - nxt.alpha * x0)"),
    Mutation("samplers", "nxt.sigma * cur.alpha / (nxt.alpha", "nxt.sigma / (nxt.alpha"),
    Mutation("samplers", "x0 + (h / (2 * h_past)) * (x0 - past[0])", "x0 + (h_past / (2 * h)) * (x0 - past[0])"),
    Mutation("samplers", "x0 + (h / (2 * h_past))", "x0 - (h / (2 * h_past))"),
    Mutation("samplers", "past is None or nxt.sigma == 0", "past is None"),
    Mutation("samplers", "x0 + (h / (2 * h_past))", "x0 + (min(h, 1) / (2 * h_past))"),
    # samplers, with ddim, ancestral, lcm
    Mutation("samplers", "fresh = eta**2 *", "fresh = eta *"),
    Mutation("samplers", "(1 - _shrink(cur, nxt) ** 2)", "(1 - _shrink(cur, nxt))"),
    Mutation("samplers", "math.sqrt(1 - fresh) * eps", "(1 - fresh) * eps"),
    Mutation("samplers", "math.sqrt(fresh) * noise()", "fresh * noise()"),
    Mutation("samplers", "if eta == 0 or nxt.sigma == 0", "if eta == 0"),
    Mutation("samplers", "ddim(x, levels, noise, eta=1.0)", "ddim(x, levels, noise, eta=0.99)"),
    Mutation("samplers", "nxt.alpha * x0 + nxt.sigma * noise()", "nxt.alpha * x0 + cur.sigma * noise()"),
    # samplers, heun
    Mutation("samplers", "first_euler = len(levels) - 2", "first_euler = len(levels) - 3"),
    Mutation("samplers", "evaluations % 2 == 0", "evaluations % 2 == 1"),
    Mutation("samplers", "eps_ahead = (ahead - nxt.alpha * x0_ahead)", "eps_ahead = (x - nxt.alpha * x0_ahead)"),
    Mutation("samplers", "(nxt.alpha - cur.alpha) * (x0 + x0_ahead) / 2", "(nxt.alpha - cur.alpha) * x0"),
    Mutation("samplers", "(nxt.sigma - cur.sigma) * (eps + eps_ahead) / 2", "(nxt.sigma - cur.sigma) * eps"),
    # samplers, dpmpp_2m and its sde
    Mutation("samplers", "x = _carry(x, _extrapolated(x0, past, cur, nxt), cur, nxt)", "x = _carry(x, x0, cur, nxt)"),
    Mutation("samplers", "x = (nxt.sigma / cur.sigma) * q * x", "x = (nxt.sigma / cur.sigma) * x"),
    Mutation("samplers", "nxt.alpha * (1 - q * q) * best", "nxt.alpha * (1 - q) * best"),
    Mutation("samplers", "math.sqrt(1 - q * q) * noise()", "math.sqrt(1 - q) * noise()"),
    # samplers, unipc
    Mutation("samplers", "base + change / 2, prev", "base + change / 3, prev"),
    Mutation("samplers", "past = [*past[-1:], (x0, cur)]", "past = [(x0, cur)]"),
    Mutation("samplers", "        before = x\n", "        before = x if before is None else before\n"),
    Mutation("samplers", "- prev.log_noise_ratio) / -h", "- prev.log_noise_ratio) / h"),
    Mutation("samplers", "phi_3 = phi_2 / -h - 0.5", "phi_3 = phi_2 / -h - 0.51"),
    Mutation("samplers", "2 * phi_3 / phi_1", "phi_3 / phi_1"),
    Mutation("samplers", "(b_2 - b_1) / (r - 1)", "(b_2 - b_1) / (r + 1)"),
    Mutation("samplers", "rho_new = b_1 - rho_old", "rho_new = b_1 + rho_old"),
    Mutation("samplers", "if prev.alpha == 0:", "if prev.alpha < 0:"),
    Mutation("samplers", "len(past) == 1 or past[0][1].alpha == 0", "len(past) == 1"),
    # noise and the loop
    Mutation("noise", "manual_seed(seed)", "manual_seed(seed // 2)"),
    Mutation("noise", "dtype=torch.float32", "dtype=None"),
    Mutation("img2img", "start.alpha * job.latents + start.sigma * noise()", "start.alpha * job.latents + start.alpha * noise()"),
    Mutation("img2img", "draws_of(job.seed,", "draws_of(job.seed + index,"),
    Mutation("img2img", "one.query.x.shape == active[0].query.x.shape", "one.query.x.numel() == active[0].query.x.numel()"),
    Mutation("img2img", "len(active) < rows_per_call", "len(active) <= rows_per_call"),
    Mutation("img2img", "active.remove(one)", "active.pop(0)"),
    # attention in blocks, and what both halves share
    Mutation("models/attention", "width**-0.5 * math", "width**-0.4 * math"),
    Mutation("models/attention", "math.log2(math.e)", "1.4"),
    Mutation("models/attention", "key - key.mean(-2, keepdim=True)", "key - 0"),
    Mutation("models/attention", "said[..., width] = 1", "said[..., width] = 1.02"),
    Mutation("models/attention", "RANGE = 64.0", "RANGE = math.inf"),
    Mutation("models/attention", "if not all(in_range", "if not any(in_range"),
    Mutation("models/halves", "seen < i", "seen <= i"),
    Mutation("models/halves", "elif twins:", "elif not twins:"),
    Mutation("models/halves", "row.level.alpha, row.level.sigma", "0.0, 0.0"),
    Mutation("models/halves", "with self._one_call:", "if True:"),
]  # fmt: skip


def passes(source: Path, tests: list[str]) -> bool:
    """Whether the tests pass with ``source`` in place of the package's own code."""
    child = os.fork()  # what is imported here already is not paid for again
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.dup2(nowhere, sys.stderr.fileno())
        os.chdir(ROOT)
        sys.path.insert(0, str(source))
        os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, 1):  # neither passed nor failed: the check itself is broken
        raise SystemExit(f"pytest ended with {code} on {' '.join(tests)}")
    return code == 0


def survives(mutation: Mutation) -> bool:
    """Whether every test of the module still passes after the mutation."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src" / "underpaint", source / "underpaint")
        module = source / "underpaint" / f"{mutation.module}.py"
        text = module.read_text(encoding="utf-8")
        if text.count(mutation.old) != 1:
            raise SystemExit(f"{mutation.old!r} must occur once in {module.name}; mend the list")
        module.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        return passes(source, TESTS[mutation.module])


def main(modules: list[str]) -> int:
    """Runs the mutations of these modules, or all; returns how many survived."""
    for heavy in HEAVY:
        import_module(heavy)
    sys.dont_write_bytecode = True
    chosen = [one for one in MUTATIONS if not modules or one.module in modules]
    for module in sorted({one.module for one in chosen}):
        if not passes(ROOT / "src", TESTS[module]):
            raise SystemExit(f"the tests of {module} fail without any mutation")
    survivors = 0
    for mutation in chosen:
        survived = survives(mutation)
        survivors += survived
        fate = "SURVIVED" if survived else "killed  "
        line = f"{fate} {mutation.module:9} {mutation.old.strip()}  ->  {mutation.new.strip()}"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(chosen) - survivors} of {len(chosen)} killed\n")
    return survivors


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
