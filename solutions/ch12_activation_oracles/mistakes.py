"""Wrong answers that learners and published code give to chapter 12, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 12.1 ------------------------------------------------------------------------------------------------------------


@mistake("12.1", says="what ENTERS the block")
class section:
    """At the output."""

    def patched(model, tokens, place, states, layer):

        def put(value, hook):
            new = value.clone()
            new[:, place] = states
            return new

        batch = torch.tensor([tokens] * len(states))
        return model.run_with_hooks(batch, [(("resid_post", layer), put)])[:, -1]


@mistake("12.1", says="You ADD the state")
class section:
    """As the oracle does, but not here."""

    def patched(model, tokens, place, states, layer):

        def put(value, hook):
            new = value.clone()
            new[:, place] += states
            return new

        batch = torch.tensor([tokens] * len(states))
        return model.run_with_hooks(batch, [(("resid_pre", layer), put)])[:, -1]


@mistake("12.1", says="These are log-probabilities")
class section:
    """One step too many."""

    def patched(model, tokens, place, states, layer):

        def put(value, hook):
            new = value.clone()
            new[:, place] = states
            return new

        batch = torch.tensor([tokens] * len(states))
        return model.run_with_hooks(batch, [(("resid_pre", layer), put)])[:, -1].log_softmax(-1)


@mistake("12.1", says="other tokens are lost")
class section:
    """A fresh tensor of zeros."""

    def patched(model, tokens, place, states, layer):

        def put(value, hook):
            new = value.clone()
            new[:] = 0
            new[:, place] = states
            return new

        batch = torch.tensor([tokens] * len(states))
        return model.run_with_hooks(batch, [(("resid_pre", layer), put)])[:, -1]


@mistake("12.1", says="one token too early")
class section:
    """A count without <|bos|>."""

    def patched(model, tokens, place, states, layer):

        def put(value, hook):
            new = value.clone()
            new[:, place - 1] = states
            return new

        batch = torch.tensor([tokens] * len(states))
        return model.run_with_hooks(batch, [(("resid_pre", layer), put)])[:, -1]


@mistake("12.1", says="last token. It belongs at")
class section:
    """Where the answer comes."""

    def patched(model, tokens, place, states, layer):

        def put(value, hook):
            new = value.clone()
            new[:, -1] = states
            return new

        batch = torch.tensor([tokens] * len(states))
        return model.run_with_hooks(batch, [(("resid_pre", layer), put)])[:, -1]


@mistake("12.1", says="Every row has the same state")
class section:
    """One state for all."""

    def patched(model, tokens, place, states, layer):

        def put(value, hook):
            new = value.clone()
            new[:, place] = states[0]
            return new

        batch = torch.tensor([tokens] * len(states))
        return model.run_with_hooks(batch, [(("resid_pre", layer), put)])[:, -1]


@mistake("12.1", says="at every token")
class section:
    """The whole row."""

    def patched(model, tokens, place, states, layer):

        def put(value, hook):
            new = value.clone()
            new[:] = states[:, None]
            return new

        batch = torch.tensor([tokens] * len(states))
        return model.run_with_hooks(batch, [(("resid_pre", layer), put)])[:, -1]


@mistake("12.1", says="after the place itself")
class section:
    """Read at the place."""

    def patched(model, tokens, place, states, layer):

        def put(value, hook):
            new = value.clone()
            new[:, place] = states
            return new

        batch = torch.tensor([tokens] * len(states))
        return model.run_with_hooks(batch, [(("resid_pre", layer), put)])[:, place]


@mistake("12.1", says="Nothing has been put in")
class section:
    """A copy is changed and not returned."""

    def patched(model, tokens, place, states, layer):

        def put(value, hook):
            new = value.clone()
            new[:, place] = states
            return value

        batch = torch.tensor([tokens] * len(states))
        return model.run_with_hooks(batch, [(("resid_pre", layer), put)])[:, -1]


@mistake("12.1", says="You change the state's length")
class section:
    """The norm of injection, where none is asked for."""

    def patched(model, tokens, place, states, layer):

        def put(value, hook):
            new = value.clone()
            new[:, place] = states / states.norm(dim=-1, keepdim=True) * new[:, place].norm(dim=-1, keepdim=True)
            return new

        batch = torch.tensor([tokens] * len(states))
        return model.run_with_hooks(batch, [(("resid_pre", layer), put)])[:, -1]


@right("12.1", how="state by state, in place")
class section:
    def patched(model, tokens, place, states, layer):
        rows = []
        for state in states:

            def put(value, hook, state=state):
                value[0, place] = state

            with model.hooks([(f"blocks.{layer}.hook_resid_pre", put)]):
                rows.append(model(torch.tensor([tokens]))[0, len(tokens) - 1])
        return torch.stack(rows)


@right("12.1", how="with a mask and where")
class section:
    def patched(model, tokens, place, states, layer):
        here = (torch.arange(len(tokens)) == place)[None, :, None]

        def put(value, hook):
            return torch.where(here, states[:, None, :].to(value), value)

        batch = torch.tensor(tokens).expand(len(states), -1)
        return model.run_with_hooks(batch, [(("resid_pre", layer), put)])[:, -1, :]


# --- 12.2 ------------------------------------------------------------------------------------------------------------


@mistake("12.2", says="Each word stands once")
class section:
    """No example of saying it again."""

    def identity_prompt(shots):
        words = ["<|bos|>"]
        for word in shots:
            words += [word, ","]
        words.append("<|act|>")
        return [NUMBER[word] for word in words], len(words) - 1

    def shares_by_layer(model, states, right, tokens, place):
        table = torch.zeros(len(states), model.cfg.n_layers)
        for source, some in enumerate(states):
            for target in range(model.cfg.n_layers):
                said = patched(model, tokens, place, some, target).argmax(-1)
                table[source, target] = (said == right).float().mean()
        return table


@mistake("12.2", says="The commas are missing")
class section:
    """Pairs without an end."""

    def identity_prompt(shots):
        words = ["<|bos|>"]
        for word in shots:
            words += [word, word]
        words.append("<|act|>")
        return [NUMBER[word] for word in words], len(words) - 1

    def shares_by_layer(model, states, right, tokens, place):
        table = torch.zeros(len(states), model.cfg.n_layers)
        for source, some in enumerate(states):
            for target in range(model.cfg.n_layers):
                said = patched(model, tokens, place, some, target).argmax(-1)
                table[source, target] = (said == right).float().mean()
        return table


@mistake("12.2", says="<|bos|> is missing")
class section:
    """No beginning."""

    def identity_prompt(shots):
        words = []
        for word in shots:
            words += [word, word, ","]
        words.append("<|act|>")
        return [NUMBER[word] for word in words], len(words) - 1

    def shares_by_layer(model, states, right, tokens, place):
        table = torch.zeros(len(states), model.cfg.n_layers)
        for source, some in enumerate(states):
            for target in range(model.cfg.n_layers):
                said = patched(model, tokens, place, some, target).argmax(-1)
                table[source, target] = (said == right).float().mean()
        return table


@mistake("12.2", says="numbered from 0")
class section:
    """A length is no place."""

    def identity_prompt(shots):
        words = ["<|bos|>"]
        for word in shots:
            words += [word, word, ","]
        words.append("<|act|>")
        return [NUMBER[word] for word in words], len(words)

    def shares_by_layer(model, states, right, tokens, place):
        table = torch.zeros(len(states), model.cfg.n_layers)
        for source, some in enumerate(states):
            for target in range(model.cfg.n_layers):
                said = patched(model, tokens, place, some, target).argmax(-1)
                table[source, target] = (said == right).float().mean()
        return table


@mistake("12.2", says="x stands twice")
class section:
    """As the examples do."""

    def identity_prompt(shots):
        words = ["<|bos|>"]
        for word in shots:
            words += [word, word, ","]
        words += ["<|act|>", "<|act|>"]
        return [NUMBER[word] for word in words], len(words) - 2

    def shares_by_layer(model, states, right, tokens, place):
        table = torch.zeros(len(states), model.cfg.n_layers)
        for source, some in enumerate(states):
            for target in range(model.cfg.n_layers):
                said = patched(model, tokens, place, some, target).argmax(-1)
                table[source, target] = (said == right).float().mean()
        return table


@mistake("12.2", says="Rows and columns are exchanged")
class section:
    """Targets first."""

    def identity_prompt(shots):
        words = ["<|bos|>"]
        for word in shots:
            words += [word, word, ","]
        words.append("<|act|>")
        return [NUMBER[word] for word in words], len(words) - 1

    def shares_by_layer(model, states, right, tokens, place):
        table = torch.zeros(len(states), model.cfg.n_layers)
        for source, some in enumerate(states):
            for target in range(model.cfg.n_layers):
                said = patched(model, tokens, place, some, target).argmax(-1)
                table[source, target] = (said == right).float().mean()
        return table.T


@mistake("12.2", says="numbers of states")
class section:
    """A sum."""

    def identity_prompt(shots):
        words = ["<|bos|>"]
        for word in shots:
            words += [word, word, ","]
        words.append("<|act|>")
        return [NUMBER[word] for word in words], len(words) - 1

    def shares_by_layer(model, states, right, tokens, place):
        table = torch.zeros(len(states), model.cfg.n_layers)
        for source, some in enumerate(states):
            for target in range(model.cfg.n_layers):
                said = patched(model, tokens, place, some, target).argmax(-1)
                table[source, target] = (said == right).float().sum()
        return table


@mistake("12.2", says="the likeliest few")
class section:
    """Top 3."""

    def identity_prompt(shots):
        words = ["<|bos|>"]
        for word in shots:
            words += [word, word, ","]
        words.append("<|act|>")
        return [NUMBER[word] for word in words], len(words) - 1

    def shares_by_layer(model, states, right, tokens, place):
        table = torch.zeros(len(states), model.cfg.n_layers)
        for source, some in enumerate(states):
            for target in range(model.cfg.n_layers):
                said = patched(model, tokens, place, some, target).topk(3).indices
                table[source, target] = (said == right[:, None]).any(-1).float().mean()
        return table


@mistake("12.2", says="mean probability of the right token")
class section:
    """Chances."""

    def identity_prompt(shots):
        words = ["<|bos|>"]
        for word in shots:
            words += [word, word, ","]
        words.append("<|act|>")
        return [NUMBER[word] for word in words], len(words) - 1

    def shares_by_layer(model, states, right, tokens, place):
        table = torch.zeros(len(states), model.cfg.n_layers)
        for source, some in enumerate(states):
            for target in range(model.cfg.n_layers):
                said = patched(model, tokens, place, some, target).softmax(-1)
                table[source, target] = said[torch.arange(len(right)), right].mean()
        return table


@mistake("12.2", says="the number of the WORD")
class section:
    """Which token, not where."""

    def identity_prompt(shots):
        words = ["<|bos|>"]
        for word in shots:
            words += [word, word, ","]
        words.append("<|act|>")
        return [NUMBER[word] for word in words], NUMBER[words[-1]]

    def shares_by_layer(model, states, right, tokens, place):
        table = torch.zeros(len(states), model.cfg.n_layers)
        for source, some in enumerate(states):
            for target in range(model.cfg.n_layers):
                said = patched(model, tokens, place, some, target).argmax(-1)
                table[source, target] = (said == right).float().mean()
        return table


@right("12.2", how="with text and a list of lists")
class section:
    def identity_prompt(shots):
        text = "<|bos|> " + " , ".join([*(f"{w} {w}" for w in shots), "<|act|>"])
        tokens = [WORDS.index(w) for w in text.split()]
        return tokens, tokens.index(WORDS.index("<|act|>"))

    def shares_by_layer(model, states, right, tokens, place):
        def share(some, layer):
            said = patched(model, tokens, place, some, layer).max(dim=-1).indices.tolist()
            return sum(a == b for a, b in zip(said, right.tolist())) / len(said)

        return torch.tensor([[share(some, layer) for layer in range(model.cfg.n_layers)] for some in states])


@right("12.2", how="all depths in one batch, in float64")
class section:
    def identity_prompt(shots):
        tokens = [NUMBER["<|bos|>"]]
        for i in range(len(shots)):
            tokens.extend([NUMBER[shots[i]]] * 2 + [NUMBER[","]])
        return [*tokens, NUMBER["<|act|>"]], len(tokens)

    def shares_by_layer(model, states, right, tokens, place):
        n_sources, n = states.shape[:2]
        columns = []
        for layer in range(model.cfg.n_layers):
            said = patched(model, tokens, place, states.flatten(0, 1), layer).argmax(-1).view(n_sources, n)
            columns.append((said == right).double().mean(1))
        return torch.stack(columns, dim=1)


# --- 12.3 ------------------------------------------------------------------------------------------------------------


@mistake("12.3", says="You fit through the origin")
class section:
    """No means."""

    def translator(states, targets, weight):
        from_mean, to_mean = 0 * states.mean(0), 0 * targets.mean(0)
        x, y = states - from_mean, targets - to_mean
        matrix = torch.linalg.solve(x.T @ x + weight * torch.eye(x.shape[1]), x.T @ y)
        return matrix, to_mean - from_mean @ matrix


@mistake("12.3", says="The offset is punished too")
class section:
    """A column of ones, which the weight meets, too."""

    def translator(states, targets, weight):
        x, y = torch.cat([states, torch.ones(len(states), 1)], 1), targets
        matrix = torch.linalg.solve(x.T @ x + weight * torch.eye(x.shape[1]), x.T @ y)
        return matrix[:-1], matrix[-1]


@mistake("12.3", says="`weight` is not used")
class section:
    """Least squares."""

    def translator(states, targets, weight):
        from_mean, to_mean = states.mean(0), targets.mean(0)
        x, y = states - from_mean, targets - to_mean
        matrix = torch.linalg.solve(x.T @ x + 1e-9 * torch.eye(x.shape[1]), x.T @ y)
        return matrix, to_mean - from_mean @ matrix


@mistake("12.3", says="You take the mean of the errors")
class section:
    """Means of squares."""

    def translator(states, targets, weight):
        from_mean, to_mean = states.mean(0), targets.mean(0)
        x, y = states - from_mean, targets - to_mean
        matrix = torch.linalg.solve(x.T @ x + len(x) * weight * torch.eye(x.shape[1]), x.T @ y)
        return matrix, to_mean - from_mean @ matrix


@mistake("12.3", says="You translate the wrong way")
class section:
    """Targets to states."""

    def translator(states, targets, weight):
        from_mean, to_mean = targets.mean(0), states.mean(0)
        x, y = targets - from_mean, states - to_mean
        matrix = torch.linalg.solve(x.T @ x + weight * torch.eye(x.shape[1]), x.T @ y)
        return matrix, to_mean - from_mean @ matrix


@mistake("12.3", says="The offset is missing")
class section:
    """Zeros."""

    def translator(states, targets, weight):
        from_mean, to_mean = states.mean(0), targets.mean(0)
        x, y = states - from_mean, targets - to_mean
        matrix = torch.linalg.solve(x.T @ x + weight * torch.eye(x.shape[1]), x.T @ y)
        return matrix, torch.zeros_like(to_mean)


@mistake("12.3", says="The states' mean has to be translated first")
class section:
    """A difference of means."""

    def translator(states, targets, weight):
        from_mean, to_mean = states.mean(0), targets.mean(0)
        x, y = states - from_mean, targets - to_mean
        matrix = torch.linalg.solve(x.T @ x + weight * torch.eye(x.shape[1]), x.T @ y)
        return matrix, to_mean - from_mean


@mistake("12.3", says="must be taken off it")
class section:
    """The targets' mean."""

    def translator(states, targets, weight):
        from_mean, to_mean = states.mean(0), targets.mean(0)
        x, y = states - from_mean, targets - to_mean
        matrix = torch.linalg.solve(x.T @ x + weight * torch.eye(x.shape[1]), x.T @ y)
        return matrix, to_mean


