"""Wrong answers that learners and published code give to chapter 03, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 03.1 -------------------------------------------------------------------------------------------------------------


@mistake("03.1", says="The order is wrong")
def dataset(p):
    """a runs fastest."""
    a, b = torch.arange(p).repeat(p), torch.arange(p).repeat_interleave(p)
    return torch.stack([a, b, torch.full((p * p,), p)], dim=1), (a + b) % p


@mistake("03.1", says="has number p, not p − 1")
def dataset(p):
    """Takes the last number for "="."""
    a, b = torch.arange(p).repeat_interleave(p), torch.arange(p).repeat(p)
    return torch.stack([a, b, torch.full((p * p,), p - 1)], dim=1), (a + b) % p


@mistake("03.1", says="The sum is not reduced")
def dataset(p):
    """Forgets the remainder."""
    a, b = torch.arange(p).repeat_interleave(p), torch.arange(p).repeat(p)
    return torch.stack([a, b, torch.full((p * p,), p)], dim=1), a + b


@mistake("03.1", says="A pair and its mirror image are two inputs")
def dataset(p):
    """Keeps one of (a, b) and (b, a)."""
    pairs = [(a, b, p) for a in range(p) for b in range(a, p)]
    tokens = torch.tensor(pairs)
    return tokens, (tokens[:, 0] + tokens[:, 1]) % p


@mistake("03.1", says="The third token is")
def dataset(p):
    """Leaves out "="."""
    a, b = torch.arange(p).repeat_interleave(p), torch.arange(p).repeat(p)
    return torch.stack([a, b], dim=1), (a + b) % p


@mistake("03.1", says="A whole turn is always subtracted")
def dataset(p):
    """Subtracts p whether the sum is large or not."""
    a, b = torch.arange(p).repeat_interleave(p), torch.arange(p).repeat(p)
    return torch.stack([a, b, torch.full((p * p,), p)], dim=1), a + b - p


@mistake("03.1", says="the clock shows 0, not p")
def dataset(p):
    """Turns back only beyond p."""
    a, b = torch.arange(p).repeat_interleave(p), torch.arange(p).repeat(p)
    return torch.stack([a, b, torch.full((p * p,), p)], dim=1), torch.where(a + b > p, a + b - p, a + b)


@mistake("03.1", says="torch wants int64")
def dataset(p):
    """Saves memory."""
    a, b = torch.arange(p).repeat_interleave(p), torch.arange(p).repeat(p)
    return torch.stack([a, b, torch.full((p * p,), p)], dim=1).to(torch.int16), (a + b) % p


@mistake("03.1", says="`torch.stack` makes one tensor of several")
def dataset(p):
    """A list of rows."""
    pairs = [(a, b) for a in range(p) for b in range(p)]
    return [torch.tensor([a, b, p]) for a, b in pairs], torch.tensor([(a + b) % p for a, b in pairs])


@right("03.1", how="with two loops")
def dataset(p):
    rows = [(a, b, p) for a in range(p) for b in range(p)]
    return torch.tensor(rows), torch.tensor([(a + b) % p for a, b, _ in rows])


@right("03.1", how="with cartesian_prod")
def dataset(p):
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    return F.pad(pairs, (0, 1), value=p), pairs.sum(1) % p


# --- 03.2 -------------------------------------------------------------------------------------------------------------


@mistake("03.2", says="it was computed in float32")
def precise_loss(logits, answers):
    """The ordinary loss."""
    return F.cross_entropy(logits, answers)


@mistake("03.2", says="it was computed in float32")
def precise_loss(logits, answers):
    """Published code: rounds first, and widens afterwards."""
    return -logits.log_softmax(-1).double().gather(1, answers[:, None]).mean()


@mistake("03.2", says="the sum")
def precise_loss(logits, answers):
    """Adds up."""
    return F.cross_entropy(logits.double(), answers, reduction="sum")


@mistake("03.2", says="the log-softmax is missing")
def precise_loss(logits, answers):
    """nll_loss wants log probabilities."""
    return F.nll_loss(logits.double(), answers)


@mistake("03.2", says="exp(1000) is infinite")
def precise_loss(logits, answers):
    """Overflows."""
    x = logits.double()
    return -(x.exp() / x.exp().sum(1, keepdim=True)).log().gather(1, answers[:, None]).mean()


@mistake("03.2", says="No gradient comes back")
def precise_loss(logits, answers):
    """The right number, cut off from the logits."""
    return torch.tensor(F.cross_entropy(logits.double(), answers).item())


@mistake("03.2", says="No gradient comes back")
def precise_loss(logits, answers):
    """In numpy."""
    import numpy as np

    x = logits.detach().double().numpy()
    top = x.max(1, keepdims=True)
    log_sum = top[:, 0] + np.log(np.exp(x - top).sum(1))
    return torch.tensor(log_sum - x[np.arange(len(x)), answers.numpy()]).mean()


@mistake("03.2", says="The softmax runs over the batch")
def precise_loss(logits, answers):
    """The wrong axis."""
    return -logits.double().log_softmax(0).gather(1, answers[:, None]).mean()


@mistake("03.2", says="which is 0 even in float64")
def precise_loss(logits, answers):
    """A softmax that does not overflow, and the logarithm of its 0."""
    return -logits.double().softmax(-1).log().gather(1, answers[:, None]).mean()


@right("03.2", how="with log_softmax in float64")
def precise_loss(logits, answers):
    log_p = logits.to(torch.float64).log_softmax(dim=-1)
    return -log_p[torch.arange(len(answers)), answers].mean()


@right("03.2", how="with logsumexp")
def precise_loss(logits, answers):
    x = logits.double()
    return (x.logsumexp(1) - x.gather(1, answers[:, None])[:, 0]).mean()


# --- 03.3 -------------------------------------------------------------------------------------------------------------


@mistake("03.3", says="over all three positions")
def train(model, tokens, answers, steps, weight_decay):
    """Judges the logits after a and b as well."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=weight_decay)
    losses = []
    for _ in range(steps):
        loss = precise_loss(model(tokens).flatten(0, 1), answers.repeat_interleave(3))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, losses


@mistake("03.3", says="Gradients pile up")
def train(model, tokens, answers, steps, weight_decay):
    """No zero_grad."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=weight_decay)
    losses = []
    for _ in range(steps):
        loss = precise_loss(model(tokens)[:, -1], answers)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    return model, losses


@mistake("03.3", says="This is Adam")
def train(model, tokens, answers, steps, weight_decay):
    """Adam's weight_decay is another thing than AdamW's."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=weight_decay)
    losses = []
    for _ in range(steps):
        loss = precise_loss(model(tokens)[:, -1], answers)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, losses


@mistake("03.3", says="The betas of the optimizer")
def train(model, tokens, answers, steps, weight_decay):
    """The optimizer's defaults."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=weight_decay)
    losses = []
    for _ in range(steps):
        loss = precise_loss(model(tokens)[:, -1], answers)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, losses


@mistake("03.3", says="the loss BEFORE step i")
def train(model, tokens, answers, steps, weight_decay):
    """Measures after the step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=weight_decay)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        precise_loss(model(tokens)[:, -1], answers).backward()
        optimizer.step()
        losses.append(precise_loss(model(tokens)[:, -1], answers).item())
    return model, losses


@mistake("03.3", says="still those from before training")
def train(model, tokens, answers, steps, weight_decay):
    """Trains a copy and returns the original."""
    import copy

    trained = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=weight_decay)
    losses = []
    for _ in range(steps):
        loss = precise_loss(trained(tokens)[:, -1], answers)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, losses


@mistake("03.3", says="computed in float32")
def train(model, tokens, answers, steps, weight_decay):
    """The ordinary loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=weight_decay)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(model(tokens)[:, -1], answers)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, losses


@mistake("03.3", says="The weight decay is missing")
def train(model, tokens, answers, steps, weight_decay):
    """Forgets to hand the decay on."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98))
    losses = []
    for _ in range(steps):
        loss = precise_loss(model(tokens)[:, -1], answers)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, losses


