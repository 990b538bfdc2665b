"""What a single ``.safetensors`` or ``.gguf`` file holds, from its key names and shapes; no torch, no weights.

Original layouts only: those of Stability's and CompVis' repositories, which are what people share.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from underpaint.errors import ModelError, Notice
from underpaint.models.distilled import named
from underpaint.models.headers import GGUF_ENDING, Header
from underpaint.request import Told

CORE = "model.diffusion_model."
# The width of the words that cross attention reads tells the families of UNets apart.
UNETS: Mapping[int, str] = MappingProxyType(
    {768: "sd-1", 1024: "sd-2", 2048: "sdxl", 1280: "sdxl-refiner"}
)
_ATTENTION = re.compile(r"\.attn2\.to_k\.weight$")
_BLOCKS = re.compile(r"joint_blocks\.(\d+)\.")
# What single files of the first two and the last two of these hold: Playground 2.5, CosXL.
_EDM_MARKS = frozenset({"edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min"})
WHOLE_NUMBERS = frozenset({"U8", "I8"})

LONG_READER = "text_encoders.t5xxl."  # SD3 files may hold T5 as well
_FLUX = {  # as ComfyUI saves it whole; its makers' own file is the bare transformer
    "transformer": CORE,
    "vae": "vae.",
    "text_encoder": "text_encoders.clip_l.",
    "text_encoder_2": LONG_READER,
}
_WORDS, _SGM_WORDS = "cond_stage_model.", "conditioner.embedders.0."  # before SDXL, and since
# What each part of a whole checkpoint is called in the file, by variant.
PARTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "sd-1": {"unet": CORE, "vae": "first_stage_model.", "text_encoder": _WORDS},
        "sd-2": {"unet": CORE, "vae": "first_stage_model.", "text_encoder": _WORDS},
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
        "flux-dev": _FLUX,
        "flux-schnell": _FLUX,
    }
)
FLUX_CHANNELS = (64,)  # 16 of the latents, packed 2x2; its relatives read more beside them


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file is.

    Attributes:
        variant: The name of its small configuration in ``configs``.
        parts: The prefix of each part that it holds.
        missing: The parts that it lacks.
        prediction: What its network predicts by its own word, or must be assumed to; None where that goes without saying.
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
    variant = _of_unet(header) or _of_sd3(header) or _of_flux(header)
    if variant is None:
        raise ModelError(f"{header.path.name} {_something_else(shapes)}")
    check_numbers(header)
    if header.path.suffix == GGUF_ENDING and not variant.startswith("flux"):
        raise ModelError(
            f"{header.path.name} is a GGUF of {variant}, and of those FLUX.1 alone is read; give its "
            ".safetensors version"
        )
    parts = dict(PARTS[variant])
    if parts.get("text_encoder") == _WORDS and not _starts(shapes, _WORDS):
        parts["text_encoder"] = _SGM_WORDS
    if "transformer" in parts:
        parts["transformer"] = _core(shapes)
    if variant.startswith("sd-3") and _starts(shapes, LONG_READER):
        parts["text_encoder_3"] = LONG_READER
    held = {role: prefix for role, prefix in parts.items() if _starts(shapes, prefix)}
    prediction, zero_snr = _told(header)
    notices: tuple[Notice, ...] = ()
    if variant == "sd-2" and prediction is None:
        prediction = _likely(header)
        notices = (_assumed(header, prediction),)
    return Recognised(
        variant=variant,
        parts=held,
        missing=tuple(role for role in parts if role not in held),
        prediction=prediction,
        zero_snr=zero_snr,
        notices=notices,
    )


def _of_unet(header: Header) -> str | None:
    first = header.shapes.get(f"{CORE}input_blocks.0.0.weight")
    if first is None:
        return None
    if not header.shapes.keys().isdisjoint(_EDM_MARKS):
        raise ModelError(
            f"{header.path.name} was trained on EDM's levels (Playground 2.5, CosXL), which are not read "
            "yet; give a model of Stable Diffusion 1, 2 or XL"
        )
    if any(".time_stack." in name for name in header.shapes):
        raise ModelError(
            f"{header.path.name} is Stable Video Diffusion, which makes videos of a picture; give a model of Stable "
            "Diffusion 1, 2 or XL"
        )
    match first[1:2]:
        case (4,):
            pass
        case (9,):
            raise ModelError(
                f"{header.path.name} is made for inpainting, its network also reads a mask; give the "
                "model that it was made from, or use a tool for inpainting"
            )
        case (8,):
            raise ModelError(
                f"{header.path.name} edits by instruction (InstructPix2Pix) and has no strength; use it "
                "with a tool for edits, or give an img2img model here"
            )
        case _:
            raise ModelError(
                f"{header.path.name} holds a UNet that reads more than the picture (depth maps, small pictures to "
                "enlarge); give the model that it was made from"
            )
    widths = {
        shape[-1] for name, shape in header.shapes.items() if _ATTENTION.search(name) and shape
    }
    known = [UNETS[width] for width in sorted(widths) if width in UNETS]
    if len(known) != 1:
        raise ModelError(
            f"{header.path.name} holds a UNet whose words are {sorted(widths)} wide, which is no "
            f"family that is known ({', '.join(UNETS.values())})"
        )
    if f"{CORE}time_embed.cond_proj.weight" in header.shapes:
        raise ModelError(
            f"{header.path.name} is an LCM whose network reads the guidance scale, which single files are not "
            "read for; give it as a folder in the diffusers layout"
        )
    if not known[0].startswith("sdxl") and _starts(header.shapes, f"{CORE}label_emb."):
        raise ModelError(
            f"{header.path.name} is Stable Diffusion unCLIP, whose network also reads what another picture shows, which is "
            "not done here; give Stable Diffusion 2.1"
        )
    return known[0]


def _of_sd3(header: Header) -> str | None:
    core = _core(header.shapes)
    names = [name.removeprefix(core) for name in header.shapes if name.startswith(core)]
    blocks = [int(found[1]) for name in names if (found := _BLOCKS.match(name))]
    if not blocks:
        return None
    if max(blocks) + 1 >= 38:
        return "sd-3.5-large"
    dual = any(".x_block.attn2." in name for name in names)
    return "sd-3.5-medium" if dual else "sd-3-medium"


def _of_flux(header: Header) -> str | None:
    shapes, core = header.shapes, _core(header.shapes)
    needed = ("double_blocks.0.img_attn.qkv.weight", "vector_in.in_layer.weight", "img_in.weight")
    if not all(core + name in shapes for name in needed):
        return None
    if shapes[f"{core}img_in.weight"][1:] != FLUX_CHANNELS:
        raise ModelError(
            f"{header.path.name} is a FLUX.1 whose network reads more than the picture (Fill, Canny, "
            "Depth); give FLUX.1 dev or schnell, or use it with a tool that is made for it"
        )
    told = (header.path.stem, *header.metadata.values())
    if any("kontext" in text.lower() for text in told):  # nothing else tells it from dev
        raise ModelError(
            f"{header.path.name} is FLUX.1 Kontext by its name, which edits by instruction and has no "
            "strength; use it with a tool for edits, or rename it if it is none"
        )
    return "flux-dev" if f"{core}guidance_in.in_layer.weight" in shapes else "flux-schnell"


def _core(names: Iterable[str]) -> str:
    """The prefix of a transformer: a whole checkpoint's, or none where it is alone."""
    return CORE if _starts(names, CORE) else ""


