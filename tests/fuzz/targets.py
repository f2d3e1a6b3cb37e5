"""What any bytes are given to, and beginnings of what is worth giving.

A target returns when it took the bytes or refused them as it promises to; anything else that it
raises is a fault of ours.
"""

import asyncio
import contextlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from tests.unit.gateway.frames import HEADERS, START, Speaker, Talk
from tests.unit.gateway.support import NUMERIC, SIGNATURE, request, target, tensor
from tests.unit.gateway.test_mlflow_shapes import CSV, SAME_ROWS
from tritonclient.grpc import service_pb2 as pb

from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.gateway import coding, http2_frames
from trimtab.gateway.asked import asked
from trimtab.gateway.binary import MIXED, binary_outputs, lone_tensor, parse_binary
from trimtab.gateway.coding import decoded
from trimtab.gateway.faults import Fault
from trimtab.gateway.grpc_exchange import Inbox
from trimtab.gateway.grpc_messages import named_version, parse_infer
from trimtab.gateway.grpc_reflection import reflect
from trimtab.gateway.header_blocks import BlockDecoder, BlockError
from trimtab.gateway.heads import heading
from trimtab.gateway.holding import Holding
from trimtab.gateway.http2 import Stream
from trimtab.gateway.http11 import Exchange, HttpServer
from trimtab.gateway.json_inputs import inputs_of_json
from trimtab.gateway.labels import parse_feedback
from trimtab.gateway.mlflow_shapes import parse_csv, parse_invocation, parse_raw, table_of
from trimtab.gateway.oip import parse_body
from trimtab.gateway.pieces import Gathered, csv_pieces, json_pieces, nulls_for_nan, of_tables
from trimtab.gateway.plan import Plan
from trimtab.gateway.raw_inputs import RAW
from trimtab.gateway.tables import inputs_of_table
from trimtab.gateway.tensors import inputs_of
from trimtab.gateway.values import Inputs
from trimtab.gateway.wire import Results, predict_frame
from trimtab.worker.frames import Decoder, FrameError, Kind, encode_tensors, tensors_of
from trimtab.worker.tensors import tensor_of

GRIDS = Signature(
    (
        Column("grid", Datatype.FP32, nullable=True, shape=(2, 2)),
        Column("count", Datatype.INT64, shape=(3,)),
        Column("x", Datatype.FP64),
    ),
    (Output("y", Datatype.FP64),),
)
LONE = Signature((Column("grid", Datatype.UINT8, shape=(2, 2)),), GRIDS.outputs)
PLANS = tuple(Plan(target(i, signature=s)) for i, s in enumerate((SIGNATURE, NUMERIC, GRIDS, LONE)))


@dataclass(frozen=True)
class Target:
    """`take` is given bytes; `seeds` are bytes that it takes, `words` what they are made of."""

    take: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


class _Transport:
    """Where answers go; nothing is ever full."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Bytes come all the same, as those that were on their way."""

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0


