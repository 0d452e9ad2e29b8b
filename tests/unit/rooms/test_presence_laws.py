"""Whatever happens, everybody sees who is there: checked with a model of what stock providers do."""

from dataclasses import dataclass, field

from hypothesis import event, given, settings
from hypothesis import strategies as st

from collabd.protocol.awareness import Entry
from collabd.rooms.presence import Presence


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


@dataclass
class Hub:
    """Broadcasts as a room does."""

    floor: int
    presence: Presence = field(init=False)
    listeners: dict[int, Provider | None] = field(default_factory=dict)
    """Connections; None where the other end has gone and nobody noticed."""
    news: dict[int, Entry] = field(default_factory=dict)
    joined: int = 0

    def __post_init__(self) -> None:
        self.presence = Presence(self.floor)

    def restart(self) -> None:
        """Begin anew, as a server does that was started again: everybody is cut off."""
        for provider in self.listeners.values():
            if provider is not None:
                provider.cut_off()
        self.listeners, self.news = {}, {}
        self.floor += 1_000
        self.presence = Presence(self.floor)

    def join(self, provider: Provider) -> None:
        self.joined += 1
        provider.connection = self.joined
        self.listeners[self.joined] = provider
        provider.inbox.append(self.presence.join(self.joined, "anonymous"))
        if provider.client in provider.states:
            self.receive(self.joined, [provider.entry(provider.client)])

    def receive(self, connection: int, entries: list[Entry]) -> None:
        self.news |= {entry.client: entry for entry in self.presence.receive(connection, entries)}

    def leave(self, connection: int) -> None:
        del self.listeners[connection]
        self.news |= {entry.client: entry for entry in self.presence.leave(connection)}

    def flush(self) -> None:
        news, self.news = self.news, {}
        for connection, provider in self.listeners.items():
            own = self.presence.client_of(connection)
            entries = [
                entry for entry in news.values() if entry.client != own or self.presence.may_echo(connection)
            ]
            if provider is not None and entries:
                provider.inbox.append(entries)

    def deliver(self, provider: Provider) -> None:
        """Let a provider read one message and say again what changed by it."""
        changed = provider.apply(provider.inbox.pop(0))
        if changed and provider.connection is not None:
            self.receive(provider.connection, [provider.entry(client) for client in changed])

    def come_to_rest(self) -> None:
        for _ in range(1_000):
            self.flush()
            waiting = [provider for provider in self.listeners.values() if provider and provider.inbox]
            if not waiting:
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
            "restart",
        ]
    ),
    st.integers(0, 3),
)


@settings(max_examples=300)
@given(st.lists(ACTIONS, min_size=3, max_size=40), st.sampled_from([0, 1_000]))
def test_everybody_comes_to_see_who_is_there(actions: list[tuple[str, int]], floor: int) -> None:
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
                    hub.listeners[connection] = None
                provider.cut_off()
            case "notice":
                for dead in [each for each, other in hub.listeners.items() if other is None][:1]:
                    hub.leave(dead)
            case "show" | "hide":
                provider.set_state(f'{{"n":{number}}}' if action == "show" else None)
                if connection is not None:
                    hub.receive(connection, [provider.entry(provider.client)])
            case "restart":
                hub.restart()
            case "flush":
                hub.flush()
            case "read" if provider.inbox:
                hub.deliver(provider)

    hub.come_to_rest()
    present = hub.present
    everyone = [provider for provider in hub.listeners.values() if provider is not None]
    for provider in everyone:
        others = {client: state for client, state in provider.states.items() if client != provider.client}
        event("somebody is seen" if others else "nobody is seen")
        assert others == {client: state for client, state in present.items() if client != provider.client}

    # When the dead are noticed and everybody has renewed its state, as happens every 15 s, it is the truth.
    for dead in [each for each, provider in hub.listeners.items() if provider is None]:
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
