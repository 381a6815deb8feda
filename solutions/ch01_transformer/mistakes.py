"""Wrong answers that learners and published code give to chapter 01, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 01.1 -------------------------------------------------------------------------------------------------------------


@mistake("01.1", says="You look up W_pos by the token")
def embed(tokens, W_E, W_pos):
    """Both tables are indexed in the same way."""
    return W_E[tokens] + W_pos[tokens]


@mistake("01.1", says="The places are missing")
def embed(tokens, W_E, W_pos):
    """Words only."""
    return W_E[tokens]


@mistake("01.1", says="one for every place there can be")
def embed(tokens, W_E, W_pos):
    """The whole table of places: an error for most lengths, and a wrong shape for a single word."""
    return W_E[tokens] + W_pos


@mistake("01.1", says="You count places from 1")
def embed(tokens, W_E, W_pos):
    """Off by one."""
    return W_E[tokens] + W_pos[1 : tokens.shape[1] + 1]


@mistake("01.1", says="Your places run on from one sequence to the next")
def embed(tokens, W_E, W_pos):
    """Counts over the flattened batch."""
    return W_E[tokens] + W_pos[torch.arange(tokens.numel()).view_as(tokens)]


@mistake("01.1", says="Every position gets the same row")
def embed(tokens, W_E, W_pos):
    """An index where a slice was meant."""
    return W_E[tokens] + W_pos[tokens.shape[1] - 1]


@mistake("01.1", says="You scale the words by √d_model")
def embed(tokens, W_E, W_pos):
    """As in "Attention is all you need"."""
    return W_E[tokens] * math.sqrt(W_E.shape[1]) + W_pos[: tokens.shape[1]]


@mistake("01.1", says="You take one row of W_pos for each sequence")
def embed(tokens, W_E, W_pos):
    """len(tokens) is the batch."""
    return W_E[tokens] + W_pos[: len(tokens), None]


@mistake("01.1", says="You multiply the two")
def embed(tokens, W_E, W_pos):
    return W_E[tokens] * W_pos[: tokens.shape[1]]


@right("01.1", how="with one-hot vectors and a matrix product")
def embed(tokens, W_E, W_pos):
    words = F.one_hot(tokens, W_E.shape[0]).to(W_E.dtype)
    return words @ W_E + W_pos[None, : tokens.shape[1]]


@right("01.1", how="with F.embedding, in double precision, not contiguous")
def embed(tokens, W_E, W_pos):
    places = torch.arange(tokens.shape[-1]).expand_as(tokens)
    x = F.embedding(tokens, W_E).double() + F.embedding(places, W_pos)
    return x.transpose(0, 2).contiguous().transpose(0, 2)


@right("01.1", how="with a loop")
def embed(tokens, W_E, W_pos):
    return torch.stack([torch.stack([W_E[t] + W_pos[i] for i, t in enumerate(row)]) for row in tokens.tolist()])


@mistake("01.1", says="Only the first sequence gets its places")
def embed(tokens, W_E, W_pos):
    """An index too many."""
    x = W_E[tokens].clone()
    x[0] = x[0] + W_pos[: tokens.shape[1]]
    return x


@right("01.1", how="with index_select and narrow")
def embed(tokens, W_E, W_pos):
    b, p = tokens.shape
    words = W_E.index_select(0, tokens.reshape(-1)).reshape(b, p, -1)
    return torch.add(words, W_pos.narrow(0, 0, p).unsqueeze(0))


# --- 01.2 -------------------------------------------------------------------------------------------------------------


@mistake("01.2", says="You divide the sum of squares by d_model − 1")
def layer_norm(x, weight, bias, eps=1e-5):
    """x.var() is unbiased unless told otherwise."""
    z = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + eps).sqrt()
    return z * weight + bias


@mistake("01.2", says="This divides by x.std() + eps")
def layer_norm(x, weight, bias, eps=1e-5):
    """The LayerNorm of the Annotated Transformer."""
    return weight * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps) + bias


@mistake("01.2", says="eps stands outside the root")
def layer_norm(x, weight, bias, eps=1e-5):
    z = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False).sqrt() + eps)
    return z * weight + bias


@mistake("01.2", says="The mean is never subtracted")
def layer_norm(x, weight, bias, eps=1e-5):
    """RMSNorm."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight + bias


@mistake("01.2", says="Subtract the mean from x first")
def layer_norm(x, weight, bias, eps=1e-5):
    """The variance of x with its mean still in it."""
    scale = (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    return (x - x.mean(-1, keepdim=True)) / scale * weight + bias


@mistake("01.2", says="the mean is still in x")
def layer_norm(x, weight, bias, eps=1e-5):
    """Divides, and forgets to subtract."""
    return x / (x.var(-1, keepdim=True, unbiased=False) + eps).sqrt() * weight + bias


@mistake("01.2", says="You take mean and variance over positions")
def layer_norm(x, weight, bias, eps=1e-5):
    z = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + eps).sqrt()
    return z * weight + bias


@mistake("01.2", says="You take mean and variance over the batch")
def layer_norm(x, weight, bias, eps=1e-5):
    """BatchNorm, as it were."""
    z = (x - x.mean(0)) / (x.var(0, unbiased=False) + eps).sqrt()
    return z * weight + bias


@mistake("01.2", says="one mean and variance for the whole of x")
def layer_norm(x, weight, bias, eps=1e-5):
    """No axis given."""
    return (x - x.mean()) / (x.var(unbiased=False) + eps).sqrt() * weight + bias


@mistake("01.2", says="one mean and variance for each sequence")
def layer_norm(x, weight, bias, eps=1e-5):
    """The GroupNorm of one group."""
    return F.layer_norm(x, x.shape[1:], eps=eps) * weight + bias


@mistake("01.2", says="weight and bias are missing")
def layer_norm(x, weight, bias, eps=1e-5):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + eps).sqrt()


@mistake("01.2", says="You always use eps = 0.00001")
def layer_norm(x, weight, bias, eps=1e-5):
    return F.layer_norm(x, (x.shape[-1],), weight, bias)


@mistake("01.2", says="eps is missing")
def layer_norm(x, weight, bias, eps=1e-5):
    x = x - x.mean(-1, keepdim=True)
    return x / x.pow(2).mean(-1, keepdim=True).sqrt() * weight + bias


@mistake("01.2", says="the difference of two huge numbers")
def layer_norm(x, weight, bias, eps=1e-5):
    """mean(x²) − mean(x)² is the same on paper, and noise in float32 when the mean is large."""
    mean = x.mean(-1, keepdim=True)
    variance = x.pow(2).mean(-1, keepdim=True) - mean.pow(2)
    return (x - mean) / (variance.clamp(min=0) + eps).sqrt() * weight + bias


@mistake("01.2", says="You divide by the variance")
def layer_norm(x, weight, bias, eps=1e-5):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + eps) * weight + bias


@right("01.2", how="with F.layer_norm")
def layer_norm(x, weight, bias, eps=1e-5):
    return F.layer_norm(x, weight.shape, weight, bias, eps)


@right("01.2", how="with a loop over vectors, in double precision")
def layer_norm(x, weight, bias, eps=1e-5):
    rows = []
    for v in x.double().flatten(0, 1):
        v = v - sum(v) / len(v)
        rows.append(v / (v @ v / len(v) + eps).sqrt() * weight + bias)
    return torch.stack(rows).view(x.shape)


@right("01.2", how="with einops and rsqrt, returned in half precision")
def layer_norm(x, weight, bias, eps=1e-5):
    mean = einops.reduce(x, "b p d -> b p 1", "mean")
    variance = einops.reduce((x - mean) ** 2, "b p d -> b p 1", "mean")
    return (bias + weight * ((x - mean) * torch.rsqrt(variance + eps))).half()


@mistake("01.2", says="changed the `x` that it was given")
def layer_norm(x, weight, bias, eps=1e-5):
    """Subtracts in place."""
    x -= x.mean(-1, keepdim=True)
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight + bias


@mistake("01.2", says="Yours is 0.000001")
def layer_norm(x, weight, bias, eps=1e-6):
    """The default of many other models."""
    return F.layer_norm(x, weight.shape, weight, bias, eps)


@mistake("01.2", says="You divide by the mean of the absolute numbers")
def layer_norm(x, weight, bias, eps=1e-5):
    x = x - x.mean(-1, keepdim=True)
    return x / (x.abs().mean(-1, keepdim=True) + eps) * weight + bias


@mistake("01.2", says="mean and variance of the first")
def layer_norm(x, weight, bias, eps=1e-5):
    m, v = x[:1].mean(-1, keepdim=True), x[:1].var(-1, keepdim=True, unbiased=False)
    return (x - m) / (v + eps).sqrt() * weight + bias


@right("01.2", how="with var_mean")
def layer_norm(x, weight, bias, eps=1e-5):
    var, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
    return torch.addcmul(bias, weight, (x - mean) * (var + eps).pow(-0.5))


# --- 01.3 -------------------------------------------------------------------------------------------------------------


@mistake("01.3", says="The division by √d_head is missing")
def attention_scores(q, k):
    return q @ k.mT


@mistake("01.3", says="Divide by its square root")
def attention_scores(q, k):
    return q @ k.mT / q.shape[-1]


@mistake("01.3", says="Queries and keys are exchanged")
def attention_scores(q, k):
    return k @ q.mT / math.sqrt(q.shape[-1])


@mistake("01.3", says="You divide by the root of the number of keys")
def attention_scores(q, k):
    """The wrong axis of k."""
    return q @ k.mT / math.sqrt(k.shape[1])


@mistake("01.3", says="which is right for GPT-2 only")
def attention_scores(q, k):
    """A number from the paper."""
    return q @ k.mT / 8


@mistake("01.3", says="This is after a softmax")
def attention_scores(q, k):
    """The formula of the paper, to its end."""
    return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)


@mistake("01.3", says="You hide the future already")
def attention_scores(q, k):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)


@mistake("01.3", says="You multiply by √d_head")
def attention_scores(q, k):
    """What a missing pair of brackets does."""
    return q @ k.mT / q.shape[-1] ** -0.5


@mistake("01.3", says="the cosine")
def attention_scores(q, k):
    return F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT


@right("01.3", how="with einsum")
def attention_scores(q, k):
    return torch.einsum("b i d, b j d -> b i j", q, k) * q.shape[-1] ** -0.5


@right("01.3", how="with a loop over keys, in double precision, not contiguous")
def attention_scores(q, k):
    columns = [(q.double() * k[:, j, None]).sum(-1) / q.shape[-1] ** 0.5 for j in range(k.shape[1])]
    return torch.stack(columns).permute(1, 2, 0)


@mistake("01.3", says="You turn k with a reshape")
def attention_scores(q, k):
    """A view where a transpose was meant."""
    return q @ k.reshape(k.shape[0], k.shape[2], k.shape[1]) / math.sqrt(q.shape[-1])


@mistake("01.3", says="the keys of the first sequence")
def attention_scores(q, k):
    return q @ k[0].T / math.sqrt(q.shape[-1])


@mistake("01.3", says="keys of all sequences together")
def attention_scores(q, k):
    """One letter too many in the einsum."""
    return torch.einsum("bqd,ckd->bqk", q, k) / math.sqrt(q.shape[-1])


@mistake("01.3", says="rounded down")
def attention_scores(q, k):
    """math.isqrt gives whole numbers."""
    return q @ k.mT / math.isqrt(q.shape[-1])


@right("01.3", how="with bmm, both divided by the fourth root")
def attention_scores(q, k):
    r = q.shape[-1] ** 0.25
    return torch.bmm(q / r, (k / r).permute(0, 2, 1))


# --- 01.4 -------------------------------------------------------------------------------------------------------------


@mistake("01.4", says="Nothing is hidden")
def causal_pattern(scores):
    return scores.softmax(-1)


@mistake("01.4", says="The mask is the wrong way round")
def causal_pattern(scores):
    """Masks where it is allowed to look."""
    n_query, n_key = scores.shape[-2:]
    past = torch.ones(n_query, n_key, dtype=torch.bool).tril(n_key - n_query - 1)
    return scores.masked_fill(past, -torch.inf).softmax(-1)


@mistake("01.4", says="A position may look at itself as well, and your mask hides it")
def causal_pattern(scores):
    """The triangle without its diagonal; the first row becomes NaN."""
    n_query, n_key = scores.shape[-2:]
    allowed = torch.ones(n_query, n_key, dtype=torch.bool).tril(n_key - n_query - 1)
    return scores.masked_fill(~allowed, -torch.inf).softmax(-1)


@mistake("01.4", says="A position may look at itself as well, and your mask hides it")
def causal_pattern(scores):
    """The same with a finite number: the first row looks everywhere."""
    n_query, n_key = scores.shape[-2:]
    allowed = torch.ones(n_query, n_key, dtype=torch.bool).tril(n_key - n_query - 1)
    return scores.masked_fill(~allowed, -1e9).softmax(-1)


@mistake("01.4", says="so the rows no longer sum to 1")
def causal_pattern(scores):
    """Mask after softmax."""
    return scores.softmax(-1).tril(scores.shape[-1] - scores.shape[-2])


@mistake("01.4", says="You put 0 in place of the hidden scores")
def causal_pattern(scores):
    """Multiplies by the mask."""
    return scores.tril(scores.shape[-1] - scores.shape[-2]).softmax(-1)


@mistake("01.4", says="A small negative number in place of −∞")
def causal_pattern(scores):
    n_query, n_key = scores.shape[-2:]
    future = torch.ones(n_query, n_key, dtype=torch.bool).triu(n_key - n_query + 1)
    return scores.masked_fill(future, -10.0).softmax(-1)


@mistake("01.4", says="To subtract a number like 10")
def causal_pattern(scores):
    """Adds a mask that is not strong enough."""
    n_query, n_key = scores.shape[-2:]
    future = torch.ones(n_query, n_key).triu(n_key - n_query + 1)
    return (scores - 10 * future).softmax(-1)


@mistake("01.4", says="is small only beside scores that are larger")
def causal_pattern(scores):
    """GPT-2's first code had −10000."""
    n_query, n_key = scores.shape[-2:]
    future = torch.ones(n_query, n_key, dtype=torch.bool).triu(n_key - n_query + 1)
    return scores.masked_fill(future, -1e4).softmax(-1)


@mistake("01.4", says="Your softmax runs over queries")
def causal_pattern(scores):
    n_query, n_key = scores.shape[-2:]
    future = torch.ones(n_query, n_key, dtype=torch.bool).triu(n_key - n_query + 1)
    return scores.masked_fill(future, -torch.inf).softmax(-2)


