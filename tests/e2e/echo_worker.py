"""A worker process for gateway tests: `python echo_worker.py SOCKET RELEASE MODE`.

It answers the release of the tests' `NUMERIC` signature (sum = a + b) with real frames. MODE is
`sum`, or `crash` (every batch fails).
"""

import contextlib
import json
import socket
import struct
import sys
import threading

from trimtab.worker.frames import Decoder, Frame, Kind, Tensor, encode, encode_tensors, tensors_of


def answer(frame: Frame, mode: str) -> bytes:
    """RESULT or FAILURE for a PREDICT."""
    number, rows = frame.header["id"], frame.header["rows"]
    if mode == "crash":
        failure = {"id": number, "stage": "model", "message": "no"}
        return b"".join(encode(Kind.FAILURE, failure))
    (inputs,) = tensors_of(frame, "inputs")
    values = struct.unpack(f"<{rows * 2}d", inputs[0].data)
    sums = struct.pack(f"<{rows}d", *(values[i] + values[i + 1] for i in range(0, rows * 2, 2)))
    header = {"id": number, "rows": rows, "features_seconds": 0.0, "model_seconds": 0.0}
    outputs = [Tensor("sum", "FP64", (rows,), sums)]
    return b"".join(encode_tensors(Kind.RESULT, header, {"outputs": outputs}))


def serve(connection: socket.socket, release: str, mode: str) -> None:
    """One connection until it ends."""
    hello = {"protocol": 1, "release": release, "name": "m", "worker": "w", "pid": 0}
    decoder = Decoder()
    with contextlib.suppress(ConnectionError), connection:
        connection.sendall(b"".join(encode(Kind.HELLO, hello)))
        while data := connection.recv(1 << 18):
            for frame in decoder.feed(data):
                connection.sendall(answer(frame, mode))


def main(path: str, release: str, mode: str) -> None:
    """Accept for ever."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print(json.dumps({"listening": path}), flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection, release, mode), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
