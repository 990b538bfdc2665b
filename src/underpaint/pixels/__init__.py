"""Pictures between files, arrays and tensors: reading, framing, encoding and saving."""

from underpaint.pixels.encoding import encode, encoding_notices, suffix_of
from underpaint.pixels.framing import Frame, frame, own_pixels, to_image, unframe
from underpaint.pixels.metadata import read_metadata
from underpaint.pixels.reading import LIMIT_PX, Picture, Source, read
from underpaint.pixels.saving import check_destination, write_atomically

__all__ = [
    "LIMIT_PX",
    "Frame",
    "Picture",
    "Source",
    "check_destination",
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