@mistake("01.4", says="Your softmax runs over queries")
def causal_pattern(scores):
    """Softmax over axis 1, which is the right one for a list of vectors."""
    n_query, n_key = scores.shape[-2:]
    future = torch.ones(n_query, n_key, dtype=torch.bool).triu(n_key - n_query + 1)
    return scores.masked_fill(future, -torch.inf).softmax(1)


@mistake("01.4", says="your mask starts in the wrong corner")
def causal_pattern(scores):
    """torch's own is_causal does this, too."""
    allowed = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    return scores.masked_fill(~allowed, -torch.inf).softmax(-1)


@mistake("01.4", says="The softmax is missing")
def causal_pattern(scores):
    n_query, n_key = scores.shape[-2:]
    return scores.masked_fill(torch.ones(n_query, n_key, dtype=torch.bool).triu(n_key - n_query + 1), -torch.inf)


@mistake("01.4", says="e³⁰⁰ is infinite")
def causal_pattern(scores):
    """A softmax written out, without subtracting the largest score."""
    weights = scores.exp().tril(scores.shape[-1] - scores.shape[-2])
    return weights / weights.sum(-1, keepdim=True)


@mistake("01.4", says="Hide it before the softmax")
def causal_pattern(scores):
    """Masks afterwards and renormalises: right on paper, 0/0 when the future is loud."""
    p = scores.softmax(-1).tril(scores.shape[-1] - scores.shape[-2])
    return p / p.sum(-1, keepdim=True)


@right("01.4", how="with a triangle of −∞ that is added")
def causal_pattern(scores):
    n_query, n_key = scores.shape[-2:]
    return (scores + torch.full((n_query, n_key), -torch.inf).triu(n_key - n_query + 1)).softmax(-1)


@right("01.4", how="row by row, in double precision")
def causal_pattern(scores):
    n_query, n_key = scores.shape[-2:]
    out = torch.zeros(scores.shape, dtype=torch.float64)
    for i in range(n_query):
        end = i + n_key - n_query + 1
        out[..., i, :end] = scores[..., i, :end].double().softmax(-1)
    return out


@right("01.4", how="with the smallest float32, by comparing places")
def causal_pattern(scores):
    n_query, n_key = scores.shape[-2:]
    query = torch.arange(n_key - n_query, n_key)
    later = torch.arange(n_key)[None, :] > query[:, None]
    return F.softmax(scores.masked_fill(later, torch.finfo(scores.dtype).min), dim=-1)


@right("01.4", how="with scaled_dot_product_attention")
def causal_pattern(scores):
    n_query, n_key = scores.shape[-2:]
    eye = torch.eye(n_key, dtype=scores.dtype).expand(*scores.shape[:-2], n_key, n_key)
    allowed = torch.ones(n_query, n_key, dtype=torch.bool).tril(n_key - n_query)
    return F.scaled_dot_product_attention(scores, eye, eye, attn_mask=allowed, scale=1.0)


@mistake("01.4", says="Each position also sees the next one")
def causal_pattern(scores):
    """One diagonal too far."""
    nq, nk = scores.shape[-2:]
    future = torch.ones(nq, nk, dtype=torch.bool).triu(nk - nq + 2)
    return scores.masked_fill(future, -torch.inf).softmax(-1)


@mistake("01.4", says="Where there are more keys than queries, nothing is hidden")
def causal_pattern(scores):
    """Thinks only of training."""
    nq, nk = scores.shape[-2:]
    if nq == nk:
        scores = scores.masked_fill(torch.ones(nq, nk, dtype=torch.bool).triu(1), -torch.inf)
    return scores.softmax(-1)


@mistake("01.4", says="changed the `scores` that it was given")
def causal_pattern(scores):
    """masked_fill_ writes into the argument."""
    nq, nk = scores.shape[-2:]
    future = torch.ones(nq, nk, dtype=torch.bool).triu(nk - nq + 1)
    scores.masked_fill_(future, -torch.inf)
    return scores.softmax(-1)


@right("01.4", how="with logsumexp")
def causal_pattern(scores):
    nq, nk = scores.shape[-2:]
    i, j = torch.arange(nk - nq, nk).view(-1, 1), torch.arange(nk).view(1, -1)
    s = torch.where(j <= i, scores, torch.tensor(float("-inf"), dtype=scores.dtype))
    return (s - s.logsumexp(-1, keepdim=True)).exp()


# --- 01.5 -------------------------------------------------------------------------------------------------------------


@mistake("01.5", says="You take it as keys, queries, values")
def attention(x, w, n_heads):
    """Another order."""
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    k, q, v = einops.rearrange(qkv, "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k)) @ v
    return einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="You cut the product into heads first")
def attention(x, w, n_heads):
    """The order of GPT-NeoX."""
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (h three d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k)) @ v
    return einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="Head 0 has the FIRST d_head numbers")
def attention(x, w, n_heads):
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three d h) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k)) @ v
    return einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="You split the heads with a view or reshape alone")
def attention(x, w, n_heads):
    """No transpose on the way in."""
    batch, pos, d_model = x.shape
    qkv = (x @ w["c_attn.weight"] + w["c_attn.bias"]).split(d_model, dim=-1)
    q, k, v = (y.reshape(batch * n_heads, pos, d_model // n_heads) for y in qkv)
    z = causal_pattern(attention_scores(q, k)) @ v
    return einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="You split and join the heads with views alone")
def attention(x, w, n_heads):
    """No transpose at all; torch's shapes are content."""
    batch, pos, d_model = x.shape
    qkv = (x @ w["c_attn.weight"] + w["c_attn.bias"]).split(d_model, dim=-1)
    q, k, v = (y.reshape(batch * n_heads, pos, d_model // n_heads) for y in qkv)
    z = causal_pattern(attention_scores(q, k)) @ v
    return z.reshape(batch, pos, d_model) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="you join them with a view or reshape alone")
def attention(x, w, n_heads):
    """No transpose on the way out."""
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k)) @ v
    return z.reshape(x.shape) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="The last axis must be (head d), not (d head)")
def attention(x, w, n_heads):
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k)) @ v
    return einops.rearrange(z, "(b h) p d -> b p (d h)", h=n_heads) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="You use one head")
def attention(x, w, n_heads):
    """Never looks at n_heads."""
    q, k, v = (x @ w["c_attn.weight"] + w["c_attn.bias"]).chunk(3, dim=-1)
    return causal_pattern(attention_scores(q, k)) @ v @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="The scores are divided by √d_model")
def attention(x, w, n_heads):
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(q @ k.mT / math.sqrt(x.shape[-1])) @ v
    return einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="divided by √d_head twice")
def attention(x, w, n_heads):
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k) / math.sqrt(q.shape[-1])) @ v
    return einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="Positions look into the future")
def attention(x, w, n_heads):
    """A softmax without the mask."""
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = attention_scores(q, k).softmax(-1) @ v
    return einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="Both biases are missing")
def attention(x, w, n_heads):
    q, k, v = einops.rearrange(x @ w["c_attn.weight"], "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k)) @ v
    return einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads) @ w["c_proj.weight"]


@mistake("01.5", says="c_attn.bias is missing")
def attention(x, w, n_heads):
    q, k, v = einops.rearrange(x @ w["c_attn.weight"], "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k)) @ v
    return einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="The last step is missing")
def attention(x, w, n_heads):
    """No c_proj."""
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k)) @ v
    return einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads)


@mistake("01.5", says="c_proj.weight is used as nn.Linear would")
def attention(x, w, n_heads):
    """F.linear turns the matrix."""
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k)) @ v
    return F.linear(einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads), w["c_proj.weight"], w["c_proj.bias"])


@mistake("01.5", says="c_attn.weight is used as nn.Linear would")
def attention(x, w, n_heads):
    """The same, for the first matrix, where shapes do not fit."""
    qkv = F.linear(x, w["c_attn.weight"], w["c_attn.bias"])
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k)) @ v
    return F.linear(einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads), w["c_proj.weight"], w["c_proj.bias"])


@mistake("01.5", says="The pattern is turned")
def attention(x, w, n_heads):
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k)).mT @ v
    return einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="You add x")
def attention(x, w, n_heads):
    """The residual connection too early."""
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k)) @ v
    return x + einops.rearrange(z, "(b h) p d -> b p (h d)", h=n_heads) @ w["c_proj.weight"] + w["c_proj.bias"]


@right("01.5", how="with a loop over heads, each with its own slices")
def attention(x, w, n_heads):
    d_model = x.shape[-1]
    d_head = d_model // n_heads
    out = w["c_proj.bias"].expand_as(x).clone()
    for head in range(n_heads):
        here = slice(head * d_head, (head + 1) * d_head)
        q, k, v = (
            x @ w["c_attn.weight"][:, n * d_model : (n + 1) * d_model][:, here]
            + w["c_attn.bias"][n * d_model : (n + 1) * d_model][here]
            for n in range(3)
        )
        out = out + causal_pattern(attention_scores(q, k)) @ v @ w["c_proj.weight"][here]
    return out


@right("01.5", how="with scaled_dot_product_attention, views and transposes")
def attention(x, w, n_heads):
    batch, pos, d_model = x.shape
    qkv = torch.addmm(w["c_attn.bias"], x.view(-1, d_model), w["c_attn.weight"]).view(batch, pos, -1)
    q, k, v = (y.view(batch, pos, n_heads, -1).transpose(1, 2) for y in qkv.split(d_model, dim=-1))
    z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return F.linear(z.transpose(1, 2).reshape(batch, pos, d_model), w["c_proj.weight"].T, w["c_proj.bias"])


@right("01.5", how="with einsum over all heads, in double precision, not contiguous")
def attention(x, w, n_heads):
    w = {name: value.double() for name, value in w.items()}
    W = einops.rearrange(w["c_attn.weight"], "m (three h d) -> three h m d", three=3, h=n_heads)
    b = einops.rearrange(w["c_attn.bias"], "(three h d) -> three h 1 d", three=3, h=n_heads)
    q, k, v = torch.einsum("b p m, t h m d -> t b h p d", x.double(), W) + b[:, None]
    pattern = causal_pattern(torch.einsum("b h i d, b h j d -> b h i j", q, k) / q.shape[-1] ** 0.5)
    W_O = w["c_proj.weight"].view(n_heads, -1, x.shape[-1])
    z = torch.einsum("b h i j, b h j d, h d m -> m i b", pattern, v, W_O)
    return z.permute(2, 1, 0) + w["c_proj.bias"]


@mistake("01.5", says="Coming out of the heads you exchange batch and heads")
def attention(x, w, n_heads):
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three (b h) p d", three=3, h=n_heads)
    z = causal_pattern(attention_scores(q, k)) @ v
    z = einops.rearrange(z, "(h b) p d -> b p (h d)", h=n_heads)
    return z @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="All heads share one pattern")
def attention(x, w, n_heads):
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b h p d", three=3, h=n_heads)
    a = causal_pattern(q @ k.mT / math.sqrt(q.shape[-1])).mean(1, keepdim=True)
    return einops.rearrange(a @ v, "b h p d -> b p (h d)") @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.5", says="c_proj.bias is added once for every head")
def attention(x, w, n_heads):
    """Head by head, with the bias inside of the sum."""
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b h p d", three=3, h=n_heads)
    z = causal_pattern(q @ k.mT / math.sqrt(q.shape[-1])) @ v
    W = einops.rearrange(w["c_proj.weight"], "(h d) m -> h d m", h=n_heads)
    return sum(z[:, h] @ W[h] + w["c_proj.bias"] for h in range(n_heads))


@mistake("01.5", says="The heads of a position look at each other")
def attention(x, w, n_heads):
    """The axes before the matrix product are in the wrong order."""
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "b p (three h d) -> three (b p) h d", three=3, h=n_heads)
    z = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) @ v
    return einops.rearrange(z, "(b p) h d -> b p (h d)", b=len(x)) @ w["c_proj.weight"] + w["c_proj.bias"]


# --- 01.6 -------------------------------------------------------------------------------------------------------------


@mistake("01.6", says="This is the exact GELU")
def mlp(x, w):
    """What F.gelu does unless told otherwise."""
    return F.gelu(x @ w["c_fc.weight"] + w["c_fc.bias"]) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.6", says="This is ReLU")
def mlp(x, w):
    return F.relu(x @ w["c_fc.weight"] + w["c_fc.bias"]) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.6", says="You bend the output")
def mlp(x, w):
    """GELU after the second layer in place of the first."""
    return F.gelu((x @ w["c_fc.weight"] + w["c_fc.bias"]) @ w["c_proj.weight"] + w["c_proj.bias"], approximate="tanh")


@mistake("01.6", says="You bend twice")
def mlp(x, w):
    post = F.gelu(x @ w["c_fc.weight"] + w["c_fc.bias"], approximate="tanh")
    return F.gelu(post @ w["c_proj.weight"] + w["c_proj.bias"], approximate="tanh")


@mistake("01.6", says="There is no bend between the two layers")
def mlp(x, w):
    return (x @ w["c_fc.weight"] + w["c_fc.bias"]) @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.6", says="Both biases are missing")
def mlp(x, w):
    return F.gelu(x @ w["c_fc.weight"], approximate="tanh") @ w["c_proj.weight"]


@mistake("01.6", says="c_proj.bias is missing")
def mlp(x, w):
    return F.gelu(x @ w["c_fc.weight"] + w["c_fc.bias"], approximate="tanh") @ w["c_proj.weight"]


@mistake("01.6", says="Both matrices are used as nn.Linear would")
def mlp(x, w):
    """F.linear turns the matrices. With d_mlp = d_model nobody complains."""
    post = F.gelu(F.linear(x, w["c_fc.weight"], w["c_fc.bias"]), approximate="tanh")
    return F.linear(post, w["c_proj.weight"], w["c_proj.bias"])


@mistake("01.6", says="GELU has x³ in it, and yours has x²")
def mlp(x, w):
    pre = x @ w["c_fc.weight"] + w["c_fc.bias"]
    post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**2)))
    return post @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.6", says="yours has 2/π: take the root")
def mlp(x, w):
    pre = x @ w["c_fc.weight"] + w["c_fc.bias"]
    post = 0.5 * pre * (1 + torch.tanh(2 / math.pi * (pre + 0.044715 * pre**3)))
    return post @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.6", says="The 0.5 in front of GELU is missing")
def mlp(x, w):
    pre = x @ w["c_fc.weight"] + w["c_fc.bias"]
    post = pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
    return post @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.6", says="You add x")
def mlp(x, w):
    """The residual connection too early."""
    post = F.gelu(x @ w["c_fc.weight"] + w["c_fc.bias"], approximate="tanh")
    return x + post @ w["c_proj.weight"] + w["c_proj.bias"]


