"""Planted circuits are what they say: they solve their task, by these edges, among busy heads that do not matter."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from mi_lib import load
from mi_lib.attribution import edge_effects, patch_edges, run_edges
from mi_lib.models.graph import Edge, all_edges, head_name, head_of, senders
from mi_lib.worlds import planted
from mi_lib.worlds.planted import compiler
from mi_lib.worlds.planted.circuit import places

# Every circuit as it comes, and some with another rotation and the other norm.
OTHERS = [("induction", 1, True), ("conjunction", 1, True), ("two_hop", 1, False)]
SMALL = [*((name, 0, None) for name in planted.NAMES), *OTHERS]
VARIANTS = [*SMALL, ("ioi", 0, None)]


def label(variant):
    return f"{variant[0]}-{variant[1]}{'' if variant[2] is None else '-other-norm'}"


EVERY = pytest.mark.parametrize("which", VARIANTS, ids=label)
EVERY_SMALL = pytest.mark.parametrize("which", SMALL, ids=label)


@cache
def the(which):
    name, seed, norm = which
    return planted.circuit(name, seed=seed, norm=norm)


@cache
def measured(which):
    """The pairs, the clean and corrupted metric, and the effect of every edge on every pair."""
    circuit = the(which)
    pairs = circuit.pairs(6, seed=100)
    start, end = (circuit.metric(circuit.model(tokens), pairs) for tokens in (pairs.clean, pairs.corrupted))
    effects = edge_effects(circuit.model, pairs.clean, pairs.corrupted, lambda logits: circuit.metric(logits, pairs))
    return pairs, start, end, effects


def joint(which, logits):
    """The effect of a run on the metric, as a share of its range, for each pair."""
    pairs, start, end, _ = measured(which)
    return (start - the(which).metric(logits, pairs)) / (start - end)


@EVERY_SMALL
def test_the_network_solves_its_task_on_held_out_prompts(which):
    circuit = the(which)
    tokens, answers = circuit.prompts(300, seed=7)
    assert (circuit.model(tokens)[:, -1].argmax(-1) == answers).all()
    assert len(answers.unique()) > 1  # one answer to everything would not do
    pairs = circuit.pairs(200, seed=8)
    for prompts, right in ((pairs.clean, pairs.answers), (pairs.corrupted, pairs.corrupted_answers)):
        assert (circuit.model(prompts)[:, -1].argmax(-1) == right).all()
    assert (pairs.answers != pairs.corrupted_answers).all()


@EVERY
def test_an_edge_off_the_circuit_changes_nothing(which):
    effects = measured(which)[3]
    assert set(effects) == set(all_edges(the(which).model.cfg))
    off = {edge: float(effect.abs().max()) for edge, effect in effects.items() if edge not in the(which).edges}
    assert len(off) > 80
    assert {str(edge): size for edge, size in off.items() if size >= 0.01} == {}


@EVERY
def test_an_edge_on_the_circuit_changes_the_answer(which):
    circuit, effects = the(which), measured(which)[3]
    alone = circuit.edges.difference(*circuit.together)
    assert {str(edge): float(effects[edge].abs().min()) for edge in alone if effects[edge].abs().min() <= 0.1} == {}


def test_of_a_redundant_pair_one_is_enough_and_both_are_needed():
    which = ("redundant", 0, None)
    circuit, (pairs, _, _, effects) = the(which), measured(which)
    assert {edge for pair in circuit.together for edge in pair} == circuit.edges - {Edge("m1", "logits")}
    for pair in circuit.together:
        assert all(effects[edge].abs().max() < 0.01 for edge in pair)
        assert (joint(which, patch_edges(circuit.model, pairs.clean, pairs.corrupted, pair)) > 0.9).all()
    assert all(the(other).together == () for other in SMALL if other[0] != "redundant")


def test_a_pair_that_cancels_shows_more_than_the_range_and_less_than_nothing_and_both_together_the_range():
    which = ("cancelling", 0, None)
    circuit, (pairs, _, _, effects) = the(which), measured(which)
    loud, against = Edge("a0.h2", "a1.h1.v"), Edge("a0.h2", "m1")
    assert (effects[loud] > 1.9).all()
    assert (effects[against] < -0.9).all()
    both = joint(which, patch_edges(circuit.model, pairs.clean, pairs.corrupted, [loud, against]))
    assert torch.allclose(both, torch.ones(6), atol=0.01)
    assert torch.allclose(effects[Edge("embed", "a0.h2.v")], torch.ones(6), atol=0.01)


@EVERY
def test_constant_edges_carry_the_same_in_every_prompt_and_are_needed(which):
    circuit, (pairs, _, _, effects) = the(which), measured(which)
    assert not circuit.edges & circuit.constant_edges
    for edge in circuit.constant_edges:
        assert effects[edge].abs().max() < 0.01
        nothing = torch.zeros(*pairs.clean.shape, circuit.model.cfg.d_model)
        if edge.sender == "embed":
            nothing += circuit.space.ballast
        removed = run_edges(circuit.model, pairs.clean, {edge: nothing})
        effect = joint(which, removed)
        assert (effect.abs() > 0.1).all(), edge
        # In the large one, what serves the negative mover holds the answer down, and so does one side of a comparison.
        assert which[0] == "ioi" or (effect > 0).all(), edge


@EVERY
def test_with_everything_off_the_circuit_corrupted_the_answer_stays(which):
    circuit, (pairs, *_) = the(which), measured(which)
    rest = [edge for edge, on in circuit.truth().items() if not on]
    logits = patch_edges(circuit.model, pairs.clean, pairs.corrupted, rest)
    assert joint(which, logits).abs().max() < 0.03
    assert (logits[:, -1].argmax(-1) == pairs.answers).all()


@EVERY
def test_with_the_circuit_corrupted_the_answer_is_the_corrupted_one(which):
    circuit, (pairs, *_) = the(which), measured(which)
    logits = patch_edges(circuit.model, pairs.clean, pairs.corrupted, circuit.edges | circuit.dormant)
    assert (joint(which, logits) - 1).abs().max() < 0.03


@EVERY
def test_distractors_are_busy(which):
    """What a head or neuron writes at a place varies from prompt to prompt by a good part of its own size."""
    circuit = the(which)
    cfg, tokens = circuit.model.cfg, circuit.pairs(200, seed=5).clean
    _, cache = circuit.model.run_with_cache(tokens, lambda name: name.endswith(("hook_result", "hook_post")))
    idle = 0
    for layer in range(cfg.n_layers):
        heads = cache["result", layer]
        for head in range(cfg.n_heads):
            if head_name(layer, head) in circuit.nodes:
                continue
            idle += 1
            written = heads[:, :, head]
            varies = (written - written.mean(0)).pow(2).sum(-1).mean(0)  # at each position; a word has length 1
            assert varies.max() > 0.05
        neurons = cache["post", layer][:, 1:]  # <bos> is the same everywhere
        quiet = (neurons.std(0).max(0).values < 0.1).sum()
        assert quiet <= 2 * (f"m{layer}" in circuit.nodes)  # a step that is the same in all clean prompts
    assert idle >= cfg.n_layers * cfg.n_heads / 2
    assert cfg.d_mlp >= 8


@EVERY
def test_decoys_attend_as_a_head_of_the_circuit_and_are_none(which):
    circuit = the(which)
    assert circuit.decoys
    _, cache = circuit.model.run_with_cache(circuit.pairs(20, seed=6).clean, lambda name: name.endswith("pattern"))
    for name, like in circuit.decoys.items():
        assert name not in circuit.nodes
        assert like in circuit.parts
        (layer, head), (_, model) = head_of(name), head_of(like)
        assert (cache["pattern", layer][:, head] - cache["pattern", layer][:, model]).abs().max() < 0.1


@EVERY
def test_nothing_is_aligned_with_an_axis(which):
    """Of what is read or written along any direction, no coordinate holds most, and every one holds something."""
    circuit = the(which)
    for values in (*circuit.space.variables.values(), circuit.space.junk):
        assert (values.abs().max(-1).values / values.norm(dim=-1)).max() < 0.7
    for name, weight in circuit.model.named_parameters():
        last = name.rsplit(".", 1)[-1]
        if not last.startswith("W_"):
            continue
        vectors = (
            weight if last in ("W_E", "W_pos", "W_O", "W_out") else weight.mT
        )  # along the stream, in the last axis
        lengths = vectors.norm(dim=-1)
        heard = lengths > 0.05 * lengths.max()
        assert (vectors.abs().max(-1).values / lengths)[heard].max() < 0.8, name
        assert (weight.abs() > 1e-6).float().mean() > 0.99, name
    for layer in range(circuit.model.cfg.n_layers):  # nor along a head's own axes
        for weight in (circuit.model.W_Q, circuit.model.W_K, circuit.model.W_V, circuit.model.W_O.mT):
            sizes = weight[layer].norm(dim=1)  # [head d_head]
            assert (sizes.max(-1).values / sizes.norm(dim=-1)).max() < 0.8


@EVERY
def test_a_circuit_is_saved_and_loaded_with_the_same_answers(which, tmp_path):
    circuit = the(which)
    again = load(circuit.model.save(tmp_path))
    tokens = circuit.pairs(5, seed=1).clean
    assert torch.equal(again(tokens), circuit.model(tokens))
    assert again.config == circuit.model.config
    assert circuit.text(tokens[0]).startswith("<bos> ")
    assert torch.equal(again.to_tokens(circuit.text(tokens[0]).removeprefix("<bos> "))[0], tokens[0])


@EVERY_SMALL
def test_the_truth_covers_every_node_and_leads_from_the_words_to_the_answer(which):
    circuit = the(which)
    cfg = circuit.model.cfg
    every = circuit.edges | circuit.constant_edges
    assert every <= set(all_edges(cfg))
    assert set(circuit.roles) == circuit.parts
    assert {edge for edge, on in circuit.truth().items() if on} == circuit.edges
    assert set(circuit.truth()) == set(all_edges(cfg)) - circuit.constant_edges - circuit.dormant
    for part in circuit.parts:  # each is told something that differs, and somebody listens
        assert any(edge.receiver.split(".")[:2] == part.split(".") for edge in circuit.edges)
        assert any(edge.sender == part for edge in circuit.edges)
    assert repr(circuit).startswith(f"<Circuit {circuit.name}: {len(circuit.edges)} edges in {cfg.n_layers} layers")
    assert 2 <= cfg.n_layers <= 4
    assert 3 <= cfg.n_heads <= 6
    assert cfg.d_model <= 64


# What the answer is, from the words alone, by somebody who has not read the construction.
ORACLES = {
    "previous": lambda w: w[-2],
    "induction": lambda w: w[w.index(w[-1]) + 1],
    "duplicate": lambda w: next(word for word in w if w.count(word) == 2),
    "position": lambda w: w[1 + ["first", "second", "third", "fourth", "fifth"].index(w[-2])],
    "conjunction": lambda w: "yes" if w[2] in BRIGHT and w[5] in BRIGHT else "no",
    "redundant": lambda w: "yes" if set(w) & BRIGHT else "no",
    "cancelling": lambda w: "yes" if w[3] in BRIGHT else "no",
}
BRIGHT = {"gold", "ruby", "silver", "pearl", "coral", "amber"}


def two_hops(words):
    facts = dict(fact.split() for fact in " ".join(words[1:-1]).strip(" .").split(" . "))
    return facts[facts[words[-1]]]


@pytest.mark.parametrize("name", planted.NAMES)
def test_the_answers_are_those_of_the_task(name):
    circuit = the((name, 0, None))
    right = (ORACLES | {"two_hop": two_hops})[name]
    tokens, answers = circuit.prompts(200, seed=3)
    pairs = circuit.pairs(200, seed=4)
    both = [(tokens, answers), (pairs.clean, pairs.answers), (pairs.corrupted, pairs.corrupted_answers)]
    for prompts, expected in both:
        for row, answer in zip(prompts, expected, strict=True):
            assert right(circuit.text(row).split()) == circuit.text(answer[None])


@pytest.mark.parametrize("name", planted.NAMES)
def test_the_same_seed_gives_the_same_circuit_and_the_same_prompts(name):
    circuit, again, other = the((name, 0, None)), planted.circuit(name), planted.circuit(name, seed=3)
    pairs, same, different = circuit.pairs(20, seed=1), again.pairs(20, seed=1), circuit.pairs(20, seed=2)
    assert torch.equal(pairs.clean, same.clean)
    assert torch.equal(pairs.corrupted, same.corrupted)
    assert not torch.equal(pairs.clean, different.clean)
    assert torch.equal(circuit.model.W_E, again.model.W_E)
    assert not torch.allclose(circuit.model.W_E, other.model.W_E, atol=0.1)  # another rotation
    assert other.edges == circuit.edges


@pytest.mark.parametrize(
    ("name", "variables"),
    [("conjunction", ("left", "right")), ("redundant", ("seen", "found")), ("cancelling", ("seen",))],
)
def test_where_it_saturates_or_cancels_the_gradient_says_that_nothing_matters(name, variables):
    """The slope is zero although taking all of these variables away turns the answer round."""
    circuit = the((name, 0, None))
    pairs = circuit.pairs(10, seed=9)
    place = ("resid_mid", 1) if name != "cancelling" else ("resid_post", 0)
    logits, cache = circuit.model.run_with_cache(pairs.clean, [place], grad=True)
    circuit.metric(logits, pairs).sum().backward()
    noted = {variable: circuit.space[variable][0].float() for variable in variables}
    for direction in noted.values():
        assert (cache.grad(place)[:, -1] @ direction).abs().max() < 0.1  # logits per unit; the range is 8

    def without(value, hook):
        for direction in noted.values():
            value[:, -1] -= (value[:, -1] @ direction)[:, None] * direction
        return value

    turned = circuit.model.run_with_hooks(pairs.clean, [(place, without)])
    assert (circuit.metric(turned, pairs) < -3).all()


def test_with_a_norm_the_ballast_keeps_its_scale_constant():
    circuit = the(("two_hop", 0, None))
    assert circuit.norm
    _, cache = circuit.model.run_with_cache(circuit.pairs(20, seed=0).clean, lambda name: name.endswith("hook_scale"))
    scales = torch.cat([cache[name].flatten() for name in cache])
    assert scales.max() / scales.min() < 1.005
    gain = circuit.model.blocks[0].ln1.w
    assert torch.allclose(scales, gain.mean().expand_as(scales), rtol=0.005)
    assert the(("induction", 0, None)).model.ln_final is None


def test_without_a_leak_off_circuit_edges_do_exactly_nothing():
    circuit = planted.circuit("induction", leak=0.0)
    pairs = circuit.pairs(4, seed=0)
    effects = edge_effects(circuit.model, pairs.clean, pairs.corrupted, lambda logits: circuit.metric(logits, pairs))
    assert max(float(e.abs().max()) for edge, e in effects.items() if edge not in circuit.edges) < 1e-5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: planted.circuit("induktion"), "choose one of previous, induction"),
        (lambda: planted.circuit("induction", leak=0.5), "leak must lie between 0 and 0.005"),
        (lambda: the(("previous", 0, None)).pairs(0, seed=0), "n must be at least 1"),
        (lambda: the(("previous", 0, None)).prompts(-1, seed=0), "n must be at least 1"),
        (
            lambda: the(("previous", 0, None)).metric(
                torch.zeros(3, 8, 14), the(("previous", 0, None)).pairs(2, seed=0)
            ),
            "3 rows of logits for 2 pairs",
        ),
        (lambda: compiler.Space(16, {"word": 14}, torch.Generator(), True), "d_model = 16 leaves no room"),
        (lambda: places(8), "n_ctx must be odd"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_senders_of_a_planted_circuit_are_named_as_in_its_edges():
    names = senders(the(("position", 0, None)).model.cfg)
    assert names == ["embed", "pos_embed", *(f"a0.h{h}" for h in range(5)), "m0", *(f"a1.h{h}" for h in range(5)), "m1"]


@EVERY
def test_nodes_are_on_the_circuit_where_an_edge_of_it_begins_or_ends(which):
    circuit = the(which)
    truth = circuit.node_truth()
    on = {name for edge in circuit.edges for name in edge}
    assert {name for name, yes in truth.items() if yes} == on - {"embed", "pos_embed", "logits"}
    silent = {name for edge in circuit.constant_edges | circuit.dormant for name in edge}
    assert {name for name, yes in truth.items() if not yes}.isdisjoint(on | silent)
    assert len(truth) > 0.6 * (4 * circuit.model.cfg.n_layers * circuit.model.cfg.n_heads)
