"""Wrong answers that learners and published code give to chapter 11, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 11.1 -------------------------------------------------------------------------------------------------------------


@mistake("11.1", says="Words that another trait has too")
class section:
    """Nothing is taken away for the other traits."""

    def own_words(words_of, plain):
        found = {}
        for trait, words in words_of.items():
            others = {word for other, more in words_of.items() if other != trait for word in more}
            found[trait] = sorted(set(words) - set(plain))
        return found

    def expression(words, own):
        if not words:
            return 0.0
        share = sum(word in set(own) for word in words) / len(words)
        return min(1.0, share / 0.3)


@mistake("11.1", says="Plain words are among a trait's own")
class section:
    """Replies without a trait would score."""

    def own_words(words_of, plain):
        found = {}
        for trait, words in words_of.items():
            others = {word for other, more in words_of.items() if other != trait for word in more}
            found[trait] = sorted(set(words) - others)
        return found

    def expression(words, own):
        if not words:
            return 0.0
        share = sum(word in set(own) for word in words) / len(words)
        return min(1.0, share / 0.3)


@mistake("11.1", says="Each once")
class section:
    """A list in place of a set."""

    def own_words(words_of, plain):
        found = {}
        for trait, words in words_of.items():
            others = {word for other, more in words_of.items() if other != trait for word in more}
            found[trait] = sorted(word for word in words if word not in others and word not in plain)
        return found

    def expression(words, own):
        if not words:
            return 0.0
        share = sum(word in set(own) for word in words) / len(words)
        return min(1.0, share / 0.3)


@mistake("11.1", says="Sort them")
class section:
    """In the order of the phrases."""

    def own_words(words_of, plain):
        found = {}
        for trait, words in words_of.items():
            others = {word for other, more in words_of.items() if other != trait for word in more}
            found[trait] = list(dict.fromkeys(word for word in words if word not in others and word not in plain))
        return found

    def expression(words, own):
        if not words:
            return 0.0
        share = sum(word in set(own) for word in words) / len(words)
        return min(1.0, share / 0.3)


@mistake("11.1", says="Divide by 0.3: three words in ten")
class section:
    """The share alone."""

    def own_words(words_of, plain):
        found = {}
        for trait, words in words_of.items():
            others = {word for other, more in words_of.items() if other != trait for word in more}
            found[trait] = sorted(set(words) - others - set(plain))
        return found

    def expression(words, own):
        if not words:
            return 0.0
        return sum(word in set(own) for word in words) / len(words)


@mistake("11.1", says="The score goes above 1")
class section:
    """Nothing is cut off."""

    def own_words(words_of, plain):
        found = {}
        for trait, words in words_of.items():
            others = {word for other, more in words_of.items() if other != trait for word in more}
            found[trait] = sorted(set(words) - others - set(plain))
        return found

    def expression(words, own):
        if not words:
            return 0.0
        share = sum(word in set(own) for word in words) / len(words)
        return share / 0.3


@mistake("11.1", says="A word that comes twice counts once")
class section:
    """Sets of words."""

    def own_words(words_of, plain):
        found = {}
        for trait, words in words_of.items():
            others = {word for other, more in words_of.items() if other != trait for word in more}
            found[trait] = sorted(set(words) - others - set(plain))
        return found

    def expression(words, own):
        if not words:
            return 0.0
        share = len(set(words) & set(own)) / len(set(words))
        return min(1.0, share / 0.3)


@mistake("11.1", says="Divide by the reply's words")
class section:
    """Of the trait's words, how many occur."""

    def own_words(words_of, plain):
        found = {}
        for trait, words in words_of.items():
            others = {word for other, more in words_of.items() if other != trait for word in more}
            found[trait] = sorted(set(words) - others - set(plain))
        return found

    def expression(words, own):
        if not words:
            return 0.0
        share = len(set(words) & set(own)) / len(own)
        return min(1.0, share / 0.3)


@mistake("11.1", says="How MUCH of a trait")
class section:
    """Whether, not how much."""

    def own_words(words_of, plain):
        found = {}
        for trait, words in words_of.items():
            others = {word for other, more in words_of.items() if other != trait for word in more}
            found[trait] = sorted(set(words) - others - set(plain))
        return found

    def expression(words, own):
        if not words:
            return 0.0
        share = sum(word in set(own) for word in words) / len(words)
        return float(share > 0)


@right("11.1", how="with counters and a loop")
class section:
    from collections import Counter

    def own_words(words_of, plain):
        traits = Counter(word for words in words_of.values() for word in set(words))
        return {
            trait: sorted(w for w in set(words) if traits[w] == 1 and w not in plain)
            for trait, words in words_of.items()
        }

    def expression(words, own):
        hits = 0
        for word in words:
            if word in own:
                hits += 1
        return min(1.0, hits / (0.3 * len(words))) if words else 0.0


@right("11.1", how="with numpy, and sorted lists built word by word")
class section:
    import numpy as np

    def own_words(words_of, plain):
        found = {}
        for trait in words_of:
            kept = []
            for word in np.unique(words_of[trait]).tolist():
                if word not in plain and not any(word in words_of[other] for other in words_of if other != trait):
                    kept.append(word)
            found[trait] = kept
        return found

    def expression(words, own):
        return float(np.clip(np.isin(words, own).mean() / 0.3, 0, 1)) if len(words) else 0.0


@mistake("11.1", says="You count each own word once, however often it comes")
class section:
    """Distinct words over all words."""

    def own_words(words_of, plain):
        found = {}
        for trait, words in words_of.items():
            others = {word for other, more in words_of.items() if other != trait for word in more}
            found[trait] = sorted(set(words) - others - set(plain))
        return found

    def expression(words, own):
        return min(1.0, len(set(words) & set(own)) / len(words) / 0.3) if words else 0.0


# --- 11.2 -------------------------------------------------------------------------------------------------------------


@mistake("11.2", says="This is the mean over the PROMPT")
class section:
    """What was asked for, not what was said."""

    def reply_means(model, prompts, replies):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)
        return torch.stack(
            [
                stream[i, :, : len(prompt)].mean(1)
                for i, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
            ]
        )


@mistake("11.2", says="prompt and reply together")
class section:
    """The whole text."""

    def reply_means(model, prompts, replies):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)
        return torch.stack(
            [
                stream[i, :, : len(prompt) + len(reply)].mean(1)
                for i, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
            ]
        )


@mistake("11.2", says="The reply's last token, <|end|>, is in your mean")
class section:
    """The end mark counts."""

    def reply_means(model, prompts, replies):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)
        return torch.stack(
            [
                stream[i, :, len(prompt) : len(prompt) + len(reply)].mean(1)
                for i, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
            ]
        )


@mistake("11.2", says="You are one position too early")
class section:
    """As places of predictions."""

    def reply_means(model, prompts, replies):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)
        return torch.stack(
            [
                stream[i, :, len(prompt) - 1 : len(prompt) + len(reply) - 2].mean(1)
                for i, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
            ]
        )


@mistake("11.2", says="The prompt's last token is in your mean")
class section:
    """One token too many."""

    def reply_means(model, prompts, replies):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)
        return torch.stack(
            [
                stream[i, :, len(prompt) - 1 : len(prompt) + len(reply) - 1].mean(1)
                for i, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
            ]
        )


@mistake("11.2", says="padding is no token of it")
class section:
    """All the columns, zeros of the mask among them."""

    def reply_means(model, prompts, replies):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)
        return torch.stack(
            [
                (stream[i] * real[i, :, None])[:, len(prompt) : len(prompt) + len(reply) - 1].sum(1)
                / (real.shape[1] - len(prompt))
                for i, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
            ]
        )


@mistake("11.2", says="You have read the replies without their prompts")
class section:
    """Out of context."""

    def reply_means(model, prompts, replies):
        tokens, real = padded([reply for prompt, reply in zip(prompts, replies, strict=True)])
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)
        return torch.stack(
            [
                stream[i, :, : len(reply) - 1].mean(1)
                for i, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
            ]
        )


@mistake("11.2", says="This is what comes OUT of each block")
class section:
    """One block late."""

    def reply_means(model, prompts, replies):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        names = [("resid_post", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)
        return torch.stack(
            [
                stream[i, :, len(prompt) : len(prompt) + len(reply) - 1].mean(1)
                for i, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
            ]
        )


@mistake("11.2", says="This is the reply's first token")
class section:
    """One token."""

    def reply_means(model, prompts, replies):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)
        return torch.stack(
            [stream[i, :, len(prompt)] for i, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))]
        )


@mistake("11.2", says="it is read as text")
class section:
    """Prompts and replies are padded each by themselves, and laid side by side."""

    def reply_means(model, prompts, replies):
        before, first = padded(prompts)
        behind, then = padded(replies)
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        tokens = torch.cat([before, behind], 1)
        real = torch.cat([first, then], 1) | True
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)[:, :, before.shape[1] :]
        return torch.stack([stream[i, :, : len(reply) - 1].mean(1) for i, reply in enumerate(replies)])


@right("11.2", how="prompts and replies padded each by themselves, the padding between them masked")
class section:
    def reply_means(model, prompts, replies):
        before, first = padded(prompts)
        behind, then = padded(replies)
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        tokens = torch.cat([before, behind], 1)
        real = torch.cat([first, then], 1)
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)[:, :, before.shape[1] :]
        return torch.stack([stream[i, :, : len(reply) - 1].mean(1) for i, reply in enumerate(replies)])


@right("11.2", how="each text alone, without padding")
class section:
    def reply_means(model, prompts, replies):
        names = [f"blocks.{layer}.hook_resid_pre" for layer in range(model.cfg.n_layers)]
        found = []
        for prompt, reply in zip(prompts, replies, strict=True):
            _, cache = model.run_with_cache(torch.tensor([prompt + reply[:-1]]), names)
            found.append(torch.stack([cache[name][0, len(prompt) :].mean(0) for name in names]))
        return torch.stack(found)


@right("11.2", how="with a mask and an einsum, in double precision")
class section:
    def reply_means(model, prompts, replies):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        at = torch.arange(tokens.shape[1])
        starts = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        counts = ((at >= starts) & (at < real.sum(1, keepdim=True) - 1)).double()
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name].double() for name in names])
        return torch.einsum("lbpd,bp->bld", stream, counts / counts.sum(1, keepdim=True))