@right("12.3", how="with scikit-learn")
class section:
    def translator(states, targets, weight):
        from sklearn.linear_model import Ridge

        fit = Ridge(alpha=weight).fit(states.double().numpy(), targets.double().numpy())
        return torch.tensor(fit.coef_.T), torch.tensor(fit.intercept_)


@right("12.3", how="with additional rows, by least squares")
class section:
    def translator(states, targets, weight):
        x, y = states.double(), targets.double()
        d = x.shape[1]
        a = torch.cat([x - x.mean(0), weight**0.5 * torch.eye(d).double()])
        b = torch.cat([y - y.mean(0), torch.zeros(d, y.shape[1]).double()])
        matrix = torch.linalg.lstsq(a, b).solution
        return matrix, (y - x @ matrix).mean(0)


# --- 12.4 ------------------------------------------------------------------------------------------------------------


@mistake("12.4", says="the mean of the next depth")
class section:
    """Counted from 1."""

    def centred(vectors, means, depth):
        return vectors - means[min(depth + 1, len(means) - 1)]

    def added(found, vectors):
        length = vectors.norm(dim=-1, keepdim=True).clamp(min=1e-8)
        return found + found.norm(dim=-1, keepdim=True) * vectors / length


@mistake("12.4", says="the mean of these few words")
class section:
    """Its own mean."""

    def centred(vectors, means, depth):
        return vectors - vectors.mean(0)

    def added(found, vectors):
        length = vectors.norm(dim=-1, keepdim=True).clamp(min=1e-8)
        return found + found.norm(dim=-1, keepdim=True) * vectors / length


@mistake("12.4", says="the mean over all depths")
class section:
    """One mean for all."""

    def centred(vectors, means, depth):
        return vectors - means.mean(0)

    def added(found, vectors):
        length = vectors.norm(dim=-1, keepdim=True).clamp(min=1e-8)
        return found + found.norm(dim=-1, keepdim=True) * vectors / length


@mistake("12.4", says="IN PLACE of what stands there")
class section:
    """Replaces."""

    def centred(vectors, means, depth):
        return vectors - means[depth]

    def added(found, vectors):
        length = vectors.norm(dim=-1, keepdim=True).clamp(min=1e-8)
        return found.norm(dim=-1, keepdim=True) * vectors / length


@mistake("12.4", says="You bring the SUM")
class section:
    """Keeps the stream as long as it was."""

    def centred(vectors, means, depth):
        return vectors - means[depth]

    def added(found, vectors):
        length = vectors.norm(dim=-1, keepdim=True).clamp(min=1e-8)
        new = found + found.norm(dim=-1, keepdim=True) * vectors / length
        return new * found.norm(dim=-1, keepdim=True) / new.norm(dim=-1, keepdim=True)


@mistake("12.4", says="as long as they are")
class section:
    """Forgets the norm."""

    def centred(vectors, means, depth):
        return vectors - means[depth]

    def added(found, vectors):
        length = vectors.norm(dim=-1, keepdim=True).clamp(min=1e-8)
        return found + vectors


