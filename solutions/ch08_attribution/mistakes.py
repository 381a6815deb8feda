"""Wrong answers that learners and published code give to chapter 08, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 08.1 -------------------------------------------------------------------------------------------------------------


@mistake("08.1", says="This is the gradient at the tokens' own embeddings")
class section:
    """Takes the gradient where the prompt is, whatever x is."""

    def gradient_at(model, tokens, right, wrong, x):
        x = model.run_with_cache(tokens, "embed")[1]["embed"].requires_grad_()
        logits = model.run_with_hooks(tokens, [("embed", lambda value, hook: x)])
        return torch.autograd.grad(logit_difference(logits, right, wrong).sum(), x)[0]

    def gradient_x_input(model, clean, corrupted, right, wrong):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        return ((x - start) * gradient_at(model, clean, right, wrong, x)).sum(-1)


@mistake("08.1", says="You average over pairs before the gradient")
class section:
    """mean() for sum()."""

    def gradient_at(model, tokens, right, wrong, x):
        x = x.detach().clone().requires_grad_()
        logits = model.run_with_hooks(tokens, [("embed", lambda value, hook: x)])
        return torch.autograd.grad(logit_difference(logits, right, wrong).mean(), x)[0]

    def gradient_x_input(model, clean, corrupted, right, wrong):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        return ((x - start) * gradient_at(model, clean, right, wrong, x)).sum(-1)


@mistake("08.1", says="This is the gradient of logit[right] alone")
class section:
    """Half of the metric."""

    def gradient_at(model, tokens, right, wrong, x):
        x = x.detach().clone().requires_grad_()
        logits = model.run_with_hooks(tokens, [("embed", lambda value, hook: x)])
        return torch.autograd.grad(logits[torch.arange(len(right)), -1, right].sum(), x)[0]

    def gradient_x_input(model, clean, corrupted, right, wrong):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        return ((x - start) * gradient_at(model, clean, right, wrong, x)).sum(-1)


@mistake("08.1", says="it is x − x', clean less corrupted")
class section:
    """Corrupted less clean."""

    def gradient_at(model, tokens, right, wrong, x):
        x = x.detach().clone().requires_grad_()
        logits = model.run_with_hooks(tokens, [("embed", lambda value, hook: x)])
        return torch.autograd.grad(logit_difference(logits, right, wrong).sum(), x)[0]

    def gradient_x_input(model, clean, corrupted, right, wrong):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        return ((start - x) * gradient_at(model, clean, right, wrong, x)).sum(-1)


@mistake("08.1", says="The gradient is taken at the corrupted embeddings")
class section:
    """The slope at the wrong end."""

    def gradient_at(model, tokens, right, wrong, x):
        x = x.detach().clone().requires_grad_()
        logits = model.run_with_hooks(tokens, [("embed", lambda value, hook: x)])
        return torch.autograd.grad(logit_difference(logits, right, wrong).sum(), x)[0]

    def gradient_x_input(model, clean, corrupted, right, wrong):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        return ((x - start) * gradient_at(model, clean, right, wrong, start)).sum(-1)


@mistake("08.1", says="You multiply by x alone")
class section:
    """The way begins at zeros."""

    def gradient_at(model, tokens, right, wrong, x):
        x = x.detach().clone().requires_grad_()
        logits = model.run_with_hooks(tokens, [("embed", lambda value, hook: x)])
        return torch.autograd.grad(logit_difference(logits, right, wrong).sum(), x)[0]

    def gradient_x_input(model, clean, corrupted, right, wrong):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        return (x * gradient_at(model, clean, right, wrong, x)).sum(-1)


@mistake("08.1", says="Multiply it by x − x'")
class section:
    """The gradient without the input."""

    def gradient_at(model, tokens, right, wrong, x):
        x = x.detach().clone().requires_grad_()
        logits = model.run_with_hooks(tokens, [("embed", lambda value, hook: x)])
        return torch.autograd.grad(logit_difference(logits, right, wrong).sum(), x)[0]

    def gradient_x_input(model, clean, corrupted, right, wrong):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        return gradient_at(model, clean, right, wrong, x).sum(-1)


@mistake("08.1", says="You take absolute values before you sum over d_model")
class section:
    """Nothing cancels."""

    def gradient_at(model, tokens, right, wrong, x):
        x = x.detach().clone().requires_grad_()
        logits = model.run_with_hooks(tokens, [("embed", lambda value, hook: x)])
        return torch.autograd.grad(logit_difference(logits, right, wrong).sum(), x)[0]

    def gradient_x_input(model, clean, corrupted, right, wrong):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        return ((x - start) * gradient_at(model, clean, right, wrong, x)).abs().sum(-1)


@mistake("08.1", says="It should be in units of m")
class section:
    """Divides by the range."""

    def gradient_at(model, tokens, right, wrong, x):
        x = x.detach().clone().requires_grad_()
        logits = model.run_with_hooks(tokens, [("embed", lambda value, hook: x)])
        return torch.autograd.grad(logit_difference(logits, right, wrong).sum(), x)[0]

    def gradient_x_input(model, clean, corrupted, right, wrong):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        return ((x - start) * gradient_at(model, clean, right, wrong, x)).sum(-1) / whole[:, None]


@mistake("08.1", says="Put it in their place")
class section:
    """Adds x to the embeddings."""

    def gradient_at(model, tokens, right, wrong, x):
        x = x.clone().detach().requires_grad_(True)
        with model.hooks([("embed", lambda v, hook: v + x)]):
            logits = model(tokens)
        m = logit_difference(logits, right, wrong)
        m.sum().backward(inputs=[x])
        return x.grad

    def gradient_x_input(model, clean, corrupted, right, wrong):
        _, a = model.run_with_cache(clean, ["embed"])
        _, b = model.run_with_cache(corrupted, ["embed"])
        g = gradient_at(model, clean, right, wrong, a["embed"])
        return torch.einsum("bpd,bpd->bp", a["embed"] - b["embed"], g)


@mistake("08.1", says="The positions are lost")
class section:
    """Edits the stream instead of the embedding."""

    def gradient_at(model, tokens, right, wrong, x):
        x = x.clone().detach().requires_grad_(True)
        with model.hooks([(("resid_pre", 0), lambda v, hook: x)]):
            logits = model(tokens)
        m = logit_difference(logits, right, wrong)
        m.sum().backward(inputs=[x])
        return x.grad

    def gradient_x_input(model, clean, corrupted, right, wrong):
        _, a = model.run_with_cache(clean, ["embed"])
        _, b = model.run_with_cache(corrupted, ["embed"])
        g = gradient_at(model, clean, right, wrong, a["embed"])
        return torch.einsum("bpd,bpd->bp", a["embed"] - b["embed"], g)


@right("08.1", how="with backward, and an edit that adds a zero")
class section:
    def gradient_at(model, tokens, right, wrong, x):
        extra = torch.zeros_like(x, requires_grad=True)

        def put(value, hook):
            return x + extra

        with model.hooks([("hook_embed", put)]):
            logits = model(tokens)
        logit_difference(logits, right, wrong).sum().backward()
        return extra.grad

    def gradient_x_input(model, clean, corrupted, right, wrong):
        x, start = model.W_E[clean], model.W_E[corrupted]
        return torch.einsum("bpd,bpd->bp", x - start, gradient_at(model, clean, right, wrong, x))


@right("08.1", how="pair by pair, in double precision at the end")
class section:
    def gradient_at(model, tokens, right, wrong, x):
        rows = []
        for i in range(len(tokens)):
            point = x[i : i + 1].clone().requires_grad_()
            logits = model.run_with_hooks(tokens[i : i + 1], [("embed", lambda value, hook, point=point: point)])
            m = logits[0, -1, right[i]] - logits[0, -1, wrong[i]]
            rows.append(torch.autograd.grad(m, point)[0])
        return torch.cat(rows)

    def gradient_x_input(model, clean, corrupted, right, wrong):
        x = model.run_with_cache(clean, "embed")[1]["embed"]
        away = x - model.run_with_cache(corrupted, "embed")[1]["embed"]
        return (away.double() * gradient_at(model, clean, right, wrong, x).double()).sum(dim=2)


# --- 08.2 -------------------------------------------------------------------------------------------------------------


@mistake("08.2", says="Put corrupted words into the clean one")
class section:
    """Denoising for noising."""

    def one_word_effects(model, clean, corrupted, right, wrong):
        m = logit_difference(model(corrupted), right, wrong)
        effects = []
        for pos in range(clean.shape[1]):
            changed = corrupted.clone()
            changed[:, pos] = clean[:, pos]
            effects.append(m - logit_difference(model(changed), right, wrong))
        return torch.stack(effects, dim=1)

    def blind_spots(model, clean, corrupted, right, wrong):
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        worth = one_word_effects(model, clean, corrupted, right, wrong) / whole[:, None]
        said = gradient_x_input(model, clean, corrupted, right, wrong) / whole[:, None]
        return (worth >= 0.5) & (said.abs() < 0.05)


@mistake("08.2", says="clone the clean prompt anew for each word")
class section:
    """One clone for all words."""

    def one_word_effects(model, clean, corrupted, right, wrong):
        m = logit_difference(model(clean), right, wrong)
        effects = []
        changed = clean.clone()
        for pos in range(clean.shape[1]):
            changed[:, pos] = corrupted[:, pos]
            effects.append(m - logit_difference(model(changed), right, wrong))
        return torch.stack(effects, dim=1)

    def blind_spots(model, clean, corrupted, right, wrong):
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        worth = one_word_effects(model, clean, corrupted, right, wrong) / whole[:, None]
        said = gradient_x_input(model, clean, corrupted, right, wrong) / whole[:, None]
        return (worth >= 0.5) & (said.abs() < 0.05)


@mistake("08.2", says="m of the clean prompt less m of the changed one")
class section:
    """The sign."""

    def one_word_effects(model, clean, corrupted, right, wrong):
        m = logit_difference(model(clean), right, wrong)
        effects = []
        for pos in range(clean.shape[1]):
            changed = clean.clone()
            changed[:, pos] = corrupted[:, pos]
            effects.append(logit_difference(model(changed), right, wrong) - m)
        return torch.stack(effects, dim=1)

    def blind_spots(model, clean, corrupted, right, wrong):
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        worth = one_word_effects(model, clean, corrupted, right, wrong) / whole[:, None]
        said = gradient_x_input(model, clean, corrupted, right, wrong) / whole[:, None]
        return (-worth >= 0.5) & (said.abs() < 0.05)


@mistake("08.2", says="Mark only those that gradient × input does not see")
class section:
    """Marks all that counts."""

    def one_word_effects(model, clean, corrupted, right, wrong):
        m = logit_difference(model(clean), right, wrong)
        effects = []
        for pos in range(clean.shape[1]):
            changed = clean.clone()
            changed[:, pos] = corrupted[:, pos]
            effects.append(m - logit_difference(model(changed), right, wrong))
        return torch.stack(effects, dim=1)

    def blind_spots(model, clean, corrupted, right, wrong):
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        worth = one_word_effects(model, clean, corrupted, right, wrong) / whole[:, None]
        said = gradient_x_input(model, clean, corrupted, right, wrong) / whole[:, None]
        return worth >= 0.5


@mistake("08.2", says="Most of these are worth nothing")
class section:
    """Marks all that is flat."""

    def one_word_effects(model, clean, corrupted, right, wrong):
        m = logit_difference(model(clean), right, wrong)
        effects = []
        for pos in range(clean.shape[1]):
            changed = clean.clone()
            changed[:, pos] = corrupted[:, pos]
            effects.append(m - logit_difference(model(changed), right, wrong))
        return torch.stack(effects, dim=1)

    def blind_spots(model, clean, corrupted, right, wrong):
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        worth = one_word_effects(model, clean, corrupted, right, wrong) / whole[:, None]
        said = gradient_x_input(model, clean, corrupted, right, wrong) / whole[:, None]
        return said.abs() < 0.05


@mistake("08.2", says="The worth is compared without dividing by the range")
class section:
    """A share of half for half a logit."""

    def one_word_effects(model, clean, corrupted, right, wrong):
        m = logit_difference(model(clean), right, wrong)
        effects = []
        for pos in range(clean.shape[1]):
            changed = clean.clone()
            changed[:, pos] = corrupted[:, pos]
            effects.append(m - logit_difference(model(changed), right, wrong))
        return torch.stack(effects, dim=1)

    def blind_spots(model, clean, corrupted, right, wrong):
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        worth = one_word_effects(model, clean, corrupted, right, wrong)
        said = gradient_x_input(model, clean, corrupted, right, wrong) / whole[:, None]
        return (worth >= 0.5) & (said.abs() < 0.05)


@mistake("08.2", says="Gradient × input is compared without dividing by the range")
class section:
    """The same for the gradient."""

    def one_word_effects(model, clean, corrupted, right, wrong):
        m = logit_difference(model(clean), right, wrong)
        effects = []
        for pos in range(clean.shape[1]):
            changed = clean.clone()
            changed[:, pos] = corrupted[:, pos]
            effects.append(m - logit_difference(model(changed), right, wrong))
        return torch.stack(effects, dim=1)

    def blind_spots(model, clean, corrupted, right, wrong):
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        worth = one_word_effects(model, clean, corrupted, right, wrong) / whole[:, None]
        said = gradient_x_input(model, clean, corrupted, right, wrong)
        return (worth >= 0.5) & (said.abs() < 0.05)


@mistake("08.2", says="what counts is its absolute value")
class section:
    """Whatever is negative counts as unseen."""

    def one_word_effects(model, clean, corrupted, right, wrong):
        m = logit_difference(model(clean), right, wrong)
        effects = []
        for pos in range(clean.shape[1]):
            changed = clean.clone()
            changed[:, pos] = corrupted[:, pos]
            effects.append(m - logit_difference(model(changed), right, wrong))
        return torch.stack(effects, dim=1)

    def blind_spots(model, clean, corrupted, right, wrong):
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        worth = one_word_effects(model, clean, corrupted, right, wrong) / whole[:, None]
        said = gradient_x_input(model, clean, corrupted, right, wrong) / whole[:, None]
        return (worth >= 0.5) & (said < 0.05)


@mistake("08.2", says="You divide by the mean range")
class section:
    """One range for all pairs."""

    def one_word_effects(model, clean, corrupted, right, wrong):
        with torch.no_grad():
            m0 = logit_difference(model(clean), right, wrong)
            out = torch.zeros(clean.shape)
            for p in range(clean.shape[1]):
                t = clean.clone()
                t[:, p] = corrupted[:, p]
                out[:, p] = m0 - logit_difference(model(t), right, wrong)
        return out

    def blind_spots(model, clean, corrupted, right, wrong):
        with torch.no_grad():
            r = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        r = r.mean().expand(len(clean))
        w = one_word_effects(model, clean, corrupted, right, wrong)
        g = gradient_x_input(model, clean, corrupted, right, wrong)
        return (w >= 0.5 * r.unsqueeze(1)) & (g.abs() < 0.05 * r.unsqueeze(1))


@mistake("08.2", says="no absolute value of the worth")
class section:
    """Marks words that speak against the answer, too."""

    def one_word_effects(model, clean, corrupted, right, wrong):
        with torch.no_grad():
            m0 = logit_difference(model(clean), right, wrong)
            out = torch.zeros(clean.shape)
            for p in range(clean.shape[1]):
                t = clean.clone()
                t[:, p] = corrupted[:, p]
                out[:, p] = m0 - logit_difference(model(t), right, wrong)
        return out

    def blind_spots(model, clean, corrupted, right, wrong):
        with torch.no_grad():
            r = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        w = one_word_effects(model, clean, corrupted, right, wrong)
        g = gradient_x_input(model, clean, corrupted, right, wrong)
        return (w.abs() >= 0.5 * r.unsqueeze(1)) & (g.abs() < 0.05 * r.unsqueeze(1))


@right("08.2", how="all exchanged prompts in one batch")
class section:
    def one_word_effects(model, clean, corrupted, right, wrong):
        batch, length = clean.shape
        which = torch.eye(length, dtype=torch.bool)[:, None]
        prompts = torch.where(which, corrupted[None], clean[None]).flatten(0, 1)
        m = logit_difference(model(prompts), right.repeat(length), wrong.repeat(length)).view(length, batch)
        return (logit_difference(model(clean), right, wrong) - m).T

    def blind_spots(model, clean, corrupted, right, wrong):
        whole = (logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong))[
            :, None
        ]
        unseen = gradient_x_input(model, clean, corrupted, right, wrong).abs() < 0.05 * whole
        return unseen.logical_and(one_word_effects(model, clean, corrupted, right, wrong) >= whole / 2)


@right("08.2", how="with numpy, and lists")
class section:
    def one_word_effects(model, clean, corrupted, right, wrong):
        columns = []
        before = logit_difference(model(clean), right, wrong).numpy()
        for pos in range(clean.shape[1]):
            changed = torch.cat([clean[:, :pos], corrupted[:, pos : pos + 1], clean[:, pos + 1 :]], 1)
            columns.append(before - logit_difference(model(changed), right, wrong).numpy())
        return torch.tensor([list(row) for row in zip(*columns)])

    def blind_spots(model, clean, corrupted, right, wrong):
        m = [logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted)]
        worth, said = (
            f(model, clean, corrupted, right, wrong) / (m[0] - m[1]).unsqueeze(1)
            for f in (one_word_effects, gradient_x_input)
        )
        return [
            [bool(a >= 0.5 and abs(b) < 0.05) for a, b in zip(*rows)] for rows in zip(worth.tolist(), said.tolist())
        ]


# --- 08.3 -------------------------------------------------------------------------------------------------------------


@mistake("08.3", says="the right end of each piece")
class section:
    """The papers' rule."""

    def integrated_gradients(model, clean, corrupted, right, wrong, steps):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        mean = torch.zeros_like(x)
        for step in range(steps):
            alpha = (step + 1) / steps
            mean += gradient_at(model, clean, right, wrong, start + alpha * (x - start)) / steps
        words = ((x - start) * mean).sum(-1)
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        return (words, words.sum(-1) - whole)


