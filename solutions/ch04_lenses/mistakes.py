"""Wrong answers that learners and published code give to chapter 04, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 04.1 -------------------------------------------------------------------------------------------------------------


@mistake("04.1", says="The last depth is missing")
class section:
    """Forgets what leaves the last block, as one does who loops over layers."""

    def residual_stream(model, tokens):
        _, cache = model.run_with_cache(tokens, [("resid_pre", layer) for layer in range(model.cfg.n_layers)])
        return cache.stack("resid_pre")

    def logit_lens(model, tokens):
        return model.unembed(model.ln_final(residual_stream(model, tokens)))


@mistake("04.1", says="The first depth is missing")
class section:
    """Reads after every block."""

    def residual_stream(model, tokens):
        _, cache = model.run_with_cache(tokens, [("resid_post", layer) for layer in range(model.cfg.n_layers)])
        return cache.stack("resid_post")

    def logit_lens(model, tokens):
        return model.unembed(model.ln_final(residual_stream(model, tokens)))


@mistake("04.1", says="The final norm is missing")
class section:
    """The first logit lenses in notebooks all lacked it."""

    def residual_stream(model, tokens):
        last = model.cfg.n_layers - 1
        _, cache = model.run_with_cache(tokens)
        return torch.stack([*cache.stack("resid_pre"), cache["resid_post", last]])

    def logit_lens(model, tokens):
        return model.unembed(residual_stream(model, tokens))


@mistake("04.1", says="You normalise twice")
class section:
    """Norms the stream when it is read, and again before the unembedding."""

    def residual_stream(model, tokens):
        last = model.cfg.n_layers - 1
        _, cache = model.run_with_cache(tokens)
        return torch.stack([*cache.stack("resid_pre"), cache["resid_post", last]])

    def logit_lens(model, tokens):
        normalised = model.ln_final(residual_stream(model, tokens))
        return model.unembed(model.ln_final(normalised))


@mistake("04.1", says="The bias of the unembedding is missing")
class section:
    """W_U alone."""

    def residual_stream(model, tokens):
        last = model.cfg.n_layers - 1
        _, cache = model.run_with_cache(tokens)
        return torch.stack([*cache.stack("resid_pre"), cache["resid_post", last]])

    def logit_lens(model, tokens):
        return model.ln_final(residual_stream(model, tokens)) @ model.W_U


@mistake("04.1", says="You normalise at the last depth alone")
class section:
    """Believes that the norm belongs to the last block."""

    def residual_stream(model, tokens):
        last = model.cfg.n_layers - 1
        _, cache = model.run_with_cache(tokens)
        return torch.stack([*cache.stack("resid_pre"), cache["resid_post", last]])

    def logit_lens(model, tokens):
        stream = residual_stream(model, tokens)
        return model.unembed(torch.cat([stream[:-1], model.ln_final(stream[-1:])]))


@mistake("04.1", says="MIDDLE of each block")
class section:
    """Stops half-way: the stream between attention and MLP."""

    def residual_stream(model, tokens):
        _, cache = model.run_with_cache(tokens)
        return torch.stack([*cache.stack("resid_mid"), cache["resid_post", model.cfg.n_layers - 1]])

    def logit_lens(model, tokens):
        return model.unembed(model.ln_final(residual_stream(model, tokens)))


@mistake("04.1", says="These are log probabilities")
class section:
    """One softmax too many."""

    def residual_stream(model, tokens):
        _, cache = model.run_with_cache(tokens)
        return torch.stack([*cache.stack("resid_pre"), cache["resid_post", model.cfg.n_layers - 1]])

    def logit_lens(model, tokens):
        return model.unembed(model.ln_final(residual_stream(model, tokens))).log_softmax(-1)


@mistake("04.1", says="Every depth is the first one here")
class section:
    """The same site again and again."""

    def residual_stream(model, tokens):
        _, cache = model.run_with_cache(tokens)
        return torch.stack([cache["resid_pre", 0] for _ in range(model.cfg.n_layers + 1)])

    def logit_lens(model, tokens):
        return model.unembed(model.ln_final(residual_stream(model, tokens)))


@mistake("04.1", says="The last depth is what the last block's MLP reads")
class section:
    """resid_mid for resid_post."""

    def residual_stream(model, tokens):
        _, cache = model.run_with_cache(tokens)
        return torch.stack([*cache.stack("resid_pre"), cache["resid_mid", model.cfg.n_layers - 1]])

    def logit_lens(model, tokens):
        return model.unembed(model.ln_final(residual_stream(model, tokens)))


@right("04.1", how="with hooks that keep the stream, depth by depth")
class section:
    def residual_stream(model, tokens):
        kept = []

        def keep(x, hook):
            kept.append(x.clone())

        names = [f"blocks.{layer}.hook_resid_pre" for layer in range(model.cfg.n_layers)]
        with model.hooks([(names, keep), (("resid_post", -1), keep)]):
            model(tokens)
        return torch.stack(kept)

    def logit_lens(model, tokens):
        return torch.stack([model.unembed(model.ln_final(x)) for x in residual_stream(model, tokens)])


@right("04.1", how="with the formula of LayerNorm, in double precision, not contiguous")
class section:
    def residual_stream(model, tokens):
        _, cache = model.run_with_cache(tokens)
        first = cache["resid_pre", 0]
        return torch.stack([first, *cache.stack("resid_post")], dim=-1).movedim(-1, 0)

    def logit_lens(model, tokens):
        weight, bias, epsilon, _ = model.norm_parts(model.ln_final)
        x = residual_stream(model, tokens).double()
        y = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + epsilon).sqrt()
        logits = (y * weight + bias) @ model.W_U.double()
        return logits if model.b_U is None else logits + model.b_U


# --- 04.2 -------------------------------------------------------------------------------------------------------------


@mistake("04.2", says="and you normalise it again")
class section:
    """The trap itself: the last hidden state goes through the norm a second time."""

    def is_normalised(x, weight, bias):
        y = (x - bias) / weight
        mean, variance = y.mean(-1), y.var(-1, unbiased=False)
        return bool((mean.abs() < 0.02).all() and ((variance - 1).abs() < 0.02).all())

    def lens_of_hidden_states(model, hidden_states):
        return model.unembed(model.ln_final(torch.stack(list(hidden_states))))


@mistake("04.2", says="and you do not normalise it")
class section:
    """Always trusts that the last one is normalised."""

    def is_normalised(x, weight, bias):
        y = (x - bias) / weight
        mean, variance = y.mean(-1), y.var(-1, unbiased=False)
        return bool((mean.abs() < 0.02).all() and ((variance - 1).abs() < 0.02).all())

    def lens_of_hidden_states(model, hidden_states):
        normalised = [*(model.ln_final(x) for x in hidden_states[:-1]), hidden_states[-1]]
        return model.unembed(torch.stack(normalised))


@mistake("04.2", says="must go through the final norm")
class section:
    """Takes all hidden states for normalised."""

    def is_normalised(x, weight, bias):
        y = (x - bias) / weight
        mean, variance = y.mean(-1), y.var(-1, unbiased=False)
        return bool((mean.abs() < 0.02).all() and ((variance - 1).abs() < 0.02).all())

    def lens_of_hidden_states(model, hidden_states):
        return model.unembed(torch.stack(list(hidden_states)))


@mistake("04.2", says="unbiased=False")
class section:
    """torch's var divides by n − 1."""

    def is_normalised(x, weight, bias):
        y = (x - bias) / weight
        return bool((y.mean(-1).abs() < 0.02).all() and ((y.var(-1) - 1).abs() < 0.02).all())

    def lens_of_hidden_states(model, hidden_states):
        weight, bias, _, _ = model.norm_parts(model.ln_final)
        *inputs, last = hidden_states
        last = last if is_normalised(last, weight, bias) else model.ln_final(last)
        return model.unembed(torch.stack([*(model.ln_final(x) for x in inputs), last]))


@mistake("04.2", says="it cannot have left THIS norm")
class section:
    """Looks at mean and variance without undoing weight and bias."""

    def is_normalised(x, weight, bias):
        mean, variance = x.mean(-1), x.var(-1, unbiased=False)
        plain = (mean.abs() < 0.02).all() and ((variance - 1).abs() < 0.02).all()
        y = (x - bias) / weight
        return bool(plain or ((y.mean(-1).abs() < 0.02).all() and ((y.var(-1, unbiased=False) - 1).abs() < 0.02).all()))

    def lens_of_hidden_states(model, hidden_states):
        weight, bias, _, _ = model.norm_parts(model.ln_final)
        *inputs, last = hidden_states
        last = last if is_normalised(last, weight, bias) else model.ln_final(last)
        return model.unembed(torch.stack([*(model.ln_final(x) for x in inputs), last]))


@mistake("04.2", says="One position of this is not normalised")
class section:
    """any() for all()."""

    def is_normalised(x, weight, bias):
        y = (x - bias) / weight
        mean, variance = y.mean(-1), y.var(-1, unbiased=False)
        return bool(((mean.abs() < 0.02) & ((variance - 1).abs() < 0.02)).any())

    def lens_of_hidden_states(model, hidden_states):
        weight, bias, _, _ = model.norm_parts(model.ln_final)
        *inputs, last = hidden_states
        last = last if is_normalised(last, weight, bias) else model.ln_final(last)
        return model.unembed(torch.stack([*(model.ln_final(x) for x in inputs), last]))


@mistake("04.2", says="Only the average over positions has mean 0")
class section:
    """One mean and one variance for everything."""

    def is_normalised(x, weight, bias):
        y = (x - bias) / weight
        return bool(y.mean().abs() < 0.02 and (y.var(unbiased=False) - 1).abs() < 0.02)

    def lens_of_hidden_states(model, hidden_states):
        weight, bias, _, _ = model.norm_parts(model.ln_final)
        *inputs, last = hidden_states
        last = last if is_normalised(last, weight, bias) else model.ln_final(last)
        return model.unembed(torch.stack([*(model.ln_final(x) for x in inputs), last]))


@mistake("04.2", says="What counts is the distance")
class section:
    """No abs(): whatever is too small passes."""

    def is_normalised(x, weight, bias):
        y = (x - bias) / weight
        return bool((y.mean(-1) < 0.02).all() and (y.var(-1, unbiased=False) - 1 < 0.02).all())

    def lens_of_hidden_states(model, hidden_states):
        weight, bias, _, _ = model.norm_parts(model.ln_final)
        *inputs, last = hidden_states
        last = last if is_normalised(last, weight, bias) else model.ln_final(last)
        return model.unembed(torch.stack([*(model.ln_final(x) for x in inputs), last]))


@mistake("04.2", says="variance (not its square root)")
class section:
    """The standard deviation for the variance: its distance from 1 is half as large."""

    def is_normalised(x, weight, bias):
        y = (x - bias) / weight
        return bool((y.mean(-1).abs() < 0.02).all() and ((y.std(-1, unbiased=False) - 1).abs() < 0.02).all())

    def lens_of_hidden_states(model, hidden_states):
        weight, bias, _, _ = model.norm_parts(model.ln_final)
        *inputs, last = hidden_states
        last = last if is_normalised(last, weight, bias) else model.ln_final(last)
        return model.unembed(torch.stack([*(model.ln_final(x) for x in inputs), last]))


@mistake("04.2", says="You ask of every hidden state")
class section:
    """Lets each hidden state decide for itself."""

    def is_normalised(x, weight, bias):
        y = (x - bias) / weight
        mean, variance = y.mean(-1), y.var(-1, unbiased=False)
        return bool((mean.abs() < 0.02).all() and ((variance - 1).abs() < 0.02).all())

    def lens_of_hidden_states(model, hidden_states):
        weight, bias, _, _ = model.norm_parts(model.ln_final)
        return model.unembed(
            torch.stack([x if is_normalised(x, weight, bias) else model.ln_final(x) for x in hidden_states])
        )


@right("04.2", how="by comparing with what LayerNorm makes of it, in double precision")
class section:
    def is_normalised(x, weight, bias):
        y = (x.double() - bias) / weight
        second = (y * y).mean(-1) - y.mean(-1) ** 2
        return bool(torch.stack([y.mean(-1).abs(), (second - 1).abs()]).max() < 0.02)

    def lens_of_hidden_states(model, hidden_states):
        weight, bias, _, _ = model.norm_parts(model.ln_final)
        done = is_normalised(hidden_states[-1], weight, bias)
        out = []
        for depth, x in enumerate(hidden_states):
            is_last = depth == len(hidden_states) - 1
            out.append(model.unembed(x if is_last and done else model.ln_final(x)))
        return torch.stack(out)


