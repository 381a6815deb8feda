"""What the learner has found so far, chapter by chapter: a page to read, to keep and to print."""

from __future__ import annotations

import streamlit as st

from app import common
from mi_lib.course import CourseError, found

# What a chapter's text heads is below the chapter's own title. Paper is white, whatever the theme.
STYLE = """
[data-testid=stMarkdownContainer] h3 { font-size: 1.25rem }
@media print {
  [data-testid=stApp], [data-testid=stApp] * { color: #111 !important; background-color: #fff !important }
  :is([data-testid=stDownloadButton], [data-testid=stSidebar], [data-testid=stHeader]) { display: none } }
"""


def show() -> None:
    st.html(f"<style>{STYLE}</style>")
    st.title("What you have found")
    progress = common.progress(common.workspace())
    try:
        told = found.chapters(progress)
        whole = found.page(progress)
    except CourseError as error:
        st.error(str(error))
        return
    if not told:
        st.write("Nothing yet. What you pass is gathered here, chapter by chapter.")
        if st.button("Course map", type="primary", icon=":material/map:"):
            common.go_home()
        return
    st.download_button(
        "Keep or print this page",
        whole,
        "what-i-have-found.html",
        "text/html",
        icon=":material/download:",
        help="One file that opens in every browser, and prints from there.",
    )
    for chapter, text in told:
        st.header(f"{chapter.number} {chapter.title}", divider="gray")
        learnt, _, predicted = text.partition(found.PREDICTIONS)
        st.markdown(learnt)
        if predicted:  # many, and long: folded here, and written out in the page to keep
            with st.expander("Your predictions", icon=":material/psychology:"):
                st.markdown(predicted)
