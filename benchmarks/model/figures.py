"""What the capacity model is told, what it knows of costs, and what it predicts."""

from dataclasses import dataclass
from math import exp, log
from typing import Final


@dataclass(frozen=True)
class Load:
    """What people do, and what lies between the servers. Times are in seconds, rates are per second."""

    nodes: int = 50
    connections: int = 2_000
    """On each node."""
    people: int = 5
    """In each document."""
    edits: float = 0.05
    """Of each person."""
    moves: float = 0.05
    """Of each person's cursor."""
    renewal: float = 16.5
    """After which a stock client says again where it is if nothing moved: it looks every 3 s whether 15 are
    over."""
    edit_bytes: int = 16
    """Of an update that writes a letter."""
    state_bytes: int = 88
    """Of the JSON by which somebody shows himself."""
    name_bytes: int = 15
    """Of a document's name."""
    who_bytes: int = 5
    """Of a principal's id."""
    acknowledged: bool = True
    """Whether clients are told what is saved."""
    echoes: bool = True
    """Whether clients say again what they hear of others, as stock ones do."""
    keepalive: float = 15.0
    commit: float = 0.002
    """From a group commit's beginning to its answer."""
    query: float = 0.002
    """To ask the database how far so many documents are as are asked about at once."""
    read: float = 0.001
    """To read what is missing of one document."""
    bridge: tuple[float, float] = (0.0003, 0.0015)
    """What a message takes over the bridge, at least and at most; equally likely between."""
    structs: int = 1
    """That a document is made of, of 20 characters each."""

    def since_news(self, share: float) -> float:
        """How long ago that share of people said something about themselves, at most."""
        if not self.moves:
            return share * self.renewal
        return -log(1 - share * (1 - exp(-self.moves * self.renewal))) / self.moves

    @property
    def all_people(self) -> int:
        return self.nodes * self.connections

    @property
    def documents(self) -> float:
        return self.all_people / self.people


@dataclass(frozen=True)
class Costs:
    """What one of each thing costs. Bytes of memory, and µs of processor."""

    room: float = 9_950
    """A room of a small document, with its channel. ``benchmarks/units.py memory``"""
    struct: float = 251
    """Each further struct of its document, of 20 characters. The same"""
    connection: float = 5_680
    """Somebody connected and seen, without the socket. The same"""
    channel: float = 603
    """What is remembered of each other node that speaks of a document. The same"""
    person: float = 768
    """Somebody in a room who is connected to another node. The same"""
    logged: float = 380
    """An update in the store of a simulation, where no node holds it. The same"""
    socket: float = 8_300
    """A connection's socket: a server takes 9,260 for each that says nothing, of which its peer is 974.
    ``benchmarks/units.py sockets``"""
    process: float = 64e6
    """A server without connections. The same"""

    edit: float = 120
    """A node's, for an edit of its people: check, commit, apply, publish. All of these:
    ``benchmarks/units.py processor``, at 1,600 a second; the fewer come, the more each takes, since it wakes
    everybody up by itself: three times as much at 400"""
    edit_heard: float = 95
    """For an edit that another node tells of."""
    frame: float = 30
    """For each frame to a client."""
    news: float = 125
    """For what somebody says about himself."""
    news_heard: float = 80
    """For what another node says about somebody."""
    echo: float = 15
    """For what a client says again."""
    row: float = 50
    """PostgreSQL's, for each flush it commits: 30 to 80"""
    head_asked: float = 4
    """PostgreSQL's, for each document whose head is asked for. ``benchmarks/units.py following``"""
    head_found: float = 2.5
    """The node's. The same"""
    redis_message: float = 5.5
    """Valkey's, for each message. ``benchmarks/units.py redis``"""
    redis_delivery: float = 0.9
    """And for each node that gets it. The same"""


MEASURED: Final = Costs()


@dataclass(frozen=True)
class Predicted:
    """What a load makes. Rates are per second."""

    copies: float
    """Of a document in memory, on as many nodes."""
    rooms: float
    """On each node."""
    edits: float
    """Of all people."""
    published_per_edit: float
    """Messages on the bridge for an edit: fewer than one if several share a flush."""
    received_per_edit: float
    """How often such a message comes to another node."""
    frames_per_edit: float
    """Frames to clients that carry edits."""
    saved_per_edit: float
    """Frames to clients that say what is saved."""
    rows_per_edit: float
    """In the log."""
    commits: float
    """Of all nodes: each commits together what its rooms hand over meanwhile."""
    news: float
    """Of all people about themselves, those that say the same again among them."""
    presence_published_per_news: float
    presence_received_per_news: float
    presence_frames_per_news: float
    """Frames to clients."""
    keepalives: float
    """Frames to clients to which there was nothing to say."""
    echoes: float
    """Frames from clients who say again what they heard."""
    signs_of_life_received: float
    frames_out: float
    """To all clients."""
    frames_in: float
    """From all clients."""
    bridge_published: float
    """All payloads handed to the bridge."""
    bridge_received: float
    """All payloads that came to another node."""
    redis_commands: float
    redis_deliveries: float
    """What Redis sends: to the sender too, who follows the same channel."""
    redis_bytes_in: float
    redis_bytes_out: float
    delay_mean: float
    """From an edit's commit until another node has it, in seconds."""
    delay_all: float
    """Until all other nodes have it that hold a copy."""
    alone_mean: float
    """The same without the bridge."""
    alone_all: float
    alone_worst: float
    """At most."""
    alone_queries: float
    """To the database, of all nodes."""
    healed: float
    """From the bridge's being back until all nodes have everything, in seconds."""
    memory: float
    """Of each node beyond what it takes empty, in bytes, without sockets."""
    node_processor: float
    """The share of one processor that each node needs."""
    redis_processor: float
    database_processor: float