@mistake("12.4", says="vectors of length 1")
class section:
    """Forgets the other norm."""

    def centred(vectors, means, depth):
        return vectors - means[depth]

    def added(found, vectors):
        length = vectors.norm(dim=-1, keepdim=True).clamp(min=1e-8)
        return found + vectors / length


@mistake("12.4", says="One length has been taken over all places")
class section:
    """No axis."""

    def centred(vectors, means, depth):
        return vectors - means[depth]

    def added(found, vectors):
        length = vectors.norm().clamp(min=1e-8)
        return found + found.norm() * vectors / length


@mistake("12.4", says="The lengths are exchanged")
class section:
    """The wrong way round."""

    def centred(vectors, means, depth):
        return vectors - means[depth]

    def added(found, vectors):
        length = vectors.norm(dim=-1, keepdim=True).clamp(min=1e-8)
        return found + length * vectors / found.norm(dim=-1, keepdim=True)


@mistake("12.4", says="become NaN")
class section:
    """Zero by zero."""

    def centred(vectors, means, depth):
        return vectors - means[depth]

    def added(found, vectors):
        length = vectors.norm(dim=-1, keepdim=True)
        return found + found.norm(dim=-1, keepdim=True) * vectors / length


@right("12.4", how="with normalize")
class section:
    def centred(vectors, means, depth):
        return torch.stack([v - means[depth] for v in vectors])

    def added(found, vectors):
        return found + torch.nn.functional.normalize(vectors, dim=-1) * found.square().sum(-1, keepdim=True).sqrt()


@right("12.4", how="place by place, in float64")
class section:
    def centred(vectors, means, depth):
        return torch.sub(vectors.double(), means.double()[depth])

    def added(found, vectors):
        rows = []
        for h, v in zip(found.double(), vectors.double()):
            rows.append(h + h.norm() * v / v.norm() if v.any() else h)
        return torch.stack(rows)


# --- 12.5 ------------------------------------------------------------------------------------------------------------


@mistake("12.5", says="<|bos|> is token 0")
class section:
    """The places of words."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        words = [*head, *["<|act|>"] * count, *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in words], list(range(len(head) - 1, len(head) + count - 1))

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = added(value[0, places], vectors)
            return new

        return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[0, -1]


@mistake("12.5", says="There is one for every activation")
class section:
    """One placeholder."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        words = [*head, *["<|act|>"], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in words], list(range(len(head), len(head) + 1))

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = added(value[0, places], vectors)
            return new

        return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[0, -1]


@mistake("12.5", says="They come before it")
class section:
    """Behind the question."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        words = [*head, *question.split(), *["<|act|>"] * count, "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in words], [i for i, word in enumerate(words) if word == "<|act|>"]

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = added(value[0, places], vectors)
            return new

        return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[0, -1]


@mistake("12.5", says="does not say which layer")
class section:
    """No layer."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>"]
        words = [*head, *["<|act|>"] * count, *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in words], list(range(len(head), len(head) + count))

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = added(value[0, places], vectors)
            return new

        return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[0, -1]


@mistake("12.5", says="would go on asking")
class section:
    """No turn for the answer."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        words = [*head, *["<|act|>"] * count, *question.split(), "<|end|>"]
        return [NUMBER[word] for word in words], list(range(len(head), len(head) + count))

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = added(value[0, places], vectors)
            return new

        return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[0, -1]


@mistake("12.5", says="IN PLACE of what stands there")
class section:
    """The activation alone."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        words = [*head, *["<|act|>"] * count, *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in words], list(range(len(head), len(head) + count))

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = added(value[0, places], vectors) - value[0, places]
            return new

        return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[0, -1]


@mistake("12.5", says="The activations are added as long as they are")
class section:
    """The norm is forgotten."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        words = [*head, *["<|act|>"] * count, *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in words], list(range(len(head), len(head) + count))

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = value[0, places] + vectors
            return new

        return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[0, -1]


@mistake("12.5", says="what ENTERS block 1")
class section:
    """One block early."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        words = [*head, *["<|act|>"] * count, *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in words], list(range(len(head), len(head) + count))

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = added(value[0, places], vectors)
            return new

        return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_pre", 1), edit)])[0, -1]


@mistake("12.5", says="one block too late")
class section:
    """One block late."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        words = [*head, *["<|act|>"] * count, *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in words], list(range(len(head), len(head) + count))

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = added(value[0, places], vectors)
            return new

        return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 2), edit)])[0, -1]


@mistake("12.5", says="You add at every block")
class section:
    """So that it is not forgotten."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        words = [*head, *["<|act|>"] * count, *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in words], list(range(len(head), len(head) + count))

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = added(value[0, places], vectors)
            return new

        return oracle.run_with_hooks(
            torch.tensor([tokens]), [(("resid_post", layer), edit) for layer in range(1, oracle.cfg.n_layers)]
        )[0, -1]


@mistake("12.5", says="Whatever their depth, they go in at block 1")
class section:
    """At the depth they come from."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        words = [*head, *["<|act|>"] * count, *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in words], list(range(len(head), len(head) + count))

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = added(value[0, places], vectors)
            return new

        return oracle.run_with_hooks(
            torch.tensor([tokens]), [(("resid_pre", min(depth, oracle.cfg.n_layers - 1)), edit)]
        )[0, -1]


@mistake("12.5", says="at the last placeholder")
class section:
    """Read where it was put."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        words = [*head, *["<|act|>"] * count, *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in words], list(range(len(head), len(head) + count))

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = added(value[0, places], vectors)
            return new

        return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[0, places[-1]]