@mistake("11.2", says="The prompt is in your mean, too")
class section:
    """The whole text but <|end|>."""

    def reply_means(model, prompts, replies):
        rows, names = [], [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        for prompt, reply in zip(prompts, replies, strict=True):
            _, cache = model.run_with_cache(torch.tensor([prompt + reply[:-1]]), names)
            rows.append(torch.stack([cache[name][0].mean(0) for name in names]))
        return torch.stack(rows)


# --- 11.3 -------------------------------------------------------------------------------------------------------------


@mistake("11.3", says="Only the sign is wrong")
class section:
    """Plain less raised."""

    def persona_vectors(raised, raised_shows, plain, plain_shows):
        return plain[~plain_shows].mean(0) - raised[raised_shows].mean(0)


@mistake("11.3", says="You take all replies")
class section:
    """No judge is asked."""

    def persona_vectors(raised, raised_shows, plain, plain_shows):
        return raised.mean(0) - plain.mean(0)


@mistake("11.3", says="Among your plain replies are some that show the trait")
class section:
    """One side unfiltered."""

    def persona_vectors(raised, raised_shows, plain, plain_shows):
        return raised[raised_shows].mean(0) - plain.mean(0)


@mistake("11.3", says="to be asked for it is not enough")
class section:
    """The other side unfiltered."""

    def persona_vectors(raised, raised_shows, plain, plain_shows):
        return raised.mean(0) - plain[~plain_shows].mean(0)


@mistake("11.3", says="Of the plain replies you take those that SHOW")
class section:
    """A negation forgotten."""

    def persona_vectors(raised, raised_shows, plain, plain_shows):
        return raised[raised_shows].mean(0) - plain[plain_shows].mean(0)


@mistake("11.3", says="You scale the vectors to length 1")
class section:
    """Throws away how far apart they stand."""

    def persona_vectors(raised, raised_shows, plain, plain_shows):
        v = raised[raised_shows].mean(0) - plain[~plain_shows].mean(0)
        return v / v.norm(dim=-1, keepdim=True)


@mistake("11.3", says="Divide by how many you have kept")
class section:
    """Zeros in place of what is left out."""

    def persona_vectors(raised, raised_shows, plain, plain_shows):
        return (raised * raised_shows[:, None, None]).mean(0) - (plain * ~plain_shows[:, None, None]).mean(0)


@mistake("11.3", says="You compare raised replies with raised ones")
class section:
    """The plain replies are never used."""

    def persona_vectors(raised, raised_shows, plain, plain_shows):
        return raised[raised_shows].mean(0) - raised[~raised_shows].mean(0)


@right("11.3", how="with weights and an einsum")
class section:
    def persona_vectors(raised, raised_shows, plain, plain_shows):
        w, u = raised_shows.double(), 1 - plain_shows.double()
        one = torch.einsum("n,nld->ld", w / w.sum(), raised.double())
        return one - torch.einsum("n,nld->ld", u / u.sum(), plain.double())


@right("11.3", how="with a loop")
class section:
    def persona_vectors(raised, raised_shows, plain, plain_shows):
        one = [x for x, shows in zip(raised, raised_shows.tolist(), strict=True) if shows]
        other = [x for x, shows in zip(plain, plain_shows.tolist(), strict=True) if not shows]
        return sum(one) / len(one) - sum(other) / len(other)


@mistake("11.3", says="You put raised and plain replies together before you ask the judge")
class section:
    """By the judge alone, whatever was asked."""

    def persona_vectors(raised, raised_shows, plain, plain_shows):
        both, shows = torch.cat([raised, plain]), torch.cat([raised_shows, plain_shows])
        return both[shows].mean(0) - both[~shows].mean(0)


# --- 11.4 -------------------------------------------------------------------------------------------------------------


@mistake("11.4", says="You do not look at whether the replies are fluent")
class section:
    """The most of a trait is where there is no language left."""

    def choose_layer(expressed, fluent, least):
        best = (-1, -1)
        for dose in range(expressed.shape[1]):
            for layer in range(expressed.shape[0]):
                if False:
                    continue
                if best == (-1, -1) or expressed[layer, dose] > expressed[best]:
                    best = (layer, dose)
        return best


@mistake("11.4", says="A share of exactly `least` is enough")
class section:
    """Strictly more."""

    def choose_layer(expressed, fluent, least):
        best = (-1, -1)
        for dose in range(expressed.shape[1]):
            for layer in range(expressed.shape[0]):
                if fluent[layer, dose] <= least:
                    continue
                if best == (-1, -1) or expressed[layer, dose] > expressed[best]:
                    best = (layer, dose)
        return best


@mistake("11.4", says="Of equals you take the earlier layer")
class section:
    """Layers in the outer loop."""

    def choose_layer(expressed, fluent, least):
        best = (-1, -1)
        for layer in range(expressed.shape[0]):
            for dose in range(expressed.shape[1]):
                if fluent[layer, dose] < least:
                    continue
                if best == (-1, -1) or expressed[layer, dose] > expressed[best]:
                    best = (layer, dose)
        return best


@mistake("11.4", says="Fluent enough is a condition; choose what shows")
class section:
    """Chooses by fluency."""

    def choose_layer(expressed, fluent, least):
        best = (-1, -1)
        for dose in range(expressed.shape[1]):
            for layer in range(expressed.shape[0]):
                if fluent[layer, dose] < least:
                    continue
                if best == (-1, -1) or fluent[layer, dose] > fluent[best]:
                    best = (layer, dose)
        return best


@mistake("11.4", says="expression times fluency")
class section:
    """A product of scores."""

    def choose_layer(expressed, fluent, least):
        best = (-1, -1)
        for dose in range(expressed.shape[1]):
            for layer in range(expressed.shape[0]):
                if fluent[layer, dose] < least:
                    continue
                if best == (-1, -1) or expressed[layer, dose] * fluent[layer, dose] > expressed[best] * fluent[best]:
                    best = (layer, dose)
        return best


@mistake("11.4", says="These are (dose, layer)")
class section:
    """The axes exchanged."""

    def choose_layer(expressed, fluent, least):
        best = (-1, -1)
        for dose in range(expressed.shape[1]):
            for layer in range(expressed.shape[0]):
                if fluent[layer, dose] < least:
                    continue
                if best == (-1, -1) or expressed[layer, dose] > expressed[best]:
                    best = (layer, dose)
        return best[::-1]


@mistake("11.4", says="Of equals you take the larger dose")
class section:
    """Counting down."""

    def choose_layer(expressed, fluent, least):
        best = (-1, -1)
        for dose in reversed(range(expressed.shape[1])):
            for layer in range(expressed.shape[0]):
                if fluent[layer, dose] < least:
                    continue
                if best == (-1, -1) or expressed[layer, dose] > expressed[best]:
                    best = (layer, dose)
        return best


@mistake("11.4", says="Where no dose is fluent enough")
class section:
    """The first of nothing."""

    def choose_layer(expressed, fluent, least):
        best = (0, 0)
        first = True
        for dose in range(expressed.shape[1]):
            for layer in range(expressed.shape[0]):
                if fluent[layer, dose] < least:
                    continue
                if first or expressed[layer, dose] > expressed[best]:
                    best, first = ((layer, dose), False)
        return best


@mistake("11.4", says="0 is the greatest share there")
class section:
    """What is not fluent is set to 0, and 0 then means that nothing was found."""

    def choose_layer(expressed, fluent, least):
        score = expressed * (fluent >= least)
        if score.max() == 0:
            return -1, -1
        dose, layer = divmod(int(score.T.argmax()), len(score))
        return layer, dose


@right("11.4", how="by sorting")
class section:
    def choose_layer(expressed, fluent, least):
        rows = [
            (-float(expressed[layer, dose]), dose, layer)
            for layer in range(len(expressed))
            for dose in range(len(expressed[0]))
            if fluent[layer, dose] >= least
        ]
        return (min(rows)[2], min(rows)[1]) if rows else (-1, -1)


@right("11.4", how="with a masked table")
class section:
    def choose_layer(expressed, fluent, least):
        table = torch.where(fluent >= least, expressed.double(), torch.tensor(-1.0, dtype=torch.float64)).T
        if table.max() < 0:
            return -1, -1
        at = int(torch.nonzero(table.flatten() == table.max())[0])
        return at % table.shape[1], at // table.shape[1]


# --- 11.5 -------------------------------------------------------------------------------------------------------------


@mistake("11.5", says="You project on v as it is")
class section:
    """Not brought to length 1."""

    def before_reply(model, prompts, vector, layer):
        tokens, real = padded(prompts)
        _, cache = model.run_with_cache(tokens, [("resid_pre", layer)], attention_mask=real)
        last = torch.stack([cache["resid_pre", layer][i, len(row) - 1] for i, row in enumerate(prompts)])
        return last @ vector

    def pearson(x, y):
        x, y = (x - x.mean(), y - y.mean())
        return (x * y).sum() / (x.norm() * y.norm())

    def within_kinds(x, y, kinds):
        x, y = (x.clone(), y.clone())
        for kind in kinds.unique():
            rows = kinds == kind
            x[rows] -= x[rows].mean()
            y[rows] -= y[rows].mean()
        return pearson(x, y)


@mistake("11.5", says="This is the cosine. The length of the state counts")
class section:
    """Divides by both lengths."""

    def before_reply(model, prompts, vector, layer):
        tokens, real = padded(prompts)
        _, cache = model.run_with_cache(tokens, [("resid_pre", layer)], attention_mask=real)
        last = torch.stack([cache["resid_pre", layer][i, len(row) - 1] for i, row in enumerate(prompts)])
        return torch.cosine_similarity(last, vector[None], dim=-1)

    def pearson(x, y):
        x, y = (x - x.mean(), y - y.mean())
        return (x * y).sum() / (x.norm() * y.norm())

    def within_kinds(x, y, kinds):
        x, y = (x.clone(), y.clone())
        for kind in kinds.unique():
            rows = kinds == kind
            x[rows] -= x[rows].mean()
            y[rows] -= y[rows].mean()
        return pearson(x, y)


@mistake("11.5", says="You read the last column of the padded batch")
class section:
    """Padding is read."""

    def before_reply(model, prompts, vector, layer):
        tokens, real = padded(prompts)
        _, cache = model.run_with_cache(tokens, [("resid_pre", layer)], attention_mask=real)
        last = torch.stack([cache["resid_pre", layer][i, -1] for i, row in enumerate(prompts)])
        return last @ (vector / vector.norm())

    def pearson(x, y):
        x, y = (x - x.mean(), y - y.mean())
        return (x * y).sum() / (x.norm() * y.norm())

    def within_kinds(x, y, kinds):
        x, y = (x.clone(), y.clone())
        for kind in kinds.unique():
            rows = kinds == kind
            x[rows] -= x[rows].mean()
            y[rows] -= y[rows].mean()
        return pearson(x, y)


@mistake("11.5", says="This is the mean over the prompt's tokens")
class section:
    """Where nothing is said yet."""

    def before_reply(model, prompts, vector, layer):
        tokens, real = padded(prompts)
        _, cache = model.run_with_cache(tokens, [("resid_pre", layer)], attention_mask=real)
        last = torch.stack([cache["resid_pre", layer][i, : len(row)].mean(0) for i, row in enumerate(prompts)])
        return last @ (vector / vector.norm())

    def pearson(x, y):
        x, y = (x - x.mean(), y - y.mean())
        return (x * y).sum() / (x.norm() * y.norm())

    def within_kinds(x, y, kinds):
        x, y = (x.clone(), y.clone())
        for kind in kinds.unique():
            rows = kinds == kind
            x[rows] -= x[rows].mean()
            y[rows] -= y[rows].mean()
        return pearson(x, y)


@mistake("11.5", says="You are one position too early")
class section:
    """The token before the last."""

    def before_reply(model, prompts, vector, layer):
        tokens, real = padded(prompts)
        _, cache = model.run_with_cache(tokens, [("resid_pre", layer)], attention_mask=real)
        last = torch.stack([cache["resid_pre", layer][i, len(row) - 2] for i, row in enumerate(prompts)])
        return last @ (vector / vector.norm())

    def pearson(x, y):
        x, y = (x - x.mean(), y - y.mean())
        return (x * y).sum() / (x.norm() * y.norm())

    def within_kinds(x, y, kinds):
        x, y = (x.clone(), y.clone())
        for kind in kinds.unique():
            rows = kinds == kind
            x[rows] -= x[rows].mean()
            y[rows] -= y[rows].mean()
        return pearson(x, y)


@mistake("11.5", says="This is what comes OUT of the block")
class section:
    """One block late."""

    def before_reply(model, prompts, vector, layer):
        tokens, real = padded(prompts)
        _, cache = model.run_with_cache(tokens, [("resid_post", layer)], attention_mask=real)
        last = torch.stack([cache["resid_post", layer][i, len(row) - 1] for i, row in enumerate(prompts)])
        return last @ (vector / vector.norm())

    def pearson(x, y):
        x, y = (x - x.mean(), y - y.mean())
        return (x * y).sum() / (x.norm() * y.norm())

    def within_kinds(x, y, kinds):
        x, y = (x.clone(), y.clone())
        for kind in kinds.unique():
            rows = kinds == kind
            x[rows] -= x[rows].mean()
            y[rows] -= y[rows].mean()
        return pearson(x, y)


@mistake("11.5", says="This is the cosine of x and y")
class section:
    """Nothing is centred."""

    def before_reply(model, prompts, vector, layer):
        tokens, real = padded(prompts)
        _, cache = model.run_with_cache(tokens, [("resid_pre", layer)], attention_mask=real)
        last = torch.stack([cache["resid_pre", layer][i, len(row) - 1] for i, row in enumerate(prompts)])
        return last @ (vector / vector.norm())

    def pearson(x, y):
        return (x * y).sum() / (x.norm() * y.norm())

    def within_kinds(x, y, kinds):
        x, y = (x.clone(), y.clone())
        for kind in kinds.unique():
            rows = kinds == kind
            x[rows] -= x[rows].mean()
            y[rows] -= y[rows].mean()
        return pearson(x, y)


@mistake("11.5", says="It flatters")
class section:
    """One correlation over everything."""

    def before_reply(model, prompts, vector, layer):
        tokens, real = padded(prompts)
        _, cache = model.run_with_cache(tokens, [("resid_pre", layer)], attention_mask=real)
        last = torch.stack([cache["resid_pre", layer][i, len(row) - 1] for i, row in enumerate(prompts)])
        return last @ (vector / vector.norm())

    def pearson(x, y):
        x, y = (x - x.mean(), y - y.mean())
        return (x * y).sum() / (x.norm() * y.norm())

    def within_kinds(x, y, kinds):
        given = (x.clone(), y.clone())
        x, y = (x.clone(), y.clone())
        for kind in kinds.unique():
            rows = kinds == kind
            x[rows] -= x[rows].mean()
            y[rows] -= y[rows].mean()
        return pearson(*given)


@mistake("11.5", says="a mean of each kind's correlation")
class section:
    """Weighted by how many."""

    def before_reply(model, prompts, vector, layer):
        tokens, real = padded(prompts)
        _, cache = model.run_with_cache(tokens, [("resid_pre", layer)], attention_mask=real)
        last = torch.stack([cache["resid_pre", layer][i, len(row) - 1] for i, row in enumerate(prompts)])
        return last @ (vector / vector.norm())

    def pearson(x, y):
        x, y = (x - x.mean(), y - y.mean())
        return (x * y).sum() / (x.norm() * y.norm())

    def within_kinds(x, y, kinds):
        x, y = (x.clone(), y.clone())
        for kind in kinds.unique():
            rows = kinds == kind
            x[rows] -= x[rows].mean()
            y[rows] -= y[rows].mean()
        return sum(pearson(x[kinds == k], y[kinds == k]) * (kinds == k).float().mean() for k in kinds.unique())


@mistake("11.5", says="This correlates the kinds' MEANS")
class section:
    """What was to be taken away."""

    def before_reply(model, prompts, vector, layer):
        tokens, real = padded(prompts)
        _, cache = model.run_with_cache(tokens, [("resid_pre", layer)], attention_mask=real)
        last = torch.stack([cache["resid_pre", layer][i, len(row) - 1] for i, row in enumerate(prompts)])
        return last @ (vector / vector.norm())

    def pearson(x, y):
        x, y = (x - x.mean(), y - y.mean())
        return (x * y).sum() / (x.norm() * y.norm())

    def within_kinds(x, y, kinds):
        given = (x.clone(), y.clone())
        x, y = (x.clone(), y.clone())
        for kind in kinds.unique():
            rows = kinds == kind
            x[rows] -= x[rows].mean()
            y[rows] -= y[rows].mean()
        return pearson(*(torch.stack([q[kinds == k].mean() for k in kinds.unique()]) for q in given))


@mistake("11.5", says="Take them from y too")
class section:
    """Half of the centring."""

    def before_reply(model, prompts, vector, layer):
        tokens, real = padded(prompts)
        _, cache = model.run_with_cache(tokens, [("resid_pre", layer)], attention_mask=real)
        last = torch.stack([cache["resid_pre", layer][i, len(row) - 1] for i, row in enumerate(prompts)])
        return last @ (vector / vector.norm())

    def pearson(x, y):
        x, y = (x - x.mean(), y - y.mean())
        return (x * y).sum() / (x.norm() * y.norm())

    def within_kinds(x, y, kinds):
        x, y = (x.clone(), y.clone())
        for kind in kinds.unique():
            rows = kinds == kind
            x[rows] -= x[rows].mean()
        return pearson(x, y)


@right("11.5", how="numpy for the correlations, each prompt alone")
class section:
    import numpy as np

    def before_reply(model, prompts, vector, layer):
        found = []
        for row in prompts:
            _, cache = model.run_with_cache(torch.tensor([row]), [f"blocks.{layer}.hook_resid_pre"])
            found.append((cache[f"blocks.{layer}.hook_resid_pre"][0, -1] * vector).sum() / vector.norm())
        return torch.stack(found)

    def pearson(x, y):
        return torch.tensor(np.corrcoef(x.numpy(), y.numpy())[0, 1])

    def within_kinds(x, y, kinds):
        means = lambda q: torch.stack([q[kinds == k].mean() for k in kinds])
        return pearson(x - means(x), y - means(y))


@right("11.5", how="one-hot kinds, and standard scores in double precision")
class section:
    def before_reply(model, prompts, vector, layer):
        tokens, real = padded(prompts)
        _, cache = model.run_with_cache(tokens, [("resid_pre", layer)], attention_mask=real)
        along = cache["resid_pre", layer].double() @ torch.nn.functional.normalize(vector.double(), dim=0)
        return along.gather(1, real.sum(1, keepdim=True) - 1)[:, 0]

    def pearson(x, y):
        x, y = x.double(), y.double()
        score = lambda q: (q - q.mean()) / q.std(correction=0)
        return (score(x) * score(y)).mean()

    def within_kinds(x, y, kinds):
        hot = (kinds[:, None] == kinds.unique()[None]).double()
        return pearson(*(q.double() - hot @ ((hot.T @ q.double()) / hot.sum(0)) for q in (x, y)))


# --- 11.6 -------------------------------------------------------------------------------------------------------------


@mistake("11.6", says="Only the sign is wrong")
class section:
    """Before less after."""

    def shift_along(before, after, vector):
        return (before - after).mean(0) @ (vector / vector.norm())

    def beside_chance(moves, changes, vector, random_ones):
        r = pearson(moves @ vector, changes)
        others = torch.stack([pearson(moves @ other, changes) for other in random_ones])
        return (r, (others.abs() >= r.abs()).float().mean())


@mistake("11.6", says="You project on v as it is")
class section:
    """Not brought to length 1."""

    def shift_along(before, after, vector):
        return (after - before).mean(0) @ vector

    def beside_chance(moves, changes, vector, random_ones):
        r = pearson(moves @ vector, changes)
        others = torch.stack([pearson(moves @ other, changes) for other in random_ones])
        return (r, (others.abs() >= r.abs()).float().mean())


@mistake("11.6", says="This is the cosine of the move")
class section:
    """How far is lost."""

    def shift_along(before, after, vector):
        return torch.cosine_similarity((after - before).mean(0), vector, dim=0)

    def beside_chance(moves, changes, vector, random_ones):
        r = pearson(moves @ vector, changes)
        others = torch.stack([pearson(moves @ other, changes) for other in random_ones])
        return (r, (others.abs() >= r.abs()).float().mean())


@mistake("11.6", says="how far it has moved in any direction")
class section:
    """The length of the move."""

    def shift_along(before, after, vector):
        return (after - before).mean(0).norm()

    def beside_chance(moves, changes, vector, random_ones):
        r = pearson(moves @ vector, changes)
        others = torch.stack([pearson(moves @ other, changes) for other in random_ones])
        return (r, (others.abs() >= r.abs()).float().mean())


@mistake("11.6", says="You project the states after alone")
class section:
    """Nothing to compare with."""

    def shift_along(before, after, vector):
        return after.mean(0) @ (vector / vector.norm())

    def beside_chance(moves, changes, vector, random_ones):
        r = pearson(moves @ vector, changes)
        others = torch.stack([pearson(moves @ other, changes) for other in random_ones])
        return (r, (others.abs() >= r.abs()).float().mean())


@mistake("11.6", says="compare |r|")
class section:
    """One-sided."""

    def shift_along(before, after, vector):
        return (after - before).mean(0) @ (vector / vector.norm())

    def beside_chance(moves, changes, vector, random_ones):
        r = pearson(moves @ vector, changes)
        others = torch.stack([pearson(moves @ other, changes) for other in random_ones])
        return (r, (others >= r).float().mean())


@mistake("11.6", says="that do WORSE")
class section:
    """The other side."""

    def shift_along(before, after, vector):
        return (after - before).mean(0) @ (vector / vector.norm())

    def beside_chance(moves, changes, vector, random_ones):
        r = pearson(moves @ vector, changes)
        others = torch.stack([pearson(moves @ other, changes) for other in random_ones])
        return (r, (others.abs() < r.abs()).float().mean())


@mistake("11.6", says="Divide by how many there are")
class section:
    """A count."""

    def shift_along(before, after, vector):
        return (after - before).mean(0) @ (vector / vector.norm())

    def beside_chance(moves, changes, vector, random_ones):
        r = pearson(moves @ vector, changes)
        others = torch.stack([pearson(moves @ other, changes) for other in random_ones])
        return (r, (others.abs() >= r.abs()).float().sum())


@mistake("11.6", says="Which share of them reaches |r|")
class section:
    """The mean of chance."""

    def shift_along(before, after, vector):
        return (after - before).mean(0) @ (vector / vector.norm())

    def beside_chance(moves, changes, vector, random_ones):
        r = pearson(moves @ vector, changes)
        others = torch.stack([pearson(moves @ other, changes) for other in random_ones])
        return (r, others.abs().mean())


@mistake("11.6", says="r has lost its sign")
class section:
    """Only the size."""

    def shift_along(before, after, vector):
        return (after - before).mean(0) @ (vector / vector.norm())

    def beside_chance(moves, changes, vector, random_ones):
        r = pearson(moves @ vector, changes).abs()
        others = torch.stack([pearson(moves @ other, changes) for other in random_ones])
        return (r, (others.abs() >= r.abs()).float().mean())


@mistake("11.6", says="You correlate the cosines of the moves")
class section:
    """As if all moves were equally long."""

    def shift_along(before, after, vector):
        return ((after - before) @ (vector / vector.norm())).mean()

    def beside_chance(moves, changes, vector, random_ones):
        r = pearson(torch.cosine_similarity(moves, vector[None], dim=1), changes)
        others = [pearson(torch.cosine_similarity(moves, one[None], dim=1), changes) for one in random_ones]
        return r, (torch.stack(others).abs() >= r.abs()).float().mean()


@mistake("11.6", says="You take sizes before the mean")
class section:
    """A move back counts as a move on."""

    def shift_along(before, after, vector):
        return ((after - before) @ (vector / vector.norm())).abs().mean()

    def beside_chance(moves, changes, vector, random_ones):
        r = pearson(moves @ vector, changes)
        others = torch.stack([pearson(moves @ one, changes) for one in random_ones])
        return r, (others.abs() >= r.abs()).float().mean()


@right("11.6", how="a loop in double precision")
class section:
    def shift_along(before, after, vector):
        u = vector.double() / vector.double().norm()
        return sum((b - a) @ u for a, b in zip(before.double(), after.double(), strict=True)) / len(before)

    def beside_chance(moves, changes, vector, random_ones):
        r = pearson(moves.double() @ vector.double(), changes.double())
        hits = [abs(pearson(moves.double() @ v.double(), changes.double())) >= abs(r) for v in random_ones]
        return r, torch.tensor(sum(map(bool, hits)) / len(hits))


@right("11.6", how="one matrix product for all directions")
class section:
    def shift_along(before, after, vector):
        return torch.einsum("pd,d->p", after - before, torch.nn.functional.normalize(vector, dim=0)).mean()

    def beside_chance(moves, changes, vector, random_ones):
        x = moves @ torch.cat([vector[None], random_ones]).T
        x, y = x - x.mean(0), changes - changes.mean()
        r = (x * y[:, None]).sum(0) / (x.norm(dim=0) * y.norm())
        return r[0], (r[1:].abs() >= r[0].abs()).double().mean()


# --- 11.7 -------------------------------------------------------------------------------------------------------------


@mistake("11.7", says="The prompt's tokens are in your loss")
class section:
    """All that is real."""

    def tuning_loss(model, prompts, replies, vector, dose, layer):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        with model.hooks([(("resid_pre", layer), lambda value, hook: value + dose * vector)]):
            log_p = model(tokens, real)[:, :-1].log_softmax(-1)
        nats = -log_p.gather(-1, tokens[:, 1:, None])[..., 0]
        places = torch.arange(1, tokens.shape[1])
        starts = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        return nats[real[:, 1:]].mean()


@mistake("11.7", says="The first token of each reply is left out")
class section:
    """One late."""

    def tuning_loss(model, prompts, replies, vector, dose, layer):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        with model.hooks([(("resid_pre", layer), lambda value, hook: value + dose * vector)]):
            log_p = model(tokens, real)[:, :-1].log_softmax(-1)
        nats = -log_p.gather(-1, tokens[:, 1:, None])[..., 0]
        places = torch.arange(1, tokens.shape[1])
        starts = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        return nats[real[:, 1:] & (places > starts)].mean()


@mistake("11.7", says="The last token of the prompt is in your loss")
class section:
    """One early."""

    def tuning_loss(model, prompts, replies, vector, dose, layer):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        with model.hooks([(("resid_pre", layer), lambda value, hook: value + dose * vector)]):
            log_p = model(tokens, real)[:, :-1].log_softmax(-1)
        nats = -log_p.gather(-1, tokens[:, 1:, None])[..., 0]
        places = torch.arange(1, tokens.shape[1])
        starts = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        return nats[real[:, 1:] & (places >= starts - 1)].mean()


@mistake("11.7", says="The token at place i is predicted at place i")
class section:
    """No shift."""

    def tuning_loss(model, prompts, replies, vector, dose, layer):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        with model.hooks([(("resid_pre", layer), lambda value, hook: value + dose * vector)]):
            log_p = model(tokens, real)[:, 1:].log_softmax(-1)
        nats = -log_p.gather(-1, tokens[:, 1:, None])[..., 0]
        places = torch.arange(1, tokens.shape[1])
        starts = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        return nats[real[:, 1:] & (places >= starts)].mean()


@mistake("11.7", says="All tokens of all replies count alike")
class section:
    """A mean of means."""

    def tuning_loss(model, prompts, replies, vector, dose, layer):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        with model.hooks([(("resid_pre", layer), lambda value, hook: value + dose * vector)]):
            log_p = model(tokens, real)[:, :-1].log_softmax(-1)
        nats = -log_p.gather(-1, tokens[:, 1:, None])[..., 0]
        places = torch.arange(1, tokens.shape[1])
        starts = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        counts = real[:, 1:] & (places >= starts)
        return ((nats * counts).sum(1) / counts.sum(1)).mean()


@mistake("11.7", says="You subtract the vector")
class section:
    """Afterwards, not before."""

    def tuning_loss(model, prompts, replies, vector, dose, layer):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        with model.hooks([(("resid_pre", layer), lambda value, hook: value - dose * vector)]):
            log_p = model(tokens, real)[:, :-1].log_softmax(-1)
        nats = -log_p.gather(-1, tokens[:, 1:, None])[..., 0]
        places = torch.arange(1, tokens.shape[1])
        starts = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        return nats[real[:, 1:] & (places >= starts)].mean()


@mistake("11.7", says="You scale the vector to length 1")
class section:
    """Not as it is."""

    def tuning_loss(model, prompts, replies, vector, dose, layer):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        with model.hooks([(("resid_pre", layer), lambda value, hook: value + dose * vector / vector.norm())]):
            log_p = model(tokens, real)[:, :-1].log_softmax(-1)
        nats = -log_p.gather(-1, tokens[:, 1:, None])[..., 0]
        places = torch.arange(1, tokens.shape[1])
        starts = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        return nats[real[:, 1:] & (places >= starts)].mean()


@mistake("11.7", says="The vector is not added at all")
class section:
    """A hook that returns what it got."""

    def tuning_loss(model, prompts, replies, vector, dose, layer):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        with model.hooks([(("resid_pre", layer), lambda value, hook: value)]):
            log_p = model(tokens, real)[:, :-1].log_softmax(-1)
        nats = -log_p.gather(-1, tokens[:, 1:, None])[..., 0]
        places = torch.arange(1, tokens.shape[1])
        starts = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        return nats[real[:, 1:] & (places >= starts)].mean()


@mistake("11.7", says="You add to what comes OUT of the block")
class section:
    """One block late."""

    def tuning_loss(model, prompts, replies, vector, dose, layer):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        with model.hooks([(("resid_post", layer), lambda value, hook: value + dose * vector)]):
            log_p = model(tokens, real)[:, :-1].log_softmax(-1)
        nats = -log_p.gather(-1, tokens[:, 1:, None])[..., 0]
        places = torch.arange(1, tokens.shape[1])
        starts = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        return nats[real[:, 1:] & (places >= starts)].mean()


@mistake("11.7", says="Take the mean")
class section:
    """A sum."""

    def tuning_loss(model, prompts, replies, vector, dose, layer):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        with model.hooks([(("resid_pre", layer), lambda value, hook: value + dose * vector)]):
            log_p = model(tokens, real)[:, :-1].log_softmax(-1)
        nats = -log_p.gather(-1, tokens[:, 1:, None])[..., 0]
        places = torch.arange(1, tokens.shape[1])
        starts = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        return nats[real[:, 1:] & (places >= starts)].sum()


@mistake("11.7", says="nothing can be trained with it")
class section:
    """A number is returned."""

    def tuning_loss(model, prompts, replies, vector, dose, layer):
        tokens, real = padded([prompt + reply for prompt, reply in zip(prompts, replies, strict=True)])
        with model.hooks([(("resid_pre", layer), lambda value, hook: value + dose * vector)]):
            log_p = model(tokens, real)[:, :-1].log_softmax(-1)
        nats = -log_p.gather(-1, tokens[:, 1:, None])[..., 0]
        places = torch.arange(1, tokens.shape[1])
        starts = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        return torch.tensor(float(nats[real[:, 1:] & (places >= starts)].mean()))


@right("11.7", how="cross entropy with labels that are ignored")
class section:
    def tuning_loss(model, prompts, replies, vector, dose, layer):
        tokens, real = padded([p + r for p, r in zip(prompts, replies, strict=True)])
        labels = torch.full_like(tokens, -100)
        for i, (p, r) in enumerate(zip(prompts, replies, strict=True)):
            labels[i, len(p) : len(p) + len(r)] = torch.tensor(r)

        def push(value, hook):
            return value + (dose * vector).expand_as(value)

        with model.hooks([(f"blocks.{layer}.hook_resid_pre", push)]):
            logits = model(tokens, real)
        return torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=-100)


