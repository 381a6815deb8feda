# %% [setup]
from mi_lib import load
from mi_lib.models import TransformerConfig
from mi_lib.worlds.modular import Modular

model = load("grokking-113")
task = Modular(113)  # all pairs (a, b), their sums, and which are for training
p = task.p
tokens, answers, in_training = task.tokens, task.answers, task.in_training
logits = model(tokens)[:, -1, :p]
activations = model.run_with_cache(tokens, ("post", 0))[1]["post", 0][:, -1].reshape(p, p, -1)  # a b neuron

# %% [03.1]
tokens, answers = dataset(3)
tokens, answers

# %% [03.2]
logits = torch.tensor([[20.0, 0.0, 0.0], [0.0, 25.0, 0.0]])  # batch d_vocab: nearly sure, and surer
answers = torch.tensor([0, 1])  # batch
precise_loss(logits, answers), F.cross_entropy(logits, answers)

# %% [03.3]
small = Modular(7)
tokens, answers = small.tokens, small.answers
sizes = {"n_layers": 1, "n_heads": 1, "d_model": 16, "d_head": 16, "d_mlp": 32, "n_ctx": 3}
model = Transformer(TransformerConfig(d_vocab=8, d_vocab_out=7, **sizes)).init_weights(seed=0)
model, losses = train(model, tokens, answers, steps=30, weight_decay=1.0)
torch.tensor(losses)

# %% [03.4]
fourier_basis(p=11)

# %% [03.5]
W_E = model.W_E[:113].detach()  # without "="
spectrum(W_E)

# %% [03.6]
a, b = torch.meshgrid(torch.arange(7), torch.arange(7), indexing="ij")
x = torch.cos(2 * math.pi * 2 * (a + b) / 7)[:, :, None]  # a b neuron: one wave, of frequency 2
fourier_2d(x)[:, :, 0]

# %% [03.7]
a, b = torch.meshgrid(torch.arange(7), torch.arange(7), indexing="ij")
wave = torch.cos(2 * math.pi * 2 * (a + b) / 7)  # of frequency 2
activations = torch.stack([wave, wave + torch.rand(7, 7)], 2)  # a b neuron: alone, and among noise
neuron_frequencies(activations)

# %% [03.8]
key_frequencies(activations)

# %% [03.9]
waves = sum_waves(p=11, k=2)
waves[0].reshape(11, 11)  # a row for each a, a column for each b

# %% [03.10]
restricted_loss(logits, answers, frequencies=[1, 2]), restricted_loss(logits, answers, frequencies=list(range(1, 57)))

# %% [03.11]
excluded_loss(logits, answers, frequencies=[1, 2], in_training=in_training)

# %% [03.12]
gini(torch.ones(5)), gini(torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0])), gini(torch.arange(5.0))

# %% [03.13]
checkpoints = [(step, load("grokking-113", checkpoint=step)) for step in (0, 8000)]
phases(checkpoints, in_training, frequencies=[1, 2])

# %% [03.14]
logits = formula(p=7, sign=1, amplitudes={1: 2.0, 3: 1.0})
logits.argmax(-1).reshape(7, 7)  # a row for each a, a column for each b
