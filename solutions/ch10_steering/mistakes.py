"""Wrong answers that learners and published code give to chapter 10, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 10.1 -------------------------------------------------------------------------------------------------------------


@mistake("10.1", says="This is what comes OUT of each block")
class section:
    """The output of block l is the input of block l + 1: published code takes the one for the other."""

    def prompt_ends(model, prompts, n):
        tokens, real = padded(prompts)
        names = [("resid_post", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)  # [prompt layer pos d_model]
        return torch.stack([stream[i, :, len(row) - n : len(row)] for i, row in enumerate(prompts)])


@mistake("10.1", says="in shorter prompts padding stands there")
class section:
    """The last columns of the batch."""

    def prompt_ends(model, prompts, n):
        tokens, real = padded(prompts)
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)  # [prompt layer pos d_model]
        return torch.stack([stream[i, :, -n:] for i, row in enumerate(prompts)])


@mistake("10.1", says="The last tokens come in the opposite order")
class section:
    """Counted from the end."""

    def prompt_ends(model, prompts, n):
        tokens, real = padded(prompts)
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)  # [prompt layer pos d_model]
        return torch.stack([stream[i, :, len(row) - n : len(row)].flip(1) for i, row in enumerate(prompts)])


@mistake("10.1", says="one position too early")
class section:
    """A range that ends before the last one."""

    def prompt_ends(model, prompts, n):
        tokens, real = padded(prompts)
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)  # [prompt layer pos d_model]
        return torch.stack([stream[i, :, len(row) - n - 1 : len(row) - 1] for i, row in enumerate(prompts)])


@mistake("10.1", says="These are the FIRST n tokens")
class section:
    """The wrong end."""

    def prompt_ends(model, prompts, n):
        tokens, real = padded(prompts)
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        stream = torch.stack([cache[name] for name in names], dim=1)  # [prompt layer pos d_model]
        return torch.stack([stream[i, :, :n] for i, row in enumerate(prompts)])


@right("10.1", how="each prompt alone, without padding")
class section:
    def prompt_ends(model, prompts, n):
        names = [f"blocks.{layer}.hook_resid_pre" for layer in range(model.cfg.n_layers)]
        found = []
        for row in prompts:
            _, cache = model.run_with_cache(torch.tensor([row]), names)
            found.append(torch.stack([cache[name][0, -n:] for name in names]))
        return torch.stack(found)


@right("10.1", how="padded on the left, where every prompt ends in the last column")
class section:
    def prompt_ends(model, prompts, n):
        width = max(map(len, prompts))
        tokens = torch.tensor([[0] * (width - len(row)) + row for row in prompts])
        real = torch.tensor([[i >= width - len(row) for i in range(width)] for row in prompts])
        names = [("resid_pre", layer) for layer in range(model.cfg.n_layers)]
        _, cache = model.run_with_cache(tokens, names, attention_mask=real)
        return torch.stack([cache[name][:, -n:] for name in names]).transpose(0, 1)


# --- 10.2 -------------------------------------------------------------------------------------------------------------


@mistake("10.2", says="Only the sign is wrong")
class section:
    """Harmless less harmful."""

    def difference_of_means(positive, negative):
        return negative.mean(0) - positive.mean(0)

    def told_apart(positive, negative, new_positive, new_negative):
        direction = difference_of_means(positive, negative)
        middle = (positive.mean(0) + negative.mean(0)) / 2
        hits = (((new_positive - middle) * direction).sum(-1) > 0).float().mean(0)
        rejected = (((new_negative - middle) * direction).sum(-1) <= 0).float().mean(0)
        return (hits + rejected) / 2


@mistake("10.2", says="You scale the direction to length 1")
class section:
    """Throws away how far apart the means are."""

    def difference_of_means(positive, negative):
        difference = positive.mean(0) - negative.mean(0)
        return difference / difference.norm(dim=-1, keepdim=True)

    def told_apart(positive, negative, new_positive, new_negative):
        direction = difference_of_means(positive, negative)
        middle = (positive.mean(0) + negative.mean(0)) / 2
        hits = (((new_positive - middle) * direction).sum(-1) > 0).float().mean(0)
        rejected = (((new_negative - middle) * direction).sum(-1) <= 0).float().mean(0)
        return (hits + rejected) / 2


@mistake("10.2", says="Each set has a mean of its own")
class section:
    """Sums over one count."""

    def difference_of_means(positive, negative):
        return (positive.sum(0) - negative.sum(0)) / len(positive)

    def told_apart(positive, negative, new_positive, new_negative):
        direction = difference_of_means(positive, negative)
        middle = (positive.mean(0) + negative.mean(0)) / 2
        hits = (((new_positive - middle) * direction).sum(-1) > 0).float().mean(0)
        rejected = (((new_negative - middle) * direction).sum(-1) <= 0).float().mean(0)
        return (hits + rejected) / 2


@mistake("10.2", says="Your border is at a projection of 0")
class section:
    """A probe without a bias, and states that are not centred."""

    def difference_of_means(positive, negative):
        return positive.mean(0) - negative.mean(0)

    def told_apart(positive, negative, new_positive, new_negative):
        direction = difference_of_means(positive, negative)
        middle = (positive.mean(0) + negative.mean(0)) / 2
        hits = ((new_positive * direction).sum(-1) > 0).float().mean(0)
        rejected = ((new_negative * direction).sum(-1) <= 0).float().mean(0)
        return (hits + rejected) / 2


@mistake("10.2", says="The sets differ in size: take the point half-way")
class section:
    """The mean of everything as the border."""

    def difference_of_means(positive, negative):
        return positive.mean(0) - negative.mean(0)

    def told_apart(positive, negative, new_positive, new_negative):
        direction = difference_of_means(positive, negative)
        middle = torch.cat([positive, negative]).mean(0)
        hits = (((new_positive - middle) * direction).sum(-1) > 0).float().mean(0)
        rejected = (((new_negative - middle) * direction).sum(-1) <= 0).float().mean(0)
        return (hits + rejected) / 2


@mistake("10.2", says="Your border comes from the new states")
class section:
    """The test decides where the border lies."""

    def difference_of_means(positive, negative):
        return positive.mean(0) - negative.mean(0)

    def told_apart(positive, negative, new_positive, new_negative):
        direction = difference_of_means(positive, negative)
        middle = torch.cat([new_positive, new_negative]).mean(0)
        hits = (((new_positive - middle) * direction).sum(-1) > 0).float().mean(0)
        rejected = (((new_negative - middle) * direction).sum(-1) <= 0).float().mean(0)
        return (hits + rejected) / 2


@mistake("10.2", says="Take the share of each set first")
class section:
    """All new states in one share."""

    def difference_of_means(positive, negative):
        return positive.mean(0) - negative.mean(0)

    def told_apart(positive, negative, new_positive, new_negative):
        direction = difference_of_means(positive, negative)
        middle = (positive.mean(0) + negative.mean(0)) / 2
        hits = (((new_positive - middle) * direction).sum(-1) > 0).float().mean(0)
        rejected = (((new_negative - middle) * direction).sum(-1) <= 0).float().mean(0)
        return (hits * len(new_positive) + rejected * len(new_negative)) / (len(new_positive) + len(new_negative))


@right("10.2", how="by the nearer of two means")
class section:
    def difference_of_means(positive, negative):
        return torch.einsum("anld->nld", positive) / len(positive) - negative.sum(dim=0) / negative.shape[0]

    def told_apart(positive, negative, new_positive, new_negative):
        def nearer(x):
            far, near = ((x - mean).double().square().sum(-1) for mean in (negative.mean(0), positive.mean(0)))
            return (far - near) > 0

        return (nearer(new_positive).double().mean(0) + 1 - nearer(new_negative).double().mean(0)) / 2


@right("10.2", how="layer by layer, place by place")
class section:
    def difference_of_means(positive, negative):
        return torch.mean(positive, 0).sub(torch.mean(negative, 0))

    def told_apart(positive, negative, new_positive, new_negative):
        table = torch.zeros(positive.shape[1:3])
        for layer in range(table.shape[0]):
            for place in range(table.shape[1]):
                a, b = positive[:, layer, place].mean(0), negative[:, layer, place].mean(0)
                border = (a + b) / 2 @ (a - b)
                yes = new_positive[:, layer, place] @ (a - b) > border
                no = new_negative[:, layer, place] @ (a - b) > border
                table[layer, place] = (yes.float().mean() + (~no).float().mean()) / 2
        return table


# --- 10.3 -------------------------------------------------------------------------------------------------------------


@mistake("10.3", says="You scale v to length 1")
class section:
    """Unit directions, as ablation wants them."""

    def add_vector(stream, vector, dose):
        return stream + dose * vector / vector.norm()

    def share_by_dose(model, prompts, vector, layer, doses, judge=refused):
        found = []
        for dose in doses:
            edits = [(("resid_pre", layer), lambda value, hook, dose=dose: add_vector(value, vector, dose))]
            found.append(share(judge, replies(model, prompts, edits, longest=16)))
        return torch.tensor(found)


@mistake("10.3", says="You add at the last position alone")
class section:
    """One place for all."""

    def add_vector(stream, vector, dose):
        stream = stream.clone()
        stream[:, -1] += dose * vector
        return stream

    def share_by_dose(model, prompts, vector, layer, doses, judge=refused):
        found = []
        for dose in doses:
            edits = [(("resid_pre", layer), lambda value, hook, dose=dose: add_vector(value, vector, dose))]
            found.append(share(judge, replies(model, prompts, edits, longest=16)))
        return torch.tensor(found)


@mistake("10.3", says="The dose is left out")
class section:
    """Adds once."""

    def add_vector(stream, vector, dose):
        return stream + vector

    def share_by_dose(model, prompts, vector, layer, doses, judge=refused):
        found = []
        for dose in doses:
            edits = [(("resid_pre", layer), lambda value, hook, dose=dose: add_vector(value, vector, dose))]
            found.append(share(judge, replies(model, prompts, edits, longest=16)))
        return torch.tensor(found)


@mistake("10.3", says="You add to what comes OUT of the block")
class section:
    """The direction was read at the input of this block: it is used one block too late."""

    def add_vector(stream, vector, dose):
        return stream + dose * vector

    def share_by_dose(model, prompts, vector, layer, doses, judge=refused):
        found = []
        for dose in doses:
            edits = [(("resid_post", layer), lambda value, hook, dose=dose: add_vector(value, vector, dose))]
            found.append(share(judge, replies(model, prompts, edits, longest=16)))
        return torch.tensor(found)


@mistake("10.3", says="an edit made in a loop looks its dose up when it is called")
class section:
    """All edits are made first, and used afterwards."""

    def add_vector(stream, vector, dose):
        return stream + dose * vector

    def share_by_dose(model, prompts, vector, layer, doses, judge=refused):
        every = []
        for dose in doses:
            every.append([(("resid_pre", layer), lambda value, hook: add_vector(value, vector, dose))])  # noqa: B023
        return torch.tensor([share(judge, replies(model, prompts, edits, longest=16)) for edits in every])


@mistake("10.3", says="These are numbers of replies")
class section:
    """Counts."""

    def add_vector(stream, vector, dose):
        return stream + dose * vector

    def share_by_dose(model, prompts, vector, layer, doses, judge=refused):
        found = []
        for dose in doses:
            edits = [(("resid_pre", layer), lambda value, hook, dose=dose: add_vector(value, vector, dose))]
            found.append(float(sum(judge(one.words) for one in replies(model, prompts, edits, longest=16))))
        return torch.tensor(found)


@right("10.3", how="with a context manager around the replies")
class section:
    def add_vector(stream, vector, dose):
        return stream + (dose * vector)[None, None]

    def share_by_dose(model, prompts, vector, layer, doses, judge):
        def at(dose):
            with model.hooks([(f"blocks.{layer}.hook_resid_pre", lambda value, hook: add_vector(value, vector, dose))]):
                said = replies(model, prompts, longest=16)
            return [judge(one.words) for one in said]

        return torch.tensor([at(dose) for dose in doses]).double().mean(1)


@right("10.3", how="with the library's edit, in a list")
class section:
    def add_vector(stream, vector, dose):
        return torch.add(stream, vector, alpha=dose)

    def share_by_dose(model, prompts, vector, layer, doses, judge):
        made = getattr(steering, "a" + "dd")
        return [share(judge, replies(model, prompts, made(vector, dose, layer), longest=16)) for dose in doses]


# --- 10.4 -------------------------------------------------------------------------------------------------------------


@mistake("10.4", says="A triple is three words in a row")
class section:
    """Pairs."""

    def known_triples(words, texts):
        known = {triple for text in texts for triple in [tuple(text[i : i + 2]) for i in range(len(text) - 1)]}
        triples = [tuple(words[i : i + 2]) for i in range(len(words) - 1)]
        return sum(triple in known for triple in triples) / len(triples) if triples else 0.0

    def proof(said, texts, seed):
        rng = random.Random(seed)
        mixed = [list(words) for words in said]
        for words in mixed:
            rng.shuffle(words)
        as_said, as_shuffled = (
            sum(known_triples(words, texts) for words in some) / len(some) for some in (said, mixed)
        )
        return as_said, as_shuffled


@mistake("10.4", says="You run the texts together")
class section:
    """One long text."""

    def known_triples(words, texts):
        text = [word for one in texts for word in one]
        known = set(zip(text, text[1:], text[2:], strict=False))
        triples = list(zip(words, words[1:], words[2:], strict=False))
        return sum(triple in known for triple in triples) / len(triples) if triples else 0.0

    def proof(said, texts, seed):
        rng = random.Random(seed)
        mixed = [list(words) for words in said]
        for words in mixed:
            rng.shuffle(words)
        as_said, as_shuffled = (
            sum(known_triples(words, texts) for words in some) / len(some) for some in (said, mixed)
        )
        return as_said, as_shuffled


@mistake("10.4", says="You count each triple of the reply once")
class section:
    """A set of the reply's triples."""

    def known_triples(words, texts):
        known = {triple for text in texts for triple in zip(text, text[1:], text[2:], strict=False)}
        triples = set(zip(words, words[1:], words[2:], strict=False))
        return sum(triple in known for triple in triples) / len(triples) if triples else 0.0

    def proof(said, texts, seed):
        rng = random.Random(seed)
        mixed = [list(words) for words in said]
        for words in mixed:
            rng.shuffle(words)
        as_said, as_shuffled = (
            sum(known_triples(words, texts) for words in some) / len(some) for some in (said, mixed)
        )
        return as_said, as_shuffled


