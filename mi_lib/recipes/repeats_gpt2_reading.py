"""What the lesson of chapter 01 says, measured: about the small GPT-2, and about the parts that it is made of.

Each function answers one question, and returns beside the answer what a control gives: the same quantity where the
claim should fail.

`python -m mi_lib.recipes.repeats_gpt2_reading` measures it again on the bundled network, and writes it on its card.
With names after it, such as `bet lengths`, it measures those parts alone.
"""

from __future__ import annotations

import copy
import functools
import json
import math
import sys
from collections.abc import Callable, Collection
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel

from mi_lib import induction, load, zoo
from mi_lib.models.transformers_model import TransformersModel
from mi_lib.recipes.repeats_gpt2 import checks
from mi_lib.recipes.repeats_gpt2 import train as recipe
from mi_lib.worlds import repeats

OPENING = "bird bread boat bell"  # a block; its repeat is broken off after two words
SEED, MANY = 72_001, 256  # of new sequences, and how many
UNMASKED_STEPS = 200  # of training without a mask, and of its control
GAPS = range(7)  # other words between two copies
WORDS_BEFORE = (0, 6)  # a block stands early or late in the text
TOLERANCE = 1e-4  # of `first_difference`
NOT_NAMED = ("scale", "attn_scores", "result", "ln1.hook_normalized", "ln2.hook_normalized", "_input", "mlp_in")
ROUNDING = 1e-13  # gradients up to here are none, in double precision: those that are some begin a hundred times higher
SPELLED = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


# --- the network --------------------------------------------------------------------------------------------------


@torch.no_grad()
def opening(model: Any) -> dict[str, Any]:
    """How a block that was broken off goes on. Control: its last two words alone, which nothing came before."""
    words = OPENING.split()
    block = [repeats.VOCABULARY.index(word) for word in words]

    def probability(tokens: list[int]) -> float:
        return model(torch.tensor([[repeats.BOS_TOKEN, *tokens]])).logits[0, -1].softmax(-1)[block[2]].item()

    return {
        "text": f"{OPENING} · {' '.join(words[:2])}",
        "words": SPELLED[len(words)],
        "next": words[2],
        "probability": probability([*block, *block[:2]]),
        "control": probability(block[:2]),
    }


@torch.no_grad()
def bet(model: Any) -> dict[str, float]:
    """On first copies: the loss, and what is left of it when the words that were seen already can get nothing.

    Controls: what those words would get if all words got the same, and the loss if all others did.
    """
    drawn = checks.sample(checks.KNOWN_PERIODS)
    first, logits = drawn.first[:, 1:], model(drawn.tokens).logits
    seen = F.one_hot(drawn.tokens, recipe.D_VOCAB).cumsum(1) > 0
    hidden = logits.masked_fill(seen, -torch.inf)
    with_bet, without = (induction.per_token_loss(x, drawn.tokens)[first].mean().item() for x in (logits, hidden))
    unseen = (~seen).sum(-1)[:, :-1][first]
    return {
        "loss": with_bet,
        "loss_without": without,
        "even": checks.bet_on_seen_words(lambda tokens: Even(tokens)),
        "loss_even_on_the_rest": unseen.double().log().mean().item(),
    }


class Even:
    """What a network returns that finds all words equally likely."""

    def __init__(self, tokens: Int[Tensor, "batch pos"]) -> None:
        self.logits = torch.zeros(*tokens.shape, recipe.D_VOCAB)


def numbers_used(model: Any) -> dict[str, Any]:
    """To guess one word after ten: the share of all numbers in which the guess has a gradient that is more than
    rounding. Controls, which have none: the rows of places that are not reached; the biases of keys, which add the same
    to all scores of a query."""
    model = copied(model).double().requires_grad_(True)
    tokens = repeats.sample(1, seed=SEED, period=10, offset=0, vocab=recipe.D_VOCAB).tokens[:, :11]
    model(tokens).logits[0, -1].log_softmax(-1).max().backward()
    parts = {name: p.grad.abs() > ROUNDING for name, p in model.named_parameters() if p.grad is not None}
    places = parts["transformer.wpe.weight"]
    key_biases = [x.chunk(3)[1] for name, x in parts.items() if name.endswith("c_attn.bias")]
    unused, of = sum(int((~x).sum()) for x in parts.values()), sum(x.numel() for x in parts.values())
    return {
        "share": 1 - unused / of,
        "places": int(places.any(-1).sum()),
        "of_places": len(places),
        "unused": unused,
        "unused_of_places": int((~places).sum()),
        "unused_of_key_biases": sum(int((~x).sum()) for x in key_biases),
        "key_biases": sum(len(x) for x in key_biases),
    }


