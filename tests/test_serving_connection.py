"""One connection's deadlines, on a pair of sockets: nobody can hold one open for nothing."""

import asyncio
import socket

import pytest
import uvicorn
from uvicorn.server import ServerState

from serving.connection import protocol_of
from serving.settings import Settings

LARGE = 2_000_000
TOLD = []
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def app(scope, _receive, send):
    body = b"x" * (LARGE if scope["path"] == "/large" else 3)
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


def talk(client, **settings):
    """Run a client, a coroutine function of a reader and a writer, on a guarded connection."""
    chosen = Settings(**{"head_seconds": 0.3, "write_seconds": 0.3, **settings})
    config = uvicorn.Config(
        app, http=protocol_of(chosen, TOLD.append), log_config=None, timeout_keep_alive=60
    )
    config.load()
    state = ServerState()

    async def run():
        mine, theirs = socket.socketpair()
        for end in (mine, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            end.settimeout(0)
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(
            lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),
            mine,
        )
        reader, writer = await asyncio.open_connection(sock=theirs, limit=1024)
        try:
            async with asyncio.timeout(20):
                return await client(reader, writer)
        finally:
            writer.close()

    return asyncio.run(run())


def test_a_client_that_does_not_read_is_cut_off():
    async def client(reader, writer):
        writer.write(HEAD.replace(b"/ ", b"/large ", 1) + b"\r\n")
        await asyncio.sleep(0.8)
        return len(await reader.read(-1))

    assert talk(client) < LARGE


def test_a_client_that_reads_slowly_but_does_gets_it_all():
    async def client(reader, writer):
        writer.write(HEAD.replace(b"/ ", b"/large ", 1) + b"Connection: close\r\n\r\n")
        await asyncio.sleep(0.1)
        return await reader.read(-1)

    assert talk(client).endswith(b"\r\n\r\n" + b"x" * LARGE)


@pytest.mark.parametrize("drip", [b"", b"a"])
def test_a_head_without_end_is_a_408_however_it_drips(drip):
    async def client(reader, writer):
        async def go_on():
            while True:
                await asyncio.sleep(0.05)
                writer.write(drip)

        writer.write(HEAD + b"X-A: ")
        dripping = asyncio.create_task(go_on())
        try:
            return await reader.readuntil(b"}")
        except ConnectionError:
            # What it sends after the end may reset the connection before the answer is read.
            return b"reset" if drip else b""
        finally:
            dripping.cancel()

    answer = talk(client)
    assert answer == b"reset" or answer.startswith(b"HTTP/1.1 408 ")
    assert answer == b"reset" or b"application/problem+json" in answer


def test_the_next_head_on_a_connection_has_a_deadline_too():
    async def client(reader, writer):
        writer.write(HEAD + b"\r\n")
        first = await reader.readuntil(b"xxx")
        writer.write(HEAD)
        return first, await reader.read(-1)

    first, second = talk(client)
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 408 ")
    assert b"x-content-type-options: nosniff" in second
    assert TOLD[-1] == 408


def test_who_connects_and_says_nothing_is_let_go_without_a_word():
    async def client(reader, _writer):
        return await reader.read(-1)

    assert talk(client) == b""


def test_what_is_left_of_a_body_that_nobody_wants_has_a_deadline():
    async def client(reader, writer):
        writer.write(HEAD + b"Content-Length: 1000000\r\n\r\n")
        first = await reader.readuntil(b"xxx")
        for _ in range(30):
            writer.write(b"a")
            await asyncio.sleep(0.05)
            if reader.at_eof():
                break
        return first, await reader.read(-1)

    first, rest = talk(client)
    assert first.startswith(b"HTTP/1.1 200 ")
    assert rest == b""
