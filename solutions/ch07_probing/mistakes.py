"""Wrong answers that learners and published code give to chapter 07, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 07.1 ------------------------------------------------------------------------------------------------------------


@mistake("07.1", says="You read the last column")
class section:
    """Reads padding."""

    def collect(model, tokens, mask):
        last = model.cfg.n_layers
        sites = [("resid_pre", depth) for depth in range(last)] + [("resid_post", last - 1)]
        _, cache = model.run_with_cache(tokens, sites, attention_mask=mask)
        ends = torch.full((len(tokens),), tokens.shape[1] - 1)
        return torch.stack([at_positions(cache[site], ends) for site in sites])


@mistake("07.1", says="You count the real tokens")
class section:
    """As if all padding stood at the right."""

    def collect(model, tokens, mask):
        last = model.cfg.n_layers
        sites = [("resid_pre", depth) for depth in range(last)] + [("resid_post", last - 1)]
        _, cache = model.run_with_cache(tokens, sites, attention_mask=mask)
        ends = mask.sum(1) - 1
        return torch.stack([at_positions(cache[site], ends) for site in sites])


@mistake("07.1", says="The model was not told which tokens are padding")
class section:
    """No mask."""

    def collect(model, tokens, mask):
        last = model.cfg.n_layers
        sites = [("resid_pre", depth) for depth in range(last)] + [("resid_post", last - 1)]
        _, cache = model.run_with_cache(tokens, sites)
        ends = text_positions(tokens, mask)
        return torch.stack([at_positions(cache[site], ends) for site in sites])


@mistake("07.1", says="The last depth is missing")
class section:
    """Before every block, and nothing after the last one."""

    def collect(model, tokens, mask):
        last = model.cfg.n_layers
        sites = [("resid_pre", depth) for depth in range(last)]
        _, cache = model.run_with_cache(tokens, sites, attention_mask=mask)
        ends = text_positions(tokens, mask)
        return torch.stack([at_positions(cache[site], ends) for site in sites])


@mistake("07.1", says="You read what LEAVES each block")
class section:
    """resid_post for resid_pre."""

    def collect(model, tokens, mask):
        last = model.cfg.n_layers
        sites = [("resid_post", depth) for depth in range(last)]
        _, cache = model.run_with_cache(tokens, sites, attention_mask=mask)
        ends = text_positions(tokens, mask)
        return torch.stack([at_positions(cache[site], ends) for site in sites])


@mistake("07.1", says="You average over positions")
class section:
    """The mean over all real tokens."""

    def collect(model, tokens, mask):
        last = model.cfg.n_layers
        sites = [("resid_pre", depth) for depth in range(last)] + [("resid_post", last - 1)]
        _, cache = model.run_with_cache(tokens, sites, attention_mask=mask)
        ends = text_positions(tokens, mask)
        return torch.stack([(cache[site] * mask[..., None]).sum(1) / mask.sum(1, keepdim=True) for site in sites])


@mistake("07.1", says="once more")
class section:
    """What enters the last block, twice."""

    def collect(model, tokens, mask):
        n = model.cfg.n_layers
        out = None
        for i in range(len(tokens)):
            _, c = model.run_with_cache(tokens[i][mask[i]][None])
            v = torch.stack([c["resid_pre", d][0, -1] for d in range(n)] + [c["resid_pre", n - 1][0, -1]]).double()
            out = v[None] if out is None else torch.cat([out, v[None]])
        return out.transpose(0, 1)


@right("07.1", how="text by text, without any padding")
class section:
    def collect(model, tokens, mask):
        rows = []
        for row, real in zip(tokens, mask):
            _, cache = model.run_with_cache(row[real][None])
            depths = [cache["resid_pre", d][0, -1] for d in range(model.cfg.n_layers)]
            rows.append(torch.stack([*depths, cache["resid_post", model.cfg.n_layers - 1][0, -1]]))
        return torch.stack(rows, dim=1)


@right("07.1", how="with gather, and the columns found by hand")
class section:
    def collect(model, tokens, mask):
        n = model.cfg.n_layers
        columns = torch.arange(tokens.shape[1])
        ends = torch.where(mask, columns, -1).max(dim=1).values
        _, cache = model.run_with_cache(tokens, None, attention_mask=mask)
        whole = torch.stack([cache["resid_pre", d] for d in range(n)] + [cache["resid_post", n - 1]])
        index = ends[None, :, None, None].expand(n + 1, -1, 1, whole.shape[-1])
        return whole.gather(2, index)[:, :, 0].numpy()


# --- 07.2 ------------------------------------------------------------------------------------------------------------


@mistake("07.2", says="The bias is 0")
class section:
    """A direction alone."""

    def mass_mean(x, y):
        means = [x[y == k].mean(0) for k in (0, 1)]
        direction = means[1] - means[0]
        return (direction, 0.0)


@mistake("07.2", says="You centre at the mean of ALL examples")
class section:
    """The larger class pulls the border."""

    def mass_mean(x, y):
        means = [x[y == k].mean(0) for k in (0, 1)]
        direction = means[1] - means[0]
        return (direction, -float(x.mean(0) @ direction))


@mistake("07.2", says="The direction is reversed")
class section:
    """From 1 to 0."""

    def mass_mean(x, y):
        means = [x[y == k].mean(0) for k in (0, 1)]
        direction = means[0] - means[1]
        return (direction, -float((means[0] + means[1]) @ direction) / 2)


@mistake("07.2", says="The sign of the bias is wrong")
class section:
    """Adds the middle."""

    def mass_mean(x, y):
        means = [x[y == k].mean(0) for k in (0, 1)]
        direction = means[1] - means[0]
        return (direction, float((means[0] + means[1]) @ direction) / 2)


@mistake("07.2", says="You have divided by its length")
class section:
    """A unit vector."""

    def mass_mean(x, y):
        means = [x[y == k].mean(0) for k in (0, 1)]
        direction = means[1] - means[0]
        direction = direction / direction.norm()
        return (direction, -float((means[0] + means[1]) @ direction) / 2)


@mistake("07.2", says="instead of half of it")
class section:
    """Forgets the half."""

    def mass_mean(x, y):
        means = [x[y == k].mean(0) for k in (0, 1)]
        direction = means[1] - means[0]
        return (direction, -float((means[0] + means[1]) @ direction))


@mistake("07.2", says="Use the direction that you return")
class section:
    """The border of a unit vector."""

    def mass_mean(x, y):
        a = x[y == 0].double().mean(0)
        b = x[y == 1].double().mean(0)
        return b - a, -((a + b) / 2) @ ((b - a) / (b - a).norm())


@right("07.2", how="with squares of the means")
class section:
    def mass_mean(x, y):
        zero, one = x[y == 0].mean(dim=0), x[y == 1].mean(dim=0)
        return one - zero, (zero.square().sum() - one.square().sum()) / 2


@right("07.2", how="in numpy and float64")
class section:
    import numpy as np

    def mass_mean(x, y):
        a, t = x.numpy().astype(np.float64), y.numpy()
        m0, m1 = np.average(a, axis=0, weights=t == 0), np.average(a, axis=0, weights=t == 1)
        return m1 - m0, -np.dot(m1 - m0, (m0 + m1) / 2)


# --- 07.3 ------------------------------------------------------------------------------------------------------------


@mistake("07.3", says="subtract from each row the mean of its own class, not that of all")
class section:
    """The covariance of all."""

    def corrected(x, y, shrink):
        x = x.double()
        means = torch.stack([x[y == k].mean(0) for k in (0, 1)])
        apart = x - x.mean(0)
        sigma = apart.T @ apart / (len(x) - 2)
        sigma = (1 - shrink) * sigma + shrink * sigma.diagonal().mean() * torch.eye(len(sigma), dtype=x.dtype)
        direction = torch.linalg.solve(sigma, means[1] - means[0])
        return (direction.float(), -float(means.mean(0) @ direction))


@mistake("07.3", says="divide by n − 2")
class section:
    """n for n − 2."""

    def corrected(x, y, shrink):
        x = x.double()
        means = torch.stack([x[y == k].mean(0) for k in (0, 1)])
        apart = x - means[y]
        sigma = apart.T @ apart / len(x)
        sigma = (1 - shrink) * sigma + shrink * sigma.diagonal().mean() * torch.eye(len(sigma), dtype=x.dtype)
        direction = torch.linalg.solve(sigma, means[1] - means[0])
        return (direction.float(), -float(means.mean(0) @ direction))


@mistake("07.3", says="The identity must be multiplied by the mean of the diagonal")
class section:
    """A ridge in no units."""

    def corrected(x, y, shrink):
        x = x.double()
        means = torch.stack([x[y == k].mean(0) for k in (0, 1)])
        apart = x - means[y]
        sigma = apart.T @ apart / (len(x) - 2)
        sigma = (1 - shrink) * sigma + shrink * torch.eye(len(sigma), dtype=x.dtype)
        direction = torch.linalg.solve(sigma, means[1] - means[0])
        return (direction.float(), -float(means.mean(0) @ direction))


@mistake("07.3", says="Multiply by its inverse")
class section:
    """Σ for its inverse."""

    def corrected(x, y, shrink):
        x = x.double()
        means = torch.stack([x[y == k].mean(0) for k in (0, 1)])
        apart = x - means[y]
        sigma = apart.T @ apart / (len(x) - 2)
        sigma = (1 - shrink) * sigma + shrink * sigma.diagonal().mean() * torch.eye(len(sigma), dtype=x.dtype)
        direction = sigma @ (means[1] - means[0])
        return (direction.float(), -float(means.mean(0) @ direction))


@mistake("07.3", says="You multiply by Σ^(−1/2)")
class section:
    """Whitened once."""

    def corrected(x, y, shrink):
        x = x.double()
        means = torch.stack([x[y == k].mean(0) for k in (0, 1)])
        apart = x - means[y]
        sigma = apart.T @ apart / (len(x) - 2)
        sigma = (1 - shrink) * sigma + shrink * sigma.diagonal().mean() * torch.eye(len(sigma), dtype=x.dtype)
        direction = torch.linalg.eigh(sigma)[1] @ (
            torch.linalg.eigh(sigma)[0] ** -0.5 * (torch.linalg.eigh(sigma)[1].T @ (means[1] - means[0]))
        )
        return (direction.float(), -float(means.mean(0) @ direction))


@mistake("07.3", says="Use the whole matrix")
class section:
    """Divides by variances."""

    def corrected(x, y, shrink):
        x = x.double()
        means = torch.stack([x[y == k].mean(0) for k in (0, 1)])
        apart = x - means[y]
        sigma = apart.T @ apart / (len(x) - 2)
        sigma = (1 - shrink) * sigma + shrink * sigma.diagonal().mean() * torch.eye(len(sigma), dtype=x.dtype)
        direction = (means[1] - means[0]) / sigma.diagonal()
        return (direction.float(), -float(means.mean(0) @ direction))


@mistake("07.3", says="You centre at the mean of ALL examples")
class section:
    """The larger class pulls the border."""

    def corrected(x, y, shrink):
        x = x.double()
        means = torch.stack([x[y == k].mean(0) for k in (0, 1)])
        apart = x - means[y]
        sigma = apart.T @ apart / (len(x) - 2)
        sigma = (1 - shrink) * sigma + shrink * sigma.diagonal().mean() * torch.eye(len(sigma), dtype=x.dtype)
        direction = torch.linalg.solve(sigma, means[1] - means[0])
        return (direction.float(), -float(x.mean(0) @ direction))


@mistake("07.3", says="This is the bias of the probe that is not corrected")
class section:
    """The old bias."""

    def corrected(x, y, shrink):
        x = x.double()
        means = torch.stack([x[y == k].mean(0) for k in (0, 1)])
        apart = x - means[y]
        sigma = apart.T @ apart / (len(x) - 2)
        sigma = (1 - shrink) * sigma + shrink * sigma.diagonal().mean() * torch.eye(len(sigma), dtype=x.dtype)
        direction = torch.linalg.solve(sigma, means[1] - means[0])
        return (direction.float(), -float(means.mean(0) @ (means[1] - means[0])))


@mistake("07.3", says="Pool the rows")
class section:
    """The mean of two covariances."""

    def corrected(x, y, shrink):
        x = x.double()
        means = torch.stack([x[y == k].mean(0) for k in (0, 1)])
        apart = x - means[y]
        sigma = (torch.cov(x[y == 0].T) + torch.cov(x[y == 1].T)) / 2
        sigma = (1 - shrink) * sigma + shrink * sigma.diagonal().mean() * torch.eye(len(sigma), dtype=x.dtype)
        direction = torch.linalg.solve(sigma, means[1] - means[0])
        return (direction.float(), -float(means.mean(0) @ direction))


@mistake("07.3", says="by the SUM of the diagonal of Σ")
class section:
    """The trace for its mean."""

    def corrected(x, y, shrink):
        x = x.double()
        means = torch.stack([x[y == k].mean(0) for k in (0, 1)])
        apart = x - means[y]
        sigma = apart.T @ apart / (len(x) - 2)
        sigma = (1 - shrink) * sigma + shrink * sigma.trace() * torch.eye(len(sigma), dtype=x.dtype)
        direction = torch.linalg.solve(sigma, means[1] - means[0])
        return (direction.float(), -float(means.mean(0) @ direction))


@mistake("07.3", says="You mix Σ with its own diagonal")
class section:
    """Shrinks towards the variances."""

    def corrected(x, y, shrink):
        x = x.double()
        means = torch.stack([x[y == k].mean(0) for k in (0, 1)])
        apart = x - means[y]
        sigma = apart.T @ apart / (len(x) - 2)
        sigma = (1 - shrink) * sigma + shrink * torch.diag(sigma.diagonal())
        direction = torch.linalg.solve(sigma, means[1] - means[0])
        return (direction.float(), -float(means.mean(0) @ direction))


@mistake("07.3", says="You have divided by its length")
class section:
    """A unit vector."""

    def corrected(x, y, shrink):
        x = x.double()
        means = torch.stack([x[y == k].mean(0) for k in (0, 1)])
        apart = x - means[y]
        sigma = apart.T @ apart / (len(x) - 2)
        sigma = (1 - shrink) * sigma + shrink * sigma.diagonal().mean() * torch.eye(len(sigma), dtype=x.dtype)
        direction = torch.linalg.solve(sigma, means[1] - means[0])
        direction = direction / direction.norm()
        return (direction.float(), -float(means.mean(0) @ direction))


@right("07.3", how="with an inverse and torch.cov")
class section:
    def corrected(x, y, shrink):
        x = x.double()
        zero, one = x[y == 0], x[y == 1]
        pooled = (torch.cov(zero.T) * (len(zero) - 1) + torch.cov(one.T) * (len(one) - 1)) / (len(x) - 2)
        pooled = torch.lerp(pooled, torch.eye(x.shape[1]).double() * pooled.trace() / x.shape[1], shrink)
        direction = torch.linalg.inv(pooled) @ (one.mean(0) - zero.mean(0))
        return direction, -(direction @ (one.mean(0) + zero.mean(0))) / 2


@right("07.3", how="in numpy, row by row")
class section:
    import numpy as np

    def corrected(x, y, shrink):
        a, t = x.numpy().astype(float), y.numpy()
        m = [a[t == k].mean(axis=0) for k in range(2)]
        s = np.zeros((a.shape[1], a.shape[1]))
        for row, k in zip(a, t):
            s += np.outer(row - m[k], row - m[k])
        s /= len(a) - 2
        s = (1 - shrink) * s + shrink * np.trace(s) / len(s) * np.eye(len(s))
        d = np.linalg.solve(s, m[1] - m[0])
        return d, float(-d @ (m[0] + m[1]) / 2)


# --- 07.4 ------------------------------------------------------------------------------------------------------------


@mistake("07.4", says="Nothing was centred")
class section:
    """No mean, no bias."""

    def ridge(x, y, n_classes, penalty):
        x = x.double()
        mean = 0 * x.mean(0)
        target = torch.nn.functional.one_hot(y, n_classes).double()
        shares = 0 * target.mean(0)
        gram = (x - mean).T @ (x - mean)
        damped = gram + penalty * gram.diagonal().mean() * torch.eye(len(gram), dtype=x.dtype)
        W = torch.linalg.solve(damped, (x - mean).T @ (target - shares)).T
        return (W.float(), (shares - W @ mean).float())

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        found = []
        for fit, held in zip(x, held_x, strict=True):
            W, b = ridge(fit, y, n_classes, penalty)
            found.append(((held @ W.T + b).argmax(-1) == held_y).float().mean())
        return torch.stack(found)


@mistake("07.4", says="λ is `penalty` alone")
class section:
    """A penalty in the units of one network."""

    def ridge(x, y, n_classes, penalty):
        x = x.double()
        mean = x.mean(0)
        target = torch.nn.functional.one_hot(y, n_classes).double()
        shares = target.mean(0)
        gram = (x - mean).T @ (x - mean)
        damped = gram + penalty * torch.eye(len(gram), dtype=x.dtype)
        W = torch.linalg.solve(damped, (x - mean).T @ (target - shares)).T
        return (W.float(), (shares - W @ mean).float())

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        found = []
        for fit, held in zip(x, held_x, strict=True):
            W, b = ridge(fit, y, n_classes, penalty)
            found.append(((held @ W.T + b).argmax(-1) == held_y).float().mean())
        return torch.stack(found)


@mistake("07.4", says="is divided by the number of examples")
class section:
    """The mean square for the sum."""

    def ridge(x, y, n_classes, penalty):
        x = x.double()
        mean = x.mean(0)
        target = torch.nn.functional.one_hot(y, n_classes).double()
        shares = target.mean(0)
        gram = (x - mean).T @ (x - mean)
        damped = gram + penalty * gram.diagonal().mean() / len(x) * torch.eye(len(gram), dtype=x.dtype)
        W = torch.linalg.solve(damped, (x - mean).T @ (target - shares)).T
        return (W.float(), (shares - W @ mean).float())

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        found = []
        for fit, held in zip(x, held_x, strict=True):
            W, b = ridge(fit, y, n_classes, penalty)
            found.append(((held @ W.T + b).argmax(-1) == held_y).float().mean())
        return torch.stack(found)


@mistake("07.4", says="The bias is penalised like a weight")
class section:
    """A column of ones, damped like all others."""

    def ridge(x, y, n_classes, penalty):
        x = x.double()
        target = torch.nn.functional.one_hot(y, n_classes).double()
        amount = penalty * (x - x.mean(0)).pow(2).sum(0).mean()
        x = torch.cat([x, torch.ones(len(x), 1)], 1)
        W = torch.linalg.solve(x.T @ x + amount * torch.eye(x.shape[1]), x.T @ target).T
        return (W[:, :-1].float(), W[:, -1].float())

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        found = []
        for fit, held in zip(x, held_x, strict=True):
            W, b = ridge(fit, y, n_classes, penalty)
            found.append(((held @ W.T + b).argmax(-1) == held_y).float().mean())
        return torch.stack(found)


@mistake("07.4", says="b is the shares of the classes")
class section:
    """The shares alone."""

    def ridge(x, y, n_classes, penalty):
        x = x.double()
        mean = x.mean(0)
        target = torch.nn.functional.one_hot(y, n_classes).double()
        shares = target.mean(0)
        gram = (x - mean).T @ (x - mean)
        damped = gram + penalty * gram.diagonal().mean() * torch.eye(len(gram), dtype=x.dtype)
        W = torch.linalg.solve(damped, (x - mean).T @ (target - shares)).T
        return (W.float(), shares.float())

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        found = []
        for fit, held in zip(x, held_x, strict=True):
            W, b = ridge(fit, y, n_classes, penalty)
            found.append(((held @ W.T + b).argmax(-1) == held_y).float().mean())
        return torch.stack(found)


@mistake("07.4", says="You read the examples that were fitted")
class section:
    """Judged on what it was fitted on."""

    def ridge(x, y, n_classes, penalty):
        x = x.double()
        mean = x.mean(0)
        target = torch.nn.functional.one_hot(y, n_classes).double()
        shares = target.mean(0)
        gram = (x - mean).T @ (x - mean)
        damped = gram + penalty * gram.diagonal().mean() * torch.eye(len(gram), dtype=x.dtype)
        W = torch.linalg.solve(damped, (x - mean).T @ (target - shares)).T
        return (W.float(), (shares - W @ mean).float())

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        found = []
        for fit, _held in zip(x, held_x, strict=True):
            W, b = ridge(fit, y, n_classes, penalty)
            found.append(((fit @ W.T + b).argmax(-1) == y).float().mean())
        return torch.stack(found)


@mistake("07.4", says="The probe of the first depth is read at all depths")
class section:
    """One probe for all."""

    def ridge(x, y, n_classes, penalty):
        x = x.double()
        mean = x.mean(0)
        target = torch.nn.functional.one_hot(y, n_classes).double()
        shares = target.mean(0)
        gram = (x - mean).T @ (x - mean)
        damped = gram + penalty * gram.diagonal().mean() * torch.eye(len(gram), dtype=x.dtype)
        W = torch.linalg.solve(damped, (x - mean).T @ (target - shares)).T
        return (W.float(), (shares - W @ mean).float())

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        found = []
        for _fit, held in zip(x, held_x, strict=True):
            W, b = ridge(x[0], y, n_classes, penalty)
            found.append(((held @ W.T + b).argmax(-1) == held_y).float().mean())
        return torch.stack(found)


@mistake("07.4", says="These are shares of errors")
class section:
    """!= for ==."""

    def ridge(x, y, n_classes, penalty):
        x = x.double()
        mean = x.mean(0)
        target = torch.nn.functional.one_hot(y, n_classes).double()
        shares = target.mean(0)
        gram = (x - mean).T @ (x - mean)
        damped = gram + penalty * gram.diagonal().mean() * torch.eye(len(gram), dtype=x.dtype)
        W = torch.linalg.solve(damped, (x - mean).T @ (target - shares)).T
        return (W.float(), (shares - W @ mean).float())

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        found = []
        for fit, held in zip(x, held_x, strict=True):
            W, b = ridge(fit, y, n_classes, penalty)
            found.append(((held @ W.T + b).argmax(-1) != held_y).float().mean())
        return torch.stack(found)


@mistake("07.4", says="A probe keeps the mean of what it was fitted on")
class section:
    """Centres each side at its own mean."""

    def ridge(x, y, n_classes, penalty):
        x = x.double()
        T = (y[:, None] == torch.arange(n_classes)).double()
        c = x - x.mean(0)
        u, s, v = torch.linalg.svd(c, full_matrices=False)
        lam = penalty * s.square().sum() / x.shape[1]
        W = (v.T @ torch.diag(s / (s**2 + lam)) @ u.T @ (T - T.mean(0))).T
        return W, T.mean(0) - W @ x.mean(0)

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        r = []
        held_x = held_x - held_x.mean(1, keepdim=True) + x.mean(1, keepdim=True)
        for d in range(len(x)):
            W, b = ridge(x[d], y, n_classes, penalty)
            r.append(sum(int((W @ h.double() + b).argmax()) == int(k) for h, k in zip(held_x[d], held_y)) / len(held_y))
        return torch.tensor(r)


@mistake("07.4", says="from the SUM of the diagonal")
class section:
    """The trace for its mean."""

    def ridge(x, y, n_classes, penalty):
        x = x.double()
        mean = x.mean(0)
        target = torch.nn.functional.one_hot(y, n_classes).double()
        shares = target.mean(0)
        gram = (x - mean).T @ (x - mean)
        damped = gram + penalty * gram.trace() * torch.eye(len(gram), dtype=x.dtype)
        W = torch.linalg.solve(damped, (x - mean).T @ (target - shares)).T
        return (W.float(), (shares - W @ mean).float())

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        found = []
        for fit, held in zip(x, held_x, strict=True):
            W, b = ridge(fit, y, n_classes, penalty)
            found.append(((held @ W.T + b).argmax(-1) == held_y).float().mean())
        return torch.stack(found)


@mistake("07.4", says="One-hot labels are 0 and 1")
class section:
    """Scores of −1 and 1."""

    def ridge(x, y, n_classes, penalty):
        x = x.double()
        mean = x.mean(0)
        target = 2 * torch.nn.functional.one_hot(y, n_classes).double() - 1
        shares = target.mean(0)
        gram = (x - mean).T @ (x - mean)
        damped = gram + penalty * gram.diagonal().mean() * torch.eye(len(gram), dtype=x.dtype)
        W = torch.linalg.solve(damped, (x - mean).T @ (target - shares)).T
        return (W.float(), (shares - W @ mean).float())

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        found = []
        for fit, held in zip(x, held_x, strict=True):
            W, b = ridge(fit, y, n_classes, penalty)
            found.append(((held @ W.T + b).argmax(-1) == held_y).float().mean())
        return torch.stack(found)


@mistake("07.4", says="b adds W @ mean")
class section:
    """The sign of the shift."""

    def ridge(x, y, n_classes, penalty):
        x = x.double()
        mean = x.mean(0)
        target = torch.nn.functional.one_hot(y, n_classes).double()
        shares = target.mean(0)
        gram = (x - mean).T @ (x - mean)
        damped = gram + penalty * gram.diagonal().mean() * torch.eye(len(gram), dtype=x.dtype)
        W = torch.linalg.solve(damped, (x - mean).T @ (target - shares)).T
        return (W.float(), (shares + W @ mean).float())

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        found = []
        for fit, held in zip(x, held_x, strict=True):
            W, b = ridge(fit, y, n_classes, penalty)
            found.append(((held @ W.T + b).argmax(-1) == held_y).float().mean())
        return torch.stack(found)


@right("07.4", how="with a column of ones that is not penalised")
class section:
    def ridge(x, y, n_classes, penalty):
        amount = penalty * (x.double() - x.double().mean(0)).pow(2).sum(0).mean()
        ones = torch.cat([x.double(), torch.ones(len(x), 1, dtype=torch.double)], dim=1)
        damp = amount * torch.eye(ones.shape[1], dtype=torch.double)
        damp[-1, -1] = 0
        target = torch.eye(n_classes, dtype=torch.double)[y]
        solved = torch.linalg.inv(ones.T @ ones + damp) @ ones.T @ target
        return solved[:-1].T, solved[-1]

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        found = torch.zeros(len(x))
        for depth in range(len(x)):
            W, b = ridge(x[depth], y, n_classes, penalty)
            scores = torch.einsum("md,cd->mc", held_x[depth].double(), W) + b
            found[depth] = sum(int(s.argmax()) == int(k) for s, k in zip(scores, held_y)) / len(held_y)
        return found


@right("07.4", how="in numpy, by a least-squares problem with more rows")
class section:
    import numpy as np

    def ridge(x, y, n_classes, penalty):
        a = x.numpy().astype(np.float64)
        m, t = a.mean(0), np.eye(n_classes)[y.numpy()]
        root = np.sqrt(penalty * ((a - m) ** 2).sum(0).mean())
        rows = np.concatenate([a - m, root * np.eye(a.shape[1])])
        aims = np.concatenate([t - t.mean(0), np.zeros((a.shape[1], n_classes))])
        w = np.linalg.lstsq(rows, aims, rcond=None)[0].T
        return w, t.mean(0) - w @ m

    def accuracies(x, y, held_x, held_y, n_classes, penalty):
        probes = [ridge(part, y, n_classes, penalty) for part in x]
        said = [(part.numpy() @ w.T + b).argmax(1) for part, (w, b) in zip(held_x, probes)]
        return [float((s == held_y.numpy()).mean()) for s in said]


# --- 07.5 ------------------------------------------------------------------------------------------------------------


@mistake("07.5", says="Draw among the different combinations")
class section:
    """A cut by row."""

    def leaks(combinations, held):
        fitted = {c for c, out in zip(combinations, held.tolist(), strict=True) if not out}
        read = [c for c, out in zip(combinations, held.tolist(), strict=True) if out]
        return sum(c in fitted for c in read) / len(read)

    def split(combinations, share, seed):
        rows = list(range(len(combinations)))
        random.Random(seed).shuffle(rows)
        out = set(rows[: round(share * len(rows))])
        return torch.tensor([i in out for i in range(len(rows))])
        distinct = sorted(set(combinations))
        left = {}
        for a, b in distinct:
            left[0, a] = left.get((0, a), 0) + 1
            left[1, b] = left.get((1, b), 0) + 1
        held = set()
        for a, b in distinct:
            if len(held) < round(share * len(distinct)) and left[0, a] > 1 and (left[1, b] > 1):
                held.add((a, b))
                left[0, a] -= 1
                left[1, b] -= 1
        return torch.tensor([c in held for c in combinations])


@mistake("07.5", says="one of its words is fitted nowhere")
class section:
    """Any combination may go."""

    def leaks(combinations, held):
        fitted = {c for c, out in zip(combinations, held.tolist(), strict=True) if not out}
        read = [c for c, out in zip(combinations, held.tolist(), strict=True) if out]
        return sum(c in fitted for c in read) / len(read)

    def split(combinations, share, seed):
        distinct = sorted(set(combinations))
        random.Random(seed).shuffle(distinct)
        left = {}
        for a, b in distinct:
            left[0, a] = left.get((0, a), 0) + 1
            left[1, b] = left.get((1, b), 0) + 1
        held = set()
        for a, b in distinct:
            if len(held) < round(share * len(distinct)):
                held.add((a, b))
                left[0, a] -= 1
                left[1, b] -= 1
        return torch.tensor([c in held for c in combinations])


@mistake("07.5", says="Another seed gave the same cut")
class section:
    """No chance at all."""

    def leaks(combinations, held):
        fitted = {c for c, out in zip(combinations, held.tolist(), strict=True) if not out}
        read = [c for c, out in zip(combinations, held.tolist(), strict=True) if out]
        return sum(c in fitted for c in read) / len(read)

    def split(combinations, share, seed):
        distinct = sorted(set(combinations))
        left = {}
        for a, b in distinct:
            left[0, a] = left.get((0, a), 0) + 1
            left[1, b] = left.get((1, b), 0) + 1
        held = set()
        for a, b in distinct:
            if len(held) < round(share * len(distinct)) and left[0, a] > 1 and (left[1, b] > 1):
                held.add((a, b))
                left[0, a] -= 1
                left[1, b] -= 1
        return torch.tensor([c in held for c in combinations])


@mistake("07.5", says="The same seed gave another cut")
class section:
    """Chance from somewhere else."""

    def leaks(combinations, held):
        fitted = {c for c, out in zip(combinations, held.tolist(), strict=True) if not out}
        read = [c for c, out in zip(combinations, held.tolist(), strict=True) if out]
        return sum(c in fitted for c in read) / len(read)

    def split(combinations, share, seed):
        distinct = sorted(set(combinations))
        random.shuffle(distinct)
        left = {}
        for a, b in distinct:
            left[0, a] = left.get((0, a), 0) + 1
            left[1, b] = left.get((1, b), 0) + 1
        held = set()
        for a, b in distinct:
            if len(held) < round(share * len(distinct)) and left[0, a] > 1 and (left[1, b] > 1):
                held.add((a, b))
                left[0, a] -= 1
                left[1, b] -= 1
        return torch.tensor([c in held for c in combinations])


@mistake("07.5", says="Count different combinations, not examples")
class section:
    """The share of examples."""

    def leaks(combinations, held):
        fitted = {c for c, out in zip(combinations, held.tolist(), strict=True) if not out}
        read = [c for c, out in zip(combinations, held.tolist(), strict=True) if out]
        return sum(c in fitted for c in read) / len(read)

    def split(combinations, share, seed):
        distinct = sorted(set(combinations))
        random.Random(seed).shuffle(distinct)
        left = {}
        for a, b in distinct:
            left[0, a] = left.get((0, a), 0) + 1
            left[1, b] = left.get((1, b), 0) + 1
        held = set()
        for a, b in distinct:
            if (
                sum(c in held for c in combinations) < round(share * len(combinations))
                and left[0, a] > 1
                and (left[1, b] > 1)
            ):
                held.add((a, b))
                left[0, a] -= 1
                left[1, b] -= 1
        return torch.tensor([c in held for c in combinations])


@mistake("07.5", says="You count each combination once")
class section:
    """Of different combinations."""

    def leaks(combinations, held):
        fitted = {c for c, out in zip(combinations, held.tolist(), strict=True) if not out}
        read = list({c for c, out in zip(combinations, held.tolist(), strict=True) if out})
        return sum(c in fitted for c in read) / len(read)

    def split(combinations, share, seed):
        distinct = sorted(set(combinations))
        random.Random(seed).shuffle(distinct)
        left = {}
        for a, b in distinct:
            left[0, a] = left.get((0, a), 0) + 1
            left[1, b] = left.get((1, b), 0) + 1
        held = set()
        for a, b in distinct:
            if len(held) < round(share * len(distinct)) and left[0, a] > 1 and (left[1, b] > 1):
                held.add((a, b))
                left[0, a] -= 1
                left[1, b] -= 1
        return torch.tensor([c in held for c in combinations])


@mistake("07.5", says="Divide by those that are held out")
class section:
    """Of all examples."""

    def leaks(combinations, held):
        fitted = {c for c, out in zip(combinations, held.tolist(), strict=True) if not out}
        read = [c for c, out in zip(combinations, held.tolist(), strict=True) if out]
        return sum(c in fitted for c in read) / len(combinations)

    def split(combinations, share, seed):
        distinct = sorted(set(combinations))
        random.Random(seed).shuffle(distinct)
        left = {}
        for a, b in distinct:
            left[0, a] = left.get((0, a), 0) + 1
            left[1, b] = left.get((1, b), 0) + 1
        held = set()
        for a, b in distinct:
            if len(held) < round(share * len(distinct)) and left[0, a] > 1 and (left[1, b] > 1):
                held.add((a, b))
                left[0, a] -= 1
                left[1, b] -= 1
        return torch.tensor([c in held for c in combinations])


@mistake("07.5", says="Compare whole combinations")
class section:
    """Any word that is known."""

    def leaks(combinations, held):
        fitted = {w for c, out in zip(combinations, held.tolist(), strict=True) if not out for w in c}
        read = [c for c, out in zip(combinations, held.tolist(), strict=True) if out]
        return sum(any(w in fitted for w in c) for c in read) / len(read)

    def split(combinations, share, seed):
        distinct = sorted(set(combinations))
        random.Random(seed).shuffle(distinct)
        left = {}
        for a, b in distinct:
            left[0, a] = left.get((0, a), 0) + 1
            left[1, b] = left.get((1, b), 0) + 1
        held = set()
        for a, b in distinct:
            if len(held) < round(share * len(distinct)) and left[0, a] > 1 and (left[1, b] > 1):
                held.add((a, b))
                left[0, a] -= 1
                left[1, b] -= 1
        return torch.tensor([c in held for c in combinations])


@mistake("07.5", says="You look at the fitted examples")
class section:
    """The other side."""

    def leaks(combinations, held):
        fitted = {c for c, out in zip(combinations, held.tolist(), strict=True) if out}
        read = [c for c, out in zip(combinations, held.tolist(), strict=True) if not out]
        return sum(c in fitted for c in read) / len(read)

    def split(combinations, share, seed):
        distinct = sorted(set(combinations))
        random.Random(seed).shuffle(distinct)
        left = {}
        for a, b in distinct:
            left[0, a] = left.get((0, a), 0) + 1
            left[1, b] = left.get((1, b), 0) + 1
        held = set()
        for a, b in distinct:
            if len(held) < round(share * len(distinct)) and left[0, a] > 1 and (left[1, b] > 1):
                held.add((a, b))
                left[0, a] -= 1
                left[1, b] -= 1
        return torch.tensor([c in held for c in combinations])


@mistake("07.5", says="compare pairs in their order")
class section:
    """Sets of two words."""

    def leaks(combinations, held):
        import collections

        f = collections.Counter(frozenset(c) for c, h in zip(combinations, held.tolist()) if not h)
        r = [c for c, h in zip(combinations, held.tolist()) if h]
        return len([c for c in r if f[frozenset(c)] > 0]) / len(r)

    def split(combinations, share, seed):
        import numpy as np

        d = sorted(set(combinations))
        want = round(share * len(d))
        rng = np.random.default_rng(seed)
        gone = set()
        for k in rng.permutation(len(d)):
            if len(gone) == want:
                break
            c = d[k]
            rest = [q for q in d if q not in gone and q != c]
            if any(q[0] == c[0] for q in rest) and any(q[1] == c[1] for q in rest):
                gone.add(c)
        return torch.tensor([c in gone for c in combinations])


@mistake("07.5", says="one of its words is fitted nowhere")
class section:
    """Known from the other place."""

    def leaks(combinations, held):
        import collections

        f = collections.Counter(c for c, h in zip(combinations, held.tolist()) if not h)
        r = [c for c, h in zip(combinations, held.tolist()) if h]
        return len([c for c in r if f[c] > 0]) / len(r)

    def split(combinations, share, seed):
        import numpy as np

        d = sorted(set(combinations))
        want = round(share * len(d))
        rng = np.random.default_rng(seed)
        gone = set()
        for k in rng.permutation(len(d)):
            if len(gone) == want:
                break
            c = d[k]
            rest = [q for q in d if q not in gone and q != c]
            if any(c[0] in q for q in rest) and any(c[1] in q for q in rest):
                gone.add(c)
        return torch.tensor([c in gone for c in combinations])


@mistake("07.5", says="sort the combinations before you draw")
class section:
    """Draws from a set, whose order no one knows."""

    def leaks(combinations, held):
        fitted = {c for c, out in zip(combinations, held.tolist(), strict=True) if not out}
        read = [c for c, out in zip(combinations, held.tolist(), strict=True) if out]
        return sum(c in fitted for c in read) / len(read)

    def split(combinations, share, seed):
        distinct = list(set(combinations))
        random.Random(seed).shuffle(distinct)
        left = {}
        for a, b in distinct:
            left[0, a] = left.get((0, a), 0) + 1
            left[1, b] = left.get((1, b), 0) + 1
        held = set()
        for a, b in distinct:
            if len(held) < round(share * len(distinct)) and left[0, a] > 1 and left[1, b] > 1:
                held.add((a, b))
                left[0, a] -= 1
                left[1, b] -= 1
        return torch.tensor([c in held for c in combinations])


@mistake("07.5", says="sort the combinations before you draw")
class section:
    """In the order in which the examples come."""

    def leaks(combinations, held):
        fitted = {c for c, out in zip(combinations, held.tolist(), strict=True) if not out}
        read = [c for c, out in zip(combinations, held.tolist(), strict=True) if out]
        return sum(c in fitted for c in read) / len(read)

    def split(combinations, share, seed):
        distinct = list(dict.fromkeys(combinations))
        random.Random(seed).shuffle(distinct)
        left = {}
        for a, b in distinct:
            left[0, a] = left.get((0, a), 0) + 1
            left[1, b] = left.get((1, b), 0) + 1
        held = set()
        for a, b in distinct:
            if len(held) < round(share * len(distinct)) and left[0, a] > 1 and left[1, b] > 1:
                held.add((a, b))
                left[0, a] -= 1
                left[1, b] -= 1
        return torch.tensor([c in held for c in combinations])


@right("07.5", how="with a counter, and numpy for chance")
class section:
    from collections import Counter

    import numpy as np

    def leaks(combinations, held):
        rows = list(zip(combinations, [bool(h) for h in held]))
        there = Counter(pair for pair, out in rows if not out)
        hits = [there[pair] > 0 for pair, out in rows if out]
        return float(np.mean(hits))

    def split(combinations, share, seed):
        kinds = list(dict.fromkeys(sorted(combinations)))
        first, second = Counter(a for a, _ in kinds), Counter(b for _, b in kinds)
        wanted, out = round(share * len(kinds)), []
        for i in np.random.default_rng(seed).permutation(len(kinds)):
            a, b = kinds[i]
            if len(out) == wanted or first[a] == 1 or second[b] == 1:
                continue
            out.append((a, b))
            first[a] -= 1
            second[b] -= 1
        return np.array([pair in out for pair in combinations])


@right("07.5", how="by trying random cuts of all combinations until one is good")
class section:
    def leaks(combinations, held):
        read = [i for i in range(len(combinations)) if held[i]]
        fitted = [combinations[i] for i in range(len(combinations)) if not held[i]]
        return sum(1 for i in read if combinations[i] in fitted) / len(read)

    def split(combinations, share, seed):
        kinds = sorted(set(combinations))
        rng = random.Random(seed)
        first = [a for a, _ in kinds]
        second = [b for _, b in kinds]
        allowed = [p for p in kinds if first.count(p[0]) > 1 and second.count(p[1]) > 1]
        while True:
            out = set(rng.sample(allowed, round(share * len(kinds))))
            left = [p for p in kinds if p not in out]
            if {a for a, _ in out} <= {a for a, _ in left} and {b for _, b in out} <= {b for _, b in left}:
                return torch.tensor([p in out for p in combinations])


# --- 07.6 ------------------------------------------------------------------------------------------------------------


@mistake("07.6", says="Such labels nobody can learn")
class section:
    """A label for each token."""

    def control_labels(types, n_classes, seed):
        return torch.randint(n_classes, (len(types),), generator=torch.Generator().manual_seed(seed))

    def selectivity(x, y, control, held_x, held_y, held_control, n_classes):
        own = accuracies(x[None], y, held_x[None], held_y, n_classes, 0.01)
        other = accuracies(x[None], control, held_x[None], held_control, n_classes, 0.01)
        return float(own - other)


@mistake("07.6", says="Fitted and held-out texts would have different tasks")
class section:
    """Numbers types in the order in which they come."""

    def control_labels(types, n_classes, seed):
        rng, own = random.Random(seed), {}
        for kind in types:
            own.setdefault(kind, rng.randrange(n_classes))
        return torch.tensor([own[kind] for kind in types])

    def selectivity(x, y, control, held_x, held_y, held_control, n_classes):
        own = accuracies(x[None], y, held_x[None], held_y, n_classes, 0.01)
        other = accuracies(x[None], control, held_x[None], held_control, n_classes, 0.01)
        return float(own - other)


@mistake("07.6", says="Another seed gave the same labels")
class section:
    """The seed is not used."""

    def control_labels(types, n_classes, seed):
        return torch.tensor([random.Random(f"{kind}").randrange(n_classes) for kind in types])

    def selectivity(x, y, control, held_x, held_y, held_control, n_classes):
        own = accuracies(x[None], y, held_x[None], held_y, n_classes, 0.01)
        other = accuracies(x[None], control, held_x[None], held_control, n_classes, 0.01)
        return float(own - other)


@mistake("07.6", says="Each of 3 classes should be as likely")
class section:
    """A label that one can guess."""

    def control_labels(types, n_classes, seed):
        return torch.tensor([(len(kind) + seed) % n_classes for kind in types])

    def selectivity(x, y, control, held_x, held_y, held_control, n_classes):
        own = accuracies(x[None], y, held_x[None], held_y, n_classes, 0.01)
        other = accuracies(x[None], control, held_x[None], held_control, n_classes, 0.01)
        return float(own - other)


@mistake("07.6", says="Labels must be 0")
class section:
    """From 1 to n."""

    def control_labels(types, n_classes, seed):
        return torch.tensor([random.Random(f"{seed} {kind}").randint(1, n_classes) for kind in types])

    def selectivity(x, y, control, held_x, held_y, held_control, n_classes):
        own = accuracies(x[None], y, held_x[None], held_y, n_classes, 0.01)
        other = accuracies(x[None], control, held_x[None], held_control, n_classes, 0.01)
        return float(own - other)


@mistake("07.6", says="The sign is wrong")
class section:
    """Control minus task."""

    def control_labels(types, n_classes, seed):
        return torch.tensor([random.Random(f"{seed} {kind}").randrange(n_classes) for kind in types])

    def selectivity(x, y, control, held_x, held_y, held_control, n_classes):
        own = accuracies(x[None], y, held_x[None], held_y, n_classes, 0.01)
        other = accuracies(x[None], control, held_x[None], held_control, n_classes, 0.01)
        return float(other - own)


@mistake("07.6", says="The second probe must be FITTED on the control too")
class section:
    """One probe, read twice."""

    def control_labels(types, n_classes, seed):
        return torch.tensor([random.Random(f"{seed} {kind}").randrange(n_classes) for kind in types])

    def selectivity(x, y, control, held_x, held_y, held_control, n_classes):
        own = accuracies(x[None], y, held_x[None], held_y, n_classes, 0.01)
        other = accuracies(x[None], y, held_x[None], held_control, n_classes, 0.01)
        return float(own - other)


@mistake("07.6", says="You subtract chance")
class section:
    """Chance for a control."""

    def control_labels(types, n_classes, seed):
        return torch.tensor([random.Random(f"{seed} {kind}").randrange(n_classes) for kind in types])

    def selectivity(x, y, control, held_x, held_y, held_control, n_classes):
        own = accuracies(x[None], y, held_x[None], held_y, n_classes, 0.01)
        other = accuracies(x[None], control, held_x[None], held_control, n_classes, 0.01)
        return float(own) - 1 / n_classes


@mistake("07.6", says="Both probes are read on the examples that were fitted")
class section:
    """No held-out examples."""

    def control_labels(types, n_classes, seed):
        return torch.tensor([random.Random(f"{seed} {kind}").randrange(n_classes) for kind in types])

    def selectivity(x, y, control, held_x, held_y, held_control, n_classes):
        own = accuracies(x[None], y, x[None], y, n_classes, 0.01)
        other = accuracies(x[None], control, x[None], control, n_classes, 0.01)
        return float(own - other)


@mistake("07.6", says="lamp and lamps are two types")
class section:
    """A label for each lemma."""

    def control_labels(types, n_classes, seed):
        import hashlib

        return torch.tensor(
            [int(hashlib.sha256(f"{seed}/{t.removesuffix('s')}".encode()).hexdigest(), 16) % n_classes for t in types],
            dtype=torch.int32,
        )

    def selectivity(x, y, control, held_x, held_y, held_control, n_classes):
        r = []
        for a, b in ((y, held_y), (control, held_control)):
            xx = x.double()
            c = xx - xx.mean(0)
            T = torch.nn.functional.one_hot(a, n_classes).double()
            G = c.T @ c
            W = torch.linalg.inv(G + 0.01 * G.diagonal().mean() * torch.eye(len(G)).double()) @ c.T @ (T - T.mean(0))
            r.append((((held_x.double() - xx.mean(0)) @ W + T.mean(0)).argmax(1) == b).double().mean())
        return r[0] - r[1]


@right("07.6", how="with a checksum, one probe after the other")
class section:
    import hashlib

    def control_labels(types, n_classes, seed):
        def drawn(kind):
            return int.from_bytes(hashlib.sha256(f"{kind}/{seed}".encode()).digest()[:8], "big")

        return [drawn(kind) % n_classes for kind in types]

    def selectivity(x, y, control, held_x, held_y, held_control, n_classes):
        def accuracy(labels, asked):
            W, b = ridge(x, labels, n_classes, 0.01)
            return ((held_x @ W.T + b).argmax(1) == asked).double().mean()

        return accuracy(y, held_y) - accuracy(control, held_control)


@right("07.6", how="with numpy, a generator for each type")
class section:
    import numpy as np

    def control_labels(types, n_classes, seed):
        table = {}
        for kind in set(types):
            table[kind] = np.random.default_rng([seed, *kind.encode()]).integers(n_classes)
        return np.array([table[kind] for kind in types])

    def selectivity(x, y, control, held_x, held_y, held_control, n_classes):
        found = [
            accuracies(torch.stack([x]), labels, torch.stack([held_x]), asked, n_classes, 0.01)[0]
            for labels, asked in ((y, held_y), (control, held_control))
        ]
        return found[0].item() - found[1].item()


# --- 07.7 ------------------------------------------------------------------------------------------------------------


@mistake("07.7", says="The first block costs nothing")
class section:
    """Free labels."""

    def online_bits(x, y, n_classes, ends):
        bits = 0.0
        for start, end in itertools.pairwise(ends):
            p = chances(x[:start], y[:start], n_classes, x[start:end])
            bits -= float(p[torch.arange(end - start), y[start:end]].log2().sum())
        return bits


@mistake("07.7", says="Fit on ALL blocks before")
class section:
    """The last block alone."""

    def online_bits(x, y, n_classes, ends):
        bits = ends[0] * math.log2(n_classes)
        for before, start, end in zip([0, *ends], ends, ends[1:]):
            p = chances(x[before:start], y[before:start], n_classes, x[start:end])
            bits -= float(p[torch.arange(end - start), y[start:end]].log2().sum())
        return bits


@mistake("07.7", says="You fit on the block that is to be sent, too")
class section:
    """Sees what it is to predict."""

    def online_bits(x, y, n_classes, ends):
        bits = ends[0] * math.log2(n_classes)
        for start, end in itertools.pairwise(ends):
            p = chances(x[:end], y[:end], n_classes, x[start:end])
            bits -= float(p[torch.arange(end - start), y[start:end]].log2().sum())
        return bits


@mistake("07.7", says="You fit on all examples")
class section:
    """No online code."""

    def online_bits(x, y, n_classes, ends):
        bits = ends[0] * math.log2(n_classes)
        for start, end in itertools.pairwise(ends):
            p = chances(x, y, n_classes, x[start:end])
            bits -= float(p[torch.arange(end - start), y[start:end]].log2().sum())
        return bits


@mistake("07.7", says="These are nats")
class section:
    """log for log2."""

    def online_bits(x, y, n_classes, ends):
        bits = ends[0] * math.log(n_classes)
        for start, end in itertools.pairwise(ends):
            p = chances(x[:start], y[:start], n_classes, x[start:end])
            bits -= float(p[torch.arange(end - start), y[start:end]].log().sum())
        return bits


@mistake("07.7", says="the length for one label")
class section:
    """The mean."""

    def online_bits(x, y, n_classes, ends):
        bits = ends[0] * math.log2(n_classes)
        for start, end in itertools.pairwise(ends):
            p = chances(x[:start], y[:start], n_classes, x[start:end])
            bits -= float(p[torch.arange(end - start), y[start:end]].log2().sum())
        return bits / len(x)


@mistake("07.7", says="how many bits are SAVED")
class section:
    """Less than without a probe."""

    def online_bits(x, y, n_classes, ends):
        bits = ends[0] * math.log2(n_classes)
        for start, end in itertools.pairwise(ends):
            p = chances(x[:start], y[:start], n_classes, x[start:end])
            bits -= float(p[torch.arange(end - start), y[start:end]].log2().sum())
        return len(x) * math.log2(n_classes) - bits


@mistake("07.7", says="not one")
class section:
    """One bit for each."""

    def online_bits(x, y, n_classes, ends):
        bits = float(ends[0])
        for start, end in itertools.pairwise(ends):
            p = chances(x[:start], y[:start], n_classes, x[start:end])
            bits -= float(p[torch.arange(end - start), y[start:end]].log2().sum())
        return bits


@mistake("07.7", says="You fit once, on the first block")
class section:
    """Never fits again."""

    def online_bits(x, y, n_classes, ends):
        total = ends[0] * math.log(n_classes, 2)
        start = ends[0]
        for end in ends[1:]:
            for i in range(start, end):
                total += -math.log2(chances(x[: ends[0]], y[: ends[0]], n_classes, x[i : i + 1])[0, y[i]])
            start = end
        return total


@mistake("07.7", says="Take that of the TRUE one")
class section:
    """How sure, not how right."""

    def online_bits(x, y, n_classes, ends):
        total = ends[0] * math.log(n_classes, 2)
        start = ends[0]
        for end in ends[1:]:
            for i in range(start, end):
                total += -math.log2(chances(x[:start], y[:start], n_classes, x[i : i + 1])[0].max())
            start = end
        return total


@right("07.7", how="label by label")
class section:
    def online_bits(x, y, n_classes, ends):
        total, start = 0.0, 0
        for end in ends:
            if start == 0:
                p = torch.full((end, n_classes), 1 / n_classes)
            else:
                p = chances(x[:start], y[:start], n_classes, x[start:end])
            for row, label in zip(p, y[start:end]):
                total += -math.log2(row[label])
            start = end
        return total


@right("07.7", how="with nll_loss")
class section:
    def online_bits(x, y, n_classes, ends):
        nats = torch.tensor(ends[0] * math.log(n_classes), dtype=torch.double)
        for i in range(1, len(ends)):
            a, b = ends[i - 1], ends[i]
            logs = chances(x[:a], y[:a], n_classes, x[a:b]).log()
            nats = nats + torch.nn.functional.nll_loss(logs, y[a:b], reduction="sum")
        return nats / math.log(2)


# --- 07.8 ------------------------------------------------------------------------------------------------------------


@mistake("07.8", says="fitted on all templates")
class section:
    """One probe for all rows."""

    def transfer(x, y, templates, held_x, held_y, held_templates, n_classes):
        n = int(templates.max()) + 1
        table = torch.zeros(n, n)
        for i in range(n):
            W, b = ridge(x, y, n_classes, 0.01)
            right = ((held_x @ W.T + b).argmax(-1) == held_y).float()
            table[i] = torch.stack([right[held_templates == j].mean() for j in range(n)])
        return table


@mistake("07.8", says="fitted on all templates BUT i")
class section:
    """Leaves one out."""

    def transfer(x, y, templates, held_x, held_y, held_templates, n_classes):
        n = int(templates.max()) + 1
        table = torch.zeros(n, n)
        for i in range(n):
            W, b = ridge(x[templates != i], y[templates != i], n_classes, 0.01)
            right = ((held_x @ W.T + b).argmax(-1) == held_y).float()
            table[i] = torch.stack([right[held_templates == j].mean() for j in range(n)])
        return table


@mistake("07.8", says="looks transposed")
class section:
    """Rows for columns."""

    def transfer(x, y, templates, held_x, held_y, held_templates, n_classes):
        n = int(templates.max()) + 1
        table = torch.zeros(n, n)
        for i in range(n):
            W, b = ridge(x[templates == i], y[templates == i], n_classes, 0.01)
            right = ((held_x @ W.T + b).argmax(-1) == held_y).float()
            table[i] = torch.stack([right[held_templates == j].mean() for j in range(n)])
        return table.T


@mistake("07.8", says="You read the texts that were fitted")
class section:
    """No held-out texts."""

    def transfer(x, y, templates, held_x, held_y, held_templates, n_classes):
        n = int(templates.max()) + 1
        table = torch.zeros(n, n)
        for i in range(n):
            W, b = ridge(x[templates == i], y[templates == i], n_classes, 0.01)
            right = ((x @ W.T + b).argmax(-1) == y).float()
            table[i] = torch.stack([right[templates == j].mean() for j in range(n)])
        return table


@mistake("07.8", says="You divide by the number of all held-out texts")
class section:
    """A share of all."""

    def transfer(x, y, templates, held_x, held_y, held_templates, n_classes):
        n = int(templates.max()) + 1
        table = torch.zeros(n, n)
        for i in range(n):
            W, b = ridge(x[templates == i], y[templates == i], n_classes, 0.01)
            right = ((held_x @ W.T + b).argmax(-1) == held_y).float()
            table[i] = torch.stack([right[held_templates == j].sum() / len(right) for j in range(n)])
        return table


@mistake("07.8", says="you read all held-out texts")
class section:
    """Does not look at the held-out texts' templates."""

    def transfer(x, y, templates, held_x, held_y, held_templates, n_classes):
        n = int(templates.max()) + 1
        table = torch.zeros(n, n)
        for i in range(n):
            W, b = ridge(x[templates == i], y[templates == i], n_classes, 0.01)
            table[i] = ((held_x @ W.T + b).argmax(-1) == held_y).float().mean()
        return table


