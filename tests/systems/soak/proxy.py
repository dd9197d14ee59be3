"""A TCP proxy in front of a server: it can be slow, and it can drop every connection at once, as a network does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.systems.servers.process import LOOPBACK

_CHUNK = 1 << 16


@dataclass
class Proxy:
    """A running proxy. port -- where it listens; delay -- seconds by which every piece from a client is held back."""

    target: int
    delay: float = 0.0
    port: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop, repr=False)
    _open: set[asyncio.StreamWriter] = field(default_factory=set, repr=False)

    def drop(self) -> int:
        """Cut every connection, in the middle of whatever it carries; return how many clients there were."""
        return asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result(10)

    async def _drop(self) -> int:
        found = list(self._open)
        for each in found:
            each.transport.abort()
        return len(found) // 2

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, down = await asyncio.open_connection(LOOPBACK, self.target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, down}
        self._open |= both
        try:
            await asyncio.gather(self._pump(reader, down, delayed=True), self._pump(upstream, writer, delayed=False))
        finally:
            self._open -= both
            for each in both:
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, delayed: bool) -> None:
        try:
            while data := await reader.read(_CHUNK):
                if delayed and self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            # Reset on one side, it must not stay open on the other.
            writer.transport.abort()

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._meet, LOOPBACK, 0)
        self.port = server.sockets[0].getsockname()[1]
        return server


@contextlib.contextmanager
def running_proxy(target: int, *, delay: float = 0.0) -> Iterator[Proxy]:
    """Yield a proxy in front of a local port, in a thread of its own."""
    proxy = Proxy(target, delay)
    loop = proxy._loop
    thread = threading.Thread(target=loop.run_forever, name="proxy", daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(proxy._listen(), loop).result(10)
    try:
        yield proxy
    finally:

        async def end() -> None:
            server.close()
            await proxy._drop()
            # Whoever was cut off ends by itself: a cancelled stream would complain of it.
            await asyncio.gather(*(each for each in asyncio.all_tasks() if each is not asyncio.current_task()), return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