@mistake("08.3", says="the left end of each piece")
class section:
    """The step rule off by one."""

    def integrated_gradients(model, clean, corrupted, right, wrong, steps):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        mean = torch.zeros_like(x)
        for step in range(steps):
            alpha = step / steps
            mean += gradient_at(model, clean, right, wrong, start + alpha * (x - start)) / steps
        words = ((x - start) * mean).sum(-1)
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        return (words, words.sum(-1) - whole)


@mistake("08.3", says="with both ends in")
class section:
    """linspace(0, 1, steps)."""

    def integrated_gradients(model, clean, corrupted, right, wrong, steps):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        mean = torch.zeros_like(x)
        for step in range(steps):
            alpha = torch.linspace(0, 1, steps)[step] if steps > 1 else 1.0
            mean += gradient_at(model, clean, right, wrong, start + alpha * (x - start)) / steps
        words = ((x - start) * mean).sum(-1)
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        return (words, words.sum(-1) - whole)


@mistake("08.3", says="You start at zeros")
class section:
    """Another baseline than the corrupted prompt."""

    def integrated_gradients(model, clean, corrupted, right, wrong, steps):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        start = torch.zeros_like(x)
        mean = torch.zeros_like(x)
        for step in range(steps):
            alpha = (step + 0.5) / steps
            mean += gradient_at(model, clean, right, wrong, start + alpha * (x - start)) / steps
        words = ((x - start) * mean).sum(-1)
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        return (words, words.sum(-1) - whole)


@mistake("08.3", says="The gradients are summed")
class section:
    """No mean."""

    def integrated_gradients(model, clean, corrupted, right, wrong, steps):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        mean = torch.zeros_like(x)
        for step in range(steps):
            alpha = (step + 0.5) / steps
            mean += gradient_at(model, clean, right, wrong, start + alpha * (x - start))
        words = ((x - start) * mean).sum(-1)
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        return (words, words.sum(-1) - whole)


@mistake("08.3", says="the gap is the sum over words LESS")
class section:
    """The sign of the gap."""

    def integrated_gradients(model, clean, corrupted, right, wrong, steps):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        mean = torch.zeros_like(x)
        for step in range(steps):
            alpha = (step + 0.5) / steps
            mean += gradient_at(model, clean, right, wrong, start + alpha * (x - start)) / steps
        words = ((x - start) * mean).sum(-1)
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        return (words, whole - words.sum(-1))


@mistake("08.3", says="You forgot m(corrupted)")
class section:
    """Completeness with the wrong baseline."""

    def integrated_gradients(model, clean, corrupted, right, wrong, steps):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        mean = torch.zeros_like(x)
        for step in range(steps):
            alpha = (step + 0.5) / steps
            mean += gradient_at(model, clean, right, wrong, start + alpha * (x - start)) / steps
        words = ((x - start) * mean).sum(-1)
        whole = logit_difference(model(clean), right, wrong)
        return (words, words.sum(-1) - whole)


@mistake("08.3", says="You multiply by x alone")
class section:
    """The whole way is x − x'."""

    def integrated_gradients(model, clean, corrupted, right, wrong, steps):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        mean = torch.zeros_like(x)
        for step in range(steps):
            alpha = (step + 0.5) / steps
            mean += gradient_at(model, clean, right, wrong, start + alpha * (x - start)) / steps
        words = (x * mean).sum(-1)
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        return (words, words.sum(-1) - whole)


@mistake("08.3", says="Take the gradient at every step of the way")
class section:
    """Gradient × input again."""

    def integrated_gradients(model, clean, corrupted, right, wrong, steps):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        mean = torch.zeros_like(x)
        for step in range(steps):
            alpha = (step + 0.5) / steps
            mean += gradient_at(model, clean, right, wrong, x) / steps
        words = ((x - start) * mean).sum(-1)
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        return (words, words.sum(-1) - whole)


@mistake("08.3", says="It should be in units of m")
class section:
    """The gap as a share."""

    def integrated_gradients(model, clean, corrupted, right, wrong, steps):
        x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
        mean = torch.zeros_like(x)
        for step in range(steps):
            alpha = (step + 0.5) / steps
            mean += gradient_at(model, clean, right, wrong, start + alpha * (x - start)) / steps
        words = ((x - start) * mean).sum(-1)
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        return (words, words.sum(-1) / whole - 1)


@mistake("08.3", says="This is divided by the range")
class section:
    """Shares instead of units of m."""

    def integrated_gradients(model, clean, corrupted, right, wrong, steps):
        with torch.no_grad():
            la, ca = model.run_with_cache(clean, ["embed"])
            lb, cb = model.run_with_cache(corrupted, ["embed"])
        x, x0 = ca["embed"], cb["embed"]
        g = torch.zeros_like(x)
        for s in range(steps):
            g += gradient_at(model, clean, right, wrong, x0 + (s + 0.5) / steps * (x - x0)) / steps
        words = ((x - x0) * g).sum(-1)
        rng = logit_difference(la, right, wrong) - logit_difference(lb, right, wrong)
        return words / rng[:, None], words.sum(-1) - rng


@right("08.3", how="all steps as one stack, by einsum")
class section:
    def integrated_gradients(model, clean, corrupted, right, wrong, steps):
        x = model.run_with_cache(clean, "embed")[1]["embed"]
        start = model.run_with_cache(corrupted, "embed")[1]["embed"]
        alphas = (torch.arange(steps) + 0.5) / steps
        slopes = torch.stack([gradient_at(model, clean, right, wrong, torch.lerp(start, x, a.item())) for a in alphas])
        words = torch.einsum("bpd,sbpd->bp", x - start, slopes) / steps
        m = [logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted)]
        return words, words.sum(1) - m[0] + m[1]


@right("08.3", how="with a running point, in double precision")
class section:
    def integrated_gradients(model, clean, corrupted, right, wrong, steps):
        x, start = model.W_E[clean], model.W_E[corrupted]
        step = (x - start) / steps
        point = start + step / 2
        words = torch.zeros(clean.shape, dtype=torch.float64)
        for _ in range(steps):
            words += (step * gradient_at(model, clean, right, wrong, point)).double().sum(-1)
            point = point + step
        whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
        return [words, words.sum(-1) - whole]


# --- 08.4 -------------------------------------------------------------------------------------------------------------


@mistake("08.4", says="This is denoising: with noising = True")
class section:
    """The two exchanged."""

    def patch_heads(model, clean, corrupted, right, wrong, noising):
        base, source = (corrupted, clean) if noising else (clean, corrupted)
        layers, heads = (range(model.cfg.n_layers), range(model.cfg.n_heads))
        _, cache = model.run_with_cache(source, [("z", layer) for layer in layers])

        def put(layer, head):

            def edit(z, hook):
                z = z.clone()
                z[:, :, head] = cache["z", layer][:, :, head]
                return z

            return [(("z", layer), edit)]

        def m(logits):
            return logit_difference(logits, right, wrong)

        m_clean, m_corrupted = (m(model(clean)), m(model(corrupted)))
        rows = [[m(model.run_with_hooks(base, put(layer, head))) for head in heads] for layer in layers]
        patched = torch.stack([torch.stack(row) for row in rows])
        return (patched - m_corrupted) / (m_clean - m_corrupted)


@mistake("08.4", says="This is 1 minus what was asked for")
class section:
    """Clean and corrupted exchanged in the normalisation."""

    def patch_heads(model, clean, corrupted, right, wrong, noising):
        base, source = (clean, corrupted) if noising else (corrupted, clean)
        layers, heads = (range(model.cfg.n_layers), range(model.cfg.n_heads))
        _, cache = model.run_with_cache(source, [("z", layer) for layer in layers])

        def put(layer, head):

            def edit(z, hook):
                z = z.clone()
                z[:, :, head] = cache["z", layer][:, :, head]
                return z

            return [(("z", layer), edit)]

        def m(logits):
            return logit_difference(logits, right, wrong)

        m_clean, m_corrupted = (m(model(clean)), m(model(corrupted)))
        rows = [[m(model.run_with_hooks(base, put(layer, head))) for head in heads] for layer in layers]
        patched = torch.stack([torch.stack(row) for row in rows])
        return (patched - m_clean) / (m_corrupted - m_clean)


@mistake("08.4", says="Replace it at all positions")
class section:
    """The last position alone, as in chapter 04."""

    def patch_heads(model, clean, corrupted, right, wrong, noising):
        base, source = (clean, corrupted) if noising else (corrupted, clean)
        layers, heads = (range(model.cfg.n_layers), range(model.cfg.n_heads))
        _, cache = model.run_with_cache(source, [("z", layer) for layer in layers])

        def put(layer, head):

            def edit(z, hook):
                z = z.clone()
                z[:, -1, head] = cache["z", layer][:, -1, head]
                return z

            return [(("z", layer), edit)]

        def m(logits):
            return logit_difference(logits, right, wrong)

        m_clean, m_corrupted = (m(model(clean)), m(model(corrupted)))
        rows = [[m(model.run_with_hooks(base, put(layer, head))) for head in heads] for layer in layers]
        patched = torch.stack([torch.stack(row) for row in rows])
        return (patched - m_corrupted) / (m_clean - m_corrupted)


@mistake("08.4", says="Replace one")
class section:
    """The whole layer."""

    def patch_heads(model, clean, corrupted, right, wrong, noising):
        base, source = (clean, corrupted) if noising else (corrupted, clean)
        layers, heads = (range(model.cfg.n_layers), range(model.cfg.n_heads))
        _, cache = model.run_with_cache(source, [("z", layer) for layer in layers])

        def put(layer, head):

            def edit(z, hook):
                z = z.clone()
                z[:] = cache["z", layer]
                return z

            return [(("z", layer), edit)]

        def m(logits):
            return logit_difference(logits, right, wrong)

        m_clean, m_corrupted = (m(model(clean)), m(model(corrupted)))
        rows = [[m(model.run_with_hooks(base, put(layer, head))) for head in heads] for layer in layers]
        patched = torch.stack([torch.stack(row) for row in rows])
        return (patched - m_corrupted) / (m_clean - m_corrupted)


@mistake("08.4", says="Put in what it is in the other run")
class section:
    """Zero ablation."""

    def patch_heads(model, clean, corrupted, right, wrong, noising):
        base, source = (clean, corrupted) if noising else (corrupted, clean)
        layers, heads = (range(model.cfg.n_layers), range(model.cfg.n_heads))
        _, cache = model.run_with_cache(source, [("z", layer) for layer in layers])

        def put(layer, head):

            def edit(z, hook):
                z = z.clone()
                z[:, :, head] = 0
                return z

            return [(("z", layer), edit)]

        def m(logits):
            return logit_difference(logits, right, wrong)

        m_clean, m_corrupted = (m(model(clean)), m(model(corrupted)))
        rows = [[m(model.run_with_hooks(base, put(layer, head))) for head in heads] for layer in layers]
        patched = torch.stack([torch.stack(row) for row in rows])
        return (patched - m_corrupted) / (m_clean - m_corrupted)


@mistake("08.4", says="Below the line it is m_clean alone")
class section:
    """Divides by m_clean."""

    def patch_heads(model, clean, corrupted, right, wrong, noising):
        base, source = (clean, corrupted) if noising else (corrupted, clean)
        layers, heads = (range(model.cfg.n_layers), range(model.cfg.n_heads))
        _, cache = model.run_with_cache(source, [("z", layer) for layer in layers])

        def put(layer, head):

            def edit(z, hook):
                z = z.clone()
                z[:, :, head] = cache["z", layer][:, :, head]
                return z

            return [(("z", layer), edit)]

        def m(logits):
            return logit_difference(logits, right, wrong)

        m_clean, m_corrupted = (m(model(clean)), m(model(corrupted)))
        rows = [[m(model.run_with_hooks(base, put(layer, head))) for head in heads] for layer in layers]
        patched = torch.stack([torch.stack(row) for row in rows])
        return (patched - m_corrupted) / m_clean


@mistake("08.4", says="Each pair has a range of its own")
class section:
    """One range for all."""

    def patch_heads(model, clean, corrupted, right, wrong, noising):
        base, source = (clean, corrupted) if noising else (corrupted, clean)
        layers, heads = (range(model.cfg.n_layers), range(model.cfg.n_heads))
        _, cache = model.run_with_cache(source, [("z", layer) for layer in layers])

        def put(layer, head):

            def edit(z, hook):
                z = z.clone()
                z[:, :, head] = cache["z", layer][:, :, head]
                return z

            return [(("z", layer), edit)]

        def m(logits):
            return logit_difference(logits, right, wrong)

        m_clean, m_corrupted = (m(model(clean)), m(model(corrupted)))
        rows = [[m(model.run_with_hooks(base, put(layer, head))) for head in heads] for layer in layers]
        patched = torch.stack([torch.stack(row) for row in rows])
        return (patched - m_corrupted) / (m_clean - m_corrupted).mean()


@mistake("08.4", says="This is the bare change")
class section:
    """No range at all."""

    def patch_heads(model, clean, corrupted, right, wrong, noising):
        base, source = (clean, corrupted) if noising else (corrupted, clean)
        layers, heads = (range(model.cfg.n_layers), range(model.cfg.n_heads))
        _, cache = model.run_with_cache(source, [("z", layer) for layer in layers])

        def put(layer, head):

            def edit(z, hook):
                z = z.clone()
                z[:, :, head] = cache["z", layer][:, :, head]
                return z

            return [(("z", layer), edit)]

        def m(logits):
            return logit_difference(logits, right, wrong)

        m_clean, m_corrupted = (m(model(clean)), m(model(corrupted)))
        rows = [[m(model.run_with_hooks(base, put(layer, head))) for head in heads] for layer in layers]
        patched = torch.stack([torch.stack(row) for row in rows])
        return patched - m_corrupted


@mistake("08.4", says="does your edit return the new value")
class section:
    """Returns the old value."""

    def patch_heads(model, clean, corrupted, right, wrong, noising):
        base, source = (clean, corrupted) if noising else (corrupted, clean)
        layers, heads = (range(model.cfg.n_layers), range(model.cfg.n_heads))
        _, cache = model.run_with_cache(source, [("z", layer) for layer in layers])

        def put(layer, head):

            def edit(z, hook):
                z = z.clone()
                new = z.clone()
                new[:, :, head] = cache["z", layer][:, :, head]
                return z

            return [(("z", layer), edit)]

        def m(logits):
            return logit_difference(logits, right, wrong)

        m_clean, m_corrupted = (m(model(clean)), m(model(corrupted)))
        rows = [[m(model.run_with_hooks(base, put(layer, head))) for head in heads] for layer in layers]
        patched = torch.stack([torch.stack(row) for row in rows])
        return (patched - m_corrupted) / (m_clean - m_corrupted)


@mistake("08.4", says="m_corrupted is missing")
class section:
    """Forgets m_corrupted above the line."""

    def patch_heads(model, clean, corrupted, right, wrong, noising):
        base, source = (clean, corrupted) if noising else (corrupted, clean)
        layers, heads = (range(model.cfg.n_layers), range(model.cfg.n_heads))
        _, cache = model.run_with_cache(source, [("z", layer) for layer in layers])

        def put(layer, head):

            def edit(z, hook):
                z = z.clone()
                z[:, :, head] = cache["z", layer][:, :, head]
                return z

            return [(("z", layer), edit)]

        def m(logits):
            return logit_difference(logits, right, wrong)

        m_clean, m_corrupted = (m(model(clean)), m(model(corrupted)))
        rows = [[m(model.run_with_hooks(base, put(layer, head))) for head in heads] for layer in layers]
        patched = torch.stack([torch.stack(row) for row in rows])
        return patched / (m_clean - m_corrupted)


@mistake("08.4", says="You average over pairs before you divide")
class section:
    """A quotient of means, for all pairs."""

    def patch_heads(model, clean, corrupted, right, wrong, noising):
        L, H = model.cfg.n_layers, model.cfg.n_heads
        run, src = (clean, corrupted) if noising else (corrupted, clean)
        with torch.no_grad():
            mc = logit_difference(model(clean), right, wrong)
            mx = logit_difference(model(corrupted), right, wrong)
            _, cache = model.run_with_cache(src, [("z", l) for l in range(L)])
            out = torch.zeros(L, H, len(clean))
            for l in range(L):
                for h in range(H):

                    def edit(v, hook, l=l, h=h):
                        v = v.clone()
                        v[:, :, h] = cache["z", l][:, :, h]
                        return v

                    with model.hooks([(("z", l), edit)]):
                        mp = logit_difference(model(run), right, wrong)
                    out[l, h] = ((mp - mx).mean() / (mc - mx).mean()).expand(len(clean))
        return out


@mistake("08.4", says="you exchange the two answers")
class section:
    """m of the corrupted run by its own answer."""

    def patch_heads(model, clean, corrupted, right, wrong, noising):
        L, H = model.cfg.n_layers, model.cfg.n_heads
        run, src = (clean, corrupted) if noising else (corrupted, clean)
        with torch.no_grad():
            mc = logit_difference(model(clean), right, wrong)
            mx = logit_difference(model(corrupted), wrong, right)
            _, cache = model.run_with_cache(src, [("z", l) for l in range(L)])
            out = torch.zeros(L, H, len(clean))
            for l in range(L):
                for h in range(H):

                    def edit(v, hook, l=l, h=h):
                        v = v.clone()
                        v[:, :, h] = cache["z", l][:, :, h]
                        return v

                    with model.hooks([(("z", l), edit)]):
                        mp = logit_difference(model(run), right, wrong)
                    out[l, h] = (mp - mx) / (mc - mx)
        return out


