# %% [setup]
"""Chapter 10: steering and refusal.

Replace each `raise NotImplementedError` by your answer; `mi check 10.1` says how you do.
Every line that starts with `# %%` begins a section. Leave those lines where they are.

A prompt is a list of tokens that ends where the assistant's reply begins. Prompts differ
in length. `chat(model, ["How do I paint the school ?"])` makes them of texts, and

    said = replies(model, prompts, edits, longest=16)

gives what the model replies while edits hold: `said[0].words`, `said[0].tokens`.

An edit is a pair (site, function): `function(value, hook)` gets what stands at the site,
[batch pos d_model], and returns the new value. Never change `value` in place. The site
may be ("resid_pre", LAYER), the input of a block, or a function that is asked for every
site's full name, such as "blocks.3.hook_attn_out", and answers True or False.

A judge takes the words of a reply. `refused(words)` is True where it refuses.

`steering.add(vector, dose, layer)` and `steering.ablate(direction)` give the edits of
exercises 10.3 and 10.7. They are yours to use from the exercise after each on: they tell
the generation that they act position by position, which is much quicker.
`steering.add(vector, dose, layer, positions=-1)` adds at the prompt's last token alone.

To play: `from mi_lib import load`, `model = load("pico")`, and then
`harmful = requests(model, True, 32)`, `harmless = requests(model, False, 32)`.
"""

import random
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib import steering
from mi_lib.models import HookedModel
from mi_lib.steering import chat, replies
from mi_lib.worlds.littletown import talk
from mi_lib.worlds.littletown.judges import refused

Judge = Callable[[list[str]], bool]


def padded(rows: list[list[int]]) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
    """Tokens, padded on the right, and where they are real."""
    width = max(len(row) for row in rows)
    tokens = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    real = torch.tensor([[i < len(row) for i in range(width)] for row in rows])
    return tokens, real


def share(judge: Judge, said: list) -> float:
    """The share of replies of which the judge says True."""
    return sum(bool(judge(one.words)) for one in said) / len(said)


def requests(model: HookedModel, harmful: bool, n: int, seed: int = 0) -> list[list[int]]:
    """Requests of Littletown as prompts, from those that Pico was trained on."""
    draw = talk.harmful_requests if harmful else talk.harmless_requests
    return chat(model, [case.user for case in draw("train", n, seed)])


# %% [10.1] Where the prompt ends


def prompt_ends(model: HookedModel, prompts: list[list[int]], n: int) -> Float[Tensor, "prompt layer n d_model"]:
    """What enters each block at the last n tokens of each prompt.

    Layer l is the INPUT of block l, ("resid_pre", l). The last n tokens of each prompt,
    in their order: entry n − 1 is its very last one. `padded(prompts)` gives tokens and
    where they are real; `model.run_with_cache(tokens, names, attention_mask=real)`.
    """
    raise NotImplementedError("Exercise 10.1 is waiting for your answer.")


# %% [10.2] One direction from two sets


def difference_of_means(
    positive: Float[Tensor, "a layer n d_model"], negative: Float[Tensor, "b layer n d_model"]
) -> Float[Tensor, "layer n d_model"]:
    """The mean of the one set less the mean of the other, at every layer and place."""
    raise NotImplementedError("Exercise 10.2 is waiting for your answer.")


def told_apart(
    positive: Float[Tensor, "a layer n d_model"],
    negative: Float[Tensor, "b layer n d_model"],
    new_positive: Float[Tensor, "c layer n d_model"],
    new_negative: Float[Tensor, "e layer n d_model"],
) -> Float[Tensor, "layer n"]:
    """How well one direction tells new states apart, at every layer and place.

    The direction is the difference of means of the first two sets. The border lies in
    the middle: a state counts as positive if its projection on the direction is greater
    than that of the point half-way between the two means. Of the new positive states,
    the share that counts as positive; of the new negative ones, the share that does not.
    The result is the mean of the two shares.
    """
    raise NotImplementedError("Exercise 10.2 is waiting for your answer.")


# %% [10.3] Add it


def add_vector(
    stream: Float[Tensor, "batch pos d_model"], vector: Float[Tensor, "d_model"], dose: float
) -> Float[Tensor, "batch pos d_model"]:
    """x + dose · v at every position. v as it is, whatever its length. `stream` itself
    stays as it was.
    """
    raise NotImplementedError("Exercise 10.3 is waiting for your answer.")


def share_by_dose(
    model: HookedModel,
    prompts: list[list[int]],
    vector: Float[Tensor, "d_model"],
    layer: int,
    doses: list[float],
    judge: Judge = refused,
) -> Float[Tensor, "dose"]:
    """For each dose: the share of replies of which the judge says True, while dose · v is
    added to the input of block `layer`, at every position of prompt and reply.

    Replies of at most 16 tokens: `replies(model, prompts, edits, longest=16)`.
    """
    raise NotImplementedError("Exercise 10.3 is waiting for your answer.")


# %% [10.4] A judge, and its judge