@mistake("10.4", says="A judge that ignores order")
class section:
    """Counts known words: shuffling them changes nothing."""

    def known_triples(words, texts):
        known = {word for text in texts for word in text}
        triples = words
        return sum(triple in known for triple in triples) / len(triples) if triples else 0.0

    def proof(said, texts, seed):
        rng = random.Random(seed)
        mixed = [list(words) for words in said]
        for words in mixed:
            rng.shuffle(words)
        as_said, as_shuffled = (
            sum(known_triples(words, texts) for words in some) / len(some) for some in (said, mixed)
        )
        return as_said, as_shuffled


@mistake("10.4", says="Make one generator, before the loop")
class section:
    """A new generator for each reply."""

    def known_triples(words, texts):
        known = {triple for text in texts for triple in zip(text, text[1:], text[2:], strict=False)}
        triples = list(zip(words, words[1:], words[2:], strict=False))
        return sum(triple in known for triple in triples) / len(triples) if triples else 0.0

    def proof(said, texts, seed):
        mixed = [list(words) for words in said]
        for words in mixed:
            rng = random.Random(seed)
            rng.shuffle(words)
        as_said, as_shuffled = (
            sum(known_triples(words, texts) for words in some) / len(some) for some in (said, mixed)
        )
        return as_said, as_shuffled


@mistake("10.4", says="The two means are exchanged")
class section:
    """The wrong order."""

    def known_triples(words, texts):
        known = {triple for text in texts for triple in zip(text, text[1:], text[2:], strict=False)}
        triples = list(zip(words, words[1:], words[2:], strict=False))
        return sum(triple in known for triple in triples) / len(triples) if triples else 0.0

    def proof(said, texts, seed):
        rng = random.Random(seed)
        mixed = [list(words) for words in said]
        for words in mixed:
            rng.shuffle(words)
        as_said, as_shuffled = (
            sum(known_triples(words, texts) for words in some) / len(some) for some in (said, mixed)
        )
        return as_shuffled, as_said


@right("10.4", how="by index, with joined strings")
class section:
    def known_triples(words, texts):
        known = set()
        for text in texts:
            for i in range(len(text) - 2):
                known.add("|".join(text[i : i + 3]))
        n = len(words) - 2
        if n < 1:
            return 0
        return sum("|".join(words[i : i + 3]) in known for i in range(n)) / n

    def proof(said, texts, seed):
        rng = random.Random(seed)
        plain, mixed = 0.0, 0.0
        for words in said:
            plain += known_triples(words, texts) / len(said)
            copy = words[:]
            rng.shuffle(copy)
            mixed += known_triples(copy, texts) / len(said)
        return plain, mixed


@right("10.4", how="with tensors at the end")
class section:
    def known_triples(words, texts):
        known = [tuple(text[i : i + 3]) for text in texts for i in range(len(text) - 2)]
        hits = [tuple(words[i : i + 3]) in known for i in range(len(words) - 2)]
        return torch.tensor(hits, dtype=torch.float64).mean().item() if hits else 0.0

    def proof(said, texts, seed):
        rng, scores = random.Random(seed), []
        for words in said:
            other = list(words)
            rng.shuffle(other)
            scores.append([known_triples(words, texts), known_triples(other, texts)])
        return tuple(torch.tensor(scores, dtype=torch.float64).mean(0))


# --- 10.5 -------------------------------------------------------------------------------------------------------------


@mistake("10.5", says="Position `stop` gets the vector too")
class section:
    """<= for <."""

    def add_from_to(stream, vector, dose, start, stop):
        there = torch.arange(stream.shape[1])
        inside = (there >= start) & (there <= stop)
        return stream + dose * inside[:, None] * vector

    def replies_by_place(model, prompt, vector, layer, dose):
        end = len(prompt)
        spans = {"before": (0, end - 1), "last": (end - 1, end), "reply": (end, 10**6), "everywhere": (0, 10**6)}
        found = {}
        for name, (start, stop) in spans.items():

            def edit(value, hook, start=start, stop=stop):
                return add_from_to(value, vector, dose, start, stop)

            found[name] = replies(model, [prompt], [(("resid_pre", layer), edit)], longest=16)[0].tokens
        return found


@mistake("10.5", says="Positions outside of the span are 0")
class section:
    """Multiplies the stream too."""

    def add_from_to(stream, vector, dose, start, stop):
        there = torch.arange(stream.shape[1])
        inside = (there >= start) & (there < stop)
        return (stream + dose * vector) * inside[:, None]

    def replies_by_place(model, prompt, vector, layer, dose):
        end = len(prompt)
        spans = {"before": (0, end - 1), "last": (end - 1, end), "reply": (end, 10**6), "everywhere": (0, 10**6)}
        found = {}
        for name, (start, stop) in spans.items():

            def edit(value, hook, start=start, stop=stop):
                return add_from_to(value, vector, dose, start, stop)

            found[name] = replies(model, [prompt], [(("resid_pre", layer), edit)], longest=16)[0].tokens
        return found


