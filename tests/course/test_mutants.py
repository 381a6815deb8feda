"""Mutants: what each operator makes of a source, the account of survivors, and a sample from every exercise."""

from __future__ import annotations

import ast
import textwrap

import pytest
from click.testing import CliRunner

from mi_lib.course.index import CourseError
from mi_lib.course.proving import grading, mutants, report


@pytest.fixture(scope="module")
def grader():
    from mi_lib.course.grading import Grader

    with Grader() as grader:
        yield grader


def section(body: str, head: str = "def f(x, y):", doc: str = "It works.") -> str:
    lines = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return f'# %% [90.1] F\n{head}\n    """{doc}"""\n    ### BEGIN SOLUTION\n{lines}\n    ### END SOLUTION\n'


def made(body: str, operator: str, **more: str) -> list[str]:
    """What an operator makes of the lines of a solution: the lines that differ."""
    found = mutants.mutants_of(section(body, **more), "90.1")
    return [mutant.after for mutant in found if mutant.operator == operator]


@pytest.mark.parametrize(
    ("body", "operator", "expected"),
    [
        ("return x + y", "arithmetic", ["return x - y"]),
        ("return x @ y", "arithmetic", ["return x * y"]),
        ("return (x + 1) * y", "arithmetic", ["return (x + 1) / y", "return (x - 1) * y"]),
        ("x += y\nreturn x", "arithmetic", ["x -= y"]),
        ("return x - x.mean(0)", "operand dropped", ["return x", "return -x.mean(0)"]),
        ("return x and y", "operand dropped", ["return y", "return x"]),
        ("return x - y", "operands exchanged", ["return y - x"]),
        ("return x * (y + x)", "operands exchanged", []),
        ("return x >= y", "comparison", ["return x > y", "return x <= y"]),
        ("return x == y", "comparison", ["return x != y"]),
        ("return x or y", "logic", ["return x and y"]),
        ("return x[~y]", "logic", ["return x[y]"]),
        ("return x.sort(descending=True)", "logic", ["return x.sort(descending=False)"]),
        ("return -x.sum()", "minus dropped", ["return x.sum()"]),
        ("return x * 3", "constant", [f"return x * {n}" for n in (4, 2, 0, -3, 6)]),
        ("return x * 0.5", "constant", [f"return x * {n}" for n in (0.0, -0.5, 1.0, 0.25)]),
        ("return x[-1]", "constant", [f"return x[{n}]" for n in (0, -2, 1)]),
        ("return x.softmax(dim=-1)", "axis", [f"return x.softmax({a})" for a in ("dim=-2", "dim=0", "dim=1", "")]),
        ("return x.sum(dim=(0, 2))", "axis", ["return x.sum(dim=0)", "return x.sum(dim=2)", "return x.sum()"]),
        ("return x.sum(keepdim=True)", "logic", ["return x.sum(keepdim=False)"]),
        ("return x[:-1]", "subscript", ["return x[1:]", "return x[:]"]),
        ("return x[1:]", "subscript", ["return x[:-1]", "return x[:]"]),
        ("return x[:, 0]", "subscript", ["return x[0, :]"]),
        ("return x[:y]", "subscript", ["return x[:]", "return x[:y + 1]", "return x[:y - 1]"]),
        ("return x.abs() * y", "call dropped", ["return x * y"]),
        ("return x.clone()", "call dropped", ["return x"]),
        ("return x @ y.T", "call dropped", ["return x @ y"]),
        ("return math.sqrt(x)", "call dropped", ["return x"]),
        ("return f(x + 1, y)", "call dropped", ["return x + 1"]),
        ("return x.var()", "name exchanged", ["return x.std()"]),
        ("return x.argmax()", "name exchanged", ["return x.argmin()"]),
        ("return x.double()", "name exchanged", ["return x.float()"]),
        ("return max(x, y)", "name exchanged", ["return min(x, y)"]),
        ("return torch.ones(3, dtype=torch.float64)", "name exchanged",
         ["return torch.zeros(3, dtype=torch.float64)", "return torch.ones(3, dtype=torch.float32)"]),
        ("return x.var(0)", "estimator", ["return x.var(0, correction=0)"]),
        ("return g(x, y, key=1)", "arguments exchanged", ["return g(y, x, key=1)"]),
        ("return x, y", "arguments exchanged", ["return (y, x)"]),
        ("return {1: x, 2: y}", "arguments exchanged", ["return {1: y, 2: x}"]),
        ("return range(x)", "span", ["return range(x + 1)", "return range(x - 1)", "return range(1, x)"]),
        ("return torch.einsum('ab,bc->ac', x, y)", "pattern",
         ["return torch.einsum('ba,bc->ac', x, y)", "return torch.einsum('ab,cb->ac', x, y)",
          "return torch.einsum('ab,bc->ca', x, y)"]),
        ("return rearrange(x, 'pos (head d) -> head pos d')", "pattern",
         ["return rearrange(x, 'head (pos d) -> head pos d')", "return rearrange(x, 'pos (d head) -> head pos d')",
          "return rearrange(x, 'pos (head d) -> pos head d')", "return rearrange(x, 'pos (head d) -> head d pos')"]),
        ("return x if y else -x", "condition", ["return x", "return -x"]),
        ("return [a for a in x if a > y]", "condition", ["return [a for a in x]"]),
        ("if x > y:\n    return x\nreturn y", "tested", ["if True:", "if False:"]),
        ("return [a for a in x]", "gone through",
         [f"return [a for a in list(x){piece}]" for piece in ("[:-1]", "[1:]", "[:1]", "[::-1]")]),
        ("x[0] = 0\nreturn x", "dropped", ["pass"]),
        ("x.sort_()\nreturn x", "dropped", ["pass"]),
        ("x = x - y\nreturn x", "in place", ["x -= y"]),
        ("while x:\n    x = g(x)\nreturn x", "last of loop", ["break"]),
    ],
)  # fmt: skip
def test_an_operator_makes_its_slips_and_no_others(body, operator, expected):
    assert made(body, operator) == expected


