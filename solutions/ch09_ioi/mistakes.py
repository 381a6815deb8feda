"""Wrong answers that learners and published code give to chapter 09, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 09.1 -------------------------------------------------------------------------------------------------------------


@mistake("09.1", says="IO itself was drawn")
class section:
    """Draws from all names: the corrupted prompt may still say the answer."""

    def other_names(io, s, names, seed):
        generator = torch.Generator().manual_seed(seed)
        order = torch.rand(len(io), len(names), generator=generator)
        return names[order.argsort(-1)[:, :3]]

    def abc_prompts(tokens, io_at, s1_at, s2_at, others):
        rows, new = torch.arange(len(tokens)), tokens.clone()
        for i, at in enumerate((io_at, s1_at, s2_at)):
            new[rows, at] = others[:, i]
        return new

    def flipped_prompts(tokens, io_at, s2_at):
        rows, new = torch.arange(len(tokens)), tokens.clone()
        new[rows, s2_at] = tokens[rows, io_at]
        return new


@mistake("09.1", says="The same name was drawn twice")
class section:
    """Draws with replacement."""

    def other_names(io, s, names, seed):
        generator = torch.Generator().manual_seed(seed)
        rows = []
        for its_io, its_s in zip(io.tolist(), s.tolist()):
            free = torch.tensor([n for n in names.tolist() if n not in (its_io, its_s)])
            rows.append(free[torch.randint(len(free), (3,), generator=generator)])
        return torch.stack(rows)

    def abc_prompts(tokens, io_at, s1_at, s2_at, others):
        rows, new = torch.arange(len(tokens)), tokens.clone()
        for i, at in enumerate((io_at, s1_at, s2_at)):
            new[rows, at] = others[:, i]
        return new

    def flipped_prompts(tokens, io_at, s2_at):
        rows, new = torch.arange(len(tokens)), tokens.clone()
        new[rows, s2_at] = tokens[rows, io_at]
        return new


@mistake("09.1", says="S2 still says the name of S")
class section:
    """Exchanges the first two names only."""

    def other_names(io, s, names, seed):
        generator = torch.Generator().manual_seed(seed)
        order = torch.rand(len(io), len(names), generator=generator)
        order[(names == io[:, None]) | (names == s[:, None])] = 2
        return names[order.argsort(-1)[:, :3]]

    def abc_prompts(tokens, io_at, s1_at, s2_at, others):
        rows, new = torch.arange(len(tokens)), tokens.clone()
        new[rows, io_at], new[rows, s1_at] = others[:, 0], others[:, 1]
        return new

    def flipped_prompts(tokens, io_at, s2_at):
        rows, new = torch.arange(len(tokens)), tokens.clone()
        new[rows, s2_at] = tokens[rows, io_at]
        return new


@mistake("09.1", says="The same name stands at S1 and at S2")
class section:
    """Keeps the repetition: then the corrupted prompt has an answer as clear as the clean one's."""

    def other_names(io, s, names, seed):
        generator = torch.Generator().manual_seed(seed)
        order = torch.rand(len(io), len(names), generator=generator)
        order[(names == io[:, None]) | (names == s[:, None])] = 2
        return names[order.argsort(-1)[:, :3]]

    def abc_prompts(tokens, io_at, s1_at, s2_at, others):
        rows, new = torch.arange(len(tokens)), tokens.clone()
        new[rows, io_at] = others[:, 0]
        new[rows, s1_at] = new[rows, s2_at] = others[:, 1]
        return new

    def flipped_prompts(tokens, io_at, s2_at):
        rows, new = torch.arange(len(tokens)), tokens.clone()
        new[rows, s2_at] = tokens[rows, io_at]
        return new


@mistake("09.1", says="You write into every row at the places of all of them")
class section:
    """new[:, at] in place of new[rows, at]."""

    def other_names(io, s, names, seed):
        generator = torch.Generator().manual_seed(seed)
        order = torch.rand(len(io), len(names), generator=generator)
        order[(names == io[:, None]) | (names == s[:, None])] = 2
        return names[order.argsort(-1)[:, :3]]

    def abc_prompts(tokens, io_at, s1_at, s2_at, others):
        new = tokens.clone()
        for i, at in enumerate((io_at, s1_at, s2_at)):
            new[:, at] = others[:, i]
        return new

    def flipped_prompts(tokens, io_at, s2_at):
        rows, new = torch.arange(len(tokens)), tokens.clone()
        new[rows, s2_at] = tokens[rows, io_at]
        return new


@mistake("09.1", says="You exchange the two names")
class section:
    """S and IO exchange their places: then the answer is still in the same role."""

    def other_names(io, s, names, seed):
        generator = torch.Generator().manual_seed(seed)
        order = torch.rand(len(io), len(names), generator=generator)
        order[(names == io[:, None]) | (names == s[:, None])] = 2
        return names[order.argsort(-1)[:, :3]]

    def abc_prompts(tokens, io_at, s1_at, s2_at, others):
        rows, new = torch.arange(len(tokens)), tokens.clone()
        for i, at in enumerate((io_at, s1_at, s2_at)):
            new[rows, at] = others[:, i]
        return new

    def flipped_prompts(tokens, io_at, s2_at):
        rows, new = torch.arange(len(tokens)), tokens.clone()
        new[rows, s2_at] = tokens[rows, io_at]
        new[rows, io_at] = tokens[rows, s2_at]
        return new


@mistake("09.1", says="All prompts get the same three names")
class section:
    """One drawing for all."""

    def other_names(io, s, names, seed):
        generator = torch.Generator().manual_seed(seed)
        order = torch.rand(1, len(names), generator=generator).expand(len(io), -1).clone()
        order[(names == io[:, None]) | (names == s[:, None])] = 2
        return names[order.argsort(-1)[:, :3]]

    def abc_prompts(tokens, io_at, s1_at, s2_at, others):
        rows, new = torch.arange(len(tokens)), tokens.clone()
        for i, at in enumerate((io_at, s1_at, s2_at)):
            new[rows, at] = others[:, i]
        return new

    def flipped_prompts(tokens, io_at, s2_at):
        rows, new = torch.arange(len(tokens)), tokens.clone()
        new[rows, s2_at] = tokens[rows, io_at]
        return new


@right("09.1", how="with random.sample and lists")
class section:
    def other_names(io, s, names, seed):
        import random

        rng = random.Random(seed)
        return [rng.sample([n for n in names.tolist() if n not in (a, b)], 3) for a, b in zip(io.tolist(), s.tolist())]

    def abc_prompts(tokens, io_at, s1_at, s2_at, others):
        new = tokens.tolist()
        for row in range(len(new)):
            for i, at in enumerate((io_at, s1_at, s2_at)):
                new[row][at[row]] = int(others[row, i])
        return new

    def flipped_prompts(tokens, io_at, s2_at):
        return tokens.scatter(1, s2_at[:, None], tokens.gather(1, io_at[:, None]))


@right("09.1", how="with multinomial and scatter")
class section:
    def other_names(io, s, names, seed):
        free = ((names != io[:, None]) & (names != s[:, None])).float()
        return names[torch.multinomial(free, 3, generator=torch.Generator().manual_seed(seed))]

    def abc_prompts(tokens, io_at, s1_at, s2_at, others):
        return tokens.scatter(1, torch.stack([io_at, s1_at, s2_at], 1), others)

    def flipped_prompts(tokens, io_at, s2_at):
        here = torch.arange(tokens.shape[1]) == s2_at[:, None]
        return torch.where(here, tokens.gather(1, io_at[:, None]), tokens)


# --- 09.2 -------------------------------------------------------------------------------------------------------------


@mistake("09.2", says="What stands there is padding")
class section:
    """END by position −1, in a padded batch."""

    def logit_difference(logits, io, s, end=None):
        rows = torch.arange(len(logits))
        return logits[rows, -1, io] - logits[rows, -1, s]

    def mean_interval(values):
        mean, error = values.mean().item(), values.std().item() / len(values) ** 0.5
        return mean, mean - 1.96 * error, mean + 1.96 * error


@mistake("09.2", says="IO and S are exchanged")
class section:
    """The sign of the metric."""

    def logit_difference(logits, io, s, end=None):
        rows = torch.arange(len(logits))
        at_end = logits[:, -1] if end is None else logits[rows, end]
        return at_end[rows, s] - at_end[rows, io]

    def mean_interval(values):
        mean, error = values.mean().item(), values.std().item() / len(values) ** 0.5
        return mean, mean - 1.96 * error, mean + 1.96 * error


@mistake("09.2", says="These are probabilities")
class section:
    """The difference of two probabilities."""

    def logit_difference(logits, io, s, end=None):
        rows = torch.arange(len(logits))
        p = logits.softmax(-1)
        at_end = p[:, -1] if end is None else p[rows, end]
        return at_end[rows, io] - at_end[rows, s]

    def mean_interval(values):
        mean, error = values.mean().item(), values.std().item() / len(values) ** 0.5
        return mean, mean - 1.96 * error, mean + 1.96 * error


@mistake("09.2", says="divide by √n")
class section:
    """The spread of the values for that of their mean."""

    def logit_difference(logits, io, s, end=None):
        rows = torch.arange(len(logits))
        at_end = logits[:, -1] if end is None else logits[rows, end]
        return at_end[rows, io] - at_end[rows, s]

    def mean_interval(values):
        mean, spread = values.mean().item(), values.std().item()
        return mean, mean - 1.96 * spread, mean + 1.96 * spread


@mistake("09.2", says="Divide by n − 1")
class section:
    """numpy's standard deviation."""

    def logit_difference(logits, io, s, end=None):
        rows = torch.arange(len(logits))
        at_end = logits[:, -1] if end is None else logits[rows, end]
        return at_end[rows, io] - at_end[rows, s]

    def mean_interval(values):
        x = values.numpy()
        error = x.std() / len(x) ** 0.5
        return x.mean(), x.mean() - 1.96 * error, x.mean() + 1.96 * error


@right("09.2", how="with gather, log probabilities and numpy")
class section:
    def logit_difference(logits, io, s, end=None):
        n, pos = logits.shape[:2]
        end = torch.full((n,), pos - 1) if end is None else end
        at_end = logits.log_softmax(-1).gather(1, end[:, None, None].expand(-1, 1, logits.shape[-1]))[:, 0]
        both = at_end.gather(1, torch.stack([io, s], 1))
        return both[:, 0] - both[:, 1]

    def mean_interval(values):
        x = values.numpy().astype("float64")
        error = x.std(ddof=1) / len(x) ** 0.5
        return torch.tensor([x.mean(), x.mean() - 1.96 * error, x.mean() + 1.96 * error])


@right("09.2", how="with loops")
class section:
    def logit_difference(logits, io, s, end=None):
        found = []
        for i, row in enumerate(logits):
            at = row[-1 if end is None else end[i]]
            found.append(at[io[i]] - at[s[i]])
        return found

    def mean_interval(values):
        x = values.tolist()
        mean = sum(x) / len(x)
        error = (sum((a - mean) ** 2 for a in x) / (len(x) - 1) / len(x)) ** 0.5
        return [mean, mean - 1.96 * error, mean + 1.96 * error]


# --- 09.3 -------------------------------------------------------------------------------------------------------------


@mistake("09.3", says="You average the ratios of the prompts")
def patch_words(model, clean, corrupted, io, s, at):
    """Divides before it averages."""
    rows = torch.arange(len(clean))
    logits, cache = model.run_with_cache(clean)
    m_clean, m_corrupted = logit_difference(logits, io, s), logit_difference(model(corrupted), io, s)

    def put(where):
        def edit(x, hook):
            x = x.clone()
            x[rows, where] = cache[hook.name][rows, where]
            return x

        return edit

    table = [
        [
            ((logit_difference(model.run_with_hooks(corrupted, [(("resid_pre", layer), put(where))]), io, s)
              - m_corrupted) / (m_clean - m_corrupted)).mean()
            for where in at
        ]
        for layer in range(model.cfg.n_layers)
    ]  # fmt: skip
    return torch.tensor(table)


@mistake("09.3", says="You patch the CLEAN run")
def patch_words(model, clean, corrupted, io, s, at):
    """Noising in place of denoising."""
    rows = torch.arange(len(clean))
    logits, cache = model.run_with_cache(corrupted)
    m_clean = logit_difference(model(clean), io, s).mean()
    m_corrupted = logit_difference(logits, io, s).mean()

    def put(where):
        def edit(x, hook):
            x = x.clone()
            x[rows, where] = cache[hook.name][rows, where]
            return x

        return edit

    def patched(layer, where):
        return logit_difference(model.run_with_hooks(clean, [(("resid_pre", layer), put(where))]), io, s).mean()

    table = torch.tensor([[patched(layer, where) for where in at] for layer in range(model.cfg.n_layers)])
    return (table - m_corrupted) / (m_clean - m_corrupted)