@mistake("12.5", says="nothing has been added")
class section:
    """The edit returns nothing, and changes a copy."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        words = [*head, *["<|act|>"] * count, *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in words], list(range(len(head), len(head) + count))

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = added(value[0, places], vectors)
            return value

        return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[0, -1]


@mistake("12.5", says="Every placeholder gets the mean")
class section:
    """One for all."""

    def oracle_prompt(question, depth, count):
        head = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        words = [*head, *["<|act|>"] * count, *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in words], list(range(len(head), len(head) + count))

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))

        def edit(value, hook):
            new = value.clone()
            new[0, places] = added(value[0, places], vectors.mean(0).expand(len(places), -1))
            return new

        return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[0, -1]


@right("12.5", how="text, and places in place")
class section:
    def oracle_prompt(question, depth, count):
        text = "<|bos|> <|user|> layer " + prose.NUMBERS[depth] + " : " + "<|act|> " * count + question
        tokens = [NUMBER[word] for word in (text + " <|end|> <|assistant|>").split()]
        return tokens, [i for i, token in enumerate(tokens) if token == NUMBER["<|act|>"]]

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, vectors.shape[0])

        def edit(value, hook):
            for place, v in zip(places, vectors):
                h = value[0, place].clone()
                value[0, place] = h + h.norm() * v / v.norm().clamp(min=1e-8)

        with oracle.hooks([("blocks.1.hook_resid_post", edit)]):
            return oracle(torch.tensor(tokens)[None]).squeeze(0)[len(tokens) - 1]


@right("12.5", how="with a vector for every token")
class section:
    def oracle_prompt(question, depth, count):
        words = ["<|bos|>", "<|user|>", "layer", prose.NUMBERS[depth], ":"]
        places = []
        for _ in range(count):
            places.append(len(words))
            words.append("<|act|>")
        words += [*question.split(), "<|end|>", "<|assistant|>"]
        return list(map(NUMBER.get, words)), places

    def oracle_logits(oracle, question, vectors, depth):
        tokens, places = oracle_prompt(question, depth, len(vectors))
        whole = torch.zeros(1, len(tokens), vectors.shape[-1])
        whole[0, places] = vectors
        edit = lambda value, hook: added(value, whole)
        return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[-1, -1]


# --- 12.6 ------------------------------------------------------------------------------------------------------------


@mistake("12.6", says="You have numbered words")
class section:
    """No <|bos|>."""

    def name_questions(words, table, noun):
        return [(i, f"What is the {noun} ?", table[word]) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        gives = [i for i, word in enumerate(words) if word == giver][1]
        return next(i for i, word in enumerate(words) if i > gives and word == receiver)  # word i − 1 is token i


@mistake("12.6", says="A name that comes twice can be asked about twice")
class section:
    """A dictionary of names."""

    def name_questions(words, table, noun):
        found = {
            word: (i + 1, f"What is the {noun} ?", table[word])
            for i, word in reversed(list(enumerate(words)))
            if word in table
        }
        return sorted(found.values())

    def receiver_place(words, giver, receiver):
        gives = [i for i, word in enumerate(words) if word == giver][1]
        return next(i for i, word in enumerate(words) if i > gives and word == receiver)  # word i − 1 is token i


@mistake("12.6", says="and not the name")
class section:
    """The name as the answer."""

    def name_questions(words, table, noun):
        return [(i + 1, f"What is the {noun} ?", word) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        gives = [i for i, word in enumerate(words) if word == giver][1]
        return next(i for i, word in enumerate(words) if i > gives and word == receiver)  # word i − 1 is token i


@mistake("12.6", says="The question does not say what")
class section:
    """A forgotten f."""

    def name_questions(words, table, noun):
        return [(i + 1, "What is the noun ?", table[word]) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        gives = [i for i, word in enumerate(words) if word == giver][1]
        return next(i for i, word in enumerate(words) if i > gives and word == receiver)  # word i − 1 is token i


@mistake("12.6", says="You ask at the name itself")
class section:
    """The answer leaks."""

    def name_questions(words, table, noun):
        return [(i + 1, f"What is the {noun} ?", table[word]) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        gives = [i for i, word in enumerate(words) if word == giver][1]
        return 1 + next(i for i, word in enumerate(words) if i > gives and word == receiver)  # word i − 1 is token i


@mistake("12.6", says="This is the number of the WORD")
class section:
    """No <|bos|>."""

    def name_questions(words, table, noun):
        return [(i + 1, f"What is the {noun} ?", table[word]) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        gives = [i for i, word in enumerate(words) if word == giver][1]
        return -1 + next(i for i, word in enumerate(words) if i > gives and word == receiver)  # word i − 1 is token i


@mistake("12.6", says="before the receiver's first mention")
class section:
    """Nobody has given yet."""

    def name_questions(words, table, noun):
        return [(i + 1, f"What is the {noun} ?", table[word]) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        gives = [i for i, word in enumerate(words) if word == giver][1]
        return next(i for i, word in enumerate(words) if word == receiver)  # word i − 1 is token i


@mistake("12.6", says="before the receiver's LAST mention")
class section:
    """Said already."""

    def name_questions(words, table, noun):
        return [(i + 1, f"What is the {noun} ?", table[word]) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        gives = [i for i, word in enumerate(words) if word == giver][1]
        return max(i for i, word in enumerate(words) if i > gives and word == receiver)  # word i − 1 is token i


@mistake("12.6", says="behind the first mention of the giver")
class section:
    """Where both are introduced."""

    def name_questions(words, table, noun):
        return [(i + 1, f"What is the {noun} ?", table[word]) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        gives = words.index(giver)
        return next(i for i, word in enumerate(words) if i > gives and word == receiver)  # word i − 1 is token i


@mistake("12.6", says="`index` finds the first alone")
class section:
    """The place by looking the word up."""

    def name_questions(words, table, noun):
        return [(words.index(word) + 1, f"What is the {noun} ?", table[word]) for word in words if word in table]

    def receiver_place(words, giver, receiver):
        gives = [i for i, word in enumerate(words) if word == giver][1]
        return next(i for i, word in enumerate(words) if i > gives and word == receiver)  # word i − 1 is token i


@mistake("12.6", says="hangs on the noun")
class section:
    """As one writes it elsewhere."""

    def name_questions(words, table, noun):
        return [(i + 1, f"What is the {noun}?", table[word]) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        gives = [i for i, word in enumerate(words) if word == giver][1]
        return next(i for i, word in enumerate(words) if i > gives and word == receiver)  # word i − 1 is token i


@mistake("12.6", says="before the receiver's SECOND mention")
class section:
    """The introduction, and then the gift."""

    def name_questions(words, table, noun):
        return [(i + 1, f"What is the {noun} ?", table[word]) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        return [i for i, word in enumerate(words) if word == receiver][1]


@mistake("12.6", says="before the giver is named again")
class section:
    """Who gives, and not to whom."""

    def name_questions(words, table, noun):
        return [(i + 1, f"What is the {noun} ?", table[word]) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        return [i for i, word in enumerate(words) if word == giver][1]


@mistake("12.6", says="one token behind the giver")
class section:
    """As in the lesson's first example."""

    def name_questions(words, table, noun):
        return [(i + 1, f"What is the {noun} ?", table[word]) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        return [i for i, word in enumerate(words) if word == giver][1] + 2


@mistake("12.6", says="You ask too soon at")
class section:
    """Two tokens before the name."""

    def name_questions(words, table, noun):
        return [(i + 1, f"What is the {noun} ?", table[word]) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        gives = [i for i, word in enumerate(words) if word == giver][1]
        return next(i for i, word in enumerate(words) if i > gives and word == receiver) - 2


@mistake("12.6", says="You ask too late at")
class section:
    """Three tokens behind the name."""

    def name_questions(words, table, noun):
        return [(i + 1, f"What is the {noun} ?", table[word]) for i, word in enumerate(words) if word in table]

    def receiver_place(words, giver, receiver):
        gives = [i for i, word in enumerate(words) if word == giver][1]
        return min(next(i for i, word in enumerate(words) if i > gives and word == receiver) + 3, len(words))


@right("12.6", how="with loops and index")
class section:
    def name_questions(words, table, noun):
        found = []
        for place, word in enumerate(["<|bos|>", *words]):
            if word in table:
                found.append((place, "What is the " + noun + " ?", table[word]))
        return found

    def receiver_place(words, giver, receiver):
        first = words.index(giver)
        second = words.index(giver, first + 1)
        return words.index(receiver, second + 1)


@right("12.6", how="counting mentions")
class section:
    def name_questions(words, table, noun):
        places = [i for i in range(len(words)) if words[i] in table]
        return [(1 + i, " ".join(["What is the", noun, "?"]), table.get(words[i])) for i in places]

    def receiver_place(words, giver, receiver):
        mentions = 0
        for token, word in enumerate(words, start=1):
            mentions += word == giver
            if mentions == 2 and word == receiver:
                return token - 1
        raise ValueError("nobody gives")


# --- 12.7 ------------------------------------------------------------------------------------------------------------


@mistake("12.7", says="This is the sum over the questions")
class section:
    """A sum."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            log_p = oracle_logits(oracle, question, some, depth).log_softmax(-1)
            nats.append(-log_p[NUMBER[word]])
        return torch.stack(nats).sum()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="This is minus the logit")
class section:
    """No softmax."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            log_p = oracle_logits(oracle, question, some, depth)
            nats.append(-log_p[NUMBER[word]])
        return torch.stack(nats).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="This is minus the probability")
class section:
    """No logarithm."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            log_p = oracle_logits(oracle, question, some, depth).softmax(-1)
            nats.append(-log_p[NUMBER[word]])
        return torch.stack(nats).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="The sign is wrong")
class section:
    """Uphill."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            log_p = oracle_logits(oracle, question, some, depth).log_softmax(-1)
            nats.append(log_p[NUMBER[word]])
        return torch.stack(nats).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="The prompt's words count in your loss")
class section:
    """All tokens are learned."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            tokens, places = oracle_prompt(question, depth, len(some))

            def edit(value, hook, places=places, some=some):
                new = value.clone()
                new[0, places] = added(value[0, places], some)
                return new

            logits = oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[0]
            wanted = torch.tensor([*tokens[1:], NUMBER[word]])
            nats.append(torch.nn.functional.cross_entropy(logits, wanted))
        return torch.stack(nats).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="The activations have no part in your loss")
class section:
    """The prompt alone."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            log_p = oracle(torch.tensor([oracle_prompt(question, depth, len(some))[0]]))[0, -1].log_softmax(-1)
            nats.append(-log_p[NUMBER[word]])
        return torch.stack(nats).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="Gradients pile up")
class section:
    """No zero_grad."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            log_p = oracle_logits(oracle, question, some, depth).log_softmax(-1)
            nats.append(-log_p[NUMBER[word]])
        return torch.stack(nats).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            loss.backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="as if every step went the wrong way")
class section:
    """Uphill."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            log_p = oracle_logits(oracle, question, some, depth).log_softmax(-1)
            nats.append(-log_p[NUMBER[word]])
        return torch.stack(nats).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            optimizer.zero_grad()
            (-loss).backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="Yours is the one after it")
class section:
    """Noted too late."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            log_p = oracle_logits(oracle, question, some, depth).log_softmax(-1)
            nats.append(-log_p[NUMBER[word]])
        return torch.stack(nats).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(answer_loss(oracle, questions, vectors, answers).item())
        return oracle, losses


@mistake("12.7", says="Only some parameters are trained")
class section:
    """The unembedding alone."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            log_p = oracle_logits(oracle, question, some, depth).log_softmax(-1)
            nats.append(-log_p[NUMBER[word]])
        return torch.stack(nats).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD([oracle.W_U], lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="Each step learns from one question")
class section:
    """One after the other."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            log_p = oracle_logits(oracle, question, some, depth).log_softmax(-1)
            nats.append(-log_p[NUMBER[word]])
        return torch.stack(nats).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate)
        losses = []
        for step in range(steps):
            i = step % len(answers)
            loss = answer_loss(oracle, questions[i : i + 1], vectors[i : i + 1], answers[i : i + 1])
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="Questions with more activations count for more")
class section:
    """A loss for every activation."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            log_p = oracle_logits(oracle, question, some, depth).log_softmax(-1)
            nats += [-log_p[NUMBER[word]]] * len(some)
        return torch.stack(nats).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="These are Adam's steps")
