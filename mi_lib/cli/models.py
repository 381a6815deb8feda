"""Looking under the hood: the bundled models, their worlds, and what the doctor finds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from mi_lib.cli.common import console, json_option, table
from mi_lib.course.index import CourseError


@click.command()
@click.option("--model", metavar="PATH_OR_ID", help="Check a model: a bundled name, a folder, or a hub id.")
@json_option
@click.pass_obj
def doctor(workspace: str | None, model: str | None, as_json: bool) -> None:
    """Look whether everything the course needs is in order.

    With --model: whether a model can be trusted. The quick ones of these checks run whenever a transformers model is
    loaded.

    \b
    mi doctor
    mi doctor --model gpt2
    mi doctor --model ./my-model

    Exits with 1 if something needs your attention.
    """
    if model:
        rows = _self_check(model)
        titles = ("check", "value", "bound", "")
        table(
            f"Self-checks of {model}",
            titles,
            [(r.name, _number(r.value), _number(r.bound), r.ok) for r in rows],
            [{"check": r.name, "value": r.value, "bound": r.bound, "ok": bool(r.ok)} for r in rows],
            as_json,
        )
        sys.exit(0 if all(r.ok for r in rows) else 1)
    from mi_lib.course.doctor import environment

    lines = environment(workspace)
    table(
        "Environment",
        ("", "found", "advice", ""),
        [(x.what, x.found, x.advice, x.ok) for x in lines],
        [line._asdict() for line in lines],
        as_json,
    )
    sys.exit(0 if all(line.ok for line in lines) else 1)


@click.group()
def zoo() -> None:
    """The bundled models, and the measurements behind them."""


@zoo.command(name="list")
@json_option
def zoo_list(as_json: bool) -> None:
    """List the bundled models, and the sets of dictionaries that were trained on them.

    \b
    mi zoo list
    """
    from mi_lib import zoo as models

    rows = []
    for name in models.carded():
        steps = models.checkpoints(name)
        size = sum(path.stat().st_size for path in models.folder(name).rglob("*") if path.is_file())
        what = models.card(name)["description"]
        rows.append({"name": name, "checkpoints": len(steps), "megabytes": round(size / 1e6, 1), "description": what})
    cells = [(r["name"], str(r["checkpoints"]), f"{r['megabytes']} MB", r["description"]) for r in rows]
    table("Bundled models", ("name", "checkpoints", "size", "what it is"), cells, rows, as_json)


@zoo.command(name="verify")
@click.argument("names", nargs=-1)
@click.option("--only", metavar="PART", multiple=True, help="Some parts of its checks alone.")
@json_option
def zoo_verify(names: tuple[str, ...], only: tuple[str, ...], as_json: bool) -> None:
    """Measure again, on the shipped weights, everything that a model's card claims.

    \b
    mi zoo verify                 every model, and every dictionary
    mi zoo verify induction-2l    one
    mi zoo verify pico --only refusal    one part of its checks

    Exits with 1 if a measurement misses its bound.
    """
    from mi_lib import zoo as models
    from mi_lib.recipes import checks

    unknown = [name for name in names if name not in models.carded()]
    if unknown:
        raise CourseError(f"There is no bundled model {unknown[0]!r}. There are: {', '.join(models.carded())}.")

    def measured(name: str) -> list[Any]:
        try:
            return checks.verify(name, only or None)
        except KeyError as error:  # no part of this name
            raise CourseError(f"{error.args[0][0].upper()}{error.args[0][1:]}.") from error

    rows, cells = [], []
    for name in names or models.carded():
        click.echo(f"Measuring {name} …", err=True)
        for found in _or_sentence(measured, name):
            rows.append({"model": name} | found.to_dict())
            bound = f"{'≥' if found.at_least else '≤'} {_number(found.bound)}"
            control = f"{_number(found.control)} ({found.control_is})"
            cells.append((name, found.claim, _number(found.value), bound, control, found.passed))
    columns = ("model", "claim", "value", "bound", "control", "")
    table("Measured on the shipped weights", columns, cells, rows, as_json)
    sys.exit(0 if rows and all(row["passed"] for row in rows) else 1)


@click.group()
def world() -> None:
    """The worlds whose truth is known: Littletown, the English in which Pico lives, and the scenes that are seen."""


@world.command(name="show")
@click.argument("kind", required=False)
@click.option("-n", "--number", default=3, show_default=True, type=click.IntRange(1, 1000), help="How many texts.")
@click.option("--seed", default=0, show_default=True, help="Other seeds give other texts.")
@click.option("--held-out", is_flag=True, help="Texts of combinations that no training saw.")
@click.option("--label", "labels", multiple=True, help="Show this kind of label under every word (may be repeated).")
@click.option("--out", default="scenes.html", show_default=True, help="Where to write the page of scenes.")
@json_option
def world_show(
    kind: str | None, number: int, seed: int, held_out: bool, labels: tuple[str, ...], out: str, as_json: bool
) -> None:
    """Print texts of Littletown with their labels, or write a page of scenes with the truth of their pixels.

    \b
    mi world show                          some texts of prose and of chat
    mi world show story.give               stories in which somebody gives something
    mi world show chat.request -n 5        five requests, answered or refused
    mi world show prose.deed --label subject --label tense
    mi world show scenes -n 8              images of every kind, as a page for the browser
    """
    if kind == "scenes":
        _show_scenes(number, seed, Path(out), as_json)
        return
    from mi_lib.course import show
    from mi_lib.worlds import littletown

    if kind is not None and kind not in littletown.kinds():
        has = ", ".join(littletown.kinds())
        raise CourseError(f"Littletown has no texts of the kind {kind!r}. It has: {has}. For images: scenes.")
    texts = littletown.texts(kind, number, seed=seed, split="held_out" if held_out else "train")
    if as_json:
        click.echo(json.dumps([littletown.as_data(text) for text in texts], indent=1))
        return
    for text in texts:
        console().print(show.labelled(text, labels))


def _show_scenes(number: int, seed: int, out: Path, as_json: bool) -> None:
    """Scenes of each kind, beside their depth and their focus; or their labels alone."""
    from mi_lib.plots import images
    from mi_lib.worlds import scenes

    drawn = {kind: scenes.sample(number, seed=seed, kinds=[kind]) for kind in scenes.KINDS}
    if as_json:
        labels = [
            {"kind": kind, "class": scenes.CLASSES[label], "focus": focus}
            for kind, some in drawn.items()
            for label, focus in zip(some.labels().tolist(), some.labels("focus").tolist(), strict=True)
        ]
        click.echo(json.dumps(labels, indent=1))
        return
    rows: list[tuple[str, str, list[tuple[str, Any]]]] = []
    for kind, some in drawn.items():
        depth, blur = some.truth("depth") / 2, some.truth("blur") / 3.2
        shown: list[tuple[str, Any]] = []
        for i, label in enumerate(some.labels().tolist()):
            shown += [(scenes.CLASSES[label], some.images[i]), ("depth", 1 - depth[i]), ("blur of its noise", blur[i])]
        rows.append((kind, scenes.SENTENCES[kind], shown))
    text = "Images whose truth is known for every pixel. Depth: the brighter, the nearer. Blur: the brighter, the more."
    try:
        out.write_text(images.page("Scenes", text, rows), encoding="utf-8")
    except OSError as error:
        raise CourseError(f"{out} could not be written ({error.strerror}). Name another file with --out.") from error
    click.echo(f"{sum(map(len, drawn.values()))} scenes are in {out}. Open it in a browser.")


# -- helpers ----------------------------------------------------------------------------------------------------


def _self_check(model: str) -> list[Any]:
    from mi_lib.models import checks, load

    return list(_or_sentence(lambda name: checks.self_check(load(name, check=False)), model))


def _or_sentence(function: Any, model: str) -> Any:
    """What a function says of a model; a model that cannot be opened becomes a sentence."""
    from mi_lib.models.loading import LoadError

    try:
        return function(model)
    except LoadError as error:
        said = str(error) if model in str(error) else f"{model}: {error}"
        raise CourseError(said if said.endswith((".", "?")) else f"{said}.") from error


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
