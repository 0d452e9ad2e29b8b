"""What the PostgreSQL store promises beyond the contract, also when connections and servers break."""

import asyncio
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from collabd.errors import (
    DocumentDamaged,
    DocumentDeleted,
    DocumentExists,
    InvalidName,
    StoreError,
    StoreUnavailable,
)
from collabd.persistence import (
    postgres_commit,
    postgres_connection,
    postgres_history,
    postgres_schema,
    postgres_write,
    rows,
)
from collabd.persistence.base import Appended, Author, Compaction, Version
from collabd.persistence.postgres import PostgresStore
from tests.support.postgres import PostgresServer, execute, new_database, new_server
from tests.support.proxy import Lost, proxied

from .stores import compact

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def url() -> str:
    return new_database()


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    async with opened(url) as store:
        yield store


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be quick to find that something does not work, and quick to try again."""
    monkeypatch.setattr(postgres_connection, "LOCK_TIMEOUT", 0.05)
    monkeypatch.setattr(postgres_commit, "RETRY_AFTER", 0.01)
    monkeypatch.setattr(postgres_commit, "MAX_RETRY_AFTER", 0.05)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server for this test alone, which may be killed."""
    server = new_server()
    yield server
    server.close()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


async def unavailable(store: PostgresStore) -> str:
    """Return why the store cannot commit, once it has noticed."""
    while True:
        try:
            await store.ping()
        except StoreUnavailable as error:
            if "cannot commit" in str(error):
                return str(error)
        await asyncio.sleep(0.01)


async def logged(store: PostgresStore, name: str) -> list[tuple[int, bytes]]:
    stored = await store.load(name, whole=True)
    assert stored is not None
    return [(seq, update) for seq, update in stored.tail]


# The database


async def test_a_commit_survives_a_power_cut_whatever_the_database_says(url: str) -> None:
    database = urlsplit(url).path.removeprefix("/")
    await execute(url, f"ALTER DATABASE {database} SET synchronous_commit = off")
    async with opened(url) as store:
        connection = store._committer._connection
        assert connection is not None
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
        async with store._connection() as other:
            assert await other.fetchval("SHOW synchronous_commit") == "on"


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE SCHEMA collabd", "CREATE TABLE collabd.somebody_elses (x int)"],
        ["CREATE SCHEMA collabd", "CREATE TABLE collabd.about (key text, value int)"],
    ],
    ids=["another program's", "one with a table of our name"],
)
async def test_a_schema_of_another_program_is_refused_and_left_alone(url: str, statements: list[str]) -> None:
    for statement in statements:
        await execute(url, statement)
    with pytest.raises(StoreError, match="something else"):
        await PostgresStore(url).start()
    tables = await execute(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'collabd'")
    assert tables[0][0] == 1


async def test_other_tables_in_the_database_do_no_harm(url: str) -> None:
    await execute(url, "CREATE TABLE public.documents (x int)")
    async with opened(url) as store:
        await store.append("notes", None, [b"1"])
    assert await execute(url, "SELECT * FROM public.documents") == []


async def test_a_database_of_a_newer_program_is_refused(url: str) -> None:
    async with opened(url):
        pass
    newer = postgres_schema.SCHEMA + 1
    await execute(url, "UPDATE about SET value = $1 WHERE key = 'oldest_program'", newer)
    with pytest.raises(StoreError, match=f"knows schema {newer}"):
        await PostgresStore(url).start()


async def test_a_database_that_takes_no_writes_is_refused(url: str) -> None:
    database = urlsplit(url).path.removeprefix("/")
    await execute(url, f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    with pytest.raises(StoreError, match="read-only"):
        await PostgresStore(url).start()


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://nobody@127.0.0.1:1/nothing",
        "postgresql://127.0.0.1:port/nothing",
    ],
    ids=["nobody listens", "no port"],
)
async def test_a_server_that_cannot_be_reached_is_told(wrong: str) -> None:
    with pytest.raises(StoreError, match="cannot be reached"):
        await PostgresStore(wrong).start()


async def test_a_database_that_is_not_there_is_told(url: str) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        await PostgresStore(f"{url}_missing").start()


