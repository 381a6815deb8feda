"""The dictionaries of Pico that the course ships, how they are proved, and what their width decides.

`python -m mi_lib.recipes.dictionaries` rebuilds them.
"""
