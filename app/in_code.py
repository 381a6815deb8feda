"""What an explorer shows, as the library calls that compute it: Python that runs as it stands."""

from __future__ import annotations

from typing import Any

from app import views
from mi_lib import zoo

Seen = dict[str, Any]  # what is chosen on the page, by the widgets' keys; what is missing is as the page begins


def code(path: str) -> str:
    """The program of an explorer's page as it is now; "" for one that has none, or that still asks: it would tell."""
    write, seen = WRITTEN.get(path), views.chosen(path)
    asks = any(key.endswith("-anyway") for key in views.KEYS.get(path, ()))
    if not write or (asks and not any(key.endswith("-anyway") for key in seen)):
        return ""
    text = write(seen).strip()
    return f"{text}\n" if text else ""


def induction(seen: Seen) -> str:
    name, step = seen.get("explore-network", "induction-2l"), seen.get("explore-step", "finished")
    loaded = f'"{name}"' if step == "finished" else f'"{name}", checkpoint={int(step)}'
    if seen.get("explore-words") == "my own":
        tokens = f"model.to_tokens({seen.get('explore-text', 'river lamp cat river lamp cat')!r})"
    else:
        period, seed = seen.get("explore-period", 8), seen.get("explore-seed", 1)
        tokens = f"repeats.sample(1, seed={seed}, period={period}, offset=2).tokens"
    world = "from mi_lib.worlds import repeats\n" * (seen.get("explore-words") != "my own")
    silenced = [tuple(head) for head in seen.get("explore-silenced", [])]
    logits = f"induction.ablate_heads(model, tokens, {silenced})" if silenced else "model(tokens)"
    return f"""
from mi_lib import induction, load
{world}
model = load({loaded})
tokens = {tokens}
logits = {logits}
print(model.to_str_tokens(tokens[0]))
print(induction.per_token_loss(logits, tokens))  # of each word but the first, nats
_, cache = model.run_with_cache(tokens, ["blocks.0.attn.hook_pattern"])
print(cache["pattern", 0].shape)  # where every head of layer 0 looks: [batch head query key]
"""


def clock(seen: Seen) -> str:
    step, removed = seen.get("grok-step", "finished"), seen.get("grok-removed", [])
    loaded = '"grokking-113"' if step == "finished" else f'"grokking-113", checkpoint={int(step)}'
    return f"""
import torch

from mi_lib import grokking, load

found = grokking.analyse(load({loaded}))
print(found.verdict)
print(found.frequencies, f"{{found.accuracy:.1%}}")
numbers = torch.arange(found.p)
answers = ((numbers[:, None] + numbers) % found.p).flatten()
left = grokking.excluded_logits(found.inputs.logits, {removed})  # without these waves
print(grokking.loss(left, answers), grokking.accuracy(left, answers))
"""


def lenses(seen: Seen) -> str:
    text = seen.get("lens-text", "Mira lives in the town of")
    read = "lens.logit_lens(model, tokens)"
    tuned = ""
    if seen.get("lens-tuned"):
        tuned = '\ntuned = lens.TunedLens.load(zoo.folder("pico") / "tuned_lens.safetensors")'
        read = "lens.tuned_lens(model, tuned, tokens)"
    return f"""
from mi_lib import lens, load, zoo

model = load("pico")
tokens = model.to_tokens({text!r}){tuned}
read = {read}  # [depth batch pos d_vocab]
for depth, logits in enumerate(read[:, 0, -1]):
    best = logits.softmax(-1).topk(5)
    words = model.to_str_tokens(best.indices)
    print(depth, *(f"{{word}} {{share:.0%}}" for word, share in zip(words, best.values.tolist(), strict=True)))
"""


def toys(seen: Seen) -> str:
    n, m = seen.get("super-features", 5), seen.get("super-dimensions", 2)
    sparsity, decay = seen.get("super-sparsity", 0.95), seen.get("super-decay", 1.0)
    return f"""
import torch

from mi_lib import superposition

sparsity = torch.full((8,), {sparsity})  # eight networks, which differ in their starts alone
importance = {decay} ** torch.arange({n}, dtype=torch.float64)
importance = (importance / importance.max()).float()
for moment in superposition.training(
    sparsity, {n}, {m}, importance, relu={seen.get("super-relu", True)}, steps=1500, batch=128,
    seed={seen.get("super-seed", 0)},
):
    pass
W = moment.toy[0].detach()  # [network hidden feature]
for network in W:
    print([(shape.name, shape.features) for shape in superposition.shapes(network)])
"""


