"""Wrong answers that learners and published code give to chapter 05, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 05.1 -------------------------------------------------------------------------------------------------------------


@mistake("05.1", says="S is the probability that a feature is ABSENT")
class section:
    """Sparsity used as the probability of presence."""

    def sparse_features(sparsity, n_features, batch, seed):
        generator = torch.Generator().manual_seed(seed)
        shape = (len(sparsity), batch, n_features)
        values = torch.rand(shape, generator=generator)
        present = torch.rand(shape, generator=generator) < sparsity[:, None, None]
        return values * present


@mistake("05.1", says="All features of an input are present together")
class section:
    """One mask for an input."""

    def sparse_features(sparsity, n_features, batch, seed):
        generator = torch.Generator().manual_seed(seed)
        shape = (len(sparsity), batch, n_features)
        values = torch.rand(shape, generator=generator)
        present = torch.rand(len(sparsity), batch, 1, generator=generator) < (1 - sparsity)[:, None, None]
        return values * present


@mistake("05.1", says="All inputs of a batch have the same features")
class section:
    """One mask for the batch."""

    def sparse_features(sparsity, n_features, batch, seed):
        generator = torch.Generator().manual_seed(seed)
        shape = (len(sparsity), batch, n_features)
        values = torch.rand(shape, generator=generator)
        present = torch.rand(len(sparsity), 1, n_features, generator=generator) < (1 - sparsity)[:, None, None]
        return values * present


@mistake("05.1", says="Every feature that is present is exactly 1")
class section:
    """The mask alone."""

    def sparse_features(sparsity, n_features, batch, seed):
        generator = torch.Generator().manual_seed(seed)
        shape = (len(sparsity), batch, n_features)
        values = torch.rand(shape, generator=generator)
        present = torch.rand(shape, generator=generator) < (1 - sparsity)[:, None, None]
        return present.float()


@mistake("05.1", says="Draw one set of random numbers for the values, and ANOTHER")
class section:
    """The values decide who is present."""

    def sparse_features(sparsity, n_features, batch, seed):
        generator = torch.Generator().manual_seed(seed)
        shape = (len(sparsity), batch, n_features)
        values = torch.rand(shape, generator=generator)
        present = values < (1 - sparsity)[:, None, None]
        return values * present


@mistake("05.1", says="The same seed gave other inputs")
class section:
    """The seed is forgotten."""

    def sparse_features(sparsity, n_features, batch, seed):
        generator = torch.Generator().manual_seed(seed)
        shape = (len(sparsity), batch, n_features)
        values = torch.rand(shape)
        present = torch.rand(shape) < (1 - sparsity)[:, None, None]
        return values * present


@mistake("05.1", says="Some values are below 0")
class section:
    """Normal numbers."""

    def sparse_features(sparsity, n_features, batch, seed):
        generator = torch.Generator().manual_seed(seed)
        shape = (len(sparsity), batch, n_features)
        values = torch.randn(shape, generator=generator)
        present = torch.rand(shape, generator=generator) < (1 - sparsity)[:, None, None]
        return values * present


@mistake("05.1", says="Each instance has a sparsity of its own")
class section:
    """The mean sparsity for all."""

    def sparse_features(sparsity, n_features, batch, seed):
        generator = torch.Generator().manual_seed(seed)
        shape = (len(sparsity), batch, n_features)
        values = torch.rand(shape, generator=generator)
        present = torch.rand(shape, generator=generator) < (1 - sparsity).mean()
        return values * present


@mistake("05.1", says="Two instances with the same sparsity have the same features")
class section:
    """One mask for all instances."""

    def sparse_features(sparsity, n_features, batch, seed):
        generator = torch.Generator().manual_seed(seed)
        shape = (len(sparsity), batch, n_features)
        values = torch.rand(shape, generator=generator)
        present = torch.rand((1, batch, n_features), generator=generator) < (1 - sparsity)[:, None, None]
        return values * present


@right("05.1", how="with bernoulli and where")
class section:
    def sparse_features(sparsity, n_features, batch, seed):
        generator = torch.Generator()
        generator.manual_seed(seed)
        p = (1 - sparsity)[:, None, None].expand(-1, batch, n_features)
        here = torch.bernoulli(p, generator=generator) > 0
        return torch.where(here, torch.empty(here.shape).uniform_(generator=generator), 0.0)


@right("05.1", how="instance by instance, in double precision")
class section:
    def sparse_features(sparsity, n_features, batch, seed):
        generator = torch.Generator().manual_seed(seed + 7)
        found = []
        for s in sparsity.tolist():
            values = torch.rand(n_features, batch, generator=generator, dtype=torch.float64)
            values[torch.rand(n_features, batch, generator=generator) < s] = 0
            found.append(values.T)
        return torch.stack(found)


# --- 05.2 -------------------------------------------------------------------------------------------------------------


@mistake("05.2", says="The ReLU is missing")
class section:
    """The linear model."""

    def reconstruct(W, b, x):
        hidden = torch.einsum("khf,kbf->kbh", W, x)
        return torch.einsum("khf,kbh->kbf", W, hidden) + b[:, None]

    def weighted_loss(x, out, importance):
        return (importance * (x - out) ** 2).sum(-1).mean(-1)


@mistake("05.2", says="The bias b is missing")
class section:
    """Bias left out."""

    def reconstruct(W, b, x):
        hidden = torch.einsum("khf,kbf->kbh", W, x)
        return torch.einsum("khf,kbh->kbf", W, hidden).relu()

    def weighted_loss(x, out, importance):
        return (importance * (x - out) ** 2).sum(-1).mean(-1)


@mistake("05.2", says="There is no ReLU in the middle")
class section:
    """A ReLU on the hidden space."""

    def reconstruct(W, b, x):
        hidden = torch.einsum("khf,kbf->kbh", W, x).relu()
        return (torch.einsum("khf,kbh->kbf", W, hidden) + b[:, None]).relu()

    def weighted_loss(x, out, importance):
        return (importance * (x - out) ** 2).sum(-1).mean(-1)


@mistake("05.2", says="You use those of the first for all")
class section:
    """Instance 0 everywhere."""

    def reconstruct(W, b, x):
        hidden = x @ W[0].T
        return (hidden @ W[0] + b[0]).relu()

    def weighted_loss(x, out, importance):
        return (importance * (x - out) ** 2).sum(-1).mean(-1)


@mistake("05.2", says="b is added BEFORE the ReLU")
class section:
    """Bias after the ReLU."""

    def reconstruct(W, b, x):
        hidden = torch.einsum("khf,kbf->kbh", W, x)
        return torch.einsum("khf,kbh->kbf", W, hidden).relu() + b[:, None]

    def weighted_loss(x, out, importance):
        return (importance * (x - out) ** 2).sum(-1).mean(-1)


@mistake("05.2", says="You add b to the input")
class section:
    """Bias on the wrong side."""

    def reconstruct(W, b, x):
        hidden = torch.einsum("khf,kbf->kbh", W, x + b[:, None])
        return (torch.einsum("khf,kbh->kbf", W, hidden)).relu()

    def weighted_loss(x, out, importance):
        return (importance * (x - out) ** 2).sum(-1).mean(-1)


@mistake("05.2", says="This is the mean over features")
class section:
    """Averages over everything."""

    def reconstruct(W, b, x):
        hidden = torch.einsum("khf,kbf->kbh", W, x)
        return (torch.einsum("khf,kbh->kbf", W, hidden) + b[:, None]).relu()

    def weighted_loss(x, out, importance):
        return (importance * (x - out) ** 2).mean((1, 2))


@mistake("05.2", says="You sum over the batch")
class section:
    """No mean."""

    def reconstruct(W, b, x):
        hidden = torch.einsum("khf,kbf->kbh", W, x)
        return (torch.einsum("khf,kbh->kbf", W, hidden) + b[:, None]).relu()

    def weighted_loss(x, out, importance):
        return (importance * (x - out) ** 2).sum((1, 2))


@mistake("05.2", says="You square the importance too")
class section:
    """Importance inside the square."""

    def reconstruct(W, b, x):
        hidden = torch.einsum("khf,kbf->kbh", W, x)
        return (torch.einsum("khf,kbh->kbf", W, hidden) + b[:, None]).relu()

    def weighted_loss(x, out, importance):
        return ((importance * (x - out)) ** 2).sum(-1).mean(-1)


@mistake("05.2", says="before you weigh them by importance")
class section:
    """The loss averaged over features before importance."""

    def reconstruct(W, b, x):
        hidden = torch.einsum("khf,kbf->kbh", W, x)
        return (torch.einsum("khf,kbh->kbf", W, hidden) + b[:, None]).relu()

    def weighted_loss(x, out, importance):
        return ((x - out) ** 2).mean((1, 2)) * importance.sum()


@mistake("05.2", says="You average over the batch before you square")
class section:
    """Mean error, squared."""

    def reconstruct(W, b, x):
        hidden = torch.einsum("khf,kbf->kbh", W, x)
        return (torch.einsum("khf,kbh->kbf", W, hidden) + b[:, None]).relu()

    def weighted_loss(x, out, importance):
        return (importance * (x - out).mean(1) ** 2).sum(-1)


@mistake("05.2", says="The importance is missing")
class section:
    """Plain squared error."""

    def reconstruct(W, b, x):
        hidden = torch.einsum("khf,kbf->kbh", W, x)
        return (torch.einsum("khf,kbh->kbf", W, hidden) + b[:, None]).relu()

    def weighted_loss(x, out, importance):
        return ((x - out) ** 2).sum(-1).mean(-1)


@mistake("05.2", says="Keep the instance axis")
class section:
    """One number for all."""

    def reconstruct(W, b, x):
        hidden = torch.einsum("khf,kbf->kbh", W, x)
        return (torch.einsum("khf,kbh->kbf", W, hidden) + b[:, None]).relu()

    def weighted_loss(x, out, importance):
        return (importance * (x - out) ** 2).sum(-1).mean()


@right("05.2", how="with matrix products")
class section:
    def reconstruct(W, b, x):
        return torch.relu(x @ (W.mT @ W) + b.unsqueeze(1))

    def weighted_loss(x, out, importance):
        return ((out - x).square() @ importance).mean(dim=1)


@right("05.2", how="with loops, in double precision")
class section:
    def reconstruct(W, b, x):
        found = []
        for w, c, rows in zip(W.double(), b.double(), x.double()):
            found.append(torch.stack([(w.T @ (w @ row) + c).clamp(min=0) for row in rows]))
        return torch.stack(found)

    def weighted_loss(x, out, importance):
        total = 0
        for i, weight in enumerate(importance):
            total = total + weight * (x[:, :, i] - out[:, :, i]).pow(2)
        return total.sum(1) / x.shape[1]


# --- 05.3 -------------------------------------------------------------------------------------------------------------


@mistake("05.3", says="b is still 0")
class section:
    """The optimizer gets W alone."""

    def train(sparsity, n_features, n_hidden, importance, steps, batch, lr, seed):
        generator = torch.Generator().manual_seed(seed)
        W = 0.4 * torch.randn(len(sparsity), n_hidden, n_features, generator=generator)
        b = torch.zeros(len(sparsity), n_features)
        W.requires_grad_()
        b.requires_grad_()
        optimizer = torch.optim.Adam([W], lr=lr)
        for step in range(steps):
            x = sparse_features(sparsity, n_features, batch, seed=100_000 * seed + step)
            loss = weighted_loss(x, reconstruct(W, b, x), importance).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return W.detach(), b.detach()


@mistake("05.3", says="does each instance get inputs of its own sparsity")
class section:
    """The mean sparsity for all instances."""

    def train(sparsity, n_features, n_hidden, importance, steps, batch, lr, seed):
        generator = torch.Generator().manual_seed(seed)
        W = 0.4 * torch.randn(len(sparsity), n_hidden, n_features, generator=generator)
        b = torch.zeros(len(sparsity), n_features)
        W.requires_grad_()
        b.requires_grad_()
        optimizer = torch.optim.Adam([W, b], lr=lr)
        for step in range(steps):
            x = sparse_features(sparsity.mean().expand(len(sparsity)), n_features, batch, seed=100_000 * seed + step)
            loss = weighted_loss(x, reconstruct(W, b, x), importance).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return W.detach(), b.detach()


@mistake("05.3", says="Is the loss weighed by importance")
class section:
    """The importance is forgotten."""

    def train(sparsity, n_features, n_hidden, importance, steps, batch, lr, seed):
        generator = torch.Generator().manual_seed(seed)
        W = 0.4 * torch.randn(len(sparsity), n_hidden, n_features, generator=generator)
        b = torch.zeros(len(sparsity), n_features)
        W.requires_grad_()
        b.requires_grad_()
        optimizer = torch.optim.Adam([W, b], lr=lr)
        for step in range(steps):
            x = sparse_features(sparsity, n_features, batch, seed=100_000 * seed + step)
            loss = weighted_loss(x, reconstruct(W, b, x), torch.ones(n_features)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return W.detach(), b.detach()


@mistake("05.3", says="Everything random comes from the seed")
class section:
    """The start has a seed of its own."""

    def train(sparsity, n_features, n_hidden, importance, steps, batch, lr, seed):
        generator = torch.Generator().manual_seed(0)
        W = 0.4 * torch.randn(len(sparsity), n_hidden, n_features, generator=generator)
        b = torch.zeros(len(sparsity), n_features)
        W.requires_grad_()
        b.requires_grad_()
        optimizer = torch.optim.Adam([W, b], lr=lr)
        for step in range(steps):
            x = sparse_features(sparsity, n_features, batch, seed=100_000 * seed + step)
            loss = weighted_loss(x, reconstruct(W, b, x), importance).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return W.detach(), b.detach()


@mistake("05.3", says="Is lr used as it is")
class section:
    """A fixed learning rate."""

    def train(sparsity, n_features, n_hidden, importance, steps, batch, lr, seed):
        generator = torch.Generator().manual_seed(seed)
        W = 0.4 * torch.randn(len(sparsity), n_hidden, n_features, generator=generator)
        b = torch.zeros(len(sparsity), n_features)
        W.requires_grad_()
        b.requires_grad_()
        optimizer = torch.optim.Adam([W, b], lr=0.02)
        for step in range(steps):
            x = sparse_features(sparsity, n_features, batch, seed=100_000 * seed + step)
            loss = weighted_loss(x, reconstruct(W, b, x), importance).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return W.detach(), b.detach()


@mistake("05.3", says="The first step of Adam moves a weight by the learning rate")
class section:
    """Plain gradient descent."""

    def train(sparsity, n_features, n_hidden, importance, steps, batch, lr, seed):
        generator = torch.Generator().manual_seed(seed)
        W = 0.4 * torch.randn(len(sparsity), n_hidden, n_features, generator=generator)
        b = torch.zeros(len(sparsity), n_features)
        W.requires_grad_()
        b.requires_grad_()
        optimizer = torch.optim.SGD([W, b], lr=lr)
        for step in range(steps):
            x = sparse_features(sparsity, n_features, batch, seed=100_000 * seed + step)
            loss = weighted_loss(x, reconstruct(W, b, x), importance).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return W.detach(), b.detach()


@mistake("05.3", says="All your models end with the same weights")
class section:
    """All instances start alike, on the same inputs."""

    def train(sparsity, n_features, n_hidden, importance, steps, batch, lr, seed):
        generator = torch.Generator().manual_seed(seed)
        W = 0.4 * torch.randn(n_hidden, n_features, generator=generator).repeat(len(sparsity), 1, 1)
        b = torch.zeros(len(sparsity), n_features)
        W.requires_grad_()
        b.requires_grad_()
        optimizer = torch.optim.Adam([W, b], lr=lr)
        for step in range(steps):
            x = sparse_features(sparsity, n_features, batch, seed=step)[:1].expand(len(sparsity), -1, -1)
            loss = weighted_loss(x, reconstruct(W, b, x), importance).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return W.detach(), b.detach()


@mistake("05.3", says="standard deviation of about")
class section:
    """Starts near 0."""

    def train(sparsity, n_features, n_hidden, importance, steps, batch, lr, seed):
        generator = torch.Generator().manual_seed(seed)
        W = 0.01 * torch.randn(len(sparsity), n_hidden, n_features, generator=generator)
        b = torch.zeros(len(sparsity), n_features)
        W.requires_grad_()
        b.requires_grad_()
        optimizer = torch.optim.Adam([W, b], lr=lr)
        for step in range(steps):
            x = sparse_features(sparsity, n_features, batch, seed=100_000 * seed + step)
            loss = weighted_loss(x, reconstruct(W, b, x), importance).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return W.detach(), b.detach()


@right("05.3", how="with two optimizers and another source of inputs")
class section:
    def train(sparsity, n_features, n_hidden, importance, steps, batch, lr, seed):
        torch.manual_seed(seed)
        W = torch.nn.Parameter(torch.randn(len(sparsity), n_hidden, n_features) * 0.5)
        b = torch.nn.Parameter(torch.zeros(len(sparsity), n_features))
        optimizers = [torch.optim.Adam([p], lr=lr) for p in (W, b)]
        for _ in range(steps):
            x = torch.rand(len(sparsity), batch, n_features)
            x = x * (torch.rand(x.shape) >= sparsity[:, None, None])
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=False)
            sum(weighted_loss(x, reconstruct(W, b, x), importance)).backward()
            for optimizer in optimizers:
                optimizer.step()
        return W.data, b.data


@right("05.3", how="with gradients asked for by hand")
class section:
    def train(sparsity, n_features, n_hidden, importance, steps, batch, lr, seed):
        generator = torch.Generator().manual_seed(seed)
        W = 0.35 * torch.randn(n_hidden, len(sparsity), n_features, generator=generator).transpose(0, 1).contiguous()
        parameters = [W.requires_grad_(), torch.zeros(len(sparsity), n_features, requires_grad=True)]
        optimizer = torch.optim.Adam(parameters, lr)
        seeds = torch.randint(0, 2**31, (max(1, steps),), generator=generator).tolist()
        for _, own in zip(range(steps), seeds):
            x = sparse_features(sparsity, n_features, batch, own)
            loss = weighted_loss(x, reconstruct(*parameters, x), importance).sum()
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters)):
                parameter.grad = gradient
            optimizer.step()
        return tuple(parameter.detach().clone() for parameter in parameters)


@mistake("05.3", says="start from the same weights")
class section:
    """One start for all."""

    def train(sparsity, n_features, n_hidden, importance, steps, batch, lr, seed):
        torch.manual_seed(seed)
        k = len(sparsity)
        W = torch.nn.Parameter(torch.randn(1, n_hidden, n_features).repeat(k, 1, 1) * 0.4)
        b = torch.nn.Parameter(torch.zeros(k, n_features))
        opt = torch.optim.Adam([W, b], lr=lr)
        for t in range(steps):
            x = sparse_features(sparsity, n_features, batch, seed * 100_003 + t)
            opt.zero_grad()
            weighted_loss(x, reconstruct(W, b, x), importance).sum().backward()
            opt.step()
        return W.detach(), b.detach()


# --- 05.4 -------------------------------------------------------------------------------------------------------------


@mistake("05.4", says="This is E[x²]")
class section:
    """No mean is given back."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        variance = p / 3
        dropped = importance.sort(descending=True).values[n_hidden:]
        return variance * dropped.sum()

    def count_stored(W):
        return (W.norm(dim=1) >= 0.5).sum(-1)


