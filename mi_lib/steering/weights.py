"""A direction taken out of the weights: the edited model is the ablated one, and needs no edit any more.

Everything that reaches the residual stream is written there by a matrix and a bias (Arditi et al. 2024, arXiv
2406.11717, section 4.1). Of each, the part along r̂ is taken out:

    W ← W − W r̂ r̂ᵀ        the rows of W lie in the stream: x W then has nothing along r̂, whatever x is
    b ← b − b r̂ r̂ᵀ

    the embedding · positions that are added to it · each attention's output · each MLP's output

So the stream never has anything along r̂, as under `ways.ablate`. Three things to watch:

* **Tied embeddings.** Where the unembedding is the same matrix as the embedding (GPT-2), to change the one would change
  the other. The ablated model reads its logits with the unembedding as it was. So the two are untied: the unembedding
  keeps its numbers, and the saved model is larger by that matrix. Published code leaves them tied, and its edited model
  is another than the ablated one.
* **Norms before a matrix** only read the stream: their weights and biases stay.
* **Norms behind a matrix** (Gemma) write: y = g ⊙ x / rms(x). No exchange of W gives r̂ᵀ y = 0 and leaves the rest as it
  was, because a change of x changes rms(x) too: W' would have to keep every length and yet lose a direction. Such
  models are refused: ablate them while they run.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mi_lib.models import HookedModel, Transformer
from mi_lib.models.families import part
from mi_lib.models.projections import is_plain, matrix
from mi_lib.models.transformers_model import TransformersModel
from mi_lib.steering.directions import unit
from mi_lib.steering.ways import span


@torch.no_grad()
def orthogonalised(model: HookedModel, direction: Float[Tensor, "*k d_model"]) -> HookedModel:
    """A copy of the model that writes nothing along the direction, or along any of several [k d_model].

    Computed in float64, stored in the model's own precision. The model itself stays as it is.
    ValueError for a direction of another width, for a model that norms what it writes, and for one with adapters or
    quantised weights.
    """
    if direction.shape[-1] != model.cfg.d_model:
        raise ValueError(
            f"the direction has {direction.shape[-1]} numbers, and this model's residual stream {model.cfg.d_model}"
        )
    _refuse(model)
    basis = unit(direction)[None] if direction.ndim == 1 else span(direction)
    basis = basis.double().to(model.device)
    new = copy.deepcopy(model)
    new.source = None
    if isinstance(new, TransformersModel):
        _untie(new)
    for weight in writers(new).values():
        wide = weight.double()
        weight.copy_(wide - (wide @ basis.T) @ basis)
    return new


def writers(model: HookedModel) -> dict[str, Float[Tensor, "*rest d_model"]]:
    """Every matrix and bias that writes to the residual stream, by name; the last axis is the stream.

    They are the model's own weights, not copies.
    """
    found = _of_transformers(model) if isinstance(model, TransformersModel) else _of_native(model)
    return {name: weight for name, weight in found.items() if weight is not None}


def written_along(model: HookedModel, direction: Float[Tensor, " d_model"]) -> dict[str, float]:
    """For each of the `writers`, which share of its squared size lies along the direction: 0 to 1.

    1 / d_model is what a random direction gets.
    """
    along = unit(direction)
    return {
        name: float((weight @ along).square().sum() / weight.square().sum().clamp(min=1e-30))
        for name, weight in writers(model).items()
    }


def save(model: HookedModel, folder: str | Path) -> Path:
    """Write a folder that `mi_lib.load` opens, and `from_pretrained` where the model is one of `transformers`."""
    folder = Path(folder)
    if isinstance(model, Transformer):
        return model.save(folder, model.dtype)
    if not isinstance(model, TransformersModel):
        raise ValueError(f"a {type(model).__name__} cannot be saved: open the model with `mi_lib.load`")
    model.hf.save_pretrained(folder)
    if model.tokenizer is not None:
        model.tokenizer.save_pretrained(folder)
    return folder


def _of_transformers(model: TransformersModel) -> dict[str, Tensor | None]:
    f = model.family
    found: dict[str, Tensor | None] = {"embed": part(model.hf, f.embed).weight}
    if f.pos_embed:
        found["pos_embed"] = part(model.hf, f.pos_embed).weight
    for layer, block in enumerate(model.layers):
        for name, path, d_in in (
            ("attn", f"{f.attn}.{f.out}", model.cfg.n_heads * model.cfg.d_head),
            ("mlp", f"{f.mlp}.{f.mlp_down}", model.cfg.d_mlp),
        ):
            module = part(block, path)
            found[f"blocks.{layer}.{name}.W"] = matrix(module, d_in)
            found[f"blocks.{layer}.{name}.b"] = module.bias
    return found


def _of_native(model: HookedModel) -> dict[str, Tensor | None]:
    assert isinstance(model, Transformer)
    found: dict[str, Tensor | None] = {"embed": model.W_E}
    if model.config.positions == "learned":  # "shifted" ones go into queries and keys, not into the stream
        found["pos_embed"] = model.W_pos
    blocks: Any = model.blocks
    for layer, block in enumerate(blocks):
        found |= {f"blocks.{layer}.attn.W": block.attn.W_O, f"blocks.{layer}.attn.b": block.attn.b_O}
        if block.mlp is not None:
            found |= {f"blocks.{layer}.mlp.W": block.mlp.W_out, f"blocks.{layer}.mlp.b": block.mlp.b_out}
    return found


def _refuse(model: HookedModel) -> None:
    if not isinstance(model, Transformer | TransformersModel):
        raise ValueError(f"the weights of a {type(model).__name__} are not known: open the model with `mi_lib.load`")
    if model.cfg.n_layers and model.post_norm(0, "attn") is not None:
        raise ValueError(
            f"{model.cfg.architecture} norms what attention and MLP write before it reaches the stream, so no edit of "
            "the weights equals the ablation: apply `steering.ablate` while the model runs"
        )
    if isinstance(model, Transformer):
        return
    f = model.family
    for layer, block in enumerate(model.layers):
        for path in (f"{f.attn}.{f.out}", f"{f.mlp}.{f.mlp_down}"):
            if not is_plain(module := part(block, path)):
                raise ValueError(
                    f"{path} of block {layer} is a {type(module).__name__}, not a plain matrix: merge adapters into "
                    "the weights, and open quantised models in full precision"
                )


def _untie(model: TransformersModel) -> None:
    """Give the unembedding a matrix of its own, where it shares the embedding's."""
    hf, head = model.hf, model.hf.get_output_embeddings()
    if head.weight is not part(hf, model.family.embed).weight:
        return
    own = nn.Linear(head.in_features, head.out_features, bias=head.bias is not None, device="meta", dtype=model.dtype)
    own.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=head.weight.requires_grad)
    if head.bias is not None:
        own.bias = nn.Parameter(head.bias.detach().clone(), requires_grad=head.bias.requires_grad)
    hf.config.tie_word_embeddings = False
    hf.set_output_embeddings(own)
    if hasattr(hf, "all_tied_weights_keys"):  # transformers notes at the start what to tie, and what not to save
        hf.all_tied_weights_keys = {}
    hf.mi_instrument.put_into(hf)
