"""Wrong answers that learners and published code give to chapter 06, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 06.1 -------------------------------------------------------------------------------------------------------------


@mistake("06.1", says="b_dec must be taken away from x before")
class section:
    """The encoder reads x itself."""

    def encode(x, W_enc, b_enc, b_dec):
        return (x @ W_enc + b_enc).relu()

    def decode(f, W_dec, b_dec):
        return f @ W_dec + b_dec


@mistake("06.1", says="The ReLU is missing")
class section:
    """A linear encoder."""

    def encode(x, W_enc, b_enc, b_dec):
        return (x - b_dec) @ W_enc + b_enc

    def decode(f, W_dec, b_dec):
        return f @ W_dec + b_dec


@mistake("06.1", says="b_dec is missing: add it")
class section:
    """The decoder forgets its bias."""

    def encode(x, W_enc, b_enc, b_dec):
        return ((x - b_dec) @ W_enc + b_enc).relu()

    def decode(f, W_dec, b_dec):
        return f @ W_dec


@mistake("06.1", says="b_enc stands outside of the ReLU")
class section:
    """The bias after the ReLU."""

    def encode(x, W_enc, b_enc, b_dec):
        return ((x - b_dec) @ W_enc).relu() + b_enc

    def decode(f, W_dec, b_dec):
        return f @ W_dec + b_dec


@mistake("06.1", says="You add b_dec to x")
class section:
    """The sign of the centring."""

    def encode(x, W_enc, b_enc, b_dec):
        return ((x + b_dec) @ W_enc + b_enc).relu()

    def decode(f, W_dec, b_dec):
        return f @ W_dec + b_dec


@mistake("06.1", says="There is no ReLU in the decoder")
class section:
    """A ReLU on both sides."""

    def encode(x, W_enc, b_enc, b_dec):
        return ((x - b_dec) @ W_enc + b_enc).relu()

    def decode(f, W_dec, b_dec):
        return (f @ W_dec + b_dec).relu()


@mistake("06.1", says="no gradient comes through")
class section:
    """Computed without gradients."""

    def encode(x, W_enc, b_enc, b_dec):
        return ((x - b_dec) @ W_enc + b_enc).relu()

    def decode(f, W_dec, b_dec):
        return f.detach() @ W_dec.detach() + b_dec.detach()


@right("06.1", how="with einsum and where")
class section:
    def encode(x, W_enc, b_enc, b_dec):
        pre = torch.einsum("bd,dl->bl", x - b_dec, W_enc) + b_enc
        return torch.where(pre > 0, pre, 0.0)

    def decode(f, W_dec, b_dec):
        return torch.einsum("bl,ld->bd", f, W_dec) + b_dec


@right("06.1", how="latent by latent, in double precision")
class section:
    def encode(x, W_enc, b_enc, b_dec):
        x = x.double() - b_dec.double()
        columns = [(x * w).sum(-1) + b for w, b in zip(W_enc.T.double(), b_enc.double())]
        return torch.stack(columns, dim=-1).clamp(min=0)

    def decode(f, W_dec, b_dec):
        out = b_dec.double() + 0 * f[:, :1].double()
        for i in range(f.shape[1]):
            out = out + f[:, i : i + 1].double() * W_dec[i].double()
        return out


# --- 06.2 -------------------------------------------------------------------------------------------------------------


@mistake("06.2", says="You average the error over coordinates as well")
class section:
    """torch's mse_loss, whose scale is another one."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).mean(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).sum(-1).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec / scale)


@mistake("06.2", says="You average both over coordinates and latents")
class section:
    """Two means over everything."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).mean(-1)
        penalty = f @ W_dec.norm(dim=1) / f.shape[1]
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).sum(-1).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec / scale)


@mistake("06.2", says="‖d_i‖ is missing from the penalty")
class section:
    """A penalty that long rows escape."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f.sum(-1)
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).sum(-1).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec / scale)


@mistake("06.2", says="You sum over the batch")
class section:
    """The sum over inputs."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + l1 * penalty).sum()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).sum(-1).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec / scale)


@mistake("06.2", says="You average the penalty over latents")
class section:
    """The mean over latents."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = (f * W_dec.norm(dim=1)).mean(-1)
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).sum(-1).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec / scale)


@mistake("06.2", says="λ is missing")
class section:
    """No weight of the penalty."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + penalty).mean()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).sum(-1).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec / scale)


@mistake("06.2", says="This makes each COORDINATE 1")
class section:
    """The scale for √d instead of 1."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec / scale)


@mistake("06.2", says="This is what x must be DIVIDED by")
class section:
    """The inverse."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return math.sqrt(x.pow(2).sum(-1).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec / scale)


@mistake("06.2", says="This is the square of it")
class section:
    """No root."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return 1 / x.pow(2).sum(-1).mean().item()

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec / scale)


@mistake("06.2", says="The mean of squares is not the square of the mean")
class section:
    """The mean length."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return 1 / x.norm(dim=-1).mean().item()

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec / scale)


@mistake("06.2", says="b_dec is in units of scale · x")
class section:
    """One bias is forgotten."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).sum(-1).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec)


@mistake("06.2", says="b_enc is in units of scale · x")
class section:
    """The other bias is forgotten."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).sum(-1).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc, W_dec, b_dec / scale)


@mistake("06.2", says="You multiply the biases by scale")
class section:
    """Folded the wrong way."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).sum(-1).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc * scale, W_dec, b_dec * scale)


@mistake("06.2", says="Your rows of W_dec have another length now")
class section:
    """The scale goes into both matrices."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).sum(-1).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc * scale, b_enc, W_dec / scale, b_dec / scale)


@mistake("06.2", says="The new dictionary gives x̂ in units of scale · x")
class section:
    """Only the inputs are scaled."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).sum(-1).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (scale * W_enc, b_enc + (scale - 1) * b_dec @ W_enc, W_dec, b_dec)


@mistake("06.2", says="This is the median over the batch")
class section:
    """The median."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + l1 * penalty).median()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).sum(-1).mean().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec / scale)


@mistake("06.2", says="This makes the MEDIAN of")
class section:
    """The median."""

    def sae_loss(x, out, f, W_dec, l1):
        error = (x - out).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        return (error + l1 * penalty).mean()

    def input_scale(x):
        return 1 / math.sqrt(x.pow(2).sum(-1).median().item())

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec / scale)


@right("06.2", how="term by term, with loops")
class section:
    def sae_loss(x, out, f, W_dec, l1):
        total = 0.0
        for row, back, active in zip(x, out, f):
            total = total + ((row - back) ** 2).sum()
            for size, direction in zip(active, W_dec):
                total = total + l1 * size * direction.norm()
        return total / len(x)

    def input_scale(x):
        return float(len(x) ** 0.5 / torch.linalg.matrix_norm(x))

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        inverse = 1.0 / scale
        return (W_enc.clone(), inverse * b_enc, W_dec.clone(), inverse * b_dec)


@right("06.2", how="with torch's own losses, in double precision")
class section:
    def sae_loss(x, out, f, W_dec, l1):
        error = torch.nn.functional.mse_loss(out.double(), x.double(), reduction="sum") / x.shape[0]
        return error + l1 * (f.double() * W_dec.double().pow(2).sum(1).sqrt()).sum() / f.shape[0]

    def input_scale(x):
        return (x.double() ** 2).sum(1).mean() ** (-0.5)

    def fold_in(W_enc, b_enc, W_dec, b_dec, scale):
        return (W_enc, b_enc / scale, W_dec, b_dec / scale)


# --- 06.3 -------------------------------------------------------------------------------------------------------------


@mistake("06.3", says="You divide by 1 at least")
class section:
    """A floor of 1 against NaN."""

    def best_activation(a, l1):
        return (a - l1 / 2).clamp(min=0)

    def relative_size(a, f):
        both = (a > 0) & (f > 0)
        return (a * f * both).sum(0) / (a * a * both).sum(0).clamp(min=1)


@mistake("06.3", says="So λ is halved")
class section:
    """λ instead of λ/2."""

    def best_activation(a, l1):
        return (a - l1).relu()

    def relative_size(a, f):
        both = (a > 0) & (f > 0)
        return (a * f * both).sum(0) / (a.pow(2) * both).sum(0).clamp(min=1e-12)


@mistake("06.3", says="An activation is not negative")
class section:
    """No ReLU."""

    def best_activation(a, l1):
        return a - l1 / 2

    def relative_size(a, f):
        both = (a > 0) & (f > 0)
        return (a * f * both).sum(0) / (a.pow(2) * both).sum(0).clamp(min=1e-12)


@mistake("06.3", says="What is above the threshold is not left whole")
class section:
    """A hard threshold."""

    def best_activation(a, l1):
        return a * (a > l1 / 2)

    def relative_size(a, f):
        both = (a > 0) & (f > 0)
        return (a * f * both).sum(0) / (a.pow(2) * both).sum(0).clamp(min=1e-12)


@mistake("06.3", says="This is for a penalty on f²")
class section:
    """Ridge instead of lasso."""

    def best_activation(a, l1):
        return a / (1 + l1)

    def relative_size(a, f):
        both = (a > 0) & (f > 0)
        return (a * f * both).sum(0) / (a.pow(2) * both).sum(0).clamp(min=1e-12)


@mistake("06.3", says="The sum of a² goes over all inputs")
class section:
    """What is silent counts as small."""

    def best_activation(a, l1):
        return (a - l1 / 2).relu()

    def relative_size(a, f):
        both = (a > 0) & (f > 0)
        return (a * f * both).sum(0) / (a.pow(2)).sum(0).clamp(min=1e-12)


@mistake("06.3", says="This is the mean of the ratios")
class section:
    """Ratios are averaged."""

    def best_activation(a, l1):
        return (a - l1 / 2).relu()

    def relative_size(a, f):
        both = (a > 0) & (f > 0)
        return torch.where(both, f / a, 0.0).sum(0) / both.sum(0).clamp(min=1)


@mistake("06.3", says="It is the wrong way round")
class section:
    """f below the line."""

    def best_activation(a, l1):
        return (a - l1 / 2).relu()

    def relative_size(a, f):
        both = (a > 0) & (f > 0)
        return (a * f * both).sum(0) / (f.pow(2) * both).sum(0).clamp(min=1e-12)


@mistake("06.3", says="give NaN")
class section:
    """No care for 0/0."""

    def best_activation(a, l1):
        return (a - l1 / 2).relu()

    def relative_size(a, f):
        both = (a > 0) & (f > 0)
        return (a * f * both).sum(0) / (a.pow(2) * both).sum(0)


@right("06.3", how="by cases, with loops")
class section:
    def best_activation(a, l1):
        return torch.tensor([v - l1 / 2 if v > l1 / 2 else 0.0 for v in a.tolist()])

    def relative_size(a, f):
        found = []
        for i in range(a.shape[1]):
            rows = (a[:, i] > 0) & (f[:, i] > 0)
            p, q = (a[rows, i], f[rows, i])
            found.append((p @ q / (p @ p)).item() if len(p) else 0.0)
        return torch.tensor(found)


@right("06.3", how="with nan_to_num, in double precision")
class section:
    def best_activation(a, l1):
        return torch.clamp(2 * a.double() - l1, min=0) / 2

    def relative_size(a, f):
        a = torch.where(f > 0, a, 0).double()
        f = torch.where(a > 0, f.double(), 0)
        return (torch.einsum("bi,bi->i", a, f) / torch.einsum("bi,bi->i", a, a)).nan_to_num(0.0)


# --- 06.4 -------------------------------------------------------------------------------------------------------------


@mistake("06.4", says="Negative numbers stay")
class section:
    """The k largest of pre itself."""

    def top_k(pre, k):
        values, places = pre.topk(k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, places, values)

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@mistake("06.4", says="You take the largest absolute values")
class section:
    """Largest by size."""

    def top_k(pre, k):
        places = pre.abs().topk(k, dim=-1).indices
        values = pre.gather(-1, places)
        return torch.zeros_like(pre).scatter(-1, places, values)

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@mistake("06.4", says="This says WHICH stay")
class section:
    """A mask."""

    def top_k(pre, k):
        values, places = pre.relu().topk(k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, places, (values > 0).to(pre.dtype))

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@mistake("06.4", says="These are the k largest over the inputs")
class section:
    """Along the wrong axis."""

    def top_k(pre, k):
        values, places = pre.relu().topk(min(k, len(pre)), dim=0)
        return torch.zeros_like(pre).scatter(0, places, values)

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@mistake("06.4", says="One too few stays")
class section:
    """Strictly above the k-th largest."""

    def top_k(pre, k):
        bound = pre.relu().topk(k, dim=-1).values[:, -1:]
        return pre.relu() * (pre.relu() > bound)

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@mistake("06.4", says="no gradient comes through")
class section:
    """The values are taken out of the graph."""

    def top_k(pre, k):
        values, places = pre.relu().topk(k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, places, values.detach())

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@mistake("06.4", says="These are the k largest of each input")
class section:
    """TopK instead of BatchTopK."""

    def top_k(pre, k):
        values, places = pre.relu().topk(k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, places, values)

    def batch_top_k(pre, k):
        return top_k(pre, k)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@mistake("06.4", says="These are the k largest of the whole batch")
class section:
    """k in all."""

    def top_k(pre, k):
        values, places = pre.relu().topk(k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, places, values)

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@mistake("06.4", says="The first batch gives its smallest activation itself")
class section:
    """A running mean that starts at 0."""

    def top_k(pre, k):
        values, places = pre.relu().topk(k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, places, values)

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@mistake("06.4", says="The weights are exchanged")
class section:
    """keep and 1 − keep."""

    def top_k(pre, k):
        values, places = pre.relu().topk(k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, places, values)

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else (1 - keep) * threshold + keep * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@mistake("06.4", says="The smallest number is 0")
class section:
    """The minimum of all."""

    def top_k(pre, k):
        values, places = pre.relu().topk(k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, places, values)

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f.min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@mistake("06.4", says="You take the threshold away from what stays")
class section:
    """A soft threshold."""

    def top_k(pre, k):
        values, places = pre.relu().topk(k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, places, values)

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return (pre - threshold).relu()


@mistake("06.4", says="What is exactly at the threshold does not stay")
class section:
    """At least instead of above."""

    def top_k(pre, k):
        values, places = pre.relu().topk(k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, places, values)

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre >= threshold)


@mistake("06.4", says="Large negative numbers stay")
class section:
    """The absolute value is compared."""

    def top_k(pre, k):
        values, places = pre.relu().topk(k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, places, values)

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre.abs() > threshold)


@mistake("06.4", says="lets in all that are as large")
class section:
    """What is as large as the k-th stays."""

    def top_k(pre, k):
        f = pre.relu()
        return f * (f >= f.topk(k, dim=-1).values[:, -1:])

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@mistake("06.4", says="lets in all that are as large")
class section:
    """The same for the batch alone."""

    def top_k(pre, k):
        values, places = pre.relu().topk(k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, places, values)

    def batch_top_k(pre, k):
        f = pre.relu()
        return f * (f >= f.flatten().topk(k * len(pre)).values[-1])

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@right("06.4", how="with sorting")
class section:
    def top_k(pre, k):
        order = pre.argsort(dim=1, descending=True)[:, :k]
        mask = torch.zeros_like(pre, dtype=torch.bool)
        for row, places in enumerate(order):
            mask[row, places] = True
        return torch.where(mask & (pre > 0), pre, torch.zeros_like(pre))

    def batch_top_k(pre, k):
        order = pre.flatten().argsort(descending=True)
        stays = torch.zeros(pre.numel(), dtype=torch.bool)
        stays[order[: k * pre.shape[0]]] = True
        return torch.where(stays.view(pre.shape), pre.relu(), 0.0)

    def next_threshold(threshold, f, keep):
        if not (f > 0).any():
            return threshold
        smallest = f[f > 0].min().item()
        return smallest if threshold == 0 else keep * threshold + (1 - keep) * smallest

    def above_threshold(pre, threshold):
        return pre * (pre > threshold)


@right("06.4", how="with masks and early returns, in double precision")
class section:
    def top_k(pre, k):
        rank = pre.argsort(dim=-1, descending=True).argsort(dim=-1)  # 0 for the largest
        return pre.clamp(min=0) * (rank < k)

    def batch_top_k(pre, k):
        return top_k(pre.flatten()[None], k * len(pre)).view(pre.shape)

    def next_threshold(threshold, f, keep):
        positive = [v for row in f.double().tolist() for v in row if v > 0]
        if len(positive) == 0:
            return threshold
        if threshold == 0:
            return min(positive)
        return threshold + (1 - keep) * (min(positive) - threshold)

    def above_threshold(pre, threshold):
        return torch.where(pre > threshold, pre.double(), 0.0)


# --- 06.5 -------------------------------------------------------------------------------------------------------------


@mistake("06.5", says="No gradient comes to θ")
class section:
    """The true gradient."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-(theta / width) * near).detach()
        return z * (z > theta) + 0 * theta

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-near / width).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="You take θ away from what is above it")
class section:
    """A shifted ReLU."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-(theta / width) * near).detach()
        return (z - theta).detach().relu() + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-near / width).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="The sign is wrong: a higher threshold lets LESS through")
class section:
    """A sign."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = ((theta / width) * near).detach()
        return z * (z > theta) + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-near / width).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="This is −(1/ε) K")