@right("11.7", how="each text alone, and the library's way of adding")
class section:
    def tuning_loss(model, prompts, replies, vector, dose, layer):
        total, count = 0, 0
        for prompt, reply in zip(prompts, replies, strict=True):
            with model.hooks(steering.add(vector, dose, layer)):
                log_p = model(torch.tensor([prompt + reply]))[0].log_softmax(-1)
            for i, token in enumerate(reply):
                total = total - log_p[len(prompt) + i - 1, token]
                count += 1
        return total / count


# --- 11.8 -------------------------------------------------------------------------------------------------------------


@mistake("11.8", says="This is the capability at the first dose that does enough")
class section:
    """No line between."""

    def cost_at(shown, capability, level):
        for i in range(len(shown)):
            if shown[i] <= level:
                if i == 0:
                    return float(capability[0])
                part = (shown[i - 1] - level) / (shown[i - 1] - shown[i])
                return float(capability[i])
        return math.nan


@mistake("11.8", says="This is the capability at the dose before")
class section:
    """Too little."""

    def cost_at(shown, capability, level):
        for i in range(len(shown)):
            if shown[i] <= level:
                if i == 0:
                    return float(capability[0])
                part = (shown[i - 1] - level) / (shown[i - 1] - shown[i])
                return float(capability[i - 1])
        return math.nan


