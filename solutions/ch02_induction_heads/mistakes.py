"""Wrong answers that learners and published code give to chapter 02, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 02.1 -------------------------------------------------------------------------------------------------------------


@mistake("02.1", says="before the softmax")
def attention_pattern(model, tokens, layer):
    """Reads the neighbouring site."""
    return model.run_with_cache(tokens, ("attn_scores", layer))[1]["attn_scores", layer]


@mistake("02.1", says="Keep the batch axis")
def attention_pattern(model, tokens, layer):
    """The old `output[0]`: in many libraries a tuple's first entry, here the first sequence."""
    return model.run_with_cache(tokens, ("pattern", layer))[1]["pattern", layer][0]


@mistake("02.1", says="Heads do different things")
def attention_pattern(model, tokens, layer):
    """Averages heads away, as tools that draw one picture a layer do."""
    return model.run_with_cache(tokens, ("pattern", layer))[1]["pattern", layer].mean(1)


@mistake("02.1", says="These are the patterns of layer")
def attention_pattern(model, tokens, layer):
    """Counts layers from 1."""
    _, cache = model.run_with_cache(tokens, lambda name: name.endswith("pattern"))
    return cache["pattern", layer - 1]


@mistake("02.1", says="Queries and keys are exchanged")
def attention_pattern(model, tokens, layer):
    """Takes columns for rows."""
    return model.run_with_cache(tokens, ("pattern", layer))[1]["pattern", layer].transpose(-1, -2)


@mistake("02.1", says="the causal mask is missing")
def attention_pattern(model, tokens, layer):
    """Computes it again from q and k, and forgets the mask."""
    _, cache = model.run_with_cache(tokens, [("q", layer), ("k", layer)])
    scores = torch.einsum("bqhd,bkhd->bhqk", cache["q", layer], cache["k", layer]) / math.sqrt(model.cfg.d_head)
    return scores.softmax(-1)


@mistake("02.1", says="not divided by √d_head")
def attention_pattern(model, tokens, layer):
    """Computes it again from q and k, and forgets the scale."""
    _, cache = model.run_with_cache(tokens, [("q", layer), ("k", layer)])
    scores = torch.einsum("bqhd,bkhd->bhqk", cache["q", layer], cache["k", layer])
    n = tokens.shape[1]
    return scores.masked_fill(~torch.ones(n, n, dtype=torch.bool).tril(), -torch.inf).softmax(-1)


@mistake("02.1", says="These are the patterns of all layers")
def attention_pattern(model, tokens, layer):
    """Keeps every layer."""
    _, cache = model.run_with_cache(tokens, lambda name: name.endswith("pattern"))
    return torch.stack([cache["pattern", i] for i in range(model.cfg.n_layers)])


@mistake("02.1", says="The heads stand behind the queries")
def attention_pattern(model, tokens, layer):
    """Takes the order of axes that z has."""
    return model.run_with_cache(tokens, ("pattern", layer))[1]["pattern", layer].transpose(1, 2)


@mistake("02.1", says="Each has its own")
def attention_pattern(model, tokens, layer):
    """Reads one sequence and repeats it."""
    one = model.run_with_cache(tokens[:1], ("pattern", layer))[1]["pattern", layer]
    return one.expand(len(tokens), -1, -1, -1)


@right("02.1", how="with a hook that keeps the value")
def attention_pattern(model, tokens, layer):
    kept = []

    def keep(pattern, hook):
        kept.append(pattern.clone())

    with model.hooks([(f"blocks.{layer}.attn.hook_pattern", keep)]):
        model(tokens)
    return kept[0]


@right("02.1", how="from the scores, in double precision")
def attention_pattern(model, tokens, layer):
    _, cache = model.run_with_cache(tokens)
    return cache["attn_scores", layer].double().softmax(-1)


# --- 02.2 -------------------------------------------------------------------------------------------------------------


@mistake("02.2", says="which the model has already seen")
def loss_per_token(logits, tokens):
    """Does not shift."""
    return -logits.log_softmax(-1).gather(-1, tokens[:, :, None])[:, :-1, 0]


@mistake("02.2", says="The log-softmax is missing")
def loss_per_token(logits, tokens):
    """Takes logits for log probabilities."""
    return -logits[:, :-1].gather(-1, tokens[:, 1:, None])[..., 0]


@mistake("02.2", says="Only the sign is wrong")
def loss_per_token(logits, tokens):
    """Forgets the minus."""
    return logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]


@mistake("02.2", says="You normalise over positions")
def loss_per_token(logits, tokens):
    """Softmax over the wrong axis."""
    return -logits.log_softmax(1)[:, :-1].gather(-1, tokens[:, 1:, None])[..., 0]


@mistake("02.2", says="Keep the loss of every token")
def loss_per_token(logits, tokens):
    """What a training loop wants."""
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


@mistake("02.2", says="Take log_softmax at once")
def loss_per_token(logits, tokens):
    """exp(−1000) is 0, and log(0) is −∞."""
    return -logits[:, :-1].softmax(-1).log().gather(-1, tokens[:, 1:, None])[..., 0]


@mistake("02.2", says="You normalise twice")
def loss_per_token(logits, tokens):
    """Gives probabilities to a function that wants logits."""
    probabilities = logits.softmax(-1)[:, :-1]
    return torch.nn.functional.cross_entropy(probabilities.transpose(1, 2), tokens[:, 1:], reduction="none")


@mistake("02.2", says="All sequences lie in one long row")
def loss_per_token(logits, tokens):
    """Flattens, and does not fold back."""
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")


@mistake("02.2", says="The last position has no next token")
def loss_per_token(logits, tokens):
    """Rolls: the last position is judged by the first token."""
    return -logits.log_softmax(-1).gather(-1, tokens.roll(-1, 1)[..., None])[..., 0]


@mistake("02.2", says="These are bits")
def loss_per_token(logits, tokens):
    """The logarithm of information theory."""
    log_probs = logits[:, :-1].log_softmax(-1)
    return -log_probs.gather(-1, tokens[:, 1:, None])[..., 0] / math.log(2)


@mistake("02.2", says="ignore_index=0")
def loss_per_token(logits, tokens):
    """Token 0 is taken for padding, as in many training loops."""
    return torch.nn.functional.cross_entropy(logits[:, :-1].mT, tokens[:, 1:], ignore_index=0, reduction="none")


@mistake("02.2", says="was added to the probabilities")
def loss_per_token(logits, tokens):
    """The logarithm of a softmax, with a small number against log(0)."""
    log_probs = torch.log(logits[:, :-1].softmax(-1) + 1e-10)
    return -log_probs.gather(-1, tokens[:, 1:, None])[..., 0]


@right("02.2", how="with cross_entropy, which wants the vocabulary on axis 1")
def loss_per_token(logits, tokens):
    return torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")


@right("02.2", how="with logsumexp, in double precision, not contiguous")
def loss_per_token(logits, tokens):
    x = logits.double()[:, :-1]
    picked = x.gather(-1, tokens[:, 1:].unsqueeze(-1)).squeeze(-1)
    return (x.logsumexp(-1) - picked).t().contiguous().t()


# --- 02.3 -------------------------------------------------------------------------------------------------------------


@mistake("02.3", says="You are off by one")
def copy_losses(loss, first, second):
    """Drops the last column of the mask instead of the first."""
    return loss[first[:, :-1]].mean().item(), loss[second[:, :-1]].mean().item()


@mistake("02.3", says="The two are exchanged")
def copy_losses(loss, first, second):
    """Returns them the wrong way round."""
    return loss[second[:, 1:]].mean().item(), loss[first[:, 1:]].mean().item()


@mistake("02.3", says="Divide by the number of those that count")
def copy_losses(loss, first, second):
    """Multiplies by the mask and takes the mean of everything."""
    return (loss * first[:, 1:]).mean().item(), (loss * second[:, 1:]).mean().item()


@mistake("02.3", says="Use the mask `first`")
def copy_losses(loss, first, second):
    """Takes everything else for the first copy, words of the offset too."""
    later = second[:, 1:]
    return loss[~later].mean().item(), loss[later].mean().item()


@mistake("02.3", says="average over all tokens at once")
def copy_losses(loss, first, second):
    """A mean of means."""
    means = [
        torch.stack([row[m].mean() for row, m in zip(loss, mask[:, 1:]) if m.any()]).mean().item()
        for mask in (first, second)
    ]
    return means[0], means[1]


@mistake("02.3", says="You count token 0")
def copy_losses(loss, first, second):
    """Pads the loss so that it fits the masks."""
    padded = torch.nn.functional.pad(loss, (1, 0))
    return padded[first].mean().item(), padded[second].mean().item()


@mistake("02.3", says="These are sums")
def copy_losses(loss, first, second):
    """Forgets to divide."""
    return loss[first[:, 1:]].sum().item(), loss[second[:, 1:]].sum().item()


@mistake("02.3", says="are counted as later copies")
def copy_losses(loss, first, second):
    """What is no first copy must be a later one."""
    early = first[:, 1:]
    return loss[early].mean().item(), loss[~early].mean().item()


@mistake("02.3", says="You use the first sequence alone")
def copy_losses(loss, first, second):
    """Looks at one sequence."""
    return loss[0][first[0, 1:]].mean().item(), loss[0][second[0, 1:]].mean().item()


@mistake("02.3", says="You average each sequence first and then the averages")
def copy_losses(loss, first, second):
    """A mean of means: NaN where a sequence has no such token."""
    means = [
        torch.stack([row[m].mean() for row, m in zip(loss, mask[:, 1:])]).mean().item() for mask in (first, second)
    ]
    return means[0], means[1]


@mistake("02.3", says="You average each sequence first")
def copy_losses(loss, first, second):
    """A mean of means; sequences without such tokens count as 0."""

    def mean(mask):
        return ((loss * mask).sum(1) / mask.sum(1).clamp(min=1)).mean().item()

    return mean(first[:, 1:]), mean(second[:, 1:])


@right("02.3", how="with sums")
def copy_losses(loss, first, second):
    a, b = first[:, 1:].to(loss.dtype), second[:, 1:].to(loss.dtype)
    return [float((loss * a).sum() / a.sum()), float((loss * b).sum() / b.sum())]


@right("02.3", how="with a loop")
def copy_losses(loss, first, second):
    sums = [0.0, 0.0]
    counts = [0, 0]
    for b in range(loss.shape[0]):
        for t in range(loss.shape[1]):
            for i, mask in enumerate((first, second)):
                if mask[b, t + 1]:
                    sums[i] += float(loss[b, t])
                    counts[i] += 1
    return sums[0] / counts[0], sums[1] / counts[1]


# --- 02.4 -------------------------------------------------------------------------------------------------------------


@mistake("02.4", says="The sign is turned round")
def in_context_learning_score(loss, early, late):
    """Early minus late: how much is gained, but the field's score is negative."""
    return (loss[:, early] - loss[:, late]).mean().item()


@mistake("02.4", says="Compare the losses AT the two indices")
def in_context_learning_score(loss, early, late):
    """Means over stretches."""
    return (loss[:, late:].mean() - loss[:, : early + 1].mean()).item()