def tables(model: Any) -> dict[str, Any]:
    """The tables of words and places: how alike neighbouring places are, and whether a sum of two rows gives away
    which two they are. Controls: places further apart; an untrained table; four of the dimensions alone."""
    words, places = (t.weight.detach() for t in (model.transformer.wte, model.transformer.wpe))
    fresh = recipe.new_model(1).transformer.wpe.weight.detach()
    between = (F.normalize(words, dim=1) @ F.normalize(places, dim=1).T).abs().mean().item()
    random = F.normalize(torch.randn(len(words), words.shape[1], generator=torch.Generator().manual_seed(0)), dim=1)
    return {
        "neighbours": apart(places, 1),
        "next_but_one": apart(places, 2),
        "neighbours_untrained": apart(fresh, 1),
        "word_and_place": between,
        "random_and_place": (random @ F.normalize(places, dim=1).T).abs().mean().item(),
        "word_found": found(words, places, words.shape[1])[0],
        "place_found": found(words, places, words.shape[1])[1],
        "few": 4,
        "word_found_in_few": found(words, places, 4)[0],
        "place_found_in_few": found(words, places, 4)[1],
    }


def apart(places: Float[Tensor, "n_ctx d_model"], distance: int) -> float:
    """Mean cosine of the vectors of two places that are so far apart."""
    unit = F.normalize(places, dim=1)
    return (unit @ unit.T).diagonal(distance).mean().item()


def found(
    words: Float[Tensor, "d_vocab d_model"], places: Float[Tensor, "n_ctx d_model"], dims: int
) -> tuple[float, float]:
    """Of all sums of a word and a place: the share in which the largest dot product is that of the right word, and that
    of the right place, in the first dimensions only."""
    words, places = words[:, :dims], places[:, :dims]
    sums = words[:, None] + places
    right_word = (sums @ words.T).argmax(-1) == torch.arange(len(words))[:, None]
    right_place = (sums @ places.T).argmax(-1) == torch.arange(len(places))
    return right_word.float().mean().item(), right_place.float().mean().item()


@torch.no_grad()
def lengths(model: TransformersModel) -> dict[str, float]:
    """Mean length of the words' vectors, of the places', and of the stream after each layer."""
    drawn = repeats.sample(64, seed=SEED, period=10, vocab=recipe.D_VOCAB)
    wanted = ("hook_embed", "hook_pos_embed", "hook_resid_post")
    _, cache = model.run_with_cache(drawn.tokens, lambda name: name.endswith(wanted))
    size = {name: value[:, 1:].norm(dim=-1).mean().item() for name, value in cache.items()}
    after = {f"after_{layer}": size[f"blocks.{layer}.hook_resid_post"] for layer in range(model.cfg.n_layers)}
    word, last = size["hook_embed"], after[f"after_{model.cfg.n_layers - 1}"]
    return {"word": word, "place": size["hook_pos_embed"], **after, "times": last / word}


# --- distances -----------------------------------------------------------------------------------------------------


def copies(period: int, gap: int) -> repeats.Repeats:
    """A block, other words, and the block again, at several places."""
    room = recipe.N_CTX - 1 - 2 * period - gap
    return repeats.sample(
        MANY, seed=SEED, period=period, offset=(0, min(6, room)), distractors=gap, vocab=recipe.D_VOCAB
    )


def loss_by_place(model: Any, period: int, gap: int = 0) -> Float[Tensor, " word"]:
    """Mean loss of each word of a second copy."""
    return loss_of_copy(model, copies(period, gap), period, gap)


