"""The colour of letters that the server writes into figures, and that the browser exchanges if the theme changes."""

AT_AXES = ("#5f6672", "#c9ced6")  # of ticks, titles of axes and notes: in the light theme, and in the dark one