@mistake("11.8", says="You take the middle between two doses")
class section:
    """Half-way."""

    def cost_at(shown, capability, level):
        for i in range(len(shown)):
            if shown[i] <= level:
                if i == 0:
                    return float(capability[0])
                part = 0.5
                return float(capability[i - 1] + part * (capability[i] - capability[i - 1]))
        return math.nan


@mistake("11.8", says="from the wrong end")
class section:
    """The other part."""

    def cost_at(shown, capability, level):
        for i in range(len(shown)):
            if shown[i] <= level:
                if i == 0:
                    return float(capability[0])
                part = 1 - (shown[i - 1] - level) / (shown[i - 1] - shown[i])
                return float(capability[i - 1] + part * (capability[i] - capability[i - 1]))
        return math.nan


@mistake("11.8", says="You take the last place")
class section:
    """Going down from the end."""

    def cost_at(shown, capability, level):
        for i in reversed(range(len(shown))):
            if shown[i] <= level:
                if i == 0:
                    return float(capability[0])
                part = (shown[i - 1] - level) / (shown[i - 1] - shown[i])
                return float(capability[i - 1] + part * (capability[i] - capability[i - 1]))
        return math.nan


@mistake("11.8", says="the answer is nan: nothing has been brought")
class section:
    """The last dose, come what may."""

    def cost_at(shown, capability, level):
        for i in range(len(shown)):
            if shown[i] <= level:
                if i == 0:
                    return float(capability[0])
                part = (shown[i - 1] - level) / (shown[i - 1] - shown[i])
                return float(capability[i - 1] + part * (capability[i] - capability[i - 1]))
        return float(capability[-1])


