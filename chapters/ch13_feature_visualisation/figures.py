"""The figures of chapter 13, drawn by `mi_lib.plots`. What takes long comes from the findings.

Those with a parameter `answer` are computed by the functions of an answer to the exercises.
"""

from __future__ import annotations

import functools
from typing import Any

import plotly.graph_objects as go
import torch
from torch import Tensor

from mi_lib import features, plots
from mi_lib.course import findings, index
from mi_lib.worlds import scenes

CHAPTER = index.chapter("13")
measured = findings.module(CHAPTER)
SHOWN = (1, 6, 11, 16, 21, 26)  # units, chosen by their numbers before anything was seen
FEW = 6  # columns
UP = 12  # steps in a figure that is drawn from an answer


def _found() -> dict[str, Any]:
    return findings.read(CHAPTER)


@functools.cache
def _start(waves: bool, size: int = measured.SIZE) -> Tensor:
    kind = features.Waves(None, measured.STRONG) if waves else features.Pixels(None, 2 * measured.STRONG)
    return kind.start((size, size), range(len(SHOWN)))


def some_scenes() -> go.Figure:
    """Two scenes of each kind."""
    x = scenes.sample(120, seed=5)
    rows = {
        f"scene {i + 1}": [x.images[(x.kind == k).nonzero()[i, 0]] for k in range(len(scenes.KINDS))] for i in range(2)
    }
    return plots.gallery(rows, scenes.KINDS, "What the network is asked about: the figure, and by what it is told")


def first_maps(answer: Any) -> go.Figure:
    """A scene, and the maps of some units of the first layer, laid by the answer."""
    model = measured.model()
    conv = model.module.conv1
    image = measured.world().images[3]
    ready = (image - model.mean[:, None, None]) / model.std[:, None, None]
    found = []
    for unit in range(FEW - 1):
        one = answer.unit_map(ready, conv.weight[unit].detach(), float(conv.bias[unit]))
        found.append(torch.as_tensor(one).float() / max(1e-6, float(torch.as_tensor(one).max())))
    kernels = [conv.weight[u].detach() for u in range(FEW - 1)]
    kernels = [0.5 + 0.5 * k / k.abs().max() for k in kernels]
    rows = {"pattern": kernels, "map": [*found, image]}
    return plots.gallery(rows, [*(f"unit {u}" for u in range(FEW - 1)), "the scene"], "Where does each pattern fit?")


def top_beside_random(answer: Any) -> go.Figure:
    """For three units what they see in their top scenes, and in random ones, by the answer."""
    seen = features.field(measured.model(), measured.LAYER, scenes.SIZE)
    rows = {}
    for unit in SHOWN[:3]:
        maps = measured.maps()[:, unit]
        for name, found in (
            ("top", answer.top_examples(maps, FEW)), ("random", answer.random_examples(maps, FEW, 0)),
        ):  # fmt: skip
            places = torch.as_tensor(found).long()
            examples = features.Examples(*places.T, maps[places[:, 0], places[:, 1], places[:, 2]])
            rows[f"unit {unit}, {name}"] = list(features.patches(measured.world().images, examples, seen))
    return plots.gallery(rows, [str(i + 1) for i in range(FEW)], "What a unit sees where it is most active")


def climbed(answer: Any) -> go.Figure:
    """Pictures in pixels after more and more steps of the answer."""
    units, start, rows = list(SHOWN), _start(waves=False, size=measured.SMALL), {}
    for steps in (0, 4, UP):
        images = answer.climb(measured.model(), measured.BEFORE, units, start, steps, 400.0)
        rows[f"{steps} steps"] = list(images)
    return plots.gallery(rows, [f"unit {u}" for u in SHOWN], "Uphill in pixels")


def _still(n: int) -> list[tuple[int, int]]:
    return [(0, 0)] * n


def _moves(n: int, most: int) -> list[tuple[int, int]]:
    drawn = torch.randint(0, most + 1, (n, 2), generator=torch.Generator().manual_seed(0))
    return [(int(y), int(x)) for y, x in drawn]


def pixels_and_waves(answer: Any) -> go.Figure:
    """The same units in pixels, and as sums of waves made by the answer's own functions."""
    units, size = list(SHOWN), measured.SMALL
    pixels = measured.made(waves=False, coloured=False, move=False)[list(SHOWN)]
    spectrum = _start(waves=True, size=size).clone().requires_grad_()
    climber = torch.optim.Adam([spectrum], lr=0.05, maximize=True)
    scale = torch.as_tensor(answer.wave_scale(size, size)).float()

    def image() -> Tensor:  # the answer's scale, and the library's sum, through which gradients flow here
        waves = torch.view_as_complex(spectrum.contiguous()) * scale
        return (torch.fft.irfft2(waves, s=(size, size), norm="ortho") / 4).sigmoid()

    for _ in range(3 * UP):
        climber.zero_grad()
        features.channel(measured.BEFORE, units)(measured.model().run(image(), [measured.BEFORE])).sum().backward()
        climber.step()
    rows = {"pixels": list(pixels), "waves, your scale": list(image().detach())}
    return plots.gallery(rows, [f"unit {u}" for u in SHOWN], "The same units, the same network")


def colours_apart(answer: Any) -> go.Figure:
    """How the colours of scenes go together, before and after the answer's unmixing."""
    images = measured.world().images[:60]
    z = torch.as_tensor(answer.decorrelated(images, *answer.colour_root(images)))
    series = {}
    names = ["red and green", "red and blue", "green and blue"]
    for name, x in (("colours", images), ("z", z)):
        r = torch.corrcoef(x.transpose(0, 1).flatten(1).double())
        series[name] = [float(r[0, 1]), float(r[0, 2]), float(r[1, 2])]
    return plots.grouped_bars(names, series, "How two colours go together, over all pixels", "", "correlation r")


