# %% [setup]
from mi_lib.worlds import planted

circuit = planted.circuit("ioi")
model = circuit.model
pairs = circuit.pairs(32, seed=0)
tokens = clean = pairs.clean  # batch pos
corrupted = pairs.corrupted
io, s = pairs.answers, pairs.corrupted_answers  # batch: the name to say, and the giver's
template = pairs.template
io_at, s1_at, s2_at = pairs.io, pairs.s1, pairs.s2  # batch: where the names stand
end = torch.full_like(io_at, tokens.shape[1] - 1)
names = torch.cat([io, s]).unique()
layers, heads = range(model.cfg.n_layers), range(model.cfg.n_heads)
cache = model.run_with_cache(corrupted, [("z", layer) for layer in layers])[1]
z = torch.stack([cache["z", layer] for layer in layers])  # layer batch pos head d_head
means = torch.stack([z[:, template == i].mean(1) for i in range(int(template.max()) + 1)])  # of each template

# %% [09.1]
others = other_names(io, s, names, seed=0)
new = abc_prompts(tokens, io_at, s1_at, s2_at, others)
[circuit.text(tokens[0]), circuit.text(new[0])]

# %% [09.2]
logits = model(tokens)
values = logit_difference(logits, io, s)
mean_interval(values)

# %% [09.3]
at = torch.stack([io_at, s1_at, s2_at, end])  # word batch
patch_words(model, clean, corrupted, io, s, at)  # a row for each layer, a column for each word

# %% [09.4]
direct_effects(model, tokens, io, s)  # a row for each layer, a column for each head

# %% [09.5]
total_effects(model, clean, corrupted, io, s)  # a row for each layer, a column for each head

# %% [09.6]
rows = torch.arange(len(io))
logits = path_to_logits(model, clean, corrupted, sender=(3, 0))[:, -1]
logits[rows, io] - logits[rows, s]  # for each prompt

# %% [09.7]
rows = torch.arange(len(io))
logits = path_patch(model, clean, corrupted, sender=(2, 0), receivers=[(3, 0)], inputs=["q"])[:, -1]
logits[rows, io] - logits[rows, s]  # for each prompt

# %% [09.8]
who_speaks_to(model, clean, corrupted, io, s, receivers=[(3, 0)], inputs=["q"])  # a row for each layer

# %% [09.9]
query_at, key_at = end, io_at  # batch
attention_to(model, tokens, query_at, key_at)  # a row for each layer, a column for each head

# %% [09.10]
means = abc_means(model, corrupted, template)
rows = torch.arange(len(io))
logits = knock_out(model, tokens, template, means, heads=[(3, 0)])[:, -1]
logits[rows, io] - logits[rows, s]  # for each prompt

# %% [09.11]
everything = [(layer, head) for layer in layers for head in heads]
[circuit_difference(model, tokens, template, means, io, s, circuit) for circuit in (everything, everything[:-4])]

# %% [09.12]
after_silencing(model, tokens, template, means, io, s, silenced=[(3, 0)])  # a row for each layer

# %% [09.13]
circuit = [(layer, head) for layer in layers for head in heads]
removed = [[(3, 0)], [(3, 0), (3, 1)]]
completeness(model, tokens, template, means, io, s, circuit, removed)  # a row for each set

# %% [09.14]
edges = ["a2.h0->a3.h0.q", "a2.h0->a3.h0.k", "a3.h0->logits"]
acdc(model, clean, corrupted, io, s, edges, tau=0.1)

# %% [09.15]
find_circuit(model, tokens, corrupted, template, io, s)

# %% [09.16]
other, third = corrupted, corrupted[torch.arange(len(s)), s2_at]
[giver_rise(model, tokens, other, s, third, heads=[(layer, 0)]) for layer in layers]