@mistake("02.4", says="Average over the batch")
def in_context_learning_score(loss, early, late):
    """One sequence."""
    return (loss[0, late] - loss[0, early]).item()


@mistake("02.4", says="Subtract instead")
def in_context_learning_score(loss, early, late):
    """A ratio."""
    return (loss[:, late].mean() / loss[:, early].mean()).item()


@mistake("02.4", says="one column too far to the left")
def in_context_learning_score(loss, early, late):
    """Takes the indices for tokens, and looks up their losses."""
    return (loss[:, late - 1] - loss[:, early - 1]).mean().item()


@mistake("02.4", says="This is the median")
def in_context_learning_score(loss, early, late):
    """Robust, and not what is asked for."""
    return (loss[:, late].median() - loss[:, early].median()).item()


@right("02.4", how="as the mean of the differences, a tensor")
def in_context_learning_score(loss, early, late):
    return (loss[:, late] - loss[:, early]).mean()


@right("02.4", how="with NumPy")
def in_context_learning_score(loss, early, late):
    values = loss.numpy().astype("float64")
    return values[:, late].mean() - values[:, early].mean()


# --- 02.5 -------------------------------------------------------------------------------------------------------------


@mistake("02.5", says="attention of each position to itself")
def previous_token_score(pattern):
    """The main diagonal."""
    return pattern.diagonal(dim1=-2, dim2=-1).mean((0, 2))


@mistake("02.5", says="one step AHEAD")
def previous_token_score(pattern):
    """The diagonal above."""
    return pattern.diagonal(offset=1, dim1=-2, dim2=-1).mean((0, 2))


@mistake("02.5", says="Position 0 has nothing before it")
def previous_token_score(pattern):
    """Divides by the number of positions."""
    return pattern.diagonal(offset=-1, dim1=-2, dim2=-1).sum((0, 2)) / (pattern.shape[0] * pattern.shape[-1])


@mistake("02.5", says="Each head has a score of its own")
def previous_token_score(pattern):
    """One number for all."""
    return pattern.diagonal(offset=-1, dim1=-2, dim2=-1).mean()


@mistake("02.5", says="You look two steps back")
def previous_token_score(pattern):
    """Off by one."""
    return pattern.diagonal(offset=-2, dim1=-2, dim2=-1).mean((0, 2))


@mistake("02.5", says="You count how often")
def previous_token_score(pattern):
    """A share of positions, in place of a mean of attention."""
    n = pattern.shape[-1]
    return (pattern[:, :, 1:].argmax(-1) == torch.arange(n - 1)).float().mean((0, 2))


@mistake("02.5", says="`diagonal` takes the axes 0 and 1")
def previous_token_score(pattern):
    """Leaves the axes out."""
    return pattern.diagonal(offset=-1).mean((0, 2))


@mistake("02.5", says="You count position 0 too")
def previous_token_score(pattern):
    """clamp(min=0): position 0 looks at itself."""
    n = pattern.shape[-1]
    back = (torch.arange(n) - 1).clamp(min=0)
    return pattern[:, :, torch.arange(n), back].mean((0, 2))


@mistake("02.5", says="You use the first sequence alone")
def previous_token_score(pattern):
    """Written for one sequence."""
    return pattern[0].diagonal(offset=-1, dim1=-2, dim2=-1).mean(-1)


@right("02.5", how="with a loop over positions")
def previous_token_score(pattern):
    n = pattern.shape[-1]
    return sum(pattern[:, :, q, q - 1].mean(0) for q in range(1, n)) / (n - 1)


@right("02.5", how="with einsum and a shifted identity, in double precision")
def previous_token_score(pattern):
    batch, _, n, _ = pattern.shape
    one_back = torch.diag(torch.ones(n - 1, dtype=torch.float64), diagonal=-1)
    return torch.einsum("bhqk,qk->h", pattern.double(), one_back) / (batch * (n - 1))


# --- 02.6 -------------------------------------------------------------------------------------------------------------


@mistake("02.6", says="its own earlier occurrence")
def previous_occurrence(tokens):
    """tril without the offset."""
    n = tokens.shape[1]
    same = (tokens[:, :, None] == tokens[:, None, :]).tril()
    return torch.where(same, torch.arange(n), -1).amax(-1)


@mistake("02.6", says="the latest one counts")
def previous_occurrence(tokens):
    """argmax finds the first."""
    same = (tokens[:, :, None] == tokens[:, None, :]).tril(diagonal=-1)
    return torch.where(same.any(-1), same.int().argmax(-1), -1)


@mistake("02.6", says="not 0")
def previous_occurrence(tokens):
    """0 for nothing: position 0 becomes everybody's earlier occurrence."""
    n = tokens.shape[1]
    same = (tokens[:, :, None] == tokens[:, None, :]).tril(diagonal=-1)
    return torch.where(same, torch.arange(n), 0).amax(-1)


@mistake("02.6", says="come later too")
def previous_occurrence(tokens):
    """No causality."""
    n = tokens.shape[1]
    same = (tokens[:, :, None] == tokens[:, None, :]) & ~torch.eye(n, dtype=torch.bool)
    return torch.where(same, torch.arange(n), -1).amax(-1)


@mistake("02.6", says="how far back it was")
def previous_occurrence(tokens):
    """A distance instead of a place."""
    n = tokens.shape[1]
    same = (tokens[:, :, None] == tokens[:, None, :]).tril(diagonal=-1)
    latest = torch.where(same, torch.arange(n), -1).amax(-1)
    return torch.where(latest >= 0, torch.arange(n) - latest, -1)


@mistake("02.6", says="You leave out the position just before")
def previous_occurrence(tokens):
    """One too many in tril."""
    n = tokens.shape[1]
    same = (tokens[:, :, None] == tokens[:, None, :]).tril(diagonal=-2)
    return torch.where(same, torch.arange(n), -1).amax(-1)


@mistake("02.6", says="You carry tokens over")
def previous_occurrence(tokens):
    """The dictionary is made once, outside of the loop."""
    last = {}
    rows = []
    for row in tokens.tolist():
        rows.append([])
        for t, token in enumerate(row):
            rows[-1].append(last.get(token, -1))
            last[token] = t
    return torch.tensor(rows)


@mistake("02.6", says="You look forward")
def previous_occurrence(tokens):
    """triu for tril."""
    n = tokens.shape[1]
    same = (tokens[:, :, None] == tokens[:, None, :]).triu(diagonal=1)
    return torch.where(same.any(-1), same.int().argmax(-1), -1)


@mistake("02.6", says="An earlier occurrence at position 0")
def previous_occurrence(tokens):
    """0 is false: `or` takes it for nothing."""
    rows = []
    for row in tokens.tolist():
        last = {}
        rows.append([])
        for t, token in enumerate(row):
            rows[-1].append(last.get(token) or -1)
            last[token] = t
    return torch.tensor(rows)


@mistake("02.6", says="how often the token has come before")
def previous_occurrence(tokens):
    """Counts."""
    same = (tokens[:, :, None] == tokens[:, None, :]).tril(diagonal=-1)
    return same.sum(-1)


@mistake("02.6", says="the tokens of the first sequence in all of them")
def previous_occurrence(tokens):
    """The first row's answer for every row."""
    n = tokens.shape[1]
    same = (tokens[0, :, None] == tokens[0, None, :]).tril(diagonal=-1)
    return torch.where(same, torch.arange(n), -1).amax(-1).expand(len(tokens), n)


@right("02.6", how="with a dictionary")
def previous_occurrence(tokens):
    rows = []
    for row in tokens.tolist():
        last = {}
        rows.append([])
        for t, token in enumerate(row):
            rows[-1].append(last.get(token, -1))
            last[token] = t
    return torch.tensor(rows)


@right("02.6", how="as a list of lists, found by searching backwards")
def previous_occurrence(tokens):
    out = []
    for row in tokens.tolist():
        out.append([next((p for p in range(t - 1, -1, -1) if row[p] == row[t]), -1) for t in range(len(row))])
    return out


# --- 02.7 -------------------------------------------------------------------------------------------------------------


@mistake("02.7", says="looks at the token AFTER it")
def prefix_matching_score(pattern, previous):
    """The commonest error, in published code too: scores the duplicate, not what followed it."""
    batch, query = (previous >= 0).nonzero(as_tuple=True)
    return pattern[batch, :, query, previous[batch, query]].mean(0)


@mistake("02.7", says="do not count at all")
def prefix_matching_score(pattern, previous):
    """Counts new tokens as zeros."""
    target = (previous + 1).clamp(min=0)[:, None, :, None].expand(-1, pattern.shape[1], -1, 1)
    paid = pattern.gather(-1, target)[..., 0] * (previous >= 0)[:, None]
    return paid.mean((0, 2))


@mistake("02.7", says="You treat −1 as a position")
def prefix_matching_score(pattern, previous):
    """−1 + 1 = 0: attention to <bos> is counted for new tokens."""
    target = (previous + 1)[:, None, :, None].expand(-1, pattern.shape[1], -1, 1)
    return pattern.gather(-1, target)[..., 0].mean((0, 2))


@mistake("02.7", says="Each head has a score of its own")
def prefix_matching_score(pattern, previous):
    """One number for all heads."""
    batch, query = (previous >= 0).nonzero(as_tuple=True)
    return pattern[batch, :, query, previous[batch, query] + 1].mean()


@mistake("02.7", says="Query and key are exchanged")
def prefix_matching_score(pattern, previous):
    """pattern[key, query]."""
    batch, query = (previous >= 0).nonzero(as_tuple=True)
    return pattern[batch, :, previous[batch, query] + 1, query].mean(0)


@mistake("02.7", says="An earlier occurrence at position 0 counts too")
def prefix_matching_score(pattern, previous):
    """> 0 for >= 0."""
    batch, query = (previous > 0).nonzero(as_tuple=True)
    return pattern[batch, :, query, previous[batch, query] + 1].mean(0)


@mistake("02.7", says="You average each sequence first")
def prefix_matching_score(pattern, previous):
    """A mean of means: NaN where nothing is repeated."""
    scores = []
    for row, prev in zip(pattern, previous):
        query = (prev >= 0).nonzero().flatten()
        scores.append(row[:, query, prev[query] + 1].mean(-1))
    return torch.stack(scores).mean(0)


@mistake("02.7", says="You average each sequence first")
def prefix_matching_score(pattern, previous):
    """A mean of means."""
    scores = []
    for row, prev in zip(pattern, previous):
        query = (prev >= 0).nonzero().flatten()
        if len(query):
            scores.append(row[:, query, prev[query] + 1].mean(-1))
    return torch.stack(scores).mean(0)


@mistake("02.7", says="You count how often")
def prefix_matching_score(pattern, previous):
    """Where the head looks most."""
    batch, query = (previous >= 0).nonzero(as_tuple=True)
    most = pattern.argmax(-1)[batch, :, query]
    return (most == (previous[batch, query] + 1)[:, None]).float().mean(0)