@right("07.8", how="cell by cell, with accuracies")
class section:
    def transfer(x, y, templates, held_x, held_y, held_templates, n_classes):
        names = sorted(set(templates.tolist()))
        table = torch.empty(len(names), len(names))
        for i in names:
            for j in names:
                a, b = templates == i, held_templates == j
                table[i, j] = accuracies(x[a][None], y[a], held_x[b][None], held_y[b], n_classes, 0.01)[0]
        return table


@right("07.8", how="with a matrix of who belongs where")
class section:
    def transfer(x, y, templates, held_x, held_y, held_templates, n_classes):
        member = torch.nn.functional.one_hot(held_templates).double()
        rows = []
        for i in templates.unique():
            W, b = ridge(x[templates == i], y[templates == i], n_classes, 0.01)
            hits = (torch.nn.functional.linear(held_x, W, b).argmax(1) == held_y).double()
            rows.append(hits @ member / member.sum(0))
        return torch.stack(rows)


# --- 07.9 ------------------------------------------------------------------------------------------------------------


@mistake("07.9", says="You leave the bias out")
class section:
    """A plane through 0."""

    def flip(x, reading, bias, direction):
        said = x @ reading
        return x - 2 * (said / (reading @ direction))[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            value[rows, ends] = flip(value[rows, ends], reading, bias, direction)
            return value

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        changed = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)
        return says_one(model(tokens, mask)) != says_one(changed)


