"""Whatever happens, everybody sees who is there: checked with a model of what stock providers do."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from collabd.protocol import awareness, messages
from collabd.protocol.awareness import Entry
from collabd.rooms import broadcast as broadcast_module
from collabd.rooms.broadcast import BEHIND, SECONDS_BETWEEN, PresenceBroadcast
from collabd.rooms.outbox import Frame
from collabd.rooms.peer import Peer
from collabd.rooms.presence import Presence

from .kit import ManualLoop, Recorder


@dataclass
class Provider:
    """A page with y-protocols' Awareness and y-websocket's provider: it keeps its client id and all clocks
    when it reconnects, forgets the others' states when it is cut off, and says again what it hears."""

    client: int
    clocks: dict[int, int] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)
    connection: int | None = None
    inbox: list[list[Entry]] = field(default_factory=list)

    def set_state(self, state: str | None) -> None:
        """``awareness.setLocalState``."""
        self.clocks[self.client] = self.clocks.get(self.client, -1) + 1
        if state is None:
            self.states.pop(self.client, None)
        else:
            self.states[self.client] = state

    def entry(self, client: int) -> Entry:
        """``encodeAwarenessUpdate`` of one client."""
        return Entry(client, self.clocks[client], self.states.get(client))

    def apply(self, entries: list[Entry]) -> list[int]:
        """``applyAwarenessUpdate``; the answer is the clients that changed, which the provider repeats."""
        changed = []
        for client, clock, state in ((entry.client, entry.clock, entry.state) for entry in entries):
            known = self.clocks.get(client, 0)
            if known < clock or (known == clock and state is None and client in self.states):
                was_known = client in self.clocks
                if state is not None:
                    self.states[client] = state
                elif client == self.client and client in self.states:
                    clock += 1  # "never let a remote client remove this local state"
                else:
                    self.states.pop(client, None)
                self.clocks[client] = clock
                if was_known or state is not None:
                    changed.append(client)
        return changed

    def cut_off(self) -> None:
        self.connection = None
        self.inbox.clear()
        self.states = {client: state for client, state in self.states.items() if client == self.client}


class Line(Recorder):
    """An outbox whose other end is a provider, or nobody."""

    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self.provider: Provider | None = provider

    def send(self, frame: Frame) -> None:
        (message,) = messages.decode(frame.payload)
        assert isinstance(message, messages.AwarenessMessage)
        if self.provider is not None:
            self.provider.inbox.append(awareness.decode(message.payload))


@dataclass
class Hub:
    """A room, as far as presence goes."""

    floor: int
    loop: ManualLoop = field(default_factory=ManualLoop)
    peers: dict[int, Peer] = field(default_factory=dict)
    presence: Presence = field(init=False)
    broadcast: PresenceBroadcast = field(init=False)

    def __post_init__(self) -> None:
        self.presence = Presence(self.floor)
        self.broadcast = PresenceBroadcast(self.presence, self.peers, self.loop)  # type: ignore[arg-type]

    def line(self, connection: int) -> Line:
        return cast(Line, self.peers[connection].outbox)

    @property
    def lines(self) -> dict[int, Line]:
        return {connection: self.line(connection) for connection in self.peers}

    def restart(self) -> None:
        """Begin anew, as a server does that was started again: everybody is cut off."""
        for line in self.lines.values():
            if line.provider is not None:
                line.provider.cut_off()
        self.broadcast.close()
        self.floor += 1_000
        self.peers = {}
        self.__post_init__()

    def join(self, provider: Provider) -> None:
        peer = Peer(Line(provider))
        provider.connection = peer.number
        self.peers[peer.number] = peer
        self.broadcast.tell(peer, self.presence.join(peer.number, "anonymous"))
        if provider.client in provider.states:
            self.receive(peer.number, [provider.entry(provider.client)])

    def receive(self, connection: int, entries: list[Entry]) -> None:
        message = messages.awareness_frame(awareness.encode(entries))
        if self.broadcast.is_hearsay(self.peers[connection], message):
            event("a broadcast is repeated")
            copy = deepcopy(self.presence)
            assert copy.receive(connection, entries) == [], "nothing is lost by not looking into it"
            assert vars(copy) == vars(self.presence)
        else:
            self.broadcast.spread(self.presence.receive(connection, entries))

    def leave(self, connection: int) -> None:
        peer = self.peers.pop(connection)
        self.broadcast.forget(peer)
        self.broadcast.spread(self.presence.leave(connection))

    def flush(self) -> None:
        self.loop.advance(SECONDS_BETWEEN)

    def deliver(self, provider: Provider) -> None:
        """Let a provider read one message and say again what changed by it."""
        changed = provider.apply(provider.inbox.pop(0))
        if changed and provider.connection is not None:
            self.receive(provider.connection, [provider.entry(client) for client in changed])

    def come_to_rest(self) -> None:
        """Let time pass until everybody has read everything and nobody has more to say."""
        for line in self.lines.values():
            line.waiting = 0
        for _ in range(1_000):
            self.flush()
            waiting = [line.provider for line in self.lines.values() if line.provider and line.provider.inbox]
            if not waiting and not self.broadcast.is_due:
                return
            for provider in waiting:
                self.deliver(provider)
        raise AssertionError("they talk for ever")

    @property
    def present(self) -> dict[int, str | None]:
        return {entry.client: entry.state for entry in self.presence.everyone()}


