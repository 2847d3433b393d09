#!/bin/sh
# A handler of grpc.aio that ends by a CancelledError of its own answers nobody, and its call holds up the server's stop.
#
# Tool      grpcio 1.85.3 of PyPI.
# Expected  The caller is told at once, as for any other exception (status UNKNOWN); a call whose handler has ended is
#           over, so that `server.stop(grace)`, which waits for the calls in progress, does not wait for it.
# Seen      Handlers that raise asyncio.CancelledError, or await a task that somebody cancelled:
#           - the caller is told nothing and has its own deadline (DEADLINE_EXCEEDED), or none; of a stream it has what
#             was sent before, and then silence;
#           - the call's done callback comes at once, and says that nothing was cancelled;
#           - `server.stop(3)` waits all of the 3 s for it, then the caller has UNAVAILABLE, "Cancelling all calls".
#           ValueError, and the TimeoutError of asyncio.timeout(): the caller is told at once, and stop takes no time.
#           The silence was reported of 1.45 (grpc/grpc#29248, closed).
# So        A server that cancels the work behind its calls in order to stop soon, stops as late as it can. A handler
#           has to turn the CancelledError into an answer (context.abort) unless the caller has hung up.
# In jaild  jaild/rpc/interceptor.py, `_refuse_if_ending`; tests/unit/rpc/test_server.py,
#           test_watches_end_at_once_with_the_daemon. Between hosts in one process, tests/fakes/edge.py does as seen here.
# Run       as anybody, with Python 3.11 or newer. Status 0: as described; 1: no longer so; 2: it cannot be tried here.
set -eu
wheels="grpcio==1.85.3 typing-extensions==4.15.0"
folder=$(mktemp -d /tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
{ python3 -m venv "$folder/venv" && "$folder/venv/bin/pip" -qq install --only-binary :all: $wheels; } || {
    echo "it cannot be tried here: no $wheels" >&2
    exit 2
}

cat >"$folder/experiment.py" <<'END'
import asyncio
import logging
import time

import grpc
from grpc import aio

logging.disable()  # the traceback of ValueError
DEADLINE, GRACE = 4, 3  # seconds


async def raises_cancelled(request, context):
    context.add_done_callback(lambda done: print("  done callback: cancelled is", done.cancelled()))
    raise asyncio.CancelledError


async def awaits_cancelled_task(request, context):
    task = asyncio.ensure_future(asyncio.sleep(60))
    task.cancel()
    await task


async def times_out(request, context):
    async with asyncio.timeout(0.1):
        await asyncio.sleep(60)


async def raises_value_error(request, context):
    raise ValueError("a value")


async def streams_then_cancelled(request, context):
    yield b"one message"
    raise asyncio.CancelledError


UNARY = (raises_cancelled, awaits_cancelled_task, times_out, raises_value_error)


async def started():
    methods = {each.__name__: grpc.unary_unary_rpc_method_handler(each) for each in UNARY}
    methods["streams_then_cancelled"] = grpc.unary_stream_rpc_method_handler(streams_then_cancelled)
    server = aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tried", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, aio.insecure_channel(f"127.0.0.1:{port}")


def after(begun, limit):
    return f"after {limit} s" if time.monotonic() - begun > limit - 0.1 else "at once"


async def told(call):
    begun = time.monotonic()
    try:
        if isinstance(call, aio.UnaryStreamCall):
            async for message in call:
                print("  caller: has", message)
        else:
            await call
    except aio.AioRpcError as error:
        print("  caller:", error.code().name, after(begun, DEADLINE))


async def main():
    server, channel = await started()
    for each in UNARY:
        print(each.__name__)
        await told(channel.unary_unary(f"/tried/{each.__name__}")(b"", timeout=DEADLINE))
    print("streams_then_cancelled")
    await told(channel.unary_stream("/tried/streams_then_cancelled")(b"", timeout=DEADLINE))
    await channel.close()
    await server.stop(0)
    for each in (raises_cancelled, raises_value_error):
        server, channel = await started()
        print(each.__name__, "and stop")
        caller = asyncio.ensure_future(channel.unary_unary(f"/tried/{each.__name__}")(b"", timeout=60))
        await asyncio.sleep(1)  # the handler ends in an instant
        begun = time.monotonic()
        await server.stop(GRACE)
        print("  server: stopped", after(begun, GRACE))
        (error,) = await asyncio.gather(caller, return_exceptions=True)
        print("  caller:", error.code().name, error.details())
        await channel.close()


asyncio.run(main())
END
cat >"$folder/described" <<'END'
raises_cancelled
  done callback: cancelled is False
  caller: DEADLINE_EXCEEDED after 4 s
awaits_cancelled_task
  caller: DEADLINE_EXCEEDED after 4 s
times_out
  caller: UNKNOWN at once
raises_value_error
  caller: UNKNOWN at once
streams_then_cancelled
  caller: has b'one message'
  caller: DEADLINE_EXCEEDED after 4 s
raises_cancelled and stop
  done callback: cancelled is False
  server: stopped after 3 s
  caller: UNAVAILABLE Cancelling all calls
raises_value_error and stop
  server: stopped at once
  caller: UNKNOWN Unexpected <class 'ValueError'>: a value
END
timeout -s KILL 120 "$folder/venv/bin/python" "$folder/experiment.py" >"$folder/seen" 2>&1 || echo "status $?" >>"$folder/seen"
echo "grpcio" "$("$folder/venv/bin/python" -c 'import grpc; print(grpc.__version__)')"
cat "$folder/seen"
diff -u "$folder/described" "$folder/seen" || { echo "no longer as described" && exit 1; }
echo "as described"