@mistake("05.4", says="You drop the LAST features")
class section:
    """Believes that importances are sorted."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        variance = p / 3 - (p / 2) ** 2
        dropped = importance[n_hidden:]
        return variance * dropped.sum()

    def count_stored(W):
        return (W.norm(dim=1) >= 0.5).sum(-1)


@mistake("05.4", says="You drop the most important features")
class section:
    """Sorted the wrong way."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        variance = p / 3 - (p / 2) ** 2
        dropped = importance.sort(descending=False).values[n_hidden:]
        return variance * dropped.sum()

    def count_stored(W):
        return (W.norm(dim=1) >= 0.5).sum(-1)


@mistake("05.4", says="S is the probability that a feature is absent")
class section:
    """S for p."""

    def linear_floor(sparsity, importance, n_hidden):
        p = sparsity
        variance = p / 3 - (p / 2) ** 2
        dropped = importance.sort(descending=True).values[n_hidden:]
        return variance * dropped.sum()

    def count_stored(W):
        return (W.norm(dim=1) >= 0.5).sum(-1)


@mistake("05.4", says="times p. The mean of all values")
class section:
    """p / 12."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        variance = p / 12
        dropped = importance.sort(descending=True).values[n_hidden:]
        return variance * dropped.sum()

    def count_stored(W):
        return (W.norm(dim=1) >= 0.5).sum(-1)


@mistake("05.4", says="You count the features that are kept")
class section:
    """The top m pay."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        variance = p / 3 - (p / 2) ** 2
        dropped = importance.sort(descending=True).values[:n_hidden]
        return variance * dropped.sum()

    def count_stored(W):
        return (W.norm(dim=1) >= 0.5).sum(-1)


