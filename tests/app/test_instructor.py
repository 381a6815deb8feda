"""The instructor's page of a small class, in a browser, at both widths; in each theme two of its tabs.

With MI_EVERY_PAGE=1 every tab in both.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest
from looking import whole
from test_accessibility import THEMES, WIDTHS, complaints, looking_at

from mi_lib.course import serve

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TABS = ("At a glance", "Common mistakes", "One student", "Similar answers")
TOO_WIDE = """() => [...document.querySelectorAll("[data-testid=stMainBlockContainer] *")].filter((each) =>
    !each.closest("[data-testid=stDataFrame], [role=tablist], .js-plotly-plot") && each.getClientRects().length &&
    each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The address of the page of a class with right, wrong and raising answers, none, two alike, and remarks."""
    sys.path.append(str(Path(__file__).parents[1] / "classroom"))
    from small_class import ONLY_SMALL, RIGHT, TIMES, Inline, hand_in, hide_tests, small

    from mi_lib.course.classroom import batch, work
    from mi_lib.course.classroom.config import Config
    from mi_lib.course.classroom.gradebook import Gradebook
    from mi_lib.course.classroom.grading import grade_class

    folder = tmp_path_factory.mktemp("class")
    raises = RIGHT.replace("return a + b", "print('here I am')\n    return a.sum(b)")
    texts = {"ada": RIGHT, "bob": TIMES, "cyd": ONLY_SMALL, "dan": "nothing", "eve": TIMES + "\n", "fay": raises}
    with pytest.MonkeyPatch.context() as patch:
        hide_tests(small.make_course(folder, patch))
        here = batch.Workers(lambda: contextlib.nullcontext(Inline()), 1)
        with Gradebook(folder / "grades", make=True) as book:
            rubric = Config(rubric={"readable": ("not yet", "yes")})
            grade_class(hand_in(folder / "handed-in", texts), book, Config(), here, keep=rubric)
            book.comment("ada", "Which numbers are **large**?", "90.1")
        work.close()
        with serve.running_instructor(folder / "grades") as (address, _):
            yield address


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_serious_on_the_instructors_page_and_it_fits(browser, url, theme):
    with looking_at(browser, url, theme) as page:
        page.goto("/")
        whole(page)
        for tab in TABS if os.environ.get("MI_EVERY_PAGE") else TABS[THEMES.index(theme) :: 2]:
            page.get_by_role("tab", name=tab).click()
            page.get_by_role("tabpanel", name=tab).wait_for()
            if tab == "One student":
                for name in ("Say something", "90.1 Add"):
                    page.locator("summary").get_by_text(name).click()
                page.get_by_role("textbox", name="Comment").wait_for()
            whole(page)
            assert complaints(page) == []
            assert page.viewport_size["width"] == min(WIDTHS)
            assert page.evaluate(TOO_WIDE) == []


def test_a_comment_is_kept_from_the_browser(browser, url):
    page = browser.new_page(base_url=url)
    page.goto("/")
    whole(page)
    page.get_by_role("tab", name="One student").click()
    page.locator("summary").get_by_text("Say something").click()
    page.get_by_role("textbox", name="Comment").fill("Well **done**.")
    page.get_by_role("button", name="Keep it").click()
    page.get_by_text("Well **done**.", exact=True).wait_for()
    assert page.get_by_role("tab", name="One student").get_attribute("aria-selected") == "true"
    page.close()