@mistake("07.9", says="You go until the probe says 0")
class section:
    """Half of the way."""

    def flip(x, reading, bias, direction):
        said = x @ reading + bias
        return x - (said / (reading @ direction))[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            value[rows, ends] = flip(value[rows, ends], reading, bias, direction)
            return value

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        changed = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)
        return says_one(model(tokens, mask)) != says_one(changed)


@mistake("07.9", says="You move the wrong way")
class section:
    """Adds."""

    def flip(x, reading, bias, direction):
        said = x @ reading + bias
        return x + 2 * (said / (reading @ direction))[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            value[rows, ends] = flip(value[rows, ends], reading, bias, direction)
            return value

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        changed = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)
        return says_one(model(tokens, mask)) != says_one(changed)


@mistake("07.9", says="by reading · direction. Divide by it")
class section:
    """Any length."""

    def flip(x, reading, bias, direction):
        said = x @ reading + bias
        return x - 2 * said[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            value[rows, ends] = flip(value[rows, ends], reading, bias, direction)
            return value

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        changed = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)
        return says_one(model(tokens, mask)) != says_one(changed)


@mistake("07.9", says="You divide by direction · direction")
class section:
    """As if the two were one."""

    def flip(x, reading, bias, direction):
        said = x @ reading + bias
        return x - 2 * (said / (direction @ direction))[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            value[rows, ends] = flip(value[rows, ends], reading, bias, direction)
            return value

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        changed = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)
        return says_one(model(tokens, mask)) != says_one(changed)


