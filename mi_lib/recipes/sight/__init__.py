"""The networks that see scenes, and how they are proved.

`python -m mi_lib.recipes.sight` rebuilds all.
"""
