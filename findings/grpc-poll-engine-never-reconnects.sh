#!/bin/sh
# In some versions a gRPC channel whose server was away is never connected again by calls: with the poll engine, mostly.
#
# Tool      grpcio 1.72.1 of PyPI (FreeBSD's package is of that version), with GRPC_POLL_STRATEGY=poll and epoll1; and
#           1.74.0 beside it.
# Expected  gRPC's "Connection Backoff Protocol": a channel in TRANSIENT_FAILURE tries again after a pause (0.2 s to
#           1 s here), so that a call without wait_for_ready, when repeated, reaches a server that is back.
# Seen      A server is killed, three calls half a second apart find nobody, and it is started again at its address.
#           - 1.72.1: repeated calls have UNAVAILABLE, "failed to connect to all addresses", as long as one asks: 10 s
#             and 20 calls here, half a minute and 60 calls by hand. With poll so of grpc and of grpc.aio; with epoll1,
#             the usual engine of Linux, so of grpc, while grpc.aio reaches it.
#           - There and then a new channel with subchannels of its own connects at once, and so does a call on the old
#             one with wait_for_ready. A new channel without them may share the old one's subchannel and its failure (by
#             hand).
#           - 1.74.0: the old channel reaches it with either engine.
#           A unix socket is as TCP (by hand). It was reported to us that with poll 1.68.1 and 1.73.0 are so too, and
#           1.71.2, 1.73.1 and those up to 1.85.3 are not; of these only 1.85.3 was tried again, by hand.
# So        On FreeBSD, where poll is the only engine, a client of a server that was restarted is cut off until it is
#           restarted too. Open a new channel with grpc.use_local_subchannel_pool after UNAVAILABLE; or call with
#           wait_for_ready and a deadline, which says no more than DEADLINE_EXCEEDED, and late, where a server is away
#           or a certificate is wrong.
# In jaild  jaild/adapters/peers.py, `Connection`, and jaild/cli/client/connection.py, `Api.reconnect`;
#           tests/e2e/test_poll_engine.py.
# Run       as anybody, with Python 3.11 or newer. Status 0: as described; 1: no longer so; 2: it cannot be tried here.
set -eu
folder=$(mktemp -d /tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
for version in 1.72.1 1.74.0; do
    wheels="grpcio==$version typing-extensions==4.15.0"
    { python3 -m venv "$folder/$version" && "$folder/$version/bin/pip" -qq install --only-binary :all: $wheels; } || {
        echo "it cannot be tried here: no $wheels" >&2
        exit 2
    }
done

cat >"$folder/experiment.py" <<'END_OF_PYTHON'
import asyncio
import subprocess
import sys
import time

import grpc

SERVER = """
import sys
from concurrent import futures
import grpc
server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
methods = {"hello": grpc.unary_unary_rpc_method_handler(lambda request, context: b"hello")}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tried", methods),))
print(server.add_insecure_port(sys.argv[1]), flush=True)
server.start()
server.wait_for_termination()
"""
PAUSES = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 1000)]
SECONDS = 10  # that a server which is back is asked


class Server:
    def start(self, address):
        command = [sys.executable, "-c", SERVER, address]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return int(self.process.stdout.readline())

    def kill(self):
        self.process.kill()
        self.process.wait()


async def sync_call(channel, **how):
    return channel.unary_unary("/tried/hello")(b"", timeout=5, **how)


async def aio_call(channel, **how):
    return await channel.unary_unary("/tried/hello")(b"", timeout=5, **how)


async def told(call, channel, **how):
    try:
        return (await call(channel, **how)).decode()
    except grpc.RpcError as error:
        return error.code().name


async def tried(server, call, open_channel):
    address = f"127.0.0.1:{server.start('127.0.0.1:0')}"
    channel = open_channel(address, options=PAUSES)
    assert await told(call, channel) == "hello"
    server.kill()
    away = []
    for _ in range(3):
        await asyncio.sleep(0.5)
        away.append(await told(call, channel))
    print("  away:", *away)
    server.start(address)
    end = time.monotonic() + SECONDS
    while (answer := await told(call, channel)) != "hello" and time.monotonic() < end:
        await asyncio.sleep(0.5)
    print("  back:", answer)
    new = open_channel(address, options=[*PAUSES, ("grpc.use_local_subchannel_pool", 1)])
    print("  a new channel:", await told(call, new))
    print("  the old one with wait_for_ready:", await told(call, channel, wait_for_ready=True))
    server.kill()
    for each in (channel, new):
        if open_channel is grpc.insecure_channel:
            each.close()
        else:
            await each.close()


async def main():
    server = Server()
    try:
        for name, call, open_channel in (
            ("grpc", sync_call, grpc.insecure_channel),
            ("grpc.aio", aio_call, grpc.aio.insecure_channel),
        ):
            print(" ", name)
            await tried(server, call, open_channel)
    finally:
        server.kill()


asyncio.run(main())
END_OF_PYTHON

for version in 1.72.1 1.74.0; do
    for engine in poll epoll1; do
        echo "$version $engine"
        for way in grpc grpc.aio; do
            back=hello
            case "$version $engine $way" in "1.72.1 poll "* | "1.72.1 epoll1 grpc") back=UNAVAILABLE ;; esac
            echo "  $way"
            echo "  away: UNAVAILABLE UNAVAILABLE UNAVAILABLE"
            echo "  back: $back"
            echo "  a new channel: hello"
            echo "  the old one with wait_for_ready: hello"
        done
    done
done >"$folder/described"
for version in 1.72.1 1.74.0; do
    for engine in poll epoll1; do
        echo "$("$folder/$version/bin/python" -c 'import grpc; print(grpc.__version__)') $engine"
        GRPC_POLL_STRATEGY=$engine timeout -s KILL 120 "$folder/$version/bin/python" "$folder/experiment.py" \
            2>"$folder/log" || echo "status $?"
    done
done >"$folder/seen"
cat "$folder/seen"
diff -u "$folder/described" "$folder/seen" || { echo "no longer as described" && exit 1; }
echo "as described"