ACTIONS = st.tuples(
    st.sampled_from(
        [
            "join",
            "join",
            "leave",
            "vanish",
            "notice",
            "show",
            "show",
            "hide",
            "flush",
            "read",
            "read",
            "lag",
            "catch up",
            "wait",
            "restart",
        ]
    ),
    st.integers(0, 3),
)


@settings(max_examples=300)
@given(st.lists(ACTIONS, min_size=3, max_size=40), st.sampled_from([0, 1_000]))
def test_everybody_comes_to_see_who_is_there(actions: list[tuple[str, int]], floor: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broadcast_module, "WORTH_REMEMBERING", 0)
        patch.setattr(broadcast_module, "PEERS_AT_ONCE", 2)
        patch.setattr(broadcast_module, "LARGEST", 10)
        check_that_everybody_sees_everybody(actions, floor)


def check_that_everybody_sees_everybody(actions: list[tuple[str, int]], floor: int) -> None:
    providers = [Provider(client) for client in (1, 2, 3, 4)]
    hub = Hub(floor)
    for provider in providers[:3]:
        provider.set_state("{}")
        hub.join(provider)
    for number, (action, which) in enumerate(actions):
        provider = providers[which]
        connection = provider.connection
        match action:
            case "join" if connection is None:
                hub.join(provider)
            case "leave" | "vanish" if connection is not None:
                if action == "leave":
                    hub.leave(connection)
                else:
                    hub.line(connection).provider = None
                provider.cut_off()
            case "notice":
                for dead in [each for each, line in hub.lines.items() if line.provider is None][:1]:
                    hub.leave(dead)
            case "show" | "hide":
                provider.set_state(f'{{"n":{number}}}' if action == "show" else None)
                if connection is not None:
                    hub.receive(connection, [provider.entry(provider.client)])
            case "lag" | "catch up" if connection is not None:
                hub.line(connection).waiting = BEHIND + 1 if action == "lag" else 0
            case "wait":
                hub.loop.advance(SECONDS_BETWEEN / 3)
            case "restart":
                hub.restart()
            case "flush":
                hub.flush()
            case "read" if provider.inbox:
                hub.deliver(provider)

    hub.come_to_rest()
    present = hub.present
    everyone = [line.provider for line in hub.lines.values() if line.provider is not None]
    for provider in everyone:
        others = {client: state for client, state in provider.states.items() if client != provider.client}
        event("somebody is seen" if others else "nobody is seen")
        assert others == {client: state for client, state in present.items() if client != provider.client}

    # When the dead are noticed and everybody has renewed its state, as happens every 15 s, it is the truth.
    for dead in [each for each, line in hub.lines.items() if line.provider is None]:
        hub.leave(dead)
    for _ in range(3):
        hub.come_to_rest()
        for provider in everyone:
            if provider.client in provider.states:
                provider.set_state(provider.states[provider.client])
                assert provider.connection is not None
                hub.receive(provider.connection, [provider.entry(provider.client)])
    hub.come_to_rest()
    truth = {
        provider.client: provider.states[provider.client]
        for provider in everyone
        if provider.client in provider.states
    }
    assert hub.present == truth
    for provider in everyone:
        assert provider.states == truth