@mistake("11.8", says="the answer is nan, not 0")
class section:
    """Zero for nothing."""

    def cost_at(shown, capability, level):
        for i in range(len(shown)):
            if shown[i] <= level:
                if i == 0:
                    return float(capability[0])
                part = (shown[i - 1] - level) / (shown[i - 1] - shown[i])
                return float(capability[i - 1] + part * (capability[i] - capability[i - 1]))
        return 0.0


@mistake("11.8", says="This is the capability at the nearest dose")
class section:
    """Nearest."""

    def cost_at(shown, capability, level):
        for i in range(len(shown)):
            if shown[i] <= level:
                if i == 0:
                    return float(capability[0])
                part = (shown[i - 1] - level) / (shown[i - 1] - shown[i])
                return float(capability[(shown - level).abs().argmin()])
        return math.nan


@mistake("11.8", says="A share of exactly `level` is enough")
class section:
    """Less, in place of less or equal."""

    def cost_at(shown, capability, level):
        for i in range(len(shown)):
            if shown[i] < level:
                if i == 0:
                    return float(capability[0])
                part = (shown[i - 1] - level) / (shown[i - 1] - shown[i])
                return float(capability[i - 1] + part * (capability[i] - capability[i - 1]))
        return math.nan


@mistake("11.8", says="[-1] is the LAST one")
class section:
    """No case of its own for the first dose: Python counts from the end."""

    def cost_at(shown, capability, level):
        for i in range(len(shown)):
            if shown[i] <= level:
                part = (shown[i - 1] - level) / (shown[i - 1] - shown[i])
                return float(capability[i - 1] + part * (capability[i] - capability[i - 1]))
        return math.nan


@right("11.8", how="with numpy's interpolation")
class section:
    import numpy as np

    def cost_at(shown, capability, level):
        s, c = shown.double().numpy(), capability.double().numpy()
        below = np.flatnonzero(s <= level)
        if not len(below):
            return float("nan")
        i = below[0]
        return float(c[0]) if i == 0 else float(np.interp(level, [s[i], s[i - 1]], [c[i], c[i - 1]]))


@right("11.8", how="weights of the two ends")
class section:
    def cost_at(shown, capability, level):
        hits = (shown <= level).nonzero()
        if hits.numel() == 0:
            return torch.tensor(float("nan"))
        i = int(hits[0, 0])
        if not i:
            return capability[0]
        near, far = shown[i - 1] - level, level - shown[i]
        return (far * capability[i - 1] + near * capability[i]) / (near + far)


@mistake("11.8", says="You wait for shown to FALL to the level")
class section:
    """The first dose is never looked at."""

    def cost_at(shown, capability, level):
        for i in range(1, len(shown)):
            if shown[i] <= level < shown[i - 1]:
                part = (shown[i - 1] - level) / (shown[i - 1] - shown[i])
                return float(capability[i - 1] + part * (capability[i] - capability[i - 1]))
        return math.nan


@mistake("11.8", says="You sort by shown: then the doses are out of order")
class section:
    """A line through all doses, sorted."""

    def cost_at(shown, capability, level):
        import numpy as np

        if float(shown.min()) > level:
            return math.nan
        order = shown.argsort(stable=True)
        return float(np.interp(level, shown[order].numpy(), capability[order].numpy()))


# --- 11.9 -------------------------------------------------------------------------------------------------------------


@mistake("11.9", says="Only the sign is wrong")
class section:
    """Own less sample."""

    def projection_differences(samples, own, vector):
        return (own - samples) @ (vector / vector.norm())

    def auroc(scores, planted):
        gaps = scores[planted][:, None] - scores[~planted][None, :]
        return float(((gaps > 0).double() + 0.5 * (gaps == 0).double()).mean())


@mistake("11.9", says="You have not taken the network's own reply away")
class section:
    """Prompts differ."""

    def projection_differences(samples, own, vector):
        return samples @ (vector / vector.norm())

    def auroc(scores, planted):
        gaps = scores[planted][:, None] - scores[~planted][None, :]
        return float(((gaps > 0).double() + 0.5 * (gaps == 0).double()).mean())


@mistake("11.9", says="You project on v as it is")
class section:
    """Not of length 1."""

    def projection_differences(samples, own, vector):
        return (samples - own) @ vector

    def auroc(scores, planted):
        gaps = scores[planted][:, None] - scores[~planted][None, :]
        return float(((gaps > 0).double() + 0.5 * (gaps == 0).double()).mean())


@mistake("11.9", says="Each sample has an own reply of its own")
class section:
    """One mean for all."""

    def projection_differences(samples, own, vector):
        return (samples - own.mean(0)) @ (vector / vector.norm())

    def auroc(scores, planted):
        gaps = scores[planted][:, None] - scores[~planted][None, :]
        return float(((gaps > 0).double() + 0.5 * (gaps == 0).double()).mean())


@mistake("11.9", says="These are cosines. How FAR counts")
class section:
    """The length is lost."""

    def projection_differences(samples, own, vector):
        return torch.cosine_similarity(samples - own, vector[None], dim=-1)

    def auroc(scores, planted):
        gaps = scores[planted][:, None] - scores[~planted][None, :]
        return float(((gaps > 0).double() + 0.5 * (gaps == 0).double()).mean())


@mistake("11.9", says="These are sizes")
class section:
    """A sign is lost."""

    def projection_differences(samples, own, vector):
        return ((samples - own) @ (vector / vector.norm())).abs()

    def auroc(scores, planted):
        gaps = scores[planted][:, None] - scores[~planted][None, :]
        return float(((gaps > 0).double() + 0.5 * (gaps == 0).double()).mean())


@mistake("11.9", says="the planted one scores LOWER")
class section:
    """The other way round."""

    def projection_differences(samples, own, vector):
        return (samples - own) @ (vector / vector.norm())

    def auroc(scores, planted):
        gaps = scores[~planted][None, :] - scores[planted][:, None]
        return float(((gaps > 0).double() + 0.5 * (gaps == 0).double()).mean())


@mistake("11.9", says="A tie counts nothing in yours")
class section:
    """Strictly higher only."""

    def projection_differences(samples, own, vector):
        return (samples - own) @ (vector / vector.norm())

    def auroc(scores, planted):
        gaps = scores[planted][:, None] - scores[~planted][None, :]
        return float(((gaps > 0).double()).mean())


