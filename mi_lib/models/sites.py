"""Activation sites: the places inside a model that can be read and edited, under TransformerLens's names.

A site's full name says where it is: `blocks.1.attn.hook_pattern`. Its short form is a tuple: `("pattern", 1)`.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mi_lib.models.config import ModelConfig

_INPUTS = ("q_input", "k_input", "v_input", "mlp_in")
_BLOCK = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", *_INPUTS)
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

# Large, or computed for whoever asks: `names=None` leaves them out, a name, a list or a predicate selects them.
_ON_REQUEST = tuple(f"hook_{name}" for name in ("result", *_INPUTS))

PAIRS = ("hook_attn_scores", "hook_pattern")  # [batch head query key]; elsewhere the position follows the batch

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
    """Every site of a model, in the order in which a forward pass reaches them.

    hook_q_input, hook_k_input and hook_v_input are the residual stream as each head reads it [batch pos head d_model],
    before the norm; hook_mlp_in is the stream as the MLP reads it. An edit there changes what that reader sees, and
    not the stream itself.
    """
    names = ["hook_embed"] + (["hook_pos_embed"] if cfg.positions != "rotary" else [])
    norm = cfg.norm != "none"
    for layer in range(cfg.n_layers):
        b = f"blocks.{layer}"
        names.append(f"{b}.hook_resid_pre")
        names += [f"{b}.ln1.hook_{s}" for s in _NORM] if norm else []
        names += [f"{b}.hook_{s}_input" for s in "qkv"]
        rotary = ("rot_q", "rot_k") if cfg.positions == "rotary" else ()
        names += [f"{b}.attn.hook_{s}" for s in ("q", "k", "v", *rotary, "attn_scores", "pattern", "z", "result")]
        names.append(f"{b}.hook_attn_out")
        if cfg.d_mlp:
            names += [] if cfg.parallel else [f"{b}.hook_resid_mid"]
            names.append(f"{b}.hook_mlp_in")
            names += [f"{b}.ln2.hook_{s}" for s in _NORM] if norm else []
            names += [f"{b}.mlp.hook_{s}" for s in ("pre", *(("pre_linear",) if cfg.gated else ()), "post")]
            names.append(f"{b}.hook_mlp_out")
        names.append(f"{b}.hook_resid_post")
    return names + ([f"ln_final.hook_{s}" for s in _NORM] if norm else [])


def on_request(name: str) -> bool:
    """Whether a site is read only by whoever asks for it: hook_result and the inputs of q, k, v and of the MLP."""
    return name.endswith(_ON_REQUEST)


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
    try:
        layer = operator.index(layer)  # also a whole number of numpy or torch
    except TypeError:
        raise UnknownSite(f"{short!r} is not a site: the second part must be a layer, as in ({name!r}, 0)") from None
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
    """The full names that `names` selects, each once.

    None: all but those `on_request`. Otherwise one name, several, short forms, or a predicate on names, which may
    select any site. UnknownSite for a name that is none, and if nothing is selected: a reading or an edit that happens
    nowhere is a mistake.
    """
    if names is None:
        return [name for name in known if not on_request(name)]
    if callable(names):
        if chosen := [name for name in known if names(name)]:
            return chosen
        raise UnknownSite(
            f"this predicate selects none of the model's {len(known)} sites, which have names such as "
            f"{known[0]}, {next((n for n in known if n.endswith('hook_z')), known[-1])} and {known[-1]}"
        )
    one = isinstance(names, str) or (isinstance(names, tuple) and _is_short_form(names))
    wanted = [full_name(name, n_layers) for name in ([names] if one else names)]  # type: ignore
    if not wanted:
        raise UnknownSite("an empty list selects no site; None selects all, and `model.hook_names` lists them")
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; `model.hook_names` lists them"
            raise UnknownSite(f"this model has no site {name!r}{hint}")
    return list(dict.fromkeys(wanted))


def _is_short_form(names: tuple) -> bool:
    """("pattern", 1) is one site; ("hook_embed", "blocks.0.hook_resid_pre") is two."""
    return len(names) > 1 and (hasattr(names[1], "__index__") or names[1] == "ln_final" or names[1] is None)