@mistake("10.5", says="in the place of what stands there")
class section:
    """Assigns to a slice."""

    def add_from_to(stream, vector, dose, start, stop):
        found = stream.clone()
        found[:, start:stop] = dose * vector
        return found

    def replies_by_place(model, prompt, vector, layer, dose):
        end = len(prompt)
        spans = {"before": (0, end - 1), "last": (end - 1, end), "reply": (end, 10**6), "everywhere": (0, 10**6)}
        found = {}
        for name, (start, stop) in spans.items():

            def edit(value, hook, start=start, stop=stop):
                return add_from_to(value, vector, dose, start, stop)

            found[name] = replies(model, [prompt], [(("resid_pre", layer), edit)], longest=16)[0].tokens
        return found


@mistake("10.5", says="You add everywhere")
class section:
    """The span is made and not used."""

    def add_from_to(stream, vector, dose, start, stop):
        there = torch.arange(stream.shape[1])
        inside = (there >= start) & (there < stop)
        return stream + dose * vector

    def replies_by_place(model, prompt, vector, layer, dose):
        end = len(prompt)
        spans = {"before": (0, end - 1), "last": (end - 1, end), "reply": (end, 10**6), "everywhere": (0, 10**6)}
        found = {}
        for name, (start, stop) in spans.items():

            def edit(value, hook, start=start, stop=stop):
                return add_from_to(value, vector, dose, start, stop)

            found[name] = replies(model, [prompt], [(("resid_pre", layer), edit)], longest=16)[0].tokens
        return found


@mistake("10.5", says="“reply” begins at the prompt")
class section:
    """One too early."""

    def add_from_to(stream, vector, dose, start, stop):
        there = torch.arange(stream.shape[1])
        inside = (there >= start) & (there < stop)
        return stream + dose * inside[:, None] * vector

    def replies_by_place(model, prompt, vector, layer, dose):
        end = len(prompt)
        spans = {"before": (0, end - 1), "last": (end - 1, end), "reply": (end - 1, 10**6), "everywhere": (0, 10**6)}
        found = {}
        for name, (start, stop) in spans.items():

            def edit(value, hook, start=start, stop=stop):
                return add_from_to(value, vector, dose, start, stop)

            found[name] = replies(model, [prompt], [(("resid_pre", layer), edit)], longest=16)[0].tokens
        return found


@mistake("10.5", says="“before” has the last token of the prompt in it")
class section:
    """One too far."""

    def add_from_to(stream, vector, dose, start, stop):
        there = torch.arange(stream.shape[1])
        inside = (there >= start) & (there < stop)
        return stream + dose * inside[:, None] * vector

    def replies_by_place(model, prompt, vector, layer, dose):
        end = len(prompt)
        spans = {"before": (0, end), "last": (end - 1, end), "reply": (end, 10**6), "everywhere": (0, 10**6)}
        found = {}
        for name, (start, stop) in spans.items():

            def edit(value, hook, start=start, stop=stop):
                return add_from_to(value, vector, dose, start, stop)

            found[name] = replies(model, [prompt], [(("resid_pre", layer), edit)], longest=16)[0].tokens
        return found


@mistake("10.5", says="It is the prompt's last token alone")
class section:
    """On into the reply."""

    def add_from_to(stream, vector, dose, start, stop):
        there = torch.arange(stream.shape[1])
        inside = (there >= start) & (there < stop)
        return stream + dose * inside[:, None] * vector

    def replies_by_place(model, prompt, vector, layer, dose):
        end = len(prompt)
        spans = {"before": (0, end - 1), "last": (end - 1, 10**6), "reply": (end, 10**6), "everywhere": (0, 10**6)}
        found = {}
        for name, (start, stop) in spans.items():

            def edit(value, hook, start=start, stop=stop):
                return add_from_to(value, vector, dose, start, stop)

            found[name] = replies(model, [prompt], [(("resid_pre", layer), edit)], longest=16)[0].tokens
        return found


@mistake("10.5", says="at len(prompt) − 1")
class section:
    """One too late."""

    def add_from_to(stream, vector, dose, start, stop):
        there = torch.arange(stream.shape[1])
        inside = (there >= start) & (there < stop)
        return stream + dose * inside[:, None] * vector

    def replies_by_place(model, prompt, vector, layer, dose):
        end = len(prompt)
        spans = {"before": (0, end - 1), "last": (end, 10**6), "reply": (end, 10**6), "everywhere": (0, 10**6)}
        found = {}
        for name, (start, stop) in spans.items():

            def edit(value, hook, start=start, stop=stop):
                return add_from_to(value, vector, dose, start, stop)

            found[name] = replies(model, [prompt], [(("resid_pre", layer), edit)], longest=16)[0].tokens
        return found


@right("10.5", how="a copy, and a slice of it")
class section:
    def add_from_to(stream, vector, dose, start, stop):
        new = stream.clone()
        new[:, start:stop] = new[:, start:stop] + dose * vector
        return new

    def replies_by_place(model, prompt, vector, layer, dose):
        n, far = len(prompt), 1_000

        def says(start, stop):
            edit = (("resid_pre", layer), lambda value, hook: add_from_to(value, vector, dose, start, stop))
            return replies(model, [prompt], [edit], longest=16)[0].tokens

        return {"everywhere": says(0, far), "last": says(n - 1, n), "reply": says(n, far), "before": says(0, n - 1)}


@right("10.5", how="pieces put together")
class section:
    def add_from_to(stream, vector, dose, start, stop):
        return torch.cat([stream[:, :start], stream[:, start:stop] + dose * vector, stream[:, max(start, stop) :]], 1)

    def replies_by_place(model, prompt, vector, layer, dose):
        found = {}
        for name in ("before", "last", "reply", "everywhere"):
            start = {"before": 0, "last": len(prompt) - 1, "reply": len(prompt), "everywhere": 0}[name]
            stop = {"before": len(prompt) - 1, "last": len(prompt)}.get(name, model.cfg.n_ctx)

            def edit(value, hook, start=start, stop=stop):
                return add_from_to(value, vector, dose, start, stop)

            with model.hooks([(("resid_pre", layer), edit)]):
                found[name] = replies(model, [prompt], longest=16)[0].tokens
        return found


# --- 10.6 -------------------------------------------------------------------------------------------------------------


@mistake("10.6", says="Only the sign is wrong")
class section:
    """Minus less plus."""

    def one_pair(model, plus, minus, layer):
        tokens, site = torch.tensor([plus, minus]), ("resid_pre", layer)
        states = model.run_with_cache(tokens, site)[1][site]
        return states[1] - states[0]

    def add_at_start(stream, difference, dose):
        n = min(len(difference), stream.shape[1])
        return torch.cat([stream[:, :n] + dose * difference[:n], stream[:, n:]], dim=1)

    def many_pairs(model, plus, minus, layer):
        ends = [prompt_ends(model, prompts, 1)[:, layer, 0] for prompts in (plus, minus)]
        return (ends[0] - ends[1]).mean(0)


@mistake("10.6", says="This is what comes OUT of the block")
class section:
    """Output for input."""

    def one_pair(model, plus, minus, layer):
        tokens, site = torch.tensor([plus, minus]), ("resid_post", layer)
        states = model.run_with_cache(tokens, site)[1][site]
        return states[0] - states[1]

    def add_at_start(stream, difference, dose):
        n = min(len(difference), stream.shape[1])
        return torch.cat([stream[:, :n] + dose * difference[:n], stream[:, n:]], dim=1)

    def many_pairs(model, plus, minus, layer):
        ends = [prompt_ends(model, prompts, 1)[:, layer, 0] for prompts in (plus, minus)]
        return (ends[0] - ends[1]).mean(0)


@mistake("10.6", says="ActAdd adds at its first positions")
class section:
    """Added at the end of the text."""

    def one_pair(model, plus, minus, layer):
        tokens, site = torch.tensor([plus, minus]), ("resid_pre", layer)
        states = model.run_with_cache(tokens, site)[1][site]
        return states[0] - states[1]

    def add_at_start(stream, difference, dose):
        n = min(len(difference), stream.shape[1])
        k = stream.shape[1] - n
        return torch.cat([stream[:, :k], stream[:, k:] + dose * difference[len(difference) - n :]], dim=1)

    def many_pairs(model, plus, minus, layer):
        ends = [prompt_ends(model, prompts, 1)[:, layer, 0] for prompts in (plus, minus)]
        return (ends[0] - ends[1]).mean(0)


@mistake("10.6", says="Every position gets the mean difference")
class section:
    """One vector for all."""

    def one_pair(model, plus, minus, layer):
        tokens, site = torch.tensor([plus, minus]), ("resid_pre", layer)
        states = model.run_with_cache(tokens, site)[1][site]
        return states[0] - states[1]

    def add_at_start(stream, difference, dose):
        n = min(len(difference), stream.shape[1])
        return stream + dose * difference.mean(0)

    def many_pairs(model, plus, minus, layer):
        ends = [prompt_ends(model, prompts, 1)[:, layer, 0] for prompts in (plus, minus)]
        return (ends[0] - ends[1]).mean(0)


@mistake("10.6", says="The positions behind the difference are cut off")
class section:
    """Forgets the rest."""

    def one_pair(model, plus, minus, layer):
        tokens, site = torch.tensor([plus, minus]), ("resid_pre", layer)
        states = model.run_with_cache(tokens, site)[1][site]
        return states[0] - states[1]

    def add_at_start(stream, difference, dose):
        n = min(len(difference), stream.shape[1])
        return stream[:, :n] + dose * difference[:n]

    def many_pairs(model, plus, minus, layer):
        ends = [prompt_ends(model, prompts, 1)[:, layer, 0] for prompts in (plus, minus)]
        return (ends[0] - ends[1]).mean(0)


@mistake("10.6", says="A stream shorter than the difference gets nothing")
class section:
    """Leaves short streams alone."""

    def one_pair(model, plus, minus, layer):
        tokens, site = torch.tensor([plus, minus]), ("resid_pre", layer)
        states = model.run_with_cache(tokens, site)[1][site]
        return states[0] - states[1]

    def add_at_start(stream, difference, dose):
        n = len(difference)
        if stream.shape[1] < n:
            return stream
        return torch.cat([stream[:, :n] + dose * difference, stream[:, n:]], dim=1)

    def many_pairs(model, plus, minus, layer):
        ends = [prompt_ends(model, prompts, 1)[:, layer, 0] for prompts in (plus, minus)]
        return (ends[0] - ends[1]).mean(0)


