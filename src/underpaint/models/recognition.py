"""What a single ``.safetensors`` file holds, from its key names and shapes; no torch, no weights.

Original layouts only: those of Stability's and CompVis' repositories, which are what people share.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from underpaint.errors import ModelError, Notice
from underpaint.models.headers import Header
from underpaint.request import Told

CORE = "model.diffusion_model."
# The width of the words that cross attention reads tells the families of UNets apart.
UNETS: Mapping[int, str] = MappingProxyType(
    {768: "sd-1", 1024: "sd-2", 2048: "sdxl", 1280: "sdxl-refiner"}
)
_ATTENTION = re.compile(r"\.attn2\.to_k\.weight$")
_BLOCKS = re.compile(r"joint_blocks\.(\d+)\.")

# What each part of a whole checkpoint is called in the file, by variant.
PARTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "sd-1": {"unet": CORE, "vae": "first_stage_model.", "text_encoder": "cond_stage_model."},
        "sd-2": {"unet": CORE, "vae": "first_stage_model.", "text_encoder": "cond_stage_model."},
        "sdxl": {
            "unet": CORE,
            "vae": "first_stage_model.",
            "text_encoder": "conditioner.embedders.0.",
            "text_encoder_2": "conditioner.embedders.1.",
        },
        "sdxl-refiner": {
            "unet": CORE,
            "vae": "first_stage_model.",
            "text_encoder_2": "conditioner.embedders.0.",
        },
        "sd-3-medium": {
            "transformer": CORE,
            "vae": "first_stage_model.",
            "text_encoder": "text_encoders.clip_l.",
            "text_encoder_2": "text_encoders.clip_g.",
        },
        "sd-3.5-medium": {
            "transformer": CORE,
            "vae": "first_stage_model.",
            "text_encoder": "text_encoders.clip_l.",
            "text_encoder_2": "text_encoders.clip_g.",
        },
        "sd-3.5-large": {
            "transformer": CORE,
            "vae": "first_stage_model.",
            "text_encoder": "text_encoders.clip_l.",
            "text_encoder_2": "text_encoders.clip_g.",
        },
    }
)
LONG_READER = "text_encoders.t5xxl."  # SD3 files may hold T5 as well


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file is.

    Attributes:
        variant: The name of its small configuration in ``configs``.
        parts: The prefix of each part that it holds.
        missing: The parts that it lacks.
        prediction: What the file itself says that its network predicts, None where it says nothing.
        zero_snr: Whether it says that its last level is pure noise.
        notices: What was assumed.
    """

    variant: str
    parts: Mapping[str, str]
    missing: tuple[str, ...]
    prediction: Told | None
    zero_snr: bool
    notices: tuple[Notice, ...]


def recognise(header: Header) -> Recognised:
    """The variant of an original-layout checkpoint.

    Raises:
        ModelError: it is no whole checkpoint of an img2img model; the sentence says what it is.
    """
    shapes = header.shapes
    variant = _of_unet(header) or _of_transformer(header)
    if variant is None:
        raise ModelError(f"{header.path.name} {_something_else(shapes)}")
    parts = dict(PARTS[variant])
    if any(name.startswith(LONG_READER) for name in shapes):
        parts["text_encoder_3"] = LONG_READER
    held = {role: prefix for role, prefix in parts.items() if _starts(shapes, prefix)}
    prediction, zero_snr = _told(header)
    return Recognised(
        variant=variant,
        parts=held,
        missing=tuple(role for role in parts if role not in held),
        prediction=prediction,
        zero_snr=zero_snr,
        notices=_assumed(header, variant, prediction),
    )


def _of_unet(header: Header) -> str | None:
    first = header.shapes.get(f"{CORE}input_blocks.0.0.weight")
    if first is None:
        return None
    match first[1]:
        case 9:
            raise ModelError(
                f"{header.path.name} is made for inpainting, its network also reads a mask; give the "
                "model that it was made from, or use a tool for inpainting"
            )
        case 8:
            raise ModelError(
                f"{header.path.name} edits by instruction (InstructPix2Pix) and has no strength; use it "
                "with a tool for edits, or give an img2img model here"
            )
        case _:
            pass
    widths = {shape[1] for name, shape in header.shapes.items() if _ATTENTION.search(name)}
    known = [UNETS[width] for width in sorted(widths) if width in UNETS]
    if len(known) != 1:
        raise ModelError(
            f"{header.path.name} holds a UNet whose words are {sorted(widths)} wide, which is no "
            f"family that is known ({', '.join(UNETS.values())})"
        )
    return known[0]


def _of_transformer(header: Header) -> str | None:
    blocks = [int(found[1]) for name in header.shapes if (found := _BLOCKS.search(name))]
    if not blocks:
        return None
    if max(blocks) + 1 >= 38:
        return "sd-3.5-large"
    dual = any(".x_block.attn2." in name for name in header.shapes)
    return "sd-3.5-medium" if dual else "sd-3-medium"


def _told(header: Header) -> tuple[Told | None, bool]:
    """What marker keys and metadata say about the prediction, and about a last level of pure noise."""
    said = header.metadata.get("modelspec.prediction_type", "").lower()
    marked = "v_pred" in header.shapes
    if marked or said.startswith("v"):
        return "v", "ztsnr" in header.shapes
    return ("eps" if said.startswith("eps") else None), "ztsnr" in header.shapes


def _assumed(header: Header, variant: str, prediction: Told | None) -> tuple[Notice, ...]:
    if variant != "sd-2" or prediction is not None:
        return ()
    message = (
        f"{header.path.name} cannot tell whether it predicts v (768 px) or noise (the 512 px base); "
        "v is assumed, say prediction=eps if its colours are wrong"
    )
    return (Notice("prediction-assumed", message),)


def _starts(names: Iterable[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)


_WHOLE = "give the whole model, which holds one"
_OTHER = "which changes or guides another model; give that model here"
# What else people share, by a part of its key names; the first that fits.
_ELSE: tuple[tuple[str, str], ...] = (
    (r"(^|\.)lora_|\.lora[._]", f"is a LoRA, {_OTHER}"),
    (r"^control_model\.|^controlnet_", f"is a ControlNet, {_OTHER}"),
    (
        r"double_blocks\.",
        (
            "is a FLUX transformer in the original layout; give FLUX.1 as a folder in the diffusers "
            "layout, which also holds its text encoders and autoencoder"
        ),
    ),
    (r"^(input_blocks|down_blocks|model\.diffusion_model)\.", f"is a network alone; {_WHOLE}"),
    (
        r"^(first_stage_model\.)?(encoder|decoder)\.(conv_in|down|up)",
        f"is an autoencoder; {_WHOLE}",
    ),
    (r"text_model\.|^encoder\.block\.", f"is a text encoder; {_WHOLE}"),
    (r"^(emb_params|clip_l|clip_g|string_to_param)$", f"is a textual inversion, {_OTHER}"),
)


def _something_else(names: Iterable[str]) -> str:
    """What a file is that is no whole checkpoint, and where it goes."""
    every = list(names)
    for pattern, sentence in _ELSE:
        if any(re.search(pattern, name) for name in every):
            return sentence
    return (
        "is of no kind that is known; give a checkpoint of Stable Diffusion 1, 2, XL or 3 in its "
        "original layout, or a folder in the diffusers layout"
    )