def by_movement(answer: Any) -> go.Figure:
    """Pictures that were moved while they were made by the answer, and others that were not."""
    units, most, size = list(SHOWN), 4, measured.SMALL
    root = measured.colours().for_pictures()
    rows = {}
    for name, moves, cut in (("held still", _still(2 * UP), 0), ("moved", _moves(2 * UP, most), most)):
        images = answer.render(
            measured.model(), measured.BEFORE, units, _start(waves=True, size=size), size, root, moves, cut, 0.05
        )
        rows[name] = list(torch.as_tensor(images).float().clamp(0, 1))
    return plots.gallery(rows, [f"unit {u}" for u in SHOWN], "Waves, held still and moved")


def what_is_left() -> go.Figure:
    """Pleasure that is left when a picture is moved."""
    found = _found()["moved"]
    names = {
        "pixels_still": "pixels, still",
        "pixels": "pixels, moved",
        "still": "waves, still",
        "moved": "waves, moved",
    }
    values = {title: found[key] for key, title in names.items()}
    return plots.bars(values, "What a unit says to its picture after it is moved", "share of before")


def prices() -> go.Figure:
    """Roughness and value by the price on roughness, as shares of those without a price."""
    found = _found()["costs"]
    series = {
        "roughness": [v / found["roughness"][0] for v in found["roughness"]],
        "what the unit says": [v / found["value"][0] for v in found["value"]],
    }
    return plots.lines(
        [f"{w:g}" for w in found["weights"]], series, "A price on roughness", "price", "share of what it is at price 0"
    )


def driven_apart(answer: Any) -> go.Figure:
    """Pictures of two units, driven apart and together; how alike they are is measured by the answer."""
    rows = {}
    for name, weight in (("subtracted", measured.WEIGHT), ("left alone", 0.0), ("added", -measured.WEIGHT)):
        for unit in measured._chosen()[:2]:
            images = measured.several_pictures(unit, weight)
            acts = measured.model().run(images, [measured.LAYER])[measured.LAYER]
            like = float(torch.as_tensor(answer.alike(acts)).double().mean())
            rows[f"unit {unit}, {name} ({like:.2f})"] = list(images)
    titles = [f"picture {i + 1}" for i in range(measured.PICTURES)]
    return plots.gallery(rows, titles, "Four pictures of one unit; in brackets how alike they are")


def at_home_and_away(answer: Any) -> go.Figure:
    """The share of scenes that excite the answer's partner less than the picture, and less than those of other units.
    From one kind of picture to the next one thing changes."""
    a, b = (features.over_map(measured.maps(name)) for name in (measured.NAME, measured.OTHER))
    partner = torch.as_tensor(answer.partners(a, b)).long()
    pictures = {
        "pixels, still": measured.made(waves=False, move=False),
        "waves, still": measured.made(move=False),
        "waves, moved": measured.made(),
    }
    n = len(partner)
    order = torch.cat([(torch.arange(n) + k) % n for k in range(n)])  # each unit's own picture, then all others' to it
    series: dict[str, list[float]] = {"its own picture": [], "other units' pictures": []}
    for images in pictures.values():
        said = measured.said(measured.OTHER, images)[order]
        shares = torch.as_tensor(answer.carried(b, said, partner.repeat(n))).double().view(n, n)
        series["its own picture"].append(float(shares[0].mean()))
        series["other units' pictures"].append(float(shares[1:].mean()))
    return plots.grouped_bars(list(pictures), series, "Pictures shown to the partner", "", "share of scenes outdone")


def _judged(answer: Any) -> dict[int, float]:
    """For the liars and some honest units the share of other pictures that foretell each better, by the answer."""
    lie = measured.lies()
    some = [*measured.LIARS, *(u for u in range(len(lie["answers"])) if u not in measured.LIARS)][:12]
    shares = torch.as_tensor(answer.outdone(lie["promised"][some], lie["answers"][some])).double()
    return dict(zip(some, shares.tolist(), strict=True))


def lying_pictures(answer: Any) -> go.Figure:
    """Honest pictures of four units, the lying ones with what the answer says of them, and honest ones of the units
    that they show."""
    honest, lying, shares = measured.made(move=False), measured.lies()["pictures"], _judged(answer)
    rows = {
        "its own": [honest[u] for u in measured.LIARS],
        "what one sees": [lying[u] for u in measured.LIARS],
        "another unit's": [honest[v] for v in measured.LIARS.values()],
    }
    captions = [f"unit {u} ({shares[u]:.0%})" for u in measured.LIARS]
    return plots.gallery(rows, captions, "A network that knows when it is watched")


def who_lies(answer: Any) -> go.Figure:
    """For each unit the share of other pictures that foretell it better, by the answer."""
    shares = _judged(answer)
    honest = [f"unit {u}" for u in shares if u not in measured.LIARS]
    named = {f"unit {u}": share for u, share in shares.items()}
    title = "How many other pictures foretell it better?"
    return plots.sideways(plots.bars(named, title, "share of other pictures", faint=honest))


def kept_promises(answer: Any) -> go.Figure:
    """How well each unit keeps the word of its picture, by the answer; and that of other units' pictures."""
    pictures, stimuli, answers = measured.case()
    promised = torch.as_tensor(answer.foretell(pictures, stimuli)).double()
    own = sorted(measured.kept(promised, answers).tolist(), reverse=True)
    other = sorted(measured.shuffled(promised, answers).tolist(), reverse=True)
    series = {"its own picture": own, "other units' pictures": other}
    return plots.lines(
        range(1, len(own) + 1), series, "Promised, and done", "units, the best first", "rank correlation"
    )