@mistake("03.3", says="a warm-up")
def train(model, tokens, answers, steps, weight_decay):
    """The schedule of the paper's code."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / 10, 1))
    losses = []
    for _ in range(steps):
        loss = precise_loss(model(tokens)[:, -1], answers)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model, losses


@right("03.3", how="with set_to_none=False and the last position picked by number")
def train(model, tokens, answers, steps, weight_decay):
    losses = []
    optimizer = torch.optim.AdamW(list(model.parameters()), lr=0.001, weight_decay=weight_decay, betas=(0.9, 0.98))
    while len(losses) < steps:
        optimizer.zero_grad(set_to_none=False)
        loss = precise_loss(model(tokens)[:, 2, :], answers)
        loss.backward()
        losses.append(float(loss))
        optimizer.step()
    return model, losses


@right("03.3", how="with the update written out")
def train(model, tokens, answers, steps, weight_decay):
    weights = list(model.parameters())
    first = [torch.zeros_like(w) for w in weights]
    second = [torch.zeros_like(w) for w in weights]
    losses = []
    for t in range(1, steps + 1):
        loss = precise_loss(model(tokens)[:, -1], answers)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for w, g, m, v in zip(weights, gradients, first, second):
                w.mul_(1 - 1e-3 * weight_decay)
                m.mul_(0.9).add_(g, alpha=0.1)
                v.mul_(0.98).add_(g * g, alpha=0.02)
                w.sub_(1e-3 * (m / (1 - 0.9**t)) / ((v / (1 - 0.98**t)).sqrt() + 1e-8))
    return model, losses


# --- 03.4 -------------------------------------------------------------------------------------------------------------


@mistake("03.4", says="Two rows are missing")
def fourier_basis(p):
    """Published code: range(1, p // 2) drops the last frequency."""
    a = torch.arange(p, dtype=torch.float64)
    rows = [torch.ones(p, dtype=torch.float64)]
    for k in range(1, p // 2):
        rows += [torch.cos(2 * math.pi * k * a / p), torch.sin(2 * math.pi * k * a / p)]
    basis = torch.stack(rows)
    return basis / basis.norm(dim=1, keepdim=True)


@mistake("03.4", says="not scaled to length 1")
def fourier_basis(p):
    """Forgets to scale."""
    a = torch.arange(p, dtype=torch.float64)
    rows = [torch.ones(p, dtype=torch.float64)]
    for k in range(1, (p + 1) // 2):
        rows += [torch.cos(2 * math.pi * k * a / p), torch.sin(2 * math.pi * k * a / p)]
    return torch.stack(rows)


@mistake("03.4", says="The constant row should be 1/√p")
def fourier_basis(p):
    """Gives the constant the waves' factor."""
    a = torch.arange(p, dtype=torch.float64)
    rows = [torch.ones(p, dtype=torch.float64)]
    for k in range(1, (p + 1) // 2):
        rows += [torch.cos(2 * math.pi * k * a / p), torch.sin(2 * math.pi * k * a / p)]
    return torch.stack(rows) * math.sqrt(2 / p)


@mistake("03.4", says="Cosine and sine of one frequency follow each other")
def fourier_basis(p):
    """All cosines first."""
    a = torch.arange(p, dtype=torch.float64)
    ks = torch.arange(1, (p + 1) // 2, dtype=torch.float64)[:, None]
    angle = 2 * math.pi * ks * a / p
    basis = torch.cat([torch.ones(1, p, dtype=torch.float64), angle.cos(), angle.sin()])
    return basis / basis.norm(dim=1, keepdim=True)


@mistake("03.4", says="the precision of float32")
def fourier_basis(p):
    """Numbers in float32."""
    a = torch.arange(p)
    rows = [torch.ones(p)]
    for k in range(1, (p + 1) // 2):
        rows += [torch.cos(2 * math.pi * k * a / p), torch.sin(2 * math.pi * k * a / p)]
    basis = torch.stack(rows)
    return basis / basis.norm(dim=1, keepdim=True)


@right("03.4", how="with known lengths instead of norms")
def fourier_basis(p):
    a = torch.arange(p).double()
    k = torch.arange(1, (p - 1) // 2 + 1).double()
    angle = 2 * torch.pi * torch.outer(k, a) / p
    waves = torch.stack([angle.cos(), angle.sin()], dim=1).reshape(-1, p) * (2 / p) ** 0.5
    return torch.cat([torch.full((1, p), p**-0.5, dtype=torch.float64), waves])


@right("03.4", how="with numpy")
def fourier_basis(p):
    import numpy as np

    k, a = np.arange((p + 1) // 2)[:, None], np.arange(p)
    z = np.exp(2j * np.pi * k * a / p)
    rows = np.empty((p, p))
    rows[0], rows[1::2], rows[2::2] = 1, z.real[1:], z.imag[1:]
    return torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True))


# --- 03.5 -------------------------------------------------------------------------------------------------------------


@mistake("03.5", says="Energy is the sum of SQUARES")
def spectrum(W_E):
    """Norms instead of squares."""
    size = (fourier_basis(len(W_E)) @ W_E.double()).norm(dim=1)
    size = size[1::2] + size[2::2]
    return size / size.sum()


@mistake("03.5", says="leave it out before you divide")
def spectrum(W_E):
    """Divides by everything."""
    energy = (fourier_basis(len(W_E)) @ W_E.double()).pow(2).sum(1)
    return (energy[1::2] + energy[2::2]) / energy.sum()


@mistake("03.5", says="The sines are missing")
def spectrum(W_E):
    """Cosines only."""
    energy = (fourier_basis(len(W_E)) @ W_E.double()).pow(2).sum(1)[1::2]
    return energy / energy.sum()


@mistake("03.5", says="Add the energy of the cosine and of the sine")
def spectrum(W_E):
    """One entry per component."""
    energy = (fourier_basis(len(W_E)) @ W_E.double()).pow(2).sum(1)[1:]
    return energy / energy.sum()


@mistake("03.5", says="Divide by the sum")
def spectrum(W_E):
    """Energies, not shares."""
    energy = (fourier_basis(len(W_E)) @ W_E.double()).pow(2).sum(1)
    return energy[1::2] + energy[2::2]


@mistake("03.5", says="no square root comes after it")
def spectrum(W_E):
    """Takes the root of each frequency's energy."""
    energy = (fourier_basis(len(W_E)) @ W_E.double()).pow(2).sum(1)
    size = (energy[1::2] + energy[2::2]).sqrt()
    return size / size.sum()


@mistake("03.5", says="leave the shares as they are")
def spectrum(W_E):
    """A root in the end."""
    energy = (fourier_basis(len(W_E)) @ W_E.double()).pow(2).sum(1)
    energy = energy[1::2] + energy[2::2]
    return (energy / energy.sum()).sqrt()


@mistake("03.5", says="Squared once too often")
def spectrum(W_E):
    """Squares what is squared."""
    energy = (fourier_basis(len(W_E)) @ W_E.double()).pow(2).sum(1)
    energy = (energy[1::2] + energy[2::2]).pow(2)
    return energy / energy.sum()


@mistake("03.5", says="these are sums of absolute values")
def spectrum(W_E):
    """abs for the square."""
    size = (fourier_basis(len(W_E)) @ W_E.double()).abs().sum(1)
    size = size[1::2] + size[2::2]
    return size / size.sum()


@right("03.5", how="with torch.fft")
def spectrum(W_E):
    energy = torch.fft.rfft(W_E.double(), dim=0).abs().pow(2).sum(1)[1:]
    return energy / energy.sum()


@right("03.5", how="with a loop over frequencies, in float32")
def spectrum(W_E):
    basis = fourier_basis(len(W_E)).float()
    shares = []
    for k in range(1, (len(W_E) + 1) // 2):
        shares.append(sum(float(((basis[i] @ W_E) ** 2).sum()) for i in (2 * k - 1, 2 * k)))
    return torch.tensor(shares) / sum(shares)


# --- 03.6 -------------------------------------------------------------------------------------------------------------


@mistake("03.6", says="Only a is transformed")
def fourier_2d(x):
    """Stops half-way."""
    return torch.einsum("ia,abn->ibn", fourier_basis(x.shape[0]), x.double())


@mistake("03.6", says="a is transformed twice")
def fourier_2d(x):
    """Meets the same axis again."""
    basis = fourier_basis(x.shape[0])
    return torch.einsum("ja,abn->jbn", basis, torch.einsum("ia,abn->ibn", basis, x.double()))


@mistake("03.6", says="The two axes are exchanged")
def fourier_2d(x):
    """component_b first."""
    basis = fourier_basis(x.shape[0])
    return torch.einsum("ia,jb,abn->jin", basis, basis, x.double())


@mistake("03.6", says="The transform goes the wrong way")
def fourier_2d(x):
    """Takes the columns of the basis for waves."""
    basis = fourier_basis(x.shape[0])
    return torch.einsum("ai,bj,abn->ijn", basis, basis, x.double())


@mistake("03.6", says="All neurons are added up")
def fourier_2d(x):
    """Loses an axis."""
    basis = fourier_basis(x.shape[0])
    return torch.einsum("ia,jb,abn->ij", basis, basis, x.double())


@mistake("03.6", says="The basis is transposed in a")
def fourier_2d(x):
    """basis[a, i] in one of the two."""
    basis = fourier_basis(x.shape[0])
    return torch.einsum("ai,jb,abn->ijn", basis, basis, x.double())


@mistake("03.6", says="The basis is transposed in b")
def fourier_2d(x):
    """A matrix product from the right, without the transpose."""
    basis = fourier_basis(x.shape[0])
    return torch.stack([basis @ x[:, :, n].double() @ basis for n in range(x.shape[2])], dim=2)


@right("03.6", how="all in float32")
def fourier_2d(x):
    basis = fourier_basis(x.shape[0]).float()
    return torch.einsum("ia,jb,abn->ijn", basis, basis, x)


@right("03.6", how="with one einsum")
def fourier_2d(x):
    basis = fourier_basis(x.shape[0]).to(x.dtype)
    return torch.einsum("ia,jb,abn->ijn", basis, basis, x)


@right("03.6", how="with a Kronecker product")
def fourier_2d(x):
    p, _, n = x.shape
    basis = fourier_basis(p)
    return (torch.kron(basis, basis) @ x.double().reshape(p * p, n)).reshape(p, p, n)


# --- 03.7 -------------------------------------------------------------------------------------------------------------


@mistake("03.7", says="The mean counts as explained here")
def neuron_frequencies(activations):
    """Uncentred: a neuron that is mostly mean seems well explained."""
    energy = fourier_2d(activations).pow(2)
    shares = []
    for k in range(1, (activations.shape[0] + 1) // 2):
        rows = torch.tensor([0, 2 * k - 1, 2 * k])
        shares.append(energy[rows][:, rows].sum((0, 1)))
    best, index = torch.stack(shares).max(0)
    return index + 1, best / energy.sum((0, 1))


@mistake("03.7", says="The mean is still in the total")
def neuron_frequencies(activations):
    """Centred above the line only."""
    energy = fourier_2d(activations).pow(2)
    total = energy.sum((0, 1)).clone()
    energy[0, 0] = 0
    shares = []
    for k in range(1, (activations.shape[0] + 1) // 2):
        rows = torch.tensor([0, 2 * k - 1, 2 * k])
        shares.append(energy[rows][:, rows].sum((0, 1)))
    best, index = torch.stack(shares).max(0)
    return index + 1, best / total


@mistake("03.7", says="Frequencies count from 1")
def neuron_frequencies(activations):
    """Returns the index."""
    energy = fourier_2d(activations).pow(2)
    energy[0, 0] = 0
    shares = []
    for k in range(1, (activations.shape[0] + 1) // 2):
        rows = torch.tensor([0, 2 * k - 1, 2 * k])
        shares.append(energy[rows][:, rows].sum((0, 1)))
    best, index = torch.stack(shares).max(0)
    return index, best / energy.sum((0, 1))


@mistake("03.7", says="The parts that depend on a alone")
def neuron_frequencies(activations):
    """Products only."""
    energy = fourier_2d(activations).pow(2)
    energy[0, 0] = 0
    shares = [
        energy[2 * k - 1 : 2 * k + 1, 2 * k - 1 : 2 * k + 1].sum((0, 1)) for k in range(1, (len(energy) + 1) // 2)
    ]
    best, index = torch.stack(shares).max(0)
    return index + 1, best / energy.sum((0, 1))


@mistake("03.7", says="The products of a wave in a and a wave in b are missing")
def neuron_frequencies(activations):
    """Looks at a alone and b alone."""
    energy = fourier_2d(activations).pow(2)
    energy[0, 0] = 0
    shares = []
    for k in range(1, (len(energy) + 1) // 2):
        rows = slice(2 * k - 1, 2 * k + 1)
        shares.append(energy[rows, 0].sum(0) + energy[0, rows].sum(0))
    best, index = torch.stack(shares).max(0)
    return index + 1, best / energy.sum((0, 1))


@mistake("03.7", says="The last frequency, (p − 1)/2, is never tried")
def neuron_frequencies(activations):
    """range(1, p // 2) again."""
    energy = fourier_2d(activations).pow(2)
    energy[0, 0] = 0
    shares = []
    for k in range(1, len(energy) // 2):
        rows = torch.tensor([0, 2 * k - 1, 2 * k])
        shares.append(energy[rows][:, rows].sum((0, 1)))
    best, index = torch.stack(shares).max(0)
    return index + 1, best / energy.sum((0, 1))


@mistake("03.7", says="Each neuron has its own total")
def neuron_frequencies(activations):
    """Sums over everything."""
    energy = fourier_2d(activations).pow(2)
    energy[0, 0] = 0
    shares = []
    for k in range(1, (len(energy) + 1) // 2):
        rows = torch.tensor([0, 2 * k - 1, 2 * k])
        shares.append(energy[rows][:, rows].sum((0, 1)))
    best, index = torch.stack(shares).max(0)
    return index + 1, best / energy.sum()


@mistake("03.7", says="You take away the mean over a for each b")
def neuron_frequencies(activations):
    """Centres along one axis."""
    energy = fourier_2d(activations - activations.mean(0)).pow(2)
    energy[0, 0] = 0
    shares = []
    for k in range(1, (len(energy) + 1) // 2):
        rows = torch.tensor([0, 2 * k - 1, 2 * k])
        shares.append(energy[rows][:, rows].sum((0, 1)))
    best, index = torch.stack(shares).max(0)
    return index + 1, best / energy.sum((0, 1))


@mistake("03.7", says="You take away the mean over b for each a")
def neuron_frequencies(activations):
    """Centres along the other axis."""
    energy = fourier_2d(activations - activations.mean(1, keepdim=True)).pow(2)
    energy[0, 0] = 0
    shares = []
    for k in range(1, (len(energy) + 1) // 2):
        rows = torch.tensor([0, 2 * k - 1, 2 * k])
        shares.append(energy[rows][:, rows].sum((0, 1)))
    best, index = torch.stack(shares).max(0)
    return index + 1, best / energy.sum((0, 1))


@mistake("03.7", says="You take away the mean over a and the mean over b")
def neuron_frequencies(activations):
    """Centres along both, one after the other."""
    centred = activations - activations.mean(0)
    energy = fourier_2d(centred - centred.mean(1, keepdim=True)).pow(2)
    energy[0, 0] = 0
    shares = []
    for k in range(1, (len(energy) + 1) // 2):
        rows = torch.tensor([0, 2 * k - 1, 2 * k])
        shares.append(energy[rows][:, rows].sum((0, 1)))
    best, index = torch.stack(shares).max(0)
    return index + 1, best / energy.sum((0, 1))


@mistake("03.7", says="You take away one mean for all neurons")
def neuron_frequencies(activations):
    """mean() over everything."""
    energy = fourier_2d(activations - activations.mean()).pow(2)
    shares = []
    for k in range(1, (len(energy) + 1) // 2):
        rows = torch.tensor([0, 2 * k - 1, 2 * k])
        shares.append(energy[rows][:, rows].sum((0, 1)))
    best, index = torch.stack(shares).max(0)
    return index + 1, best / energy.sum((0, 1))


@right("03.7", how="with numpy's complex FFT")
def neuron_frequencies(activations):
    import numpy as np

    energy = np.abs(np.fft.fft2(activations.double().numpy(), axes=(0, 1))) ** 2
    energy[0, 0] = 0
    p = len(energy)
    shares = []
    for k in range(1, (p + 1) // 2):
        rows = [0, k, p - k]
        shares.append(energy[np.ix_(rows, rows)].sum((0, 1)))
    shares = np.array(shares) / energy.sum((0, 1))
    return torch.tensor(shares.argmax(0) + 1), torch.tensor(shares.max(0))


@right("03.7", how="from centred activations")
def neuron_frequencies(activations):
    centred = activations.double() - activations.double().mean((0, 1))
    energy = fourier_2d(centred).pow(2)
    shares = torch.zeros((len(energy) - 1) // 2, energy.shape[2])
    for k in range(1, len(shares) + 1):
        pair = energy[:, [0, 2 * k - 1, 2 * k]].sum(1)
        shares[k - 1] = pair[0] + pair[2 * k - 1] + pair[2 * k]
    best, index = shares.max(0)
    return index + 1, best / centred.pow(2).sum((0, 1)).float()


# --- 03.8 -------------------------------------------------------------------------------------------------------------


@mistake("03.8", says="Every neuron has a best frequency")
def key_frequencies(activations):
    """Does not ask how much is explained."""
    variance = activations.double().var((0, 1))
    live = activations[:, :, variance >= variance.max() / 1000]
    frequency, _ = neuron_frequencies(live)
    counts = torch.bincount(frequency)
    return [k for k in range(len(counts)) if counts[k] > 0 and counts[k] >= 0.02 * live.shape[2]]


@mistake("03.8", says="one neuron alone is no crowd")
def key_frequencies(activations):
    """Any neuron will do."""
    variance = activations.double().var((0, 1))
    live = activations[:, :, variance >= variance.max() / 1000]
    frequency, explained = neuron_frequencies(live)
    return sorted(set(frequency[explained >= 0.5].tolist()))


@mistake("03.8", says="2 % of the LIVE neurons")
def key_frequencies(activations):
    """Counts dead neurons below the line."""
    variance = activations.double().var((0, 1))
    live = activations[:, :, variance >= variance.max() / 1000]
    frequency, explained = neuron_frequencies(live)
    counts = torch.bincount(frequency[explained >= 0.5])
    return [k for k in range(len(counts)) if counts[k] > 0 and counts[k] >= 0.02 * activations.shape[2]]


@mistake("03.8", says="hardly vary")
def key_frequencies(activations):
    """Leaves out only the neurons that never vary at all."""
    live = activations[:, :, activations.double().var((0, 1)) > 0]
    frequency, explained = neuron_frequencies(live)
    counts = torch.bincount(frequency[explained >= 0.5])
    return [k for k in range(len(counts)) if counts[k] > 0 and counts[k] >= 0.02 * live.shape[2]]


@mistake("03.8", says="at least HALF of it")
def key_frequencies(activations):
    """The paper's 85 % for "well described"."""
    variance = activations.double().var((0, 1))
    live = activations[:, :, variance >= variance.max() / 1000]
    frequency, explained = neuron_frequencies(live)
    counts = torch.bincount(frequency[explained >= 0.85])
    return [k for k in range(len(counts)) if counts[k] > 0 and counts[k] >= 0.02 * live.shape[2]]


@mistake("03.8", says="you compare standard deviations")
def key_frequencies(activations):
    """Live by the standard deviation."""
    spread = activations.double().std(dim=(0, 1))
    live = activations[:, :, spread >= spread.max() / 1000]
    frequency, explained = neuron_frequencies(live)
    counts = torch.bincount(frequency[explained >= 0.5])
    return [k for k in range(len(counts)) if counts[k] > 0 and counts[k] >= 0.02 * live.shape[2]]


@mistake("03.8", says="should be a whole number")
def key_frequencies(activations):
    """nonzero gives a column."""
    variance = activations.double().var(dim=(0, 1))
    live = activations[:, :, variance >= variance.max() / 1000]
    frequency, explained = neuron_frequencies(live)
    counts = torch.bincount(frequency[explained >= 0.5])
    return (counts >= 0.02 * live.shape[2]).nonzero().tolist()


@mistake("03.8", says="not the number 0.001")
def key_frequencies(activations):
    """An absolute bound."""
    live = activations[:, :, activations.double().var(dim=(0, 1)) >= 1e-3]
    if live.shape[2] == 0:
        return []
    frequency, explained = neuron_frequencies(live)
    counts = torch.bincount(frequency[explained >= 0.5])
    return [k for k in range(len(counts)) if counts[k] > 0 and counts[k] >= 0.02 * live.shape[2]]


@right("03.8", how="with a dictionary of counts")
def key_frequencies(activations):
    variance = activations.double().pow(2).mean((0, 1)) - activations.double().mean((0, 1)) ** 2
    keep = (variance >= 1e-3 * variance.max()).nonzero()[:, 0]
    frequency, explained = neuron_frequencies(activations[:, :, keep])
    counts = {}
    for k, share in zip(frequency.tolist(), explained.tolist()):
        if share >= 0.5:
            counts[k] = counts.get(k, 0) + 1
    return sorted(k for k, n in counts.items() if n / len(keep) >= 0.02)


@right("03.8", how="with unique, as a tensor")
def key_frequencies(activations):
    spread = activations.double().flatten(0, 1).std(0)
    live = activations[..., spread**2 * 1000 >= spread.max() ** 2]
    frequency, explained = neuron_frequencies(live)
    ks, n = frequency[explained >= 0.5].unique(return_counts=True)
    return ks[n >= 0.02 * live.shape[-1]]


# --- 03.9 -------------------------------------------------------------------------------------------------------------


@mistake("03.9", says="Each row should have length 1")
def sum_waves(p, k):
    """Not scaled."""
    a = torch.arange(p).double()
    angle = 2 * math.pi * k / p * (a[:, None] + a).flatten()
    return torch.stack([angle.cos(), angle.sin()])


@mistake("03.9", says="the waves of a − b")
def sum_waves(p, k):
    """The wrong sign."""
    a = torch.arange(p).double()
    angle = 2 * math.pi * k / p * (a[:, None] - a).flatten()
    waves = torch.stack([angle.cos(), angle.sin()])
    return waves / waves.norm(dim=1, keepdim=True)


@mistake("03.9", says="is not cos(wa) · cos(wb)")
def sum_waves(p, k):
    """Products for sums."""
    basis = fourier_basis(p)
    rows = [torch.outer(basis[i], basis[i]).flatten() for i in (2 * k - 1, 2 * k)]
    return torch.stack(rows)


@mistake("03.9", says="The cosine comes first")
def sum_waves(p, k):
    """Exchanged."""
    a = torch.arange(p).double()
    angle = 2 * math.pi * k / p * (a[:, None] + a).flatten()
    waves = torch.stack([angle.sin(), angle.cos()])
    return waves / waves.norm(dim=1, keepdim=True)


@mistake("03.9", says="Divide each row by its own length")
def sum_waves(p, k):
    """One norm for both."""
    a = torch.arange(p).double()
    angle = 2 * math.pi * k / p * (a[:, None] + a).flatten()
    waves = torch.stack([angle.cos(), angle.sin()])
    return waves / waves.norm()


@mistake("03.9", says="The waves should be float64")
def sum_waves(p, k):
    """Narrowed at the end."""
    a = torch.arange(p).double()
    angle = 2 * math.pi * k / p * (a[:, None] + a).flatten()
    waves = torch.stack([angle.cos(), angle.sin()])
    return (waves / waves.norm(dim=1, keepdim=True)).float()


@mistake("03.9", says="the precision of float32")
def sum_waves(p, k):
    """Whole numbers times a Python number are float32."""
    a = torch.arange(p)
    angle = 2 * math.pi * k / p * (a[:, None] + a).flatten()
    waves = torch.stack([angle.cos(), angle.sin()]).double()
    return waves / waves.norm(dim=1, keepdim=True)


@right("03.9", how="from the basis, with the addition theorem")
def sum_waves(p, k):
    basis = fourier_basis(p)
    cos, sin = basis[2 * k - 1], basis[2 * k]
    u = torch.outer(cos, cos) - torch.outer(sin, sin)
    v = torch.outer(sin, cos) + torch.outer(cos, sin)
    return torch.stack([u.flatten(), v.flatten()]) / 2**0.5


@right("03.9", how="by looking up the wave at a + b")
def sum_waves(p, k):
    tokens, answers = dataset(p)
    basis = fourier_basis(p)[2 * k - 1 : 2 * k + 1]
    return basis[:, answers] / math.sqrt(p)


# --- 03.10 ------------------------------------------------------------------------------------------------------------


@mistake("03.10", says="an outer-product mask")
def restricted_loss(logits, answers, frequencies):
    """Published code: a mask over components, crossed with itself."""
    p = logits.shape[1]
    mask = torch.zeros(p)
    mask[0] = 1
    for k in frequencies:
        mask[2 * k - 1 : 2 * k + 1] = 1
    basis = fourier_basis(p)
    transformed = fourier_2d(logits.double().reshape(p, p, p)) * torch.outer(mask, mask)[:, :, None]
    kept = torch.einsum("ia,jb,ijc->abc", basis, basis, transformed).reshape(p * p, p)
    return precise_loss(kept, answers).item()


@mistake("03.10", says="the whole block of each frequency")
def restricted_loss(logits, answers, frequencies):
    """A mask per frequency: diagonal blocks, but still with a − b."""
    p = logits.shape[1]
    mask = torch.zeros(p, p)
    for k in frequencies:
        rows = torch.tensor([0, 2 * k - 1, 2 * k])
        mask[rows[:, None], rows] = 1
    basis = fourier_basis(p)
    transformed = fourier_2d(logits.double().reshape(p, p, p)) * mask[:, :, None]
    kept = torch.einsum("ia,jb,ijc->abc", basis, basis, transformed).reshape(p * p, p)
    return precise_loss(kept, answers).item()


@mistake("03.10", says="The mean over all pairs is missing")
def restricted_loss(logits, answers, frequencies):
    """Waves only."""
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])
    return precise_loss(waves.T @ (waves @ logits.double()), answers).item()


@mistake("03.10", says="Only the cosines are kept")
def restricted_loss(logits, answers, frequencies):
    """Half of each frequency."""
    logits = logits.double()
    waves = torch.stack([sum_waves(logits.shape[1], k)[0] for k in frequencies])
    return precise_loss(logits.mean(0) + waves.T @ (waves @ logits), answers).item()


@mistake("03.10", says="This is the opposite")
def restricted_loss(logits, answers, frequencies):
    """Takes away what should stay."""
    logits = logits.double()
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])
    return precise_loss(logits - waves.T @ (waves @ logits), answers).item()


@mistake("03.10", says="rounded in float32")
def restricted_loss(logits, answers, frequencies):
    """Narrows before the loss."""
    logits = logits.double()
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])
    return F.cross_entropy((logits.mean(0) + waves.T @ (waves @ logits)).float(), answers).item()


@mistake("03.10", says="or it is over the answers")
def restricted_loss(logits, answers, frequencies):
    """The other axis, which softmax cannot even see."""
    logits = logits.double()
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])
    return precise_loss(logits.mean(dim=1, keepdim=True) + waves.T @ (waves @ logits), answers).item()


@mistake("03.10", says="Only the last of the frequencies is kept")
def restricted_loss(logits, answers, frequencies):
    """Overwrites in a loop."""
    logits = logits.double()
    for k in frequencies:
        waves = sum_waves(logits.shape[1], k)
        kept = waves.T @ (waves @ logits)
    return precise_loss(logits.mean(dim=0) + kept, answers).item()


@right("03.10", how="by least squares")
def restricted_loss(logits, answers, frequencies):
    p = logits.shape[1]
    columns = [torch.ones(p * p, dtype=torch.float64)]
    for k in frequencies:
        columns += list(sum_waves(p, k))
    design = torch.stack(columns, dim=1)
    fit = torch.linalg.lstsq(design, logits.double()).solution
    return precise_loss(design @ fit, answers).item()


@right("03.10", how="wave by wave, returning a tensor")
def restricted_loss(logits, answers, frequencies):
    x = logits.double()
    kept = x.mean(0, keepdim=True).repeat(len(x), 1)
    for k in frequencies:
        for u in sum_waves(logits.shape[1], k):
            kept = kept + torch.outer(u, u @ x)
    return precise_loss(kept, answers)


# --- 03.11 ------------------------------------------------------------------------------------------------------------


@mistake("03.11", says="This is the loss over all pairs")
def excluded_loss(logits, answers, frequencies, in_training):
    """Forgets the training set."""
    logits = logits.double()
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])
    return precise_loss(logits - waves.T @ (waves @ logits), answers).item()


@mistake("03.11", says="This is the loss on the test pairs")
def excluded_loss(logits, answers, frequencies, in_training):
    """The other pairs."""
    logits = logits.double()
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])
    rest = logits - waves.T @ (waves @ logits)
    return precise_loss(rest[~in_training], answers[~in_training]).item()


@mistake("03.11", says="The mean was taken away too")
def excluded_loss(logits, answers, frequencies, in_training):
    """Subtracts all that the restricted loss keeps."""
    logits = logits.double()
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])
    rest = logits - logits.mean(0) - waves.T @ (waves @ logits)
    return precise_loss(rest[in_training], answers[in_training]).item()


@mistake("03.11", says="Project over ALL pairs first")
def excluded_loss(logits, answers, frequencies, in_training):
    """Fits the waves to the training pairs."""
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])[:, in_training]
    x = logits.double()[in_training]
    rest = x - waves.T @ torch.linalg.lstsq(waves.T, x).solution
    return precise_loss(rest, answers[in_training]).item()


@mistake("03.11", says="the whole block of each frequency")
def excluded_loss(logits, answers, frequencies, in_training):
    """A mask per frequency takes waves of a − b away too."""
    p = logits.shape[1]
    mask = torch.zeros(p, p)
    for k in frequencies:
        rows = torch.tensor([0, 2 * k - 1, 2 * k])
        mask[rows[:, None], rows] = 1
    basis = fourier_basis(p)
    transformed = fourier_2d(logits.double().reshape(p, p, p)) * (1 - mask)[:, :, None]
    rest = torch.einsum("ia,jb,ijc->abc", basis, basis, transformed).reshape(p * p, p)
    return precise_loss(rest[in_training], answers[in_training]).item()


@mistake("03.11", says="Project over ALL pairs first")
def excluded_loss(logits, answers, frequencies, in_training):
    """Cuts the waves down to the training pairs and uses them as they are."""
    x = logits.double()[in_training]
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])[:, in_training]
    return precise_loss(x - waves.T @ (waves @ x), answers[in_training]).item()


@mistake("03.11", says="Project over ALL pairs first")
def excluded_loss(logits, answers, frequencies, in_training):
    """And scales them to length 1 again."""
    x = logits.double()[in_training]
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])[:, in_training]
    waves = waves / waves.norm(dim=1, keepdim=True)
    return precise_loss(x - waves.T @ (waves @ x), answers[in_training]).item()


