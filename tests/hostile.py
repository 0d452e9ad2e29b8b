"""Bytes that crash, hang, bloat or silently corrupt pycrdt or browsers when they are let through.

Each was seen to do so against pycrdt 0.14.13 or a stock Yjs client. All must be refused: as bare bytes by the
checks of ``collabd.protocol``, as frames by a server, which must go on serving everyone else.
"""

from collabd.protocol import wire
from collabd.protocol.messages import PermissionDenied as _PermissionDenied
from collabd.protocol.messages import (
    awareness_frame,
    encode,
    step_1_frame,
    step_2_frame,
    update_frame,
)

_ONE_STRUCT = bytes.fromhex("01010100")
"""One client's one struct: client 1, clock 0."""

_ROOT = bytes.fromhex("010174")
"""The parent is the root ``t``."""

_ANY = bytes.fromhex("010105000801017401")
"""Client 5's item of one ``Any`` in the root ``t``."""


def _item(info: int, content: bytes) -> bytes:
    return _ONE_STRUCT + bytes([info]) + _ROOT + content + b"\0"


def nested_types(depth: int, client: int = 1) -> bytes:
    """An update with ``depth`` arrays, each but the first in the one before it."""
    structs = [b"\7" + _ROOT + b"\0"]
    structs += [b"\7\0" + wire.uint(client) + wire.uint(clock) + b"\0" for clock in range(depth - 1)]
    return b"\1" + wire.uint(depth) + wire.uint(client) + b"\0" + b"".join(structs) + b"\0"


UPDATES: dict[str, bytes] = {
    "empty": b"",
    "any nested 30,000 deep: overflows the stack": _ANY + b"\x75\x01" * 30_000 + b"\x7e\0",
    "objects that announce millions of keys: 1 GB": _ANY + bytes.fromhex("76808ece1c016b") * 8,
    "array that announces more than it holds": _ANY + bytes.fromhex("75ffffff7f7e00"),
    "stretch of length zero: lost on reload": bytes.fromhex("01010700000000"),
    "no structs for a client: panics": bytes.fromhex("0100070000"),
    "client id of 2**63: breaks browsers": b"\1\1" + b"\xff" * 9 + bytes.fromhex("0100040101740161") + b"\0",
    "client id of 2**53": b"\1\1" + wire.uint(2**53) + bytes.fromhex("000401017401610000"),
    "clock beyond 31 bits": b"\1\1\1" + wire.uint(2**31) + bytes.fromhex("0401017401610000"),
    "clock reaches 31 bits within the update": b"\1\1\1" + wire.uint(2**31 - 2) + b"\0\2\0",
    "stretch of 2**31": b"\1\1\1\0\0" + wire.uint(2**31) + b"\0",
    "client twice": b"\2" + _item(4, b"\1a")[1:-1] + _item(4, b"\1a")[1:],
    "more clients than bytes": bytes.fromhex("ffffff7f"),
    "more structs than bytes": bytes.fromhex("01ffffff7f0100"),
    "more deleted ranges than bytes": bytes.fromhex("000101ffffff7f"),
    "integer that never ends": b"\xff" * 200_000,
    "bytes left over": _item(4, b"\1a") + b"\0",
    "cut short": _item(4, b"\1a")[:-3],
    "text that is not UTF-8": _item(4, b"\1\xff"),
    "text with half a surrogate pair": _item(4, b"\3\xed\xa0\x80"),
    "text longer than the update": _item(4, b"\x7fa"),
    "empty text": _item(4, b"\0"),
    "empty list of values": _item(8, b"\0"),
    "empty stretch of deleted content": _item(1, b"\0"),
    "embed that is not JSON": _item(5, b"\1a"),
    "format that is not JSON": _item(6, b"\4bold\3NaN"),
    "JSON nested 1,000 deep": _item(5, wire.octets(b"[" * 1_000 + b"]" * 1_000)),
    "JSON content: pycrdt reads one element more than Yjs": _item(2, b"\1\x011"),
    "XML hook: pycrdt doesn't read its name": _item(7, b"\5\1a"),
    "weak link": _item(7, b"\7\0"),
    "unknown type": _item(7, b"\x0f"),
    "move": _item(11, b"\0\0\0"),
    "unknown content": _item(12, b"\1a"),
    "content with a bit that pycrdt ignores": _item(0x14, b"\1a"),
    "stretch with an origin": bytes.fromhex("010101008002000100"),
    "unknown kind of parent": _ONE_STRUCT + bytes.fromhex("0402017401610000"),
    "struct that follows itself": _ONE_STRUCT + bytes.fromhex("840100016100"),
    "struct that precedes a later one": _ONE_STRUCT + bytes.fromhex("440109016100"),
    "struct that stands in itself": _ONE_STRUCT + bytes.fromhex("0400010001610000"),
    "deleted range of length zero": bytes.fromhex("000101010000"),
    "deleted range beyond 31 bits": b"\0\1\1\1\1" + wire.uint(2**31 - 1),
    "client twice in the delete set": bytes.fromhex("00020101000101010201"),
    "types nested 100,000 deep: deleting them overflows the stack": nested_types(100_000),
}

