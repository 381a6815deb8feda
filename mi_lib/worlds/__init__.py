"""Worlds: data whose ground truth is known, because we made it. One module per world; seeded, typed, no files read."""
