"""The families of models: what each is made of, and what suits it; no torch.

A family is found from a checkpoint's own JSON. Only the (library, class) pairs listed here are ever
loaded, so a ``model_index.json`` cannot name code to run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from underpaint.errors import ModelError
from underpaint.request import SamplerName

Classes = frozenset[tuple[str, str]]

UNET: Classes = frozenset({("diffusers", "UNet2DConditionModel")})
AUTOENCODERS: Classes = frozenset(
    {("diffusers", "AutoencoderKL"), ("diffusers", "AutoencoderTiny")}
)
CLIP: Classes = frozenset({("transformers", "CLIPTextModel")})
PROJECTED_CLIP: Classes = frozenset({("transformers", "CLIPTextModelWithProjection")})
CLIP_WORDS: Classes = frozenset(
    {("transformers", "CLIPTokenizer"), ("transformers", "CLIPTokenizerFast")}
)
T5: Classes = frozenset({("transformers", "T5EncoderModel")})
T5_WORDS: Classes = frozenset(
    {("transformers", "T5TokenizerFast"), ("transformers", "T5Tokenizer")}
)
QWEN_WORDS: Classes = frozenset(
    {("transformers", "Qwen2Tokenizer"), ("transformers", "Qwen2TokenizerFast")}
)


@dataclass(frozen=True, slots=True)
class Family:
    """What the models of one kind have in common.

    Attributes:
        name: Its id, in recipes and on the command line.
        adapter: The module of ``underpaint.models`` that feeds its networks.
        core: The role that denoises: ``unet`` or ``transformer``.
        roles: The (library, class) pairs that each role may have.
        optional: The roles that a checkpoint may lack.
        native_px: The side of the square that it was trained at, where the checkpoint does not say.
        seen_area: The least and the largest picture area, in pixels, where its makers name them.
        guidance_scale: What suits it.
        sampler: What suits it.
        steps_over_all: Steps of a run at strength 1.
        distilled_steps: Those of its distilled models, and the times that they were taught, where they
            are not what is usual for that distillation.
        guided_patch: The cells a side of the patches whose length guidance leaves alone; 0 for none.
    """

    name: str
    adapter: str
    core: str
    roles: Mapping[str, Classes]
    optional: frozenset[str] = frozenset()
    native_px: int = 512
    seen_area: tuple[int, int] | None = None
    guidance_scale: float = 7.5
    sampler: SamplerName = "dpmpp_2m"
    steps_over_all: int = 20
    distilled_steps: int | None = None
    guided_patch: int = 0


_STABLE_DIFFUSION = Family(
    name="stable-diffusion",
    adapter="stable_diffusion",
    core="unet",
    roles={"unet": UNET, "vae": AUTOENCODERS, "text_encoder": CLIP, "tokenizer": CLIP_WORDS},
)
_XL_ROLES = {
    "unet": UNET,
    "vae": AUTOENCODERS,
    "text_encoder": CLIP,
    "tokenizer": CLIP_WORDS,
    "text_encoder_2": PROJECTED_CLIP,
    "tokenizer_2": CLIP_WORDS,
}
_XL = Family(
    name="stable-diffusion-xl",
    adapter="stable_diffusion_xl",
    core="unet",
    roles=_XL_ROLES,
    native_px=1024,
    guidance_scale=5.0,  # the default of diffusers' img2img for it
)
_XL_REFINER = Family(
    name="stable-diffusion-xl-refiner",
    adapter="stable_diffusion_xl",
    core="unet",
    roles=_XL_ROLES,
    optional=frozenset({"text_encoder", "tokenizer"}),
    native_px=1024,
    guidance_scale=5.0,
)
_SD3 = Family(
    name="stable-diffusion-3",
    adapter="stable_diffusion_3",
    core="transformer",
    roles={
        "transformer": frozenset({("diffusers", "SD3Transformer2DModel")}),
        "vae": AUTOENCODERS,
        "text_encoder": PROJECTED_CLIP,
        "tokenizer": CLIP_WORDS,
        "text_encoder_2": PROJECTED_CLIP,
        "tokenizer_2": CLIP_WORDS,
        "text_encoder_3": T5,
        "tokenizer_3": T5_WORDS,
    },
    optional=frozenset({"text_encoder_3", "tokenizer_3"}),
    native_px=1024,
    seen_area=(
        250_000,
        1440 * 1440,
    ),  # .25 to 2 MP: Stability AI of 3.5 medium, whose last sides were 1440
    guidance_scale=7.0,  # the default of diffusers' img2img for it
    sampler="euler",
    steps_over_all=28,
)
_FLUX = Family(
    name="flux",
    adapter="flux",
    core="transformer",
    roles={
        "transformer": frozenset({("diffusers", "FluxTransformer2DModel")}),
        "vae": AUTOENCODERS,
        "text_encoder": CLIP,
        "tokenizer": CLIP_WORDS,
        "text_encoder_2": T5,
        "tokenizer_2": T5_WORDS,
    },
    native_px=1024,
    seen_area=(100_000, 1448 * 1448),  # .1 to 2 MP: Black Forest Labs
    guidance_scale=3.5,  # what its makers run it with
    sampler="euler",
    steps_over_all=28,
)

_CHROMA = Family(
    name="chroma",
    adapter="chroma",
    core="transformer",
    roles={
        "transformer": frozenset({("diffusers", "ChromaTransformer2DModel")}),
        "vae": AUTOENCODERS,
        "text_encoder": T5,
        "tokenizer": T5_WORDS,
    },
    native_px=1024,
    seen_area=(512 * 512, 1448 * 1448),  # trained at 512, then 1024, from FLUX.1 schnell
    guidance_scale=5.0,  # the default of diffusers' img2img for it
    sampler="euler",
    steps_over_all=35,
)
_Z_IMAGE = Family(
    name="z-image",
    adapter="z_image",
    core="transformer",
    roles={
        "transformer": frozenset({("diffusers", "ZImageTransformer2DModel")}),
        "vae": AUTOENCODERS,
        "text_encoder": frozenset(
            {("transformers", "Qwen3Model"), ("transformers", "Qwen3ForCausalLM")}
        ),
        "tokenizer": QWEN_WORDS,
    },
    native_px=1024,
    seen_area=(512 * 512, 2048 * 2048),  # its model card
    guidance_scale=6.0,  # 5, the default of diffusers' img2img; it calls no guidance 0 and not 1
    sampler="euler",
    steps_over_all=50,
    distilled_steps=8,  # Z-Image-Turbo
)
_QWEN_IMAGE = Family(
    name="qwen-image",
    adapter="qwen_image",
    core="transformer",
    roles={
        "transformer": frozenset({("diffusers", "QwenImageTransformer2DModel")}),
        "vae": frozenset({("diffusers", "AutoencoderKLQwenImage")}),
        "text_encoder": frozenset({("transformers", "Qwen2_5_VLForConditionalGeneration")}),
        "tokenizer": QWEN_WORDS,
    },
    native_px=1328,
    seen_area=(640 * 640, 2048 * 2048),  # trained at 256, 640 and 1328 (Wu et al. 2025, section 4)
    guidance_scale=4.0,  # the default of diffusers' img2img for it
    sampler="euler",
    steps_over_all=50,
    guided_patch=2,
)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            _STABLE_DIFFUSION, _XL, _XL_REFINER, _SD3, _FLUX, _CHROMA, _Z_IMAGE, _QWEN_IMAGE,
        )
    }
)  # fmt: skip

# A folder names the pipeline that it was saved from; img2img is the same networks.
_PIPELINES: Mapping[str, Family] = MappingProxyType(
    {
        "StableDiffusionPipeline": _STABLE_DIFFUSION,
        "StableDiffusionImg2ImgPipeline": _STABLE_DIFFUSION,
        "LatentConsistencyModelPipeline": _STABLE_DIFFUSION,
        "LatentConsistencyModelImg2ImgPipeline": _STABLE_DIFFUSION,
        "StableDiffusionXLPipeline": _XL,
        "StableDiffusionXLImg2ImgPipeline": _XL,
        "StableDiffusion3Pipeline": _SD3,
        "StableDiffusion3Img2ImgPipeline": _SD3,
        "FluxPipeline": _FLUX,
        "FluxImg2ImgPipeline": _FLUX,
        "ChromaPipeline": _CHROMA,
        "ChromaImg2ImgPipeline": _CHROMA,
        "ZImagePipeline": _Z_IMAGE,
        "ZImageImg2ImgPipeline": _Z_IMAGE,
        "QwenImagePipeline": _QWEN_IMAGE,
        "QwenImageImg2ImgPipeline": _QWEN_IMAGE,
    }
)

# Pipelines whose picture is an instruction's object, not a start: there is nothing to set a strength of.
_EDITORS = (
    "Kontext",
    "QwenImageEdit",
    "Flux2",
    "InstructPix2Pix",
    "CosXL",
)


def family_of(index: Mapping[str, Any]) -> Family:
    """The family of a folder, from its ``model_index.json``.

    Raises:
        ModelError: it is of no family that is known, or edits pictures in another way.
    """
    name = str(index.get("_class_name", ""))
    if any(editor in name for editor in _EDITORS):
        raise ModelError(
            f"this is a model for edits by instruction ({name}), which takes the picture whole and has "
            "no strength; use it with a tool for edits, or give an img2img model here"
        )
    if "Inpaint" in name:
        raise ModelError(
            f"this is a model for inpainting ({name}), whose network also reads a mask; give the model "
            "that it was made from, or use a tool for inpainting"
        )
    family = _PIPELINES.get(name)
    if family is None:
        raise ModelError(
            f"model_index.json names the pipeline {name[:100]!r}; known are "
            f"{', '.join(sorted(FAMILIES))}, as diffusers saves them"
        )
    if family is _XL and _is_absent(index.get("text_encoder")):
        return _XL_REFINER
    return family


def _is_absent(entry: object) -> bool:
    return entry is None or entry == [None, None]


def classes_of(index: Mapping[str, Any], family: Family) -> dict[str, str]:
    """The class of each role that the checkpoint has.

    Raises:
        ModelError: a role that is needed is missing, or one names a class that is not loaded.
    """
    classes: dict[str, str] = {}
    for role, allowed in family.roles.items():
        match index.get(role):
            case [str() as library, str() as name] if (library, name) in allowed:
                classes[role] = name
            case given if _is_absent(given) and role in family.optional:
                continue
            case given:
                raise ModelError(
                    f"model_index.json gives {given!r} for {role}; loaded are "
                    f"{', '.join(sorted(f'{a}.{b}' for a, b in allowed))}"
                )
    return classes
