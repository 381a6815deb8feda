"""Colours that the server writes into figures and styles: the light theme's, and the dark one's."""

AT_AXES = ("#5f6672", "#c9ced6")  # of ticks, titles of axes and notes; the browser exchanges them if the theme changes
GROUND = ("#ffffff", "#171614")  # of a page
