"""Graders are proved here: by small mutants of the reference answers, and by results that are nonsense.

`operators` says what a mutant is, `mutants` makes those of a chapter and keeps account of the survivors, `nonsense`
replaces results, and `grading` has submissions judged by several processes at once.
"""
