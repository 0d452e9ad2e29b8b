"""Documents into files and back, through their rooms, so that whoever edits them sees it."""

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Final

from collabd import formats
from collabd.errors import MalformedInput, UnsupportedFormat
from collabd.history import state_at
from collabd.rooms.names import check_name
from collabd.rooms.peer import author_of

from .base import OPERATOR, Event, Host, convert, every, info_of, result, room_of, row, time_of
from .past import bytes_of, entries_upto, number_of

CHUNK: Final = 192 * 1024
"""Bytes of an export in one event."""


async def documents(host: Host, *, prefix: str = "") -> AsyncIterator[Event]:
    """List documents by name, a row each."""
    count = 0
    async for info in every(host.store, prefix):
        count += 1
        yield row(
            name=info.name,
            id=info.id,
            updates=info.head,
            created_at=time_of(info.created_at),
            updated_at=time_of(info.updated_at),
            quarantine=info.quarantine,
        )
    yield result(count=count)


async def export(
    host: Host, *, name: str, form: str, root: str | None = None, version: int | str | None = None
) -> AsyncIterator[Event]:
    """A document, or a version of it, in a format, in chunks (``data``, base64); see ``formats.render``."""
    if form not in formats.FORMATS:
        raise UnsupportedFormat(f"there is no format {form}; there are: {', '.join(formats.FORMATS)}")
    info = await info_of(host, name)
    title = name.rpartition("/")[2]
    if version is None:
        async with room_of(host, name) as room:
            seq, update = room.head, room.state()
    else:
        seq = await number_of(host, info, version)
        entries = await entries_upto(host, info, seq)
        update = await convert(host, bytes_of(entries), state_at, entries, seq)
    rendered = await convert(host, len(update), formats.render, update, form, root, title)
    for start in range(0, len(rendered.body), CHUNK):
        data = base64.b64encode(rendered.body[start : start + CHUNK]).decode()
        yield {"event": "chunk", "data": data}
    yield result(name=name, format=form, version=seq, bytes=len(rendered.body))


async def import_(host: Host, *, name: str, media_type: str, content: str) -> AsyncIterator[Event]:
    """Make a document of ``content`` (base64), which is one of ``formats.READABLE``."""
    check_name(name)
    try:
        body = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise MalformedInput(f"content is not base64: {error}") from error
    update = await convert(host, len(body), formats.read, body, media_type)
    room = await host.registry.create(name, update, author_of(OPERATOR))
    made = result(name=name, id=room.document_id, version=room.head)
    host.registry.unload(name)
    yield made
