"""What every page needs: the learner's workspace, their progress, and one warm grader for the whole server."""

from __future__ import annotations

import gc
import importlib
import threading

import streamlit as st

from mi_lib.course import CourseError, Progress, Workspace
from mi_lib.course.grading import Grader


@st.cache_resource
def grader() -> Grader:
    """One grader for the server. It starts in the background, so that the first check is quick too."""
    threading.Thread(target=_import_torch, daemon=True).start()
    return Grader()


def _import_torch() -> None:
    importlib.import_module("torch")
    # Streamlit collects garbage after every run of a page, and nothing else in the server moves meanwhile. Looking
    # through all of torch takes a tenth of a second, on a busy machine several; what is frozen is not looked through.
    gc.freeze()


def workspace() -> Workspace:
    """The learner's workspace, made if there is none. What was repaired in it is said on the page."""
    path = Workspace.default_path()
    try:
        found = Workspace.open(path)
    except CourseError as error:
        st.error(str(error))
        if not path.exists() and st.button("Make a workspace", type="primary"):
            Workspace.init(path)
            st.rerun()
        st.stop()
    for notice in found.notices:
        st.warning(notice)
    return found


def progress(of: Workspace) -> Progress:
    kept = Progress(of)
    if kept.notice:
        st.warning(kept.notice)
    return kept


def minutes(total: int) -> str:
    """90 → "1 h 30 min"."""
    hours, rest = divmod(total, 60)
    return " ".join([*([f"{hours} h"] if hours else []), *([f"{rest} min"] if rest or not hours else [])])
