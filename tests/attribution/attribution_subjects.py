"""Small random models of every family, in float64, whose biases and gains show when they are left out."""

from __future__ import annotations

from functools import cache, partial

import torch
import transformers

from mi_lib import Transformer, TransformerConfig
from mi_lib.models import HookedModel
from mi_lib.models.transformers_model import TransformersModel

SIZES = {
    "vocab_size": 19,
    "hidden_size": 16,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 16,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
CONFIGS = {
    "gpt2": lambda: transformers.GPT2Config(vocab_size=19, n_embd=16, n_layer=2, n_head=4, n_positions=16),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**SIZES),
    "gpt_neox_serial": lambda: transformers.GPTNeoXConfig(**SIZES, use_parallel_residual=False),
    "llama": lambda: transformers.LlamaConfig(**GROUPED),
    "mistral": lambda: transformers.MistralConfig(**GROUPED, sliding_window=4),
    "qwen3": lambda: transformers.Qwen3Config(**GROUPED, head_dim=6),
    "gemma2": lambda: transformers.Gemma2Config(
        **GROUPED, head_dim=6, sliding_window=4, query_pre_attn_scalar=6, attn_logit_softcapping=2.0
    ),
}
NATIVE = {
    "native": {"d_mlp": 13, "norm": "layernorm", "act": "gelu_new", "attn_bias": True, "unembed_bias": True},
    "native without norm": {"d_mlp": 13},
    "native attention-only": {"norm": "layernorm", "positions": "shifted"},
}
# Those in which a head writes to the stream by itself.
WITH_EDGES = (*(name for name in CONFIGS if name != "gemma2"), *NATIVE)
EVERY = (*CONFIGS, *NATIVE)


@cache
def model_of(name: str) -> HookedModel:
    if name in NATIVE:
        sizes = {"n_layers": 2, "d_model": 14, "n_heads": 4, "d_head": 5, "d_vocab": 19, "n_ctx": 16}
        model: HookedModel = Transformer(TransformerConfig(**sizes, **NATIVE[name]))
    else:
        model = TransformersModel(transformers.AutoModelForCausalLM.from_config(CONFIGS[name]()).eval())
    generator = torch.Generator().manual_seed(3)
    for parameter_name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_gain = parameter.ndim == 1 and not parameter_name.endswith(("bias", ".b"))
        with torch.no_grad():
            parameter.copy_(1 + 0.3 * noise if is_gain else 0.4 * noise)
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = partial(wide_norm, model, module)  # `transformers` computes them in float32
    return model.requires_grad_(False).double()


def wide_norm(model, norm, x):
    weight, _, epsilon, _ = model.norm_parts(norm)
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight


def prompts(batch: int = 3, pos: int = 6, seed: int = 2) -> list[torch.Tensor]:
    """Clean and corrupted ones."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(19, (batch, pos), generator=generator) for _ in range(2)]
