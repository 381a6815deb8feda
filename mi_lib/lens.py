"""Reading the residual stream of a language model: what it says at each layer, who wrote it, how a fact travels.

Every block adds to the residual stream h, and the logits are an affine map of what the final norm makes of it. So the
stream can be read with the model's own last step at any depth, and split into what each part has added to it.

    logit lens     W_U · LN_f(h) at every depth (nostalgebraist 2020, "interpreting GPT: the logit lens")
    measures       KL divergence to the final prediction, entropy, rank, top tokens, agreement
    tuned lens     W_U · LN_f(h + A h + b), with A and b trained for each layer (Belrose et al. 2023, arXiv 2303.08112,
                   section 3)
    attribution    a logit difference (the measure of Wang et al. 2022, arXiv 2211.00593) as a sum over all that wrote
                   to the stream: layers, heads, neurons or source tokens (Elhage et al. 2021, "A Mathematical
                   Framework for Transformer Circuits"), with the final norm held at the scale of the run
    patching       layer by layer, position by position: what carries an answer from one run into another (Meng et al.
                   2022, arXiv 2202.05262, section 2)

Depth 0 … L − 1 is what enters block 0 … L − 1, and depth L is what leaves the last block. Any `HookedModel` will do,
with LayerNorm, RMSNorm or no norm at the end.

Texts of unequal length are padded, on either side, and `attention_mask` [batch pos] says where (texts given as text
bring their own). A `position` counts each text's own tokens, so that −1 is its last one and never padding; what is
read at every position is NaN at padding, where there is nothing to read.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mi_lib.attribution import patch_heads, patch_positions
from mi_lib.models import ActivationCache, HookedModel
from mi_lib.models.hooked import Input
from mi_lib.models.places import head_number, layer_number
from mi_lib.models.text import at_positions, text_positions

Token = int | Int[Tensor, " batch"]  # one token for all prompts, or one for each
Metric = Callable[[Float[Tensor, "run d_vocab"]], Float[Tensor, " run"]]  # of the logits at the last position

# --- logit lens -------------------------------------------------------------------------------------------------------


def residual_stream(
    model: HookedModel, tokens: Input, attention_mask: Tensor | None = None
) -> Float[Tensor, "depth batch pos d_model"]:
    """The residual stream before every block and after the last one: depth = n_layers + 1. Not normalised.

    NaN at padding.
    """
    tokens, mask = model._tokens_and_mask(tokens, attention_mask)
    last = ("resid_post", model.cfg.n_layers - 1)
    names = [*(("resid_pre", layer) for layer in range(model.cfg.n_layers)), last]
    _, cache = model.run_with_cache(tokens, names, attention_mask=mask)
    return _only_real(torch.stack([cache[name] for name in names]), mask)


def _only_real(
    values: Float[Tensor, "*batch pos d"], mask: Bool[Tensor, "batch pos"] | None
) -> Float[Tensor, "*batch pos d"]:
    """NaN at padding, so that whoever reads there by mistake finds out."""
    return values if mask is None else values.masked_fill(~mask[..., None], math.nan)


def read_out(model: HookedModel, residual: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_vocab"]:
    """W_U · LN_f(h) + b_U: what the model itself does with the residual stream after its last block."""
    return model.unembed(residual if model.ln_final is None else model.ln_final(residual))


def logit_lens(
    model: HookedModel, tokens: Input, attention_mask: Tensor | None = None
) -> Float[Tensor, "depth batch pos d_vocab"]:
    """Logits read at every depth (nostalgebraist 2020). The last ones are the model's own."""
    with torch.no_grad():
        return read_out(model, residual_stream(model, tokens, attention_mask))


