"""A collaboration server for Yjs documents.

To serve or mount it yourself::

    from collabd import Settings, create_app

    app = create_app(Settings(store="sqlite:///documents.db"))
"""

from typing import TYPE_CHECKING, Any

from collabd.settings import Settings
from collabd.version import __version__

if TYPE_CHECKING:
    from collabd.app import create_app

__all__ = ["Settings", "__version__", "create_app"]


def __getattr__(name: str) -> Any:
    # Imported when asked for, because every import of a part of collabd comes by here first.
    if name == "create_app":
        from collabd.app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
