"""The grader of chapter 09. It runs beside the learner's process, never in it: see mi_lib/course/grading.

The oracle of every run is `forward`: a transformer written out in double precision, of which any activation can be
exchanged. It shares nothing with hooks and caches. Subjects are small random networks, in which every bias, norm and
MLP counts, and the planted circuit, compiled from other seeds than the learner's and with the heads of each layer in
another order, so that no list of names answers for a method.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

import mi_lib
from mi_lib import circuits
from mi_lib.attribution import patch_edges
from mi_lib.course.grading import expect, expect_close, expect_equal, grades
from mi_lib.course.grading.material import generator, randn, random_tokens, random_transformer, with_weights
from mi_lib.models import Transformer
from mi_lib.models.graph import Edge, all_edges, head_of
from mi_lib.worlds import giving, planted
from mi_lib.worlds.planted.ioi import CLASSES, NamePairs

oracle_cache = functools.lru_cache(256)  # the keys are models and tensors, which the cached subjects keep alive
Head = tuple[int, int]
Edit = Callable[[str, int, Tensor], Tensor | None]


# --- the oracle: a transformer written out ----------------------------------------------------------------------------


def forward(
    model: Transformer, tokens: Tensor, edit: Edit | None = None
) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
    """Logits and what stood at each (site, layer): resid_pre, q, k, v, pattern, z, mlp_out, resid_post; and the scales
    of the norms ln1, ln2, ln_final. edit(site, layer, value) may return another value."""
    c, kept = model.config, {}

    def offer(site: str, layer: int, x: Tensor) -> Tensor:
        new = edit(site, layer, x) if edit is not None else None
        kept[site, layer] = x if new is None else new
        return kept[site, layer]

    def norm(part: Any, site: str, layer: int, x: Tensor) -> Tensor:
        if part is None:
            return x
        x = x - x.mean(-1, keepdim=True)
        scale = offer(site, layer, (x.pow(2).mean(-1, keepdim=True) + part.eps).sqrt())
        return x / scale * part.w.double() + part.b.double()

    pos = tokens.shape[1]
    hidden = torch.ones(pos, pos, dtype=torch.bool).triu(1)
    x = model.W_E.double()[tokens] + model.W_pos.double()[:pos]
    for layer in range(c.n_layers):
        block: Any = model.blocks[layer]
        x = offer("resid_pre", layer, x)
        y = norm(block.ln1, "ln1", layer, x)
        weights = ((name, getattr(model, f"W_{name.upper()}"), getattr(model, f"b_{name.upper()}")) for name in "qkv")
        q, k, v = (
            offer(name, layer, torch.einsum("bpm,hmd->bphd", y, W[layer].double()) + b[layer].double())
            for name, W, b in weights
        )
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / c.d_head**0.5
        pattern = offer("pattern", layer, scores.masked_fill(hidden, -torch.inf).softmax(-1))
        z = offer("z", layer, torch.einsum("bhqk,bkhd->bqhd", pattern, v))
        x = x + torch.einsum("bphd,hdm->bpm", z, model.W_O[layer].double()) + model.b_O[layer].double()
        if block.mlp is not None:
            y = norm(block.ln2, "ln2", layer, x)
            y = block.mlp.act(y @ model.W_in[layer].double() + model.b_in[layer].double())
            x = x + offer("mlp_out", layer, y @ model.W_out[layer].double() + model.b_out[layer].double())
    x = offer("resid_post", c.n_layers - 1, x)
    logits = norm(model.ln_final, "ln_final", 0, x) @ model.W_U.double()
    return (logits if model.b_U is None else logits + model.b_U.double()), kept


def exchange(values: dict[tuple[str, int], Tensor]) -> Edit:
    """The edit that puts these in, whatever was computed."""
    return lambda site, layer, value: values.get((site, layer))


def at_end(logits: Tensor, io: Tensor, s: Tensor) -> Tensor:
    rows = range(len(logits))
    return torch.stack([logits[i, -1, io[i]] - logits[i, -1, s[i]] for i in rows])


# --- subjects ---------------------------------------------------------------------------------------------------------


class Subject(NamedTuple):
    """A network, prompts with their corrupted ones, the two names of each and where they stand."""

    name: str
    model: Transformer
    clean: Tensor
    corrupted: Tensor
    io: Tensor
    s: Tensor
    at: Tensor  # [word batch]: where some words stand
    template: Tensor

    @property
    def prompts(self) -> tuple[Transformer, Tensor, Tensor, Tensor, Tensor]:
        return self.model, self.clean, self.corrupted, self.io, self.s

    @property
    def heads(self) -> list[Head]:
        return [(layer, head) for layer in range(self.model.cfg.n_layers) for head in range(self.model.cfg.n_heads)]


SHAPES = ((3, 2, 5, 11, 6, 7, 0), (2, 3, 7, 0, 5, 8, 1))  # layers, heads, d_head, neurons, batch, pos, seed


@functools.cache
def random_subject(n_layers: int, n_heads: int, d_head: int, d_mlp: int, batch: int, pos: int, seed: int) -> Subject:
    model = random_transformer(
        seed, scale=0.45, n_layers=n_layers, d_model=13, n_heads=n_heads, d_head=d_head, d_vocab=17, n_ctx=9,
        d_mlp=d_mlp, act="gelu", norm="layernorm", attn_bias=True, unembed_bias=True,
    )  # fmt: skip
    source = generator(70 + seed)
    io = torch.randint(17, (batch,), generator=source)
    s = (io + torch.randint(1, 17, (batch,), generator=source)) % 17
    at = torch.stack([torch.randperm(pos - 1, generator=source)[:3] for _ in range(batch)], 1)
    clean, corrupted = (random_tokens(batch, pos, 17, 10 * seed + i) for i in range(2))
    return Subject("a small random network", model, clean, corrupted, io, s, at, torch.arange(batch) % 3)


@functools.cache
def planted_circuit(seed: int) -> planted.Circuit:
    return planted.circuit("ioi", seed=seed)


def reordered(model: Transformer, seed: int) -> tuple[Transformer, dict[Head, Head]]:
    """The same function with the heads of each layer in another order, and where each has gone."""
    weights, moved = {}, {}
    for layer in range(model.cfg.n_layers):
        order = torch.randperm(model.cfg.n_heads, generator=generator(40 + 7 * seed + layer))
        for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V"):
            path = f"blocks.{layer}.attn.{name}"
            weights[path] = model.state_dict()[path][order]
        moved |= {(layer, old): (layer, new) for new, old in enumerate(order.tolist())}
    return with_weights(model, weights), moved


@functools.cache
def planted_subject(seed: int, batch: int = 8) -> tuple[Subject, dict[str, list[Head]]]:
    """The planted circuit with its heads in another order, and the heads of each class."""
    circuit = planted_circuit(seed)
    pairs = circuit.pairs(batch, seed=500 + seed)
    assert isinstance(pairs, NamePairs)
    model, moved = reordered(circuit.model, seed)
    found = {kind: [moved[head_of(name) or (0, 0)] for name in names] for kind, names in CLASSES.items()}
    end = torch.full((batch,), pairs.clean.shape[1] - 1)
    subject = Subject(
        "a planted circuit", model, pairs.clean, pairs.corrupted, pairs.answers, pairs.corrupted_answers,
        torch.stack([pairs.io, pairs.s1, pairs.s2, end]), pairs.template,
    )  # fmt: skip
    return subject, found


def subjects() -> list[Subject]:
    return [*(random_subject(*shape) for shape in SHAPES), planted_subject(3)[0]]


def tables(
    got: Any, want: Tensor, what: str, axes: str, mistakes: Callable[[], dict[str, Tensor]], of: Subject
) -> None:
    """`expect_close` for what was computed on a subject. Effects below a thousandth of a logit are rounding."""
    expect_close(got, want, f"{what} of {of.name}", axes=axes, atol=5e-4, rtol=1e-3, mistakes=mistakes)


# --- 09.1 -------------------------------------------------------------------------------------------------------------


@grades("09.1", weight=2)
def test_three_names_that_are_none_of_the_two(answer):
    """Names drawn for many prompts: all different, none of them IO or S, and all from the list."""
    for names, batch, seed in ((torch.tensor([4, 9, 2, 30, 7]), 40, 3), (torch.arange(11, 19), 90, 8)):
        source = generator(seed)
        order = torch.rand(batch, len(names), generator=source).argsort(-1)
        io, s = names[order[:, 0]], names[order[:, 1]]
        got = answer.other_names(io, s, names, seed)
        expect(
            list(got.shape) == [batch, 3],
            f"There should be three names for each of {batch} prompts, but the result has shape {tuple(got.shape)}.",
        )
        for row, its_io, its_s in zip(got.tolist(), io.tolist(), s.tolist(), strict=True):
            expect(
                set(row) <= set(names.tolist()),
                "A name was drawn that is not in `names`. Did you return places in the list?",
            )
            expect(
                its_io not in row,
                "IO itself was drawn for its own prompt: the corrupted prompt would still say the answer.",
            )
            expect(
                its_s not in row,
                "S itself was drawn for its own prompt: the corrupted prompt would still name the giver.",
            )
            expect(
                len(set(row)) == 3,
                "The same name was drawn twice for one prompt. Then one is said twice, and gives a hint.",
            )


@grades("09.1", weight=2)
def test_any_three_in_any_order(answer):
    """Sixty prompts with the same two names a hundred times: each of the possible triples comes about as often."""
    names, batch = torch.tensor([4, 9, 2, 30, 7, 13, 21]), 6000
    got = answer.other_names(torch.full((batch,), 9), torch.full((batch,), 13), names, 5)
    triples = torch.unique(got, dim=0, return_counts=True)[1]
    expect(
        len(triples) > 1,
        "All prompts get the same three names. Draw for each prompt anew.",
    )
    expect(
        len(triples) == 60,
        f"Of the 60 triples that are possible here (5 names are left, in any order), only {len(triples)} occur.",
    )
    unevenness = float(((triples - 100.0) ** 2 / 100).sum())  # 59 on average, and hardly ever over 110
    expect(
        unevenness < 150,
        "Some triples are drawn much more often than others. Any three, in any order, are equally likely.",
    )


@grades("09.1")
def test_a_seed_says_which(answer):
    """The same seed gives the same names, another seed other ones, and nobody else's generator is used."""
    names, io, s = torch.arange(8), torch.arange(20) % 8, (torch.arange(20) + 3) % 8
    first, again, other = (answer.other_names(io, s, names, seed) for seed in (1, 1, 2))
    expect(
        bool((first == again).all()),
        "Two calls with the same seed give different names: draw with a generator of this seed.",
    )
    expect(bool((first != other).any()), "Another seed gives the same names: let the generator take the seed.")


