"""Helpers for the tests: real servers, real browsers, real Node."""

from tests.support.server import RunningServer, running_server

__all__ = ["RunningServer", "running_server"]