@mistake("08.4", says="the head is the third one")
class section:
    """Takes the axis of positions for that of heads."""

    def patch_heads(model, clean, corrupted, right, wrong, noising):
        L, H = model.cfg.n_layers, model.cfg.n_heads
        run, src = (clean, corrupted) if noising else (corrupted, clean)
        with torch.no_grad():
            mc = logit_difference(model(clean), right, wrong)
            mx = logit_difference(model(corrupted), right, wrong)
            _, cache = model.run_with_cache(src, [("z", l) for l in range(L)])
            out = torch.zeros(L, H, len(clean))
            for l in range(L):
                for h in range(H):

                    def edit(v, hook, l=l, h=h):
                        v = v.clone()
                        v[:, h] = cache["z", l][:, h]
                        return v

                    with model.hooks([(("z", l), edit)]):
                        mp = logit_difference(model(run), right, wrong)
                    out[l, h] = (mp - mx) / (mc - mx)
        return out


@right("08.4", how="all heads of a layer in one batch")
class section:
    def patch_heads(model, clean, corrupted, right, wrong, noising):
        base, source = (clean, corrupted) if noising else (corrupted, clean)
        n, heads = len(base), model.cfg.n_heads
        _, cache = model.run_with_cache(source, lambda name: name.endswith("hook_z"))
        m_clean, m_corrupted = (logit_difference(model(t), right, wrong) for t in (clean, corrupted))
        table = []
        for layer in range(model.cfg.n_layers):

            def put(z, hook):
                for head in range(heads):
                    z[head * n : (head + 1) * n, :, head] = cache["z", hook.layer][:, :, head]

            logits = model.run_with_hooks(base.repeat(heads, 1), [(("z", layer), put)])
            m = logit_difference(logits, right.repeat(heads), wrong.repeat(heads)).view(heads, n)
            table.append((m - m_corrupted) / (m_clean - m_corrupted))
        return torch.stack(table)


@right("08.4", how="pair by pair, with run_edits")
class section:
    def patch_heads(model, clean, corrupted, right, wrong, noising):
        heads = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
        columns = []
        for i in range(len(clean)):
            one, two = clean[i : i + 1], corrupted[i : i + 1]
            base, source = (one, two) if noising else (two, one)
            _, cache = model.run_with_cache(source)

            def put(layer, head, cache=cache):
                def edit(z, hook):
                    z = z.clone()
                    z[:, :, head] = cache["z", layer][:, :, head]
                    return z

                return ("z", layer), edit

            rows = torch.cat([model(one), model(two), model.run_edits(base, [put(*head) for head in heads])])
            m = rows[:, -1, right[i]] - rows[:, -1, wrong[i]]
            columns.append((m[2:] - m[1]) / (m[0] - m[1]))
        return torch.stack(columns, -1).view(model.cfg.n_layers, model.cfg.n_heads, -1)


# --- 08.5 -------------------------------------------------------------------------------------------------------------


@mistake("08.5", says="behind an AND each input is needed")
class section:
    """AND and OR exchanged."""

    def logic_of(model, clean, corrupted, right, wrong, first, second):
        two = torch.tensor([first, second])
        ways = [patch_heads(model, clean, corrupted, right, wrong, noising).mean(-1) for noising in (True, False)]
        shares = torch.stack([way[two[:, 0], two[:, 1]] for way in ways])
        if (shares < 0.5).all():
            return "or"
        return "and" if (shares >= 0.5).all() else "neither"


@mistake("08.5", says="Needed is not enough")
class section:
    """Reads noising as if it said what comes back."""

    def logic_of(model, clean, corrupted, right, wrong, first, second):
        two = torch.tensor([first, second])
        ways = [1 - patch_heads(model, clean, corrupted, right, wrong, noising).mean(-1) for noising in (True, False)]
        shares = torch.stack([way[two[:, 0], two[:, 1]] for way in ways])
        if (shares < 0.5).all():
            return "and"
        return "or" if (shares >= 0.5).all() else "neither"


@mistake("08.5", says="and your function says 'or'")
class section:
    """Never says neither."""

    def logic_of(model, clean, corrupted, right, wrong, first, second):
        two = torch.tensor([first, second])
        ways = [patch_heads(model, clean, corrupted, right, wrong, noising).mean(-1) for noising in (True, False)]
        shares = torch.stack([way[two[:, 0], two[:, 1]] for way in ways])
        if (shares < 0.5).all():
            return "and"
        return "or"


@mistake("08.5", says="and your function says")
class section:
    """Looks at the first head alone."""

    def logic_of(model, clean, corrupted, right, wrong, first, second):
        two = torch.tensor([first, second])
        ways = [patch_heads(model, clean, corrupted, right, wrong, noising).mean(-1) for noising in (True, False)]
        shares = torch.stack([way[two[:1, 0], two[:1, 1]] for way in ways])
        if (shares < 0.5).all():
            return "and"
        return "or" if (shares >= 0.5).all() else "neither"


@mistake("08.5", says="and your function says")
class section:
    """Noising alone."""

    def logic_of(model, clean, corrupted, right, wrong, first, second):
        two = torch.tensor([first, second])
        ways = [patch_heads(model, clean, corrupted, right, wrong, noising).mean(-1) for noising in (True,)]
        shares = torch.stack([way[two[:, 0], two[:, 1]] for way in ways])
        if (shares < 0.5).all():
            return "and"
        return "or" if (shares >= 0.5).all() else "neither"


@mistake("08.5", says="and your function says")
class section:
    """Denoising alone."""

    def logic_of(model, clean, corrupted, right, wrong, first, second):
        two = torch.tensor([first, second])
        ways = [patch_heads(model, clean, corrupted, right, wrong, noising).mean(-1) for noising in (False,)]
        shares = torch.stack([way[two[:, 0], two[:, 1]] for way in ways])
        if (shares < 0.5).all():
            return "and"
        return "or" if (shares >= 0.5).all() else "neither"


@mistake("08.5", says="Needed is not enough")
class section:
    """A quarter for a half."""

    def logic_of(model, clean, corrupted, right, wrong, first, second):
        two = torch.tensor([first, second])
        ways = [patch_heads(model, clean, corrupted, right, wrong, noising).mean(-1) for noising in (True, False)]
        shares = torch.stack([way[two[:, 0], two[:, 1]] for way in ways])
        if (shares < 0.25).all():
            return "and"
        return "or" if (shares >= 0.25).all() else "neither"


@mistake("08.5", says="Take the mean over pairs first")
class section:
    """Looks at the first pair alone."""

    def logic_of(model, clean, corrupted, right, wrong, first, second):
        n = patch_heads(model, clean, corrupted, right, wrong, True)[..., 0]
        d = patch_heads(model, clean, corrupted, right, wrong, False)[..., 0]
        v = torch.stack([n[first], n[second], d[first], d[second]])
        if (v < 0.5).all():
            return "and"
        if (v >= 0.5).all():
            return "or"
        return "neither"


@mistake("08.5", says="Take the mean over pairs first")
class section:
    """Asks it of every single pair."""

    def logic_of(model, clean, corrupted, right, wrong, first, second):
        n = patch_heads(model, clean, corrupted, right, wrong, True)
        d = patch_heads(model, clean, corrupted, right, wrong, False)
        v = torch.stack([n[first], n[second], d[first], d[second]])
        if (v < 0.5).all():
            return "and"
        if (v >= 0.5).all():
            return "or"
        return "neither"


@right("08.5", how="with plain comparisons")
class section:
    def logic_of(model, clean, corrupted, right, wrong, first, second):
        left = patch_heads(model, clean, corrupted, right, wrong, True).mean(-1)
        back = patch_heads(model, clean, corrupted, right, wrong, False).mean(-1)
        four = [float(table[tuple(head)]) for table in (left, back) for head in (first, second)]
        high = [value >= 0.5 for value in four]
        return {0: "and", 4: "or"}.get(sum(high), "neither")


@right("08.5", how="in an f-string, by a table")
class section:
    def logic_of(model, clean, corrupted, right, wrong, first, second):
        (a, b), (c, d) = first, second
        answer = set()
        for way in (False, True):
            table = patch_heads(model, clean, corrupted, right, wrong, way).double().mean(2).tolist()
            answer |= {table[a][b] < 0.5, table[c][d] < 0.5}
        if len(answer) == 2:
            return "neither"
        return f"{'and' if answer.pop() else 'or'}"


# --- 08.6 -------------------------------------------------------------------------------------------------------------


@mistake("08.6", says="The gradient is taken at the corrupted run")
class section:
    """The wrong run, and its sign."""

    def attribution_patching(model, clean, corrupted, right, wrong):
        names = [("z", layer) for layer in range(model.cfg.n_layers)]
        logits, now = model.run_with_cache(corrupted, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(clean, names)
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        changes = [(then[name] - now[name].detach()) * slope for name, slope in zip(names, slopes, strict=True)]
        return torch.stack([change.sum((1, 3)).T for change in changes]) / whole


@mistake("08.6", says="Only the sign is wrong")
class section:
    """Clean less corrupted."""

    def attribution_patching(model, clean, corrupted, right, wrong):
        names = [("z", layer) for layer in range(model.cfg.n_layers)]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, names)
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        changes = [(now[name].detach() - then[name]) * slope for name, slope in zip(names, slopes, strict=True)]
        return torch.stack([change.sum((1, 3)).T for change in changes]) / whole


@mistake("08.6", says="This is in units of m")
class section:
    """No range."""

    def attribution_patching(model, clean, corrupted, right, wrong):
        names = [("z", layer) for layer in range(model.cfg.n_layers)]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, names)
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        changes = [(then[name] - now[name].detach()) * slope for name, slope in zip(names, slopes, strict=True)]
        return torch.stack([change.sum((1, 3)).T for change in changes])


@mistake("08.6", says="You take absolute values. Keep the sign")
class section:
    """Absolute shares."""

    def attribution_patching(model, clean, corrupted, right, wrong):
        names = [("z", layer) for layer in range(model.cfg.n_layers)]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, names)
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        changes = [(then[name] - now[name].detach()) * slope for name, slope in zip(names, slopes, strict=True)]
        return torch.stack([change.sum((1, 3)).T.abs() for change in changes]) / whole.abs()


@mistake("08.6", says="You take absolute values before you sum")
class section:
    """Nothing cancels within a head."""

    def attribution_patching(model, clean, corrupted, right, wrong):
        names = [("z", layer) for layer in range(model.cfg.n_layers)]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, names)
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        changes = [(then[name] - now[name].detach()) * slope for name, slope in zip(names, slopes, strict=True)]
        return torch.stack([change.abs().sum((1, 3)).T for change in changes]) / whole


@mistake("08.6", says="Multiply it by the CHANGE")
class section:
    """Gradient × activation."""

    def attribution_patching(model, clean, corrupted, right, wrong):
        names = [("z", layer) for layer in range(model.cfg.n_layers)]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, names)
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        changes = [now[name].detach() * slope for name, slope in zip(names, slopes, strict=True)]
        return torch.stack([change.sum((1, 3)).T for change in changes]) / whole


@mistake("08.6", says="This is the last position alone")
class section:
    """Forgets that heads write everywhere."""

    def attribution_patching(model, clean, corrupted, right, wrong):
        names = [("z", layer) for layer in range(model.cfg.n_layers)]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, names)
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        changes = [(then[name] - now[name].detach()) * slope for name, slope in zip(names, slopes, strict=True)]
        return torch.stack([change[:, -1].sum(-1).T for change in changes]) / whole


@mistake("08.6", says="You average over pairs. Keep them apart")
class section:
    """Averages at the end."""

    def attribution_patching(model, clean, corrupted, right, wrong):
        names = [("z", layer) for layer in range(model.cfg.n_layers)]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, names)
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        changes = [(then[name] - now[name].detach()) * slope for name, slope in zip(names, slopes, strict=True)]
        return torch.stack([change.sum((1, 3)).T for change in changes]).div(whole).mean(-1)


@mistake("08.6", says="1 minus what is lost")
class section:
    """What is left."""

    def attribution_patching(model, clean, corrupted, right, wrong):
        names = [("z", layer) for layer in range(model.cfg.n_layers)]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, names)
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        changes = [(then[name] - now[name].detach()) * slope for name, slope in zip(names, slopes, strict=True)]
        return 1 - torch.stack([change.sum((1, 3)).T for change in changes]) / whole


@mistake("08.6", says="you exchange the two answers")
class section:
    """m of the corrupted run by its own answer."""

    def attribution_patching(model, clean, corrupted, right, wrong):
        L = model.cfg.n_layers
        names = [("z", l) for l in range(L)]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m = logit_difference(logits, right, wrong)
        grads = torch.autograd.grad(m.sum(), [now[n] for n in names])
        with torch.no_grad():
            lo, then = model.run_with_cache(corrupted, names)
            mx = logit_difference(lo, wrong, right)
        rows = []
        for n, g in zip(names, grads):
            rows.append(torch.einsum("bphd,bphd->hb", then[n] - now[n].detach(), g))
        return torch.stack(rows) / (mx - m.detach())


@right("08.6", how="with backward and cache.grad, by einsum")
class section:
    def attribution_patching(model, clean, corrupted, right, wrong):
        names = [("z", layer) for layer in range(model.cfg.n_layers)]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m = logit_difference(logits, right, wrong)
        m.sum().backward()
        other, then = model.run_with_cache(corrupted, names)
        whole = logit_difference(other, right, wrong) - m.detach()
        rows = [torch.einsum("bphd,bphd->hb", then[n] - now[n].detach(), now.grad(n)) for n in names]
        return (torch.stack(rows) / whole).double()


@right("08.6", how="with zeros that ask for gradients, not contiguous")
class section:
    def attribution_patching(model, clean, corrupted, right, wrong):
        _, now = model.run_with_cache(clean, lambda name: name.endswith("hook_z"))
        other, then = model.run_with_cache(corrupted)
        extra = [torch.zeros_like(now["z", layer], requires_grad=True) for layer in range(model.cfg.n_layers)]
        edits = [(("z", layer), lambda z, hook: z + extra[hook.layer]) for layer in range(model.cfg.n_layers)]
        m = logit_difference(model.run_with_hooks(clean, edits), right, wrong)
        slopes = torch.autograd.grad(m.sum(), extra)
        shares = [((then["z", i] - now["z", i]) * slope).flatten(1, 1).sum(3).sum(1) for i, slope in enumerate(slopes)]
        table = torch.stack(shares, -1).permute(2, 1, 0)
        return table / (logit_difference(other, right, wrong) - m.detach())


# --- 08.7 -------------------------------------------------------------------------------------------------------------


@mistake("08.7", says="This is plain attribution patching of the queries")
class section:
    """Through the softmax to first order."""

    def query_effects(model, clean, corrupted, right, wrong):
        layers = range(model.cfg.n_layers)
        names = [("q", layer) for layer in layers]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, [("q", layer) for layer in layers])
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        effects = []
        for layer, slope in zip(layers, slopes, strict=True):
            change = then["q", layer] - now["q", layer].detach()
            effects.append((change * slope).sum((1, 3)).T)
        return torch.stack(effects) / whole


@mistake("08.7", says="there the keys are corrupted too")
class section:
    """The pattern of the corrupted run."""

    def query_effects(model, clean, corrupted, right, wrong):
        layers = range(model.cfg.n_layers)
        names = [("pattern", layer) for layer in layers]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, [("q", layer) for layer in layers])
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        effects = []
        for layer, slope in zip(layers, slopes, strict=True):
            _, patched = model.run_with_cache(corrupted, ("pattern", layer))
            change = patched["pattern", layer] - now["pattern", layer].detach()
            effects.append((change * slope).sum((2, 3)).T)
        return torch.stack(effects) / whole


@mistake("08.7", says="You exchange the keys")
class section:
    """k for q."""

    def query_effects(model, clean, corrupted, right, wrong):
        layers = range(model.cfg.n_layers)
        names = [("pattern", layer) for layer in layers]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, [("k", layer) for layer in layers])
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        effects = []
        for layer, slope in zip(layers, slopes, strict=True):
            with model.hooks([(("k", layer), lambda k, hook: then["k", hook.layer])]):
                _, patched = model.run_with_cache(clean, ("pattern", layer))
            change = patched["pattern", layer] - now["pattern", layer].detach()
            effects.append((change * slope).sum((2, 3)).T)
        return torch.stack(effects) / whole


@mistake("08.7", says="The gradient is taken at the corrupted run")
class section:
    """The slope at the wrong run."""

    def query_effects(model, clean, corrupted, right, wrong):
        layers = range(model.cfg.n_layers)
        names = [("pattern", layer) for layer in layers]
        logits, now = model.run_with_cache(corrupted, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(clean, [("q", layer) for layer in layers])
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        effects = []
        for layer, slope in zip(layers, slopes, strict=True):
            with model.hooks([(("q", layer), lambda q, hook: then["q", hook.layer])]):
                _, patched = model.run_with_cache(corrupted, ("pattern", layer))
            change = patched["pattern", layer] - now["pattern", layer].detach()
            effects.append((change * slope).sum((2, 3)).T)
        return torch.stack(effects) / whole


@mistake("08.7", says="Only the sign is wrong")
class section:
    """Clean less patched."""

    def query_effects(model, clean, corrupted, right, wrong):
        layers = range(model.cfg.n_layers)
        names = [("pattern", layer) for layer in layers]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, [("q", layer) for layer in layers])
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        effects = []
        for layer, slope in zip(layers, slopes, strict=True):
            with model.hooks([(("q", layer), lambda q, hook: then["q", hook.layer])]):
                _, patched = model.run_with_cache(clean, ("pattern", layer))
            change = now["pattern", layer].detach() - patched["pattern", layer]
            effects.append((change * slope).sum((2, 3)).T)
        return torch.stack(effects) / whole


@mistake("08.7", says="This is in units of m")
class section:
    """No range."""

    def query_effects(model, clean, corrupted, right, wrong):
        layers = range(model.cfg.n_layers)
        names = [("pattern", layer) for layer in layers]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, [("q", layer) for layer in layers])
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        effects = []
        for layer, slope in zip(layers, slopes, strict=True):
            with model.hooks([(("q", layer), lambda q, hook: then["q", hook.layer])]):
                _, patched = model.run_with_cache(clean, ("pattern", layer))
            change = patched["pattern", layer] - now["pattern", layer].detach()
            effects.append((change * slope).sum((2, 3)).T)
        return torch.stack(effects)


