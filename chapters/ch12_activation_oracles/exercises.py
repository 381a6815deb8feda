# %% [setup]
"""Chapter 12: activation oracles.

Replace each `raise NotImplementedError` by your answer; `mi check 12.1` says how you do.
Every line that starts with `# %%` begins a section. Leave those lines where they are.

The words of a text are numbered from 0 on. Its tokens have <|bos|> in front, so that word
i is token i + 1. Depth d is the residual stream before block d, ("resid_pre", d); the
last depth, n_layers, is what leaves the last block.

An edit is a pair (site, function): `function(value, hook)` gets what stands at the site,
[batch pos d_model], and returns what shall stand there. `model.run_with_hooks(tokens,
[edit])` gives logits [batch pos d_vocab].

To play: `from mi_lib import load, oracles`, `pico = load("pico")`, `oracle =
oracles.open_oracle()`, and `read(pico, "Mira lives in Oakham .", depth=4)[0].vectors`.
The oracle's network is `oracle.model`, and what is subtracted is `oracle.means`.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import prose

WORDS = littletown.vocabulary()
NUMBER = {word: i for i, word in enumerate(WORDS)}


# %% [12.1] One state in another prompt


def patched(
    model: HookedModel, tokens: list[int], place: int, states: Float[Tensor, "state d_model"], layer: int
) -> Float[Tensor, "state d_vocab"]:
    """What the network expects after a prompt when a state from elsewhere stands in it.

    Each state takes the place of what ENTERS block `layer`, ("resid_pre", layer), at token
    number `place`. One run for all of them: row i of the batch has state i. The result is
    the logits after the prompt's last token.
    """
    raise NotImplementedError("Exercise 12.1 is waiting for your answer.")


# %% [12.2] The network reads itself


def identity_prompt(shots: list[str]) -> tuple[list[int], int]:
    """The tokens of "a a , b b , …, x" for the words a, b, …; and the number of x.

    <|bos|> comes first, a comma after every pair. x is the last token. Its state will be
    replaced, so which token holds its place does not matter: take "<|act|>".
    """
    raise NotImplementedError("Exercise 12.2 is waiting for your answer.")


def shares_by_layer(
    model: HookedModel,
    states: Float[Tensor, "source state d_model"],
    right: Int[Tensor, "state"],
    tokens: list[int],
    place: int,
) -> Float[Tensor, "source target"]:
    """How many states come out, for every depth at which they were taken (row) and every
    layer at which they are put in (column).

    A state comes out if its own token, right[i], is the likeliest after the prompt.
    """
    raise NotImplementedError("Exercise 12.2 is waiting for your answer.")


# %% [12.3] A translator


def translator(
    states: Float[Tensor, "word d_model"], targets: Float[Tensor, "word d_model"], weight: float
) -> tuple[Float[Tensor, "d_model d_model"], Float[Tensor, "d_model"]]:
    """The matrix M and the offset c that turn a state from one depth into what the same
    word has at another one: states @ M + c is as near to targets as it can be.

    Ridge regression: M makes the sum of squared errors, plus `weight` times the sum of M's
    squared entries, as small as can be. The offset is not punished.
    """
    raise NotImplementedError("Exercise 12.3 is waiting for your answer.")


# %% [12.4] As long as what stands there


def centred(
    vectors: Float[Tensor, "word d_model"], means: Float[Tensor, "depth d_model"], depth: int
) -> Float[Tensor, "word d_model"]:
    """What is peculiar to these activations from `depth`: less the mean at that depth."""
    raise NotImplementedError("Exercise 12.4 is waiting for your answer.")


def added(
    found: Float[Tensor, "place d_model"], vectors: Float[Tensor, "place d_model"]
) -> Float[Tensor, "place d_model"]:
    """At every place h + ‖h‖ · v / ‖v‖. A vector of zeros adds nothing.

    found: h, what stands at each place. vectors: v, what is to be added at each.
    """
    raise NotImplementedError("Exercise 12.4 is waiting for your answer.")


# %% [12.5] Handed over at the placeholders


def oracle_prompt(question: str, depth: int, count: int) -> tuple[list[int], list[int]]:
    """The tokens of the oracle's prompt, and the numbers of those that are placeholders.

    For depth 4 and two activations (count 2):

    <|bos|> <|user|> layer four : <|act|> <|act|> What is the pet ? <|end|> <|assistant|>

    `prose.NUMBERS[4]` is "four". The words of a question stand between spaces.
    """
    raise NotImplementedError("Exercise 12.5 is waiting for your answer.")


def oracle_logits(
    oracle: HookedModel, question: str, vectors: Float[Tensor, "word d_model"], depth: int
) -> Float[Tensor, "d_vocab"]:
    """The logits of the oracle's answer to a question about these (centred) activations.

    They are added at the placeholders, in their order, at the output of block 1,
    ("resid_post", 1), each as long as what stands there. The answer is what the oracle
    expects after its prompt.
    """
    raise NotImplementedError("Exercise 12.5 is waiting for your answer.")


# %% [12.6] Questions with known answers


def name_questions(words: list[str], table: dict[str, str], noun: str) -> list[tuple[int, str, str]]:
    """All questions of one kind that a text can be asked at its names.

    table: for each name what is true of it, such as its pet. For every word of the text
    that is in it: the number of its TOKEN, "What is the {noun} ?", and the answer.
    """
    raise NotImplementedError("Exercise 12.6 is waiting for your answer.")


def receiver_place(words: list[str], giver: str, receiver: str) -> int:
    """The number of the token at which a story can be asked who is given to.

    Both are named at the beginning, in any order, so that it could be either. Then the
    giver gives, and at last the receiver is named. Ask at the token BEFORE that name: the
    one before the first `receiver` behind the second `giver`.
    """
    raise NotImplementedError("Exercise 12.6 is waiting for your answer.")


# %% [12.7] Learn to answer


def answer_loss(
    oracle: HookedModel,
    questions: list[tuple[str, int]],
    vectors: list[Float[Tensor, "_ d_model"]],
    answers: list[str],
) -> Float[Tensor, ""]:
    """The mean surprise of the oracle at the right answers, in nats.

    questions: (question, depth) of each; vectors: its (centred) activations, one or more;
    answers: one word each. Only the answer counts, no word of the prompt.
    """
    raise NotImplementedError("Exercise 12.7 is waiting for your answer.")


def train(
    oracle: HookedModel,
    questions: list[tuple[str, int]],
    vectors: list[Float[Tensor, "_ d_model"]],
    answers: list[str],
    rate: float,
    steps: int,
) -> tuple[HookedModel, list[float]]:
    """So many steps down the slope: each takes `rate` times its gradient from every
    parameter (torch.optim.SGD). Returns the oracle, changed in place, and the loss before
    each step.

    Every step learns from all the questions. The parameters already ask for gradients.
    """
    raise NotImplementedError("Exercise 12.7 is waiting for your answer.")


# %% [12.8] What the question gives away


def shuffled(vectors: list[Float[Tensor, "_ d_model"]]) -> list[Float[Tensor, "_ d_model"]]:
    """Each question with another text's activations: those of the question half the list
    (len // 2) further on, and from the list's end on from its beginning.

    Where the other has more words than the question's own, its last ones, as many.
    Where it has fewer, all it has.
    """
    raise NotImplementedError("Exercise 12.8 is waiting for your answer.")


def nothing(
    vectors: Float[Tensor, "word d_model"], means: Float[Tensor, "depth d_model"], depth: int
) -> Float[Tensor, "word d_model"]:
    """Activations, as many as these, that say nothing: nothing is left of them once the
    oracle has taken away its mean.
    """
    raise NotImplementedError("Exercise 12.8 is waiting for your answer.")


# %% [12.9] Those who have no oracle


def majority(fitted: list[str], asked: list[str]) -> float:
    """How often whoever always says the commonest answer is right: the commonest of
    `fitted`, the answers to the training questions; right among `asked`, held-out ones.

    Of equally common ones the first in the alphabet.
    """
    raise NotImplementedError("Exercise 12.9 is waiting for your answer.")


def probe_share(
    fitted: Float[Tensor, "n d_model"], labels: list[str], held: Float[Tensor, "m d_model"], right: list[str]
) -> float:
    """How often a linear probe is right on held-out activations.

    It is fitted on the training questions alone: scikit-learn's `LogisticRegression` with
    max_iter=1000, and all else as it is.
    """
    raise NotImplementedError("Exercise 12.9 is waiting for your answer.")


def black_box(words: list[str], last: int, question: str) -> list[int]:
    """The tokens with which the network itself is asked, in words, with no look inside.

    <|bos|> <|user|>, the text up to word number `last` and no further, the question,
    <|end|> <|assistant|>. It may read what the oracle's activations have read, not more.
    """
    raise NotImplementedError("Exercise 12.9 is waiting for your answer.")


# %% [12.10] What its word is worth


def answer(logits: Float[Tensor, "d_vocab"], options: list[str]) -> tuple[str, float]:
    """The likeliest of the options, and its probability among them. If there are no
    options ([]), of all words.
    """
    raise NotImplementedError("Exercise 12.10 is waiting for your answer.")


def reliability(chances: Float[Tensor, "answer"], right: Bool[Tensor, "answer"], bins: int) -> Float[Tensor, "bin 3"]:
    """For each bin of the chances 0 to 1, all of one width: the mean chance, the share of
    right answers, and the share of all answers that lie in the bin.

    A chance of exactly 1 belongs to the last bin. An empty bin is 0, 0, 0.
    """
    raise NotImplementedError("Exercise 12.10 is waiting for your answer.")


def invented(said: list[str], chances: Float[Tensor, "answer"], sure: float) -> tuple[float, float]:
    """Of answers to questions about what is NOT there: the share that names something all
    the same, and of those the share whose chance is above `sure`.

    The right answer is the word "nothing". The second share is 0 if nothing is invented.
    """
    raise NotImplementedError("Exercise 12.10 is waiting for your answer.")


# %% [12.11] Against the same text


def lift(own: Float[Tensor, "row candidate"], base: Float[Tensor, "row candidate"]) -> Float[Tensor, "candidate"]:
    """How much likelier each candidate is than in the control, in nats.

    own, base: logits of the candidates, a row for each question that was asked, with the
    secret and without. Log-probabilities among the candidates, their mean over the rows,
    the difference.
    """
    raise NotImplementedError("Exercise 12.11 is waiting for your answer.")


def rank(values: Float[Tensor, "candidate"], secret: int) -> float:
    """The place of candidate number `secret`, 1 for the highest value. Candidates with
    equal values share their places: each has the mean of them.
    """
    raise NotImplementedError("Exercise 12.11 is waiting for your answer.")


# %% [12.12] The secret that is never said


def name_secrets(
    oracle: HookedModel,
    means: Float[Tensor, "depth d_model"],
    own: Float[Tensor, "case talk d_model"],
    practice: Float[Tensor, "secret talk d_model"],
    known: list[str],
    embedding: Float[Tensor, "d_vocab d_model"],
    depth: int,
    among: list[str],
) -> list[tuple[str, str, str]]:
    """For each case the secret by the oracle, by a translator, and what you say at last.

    own: activations from `depth` at one word of some talks. The network had been told a
    secret before, and does not say it. practice: the same, of the same network, told
    secrets that are known; none of these is a candidate. among: the candidates.

    by the oracle: ask "What is the word ?" of each activation alone, and take the
    candidate with the highest lift, against all of practice. by a translator: fit one,
    with weight 10, from practice to the embeddings of the known words, every talk an
    example; translate a case's activations, take their mean over the talks, and of the
    candidates the one whose embedding is nearest by its cosine (the known words' mean
    embedding taken off both).

    Not everybody was told a candidate, and a wrong answer costs as much as a right one
    brings. Say "" where you do not know.
    """
    raise NotImplementedError("Exercise 12.12 is waiting for your answer.")
