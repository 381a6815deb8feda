"""The learner's folder: one exercise file per chapter, and `.mi/` with progress and backups.

    work/
      ch02_induction_heads/exercises.py
      .mi/workspace.json      which version of this layout it is
      .mi/progress.sqlite     see progress.py
      .mi/backups/            what `mi reset` and repairs put aside
      .mi/scratch/02.5.py     lines that were tried beside an exercise, and are no part of the answer

No text of the learner is ever overwritten without a copy: resets and repairs write a backup first, and a save made on
top of a file that changed underneath is refused.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from mi_lib.course import files, sections, stubs
from mi_lib.course.index import Chapter, CourseError, Exercise, chapter, chapters

LAYOUT = 2  # raise this when the layout changes, and teach `_upgrade` the step


class Conflict(CourseError):
    """The section changed since it was read. `current` is its text now and `version` its fingerprint."""

    def __init__(self, exercise_id: str, current: str, version: str):
        super().__init__(
            f"Exercise {exercise_id} was changed elsewhere (another editor or tab) since you opened it here. "
            "Compare the two texts and choose; nothing was overwritten."
        )
        self.current = current
        self.version = version


class Workspace:
    """A learner's folder that is known to be in order. Make one with `Workspace.init` or `Workspace.open`."""

    def __init__(self, path: Path):
        self.path = path
        self.notices: list[str] = []  # sentences about what was repaired, for whoever shows things to the learner

    # -- making and opening -------------------------------------------------------------------------------------

    @staticmethod
    def default_path() -> Path:
        """`$MI_WORKSPACE`, else `work` in the current folder."""
        return Path(os.environ.get("MI_WORKSPACE") or "work").expanduser()

    @classmethod
    def init(cls, path: Path | str | None = None) -> Workspace:
        """Make a workspace, or complete one that exists: missing chapters and sections are added, nothing is taken.

        Raises `CourseError` if the folder cannot be one.
        """
        folder = Path(path or cls.default_path()).expanduser().absolute()
        if folder.exists() and not folder.is_dir():
            raise CourseError(f"{folder} is a file. Choose another name for the workspace: `mi init FOLDER`.")
        workspace = cls(folder)
        workspace._check_layout()
        for each in chapters():
            workspace._complete(each)
        return workspace

    @classmethod
    def open(cls, path: Path | str | None = None) -> Workspace:
        """Open a workspace. What is broken is repaired where that loses nothing; `notices` then says what was done.

        Raises `CourseError` with what to do if there is none, or if a newer version of the course made it.
        """
        folder = Path(path or cls.default_path()).expanduser().absolute()
        if not folder.is_dir():
            raise CourseError(f"There is no workspace at {folder} yet. Make one with `mi init {folder}`.")
        if not (folder / ".mi").is_dir() and not any(folder.glob("ch[0-9][0-9]_*/exercises.py")):
            raise CourseError(
                f"{folder} is not a workspace. Make it one with `mi init {folder}`, "
                "or set MI_WORKSPACE to the folder that is."
            )
        workspace = cls(folder)
        workspace._check_layout()
        return workspace

    # -- the learner's text -------------------------------------------------------------------------------------

    def file(self, which: Chapter | str) -> Path:
        """The exercise file of a chapter. If it is missing or empty it is written again, with all that is known."""
        which = chapter(which) if isinstance(which, str) else which
        path = self._path(which)
        # An editor that is saving may have emptied or moved the file for a moment: look again before repairing it.
        for pause in (0.0, 0.1, 0.3) if path.parent.exists() else (0.0,):
            time.sleep(pause)
            if path.is_file() and files.read_text(path).strip():
                return path
        self._restore(which)
        return path

    def text(self, which: Chapter | str) -> str:
        """The whole exercise file of a chapter."""
        return files.read_text(self.file(which))

    def read(self, exercise: Exercise) -> tuple[str, str]:
        """(text of the exercise's section, its version). Raises `CourseError` if its marker is missing or doubled."""
        path = self.file(exercise.chapter)
        section = self._section(path, files.read_text(path), exercise.id)
        return section, sections.version(section)

    def write(self, exercise: Exercise, text: str, expected_version: str) -> str:
        """Exchange the exercise's section and return its new version. Other sections stay as they are on the disk.

        Raises `Conflict` if the section is no longer the one with `expected_version`.
        """
        path = self.file(exercise.chapter)
        with files.locked(self.path / ".mi" / "lock"):
            whole = files.read_text(path)
            current = self._section(path, whole, exercise.id)
            now = sections.version(current)
            if now != expected_version:
                raise Conflict(exercise.id, current, now)
            new = sections.replace(whole, exercise.id, text)
            if new != whole:
                if files.read_text(path) != whole:  # an editor saved just now
                    raise Conflict(exercise.id, current, now)
                files.write_atomically(path, new)
        return sections.version(sections.get(new, exercise.id))

    def reset(self, what: Exercise | Chapter) -> Path:
        """Put an exercise, or a whole chapter, back to how it was handed out. Returns the backup of the file before."""
        which = what if isinstance(what, Chapter) else what.chapter
        stub = stubs.handed_out(which)
        path = self.file(which)
        with files.locked(self.path / ".mi" / "lock"):
            if isinstance(what, Exercise):
                whole = files.read_text(path)
                try:
                    stub = sections.replace(whole, what.id, sections.get(stub, what.id))
                except sections.SectionError as error:
                    raise CourseError(
                        f"{path}: {error} `mi reset {which.number}` starts the whole chapter again (with a backup)."
                    ) from error
            backup = self.backup(which)
            files.write_atomically(path, stub)
        return backup

    def backup(self, which: Chapter) -> Path:
        """Copy a chapter's file to `.mi/backups` and return the copy."""
        return self._copied(self._path(which), f"{which.name}.py")

    # -- the scratch cells --------------------------------------------------------------------------------------

    def scratch(self, exercise: Exercise) -> Path:
        """The file with the lines that were tried beside an exercise; there is none before the first were written."""
        return self.path / ".mi" / "scratch" / f"{exercise.id}.py"

    def scratch_text(self, exercise: Exercise) -> str | None:
        """Those lines, or None before the first."""
        path = self.scratch(exercise)
        return files.read_text(path) if path.exists() else None

    def write_scratch(self, exercise: Exercise, text: str, expected_version: str | None = None) -> str:
        """Exchange those lines and return their version (`sections.version`). It is no answer: nobody is asked first.

        Lines that are not those of `expected_version` (another editor wrote them) are put aside in the backups.
        """
        path = self.scratch(exercise)
        with files.locked(self.path / ".mi" / "lock"):
            now = self.scratch_text(exercise)
            if now is not None and now != text and sections.version(now) != expected_version:
                self._copied(path, f"scratch_{exercise.id}.py")
            if now != text:
                files.write_atomically(path, text)
        return sections.version(text)

    # -- keeping it in order ------------------------------------------------------------------------------------

    @property
    def progress_path(self) -> Path:
        return self.path / ".mi" / "progress.sqlite"

    def _path(self, which: Chapter) -> Path:
        return self.path / which.name / "exercises.py"

    def _copied(self, path: Path, name: str) -> Path:
        """A copy of a file among the backups, if there is such a file."""
        target = self._backup_path(name)
        if path.exists():
            files.write_atomically(target, files.read_text(path))
        return target

    def _backup_path(self, name: str) -> Path:
        return self.path / ".mi" / "backups" / f"{_stamp()}_{name}"

    @staticmethod
    def _section(path: Path, text: str, section: str) -> str:
        try:
            return sections.get(text, section)
        except sections.SectionError as error:
            raise sections.SectionError(f"{path}: {error}") from error

    def _check_layout(self) -> None:
        """Read `.mi/workspace.json`; write it again if it is missing, broken or old."""
        self._make_room()
        path = self.path / ".mi" / "workspace.json"
        layout: Any = None
        if path.exists():
            try:
                layout = json.loads(path.read_text("utf-8"))["version"]
            except (OSError, ValueError, KeyError, TypeError):
                os.replace(path, self._backup_path("workspace.json"))
                self.notices.append(f"{path} was damaged and was written again; your answers were not touched.")
        if isinstance(layout, int) and layout > LAYOUT:
            raise CourseError(
                f"The workspace {self.path} was made by a newer version of the course. Update the course "
                "(`git pull`, then `make setup`) and try again; nothing was changed."
            )
        if layout != LAYOUT:
            self._upgrade()
            files.write_atomically(path, json.dumps({"version": LAYOUT}) + "\n")

    def _make_room(self) -> None:
        """Make `.mi/backups`; a file that stands in its way is put aside."""
        for folder in (self.path / ".mi", self.path / ".mi" / "backups"):
            if folder.exists() and not folder.is_dir():
                aside = folder.with_name(f"{folder.name}.damaged_{_stamp()}")
                os.replace(folder, aside)
                self.notices.append(f"{folder} must be a folder and was a file; the file is now {aside.name}.")
        try:
            (self.path / ".mi" / "backups").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CourseError(
                f"A workspace cannot be kept in {self.path} ({error.strerror}). Choose another: `mi init FOLDER`."
            ) from error

    def _upgrade(self) -> None:
        """From an older layout. Version 1 kept the chapters' files side by side, as `ch02_induction_heads.py`."""
        for old in sorted(self.path.glob("ch[0-9][0-9]_*.py")):
            target = self.path / old.stem / "exercises.py"
            if target.exists():
                continue  # both are there: leave the old file where it is, a person must choose
            target.parent.mkdir(exist_ok=True)
            shutil.copy2(old, self._backup_path(old.name))
            os.replace(old, target)
            self.notices.append(f"{old.name} moved to {target.relative_to(self.path)}, its place in this version.")

    def _complete(self, which: Chapter) -> None:
        """Add a chapter's file, or the sections that a newer course has and the file has not."""
        path = self._path(which)
        if not path.is_file() or not files.read_text(path).strip():
            self._restore(which)
            return
        try:
            have = sections.split(files.read_text(path))
        except CourseError as error:
            self.notices.append(f"{path}: {error}")
            return
        want = sections.split(stubs.handed_out(which))
        missing = [section for section in want if section and section not in have]
        if not missing:
            return
        self.backup(which)
        merged = _insert(have, {section: want[section] for section in missing}, list(want))
        files.write_atomically(path, sections.join(merged))
        self.notices.append(f"{path} lacked {', '.join(missing)}; added from the course, the rest is as it was.")

    def _restore(self, which: Chapter) -> None:
        """Write a chapter's file from its stub, with the last answers that were checked put back in."""
        from mi_lib.course.progress import Progress

        path = self._path(which)
        known = path.parent.exists()  # a first visit to a new chapter is nothing to report
        text = stubs.handed_out(which)
        answers = Progress(self).last_sources(which.number) if self.progress_path.exists() else {}
        for exercise_id, source in answers.items():
            try:
                text = sections.replace(text, exercise_id, source)
            except sections.SectionError:
                continue  # an attempt at an exercise that the course no longer has; it stays in the progress file
        with files.locked(self.path / ".mi" / "lock"):
            files.write_atomically(path, text)
        if answers:
            self.notices.append(
                f"{path} was missing or empty. It was written again, with the last answer that you had checked for "
                f"{', '.join(answers)}."
            )
        elif known:
            self.notices.append(f"{path} was missing or empty. It was written again as it was handed out.")


def _stamp() -> str:
    return datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S_%f")


def _insert(have: dict[str, str], new: dict[str, str], order: list[str]) -> dict[str, str]:
    """The sections of a file with new ones put in, each after the nearest earlier section that is there."""
    result = list(have.items())
    for section, text in new.items():
        earlier = order[: order.index(section)]
        positions = [i for i, (name, _) in enumerate(result) if name in earlier or name == ""]
        at = max(positions, default=-1) + 1
        if at and not result[at - 1][1].endswith("\n"):
            result[at - 1] = (result[at - 1][0], result[at - 1][1] + "\n")
        result.insert(at, (section, text if text.endswith("\n") else text + "\n"))
    return dict(result)
