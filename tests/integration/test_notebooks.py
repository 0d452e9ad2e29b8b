"""A notebook goes in as a file, is edited by two people at once, and comes out as a file."""

import json
from typing import Any

import httpx
import nbformat
from jupyter_ydoc import YNotebook
from pycrdt import Doc

from tests.support import RunningServer
from tests.support.bridges import holds
from tests.support.clients import Client
from tests.support.watching import ServerFactory

MEDIA_TYPE = "application/x-ipynb+json"


def made_with_nbformat() -> dict[str, Any]:
    v4 = nbformat.v4
    notebook = v4.new_notebook(  # type: ignore[no-untyped-call]
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        cells=[
            v4.new_markdown_cell("# Title\n\nüñí 👋"),  # type: ignore[no-untyped-call]
            v4.new_code_cell(  # type: ignore[no-untyped-call]
                "print(1)",
                execution_count=3,
                outputs=[
                    v4.new_output("stream", name="stdout", text="1\n"),  # type: ignore[no-untyped-call]
                    v4.new_output(  # type: ignore[no-untyped-call]
                        "execute_result",
                        data={"text/plain": "1", "application/json": {"n": 1}},
                        execution_count=3,
                    ),
                ],
            ),
        ],
    )
    written: dict[str, Any] = json.loads(nbformat.writes(notebook))  # type: ignore[no-untyped-call]
    return written


def without_line_lists(notebook: dict[str, Any]) -> Any:
    """The notebook with every text in one piece: files may hold texts as lists of lines."""
    read = nbformat.reads(json.dumps(notebook), as_version=4)  # type: ignore[no-untyped-call]
    return json.loads(json.dumps(read))


async def exported(running: RunningServer) -> Any:
    async with httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30) as http:
        answer = await http.get("/api/v1/documents/lab.ipynb?format=ipynb")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == MEDIA_TYPE
        nbformat.validate(answer.json())
        return answer.json()


async def test_a_notebook_round_trips_through_put_two_editors_and_export(server: ServerFactory) -> None:
    running = server()
    original = made_with_nbformat()
    async with httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30) as http:
        body, headers = json.dumps(original), {"Content-Type": MEDIA_TYPE}
        created = await http.put("/api/v1/documents/lab.ipynb", content=body, headers=headers)
        assert created.status_code == 201, created.text
        again = await http.put("/api/v1/documents/lab.ipynb", content=body, headers=headers)
        assert again.json()["code"] == "exists"
    assert without_line_lists(await exported(running)) == without_line_lists(original)

    ada_doc: Doc[Any] = Doc()
    ben_doc: Doc[Any] = Doc()
    ada_notebook, ben_notebook = YNotebook(ada_doc), YNotebook(ben_doc)
    url = running.websocket_url("lab.ipynb")
    async with Client(url, doc=ada_doc, saves=True) as ada, Client(url, doc=ben_doc, saves=True) as ben:
        await ada.synced()
        await ben.synced()
        for step in range(20):
            with ada.editing():
                type_into(ada_notebook, 0, f"a{step} ")
            with ben.editing():
                type_into(ben_notebook, 1, f"\nprint('b{step}')")
        with ben.editing():
            cell = {"cell_type": "code", "source": "2 + 2", "metadata": {}, "outputs": []}
            ben_notebook.append_cell({**cell, "execution_count": None})
        await ada.saved_all()
        await ben.saved_all()
        await holds(lambda: ada_notebook.get() == ben_notebook.get() and len(ada_notebook.ycells) == 3)
    result = without_line_lists(await exported(running))
    first, second, third = result["cells"]
    assert first["source"] == original_source(original, 0) + "".join(f"a{step} " for step in range(20))
    assert second["source"] == original_source(original, 1) + "".join(
        f"\nprint('b{step}')" for step in range(20)
    )
    assert second["outputs"] == without_line_lists(original)["cells"][1]["outputs"]
    assert third["source"] == "2 + 2"
    assert result["metadata"] == without_line_lists(original)["metadata"]


def type_into(notebook: Any, cell: int, text: str) -> None:
    source = notebook.ycells[cell]["source"]
    source += text


def original_source(notebook: dict[str, Any], cell: int) -> str:
    source: str = without_line_lists(notebook)["cells"][cell]["source"]
    return source