def _http11(data: bytes) -> None:
    """The first byte says where the rest is cut in two. What is answered is HTTP again."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def handle(exchange: Exchange, _: int) -> None:
        try:
            heading(exchange.headers)
        except Fault as fault:
            exchange.refuse(fault)
        else:
            exchange.respond(200, exchange.body)

    async def talk() -> None:
        transport = _Transport()
        connection = HttpServer(handle).connection()
        connection.connection_made(cast(asyncio.Transport, transport))
        cut = data[0] if data else 0
        for part in (data[1:][:cut], data[1:][cut:]):
            connection.data_received(part)
        if len(data) > coding.PACKED_IN_PLACE:
            # One thread unpacks: what it was given before this is unpacked then.
            await loop.run_in_executor(coding._unpacker, int)
            await asyncio.sleep(0)
        assert not connection.busy or connection.receiving or not transport.written.strip()
        assert not transport.written or transport.written.startswith(b"HTTP/1.1 ")
        connection.connection_lost(None)

    try:
        loop.run_until_complete(talk())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _answer(stream: Stream) -> None:
    stream.answer(b"\x88", b"data", b"")


def _http2(data: bytes) -> None:
    """Frames after the greeting; every stream that is whole is answered."""
    talk = Talk(_answer)
    talk.hear(data)
    talk.http2.lose()


def _http2_greeting(data: bytes) -> None:
    talk = Talk(_answer, start=data)
    talk.http2.lose()


def _hpack(data: bytes) -> None:
    """Several blocks on one connection, each after a byte that says how long it is."""
    decoder = BlockDecoder()
    with contextlib.suppress(BlockError):
        while data:
            size = data[0]
            decoder.decode(data[1 : 1 + size])
            data = data[1 + size :]


def _used(read: Callable[[Plan], Inputs], plan: Plan) -> None:
    """What is taken has its rows, and can be sent and logged."""
    inputs = read(plan)
    assert inputs.rows > 0
    predict_frame(plan, 1, [inputs], 1.0, 1.0)
    assert inputs.logged is not None


def _of_every_plan(read: Callable[[Plan], Inputs]) -> None:
    for plan in PLANS:
        with contextlib.suppress(Fault):
            _used(read, plan)


def _protobuf(data: bytes) -> None:
    with contextlib.suppress(Fault):
        named_version(data)
    with contextlib.suppress(Fault):
        found = parse_infer(data)
        _of_every_plan(lambda plan: inputs_of(found.tensors, RAW, plan, "key"))


class _Answered:
    """An `Exchange` that only wants to be answered once."""

    gone = False
    came_at = 0.0
    due = None
    trace = None

    def __init__(self) -> None:
        self.answers = 0

    def respond(self, message: bytes, release: str = "", request_id: str = "") -> None:
        self.answers += 1

    def refuse(self, fault: Fault, release: str = "", request_id: str = "") -> None:
        self.answers += 1


def _reflection(data: bytes) -> None:
    exchange = _Answered()
    try:
        reflect(exchange, data)
    except Fault:
        return
    assert exchange.answers == 1


class _Counted:
    """What an inbox counts its bytes on."""

    def __init__(self) -> None:
        self.gathered = 0
        self.holding = Holding()


class _Whence:
    """The stream that an inbox belongs to."""

    def __init__(self, encoding: bytes) -> None:
        self.connection = _Counted()
        self.head = self
        self.fields = {b"grpc-encoding": encoding}


def _inbox(data: bytes) -> None:
    """Messages of gRPC in pieces whose sizes the first bytes say."""
    for encoding in (b"gzip", b"deflate", b"identity"):
        whence = _Whence(encoding)
        inbox = Inbox(cast(Stream, whence))
        with contextlib.suppress(Fault):
            rest = data
            while rest:
                size = 1 + rest[0] % 16
                inbox.feed(rest[:size])
                rest = rest[size:]
        inbox.forget()
        assert whence.connection.gathered == whence.connection.holding.held == 0


def _json(data: bytes) -> None:
    with contextlib.suppress(Fault):
        body = parse_body(data)
        binary_outputs(body)
        asked(body.parameters)
        _of_every_plan(lambda plan: inputs_of_json(body.inputs, plan, "key"))


def _feedback(data: bytes) -> None:
    with contextlib.suppress(Fault):
        parse_feedback(data, "d", 1.0)


def _mlflow(data: bytes) -> None:
    """What is read at once is read in pieces too, and means the same."""
    with contextlib.suppress(Fault):
        invocation = parse_invocation(data)
        asked(invocation.params)
        table = table_of(invocation)
        _of_every_plan(lambda plan: inputs_of_table(table, plan, "key"))
    with contextlib.suppress(Fault):
        raw = parse_raw(data)
        for plan in PLANS:
            with contextlib.suppress(Fault):
                gathered = Gathered(plan, "key")
                for piece in of_tables(json_pieces(raw, plan), plan, "key"):
                    gathered.add(piece)
                gathered.whole()
    with contextlib.suppress(Fault):
        for _ in nulls_for_nan(data):
            pass


def _csv(data: bytes) -> None:
    for plan in PLANS:
        with contextlib.suppress(Fault):
            inputs_of_table(parse_csv(data), plan, "key")
        with contextlib.suppress(Fault):
            gathered = Gathered(plan, "key")
            for piece in of_tables(csv_pieces(data, plan), plan, "key"):
                gathered.add(piece)
            gathered.whole()


def _binary(data: bytes) -> None:
    """The first two bytes say how much of the rest is JSON."""
    size, data = int.from_bytes(data[:2], "big"), data[2:]
    with contextlib.suppress(Fault):
        _, tensors = parse_binary(data, size)
        _of_every_plan(lambda plan: inputs_of(tensors, MIXED, plan, "key"))
    _of_every_plan(lambda plan: inputs_of([lone_tensor(plan, data)], RAW, plan, None))


def _coding(data: bytes) -> None:
    for encoding in (b"gzip", b"deflate", b"x", None):
        with contextlib.suppress(Fault):
            decoded(data, encoding)


def _worker_frames(data: bytes) -> None:
    """What a worker sends: the least trusted code there is."""
    decoder = Decoder()
    with contextlib.suppress(FrameError):
        for frame in decoder.feed(data):
            for fields in (("inputs", "outputs"), ("outputs",)):
                with contextlib.suppress(FrameError):
                    tensors_of(frame, *fields)
            for plan in PLANS:
                results = Results(plan)
                with contextlib.suppress(FrameError):
                    results.values(frame, 2)
                    results.values(frame, 2)


def _sized(prefix: bytes, *parts: bytes) -> bytes:
    return len(prefix).to_bytes(2, "big") + prefix + b"".join(parts)


def _grpc_request(raw: bool) -> bytes:
    message = pb.ModelInferRequest(model_name="d", id="i")
    message.parameters["timeout"].int64_param = 5
    message.outputs.add(name="sum")
    values = np.ones((2, 2))
    message.inputs.add(name="a", datatype="FP64", shape=[2])
    message.inputs.add(name="b", datatype="INT32", shape=[2])
    if raw:
        message.raw_input_contents.extend([values.tobytes()[:16], bytes(8)])
    else:
        message.inputs[0].contents.fp64_contents.extend([1, 2])
        message.inputs[1].contents.int_contents.extend([1, -2])
    return bytes(message.SerializeToString())


def _grids() -> bytes:
    inputs = [
        {"name": "grid", "shape": [1, 2, 2], "datatype": "FP32", "data": [[[1, None], [2.5, 3]]]},
        {"name": "count", "shape": [1, 3], "datatype": "INT64", "data": [1, 2, 3]},
        {"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [[1]]},
    ]
    return json.dumps({"inputs": inputs, "id": "i", "parameters": {"priority": 2}}).encode()


def _binary_seed() -> bytes:
    described = tensor("a", "FP64", [])
    del described["data"]
    described |= {"shape": [2], "parameters": {"binary_data_size": 16}}
    head = json.dumps({"inputs": [described, tensor("b", "INT32", [1, 2])]}).encode()
    return _sized(head, np.ones(2).tobytes())


def _result() -> bytes:
    outputs = [tensor_of("sum", np.ones(2))]
    header = {"id": 1, "rows": 2, "features_seconds": 0.0, "model_seconds": 0.0}
    return b"".join(encode_tensors(Kind.RESULT, header, {"outputs": outputs}))


_POST = b"POST /v2/models/d/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
_CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
_UPGRADE = b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
_WHERE = b"Expect: 100-continue", b"Content-Encoding: gzip", b"Connection: close"
_SPEAKER = Speaker()
_CONTINUED = _SPEAKER.headers(1, flags=0) + http2_frames.frame(9, 4, 1)
_JSON_WORDS = (
    b"1" * 400,
    b'"timeout":',
    b"null",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b"1e400",
    b"-0",
    b"NaN",
    b"\\ud800",
    b",",
)
_BODIES = tuple(
    body if isinstance(body, bytes) else json.dumps(body).encode() for body in SAME_ROWS
)

TARGETS: dict[str, Target] = {
    "http11": Target(
        _http11,
        tuple(b"\x10" + seed for seed in (_POST, _POST + _POST, _CHUNKED, _UPGRADE)),
        (b"\r\n", b"\r\n\r\n", b"\n", b"Content-Length: ", b"Transfer-Encoding: chunked", *_WHERE),
    ),
    "http2": Target(
        _http2,
        (
            _SPEAKER.request(1),
            _SPEAKER.request(1) + _SPEAKER.request(3),
            _CONTINUED,
            http2_frames.window_update(0, 1) + http2_frames.reset(1, http2_frames.Code.CANCEL),
            http2_frames.frame(6, 0, 0, bytes(8)) + http2_frames.frame(4, 0, 0, bytes(6)),
        ),
        tuple(bytes((kind, flags)) for kind in range(11) for flags in (0, 1, 4, 8, 0x20)),
    ),
    "http2_greeting": Target(_http2_greeting, (START, START + _SPEAKER.request(1))),
    "hpack": Target(
        _hpack,
        tuple(
            bytes((len(block),)) + block
            for block in (Speaker().encoder.encode(HEADERS), b"\x20\x3f\xe1\x1f", b"\x40\x01a\x01b")
        ),
        (b"\x3f\xe1\xff\xff\xff\x0f", b"\x40", b"\xff\xff\xff\xff\x7f", b"\x00"),
    ),
    "protobuf": Target(
        _protobuf,
        (_grpc_request(True), _grpc_request(False)),
        (b"\xff" * 9 + b"\x01", b"\x80", b"\x0a", b"\x2a", b"\x3a", b"FP16", b"BYTES"),
    ),
    "reflection": Target(_reflection, (b"\x3a\x01*", b"\x22\x09inference", b"\x2a\x02\x0a\x00")),
    "inbox": Target(_inbox, (b"\0\0\0\0\x01a" * 3, b"\x01\0\0\0\x02ab", struct.pack(">BL", 0, 9))),
    "json": Target(_json, (request(), _grids(), b"{}"), _JSON_WORDS),
    "feedback": Target(_feedback, (b'{"labels":[{"id":"a","row":1,"label":1}]}',), _JSON_WORDS),
    "mlflow": Target(_mlflow, _BODIES, _JSON_WORDS),
    "csv": Target(_csv, (CSV.encode(), b"a,b\n1,2\n"), (b'"', b"\r", b"\n", b",", b"\0", b"nan")),
    "binary": Target(_binary, (_binary_seed(), _sized(b"", bytes(32))), _JSON_WORDS),
    "coding": Target(_coding, (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"x\x9c\x03\0\0\0\0\x01")),
    "worker_frames": Target(_worker_frames, (_result(),), (b'"shape":[2]', b'"size":', b"BYTES")),
}
"""By the name that `scripts/fuzz` takes."""
