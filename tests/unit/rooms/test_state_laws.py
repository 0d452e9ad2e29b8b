"""Laws of a room's bookkeeping: whatever replicas send, in whatever order, doubled, late or merged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hypothesis import event, given, settings
from hypothesis import strategies as st
from pycrdt import merge_updates

from collabd.protocol.messages import update_frame
from collabd.protocol.session import Session, UpdateReceived
from collabd.protocol.update import UpdateSummary, check_state_vector, check_update
from collabd.rooms.replica import Replica
from collabd.rooms.slices import at_once
from collabd.rooms.state import Batch, Early, RoomState

from .kit import Writer

PEERS = 3
NO_BOUND = 1 << 40

Ids = set[tuple[str, int, int]]


def ids_of(summary: UpdateSummary) -> Ids:
    """Every single id an update brings, told apart from every id it deletes."""
    return {
        (kind, client, clock)
        for kind, runs in (("struct", summary.structs), ("delete", summary.deletes))
        for client, start, end in runs
        for clock in range(start, end)
    }


@dataclass
class Model:
    """A room without anything but its state and a document, and beside it what it must have decided."""

    state: RoomState = field(
        default_factory=lambda: RoomState(max_backlog=NO_BOUND, max_early=NO_BOUND),
    )
    replica: Replica = field(default_factory=Replica)
    log: list[bytes] = field(default_factory=list)
    seen: Ids = field(default_factory=set)
    committed: Ids = field(default_factory=set)
    sent: dict[int, list[Ids]] = field(default_factory=lambda: {peer: [] for peer in range(PEERS)})
    acknowledged: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(PEERS), 0))
    sessions: dict[int, Session] = field(default_factory=lambda: {peer: Session() for peer in range(PEERS)})
    looks: bool = True
    """Whether somebody looks at the document after each commit."""

    def receive(self, peer: int, update: bytes) -> None:
        summary = check_update(update)
        ids = ids_of(summary)
        is_new = self.state.is_new(update, summary)
        assert is_new or ids <= self.committed
        if not is_new or not self.state.early:
            assert is_new == bool(self.beyond(ids))
        self.seen |= ids
        before = self.state.backlog
        at_once = self._hand_over(peer, update)
        assert self.state.backlog == before + (len(update) if is_new else 0), "redundant is never logged"
        self.sent[peer].append(ids)
        assert (at_once is None) == is_new
        if at_once:
            self._on_acknowledged(peer, at_once)

    def _hand_over(self, peer: int, update: bytes) -> int | None:
        """Do what a room does with an update message."""
        session = self.sessions[peer]
        message = update_frame(update)
        spot = session.spot
        if spot is not None and self.state.type(peer, [message], 0, spot):
            event("something was typed on")
            return None
        (received,) = session.receive(message)
        assert isinstance(received, UpdateReceived)
        return self.state.receive(peer, received.update, received.summary)

    def beyond(self, ids: Ids) -> Ids:
        """Those of the ids that are neither integrated nor in the log for good."""
        clocks, deletes, _ = self.replica.known
        early = {id_ for known in self.state.early for id_ in ids_of(known.summary)}
        return {
            (kind, client, clock)
            for kind, client, clock in ids - early
            if (
                clock >= clocks.get(client, 0)
                if kind == "struct"
                else not deletes.covers(client, clock, clock + 1)
            )
        }

    def take(self) -> Batch | None:
        batch = self.state.take_batch()
        if batch is not None:
            assert self.state.take_batch() is None, "one batch at a time"
        return batch

    def commit(self, batch: Batch) -> None:
        self.log.extend(batch.updates)
        assert [
            position for piece in batch.pieces for position in range(piece.first, piece.first + piece.size)
        ] == [*range(len(batch.updates))]
        taken = self.replica.take_simply(batch.pieces)
        if taken < len(batch.pieces):
            batch.take_apart(taken)
        updates, summaries = (
            [piece.update for piece in batch.pieces],
            [piece.summary for piece in batch.pieces],
        )
        if batch.is_typed and taken == len(batch.pieces):
            event("something was put off")
            self.replica.put_off(batch.runs)
        else:
            assert at_once(self.replica.applying(updates, summaries, taken=taken))[1] == []
        if self.looks:
            assert present(self.replica.known.clocks) == check_state_vector(self.replica.doc.get_state())
        settled = self.state.settle(len(self.log), self.replica.known)
        assert self.state.head == len(self.log)
        assert settled.relay == batch.pieces
        assert {id_ for piece in batch.pieces for id_ in ids_of(check_update(piece.update))} == {
            id_ for update in batch.updates for id_ in ids_of(check_update(update))
        }
        assert settled.refuse == []
        for piece in batch.pieces:
            self.committed |= ids_of(piece.summary)
        for peer, count in settled.acknowledge.items():
            self._on_acknowledged(peer, count)
        self._check_early()
        self._check_asked(batch, self.state.whom_to_ask(batch))

    def flush(self) -> None:
        """Commit until nothing is left."""
        if self.state.in_flight is not None:
            self.commit(self.state.in_flight)
        while batch := self.take():
            self.commit(batch)

    def unsettled(self) -> list[Early]:
        return [Early(seq, update, check_update(update)) for seq, update in enumerate(self.log, 1)]

    def _on_acknowledged(self, peer: int, count: int) -> None:
        assert self.acknowledged[peer] <= count <= len(self.sent[peer]), "counts only grow"
        for ids in self.sent[peer][:count]:
            assert ids <= self.committed, "all that is acknowledged is committed"
        self.acknowledged[peer] = count

    def _check_early(self) -> None:
        clocks = self.replica.known.clocks
        assert present(self.state.clocks) == present(clocks)
        early = {early.seq for early in self.state.early}
        assert early == set(self.unfinished(clocks))
        if early:
            event("something was early")

    def unfinished(self, clocks: Mapping[int, int]) -> list[int]:
        """Numbers of updates that bring or delete something beyond the document's clocks."""
        return [
            seq
            for seq, update in enumerate(self.log, 1)
            if any(clock >= clocks.get(client, 0) for _, client, clock in ids_of(check_update(update)))
        ]

    def _check_asked(self, batch: Batch, ask: Sequence[int]) -> None:
        assert len(set(ask)) == len(ask)
        first = len(self.log) - len(batch.updates) + 1
        authors = [author for author, count in batch.authors for _ in range(count)]
        early = {authors[early.seq - first] for early in self.state.early if early.seq >= first}
        assert set(ask) <= early, "only who sent something early is asked"


