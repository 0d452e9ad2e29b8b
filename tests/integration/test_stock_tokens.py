"""y-websocket's own provider, unchanged, with a document token in its address."""

from pathlib import Path

from tests.support.commands import Place
from tests.support.server import running_server
from tests.support.stock import stock_clients

RULES = """
[[rules]]
documents = "nothing-is-called-so"
anyone = true
access = "read"
"""


async def test_a_stock_provider_comes_back_with_a_renewed_token(tmp_path: Path, node: str) -> None:
    (tmp_path / "collabd.toml").write_text(RULES)
    given: list[str] = []
    with running_server(tmp_path, options=["--log-level", "debug"]) as server:
        place = Place(tmp_path, server)

        async def token(user: str, *options: str) -> dict[str, str]:
            done = await place.ask("token", user, "--allow", "write:notes", *options)
            assert done.code == 0, done
            given.append(done.out.strip())
            return {"token": given[-1]}

        async with stock_clients(node, server) as stock:
            await stock("open", "cat", document="notes", params=await token("cat"))
            brief = "--seconds", "2", "--connection-seconds", "3"
            renewed = await token("ada")
            ben = await token("ben", *brief)
            await stock("open", "ada", document="notes", params=await token("ada", *brief))
            await stock("open", "ben", document="notes", params=ben)
            # Ada's page renews her token in time, Ben's only when he has been refused with the old one: then
            # the provider does not try again by itself.
            await stock("renew", "ada", params=renewed)
            assert await stock("closes", "ada", count=1) == [4501]
            await stock("synced", "ada")
            assert await stock("closes", "ben", count=2) == [4501, 4401]
            assert not (await stock("state", "ben"))["shouldConnect"]
            await stock("renew", "ben", params=await token("ben"))
            await stock("connect", "ben")
            await stock("insert", "ada", position=0, text="hello")
            await stock("text", "ben", expected="hello")
            await stock("insert", "ben", position=5, text=" you")
            await stock("text", "cat", expected="hello you")
            await stock("presence", "ben", field="user", value={"name": "Eve", "id": "eve"})
            others = await stock("others", "cat", field="user", count=2)
            assert sorted(user["id"] for user in others) == ["ada", "ben"]
            assert sorted(user["name"] for user in others) == ["ada", "ben"]
            assert await stock("closes", "cat") == []
            assert await stock("closes", "ada") == [4501]
        log = server.log
    assert "ben" in log
    for text in given:
        for part in text.split(".")[1:]:
            assert part not in log