async def test_a_schema_half_made_is_made_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        (first, *_) = postgres_schema.MIGRATIONS
        broken = first._replace(statements=first.statements + "; SELECT 1 / 0")
        patch.setattr(postgres_schema, "MIGRATIONS", [broken])
        with pytest.raises(StoreError, match="division"):
            await PostgresStore(url).start()
    async with opened(url) as store:
        await store.append("notes", None, [b"1"])


async def test_many_may_start_at_once(url: str) -> None:
    stores = [PostgresStore(url) for _ in range(6)]
    await asyncio.gather(*(store.start() for store in stores))
    assert not any(store.was_interrupted for store in stores)
    answers = await asyncio.gather(*(store.append("notes", None, [b"1"]) for store in stores))
    assert sorted(answer.last_seq for answer in answers) == [1, 2, 3, 4, 5, 6]
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_store_says_whether_another_was_interrupted(url: str) -> None:
    async with opened(url) as running:
        interrupted = PostgresStore(url)
        await interrupted.start()
        assert not interrupted.was_interrupted
        connection = interrupted._committer._connection
        assert connection is not None
        assert interrupted._committer._task is not None
        interrupted._committer._task.cancel()
        await connection.close()
        async with opened(url) as next_one:
            assert next_one.was_interrupted
        async with opened(url) as next_one:
            assert not next_one.was_interrupted
        assert interrupted._pool is not None
        await interrupted._pool.close()
        await running.ping()


async def test_who_lost_its_connection_is_not_interrupted_for_long(url: str, quick: None) -> None:
    async with opened(url) as store:
        process = store._process
        assert store._committer._connection is not None
        store._committer._connection.terminate()
        while store._process == process:
            await asyncio.sleep(0.01)
        async with opened(url) as next_one:
            assert not next_one.was_interrupted
    assert await execute(url, "SELECT * FROM processes") == []


# Committing


async def test_writers_that_come_together_are_committed_together(store: PostgresStore, url: str) -> None:
    ids = [(await store.append(f"{n}", None, [b"1"])).document_id for n in range(20)]
    await asyncio.gather(*(store.append("", id_, [b"2"]) for id_ in ids for _ in range(10)))
    ((transactions,),) = await execute(url, "SELECT count(DISTINCT xmin::text) FROM log")
    assert transactions <= 20 + 2


async def test_a_group_is_bounded(store: PostgresStore, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_commit, "MAX_GROUP_BYTES", 1000)
    appended = await asyncio.gather(
        *(store.append("notes", None, [bytes(size)]) for size in (600, 600, 5000, 1))
    )
    assert [answer.last_seq for answer in appended] == [1, 2, 3, 4]
    assert len(await execute(url, "SELECT DISTINCT xmin::text FROM log")) == 4


async def test_nodes_that_write_to_the_same_documents_leave_no_gap_and_do_not_deadlock(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"document {number}" for number in range(8)]
    chance = random.Random(1)
    async with opened(url) as one, opened(url) as two, opened(url) as three:
        acknowledged: dict[str, dict[int, bytes]] = {name: {} for name in names}
        ids: dict[str, int] = {}

        async def write(node: PostgresStore, writer: int) -> None:
            for number in range(60):
                name = chance.choice(names)
                update = b"%d %d" % (writer, number)
                ids[name], seq = await node.append(name, ids.get(name), [update] * 2)
                acknowledged[name] |= {seq - 1: update, seq: update}

        nodes = [one, two, three]
        await asyncio.gather(*(write(nodes[writer % 3], writer) for writer in range(24)))
        for name in names:
            assert await logged(two, name) == sorted(acknowledged[name].items())
    assert "cannot commit" not in caplog.text


async def test_of_many_who_give_a_document_its_content_one_wins(url: str) -> None:
    async with opened(url) as one, opened(url) as two:
        for number in range(10):
            outcomes = await asyncio.gather(
                *(
                    node.append(f"{number}", None, [b"%d" % writer], first=True)
                    for writer, node in enumerate([one, two, one, two])
                ),
                return_exceptions=True,
            )
            kinds = Counter(type(outcome) for outcome in outcomes)
            assert kinds == {Appended: 1, DocumentExists: 3}
            (winner,) = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Appended)]
            assert await logged(one, f"{number}") == [(1, b"%d" % winner)]


