"""Personas: traits and roles as directions, and replies held on them.

vectors      a trait's vectors at every depth; floors that hold a reply at them; how high, chosen on training prompts
monitoring   how strong a trait will be, told before the reply; pooled, and within each kind of prompt
tuning       a network fine-tuned on replies; how far it has moved along a vector; the vector added while it learns
flagging     samples that would teach a trait, found before any training
axis         what the assistant is and the roles are not; the space of the roles
conversing   conversations turn by turn, and where each reply stands
capping      the stream kept from falling below a floor along the axis
"""

from mi_lib.personas.axis import Axis, Space, space
from mi_lib.personas.capping import Cap
from mi_lib.personas.conversing import Turn, before_reply, by_turn, converse
from mi_lib.personas.flagging import auroc, projection_difference
from mi_lib.personas.monitoring import Monitored, monitored, within
from mi_lib.personas.tuning import PLAN, Plan, Text, moved, reply_loss, shift, tuned
from mi_lib.personas.vectors import Drawn, Floors, Held, choose, level_for

__all__ = [
    "PLAN",
    "Axis",
    "Cap",
    "Drawn",
    "Floors",
    "Held",
    "Monitored",
    "Plan",
    "Space",
    "Text",
    "Turn",
    "auroc",
    "before_reply",
    "by_turn",
    "choose",
    "converse",
    "level_for",
    "monitored",
    "moved",
    "projection_difference",
    "reply_loss",
    "shift",
    "space",
    "tuned",
    "within",
]
