"""The commands of ``collabd`` other than ``serve``: what they ask for, and how they show what comes back."""

from .running import run

__all__ = ["run"]