def logit_lens_of_hidden_states(
    model: HookedModel,
    hidden_states: Sequence[Float[Tensor, "batch pos d_model"]],
    attention_mask: Tensor | None = None,
) -> Float[Tensor, "depth batch pos d_vocab"]:
    """The logit lens of what `transformers` returns for `output_hidden_states=True`.

    Its n_layers + 1 tensors are the inputs of all blocks and, last, the stream after the final norm. That one is only
    unembedded here: to norm it again gives other logits than the model's. ValueError for another number of tensors.
    """
    if len(hidden_states) != model.cfg.n_layers + 1:
        raise ValueError(
            f"{len(hidden_states)} hidden states; a model of {model.cfg.n_layers} layers returns "
            f"{model.cfg.n_layers + 1}: the input of every block, and the normalised output of the last"
        )
    *inputs, normalised = hidden_states
    mask = None if attention_mask is None else attention_mask.to(normalised.device).bool()
    with torch.no_grad():
        logits = torch.cat([read_out(model, torch.stack(inputs)), model.unembed(normalised)[None]])
        return _only_real(logits, mask)


# --- measures ---------------------------------------------------------------------------------------------------------


def kl_divergence(
    p_logits: Float[Tensor, "... d_vocab"], q_logits: Float[Tensor, "... d_vocab"]
) -> Float[Tensor, "..."]:
    """KL(p ‖ q) = Σ p (log p − log q) in nats. Leading axes broadcast."""
    log_p, log_q = p_logits.log_softmax(-1), q_logits.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def kl_to_final(lens: Float[Tensor, "depth *rest d_vocab"]) -> Float[Tensor, "depth *rest"]:
    """KL(final ‖ lens) in nats at every depth: what believing the lens costs, if the model's answer is the truth."""
    return kl_divergence(lens[-1], lens)


def entropy(logits: Float[Tensor, "... d_vocab"]) -> Float[Tensor, "..."]:
    """−Σ p log p in nats: log(d_vocab) for a uniform guess, 0 for certainty."""
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