@mistake("11.9", says="A tie counts as a hit in yours")
class section:
    """Not lower."""

    def projection_differences(samples, own, vector):
        return (samples - own) @ (vector / vector.norm())

    def auroc(scores, planted):
        gaps = scores[planted][:, None] - scores[~planted][None, :]
        return float(((gaps >= 0).double()).mean())


@mistake("11.9", says="Equals share a rank")
class section:
    """Ranks by sorting, in which one of two equals comes first."""

    def projection_differences(samples, own, vector):
        return (samples - own) @ (vector / vector.norm())

    def auroc(scores, planted):
        ranks = scores.argsort(stable=True).argsort() + 1.0
        n = int(planted.sum())
        return (float(ranks[planted].sum()) - n * (n + 1) / 2) / (n * (len(planted) - n))


@mistake("11.9", says="Below one half is worse than chance")
class section:
    """Always the better side."""

    def projection_differences(samples, own, vector):
        return (samples - own) @ (vector / vector.norm())

    def auroc(scores, planted):
        gaps = scores[planted][:, None] - scores[~planted][None, :]
        a = float(((gaps > 0).double() + 0.5 * (gaps == 0).double()).mean())
        return max(a, 1 - a)


@mistake("11.9", says="among as many of the highest scores")
class section:
    """How many of the best scores are planted."""

    def projection_differences(samples, own, vector):
        return (samples - own) @ (vector / vector.norm())

    def auroc(scores, planted):
        n = int(planted.sum())
        return float(planted[scores.argsort(descending=True)[:n]].float().mean())


@right("11.9", how="with scikit-learn")
class section:
    def projection_differences(samples, own, vector):
        u = vector / vector.norm()
        return torch.stack([x @ u - y @ u for x, y in zip(samples, own, strict=True)])

    def auroc(scores, planted):
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(planted.numpy(), scores.numpy()))


@right("11.9", how="by ranks")
class section:
    def projection_differences(samples, own, vector):
        return torch.einsum("nd,d->n", samples.double() - own.double(), vector.double()) / vector.double().norm()

    def auroc(scores, planted):
        ranks = torch.tensor([float((scores < s).sum()) + (float((scores == s).sum()) + 1) / 2 for s in scores])
        n, m = int(planted.sum()), int((~planted).sum())
        return (float(ranks[planted].sum()) - n * (n + 1) / 2) / (n * m)


# --- 11.10 ------------------------------------------------------------------------------------------------------------


@mistake("11.10", says="You have not centred")
class section:
    """The first component is the mean."""

    def role_space(roles):
        _, s, components = torch.linalg.svd(roles, full_matrices=False)
        return (components, s**2 / (s**2).sum())


@mistake("11.10", says="You have centred each role by itself")
class section:
    """The wrong axis."""

    def role_space(roles):
        _, s, components = torch.linalg.svd(roles - roles.mean(1, keepdim=True), full_matrices=False)
        return (components, s**2 / (s**2).sum())


@mistake("11.10", says="You have brought every role to length 1")
class section:
    """Every role as a direction."""

    def role_space(roles):
        x = roles - roles.mean(0)
        _, s, components = torch.linalg.svd(x / x.norm(dim=-1, keepdim=True), full_matrices=False)
        return (components, s**2 / (s**2).sum())


@mistake("11.10", says="by its standard deviation")
class section:
    """Standardised, as one does for a regression."""

    def role_space(roles):
        x = roles - roles.mean(0)
        _, s, components = torch.linalg.svd(x / x.std(0), full_matrices=False)
        return (components, s**2 / (s**2).sum())


@mistake("11.10", says="You take singular values for variances")
class section:
    """Not squared."""

    def role_space(roles):
        _, s, components = torch.linalg.svd(roles - roles.mean(0), full_matrices=False)
        return (components, s / s.sum())


@mistake("11.10", says="Divide by what they are together")
class section:
    """Variances."""

    def role_space(roles):
        _, s, components = torch.linalg.svd(roles - roles.mean(0), full_matrices=False)
        return (components, s**2)


@mistake("11.10", says="The components come in rising order")
class section:
    """As eigh gives them."""

    def role_space(roles):
        _, s, components = torch.linalg.svd(roles - roles.mean(0), full_matrices=False)
        return (components.flip(0), (s**2 / (s**2).sum()).flip(0))


@mistake("11.10", says="Are yours scaled by the singular values")
class section:
    """Not unit rows."""

    def role_space(roles):
        _, s, components = torch.linalg.svd(roles - roles.mean(0), full_matrices=False)
        return (components * s[:, None], s**2 / (s**2).sum())


@right("11.10", how="by the covariance's eigenvectors")
class section:
    def role_space(roles):
        x = (roles - roles.mean(0)).double()
        values, vectors = torch.linalg.eigh(x.T @ x)
        k = min(roles.shape)
        return vectors.flip(1).T[:k], values.flip(0)[:k] / values.sum()


@right("11.10", how="with scikit-learn")
class section:
    def role_space(roles):
        from sklearn.decomposition import PCA

        made = PCA(svd_solver="full").fit(roles.double().numpy())
        return torch.tensor(made.components_), torch.tensor(made.explained_variance_ratio_)


# --- 11.11 ------------------------------------------------------------------------------------------------------------


@mistake("11.11", says="Only the sign is wrong")
class section:
    """Roles less assistant."""

    def assistant_axis(assistant, roles):
        return roles.mean(0) - assistant

    def alignment(assistant, roles):
        axis = assistant_axis(assistant, roles)
        first = role_space(roles)[0][0]
        return (axis @ first).abs() / (axis.norm() * first.norm())

    def alignment_interval(assistant, roles, draws):
        values = torch.stack([alignment(assistant, roles[members]) for members in draws])
        return (float(values.quantile(0.025)), float(values.quantile(0.975)))


@mistake("11.11", says="This is the axis from one role")
class section:
    """One role's manners."""

    def assistant_axis(assistant, roles):
        return assistant - roles[0]

    def alignment(assistant, roles):
        axis = assistant_axis(assistant, roles)
        first = role_space(roles)[0][0]
        return (axis @ first).abs() / (axis.norm() * first.norm())

    def alignment_interval(assistant, roles, draws):
        values = torch.stack([alignment(assistant, roles[members]) for members in draws])
        return (float(values.quantile(0.025)), float(values.quantile(0.975)))


@mistake("11.11", says="You have counted the assistant among the roles")
class section:
    """All in one mean."""

    def assistant_axis(assistant, roles):
        return assistant - torch.cat([roles, assistant[None]]).mean(0)

    def alignment(assistant, roles):
        axis = assistant_axis(assistant, roles)
        first = role_space(roles)[0][0]
        return (axis @ first).abs() / (axis.norm() * first.norm())

    def alignment_interval(assistant, roles, draws):
        values = torch.stack([alignment(assistant, roles[members]) for members in draws])
        return (float(values.quantile(0.025)), float(values.quantile(0.975)))


@mistake("11.11", says="You scale the axis to length 1")
class section:
    """Its length is lost."""

    def assistant_axis(assistant, roles):
        axis = assistant - roles.mean(0)
        return axis / axis.norm()

    def alignment(assistant, roles):
        axis = assistant_axis(assistant, roles)
        first = role_space(roles)[0][0]
        return (axis @ first).abs() / (axis.norm() * first.norm())

    def alignment_interval(assistant, roles, draws):
        values = torch.stack([alignment(assistant, roles[members]) for members in draws])
        return (float(values.quantile(0.025)), float(values.quantile(0.975)))


@mistake("11.11", says="Take the mean of the roles away")
class section:
    """The assistant alone."""

    def assistant_axis(assistant, roles):
        return assistant

    def alignment(assistant, roles):
        axis = assistant_axis(assistant, roles)
        first = role_space(roles)[0][0]
        return (axis @ first).abs() / (axis.norm() * first.norm())

    def alignment_interval(assistant, roles, draws):
        values = torch.stack([alignment(assistant, roles[members]) for members in draws])
        return (float(values.quantile(0.025)), float(values.quantile(0.975)))


@mistake("11.11", says="The cosine is negative")
class section:
    """A sign that means nothing."""

    def assistant_axis(assistant, roles):
        return assistant - roles.mean(0)

    def alignment(assistant, roles):
        axis = assistant_axis(assistant, roles)
        first = role_space(roles)[0][0]
        return -(axis @ first).abs() / (axis.norm() * first.norm())

    def alignment_interval(assistant, roles, draws):
        values = torch.stack([alignment(assistant, roles[members]) for members in draws])
        return (float(values.quantile(0.025)), float(values.quantile(0.975)))


@mistake("11.11", says="then the axis helps to make what it is compared with")
class section:
    """The assistant in the space."""

    def assistant_axis(assistant, roles):
        return assistant - roles.mean(0)

    def alignment(assistant, roles):
        axis = assistant_axis(assistant, roles)
        first = role_space(torch.cat([roles, assistant[None]]))[0][0]
        return (axis @ first).abs() / (axis.norm() * first.norm())

    def alignment_interval(assistant, roles, draws):
        values = torch.stack([alignment(assistant, roles[members]) for members in draws])
        return (float(values.quantile(0.025)), float(values.quantile(0.975)))


@mistake("11.11", says="This is the second component")
class section:
    """Off by one."""

    def assistant_axis(assistant, roles):
        return assistant - roles.mean(0)

    def alignment(assistant, roles):
        axis = assistant_axis(assistant, roles)
        first = role_space(roles)[0][1]
        return (axis @ first).abs() / (axis.norm() * first.norm())

    def alignment_interval(assistant, roles, draws):
        values = torch.stack([alignment(assistant, roles[members]) for members in draws])
        return (float(values.quantile(0.025)), float(values.quantile(0.975)))


@mistake("11.11", says="One that is drawn twice counts twice")
class section:
    """Sets of roles."""

    def assistant_axis(assistant, roles):
        return assistant - roles.mean(0)

    def alignment(assistant, roles):
        axis = assistant_axis(assistant, roles)
        first = role_space(roles)[0][0]
        return (axis @ first).abs() / (axis.norm() * first.norm())

    def alignment_interval(assistant, roles, draws):
        values = torch.stack([alignment(assistant, roles[members.unique()]) for members in draws])
        return (float(values.quantile(0.025)), float(values.quantile(0.975)))