@mistake("05.4", says="The columns are the features")
class section:
    """The norm over the wrong axis."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        variance = p / 3 - (p / 2) ** 2
        dropped = importance.sort(descending=True).values[n_hidden:]
        return variance * dropped.sum()

    def count_stored(W):
        return (W.norm(dim=2) >= 0.5).sum(-1)


@mistake("05.4", says="You square the length")
class section:
    """Squared length against 0.5."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        variance = p / 3 - (p / 2) ** 2
        dropped = importance.sort(descending=True).values[n_hidden:]
        return variance * dropped.sum()

    def count_stored(W):
        return ((W**2).sum(1) >= 0.5).sum(-1)


@right("05.4", how="with topk")
class section:
    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity.double()
        kept = importance.double().topk(n_hidden).values.sum()
        return (p / 12 + p * (1 - p) / 4) * (importance.double().sum() - kept)

    def count_stored(W):
        return ((W * W).sum(-2).sqrt() >= 0.5).long().sum(dim=1)


@right("05.4", how="with lists")
class section:
    def linear_floor(sparsity, importance, n_hidden):
        rest = sum(sorted(importance.tolist())[: len(importance) - n_hidden])
        return [rest * ((1 - s) / 3 - (1 - s) ** 2 / 4) for s in sparsity.tolist()]

    def count_stored(W):
        return torch.tensor([sum(float(column.norm()) >= 0.5 for column in w.T) for w in W])


@mistake("05.4", says="E[x] = p/2, and not 1/2")
class section:
    """The mean of a feature that is there."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        v = p / 3 - 1 / 4
        rest = sorted(importance.tolist())[: max(0, len(importance) - n_hidden)]
        return v * sum(rest)

    def count_stored(W):
        return (W.norm(dim=-2) >= 0.5).sum(dim=-1)


@mistake("05.4", says="being there or not")
class section:
    """The variance of a coin."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        v = p * (1 - p)
        rest = sorted(importance.tolist())[: max(0, len(importance) - n_hidden)]
        return v * sum(rest)

    def count_stored(W):
        return (W.norm(dim=-2) >= 0.5).sum(dim=-1)


@mistake("05.4", says="ONE entry")
class section:
    """Any large entry."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        v = p / 3 - (p / 2) ** 2
        rest = sorted(importance.tolist())[: max(0, len(importance) - n_hidden)]
        return v * sum(rest)

    def count_stored(W):
        return (W.abs() >= 0.5).any(-2).sum(dim=-1)


@mistake("05.4", says="sum of absolute values")
class section:
    """Another length."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        v = p / 3 - (p / 2) ** 2
        rest = sorted(importance.tolist())[: max(0, len(importance) - n_hidden)]
        return v * sum(rest)

    def count_stored(W):
        return (W.abs().sum(-2) >= 0.5).sum(dim=-1)


# --- 05.5 -------------------------------------------------------------------------------------------------------------


@mistake("05.5", says="j = i is missing from the sum")
class section:
    """The feature itself left out."""

    def dimensionality(W):
        squared = (W**2).sum(1)
        unit = W / W.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return squared / ((unit.mT @ W).pow(2).sum(-1) - squared).clamp(min=1e-12)


@mistake("05.5", says="Ŵ is normalised over the wrong axis")
class section:
    """dim=2 for dim=1."""

    def dimensionality(W):
        squared = (W**2).sum(1)
        unit = W / W.norm(dim=2, keepdim=True).clamp(min=1e-12)
        return squared / (unit.mT @ W).pow(2).sum(-1).clamp(min=1e-12)


@mistake("05.5", says="Both factors are normalised")
class section:
    """Cosines for overlaps."""

    def dimensionality(W):
        squared = (W**2).sum(1)
        unit = W / W.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return squared / (unit.mT @ unit).pow(2).sum(-1).clamp(min=1e-12)


@mistake("05.5", says="Nothing is normalised in the sum")
class section:
    """W for Ŵ."""

    def dimensionality(W):
        squared = (W**2).sum(1)
        unit = W / W.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return squared / (W.mT @ W).pow(2).sum(-1).clamp(min=1e-12)


@mistake("05.5", says="The overlaps are not squared")
class section:
    """No square."""

    def dimensionality(W):
        squared = (W**2).sum(1)
        unit = W / W.norm(dim=1, keepdim=True)
        return squared / (unit.mT @ W).sum(-1)


@mistake("05.5", says="gives NaN")
class section:
    """0/0."""

    def dimensionality(W):
        squared = (W**2).sum(1)
        unit = W / W.norm(dim=1, keepdim=True)
        return squared / (unit.mT @ W).pow(2).sum(-1)


@mistake("05.5", says="W_j is normalised instead of W_i")
class section:
    """The sum over the other axis."""

    def dimensionality(W):
        squared = (W**2).sum(1)
        unit = W / W.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return squared / (unit.mT @ W).pow(2).sum(-2).clamp(min=1e-12)


@right("05.5", how="as written")
class section:
    def dimensionality(W):
        squared = (W**2).sum(1)
        unit = W / W.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return squared / (unit.mT @ W).pow(2).sum(-1).clamp(min=1e-12)


@right("05.5", how="with loops, in double precision")
class section:
    def dimensionality(W):
        found = torch.zeros(W.shape[0], W.shape[2], dtype=torch.float64)
        for k, w in enumerate(W.double()):
            for i in range(w.shape[1]):
                length = w[:, i].norm()
                if length > 0:
                    found[k, i] = length**2 / ((w[:, i] / length) @ w).square().sum()
        return found


@mistake("05.5", says="Square them")
class section:
    """Overlaps without their square."""

    def dimensionality(W):
        n = W.norm(dim=1)
        hat = W / n.clamp(min=1e-9)[:, None]
        return n**2 / ((hat.transpose(1, 2) @ W).abs()).sum(-1).clamp(min=1e-12)


@mistake("05.5", says="opposite ones cancel")
class section:
    """The square of the sum."""

    def dimensionality(W):
        n = W.norm(dim=1)
        hat = W / n.clamp(min=1e-9)[:, None]
        return n**2 / ((hat.transpose(1, 2) @ W).sum(-1) ** 2).clamp(min=1e-12)


# --- 05.6 -------------------------------------------------------------------------------------------------------------


@mistake("05.6", says="A cosine below −0.15 counts too")
class section:
    """No abs()."""

    def find_shapes(W):
        W = W[:, W.norm(dim=0) >= 0.5]
        unit = W / W.norm(dim=0)
        touch = (unit.T @ unit) > 0.15
        left, found = set(range(W.shape[1])), []
        while left:
            shape, new = set(), {left.pop()}
            while new:
                shape |= new
                new = {j for i in new for j in left if touch[i, j]}
                left -= new
            spectrum = torch.linalg.svdvals(W[:, sorted(shape)])
            found.append((len(shape), int((spectrum > 0.15 * spectrum[0]).sum())))
        return sorted(found, reverse=True)


@mistake("05.6", says="a chain of touching features leads from one to the other")
class section:
    """Only direct neighbours."""

    def find_shapes(W):
        W = W[:, W.norm(dim=0) >= 0.5]
        unit = W / W.norm(dim=0)
        touch = (unit.T @ unit).abs() > 0.15
        left, found = set(range(W.shape[1])), []
        while left:
            shape, new = set(), {left.pop()}
            shape |= new | {j for i in new for j in left if touch[i, j]}
            left -= shape
            spectrum = torch.linalg.svdvals(W[:, sorted(shape)])
            found.append((len(shape), int((spectrum > 0.15 * spectrum[0]).sum())))
        return sorted(found, reverse=True)


@mistake("05.6", says="A feature whose column is shorter than 0.5 is left out")
class section:
    """Short columns are kept."""

    def find_shapes(W):
        unit = W / W.norm(dim=0)
        touch = (unit.T @ unit).abs() > 0.15
        left, found = set(range(W.shape[1])), []
        while left:
            shape, new = set(), {left.pop()}
            while new:
                shape |= new
                new = {j for i in new for j in left if touch[i, j]}
                left -= new
            spectrum = torch.linalg.svdvals(W[:, sorted(shape)])
            found.append((len(shape), int((spectrum > 0.15 * spectrum[0]).sum())))
        return sorted(found, reverse=True)