@mistake("10.6", says="You read the last column of the padded batch")
class section:
    """Padding."""

    def one_pair(model, plus, minus, layer):
        tokens, site = torch.tensor([plus, minus]), ("resid_pre", layer)
        states = model.run_with_cache(tokens, site)[1][site]
        return states[0] - states[1]

    def add_at_start(stream, difference, dose):
        n = min(len(difference), stream.shape[1])
        return torch.cat([stream[:, :n] + dose * difference[:n], stream[:, n:]], dim=1)

    def many_pairs(model, plus, minus, layer):
        ends = []
        for prompts in (plus, minus):
            tokens, real = padded(prompts)
            ends.append(model.run_with_cache(tokens, ("resid_pre", layer))[1]["resid_pre", layer][:, -1])
        return (ends[0] - ends[1]).mean(0)


@mistake("10.6", says="This is the sum over pairs")
class section:
    """Sum for mean."""

    def one_pair(model, plus, minus, layer):
        tokens, site = torch.tensor([plus, minus]), ("resid_pre", layer)
        states = model.run_with_cache(tokens, site)[1][site]
        return states[0] - states[1]

    def add_at_start(stream, difference, dose):
        n = min(len(difference), stream.shape[1])
        return torch.cat([stream[:, :n] + dose * difference[:n], stream[:, n:]], dim=1)

    def many_pairs(model, plus, minus, layer):
        ends = [prompt_ends(model, prompts, 1)[:, layer, 0] for prompts in (plus, minus)]
        return (ends[0] - ends[1]).sum(0)


@right("10.6", how="two runs; a loop over positions")
class section:
    def one_pair(model, plus, minus, layer):
        def stream(row):
            return model.run_with_cache(torch.tensor([row]), f"blocks.{layer}.hook_resid_pre")[1]["resid_pre", layer][0]

        return stream(plus) - stream(minus)

    def add_at_start(stream, difference, dose):
        new = stream.clone()
        for position in range(min(stream.shape[1], len(difference))):
            new[:, position] += dose * difference[position]
        return new

    def many_pairs(model, plus, minus, layer):
        total = torch.zeros(model.cfg.d_model)
        for a, b in zip(plus, minus, strict=True):
            one, other = (model.run_with_cache(torch.tensor([row]), ("resid_pre", layer))[1] for row in (a, b))
            total += one["resid_pre", layer][0, -1] - other["resid_pre", layer][0, -1]
        return total / len(plus)


@right("10.6", how="a difference with zeros behind it")
class section:
    def one_pair(model, plus, minus, layer):
        _, cache = model.run_with_cache(torch.tensor([plus, minus]), [("resid_pre", layer)])
        return cache["resid_pre", layer][0].sub(cache["resid_pre", layer][1])

    def add_at_start(stream, difference, dose):
        wide = torch.zeros(stream.shape[1], stream.shape[2])
        n = min(len(difference), len(wide))
        wide[:n] = difference[:n]
        return stream + dose * wide

    def many_pairs(model, plus, minus, layer):
        return difference_of_means(prompt_ends(model, plus, 2), prompt_ends(model, minus, 2))[layer, 1]


# --- 10.7 -------------------------------------------------------------------------------------------------------------


@mistake("10.7", says="You did not scale the direction to length 1")
class section:
    """r rᵀ for r̂ r̂ᵀ."""

    def ablate(stream, direction):
        unit = direction
        return stream - (stream @ unit)[..., None] * unit

    def logits_without(model, tokens, direction, real=None):
        ends = ("hook_resid_pre", "hook_attn_out", "hook_mlp_out")
        with model.hooks([(lambda name: name.endswith(ends), lambda value, hook: ablate(value, direction))]):
            return model(tokens, real)


@mistake("10.7", says="This is the part that is to be taken OUT")
class section:
    """The projection."""

    def ablate(stream, direction):
        unit = direction / direction.norm()
        return (stream @ unit)[..., None] * unit

    def logits_without(model, tokens, direction, real=None):
        ends = ("hook_resid_pre", "hook_attn_out", "hook_mlp_out")
        with model.hooks([(lambda name: name.endswith(ends), lambda value, hook: ablate(value, direction))]):
            return model(tokens, real)


@mistake("10.7", says="You subtract the direction itself")
class section:
    """Subtracts whatever is there."""

    def ablate(stream, direction):
        unit = direction / direction.norm()
        return stream - direction

    def logits_without(model, tokens, direction, real=None):
        ends = ("hook_resid_pre", "hook_attn_out", "hook_mlp_out")
        with model.hooks([(lambda name: name.endswith(ends), lambda value, hook: ablate(value, direction))]):
            return model(tokens, real)


@mistake("10.7", says="You reflect the stream")
class section:
    """Taken out twice."""

    def ablate(stream, direction):
        unit = direction / direction.norm()
        return stream - 2 * (stream @ unit)[..., None] * unit

    def logits_without(model, tokens, direction, real=None):
        ends = ("hook_resid_pre", "hook_attn_out", "hook_mlp_out")
        with model.hooks([(lambda name: name.endswith(ends), lambda value, hook: ablate(value, direction))]):
            return model(tokens, real)


@mistake("10.7", says="You take it out at the inputs of blocks alone")
class section:
    """One of three writes."""

    def ablate(stream, direction):
        unit = direction / direction.norm()
        return stream - (stream @ unit)[..., None] * unit

    def logits_without(model, tokens, direction, real=None):
        ends = ("hook_resid_pre",)
        with model.hooks([(lambda name: name.endswith(ends), lambda value, hook: ablate(value, direction))]):
            return model(tokens, real)


@mistake("10.7", says="What attention writes is left")
class section:
    """Two of three writes."""

    def ablate(stream, direction):
        unit = direction / direction.norm()
        return stream - (stream @ unit)[..., None] * unit

    def logits_without(model, tokens, direction, real=None):
        ends = ("hook_resid_pre", "hook_mlp_out")
        with model.hooks([(lambda name: name.endswith(ends), lambda value, hook: ablate(value, direction))]):
            return model(tokens, real)


@mistake("10.7", says="What MLPs write is left")
class section:
    """Two of three writes."""

    def ablate(stream, direction):
        unit = direction / direction.norm()
        return stream - (stream @ unit)[..., None] * unit

    def logits_without(model, tokens, direction, real=None):
        ends = ("hook_resid_pre", "hook_attn_out")
        with model.hooks([(lambda name: name.endswith(ends), lambda value, hook: ablate(value, direction))]):
            return model(tokens, real)


@mistake("10.7", says="`real` does not reach the model")
class section:
    """No mask."""

    def ablate(stream, direction):
        unit = direction / direction.norm()
        return stream - (stream @ unit)[..., None] * unit

    def logits_without(model, tokens, direction, real=None):
        ends = ("hook_resid_pre", "hook_attn_out", "hook_mlp_out")
        with model.hooks([(lambda name: name.endswith(ends), lambda value, hook: ablate(value, direction))]):
            return model(tokens)


@right("10.7", how="with a matrix, and a list of sites")
class section:
    def ablate(stream, direction):
        keep = torch.eye(len(direction)) - torch.outer(direction, direction) / direction.dot(direction)
        return stream @ keep

    def logits_without(model, tokens, direction, real=None):
        names = [(name, layer) for layer in range(model.cfg.n_layers) for name in ("resid_pre", "attn_out", "mlp_out")]
        edits = [(name, lambda value, hook: ablate(value, direction)) for name in names]
        return model.run_with_hooks(tokens, edits, attention_mask=real)


@right("10.7", how="with projections by einsum")
class section:
    def ablate(stream, direction):
        unit = torch.nn.functional.normalize(direction, dim=0)
        return stream - torch.einsum("bpd,d,e->bpe", stream, unit, unit)

    def logits_without(model, tokens, direction, real=None):
        writes = ["hook_resid_pre", "hook_attn_out", "hook_mlp_out"]
        edit = (lambda name: any(name.endswith(end) for end in writes), lambda value, hook: ablate(value, direction))
        with model.hooks([edit]):
            return model(tokens, attention_mask=real)


# --- 10.8 -------------------------------------------------------------------------------------------------------------


@mistake("10.8", says="or something at one block's input alone")
class section:
    """One place is enough to add, not to take out."""

    def scores(model, direction, layer, harmful, harmless, dose, judge=refused):
        refuses = share(
            judge,
            replies(model, harmful, [(("resid_pre", layer), lambda value, hook: ablate(value, direction))], longest=16),
        )
        induces = share(judge, replies(model, harmless, steering.add(direction, dose, layer), longest=16))
        tokens, real = padded(harmless)
        last = real.sum(1) - 1
        rows = torch.arange(len(tokens))
        p = model(tokens, real)[rows, last].log_softmax(-1)
        q = logits_without(model, tokens, direction, real)[rows, last].log_softmax(-1)
        return refuses, induces, float((p.exp() * (p - q)).sum(-1).mean())


@mistake("10.8", says="The divergence is turned round")
class section:
    """KL(q ‖ p)."""

    def scores(model, direction, layer, harmful, harmless, dose, judge=refused):
        refuses = share(judge, replies(model, harmful, steering.ablate(direction), longest=16))
        induces = share(judge, replies(model, harmless, steering.add(direction, dose, layer), longest=16))
        tokens, real = padded(harmless)
        last = real.sum(1) - 1
        rows = torch.arange(len(tokens))
        p = model(tokens, real)[rows, last].log_softmax(-1)
        q = logits_without(model, tokens, direction, real)[rows, last].log_softmax(-1)
        return refuses, induces, float((q.exp() * (q - p)).sum(-1).mean())