@torch.no_grad()
def loss_of_copy(model: Any, drawn: repeats.Repeats, period: int, gap: int) -> Float[Tensor, " word"]:
    loss = induction.per_token_loss(model(drawn.tokens).logits, drawn.tokens)
    start = drawn.offset + period + gap  # where the loss of the second copy's first word stands
    return loss.gather(1, start[:, None] + torch.arange(period)).mean(0)


def later_words(model: Any, period: int, gap: int = 0) -> float:
    """Mean loss of a second copy from its third word on: two words are enough to see that it has begun."""
    return loss_by_place(model, period, gap)[2:].mean().item()


def early_and_late(model: Any, period: int, gap: int) -> list[float]:
    """The same for blocks that begin early in the text, and for blocks that begin late."""

    def later(before: int) -> float:
        drawn = repeats.sample(MANY, seed=SEED, period=period, offset=before, distractors=gap, vocab=recipe.D_VOCAB)
        return loss_of_copy(model, drawn, period, gap)[2:].mean().item()

    return [later(before) for before in WORDS_BEFORE]


def distances(model: Any) -> dict[str, Any]:
    """Is it the length of a block that counts, or how far back its words stand? Other words between the copies change
    the one and not the other."""
    trained, left_out = recipe.PERIODS, recipe.HELD_OUT_PERIOD
    by_distance = {
        distance: [later_words(model, distance - gap, gap) for gap in GAPS if distance - gap >= min(trained)]
        for distance in range(min(trained), max(trained) + 3)
    }
    unknown = [distance for distance in by_distance if distance not in trained]
    return {
        "lengths": f"{', '.join(map(str, trained[:-1]))} or {trained[-1]}",
        "left_out": SPELLED[left_out],
        "one_more": SPELLED[left_out + 1],
        "one_less": SPELLED[left_out - 1],
        "words_before": WORDS_BEFORE[1],
        "six_early_and_late": early_and_late(model, left_out - 1, 0),
        "six_and_two_between_early_and_late": early_and_late(model, left_out - 1, 2),
        "seven": later_words(model, left_out),
        "eight": later_words(model, left_out + 1),
        "seven_and_one_between": later_words(model, left_out, 1),
        "six": later_words(model, left_out - 1),
        "six_and_one_between": later_words(model, left_out - 1, 1),
        "six_and_two_between": later_words(model, left_out - 1, 2),
        "worst_of_trained": max(max(by_distance[d]) for d in trained),
        "best_of_others": min(min(by_distance[d]) for d in unknown),
        "others": ", ".join(map(str, unknown[:-1])) + f" and {unknown[-1]}",
        "words_between_at_most": GAPS[-1],
        "first_word_of_ten": loss_by_place(model, 10)[0].item(),
        "second_word_of_ten": loss_by_place(model, 10)[1].item(),
        "last_word_of_ten": loss_by_place(model, 10)[-1].item(),
    }


@torch.no_grad()
def look_back(model: TransformersModel, period: int) -> tuple[Float[Tensor, "layer head"], Float[Tensor, "layer head"]]:
    """In second copies: the mean attention on the word that comes next, and on the same word one copy earlier."""
    drawn = copies(period, 0)
    _, cache = model.run_with_cache(drawn.tokens, lambda name: name.endswith("hook_pattern"))
    pattern = torch.stack([cache["pattern", layer] for layer in range(model.cfg.n_layers)], 1)
    query = (drawn.offset + period)[:, None] + torch.arange(2, period)  # [batch word]
    rows = pattern[torch.arange(MANY)[:, None], :, :, query]  # [batch word layer head key]
    next_word, same_word = (
        rows.gather(-1, at[..., None, None, None].expand(*rows.shape[:-1], 1))[..., 0].mean((0, 1))
        for at in (query - period + 1, query - period)
    )
    return next_word, same_word