@mistake("02.7", says="in place")
def prefix_matching_score(pattern, previous):
    """Adds 1 to the caller's own tensor."""
    previous += 1
    batch, query = (previous > 0).nonzero(as_tuple=True)
    return pattern[batch, :, query, previous[batch, query]].mean(0)


@mistake("02.7", says="The last place of a sequence is one like any other")
def prefix_matching_score(pattern, previous):
    """Guards against an index that can never come, and one place too early."""
    b, q = (previous >= 0).nonzero(as_tuple=True)
    return pattern[b, :, q, (previous[b, q] + 1).clamp(max=q.max() - 1)].mean(0)


@mistake("02.7", says="You use the first sequence alone")
def prefix_matching_score(pattern, previous):
    """Looks at one sequence."""
    q = (previous[0] >= 0).nonzero()[:, 0]
    return pattern[0][:, q, previous[0, q] + 1].mean(1)


@mistake("02.7", says="of the first sequence for all of them")
def prefix_matching_score(pattern, previous):
    """One sequence's places, used for every sequence."""
    q = (previous[0] >= 0).nonzero()[:, 0]
    return pattern[:, :, q, previous[0, q] + 1].mean((0, 2))


@right("02.7", how="with gather")
def prefix_matching_score(pattern, previous):
    counts = (previous >= 0).to(pattern.dtype)
    target = (previous + 1).clamp(min=0)[:, None, :, None].expand(-1, pattern.shape[1], -1, 1)
    paid = pattern.gather(-1, target)[..., 0]
    return (paid * counts[:, None]).sum((0, 2)) / counts.sum()


@right("02.7", how="with a loop, in double precision")
def prefix_matching_score(pattern, previous):
    total = torch.zeros(pattern.shape[1], dtype=torch.float64)
    count = 0
    for b in range(previous.shape[0]):
        for q in range(previous.shape[1]):
            if previous[b, q] >= 0:
                total += pattern[b, :, q, previous[b, q] + 1].double()
                count += 1
    return total / count


# --- 02.8 -------------------------------------------------------------------------------------------------------------


@mistake("02.8", says="Nothing has changed")
def ablate_head(model, tokens, layer, head):
    """The hook changes a copy and does not return it."""

    def silence(z, hook):
        z = z.clone()
        z[:, :, head] = 0.0

    return model.run_with_hooks(tokens, [(("z", layer), silence)])


@mistake("02.8", says="The whole layer is silent")
def ablate_head(model, tokens, layer, head):
    """Zeroes everything."""
    return model.run_with_hooks(tokens, [(("z", layer), lambda z, hook: z * 0)])


@mistake("02.8", says="You silence a position, not a head")
def ablate_head(model, tokens, layer, head):
    """Axis 1 is the position; TransformerLens has it there too."""

    def silence(z, hook):
        z = z.clone()
        z[:, head] = 0.0
        return z

    return model.run_with_hooks(tokens, [(("z", layer), silence)])


@mistake("02.8", says="silence all the others")
def ablate_head(model, tokens, layer, head):
    """The mask upside down."""

    def silence(z, hook):
        out = torch.zeros_like(z)
        out[:, :, head] = z[:, :, head]
        return out

    return model.run_with_hooks(tokens, [(("z", layer), silence)])


@mistake("02.8", says="and the test asked for head")
def ablate_head(model, tokens, layer, head):
    """Counts heads from 1."""

    def silence(z, hook):
        z = z.clone()
        z[:, :, (head + 1) % z.shape[2]] = 0.0
        return z

    return model.run_with_hooks(tokens, [(("z", layer), silence)])


@mistake("02.8", says="changed the weights of the `model`")
def ablate_head(model, tokens, layer, head):
    """Silences the head for good."""
    with torch.no_grad():
        model.blocks[layer].attn.W_O[head] = 0.0
    return model(tokens)


@mistake("02.8", says="left a hook in the `model`")
def ablate_head(model, tokens, layer, head):
    """Opens the context and never closes it."""

    def silence(z, hook):
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    model.left_open = model.hooks([(("z", layer), silence)])
    model.left_open.__enter__()
    return model(tokens)


@mistake("02.8", says="You silence one number of every head")
def ablate_head(model, tokens, layer, head):
    """Indexes the last axis."""

    def silence(z, hook):
        z = z.clone()
        z[..., head] = 0.0
        return z

    return model.run_with_hooks(tokens, [(("z", layer), silence)])


@mistake("02.8", says="It then looks everywhere alike")
def ablate_head(model, tokens, layer, head):
    """Takes away where it looks, not what it writes."""

    def silence(scores, hook):
        scores = scores.clone()
        n = scores.shape[-1]
        scores[:, head] = scores[:, head].masked_fill(torch.ones(n, n, dtype=torch.bool).tril(), 0.0)
        return scores

    return model.run_with_hooks(tokens, [(("attn_scores", layer), silence)])


@mistake("02.8", says="in every layer")
def ablate_head(model, tokens, layer, head):
    """A predicate that matches too much."""

    def silence(z, hook):
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    return model.run_with_hooks(tokens, [(lambda name: name.endswith("hook_z"), silence)])


@mistake("02.8", says="its direct effect")
def ablate_head(model, tokens, layer, head):
    """Takes what the head writes out of the logits, where later heads have read it already."""
    logits, cache = model.run_with_cache(tokens, ("z", layer))
    return logits - cache["z", layer][:, :, head] @ model.W_O[layer, head] @ model.W_U


@right("02.8", how="on the head's result, [batch pos head d_model]")
def ablate_head(model, tokens, layer, head):
    def silence(result, hook):
        result = result.clone()
        result[:, :, head] = 0.0
        return result

    return model.run_with_hooks(tokens, [(("result", layer), silence)])


@right("02.8", how="with values of zero, inside a context")
def ablate_head(model, tokens, layer, head):
    def silence(v, hook):
        mask = torch.ones(v.shape[2])
        mask[head] = 0.0
        return v * mask[:, None]

    with model.hooks([(f"blocks.{layer}.attn.hook_v", silence)]):
        return model(tokens).double()


# --- 02.9 -------------------------------------------------------------------------------------------------------------


@mistake("02.9", says="You average over positions as well")
def mean_ablate_head(model, tokens, layer, head, reference):
    """Pooled over positions, as much published code does."""
    mean = model.run_with_cache(reference, ("z", layer))[1]["z", layer][:, :, head].mean((0, 1))

    def replace(z, hook):
        z = z.clone()
        z[:, :, head] = mean
        return z

    return model.run_with_hooks(tokens, [(("z", layer), replace)])


@mistake("02.9", says="Take it over `reference`")
def mean_ablate_head(model, tokens, layer, head, reference):
    """The mean of the very sequences that are judged."""
    mean = model.run_with_cache(tokens, ("z", layer))[1]["z", layer][:, :, head].mean(0)

    def replace(z, hook):
        z = z.clone()
        z[:, :, head] = mean
        return z

    return model.run_with_hooks(tokens, [(("z", layer), replace)])


@mistake("02.9", says="Replace one head")
def mean_ablate_head(model, tokens, layer, head, reference):
    """All heads of the layer."""
    mean = model.run_with_cache(reference, ("z", layer))[1]["z", layer].mean(0)
    return model.run_with_hooks(tokens, [(("z", layer), lambda z, hook: mean.expand_as(z))])


@mistake("02.9", says="This is zero ablation")
def mean_ablate_head(model, tokens, layer, head, reference):
    """Solves the exercise before."""

    def silence(z, hook):
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    return model.run_with_hooks(tokens, [(("z", layer), silence)])


@mistake("02.9", says="not the mean over all of them")
def mean_ablate_head(model, tokens, layer, head, reference):
    """Resample ablation by accident."""
    first = model.run_with_cache(reference, ("z", layer))[1]["z", layer][0, :, head]

    def replace(z, hook):
        z = z.clone()
        z[:, :, head] = first
        return z

    return model.run_with_hooks(tokens, [(("z", layer), replace)])


@mistake("02.9", says="run the model on `tokens`")
def mean_ablate_head(model, tokens, layer, head, reference):
    """Exchanges the two."""
    mean = model.run_with_cache(tokens, ("z", layer))[1]["z", layer][:, :, head].mean(0)

    def replace(z, hook):
        z = z.clone()
        z[:, :, head] = mean
        return z

    return model.run_with_hooks(reference, [(("z", layer), replace)])


@mistake("02.9", says="You subtract the mean")
def mean_ablate_head(model, tokens, layer, head, reference):
    """Takes the mean away, in place of all but the mean."""
    mean = model.run_with_cache(reference, ("z", layer))[1]["z", layer][:, :, head].mean(0)

    def replace(z, hook):
        z = z.clone()
        z[:, :, head] -= mean
        return z

    return model.run_with_hooks(tokens, [(("z", layer), replace)])


@mistake("02.9", says="You average over d_head too")
def mean_ablate_head(model, tokens, layer, head, reference):
    """One axis too many."""
    mean = model.run_with_cache(reference, ("z", layer))[1]["z", layer][:, :, head].mean((0, 2))

    def replace(z, hook):
        z = z.clone()
        z[:, :, head] = mean[:, None]
        return z

    return model.run_with_hooks(tokens, [(("z", layer), replace)])


@mistake("02.9", says="as many sequences as `reference` has")
def mean_ablate_head(model, tokens, layer, head, reference):
    """Writes into the sequences of the reference's number."""
    mean = model.run_with_cache(reference, ("z", layer))[1]["z", layer][:, :, head].mean(0)

    def replace(z, hook):
        z = z.clone()
        z[: len(reference), :, head] = mean
        return z

    return model.run_with_hooks(tokens, [(("z", layer), replace)])


@right("02.9", how="on the head's result")
def mean_ablate_head(model, tokens, layer, head, reference):
    mean = model.run_with_cache(reference, ("result", layer))[1]["result", layer].mean(0)

    def replace(result, hook):
        keep = torch.arange(result.shape[2]) != head
        return torch.where(keep[:, None], result, mean)

    return model.run_with_hooks(tokens, [(("result", layer), replace)])


@right("02.9", how="one reference sequence at a time")
def mean_ablate_head(model, tokens, layer, head, reference):
    total = 0
    for row in reference:
        total = total + model.run_with_cache(row[None], ("z", layer))[1]["z", layer][0, :, head]
    mean = total / len(reference)

    def replace(z, hook):
        before, after = z[:, :, :head], z[:, :, head + 1 :]
        return torch.cat([before, mean[None, :, None].expand(z.shape[0], -1, 1, -1), after], dim=2)

    with model.hooks([(("z", layer), replace)]):
        return model(tokens)


# --- 02.10 ------------------------------------------------------------------------------------------------------------


@mistake("02.10", says="Later heads look elsewhere now")
def ablate_with_frozen_patterns(model, tokens, layer, head):
    """Plain ablation."""

    def silence(z, hook):
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    return model.run_with_hooks(tokens, [(("z", layer), silence)])