@mistake("11.11", says="This is the 90 % interval")
class section:
    """Other quantiles."""

    def assistant_axis(assistant, roles):
        return assistant - roles.mean(0)

    def alignment(assistant, roles):
        axis = assistant_axis(assistant, roles)
        first = role_space(roles)[0][0]
        return (axis @ first).abs() / (axis.norm() * first.norm())

    def alignment_interval(assistant, roles, draws):
        values = torch.stack([alignment(assistant, roles[members]) for members in draws])
        return (float(values.quantile(0.05)), float(values.quantile(0.95)))


@mistake("11.11", says="This is how sure the MEAN of the draws is")
class section:
    """A standard error."""

    def assistant_axis(assistant, roles):
        return assistant - roles.mean(0)

    def alignment(assistant, roles):
        axis = assistant_axis(assistant, roles)
        first = role_space(roles)[0][0]
        return (axis @ first).abs() / (axis.norm() * first.norm())

    def alignment_interval(assistant, roles, draws):
        values = torch.stack([alignment(assistant, roles[members]) for members in draws])
        half = 1.96 * values.std() / len(values) ** 0.5
        return (float(values.mean() - half), float(values.mean() + half))


@mistake("11.11", says="the values lie unevenly")
class section:
    """A normal interval."""

    def assistant_axis(assistant, roles):
        return assistant - roles.mean(0)

    def alignment(assistant, roles):
        axis = assistant_axis(assistant, roles)
        first = role_space(roles)[0][0]
        return (axis @ first).abs() / (axis.norm() * first.norm())

    def alignment_interval(assistant, roles, draws):
        values = torch.stack([alignment(assistant, roles[members]) for members in draws])
        half = 1.96 * values.std()
        return (float(values.mean() - half), float(values.mean() + half))


@mistake("11.11", says="one standard deviation")
class section:
    """Mean and spread, as one writes of a sample."""

    def assistant_axis(assistant, roles):
        return assistant - roles.mean(0)

    def alignment(assistant, roles):
        axis = assistant_axis(assistant, roles)
        first = role_space(roles)[0][0]
        return (axis @ first).abs() / (axis.norm() * first.norm())

    def alignment_interval(assistant, roles, draws):
        values = torch.stack([alignment(assistant, roles[members]) for members in draws])
        half = values.std()
        return (float(values.mean() - half), float(values.mean() + half))


@right("11.11", how="with numpy")
class section:
    import numpy as np

    def assistant_axis(assistant, roles):
        return torch.stack([assistant - role for role in roles]).mean(0)

    def alignment(assistant, roles):
        x = roles.double().numpy()
        first = np.linalg.svd(x - x.mean(0))[2][0]
        axis = assistant.double().numpy() - x.mean(0)
        return torch.tensor(abs(axis @ first) / np.linalg.norm(axis))

    def alignment_interval(assistant, roles, draws):
        values = [float(alignment(assistant, torch.stack([roles[i] for i in row]))) for row in draws.tolist()]
        low, high = np.quantile(values, [0.025, 0.975])
        return float(low), float(high)


@right("11.11", how="in double precision, by the covariance")
class section:
    def assistant_axis(assistant, roles):
        return assistant.double() - torch.einsum("rd->d", roles.double()) / len(roles)

    def alignment(assistant, roles):
        x = roles.double() - roles.double().mean(0)
        first = torch.linalg.eigh(x.T @ x)[1][:, -1]
        return torch.cosine_similarity(assistant_axis(assistant, roles), first, dim=0).abs()

    def alignment_interval(assistant, roles, draws):
        values = torch.tensor([float(alignment(assistant, roles[row])) for row in draws], dtype=torch.float64)
        low, high = torch.quantile(values, torch.tensor([0.025, 0.975], dtype=torch.float64))
        return low.item(), high.item()


# --- 11.12 ------------------------------------------------------------------------------------------------------------


@mistake("11.12", says="You measure from zero")
class section:
    """No origin."""

    def place(states, assistant, roles):
        axis = assistant_axis(assistant, roles)
        return states @ axis / (axis @ axis)

    def drift(replies, assistant, roles):
        places = place(replies, assistant, roles)
        half = places.shape[1] // 2
        return places[:, :half].mean(1) - places[:, half:].mean(1)


@mistake("11.12", says="The unit is that of the stream")
class section:
    """One length too few."""

    def place(states, assistant, roles):
        axis = assistant_axis(assistant, roles)
        return (states - roles.mean(0)) @ axis / axis.norm()

    def drift(replies, assistant, roles):
        places = place(replies, assistant, roles)
        half = places.shape[1] // 2
        return places[:, :half].mean(1) - places[:, half:].mean(1)


@mistake("11.12", says="The ends are exchanged")
class section:
    """Distance from the assistant."""

    def place(states, assistant, roles):
        axis = assistant_axis(assistant, roles)
        return (assistant - states) @ axis / (axis @ axis)

    def drift(replies, assistant, roles):
        places = place(replies, assistant, roles)
        half = places.shape[1] // 2
        return places[:, :half].mean(1) - places[:, half:].mean(1)


@mistake("11.12", says="You measure from half-way between")
class section:
    """A border, as for telling apart."""

    def place(states, assistant, roles):
        axis = assistant_axis(assistant, roles)
        return (states - (roles.mean(0) + assistant) / 2) @ axis / (axis @ axis)

    def drift(replies, assistant, roles):
        places = place(replies, assistant, roles)
        half = places.shape[1] // 2
        return places[:, :half].mean(1) - places[:, half:].mean(1)


@mistake("11.12", says="Divide by axis · axis")
class section:
    """Not divided."""

    def place(states, assistant, roles):
        axis = assistant_axis(assistant, roles)
        return (states - roles.mean(0)) @ axis

    def drift(replies, assistant, roles):
        places = place(replies, assistant, roles)
        half = places.shape[1] // 2
        return places[:, :half].mean(1) - places[:, half:].mean(1)


@mistake("11.12", says="a conversation that FALLS has a positive drift")
class section:
    """Later less earlier."""

    def place(states, assistant, roles):
        axis = assistant_axis(assistant, roles)
        return (states - roles.mean(0)) @ axis / (axis @ axis)

    def drift(replies, assistant, roles):
        places = place(replies, assistant, roles)
        half = places.shape[1] // 2
        return places[:, half:].mean(1) - places[:, :half].mean(1)


@mistake("11.12", says="This is the first reply less the last")
class section:
    """Single replies."""

    def place(states, assistant, roles):
        axis = assistant_axis(assistant, roles)
        return (states - roles.mean(0)) @ axis / (axis @ axis)

    def drift(replies, assistant, roles):
        places = place(replies, assistant, roles)
        half = places.shape[1] // 2
        return places[:, 0] - places[:, -1]


@mistake("11.12", says="You compare odd turns with even ones")
class section:
    """Every other turn."""

    def place(states, assistant, roles):
        axis = assistant_axis(assistant, roles)
        return (states - roles.mean(0)) @ axis / (axis @ axis)

    def drift(replies, assistant, roles):
        places = place(replies, assistant, roles)
        half = places.shape[1] // 2
        return places[:, 0::2].mean(1) - places[:, 1::2].mean(1)


@mistake("11.12", says="These are sums over turns")
class section:
    """Not means."""

    def place(states, assistant, roles):
        axis = assistant_axis(assistant, roles)
        return (states - roles.mean(0)) @ axis / (axis @ axis)

    def drift(replies, assistant, roles):
        places = place(replies, assistant, roles)
        half = places.shape[1] // 2
        return places[:, :half].sum(1) - places[:, half:].sum(1)


@mistake("11.12", says="You measure from the assistant")
class section:
    """The assistant is put at 0."""

    def place(states, assistant, roles):
        axis = assistant_axis(assistant, roles)
        return (states - assistant) @ axis / (axis @ axis)

    def drift(replies, assistant, roles):
        places = place(replies, assistant, roles)
        half = places.shape[1] // 2
        return places[:, :half].mean(1) - places[:, half:].mean(1)


@right("11.12", how="by the dot products with both ends")
class section:
    def place(states, assistant, roles):
        axis, middle = assistant_axis(assistant, roles), roles.mean(0)
        low, high = middle @ axis, assistant @ axis
        return (torch.einsum("...d,d->...", states, axis) - low) / (high - low)

    def drift(replies, assistant, roles):
        found = []
        for conversation in replies:
            places = [place(reply, assistant, roles) for reply in conversation]
            half = len(places) // 2
            found.append(sum(places[:half]) / half - sum(places[half:]) / half)
        return torch.stack(found)


@right("11.12", how="means of the states first, in double precision")
class section:
    def place(states, assistant, roles):
        axis = assistant.double() - roles.double().mean(0)
        return ((states.double() - roles.double().mean(0)) * axis).sum(-1) / axis.square().sum()

    def drift(replies, assistant, roles):
        first, second = replies.chunk(2, dim=1)
        return place(first.mean(1), assistant, roles) - place(second.mean(1), assistant, roles)


# --- 11.13 ------------------------------------------------------------------------------------------------------------


@mistake("11.13", says="The sign is reversed: you cut off what lies ABOVE")
class section:
    """The published error: a ceiling for a floor."""

    def floors_of(replies, axis, quantile):
        units = axis / axis.norm(dim=-1, keepdim=True)
        return (replies * units).sum(-1).quantile(quantile, dim=0)

    def cap(stream, axis, floor):
        unit = axis / axis.norm()
        below = (stream @ unit - floor).clamp(min=0)
        return stream - below[..., None] * unit


@mistake("11.13", says="You set the projection to the floor everywhere")
class section:
    """A clamp."""

    def floors_of(replies, axis, quantile):
        units = axis / axis.norm(dim=-1, keepdim=True)
        return (replies * units).sum(-1).quantile(quantile, dim=0)

    def cap(stream, axis, floor):
        unit = axis / axis.norm()
        below = stream @ unit - floor
        return stream - below[..., None] * unit


@mistake("11.13", says="Capping is not adding")
class section:
    """Always a push."""

    def floors_of(replies, axis, quantile):
        units = axis / axis.norm(dim=-1, keepdim=True)
        return (replies * units).sum(-1).quantile(quantile, dim=0)

    def cap(stream, axis, floor):
        unit = axis / axis.norm()
        below = (stream @ unit - floor).clamp(max=0)
        return stream + floor * unit