@mistake("01.6", says="your GELU gives NaN")
def mlp(x, w):
    """tanh written out with exp: ∞/∞ for large numbers."""
    pre = x @ w["c_fc.weight"] + w["c_fc.bias"]
    e = torch.exp(2 * math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3))
    return 0.5 * pre * (1 + (e - 1) / (e + 1)) @ w["c_proj.weight"] + w["c_proj.bias"]


@right("01.6", how="with F.gelu")
def mlp(x, w):
    return F.gelu(x @ w["c_fc.weight"] + w["c_fc.bias"], approximate="tanh") @ w["c_proj.weight"] + w["c_proj.bias"]


@right("01.6", how="neuron by neuron, with x·σ(2u), in double precision")
def mlp(x, w):
    out = w["c_proj.bias"].double().expand(x.shape)
    for n in range(w["c_fc.weight"].shape[1]):
        pre = x.double() @ w["c_fc.weight"][:, n].double() + w["c_fc.bias"][n]
        u = math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)
        out = out + (pre * torch.sigmoid(2 * u))[..., None] * w["c_proj.weight"][n]
    return out


@right("01.6", how="with F.linear and turned matrices, not contiguous")
def mlp(x, w):
    post = F.gelu(F.linear(x, w["c_fc.weight"].T, w["c_fc.bias"]), approximate="tanh")
    y = torch.einsum("b p n, n d -> d p b", post, w["c_proj.weight"])
    return (y + w["c_proj.bias"][:, None, None]).permute(2, 1, 0)


@mistake("01.6", says="Yours is 0.0447.")
def mlp(x, w):
    """The number, rounded."""
    pre = x @ w["c_fc.weight"] + w["c_fc.bias"]
    return (
        0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.0447 * pre**3))) @ w["c_proj.weight"]
        + w["c_proj.bias"]
    )


@mistake("01.6", says="Only the first 4 · d_model neurons")
def mlp(x, w):
    """As wide as the MLP of GPT-2."""
    n = 4 * x.shape[-1]
    pre = x @ w["c_fc.weight"][:, :n] + w["c_fc.bias"][:n]
    return F.gelu(pre, approximate="tanh") @ w["c_proj.weight"][:n] + w["c_proj.bias"]


@right("01.6", how="neuron by neuron")
def mlp(x, w):
    out = w["c_proj.bias"].expand(*x.shape[:-1], -1)
    for i in range(w["c_fc.weight"].shape[1]):
        pre = x @ w["c_fc.weight"][:, i] + w["c_fc.bias"][i]
        out = out + F.gelu(pre, approximate="tanh")[..., None] * w["c_proj.weight"][i]
    return out


# --- 01.7 -------------------------------------------------------------------------------------------------------------


@mistake("01.7", says="The norms come too late")
def block(x, w, n_heads):
    """Post-norm, as in the first transformer and in GPT-1."""
    x = layer_norm(x + attention(x, part(w, "attn."), n_heads), w["ln_1.weight"], w["ln_1.bias"])
    return layer_norm(x + mlp(x, part(w, "mlp.")), w["ln_2.weight"], w["ln_2.bias"])


@mistake("01.7", says="work side by side here")
def block(x, w, n_heads):
    """Parallel attention and MLP, as in GPT-J and GPT-NeoX."""
    a = attention(layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), part(w, "attn."), n_heads)
    return x + a + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))


@mistake("01.7", says="Nothing is added to the stream")
def block(x, w, n_heads):
    """No residual connections."""
    x = attention(layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), part(w, "attn."), n_heads)
    return mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))


@mistake("01.7", says="You put the norm into the stream itself")
def block(x, w, n_heads):
    """Reuses the name x for the norm."""
    x = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"])
    x = x + attention(x, part(w, "attn."), n_heads)
    x = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"])
    return x + mlp(x, part(w, "mlp."))


@mistake("01.7", says="Both norms are missing")
def block(x, w, n_heads):
    x = x + attention(x, part(w, "attn."), n_heads)
    return x + mlp(x, part(w, "mlp."))


@mistake("01.7", says="The MLP reads through ln_1")
def block(x, w, n_heads):
    """Copied a line, and changed half of it."""
    x = x + attention(layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), part(w, "attn."), n_heads)
    return x + mlp(layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), part(w, "mlp."))


@mistake("01.7", says="ln_2 is missing")
def block(x, w, n_heads):
    x = x + attention(layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), part(w, "attn."), n_heads)
    return x + mlp(x, part(w, "mlp."))


@mistake("01.7", says="What attention writes does not reach the end")
def block(x, w, n_heads):
    """Adds to the wrong x."""
    y = x + attention(layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), part(w, "attn."), n_heads)
    return x + mlp(layer_norm(y, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))


@mistake("01.7", says="The MLP reads what attention wrote, alone")
def block(x, w, n_heads):
    a = attention(layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), part(w, "attn."), n_heads)
    return x + a + mlp(layer_norm(a, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))


@mistake("01.7", says="After the MLP the stream is lost")
def block(x, w, n_heads):
    x = x + attention(layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), part(w, "attn."), n_heads)
    return mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))


@mistake("01.7", says="The MLP comes first")
def block(x, w, n_heads):
    x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
    return x + attention(layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), part(w, "attn."), n_heads)


@mistake("01.7", says="hand n_heads on to it")
def block(x, w, n_heads):
    x = x + attention(layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), part(w, "attn."), 1)
    return x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))


@right("01.7", how="with names for every step, in double precision")
def block(x, w, n_heads):
    w = {name: value.double() for name, value in w.items()}
    resid_pre = x.double()
    attn_out = attention(layer_norm(resid_pre, w["ln_1.weight"], w["ln_1.bias"]), part(w, "attn."), n_heads)
    resid_mid = resid_pre + attn_out
    mlp_out = mlp(layer_norm(resid_mid, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
    return resid_mid + mlp_out


@right("01.7", how="with torch's functions alone, not contiguous")
def block(x, w, n_heads):
    batch, pos, d_model = x.shape
    stream = x.transpose(0, 1).contiguous().transpose(0, 1)
    y = F.layer_norm(stream, (d_model,), w["ln_1.weight"], w["ln_1.bias"])
    qkv = (y @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]).view(batch, pos, 3, n_heads, -1)
    z = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4), is_causal=True).transpose(1, 2)
    stream = stream + z.reshape(batch, pos, d_model) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
    y = F.layer_norm(stream, (d_model,), w["ln_2.weight"], w["ln_2.bias"])
    post = F.gelu(y @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"], approximate="tanh")
    return stream + post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]


@mistake("01.7", says="In ln_2: The norms of GPT-2 have eps")
def block(x, w, n_heads):
    x = x + attention(layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), part(w, "attn."), n_heads)
    return x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"], 1e-6), part(w, "mlp."))


@mistake("01.7", says="The biases of ln_1 and ln_2 are exchanged")
def block(x, w, n_heads):
    x = x + attention(layer_norm(x, w["ln_1.weight"], w["ln_2.bias"]), part(w, "attn."), n_heads)
    return x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_1.bias"]), part(w, "mlp."))


# --- 01.8 -------------------------------------------------------------------------------------------------------------


@mistake("01.8", says="The last norm is missing")
def gpt2(tokens, weights, n_heads):
    """No ln_f."""
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    layer = 0
    while w := part(weights, f"h.{layer}."):
        x = block(x, w, n_heads)
        layer += 1
    return x @ weights["wte.weight"].T


@mistake("01.8", says="Only two layers ran")
def gpt2(tokens, weights, n_heads):
    """Works for the bundled model."""
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    for layer in (0, 1):
        if w := part(weights, f"h.{layer}."):
            x = block(x, w, n_heads)
    return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T


@mistake("01.8", says="Twelve layers are built in")
def gpt2(tokens, weights, n_heads):
    """Works for GPT-2 small."""
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    for layer in range(12):
        if w := part(weights, f"h.{layer}."):
            x = block(x, w, n_heads)
    return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T


@mistake("01.8", says="The last layer is missing")
def gpt2(tokens, weights, n_heads):
    """range(highest number)."""
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    for layer in range(max(int(name.split(".")[1]) for name in weights if name.startswith("h."))):
        x = block(x, part(weights, f"h.{layer}."), n_heads)
    return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T


@mistake("01.8", says="Layer 0 is missing")
def gpt2(tokens, weights, n_heads):
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    layer = 1
    while w := part(weights, f"h.{layer}."):
        x = block(x, w, n_heads)
        layer += 1
    return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T


@mistake("01.8", says='Write the dot: "h.1."')
def gpt2(tokens, weights, n_heads):
    """The prefix "h.1" catches "h.10." and "h.11.", too."""
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    layer = 0
    while any(name.startswith(f"h.{layer}.") for name in weights):
        w = {name.split(".", 2)[2]: value for name, value in weights.items() if name.startswith(f"h.{layer}")}
        x = block(x, w, n_heads)
        layer += 1
    return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T


@mistake("01.8", says="The layers run in the order of the alphabet")
def gpt2(tokens, weights, n_heads):
    """Sorts names."""
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    for layer in sorted({name.split(".")[1] for name in weights if name.startswith("h.")}):
        x = block(x, part(weights, f"h.{layer}."), n_heads)
    return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T


@mistake("01.8", says="do not rely on the order of the dict")
def gpt2(tokens, weights, n_heads):
    """Takes the layers in the order of the dict, which promises none."""
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    for layer in dict.fromkeys(name.split(".")[1] for name in weights if name.startswith("h.")):
        x = block(x, part(weights, f"h.{layer}."), n_heads)
    return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T


@mistake("01.8", says="Yours comes after every layer")
def gpt2(tokens, weights, n_heads):
    """ln_f inside the loop."""
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    layer = 0
    while w := part(weights, f"h.{layer}."):
        x = layer_norm(block(x, w, n_heads), weights["ln_f.weight"], weights["ln_f.bias"])
        layer += 1
    return x @ weights["wte.weight"].T


@mistake("01.8", says="The places are missing")
def gpt2(tokens, weights, n_heads):
    x = weights["wte.weight"][tokens]
    layer = 0
    while w := part(weights, f"h.{layer}."):
        x = block(x, w, n_heads)
        layer += 1
    return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T


@mistake("01.8", says="The last product needs W_E turned")
def gpt2(tokens, weights, n_heads):
    """Does not turn the table."""
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    layer = 0
    while w := part(weights, f"h.{layer}."):
        x = block(x, w, n_heads)
        layer += 1
    x = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
    return x @ weights["wte.weight"]


@mistake("01.8", says="There is no lm_head.weight")
def gpt2(tokens, weights, n_heads):
    """Looks for an unembedding of its own, which a file of `transformers` may show, and this dict does not hold."""
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    layer = 0
    while w := part(weights, f"h.{layer}."):
        x = block(x, w, n_heads)
        layer += 1
    return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["lm_head.weight"].T


@mistake("01.8", says="These are log probabilities")
def gpt2(tokens, weights, n_heads):
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    layer = 0
    while w := part(weights, f"h.{layer}."):
        x = block(x, w, n_heads)
        layer += 1
    x = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
    return (x @ weights["wte.weight"].T).log_softmax(-1)


@mistake("01.8", says="Keep those of every position")
def gpt2(tokens, weights, n_heads):
    """All that writing on needs."""
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    layer = 0
    while w := part(weights, f"h.{layer}."):
        x = block(x, w, n_heads)
        layer += 1
    x = layer_norm(x[:, -1:], weights["ln_f.weight"], weights["ln_f.bias"])
    return (x @ weights["wte.weight"].T)[:, -1]


@right("01.8", how="with a loop over the numbers of layers, and F.linear")
def gpt2(tokens, weights, n_heads):
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    n_layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("h."))
    for layer in range(n_layers):
        x = block(x, part(weights, f"h.{layer}."), n_heads)
    return F.linear(layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]), weights["wte.weight"])


@right("01.8", how="sequence by sequence, with sorted names, in double precision")
def gpt2(tokens, weights, n_heads):
    weights = {name: value.double() for name, value in weights.items()}
    layers = sorted({int(name.split(".")[1]) for name in weights if name.startswith("h.")})
    rows = []
    for sequence in tokens:
        x = embed(sequence[None], weights["wte.weight"], weights["wpe.weight"])
        for layer in layers:
            x = block(x, part(weights, f"h.{layer}."), n_heads)
        x = F.layer_norm(x, weights["ln_f.weight"].shape, weights["ln_f.weight"], weights["ln_f.bias"])
        rows.append(torch.einsum("p d, v d -> v p", x[0], weights["wte.weight"]))
    return torch.stack(rows).mT


@right("01.8", how="recursively, on a copy of the dict that has no other layers")
def gpt2(tokens, weights, n_heads):
    def stream_after(layers):
        if layers == 0:
            return embed(tokens, weights["wte.weight"], weights["wpe.weight"])
        return block(stream_after(layers - 1), part(weights, f"h.{layers - 1}."), n_heads)

    count = sum(name.endswith(".ln_1.weight") for name in weights)
    x = layer_norm(stream_after(count), weights["ln_f.weight"], weights["ln_f.bias"])
    return einops.einsum(x, weights["wte.weight"], "b p d, v d -> b p v")


@mistake("01.8", says="The last norm has another eps")
def gpt2(tokens, weights, n_heads):
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    layer = 0
    while w := part(weights, f"h.{layer}."):
        x = block(x, w, n_heads)
        layer += 1
    return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"], 1e-6) @ weights["wte.weight"].T


@mistake("01.8", says="changed the `weights` that it was given")
def gpt2(tokens, weights, n_heads):
    """pop takes them out of the dict of whoever called."""
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    layer = 0
    while w := part(weights, f"h.{layer}."):
        x = block(x, w, n_heads)
        layer += 1
    return layer_norm(x, weights.pop("ln_f.weight"), weights["ln_f.bias"]) @ weights["wte.weight"].T


@mistake("01.8", says="You divide them by √d_model")
def gpt2(tokens, weights, n_heads):
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    layer = 0
    while w := part(weights, f"h.{layer}."):
        x = block(x, w, n_heads)
        layer += 1
    return (
        layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T / math.sqrt(x.shape[-1])
    )


# --- 01.9 -------------------------------------------------------------------------------------------------------------


@mistake("01.9", says="which the network has already seen")
def next_token_loss(logits, tokens):
    """Does not shift."""
    return F.cross_entropy(logits.flatten(0, 1), tokens.flatten())


