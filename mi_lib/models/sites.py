"""Activation sites: the places inside a model that can be read and edited, under TransformerLens's names.

A site's full name says where it is: `blocks.1.attn.hook_pattern`. Its short form is a tuple: `("pattern", 1)`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mi_lib.models.config import ModelConfig

_BLOCK = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")
_ATTN = ("q", "k", "v", "rot_q", "rot_k", "attn_scores", "pattern", "z", "result")
_MLP = ("pre", "pre_linear", "post")
_NORM = ("scale", "normalized")
_SYNONYMS = {
    "scores": "attn_scores",
    "attn_logits": "attn_scores",
    "attn": "pattern",
    "mlp_pre": "pre",
    "mlp_post": "post",
}

Names = str | tuple | Iterable[str | tuple] | Callable[[str], bool] | None


class UnknownSite(KeyError):
    """A name that is no site of this model. The message names the nearest ones."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the repr


@dataclass(frozen=True)
class Hook:
    """What an edit function is told about where it is called: `fn(value, hook)`."""

    name: str

    @property
    def layer(self) -> int | None:
        return layer_of(self.name)


def layer_of(name: str) -> int | None:
    """The block a site belongs to: 1 for `blocks.1.attn.hook_z`, None for `hook_embed` or `ln_final.hook_scale`."""
    parts = name.split(".")
    return int(parts[1]) if parts[0] == "blocks" else None


def site_names(cfg: ModelConfig) -> list[str]:
    """Every site of a model, in the order in which a forward pass reaches them."""
    names = ["hook_embed"] + (["hook_pos_embed"] if cfg.positions != "rotary" else [])
    norm = cfg.norm != "none"
    for layer in range(cfg.n_layers):
        b = f"blocks.{layer}"
        names.append(f"{b}.hook_resid_pre")
        names += [f"{b}.ln1.hook_{s}" for s in _NORM] if norm else []
        rotary = ("rot_q", "rot_k") if cfg.positions == "rotary" else ()
        names += [f"{b}.attn.hook_{s}" for s in ("q", "k", "v", *rotary, "attn_scores", "pattern", "z", "result")]
        names.append(f"{b}.hook_attn_out")
        if cfg.d_mlp:
            names += [] if cfg.parallel else [f"{b}.hook_resid_mid"]
            names += [f"{b}.ln2.hook_{s}" for s in _NORM] if norm else []
            names += [f"{b}.mlp.hook_{s}" for s in ("pre", *(("pre_linear",) if cfg.gated else ()), "post")]
            names.append(f"{b}.hook_mlp_out")
        names.append(f"{b}.hook_resid_post")
    return names + ([f"ln_final.hook_{s}" for s in _NORM] if norm else [])


def full_name(short: str | tuple, n_layers: int) -> str:
    """`("pattern", 1)` → `blocks.1.attn.hook_pattern`; negative layers count from the end; full names pass through.

    The forms of TransformerLens: `("resid_post", 3)`, `("scale", 0, "ln1")`, `"embed"`, `("scale", "ln_final")`.
    """
    if isinstance(short, str):
        return f"hook_{short}" if short in ("embed", "pos_embed") else short
    name, *rest = short
    name = _SYNONYMS.get(name, name)
    if not rest:
        return full_name(name, n_layers)
    layer, where = (rest[0], rest[1] if len(rest) > 1 else None)
    if layer == "ln_final" or (layer is None and name in _NORM):
        return f"ln_final.hook_{name}"
    if not isinstance(layer, int):
        raise UnknownSite(f"{short!r} is not a site: the second part must be a layer, as in ({name!r}, 0)")
    if not -n_layers <= layer < n_layers:
        raise UnknownSite(f"{short!r}: this model has layers 0 to {n_layers - 1}")
    layer %= n_layers
    if name in _NORM:
        if where not in ("ln1", "ln2"):
            raise UnknownSite(f"{short!r}: say which norm, as in ({name!r}, {layer}, 'ln1')")
        return f"blocks.{layer}.{where}.hook_{name}"
    for group, part in ((_BLOCK, ""), (_ATTN, "attn."), (_MLP, "mlp.")):
        if name in group:
            return f"blocks.{layer}.{part}hook_{name}"
    raise UnknownSite(f"{short!r} is not a site; the short forms are {', '.join((*_BLOCK, *_ATTN, *_MLP, *_NORM))}")


def resolve(names: Names, known: list[str], n_layers: int) -> list[str]:
    """The full names that `names` selects: None for all, one name, several, short forms, or a predicate on names."""
    if names is None:
        return list(known)
    if callable(names):
        return [name for name in known if names(name)]
    one = isinstance(names, str) or (isinstance(names, tuple) and _is_short_form(names))
    wanted = [full_name(name, n_layers) for name in ([names] if one else names)]  # type: ignore
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; `model.hook_names` lists them"
            raise UnknownSite(f"this model has no site {name!r}{hint}")
    return wanted


def _is_short_form(names: tuple) -> bool:
    """("pattern", 1) is one site; ("hook_embed", "blocks.0.hook_resid_pre") is two."""
    return len(names) > 1 and (isinstance(names[1], int) or names[1] == "ln_final" or names[1] is None)
