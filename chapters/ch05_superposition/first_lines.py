# %% [05.1]
sparsity = torch.tensor([0.0, 0.9])  # instance: nothing is absent, nearly everything is
x = sparse_features(sparsity, n_features=5, batch=1000, seed=0)
x[:, :4], (x > 0).float().mean((1, 2))  # four inputs of each, and the share that is present

# %% [05.3]
sparsity = torch.tensor([0.0, 0.9])  # instance
importance = torch.ones(5)  # feature
W, b = train(sparsity, n_features=5, n_hidden=2, importance=importance, steps=200, batch=128, lr=0.01, seed=0)
W[1]  # hidden feature: where the features are mostly absent

# %% [05.4]
sparsity = torch.tensor([0.0, 0.5, 0.9])  # instance
importance = torch.tensor([1.0, 0.5, 0.25])  # feature
linear_floor(sparsity, importance, n_hidden=1)

# %% [05.5]
W = torch.tensor([[[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]])  # instance hidden feature: two share a line
dimensionality(W)

# %% [05.6]
turns = torch.arange(5) * 2 * torch.pi / 5
W = torch.stack([turns.cos(), turns.sin()])  # hidden feature: five directions in a plane
find_shapes(W)

# %% [05.7]
sparsity = torch.tensor([0.1, 0.5, 0.9])  # case
importance = torch.tensor([1.0, 1.0, 1.0])  # case
phase_losses(sparsity, importance)  # a row for each phase

# %% [05.8]
sparsity = torch.tensor([0.8])  # instance
x = paired_features(sparsity, n_features=4, batch=12, together=True, seed=0)
x[0]  # a row for each input

# %% [05.9]
eye = torch.eye(2)
W_in = torch.cat([eye, -eye])[None]  # instance neuron feature
W_out = torch.cat([eye, eye], 1)[None]  # instance feature neuron
b = torch.zeros(1, 2)  # instance feature
x = torch.tensor([[[-0.5, 0.25], [0.75, -1.0]]])  # instance batch feature
absolute_values(W_in, W_out, b, x)

# %% [05.10]
W = torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])  # hidden feature: two share a line
worst_nudge(W, 0, 0.1)

# %% [05.11]
values = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.0], [0.0, 0.3]])  # word neuron
holds = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0]]).bool()  # word concept
answers_to(values, holds, n_top=2)  # a row for each neuron

# %% [05.12]
candidates = [torch.eye(2, 4), torch.tensor([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])]
[predict_shape(candidates, sparsity, seed=0) for sparsity in (0.1, 0.9)]  # of a few, of all in pairs