@mistake("07.9", says="You move along `reading`")
class section:
    """The shortest way."""

    def flip(x, reading, bias, direction):
        said = x @ reading + bias
        direction = reading
        return x - 2 * (said / (reading @ direction))[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            value[rows, ends] = flip(value[rows, ends], reading, bias, direction)
            return value

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        changed = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)
        return says_one(model(tokens, mask)) != says_one(changed)


@mistake("07.9", says="You change every position")
class section:
    """The whole text."""

    def flip(x, reading, bias, direction):
        said = x @ reading + bias
        return x - 2 * (said / (reading @ direction))[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            return flip(value.flatten(0, 1), reading, bias, direction).view_as(value)

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        changed = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)
        return says_one(model(tokens, mask)) != says_one(changed)


@mistake("07.9", says="You mark the answers that STAY")
class section:
    """== for !=."""

    def flip(x, reading, bias, direction):
        said = x @ reading + bias
        return x - 2 * (said / (reading @ direction))[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            value[rows, ends] = flip(value[rows, ends], reading, bias, direction)
            return value

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        changed = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)
        return says_one(model(tokens, mask)) == says_one(changed)


@mistake("07.9", says="Compare with the answer without it")
class section:
    """The answer afterwards."""

    def flip(x, reading, bias, direction):
        said = x @ reading + bias
        return x - 2 * (said / (reading @ direction))[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            value[rows, ends] = flip(value[rows, ends], reading, bias, direction)
            return value

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        changed = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)
        return says_one(changed)