def dictionaries(seen: Seen) -> str:
    name, latent = seen.get("dict-name", zoo.dictionaries()[0]), seen.get("dict-latent", 0)
    text, question = seen.get("dict-text", "The owl of Mira"), seen.get("dict-question", "Who are you ?")
    held = next((value for key, value in seen.items() if key == f"dict-value-{name}-{latent}"), 10.0)
    return f"""
from mi_lib import load, saes, steering
from mi_lib.saes import clamped, spliced

model = load("pico")
sae, site = saes.load({name!r}), saes.files.about({name!r})["site"]
tokens = model.to_tokens({text!r})
_, cache = model.run_with_cache(tokens, [site])
print(sae.encode(cache[site])[0, :, {latent}])  # how active the latent is at each word
edit = (site, spliced(sae, keep_error=True, edit=clamped({latent}, {held})))  # hold it there
for edits in ([], [edit]):
    print(steering.replies(model, steering.chat(model, [{_asked(question)!r}]), edits)[0].text)
"""


def _asked(question: str) -> str:
    """A question as the page asks it: with a capital at its beginning, where Pico knows that word."""
    from app.chat import open_model, sentence_case

    return sentence_case(open_model("pico").tokenizer, question.strip())


def probes(seen: Seen) -> str:
    from app.probe_measures import NEARER, OWN

    name, site = seen.get("probes-name", OWN), seen.get("probes-site", "resid")
    kind = seen.get("probes-kind", "ridge")
    fit = (
        "probing.ridge(x, y, k)" if kind == "ridge" else f"probing.mass_mean(x, y, k, covariance={kind == 'whitened'})"
    )
    sites = (
        '[*(("resid_pre", layer) for layer in range(model.cfg.n_layers)), ("resid_post", model.cfg.n_layers - 1)]'
        if site == "resid"
        else f'[("{site}", layer) for layer in range(model.cfg.n_layers)]'
    )
    if name in (OWN, NEARER):
        own = "many" if name == OWN else "nearer_many"
        draw = f"""    verbs = properties.verbs(split, n, 31)
    return [each.words for each in verbs], ["many" if each.{own} else "one" for each in verbs]"""
    else:
        draw = f"""    found = properties.examples({name!r}, split, n, 31)
    return [each.words for each in found], [each.label for each in found]"""
    return f"""
from mi_lib import load, probing
from mi_lib.worlds.littletown import properties


def texts(split, n):
{draw}


model = load("pico")
sites = {sites}
read = {{}}
for split in ("train", "held_out"):
    words, labels = texts(split, 300)
    rows = [model.to_tokens(" ".join(each))[0].tolist() for each in words]
    read[split] = probing.collect(model, rows, sites)[:, 0], labels  # at the last word: [site text d_model]
names = sorted(set(read["train"][1]))
k = len(names)
y, held_y = (probing.numbered(read[split][1], names)[0] for split in ("train", "held_out"))
for site, x, held in zip(sites, read["train"][0], read["held_out"][0], strict=True):
    found = probing.judged({fit}(held) == held_y)
    print(site, f"{{found.share:.0%}} [{{found.low:.0%}}, {{found.high:.0%}}]")
"""


def characters(seen: Seen) -> str:
    quantile = seen.get("char-floor", 0.25)
    said = seen.get("char-said") or ["Who are you really ?", "What do you dream of ?"]
    return f"""
import torch

from mi_lib import load, personas, steering
from mi_lib.worlds.littletown import samples, vocabulary, voices

model = load("pico")
ids = {{word: i for i, word in enumerate(vocabulary())}}
sites = steering.stream_sites(model)


def read(of):  # where replies stand, at every depth: [reply depth d_model]
    prompts = [[model.tokenizer.bos_token_id, *(ids[word] for word in one.prompt)] for one in of]
    return steering.collect_replies(model, prompts, [[ids[word] for word in one.reply] for one in of], sites)


roles = torch.stack([read(samples.spoken(name, 6, 1)).mean(0) for name in voices.ROLES])
own = read(samples.spoken(voices.ASSISTANT, 24, 1))
axis = personas.Axis(roles, own.mean(0))
layers = (1, 2, 3, 4)
cap = personas.Cap.of(torch.stack([axis.at(layer) for layer in layers]), own[:, list(layers)], layers, {quantile})
for edits in ([], cap.edits()):
    for turn in personas.converse(model, [{said!r}], edits)[0]:
        place = axis.place(steering.collect_replies(model, [turn.prompt], [turn.said.tokens], [sites[3]])[0, 0], 3)
        print(f"{{place:.2f}}", turn.said.text)
"""