@right("04.2", how="with numpy, and the answer as a tensor")
class section:
    def is_normalised(x, weight, bias):
        y = ((x - bias) / weight).numpy()
        return torch.tensor((abs(y.mean(-1)) < 0.02).all() and (abs(y.std(-1) ** 2 - 1) < 0.02).all())

    def lens_of_hidden_states(model, hidden_states):
        weight, bias, _, _ = model.norm_parts(model.ln_final)
        stream = torch.stack(list(hidden_states))
        read = model.ln_final(stream)
        if is_normalised(stream[-1], weight, bias):
            read = torch.cat([read[:-1], stream[-1:]])
        return model.unembed(read)


# --- 04.3 -------------------------------------------------------------------------------------------------------------


@mistake("04.3", says="This is KL(lens ‖ final)")
class section:
    """The two sides exchanged."""

    def kl_to_final(lens):
        log_q = lens.log_softmax(-1)
        return (log_q.exp() * (log_q - log_q[-1])).sum(-1)

    def entropy(logits):
        log_p = logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def answer_rank(lens, answer):
        logits = lens[:, :, -1]
        return (logits > logits[:, torch.arange(len(answer)), answer][..., None]).sum(-1)


@mistake("04.3", says="These are bits")
class section:
    """log2."""

    def kl_to_final(lens):
        q = lens.softmax(-1)
        return (q[-1] * (q[-1].log2() - q.log2())).sum(-1)

    def entropy(logits):
        log_p = logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def answer_rank(lens, answer):
        logits = lens[:, :, -1]
        return (logits > logits[:, torch.arange(len(answer)), answer][..., None]).sum(-1)


@mistake("04.3", says="Subtract the entropy of the final prediction")
class section:
    """Cross-entropy for divergence."""

    def kl_to_final(lens):
        return -(lens[-1].softmax(-1) * lens.log_softmax(-1)).sum(-1)

    def entropy(logits):
        log_p = logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def answer_rank(lens, answer):
        logits = lens[:, :, -1]
        return (logits > logits[:, torch.arange(len(answer)), answer][..., None]).sum(-1)


@mistake("04.3", says="They are that only after log_softmax")
class section:
    """Logits for log probabilities."""

    def kl_to_final(lens):
        return (lens[-1].softmax(-1) * (lens[-1] - lens)).sum(-1)

    def entropy(logits):
        log_p = logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def answer_rank(lens, answer):
        logits = lens[:, :, -1]
        return (logits > logits[:, torch.arange(len(answer)), answer][..., None]).sum(-1)


@mistake("04.3", says="The entropy is NaN where a probability is 0")
class section:
    """0 · log(0)."""

    def kl_to_final(lens):
        log_q = lens.log_softmax(-1)
        return (log_q[-1].exp() * (log_q[-1] - log_q)).sum(-1)

    def entropy(logits):
        p = logits.softmax(-1)
        return -(p * p.log()).sum(-1)

    def answer_rank(lens, answer):
        logits = lens[:, :, -1]
        return (logits > logits[:, torch.arange(len(answer)), answer][..., None]).sum(-1)


@mistake("04.3", says="You count from 1")
class section:
    """>= counts the answer itself."""

    def kl_to_final(lens):
        log_q = lens.log_softmax(-1)
        return (log_q[-1].exp() * (log_q[-1] - log_q)).sum(-1)

    def entropy(logits):
        log_p = logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def answer_rank(lens, answer):
        logits = lens[:, :, -1]
        return (logits >= logits[:, torch.arange(len(answer)), answer][..., None]).sum(-1)


@mistake("04.3", says="not the rank of the answer")
class section:
    """argsort says which token has a rank, not which rank a token has."""

    def kl_to_final(lens):
        log_q = lens.log_softmax(-1)
        return (log_q[-1].exp() * (log_q[-1] - log_q)).sum(-1)

    def entropy(logits):
        log_p = logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def answer_rank(lens, answer):
        order = lens[:, :, -1].argsort(-1, descending=True)
        return order[:, torch.arange(len(answer)), answer]


@mistake("04.3", says="You compare each depth with the NEXT one")
class section:
    """How far each layer moves, instead of how far it still has to go."""

    def kl_to_final(lens):
        log_q = lens.log_softmax(-1)
        log_p = torch.cat([log_q[1:], log_q[-1:]])
        return (log_p.exp() * (log_p - log_q)).sum(-1)

    def entropy(logits):
        log_p = logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def answer_rank(lens, answer):
        logits = lens[:, :, -1]
        return (logits > logits[:, torch.arange(len(answer)), answer][..., None]).sum(-1)


@mistake("04.3", says="Each position has its own")
class section:
    """The prediction at the end of the text stands for all positions."""

    def kl_to_final(lens):
        log_q = lens.log_softmax(-1)
        log_p = log_q[-1, :, -1:]
        return (log_p.exp() * (log_p - log_q)).sum(-1)

    def entropy(logits):
        log_p = logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def answer_rank(lens, answer):
        logits = lens[:, :, -1]
        return (logits > logits[:, torch.arange(len(answer)), answer][..., None]).sum(-1)


@mistake("04.3", says="You use one answer for all sequences")
class section:
    """The first answer for everybody."""

    def kl_to_final(lens):
        log_q = lens.log_softmax(-1)
        return (log_q[-1].exp() * (log_q[-1] - log_q)).sum(-1)

    def entropy(logits):
        log_p = logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def answer_rank(lens, answer):
        logits = lens[:, :, -1]
        return (logits > logits[:, :, answer[0], None]).sum(-1)


@mistake("04.3", says="You look at the first position")
class section:
    """The wrong end of the text."""

    def kl_to_final(lens):
        log_q = lens.log_softmax(-1)
        return (log_q[-1].exp() * (log_q[-1] - log_q)).sum(-1)

    def entropy(logits):
        log_p = logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def answer_rank(lens, answer):
        logits = lens[:, :, 0]
        return (logits > logits[:, torch.arange(len(answer)), answer][..., None]).sum(-1)


@mistake("04.3", says="less the answer itself")
class section:
    """>= − 1: right as long as no two logits are equal."""

    def kl_to_final(lens):
        log_q = lens.log_softmax(-1)
        return (log_q[-1].exp() * (log_q[-1] - log_q)).sum(-1)

    def entropy(logits):
        log_p = logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def answer_rank(lens, answer):
        last = lens[:, :, -1]
        mine = last[:, torch.arange(len(answer)), answer]
        return (last >= mine[..., None]).sum(-1) - 1


@mistake("04.3", says="You take log(p + 1e-06)")
class section:
    """A small number against log(0)."""

    def kl_to_final(lens):
        log_q = lens.log_softmax(-1)
        return (log_q[-1].exp() * (log_q[-1] - log_q)).sum(-1)

    def entropy(logits):
        p = logits.softmax(-1)
        return -(p * torch.log(p + 1e-6)).sum(-1)

    def answer_rank(lens, answer):
        last = lens[:, :, -1]
        mine = last[:, torch.arange(len(answer)), answer]
        return (last > mine[..., None]).sum(-1)


@right("04.3", how="with F.kl_div, Categorical and searchsorted")
class section:
    def kl_to_final(lens):
        log_q = lens.log_softmax(-1)
        log_p = log_q[-1:].expand_as(log_q)
        return torch.nn.functional.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1)

    def entropy(logits):
        return torch.distributions.Categorical(logits=logits).entropy()

    def answer_rank(lens, answer):
        last = lens[:, :, -1].sort(-1).values
        mine = lens[:, torch.arange(len(answer)), -1, answer][..., None].contiguous()
        return last.shape[-1] - torch.searchsorted(last, mine, right=True)[..., 0]


@right("04.3", how="with loops and lists, in double precision")
class section:
    def kl_to_final(lens):
        log_q = lens.double().log_softmax(-1)
        return torch.stack([(log_q[-1].exp() * (log_q[-1] - depth)).sum(-1) for depth in log_q])

    def entropy(logits):
        x = logits.double()
        return x.logsumexp(-1) - (x.softmax(-1) * x).sum(-1)

    def answer_rank(lens, answer):
        return [
            [sum(v > row[-1][a] for v in row[-1]) for row, a in zip(depth, answer.tolist())] for depth in lens.tolist()
        ]


# --- 04.4 -------------------------------------------------------------------------------------------------------------


@mistake("04.4", says="A is transposed")
def tuned_lens(model, stream, A, b):
    """h @ A for A h."""
    translated = stream[:-1] + stream[:-1] @ A[:, None] + b[:, None, None]
    return model.unembed(model.ln_final(torch.cat([translated, stream[-1:]])))


@mistake("04.4", says="the h is missing")
def tuned_lens(model, stream, A, b):
    """A h + b: the translator as the whole map instead of a correction."""
    translated = stream[:-1] @ A.mT[:, None] + b[:, None, None]
    return model.unembed(model.ln_final(torch.cat([translated, stream[-1:]])))


@mistake("04.4", says="Translate the stream first")
def tuned_lens(model, stream, A, b):
    """Norm first."""
    normed = model.ln_final(stream)
    translated = normed[:-1] + normed[:-1] @ A.mT[:, None] + b[:, None, None]
    return model.unembed(torch.cat([translated, normed[-1:]]))


@mistake("04.4", says="The final norm is missing")
def tuned_lens(model, stream, A, b):
    """Straight to the unembedding."""
    translated = stream[:-1] + stream[:-1] @ A.mT[:, None] + b[:, None, None]
    return model.unembed(torch.cat([translated, stream[-1:]]))


@mistake("04.4", says="You translate the last depth too")
def tuned_lens(model, stream, A, b):
    """Reuses the last translator for the last depth."""
    A, b = torch.cat([A, A[-1:]]), torch.cat([b, b[-1:]])
    return model.unembed(model.ln_final(stream + stream @ A.mT[:, None] + b[:, None, None]))


@mistake("04.4", says="The last depth is missing")
def tuned_lens(model, stream, A, b):
    """zip stops at the shorter one."""
    return torch.stack([model.unembed(model.ln_final(h + h @ M.T + v)) for h, M, v in zip(stream, A, b)])


@mistake("04.4", says="that is A (h + b)")
def tuned_lens(model, stream, A, b):
    """The bias inside."""
    shifted = stream[:-1] + b[:, None, None]
    return model.unembed(model.ln_final(torch.cat([shifted + shifted @ A.mT[:, None], stream[-1:]])))


@mistake("04.4", says="The translators pile up")
def tuned_lens(model, stream, A, b):
    """One h for all depths, that grows in a loop."""
    h, depths = stream[0], []
    for M, v in zip(A, b):
        h = h + h @ M.T + v
        depths.append(h)
    return model.unembed(model.ln_final(torch.stack([*depths, stream[-1]])))


@mistake("04.4", says="b is missing")
def tuned_lens(model, stream, A, b):
    """The matrix alone."""
    translated = stream[:-1] + stream[:-1] @ A.mT[:, None]
    return model.unembed(model.ln_final(torch.cat([translated, stream[-1:]])))


@mistake("04.4", says="changed the `stream` that it was given")
def tuned_lens(model, stream, A, b):
    """Writes the translated h over the learner's own stream."""
    for layer in range(len(A)):
        stream[layer] += stream[layer] @ A[layer].T + b[layer]
    return model.unembed(model.ln_final(stream))


@mistake("04.4", says="b is inside: that is h + A (h + b)")
def tuned_lens(model, stream, A, b):
    """The bias inside the correction."""
    h = stream[:-1]
    translated = h + torch.einsum("lij,lbpj->lbpi", A, h + b[:, None, None])
    return model.unembed(model.ln_final(torch.cat([translated, stream[-1:]])))


@right("04.4", how="with einsum and a loop over depths")
def tuned_lens(model, stream, A, b):
    out = []
    for depth, h in enumerate(stream):
        if depth < len(A):
            h = h + torch.einsum("ij,bpj->bpi", A[depth], h) + b[depth]
        out.append(model.unembed(model.ln_final(h)))
    return torch.stack(out)


@right("04.4", how="with (1 + A) and a zero translator at the end, not contiguous")
def tuned_lens(model, stream, A, b):
    n, d = b.shape
    whole = torch.cat([A, torch.zeros(1, d, d)]) + torch.eye(d)
    shift = torch.cat([b, torch.zeros(1, d)])
    h = torch.einsum("lij,lbpj->bpli", whole, stream) + shift
    return model.unembed(model.ln_final(h)).permute(2, 0, 1, 3)