@mistake("02.10", says="Freeze the patterns of every layer")
def ablate_with_frozen_patterns(model, tokens, layer, head):
    """Freezes where nothing moves."""
    clean = model.run_with_cache(tokens, ("pattern", layer))[1]["pattern", layer]

    def silence(z, hook):
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    return model.run_with_hooks(tokens, [(("pattern", layer), lambda p, hook: clean), (("z", layer), silence)])


@mistake("02.10", says="Nothing has changed")
def ablate_with_frozen_patterns(model, tokens, layer, head):
    """Freezes, but forgets to silence."""
    _, clean = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"))
    return model.run_with_hooks(tokens, [(list(clean), lambda p, hook: clean[hook.name])])


@mistake("02.10", says="The whole layer is silent")
def ablate_with_frozen_patterns(model, tokens, layer, head):
    """Silences all heads of the layer."""
    _, clean = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"))
    freeze = (list(clean), lambda p, hook: clean[hook.name])
    return model.run_with_hooks(tokens, [freeze, (("z", layer), lambda z, hook: z * 0)])


@mistake("02.10", says="You freeze the next layer alone")
def ablate_with_frozen_patterns(model, tokens, layer, head):
    """Thinks of two layers."""
    _, clean = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"))

    def silence(z, hook):
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    later = [("pattern", layer + 1)] if layer + 1 < model.cfg.n_layers else []
    return model.run_with_hooks(tokens, [(later, lambda p, hook: clean[hook.name]), (("z", layer), silence)])


@mistake("02.10", says="You hold what later heads write")
def ablate_with_frozen_patterns(model, tokens, layer, head):
    """Freezes z, and so what is carried too."""
    _, clean = model.run_with_cache(tokens, lambda name: name.endswith("hook_z"))

    def hold(z, hook):
        z = clean[hook.name].clone()
        if hook.layer == layer:
            z[:, :, head] = 0.0
        return z

    return model.run_with_hooks(tokens, [(list(clean), hold)])


@mistake("02.10", says="Later heads look elsewhere now")
def ablate_with_frozen_patterns(model, tokens, layer, head):
    """Keeps the patterns of the run that is already broken."""

    def silence(z, hook):
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    with model.hooks([(("z", layer), silence)]):
        _, clean = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"))
        return model.run_with_hooks(tokens, [(list(clean), lambda p, hook: clean[hook.name])])


@mistake("02.10", says="Freeze those of all heads")
def ablate_with_frozen_patterns(model, tokens, layer, head):
    """Holds where the silent head looks, and no other."""
    _, clean = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"))

    def freeze(pattern, hook):
        pattern = pattern.clone()
        pattern[:, head] = clean[hook.name][:, head]
        return pattern

    def silence(z, hook):
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    return model.run_with_hooks(tokens, [(list(clean), freeze), (("z", layer), silence)])


@mistake("02.10", says="the mean of the patterns over the batch")
def ablate_with_frozen_patterns(model, tokens, layer, head):
    """One pattern for all sequences: their mean."""
    _, clean = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"))

    def freeze(pattern, hook):
        return clean[hook.name].mean(0, keepdim=True).expand_as(pattern)

    def silence(z, hook):
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    return model.run_with_hooks(tokens, [(list(clean), freeze), (("z", layer), silence)])


@mistake("02.10", says="Every sequence has the patterns of the first one")
def ablate_with_frozen_patterns(model, tokens, layer, head):
    """One pattern for all sequences: that of the first."""
    _, clean = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"))

    def freeze(pattern, hook):
        return clean[hook.name][:1].expand_as(pattern)

    def silence(z, hook):
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    return model.run_with_hooks(tokens, [(list(clean), freeze), (("z", layer), silence)])


@mistake("02.10", says="in the first sequence alone")
def ablate_with_frozen_patterns(model, tokens, layer, head):
    """Silences the head in one sequence."""
    _, clean = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"))

    def freeze(pattern, hook):
        return clean[hook.name]

    def silence(z, hook):
        z = z.clone()
        z[0, :, head] = 0.0
        return z

    return model.run_with_hooks(tokens, [(list(clean), freeze), (("z", layer), silence)])


@right("02.10", how="with nested contexts")
def ablate_with_frozen_patterns(model, tokens, layer, head):
    _, clean = model.run_with_cache(tokens)

    def silence(v, hook):
        v = v.clone()
        v[:, :, head] = 0.0
        return v

    frozen = [(("pattern", i), lambda p, hook: clean["pattern", hook.layer]) for i in range(model.cfg.n_layers)]
    with model.hooks(frozen), model.hooks([(("v", layer), silence)]):
        return model(tokens)


@right("02.10", how="on results, with patterns kept by hand")
def ablate_with_frozen_patterns(model, tokens, layer, head):
    kept = {}

    def keep(pattern, hook):
        kept[hook.name] = pattern

    model.run_with_hooks(tokens, [(lambda name: name.endswith("hook_pattern"), keep)])

    def silence(result, hook):
        mask = torch.ones(result.shape[2], 1)
        mask[head] = 0
        return result * mask

    edits = [(name, lambda p, hook: kept[hook.name]) for name in kept]
    return model.run_with_hooks(tokens, [*edits, (("result", layer), silence)])


# --- 02.11 ------------------------------------------------------------------------------------------------------------


@mistake("02.11", says="You left out embedding and unembedding")
def copying_score(W_E, W_V, W_O, W_U):
    """The circuit between residual streams, not between words."""
    values = torch.linalg.eigvals(W_O @ W_V)
    return (values.real.sum() / values.abs().sum()).item()


@mistake("02.11", says="Singular values are never negative")
def copying_score(W_E, W_V, W_O, W_U):
    """Singular values have no sign."""
    values = torch.linalg.svdvals(W_O @ W_U @ W_E @ W_V)
    return (values.sum() / values.abs().sum()).item()


@mistake("02.11", says="Take the modulus")
def copying_score(W_E, W_V, W_O, W_U):
    """Drops the imaginary parts from the denominator."""
    values = torch.linalg.eigvals(W_O @ W_U @ W_E @ W_V).real
    return (values.sum() / values.abs().sum()).item()


@mistake("02.11", says="60,000")
def copying_score(W_E, W_V, W_O, W_U):
    """Builds the square of the vocabulary."""
    values = torch.linalg.eigvals(W_E @ W_V @ W_O @ W_U)
    return (values.real.sum() / values.abs().sum()).item()


@mistake("02.11", says="must come out negative")
def copying_score(W_E, W_V, W_O, W_U):
    """Loses the sign, for a fear of complex numbers."""
    values = torch.linalg.eigvals(W_O @ W_U @ W_E @ W_V)
    return (values.sum().abs() / values.abs().sum()).item()


@mistake("02.11", says="are for symmetric matrices")
def copying_score(W_E, W_V, W_O, W_U):
    """The real eigenvalues of another matrix."""
    values = torch.linalg.eigvalsh(W_O @ W_U @ W_E @ W_V)
    return (values.sum() / values.abs().sum()).item()


@mistake("02.11", says="This is the trace")
def copying_score(W_E, W_V, W_O, W_U):
    """The sum of the eigenvalues."""
    return torch.trace(W_O @ W_U @ W_E @ W_V).item()


@mistake("02.11", says="You take the diagonal")
def copying_score(W_E, W_V, W_O, W_U):
    """How much each word raises itself, without the large table."""
    diagonal = ((W_E @ W_V) * (W_O @ W_U).T).sum(-1)
    return (diagonal.sum() / diagonal.abs().sum()).item()


@mistake("02.11", says="Weigh them by their size")
def copying_score(W_E, W_V, W_O, W_U):
    """A vote."""
    values = torch.linalg.eigvals(W_O @ W_U @ W_E @ W_V)
    return (values.real > 0).float().mean().item()


@mistake("02.11", says="divide by the number of eigenvalues")
def copying_score(W_E, W_V, W_O, W_U):
    """A mean."""
    return torch.linalg.eigvals(W_O @ W_U @ W_E @ W_V).real.mean().item()


@mistake("02.11", says="the singular values of the small matrix")
def copying_score(W_E, W_V, W_O, W_U):
    """Eigenvalues above, singular values below."""
    small = W_O @ W_U @ W_E @ W_V
    return (torch.linalg.eigvals(small).real.sum() / torch.linalg.svdvals(small).sum()).item()


@right("02.11", how="with the factors multiplied in another order, in double precision")
def copying_score(W_E, W_V, W_O, W_U):
    inner = (W_U.double() @ W_E.double()) @ (W_V.double() @ W_O.double())
    values = torch.linalg.eigvals(inner)
    return (values.sum().real / values.abs().sum()).item()


@right("02.11", how="with NumPy")
def copying_score(W_E, W_V, W_O, W_U):
    import numpy as np

    values = np.linalg.eigvals((W_O @ W_U @ W_E @ W_V).numpy())
    return float(values.real.sum() / np.abs(values).sum())


# --- 02.12 ------------------------------------------------------------------------------------------------------------


@mistake("02.12", says="The baseline is missing")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    """Reports the raw score."""
    OV, QK = (W_V @ W_O)[:, None], (W_Q @ W_K.mT)[None]
    norm = torch.linalg.matrix_norm
    return norm(OV @ QK.mT) / (norm(OV) * norm(QK))


@mistake("02.12", says="This is Q-composition")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    """Forgets the transpose: the published formula is in column vectors."""

    def score(V, O, Q, K):
        OV, QK = V @ O, Q @ K.mT
        norm = torch.linalg.matrix_norm
        return norm(OV @ QK) / (norm(OV) * norm(QK))

    d_model, d_head = W_V.shape[-2:]
    V, O, Q, K = (torch.randn(2000, d_model, d_head) for _ in range(4))
    return score(W_V[:, None], W_O[:, None], W_Q[None], W_K[None]) - score(V, O.mT, Q, K).mean()


@mistake("02.12", says="The division by the two norms is missing")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    """Large heads win."""
    norm = torch.linalg.matrix_norm
    d_model, d_head = W_V.shape[-2:]
    V, O, Q, K = (torch.randn(2000, d_model, d_head) for _ in range(4))
    OV, QK = V @ O.mT, Q @ K.mT
    chance = (norm(OV @ QK.mT) / (norm(OV) * norm(QK))).mean()
    OV, QK = (W_V @ W_O)[:, None], (W_Q @ W_K.mT)[None]
    return norm(OV @ QK.mT) - chance


@mistake("02.12", says="The product is the wrong way round")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    """Column vectors and row vectors mixed up."""

    def score(V, O, Q, K):
        OV, QK = V @ O, Q @ K.mT
        norm = torch.linalg.matrix_norm
        return norm(QK.mT @ OV) / (norm(OV) * norm(QK))

    d_model, d_head = W_V.shape[-2:]
    V, O, Q, K = (torch.randn(2000, d_model, d_head) for _ in range(4))
    return score(W_V[:, None], W_O[:, None], W_Q[None], W_K[None]) - score(V, O.mT, Q, K).mean()