def steered(seen: Seen) -> str:
    layer, way = seen.get("steer-layer", 3), seen.get("steer-way", "ablate")
    question, ready = seen.get("steer-question", "How do I burn the bridge ?"), seen.get("steer-ready", "refusal")
    trait = ready.partition(":")[0]
    typed = _typed_sets(seen, ready)
    if typed is not None:
        if any(len(users) < 2 for users, _ in typed):
            return ""  # no direction can be drawn, and the page says so
        chats = (f"steering.chat(model, {users!r}{f', {system!r}' if system else ''})" for users, system in typed)
        sets = "one = {}\nother = {}".format(*chats)
    elif trait == "refusal":
        sets = """one, other = (
    steering.chat(model, [plain(case.user.split()) for case in draw("train", 12, 1)])
    for draw in (talk.harmful_requests, talk.harmless_requests)
)"""
    else:
        sets = f"""one, other = (
    steering.chat(
        model,
        [plain(case.user.split()) for case in talk.trait_prompts({trait!r}, 0, "train", 12, 1)],
        plain(traits.systems({trait!r}, strength)[0].split()),
    )
    for strength in (3, 0)
)"""
    at, dose = tuple(seen.get("steer-at", [layer])), seen.get("steer-dose", 1.5)
    edits = {
        "add": f"steering.add(vector, {dose}, {at})",
        "hold": f"steering.hold(vector, low + {dose} * (high - low), {at})",
        "ablate": "steering.ablate(vector)",
    }[way]
    return f"""
from mi_lib import load, steering
from mi_lib.worlds.littletown import plain, talk, traits

model = load("pico")
{sets}
there = [steering.collect(model, rows, ("resid_pre", {layer})) for rows in (one, other)]  # where the reply begins
vector = steering.difference_of_means(*there)
high, low = (float(steering.projections(each, vector).mean()) for each in there)
print(f"{{vector.norm():.1f}} long; the first set lies at {{high:.1f}}, the second at {{low:.1f}}")
for edits in ([], {edits}):
    print(steering.replies(model, steering.chat(model, [{_asked(question)!r}]), edits)[0].text)
"""


def _typed_sets(seen: Seen, ready: str) -> list[tuple[list[str], str]] | None:
    """The two sets of prompts, each with its system prompt, where the learner has changed them; else None."""
    from app import steering_measures as sm

    first = sm.ready(ready if ready in sm.READY else sm.REFUSAL)
    texts = {key: str(seen.get(f"steer-{key}-{ready}", text)) for key, text in first._asdict().items()}
    if ready != sm.OWN and texts == first._asdict():
        return None
    lines = {which: [_asked(line) for line in texts[which].splitlines() if line.strip()] for which in ("one", "other")}
    return [(users, texts[f"{which}_system"].strip()) for which, users in lines.items()]


def oracle(seen: Seen) -> str:
    from app.explore_oracle import DEPTH, FIRST, MANY, WHOM
    from app.oracle_measures import ANY, kind_of

    text, question = seen.get("oracle-text", FIRST), seen.get("oracle-question", WHOM)
    depth, many, at = seen.get("oracle-depth", DEPTH), seen.get("oracle-many", MANY), seen.get("oracle-at")
    kind = kind_of(question)
    options = f"oracles.KINDS[{kind!r}].values" if kind and seen.get("oracle-closed") else "()  # it may say any word"
    ends = "" if at is None else f", ends=[{at + 1}]"
    return f"""
from mi_lib import load, oracles
from mi_lib.oracles import dataset

pico, oracle = load("pico"), oracles.open_oracle()
text = {text!r}
question = {question!r}
options = {options}
own, last = (oracles.read(pico, text, depth, words={many}{ends})[0] for depth in ({depth}, pico.cfg.n_layers))
for name, reading in {{"this text": own, "nothing": own.zero(oracle.means)}}.items():
    print(name, oracle.ask(reading, question, options).best)
others = dataset.asked({kind or ANY!r}, 8, depth={depth}, words={many}, left_out=None)
for other in oracles.readings(pico, others):
    print("another text", oracle.ask(own.shuffled(other), question, options).best[0])
for reading in (own, last):  # the logit lens, at the same depth and after the last block
    print("lens", oracles.answers(oracles.lens_logits(pico, [reading]))[0].best)
"""