@mistake("08.7", says="You take absolute values")
class section:
    """Absolute shares."""

    def query_effects(model, clean, corrupted, right, wrong):
        layers = range(model.cfg.n_layers)
        names = [("pattern", layer) for layer in layers]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m_clean = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
        other, then = model.run_with_cache(corrupted, [("q", layer) for layer in layers])
        whole = logit_difference(other, right, wrong) - m_clean.detach()
        effects = []
        for layer, slope in zip(layers, slopes, strict=True):
            with model.hooks([(("q", layer), lambda q, hook: then["q", hook.layer])]):
                _, patched = model.run_with_cache(clean, ("pattern", layer))
            change = patched["pattern", layer] - now["pattern", layer].detach()
            effects.append((change * slope).sum((2, 3)).T)
        return (torch.stack(effects) / whole).abs()


@mistake("08.7", says="Make a run for each layer")
class section:
    """Exchanges the queries of all layers in one run."""

    def query_effects(model, clean, corrupted, right, wrong):
        L = model.cfg.n_layers
        names = [("pattern", l) for l in range(L)]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m = logit_difference(logits, right, wrong)
        grads = torch.autograd.grad(m.sum(), [now[n] for n in names])
        with torch.no_grad():
            lo, then = model.run_with_cache(corrupted, [("q", l) for l in range(L)])
            mx = logit_difference(lo, right, wrong)
            rows = []
            for l in range(L):
                every = [(("q", k), lambda v, hook, k=k: then["q", k]) for k in range(L)]
                with model.hooks(every):
                    _, c = model.run_with_cache(clean, [("pattern", l)])
                rows.append(((c["pattern", l] - now["pattern", l].detach()) * grads[l]).sum((-1, -2)).T)
        return torch.stack(rows) / (mx - m.detach())


@mistake("08.7", says="This is the last query alone")
class section:
    """Sums over the keys of the last query."""

    def query_effects(model, clean, corrupted, right, wrong):
        L = model.cfg.n_layers
        names = [("pattern", l) for l in range(L)]
        logits, now = model.run_with_cache(clean, names, grad=True)
        m = logit_difference(logits, right, wrong)
        grads = torch.autograd.grad(m.sum(), [now[n] for n in names])
        with torch.no_grad():
            lo, then = model.run_with_cache(corrupted, [("q", l) for l in range(L)])
            mx = logit_difference(lo, right, wrong)
            rows = []
            for l in range(L):
                with model.hooks([(("q", l), lambda v, hook, l=l: then["q", l])]):
                    _, c = model.run_with_cache(clean, [("pattern", l)])
                rows.append(((c["pattern", l] - now["pattern", l].detach()) * grads[l])[:, :, -1].sum(-1).T)
        return torch.stack(rows) / (mx - m.detach())


@right("08.7", how="with the softmax written out")
class section:
    def query_effects(model, clean, corrupted, right, wrong):
        layers = range(model.cfg.n_layers)
        logits, now = model.run_with_cache(clean, lambda n: n.endswith(("hook_pattern", "hook_k")), grad=True)
        m = logit_difference(logits, right, wrong)
        slopes = torch.autograd.grad(m.sum(), [now["pattern", layer] for layer in layers])
        other, then = model.run_with_cache(corrupted, lambda n: n.endswith("hook_q"))
        n = clean.shape[1]
        seen = torch.arange(n) <= torch.arange(n)[:, None]
        rows = []
        for layer in layers:
            scores = torch.einsum("bqhd,bkhd->bhqk", then["q", layer], now["k", layer].detach())
            scores = (scores / then["q", layer].shape[-1] ** 0.5).masked_fill(~seen, float("-inf"))
            change = scores.softmax(-1) - now["pattern", layer].detach()
            rows.append(torch.einsum("bhqk,bhqk->hb", change, slopes[layer]))
        return torch.stack(rows) / (logit_difference(other, right, wrong) - m.detach())


@right("08.7", how="one query position after another")
class section:
    def query_effects(model, clean, corrupted, right, wrong):
        n_layers, n_heads, (batch, length) = model.cfg.n_layers, model.cfg.n_heads, clean.shape
        logits, now = model.run_with_cache(clean, [("pattern", layer) for layer in range(n_layers)], grad=True)
        m = logit_difference(logits, right, wrong)
        m.sum().backward()
        other, then = model.run_with_cache(corrupted)
        out = torch.zeros(n_layers, n_heads, batch)
        for layer in range(n_layers):
            for pos in range(length):

                def put(q, hook, pos=pos):
                    q = q.clone()
                    q[:, pos] = then["q", hook.layer][:, pos]
                    return q

                with model.hooks([(("q", layer), put)]):
                    _, patched = model.run_with_cache(clean, ("pattern", layer))
                change = patched["pattern", layer][:, :, pos] - now["pattern", layer].detach()[:, :, pos]
                out[layer] += (change * now.grad(("pattern", layer))[:, :, pos]).sum(-1).T
        return out / (logit_difference(other, right, wrong) - m.detach())


# --- 08.8 -------------------------------------------------------------------------------------------------------------


@mistake("08.8", says="Everybody hears the corrupted word")
class section:
    """Patches the sender, not the edge."""

    def writes(model, cache, sender):
        head = head_of(sender)
        if head:
            layer, number = head
            return cache["z", layer][:, :, number] @ model.W_O[layer, number]
        return cache["mlp_out", int(sender[1:])] if sender.startswith("m") else cache[sender]

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        difference = writes(model, then, sender) - writes(model, now, sender)
        head = head_of(receiver)

        def edit(value, hook):
            value = value.clone()
            if head:
                value[:, :, head[1]] += difference
            else:
                value += difference
            return value

        if head:
            site = (f"{receiver[-1]}_input", head[0])
        else:
            site = ("resid_post", model.cfg.n_layers - 1) if receiver == "logits" else ("mlp_in", int(receiver[1:]))
        own = head_of(sender)

        def everywhere(value, hook):
            return value + difference

        out = ("attn_out", own[0]) if own else ("mlp_out", int(sender[1:])) if sender.startswith("m") else sender
        patched = model.run_with_hooks(clean, [(out, everywhere)])
        m_clean, m_corrupted, m_patched = (logit_difference(run, right, wrong) for run in (logits, other, patched))
        return (m_clean - m_patched) / (m_clean - m_corrupted)


@mistake("08.8", says="Queries, keys and values all hear the corrupted word")
class section:
    """The head as one reader."""

    def writes(model, cache, sender):
        head = head_of(sender)
        if head:
            layer, number = head
            return cache["z", layer][:, :, number] @ model.W_O[layer, number]
        return cache["mlp_out", int(sender[1:])] if sender.startswith("m") else cache[sender]

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        difference = writes(model, then, sender) - writes(model, now, sender)
        head = head_of(receiver)

        def edit(value, hook):
            value = value.clone()
            if head:
                value[:, :, head[1]] += difference
            else:
                value += difference
            return value

        if head:
            site = (f"{receiver[-1]}_input", head[0])
        else:
            site = ("resid_post", model.cfg.n_layers - 1) if receiver == "logits" else ("mlp_in", int(receiver[1:]))
        sites = [(f"{which}_input", head[0]) for which in "qkv"] if head else [site]
        patched = model.run_with_hooks(clean, [(where, edit) for where in sites])
        m_clean, m_corrupted, m_patched = (logit_difference(run, right, wrong) for run in (logits, other, patched))
        return (m_clean - m_patched) / (m_clean - m_corrupted)


@mistake("08.8", says="All heads of the layer hear the corrupted word")
class section:
    """The layer as one reader."""

    def writes(model, cache, sender):
        head = head_of(sender)
        if head:
            layer, number = head
            return cache["z", layer][:, :, number] @ model.W_O[layer, number]
        return cache["mlp_out", int(sender[1:])] if sender.startswith("m") else cache[sender]

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        difference = writes(model, then, sender) - writes(model, now, sender)
        head = head_of(receiver)

        def edit(value, hook):
            value = value.clone()
            if head:
                value += difference[:, :, None]
            else:
                value += difference
            return value

        if head:
            site = (f"{receiver[-1]}_input", head[0])
        else:
            site = ("resid_post", model.cfg.n_layers - 1) if receiver == "logits" else ("mlp_in", int(receiver[1:]))
        patched = model.run_with_hooks(clean, [(site, edit)])
        m_clean, m_corrupted, m_patched = (logit_difference(run, right, wrong) for run in (logits, other, patched))
        return (m_clean - m_patched) / (m_clean - m_corrupted)


@mistake("08.8", says="nothing put in its place")
class section:
    """Removes the word."""

    def writes(model, cache, sender):
        head = head_of(sender)
        if head:
            layer, number = head
            return cache["z", layer][:, :, number] @ model.W_O[layer, number]
        return cache["mlp_out", int(sender[1:])] if sender.startswith("m") else cache[sender]

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        difference = -writes(model, now, sender)
        head = head_of(receiver)

        def edit(value, hook):
            value = value.clone()
            if head:
                value[:, :, head[1]] += difference
            else:
                value += difference
            return value

        if head:
            site = (f"{receiver[-1]}_input", head[0])
        else:
            site = ("resid_post", model.cfg.n_layers - 1) if receiver == "logits" else ("mlp_in", int(receiver[1:]))
        patched = model.run_with_hooks(clean, [(site, edit)])
        m_clean, m_corrupted, m_patched = (logit_difference(run, right, wrong) for run in (logits, other, patched))
        return (m_clean - m_patched) / (m_clean - m_corrupted)


@mistake("08.8", says="The corrupted word is added to the clean one")
class section:
    """Adds without taking away."""

    def writes(model, cache, sender):
        head = head_of(sender)
        if head:
            layer, number = head
            return cache["z", layer][:, :, number] @ model.W_O[layer, number]
        return cache["mlp_out", int(sender[1:])] if sender.startswith("m") else cache[sender]

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        difference = writes(model, then, sender)
        head = head_of(receiver)

        def edit(value, hook):
            value = value.clone()
            if head:
                value[:, :, head[1]] += difference
            else:
                value += difference
            return value

        if head:
            site = (f"{receiver[-1]}_input", head[0])
        else:
            site = ("resid_post", model.cfg.n_layers - 1) if receiver == "logits" else ("mlp_in", int(receiver[1:]))
        patched = model.run_with_hooks(clean, [(site, edit)])
        m_clean, m_corrupted, m_patched = (logit_difference(run, right, wrong) for run in (logits, other, patched))
        return (m_clean - m_patched) / (m_clean - m_corrupted)


@mistake("08.8", says="add corrupted − clean")
class section:
    """The sign."""

    def writes(model, cache, sender):
        head = head_of(sender)
        if head:
            layer, number = head
            return cache["z", layer][:, :, number] @ model.W_O[layer, number]
        return cache["mlp_out", int(sender[1:])] if sender.startswith("m") else cache[sender]

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        difference = writes(model, now, sender) - writes(model, then, sender)
        head = head_of(receiver)

        def edit(value, hook):
            value = value.clone()
            if head:
                value[:, :, head[1]] += difference
            else:
                value += difference
            return value

        if head:
            site = (f"{receiver[-1]}_input", head[0])
        else:
            site = ("resid_post", model.cfg.n_layers - 1) if receiver == "logits" else ("mlp_in", int(receiver[1:]))
        patched = model.run_with_hooks(clean, [(site, edit)])
        m_clean, m_corrupted, m_patched = (logit_difference(run, right, wrong) for run in (logits, other, patched))
        return (m_clean - m_patched) / (m_clean - m_corrupted)


@mistake("08.8", says="1 minus what is lost")
class section:
    """What is left."""

    def writes(model, cache, sender):
        head = head_of(sender)
        if head:
            layer, number = head
            return cache["z", layer][:, :, number] @ model.W_O[layer, number]
        return cache["mlp_out", int(sender[1:])] if sender.startswith("m") else cache[sender]

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        difference = writes(model, then, sender) - writes(model, now, sender)
        head = head_of(receiver)

        def edit(value, hook):
            value = value.clone()
            if head:
                value[:, :, head[1]] += difference
            else:
                value += difference
            return value

        if head:
            site = (f"{receiver[-1]}_input", head[0])
        else:
            site = ("resid_post", model.cfg.n_layers - 1) if receiver == "logits" else ("mlp_in", int(receiver[1:]))
        patched = model.run_with_hooks(clean, [(site, edit)])
        m_clean, m_corrupted, m_patched = (logit_difference(run, right, wrong) for run in (logits, other, patched))
        return (m_patched - m_corrupted) / (m_clean - m_corrupted)


@mistake("08.8", says="This is z. A head writes z times its own W_O")
class section:
    """No output matrix."""

    def writes(model, cache, sender):
        head = head_of(sender)
        if head:
            layer, number = head
            return cache["z", layer][:, :, number]
        return cache["mlp_out", int(sender[1:])] if sender.startswith("m") else cache[sender]

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        difference = writes(model, then, sender) - writes(model, now, sender)
        head = head_of(receiver)

        def edit(value, hook):
            value = value.clone()
            if head:
                value[:, :, head[1]] += difference
            else:
                value += difference
            return value

        if head:
            site = (f"{receiver[-1]}_input", head[0])
        else:
            site = ("resid_post", model.cfg.n_layers - 1) if receiver == "logits" else ("mlp_in", int(receiver[1:]))
        patched = model.run_with_hooks(clean, [(site, edit)])
        m_clean, m_corrupted, m_patched = (logit_difference(run, right, wrong) for run in (logits, other, patched))
        return (m_clean - m_patched) / (m_clean - m_corrupted)


@mistake("08.8", says="what the whole attention writes")
class section:
    """attn_out for one head."""

    def writes(model, cache, sender):
        head = head_of(sender)
        if head:
            layer, number = head
            return cache["attn_out", layer]
        return cache["mlp_out", int(sender[1:])] if sender.startswith("m") else cache[sender]

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        difference = writes(model, then, sender) - writes(model, now, sender)
        head = head_of(receiver)

        def edit(value, hook):
            value = value.clone()
            if head:
                value[:, :, head[1]] += difference
            else:
                value += difference
            return value

        if head:
            site = (f"{receiver[-1]}_input", head[0])
        else:
            site = ("resid_post", model.cfg.n_layers - 1) if receiver == "logits" else ("mlp_in", int(receiver[1:]))
        patched = model.run_with_hooks(clean, [(site, edit)])
        m_clean, m_corrupted, m_patched = (logit_difference(run, right, wrong) for run in (logits, other, patched))
        return (m_clean - m_patched) / (m_clean - m_corrupted)


@mistake("08.8", says="so that all who read later hear it too")
class section:
    """Puts the word into the stream before the MLP."""

    def writes(model, cache, sender):
        if sender in ("embed", "pos_embed"):
            return cache[sender]
        if sender.startswith("m"):
            return cache["mlp_out", int(sender[1:])]
        l, h = head_of(sender)
        return cache["z", l][:, :, h] @ model.W_O[l, h]

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        with torch.no_grad():
            lc, c = model.run_with_cache(clean)
            lx, x = model.run_with_cache(corrupted)
            diff = writes(model, x, sender) - writes(model, c, sender)
            if receiver == "logits":
                site, h = ("resid_post", model.cfg.n_layers - 1), None
            elif receiver.startswith("m"):
                site, h = ("resid_mid", int(receiver[1:])), None
            else:
                l, h = head_of(receiver)
                site = (receiver[-1] + "_input", l)

            def edit(v, hook):
                v = v.clone()
                if h is None:
                    v += diff
                else:
                    v[:, :, h] += diff
                return v

            with model.hooks([(site, edit)]):
                lp = model(clean)
            mc, mx, mp = (logit_difference(z, right, wrong) for z in (lc, lx, lp))
            return (mc - mp) / (mc - mx)


@mistake("08.8", says="hears this one word and nothing else")
class section:
    """Replaces what is read by the corrupted word."""

    def writes(model, cache, sender):
        if sender in ("embed", "pos_embed"):
            return cache[sender]
        if sender.startswith("m"):
            return cache["mlp_out", int(sender[1:])]
        l, h = head_of(sender)
        return cache["z", l][:, :, h] @ model.W_O[l, h]

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        with torch.no_grad():
            lc, c = model.run_with_cache(clean)
            lx, x = model.run_with_cache(corrupted)
            diff = writes(model, x, sender) - writes(model, c, sender)
            if receiver == "logits":
                site, h = ("resid_post", model.cfg.n_layers - 1), None
            elif receiver.startswith("m"):
                site, h = ("mlp_in", int(receiver[1:])), None
            else:
                l, h = head_of(receiver)
                site = (receiver[-1] + "_input", l)

            def edit(v, hook):
                v = v.clone()
                if h is None:
                    v += diff
                else:
                    v[:, :, h] = writes(model, x, sender)
                return v

            with model.hooks([(site, edit)]):
                lp = model(clean)
            mc, mx, mp = (logit_difference(z, right, wrong) for z in (lc, lx, lp))
            return (mc - mp) / (mc - mx)


@mistake("08.8", says="Only the last position hears")
class section:
    """Adds the difference at the last position."""

    def writes(model, cache, sender):
        if sender in ("embed", "pos_embed"):
            return cache[sender]
        if sender.startswith("m"):
            return cache["mlp_out", int(sender[1:])]
        l, h = head_of(sender)
        return cache["z", l][:, :, h] @ model.W_O[l, h]

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        with torch.no_grad():
            lc, c = model.run_with_cache(clean)
            lx, x = model.run_with_cache(corrupted)
            diff = writes(model, x, sender) - writes(model, c, sender)
            if receiver == "logits":
                site, h = ("resid_post", model.cfg.n_layers - 1), None
            elif receiver.startswith("m"):
                site, h = ("mlp_in", int(receiver[1:])), None
            else:
                l, h = head_of(receiver)
                site = (receiver[-1] + "_input", l)

            def edit(v, hook):
                v = v.clone()
                if h is None:
                    v += diff
                else:
                    v[:, -1, h] += diff[:, -1]
                return v

            with model.hooks([(site, edit)]):
                lp = model(clean)
            mc, mx, mp = (logit_difference(z, right, wrong) for z in (lc, lx, lp))
            return (mc - mp) / (mc - mx)


