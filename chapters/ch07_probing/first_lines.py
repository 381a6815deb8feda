# %% [setup]
from mi_lib import load
from mi_lib.worlds.littletown import properties

model = load("pico")
verbs = properties.verbs("train", 80, seed=0)  # texts up to the place where "is" or "are" must follow, and which
tokens, mask = model.tokenize([" ".join(verb.words) for verb in verbs])
depth = 3
state = model.run_with_cache(tokens, ("resid_pre", depth), attention_mask=mask)[1]["resid_pre", depth]
states = at_positions(state, text_positions(tokens, mask))  # text d_model
many = torch.tensor([verb.many for verb in verbs]).long()  # text: whether one or many
x, held_x = states[:60], states[60:]  # n d, m d
y, held_y = many[:60], many[60:]  # n, m
OTHER = {"is": "are", "are": "is", "was": "were", "were": "was"}
one = model.to_tokens([verb.verb for verb in verbs])[:, 1]  # text: the right word
other = model.to_tokens([OTHER[verb.verb] for verb in verbs])[:, 1]  # text: the wrong one

# %% [07.1]
states = collect(model, tokens, mask)
states.norm(dim=-1)  # depth text: how long the stream is

# %% [07.2]
direction, bias = mass_mean(x, y)
((x @ direction + bias > 0) == y).float().mean()  # how often it is right about what it was fitted on

# %% [07.3]
direction, bias = corrected(x, y, shrink=0.1)
((held_x @ direction + bias > 0) == held_y).float().mean()  # how often it is right about texts that it has not seen

# %% [07.4]
W, b = ridge(x, y, n_classes=2, penalty=0.01)
(held_x @ W.T + b).argmax(-1), held_y  # what it says of texts that it has not seen, and what is true

# %% [07.5]
combinations = [("red", "box"), ("red", "key"), ("old", "box"), ("old", "key"), ("red", "box"), ("old", "cup")]
held = split(combinations, share=0.4, seed=0)
held, leaks(combinations, held)

# %% [07.6]
types = ["key", "box", "key", "cup", "box", "key"]
control_labels(types, n_classes=2, seed=0)

# %% [07.7]
ends = [10, 30, 60]
online_bits(x, y, n_classes=2, ends=ends), len(y)  # in bits; and what it costs to write down every label

# %% [07.8]
NAMES = ["plain", "size", "seen", "owner"]
kinds = torch.tensor([NAMES.index(verb.template) for verb in verbs])
templates, held_templates = kinds[:60], kinds[60:]  # n, m
transfer(x, y, templates, held_x, held_y, held_templates, n_classes=2)  # a row for each that was fitted

# %% [07.9]
reading, bias = torch.tensor([1.0, 2.0]), 0.5
direction = torch.tensor([1.0, 0.0])
x = torch.randn(4, 2)  # n d
moved = flip(x, reading, bias, direction)
x @ reading + bias, moved @ reading + bias  # what the probe says before and after

# %% [07.10]
like = torch.tensor([3.0, 0.0, 4.0])  # d
vectors = random_directions(like, n=5, seed=0)
vectors, vectors.norm(dim=1)

# %% [07.11]
x, y = torch.randn(200, 3), torch.arange(200) % 2  # n d, n
x[:, 0] += 4 * y
M, mu = leace(x, y, n_classes=2)
clean = x - (x - mu) @ M.T
clean[y == 1].mean(0) - clean[y == 0].mean(0), x[y == 1].mean(0) - x[y == 0].mean(0)  # what is left, and what was there

# %% [07.12]
concept, others = x[y == 1], x[y == 0]  # n d, m d
vector = cav(concept, others)
(x @ vector)[y == 1].mean(), (x @ vector)[y == 0].mean()  # how far both lie along it

# %% [07.13]
p = torch.tensor([0.01, 0.04, 0.03, 0.2])  # n
holm(p)

# %% [07.14]
labels = torch.stack([many, torch.tensor(["s" in verb.nouns[0] for verb in verbs]).long()])  # property text
found, depth, readings, biases, directions = find_used(model, tokens, mask, labels, one, other)
found, depth, directions.norm(dim=1)