@mistake("09.3", says="where the words of the FIRST prompt stand")
def patch_words(model, clean, corrupted, io, s, at):
    """One position for all prompts: by place, not by word."""
    logits, cache = model.run_with_cache(clean)
    m_clean = logit_difference(logits, io, s).mean()
    m_corrupted = logit_difference(model(corrupted), io, s).mean()

    def put(where):
        def edit(x, hook):
            x = x.clone()
            x[:, where[0]] = cache[hook.name][:, where[0]]
            return x

        return edit

    def patched(layer, where):
        return logit_difference(model.run_with_hooks(corrupted, [(("resid_pre", layer), put(where))]), io, s).mean()

    table = torch.tensor([[patched(layer, where) for where in at] for layer in range(model.cfg.n_layers)])
    return (table - m_corrupted) / (m_clean - m_corrupted)


@mistake("09.3", says="This is m itself")
def patch_words(model, clean, corrupted, io, s, at):
    """No scale."""
    rows = torch.arange(len(clean))
    _, cache = model.run_with_cache(clean)

    def put(where):
        def edit(x, hook):
            x = x.clone()
            x[rows, where] = cache[hook.name][rows, where]
            return x

        return edit

    def patched(layer, where):
        return logit_difference(model.run_with_hooks(corrupted, [(("resid_pre", layer), put(where))]), io, s).mean()

    return torch.tensor([[patched(layer, where) for where in at] for layer in range(model.cfg.n_layers)])


@mistake("09.3", says="You divide by m_clean alone")
def patch_words(model, clean, corrupted, io, s, at):
    """Takes the corrupted difference for 0 in the denominator."""
    rows = torch.arange(len(clean))
    logits, cache = model.run_with_cache(clean)
    m_clean = logit_difference(logits, io, s).mean()
    m_corrupted = logit_difference(model(corrupted), io, s).mean()

    def put(where):
        def edit(x, hook):
            x = x.clone()
            x[rows, where] = cache[hook.name][rows, where]
            return x

        return edit

    def patched(layer, where):
        return logit_difference(model.run_with_hooks(corrupted, [(("resid_pre", layer), put(where))]), io, s).mean()

    table = torch.tensor([[patched(layer, where) for where in at] for layer in range(model.cfg.n_layers)])
    return (table - m_corrupted) / m_clean


@right("09.3", how="prompt by prompt, with run_edits")
def patch_words(model, clean, corrupted, io, s, at):
    layers = range(model.cfg.n_layers)
    total, m_clean, m_corrupted = 0, 0, 0
    for i in range(len(clean)):
        logits, cache = model.run_with_cache(clean[i : i + 1])

        def put(place, cache=cache):
            def edit(x, hook):
                x[:, place] = cache[hook.name][:, place]

            return edit

        edits = [(("resid_pre", layer), put(int(where[i]))) for layer in layers for where in at]
        runs = torch.cat([logits, model(corrupted[i : i + 1]), model.run_edits(corrupted[i : i + 1], edits)])[:, -1]
        m = runs[:, io[i]] - runs[:, s[i]]
        m_clean, m_corrupted, total = m_clean + m[0], m_corrupted + m[1], total + m[2:]
    return ((total - m_corrupted) / (m_clean - m_corrupted)).view(len(layers), len(at))


@right("09.3", how="with where and a mask, in numpy at the end")
def patch_words(model, clean, corrupted, io, s, at):
    logits, cache = model.run_with_cache(clean, lambda name: name.endswith("resid_pre"))
    both = [logit_difference(x, io, s).mean().item() for x in (logits, model(corrupted))]
    rows = []
    for name in [f"blocks.{layer}.hook_resid_pre" for layer in range(model.cfg.n_layers)]:
        row = []
        for where in at:
            here = (torch.arange(clean.shape[1]) == where[:, None])[..., None]
            with model.hooks([(name, lambda x, hook, here=here: torch.where(here, cache[hook.name], x))]):
                row.append(logit_difference(model(corrupted), io, s).mean().item())
        rows.append(row)
    return ((torch.tensor(rows) - both[1]) / (both[0] - both[1])).numpy()


# --- 09.4 -------------------------------------------------------------------------------------------------------------


@mistake("09.4", says="You average absolute values")
def direct_effects(model, tokens, io, s):
    """Averages absolute effects: the negative mover looks like a mover."""
    layers, last = range(model.cfg.n_layers), ("resid_post", model.cfg.n_layers - 1)
    _, cache = model.run_with_cache(tokens)
    z = torch.stack([cache["z", layer][:, -1] for layer in layers])
    written = final_norm_of_parts(model, torch.einsum("lbhd,lhdm->lhbm", z, model.W_O), cache[last][:, -1])
    direction = (model.W_U[:, io] - model.W_U[:, s]).T
    return (written * direction).sum(-1).abs().mean(-1)


@mistake("09.4", says="The final norm is missing")
def direct_effects(model, tokens, io, s):
    """Straight to the unembedding."""
    _, cache = model.run_with_cache(tokens)
    z = torch.stack([cache["z", layer][:, -1] for layer in range(model.cfg.n_layers)])
    written = torch.einsum("lbhd,lhdm->lhbm", z, model.W_O)
    return (written * (model.W_U[:, io] - model.W_U[:, s]).T).sum(-1).mean(-1)


@mistake("09.4", says="divided by its OWN scale")
def direct_effects(model, tokens, io, s):
    """Norms each head's output by itself."""
    _, cache = model.run_with_cache(tokens)
    z = torch.stack([cache["z", layer][:, -1] for layer in range(model.cfg.n_layers)])
    written = torch.einsum("lbhd,lhdm->lhbm", z, model.W_O)
    written = final_norm_of_parts(model, written, written)
    return (written * (model.W_U[:, io] - model.W_U[:, s]).T).sum(-1).mean(-1)


@mistake("09.4", says="IO and S are exchanged")
def direct_effects(model, tokens, io, s):
    """The sign."""
    layers, last = range(model.cfg.n_layers), ("resid_post", model.cfg.n_layers - 1)
    _, cache = model.run_with_cache(tokens)
    z = torch.stack([cache["z", layer][:, -1] for layer in layers])
    written = final_norm_of_parts(model, torch.einsum("lbhd,lhdm->lhbm", z, model.W_O), cache[last][:, -1])
    return (written * (model.W_U[:, s] - model.W_U[:, io]).T).sum(-1).mean(-1)


@mistake("09.4", says="You average over all positions")
def direct_effects(model, tokens, io, s):
    """All positions, where only END answers."""
    layers, last = range(model.cfg.n_layers), ("resid_post", model.cfg.n_layers - 1)
    _, cache = model.run_with_cache(tokens)
    z = torch.stack([cache["z", layer] for layer in layers])
    written = final_norm_of_parts(model, torch.einsum("lbphd,lhdm->lhbpm", z, model.W_O), cache[last])
    direction = (model.W_U[:, io] - model.W_U[:, s]).T[:, None]
    return (written * direction).sum(-1).mean((-1, -2))


@mistake("09.4", says="You add up all positions")
def direct_effects(model, tokens, io, s):
    """The sum over positions: what is written elsewhere reaches no answer."""
    layers = range(model.cfg.n_layers)
    _, cache = model.run_with_cache(tokens)
    z = torch.stack([cache["z", layer].sum(1) for layer in layers])
    written = torch.einsum("lbhd,lhdm->lhbm", z, model.W_O)
    parts = final_norm_of_parts(model, written, cache["resid_post", model.cfg.n_layers - 1][:, -1])
    direction = (model.W_U[:, io] - model.W_U[:, s]).T
    return (parts * direction).sum(-1).mean(-1)


@right("09.4", how="with the site of heads' results, and loops")
def direct_effects(model, tokens, io, s):
    cfg, last = model.cfg, ("resid_post", model.cfg.n_layers - 1)
    _, cache = model.run_with_cache(tokens, [*(("result", layer) for layer in range(cfg.n_layers)), last])
    table = torch.zeros(cfg.n_layers, cfg.n_heads, dtype=torch.float64)
    for layer in range(cfg.n_layers):
        for head in range(cfg.n_heads):
            part = final_norm_of_parts(model, cache["result", layer][:, -1, head], cache[last][:, -1])
            logits = part @ model.W_U
            for row in range(len(tokens)):
                table[layer, head] += (logits[row, io[row]] - logits[row, s[row]]).item() / len(tokens)
    return table


@right("09.4", how="by the difference that leaving a part out makes, at a held scale")
def direct_effects(model, tokens, io, s):
    cfg, rows = model.cfg, torch.arange(len(tokens))
    last = ("resid_post", cfg.n_layers - 1)
    _, cache = model.run_with_cache(tokens, lambda name: name.endswith(("z", "resid_post")))
    stream = cache[last][:, -1]

    def difference(x):
        logits = final_norm_of_parts(model, x, stream) @ model.W_U
        return (logits[rows, io] - logits[rows, s]).mean()

    def head(layer, h):
        return cache["z", layer][:, -1, h] @ model.W_O[layer, h]

    whole = difference(stream)
    return [
        [(whole - difference(stream - head(layer, h))).item() for h in range(cfg.n_heads)]
        for layer in range(cfg.n_layers)
    ]


# --- 09.5 -------------------------------------------------------------------------------------------------------------


@mistake("09.5", says="You patch END alone")
def total_effects(model, clean, corrupted, io, s):
    """Only the last position: what heads say at S2 is missed."""
    _, cache = model.run_with_cache(corrupted)
    m_clean = logit_difference(model(clean), io, s).mean()

    def patched(layer, head):
        def put(z, hook):
            z = z.clone()
            z[:, -1, head] = cache["z", layer][:, -1, head]
            return z

        return logit_difference(model.run_with_hooks(clean, [(("z", layer), put)]), io, s).mean() - m_clean

    return torch.tensor([[patched(a, h) for h in range(model.cfg.n_heads)] for a in range(model.cfg.n_layers)])


@mistake("09.5", says="You average absolute values")
def total_effects(model, clean, corrupted, io, s):
    """Averages absolute effects."""
    _, cache = model.run_with_cache(corrupted)
    m_clean = logit_difference(model(clean), io, s)

    def patched(layer, head):
        def put(z, hook):
            z = z.clone()
            z[:, :, head] = cache["z", layer][:, :, head]
            return z

        run = model.run_with_hooks(clean, [(("z", layer), put)])
        return (logit_difference(run, io, s) - m_clean).abs().mean()

    return torch.tensor([[patched(a, h) for h in range(model.cfg.n_heads)] for a in range(model.cfg.n_layers)])


@mistake("09.5", says="This is the direct effect")
def total_effects(model, clean, corrupted, io, s):
    """Holds all other heads."""
    layers = range(model.cfg.n_layers)
    _, cache = model.run_with_cache(corrupted)
    logits, kept = model.run_with_cache(clean)
    m_clean = logit_difference(logits, io, s).mean()

    def hold(at, layer, head):
        value = kept["z", at].clone()
        if at == layer:
            value[:, :, head] = cache["z", at][:, :, head]
        return ("z", at), lambda z, hook: value

    def patched(layer, head):
        run = model.run_with_hooks(clean, [hold(at, layer, head) for at in layers])
        return logit_difference(run, io, s).mean() - m_clean

    return torch.tensor([[patched(layer, head) for head in range(model.cfg.n_heads)] for layer in layers])


@mistake("09.5", says="The sign is turned")
def total_effects(model, clean, corrupted, io, s):
    """m_clean − m_patched."""
    _, cache = model.run_with_cache(corrupted)
    m_clean = logit_difference(model(clean), io, s).mean()

    def patched(layer, head):
        def put(z, hook):
            z = z.clone()
            z[:, :, head] = cache["z", layer][:, :, head]
            return z

        return m_clean - logit_difference(model.run_with_hooks(clean, [(("z", layer), put)]), io, s).mean()

    return torch.tensor([[patched(a, h) for h in range(model.cfg.n_heads)] for a in range(model.cfg.n_layers)])


@mistake("09.5", says="You run the corrupted prompts")
def total_effects(model, clean, corrupted, io, s):
    """Denoising."""
    _, cache = model.run_with_cache(clean)
    m = logit_difference(model(corrupted), io, s).mean()

    def patched(layer, head):
        def put(z, hook):
            z = z.clone()
            z[:, :, head] = cache["z", layer][:, :, head]
            return z

        return logit_difference(model.run_with_hooks(corrupted, [(("z", layer), put)]), io, s).mean() - m

    return torch.tensor([[patched(a, h) for h in range(model.cfg.n_heads)] for a in range(model.cfg.n_layers)])