@mistake("03.11", says="from the training pairs alone, and measure the loss on all pairs")
def excluded_loss(logits, answers, frequencies, in_training):
    """Fits on the training pairs, and judges all."""
    x = logits.double()
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])
    return precise_loss(x - waves.T @ (waves[:, in_training] @ x[in_training]), answers).item()


@mistake("03.11", says="The loss was rounded in float32")
def excluded_loss(logits, answers, frequencies, in_training):
    """The ordinary loss, of float32 logits."""
    logits = logits.double()
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])
    rest = (logits - waves.T @ (waves @ logits)).float()
    return F.cross_entropy(rest[in_training], answers[in_training]).item()


@mistake("03.11", says="in place")
def excluded_loss(logits, answers, frequencies, in_training):
    """Subtracts from what it was given."""
    for k in frequencies:
        for u in sum_waves(logits.shape[1], k):
            logits -= (u[:, None] * (u @ logits.double())).float()
    return precise_loss(logits[in_training], answers[in_training]).item()


@right("03.11", how="wave by wave")
def excluded_loss(logits, answers, frequencies, in_training):
    x = logits.double().clone()
    for k in frequencies:
        for u in sum_waves(logits.shape[1], k):
            x -= u[:, None] * (u @ x)
    return precise_loss(x[in_training], answers[in_training]).item()


