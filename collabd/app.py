"""The composition root: the one module that knows all parts and puts them together."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute

from collabd import retention
from collabd.auth.base import Authorize, allow_everyone
from collabd.auth.elsewhere import AskElsewhere
from collabd.auth.gate import Gate
from collabd.auth.oidc import Provider, ProviderSettings
from collabd.auth.rules import Rules
from collabd.auth.shares import Shares
from collabd.auth.tokens import stored_secret
from collabd.bridge.base import Bridge
from collabd.bridging import BridgeFigures, check_url, open_bridge
from collabd.compaction import Compactor
from collabd.control import socket_of, taking_commands
from collabd.errors import MalformedInput, SettingsError
from collabd.persistence.base import Store
from collabd.persistence.memory import MemoryStore
from collabd.persistence.sqlite import SQLiteStore
from collabd.retention import Keeper
from collabd.rooms.cluster import Cluster
from collabd.rooms.registry import Registry
from collabd.rooms.room import RoomLimits
from collabd.settings import Settings, without_password
from collabd.tally import Reporter
from collabd.telemetry import Telemetry
from collabd.web.compression import Compression
from collabd.web.credentials import credential_routes
from collabd.web.documents import Documents
from collabd.web.history import history_routes
from collabd.web.identity import Cookies
from collabd.web.openapi import openapi_route
from collabd.web.ops import ops_routes
from collabd.web.pages import page_routes
from collabd.web.rights import LiveRights
from collabd.web.shares import share_route
from collabd.web.signin import SignIn, sign_in_routes
from collabd.web.socket import DocumentSocket
from collabd.worker import Worker

SQLITE: Final = "sqlite:///"
MEMORY: Final = "memory:"
POSTGRES: Final = ("postgresql://", "postgres://")


class Service:
    """What serves documents, apart from how they are reached: store, rooms, figures.

    Args:
        store: where documents are kept; made from the settings if left out.
        authorize: decides who may do what, instead of what the settings say.
        bridge: leads to the other processes that use the store, instead of what the settings name.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store | None = None,
        authorize: Authorize | None = None,
        bridge: Bridge | None = None,
    ) -> None:
        self.settings = settings
        self.telemetry = Telemetry()
        self.store = store or open_store(settings.store)
        self.checker = Worker()
        """For what clients send."""
        self.converter = Worker()
        """For whole documents: read, shown, made from content."""
        self.compacter = Worker(awaited=False)
        """For what nobody waits for."""
        policy = retention.parse(settings.history)
        self.compactor = Compactor(self.store, run=self.compacter.run, policy=policy)
        self.keeper = Keeper(self.store, self.compactor.sweep, policy, author_days=settings.author_days)
        if bridge is None and settings.redis:
            _check_redis(settings, self.store)
        self._bridge = bridge
        self.cluster = Cluster() if bridge or settings.redis else None
        """The other servers of the store, if a bridge leads to them."""
        self.registry = Registry(
            self.store,
            cluster=self.cluster,
            limits=RoomLimits(
                backlog_bytes=settings.room_backlog_bytes,
                snapshot_updates=settings.snapshot_after_updates,
                queue_bytes=settings.peer_queue_bytes,
            ),
            observer=self.telemetry,
            compact=self.compactor.soon,
            idle_seconds=settings.room_idle_seconds,
            idle_bytes=settings.room_idle_bytes,
            keepalive_seconds=settings.keepalive_seconds,
            checker=self.checker,
            reader=self.converter,
        )

        self._asks: AskElsewhere | None = None
        shares: Shares | None = None
        if authorize is None and settings.authorize_url:
            self._asks = AskElsewhere(settings.authorize_url, settings.authorize_secret)
            authorize = self._asks.authorize
        elif authorize is None and settings.rules:
            rules = _rules(settings)
            authorize = rules.authorize
            if settings.sharing != "off":
                links = settings.sharing == "links"
                shares = Shares(self.store, rules.may_create, self.store.find, links=links)
        self.gate = Gate(
            self.store,
            authorize or allow_everyone,
            _providers(settings),
            shares=shares,
            session_seconds=settings.session_hours * 3600,
        )
        self.rights = LiveRights(self.gate, time.monotonic)
        self.takes_commands = False
        """Whether a running service listens on the socket beside its file. To be set before it runs."""
        self.tidies = True
        """Whether a running service sees to it that nothing is kept longer than it should be."""
        self.reporter: Reporter | None = None
        """For one process of several: knows the figures of all. To be set before it runs."""

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the store, and come to rest. Nothing is done but what is asked for."""
        await self.store.start()
        secrets = [text.strip().encode() for text in self.settings.token_secret.split(",") if text.strip()]
        await self.gate.open(secrets)
        cluster = self.cluster
        if cluster is not None:
            # Whoever can read the store may as well be told what is new in it.
            bridge = self._bridge or open_bridge(self.settings.redis, await stored_secret(self.store))
            self.telemetry.registry.register(BridgeFigures(bridge, lambda: cluster.nodes))
            self.gate.on_change(cluster.tell_changed)
            await cluster.start(bridge, self.registry, self.rights.look_now)
        ticking = asyncio.create_task(self.registry.run())
        try:
            yield
        finally:
            await self.drain()
            ticking.cancel()
            await asyncio.wait([ticking])
            if cluster is not None:
                await cluster.close()
            await self.compactor.close()
            for worker in (self.checker, self.converter, self.compacter):
                await worker.close()
            if self._asks is not None:
                await self._asks.close()
            await self.store.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the store, serve, and come to rest."""
        async with self.opened(), self._listening(), self._reporting():
            tasks = [asyncio.create_task(self.rights.run())]
            if self.tidies:
                tasks.append(asyncio.create_task(self.keeper.run()))
            try:
                yield
            finally:
                await self.drain()
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    def _listening(self) -> contextlib.AbstractAsyncContextManager[None]:
        path = sqlite_file(self.settings.store)
        if not self.takes_commands or path is None:
            return contextlib.nullcontext()
        return taking_commands(socket_of(path), self)

    def _reporting(self) -> contextlib.AbstractAsyncContextManager[None]:
        return contextlib.nullcontext() if self.reporter is None else self.reporter.running()

    async def figures(self) -> bytes:
        """What is counted, in Prometheus' text format.

        Raises:
            OSError: this is one process of several, and the one that adds them up does not answer.
        """
        return self.telemetry.exposition() if self.reporter is None else await self.reporter.exposition()

    async def drain(self) -> bool:
        """Commit what was received and close everybody with "come back". Calling it again does nothing.

        Returns:
            False if not everything could be committed in time.
        """
        if self.registry.is_draining:
            return True
        return await self.registry.drain(self.settings.shutdown_seconds * 0.7)


