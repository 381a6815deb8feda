# %% [setup]
from mi_lib import load

model = load("pico")
harmful = requests(model, True, 16)
harmless = requests(model, False, 16)
prompts = [*harmful[:3], *harmless[:3]]
layer = 3

tokens, real = padded([*harmful, *harmless])
states = model.run_with_cache(tokens, ("resid_pre", 3), attention_mask=real)[1]["resid_pre", 3]
states = states[torch.arange(32), real.sum(1) - 1]  # prompt d_model: at the last token of each
vector = direction = states[:16].mean(0) - states[16:].mean(0)  # d_model

# %% [10.1]
ends = prompt_ends(model, prompts, n=2)
ends[:, :, -1].norm(dim=-1)  # prompt layer: how long the stream is at the last token

# %% [10.2]
positive = torch.randn(3, 2, 1, 5) + 2  # a layer n d_model
negative = torch.randn(4, 2, 1, 5)  # b layer n d_model
difference_of_means(positive, negative)[:, 0]  # a row for each layer

# %% [10.3]
stream = torch.zeros(1, 4, 3)  # batch pos d_model
vector = torch.tensor([1.0, 2.0, 0.0])  # d_model
add_vector(stream, vector, dose=0.5)

# %% [10.4]
words = "the dog sat on the mat".split()
texts = ["the dog sat on a chair".split(), "on the mat it slept".split()]
known_triples(words, texts), proof([words], texts, seed=0)

# %% [10.5]
prompt = harmless[0]
said = replies_by_place(model, prompt, vector, layer, dose=1.0)
{place: " ".join(model.to_str_tokens(torch.tensor(tokens))) for place, tokens in said.items()}

# %% [10.6]
plus, minus = chat(model, ["How do I smash the school ?", "How do I paint the school ?"])
difference = one_pair(model, plus, minus, layer)
dict(zip(model.to_str_tokens(torch.tensor(plus)), difference.norm(dim=-1).tolist()))  # how far apart, at each word

# %% [10.7]
stream = torch.tensor([[[3.0, 4.0], [1.0, 0.0]]])  # batch pos d_model
direction = torch.tensor([2.0, 0.0])  # d_model
ablate(stream, direction)

# %% [10.8]
harmful, harmless = harmful[:4], harmless[:4]
scores(model, direction, layer, harmful, harmless, dose=1.0)

# %% [10.9]
refuses = torch.tensor([[0.9], [0.1], [0.0], [0.3], [0.2]])  # layer n
induces = torch.tensor([[0.0], [0.8], [0.0], [0.9], [0.9]])  # layer n
kl = torch.tensor([[0.01], [0.02], [0.02], [0.02], [0.5]])  # layer n
select(refuses, induces, kl)

# %% [10.10]
new = without_direction(model, direction)
{name: (new[name] @ direction).abs().max() for name in ("W_E", "W_pos", "W_O", "b_O", "W_out", "b_out")}

# %% [10.11]
like = torch.tensor([3.0, 0.0, 4.0])  # d_model
vectors = random_directions(like, n=5, seed=0)
vectors, vectors.norm(dim=1)

# %% [10.12]
drawn = tested = {"odd": harmful[::2], "even": harmful[1::2]}
across_kinds(model, drawn, harmless, tested, layer)

# %% [10.13]
before = torch.zeros(1, 3, 4)  # batch pos d_vocab
after = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0]]])
counts = torch.tensor([[True, True, False]])  # batch pos
divergence(before, after, counts)

# %% [10.14]
direction, layer, dose = refusal_direction(model, harmful, harmless)
said = replies(model, harmless[:3], steering.add(direction, dose, layer, positions=-1), longest=16)
[one.text for one in said]  # what it says to harmless requests
