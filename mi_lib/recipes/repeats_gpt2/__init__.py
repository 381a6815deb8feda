"""The small GPT-2 of chapter 01, and how it is proved.

`python -m mi_lib.recipes.repeats_gpt2` rebuilds all.
"""