def test_what_is_returned_is_changed_as_its_annotation_allows():
    head = 'def f(x) -> Float[Tensor, "row column"]:'
    assert made("return x + 1", "result", head=head) == ["return -(x + 1)", "return (x + 1).mT"]
    promised = made("return x", "result", head=head, doc="In float64. Gradients flow.")
    assert promised == ["return -x", "return x.mT", "return x.float()", "return x.detach()"]
    assert made("return x", "result", head="def f(x) -> dict:") == []


def test_a_result_is_detached_where_a_training_loop_goes_through_the_function():
    text = section("return x * x", head="def f(x) -> Tensor:")
    train = "def train(x):\n    f(x).backward()\n"
    assert "return (x * x).detach()" in [m.after for m in mutants.mutants_of(text, "90.1", text + train)]
    assert "return (x * x).detach()" not in [m.after for m in mutants.mutants_of(text, "90.1")]


def test_a_parameter_is_ignored_in_favour_of_what_is_bundled_or_plain():
    head = 'def f(p: int, w: float, x: Float[Tensor, "batch d"], steps: list[int], samples: int = 300) -> int:'
    assert made("return g(p, w, x, steps, samples)", "parameter ignored", head=head) == [
        "p = 113", "w = 0.0", "w = 1.0", "x = torch.zeros_like(x)", "x = torch.ones_like(x)",
        "x = x[:1].expand_as(x)", "steps = steps[:1]", "steps = steps[-1:]", "samples = 300",
    ]  # fmt: skip


def test_default_arguments_are_changed_and_nothing_else_outside_of_the_solution():
    head = "def f(x: int, eps: float = 0.5, flag: bool = True):"
    found = mutants.mutants_of(section("return x", head=head, doc="Adds 1 + 1."), "90.1")
    signatures = [m.after for m in found if m.line == 2]
    assert signatures == [head.replace("0.5", new) for new in ("0.0", "-0.5", "1.0", "0.25")] + [
        head.replace("True", "False")
    ]
    assert all('"""Adds 1 + 1."""' in mutant.section for mutant in found)


def test_a_mutant_differs_from_the_reference_in_its_own_lines_only():
    body = "a = x   # kept: “1 + 2”\nb = g(a,\n      y)\nreturn (a - b) * 2"
    for mutant in mutants.mutants_of(section(body), "90.1"):
        old, new = section(body).splitlines(), mutant.section.splitlines()
        assert sum(line not in new for line in old) <= max(1, len(mutant.before.splitlines()))
        ast.parse(mutant.section)


