# %% [setup]
from mi_lib import load, saes

sae = saes.load("pico-flat")  # a dictionary for what enters block 3 of Pico
model = load("pico")
tokens = model.to_tokens("Mira lives in Oakham . She has a cat .")
stream = model.run_with_cache(tokens, ("resid_pre", 3))[1]["resid_pre", 3]  # batch pos d
x = stream[0]  # batch d
W_enc, b_enc, W_dec, b_dec = sae.W_enc.data, sae.b_enc.data, sae.W_dec.data, sae.b_dec.data
f = torch.relu((x - b_dec) @ W_enc + b_enc)  # batch latent

# %% [06.2]
x = torch.randn(20, 5)  # batch d
out = x + 0.1 * torch.randn(20, 5)  # batch d
f = torch.rand(20, 7)  # batch latent
W_dec = torch.randn(7, 5)  # latent d
[sae_loss(x, out, f, W_dec, l1) for l1 in (0.0, 0.1, 1.0)]

# %% [06.3]
a = torch.linspace(0, 2, 9)  # case
best_activation(a, l1=0.5)

# %% [06.4]
pre = torch.tensor([[3.0, 1.0, 2.0, -1.0], [0.1, 0.3, 0.2, 5.0]])  # batch latent
top_k(pre, k=2), batch_top_k(pre, k=2)

# %% [06.5]
z = torch.linspace(-1, 1, 9)[:, None]  # batch latent
theta = torch.tensor([0.5], requires_grad=True)  # latent
f = jumprelu(z, theta, width=0.5)
f.sum().backward()
f.detach()[:, 0], theta.grad

# %% [06.7]
prefixes = [2, 5]
x = torch.randn(20, 3)  # batch d
f = torch.rand(20, 5)  # batch latent
W_dec, b_dec = torch.randn(5, 3), torch.zeros(3)
nested_loss(x, f, W_dec, b_dec, prefixes)

# %% [06.9]
f = torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 0.5]])  # batch latent
mean_l0(f), loss_recovered(clean=1.0, spliced=1.5, ablated=3.0)

# %% [06.10]
directions = torch.nn.functional.normalize(torch.randn(8, 6), dim=1)  # eight planted features in six dimensions
x = ((torch.rand(2000, 8) < 0.1) * torch.rand(2000, 8)) @ directions  # batch d
W_enc, b_enc, W_dec, b_dec = train_dictionary(x, n_latents=8, k=1, steps=200, seed=0)
W_dec @ directions.T  # the cosine of each latent with each planted feature

# %% [06.12]
f = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])  # word latent
W_dec = torch.tensor([[1.0, 0.0], [0.6, 0.8]])  # latent d
direction = torch.tensor([2.0, 0.0])  # d
share_said(f, W_dec, direction)

# %% [06.13]
said = torch.tensor([True, True, False, False, True])  # word
active = torch.tensor([True, True, False, False, False])  # word
detection(said, active)

# %% [06.14]
x, f, latent = stream, f[None], int(f[-1].argmax())  # what is loudest at the last word
moved = clamp(x, f, W_dec, latent, value=0.0)
(moved - x).norm(dim=-1)  # how far each position has moved

# %% [06.15]
vectors = torch.cat([torch.randn(5, 2), torch.randn(5, 2) + 10])  # word d: two heaps
group_words(vectors, n_groups=2)