@right("08.8", how="with matrices by einsum, and edits in place")
class section:
    def writes(model, cache, sender):
        head = head_of(sender)
        if head is None:
            return cache[("mlp_out", int(sender[1:]))] if sender[0] == "m" else cache[f"hook_{sender}"]
        return torch.einsum("bpd,dm->bpm", cache["z", head[0]][:, :, head[1]], model.W_O[head])

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        runs = [model.run_with_cache(tokens) for tokens in (clean, corrupted)]
        old, new = (writes(model, cache, sender) for _, cache in runs)
        head = head_of(receiver)

        def change(value, hook):
            part = value[:, :, head[1]] if head else value
            part -= old
            part += new

        last = model.cfg.n_layers - 1
        site = ("resid_post", last) if receiver == "logits" else ("mlp_in", int(receiver[1:])) if not head else None
        site = site or (receiver[-1] + "_input", head[0])
        with model.hooks([(site, change)]):
            m = logit_difference(model(clean), right, wrong)
        before, after = (logit_difference(logits, right, wrong) for logits, _ in runs)
        return (m - before) / (after - before)


@right("08.8", how="as one column of the stream, in double precision at the end")
class section:
    def writes(model, cache, sender):
        if head_of(sender):
            layer, head = head_of(sender)
            return (cache["z", layer].double()[:, :, head] @ model.W_O[layer][head].double()).float()
        return cache["mlp_out", int(sender[1:])].clone() if sender not in ("embed", "pos_embed") else cache[sender]

    def edge_effect(model, clean, corrupted, right, wrong, sender, receiver):
        _, now = model.run_with_cache(clean)
        _, then = model.run_with_cache(corrupted)
        change = writes(model, then, sender) - writes(model, now, sender)
        head = head_of(receiver)
        if receiver == "logits":
            edits = [(("resid_post", model.cfg.n_layers - 1), lambda x, hook: x + change)]
        elif head is None:
            edits = [(("mlp_in", int(receiver[1:])), lambda x, hook: x + change)]
        else:
            mine = torch.zeros(model.cfg.n_heads, 1)
            mine[head[1]] = 1
            edits = [((f"{receiver[-1]}_input", head[0]), lambda x, hook: x + change[:, :, None] * mine)]
        m = [
            logit_difference(logits, right, wrong).double()
            for logits in (model(clean), model(corrupted), model.run_with_hooks(clean, edits))
        ]
        return (m[0] - m[2]) / (m[0] - m[1])


# --- 08.9 -------------------------------------------------------------------------------------------------------------


@mistake("08.9", says="You average over pairs before the gradient")
class section:
    """mean() for sum()."""

    def reader_gradients(model, tokens, right, wrong):
        sites, last = ({}, ("resid_post", model.cfg.n_layers - 1))
        for name in receivers(model.cfg):
            head = head_of(name)
            if head:
                sites[name] = (f"{name[-1]}_input", head[0])
            else:
                sites[name] = last if name == "logits" else ("mlp_in", int(name[1:]))
        distinct = list(dict.fromkeys(sites.values()))
        logits, cache = model.run_with_cache(tokens, distinct, grad=True)
        m = logit_difference(logits, right, wrong)
        found = torch.autograd.grad(m.mean(), [cache[site] for site in distinct])
        slope = dict(zip(distinct, found, strict=True))
        heads = {name: head_of(name) for name in sites}
        return {name: slope[site][:, :, heads[name][1]] if heads[name] else slope[site] for name, site in sites.items()}

    def eap(model, clean, corrupted, right, wrong):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        heard = reader_gradients(model, clean, right, wrong)
        change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
        return {
            str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole for edge in all_edges(model.cfg)
        }


@mistake("08.9", says="This is the sum over all heads of the layer")
class section:
    """Does not tell heads apart."""

    def reader_gradients(model, tokens, right, wrong):
        sites, last = ({}, ("resid_post", model.cfg.n_layers - 1))
        for name in receivers(model.cfg):
            head = head_of(name)
            if head:
                sites[name] = (f"{name[-1]}_input", head[0])
            else:
                sites[name] = last if name == "logits" else ("mlp_in", int(name[1:]))
        distinct = list(dict.fromkeys(sites.values()))
        logits, cache = model.run_with_cache(tokens, distinct, grad=True)
        m = logit_difference(logits, right, wrong)
        found = torch.autograd.grad(m.sum(), [cache[site] for site in distinct])
        slope = dict(zip(distinct, found, strict=True))
        heads = {name: head_of(name) for name in sites}
        return {name: slope[site].sum(2) if heads[name] else slope[site] for name, site in sites.items()}

    def eap(model, clean, corrupted, right, wrong):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        heard = reader_gradients(model, clean, right, wrong)
        change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
        return {
            str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole for edge in all_edges(model.cfg)
        }


@mistake("08.9", says="Only the sign is wrong")
class section:
    """Clean less corrupted."""

    def reader_gradients(model, tokens, right, wrong):
        sites, last = ({}, ("resid_post", model.cfg.n_layers - 1))
        for name in receivers(model.cfg):
            head = head_of(name)
            if head:
                sites[name] = (f"{name[-1]}_input", head[0])
            else:
                sites[name] = last if name == "logits" else ("mlp_in", int(name[1:]))
        distinct = list(dict.fromkeys(sites.values()))
        logits, cache = model.run_with_cache(tokens, distinct, grad=True)
        m = logit_difference(logits, right, wrong)
        found = torch.autograd.grad(m.sum(), [cache[site] for site in distinct])
        slope = dict(zip(distinct, found, strict=True))
        heads = {name: head_of(name) for name in sites}
        return {name: slope[site][:, :, heads[name][1]] if heads[name] else slope[site] for name, site in sites.items()}

    def eap(model, clean, corrupted, right, wrong):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        heard = reader_gradients(model, clean, right, wrong)
        change = {u: writes(model, now, u) - writes(model, then, u) for u in senders(model.cfg)}
        return {
            str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole for edge in all_edges(model.cfg)
        }


@mistake("08.9", says="The gradient is taken at the corrupted end")
class section:
    """The slope at the wrong run."""

    def reader_gradients(model, tokens, right, wrong):
        sites, last = ({}, ("resid_post", model.cfg.n_layers - 1))
        for name in receivers(model.cfg):
            head = head_of(name)
            if head:
                sites[name] = (f"{name[-1]}_input", head[0])
            else:
                sites[name] = last if name == "logits" else ("mlp_in", int(name[1:]))
        distinct = list(dict.fromkeys(sites.values()))
        logits, cache = model.run_with_cache(tokens, distinct, grad=True)
        m = logit_difference(logits, right, wrong)
        found = torch.autograd.grad(m.sum(), [cache[site] for site in distinct])
        slope = dict(zip(distinct, found, strict=True))
        heads = {name: head_of(name) for name in sites}
        return {name: slope[site][:, :, heads[name][1]] if heads[name] else slope[site] for name, site in sites.items()}

    def eap(model, clean, corrupted, right, wrong):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        heard = reader_gradients(model, corrupted, right, wrong)
        change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
        return {
            str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole for edge in all_edges(model.cfg)
        }


@mistake("08.9", says="This is in units of m")
class section:
    """No range."""

    def reader_gradients(model, tokens, right, wrong):
        sites, last = ({}, ("resid_post", model.cfg.n_layers - 1))
        for name in receivers(model.cfg):
            head = head_of(name)
            if head:
                sites[name] = (f"{name[-1]}_input", head[0])
            else:
                sites[name] = last if name == "logits" else ("mlp_in", int(name[1:]))
        distinct = list(dict.fromkeys(sites.values()))
        logits, cache = model.run_with_cache(tokens, distinct, grad=True)
        m = logit_difference(logits, right, wrong)
        found = torch.autograd.grad(m.sum(), [cache[site] for site in distinct])
        slope = dict(zip(distinct, found, strict=True))
        heads = {name: head_of(name) for name in sites}
        return {name: slope[site][:, :, heads[name][1]] if heads[name] else slope[site] for name, site in sites.items()}

    def eap(model, clean, corrupted, right, wrong):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        heard = reader_gradients(model, clean, right, wrong)
        change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
        return {str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) for edge in all_edges(model.cfg)}


@mistake("08.9", says="You take absolute values. Keep the sign")
class section:
    """As in circuits drawn by size."""

    def reader_gradients(model, tokens, right, wrong):
        sites, last = ({}, ("resid_post", model.cfg.n_layers - 1))
        for name in receivers(model.cfg):
            head = head_of(name)
            if head:
                sites[name] = (f"{name[-1]}_input", head[0])
            else:
                sites[name] = last if name == "logits" else ("mlp_in", int(name[1:]))
        distinct = list(dict.fromkeys(sites.values()))
        logits, cache = model.run_with_cache(tokens, distinct, grad=True)
        m = logit_difference(logits, right, wrong)
        found = torch.autograd.grad(m.sum(), [cache[site] for site in distinct])
        slope = dict(zip(distinct, found, strict=True))
        heads = {name: head_of(name) for name in sites}
        return {name: slope[site][:, :, heads[name][1]] if heads[name] else slope[site] for name, site in sites.items()}

    def eap(model, clean, corrupted, right, wrong):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        heard = reader_gradients(model, clean, right, wrong)
        change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
        return {
            str(edge): ((change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole).abs()
            for edge in all_edges(model.cfg)
        }


@mistake("08.9", says="has no entry for")
class section:
    """Edges to the logits are left out."""

    def reader_gradients(model, tokens, right, wrong):
        sites, last = ({}, ("resid_post", model.cfg.n_layers - 1))
        for name in receivers(model.cfg):
            head = head_of(name)
            if head:
                sites[name] = (f"{name[-1]}_input", head[0])
            else:
                sites[name] = last if name == "logits" else ("mlp_in", int(name[1:]))
        distinct = list(dict.fromkeys(sites.values()))
        logits, cache = model.run_with_cache(tokens, distinct, grad=True)
        m = logit_difference(logits, right, wrong)
        found = torch.autograd.grad(m.sum(), [cache[site] for site in distinct])
        slope = dict(zip(distinct, found, strict=True))
        heads = {name: head_of(name) for name in sites}
        return {name: slope[site][:, :, heads[name][1]] if heads[name] else slope[site] for name, site in sites.items()}

    def eap(model, clean, corrupted, right, wrong):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        heard = reader_gradients(model, clean, right, wrong)
        change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
        return {
            str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole
            for edge in all_edges(model.cfg)
            if edge.receiver != "logits"
        }


@mistake("08.9", says="This is the last position alone")
class section:
    """Forgets to sum over positions."""

    def reader_gradients(model, tokens, right, wrong):
        where = {}
        for r in receivers(model.cfg):
            if r == "logits":
                where[r] = (("resid_post", model.cfg.n_layers - 1), None)
            elif r.startswith("m"):
                where[r] = (("mlp_in", int(r[1:])), None)
            else:
                l, h = head_of(r)
                where[r] = ((r[-1] + "_input", l), h)
        sites = list(dict.fromkeys(s for s, _ in where.values()))
        logits, cache = model.run_with_cache(tokens, sites, grad=True)
        grads = torch.autograd.grad(logit_difference(logits, right, wrong).sum(), [cache[s] for s in sites])
        by = dict(zip(sites, grads))
        return {r: by[s] if h is None else by[s][:, :, h] for r, (s, h) in where.items()}

    def eap(model, clean, corrupted, right, wrong):
        g = reader_gradients(model, clean, right, wrong)
        with torch.no_grad():
            lc, c = model.run_with_cache(clean)
            lx, x = model.run_with_cache(corrupted)
            diff = {s: writes(model, x, s) - writes(model, c, s) for s in senders(model.cfg)}
            rng = logit_difference(lx, right, wrong) - logit_difference(lc, right, wrong)
            return {str(e): (diff[e.sender] * g[e.receiver])[:, -1].sum(-1) / rng for e in all_edges(model.cfg)}


@right("08.9", how="all edges by one product of matrices")
class section:
    def reader_gradients(model, tokens, right, wrong):
        names = receivers(model.cfg)
        last = ("resid_post", model.cfg.n_layers - 1)
        wanted = [(f"{which}_input", layer) for layer in range(model.cfg.n_layers) for which in "qkv"]
        wanted += [("mlp_in", layer) for layer in range(model.cfg.n_layers)] + [last]
        logits, cache = model.run_with_cache(tokens, wanted, grad=True)
        logit_difference(logits, right, wrong).sum().backward()
        found = {}
        for name in names:
            head = head_of(name)
            if head:
                found[name] = cache.grad((f"{name[-1]}_input", head[0]))[:, :, head[1]]
            else:
                found[name] = cache.grad(last if name == "logits" else ("mlp_in", int(name[1:])))
        return found

    def eap(model, clean, corrupted, right, wrong):
        _, now = model.run_with_cache(clean)
        _, then = model.run_with_cache(corrupted)
        m = [logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted)]
        heard = reader_gradients(model, clean, right, wrong)
        said = torch.stack([writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)])
        table = torch.einsum("ubpd,vbpd->uvb", said, torch.stack(list(heard.values()))) / (m[1] - m[0])
        rows, columns = senders(model.cfg), list(heard)
        return {str(e): table[rows.index(e.sender), columns.index(e.receiver)] for e in all_edges(model.cfg)}


@right("08.9", how="reader by reader, with a zero that is added")
class section:
    def reader_gradients(model, tokens, right, wrong):
        extra, edits = {}, []
        for name in receivers(model.cfg):
            head = head_of(name)
            extra[name] = torch.zeros(*tokens.shape, model.cfg.d_model, requires_grad=True)

            def add(x, hook, head=head, zero=extra[name]):
                if head is None:
                    return x + zero
                mine = torch.arange(model.cfg.n_heads)[:, None] == head[1]
                return x + zero[:, :, None] * mine

            site = ("resid_post", -1) if name == "logits" else (f"{name[-1]}_input", head[0]) if head else None
            edits.append((site or ("mlp_in", int(name[1:])), add))
        m = logit_difference(model.run_with_hooks(tokens, edits), right, wrong)
        return dict(zip(extra, torch.autograd.grad(m.sum(), list(extra.values()))))

    def eap(model, clean, corrupted, right, wrong):
        caches = [model.run_with_cache(tokens)[1] for tokens in (clean, corrupted)]
        start, end = (logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted))
        heard = reader_gradients(model, clean, right, wrong)
        scores = {}
        for sender, receiver in all_edges(model.cfg):
            change = writes(model, caches[1], sender) - writes(model, caches[0], sender)
            scores[f"{sender}->{receiver}"] = (change * heard[receiver]).flatten(1).sum(1) / (end - start)
        return scores


# --- 08.10 ------------------------------------------------------------------------------------------------------------


@mistake("08.10", says="The steps are 0 … steps − 1")
class section:
    """The step rule off by one."""

    def eap_ig(model, clean, corrupted, right, wrong, steps):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        x, start = (now["embed"], then["embed"])
        heard = {}
        for k in range(steps):
            between = start + k / steps * (x - start)
            with model.hooks([("embed", lambda value, hook, between=between: between)]):
                slopes = reader_gradients(model, clean, right, wrong)
            heard = {name: heard.get(name, 0) + slope / steps for name, slope in slopes.items()}
        change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
        return {
            str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole for edge in all_edges(model.cfg)
        }


@mistake("08.10", says="The steps are in the middle of each piece")
class section:
    """The rule of exercise 08.3."""

    def eap_ig(model, clean, corrupted, right, wrong, steps):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        x, start = (now["embed"], then["embed"])
        heard = {}
        for k in range(1, steps + 1):
            between = start + (k - 0.5) / steps * (x - start)
            with model.hooks([("embed", lambda value, hook, between=between: between)]):
                slopes = reader_gradients(model, clean, right, wrong)
            heard = {name: heard.get(name, 0) + slope / steps for name, slope in slopes.items()}
        change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
        return {
            str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole for edge in all_edges(model.cfg)
        }


@mistake("08.10", says="the gradient is that of the clean run at every step")
class section:
    """Nothing is put in."""

    def eap_ig(model, clean, corrupted, right, wrong, steps):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        x, start = (now["embed"], then["embed"])
        heard = {}
        for k in range(1, steps + 1):
            between = start + k / steps * (x - start)
            with model.hooks([("embed", lambda value, hook: None)]):
                slopes = reader_gradients(model, clean, right, wrong)
            heard = {name: heard.get(name, 0) + slope / steps for name, slope in slopes.items()}
        change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
        return {
            str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole for edge in all_edges(model.cfg)
        }


@mistake("08.10", says="The gradients are summed")
class section:
    """No mean."""

    def eap_ig(model, clean, corrupted, right, wrong, steps):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        x, start = (now["embed"], then["embed"])
        heard = {}
        for k in range(1, steps + 1):
            between = start + k / steps * (x - start)
            with model.hooks([("embed", lambda value, hook, between=between: between)]):
                slopes = reader_gradients(model, clean, right, wrong)
            heard = {name: heard.get(name, 0) + slope for name, slope in slopes.items()}
        change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
        return {
            str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole for edge in all_edges(model.cfg)
        }