@mistake("10.8", says="You read the distribution at the last column of the padded batch")
class section:
    """Padding."""

    def scores(model, direction, layer, harmful, harmless, dose, judge=refused):
        refuses = share(judge, replies(model, harmful, steering.ablate(direction), longest=16))
        induces = share(judge, replies(model, harmless, steering.add(direction, dose, layer), longest=16))
        tokens, real = padded(harmless)
        last = -torch.ones(len(tokens), dtype=torch.long)
        rows = torch.arange(len(tokens))
        p = model(tokens, real)[rows, last].log_softmax(-1)
        q = logits_without(model, tokens, direction, real)[rows, last].log_softmax(-1)
        return refuses, induces, float((p.exp() * (p - q)).sum(-1).mean())


@mistake("10.8", says="`induces` is that of the direction added once")
class section:
    """The dose is left out."""

    def scores(model, direction, layer, harmful, harmless, dose, judge=refused):
        refuses = share(judge, replies(model, harmful, steering.ablate(direction), longest=16))
        induces = share(judge, replies(model, harmless, steering.add(direction, 1.0, layer), longest=16))
        tokens, real = padded(harmless)
        last = real.sum(1) - 1
        rows = torch.arange(len(tokens))
        p = model(tokens, real)[rows, last].log_softmax(-1)
        q = logits_without(model, tokens, direction, real)[rows, last].log_softmax(-1)
        return refuses, induces, float((p.exp() * (p - q)).sum(-1).mean())


@mistake("10.8", says="`induces` adds to the OUTPUT of the block")
class section:
    """One block too late."""

    def scores(model, direction, layer, harmful, harmless, dose, judge=refused):
        refuses = share(judge, replies(model, harmful, steering.ablate(direction), longest=16))
        induces = share(
            judge, replies(model, harmless, steering.add(direction, dose, layer, site="resid_post"), longest=16)
        )
        tokens, real = padded(harmless)
        last = real.sum(1) - 1
        rows = torch.arange(len(tokens))
        p = model(tokens, real)[rows, last].log_softmax(-1)
        q = logits_without(model, tokens, direction, real)[rows, last].log_softmax(-1)
        return refuses, induces, float((p.exp() * (p - q)).sum(-1).mean())


@mistake("10.8", says="`induces` is asked while the direction is ablated")
class section:
    """Ablates both times."""

    def scores(model, direction, layer, harmful, harmless, dose, judge=refused):
        refuses = share(judge, replies(model, harmful, steering.ablate(direction), longest=16))
        induces = share(judge, replies(model, harmless, steering.ablate(direction), longest=16))
        tokens, real = padded(harmless)
        last = real.sum(1) - 1
        rows = torch.arange(len(tokens))
        p = model(tokens, real)[rows, last].log_softmax(-1)
        q = logits_without(model, tokens, direction, real)[rows, last].log_softmax(-1)
        return refuses, induces, float((p.exp() * (p - q)).sum(-1).mean())


@mistake("10.8", says="This is the sum over prompts")
class section:
    """Sum for mean."""

    def scores(model, direction, layer, harmful, harmless, dose, judge=refused):
        refuses = share(judge, replies(model, harmful, steering.ablate(direction), longest=16))
        induces = share(judge, replies(model, harmless, steering.add(direction, dose, layer), longest=16))
        tokens, real = padded(harmless)
        last = real.sum(1) - 1
        rows = torch.arange(len(tokens))
        p = model(tokens, real)[rows, last].log_softmax(-1)
        q = logits_without(model, tokens, direction, real)[rows, last].log_softmax(-1)
        return refuses, induces, float((p.exp() * (p - q)).sum())


@right("10.8", how="with the earlier functions and torch's divergence")
class section:
    def scores(model, direction, layer, harmful, harmless, dose, judge):
        def first(row, ablated):
            tokens = torch.tensor([row])
            logits = logits_without(model, tokens, direction) if ablated else model(tokens)
            return logits[0, -1].log_softmax(-1)

        moved = [
            torch.nn.functional.kl_div(first(row, True), first(row, False), log_target=True, reduction="sum")
            for row in harmless
        ]
        induces = share_by_dose(model, harmless, direction, layer, [dose], judge)[0]
        return (
            share(judge, replies(model, harmful, steering.ablate(direction), longest=16)),
            induces,
            sum(moved) / len(moved),
        )


@right("10.8", how="with one list of judgements each")
class section:
    def scores(model, direction, layer, harmful, harmless, dose, judge):
        def judged(prompts, edits):
            with model.hooks(edits):
                return torch.tensor([float(judge(one.words)) for one in replies(model, prompts, longest=16)]).mean()

        tokens, real = padded(harmless)
        at = real.long().cumsum(1).argmax(1)[:, None, None].expand(-1, 1, model.cfg.d_vocab)
        with model.hooks(steering.ablate(direction)):
            after = model(tokens, real).gather(1, at)[:, 0].softmax(-1)
        before = model(tokens, real).gather(1, at)[:, 0].softmax(-1)
        kl = (before * (before.log() - after.log())).sum(-1).mean()
        return judged(harmful, steering.ablate(direction)), judged(harmless, steering.add(direction, dose, layer)), kl


# --- 10.9 -------------------------------------------------------------------------------------------------------------


@mistake("10.9", says="You do not ask whether it induces refusal")
class section:
    """One condition is forgotten."""

    def select(refuses, induces, kl):
        layers, places = refuses.shape
        allowed = [
            (float(refuses[layer, place]), -float(induces[layer, place]), layer, place)
            for layer in range(layers)
            for place in range(places)
            if kl[layer, place] < 0.1 and layer < 0.8 * layers
            if not refuses[layer, place].isnan()
        ]
        if not allowed:
            raise ValueError("no candidate meets the conditions")
        _, _, layer, place = min(allowed)
        return layer, place


@mistake("10.9", says="You do not ask whether harmless prompts are left alone")
class section:
    """One condition is forgotten."""

    def select(refuses, induces, kl):
        layers, places = refuses.shape
        allowed = [
            (float(refuses[layer, place]), -float(induces[layer, place]), layer, place)
            for layer in range(layers)
            for place in range(places)
            if induces[layer, place] > 0 and layer < 0.8 * layers
            if not refuses[layer, place].isnan()
        ]
        if not allowed:
            raise ValueError("no candidate meets the conditions")
        _, _, layer, place = min(allowed)
        return layer, place


@mistake("10.9", says="You do not ask whether it comes late")
class section:
    """One condition is forgotten."""

    def select(refuses, induces, kl):
        layers, places = refuses.shape
        allowed = [
            (float(refuses[layer, place]), -float(induces[layer, place]), layer, place)
            for layer in range(layers)
            for place in range(places)
            if induces[layer, place] > 0 and kl[layer, place] < 0.1
            if not refuses[layer, place].isnan()
        ]
        if not allowed:
            raise ValueError("no candidate meets the conditions")
        _, _, layer, place = min(allowed)
        return layer, place


@mistake("10.9", says="is late: it is <, not ≤")
class section:
    """The border."""

    def select(refuses, induces, kl):
        layers, places = refuses.shape
        allowed = [
            (float(refuses[layer, place]), -float(induces[layer, place]), layer, place)
            for layer in range(layers)
            for place in range(places)
            if induces[layer, place] > 0 and kl[layer, place] < 0.1 and layer <= 0.8 * layers
            if not refuses[layer, place].isnan()
        ]
        if not allowed:
            raise ValueError("no candidate meets the conditions")
        _, _, layer, place = min(allowed)
        return layer, place


@mistake("10.9", says="you take the first. Take the one that induces most")
class section:
    """Ties are not broken."""

    def select(refuses, induces, kl):
        layers, places = refuses.shape
        allowed = [
            (float(refuses[layer, place]), 0.0, layer, place)
            for layer in range(layers)
            for place in range(places)
            if induces[layer, place] > 0 and kl[layer, place] < 0.1 and layer < 0.8 * layers
            if not refuses[layer, place].isnan()
        ]
        if not allowed:
            raise ValueError("no candidate meets the conditions")
        _, _, layer, place = min(allowed)
        return layer, place


@mistake("10.9", says="You choose the candidate that refuses MOST")
class section:
    """max for min."""

    def select(refuses, induces, kl):
        layers, places = refuses.shape
        allowed = [
            (-float(refuses[layer, place]), -float(induces[layer, place]), layer, place)
            for layer in range(layers)
            for place in range(places)
            if induces[layer, place] > 0 and kl[layer, place] < 0.1 and layer < 0.8 * layers
            if not refuses[layer, place].isnan()
        ]
        if not allowed:
            raise ValueError("no candidate meets the conditions")
        _, _, layer, place = min(allowed)
        return layer, place


@mistake("10.9", says="raise ValueError")
class section:
    """Returns one that fails."""

    def select(refuses, induces, kl):
        layers, places = refuses.shape
        allowed = [
            (float(refuses[layer, place]), -float(induces[layer, place]), layer, place)
            for layer in range(layers)
            for place in range(places)
            if induces[layer, place] > 0 and kl[layer, place] < 0.1 and layer < 0.8 * layers
            if not refuses[layer, place].isnan()
        ]
        if not allowed:
            return 0, 0
        _, _, layer, place = min(allowed)
        return layer, place


@mistake("10.9", says="The two numbers are exchanged")
class section:
    """Place before layer."""

    def select(refuses, induces, kl):
        layers, places = refuses.shape
        allowed = [
            (float(refuses[layer, place]), -float(induces[layer, place]), layer, place)
            for layer in range(layers)
            for place in range(places)
            if induces[layer, place] > 0 and kl[layer, place] < 0.1 and layer < 0.8 * layers
            if not refuses[layer, place].isnan()
        ]
        if not allowed:
            raise ValueError("no candidate meets the conditions")
        _, _, layer, place = min(allowed)
        return place, layer