class section:
    """The gradient of the step for the jump."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-near / width).detach()
        return z * (z > theta) + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-near / width).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="The factor is θ, the height of the jump")
class section:
    """z for θ."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-(z / width) * near).detach()
        return z * (z > theta) + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-near / width).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="Your window is twice as wide")
class section:
    """ε on either side."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width).to(z.dtype)
        slope = (-(theta / width) * near).detach()
        return z * (z > theta) + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width).to(z.dtype)
        slope = (-near / width).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="Your gradient comes from all inputs")
class section:
    """No window."""

    def jumprelu(z, theta, width):
        near = torch.ones_like(z)
        slope = (-(theta / width) * near).detach()
        return z * (z > theta) + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = torch.ones_like(z)
        slope = (-near / width).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="Your window is open on one side")
class section:
    """Only from above."""

    def jumprelu(z, theta, width):
        near = (((z - theta) < width / 2) & (z > theta)).to(z.dtype)
        slope = (-(theta / width) * near).detach()
        return z * (z > theta) + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = (((z - theta) < width / 2) & (z > theta)).to(z.dtype)
        slope = (-near / width).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="You do not divide by ε")
class section:
    """A window of height 1."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-theta * near).detach()
        return z * (z > theta) + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-near).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="z gets a gradient from the window too")
class section:
    """A window that z can feel."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-(theta / width) * near).detach()
        return z * (z > theta) + slope * (theta - z) - (slope * (theta - z)).detach()

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-near / width).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="L0 gives z a gradient")
class section:
    """The count follows a sigmoid."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-(theta / width) * near).detach()
        return z * (z > theta) + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-near / width).detach()
        active = (z > theta).to(z.dtype) + slope * (theta - z) - (slope * (theta - z)).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="This is the share of latents")
class section:
    """A mean over latents."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-(theta / width) * near).detach()
        return z * (z > theta) + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-near / width).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.mean()


@mistake("06.5", says="Of the count the gradient is −(1/ε) K")
class section:
    """The gradient of the jump for the step."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-(theta / width) * near).detach()
        return z * (z > theta) + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-(theta / width) * near).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="What is exactly at θ is not above it")
class section:
    """At the threshold."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-(theta / width) * near).detach()
        return z * (z >= theta) + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-near / width).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="What is exactly at θ is not active")
class section:
    """At the threshold, counted."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-(theta / width) * near).detach()
        return z * (z > theta) + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-near / width).detach()
        active = (z >= theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).mean()


@mistake("06.5", says="This is the median over the batch")
class section:
    """The median."""

    def jumprelu(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-(theta / width) * near).detach()
        return z * (z > theta) + slope * theta - (slope * theta).detach()

    def count_active(z, theta, width):
        near = ((z - theta).abs() < width / 2).to(z.dtype)
        slope = (-near / width).detach()
        active = (z > theta).to(z.dtype) + slope * theta - (slope * theta).detach()
        return active.sum(-1).median()


@right("06.5", how="with autograd functions")
class section:
    class Jump(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z, theta, width):
            ctx.save_for_backward(z, theta)
            ctx.width = width
            return torch.where(z > theta, z, 0.0)

        @staticmethod
        def backward(ctx, arriving):
            z, theta = ctx.saved_tensors
            window = (((z - theta) / ctx.width).abs() < 0.5).float()
            return (arriving * (z > theta), (-(theta / ctx.width) * window * arriving).sum(0), None)

    def jumprelu(z, theta, width):
        return Jump.apply(z, theta, width)

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z, theta, width):
            ctx.save_for_backward(z, theta)
            ctx.width = width
            return (z > theta).float()

        @staticmethod
        def backward(ctx, arriving):
            z, theta = ctx.saved_tensors
            window = (((z - theta) / ctx.width).abs() < 0.5).float()
            return (None, (-window * arriving / ctx.width).sum(0), None)

    def count_active(z, theta, width):
        return Step.apply(z, theta, width).sum() / len(z)


@right("06.5", how="with a shared helper")
class section:
    def through(value, theta, slope):
        slope = slope.detach()
        extra = slope * theta
        return value + (extra - extra.detach())

    def jumprelu(z, theta, width):
        inside = ((z - theta) / width).abs() < 0.5
        above = (z.detach() > theta.detach()).float()
        return through(z * above, theta, -(theta / width) * inside.float())

    def count_active(z, theta, width):
        inside = ((z - theta) / width).abs() < 0.5
        above = (z.detach() > theta.detach()).float()
        return through(above, theta, -inside.float() / width).sum(1).mean(0)


# --- 06.6 -------------------------------------------------------------------------------------------------------------


@mistake("06.6", says="The gate does not close")
class section:
    """Only the size."""

    def gated(gate, b_enc, r, b_mag):
        return (r.exp() * (gate - b_enc) + b_mag).relu()

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        error = (x - decode(f, W_dec, b_dec)).pow(2).sum(-1)
        penalty = gate.relu() @ W_dec.norm(dim=1)
        by_gate = (x - decode(gate.relu(), W_dec.detach(), b_dec.detach())).pow(2).sum(-1)
        return (error + l1 * penalty + by_gate).mean()


@mistake("06.6", says="b_enc belongs to the gate alone")
class section:
    """The gate's bias in the size."""

    def gated(gate, b_enc, r, b_mag):
        return (gate > 0) * (r.exp() * gate + b_mag).relu()

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        error = (x - decode(f, W_dec, b_dec)).pow(2).sum(-1)
        penalty = gate.relu() @ W_dec.norm(dim=1)
        by_gate = (x - decode(gate.relu(), W_dec.detach(), b_dec.detach())).pow(2).sum(-1)
        return (error + l1 * penalty + by_gate).mean()


@mistake("06.6", says="The scale is e^r")
class section:
    """r itself."""

    def gated(gate, b_enc, r, b_mag):
        return (gate > 0) * (r * (gate - b_enc) + b_mag).relu()

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        error = (x - decode(f, W_dec, b_dec)).pow(2).sum(-1)
        penalty = gate.relu() @ W_dec.norm(dim=1)
        by_gate = (x - decode(gate.relu(), W_dec.detach(), b_dec.detach())).pow(2).sum(-1)
        return (error + l1 * penalty + by_gate).mean()


@mistake("06.6", says="The gate says whether, and not how much")
class section:
    """A gate that multiplies."""

    def gated(gate, b_enc, r, b_mag):
        return gate.relu() * (r.exp() * (gate - b_enc) + b_mag).relu()

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        error = (x - decode(f, W_dec, b_dec)).pow(2).sum(-1)
        penalty = gate.relu() @ W_dec.norm(dim=1)
        by_gate = (x - decode(gate.relu(), W_dec.detach(), b_dec.detach())).pow(2).sum(-1)
        return (error + l1 * penalty + by_gate).mean()


@mistake("06.6", says="Some of your activations are negative")
class section:
    """No ReLU on the size."""

    def gated(gate, b_enc, r, b_mag):
        return (gate > 0) * (r.exp() * (gate - b_enc) + b_mag)

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        error = (x - decode(f, W_dec, b_dec)).pow(2).sum(-1)
        penalty = gate.relu() @ W_dec.norm(dim=1)
        by_gate = (x - decode(gate.relu(), W_dec.detach(), b_dec.detach())).pow(2).sum(-1)
        return (error + l1 * penalty + by_gate).mean()


@mistake("06.6", says="b_mag is added to what is scaled")
class section:
    """The bias inside the scale."""

    def gated(gate, b_enc, r, b_mag):
        return (gate > 0) * (r.exp() * (gate - b_enc + b_mag)).relu()

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        error = (x - decode(f, W_dec, b_dec)).pow(2).sum(-1)
        penalty = gate.relu() @ W_dec.norm(dim=1)
        by_gate = (x - decode(gate.relu(), W_dec.detach(), b_dec.detach())).pow(2).sum(-1)
        return (error + l1 * penalty + by_gate).mean()