@mistake("01.9", says="You shift the wrong way")
def next_token_loss(logits, tokens):
    """Drops the first logits and the last token."""
    return F.cross_entropy(logits[:, 1:].flatten(0, 1), tokens[:, :-1].flatten())


@mistake("01.9", says="roll goes round in a circle")
def next_token_loss(logits, tokens):
    """The last position is judged by the first token."""
    return F.cross_entropy(logits.flatten(0, 1), tokens.roll(-1, dims=1).flatten())


@mistake("01.9", says="This is the sum. Take the mean")
def next_token_loss(logits, tokens):
    """Adds up."""
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), reduction="sum")


@mistake("01.9", says="This is the loss per sequence")
def next_token_loss(logits, tokens):
    """As papers that report nats per sequence."""
    loss = F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")
    return loss.sum(1).mean()


@mistake("01.9", says="The log-softmax is missing")
def next_token_loss(logits, tokens):
    """nll_loss wants log probabilities."""
    return F.nll_loss(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


@mistake("01.9", says="you gave it probabilities")
def next_token_loss(logits, tokens):
    """A softmax too many."""
    return F.cross_entropy(logits.softmax(-1)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


@mistake("01.9", says="the last prediction of each sequence only")
def next_token_loss(logits, tokens):
    """As for a question with one answer."""
    return F.cross_entropy(logits[:, -2], tokens[:, -1])


@mistake("01.9", says="Take log_softmax at once")
def next_token_loss(logits, tokens):
    """exp(−1000) is 0, and log(0) is −∞."""
    p = logits.softmax(-1)[:, :-1].gather(-1, tokens[:, 1:, None])
    return -p.log().mean()


@mistake("01.9", says="leave out .item()")
def next_token_loss(logits, tokens):
    """A number to print, of which nothing can be learned."""
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).item()


@right("01.9", how="with log_softmax and gather")
def next_token_loss(logits, tokens):
    log_p = logits.log_softmax(-1)
    return -log_p[:, :-1].gather(-1, tokens[:, 1:].unsqueeze(-1)).mean()


@right("01.9", how="with the vocabulary on axis 1, in double precision")
def next_token_loss(logits, tokens):
    return F.cross_entropy(logits.double()[:, :-1].transpose(1, 2), tokens[:, 1:])


@right("01.9", how="with a padded target that does not count, as transformers does")
def next_token_loss(logits, tokens):
    target = F.pad(tokens, (0, 1), value=-100)[:, 1:]
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1), ignore_index=-100)


@mistake("01.9", says="flattened in one order and the tokens in another")
def next_token_loss(logits, tokens):
    return F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), tokens[:, 1:].T.reshape(-1))


@mistake("01.9", says="as if it were padding")
def next_token_loss(logits, tokens):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=0)


@mistake("01.9", says="to the probability before the logarithm")
def next_token_loss(logits, tokens):
    """So that the logarithm never becomes infinite."""
    p = logits[:, :-1].softmax(-1).gather(-1, tokens[:, 1:, None])
    return -(p + 1e-9).log().mean()


@mistake("01.9", says="Only the first sequence is judged")
def next_token_loss(logits, tokens):
    return F.cross_entropy(logits[0, :-1], tokens[0, 1:])


# --- 01.10 ------------------------------------------------------------------------------------------------------------


@mistake("01.10", says="The optimizer is made anew")
def train(weights, tokens, n_heads, steps, learning_rate):
    """The optimizer inside of the loop."""
    weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    losses = []
    for _ in range(steps):
        optimizer = torch.optim.Adam(weights.values(), lr=learning_rate)
        loss = next_token_loss(gpt2(tokens, weights, n_heads), tokens)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weights, losses


@mistake("01.10", says="Gradients pile up")
def train(weights, tokens, n_heads, steps, learning_rate):
    """No zero_grad."""
    weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=learning_rate)
    losses = []
    for _ in range(steps):
        loss = next_token_loss(gpt2(tokens, weights, n_heads), tokens)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    return weights, losses


@mistake("01.10", says="the loss BEFORE step i")
def train(weights, tokens, n_heads, steps, learning_rate):
    """Measures after the step."""
    weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=learning_rate)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        next_token_loss(gpt2(tokens, weights, n_heads), tokens).backward()
        optimizer.step()
        losses.append(next_token_loss(gpt2(tokens, weights, n_heads), tokens).item())
    return weights, losses


@mistake("01.10", says="Training changed the weights that were passed in")
def train(weights, tokens, n_heads, steps, learning_rate):
    """A new dict, but the same memory: detach does not copy."""
    weights = {name: w.detach().requires_grad_() for name, w in weights.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=learning_rate)
    losses = []
    for _ in range(steps):
        loss = next_token_loss(gpt2(tokens, weights, n_heads), tokens)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weights, losses


@mistake("01.10", says="Training changed the weights that were passed in")
def train(weights, tokens, n_heads, steps, learning_rate):
    """dict(weights) copies the dict, and none of its tensors."""
    weights = dict(weights)
    for w in weights.values():
        w.requires_grad_()
    optimizer = torch.optim.Adam(weights.values(), lr=learning_rate)
    losses = []
    for _ in range(steps):
        loss = next_token_loss(gpt2(tokens, weights, n_heads), tokens)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: w.detach() for name, w in weights.items()}, losses


@mistake("01.10", says="This is plain gradient descent")
def train(weights, tokens, n_heads, steps, learning_rate):
    """SGD."""
    weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    optimizer = torch.optim.SGD(weights.values(), lr=learning_rate)
    losses = []
    for _ in range(steps):
        loss = next_token_loss(gpt2(tokens, weights, n_heads), tokens)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weights, losses


@mistake("01.10", says="Only the matrices are trained")
def train(weights, tokens, n_heads, steps, learning_rate):
    """Leaves norms and biases out, as one leaves them out of weight decay."""
    weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    optimizer = torch.optim.Adam([w for w in weights.values() if w.ndim == 2], lr=learning_rate)
    losses = []
    for _ in range(steps):
        loss = next_token_loss(gpt2(tokens, weights, n_heads), tokens)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weights, losses


@mistake("01.10", says="This is AdamW")
def train(weights, tokens, n_heads, steps, learning_rate):
    """The optimizer of large models."""
    weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    optimizer = torch.optim.AdamW(weights.values(), lr=learning_rate)
    losses = []
    for _ in range(steps):
        loss = next_token_loss(gpt2(tokens, weights, n_heads), tokens)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weights, losses


@mistake("01.10", says="nothing is learned")
def train(weights, tokens, n_heads, steps, learning_rate):
    """The optimizer holds other copies than the network."""
    copies = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    optimizer = torch.optim.Adam([w.clone().detach().requires_grad_() for w in copies.values()], lr=learning_rate)
    losses = []
    for _ in range(steps):
        loss = next_token_loss(gpt2(tokens, copies, n_heads), tokens)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return copies, losses


@mistake("01.10", says="still those from before training")
def train(weights, tokens, n_heads, steps, learning_rate):
    """Returns the wrong dict."""
    mine = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    optimizer = torch.optim.Adam(mine.values(), lr=learning_rate)
    losses = []
    for _ in range(steps):
        loss = next_token_loss(gpt2(tokens, mine, n_heads), tokens)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weights, losses


@mistake("01.10", says="looks at one sequence")
def train(weights, tokens, n_heads, steps, learning_rate):
    """One sequence a step."""
    weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=learning_rate)
    losses = []
    for i in range(steps):
        rows = tokens[i % len(tokens)][None]
        loss = next_token_loss(gpt2(rows, weights, n_heads), rows)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return weights, losses


@mistake("01.10", says="those from before the last step")
def train(weights, tokens, n_heads, steps, learning_rate):
    """Stops after the last loss, without its step."""
    weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=learning_rate)
    losses = []
    while True:
        loss = next_token_loss(gpt2(tokens, weights, n_heads), tokens)
        losses.append(loss.item())
        if len(losses) == steps:
            return weights, losses
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@right("01.10", how="with deepcopy, zero_grad at the end and losses as tensors")
def train(weights, tokens, n_heads, steps, learning_rate):
    import copy

    weights = copy.deepcopy(weights)
    for w in weights.values():
        w.requires_grad_(True)
    optimizer = torch.optim.Adam(list(weights.values()), learning_rate)
    losses = []
    while len(losses) < steps:
        loss = next_token_loss(gpt2(tokens, weights, n_heads), tokens)
        loss.backward()
        losses.append(loss.detach())
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
    return weights, losses


@right("01.10", how="with Adam written out")
def train(weights, tokens, n_heads, steps, learning_rate):
    names, values = list(weights), [w.clone() for w in weights.values()]
    first, second = ([torch.zeros_like(w) for w in values] for _ in range(2))
    losses = []
    for t in range(1, steps + 1):
        leaves = [w.requires_grad_() for w in values]
        loss = next_token_loss(gpt2(tokens, dict(zip(names, leaves)), n_heads), tokens)
        losses.append(float(loss))
        gradients = torch.autograd.grad(loss, leaves)
        with torch.no_grad():
            for w, g, m, v in zip(values, gradients, first, second):
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                w -= learning_rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    return {name: w.detach() for name, w in zip(names, values)}, losses


@mistake("01.10", says="Your layer_norm computes the right numbers, but no gradient comes through it to x")
class section:
    def layer_norm(x, weight, bias, eps=1e-5):
        """Mean and variance as constants: right in 01.2, where nothing is learned."""
        mean, variance = x.mean(-1, keepdim=True).detach(), x.var(-1, keepdim=True, unbiased=False).detach()
        return (x - mean) / (variance + eps).sqrt() * weight + bias

    def train(weights, tokens, n_heads, steps, learning_rate):
        weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
        optimizer = torch.optim.Adam(weights.values(), lr=learning_rate)
        losses = []
        for _ in range(steps):
            loss = next_token_loss(gpt2(tokens, weights, n_heads), tokens)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return {name: w.detach() for name, w in weights.items()}, losses


# --- 01.11 ------------------------------------------------------------------------------------------------------------


@mistake("01.11", says="You multiply by the temperature")
def next_token_probabilities(logits, temperature, top_k=None):
    """Upside down."""
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    logits = logits * temperature
    if top_k is not None:
        kept = logits.topk(min(top_k, logits.shape[-1]), dim=-1)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)
    return logits.softmax(-1)


@mistake("01.11", says="Divide the logits, before the softmax")
def next_token_probabilities(logits, temperature, top_k=None):
    """The temperature comes after the softmax."""
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    if top_k is not None:
        kept = logits.topk(min(top_k, logits.shape[-1]), dim=-1)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)
    return logits.softmax(-1) / temperature


@mistake("01.11", says="The temperature has no effect")
def next_token_probabilities(logits, temperature, top_k=None):
    """The temperature comes after the softmax, and is divided away."""
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    if top_k is not None:
        kept = logits.topk(min(top_k, logits.shape[-1]), dim=-1)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)
    p = logits.softmax(-1) / temperature
    return p / p.sum(-1, keepdim=True)


@mistake("01.11", says="the rest no longer sums to 1")
def next_token_probabilities(logits, temperature, top_k=None):
    """top-k after the softmax, without dividing again."""
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    p = (logits / temperature).softmax(-1)
    if top_k is not None:
        kept = p.topk(min(top_k, p.shape[-1]), dim=-1)
        p = torch.zeros_like(p).scatter(-1, kept.indices, kept.values)
    return p


@mistake("01.11", says="a logit like any other")
def next_token_probabilities(logits, temperature, top_k=None):
    """Logit 0 instead of −∞."""
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    logits = logits / temperature
    if top_k is not None:
        kept = logits.topk(min(top_k, logits.shape[-1]), dim=-1)
        logits = torch.zeros_like(logits).scatter(-1, kept.indices, kept.values)
    return logits.softmax(-1)


@mistake("01.11", says="You keep the smallest logits")
def next_token_probabilities(logits, temperature, top_k=None):
    """Sorts upwards."""
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    logits = logits / temperature
    if top_k is not None:
        last = logits.sort(-1).values[:, min(top_k, logits.shape[-1]) - 1, None]
        logits = logits.masked_fill(logits > last, -torch.inf)
    return logits.softmax(-1)


@mistake("01.11", says="It needs a case of its own")
def next_token_probabilities(logits, temperature, top_k=None):
    """Divides by 0."""
    logits = logits / temperature
    if top_k is not None:
        kept = logits.topk(min(top_k, logits.shape[-1]), dim=-1)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)
    return logits.softmax(-1)


@mistake("01.11", says="the top_k largest of the whole batch")
def next_token_probabilities(logits, temperature, top_k=None):
    """One bound for all rows."""
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    logits = logits / temperature
    if top_k is not None:
        last = logits.flatten().topk(min(top_k, logits.numel())).values[-1]
        logits = logits.masked_fill(logits < last, -torch.inf)
    return logits.softmax(-1)


@mistake("01.11", says="One too few is kept")
def next_token_probabilities(logits, temperature, top_k=None):
    """≤ for <."""
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    logits = logits / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits <= logits.topk(top_k).values[:, -1:], -torch.inf)
    return logits.softmax(-1)


@mistake("01.11", says="Use min(top_k, d_vocab)")
def next_token_probabilities(logits, temperature, top_k=None):
    """Trusts that there are enough tokens."""
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    logits = logits / temperature
    if top_k is not None:
        kept = logits.topk(top_k, dim=-1)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)
    return logits.softmax(-1)


@mistake("01.11", says="Return probabilities: 1 for it")
def next_token_probabilities(logits, temperature, top_k=None):
    """At temperature 0 the token itself."""
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits / temperature
    if top_k is not None:
        kept = logits.topk(min(top_k, logits.shape[-1]), dim=-1)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)
    return logits.softmax(-1)


@right("01.11", how="with a bound, as nanoGPT has it: equal logits all stay")
def next_token_probabilities(logits, temperature, top_k=None):
    if temperature == 0:
        return (logits == logits.max(-1, keepdim=True).values).float()
    logits = logits / temperature
    if top_k is not None:
        v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
        logits[logits < v[:, [-1]]] = -float("Inf")
    return F.softmax(logits, dim=-1)


@right("01.11", how="top-k on probabilities, divided afterwards, in double precision")
def next_token_probabilities(logits, temperature, top_k=None):
    if temperature == 0:
        top_k, temperature = 1, 1.0
    p = (logits.double() / temperature).softmax(-1)
    rank = logits.argsort(-1, descending=True).argsort(-1)
    p = torch.where(rank < (top_k or p.shape[-1]), p, 0.0)
    return p / p.sum(-1, keepdim=True)


