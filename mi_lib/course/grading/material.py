"""What graders compute with: random numbers, tokens, masks, small models, and edits of their activations.

All of it is seeded, so that a verdict is the same every time. Nothing here answers an exercise: learners' code can read
the library, so an oracle belongs into the chapter's grader, which it cannot read. A small model is exact, quick, and
has no part that a wrong answer may leave out unseen: its biases are not 0 and its norms not 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mi_lib.models import HookedModel, Transformer, TransformerConfig

M = TypeVar("M", bound=nn.Module)


def generator(seed: int) -> torch.Generator:
    """A source of random numbers of its own, which nothing else draws from."""
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int) -> Float[Tensor, "..."]:
    """Random numbers of mean 0 and variance 1, [*shape]."""
    return torch.randn(shape, generator=generator(seed))


def random_tokens(batch: int, pos: int, d_vocab: int, seed: int) -> Int[Tensor, "batch pos"]:
    """Random tokens, each of 0 … d_vocab − 1 as likely as any other."""
    return torch.randint(0, d_vocab, (batch, pos), generator=generator(100 + seed))


def causal_mask(n_query: int, n_key: int | None = None) -> Bool[Tensor, "query key"]:
    """True where a query may look: at its own place and before it. The last query stands at the place of the last key.

    n_key: as many as queries, unless there are keys from before the first query.
    """
    n_key = n_query if n_key is None else n_key
    return torch.arange(n_key) <= torch.arange(n_key - n_query, n_key)[:, None]


def random_transformer(seed: int, *, scale: float, **sizes: Any) -> Transformer:
    """A small native model: matrices N(0, scale²), biases N(0, 0.8²), norm weights between 1 and 1.3.

    sizes: the fields of `TransformerConfig`. ValueError or TypeError where they are none. It asks for no gradients.
    """
    model = Transformer(TransformerConfig(**sizes)).init_weights(seed, scale=scale)
    source = generator(50 + seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            last = name.rsplit(".", 1)[-1]
            if last.startswith("b"):
                parameter.copy_(0.8 * torch.randn(parameter.shape, generator=source))
            elif last == "w":
                parameter.copy_(1 + 0.3 * torch.rand(parameter.shape, generator=source))
    return model.requires_grad_(False)


def randomised(module: M, seed: int, std: float = 0.5) -> M:
    """Any module of torch or `transformers`, its parameters now N(0, std²), and N(1, std²) for the weights of norms.

    Fresh ones have biases of 0 and norms of 1, which hide mistakes. The module itself comes back, without gradients.
    """
    source = generator(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.normal_(0.0, std, generator=source)
            if parameter.ndim == 1 and name.endswith("weight"):
                parameter.add_(1.0)
    return module.eval().requires_grad_(False)


def with_weights(model: Transformer, weights: Mapping[str, Tensor] | None = None) -> Transformer:
    """A copy of a native model, some of its weights replaced by others of the same shape. It asks for no gradients.

    RuntimeError of torch for a name that the model does not have, or for another shape.
    """
    copy = Transformer(model.config)
    copy.load_state_dict({**model.state_dict(), **(weights or {})})
    return copy.eval().requires_grad_(False)


def activation(model: HookedModel, tokens: Int[Tensor, "batch pos"], site: Any) -> Float[Tensor, "batch pos ..."]:
    """What stands at one site, such as ("z", 0), in a run on these tokens."""
    return model.run_with_cache(tokens, site)[1][site]


def logits_with(
    model: HookedModel, tokens: Int[Tensor, "batch pos"], site: Any, change: Callable[[Tensor], Any]
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits of a run in which `change` has changed a copy of the activation at a site, in place."""

    def edit(value: Tensor, hook: Any) -> Tensor:
        value = value.clone()
        change(value)
        return value

    return model.run_with_hooks(tokens, [(site, edit)])