def present(clocks: Mapping[int, int]) -> dict[int, int]:
    return {client: clock for client, clock in clocks.items() if clock}


@st.composite
def histories(draw: st.DrawFn, *, maps: bool = True) -> list[bytes]:
    """Updates of a few replicas that edit, delete and hear of each other now and then, and some of the
    ways in which the same is said again."""
    writers = [Writer(client) for client in (1, 2, 300_000)]
    updates: list[bytes] = []
    kinds = ["type", "type", "delete", "hear", "whole"] + (["put"] if maps else [])
    for _ in range(draw(st.integers(1, 12))):
        writer = draw(st.sampled_from(writers))
        match draw(st.sampled_from(kinds)):
            case "type":
                position = draw(st.integers(0, len(writer.text)))
                for text in draw(st.lists(st.sampled_from(["a", "b", "cd", "efg"]), min_size=1, max_size=4)):
                    updates.append(writer.insert(position, text))
                    position += len(text)
            case "delete" if len(writer.text) > 0:
                start = draw(st.integers(0, len(writer.text) - 1))
                end = draw(st.integers(start + 1, len(writer.text)))
                updates.append(writer.delete(start, end))
            case "put":
                updates.append(writer.put(draw(st.sampled_from("xy")), draw(st.integers(0, 9))))
            case "hear" if updates:
                for update in draw(st.lists(st.sampled_from(updates), max_size=4)):
                    writer.take(update)
            case "whole":
                updates.append(writer.state)
    return updates