@mistake("01.11", says="You take a temperature of 0.004 for 0.")
def next_token_probabilities(logits, temperature, top_k=None):
    """A threshold in place of 0."""
    if temperature < 0.01:
        return F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(logits.dtype)
    logits = logits / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        kept = logits.topk(top_k, dim=-1)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)
    return logits.softmax(dim=-1)


@mistake("01.11", says="to the temperature")
def next_token_probabilities(logits, temperature, top_k=None):
    """So that nothing is divided by 0."""
    logits = logits / (temperature + 1e-8)
    if top_k is not None and top_k < logits.shape[-1]:
        kept = logits.topk(top_k, dim=-1)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)
    return logits.softmax(dim=-1)


@mistake("01.11", says="Without a top_k all tokens can be drawn")
def next_token_probabilities(logits, temperature, top_k=50):
    """The default of many libraries."""
    if temperature == 0:
        return F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(logits.dtype)
    logits = logits / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        kept = logits.topk(top_k, dim=-1)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)
    return logits.softmax(dim=-1)


@mistake("01.11", says="Every row is cut at the top_k-th largest of the first")
def next_token_probabilities(logits, temperature, top_k=None):
    if temperature == 0:
        return F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(logits.dtype)
    logits = logits / temperature
    if top_k is not None:
        kept = logits.topk(min(top_k, logits.shape[-1]), dim=-1).values[0, -1]
        logits = logits.masked_fill(logits < kept, -torch.inf)
    return logits.softmax(dim=-1)


# --- 01.12 ------------------------------------------------------------------------------------------------------------


@mistake("01.12", says="leave out the token with which the sum reaches p")
def nucleus(probabilities, p):
    """Keeps while the sum, this token included, is at most p."""
    ordered, order = probabilities.sort(dim=-1, descending=True)
    kept = torch.where(ordered.cumsum(-1) <= p, ordered, 0.0)
    kept[:, 0] = ordered[:, 0]
    result = torch.zeros_like(probabilities).scatter(-1, order, kept)
    return result / result.sum(dim=-1, keepdim=True)


@mistake("01.12", says="leave out the token with which the sum reaches p")
def nucleus(probabilities, p):
    """The same, and nothing stays when the first token is above p."""
    ordered, order = probabilities.sort(dim=-1, descending=True)
    kept = torch.where(ordered.cumsum(-1) <= p, ordered, 0.0)
    result = torch.zeros_like(probabilities).scatter(-1, order, kept)
    return result / result.sum(dim=-1, keepdim=True)


@mistake("01.12", says="must be LESS than p")
def nucleus(probabilities, p):
    """≤ for <: one too many where the sum is exactly p."""
    ordered, order = probabilities.sort(dim=-1, descending=True)
    kept = torch.where(ordered.cumsum(-1) - ordered <= p, ordered, 0.0)
    result = torch.zeros_like(probabilities).scatter(-1, order, kept)
    return result / result.sum(dim=-1, keepdim=True)


@mistake("01.12", says="One token too many: stop as soon as")
def nucleus(probabilities, p):
    """Shifts the mask by one although it keeps the crossing token already."""
    ordered, order = probabilities.sort(dim=-1, descending=True)
    keep = ordered.cumsum(-1) - ordered < p
    keep = torch.cat([torch.ones_like(keep[:, :1]), keep[:, :-1]], -1)
    result = torch.zeros_like(probabilities).scatter(-1, order, torch.where(keep, ordered, 0.0))
    return result / result.sum(dim=-1, keepdim=True)


@mistake("01.12", says="Sort first, the likeliest in front")
def nucleus(probabilities, p):
    """Adds up in the order of the vocabulary."""
    result = torch.where(probabilities.cumsum(-1) - probabilities < p, probabilities, 0.0)
    return result / result.sum(dim=-1, keepdim=True)


@mistake("01.12", says="The rows are still sorted")
def nucleus(probabilities, p):
    """Does not put them back."""
    ordered = probabilities.sort(dim=-1, descending=True).values
    kept = torch.where(ordered.cumsum(-1) - ordered < p, ordered, 0.0)
    kept[:, 0] = ordered[:, 0]
    return kept / kept.sum(dim=-1, keepdim=True)


@mistake("01.12", says="you apply it to the unsorted ones")
def nucleus(probabilities, p):
    """The old bug of many samplers: a sorted mask on unsorted numbers."""
    ordered = probabilities.sort(dim=-1, descending=True).values
    keep = ordered.cumsum(-1) - ordered < p
    keep[:, 0] = True
    result = torch.where(keep, probabilities, 0.0)
    return result / result.sum(dim=-1, keepdim=True)


@mistake("01.12", says="does not sum to 1")
def nucleus(probabilities, p):
    """Does not divide."""
    ordered, order = probabilities.sort(dim=-1, descending=True)
    kept = torch.where(ordered.cumsum(-1) - ordered < p, ordered, 0.0)
    kept[:, 0] = ordered[:, 0]
    return torch.zeros_like(probabilities).scatter(-1, order, kept)


@mistake("01.12", says="One token always stays")
def nucleus(probabilities, p):
    """For p = 0 nothing is kept."""
    ordered, order = probabilities.sort(dim=-1, descending=True)
    kept = torch.where(ordered.cumsum(-1) - ordered < p, ordered, 0.0)
    result = torch.zeros_like(probabilities).scatter(-1, order, kept)
    return result / result.sum(dim=-1, keepdim=True)


@mistake("01.12", says="That is min-p")
def nucleus(probabilities, p):
    """Another sampler."""
    result = torch.where(probabilities >= p * probabilities.max(-1, keepdim=True).values, probabilities, 0.0)
    return result / result.sum(dim=-1, keepdim=True)


@mistake("01.12", says="You begin with the least likely")
def nucleus(probabilities, p):
    """sort without descending."""
    ordered, order = probabilities.sort(dim=-1)
    kept = torch.where(ordered.cumsum(-1) - ordered < p, ordered, 0.0)
    result = torch.zeros_like(probabilities).scatter(-1, order, kept)
    return result / result.sum(dim=-1, keepdim=True)


@right("01.12", how="with loops")
def nucleus(probabilities, p):
    result = torch.zeros_like(probabilities)
    for b, row in enumerate(probabilities):
        total = 0.0
        for i in row.argsort(descending=True):
            result[b, i] = row[i]
            total += float(row[i])
            if total >= p:
                break
    return result / result.sum(-1, keepdim=True)


@right("01.12", how="with a mask that is put back in order and shifted by one")
def nucleus(probabilities, p):
    ordered, order = torch.sort(probabilities, descending=True)
    remove = ordered.cumsum(dim=-1) >= p
    remove[..., 1:] = remove[..., :-1].clone()
    remove[..., 0] = False
    remove = torch.zeros_like(remove).scatter(-1, order, remove)
    logits = probabilities.log().masked_fill(remove, -torch.inf)
    return logits.softmax(-1)


@mistake("01.12", says="changed the `probabilities` that it was given")
def nucleus(probabilities, p):
    ordered, order = probabilities.sort(dim=-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    drop = before >= p
    drop[:, 0] = False
    probabilities[drop.scatter(-1, order, drop)] = 0
    return probabilities / probabilities.sum(-1, keepdim=True)


@mistake("01.12", says="You put the probabilities back with gather")
def nucleus(probabilities, p):
    ordered, order = probabilities.sort(dim=-1, descending=True)
    kept = torch.where(ordered.cumsum(-1) - ordered < p, ordered, 0.0)
    kept[:, 0] = ordered[:, 0]
    r = kept.gather(-1, order)
    return r / r.sum(-1, keepdim=True)


@mistake("01.12", says="You divide by the sum over the whole batch")
def nucleus(probabilities, p):
    ordered, order = probabilities.sort(dim=-1, descending=True)
    kept = torch.where(ordered.cumsum(-1) - ordered < p, ordered, 0.0)
    kept[:, 0] = ordered[:, 0]
    r = torch.zeros_like(probabilities).scatter(-1, order, kept)
    return r / r.sum()


@right("01.12", how="with a count of tokens and ranks")
def nucleus(probabilities, p):
    o, i = torch.sort(probabilities, -1, descending=True)
    n = (torch.cumsum(o, -1) < p).sum(-1, keepdim=True) + 1
    rank = i.argsort(-1)
    kept = probabilities * (rank < n)
    return kept / kept.sum(-1, keepdim=True)


# --- 01.13 ------------------------------------------------------------------------------------------------------------


@mistake("01.13", says="The new tokens stand at places 0, 1, … again")
class section:
    def step(tokens, cache, weights, n_heads):
        """Positions start at 0 in every call."""
        x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
        layer, longer = 0, []
        while w := part(weights, f"h.{layer}."):
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b h p d", three=3, h=n_heads)
            if cache:
                k, v = torch.cat([cache[layer][0], k], 2), torch.cat([cache[layer][1], v], 2)
            longer.append((k, v))
            z = einops.rearrange(causal_pattern(attention_scores(q, k)) @ v, "b h p d -> b p (h d)")
            x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
            layer += 1
        return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T, longer

    def generate(tokens, weights, n_heads, n_new):
        logits, cache = step(tokens, [], weights, n_heads)
        for _ in range(n_new):
            new = logits[:, -1:].argmax(-1)
            tokens = torch.cat([tokens, new], 1)
            logits, cache = step(new, cache, weights, n_heads)
        return tokens


@mistake("01.13", says="New tokens see the new tokens after them")
class section:
    def step(tokens, cache, weights, n_heads):
        """No mask: with one new token at a time it is not needed."""
        seen = cache[0][0].shape[2] if cache else 0
        x = embed(tokens, weights["wte.weight"], weights["wpe.weight"][seen:])
        layer, longer = 0, []
        while w := part(weights, f"h.{layer}."):
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b h p d", three=3, h=n_heads)
            if cache:
                k, v = torch.cat([cache[layer][0], k], 2), torch.cat([cache[layer][1], v], 2)
            longer.append((k, v))
            z = einops.rearrange(attention_scores(q, k).softmax(-1) @ v, "b h p d -> b p (h d)")
            x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
            layer += 1
        return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T, longer

    def generate(tokens, weights, n_heads, n_new):
        logits, cache = step(tokens, [], weights, n_heads)
        for _ in range(n_new):
            new = logits[:, -1:].argmax(-1)
            tokens = torch.cat([tokens, new], 1)
            logits, cache = step(new, cache, weights, n_heads)
        return tokens


@mistake("01.13", says="as if the new tokens stood at the start")
class section:
    def step(tokens, cache, weights, n_heads):
        """A mask of its own, cut at the upper left."""
        seen = cache[0][0].shape[2] if cache else 0
        x = embed(tokens, weights["wte.weight"], weights["wpe.weight"][seen:])
        layer, longer = 0, []
        while w := part(weights, f"h.{layer}."):
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b h p d", three=3, h=n_heads)
            if cache:
                k, v = torch.cat([cache[layer][0], k], 2), torch.cat([cache[layer][1], v], 2)
            longer.append((k, v))
            scores = attention_scores(q, k)
            scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool).tril(), -torch.inf)
            z = einops.rearrange(scores.softmax(-1) @ v, "b h p d -> b p (h d)")
            x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
            layer += 1
        return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T, longer

    def generate(tokens, weights, n_heads, n_new):
        logits, cache = step(tokens, [], weights, n_heads)
        for _ in range(n_new):
            new = logits[:, -1:].argmax(-1)
            tokens = torch.cat([tokens, new], 1)
            logits, cache = step(new, cache, weights, n_heads)
        return tokens


@mistake("01.13", says="but not the new tokens before them")
class section:
    def step(tokens, cache, weights, n_heads):
        """A mask that is right for one new token only: the cache, and itself."""
        seen = cache[0][0].shape[2] if cache else 0
        x = embed(tokens, weights["wte.weight"], weights["wpe.weight"][seen:])
        layer, longer, new = 0, [], tokens.shape[1]
        while w := part(weights, f"h.{layer}."):
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b h p d", three=3, h=n_heads)
            if cache:
                k, v = torch.cat([cache[layer][0], k], 2), torch.cat([cache[layer][1], v], 2)
            longer.append((k, v))
            if cache:
                allowed = torch.cat([torch.ones(new, seen), torch.eye(new)], 1).bool()
                pattern = attention_scores(q, k).masked_fill(~allowed, -torch.inf).softmax(-1)
            else:
                pattern = causal_pattern(attention_scores(q, k))
            z = einops.rearrange(pattern @ v, "b h p d -> b p (h d)")
            x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
            layer += 1
        return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T, longer

    def generate(tokens, weights, n_heads, n_new):
        logits, cache = step(tokens, [], weights, n_heads)
        for _ in range(n_new):
            new = logits[:, -1:].argmax(-1)
            tokens = torch.cat([tokens, new], 1)
            logits, cache = step(new, cache, weights, n_heads)
        return tokens


@mistake("01.13", says="The values in the cache are only the new ones")
class section:
    def step(tokens, cache, weights, n_heads):
        """Caches the keys; of the values, those of this call."""
        seen = cache[0][0].shape[2] if cache else 0
        x = embed(tokens, weights["wte.weight"], weights["wpe.weight"][seen:])
        layer, longer = 0, []
        while w := part(weights, f"h.{layer}."):
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b h p d", three=3, h=n_heads)
            new = v
            if cache:
                k, v = torch.cat([cache[layer][0], k], 2), torch.cat([cache[layer][1], v], 2)
            longer.append((k, new))
            z = einops.rearrange(causal_pattern(attention_scores(q, k)) @ v, "b h p d -> b p (h d)")
            x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
            layer += 1
        return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T, longer

    def generate(tokens, weights, n_heads, n_new):
        for _ in range(n_new):
            tokens = torch.cat([tokens, step(tokens, [], weights, n_heads)[0][:, -1:].argmax(-1)], 1)
        return tokens


@mistake("01.13", says="step changed the cache that was passed in")
class section:
    def step(tokens, cache, weights, n_heads):
        """Overwrites the list that it was given."""
        seen = cache[0][0].shape[2] if cache else 0
        x = embed(tokens, weights["wte.weight"], weights["wpe.weight"][seen:])
        layer = 0
        while w := part(weights, f"h.{layer}."):
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b h p d", three=3, h=n_heads)
            if seen:
                k, v = torch.cat([cache[layer][0], k], 2), torch.cat([cache[layer][1], v], 2)
                cache[layer] = (k, v)
            else:
                cache.append((k, v))
            z = einops.rearrange(causal_pattern(attention_scores(q, k)) @ v, "b h p d -> b p (h d)")
            x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
            layer += 1
        return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T, cache

    def generate(tokens, weights, n_heads, n_new):
        logits, cache = step(tokens, [], weights, n_heads)
        for _ in range(n_new):
            new = logits[:, -1:].argmax(-1)
            tokens = torch.cat([tokens, new], 1)
            logits, cache = step(new, cache, weights, n_heads)
        return tokens


