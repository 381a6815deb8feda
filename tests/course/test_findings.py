"""A chapter's findings: measured by its findings.py, kept in findings.json, quoted in its lesson."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from mi_lib.cli import cli
from mi_lib.course import devcheck, findings, index, lesson
from mi_lib.course.index import CourseError

FINDINGS = '''
from mi_lib.course import findings
from mi_lib.course.findings import claim, mean

SIZE = 3


def helper():
    """Not a claim."""
    return SIZE


@claim
def sums():
    """"1 + 1 is 2". Control: a product."""
    return {"sum": 1 + 1, "third": 1 / 3, "lengths": [helper(), 5, 9], **mean("loss", [1.0, 2.0, 3.0])}


@findings.claim(slow=True)
def slowly():
    """"It takes long"."""
    return {"sum": 2.0}
'''


@pytest.fixture
def measured(chapter):
    """The made-up chapter with findings, all measured."""
    (chapter.folder / "findings.py").write_text(FINDINGS)
    findings.write(chapter, findings.measure(chapter))
    return chapter


def test_what_is_marked_as_a_claim_is_measured_and_kept(measured):
    assert findings.names(measured) == ["sums", "slowly"]
    kept = findings.read(measured)
    assert kept["sums"]["sum"] == 2
    assert kept["slowly"] == {"sum": 2.0}
    assert (findings.module(measured).sums.slow, findings.module(measured).slowly.slow) == (False, True)


def test_the_file_has_a_line_for_each_claim_in_order_and_numbers_of_six_digits(measured):
    text = findings.path(measured).read_text()
    assert [line.split(":")[0] for line in text.splitlines()[1:-1]] == ['"slowly"', '"sums"']
    assert '"third": 0.333333}' in text
    assert list(json.loads(text)["sums"]) == ["lengths", "loss", "loss_interval", "sum", "third"]


def test_one_claim_is_measured_alone_and_the_others_stay(measured):
    source = measured.folder / "findings.py"
    source.write_text(source.read_text().replace("1 + 1", "1 + 2").replace('"sum": 2.0', '"sum": 7.0'))
    findings.write(measured, findings.measure(measured, ["sums"]))
    kept = findings.read(measured)
    assert (kept["sums"]["sum"], kept["slowly"]["sum"]) == (3, 2.0)


def test_what_is_claimed_no_more_is_taken_out(measured):
    source = measured.folder / "findings.py"
    source.write_text(source.read_text().replace("@findings.claim(slow=True)", ""))
    findings.write(measured, findings.measure(measured))
    assert list(findings.read(measured)) == ["sums"]


def test_an_unknown_claim_is_refused_with_the_names_that_are_there(measured):
    with pytest.raises(CourseError, match=r"claims nothing called sms\. It has: sums, slowly"):
        findings.measure(measured, ["sms"])


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')", "{1, 2}"])
def test_what_cannot_be_kept_is_told_with_its_place(measured, value):
    source = measured.folder / "findings.py"
    source.write_text(source.read_text().replace("1 / 3", value))
    with pytest.raises(CourseError, match=r"sums\.third is"):
        findings.measure(measured)


@pytest.mark.parametrize(
    ("measured_now", "kept", "said"),
    [
        ({"loss": 1.2, "loss_interval": [0, 9]}, {"loss": 1.0, "loss_interval": [0.9, 1.3]}, None),
        ({"loss": 1.4, "loss_interval": [0, 9]}, {"loss": 1.0, "loss_interval": [0.9, 1.3]}, "outside of 0.9 to 1.3"),
        ({"loss": 1.001}, {"loss": 1.0}, None),
        ({"loss": 1.01}, {"loss": 1.0}, "x.loss is 1.01"),
        ({"heads": [1, 2]}, {"heads": [1, 3]}, "x.heads.1 is 2"),
        ({"heads": [1, 2]}, {"heads": [1]}, "x.heads is"),
        ({"word": "a"}, {"word": "the"}, "x.word is a"),
        ({"right": True}, {"right": False}, "x.right is True"),
        ({"loss": 1.0}, {"loss": 1.0, "words": 3}, "other entries: words"),
        ({"loss": None}, {"loss": 1.0}, "x.loss is None"),
    ],
)
def test_a_second_measurement_must_lie_in_the_interval_or_be_the_same(measured_now, kept, said):
    found = findings.differences(measured_now, kept, "x")
    assert found == [] if said is None else said in found[0]


def test_the_interval_is_that_of_texts_and_not_of_words():
    """Texts whose words are alike tell no more than one word each."""
    texts = np.random.default_rng(1).normal(size=50)
    alike = findings.mean("x", np.repeat(texts[:, None], 30, axis=1))
    one_each = findings.mean("x", texts)
    apart = findings.mean("x", np.random.default_rng(2).normal(size=(50, 30)))
    assert alike["x_interval"] == pytest.approx(one_each["x_interval"])
    assert np.ptp(apart["x_interval"]) < 0.4 * np.ptp(alike["x_interval"])
    assert np.ptp(one_each["x_interval"]) == pytest.approx(2 * 1.96 * texts.std() / 50**0.5, rel=0.15)


def test_only_the_words_that_are_asked_for_count():
    values, where = [[1.0, np.nan], [3.0, 5.0]], [[True, False], [True, True]]
    assert findings.mean("x", values, where)["x"] == 3.0


def test_a_lesson_quotes_what_was_measured_and_follows_it(measured):
    (measured.folder / "lesson.md").write_text("{{findings: sums.sum | Words}}: {{findings: sums.lengths | or}}.\n")
    assert lesson.blocks(measured)[0].text == "Two: 3, 5 or 9."
    source = measured.folder / "findings.py"
    source.write_text(source.read_text().replace("SIZE = 3", "SIZE = 4"))
    assert lesson.blocks(measured)[0].text == "Two: 3, 5 or 9."
    findings.write(measured, findings.measure(measured))
    assert lesson.blocks(measured)[0].text == "Two: 4, 5 or 9."


def test_a_quote_of_what_is_not_there_breaks_the_build_with_its_line(measured):
    with open(measured.folder / "lesson.md", "a") as file:
        file.write("\n{{findings: sums.product}}\n")
    (problem,) = [p for p in devcheck.static_problems(measured) if "findings" in p]
    assert "findings.json has no 'sums.product' (stopped at 'product')" in problem
    assert "line" in problem


def test_a_lesson_without_findings_says_how_to_measure_them(chapter):
    (chapter.folder / "lesson.md").write_text("{{findings: sums.sum}}\n")
    with pytest.raises(CourseError, match=r"has no findings\.json; `mi dev measure` writes it"):
        lesson.blocks(chapter)


def test_the_build_refuses_claims_that_were_not_measured_and_figures_without_a_claim(measured):
    assert not [p for p in devcheck.static_problems(measured) if "findings" in p]
    source = measured.folder / "findings.py"
    source.write_text(source.read_text().replace("def slowly", "def quickly"))
    found = [p for p in devcheck.static_problems(index.chapter("90")) if "findings" in p]
    assert any("claims 'quickly', which findings.json does not have: run `mi dev measure 90`" in p for p in found)
    assert any("has 'slowly', which findings.py does not measure" in p for p in found)


def test_the_command_measures_writes_and_says_what_has_changed(measured):
    source = measured.folder / "findings.py"
    source.write_text(source.read_text().replace("SIZE = 3", "SIZE = 4"))
    before = findings.path(measured).read_text()
    compared = CliRunner().invoke(cli, ["dev", "measure", "90", "--check"])
    assert compared.exit_code == 1
    assert "sums.lengths.0 is 4, and findings.json has 3." in compared.output
    assert findings.path(measured).read_text() == before
    alone = CliRunner().invoke(cli, ["dev", "measure", "90", "--only", "slowly"])
    assert "1 claims measured, 0 figures changed" in alone.output
    assert findings.path(measured).read_text() == before
    said = CliRunner().invoke(cli, ["dev", "measure", "90", "--json"])
    assert json.loads(said.stdout)["changed"] == ["sums.lengths.0 is 4, and findings.json has 3."]
    assert findings.read(measured)["sums"]["lengths"] == [4, 5, 9]
    assert CliRunner().invoke(cli, ["dev", "measure", "90", "--check"]).exit_code == 0


def test_what_was_measured_before_a_failure_is_kept(measured):
    source = measured.folder / "findings.py"
    source.write_text(source.read_text().replace("SIZE = 3", "SIZE = 4").replace('{"sum": 2.0}', "1 / 0"))
    assert isinstance(CliRunner().invoke(cli, ["dev", "measure", "90"]).exception, ZeroDivisionError)
    assert findings.read(measured)["sums"]["lengths"] == [4, 5, 9]
    assert findings.read(measured)["slowly"] == {"sum": 2.0}


def test_the_command_refuses_what_is_not_there_with_a_sentence(measured):
    (measured.folder / "findings.py").unlink()
    said = CliRunner().invoke(cli, ["dev", "measure", "90"])
    assert said.exit_code != 0
    assert "no findings.py with functions marked @claim" in str(said.output) + str(said.exception)
