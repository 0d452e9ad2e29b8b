"""What somebody who types sends."""

from collabd.protocol.messages import update_frame
from collabd.protocol.runs import Run, Spot


def stroke(spot: Spot, text: bytes) -> bytes:
    """The message that puts a text at a spot."""
    return update_frame(spot.opening + bytes((len(text),)) + text + b"\0")


def run_of(spot: Spot, *texts: bytes) -> Run:
    """A run of the texts, one behind the other, at a spot, which is moved."""
    run = Run(spot)
    for text in texts:
        assert run.take([stroke(spot, text)])
    return run