@mistake("08.10", says="The steps are 0 … steps − 1")
class section:
    """The way from clean to corrupted."""

    def eap_ig(model, clean, corrupted, right, wrong, steps):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        x, start = (now["embed"], then["embed"])
        heard = {}
        for k in range(1, steps + 1):
            between = x + k / steps * (start - x)
            with model.hooks([("embed", lambda value, hook, between=between: between)]):
                slopes = reader_gradients(model, corrupted, right, wrong)
            heard = {name: heard.get(name, 0) + slope / steps for name, slope in slopes.items()}
        change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
        return {
            str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole for edge in all_edges(model.cfg)
        }


@mistake("08.10", says="This is in units of m")
class section:
    """No range."""

    def eap_ig(model, clean, corrupted, right, wrong, steps):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        x, start = (now["embed"], then["embed"])
        heard = {}
        for k in range(1, steps + 1):
            between = start + k / steps * (x - start)
            with model.hooks([("embed", lambda value, hook, between=between: between)]):
                slopes = reader_gradients(model, clean, right, wrong)
            heard = {name: heard.get(name, 0) + slope / steps for name, slope in slopes.items()}
        change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
        return {str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) for edge in all_edges(model.cfg)}


@mistake("08.10", says="Only the sign is wrong")
class section:
    """The sign."""

    def eap_ig(model, clean, corrupted, right, wrong, steps):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        x, start = (now["embed"], then["embed"])
        heard = {}
        for k in range(1, steps + 1):
            between = start + k / steps * (x - start)
            with model.hooks([("embed", lambda value, hook, between=between: between)]):
                slopes = reader_gradients(model, clean, right, wrong)
            heard = {name: heard.get(name, 0) + slope / steps for name, slope in slopes.items()}
        change = {u: writes(model, now, u) - writes(model, then, u) for u in senders(model.cfg)}
        return {
            str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole for edge in all_edges(model.cfg)
        }


@mistake("08.10", says="You start at zeros")
class section:
    """A way from zeros."""

    def eap_ig(model, clean, corrupted, right, wrong, steps):
        with torch.no_grad():
            lc, c = model.run_with_cache(clean)
            lx, x = model.run_with_cache(corrupted)
            diff = {s: writes(model, x, s) - writes(model, c, s) for s in senders(model.cfg)}
            rng = logit_difference(lx, right, wrong) - logit_difference(lc, right, wrong)
        e1, e0 = c["embed"], x["embed"]
        total = dict.fromkeys(receivers(model.cfg), 0)
        for k in range(1, steps + 1):
            point = k / steps * e1
            with model.hooks([("embed", lambda v, hook, point=point: point)]):
                g = reader_gradients(model, clean, right, wrong)
            for r in total:
                total[r] = total[r] + g[r] / steps
        return {str(e): (diff[e.sender] * total[e.receiver]).sum((1, 2)) / rng for e in all_edges(model.cfg)}


@right("08.10", how="as the mean of EAPs of edited runs, put together by hand")
class section:
    def eap_ig(model, clean, corrupted, right, wrong, steps):
        (logits, now), (other, then) = (model.run_with_cache(tokens) for tokens in (clean, corrupted))
        range_ = logit_difference(logits, right, wrong) - logit_difference(other, right, wrong)
        every = []
        for alpha in torch.linspace(0, 1, steps + 1)[1:].tolist():
            point = torch.lerp(then["embed"], now["embed"], alpha)
            with model.hooks([("hook_embed", lambda value, hook, point=point: point)]):
                every.append(reader_gradients(model, clean, right, wrong))
        scores = {}
        for edge in all_edges(model.cfg):
            mean = torch.stack([slopes[edge.receiver] for slopes in every]).mean(0)
            change = writes(model, now, edge.sender) - writes(model, then, edge.sender)
            scores[str(edge)] = torch.einsum("bpd,bpd->b", change, mean) / range_
        return scores


@right("08.10", how="with scores summed step by step")
class section:
    def eap_ig(model, clean, corrupted, right, wrong, steps):
        logits, now = model.run_with_cache(clean)
        other, then = model.run_with_cache(corrupted)
        whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
        change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
        scores = {str(edge): torch.zeros(len(clean)) for edge in all_edges(model.cfg)}
        for k in range(1, steps + 1):
            weight = k / steps
            point = weight * now["embed"] + (1 - weight) * then["embed"]
            with model.hooks([("embed", lambda value, hook, point=point: point)]):
                slopes = reader_gradients(model, clean, right, wrong)
            for edge in all_edges(model.cfg):
                scores[str(edge)] += (change[edge.sender] * slopes[edge.receiver]).sum((1, 2)) / whole / steps
        return scores


# --- 08.11 ------------------------------------------------------------------------------------------------------------


@mistake("08.11", says="pairs of opposite sign cancel")
class section:
    """Averages before the absolute value."""

    def strength(scores):
        return scores.mean(1).abs()

    def auroc(strengths, truth):
        on, off = (strengths[truth][:, None], strengths[~truth][None])
        return float(((on > off) + (on == off) / 2).mean())

    def average_precision(strengths, truth):
        above = strengths[None] >= strengths[truth][:, None]
        return float((above[:, truth].sum(1) / above.sum(1)).mean())


@mistake("08.11", says="An edge that speaks against the answer counts too")
class section:
    """No absolute value."""

    def strength(scores):
        return scores.mean(1)

    def auroc(strengths, truth):
        on, off = (strengths[truth][:, None], strengths[~truth][None])
        return float(((on > off) + (on == off) / 2).mean())

    def average_precision(strengths, truth):
        above = strengths[None] >= strengths[truth][:, None]
        return float((above[:, truth].sum(1) / above.sum(1)).mean())


@mistake("08.11", says="A tie counts as won")
class section:
    """At least as strong."""

    def strength(scores):
        return scores.abs().mean(1)

    def auroc(strengths, truth):
        on, off = (strengths[truth][:, None], strengths[~truth][None])
        return float((on >= off).double().mean())

    def average_precision(strengths, truth):
        above = strengths[None] >= strengths[truth][:, None]
        return float((above[:, truth].sum(1) / above.sum(1)).mean())


@mistake("08.11", says="A tie counts as lost")
class section:
    """Strictly stronger."""

    def strength(scores):
        return scores.abs().mean(1)

    def auroc(strengths, truth):
        on, off = (strengths[truth][:, None], strengths[~truth][None])
        return float((on > off).double().mean())

    def average_precision(strengths, truth):
        above = strengths[None] >= strengths[truth][:, None]
        return float((above[:, truth].sum(1) / above.sum(1)).mean())


@mistake("08.11", says="It is upside down")
class section:
    """The wrong side first."""

    def strength(scores):
        return scores.abs().mean(1)

    def auroc(strengths, truth):
        on, off = (strengths[~truth][:, None], strengths[truth][None])
        return float(((on > off) + (on == off) / 2).mean())

    def average_precision(strengths, truth):
        above = strengths[None] >= strengths[truth][:, None]
        return float((above[:, truth].sum(1) / above.sum(1)).mean())


@mistake("08.11", says="Edges that tie are put in some order")
class section:
    """Sorts, and counts down the list."""

    def strength(scores):
        return scores.abs().mean(1)

    def auroc(strengths, truth):
        on, off = (strengths[truth][:, None], strengths[~truth][None])
        return float(((on > off) + (on == off) / 2).mean())

    def average_precision(strengths, truth):
        found = truth[strengths.argsort(descending=True, stable=True)].double()
        share = found.cumsum(0) / torch.arange(1, len(found) + 1)
        return float((share * found).sum() / found.sum())


@mistake("08.11", says="Edges that tie with it are left out")
class section:
    """Strictly stronger, and itself."""

    def strength(scores):
        return scores.abs().mean(1)

    def auroc(strengths, truth):
        on, off = (strengths[truth][:, None], strengths[~truth][None])
        return float(((on > off) + (on == off) / 2).mean())

    def average_precision(strengths, truth):
        above = (strengths[None] > strengths[truth][:, None]) | torch.eye(len(truth), dtype=torch.bool)[truth]
        return float((above[:, truth].sum(1) / above.sum(1)).mean())


@mistake("08.11", says="This is the mean over all edges")
class section:
    """Averages over edges off the circuit too."""

    def strength(scores):
        return scores.abs().mean(1)

    def auroc(strengths, truth):
        on, off = (strengths[truth][:, None], strengths[~truth][None])
        return float(((on > off) + (on == off) / 2).mean())

    def average_precision(strengths, truth):
        above = strengths[None] >= strengths[:, None]
        return float((above[:, truth].sum(1) / above.sum(1)).mean())


@mistake("08.11", says="You compare with ALL edges")
class section:
    """Counts edges of the circuit among the others."""

    def strength(scores):
        return scores.abs().mean(1)

    def auroc(strengths, truth):
        on, off = strengths[truth], strengths
        total = 0.0
        for a in on:
            for b in off:
                total += 1.0 if a > b else 0.5 if a == b else 0.0
        return total / (len(on) * len(off))

    def average_precision(strengths, truth):
        vals = []
        for s in strengths[truth]:
            above = strengths >= s
            vals.append((above & truth).sum().item() / above.sum().item())
        return sum(vals) / len(vals)


@right("08.11", how="with numpy, and signs")
class section:
    def strength(scores):
        return scores.double().abs().sum(1) / scores.shape[1]

    def auroc(strengths, truth):
        values, on = strengths.numpy(), truth.numpy()
        signs = (values[on][:, None] > values[~on]) * 1.0 - (values[on][:, None] < values[~on]) * 1.0
        return (1 + signs.mean()) / 2

    def average_precision(strengths, truth):
        levels = strengths[truth].unique()
        counts = torch.stack([(strengths[truth] == level).sum() for level in levels])
        shares = torch.stack([truth[strengths >= level].double().mean() for level in levels])
        return (counts * shares).sum() / counts.sum()


@right("08.11", how="with loops, and a sum of ranks")
class section:
    def strength(scores):
        return torch.stack([row.abs().mean() for row in scores])

    def auroc(strengths, truth):
        values, on = strengths.tolist(), truth.tolist()
        ranks = [sum(v < w for v in values) + (sum(v == w for v in values) + 1) / 2 for w in values]
        n = sum(on)
        return (sum(rank for rank, t in zip(ranks, on) if t) - n * (n + 1) / 2) / (n * (len(on) - n))

    def average_precision(strengths, truth):
        shares = []
        for value in strengths[truth]:
            shares.append(truth[strengths >= value].float().mean().item())
        return torch.tensor(shares).mean()


# --- 08.12 ------------------------------------------------------------------------------------------------------------


@mistake("08.12", says="One ranking for both, the signed one")
class section:
    """The signed ranking twice."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        m_clean, m_corrupted = (logit_difference(model(tokens), right, wrong).mean() for tokens in (clean, corrupted))
        found = []
        for fraction in fractions:
            kept = [Edge.parse(text) for text in ranking[: int(fraction * len(ranking))]]
            m = (
                logit_difference(run_circuit(model, clean, kept, corrupted), right, wrong).mean()
                if kept
                else m_corrupted
            )
            found.append((m - m_corrupted) / (m_clean - m_corrupted))
        return torch.stack(found)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        signed = sorted(scores, key=lambda edge: -float(scores[edge].mean()))
        absolute = sorted(scores, key=lambda edge: -float(scores[edge].abs().mean()))
        k = torch.tensor(fractions)
        helps, matters = (
            faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions)
            for ranking in (signed, signed)
        )
        return (float(torch.trapezoid(helps, k)), float(torch.trapezoid((1 - matters).abs(), k)))


@mistake("08.12", says="One ranking for both, the absolute one")
class section:
    """The absolute ranking twice."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        m_clean, m_corrupted = (logit_difference(model(tokens), right, wrong).mean() for tokens in (clean, corrupted))
        found = []
        for fraction in fractions:
            kept = [Edge.parse(text) for text in ranking[: int(fraction * len(ranking))]]
            m = (
                logit_difference(run_circuit(model, clean, kept, corrupted), right, wrong).mean()
                if kept
                else m_corrupted
            )
            found.append((m - m_corrupted) / (m_clean - m_corrupted))
        return torch.stack(found)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        signed = sorted(scores, key=lambda edge: -float(scores[edge].mean()))
        absolute = sorted(scores, key=lambda edge: -float(scores[edge].abs().mean()))
        k = torch.tensor(fractions)
        helps, matters = (
            faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions)
            for ranking in (absolute, absolute)
        )
        return (float(torch.trapezoid(helps, k)), float(torch.trapezoid((1 - matters).abs(), k)))


@mistake("08.12", says="you average first, and pairs of opposite sign cancel")
class section:
    """The mean, then its size."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        m_clean, m_corrupted = (logit_difference(model(tokens), right, wrong).mean() for tokens in (clean, corrupted))
        found = []
        for fraction in fractions:
            kept = [Edge.parse(text) for text in ranking[: int(fraction * len(ranking))]]
            m = (
                logit_difference(run_circuit(model, clean, kept, corrupted), right, wrong).mean()
                if kept
                else m_corrupted
            )
            found.append((m - m_corrupted) / (m_clean - m_corrupted))
        return torch.stack(found)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        signed = sorted(scores, key=lambda edge: -float(scores[edge].mean()))
        absolute = sorted(scores, key=lambda edge: -float(scores[edge].mean().abs()))
        k = torch.tensor(fractions)
        helps, matters = (
            faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions)
            for ranking in (signed, absolute)
        )
        return (float(torch.trapezoid(helps, k)), float(torch.trapezoid((1 - matters).abs(), k)))


@mistake("08.12", says="k is on a logarithmic axis")
class section:
    """An area over log k."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        m_clean, m_corrupted = (logit_difference(model(tokens), right, wrong).mean() for tokens in (clean, corrupted))
        found = []
        for fraction in fractions:
            kept = [Edge.parse(text) for text in ranking[: int(fraction * len(ranking))]]
            m = (
                logit_difference(run_circuit(model, clean, kept, corrupted), right, wrong).mean()
                if kept
                else m_corrupted
            )
            found.append((m - m_corrupted) / (m_clean - m_corrupted))
        return torch.stack(found)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        signed = sorted(scores, key=lambda edge: -float(scores[edge].mean()))
        absolute = sorted(scores, key=lambda edge: -float(scores[edge].abs().mean()))
        k = torch.tensor(fractions).log()
        helps, matters = (
            faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions)
            for ranking in (signed, absolute)
        )
        return (float(torch.trapezoid(helps, k)), float(torch.trapezoid((1 - matters).abs(), k)))


@mistake("08.12", says="CMD is the area of |1 − f|")
class section:
    """No absolute value."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        m_clean, m_corrupted = (logit_difference(model(tokens), right, wrong).mean() for tokens in (clean, corrupted))
        found = []
        for fraction in fractions:
            kept = [Edge.parse(text) for text in ranking[: int(fraction * len(ranking))]]
            m = (
                logit_difference(run_circuit(model, clean, kept, corrupted), right, wrong).mean()
                if kept
                else m_corrupted
            )
            found.append((m - m_corrupted) / (m_clean - m_corrupted))
        return torch.stack(found)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        signed = sorted(scores, key=lambda edge: -float(scores[edge].mean()))
        absolute = sorted(scores, key=lambda edge: -float(scores[edge].abs().mean()))
        k = torch.tensor(fractions)
        helps, matters = (
            faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions)
            for ranking in (signed, absolute)
        )
        return (float(torch.trapezoid(helps, k)), float(torch.trapezoid(1 - matters, k)))


@mistake("08.12", says="Fractions are not equally far apart")
class section:
    """A mean for an area."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        m_clean, m_corrupted = (logit_difference(model(tokens), right, wrong).mean() for tokens in (clean, corrupted))
        found = []
        for fraction in fractions:
            kept = [Edge.parse(text) for text in ranking[: int(fraction * len(ranking))]]
            m = (
                logit_difference(run_circuit(model, clean, kept, corrupted), right, wrong).mean()
                if kept
                else m_corrupted
            )
            found.append((m - m_corrupted) / (m_clean - m_corrupted))
        return torch.stack(found)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        signed = sorted(scores, key=lambda edge: -float(scores[edge].mean()))
        absolute = sorted(scores, key=lambda edge: -float(scores[edge].abs().mean()))
        k = torch.tensor(fractions)
        helps, matters = (
            faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions)
            for ranking in (signed, absolute)
        )
        return (float(helps.mean()), float((1 - matters).abs().mean()))


@mistake("08.12", says="You rank upwards")
class section:
    """Smallest first."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        m_clean, m_corrupted = (logit_difference(model(tokens), right, wrong).mean() for tokens in (clean, corrupted))
        found = []
        for fraction in fractions:
            kept = [Edge.parse(text) for text in ranking[: int(fraction * len(ranking))]]
            m = (
                logit_difference(run_circuit(model, clean, kept, corrupted), right, wrong).mean()
                if kept
                else m_corrupted
            )
            found.append((m - m_corrupted) / (m_clean - m_corrupted))
        return torch.stack(found)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        signed = sorted(scores, key=lambda edge: float(scores[edge].mean()))
        absolute = sorted(scores, key=lambda edge: float(scores[edge].abs().mean()))
        k = torch.tensor(fractions)
        helps, matters = (
            faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions)
            for ranking in (signed, absolute)
        )
        return (float(torch.trapezoid(helps, k)), float(torch.trapezoid((1 - matters).abs(), k)))


@mistake("08.12", says="Keep the first")
class section:
    """The last edges."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        m_clean, m_corrupted = (logit_difference(model(tokens), right, wrong).mean() for tokens in (clean, corrupted))
        found = []
        for fraction in fractions:
            kept = [Edge.parse(text) for text in ranking[::-1][: int(fraction * len(ranking))]]
            m = (
                logit_difference(run_circuit(model, clean, kept, corrupted), right, wrong).mean()
                if kept
                else m_corrupted
            )
            found.append((m - m_corrupted) / (m_clean - m_corrupted))
        return torch.stack(found)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        signed = sorted(scores, key=lambda edge: -float(scores[edge].mean()))
        absolute = sorted(scores, key=lambda edge: -float(scores[edge].abs().mean()))
        k = torch.tensor(fractions)
        helps, matters = (
            faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions)
            for ranking in (signed, absolute)
        )
        return (float(torch.trapezoid(helps, k)), float(torch.trapezoid((1 - matters).abs(), k)))


