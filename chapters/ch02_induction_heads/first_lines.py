# %% [setup]
from mi_lib import load
from mi_lib.worlds import repeats

model = load("induction-2l")
sample = repeats.sample(8, seed=0, period=10, offset=0)  # ten words, then the same ten again
tokens, first, second = sample.tokens, sample.first, sample.second

# %% [02.1]
pattern = attention_pattern(model, tokens, layer=0)
pattern[0, 0]  # the first sequence, the first head: a row for each query

# %% [02.3]
loss = torch.randn(3, 4).abs()  # batch pos-1
first = torch.tensor([[False, True, True, False, False]]).repeat(3, 1)  # batch pos
second = ~first
copy_losses(loss, first, second)

# %% [02.4]
loss = torch.tensor([[6.0, 5.0, 3.0, 1.0], [6.0, 6.0, 2.0, 1.0]])  # batch pos
in_context_learning_score(loss, early=0, late=3)

# %% [02.5]
pattern = torch.eye(7).roll(-1, 1).repeat(1, 2, 1, 1)  # batch head query key: both heads look one step back
pattern[:, 1] = 1 / 7  # and now the second looks everywhere
previous_token_score(pattern)

# %% [02.6]
tokens = torch.tensor([[7, 3, 7, 7, 3]])  # batch pos
previous_occurrence(tokens)

# %% [02.7]
previous = sample.previous
pattern = model.run_with_cache(tokens, ("pattern", 1))[1]["pattern", 1]
prefix_matching_score(pattern, previous)

# %% [02.8]
logits = ablate_head(model, tokens, layer=1, head=1)
(logits - model(tokens)).norm(dim=-1)  # how far each position's logits have moved

# %% [02.9]
reference = repeats.sample(32, seed=1, period=10, offset=0).tokens
logits = mean_ablate_head(model, tokens, layer=1, head=1, reference=reference)
(logits - model(tokens)).norm(dim=-1)  # how far each position's logits have moved

# %% [02.10]
logits = ablate_with_frozen_patterns(model, tokens, layer=0, head=3)
(logits - model(tokens)).norm(dim=-1)  # how far each position's logits have moved

# %% [02.11]
W_E, W_U = model.W_E, model.W_U
W_V, W_O = model.W_V[1, 0], model.W_O[1, 0]  # the first head of layer 1
copying_score(W_E, W_V, W_O, W_U)

# %% [02.12]
W_V, W_O = model.W_V[0], model.W_O[0]
W_Q, W_K = model.W_Q[1], model.W_K[1]
composition_above_chance(W_V, W_O, W_Q, W_K, samples=50)

# %% [02.13]
checkpoints = [(step, load("induction-2l", checkpoint=step)) for step in (0, 400)]
find_circuit(checkpoints, tokens, second)

# %% [02.14]
config = TransformerConfig(n_layers=2, d_model=32, n_heads=1, d_head=16, d_vocab=6, n_ctx=14, positions="shifted")
weights = write_induction_head(config)
weights["blocks.1.attn.W_Q"][0]
