"""Exact edge patching: change what one part says to another, and let everything after it follow.

What a receiver reads is the sum of what all senders before it wrote (`mi_lib.models.graph`). To patch an edge:

    1. run the corrupted prompt and keep what each sender writes
    2. run the clean prompt; where the receiver reads, take the sender's summand away and put the corrupted one there
    3. compute the receiver, and all that comes after it, anew; everybody else reads the stream as it is

So an edge carries the direct word of one part to one other, and q, k and v of a head are three readers (Conmy et al.
2023, arXiv 2304.14997, section 3). This is what the quick methods approximate (Syed et al. 2023, arXiv 2310.10348).

attention_mask, in all of these: [batch pos], of both prompts, False at padding; `patch_edges` and `edge_effects` take
texts too, which bring their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.attribution.pairs import Metric, metric_range, read_pairs
from mi_lib.models import Hook, HookedModel
from mi_lib.models.graph import EMBED, LOGITS, POS_EMBED, Edge, all_edges, check_edge, head_of

Stream = Float[Tensor, "batch pos d_model"]


def sender_outputs(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    senders: Iterable[str],
    *,
    attention_mask: Tensor | None = None,
) -> dict[str, Float[Tensor, "batch pos d_model"]]:
    """What each of these senders writes to the residual stream.

    ValueError for a model that norms what is written (Gemma 2 and 3).
    """
    check_writers(model)
    said: dict[str, Stream] = {}
    with torch.no_grad():
        model.run_with_hooks(tokens, [_keep(name, said) for name in dict.fromkeys(senders)], attention_mask)
    return said


def run_edges(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    instead: Mapping[Edge, Float[Tensor, "batch pos d_model"]],
    *,
    attention_mask: Tensor | None = None,
) -> Float[Tensor, "batch pos d_vocab"]:
    """Logits of a run in which some edges carry something else.

    instead: for each edge, what its receiver reads in place of what its sender writes in this run: what the sender
        wrote in another run (patching), a mean, or zeros (removing). Several edges at once are changed in one run, so
        that a sender may say something else because of an edge before it.
    ValueError for an edge that the model cannot have, and for no edge at all.
    """
    if not instead:
        raise ValueError("no edge was given, so that nothing would change; name at least one")
    check_writers(model)
    known = set(all_edges(model.cfg))
    for edge in instead:
        if edge not in known:
            check_edge(edge, model.cfg)
    said: dict[str, Stream] = {}
    edits = [_keep(name, said) for name in dict.fromkeys(edge.sender for edge in instead)]
    edits += [_exchange(name, instead, said, model) for name in dict.fromkeys(edge.receiver for edge in instead)]
    with torch.no_grad():
        return model.run_with_hooks(tokens, edits, attention_mask)


def patch_edges(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    edges: Iterable[Edge],
    *,
    attention_mask: Tensor | None = None,
) -> Float[Tensor, "batch pos d_vocab"]:
    """Logits of the clean run in which these edges carry what their senders wrote in the corrupted run, everywhere.

    ValueError for prompts of unequal shape, an edge that the model cannot have, or no edge.
    """
    edges = list(edges)
    clean, corrupted, mask = read_pairs(model, clean, corrupted, attention_mask)
    said = sender_outputs(model, corrupted, [edge.sender for edge in edges], attention_mask=mask)
    return run_edges(model, clean, {edge: said[edge.sender] for edge in edges}, attention_mask=mask)


def edge_effects(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    metric: Metric,
    edges: Iterable[Edge] | None = None,
    *,
    attention_mask: Tensor | None = None,
) -> dict[Edge, Float[Tensor, " batch"]]:
    """How far patching each edge alone takes the metric from the clean run to the corrupted one, for each pair.

    (m_clean − m_patched) / (m_clean − m_corrupted): 0 for no change, 1 for all of it; it may be larger, or negative.
    edges: all that the model can have, if None. One run for each receiver, in which each of its senders has rows of its
        own; the metric is called with the rows of one sender, in the order of the pairs.
    ValueError where the metric is the same in both runs, which leaves nothing to explain, and as `patch_edges`.
    """
    clean, corrupted, mask = read_pairs(model, clean, corrupted, attention_mask)
    edges = all_edges(model.cfg) if edges is None else list(edges)
    for edge in edges:
        check_edge(edge, model.cfg)
    names = [edge.sender for edge in edges]
    with torch.no_grad():
        start, end = metric(model(clean, mask)), metric(model(corrupted, mask))
        whole = metric_range(start, end)
        before, after = (sender_outputs(model, tokens, names, attention_mask=mask) for tokens in (clean, corrupted))
        # What leaves the block before, since an outer edit of resid_pre will be made in the rows too.
        _, kept = model.run_with_cache(clean, lambda name: name.endswith("hook_resid_post"), attention_mask=mask)
        streams = [model(clean, mask, stop_at_layer=0), *kept.values()]
        effects: dict[Edge, Tensor] = {}
        for receiver in dict.fromkeys(edge.receiver for edge in edges):
            into = [edge for edge in edges if edge.receiver == receiver]
            # Rows of one run: the whole batch for the first sender, for the second, … What a sender says is clean in
            # each, and so is all before the receiver's layer.
            by = torch.cat([after[edge.sender] - before[edge.sender] for edge in into])
            layer = layer_of_reader(receiver, model)
            tokens, rows = (None if t is None else t.repeat(len(into), 1) for t in (clean, mask))
            with model.hooks([add_to_reader(receiver, partial(_same, by), model)]):
                logits = model(tokens, rows, start_at_layer=layer, residual=streams[layer].repeat(len(into), 1, 1))
            patched = [metric(rows) for rows in logits.split(len(clean))]
            effects |= {edge: (start - now) / whole for edge, now in zip(into, patched, strict=True)}
    return {edge: effects[edge] for edge in edges}


def check_writers(model: HookedModel) -> None:
    """ValueError for a model in which a head has no summand of its own in the stream."""
    if model.post_norm(0, "attn") is not None or model.post_norm(0, "mlp") is not None:
        raise ValueError(
            "this model norms what attention and MLP write (Gemma 2 and 3), so that a head has no summand of "
            "its own in the stream; choose a model without norms there"
        )


Edit = tuple[str | tuple, Callable[[Tensor, Hook], Tensor | None]]


def _keep(sender: str, said: dict[str, Stream]) -> Edit:
    """Note what a sender writes when it writes it."""
    head = head_of(sender)

    def keep(value: Tensor, hook: Hook) -> None:
        said[sender] = (value[:, :, head[1]] if head else value).detach().clone()

    if sender in (EMBED, POS_EMBED):
        return f"hook_{sender}", keep
    return (("result", head[0]) if head else ("mlp_out", int(sender[1:]))), keep


def layer_of_reader(receiver: str, model: HookedModel) -> int:
    """The block in which a receiver reads; the last one for the logits, which read what leaves it."""
    head = head_of(receiver)
    return model.cfg.n_layers - 1 if receiver == LOGITS else head[0] if head else int(receiver[1:])


def _same(value: Stream) -> Stream:
    return value


def _exchange(receiver: str, instead: Mapping[Edge, Stream], said: Mapping[str, Stream], model: HookedModel) -> Edit:
    """Exchange the summands of a receiver's changed edges. What senders say in this run is known when it reads."""
    into = [edge for edge in instead if edge.receiver == receiver]
    return add_to_reader(
        receiver, lambda: torch.stack([instead[edge] - said[edge.sender] for edge in into]).sum(0), model
    )


def add_to_reader(receiver: str, what: Callable[[], Stream], model: HookedModel) -> Edit:
    """An edit that adds something to what one receiver reads; it is asked for when the receiver is reached."""
    head = head_of(receiver)
    # Heads that share keys and values read them once.
    shared = model.cfg.n_heads // model.cfg.kv_heads if receiver[-1] in "kv" else 1

    def add(value: Tensor, hook: Hook) -> Tensor:
        if not head:
            return value + what()
        value[:, :, head[1] // shared] += what()
        return value

    layer = layer_of_reader(receiver, model)
    if receiver == LOGITS:
        return ("resid_post", layer), add
    return (f"{receiver[-1]}_input" if head else "mlp_in", layer), add