def looks(model: TransformersModel) -> dict[str, Any]:
    """The head that looks most at the word to come, for ten words; and the same for every length of block."""
    next_word, same_word = look_back(model, 10)
    layer, head = divmod(int(next_word.argmax()), model.cfg.n_heads)
    most = {period: look_back(model, period)[0].max().item() for period in (*recipe.PERIODS, recipe.HELD_OUT_PERIOD)}
    return {
        "layer": layer,
        "head": head,
        "next_word": next_word[layer, head].item(),
        "same_word": same_word[layer, head].item(),
        "least_of_trained": min(most[period] for period in recipe.PERIODS),
        "seven": most[recipe.HELD_OUT_PERIOD],
    }


# --- parts ---------------------------------------------------------------------------------------------------------


def stare(keys: int = 20, queries: int = 2000) -> dict[str, Any]:
    """Attention of random queries over random keys as wide as the network's, not divided by √d_head and divided."""
    d_head = recipe.config().n_embd // recipe.config().n_head
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(queries, n, d_head, generator=generator) for n in (1, keys))
    scores = (q * k).sum(-1)

    def described(scores: Float[Tensor, "query key"]) -> dict[str, float]:
        pattern = scores.softmax(-1)
        best = pattern.amax(-1)
        return {
            "best": best.mean().item(),
            "nine_tenths": (best > 0.9).float().mean().item(),
            "under_a_thousandth": (pattern < 1e-3).float().mean().item(),
        }

    return {
        "d_head": d_head,
        "keys": keys,
        "even": 1 / keys,
        "size": math.sqrt(d_head),
        "factor": math.exp(math.sqrt(d_head)),
        "not_divided": described(scores),
        "divided": described(scores / math.sqrt(d_head)),
    }


def copied(model: Any, activation: str = "gelu_new") -> GPT2LMHeadModel:
    """A network of its own with the same weights; "gelu" is the exact one."""
    config = recipe.config()
    config.activation_function = activation
    other = GPT2LMHeadModel(config).eval().requires_grad_(False)
    other.load_state_dict(model.state_dict())
    return other


@torch.no_grad()
def said(model: Any, tokens: Int[Tensor, "batch pos"], new: int) -> Int[Tensor, "batch new"]:
    """The likeliest word, again and again."""
    start = tokens.shape[1]
    for _ in range(new):
        tokens = torch.cat([tokens, model(tokens).logits[:, -1:].argmax(-1)], 1)
    return tokens[:, start:]


def other_gelu(model: Any) -> dict[str, Any]:
    """The exact GELU in place of GPT-2's formula: what becomes of its text, and what of its activations. The control
    is the sound network, computed once more in double precision."""
    x, model = torch.linspace(-8, 8, 160_001, dtype=torch.float64), copied(model)
    tokens = repeats.sample(40, seed=SEED, period=6, offset=0, vocab=recipe.D_VOCAB).tokens[:, :10]
    exact, precise = copied(model, "gelu"), copied(model).double()
    gaps, rounding = (site_gaps(model, other, tokens) for other in (exact, precise))
    off = [gap > TOLERANCE for gap in gaps.values()]
    words, other_words = (said(network, tokens, 20) for network in (model, exact))
    return {
        "curves": (F.gelu(x) - F.gelu(x, approximate="tanh")).abs().max().item(),
        "words": words.numel(),
        "same_words": (words == other_words).float().mean().item(),
        "sites": len(off),
        "sites_off": sum(off),
        "tolerance": TOLERANCE,
        "first_off": list(gaps)[off.index(True)],
        "all_after_it_off": all(off[off.index(True) :]),
        "logits": gaps["logits"],
        "rounding": max(rounding.values()),
    }


@torch.no_grad()
def site_gaps(model: Any, other: Any, tokens: Int[Tensor, "batch pos"]) -> dict[str, float]:
    """The largest difference at each site that exercise 01.14 names, in the order of computation."""
    ours, theirs = (read(network, tokens) for network in (model, other))
    return {name: (x.double() - theirs[name].double()).abs().max().item() for name, x in ours.items()}


def read(model: Any, tokens: Int[Tensor, "batch pos"]) -> dict[str, Tensor]:
    """What exercise 01.14 names, in the order of computation."""
    logits, cache = TransformersModel(model).run_with_cache(tokens, lambda name: not name.endswith(NOT_NAMED))
    return {**dict(cache.items()), "logits": logits}