@mistake("01.13", says="The new keys are put before the old ones")
class section:
    def step(tokens, cache, weights, n_heads):
        """New ones in front: without a mask and with one new token, nobody sees it in the logits."""
        seen = cache[0][0].shape[2] if cache else 0
        x = embed(tokens, weights["wte.weight"], weights["wpe.weight"][seen:])
        layer, longer = 0, []
        while w := part(weights, f"h.{layer}."):
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b h p d", three=3, h=n_heads)
            old_k, old_v = cache[layer] if cache else (k[:, :, :0], v[:, :, :0])
            longer.append((torch.cat([k, old_k], 2), torch.cat([v, old_v], 2)))
            k, v = torch.cat([old_k, k], 2), torch.cat([old_v, v], 2)
            z = einops.rearrange(causal_pattern(attention_scores(q, k)) @ v, "b h p d -> b p (h d)")
            x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
            layer += 1
        return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T, longer

    def generate(tokens, weights, n_heads, n_new):
        logits, cache = step(tokens, [], weights, n_heads)
        for _ in range(n_new):
            new = logits[:, -1:].argmax(-1)
            tokens = torch.cat([tokens, new], 1)
            logits, cache = step(new, cache, weights, n_heads)
        return tokens


@mistake("01.13", says="Sizes of tensors must match")
class section:
    def step(tokens, cache, weights, n_heads):
        """Adds the new keys along the wrong axis: torch itself says so."""
        seen = cache[0][0].shape[2] if cache else 0
        x = embed(tokens, weights["wte.weight"], weights["wpe.weight"][seen:])
        layer, longer = 0, []
        while w := part(weights, f"h.{layer}."):
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b h p d", three=3, h=n_heads)
            if cache:
                k, v = torch.cat([cache[layer][0], k], 1), torch.cat([cache[layer][1], v], 1)
            longer.append((k, v))
            z = einops.rearrange(causal_pattern(attention_scores(q, k)) @ v, "b h p d -> b p (h d)")
            x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
            layer += 1
        return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T, longer

    def generate(tokens, weights, n_heads, n_new):
        for _ in range(n_new):
            tokens = torch.cat([tokens, step(tokens, [], weights, n_heads)[0][:, -1:].argmax(-1)], 1)
        return tokens


@mistake("01.13", says="The tensor of keys of layer 0 in the cache")
class section:
    def step(tokens, cache, weights, n_heads):
        """Caches the keys before their bias, and adds it to all of them when they are read."""
        seen = cache[0][0].shape[2] if cache else 0
        x = embed(tokens, weights["wte.weight"], weights["wpe.weight"][seen:])
        layer, longer = 0, []
        while w := part(weights, f"h.{layer}."):
            bias = w["attn.c_attn.bias"]
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b h p d", three=3, h=n_heads)
            b_q, b_k, b_v = einops.rearrange(bias, "(three h d) -> three 1 h 1 d", three=3, h=n_heads)
            if cache:
                k, v = torch.cat([cache[layer][0], k], 2), torch.cat([cache[layer][1], v], 2)
            longer.append((k, v))
            z = causal_pattern(attention_scores(q + b_q, k + b_k)) @ (v + b_v)
            z = einops.rearrange(z, "b h p d -> b p (h d)")
            x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
            layer += 1
        return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T, longer

    def generate(tokens, weights, n_heads, n_new):
        logits, cache = step(tokens, [], weights, n_heads)
        for _ in range(n_new):
            new = logits[:, -1:].argmax(-1)
            tokens = torch.cat([tokens, new], 1)
            logits, cache = step(new, cache, weights, n_heads)
        return tokens


@mistake("01.13", says="it goes through old positions again and again")
class section:
    def step(tokens, cache, weights, n_heads):
        seen = cache[0][0].shape[2] if cache else 0
        x = embed(tokens, weights["wte.weight"], weights["wpe.weight"][seen:])
        layer, longer = 0, []
        while w := part(weights, f"h.{layer}."):
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b h p d", three=3, h=n_heads)
            if cache:
                k, v = torch.cat([cache[layer][0], k], 2), torch.cat([cache[layer][1], v], 2)
            longer.append((k, v))
            z = einops.rearrange(causal_pattern(attention_scores(q, k)) @ v, "b h p d -> b p (h d)")
            x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
            layer += 1
        return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T, longer

    def generate(tokens, weights, n_heads, n_new):
        """step is right, but generate starts from nothing each time."""
        for _ in range(n_new):
            tokens = torch.cat([tokens, step(tokens, [], weights, n_heads)[0][:, -1:].argmax(-1)], 1)
        return tokens


@mistake("01.13", says="These are the new tokens only")
class section:
    def step(tokens, cache, weights, n_heads):
        seen = cache[0][0].shape[2] if cache else 0
        x = embed(tokens, weights["wte.weight"], weights["wpe.weight"][seen:])
        layer, longer = 0, []
        while w := part(weights, f"h.{layer}."):
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b h p d", three=3, h=n_heads)
            if cache:
                k, v = torch.cat([cache[layer][0], k], 2), torch.cat([cache[layer][1], v], 2)
            longer.append((k, v))
            z = einops.rearrange(causal_pattern(attention_scores(q, k)) @ v, "b h p d -> b p (h d)")
            x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
            layer += 1
        return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T, longer

    def generate(tokens, weights, n_heads, n_new):
        """Leaves out what was given."""
        logits, cache = step(tokens, [], weights, n_heads)
        new = [logits[:, -1:].argmax(-1)]
        while len(new) < n_new:
            logits, cache = step(new[-1], cache, weights, n_heads)
            new.append(logits[:, -1:].argmax(-1))
        return torch.cat(new, 1)


@right("01.13", how="with torch's own attention and modules, under no_grad")
class section:
    @torch.no_grad()
    def step(tokens, cache, weights, n_heads):
        old = cache[0][0].size(2) if len(cache) else 0
        new, d = tokens.size(1), weights["wte.weight"].size(1)
        place = torch.arange(old, old + new)
        x = F.embedding(tokens, weights["wte.weight"]) + F.embedding(place, weights["wpe.weight"])
        mask = torch.arange(old + new) <= place[:, None]
        result = []
        for layer in range(sum(name.endswith("ln_1.weight") for name in weights)):
            w = part(weights, f"h.{layer}.")
            h = F.layer_norm(x, (d,), w["ln_1.weight"], w["ln_1.bias"])
            qkv = F.linear(h, w["attn.c_attn.weight"].T, w["attn.c_attn.bias"]).split(d, dim=2)
            q, k, v = (t.view(len(tokens), new, n_heads, d // n_heads).transpose(1, 2) for t in qkv)
            if old:
                k, v = torch.cat((cache[layer][0], k), -2), torch.cat((cache[layer][1], v), -2)
            result.append([k, v])
            z = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            x = x + F.linear(z.transpose(1, 2).flatten(2), w["attn.c_proj.weight"].T, w["attn.c_proj.bias"])
            h = F.layer_norm(x, (d,), w["ln_2.weight"], w["ln_2.bias"])
            h = F.gelu(F.linear(h, w["mlp.c_fc.weight"].T, w["mlp.c_fc.bias"]), approximate="tanh")
            x = x + F.linear(h, w["mlp.c_proj.weight"].T, w["mlp.c_proj.bias"])
        x = F.layer_norm(x, (d,), weights["ln_f.weight"], weights["ln_f.bias"])
        return F.linear(x, weights["wte.weight"]), result

    @torch.inference_mode()
    def generate(tokens, weights, n_heads, n_new):
        new, cache, parts = tokens, [], [tokens]
        for _ in range(n_new):
            logits, cache = step(new, cache, weights, n_heads)
            new = logits[:, -1].argmax(dim=-1, keepdim=True)
            parts.append(new)
        return torch.cat(parts, dim=1)


@right("01.13", how="with einsum, one head axis last, and tokens one by one from the start")
class section:
    def step(tokens, cache, weights, n_heads):
        if tokens.shape[1] > 1:  # one position after the other
            logits = []
            for t in range(tokens.shape[1]):
                one, cache = step(tokens[:, t : t + 1], cache, weights, n_heads)
                logits.append(one)
            return torch.cat(logits, 1), cache
        seen = cache[0][0].shape[2] if cache else 0
        x = weights["wte.weight"][tokens[:, 0]] + weights["wpe.weight"][seen]
        longer = []
        for layer in range(sum(".attn.c_attn.weight" in name for name in weights)):
            w = part(weights, f"h.{layer}.")
            read = layer_norm(x[:, None], w["ln_1.weight"], w["ln_1.bias"])[:, 0]
            q, k, v = (read @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]).unflatten(-1, (3, n_heads, -1)).unbind(1)
            k, v = k[:, :, None], v[:, :, None]
            if cache:
                k, v = torch.cat([cache[layer][0], k], 2), torch.cat([cache[layer][1], v], 2)
            longer.append((k, v))
            pattern = (torch.einsum("bhd,bhkd->bhk", q, k) / math.sqrt(q.shape[-1])).softmax(-1)
            z = torch.einsum("bhk,bhkd->bhd", pattern, v).flatten(1)
            x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + mlp(layer_norm(x[:, None], w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))[:, 0]
        last = layer_norm(x[:, None], weights["ln_f.weight"], weights["ln_f.bias"])
        return last @ weights["wte.weight"].T, longer

    def generate(tokens, weights, n_heads, n_new):
        logits, cache = step(tokens, [], weights, n_heads)
        for _ in range(n_new):
            new = logits[:, -1:].argmax(-1)
            tokens = torch.cat([tokens, new], 1)
            if tokens.shape[1] <= len(weights["wpe.weight"]):
                logits, cache = step(new, cache, weights, n_heads)
        return tokens


@mistake("01.13", says="For n_new = 0 you add a token")
class section:
    def step(tokens, cache, weights, n_heads):
        seen = cache[0][0].shape[2] if cache else 0
        x = embed(tokens, weights["wte.weight"], weights["wpe.weight"][seen:])
        layer, longer = 0, []
        while w := part(weights, f"h.{layer}."):
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "batch pos (three head d) -> three batch head pos d", three=3, head=n_heads)
            if cache:
                k, v = (torch.cat([old, new], dim=2) for old, new in zip(cache[layer], (k, v), strict=True))
            longer.append((k, v))
            z = causal_pattern(attention_scores(q, k)) @ v
            z = einops.rearrange(z, "batch head pos d -> batch pos (head d)")
            x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
            layer += 1
        return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T, longer

    def generate(tokens, weights, n_heads, n_new):
        """Asks at the end of the loop whether it is over."""
        logits, cache = step(tokens, [], weights, n_heads)
        while True:
            new = logits[:, -1:].argmax(-1)
            tokens = torch.cat([tokens, new], 1)
            n_new -= 1
            if n_new <= 0:
                return tokens
            logits, cache = step(new, cache, weights, n_heads)


# --- 01.14 ------------------------------------------------------------------------------------------------------------


@mistake("01.14", says="is missing from the dict")
class section:
    def activations(tokens, weights, n_heads):
        """Forgets the stream between attention and MLP."""
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        for name, x in mine.items():
            if name in other and not (x - other[name]).abs().max() <= tolerance:
                return name
        return None


@mistake("01.14", says="These are scores, from before it")
class section:
    def activations(tokens, weights, n_heads):
        """The pattern before the softmax."""
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": scores, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        for name, x in mine.items():
            if name in other and not (x - other[name]).abs().max() <= tolerance:
                return name
        return None


@mistake("01.14", says="write x = x + out")
class section:
    def activations(tokens, weights, n_heads):
        """+= changes the tensor that the dict already holds."""
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x += out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x += out
            seen[at + "hook_resid_post"] = x
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        for name, x in mine.items():
            if name in other and not (x - other[name]).abs().max() <= tolerance:
                return name
        return None


@mistake("01.14", says="Under blocks.0.hook_resid_pre stands what belongs under blocks.0.hook_resid_post")
class section:
    def activations(tokens, weights, n_heads):
        """Reads the stream when the block is done."""
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            seen[at + "hook_resid_pre"] = x
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        for name, x in mine.items():
            if name in other and not (x - other[name]).abs().max() <= tolerance:
                return name
        return None


@mistake("01.14", says="Under blocks.0.mlp.hook_pre stands what belongs under blocks.0.mlp.hook_post")
class section:
    def activations(tokens, weights, n_heads):
        """After the GELU instead of before it."""
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": post, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        for name, x in mine.items():
            if name in other and not (x - other[name]).abs().max() <= tolerance:
                return name
        return None


@mistake("01.14", says="are cut wrongly")
class section:
    def activations(tokens, weights, n_heads):
        """Splits the last axis the wrong way round."""
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three d h) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        for name, x in mine.items():
            if name in other and not (x - other[name]).abs().max() <= tolerance:
                return name
        return None


@mistake("01.14", says="should have its heads apart")
class section:
    def activations(tokens, weights, n_heads):
        """Keeps z as it goes into c_proj."""
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z.flatten(2)}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        for name, x in mine.items():
            if name in other and not (x - other[name]).abs().max() <= tolerance:
                return name
        return None


@mistake("01.14", says="should have a batch axis too")
class section:
    def activations(tokens, weights, n_heads):
        """The rows of wpe as they are."""
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n]
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        for name, x in mine.items():
            if name in other and not (x - other[name]).abs().max() <= tolerance:
                return name
        return None


@mistake("01.14", says="but the order is not")
class section:
    def activations(tokens, weights, n_heads):
        """Adds the stream that entered when the block is done."""
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            entered = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            seen[at + "hook_resid_pre"] = entered
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        for name, x in mine.items():
            if name in other and not (x - other[name]).abs().max() <= tolerance:
                return name
        return None


@mistake("01.14", says="is the LAST name that differs")
class section:
    def activations(tokens, weights, n_heads):
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        """Does not stop at the first."""
        found = None
        for name, x in mine.items():
            if name in other and not (x - other[name]).abs().max() <= tolerance:
                found = name
        return found


@mistake("01.14", says="the difference is largest")
class section:
    def activations(tokens, weights, n_heads):
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        """Looks for the largest."""
        gaps = {name: (x - other[name]).abs().nan_to_num(1e9).max() for name, x in mine.items() if name in other}
        name = max(gaps, key=gaps.get)
        return name if gaps[name] > tolerance else None


@mistake("01.14", says="NaN in one of the two")
class section:
    def activations(tokens, weights, n_heads):
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        """NaN > tolerance is False."""
        for name, x in mine.items():
            if name in other and (x - other[name]).abs().max() > tolerance:
                return name
        return None


