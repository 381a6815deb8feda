"""The figures of chapter 01: computed on the bundled model and read from its card, drawn by `mi_lib.plots`.

Those with a parameter `answer` are computed by the functions of an answer to the exercises.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import plotly.graph_objects as go
import torch
from torch import Tensor
from transformers import GPT2LMHeadModel

from mi_lib import induction, load, plots, zoo
from mi_lib.course import findings, index
from mi_lib.models.transformers_model import TransformersModel
from mi_lib.worlds import repeats

CHAPTER = index.chapter("01")
NAME, PICO = CHAPTER.model  # the chapter's models are named in chapter.toml, and nowhere else
SAMPLE_SEED = 2025
measured = findings.module(CHAPTER)


@functools.cache
def _model() -> TransformersModel:
    model = load(NAME)
    assert isinstance(model, TransformersModel)
    return model


def _tokens() -> Tensor:
    """Ten words and the same ten again."""
    return repeats.sample(1, seed=SAMPLE_SEED, period=10, offset=0, vocab=_model().cfg.d_vocab).tokens


def _words() -> list[str]:
    return [repeats.VOCABULARY[i] for i in _tokens()[0].tolist()]


def places() -> go.Figure:
    """How alike the vectors of two places are (cosine)."""
    W = _model().hf.transformer.wpe.weight.detach()
    unit = W / W.norm(dim=1, keepdim=True)
    title = f"Cosine of the vectors of {len(W)} places (blue: alike; red: opposite)"
    return plots.maps((unit @ unit.T)[None], [""], title, x_title="place", y_title="place")


def why_divide(answer: Any) -> go.Figure:
    """How much attention the best of 20 random keys gets, by the answer's scores, and if these were not divided."""
    generator = torch.Generator().manual_seed(0)
    widths = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    q, k = (torch.randn(1000, n, max(widths), generator=generator) for n in (1, 20))
    plain = {d: (q[..., :d] * k[..., :d]).sum(-1) for d in widths}
    divided = {d: answer.attention_scores(q[..., :d], k[..., :d])[:, 0] for d in widths}
    series = {
        "not divided": [plain[d].softmax(-1).amax(-1).mean().item() for d in widths],
        "attention_scores": [divided[d].softmax(-1).amax(-1).mean().item() for d in widths],
    }
    title = "Attention on the best of 20 random keys (1/20 if all were equal)"
    return plots.lines(widths, series, title, "width of the head d_head", "share of attention", log_x=True)


def all_heads(answer: Any) -> go.Figure:
    """Every head of the model on one sequence: its queries and keys, with the answer's scores and patterns."""
    model = _model()
    _, cache = model.run_with_cache(_tokens(), lambda name: name.endswith(("hook_q", "hook_k")))
    layers, heads = range(model.cfg.n_layers), range(model.cfg.n_heads)
    patterns = []
    for layer in layers:
        q, k = (cache[site, layer][0].transpose(0, 1) for site in ("q", "k"))  # [head pos d_head]
        patterns.append(answer.causal_pattern(answer.attention_scores(q, k)))
    names = [f"layer {layer}, head {head}" for layer in layers for head in heads]
    return plots.head_grid(torch.cat(patterns), _words(), names, "Where the heads look (rows look at columns)")


def the_bend() -> go.Figure:
    """GELU, ReLU, and a thousand times the difference between the two GELUs."""
    x = torch.linspace(-4, 4, 161)
    exact, formula = (torch.nn.functional.gelu(x, approximate=kind) for kind in ("none", "tanh"))
    series = {"GELU": formula, "ReLU": x.relu(), "GPT-2's formula minus exact GELU, × 1000": 1000 * (formula - exact)}
    figure = plots.lines(x.tolist(), series, "The bend", "before", "after")
    return figure.update_yaxes(rangemode="normal")


def who_adds_what() -> go.Figure:
    """Mean length of the stream and of every addition to it."""
    model = _model()
    sample = repeats.sample(64, seed=SAMPLE_SEED, period=10, vocab=model.cfg.d_vocab)
    wanted = ("hook_embed", "hook_pos_embed", "hook_attn_out", "hook_mlp_out", "hook_resid_post")
    _, cache = model.run_with_cache(sample.tokens, lambda name: name.endswith(wanted))
    size = {name: value[:, 1:].norm(dim=-1).mean().item() for name, value in cache.items()}
    bars = {"word": size["hook_embed"], "place": size["hook_pos_embed"]}
    for layer in range(model.cfg.n_layers):
        for site, said in (("attn_out", "attention"), ("mlp_out", "MLP"), ("resid_post", "the stream after")):
            where = f"layer {layer}" if site == "resid_post" else f"of layer {layer}"
            bars[f"{said} {where}"] = size[f"blocks.{layer}.hook_{site}"]
    return plots.bars(bars, "How long is what each part adds?", "mean length")


