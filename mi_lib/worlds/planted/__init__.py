"""Planted circuits: small networks of which every edge is known, because their weights were written down.

    from mi_lib.worlds import planted

    circuit = planted.circuit("induction")
    pairs = circuit.pairs(32, seed=0)
    logits = circuit.model(pairs.clean)
    circuit.metric(logits, pairs)          # logit(answer) − logit(answer of the corrupted prompt), [batch]
    circuit.edges                          # Edge("a0.h2", "a1.h1.k"), …

Nobody trained them: `planted.compiler` turns a readable description into weights (after Tracr, Lindner et al. 2023,
arXiv 2301.05062), and hides the circuit among heads and neurons that are as busy and that nobody on the path listens
to. So a method that is to find circuits can be judged, as with InterpBench (Gupta et al. 2024, arXiv 2407.14494), whose
networks are trained to agree with a known circuit.

    previous      copies the token before the last                           one head
    induction     says what came after the word's earlier occurrence         K-composition of two heads
    duplicate     says which word occurs twice                               K-composition of two heads
    two_hop       person → town → river, from facts in the prompt            K- and Q-composition of three heads
    position      says the n-th word                                         Q-composition, keys are places
    conjunction   are both words bright?                                     two heads into an MLP that saturates
    redundant     is there a bright word?                                    two heads of which each suffices
    cancelling    is the third word bright?                                  two paths whose slopes cancel

and, larger, in a module of its own:

    ioi           says to whom something is given                            ten heads, as in GPT-2 (`planted.ioi`)

To be on the circuit can mean different things (`Circuit`):

    edges            patched with the corrupted prompt, alone, each changes the metric by more than a tenth of its range
    together         … but in `redundant`, and for what keeps the backups of `ioi` asleep, only when both are patched
    constant_edges   needed, but the same in all prompts (where a token stands): seen when removed, never when patched
    dormant          of heads that are asleep (the backups of `ioi`): seen when other heads have been silenced

Everything else changes the metric by less than a hundredth. `two_hop` and `cancelling` have LayerNorm (every token
carries a ballast that keeps its norm constant; see `planted.compiler`), the others no norm; any can be had either way.

To plant another one, write a function that returns a `Plan` (a `Description`, the edges, and prompts in pairs) and put
it in the table below: the tests take it from there, and say of each edge whether it is what the plan claims.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from mi_lib.models.graph import Edge
from mi_lib.worlds.planted import copying, ioi, switches
from mi_lib.worlds.planted.circuit import Circuit, Pairs
from mi_lib.worlds.planted.plan import Plan

__all__ = ["NAMES", "Circuit", "Edge", "Pairs", "circuit"]

_PLANS: dict[str, Callable[[torch.Generator, bool], Plan]] = {
    "previous": copying.previous,
    "induction": copying.induction,
    "duplicate": copying.duplicate,
    "two_hop": copying.two_hop,
    "position": copying.position,
    "conjunction": switches.conjunction,
    "redundant": switches.redundant,
    "cancelling": switches.cancelling,
}
NAMES = tuple(_PLANS)
_WITH_NORM = {"two_hop", "cancelling"}


def circuit(name: str, *, seed: int = 0, norm: bool | None = None, leak: float = 0.0003) -> Circuit:
    """One of `NAMES`, or "ioi", compiled. The construction stands in the docstring of the function of this name.

    seed: of the rotation, the distractors and the leak. The circuit itself is the same.
    norm: with LayerNorm or without; None for the circuit's own choice.
    leak: noise on every weight, as a share of the root mean square of its matrix, so that no effect is exactly 0.
    ValueError for another name, or a leak that would drown the circuit.
    """
    plans = _PLANS | {"ioi": ioi.ioi}
    if name not in plans:
        raise ValueError(f"there is no planted circuit {name!r}; choose one of {', '.join(plans)}")
    if not 0 <= leak <= 0.005:
        raise ValueError(f"leak must lie between 0 and 0.005, not {leak}: more would make edges of what are none")
    generator = torch.Generator().manual_seed(seed)
    norm = name in _WITH_NORM if norm is None else norm
    return plans[name](generator, norm).compiled(generator, norm=norm, leak=leak)
