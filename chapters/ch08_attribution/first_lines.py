# %% [setup]
from mi_lib.worlds import planted

circuit = planted.circuit("induction")
model = circuit.model
pairs = circuit.pairs(4, seed=0)
tokens = clean = pairs.clean  # batch pos
corrupted = pairs.corrupted
right, wrong = pairs.answers, pairs.corrupted_answers  # batch

# %% [08.1]
print(circuit.text(clean[0]), "|", circuit.text(corrupted[0]))
gradient_x_input(model, clean, corrupted, right, wrong)  # a row for each pair, a column for each word

# %% [08.2]
print(circuit.text(clean[0]), "|", circuit.text(corrupted[0]))
one_word_effects(model, clean, corrupted, right, wrong)  # a row for each pair, a column for each word

# %% [08.3]
words, gap = integrated_gradients(model, clean, corrupted, right, wrong, steps=5)
words, gap

# %% [08.4]
heads = patch_heads(model, clean, corrupted, right, wrong, noising=True)
heads.mean(-1)  # a row for each layer, a column for each head

# %% [08.5]
first, second = (0, 2), (1, 1)
logic_of(model, clean, corrupted, right, wrong, first, second)

# %% [08.6]
heads = attribution_patching(model, clean, corrupted, right, wrong)
heads.mean(-1)  # a row for each layer, a column for each head

# %% [08.7]
heads = query_effects(model, clean, corrupted, right, wrong)
heads.mean(-1)  # a row for each layer, a column for each head

# %% [08.8]
sender, receiver = "a0.h2", "a1.h1.k"
edge_effect(model, clean, corrupted, right, wrong, sender, receiver)

# %% [08.9]
scores = eap(model, clean, corrupted, right, wrong)
strongest = sorted(scores, key=lambda edge: -scores[edge].abs().mean())[:5]
{edge: scores[edge].mean() for edge in strongest}

# %% [08.10]
scores = eap_ig(model, clean, corrupted, right, wrong, steps=5)
strongest = sorted(scores, key=lambda edge: -scores[edge].abs().mean())[:5]
{edge: scores[edge].mean() for edge in strongest}

# %% [08.11]
strengths = torch.tensor([0.9, 0.1, 0.5, 0.4])  # edge
truth = torch.tensor([True, False, False, True])  # edge
auroc(strengths, truth), average_precision(strengths, truth)

# %% [08.12]
ranking = [str(edge) for edge in circuit.edges] + ["embed->a0.h0.q"]  # those of the circuit come first
faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions=[0.0, 0.25, 0.5, 0.75, 1.0])

# %% [08.13]
a = torch.tensor([1.0, 2.0, 3.0, 4.0])  # n
b = torch.tensor([1.0, 10.0, 100.0, 50.0])  # n
rank_correlation(a, b)

# %% [08.14]
sender, receiver = "a0.h2", "a1.h1.k"
errors(model, clean, corrupted, right, wrong, sender, receiver)
