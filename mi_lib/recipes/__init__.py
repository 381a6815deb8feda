"""How every bundled model was made and proved, a room per family: `python -m mi_lib.recipes.<family>` rebuilds it."""