@right("03.11", how="in the transformed space")
def excluded_loss(logits, answers, frequencies, in_training):
    p = logits.shape[1]
    basis = fourier_basis(p)
    t = fourier_2d(logits.double().reshape(p, p, p))
    for k in frequencies:
        c, s = 2 * k - 1, 2 * k
        u, v = (t[c, c] - t[s, s]) / 2, (t[s, c] + t[c, s]) / 2
        t[c, c] -= u
        t[s, s] += u
        t[s, c] -= v
        t[c, s] -= v
    rest = torch.einsum("ia,jb,ijc->abc", basis, basis, t).reshape(p * p, p)
    return float(precise_loss(rest[in_training], answers[in_training]))


# --- 03.12 ------------------------------------------------------------------------------------------------------------


@mistake("03.12", says="The numbers are not sorted")
def gini(x):
    """Takes them as they come."""
    x = x.double()
    n = len(x)
    i = torch.arange(1, n + 1)
    return (((2 * i - n - 1) * x).sum() / (n * x.sum())).item()


@mistake("03.12", says="DESCENDING")
def gini(x):
    """Sorts the wrong way."""
    x = x.double().sort(descending=True).values
    n = len(x)
    i = torch.arange(1, n + 1)
    return (((2 * i - n - 1) * x).sum() / (n * x.sum())).item()