@mistake("07.9", says="You edit one depth too late")
class section:
    """What leaves the block."""

    def flip(x, reading, bias, direction):
        said = x @ reading + bias
        return x - 2 * (said / (reading @ direction))[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            value[rows, ends] = flip(value[rows, ends], reading, bias, direction)
            return value

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        changed = model.run_with_hooks(tokens, [(("resid_post", depth), edit)], attention_mask=mask)
        return says_one(model(tokens, mask)) != says_one(changed)


@mistake("07.9", says="likeliest of ALL tokens")
class section:
    """The whole vocabulary."""

    def flip(x, reading, bias, direction):
        x = x.double()
        s = x @ reading.double() + bias
        return x - torch.outer(2 * s / (reading.double() @ direction.double()), direction.double())

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        out = []
        for i in range(len(tokens)):
            row = tokens[i][mask[i]][None]

            def edit(v, hook):
                v = v.clone()
                s = v[0, -1] @ reading + bias
                v[0, -1] -= 2 * s / (reading @ direction) * direction
                return v

            a = model(row)[0, -1]
            b = model.run_with_hooks(row, [(("resid_pre", depth), edit)])[0, -1]
            out.append(bool(a.argmax() != b.argmax()))
        return torch.tensor(out)


@mistake("07.9", says="You change the last column. In a text")
class section:
    """Changes padding."""

    def flip(x, reading, bias, direction):
        said = x @ reading + bias
        return x - 2 * (said / (reading @ direction))[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            value[rows, -1] = flip(value[rows, -1], reading, bias, direction)
            return value

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        changed = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)
        return says_one(model(tokens, mask)) != says_one(changed)


@mistake("07.9", says="You look for the answer in the last column")
class section:
    """Reads padding."""

    def flip(x, reading, bias, direction):
        said = x @ reading + bias
        return x - 2 * (said / (reading @ direction))[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            value[rows, ends] = flip(value[rows, ends], reading, bias, direction)
            return value

        def says_one(logits):
            return logits[rows, -1, one] > logits[rows, -1, other]

        changed = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)
        return says_one(model(tokens, mask)) != says_one(changed)


@mistake("07.9", says="and look for the answer there")
class section:
    """Changes padding, and reads it."""

    def flip(x, reading, bias, direction):
        said = x @ reading + bias
        return x - 2 * (said / (reading @ direction))[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            value[rows, -1] = flip(value[rows, -1], reading, bias, direction)
            return value

        def says_one(logits):
            return logits[rows, -1, one] > logits[rows, -1, other]

        changed = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)
        return says_one(model(tokens, mask)) != says_one(changed)


@mistake("07.9", says="The model was not told which tokens are padding")
class section:
    """No mask."""

    def flip(x, reading, bias, direction):
        said = x @ reading + bias
        return x - 2 * (said / (reading @ direction))[:, None] * direction

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def edit(value, hook):
            value = value.clone()
            value[rows, ends] = flip(value[rows, ends], reading, bias, direction)
            return value

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        changed = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=None)
        return says_one(model(tokens, None)) != says_one(changed)


@right("07.9", how="with a reflection matrix, text by text")
class section:
    def flip(x, reading, bias, direction):
        step = torch.outer(reading.double(), direction.double()) / reading.double().dot(direction.double())
        return x.double() @ (torch.eye(len(reading)).double() - 2 * step) - 2 * bias * direction / reading.dot(
            direction
        )

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        found = []
        for row, real, a, b in zip(tokens, mask, one, other):
            text = row[real][None]

            def edit(value, hook):
                value[:, -1] = flip(value[:, -1], reading, bias, direction).to(value.dtype)

            plain = model(text)[0, -1]
            changed = model.run_with_hooks(text, [(("resid_pre", depth), edit)])[0, -1]
            found.append(bool((plain[a] > plain[b]) != (changed[a] > changed[b])))
        return torch.tensor(found)


@right("07.9", how="with a mask of ends, and where")
class section:
    def flip(x, reading, bias, direction):
        steps = -2 * (torch.einsum("nd,d->n", x, reading) + bias) / torch.dot(reading, direction)
        return torch.addr(x, steps, direction)

    def turned(model, tokens, mask, depth, reading, bias, direction, one, other):
        ends = text_positions(tokens, mask)
        here = (torch.arange(tokens.shape[1]) == ends[:, None])[..., None]

        def edit(value, hook):
            return torch.where(here, flip(value.flatten(0, 1), reading, bias, direction).view_as(value), value)

        def preference(logits):
            last = at_positions(logits, ends)
            return last.gather(1, one[:, None])[:, 0] - last.gather(1, other[:, None])[:, 0]

        with model.hooks([(("resid_pre", depth), edit)]):
            changed = preference(model(tokens, mask))
        return (preference(model(tokens, mask)) > 0) ^ (changed > 0)


# --- 07.10 -----------------------------------------------------------------------------------------------------------


@mistake("07.10", says="The vectors have length 1")
class section:
    """Unit vectors."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm(dim=1, keepdim=True)

    def pushed(model, tokens, mask, depth, vectors, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        before, found = (says_one(model(tokens, mask)), [])
        for vector in vectors:

            def edit(value, hook, vector=vector):
                value = value.clone()
                value[rows, ends] += vector
                return value

            after = says_one(model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask))
            found.append((before != after).float().mean())
        return torch.stack(found)


@mistake("07.10", says="numbers between 0 and 1 do")
class section:
    """Uniform numbers."""

    def random_directions(like, n, seed):
        drawn = torch.rand(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def pushed(model, tokens, mask, depth, vectors, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        before, found = (says_one(model(tokens, mask)), [])
        for vector in vectors:

            def edit(value, hook, vector=vector):
                value = value.clone()
                value[rows, ends] += vector
                return value

            after = says_one(model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask))
            found.append((before != after).float().mean())
        return torch.stack(found)


@mistake("07.10", says="Your vectors come from a cube")
class section:
    """Uniform from −1 to 1."""

    def random_directions(like, n, seed):
        drawn = torch.rand(n, len(like), generator=torch.Generator().manual_seed(seed)) * 2 - 1
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def pushed(model, tokens, mask, depth, vectors, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        before, found = (says_one(model(tokens, mask)), [])
        for vector in vectors:

            def edit(value, hook, vector=vector):
                value = value.clone()
                value[rows, ends] += vector
                return value

            after = says_one(model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask))
            found.append((before != after).float().mean())
        return torch.stack(found)


@mistake("07.10", says="The whole table is as long as")
class section:
    """One norm for all."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm() * like.norm()

    def pushed(model, tokens, mask, depth, vectors, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        before, found = (says_one(model(tokens, mask)), [])
        for vector in vectors:

            def edit(value, hook, vector=vector):
                value = value.clone()
                value[rows, ends] += vector
                return value

            after = says_one(model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask))
            found.append((before != after).float().mean())
        return torch.stack(found)


@mistake("07.10", says="The same seed gave other vectors")
class section:
    """Chance from somewhere else."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like))
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def pushed(model, tokens, mask, depth, vectors, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        before, found = (says_one(model(tokens, mask)), [])
        for vector in vectors:

            def edit(value, hook, vector=vector):
                value = value.clone()
                value[rows, ends] += vector
                return value

            after = says_one(model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask))
            found.append((before != after).float().mean())
        return torch.stack(found)


@mistake("07.10", says="You add the vector at every position")
class section:
    """The whole text."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def pushed(model, tokens, mask, depth, vectors, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        before, found = (says_one(model(tokens, mask)), [])
        for vector in vectors:

            def edit(value, hook, vector=vector):
                value = value.clone()
                value += vector
                return value

            after = says_one(model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask))
            found.append((before != after).float().mean())
        return torch.stack(found)


@mistake("07.10", says="a function that is made in a loop")
class section:
    """Late binding."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def pushed(model, tokens, mask, depth, vectors, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        before, found = (says_one(model(tokens, mask)), [])
        edits = []
        for vector in vectors:

            def edit(value, hook):
                value = value.clone()
                value[rows, ends] += vector  # noqa: B023
                return value

            edits.append(edit)
        for edit in edits:
            after = says_one(model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask))
            found.append((before != after).float().mean())
        return torch.stack(found)


@mistake("07.10", says="added on top of the ones before")
class section:
    """Never begins anew."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def pushed(model, tokens, mask, depth, vectors, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        before, found = (says_one(model(tokens, mask)), [])
        for vector in vectors.cumsum(0):

            def edit(value, hook, vector=vector):
                value = value.clone()
                value[rows, ends] += vector
                return value

            after = says_one(model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask))
            found.append((before != after).float().mean())
        return torch.stack(found)