@mistake("06.6", says="In the last term the decoder is frozen")
class section:
    """Nothing is detached."""

    def gated(gate, b_enc, r, b_mag):
        return (gate > 0) * (r.exp() * (gate - b_enc) + b_mag).relu()

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        error = (x - decode(f, W_dec, b_dec)).pow(2).sum(-1)
        penalty = gate.relu() @ W_dec.norm(dim=1)
        by_gate = (x - decode(gate.relu(), W_dec, b_dec)).pow(2).sum(-1)
        return (error + l1 * penalty + by_gate).mean()


@mistake("06.6", says="In the last term the DECODER is frozen, and not the gate")
class section:
    """The gate is detached as well."""

    def gated(gate, b_enc, r, b_mag):
        return (gate > 0) * (r.exp() * (gate - b_enc) + b_mag).relu()

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        error = (x - decode(f, W_dec, b_dec)).pow(2).sum(-1)
        penalty = gate.relu().detach() @ W_dec.norm(dim=1)
        by_gate = (x - decode(gate.relu().detach(), W_dec.detach(), b_dec.detach())).pow(2).sum(-1)
        return (error + l1 * penalty + by_gate).mean()


@mistake("06.6", says="The penalty is on the gate")
class section:
    """A penalty on f, which shrinks."""

    def gated(gate, b_enc, r, b_mag):
        return (gate > 0) * (r.exp() * (gate - b_enc) + b_mag).relu()

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        error = (x - decode(f, W_dec, b_dec)).pow(2).sum(-1)
        penalty = f @ W_dec.norm(dim=1)
        by_gate = (x - decode(gate.relu(), W_dec.detach(), b_dec.detach())).pow(2).sum(-1)
        return (error + l1 * penalty + by_gate).mean()


@mistake("06.6", says="The last term is missing")
class section:
    """Without the auxiliary loss."""

    def gated(gate, b_enc, r, b_mag):
        return (gate > 0) * (r.exp() * (gate - b_enc) + b_mag).relu()

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        error = (x - decode(f, W_dec, b_dec)).pow(2).sum(-1)
        penalty = gate.relu() @ W_dec.norm(dim=1)
        by_gate = (x - decode(gate.relu(), W_dec.detach(), b_dec.detach())).pow(2).sum(-1)
        return (error + l1 * penalty).mean()


@mistake("06.6", says="You average over coordinates")
class section:
    """Means of squares."""

    def gated(gate, b_enc, r, b_mag):
        return (gate > 0) * (r.exp() * (gate - b_enc) + b_mag).relu()

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        error = (x - decode(f, W_dec, b_dec)).pow(2).mean(-1)
        penalty = gate.relu() @ W_dec.norm(dim=1)
        by_gate = (x - decode(gate.relu(), W_dec.detach(), b_dec.detach())).pow(2).mean(-1)
        return (error + l1 * penalty + by_gate).mean()


@mistake("06.6", says="A gate that is exactly 0 is shut")
class section:
    """At 0."""

    def gated(gate, b_enc, r, b_mag):
        return (gate >= 0) * (r.exp() * (gate - b_enc) + b_mag).relu()

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        error = (x - decode(f, W_dec, b_dec)).pow(2).sum(-1)
        penalty = gate.relu() @ W_dec.norm(dim=1)
        by_gate = (x - decode(gate.relu(), W_dec.detach(), b_dec.detach())).pow(2).sum(-1)
        return (error + l1 * penalty + by_gate).mean()


@mistake("06.6", says="This is the median over the batch")
class section:
    """The median."""

    def gated(gate, b_enc, r, b_mag):
        return (gate > 0) * (r.exp() * (gate - b_enc) + b_mag).relu()

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        error = (x - decode(f, W_dec, b_dec)).pow(2).sum(-1)
        penalty = gate.relu() @ W_dec.norm(dim=1)
        by_gate = (x - decode(gate.relu(), W_dec.detach(), b_dec.detach())).pow(2).sum(-1)
        return (error + l1 * penalty + by_gate).median()


@right("06.6", how="with where and a frozen copy")
class section:
    def gated(gate, b_enc, r, b_mag):
        size = torch.exp(r) * (gate - b_enc) + b_mag
        return torch.where(gate > 0, torch.clamp(size, min=0), 0.0)

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        pi = torch.clamp(gate, min=0)
        frozen = (W_dec.detach().clone(), b_dec.detach().clone())
        first = ((x - f @ W_dec - b_dec) ** 2).sum()
        last = ((x - pi @ frozen[0] - frozen[1]) ** 2).sum()
        return (first + l1 * (pi * W_dec.norm(dim=1)).sum() + last) / len(x)


@right("06.6", how="with masks and einsum, in double precision")
class section:
    def gated(gate, b_enc, r, b_mag):
        is_open = (gate > 0).double()
        return is_open * torch.nn.functional.relu(r.double().exp() * (gate.double() - b_enc) + b_mag)

    def gated_loss(x, gate, f, W_dec, b_dec, l1):
        pi = gate.relu()
        terms = [((x - out) ** 2).sum(1) for out in (f @ W_dec + b_dec, pi @ W_dec.detach() + b_dec.detach())]
        penalty = torch.einsum("bl,l->b", pi, W_dec.pow(2).sum(1).sqrt())
        return (terms[0] + terms[1] + penalty * l1).sum() / x.shape[0]


# --- 06.7 -------------------------------------------------------------------------------------------------------------


@mistake("06.7", says="This is the sum over prefixes")
class section:
    """The sum."""

    def nested_loss(x, f, W_dec, b_dec, prefixes):
        errors = [(x - decode(f[:, :m], W_dec[:m], b_dec)).pow(2).sum(-1).mean() for m in prefixes]
        return torch.stack(errors).sum()


@mistake("06.7", says="This is the loss of the whole dictionary")
class section:
    """Only the last prefix."""

    def nested_loss(x, f, W_dec, b_dec, prefixes):
        errors = [(x - decode(f[:, :m], W_dec[:m], b_dec)).pow(2).sum(-1).mean() for m in prefixes]
        return errors[-1]


@mistake("06.7", says="You decode what lies BETWEEN two prefixes")
class section:
    """Blocks that do not hold the ones before."""

    def nested_loss(x, f, W_dec, b_dec, prefixes):
        errors, start = ([], 0)
        for m in prefixes:
            errors.append((x - decode(f[:, start:m], W_dec[start:m], b_dec)).pow(2).sum(-1).mean())
            start = m
        return torch.stack(errors).mean()


@mistake("06.7", says="b_dec is missing in the prefixes")
class section:
    """No bias."""

    def nested_loss(x, f, W_dec, b_dec, prefixes):
        errors = [(x - f[:, :m] @ W_dec[:m]).pow(2).sum(-1).mean() for m in prefixes]
        return torch.stack(errors).mean()


@mistake("06.7", says="You take the LAST m latents")
class section:
    """From the other end."""

    def nested_loss(x, f, W_dec, b_dec, prefixes):
        errors = [(x - decode(f[:, -m:], W_dec[-m:], b_dec)).pow(2).sum(-1).mean() for m in prefixes]
        return torch.stack(errors).mean()


@mistake("06.7", says="You average over coordinates")
class section:
    """Means of squares."""

    def nested_loss(x, f, W_dec, b_dec, prefixes):
        errors = [(x - decode(f[:, :m], W_dec[:m], b_dec)).pow(2).mean() for m in prefixes]
        return torch.stack(errors).mean()


@mistake("06.7", says="no gradient comes through it to f")
class section:
    """Smaller prefixes are frozen."""

    def nested_loss(x, f, W_dec, b_dec, prefixes):
        errors = [
            (x - decode(f[:, :m] if m == prefixes[-1] else f[:, :m].detach(), W_dec[:m], b_dec)).pow(2).sum(-1).mean()
            for m in prefixes
        ]
        return torch.stack(errors).mean()


@mistake("06.7", says="This is the median over the prefixes")
class section:
    """The median of them."""

    def nested_loss(x, f, W_dec, b_dec, prefixes):
        errors = [(x - decode(f[:, :m], W_dec[:m], b_dec)).pow(2).sum(-1).mean() for m in prefixes]
        return torch.stack(errors).median()


@mistake("06.7", says="This is the median over the batch")
class section:
    """The median."""

    def nested_loss(x, f, W_dec, b_dec, prefixes):
        errors = [(x - decode(f[:, :m], W_dec[:m], b_dec)).pow(2).sum(-1).median() for m in prefixes]
        return torch.stack(errors).mean()


@right("06.7", how="adding up block by block")
class section:
    def nested_loss(x, f, W_dec, b_dec, prefixes):
        left, start, total = (x - b_dec, 0, 0.0)
        for m in prefixes:
            left = left - f[:, start:m] @ W_dec[start:m]
            total = total + (left**2).sum() / len(x)
            start = m
        return total / len(prefixes)


@right("06.7", how="with masks over all prefixes")
class section:
    def nested_loss(x, f, W_dec, b_dec, prefixes):
        inside = torch.arange(f.shape[1]) < torch.tensor(prefixes)[:, None]
        out = torch.einsum("bl,pl,ld->pbd", f, inside.to(f.dtype), W_dec) + b_dec
        return (x - out).pow(2).sum(-1).mean()


# --- 06.8 -------------------------------------------------------------------------------------------------------------


@mistake("06.8", says="You draw in proportion to the error")
class section:
    """The error, not its square."""

    def draw_weights(x, out):
        error = (x - out).norm(dim=-1)
        return error / error.sum() if error.sum() > 0 else torch.full_like(error, 1 / len(error))

    def restart(W_enc, b_enc, W_dec, dead, residual):
        W_enc, b_enc, W_dec = (W_enc.clone(), b_enc.clone(), W_dec.clone())
        directions = normalize(residual, dim=1)
        W_dec[dead] = directions
        W_enc[:, dead] = 0.2 * W_enc[:, ~dead].norm(dim=0).mean() * directions.T
        b_enc[dead] = 0
        return (W_enc, b_enc, W_dec)


@mistake("06.8", says="Probabilities add up to 1")
class section:
    """Not normalised."""

    def draw_weights(x, out):
        error = (x - out).pow(2).sum(-1)
        return error if error.sum() > 0 else torch.full_like(error, 1 / len(error))

    def restart(W_enc, b_enc, W_dec, dead, residual):
        W_enc, b_enc, W_dec = (W_enc.clone(), b_enc.clone(), W_dec.clone())
        directions = normalize(residual, dim=1)
        W_dec[dead] = directions
        W_enc[:, dead] = 0.2 * W_enc[:, ~dead].norm(dim=0).mean() * directions.T
        b_enc[dead] = 0
        return (W_enc, b_enc, W_dec)


@mistake("06.8", says="This is a softmax")
class section:
    """A softmax of errors."""

    def draw_weights(x, out):
        error = (x - out).pow(2).sum(-1)
        return error.softmax(0) if error.sum() > 0 else torch.full_like(error, 1 / len(error))

    def restart(W_enc, b_enc, W_dec, dead, residual):
        W_enc, b_enc, W_dec = (W_enc.clone(), b_enc.clone(), W_dec.clone())
        directions = normalize(residual, dim=1)
        W_dec[dead] = directions
        W_enc[:, dead] = 0.2 * W_enc[:, ~dead].norm(dim=0).mean() * directions.T
        b_enc[dead] = 0
        return (W_enc, b_enc, W_dec)


@mistake("06.8", says="you give NaN")
class section:
    """No care for 0/0."""

    def draw_weights(x, out):
        error = (x - out).pow(2).sum(-1)
        return error / error.sum()

    def restart(W_enc, b_enc, W_dec, dead, residual):
        W_enc, b_enc, W_dec = (W_enc.clone(), b_enc.clone(), W_dec.clone())
        directions = normalize(residual, dim=1)
        W_dec[dead] = directions
        W_enc[:, dead] = 0.2 * W_enc[:, ~dead].norm(dim=0).mean() * directions.T
        b_enc[dead] = 0
        return (W_enc, b_enc, W_dec)