@right("09.5", how="with the library's sweep, back in logits")
def total_effects(model, clean, corrupted, io, s):
    from mi_lib.models.graph import head_name

    cfg = model.cfg
    _, cache = model.run_with_cache(corrupted, lambda name: name.endswith("result"))
    base = logit_difference(model(clean), io, s).mean()
    found = {}
    for layer in range(cfg.n_layers):
        for head in range(cfg.n_heads):

            def put(value, hook, head=head):
                value[:, :, head] = cache[hook.name][:, :, head]

            run = model.run_with_hooks(clean, [(("result", layer), put)])
            found[head_name(layer, head)] = logit_difference(run, io, s).mean() - base
    return torch.stack(list(found.values())).view(cfg.n_layers, cfg.n_heads)


@right("09.5", how="all heads of a layer in one batch, not contiguous")
def total_effects(model, clean, corrupted, io, s):
    n = model.cfg.n_heads
    _, cache = model.run_with_cache(corrupted, lambda name: name.endswith("hook_z"))
    base = logit_difference(model(clean), io, s).double().mean()
    rows = []
    for layer in range(model.cfg.n_layers):

        def put(z, hook, layer=layer):
            z = z.unflatten(0, (n, -1)).clone()
            for head in range(n):
                z[head, :, :, head] = cache["z", layer][:, :, head]
            return z.flatten(0, 1)

        run = model.run_with_hooks(clean.repeat(n, 1), [(("z", layer), put)])
        rows.append(logit_difference(run, io.repeat(n), s.repeat(n)).double().view(n, -1).mean(1) - base)
    return torch.stack(rows, 1).T


# --- 09.6 -------------------------------------------------------------------------------------------------------------


@mistake("09.6", says="The other heads hear of it")
def path_to_logits(model, clean, corrupted, sender):
    """Plain patching: nothing is held, so that it is the total effect."""
    layer, head = sender
    _, other = model.run_with_cache(corrupted, ("z", layer))

    def put(z, hook):
        z = z.clone()
        z[:, :, head] = other["z", layer][:, :, head]
        return z

    return model.run_with_hooks(clean, [(("z", layer), put)])


@mistake("09.6", says="The MLPs are held too")
def path_to_logits(model, clean, corrupted, sender):
    """Holds the MLPs as well."""
    layers = range(model.cfg.n_layers)
    _, held = model.run_with_cache(clean)
    _, other = model.run_with_cache(corrupted)

    def hold(site, layer):
        value = held[site, layer].clone()
        if site == "z" and layer == sender[0]:
            value[:, :, sender[1]] = other["z", layer][:, :, sender[1]]
        return (site, layer), lambda x, hook: value

    sites = ["z", "mlp_out"] if model.cfg.d_mlp else ["z"]
    return model.run_with_hooks(clean, [hold(site, layer) for site in sites for layer in layers])


@mistake("09.6", says="The norms are held too")
def path_to_logits(model, clean, corrupted, sender):
    """Holds the scales of all norms: the direct effect of exercise 09.4, through the MLPs."""
    layers = range(model.cfg.n_layers)
    _, held = model.run_with_cache(clean)
    _, other = model.run_with_cache(corrupted)

    def hold(name):
        value = held[name].clone()
        if name == f"blocks.{sender[0]}.attn.hook_z":
            value[:, :, sender[1]] = other[name][:, :, sender[1]]
        return name, lambda x, hook: value

    names = [name for name in model.hook_names if name.endswith(("hook_z", "hook_scale"))]
    return model.run_with_hooks(clean, [hold(name) for name in names])


@mistake("09.6", says="Clean and corrupted are exchanged")
def path_to_logits(model, clean, corrupted, sender):
    """The other way round."""
    clean, corrupted = corrupted, clean
    layers, (its_layer, its_head) = range(model.cfg.n_layers), sender
    _, held = model.run_with_cache(clean)
    _, other = model.run_with_cache(corrupted)

    def hold(layer):
        value = held["z", layer].clone()
        if layer == its_layer:
            value[:, :, its_head] = other["z", layer][:, :, its_head]
        return ("z", layer), lambda z, hook: value

    return model.run_with_hooks(clean, [hold(layer) for layer in layers])


@mistake("09.6", says="at END alone")
def path_to_logits(model, clean, corrupted, sender):
    """Only the last position of the sender."""
    layers, (its_layer, its_head) = range(model.cfg.n_layers), sender
    _, held = model.run_with_cache(clean)
    _, other = model.run_with_cache(corrupted)

    def hold(layer):
        value = held["z", layer].clone()
        if layer == its_layer:
            value[:, -1, its_head] = other["z", layer][:, -1, its_head]
        return ("z", layer), lambda z, hook: value

    return model.run_with_hooks(clean, [hold(layer) for layer in layers])


@mistake("09.6", says="Every head BUT the sender speaks of the corrupted prompt")
def path_to_logits(model, clean, corrupted, sender):
    """The two caches are exchanged, and the prompts are not."""
    layers, (its_layer, its_head) = range(model.cfg.n_layers), sender
    _, other = model.run_with_cache(clean)
    _, held = model.run_with_cache(corrupted)

    def hold(layer):
        value = held["z", layer].clone()
        if layer == its_layer:
            value[:, :, its_head] = other["z", layer][:, :, its_head]
        return ("z", layer), lambda z, hook: value

    return model.run_with_hooks(clean, [hold(layer) for layer in layers])


@right("09.6", how="by holding only what comes after the sender")
def path_to_logits(model, clean, corrupted, sender):
    layer, head = sender
    _, held = model.run_with_cache(clean, lambda name: name.endswith("hook_z"))
    _, other = model.run_with_cache(corrupted, ("z", layer))

    def speak(z, hook):
        z[:, :, head] = other["z", layer][:, :, head]

    def hold(z, hook):
        return held[hook.name]

    later = [(("z", at), hold) for at in range(layer + 1, model.cfg.n_layers)]
    return model.run_with_hooks(clean, [(("z", layer), speak), *later])


@right("09.6", how="with what attention writes held, and the sender's change added")
def path_to_logits(model, clean, corrupted, sender):
    layer, head = sender
    layers = range(model.cfg.n_layers)
    _, held = model.run_with_cache(clean, [*(("attn_out", at) for at in layers), ("z", layer)])
    _, other = model.run_with_cache(corrupted, ("z", layer))
    change = (other["z", layer] - held["z", layer])[:, :, head] @ model.W_O[layer, head]

    def hold(at):
        value = held["attn_out", at] + (change if at == layer else 0)
        return ("attn_out", at), lambda x, hook: value

    return model.run_with_hooks(clean, [hold(at) for at in layers])


# --- 09.7 -------------------------------------------------------------------------------------------------------------


@mistake("09.7", says="In run C the heads between sender and receivers hear of it too")
def path_patch(model, clean, corrupted, sender, receivers, inputs):
    """Without freezing: the total effect on the receivers' inputs. The field's commonest slip."""
    layer, head = sender
    _, other = model.run_with_cache(corrupted, ("z", layer))

    def speak(z, hook):
        z[:, :, head] = other["z", layer][:, :, head]

    with model.hooks([(("z", layer), speak)]):
        _, heard = model.run_with_cache(clean)

    def put(which, at, h):
        def edit(x, hook):
            x[:, :, h] = heard[which, at][:, :, h]

        return (which, at), edit

    return model.run_with_hooks(clean, [put(which, *one) for which in inputs for one in receivers])


@mistake("09.7", says="what they read of the CORRUPTED prompt")
def path_patch(model, clean, corrupted, sender, receivers, inputs):
    """Patches the receivers from the corrupted run, whoever spoke."""
    _, heard = model.run_with_cache(corrupted)

    def put(which, at, h):
        def edit(x, hook):
            x[:, :, h] = heard[which, at][:, :, h]

        return (which, at), edit

    return model.run_with_hooks(clean, [put(which, *one) for which in inputs for one in receivers])


@mistake("09.7", says="The MLPs are held in run C")
def path_patch(model, clean, corrupted, sender, receivers, inputs):
    """Holds MLPs in run C."""
    layer, head = sender
    _, other = model.run_with_cache(corrupted, ("z", layer))
    _, held = model.run_with_cache(clean)

    def hold(name):
        value = held[name].clone()
        if name == f"blocks.{layer}.attn.hook_z":
            value[:, :, head] = other["z", layer][:, :, head]
        return name, lambda x, hook: value

    def put(which, at, h):
        def edit(x, hook):
            x[:, :, h] = heard[which, at][:, :, h]

        return (which, at), edit

    with model.hooks([hold(name) for name in model.hook_names if name.endswith(("hook_z", "mlp_out"))]):
        _, heard = model.run_with_cache(clean)
    return model.run_with_hooks(clean, [put(which, *one) for which in inputs for one in receivers])


@mistake("09.7", says="The norms are held in run C")
def path_patch(model, clean, corrupted, sender, receivers, inputs):
    """Holds the norms' scales in run C."""
    layer, head = sender
    _, other = model.run_with_cache(corrupted, ("z", layer))
    _, held = model.run_with_cache(clean)

    def hold(name):
        value = held[name].clone()
        if name == f"blocks.{layer}.attn.hook_z":
            value[:, :, head] = other["z", layer][:, :, head]
        return name, lambda x, hook: value

    def put(which, at, h):
        def edit(x, hook):
            x[:, :, h] = heard[which, at][:, :, h]

        return (which, at), edit

    with model.hooks([hold(name) for name in model.hook_names if name.endswith(("hook_z", "hook_scale"))]):
        _, heard = model.run_with_cache(clean)
    return model.run_with_hooks(clean, [put(which, *one) for which in inputs for one in receivers])


@mistake("09.7", says="You exchange the receivers' v")
def path_patch(model, clean, corrupted, sender, receivers, inputs):
    """Values, whatever was asked for."""
    inputs = ["v"]
    layers, (its_layer, its_head) = range(model.cfg.n_layers), sender
    _, other = model.run_with_cache(corrupted, ("z", its_layer))
    _, held = model.run_with_cache(clean)

    def hold(layer):
        value = held["z", layer].clone()
        if layer == its_layer:
            value[:, :, its_head] = other["z", layer][:, :, its_head]
        return ("z", layer), lambda z, hook: value

    def put(which, layer, head):
        def edit(x, hook):
            x[:, :, head] = heard[which, layer][:, :, head]

        return (which, layer), edit

    with model.hooks([hold(layer) for layer in layers]):
        _, heard = model.run_with_cache(clean)
    return model.run_with_hooks(clean, [put(which, *head) for which in inputs for head in receivers])


@mistake("09.7", says="Only the last receiver hears it")
def path_patch(model, clean, corrupted, sender, receivers, inputs):
    """Edits made in a loop, which all see the loop's last values."""
    layers, (its_layer, its_head) = range(model.cfg.n_layers), sender
    _, other = model.run_with_cache(corrupted, ("z", its_layer))
    _, held = model.run_with_cache(clean)

    def hold(layer):
        value = held["z", layer].clone()
        if layer == its_layer:
            value[:, :, its_head] = other["z", layer][:, :, its_head]
        return ("z", layer), lambda z, hook: value

    with model.hooks([hold(layer) for layer in layers]):
        _, heard = model.run_with_cache(clean)
    edits = []
    for which in inputs:
        for layer, head in receivers:
            if (layer, head) != receivers[-1]:
                continue

            def edit(x, hook, head=head):
                x[:, :, head] = heard[hook.name][:, :, head]

            edits.append(((which, layer), edit))
    return model.run_with_hooks(clean, edits)


@mistake("09.7", says="In run D the heads are held as well")
def path_patch(model, clean, corrupted, sender, receivers, inputs):
    """Freezes the rest in run D too, so that the receivers reach the logits alone."""
    layers, (its_layer, its_head) = range(model.cfg.n_layers), sender
    _, other = model.run_with_cache(corrupted, ("z", its_layer))
    _, held = model.run_with_cache(clean)

    def hold(layer):
        value = held["z", layer].clone()
        if layer == its_layer:
            value[:, :, its_head] = other["z", layer][:, :, its_head]
        return ("z", layer), lambda z, hook: value

    def put(which, layer, head):
        def edit(x, hook):
            x[:, :, head] = heard[which, layer][:, :, head]

        return (which, layer), edit

    with model.hooks([hold(layer) for layer in layers]):
        _, heard = model.run_with_cache(clean)
    rest = [(("z", a), lambda z, hook: held[hook.name]) for a in layers if a not in {r[0] for r in receivers}]
    return model.run_with_hooks(clean, [*(put(which, *head) for which in inputs for head in receivers), *rest])


