"""What the small models are; in a module with a name of its own, because every folder has a conftest."""

from __future__ import annotations

import torch

from mi_lib.models import Transformer, TransformerConfig

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
GEMMA = {**GROUPED, "head_dim": 16, "sliding_window": 4, "query_pre_attn_scalar": 16}


def configs() -> dict:
    import transformers as t

    return {
        "gpt2": t.GPT2Config(
            vocab_size=50, n_embd=32, n_layer=2, n_head=4, n_positions=40, initializer_range=0.3, eos_token_id=0
        ),
        "gpt_neox": t.GPTNeoXConfig(**SIZES),
        "gpt_neox_serial": t.GPTNeoXConfig(**SIZES, use_parallel_residual=False),
        "llama": t.LlamaConfig(**GROUPED),
        "mistral": t.MistralConfig(**GROUPED, sliding_window=4),
        "qwen2": t.Qwen2Config(**GROUPED),
        "qwen3": t.Qwen3Config(**GROUPED, head_dim=16),
        "gemma2": t.Gemma2Config(**GEMMA, attn_logit_softcapping=2.0),
        "gemma3_text": t.Gemma3TextConfig(**GEMMA),
    }


FAMILIES = (
    "gpt2",
    "gpt_neox",
    "gpt_neox_serial",
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3_text",
)
NATIVE = {
    "native attention-only": {},
    "native shifted": {"positions": "shifted"},
    "native with mlp": {"d_mlp": 24, "norm": "layernorm", "act": "gelu_new", "attn_bias": True, "unembed_bias": True},
}


def native(name: str) -> Transformer:
    sizes = {"n_layers": 2, "d_model": 16, "n_heads": 4, "d_head": 6, "d_vocab": 50, "n_ctx": 40}
    model = Transformer(TransformerConfig(**sizes, **NATIVE[name])).init_weights(0, 0.4)
    with torch.no_grad():  # biases that are not zero, so that leaving one out shows
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.rsplit(".", 1)[-1].startswith("b"):
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    return model.requires_grad_(False)