class section:
    """The optimizer that everybody takes."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            log_p = oracle_logits(oracle, question, some, depth).log_softmax(-1)
            nats.append(-log_p[NUMBER[word]])
        return torch.stack(nats).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.Adam(oracle.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="Your steps have momentum")
class section:
    """A habit."""

    def answer_loss(oracle, questions, vectors, answers):
        nats = []
        for (question, depth), some, word in zip(questions, vectors, answers, strict=True):
            log_p = oracle_logits(oracle, question, some, depth).log_softmax(-1)
            nats.append(-log_p[NUMBER[word]])
        return torch.stack(nats).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate, momentum=0.9)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="It is no loss")
class section:
    """What one wants to know in the end."""

    def answer_loss(oracle, questions, vectors, answers):
        hits = [
            (oracle_logits(oracle, question, some, depth).argmax() == NUMBER[word]).float()
            for (question, depth), some, word in zip(questions, vectors, answers, strict=True)
        ]
        return torch.stack(hits).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return oracle, losses


@mistake("12.7", says="This is the share of wrong answers")
class section:
    """An error rate."""

    def answer_loss(oracle, questions, vectors, answers):
        hits = [
            (oracle_logits(oracle, question, some, depth).argmax() == NUMBER[word]).float()
            for (question, depth), some, word in zip(questions, vectors, answers, strict=True)
        ]
        return 1 - torch.stack(hits).mean()

    def train(oracle, questions, vectors, answers, rate, steps):
        optimizer = torch.optim.SGD(oracle.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return oracle, losses


@right("12.7", how="with cross_entropy, and the parameters moved by hand")
class section:
    def answer_loss(oracle, questions, vectors, answers):
        said = [oracle_logits(oracle, asked, v, depth) for (asked, depth), v in zip(questions, vectors)]
        return torch.nn.functional.cross_entropy(torch.stack(said), torch.tensor([NUMBER[word] for word in answers]))

    def train(oracle, questions, vectors, answers, rate, steps):
        losses = []
        for _ in range(steps):
            loss = answer_loss(oracle, questions, vectors, answers)
            each = torch.autograd.grad(loss, list(oracle.parameters()), allow_unused=True)
            with torch.no_grad():
                for parameter, gradient in zip(oracle.parameters(), each):
                    if gradient is not None:
                        parameter -= rate * gradient
            losses.append(float(loss))
        return oracle, losses


@right("12.7", how="in float64, with logsumexp")
class section:
    def answer_loss(oracle, questions, vectors, answers):
        total = 0.0
        for (question, depth), v, word in zip(questions, vectors, answers):
            logits = oracle_logits(oracle, question, v, depth).double()
            total = total + logits.logsumexp(0) - logits[NUMBER[word]]
        return total / len(answers)

    def train(oracle, questions, vectors, answers, rate, steps):
        losses, optimizer = [], torch.optim.SGD(oracle.parameters(), lr=rate)
        while len(losses) < steps:
            optimizer.zero_grad()
            loss = answer_loss(oracle, questions, vectors, answers)
            loss.backward()
            losses.append(loss.detach().item())
            optimizer.step()
        return oracle, losses


# --- 12.8 ------------------------------------------------------------------------------------------------------------


@mistake("12.8", says="Every question has its own activations")
class section:
    """No control."""

    def shuffled(vectors):
        half = len(vectors) // 2
        others = [vectors[i] for i in range(len(vectors))]
        return [other[-len(own) :] for own, other in zip(vectors, others, strict=True)]

    def nothing(vectors, means, depth):
        return means[depth].repeat(len(vectors), 1)


@mistake("12.8", says="those of the next question")
class section:
    """A neighbour."""

    def shuffled(vectors):
        half = 1
        others = [vectors[(i + half) % len(vectors)] for i in range(len(vectors))]
        return [other[-len(own) :] for own, other in zip(vectors, others, strict=True)]

    def nothing(vectors, means, depth):
        return means[depth].repeat(len(vectors), 1)


@mistake("12.8", says="You go through the list backwards")
class section:
    """Mirrored."""

    def shuffled(vectors):
        half = len(vectors) // 2
        others = [vectors[len(vectors) - 1 - i] for i in range(len(vectors))]
        return [other[-len(own) :] for own, other in zip(vectors, others, strict=True)]

    def nothing(vectors, means, depth):
        return means[depth].repeat(len(vectors), 1)


@mistake("12.8", says="more words than its own")
class section:
    """All the other's words."""

    def shuffled(vectors):
        half = len(vectors) // 2
        others = [vectors[(i + half) % len(vectors)] for i in range(len(vectors))]
        return [other for own, other in zip(vectors, others, strict=True)]

    def nothing(vectors, means, depth):
        return means[depth].repeat(len(vectors), 1)


@mistake("12.8", says="Of the other's words you take the first")
class section:
    """From the front."""

    def shuffled(vectors):
        half = len(vectors) // 2
        others = [vectors[(i + half) % len(vectors)] for i in range(len(vectors))]
        return [other[: len(own)] for own, other in zip(vectors, others, strict=True)]

    def nothing(vectors, means, depth):
        return means[depth].repeat(len(vectors), 1)


@mistake("12.8", says="You have shuffled the WORDS")
class section:
    """Within a text."""

    def shuffled(vectors):
        half = len(vectors) // 2
        others = [vectors[(i + half) % len(vectors)] for i in range(len(vectors))]
        return [own.roll(1, 0) for own in vectors]

    def nothing(vectors, means, depth):
        return means[depth].repeat(len(vectors), 1)


@mistake("12.8", says="they say minus the mean")
class section:
    """Zeros."""

    def shuffled(vectors):
        half = len(vectors) // 2
        others = [vectors[(i + half) % len(vectors)] for i in range(len(vectors))]
        return [other[-len(own) :] for own, other in zip(vectors, others, strict=True)]

    def nothing(vectors, means, depth):
        return torch.zeros_like(vectors)


@mistake("12.8", says="This is the mean of another depth")
class section:
    """Counted from 1."""

    def shuffled(vectors):
        half = len(vectors) // 2
        others = [vectors[(i + half) % len(vectors)] for i in range(len(vectors))]
        return [other[-len(own) :] for own, other in zip(vectors, others, strict=True)]

    def nothing(vectors, means, depth):
        return means[(depth + 1) % len(means)].repeat(len(vectors), 1)


@mistake("12.8", says="mean of these words")
class section:
    """Its own mean."""

    def shuffled(vectors):
        half = len(vectors) // 2
        others = [vectors[(i + half) % len(vectors)] for i in range(len(vectors))]
        return [other[-len(own) :] for own, other in zip(vectors, others, strict=True)]

    def nothing(vectors, means, depth):
        return vectors.mean(0).repeat(len(vectors), 1)


@right("12.8", how="with rolled lists")
class section:
    def shuffled(vectors):
        half = len(vectors) // 2
        turned = vectors[half:] + vectors[:half]
        return [other[max(0, len(other) - len(own)) :] for own, other in zip(vectors, turned)]

    def nothing(vectors, means, depth):
        return torch.zeros_like(vectors) + means[depth]


@right("12.8", how="with a loop")
class section:
    def shuffled(vectors):
        found = []
        for i, own in enumerate(vectors):
            j = i + len(vectors) // 2
            other = vectors[j if j < len(vectors) else j - len(vectors)]
            k = min(own.shape[0], other.shape[0])
            found.append(other.flip(0)[:k].flip(0).clone())
        return found

    def nothing(vectors, means, depth):
        return means[depth][None].expand_as(vectors).double()


# --- 12.9 ------------------------------------------------------------------------------------------------------------


@mistake("12.9", says="Whoever answers has not seen them")
class section:
    """It looks at the answers."""

    def majority(fitted, asked):
        common = min(set(asked), key=lambda word: (-asked.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit(fitted.numpy(), labels)
        said = probe.predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="You leave out answers that are not")
class section:
    """A peek at which answers there are."""

    def majority(fitted, asked):
        common = min(set(fitted) & set(asked), key=lambda word: (-fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit(fitted.numpy(), labels)
        said = probe.predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="This is how common it is in training")
class section:
    """On what it was fitted on."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return fitted.count(common) / len(fitted)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit(fitted.numpy(), labels)
        said = probe.predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="one in so many answers")
class section:
    """As if all were equally common."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return 1 / len(set(fitted))

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit(fitted.numpy(), labels)
        said = probe.predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="Of equally common answers you take the last")
class section:
    """max in place of min."""

    def majority(fitted, asked):
        common = max(set(fitted), key=lambda word: (fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit(fitted.numpy(), labels)
        said = probe.predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="the one that is met first")
class section:
    """As Counter does."""

    def majority(fitted, asked):
        common = max(dict.fromkeys(fitted), key=fitted.count)
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit(fitted.numpy(), labels)
        said = probe.predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="right on what it was fitted on")
class section:
    """No held-out activations."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit(fitted.numpy(), labels)
        said = probe.predict(fitted.numpy())
        return sum(word == answer for word, answer in zip(said, labels, strict=True)) / len(labels)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="fitted on the held-out activations that it is asked about")
class section:
    """Fitted where it is judged."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit(held.numpy(), right)
        said = probe.predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="are among those that the probe is fitted on")
class section:
    """Everything at once."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit(torch.cat([fitted, held]).numpy(), [*labels, *right])
        said = probe.predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="Stop at word number `last`")
class section:
    """It reads on."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit(fitted.numpy(), labels)
        said = probe.predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words, *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="Word number `last` is missing")
class section:
    """A slice too short."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit(fitted.numpy(), labels)
        said = probe.predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[:last], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="Its activation has read all")
class section:
    """One word."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit(fitted.numpy(), labels)
        said = probe.predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[last : last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="The question stands before the text")
class section:
    """The wrong order."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit(fitted.numpy(), labels)
        said = probe.predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *question.split(), *words[: last + 1], "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="reads standardised activations")
class section:
    """As the handbooks advise."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        mean, std = fitted.mean(0), fitted.std(0)
        probe = LogisticRegression(max_iter=1000).fit(((fitted - mean) / std).numpy(), labels)
        said = probe.predict(((held - mean) / std).numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="what a ridge classifier says")