@mistake("06.8", says="You take the size of x")
class section:
    """What is not there is not asked."""

    def draw_weights(x, out):
        error = x.pow(2).sum(-1)
        return error / error.sum() if (x - out).abs().sum() > 0 else torch.full_like(error, 1 / len(error))

    def restart(W_enc, b_enc, W_dec, dead, residual):
        W_enc, b_enc, W_dec = (W_enc.clone(), b_enc.clone(), W_dec.clone())
        directions = normalize(residual, dim=1)
        W_dec[dead] = directions
        W_enc[:, dead] = 0.2 * W_enc[:, ~dead].norm(dim=0).mean() * directions.T
        b_enc[dead] = 0
        return (W_enc, b_enc, W_dec)


@mistake("06.8", says="The new columns of W_enc are as long as the residuals")
class section:
    """Encoder rows that are not normalised."""

    def draw_weights(x, out):
        error = (x - out).pow(2).sum(-1)
        return error / error.sum() if error.sum() > 0 else torch.full_like(error, 1 / len(error))

    def restart(W_enc, b_enc, W_dec, dead, residual):
        W_enc, b_enc, W_dec = (W_enc.clone(), b_enc.clone(), W_dec.clone())
        directions = normalize(residual, dim=1)
        W_dec[dead] = directions
        W_enc[:, dead] = residual.T
        b_enc[dead] = 0
        return (W_enc, b_enc, W_dec)


@mistake("06.8", says="The new columns of W_enc have length 1")
class section:
    """Without the factor."""

    def draw_weights(x, out):
        error = (x - out).pow(2).sum(-1)
        return error / error.sum() if error.sum() > 0 else torch.full_like(error, 1 / len(error))

    def restart(W_enc, b_enc, W_dec, dead, residual):
        W_enc, b_enc, W_dec = (W_enc.clone(), b_enc.clone(), W_dec.clone())
        directions = normalize(residual, dim=1)
        W_dec[dead] = directions
        W_enc[:, dead] = directions.T
        b_enc[dead] = 0
        return (W_enc, b_enc, W_dec)


@mistake("06.8", says="The new columns have the mean length of the living ones")
class section:
    """Without 0.2."""

    def draw_weights(x, out):
        error = (x - out).pow(2).sum(-1)
        return error / error.sum() if error.sum() > 0 else torch.full_like(error, 1 / len(error))

    def restart(W_enc, b_enc, W_dec, dead, residual):
        W_enc, b_enc, W_dec = (W_enc.clone(), b_enc.clone(), W_dec.clone())
        directions = normalize(residual, dim=1)
        W_dec[dead] = directions
        W_enc[:, dead] = W_enc[:, ~dead].norm(dim=0).mean() * directions.T
        b_enc[dead] = 0
        return (W_enc, b_enc, W_dec)


@mistake("06.8", says="The mean length is that of the LIVING columns")
class section:
    """All columns."""

    def draw_weights(x, out):
        error = (x - out).pow(2).sum(-1)
        return error / error.sum() if error.sum() > 0 else torch.full_like(error, 1 / len(error))

    def restart(W_enc, b_enc, W_dec, dead, residual):
        W_enc, b_enc, W_dec = (W_enc.clone(), b_enc.clone(), W_dec.clone())
        directions = normalize(residual, dim=1)
        W_dec[dead] = directions
        W_enc[:, dead] = 0.2 * W_enc.norm(dim=0).mean() * directions.T
        b_enc[dead] = 0
        return (W_enc, b_enc, W_dec)


@mistake("06.8", says="The factor 0.2 alone is not the length")
class section:
    """0.2 in absolute terms."""

    def draw_weights(x, out):
        error = (x - out).pow(2).sum(-1)
        return error / error.sum() if error.sum() > 0 else torch.full_like(error, 1 / len(error))

    def restart(W_enc, b_enc, W_dec, dead, residual):
        W_enc, b_enc, W_dec = (W_enc.clone(), b_enc.clone(), W_dec.clone())
        directions = normalize(residual, dim=1)
        W_dec[dead] = directions
        W_enc[:, dead] = 0.2 * directions.T
        b_enc[dead] = 0
        return (W_enc, b_enc, W_dec)


@mistake("06.8", says="The new rows of W_dec are as long as the residuals")
class section:
    """Decoder rows that are not normalised."""

    def draw_weights(x, out):
        error = (x - out).pow(2).sum(-1)
        return error / error.sum() if error.sum() > 0 else torch.full_like(error, 1 / len(error))

    def restart(W_enc, b_enc, W_dec, dead, residual):
        W_enc, b_enc, W_dec = (W_enc.clone(), b_enc.clone(), W_dec.clone())
        directions = normalize(residual, dim=1)
        W_dec[dead] = residual
        W_enc[:, dead] = 0.2 * W_enc[:, ~dead].norm(dim=0).mean() * directions.T
        b_enc[dead] = 0
        return (W_enc, b_enc, W_dec)


@mistake("06.8", says="The bias of a dead latent becomes 0")
class section:
    """The bias stays."""

    def draw_weights(x, out):
        error = (x - out).pow(2).sum(-1)
        return error / error.sum() if error.sum() > 0 else torch.full_like(error, 1 / len(error))

    def restart(W_enc, b_enc, W_dec, dead, residual):
        W_enc, b_enc, W_dec = (W_enc.clone(), b_enc.clone(), W_dec.clone())
        directions = normalize(residual, dim=1)
        W_dec[dead] = directions
        W_enc[:, dead] = 0.2 * W_enc[:, ~dead].norm(dim=0).mean() * directions.T
        return (W_enc, b_enc, W_dec)


@mistake("06.8", says="changed the `W_enc` that it was given, in place")
class section:
    """The arguments themselves."""

    def draw_weights(x, out):
        error = (x - out).pow(2).sum(-1)
        return error / error.sum() if error.sum() > 0 else torch.full_like(error, 1 / len(error))

    def restart(W_enc, b_enc, W_dec, dead, residual):
        directions = normalize(residual, dim=1)
        W_dec[dead] = directions
        W_enc[:, dead] = 0.2 * W_enc[:, ~dead].norm(dim=0).mean() * directions.T
        b_enc[dead] = 0
        return (W_enc, b_enc, W_dec)


@mistake("06.8", says="You take the median of the living")
class section:
    """The median."""

    def draw_weights(x, out):
        error = (x - out).pow(2).sum(-1)
        return error / error.sum() if error.sum() > 0 else torch.full_like(error, 1 / len(error))

    def restart(W_enc, b_enc, W_dec, dead, residual):
        W_enc, b_enc, W_dec = (W_enc.clone(), b_enc.clone(), W_dec.clone())
        directions = normalize(residual, dim=1)
        W_dec[dead] = directions
        W_enc[:, dead] = 0.2 * W_enc[:, ~dead].norm(dim=0).median() * directions.T
        b_enc[dead] = 0
        return (W_enc, b_enc, W_dec)


@right("06.8", how="latent by latent")
class section:
    def draw_weights(x, out):
        squared = [float(((a - b) ** 2).sum()) for a, b in zip(x, out)]
        total = sum(squared)
        return torch.tensor([s / total if total else 1 / len(squared) for s in squared])

    def restart(W_enc, b_enc, W_dec, dead, residual):
        rows, columns, bias = (list(W_dec), list(W_enc.T), b_enc.tolist())
        length = sum((float(c.norm()) for c, gone in zip(columns, dead) if not gone)) / int((~dead).sum())
        for i, e in zip(dead.nonzero()[:, 0].tolist(), residual):
            rows[i] = e / e.norm()
            columns[i] = 0.2 * length * rows[i]
            bias[i] = 0.0
        return (torch.stack(columns, dim=1), torch.tensor(bias), torch.stack(rows))


@right("06.8", how="with where and index_copy")
class section:
    def draw_weights(x, out):
        error = torch.linalg.vector_norm(x - out, dim=1).double() ** 2
        if not error.any():
            error = torch.ones_like(error)
        return error / error.sum()

    def restart(W_enc, b_enc, W_dec, dead, residual):
        which = torch.where(dead)[0]
        unit = residual / residual.norm(dim=1, keepdim=True)
        length = W_enc.norm(dim=0)[~dead].mean() / 5
        return (
            W_enc.index_copy(1, which, (length * unit).T),
            torch.where(dead, torch.zeros_like(b_enc), b_enc),
            W_dec.index_copy(0, which, unit),
        )


# --- 06.9 -------------------------------------------------------------------------------------------------------------


@mistake("06.9", says="This is the share of latents that are active")
class section:
    """A mean over latents too."""

    def mean_l0(f):
        return (f > 0).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="This adds up activations")
class section:
    """L1 instead of L0."""

    def mean_l0(f):
        return f.sum(-1).mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="You divide by the mean square of x")
class section:
    """Averaged squares of uncentred activations."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).pow(2).sum() / x.pow(2).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="Below stands a variance, and above a mean square")
class section:
    """Half centred."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).pow(2).mean(0).sum() / x.var(0, correction=0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="You average over coordinates the shares")
class section:
    """The mean of ratios."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - ((x - out).var(0) / x.var(0)).mean()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="This is one variance over all numbers")
class section:
    """One mean for all coordinates."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var() / x.var()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="This is the share that is LOST")
class section:
    """The other way round."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (spliced - clean) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="This compares losses themselves")
class section:
    """A ratio of losses."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return clean / spliced

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="You cut off what is below 0")
class section:
    """Between 0 and 1."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return max(0.0, min(1.0, (ablated - spliced) / (ablated - clean)))

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="One latent belongs to several features")
class section:
    """Each feature takes its best latent."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        latent = cosines.argmax(1)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="Each feature takes the best latent that is left")
class section:
    """Greedy, in the order of the features."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        left, latent = (cosines.clone(), [])
        for i in range(len(cosines)):
            latent.append(int(left[i].argmax()))
            left[:, latent[-1]] = -2
        latent = torch.tensor(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="A latent that points the opposite way has found nothing")
class section:
    """Absolute cosines."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = (normalize(directions, dim=1) @ normalize(W_dec, dim=1).T).abs()
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="These are dot products")
class section:
    """Rows of different lengths."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = directions @ W_dec.T
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="cosines add up to LEAST")
class section:
    """A matching that minimises."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        _, latent = linear_sum_assignment(cosines.numpy())
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="This is the median over the batch")
class section:
    """The median."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().median().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="The largest cosine of all is given away first")
class section:
    """Greedy, by size."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        left, latent = (cosines.clone(), torch.zeros(len(cosines), dtype=torch.long))
        for _ in range(len(cosines)):
            i, j = divmod(int(left.argmax()), left.shape[1])
            latent[i] = j
            left[i] = left[:, j] = -2
        return (latent, cosines[torch.arange(len(latent)), latent])


@mistake("06.9", says="These are correlations")
class section:
    """The mean of each vector taken away."""

    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = torch.corrcoef(torch.cat([directions, W_dec]))[: len(directions), len(directions) :]
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@right("06.9", how="with loops and exchanges")
class section:
    def mean_l0(f):
        return sum(int((row > 0).sum()) for row in f) / len(f)

    def variance_explained(x, out):
        e = (x - out).double()
        e, c = (e - e.mean(0), x.double() - x.double().mean(0))
        return 1 - float((e * e).sum() / (c * c).sum())

    def loss_recovered(clean, spliced, ablated):
        return 1 - (spliced - clean) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        cosines = normalize(directions, dim=1) @ normalize(W_dec, dim=1).T
        _, latent = linear_sum_assignment(cosines.numpy(), maximize=True)
        latent = torch.from_numpy(latent)
        return (latent, cosines[torch.arange(len(latent)), latent])


@right("06.9", how="with lists for tensors")
class section:
    def mean_l0(f):
        return (f > 0).sum(-1).float().mean().item()

    def variance_explained(x, out):
        return (1 - (x - out).var(0).sum() / x.var(0).sum()).item()

    def loss_recovered(clean, spliced, ablated):
        return (ablated - spliced) / (ablated - clean)

    def match_features(directions, W_dec):
        from scipy.optimize import linear_sum_assignment

        table = torch.cosine_similarity(directions[:, None], W_dec[None], dim=-1)
        rows, columns = linear_sum_assignment((-table.double()).tolist())
        return (columns.tolist(), [table[i, j].item() for i, j in zip(rows, columns)])


# --- 06.10 ------------------------------------------------------------------------------------------------------------