def rank(logits: Float[Tensor, "... d_vocab"], token: int | Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """How many tokens have a larger logit than this one: 0 is the model's first guess.

    token: one for all, or a tensor that broadcasts to the leading axes. ValueError for logits that are NaN (padding).
    """
    _refuse_nan(logits)
    tokens = torch.as_tensor(token, device=logits.device).expand(logits.shape[:-1])
    return (logits > logits.gather(-1, tokens[..., None])).sum(-1)


def top_tokens(logits: Float[Tensor, "... d_vocab"], k: int = 1) -> Int[Tensor, "... k"]:
    """The k tokens with the largest logits, best first. ValueError for logits that are NaN (padding)."""
    _refuse_nan(logits)
    return logits.topk(k, dim=-1).indices


def agreement(lens: Float[Tensor, "depth *rest d_vocab"]) -> Bool[Tensor, "depth *rest"]:
    """Whether the first guess at each depth is already the final one. ValueError for a lens that is NaN (padding)."""
    _refuse_nan(lens)
    return lens.argmax(-1) == lens[-1].argmax(-1)


def _refuse_nan(logits: Tensor) -> None:
    """Every comparison with NaN is False, so that padding would count as a first guess."""
    if bool(logits.isnan().any()):
        raise ValueError("some of these logits are NaN, as at padding: choose each text's own positions first")


# --- tuned lens -------------------------------------------------------------------------------------------------------


class TunedLens(nn.Module):
    """An affine translator h ↦ h + A h + b for the input of every block (Belrose et al. 2023, section 3).

    The paper writes A h + b and begins with A = 1. Here, as in the authors' code, the h is added outside: A and b begin
    at zero, where the tuned lens is the logit lens.
    """

    def __init__(self, n_layers: int, d_model: int) -> None:
        super().__init__()
        self.A = nn.Parameter(torch.zeros(n_layers, d_model, d_model))
        self.b = nn.Parameter(torch.zeros(n_layers, d_model))

    def forward(self, residual: Float[Tensor, "... d_model"], layer: int) -> Float[Tensor, "... d_model"]:
        """h + A h + b. The stream's vectors are rows, so A h is `residual @ A.T`."""
        if not -len(self.A) <= layer < len(self.A):
            raise ValueError(f"there is no translator for layer {layer}: this lens has layers 0 to {len(self.A) - 1}")
        return residual + residual @ self.A[layer].mT + self.b[layer]

    def save(self, path: str | Path) -> None:
        """Write A and b to a safetensors file."""
        save_file({name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}, path)

    @classmethod
    def load(cls, path: str | Path) -> TunedLens:
        """Read what `save` has written. ValueError for a file with anything else in it."""
        values = load_file(path)
        if set(values) != {"A", "b"} or values["A"].shape != (*values["b"].shape, values["b"].shape[-1]):
            found = ", ".join(f"{name} {tuple(value.shape)}" for name, value in values.items())
            raise ValueError(f"{path} is no tuned lens: it holds {found}, not A [layer d d] and b [layer d]")
        lens = cls(*values["b"].shape)
        lens.load_state_dict(values)
        return lens.requires_grad_(False)


def tuned_lens(
    model: HookedModel, lens: TunedLens, tokens: Input, attention_mask: Tensor | None = None
) -> Float[Tensor, "depth batch pos d_vocab"]:
    """W_U · LN_f(h + A h + b) at every depth; the last depth needs no translation and is the model's own.

    NaN at padding. ValueError for the lens of a model of another shape.
    """
    if lens.b.shape != (model.cfg.n_layers, model.cfg.d_model):
        fits = f"{lens.b.shape[0]} layers of width {lens.b.shape[1]}"
        raise ValueError(f"this lens is for {fits}; the model has {model.cfg.n_layers} of width {model.cfg.d_model}")
    with torch.no_grad():
        *inputs, final = residual_stream(model, tokens, attention_mask)
        translated = [lens(residual, layer) for layer, residual in enumerate(inputs)]
        return read_out(model, torch.stack([*translated, final]))


def train_tuned_lens(
    model: HookedModel,
    tokens: Input,
    *,
    steps: int = 500,
    batch_size: int = 256,
    lr: float = 1e-3,
    bias_only: bool = False,
    seed: int = 0,
    attention_mask: Bool[Tensor, "batch pos"] | None = None,
    progress: Callable[[int, Float[Tensor, " layer"]], None] | None = None,
) -> TunedLens:
    """Fit the translators of all layers by minimising KL(final ‖ lens) over random positions of `tokens`, no padding.

    The loss is that of Belrose et al. 2023, section 3. The model stays as it is. bias_only: train b alone, A = 0 (their
    "debiased" logit lens, in the same section): the control that says whether a layer's guesses are only shifted.
    batch_size: positions per step. The learning rate falls linearly to 0, as in the authors' code (AlignmentResearch/
    tuned-lens). The optimizer is Adam, an option there; SGD with momentum and weight decay is the default there.
    progress(step, loss of each layer in nats) is called after every step.
    """
    tokens, mask = model._tokens_and_mask(tokens, attention_mask)
    residual = _real_positions(model, tokens, mask)  # [depth position d_model]
    lens = TunedLens(model.cfg.n_layers, model.cfg.d_model).to(residual.device)
    lens.A.requires_grad_(not bias_only)
    trained = [p for p in lens.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=lr)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        chosen = torch.randint(residual.shape[1], (batch_size,), generator=generator).to(residual.device)
        losses = lens_losses(model, lens, residual[:, chosen])
        # Gradients of these parameters alone: the model's own, even where it asks for gradients, get none.
        for parameter, gradient in zip(trained, torch.autograd.grad(losses.sum(), trained), strict=True):
            parameter.grad = gradient
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step, losses.detach())
    return lens.requires_grad_(False)


def lens_losses(
    model: HookedModel, lens: TunedLens, residual: Float[Tensor, "depth position d_model"]
) -> Float[Tensor, " layer"]:
    """Mean KL(final ‖ tuned lens) of every layer, in nats."""
    with torch.no_grad():
        final = read_out(model, residual[-1].to(model.dtype)).float()
    losses = []
    for layer in range(residual.shape[0] - 1):
        logits = read_out(model, lens(residual[layer], layer).to(model.dtype)).float()
        losses.append(kl_divergence(final, logits).mean())
    return torch.stack(losses)