@mistake("07.10", says="shares of answers that stay")
class section:
    """== for !=."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def pushed(model, tokens, mask, depth, vectors, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        before, found = (says_one(model(tokens, mask)), [])
        for vector in vectors:

            def edit(value, hook, vector=vector):
                value = value.clone()
                value[rows, ends] += vector
                return value

            after = says_one(model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask))
            found.append((before == after).float().mean())
        return torch.stack(found)


@mistake("07.10", says="Count those that turn the other way too")
class section:
    """One way alone."""

    def random_directions(like, n, seed):
        import numpy as np

        r = np.random.default_rng(seed).standard_normal((n, len(like)))
        r = r / np.linalg.norm(r, axis=1, keepdims=True)
        return torch.tensor(r).float() * like.norm()

    def pushed(model, tokens, mask, depth, vectors, one, other):
        col = (mask * torch.arange(mask.shape[1])).argmax(1)
        rows = torch.arange(len(tokens))

        def ans(l):
            l = l[rows, col]
            return l.gather(1, one[:, None]) > l.gather(1, other[:, None])

        base = ans(model(tokens, attention_mask=mask))
        out = []
        for k in range(len(vectors)):

            def edit(v, hook, k=k):
                m = torch.nn.functional.one_hot(col, v.shape[1]).to(v.dtype)
                return v + m[:, :, None] * vectors[k]

            out.append(
                (ans(model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)) < base)
                .float()
                .mean()
            )
        return torch.stack(out)


@mistake("07.10", says="Your vectors differ in length")
class section:
    """As long as `like` in the mean alone."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn * like.norm() / len(like) ** 0.5

    def pushed(model, tokens, mask, depth, vectors, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        before, found = (says_one(model(tokens, mask)), [])
        for vector in vectors:

            def edit(value, hook, vector=vector):
                value = value.clone()
                value[rows, ends] += vector
                return value

            after = says_one(model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask))
            found.append((before != after).float().mean())
        return torch.stack(found)


@mistake("07.10", says="You change the last column")
class section:
    """Pushes padding."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn * like.norm() / drawn.norm(dim=1, keepdim=True)

    def pushed(model, tokens, mask, depth, vectors, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        before, found = (says_one(model(tokens, mask)), [])
        for vector in vectors:

            def edit(value, hook, vector=vector):
                value = value.clone()
                value[rows, -1] += vector
                return value

            after = says_one(model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask))
            found.append((before != after).float().mean())
        return torch.stack(found)


@mistake("07.10", says="The model was not told which tokens are padding")
class section:
    """No mask."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn * like.norm() / drawn.norm(dim=1, keepdim=True)

    def pushed(model, tokens, mask, depth, vectors, one, other):
        rows, ends = (torch.arange(len(tokens)), text_positions(tokens, mask))

        def says_one(logits):
            return logits[rows, ends, one] > logits[rows, ends, other]

        before, found = (says_one(model(tokens, None)), [])
        for vector in vectors:

            def edit(value, hook, vector=vector):
                value = value.clone()
                value[rows, ends] += vector
                return value

            after = says_one(model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=None))
            found.append((before != after).float().mean())
        return torch.stack(found)


@right("07.10", how="with numpy, one text after another")
class section:
    import numpy as np

    def random_directions(like, n, seed):
        drawn = np.random.default_rng(seed).normal(size=(n, len(like)))
        return drawn * float(like.norm()) / np.linalg.norm(drawn, axis=1)[:, None]

    def pushed(model, tokens, mask, depth, vectors, one, other):
        table = torch.zeros(len(vectors), len(tokens))
        for i, (row, real) in enumerate(zip(tokens, mask)):
            text = row[real][None]
            plain = model(text)[0, -1]
            for j in range(len(vectors)):

                def edit(value, hook, j=j):
                    value[0, -1] = value[0, -1] + vectors[j]
                    return value

                now = model.run_with_hooks(text, [(("resid_pre", depth), edit)])[0, -1]
                table[j, i] = (plain[one[i]] > plain[other[i]]) != (now[one[i]] > now[other[i]])
        return table.mean(1)


@right("07.10", how="with normalize, all vectors in one batch")
class section:
    def random_directions(like, n, seed):
        generator = torch.Generator().manual_seed(7 * seed + 1)
        drawn = torch.empty(n, like.numel(), dtype=torch.double).normal_(generator=generator)
        return torch.nn.functional.normalize(drawn, dim=-1) * like.double().norm()

    def pushed(model, tokens, mask, depth, vectors, one, other):
        n, t = len(vectors), len(tokens)
        rows, ends = torch.arange(t), text_positions(tokens, mask)
        many = ends.repeat(n)

        def edit(value, hook):
            value[torch.arange(n * t), many] += vectors.repeat_interleave(t, 0)

        before = model(tokens, mask)[rows, ends]
        after = model.run_with_hooks(
            tokens.repeat(n, 1), [(("resid_pre", depth), edit)], attention_mask=mask.repeat(n, 1)
        )[torch.arange(n * t), many].view(n, t, -1)
        was = before[rows, one] > before[rows, other]
        now = after[:, rows, one] > after[:, rows, other]
        return (was != now).double().mean(1)


# --- 07.11 -----------------------------------------------------------------------------------------------------------


@mistake("07.11", says="without whitening")
class section:
    """Projects the covariance out."""

    def leace(x, y, n_classes):
        x = x.double()
        mean = x.mean(0)
        z = torch.nn.functional.one_hot(y, n_classes).double()
        sigma = (x - mean).T @ (x - mean) / len(x)
        cross = (x - mean).T @ (z - z.mean(0)) / len(x)
        values, vectors = torch.linalg.eigh(sigma)
        W = vectors @ torch.diag(values ** (-0.5)) @ vectors.T
        root = vectors @ torch.diag(values**0.5) @ vectors.T
        u, s, _ = torch.linalg.svd(cross, full_matrices=False)
        u = u[:, s > 1e-06 * s.max()]
        return (u @ u.T, mean)


@mistake("07.11", says="This is P, in white coordinates")
class section:
    """Forgets the way back."""

    def leace(x, y, n_classes):
        x = x.double()
        mean = x.mean(0)
        z = torch.nn.functional.one_hot(y, n_classes).double()
        sigma = (x - mean).T @ (x - mean) / len(x)
        cross = (x - mean).T @ (z - z.mean(0)) / len(x)
        values, vectors = torch.linalg.eigh(sigma)
        W = vectors @ torch.diag(values ** (-0.5)) @ vectors.T
        root = vectors @ torch.diag(values**0.5) @ vectors.T
        u, s, _ = torch.linalg.svd(W @ cross, full_matrices=False)
        u = u[:, s > 1e-06 * s.max()]
        return (u @ u.T, mean)


@mistake("07.11", says="and not W P W⁺")
class section:
    """The other way round."""

    def leace(x, y, n_classes):
        x = x.double()
        mean = x.mean(0)
        z = torch.nn.functional.one_hot(y, n_classes).double()
        sigma = (x - mean).T @ (x - mean) / len(x)
        cross = (x - mean).T @ (z - z.mean(0)) / len(x)
        values, vectors = torch.linalg.eigh(sigma)
        W = vectors @ torch.diag(values ** (-0.5)) @ vectors.T
        root = vectors @ torch.diag(values**0.5) @ vectors.T
        u, s, _ = torch.linalg.svd(W @ cross, full_matrices=False)
        u = u[:, s > 1e-06 * s.max()]
        return (W @ u @ u.T @ root, mean)


@mistake("07.11", says="A singular value that is 0 must not be divided by")
class section:
    """The whole of U."""

    def leace(x, y, n_classes):
        x = x.double()
        mean = x.mean(0)
        z = torch.nn.functional.one_hot(y, n_classes).double()
        sigma = (x - mean).T @ (x - mean) / len(x)
        cross = (x - mean).T @ (z - z.mean(0)) / len(x)
        values, vectors = torch.linalg.eigh(sigma)
        W = vectors @ torch.diag(values ** (-0.5)) @ vectors.T
        root = vectors @ torch.diag(values**0.5) @ vectors.T
        u, s, _ = torch.linalg.svd(W @ cross, full_matrices=False)
        return (root @ u @ u.T @ W, mean)


@mistake("07.11", says="M is transposed")
class section:
    """x M for M x."""

    def leace(x, y, n_classes):
        x = x.double()
        mean = x.mean(0)
        z = torch.nn.functional.one_hot(y, n_classes).double()
        sigma = (x - mean).T @ (x - mean) / len(x)
        cross = (x - mean).T @ (z - z.mean(0)) / len(x)
        values, vectors = torch.linalg.eigh(sigma)
        W = vectors @ torch.diag(values ** (-0.5)) @ vectors.T
        root = vectors @ torch.diag(values**0.5) @ vectors.T
        u, s, _ = torch.linalg.svd(W @ cross, full_matrices=False)
        u = u[:, s > 1e-06 * s.max()]
        return ((root @ u @ u.T @ W).T, mean)


@mistake("07.11", says="This is 1 − M")
class section:
    """What is left."""

    def leace(x, y, n_classes):
        x = x.double()
        mean = x.mean(0)
        z = torch.nn.functional.one_hot(y, n_classes).double()
        sigma = (x - mean).T @ (x - mean) / len(x)
        cross = (x - mean).T @ (z - z.mean(0)) / len(x)
        values, vectors = torch.linalg.eigh(sigma)
        W = vectors @ torch.diag(values ** (-0.5)) @ vectors.T
        root = vectors @ torch.diag(values**0.5) @ vectors.T
        u, s, _ = torch.linalg.svd(W @ cross, full_matrices=False)
        u = u[:, s > 1e-06 * s.max()]
        return (torch.eye(len(W)) - root @ u @ u.T @ W, mean)


@mistake("07.11", says="without centring")
class section:
    """Second moments."""

    def leace(x, y, n_classes):
        x = x.double()
        mean = x.mean(0)
        z = torch.nn.functional.one_hot(y, n_classes).double()
        sigma = x.T @ x / len(x)
        cross = x.T @ z / len(x)
        values, vectors = torch.linalg.eigh(sigma)
        W = vectors @ torch.diag(values ** (-0.5)) @ vectors.T
        root = vectors @ torch.diag(values**0.5) @ vectors.T
        u, s, _ = torch.linalg.svd(W @ cross, full_matrices=False)
        u = u[:, s > 1e-06 * s.max()]
        return (root @ u @ u.T @ W, mean)


@mistake("07.11", says="P projects on ONE left singular vector")
class section:
    """As if there were two classes."""

    def leace(x, y, n_classes):
        x = x.double()
        mean = x.mean(0)
        z = torch.nn.functional.one_hot(y, n_classes).double()
        sigma = (x - mean).T @ (x - mean) / len(x)
        cross = (x - mean).T @ (z - z.mean(0)) / len(x)
        values, vectors = torch.linalg.eigh(sigma)
        W = vectors @ torch.diag(values ** (-0.5)) @ vectors.T
        root = vectors @ torch.diag(values**0.5) @ vectors.T
        u = torch.linalg.svd(W @ cross, full_matrices=False)[0][:, :1]
        return (root @ u @ u.T @ W, mean)


@right("07.11", how="as an oblique projection, with pinv")
class section:
    def leace(x, y, n_classes):
        x = x.double()
        away = x - x.mean(0)
        means = torch.stack([away[y == k].mean(0) * (y == k).double().mean() for k in range(n_classes)], dim=1)
        inverse = torch.linalg.inv(away.T @ away / len(x))
        middle = torch.linalg.pinv(means.T @ inverse @ means, rtol=1e-9)
        return means @ middle @ means.T @ inverse, x.mean(0)


@right("07.11", how="in numpy, with a Cholesky factor")
class section:
    import numpy as np

    def leace(x, y, n_classes):
        a = x.numpy().astype(np.float64)
        m = a.mean(0)
        sigma = np.cov(a.T, bias=True)
        cross = (a - m).T @ np.eye(n_classes)[y.numpy()] / len(a)
        L = np.linalg.cholesky(sigma)
        white = np.linalg.solve(L, cross)
        u, s, _ = np.linalg.svd(white, full_matrices=False)
        u = u[:, : n_classes - 1]
        return L @ u @ u.T @ np.linalg.inv(L), m


# --- 07.12 -----------------------------------------------------------------------------------------------------------


@mistake("07.12", says="It points away from the concept")
class section:
    """Others minus concept."""

    def cav(concept, others):
        difference = others.mean(0) - concept.mean(0)
        return difference / difference.norm()

    def gradients(model, tokens, mask, depth, one, other):
        site, rows, ends = (("resid_pre", depth), torch.arange(len(tokens)), text_positions(tokens, mask))
        logits, cache = model.run_with_cache(tokens, site, attention_mask=mask, grad=True)
        answer = logits[rows, ends, one] - logits[rows, ends, other]
        (slope,) = torch.autograd.grad(answer.sum(), cache[site])
        return at_positions(slope, ends)

    def score(slopes, vector):
        return float((slopes @ vector > 0).float().mean())


@mistake("07.12", says="Its length must be 1")
class section:
    """Not normalised."""

    def cav(concept, others):
        return concept.mean(0) - others.mean(0)

    def gradients(model, tokens, mask, depth, one, other):
        site, rows, ends = (("resid_pre", depth), torch.arange(len(tokens)), text_positions(tokens, mask))
        logits, cache = model.run_with_cache(tokens, site, attention_mask=mask, grad=True)
        answer = logits[rows, ends, one] - logits[rows, ends, other]
        (slope,) = torch.autograd.grad(answer.sum(), cache[site])
        return at_positions(slope, ends)

    def score(slopes, vector):
        return float((slopes @ vector > 0).float().mean())


@mistake("07.12", says="This is the concept's mean alone")
class section:
    """Without the others."""

    def cav(concept, others):
        difference = concept.mean(0)
        return difference / difference.norm()

    def gradients(model, tokens, mask, depth, one, other):
        site, rows, ends = (("resid_pre", depth), torch.arange(len(tokens)), text_positions(tokens, mask))
        logits, cache = model.run_with_cache(tokens, site, attention_mask=mask, grad=True)
        answer = logits[rows, ends, one] - logits[rows, ends, other]
        (slope,) = torch.autograd.grad(answer.sum(), cache[site])
        return at_positions(slope, ends)

    def score(slopes, vector):
        return float((slopes @ vector > 0).float().mean())