def images(seen: Seen) -> str:
    from app import image_measures as im

    name = seen.get("images-network", "sight")
    layer = seen.get("images-layer", "relu3")
    unit = seen.get(f"images-unit-{name}-{layer}", 0)
    return f"""
from mi_lib import features
from mi_lib.models.vision import load_vision
from mi_lib.worlds import scenes

model = load_vision({name!r})
world = scenes.sample(400, seed=5_000_003)  # scenes that training has not seen
maps = features.activations(model, {layer!r}, world.images)[:, {unit}]  # [scene row column]
best = maps.flatten(1).amax(1).topk(6).indices
print("it answers most to scenes", best.tolist())  # each is world.images[i], [3 h w]
colours = features.colours_of(world.images[:100])
for spread in ({im.SD}, {im.LOUD}):  # where a unit is silent near grey, its picture is begun once more, with more noise
    waves = features.Waves(colours=colours, sd=spread)
    try:
        for frame in features.rendering(
            model, features.channel({layer!r}, {unit}), size=scenes.SIZE, steps=120, seeds={seen.get("images-seed", 0)},
            parameterisation=waves,
        ):
            pass
    except features.Unusable as error:
        print(error)
        continue
    break
print(frame.values[-1])  # how much the unit answers to the finished picture, frame.images[0]
"""


def circuits(seen: Seen) -> str:
    from app.circuit_networks import GIVING, HOMES, subjects

    every = {subject.title: subject for subject in subjects()}
    subject = every.get(seen.get("circuit-network", ""), next(iter(every.values())))
    seed, what, noising = seen.get("circuit-seed", 0), seen.get("circuit-what", "heads"), seen.get("circuit-way", True)
    if subject.task == HOMES:
        drawn = f"""model = load({subject.network!r})
((clean, corrupted, *names),) = littletown.pairs.homes(1, {seed})
clean, corrupted = model.to_tokens(clean), model.to_tokens(corrupted)
answer, other = (int(attribution.answer_tokens(model, [name])[0]) for name in names)"""
    else:
        pairs = f'giving.stories(1, seed={seed}, names="train", templates="train")'
        start = f"model = load({subject.network!r})"
        if subject.task != GIVING:
            start, pairs = (
                f"planned = planted.circuit({subject.task!r})\nmodel = planned.model",
                f"planned.pairs(1, {seed})",
            )
        drawn = f"""{start}
pairs = {pairs}
clean, corrupted = pairs.clean, pairs.corrupted
answer, other = int(pairs.answers[0]), int(pairs.corrupted_answers[0])"""
    options = f"noising={noising}, logits_to_keep=1"
    patch = (
        f"attribution.patch_heads(model, clean, corrupted, metric, {options})"
        if what == "heads"
        else f"attribution.patch_positions(model, clean, corrupted, metric, {what!r}, {options})"
    )
    return f"""
from mi_lib import attribution, load
from mi_lib.worlds import giving, littletown, planted

{drawn}
metric = attribution.logit_difference(answer, other)
found = {patch}[..., 0]  # [layer {"head" if what == "heads" else "position"}]
print({"1 - found" if noising else "found"})  # how much of the answer is {"gone" if noising else "back"}
"""


WRITTEN = {
    "explore-circuit": circuits,
    "explore": induction,
    "explore-grokking": clock,
    "explore-lens": lenses,
    "explore-superposition": toys,
    "explore-dictionaries": dictionaries,
    "explore-probes": probes,
    "explore-steering": steered,
    "explore-characters": characters,
    "explore-oracle": oracle,
    "explore-images": images,
}
