"""Pico, the patient of half the course, and how it is proved.

`python -m mi_lib.recipes.pico` rebuilds all.
"""
