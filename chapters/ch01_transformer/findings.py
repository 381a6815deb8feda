"""What the lesson of chapter 01 says, measured: about the small GPT-2, and about the parts that it is made of.

Each claim answers one question, and returns beside the answer what a control gives: the same quantity where the claim
should fail.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel

from mi_lib import induction, load, zoo
from mi_lib.course import index
from mi_lib.course.findings import claim, mean
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


@functools.cache
def network() -> GPT2LMHeadModel:
    """The patient, as `transformers` has it."""
    model = load(index.chapter("01").model[0])
    assert isinstance(model, TransformersModel)
    return model.hf


@functools.cache
def hooked() -> TransformersModel:
    return TransformersModel(copied(network()))


# --- the network --------------------------------------------------------------------------------------------------


@claim
@torch.no_grad()
def opening() -> dict[str, Any]:
    """How a block that was broken off goes on: "You know how this goes on. So does the network of this chapter".

    Control: its last two words alone, which nothing came before.
    """
    model, words = network(), OPENING.split()
    block = [repeats.VOCABULARY.index(word) for word in words]

    def probability(tokens: list[int]) -> float:
        return model(torch.tensor([[repeats.BOS_TOKEN, *tokens]])).logits[0, -1].softmax(-1)[block[2]].item()

    return {
        "text": f"{OPENING} · {' '.join(words[:2])}",
        "words": len(words),
        "next": words[2],
        "probability": probability([*block, *block[:2]]),
        "control": probability(block[:2]),
    }


@claim
@torch.no_grad()
def bet() -> dict[str, Any]:
    """On first copies: the loss, and what is left of it when the words that were seen already can get nothing:
    "worse than blind guessing, and most of it comes from boldness".

    Controls: what those words would get if all words got the same, and the loss if all others did.
    """
    model, drawn = network(), checks.sample(checks.KNOWN_PERIODS)
    first, logits = drawn.first[:, 1:], model(drawn.tokens).logits
    seen = F.one_hot(drawn.tokens, recipe.D_VOCAB).cumsum(1) > 0
    hidden = logits.masked_fill(seen, -torch.inf)
    loss, without = (induction.per_token_loss(x, drawn.tokens) for x in (logits, hidden))
    unseen = (~seen).sum(-1)[:, :-1][first]
    return {
        **mean("loss", loss, first),
        **mean("loss_without", without, first),
        "even": checks.bet_on_seen_words(lambda tokens: Even(tokens)),
        "loss_even_on_the_rest": unseen.double().log().mean().item(),
    }


class Even:
    """What a network returns that finds all words equally likely."""

    def __init__(self, tokens: Int[Tensor, "batch pos"]) -> None:
        self.logits = torch.zeros(*tokens.shape, recipe.D_VOCAB)


@claim
def numbers_used() -> dict[str, Any]:
    """To guess one word after ten: the share of all numbers in which the guess has a gradient that is more than
    rounding: "To predict one word, how many numbers of its dict does the network use?"

    Controls, which have none: the rows of places that are not reached; the biases of keys, which add the same to all
    scores of a query.
    """
    model = copied(network()).double().requires_grad_(True)
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


@claim
def tables() -> dict[str, Any]:
    """How alike neighbouring places are ("Somewhat: neighbours more than others"), and whether a sum of two rows gives
    away which two they are ("Adding? Does that not mix them up?").

    Controls: places further apart; an untrained table; four of the dimensions alone.
    """
    words, places = (t.weight.detach() for t in (network().transformer.wte, network().transformer.wpe))
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


@claim
@torch.no_grad()
def lengths() -> dict[str, Any]:
    """Mean length of the words' vectors, of the places', and of the stream after each layer:
    "How long is the stream after the last layer, beside the vector of a word with which it began?"
    """
    model = hooked()
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
    return losses_of_copy(model, copies(period, gap), period, gap).mean(0)


@torch.no_grad()
def losses_of_copy(model: Any, drawn: repeats.Repeats, period: int, gap: int) -> Float[Tensor, "text word"]:
    loss = induction.per_token_loss(model(drawn.tokens).logits, drawn.tokens)
    start = drawn.offset + period + gap  # where the loss of the second copy's first word stands
    return loss.gather(1, start[:, None] + torch.arange(period))


def later_losses(model: Any, period: int, gap: int = 0) -> Float[Tensor, " text"]:
    """Loss of a second copy from its third word on: two words are enough to see that it has begun. Mean over words."""
    return losses_of_copy(model, copies(period, gap), period, gap)[:, 2:].mean(1)


def later_words(model: Any, period: int, gap: int = 0) -> float:
    """The mean of that over texts."""
    return later_losses(model, period, gap).mean().item()


def early_and_late(model: Any, period: int, gap: int) -> list[float]:
    """The same for blocks that begin early in the text, and for blocks that begin late."""

    def later(before: int) -> float:
        drawn = repeats.sample(MANY, seed=SEED, period=period, offset=before, distractors=gap, vocab=recipe.D_VOCAB)
        return losses_of_copy(model, drawn, period, gap)[:, 2:].mean().item()

    return [later(before) for before in WORDS_BEFORE]


def gaps(distance: int) -> list[int]:
    """How many words may stand between two copies at this distance, so that the blocks have a length of training."""
    return [gap for gap in GAPS if distance - gap >= min(recipe.PERIODS)]


@claim(slow=True)
def distances() -> dict[str, Any]:
    """Is it the length of a block that counts, or how far back its words stand? Other words between the copies change
    the one and not the other: "So it is the distance that counts, and not the length".

    by_distance: for each distance the loss with 0, 1, ... other words between the copies (see `gaps`).
    """
    model, trained = network(), recipe.PERIODS
    by_distance = {
        distance: [later_words(model, distance - gap, gap) for gap in gaps(distance)]
        for distance in range(min(trained), max(trained) + 3)
    }
    unknown = [distance for distance in by_distance if distance not in trained]
    return {
        "by_distance": by_distance,
        "worst_of_trained": max(max(by_distance[d]) for d in trained),
        "best_of_others": min(min(by_distance[d]) for d in unknown),
        "others": unknown,
        "words_between_at_most": GAPS[-1],
    }


@claim
def seven() -> dict[str, Any]:
    """The length that training left out, and its neighbours, with and without words between the copies: "it has no
    idea"; "the distance is one that it knows"; "not all distances are known equally well"."""
    model, left_out = network(), recipe.HELD_OUT_PERIOD
    return {
        "lengths": list(recipe.PERIODS),
        "left_out": left_out,
        "one_more": left_out + 1,
        "one_less": left_out - 1,
        **mean("seven", later_losses(model, left_out)),
        **mean("eight", later_losses(model, left_out + 1)),
        **mean("seven_and_one_between", later_losses(model, left_out, 1)),
        **mean("six", later_losses(model, left_out - 1)),
        **mean("six_and_one_between", later_losses(model, left_out - 1, 1)),
        **mean("six_and_two_between", later_losses(model, left_out - 1, 2)),
        "words_before": WORDS_BEFORE[1],
        "six_early_and_late": early_and_late(model, left_out - 1, 0),
        "six_and_two_between_early_and_late": early_and_late(model, left_out - 1, 2),
    }