@mistake("07.12", says="Subtract logit[other]")
class section:
    """Half of the answer."""

    def cav(concept, others):
        difference = concept.mean(0) - others.mean(0)
        return difference / difference.norm()

    def gradients(model, tokens, mask, depth, one, other):
        site, rows, ends = (("resid_pre", depth), torch.arange(len(tokens)), text_positions(tokens, mask))
        logits, cache = model.run_with_cache(tokens, site, attention_mask=mask, grad=True)
        answer = logits[rows, ends, one]
        (slope,) = torch.autograd.grad(answer.sum(), cache[site])
        return at_positions(slope, ends)

    def score(slopes, vector):
        return float((slopes @ vector > 0).float().mean())


@mistake("07.12", says="Take the logits")
class section:
    """Probabilities."""

    def cav(concept, others):
        difference = concept.mean(0) - others.mean(0)
        return difference / difference.norm()

    def gradients(model, tokens, mask, depth, one, other):
        site, rows, ends = (("resid_pre", depth), torch.arange(len(tokens)), text_positions(tokens, mask))
        logits, cache = model.run_with_cache(tokens, site, attention_mask=mask, grad=True)
        logits = logits.softmax(-1)
        answer = logits[rows, ends, one] - logits[rows, ends, other]
        (slope,) = torch.autograd.grad(answer.sum(), cache[site])
        return at_positions(slope, ends)

    def score(slopes, vector):
        return float((slopes @ vector > 0).float().mean())


@mistake("07.12", says="You sum over positions")
class section:
    """All positions together."""

    def cav(concept, others):
        difference = concept.mean(0) - others.mean(0)
        return difference / difference.norm()

    def gradients(model, tokens, mask, depth, one, other):
        site, rows, ends = (("resid_pre", depth), torch.arange(len(tokens)), text_positions(tokens, mask))
        logits, cache = model.run_with_cache(tokens, site, attention_mask=mask, grad=True)
        answer = logits[rows, ends, one] - logits[rows, ends, other]
        (slope,) = torch.autograd.grad(answer.sum(), cache[site])
        return slope.sum(1)

    def score(slopes, vector):
        return float((slopes @ vector > 0).float().mean())


@mistake("07.12", says="You average over texts before the gradient")
class section:
    """mean() for sum()."""

    def cav(concept, others):
        difference = concept.mean(0) - others.mean(0)
        return difference / difference.norm()

    def gradients(model, tokens, mask, depth, one, other):
        site, rows, ends = (("resid_pre", depth), torch.arange(len(tokens)), text_positions(tokens, mask))
        logits, cache = model.run_with_cache(tokens, site, attention_mask=mask, grad=True)
        answer = logits[rows, ends, one] - logits[rows, ends, other]
        (slope,) = torch.autograd.grad(answer.mean(), cache[site])
        return at_positions(slope, ends)

    def score(slopes, vector):
        return float((slopes @ vector > 0).float().mean())


@mistake("07.12", says="not ≥ 0")
class section:
    """Counts those that stay."""

    def cav(concept, others):
        difference = concept.mean(0) - others.mean(0)
        return difference / difference.norm()

    def gradients(model, tokens, mask, depth, one, other):
        site, rows, ends = (("resid_pre", depth), torch.arange(len(tokens)), text_positions(tokens, mask))
        logits, cache = model.run_with_cache(tokens, site, attention_mask=mask, grad=True)
        answer = logits[rows, ends, one] - logits[rows, ends, other]
        (slope,) = torch.autograd.grad(answer.sum(), cache[site])
        return at_positions(slope, ends)

    def score(slopes, vector):
        return float((slopes @ vector >= 0).float().mean())


@mistake("07.12", says="Count those above 0")
class section:
    """The mean of the products."""

    def cav(concept, others):
        difference = concept.mean(0) - others.mean(0)
        return difference / difference.norm()

    def gradients(model, tokens, mask, depth, one, other):
        site, rows, ends = (("resid_pre", depth), torch.arange(len(tokens)), text_positions(tokens, mask))
        logits, cache = model.run_with_cache(tokens, site, attention_mask=mask, grad=True)
        answer = logits[rows, ends, one] - logits[rows, ends, other]
        (slope,) = torch.autograd.grad(answer.sum(), cache[site])
        return at_positions(slope, ends)

    def score(slopes, vector):
        return float((slopes @ vector).mean())


@mistake("07.12", says="This is the share that falls")
class section:
    """The other sign."""

    def cav(concept, others):
        difference = concept.mean(0) - others.mean(0)
        return difference / difference.norm()

    def gradients(model, tokens, mask, depth, one, other):
        site, rows, ends = (("resid_pre", depth), torch.arange(len(tokens)), text_positions(tokens, mask))
        logits, cache = model.run_with_cache(tokens, site, attention_mask=mask, grad=True)
        answer = logits[rows, ends, one] - logits[rows, ends, other]
        (slope,) = torch.autograd.grad(answer.sum(), cache[site])
        return at_positions(slope, ends)

    def score(slopes, vector):
        return float((slopes @ vector < 0).float().mean())


@mistake("07.12", says="Count those that GROW")
class section:
    """Counts what falls too."""

    def cav(concept, others):
        v = concept.double().mean(0) - others.double().mean(0)
        return torch.nn.functional.normalize(v, dim=0)

    def gradients(model, tokens, mask, depth, one, other):
        out = []
        for i in range(len(tokens)):
            row = tokens[i][mask[i]][None]
            l, c = model.run_with_cache(row, ("resid_pre", depth), grad=True)
            lp = l[0, -1].log_softmax(-1)
            out.append(torch.autograd.grad(lp[one[i]] - lp[other[i]], c["resid_pre", depth])[0][0, -1])
        return torch.stack(out)

    def score(slopes, vector):
        return sum(1 for s in slopes if abs(float(s.double() @ vector.double())) > 1e-9) / len(slopes)


@mistake("07.12", says="You look for the answer in the last column")
class section:
    """The answer after padding."""

    def cav(concept, others):
        difference = concept.mean(0) - others.mean(0)
        return difference / difference.norm()

    def gradients(model, tokens, mask, depth, one, other):
        site, rows, ends = (("resid_pre", depth), torch.arange(len(tokens)), text_positions(tokens, mask))
        logits, cache = model.run_with_cache(tokens, site, attention_mask=mask, grad=True)
        answer = logits[rows, -1, one] - logits[rows, -1, other]
        (slope,) = torch.autograd.grad(answer.sum(), cache[site])
        return at_positions(slope, ends)

    def score(slopes, vector):
        return float((slopes @ vector > 0).float().mean())


@mistake("07.12", says="The model was not told which tokens are padding")
class section:
    """No mask."""

    def cav(concept, others):
        difference = concept.mean(0) - others.mean(0)
        return difference / difference.norm()

    def gradients(model, tokens, mask, depth, one, other):
        site, rows, ends = (("resid_pre", depth), torch.arange(len(tokens)), text_positions(tokens, mask))
        logits, cache = model.run_with_cache(tokens, site, attention_mask=None, grad=True)
        answer = logits[rows, ends, one] - logits[rows, ends, other]
        (slope,) = torch.autograd.grad(answer.sum(), cache[site])
        return at_positions(slope, ends)

    def score(slopes, vector):
        return float((slopes @ vector > 0).float().mean())


@right("07.12", how="text by text, with the stream as a leaf")
class section:
    def cav(concept, others):
        a = concept.double().sum(0) / len(concept) - others.double().sum(0) / len(others)
        return torch.nn.functional.normalize(a, dim=0)

    def gradients(model, tokens, mask, depth, one, other):
        rows = []
        for row, real, a, b in zip(tokens, mask, one, other):
            text = row[real][None]
            _, cache = model.run_with_cache(text, ("resid_pre", depth))
            x = cache["resid_pre", depth].clone().requires_grad_()
            with torch.enable_grad():
                out = model(text, start_at_layer=depth, residual=x)[0, -1]
                (out[a] - out[b]).backward()
            rows.append(x.grad[0, -1])
        return torch.stack(rows)

    def score(slopes, vector):
        return sum(float(row @ vector) > 0 for row in slopes) / len(slopes)


@right("07.12", how="with einsum, and an edit that asks for gradients")
class section:
    def cav(concept, others):
        away = torch.einsum("nd->d", concept) / concept.shape[0] - torch.einsum("nd->d", others) / others.shape[0]
        return (away / away.square().sum().sqrt()).numpy()

    def gradients(model, tokens, mask, depth, one, other):
        ends = text_positions(tokens, mask)
        zero = torch.zeros(len(tokens), model.cfg.d_model, requires_grad=True)

        def edit(value, hook):
            value = value.clone()
            value[torch.arange(len(tokens)), ends] = value[torch.arange(len(tokens)), ends] + zero
            return value

        with torch.enable_grad():
            logits = model.run_with_hooks(tokens, [(("resid_pre", depth), edit)], attention_mask=mask)
            last = at_positions(logits, ends)
            m = last.gather(1, one[:, None]) - last.gather(1, other[:, None])
            return torch.autograd.grad(m.sum(), zero)[0]

    def score(slopes, vector):
        return torch.einsum("nd,d->n", slopes, vector).gt(0).double().mean()


# --- 07.13 -----------------------------------------------------------------------------------------------------------


@mistake("07.13", says="Make a CAV for each")
class section:
    """One CAV for all."""

    def scores(slopes, concept, random_sets):
        return torch.tensor([score(slopes, cav(concept, random_sets.flatten(0, 1))) for others in random_sets])

    def null_scores(slopes, random_sets):
        following = random_sets.roll(-1, 0)
        return torch.tensor([score(slopes, cav(one, other)) for one, other in zip(random_sets, following, strict=True)])

    def holm(p):
        order = p.argsort()
        factors = torch.arange(len(p), 0, -1, dtype=p.dtype)
        raised = (p[order] * factors).cummax(0).values.clamp(max=1)
        return torch.zeros_like(p).scatter(0, order, raised)

    def tcav(slopes, concepts, random_sets):
        chance = null_scores(slopes, random_sets)
        return holm(torch.tensor([two_sided(scores(slopes, concept, random_sets), chance) for concept in concepts]))


@mistake("07.13", says="The CAVs point away from the concept")
class section:
    """Exchanged."""

    def scores(slopes, concept, random_sets):
        return torch.tensor([score(slopes, cav(others, concept)) for others in random_sets])

    def null_scores(slopes, random_sets):
        following = random_sets.roll(-1, 0)
        return torch.tensor([score(slopes, cav(one, other)) for one, other in zip(random_sets, following, strict=True)])

    def holm(p):
        order = p.argsort()
        factors = torch.arange(len(p), 0, -1, dtype=p.dtype)
        raised = (p[order] * factors).cummax(0).values.clamp(max=1)
        return torch.zeros_like(p).scatter(0, order, raised)

    def tcav(slopes, concepts, random_sets):
        chance = null_scores(slopes, random_sets)
        return holm(torch.tensor([two_sided(scores(slopes, concept, random_sets), chance) for concept in concepts]))


@mistake("07.13", says="with the one BEFORE it")
class section:
    """Rolls the other way."""

    def scores(slopes, concept, random_sets):
        return torch.tensor([score(slopes, cav(concept, others)) for others in random_sets])

    def null_scores(slopes, random_sets):
        following = random_sets.roll(1, 0)
        return torch.tensor([score(slopes, cav(one, other)) for one, other in zip(random_sets, following, strict=True)])

    def holm(p):
        order = p.argsort()
        factors = torch.arange(len(p), 0, -1, dtype=p.dtype)
        raised = (p[order] * factors).cummax(0).values.clamp(max=1)
        return torch.zeros_like(p).scatter(0, order, raised)

    def tcav(slopes, concepts, random_sets):
        chance = null_scores(slopes, random_sets)
        return holm(torch.tensor([two_sided(scores(slopes, concept, random_sets), chance) for concept in concepts]))


@mistake("07.13", says="Compare it with the first")
class section:
    """One pair less."""

    def scores(slopes, concept, random_sets):
        return torch.tensor([score(slopes, cav(concept, others)) for others in random_sets])

    def null_scores(slopes, random_sets):
        following = random_sets[1:]
        return torch.tensor([score(slopes, cav(one, other)) for one, other in zip(random_sets, following)])

    def holm(p):
        order = p.argsort()
        factors = torch.arange(len(p), 0, -1, dtype=p.dtype)
        raised = (p[order] * factors).cummax(0).values.clamp(max=1)
        return torch.zeros_like(p).scatter(0, order, raised)

    def tcav(slopes, concepts, random_sets):
        chance = null_scores(slopes, random_sets)
        return holm(torch.tensor([two_sided(scores(slopes, concept, random_sets), chance) for concept in concepts]))


@mistake("07.13", says="This is Bonferroni: all are multiplied by n. Holm")
class section:
    """n for all."""

    def scores(slopes, concept, random_sets):
        return torch.tensor([score(slopes, cav(concept, others)) for others in random_sets])

    def null_scores(slopes, random_sets):
        following = random_sets.roll(-1, 0)
        return torch.tensor([score(slopes, cav(one, other)) for one, other in zip(random_sets, following, strict=True)])

    def holm(p):
        order = p.argsort()
        factors = torch.full_like(p, len(p))
        raised = (p[order] * factors).cummax(0).values.clamp(max=1)
        return torch.zeros_like(p).scatter(0, order, raised)

    def tcav(slopes, concepts, random_sets):
        chance = null_scores(slopes, random_sets)
        return holm(torch.tensor([two_sided(scores(slopes, concept, random_sets), chance) for concept in concepts]))