@right("10.9", how="by masking tables")
class section:
    def select(refuses, induces, kl):
        early = torch.arange(len(refuses))[:, None] < 0.8 * len(refuses)
        passes = (induces > 0) & (kl < 0.1) & early & ~refuses.isnan()
        if not passes.any():
            raise ValueError("nobody passes")
        least = refuses[passes].min()
        ties = torch.where(passes & (refuses == least), induces.double(), -torch.inf)
        return divmod(int(ties.argmax()), refuses.shape[1])


@right("10.9", how="keeping the best so far")
class section:
    def select(refuses, induces, kl):
        best = None
        for layer in range(refuses.shape[0]):
            for place in range(refuses.shape[1]):
                r, i, k = refuses[layer, place], induces[layer, place], kl[layer, place]
                if r != r or not i > 0 or not k < 0.1 or layer >= 0.8 * refuses.shape[0]:
                    continue
                if best is None or r < best[0] or (r == best[0] and i > best[1]):
                    best = (r, i, layer, place)
        if best is None:
            raise ValueError("no candidate is left")
        return best[2:]


# --- 10.10 ------------------------------------------------------------------------------------------------------------


@mistake("10.10", says="b_O, b_out are missing")
class section:
    """Matrices alone, as in much published code."""

    def without_direction(model, direction):
        unit = direction / direction.norm()
        names = ("W_E", "W_pos", "W_O", "W_out")
        old = {name: getattr(model, name) for name in names}
        return {name: weight - (weight @ unit)[..., None] * unit for name, weight in old.items()}


@mistake("10.10", says="W_pos is missing")
class section:
    """Positions write too."""

    def without_direction(model, direction):
        unit = direction / direction.norm()
        names = ("W_E", "W_O", "b_O", "W_out", "b_out")
        old = {name: getattr(model, name) for name in names}
        return {name: weight - (weight @ unit)[..., None] * unit for name, weight in old.items()}


@mistake("10.10", says="is not scaled to length 1")
class section:
    """r rᵀ for r̂ r̂ᵀ."""

    def without_direction(model, direction):
        unit = direction
        names = ("W_E", "W_pos", "W_O", "b_O", "W_out", "b_out")
        old = {name: getattr(model, name) for name in names}
        return {name: weight - (weight @ unit)[..., None] * unit for name, weight in old.items()}


@mistake("10.10", says="b_out is the old one")
class section:
    """The bias is handed through."""

    def without_direction(model, direction):
        unit = direction / direction.norm()
        names = ("W_E", "W_pos", "W_O", "b_O", "W_out", "b_out")
        old = {name: getattr(model, name) for name in names}
        new = {name: weight - (weight @ unit)[..., None] * unit for name, weight in old.items()}
        return new | {"b_out": model.b_out}


@mistake("10.10", says="only reads the stream")
class section:
    """The unembedding is edited with the embedding: what reads is changed too."""

    def without_direction(model, direction):
        unit = direction / direction.norm()
        names = ("W_E", "W_pos", "W_O", "b_O", "W_out", "b_out")
        old = {name: getattr(model, name) for name in names}
        names += ("W_U",)
        return {"W_U": model.W_U - unit[:, None] * (unit @ model.W_U)} | {
            name: weight - (weight @ unit)[..., None] * unit for name, weight in old.items()
        }


@right("10.10", how="with a matrix that keeps the rest")
class section:
    def without_direction(model, direction):
        r = direction.double()
        keep = torch.eye(len(r), dtype=torch.float64) - torch.outer(r, r) / (r @ r)
        names = ["W_E", "W_pos", "W_O", "b_O", "W_out", "b_out"]
        return {name: (getattr(model, name).double() @ keep).float() for name in names}


@right("10.10", how="with einsum and normalize")
class section:
    def without_direction(model, direction):
        unit = torch.nn.functional.normalize(direction, dim=-1)

        def cut(weight):
            return weight - torch.einsum("...d,d,e->...e", weight, unit, unit)

        table = {"W_O": cut(model.W_O), "b_O": cut(model.b_O), "W_out": cut(model.W_out), "b_out": cut(model.b_out)}
        return table | {"W_E": cut(model.W_E), "W_pos": cut(model.W_pos)}


# --- 10.11 ------------------------------------------------------------------------------------------------------------