def prompts_of(seed: int, batch: int, pos: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random prompts, and three different places in each, the names' IO, S1 and S2; S is said twice."""
    source = generator(90 + seed)
    tokens = torch.randint(50, 90, (batch, pos), generator=source)
    at = torch.stack([torch.randperm(pos, generator=source)[:3] for _ in range(batch)])
    for row in range(batch):
        tokens[row, at[row, 0]], tokens[row, at[row, 1]], tokens[row, at[row, 2]] = 2 * row, 2 * row + 1, 2 * row + 1
    return tokens, at[:, 0], at[:, 1], at[:, 2]


def written_in(tokens: Tensor, *changes: tuple[Tensor, Tensor]) -> Tensor:
    new = tokens.tolist()
    for at, what in changes:
        for row, (place, token) in enumerate(zip(at.tolist(), what.tolist(), strict=True)):
            new[row][place] = token
    return torch.tensor(new)


@grades("09.1", weight=2)
def test_abc_prompts(answer):
    """Three other names at the three places, which are others in each prompt."""
    for seed, batch, pos in ((0, 5, 9), (1, 7, 6)):
        tokens, io, s1, s2 = prompts_of(seed, batch, pos)
        others = torch.arange(300, 300 + 3 * batch).view(batch, 3)
        a, b, c = others.unbind(1)
        expect_equal(
            answer.abc_prompts(tokens, io, s1, s2, others),
            written_in(tokens, (io, a), (s1, b), (s2, c)),
            "the ABC prompts",
            mistakes=lambda tokens=tokens, io=io, s1=s1, s2=s2, a=a, b=b, c=c: {
                "S2 still says the name of S. All three names are other ones.": written_in(tokens, (io, a), (s1, b)),
                "The same name stands at S1 and at S2. In an ABC prompt no name is said twice.": (
                    written_in(tokens, (io, a), (s1, b), (s2, b))
                ),
                "IO is still there. All three names are other ones.": written_in(tokens, (s1, b), (s2, c)),
                "S1 still says the name of S. All three names are other ones.": written_in(tokens, (io, a), (s2, c)),
                "You take the places of the first prompt for all of them. Each has its own.": written_in(
                    tokens, *((at[:1].expand_as(at), what) for at, what in ((io, a), (s1, b), (s2, c)))
                ),
                "The names are in another order: others[b, 0] stands at IO, others[b, 1] at S1, others[b, 2] at S2.": (
                    written_in(tokens, (s1, a), (s2, b), (io, c))
                ),
                "The first two names are exchanged: others[b, 0] stands at IO, others[b, 1] at S1.": written_in(
                    tokens, (io, b), (s1, a), (s2, c)
                ),
                "You write into every row at the places of all of them: use an index for the row too.": (
                    at_all_places(tokens, (io, a), (s1, b), (s2, c))
                ),
            },
        )  # fmt: skip


def at_all_places(tokens: Tensor, *changes: tuple[Tensor, Tensor]) -> Tensor:
    """What new[:, at] = what does."""
    new = tokens.clone()
    for at, what in changes:
        new[:, at] = what
    return new


@grades("09.1", weight=2)
def test_flipped_prompts(answer):
    """IO's own name at S2, and nothing else."""
    for seed, batch, pos in ((2, 5, 9), (3, 7, 6)):
        tokens, io, s1, s2 = prompts_of(seed, batch, pos)
        rows = torch.arange(batch)
        name, giver = tokens[rows, io], tokens[rows, s1]
        expect_equal(
            answer.flipped_prompts(tokens, io, s2),
            written_in(tokens, (s2, name)),
            "the flipped prompts",
            mistakes=lambda tokens=tokens, io=io, s2=s2, name=name, giver=giver: {
                "You exchange the two names at IO and S2. IO stays where it is: only S2 changes.": written_in(
                    tokens, (s2, name), (io, giver)
                ),
                "You write S where IO stood. It is the other way round: IO's name goes to S2.": written_in(
                    tokens, (io, giver)
                ),
                "Nothing has changed.": tokens,
                "You write WHERE IO stands, and not who it is: look up the token there.": written_in(tokens, (s2, io)),
                "The first prompt's IO stands in all of them. Each has its own.": written_in(
                    tokens, (s2, name[:1].expand_as(name))
                ),
            },
        )  # fmt: skip


# --- 09.2 -------------------------------------------------------------------------------------------------------------


@grades("09.2", weight=2)
def test_the_difference_where_each_prompt_ends(answer):
    """Prompts that were padded on the right: each has an end of its own."""
    for seed, (batch, pos, d_vocab) in enumerate([(5, 7, 11), (3, 4, 13)]):
        logits, source = 2 * randn(batch, pos, d_vocab, seed=seed), generator(seed)
        io = torch.randint(d_vocab, (batch,), generator=source)
        s = (io + torch.randint(1, d_vocab, (batch,), generator=source)) % d_vocab
        end = (torch.arange(batch) * 2 + seed) % (pos - 1)
        got = answer.logit_difference(logits, io, s, end)
        expect_close(
            got, by_rows(logits, io, s, end), "the logit difference",
            mistakes=lambda logits=logits, io=io, s=s, end=end: difference_mistakes(logits, io, s, end),
        )  # fmt: skip


def by_rows(logits: Tensor, io: Tensor, s: Tensor, end: Tensor) -> Tensor:
    each = zip(logits.double(), io.tolist(), s.tolist(), end.tolist(), strict=True)
    return torch.stack([table[place, right] - table[place, wrong] for table, right, wrong, place in each])


def difference_mistakes(logits: Tensor, io: Tensor, s: Tensor, end: Tensor) -> dict[str, Tensor]:
    want, last = by_rows(logits, io, s, end), torch.full_like(end, logits.shape[1] - 1)
    known = {
        "IO and S are exchanged: it is logit[IO] − logit[S].": -want,
        "You read the last position of all rows. What stands there is padding: each prompt ends at its own `end`.": (
            by_rows(logits, io, s, last)
        ),
        "You read one position too early: the answer stands in the logits AT the last word.": (
            by_rows(logits, io, s, (end - 1) % logits.shape[1])
        ),
        "You read one position too late. The logits at END are the guess about what comes next.": (
            by_rows(logits, io, s, end + 1) if int(end.max()) + 1 < logits.shape[1] else want
        ),
        "These are probabilities. Take the difference of the logits.": by_rows(logits.softmax(-1), io, s, end),
        "This is the logit of IO alone. Subtract that of S.": by_rows(logits, io, s, end)
        + torch.stack([logits[i, end[i], s[i]] for i in range(len(s))]),
        "The first prompt's names are used for all of them.": by_rows(
            logits, io[:1].expand_as(io), s[:1].expand_as(s), end
        ),
        "You sum over positions. The answer stands at END alone.": torch.stack(
            [logits[i, :, io[i]].sum() - logits[i, :, s[i]].sum() for i in range(len(s))]
        ),
    }
    return {sentence: wrong for sentence, wrong in known.items() if wrong is not want}


@grades("09.2")
def test_the_difference_at_the_last_position(answer):
    """Prompts of one length: without `end`, all end at the last position."""
    logits, source = 2 * randn(6, 5, 7, seed=9), generator(9)
    io = torch.randint(7, (6,), generator=source)
    s = (io + 1 + torch.arange(6) % 5) % 7
    end = torch.full((6,), 4)
    expect_close(
        answer.logit_difference(logits, io, s), by_rows(logits, io, s, end), "the logit difference",
        mistakes=lambda: {
            "Without `end`, read the last position: this is the first.": by_rows(logits, io, s, 0 * end),
            **{k: v for k, v in difference_mistakes(logits, io, s, end).items() if "padding" not in k},
        },
    )  # fmt: skip


@grades("09.2", weight=2)
def test_the_interval_of_a_mean(answer):
    """Samples of different sizes, spreads and means."""
    for seed, (n, spread, middle) in enumerate([(2, 1.0, 0.5), (7, 3.0, -2.0), (40, 0.2, 5.0)]):
        values = middle + spread * randn(n, seed=20 + seed)
        mean = sum(values.tolist()) / n
        squares = sum((x - mean) ** 2 for x in values.tolist())
        error = (squares / (n - 1) / n) ** 0.5

        def ends(error: float, times: float = 1.96, mean: float = mean) -> Tensor:
            return torch.tensor([mean, mean - times * error, mean + times * error], dtype=torch.float64)

        got = answer.mean_interval(values)
        expect_close(
            torch.tensor([float(x) for x in got]), ends(error), "(mean, lower end, upper end)",
            mistakes=lambda ends=ends, squares=squares, n=n, error=error, mean=mean: {
                "You divide the squares by n. Divide by n − 1: values.std() does.": ends((squares / n / n) ** 0.5),
                "This is how far the VALUES spread. For their mean, divide by √n.": ends((squares / (n - 1)) ** 0.5),
                "You divide by n. The standard error is s / √n.": ends((squares / (n - 1)) ** 0.5 / n),
                "This is one standard error to each side. Take 1.96 of them.": ends(error, 1.0),
                "This is a 90 % interval. Take 1.96 standard errors.": ends(error, 1.645),
                "The root is missing: this is the variance, not the standard error.": ends(error**2),
                "The two ends are exchanged: the lower one comes first.": ends(error, -1.96),
                "The order is another one: (mean, lower end, upper end).": ends(error)[[1, 0, 2]],
                "This is a distance from the mean. Return where the interval ends.": torch.tensor(
                    [mean, 1.96 * error, 1.96 * error]
                ),
            },
        )  # fmt: skip


# --- 09.3 -------------------------------------------------------------------------------------------------------------


@oracle_cache
def patched_words(of: Subject, site: str = "resid_pre", noising: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """The difference of each prompt, [layer word batch], and that of both unpatched runs, [batch]."""
    model, clean, corrupted, io, s = of.prompts
    (c_logits, c_kept), (x_logits, _) = forward(model, clean), forward(model, corrupted)
    (start, kept) = (clean, forward(model, corrupted)[1]) if noising else (corrupted, c_kept)
    table = []
    for layer in range(model.cfg.n_layers):
        for where in of.at.tolist():

            def put(name: str, at: int, x: Tensor, layer: int = layer, where: list[int] = where) -> Tensor | None:
                if (name, at) != (site, layer):
                    return None
                x = x.clone()
                for row, place in enumerate(where):
                    x[row, place] = kept[site, layer][row, place]
                return x

            table.append(at_end(forward(model, start, put)[0], io, s))
    every = torch.stack(table).view(model.cfg.n_layers, len(of.at), -1)
    return every, at_end(c_logits, io, s), at_end(x_logits, io, s)


@oracle_cache
def patched_positions(of: Subject, all_heads: bool = False) -> Tensor:
    """The same if every prompt is patched where the words of the first prompt stand."""
    return patched_words(of._replace(at=of.at[:, :1].expand_as(of.at)))[0]


@grades("09.3", weight=2)
def test_patches_of_random_networks(answer):
    """Words at other places in each prompt, in networks with norms, biases and MLPs."""
    for of in subjects()[:2]:
        check_words(answer, of)


@grades("09.3")
def test_patches_of_the_planted_circuit(answer):
    """The planted circuit from another seed: IO, S1, S2 and END against prompts with the other giver."""
    of = planted_subject(3)[0]
    rows = torch.arange(len(of.clean))
    flipped = of.clean.clone()
    flipped[rows, of.at[2]] = of.io
    check_words(answer, planted_flipped(3))


@functools.cache
def planted_flipped(seed: int) -> Subject:
    of = planted_subject(seed)[0]
    flipped = of.clean.clone()
    flipped[torch.arange(len(flipped)), of.at[2]] = of.io
    return of._replace(corrupted=flipped)


def check_words(answer: Any, of: Subject) -> None:
    every, clean, corrupted = patched_words(of)
    span = clean.mean() - corrupted.mean()
    want = (every.mean(-1) - corrupted.mean()) / span
    tables(
        answer.patch_words(*of.prompts, of.at), want, "what comes back", "layer word",
        lambda: {
            "You average the ratios of the prompts. Average m over prompts first, and divide then: where one prompt "
            "has nearly no range, its ratio is huge.": ((every - corrupted) / (clean - corrupted)).mean(-1),
            "You patch the CLEAN run. Run the corrupted prompts, and put clean values in.": (
                patched_words(of, noising=True)[0].mean(-1) - corrupted.mean()
            ) / span,
            "You patch all prompts where the words of the FIRST prompt stand. Each has places of its own.": (
                patched_positions(of).mean(-1) - corrupted.mean()
            ) / span,
            "This is m itself. Put it on the scale from corrupted (0) to clean (1).": every.mean(-1),
            "Divide by m_clean − m_corrupted.": every.mean(-1) - corrupted.mean(),
            "This is what is still missing: 1 where nothing comes back. Subtract m_corrupted, not m_clean.": 1 - want,
            "You subtract m_clean in the numerator. Subtract m_corrupted.": (every.mean(-1) - clean.mean()) / span,
            "The range has the wrong sign: it is m_clean − m_corrupted.": -want,
            "You divide by m_clean alone. Divide by m_clean − m_corrupted.": (
                every.mean(-1) - corrupted.mean()
            ) / clean.mean(),
            "This is what LEAVES each block. Patch what enters it, (\"resid_pre\", LAYER).": torch.cat(
                [want[1:], want[-1:]]
            ) if len(want) > 1 else want,
            "The axes are exchanged: the result is [layer word].": want.T,
            "You have patched the words together. Each word is a run of its own.": (
                want.sum(1, keepdim=True).expand_as(want)
            ),
        }, of,
    )  # fmt: skip


# --- 09.4 -------------------------------------------------------------------------------------------------------------


@oracle_cache
def written_by_heads(of: Subject, tokens: str = "clean") -> dict[str, Tensor]:
    """What each head writes into the difference, [layer head batch], and variants of it that are wrong."""
    model, io, s = of.model, of.io, of.s
    _, kept = forward(model, getattr(of, tokens))
    n, norm = model.cfg.n_layers, model.ln_final
    found: dict[str, list[Tensor]] = {}
    for layer, head in of.heads:
        z = kept["z", layer][:, :, head]  # [batch pos d_head]
        written = z @ model.W_O[layer, head].double()
        for name, part in (("right", written), ("with b_O", written + model.b_O[layer].double())):
            found.setdefault(name, []).append(read_out(model, part, kept, io, s)[:, -1])
        each = read_out(model, written, kept, io, s)
        found.setdefault("everywhere", []).append(each.mean(1))
        summed = written.sum(1, keepdim=True).expand_as(written)
        found.setdefault("summed", []).append(read_out(model, summed, kept, io, s)[:, -1])
        found.setdefault("no norm", []).append(read_out(model, written, kept, io, s, norm=False)[:, -1])
        own = {("ln_final", 0): own_scale(written, norm)}
        found.setdefault("own scale", []).append(read_out(model, written, own, io, s)[:, -1])
        found.setdefault("IO alone", []).append(read_out(model, written, kept, io, None)[:, -1])
        found.setdefault("not centred", []).append(read_out(model, written, kept, io, s, centred=False)[:, -1])
        found.setdefault("no weight", []).append(read_out(model, written, kept, io, s, weight=False)[:, -1])
        bias = torch.zeros(()) if norm is None else norm.b.double()  # type: ignore[union-attr, operator]
        found.setdefault("norm bias", []).append(
            read_out(model, written, kept, io, s)[:, -1] + (bias * direction(model, io, s)).sum(-1)
        )
    return {name: torch.stack(parts).view(n, -1, len(io)) for name, parts in found.items()}


def direction(model: Transformer, io: Tensor, s: Tensor | None) -> Tensor:
    to = model.W_U[:, io].double()
    return (to if s is None else to - model.W_U[:, s].double()).T


def own_scale(x: Tensor, norm: Any) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return (centred.pow(2).mean(-1, keepdim=True) + (norm.eps if norm is not None else 0)).sqrt()


def read_out(
    model: Transformer, x: Tensor, kept: dict, io: Tensor, s: Tensor | None, *, norm: bool = True, centred: bool = True,
    weight: bool = True,
) -> Tensor:  # fmt: skip
    """A part of the stream at all positions [batch pos d_model], as a share of the difference [batch pos]."""
    if model.ln_final is not None and norm:
        x = x - x.mean(-1, keepdim=True) if centred else x
        x = x / kept["ln_final", 0] * (model.ln_final.w.double() if weight else 1)  # type: ignore[operator, union-attr]
    return (x * direction(model, io, s)[:, None]).sum(-1)


@grades("09.4", weight=2)
def test_what_heads_write_in_random_networks(answer):
    """Networks with a final norm, biases and MLPs."""
    for of in subjects()[:2]:
        check_written(answer, of)


@grades("09.4")
def test_what_heads_write_in_the_planted_circuit(answer):
    """The planted circuit from another seed, which has no norm."""
    check_written(answer, planted_subject(3)[0])


def check_written(answer: Any, of: Subject) -> None:
    known = written_by_heads(of)
    want = known["right"].mean(-1)
    tables(
        answer.direct_effects(of.model, of.clean, of.io, of.s), want, "the direct effect", "layer head",
        lambda: {
            "You average absolute values: the negative mover would look like a mover. Keep the sign.": (
                known["right"].abs().mean(-1)
            ),
            "This is the absolute value of the mean. Keep the sign: some heads write against the name.": want.abs(),
            "You average over all positions. The answer is given at END alone.": known["everywhere"].mean(-1),
            "You add up all positions. The answer is given at END alone.": known["summed"].mean(-1),
            "The final norm is missing.": known["no norm"].mean(-1),
            "Each part is divided by its OWN scale. The scale is that of the whole stream.": (
                known["own scale"].mean(-1)
            ),
            "This is the logit of IO alone. Take the difference of the two columns of W_U.": known["IO alone"].mean(-1),
            "IO and S are exchanged.": -want,
            "b_O belongs to no head: leave it out.": known["with b_O"].mean(-1),
            "The bias of the final norm belongs to no head: leave it out.": known["norm bias"].mean(-1),
            "The mean over d_model was not taken away, as the final norm does.": known["not centred"].mean(-1),
            "The weight of the final norm is missing.": known["no weight"].mean(-1),
            "You sum over prompts. Average over them.": known["right"].sum(-1),
            "This is the first prompt alone. Average over all.": known["right"][..., 0],
            "The axes are exchanged: the result is [layer head].": want.T,
        }, of,
    )  # fmt: skip


# --- 09.5 -------------------------------------------------------------------------------------------------------------


@oracle_cache
def exchanged_heads(of: Subject, how: str = "total") -> Tensor:
    """m_patched − m_clean for each head and prompt, [layer head batch]. how: total, or what is wrong with it."""
    model, clean, corrupted, io, s = of.prompts
    (c_logits, c_kept), (x_logits, x_kept) = forward(model, clean), forward(model, corrupted)
    start, kept, base = (corrupted, c_kept, x_logits) if how == "denoising" else (clean, x_kept, c_logits)
    table = []
    for layer, head in of.heads:
        values = dict(c_kept) if how in ("direct", "mlps held") else {}
        hold = {("z", at): values["z", at] for at in range(model.cfg.n_layers)} if values else {}
        if how == "mlps held":
            hold |= {key: value for key, value in values.items() if key[0] == "mlp_out"}
        if how in ("direct", "mlps held"):
            hold["z", layer] = with_head(c_kept["z", layer], x_kept["z", layer], head)

        def put(
            name: str, at: int, x: Tensor, layer: int = layer, head: int = head, hold: dict = hold
        ) -> Tensor | None:
            if hold:
                return hold.get((name, at))
            if (name, at) != ("z", layer):
                return None
            if how == "whole layer":
                return kept["z", layer]
            if how == "zero":
                return with_head(x, torch.zeros_like(x), head)
            if how == "at END":
                x = x.clone()
                x[:, -1, head] = kept["z", layer][:, -1, head]
                return x
            if how == "batch mean":
                return with_head(x, kept["z", layer].mean(0, keepdim=True).expand_as(x), head)
            return with_head(x, kept["z", layer], head)

        table.append(at_end(forward(model, start, put)[0], io, s) - at_end(base, io, s))
    return torch.stack(table).view(model.cfg.n_layers, model.cfg.n_heads, -1)


def with_head(z: Tensor, other: Tensor, head: int) -> Tensor:
    """z with one head of another z."""
    z = z.clone()
    z[:, :, head] = other[:, :, head]
    return z


@grades("09.5", weight=2)
def test_whole_effects_in_random_networks(answer):
    """Every head of networks with norms, biases and MLPs."""
    for of in subjects()[:2]:
        check_total(answer, of)


@grades("09.5")
def test_whole_effects_in_the_planted_circuit(answer):
    """The planted circuit from another seed."""
    check_total(answer, planted_subject(3)[0])


def check_total(answer: Any, of: Subject) -> None:
    each = exchanged_heads(of)
    want = each.mean(-1)
    tables(
        answer.total_effects(*of.prompts), want, "the whole effect", "layer head",
        lambda: {
            "The sign is turned: it is m_patched − m_clean.": -want,
            "You average absolute values. Keep the sign.": each.abs().mean(-1),
            "This is the absolute value of the mean. Keep the sign.": want.abs(),
            "You patch END alone. Exchange z at all positions: what a head says at S2 counts too.": (
                exchanged_heads(of, "at END").mean(-1)
            ),
            "This is the direct effect: other heads were held. Let all that comes after be computed anew.": (
                exchanged_heads(of, "direct").mean(-1)
            ),
            "You run the corrupted prompts and put clean values in. Here it is the other way round.": (
                exchanged_heads(of, "denoising").mean(-1)
            ),
            "You exchange the whole layer. One head at a time.": exchanged_heads(of, "whole layer").mean(-1),
            "You put zeros in. Put in what the head had in the corrupted run.": exchanged_heads(of, "zero").mean(-1),
            "You put in the mean over the prompts. Each prompt has its own corrupted one.": (
                exchanged_heads(of, "batch mean").mean(-1)
            ),
            "m_clean was not subtracted.": want + at_end(forward(of.model, of.clean)[0], of.io, of.s).mean(),
            "You sum over prompts. Average over them.": each.sum(-1),
            "The axes are exchanged: the result is [layer head].": want.T,
            "You divide by m_clean − m_corrupted. Here the difference itself is asked for, in logits.": want / (
                at_end(forward(of.model, of.clean)[0], of.io, of.s)
                - at_end(forward(of.model, of.corrupted)[0], of.io, of.s)
            ).mean(),
        }, of,
    )  # fmt: skip


# --- 09.6 -------------------------------------------------------------------------------------------------------------


@oracle_cache
def runs(of: Subject) -> tuple[tuple[Tensor, dict], tuple[Tensor, dict]]:
    """The clean and the corrupted run."""
    return forward(of.model, of.clean), forward(of.model, of.corrupted)


NORMS = ("ln1", "ln2", "ln_final")


def held(
    of: Subject, sender: Head, *, also: Sequence[str] = (), heads: bool = True, only_end: bool = False,
    turned: bool = False,
) -> tuple[Tensor, dict]:  # fmt: skip
    """Run C: every z as in the clean run, the sender's as in the corrupted one.

    also: sites that are held at their clean values too, which is wrong. heads: False holds no head. turned: clean and
    corrupted prompts are exchanged.
    """
    (_, clean), (_, corrupted) = runs(of)[::-1] if turned else runs(of)
    layer, head = sender
    hold = {key: value for key, value in clean.items() if key[0] in (*also, *(["z"] if heads else []))}

    def put(name: str, at: int, x: Tensor) -> Tensor | None:
        x = hold.get((name, at), x)
        if (name, at) != ("z", layer):
            return x
        new = with_head(x, corrupted["z", layer], head)
        if only_end:
            new = torch.cat([x[:, :-1], new[:, -1:]], 1)
        return new

    return forward(of.model, of.corrupted if turned else of.clean, put)


def some_heads(of: Subject) -> list[Head]:
    """Senders of a subject: of the planted circuit some of each kind."""
    if of.name != "a planted circuit":
        return of.heads
    kinds = planted_subject(3)[1]
    return [kinds[kind][0] for kind in ("duplicate token", "s-inhibition", "name mover", "negative mover")]


@grades("09.6", weight=2)
def test_the_path_to_the_logits_in_random_networks(answer):
    """Every head of networks with norms, biases and MLPs as the sender."""
    for of in subjects()[:2]:
        check_path(answer, of)


@grades("09.6")
def test_the_path_to_the_logits_in_the_planted_circuit(answer):
    """Heads of the planted circuit from another seed."""
    check_path(answer, planted_subject(3)[0])


def check_path(answer: Any, of: Subject) -> None:
    model, clean, corrupted, _, _ = of.prompts
    for sender in some_heads(of):
        tables(
            answer.path_to_logits(model, clean, corrupted, sender), held(of, sender)[0], "the logits",
            "batch pos d_vocab", lambda sender=sender: path_mistakes(of, sender), of,
        )  # fmt: skip


def path_mistakes(of: Subject, sender: Head) -> dict[str, Tensor]:
    layer, head = sender
    later = {("z", at): value for (name, at), value in runs(of)[0][1].items() if name == "z" and at != layer}
    zero = with_head(runs(of)[0][1]["z", layer], torch.zeros_like(runs(of)[0][1]["z", layer]), head)
    others = {key: value for key, value in runs(of)[1][1].items() if key[0] == "z"}
    others["z", layer] = with_head(others["z", layer], runs(of)[0][1]["z", layer], head)
    return {
        "Every head BUT the sender speaks of the corrupted prompt. Hold the others at their clean values, and let the "
        "sender alone speak of it.": forward(of.model, of.clean, exchange(others))[0],
        "The other heads hear of it: this is the whole effect. Hold the z of every other head at its clean value.": (
            held(of, sender, heads=False)[0]
        ),
        "The MLPs are held too. They are no heads: what goes through them belongs to the direct path.": (
            held(of, sender, also=("mlp_out",))[0]
        ),
        "The norms are held too. They are computed anew.": held(of, sender, also=NORMS)[0],
        "The MLPs and the norms are held. Only heads are.": held(of, sender, also=("mlp_out", *NORMS))[0],
        "Clean and corrupted are exchanged: the sender alone speaks of the corrupted prompt.": (
            held(of, sender, turned=True)[0]
        ),
        "The sender's z is exchanged at END alone. Exchange it at all positions.": held(of, sender, only_end=True)[0],
        "The sender is silenced. Put in its z of the corrupted run.": forward(
            of.model, of.clean, exchange({**later, ("z", layer): zero})
        )[0],
        "The whole layer of the sender speaks of the corrupted prompt. Exchange one head.": forward(
            of.model, of.clean, exchange({**later, ("z", layer): runs(of)[1][1]["z", layer]})
        )[0],
        "This is the clean run: the sender's z is that of the clean prompt.": runs(of)[0][0],
        "This is the corrupted run.": runs(of)[1][0],
    }


# --- 09.7 -------------------------------------------------------------------------------------------------------------


def path_patched(
    of: Subject, sender: Head, receivers: list[Head], inputs: list[str], *, from_corrupted: bool = False,
    held_in_d: bool = False, sender_in_d: bool = False, whole_layers: bool = False, d_corrupted: bool = False,
    late: bool = False, heard_at_end: bool = False, **c: Any,
) -> Tensor:  # fmt: skip
    """Run D. The switches make known mistakes; the others are those of `held`."""
    heard = runs(of)[1][1] if from_corrupted else held(of, sender, **c)[1]
    clean, corrupted = runs(of)[0][1], runs(of)[1][1]

    def put(name: str, at: int, x: Tensor) -> Tensor | None:
        if name in inputs:
            for layer, head in receivers:
                if layer == at:
                    new = heard[name, at] if whole_layers else with_head(x, heard[name, at], head)
                    if late:  # an edit that looks its layer, head and input up when it runs, and finds the last ones
                        new = with_head(x, heard[inputs[-1], receivers[-1][0]], receivers[-1][1])
                    x = torch.cat([x[:, :-1], new[:, -1:]], 1) if heard_at_end else new
        if name == "z" and held_in_d and at not in [layer for layer, _ in receivers]:
            x = clean["z", at]
        if name == "z" and sender_in_d and at == sender[0]:
            x = with_head(x, corrupted["z", at], sender[1])
        return x

    return forward(of.model, of.corrupted if d_corrupted else of.clean, put)[0]


Case = tuple[Head, list[Head], list[str]]


def path_cases(of: Subject) -> list[Case]:
    if of.name == "a planted circuit":
        kinds = planted_subject(3)[1]
        by_token, by_place = kinds["s-inhibition"]
        movers, (duplicate,) = [*kinds["name mover"], *kinds["negative mover"]], kinds["duplicate token"]
        return [
            (by_token, movers, ["q"]),
            (by_token, movers, ["v"]),
            (duplicate, [by_place, by_token], ["k", "v"]),
        ]
    if of.model.cfg.n_layers == 3:
        return [
            ((0, 1), [(2, 0)], ["q"]),
            ((0, 0), [(1, 1), (2, 1)], ["k"]),
            ((1, 0), [(2, 0), (2, 1)], ["v", "q"]),
            ((0, 1), [(1, 0)], ["q", "k", "v"]),
        ]
    return [((0, 2), [(1, 0), (1, 2)], ["q"]), ((0, 1), [(1, 1)], ["v"])]


@grades("09.7", weight=2)
def test_paths_between_heads_of_random_networks(answer):
    """One and several receivers, in one layer and in several; queries, keys and values."""
    for of in subjects()[:2]:
        for case in path_cases(of):
            check_between(answer, of, case)


@grades("09.7")
def test_paths_between_heads_of_the_planted_circuit(answer):
    """The inhibitors to the movers' queries, and the duplicate-token head to the inhibitors, in another seed."""
    of = planted_subject(3)[0]
    for case in path_cases(of):
        check_between(answer, of, case)


@grades("09.7")
def test_paths_between_heads_of_a_network_in_the_format_of_gpt2(answer):
    """A trained network as `transformers` has it: the same function, unchanged."""
    model = mi_lib.load("repeats-gpt2", check=False)
    clean, corrupted = (random_tokens(3, 9, 64, seed) for seed in (7, 8))
    for sender, receivers, inputs in (((0, 1), [(1, 0), (1, 1)], ["q"]), ((0, 0), [(1, 1)], ["k", "v"])):
        to = [f"a{layer}.h{head}.{which}" for which in inputs for layer, head in receivers]
        want = circuits.path_patch(model, clean, corrupted, f"a{sender[0]}.h{sender[1]}", to)
        got = answer.path_patch(model, clean, corrupted, sender, receivers, inputs)
        expect_close(got, want, "the logits", axes="batch pos d_vocab", atol=2e-3, rtol=1e-3)


@grades("09.7")
def test_nobody_hears_what_comes_later(answer):
    """Receivers in the sender's own layer, or before it, hear nothing: the logits are those of the clean run."""
    of = random_subject(*SHAPES[0])
    for sender, receivers in (((1, 0), [(1, 1)]), ((2, 1), [(0, 0), (1, 0)]), ((1, 1), [(1, 1)])):
        got = answer.path_patch(of.model, of.clean, of.corrupted, sender, receivers, ["q", "k", "v"])
        expect_close(
            got, runs(of)[0][0], f"what path_patch gives for the sender {sender} and the receivers {receivers}, which "
            "are computed before it has written", axes="batch pos d_vocab", atol=5e-4, rtol=1e-3,
            mistakes=lambda sender=sender, receivers=receivers: {
                "The receivers get what they read of the CORRUPTED prompt. They get what they heard in run C, where "
                "only the sender has changed.": path_patched(
                    of, sender, receivers, ["q", "k", "v"], from_corrupted=True
                ),
                "In run D the sender itself speaks of the corrupted prompt, so that everybody hears it.": path_patched(
                    of, sender, receivers, ["q", "k", "v"], sender_in_d=True
                ),
            },
        )  # fmt: skip


def check_between(answer: Any, of: Subject, case: Case) -> None:
    want = path_patched(of, *case)
    tables(
        answer.path_patch(of.model, of.clean, of.corrupted, *case), want, "the logits", "batch pos d_vocab",
        lambda: between_mistakes(of, case), of,
    )  # fmt: skip


def between_mistakes(of: Subject, case: Case) -> dict[str, Tensor]:
    sender, receivers, inputs = case
    patched = functools.partial(path_patched, of, sender, receivers)
    other = {"q": "k", "k": "q", "v": "q"}
    known = {
        "In run C the heads between sender and receivers hear of it too. Hold every z there.": patched(
            inputs, heads=False
        ),
        "The receivers get what they read of the CORRUPTED prompt, from all heads. Give them what they heard in C.": (
            patched(inputs, from_corrupted=True)
        ),
        "The MLPs are held in run C. They are no heads: compute them anew.": patched(inputs, also=("mlp_out",)),
        "The norms are held in run C. Compute them anew.": patched(inputs, also=NORMS),
        "The MLPs and the norms are held in run C. Only heads are.": patched(inputs, also=("mlp_out", *NORMS)),
        "In run D the heads are held as well. There, all that follows from the receivers is computed as it comes.": (
            patched(inputs, held_in_d=True)
        ),
        "In run D the sender itself speaks of the corrupted prompt, so that everybody hears it.": patched(
            inputs, sender_in_d=True
        ),
        "All heads of the receivers' layers hear it. Exchange the inputs of the receivers alone.": patched(
            inputs, whole_layers=True
        ),
        "The receivers hear it at END alone. Exchange their inputs at all positions.": patched(
            inputs, heard_at_end=True
        ),
        "The sender's z is exchanged at END alone. Exchange it at all positions.": patched(inputs, only_end=True),
        "Run D goes over the corrupted prompts. Run the clean ones, in which the receivers alone have heard.": patched(
            inputs, d_corrupted=True
        ),
        "One receiver is given what another one heard: does each edit keep its own layer, head and input?": patched(
            inputs, late=True
        ),
        "Clean and corrupted are exchanged.": patched(inputs, turned=True),
        "Only the first receiver hears it. There may be several.": path_patched(of, sender, receivers[:1], inputs),
        "Only the last receiver hears it. There may be several: does each edit keep its own head?": path_patched(
            of, sender, receivers[-1:], inputs
        ),
        "Only the first of the inputs is exchanged. There may be several.": patched(inputs[:1]),
        "Only the last of the inputs is exchanged. There may be several.": patched(inputs[-1:]),
        "This is the clean run. Are the edits made for the logits' run?": runs(of)[0][0],
        "This is run C, in which the logits hear the sender themselves. Run D is another one.": held(of, sender)[0],
        "All three inputs are exchanged. Exchange those that `inputs` names.": patched(["q", "k", "v"]),
    }
    for wrong in ("q", "k", "v"):
        sentence = (
            f"You exchange the receivers' {wrong}, whatever was asked for. Exchange the inputs that `inputs` names."
        )
        known[sentence] = patched([wrong])
    if len(inputs) == 1:
        asked, gave = inputs[0], other[inputs[0]]
        known[f"You exchange the receivers' {gave}, and were asked for their {asked}."] = patched([gave])
    want = path_patched(of, *case)
    return {sentence: wrong for sentence, wrong in known.items() if not torch.allclose(wrong, want, atol=1e-6)}


# --- 09.8 -------------------------------------------------------------------------------------------------------------


@oracle_cache
def spoken(of: Subject, case: int, only: int | None = None, **wrong: Any) -> Tensor:
    """What each sender does by way of the receivers, or of one of them, [layer head batch]."""
    _, receivers, inputs = path_cases(of)[case]
    receivers = receivers if only is None else receivers[only : only + 1]
    clean = at_end(runs(of)[0][0], of.io, of.s)
    each = [at_end(path_patched(of, head, receivers, inputs, **wrong), of.io, of.s) - clean for head in of.heads]
    return torch.stack(each).view(of.model.cfg.n_layers, of.model.cfg.n_heads, -1)


@grades("09.8", weight=2)
def test_who_speaks_to_heads_of_random_networks(answer):
    """Every head as the sender, for one receiver and for several."""
    for of, case in ((subjects()[0], 1), (subjects()[0], 2), (subjects()[1], 0)):
        check_speakers(answer, of, case)


@grades("09.8")
def test_who_speaks_to_the_inhibitors(answer):
    """The planted circuit from another seed: keys and values of the S-inhibition heads."""
    check_speakers(answer, planted_subject(3)[0], 2)


def check_speakers(answer: Any, of: Subject, case: int) -> None:
    _, receivers, inputs = path_cases(of)[case]
    each = spoken(of, case)
    want = each.mean(-1)
    tables(
        answer.who_speaks_to(*of.prompts, receivers, inputs), want, "what each sender does", "layer head",
        lambda: {
            "You average absolute values. Keep the sign.": each.abs().mean(-1),
            "This is the absolute value of the mean. Keep the sign.": want.abs(),
            "The sign is turned: it is m_patched − m_clean.": -want,
            "m_clean was not subtracted.": want + at_end(runs(of)[0][0], of.io, of.s).mean(),
            "m_corrupted was subtracted. It is m_patched − m_clean.": want
            + (at_end(runs(of)[0][0], of.io, of.s) - at_end(runs(of)[1][0], of.io, of.s)).mean(),
            "The axes are exchanged: the result is [layer head].": want.T,
            "You sum over prompts. Average over them.": each.sum(-1),
            "These are whole effects: other heads hear the sender too.": spoken(of, case, heads=False).mean(-1),
            "This is the path to the logits, past the receivers.": direct_paths(of).mean(-1),
            "You sum over receivers that hear it one by one. Let all hear it in one run: effects do not add up.": (
                sum(spoken(of, case, only=i).mean(-1) for i in range(len(receivers)))
            ),
        }, of,
    )  # fmt: skip


@oracle_cache
def direct_paths(of: Subject) -> Tensor:
    clean = at_end(runs(of)[0][0], of.io, of.s)
    each = [at_end(held(of, head)[0], of.io, of.s) - clean for head in of.heads]
    return torch.stack(each).view(of.model.cfg.n_layers, of.model.cfg.n_heads, -1)


@grades("09.8")
def test_the_strongest(answer):
    """Tables with large and small effects of both signs."""
    table = torch.tensor([[0.1, -4.0, 0.02], [2.0, 0.39, -0.41]])
    for share, want in (
        (0.5, [(0, 1), (1, 0)]),
        (0.1, [(0, 1), (1, 0), (1, 2)]),
        (1.0, [(0, 1)]),
        (0.0, [(0, 1), (1, 0), (1, 2), (1, 1), (0, 0), (0, 2)]),
    ):
        found = table >= share * table.max()
        size = {(row, head): abs(float(table[row, head])) for row in range(2) for head in range(3)}
        above = sorted((head for head in size if size[head] >= share), key=lambda head: -size[head])
        expect_equal(
            [tuple(head) for head in answer.strongest(table, share)], want, f"the heads with {share:.0%} of the top",
            mistakes={
                "Only positive effects were looked at. What counts is the size, whatever the sign.": [
                    tuple(head) for head in found.nonzero().tolist()
                ],
                "This compares with `share` itself, in logits. It is a share of the largest effect.": above,
                "The smallest comes first. Put the largest first.": want[::-1],
                "They stand in the order of the table. Put the largest first.": sorted(want),
                "The head comes before the layer. A head is (layer, head).": [(head, layer) for layer, head in want],
            } if want != sorted(want) or len(want) > 1 else {},
        )  # fmt: skip
    one = torch.tensor([[0.25, 0.5], [1.0, -0.125]])
    expect_equal(
        [tuple(head) for head in answer.strongest(one, 0.5)], [(1, 0), (0, 1)],
        "the heads with at least half of the largest, where one has exactly half",
        mistakes={"A head with exactly this share was left out: it says AT LEAST.": [(1, 0)]},
    )  # fmt: skip


# --- 09.9 -------------------------------------------------------------------------------------------------------------


@grades("09.9", weight=2)
def test_where_heads_look(answer):
    """From one place to another, which are others in each prompt."""
    for of in subjects():
        last = torch.full((len(of.clean),), of.clean.shape[1] - 1)
        for query, key in ((last, of.at[0]), (of.at.max(0).values, of.at.min(0).values)):
            seen = [runs(of)[0][1]["pattern", layer] for layer in range(of.model.cfg.n_layers)]
            each = [[p[row, :, query[row], key[row]] for row in range(len(query))] for p in seen]
            want = torch.stack([torch.stack(rows).mean(0) for rows in each])
            turned = [[p[row, :, key[row], query[row]] for row in range(len(query))] for p in seen]
            tables(
                answer.attention_to(of.model, of.clean, query, key), want, "the attention", "layer head",
                lambda seen=seen, each=each, turned=turned, want=want, query=query, key=key: {
                    "Query and key are exchanged: the pattern is [batch head query key].": torch.stack(
                        [torch.stack(rows).mean(0) for rows in turned]
                    ),
                    "The places of the first prompt were used for all of them.": torch.stack(
                        [p[:, :, query[0], key[0]].mean(0) for p in seen]
                    ),
                    "The query is END, whatever query_at says.": torch.stack(
                        [torch.stack([p[row, :, -1, key[row]] for row in range(len(key))]).mean(0) for p in seen]
                    ),
                    "You sum over prompts. Average over them.": len(query) * want,
                    "The axes are exchanged: the result is [layer head].": want.T,
                    "You average over all queries. Each prompt has one.": torch.stack(
                        [sum(p[row, :, :, key[row]].mean(-1) for row in range(len(key))) / len(key) for p in seen]
                    ),
                }, of,
            )  # fmt: skip


@functools.cache
def names_subject(number: int) -> Subject:
    """A random network with many prompts, so that a share of them says something."""
    of, n = random_subject(*SHAPES[number]), 60
    clean = random_tokens(n, of.clean.shape[1], 17, 60 + number)
    at = torch.randint(clean.shape[1] - 1, (1, n), generator=generator(number))
    return of._replace(clean=clean, at=at, io=clean[:, 0], s=clean[:, 1], template=torch.arange(n) % 3)


def copied(of: Subject, name_at: Tensor, k: int, sign: int, wrong: str = "") -> tuple[Tensor, Tensor]:
    """The copy scores, and how far the nearest rank is from another."""
    model, rows = of.model, torch.arange(len(of.clean))
    _, kept = runs(of)[0]
    after = forward(model, of.clean, None)[1]
    stream = after["resid_pre", 1] if model.cfg.n_layers > 1 else after["resid_post", 0]
    end = torch.full_like(name_at, of.clean.shape[1] - 1)
    where = end if wrong == "END" else name_at
    x, names = stream[rows, where], of.clean[rows, name_at]
    if wrong == "embed":
        x = model.W_E.double()[names]
    if wrong == "first":
        x = kept["resid_pre", 0][rows, where]
    scores, margins = torch.zeros(model.cfg.n_layers, model.cfg.n_heads), []
    for layer, head in of.heads:
        y, norm = x, model.pre_norm(layer, "attn")
        if wrong == "last stream":
            y = kept["resid_pre", layer][rows, where]
        if norm is not None and wrong != "ln1":
            y = plain_norm(y, norm)
        v = y @ model.W_V[layer, head].double() + (0 if wrong == "b_V" else model.b_V[layer, head].double())
        if wrong == "z":
            v = kept["z", layer][rows, where, head]
        if wrong == "z at END":
            v = kept["z", layer][rows, end, head]
        out = sign * (v @ model.W_O[layer, head].double() + (x if wrong == "stream" else 0))
        out = sign * out if wrong == "only late sign" else out
        out = plain_norm(out, model.ln_final) if model.ln_final is not None and wrong != "ln_final" else out
        logits = out @ model.W_U.double() + (0 if model.b_U is None or wrong == "b_U" else model.b_U.double())
        logits = sign * logits if "late sign" in wrong else logits
        own = logits[rows, names][:, None]
        scores[layer, head] = ((logits > own).sum(-1) < k).double().mean()
        rest = (logits - own).abs()
        rest[rows, names] = torch.inf
        margins.append(rest.min())
    return scores, torch.stack(margins).view_as(scores)


def plain_norm(x: Tensor, norm: Any) -> Tensor:
    x = x - x.mean(-1, keepdim=True)
    return x / (x.pow(2).mean(-1, keepdim=True) + norm.eps).sqrt() * norm.w.double() + norm.b.double()


@grades("09.9", weight=2)
def test_what_heads_copy(answer):
    """Random networks with norms and biases, many prompts; both signs, small and large k."""
    for number, k, negative in ((0, 5, False), (1, 2, False), (0, 3, True), (1, 6, True)):
        of = names_subject(number)
        check_copies(answer, of, of.at[0], k, negative)


@grades("09.9")
def test_what_the_planted_heads_copy(answer):
    """The planted circuit from another seed, at IO: the movers say it, the negative mover its opposite."""
    of, kinds = planted_subject(3)
    for negative, heads in ((False, kinds["name mover"]), (True, kinds["negative mover"])):
        got = answer.copy_scores(of.model, of.clean, of.at[0], 5, negative)
        for layer, head in heads:
            expect(
                float(got[layer][head]) == 1,
                f"Head {layer}.{head} says the name that it looks at{', turned round' * negative}, in every prompt: "
                "with "
                f"k = 5, negative = {negative} its copy score is 1, but your code gave {float(got[layer][head]):.3g}.",
            )
        expect(
            float(sum(float(x) for row in got for x in row)) < len(of.heads) - 5,
            "Nearly every head has a copy score of 1. Most of these heads write nothing about the name.",
        )


def check_copies(answer: Any, of: Subject, name_at: Tensor, k: int, negative: bool) -> None:
    sign = -1 if negative else 1
    want, margins = copied(of, name_at, k, sign)
    assert float(margins.min()) > 1e-5, "a rank that rounding could change"
    given = (of.model, of.clean, name_at, k, *((True,) if negative else ()))

    def known() -> dict[str, Tensor]:
        other = functools.partial(copied, of, name_at, k, sign)
        return {
            "`negative` was not looked at: −1 times what the head writes goes on.": copied(of, name_at, k, -sign)[0],
            "The logits are turned round, and not what the head writes: biases and norm come after it.": other(
                "late sign"
            )[0],
            "The smallest logits are taken. Turn what the head writes round: biases and norm come after it.": (
                other("only late sign")[0]
            ),
            "For `negative` this is 1 − the copy score. Turn what the head writes round, and read it anew.": (
                1 - copied(of, name_at, k, -sign)[0] if negative else want
            ),
            "This is what the head really wrote at END, where it looked about. The copy score never looks at the "
            "attention.": other("z at END")[0],
            "The stream itself is added to what the head writes. Read what the head writes by itself.": other("stream")[
                0
            ],
            "This is what the head really wrote at the name. Send the name's own stream through W_V and W_O, as if all "
            "attention were there.": other("z")[0],
            "The head reads the bare embedding. It reads the stream as it leaves block 0.": other("embed")[0],
            "The head reads what ENTERS block 0. It reads the stream as it leaves it.": other("first")[0],
            "Each head reads the stream before its own layer. All read it as it leaves block 0.": other("last stream")[
                0
            ],
            'The head\'s own norm is missing: model.pre_norm(layer, "attn").': other("ln1")[0],
            "b_V is missing.": other("b_V")[0],
            "The final norm is missing.": other("ln_final")[0],
            "The bias of the unembedding is missing: use model.unembed.": other("b_U")[0],
            "You read the stream at END. Read it at the name.": other("END")[0],
            "Only the first guess counts here. The name counts if it is among the k largest.": (
                copied(of, name_at, 1, sign)[0]
            ),
            "You count one token too few: the k largest logits.": copied(of, name_at, k - 1, sign)[0],
            "You count one token too many: the k largest logits.": copied(of, name_at, k + 1, sign)[0],
            "The axes are exchanged: the result is [layer head].": want.T,
            "This counts prompts. Return their share.": want * len(of.clean),
        }

    expect_close(
        answer.copy_scores(*given), want, f"the copy score with k = {k}, negative = {negative}, of {of.name}",
        axes="layer head", mistakes=known,
    )  # fmt: skip


# --- 09.10 ------------------------------------------------------------------------------------------------------------


def means_by_hand(of: Subject, which: str = "corrupted", pooled: bool = False) -> Tensor:
    kept = forward(of.model, getattr(of, which))[1]
    z = torch.stack([kept["z", layer] for layer in range(of.model.cfg.n_layers)], 1)
    found = []
    for t in range(int(of.template.max()) + 1):
        rows = [row for row in range(len(z)) if pooled or int(of.template[row]) == t]
        found.append(sum(z[row] for row in rows) / len(rows))
    return torch.stack(found)  # type: ignore[arg-type]


@grades("09.10", weight=2)
def test_means_for_each_template_and_position(answer):
    """Random networks, and the planted circuit with its four templates."""
    for of in (*subjects()[:2], with_all_templates(5)):
        want = means_by_hand(of)
        tables(
            answer.abc_means(of.model, of.corrupted, of.template), want, "the means",
            "template layer pos head d_head",
            lambda of=of, want=want: {
                "One mean over all templates: at the same position, other sentences have other words. Average over the "
                "prompts of one template.": means_by_hand(of, pooled=True),
                "The mean was taken over positions too. Each position keeps its own.": (
                    want.mean(2, keepdim=True).expand_as(want)
                ),
                "These are sums. Divide by the number of prompts of the template.": want
                * of.template.bincount()[:, None, None, None, None],
                "Each sum was divided by the number of ALL prompts. Divide by that of the template.": want
                * of.template.bincount()[:, None, None, None, None] / len(of.template),
                "The templates are in another order: row t is template t.": want.flip(0),
                "The axes template and layer are exchanged.": want.transpose(0, 1),
                "The axes pos and head are exchanged: z is [batch pos head d_head].": want.transpose(2, 3),
            }, of,
        )  # fmt: skip


@functools.cache
def with_all_templates(seed: int) -> Subject:
    of = planted_subject(seed, 24)[0]
    assert len(of.template.unique()) == 4
    return of


@functools.cache
def given_means(of_number: int) -> Tensor:
    """Means that are nobody's, so that each index shows."""
    of = subjects()[of_number]
    cfg = of.model.cfg
    shape = (int(of.template.max()) + 1, cfg.n_layers, of.clean.shape[1], cfg.n_heads, cfg.d_head)
    return 0.7 * randn(*shape, seed=of_number + 3)


def silenced(of: Subject, means: Tensor, heads: Sequence[Head], wrong: str = "") -> Edit:
    def put(name: str, layer: int, x: Tensor) -> Tensor | None:
        own = [head for at, head in heads if at == layer]
        if name == "mlp_out" and wrong == "mlps held":
            return runs(of)[0][1]["mlp_out", layer]
        if name != "z" or (not own and wrong != "others"):
            return None
        if wrong == "others":
            own = [head for head in range(of.model.cfg.n_heads) if head not in own]
        x = x.clone()
        for row, t in enumerate(of.template.tolist()):
            new = means[0 if wrong == "template 0" else t, layer].double()
            if wrong == "zero":
                new = 0 * new
            if wrong == "pooled":
                new = means[:, layer].double().mean(0)
            if wrong == "by position":
                new = new.mean(0, keepdim=True).expand_as(new)
            if wrong == "own batch":
                new = runs(of)[0][1]["z", layer].mean(0)
            at = slice(-1, None) if wrong == "END" else slice(None)
            x[row, at, own] = new[at][:, own]
        return x

    return put


def head_sets(of: Subject) -> list[list[Head]]:
    if of.name == "a planted circuit":
        kinds = planted_subject(3)[1]
        return [kinds["name mover"], [*kinds["s-inhibition"], *kinds["duplicate token"]]]
    last = of.model.cfg.n_layers - 1
    return [[(0, 1)], [(last, 1), (0, 0), (last, 0)], [(0, 0), (0, 1)]]


@grades("09.10", weight=2)
def test_heads_knocked_out(answer):
    """One head and several, in one layer and in several."""
    for number, of in enumerate(subjects()):
        means = given_means(number)
        for heads in head_sets(of):
            run = functools.partial(silenced_logits, of, means)
            tables(
                answer.knock_out(of.model, of.clean, of.template, means, heads), run(heads), "the logits",
                "batch pos d_vocab",
                lambda of=of, heads=heads, run=run: {
                    "The mean of template 0 stands in every prompt. Each has its own.": run(heads, "template 0"),
                    "The mean over templates stands in every prompt. Each has its own.": run(heads, "pooled"),
                    "Zeros stand in their place. Put in the means.": run(heads, "zero"),
                    "Only END is knocked out. Put in the mean at every position.": run(heads, "END"),
                    "One mean stands at all positions. Each position has its own.": run(heads, "by position"),
                    "The mean of these very prompts stands in their place. Put in the `means` that are given.": (
                        run(heads, "own batch")
                    ),
                    "You knock out the heads that are NOT named.": run(heads, "others"),
                    "The MLPs are held. They follow.": run(heads, "mlps held"),
                    "Only the first of the heads is knocked out.": run(heads[:1]),
                    "Only the last of the heads is knocked out. Does each edit keep its own?": run(heads[-1:]),
                    "This is the model as it is: nothing was knocked out.": runs(of)[0][0],
                }, of,
            )  # fmt: skip


def silenced_logits(of: Subject, means: Tensor, heads: Sequence[Head], wrong: str = "") -> Tensor:
    return forward(of.model, of.clean, silenced(of, means, heads, wrong))[0]


@grades("09.10")
def test_nothing_knocked_out(answer):
    """An empty list of heads is the model as it is."""
    of = subjects()[0]
    expect_close(
        answer.knock_out(of.model, of.clean, of.template, given_means(0), []), runs(of)[0][0],
        "the logits with nothing knocked out", axes="batch pos d_vocab", atol=1e-4,
        mistakes=lambda: {
            "With an empty list every head is knocked out. It should be none.": silenced_logits(
                of, given_means(0), of.heads
            )
        },
    )  # fmt: skip


# --- 09.11 ------------------------------------------------------------------------------------------------------------


def F(of: Subject, means: Tensor, circuit: Sequence[Head], wrong: str = "") -> float:
    """F(C) by hand."""
    out = [head for head in of.heads if head not in circuit]
    return float(at_end(silenced_logits(of, means, out, wrong), of.io, of.s).mean())


def f_arguments(of: Subject, means: Tensor) -> tuple:
    return of.model, of.clean, of.template, means, of.io, of.s


def circuits_of(of: Subject) -> list[list[Head]]:
    if of.name == "a planted circuit":
        return [sorted(head for heads in planted_subject(3)[1].values() for head in heads)]
    return [of.heads[::2], of.heads[1:3], []]


@grades("09.11", weight=2)
def test_the_circuit_alone(answer):
    """Circuits of some heads, of none, and the planted one."""
    for number, of in enumerate(subjects()):
        means = given_means(number) if number < 2 else means_by_hand(of).float()
        for circuit in circuits_of(of):
            want = F(of, means, circuit)
            expect_close(
                answer.circuit_difference(*f_arguments(of, means), circuit), want,
                f"F of the circuit {circuit or 'of nothing'} of {of.name}", atol=1e-3,
                mistakes=lambda of=of, means=means, circuit=circuit, want=want: {
                    "You knock out the circuit itself. Everything else goes.": float(
                        at_end(silenced_logits(of, means, circuit), of.io, of.s).mean()
                    ),
                    "This is the whole model: nothing was knocked out.": F(of, means, of.heads),
                    "IO and S are exchanged.": -want,
                    "You sum over prompts. Average over them.": want * len(of.clean),
                    "Zeros stand in place of the means.": F(of, means, circuit, "zero"),
                    "Only END is knocked out.": F(of, means, circuit, "END"),
                },
            )  # fmt: skip


@grades("09.11", weight=2)
def test_faithful_or_not(answer):
    """How far the circuit is from the model, in logits and as a share."""
    for number, of in enumerate(subjects()):
        means = given_means(number) if number < 2 else means_by_hand(of).float()
        for circuit in circuits_of(of):
            whole, alone = F(of, means, of.heads), F(of, means, circuit)
            got = answer.faithfulness(*f_arguments(of, means), circuit)
            expect_close(
                torch.tensor([float(x) for x in got]), torch.tensor([abs(whole - alone), alone / whole]),
                f"the faithfulness of {circuit or 'a circuit of nothing'} in {of.name}", atol=1e-3, rtol=1e-3,
                mistakes=lambda whole=whole, alone=alone: {
                    "The first number is a distance: take the absolute value.": torch.tensor(
                        [whole - alone, alone / whole]
                    ),
                    "The first number is turned round, and has a sign. It is |F(M) − F(C)|.": torch.tensor(
                        [alone - whole, alone / whole]
                    ),
                    "The share is upside down: it is F(C) / F(M).": torch.tensor([abs(whole - alone), whole / alone]),
                    "The second number is what is lost. Return what is kept, F(C) / F(M).": torch.tensor(
                        [abs(whole - alone), 1 - alone / whole]
                    ),
                    "The two numbers are in the other order.": torch.tensor([alone / whole, abs(whole - alone)]),
                },
            )  # fmt: skip


# --- 09.12 ------------------------------------------------------------------------------------------------------------


def written_under(of: Subject, edit: Edit | None) -> Tensor:
    """The direct effects in a run, [layer head batch]."""
    kept, found = forward(of.model, of.clean, edit)[1], []
    for layer, head in of.heads:
        part = kept["z", layer][:, :, head] @ of.model.W_O[layer, head].double()
        found.append(read_out(of.model, part, kept, of.io, of.s)[:, -1])
    return torch.stack(found).view(of.model.cfg.n_layers, of.model.cfg.n_heads, -1)


@grades("09.12", weight=2)
def test_direct_effects_after_silencing_heads_of_random_networks(answer):
    """One head and several, of every layer."""
    for number, of in enumerate(subjects()[:2]):
        for heads in head_sets(of):
            check_silenced(answer, of, given_means(number), heads)


@grades("09.12")
def test_the_backups_wake(answer):
    """The planted circuit from another seed: one mover silenced, and both."""
    of, kinds = planted_subject(3)
    means = means_by_hand(with_all_templates(3)).float()
    for heads in (kinds["name mover"][:1], kinds["name mover"]):
        check_silenced(answer, of, means, heads)


def check_silenced(answer: Any, of: Subject, means: Tensor, heads: list[Head]) -> None:
    before, after = written_under(of, None), written_under(of, silenced(of, means, heads))
    want = (after - before).mean(-1)
    out = silenced_logits(of, means, heads)
    tables(
        answer.after_silencing(*f_arguments(of, means), heads), want, "the change of the direct effects", "layer head",
        lambda: {
            "The sign is turned: it is the run without them, minus the run with them.": -want,
            "This is the direct effect in the run without them. Subtract that of the run with them.": after.mean(-1),
            "This is the direct effect in the model as it is.": before.mean(-1),
            "Keep the sign of the change.": want.abs(),
            "You average absolute changes. Keep the sign.": (after - before).abs().mean(-1),
            "Zeros stand in place of the means.": (
                written_under(of, silenced(of, means, heads, "zero")) - before
            ).mean(-1),
            "Heads are silenced at END alone. Silence them at every position.": (
                written_under(of, silenced(of, means, heads, "END")) - before
            ).mean(-1),
            "The mean of template 0 stands in every prompt.": (
                written_under(of, silenced(of, means, heads, "template 0")) - before
            ).mean(-1),
            "You silence the heads that are NOT named.": (
                written_under(of, silenced(of, means, heads, "others")) - before
            ).mean(-1),
            "Nothing was silenced: are the edits still there when direct_effects runs?": torch.zeros_like(want),
            "The axes are exchanged: the result is [layer head].": want.T,
            "This is by how much the whole difference changes.": (
                at_end(out, of.io, of.s) - at_end(runs(of)[0][0], of.io, of.s)
            ).mean().expand_as(want),
        }, of,
    )  # fmt: skip


# --- 09.13 ------------------------------------------------------------------------------------------------------------


def removals(of: Subject) -> tuple[list[Head], list[list[Head]]]:
    """A circuit, and sets of its heads to remove."""
    if of.name == "a planted circuit":
        kinds = planted_subject(3)[1]
        circuit = [
            head for kind in ("duplicate token", "s-inhibition", "name mover", "backup mover") for head in kinds[kind]
        ]
        return circuit, [kinds["name mover"], kinds["s-inhibition"][:1]]
    circuit = of.heads[:-1]
    return circuit, [[circuit[0]], [circuit[1], circuit[-1]], []]


@grades("09.13", weight=2)
def test_the_circuit_and_the_model_without_some_heads(answer):
    """F(C∖K) beside F(M∖K)."""
    for number, of in enumerate(subjects()):
        means = given_means(number) if number < 2 else means_by_hand(with_all_templates(3)).float()
        circuit, removed = removals(of)

        def values(base: Sequence[Head], of: Subject = of, means: Tensor = means, removed: list = removed) -> Tensor:
            return torch.tensor([F(of, means, [head for head in base if head not in K]) for K in removed])

        want = torch.stack([values(circuit), values(of.heads)], 1)
        tables(
            answer.completeness(*f_arguments(of, means), circuit, removed), want, "F(C∖K) and F(M∖K)", "set 2",
            lambda of=of, means=means, circuit=circuit, removed=removed, want=want: {
                "The two columns are exchanged: F(C∖K) comes first.": want.flip(1),
                "K was not removed from the model: the second number is F(M∖K).": torch.stack(
                    [want[:, 0], torch.full((len(removed),), F(of, means, of.heads))], 1
                ),
                "K was not removed from the circuit: the first number is F(C∖K).": torch.stack(
                    [torch.full((len(removed),), F(of, means, circuit)), want[:, 1]], 1
                ),
                "These are F(K): what was to be removed alone works.": torch.stack(
                    [torch.tensor([F(of, means, K) for K in removed])] * 2, 1
                ),
                "Both numbers are those of the circuit. The second is F(M∖K), of the whole model.": (
                    want[:, :1].expand(-1, 2)
                ),
                "The axes are exchanged: the result is [set 2].": want.T,
            }, of,
        )  # fmt: skip


@grades("09.13", weight=2)
def test_what_each_member_is_worth(answer):
    """Members with a K of their own, and with none."""
    for number, of in enumerate(subjects()):
        means = given_means(number) if number < 2 else means_by_hand(with_all_templates(3)).float()
        circuit, some = removals(of)
        removed = [[head for head in some[i % len(some)] if head != v] for i, v in enumerate(circuit)]
        f, whole = functools.partial(F, of, means), F(of, means, of.heads)

        def less(gone: Sequence[Head], circuit: list = circuit) -> list[Head]:
            return [head for head in circuit if head not in gone]

        signed = torch.tensor([f(less([*K, v])) - f(less(K)) for v, K in zip(circuit, removed, strict=True)])
        want = (signed / whole).abs() * (1 if whole > 0 else -1)
        tables(
            answer.minimality(*f_arguments(of, means), circuit, removed), want, "what each member is worth", "member",
            lambda of=of, f=f, whole=whole, signed=signed, circuit=circuit, removed=removed, less=less: {
                "Divide by F(M).": signed.abs(),
                "Take the absolute value of the change: a member may matter by lowering F.": signed / whole,
                "Only the sign is turned: take the absolute value.": -signed / whole,
                "K was not removed: some members show only when others are gone.": torch.tensor(
                    [abs(f(less([v])) - f(circuit)) / whole for v in circuit]
                ),
                "v is compared with the whole circuit. Compare with C∖K, in which K is gone too.": torch.tensor(
                    [abs(f(less([*K, v])) - f(circuit)) / whole for v, K in zip(circuit, removed, strict=True)]
                ),
                "You remove from the whole model. Remove from the circuit, C.": torch.tensor([
                    abs(f([h for h in of.heads if h not in [*K, v]]) - f([h for h in of.heads if h not in K])) / whole
                    for v, K in zip(circuit, removed, strict=True)
                ]),
                "You divide by F(C). Divide by F(M).": signed.abs() / f(circuit),
                "The K of circuit[0] was used for all members. Each has its own.": torch.tensor(
                    [abs(f(less([*removed[0], v])) - f(less(removed[0]))) / whole for v in circuit]
                ),
            }, of,
        )  # fmt: skip


# --- 09.14 ------------------------------------------------------------------------------------------------------------


@functools.cache
def small_circuit(name: str, seed: int) -> tuple[Transformer, planted.Pairs, list[str]]:
    """A circuit, prompts, and the edges to choose from: those of the circuit, and every fifth of the others."""
    circuit = planted.circuit(name, seed=seed)
    own = circuit.edges | circuit.constant_edges
    edges = [str(e) for i, e in enumerate(all_edges(circuit.model.cfg)) if e in own or i % 5 == 0]
    return circuit.model, circuit.pairs(5, seed=seed), edges


@oracle_cache
def discovered(name: str, seed: int, tau: float, wrong: str = "") -> list[str]:
    """ACDC by hand. wrong: forward, from the start, alone, signed, moves on, or the dropped ones."""
    model, pairs, edges = small_circuit(name, seed)

    def m(dropped: list[str]) -> float:
        gone = list(map(Edge.parse, dropped))
        logits = patch_edges(model, pairs.clean, pairs.corrupted, gone) if gone else model(pairs.clean)
        return float(at_end(logits, pairs.answers, pairs.corrupted_answers).mean())

    first = now = m([])
    gone: list[str] = []
    for edge in edges if wrong == "forward" else reversed(edges):
        new = m([edge] if wrong == "alone" else [*gone, edge])
        change = new - (first if wrong in ("from the start", "alone") else now)
        size = -change if wrong == "signed" else abs(change)
        if size < tau:
            gone.append(edge)
            now = new
        elif wrong == "moves on":
            now = new
    return [edge for edge in edges if (edge in gone) == (wrong == "dropped")]


# The range of m is 8, 8 and 16. With the large tau of the last an edge may go that later ones then count without.
SMALL_CIRCUITS = (("redundant", 2, 0.3), ("cancelling", 5, 0.3), ("duplicate", 4, 0.3), ("duplicate", 4, 12.0))


@grades("09.14", weight=3)
def test_edges_found_by_machine(answer):
    """Small planted circuits from other seeds: two heads of which each suffices, two paths that cancel, a chain."""
    for name, seed, tau in SMALL_CIRCUITS:
        model, pairs, edges = small_circuit(name, seed)
        got = answer.acdc(model, pairs.clean, pairs.corrupted, pairs.answers, pairs.corrupted_answers, edges, tau)
        want = discovered(name, seed, tau)
        if list(got) == want:
            continue
        for wrong, sentence in ACDC_SLIPS.items():
            expect(got != discovered(name, seed, tau, wrong), sentence)
        expect(sorted(got) != sorted(want), "The right edges, in another order: return them in the order of `edges`.")
        expect(not set(got) - set(edges), "Return edges of the list that was given, as texts.")
        missing, more = [e for e in want if e not in got], [e for e in got if e not in want]
        expect(
            False,
            f"In the circuit {name!r} with tau = {tau}, {len(want)} edges should remain, but yours has {len(got)}"
            + "".join(f"; {edge} is missing" for edge in missing[:1])
            + "".join(f"; {edge} should have been dropped" for edge in more[:1])
            + ".",
        )


ACDC_SLIPS = {
    "dropped": "These are the edges that were dropped. Return those that remain.",
    "forward": "You go through the edges from the first to the last. Go from the last to the first.",
    "alone": "Each edge was tried by itself. Try it with all that were dropped before still dropped: of two edges of "
    "which each suffices, one must stay.",
    "from the start": "m is compared with that of the clean run. Compare with what it was with what is dropped so far.",
    "signed": "An edge that raises m when it is dropped counts too: compare the size of the change, up or down.",
    "moves on": "m of an edge that was NOT dropped became the new reference. Only a dropped edge changes it.",
}


@grades("09.14")
def test_a_large_and_a_small_tau(answer):
    """With a huge tau nothing remains, with none at all everything does."""
    model, pairs, edges = small_circuit("duplicate", 4)
    some = edges[-12:]
    given = (model, pairs.clean, pairs.corrupted, pairs.answers, pairs.corrupted_answers, some)
    expect(list(answer.acdc(*given, 1e6)) == [], "With tau = 1e6 every change is smaller, and no edge remains.")
    expect(
        list(answer.acdc(*given, 0.0)) == some,
        "With tau = 0 no change is smaller, so that every edge remains: drop an edge if m changes by LESS than tau.",
    )


@grades("09.14")
def test_precision_and_recall(answer):
    """Lists that overlap, that do not, and one with nothing in it."""
    truth = ["a0.h0->m1", "a1.h3->m1", "m1->logits", "embed->a0.h0.v", "embed->a1.h3.v"]
    for found, want in (
        (["m1->logits", "a0.h0->m1", "a0.h1->m1", "a0.h2->m1", "embed->m0", "m0->logits", "embed->m1"], (2 / 7, 2 / 5)),
        (truth, (1.0, 1.0)),
        (truth[:2], (1.0, 2 / 5)),
        (["embed->logits"], (0.0, 0.0)),
        ([], (1.0, 0.0)),
    ):
        precision, recall = want
        expect_close(
            torch.tensor([float(x) for x in answer.precision_recall(found, truth)]), torch.tensor(want),
            f"(precision, recall) of {len(found)} found edges, {len(truth)} of them true",
            mistakes={
                "The two are exchanged: precision comes first.": torch.tensor([recall, precision]),
                "These are counts. Return shares.": torch.tensor([precision * len(found), recall * len(truth)]),
            } if found else {
                "Nothing was found, and that says nothing wrong: its precision is 1.": torch.tensor([0.0, recall]),
            },
        )  # fmt: skip


# --- 09.15 ------------------------------------------------------------------------------------------------------------

LEAST, MOST, GAP, WORTH = 0.87, 1.13, 0.15, 0.01  # of F(M): faithful between the first two, complete, minimal


class Judged:
    """F on prompts that nobody has seen, quickly: means of their own ABC prompts, and one run for each set of heads."""

    def __init__(self, of: Subject) -> None:
        self.of, self.known = of, {}
        _, cache = of.model.run_with_cache(of.corrupted, lambda name: name.endswith("hook_z"))
        self.means = []
        for layer in range(of.model.cfg.n_layers):
            z, rows = cache["z", layer], torch.empty_like(cache["z", layer])
            for t in of.template.unique():
                rows[of.template == t] = z[of.template == t].mean(0)
            self.means.append(rows)

    def __call__(self, kept: Any) -> float:
        kept = frozenset(kept)
        if kept not in self.known:

            def put(z: Tensor, hook: Any) -> None:
                out = [head for head in range(z.shape[2]) if (hook.layer, head) not in kept]
                z[:, :, out] = self.means[hook.layer][:, :, out]

            logits = self.of.model.run_with_hooks(self.of.clean, [(lambda name: name.endswith("hook_z"), put)])
            self.known[kept] = float(at_end(logits, self.of.io, self.of.s).mean())
        return self.known[kept]


def judge_circuit(of: Subject, circuit: Sequence[Head], special: Sequence[Sequence[Head]] = ()) -> None:
    """The three numbers. special: sets of heads that may be removed together, so that sleepers wake."""
    judged, every, C = Judged(of), frozenset(of.heads), frozenset(circuit)
    whole = judged(every)
    expect(bool(C), "Your circuit should hold some heads, but it is empty: nothing of the prompt can arrive.")
    expect(
        not C - every, f"{sorted(C - every)[:1]} is no head of this network. A head is (layer, head), counted from 0."
    )
    share = judged(C) / whole
    expect(
        LEAST <= share <= MOST,
        f"Not faithful: on prompts that it was not found on, your circuit of {len(C)} heads has {share:.0%} of the "
        f"whole difference by itself, and should have {LEAST:.0%} to {MOST:.0%}.",
    )
    source = generator(5)
    drawn = [frozenset(head for head in sorted(C) if torch.rand((), generator=source) < 0.3) for _ in range(6)]
    named = [frozenset(K) & C for K in special]
    for K in dict.fromkeys([*named, *(frozenset([head]) for head in sorted(C)), *drawn]):
        gap = abs(judged(C - K) - judged(every - K)) / abs(whole)
        expect(
            gap <= GAP,
            f"Not complete: with {sorted(K)} removed from both, your circuit has a difference of {judged(C - K):.2f} "
            f"and the network {judged(every - K):.2f}. Some head outside does something once these are gone.",
        )  # fmt: skip
    for v in sorted(C):
        Ks = [frozenset(), *named, *(frozenset([other]) for other in sorted(C))]
        worth = (abs(judged(C - K - {v}) - judged(C - K)) / abs(whole) for K in Ks if v not in K)
        expect(
            any(x >= WORTH for x in worth),
            f"Not minimal: head {v} of your circuit changes the difference by less than {WORTH:.0%} of the whole, "
            "alone or with others removed. Leave it out.",
        )


def found_in(answer: Any, of: Subject) -> list[Head]:
    got = answer.find_circuit(of.model, of.clean, of.corrupted, of.template, of.io, of.s)
    heads = [(int(head[0]), int(head[1])) for head in got]
    twice = [head for head in heads if heads.count(head) > 1]
    expect(not twice, f"Each head should be named once, but your list has {twice[:1]} more than once.")
    return heads


def check_planted_circuit(answer: Any, seed: int) -> None:
    of, kinds = planted_subject(seed, 24)
    fresh = planted_circuit(seed).pairs(32, seed=900 + seed)
    assert isinstance(fresh, NamePairs)
    other = of._replace(
        clean=fresh.clean,
        corrupted=fresh.corrupted,
        io=fresh.answers,
        s=fresh.corrupted_answers,
        template=fresh.template,
    )
    judge_circuit(other, found_in(answer, of), [kinds["name mover"]])


@grades("09.15", weight=2)
def test_a_circuit_of_a_planted_network(answer):
    """The planted circuit from another seed, on prompts that the circuit was not found on."""
    check_planted_circuit(answer, 3)


@grades("09.15", weight=2)
def test_a_circuit_of_another_planted_network(answer):
    """And from one more seed, where the heads stand elsewhere."""
    check_planted_circuit(answer, 6)


@functools.cache
def wild_subject(names: Literal["train", "held_out"], n: int, seed: int) -> Subject:
    """The trained network, and stories of pairs of names that its training saw, or did not see."""
    drawn = giving.stories(n, seed=seed, names=names)
    end = torch.full((n,), drawn.clean.shape[1] - 1)
    return Subject(
        "the trained network", mi_lib.load("ioi-3l", check=False), drawn.clean, drawn.corrupted, drawn.answers,  # type: ignore[arg-type]
        drawn.corrupted_answers, torch.stack([drawn.io, drawn.s1, drawn.s2, end]),
        drawn.template.unique(return_inverse=True)[1],
    )  # fmt: skip


@grades("09.15", weight=2)
def test_a_circuit_of_a_network_that_nobody_planted(answer):
    """A network that was trained, judged on pairs of names that it was not trained on."""
    # Means are of one template: of six stories each they say much of those six, and refuse the card's circuit.
    judge_circuit(wild_subject("held_out", 432, 31), found_in(answer, wild_subject("train", 216, 30)))


# --- 09.16 ------------------------------------------------------------------------------------------------------------


def told(of: Subject, heads: Sequence[Head], hold: bool, wrong: str = "") -> Tensor:
    """The logits at END when these heads bring there what they bring in the corrupted prompt."""
    (_, now), (_, then) = runs(of)

    def put(name: str, layer: int, x: Tensor) -> Tensor | None:
        if name == "mlp_out" and wrong == "mlps held":
            return now["mlp_out", layer]
        if name in NORMS and wrong == "norms held":
            return now[name, layer]
        if name != "z":
            return None
        x = (now["z", layer] if hold else x).clone()
        for at, head in heads:
            if at == layer:
                where = slice(None) if wrong == "everywhere" else slice(-1, None)
                x[:, where, head] = 0 if wrong == "zero" else then["z", layer][:, where, head]
        return x

    return forward(of.model, of.corrupted if wrong == "run on other" else of.clean, put)[0][:, -1]


def rise(of: Subject, heads: Sequence[Head], hold: bool, wrong: str = "") -> Tensor:
    """By how much S rises above the third, prompt by prompt; the third is `of.io`."""
    change = told(of, heads, hold, wrong) - runs(of)[0][0][:, -1]
    rows = torch.arange(len(change))
    return change[rows, of.s] - change[rows, of.io]


def told_cases(of: Subject) -> list[tuple[list[Head], bool]]:
    last = of.model.cfg.n_layers - 1
    return [([(0, 1)], True), ([(0, 0), (last, 1)], False), ([(0, 1), (0, 0)], False), ([(last, 0), (0, 0)], True)]


@grades("09.16", weight=2)
def test_what_heads_tell_at_the_end(answer):
    """Random networks: some heads, of one layer and of several, all others held or not."""
    for of in subjects()[:2]:
        for heads, hold in told_cases(of):
            given = (of.model, of.clean, of.corrupted, heads, *((True,) if hold else ()))
            tables(
                answer.told_by(*given), told(of, heads, hold), f"the logits at END, hold = {hold},", "batch d_vocab",
                lambda of=of, heads=heads, hold=hold: {
                    "The other heads are held, and should not be: hold is False." if not hold else
                    "The other heads hear of it, and should not: hold is True.": told(of, heads, not hold),
                    "These heads bring the other prompt at all positions. Exchange END alone.": told(
                        of, heads, hold, "everywhere"
                    ),
                    "The MLPs are held. They are computed anew.": told(of, heads, hold, "mlps held"),
                    "The norms are held. They are computed anew.": told(of, heads, hold, "norms held"),
                    "The heads are silenced. Put in what they bring in `other`.": told(of, heads, hold, "zero"),
                    "The run goes over the prompts `other`. Run `tokens`, with what the heads bring in `other`.": (
                        told(of, heads, hold, "run on other")
                    ),
                    "Only the first of the heads is exchanged.": told(of, heads[:1], hold),
                    "Only the last of the heads is exchanged.": told(of, heads[-1:], hold),
                    "This is the clean run: nothing was exchanged.": runs(of)[0][0][:, -1],
                    "This is the run on the other prompts.": runs(of)[1][0][:, -1],
                    "`tokens` and `other` are exchanged.": told(
                        of._replace(clean=of.corrupted, corrupted=of.clean), heads, hold
                    ),
                    "All heads of these layers are exchanged.": told(
                        of, [head for head in of.heads if head[0] in [layer for layer, _ in heads]], hold
                    ),
                }, of,
            )  # fmt: skip


@grades("09.16")
def test_how_much_the_giver_rises(answer):
    """The rise of S over the third, in logits."""
    for of in subjects()[:2]:
        for heads, hold in told_cases(of):
            each = rise(of, heads, hold)
            rows = torch.arange(len(each))
            change = told(of, heads, hold) - runs(of)[0][0][:, -1]
            given = (of.model, of.clean, of.corrupted, of.s, of.io, heads, *((True,) if hold else ()))
            expect_close(
                answer.giver_rise(*given), each.mean(),
                f"by how much S rises, with hold = {hold}, in {of.name}", atol=5e-4, rtol=1e-3,
                mistakes=lambda of=of, heads=heads, hold=hold, each=each, rows=rows, change=change: {
                    "S and the third are exchanged.": -each.mean(),
                    "You sum over prompts. Average over them.": each.sum(),
                    "This is v with these heads. Subtract v of the prompts as they are.": (
                        told(of, heads, hold)[rows, of.s] - told(of, heads, hold)[rows, of.io]
                    ).mean(),
                    "This is the rise of S alone. Subtract that of the third.": change[rows, of.s].mean(),
                    "v of the prompts `other` is subtracted. Subtract v of the prompts `tokens` as they are.": (
                        told(of, heads, hold) - runs(of)[1][0][:, -1]
                    )[rows, of.s].mean() - (told(of, heads, hold) - runs(of)[1][0][:, -1])[rows, of.io].mean(),
                    "`hold` was not handed on.": rise(of, heads, not hold).mean(),
                    "You average absolute values. Keep the sign.": each.abs().mean(),
                },
            )  # fmt: skip


@grades("09.16", weight=2)
def test_which_heads_speak_against_the_giver(answer):
    """Random networks, with a bound that some heads pass and some do not."""
    for of in subjects()[:2]:
        alone = {head: float(rise(of, [head], True).mean()) for head in of.heads}
        free = {head: float(rise(of, [head], False).mean()) for head in of.heads}
        ordered = sorted(alone.values())
        bounds = [(a + b) / 2 for a, b in pairwise(ordered) if b - a > 0.01]
        for least in bounds:
            want = [head for head in of.heads if alone[head] >= least]
            got = [tuple(head) for head in answer.giver_heads(of.model, of.clean, of.corrupted, of.s, of.io, least)]
            expect_equal(
                got, want, f"the heads that make S rise by at least {least:.3g}",
                mistakes={
                    "Other heads were not held: each is to speak for itself.": [
                        h for h in of.heads if free[h] >= least],
                    "These are the heads that make S FALL. Keep the sign.": [h for h in of.heads if alone[h] <= -least],
                    "Keep the sign: heads that make S fall do not speak against it.": [
                        h for h in of.heads if abs(alone[h]) >= least
                    ],
                    "These are the heads that make S rise by less.": [h for h in of.heads if alone[h] < least],
                    "The order is that of layers and heads.": sorted(want, key=lambda head: -alone[head]),
                    "A head is (layer, head).": [(head, layer) for layer, head in want],
                } if want else {},
            )  # fmt: skip


def with_third(of: Subject) -> tuple[Tensor, Tensor]:
    """The prompts with a third person at S2, and who that is."""
    rows = torch.arange(len(of.clean))
    third, other = of.corrupted[rows, of.at[2]], of.clean.clone()
    other[rows, of.at[2]] = third
    return other, third


@grades("09.16", weight=2)
def test_a_trained_network_subtracts_the_giver(answer):
    """On stories of new pairs of names: the heads that you find make most of the change, and speak for themselves."""
    of = wild_subject("held_out", 60, 32)
    other, third = with_third(of)
    got = [tuple(head) for head in answer.giver_heads(of.model, of.clean, other, of.s, third, 0.3)]
    against = of._replace(corrupted=other, io=third)
    rows = torch.arange(len(third))
    change = (runs(against)[1][0] - runs(against)[0][0])[:, -1]
    whole = float((change[rows, of.s] - change[rows, third]).mean())
    told = float(rise(against, got, True).mean())
    expect(
        told >= 0.7 * whole,
        f"If somebody else gives, S rises by {whole:.2f} logits. The heads that you name, {got}, exchanged at END with "
        f"all others held, make {told:.2f} of that. Heads that speak against the giver themselves make most of it.",
    )
    rest = float(rise(against, [head for head in of.heads if head not in got], True).mean())
    expect(
        rest <= 0.35 * whole,
        f"All heads that you do NOT name, exchanged at END, make S rise by {rest:.2f} of {whole:.2f} logits: some that "
        "speak against the giver are missing.",
    )


@grades("09.16")
def test_the_planted_network_does_not(answer):
    """The planted circuit from another seed: no head of it lowers the giver by a logit itself."""
    of = planted_subject(3)[0]
    other, third = with_third(of)
    got = [tuple(head) for head in answer.giver_heads(of.model, of.clean, other, of.s, third, 1.0)]
    expect(
        not got,
        f"Here the heads {got} make S rise by a logit, you say. With all other heads held none does: the inhibitors "
        "speak to the movers and not to the logits, and the movers say the name.",
    )