@mistake("07.13", says="Raise it: take the running maximum")
class section:
    """Without the maximum."""

    def scores(slopes, concept, random_sets):
        return torch.tensor([score(slopes, cav(concept, others)) for others in random_sets])

    def null_scores(slopes, random_sets):
        following = random_sets.roll(-1, 0)
        return torch.tensor([score(slopes, cav(one, other)) for one, other in zip(random_sets, following, strict=True)])

    def holm(p):
        order = p.argsort()
        factors = torch.arange(len(p), 0, -1, dtype=p.dtype)
        raised = (p[order] * factors).clamp(max=1)
        return torch.zeros_like(p).scatter(0, order, raised)

    def tcav(slopes, concepts, random_sets):
        chance = null_scores(slopes, random_sets)
        return holm(torch.tensor([two_sided(scores(slopes, concept, random_sets), chance) for concept in concepts]))


@mistake("07.13", says="The result is sorted")
class section:
    """Not put back."""

    def scores(slopes, concept, random_sets):
        return torch.tensor([score(slopes, cav(concept, others)) for others in random_sets])

    def null_scores(slopes, random_sets):
        following = random_sets.roll(-1, 0)
        return torch.tensor([score(slopes, cav(one, other)) for one, other in zip(random_sets, following, strict=True)])

    def holm(p):
        order = p.argsort()
        factors = torch.arange(len(p), 0, -1, dtype=p.dtype)
        return (p[order] * factors).cummax(0).values.clamp(max=1)

    def tcav(slopes, concepts, random_sets):
        chance = null_scores(slopes, random_sets)
        return holm(torch.tensor([two_sided(scores(slopes, concept, random_sets), chance) for concept in concepts]))


@mistake("07.13", says="A p-value is never above 1")
class section:
    """Not cut off."""

    def scores(slopes, concept, random_sets):
        return torch.tensor([score(slopes, cav(concept, others)) for others in random_sets])

    def null_scores(slopes, random_sets):
        following = random_sets.roll(-1, 0)
        return torch.tensor([score(slopes, cav(one, other)) for one, other in zip(random_sets, following, strict=True)])

    def holm(p):
        order = p.argsort()
        factors = torch.arange(len(p), 0, -1, dtype=p.dtype)
        raised = (p[order] * factors).cummax(0).values
        return torch.zeros_like(p).scatter(0, order, raised)

    def tcav(slopes, concepts, random_sets):
        chance = null_scores(slopes, random_sets)
        return holm(torch.tensor([two_sided(scores(slopes, concept, random_sets), chance) for concept in concepts]))


@mistake("07.13", says="not corrected for the number of concepts")
class section:
    """No correction."""

    def scores(slopes, concept, random_sets):
        return torch.tensor([score(slopes, cav(concept, others)) for others in random_sets])

    def null_scores(slopes, random_sets):
        following = random_sets.roll(-1, 0)
        return torch.tensor([score(slopes, cav(one, other)) for one, other in zip(random_sets, following, strict=True)])

    def holm(p):
        order = p.argsort()
        factors = torch.arange(len(p), 0, -1, dtype=p.dtype)
        raised = (p[order] * factors).cummax(0).values.clamp(max=1)
        return torch.zeros_like(p).scatter(0, order, raised)

    def tcav(slopes, concepts, random_sets):
        chance = null_scores(slopes, random_sets)
        return torch.tensor([two_sided(scores(slopes, concept, random_sets), chance) for concept in concepts])


@mistake("07.13", says="You compare with one half")
class section:
    """One half for chance."""

    def scores(slopes, concept, random_sets):
        return torch.tensor([score(slopes, cav(concept, others)) for others in random_sets])

    def null_scores(slopes, random_sets):
        following = random_sets.roll(-1, 0)
        return torch.tensor([score(slopes, cav(one, other)) for one, other in zip(random_sets, following, strict=True)])

    def holm(p):
        order = p.argsort()
        factors = torch.arange(len(p), 0, -1, dtype=p.dtype)
        raised = (p[order] * factors).cummax(0).values.clamp(max=1)
        return torch.zeros_like(p).scatter(0, order, raised)

    def tcav(slopes, concepts, random_sets):
        chance = torch.full((len(random_sets),), 0.5)
        return holm(torch.tensor([two_sided(scores(slopes, concept, random_sets), chance) for concept in concepts]))


@mistake("07.13", says="that is Hochberg")
class section:
    """The minimum from above."""

    def scores(slopes, concept, random_sets):
        d = concept.double().mean(0) - random_sets.double().mean(1)
        return (torch.einsum("td,sd->st", slopes.double(), d) > 0).double().mean(1)

    def null_scores(slopes, random_sets):
        m = random_sets.double().mean(1)
        return ((m - m.roll(-1, 0)) @ slopes.double().T > 0).double().mean(1)

    def holm(p):
        n = len(p)
        out = p.clone().double()
        best = 1.0
        for k, i in reversed(list(enumerate(sorted(range(n), key=lambda i: float(p[i]))))):
            best = min(best, min(1.0, float(p[i]) * (n - k)))
            out[i] = best
        return out

    def tcav(slopes, concepts, random_sets):
        null = null_scores(slopes, random_sets)
        return holm(torch.tensor([two_sided(scores(slopes, c, random_sets), null) for c in concepts]))


@right("07.13", how="with loops, and sorted for Holm")
class section:
    def scores(slopes, concept, random_sets):
        found = []
        for others in random_sets:
            found.append(score(slopes, cav(concept, others)))
        return torch.tensor(found, dtype=torch.double)

    def null_scores(slopes, random_sets):
        n = len(random_sets)
        return torch.tensor([score(slopes, cav(random_sets[i], random_sets[(i + 1) % n])) for i in range(n)])

    def holm(p):
        n, found, most = len(p), [0.0] * len(p), 0.0
        for rank, i in enumerate(sorted(range(n), key=lambda i: float(p[i]))):
            most = min(1.0, max(most, float(p[i]) * (n - rank)))
            found[i] = most
        return found

    def tcav(slopes, concepts, random_sets):
        chance = null_scores(slopes, random_sets)
        raw = [two_sided(scores(slopes, c, random_sets), chance) for c in concepts]
        return holm(torch.tensor(raw, dtype=torch.double))


@right("07.13", how="all sets at once")
class section:
    def scores(slopes, concept, random_sets):
        away = concept.mean(0) - random_sets.mean(1)
        return (slopes @ away.T > 0).double().mean(0)

    def null_scores(slopes, random_sets):
        means = random_sets.mean(1)
        away = means - torch.cat([means[1:], means[:1]])
        return (slopes @ away.T > 0).double().mean(0)

    def holm(p):
        rank = (p[:, None] > p[None]).sum(1)
        scaled = p * (len(p) - rank)
        largest = torch.where(p[None] <= p[:, None], scaled[None], torch.zeros(1, dtype=p.dtype)).max(1).values
        return largest.clamp(max=1.0)

    def tcav(slopes, concepts, random_sets):
        chance = null_scores(slopes, random_sets)
        return holm(torch.stack([torch.tensor(two_sided(scores(slopes, c, random_sets), chance)) for c in concepts]))


# --- 07.14 -----------------------------------------------------------------------------------------------------------


@mistake("07.14", says="is used, and your flip")
class section:
    """Names another property than the one whose flip turns answers over."""

    def find_used(model, tokens, mask, labels, one, other):
        x = collect(model, tokens, mask)

        def flips(depth):
            return [(*corrected(x[depth], y, 0.1), mass_mean(x[depth], y)[0]) for y in labels]

        few = slice(0, 40)
        best = (-1.0, 0, 0)
        for depth in range(1, model.cfg.n_layers):
            for i, how in enumerate(flips(depth)):
                share = turned(model, tokens[few], mask[few], depth, *how, one[few], other[few]).float().mean()
                if share > best[0]:
                    best = (float(share), i, depth)
        _, used, depth = best
        used = (used + 1) % len(labels)
        readings, biases, directions = zip(*flips(depth), strict=True)
        return (used, depth, torch.stack(readings), torch.tensor(biases), torch.stack(directions))


@mistake("07.14", says="other people's probes read the other class")
class section:
    """Flips that do nothing to what it holds to be unused."""

    def find_used(model, tokens, mask, labels, one, other):
        x = collect(model, tokens, mask)

        def flips(depth):
            return [(*corrected(x[depth], y, 0.1), mass_mean(x[depth], y)[0]) for y in labels]

        few = slice(0, 40)
        best = (-1.0, 0, 0)
        for depth in range(1, model.cfg.n_layers):
            for i, how in enumerate(flips(depth)):
                share = turned(model, tokens[few], mask[few], depth, *how, one[few], other[few]).float().mean()
                if share > best[0]:
                    best = (float(share), i, depth)
        _, used, depth = best
        readings, biases, directions = map(list, zip(*flips(depth), strict=True))
        for i in range(len(labels)):
            if i != used:
                readings[i] = torch.randn(len(readings[i]), generator=torch.Generator().manual_seed(i))
        return (used, depth, torch.stack(readings), torch.tensor(biases), torch.stack(directions))


@mistake("07.14", says="depth 1")
class section:
    """Depth 1, where the verb has not heard of its noun yet."""

    def find_used(model, tokens, mask, labels, one, other):
        x = collect(model, tokens, mask)

        def flips(depth):
            return [(*corrected(x[depth], y, 0.1), mass_mean(x[depth], y)[0]) for y in labels]

        few = slice(0, 40)
        best = (-1.0, 0, 0)
        for depth in range(1, model.cfg.n_layers):
            for i, how in enumerate(flips(depth)):
                share = turned(model, tokens[few], mask[few], depth, *how, one[few], other[few]).float().mean()
                if share > best[0]:
                    best = (float(share), i, depth)
        _, used, depth = best
        depth = 1
        readings, biases, directions = zip(*flips(depth), strict=True)
        return (used, depth, torch.stack(readings), torch.tensor(biases), torch.stack(directions))


@mistake("07.14", says="move along the way that leads from mean to mean")
class section:
    """Moves along the normal of the probe."""

    def find_used(model, tokens, mask, labels, one, other):
        x = collect(model, tokens, mask)

        def flips(depth):
            return [(*corrected(x[depth], y, 0.1), corrected(x[depth], y, 0.1)[0]) for y in labels]

        few = slice(0, 40)
        best = (-1.0, 0, 0)
        for depth in range(1, model.cfg.n_layers):
            for i, how in enumerate(flips(depth)):
                share = turned(model, tokens[few], mask[few], depth, *how, one[few], other[few]).float().mean()
                if share > best[0]:
                    best = (float(share), i, depth)
        _, used, depth = best
        readings, biases, directions = zip(*flips(depth), strict=True)
        return (used, depth, torch.stack(readings), torch.tensor(biases), torch.stack(directions))


@mistake("07.14", says="other people's probes read the other class")
class section:
    """Forgets the biases."""

    def find_used(model, tokens, mask, labels, one, other):
        x = collect(model, tokens, mask)

        def flips(depth):
            return [(*corrected(x[depth], y, 0.1), mass_mean(x[depth], y)[0]) for y in labels]

        few = slice(0, 40)
        best = (-1.0, 0, 0)
        for depth in range(1, model.cfg.n_layers):
            for i, how in enumerate(flips(depth)):
                share = turned(model, tokens[few], mask[few], depth, *how, one[few], other[few]).float().mean()
                if share > best[0]:
                    best = (float(share), i, depth)
        _, used, depth = best
        readings, biases, directions = zip(*flips(depth), strict=True)
        return (used, depth, torch.stack(readings), torch.zeros(len(labels)), torch.stack(directions))


@mistake("07.14", says="Used is what the answers follow, and not what is read best")
class section:
    """Takes what a probe reads best for what is used."""

    def find_used(model, tokens, mask, labels, one, other):
        x, depth = collect(model, tokens, mask), 2
        hits = []
        for y in labels:
            reading, bias = corrected(x[depth], y, 0.1)
            hits.append(float(((x[depth] @ reading + bias > 0) == (y == 1)).float().mean()))
        used = hits.index(max(hits))
        parts = [(*corrected(x[depth], y, 0.1), mass_mean(x[depth], y)[0]) for y in labels]
        readings, biases, directions = zip(*parts, strict=True)
        return used, depth, torch.stack(readings), torch.tensor(biases), torch.stack(directions)


@right("07.14", how="from the last depth on, with all of a depth at once")
class section:
    def find_used(model, tokens, mask, labels, one, other):
        x = collect(model, tokens, mask)
        n = model.cfg.n_layers
        table = torch.zeros(n, len(labels))
        kept = {}
        for d in reversed(range(1, n)):
            for i, y in enumerate(labels):
                reading, bias = corrected(x[d], y, 0.2)
                away = x[d][y == 1].mean(0) - x[d][y == 0].mean(0)
                kept[d, i] = (reading, bias, away / away.norm())
                table[d, i] = (
                    turned(model, tokens[-30:], mask[-30:], d, *kept[d, i], one[-30:], other[-30:]).double().mean()
                )
        depth, used = divmod(int(table.argmax()), len(labels))
        parts = [kept[depth, i] for i in range(len(labels))]
        return (
            used,
            depth,
            torch.stack([p[0] for p in parts]),
            torch.tensor([float(p[1]) for p in parts]),
            torch.stack([p[2] for p in parts]),
        )


@right("07.14", how="on few texts, by the gap to the next best")
class section:
    def find_used(model, tokens, mask, labels, one, other):
        x = collect(model, tokens, mask)
        few = slice(0, 50)
        best = None
        for depth in range(1, model.cfg.n_layers):
            how = [(*corrected(x[depth], y, 0.1), mass_mean(x[depth], y)[0]) for y in labels]
            shares = [
                float(turned(model, tokens[few], mask[few], depth, *h, one[few], other[few]).float().mean())
                for h in how
            ]
            order = sorted(shares)
            if best is None or order[-1] - order[-2] > best[0]:
                best = (order[-1] - order[-2], shares.index(order[-1]), depth, how)
        _, used, depth, how = best
        readings, biases, directions = zip(*how)
        return used, depth, torch.stack(readings), torch.tensor(biases), torch.stack(directions)
