"""Pictures between files, arrays and tensors: reading, framing, encoding and saving.

Framing alone needs torch; its names are imported when they are first used, so that a command which
only reads or writes a file answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from underpaint.pixels.encoding import encode, encoding_notices, suffix_of
from underpaint.pixels.metadata import read_metadata
from underpaint.pixels.reading import LIMIT_PX, Picture, Source, read
from underpaint.pixels.saving import check_destination, check_source_stays, write_atomically

if TYPE_CHECKING:
    from underpaint.pixels.framing import Frame, frame, own_pixels, to_image, unframe

__all__ = [
    "LIMIT_PX",
    "Frame",
    "Picture",
    "Source",
    "check_destination",
    "check_source_stays",
    "encode",
    "encoding_notices",
    "frame",
    "own_pixels",
    "read",
    "read_metadata",
    "suffix_of",
    "to_image",
    "unframe",
    "write_atomically",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'underpaint.pixels' has no attribute {name!r}")
    return getattr(import_module("underpaint.pixels.framing"), name)