@mistake("01.14", says="Differences of −1")
class section:
    def activations(tokens, weights, n_heads):
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        """Forgets the absolute value."""
        for name, x in mine.items():
            if name in other and not (x - other[name]).max() <= tolerance:
                return name
        return None


@mistake("01.14", says="you seem to compare the MEAN difference")
class section:
    def activations(tokens, weights, n_heads):
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        """The mean hides one wrong number among many right ones."""
        for name, x in mine.items():
            if name in other and not (x - other[name]).abs().mean() <= tolerance:
                return name
        return None


@mistake("01.14", says="raises no KeyError")
class section:
    def activations(tokens, weights, n_heads):
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        """Takes it that both have the same names."""
        for name, x in mine.items():
            if not (x - other[name]).abs().max() <= tolerance:
                return name
        return None


@mistake("01.14", says="The first is")
class section:
    def activations(tokens, weights, n_heads):
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
        x, layer = seen["hook_embed"] + seen["hook_pos_embed"], 0
        while w := part(weights, f"h.{layer}."):
            at = f"blocks.{layer}."
            seen[at + "hook_resid_pre"] = x
            qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
            q, k, v = einops.rearrange(qkv, "b p (three h d) -> three b p h d", three=3, h=n_heads)
            seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
            pattern = causal_pattern(scores)
            z = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
            seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z}
            out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
            x = x + out
            seen[at + "hook_resid_mid"] = x
            pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
            seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
            out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + out
            layer += 1
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        seen["logits"] = x @ weights["wte.weight"].T
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        """Goes through the other one's names, in its order."""
        for name, x in other.items():
            if name in mine and not (x - mine[name]).abs().max() <= tolerance:
                return name
        return None


@right("01.14", how="with torch's own modules, v where it is needed, and allclose")
class section:
    def activations(tokens, weights, n_heads):
        seen = {}

        def keep(name, x):
            seen[name] = x
            return x

        def read(x, w, norm, name):
            x = F.layer_norm(x, x.shape[-1:], w[f"{norm}.weight"], w[f"{norm}.bias"])
            return F.linear(x, w[f"{name}.weight"].T, w[f"{name}.bias"])

        place = torch.arange(tokens.shape[1]).repeat(tokens.shape[0], 1)
        position = keep("hook_pos_embed", F.embedding(place, weights["wpe.weight"]))
        x = keep("hook_embed", F.embedding(tokens, weights["wte.weight"])) + position
        for i in range(sum(name.endswith("ln_1.weight") for name in weights)):
            w, at = part(weights, f"h.{i}."), f"blocks.{i}"
            keep(f"{at}.hook_resid_pre", x)
            q, k, v = read(x, w, "ln_1", "attn.c_attn").unflatten(-1, (3, n_heads, -1)).unbind(2)
            k, q = keep(f"{at}.attn.hook_k", k).transpose(1, 2), keep(f"{at}.attn.hook_q", q).transpose(1, 2)
            pattern = keep(f"{at}.attn.hook_pattern", causal_pattern(attention_scores(q, k)))
            z = pattern @ keep(f"{at}.attn.hook_v", v).transpose(1, 2)
            z = keep(f"{at}.attn.hook_z", z.transpose(1, 2))
            out = F.linear(z.flatten(2), w["attn.c_proj.weight"].T, w["attn.c_proj.bias"])
            x = keep(f"{at}.hook_resid_mid", x + keep(f"{at}.hook_attn_out", out))
            post = F.gelu(keep(f"{at}.mlp.hook_pre", read(x, w, "ln_2", "mlp.c_fc")), approximate="tanh")
            post = keep(f"{at}.mlp.hook_post", post)
            out = keep(f"{at}.hook_mlp_out", F.linear(post, w["mlp.c_proj.weight"].T, w["mlp.c_proj.bias"]))
            x = keep(f"{at}.hook_resid_post", x + out)
        x = F.layer_norm(x, x.shape[-1:], weights["ln_f.weight"], weights["ln_f.bias"])
        keep("logits", keep("ln_final.hook_normalized", x) @ weights["wte.weight"].T)
        return seen

    def first_difference(mine, other, tolerance=1e-4):
        for name in mine:
            if name in other and not torch.allclose(mine[name], other[name], rtol=0, atol=tolerance):
                return name
        return None


@right("01.14", how="with more names than are asked for, in double precision, and a loop over common names")
class section:
    def activations(tokens, weights, n_heads):
        weights = {name: w.double() for name, w in weights.items()}
        batch, n = tokens.shape
        seen = {"hook_embed": weights["wte.weight"][tokens]}
        seen["hook_pos_embed"] = weights["wpe.weight"][:n].repeat(batch, 1, 1)
        x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
        for i in range(100):
            w, at = part(weights, f"h.{i}."), f"blocks.{i}."
            if not w:
                break
            seen[at + "hook_resid_pre"] = x
            read = seen[at + "ln1.hook_normalized"] = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"])
            thirds = (read @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]).chunk(3, dim=-1)
            for name, t in zip("qkv", thirds):
                seen[f"{at}attn.hook_{name}"] = t.reshape(batch, n, n_heads, -1)
            q, k, v = (seen[f"{at}attn.hook_{name}"].transpose(1, 2) for name in "qkv")
            seen[at + "attn.hook_attn_scores"] = attention_scores(q, k)
            seen[at + "attn.hook_pattern"] = causal_pattern(seen[at + "attn.hook_attn_scores"])
            seen[at + "attn.hook_z"] = (seen[at + "attn.hook_pattern"] @ v).transpose(1, 2)
            seen[at + "hook_attn_out"] = seen[at + "attn.hook_z"].flatten(2) @ w["attn.c_proj.weight"]
            seen[at + "hook_attn_out"] += w["attn.c_proj.bias"]
            x = seen[at + "hook_resid_mid"] = x + seen[at + "hook_attn_out"]
            read = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"])
            pre = seen[at + "mlp.hook_pre"] = read @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
            seen[at + "mlp.hook_post"] = F.gelu(pre, approximate="tanh")
            seen[at + "hook_mlp_out"] = seen[at + "mlp.hook_post"] @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
            x = seen[at + "hook_resid_post"] = x + seen[at + "hook_mlp_out"]
        x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
        return seen | {"logits": x @ weights["wte.weight"].T}

    def first_difference(mine, other, tolerance=1e-4):
        for name in [name for name in mine if name in other]:
            for a, b in zip(mine[name].flatten().tolist(), other[name].flatten().tolist()):
                if math.isnan(a) or math.isnan(b) or abs(a - b) > tolerance:
                    return name
        return None


# --- 01.15 ------------------------------------------------------------------------------------------------------------


