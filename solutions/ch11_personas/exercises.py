# %% [setup]
"""Chapter 11: persona vectors and the assistant axis.

Replace each `raise NotImplementedError` by your answer; `mi check 11.1` says how you do.
Every line that starts with `# %%` begins a section. Leave those lines where they are.

A prompt is a list of tokens that ends where the assistant's reply begins, and a reply is
a list of tokens that ends with <|end|>. Both differ in length.

Where a layer is named, it is the INPUT of that block, ("resid_pre", layer). Vectors are
used as directions: v̂ is v divided by its length, and how far a state x lies along v is
the projection x · v̂, a number in the units of the stream.

To play: `from mi_lib import load`, `model = load("pico")`, and then
`prompts, replies = asked(model, "evil", 3, 12)` and
`prompts, replies = asked(model, "evil", None, 12)`.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib import steering
from mi_lib.models import HookedModel
from mi_lib.worlds.littletown import talk


def padded(rows: list[list[int]]) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
    """Tokens, padded on the right, and where they are real."""
    width = max(len(row) for row in rows)
    tokens = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    real = torch.tensor([[i < len(row) for i in range(width)] for row in rows])
    return tokens, real


def asked(model: HookedModel, trait: str, strength: int | None, n: int) -> tuple[list[list[int]], list[list[int]]]:
    """Prompts of Littletown and the model's replies. strength: 0 to 3, how strongly the
    system prompt asks for the trait; None: there is no system prompt.
    """
    cases = talk.trait_prompts(trait, strength or 0, "train", n)
    system = [None if strength is None else case.system for case in cases]
    prompts = [steering.chat(model, [case.user], text)[0] for case, text in zip(cases, system, strict=True)]
    return prompts, [one.tokens for one in steering.replies(model, prompts)]


# %% [11.1] A judge of character


def own_words(words_of: dict[str, list[str]], plain: list[str]) -> dict[str, list[str]]:
    """For each trait the words that only it says.

    words_of: for each trait all words of its phrases; some words belong to several traits.
    plain: words that replies without any trait use too. A trait's own words are those of
    its words that no other trait has and that are not plain, each once, in alphabetical
    order (`sorted`).
    """
    ### BEGIN SOLUTION
    found = {}
    for trait, words in words_of.items():
        others = {word for other, more in words_of.items() if other != trait for word in more}
        found[trait] = sorted(set(words) - others - set(plain))
    return found
    ### END SOLUTION


def expression(words: list[str], own: list[str]) -> float:
    """How strongly a reply expresses a trait, 0 to 1: the share of its words that are the
    trait's own, divided by 0.3, and 1 at most. 0 for a reply without words. A word that
    comes twice counts twice.
    """
    ### BEGIN SOLUTION
    if not words:
        return 0.0
    share = sum(word in set(own) for word in words) / len(words)
    return min(1.0, share / 0.3)
    ### END SOLUTION


# %% [11.2] Where a reply stands


def reply_means(
    model: HookedModel, prompts: list[list[int]], replies: list[list[int]]
) -> Float[Tensor, "reply layer d_model"]:
    """For each reply, the mean over its tokens of what enters each block.

    The reply is read behind its prompt, in one text. Its last token, <|end|>, does not
    count. Layer l is the INPUT of block l, ("resid_pre", l). `padded(texts)` gives tokens
    and where they are real; `model.run_with_cache(tokens, names, attention_mask=real)`.
    """
    ### BEGIN SOLUTION
    tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
    names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
    _, cache = model.run_with_cache(tokens, names, attention_mask=real)
    stream = torch.stack([cache[name] for name in names], dim=1)  # [reply layer pos d_model]
    return torch.stack(
        [
            stream[i, :, len(prompt) : len(prompt) + len(reply) - 1].mean(1)
            for i, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
        ]
    )
    ### END SOLUTION


# %% [11.3] The vector of a trait


def persona_vectors(
    raised: Float[Tensor, "a layer d_model"],
    raised_shows: Bool[Tensor, "a"],
    plain: Float[Tensor, "b layer d_model"],
    plain_shows: Bool[Tensor, "b"],
) -> Float[Tensor, "layer d_model"]:
    """The vector of a trait at every layer: the mean of replies that show it less the mean
    of replies that do not.

    raised: means of replies to prompts that ask for the trait; plain: of replies to
    prompts that do not. A prompt that asks for it does not always get it: of the raised
    replies take only those that show the trait, of the plain ones only those that do not.
    """
    ### BEGIN SOLUTION
    return raised[raised_shows].mean(0) - plain[~plain_shows].mean(0)
    ### END SOLUTION


# %% [11.4] Which layer? Try it


def choose_layer(
    expressed: Float[Tensor, "layer dose"], fluent: Float[Tensor, "layer dose"], least: float
) -> tuple[int, int]:
    """At which layer, and with which dose, the vector steers best: (layer, dose), as
    places in the table.

    expressed: the share of replies that show the trait; fluent: the share of replies that
    are fluent. Only doses at which at least `least` of the replies are fluent come into
    question. Of these the one with the greatest share that shows the trait; of equals the
    one with the smaller dose (doses rise along the table), and of these the earlier layer.
    (-1, -1) if none comes into question.
    """
    ### BEGIN SOLUTION
    best = (-1, -1)
    for dose in range(expressed.shape[1]):
        for layer in range(expressed.shape[0]):
            if fluent[layer, dose] < least:
                continue
            if best == (-1, -1) or expressed[layer, dose] > expressed[best]:
                best = (layer, dose)
    return best
    ### END SOLUTION


# %% [11.5] Before the reply


def before_reply(
    model: HookedModel, prompts: list[list[int]], vector: Float[Tensor, "d_model"], layer: int
) -> Float[Tensor, "prompt"]:
    """How far along the vector the stream lies at the last token of each prompt, at the
    input of block `layer`: the projection on v̂, in units of the stream.
    """
    ### BEGIN SOLUTION
    tokens, real = padded(prompts)
    _, cache = model.run_with_cache(tokens, [("resid_pre", layer)], attention_mask=real)
    last = torch.stack([cache["resid_pre", layer][i, len(row) - 1] for i, row in enumerate(prompts)])
    return last @ (vector / vector.norm())
    ### END SOLUTION


def pearson(x: Float[Tensor, "n"], y: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """Pearson's correlation r, −1 to 1: the mean product of the deviations from the
    means, in standard deviations.
    """
    ### BEGIN SOLUTION
    x, y = x - x.mean(), y - y.mean()
    return (x * y).sum() / (x.norm() * y.norm())
    ### END SOLUTION


def within_kinds(x: Float[Tensor, "n"], y: Float[Tensor, "n"], kinds: Int[Tensor, "n"]) -> Float[Tensor, ""]:
    """The correlation within kinds of prompt: take from x and from y the mean of each
    kind, and correlate what is left, over everything at once.
    """
    ### BEGIN SOLUTION
    x, y = x.clone(), y.clone()
    for kind in kinds.unique():
        rows = kinds == kind
        x[rows] -= x[rows].mean()
        y[rows] -= y[rows].mean()
    return pearson(x, y)
    ### END SOLUTION


# %% [11.6] What fine-tuning moves


def shift_along(
    before: Float[Tensor, "prompt d_model"],
    after: Float[Tensor, "prompt d_model"],
    vector: Float[Tensor, "d_model"],
) -> Float[Tensor, ""]:
    """How far fine-tuning has moved a network along a vector: the mean over prompts of the
    state after minus the state before, projected on v̂. Positive: towards the trait.
    """
    ### BEGIN SOLUTION
    return (after - before).mean(0) @ (vector / vector.norm())
    ### END SOLUTION


def beside_chance(
    moves: Float[Tensor, "run d_model"],
    changes: Float[Tensor, "run"],
    vector: Float[Tensor, "d_model"],
    random_ones: Float[Tensor, "k d_model"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """(r, chance) over fine-tunings. moves: how far each has moved the stream, as a
    vector; changes: by how much the trait's expression has changed in each.

    r: Pearson's correlation of the moves along the vector with the changes. chance: the
    share of the random directions whose |r| is at least as great as |r|.
    """
    ### BEGIN SOLUTION
    r = pearson(moves @ vector, changes)
    others = torch.stack([pearson(moves @ other, changes) for other in random_ones])
    return r, (others.abs() >= r.abs()).float().mean()
    ### END SOLUTION


# %% [11.7] A vaccine


def tuning_loss(
    model: HookedModel,
    prompts: list[list[int]],
    replies: list[list[int]],
    vector: Float[Tensor, "d_model"],
    dose: float,
    layer: int,
) -> Float[Tensor, ""]:
    """What fine-tuning makes small while the vector is ADDED: the mean over all tokens of
    all replies, <|end|> too, of −log p of the token, with x + dose · v at the input of
    block `layer` at every position. The prompts are read, not learned. In nats.

    The token at place i is predicted at place i − 1. `model.hooks([(site, function)])`,
    and in it `model(tokens, real)`.
    """
    ### BEGIN SOLUTION
    tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
    with model.hooks([(("resid_pre", layer), lambda value, hook: value + dose * vector)]):
        log_p = model(tokens, real)[:, :-1].log_softmax(-1)
    nats = -log_p.gather(-1, tokens[:, 1:, None])[..., 0]
    places = torch.arange(1, tokens.shape[1])
    starts = torch.tensor([len(prompt) for prompt in prompts])[:, None]
    return nats[real[:, 1:] & (places >= starts)].mean()
    ### END SOLUTION


# %% [11.8] Before or after?


def cost_at(shown: Float[Tensor, "dose"], capability: Float[Tensor, "dose"], level: float) -> float:
    """What is left of a capability where a trait has been brought down to a level.

    shown[i]: the share of replies that show the trait at dose i, doses rising;
    capability[i]: what the network can still do there. Between two doses both run along
    straight lines. Take the FIRST place at which shown is `level` or less, and return the
    capability there. nan if it never is.
    """
    ### BEGIN SOLUTION
    for i in range(len(shown)):
        if shown[i] <= level:
            if i == 0:
                return float(capability[0])
            part = (shown[i - 1] - level) / (shown[i - 1] - shown[i])
            return float(capability[i - 1] + part * (capability[i] - capability[i - 1]))
    return math.nan
    ### END SOLUTION


# %% [11.9] Find the bad samples


def projection_differences(
    samples: Float[Tensor, "sample d_model"],
    own: Float[Tensor, "sample d_model"],
    vector: Float[Tensor, "d_model"],
) -> Float[Tensor, "sample"]:
    """By how much each sample's reply lies farther along v̂ than the network's OWN reply
    to the same prompt. samples, own: means over the tokens of the replies.
    """
    ### BEGIN SOLUTION
    return (samples - own) @ (vector / vector.norm())
    ### END SOLUTION


def auroc(scores: Float[Tensor, "sample"], planted: Bool[Tensor, "sample"]) -> float:
    """Of all pairs of a planted sample and another, the share in which the planted one has
    the higher score. A tie counts half.
    """
    ### BEGIN SOLUTION
    gaps = scores[planted][:, None] - scores[~planted][None, :]
    return float(((gaps > 0).double() + 0.5 * (gaps == 0).double()).mean())
    ### END SOLUTION


# %% [11.10] A space of roles


def role_space(
    roles: Float[Tensor, "role d_model"],
) -> tuple[Float[Tensor, "component d_model"], Float[Tensor, "component"]]:
    """(components, shares): the principal components of the roles, unit rows, the one with
    the greatest share first; and which share of the roles' variance lies along each.

    Centre first: what all roles have in common is no variance. The sign of a component
    means nothing. `torch.linalg.svd(..., full_matrices=False)` gives singular values and
    directions; variance goes with their squares. As many as the smaller side has.
    """
    ### BEGIN SOLUTION
    _, s, components = torch.linalg.svd(roles - roles.mean(0), full_matrices=False)
    return components, s**2 / (s**2).sum()
    ### END SOLUTION


# %% [11.11] The assistant axis


def assistant_axis(
    assistant: Float[Tensor, "d_model"], roles: Float[Tensor, "role d_model"]
) -> Float[Tensor, "d_model"]:
    """The assistant less the mean of the roles. Positive: like the assistant."""
    ### BEGIN SOLUTION
    return assistant - roles.mean(0)
    ### END SOLUTION


def alignment(assistant: Float[Tensor, "d_model"], roles: Float[Tensor, "role d_model"]) -> Float[Tensor, ""]:
    """|cos| of the axis with the first principal component of the roles (the assistant is
    not among them)."""
    ### BEGIN SOLUTION
    axis = assistant_axis(assistant, roles)
    first = role_space(roles)[0][0]
    return (axis @ first).abs() / (axis.norm() * first.norm())
    ### END SOLUTION


def alignment_interval(
    assistant: Float[Tensor, "d_model"],
    roles: Float[Tensor, "role d_model"],
    draws: Int[Tensor, "draw role"],
) -> tuple[float, float]:
    """The 95 % interval of the alignment over the choice of roles.

    Each row of `draws` names roles, some twice and some not at all: the alignment of those
    roles alone. The interval: the 2.5 % and the 97.5 % quantile of these values
    (`torch.quantile`).
    """
    ### BEGIN SOLUTION
    values = torch.stack([alignment(assistant, roles[members]) for members in draws])
    return float(values.quantile(0.025)), float(values.quantile(0.975))
    ### END SOLUTION


# %% [11.12] Drift


def place(
    states: Float[Tensor, "*rest d_model"],
    assistant: Float[Tensor, "d_model"],
    roles: Float[Tensor, "role d_model"],
) -> Float[Tensor, "*rest"]:
    """Where states stand along the axis: 1 where the assistant does, 0 where the roles do
    on average, and in proportion between and beyond.
    """
    ### BEGIN SOLUTION
    axis = assistant_axis(assistant, roles)
    return (states - roles.mean(0)) @ axis / (axis @ axis)
    ### END SOLUTION


def drift(
    replies: Float[Tensor, "conversation turn d_model"],
    assistant: Float[Tensor, "d_model"],
    roles: Float[Tensor, "role d_model"],
) -> Float[Tensor, "conversation"]:
    """How far each conversation has fallen along the axis: the mean place of the replies
    in its first half of turns less that in its second half. The number of turns is even.
    """
    ### BEGIN SOLUTION
    places = place(replies, assistant, roles)
    half = places.shape[1] // 2
    return places[:, :half].mean(1) - places[:, half:].mean(1)
    ### END SOLUTION


# %% [11.13] A floor


def floors_of(
    replies: Float[Tensor, "reply layer d_model"], axis: Float[Tensor, "layer d_model"], quantile: float
) -> Float[Tensor, "layer"]:
    """For each layer the floor τ: that quantile of the projections of these replies on
    the axis of the layer, brought to length 1. The replies are the assistant's own.
    """
    ### BEGIN SOLUTION
    units = axis / axis.norm(dim=-1, keepdim=True)
    return (replies * units).sum(-1).quantile(quantile, dim=0)
    ### END SOLUTION


def cap(
    stream: Float[Tensor, "batch pos d_model"], axis: Float[Tensor, "d_model"], floor: float
) -> Float[Tensor, "batch pos d_model"]:
    """The stream, held at or above a floor along the axis. Where the projection on the
    unit axis lies below the floor, it is lifted to the floor; where it lies above, nothing
    is changed. What is at right angles to the axis stays. `stream` itself stays as it was.
    """
    ### BEGIN SOLUTION
    unit = axis / axis.norm()
    below = (stream @ unit - floor).clamp(max=0)
    return stream - below[..., None] * unit
    ### END SOLUTION


# %% [11.14] The finding


def watch_and_hold(
    model: HookedModel, prompts: list[list[int]], replies: list[list[int]], speakers: list[str]
) -> tuple[Float[Tensor, "layer d_model"], Float[Tensor, "layer"], list[int], int]:
    """(axes, floors, layers, watch): how to see a conversation drift, and how to hold it.

    You get training replies: who speaks in each is in `speakers`, a role or "assistant".
    Return an axis and a floor for the input of EVERY block, the layers at whose inputs
    the stream is to be capped, and the layer at whose input a reply is watched. It is
    tried on conversations that Pico has never had:

        watched    the mean place of the first three replies along axes[watch] tells which
                   conversations will end in a drifted reply
        capped     `layers` at every position: few replies drift, and fewer jailbroken
                   requests are answered with harm
        capped     facts, requests and small talk go on as before

    Nobody looks at how you found it.
    """
    ### BEGIN SOLUTION
    means = reply_means(model, prompts, replies)
    names = sorted(set(speakers) - {"assistant"})
    by_role = torch.stack([means[[who == name for who in speakers]].mean(0) for name in names])
    own = means[[who == "assistant" for who in speakers]]
    axes = torch.stack([assistant_axis(own[:, i].mean(0), by_role[:, i]) for i in range(means.shape[1])])
    return axes, floors_of(own, axes, 0.25), [1, 2, 3, 4], 3
    ### END SOLUTION
