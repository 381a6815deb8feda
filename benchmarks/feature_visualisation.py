"""What a picture costs: gradient ascent on an image, against lucent's loop on the same network.

    python benchmarks/feature_visualisation.py         # two threads, on a machine that does nothing else
    python benchmarks/feature_visualisation.py --cpu   # one thread, processor seconds: on a machine that is busy

A convolutional network with random weights, one channel of a layer half-way up, images of 128 pixels as sums of
waves, moved before every step. lucent (greentfrapp/lucent) is not maintained; what stands here for it is its loop,
written from its description: a hook on every module keeps what it puts out, the whole network runs, and the backward
pass reaches the weights, too, since nobody has frozen them. Both sides have the same parameterisation, movements and
optimiser. The objective before every step and the picture after the last are asserted to be the same. (Before the first
step the picture is nearly grey, and the unit says next to nothing.)
"""

from __future__ import annotations

import sys
from typing import Any

import peers

LAYER, UNIT, SIZE, STEPS = "conv3", 5, 128, 12


def network() -> Any:
    """The same in both processes."""
    import torch

    from mi_lib.models.vision import ConvNet, ConvNetConfig

    grey = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    config = ConvNetConfig(
        (32, 64, 96, 128, 160, 192), (7, 3, 3, 3, 3, 3), (2, 1, 2, 1, 2, 1), ("a", "b"), SIZE, **grey
    )
    torch.manual_seed(0)
    return ConvNet(config).init_weights(0).eval()


def ours() -> peers.Subject:
    from mi_lib import features
    from mi_lib.models.vision.loading import wrapped

    model = wrapped(network())

    def run() -> Any:
        return features.render(model, features.channel(LAYER, UNIT), 1, size=SIZE, steps=STEPS)

    return peers.Subject(run, lambda made: (made.values[:, 0], made.images))


def lucents() -> peers.Subject:
    import torch

    from mi_lib import features

    net, kind, move = network(), features.Waves(), features.standard()

    def run() -> Any:
        kept: dict[str, Any] = {}
        hooks = [
            module.register_forward_hook(lambda _m, _i, out, name=name: kept.__setitem__(name, out))
            for name, module in net.named_children()
        ]
        parameters = kind.start((SIZE, SIZE), [0]).requires_grad_()
        climber = torch.optim.Adam([parameters], lr=0.05)
        source, values = torch.Generator().manual_seed(0), []
        for _ in range(STEPS):
            climber.zero_grad()
            net((move(kind.image(parameters, (SIZE, SIZE)), source) - 0.5) / 0.25)
            loss = -kept[LAYER][:, UNIT].mean()
            loss.backward()
            climber.step()
            values.append(-loss.detach())
        for hook in hooks:
            hook.remove()
        return torch.stack(values), kind.image(parameters.detach(), (SIZE, SIZE))

    return peers.Subject(run)


SUBJECTS = {"ours": ours, "lucent's loop": lucents}


def main() -> None:
    options = peers.options("channel")
    a, b = peers.compare(__file__, "ours", "lucent's loop", options, peer="")
    for ours, theirs in zip(a.result, b.result, strict=True):  # the objective; the picture
        peers.same(ours, theirs, 1e-3)
    peers.report(f"one channel of {LAYER}, {STEPS} steps of {SIZE} px", a, b, "1.5")


if __name__ == "__main__":
    if "--serve" in sys.argv:
        peers.serve(SUBJECTS)
    else:
        main()
