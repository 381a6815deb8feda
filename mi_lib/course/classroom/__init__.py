"""A class: hand the course out, take submissions in, grade them all, and keep the grades.

    release      what learners get, as one zip          submissions  what learners handed in, as exported
    work         the verdicts on one submission         batch        many of them, over cores or machines
    gradebook    every verdict, adjustment and attempt  points       what they come to
    similarity   who might have worked together         report       CSV, JSON, JUnit, CTRF, Gradescope, HTML

Nothing here runs a learner's code: that is left to `mi_lib.course.grading`.
"""
