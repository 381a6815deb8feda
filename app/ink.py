"""Colours that the server writes into figures, and that the browser exchanges if the theme changes."""

AT_AXES = ("#5f6672", "#c9ced6")  # of ticks, titles of axes and notes: in the light theme, and in the dark one
# The first colour of every figure. On a dark page a thin line of it is dim, with 3.5 : 1; there it is a lighter blue.
FIRST = ("#0072B2", "#2988D4")


def as_written(color: str) -> str:
    """ "#0072B2" as the browser writes it into a style: "rgb(0, 114, 178)"."""
    return f"rgb({', '.join(str(int(color[i : i + 2], 16)) for i in (1, 3, 5))})"