@mistake("02.12", says="Subtract it")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    """Adds the baseline."""

    def score(V, O, Q, K):
        OV, QK = V @ O, Q @ K.mT
        norm = torch.linalg.matrix_norm
        return norm(OV @ QK.mT) / (norm(OV) * norm(QK))

    d_model, d_head = W_V.shape[-2:]
    V, O, Q, K = (torch.randn(2000, d_model, d_head) for _ in range(4))
    return score(W_V[:, None], W_O[:, None], W_Q[None], W_K[None]) + score(V, O.mT, Q, K).mean()


@mistake("02.12", says="matrices of full rank")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    """Random matrices in the shape of the products."""
    norm = torch.linalg.matrix_norm
    OV, QK = W_V @ W_O, W_Q @ W_K.mT
    d = W_V.shape[1]
    A, B = torch.randn(samples, d, d), torch.randn(samples, d, d)
    chance = (norm(A @ B.mT) / norm(A) / norm(B)).mean()
    return norm(OV[:, None] @ QK[None].mT) / (norm(OV)[:, None] * norm(QK)[None]) - chance


@mistake("02.12", says="torch.rand gives numbers between 0 and 1")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    """Another random."""
    norm = torch.linalg.matrix_norm

    def score(V, O, Q, K):
        OV, QK = V @ O, Q @ K.mT
        return norm(OV @ QK.mT) / (norm(OV) * norm(QK))

    d_model, d_head = W_V.shape[-2:]
    V, O, Q, K = (torch.rand(samples, d_model, d_head) for _ in range(4))
    return score(W_V[:, None], W_O[:, None], W_Q[None], W_K[None]) - score(V, O.mT, Q, K).mean()


@mistake("02.12", says="This is the spectral norm")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    """ord=2 is not the root of a sum of squares."""

    def norm(matrix):
        return torch.linalg.matrix_norm(matrix, ord=2)

    def score(V, O, Q, K):
        OV, QK = V @ O, Q @ K.mT
        return norm(OV @ QK.mT) / (norm(OV) * norm(QK))

    d_model, d_head = W_V.shape[-2:]
    V, O, Q, K = (torch.randn(samples, d_model, d_head) for _ in range(4))
    return score(W_V[:, None], W_O[:, None], W_Q[None], W_K[None]) - score(V, O.mT, Q, K).mean()


@mistake("02.12", says="`samples` is not used")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    """Always the same number of samples."""
    norm = torch.linalg.matrix_norm

    def score(V, O, Q, K):
        OV, QK = V @ O, Q @ K.mT
        return norm(OV @ QK.mT) / (norm(OV) * norm(QK))

    d_model, d_head = W_V.shape[-2:]
    V, O, Q, K = (torch.randn(5000, d_model, d_head) for _ in range(4))
    return score(W_V[:, None], W_O[:, None], W_Q[None], W_K[None]) - score(V, O.mT, Q, K).mean()


@mistake("02.12", says="You divide by the baseline")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    """A ratio to chance."""
    norm = torch.linalg.matrix_norm

    def score(V, O, Q, K):
        OV, QK = V @ O, Q @ K.mT
        return norm(OV @ QK.mT) / (norm(OV) * norm(QK))

    d_model, d_head = W_V.shape[-2:]
    V, O, Q, K = (torch.randn(5000, d_model, d_head) for _ in range(4))
    return score(W_V[:, None], W_O[:, None], W_Q[None], W_K[None]) / score(V, O.mT, Q, K).mean()


@mistake("02.12", says="You subtract the mean over the pairs that you were given")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    """Takes the mean of the pairs for chance."""

    def score(W_V, W_O, W_Q, W_K):
        OV, QK = W_V @ W_O, W_Q @ W_K.mT
        norm = torch.linalg.matrix_norm
        return norm(OV @ QK.mT) / (norm(OV) * norm(QK))

    pairs = score(W_V[:, None], W_O[:, None], W_Q[None], W_K[None])
    return pairs - pairs.mean()


@mistake("02.12", says="Do your random matrices have the shapes")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    """Types in the shapes of the bundled model's heads."""

    def score(W_V, W_O, W_Q, W_K):
        OV, QK = W_V @ W_O, W_Q @ W_K.mT
        norm = torch.linalg.matrix_norm
        return norm(OV @ QK.mT) / (norm(OV) * norm(QK))

    pairs = score(W_V[:, None], W_O[:, None], W_Q[None], W_K[None])
    V, out, Q, K = (torch.randn(100, 96, 48, generator=torch.Generator().manual_seed(i)) for i in range(4))
    return pairs - score(V, out.mT, Q, K).mean()


@mistake("02.12", says="not one pair")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    """Takes one random pair for chance."""

    def score(W_V, W_O, W_Q, W_K):
        OV, QK = W_V @ W_O, W_Q @ W_K.mT
        norm = torch.linalg.matrix_norm
        return norm(OV @ QK.mT) / (norm(OV) * norm(QK))

    pairs = score(W_V[:, None], W_O[:, None], W_Q[None], W_K[None])
    V, out, Q, K = (torch.randn(W_V.shape[1:], generator=torch.Generator().manual_seed(40 + i)) for i in range(4))
    return pairs - score(V, out.mT, Q, K)


@right("02.12", how="with a loop over pairs, in double precision")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    def score(V, O, Q, K):
        OV, QK = (V @ O).double(), (Q @ K.T).double()
        return ((OV @ QK.T).norm() / (OV.norm() * QK.norm())).item()

    d_model, d_head = W_V.shape[-2:]

    def random():
        return torch.randn(d_model, d_head)

    chance = sum(score(random(), random().T, random(), random()) for _ in range(samples)) / samples
    return [[score(V, O, Q, K) - chance for Q, K in zip(W_Q, W_K)] for V, O in zip(W_V, W_O)]


@right("02.12", how="with einsum over the whole product, in double precision")
def composition_above_chance(W_V, W_O, W_Q, W_K, samples=300):
    def score(OV, QK, pairs):
        product = torch.einsum(pairs, OV, QK)
        size = product.pow(2).sum((-1, -2)).sqrt()
        sizes = [m.pow(2).sum((1, 2)).sqrt() for m in (OV, QK)]
        return size / (sizes[0][:, None] * sizes[1][None] if "j" in pairs else sizes[0] * sizes[1])

    d_model, d_head = W_V.shape[-2:]
    V, O, Q, K = (torch.randn(samples, d_model, d_head).double() for _ in range(4))
    chance = score(V @ O.mT, Q @ K.mT, "iab,icb->iac").mean()
    OV, QK = W_V.double() @ W_O.double(), W_Q.double() @ W_K.double().mT
    return score(OV, QK, "iab,jcb->ijac") - chance


# --- 02.13 ------------------------------------------------------------------------------------------------------------


@mistake("02.13", says="but your code found")
def find_circuit(checkpoints, tokens, second):
    """Types in what the lesson says of the trained model."""
    loss = loss_per_token(checkpoints[-1][1](tokens), tokens)[second[:, 1:]].mean().item()
    return {
        "previous_token_heads": [(0, 0)],
        "induction_heads": [(1, 0), (1, 1)],
        "formed_at": checkpoints[0][0],
        "loss": loss,
        "loss_without": loss,
    }


@mistake("02.13", says="layer and head are exchanged")
class section:
    def find_circuit(checkpoints, tokens, second):
        """Writes (head, layer)."""
        right = _find(checkpoints, tokens, second)
        for key in ("previous_token_heads", "induction_heads"):
            right[key] = [(head, layer) for layer, head in right[key]]
        return right

    def _find(checkpoints, tokens, second):
        previous = previous_occurrence(tokens)

        def heads(model, score, first):
            return [
                (layer, head)
                for layer in range(first, model.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(model, tokens, layer)))
                if value >= 0.5
            ]

        final = checkpoints[-1][1]
        return {
            "previous_token_heads": heads(final, previous_token_score, 0),
            "induction_heads": heads(final, lambda p: prefix_matching_score(p, previous), 1),
            "formed_at": None,
            "loss": 0.0,
            "loss_without": 0.0,
        }


@mistake("02.13", says="not the number of a checkpoint")
class section:
    def find_circuit(checkpoints, tokens, second):
        """Returns an index."""
        previous = previous_occurrence(tokens)

        def heads(model, score, first):
            return [
                (layer, head)
                for layer in range(first, model.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(model, tokens, layer)))
                if value >= 0.5
            ]

        def induction(model):
            return heads(model, lambda p: prefix_matching_score(p, previous), 1)

        final = checkpoints[-1][1]
        return {
            "previous_token_heads": heads(final, previous_token_score, 0),
            "induction_heads": induction(final),
            "formed_at": next((i for i, (_, model) in enumerate(checkpoints) if induction(model)), None),
            "loss": loss_per_token(final(tokens), tokens)[second[:, 1:]].mean().item(),
            "loss_without": 0.0,
        }


@mistake("02.13", says="nothing was silenced")
class section:
    def find_circuit(checkpoints, tokens, second):
        """The edit is made for layers that are never reached: hook.layer is compared with a head."""
        previous = previous_occurrence(tokens)

        def heads(model, score, first):
            return [
                (layer, head)
                for layer in range(first, model.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(model, tokens, layer)))
                if value >= 0.5
            ]

        def induction(model):
            return heads(model, lambda p: prefix_matching_score(p, previous), 1)

        final = checkpoints[-1][1]
        loss = loss_per_token(final(tokens), tokens)[second[:, 1:]].mean().item()
        return {
            "previous_token_heads": heads(final, previous_token_score, 0),
            "induction_heads": induction(final),
            "formed_at": next((step for step, model in checkpoints if induction(model)), None),
            "loss": loss,
            "loss_without": loss,
        }


@mistake("02.13", says="Count those in later copies alone")
class section:
    def find_circuit(checkpoints, tokens, second):
        """The mean over everything."""
        previous = previous_occurrence(tokens)

        def heads(model, score, first):
            return [
                (layer, head)
                for layer in range(first, model.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(model, tokens, layer)))
                if value >= 0.5
            ]

        def induction(model):
            return heads(model, lambda p: prefix_matching_score(p, previous), 1)

        final = checkpoints[-1][1]
        return {
            "previous_token_heads": heads(final, previous_token_score, 0),
            "induction_heads": induction(final),
            "formed_at": next((step for step, model in checkpoints if induction(model)), None),
            "loss": loss_per_token(final(tokens), tokens).mean().item(),
            "loss_without": 0.0,
        }


@mistake("02.13", says="which cannot hold an induction head")
class section:
    def find_circuit(checkpoints, tokens, second):
        """Every layer may hold one."""
        previous = previous_occurrence(tokens)
        final = checkpoints[-1][1]

        def above(score):
            return [
                (layer, head)
                for layer in range(final.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(final, tokens, layer)))
                if value >= 0.5
            ]

        return {
            "previous_token_heads": above(previous_token_score),
            "induction_heads": above(lambda p: prefix_matching_score(p, previous)),
            "formed_at": None,
            "loss": 0.0,
            "loss_without": 0.0,
        }


