"""Minute random checkpoints of the families beside Stable Diffusion, in the diffusers layout."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from diffusers.models.transformers.transformer_chroma import ChromaTransformer2DModel
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import Qwen2Tokenizer, T5Config, T5EncoderModel, T5TokenizerFast
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

from tests.tiny_checkpoint import (
    TOKENS,
    byte_letters,
    make_tiny_checkpoint,
    write_json,
    write_tokenizer,
)

ABSENT = [None, None]
CLIP, CLIP_PROJECTED = (
    ["transformers", "CLIPTextModel"],
    ["transformers", "CLIPTextModelWithProjection"],
)
CLIP_WORDS, T5_WORDS = ["transformers", "CLIPTokenizer"], ["transformers", "T5TokenizerFast"]
T5 = ["transformers", "T5EncoderModel"]
QWEN_WORDS = ["transformers", "Qwen2Tokenizer"]
VAE = ["diffusers", "AutoencoderKL"]
OWN = {"comfortable_px": 4096, "min_px": 16}
TABLE = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
}
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}
DYNAMIC = {
    **FLOW,
    "shift": 3.0,
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}


def clip(width: int, *, projected: bool = True, layers: int = 2) -> torch.nn.Module:
    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
        projection_dim=width,
        hidden_act="gelu",
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def vae(channels: int, **config: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16, 16),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=channels,
        norm_num_groups=8,
        sample_size=32,
        **config,
    )


def t5(folder: Path, tokenizer: Path, width: int) -> None:
    T5EncoderModel(
        T5Config(
            vocab_size=140, d_model=width, d_kv=8, d_ff=2 * width, num_layers=1, num_heads=4,
            feed_forward_proj="gated-gelu",
        )
    ).save_pretrained(folder)  # fmt: skip
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(chr(code), -3.0) for code in range(33, 127)]
    T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=512).save_pretrained(tokenizer)


def write(folder: Path, pipeline: str, scheduler: dict[str, Any], index: dict[str, Any]) -> Path:
    for role, kind in index.items():
        if role.startswith("tokenizer") and kind == CLIP_WORDS:
            write_tokenizer(folder / role)
    index = {
        "_class_name": pipeline,
        "_diffusers_version": "0.42.1",
        "scheduler": ["diffusers", scheduler["_class_name"]],
        **index,
    }
    write_json(folder / "model_index.json", index)
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    write_json(folder / "underpaint.json", OWN)
    return folder


def make_tiny_xl(folder: Path, *, refiner: bool = False, seed: int = 0) -> Path:
    """SDXL: base, or the refiner with one text encoder and an aesthetic score."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        context, pooled = (48, 48) if refiner else (80, 48)
        unet = UNet2DConditionModel(
            sample_size=16,
            in_channels=4,
            out_channels=4,
            block_out_channels=(32, 32),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=context,
            attention_head_dim=8,
            norm_num_groups=8,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=pooled + 8 * (5 if refiner else 6),
        )
        unet.save_pretrained(folder / "unet")
        vae(4, scaling_factor=0.13025).save_pretrained(folder / "vae")
        if not refiner:
            clip(32, projected=False).save_pretrained(folder / "text_encoder")
        clip(48).save_pretrained(folder / "text_encoder_2")
    index = xl_index(refiner=refiner)
    if refiner:
        index["requires_aesthetics_score"] = True
        return write(folder, "StableDiffusionXLImg2ImgPipeline", TABLE, index)
    return write(folder, "StableDiffusionXLPipeline", TABLE, index)


def xl_index(*, refiner: bool = False) -> dict[str, Any]:
    """What SDXL's ``model_index.json`` says of its parts."""
    return {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": VAE,
        "text_encoder": ABSENT if refiner else CLIP,
        "tokenizer": ABSENT if refiner else CLIP_WORDS,
        "text_encoder_2": CLIP_PROJECTED,
        "tokenizer_2": CLIP_WORDS,
        "force_zeros_for_empty_prompt": not refiner,
    }


def make_tiny_lcm(folder: Path, *, seed: int = 0) -> Path:
    """Stable Diffusion as a latent consistency model, which takes its guidance scale as an input."""
    make_tiny_checkpoint(folder, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        plain = UNet2DConditionModel.load_config(folder / "unet")
        unet = UNet2DConditionModel.from_config({**plain, "time_cond_proj_dim": 16})
        unet.save_pretrained(folder / "unet")
    scheduler = {**TABLE, "_class_name": "LCMScheduler", "original_inference_steps": 50}
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    index = json.loads((folder / "model_index.json").read_text())
    index |= {
        "_class_name": "LatentConsistencyModelPipeline",
        "scheduler": ["diffusers", "LCMScheduler"],
    }
    write_json(folder / "model_index.json", index)
    return folder


def make_tiny_sd3(
    folder: Path, *, long_reader: bool = True, dual: bool = False, seed: int = 0
) -> Path:
    """SD3, with T5 or without; ``dual`` with a second attention as in 3.5 medium."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        SD3Transformer2DModel(
            sample_size=16,
            patch_size=2,
            in_channels=16,
            out_channels=16,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=96,
            caption_projection_dim=32,
            pooled_projection_dim=80,
            pos_embed_max_size=24,
            qk_norm="rms_norm",
            dual_attention_layers=(0,) if dual else (),
        ).save_pretrained(folder / "transformer")
        vae(16, scaling_factor=1.5305, shift_factor=0.0609).save_pretrained(folder / "vae")
        clip(32).save_pretrained(folder / "text_encoder")
        clip(48).save_pretrained(folder / "text_encoder_2")
        if long_reader:
            t5(folder / "text_encoder_3", folder / "tokenizer_3", 96)
    index = {
        "transformer": ["diffusers", "SD3Transformer2DModel"],
        "vae": VAE,
        "text_encoder": CLIP_PROJECTED,
        "tokenizer": CLIP_WORDS,
        "text_encoder_2": CLIP_PROJECTED,
        "tokenizer_2": CLIP_WORDS,
        "text_encoder_3": T5 if long_reader else ABSENT,
        "tokenizer_3": T5_WORDS if long_reader else ABSENT,
    }
    return write(folder, "StableDiffusion3Pipeline", FLOW, index)


def make_tiny_flux(folder: Path, *, dev: bool = True, seed: int = 0) -> Path:
    """FLUX.1: dev with a guidance embedding and a shift that depends on the size, or schnell."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        FluxTransformer2DModel(
            patch_size=1,
            in_channels=64,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=64,
            pooled_projection_dim=32,
            guidance_embeds=dev,
            axes_dims_rope=(4, 6, 6),
        ).save_pretrained(folder / "transformer")
        vae(16, scaling_factor=0.3611, shift_factor=0.1159).save_pretrained(folder / "vae")
        clip(32, projected=False).save_pretrained(folder / "text_encoder")
        t5(folder / "text_encoder_2", folder / "tokenizer_2", 64)
    index = {
        "transformer": ["diffusers", "FluxTransformer2DModel"],
        "vae": VAE,
        "text_encoder": CLIP,
        "tokenizer": CLIP_WORDS,
        "text_encoder_2": T5,
        "tokenizer_2": T5_WORDS,
    }
    return write(folder, "FluxPipeline", DYNAMIC if dev else {**FLOW, "shift": 1.0}, index)