@st.composite
def deliveries(draw: st.DrawFn, *, maps: bool = True) -> list[tuple[int, bytes]]:
    """Who sends which update, in an order of their own, with some of it twice, merged, or lost at first."""
    updates = draw(histories(maps=maps))
    sent: list[tuple[int, bytes]] = []
    if updates:
        for _ in range(draw(st.integers(0, 15))):
            some = draw(st.lists(st.sampled_from(updates), min_size=1, max_size=3))
            sent.append((draw(st.integers(0, PEERS - 1)), merge_updates(*some) if len(some) > 1 else some[0]))
    if draw(st.booleans()):
        peer = draw(st.integers(0, PEERS - 1))
        sent += [(peer, update) for update in updates]
    else:
        sent += [(draw(st.integers(0, PEERS - 1)), update) for update in draw(st.permutations(updates))]
    return sent


STEPS = st.sampled_from(["wait", "take", "commit", "both"])


@settings(max_examples=300)
@given(deliveries(), st.data())
def test_in_the_end_everything_is_integrated_and_acknowledged(
    sent: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    model = Model(looks=data.draw(st.booleans(), label="somebody looks"))
    for peer, update in sent:
        model.receive(peer, update)
        step = data.draw(STEPS)
        if step in ("commit", "both") and model.state.in_flight is not None:
            model.commit(model.state.in_flight)
        if step in ("take", "both"):
            model.take()
    model.flush()
    assert model.state.is_settled
    assert model.state.early == []
    assert model.state.backlog == 0
    assert model.acknowledged == {peer: len(messages) for peer, messages in model.sent.items()}
    reference = Writer(9)
    if sent:
        reference.take(merge_updates(*(update for _, update in sent)))
    room = Writer(8)
    room.take(model.replica.state())
    assert str(room.text) == str(reference.text)
    assert room.meta.to_py() == reference.meta.to_py()
    assert ids_of(check_update(room.state)) == ids_of(check_update(reference.state))
    assert ids_of(check_update(room.state)) >= model.seen


@settings(max_examples=60)
@given(deliveries(maps=False), st.data())
def test_a_room_loaded_from_the_log_decides_as_the_one_before(
    sent: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    model = Model()
    for peer, update in sent[: data.draw(st.integers(0, len(sent)))]:
        model.receive(peer, update)
    model.flush()
    log = model.log
    snapshot_seq = data.draw(st.integers(0, len(log)), label="updates under the snapshot")
    before = Replica()
    before.apply(log[:snapshot_seq], [check_update(update) for update in log[:snapshot_seq]])
    early = Model(log=log[:snapshot_seq]).unfinished(before.known.clocks)
    tail = [
        Early(seq, update, check_update(update))
        for seq, update in enumerate(log, 1)
        if seq > snapshot_seq or seq in early
    ]

    loaded = Replica.build(before.state(), tail)
    state = RoomState(max_backlog=NO_BOUND, max_early=NO_BOUND)
    state.restore(len(log), loaded.known, tail)

    assert loaded.rejected == []
    assert state.head == model.state.head
    assert present(state.clocks) == present(model.state.clocks)
    assert [early.seq for early in state.early] == [early.seq for early in model.state.early]
    for _, update in sent:
        summary = check_update(update)
        assert state.is_new(update, summary) == model.state.is_new(update, summary)
    # What comes afterwards goes the same way too.
    again = Model(
        state=state, replica=loaded, log=list(log), seen=set(model.seen), committed=set(model.committed)
    )
    for peer, update in sent:
        again.receive(peer, update)
    again.flush()
    assert state.early == []
