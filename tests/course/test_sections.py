"""Cutting an exercise file at its markers, and putting it together again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mi_lib.course import sections
from mi_lib.course.index import CourseError
from mi_lib.course.stubs import stub

IDS = ["setup", "02.1", "02.2", "02.10"]
# Text as learners write it: quotes, tabs, odd line ends, plain cells, half-finished code; no marker of ours.
noise = st.text(alphabet=st.sampled_from("ab é\t\r\n\x0c'\"#% [](:"), max_size=60).filter(
    lambda text: not sections.MARKER.search("\n" + text + "\n")
)


@st.composite
def exercise_files(draw):
    ids = draw(st.lists(st.sampled_from(IDS), unique=True, min_size=1))
    text = draw(noise.map(lambda t: t + "\n" if t else t))
    for section in ids:
        text += f"# %% [{section}] {draw(st.sampled_from(['', 'Title', 'é']))}\n{draw(noise)}\n"
    return ids, text


@given(exercise_files())
def test_joining_the_sections_gives_the_file_back(case):
    ids, text = case
    parts = sections.split(text)
    assert sections.join(parts) == text
    assert [name for name in parts if name] == ids


@given(st.text())
def test_any_text_at_all_survives(text):
    assert sections.join(sections.split(text)) == text


@given(exercise_files(), noise)
def test_replacing_a_section_changes_that_section_alone(case, new):
    ids, text = case
    section = ids[0]
    marked = f"# %% [{section}] New\n{new}\n"
    replaced = sections.split(sections.replace(text, section, marked))
    assert replaced.pop(section) == marked
    rest = sections.split(text)
    rest.pop(section)
    assert replaced == rest


def test_a_section_given_without_its_marker_keeps_the_marker_that_is_there():
    text = "# %% [02.1] One\nx = 1\n# %% [02.2] Two\ny = 2\n"
    assert sections.replace(text, "02.1", "x = 3") == "# %% [02.1] One\nx = 3\n# %% [02.2] Two\ny = 2\n"


def test_a_plain_cell_line_belongs_to_the_section_around_it():
    text = "# %% [02.1] One\nx = 1\n# %%\ny = 2\n"
    assert sections.split(text) == {"02.1": text}


def test_a_missing_marker_is_explained_in_a_sentence():
    with pytest.raises(CourseError, match=r"section \[02.3\] is missing.*`# %% \[02.3\]`"):
        sections.get("# %% [02.1]\n", "02.3")


def test_a_doubled_marker_is_explained_with_its_line():
    with pytest.raises(CourseError, match=r"\[02.1\] stands twice, and the second starts on line 3"):
        sections.split("# %% [02.1]\nx = 1\n# %% [02.1]\nx = 2\n")


def test_text_with_the_marker_of_another_section_is_refused():
    with pytest.raises(CourseError, match="under its own marker"):
        sections.replace("# %% [02.1]\nx = 1\n# %% [02.2]\n", "02.1", "# %% [02.1]\n# %% [02.2]\n")


def test_equal_texts_have_equal_versions_and_others_do_not():
    assert sections.version("a") == sections.version("a") != sections.version("a ")


def test_a_stub_keeps_everything_but_the_solution():
    reference = (
        "# %% [02.1] One\ndef f(x):\n    '''Doc.'''\n    ### BEGIN SOLUTION\n    return x\n    ### END SOLUTION\n"
    )
    assert stub(reference) == (
        "# %% [02.1] One\ndef f(x):\n    '''Doc.'''\n"
        '    raise NotImplementedError("Exercise 02.1 is waiting for your answer.")\n'
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    ### BEGIN SOLUTION\n    pass\n", "without an ### END"),
        ("    ### END SOLUTION\n", "without a ### BEGIN"),
        ("    ### BEGIN SOLUTION\n    ### BEGIN SOLUTION\n", "two ### BEGIN"),
        ("### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n", "outside a function"),
    ],
)
def test_marks_that_do_not_pair_up_are_refused(body, said):
    with pytest.raises(CourseError, match=said):
        stub(f"# %% [02.1]\ndef f():\n{body}")
