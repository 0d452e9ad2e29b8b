"""Rights that the embedder's own service decides, asked over HTTP.

    POST https://app.example/collabd
    Authorization: Bearer the-secret-in-authorize_secret
    {"principal": {"id": "…", "name": "…", "groups": […], "claims": {…}}, "document": "notes/1"}

    {"access": "write"}

An answer holds for a few seconds. Without one there is no access: nobody gets in because a service is down.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Final

import httpx2

from collabd.errors import MalformedInput, Overloaded

from .base import Access, Principal

logger = logging.getLogger(__name__)

HOLDS_SECONDS: Final = 2.0
"""How long an answer is used again. Rights must reach open connections within five seconds."""
TIMEOUT_SECONDS: Final = 2.0
MAX_ANSWER: Final = 4096
"""Bytes."""
MAX_REMEMBERED: Final = 10_000
AT_ONCE: Final = 32
"""Questions under way."""


class AskElsewhere:
    """Asks ``url``; :meth:`authorize` is what decides.

    Args:
        secret: what the service knows us by; empty for nothing.
        clock: seconds, on any clock that only goes forward.
    """

    def __init__(
        self,
        url: str,
        secret: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        self._clock = clock
        self._timeout = timeout
        self._client: httpx2.AsyncClient | None = None
        self._answers: dict[tuple[str, str], tuple[float, Access]] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[Access]] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def authorize(self, principal: Principal, document: str) -> Access:
        """What somebody may do with a document.

        Raises:
            Overloaded: the service does not answer, or not as it should. Nobody gets in then; who asks again
                may.
        """
        asked = principal.id, document
        until, access = self._answers.get(asked, (0.0, Access.NONE))
        if self._clock() < until:
            return access
        task = self._asking.get(asked)
        if task is None:
            task = self._asking[asked] = asyncio.create_task(self._ask(principal, document))
            task.add_done_callback(lambda _: self._asking.pop(asked, None))
        return await asyncio.shield(task)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ask(self, principal: Principal, document: str) -> Access:
        question = {
            "principal": {
                "id": principal.id,
                "name": principal.name,
                "groups": sorted(principal.groups),
                "claims": dict(principal.claims),
            },
            "document": document,
        }
        try:
            async with self._turn, asyncio.timeout(self._timeout):
                access = await self._answer(question)
        except Exception as error:  # whatever it is: nobody gets in by it, and it is no fault of theirs
            logger.error("rights cannot be asked for: %r", error)
            raise Overloaded("who may do what cannot be found out at the moment; come back") from error
        if len(self._answers) >= MAX_REMEMBERED:
            self._answers.clear()
        self._answers[principal.id, document] = self._clock() + HOLDS_SECONDS, access
        return access

    async def _answer(self, question: object) -> Access:
        if self._client is None:
            self._client = httpx2.AsyncClient(timeout=self._timeout, headers=self._headers)
        async with self._client.stream("POST", self._url, json=question) as response:
            response.raise_for_status()
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_ANSWER:
                    raise MalformedInput("the answer is too long")
        answer = json.loads(body)
        return Access.named(answer.get("access") if isinstance(answer, dict) else None)