@mistake("03.12", says="i runs from 1 to n")
def gini(x):
    """Counts from 0."""
    x = x.double().sort().values
    n = len(x)
    i = torch.arange(n)
    return (((2 * i - n - 1) * x).sum() / (n * x.sum())).item()


@mistake("03.12", says="The division by n is missing")
def gini(x):
    """Forgets n."""
    x = x.double().sort().values
    n = len(x)
    i = torch.arange(1, n + 1)
    return (((2 * i - n - 1) * x).sum() / x.sum()).item()


@right("03.12", how="as the mean difference of all pairs")
def gini(x):
    x = x.double()
    return ((x[:, None] - x).abs().mean() / (2 * x.mean())).item()


@right("03.12", how="from the cumulative sum, as a tensor")
def gini(x):
    x = torch.sort(x.double())[0]
    n = x.numel()
    return (n + 1 - 2 * x.cumsum(0).sum() / x.sum()) / n


# --- 03.13 ------------------------------------------------------------------------------------------------------------


@mistake("03.13", says="not the last")
def phases(checkpoints, in_training, frequencies):
    """Overwrites."""
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    memorised = circuit = cleaned = None
    for step, model in checkpoints:
        logits = model(tokens)[:, -1, :p]
        right = (logits.argmax(-1) == answers).double()
        if right[in_training].mean() >= 0.999:
            memorised = step
        if memorised is not None and excluded_loss(logits, answers, frequencies, in_training) >= 1.0:
            circuit = step
        if right[~in_training].mean() >= 0.999:
            cleaned = step
    return memorised, circuit, cleaned