@claim
def ten() -> dict[str, Any]:
    """The words of a second copy of ten, on average over many texts:
    "Which word of the second copy surprises the network most?"
    """
    first, second, *_, last = losses_of_copy(network(), copies(10, 0), 10, 0).T
    return {**mean("first", first), **mean("second", second), **mean("last", last)}


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


@claim
def looks() -> dict[str, Any]:
    """The head that looks most at the word to come, for ten words ("The word after that, nine places back"); and the
    same for every length of block ("Its heads show it too"). Control: the length that was left out."""
    model = hooked()
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


@claim
def stare(keys: int = 20, queries: int = 2000) -> dict[str, Any]:
    """Attention of random queries over random keys as wide as the network's, not divided by √d_head and divided:
    "How much of its attention goes to the best one?"
    """
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


@claim
def other_gelu() -> dict[str, Any]:
    """The exact GELU in place of GPT-2's formula: "The text will read the same, and the activations will not". Control:
    the sound network, computed once more in double precision."""
    x, model = torch.linspace(-8, 8, 160_001, dtype=torch.float64), copied(network())
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


@claim(slow=True)
@torch.no_grad()
def without_a_mask() -> dict[str, Any]:
    """Trained without a mask: the loss on new sequences when it sees the whole, and when the next word is not there
    yet: "It becomes wonderful, and the network is useless".

    Control: the same training with a mask, where the two are one.
    """
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


@claim
@torch.no_grad()
def at_the_start() -> dict[str, Any]:
    """The loss of untrained networks: "Ours does start far above it". It bets on the word that it has just read: its
    table is used at both ends. Controls: that word hidden; words and places as short as GPT-2's are at the start."""
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


@claim(slow=True)
def soon() -> dict[str, Any]:
    """After the first steps of training, as many as between two points of the card's curves: the bets of the network,
    and its loss on first copies of the sequences of these curves: "It falls to blind guessing". Control: `at_the_end`.
    """
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
    }


@claim
def at_the_end() -> dict[str, Any]:
    """The same at the end of training: "and then it rises"."""
    curves = zoo.card(recipe.NAME)["curves"]
    return {"steps": curves["step"][-1], "first": curves["first"][-1], "on_this_word": on_this_word(network())}


@torch.no_grad()
def on_this_word(model: Any) -> float:
    """The mean probability of the word that was just read."""
    tokens = checks.sample(checks.KNOWN_PERIODS).tokens
    return model(tokens).logits.softmax(-1).gather(-1, tokens[..., None]).mean().item()


# --- writing -------------------------------------------------------------------------------------------------------


@claim
@torch.no_grad()
def slips(period: int = 10) -> dict[str, Any]:
    """A second copy from its third word on, drawn word by word from all words: how often another one comes: "Drawing
    from all words makes a slip now and then, and slips add up". Control: a low temperature."""
    model, drawn = network(), copies(period, 0)
    at = (drawn.offset + period)[:, None] + torch.arange(2, period)  # [batch word]: where the logits stand
    logits = model(drawn.tokens).logits.gather(1, at[..., None].expand(-1, -1, recipe.D_VOCAB))
    right = drawn.tokens.gather(1, at + 1)[..., None]
    known, cold = ((logits / t).softmax(-1).gather(-1, right)[..., 0] for t in (1.0, 0.5))
    return {
        "words": period - 2,
        **mean("one_word", 1 - known.mean(1)),
        **mean("whole_copy", 1 - known.prod(1)),
        "temperature": 0.5,
        **mean("whole_copy_cold", 1 - cold.prod(1)),
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


@claim
def last_word() -> dict[str, Any]:
    """What the last word costs, beside the first, read again, and with keys and values kept:
    "What does its last word cost, beside the first?"
    """
    again, kept = operations(network())
    return {"place": len(again), "again": again[-1] / again[0], "kept": kept[-1] / kept[0]}


@claim
def gpt2_small() -> dict[str, int]:
    """The sizes of GPT-2 small, from its configuration in `transformers`; no weights are made: "it is very much
    smaller"."""
    with torch.device("meta"):
        model = GPT2LMHeadModel(GPT2Config())
    made = model.config
    return {"n_layers": made.n_layer, "n_heads": made.n_head, "millions": round(model.num_parameters() / 1e6)}
