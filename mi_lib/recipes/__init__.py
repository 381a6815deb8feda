"""How every bundled model was trained: `python -m mi_lib.recipes.<name>` rebuilds it."""
