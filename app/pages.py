"""The pages of the course, and every address at which one of them can be looked at."""

from __future__ import annotations

from app import common, explorers
from mi_lib.course import index

# name in the address: title, icon, module. A page is imported when it is first shown: most of them need torch.
PAGES = {
    "": ("Course map", "map", "home"),
    "chapter": ("Chapter", "menu_book", "chapter_page"),
    explorers.ADDRESS: ("Explore", "explore", "explorers"),
    "chat": ("Talk to Pico", "chat", "chat"),
    "glossary": ("Glossary", "dictionary", "glossary"),
    common.FOUND: ("What you have found", "auto_stories", "found"),
}


def every() -> dict[str, str]:
    """Name: address, of every page there is; of a chapter its beginning, a step in its middle, and its end."""
    found = {title: f"/{path}" for path, (title, _, _) in PAGES.items() if path != "chapter"}
    found |= {each.title: f"/{path}" for path, each in explorers.EXPLORERS.items()}
    for chapter in index.chapters():
        middle = len(chapter.exercises) // 2 + 1
        for name, step in (("beginning", "1"), ("middle", str(middle)), ("end", "end")):
            found[f"chapter {chapter.number}, {name}"] = f"/?chapter={chapter.number}&exercise={step}"
    return found
