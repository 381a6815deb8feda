"""Personas: traits and roles as directions, and replies held on them.

vectors     a trait's vectors at every depth; floors that hold a reply at them; how high, chosen on training prompts
axis        what the assistant is and the roles are not
"""

from mi_lib.personas.axis import Axis
from mi_lib.personas.vectors import Drawn, Floors, Held, choose, level_for

__all__ = ["Axis", "Drawn", "Floors", "Held", "choose", "level_for"]