def check_numbers(header: Header) -> None:
    """Makes sure that weights are floating-point numbers.

    Raises:
        ModelError: they are quantised to whole ones, which only their own tools can read.
    """
    for name, precision in header.precisions.items():
        if name.endswith(".weight") and precision in WHOLE_NUMBERS:
            raise ModelError(
                f"{header.path.name} is quantised to whole numbers ({name[:80]} is in {precision}), which "
                "is not read here; give its version in 8- or 16-bit floating point"
            )


def _told(header: Header) -> tuple[Told | None, bool]:
    """What marker keys and metadata say about the prediction, and about a last level of pure noise."""
    said = header.metadata.get("modelspec.prediction_type", "").lower()
    marked = "v_pred" in header.shapes
    if marked or said.startswith("v"):
        return "v", "ztsnr" in header.shapes
    return ("eps" if said.startswith("eps") else None), "ztsnr" in header.shapes


def _likely(header: Header) -> Told:
    """What an SD 2 that says nothing will predict: its base and SD Turbo, made at 512 px, noise; the others v."""
    told = f"{header.path.stem} {header.metadata.get('modelspec.resolution', '')}"
    is_base = re.search(r"(?<!\d)512(?!\d)", told) or named(header.path.stem) == "turbo"
    return "eps" if is_base else "v"


def _assumed(header: Header, likely: Told) -> Notice:
    message = (
        f"{header.path.name} cannot tell whether it predicts v (768 px) or noise (the 512 px base, Turbo); "
        f"{likely} is assumed, say prediction={'v' if likely == 'eps' else 'eps'} if its colours are wrong"
    )
    return Notice("prediction-assumed", message)


def _starts(names: Iterable[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)


_WHOLE = "give the whole model, which holds one"
_OTHER = "which changes or guides another model; give that model here"
# What else people share, by a part of its key names; the first that fits.
_ELSE: tuple[tuple[str, str], ...] = (
    (r"(^|\.)lora_|\.lora[._]", f"is a LoRA, {_OTHER}"),
    (r"^control_model\.|^controlnet_", f"is a ControlNet, {_OTHER}"),
    (
        r"distilled_guidance_layer\.",
        "is Chroma in one file; give Chroma as a folder in the diffusers layout",
    ),
    (
        r"double_stream_modulation_img\.",
        "is FLUX.2, which takes the picture whole and has no strength; use it with a tool for edits",
    ),
    (r"double_blocks\.", "is a relative of FLUX.1 that is not known; give FLUX.1 dev or schnell"),
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
        "is of no kind that is known; give a checkpoint of Stable Diffusion 1, 2, XL or 3 or FLUX.1 in its "
        "original layout, or a folder in the diffusers layout"
    )