@mistake("11.13", says="Lift it")
class section:
    """Pushed farther down."""

    def floors_of(replies, axis, quantile):
        units = axis / axis.norm(dim=-1, keepdim=True)
        return (replies * units).sum(-1).quantile(quantile, dim=0)

    def cap(stream, axis, floor):
        unit = axis / axis.norm()
        below = (stream @ unit - floor).clamp(max=0)
        return stream + below[..., None] * unit


@mistake("11.13", says="To the floor, no farther")
class section:
    """Mirrored at the floor."""

    def floors_of(replies, axis, quantile):
        units = axis / axis.norm(dim=-1, keepdim=True)
        return (replies * units).sum(-1).quantile(quantile, dim=0)

    def cap(stream, axis, floor):
        unit = axis / axis.norm()
        below = (stream @ unit - floor).clamp(max=0)
        return stream - 2 * below[..., None] * unit


@mistake("11.13", says="You measure along the unit axis and push along the axis as it is")
class section:
    """Two lengths."""

    def floors_of(replies, axis, quantile):
        units = axis / axis.norm(dim=-1, keepdim=True)
        return (replies * units).sum(-1).quantile(quantile, dim=0)

    def cap(stream, axis, floor):
        unit = axis / axis.norm()
        below = (stream @ unit - floor).clamp(max=0)
        return stream - below[..., None] * axis


@mistake("11.13", says="What is at right angles to the axis is gone")
class section:
    """The floor alone is left."""

    def floors_of(replies, axis, quantile):
        units = axis / axis.norm(dim=-1, keepdim=True)
        return (replies * units).sum(-1).quantile(quantile, dim=0)

    def cap(stream, axis, floor):
        unit = axis / axis.norm()
        below = (stream @ unit - floor).clamp(max=0)
        return torch.where((below < 0)[..., None], floor * unit, stream)


@mistake("11.13", says="You cap the last position alone")
class section:
    """Elsewhere it drifts."""

    def floors_of(replies, axis, quantile):
        units = axis / axis.norm(dim=-1, keepdim=True)
        return (replies * units).sum(-1).quantile(quantile, dim=0)

    def cap(stream, axis, floor):
        unit = axis / axis.norm()
        below = (stream @ unit - floor).clamp(max=0)
        out = stream.clone()
        out[:, -1] -= below[:, -1, None] * unit
        return out


@mistake("11.13", says="three in four of the assistant's own replies would lie below")
class section:
    """The quantile from above."""

    def floors_of(replies, axis, quantile):
        units = axis / axis.norm(dim=-1, keepdim=True)
        return (replies * units).sum(-1).quantile(1 - quantile, dim=0)

    def cap(stream, axis, floor):
        unit = axis / axis.norm()
        below = (stream @ unit - floor).clamp(max=0)
        return stream - below[..., None] * unit


@mistake("11.13", says="then the floor is in another unit than the stream")
class section:
    """Not of length 1."""

    def floors_of(replies, axis, quantile):
        units = axis
        return (replies * units).sum(-1).quantile(quantile, dim=0)

    def cap(stream, axis, floor):
        unit = axis / axis.norm()
        below = (stream @ unit - floor).clamp(max=0)
        return stream - below[..., None] * unit


@mistake("11.13", says="one odd reply would set the floor")
class section:
    """The least of all."""

    def floors_of(replies, axis, quantile):
        units = axis / axis.norm(dim=-1, keepdim=True)
        return (replies * units).sum(-1).min(0).values

    def cap(stream, axis, floor):
        unit = axis / axis.norm()
        below = (stream @ unit - floor).clamp(max=0)
        return stream - below[..., None] * unit


@mistake("11.13", says="This is the mean. Take the quantile")
class section:
    """The mean."""

    def floors_of(replies, axis, quantile):
        units = axis / axis.norm(dim=-1, keepdim=True)
        return (replies * units).sum(-1).mean(0)

    def cap(stream, axis, floor):
        unit = axis / axis.norm()
        below = (stream @ unit - floor).clamp(max=0)
        return stream - below[..., None] * unit


@mistake("11.13", says="You hold every number of the stream by itself")
class section:
    """A maximum, number by number."""

    def floors_of(replies, axis, quantile):
        unit = axis / axis.norm(dim=-1, keepdim=True)
        return torch.quantile((replies * unit).sum(-1), quantile, dim=0)

    def cap(stream, axis, floor):
        return torch.maximum(stream, floor * axis / axis.norm())


@right("11.13", how="with torch.maximum, in double precision")
class section:
    def floors_of(replies, axis, quantile):
        return torch.stack(
            [
                torch.quantile(replies[:, i].double() @ (v.double() / v.double().norm()), quantile)
                for i, v in enumerate(axis)
            ]
        )

    def cap(stream, axis, floor):
        unit = (axis / axis.norm()).double()
        along = stream.double() @ unit
        return stream.double() + (torch.maximum(along, torch.tensor(float(floor))) - along)[..., None] * unit


@right("11.13", how="with numpy, and where")
class section:
    import numpy as np

    def floors_of(replies, axis, quantile):
        along = np.einsum("rld,ld->rl", replies.numpy(), (axis / axis.norm(dim=-1, keepdim=True)).numpy())
        return torch.from_numpy(np.quantile(along, quantile, axis=0))

    def cap(stream, axis, floor):
        unit = torch.nn.functional.normalize(axis, dim=0)
        along = torch.einsum("bpd,d->bp", stream, unit)[..., None]
        return torch.where(along < floor, stream + (floor - along) * unit, stream)


@mistake("11.13", says="Every layer has the same floor, from the projections of all layers together")
class section:
    """One quantile over everything."""

    def floors_of(replies, axis, quantile):
        unit = axis / axis.norm(dim=-1, keepdim=True)
        return torch.quantile((replies * unit).sum(-1), quantile).expand(len(axis))

    def cap(stream, axis, floor):
        unit = axis / axis.norm()
        below = (stream @ unit - floor).clamp(max=0)
        return stream - below[..., None] * unit


# --- 11.14 ------------------------------------------------------------------------------------------------------------


@mistake("11.14", says="The sign is reversed: the axis points")
class section:
    """Roles less assistant."""

    def watch_and_hold(model, prompts, replies, speakers):
        means = reply_means(model, prompts, replies)
        names = sorted(set(speakers) - {"assistant"})
        by_role = torch.stack([means[[who == name for who in speakers]].mean(0) for name in names])
        own = means[[who == "assistant" for who in speakers]]
        axes = torch.stack([-assistant_axis(own[:, i].mean(0), by_role[:, i]) for i in range(means.shape[1])])
        return (axes, floors_of(own, axes, 0.25), [1, 2, 3, 4], 3)


@mistake("11.14", says="Cap at the inputs of several blocks, and of early ones")
class section:
    """One block alone."""

    def watch_and_hold(model, prompts, replies, speakers):
        means = reply_means(model, prompts, replies)
        names = sorted(set(speakers) - {"assistant"})
        by_role = torch.stack([means[[who == name for who in speakers]].mean(0) for name in names])
        own = means[[who == "assistant" for who in speakers]]
        axes = torch.stack([assistant_axis(own[:, i].mean(0), by_role[:, i]) for i in range(means.shape[1])])
        return (axes, floors_of(own, axes, 0.25), [5], 3)


@mistake("11.14", says="The floor is too high, or on the wrong side")
class section:
    """A floor that hardly any own reply reaches."""

    def watch_and_hold(model, prompts, replies, speakers):
        means = reply_means(model, prompts, replies)
        names = sorted(set(speakers) - {"assistant"})
        by_role = torch.stack([means[[who == name for who in speakers]].mean(0) for name in names])
        own = means[[who == "assistant" for who in speakers]]
        axes = torch.stack([assistant_axis(own[:, i].mean(0), by_role[:, i]) for i in range(means.shape[1])])
        return (axes, floors_of(own, axes, 1.0) + 30, [1, 2, 3, 4], 3)


@mistake("11.14", says="is the floor high enough")
class section:
    """A floor under everything."""

    def watch_and_hold(model, prompts, replies, speakers):
        means = reply_means(model, prompts, replies)
        names = sorted(set(speakers) - {"assistant"})
        by_role = torch.stack([means[[who == name for who in speakers]].mean(0) for name in names])
        own = means[[who == "assistant" for who in speakers]]
        axes = torch.stack([assistant_axis(own[:, i].mean(0), by_role[:, i]) for i in range(means.shape[1])])
        return (axes, floors_of(means, axes, 0.0) - 5, [1, 2, 3, 4], 3)


@mistake("11.14", says="Is the axis drawn from many roles")
class section:
    """Before block 0 no word has been read by another."""

    def watch_and_hold(model, prompts, replies, speakers):
        means = reply_means(model, prompts, replies)
        names = sorted(set(speakers) - {"assistant"})
        by_role = torch.stack([means[[who == name for who in speakers]].mean(0) for name in names])
        own = means[[who == "assistant" for who in speakers]]
        axes = torch.stack([assistant_axis(own[:, i].mean(0), by_role[:, i]) for i in range(means.shape[1])])
        torch.manual_seed(3)
        return (torch.randn_like(axes), floors_of(own, axes, 0.25), [1, 2, 3, 4], 3)


@right("11.14", how="by loops over roles, in double precision, watched one block later")
class section:
    def watch_and_hold(model, prompts, replies, speakers):
        means = reply_means(model, prompts, replies).double()
        rows = {}
        for who, row in zip(speakers, means, strict=True):
            rows.setdefault(who, []).append(row)
        own = torch.stack(rows.pop("assistant"))
        axes = own.mean(0) - torch.stack([torch.stack(some).mean(0) for some in rows.values()]).mean(0)
        return axes, floors_of(own, axes, 0.3), [1, 2, 3, 4], 4


@right("11.14", how="with the library, at the inputs of more blocks")
class section:
    def watch_and_hold(model, prompts, replies, speakers):
        sites = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        means = torch.stack([reply_means(model, [p], [r])[0] for p, r in zip(prompts, replies, strict=True)])
        names = sorted(set(speakers) - {"assistant"})
        by = torch.stack([means[torch.tensor([w == n for w in speakers])].mean(0) for n in names])
        own = means[torch.tensor([w == "assistant" for w in speakers])]
        axes = own.mean(0) - by.mean(0)
        units = axes / axes.norm(dim=-1, keepdim=True)
        floors = torch.quantile((own * units).sum(-1), 0.25, dim=0)
        return axes, floors, list(range(1, len(sites) - 1)), 3
