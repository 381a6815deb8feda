"""The attention-only models of chapter 02, and how they are proved.

`python -m mi_lib.recipes.induction` rebuilds all.
"""