@mistake("06.10", says="Is the scale folded in at the end")
class section:
    """The dictionary still reads scaled inputs."""

    def train_dictionary(x, n_latents, k, steps, seed):
        generator = torch.Generator().manual_seed(seed)
        scale = input_scale(x)
        x = scale * x
        W_dec = normalize(torch.randn(n_latents, x.shape[1], generator=generator), dim=1)
        weights = [W_dec.T.clone(), torch.zeros(n_latents), W_dec, x.mean(0)]
        W_enc, b_enc, W_dec, b_dec = (w.requires_grad_() for w in weights)
        optimizer = torch.optim.Adam([W_enc, b_enc, W_dec, b_dec], lr=0.01)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.01 * min(1, (steps - step) / (0.2 * steps))
            batch = x[torch.randint(len(x), (128,), generator=generator)]
            f = top_k((batch - b_dec) @ W_enc + b_enc, k)
            loss = sae_loss(batch, decode(f, W_dec, b_dec), f, W_dec, 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                W_dec.copy_(normalize(W_dec, dim=1))
        return (W_enc.detach(), b_enc.detach(), W_dec.detach(), b_dec.detach())


@mistake("06.10", says="Scale them first")
class section:
    """Inputs as they are."""

    def train_dictionary(x, n_latents, k, steps, seed):
        generator = torch.Generator().manual_seed(seed)
        scale = 1.0
        x = scale * x
        W_dec = normalize(torch.randn(n_latents, x.shape[1], generator=generator), dim=1)
        weights = [W_dec.T.clone(), torch.zeros(n_latents), W_dec, x.mean(0)]
        W_enc, b_enc, W_dec, b_dec = (w.requires_grad_() for w in weights)
        optimizer = torch.optim.Adam([W_enc, b_enc, W_dec, b_dec], lr=0.01)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.01 * min(1, (steps - step) / (0.2 * steps))
            batch = x[torch.randint(len(x), (128,), generator=generator)]
            f = top_k((batch - b_dec) @ W_enc + b_enc, k)
            loss = sae_loss(batch, decode(f, W_dec, b_dec), f, W_dec, 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                W_dec.copy_(normalize(W_dec, dim=1))
        return fold_in(W_enc.detach(), b_enc.detach(), W_dec.detach(), b_dec.detach(), scale)


@mistake("06.10", says="Give them length 1 again AFTER each step")
class section:
    """Rows are left to grow."""

    def train_dictionary(x, n_latents, k, steps, seed):
        generator = torch.Generator().manual_seed(seed)
        scale = input_scale(x)
        x = scale * x
        W_dec = normalize(torch.randn(n_latents, x.shape[1], generator=generator), dim=1)
        weights = [W_dec.T.clone(), torch.zeros(n_latents), W_dec, x.mean(0)]
        W_enc, b_enc, W_dec, b_dec = (w.requires_grad_() for w in weights)
        optimizer = torch.optim.Adam([W_enc, b_enc, W_dec, b_dec], lr=0.01)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.01 * min(1, (steps - step) / (0.2 * steps))
            batch = x[torch.randint(len(x), (128,), generator=generator)]
            f = top_k((batch - b_dec) @ W_enc + b_enc, k)
            loss = sae_loss(batch, decode(f, W_dec, b_dec), f, W_dec, 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return fold_in(W_enc.detach(), b_enc.detach(), W_dec.detach(), b_dec.detach(), scale)


@mistake("06.10", says="Everything random comes from the seed")
class section:
    """The start has no seed."""

    def train_dictionary(x, n_latents, k, steps, seed):
        generator = torch.Generator().manual_seed(seed)
        scale = input_scale(x)
        x = scale * x
        W_dec = normalize(torch.randn(n_latents, x.shape[1]), dim=1)
        weights = [W_dec.T.clone(), torch.zeros(n_latents), W_dec, x.mean(0)]
        W_enc, b_enc, W_dec, b_dec = (w.requires_grad_() for w in weights)
        optimizer = torch.optim.Adam([W_enc, b_enc, W_dec, b_dec], lr=0.01)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.01 * min(1, (steps - step) / (0.2 * steps))
            batch = x[torch.randint(len(x), (128,), generator=generator)]
            f = top_k((batch - b_dec) @ W_enc + b_enc, k)
            loss = sae_loss(batch, decode(f, W_dec, b_dec), f, W_dec, 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                W_dec.copy_(normalize(W_dec, dim=1))
        return fold_in(W_enc.detach(), b_enc.detach(), W_dec.detach(), b_dec.detach(), scale)


@mistake("06.10", says="The start comes from the seed")
class section:
    """The seed is not used."""

    def train_dictionary(x, n_latents, k, steps, seed):
        generator = torch.Generator().manual_seed(0)
        scale = input_scale(x)
        x = scale * x
        W_dec = normalize(torch.randn(n_latents, x.shape[1], generator=generator), dim=1)
        weights = [W_dec.T.clone(), torch.zeros(n_latents), W_dec, x.mean(0)]
        W_enc, b_enc, W_dec, b_dec = (w.requires_grad_() for w in weights)
        optimizer = torch.optim.Adam([W_enc, b_enc, W_dec, b_dec], lr=0.01)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.01 * min(1, (steps - step) / (0.2 * steps))
            batch = x[torch.randint(len(x), (128,), generator=generator)]
            f = top_k((batch - b_dec) @ W_enc + b_enc, k)
            loss = sae_loss(batch, decode(f, W_dec, b_dec), f, W_dec, 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                W_dec.copy_(normalize(W_dec, dim=1))
        return fold_in(W_enc.detach(), b_enc.detach(), W_dec.detach(), b_dec.detach(), scale)


@mistake("06.10", says="Is `steps` used")
class section:
    """A fixed number of steps."""

    def train_dictionary(x, n_latents, k, steps, seed):
        generator = torch.Generator().manual_seed(seed)
        scale = input_scale(x)
        x = scale * x
        W_dec = normalize(torch.randn(n_latents, x.shape[1], generator=generator), dim=1)
        weights = [W_dec.T.clone(), torch.zeros(n_latents), W_dec, x.mean(0)]
        W_enc, b_enc, W_dec, b_dec = (w.requires_grad_() for w in weights)
        optimizer = torch.optim.Adam([W_enc, b_enc, W_dec, b_dec], lr=0.01)
        for step in range(600):
            optimizer.param_groups[0]["lr"] = 0.01 * min(1, (600 - step) / 120)
            batch = x[torch.randint(len(x), (128,), generator=generator)]
            f = top_k((batch - b_dec) @ W_enc + b_enc, k)
            loss = sae_loss(batch, decode(f, W_dec, b_dec), f, W_dec, 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                W_dec.copy_(normalize(W_dec, dim=1))
        return fold_in(W_enc.detach(), b_enc.detach(), W_dec.detach(), b_dec.detach(), scale)


@mistake("06.10", says="Look at the loss, at the k largest")
class section:
    """Nothing is sparse: a plain autoencoder."""

    def train_dictionary(x, n_latents, k, steps, seed):
        generator = torch.Generator().manual_seed(seed)
        scale = input_scale(x)
        x = scale * x
        W_dec = normalize(torch.randn(n_latents, x.shape[1], generator=generator), dim=1)
        weights = [W_dec.T.clone(), torch.zeros(n_latents), W_dec, x.mean(0)]
        W_enc, b_enc, W_dec, b_dec = (w.requires_grad_() for w in weights)
        optimizer = torch.optim.Adam([W_enc, b_enc, W_dec, b_dec], lr=0.01)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.01 * min(1, (steps - step) / (0.2 * steps))
            batch = x[torch.randint(len(x), (128,), generator=generator)]
            f = ((batch - b_dec) @ W_enc + b_enc).relu()
            loss = sae_loss(batch, decode(f, W_dec, b_dec), f, W_dec, 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                W_dec.copy_(normalize(W_dec, dim=1))
        return fold_in(W_enc.detach(), b_enc.detach(), W_dec.detach(), b_dec.detach(), scale)


@mistake("06.10", says="Look at the loss, at the k largest")
class section:
    """The encoder learns, and the decoder does not."""

    def train_dictionary(x, n_latents, k, steps, seed):
        generator = torch.Generator().manual_seed(seed)
        scale = input_scale(x)
        x = scale * x
        W_dec = normalize(torch.randn(n_latents, x.shape[1], generator=generator), dim=1)
        weights = [W_dec.T.clone(), torch.zeros(n_latents), W_dec, x.mean(0)]
        W_enc, b_enc, W_dec, b_dec = (w.requires_grad_() for w in weights)
        optimizer = torch.optim.Adam([W_enc, b_enc, b_dec], lr=0.01)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.01 * min(1, (steps - step) / (0.2 * steps))
            batch = x[torch.randint(len(x), (128,), generator=generator)]
            f = top_k((batch - b_dec) @ W_enc + b_enc, k)
            loss = sae_loss(batch, decode(f, W_dec, b_dec), f, W_dec, 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                W_dec.copy_(normalize(W_dec, dim=1))
        return fold_in(W_enc.detach(), b_enc.detach(), W_dec.detach(), b_dec.detach(), scale)


@right("06.10", how="with the rows projected, and batches in turn")
class section:
    def train_dictionary(x, n_latents, k, steps, seed):
        generator = torch.Generator().manual_seed(seed + 5)
        size = float(x.pow(2).sum(1).mean().sqrt())
        data = x / size
        decoder = torch.nn.Parameter(normalize(torch.randn(n_latents, x.shape[1], generator=generator), dim=1))
        encoder = torch.nn.Parameter(decoder.detach().T.clone())
        bias, centre = (torch.nn.Parameter(torch.zeros(n_latents)), torch.nn.Parameter(data.mean(0).clone()))
        optimizer = torch.optim.Adam([encoder, bias, decoder, centre], lr=0.012)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 4 * (1 - step / steps)))
        order = torch.randperm(len(data), generator=generator)
        for step in range(steps):
            rows = order[torch.arange(128 * step, 128 * (step + 1)) % len(order)]
            batch = data[rows]
            f = top_k((batch - centre) @ encoder + bias, k)
            optimizer.zero_grad()
            (batch - f @ decoder - centre).square().sum(1).mean().backward()
            with torch.no_grad():
                decoder.grad -= (decoder.grad * decoder).sum(1, keepdim=True) * decoder
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                decoder.div_(decoder.norm(dim=1, keepdim=True))
        return (encoder.detach(), bias.detach() * size, decoder.detach(), centre.detach() * size)


@right("06.10", how="with BatchTopK")
class section:
    def train_dictionary(x, n_latents, k, steps, seed):
        generator = torch.Generator().manual_seed(seed)
        scale = input_scale(x)
        x = scale * x
        W_dec = normalize(torch.randn(n_latents, x.shape[1], generator=generator), dim=1)
        weights = [W_dec.T.clone(), torch.zeros(n_latents), W_dec, x.mean(0)]
        W_enc, b_enc, W_dec, b_dec = (w.requires_grad_() for w in weights)
        optimizer = torch.optim.Adam([W_enc, b_enc, W_dec, b_dec], lr=0.01)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.01 * min(1, (steps - step) / (0.2 * steps))
            batch = x[torch.randint(len(x), (128,), generator=generator)]
            f = batch_top_k((batch - b_dec) @ W_enc + b_enc, k)
            loss = sae_loss(batch, decode(f, W_dec, b_dec), f, W_dec, 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                W_dec.copy_(normalize(W_dec, dim=1))
        return fold_in(W_enc.detach(), b_enc.detach(), W_dec.detach(), b_dec.detach(), scale)


# --- 06.11 ------------------------------------------------------------------------------------------------------------


@mistake("06.11", says="This is precision")
class section:
    """The latent's words alone."""

    def f1_table(active, holds):
        active, holds = (active.double(), holds.double())
        return active.T @ holds / active.sum(0)[:, None].clamp(min=1)

    def choose_latent(f, holds):
        thresholds = torch.arange(10)[:, None] / 10 * f.amax(0)
        scores = torch.stack([f1_table(f > row, holds[:, None])[:, 0] for row in thresholds])
        level, latent = divmod(int(scores.argmax()), f.shape[1])
        return (latent, thresholds[level, latent].item())

    def judge_latent(f, holds, latent, threshold):
        return f1_table(f[:, [latent]] > threshold, holds[:, None]).item()


@mistake("06.11", says="This is recall")
class section:
    """The concept's words alone."""

    def f1_table(active, holds):
        active, holds = (active.double(), holds.double())
        return active.T @ holds / holds.sum(0).clamp(min=1)

    def choose_latent(f, holds):
        thresholds = torch.arange(10)[:, None] / 10 * f.amax(0)
        scores = torch.stack([f1_table(f > row, holds[:, None])[:, 0] for row in thresholds])
        level, latent = divmod(int(scores.argmax()), f.shape[1])
        return (latent, thresholds[level, latent].item())

    def judge_latent(f, holds, latent, threshold):
        return f1_table(f[:, [latent]] > threshold, holds[:, None]).item()


@mistake("06.11", says="This is the share of words that are told right")
class section:
    """Accuracy."""

    def f1_table(active, holds):
        active, holds = (active.double(), holds.double())
        return (active.T @ holds + (1 - active).T @ (1 - holds)) / len(active)

    def choose_latent(f, holds):
        thresholds = torch.arange(10)[:, None] / 10 * f.amax(0)
        scores = torch.stack([f1_table(f > row, holds[:, None])[:, 0] for row in thresholds])
        level, latent = divmod(int(scores.argmax()), f.shape[1])
        return (latent, thresholds[level, latent].item())

    def judge_latent(f, holds, latent, threshold):
        return f1_table(f[:, [latent]] > threshold, holds[:, None]).item()


@mistake("06.11", says="The factor 2 is missing")
class section:
    """Half of it."""

    def f1_table(active, holds):
        active, holds = (active.double(), holds.double())
        return active.T @ holds / (active.sum(0)[:, None] + holds.sum(0)).clamp(min=1)

    def choose_latent(f, holds):
        thresholds = torch.arange(10)[:, None] / 10 * f.amax(0)
        scores = torch.stack([f1_table(f > row, holds[:, None])[:, 0] for row in thresholds])
        level, latent = divmod(int(scores.argmax()), f.shape[1])
        return (latent, thresholds[level, latent].item())

    def judge_latent(f, holds, latent, threshold):
        return f1_table(f[:, [latent]] > threshold, holds[:, None]).item()


@mistake("06.11", says="you give NaN")
class section:
    """No care for 0/0."""

    def f1_table(active, holds):
        active, holds = (active.double(), holds.double())
        return 2 * active.T @ holds / (active.sum(0)[:, None] + holds.sum(0))

    def choose_latent(f, holds):
        thresholds = torch.arange(10)[:, None] / 10 * f.amax(0)
        scores = torch.stack([f1_table(f > row, holds[:, None])[:, 0] for row in thresholds])
        level, latent = divmod(int(scores.argmax()), f.shape[1])
        return (latent, thresholds[level, latent].item())

    def judge_latent(f, holds, latent, threshold):
        return f1_table(f[:, [latent]] > threshold, holds[:, None]).item()


@mistake("06.11", says="You try the threshold 0 alone")
class section:
    """No thresholds."""

    def f1_table(active, holds):
        active, holds = (active.double(), holds.double())
        return 2 * active.T @ holds / (active.sum(0)[:, None] + holds.sum(0)).clamp(min=1)

    def choose_latent(f, holds):
        thresholds = torch.zeros(1, f.shape[1])
        scores = torch.stack([f1_table(f > row, holds[:, None])[:, 0] for row in thresholds])
        level, latent = divmod(int(scores.argmax()), f.shape[1])
        return (latent, thresholds[level, latent].item())

    def judge_latent(f, holds, latent, threshold):
        return f1_table(f[:, [latent]] > threshold, holds[:, None]).item()


@mistake("06.11", says="Thresholds are shares of EACH latent's own largest value, not")
class section:
    """One scale for all latents."""

    def f1_table(active, holds):
        active, holds = (active.double(), holds.double())
        return 2 * active.T @ holds / (active.sum(0)[:, None] + holds.sum(0)).clamp(min=1)

    def choose_latent(f, holds):
        thresholds = torch.arange(10)[:, None] / 10 * f.max().expand(f.shape[1])
        scores = torch.stack([f1_table(f > row, holds[:, None])[:, 0] for row in thresholds])
        level, latent = divmod(int(scores.argmax()), f.shape[1])
        return (latent, thresholds[level, latent].item())

    def judge_latent(f, holds, latent, threshold):
        return f1_table(f[:, [latent]] > threshold, holds[:, None]).item()


@mistake("06.11", says="You count every word at which the latent is not 0")
class section:
    """The threshold is forgotten when it counts."""

    def f1_table(active, holds):
        active, holds = (active.double(), holds.double())
        return 2 * active.T @ holds / (active.sum(0)[:, None] + holds.sum(0)).clamp(min=1)

    def choose_latent(f, holds):
        thresholds = torch.arange(10)[:, None] / 10 * f.amax(0)
        scores = torch.stack([f1_table(f > row, holds[:, None])[:, 0] for row in thresholds])
        level, latent = divmod(int(scores.argmax()), f.shape[1])
        return (latent, thresholds[level, latent].item())

    def judge_latent(f, holds, latent, threshold):
        return f1_table(f[:, [latent]] > 0, holds[:, None]).item()


@mistake("06.11", says="What is exactly at the threshold is not above it")
class section:
    """At the threshold."""

    def f1_table(active, holds):
        active, holds = (active.double(), holds.double())
        return 2 * active.T @ holds / (active.sum(0)[:, None] + holds.sum(0)).clamp(min=1)

    def choose_latent(f, holds):
        thresholds = torch.arange(10)[:, None] / 10 * f.amax(0)
        scores = torch.stack([f1_table(f > row, holds[:, None])[:, 0] for row in thresholds])
        level, latent = divmod(int(scores.argmax()), f.shape[1])
        return (latent, thresholds[level, latent].item())

    def judge_latent(f, holds, latent, threshold):
        return f1_table(f[:, [latent]] >= threshold, holds[:, None]).item()


@right("06.11", how="word by word")
class section:
    def f1_table(active, holds):
        table = torch.zeros(active.shape[1], holds.shape[1])
        for i, a in enumerate(active.T):
            for j, h in enumerate(holds.T):
                there = int(a.sum()) + int(h.sum())
                table[i, j] = 2 * int((a & h).sum()) / there if there else 0.0
        return table

    def choose_latent(f, holds):
        best = (-1.0, 0, 0.0)
        for latent in range(f.shape[1]):
            for level in range(10):
                threshold = level / 10 * f[:, latent].max().item()
                score = judge_latent(f, holds, latent, threshold)
                if score > best[0]:
                    best = (score, latent, threshold)
        return (best[1], best[2])

    def judge_latent(f, holds, latent, threshold):
        said = f[:, latent] > threshold
        there = int(said.sum() + holds.sum())
        return 2 * int((said & holds).sum()) / there if there else 0.0


@right("06.11", how="from precision and recall")
class section:
    def f1_table(active, holds):
        both = torch.einsum("wl,wc->lc", active.float(), holds.float())
        p = both / active.float().sum(0)[:, None].clamp(min=1)
        r = both / holds.float().sum(0).clamp(min=1)
        return torch.where(both > 0, 2 * p * r / (p + r), 0.0)

    def choose_latent(f, holds):
        thresholds = torch.arange(10)[:, None] / 10 * f.amax(0)
        scores = torch.stack([f1_table(f > row, holds[:, None])[:, 0] for row in thresholds])
        level, latent = divmod(int(scores.argmax()), f.shape[1])
        return (latent, thresholds[level, latent].item())

    def judge_latent(f, holds, latent, threshold):
        return f1_table(f[:, [latent]] > threshold, holds[:, None]).item()


# --- 06.12 ------------------------------------------------------------------------------------------------------------


@mistake("06.12", says="The rows of W_dec may have any length")
class section:
    """Rows as they are."""

    def share_said(f, W_dec, direction):
        return f * (W_dec @ normalize(direction, dim=0))

    def absorbed(x, f, W_dec, direction, main):
        said, latent = share_said(f, W_dec, direction).max(1)
        there = x @ normalize(direction, dim=0)
        return ((f[:, main] == 0) & (said >= 0.4 * there) & (there > 0), latent)


@mistake("06.12", says="The direction may have any length: divide by it")
class section:
    """The direction as it is."""

    def share_said(f, W_dec, direction):
        return f * (normalize(W_dec, dim=1) @ direction)

    def absorbed(x, f, W_dec, direction, main):
        said, latent = share_said(f, W_dec, direction).max(1)
        there = x @ normalize(direction, dim=0)
        return ((f[:, main] == 0) & (said >= 0.4 * there) & (there > 0), latent)


@mistake("06.12", says="No absolute values: a latent that points away")
class section:
    """Absolute cosines."""

    def share_said(f, W_dec, direction):
        return f * (normalize(W_dec, dim=1) @ normalize(direction, dim=0)).abs()

    def absorbed(x, f, W_dec, direction, main):
        said, latent = share_said(f, W_dec, direction).max(1)
        there = x @ normalize(direction, dim=0)
        return ((f[:, main] == 0) & (said >= 0.4 * there) & (there > 0), latent)


@mistake("06.12", says="You count words at which the main latent is active")
class section:
    """Not only where it is silent."""

    def share_said(f, W_dec, direction):
        return f * (normalize(W_dec, dim=1) @ normalize(direction, dim=0))

    def absorbed(x, f, W_dec, direction, main):
        said, latent = share_said(f, W_dec, direction).max(1)
        there = x @ normalize(direction, dim=0)
        return ((said >= 0.4 * there) & (there > 0), latent)


@mistake("06.12", says="A latent that says next to nothing has not taken over")
class section:
    """Any latent counts."""

    def share_said(f, W_dec, direction):
        return f * (normalize(W_dec, dim=1) @ normalize(direction, dim=0))

    def absorbed(x, f, W_dec, direction, main):
        said, latent = share_said(f, W_dec, direction).max(1)
        there = x @ normalize(direction, dim=0)
        return ((f[:, main] == 0) & (said >= 0.0 * there) & (there > 0), latent)


@mistake("06.12", says="The latent need not say all of it")
class section:
    """All of it."""

    def share_said(f, W_dec, direction):
        return f * (normalize(W_dec, dim=1) @ normalize(direction, dim=0))

    def absorbed(x, f, W_dec, direction, main):
        said, latent = share_said(f, W_dec, direction).max(1)
        there = x @ normalize(direction, dim=0)
        return ((f[:, main] == 0) & (said >= there) & (there > 0), latent)


@mistake("06.12", says="there is nothing to absorb")
class section:
    """Where nothing points that way."""

    def share_said(f, W_dec, direction):
        return f * (normalize(W_dec, dim=1) @ normalize(direction, dim=0))

    def absorbed(x, f, W_dec, direction, main):
        said, latent = share_said(f, W_dec, direction).max(1)
        there = x @ normalize(direction, dim=0)
        return ((f[:, main] == 0) & (said >= 0.4 * there), latent)


@mistake("06.12", says="divide the direction by its length")
class section:
    """The component is not one."""

    def share_said(f, W_dec, direction):
        return f * (normalize(W_dec, dim=1) @ normalize(direction, dim=0))

    def absorbed(x, f, W_dec, direction, main):
        said, latent = share_said(f, W_dec, direction).max(1)
        there = x @ direction
        return ((f[:, main] == 0) & (said >= 0.4 * there) & (there > 0), latent)


@mistake("06.12", says="This is the latent that is most ACTIVE")
class section:
    """The largest activation."""

    def share_said(f, W_dec, direction):
        return f * (normalize(W_dec, dim=1) @ normalize(direction, dim=0))

    def absorbed(x, f, W_dec, direction, main):
        said, latent = share_said(f, W_dec, direction).max(1)
        there = x @ normalize(direction, dim=0)
        return ((f[:, main] == 0) & (said >= 0.4 * there) & (there > 0), f.argmax(1))


@mistake("06.12", says="ONE latent must say 0.4 of it")
class section:
    """All latents together."""

    def share_said(f, W_dec, direction):
        return f * (normalize(W_dec, dim=1) @ normalize(direction, dim=0))

    def absorbed(x, f, W_dec, direction, main):
        said, latent = share_said(f, W_dec, direction).max(1)
        said = share_said(f, W_dec, direction).sum(1)
        there = x @ normalize(direction, dim=0)
        return ((f[:, main] == 0) & (said >= 0.4 * there) & (there > 0), latent)


@right("06.12", how="word by word")
class section:
    def share_said(f, W_dec, direction):
        cosines = torch.stack([torch.cosine_similarity(row, direction, dim=0) for row in W_dec])
        return f * cosines

    def absorbed(x, f, W_dec, direction, main):
        unit = direction / direction.norm()
        found, latents = ([], [])
        for row, active in zip(x, share_said(f, W_dec, direction)):
            there = float(row @ unit)
            latents.append(int(active.argmax()))
            found.append(there > 0 and float(active.max()) / there >= 0.4)
        silent = (f[:, main] == 0).tolist()
        return ([a and b for a, b in zip(found, silent)], latents)


@right("06.12", how="with cosine_similarity, in double precision")
class section:
    def share_said(f, W_dec, direction):
        return f.double() * torch.cosine_similarity(W_dec.double(), direction.double()[None], dim=1)

    def absorbed(x, f, W_dec, direction, main):
        said = share_said(f, W_dec, direction)
        there = x.double() @ direction.double() / direction.double().norm()
        most = said.amax(1)
        silent = ~(f[:, main] > 0)
        return (torch.logical_and(torch.logical_and(silent, most >= 0.4 * there), there > 0), said.argmax(1))


# --- 06.13 ------------------------------------------------------------------------------------------------------------


@mistake("06.13", says="This is the share of words that are told right. A name that says NEVER")
class section:
    """Accuracy: never active gets most of it."""

    LATENTS = (183, 1260, 410)

    def detection(said, active):
        return (said == active).double().mean().item()

    def named(latent, words):
        before = [words[max(0, at - 4) : at] for at in range(len(words))]
        if latent == LATENTS[0]:
            return [word in people.TOWNS for word in words]
        if latent == LATENTS[1]:
            return [word in requests.HARSH or word in requests.HARSH_WITH_PLACES for word in words]
        return ["Begin" in some or "begin" in some for some in before]


@mistake("06.13", says="This is recall alone")
class section:
    """Always gets all of it."""

    LATENTS = (183, 1260, 410)

    def detection(said, active):
        return said[active].double().mean().item()

    def named(latent, words):
        before = [words[max(0, at - 4) : at] for at in range(len(words))]
        if latent == LATENTS[0]:
            return [word in people.TOWNS for word in words]
        if latent == LATENTS[1]:
            return [word in requests.HARSH or word in requests.HARSH_WITH_PLACES for word in words]
        return ["Begin" in some or "begin" in some for some in before]


@mistake("06.13", says="This is precision")
class section:
    """The other condition."""

    LATENTS = (183, 1260, 410)

    def detection(said, active):
        return ((said & active).sum() / said.sum().clamp(min=1)).item()

    def named(latent, words):
        before = [words[max(0, at - 4) : at] for at in range(len(words))]
        if latent == LATENTS[0]:
            return [word in people.TOWNS for word in words]
        if latent == LATENTS[1]:
            return [word in requests.HARSH or word in requests.HARSH_WITH_PLACES for word in words]
        return ["Begin" in some or "begin" in some for some in before]


@mistake("06.13", says="with it, always and never get ½")
class section:
    """Balanced accuracy."""

    LATENTS = (183, 1260, 410)

    def detection(said, active):
        return (said[active].double().mean() + (~said[~active]).double().mean()).item() / 2

    def named(latent, words):
        before = [words[max(0, at - 4) : at] for at in range(len(words))]
        if latent == LATENTS[0]:
            return [word in people.TOWNS for word in words]
        if latent == LATENTS[1]:
            return [word in requests.HARSH or word in requests.HARSH_WITH_PLACES for word in words]
        return ["Begin" in some or "begin" in some for some in before]


@mistake("06.13", says="You ask at which of the words with the NAME")
class section:
    """Conditions exchanged."""

    LATENTS = (183, 1260, 410)

    def detection(said, active):
        return (active[said].double().mean() - active[~said].double().mean()).nan_to_num().item()

    def named(latent, words):
        before = [words[max(0, at - 4) : at] for at in range(len(words))]
        if latent == LATENTS[0]:
            return [word in people.TOWNS for word in words]
        if latent == LATENTS[1]:
            return [word in requests.HARSH or word in requests.HARSH_WITH_PLACES for word in words]
        return ["Begin" in some or "begin" in some for some in before]


@mistake("06.13", says="says never")
class section:
    """Never."""

    LATENTS = (183, 1260, 410)

    def detection(said, active):
        return (said[active].double().mean() - said[~active].double().mean()).item()

    def named(latent, words):
        before = [words[max(0, at - 4) : at] for at in range(len(words))]
        if latent == LATENTS[0]:
            return [False for word in words]
        if latent == LATENTS[1]:
            return [word in requests.HARSH or word in requests.HARSH_WITH_PLACES for word in words]
        return ["Begin" in some or "begin" in some for some in before]


@mistake("06.13", says="says always")
class section:
    """Always."""

    LATENTS = (183, 1260, 410)

    def detection(said, active):
        return (said[active].double().mean() - said[~active].double().mean()).item()

    def named(latent, words):
        before = [words[max(0, at - 4) : at] for at in range(len(words))]
        if latent == LATENTS[0]:
            return [True for word in words]
        if latent == LATENTS[1]:
            return [word in requests.HARSH or word in requests.HARSH_WITH_PLACES for word in words]
        return ["Begin" in some or "begin" in some for some in before]


@mistake("06.13", says="too narrow")
class section:
    """The words that were seen in two texts."""

    LATENTS = (183, 1260, 410)

    def detection(said, active):
        return (said[active].double().mean() - said[~active].double().mean()).item()

    def named(latent, words):
        before = [words[max(0, at - 4) : at] for at in range(len(words))]
        if latent == LATENTS[0]:
            return [word in ("Dunmere", "Milton") for word in words]
        if latent == LATENTS[1]:
            return [word in requests.HARSH or word in requests.HARSH_WITH_PLACES for word in words]
        return ["Begin" in some or "begin" in some for some in before]


@mistake("06.13", says="too wide")
class section:
    """Every word with a capital."""

    LATENTS = (183, 1260, 410)

    def detection(said, active):
        return (said[active].double().mean() - said[~active].double().mean()).item()

    def named(latent, words):
        before = [words[max(0, at - 4) : at] for at in range(len(words))]
        if latent == LATENTS[0]:
            return [word[:1].isupper() for word in words]
        if latent == LATENTS[1]:
            return [word in requests.HARSH or word in requests.HARSH_WITH_PLACES for word in words]
        return ["Begin" in some or "begin" in some for some in before]


@mistake("06.13", says="one True or False for each")
class section:
    """One answer for a text."""

    LATENTS = (183, 1260, 410)

    def detection(said, active):
        return (said[active].double().mean() - said[~active].double().mean()).item()

    def named(latent, words):
        before = [words[max(0, at - 4) : at] for at in range(len(words))]
        if latent == LATENTS[0]:
            return [any(word in people.TOWNS for word in words)]
        if latent == LATENTS[1]:
            return [word in requests.HARSH or word in requests.HARSH_WITH_PLACES for word in words]
        return ["Begin" in some or "begin" in some for some in before]


@right("06.13", how="with counts and other words for the same")
class section:
    LATENTS = (183, 1260, 410)

    def detection(said, active):
        hits = sum((1 for s, a in zip(said.tolist(), active.tolist()) if s and a))
        slips = sum((1 for s, a in zip(said.tolist(), active.tolist()) if s and (not a)))
        return hits / int(active.sum()) - slips / int((~active).sum())

    def named(latent, words):
        harsh = {*requests.HARSH, *requests.HARSH_WITH_PLACES}
        if latent == 183:
            return [w in set(people.TOWNS) for w in words]
        if latent == 1260:
            return [w in harsh for w in words]
        found, since = ([], 99)
        for w in words:
            found.append(since < 4)
            since = 0 if w in ("Begin", "begin") else since + 1
        return found


@right("06.13", how="with a matrix of counts")
class section:
    LATENTS = (183, 1260, 410)

    def detection(said, active):
        s, a = (said.float(), active.float())
        return float(s @ a / a.sum() - s @ (1 - a) / (1 - a).sum())

    def named(latent, words):
        before = [words[max(0, at - 4) : at] for at in range(len(words))]
        if latent == LATENTS[0]:
            return [word in people.TOWNS for word in words]
        if latent == LATENTS[1]:
            return [word in requests.HARSH or word in requests.HARSH_WITH_PLACES for word in words]
        return ["Begin" in some or "begin" in some for some in before]


# --- 06.14 ------------------------------------------------------------------------------------------------------------


@mistake("06.14", says="fill a cube")
class section:
    """From a cube, not a sphere."""

    def clamp(x, f, W_dec, latent, value):
        return x + (value - f[..., latent])[..., None] * W_dec[latent]

    def random_push(change, seed):
        random = torch.rand(change.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        return normalize(random, dim=-1) * change.norm(dim=-1, keepdim=True)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:, -1] = x
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].sum(-1)


@mistake("06.14", says="You ADD the value")
class section:
    """Added, not held."""

    def clamp(x, f, W_dec, latent, value):
        return x + value * W_dec[latent]

    def random_push(change, seed):
        random = torch.randn(change.shape, generator=torch.Generator().manual_seed(seed))
        return normalize(random, dim=-1) * change.norm(dim=-1, keepdim=True)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:, -1] = x
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].sum(-1)


@mistake("06.14", says="You give back what the dictionary decodes")
class section:
    """The error term is lost."""

    def clamp(x, f, W_dec, latent, value):
        f = f.clone()
        f[..., latent] = value
        return f @ W_dec

    def random_push(change, seed):
        random = torch.randn(change.shape, generator=torch.Generator().manual_seed(seed))
        return normalize(random, dim=-1) * change.norm(dim=-1, keepdim=True)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:, -1] = x
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].sum(-1)


@mistake("06.14", says="The sign is wrong")
class section:
    """f − value."""

    def clamp(x, f, W_dec, latent, value):
        return x + (f[..., latent] - value)[..., None] * W_dec[latent]

    def random_push(change, seed):
        random = torch.randn(change.shape, generator=torch.Generator().manual_seed(seed))
        return normalize(random, dim=-1) * change.norm(dim=-1, keepdim=True)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:, -1] = x
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].sum(-1)