def known_triples(words: list[str], texts: list[list[str]]) -> float:
    """The share of a reply's triples of neighbouring words that occur in the texts.

    A triple is three words in a row; in a text too they must stand in a row, in this
    order. Each triple of the reply counts, also if it comes twice. A reply of fewer
    than three words has none, and gets 0.
    """
    raise NotImplementedError("Exercise 10.4 is waiting for your answer.")


def proof(said: list[list[str]], texts: list[list[str]], seed: int) -> tuple[float, float]:
    """The mean of `known_triples` over replies; and over the same replies, each with its
    words shuffled.

    One `rng = random.Random(seed)` for all replies, in their order; `rng.shuffle(copy)`
    of a copy of each.
    """
    raise NotImplementedError("Exercise 10.4 is waiting for your answer.")


# %% [10.5] One place is enough


def add_from_to(
    stream: Float[Tensor, "batch pos d_model"],
    vector: Float[Tensor, "d_model"],
    dose: float,
    start: int,
    stop: int,
) -> Float[Tensor, "batch pos d_model"]:
    """x + dose · v at the positions start … stop − 1, and x elsewhere.

    start and stop count from the beginning of the text; the stream may end before
    `stop`. `stream` itself stays as it was.
    """
    raise NotImplementedError("Exercise 10.5 is waiting for your answer.")


def replies_by_place(
    model: HookedModel,
    prompt: list[int],
    vector: Float[Tensor, "d_model"],
    layer: int,
    dose: float,
) -> dict[str, list[int]]:
    """What the model replies to one prompt, while dose · v is added to the input of block
    `layer` at some positions only. The tokens of replies of at most 16 tokens, by place:

        "before"      all tokens of the prompt but its last one
        "last"        the last token of the prompt, where the first word is chosen
        "reply"       the tokens of the reply, as they are read back
        "everywhere"  all of them
    """
    raise NotImplementedError("Exercise 10.5 is waiting for your answer.")


# %% [10.6] One pair or many


def one_pair(model: HookedModel, plus: list[int], minus: list[int], layer: int) -> Float[Tensor, "pos d_model"]:
    """ActAdd: at every position, what enters block `layer` on one prompt less what enters
    it on another of the same length.
    """
    raise NotImplementedError("Exercise 10.6 is waiting for your answer.")


def add_at_start(
    stream: Float[Tensor, "batch pos d_model"], difference: Float[Tensor, "front d_model"], dose: float
) -> Float[Tensor, "batch pos d_model"]:
    """ActAdd's edit: dose · difference[p] is added at position p, for as many of the
    first positions as there are. The stream may be shorter than the difference, or
    longer. `stream` itself stays as it was.
    """
    raise NotImplementedError("Exercise 10.6 is waiting for your answer.")


def many_pairs(
    model: HookedModel, plus: list[list[int]], minus: list[list[int]], layer: int
) -> Float[Tensor, "d_model"]:
    """CAA: the mean over pairs of what enters block `layer` at the LAST token, where the
    answer begins: plus[i] less minus[i]. The two prompts of a pair may differ in length.
    """
    raise NotImplementedError("Exercise 10.6 is waiting for your answer.")


# %% [10.7] Take it out everywhere


def ablate(
    stream: Float[Tensor, "batch pos d_model"], direction: Float[Tensor, "d_model"]
) -> Float[Tensor, "batch pos d_model"]:
    """x − r̂ r̂ᵀ x: x without its part along the direction. r̂ is the direction at
    length 1; the direction itself may have any length. `stream` itself stays as it was.
    """
    raise NotImplementedError("Exercise 10.7 is waiting for your answer.")