@mistake("01.15", says="Nothing is subtracted: you take off the mean")
class section:
    def rms_norm(x, weight, eps=1e-6):
        """LayerNorm without a bias."""
        x = x - x.mean(-1, keepdim=True)
        return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight

    def rotate(x, base=10000.0):
        h = x.shape[-1] // 2
        angle = torch.arange(x.shape[-2])[:, None] * base ** (-torch.arange(h) / h)
        a, b = x[..., :h], x[..., h:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


@mistake("01.15", says="eps stands outside of the root")
class section:
    def rms_norm(x, weight, eps=1e-6):
        """eps added to the root."""
        return x / (x.pow(2).mean(-1, keepdim=True).sqrt() + eps) * weight

    def rotate(x, base=10000.0):
        h = x.shape[-1] // 2
        angle = torch.arange(x.shape[-2])[:, None] * base ** (-torch.arange(h) / h)
        a, b = x[..., :h], x[..., h:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


@mistake("01.15", says="as Gemma does")
class section:
    def rms_norm(x, weight, eps=1e-6):
        """Gemma's weight."""
        return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * (1 + weight)

    def rotate(x, base=10000.0):
        h = x.shape[-1] // 2
        angle = torch.arange(x.shape[-2])[:, None] * base ** (-torch.arange(h) / h)
        a, b = x[..., :h], x[..., h:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


@mistake("01.15", says="It is their mean")
class section:
    def rms_norm(x, weight, eps=1e-6):
        """Divides by the length."""
        return x / (x.pow(2).sum(-1, keepdim=True) + eps).sqrt() * weight

    def rotate(x, base=10000.0):
        h = x.shape[-1] // 2
        angle = torch.arange(x.shape[-2])[:, None] * base ** (-torch.arange(h) / h)
        a, b = x[..., :h], x[..., h:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


@mistake("01.15", says="eps is missing, far too small, or not added to the mean of squares")
class section:
    def rms_norm(x, weight, eps=1e-6):
        """x / RMS(x)."""
        return x / x.pow(2).mean(-1, keepdim=True).sqrt() * weight

    def rotate(x, base=10000.0):
        h = x.shape[-1] // 2
        angle = torch.arange(x.shape[-2])[:, None] * base ** (-torch.arange(h) / h)
        a, b = x[..., :h], x[..., h:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


@mistake("01.15", says="You pair neighbours")
class section:
    def rms_norm(x, weight, eps=1e-6):
        return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight

    def rotate(x, base=10000.0):
        """GPT-J's pairs."""
        h = x.shape[-1] // 2
        angle = torch.arange(x.shape[-2])[:, None] * base ** (-torch.arange(h) / h)
        a, b = x[..., 0::2], x[..., 1::2]
        turned = [a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()]
        return torch.stack(turned, -1).flatten(-2)


@mistake("01.15", says="turned the other way")
class section:
    def rms_norm(x, weight, eps=1e-6):
        return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight

    def rotate(x, base=10000.0):
        """The sign of the angle."""
        h = x.shape[-1] // 2
        angle = torch.arange(x.shape[-2])[:, None] * base ** (-torch.arange(h) / h)
        a, b = x[..., :h], x[..., h:]
        return torch.cat([a * angle.cos() + b * angle.sin(), b * angle.cos() - a * angle.sin()], -1)


@mistake("01.15", says="not −2i/h")
class section:
    def rms_norm(x, weight, eps=1e-6):
        return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight

    def rotate(x, base=10000.0):
        """The 2i/d of the paper, with h for d."""
        h = x.shape[-1] // 2
        angle = torch.arange(x.shape[-2])[:, None] * base ** (-2 * torch.arange(h) / h)
        a, b = x[..., :h], x[..., h:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


@mistake("01.15", says="The angles grow with i")
class section:
    def rms_norm(x, weight, eps=1e-6):
        return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight

    def rotate(x, base=10000.0):
        """The minus is lost."""
        h = x.shape[-1] // 2
        angle = torch.arange(x.shape[-2])[:, None] * base ** (torch.arange(h) / h)
        a, b = x[..., :h], x[..., h:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


@mistake("01.15", says="Positions count from 0")
class section:
    def rms_norm(x, weight, eps=1e-6):
        return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight

    def rotate(x, base=10000.0):
        """Positions 1, 2, …"""
        h = x.shape[-1] // 2
        angle = torch.arange(1, x.shape[-2] + 1)[:, None] * base ** (-torch.arange(h) / h)
        a, b = x[..., :h], x[..., h:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


@mistake("01.15", says="You turn along the heads")
class section:
    def rms_norm(x, weight, eps=1e-6):
        return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight

    def rotate(x, base=10000.0):
        """Takes [batch pos head d_head]."""
        h = x.shape[-1] // 2
        angle = (torch.arange(x.shape[1])[:, None] * base ** (-torch.arange(h) / h))[:, None]
        a, b = x[..., :h], x[..., h:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


@mistake("01.15", says="The base that was passed in is not used")
class section:
    def rms_norm(x, weight, eps=1e-6):
        return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight

    def rotate(x, base=10000.0):
        """10000 written out."""
        h = x.shape[-1] // 2
        angle = torch.arange(x.shape[-2])[:, None] * 10000.0 ** (-torch.arange(h) / h)
        a, b = x[..., :h], x[..., h:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


@mistake("01.15", says="Keep the old x[i]")
class section:
    def rms_norm(x, weight, eps=1e-6):
        return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight

    def rotate(x, base=10000.0):
        """In place: the second line reads what the first has written."""
        h = x.shape[-1] // 2
        angle = torch.arange(x.shape[-2])[:, None] * base ** (-torch.arange(h) / h)
        x = x.clone()
        x[..., :h] = x[..., :h] * angle.cos() - x[..., h:] * angle.sin()
        x[..., h:] = x[..., h:] * angle.cos() + x[..., :h] * angle.sin()
        return x


@right("01.15", how="with torch's own norm, and rotate_half as transformers has it")
class section:
    def rms_norm(x, weight, eps=1e-6):
        return F.rms_norm(x, weight.shape, weight, eps)

    def rotate(x, base=10000.0):
        d = x.shape[-1]
        frequency = 1.0 / (base ** (torch.arange(0, d, 2, dtype=torch.float) / d))
        angle = torch.outer(torch.arange(x.shape[-2], dtype=torch.float), frequency)
        angle = torch.cat((angle, angle), dim=-1)
        half = torch.cat((-x[..., d // 2 :], x[..., : d // 2]), dim=-1)
        return x * angle.cos() + half * angle.sin()


@right("01.15", how="with rsqrt, and complex numbers")
class section:
    def rms_norm(x, weight, eps=1e-6):
        return weight * x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + eps)

    def rotate(x, base=10000.0):
        first, second = x.double().chunk(2, dim=-1)
        h = first.shape[-1]
        t = torch.arange(x.shape[2], dtype=torch.double)
        angle = t[:, None] / base ** (torch.arange(h, dtype=torch.double) / h)
        z = torch.complex(first, second) * torch.polar(torch.ones_like(angle), angle)
        return torch.cat([z.real, z.imag], dim=-1).to(x.dtype)


# --- 01.16 ------------------------------------------------------------------------------------------------------------


@mistake("01.16", says="use repeat_interleave, not repeat")
def llama_block(x, w, n_heads, n_kv_heads):
    """Tiles the heads of keys and values."""
    read = rms_norm(x, w["input_layernorm.weight"])
    q, k, v = (read @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    q = einops.rearrange(q, "b p (h d) -> b h p d", h=n_heads)
    k, v = (einops.rearrange(t, "b p (h d) -> b h p d", h=n_kv_heads) for t in (k, v))
    q, k, v = rotate(q), rotate(k), v
    k, v = (t.repeat(1, n_heads // n_kv_heads, 1, 1) for t in (k, v))
    z = causal_pattern(attention_scores(q, k)) @ v
    mid = x + einops.rearrange(z, "b h p d -> b p (h d)") @ w["self_attn.o_proj.weight"].T
    read = rms_norm(mid, w["post_attention_layernorm.weight"])
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return mid + (F.silu(gate) * up) @ w["mlp.down_proj.weight"].T


@mistake("01.16", says="The values are turned too")
def llama_block(x, w, n_heads, n_kv_heads):
    """Turns everything."""
    read = rms_norm(x, w["input_layernorm.weight"])
    q, k, v = (read @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    q = einops.rearrange(q, "b p (h d) -> b h p d", h=n_heads)
    k, v = (einops.rearrange(t, "b p (h d) -> b h p d", h=n_kv_heads) for t in (k, v))
    q, k, v = rotate(q), rotate(k), rotate(v)
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (k, v))
    z = causal_pattern(attention_scores(q, k)) @ v
    mid = x + einops.rearrange(z, "b h p d -> b p (h d)") @ w["self_attn.o_proj.weight"].T
    read = rms_norm(mid, w["post_attention_layernorm.weight"])
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return mid + (F.silu(gate) * up) @ w["mlp.down_proj.weight"].T


@mistake("01.16", says="The keys are not turned")
def llama_block(x, w, n_heads, n_kv_heads):
    """Turns the queries only."""
    read = rms_norm(x, w["input_layernorm.weight"])
    q, k, v = (read @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    q = einops.rearrange(q, "b p (h d) -> b h p d", h=n_heads)
    k, v = (einops.rearrange(t, "b p (h d) -> b h p d", h=n_kv_heads) for t in (k, v))
    q, k, v = rotate(q), k, v
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (k, v))
    z = causal_pattern(attention_scores(q, k)) @ v
    mid = x + einops.rearrange(z, "b h p d -> b p (h d)") @ w["self_attn.o_proj.weight"].T
    read = rms_norm(mid, w["post_attention_layernorm.weight"])
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return mid + (F.silu(gate) * up) @ w["mlp.down_proj.weight"].T


@mistake("01.16", says="Queries and keys are not turned")
def llama_block(x, w, n_heads, n_kv_heads):
    """Forgets positions."""
    read = rms_norm(x, w["input_layernorm.weight"])
    q, k, v = (read @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    q = einops.rearrange(q, "b p (h d) -> b h p d", h=n_heads)
    k, v = (einops.rearrange(t, "b p (h d) -> b h p d", h=n_kv_heads) for t in (k, v))
    q, k, v = q, k, v
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (k, v))
    z = causal_pattern(attention_scores(q, k)) @ v
    mid = x + einops.rearrange(z, "b h p d -> b p (h d)") @ w["self_attn.o_proj.weight"].T
    read = rms_norm(mid, w["post_attention_layernorm.weight"])
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return mid + (F.silu(gate) * up) @ w["mlp.down_proj.weight"].T


@mistake("01.16", says="gate_proj and up_proj are exchanged")
def llama_block(x, w, n_heads, n_kv_heads):
    """silu on the wrong one."""
    read = rms_norm(x, w["input_layernorm.weight"])
    q, k, v = (read @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    q = einops.rearrange(q, "b p (h d) -> b h p d", h=n_heads)
    k, v = (einops.rearrange(t, "b p (h d) -> b h p d", h=n_kv_heads) for t in (k, v))
    q, k, v = rotate(q), rotate(k), v
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (k, v))
    z = causal_pattern(attention_scores(q, k)) @ v
    mid = x + einops.rearrange(z, "b h p d -> b p (h d)") @ w["self_attn.o_proj.weight"].T
    read = rms_norm(mid, w["post_attention_layernorm.weight"])
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return mid + (gate * F.silu(up)) @ w["mlp.down_proj.weight"].T


@mistake("01.16", says="The silu is missing")
def llama_block(x, w, n_heads, n_kv_heads):
    """A product without a bend."""
    read = rms_norm(x, w["input_layernorm.weight"])
    q, k, v = (read @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    q = einops.rearrange(q, "b p (h d) -> b h p d", h=n_heads)
    k, v = (einops.rearrange(t, "b p (h d) -> b h p d", h=n_kv_heads) for t in (k, v))
    q, k, v = rotate(q), rotate(k), v
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (k, v))
    z = causal_pattern(attention_scores(q, k)) @ v
    mid = x + einops.rearrange(z, "b h p d -> b p (h d)") @ w["self_attn.o_proj.weight"].T
    read = rms_norm(mid, w["post_attention_layernorm.weight"])
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return mid + (gate * up) @ w["mlp.down_proj.weight"].T


@mistake("01.16", says="This is a GELU")
def llama_block(x, w, n_heads, n_kv_heads):
    """GPT-2's bend."""
    read = rms_norm(x, w["input_layernorm.weight"])
    q, k, v = (read @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    q = einops.rearrange(q, "b p (h d) -> b h p d", h=n_heads)
    k, v = (einops.rearrange(t, "b p (h d) -> b h p d", h=n_kv_heads) for t in (k, v))
    q, k, v = rotate(q), rotate(k), v
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (k, v))
    z = causal_pattern(attention_scores(q, k)) @ v
    mid = x + einops.rearrange(z, "b h p d -> b p (h d)") @ w["self_attn.o_proj.weight"].T
    read = rms_norm(mid, w["post_attention_layernorm.weight"])
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return mid + (F.gelu(gate) * up) @ w["mlp.down_proj.weight"].T


@mistake("01.16", says="The mask is missing")
def llama_block(x, w, n_heads, n_kv_heads):
    """Looks ahead."""
    read = rms_norm(x, w["input_layernorm.weight"])
    q, k, v = (read @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    q = einops.rearrange(q, "b p (h d) -> b h p d", h=n_heads)
    k, v = (einops.rearrange(t, "b p (h d) -> b h p d", h=n_kv_heads) for t in (k, v))
    q, k, v = rotate(q), rotate(k), v
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (k, v))
    z = attention_scores(q, k).softmax(-1) @ v
    mid = x + einops.rearrange(z, "b h p d -> b p (h d)") @ w["self_attn.o_proj.weight"].T
    read = rms_norm(mid, w["post_attention_layernorm.weight"])
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return mid + (F.silu(gate) * up) @ w["mlp.down_proj.weight"].T


@mistake("01.16", says="The norms subtract the mean")
def llama_block(x, w, n_heads, n_kv_heads):
    """LayerNorm."""
    read = layer_norm(x, w["input_layernorm.weight"], 0.0, 1e-6)
    q, k, v = (read @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    q = einops.rearrange(q, "b p (h d) -> b h p d", h=n_heads)
    k, v = (einops.rearrange(t, "b p (h d) -> b h p d", h=n_kv_heads) for t in (k, v))
    q, k, v = rotate(q), rotate(k), v
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (k, v))
    z = causal_pattern(attention_scores(q, k)) @ v
    mid = x + einops.rearrange(z, "b h p d -> b p (h d)") @ w["self_attn.o_proj.weight"].T
    read = layer_norm(mid, w["post_attention_layernorm.weight"], 0.0, 1e-6)
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return mid + (F.silu(gate) * up) @ w["mlp.down_proj.weight"].T


@mistake("01.16", says="The two norms are exchanged")
def llama_block(x, w, n_heads, n_kv_heads):
    """Takes the second norm for the first."""
    read = rms_norm(x, w["post_attention_layernorm.weight"])
    q, k, v = (read @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    q = einops.rearrange(q, "b p (h d) -> b h p d", h=n_heads)
    k, v = (einops.rearrange(t, "b p (h d) -> b h p d", h=n_kv_heads) for t in (k, v))
    q, k, v = rotate(q), rotate(k), v
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (k, v))
    z = causal_pattern(attention_scores(q, k)) @ v
    mid = x + einops.rearrange(z, "b h p d -> b p (h d)") @ w["self_attn.o_proj.weight"].T
    read = rms_norm(mid, w["input_layernorm.weight"])
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return mid + (F.silu(gate) * up) @ w["mlp.down_proj.weight"].T


@mistake("01.16", says="The MLP reads the stream from before attention")
def llama_block(x, w, n_heads, n_kv_heads):
    """Attention and MLP side by side, as GPT-NeoX has them."""
    read = rms_norm(x, w["input_layernorm.weight"])
    q, k, v = (read @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    q = einops.rearrange(q, "b p (h d) -> b h p d", h=n_heads)
    k, v = (einops.rearrange(t, "b p (h d) -> b h p d", h=n_kv_heads) for t in (k, v))
    q, k, v = rotate(q), rotate(k), v
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (k, v))
    z = causal_pattern(attention_scores(q, k)) @ v
    mid = x + einops.rearrange(z, "b h p d -> b p (h d)") @ w["self_attn.o_proj.weight"].T
    read = rms_norm(x, w["post_attention_layernorm.weight"])
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return mid + (F.silu(gate) * up) @ w["mlp.down_proj.weight"].T


@mistake("01.16", says="This is what the block adds")
def llama_block(x, w, n_heads, n_kv_heads):
    """Leaves out the stream."""
    read = rms_norm(x, w["input_layernorm.weight"])
    q, k, v = (read @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    q = einops.rearrange(q, "b p (h d) -> b h p d", h=n_heads)
    k, v = (einops.rearrange(t, "b p (h d) -> b h p d", h=n_kv_heads) for t in (k, v))
    q, k, v = rotate(q), rotate(k), v
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (k, v))
    z = causal_pattern(attention_scores(q, k)) @ v
    mid = x + einops.rearrange(z, "b h p d -> b p (h d)") @ w["self_attn.o_proj.weight"].T
    read = rms_norm(mid, w["post_attention_layernorm.weight"])
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return mid - x + (F.silu(gate) * up) @ w["mlp.down_proj.weight"].T


@mistake("01.16", says="eps = 1e-6")
def llama_block(x, w, n_heads, n_kv_heads):
    """GPT-2's eps."""
    read = rms_norm(x, w["input_layernorm.weight"], 1e-5)
    q, k, v = (read @ w[f"self_attn.{name}_proj.weight"].T for name in "qkv")
    q = einops.rearrange(q, "b p (h d) -> b h p d", h=n_heads)
    k, v = (einops.rearrange(t, "b p (h d) -> b h p d", h=n_kv_heads) for t in (k, v))
    q, k, v = rotate(q), rotate(k), v
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (k, v))
    z = causal_pattern(attention_scores(q, k)) @ v
    mid = x + einops.rearrange(z, "b h p d -> b p (h d)") @ w["self_attn.o_proj.weight"].T
    read = rms_norm(mid, w["post_attention_layernorm.weight"], 1e-5)
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return mid + (F.silu(gate) * up) @ w["mlp.down_proj.weight"].T


@mistake("01.16", says="must be transposed")
def llama_block(x, w, n_heads, n_kv_heads):
    """GPT-2's layout; where shapes do not fit, the transpose."""

    def times(x, name):
        weight = w[name]
        return x @ (weight if weight.shape[0] == weight.shape[1] else weight.T)

    read = rms_norm(x, w["input_layernorm.weight"])
    q, k, v = (
        times(read, f"self_attn.{name}_proj.weight").unflatten(-1, (h, -1)).transpose(1, 2)
        for name, h in (("q", n_heads), ("k", n_kv_heads), ("v", n_kv_heads))
    )
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (rotate(k), v))
    z = causal_pattern(attention_scores(rotate(q), k)) @ v
    x = x + times(z.transpose(1, 2).flatten(2), "self_attn.o_proj.weight")
    read = rms_norm(x, w["post_attention_layernorm.weight"])
    gate, up = times(read, "mlp.gate_proj.weight"), times(read, "mlp.up_proj.weight")
    return x + times(F.silu(gate) * up, "mlp.down_proj.weight")


@mistake("01.16", says="cannot be multiplied")
def llama_block(x, w, n_heads, n_kv_heads):
    """No weight is transposed: torch says that the shapes do not fit."""
    read = rms_norm(x, w["input_layernorm.weight"])
    q, k, v = (
        (read @ w[f"self_attn.{name}_proj.weight"]).unflatten(-1, (h, -1)).transpose(1, 2)
        for name, h in (("q", n_heads), ("k", n_kv_heads), ("v", n_kv_heads))
    )
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (rotate(k), v))
    z = causal_pattern(attention_scores(rotate(q), k)) @ v
    x = x + z.transpose(1, 2).flatten(2) @ w["self_attn.o_proj.weight"]
    read = rms_norm(x, w["post_attention_layernorm.weight"])
    gate, up = read @ w["mlp.gate_proj.weight"], read @ w["mlp.up_proj.weight"]
    return x + (F.silu(gate) * up) @ w["mlp.down_proj.weight"]


@right("01.16", how="with F.linear and torch's own grouped attention")
def llama_block(x, w, n_heads, n_kv_heads):
    batch, n, _ = x.shape

    def heads(name, count):
        return F.linear(read, w[f"self_attn.{name}_proj.weight"]).view(batch, n, count, -1).transpose(1, 2)

    read = F.rms_norm(x, x.shape[-1:], w["input_layernorm.weight"], 1e-6)
    q, k, v = rotate(heads("q", n_heads)), rotate(heads("k", n_kv_heads)), heads("v", n_kv_heads)
    z = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    x = x + F.linear(z.transpose(1, 2).reshape(batch, n, -1), w["self_attn.o_proj.weight"])
    read = F.rms_norm(x, x.shape[-1:], w["post_attention_layernorm.weight"], 1e-6)
    gate = F.silu(F.linear(read, w["mlp.gate_proj.weight"]))
    return x + F.linear(gate * F.linear(read, w["mlp.up_proj.weight"]), w["mlp.down_proj.weight"])


@right("01.16", how="head by head, with the queries in groups")
def llama_block(x, w, n_heads, n_kv_heads):
    mine, shared = part(w, "self_attn."), n_heads // n_kv_heads
    read = rms_norm(x, w["input_layernorm.weight"])
    d = mine["q_proj.weight"].shape[0] // n_heads
    for head in range(n_heads):
        rows = slice(head * d, (head + 1) * d)
        group = slice(head // shared * d, (head // shared + 1) * d)
        q = rotate((read @ mine["q_proj.weight"][rows].T)[:, None])[:, 0]
        k = rotate((read @ mine["k_proj.weight"][group].T)[:, None])[:, 0]
        z = causal_pattern(attention_scores(q, k)) @ (read @ mine["v_proj.weight"][group].T)
        x = x + z @ mine["o_proj.weight"][:, rows].T
    read = rms_norm(x, w["post_attention_layernorm.weight"])
    gate, up, down = (w[f"mlp.{name}_proj.weight"].T for name in ("gate", "up", "down"))
    return x + ((read @ gate) * torch.sigmoid(read @ gate) * (read @ up)) @ down