async def test_a_name_deleted_by_one_node_is_given_anew_by_another(url: str) -> None:
    async with opened(url) as one, opened(url) as two:
        old, _ = await one.append("notes", None, [b"old"])
        await two.delete("notes")
        for known in (old, None):
            with pytest.raises(DocumentDeleted):
                await one.append("notes", known, [b"more"])
        answers = await asyncio.gather(
            *(node.append("notes", None, [b"new"], revive=True) for node in (one, two))
        )
        assert len({answer.document_id for answer in answers} - {old}) == 1
        assert sorted(answer.last_seq for answer in answers) == [1, 2]


async def test_of_two_compactions_at_once_one_is_done(url: str) -> None:
    async with opened(url) as one, opened(url) as two:
        document_id, _ = await one.append("notes", None, [b"1", b"2"])
        for round_ in range(5):
            stored = await one.load("notes")
            assert stored is not None
            # The same number: what they compact is early rows, and the number says nothing about those.
            early = [1] if round_ == 0 else []
            compaction = Compaction(stored.snapshot_seq, stored.head, b"state", early)
            done = await asyncio.gather(*(node.compact(document_id, compaction) for node in (one, two)))
            # The second time there is something to move: the row that was early.
            assert done.count(True) == 1 if round_ < 2 else any(done)
        assert await logged(one, "notes") == [(1, b"1"), (2, b"2")]


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
async def test_a_name_that_cannot_be_stored_is_the_caller_s_problem(store: PostgresStore, name: str) -> None:
    good = store.append("notes", None, [b"1"])
    with pytest.raises(InvalidName):
        await store.append(name, None, [b"1"])
    assert (await good).last_seq == 1
    assert await store.find(name) is None
    assert await store.load(name) is None
    assert await store.documents(prefix=name) == []
    assert [info.name for info in await store.documents(after=name)] == (["notes"] if name[0] == "a" else [])


async def test_authors_may_have_any_name(store: PostgresStore) -> None:
    strange = Author(5, "a\0b", "\ud800", "\0")
    document_id, _ = await store.append("notes", None, [b"1"], [(strange, 1)])
    await store.name_version(document_id, Version(1, "\0\ud800", 1.0, strange))
    (version,) = await store.versions(document_id)
    assert version.author.connection == 5
    assert await store.erase_authors(principal="a\0b") == 1