STATE_VECTORS: dict[str, bytes] = {
    "empty": b"",
    "announces 268 million clients: 518 MB": bytes.fromhex("ffffff7f"),
    "integer that never ends": b"\xff" * 200_000,
    "client twice": bytes.fromhex("0201010102"),
    "clock beyond 31 bits": b"\1\1" + wire.uint(2**31),
    "client id of 2**53": b"\1" + wire.uint(2**53) + b"\1",
    "bytes left over": bytes.fromhex("01010100"),
    "cut short": bytes.fromhex("0101"),
}


def _presence(state: bytes, clock: int = 1, client: int = 1) -> bytes:
    return b"\1" + wire.uint(client) + wire.uint(clock) + wire.octets(state)


AWARENESS: dict[str, bytes] = {
    "empty": b"",
    "200,000 ids": wire.uint(200_000) + b"".join(wire.uint(n) + b"\1\x02{}" for n in range(200_000)),
    "announces more than it holds": bytes.fromhex("ffffff7f"),
    "list for a state": _presence(b"[]"),
    "number for a state": _presence(b"1"),
    "NaN: browsers cannot parse it": _presence(b'{"x":NaN}'),
    "not JSON": _presence(b"{"),
    "not UTF-8": _presence(b'{"x":"\xff"}'),
    "nested 1,000 deep": _presence(b'{"x":' + b"[" * 1_000 + b"]" * 1_000 + b"}"),
    "clock of 2**70: locks its owner out": b"\1\1" + b"\x80" * 10 + b"\1\2{}",
    "clock of 2**32": _presence(b"{}", clock=2**32),
    "client id of 2**53": _presence(b"{}", client=2**53),
    "state of 20 KB": _presence(b'{"x":"' + b"a" * 20_000 + b'"}'),
    "client twice": b"\2" + _presence(b"{}")[1:] * 2,
    "bytes left over": _presence(b"{}") + b"\0",
}

FRAMES: dict[str, bytes] = {
    "no message": b"",
    "unknown message type": b"\x07\0",
    "unknown sync message": b"\0\3\0",
    "unknown auth message": b"\2\1\0",
    "message type that never ends": b"\xff" * 1_000,
    "update cut short": b"\0\2\x7f\0\0",
    "bytes left over": update_frame(b"\0\0") + b"\0",
    "reason that is not UTF-8": b"\2\0\1\xff",
    "permission denied cut short": encode(_PermissionDenied("no"))[:-1],
    **{f"update: {name}": update_frame(data) for name, data in UPDATES.items()},
    **{f"step 2: {name}": step_2_frame(data) for name, data in UPDATES.items()},
    **{f"step 1: {name}": step_1_frame(data) for name, data in STATE_VECTORS.items()},
    **{f"awareness: {name}": awareness_frame(data) for name, data in AWARENESS.items()},
}
"""Whole WebSocket messages of the y-websocket protocol, those made of the bytes above included."""


def _beside_one(count: int) -> bytes:
    structs = [b"\1" + wire.uint(100 + client) + b"\0\x84\1\0\1b" for client in reversed(range(count))]
    return wire.uint(count + 1) + b"".join(structs) + b"\1\1\0\4" + _ROOT + b"\1a\0"


def _one_by_one(count: int) -> bytes:
    structs = [b"\4" + _ROOT + b"\1a"] + [b"\x44\1" + wire.uint(clock) + b"\1a" for clock in range(count - 1)]
    return b"\1" + wire.uint(count) + b"\1\0" + b"".join(structs) + b"\0"


def _under_one_key(count: int) -> bytes:
    return b"\1" + wire.uint(count) + b"\1\0" + (b"\x28" + _ROOT + b"\1k\1\x7e") * count + b"\0"


def _holes(count: int) -> bytes:
    deletes = b"".join(wire.uint(2 * hole) + b"\1" for hole in range(count))
    return b"\1\1\1\0\4" + _ROOT + wire.octets(b"a" * 2 * count) + b"\1\1" + wire.uint(count) + deletes


COSTLY: dict[str, bytes] = {
    "20,000 clients insert at one place": _beside_one(20_000),
    "60,000 characters one by one": _one_by_one(60_000),
    "15,000 values under one key": _under_one_key(15_000),
    "60,000 deletions": _holes(60_000),
}
"""Updates that are valid and must be taken, and keep pycrdt or our checks busy for long."""