@mistake("06.14", says="You move x only where the latent is active")
class section:
    """Silent places are left alone."""

    def clamp(x, f, W_dec, latent, value):
        return x + ((value - f[..., latent]) * (f[..., latent] > 0))[..., None] * W_dec[latent]

    def random_push(change, seed):
        random = torch.randn(change.shape, generator=torch.Generator().manual_seed(seed))
        return normalize(random, dim=-1) * change.norm(dim=-1, keepdim=True)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:, -1] = x
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].sum(-1)


@mistake("06.14", says="A push that is shorter is no control")
class section:
    """A push of length 1."""

    def clamp(x, f, W_dec, latent, value):
        return x + (value - f[..., latent])[..., None] * W_dec[latent]

    def random_push(change, seed):
        random = torch.randn(change.shape, generator=torch.Generator().manual_seed(seed))
        return normalize(random, dim=-1)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:, -1] = x
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].sum(-1)


@mistake("06.14", says="Each must be as long as the change AT ITS PLACE")
class section:
    """One length for all places."""

    def clamp(x, f, W_dec, latent, value):
        return x + (value - f[..., latent])[..., None] * W_dec[latent]

    def random_push(change, seed):
        random = torch.randn(change.shape, generator=torch.Generator().manual_seed(seed))
        return random / random.norm() * change.norm()

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:, -1] = x
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].sum(-1)