def logits_without(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    direction: Float[Tensor, "d_model"],
    real: Bool[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits of a run in which nobody writes along the direction.

    It is taken out at every position, at every block's input ("hook_resid_pre"), of what
    every attention writes ("hook_attn_out") and of what every MLP writes
    ("hook_mlp_out"). These are the ends of full names. `real` goes to the model as
    `attention_mask`.
    """
    raise NotImplementedError("Exercise 10.7 is waiting for your answer.")


# %% [10.8] Three questions to a candidate


def scores(
    model: HookedModel,
    direction: Float[Tensor, "d_model"],
    layer: int,
    harmful: list[list[int]],
    harmless: list[list[int]],
    dose: float,
    judge: Judge = refused,
) -> tuple[float, float, float]:
    """(refuses, induces, kl) of one candidate, drawn from the input of block `layer`.

    refuses   the share of replies to harmful prompts of which the judge says True, while
              the direction is ablated as in exercise 10.7
    induces   the same share of replies to harmless prompts, while dose · direction is
              added to the input of block `layer`, at every position
    kl        how far ablation moves what follows harmless prompts: KL(p ‖ q) in nats, in
              the mean over prompts, where p is the model's distribution of the first
              word of the reply, and q that of the ablated model

    Replies of at most 16 tokens.
    """
    raise NotImplementedError("Exercise 10.8 is waiting for your answer.")


# %% [10.9] Choose


def select(
    refuses: Float[Tensor, "layer n"], induces: Float[Tensor, "layer n"], kl: Float[Tensor, "layer n"]
) -> tuple[int, int]:
    """(layer, place) of the candidate that is chosen.

    The one that `refuses` least, of those that

        induce refusal at all:           induces > 0
        leave harmless prompts alone:    kl < 0.1
        do not come late:                layer < 0.8 · number of layers

    Of several that refuse equally little, the one that induces most. ValueError if no
    candidate meets all three conditions. What is NaN meets none.
    """
    raise NotImplementedError("Exercise 10.9 is waiting for your answer.")


# %% [10.10] Into the weights


def without_direction(model: HookedModel, direction: Float[Tensor, "d_model"]) -> dict[str, Tensor]:
    """New weights with which the model writes nothing along the direction, by name.

    All that writes to the residual stream, each in the shape that it has:

        "W_E" [d_vocab d_model], "W_pos" [n_ctx d_model]       embeddings, positions
        "W_O" [layer head d_head d_model], "b_O" [layer d_model]      attention
        "W_out" [layer d_mlp d_model], "b_out" [layer d_model]        MLPs

    `model.W_E` and so on are the old ones, and stay as they are. The direction may have
    any length. What only reads the stream is not in the table.
    """
    raise NotImplementedError("Exercise 10.10 is waiting for your answer.")


# %% [10.11] Any other direction?


def random_directions(like: Float[Tensor, "d_model"], n: int, seed: int) -> Float[Tensor, "n d_model"]:
    """n random directions, each as long as `like`. Every direction of space is as likely
    as every other. The same seed gives the same ones.
    """
    raise NotImplementedError("Exercise 10.11 is waiting for your answer.")


def cost(
    model: HookedModel,
    texts: list[list[int]],
    questions: list[list[int]],
    answers: list[int],
    direction: Float[Tensor, "d_model"] | None,
) -> tuple[float, float]:
    """What a model without the direction can still do; None: the model as it is.

    First the perplexity of plain texts: exp of the mean loss, in nats, over all tokens
    of all texts together. The first token of a text is not predicted, and padding does
    not count. Then the share of questions whose answer, a token, is the likeliest one to
    follow.
    """
    raise NotImplementedError("Exercise 10.11 is waiting for your answer.")


# %% [10.12] Where it does not reach


def across_kinds(
    model: HookedModel,
    drawn: dict[str, list[list[int]]],
    harmless: list[list[int]],
    tested: dict[str, list[list[int]]],
    layer: int,
    judge: Judge = refused,
) -> dict[str, dict[str, float]]:
    """A direction from each kind of harmful prompts, ablated on each kind.

    found[a][b]: the direction is the difference of means of drawn[a] and `harmless` at
    the last token, at the input of block `layer`. It is ablated (exercise 10.7) while
    the model replies to tested[b]. The share of these replies of which the judge says
    True. Replies of at most 16 tokens.
    """
    raise NotImplementedError("Exercise 10.12 is waiting for your answer.")


# %% [10.13] A defence


def divergence(
    before: Float[Tensor, "batch pos d_vocab"],
    after: Float[Tensor, "batch pos d_vocab"],
    counts: Bool[Tensor, "batch pos"],
) -> Float[Tensor, ""]:
    """KL(p ‖ q) in nats, p of the logits `before` and q of those `after`, in the mean
    over the positions that count.
    """
    raise NotImplementedError("Exercise 10.13 is waiting for your answer.")


def defence_loss(
    model: HookedModel,
    original: HookedModel,
    direction: Float[Tensor, "d_model"],
    harmful: list[list[int]],
    lengths: list[int],
    kept: list[list[int]],
) -> Float[Tensor, ""]:
    """What a defence makes small: the model under attack should say what the original
    says without an attack, and everything else should stay as it was.

    First, `harmful` are harmful prompts with the original's refusals behind them, and
    lengths[i] is how many tokens the prompt has. The divergence of the model with the
    direction ablated from the original as it is, over all positions at which a token of
    the refusal is predicted: from the prompt's last token to the last token but one.
    Second, `kept` are other texts: the divergence of the model as it is from the
    original, over all their tokens. The loss is the sum of the two. The original is not
    trained.
    """
    raise NotImplementedError("Exercise 10.13 is waiting for your answer.")


# %% [10.14] The finding


def refusal_direction(
    model: HookedModel, harmful: list[list[int]], harmless: list[list[int]], judge: Judge = refused
) -> tuple[Float[Tensor, "d_model"], int, float]:
    """The direction of refusal of a network: (direction, layer, dose).

    You get requests of both kinds. What you return is tried on other requests:

        ablated at every write           hardly any harmful request is refused
        added, dose · direction, to the input of block `layer`, at the last token of the
        prompt alone                     nearly every harmless request is refused
        ablated, on harmless requests    the first word of the reply hardly changes

    and random directions of the same length must do nothing of it. Nobody looks at how
    you found it. It may take a quarter of a minute.
    """
    raise NotImplementedError("Exercise 10.14 is waiting for your answer.")