@mistake("02.13", says="in layer 0 alone")
class section:
    def find_circuit(checkpoints, tokens, second):
        """A previous-token head belongs to layer 0, the lesson says."""
        previous = previous_occurrence(tokens)
        final = checkpoints[-1][1]
        score = previous_token_score(attention_pattern(final, tokens, 0))
        found = [
            (layer, head)
            for layer in range(1, final.cfg.n_layers)
            for head, value in enumerate(prefix_matching_score(attention_pattern(final, tokens, layer), previous))
            if value >= 0.5
        ]
        return {
            "previous_token_heads": [(0, int(head)) for head in (score >= 0.5).nonzero()],
            "induction_heads": found,
            "formed_at": None,
            "loss": 0.0,
            "loss_without": 0.0,
        }


@mistake("02.13", says="four heads in each layer")
class section:
    def find_circuit(checkpoints, tokens, second):
        """Four heads are built in."""
        previous = previous_occurrence(tokens)
        final = checkpoints[-1][1]

        def above(score, first):
            return [
                (layer, head)
                for layer in range(first, final.cfg.n_layers)
                for head in range(4)
                if score(attention_pattern(final, tokens, layer))[head] >= 0.5
            ]

        return {
            "previous_token_heads": above(previous_token_score, 0),
            "induction_heads": above(lambda p: prefix_matching_score(p, previous), 1),
            "formed_at": None,
            "loss": 0.0,
            "loss_without": 0.0,
        }


@mistake("02.13", says="A score of exactly 0.5 counts too")
class section:
    def find_circuit(checkpoints, tokens, second):
        """> for at least."""
        previous = previous_occurrence(tokens)
        final = checkpoints[-1][1]

        def above(model, score, first):
            return [
                (layer, head)
                for layer in range(first, model.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(model, tokens, layer)))
                if value > 0.5
            ]

        def induction(model):
            return above(model, lambda p: prefix_matching_score(p, previous), 1)

        def silence(z, hook):
            z = z.clone()
            for layer, head in induction_heads:
                if layer == hook.layer:
                    z[:, :, head] = 0.0
            return z

        def mean(logits):
            return loss_per_token(logits, tokens)[second[:, 1:]].mean().item()

        induction_heads = induction(final)
        sites = [("z", layer) for layer in range(final.cfg.n_layers)]
        return {
            "previous_token_heads": above(final, previous_token_score, 0),
            "induction_heads": induction_heads,
            "formed_at": next((step for step, model in checkpoints if induction(model)), None),
            "loss": mean(final(tokens)),
            "loss_without": mean(final.run_with_hooks(tokens, [(sites, silence)])),
        }


@mistake("02.13", says="went away again")
class section:
    def find_circuit(checkpoints, tokens, second):
        """Walks back from the end, as long as there is a head."""
        previous = previous_occurrence(tokens)
        final = checkpoints[-1][1]

        def above(model, score, first):
            return [
                (layer, head)
                for layer in range(first, model.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(model, tokens, layer)))
                if value >= 0.5
            ]

        def induction(model):
            return above(model, lambda p: prefix_matching_score(p, previous), 1)

        def silence(z, hook):
            z = z.clone()
            for layer, head in found:
                if layer == hook.layer:
                    z[:, :, head] = 0.0
            return z

        def mean(logits):
            return loss_per_token(logits, tokens)[second[:, 1:]].mean().item()

        found = induction(final)
        formed = None
        for step, model in reversed(checkpoints):
            if not induction(model):
                break
            formed = step
        sites = [("z", layer) for layer in range(final.cfg.n_layers)]
        return {
            "previous_token_heads": above(final, previous_token_score, 0),
            "induction_heads": found,
            "formed_at": formed,
            "loss": mean(final(tokens)),
            "loss_without": mean(final.run_with_hooks(tokens, [(sites, silence)])),
        }


@mistake("02.13", says="whether or not it lasts")
class section:
    def find_circuit(checkpoints, tokens, second):
        """Counts a head only if the finished model has it too."""
        previous = previous_occurrence(tokens)
        final = checkpoints[-1][1]

        def above(model, score, first):
            return [
                (layer, head)
                for layer in range(first, model.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(model, tokens, layer)))
                if value >= 0.5
            ]

        def induction(model):
            return above(model, lambda p: prefix_matching_score(p, previous), 1)

        def make(head):
            def silence(z, hook):
                z = z.clone()
                z[:, :, head] = 0.0
                return z

            return silence

        def mean(logits):
            loss = loss_per_token(logits, tokens)
            mask = second[:, 1:]
            return loss[mask].mean().item()

        found = induction(final)
        there = [step for step, model in checkpoints if set(induction(model)) & set(found)]
        edits = [(("z", layer), make(head)) for layer, head in found]
        return {
            "previous_token_heads": above(final, previous_token_score, 0),
            "induction_heads": found,
            "formed_at": there[0] if there else None,
            "loss": mean(final(tokens)),
            "loss_without": mean(final.run_with_hooks(tokens, edits)),
        }


@mistake("02.13", says="only one was silenced, the last")
class section:
    def find_circuit(checkpoints, tokens, second):
        """A dict of edits keeps one for each layer."""
        previous = previous_occurrence(tokens)
        final = checkpoints[-1][1]

        def above(model, score, first):
            return [
                (layer, head)
                for layer in range(first, model.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(model, tokens, layer)))
                if value >= 0.5
            ]

        def induction(model):
            return above(model, lambda p: prefix_matching_score(p, previous), 1)

        def make(head):
            def silence(z, hook):
                z = z.clone()
                z[:, :, head] = 0.0
                return z

            return silence

        def mean(logits):
            loss = loss_per_token(logits, tokens)
            mask = second[:, 1:]
            return loss[mask].mean().item()

        found = induction(final)
        there = [step for step, model in checkpoints if induction(model)]
        edits = list({("z", layer): make(head) for layer, head in found}.items())
        return {
            "previous_token_heads": above(final, previous_token_score, 0),
            "induction_heads": found,
            "formed_at": there[0] if there else None,
            "loss": mean(final(tokens)),
            "loss_without": mean(final.run_with_hooks(tokens, edits)),
        }


@mistake("02.13", says="sees the loop's last head")
class section:
    def find_circuit(checkpoints, tokens, second):
        """Every edit silences the head that the loop ended with."""
        previous = previous_occurrence(tokens)
        final = checkpoints[-1][1]

        def above(model, score, first):
            return [
                (layer, head)
                for layer in range(first, model.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(model, tokens, layer)))
                if value >= 0.5
            ]

        def induction(model):
            return above(model, lambda p: prefix_matching_score(p, previous), 1)

        def make(head):
            def silence(z, hook):
                z = z.clone()
                z[:, :, head] = 0.0
                return z

            return silence

        def mean(logits):
            loss = loss_per_token(logits, tokens)
            mask = second[:, 1:]
            return loss[mask].mean().item()

        found = induction(final)
        there = [step for step, model in checkpoints if induction(model)]

        edits = []
        for layer, head in found:

            def silence(z, hook):
                z = z.clone()
                z[:, :, head] = 0.0  # noqa: B023 (the mistake)
                return z

            edits.append((("z", layer), silence))
        return {
            "previous_token_heads": above(final, previous_token_score, 0),
            "induction_heads": found,
            "formed_at": there[0] if there else None,
            "loss": mean(final(tokens)),
            "loss_without": mean(final.run_with_hooks(tokens, edits)),
        }


@mistake("02.13", says="You score the tokens of later copies alone")
class section:
    def find_circuit(checkpoints, tokens, second):
        """Scores heads where the mask says second."""
        previous = previous_occurrence(tokens)
        final = checkpoints[-1][1]

        def above(model, score, first):
            return [
                (layer, head)
                for layer in range(first, model.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(model, tokens, layer)))
                if value >= 0.5
            ]

        def induction(model):
            return above(model, lambda p: prefix_matching_score(p, torch.where(second, previous, -1)), 1)

        def make(head):
            def silence(z, hook):
                z = z.clone()
                z[:, :, head] = 0.0
                return z

            return silence

        def mean(logits):
            loss = loss_per_token(logits, tokens)
            mask = second[:, 1:]
            return loss[mask].mean().item()

        found = induction(final)
        there = [step for step, model in checkpoints if induction(model)]
        edits = [(("z", layer), make(head)) for layer, head in found]
        return {
            "previous_token_heads": above(final, previous_token_score, 0),
            "induction_heads": found,
            "formed_at": there[0] if there else None,
            "loss": mean(final(tokens)),
            "loss_without": mean(final.run_with_hooks(tokens, edits)),
        }


@mistake("02.13", says="You average each sequence first")
class section:
    def find_circuit(checkpoints, tokens, second):
        """A mean of means."""
        previous = previous_occurrence(tokens)
        final = checkpoints[-1][1]

        def above(model, score, first):
            return [
                (layer, head)
                for layer in range(first, model.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(model, tokens, layer)))
                if value >= 0.5
            ]

        def induction(model):
            return above(model, lambda p: prefix_matching_score(p, previous), 1)

        def make(head):
            def silence(z, hook):
                z = z.clone()
                z[:, :, head] = 0.0
                return z

            return silence

        def mean(logits):
            loss = loss_per_token(logits, tokens)
            mask = second[:, 1:]
            return ((loss * mask).sum(1) / mask.sum(1)).mean().item()

        found = induction(final)
        there = [step for step, model in checkpoints if induction(model)]
        edits = [(("z", layer), make(head)) for layer, head in found]
        return {
            "previous_token_heads": above(final, previous_token_score, 0),
            "induction_heads": found,
            "formed_at": there[0] if there else None,
            "loss": mean(final(tokens)),
            "loss_without": mean(final.run_with_hooks(tokens, edits)),
        }


@mistake("02.13", says="the first sequence alone")
class section:
    def find_circuit(checkpoints, tokens, second):
        """The loss of one sequence."""
        previous = previous_occurrence(tokens)
        final = checkpoints[-1][1]

        def above(model, score, first):
            return [
                (layer, head)
                for layer in range(first, model.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(model, tokens, layer)))
                if value >= 0.5
            ]

        def induction(model):
            return above(model, lambda p: prefix_matching_score(p, previous), 1)

        def make(head):
            def silence(z, hook):
                z = z.clone()
                z[:, :, head] = 0.0
                return z

            return silence

        def mean(logits):
            loss = loss_per_token(logits, tokens)
            mask = second[:, 1:]
            return loss[0][mask[0]].mean().item()

        found = induction(final)
        there = [step for step, model in checkpoints if induction(model)]
        edits = [(("z", layer), make(head)) for layer, head in found]
        return {
            "previous_token_heads": above(final, previous_token_score, 0),
            "induction_heads": found,
            "formed_at": there[0] if there else None,
            "loss": mean(final(tokens)),
            "loss_without": mean(final.run_with_hooks(tokens, edits)),
        }