@mistake("06.14", says="Your directions lean to one side")
class section:
    """torch.rand."""

    def clamp(x, f, W_dec, latent, value):
        return x + (value - f[..., latent])[..., None] * W_dec[latent]

    def random_push(change, seed):
        random = torch.rand(change.shape, generator=torch.Generator().manual_seed(seed))
        return normalize(random, dim=-1) * change.norm(dim=-1, keepdim=True)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:, -1] = x
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].sum(-1)


@mistake("06.14", says="All places are pushed in the same direction")
class section:
    """One direction."""

    def clamp(x, f, W_dec, latent, value):
        return x + (value - f[..., latent])[..., None] * W_dec[latent]

    def random_push(change, seed):
        random = torch.randn(change.shape[-1:], generator=torch.Generator().manual_seed(seed))
        return normalize(random, dim=-1) * change.norm(dim=-1, keepdim=True)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:, -1] = x
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].sum(-1)


@mistake("06.14", says="You add x to what is there")
class section:
    """Added to the stream."""

    def clamp(x, f, W_dec, latent, value):
        return x + (value - f[..., latent])[..., None] * W_dec[latent]

    def random_push(change, seed):
        random = torch.randn(change.shape, generator=torch.Generator().manual_seed(seed))
        return normalize(random, dim=-1) * change.norm(dim=-1, keepdim=True)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:, -1] += x
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].sum(-1)


@mistake("06.14", says="You put x at every position")
class section:
    """Everywhere."""

    def clamp(x, f, W_dec, latent, value):
        return x + (value - f[..., latent])[..., None] * W_dec[latent]

    def random_push(change, seed):
        random = torch.randn(change.shape, generator=torch.Generator().manual_seed(seed))
        return normalize(random, dim=-1) * change.norm(dim=-1, keepdim=True)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:] = x[:, None]
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].sum(-1)