@mistake("08.12", says="You forgot to subtract m(∅)")
class section:
    """m(C) / m(N)."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        m_clean, m_corrupted = (logit_difference(model(tokens), right, wrong).mean() for tokens in (clean, corrupted))
        found = []
        for fraction in fractions:
            kept = [Edge.parse(text) for text in ranking[: int(fraction * len(ranking))]]
            m = (
                logit_difference(run_circuit(model, clean, kept, corrupted), right, wrong).mean()
                if kept
                else m_corrupted
            )
            found.append(m / m_clean)
        return torch.stack(found)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        signed = sorted(scores, key=lambda edge: -float(scores[edge].mean()))
        absolute = sorted(scores, key=lambda edge: -float(scores[edge].abs().mean()))
        k = torch.tensor(fractions)
        helps, matters = (
            faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions)
            for ranking in (signed, absolute)
        )
        return (float(torch.trapezoid(helps, k)), float(torch.trapezoid((1 - matters).abs(), k)))


@mistake("08.12", says="1 minus f")
class section:
    """What is lost."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        m_clean, m_corrupted = (logit_difference(model(tokens), right, wrong).mean() for tokens in (clean, corrupted))
        found = []
        for fraction in fractions:
            kept = [Edge.parse(text) for text in ranking[: int(fraction * len(ranking))]]
            m = (
                logit_difference(run_circuit(model, clean, kept, corrupted), right, wrong).mean()
                if kept
                else m_corrupted
            )
            found.append((m_clean - m) / (m_clean - m_corrupted))
        return torch.stack(found)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        signed = sorted(scores, key=lambda edge: -float(scores[edge].mean()))
        absolute = sorted(scores, key=lambda edge: -float(scores[edge].abs().mean()))
        k = torch.tensor(fractions)
        helps, matters = (
            faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions)
            for ranking in (signed, absolute)
        )
        return (float(torch.trapezoid(helps, k)), float(torch.trapezoid((1 - matters).abs(), k)))


@mistake("08.12", says="You keep one")
class section:
    """Never runs without an edge."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        with torch.no_grad():
            m0 = logit_difference(model(corrupted), right, wrong).mean()
            m1 = logit_difference(model(clean), right, wrong).mean()
            out = []
            for f in fractions:
                k = max(1, int(f * len(ranking)))
                if k == 0:
                    out.append(0.0)
                    continue
                logits = run_circuit(model, clean, [Edge.parse(t) for t in ranking[:k]], corrupted)
                out.append(((logit_difference(logits, right, wrong).mean() - m0) / (m1 - m0)).item())
        return torch.tensor(out)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        a = sorted(scores, key=lambda e: scores[e].mean().item(), reverse=True)
        b = sorted(scores, key=lambda e: scores[e].abs().mean().item(), reverse=True)
        fa = faithfulness_curve(model, clean, corrupted, right, wrong, a, fractions)
        fb = faithfulness_curve(model, clean, corrupted, right, wrong, b, fractions)
        k = torch.tensor(fractions)
        return torch.trapezoid(fa, k).item(), torch.trapezoid((1 - fb).abs(), k).item()


@mistake("08.12", says="You round")
class section:
    """Rounds the number of edges."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        with torch.no_grad():
            m0 = logit_difference(model(corrupted), right, wrong).mean()
            m1 = logit_difference(model(clean), right, wrong).mean()
            out = []
            for f in fractions:
                k = round(f * len(ranking))
                if k == 0:
                    out.append(0.0)
                    continue
                logits = run_circuit(model, clean, [Edge.parse(t) for t in ranking[:k]], corrupted)
                out.append(((logit_difference(logits, right, wrong).mean() - m0) / (m1 - m0)).item())
        return torch.tensor(out)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        a = sorted(scores, key=lambda e: scores[e].mean().item(), reverse=True)
        b = sorted(scores, key=lambda e: scores[e].abs().mean().item(), reverse=True)
        fa = faithfulness_curve(model, clean, corrupted, right, wrong, a, fractions)
        fb = faithfulness_curve(model, clean, corrupted, right, wrong, b, fractions)
        k = torch.tensor(fractions)
        return torch.trapezoid(fa, k).item(), torch.trapezoid((1 - fb).abs(), k).item()


@mistake("08.12", says="The circuit carries the CLEAN prompt")
class section:
    """Runs the corrupted prompt."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        with torch.no_grad():
            m0 = logit_difference(model(corrupted), right, wrong).mean()
            m1 = logit_difference(model(clean), right, wrong).mean()
            out = []
            for f in fractions:
                k = int(f * len(ranking))
                if k == 0:
                    out.append(0.0)
                    continue
                logits = run_circuit(model, corrupted, [Edge.parse(t) for t in ranking[:k]], clean)
                out.append(((logit_difference(logits, right, wrong).mean() - m0) / (m1 - m0)).item())
        return torch.tensor(out)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        a = sorted(scores, key=lambda e: scores[e].mean().item(), reverse=True)
        b = sorted(scores, key=lambda e: scores[e].abs().mean().item(), reverse=True)
        fa = faithfulness_curve(model, clean, corrupted, right, wrong, a, fractions)
        fb = faithfulness_curve(model, clean, corrupted, right, wrong, b, fractions)
        k = torch.tensor(fractions)
        return torch.trapezoid(fa, k).item(), torch.trapezoid((1 - fb).abs(), k).item()


@mistake("08.12", says="Keep the circuit clean")
class section:
    """Takes the circuit out instead of keeping it alone."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        with torch.no_grad():
            m0 = logit_difference(model(corrupted), right, wrong).mean()
            m1 = logit_difference(model(clean), right, wrong).mean()
            out = []
            for f in fractions:
                k = int(f * len(ranking))
                if k in (0, len(ranking)):
                    out.append(0.0)
                    continue
                logits = run_circuit(model, clean, [Edge.parse(t) for t in ranking[k:]], corrupted)
                out.append(((logit_difference(logits, right, wrong).mean() - m0) / (m1 - m0)).item())
        return torch.tensor(out)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        a = sorted(scores, key=lambda e: scores[e].mean().item(), reverse=True)
        b = sorted(scores, key=lambda e: scores[e].abs().mean().item(), reverse=True)
        fa = faithfulness_curve(model, clean, corrupted, right, wrong, a, fractions)
        fb = faithfulness_curve(model, clean, corrupted, right, wrong, b, fractions)
        k = torch.tensor(fractions)
        return torch.trapezoid(fa, k).item(), torch.trapezoid((1 - fb).abs(), k).item()


@mistake("08.12", says="Take the means over pairs first")
class section:
    """The mean of each pair's share."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        with torch.no_grad():
            m0 = logit_difference(model(corrupted), right, wrong)
            m1 = logit_difference(model(clean), right, wrong)
            out = []
            for f in fractions:
                k = int(f * len(ranking))
                if k == 0:
                    out.append(0.0)
                    continue
                logits = run_circuit(model, clean, [Edge.parse(t) for t in ranking[:k]], corrupted)
                out.append(((logit_difference(logits, right, wrong) - m0) / (m1 - m0)).mean().item())
        return torch.tensor(out)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        a = sorted(scores, key=lambda e: scores[e].mean().item(), reverse=True)
        b = sorted(scores, key=lambda e: scores[e].abs().mean().item(), reverse=True)
        fa = faithfulness_curve(model, clean, corrupted, right, wrong, a, fractions)
        fb = faithfulness_curve(model, clean, corrupted, right, wrong, b, fractions)
        k = torch.tensor(fractions)
        return torch.trapezoid(fa, k).item(), torch.trapezoid((1 - fb).abs(), k).item()


@mistake("08.12", says="You take 1 minus the area of f")
class section:
    """Lets what lies above 1 cancel what lies below."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        with torch.no_grad():
            m0 = logit_difference(model(corrupted), right, wrong).mean()
            m1 = logit_difference(model(clean), right, wrong).mean()
            out = []
            for f in fractions:
                k = int(f * len(ranking))
                if k == 0:
                    out.append(0.0)
                    continue
                logits = run_circuit(model, clean, [Edge.parse(t) for t in ranking[:k]], corrupted)
                out.append(((logit_difference(logits, right, wrong).mean() - m0) / (m1 - m0)).item())
        return torch.tensor(out)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        a = sorted(scores, key=lambda e: scores[e].mean().item(), reverse=True)
        b = sorted(scores, key=lambda e: scores[e].abs().mean().item(), reverse=True)
        fa = faithfulness_curve(model, clean, corrupted, right, wrong, a, fractions)
        fb = faithfulness_curve(model, clean, corrupted, right, wrong, b, fractions)
        k = torch.tensor(fractions)
        return torch.trapezoid(fa, k).item(), 1 - torch.trapezoid(fb, k).item()


@mistake("08.12", says="These are rectangles")
class section:
    """Left sums."""

    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        with torch.no_grad():
            m0 = logit_difference(model(corrupted), right, wrong).mean()
            m1 = logit_difference(model(clean), right, wrong).mean()
            out = []
            for f in fractions:
                k = int(f * len(ranking))
                if k == 0:
                    out.append(0.0)
                    continue
                logits = run_circuit(model, clean, [Edge.parse(t) for t in ranking[:k]], corrupted)
                out.append(((logit_difference(logits, right, wrong).mean() - m0) / (m1 - m0)).item())
        return torch.tensor(out)

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        a = sorted(scores, key=lambda e: scores[e].mean().item(), reverse=True)
        b = sorted(scores, key=lambda e: scores[e].abs().mean().item(), reverse=True)
        fa = faithfulness_curve(model, clean, corrupted, right, wrong, a, fractions)
        fb = faithfulness_curve(model, clean, corrupted, right, wrong, b, fractions)
        k = torch.tensor(fractions)
        width = k[1:] - k[:-1]
        return (fa[:-1] * width).sum().item(), ((1 - fb).abs()[:-1] * width).sum().item()


@right("08.12", how="with numpy's area, and patched edges")
class section:
    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        from mi_lib.attribution import patch_edges

        start, end = (logit_difference(model(t), right, wrong).mean() for t in (corrupted, clean))
        points = []
        for share in fractions:
            count = int(share * len(ranking))
            others = [Edge.parse(text) for text in ranking[count:]]
            logits = patch_edges(model, clean, corrupted, others) if others else model(clean)
            m = logit_difference(logits, right, wrong).mean() if count else start
            points.append(float((m - start) / (end - start)))
        return points

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        def f(value):
            order = sorted(scores, key=value, reverse=True)
            return torch.as_tensor(faithfulness_curve(model, clean, corrupted, right, wrong, order, fractions)).numpy()

        import numpy as np

        helps, matters = f(lambda e: scores[e].mean().item()), f(lambda e: scores[e].abs().mean().item())
        return np.trapezoid(helps, fractions), np.trapezoid(abs(1 - matters), fractions)


@right("08.12", how="with argsort, and trapezoids by hand")
class section:
    def faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions):
        m_clean = logit_difference(model(clean), right, wrong).mean()
        m_none = logit_difference(model(corrupted), right, wrong).mean()
        curve = torch.zeros(len(fractions))
        for i, fraction in enumerate(fractions):
            edges = [Edge.parse(text) for text in ranking][: int(fraction * len(ranking))]
            if edges:
                m = logit_difference(run_circuit(model, clean, edges, corrupted), right, wrong).mean()
                curve[i] = (m - m_none) / (m_clean - m_none)
        return curve

    def cpr_and_cmd(model, clean, corrupted, right, wrong, scores, fractions):
        names, table = list(scores), torch.stack(list(scores.values()))
        areas = []
        for values in (table.mean(1), table.abs().mean(1)):
            ranking = [names[i] for i in values.argsort(descending=True).tolist()]
            f = faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions).tolist()
            heights = f if not areas else [abs(1 - value) for value in f]
            pieces = range(len(fractions) - 1)
            areas.append(sum((fractions[i + 1] - fractions[i]) * (heights[i] + heights[i + 1]) / 2 for i in pieces))
        return tuple(areas)


# --- 08.13 ------------------------------------------------------------------------------------------------------------


@mistake("08.13", says="This is the correlation of the numbers themselves")
class section:
    """Pearson for Spearman."""

    def rank_correlation(a, b):

        def ranks(x):
            below, equal = ((x[None] < x[:, None]).sum(1), (x[None] == x[:, None]).sum(1))
            return below + equal / 2

        u, v = (x.double() - x.double().mean() for x in (a, b))
        return float(u @ v / (u.norm() * v.norm()))

    def sanity_check(model, clean, corrupted, right, wrong, seeds):

        def heads(of):
            return attribution_patching(of, clean, corrupted, right, wrong).abs().mean(-1).flatten()

        own = heads(model)
        return torch.tensor([rank_correlation(own, heads(randomised(model, seed))) for seed in seeds])


@mistake("08.13", says="Equal numbers get ranks in some order")
class section:
    """Ties by argsort."""

    def rank_correlation(a, b):

        def ranks(x):
            return x.argsort(stable=True).argsort().double()

        u, v = (ranks(x) - ranks(x).mean() for x in (a, b))
        return float(u @ v / (u.norm() * v.norm()))

    def sanity_check(model, clean, corrupted, right, wrong, seeds):

        def heads(of):
            return attribution_patching(of, clean, corrupted, right, wrong).abs().mean(-1).flatten()

        own = heads(model)
        return torch.tensor([rank_correlation(own, heads(randomised(model, seed))) for seed in seeds])


@mistake("08.13", says="It takes a second argsort")
class section:
    """argsort once."""

    def rank_correlation(a, b):

        def ranks(x):
            return x.argsort().double()

        u, v = (ranks(x) - ranks(x).mean() for x in (a, b))
        return float(u @ v / (u.norm() * v.norm()))

    def sanity_check(model, clean, corrupted, right, wrong, seeds):

        def heads(of):
            return attribution_patching(of, clean, corrupted, right, wrong).abs().mean(-1).flatten()

        own = heads(model)
        return torch.tensor([rank_correlation(own, heads(randomised(model, seed))) for seed in seeds])


@mistake("08.13", says="You average over pairs before the absolute value")
class section:
    """Pairs cancel."""

    def rank_correlation(a, b):

        def ranks(x):
            below, equal = ((x[None] < x[:, None]).sum(1), (x[None] == x[:, None]).sum(1))
            return below + equal / 2

        u, v = (ranks(x) - ranks(x).mean() for x in (a, b))
        return float(u @ v / (u.norm() * v.norm()))

    def sanity_check(model, clean, corrupted, right, wrong, seeds):

        def heads(of):
            return attribution_patching(of, clean, corrupted, right, wrong).mean(-1).abs().flatten()

        own = heads(model)
        return torch.tensor([rank_correlation(own, heads(randomised(model, seed))) for seed in seeds])


@mistake("08.13", says="You rank by the signed value")
class section:
    """No absolute value."""

    def rank_correlation(a, b):

        def ranks(x):
            below, equal = ((x[None] < x[:, None]).sum(1), (x[None] == x[:, None]).sum(1))
            return below + equal / 2

        u, v = (ranks(x) - ranks(x).mean() for x in (a, b))
        return float(u @ v / (u.norm() * v.norm()))

    def sanity_check(model, clean, corrupted, right, wrong, seeds):

        def heads(of):
            return attribution_patching(of, clean, corrupted, right, wrong).mean(-1).flatten()

        own = heads(model)
        return torch.tensor([rank_correlation(own, heads(randomised(model, seed))) for seed in seeds])


@mistake("08.13", says="You compare the network with itself")
class section:
    """Forgets to shuffle."""

    def rank_correlation(a, b):

        def ranks(x):
            below, equal = ((x[None] < x[:, None]).sum(1), (x[None] == x[:, None]).sum(1))
            return below + equal / 2

        u, v = (ranks(x) - ranks(x).mean() for x in (a, b))
        return float(u @ v / (u.norm() * v.norm()))

    def sanity_check(model, clean, corrupted, right, wrong, seeds):

        def heads(of):
            return attribution_patching(of, clean, corrupted, right, wrong).abs().mean(-1).flatten()

        own = heads(model)
        return torch.tensor([rank_correlation(own, heads(model)) for seed in seeds])


@mistake("08.13", says="You compare exact patching")
class section:
    """Another method."""

    def rank_correlation(a, b):

        def ranks(x):
            below, equal = ((x[None] < x[:, None]).sum(1), (x[None] == x[:, None]).sum(1))
            return below + equal / 2

        u, v = (ranks(x) - ranks(x).mean() for x in (a, b))
        return float(u @ v / (u.norm() * v.norm()))

    def sanity_check(model, clean, corrupted, right, wrong, seeds):

        def heads(of):
            return (1 - patch_heads(of, clean, corrupted, right, wrong, True)).abs().mean(-1).flatten()

        own = heads(model)
        return torch.tensor([rank_correlation(own, heads(randomised(model, seed))) for seed in seeds])


@mistake("08.13", says="all get the lowest of their ranks")
class section:
    """Ties share the lowest rank."""

    def rank_correlation(a, b):
        def ranks(x):
            x = [float(v) for v in x]
            s = sorted(x)
            out = []
            for v in x:
                idx = [i for i, u in enumerate(s) if u == v]
                out.append(float(idx[0]))
            return torch.tensor(out, dtype=torch.float64)

        return torch.corrcoef(torch.stack([ranks(a), ranks(b)]))[0, 1].item()

    def sanity_check(model, clean, corrupted, right, wrong, seeds):
        def say(m):
            return attribution_patching(m, clean, corrupted, right, wrong).abs().mean(-1).flatten()

        base = say(model)
        return torch.tensor([rank_correlation(base, say(randomised(model, s))) for s in seeds])