# --- 04.5 -------------------------------------------------------------------------------------------------------------


@mistake("04.5", says="The two sides are exchanged")
class section:
    """F.kl_div with its arguments the wrong way round."""

    def lens_loss(lens):
        log_q = lens.log_softmax(-1)
        log_p = log_q[-1:].expand_as(log_q)
        kl = torch.nn.functional.kl_div(log_p, log_q, log_target=True, reduction="none")
        return kl.sum(-1).mean((1, 2)).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=not bias_only), torch.zeros(n, d, requires_grad=True)
        optimizer = torch.optim.Adam([b] if bias_only else [A, b], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            lens_loss(tuned_lens(model, stream, A, b)).backward()
            optimizer.step()
        return A.detach(), b.detach()


@mistake("04.5", says="You minimise KL(lens ‖ final)")
class section:
    """The loss is right, but the training uses the other direction."""

    def lens_loss(lens):
        return kl_to_final(lens).mean((1, 2)).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=not bias_only), torch.zeros(n, d, requires_grad=True)
        optimizer = torch.optim.Adam([b] if bias_only else [A, b], lr=lr)
        for _ in range(steps):
            log_q = tuned_lens(model, stream, A, b).log_softmax(-1)
            loss = (log_q.exp() * (log_q - log_q[-1])).sum(-1).mean((1, 2)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return A.detach(), b.detach()


@mistake("04.5", says="You average over the vocabulary too")
class section:
    """The default reduction of F.kl_div."""

    def lens_loss(lens):
        log_q = lens.log_softmax(-1)
        log_p = log_q[-1:].expand_as(log_q)
        return torch.nn.functional.kl_div(log_q, log_p, log_target=True, reduction="mean")

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=not bias_only), torch.zeros(n, d, requires_grad=True)
        optimizer = torch.optim.Adam([b] if bias_only else [A, b], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            lens_loss(tuned_lens(model, stream, A, b)).backward()
            optimizer.step()
        return A.detach(), b.detach()


@mistake("04.5", says="You sum over batch and positions")
class section:
    """A sum where a mean was asked for."""

    def lens_loss(lens):
        return kl_to_final(lens).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=not bias_only), torch.zeros(n, d, requires_grad=True)
        optimizer = torch.optim.Adam([b] if bias_only else [A, b], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            lens_loss(tuned_lens(model, stream, A, b)).backward()
            optimizer.step()
        return A.detach(), b.detach()


@mistake("04.5", says="Gradients pile up")
class section:
    """No zero_grad."""

    def lens_loss(lens):
        return kl_to_final(lens).mean((1, 2)).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=not bias_only), torch.zeros(n, d, requires_grad=True)
        optimizer = torch.optim.Adam([b] if bias_only else [A, b], lr=lr)
        for _ in range(steps):
            lens_loss(tuned_lens(model, stream, A, b)).backward()
            optimizer.step()
        return A.detach(), b.detach()


@mistake("04.5", says="With bias_only, A must stay 0")
class section:
    """Ignores the control."""

    def lens_loss(lens):
        return kl_to_final(lens).mean((1, 2)).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=True), torch.zeros(n, d, requires_grad=True)
        optimizer = torch.optim.Adam([A, b], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            lens_loss(tuned_lens(model, stream, A, b)).backward()
            optimizer.step()
        return A.detach(), b.detach()


@mistake("04.5", says="what the MODEL will say")
class section:
    """Trains on the next token, like a language model."""

    def lens_loss(lens):
        return kl_to_final(lens).mean((1, 2)).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=not bias_only), torch.zeros(n, d, requires_grad=True)
        optimizer = torch.optim.Adam([b] if bias_only else [A, b], lr=lr)
        for _ in range(steps):
            lens = tuned_lens(model, stream, A, b)[:-1, :, :-1].log_softmax(-1)
            target = tokens[None, :, 1:, None].expand(n, -1, -1, 1)
            optimizer.zero_grad()
            (-lens.gather(-1, target).mean((1, 2, 3)).sum()).backward()
            optimizer.step()
        return A.detach(), b.detach()


@mistake("04.5", says="A and b fit another model")
class section:
    """The optimizer gets the model's weights as well."""

    def lens_loss(lens):
        return kl_to_final(lens).mean((1, 2)).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=not bias_only), torch.zeros(n, d, requires_grad=True)
        trained = [b] if bias_only else [A, b]
        optimizer = torch.optim.Adam([*trained, *model.parameters()], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            lens_loss(tuned_lens(model, stream, A, b)).backward()
            optimizer.step()
        return A.detach(), b.detach()


@mistake("04.5", says="requires_grad_(False) stays")
class section:
    """Freezes the model and leaves it frozen."""

    def lens_loss(lens):
        return kl_to_final(lens).mean((1, 2)).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        model.requires_grad_(False)
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=True), torch.zeros(n, d, requires_grad=True)
        optimizer = torch.optim.Adam([b] if bias_only else [A, b], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            lens_loss(tuned_lens(model, stream, A, b)).backward()
            optimizer.step()
        return A.detach(), b.detach()


@mistake("04.5", says="you take one sequence per step")
class section:
    """Stochastic descent."""

    def lens_loss(lens):
        return kl_to_final(lens).mean((1, 2)).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=True), torch.zeros(n, d, requires_grad=True)
        optimizer = torch.optim.Adam([b] if bias_only else [A, b], lr=lr)
        for step in range(steps):
            optimizer.zero_grad()
            i = step % stream.shape[1]
            lens_loss(tuned_lens(model, stream[:, i : i + 1], A, b)).backward()
            optimizer.step()
        return A.detach(), b.detach()