@mistake("05.6", says="These are (dimensions, features)")
class section:
    """The other way round."""

    def find_shapes(W):
        W = W[:, W.norm(dim=0) >= 0.5]
        unit = W / W.norm(dim=0)
        touch = (unit.T @ unit).abs() > 0.15
        left, found = set(range(W.shape[1])), []
        while left:
            shape, new = set(), {left.pop()}
            while new:
                shape |= new
                new = {j for i in new for j in left if touch[i, j]}
                left -= new
            spectrum = torch.linalg.svdvals(W[:, sorted(shape)])
            found.append((int((spectrum > 0.15 * spectrum[0]).sum()), len(shape)))
        return sorted(found, reverse=True)


@mistake("05.6", says="The largest shape comes first")
class section:
    """Sorted upwards."""

    def find_shapes(W):
        W = W[:, W.norm(dim=0) >= 0.5]
        unit = W / W.norm(dim=0)
        touch = (unit.T @ unit).abs() > 0.15
        left, found = set(range(W.shape[1])), []
        while left:
            shape, new = set(), {left.pop()}
            while new:
                shape |= new
                new = {j for i in new for j in left if touch[i, j]}
                left -= new
            spectrum = torch.linalg.svdvals(W[:, sorted(shape)])
            found.append((len(shape), int((spectrum > 0.15 * spectrum[0]).sum())))
        return sorted(found)


@mistake("05.6", says="whose second singular value is")
class section:
    """The exact rank."""

    def find_shapes(W):
        W = W[:, W.norm(dim=0) >= 0.5]
        unit = W / W.norm(dim=0)
        touch = (unit.T @ unit).abs() > 0.15
        left, found = set(range(W.shape[1])), []
        while left:
            shape, new = set(), {left.pop()}
            while new:
                shape |= new
                new = {j for i in new for j in left if touch[i, j]}
                left -= new
            spectrum = torch.linalg.svdvals(W[:, sorted(shape)])
            found.append((len(shape), int(torch.linalg.matrix_rank(W[:, sorted(shape)]))))
        return sorted(found, reverse=True)


@mistake("05.6", says="It is the COSINE that counts")
class section:
    """Dot products for cosines."""

    def find_shapes(W):
        W = W[:, W.norm(dim=0) >= 0.5]
        unit = W
        touch = (unit.T @ unit).abs() > 0.15
        left, found = set(range(W.shape[1])), []
        while left:
            shape, new = set(), {left.pop()}
            while new:
                shape |= new
                new = {j for i in new for j in left if touch[i, j]}
                left -= new
            spectrum = torch.linalg.svdvals(W[:, sorted(shape)])
            found.append((len(shape), int((spectrum > 0.15 * spectrum[0]).sum())))
        return sorted(found, reverse=True)


@right("05.6", how="with powers of the table")
class section:
    def find_shapes(W):
        W = W[:, W.norm(dim=0) >= 0.5]
        if W.shape[1] == 0:
            return []
        touch = torch.nn.functional.cosine_similarity(W[:, :, None], W[:, None, :], dim=0).abs() > 0.15
        reach = torch.linalg.matrix_power(touch.double(), W.shape[1]) > 0
        groups = {tuple(row.nonzero().flatten().tolist()) for row in reach}
        return sorted([(len(g), int(torch.linalg.matrix_rank(W[:, list(g)], rtol=0.15))) for g in groups])[::-1]


@right("05.6", how="by merging labels")
class section:
    def find_shapes(W):
        columns = [c for c in W.T if float(c.norm()) >= 0.5]
        label = list(range(len(columns)))
        for i, a in enumerate(columns):
            for j, c in enumerate(columns):
                if abs(float(a @ c / (a.norm() * c.norm()))) > 0.15:
                    label = [label[i] if other == label[j] else other for other in label]
        found = []
        for one in set(label):
            members = torch.stack([c for c, own in zip(columns, label) if own == one])
            spectrum = torch.linalg.svd(members).S
            found.append((len(members), len([s for s in spectrum if s > 0.15 * spectrum.max()])))
        found.sort(key=lambda shape: (-shape[0], -shape[1]))
        return found


# --- 05.7 -------------------------------------------------------------------------------------------------------------


@mistake("05.7", says="are exchanged")
class section:
    """Which feature is dropped?"""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        variance = p / 3 - p**2 / 4
        return torch.stack([variance, importance * variance, p**2 / 6 * (1 + importance)])


@mistake("05.7", says="not E[x²]")
class section:
    """The bias is forgotten."""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        variance = p / 3
        return torch.stack([importance * variance, variance, p**2 / 6 * (1 + importance)])


@mistake("05.7", says="Both features are present with probability p², not p")
class section:
    """p for p²."""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        variance = p / 3 - p**2 / 4
        return torch.stack([importance * variance, variance, p / 6 * (1 + importance)])


@mistake("05.7", says="In the third model both outputs are off, each with its importance")
class section:
    """One output alone."""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        variance = p / 3 - p**2 / 4
        return torch.stack([importance * variance, variance, p**2 / 6 * importance])


@mistake("05.7", says="S is the probability that a feature is absent")
class section:
    """S for p."""

    def phase_losses(sparsity, importance):
        p = sparsity
        variance = p / 3 - p**2 / 4
        return torch.stack([importance * variance, variance, p**2 / 6 * (1 + importance)])


@right("05.7", how="case by case")
class section:
    def phase_losses(sparsity, importance):
        columns = []
        for s, r in zip(sparsity.tolist(), importance.tolist()):
            p = 1.0 - s
            v = p * (4 - 3 * p) / 12
            columns.append([r * v, v, p * p * (1 + r) / 6])
        return torch.tensor(columns).T


@right("05.7", how="into one table, in double precision")
class section:
    def phase_losses(sparsity, importance):
        q, r = sparsity.double(), importance.double()
        losses = torch.empty(3, len(q), dtype=torch.float64)
        losses[1] = (1 - q) / 12 + q * (1 - q) / 4
        losses[0] = r * losses[1]
        losses[2] = (1 - q).square() * (r + 1) / 6
        return losses


@mistake("05.7", says="twice what it should be")
class section:
    """The mean square of one value."""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        v = p / 3 - p**2 / 4
        return torch.stack([importance * v, v, p**2 * (1 + importance) / 3])


@mistake("05.7", says="half of what it should be")
class section:
    """The mean of both outputs."""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        v = p / 3 - p**2 / 4
        return torch.stack([importance * v, v, p**2 * (1 + importance) / 12])


@mistake("05.7", says="the zeros count too")
class section:
    """The variance of a uniform number."""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        v = p / 12
        return torch.stack([importance * v, v, p**2 * (1 + importance) / 6])


@mistake("05.7", says="Its importance is 1")
class section:
    """r is paid in both."""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        v = p / 3 - p**2 / 4
        return torch.stack([importance * v, importance * v, p**2 * (1 + importance) / 6])


# --- 05.8 -------------------------------------------------------------------------------------------------------------