@mistake("08.13", says="is right only where no numbers are equal")
class section:
    """The short formula, with ties."""

    def rank_correlation(a, b):
        def ranks(x):
            x = [float(v) for v in x]
            s = sorted(x)
            out = []
            for v in x:
                idx = [i for i, u in enumerate(s) if u == v]
                out.append(sum(idx) / len(idx))
            return torch.tensor(out, dtype=torch.float64)

        n, d = len(a), ranks(a) - ranks(b)
        return 1 - 6 * d.pow(2).sum().item() / (n**3 - n)

    def sanity_check(model, clean, corrupted, right, wrong, seeds):
        def say(m):
            return attribution_patching(m, clean, corrupted, right, wrong).abs().mean(-1).flatten()

        base = say(model)
        return torch.tensor([rank_correlation(base, say(randomised(model, s))) for s in seeds])


@mistake("08.13", says="Pairs are not averaged")
class section:
    """Ranks heads and pairs together."""

    def rank_correlation(a, b):
        def ranks(x):
            x = [float(v) for v in x]
            s = sorted(x)
            out = []
            for v in x:
                idx = [i for i, u in enumerate(s) if u == v]
                out.append(sum(idx) / len(idx))
            return torch.tensor(out, dtype=torch.float64)

        return torch.corrcoef(torch.stack([ranks(a), ranks(b)]))[0, 1].item()

    def sanity_check(model, clean, corrupted, right, wrong, seeds):
        def say(m):
            return attribution_patching(m, clean, corrupted, right, wrong).abs().flatten()

        base = say(model)
        return torch.tensor([rank_correlation(base, say(randomised(model, s))) for s in seeds])


@mistake("08.13", says="You compare the shuffled copies with one another")
class section:
    """Starts from a shuffled copy."""

    def rank_correlation(a, b):
        def ranks(x):
            x = [float(v) for v in x]
            s = sorted(x)
            out = []
            for v in x:
                idx = [i for i, u in enumerate(s) if u == v]
                out.append(sum(idx) / len(idx))
            return torch.tensor(out, dtype=torch.float64)

        return torch.corrcoef(torch.stack([ranks(a), ranks(b)]))[0, 1].item()

    def sanity_check(model, clean, corrupted, right, wrong, seeds):
        def say(m):
            return attribution_patching(m, clean, corrupted, right, wrong).abs().mean(-1).flatten()

        base = say(randomised(model, seeds[0]))
        return torch.tensor([rank_correlation(base, say(randomised(model, s))) for s in seeds])


@right("08.13", how="with searchsorted, in numpy")
class section:
    def rank_correlation(a, b):
        import numpy as np

        def ranks(x):
            x = np.asarray(x)
            ordered = np.sort(x)
            return np.searchsorted(ordered, x, "left") + np.searchsorted(ordered, x, "right")

        return np.corrcoef(ranks(a), ranks(b))[0, 1]

    def sanity_check(model, clean, corrupted, right, wrong, seeds):
        tables = [
            attribution_patching(m, clean, corrupted, right, wrong).abs().mean(2).reshape(-1).numpy()
            for m in (model, *(randomised(model, seed) for seed in seeds))
        ]
        return [rank_correlation(tables[0], other) for other in tables[1:]]


@right("08.13", how="with a correlation matrix")
class section:
    def rank_correlation(a, b):
        both = torch.stack([a, b]).double()
        ranks = (both[:, :, None] > both[:, None]).sum(2) - (both[:, :, None] < both[:, None]).sum(2)
        return torch.corrcoef(ranks.double())[0, 1]

    def sanity_check(model, clean, corrupted, right, wrong, seeds):
        own, found = None, []
        for seed in [None, *seeds]:
            m = model if seed is None else randomised(model, seed)
            sizes = attribution_patching(m, clean, corrupted, right, wrong).abs().sum(-1).view(-1)
            own = sizes if own is None else own
            found.append(rank_correlation(own, sizes))
        return torch.stack(found[1:])


# --- 08.14 ------------------------------------------------------------------------------------------------------------


@mistake("08.14", says="it is another part")
class section:
    """Blames the last MLP, whatever fails."""

    def errors(model, clean, corrupted, right, wrong, sender, receiver):
        edge = f"{sender}->{receiver}"
        noising = edge_effect(model, clean, corrupted, right, wrong, sender, receiver)
        denoising = edge_effect(model, corrupted, clean, right, wrong, sender, receiver)
        quick = eap(model, clean, corrupted, right, wrong)[edge]
        return (float((quick - noising).abs().mean()), float((denoising - noising).abs().mean()))

    def cause(model, clean, corrupted, right, wrong, sender, receiver):
        return ("straighten", f"m{model.cfg.n_layers - 1}")
        pair = (model, clean, corrupted, right, wrong)
        for part in (name for name in senders(model.cfg) if "embed" not in name):
            for kind in ("straighten", "silence"):
                edit = straightened(model, clean, corrupted, part) if kind == "straighten" else silenced(model, part)
                with edit:
                    m_clean, m_corrupted = (
                        logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted)
                    )
                    if (m_clean <= 0).any() or (m_corrupted >= 0).any():
                        continue
                    worth = edge_effect(*pair, sender, receiver).mean()
                    if worth >= 0.05 and max(errors(*pair, sender, receiver)) < 0.1:
                        return (kind, part)
        raise ValueError(f"no edit makes the methods agree about {sender}->{receiver}")


@mistake("08.14", says="the network no longer answers both prompts right")
class section:
    """Silences the part that is heard."""

    def errors(model, clean, corrupted, right, wrong, sender, receiver):
        edge = f"{sender}->{receiver}"
        noising = edge_effect(model, clean, corrupted, right, wrong, sender, receiver)
        denoising = edge_effect(model, corrupted, clean, right, wrong, sender, receiver)
        quick = eap(model, clean, corrupted, right, wrong)[edge]
        return (float((quick - noising).abs().mean()), float((denoising - noising).abs().mean()))

    def cause(model, clean, corrupted, right, wrong, sender, receiver):
        return ("silence", receiver.removesuffix(".q").removesuffix(".v"))
        pair = (model, clean, corrupted, right, wrong)
        for part in (name for name in senders(model.cfg) if "embed" not in name):
            for kind in ("straighten", "silence"):
                edit = straightened(model, clean, corrupted, part) if kind == "straighten" else silenced(model, part)
                with edit:
                    m_clean, m_corrupted = (
                        logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted)
                    )
                    if (m_clean <= 0).any() or (m_corrupted >= 0).any():
                        continue
                    worth = edge_effect(*pair, sender, receiver).mean()
                    if worth >= 0.05 and max(errors(*pair, sender, receiver)) < 0.1:
                        return (kind, part)
        raise ValueError(f"no edit makes the methods agree about {sender}->{receiver}")


@mistake("08.14", says="it is another part")
class section:
    """Looks at EAP alone."""

    def errors(model, clean, corrupted, right, wrong, sender, receiver):
        edge = f"{sender}->{receiver}"
        noising = edge_effect(model, clean, corrupted, right, wrong, sender, receiver)
        denoising = edge_effect(model, corrupted, clean, right, wrong, sender, receiver)
        quick = eap(model, clean, corrupted, right, wrong)[edge]
        return (float((quick - noising).abs().mean()), float((denoising - noising).abs().mean()))

    def cause(model, clean, corrupted, right, wrong, sender, receiver):
        pair = (model, clean, corrupted, right, wrong)
        for part in (name for name in senders(model.cfg) if "embed" not in name):
            for kind in ("straighten", "silence"):
                edit = straightened(model, clean, corrupted, part) if kind == "straighten" else silenced(model, part)
                with edit:
                    m_clean, m_corrupted = (
                        logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted)
                    )
                    if (m_clean <= 0).any() or (m_corrupted >= 0).any():
                        continue
                    worth = edge_effect(*pair, sender, receiver).mean()
                    if errors(*pair, sender, receiver)[0] < 0.1:
                        return (kind, part)
        raise ValueError(f"no edit makes the methods agree about {sender}->{receiver}")


@mistake("08.14", says="no longer answers both prompts right")
class section:
    """Does not ask whether the network still works."""

    def errors(model, clean, corrupted, right, wrong, sender, receiver):
        edge = f"{sender}->{receiver}"
        noising = edge_effect(model, clean, corrupted, right, wrong, sender, receiver)
        denoising = edge_effect(model, corrupted, clean, right, wrong, sender, receiver)
        quick = eap(model, clean, corrupted, right, wrong)[edge]
        return (float((quick - noising).abs().mean()), float((denoising - noising).abs().mean()))

    def cause(model, clean, corrupted, right, wrong, sender, receiver):
        pair = (model, clean, corrupted, right, wrong)
        for part in (name for name in senders(model.cfg) if "embed" not in name):
            for kind in ("silence", "straighten"):
                edit = straightened(model, clean, corrupted, part) if kind == "straighten" else silenced(model, part)
                with edit:
                    m_clean, m_corrupted = (
                        logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted)
                    )
                    if False:
                        continue
                    worth = edge_effect(*pair, sender, receiver).mean()
                    if max(errors(*pair, sender, receiver)) < 0.1:
                        return (kind, part)
        raise ValueError(f"no edit makes the methods agree about {sender}->{receiver}")


@mistake("08.14", says="is no edit of this network")
class section:
    """A sentence for an edit."""

    def errors(model, clean, corrupted, right, wrong, sender, receiver):
        edge = f"{sender}->{receiver}"
        noising = edge_effect(model, clean, corrupted, right, wrong, sender, receiver)
        denoising = edge_effect(model, corrupted, clean, right, wrong, sender, receiver)
        quick = eap(model, clean, corrupted, right, wrong)[edge]
        return (float((quick - noising).abs().mean()), float((denoising - noising).abs().mean()))

    def cause(model, clean, corrupted, right, wrong, sender, receiver):
        pair = (model, clean, corrupted, right, wrong)
        for part in (name for name in senders(model.cfg) if "embed" not in name):
            for kind in ("straighten", "silence"):
                edit = straightened(model, clean, corrupted, part) if kind == "straighten" else silenced(model, part)
                with edit:
                    m_clean, m_corrupted = (
                        logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted)
                    )
                    if (m_clean <= 0).any() or (m_corrupted >= 0).any():
                        continue
                    worth = edge_effect(*pair, sender, receiver).mean()
                    if worth >= 0.05 and max(errors(*pair, sender, receiver)) < 0.1:
                        return (kind, f"the MLP {part}")
        raise ValueError(f"no edit makes the methods agree about {sender}->{receiver}")


@mistake("08.14", says="You average over pairs before the absolute value")
class section:
    """Pairs cancel."""

    def errors(model, clean, corrupted, right, wrong, sender, receiver):
        edge = f"{sender}->{receiver}"
        noising = edge_effect(model, clean, corrupted, right, wrong, sender, receiver)
        denoising = edge_effect(model, corrupted, clean, right, wrong, sender, receiver)
        quick = eap(model, clean, corrupted, right, wrong)[edge]
        return (float((quick - noising).mean().abs()), float((denoising - noising).mean().abs()))

    def cause(model, clean, corrupted, right, wrong, sender, receiver):
        pair = (model, clean, corrupted, right, wrong)
        for part in (name for name in senders(model.cfg) if "embed" not in name):
            for kind in ("straighten", "silence"):
                edit = straightened(model, clean, corrupted, part) if kind == "straighten" else silenced(model, part)
                with edit:
                    m_clean, m_corrupted = (
                        logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted)
                    )
                    if (m_clean <= 0).any() or (m_corrupted >= 0).any():
                        continue
                    worth = edge_effect(*pair, sender, receiver).mean()
                    if worth >= 0.05 and max(errors(*pair, sender, receiver)) < 0.1:
                        return (kind, part)
        raise ValueError(f"no edit makes the methods agree about {sender}->{receiver}")


@mistake("08.14", says="Denoising is what comes BACK")
class section:
    """1 minus what comes back."""

    def errors(model, clean, corrupted, right, wrong, sender, receiver):
        edge = f"{sender}->{receiver}"
        noising = edge_effect(model, clean, corrupted, right, wrong, sender, receiver)
        denoising = 1 - edge_effect(model, corrupted, clean, right, wrong, sender, receiver)
        quick = eap(model, clean, corrupted, right, wrong)[edge]
        return (float((quick - noising).abs().mean()), float((denoising - noising).abs().mean()))

    def cause(model, clean, corrupted, right, wrong, sender, receiver):
        pair = (model, clean, corrupted, right, wrong)
        for part in (name for name in senders(model.cfg) if "embed" not in name):
            for kind in ("straighten", "silence"):
                edit = straightened(model, clean, corrupted, part) if kind == "straighten" else silenced(model, part)
                with edit:
                    m_clean, m_corrupted = (
                        logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted)
                    )
                    if (m_clean <= 0).any() or (m_corrupted >= 0).any():
                        continue
                    worth = edge_effect(*pair, sender, receiver).mean()
                    if worth >= 0.05 and max(errors(*pair, sender, receiver)) < 0.1:
                        return (kind, part)
        raise ValueError(f"no edit makes the methods agree about {sender}->{receiver}")


@mistake("08.14", says="The two are exchanged")
class section:
    """Exact patching first."""

    def errors(model, clean, corrupted, right, wrong, sender, receiver):
        edge = f"{sender}->{receiver}"
        noising = edge_effect(model, clean, corrupted, right, wrong, sender, receiver)
        denoising = edge_effect(model, corrupted, clean, right, wrong, sender, receiver)
        quick = eap(model, clean, corrupted, right, wrong)[edge]
        return (float((denoising - noising).abs().mean()), float((quick - noising).abs().mean()))

    def cause(model, clean, corrupted, right, wrong, sender, receiver):
        pair = (model, clean, corrupted, right, wrong)
        for part in (name for name in senders(model.cfg) if "embed" not in name):
            for kind in ("straighten", "silence"):
                edit = straightened(model, clean, corrupted, part) if kind == "straighten" else silenced(model, part)
                with edit:
                    m_clean, m_corrupted = (
                        logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted)
                    )
                    if (m_clean <= 0).any() or (m_corrupted >= 0).any():
                        continue
                    worth = edge_effect(*pair, sender, receiver).mean()
                    if worth >= 0.05 and max(errors(*pair, sender, receiver)) < 0.1:
                        return (kind, part)
        raise ValueError(f"no edit makes the methods agree about {sender}->{receiver}")


@mistake("08.14", says="yours compares EAP with denoising")
class section:
    """EAP against the wrong exact value."""

    def errors(model, clean, corrupted, right, wrong, sender, receiver):
        est = eap(model, clean, corrupted, right, wrong)[f"{sender}->{receiver}"]
        noise = edge_effect(model, clean, corrupted, right, wrong, sender, receiver)
        back = edge_effect(model, corrupted, clean, right, wrong, sender, receiver)
        return (est - back).abs().mean().item(), (back - noise).abs().mean().item()

    def cause(model, clean, corrupted, right, wrong, sender, receiver):
        parts = [s for s in senders(model.cfg) if s not in ("embed", "pos_embed")]
        for part in parts:
            for kind in ("straighten", "silence"):
                ctx = straightened(model, clean, corrupted, part) if kind == "straighten" else silenced(model, part)
                with ctx:
                    with torch.no_grad():
                        mc = logit_difference(model(clean), right, wrong)
                        mx = logit_difference(model(corrupted), right, wrong)
                    if not ((mc > 0).all() and (mx < 0).all()):
                        continue
                    if edge_effect(model, clean, corrupted, right, wrong, sender, receiver).mean() < 0.05:
                        continue
                    a, b = errors(model, clean, corrupted, right, wrong, sender, receiver)
                if a < 0.1 and b < 0.1:
                    return kind, part
        raise ValueError("none")


@right("08.14", how="only straightening, the reader's own part and the last MLP first")
class section:
    def errors(model, clean, corrupted, right, wrong, sender, receiver):
        lost = edge_effect(model, clean, corrupted, right, wrong, sender, receiver)
        back = edge_effect(model, corrupted, clean, right, wrong, sender, receiver)
        scores = eap(model, clean, corrupted, right, wrong)
        return [(x - lost).abs().mean() for x in (scores[f"{sender}->{receiver}"], back)]

    def cause(model, clean, corrupted, right, wrong, sender, receiver):
        last = [f"m{layer}" for layer in reversed(range(model.cfg.n_layers))]
        heads = [name for name in senders(model.cfg) if head_of(name)]
        for part in [receiver[:-2] if receiver[-2] == "." else receiver, *last, *heads]:
            with straightened(model, clean, corrupted, part):
                left = errors(model, clean, corrupted, right, wrong, sender, receiver)
                worth = edge_effect(model, clean, corrupted, right, wrong, sender, receiver).mean()
            if max(left) < 0.1 and worth >= 0.05:
                return ["straighten", part]
        return ["straighten", last[0]]


@right("08.14", how="the edit with the smallest errors, of those that leave the answers right")
class section:
    def errors(model, clean, corrupted, right, wrong, sender, receiver):
        pair = (clean, corrupted)
        noising, denoising = (edge_effect(model, *two, right, wrong, sender, receiver) for two in (pair, pair[::-1]))
        estimate = eap(model, clean, corrupted, right, wrong)[f"{sender}->{receiver}"]
        return (estimate - noising).abs().mean().item(), (noising - denoising).abs().mean().item()

    def cause(model, clean, corrupted, right, wrong, sender, receiver):
        tried = []
        for part in senders(model.cfg):
            if part in ("embed", "pos_embed"):
                continue
            edits = {"straighten": straightened(model, clean, corrupted, part), "silence": silenced(model, part)}
            for kind, edit in edits.items():
                with edit:
                    m = [logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted)]
                    if m[0].min() > 0 > m[1].max():
                        left = errors(model, clean, corrupted, right, wrong, sender, receiver)
                        if edge_effect(model, clean, corrupted, right, wrong, sender, receiver).mean() >= 0.05:
                            tried.append((sum(left), kind, part))
        return min(tried)[1:]