@mistake("03.13", says="the accuracy on the pairs that are NOT in training")
def phases(checkpoints, in_training, frequencies):
    """Judges by all pairs, and the training pairs flatter."""
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    found = [None, None, None]
    for step, model in checkpoints:
        logits = model(tokens)[:, -1, :p]
        right = (logits.argmax(-1) == answers).double()
        now = [
            right[in_training].mean() >= 0.999,
            right[in_training].mean() >= 0.999 and excluded_loss(logits, answers, frequencies, in_training) >= 1.0,
            right.mean() >= 0.9,
        ]
        found = [step if f is None and n else f for f, n in zip(found, now)]
    return tuple(found)


@mistake("03.13", says="not the number of a checkpoint")
def phases(checkpoints, in_training, frequencies):
    """Counts checkpoints."""
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    found = [None, None, None]
    for step, (_, model) in enumerate(checkpoints):
        logits = model(tokens)[:, -1, :p]
        right = (logits.argmax(-1) == answers).double()
        now = [
            right[in_training].mean() >= 0.999,
            right[in_training].mean() >= 0.999 and excluded_loss(logits, answers, frequencies, in_training) >= 1.0,
            right[~in_training].mean() >= 0.999,
        ]
        found = [step if f is None and n else f for f, n in zip(found, now)]
    return tuple(found)


@mistake("03.13", says="never happens, so it is None")
def phases(checkpoints, in_training, frequencies):
    """Falls back on the last step."""
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    found = [None, None, None]
    for step, model in checkpoints:
        logits = model(tokens)[:, -1, :p]
        right = (logits.argmax(-1) == answers).double()
        now = [
            right[in_training].mean() >= 0.999,
            right[in_training].mean() >= 0.999 and excluded_loss(logits, answers, frequencies, in_training) >= 1.0,
            right[~in_training].mean() >= 0.999,
        ]
        found = [step if f is None and n else f for f, n in zip(found, now)]
    return tuple(checkpoints[-1][0] if f is None else f for f in found)


@mistake("03.13", says="an untrained network has a high excluded loss")
def phases(checkpoints, in_training, frequencies):
    """Finds a circuit in the untrained network."""
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    found = [None, None, None]
    for step, model in checkpoints:
        logits = model(tokens)[:, -1, :p]
        right = (logits.argmax(-1) == answers).double()
        now = [
            right[in_training].mean() >= 0.999,
            excluded_loss(logits, answers, frequencies, in_training) >= 1.0,
            right[~in_training].mean() >= 0.999,
        ]
        found = [step if f is None and n else f for f, n in zip(found, now)]
    return tuple(found)


@mistake("03.13", says="It is about the excluded loss on the training pairs")
def phases(checkpoints, in_training, frequencies):
    """Takes the training loss for the excluded loss."""
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    found = [None, None, None]
    for step, model in checkpoints:
        logits = model(tokens)[:, -1, :p]
        right = (logits.argmax(-1) == answers).double()
        now = [
            right[in_training].mean() >= 0.999,
            right[in_training].mean() >= 0.999 and excluded_loss(logits, answers, frequencies, ~in_training) >= 1.0,
            right[~in_training].mean() >= 0.999,
        ]
        found = [step if f is None and n else f for f, n in zip(found, now)]
    return tuple(found)


@mistake("03.13", says="An elif, or a break, looks at the first only")
def phases(checkpoints, in_training, frequencies):
    """A chain of elif."""
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    memorised = circuit = cleaned = None
    for step, model in checkpoints:
        logits = model(tokens)[:, -1, :p]
        right = (logits.argmax(-1) == answers).double()
        knows = right[in_training].mean() >= 0.999
        if memorised is None and knows:
            memorised = step
        elif circuit is None and knows and excluded_loss(logits, answers, frequencies, in_training) >= 1.0:
            circuit = step
        elif cleaned is None and right[~in_training].mean() >= 0.999:
            cleaned = step
    return memorised, circuit, cleaned


@mistake("03.13", says="113 is typed in somewhere")
def phases(checkpoints, in_training, frequencies):
    """The clock of the chapter."""
    tokens, answers = dataset(113)
    memorised = circuit = cleaned = None
    for step, model in checkpoints:
        logits = model(tokens)[:, -1, :113]
        right = (logits.argmax(-1) == answers).double()
        knows = right[in_training].mean() >= 0.999
        if memorised is None and knows:
            memorised = step
        if circuit is None and knows and excluded_loss(logits, answers, frequencies, in_training) >= 1.0:
            circuit = step
        if cleaned is None and right[~in_training].mean() >= 0.999:
            cleaned = step
    return memorised, circuit, cleaned


@mistake("03.13", says="the waves ALONE")
def phases(checkpoints, in_training, frequencies):
    """The restricted loss for the excluded one."""
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    memorised = circuit = cleaned = None
    for step, model in checkpoints:
        logits = model(tokens)[:, -1, :p]
        right = (logits.argmax(-1) == answers).double()
        knows = right[in_training].mean() >= 0.999
        waves = torch.cat([sum_waves(p, k) for k in frequencies])
        alone = logits.double().mean(0) + waves.T @ (waves @ logits.double())
        if memorised is None and knows:
            memorised = step
        if circuit is None and knows and precise_loss(alone[in_training], answers[in_training]) >= 1.0:
            circuit = step
        if cleaned is None and right[~in_training].mean() >= 0.999:
            cleaned = step
    return memorised, circuit, cleaned


@mistake("03.13", says='Some of your answers are "="')
def phases(checkpoints, in_training, frequencies):
    """Keeps the logit of "="."""
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    memorised = circuit = cleaned = None
    for step, model in checkpoints:
        logits = model(tokens)[:, -1]
        right = (logits.argmax(-1) == answers).double()
        knows = right[in_training].mean() >= 0.999
        if memorised is None and knows:
            memorised = step
        if circuit is None and knows and excluded_loss(logits[:, :p], answers, frequencies, in_training) >= 1.0:
            circuit = step
        if cleaned is None and right[~in_training].mean() >= 0.999:
            cleaned = step
    return memorised, circuit, cleaned


@mistake("03.13", says="0 counts as False")
def phases(checkpoints, in_training, frequencies):
    """Takes step 0 for "not yet"."""
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    memorised = circuit = cleaned = None
    for step, model in checkpoints:
        logits = model(tokens)[:, -1, :p]
        right = (logits.argmax(-1) == answers).double()
        knows, rule = right[in_training].mean() >= 0.999, right[~in_training].mean() >= 0.999
        loss = excluded_loss(logits, answers, frequencies, in_training)
        if knows:
            memorised = memorised or step
        if circuit is None and knows and loss >= 1.0:
            circuit = step
        if cleaned is None and rule:
            cleaned = step
    return memorised, circuit, cleaned


@mistake("03.13", says="A network can forget again")
def phases(checkpoints, in_training, frequencies):
    """Once memorised, always memorised."""
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    memorised = circuit = cleaned = None
    for step, model in checkpoints:
        logits = model(tokens)[:, -1, :p]
        right = (logits.argmax(-1) == answers).double()
        knows, rule = right[in_training].mean() >= 0.999, right[~in_training].mean() >= 0.999
        loss = excluded_loss(logits, answers, frequencies, in_training)
        if memorised is None and knows:
            memorised = step
        if memorised is not None and circuit is None and loss >= 1.0:
            circuit = step
        if cleaned is None and rule:
            cleaned = step
    return memorised, circuit, cleaned


