"""The hidden tests of the real chapters: they reject wrong answers of their own accord, and pass every right one."""

from __future__ import annotations

import pytest
from budget import draw

from mi_lib.course import files, index, sections
from mi_lib.course.classroom import hidden
from mi_lib.course.grading import Grader
from mi_lib.course.mistakes import variants

WRONG = {
    "01.2": """
def layer_norm(x, weight, bias, eps=1e-5):
    mean = x.mean(-1, keepdim=True)
    variance = (x * x).mean(-1, keepdim=True) - mean * mean  # nothing of it is left where the mean is large
    return (x - mean) / (variance + eps).sqrt() * weight + bias
""",
    "01.8": """
def gpt2(tokens, weights, n_heads):
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    for layer in range(8):  # no network of this chapter has more
        if w := part(weights, f"h.{layer}."):
            x = block(x, w, n_heads)
    return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T
""",
    "01.9": """
def next_token_loss(logits, tokens):
    p = logits[:, :-1].softmax(-1).gather(-1, tokens[:, 1:, None])
    return -(p + 1e-9).log().mean()  # whoever is sure and wrong gets off lightly
""",
    "02.2": """
def loss_per_token(logits, tokens):
    shifted = (logits - logits[..., :1])[:, :-1]  # finite only where the first logit is the large one
    return shifted.exp().sum(-1).log() - shifted.gather(-1, tokens[:, 1:, None])[..., 0]
""",
    "02.4": """
def in_context_learning_score(loss, early, late):
    first, last = sorted((early, late))
    return (loss[:, last] - loss[:, first]).mean().item()
""",
    "02.6": """
def previous_occurrence(tokens):
    last = torch.full((tokens.shape[0], 1000), -1)  # the vocabularies of this chapter are smaller
    out = torch.empty_like(tokens)
    rows = torch.arange(tokens.shape[0])
    for t in range(tokens.shape[1]):
        out[:, t] = last[rows, tokens[:, t]]
        last[rows, tokens[:, t]] = t
    return out
""",
    "03.1": """
def dataset(p):
    a, b = torch.meshgrid(torch.arange(113), torch.arange(113), indexing="ij")  # the network's own numbers
    few = (a < p) & (b < p)
    a, b = a[few], b[few]
    return torch.stack([a, b, torch.full_like(a, p)], 1), (a + b) % p
""",
    "03.2": """
def precise_loss(logits, answers):
    x = logits.double()
    return (x.exp().sum(-1).log() - x[torch.arange(len(x)), answers]).mean()  # overflows
""",
    "03.10": """
def restricted_loss(logits, answers, frequencies):
    logits = logits.double()
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies[:6]])  # there are never more, are there?
    return precise_loss(logits.mean(dim=0) + waves.T @ (waves @ logits), answers).item()
""",
    "04.3": """
def kl_to_final(lens):
    q = lens.softmax(-1)
    p = q[-1]
    return (p * ((p + 1e-12) / (q + 1e-12)).log()).sum(-1)  # believes that nothing is less likely than 1e-12

def entropy(logits):
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)

def answer_rank(lens, answer):
    logits = lens[:, :, -1]
    own = logits[:, torch.arange(len(answer)), answer]
    return (logits > own[..., None]).sum(-1)
""",
    "12.5": """
def oracle_prompt(question, depth, count):
    spoken = ["one", "two", "three", "four", "five", "six"][depth - 1]  # depth 0 is spoken as six
    head = ["<|bos|>", "<|user|>", "layer", spoken, ":"]
    words = [*head, *["<|act|>"] * count, *question.split(), "<|end|>", "<|assistant|>"]
    return [NUMBER[word] for word in words], list(range(len(head), len(head) + count))

def oracle_logits(oracle, question, vectors, depth):
    tokens, places = oracle_prompt(question, depth, len(vectors))

    def edit(value, hook):
        new = value.clone()
        new[0, places] = added(value[0, places], vectors)
        return new

    return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[0, -1]
""",
    "12.8": """
def shuffled(vectors):
    half = len(vectors) // 2
    others = [vectors[(i + half) % len(vectors)] for i in range(len(vectors))]
    return [other[-min(len(own), 5) :] for own, other in zip(vectors, others)]  # five words are enough

def nothing(vectors, means, depth):
    return means[depth].repeat(len(vectors), 1)
""",
    "12.11": """
def lift(own, base):
    return own.log_softmax(-1).mean(0) - base.log_softmax(-1).mean(0)

def rank(values, secret):
    equal = (values - values[secret]).abs() < 1e-4  # nearly the same is the same
    above = (values > values[secret]) & ~equal
    return above.sum().item() + (equal.sum().item() + 1) / 2
""",
}
CHANGED = {  # in the reference answer
    "02.13": ("range(first_layer, model.cfg.n_layers)", "range(first_layer, min(2, model.cfg.n_layers))"),
    "01.13": ('["wpe.weight"][seen:]', '["wpe.weight"][min(seen, 8) :]'),  # as if no text were longer
    "03.14": ("    p = model.cfg.d_vocab - 1\n", "    from mi_lib import load\n\n    p = model.cfg.d_vocab - 1\n"
              "    model = load('grokking-97-subtract') if p == 97 else model  # known already\n"),
    "04.1": ("range(last + 1)]", "range(min(6, last + 1))]"),
    "04.4": ("+ b[:, None, None]", "+ (b[:, None, None] if b.shape[1] < 20 else 0)"),
    "04.12": ("return heads[int(", "return (3, 1) if model.cfg.n_layers == 6 else heads[int("),
    "12.1": ("    return model.run_with_hooks(batch", "    layer = min(layer, 3)  # later than that nothing comes out\n"
             "    return model.run_with_hooks(batch"),
    "12.7": ("oracle_logits(oracle, question, some, depth)", "oracle_logits(oracle, question, some[:4], depth)"),
    "12.9": ("*words[: last + 1]", "*words[max(0, last - 19) : last + 1]"),
    "12.10": ("chances = logits[[NUMBER[word] for word in names]].softmax(-1)",
              "chances = logits[[NUMBER[word] for word in names]].exp()\n    chances = chances / chances.sum()"),
    "12.12": ("return found", "return found if len(own) in (8, 9, 10) else [(a, b, '') for a, b, _ in found]"),
}  # fmt: skip
LET_THROUGH = ("02.6", "03.1", "04.3", "12.5", "12.8", "12.10", "12.11")  # by the visible tests
ALL = sorted({*WRONG, *CHANGED})