@mistake("10.11", says="The directions prefer a side")
class section:
    """Uniform numbers from 0 to 1."""

    def random_directions(like, n, seed):
        drawn = torch.rand(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def cost(model, texts, questions, answers, direction):
        def logits(rows: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
            tokens, real = padded(rows)
            out = model(tokens, real) if direction is None else logits_without(model, tokens, direction, real)
            return tokens, real, out

        tokens, real, out = logits(texts)
        log_p = out[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
        loss = -log_p[real[:, 1:]].mean()
        _, asked, out = logits(questions)
        first = out[torch.arange(len(questions)), asked.sum(1) - 1].argmax(-1)
        return float(loss.exp()), float((first == torch.tensor(answers)).float().mean())


@mistake("10.11", says="The directions prefer some corners or axes")
class section:
    """A cube for a ball."""

    def random_directions(like, n, seed):
        drawn = torch.rand(n, len(like), generator=torch.Generator().manual_seed(seed)) - 0.5
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def cost(model, texts, questions, answers, direction):
        def logits(rows: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
            tokens, real = padded(rows)
            out = model(tokens, real) if direction is None else logits_without(model, tokens, direction, real)
            return tokens, real, out

        tokens, real, out = logits(texts)
        log_p = out[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
        loss = -log_p[real[:, 1:]].mean()
        _, asked, out = logits(questions)
        first = out[torch.arange(len(questions)), asked.sum(1) - 1].argmax(-1)
        return float(loss.exp()), float((first == torch.tensor(answers)).float().mean())


@mistake("10.11", says="the length of each direction")
class section:
    """Not scaled."""

    def random_directions(like, n, seed):
        return torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))

    def cost(model, texts, questions, answers, direction):
        def logits(rows: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
            tokens, real = padded(rows)
            out = model(tokens, real) if direction is None else logits_without(model, tokens, direction, real)
            return tokens, real, out

        tokens, real, out = logits(texts)
        log_p = out[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
        loss = -log_p[real[:, 1:]].mean()
        _, asked, out = logits(questions)
        first = out[torch.arange(len(questions)), asked.sum(1) - 1].argmax(-1)
        return float(loss.exp()), float((first == torch.tensor(answers)).float().mean())


@mistake("10.11", says="longer texts have more of them")
class section:
    """A mean over texts."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def cost(model, texts, questions, answers, direction):
        def logits(rows: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
            tokens, real = padded(rows)
            out = model(tokens, real) if direction is None else logits_without(model, tokens, direction, real)
            return tokens, real, out

        tokens, real, out = logits(texts)
        log_p = out[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
        there = real[:, 1:]
        loss = -((log_p * there).sum(1) / there.sum(1)).mean()
        _, asked, out = logits(questions)
        first = out[torch.arange(len(questions)), asked.sum(1) - 1].argmax(-1)
        return float(loss.exp()), float((first == torch.tensor(answers)).float().mean())


@mistake("10.11", says="Padding counts in your mean")
class section:
    """The mask is forgotten."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def cost(model, texts, questions, answers, direction):
        def logits(rows: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
            tokens, real = padded(rows)
            out = model(tokens, real) if direction is None else logits_without(model, tokens, direction, real)
            return tokens, real, out

        tokens, real, out = logits(texts)
        log_p = out[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
        loss = -log_p.mean()
        _, asked, out = logits(questions)
        first = out[torch.arange(len(questions)), asked.sum(1) - 1].argmax(-1)
        return float(loss.exp()), float((first == torch.tensor(answers)).float().mean())


@mistake("10.11", says="The perplexity is its exp")
class section:
    """The loss."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def cost(model, texts, questions, answers, direction):
        def logits(rows: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
            tokens, real = padded(rows)
            out = model(tokens, real) if direction is None else logits_without(model, tokens, direction, real)
            return tokens, real, out

        tokens, real, out = logits(texts)
        log_p = out[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
        loss = -log_p[real[:, 1:]].mean()
        _, asked, out = logits(questions)
        first = out[torch.arange(len(questions)), asked.sum(1) - 1].argmax(-1)
        return float(loss), float((first == torch.tensor(answers)).float().mean())


@mistake("10.11", says="The direction makes no difference to your answers")
class section:
    """The questions are asked of the whole model."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def cost(model, texts, questions, answers, direction):
        def logits(rows: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
            tokens, real = padded(rows)
            out = model(tokens, real) if direction is None else logits_without(model, tokens, direction, real)
            return tokens, real, out

        tokens, real, out = logits(texts)
        log_p = out[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
        loss = -log_p[real[:, 1:]].mean()
        asked_tokens, asked = padded(questions)
        out = model(asked_tokens, asked)
        first = out[torch.arange(len(questions)), asked.sum(1) - 1].argmax(-1)
        return float(loss.exp()), float((first == torch.tensor(answers)).float().mean())


@mistake("10.11", says="The direction makes no difference to your perplexity")
class section:
    """The texts are read by the whole model."""

    def random_directions(like, n, seed):
        drawn = torch.randn(n, len(like), generator=torch.Generator().manual_seed(seed))
        return drawn / drawn.norm(dim=1, keepdim=True) * like.norm()

    def cost(model, texts, questions, answers, direction):
        def logits(rows: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
            tokens, real = padded(rows)
            out = model(tokens, real) if direction is None else logits_without(model, tokens, direction, real)
            return tokens, real, out

        tokens, real = padded(texts)
        out = model(tokens, real)
        log_p = out[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
        loss = -log_p[real[:, 1:]].mean()
        _, asked, out = logits(questions)
        first = out[torch.arange(len(questions)), asked.sum(1) - 1].argmax(-1)
        return float(loss.exp()), float((first == torch.tensor(answers)).float().mean())


@right("10.11", how="text by text, with the library's edit")
class section:
    def random_directions(like, n, seed):
        source = torch.Generator()
        source.manual_seed(seed)
        rows = [torch.nn.functional.normalize(torch.randn(len(like), generator=source), dim=0) for _ in range(n)]
        return torch.stack(rows) * torch.linalg.vector_norm(like)

    def cost(model, texts, questions, answers, direction):
        total = count = right = 0
        with model.hooks([] if direction is None else steering.ablate(direction)):
            for row in texts:
                logits = model(torch.tensor([row]))[0, :-1]
                total += torch.nn.functional.cross_entropy(logits, torch.tensor(row[1:]), reduction="sum").item()
                count += len(row) - 1
            for row, answer in zip(questions, answers, strict=True):
                right += int(model(torch.tensor([row]))[0, -1].argmax()) == answer
        return 2.718281828459045 ** (total / count), right / len(questions)


@right("10.11", how="with numpy's normal numbers, and masked sums")
class section:
    def random_directions(like, n, seed):
        import numpy

        drawn = torch.from_numpy(numpy.random.default_rng(seed).standard_normal((n, len(like)))).float()
        return torch.nn.functional.normalize(drawn, dim=1) * like.norm()

    def cost(model, texts, questions, answers, direction):
        def run(rows):
            tokens, real = padded(rows)
            if direction is None:
                return tokens, real, model(tokens, attention_mask=real)
            return tokens, real, logits_without(model, tokens, direction, real)

        tokens, real, out = run(texts)
        losses = torch.nn.functional.cross_entropy(out[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")
        perplexity = torch.exp((losses * real[:, 1:]).sum() / real[:, 1:].sum())
        _, real, out = run(questions)
        last = real.sum(1).sub(1)[:, None, None].expand(-1, 1, out.shape[2])
        return perplexity, (out.gather(1, last)[:, 0].argmax(1) == torch.tensor(answers)).double().mean()


# --- 10.12 ------------------------------------------------------------------------------------------------------------


@mistake("10.12", says="The two kinds are exchanged")
class section:
    """found[tested][drawn]."""

    def across_kinds(model, drawn, harmless, tested, layer, judge=refused):
        base = prompt_ends(model, harmless, 1)
        found = {}
        for kind, prompts in drawn.items():
            edits = steering.ablate(difference_of_means(prompt_ends(model, prompts, 1), base)[layer, 0])
            for name, rows in tested.items():
                found.setdefault(name, {})[kind] = share(judge, replies(model, rows, edits, longest=16))
        return found


@mistake("10.12", says="Your direction is the mean of the harmful prompts")
class section:
    """Nothing is subtracted."""

    def across_kinds(model, drawn, harmless, tested, layer, judge=refused):
        base = prompt_ends(model, harmless, 1)
        found = {}
        for kind, prompts in drawn.items():
            edits = steering.ablate(prompt_ends(model, prompts, 1).mean(0)[layer, 0])
            found[kind] = {name: share(judge, replies(model, rows, edits, longest=16)) for name, rows in tested.items()}
        return found


@mistake("10.12", says="one block too late")
class section:
    """The input of the next block."""

    def across_kinds(model, drawn, harmless, tested, layer, judge=refused):
        base = prompt_ends(model, harmless, 1)
        found = {}
        for kind, prompts in drawn.items():
            edits = steering.ablate(difference_of_means(prompt_ends(model, prompts, 1), base)[layer + 1, 0])
            found[kind] = {name: share(judge, replies(model, rows, edits, longest=16)) for name, rows in tested.items()}
        return found


@mistake("10.12", says="This is the share that is NOT refused")
class section:
    """1 − share."""

    def across_kinds(model, drawn, harmless, tested, layer, judge=refused):
        base = prompt_ends(model, harmless, 1)
        found = {}
        for kind, prompts in drawn.items():
            edits = steering.ablate(difference_of_means(prompt_ends(model, prompts, 1), base)[layer, 0])
            found[kind] = {
                name: 1 - share(judge, replies(model, rows, edits, longest=16)) for name, rows in tested.items()
            }
        return found


@mistake("10.12", says="Every kind gets the same direction, of all kinds together")
class section:
    """One direction for all."""

    def across_kinds(model, drawn, harmless, tested, layer, judge=refused):
        base = prompt_ends(model, harmless, 1)
        found, every = {}, [prompt_ends(model, prompts, 1) for prompts in drawn.values()]
        for kind in drawn:
            edits = steering.ablate(difference_of_means(torch.cat(every), base)[layer, 0])
            found[kind] = {name: share(judge, replies(model, rows, edits, longest=16)) for name, rows in tested.items()}
        return found


@mistake("10.12", says="at the token before the last one")
class section:
    """One token too early."""

    def across_kinds(model, drawn, harmless, tested, layer, judge=refused):
        base = prompt_ends(model, harmless, 2)
        found = {}
        for kind, prompts in drawn.items():
            edits = steering.ablate(difference_of_means(prompt_ends(model, prompts, 2), base)[layer, 0])
            found[kind] = {name: share(judge, replies(model, rows, edits, longest=16)) for name, rows in tested.items()}
        return found


@right("10.12", how="with the mean over harmless prompts taken once")
class section:
    def across_kinds(model, drawn, harmless, tested, layer, judge):
        negative = prompt_ends(model, harmless, 1)[:, layer, 0].mean(0)
        directions = {
            kind: prompt_ends(model, prompts, 1)[:, layer, 0].mean(0) - negative for kind, prompts in drawn.items()
        }

        def refusing(direction, prompts):
            with model.hooks(steering.ablate(direction)):
                said = replies(model, prompts, longest=16)
            return sum(judge(one.words) for one in said) / len(said)

        return {a: {b: refusing(r, prompts) for b, prompts in tested.items()} for a, r in directions.items()}


@right("10.12", how="all tested prompts in one batch")
class section:
    def across_kinds(model, drawn, harmless, tested, layer, judge):
        every = [row for rows in tested.values() for row in rows]
        owner = [name for name, rows in tested.items() for _ in rows]
        found = {}
        for kind in drawn:
            direction = many_pairs(model, drawn[kind], drawn[kind], layer)
            direction = (
                direction
                + (prompt_ends(model, drawn[kind], 1).mean(0) - prompt_ends(model, harmless, 1).mean(0))[layer, 0]
            )
            verdicts = [
                float(judge(one.words)) for one in replies(model, every, steering.ablate(direction), longest=16)
            ]
            found[kind] = {
                name: torch.tensor([v for v, of in zip(verdicts, owner, strict=True) if of == name]).mean()
                for name in tested
            }
        return found


# --- 10.13 ------------------------------------------------------------------------------------------------------------


@mistake("10.13", says="The divergence is turned round: p, which weighs")
class section:
    """KL(q ‖ p)."""

    def divergence(before, after, counts):
        p, q = before.log_softmax(-1), after.log_softmax(-1)
        return (q.exp() * (q - p)).sum(-1)[counts].mean()

    def defence_loss(model, original, direction, harmful, lengths, kept):
        tokens, real = padded(harmful)
        at = torch.arange(tokens.shape[1])
        long = real.sum(1, keepdim=True)
        refusal = (at >= torch.tensor(lengths)[:, None] - 1) & (at < long - 1)
        texts, there = padded(kept)
        with torch.no_grad():
            wanted, as_before = original(tokens, real), original(texts, there)
        attacked = divergence(wanted, logits_without(model, tokens, direction, real), refusal)
        return attacked + divergence(as_before, model(texts, there), there)


@mistake("10.13", says="Every position counts in your mean")
class section:
    """The mask is forgotten."""

    def divergence(before, after, counts):
        p, q = before.log_softmax(-1), after.log_softmax(-1)
        return (p.exp() * (p - q)).sum(-1).mean()

    def defence_loss(model, original, direction, harmful, lengths, kept):
        tokens, real = padded(harmful)
        at = torch.arange(tokens.shape[1])
        long = real.sum(1, keepdim=True)
        refusal = (at >= torch.tensor(lengths)[:, None] - 1) & (at < long - 1)
        texts, there = padded(kept)
        with torch.no_grad():
            wanted, as_before = original(tokens, real), original(texts, there)
        attacked = divergence(wanted, logits_without(model, tokens, direction, real), refusal)
        return attacked + divergence(as_before, model(texts, there), there)


@mistake("10.13", says="This is the cross-entropy")
class section:
    """Without the entropy of p."""

    def divergence(before, after, counts):
        p, q = before.log_softmax(-1), after.log_softmax(-1)
        return -(p.exp() * q).sum(-1)[counts].mean()

    def defence_loss(model, original, direction, harmful, lengths, kept):
        tokens, real = padded(harmful)
        at = torch.arange(tokens.shape[1])
        long = real.sum(1, keepdim=True)
        refusal = (at >= torch.tensor(lengths)[:, None] - 1) & (at < long - 1)
        texts, there = padded(kept)
        with torch.no_grad():
            wanted, as_before = original(tokens, real), original(texts, there)
        attacked = divergence(wanted, logits_without(model, tokens, direction, real), refusal)
        return attacked + divergence(as_before, model(texts, there), there)


@mistake("10.13", says="The model is not attacked")
class section:
    """Trained on what it does already."""

    def divergence(before, after, counts):
        p, q = before.log_softmax(-1), after.log_softmax(-1)
        return (p.exp() * (p - q)).sum(-1)[counts].mean()

    def defence_loss(model, original, direction, harmful, lengths, kept):
        tokens, real = padded(harmful)
        at = torch.arange(tokens.shape[1])
        long = real.sum(1, keepdim=True)
        refusal = (at >= torch.tensor(lengths)[:, None] - 1) & (at < long - 1)
        texts, there = padded(kept)
        with torch.no_grad():
            wanted, as_before = original(tokens, real), original(texts, there)
        attacked = divergence(wanted, model(tokens, real), refusal)
        return attacked + divergence(as_before, model(texts, there), there)


@mistake("10.13", says="what the original says WITHOUT an attack")
class section:
    """The teacher is attacked too."""

    def divergence(before, after, counts):
        p, q = before.log_softmax(-1), after.log_softmax(-1)
        return (p.exp() * (p - q)).sum(-1)[counts].mean()

    def defence_loss(model, original, direction, harmful, lengths, kept):
        tokens, real = padded(harmful)
        at = torch.arange(tokens.shape[1])
        long = real.sum(1, keepdim=True)
        refusal = (at >= torch.tensor(lengths)[:, None] - 1) & (at < long - 1)
        texts, there = padded(kept)
        with torch.no_grad():
            wanted, as_before = logits_without(original, tokens, direction, real), original(texts, there)
        attacked = divergence(wanted, logits_without(model, tokens, direction, real), refusal)
        return attacked + divergence(as_before, model(texts, there), there)


@mistake("10.13", says="You begin at the refusal's first token")
class section:
    """One too late."""

    def divergence(before, after, counts):
        p, q = before.log_softmax(-1), after.log_softmax(-1)
        return (p.exp() * (p - q)).sum(-1)[counts].mean()

    def defence_loss(model, original, direction, harmful, lengths, kept):
        tokens, real = padded(harmful)
        at = torch.arange(tokens.shape[1])
        long = real.sum(1, keepdim=True)
        refusal = (at >= torch.tensor(lengths)[:, None]) & (at < long - 1)
        texts, there = padded(kept)
        with torch.no_grad():
            wanted, as_before = original(tokens, real), original(texts, there)
        attacked = divergence(wanted, logits_without(model, tokens, direction, real), refusal)
        return attacked + divergence(as_before, model(texts, there), there)


@mistake("10.13", says="The last token of the text predicts nothing")
class section:
    """One too far."""

    def divergence(before, after, counts):
        p, q = before.log_softmax(-1), after.log_softmax(-1)
        return (p.exp() * (p - q)).sum(-1)[counts].mean()

    def defence_loss(model, original, direction, harmful, lengths, kept):
        tokens, real = padded(harmful)
        at = torch.arange(tokens.shape[1])
        long = real.sum(1, keepdim=True)
        refusal = (at >= torch.tensor(lengths)[:, None] - 1) & (at < long)
        texts, there = padded(kept)
        with torch.no_grad():
            wanted, as_before = original(tokens, real), original(texts, there)
        attacked = divergence(wanted, logits_without(model, tokens, direction, real), refusal)
        return attacked + divergence(as_before, model(texts, there), there)


@mistake("10.13", says="The kept texts do not count")
class section:
    """No memory."""

    def divergence(before, after, counts):
        p, q = before.log_softmax(-1), after.log_softmax(-1)
        return (p.exp() * (p - q)).sum(-1)[counts].mean()

    def defence_loss(model, original, direction, harmful, lengths, kept):
        tokens, real = padded(harmful)
        at = torch.arange(tokens.shape[1])
        long = real.sum(1, keepdim=True)
        refusal = (at >= torch.tensor(lengths)[:, None] - 1) & (at < long - 1)
        texts, there = padded(kept)
        with torch.no_grad():
            wanted, as_before = original(tokens, real), original(texts, there)
        return divergence(wanted, logits_without(model, tokens, direction, real), refusal)


@mistake("10.13", says="Gradients reach the original")
class section:
    """Without no_grad."""

    def divergence(before, after, counts):
        p, q = before.log_softmax(-1), after.log_softmax(-1)
        return (p.exp() * (p - q)).sum(-1)[counts].mean()

    def defence_loss(model, original, direction, harmful, lengths, kept):
        tokens, real = padded(harmful)
        at = torch.arange(tokens.shape[1])
        long = real.sum(1, keepdim=True)
        refusal = (at >= torch.tensor(lengths)[:, None] - 1) & (at < long - 1)
        texts, there = padded(kept)
        wanted, as_before = original(tokens, real), original(texts, there)
        attacked = divergence(wanted, logits_without(model, tokens, direction, real), refusal)
        return attacked + divergence(as_before, model(texts, there), there)


@mistake("10.13", says="gradients of your loss are wrong")
class section:
    """The attack is run without gradients."""

    def divergence(before, after, counts):
        p, q = before.log_softmax(-1), after.log_softmax(-1)
        return (p.exp() * (p - q)).sum(-1)[counts].mean()

    def defence_loss(model, original, direction, harmful, lengths, kept):
        tokens, real = padded(harmful)
        at = torch.arange(tokens.shape[1])
        long = real.sum(1, keepdim=True)
        refusal = (at >= torch.tensor(lengths)[:, None] - 1) & (at < long - 1)
        texts, there = padded(kept)
        with torch.no_grad():
            wanted, as_before = original(tokens, real), original(texts, there)
        with torch.no_grad():
            attacked = divergence(wanted, logits_without(model, tokens, direction, real), refusal)
        return attacked + divergence(as_before, model(texts, there), there)


@right("10.13", how="text by text, with torch's divergence")
class section:
    def divergence(before, after, counts):
        each = torch.nn.functional.kl_div(after.log_softmax(-1), before.softmax(-1), reduction="none").sum(-1)
        return (each * counts).sum() / counts.sum()

    def defence_loss(model, original, direction, harmful, lengths, kept):
        attacked, rest = [], []
        for row, n in zip(harmful, lengths, strict=True):
            tokens = torch.tensor([row])
            wanted = original(tokens).detach()[:, n - 1 : -1]
            got = logits_without(model, tokens, direction)[:, n - 1 : -1]
            attacked.append(
                torch.nn.functional.kl_div(
                    got.log_softmax(-1), wanted.log_softmax(-1), log_target=True, reduction="none"
                ).sum(-1)[0]
            )
        for row in kept:
            tokens = torch.tensor([row])
            p, q = original(tokens).detach().log_softmax(-1), model(tokens).log_softmax(-1)
            rest.append((p.exp() * (p - q)).sum(-1)[0])
        return torch.cat(attacked).mean() + torch.cat(rest).mean()


@right("10.13", how="with a loop for the mask and the library's edit")
class section:
    def divergence(before, after, counts):
        p = before.softmax(-1)
        entropy = -(p * before.log_softmax(-1)).sum(-1)
        cross = -(p * after.log_softmax(-1)).sum(-1)
        return (cross - entropy)[counts].mean()

    def defence_loss(model, original, direction, harmful, lengths, kept):
        tokens, real = padded(harmful)
        refusal = torch.zeros_like(real)
        for i, (row, n) in enumerate(zip(harmful, lengths, strict=True)):
            refusal[i, n - 1 : len(row) - 1] = True
        with model.hooks(steering.ablate(direction)):
            attacked = model(tokens, real)
        loss = divergence(original(tokens, real).detach(), attacked, refusal)
        texts, there = padded(kept)
        return loss + divergence(original(texts, there).detach(), model(texts, there), there)


# --- 10.14 ------------------------------------------------------------------------------------------------------------


@mistake("10.14", says="Is the sign right")
class section:
    """Harmless less harmful."""

    def refusal_direction(model, harmful, harmless, judge=refused):
        a, b = (prompt_ends(model, prompts, 1).mean(0)[:, 0] for prompts in (harmful, harmless))
        return (b - a)[3], 3, 2.0


@mistake("10.14", says="of harmful requests are still refused")
class section:
    """Too early: the network has read the words and not yet decided."""

    def refusal_direction(model, harmful, harmless, judge=refused):
        a, b = (prompt_ends(model, prompts, 1).mean(0)[:, 0] for prompts in (harmful, harmless))
        return (a - b)[1], 1, 4.0


@mistake("10.14", says="is the dose large enough")
class section:
    """Added half a time, whatever it does."""

    def refusal_direction(model, harmful, harmless, judge=refused):
        half, less = len(harmful) // 2, len(harmless) // 2
        drawn = difference_of_means(prompt_ends(model, harmful[:half], 1), prompt_ends(model, harmless[:less], 1))
        layers = len(drawn)
        refuses, induces, kl = torch.full((3, layers, 1), torch.nan)
        for layer in range(1, layers):  # before block 0 nothing has been read yet
            if layer < 0.8 * layers:
                tried = scores(model, drawn[layer, 0], layer, harmful[half:], harmless[less:], 1.5, judge)
                refuses[layer, 0], induces[layer, 0], kl[layer, 0] = tried
        layer, place = select(refuses, induces, kl)
        direction = drawn[layer, place]
        return direction, layer, 0.5


@mistake("10.14", says="It governs more than refusal")
class section:
    """The mean of everything is no direction of refusal."""

    def refusal_direction(model, harmful, harmless, judge=refused):
        return prompt_ends(model, harmful, 1).mean(0)[4, 0], 4, 1.0


@mistake("10.14", says="of harmful requests are still refused")
class section:
    """A random direction."""

    def refusal_direction(model, harmful, harmless, judge=refused):
        a, b = (prompt_ends(model, prompts, 1).mean(0)[:, 0] for prompts in (harmful, harmless))
        return random_directions((a - b)[3], 1, 0)[0], 3, 2.0


@right("10.14", how="the last token alone, by how well new states are told apart")
class section:
    def refusal_direction(model, harmful, harmless, judge):
        a, b = (prompt_ends(model, prompts, 1) for prompts in (harmful, harmless))
        for layer in range(1, int(0.8 * model.cfg.n_layers)):
            direction = (a.mean(0) - b.mean(0))[layer, 0]
            if share(judge, replies(model, harmful[:16], steering.ablate(direction), longest=12)) < 0.05:
                break
        for dose in (1.0, 2.0, 2.5, 3.0):
            said = replies(model, harmless[:16], steering.add(direction, dose, layer, positions=-1), longest=12)
            if share(judge, said) == 1:
                return direction, layer, dose
        return direction, layer, 3.0


@right("10.14", how="a direction of length 1, and a long dose")
class section:
    def refusal_direction(model, harmful, harmless, judge):
        direction = many_pairs(model, harmful, harmless, 3)
        return direction / direction.norm(), 3, 2.2 * direction.norm()