# --- training ------------------------------------------------------------------------------------------------------


def seeing_all(model: Any, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits of a network without a mask."""
    batch, pos = tokens.shape
    return model(tokens, attention_mask=torch.zeros(batch, 1, pos, pos)).logits


def mean_loss(masked: bool, model: Any, batch: repeats.Repeats) -> Tensor:
    logits = model(batch.tokens).logits if masked else seeing_all(model, batch.tokens)
    return induction.per_token_loss(logits, batch.tokens).mean()


def trained(steps: int, loss_of: Callable[[Any, repeats.Repeats], Tensor]) -> Any:
    """A network after the first steps of the recipe's training, with this loss."""
    model = recipe.new_model(recipe.SEEDS[0]).train()
    decay = recipe.WEIGHT_DECAY
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.LEARNING_RATE, weight_decay=decay, betas=(0.9, 0.98))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate(step)
        loss = loss_of(model, recipe.training_batch(recipe.SEEDS[0], step))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


@torch.no_grad()
def without_a_mask() -> dict[str, float]:
    """Trained without a mask: the loss on new sequences when it sees the whole, and when the next word is not there
    yet. Control: the same training with a mask, where the two are one."""
    tokens = checks.sample(checks.KNOWN_PERIODS).tokens[:128]
    with torch.enable_grad():
        free, masked = (trained(UNMASKED_STEPS, functools.partial(mean_loss, m)) for m in (False, True))
    writing = torch.stack([seeing_all(free, tokens[:, : t + 1])[:, -1] for t in range(tokens.shape[1])], 1)
    return {
        "steps": UNMASKED_STEPS,
        "in_training": induction.per_token_loss(seeing_all(free, tokens), tokens).mean().item(),
        "when_it_writes": induction.per_token_loss(writing, tokens).mean().item(),
        "with_a_mask": induction.per_token_loss(masked(tokens).logits, tokens).mean().item(),
    }


@torch.no_grad()
def at_the_start() -> dict[str, float]:
    """The loss of untrained networks. Ours bets on the word that it has just read: its table is used at both ends.
    Controls: that word hidden; words and places as short as GPT-2's are at the start."""
    drawn = checks.sample(checks.KNOWN_PERIODS)
    ours = recipe.new_model(recipe.SEEDS[0]).eval()
    short = copy.deepcopy(ours)
    for table in (short.transformer.wte, short.transformer.wpe):
        table.weight.mul_(short.config.initializer_range / recipe.INITIAL_SIZE)
    logits, here = ours(drawn.tokens).logits, drawn.tokens[..., None]
    hidden = logits.scatter(-1, here, -torch.inf)

    def loss(x: Tensor) -> float:
        return induction.per_token_loss(x, drawn.tokens).mean().item()

    return {
        "loss": loss(logits),
        "on_this_word": on_this_word(ours),
        "loss_without_this_word": loss(hidden),
        "size": recipe.INITIAL_SIZE,
        "gpt2_size": short.config.initializer_range,
        "loss_at_gpt2_size": loss(short(drawn.tokens).logits),
    }


def soon(model: Any) -> dict[str, float]:
    """After the first steps of training, as many as between two points of the card's curves: the bets of the network,
    and its loss on first copies of the sequences of these curves. Control: the same bet of the trained network."""
    early = trained(recipe.RECORD_EVERY, recipe.training_loss)
    curves: dict[str, list] = {"step": [], "first": [], "second": []}
    sample = repeats.sample(64, seed=70_000, period=recipe.PERIODS[3:], offset=(0, 6), vocab=recipe.D_VOCAB)
    recipe.record(early, sample, recipe.RECORD_EVERY, curves)
    return {
        "steps": recipe.RECORD_EVERY,
        "first": curves["first"][0],
        "on_this_word": on_this_word(early),
        "even": 1 / recipe.D_VOCAB,
        "on_seen_words": checks.bet_on_seen_words(early),
        "on_this_word_at_the_end": on_this_word(model),
    }