@mistake("02.13", says="The previous-token heads are silent too")
class section:
    def find_circuit(checkpoints, tokens, second):
        """Silences the whole circuit."""
        previous = previous_occurrence(tokens)
        final = checkpoints[-1][1]

        def above(model, score, first):
            return [
                (layer, head)
                for layer in range(first, model.cfg.n_layers)
                for head, value in enumerate(score(attention_pattern(model, tokens, layer)))
                if value >= 0.5
            ]

        def induction(model):
            return above(model, lambda p: prefix_matching_score(p, previous), 1)

        def make(head):
            def silence(z, hook):
                z = z.clone()
                z[:, :, head] = 0.0
                return z

            return silence

        def mean(logits):
            loss = loss_per_token(logits, tokens)
            mask = second[:, 1:]
            return loss[mask].mean().item()

        found = induction(final)
        there = [step for step, model in checkpoints if induction(model)]
        silent = {*found, *above(final, previous_token_score, 0)}
        edits = [(("z", layer), make(head)) for layer, head in sorted(silent)]
        return {
            "previous_token_heads": above(final, previous_token_score, 0),
            "induction_heads": found,
            "formed_at": there[0] if there else None,
            "loss": mean(final(tokens)),
            "loss_without": mean(final.run_with_hooks(tokens, edits)),
        }


@right("02.13", how="with contexts, one for each head")
class section:
    from contextlib import ExitStack

    def find_circuit(checkpoints, tokens, second):
        previous = previous_occurrence(tokens)
        counts = second[:, 1:]

        def induction(model):
            found = []
            for layer in range(1, model.cfg.n_layers):
                score = prefix_matching_score(attention_pattern(model, tokens, layer), previous)
                found += [(layer, int(head)) for head in (score >= 0.5).nonzero().flatten()]
            return found

        def quiet(head):
            def edit(z, hook):
                z = z.clone()
                z[:, :, head] = 0
                return z

            return edit

        steps = [step for step, model in checkpoints if induction(model)]
        model = checkpoints[-1][1]
        heads = induction(model)
        whole = loss_per_token(model(tokens), tokens)
        with ExitStack() as stack:
            for layer, head in heads:
                stack.enter_context(model.hooks([(("z", layer), quiet(head))]))
            without = loss_per_token(model(tokens), tokens)
        back = []
        for layer in range(model.cfg.n_layers):
            score = previous_token_score(attention_pattern(model, tokens, layer))
            back += [[layer, int(head)] for head in (score >= 0.5).nonzero().flatten()]
        return {
            "previous_token_heads": back,
            "induction_heads": heads,
            "formed_at": min(steps) if steps else None,
            "loss": whole[counts].mean(),
            "loss_without": without[counts].mean(),
        }


@right("02.13", how="with all patterns in one run, and in double precision")
class section:
    def find_circuit(checkpoints, tokens, second):
        previous = previous_occurrence(tokens)

        def scores(model):
            _, cache = model.run_with_cache(tokens, lambda name: name.endswith("pattern"))
            patterns = [cache["pattern", layer].double() for layer in range(model.cfg.n_layers)]
            back = {(i, h): float(s) for i, p in enumerate(patterns) for h, s in enumerate(previous_token_score(p))}
            match = {
                (i, h): float(s)
                for i, p in enumerate(patterns)
                for h, s in enumerate(prefix_matching_score(p, previous))
                if i > 0
            }
            return back, match

        model = checkpoints[-1][1]
        back, match = scores(model)
        heads = sorted(head for head, score in match.items() if score >= 0.5)

        def silence(z, hook):
            mask = torch.tensor([(hook.layer, h) not in heads for h in range(z.shape[2])])
            return z * mask[:, None]

        def mean(logits):
            return float(loss_per_token(logits.double(), tokens)[second[:, 1:]].mean())

        formed = None
        for step, checkpoint in checkpoints:
            if max([*scores(checkpoint)[1].values(), 0.0]) >= 0.5:
                formed = step
                break
        return {
            "previous_token_heads": [head for head, score in back.items() if score >= 0.5],
            "induction_heads": heads,
            "formed_at": formed,
            "loss": mean(model(tokens)),
            "loss_without": mean(model.run_with_hooks(tokens, [(lambda name: name.endswith("hook_z"), silence)])),
        }


# --- 02.14 ------------------------------------------------------------------------------------------------------------


@mistake("02.14", says="looks at its own position")
class section:
    def write_induction_head(config):
        """Forgets the step back in layer 0."""
        return build(config, shift=0)

    def build(config, shift=1, sharp=60.0, read=1, out=2, write=20.0):
        V, n, d, h = config.d_vocab, config.n_ctx, config.d_model, config.d_head
        rooms = [slice(i * V, (i + 1) * V) for i in range(3)]
        place = slice(3 * V, 3 * V + n)
        weights = {"W_E": torch.zeros(V, d), "W_pos": torch.zeros(n, d), "W_U": torch.zeros(d, V)}
        for layer in range(2):
            for name in "QKV":
                weights[f"blocks.{layer}.attn.W_{name}"] = torch.zeros(1, d, h)
            weights[f"blocks.{layer}.attn.W_O"] = torch.zeros(1, h, d)
        weights["W_E"][:, rooms[0]] = torch.eye(V)
        weights["W_pos"][:, place] = torch.eye(n)
        weights["W_U"][rooms[out]] = torch.eye(V)
        scale = sharp * math.sqrt(h)
        weights["blocks.0.attn.W_Q"][0, place, :n] = scale * torch.eye(n).roll(-shift, 1)
        weights["blocks.0.attn.W_K"][0, place, :n] = torch.eye(n)
        weights["blocks.0.attn.W_V"][0, rooms[0], :V] = torch.eye(V)
        weights["blocks.0.attn.W_O"][0, :V, rooms[1]] = torch.eye(V)
        weights["blocks.1.attn.W_Q"][0, rooms[0], :V] = scale * torch.eye(V)
        weights["blocks.1.attn.W_K"][0, rooms[read], :V] = torch.eye(V)
        weights["blocks.1.attn.W_V"][0, rooms[0], :V] = torch.eye(V)
        weights["blocks.1.attn.W_O"][0, :V, rooms[2]] = write * torch.eye(V)
        return weights


@mistake("02.14", says="where the present word itself stands")
class section:
    def write_induction_head(config):
        """The keys of layer 1 read the present word, not the note about the word before: a duplicate-token head."""
        V, n, d, h = config.d_vocab, config.n_ctx, config.d_model, config.d_head
        token, note, out, place = slice(0, V), slice(V, 2 * V), slice(2 * V, 3 * V), slice(3 * V, 3 * V + n)
        w = {"W_E": torch.zeros(V, d), "W_pos": torch.zeros(n, d), "W_U": torch.zeros(d, V)}
        for layer in (0, 1):
            w |= {f"blocks.{layer}.attn.W_{x}": torch.zeros(1, d, h) for x in "QKV"}
            w[f"blocks.{layer}.attn.W_O"] = torch.zeros(1, h, d)
        w["W_E"][:, token], w["W_pos"][:, place], w["W_U"][out] = torch.eye(V), torch.eye(n), torch.eye(V)
        w["blocks.0.attn.W_Q"][0, place, :n] = 60 * math.sqrt(h) * torch.eye(n).roll(-1, 1)
        w["blocks.0.attn.W_K"][0, place, :n] = torch.eye(n)
        w["blocks.0.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.0.attn.W_O"][0, :V, note] = torch.eye(V)
        w["blocks.1.attn.W_Q"][0, token, :V] = 60 * math.sqrt(h) * torch.eye(V)
        w["blocks.1.attn.W_K"][0, token, :V] = torch.eye(V)
        w["blocks.1.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.1.attn.W_O"][0, :V, out] = 20 * torch.eye(V)
        return w


@mistake("02.14", says="too small for a sharp")
class section:
    def write_induction_head(config):
        """Right in shape, but the softmax stays soft."""
        V, n, d, h = config.d_vocab, config.n_ctx, config.d_model, config.d_head
        token, note, out, place = slice(0, V), slice(V, 2 * V), slice(2 * V, 3 * V), slice(3 * V, 3 * V + n)
        w = {"W_E": torch.zeros(V, d), "W_pos": torch.zeros(n, d), "W_U": torch.zeros(d, V)}
        for layer in (0, 1):
            w |= {f"blocks.{layer}.attn.W_{x}": torch.zeros(1, d, h) for x in "QKV"}
            w[f"blocks.{layer}.attn.W_O"] = torch.zeros(1, h, d)
        w["W_E"][:, token], w["W_pos"][:, place], w["W_U"][out] = torch.eye(V), torch.eye(n), torch.eye(V)
        w["blocks.0.attn.W_Q"][0, place, :n] = 2 * math.sqrt(h) * torch.eye(n).roll(-1, 1)
        w["blocks.0.attn.W_K"][0, place, :n] = torch.eye(n)
        w["blocks.0.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.0.attn.W_O"][0, :V, note] = torch.eye(V)
        w["blocks.1.attn.W_Q"][0, token, :V] = 2 * math.sqrt(h) * torch.eye(V)
        w["blocks.1.attn.W_K"][0, note, :V] = torch.eye(V)
        w["blocks.1.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.1.attn.W_O"][0, :V, out] = 20 * torch.eye(V)
        return w


@mistake("02.14", says="predicts the present word again")
class section:
    def write_induction_head(config):
        """W_U reads the room of the embedding: the present word drowns the guess."""
        V, n, d, h = config.d_vocab, config.n_ctx, config.d_model, config.d_head
        token, note, place = slice(0, V), slice(V, 2 * V), slice(3 * V, 3 * V + n)
        w = {"W_E": torch.zeros(V, d), "W_pos": torch.zeros(n, d), "W_U": torch.zeros(d, V)}
        for layer in (0, 1):
            w |= {f"blocks.{layer}.attn.W_{x}": torch.zeros(1, d, h) for x in "QKV"}
            w[f"blocks.{layer}.attn.W_O"] = torch.zeros(1, h, d)
        w["W_E"][:, token], w["W_pos"][:, place], w["W_U"][token] = torch.eye(V), torch.eye(n), 20 * torch.eye(V)
        w["blocks.0.attn.W_Q"][0, place, :n] = 60 * math.sqrt(h) * torch.eye(n).roll(-1, 1)
        w["blocks.0.attn.W_K"][0, place, :n] = torch.eye(n)
        w["blocks.0.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.0.attn.W_O"][0, :V, note] = torch.eye(V)
        w["blocks.1.attn.W_Q"][0, token, :V] = 60 * math.sqrt(h) * torch.eye(V)
        w["blocks.1.attn.W_K"][0, note, :V] = torch.eye(V)
        w["blocks.1.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.1.attn.W_O"][0, :V, token] = 0.5 * torch.eye(V)
        return w


