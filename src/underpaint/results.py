"""What an engine says while it works, and what it hands over: events and results."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from underpaint import pixels
from underpaint.errors import Notice
from underpaint.fidelity import Comparison
from underpaint.geometry import Size
from underpaint.plan import Plan
from underpaint.recipe import Recipe
from underpaint.request import Request


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A finished picture and how it was made."""

    image: Image.Image
    recipe: Recipe

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a person should know about it."""
        return self.recipe.plan.notices

    @property
    def fidelity(self) -> Comparison | None:
        """How far it strayed from its source; every engine measures it."""
        return self.recipe.fidelity

    def save(self, path: str | Path, *, overwrite: bool = False, metadata: bool = True) -> Path:
        """Writes the picture, in the format of the name's ending, and returns where.

        Raises:
            OutputError: the ending is unknown, the place cannot be written to, or a file is there.
        """
        target = Path(path)
        data = self.encode(pixels.suffix_of(target), metadata=metadata)
        pixels.write_atomically(target, data, overwrite=overwrite)
        return target

    def encode(self, suffix: str, *, metadata: bool = True) -> bytes:
        """The picture as a file's bytes, in the format of ``suffix`` (".png", ".jpg", …).

        Raises:
            OutputError: the format is unknown or cannot hold a picture of this size.
        """
        if not metadata:
            return pixels.encode(self.image, suffix)
        return pixels.encode(
            self.image, suffix, xmp=self.recipe.to_xmp(), infotext=self.recipe.to_infotext()
        )

    def lost_in(self, suffix: str, *, metadata: bool = True) -> tuple[Notice, ...]:
        """What ``encode`` and ``save`` leave out of a file of that format."""
        infotext = self.recipe.to_infotext() if metadata else None
        return pixels.encoding_notices(self.image, suffix, infotext=infotext)

    def _repr_png_(self) -> bytes:
        return pixels.encode(self.image, ".png")


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """Picture ``index`` is under way: every None of its request is resolved."""

    index: int
    request: Request
    plan: Plan
    working_size: Size
    size: Size


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Evaluation ``evaluation`` of ``evaluations`` is done for picture ``index``."""

    index: int
    evaluation: int
    evaluations: int
    _preview: Callable[[], Image.Image] = field(repr=False)

    def preview(self) -> Image.Image:
        """A rough small picture of where the run stands; costs nothing unless called."""
        return self._preview()


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """Picture ``index`` is done, after ``evaluations`` of the network."""

    index: int
    result: Result
    evaluations: int


Event = Planned | Step | Finished
