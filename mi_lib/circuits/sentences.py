"""Sentences with an indirect object for models that read English, in our own words.

Every template has as many words and marks as the others, and each of them is one token for GPT-2's tokenizer, so that
prompts are equal in length. [A] is who receives (IO), [B] who gives (S): as they stand here, templates are BABAs.
"""

TEMPLATES = (
    "When [B] and [A] walked along the [PLACE], [B] gave a [OBJECT] to",
    "After [B] and [A] left the old [PLACE], [B] handed a [OBJECT] to",
    "While [B] and [A] waited near the [PLACE], [B] passed a [OBJECT] to",
    "Because [B] and [A] knew the small [PLACE], [B] brought a [OBJECT] to",
    "Before [B] and [A] closed the big [PLACE], [B] sent a [OBJECT] to",
    "As [B] and [A] talked outside the [PLACE], [B] offered a [OBJECT] to",
    "Once [B] and [A] reached the empty [PLACE], [B] showed a [OBJECT] to",
    "Then [B] saw [A] near the [PLACE], and [B] sold a [OBJECT] to",
    "Today [B] found [A] in the [PLACE], and [B] threw a [OBJECT] to",
    "Since [B] and [A] shared the same [PLACE], [B] carried a [OBJECT] to",
    "At the [PLACE], [B] joined [A], and [B] gave a [OBJECT] to",
    "In the [PLACE] [B] worked with [A], so [B] took a [OBJECT] to",
    "Last week [B] and [A] visited the [PLACE]. [B] sent a [OBJECT] to",
    "Both [B] and [A] liked the quiet [PLACE]. [B] gave a [OBJECT] to",
    "The friends [B] and [A] left the [PLACE]. [B] returned a [OBJECT] to",
)
_NAMES = (
    "Anna Paul Laura Mark Emily Daniel Alice Kevin Sarah Peter Julia Simon Kate Tom Lucy Jack Rachel Adam Emma David"
)
NAMES = tuple(_NAMES.split())
PLACES = ("park", "market", "school", "station", "garden", "library", "beach", "office", "hospital", "museum")
OBJECTS = ("book", "ring", "key", "letter", "cup", "ball", "map", "coat", "phone", "basket")
