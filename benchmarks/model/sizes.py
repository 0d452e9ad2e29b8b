"""How many bytes a message has, and how many a node takes for its rooms."""

from typing import Final

from collabd.bridge.envelope import NODE_BYTES

from .figures import MEASURED, Costs, Load
from .spread import copies

ENVELOPE: Final = 1 + NODE_BYTES + 8 + 8 + 16
"""Of an envelope, beside its payloads; see ``collabd.bridge.envelope``."""
COMMAND: Final = len("*3\r\n$7\r\nPUBLISH\r\n$30\r\ncollabd:document:\r\n$100\r\n\r\n")
"""Of a command beside the document's name and the envelope; what is delivered is framed as long."""


ALIVE_BYTES: Final = COMMAND + ENVELOPE + 2
"""Of a sign of life."""


def committed_bytes(load: Load) -> float:
    """Of a message that carries one edit, on its way to Redis or from there."""
    return COMMAND + load.name_bytes + ENVELOPE + 1 + 1 + 3 + 2 + 1 + 1 + load.edit_bytes


def presence_bytes(load: Load) -> float:
    """Of a message that says how one person is."""
    return (
        COMMAND + load.name_bytes + ENVELOPE + 1 + 1 + 1 + 4 + 5 + 6 + 2 + load.who_bytes + load.state_bytes
    )


def memory(load: Load, rooms: float, costs: Costs = MEASURED) -> float:
    """Bytes a node takes for its rooms and connections, without sockets."""
    n, k = load.nodes, load.people
    m = copies(n, k)
    # Of somebody's document: how many other copies there are, for each of its copies.
    other_copies = n * (n - 1) * (1 - 2 * (1 - 1 / n) ** k + (1 - 2 / n) ** k) / m if n > 1 else 0.0
    elsewhere = k - load.connections / rooms
    structs = load.structs - 1
    room = costs.room + structs * costs.struct + other_copies * costs.channel + elsewhere * costs.person
    return rooms * room + load.connections * costs.connection
