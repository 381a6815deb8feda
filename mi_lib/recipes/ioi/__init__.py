"""The small trained network that says to whom something is given, and how it is proved.

`python -m mi_lib.recipes.ioi` rebuilds it.
"""