@torch.no_grad()
def on_this_word(model: Any) -> float:
    """The mean probability of the word that was just read."""
    tokens = checks.sample(checks.KNOWN_PERIODS).tokens
    return model(tokens).logits.softmax(-1).gather(-1, tokens[..., None]).mean().item()


# --- writing -------------------------------------------------------------------------------------------------------


@torch.no_grad()
def slips(model: Any, period: int = 10) -> dict[str, Any]:
    """A second copy from its third word on, drawn word by word from all words: how often another one comes. The
    control is a low temperature."""
    drawn = copies(period, 0)
    at = (drawn.offset + period)[:, None] + torch.arange(2, period)  # [batch word]: where the logits stand
    logits = model(drawn.tokens).logits.gather(1, at[..., None].expand(-1, -1, recipe.D_VOCAB))
    right = drawn.tokens.gather(1, at + 1)[..., None]
    known, cold = ((logits / t).softmax(-1).gather(-1, right)[..., 0] for t in (1.0, 0.5))
    return {
        "words": period - 2,
        "one_word": 1 - known.mean().item(),
        "whole_copy": 1 - known.prod(1).mean().item(),
        "temperature": 0.5,
        "whole_copy_cold": 1 - cold.prod(1).mean().item(),
    }


@torch.no_grad()
def operations(model: Any) -> tuple[list[float], list[float]]:
    """Million multiplications and additions for each further word, as torch counts them: reading everything again, and
    with keys and values kept."""
    model = copied(model)
    model.set_attn_implementation("eager")  # of a fused attention torch counts nothing
    n = model.config.n_positions
    tokens = repeats.sample(1, seed=2025, period=10, offset=0, copies=9, vocab=model.config.vocab_size).tokens[:, :n]
    again: list[float] = []
    kept: list[float] = []
    past = None
    for i in range(n):
        with FlopCounterMode(display=False) as counter:
            past = model(tokens[:, i : i + 1], past_key_values=past, use_cache=True).past_key_values
        kept.append(counter.get_total_flops() / 1e6)
        with FlopCounterMode(display=False) as counter:
            model(tokens[:, : i + 1], use_cache=False)
        again.append(counter.get_total_flops() / 1e6)
    return again, kept


def last_word(model: Any) -> dict[str, float]:
    """What the last word costs, beside the first: read again, and with keys and values kept."""
    again, kept = operations(model)
    return {"place": len(again), "again": again[-1] / again[0], "kept": kept[-1] / kept[0]}


def gpt2_small() -> dict[str, int]:
    """The sizes of GPT-2 small, from its configuration in `transformers`; no weights are made."""
    with torch.device("meta"):
        model = GPT2LMHeadModel(GPT2Config())
    made = model.config
    return {"n_layers": made.n_layer, "n_heads": made.n_head, "millions": round(model.num_parameters() / 1e6)}


def measure(model: Any, only: Collection[str] = ()) -> dict[str, Any]:
    """Everything, for the card, or what is named. model: the network as `transformers` has it."""
    hooked = TransformersModel(copied(model))
    parts: dict[str, Callable[[], Any]] = {
        "gpt2_small": gpt2_small,
        "opening": lambda: opening(model),
        "bet": lambda: bet(model),
        "numbers_used": lambda: numbers_used(model),
        "tables": lambda: tables(model),
        "lengths": lambda: lengths(hooked),
        "distances": lambda: distances(model),
        "looks": lambda: looks(hooked),
        "stare": stare,
        "other_gelu": lambda: other_gelu(model),
        "without_a_mask": without_a_mask,
        "at_the_start": at_the_start,
        "soon": lambda: soon(model),
        "slips": lambda: slips(model),
        "last_word": lambda: last_word(model),
    }
    if unknown := set(only) - set(parts):
        raise ValueError(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    return {name: part() for name, part in parts.items() if not only or name in only}


def main() -> None:
    file = zoo.folder(recipe.NAME) / "card.json"
    card = json.loads(file.read_text())
    measured = measure(load(recipe.NAME).hf, sys.argv[1:])  # type: ignore[attr-defined]
    card["reading"] = {**card.get("reading", {}), **measured}
    file.write_text(json.dumps(card, separators=(",", ":")) + "\n")
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