class section:
    """Another linear probe."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import RidgeClassifier

        said = RidgeClassifier().fit(fitted.numpy(), labels).predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says='class_weight="balanced"')
class section:
    """Fair to rare answers."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000, class_weight="balanced").fit(fitted.numpy(), labels)
        said = probe.predict(held.numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="on THEIR OWN mean")
class section:
    """Each part centred by itself."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(max_iter=1000).fit((fitted - fitted.mean(0)).numpy(), labels)
        said = probe.predict((held - held.mean(0)).numpy())
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@mistake("12.9", says="by their OWN mean and spread")
class section:
    """A scaler fitted twice."""

    def majority(fitted, asked):
        common = min(set(fitted), key=lambda word: (-fitted.count(word), word))
        return asked.count(common) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        probe = LogisticRegression(max_iter=1000).fit(StandardScaler().fit_transform(fitted.numpy()), labels)
        said = probe.predict(StandardScaler().fit_transform(held.numpy()))
        return sum(word == answer for word, answer in zip(said, right, strict=True)) / len(right)

    def black_box(words, last, question):
        asked = ["<|bos|>", "<|user|>", *words[: last + 1], *question.split(), "<|end|>", "<|assistant|>"]
        return [NUMBER[word] for word in asked]


@right("12.9", how="with a counter, score, and text")
class section:
    def majority(fitted, asked):
        from collections import Counter

        (word, _), *_ = Counter(sorted(fitted)).most_common()
        return sum(word == one for one in asked) / len(asked)

    def probe_share(fitted, labels, held, right):
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1000).fit(fitted, labels).score(held, right)

    def black_box(words, last, question):
        text = " ".join(["<|bos|> <|user|>", *words[: last + 1], question, "<|end|> <|assistant|>"])
        return [NUMBER[word] for word in text.split()]


@right("12.9", how="with numpy")
class section:
    def majority(fitted, asked):
        import numpy as np

        names, counts = np.unique(fitted, return_counts=True)
        return float((np.array(asked) == names[counts.argmax()]).mean())

    def probe_share(fitted, labels, held, right):
        import numpy as np
        from sklearn.linear_model import LogisticRegression

        names = sorted(set(labels))
        probe = LogisticRegression(max_iter=1000)
        probe.fit(fitted.double().numpy(), [names.index(name) for name in labels])
        said = [names[i] for i in probe.predict(held.double().numpy())]
        return float(np.mean(np.array(said) == np.array(right)))

    def black_box(words, last, question):
        tokens = [NUMBER["<|bos|>"], NUMBER["<|user|>"]]
        for i in range(last + 1):
            tokens.append(NUMBER[words[i]])
        return tokens + [NUMBER[w] for w in question.split()] + [NUMBER["<|end|>"], NUMBER["<|assistant|>"]]


# --- 12.10 -----------------------------------------------------------------------------------------------------------


@mistake("12.10", says="its chance is that among all words")
class section:
    """A softmax over everything."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits.softmax(-1)[[NUMBER[word] for word in names]]
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack([chances[inside].mean(), right[inside].float().mean(), inside.float().mean()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / max(1, len(made_up))


@mistake("12.10", says="You do not look at the options")
class section:
    """Always open."""

    def answer(logits, options):
        names = list(WORDS)
        chances = logits[[NUMBER[word] for word in names]].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack([chances[inside].mean(), right[inside].float().mean(), inside.float().mean()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / max(1, len(made_up))


@mistake("12.10", says="This is the logit")
class section:
    """No softmax."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[[NUMBER[word] for word in names]]
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack([chances[inside].mean(), right[inside].float().mean(), inside.float().mean()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / max(1, len(made_up))


@mistake("12.10", says="You look at the first logits")
class section:
    """No numbers of words."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[: len(names)].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack([chances[inside].mean(), right[inside].float().mean(), inside.float().mean()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / max(1, len(made_up))


@mistake("12.10", says="A chance of exactly 1 is lost")
class section:
    """Half-open bins."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[[NUMBER[word] for word in names]].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).long()
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack([chances[inside].mean(), right[inside].float().mean(), inside.float().mean()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / max(1, len(made_up))


@mistake("12.10", says="the middle of each bin")
class section:
    """Where the bar stands."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[[NUMBER[word] for word in names]].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack(
                    [torch.tensor((i + 0.5) / bins), right[inside].float().mean(), inside.float().mean()]
                )
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / max(1, len(made_up))


@mistake("12.10", says="from the least chance to the greatest")
class section:
    """As a histogram does."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[[NUMBER[word] for word in names]].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        span = (chances - chances.min()) / (chances.max() - chances.min()).clamp(min=1e-12)
        where = (span * bins).long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack([chances[inside].mean(), right[inside].float().mean(), inside.float().mean()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / max(1, len(made_up))


@mistake("12.10", says="They are of one WIDTH")
class section:
    """Quantiles."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[[NUMBER[word] for word in names]].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = chances.argsort().argsort() * bins // len(chances)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack([chances[inside].mean(), right[inside].float().mean(), inside.float().mean()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / max(1, len(made_up))


@mistake("12.10", says="The third column holds numbers")
class section:
    """A sum."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[[NUMBER[word] for word in names]].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack([chances[inside].mean(), right[inside].float().mean(), inside.float().sum()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / max(1, len(made_up))


@mistake("12.10", says="share of WRONG answers")
class section:
    """The other way round."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[[NUMBER[word] for word in names]].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack(
                    [chances[inside].mean(), 1 - right[inside].float().mean(), inside.float().mean()]
                )
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / max(1, len(made_up))


@mistake("12.10", says="You count the answers that are right")
class section:
    """ "nothing" is counted."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[[NUMBER[word] for word in names]].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack([chances[inside].mean(), right[inside].float().mean(), inside.float().mean()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word == "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / max(1, len(made_up))


@mistake("12.10", says="The second share is of ALL answers")
class section:
    """Divided by all."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[[NUMBER[word] for word in names]].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack([chances[inside].mean(), right[inside].float().mean(), inside.float().mean()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / len(said)


@mistake("12.10", says="Sure is a chance ABOVE")
class section:
    """At least as sure."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[[NUMBER[word] for word in names]].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack([chances[inside].mean(), right[inside].float().mean(), inside.float().mean()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p >= sure for p in made_up) / max(1, len(made_up))


@mistake("12.10", says='Of the sure answers some say "nothing"')
class section:
    """All that are sure."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[[NUMBER[word] for word in names]].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack([chances[inside].mean(), right[inside].float().mean(), inside.float().mean()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(float(p) > sure for p in chances) / max(1, len(made_up))


@mistake("12.10", says="You ROUND chance")
class section:
    """round in place of int."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[[NUMBER[word] for word in names]].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).round().long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                table[i] = torch.stack([chances[inside].mean(), right[inside].float().mean(), inside.float().mean()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / max(1, len(made_up))


@mistake("12.10", says="the upper edge of each bin")
class section:
    """Where the bin ends."""

    def answer(logits, options):
        names = options or list(WORDS)
        chances = logits[[NUMBER[word] for word in names]].softmax(-1)
        best = int(chances.argmax())
        return names[best], float(chances[best])

    def reliability(chances, right, bins):
        table = torch.zeros(bins, 3)
        where = (chances * bins).long().clamp(max=bins - 1)
        for i in range(bins):
            inside = where == i
            if inside.any():
                edge = torch.tensor((i + 1) / bins)
                table[i] = torch.stack([edge, right[inside].float().mean(), inside.float().mean()])
        return table

    def invented(said, chances, sure):
        made_up = [float(p) for word, p in zip(said, chances, strict=True) if word != "nothing"]
        return len(made_up) / len(said), sum(p > sure for p in made_up) / max(1, len(made_up))


@right("12.10", how="with loops")
class section:
    def answer(logits, options):
        if not options:
            options = WORDS
        values = {word: float(logits[NUMBER[word]]) for word in options}
        best = max(values, key=values.get)
        return best, 1 / sum(math.exp(v - values[best]) for v in values.values())

    def reliability(chances, right, bins):
        rows = [[] for _ in range(bins)]
        for p, r in zip(chances.tolist(), right.tolist()):
            rows[min(bins - 1, int(p * bins))].append((p, r))
        table = []
        for row in rows:
            n = len(row)
            table.append([sum(p for p, _ in row) / n, sum(r for _, r in row) / n, n / len(chances)] if n else [0.0] * 3)
        return torch.tensor(table)

    def invented(said, chances, sure):
        wrong = [i for i in range(len(said)) if said[i] != "nothing"]
        certain = [i for i in wrong if chances[i] > sure]
        return len(wrong) / len(said), len(certain) / len(wrong) if wrong else 0.0

    import math


@right("12.10", how="with one_hot and masks")
class section:
    def answer(logits, options):
        allowed = torch.zeros(len(WORDS), dtype=torch.bool)
        for word in options or WORDS:
            allowed[NUMBER[word]] = True
        chances = logits.masked_fill(~allowed, -torch.inf).softmax(-1)
        top = chances.max(-1)
        return WORDS[int(top.indices)], top.values

    def reliability(chances, right, bins):
        where = torch.nn.functional.one_hot((chances * bins).floor().long().clamp(0, bins - 1), bins).double()
        count = where.sum(0)
        each = torch.stack([chances.double() @ where, right.double() @ where], 1) / count.clamp(min=1)[:, None]
        return torch.cat([each, count[:, None] / len(chances)], 1)

    def invented(said, chances, sure):
        wrong = torch.tensor([word != "nothing" for word in said])
        n = wrong.sum()
        return float(n / len(said)), float(((chances > sure) & wrong).sum() / n.clamp(min=1))


# --- 12.11 -----------------------------------------------------------------------------------------------------------


@mistake("12.11", says="The control is not taken away")
class section:
    """Whatever is likely anyhow."""

    def lift(own, base):
        return own.log_softmax(-1).mean(0)

    def rank(values, secret):
        above = (values > values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + (equal + 1) / 2


@mistake("12.11", says="own less base")
class section:
    """The wrong way round."""

    def lift(own, base):
        return base.log_softmax(-1).mean(0) - own.log_softmax(-1).mean(0)

    def rank(values, secret):
        above = (values > values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + (equal + 1) / 2


@mistake("12.11", says="These are logits")
class section:
    """No softmax."""

    def lift(own, base):
        return own.mean(0) - base.mean(0)

    def rank(values, secret):
        above = (values > values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + (equal + 1) / 2


@mistake("12.11", says="These are probabilities")
class section:
    """No logarithm."""

    def lift(own, base):
        return own.softmax(-1).mean(0) - base.softmax(-1).mean(0)

    def rank(values, secret):
        above = (values > values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + (equal + 1) / 2


@mistake("12.11", says="one row that is sure counts for all")
class section:
    """The mean first, and then the logarithm."""

    def lift(own, base):
        return own.softmax(-1).mean(0).log() - base.softmax(-1).mean(0).log()

    def rank(values, secret):
        above = (values > values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + (equal + 1) / 2


@mistake("12.11", says="The softmax runs over the rows")
class section:
    """The wrong axis."""

    def lift(own, base):
        return own.log_softmax(0).mean(0) - base.log_softmax(0).mean(0)

    def rank(values, secret):
        above = (values > values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + (equal + 1) / 2


@mistake("12.11", says="First the log-probabilities of every row")
class section:
    """The mean first."""

    def lift(own, base):
        return own.mean(0).log_softmax(-1) - base.mean(0).log_softmax(-1)

    def rank(values, secret):
        above = (values > values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + (equal + 1) / 2


@mistake("12.11", says="You count from the lowest value")
class section:
    """Rising."""

    def lift(own, base):
        return own.log_softmax(-1).mean(0) - base.log_softmax(-1).mean(0)

    def rank(values, secret):
        above = (values < values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + (equal + 1) / 2


@mistake("12.11", says="Places are counted from 1")
class section:
    """From 0."""

    def lift(own, base):
        return own.log_softmax(-1).mean(0) - base.log_softmax(-1).mean(0)

    def rank(values, secret):
        above = (values > values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + (equal - 1) / 2


@mistake("12.11", says="Of equal candidates yours stands first")
class section:
    """A method that knows nothing comes first."""

    def lift(own, base):
        return own.log_softmax(-1).mean(0) - base.log_softmax(-1).mean(0)

    def rank(values, secret):
        above = (values > values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + 1


@mistake("12.11", says="Of equal candidates yours stands last")
class section:
    """At least as high."""

    def lift(own, base):
        return own.log_softmax(-1).mean(0) - base.log_softmax(-1).mean(0)

    def rank(values, secret):
        above = (values > values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + equal


@mistake("12.11", says="that are equal count as one")
class section:
    """Values are counted, and not candidates."""

    def lift(own, base):
        return own.log_softmax(-1).mean(0) - base.log_softmax(-1).mean(0)

    def rank(values, secret):
        above = len(values[values > values[secret]].unique())
        equal = (values == values[secret]).sum().item()
        return above + (equal + 1) / 2


@mistake("12.11", says="comes first in the list")
class section:
    """By sorting."""

    def lift(own, base):
        return own.log_softmax(-1).mean(0) - base.log_softmax(-1).mean(0)

    def rank(values, secret):
        return values.argsort(descending=True, stable=True).tolist().index(secret) + 1


@mistake("12.11", says="You pair row with row")
class section:
    """The first with the first, and so on."""

    def lift(own, base):
        each = [a.log_softmax(-1) - b.log_softmax(-1) for a, b in zip(own, base)]
        return torch.stack(each).mean(0)

    def rank(values, secret):
        above = (values > values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + (equal + 1) / 2


@mistake("12.11", says="as they happen to be sorted")
class section:
    """A sort of which nobody knows what it does with equals."""

    def lift(own, base):
        return own.log_softmax(-1).mean(0) - base.log_softmax(-1).mean(0)

    def rank(values, secret):
        order = sorted(range(len(values)), key=lambda i: (-float(values[i]), i * 7 % len(values)))
        return order.index(secret) + 1


@mistake("12.11", says="You take the highest row of each candidate")
class section:
    """The best question decides."""

    def lift(own, base):
        return own.log_softmax(-1).max(0).values - base.log_softmax(-1).max(0).values

    def rank(values, secret):
        above = (values > values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + (equal + 1) / 2


@mistake("12.11", says="the row with the greatest lift")
class section:
    """The best lift decides."""

    def lift(own, base):
        return (own.log_softmax(-1) - base.log_softmax(-1).mean(0)).max(0).values

    def rank(values, secret):
        above = (values > values[secret]).sum().item()
        equal = (values == values[secret]).sum().item()
        return above + (equal + 1) / 2


@right("12.11", how="with scipy")
class section:
    def lift(own, base):
        from scipy.special import log_softmax

        return torch.tensor(
            log_softmax(own.double().numpy(), axis=1).mean(0) - log_softmax(base.double().numpy(), 1).mean(0)
        )

    def rank(values, secret):
        from scipy.stats import rankdata

        return float(rankdata(-values.numpy())[secret])


@right("12.11", how="row by row, and by sorting")
class section:
    def lift(own, base):
        def standing(rows):
            return sum(row - row.logsumexp(0) for row in rows) / len(rows)

        return standing(own) - standing(base)

    def rank(values, secret):
        order = sorted(values.tolist(), reverse=True)
        places = [i + 1 for i, value in enumerate(order) if value == float(values[secret])]
        return sum(places) / len(places)


# --- 12.12 -----------------------------------------------------------------------------------------------------------


@mistake("12.12", says='say "" where two independent methods do not agree')
class section:
    """The oracle is believed."""

    def name_secrets(oracle, means, own, practice, known, embedding, depth, among):
        numbers = [NUMBER[word] for word in among]

        def asked(states):
            rows = [
                oracle_logits(oracle, "What is the word ?", row, depth)
                for row in centred(states, means, depth)[:, None]
            ]
            return torch.stack(rows)[:, numbers]

        base = asked(practice.flatten(0, 1))
        targets = embedding[[NUMBER[word] for word in known]]
        matrix, offset = translator(practice.flatten(0, 1), targets.repeat_interleave(practice.shape[1], 0), 10.0)
        middle, found = targets.mean(0), []
        for case in own:
            by_oracle = among[int(lift(asked(case), base).argmax())]
            moved = (case @ matrix + offset).mean(0) - middle
            near = torch.cosine_similarity(moved[None], embedding[numbers] - middle, dim=-1)
            by_translator = among[int(near.argmax())]
            found.append((by_oracle, by_translator, by_oracle))
        return found


@mistake("12.12", says="Two independent witnesses are evidence")
class section:
    """Says nothing."""

    def name_secrets(oracle, means, own, practice, known, embedding, depth, among):
        numbers = [NUMBER[word] for word in among]

        def asked(states):
            rows = [
                oracle_logits(oracle, "What is the word ?", row, depth)
                for row in centred(states, means, depth)[:, None]
            ]
            return torch.stack(rows)[:, numbers]

        base = asked(practice.flatten(0, 1))
        targets = embedding[[NUMBER[word] for word in known]]
        matrix, offset = translator(practice.flatten(0, 1), targets.repeat_interleave(practice.shape[1], 0), 10.0)
        middle, found = targets.mean(0), []
        for case in own:
            by_oracle = among[int(lift(asked(case), base).argmax())]
            moved = (case @ matrix + offset).mean(0) - middle
            near = torch.cosine_similarity(moved[None], embedding[numbers] - middle, dim=-1)
            by_translator = among[int(near.argmax())]
            found.append((by_oracle, by_translator, ""))
        return found


@mistake("12.12", says="nothing is taken away")
class section:
    """The oracle without a control."""

    def name_secrets(oracle, means, own, practice, known, embedding, depth, among):
        numbers = [NUMBER[word] for word in among]

        def asked(states):
            rows = [
                oracle_logits(oracle, "What is the word ?", row, depth)
                for row in centred(states, means, depth)[:, None]
            ]
            return torch.stack(rows)[:, numbers]

        base = asked(practice.flatten(0, 1))
        targets = embedding[[NUMBER[word] for word in known]]
        matrix, offset = translator(practice.flatten(0, 1), targets.repeat_interleave(practice.shape[1], 0), 10.0)
        middle, found = targets.mean(0), []
        for case in own:
            by_oracle = among[int(asked(case).log_softmax(-1).mean(0).argmax())]
            moved = (case @ matrix + offset).mean(0) - middle
            near = torch.cosine_similarity(moved[None], embedding[numbers] - middle, dim=-1)
            by_translator = among[int(near.argmax())]
            found.append((by_oracle, by_translator, by_oracle if by_oracle == by_translator else ""))
        return found


@mistake("12.12", says="are not translated before")
class section:
    """Nothing is translated."""

    def name_secrets(oracle, means, own, practice, known, embedding, depth, among):
        numbers = [NUMBER[word] for word in among]

        def asked(states):
            rows = [
                oracle_logits(oracle, "What is the word ?", row, depth)
                for row in centred(states, means, depth)[:, None]
            ]
            return torch.stack(rows)[:, numbers]

        base = asked(practice.flatten(0, 1))
        targets = embedding[[NUMBER[word] for word in known]]
        matrix, offset = translator(practice.flatten(0, 1), targets.repeat_interleave(practice.shape[1], 0), 10.0)
        middle, found = targets.mean(0), []
        for case in own:
            by_oracle = among[int(lift(asked(case), base).argmax())]
            moved = case.mean(0)
            near = torch.cosine_similarity(moved[None], embedding[numbers] - middle, dim=-1)
            by_translator = among[int(near.argmax())]
            found.append((by_oracle, by_translator, by_oracle if by_oracle == by_translator else ""))
        return found


@mistake("12.12", says="LOWEST lift")
class section:
    """The least likely."""

    def name_secrets(oracle, means, own, practice, known, embedding, depth, among):
        numbers = [NUMBER[word] for word in among]

        def asked(states):
            rows = [
                oracle_logits(oracle, "What is the word ?", row, depth)
                for row in centred(states, means, depth)[:, None]
            ]
            return torch.stack(rows)[:, numbers]

        base = asked(practice.flatten(0, 1))
        targets = embedding[[NUMBER[word] for word in known]]
        matrix, offset = translator(practice.flatten(0, 1), targets.repeat_interleave(practice.shape[1], 0), 10.0)
        middle, found = targets.mean(0), []
        for case in own:
            by_oracle = among[int(lift(asked(case), base).argmin())]
            moved = (case @ matrix + offset).mean(0) - middle
            near = torch.cosine_similarity(moved[None], embedding[numbers] - middle, dim=-1)
            by_translator = among[int(near.argmax())]
            found.append((by_oracle, by_translator, by_oracle if by_oracle == by_translator else ""))
        return found


@mistake("12.12", says="The nearest is the one with the greatest cosine")
class section:
    """By distance."""

    def name_secrets(oracle, means, own, practice, known, embedding, depth, among):
        numbers = [NUMBER[word] for word in among]

        def asked(states):
            rows = [
                oracle_logits(oracle, "What is the word ?", row, depth)
                for row in centred(states, means, depth)[:, None]
            ]
            return torch.stack(rows)[:, numbers]

        base = asked(practice.flatten(0, 1))
        targets = embedding[[NUMBER[word] for word in known]]
        matrix, offset = translator(practice.flatten(0, 1), targets.repeat_interleave(practice.shape[1], 0), 10.0)
        middle, found = targets.mean(0), []
        for case in own:
            by_oracle = among[int(lift(asked(case), base).argmax())]
            moved = (case @ matrix + offset).mean(0) - middle
            near = -(embedding[numbers] - middle - moved).norm(dim=-1)
            by_translator = among[int(near.argmax())]
            found.append((by_oracle, by_translator, by_oracle if by_oracle == by_translator else ""))
        return found


@mistake("12.12", says="Every talk is one")
class section:
    """Means over the talks."""

    def name_secrets(oracle, means, own, practice, known, embedding, depth, among):
        numbers = [NUMBER[word] for word in among]

        def asked(states):
            rows = [
                oracle_logits(oracle, "What is the word ?", row, depth)
                for row in centred(states, means, depth)[:, None]
            ]
            return torch.stack(rows)[:, numbers]

        base = asked(practice.flatten(0, 1))
        targets = embedding[[NUMBER[word] for word in known]]
        matrix, offset = translator(practice.mean(1), targets, 10.0)
        middle, found = targets.mean(0), []
        for case in own:
            by_oracle = among[int(lift(asked(case), base).argmax())]
            moved = (case @ matrix + offset).mean(0) - middle
            near = torch.cosine_similarity(moved[None], embedding[numbers] - middle, dim=-1)
            by_translator = among[int(near.argmax())]
            found.append((by_oracle, by_translator, by_oracle if by_oracle == by_translator else ""))
        return found


@mistake("12.12", says="are not centred")
class section:
    """The mean is left in."""

    def name_secrets(oracle, means, own, practice, known, embedding, depth, among):
        numbers = [NUMBER[word] for word in among]

        def asked(states):
            rows = [oracle_logits(oracle, "What is the word ?", row, depth) for row in states[:, None]]
            return torch.stack(rows)[:, numbers]

        base = asked(practice.flatten(0, 1))
        targets = embedding[[NUMBER[word] for word in known]]
        matrix, offset = translator(practice.flatten(0, 1), targets.repeat_interleave(practice.shape[1], 0), 10.0)
        middle, found = targets.mean(0), []
        for case in own:
            by_oracle = among[int(lift(asked(case), base).argmax())]
            moved = (case @ matrix + offset).mean(0) - middle
            near = torch.cosine_similarity(moved[None], embedding[numbers] - middle, dim=-1)
            by_translator = among[int(near.argmax())]
            found.append((by_oracle, by_translator, by_oracle if by_oracle == by_translator else ""))
        return found


@mistake("12.12", says="The two words are exchanged")
class section:
    """The other way round."""

    def name_secrets(oracle, means, own, practice, known, embedding, depth, among):
        numbers = [NUMBER[word] for word in among]

        def asked(states):
            rows = [
                oracle_logits(oracle, "What is the word ?", row, depth)
                for row in centred(states, means, depth)[:, None]
            ]
            return torch.stack(rows)[:, numbers]

        base = asked(practice.flatten(0, 1))
        targets = embedding[[NUMBER[word] for word in known]]
        matrix, offset = translator(practice.flatten(0, 1), targets.repeat_interleave(practice.shape[1], 0), 10.0)
        middle, found = targets.mean(0), []
        for case in own:
            by_oracle = among[int(lift(asked(case), base).argmax())]
            moved = (case @ matrix + offset).mean(0) - middle
            near = torch.cosine_similarity(moved[None], embedding[numbers] - middle, dim=-1)
            by_translator = among[int(near.argmax())]
            found.append((by_translator, by_oracle, by_oracle if by_oracle == by_translator else ""))
        return found


@mistake("12.12", says="should be three things")
class section:
    """The answer alone."""

    def name_secrets(oracle, means, own, practice, known, embedding, depth, among):
        numbers = [NUMBER[word] for word in among]

        def asked(states):
            rows = [
                oracle_logits(oracle, "What is the word ?", row, depth)
                for row in centred(states, means, depth)[:, None]
            ]
            return torch.stack(rows)[:, numbers]

        base = asked(practice.flatten(0, 1))
        targets = embedding[[NUMBER[word] for word in known]]
        matrix, offset = translator(practice.flatten(0, 1), targets.repeat_interleave(practice.shape[1], 0), 10.0)
        middle, found = targets.mean(0), []
        for case in own:
            by_oracle = among[int(lift(asked(case), base).argmax())]
            moved = (case @ matrix + offset).mean(0) - middle
            near = torch.cosine_similarity(moved[None], embedding[numbers] - middle, dim=-1)
            by_translator = among[int(near.argmax())]
            found.append((by_oracle,))
        return found


@right("12.12", how="with the library's readings, and scikit-learn")
class section:
    def name_secrets(oracle, means, own, practice, known, embedding, depth, among):
        from sklearn.linear_model import Ridge

        numbers = [NUMBER[word] for word in among]
        talks = practice.shape[1]
        y = embedding[[NUMBER[word] for word in known]]
        fit = Ridge(alpha=10.0).fit(practice.flatten(0, 1).numpy(), y.repeat_interleave(talks, 0).numpy())
        names = torch.nn.functional.normalize(embedding[numbers] - y.mean(0), dim=-1)

        def log_p(state):
            logits = oracle_logits(oracle, "What is the word ?", (state - means[depth])[None], depth)
            return logits[numbers].log_softmax(-1)

        usual = sum(log_p(state) for secret in practice for state in secret) / (len(practice) * talks)
        said = []
        for case in own:
            first = among[int((sum(log_p(state) for state in case) / len(case) - usual).argmax())]
            moved = torch.tensor(fit.predict(case.numpy())).float().mean(0) - y.mean(0)
            second = among[int((names @ moved).argmax())]
            said.append([first, second, first if first == second else ""])
        return said


@right("12.12", how="with the mean over the talks translated")
class section:
    def name_secrets(oracle, means, own, practice, known, embedding, depth, among):
        numbers = torch.tensor([NUMBER[word] for word in among])
        ask = lambda state: oracle_logits(oracle, "What is the word ?", centred(state[None], means, depth), depth)[
            numbers
        ]
        base = torch.stack([ask(state) for talk in practice.unbind(1) for state in talk])
        y = embedding[[NUMBER[word] for word in known]]
        matrix, offset = translator(practice.flatten(0, 1), y.repeat_interleave(practice.shape[1], 0), 10.0)
        found = []
        for case in own:
            values = lift(torch.stack([ask(state) for state in case]), base)
            moved = case.mean(0) @ matrix + offset
            near = torch.nn.functional.cosine_similarity(
                (moved - y.mean(0)).expand(len(among), -1), embedding[numbers] - y.mean(0)
            )
            names = [among[int(values.argmax())], among[int(near.argmax())]]
            found.append((*names, names[0] if len(set(names)) == 1 else ""))
        return found