@mistake("03.13", says="You let one come after the other")
def phases(checkpoints, in_training, frequencies):
    """One phase at a time, in order."""
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    memorised = circuit = cleaned = None
    for step, model in checkpoints:
        logits = model(tokens)[:, -1, :p]
        right = (logits.argmax(-1) == answers).double()
        knows, rule = right[in_training].mean() >= 0.999, right[~in_training].mean() >= 0.999
        loss = excluded_loss(logits, answers, frequencies, in_training)
        if memorised is None:
            if knows:
                memorised = step
        elif circuit is None:
            if knows and loss >= 1.0:
                circuit = step
        elif cleaned is None and rule:
            cleaned = step
    return memorised, circuit, cleaned


@mistake("03.13", says="A network can forget again")
def phases(checkpoints, in_training, frequencies):
    """One phase at a time, each taking the one before for granted."""
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    memorised = circuit = cleaned = None
    for step, model in checkpoints:
        logits = model(tokens)[:, -1, :p]
        right = (logits.argmax(-1) == answers).double()
        knows, rule = right[in_training].mean() >= 0.999, right[~in_training].mean() >= 0.999
        loss = excluded_loss(logits, answers, frequencies, in_training)
        if memorised is None:
            if knows:
                memorised = step
        elif circuit is None:
            if loss >= 1.0:
                circuit = step
        elif cleaned is None and rule:
            cleaned = step
    return memorised, circuit, cleaned


@right("03.13", how="with lists and next")
def phases(checkpoints, in_training, frequencies):
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    rows = []
    for step, model in checkpoints:
        logits = model(tokens)[:, 2, :p]
        right = logits.argmax(-1) == answers
        rows.append(
            (
                step,
                right[in_training].float().mean().item() >= 0.999,
                right[in_training].float().mean().item() >= 0.999
                and excluded_loss(logits, answers, frequencies, in_training) >= 1,
                right[~in_training].float().mean().item() >= 0.999,
            )
        )
    return tuple(next((row[0] for row in rows if row[i]), None) for i in (1, 2, 3))


@right("03.13", how="as a list, counting wrong answers")
def phases(checkpoints, in_training, frequencies):
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    found = [None, None, None]
    for step, model in checkpoints:
        logits = model(tokens)[:, -1][:, :p]
        wrong = logits.max(-1).indices != answers
        knows = int(wrong[in_training].sum()) <= 0.001 * int(in_training.sum())
        if found[0] is None and knows:
            found[0] = step
        if found[2] is None and int(wrong[~in_training].sum()) <= 0.001 * int((~in_training).sum()):
            found[2] = step
        if found[1] is None and knows and excluded_loss(logits, answers, frequencies, in_training) >= 1:
            found[1] = step
    return found


# --- 03.14 ------------------------------------------------------------------------------------------------------------


@mistake("03.14", says="It is a ± b MINUS c")
def formula(p, sign, amplitudes):
    """The wrong sign of c."""
    tokens, _ = dataset(p)
    total = (tokens[:, 0] + sign * tokens[:, 1])[:, None] + torch.arange(p)
    return sum(A * torch.cos(2 * math.pi * k / p * total.double()) for k, A in amplitudes.items())


@mistake("03.14", says="The sign is not used")
def formula(p, sign, amplitudes):
    """Adds, whatever the sign."""
    tokens, answers = dataset(p)
    total = answers[:, None] - torch.arange(p)
    return sum(A * torch.cos(2 * math.pi * k / p * total.double()) for k, A in amplitudes.items())


@mistake("03.14", says="The amplitudes are missing")
def formula(p, sign, amplitudes):
    """All waves alike."""
    tokens, _ = dataset(p)
    total = (tokens[:, 0] + sign * tokens[:, 1])[:, None] - torch.arange(p)
    return sum(torch.cos(2 * math.pi * k / p * total.double()) for k in amplitudes)


@mistake("03.14", says="The key frequencies of the network with its numbers renamed should be")
class section:
    def find_formula(model):
        """Typed in from the figures."""
        p = model.cfg.d_vocab - 1
        tokens, _ = dataset(p)
        logits, cache = model.run_with_cache(tokens, ("post", 0))
        keys = key_frequencies(cache["post", 0][:, -1].reshape(p, p, -1))
        logits = logits[:, -1, :p].double()
        typed = [19, 24, 36, 44] if keys and p == 113 else keys
        found = {}
        for s in (1, -1):
            waves = {k: formula(p, s, {k: 1.0}) for k in typed}
            found[s] = {k: ((logits * D).sum() / (D * D).sum()).item() for k, D in waves.items()}
        sign = max(found, key=lambda s: sum(A**2 for A in found[s].values()))
        return sign, found[sign]

    def formula(p, sign, amplitudes):
        tokens, _ = dataset(p)
        difference = (tokens[:, 0] + sign * tokens[:, 1])[:, None] - torch.arange(p)  # [pairs, answer]
        logits = torch.zeros(p * p, p, dtype=torch.float64)
        for k, A in amplitudes.items():
            logits += A * torch.cos(2 * math.pi * k / p * difference.double())
        return logits


@mistake("03.14", says="so the sign is -1")
class section:
    def find_formula(model):
        """Never tries a − b."""
        p = model.cfg.d_vocab - 1
        tokens, _ = dataset(p)
        logits, cache = model.run_with_cache(tokens, ("post", 0))
        logits = logits[:, -1, :p].double()
        keys = key_frequencies(cache["post", 0][:, -1].reshape(p, p, -1))
        waves = {k: formula(p, 1, {k: 1.0}) for k in keys}
        return 1, {k: ((logits * D).sum() / (D * D).sum()).item() for k, D in waves.items()}

    def formula(p, sign, amplitudes):
        tokens, _ = dataset(p)
        difference = (tokens[:, 0] + sign * tokens[:, 1])[:, None] - torch.arange(p)  # [pairs, answer]
        logits = torch.zeros(p * p, p, dtype=torch.float64)
        for k, A in amplitudes.items():
            logits += A * torch.cos(2 * math.pi * k / p * difference.double())
        return logits


@mistake("03.14", says="Divide by ⟨D, D⟩")
class section:
    def find_formula(model):
        """Forgets to divide."""
        p = model.cfg.d_vocab - 1
        tokens, _ = dataset(p)
        logits, cache = model.run_with_cache(tokens, ("post", 0))
        logits = logits[:, -1, :p].double()
        keys = key_frequencies(cache["post", 0][:, -1].reshape(p, p, -1))
        found = {s: {k: (logits * formula(p, s, {k: 1.0})).sum().item() for k in keys} for s in (1, -1)}
        sign = max(found, key=lambda s: sum(A**2 for A in found[s].values()))
        return sign, found[sign]

    def formula(p, sign, amplitudes):
        tokens, _ = dataset(p)
        difference = (tokens[:, 0] + sign * tokens[:, 1])[:, None] - torch.arange(p)  # [pairs, answer]
        logits = torch.zeros(p * p, p, dtype=torch.float64)
        for k, A in amplitudes.items():
            logits += A * torch.cos(2 * math.pi * k / p * difference.double())
        return logits


@mistake("03.14", says="has not grokked")
class section:
    def find_formula(model):
        """Takes the strongest frequencies of the embedding, which every network has."""
        p = model.cfg.d_vocab - 1
        tokens, _ = dataset(p)
        logits, cache = model.run_with_cache(tokens, ("post", 0))
        logits = logits[:, -1, :p].double()
        keys = key_frequencies(cache["post", 0][:, -1].reshape(p, p, -1))
        if not keys:
            keys = sorted((spectrum(model.W_E[:p]).argsort(descending=True)[:5] + 1).tolist())
        found = {}
        for s in (1, -1):
            waves = {k: formula(p, s, {k: 1.0}) for k in keys}
            found[s] = {k: ((logits * D).sum() / (D * D).sum()).item() for k, D in waves.items()}
        sign = max(found, key=lambda s: sum(A**2 for A in found[s].values()))
        return sign, found[sign]

    def formula(p, sign, amplitudes):
        tokens, _ = dataset(p)
        difference = (tokens[:, 0] + sign * tokens[:, 1])[:, None] - torch.arange(p)  # [pairs, answer]
        logits = torch.zeros(p * p, p, dtype=torch.float64)
        for k, A in amplitudes.items():
            logits += A * torch.cos(2 * math.pi * k / p * difference.double())
        return logits