def make_tiny_chroma(folder: Path, *, seed: int = 0) -> Path:
    """Chroma: FLUX's blocks, T5 alone, a shift that depends on the size."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        ChromaTransformer2DModel(
            in_channels=64,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=64,
            axes_dims_rope=(4, 6, 6),
            approximator_num_channels=8,
            approximator_hidden_dim=32,
            approximator_layers=1,
        ).save_pretrained(folder / "transformer")
        vae(16, scaling_factor=0.3611, shift_factor=0.1159).save_pretrained(folder / "vae")
        t5(folder / "text_encoder", folder / "tokenizer", 64)
    index = {
        "transformer": ["diffusers", "ChromaTransformer2DModel"],
        "vae": VAE,
        "text_encoder": T5,
        "tokenizer": T5_WORDS,
    }
    return write(folder, "ChromaPipeline", DYNAMIC, index)


def qwen_words(folder: Path) -> None:
    """Qwen's byte-level alphabet without any merges, its marks, and its template for one message."""
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {word: i for i, word in enumerate([*byte_letters(), *marks])}
    words = Qwen2Tokenizer(
        vocab=vocabulary, merges=[], additional_special_tokens=marks[1:], model_max_length=4096
    )
    words.chat_template = (
        "{% for one in messages %}<|im_start|>{{ one.role }}\n{{ one.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n"
        "{% if not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
    )
    words.save_pretrained(folder)


QWEN_TEXT = {
    "vocab_size": 259,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "bos_token_id": 256,
    "eos_token_id": 258,
    "pad_token_id": 256,
}


def make_tiny_z_image(folder: Path, *, seed: int = 0) -> Path:
    """Z-Image, with a Qwen3 of three layers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ZImageTransformer2DModel(
            in_channels=16,
            dim=32,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=32,
            axes_dims=[4, 6, 6],
            axes_lens=[128, 32, 32],
        )
        for pad in (network.x_pad_token, network.cap_pad_token):
            torch.nn.init.normal_(pad)
        network.save_pretrained(folder / "transformer")
        vae(16, scaling_factor=0.3611, shift_factor=0.1159).save_pretrained(folder / "vae")
        Qwen3Model(Qwen3Config(**QWEN_TEXT, head_dim=16)).save_pretrained(folder / "text_encoder")
    qwen_words(folder / "tokenizer")
    index = {
        "transformer": ["diffusers", "ZImageTransformer2DModel"],
        "vae": VAE,
        "text_encoder": ["transformers", "Qwen3Model"],
        "tokenizer": QWEN_WORDS,
    }
    return write(folder, "ZImagePipeline", FLOW, index)


def make_tiny_qwen_image(folder: Path, *, seed: int = 0) -> Path:
    """Qwen-Image, with an autoencoder of videos and a language model that also sees."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        QwenImageTransformer2DModel(
            in_channels=64,
            out_channels=16,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            axes_dims_rope=(4, 6, 6),
        ).save_pretrained(folder / "transformer")
        means, stds = torch.linspace(-0.4, 0.5, 16).tolist(), torch.linspace(0.3, 0.9, 16).tolist()
        AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=16,
            dim_mult=[1, 2, 2],
            num_res_blocks=1,
            temperal_downsample=[False, True],
            latents_mean=means,
            latents_std=stds,
        ).save_pretrained(folder / "vae")
        rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
        seeing = {
            "depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2,
            "out_hidden_size": 32, "fullatt_block_indexes": [0],
        }  # fmt: skip
        config = Qwen2_5_VLConfig(
            text_config={**QWEN_TEXT, "rope_parameters": rope}, vision_config=seeing
        )
        Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder / "text_encoder")
    qwen_words(folder / "tokenizer")
    index = {
        "transformer": ["diffusers", "QwenImageTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKLQwenImage"],
        "text_encoder": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
        "tokenizer": QWEN_WORDS,
    }
    scheduler = {**DYNAMIC, "max_image_seq_len": 8192, "max_shift": 0.9, "shift_terminal": 0.02}
    return write(folder, "QwenImagePipeline", scheduler, index)
