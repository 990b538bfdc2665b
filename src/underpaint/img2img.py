"""The core: latents of the source in, repainted latents out, for any number of pictures."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from underpaint.denoiser import UNGUIDED, Guidance, Prompt, Row
from underpaint.errors import Cancelled
from underpaint.levels import Level
from underpaint.noise import Variation, draws_of
from underpaint.plan import Plan
from underpaint.samplers import Conversation, Query, Sampler


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One picture to repaint.

    Attributes:
        latents: The source's, [C, h, w] float32.
        plan: Its start and levels.
        sampler: How to walk them.
        seed: Names the noise.
        prompt: What to steer towards.
        negative: What to steer away from, or None.
        guidance: How strongly, and where.
        variation: What turns the noise towards another seed's, or None.
    """

    latents: Tensor
    plan: Plan
    sampler: Sampler
    seed: int
    prompt: Prompt
    negative: Prompt | None = None
    guidance: Guidance = UNGUIDED
    variation: Variation | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """Job ``index`` has joined; the network has not been asked yet."""

    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Stepped:
    """The network was evaluated for job ``index``: the estimate ``x0`` at ``level``."""

    index: int
    level: Level
    x0: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Repainted:
    """Job ``index`` is done: its ``latents`` after ``evaluations`` of the network."""

    index: int
    latents: Tensor
    evaluations: int


@dataclass(slots=True, eq=False)
class _Active:
    index: int
    job: Job
    conversation: Conversation
    query: Query
    evaluations: int = 0

    @property
    def row(self) -> Row:
        job = self.job
        return Row(self.query.x, self.query.level, job.prompt, job.negative, job.guidance)


def repaint(
    jobs: Iterable[Job],
    denoise: Callable[[Sequence[Row]], list[Tensor]],
    *,
    rows_per_call: int = 1,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Begun | Stepped | Repainted]:
    """Repaints every job; up to ``rows_per_call`` of one shape share a network call.

    Jobs are taken as room comes free, so pictures with other step counts leave and join in mid-run.

    Args:
        jobs: The pictures, drawn one by one.
        denoise: A ``Denoiser``, guided; rows in, x0 estimates out.
        rows_per_call: Pictures that may share a network call.
        cancelled: Asked before every network call.

    Raises:
        Cancelled: ``cancelled()`` was true before a network call.
    """
    coming = enumerate(jobs)
    active: list[_Active] = []
    while True:
        while len(active) < rows_per_call and (arrival := next(coming, None)) is not None:
            index, job = arrival
            yield Begun(index)
            if job.plan.evaluations == 0:
                yield Repainted(index, job.latents, 0)
            else:
                active.append(_begin(index, job))
        if not active:
            return
        if cancelled():
            raise Cancelled(
                "the run was cancelled between two steps; what was finished before is whole"
            )
        group = [one for one in active if one.query.x.shape == active[0].query.x.shape]
        estimates = denoise([one.row for one in group])
        for one, x0 in zip(group, estimates, strict=True):
            one.evaluations += 1
            yield Stepped(one.index, one.query.level, x0)
            try:
                one.query = one.conversation.send(x0)
            except StopIteration as end:
                active.remove(one)
                yield Repainted(one.index, end.value, one.evaluations)


def _begin(index: int, job: Job) -> _Active:
    noise = draws_of(job.seed, tuple(job.latents.shape), job.variation)
    start = job.plan.start
    x = start.alpha * job.latents + start.sigma * noise()
    conversation = job.sampler(x, job.plan.levels, noise)
    return _Active(index, job, conversation, next(conversation))