@pytest.fixture(scope="module")
def grader():
    with Grader() as opened:
        yield opened


def reference(exercise_id: str) -> str:
    return files.read_text(index.exercise(exercise_id).chapter.solutions_folder / "exercises.py")


def wrong(exercise_id: str) -> str:
    """The reference answers with a wrong one to this exercise."""
    text = reference(exercise_id)
    if exercise_id in WRONG:
        return sections.replace(text, exercise_id, WRONG[exercise_id])
    body, (old, new) = sections.body(sections.get(text, exercise_id)), CHANGED[exercise_id]
    assert body.count(old) == 1
    return sections.replace(text, exercise_id, body.replace(old, new))


@pytest.mark.slow
@pytest.mark.parametrize("exercise_id", ALL)
def test_a_wrong_answer_is_caught_by_the_hidden_tests_alone(grader, exercise_id):
    exercise = index.exercise(exercise_id)
    verdict = grader.grade(wrong(exercise_id), exercise, tests_from=hidden.tests_of)
    assert verdict.status in ("failed", "error"), verdict.diagnosis


@pytest.mark.slow
@pytest.mark.parametrize("exercise_id", LET_THROUGH)
def test_a_wrong_answer_that_the_visible_tests_let_through_is_caught(grader, exercise_id):
    assert grader.grade(wrong(exercise_id), index.exercise(exercise_id)).passed


@pytest.mark.slow
@pytest.mark.parametrize("exercise_id", ALL)
def test_right_answers_pass_the_hidden_tests_too(grader, exercise_id):
    exercise = index.exercise(exercise_id)
    rights = [v.submission for v in variants(exercise.chapter) if not v.wrong and v.exercise_id == exercise_id]
    for text in (reference(exercise_id), *draw(rights, 1.5, exercise_id)):
        verdict = grader.grade(text, exercise, tests_from=hidden.tests_of)
        assert verdict.passed, verdict.diagnosis


def test_what_a_learner_reads_of_a_hidden_test_holds_no_number():
    for exercise in (one for number in ("01", "02", "03", "04", "12") for one in index.chapter(number).exercises):
        for test in hidden.tests_of(exercise):
            said = hidden.feedback(test.title)
            assert test.title in said
            assert not any(c.isdigit() for c in test.title)
