"""Attribution: which parts of a model caused its answer."""

from mi_lib.attribution.edges import edge_effects, patch_edges, run_edges, sender_outputs

__all__ = ["edge_effects", "patch_edges", "run_edges", "sender_outputs"]