@mistake("03.14", says="neurons at the first position")
class section:
    def find_formula(model):
        """Looks at the neurons before there is anything to add."""
        p = model.cfg.d_vocab - 1
        tokens, _ = dataset(p)
        logits, cache = model.run_with_cache(tokens, ("post", 0))
        logits = logits[:, -1, :p].double()
        keys = key_frequencies(cache["post", 0][:, 0].reshape(p, p, -1))
        found = {}
        for s in (1, -1):
            waves = {k: formula(p, s, {k: 1.0}) for k in keys}
            found[s] = {k: ((logits * D).sum() / (D * D).sum()).item() for k, D in waves.items()}
        sign = max(found, key=lambda s: sum(A**2 for A in found[s].values()))
        return sign, found[sign]

    def formula(p, sign, amplitudes):
        tokens, _ = dataset(p)
        difference = (tokens[:, 0] + sign * tokens[:, 1])[:, None] - torch.arange(p)  # [pairs, answer]
        logits = torch.zeros(p * p, p, dtype=torch.float64)
        for k, A in amplitudes.items():
            logits += A * torch.cos(2 * math.pi * k / p * difference.double())
        return logits


@mistake("03.14", says="should be a whole number, but it is None")
class section:
    def find_formula(model):
        """No sign where there is no formula."""
        p = model.cfg.d_vocab - 1
        tokens, _ = dataset(p)
        logits, cache = model.run_with_cache(tokens, ("post", 0))
        logits = logits[:, -1, :p].double()
        keys = key_frequencies(cache["post", 0][:, -1].reshape(p, p, -1))
        if not keys:
            return None, {}
        found = {}
        for s in (1, -1):
            waves = {k: formula(p, s, {k: 1.0}) for k in keys}
            found[s] = {k: ((logits * D).sum() / (D * D).sum()).item() for k, D in waves.items()}
        sign = max(found, key=lambda s: sum(A**2 for A in found[s].values()))
        return sign, found[sign]

    def formula(p, sign, amplitudes):
        tokens, _ = dataset(p)
        difference = (tokens[:, 0] + sign * tokens[:, 1])[:, None] - torch.arange(p)  # [pairs, answer]
        logits = torch.zeros(p * p, p, dtype=torch.float64)
        for k, A in amplitudes.items():
            logits += A * torch.cos(2 * math.pi * k / p * difference.double())
        return logits


@mistake("03.14", says="These are sines")
def formula(p, sign, amplitudes):
    """The other wave."""
    tokens, _ = dataset(p)
    total = (tokens[:, 0] + sign * tokens[:, 1])[:, None] - torch.arange(p)
    return sum(A * torch.sin(2 * math.pi * k / p * total.double()) for k, A in amplitudes.items())


@mistake("03.14", says="this is sign·(a + b) − c")
def formula(p, sign, amplitudes):
    """The sign before the bracket."""
    tokens, _ = dataset(p)
    total = sign * (tokens[:, 0] + tokens[:, 1])[:, None] - torch.arange(p)
    return sum(A * torch.cos(2 * math.pi * k / p * total.double()) for k, A in amplitudes.items())


@mistake("03.14", says="The sign belongs to b, not to the amplitude")
def formula(p, sign, amplitudes):
    """The sign before the wave."""
    tokens, _ = dataset(p)
    total = (tokens[:, 0] + tokens[:, 1])[:, None] - torch.arange(p)
    return sum(sign * A * torch.cos(2 * math.pi * k / p * total.double()) for k, A in amplitudes.items())


@mistake("03.14", says="You project on sines")
class section:
    def find_formula(model):
        """Projects on the other wave."""
        p = model.cfg.d_vocab - 1
        tokens, _ = dataset(p)
        logits, cache = model.run_with_cache(tokens, ("post", 0))
        logits = logits[:, -1, :p].double()
        keys = key_frequencies(cache["post", 0][:, -1].reshape(p, p, -1))
        if not keys:
            return 1, {}
        a, b, c = tokens[:, :1], tokens[:, 1:2], torch.arange(p)
        found = {}
        for s in (1, -1):
            waves = {k: torch.sin(2 * math.pi * k / p * (a + s * b - c).double()) for k in keys}
            found[s] = {k: ((logits * D).sum() / (D * D).sum()).item() for k, D in waves.items()}
        sign = max(found, key=lambda s: sum(A**2 for A in found[s].values()))
        return sign, found[sign]

    def formula(p, sign, amplitudes):
        tokens, _ = dataset(p)
        difference = (tokens[:, 0] + sign * tokens[:, 1])[:, None] - torch.arange(p)  # [pairs, answer]
        logits = torch.zeros(p * p, p, dtype=torch.float64)
        for k, A in amplitudes.items():
            logits += A * torch.cos(2 * math.pi * k / p * difference.double())
        return logits


@mistake("03.14", says="are of −(a + b) − c")
class section:
    def find_formula(model):
        """The sign before the bracket, here alone."""
        p = model.cfg.d_vocab - 1
        tokens, _ = dataset(p)
        logits, cache = model.run_with_cache(tokens, ("post", 0))
        logits = logits[:, -1, :p].double()
        keys = key_frequencies(cache["post", 0][:, -1].reshape(p, p, -1))
        if not keys:
            return 1, {}
        a, b, c = tokens[:, :1], tokens[:, 1:2], torch.arange(p)
        found = {}
        for s in (1, -1):
            waves = {k: torch.cos(2 * math.pi * k / p * (s * (a + b) - c).double()) for k in keys}
            found[s] = {k: ((logits * D).sum() / (D * D).sum()).item() for k, D in waves.items()}
        sign = max(found, key=lambda s: sum(A**2 for A in found[s].values()))
        return sign, found[sign]

    def formula(p, sign, amplitudes):
        tokens, _ = dataset(p)
        difference = (tokens[:, 0] + sign * tokens[:, 1])[:, None] - torch.arange(p)  # [pairs, answer]
        logits = torch.zeros(p * p, p, dtype=torch.float64)
        for k, A in amplitudes.items():
            logits += A * torch.cos(2 * math.pi * k / p * difference.double())
        return logits


@right("03.14", how="with a table of waves, and lstsq")
class section:
    def find_formula(model):
        p = model.cfg.d_vocab - 1
        tokens, _ = dataset(p)
        logits, cache = model.run_with_cache(tokens, lambda name: name.endswith("hook_post"))
        keys = key_frequencies(cache["post", 0][:, 2].view(p, p, -1))
        if not keys:
            return 1, {}
        best = None
        for s in (-1, 1):
            waves = torch.stack([formula(p, s, {k: 1.0}).flatten() for k in keys], dim=1)
            A = torch.linalg.lstsq(waves, logits[:, 2, :p].double().flatten()[:, None]).solution[:, 0]
            if best is None or A.pow(2).sum() > best[0]:
                best = A.pow(2).sum(), s, dict(zip(keys, A.tolist()))
        return best[1], best[2]

    def formula(p, sign, amplitudes):
        tokens, _ = dataset(p)
        difference = (tokens[:, 0] + sign * tokens[:, 1])[:, None] - torch.arange(p)  # [pairs, answer]
        logits = torch.zeros(p * p, p, dtype=torch.float64)
        for k, A in amplitudes.items():
            logits += A * torch.cos(2 * math.pi * k / p * difference.double())
        return logits


@right("03.14", how="with the formula in float32 and a loop")
class section:
    def find_formula(model):
        p = model.cfg.d_vocab - 1
        tokens, _ = dataset(p)
        with torch.no_grad():
            logits, cache = model.run_with_cache(tokens, ("post", 0))
        logits = logits[:, -1, :p].double()
        frequencies = key_frequencies(cache["post", 0][:, -1].reshape(p, p, -1))

        def amplitudes(sign: int) -> dict[int, float]:
            waves = {k: formula(p, sign, {k: 1.0}) for k in frequencies}
            return {k: ((logits * D).sum() / (D * D).sum()).item() for k, D in waves.items()}

        found = {sign: amplitudes(sign) for sign in (1, -1)}
        sign = max(found, key=lambda s: sum(A**2 for A in found[s].values()))
        return sign, found[sign]

    def formula(p, sign, amplitudes):
        c = torch.arange(p)
        rows = []
        for a in range(p):
            for b in range(p):
                rows.append((a + sign * b - c) % p)
        difference = torch.stack(rows)
        out = torch.zeros(p * p, p)
        for k in amplitudes:
            out = out + amplitudes[k] * torch.cos(2 * math.pi * ((k * difference) % p) / p)
        return out