async def test_a_batch_that_the_server_does_not_take_holds_up_no_other(store: PostgresStore) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    too_large = Author(2**63, "ada", "Ada")
    outcomes = await asyncio.gather(
        store.append("notes", document_id, [b"2"]),
        store.append("notes", document_id, [b"bad"], [(too_large, 1)]),
        store.append("new", None, [b"bad"], [(too_large, 1)]),
        store.append("notes", document_id, [b"3"]),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [Appended, StoreError, StoreError, Appended]
    assert await logged(store, "notes") == [(1, b"1"), (2, b"2"), (3, b"3")]
    assert await store.find("new") is None
    await store.ping()


async def test_a_deleted_name_is_given_anew_only_to_who_says_so_also_within_a_group(
    store: PostgresStore,
) -> None:
    await store.append("notes", None, [b"old"])
    await store.delete("notes")
    outcomes = await asyncio.gather(
        store.append("notes", None, [b"from before"]),
        store.append("notes", None, [b"1"], revive=True),
        store.append("notes", None, [b"2"]),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [DocumentDeleted, Appended, Appended]
    assert await logged(store, "notes") == [(1, b"1"), (2, b"2")]


async def test_what_is_asked_after_an_append_sees_it_committed(store: PostgresStore) -> None:
    document_id, _ = await store.append("notes", None, [b"1"])
    for head in range(2, 20):
        store.append("notes", document_id, [b"more"])
        info = await store.find("notes")
        assert info is not None
        assert info.head == head


async def test_whoever_loads_while_another_node_compacts_sees_one_state(url: str) -> None:
    async with opened(url) as one, opened(url) as two:
        document_id, _ = await one.append("notes", None, [b"1"])
        compacting = True

        async def load() -> int:
            loaded = 0
            while compacting:
                stored = await two.load("notes")
                assert stored is not None
                assert [seq for seq, _ in stored.tail] == list(
                    range(stored.snapshot_seq + 1, stored.head + 1)
                )
                loaded += 1
            return loaded

        loading = [asyncio.ensure_future(load()) for _ in range(3)]
        for _ in range(40):
            _, seq = await one.append("notes", document_id, [b"2", b"3"])
            await compact(one, "notes", seq, b"state", keep_history=False)
        compacting = False
        assert all(await asyncio.gather(*loading))


# Damage

NOT_UPDATES = rows.checksum(bytes([5]))


@pytest.mark.parametrize(
    ("damage", "part", "seq"),
    [
        (r"UPDATE log SET payload = '\x0162' WHERE document = 1 AND seq = 3", "log", 3),
        ("UPDATE log SET checksum = checksum + 1 WHERE document = 1 AND seq = 3", "log", 3),
        (r"UPDATE log SET authors = '\x0101' WHERE document = 1 AND seq = 3", "log", 3),
        ("UPDATE log SET count = 2 WHERE document = 1 AND seq = 3", "log", 3),
        (rf"UPDATE log SET payload = '\x05', checksum = {NOT_UPDATES} WHERE document = 1", "log", 3),
        ("DELETE FROM log WHERE document = 1 AND seq = 3", "log", 3),
        ("DELETE FROM log WHERE document = 1 AND seq = 4", "log", 4),
        (r"UPDATE snapshots SET state = '\x00'", "snapshot", 2),
    ],
    ids=["payload", "checksum", "authors", "count", "not updates", "a row gone", "the last gone", "snapshot"],
)
async def test_a_damaged_document_is_told_and_set_aside_and_the_others_serve_on(
    store: PostgresStore, url: str, damage: str, part: str, seq: int
) -> None:
    for name in ("damaged", "sound"):
        document_id, _ = await store.append(name, None, [b"1", b"2"])
        await store.append(name, document_id, [b"3"])
        await store.append(name, document_id, [b"4"])
        if name == "damaged":
            await compact(store, name, 2, b"state", keep_history=False)
    await execute(url, damage)
    with pytest.raises(DocumentDamaged):
        await store.load("damaged")
    assert len(await logged(store, "sound")) == 4
    assert [info.name for info in await store.documents()] == ["damaged", "sound"]
    problems = await store.examine(1)
    assert (problems[0].part, problems[0].seq) == (part, seq)
    assert await store.set_aside(1) == problems
    assert await store.examine(1) == []
    kept = await execute(url, "SELECT part, seq, stored FROM damaged")
    assert "DELETE" in damage or (kept[0][0], kept[0][1]) == (part, seq)
    rest = await store.load("damaged")
    assert rest is not None
    assert rest.head == 4
    updates = {logged.update for logged in rest.tail}
    assert rows.NOTHING in updates
    if part == "snapshot":
        assert updates == {rows.NOTHING, b"3", b"4"}
    else:
        assert rest.snapshot == b"state"
    assert (await store.append("damaged", 1, [b"5"])).last_seq == 5


@pytest.mark.parametrize("column", ["payload", "meta"])
async def test_damaged_history_does_not_keep_a_document_from_opening(
    store: PostgresStore, url: str, column: str
) -> None:
    document_id, _ = await store.append("notes", None, [b"1", b"2"])
    await compact(store, "notes", 2, b"state")
    await execute(url, rf"UPDATE segments SET {column} = '\x00'")
    assert await store.load("notes") is not None
    with pytest.raises(DocumentDamaged, match="history up to 2"):
        async for _ in store.history(document_id):
            pass
    with pytest.raises(DocumentDamaged, match="history up to 2"):
        await store.load("notes", whole=True)
    (problem,) = await store.set_aside(document_id)
    assert (problem.part, problem.seq) == ("history", 2)
    assert await logged(store, "notes") == [(2, rows.NOTHING)]


async def test_a_damaged_snapshot_is_made_up_for_by_history(store: PostgresStore, url: str) -> None:
    await store.append("notes", None, [b"1", b"2"])
    await compact(store, "notes", 2, b"state")
    await store.append("notes", None, [b"3"])
    await execute(url, r"UPDATE snapshots SET state = '\x00'")
    stored = await store.load("notes")
    assert stored is not None
    assert (stored.snapshot, stored.snapshot_seq) == (None, 2)
    assert [logged.update for logged in stored.tail] == [b"1", b"2", b"3"]


# Connections that break


@pytest.mark.parametrize("lost", ["question", "answer"])
@pytest.mark.parametrize("batch", ["new document", "known document", "first", "revived", "several"])
async def test_a_connection_cut_in_a_commit_commits_nothing_twice(
    url: str, quick: None, lost: Lost, batch: str
) -> None:
    async with proxied(url) as (proxy, through), opened(through) as store, opened(url) as other:
        document_id, _ = await store.append("known", None, [b"0"])
        await store.append("known", document_id, [b"1"])
        await store.append("gone", None, [b"0"])
        await store.delete("gone")
        proxy.lost = lost
        # A batch for a known document is a statement of its own, all else a transaction.
        proxy.cut_at = b"to be cut" if batch == "known document" else b"COMMIT;"
        if batch == "known document":
            waiting = [store.append("known", document_id, [b"to be cut"])]
        elif batch == "revived":
            waiting = [store.append("gone", None, [b"new"], revive=True)]
        elif batch == "several":
            waiting = [store.append(f"{number % 3}", None, [b"%d" % number]) for number in range(9)]
        else:
            waiting = [store.append("new", None, [b"new"], first=batch == "first")]
        answers = await asyncio.gather(*waiting)
        assert proxy.cuts.is_set()
        if batch == "several":
            assert [answer.last_seq for answer in answers] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
            for name in range(3):
                assert await logged(other, f"{name}") == [(n + 1, b"%d" % (name + 3 * n)) for n in range(3)]
        elif batch == "known document":
            assert answers[0] == (document_id, 3)
            assert await logged(other, "known") == [(1, b"0"), (2, b"1"), (3, b"to be cut")]
        else:
            assert answers[0].last_seq == 1
            assert await logged(other, "gone" if batch == "revived" else "new") == [(1, b"new")]
        await store.ping()


@pytest.mark.parametrize("keep_history", [True, False])
async def test_what_was_compacted_before_its_commit_was_known_of_is_not_committed_twice(
    url: str, quick: None, keep_history: bool
) -> None:
    async with proxied(url) as (proxy, through), opened(through) as store, opened(url) as other:
        document_id, _ = await store.append("notes", None, [b"1"])
        await store.append("notes", document_id, [b"2"])
        proxy.cut_at, proxy.refusing = b"to be cut", True
        waiting = store.append("notes", document_id, [b"to be cut"])
        await unavailable(store)
        await compact(other, "notes", 3, b"state", keep_history=keep_history)
        proxy.refusing = False
        assert await waiting == (document_id, 3)
        info = await other.find("notes")
        assert info is not None
        assert info.head == 3


@pytest.mark.parametrize("is_compacted", [True, False])
async def test_what_may_have_been_compacted_long_ago_is_given_up(
    url: str, quick: None, monkeypatch: pytest.MonkeyPatch, is_compacted: bool
) -> None:
    monkeypatch.setattr(postgres_write, "BATCHES_REMEMBERED", -postgres_write.CLOCKS_DIFFER)
    monkeypatch.setattr(postgres_history, "BATCHES_REMEMBERED", 0.0)
    async with proxied(url) as (proxy, through), opened(through) as store, opened(url) as other:
        document_id, _ = await store.append("notes", None, [b"1"])
        await store.append("notes", document_id, [b"2"])
        proxy.cut_at, proxy.refusing = b"to be cut", True
        waiting = store.append("notes", document_id, [b"to be cut"])
        await unavailable(store)
        if is_compacted:
            await compact(other, "notes", 3, b"state")
        proxy.refusing = False
        if is_compacted:
            with pytest.raises(StoreUnavailable, match="nobody can tell"):
                await waiting
        else:
            assert await waiting == (document_id, 3)
        assert (await store.append("notes", document_id, [b"next"])).last_seq == 4


async def test_what_was_deleted_before_its_commit_was_known_of_stays_deleted(url: str, quick: None) -> None:
    async with proxied(url) as (proxy, through), opened(through) as store, opened(url) as other:
        await store.append("notes", None, [b"old"])
        await store.delete("notes")
        proxy.cut_at, proxy.refusing = b"COMMIT;", True
        waiting = store.append("notes", None, [b"new"], revive=True)
        await unavailable(store)
        await other.delete("notes")
        proxy.refusing = False
        assert (await waiting).last_seq == 1
        with pytest.raises(DocumentDeleted):
            await other.find("notes")


async def test_connections_that_break_all_the_time_lose_and_double_nothing(url: str, quick: None) -> None:
    chance = random.Random(7)
    async with proxied(url) as (proxy, through), opened(through) as store, opened(url) as other:
        proxy.on_question = lambda data: chance.random() < 0.05

        async def write(writer: int) -> list[tuple[int, bytes]]:
            written = []
            document_id = None
            for number in range(30):
                update = b"%d %d" % (writer, number)
                document_id, seq = await store.append(f"{writer % 5}", document_id, [update])
                written.append((seq, update))
            return written

        written = await asyncio.gather(*map(write, range(10)))
        proxy.on_question = lambda data: False
        for name in range(5):
            assert await logged(other, f"{name}") == sorted(written[name] + written[name + 5])


# Documents that are locked


async def test_a_document_locked_by_somebody_else_holds_up_nobody_but_its_own_writers(
    url: str, quick: None
) -> None:
    async with opened(url) as store:
        locked, _ = await store.append("locked", None, [b"1"])
        free, _ = await store.append("free", None, [b"1"])
        somebody = await asyncpg.connect(url)
        await somebody.execute("BEGIN")
        await somebody.execute("SELECT FROM collabd.documents WHERE id = $1 FOR UPDATE", locked)
        waiting = [store.append("locked", locked, [b"%d" % number]) for number in (2, 3)]
        for number in (2, 3, 4):
            assert (await store.append("free", free, [b"%d" % number])).last_seq == number
            assert (await store.append("new", None, [b"%d" % number])).last_seq == number - 1
        assert not any(future.done() for future in waiting)
        stored = await store.load("locked")
        assert stored is not None
        assert stored.head == 1
        await store.ping()
        with pytest.raises(StoreUnavailable):
            await compact(store, "locked", 1, b"state")
        await somebody.execute("ROLLBACK")
        await somebody.close()
        assert [(await future).last_seq for future in waiting] == [2, 3]
        await compact(store, "locked", 3, b"state")


# Servers that fail


async def test_a_server_that_is_down_is_waited_out(
    server: PostgresServer, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(new_database(server.url)) as store:
        document_id, _ = await store.append("notes", None, [b"1"])
        await asyncio.to_thread(server.stop)
        waiting = [store.append("notes", document_id, [b"%d" % number]) for number in (2, 3)]
        await unavailable(store)
        waiting.append(store.append("new", None, [b"1"]))
        with pytest.raises(StoreUnavailable):
            await store.load("notes")
        with pytest.raises(StoreUnavailable):
            await store.delete("notes")
        assert not any(future.done() for future in waiting)
        await asyncio.to_thread(server.start)
        assert [(await future).last_seq for future in waiting] == [2, 3, 1]
        await store.ping()
        assert await logged(store, "notes") == [(1, b"1"), (2, b"2"), (3, b"3")]
    assert caplog.text.count("cannot commit") == 1, "said once, not at every attempt"
    assert "commits again" in caplog.text


async def test_closing_while_it_fails_tells_who_waits(server: PostgresServer, quick: None) -> None:
    store = PostgresStore(new_database(server.url))
    await store.start()
    await asyncio.to_thread(server.stop)
    waiting = [store.append("notes", None, [b"1"]), store.append("notes", None, [b"2"])]
    await unavailable(store)
    await store.close()
    for future in waiting:
        with pytest.raises(StoreUnavailable, match="closed"):
            await future
    await asyncio.to_thread(server.start)
    await store.start()
    assert await store.load("notes") is None
    assert (await store.append("notes", None, [b"1"])).last_seq == 1
    await store.close()


async def test_a_server_killed_while_it_writes_loses_and_doubles_nothing(
    server: PostgresServer, quick: None
) -> None:
    url = new_database(server.url)
    async with opened(url) as one, opened(url) as two:
        acknowledged: list[dict[int, bytes]] = [{} for _ in range(4)]
        done = asyncio.Event()

        async def write(writer: int) -> int:
            node, name = (one, two)[writer % 2], f"{writer % 4}"
            number = 0
            while not done.is_set():
                update = b"%d %d" % (writer, number)
                _, seq = await node.append(name, None, [update])
                acknowledged[writer % 4][seq] = update
                number += 1
            return number

        writing = [asyncio.ensure_future(write(writer)) for writer in range(8)]
        for _ in range(3):
            before = sum(map(len, acknowledged))
            while sum(map(len, acknowledged)) < before + 50:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await asyncio.to_thread(server.start)
        done.set()
        count = sum(await asyncio.gather(*writing))
        assert sum(map(len, acknowledged)) == count
        for name in range(4):
            assert await logged(two, f"{name}") == sorted(acknowledged[name].items())


async def test_a_server_that_hangs_is_given_up_and_tried_again(
    server: PostgresServer, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection, "COMMAND_TIMEOUT", 2.0)
    monkeypatch.setattr(postgres_connection, "CONNECT_TIMEOUT", 2.0)
    async with opened(new_database(server.url)) as store:
        document_id, _ = await store.append("notes", None, [b"1"])
        await store.append("notes", document_id, [b"2"])
        server.suspend()
        try:
            waiting = store.append("notes", document_id, [b"3"])
            await unavailable(store)
            with pytest.raises(StoreUnavailable):
                await store.load("notes")
            assert not waiting.done()
        finally:
            server.resume()
        assert (await waiting).last_seq == 3
        assert await logged(store, "notes") == [(1, b"1"), (2, b"2"), (3, b"3")]


APPEND_FOR_EVER = """
import asyncio, sys
from collabd.persistence.postgres import PostgresStore

document = None

async def main():
    store = PostgresStore(sys.argv[1])
    await store.start()
    async def write(number):
        global document
        document, seq = await store.append("notes", document, [b"%d" % number] * (number % 3 + 1))
        print(number, seq, flush=True)
    await write(0)
    number = 1
    while True:
        await asyncio.gather(*(write(number + n) for n in range(7)))
        number += 7

asyncio.run(main())
"""


async def test_what_was_acknowledged_before_kill_9_is_there_afterwards(url: str) -> None:
    process = subprocess.Popen(  # noqa: ASYNC220  # this process has nothing else to do
        [sys.executable, "-c", APPEND_FOR_EVER, url], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = []
    try:
        acknowledged = [process.stdout.readline() for _ in range(300)]
    finally:
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.readlines()
        process.stdout.close()
        process.wait(20)
    # The server needs a moment to notice; what was under way may still be committed until then.
    while await execute(url, "SELECT FROM pg_locks WHERE locktype = 'advisory'"):
        await asyncio.sleep(0.01)
    async with opened(url) as store:
        assert store.was_interrupted
        stored = await logged(store, "notes")
    assert [seq for seq, _ in stored] == list(range(1, len(stored) + 1))
    by_seq = dict(stored)
    complete = [line.split() for line in acknowledged if line.endswith("\n")]
    assert len(complete) >= 300
    for number, last_seq in complete:
        for seq in range(int(last_seq) - int(number) % 3, int(last_seq) + 1):
            assert by_seq[seq] == number.encode()