def test_what_leaves_the_byte_code_as_it_was_is_no_mutant_and_none_is_made_twice():
    found = mutants.mutants_of(section("return x[0:1] + 0 * 1"), "90.1")
    texts = [mutant.section for mutant in found]
    assert len(texts) == len(set(texts))
    assert section("return x[0:1] + 0 / 1") in texts  # 0.0 is not 0
    assert section("return x[0:1] + 0 * 2") not in texts


# --- grading ------------------------------------------------------------------------------------------------------


def prove(chapter, grader, **how):
    return mutants.prove(chapter.exercises, lambda tasks: grading.judge(tasks, grader=grader), **how)


def test_of_the_made_up_chapter_every_mutant_is_killed_but_two(chapter, grader):
    first, second = prove(chapter, grader)
    assert (first.made, first.killed, first.survivors, first.in_order) == (8, 8, [], True)
    assert [m.after for m in second.survivors] == ["return add(c, add(a, b))", "return add(add(b, a), c)"]
    shown = "\n".join(report.tallies("90", [first, second]))
    assert "- return add(add(a, b), c)\n    + return add(add(b, a), c)" in shown
    assert "90.1   100.0 %   8 of 8 killed" in shown


def test_a_survivor_with_a_reason_is_in_order_and_an_entry_that_explains_none_is_stale(chapter, grader):
    tallies = prove(chapter, grader)
    entries = "".join(mutants.entry(mutant) for mutant in tallies[1].survivors)
    path = chapter.solutions_folder / "survivors.toml"
    path.write_text(entries)
    with pytest.raises(CourseError, match="survivor 1 has no reason"):
        mutants.explained(chapter)
    path.write_text(entries.replace('reason = ""', 'reason = "A sum may be added in any order."'))
    assert all(tally.in_order for tally in prove(chapter, grader))
    killed = '[[survivor]]\nexercise = "90.1"\nbefore = "return a + b"\nafter = "return a - b"\nreason = "None."\n'
    path.write_text(path.read_text() + killed)
    stale = prove(chapter, grader)[0].stale
    assert [entry.after for entry in stale] == ["return a - b"]
    assert mutants.unknown_entries(chapter) == []  # such a mutant is still made
    path.write_text(killed.replace("a - b", "a ** b"))
    assert [entry.after for entry in mutants.unknown_entries(chapter)] == ["return a ** b"]


def test_a_test_that_breaks_on_a_mutant_is_reported_apart(chapter, grader):
    path = chapter.folder / "test_exercises.py"
    path.write_text(path.read_text().replace('"""2 + 3 is 5."""', "1 / (answer.add(0.0, -1.0) - 1)", 1))
    broken = prove(chapter, grader)[0].broken
    assert "return -(a + b)" in [mutant.after for mutant, _ in broken]  # the other test lets it pass
    assert "ZeroDivisionError" in broken[0][1]


def test_a_reference_that_does_not_pass_has_no_mutants(chapter, grader):
    path = chapter.folder / "test_exercises.py"
    path.write_text(path.read_text().replace("5.0", "5.5"))
    with pytest.raises(CourseError, match=r"90\.1 does not pass"):
        prove(chapter, grader)


def test_a_sample_is_the_same_for_the_same_seed_and_leaves_out_what_is_explained(chapter):
    exercise = chapter.exercises[1]
    assert mutants.sample(exercise, 3, seed=1) == mutants.sample(exercise, 3, seed=1)
    drawn = mutants.sample(exercise, 1000, seed=1)
    path = chapter.solutions_folder / "survivors.toml"
    path.write_text(mutants.entry(drawn[0]).replace('reason = ""', 'reason = "It is right."'))
    assert drawn[0] not in mutants.sample(exercise, 1000, seed=1)


@pytest.mark.slow
def test_the_command_shows_survivors_and_says_with_its_exit_code_that_there_are_some(chapter):
    from mi_lib.cli import cli

    ran = CliRunner().invoke(cli, ["dev", "mutate", "90", "--only", "90.2", "--jobs", "1"])
    assert ran.exit_code == 1
    assert "90.2, line 17, add_three (arguments exchanged) survives:" in ran.output
    sampled = ["dev", "mutate", "90", "--only", "90.1", "--jobs", "1", "--sample", "2"]
    assert CliRunner().invoke(cli, sampled).exit_code == 0