@mistake("09.7", says="The receivers hear it at END alone")
def path_patch(model, clean, corrupted, sender, receivers, inputs):
    """Only the last position of the receivers: their keys and values stand elsewhere."""
    layers, (its_layer, its_head) = range(model.cfg.n_layers), sender
    _, other = model.run_with_cache(corrupted)
    _, held = model.run_with_cache(clean)

    def hold(layer):
        value = held["z", layer].clone()
        if layer == its_layer:
            value[:, :, its_head] = other["z", layer][:, :, its_head]
        return ("z", layer), lambda z, hook: value

    with model.hooks([hold(layer) for layer in layers]):
        _, heard = model.run_with_cache(clean)

    def put(which, layer, head):
        def edit(x, hook):
            x[:, -1, head] = heard[which, layer][:, -1, head]
            return x

        return (which, layer), edit

    return model.run_with_hooks(clean, [put(which, layer, head) for which in inputs for layer, head in receivers])


@mistake("09.7", says="Run D goes over the corrupted prompts")
def path_patch(model, clean, corrupted, sender, receivers, inputs):
    """Run D on the prompts of run A."""
    layers, (its_layer, its_head) = range(model.cfg.n_layers), sender
    _, other = model.run_with_cache(corrupted)
    _, held = model.run_with_cache(clean)

    def hold(layer):
        value = held["z", layer].clone()
        if layer == its_layer:
            value[:, :, its_head] = other["z", layer][:, :, its_head]
        return ("z", layer), lambda z, hook: value

    with model.hooks([hold(layer) for layer in layers]):
        _, heard = model.run_with_cache(clean)

    def put(which, layer, head):
        def edit(x, hook):
            x[:, :, head] = heard[which, layer][:, :, head]
            return x

        return (which, layer), edit

    return model.run_with_hooks(corrupted, [put(which, layer, head) for which in inputs for layer, head in receivers])


@mistake("09.7", says="does each edit keep its own layer, head and input?")
def path_patch(model, clean, corrupted, sender, receivers, inputs):
    """Edits made in a loop look their variables up when they run, and find the last ones."""
    layers, (its_layer, its_head) = range(model.cfg.n_layers), sender
    _, other = model.run_with_cache(corrupted)
    _, held = model.run_with_cache(clean)

    def hold(layer):
        value = held["z", layer].clone()
        if layer == its_layer:
            value[:, :, its_head] = other["z", layer][:, :, its_head]
        return ("z", layer), lambda z, hook: value

    with model.hooks([hold(layer) for layer in layers]):
        _, heard = model.run_with_cache(clean)
    edits = []
    for which in inputs:
        for layer, head in receivers:

            def put(x, hook):
                x[:, :, head] = heard[which, layer][:, :, head]  # noqa: B023
                return x

            edits.append(((which, layer), put))
    return model.run_with_hooks(clean, edits)


@right("09.7", how="with one edit for each site, and what comes before the sender left alone")
def path_patch(model, clean, corrupted, sender, receivers, inputs):
    layer, head = sender
    _, other = model.run_with_cache(corrupted, ("z", layer))
    _, held = model.run_with_cache(clean, lambda name: name.endswith("hook_z"))
    sites = sorted({(which, at) for which in inputs for at, _ in receivers})

    def speak(z, hook):
        if hook.layer > layer:
            return held[hook.name]
        if hook.layer == layer:
            z[:, :, head] = other["z", layer][:, :, head]
        return z

    with model.hooks([(lambda name: name.endswith("hook_z"), speak)]):
        _, heard = model.run_with_cache(clean, sites)

    def listen(x, hook):
        own = [h for at, h in receivers if at == hook.layer]
        x[:, :, own] = heard[hook.name][:, :, own]

    return model.run_with_hooks(clean, [(sites, listen)])


@right("09.7", how="with the inputs worked out from the stream")
def path_patch(model, clean, corrupted, sender, receivers, inputs):
    layer, head = sender
    _, other = model.run_with_cache(corrupted, ("z", layer))
    _, held = model.run_with_cache(clean, lambda name: name.endswith("hook_z"))
    weights = {"q": (model.W_Q, model.b_Q), "k": (model.W_K, model.b_K), "v": (model.W_V, model.b_V)}

    def hold(z, hook):
        value = held[hook.name].clone()
        if hook.layer == layer:
            value[:, :, head] = other["z", layer][:, :, head]
        return value

    with model.hooks([(lambda name: name.endswith("hook_z"), hold)]):
        _, heard = model.run_with_cache(clean, lambda name: name.endswith("resid_pre"))

    def put(which, at, h):
        stream, norm = heard["resid_pre", at], model.pre_norm(at, "attn")
        W, b = weights[which]
        value = (stream if norm is None else norm(stream)) @ W[at, h] + b[at, h]

        def edit(x, hook):
            x = x.clone()
            x[:, :, h] = value
            return x

        return (which, at), edit

    return model.run_with_hooks(clean, [put(which, at, h) for at, h in receivers for which in inputs])


# --- 09.8 -------------------------------------------------------------------------------------------------------------


@mistake("09.8", says="You average absolute values")
class section:
    """Averages absolute effects."""

    def who_speaks_to(model, clean, corrupted, io, s, receivers, inputs):
        cfg = model.cfg
        m_clean = logit_difference(model(clean), io, s)
        table = torch.zeros(cfg.n_layers, cfg.n_heads)
        for layer in range(cfg.n_layers):
            for head in range(cfg.n_heads):
                logits = path_patch(model, clean, corrupted, (layer, head), receivers, inputs)
                table[layer, head] = (logit_difference(logits, io, s) - m_clean).abs().mean()
        return table

    def strongest(effects, share):
        size = effects.abs()
        found = (size >= share * size.max()).nonzero().tolist()
        return sorted(((layer, head) for layer, head in found), key=lambda head: -size[head])


@mistake("09.8", says="Only positive effects were looked at")
class section:
    """Forgets that an effect may be negative."""

    def who_speaks_to(model, clean, corrupted, io, s, receivers, inputs):
        cfg = model.cfg
        m_clean = logit_difference(model(clean), io, s).mean()
        table = torch.zeros(cfg.n_layers, cfg.n_heads)
        for layer in range(cfg.n_layers):
            for head in range(cfg.n_heads):
                logits = path_patch(model, clean, corrupted, (layer, head), receivers, inputs)
                table[layer, head] = logit_difference(logits, io, s).mean() - m_clean
        return table

    def strongest(effects, share):
        return [tuple(head) for head in (effects >= share * effects.max()).nonzero().tolist()]


@mistake("09.8", says="m_clean was not subtracted")
class section:
    """The patched difference itself."""

    def who_speaks_to(model, clean, corrupted, io, s, receivers, inputs):
        cfg = model.cfg
        heads = [(layer, head) for layer in range(cfg.n_layers) for head in range(cfg.n_heads)]
        found = [
            logit_difference(path_patch(model, clean, corrupted, h, receivers, inputs), io, s).mean() for h in heads
        ]
        return torch.stack(found).view(cfg.n_layers, cfg.n_heads)

    def strongest(effects, share):
        size = effects.abs()
        found = (size >= share * size.max()).nonzero().tolist()
        return sorted(((layer, head) for layer, head in found), key=lambda head: -size[head])


@mistake("09.8", says="Put the largest first")
class section:
    """In the order of the table."""

    def who_speaks_to(model, clean, corrupted, io, s, receivers, inputs):
        cfg = model.cfg
        m_clean = logit_difference(model(clean), io, s).mean()
        heads = [(layer, head) for layer in range(cfg.n_layers) for head in range(cfg.n_heads)]
        found = [
            logit_difference(path_patch(model, clean, corrupted, h, receivers, inputs), io, s).mean() for h in heads
        ]
        return torch.stack(found).view(cfg.n_layers, cfg.n_heads) - m_clean

    def strongest(effects, share):
        size = effects.abs()
        return [tuple(head) for head in (size >= share * size.max()).nonzero().tolist()]


@mistake("09.8", says="You sum over receivers that hear it one by one")
class section:
    """A run for each receiver: what they do together is not what they do one by one."""

    def who_speaks_to(model, clean, corrupted, io, s, receivers, inputs):
        cfg = model.cfg
        m_clean = logit_difference(model(clean), io, s).mean()
        table = torch.zeros(cfg.n_layers, cfg.n_heads)
        for layer in range(cfg.n_layers):
            for head in range(cfg.n_heads):
                for receiver in receivers:
                    logits = path_patch(model, clean, corrupted, (layer, head), [receiver], inputs)
                    table[layer, head] += logit_difference(logits, io, s).mean() - m_clean
        return table

    def strongest(effects, share):
        size = effects.abs()
        found = (size >= share * size.max()).nonzero().tolist()
        return sorted(((layer, head) for layer, head in found), key=lambda head: -size[head])


@mistake("09.8", says="It is a share of the largest effect")
class section:
    """The share taken for a number of logits."""

    def who_speaks_to(model, clean, corrupted, io, s, receivers, inputs):
        cfg = model.cfg
        m_clean = logit_difference(model(clean), io, s).mean()
        table = torch.zeros(cfg.n_layers, cfg.n_heads)
        for layer in range(cfg.n_layers):
            for head in range(cfg.n_heads):
                logits = path_patch(model, clean, corrupted, (layer, head), receivers, inputs)
                table[layer, head] = logit_difference(logits, io, s).mean() - m_clean
        return table

    def strongest(effects, share):
        size = effects.abs()
        found = (size >= share).nonzero().tolist()
        return sorted(((layer, head) for layer, head in found), key=lambda head: -size[head])