def _real_positions(
    model: HookedModel, tokens: Tensor, mask: Tensor | None, chunk: int = 64
) -> Float[Tensor, "depth position d_model"]:
    """The residual stream at all positions that are not padding, in float32."""
    if not len(tokens) or (mask is not None and not bool(mask.any())):
        raise ValueError("there is nothing to train on: no token is real")
    found = []
    for start in range(0, len(tokens), chunk):
        real = None if mask is None else mask[start : start + chunk].bool()
        residual = residual_stream(model, tokens[start : start + chunk], real).float()
        found.append(residual.flatten(1, 2) if real is None else residual[:, real.to(residual.device)])
    return torch.cat(found, dim=1)


# --- the final norm, frozen -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FrozenNorm:
    """A norm held at the scale of one run, where it is an affine map: (x − mean(x)) / scale · weight + bias.

    RMSNorm subtracts no mean (`centred` is False). At the x that gave the scale it is the norm itself.
    """

    scale: Float[Tensor, "... 1"]
    weight: Float[Tensor, " d_model"]
    bias: Float[Tensor, " d_model"]
    centred: bool

    def linear(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        """The map without its bias: what a part of x becomes. Parts sum as x itself does."""
        x = x - x.mean(-1, keepdim=True) if self.centred else x
        return x / self.scale * self.weight

    def __call__(self, x: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
        return self.linear(x) + self.bias


def frozen_norm(
    model: HookedModel, residual: Float[Tensor, "... d_model"], norm: nn.Module | None = None
) -> FrozenNorm:
    """The final norm (or another norm of the model) at the scale that it has for this residual stream."""
    norm = model.ln_final if norm is None else norm
    if norm is None:
        one = torch.ones(model.cfg.d_model, device=residual.device, dtype=residual.dtype)
        return FrozenNorm(torch.ones_like(residual[..., :1]), one, torch.zeros_like(one), centred=False)
    weight, bias, epsilon, centred = model.norm_parts(norm)
    x = residual - residual.mean(-1, keepdim=True) if centred else residual
    return FrozenNorm((x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt(), weight, bias, centred)


# --- direct logit attribution -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contributions:
    """What each component adds to a logit difference, in logits; the values sum to it."""

    names: list[str]
    values: Float[Tensor, "component batch"]

    @property
    def total(self) -> Float[Tensor, " batch"]:
        """The sum over all components."""
        return self.values.sum(0)

    def __getitem__(self, name: str) -> Float[Tensor, " batch"]:
        return self.values[self.names.index(name)]


def logit_direction(
    model: HookedModel, right: Token, wrong: Token | None = None
) -> tuple[Float[Tensor, "... d_model"], Float[Tensor, "..."]]:
    """(direction, bias): logit[right] − logit[wrong] is direction · normalised stream + bias.

    Without `wrong`: logit[right] − the mean logit. Logits are those before a cap (Gemma 2).
    """
    columns = model.W_U.mT  # [d_vocab d_model]
    biases = columns.new_zeros(len(columns)) if model.b_U is None else model.b_U
    if wrong is None:
        return columns[right] - columns.mean(0), biases[right] - biases.mean()
    return columns[right] - columns[wrong], biases[right] - biases[wrong]


def decompose(
    model: HookedModel,
    tokens: Input,
    position: int = -1,
    heads: bool = False,
    attention_mask: Tensor | None = None,
) -> tuple[list[str], Float[Tensor, "component batch d_model"]]:
    """The parts whose sum is the residual stream after the last block, at one position, with their names.

    "embed", "pos_embed" (where it is added), and for each layer "attn 3" and "mlp 3"; with `heads`, an attention
    layer's parts are "head 3.0", "head 3.1", … and "b_O 3".
    """
    tokens, mask = model._tokens_and_mask(tokens, attention_mask)
    where = text_positions(tokens, mask, position)
    layers = range(model.cfg.n_layers)
    learned = model.cfg.positions == "learned"  # rotary and shifted positions never enter the stream
    wanted = ["z" if heads else "attn_out", *(["mlp_out"] if model.cfg.d_mlp else [])]
    sites = [(site, layer) for layer in layers for site in wanted]
    names: list[Any] = [("resid_pre", 0), *(["pos_embed"] if learned else []), *sites]
    _, cache = model.run_with_cache(tokens, names, attention_mask=mask)
    # What enters block 0 less the positions, because Gemma 2 scales its embeddings after the module that gives them.
    embed = at_positions(cache["resid_pre", 0], where)
    parts = {"embed": embed}
    if learned:
        added = at_positions(cache["pos_embed"].expand_as(cache["resid_pre", 0]), where)
        parts = {"embed": embed - added, "pos_embed": added}
    for layer in layers:
        if heads:
            outputs, bias = _head_outputs(model, cache, layer, where)
            parts |= {f"head {layer}.{head}": output for head, output in enumerate(outputs)}
            parts[f"b_O {layer}"] = bias
        else:
            parts[f"attn {layer}"] = at_positions(cache["attn_out", layer], where)
        if model.cfg.d_mlp:
            parts[f"mlp {layer}"] = at_positions(cache["mlp_out", layer], where)
    return list(parts), torch.stack([part.expand_as(embed) for part in parts.values()])


def direct_logit_attribution(
    model: HookedModel,
    tokens: Input,
    right: Token,
    wrong: Token | None = None,
    *,
    position: int = -1,
    heads: bool = False,
    attention_mask: Tensor | None = None,
) -> Contributions:
    """logit[right] − logit[wrong] at one position, as a sum over everything that wrote to the residual stream.

    The components are those of `decompose`, then "norm bias" (of the final norm) and "b_U". The final norm is held at
    the scale of this run. Without `wrong` it is logit[right] − the mean logit.
    """
    with torch.no_grad():
        names, parts = decompose(model, tokens, position, heads, attention_mask)
        direction, bias = logit_direction(model, right, wrong)
        norm = frozen_norm(model, parts.sum(0))
        values = (norm.linear(parts) * direction).sum(-1)  # [component batch]
        constants = [(norm.bias * direction).sum(-1), bias]
        values = torch.cat([values, *(c.expand_as(values[0])[None] for c in constants)])
        return Contributions([*names, "norm bias", "b_U"], values)


def lens_attribution(
    model: HookedModel,
    tokens: Input,
    token: int,
    depth: int,
    *,
    position: int = -1,
    tuned: TunedLens | None = None,
    heads: bool = False,
    attention_mask: Tensor | None = None,
) -> Contributions:
    """The logit of `token` above the mean logit, as a lens reads it at this depth, as a sum over its writers.

    As `direct_logit_attribution`, with the parts that have written before this depth, and the final norm held at the
    scale of their sum. A tuned lens is linear but for its bias ("lens bias"), so it translates every part by itself.
    depth: 0 … n_layers, or negative from the end, as in a lens. ValueError for another.
    """
    depth = _depth(model, depth)
    with torch.no_grad():
        names, found = decompose(model, tokens, position, heads, attention_mask)
        kept = [i for i, name in enumerate(names) if _layer_of(name) < depth]
        names, parts = [names[i] for i in kept], found[kept]
        if tuned is not None and depth < model.cfg.n_layers:
            parts = torch.cat([parts + parts @ tuned.A[depth].mT, tuned.b[depth].expand_as(parts[:1])])
            names.append("lens bias")
        direction, bias = logit_direction(model, token)
        norm = frozen_norm(model, parts.sum(0))
        values = (norm.linear(parts) * direction).sum(-1)
        constants = [(norm.bias * direction).sum(-1), bias]
        values = torch.cat([values, *(c.expand_as(values[0])[None] for c in constants)])
        return Contributions([*names, "norm bias", "b_U"], values)


def _depth(model: HookedModel, depth: int) -> int:
    last, number = model.cfg.n_layers, operator.index(depth)
    if not -last - 1 <= number <= last:
        raise ValueError(f"there is no depth {number}: a lens on this model reads depths 0 to {last}")
    return number % (last + 1)


def _layer_of(name: str) -> int:
    """ "attn 3", "head 3.1", "b_O 3", "mlp 3" → 3; embeddings come before every layer."""
    return int(name.split()[1].split(".")[0]) if " " in name else -1


def neuron_attribution(
    model: HookedModel,
    tokens: Input,
    layer: int,
    right: Token,
    wrong: Token | None = None,
    *,
    position: int = -1,
    attention_mask: Tensor | None = None,
) -> Contributions:
    """What each neuron of one layer's MLP adds to logit[right] − logit[wrong] at one position: activation · W_out.

    The components are "neuron 0", "neuron 1", … and "b_out". Their sum is what "mlp L" adds in
    `direct_logit_attribution`.
    """
    if not model.cfg.d_mlp:
        raise ValueError("this model has attention only, so there are no neurons to attribute to")
    layer = layer_number(model.cfg, layer)
    tokens, mask = model._tokens_and_mask(tokens, attention_mask)
    where = text_positions(tokens, mask, position)
    with torch.no_grad():
        final = ("resid_post", model.cfg.n_layers - 1)
        _, cache = model.run_with_cache(tokens, [("post", layer), final], attention_mask=mask)
        neurons = at_positions(cache["post", layer], where).mT  # [neuron batch]
        parts = neurons[:, :, None] * model.W_out[layer][:, None]  # [neuron batch d_model]
        parts, bias = _as_written(model, layer, "mlp", parts, model.b_out[layer])
        direction, _ = logit_direction(model, right, wrong)
        norm = frozen_norm(model, at_positions(cache[final], where))
        values = (norm.linear(parts) * direction).sum(-1)
        bias_value = (norm.linear(bias) * direction).sum(-1)
        return Contributions(
            [*(f"neuron {i}" for i in range(len(parts))), "b_out"], torch.cat([values, bias_value[None]])
        )


def source_attribution(
    model: HookedModel,
    tokens: Input,
    layer: int,
    head: int,
    right: Token,
    wrong: Token | None = None,
    *,
    position: int = -1,
    attention_mask: Tensor | None = None,
) -> Float[Tensor, "source batch"]:
    """What one head adds to logit[right] − logit[wrong] at one position, by the token it takes it from.

    pattern[source] · v[source] W_O, through the frozen final norm. The sum over sources is what "head L.H" adds in
    `direct_logit_attribution(..., heads=True)`. Sources that are padding give 0.
    """
    layer, head = layer_number(model.cfg, layer), head_number(model.cfg, head)
    tokens, mask = model._tokens_and_mask(tokens, attention_mask)
    where = text_positions(tokens, mask, position)
    with torch.no_grad():
        final = ("resid_post", model.cfg.n_layers - 1)
        names: list[Any] = [("pattern", layer), ("v", layer), ("z", layer), final]
        _, cache = model.run_with_cache(tokens, names, attention_mask=mask)
        shared = model.cfg.n_heads // cache["v", layer].shape[2]  # query heads per key-value head
        v = cache["v", layer][:, :, head // shared]  # [batch source d_head]
        attention = at_positions(cache["pattern", layer][:, head], where)  # [batch source]
        parts = (attention[..., None] * v @ model.W_O[layer, head]).transpose(0, 1)  # [source batch d_model]
        outputs = torch.einsum("bhd,hdm->hbm", at_positions(cache["z", layer], where), model.W_O[layer])
        parts, _ = _as_written(model, layer, "attn", parts, model.b_O[layer], outputs.sum(0) + model.b_O[layer])
        direction, _ = logit_direction(model, right, wrong)
        return (frozen_norm(model, at_positions(cache[final], where)).linear(parts) * direction).sum(-1)


def _head_outputs(
    model: HookedModel, cache: ActivationCache, layer: int, where: Int[Tensor, " batch"]
) -> tuple[Float[Tensor, "head batch d_model"], Float[Tensor, "..."]]:
    """What each head of a layer adds to the residual stream, z W_O, and what the bias b_O adds."""
    outputs = torch.einsum("bhd,hdm->hbm", at_positions(cache["z", layer], where), model.W_O[layer])
    return _as_written(model, layer, "attn", outputs, model.b_O[layer])


def _as_written(
    model: HookedModel,
    layer: int,
    which: Literal["attn", "mlp"],
    parts: Float[Tensor, "part batch d_model"],
    bias: Float[Tensor, " d_model"],
    whole: Float[Tensor, "batch d_model"] | None = None,
) -> tuple[Float[Tensor, "part batch d_model"], Float[Tensor, "... d_model"]]:
    """Parts of an attention's or MLP's output as they reach the residual stream: through the norm that Gemma has there.

    Like the final norm, it is held at the scale of the run: that of the whole output (the sum of parts and bias).
    """
    norm = model.post_norm(layer, which)
    if norm is None:
        return parts, bias
    frozen = frozen_norm(model, parts.sum(0) + bias if whole is None else whole, norm)
    return frozen.linear(parts), frozen(bias)


# --- how a fact travels -----------------------------------------------------------------------------------------------


def logit_difference(right: int, wrong: int) -> Metric:
    """The metric logit[right] − logit[wrong]."""
    return lambda logits: logits[:, right] - logits[:, wrong]


def residual_patching(
    model: HookedModel,
    clean: Input,
    corrupt: Input,
    metric: Metric,
    site: Literal["resid_pre", "attn_out", "mlp_out"] = "resid_pre",
    *,
    clean_mask: Tensor | None = None,
    corrupt_mask: Tensor | None = None,
) -> Float[Tensor, "layer pos"]:
    """How much of the clean answer returns if one place of the corrupt run is replaced by that of the clean run.

    (m_patched − m_corrupt) / (m_clean − m_corrupt): 0 is no effect and 1 the whole. The place is one position of the
    input of one block, or of what its attention or MLP adds (`site`). `clean` and `corrupt` are one sequence each, of
    the same length; padding, which their masks show, is cut off first. `metric` sees the logits at the last position.
    Source: the causal tracing of Meng et al. 2022 (arXiv 2202.05262, section 2.1). They corrupt the subject by noise;
    here it is another subject.
    """
    pair = _pair(model, clean, corrupt, clean_mask, corrupt_mask)
    return patch_positions(model, *pair, _at_last(metric), site, logits_to_keep=1)[..., 0]


def head_patching(
    model: HookedModel,
    clean: Input,
    corrupt: Input,
    metric: Metric,
    position: int = -1,
    *,
    clean_mask: Tensor | None = None,
    corrupt_mask: Tensor | None = None,
) -> Float[Tensor, "layer head"]:
    """The same for what each head has read (z) at one position: which head brings the answer there."""
    pair = _pair(model, clean, corrupt, clean_mask, corrupt_mask)
    at = int(text_positions(pair[0], None, position)[0])
    return patch_heads(model, *pair, _at_last(metric), position=at, logits_to_keep=1)[..., 0]


def _at_last(metric: Metric) -> Callable[[Float[Tensor, "run pos d_vocab"]], Float[Tensor, " run"]]:
    return lambda logits: metric(logits[:, -1])


def _pair(
    model: HookedModel, clean: Input, corrupt: Input, clean_mask: Tensor | None, corrupt_mask: Tensor | None
) -> tuple[Int[Tensor, "1 pos"], Int[Tensor, "1 pos"]]:
    """The real tokens of both. ValueError if they are not as many."""
    first, second = _without_padding(model, clean, clean_mask), _without_padding(model, corrupt, corrupt_mask)
    if first.shape != second.shape:
        shapes = " and ".join(str(tuple(tokens.shape)) for tokens in (first, second))
        raise ValueError(f"patching takes two single sequences of the same length, not tokens of shapes {shapes}")
    return first, second


def _without_padding(model: HookedModel, text: Input, attention_mask: Tensor | None) -> Int[Tensor, "1 pos"]:
    """The real tokens of one sequence. ValueError for several."""
    tokens, mask = model._tokens_and_mask(text, attention_mask)
    if len(tokens) != 1:
        raise ValueError(f"patching takes two single sequences of the same length, not a batch of {len(tokens)}")
    return tokens if mask is None else tokens[mask][None]
