"""The networks of chapter 03, which do arithmetic mod p, and how they are proved.

`python -m mi_lib.recipes.grokking` rebuilds all.
"""