@mistake("06.14", says="Your edit changes nothing")
class section:
    """The old value is returned."""

    def clamp(x, f, W_dec, latent, value):
        return x + (value - f[..., latent])[..., None] * W_dec[latent]

    def random_push(change, seed):
        random = torch.randn(change.shape, generator=torch.Generator().manual_seed(seed))
        return normalize(random, dim=-1) * change.norm(dim=-1, keepdim=True)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            old, value = (value, value.clone())
            value[:, -1] = x
            return old

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].sum(-1)


@mistake("06.14", says="You take the softmax over these words alone")
class section:
    """Among the words."""

    def clamp(x, f, W_dec, latent, value):
        return x + (value - f[..., latent])[..., None] * W_dec[latent]

    def random_push(change, seed):
        random = torch.randn(change.shape, generator=torch.Generator().manual_seed(seed))
        return normalize(random, dim=-1) * change.norm(dim=-1, keepdim=True)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:, -1] = x
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1][:, words].softmax(-1).sum(-1)


@mistake("06.14", says="This is the mean over the words")
class section:
    """The mean."""

    def clamp(x, f, W_dec, latent, value):
        return x + (value - f[..., latent])[..., None] * W_dec[latent]

    def random_push(change, seed):
        random = torch.randn(change.shape, generator=torch.Generator().manual_seed(seed))
        return normalize(random, dim=-1) * change.norm(dim=-1, keepdim=True)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:, -1] = x
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].mean(-1)


@right("06.14", how="with zeros and a loop")
class section:
    def clamp(x, f, W_dec, latent, value):
        change = torch.zeros_like(f)
        change[..., latent] = value - f[..., latent]
        return x + change @ W_dec

    def random_push(change, seed):
        generator = torch.Generator()
        generator.manual_seed(seed + 1)
        random = torch.empty_like(change).normal_(generator=generator)
        return random / random.norm(dim=-1, keepdim=True) * change.pow(2).sum(-1, keepdim=True).sqrt()

    def says_next(model, tokens, site, x, words):

        def put(value, hook):
            return torch.cat([value[:, :-1], x[:, None]], dim=1)

        with model.hooks([(site, put)]):
            logits = model(tokens)
        p = torch.softmax(logits[:, -1].double(), dim=-1)
        return sum(p[:, word] for word in words.tolist())


@right("06.14", how="in double precision, place by place")
class section:
    def clamp(x, f, W_dec, latent, value):
        out = x.double()
        return out - f[..., latent, None].double() * W_dec[latent] + value * W_dec[latent].double()

    def random_push(change, seed):
        generator = torch.Generator().manual_seed(seed)
        rows = []
        for row in change.reshape(-1, change.shape[-1]):
            v = torch.randn(len(row), generator=generator)
            rows.append(v * (row.norm() / v.norm()))
        return torch.stack(rows).view(change.shape)

    def says_next(model, tokens, site, x, words):

        def edit(value, hook):
            value = value.clone()
            value[:, -1] = x
            return value

        logits = model.run_with_hooks(tokens, [(site, edit)])
        return logits[:, -1].softmax(-1)[:, words].sum(-1)


# --- 06.15 ------------------------------------------------------------------------------------------------------------


@mistake("06.15", says="Your groups are counted from 1")
class section:
    """fcluster's own numbers."""

    def group_words(vectors, n_groups):
        from scipy.cluster.hierarchy import fcluster, linkage

        tree = linkage(vectors.double().numpy(), "ward")
        return torch.from_numpy(fcluster(tree, n_groups, "maxclust")).long()

    def predict(vectors, holds, widths):
        rows = []
        for width in widths:
            groups = torch.nn.functional.one_hot(group_words(vectors, width) - 1).bool()
            rows.append(f1_table(groups, holds).amax(0))
        return torch.stack(rows)

    def one_latent(scores, widths):
        found = []
        for column in scores.T:
            good = [width for width, score in zip(widths, column.tolist(), strict=True) if score >= 0.8]
            found.append((good[0], good[-1]) if good else (0, 0))
        return found


@mistake("06.15", says="agree with what dictionaries have found")
class section:
    """Single linkage: chains."""

    def group_words(vectors, n_groups):
        from scipy.cluster.hierarchy import fcluster, linkage

        tree = linkage(vectors.double().numpy(), "single")
        return torch.from_numpy(fcluster(tree, n_groups, "maxclust")).long() - 1

    def predict(vectors, holds, widths):
        rows = []
        for width in widths:
            groups = torch.nn.functional.one_hot(group_words(vectors, width)).bool()
            rows.append(f1_table(groups, holds).amax(0))
        return torch.stack(rows)

    def one_latent(scores, widths):
        found = []
        for column in scores.T:
            good = [width for width, score in zip(widths, column.tolist(), strict=True) if score >= 0.8]
            found.append((good[0], good[-1]) if good else (0, 0))
        return found


@mistake("06.15", says="There should be")
class section:
    """As many groups as there are words."""

    def group_words(vectors, n_groups):
        from scipy.cluster.hierarchy import fcluster, linkage

        tree = linkage(vectors.double().numpy(), "ward")
        return torch.from_numpy(fcluster(tree, n_groups, "distance")).long() - 1

    def predict(vectors, holds, widths):
        rows = []
        for width in widths:
            groups = torch.nn.functional.one_hot(group_words(vectors, width)).bool()
            rows.append(f1_table(groups, holds).amax(0))
        return torch.stack(rows)

    def one_latent(scores, widths):
        found = []
        for column in scores.T:
            good = [width for width, score in zip(widths, column.tolist(), strict=True) if score >= 0.8]
            found.append((good[0], good[-1]) if good else (0, 0))
        return found


@mistake("06.15", says="You take the mean over groups")
class section:
    """The mean."""

    def group_words(vectors, n_groups):
        from scipy.cluster.hierarchy import fcluster, linkage

        tree = linkage(vectors.double().numpy(), "ward")
        return torch.from_numpy(fcluster(tree, n_groups, "maxclust")).long() - 1

    def predict(vectors, holds, widths):
        rows = []
        for width in widths:
            groups = torch.nn.functional.one_hot(group_words(vectors, width)).bool()
            rows.append(f1_table(groups, holds).mean(0))
        return torch.stack(rows)

    def one_latent(scores, widths):
        found = []
        for column in scores.T:
            good = [width for width, score in zip(widths, column.tolist(), strict=True) if score >= 0.8]
            found.append((good[0], good[-1]) if good else (0, 0))
        return found


@mistake("06.15", says="This is the F1 of the FIRST group")
class section:
    """Group 0."""

    def group_words(vectors, n_groups):
        from scipy.cluster.hierarchy import fcluster, linkage

        tree = linkage(vectors.double().numpy(), "ward")
        return torch.from_numpy(fcluster(tree, n_groups, "maxclust")).long() - 1

    def predict(vectors, holds, widths):
        rows = []
        for width in widths:
            groups = torch.nn.functional.one_hot(group_words(vectors, width)).bool()
            rows.append(f1_table(groups, holds)[0])
        return torch.stack(rows)

    def one_latent(scores, widths):
        found = []
        for column in scores.T:
            good = [width for width, score in zip(widths, column.tolist(), strict=True) if score >= 0.8]
            found.append((good[0], good[-1]) if good else (0, 0))
        return found


@mistake("06.15", says="These are places in the list")
class section:
    """Indices."""

    def group_words(vectors, n_groups):
        from scipy.cluster.hierarchy import fcluster, linkage

        tree = linkage(vectors.double().numpy(), "ward")
        return torch.from_numpy(fcluster(tree, n_groups, "maxclust")).long() - 1

    def predict(vectors, holds, widths):
        rows = []
        for width in widths:
            groups = torch.nn.functional.one_hot(group_words(vectors, width)).bool()
            rows.append(f1_table(groups, holds).amax(0))
        return torch.stack(rows)

    def one_latent(scores, widths):
        found = []
        for column in scores.T:
            good = [i for i, score in enumerate(column.tolist()) if score >= 0.8]
            found.append((good[0], good[-1]) if good else (0, 0))
        return found


@mistake("06.15", says="with an F1 of exactly 0.8 counts")
class section:
    """Above the bar, not at it."""

    def group_words(vectors, n_groups):
        from scipy.cluster.hierarchy import fcluster, linkage

        tree = linkage(vectors.double().numpy(), "ward")
        return torch.from_numpy(fcluster(tree, n_groups, "maxclust")).long() - 1

    def predict(vectors, holds, widths):
        rows = []
        for width in widths:
            groups = torch.nn.functional.one_hot(group_words(vectors, width)).bool()
            rows.append(f1_table(groups, holds).amax(0))
        return torch.stack(rows)

    def one_latent(scores, widths):
        found = []
        for column in scores.T:
            good = [width for width, score in zip(widths, column.tolist(), strict=True) if score > 0.8]
            found.append((good[0], good[-1]) if good else (0, 0))
        return found


@mistake("06.15", says="You give the last width twice")
class section:
    """The last one twice."""

    def group_words(vectors, n_groups):
        from scipy.cluster.hierarchy import fcluster, linkage

        tree = linkage(vectors.double().numpy(), "ward")
        return torch.from_numpy(fcluster(tree, n_groups, "maxclust")).long() - 1

    def predict(vectors, holds, widths):
        rows = []
        for width in widths:
            groups = torch.nn.functional.one_hot(group_words(vectors, width)).bool()
            rows.append(f1_table(groups, holds).amax(0))
        return torch.stack(rows)

    def one_latent(scores, widths):
        found = []
        for column in scores.T:
            good = [width for width, score in zip(widths, column.tolist(), strict=True) if score >= 0.8]
            found.append((good[-1], good[-1]) if good else (0, 0))
        return found


@mistake("06.15", says="You give the first width twice")
class section:
    """The first one twice."""

    def group_words(vectors, n_groups):
        from scipy.cluster.hierarchy import fcluster, linkage

        tree = linkage(vectors.double().numpy(), "ward")
        return torch.from_numpy(fcluster(tree, n_groups, "maxclust")).long() - 1

    def predict(vectors, holds, widths):
        rows = []
        for width in widths:
            groups = torch.nn.functional.one_hot(group_words(vectors, width)).bool()
            rows.append(f1_table(groups, holds).amax(0))
        return torch.stack(rows)

    def one_latent(scores, widths):
        found = []
        for column in scores.T:
            good = [width for width, score in zip(widths, column.tolist(), strict=True) if score >= 0.8]
            found.append((good[0], good[0]) if good else (0, 0))
        return found


@right("06.15", how="with Ward's method by hand for groups, and loops")
class section:
    def group_words(vectors, n_groups):
        from scipy.cluster.hierarchy import fcluster, linkage

        tree = linkage(vectors.double().numpy(), "ward")
        return torch.from_numpy(fcluster(tree, n_groups, "maxclust")).long() - 1

    def predict(vectors, holds, widths):
        found = torch.zeros(len(widths), holds.shape[1])
        for row, width in enumerate(widths):
            of = group_words(vectors, width)
            for concept in range(holds.shape[1]):
                for group in range(width):
                    here = of == group
                    there = int(here.sum() + holds[:, concept].sum())
                    score = 2 * int((here & holds[:, concept]).sum()) / max(1, there)
                    found[row, concept] = max(found[row, concept], score)
        return found

    def one_latent(scores, widths):
        found = []
        for concept in range(scores.shape[1]):
            good = [w for w, ok in zip(widths, (scores[:, concept] >= 0.8).tolist()) if ok]
            found.append([min(good), max(good)] if good else [0, 0])
        return found


@right("06.15", how="with scikit-learn")
class section:
    def group_words(vectors, n_groups):
        from sklearn.cluster import AgglomerativeClustering

        return torch.from_numpy(AgglomerativeClustering(n_groups, linkage="ward").fit_predict(vectors.numpy()))

    def predict(vectors, holds, widths):
        rows = []
        for width in widths:
            groups = torch.nn.functional.one_hot(group_words(vectors, width)).bool()
            rows.append(f1_table(groups, holds).amax(0))
        return torch.stack(rows)

    def one_latent(scores, widths):
        found = []
        for column in scores.T:
            good = [width for width, score in zip(widths, column.tolist(), strict=True) if score >= 0.8]
            found.append((good[0], good[-1]) if good else (0, 0))
        return found