@right("09.8", how="prompt by prompt, and with a sort of the flat table")
class section:
    def who_speaks_to(model, clean, corrupted, io, s, receivers, inputs):
        cfg = model.cfg
        base = logit_difference(model(clean), io, s)
        rows = []
        for layer in range(cfg.n_layers):
            row = []
            for head in range(cfg.n_heads):
                logits = path_patch(model, clean, corrupted, (layer, head), receivers, inputs)
                row.append((logit_difference(logits, io, s) - base).double().mean().item())
            rows.append(row)
        return rows

    def strongest(effects, share):
        n = effects.shape[1]
        size, place = effects.abs().flatten().sort(descending=True)
        keep = size >= share * size[0]
        return [(int(p) // n, int(p) % n) for p in place[keep]]


@right("09.8", how="by asking only senders that come before a receiver")
class section:
    def who_speaks_to(model, clean, corrupted, io, s, receivers, inputs):
        cfg, last = model.cfg, max(layer for layer, _ in receivers)
        m_clean = logit_difference(model(clean), io, s).mean()
        table = torch.zeros(cfg.n_heads, cfg.n_layers)
        for layer in range(last):
            for head in range(cfg.n_heads):
                logits = path_patch(model, clean, corrupted, (layer, head), receivers, inputs)
                table[head, layer] = logit_difference(logits, io, s).mean() - m_clean
        return table.T

    def strongest(effects, share):
        pairs = [((i, j), abs(float(x))) for i, row in enumerate(effects) for j, x in enumerate(row)]
        top = max(size for _, size in pairs)
        return [head for head, size in sorted(pairs, key=lambda pair: -pair[1]) if size >= share * top]


# --- 09.9 -------------------------------------------------------------------------------------------------------------


@mistake("09.9", says="Query and key are exchanged")
class section:
    """[batch head key query]."""

    def attention_to(model, tokens, query_at, key_at):
        rows = torch.arange(len(tokens))
        _, cache = model.run_with_cache(tokens)
        layers = range(model.cfg.n_layers)
        return torch.stack([cache["pattern", layer][rows, :, key_at, query_at].mean(0) for layer in layers])

    def copy_scores(model, tokens, name_at, k, negative=False):
        rows, cfg = torch.arange(len(tokens)), model.cfg
        _, cache = model.run_with_cache(tokens, ("resid_post", 0))
        stream, names = cache["resid_post", 0][rows, name_at], tokens[rows, name_at]
        scores = torch.zeros(cfg.n_layers, cfg.n_heads)
        for layer in range(cfg.n_layers):
            norm = model.pre_norm(layer, "attn")
            x = stream if norm is None else norm(stream)
            for head in range(cfg.n_heads):
                written = (x @ model.W_V[layer, head] + model.b_V[layer, head]) @ model.W_O[layer, head]
                written = -written if negative else written
                logits = model.unembed(written if model.ln_final is None else model.ln_final(written))
                scores[layer, head] = (logits.topk(k).indices == names[:, None]).any(-1).float().mean()
        return scores


@mistake("09.9", says="This is what the head really wrote at the name")
class section:
    """z in place of the OV circuit: it depends on where the head looks."""

    def attention_to(model, tokens, query_at, key_at):
        rows = torch.arange(len(tokens))
        _, cache = model.run_with_cache(tokens)
        layers = range(model.cfg.n_layers)
        return torch.stack([cache["pattern", layer][rows, :, query_at, key_at].mean(0) for layer in layers])

    def copy_scores(model, tokens, name_at, k, negative=False):
        rows, cfg = torch.arange(len(tokens)), model.cfg
        _, cache = model.run_with_cache(tokens)
        names = tokens[rows, name_at]
        scores = torch.zeros(cfg.n_layers, cfg.n_heads)
        for layer in range(cfg.n_layers):
            for head in range(cfg.n_heads):
                written = cache["z", layer][rows, name_at, head] @ model.W_O[layer, head]
                written = -written if negative else written
                logits = model.unembed(written if model.ln_final is None else model.ln_final(written))
                scores[layer, head] = (logits.topk(k).indices == names[:, None]).any(-1).float().mean()
        return scores


@mistake("09.9", says="The head's own norm is missing")
class section:
    """Reads the stream as it is."""

    def attention_to(model, tokens, query_at, key_at):
        rows = torch.arange(len(tokens))
        _, cache = model.run_with_cache(tokens)
        layers = range(model.cfg.n_layers)
        return torch.stack([cache["pattern", layer][rows, :, query_at, key_at].mean(0) for layer in layers])

    def copy_scores(model, tokens, name_at, k, negative=False):
        rows, cfg = torch.arange(len(tokens)), model.cfg
        _, cache = model.run_with_cache(tokens, ("resid_post", 0))
        stream, names = cache["resid_post", 0][rows, name_at], tokens[rows, name_at]
        scores = torch.zeros(cfg.n_layers, cfg.n_heads)
        for layer in range(cfg.n_layers):
            for head in range(cfg.n_heads):
                written = (stream @ model.W_V[layer, head] + model.b_V[layer, head]) @ model.W_O[layer, head]
                written = -written if negative else written
                logits = model.unembed(written if model.ln_final is None else model.ln_final(written))
                scores[layer, head] = (logits.topk(k).indices == names[:, None]).any(-1).float().mean()
        return scores


@mistake("09.9", says="The head reads the bare embedding")
class section:
    """W_E in place of the stream after block 0."""

    def attention_to(model, tokens, query_at, key_at):
        rows = torch.arange(len(tokens))
        _, cache = model.run_with_cache(tokens)
        layers = range(model.cfg.n_layers)
        return torch.stack([cache["pattern", layer][rows, :, query_at, key_at].mean(0) for layer in layers])

    def copy_scores(model, tokens, name_at, k, negative=False):
        rows, cfg = torch.arange(len(tokens)), model.cfg
        names = tokens[rows, name_at]
        stream = model.W_E[names]
        scores = torch.zeros(cfg.n_layers, cfg.n_heads)
        for layer in range(cfg.n_layers):
            norm = model.pre_norm(layer, "attn")
            x = stream if norm is None else norm(stream)
            for head in range(cfg.n_heads):
                written = (x @ model.W_V[layer, head] + model.b_V[layer, head]) @ model.W_O[layer, head]
                written = -written if negative else written
                logits = model.unembed(written if model.ln_final is None else model.ln_final(written))
                scores[layer, head] = (logits.topk(k).indices == names[:, None]).any(-1).float().mean()
        return scores


@mistake("09.9", says="The logits are turned round")
class section:
    """Looks for the name among the smallest logits: the biases do not turn round with the head."""

    def attention_to(model, tokens, query_at, key_at):
        rows = torch.arange(len(tokens))
        _, cache = model.run_with_cache(tokens)
        layers = range(model.cfg.n_layers)
        return torch.stack([cache["pattern", layer][rows, :, query_at, key_at].mean(0) for layer in layers])

    def copy_scores(model, tokens, name_at, k, negative=False):
        rows, cfg = torch.arange(len(tokens)), model.cfg
        _, cache = model.run_with_cache(tokens, ("resid_post", 0))
        stream, names = cache["resid_post", 0][rows, name_at], tokens[rows, name_at]
        scores = torch.zeros(cfg.n_layers, cfg.n_heads)
        for layer in range(cfg.n_layers):
            norm = model.pre_norm(layer, "attn")
            x = stream if norm is None else norm(stream)
            for head in range(cfg.n_heads):
                written = (x @ model.W_V[layer, head] + model.b_V[layer, head]) @ model.W_O[layer, head]
                written = -written if negative else written
                logits = model.unembed(written if model.ln_final is None else model.ln_final(written))
                best = logits.topk(k, largest=not negative).indices
                scores[layer, head] = (best == names[:, None]).any(-1).float().mean()
        return scores


@mistake("09.9", says="This is what the head really wrote at END")
class section:
    """z at END: it depends on where the head looks."""

    def attention_to(model, tokens, query_at, key_at):
        rows = torch.arange(len(tokens))
        _, cache = model.run_with_cache(tokens)
        layers = range(model.cfg.n_layers)
        return torch.stack([cache["pattern", layer][rows, :, query_at, key_at].mean(0) for layer in layers])

    def copy_scores(model, tokens, name_at, k, negative=False):
        rows, cfg = torch.arange(len(tokens)), model.cfg
        _, cache = model.run_with_cache(tokens)
        stream, names = cache["resid_post", 0][rows, name_at], tokens[rows, name_at]
        scores = torch.zeros(cfg.n_layers, cfg.n_heads)
        for layer in range(cfg.n_layers):
            norm = model.pre_norm(layer, "attn")
            x = stream if norm is None else norm(stream)
            for head in range(cfg.n_heads):
                written = cache["z", layer][rows, -1, head] @ model.W_O[layer, head]
                written = -written if negative else written
                logits = model.unembed(written if model.ln_final is None else model.ln_final(written))
                said = (logits.topk(k).indices == names[:, None]).any(-1).float().mean()
                scores[layer, head] = said
        return scores


@mistake("09.9", says="The stream itself is added")
class section:
    """The stream after the head, in place of what it writes."""

    def attention_to(model, tokens, query_at, key_at):
        rows = torch.arange(len(tokens))
        _, cache = model.run_with_cache(tokens)
        layers = range(model.cfg.n_layers)
        return torch.stack([cache["pattern", layer][rows, :, query_at, key_at].mean(0) for layer in layers])

    def copy_scores(model, tokens, name_at, k, negative=False):
        rows, cfg = torch.arange(len(tokens)), model.cfg
        _, cache = model.run_with_cache(tokens)
        stream, names = cache["resid_post", 0][rows, name_at], tokens[rows, name_at]
        scores = torch.zeros(cfg.n_layers, cfg.n_heads)
        for layer in range(cfg.n_layers):
            norm = model.pre_norm(layer, "attn")
            x = stream if norm is None else norm(stream)
            for head in range(cfg.n_heads):
                written = (x @ model.W_V[layer, head] + model.b_V[layer, head]) @ model.W_O[layer, head]
                written = written + stream
                written = -written if negative else written
                logits = model.unembed(written if model.ln_final is None else model.ln_final(written))
                said = (logits.topk(k).indices == names[:, None]).any(-1).float().mean()
                scores[layer, head] = said
        return scores


@mistake("09.9", says="this is 1 − the copy score")
class section:
    """Not to say a name is not to write against it."""

    def attention_to(model, tokens, query_at, key_at):
        rows = torch.arange(len(tokens))
        _, cache = model.run_with_cache(tokens)
        layers = range(model.cfg.n_layers)
        return torch.stack([cache["pattern", layer][rows, :, query_at, key_at].mean(0) for layer in layers])

    def copy_scores(model, tokens, name_at, k, negative=False):
        rows, cfg = torch.arange(len(tokens)), model.cfg
        _, cache = model.run_with_cache(tokens)
        stream, names = cache["resid_post", 0][rows, name_at], tokens[rows, name_at]
        scores = torch.zeros(cfg.n_layers, cfg.n_heads)
        for layer in range(cfg.n_layers):
            norm = model.pre_norm(layer, "attn")
            x = stream if norm is None else norm(stream)
            for head in range(cfg.n_heads):
                written = (x @ model.W_V[layer, head] + model.b_V[layer, head]) @ model.W_O[layer, head]
                logits = model.unembed(written if model.ln_final is None else model.ln_final(written))
                said = (logits.topk(k).indices == names[:, None]).any(-1).float().mean()
                scores[layer, head] = 1 - said if negative else said
        return scores


@mistake("09.9", says="The smallest logits are taken")
class section:
    """The smallest logits of what the head writes as it is."""

    def attention_to(model, tokens, query_at, key_at):
        rows = torch.arange(len(tokens))
        _, cache = model.run_with_cache(tokens)
        layers = range(model.cfg.n_layers)
        return torch.stack([cache["pattern", layer][rows, :, query_at, key_at].mean(0) for layer in layers])

    def copy_scores(model, tokens, name_at, k, negative=False):
        rows, cfg = torch.arange(len(tokens)), model.cfg
        _, cache = model.run_with_cache(tokens)
        stream, names = cache["resid_post", 0][rows, name_at], tokens[rows, name_at]
        scores = torch.zeros(cfg.n_layers, cfg.n_heads)
        for layer in range(cfg.n_layers):
            norm = model.pre_norm(layer, "attn")
            x = stream if norm is None else norm(stream)
            for head in range(cfg.n_heads):
                written = (x @ model.W_V[layer, head] + model.b_V[layer, head]) @ model.W_O[layer, head]
                logits = model.unembed(written if model.ln_final is None else model.ln_final(written))
                said = (logits.topk(k, largest=not negative).indices == names[:, None]).any(-1).float().mean()
                scores[layer, head] = said
        return scores


@right("09.9", how="by rank, all heads of a layer at once, and with gather")
class section:
    def attention_to(model, tokens, query_at, key_at):
        _, cache = model.run_with_cache(tokens, lambda name: name.endswith("pattern"))
        pattern = torch.stack([cache["pattern", layer] for layer in range(model.cfg.n_layers)], 1)
        found = [p[:, :, int(q), int(k)] for p, q, k in zip(pattern, query_at, key_at)]
        return torch.stack(found).double().mean(0)

    def copy_scores(model, tokens, name_at, k, negative=False):
        rows, scores = torch.arange(len(tokens)), []
        names = tokens[rows, name_at]
        _, cache = model.run_with_cache(tokens, ("resid_post", 0))
        stream = cache["resid_post", 0][rows, name_at]
        for layer in range(model.cfg.n_layers):
            norm = model.pre_norm(layer, "attn")
            x = stream if norm is None else norm(stream)
            v = torch.einsum("bm,hmd->hbd", x, model.W_V[layer]) + model.b_V[layer][:, None]
            out = torch.einsum("hbd,hdm->hbm", v, model.W_O[layer]) * (-1 if negative else 1)
            logits = model.unembed(out if model.ln_final is None else model.ln_final(out))
            own = logits.gather(-1, names.expand(len(out), -1)[..., None])
            scores.append(((logits > own).sum(-1) < k).float().mean(-1))
        return torch.stack(scores)


@right("09.9", how="with loops, and the whole OV matrix")
class section:
    def attention_to(model, tokens, query_at, key_at):
        cfg = model.cfg
        _, cache = model.run_with_cache(tokens)
        table = [[0.0] * cfg.n_heads for _ in range(cfg.n_layers)]
        for layer in range(cfg.n_layers):
            for head in range(cfg.n_heads):
                for row in range(len(tokens)):
                    seen = cache["pattern", layer][row, head, query_at[row], key_at[row]].item()
                    table[layer][head] += seen / len(tokens)
        return table

    def copy_scores(model, tokens, name_at, k, negative=False):
        cfg = model.cfg
        _, cache = model.run_with_cache(tokens)
        table = torch.zeros(cfg.n_layers, cfg.n_heads)
        for row in range(len(tokens)):
            stream, name = cache["resid_post", 0][row, name_at[row]], int(tokens[row, name_at[row]])
            for layer in range(cfg.n_layers):
                norm = model.pre_norm(layer, "attn")
                x = stream if norm is None else norm(stream)
                for head in range(cfg.n_heads):
                    OV = model.W_V[layer, head] @ model.W_O[layer, head]
                    out = x @ OV + model.b_V[layer, head] @ model.W_O[layer, head]
                    out = -out if negative else out
                    logits = model.unembed(out if model.ln_final is None else model.ln_final(out))
                    table[layer, head] += name in logits.argsort(descending=True)[:k].tolist()
        return table / len(tokens)


# --- 09.10 ------------------------------------------------------------------------------------------------------------


@mistake("09.10", says="One mean over all templates")
class section:
    """Pools the templates."""

    def abc_means(model, corrupted, template):
        layers = range(model.cfg.n_layers)
        _, cache = model.run_with_cache(corrupted)
        z = torch.stack([cache["z", layer].mean(0) for layer in layers])
        return z.expand(int(template.max()) + 1, *z.shape)

    def knock_out(model, tokens, template, means, heads):
        def edit(layer):
            own = [head for at, head in heads if at == layer]

            def put(z, hook):
                z[:, :, own] = means[template, layer][:, :, own]

            return ("z", layer), put

        return model.run_with_hooks(tokens, [edit(layer) for layer in sorted({layer for layer, _ in heads})])


@mistake("09.10", says="The mean was taken over positions too")
class section:
    """Pools the positions."""

    def abc_means(model, corrupted, template):
        layers = range(model.cfg.n_layers)
        _, cache = model.run_with_cache(corrupted)
        z = torch.stack([cache["z", layer] for layer in layers], 1)
        means = torch.stack([z[template == t].mean(0) for t in range(int(template.max()) + 1)])
        return means.mean(2, keepdim=True).expand_as(means)

    def knock_out(model, tokens, template, means, heads):
        def edit(layer):
            own = [head for at, head in heads if at == layer]

            def put(z, hook):
                z[:, :, own] = means[template, layer][:, :, own]

            return ("z", layer), put

        return model.run_with_hooks(tokens, [edit(layer) for layer in sorted({layer for layer, _ in heads})])


@mistake("09.10", says="The mean of these very prompts stands in their place")
class section:
    """Means over the prompts that are judged: over the clean distribution."""

    def abc_means(model, corrupted, template):
        layers = range(model.cfg.n_layers)
        _, cache = model.run_with_cache(corrupted)
        z = torch.stack([cache["z", layer] for layer in layers], 1)
        return torch.stack([z[template == t].mean(0) for t in range(int(template.max()) + 1)])

    def knock_out(model, tokens, template, means, heads):
        def edit(layer):
            own = [head for at, head in heads if at == layer]

            def put(z, hook):
                z[:, :, own] = z.mean(0)[:, own]

            return ("z", layer), put

        return model.run_with_hooks(tokens, [edit(layer) for layer in sorted({layer for layer, _ in heads})])


@mistake("09.10", says="Zeros stand in their place")
class section:
    """Zero ablation."""

    def abc_means(model, corrupted, template):
        layers = range(model.cfg.n_layers)
        _, cache = model.run_with_cache(corrupted)
        z = torch.stack([cache["z", layer] for layer in layers], 1)
        return torch.stack([z[template == t].mean(0) for t in range(int(template.max()) + 1)])

    def knock_out(model, tokens, template, means, heads):
        def edit(layer):
            own = [head for at, head in heads if at == layer]

            def put(z, hook):
                z[:, :, own] = 0

            return ("z", layer), put

        return model.run_with_hooks(tokens, [edit(layer) for layer in sorted({layer for layer, _ in heads})])


@mistake("09.10", says="The mean of template 0 stands in every prompt")
class section:
    """Forgets to ask which template a prompt is of."""

    def abc_means(model, corrupted, template):
        layers = range(model.cfg.n_layers)
        _, cache = model.run_with_cache(corrupted)
        z = torch.stack([cache["z", layer] for layer in layers], 1)
        return torch.stack([z[template == t].mean(0) for t in range(int(template.max()) + 1)])

    def knock_out(model, tokens, template, means, heads):
        def edit(layer):
            own = [head for at, head in heads if at == layer]

            def put(z, hook):
                z[:, :, own] = means[0, layer][:, own]

            return ("z", layer), put

        return model.run_with_hooks(tokens, [edit(layer) for layer in sorted({layer for layer, _ in heads})])


@right("09.10", how="head by head, with index_add")
class section:
    def abc_means(model, corrupted, template):
        _, cache = model.run_with_cache(corrupted, lambda name: name.endswith("hook_z"))
        z = torch.stack([cache["z", layer] for layer in range(model.cfg.n_layers)], 1).double()
        n = int(template.max()) + 1
        sums = torch.zeros(n, *z.shape[1:], dtype=z.dtype).index_add(0, template, z)
        return sums / template.bincount()[:, None, None, None, None]

    def knock_out(model, tokens, template, means, heads):
        def edit(layer, head):
            def put(z, hook):
                z = z.clone()
                for row, t in enumerate(template.tolist()):
                    z[row, :, head] = means[t, layer, :, head]
                return z

            return f"blocks.{layer}.attn.hook_z", put

        return model.run_with_hooks(tokens, [edit(layer, head) for layer, head in heads])


@right("09.10", how="with one edit for all layers, and what the heads write")
class section:
    def abc_means(model, corrupted, template):
        found = []
        for t in range(int(template.max()) + 1):
            _, cache = model.run_with_cache(corrupted[template == t], lambda name: name.endswith("hook_z"))
            found.append(torch.stack([cache["z", layer].mean(0) for layer in range(model.cfg.n_layers)]))
        return torch.stack(found)

    def knock_out(model, tokens, template, means, heads):
        if not heads:
            return model(tokens)

        def put(written, hook):
            for layer, head in heads:
                if layer == hook.layer:
                    written[:, :, head] = means[template, layer, :, head] @ model.W_O[layer, head]
            return written

        return model.run_with_hooks(tokens, [(lambda name: name.endswith("hook_result"), put)])


# --- 09.11 ------------------------------------------------------------------------------------------------------------


@mistake("09.11", says="You knock out the circuit itself")
class section:
    """The complement is what goes."""

    def circuit_difference(model, tokens, template, means, io, s, circuit):
        return logit_difference(knock_out(model, tokens, template, means, circuit), io, s).mean().item()

    def faithfulness(model, tokens, template, means, io, s, circuit):
        whole = logit_difference(model(tokens), io, s).mean().item()
        alone = circuit_difference(model, tokens, template, means, io, s, circuit)
        return abs(whole - alone), alone / whole


@mistake("09.11", says="The share is upside down")
class section:
    """F(M) / F(C)."""

    def circuit_difference(model, tokens, template, means, io, s, circuit):
        cfg = model.cfg
        every = [(a, h) for a in range(cfg.n_layers) for h in range(cfg.n_heads)]
        out = [head for head in every if head not in [tuple(c) for c in circuit]]
        return logit_difference(knock_out(model, tokens, template, means, out), io, s).mean().item()

    def faithfulness(model, tokens, template, means, io, s, circuit):
        whole = logit_difference(model(tokens), io, s).mean().item()
        alone = circuit_difference(model, tokens, template, means, io, s, circuit)
        return abs(whole - alone), whole / alone


@mistake("09.11", says="take the absolute value")
class section:
    """A signed distance."""

    def circuit_difference(model, tokens, template, means, io, s, circuit):
        cfg = model.cfg
        every = [(a, h) for a in range(cfg.n_layers) for h in range(cfg.n_heads)]
        out = [head for head in every if head not in [tuple(c) for c in circuit]]
        return logit_difference(knock_out(model, tokens, template, means, out), io, s).mean().item()

    def faithfulness(model, tokens, template, means, io, s, circuit):
        whole = logit_difference(model(tokens), io, s).mean().item()
        alone = circuit_difference(model, tokens, template, means, io, s, circuit)
        return whole - alone, alone / whole


@mistake("09.11", says="The second number is what is lost")
class section:
    """1 − F(C) / F(M)."""

    def circuit_difference(model, tokens, template, means, io, s, circuit):
        cfg = model.cfg
        every = [(a, h) for a in range(cfg.n_layers) for h in range(cfg.n_heads)]
        out = [head for head in every if head not in [tuple(c) for c in circuit]]
        return logit_difference(knock_out(model, tokens, template, means, out), io, s).mean().item()

    def faithfulness(model, tokens, template, means, io, s, circuit):
        whole = logit_difference(model(tokens), io, s).mean().item()
        alone = circuit_difference(model, tokens, template, means, io, s, circuit)
        return abs(whole - alone), 1 - alone / whole


@right("09.11", how="with sets, in double precision")
class section:
    def circuit_difference(model, tokens, template, means, io, s, circuit):
        import itertools

        every = set(itertools.product(range(model.cfg.n_layers), range(model.cfg.n_heads)))
        out = sorted(every - set(map(tuple, circuit)))
        return logit_difference(knock_out(model, tokens, template, means, out).double(), io, s).mean()

    def faithfulness(model, tokens, template, means, io, s, circuit):
        every = [(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)]
        whole = circuit_difference(model, tokens, template, means, io, s, every)
        alone = circuit_difference(model, tokens, template, means, io, s, circuit)
        return torch.stack([(whole - alone).abs(), alone / whole])


@right("09.11", how="with a run of its own, that keeps the circuit")
class section:
    def circuit_difference(model, tokens, template, means, io, s, circuit):
        def keep(z, hook):
            new = means[template, hook.layer].clone()
            for layer, head in circuit:
                if layer == hook.layer:
                    new[:, :, head] = z[:, :, head]
            return new

        logits = model.run_with_hooks(tokens, [(lambda name: name.endswith("hook_z"), keep)])
        return sum(logit_difference(logits, io, s).tolist()) / len(tokens)

    def faithfulness(model, tokens, template, means, io, s, circuit):
        whole = float(logit_difference(model(tokens), io, s).mean())
        alone = circuit_difference(model, tokens, template, means, io, s, circuit)
        return [max(whole, alone) - min(whole, alone), alone / whole]


# --- 09.12 ------------------------------------------------------------------------------------------------------------


@mistake("09.12", says="The sign is turned")
def after_silencing(model, tokens, template, means, io, s, silenced):
    """Before minus after."""

    def edit(layer):
        own = [head for at, head in silenced if at == layer]

        def put(z, hook):
            z[:, :, own] = means[template, layer][:, :, own]

        return ("z", layer), put

    before = direct_effects(model, tokens, io, s)
    with model.hooks([edit(layer) for layer in sorted({layer for layer, _ in silenced})]):
        return before - direct_effects(model, tokens, io, s)


@mistake("09.12", says="Subtract that of the run with them")
def after_silencing(model, tokens, template, means, io, s, silenced):
    """Only the second run: who is new cannot be told from who was there."""

    def edit(layer):
        own = [head for at, head in silenced if at == layer]

        def put(z, hook):
            z[:, :, own] = means[template, layer][:, :, own]

        return ("z", layer), put

    with model.hooks([edit(layer) for layer in sorted({layer for layer, _ in silenced})]):
        return direct_effects(model, tokens, io, s)


@mistake("09.12", says="Heads are silenced at END alone")
def after_silencing(model, tokens, template, means, io, s, silenced):
    """Only END."""

    def edit(layer):
        own = [head for at, head in silenced if at == layer]

        def put(z, hook):
            z[:, -1, own] = means[template, layer][:, -1, own]

        return ("z", layer), put

    before = direct_effects(model, tokens, io, s)
    with model.hooks([edit(layer) for layer in sorted({layer for layer, _ in silenced})]):
        return direct_effects(model, tokens, io, s) - before


@mistake("09.12", says="Nothing was silenced")
def after_silencing(model, tokens, template, means, io, s, silenced):
    """knock_out returns logits, and direct_effects then runs the model as it is."""
    before = direct_effects(model, tokens, io, s)
    knock_out(model, tokens, template, means, silenced)
    return direct_effects(model, tokens, io, s) - before


@mistake("09.12", says="Zeros stand in place of the means")
def after_silencing(model, tokens, template, means, io, s, silenced):
    """Zero ablation."""

    def edit(layer):
        own = [head for at, head in silenced if at == layer]

        def put(z, hook):
            z[:, :, own] = 0

        return ("z", layer), put

    before = direct_effects(model, tokens, io, s)
    with model.hooks([edit(layer) for layer in sorted({layer for layer, _ in silenced})]):
        return direct_effects(model, tokens, io, s) - before


@right("09.12", how="with nested hooks, head by head")
def after_silencing(model, tokens, template, means, io, s, silenced):
    from contextlib import ExitStack

    def edit(layer, head):
        def put(z, hook):
            z = z.clone()
            z[:, :, head] = means[template, layer, :, head]
            return z

        return ("z", layer), put

    with ExitStack() as stack:
        for layer, head in silenced:
            stack.enter_context(model.hooks([edit(layer, head)]))
        after = direct_effects(model, tokens, io, s)
    return after - direct_effects(model, tokens, io, s)


@right("09.12", how="with a run of its own")
def after_silencing(model, tokens, template, means, io, s, silenced):
    cfg, last = model.cfg, ("resid_post", model.cfg.n_layers - 1)
    direction = (model.W_U[:, io] - model.W_U[:, s]).T.double()

    def put(z, hook):
        for layer, head in silenced:
            if layer == hook.layer:
                z[:, :, head] = means[template, layer][:, :, head]
        return z

    def effects(edits):
        with model.hooks(edits):
            _, cache = model.run_with_cache(tokens, lambda name: name.endswith(("hook_z", "resid_post")))
        table = torch.zeros(cfg.n_layers, cfg.n_heads, dtype=torch.float64)
        for layer in range(cfg.n_layers):
            for head in range(cfg.n_heads):
                written = cache["z", layer][:, -1, head] @ model.W_O[layer, head]
                part = final_norm_of_parts(model, written, cache[last][:, -1]).double()
                table[layer, head] = (part * direction).sum(-1).mean()
        return table

    return effects([(lambda name: name.endswith("hook_z"), put)]) - effects([])


# --- 09.13 ------------------------------------------------------------------------------------------------------------


@mistake("09.13", says="K was not removed from the model")
class section:
    """Compares with the whole model."""

    def completeness(model, tokens, template, means, io, s, circuit, removed):
        whole = logit_difference(model(tokens), io, s).mean().item()
        f = lambda kept: circuit_difference(model, tokens, template, means, io, s, kept)
        return torch.tensor([[f([head for head in circuit if head not in K]), whole] for K in removed])

    def minimality(model, tokens, template, means, io, s, circuit, removed):
        whole = logit_difference(model(tokens), io, s).mean().item()
        f = lambda gone: circuit_difference(
            model, tokens, template, means, io, s, [head for head in circuit if head not in gone]
        )
        return torch.tensor([abs(f([*K, v]) - f(K)) / whole for v, K in zip(circuit, removed)])


@mistake("09.13", says="K was not removed: some members show only when others are gone")
class section:
    """Minimality without K: the backups look useless."""

    def completeness(model, tokens, template, means, io, s, circuit, removed):
        every = [(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)]
        f = lambda base, K: circuit_difference(
            model, tokens, template, means, io, s, [head for head in base if head not in K]
        )
        return torch.tensor([[f(circuit, K), f(every, K)] for K in removed])

    def minimality(model, tokens, template, means, io, s, circuit, removed):
        whole = logit_difference(model(tokens), io, s).mean().item()
        f = lambda gone: circuit_difference(
            model, tokens, template, means, io, s, [head for head in circuit if head not in gone]
        )
        return torch.tensor([abs(f([v]) - f([])) / whole for v in circuit])


@mistake("09.13", says="You remove from the whole model")
class section:
    """Minimality of the model, not of the circuit."""

    def completeness(model, tokens, template, means, io, s, circuit, removed):
        every = [(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)]
        f = lambda base, K: circuit_difference(
            model, tokens, template, means, io, s, [head for head in base if head not in K]
        )
        return torch.tensor([[f(circuit, K), f(every, K)] for K in removed])

    def minimality(model, tokens, template, means, io, s, circuit, removed):
        whole = logit_difference(model(tokens), io, s).mean().item()
        f = lambda gone: logit_difference(knock_out(model, tokens, template, means, gone), io, s).mean().item()
        return torch.tensor([abs(f([*K, v]) - f(K)) / whole for v, K in zip(circuit, removed)])


@mistake("09.13", says="Compare with C∖K")
class section:
    """Compares C∖(K ∪ {v}) with the whole circuit."""

    def completeness(model, tokens, template, means, io, s, circuit, removed):
        every = [(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)]
        f = lambda base, K: circuit_difference(
            model, tokens, template, means, io, s, [head for head in base if head not in K]
        )
        return torch.tensor([[f(circuit, K), f(every, K)] for K in removed])

    def minimality(model, tokens, template, means, io, s, circuit, removed):
        whole = logit_difference(model(tokens), io, s).mean().item()
        f = lambda gone: circuit_difference(
            model, tokens, template, means, io, s, [head for head in circuit if head not in gone]
        )
        return torch.tensor([abs(f([*K, v]) - f([])) / whole for v, K in zip(circuit, removed)])


@right("09.13", how="with sets and a memory of what was asked before")
class section:
    def completeness(model, tokens, template, means, io, s, circuit, removed):
        every = {(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)}
        known = {}

        def f(kept):
            if kept not in known:
                known[kept] = circuit_difference(model, tokens, template, means, io, s, sorted(kept))
            return known[kept]

        C, sets = set(map(tuple, circuit)), [set(map(tuple, K)) for K in removed]
        return [[f(frozenset(C - K)), f(frozenset(every - K))] for K in sets]

    def minimality(model, tokens, template, means, io, s, circuit, removed):
        whole = circuit_difference(
            model, tokens, template, means, io, s,
            [(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)],
        )  # fmt: skip
        C, found = set(map(tuple, circuit)), []
        for v, K in zip(circuit, removed):
            rest = C - set(map(tuple, K))
            a = circuit_difference(model, tokens, template, means, io, s, sorted(rest))
            b = circuit_difference(model, tokens, template, means, io, s, sorted(rest - {tuple(v)}))
            found.append(abs(a - b) / whole)
        return found


@right("09.13", how="by knocking out the complement at once")
class section:
    def _f(model, tokens, template, means, io, s, out):
        return logit_difference(knock_out(model, tokens, template, means, sorted(out)), io, s).double().mean()

    def completeness(model, tokens, template, means, io, s, circuit, removed):
        every = {(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)}
        outside = every - set(map(tuple, circuit))
        given = (model, tokens, template, means, io, s)
        rows = [(_f(*given, outside | set(map(tuple, K))), _f(*given, set(map(tuple, K)))) for K in removed]
        return torch.tensor([[float(a), float(b)] for a, b in rows], dtype=torch.float64)

    def minimality(model, tokens, template, means, io, s, circuit, removed):
        every = {(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)}
        outside = every - set(map(tuple, circuit))
        given = (model, tokens, template, means, io, s)
        whole, worth = _f(*given, set()), []
        for v, K in zip(circuit, removed):
            out = outside | set(map(tuple, K))
            worth.append(float((_f(*given, out | {tuple(v)}) - _f(*given, out)).abs() / whole))
        return torch.tensor(worth)


# --- 09.14 ------------------------------------------------------------------------------------------------------------


@mistake("09.14", says="Each edge was tried by itself")
class section:
    """One edge at a time from the whole model: of two that each suffice, both go."""

    def acdc(model, clean, corrupted, io, s, edges, tau):
        m = lambda logits: logit_difference(logits, io, s).mean().item()
        start = m(model(clean))
        return [
            text for text in edges if abs(m(patch_edges(model, clean, corrupted, [Edge.parse(text)])) - start) >= tau
        ]

    def precision_recall(found, truth):
        right = len(set(found) & set(truth))
        return (right / len(found) if found else 1.0), right / len(truth)


@mistake("09.14", says="from the first to the last")
class section:
    """In the order of the list."""

    def acdc(model, clean, corrupted, io, s, edges, tau):
        m = lambda logits: logit_difference(logits, io, s).mean().item()
        dropped, now = [], m(model(clean))
        for text in edges:
            new = m(patch_edges(model, clean, corrupted, [*dropped, Edge.parse(text)]))
            if abs(new - now) < tau:
                dropped, now = [*dropped, Edge.parse(text)], new
        return [text for text in edges if Edge.parse(text) not in dropped]

    def precision_recall(found, truth):
        right = len(set(found) & set(truth))
        return (right / len(found) if found else 1.0), right / len(truth)


@mistake("09.14", says="An edge that raises m when it is dropped counts too")
class section:
    """Only a loss counts: what works against the answer goes."""

    def acdc(model, clean, corrupted, io, s, edges, tau):
        m = lambda logits: logit_difference(logits, io, s).mean().item()
        dropped, now = [], m(model(clean))
        for text in reversed(edges):
            new = m(patch_edges(model, clean, corrupted, [*dropped, Edge.parse(text)]))
            if now - new < tau:
                dropped, now = [*dropped, Edge.parse(text)], new
        return [text for text in edges if Edge.parse(text) not in dropped]

    def precision_recall(found, truth):
        right = len(set(found) & set(truth))
        return (right / len(found) if found else 1.0), right / len(truth)


@mistake("09.14", says="m is compared with that of the clean run")
class section:
    """The published description, read too quickly: each change counted from the whole model."""

    def acdc(model, clean, corrupted, io, s, edges, tau):
        m = lambda logits: logit_difference(logits, io, s).mean().item()
        dropped, start = [], m(model(clean))
        for edge in map(Edge.parse, reversed(edges)):
            new = m(patch_edges(model, clean, corrupted, [*dropped, edge]))
            if abs(new - start) < tau:
                dropped = [*dropped, edge]
        return [text for text in edges if Edge.parse(text) not in dropped]

    def precision_recall(found, truth):
        right = len(set(found) & set(truth))
        return (right / len(found) if found else 1.0), right / len(truth)


@mistake("09.14", says="These are the edges that were dropped")
class section:
    """The complement."""

    def acdc(model, clean, corrupted, io, s, edges, tau):
        m = lambda logits: logit_difference(logits, io, s).mean().item()
        dropped, now = [], m(model(clean))
        for text in reversed(edges):
            new = m(patch_edges(model, clean, corrupted, [*map(Edge.parse, dropped), Edge.parse(text)]))
            if abs(new - now) < tau:
                dropped, now = [*dropped, text], new
        return [text for text in edges if text in dropped]

    def precision_recall(found, truth):
        right = len(set(found) & set(truth))
        return (right / len(found) if found else 1.0), right / len(truth)


@mistake("09.14", says="The two are exchanged")
class section:
    """Recall first."""

    def acdc(model, clean, corrupted, io, s, edges, tau):
        m = lambda logits: logit_difference(logits, io, s).mean().item()
        dropped, now = [], m(model(clean))
        for edge in map(Edge.parse, reversed(edges)):
            new = m(patch_edges(model, clean, corrupted, [*dropped, edge]))
            if abs(new - now) < tau:
                dropped, now = [*dropped, edge], new
        return [text for text in edges if Edge.parse(text) not in dropped]

    def precision_recall(found, truth):
        right = len(set(found) & set(truth))
        return right / len(truth), (right / len(found) if found else 1.0)


@mistake("09.14", says="Nothing was found, and that says nothing wrong")
class section:
    """The precision of nothing as 0."""

    def acdc(model, clean, corrupted, io, s, edges, tau):
        m = lambda logits: logit_difference(logits, io, s).mean().item()
        dropped, now = [], m(model(clean))
        for edge in map(Edge.parse, reversed(edges)):
            new = m(patch_edges(model, clean, corrupted, [*dropped, edge]))
            if abs(new - now) < tau:
                dropped, now = [*dropped, edge], new
        return [text for text in edges if Edge.parse(text) not in dropped]

    def precision_recall(found, truth):
        right = len(set(found) & set(truth))
        return right / max(len(found), 1), right / len(truth)


@right("09.14", how="with what each sender wrote kept, and run_edges")
class section:
    def acdc(model, clean, corrupted, io, s, edges, tau):
        from mi_lib.attribution import run_edges, sender_outputs

        every = [Edge.parse(text) for text in edges]
        said = sender_outputs(model, corrupted, [edge.sender for edge in every])
        m = lambda logits: float(logit_difference(logits, io, s).mean())
        out, now = {}, m(model(clean))
        for edge in reversed(every):
            new = m(run_edges(model, clean, {**out, edge: said[edge.sender]}))
            if abs(new - now) < tau:
                out[edge] = said[edge.sender]
                now = new
        return [str(edge) for edge in every if edge not in out]

    def precision_recall(found, truth):
        hits = [edge for edge in found if edge in truth]
        return torch.tensor([len(hits) / len(found) if found else 1.0, len(hits) / len(truth)])


@right("09.14", how="by striking edges off a list")
class section:
    def acdc(model, clean, corrupted, io, s, edges, tau):
        kept = list(edges)

        def m():
            gone = [Edge.parse(text) for text in edges if text not in kept]
            logits = patch_edges(model, clean, corrupted, gone) if gone else model(clean)
            return logit_difference(logits, io, s).double().mean()

        now = m()
        for text in edges[::-1]:
            place = kept.index(text)
            kept.remove(text)
            new = m()
            if (new - now).abs() < tau:
                now = new
            else:
                kept.insert(place, text)
        return kept

    def precision_recall(found, truth):
        found, truth = set(found), set(truth)
        precision = 1 - len(found - truth) / max(len(found), 1)
        return precision, 1 - len(truth - found) / len(truth)


# --- 09.15 ------------------------------------------------------------------------------------------------------------


@mistake("09.15", says="Not complete")
def find_circuit(model, tokens, corrupted, template, io, s):
    """Faithful and no more: what sleeps is struck out."""
    every = [(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)]
    given = (model, tokens, template, abc_means(model, corrupted, template), io, s)
    circuit, now = list(every), circuit_difference(*given, every)
    whole = now
    for head in reversed(every):
        less = [h for h in circuit if h != head]
        new = circuit_difference(*given, less)
        if abs(new - now) < 0.02 * whole:
            circuit, now = less, new
    return circuit


@mistake("09.15", says="Not minimal")
def find_circuit(model, tokens, corrupted, template, io, s):
    """All heads: faithful and complete, and no circuit."""
    return [(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)]


@mistake("09.15", says="Not faithful")
def find_circuit(model, tokens, corrupted, template, io, s):
    """Only those that write the answer."""
    effects = direct_effects(model, tokens, io, s)
    return strongest(effects, 0.1)


@mistake("09.15", says="Not faithful")
def find_circuit(model, tokens, corrupted, template, io, s):
    """Means over the clean prompts: what is the same in all of them seems not to matter."""
    every = [(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)]
    given = (model, tokens, template, abc_means(model, tokens, template), io, s)
    circuit, now = list(every), circuit_difference(*given, every)
    whole = now
    for head in reversed(every):
        less = [h for h in circuit if h != head]
        new = circuit_difference(*given, less)
        if abs(new - now) < 0.02 * whole:
            circuit, now = less, new
    return circuit


@mistake("09.15", says="Not faithful")
def find_circuit(model, tokens, corrupted, template, io, s):
    """By eye: every head that looks sharply from END at one place, or from anywhere at one other."""
    _, cache = model.run_with_cache(tokens, lambda name: name.endswith("pattern"))
    found = []
    for layer in range(model.cfg.n_layers):
        sharp = cache["pattern", layer].amax(-1).mean((0, 2))
        found += [(layer, head) for head in range(model.cfg.n_heads) if sharp[head] > 0.7]
    return found


@right("09.15", how="by effects: the whole ones, and those that appear when the speakers are silenced")
def find_circuit(model, tokens, corrupted, template, io, s):
    whole = logit_difference(model(tokens), io, s).mean()
    means = abc_means(model, corrupted, template)
    total = total_effects(model, tokens, corrupted, io, s).abs() > 0.03 * whole
    direct = direct_effects(model, tokens, io, s)
    speakers = [tuple(head) for head in (direct > 0.1 * whole).nonzero().tolist()]
    woken = after_silencing(model, tokens, template, means, io, s, speakers).abs() > 0.1 * whole
    return [tuple(head) for head in (total | woken).nonzero().tolist()]


@right("09.15", how="by striking out, those with the least effect first")
def find_circuit(model, tokens, corrupted, template, io, s):
    every = [(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)]
    given = (model, tokens, template, abc_means(model, corrupted, template), io, s)
    whole = circuit_difference(*given, every)
    without = lambda *gone: circuit_difference(*given, [head for head in every if head not in gone])
    size = total_effects(model, tokens, corrupted, io, s).abs()
    circuit, now = list(every), whole
    for v in sorted(every, key=lambda head: size[head]):
        new = circuit_difference(*given, [head for head in circuit if head != v])
        if abs(new - now) < 0.02 * whole:
            circuit.remove(v)
            now = new
    direct = direct_effects(model, tokens, io, s)
    speakers = [v for v in circuit if direct[v] > 0.1 * whole]
    less = without(*speakers)
    return circuit + [v for v in every if v not in circuit and abs(less - without(v, *speakers)) > 0.05 * whole]


# --- 09.16 ------------------------------------------------------------------------------------------------------------


@mistake("09.16", says="The other heads hear of it, and should not")
class section:
    """Forgets to hold."""

    def told_by(model, tokens, other, heads, hold=False):
        _, then = model.run_with_cache(other, lambda name: name.endswith("hook_z"))

        def edit(z, hook):
            own = [head for layer, head in heads if layer == hook.layer]
            z[:, -1, own] = then[hook.name][:, -1, own]

        return model.run_with_hooks(tokens, [(lambda name: name.endswith("hook_z"), edit)])[:, -1]

    def giver_rise(model, tokens, other, s, third, heads, hold=False):
        rows = torch.arange(len(tokens))
        change = told_by(model, tokens, other, heads, hold) - model(tokens)[:, -1]
        return (change[rows, s] - change[rows, third]).mean().item()

    def giver_heads(model, tokens, other, s, third, least):
        every = [(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)]
        return [head for head in every if giver_rise(model, tokens, other, s, third, [head], True) >= least]


@mistake("09.16", says="at all positions. Exchange END alone")
class section:
    """All positions: then it is not said what reaches END."""

    def told_by(model, tokens, other, heads, hold=False):
        _, now = model.run_with_cache(tokens, lambda name: name.endswith("hook_z"))
        _, then = model.run_with_cache(other, lambda name: name.endswith("hook_z"))

        def edit(z, hook):
            z = now[hook.name].clone() if hold else z
            own = [head for layer, head in heads if layer == hook.layer]
            z[:, :, own] = then[hook.name][:, :, own]
            return z

        return model.run_with_hooks(tokens, [(lambda name: name.endswith("hook_z"), edit)])[:, -1]

    def giver_rise(model, tokens, other, s, third, heads, hold=False):
        rows = torch.arange(len(tokens))
        change = told_by(model, tokens, other, heads, hold) - model(tokens)[:, -1]
        return (change[rows, s] - change[rows, third]).mean().item()

    def giver_heads(model, tokens, other, s, third, least):
        every = [(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)]
        return [head for head in every if giver_rise(model, tokens, other, s, third, [head], True) >= least]


@mistake("09.16", says="Subtract v of the prompts as they are")
class section:
    """v and not its rise."""

    def told_by(model, tokens, other, heads, hold=False):
        _, now = model.run_with_cache(tokens, lambda name: name.endswith("hook_z"))
        _, then = model.run_with_cache(other, lambda name: name.endswith("hook_z"))

        def edit(z, hook):
            z = now[hook.name].clone() if hold else z
            own = [head for layer, head in heads if layer == hook.layer]
            z[:, -1, own] = then[hook.name][:, -1, own]
            return z

        return model.run_with_hooks(tokens, [(lambda name: name.endswith("hook_z"), edit)])[:, -1]

    def giver_rise(model, tokens, other, s, third, heads, hold=False):
        rows = torch.arange(len(tokens))
        logits = told_by(model, tokens, other, heads, hold)
        return (logits[rows, s] - logits[rows, third]).mean().item()

    def giver_heads(model, tokens, other, s, third, least):
        every = [(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)]
        return [head for head in every if giver_rise(model, tokens, other, s, third, [head], True) >= least]


@mistake("09.16", says="Other heads were not held: each is to speak for itself")
class section:
    """Counts what a head makes others say."""

    def told_by(model, tokens, other, heads, hold=False):
        _, now = model.run_with_cache(tokens, lambda name: name.endswith("hook_z"))
        _, then = model.run_with_cache(other, lambda name: name.endswith("hook_z"))

        def edit(z, hook):
            z = now[hook.name].clone() if hold else z
            own = [head for layer, head in heads if layer == hook.layer]
            z[:, -1, own] = then[hook.name][:, -1, own]
            return z

        return model.run_with_hooks(tokens, [(lambda name: name.endswith("hook_z"), edit)])[:, -1]

    def giver_rise(model, tokens, other, s, third, heads, hold=False):
        rows = torch.arange(len(tokens))
        change = told_by(model, tokens, other, heads, hold) - model(tokens)[:, -1]
        return (change[rows, s] - change[rows, third]).mean().item()

    def giver_heads(model, tokens, other, s, third, least):
        every = [(a, h) for a in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)]
        return [head for head in every if giver_rise(model, tokens, other, s, third, [head]) >= least]


@mistake("09.16", says="The run goes over the prompts `other`")
class section:
    """The prompts of the other run: all that is not held tells of the third as well."""

    def told_by(model, tokens, other, heads, hold=False):
        _, then = model.run_with_cache(other, lambda name: name.endswith("hook_z"))
        _, now = model.run_with_cache(tokens, lambda name: name.endswith("hook_z"))

        def edit(z, hook):
            z = now[hook.name].clone() if hold else z
            own = [head for layer, head in heads if layer == hook.layer]
            z[:, -1, own] = then[hook.name][:, -1, own]
            return z

        return model.run_with_hooks(other, [(lambda name: name.endswith("hook_z"), edit)])[:, -1]

    def giver_rise(model, tokens, other, s, third, heads, hold=False):
        rows = torch.arange(len(tokens))
        change = told_by(model, tokens, other, heads, hold) - model(tokens)[:, -1]
        return (change[rows, s] - change[rows, third]).mean().item()

    def giver_heads(model, tokens, other, s, third, least):
        layers, heads = range(model.cfg.n_layers), range(model.cfg.n_heads)
        every = [(layer, head) for layer in layers for head in heads]
        return [h for h in every if giver_rise(model, tokens, other, s, third, [h], hold=True) >= least]


@mistake("09.16", says="v of the prompts `other` is subtracted")
class section:
    """The change from the other prompts."""

    def told_by(model, tokens, other, heads, hold=False):
        _, then = model.run_with_cache(other, lambda name: name.endswith("hook_z"))
        _, now = model.run_with_cache(tokens, lambda name: name.endswith("hook_z"))

        def edit(z, hook):
            z = now[hook.name].clone() if hold else z
            own = [head for layer, head in heads if layer == hook.layer]
            z[:, -1, own] = then[hook.name][:, -1, own]
            return z

        return model.run_with_hooks(tokens, [(lambda name: name.endswith("hook_z"), edit)])[:, -1]

    def giver_rise(model, tokens, other, s, third, heads, hold=False):
        rows = torch.arange(len(tokens))
        change = told_by(model, tokens, other, heads, hold) - model(other)[:, -1]
        return (change[rows, s] - change[rows, third]).mean().item()

    def giver_heads(model, tokens, other, s, third, least):
        layers, heads = range(model.cfg.n_layers), range(model.cfg.n_heads)
        every = [(layer, head) for layer in layers for head in heads]
        return [h for h in every if giver_rise(model, tokens, other, s, third, [h], hold=True) >= least]


@right("09.16", how="head by head and layer by layer, with gather")
class section:
    def told_by(model, tokens, other, heads, hold=False):
        layers = range(model.cfg.n_layers)
        _, now = model.run_with_cache(tokens)
        _, then = model.run_with_cache(other)

        def keep(layer):
            return ("z", layer), lambda z, hook: now["z", layer]

        def put(layer, head):
            def edit(z, hook):
                z[:, -1, head] = then["z", layer][:, -1, head]

            return ("z", layer), edit

        edits = [keep(layer) for layer in layers] if hold else []
        return model.run_with_hooks(tokens, [*edits, *(put(*head) for head in heads)])[:, -1]

    def giver_rise(model, tokens, other, s, third, heads, hold=False):
        both = torch.stack([s, third], 1)
        after = told_by(model, tokens, other, heads, hold).gather(1, both)
        before = model(tokens)[:, -1].gather(1, both)
        return ((after - before) @ torch.tensor([1.0, -1.0])).mean()

    def giver_heads(model, tokens, other, s, third, least):
        found = []
        for layer in range(model.cfg.n_layers):
            for head in range(model.cfg.n_heads):
                if float(giver_rise(model, tokens, other, s, third, [(layer, head)], hold=True)) >= least:
                    found.append((layer, head))
        return found


@right("09.16", how="with path patching where heads are held")
class section:
    def told_by(model, tokens, other, heads, hold=False):
        _, then = model.run_with_cache(other, lambda name: name.endswith("hook_z"))
        _, now = model.run_with_cache(tokens, lambda name: name.endswith("hook_z"))

        def edit(z, hook):
            if hold:
                z[:] = now[hook.name]
            for layer, head in heads:
                if layer == hook.layer:
                    z[:, -1, head] = then[hook.name][:, -1, head]

        with model.hooks([(lambda name: name.endswith("hook_z"), edit)]):
            return model(tokens)[:, -1]

    def giver_rise(model, tokens, other, s, third, heads, hold=False):
        end = torch.full((len(tokens),), 0)
        after = told_by(model, tokens, other, heads, hold)[:, None]
        return float((logit_difference(after, s, third, end) - logit_difference(model(tokens), s, third)).mean())

    def giver_heads(model, tokens, other, s, third, least):
        found = []
        for layer in range(model.cfg.n_layers):
            for head in range(model.cfg.n_heads):
                logits = path_to_logits(model, tokens, other, (layer, head))
                rise = logit_difference(logits, s, third) - logit_difference(model(tokens), s, third)
                found += [(layer, head)] if rise.mean() >= least else []
        return found
