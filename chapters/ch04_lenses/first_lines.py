# %% [setup]
from mi_lib import load
from mi_lib.worlds.littletown import pairs as littletown

model = load("pico")
pair = littletown.homes(1, seed=0)[0]  # two prompts that differ in the person, and the two towns
tokens = clean = model.to_tokens(pair.clean)
other = corrupt = model.to_tokens(pair.corrupted)
right = model.to_tokens(pair.answer)[0, 1:]  # batch
wrong = model.to_tokens(pair.corrupted_answer)[0, 1:]  # batch
sites = [*(("resid_pre", layer) for layer in range(6)), ("resid_post", 5)]
cache = model.run_with_cache(tokens, sites)[1]
stream = torch.stack([cache[site] for site in sites])  # depth batch pos d_model

# %% [04.1]
stream = residual_stream(model, tokens)
lens = logit_lens(model, tokens)
guesses = lens[:, 0, -1].argmax(-1)  # at each depth, after the last word
stream.norm(dim=-1)[:, 0], model.to_str_tokens(guesses), pair.answer

# %% [04.2]
weight, bias, epsilon, centred = model.norm_parts(model.ln_final)
x = model.run_with_cache(tokens, ("resid_post", 5))[1]["resid_post", 5]
is_normalised(x, weight, bias), is_normalised(model.ln_final(x), weight, bias)

# %% [04.3]
lens = model.unembed(model.ln_final(stream))  # depth batch pos d_vocab
kl_to_final(lens)[:, 0, -1]  # at each depth, after the last word

# %% [04.4]
n, d = model.cfg.n_layers, model.cfg.d_model
A, b = torch.zeros(n, d, d), torch.zeros(n, d)  # translators that change nothing
lens = tuned_lens(model, stream, A, b)
model.to_str_tokens(lens[:, 0, -1].argmax(-1))  # what it guesses at each depth

# %% [04.5]
lens = model.unembed(model.ln_final(stream))  # depth batch pos d_vocab
A, b = train_tuned_lens(model, tokens, steps=5, lr=0.001)
lens_loss(lens), A.abs().mean((1, 2))  # the loss before, and how far each layer's matrix has moved

# %% [04.6]
parts = torch.randn(2, 1, 5)  # part batch d_model
residual = parts.sum(0)  # batch d_model
weight = torch.ones(5)  # d_model
through = through_frozen_norm(parts, residual, weight, epsilon=1e-5, centred=True)
through.sum(0), torch.nn.functional.layer_norm(residual, [5])  # the parts together, and the whole

# %% [04.7]
layer_contributions(model, tokens, right, wrong)

# %% [04.8]
heads, biases = head_contributions(model, tokens, right, wrong)
heads[0]  # a row for each layer, a column for each head

# %% [04.9]
neurons, bias = neuron_contributions(model, tokens, 3, right, wrong)
neurons[0].topk(5)  # the five that add most

# %% [04.10]
sources = source_contributions(model, tokens, 4, 0, right, wrong)  # layer 4, head 0
dict(zip(model.to_str_tokens(tokens[0]), sources[0].tolist()))

# %% [04.11]
right, wrong = int(right), int(wrong)
patch_residual(model, clean, corrupt, right, wrong)  # a row for each layer, a column for each word

# %% [04.12]
layer, head = 3, 0  # does this head bring the town?
logits = swap_answer(model, tokens, other, layer, head)
model.to_str_tokens(logits.topk(3).indices)  # the three likeliest words