@mistake("02.14", says="Make what layer 1 writes larger")
class section:
    def write_induction_head(config):
        """The right guess, whispered."""
        V, n, d, h = config.d_vocab, config.n_ctx, config.d_model, config.d_head
        token, note, out, place = slice(0, V), slice(V, 2 * V), slice(2 * V, 3 * V), slice(3 * V, 3 * V + n)
        w = {"W_E": torch.zeros(V, d), "W_pos": torch.zeros(n, d), "W_U": torch.zeros(d, V)}
        for layer in (0, 1):
            w |= {f"blocks.{layer}.attn.W_{x}": torch.zeros(1, d, h) for x in "QKV"}
            w[f"blocks.{layer}.attn.W_O"] = torch.zeros(1, h, d)
        w["W_E"][:, token], w["W_pos"][:, place], w["W_U"][out] = torch.eye(V), torch.eye(n), torch.eye(V)
        w["blocks.0.attn.W_Q"][0, place, :n] = 60 * math.sqrt(h) * torch.eye(n).roll(-1, 1)
        w["blocks.0.attn.W_K"][0, place, :n] = torch.eye(n)
        w["blocks.0.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.0.attn.W_O"][0, :V, note] = torch.eye(V)
        w["blocks.1.attn.W_Q"][0, token, :V] = 60 * math.sqrt(h) * torch.eye(V)
        w["blocks.1.attn.W_K"][0, note, :V] = torch.eye(V)
        w["blocks.1.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.1.attn.W_O"][0, :V, out] = torch.eye(V)
        return w


@mistake("02.14", says="looks two places back")
class section:
    def write_induction_head(config):
        """Counts the step twice, in the queries and in the keys."""
        V, n, d, h = config.d_vocab, config.n_ctx, config.d_model, config.d_head
        token, note, out, place = slice(0, V), slice(V, 2 * V), slice(2 * V, 3 * V), slice(3 * V, 3 * V + n)
        w = {"W_E": torch.zeros(V, d), "W_pos": torch.zeros(n, d), "W_U": torch.zeros(d, V)}
        for layer in (0, 1):
            w |= {f"blocks.{layer}.attn.W_{x}": torch.zeros(1, d, h) for x in "QKV"}
            w[f"blocks.{layer}.attn.W_O"] = torch.zeros(1, h, d)
        w["W_E"][:, token], w["W_pos"][:, place], w["W_U"][out] = torch.eye(V), torch.eye(n), torch.eye(V)
        w["blocks.0.attn.W_Q"][0, place, :n] = 60 * math.sqrt(h) * torch.eye(n).roll(-1, 1)
        w["blocks.0.attn.W_K"][0, place, :n] = torch.eye(n).roll(1, 1)
        w["blocks.0.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.0.attn.W_O"][0, :V, note] = torch.eye(V)
        w["blocks.1.attn.W_Q"][0, token, :V] = 60 * math.sqrt(h) * torch.eye(V)
        w["blocks.1.attn.W_K"][0, note, :V] = torch.eye(V)
        w["blocks.1.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.1.attn.W_O"][0, :V, out] = 20 * torch.eye(V)
        return w


@mistake("02.14", says="no key there reads it")
class section:
    def write_induction_head(config):
        """Layer 0 writes its notes into the third room, and layer 1 looks for them in the second."""
        V, n, d, h = config.d_vocab, config.n_ctx, config.d_model, config.d_head
        token, note, out, place = slice(0, V), slice(V, 2 * V), slice(2 * V, 3 * V), slice(3 * V, 3 * V + n)
        w = {"W_E": torch.zeros(V, d), "W_pos": torch.zeros(n, d), "W_U": torch.zeros(d, V)}
        for layer in (0, 1):
            w |= {f"blocks.{layer}.attn.W_{x}": torch.zeros(1, d, h) for x in "QKV"}
            w[f"blocks.{layer}.attn.W_O"] = torch.zeros(1, h, d)
        w["W_E"][:, token], w["W_pos"][:, place], w["W_U"][out] = torch.eye(V), torch.eye(n), torch.eye(V)
        w["blocks.0.attn.W_Q"][0, place, :n] = 60 * math.sqrt(h) * torch.eye(n).roll(-1, 1)
        w["blocks.0.attn.W_K"][0, place, :n] = torch.eye(n)
        w["blocks.0.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.0.attn.W_O"][0, :V, out] = torch.eye(V)
        w["blocks.1.attn.W_Q"][0, token, :V] = 60 * math.sqrt(h) * torch.eye(V)
        w["blocks.1.attn.W_K"][0, note, :V] = torch.eye(V)
        w["blocks.1.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.1.attn.W_O"][0, :V, out] = 20 * torch.eye(V)
        return w


@mistake("02.14", says="what it copies from there is the word before")
class section:
    def write_induction_head(config):
        """W_V of layer 1 reads the note, as its keys do."""
        V, n, d, h = config.d_vocab, config.n_ctx, config.d_model, config.d_head
        token, note, out, place = slice(0, V), slice(V, 2 * V), slice(2 * V, 3 * V), slice(3 * V, 3 * V + n)
        w = {"W_E": torch.zeros(V, d), "W_pos": torch.zeros(n, d), "W_U": torch.zeros(d, V)}
        for layer in (0, 1):
            w |= {f"blocks.{layer}.attn.W_{x}": torch.zeros(1, d, h) for x in "QKV"}
            w[f"blocks.{layer}.attn.W_O"] = torch.zeros(1, h, d)
        w["W_E"][:, token], w["W_pos"][:, place], w["W_U"][out] = torch.eye(V), torch.eye(n), torch.eye(V)
        w["blocks.0.attn.W_Q"][0, place, :n] = 60 * math.sqrt(h) * torch.eye(n).roll(-1, 1)
        w["blocks.0.attn.W_K"][0, place, :n] = torch.eye(n)
        w["blocks.0.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.0.attn.W_O"][0, :V, note] = torch.eye(V)
        w["blocks.1.attn.W_Q"][0, token, :V] = 60 * math.sqrt(h) * torch.eye(V)
        w["blocks.1.attn.W_K"][0, note, :V] = torch.eye(V)
        w["blocks.1.attn.W_V"][0, note, :V] = torch.eye(V)
        w["blocks.1.attn.W_O"][0, :V, out] = 20 * torch.eye(V)
        return w


@mistake("02.14", says="make its scores larger")
class section:
    def write_induction_head(config):
        """The softmax of layer 1 stays soft."""
        V, n, d, h = config.d_vocab, config.n_ctx, config.d_model, config.d_head
        token, note, out, place = slice(0, V), slice(V, 2 * V), slice(2 * V, 3 * V), slice(3 * V, 3 * V + n)
        w = {"W_E": torch.zeros(V, d), "W_pos": torch.zeros(n, d), "W_U": torch.zeros(d, V)}
        for layer in (0, 1):
            w |= {f"blocks.{layer}.attn.W_{x}": torch.zeros(1, d, h) for x in "QKV"}
            w[f"blocks.{layer}.attn.W_O"] = torch.zeros(1, h, d)
        w["W_E"][:, token], w["W_pos"][:, place], w["W_U"][out] = torch.eye(V), torch.eye(n), torch.eye(V)
        w["blocks.0.attn.W_Q"][0, place, :n] = 60 * math.sqrt(h) * torch.eye(n).roll(-1, 1)
        w["blocks.0.attn.W_K"][0, place, :n] = torch.eye(n)
        w["blocks.0.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.0.attn.W_O"][0, :V, note] = torch.eye(V)
        w["blocks.1.attn.W_Q"][0, token, :V] = 2 * math.sqrt(h) * torch.eye(V)
        w["blocks.1.attn.W_K"][0, note, :V] = torch.eye(V)
        w["blocks.1.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.1.attn.W_O"][0, :V, out] = 20 * torch.eye(V)
        return w


@mistake("02.14", says="must read the room that W_O of layer 1 writes into")
class section:
    def write_induction_head(config):
        """W_U is forgotten."""
        V, n, d, h = config.d_vocab, config.n_ctx, config.d_model, config.d_head
        token, note, out, place = slice(0, V), slice(V, 2 * V), slice(2 * V, 3 * V), slice(3 * V, 3 * V + n)
        w = {"W_E": torch.zeros(V, d), "W_pos": torch.zeros(n, d), "W_U": torch.zeros(d, V)}
        for layer in (0, 1):
            w |= {f"blocks.{layer}.attn.W_{x}": torch.zeros(1, d, h) for x in "QKV"}
            w[f"blocks.{layer}.attn.W_O"] = torch.zeros(1, h, d)
        w["W_E"][:, token], w["W_pos"][:, place] = torch.eye(V), torch.eye(n)
        w["blocks.0.attn.W_Q"][0, place, :n] = 60 * math.sqrt(h) * torch.eye(n).roll(-1, 1)
        w["blocks.0.attn.W_K"][0, place, :n] = torch.eye(n)
        w["blocks.0.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.0.attn.W_O"][0, :V, note] = torch.eye(V)
        w["blocks.1.attn.W_Q"][0, token, :V] = 60 * math.sqrt(h) * torch.eye(V)
        w["blocks.1.attn.W_K"][0, note, :V] = torch.eye(V)
        w["blocks.1.attn.W_V"][0, token, :V] = torch.eye(V)
        w["blocks.1.attn.W_O"][0, :V, out] = 20 * torch.eye(V)
        return w


@right("02.14", how="with the sharpness in the keys and a random rotation of the rooms")
class section:
    def write_induction_head(config):
        V, n, d, h = config.d_vocab, config.n_ctx, config.d_model, config.d_head
        rotation = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(5), dtype=torch.float64))[
            0
        ]
        token, note, out, place = rotation[:V], rotation[V : 2 * V], rotation[2 * V : 3 * V], rotation[3 * V :]

        def reads(directions):
            return torch.nn.functional.pad(directions.T, (0, h - len(directions)))[None]

        def writes(directions):
            return reads(directions).transpose(1, 2).clone()

        # Column i of the keys reads place i − 1: what answers the query of place i.
        back = torch.cat([torch.zeros(1, d, dtype=torch.float64), place[:-1]])
        sharp = 80 * math.sqrt(h)
        return {
            "W_E": token,
            "W_pos": place,
            "W_U": 25 * out.T,
            "blocks.0.attn.W_Q": reads(place),
            "blocks.0.attn.W_K": sharp * reads(back),
            "blocks.0.attn.W_V": reads(token),
            "blocks.0.attn.W_O": writes(note),
            "blocks.1.attn.W_Q": reads(token),
            "blocks.1.attn.W_K": sharp * reads(note),
            "blocks.1.attn.W_V": reads(token),
            "blocks.1.attn.W_O": writes(out),
        }


@right("02.14", how="by filling the parameters of an empty model")
class section:
    from mi_lib.models import Transformer

    def write_induction_head(config):
        model = Transformer(config)
        V, n = config.d_vocab, config.n_ctx
        words, places = range(V), range(n)
        strong = 50 * math.sqrt(config.d_head)
        with torch.no_grad():
            first, second = model.blocks[0].attn, model.blocks[1].attn
            for i in words:
                model.W_E[i, i] = 1
                model.W_U[2 * V + i, i] = 1
                first.W_V[0, i, i] = first.W_O[0, i, V + i] = 1
                second.W_Q[0, i, i] = strong
                second.W_K[0, V + i, i] = 1
                second.W_V[0, i, i] = 1
                second.W_O[0, i, 2 * V + i] = 30
            for i in places:
                model.W_pos[i, 3 * V + i] = 1
                first.W_K[0, 3 * V + i, i] = 1
                if i:
                    first.W_Q[0, 3 * V + i, i - 1] = strong
        return dict(model.state_dict())