@mistake("04.5", says="A must not move during the training")
class section:
    """Trains A along with b, and sets it to 0 in the end."""

    def lens_loss(lens):
        return kl_to_final(lens).mean((1, 2)).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=True), torch.zeros(n, d, requires_grad=True)
        optimizer = torch.optim.Adam([A, b], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            lens_loss(tuned_lens(model, stream, A, b)).backward()
            optimizer.step()
        return A.detach() * (not bias_only), b.detach()


@mistake("04.5", says="You train A alone")
class section:
    """The wrong one of the two."""

    def lens_loss(lens):
        return kl_to_final(lens).mean((1, 2)).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=True), torch.zeros(n, d, requires_grad=True)
        optimizer = torch.optim.Adam([A] if bias_only else [A, b], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            lens_loss(tuned_lens(model, stream, A, b)).backward()
            optimizer.step()
        return A.detach(), b.detach()


@mistake("04.5", says="A is still 0: it was not trained")
class section:
    """As if bias_only were always so."""

    def lens_loss(lens):
        return kl_to_final(lens).mean((1, 2)).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=True), torch.zeros(n, d, requires_grad=True)
        optimizer = torch.optim.Adam([b], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            lens_loss(tuned_lens(model, stream, A, b)).backward()
            optimizer.step()
        return A.detach(), b.detach()


@mistake("04.5", says="you make a step for every sequence")
class section:
    """An epoch for a step."""

    def lens_loss(lens):
        return kl_to_final(lens).mean((1, 2)).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        n, d = model.cfg.n_layers, model.cfg.d_model
        A, b = torch.zeros(n, d, d, requires_grad=True), torch.zeros(n, d, requires_grad=True)
        optimizer = torch.optim.Adam([b] if bias_only else [A, b], lr=lr)
        for i in list(range(stream.shape[1])) * steps:
            optimizer.zero_grad()
            lens_loss(tuned_lens(model, stream[:, i : i + 1], A, b)).backward()
            optimizer.step()
        return A.detach(), b.detach()


@right("04.5", how="with F.kl_div, and one optimizer for each layer")
class section:
    def lens_loss(lens):
        log_q = lens.log_softmax(-1)
        depth, batch, pos, _ = lens.shape
        total = 0.0
        for row in log_q:
            total = total + torch.nn.functional.kl_div(row, log_q[-1], log_target=True, reduction="sum") / (batch * pos)
        return total

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        stream = residual_stream(model, tokens)
        d = model.cfg.d_model
        matrices, shifts = [], []
        for h in stream[:-1]:
            A, b = torch.zeros(d, d, requires_grad=not bias_only), torch.zeros(d, requires_grad=True)
            optimizer = torch.optim.Adam([b] if bias_only else [A, b], lr=lr)
            for _ in range(steps):
                pair = torch.stack([h + h @ A.T + b, stream[-1]])
                loss = lens_loss(model.unembed(model.ln_final(pair)))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            matrices.append(A.detach())
            shifts.append(b.detach())
        return torch.stack(matrices), torch.stack(shifts)


@right("04.5", how="with a module whose A does not learn, on a frozen model")
class section:
    class Translators(torch.nn.Module):
        def __init__(self, n, d):
            super().__init__()
            self.A = torch.nn.Parameter(torch.zeros(n, d, d))
            self.b = torch.nn.Parameter(torch.zeros(n, d))

    def lens_loss(lens):
        p = lens[-1].softmax(-1)
        cross = -(p * lens.log_softmax(-1)).sum(-1)
        return (cross - cross[-1]).mean(dim=(1, 2)).sum()

    def train_tuned_lens(model, tokens, steps, lr, bias_only=False):
        asked = [p.requires_grad for p in model.parameters()]
        model.requires_grad_(False)
        stream = residual_stream(model, tokens)
        lens = Translators(model.cfg.n_layers, model.cfg.d_model)
        lens.A.requires_grad_(not bias_only)
        optimizer = torch.optim.Adam([p for p in lens.parameters() if p.requires_grad], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            lens_loss(tuned_lens(model, stream, lens.A, lens.b)).backward()
            optimizer.step()
        for p, wanted in zip(model.parameters(), asked):
            p.requires_grad_(wanted)
        return lens.A, lens.b


# --- 04.6 -------------------------------------------------------------------------------------------------------------


@mistake("04.6", says="Each part is divided by its own scale")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    """The norm of each part: its sum is not the norm of the whole."""
    x = parts - parts.mean(-1, keepdim=True) if centred else parts
    return x / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt() * weight


@mistake("04.6", says="The mean of the parts is not subtracted")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    """Only the scale."""
    x = residual - residual.mean(-1, keepdim=True) if centred else residual
    return parts / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt() * weight


@mistake("04.6", says="You subtract the mean of `residual`")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    """The whole's mean is subtracted from every part, so that it is subtracted many times."""
    mean = residual.mean(-1, keepdim=True) if centred else 0.0
    return (parts - mean) / ((residual - mean).pow(2).mean(-1, keepdim=True) + epsilon).sqrt() * weight


@mistake("04.6", says="The weight is missing")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    """No gain."""
    x = residual - residual.mean(-1, keepdim=True) if centred else residual
    y = parts - parts.mean(-1, keepdim=True) if centred else parts
    return y / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt()


@mistake("04.6", says="You multiply by 1 + weight")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    """As Gemma stores its gains."""
    x = residual - residual.mean(-1, keepdim=True) if centred else residual
    y = parts - parts.mean(-1, keepdim=True) if centred else parts
    return y / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt() * (1 + weight)


@mistake("04.6", says="LayerNorm divides by d_model")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    """torch's var divides by n − 1."""
    if not centred:
        return parts / (residual.pow(2).mean(-1, keepdim=True) + epsilon).sqrt() * weight
    y = parts - parts.mean(-1, keepdim=True)
    return y / (residual.var(-1, keepdim=True) + epsilon).sqrt() * weight


@mistake("04.6", says="You take no account of `centred`")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    """Always LayerNorm."""
    scale = (residual.var(-1, keepdim=True, unbiased=False) + epsilon).sqrt()
    return (parts - parts.mean(-1, keepdim=True)) / scale * weight


@mistake("04.6", says="It stands under it")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    """epsilon beside the root, as many write it from memory."""
    x = residual - residual.mean(-1, keepdim=True) if centred else residual
    y = parts - parts.mean(-1, keepdim=True) if centred else parts
    return y / (x.pow(2).mean(-1, keepdim=True).sqrt() + epsilon) * weight


@mistake("04.6", says="You take the sum of the parts for the whole stream")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    """Takes for granted that the parts are all there is."""
    whole = parts.sum(0)
    x = whole - whole.mean(-1, keepdim=True) if centred else whole
    y = parts - parts.mean(-1, keepdim=True) if centred else parts
    return y / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt() * weight


@mistake("04.6", says="You divide by the length of the stream")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    """The norm of the vector, as its name suggests."""
    x = residual - residual.mean(-1, keepdim=True) if centred else residual
    y = parts - parts.mean(-1, keepdim=True) if centred else parts
    return y / (x.pow(2).sum(-1, keepdim=True) + epsilon).sqrt() * weight


@mistake("04.6", says="You always add 1e-5")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    """The epsilon of most models, typed in."""
    x = residual - residual.mean(-1, keepdim=True) if centred else residual
    y = parts - parts.mean(-1, keepdim=True) if centred else parts
    return y / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * weight


@mistake("04.6", says="You take one scale for all sequences")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    """One scale for the whole batch."""
    x = residual - residual.mean(-1, keepdim=True) if centred else residual
    y = parts - parts.mean(-1, keepdim=True) if centred else parts
    return y / (x.pow(2).mean() + epsilon).sqrt() * weight


@right("04.6", how="with a centring matrix and einsum, in double precision")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    d = weight.shape[0]
    C = torch.eye(d, dtype=torch.float64) - (1 / d if centred else 0.0)
    scale = torch.sqrt(torch.einsum("bi,ij->bj", residual.double(), C).square().mean(-1) + epsilon)
    return torch.einsum("pbi,ij,b,j->pbj", parts.double(), C, 1 / scale, weight.double())


@right("04.6", how="as the derivative of the norm with its scale detached, part by part, not contiguous")
def through_frozen_norm(parts, residual, weight, epsilon, centred):
    moments = residual.var(-1, unbiased=False) if centred else (residual**2).mean(-1)
    scale = (moments + epsilon).sqrt()[:, None]
    rows = [((part - part.mean(-1, keepdim=True)) if centred else part) * weight / scale for part in parts]
    return torch.stack(rows, dim=-1).permute(2, 0, 1)


# --- 04.7 -------------------------------------------------------------------------------------------------------------


@mistake("04.7", says="Each part is divided by its own scale")
class section:
    """Applies the final norm to each part."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        direction = (model.W_U[:, right] - model.W_U[:, wrong]).T
        normed = torch.stack([through_frozen_norm(part[None], part, weight, epsilon, centred)[0] for part in parts])
        return (normed * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        names = {"embed": "hook_embed", "pos_embed": "hook_pos_embed"}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"] = f"blocks.{layer}.hook_attn_out"
            names[f"mlp {layer}"] = f"blocks.{layer}.hook_mlp_out"
        residual = cache["resid_post", -1][:, -1]
        parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="The final norm is missing")
class section:
    """Straight to the unembedding."""

    def to_logits(model, parts, residual, right, wrong):
        return (parts * (model.W_U[:, right] - model.W_U[:, wrong]).T).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        names = {"embed": "hook_embed", "pos_embed": "hook_pos_embed"}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"] = f"blocks.{layer}.hook_attn_out"
            names[f"mlp {layer}"] = f"blocks.{layer}.hook_mlp_out"
        residual = cache["resid_post", -1][:, -1]
        parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="The bias of the final norm is added to every part")
class section:
    """LN(part) with its bias."""

    def to_logits(model, parts, residual, right, wrong):
        weight, bias, epsilon, centred = model.norm_parts(model.ln_final)
        direction = (model.W_U[:, right] - model.W_U[:, wrong]).T
        return ((through_frozen_norm(parts, residual, weight, epsilon, centred) + bias) * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        names = {"embed": "hook_embed", "pos_embed": "hook_pos_embed"}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"] = f"blocks.{layer}.hook_attn_out"
            names[f"mlp {layer}"] = f"blocks.{layer}.hook_mlp_out"
        residual = cache["resid_post", -1][:, -1]
        parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="It is right minus wrong")
class section:
    """The sign."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        direction = (model.W_U[:, wrong] - model.W_U[:, right]).T
        return (through_frozen_norm(parts, residual, weight, epsilon, centred) * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        names = {"embed": "hook_embed", "pos_embed": "hook_pos_embed"}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"] = f"blocks.{layer}.hook_attn_out"
            names[f"mlp {layer}"] = f"blocks.{layer}.hook_mlp_out"
        residual = cache["resid_post", -1][:, -1]
        parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="logit of `right` alone")
class section:
    """One token instead of a difference."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        return (through_frozen_norm(parts, residual, weight, epsilon, centred) * model.W_U[:, right].T).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        names = {"embed": "hook_embed", "pos_embed": "hook_pos_embed"}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"] = f"blocks.{layer}.hook_attn_out"
            names[f"mlp {layer}"] = f"blocks.{layer}.hook_mlp_out"
        residual = cache["resid_post", -1][:, -1]
        parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="The bias of the final norm adds something too")
class section:
    """Leaves the norm's bias at 0."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        direction = (model.W_U[:, right] - model.W_U[:, wrong]).T
        return (through_frozen_norm(parts, residual, weight, epsilon, centred) * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        names = {"embed": "hook_embed", "pos_embed": "hook_pos_embed"}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"] = f"blocks.{layer}.hook_attn_out"
            names[f"mlp {layer}"] = f"blocks.{layer}.hook_mlp_out"
        residual = cache["resid_post", -1][:, -1]
        parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = torch.zeros(len(right))
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="The names should be")
class section:
    """Forgets the terms that are no layer's."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        direction = (model.W_U[:, right] - model.W_U[:, wrong]).T
        return (through_frozen_norm(parts, residual, weight, epsilon, centred) * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        residual = cache["resid_post", -1][:, -1]
        result = {}
        for layer in range(model.cfg.n_layers):
            for name in ("attn", "mlp"):
                part = cache[f"{name}_out", layer][None, :, -1]
                result[f"{name} {layer}"] = to_logits(model, part, residual, right, wrong)[0]
        return result


@mistake("04.7", says="This is another position")
class section:
    """The first position."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        direction = (model.W_U[:, right] - model.W_U[:, wrong]).T
        return (through_frozen_norm(parts, residual, weight, epsilon, centred) * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        names = {"embed": "hook_embed", "pos_embed": "hook_pos_embed"}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"] = f"blocks.{layer}.hook_attn_out"
            names[f"mlp {layer}"] = f"blocks.{layer}.hook_mlp_out"
        residual = cache["resid_post", -1][:, -1]
        parts = torch.stack([cache[site][:, 0].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="which enters block 0")
class section:
    """The stream that enters the model gives the scale."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        direction = (model.W_U[:, right] - model.W_U[:, wrong]).T
        return (through_frozen_norm(parts, residual, weight, epsilon, centred) * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        names = {"embed": "hook_embed", "pos_embed": "hook_pos_embed"}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"] = f"blocks.{layer}.hook_attn_out"
            names[f"mlp {layer}"] = f"blocks.{layer}.hook_mlp_out"
        residual = cache["resid_pre", 0][:, -1]
        parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="which enters block")
class section:
    """What enters the last block gives the scale: one block too early."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        direction = (model.W_U[:, right] - model.W_U[:, wrong]).T
        return (through_frozen_norm(parts, residual, weight, epsilon, centred) * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        names = {"embed": "hook_embed", "pos_embed": "hook_pos_embed"}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"] = f"blocks.{layer}.hook_attn_out"
            names[f"mlp {layer}"] = f"blocks.{layer}.hook_mlp_out"
        residual = cache["resid_pre", model.cfg.n_layers - 1][:, -1]
        parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="stands in the middle of block")
class section:
    """What enters the last MLP gives the scale."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        direction = (model.W_U[:, right] - model.W_U[:, wrong]).T
        return (through_frozen_norm(parts, residual, weight, epsilon, centred) * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        names = {"embed": "hook_embed", "pos_embed": "hook_pos_embed"}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"] = f"blocks.{layer}.hook_attn_out"
            names[f"mlp {layer}"] = f"blocks.{layer}.hook_mlp_out"
        residual = cache["resid_mid", -1][:, -1]
        parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="at the first position")
class section:
    """The stream of another position gives the scale."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        direction = (model.W_U[:, right] - model.W_U[:, wrong]).T
        return (through_frozen_norm(parts, residual, weight, epsilon, centred) * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        names = {"embed": "hook_embed", "pos_embed": "hook_pos_embed"}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"] = f"blocks.{layer}.hook_attn_out"
            names[f"mlp {layer}"] = f"blocks.{layer}.hook_mlp_out"
        residual = cache["resid_post", -1][:, 0]
        parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="That is the `residual` of every part")
class section:
    """Each part at the scale of the stream that it was added to."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        direction = (model.W_U[:, right] - model.W_U[:, wrong]).T
        return (through_frozen_norm(parts, residual, weight, epsilon, centred) * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        names = {"embed": ("embed",), "pos_embed": ("pos_embed",)}
        before = {"embed": ("resid_pre", 0), "pos_embed": ("resid_pre", 0)}
        for layer in range(model.cfg.n_layers):
            names |= {f"attn {layer}": ("attn_out", layer), f"mlp {layer}": ("mlp_out", layer)}
            before |= {f"attn {layer}": ("resid_mid", layer), f"mlp {layer}": ("resid_post", layer)}
        result = {}
        for name, site in names.items():
            residual = cache[before[name]][:, -1]
            result[name] = to_logits(model, cache[site][:, -1].expand_as(residual)[None], residual, right, wrong)[0]
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="answers of the first sequence for all")
class section:
    """One direction for everybody."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        direction = model.W_U[:, right[0]] - model.W_U[:, wrong[0]]
        return (through_frozen_norm(parts, residual, weight, epsilon, centred) * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        names = {"embed": ("embed",), "pos_embed": ("pos_embed",)}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"], names[f"mlp {layer}"] = ("attn_out", layer), ("mlp_out", layer)
        _, cache = model.run_with_cache(tokens)
        residual = cache["resid_post", model.cfg.n_layers - 1][:, -1]
        parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="their order is not")
class section:
    """All attention layers first, then all MLPs."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        direction = (model.W_U[:, right] - model.W_U[:, wrong]).T
        return (through_frozen_norm(parts, residual, weight, epsilon, centred) * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        names = {"embed": ("embed",), "pos_embed": ("pos_embed",)}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"] = ("attn_out", layer)
        for layer in range(model.cfg.n_layers):
            names[f"mlp {layer}"] = ("mlp_out", layer)
        _, cache = model.run_with_cache(tokens)
        residual = cache["resid_post", model.cfg.n_layers - 1][:, -1]
        parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@mistake("04.7", says="model.b_U is not None here")
class section:
    """Takes every model for one without that bias."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        direction = (model.W_U[:, right] - model.W_U[:, wrong]).T
        return (through_frozen_norm(parts, residual, weight, epsilon, centred) * direction).sum(-1)

    def layer_contributions(model, tokens, right, wrong):
        names = {"embed": ("embed",), "pos_embed": ("pos_embed",)}
        for layer in range(model.cfg.n_layers):
            names[f"attn {layer}"], names[f"mlp {layer}"] = ("attn_out", layer), ("mlp_out", layer)
        _, cache = model.run_with_cache(tokens)
        residual = cache["resid_post", model.cfg.n_layers - 1][:, -1]
        parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
        result = dict(zip(names, to_logits(model, parts, residual, right, wrong)))
        result["norm bias"] = model.norm_parts(model.ln_final).bias @ (model.W_U[:, right] - model.W_U[:, wrong])
        result["b_U"] = torch.zeros(len(right))
        return result


@mistake("04.7", says="through the final norm by itself")
class section:
    """The norm itself for every part."""

    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        normed = model.ln_final(parts).double()
        logits = torch.einsum("pbd,dv->pbv", normed, model.W_U.double())
        rows = torch.arange(len(right))
        return logits[:, rows, right] - logits[:, rows, wrong]

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        residual = cache["resid_post", -1][:, -1]

        def one(x):
            return to_logits(model, x[None, :, -1].expand(1, *residual.shape), residual, right, wrong)[0]

        result = {"embed": one(cache["embed"]), "pos_embed": one(cache["pos_embed"])}
        for layer in range(model.cfg.n_layers):
            result[f"attn {layer}"] = one(cache["attn_out", layer])
            result[f"mlp {layer}"] = one(cache["mlp_out", layer])
        shift = model.norm_parts(model.ln_final).bias @ model.W_U
        result["norm bias"] = shift[right] - shift[wrong]
        result["b_U"] = right * 0.0 if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@right("04.7", how="with einsum, in double precision, part by part")
class section:
    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        normed = through_frozen_norm(parts.double(), residual.double(), weight.double(), epsilon, centred)
        logits = torch.einsum("pbd,dv->pbv", normed, model.W_U.double())
        rows = torch.arange(len(right))
        return logits[:, rows, right] - logits[:, rows, wrong]

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        residual = cache["resid_post", -1][:, -1]

        def one(x):
            return to_logits(model, x[None, :, -1].expand(1, *residual.shape), residual, right, wrong)[0]

        result = {"embed": one(cache["embed"]), "pos_embed": one(cache["pos_embed"])}
        for layer in range(model.cfg.n_layers):
            result[f"attn {layer}"] = one(cache["attn_out", layer])
            result[f"mlp {layer}"] = one(cache["mlp_out", layer])
        shift = model.norm_parts(model.ln_final).bias @ model.W_U
        result["norm bias"] = shift[right] - shift[wrong]
        result["b_U"] = right * 0.0 if model.b_U is None else model.b_U[right] - model.b_U[wrong]
        return result


@right("04.7", how="with differences of the stream for the layers, and the bias as what the norm makes of 0")
class section:
    def to_logits(model, parts, residual, right, wrong):
        weight, _, epsilon, centred = model.norm_parts(model.ln_final)
        rows = []
        for n in range(len(right)):
            direction = model.W_U[:, int(right[n])] - model.W_U[:, int(wrong[n])]
            normed = through_frozen_norm(parts[:, n : n + 1], residual[n : n + 1], weight, epsilon, centred)
            rows.append(normed[:, 0] @ direction)
        return torch.stack(rows, dim=1)

    def layer_contributions(model, tokens, right, wrong):
        _, cache = model.run_with_cache(tokens)
        last = cache["resid_post", model.cfg.n_layers - 1][:, -1]
        parts = {"embed": cache["embed"], "pos_embed": cache["resid_pre", 0] - cache["embed"]}
        for layer in range(model.cfg.n_layers):
            parts[f"attn {layer}"] = cache["resid_mid", layer] - cache["resid_pre", layer]
            parts[f"mlp {layer}"] = cache["resid_post", layer] - cache["resid_mid", layer]
        stacked = torch.stack([x[:, -1] for x in parts.values()])
        result = dict(zip(parts, to_logits(model, stacked, last, right, wrong).unbind()))
        constant = model.ln_final(torch.zeros_like(last))
        rows = torch.arange(len(right))
        biased, plain = model.unembed(constant), constant @ model.W_U
        for name, logits in (("norm bias", plain), ("b_U", biased - plain)):
            result[name] = logits[rows, right] - logits[rows, wrong]
        return result


# --- 04.8 -------------------------------------------------------------------------------------------------------------


@mistake("04.8", says="You use the W_O of another head")
def head_contributions(model, tokens, right, wrong):
    """Heads counted from 1 in the weights."""
    layers, last = range(model.cfg.n_layers), model.cfg.n_layers - 1
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", last][:, -1]
    heads, biases = [], []
    for layer in layers:
        W_O = model.W_O[layer].roll(-1, dims=0)
        outputs = torch.einsum("bhd,hdm->hbm", cache["z", layer][:, -1], W_O)
        heads.append(to_logits(model, outputs, residual, right, wrong).T)
        biases.append(to_logits(model, model.b_O[layer].expand(1, len(right), -1), residual, right, wrong)[0])
    return torch.stack(heads, dim=1), torch.stack(biases, dim=1)


@mistake("04.8", says="You average over positions")
def head_contributions(model, tokens, right, wrong):
    """z averaged over the sequence."""
    layers, last = range(model.cfg.n_layers), model.cfg.n_layers - 1
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", last][:, -1]
    heads, biases = [], []
    for layer in layers:
        outputs = torch.einsum("bhd,hdm->hbm", cache["z", layer].mean(1), model.W_O[layer])
        heads.append(to_logits(model, outputs, residual, right, wrong).T)
        biases.append(to_logits(model, model.b_O[layer].expand(1, len(right), -1), residual, right, wrong)[0])
    return torch.stack(heads, dim=1), torch.stack(biases, dim=1)


@mistake("04.8", says="b_O is spread over the heads")
def head_contributions(model, tokens, right, wrong):
    """An equal share of the bias for each head."""
    layers, last = range(model.cfg.n_layers), model.cfg.n_layers - 1
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", last][:, -1]
    heads = []
    for layer in layers:
        outputs = torch.einsum("bhd,hdm->hbm", cache["z", layer][:, -1], model.W_O[layer])
        outputs = outputs + model.b_O[layer] / model.cfg.n_heads
        heads.append(to_logits(model, outputs, residual, right, wrong).T)
    return torch.stack(heads, dim=1), torch.zeros(len(right), len(layers))


@mistake("04.8", says="model.b_O is not 0 in this model")
def head_contributions(model, tokens, right, wrong):
    """Forgets the bias."""
    layers, last = range(model.cfg.n_layers), model.cfg.n_layers - 1
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", last][:, -1]
    heads = []
    for layer in layers:
        outputs = torch.einsum("bhd,hdm->hbm", cache["z", layer][:, -1], model.W_O[layer])
        heads.append(to_logits(model, outputs, residual, right, wrong).T)
    return torch.stack(heads, dim=1), torch.zeros(len(right), len(layers))


@mistake("04.8", says="This is the first position")
def head_contributions(model, tokens, right, wrong):
    """Position 0."""
    layers, last = range(model.cfg.n_layers), model.cfg.n_layers - 1
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", last][:, -1]
    heads, biases = [], []
    for layer in layers:
        outputs = torch.einsum("bhd,hdm->hbm", cache["z", layer][:, 0], model.W_O[layer])
        heads.append(to_logits(model, outputs, residual, right, wrong).T)
        biases.append(to_logits(model, model.b_O[layer].expand(1, len(right), -1), residual, right, wrong)[0])
    return torch.stack(heads, dim=1), torch.stack(biases, dim=1)


@mistake("04.8", says="Each head is divided by its own scale")
def head_contributions(model, tokens, right, wrong):
    """Hands each head's own output as the whole stream."""
    layers = range(model.cfg.n_layers)
    _, cache = model.run_with_cache(tokens)
    heads, biases = [], []
    for layer in layers:
        outputs = torch.einsum("bhd,hdm->hbm", cache["z", layer][:, -1], model.W_O[layer])
        heads.append(torch.cat([to_logits(model, out[None], out, right, wrong) for out in outputs]).T)
        bias = model.b_O[layer].expand(len(right), -1)
        biases.append(to_logits(model, bias[None], bias, right, wrong)[0])
    return torch.stack(heads, dim=1), torch.stack(biases, dim=1)


@mistake("04.8", says="stream that leaves the LAST block")
def head_contributions(model, tokens, right, wrong):
    """The stream that enters the model gives the scale."""
    layers = range(model.cfg.n_layers)
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_pre", 0][:, -1]
    heads, biases = [], []
    for layer in layers:
        outputs = torch.einsum("bhd,hdm->hbm", cache["z", layer][:, -1], model.W_O[layer])
        heads.append(to_logits(model, outputs, residual, right, wrong).T)
        biases.append(to_logits(model, model.b_O[layer].expand(1, len(right), -1), residual, right, wrong)[0])
    return torch.stack(heads, dim=1), torch.stack(biases, dim=1)


@mistake("04.8", says="b_O is added to every head")
def head_contributions(model, tokens, right, wrong):
    """The whole bias with each head."""
    n_layers = model.cfg.n_layers
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", n_layers - 1][:, -1]
    heads, biases = [], []
    for layer in range(n_layers):
        outputs = torch.einsum("bhd,hdm->hbm", cache["z", layer][:, -1], model.W_O[layer]) + model.b_O[layer]
        heads.append(to_logits(model, outputs, residual, right, wrong).T)
        biases.append(to_logits(model, model.b_O[layer].expand(1, len(right), -1), residual, right, wrong)[0])
    return torch.stack(heads, dim=1), torch.stack(biases, dim=1)


@mistake("04.8", says="You use the W_O of another layer")
def head_contributions(model, tokens, right, wrong):
    """Layers counted from the end in the weights."""
    n_layers = model.cfg.n_layers
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", n_layers - 1][:, -1]
    heads, biases = [], []
    for layer in range(n_layers):
        outputs = torch.einsum("bhd,hdm->hbm", cache["z", layer][:, -1], model.W_O[layer - 1])
        heads.append(to_logits(model, outputs, residual, right, wrong).T)
        biases.append(to_logits(model, model.b_O[layer].expand(1, len(right), -1), residual, right, wrong)[0])
    return torch.stack(heads, dim=1), torch.stack(biases, dim=1)


@mistake("04.8", says="those of layer 0")
def head_contributions(model, tokens, right, wrong):
    """The layer is forgotten where the bias is read."""
    n_layers = model.cfg.n_layers
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", n_layers - 1][:, -1]
    heads, biases = [], []
    for layer in range(n_layers):
        outputs = torch.einsum("bhd,hdm->hbm", cache["z", layer][:, -1], model.W_O[layer])
        heads.append(to_logits(model, outputs, residual, right, wrong).T)
        biases.append(to_logits(model, model.b_O[0].expand(1, len(right), -1), residual, right, wrong)[0])
    return torch.stack(heads, dim=1), torch.stack(biases, dim=1)


@mistake("04.8", says="The axes batch and head are exchanged")
def head_contributions(model, tokens, right, wrong):
    """Stacks what to_logits gives as it comes."""
    n_layers = model.cfg.n_layers
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", n_layers - 1][:, -1]
    heads, biases = [], []
    for layer in range(n_layers):
        outputs = torch.einsum("bhd,hdm->hbm", cache["z", layer][:, -1], model.W_O[layer])
        heads.append(to_logits(model, outputs, residual, right, wrong))
        biases.append(to_logits(model, model.b_O[layer].expand(1, len(right), -1), residual, right, wrong)[0])
    return torch.stack(heads, dim=1), torch.stack(biases, dim=1)


@mistake("04.8", says="For each layer the scale is that of the stream which leaves it")
def head_contributions(model, tokens, right, wrong):
    """The stream after each block, where the final norm sees the last."""
    _, cache = model.run_with_cache(tokens)
    heads = torch.zeros(len(right), model.cfg.n_layers, model.cfg.n_heads, dtype=torch.float64)
    whole = torch.zeros(len(right), model.cfg.n_layers, dtype=torch.float64)
    for layer in range(model.cfg.n_layers):
        residual = cache["resid_post", layer][:, -1].double()
        whole[:, layer] = to_logits(model, cache["attn_out", layer][None, :, -1].double(), residual, right, wrong)[0]
        for head in range(model.cfg.n_heads):
            out = cache["z", layer][:, -1, head].double() @ model.W_O[layer, head].double()
            heads[:, layer, head] = to_logits(model, out[None], residual, right, wrong)[0]
    return heads, whole - heads.sum(-1)


@right("04.8", how="with the site that holds each head's result")
def head_contributions(model, tokens, right, wrong):
    last = ("resid_post", model.cfg.n_layers - 1)
    _, cache = model.run_with_cache(tokens, [*(("result", layer) for layer in range(model.cfg.n_layers)), last])
    residual = cache[last][:, -1]
    results = cache.stack("result")[:, :, -1]  # [layer batch head d_model]
    n_layers, batch, n_heads, d = results.shape
    parts = results.permute(0, 2, 1, 3).reshape(-1, batch, d)
    values = to_logits(model, parts, residual, right, wrong).view(n_layers, n_heads, batch)
    biases = to_logits(model, model.b_O[:, None].expand(-1, batch, -1), residual, right, wrong)
    return values.permute(2, 0, 1), biases.T


@right("04.8", how="with loops, in double precision, and the bias as what the heads leave over")
def head_contributions(model, tokens, right, wrong):
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", -1][:, -1].double()
    heads = torch.zeros(len(right), model.cfg.n_layers, model.cfg.n_heads, dtype=torch.float64)
    whole = torch.zeros(len(right), model.cfg.n_layers, dtype=torch.float64)
    for layer in range(model.cfg.n_layers):
        whole[:, layer] = to_logits(model, cache["attn_out", layer][None, :, -1].double(), residual, right, wrong)[0]
        for head in range(model.cfg.n_heads):
            out = cache["z", layer][:, -1, head].double() @ model.W_O[layer, head].double()
            heads[:, layer, head] = to_logits(model, out[None], residual, right, wrong)[0]
    return heads, whole - heads.sum(-1)


# --- 04.9 -------------------------------------------------------------------------------------------------------------


@mistake("04.9", says="BEFORE the activation function")
def neuron_contributions(model, tokens, layer, right, wrong):
    """pre for post."""
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", -1][:, -1]
    parts = cache["pre", layer][:, -1].T[:, :, None] * model.W_out[layer][:, None]
    bias = model.b_out[layer].expand(1, len(right), -1)
    return to_logits(model, parts, residual, right, wrong).T, to_logits(model, bias, residual, right, wrong)[0]


@mistake("04.9", says="W_out is transposed")
def neuron_contributions(model, tokens, layer, right, wrong):
    """The transpose that Conv1D and Linear disagree about; it fits where there are d_model neurons."""
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", -1][:, -1]
    W_out = model.W_out[layer].T if model.W_out.shape[1] == model.W_out.shape[2] else model.W_out[layer]
    parts = cache["post", layer][:, -1].T[:, :, None] * W_out[:, None]
    bias = model.b_out[layer].expand(1, len(right), -1)
    return to_logits(model, parts, residual, right, wrong).T, to_logits(model, bias, residual, right, wrong)[0]


@mistake("04.9", says="b_out is spread over the neurons")
def neuron_contributions(model, tokens, layer, right, wrong):
    """An equal share of the bias for each neuron."""
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", -1][:, -1]
    parts = cache["post", layer][:, -1].T[:, :, None] * model.W_out[layer][:, None]
    parts = parts + model.b_out[layer] / len(parts)
    return to_logits(model, parts, residual, right, wrong).T, torch.zeros(len(right))


@mistake("04.9", says="model.b_out is not 0 in this model")
def neuron_contributions(model, tokens, layer, right, wrong):
    """Forgets the bias."""
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", -1][:, -1]
    parts = cache["post", layer][:, -1].T[:, :, None] * model.W_out[layer][:, None]
    return to_logits(model, parts, residual, right, wrong).T, torch.zeros(len(right))


@mistake("04.9", says="The activation is missing")
def neuron_contributions(model, tokens, layer, right, wrong):
    """Only the weights: what a neuron would say."""
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", -1][:, -1]
    parts = model.W_out[layer][:, None].expand(-1, len(right), -1)
    bias = model.b_out[layer].expand(1, len(right), -1)
    return to_logits(model, parts, residual, right, wrong).T, to_logits(model, bias, residual, right, wrong)[0]


@mistake("04.9", says="It belongs to none of them")
def neuron_contributions(model, tokens, layer, right, wrong):
    """The whole bias on each neuron."""
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", -1][:, -1]
    parts = cache["post", layer][:, -1].T[:, :, None] * model.W_out[layer][:, None] + model.b_out[layer]
    bias = model.b_out[layer].expand(1, len(right), -1)
    return to_logits(model, parts, residual, right, wrong).T, to_logits(model, bias, residual, right, wrong)[0]


@mistake("04.9", says="stream that leaves the LAST block")
def neuron_contributions(model, tokens, layer, right, wrong):
    """The scale of what enters this block."""
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_pre", layer][:, -1]
    parts = cache["post", layer][:, -1].T[:, :, None] * model.W_out[layer][:, None]
    bias = model.b_out[layer].expand(1, len(right), -1)
    neurons = to_logits(model, parts, residual, right, wrong)
    return neurons.T, to_logits(model, bias, residual, right, wrong)[0]


@mistake("04.9", says="These are the neurons of the last layer")
def neuron_contributions(model, tokens, layer, right, wrong):
    """Takes no account of `layer`."""
    last = model.cfg.n_layers - 1
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", last][:, -1]
    parts = cache[("post", last)][:, -1].T[:, :, None] * model.W_out[last][:, None]
    bias = model.b_out[layer].expand(1, len(right), -1)
    neurons = to_logits(model, parts, residual, right, wrong)
    return neurons.T, to_logits(model, bias, residual, right, wrong)[0]


@mistake("04.9", says="This is the first position")
def neuron_contributions(model, tokens, layer, right, wrong):
    """The wrong end of the text."""
    last = model.cfg.n_layers - 1
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", last][:, -1]
    parts = cache[("post", layer)][:, 0].T[:, :, None] * model.W_out[layer][:, None]
    bias = model.b_out[layer].expand(1, len(right), -1)
    neurons = to_logits(model, parts, residual, right, wrong)
    return neurons.T, to_logits(model, bias, residual, right, wrong)[0]


@mistake("04.9", says="You apply a ReLU of your own")
def neuron_contributions(model, tokens, layer, right, wrong):
    """ReLU, where the model has another function."""
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", -1][:, -1].double()
    parts = torch.stack(
        [torch.diag(a.double()) @ model.W_out[layer].double() for a in cache["pre", layer][:, -1].relu()], 1
    )
    bias = model.b_out[layer].double().repeat(1, len(right), 1)
    return to_logits(model, parts, residual, right, wrong).mT, to_logits(model, bias, residual, right, wrong).squeeze(0)


@right("04.9", how="with a diagonal matrix of activations, in double precision")
def neuron_contributions(model, tokens, layer, right, wrong):
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", -1][:, -1].double()
    parts = torch.stack([torch.diag(a.double()) @ model.W_out[layer].double() for a in cache["post", layer][:, -1]], 1)
    bias = model.b_out[layer].double().repeat(1, len(right), 1)
    return to_logits(model, parts, residual, right, wrong).mT, to_logits(model, bias, residual, right, wrong).squeeze(0)


@right("04.9", how="with what each unit neuron writes, times its activation; the bias by difference")
def neuron_contributions(model, tokens, layer, right, wrong):
    _, cache = model.run_with_cache(tokens, [("post", layer), ("mlp_out", layer), ("resid_post", -1)])
    residual = cache["resid_post", -1][:, -1]
    unit = to_logits(model, model.W_out[layer][:, None].expand(-1, len(right), -1), residual, right, wrong)
    neurons = torch.einsum("nb,bn->bn", unit, cache["post", layer][:, -1])
    whole = to_logits(model, cache["mlp_out", layer][None, :, -1], residual, right, wrong)[0]
    return [neurons, whole - neurons.sum(1)]


# --- 04.10 ------------------------------------------------------------------------------------------------------------


@mistake("04.10", says="The attention is missing")
def source_contributions(model, tokens, layer, head, right, wrong):
    """What each source would say, however little it is looked at."""
    _, cache = model.run_with_cache(tokens)
    written = cache["v", layer][:, :, head] @ model.W_O[layer, head]
    return to_logits(model, written.transpose(0, 1), cache["resid_post", -1][:, -1], right, wrong).T


@mistake("04.10", says="Query and key are exchanged")
def source_contributions(model, tokens, layer, head, right, wrong):
    """A column of the pattern."""
    _, cache = model.run_with_cache(tokens)
    attention = cache["pattern", layer][:, head, :, -1]
    written = (attention[:, :, None] * cache["v", layer][:, :, head]) @ model.W_O[layer, head]
    return to_logits(model, written.transpose(0, 1), cache["resid_post", -1][:, -1], right, wrong).T


@mistake("04.10", says="You use the W_O of another head")
def source_contributions(model, tokens, layer, head, right, wrong):
    """The next slice of W_O."""
    _, cache = model.run_with_cache(tokens)
    attention = cache["pattern", layer][:, head, -1]
    W_O = model.W_O[layer, (head + 1) % model.cfg.n_heads]
    written = (attention[:, :, None] * cache["v", layer][:, :, head]) @ W_O
    return to_logits(model, written.transpose(0, 1), cache["resid_post", -1][:, -1], right, wrong).T


@mistake("04.10", says="what the first position reads")
def source_contributions(model, tokens, layer, head, right, wrong):
    """Query 0."""
    _, cache = model.run_with_cache(tokens)
    attention = cache["pattern", layer][:, head, 0]
    written = (attention[:, :, None] * cache["v", layer][:, :, head]) @ model.W_O[layer, head]
    return to_logits(model, written.transpose(0, 1), cache["resid_post", -1][:, -1], right, wrong).T


@mistake("04.10", says="This is the sum over sources")
def source_contributions(model, tokens, layer, head, right, wrong):
    """The head as a whole."""
    _, cache = model.run_with_cache(tokens)
    written = cache["z", layer][:, -1, head] @ model.W_O[layer, head]
    return to_logits(model, written[None], cache["resid_post", -1][:, -1], right, wrong)[0]


@mistake("04.10", says="These are the values of another head")
def source_contributions(model, tokens, layer, head, right, wrong):
    """v of the neighbour."""
    _, cache = model.run_with_cache(tokens)
    attention = cache["pattern", layer][:, head, -1]
    v = cache["v", layer][:, :, (head + 1) % model.cfg.n_heads]
    written = (attention[:, :, None] * v) @ model.W_O[layer, head]
    return to_logits(model, written.transpose(0, 1), cache["resid_post", -1][:, -1], right, wrong).T


@mistake("04.10", says="stream that leaves the LAST block")
def source_contributions(model, tokens, layer, head, right, wrong):
    """The scale of what enters this block."""
    _, cache = model.run_with_cache(tokens)
    attention = cache["pattern", layer][:, head, -1]
    written = (attention[:, :, None] * cache["v", layer][:, :, head]) @ model.W_O[layer, head]
    return to_logits(model, written.transpose(0, 1), cache["resid_pre", layer][:, -1], right, wrong).T


@mistake("04.10", says="This is head 0")
def source_contributions(model, tokens, layer, head, right, wrong):
    """Takes no account of `head`."""
    _, cache = model.run_with_cache(tokens)
    attention = cache["pattern", layer][:, 0, -1]
    written = (attention[:, :, None] * cache["v", layer][:, :, 0]) @ model.W_O[layer, 0]
    return to_logits(model, written.transpose(0, 1), cache["resid_post", -1][:, -1], right, wrong).T


@mistake("04.10", says="This is the sum over all heads")
def source_contributions(model, tokens, layer, head, right, wrong):
    """The whole layer, source by source."""
    _, cache = model.run_with_cache(tokens)
    written = torch.einsum("bhs,bshd,hdm->sbm", cache["pattern", layer][:, :, -1], cache["v", layer], model.W_O[layer])
    return to_logits(model, written, cache["resid_post", -1][:, -1], right, wrong).T


@mistake("04.10", says="This is the attention itself")
def source_contributions(model, tokens, layer, head, right, wrong):
    """Takes looking for writing."""
    _, cache = model.run_with_cache(tokens, ("pattern", layer))
    return cache["pattern", layer][:, head, -1]


@right("04.10", how="with one einsum")
def source_contributions(model, tokens, layer, head, right, wrong):
    _, cache = model.run_with_cache(tokens)
    pattern, v = cache["pattern", layer], cache["v", layer]
    parts = torch.einsum("bs,bsd,dm->sbm", pattern[:, head, -1], v[:, :, head], model.W_O[layer, head])
    return to_logits(model, parts, cache["resid_post", -1][:, -1], right, wrong).transpose(0, 1)


@right("04.10", how="source by source, in double precision")
def source_contributions(model, tokens, layer, head, right, wrong):
    _, cache = model.run_with_cache(tokens)
    residual = cache["resid_post", -1][:, -1].double()
    columns = []
    for source in range(tokens.shape[1]):
        out = cache["v", layer][:, source, head].double() @ model.W_O[layer, head].double()
        share = to_logits(model, out[None], residual, right, wrong)[0]
        columns.append(cache["pattern", layer][:, head, -1, source] * share)
    return torch.stack(columns, dim=1)


# --- 04.11 ------------------------------------------------------------------------------------------------------------


@mistake("04.11", says="You patch what LEAVES each block")
def patch_residual(model, clean, corrupt, right, wrong):
    """After the block instead of before it."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean)

    def put(layer, pos):
        def edit(x, hook):
            x = x.clone()
            x[:, pos] = cache["resid_post", layer][:, pos]
            return x

        return ("resid_post", layer), edit

    m = lambda x: x[:, -1, right] - x[:, -1, wrong]
    patched = m(model.run_edits(corrupt, [put(layer, pos) for layer in layers for pos in positions]))
    return ((patched - m(model(corrupt))) / (m(logits) - m(model(corrupt)))).view(len(layers), -1)


@mistake("04.11", says="You put the corrupt stream into the clean run")
def patch_residual(model, clean, corrupt, right, wrong):
    """Noising for denoising: the corrupt stream into the clean run, on the scale of the other."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(corrupt)

    def put(layer, pos):
        def edit(x, hook):
            x = x.clone()
            x[:, pos] = cache["resid_pre", layer][:, pos]
            return x

        return ("resid_pre", layer), edit

    m = lambda x: x[:, -1, right] - x[:, -1, wrong]
    patched = m(model.run_edits(clean, [put(layer, pos) for layer in layers for pos in positions]))
    return ((patched - m(logits)) / (m(model(clean)) - m(logits))).view(len(layers), -1)


@mistake("04.11", says="The two prompts are exchanged")
def patch_residual(model, clean, corrupt, right, wrong):
    """The same, on its own scale."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(corrupt)

    def put(layer, pos):
        def edit(x, hook):
            x = x.clone()
            x[:, pos] = cache["resid_pre", layer][:, pos]
            return x

        return ("resid_pre", layer), edit

    m = lambda x: x[:, -1, right] - x[:, -1, wrong]
    patched = m(model.run_edits(clean, [put(layer, pos) for layer in layers for pos in positions]))
    return ((patched - m(model(clean))) / (m(logits) - m(model(clean)))).view(len(layers), -1)


@mistake("04.11", says="Divide by m_clean − m_corrupt")
def patch_residual(model, clean, corrupt, right, wrong):
    """Not normalised."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    _, cache = model.run_with_cache(clean)

    def put(layer, pos):
        def edit(x, hook):
            x = x.clone()
            x[:, pos] = cache["resid_pre", layer][:, pos]
            return x

        return ("resid_pre", layer), edit

    m = lambda x: x[:, -1, right] - x[:, -1, wrong]
    patched = m(model.run_edits(corrupt, [put(layer, pos) for layer in layers for pos in positions]))
    return (patched - m(model(corrupt))).view(len(layers), -1)


@mistake("04.11", says="All edits take the same vector")
def patch_residual(model, clean, corrupt, right, wrong):
    """Functions made in a loop, which all see its last values."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean)
    edits = []
    layer = pos = 0

    def edit(x, hook):
        x = x.clone()
        x[:, pos] = cache["resid_pre", layer][:, pos]
        return x

    for layer in layers:
        for pos in positions:  # noqa: B007
            edits.append((("resid_pre", layer), edit))
    m = lambda x: x[:, -1, right] - x[:, -1, wrong]
    patched = m(model.run_edits(corrupt, edits))
    return ((patched - m(model(corrupt))) / (m(logits) - m(model(corrupt)))).view(len(layers), -1)


@mistake("04.11", says="Replace one")
def patch_residual(model, clean, corrupt, right, wrong):
    """The whole stream of a layer at once."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean)
    edits = [(("resid_pre", layer), lambda x, hook: cache[hook.name]) for layer in layers for _ in positions]
    m = lambda x: x[:, -1, right] - x[:, -1, wrong]
    patched = m(model.run_edits(corrupt, edits))
    return ((patched - m(model(corrupt))) / (m(logits) - m(model(corrupt)))).view(len(layers), -1)


@mistake("04.11", says="The sign is wrong")
def patch_residual(model, clean, corrupt, right, wrong):
    """wrong minus right in the patched runs, and the ratio turned with it."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean)

    def put(layer, pos):
        def edit(x, hook):
            x = x.clone()
            x[:, pos] = cache["resid_pre", layer][:, pos]
            return x

        return ("resid_pre", layer), edit

    m = lambda x: x[:, -1, right] - x[:, -1, wrong]
    patched = m(model.run_edits(corrupt, [put(layer, pos) for layer in layers for pos in positions]))
    return ((m(model(corrupt)) - patched) / (m(logits) - m(model(corrupt)))).view(len(layers), -1)


@mistake("04.11", says="does your edit return the new value?")
def patch_residual(model, clean, corrupt, right, wrong):
    """Writes into the CACHE instead of into the run: the corrupt stream over the clean one, and nothing returned."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean)

    def put(layer, pos):
        def edit(x, hook):
            cache["resid_pre", layer][:, pos] = x[:, pos]

        return ("resid_pre", layer), edit

    m = lambda x: x[:, -1, right] - x[:, -1, wrong]
    patched = m(model.run_edits(corrupt, [put(layer, pos) for layer in layers for pos in positions]))
    return ((patched - m(model(corrupt))) / (m(logits) - m(model(corrupt)))).view(len(layers), -1)


@mistake("04.11", says="this position and all LATER ones")
def patch_residual(model, clean, corrupt, right, wrong):
    """A slice from the position on."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean)

    def put(layer, pos):
        def edit(x, hook):
            x = x.clone()
            x[:, pos:] = cache["resid_pre", layer][:, pos:]
            return x

        return ("resid_pre", layer), edit

    m = lambda x: x[:, -1, right] - x[:, -1, wrong]
    patched = m(model.run_edits(corrupt, [put(layer, pos) for layer in layers for pos in positions]))
    return ((patched - m(model(corrupt))) / (m(logits) - m(model(corrupt)))).view(len(layers), -1)


@mistake("04.11", says="this position and all EARLIER ones")
def patch_residual(model, clean, corrupt, right, wrong):
    """A slice up to the position."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean)

    def put(layer, pos):
        def edit(x, hook):
            x = x.clone()
            x[:, : pos + 1] = cache["resid_pre", layer][:, : pos + 1]
            return x

        return ("resid_pre", layer), edit

    m = lambda x: x[:, -1, right] - x[:, -1, wrong]
    patched = m(model.run_edits(corrupt, [put(layer, pos) for layer in layers for pos in positions]))
    return ((patched - m(model(corrupt))) / (m(logits) - m(model(corrupt)))).view(len(layers), -1)


@mistake("04.11", says="read at the position that you patch")
def patch_residual(model, clean, corrupt, right, wrong):
    """Looks at what is predicted at the patched position."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean)

    def put(layer, pos):
        def edit(x, hook):
            x = x.clone()
            x[:, pos] = cache["resid_pre", layer][:, pos]
            return x

        return ("resid_pre", layer), edit

    runs = model.run_edits(corrupt, [put(layer, pos) for layer in layers for pos in positions])
    m = lambda x: x[..., right] - x[..., wrong]
    low, high = m(model(corrupt))[0], m(logits)[0]
    patched = m(runs).view(len(layers), len(positions), -1).diagonal(dim1=1, dim2=2)
    return (patched - low) / (high - low)


@mistake("04.11", says="read at all positions")
def patch_residual(model, clean, corrupt, right, wrong):
    """The difference of logits, averaged over positions."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean)

    def put(layer, pos):
        def edit(x, hook):
            x = x.clone()
            x[:, pos] = cache["resid_pre", layer][:, pos]
            return x

        return ("resid_pre", layer), edit

    m = lambda x: (x[..., right] - x[..., wrong]).mean(-1)
    patched = m(model.run_edits(corrupt, [put(layer, pos) for layer in layers for pos in positions]))
    return ((patched - m(model(corrupt))) / (m(logits) - m(model(corrupt)))).view(len(layers), -1)


@mistake("04.11", says="You divide by m_clean alone")
def patch_residual(model, clean, corrupt, right, wrong):
    """A share of the clean difference."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean)

    def put(layer, pos):
        def edit(x, hook):
            x = x.clone()
            x[:, pos] = cache["resid_pre", layer][:, pos]
            return x

        return ("resid_pre", layer), edit

    m = lambda x: x[:, -1, right] - x[:, -1, wrong]
    patched = m(model.run_edits(corrupt, [put(layer, pos) for layer in layers for pos in positions]))
    m_clean, m_corrupt = m(logits), m(model(corrupt))
    return ((patched - m_corrupt) / m_clean).view(len(layers), -1)


@mistake("04.11", says="You forgot to subtract m_corrupt above the line")
def patch_residual(model, clean, corrupt, right, wrong):
    """Half of the ratio."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean)

    def put(layer, pos):
        def edit(x, hook):
            x = x.clone()
            x[:, pos] = cache["resid_pre", layer][:, pos]
            return x

        return ("resid_pre", layer), edit

    m = lambda x: x[:, -1, right] - x[:, -1, wrong]
    patched = m(model.run_edits(corrupt, [put(layer, pos) for layer in layers for pos in positions]))
    m_clean, m_corrupt = m(logits), m(model(corrupt))
    return (patched / (m_clean - m_corrupt)).view(len(layers), -1)


@mistake("04.11", says="This is for `right` alone")
def patch_residual(model, clean, corrupt, right, wrong):
    """One token instead of a difference."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean)

    def put(layer, pos):
        def edit(x, hook):
            x = x.clone()
            x[:, pos] = cache["resid_pre", layer][:, pos]
            return x

        return ("resid_pre", layer), edit

    m = lambda x: x[:, -1, right]
    patched = m(model.run_edits(corrupt, [put(layer, pos) for layer in layers for pos in positions]))
    m_clean, m_corrupt = m(logits), m(model(corrupt))
    return ((patched - m_corrupt) / (m_clean - m_corrupt)).view(len(layers), -1)


@mistake("04.11", says="or the middle of it")
def patch_residual(model, clean, corrupt, right, wrong):
    """Between attention and MLP."""
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean)

    def put(layer, pos):
        def edit(x, hook):
            x = x.clone()
            x[:, pos] = cache["resid_mid", layer][:, pos]
            return x

        return ("resid_mid", layer), edit

    m = lambda x: x[:, -1, right] - x[:, -1, wrong]
    patched = m(model.run_edits(corrupt, [put(layer, pos) for layer in layers for pos in positions]))
    m_clean, m_corrupt = m(logits), m(model(corrupt))
    return ((patched - m_corrupt) / (m_clean - m_corrupt)).view(len(layers), -1)


@mistake("04.11", says="These are differences of probabilities")
def patch_residual(model, clean, corrupt, right, wrong):
    """Softmax first."""
    _, cache = model.run_with_cache(clean)

    def m(logits):
        return float(logits.softmax(-1)[0, -1, right] - logits.softmax(-1)[0, -1, wrong])

    high, low = m(model(clean)), m(model(corrupt))
    table = []
    for layer in range(model.cfg.n_layers):
        table.append([])
        for pos in range(clean.shape[1]):

            def edit(x, hook, layer=layer, pos=pos):
                x[:, pos] = cache["resid_pre", layer][:, pos]
                return x

            logits = model.run_with_hooks(corrupt, [(f"blocks.{layer}.hook_resid_pre", edit)])
            table[-1].append((m(logits) - low) / (high - low))
    return table


@right("04.11", how="one run after another, in a loop")
def patch_residual(model, clean, corrupt, right, wrong):
    _, cache = model.run_with_cache(clean)

    def m(logits):
        return float(logits[0, -1, right] - logits[0, -1, wrong])

    high, low = m(model(clean)), m(model(corrupt))
    table = []
    for layer in range(model.cfg.n_layers):
        table.append([])
        for pos in range(clean.shape[1]):

            def edit(x, hook, layer=layer, pos=pos):
                x[:, pos] = cache["resid_pre", layer][:, pos]
                return x

            logits = model.run_with_hooks(corrupt, [(f"blocks.{layer}.hook_resid_pre", edit)])
            table[-1].append((m(logits) - low) / (high - low))
    return table


@right("04.11", how="with torch.where over a mask, as numpy in double precision")
def patch_residual(model, clean, corrupt, right, wrong):
    n = clean.shape[1]
    stream = residual_stream(model, clean)

    def put(layer, pos):
        here = (torch.arange(n) == pos)[None, :, None]
        return [(("resid_pre", layer), lambda x, hook: torch.where(here, stream[layer], x))]

    edits = [put(layer, pos) for pos in range(n) for layer in range(model.cfg.n_layers)]
    runs = torch.cat([model(clean), model(corrupt), model.run_edits(corrupt, edits)])[:, -1].double()
    m = runs[:, right] - runs[:, wrong]
    return ((m[2:] - m[1]) / (m[0] - m[1])).view(n, -1).numpy().T


# --- 04.12 ------------------------------------------------------------------------------------------------------------


@mistake("04.12", says="Average over all pairs")
class section:
    """One pair."""

    def find_recall(model, pairs):
        clean, corrupt, right, wrong = pairs[0]
        best, where = -1e9, (0, 0)
        for layer in range(model.cfg.n_layers):
            for head in range(model.cfg.n_heads):
                x = swap_answer(model, corrupt, clean, layer, head)
                if float(x[right] - x[wrong]) > best:
                    best, where = float(x[right] - x[wrong]), (layer, head)
        return where

    def swap_answer(model, tokens, other, layer, head):
        _, cache = model.run_with_cache(other, ("z", layer))

        def edit(z, hook):
            z = z.clone()
            z[:, -1, head] = cache["z", layer][:, -1, head]
            return z

        return model.run_with_hooks(tokens, [(("z", layer), edit)])[0, -1]


@mistake("04.12", says="Replace it at the last one")
class section:
    """The head at every position."""

    def find_recall(model, pairs):
        heads = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
        total = 0.0
        for clean, corrupt, a, b in pairs:
            swapped = [swap_answer(model, corrupt, clean, *place) for place in heads]
            runs = torch.stack([model(clean)[0, -1], model(corrupt)[0, -1], *swapped])
            m = runs[:, a] - runs[:, b]
            total = total + (m[2:] - m[1]) / (m[0] - m[1])
        return heads[int(total.argmax())]

    def swap_answer(model, tokens, other, layer, head):
        _, cache = model.run_with_cache(other, ("z", layer))

        def edit(z, hook):
            z = z.clone()
            z[:, :, head] = cache["z", layer][:, :, head]
            return z

        return model.run_with_hooks(tokens, [(("z", layer), edit)])[0, -1]


@mistake("04.12", says="Replace one head")
class section:
    """The whole layer."""

    def find_recall(model, pairs):
        heads = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
        total = 0.0
        for clean, corrupt, a, b in pairs:
            swapped = [swap_answer(model, corrupt, clean, *place) for place in heads]
            runs = torch.stack([model(clean)[0, -1], model(corrupt)[0, -1], *swapped])
            m = runs[:, a] - runs[:, b]
            total = total + (m[2:] - m[1]) / (m[0] - m[1])
        return heads[int(total.argmax())]

    def swap_answer(model, tokens, other, layer, head):
        _, cache = model.run_with_cache(other, ("z", layer))

        def edit(z, hook):
            z = z.clone()
            z[:, -1] = cache["z", layer][:, -1]
            return z

        return model.run_with_hooks(tokens, [(("z", layer), edit)])[0, -1]


@mistake("04.12", says="You look for the smallest ratio")
class section:
    """argmin."""

    def find_recall(model, pairs):
        rows = []
        for clean, corrupt, a, b in pairs:
            runs = torch.stack(
                [model(clean)[0, -1], model(corrupt)[0, -1]]
                + [
                    swap_answer(model, corrupt, clean, layer, head)
                    for layer in range(model.cfg.n_layers)
                    for head in range(model.cfg.n_heads)
                ]
            )
            m = runs[:, a] - runs[:, b]
            rows.append((m[2:] - m[1]) / (m[0] - m[1]))
        return divmod(int(torch.stack(rows).mean(0).argmin()), model.cfg.n_heads)

    def swap_answer(model, tokens, other, layer, head):
        _, cache = model.run_with_cache(other, ("z", layer))

        def edit(z, hook):
            z = z.clone()
            z[:, -1, head] = cache["z", layer][:, -1, head]
            return z

        return model.run_with_hooks(tokens, [(("z", layer), edit)])[0, -1]


@mistake("04.12", says="You replace z at every position")
class section:
    """In `find_recall` alone: z at all positions, where the last is asked for."""

    def find_recall(model, pairs):
        heads = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]

        def take(z_other, head):
            def edit(z, hook):
                z = z.clone()
                z[:, :, head] = z_other[:, :, head]
                return z

            return edit

        ratios = []
        for clean, corrupt, a, b in pairs:
            logits, cache = model.run_with_cache(clean)
            edits = [(("z", layer), take(cache["z", layer], head)) for layer, head in heads]
            runs = torch.cat([logits[:, -1], model(corrupt)[:, -1], model.run_edits(corrupt, edits)[:, -1]])
            m = runs[:, a] - runs[:, b]
            ratios.append((m[2:] - m[1]) / (m[0] - m[1]))
        return heads[int(torch.stack(ratios).mean(0).argmax())]

    def swap_answer(model, tokens, other, layer, head):
        _, cache = model.run_with_cache(other, ("z", layer))

        def edit(z, hook):
            z = z.clone()
            z[:, -1, head] = cache["z", layer][:, -1, head]
            return z

        return model.run_with_hooks(tokens, [(("z", layer), edit)])[0, -1]


@mistake("04.12", says="the run that is edited is the corrupt one")
class section:
    """Noising for denoising."""

    def find_recall(model, pairs):
        heads = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]

        def take(z_other, head):
            def edit(z, hook):
                z = z.clone()
                z[:, -1, head] = z_other[:, -1, head]
                return z

            return edit

        ratios = []
        for clean, corrupt, a, b in pairs:
            logits, cache = model.run_with_cache(corrupt)
            edits = [(("z", layer), take(cache["z", layer], head)) for layer, head in heads]
            runs = torch.cat([logits[:, -1], model(clean)[:, -1], model.run_edits(clean, edits)[:, -1]])
            m = runs[:, a] - runs[:, b]
            ratios.append((m[2:] - m[1]) / (m[0] - m[1]))
        return heads[int(torch.stack(ratios).mean(0).argmax())]

    def swap_answer(model, tokens, other, layer, head):
        _, cache = model.run_with_cache(other, ("z", layer))

        def edit(z, hook):
            z = z.clone()
            z[:, -1, head] = cache["z", layer][:, -1, head]
            return z

        return model.run_with_hooks(tokens, [(("z", layer), edit)])[0, -1]


@mistake("04.12", says="Divide by m_clean − m_corrupt first")
class section:
    """The bare change of the logit difference."""

    def find_recall(model, pairs):
        heads = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]

        def take(z_other, head):
            def edit(z, hook):
                z = z.clone()
                z[:, -1, head] = z_other[:, -1, head]
                return z

            return edit

        ratios = []
        for clean, corrupt, a, b in pairs:
            logits, cache = model.run_with_cache(clean)
            edits = [(("z", layer), take(cache["z", layer], head)) for layer, head in heads]
            runs = torch.cat([logits[:, -1], model(corrupt)[:, -1], model.run_edits(corrupt, edits)[:, -1]])
            m = runs[:, a] - runs[:, b]
            ratios.append(m[2:] - m[1])
        return heads[int(torch.stack(ratios).mean(0).argmax())]

    def swap_answer(model, tokens, other, layer, head):
        _, cache = model.run_with_cache(other, ("z", layer))

        def edit(z, hook):
            z = z.clone()
            z[:, -1, head] = cache["z", layer][:, -1, head]
            return z

        return model.run_with_hooks(tokens, [(("z", layer), edit)])[0, -1]


@mistake("04.12", says="Average over all pairs first")
class section:
    """The largest ratio that any pair shows."""

    def find_recall(model, pairs):
        heads = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]

        def take(z_other, head):
            def edit(z, hook):
                z = z.clone()
                z[:, -1, head] = z_other[:, -1, head]
                return z

            return edit

        ratios = []
        for clean, corrupt, a, b in pairs:
            logits, cache = model.run_with_cache(clean)
            edits = [(("z", layer), take(cache["z", layer], head)) for layer, head in heads]
            runs = torch.cat([logits[:, -1], model(corrupt)[:, -1], model.run_edits(corrupt, edits)[:, -1]])
            m = runs[:, a] - runs[:, b]
            ratios.append((m[2:] - m[1]) / (m[0] - m[1]))
        return heads[int(torch.stack(ratios).max(0).values.argmax())]

    def swap_answer(model, tokens, other, layer, head):
        _, cache = model.run_with_cache(other, ("z", layer))

        def edit(z, hook):
            z = z.clone()
            z[:, -1, head] = cache["z", layer][:, -1, head]
            return z

        return model.run_with_hooks(tokens, [(("z", layer), edit)])[0, -1]


@mistake("04.12", says="You look for the largest ABSOLUTE ratio")
class section:
    """A head that pushes the answer away is taken for the one that brings it."""

    def find_recall(model, pairs):
        table = torch.zeros(len(pairs), model.cfg.n_layers, model.cfg.n_heads)
        for i, (clean, corrupt, a, b) in enumerate(pairs):
            m_clean, m_corrupt = (x[a] - x[b] for x in (model(clean)[0, -1], model(corrupt)[0, -1]))
            for layer in range(model.cfg.n_layers):
                for head in range(model.cfg.n_heads):
                    x = swap_answer(model, corrupt, clean, layer, head)
                    table[i, layer, head] = (x[a] - x[b] - m_corrupt) / (m_clean - m_corrupt)
        return divmod(int(table.mean(0).abs().argmax()), model.cfg.n_heads)

    def swap_answer(model, tokens, other, layer, head):
        _, cache = model.run_with_cache(other, ("z", layer))

        def edit(z, hook):
            z = z.clone()
            z[:, -1, head] = cache["z", layer][:, -1, head]
            return z

        return model.run_with_hooks(tokens, [(("z", layer), edit)])[0, -1]


@mistake("04.12", says="divmod(best, n_heads)")
class section:
    """Rows of the wrong length."""

    def find_recall(model, pairs):
        rows = []
        for clean, corrupt, a, b in pairs:
            runs = torch.stack(
                [model(clean)[0, -1], model(corrupt)[0, -1]]
                + [
                    swap_answer(model, corrupt, clean, layer, head)
                    for layer in range(model.cfg.n_layers)
                    for head in range(model.cfg.n_heads)
                ]
            )
            m = runs[:, a] - runs[:, b]
            rows.append((m[2:] - m[1]) / (m[0] - m[1]))
        return divmod(int(torch.stack(rows).mean(0).argmax()), model.cfg.n_layers)

    def swap_answer(model, tokens, other, layer, head):
        _, cache = model.run_with_cache(other, ("z", layer))

        def edit(z, hook):
            z = z.clone()
            z[:, -1, head] = cache["z", layer][:, -1, head]
            return z

        return model.run_with_hooks(tokens, [(("z", layer), edit)])[0, -1]


@mistake("04.12", says="You take the MEDIAN")
class section:
    """The middle one of the pairs."""

    def find_recall(model, pairs):
        rows = []
        for clean, corrupt, a, b in pairs:
            runs = torch.stack(
                [model(clean)[0, -1], model(corrupt)[0, -1]]
                + [
                    swap_answer(model, corrupt, clean, layer, head)
                    for layer in range(model.cfg.n_layers)
                    for head in range(model.cfg.n_heads)
                ]
            )
            m = runs[:, a] - runs[:, b]
            rows.append((m[2:] - m[1]) / (m[0] - m[1]))
        return divmod(int(torch.stack(rows).median(0).values.argmax()), model.cfg.n_heads)

    def swap_answer(model, tokens, other, layer, head):
        _, cache = model.run_with_cache(other, ("z", layer))

        def edit(z, hook):
            z = z.clone()
            z[:, -1, head] = cache["z", layer][:, -1, head]
            return z

        return model.run_with_hooks(tokens, [(("z", layer), edit)])[0, -1]


@right("04.12", how="with swap_answer, run by run")
class section:
    def find_recall(model, pairs):
        rows = []
        for clean, corrupt, a, b in pairs:
            runs = torch.stack(
                [model(clean)[0, -1], model(corrupt)[0, -1]]
                + [
                    swap_answer(model, corrupt, clean, layer, head)
                    for layer in range(model.cfg.n_layers)
                    for head in range(model.cfg.n_heads)
                ]
            )
            m = runs[:, a] - runs[:, b]
            rows.append((m[2:] - m[1]) / (m[0] - m[1]))
        return divmod(int(torch.stack(rows).mean(0).argmax()), model.cfg.n_heads)

    def swap_answer(model, tokens, other, layer, head):
        _, cache = model.run_with_cache(other, ("z", layer))

        def edit(z, hook):
            z = z.clone()
            z[:, -1, head] = cache["z", layer][:, -1, head]
            return z

        return model.run_with_hooks(tokens, [(("z", layer), edit)])[0, -1]


@right("04.12", how="with run_edits for one head, and a list for the answer")
class section:
    def find_recall(model, pairs):
        total = torch.zeros(model.cfg.n_layers, model.cfg.n_heads, dtype=torch.float64)
        for clean, corrupt, a, b in pairs:
            m = lambda x, a=a, b=b: float(x[a] - x[b])
            high, low = m(model(clean)[0, -1]), m(model(corrupt)[0, -1])
            for layer in range(model.cfg.n_layers):
                for head in range(model.cfg.n_heads):
                    total[layer, head] += (m(swap_answer(model, corrupt, clean, layer, head)) - low) / (high - low)
        return [int(i) for i in (total == total.max()).nonzero()[0]]

    def swap_answer(model, tokens, other, layer, head):
        z_other = model.run_with_cache(other)[1]["z", layer]

        def edit(z, hook):
            mask = torch.zeros_like(z)
            mask[:, -1, head] = 1
            return z * (1 - mask) + z_other * mask

        return model.run_edits(tokens, [(("z", layer), edit)], logits_to_keep=1)[0, 0]