@mistake("05.8", says="together is the wrong way round")
class section:
    """The kinds exchanged."""

    def paired_features(sparsity, n_features, batch, together, seed):
        generator = torch.Generator().manual_seed(seed)
        values = torch.rand(len(sparsity), batch, n_features, generator=generator)
        draw = torch.rand(len(sparsity), batch, n_features // 2, generator=generator)
        p = (1 - sparsity)[:, None, None]
        first = draw < p
        second = first if not together else (draw >= p) & (draw < 2 * p)
        return values * torch.stack([first, second], dim=-1).flatten(2)


@mistake("05.8", says="EACH should be present with p")
class section:
    """One of the two, with p."""

    def paired_features(sparsity, n_features, batch, together, seed):
        generator = torch.Generator().manual_seed(seed)
        values = torch.rand(len(sparsity), batch, n_features, generator=generator)
        draw = torch.rand(len(sparsity), batch, n_features // 2, generator=generator)
        p = (1 - sparsity)[:, None, None]
        first = draw < (p if together else p / 2)
        second = first if together else (draw >= p / 2) & (draw < p)
        return values * torch.stack([first, second], dim=-1).flatten(2)


@mistake("05.8", says="have the same value")
class section:
    """One value for a pair."""

    def paired_features(sparsity, n_features, batch, together, seed):
        generator = torch.Generator().manual_seed(seed)
        values = torch.rand(len(sparsity), batch, n_features // 2, generator=generator).repeat_interleave(2, -1)
        draw = torch.rand(len(sparsity), batch, n_features // 2, generator=generator)
        p = (1 - sparsity)[:, None, None]
        first = draw < p
        second = first if together else (draw >= p) & (draw < 2 * p)
        return values * torch.stack([first, second], dim=-1).flatten(2)


@mistake("05.8", says="Your pairs are (0, n/2)")
class section:
    """Pairs that are no neighbours."""

    def paired_features(sparsity, n_features, batch, together, seed):
        generator = torch.Generator().manual_seed(seed)
        values = torch.rand(len(sparsity), batch, n_features, generator=generator)
        draw = torch.rand(len(sparsity), batch, n_features // 2, generator=generator)
        p = (1 - sparsity)[:, None, None]
        first = draw < p
        second = first if together else (draw >= p) & (draw < 2 * p)
        return values * torch.cat([first, second], dim=-1)


@mistake("05.8", says="Different pairs know nothing of each other")
class section:
    """One draw for all pairs."""

    def paired_features(sparsity, n_features, batch, together, seed):
        generator = torch.Generator().manual_seed(seed)
        values = torch.rand(len(sparsity), batch, n_features, generator=generator)
        draw = torch.rand(len(sparsity), batch, 1, generator=generator).expand(-1, -1, n_features // 2)
        p = (1 - sparsity)[:, None, None]
        first = draw < p
        second = first if together else (draw >= p) & (draw < 2 * p)
        return values * torch.stack([first, second], dim=-1).flatten(2)


@mistake("05.8", says="S is the probability that a feature is ABSENT")
class section:
    """S for p."""

    def paired_features(sparsity, n_features, batch, together, seed):
        generator = torch.Generator().manual_seed(seed)
        values = torch.rand(len(sparsity), batch, n_features, generator=generator)
        draw = torch.rand(len(sparsity), batch, n_features // 2, generator=generator)
        p = sparsity[:, None, None]
        first = draw < p
        second = first if together else (draw >= p) & (draw < 2 * p)
        return values * torch.stack([first, second], dim=-1).flatten(2)


@mistake("05.8", says="the two of a pair should know of each other")
class section:
    """Excluding features that are only independent."""

    def paired_features(sparsity, n_features, batch, together, seed):
        generator = torch.Generator().manual_seed(seed)
        values = torch.rand(len(sparsity), batch, n_features, generator=generator)
        draw = torch.rand(len(sparsity), batch, n_features // 2, generator=generator)
        p = (1 - sparsity)[:, None, None]
        first = draw < p
        second = first if together else torch.rand(draw.shape, generator=generator) < p
        return values * torch.stack([first, second], dim=-1).flatten(2)


@right("05.8", how="with repeat_interleave and a coin")
class section:
    def paired_features(sparsity, n_features, batch, together, seed):
        generator = torch.Generator().manual_seed(seed)
        shape = (len(sparsity), batch, n_features)
        p = (1 - sparsity)[:, None, None]
        draw = torch.rand(shape[0], batch, n_features // 2, generator=generator)
        if together:
            mask = (draw < p).repeat_interleave(2, dim=2)
        else:
            some = (draw < 2 * p).repeat_interleave(2, dim=2)
            coin = (torch.rand(draw.shape, generator=generator) < 0.5).repeat_interleave(2, dim=2)
            mask = some & (coin == (torch.arange(n_features) % 2 == 0))
        return torch.rand(shape, generator=generator).masked_fill(~mask, 0.0)


@right("05.8", how="filled in pair by pair, in double precision")
class section:
    def paired_features(sparsity, n_features, batch, together, seed):
        generator = torch.Generator().manual_seed(seed)
        x = torch.rand(len(sparsity), batch, n_features, generator=generator, dtype=torch.float64)
        p = 1 - sparsity[:, None]
        for i in range(0, n_features, 2):
            draw = torch.rand(len(sparsity), batch, generator=generator)
            x[:, :, i] *= draw < p
            x[:, :, i + 1] *= (draw < p) if together else (draw >= 1 - p)
        return x


@mistake("05.8", says="NEITHER is present")
class section:
    """One or the other."""

    def paired_features(sparsity, n_features, batch, together, seed):
        g = torch.Generator().manual_seed(seed)
        k = len(sparsity)
        p = (1 - sparsity).view(-1, 1, 1)
        v = torch.rand(k, batch, n_features, generator=g)
        u = torch.rand(k, batch, n_features // 2, generator=g)
        there = torch.zeros(k, batch, n_features, dtype=torch.bool)
        there[:, :, 0::2] = u < p
        there[:, :, 1::2] = (u < p) if together else (u >= p)
        return v * there


# --- 05.9 -------------------------------------------------------------------------------------------------------------


@mistake("05.9", says="The ReLU of the neurons is missing")
class section:
    """A linear middle."""

    def absolute_values(W_in, W_out, b, x):
        neurons = torch.einsum("knf,kbf->kbn", W_in, x)
        return (torch.einsum("kfn,kbn->kbf", W_out, neurons) + b[:, None]).relu()

    def monosemanticity(W_in):
        size = W_in.abs()
        return size.max(-1).values / size.sum(-1).clamp(min=1e-12)


@mistake("05.9", says="The ReLU at the end is missing")
class section:
    """No ReLU at the end."""

    def absolute_values(W_in, W_out, b, x):
        neurons = torch.einsum("knf,kbf->kbn", W_in, x).relu()
        return torch.einsum("kfn,kbn->kbf", W_out, neurons) + b[:, None]

    def monosemanticity(W_in):
        size = W_in.abs()
        return size.max(-1).values / size.sum(-1).clamp(min=1e-12)


@mistake("05.9", says="You read out with W_in")
class section:
    """The toy model's tied weights."""

    def absolute_values(W_in, W_out, b, x):
        neurons = torch.einsum("knf,kbf->kbn", W_in, x).relu()
        return (torch.einsum("knf,kbn->kbf", W_in, neurons) + b[:, None]).relu()

    def monosemanticity(W_in):
        size = W_in.abs()
        return size.max(-1).values / size.sum(-1).clamp(min=1e-12)


@mistake("05.9", says="The bias b is missing")
class section:
    """No bias."""

    def absolute_values(W_in, W_out, b, x):
        neurons = torch.einsum("knf,kbf->kbn", W_in, x).relu()
        return (torch.einsum("kfn,kbn->kbf", W_out, neurons)).relu()

    def monosemanticity(W_in):
        size = W_in.abs()
        return size.max(-1).values / size.sum(-1).clamp(min=1e-12)


@mistake("05.9", says="Neurons are ReLUs")
class section:
    """Computes the answer by itself."""

    def absolute_values(W_in, W_out, b, x):
        neurons = torch.einsum("knf,kbf->kbn", W_in, x).abs()
        return (torch.einsum("kfn,kbn->kbf", W_out, neurons) + b[:, None]).relu()

    def monosemanticity(W_in):
        size = W_in.abs()
        return size.max(-1).values / size.sum(-1).clamp(min=1e-12)


@mistake("05.9", says="before you take absolute values")
class section:
    """abs() below the line only."""

    def absolute_values(W_in, W_out, b, x):
        neurons = torch.einsum("knf,kbf->kbn", W_in, x).relu()
        return (torch.einsum("kfn,kbn->kbf", W_out, neurons) + b[:, None]).relu()

    def monosemanticity(W_in):
        size = W_in.abs()
        return W_in.max(-1).values / size.sum(-1).clamp(min=1e-12)


@mistake("05.9", says="A neuron is a row")
class section:
    """The other axis."""

    def absolute_values(W_in, W_out, b, x):
        neurons = torch.einsum("knf,kbf->kbn", W_in, x).relu()
        return (torch.einsum("kfn,kbn->kbf", W_out, neurons) + b[:, None]).relu()

    def monosemanticity(W_in):
        size = W_in.abs()
        return size.max(1).values / size.sum(1).clamp(min=1e-12)


@mistake("05.9", says="gives NaN")
class section:
    """0/0."""

    def absolute_values(W_in, W_out, b, x):
        neurons = torch.einsum("knf,kbf->kbn", W_in, x).relu()
        return (torch.einsum("kfn,kbn->kbf", W_out, neurons) + b[:, None]).relu()

    def monosemanticity(W_in):
        size = W_in.abs()
        return size.max(-1).values / size.sum(-1)


@mistake("05.9", says="These are squares")
class section:
    """Squares for sizes."""

    def absolute_values(W_in, W_out, b, x):
        neurons = torch.einsum("knf,kbf->kbn", W_in, x).relu()
        return (torch.einsum("kfn,kbn->kbf", W_out, neurons) + b[:, None]).relu()

    def monosemanticity(W_in):
        size = W_in**2
        return size.max(-1).values / size.sum(-1).clamp(min=1e-12)


@right("05.9", how="with matrix products")
class section:
    def absolute_values(W_in, W_out, b, x):
        neurons = torch.relu(x @ W_in.mT)
        return torch.relu(torch.baddbmm(b[:, None], neurons, W_out.mT))

    def monosemanticity(W_in):
        share = torch.nn.functional.normalize(W_in, p=1, dim=-1).abs()
        return share.amax(-1)


@right("05.9", how="instance by instance, in double precision")
class section:
    def absolute_values(W_in, W_out, b, x):
        out = []
        for w, v, c, rows in zip(W_in.double(), W_out.double(), b.double(), x.double()):
            out.append((v @ (w @ rows.T).clamp(min=0) + c[:, None]).clamp(min=0).T)
        return torch.stack(out)

    def monosemanticity(W_in):
        total = W_in.abs().sum(-1)
        return torch.where(total > 0, W_in.abs().amax(-1) / total, torch.zeros(()))


@mistake("05.9", says="leave out the negative weights")
class section:
    """The positive weights alone."""

    def absolute_values(W_in, W_out, b, x):
        return ((x @ W_in.mT).relu() @ W_out.mT + b[:, None]).relu()

    def monosemanticity(W_in):
        a = W_in.relu()
        return torch.nan_to_num(a.max(-1).values / a.sum(-1))


# --- 05.10 ------------------------------------------------------------------------------------------------------------


@mistake("05.10", says="This only raises feature i itself")
class section:
    """Forgets interference."""

    def worst_nudge(W, i, size):
        direction = torch.eye(W.shape[1])[i]
        return size * direction / direction.norm()

    def sensitivity(W):
        return (W.T @ W).norm(dim=0)


@mistake("05.10", says="divide by its length")
class section:
    """Not scaled."""

    def worst_nudge(W, i, size):
        direction = W.T @ W[:, i]
        return size * direction

    def sensitivity(W):
        return (W.T @ W).norm(dim=0)


@mistake("05.10", says="This nudge lowers the output")
class section:
    """Wrong sign."""

    def worst_nudge(W, i, size):
        direction = W.T @ W[:, i]
        return -size * direction / direction.norm()

    def sensitivity(W):
        return (W.T @ W).norm(dim=0)


@mistake("05.10", says="This changes every feature by as much")
class section:
    """The sign of the gradient, as under a bound on the largest change."""

    def worst_nudge(W, i, size):
        direction = (W.T @ W[:, i]).sign()
        return size * direction / direction.norm()

    def sensitivity(W):
        return (W.T @ W).norm(dim=0)


@mistake("05.10", says="This is ‖W_i‖²")
class section:
    """The diagonal."""

    def worst_nudge(W, i, size):
        direction = W.T @ W[:, i]
        return size * direction / direction.norm()

    def sensitivity(W):
        return (W**2).sum(0)


@mistake("05.10", says="This is the length of the column W_i")
class section:
    """Half of the way."""

    def worst_nudge(W, i, size):
        direction = W.T @ W[:, i]
        return size * direction / direction.norm()

    def sensitivity(W):
        return W.norm(dim=0)


@right("05.10", how="with the gradient")
class section:
    def worst_nudge(W, i, size):
        x = torch.zeros(W.shape[1], requires_grad=True)
        output = W[:, i] @ (W @ x)
        output.backward()
        return size * torch.nn.functional.normalize(x.grad, dim=0)

    def sensitivity(W):
        moved = [W[:, i] @ (W @ worst_nudge(W, i, 1.0)) for i in range(W.shape[1])]
        return torch.stack(moved)


@right("05.10", how="by the dimensionality, in double precision")
class section:
    def worst_nudge(W, i, size):
        row = (W.double().T @ W.double())[i]
        return row * (size / row.square().sum().sqrt())

    def sensitivity(W):
        D = dimensionality(W.double()[None])[0]
        return W.double().square().sum(0) / D.sqrt()


@mistake("05.10", says="takes part")
class section:
    """The others alone."""

    def worst_nudge(W, i, size):
        d = (W.T @ W)[i]
        d[i] = 0
        return d / d.norm() * size

    def sensitivity(W):
        return (W.T @ W).norm(dim=1)


@mistake("05.10", says="when they are LOWERED")
class section:
    """Only upwards."""

    def worst_nudge(W, i, size):
        d = (W.T @ W)[i].relu()
        return d / d.norm() * size

    def sensitivity(W):
        return (W.T @ W).norm(dim=1)


@mistake("05.10", says="must be LOWERED")
class section:
    """All upwards."""

    def worst_nudge(W, i, size):
        d = (W.T @ W)[i].abs()
        return d / d.norm() * size

    def sensitivity(W):
        return (W.T @ W).norm(dim=1)


@mistake("05.10", says="right for columns of length 1 alone")
class section:
    """The formula for columns of length 1."""

    def worst_nudge(W, i, size):
        d = (W.T @ W)[i]
        return d / d.norm() * size

    def sensitivity(W):
        return (W.T @ W).norm(dim=1) / W.pow(2).sum(0)


# --- 05.11 ------------------------------------------------------------------------------------------------------------


@mistake("05.11", says="The question is how many of the concept's words are among the top")
class section:
    """Precision for recall."""

    def answers_to(values, holds, n_top):
        top = torch.zeros_like(values).scatter(0, values.topk(n_top, dim=0).indices, 1.0)
        hits = top.T @ holds.to(top.dtype)
        total = holds.sum(0)
        return (hits >= n_top / 2) & (total > 0)

    def is_polysemantic(answers, holds):
        shared = holds.double().T @ holds.double()
        a = answers.double()
        return ((a @ (shared == 0).double().fill_diagonal_(0)) * a).sum(-1) > 0


@mistake("05.11", says="A concept that holds at no word is answered by no neuron")
class section:
    """0 of 0 words."""

    def answers_to(values, holds, n_top):
        top = torch.zeros_like(values).scatter(0, values.topk(n_top, dim=0).indices, 1.0)
        hits = top.T @ holds.to(top.dtype)
        total = holds.sum(0)
        return hits >= total / 2

    def is_polysemantic(answers, holds):
        shared = holds.double().T @ holds.double()
        a = answers.double()
        return ((a @ (shared == 0).double().fill_diagonal_(0)) * a).sum(-1) > 0


@mistake("05.11", says="It must be half of them")
class section:
    """Any word is enough."""

    def answers_to(values, holds, n_top):
        top = torch.zeros_like(values).scatter(0, values.topk(n_top, dim=0).indices, 1.0)
        hits = top.T @ holds.to(top.dtype)
        total = holds.sum(0)
        return (hits > 0) & (total > 0)

    def is_polysemantic(answers, holds):
        shared = holds.double().T @ holds.double()
        a = answers.double()
        return ((a @ (shared == 0).double().fill_diagonal_(0)) * a).sum(-1) > 0


@mistake("05.11", says="half is enough")
class section:
    """More than half."""

    def answers_to(values, holds, n_top):
        top = torch.zeros_like(values).scatter(0, values.topk(n_top, dim=0).indices, 1.0)
        hits = top.T @ holds.to(top.dtype)
        total = holds.sum(0)
        return (hits > total / 2) & (total > 0)

    def is_polysemantic(answers, holds):
        shared = holds.double().T @ holds.double()
        a = answers.double()
        return ((a @ (shared == 0).double().fill_diagonal_(0)) * a).sum(-1) > 0


@mistake("05.11", says="You take the largest absolute values")
class section:
    """abs()."""

    def answers_to(values, holds, n_top):
        top = torch.zeros_like(values).scatter(0, values.abs().topk(n_top, dim=0).indices, 1.0)
        hits = top.T @ holds.to(top.dtype)
        total = holds.sum(0)
        return (hits >= total / 2) & (total > 0)

    def is_polysemantic(answers, holds):
        shared = holds.double().T @ holds.double()
        a = answers.double()
        return ((a @ (shared == 0).double().fill_diagonal_(0)) * a).sum(-1) > 0


@mistake("05.11", says="Two of them must be unrelated")
class section:
    """Several concepts, related or not."""

    def answers_to(values, holds, n_top):
        top = torch.zeros_like(values).scatter(0, values.topk(n_top, dim=0).indices, 1.0)
        hits = top.T @ holds.to(top.dtype)
        total = holds.sum(0)
        return (hits >= total / 2) & (total > 0)

    def is_polysemantic(answers, holds):
        shared = holds.double().T @ holds.double()
        a = answers.double()
        return a.sum(-1) > 1


@mistake("05.11", says="You count neurons with several concepts")
class section:
    """A comparison that always holds."""

    def answers_to(values, holds, n_top):
        top = torch.zeros_like(values).scatter(0, values.topk(n_top, dim=0).indices, 1.0)
        hits = top.T @ holds.to(top.dtype)
        total = holds.sum(0)
        return (hits >= total / 2) & (total > 0)

    def is_polysemantic(answers, holds):
        shared = holds.double().T @ holds.double()
        a = answers.double()
        return ((a @ (shared >= 0).double().fill_diagonal_(0)) * a).sum(-1) > 0


@mistake("05.11", says="compare two of them")
class section:
    """A concept is compared with itself."""

    def answers_to(values, holds, n_top):
        top = torch.zeros_like(values).scatter(0, values.topk(n_top, dim=0).indices, 1.0)
        hits = top.T @ holds.to(top.dtype)
        total = holds.sum(0)
        return (hits >= total / 2) & (total > 0)

    def is_polysemantic(answers, holds):
        shared = holds.double().T @ holds.double()
        a = answers.double()
        return ((a @ (shared == 0).double()) * a).sum(-1) > 0


@right("05.11", how="with loops and sets")
class section:
    def answers_to(values, holds, n_top):
        found = torch.zeros(values.shape[1], holds.shape[1], dtype=torch.bool)
        for i, neuron in enumerate(values.T):
            top = set(neuron.argsort(descending=True)[:n_top].tolist())
            for c, concept in enumerate(holds.T):
                members = set(concept.nonzero().flatten().tolist())
                found[i, c] = len(members) > 0 and len(top & members) / len(members) >= 0.5
        return found

    def is_polysemantic(answers, holds):
        words = [set(column.nonzero().flatten().tolist()) for column in holds.T]
        found = []
        for row in answers:
            mine = row.nonzero().flatten().tolist()
            found.append(any(words[a].isdisjoint(words[b]) for a in mine for b in mine if a < b))
        return torch.tensor(found)


@right("05.11", how="with thresholds and tables")
class section:
    def answers_to(values, holds, n_top):
        bound = values.sort(dim=0, descending=True).values[n_top - 1]
        share = torch.einsum("wn,wc->nc", (values >= bound).double(), holds.double()) / holds.sum(0).clamp(min=1)
        return share >= 0.5

    def is_polysemantic(answers, holds):
        apart = ~(holds[:, :, None] & holds[:, None, :]).any(0)
        apart &= ~torch.eye(len(apart)).bool()
        return (answers[:, :, None] & answers[:, None, :] & apart).flatten(1).any(1)


# --- 05.12 ------------------------------------------------------------------------------------------------------------


@mistake("05.12", says="is the best at length 1 and with b = 0")
class section:
    """One size for all."""

    LENGTHS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
    BIASES = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)

    def predict_shape(candidates, sparsity, seed):
        W = torch.stack(candidates)
        x = sparse_features(torch.tensor([sparsity]), W.shape[-1], 20_000, seed).expand(len(W), -1, -1)
        stored = W.norm(dim=1) > 0
        losses = [
            weighted_loss(
                x, reconstruct(length * W, torch.where(stored, bias, (1 - sparsity) / 2), x), torch.ones(W.shape[-1])
            )
            for length in (1.0,)
            for bias in (0.0,)
        ]
        return int(torch.stack(losses).min(0).values.argmin())

    def find_geometry(n_features, n_hidden, sparsity, seed):
        S, importance = torch.full((8,), sparsity), torch.ones(n_features)
        W, b = train(S, n_features, n_hidden, importance, 1000, 128, 0.01, seed)
        x = sparse_features(S, n_features, 10_000, seed + 1)
        loss = weighted_loss(x, reconstruct(W, b, x), importance)
        return find_shapes(W[loss.argmin()])


@mistake("05.12", says="mind b of features that are not stored")
class section:
    """The bias of stored features for those that are not."""

    LENGTHS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
    BIASES = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)

    def predict_shape(candidates, sparsity, seed):
        W = torch.stack(candidates)
        x = sparse_features(torch.tensor([sparsity]), W.shape[-1], 20_000, seed).expand(len(W), -1, -1)
        stored = W.norm(dim=1) > 0
        losses = [
            weighted_loss(x, reconstruct(length * W, torch.full(stored.shape, bias), x), torch.ones(W.shape[-1]))
            for length in LENGTHS
            for bias in BIASES
        ]
        return int(torch.stack(losses).min(0).values.argmin())

    def find_geometry(n_features, n_hidden, sparsity, seed):
        S, importance = torch.full((8,), sparsity), torch.ones(n_features)
        W, b = train(S, n_features, n_hidden, importance, 1000, 128, 0.01, seed)
        x = sparse_features(S, n_features, 10_000, seed + 1)
        loss = weighted_loss(x, reconstruct(W, b, x), importance)
        return find_shapes(W[loss.argmin()])


@mistake("05.12", says="has the smallest loss")
class section:
    """The mean over all lengths and biases."""

    LENGTHS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
    BIASES = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)

    def predict_shape(candidates, sparsity, seed):
        W = torch.stack(candidates)
        x = sparse_features(torch.tensor([sparsity]), W.shape[-1], 20_000, seed).expand(len(W), -1, -1)
        stored = W.norm(dim=1) > 0
        losses = [
            weighted_loss(
                x, reconstruct(length * W, torch.where(stored, bias, (1 - sparsity) / 2), x), torch.ones(W.shape[-1])
            )
            for length in LENGTHS
            for bias in BIASES
        ]
        return int(torch.stack(losses).mean(0).argmin())

    def find_geometry(n_features, n_hidden, sparsity, seed):
        S, importance = torch.full((8,), sparsity), torch.ones(n_features)
        W, b = train(S, n_features, n_hidden, importance, 1000, 128, 0.01, seed)
        x = sparse_features(S, n_features, 10_000, seed + 1)
        loss = weighted_loss(x, reconstruct(W, b, x), importance)
        return find_shapes(W[loss.argmin()])


@mistake("05.12", says="Train eight at once and take the one with the smallest loss")
class section:
    """The first model, stuck or not."""

    LENGTHS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
    BIASES = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)

    def predict_shape(candidates, sparsity, seed):
        W = torch.stack(candidates)
        x = sparse_features(torch.tensor([sparsity]), W.shape[-1], 20_000, seed).expand(len(W), -1, -1)
        stored = W.norm(dim=1) > 0
        losses = [
            weighted_loss(
                x, reconstruct(length * W, torch.where(stored, bias, (1 - sparsity) / 2), x), torch.ones(W.shape[-1])
            )
            for length in LENGTHS
            for bias in BIASES
        ]
        return int(torch.stack(losses).min(0).values.argmin())

    def find_geometry(n_features, n_hidden, sparsity, seed):
        S, importance = torch.full((8,), sparsity), torch.ones(n_features)
        W, b = train(S, n_features, n_hidden, importance, 1000, 128, 0.01, seed)
        x = sparse_features(S, n_features, 10_000, seed + 1)
        loss = weighted_loss(x, reconstruct(W, b, x), importance)
        return find_shapes(W[0])


@mistake("05.12", says="SMALLEST loss")
class section:
    """The worst model."""

    LENGTHS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
    BIASES = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)

    def predict_shape(candidates, sparsity, seed):
        W = torch.stack(candidates)
        x = sparse_features(torch.tensor([sparsity]), W.shape[-1], 20_000, seed).expand(len(W), -1, -1)
        stored = W.norm(dim=1) > 0
        losses = [
            weighted_loss(
                x, reconstruct(length * W, torch.where(stored, bias, (1 - sparsity) / 2), x), torch.ones(W.shape[-1])
            )
            for length in LENGTHS
            for bias in BIASES
        ]
        return int(torch.stack(losses).min(0).values.argmin())

    def find_geometry(n_features, n_hidden, sparsity, seed):
        S, importance = torch.full((8,), sparsity), torch.ones(n_features)
        W, b = train(S, n_features, n_hidden, importance, 1000, 128, 0.01, seed)
        x = sparse_features(S, n_features, 10_000, seed + 1)
        loss = weighted_loss(x, reconstruct(W, b, x), importance)
        return find_shapes(W[loss.argmax()])


@right("05.12", how="with loops over candidates")
class section:
    LENGTHS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
    BIASES = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)

    def predict_shape(candidates, sparsity, seed):
        n = candidates[0].shape[1]
        x = sparse_features(torch.tensor([float(sparsity)]), n, 20_000, seed)
        best = []
        for W in candidates:
            losses = []
            for length in LENGTHS:
                for bias in BIASES:
                    b = torch.tensor([bias if float(c.norm()) > 0 else (1 - sparsity) / 2 for c in W.T])
                    out = reconstruct((length * W)[None], b[None], x)
                    losses.append(float(weighted_loss(x, out, torch.ones(n))))
            best.append(min(losses))
        return best.index(min(best))

    def find_geometry(n_features, n_hidden, sparsity, seed):
        S = torch.full((8,), sparsity)
        W, b = train(S, n_features, n_hidden, torch.ones(n_features), 1000, 128, 0.01, seed)
        x = sparse_features(S, n_features, 20_000, seed + 99)
        losses = ((x - reconstruct(W, b, x)) ** 2).mean((1, 2)).tolist()
        return find_shapes(W[losses.index(min(losses))])


@right("05.12", how="with more models, and tensors for tuples")
class section:
    LENGTHS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
    BIASES = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)

    def predict_shape(candidates, sparsity, seed):
        W = torch.stack(candidates)
        x = sparse_features(torch.tensor([sparsity]), W.shape[-1], 20_000, seed).expand(len(W), -1, -1)
        stored = W.norm(dim=1) > 0
        losses = [
            weighted_loss(
                x, reconstruct(length * W, torch.where(stored, bias, (1 - sparsity) / 2), x), torch.ones(W.shape[-1])
            )
            for length in LENGTHS
            for bias in BIASES
        ]
        return int(torch.stack(losses).min(0).values.argmin())

    def find_geometry(n_features, n_hidden, sparsity, seed):
        S, importance = torch.full((11,), sparsity), torch.ones(n_features)
        W, b = train(S, n_features, n_hidden, importance, 1000, 128, 0.01, seed)
        x = sparse_features(S, n_features, 10_000, seed + 1000)
        loss = weighted_loss(x, reconstruct(W, b, x), importance)
        return [list(shape) for shape in find_shapes(W[int(loss.min(0).indices)])]


@mistake("05.12", says="all of them")
class section:
    """Lengths fixed at 1: at S = 0.28 that misses the triangle."""

    LENGTHS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
    BIASES = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)

    def predict_shape(candidates, sparsity, seed):
        n = candidates[0].shape[1]
        x = sparse_features(torch.tensor([sparsity]), n, 20000, seed)
        best = []
        for W in candidates:
            stored = W.norm(dim=0) > 0.5
            losses = []
            for l in (1.0,):
                for c in BIASES:
                    b = torch.full((n,), (1 - sparsity) / 2)
                    b[stored] = c
                    losses.append(float(weighted_loss(x, reconstruct(l * W[None], b[None], x), torch.ones(n))[0]))
            best.append(min(losses))
        return best.index(min(best))

    def find_geometry(n_features, n_hidden, sparsity, seed):
        S = torch.full((8,), sparsity)
        one = torch.ones(n_features)
        W, b = train(S, n_features, n_hidden, one, 1000, 128, 0.01, seed)
        x = sparse_features(S, n_features, 5000, seed + 999)
        return find_shapes(W[int(weighted_loss(x, reconstruct(W, b, x), one).argmin())])


# --- slips that would otherwise be told by their numbers alone -------------------------------------------------------


@mistake("05.4", says="You take p for it")
class section:
    """The mean is p."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        variance = p / 3 - p**2
        dropped = importance.sort(descending=True).values[n_hidden:]
        return variance * dropped.sum()

    def count_stored(W):
        return (W.norm(dim=1) >= 0.5).sum(-1)


@mistake("05.4", says="You have p/2 there")
class section:
    """The mean of a number for the mean of its square."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        variance = p / 2 - (p / 2) ** 2
        dropped = importance.sort(descending=True).values[n_hidden:]
        return variance * dropped.sum()

    def count_stored(W):
        return (W.norm(dim=1) >= 0.5).sum(-1)


@mistake("05.4", says="You add them")
class section:
    """Plus for minus."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        variance = p / 3 + (p / 2) ** 2
        dropped = importance.sort(descending=True).values[n_hidden:]
        return variance * dropped.sum()

    def count_stored(W):
        return (W.norm(dim=1) >= 0.5).sum(-1)


@mistake("05.4", says="You square the importance too")
class section:
    """Importance inside the square."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        variance = p / 3 - (p / 2) ** 2
        dropped = importance.sort(descending=True).values[n_hidden:]
        return variance * (dropped**2).sum()

    def count_stored(W):
        return (W.norm(dim=1) >= 0.5).sum(-1)


@mistake("05.4", says="You count all features")
class section:
    """Nothing is kept."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        variance = p / 3 - (p / 2) ** 2
        dropped = importance.sort(descending=True).values
        return variance * dropped.sum()

    def count_stored(W):
        return (W.norm(dim=1) >= 0.5).sum(-1)


@mistake("05.4", says="This is the mean over the features that are dropped")
class section:
    """Mean for sum."""

    def linear_floor(sparsity, importance, n_hidden):
        p = 1 - sparsity
        variance = p / 3 - (p / 2) ** 2
        dropped = importance.sort(descending=True).values[n_hidden:]
        return variance * dropped.mean()

    def count_stored(W):
        return (W.norm(dim=1) >= 0.5).sum(-1)


@mistake("05.4", says="You use the sparsity of the first instance")
class section:
    """One sparsity for all."""

    def linear_floor(sparsity, importance, n_hidden):
        p = (1 - sparsity)[:1].expand_as(sparsity)
        variance = p / 3 - (p / 2) ** 2
        dropped = importance.sort(descending=True).values[n_hidden:]
        return variance * dropped.sum()

    def count_stored(W):
        return (W.norm(dim=1) >= 0.5).sum(-1)


@mistake("05.5", says="This is the mean over j")
class section:
    """Mean for sum."""

    def dimensionality(W):
        squared = (W**2).sum(1)
        overlaps = torch.einsum("khi,khj->kij", W, W) ** 2
        return squared**2 / overlaps.mean(-1).clamp(min=1e-12)


@mistake("05.5", says="Divide by what is heard")
class section:
    """Nothing below the line."""

    def dimensionality(W):
        squared = (W**2).sum(1)
        overlaps = torch.einsum("khi,khj->kij", W, W) ** 2
        return squared


@mistake("05.6", says="0.15 of the LARGEST one")
class section:
    """A fixed bound."""

    def find_shapes(W):
        W = W[:, W.norm(dim=0) >= 0.5]
        unit = W / W.norm(dim=0)
        touch = (unit.T @ unit).abs() > 0.15
        left, found = (set(range(W.shape[1])), [])
        while left:
            shape, new = (set(), {left.pop()})
            while new:
                shape |= new
                new = {j for i in new for j in left if touch[i, j]}
                left -= new
            spectrum = torch.linalg.svdvals(W[:, sorted(shape)])
            found.append((len(shape), int((spectrum > 0.15).sum())))
        return sorted(found, reverse=True)


@mistake("05.6", says="0 but for rounding")
class section:
    """No bound."""

    def find_shapes(W):
        W = W[:, W.norm(dim=0) >= 0.5]
        unit = W / W.norm(dim=0)
        touch = (unit.T @ unit).abs() > 0.15
        left, found = (set(range(W.shape[1])), [])
        while left:
            shape, new = (set(), {left.pop()})
            while new:
                shape |= new
                new = {j for i in new for j in left if touch[i, j]}
                left -= new
            spectrum = torch.linalg.svdvals(W[:, sorted(shape)])
            found.append((len(shape), int((spectrum > 1e-09).sum())))
        return sorted(found, reverse=True)


@mistake("05.6", says="and not its square")
class section:
    """Squared cosines."""

    def find_shapes(W):
        W = W[:, W.norm(dim=0) >= 0.5]
        unit = W / W.norm(dim=0)
        touch = (unit.T @ unit) ** 2 > 0.15
        left, found = (set(range(W.shape[1])), [])
        while left:
            shape, new = (set(), {left.pop()})
            while new:
                shape |= new
                new = {j for i in new for j in left if touch[i, j]}
                left -= new
            spectrum = torch.linalg.svdvals(W[:, sorted(shape)])
            found.append((len(shape), int((spectrum > 0.15 * spectrum[0]).sum())))
        return sorted(found, reverse=True)


@mistake("05.6", says="in another order")
class section:
    """Sorted by dimensions."""

    def find_shapes(W):
        W = W[:, W.norm(dim=0) >= 0.5]
        unit = W / W.norm(dim=0)
        touch = (unit.T @ unit).abs() > 0.15
        left, found = (set(range(W.shape[1])), [])
        while left:
            shape, new = (set(), {left.pop()})
            while new:
                shape |= new
                new = {j for i in new for j in left if touch[i, j]}
                left -= new
            spectrum = torch.linalg.svdvals(W[:, sorted(shape)])
            found.append((len(shape), int((spectrum > 0.15 * spectrum[0]).sum())))
        return sorted(found, key=lambda s: s[1])


@mistake("05.7", says="it is 1/6")
class section:
    """No 1/6."""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        variance = p / 3 - p**2 / 4
        return torch.stack([importance * variance, variance, p**2 * (1 + importance)])


@mistake("05.7", says="not 1 − r")
class section:
    """Minus for plus."""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        variance = p / 3 - p**2 / 4
        return torch.stack([importance * variance, variance, p**2 / 6 * (1 - importance)])


@mistake("05.7", says="The order is dropped, own axis, superposed")
class section:
    """Another order."""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        variance = p / 3 - p**2 / 4
        return torch.stack([importance * variance, p**2 / 6 * (1 + importance), variance])


@mistake("05.7", says="You take p for the mean")
class section:
    """The mean is p."""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        variance = p / 3 - p**2
        return torch.stack([importance * variance, variance, p**2 / 6 * (1 + importance)])


@mistake("05.7", says="You pay 1 in the first two models")
class section:
    """No importance."""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        variance = p / 3 - p**2 / 4
        return torch.stack([variance, variance, p**2 / 6 * (1 + importance)])


@mistake("05.7", says="it is not squared itself")
class section:
    """Importance inside the square."""

    def phase_losses(sparsity, importance):
        p = 1 - sparsity
        variance = p / 3 - p**2 / 4
        return torch.stack([importance**2 * variance, variance, p**2 / 6 * (1 + importance**2)])


@mistake("05.9", says="You use those of the first for all")
class section:
    """Instance 0 everywhere."""

    def absolute_values(W_in, W_out, b, x):
        W_in, W_out, b = (part[:1].expand_as(part) for part in (W_in, W_out, b))
        neurons = torch.einsum("knf,kbf->kbn", W_in, x).relu()
        return (torch.einsum("kfn,kbn->kbf", W_out, neurons) + b[:, None]).relu()

    def monosemanticity(W_in):
        size = W_in.abs()
        return size.max(-1).values / size.sum(-1).clamp(min=1e-12)


@mistake("05.9", says="You take it away")
class section:
    """Minus b."""

    def absolute_values(W_in, W_out, b, x):
        neurons = torch.einsum("knf,kbf->kbn", W_in, x).relu()
        return (torch.einsum("kfn,kbn->kbf", W_out, neurons) - b[:, None]).relu()

    def monosemanticity(W_in):
        size = W_in.abs()
        return size.max(-1).values / size.sum(-1).clamp(min=1e-12)


@mistake("05.9", says="Divide by the sum of the neuron's weights")
class section:
    """No sum."""

    def absolute_values(W_in, W_out, b, x):
        neurons = torch.einsum("knf,kbf->kbn", W_in, x).relu()
        return (torch.einsum("kfn,kbn->kbf", W_out, neurons) + b[:, None]).relu()

    def monosemanticity(W_in):
        size = W_in.abs()
        return size.max(-1).values


@mistake("05.9", says="take absolute values below the line too")
class section:
    """abs() above the line only."""

    def absolute_values(W_in, W_out, b, x):
        neurons = torch.einsum("knf,kbf->kbn", W_in, x).relu()
        return (torch.einsum("kfn,kbn->kbf", W_out, neurons) + b[:, None]).relu()

    def monosemanticity(W_in):
        size = W_in.abs()
        return size.max(-1).values / W_in.sum(-1)


@mistake("05.10", says="It is the NUDGE that gets the length")
class section:
    """The length of W_i."""

    def worst_nudge(W, i, size):
        direction = W.T @ W[:, i]
        return size * direction / W[:, i].norm()

    def sensitivity(W):
        return (W.T @ W).norm(dim=0)


@mistake("05.10", says="This is the root of the MEAN")
class section:
    """Mean for sum."""

    def worst_nudge(W, i, size):
        direction = W.T @ W[:, i]
        return size * direction / direction.norm()

    def sensitivity(W):
        return ((W.T @ W) ** 2).mean(0) ** 0.5


@mistake("05.10", says="This is what raising all features by 1 does")
class section:
    """The sum of a column."""

    def worst_nudge(W, i, size):
        direction = W.T @ W[:, i]
        return size * direction / direction.norm()

    def sensitivity(W):
        return (W.T @ W).sum(0)


@mistake("05.11", says="In yours no neuron answers to any concept")
class section:
    """Nothing is ever among the top."""

    def answers_to(values, holds, n_top):
        top = torch.zeros_like(values).scatter(0, values.topk(n_top, dim=0).indices, 0.0)
        hits = top.T @ holds.to(top.dtype)
        total = holds.sum(0)
        return (hits >= total / 2) & (total > 0)

    def is_polysemantic(answers, holds):
        shared = holds.double().T @ holds.double()
        a = answers.double()
        return (a @ (shared == 0).double().fill_diagonal_(0) * a).sum(-1) > 0


@mistake("05.11", says="You ask for all words of the concept")
class section:
    """All for half."""

    def answers_to(values, holds, n_top):
        top = torch.zeros_like(values).scatter(0, values.topk(n_top, dim=0).indices, 1.0)
        hits = top.T @ holds.to(top.dtype)
        total = holds.sum(0)
        return (hits >= total) & (total > 0)

    def is_polysemantic(answers, holds):
        shared = holds.double().T @ holds.double()
        a = answers.double()
        return (a @ (shared == 0).double().fill_diagonal_(0) * a).sum(-1) > 0


@mistake("05.11", says="In yours no neuron answers to two unrelated")
class section:
    """All concepts share a word."""

    def answers_to(values, holds, n_top):
        top = torch.zeros_like(values).scatter(0, values.topk(n_top, dim=0).indices, 1.0)
        hits = top.T @ holds.to(top.dtype)
        total = holds.sum(0)
        return (hits >= total / 2) & (total > 0)

    def is_polysemantic(answers, holds):
        shared = holds.double().T @ holds.double()
        a = answers.double()
        return (a @ (shared < 0).double().fill_diagonal_(0) * a).sum(-1) > 0


@mistake("05.11", says="BOTH of the two must be its own")
class section:
    """Any concept unrelated to one of the neuron's."""

    def answers_to(values, holds, n_top):
        top = torch.zeros_like(values).scatter(0, values.topk(n_top, dim=0).indices, 1.0)
        hits = top.T @ holds.to(top.dtype)
        total = holds.sum(0)
        return (hits >= total / 2) & (total > 0)

    def is_polysemantic(answers, holds):
        shared = holds.double().T @ holds.double()
        a = answers.double()
        return (a @ (shared == 0).double().fill_diagonal_(0)).sum(-1) > 0
