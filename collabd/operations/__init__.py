"""What an operator does to documents and stores.

Each operation is an asynchronous generator over a running service; what goes in and what comes out is JSON,
so that it runs in the process of a command as well as in that of a server, which a command asks through its
socket.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from collabd.errors import MalformedInput

from . import care, contents, credentials, past
from .base import Event, Host, Operation, OperationFailed, check_arguments, failure, progress, result, row
from .migration import migrate

__all__ = ["Event", "Host", "OperationFailed", "failure", "migrate", "perform", "progress", "result", "row"]

OPERATIONS: Final[dict[str, Operation]] = {
    "check": care.check,
    "compact": care.compact,
    "create-key": credentials.create_key,
    "documents": contents.documents,
    "erase-authors": care.erase_authors,
    "erase-content": care.erase_content,
    "export": contents.export,
    "import": contents.import_,
    "keys": credentials.keys,
    "mint-token": credentials.mint_token,
    "name-version": past.name_version,
    "repair": care.repair,
    "restore": past.restore,
    "revoke-key": credentials.revoke_key,
    "versions": past.versions,
}


def perform(host: Host, operation: str, arguments: Mapping[str, Any]) -> AsyncIterator[Event]:
    """Begin an operation.

    Raises:
        MalformedInput: there is none of this name, or it is not called so.
    """
    function = OPERATIONS.get(operation)
    if function is None:
        raise MalformedInput(f"there is no operation {operation!r:.50}")
    check_arguments(function, arguments)
    return function(host, **arguments)