def your_first_prediction(answer: Any) -> go.Figure:
    """The loss of every word of one sequence, by the answer's network with the trained weights."""
    tokens, hf = _tokens(), _model().hf
    weights = {name.removeprefix("transformer."): w for name, w in hf.state_dict().items() if "lm_head" not in name}
    logits = answer.gpt2(tokens, weights, hf.config.n_head)
    loss = induction.per_token_loss(logits, tokens)[0].tolist()
    return plots.token_loss({"loss": loss}, _words(), "Loss of each word: ten words, and the same ten again")


def seven_and_eight() -> go.Figure:
    """The loss by place in the copy, for a block length of training and for the one that was left out."""
    left_out = measured.recipe.HELD_OUT_PERIOD
    series = {
        f"blocks of {period} words": measured.loss_by_place(_model().hf, period)[:left_out]
        for period in (left_out + 1, left_out)
    }
    title = f"Loss in the second copy, on average over {measured.MANY} blocks"
    return plots.grouped_bars(range(1, left_out + 1), series, title, "word of the copy", "loss (nats)")


def training() -> go.Figure:
    """Loss on first and later copies during training."""
    curves = zoo.card(NAME)["curves"]
    series = {"first copies": curves["first"], "later copies": curves["second"]}
    return plots.lines(curves["step"], series, "Loss during training", "training step", "loss (nats)")


def three_temperatures(answer: Any) -> go.Figure:
    """The answer's probabilities of the ten likeliest next words at three temperatures, in the middle of the second
    copy."""
    tokens = _tokens()[:, :15]
    logits = _model()(tokens)[:, -1]
    best = logits[0].topk(10).indices
    series = {f"temperature {t:g}": answer.next_token_probabilities(logits, t)[0, best] for t in (0.5, 1.0, 3.0)}
    words = [repeats.VOCABULARY[i] for i in best.tolist()]
    title = f"What comes after “… {' '.join(_words()[12:15])}”?"
    return plots.grouped_bars(words, series, title, "next word", "probability")


def operations() -> go.Figure:
    """Operations for each further word, with the cache and without, as torch counts them."""
    again, kept = measured.operations(_model().hf)
    series = {"reading everything again": again, "with keys and values kept": kept}
    x = range(1, len(again) + 1)
    return plots.lines(x, series, "What one more word costs", "length of the text", "million operations")


def pico_speaks() -> go.Figure:
    """The likeliest next words after the beginning of a sentence."""
    pico = load(PICO)
    probabilities = pico("Mira lives in")[0, -1].softmax(-1)
    best = probabilities.topk(8)
    words = pico.to_str_tokens(best.indices)
    return plots.bars(dict(zip(words, best.values.tolist(), strict=True)), "Mira lives in …", "probability")


def where_they_part() -> go.Figure:
    """Largest difference at every site between the model and three sabotaged copies."""
    tokens = _tokens()
    original = measured.read(_model().hf, tokens)
    series: dict[str, list[float]] = {}
    for said, network in _sabotaged().items():
        other = measured.read(network, tokens)
        series[said] = [(x - other[name]).abs().max().item() for name, x in original.items()]
    short = [name.replace("blocks.", "").replace("hook_", "") for name in original]
    across = "site, in the order of computation"
    figure = plots.lines(short, series, "Where they part", across, "largest difference", log_y=True)
    return figure.update_xaxes(tickangle=-90, tickfont_size=10, dtick=1).update_layout(height=510)


def _sabotaged() -> dict[str, GPT2LMHeadModel]:
    def copied(**settings: Any) -> GPT2LMHeadModel:
        config = copy.deepcopy(_model().hf.config)
        for name, value in settings.items():
            setattr(config, name, value)
        network = GPT2LMHeadModel(config).eval().requires_grad_(False)
        network.load_state_dict(_model().hf.state_dict())
        return network

    shifted = copied()
    shifted.transformer.wpe.weight.data = shifted.transformer.wpe.weight.data.roll(-1, 0)
    return {
        "the exact GELU": copied(activation_function="gelu"),
        "places counted from 1": shifted,
        "eps of 0.01 in the norms": copied(layer_norm_epsilon=1e-2),
    }
