"""What a learner has found so far, chapter by chapter, as Markdown and as a page to keep or print.

Nothing is said here that the lessons do not say; what is theirs is which of it, when, and where they had expected
something else.
"""

from __future__ import annotations

import datetime
import html

from mi_lib.course import index, lesson
from mi_lib.course.index import Chapter
from mi_lib.course.progress import Progress

PREDICTIONS = "### Predictions"  # the last part of a chapter
TITLE = "What I have found inside networks"
_STYLE = """
body { font: 17px/1.55 Georgia, 'Times New Roman', serif; max-width: 44rem; margin: 3rem auto; padding: 0 1.2rem;
       color: #1c2430; background: #fff }
h1, h2 { font-family: system-ui, sans-serif; line-height: 1.2 } h2 { margin-top: 2.4rem; border-top: 1px solid #cdd3da;
       padding-top: 1.2rem } h3 { font-size: 1.05rem } code { font-size: .9em } table { border-collapse: collapse }
th, td { border: 1px solid #cdd3da; padding: .25rem .6rem; text-align: left } li { margin: .2rem 0 }
@media print { body { margin: 0; max-width: none; font-size: 11pt } h2, h3 { break-after: avoid } li, table {
       break-inside: avoid } }
"""


def chapters(progress: Progress) -> list[tuple[Chapter, str]]:
    """Every chapter in which something was passed, and what was found there, as Markdown without its title."""
    passed = progress.passed_at()
    return [
        (chapter, _chapter(chapter, passed, progress))
        for chapter in index.chapters()
        if any(exercise.id in passed for exercise in chapter.exercises)
    ]


def page(progress: Progress) -> str:
    """All of it as one HTML file that needs nothing else."""
    from markdown_it import MarkdownIt

    told = chapters(progress)
    body = "\n\n".join(f"## {chapter.number} {chapter.title}\n\n{text}" for chapter, text in told)
    today = datetime.date.today().isoformat()
    text = f"# {TITLE}\n\n*{today}*\n\n{body or 'Nothing yet.'}"
    shown = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(TITLE)}</title>'
        f"<style>{_STYLE}</style></head><body>{shown}</body></html>"
    )


def _chapter(chapter: Chapter, passed: dict[str, str], progress: Progress) -> str:
    done = [exercise for exercise in chapter.exercises if exercise.id in passed]
    finding = chapter.required[-1].id in passed
    days = sorted(_day(passed[exercise.id]) for exercise in done)
    when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    blocks = lesson.blocks(chapter)
    extra = sum(exercise.optional for exercise in done)  # counted apart, as on the map
    count = f"{len(done) - extra} of {len(chapter.required)} exercises" + f" and {extra} optional" * bool(extra)
    parts = [
        f"*{count}, {when}.*",
        "\n".join(f"- {exercise.teaches}" for exercise in done),
        f"### The finding\n\n{_conclusion(blocks)}" if finding else "",
        _surprises(blocks, progress.predictions(chapter.number)),
    ]
    return "\n\n".join(part for part in parts if part)


def _surprises(blocks: list[lesson.Block], guesses: dict[str, str]) -> str:
    """The predictions: how many came out, and what was expected where they did not."""
    asked = [block for block in blocks if block.kind == "predict" and block.id in guesses]
    if not asked:
        return ""
    right = {block.id: [option.text for option in block.options if option.right] for block in asked}
    other = [block for block in asked if guesses[block.id] not in right[block.id]]
    lines = [f"{len(asked) - len(other)} of {len(asked)} prediction{'s' * (len(asked) > 1)} came out as expected."]
    if other:
        lines.append("What came as a surprise:\n")
        lines += [
            f"- {block.arg} Expected: *{guesses[block.id]}*. It is: *{' / '.join(right[block.id])}*." for block in other
        ]
    return "\n".join([PREDICTIONS, "", *lines])


def _conclusion(blocks: list[lesson.Block]) -> str:
    """The words of the lesson's section "What you have found"."""
    found: list[str] = []
    inside = False
    for block in blocks:
        if block.kind != "markdown":
            continue
        for line in block.text.splitlines():
            if line.startswith("## "):
                inside = line.strip() == "## What you have found"
            elif inside:
                found.append(line)
        if inside:
            found.append("")
    return "\n".join(found).strip()


def _day(at: str) -> str:
    """The day of an ISO time, on this computer's calendar."""
    return datetime.datetime.fromisoformat(at).astimezone().date().isoformat()