def _check_redis(settings: Settings, store: Store) -> None:
    if not store.is_shared:
        raise SettingsError(f"redis takes a store that servers can share: {POSTGRES[0]}…")
    check_url(settings.redis)


def _rules(settings: Settings) -> Rules:
    try:
        return Rules(settings.rules)
    except MalformedInput as error:
        raise SettingsError(f"rules: {error}") from error


def _providers(settings: Settings) -> dict[str, Provider]:
    try:
        parsed = [ProviderSettings.parse(table) for table in settings.providers]
    except MalformedInput as error:
        raise SettingsError(f"providers: {error}") from error
    providers = {each.name: Provider(each) for each in parsed}
    if len(providers) < len(parsed):
        raise SettingsError("providers: two have the same name")
    return providers


def sqlite_file(url: str) -> Path | None:
    """The file that a setting of a store names; None for a store of another kind."""
    if url.startswith(SQLITE) and len(url) > len(SQLITE):
        return Path(url.removeprefix(SQLITE))
    return None


def is_shared(url: str) -> bool:
    """Whether several processes can open the store that a setting names."""
    return url.startswith(POSTGRES)


def open_store(url: str, *, serves: bool = False) -> Store:
    """The store that a setting names.

    Args:
        serves: whether it is for a server rather than for a command.

    Raises:
        SettingsError: there is no such kind of store.
    """
    path = sqlite_file(url)
    if path is not None:
        return SQLiteStore(path, serves=serves)
    if url == MEMORY:
        return MemoryStore()
    if url.startswith(POSTGRES):
        return _open_postgres(url)
    raise SettingsError(
        f"store must be {SQLITE} and the path of a file, {POSTGRES[0]} and a database, or {MEMORY}, "
        f"not {without_password(url)!r}"
    )


def _open_postgres(url: str) -> Store:
    try:
        from collabd.persistence.postgres import PostgresStore
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise SettingsError("PostgreSQL needs a package: pip install 'collabd[postgres]'") from error
    return PostgresStore(url)


def create_app(
    settings: Settings | None = None,
    *,
    store: Store | None = None,
    authorize: Authorize | None = None,
    bridge: Bridge | None = None,
) -> Starlette:
    """An ASGI application that serves documents, to be run or mounted; its lifespan must run.

    Args:
        settings: those of ``host`` and ``port`` do not matter here.
        store: where documents are kept, instead of what the settings name.
        authorize: decides what each principal may do with each document, instead of what the settings say.
        bridge: leads to the other processes that use the store, instead of what the settings name.
    """
    settings = settings or Settings()
    service = Service(settings, store or open_store(settings.store, serves=True), authorize, bridge)
    cluster = service.cluster
    cookies = Cookies(settings.public_url, settings.origins)
    socket = DocumentSocket(
        service.registry,
        service.gate,
        service.rights,
        cookies,
        service.telemetry,
        queue_bytes=settings.peer_queue_bytes,
        max_message=settings.max_message_bytes,
        allowed_origins=settings.origins,
    )

    documents = Documents(
        service.registry,
        service.store,
        service.gate,
        cookies,
        service.telemetry,
        service.checker,
        service.converter,
        max_body_bytes=settings.max_body_bytes,
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = Starlette(
        routes=[
            WebSocketRoute("/ws/{document:path}", socket),
            *documents.routes(),
            *history_routes(documents),
            *credential_routes(documents, service.rights.look_now),
            share_route(documents, service.rights.look_now),
            *sign_in_routes(
                SignIn(
                    documents,
                    service.store,
                    cookies,
                    service.rights.look_now,
                    settings.sign_ins_per_address,
                )
            ),
            *ops_routes(
                ping=service.store.ping,
                draining=lambda: service.registry.is_draining,
                bridge=None if cluster is None else lambda: cluster.is_up,
                metrics=service.figures,
            ),
            openapi_route(),
            *page_routes(),
        ],
        middleware=[Middleware(Compression)],
        lifespan=lifespan,
    )
    app.state.service = service
    return app
