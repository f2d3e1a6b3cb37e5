"""Tools that have no files of ours learn all services, methods and messages by asking."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2
from tests.unit.gateway.grpc_scenes import Client, matrix, serving, sums
from tests.unit.gateway.harness import Harness
from tritonclient.grpc import model_config_pb2, service_pb2

from trimtab.gateway.descriptors import described
from trimtab.gateway.grpc_reflection import files

SERVICES = [
    "inference.GRPCInferenceService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
]


BEYOND = {
    "inference.ModelMetadataResponse.properties",
    "inference.ModelMetadataResponse.PropertiesEntry.key",
    "inference.ModelMetadataResponse.PropertiesEntry.value",
}
"""In the Open Inference Protocol, but not in Triton's files."""


def pool() -> Any:
    """The descriptors as protobuf's own library understands them."""
    made: Any = descriptor_pool.DescriptorPool()
    for file in files():
        made.Add(descriptor_pb2.FileDescriptorProto.FromString(file.descriptor))
    return made


POOL = pool()


def kind(name: str) -> Any:
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


Asked = kind("grpc.reflection.v1.ServerReflectionRequest")
Told = kind("grpc.reflection.v1.ServerReflectionResponse")


def fields(message: Any) -> dict[str, tuple[Any, ...]]:
    """What the encoding of a message depends on."""
    found = {}
    for each in message.fields:
        inner = each.message_type and (
            each.message_type.full_name,
            each.message_type.GetOptions().map_entry,
        )
        oneof = each.containing_oneof and each.containing_oneof.name
        found[each.name] = (each.number, each.type, each.is_repeated, inner, oneof)
    return found


def messages(of: Any) -> list[Any]:
    nested = [each for message in of for each in messages(message.nested_types)]
    return [*of, *nested]


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("inference.proto", [service_pb2.DESCRIPTOR, model_config_pb2.DESCRIPTOR]),
        ("health.proto", [health_pb2.DESCRIPTOR]),
    ],
)
def test_the_files_say_of_every_field_what_the_protocols_own_files_say(
    name: str, theirs: list[Any]
) -> None:
    known = {
        message.full_name: fields(message)
        for file in theirs
        for message in messages(list(file.message_types_by_name.values()))
    }
    for message in messages(list(POOL.FindFileByName(name).message_types_by_name.values())):
        for field, said in fields(message).items():
            if f"{message.full_name}.{field}" in BEYOND:
                continue
            assert said == known[message.full_name][field], f"{message.full_name}.{field}"
    service = next(iter(POOL.FindFileByName(name).services_by_name.values()))
    (other,) = theirs[0].services_by_name.values()
    for method in service.methods:
        twin = other.methods_by_name[method.name]
        assert method.input_type.full_name == twin.input_type.full_name
        assert method.output_type.full_name == twin.output_type.full_name
        assert method.client_streaming == twin.client_streaming
        assert method.server_streaming == twin.server_streaming


async def ask(client: Client, *asked: Any, version: str = "v1") -> list[Any]:
    """The answers to questions of one dialogue."""
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    call = client.channel.stream_stream(
        path, request_serializer=Asked.SerializeToString, response_deserializer=Told.FromString
    )
    return await asyncio.to_thread(lambda: list(call(iter(asked), timeout=15)))


def test_services_files_and_symbols_are_told(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        services, by_symbol, by_name = await ask(
            client,
            Asked(list_services="*", host="h"),
            Asked(file_containing_symbol="inference.ModelInferRequest.InferInputTensor"),
            Asked(file_by_filename="inference.proto"),
        )
        assert [each.name for each in services.list_services_response.service] == SERVICES
        assert (services.valid_host, services.original_request.list_services) == ("h", "*")
        (file,) = by_symbol.file_descriptor_response.file_descriptor_proto
        assert list(by_name.file_descriptor_response.file_descriptor_proto) == [file]
        for symbol in ("ServerReflection", "ServerReflection.ServerReflectionInfo"):
            (method,) = await ask(
                client,
                Asked(file_containing_symbol=f"grpc.reflection.v1.{symbol}"),
                version="v1alpha",
            )
            assert method.HasField("file_descriptor_response")

    serving(tmp_path, scenario)


def test_what_there_is_not_is_said_and_the_dialogue_goes_on(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        extension = Asked()
        extension.file_containing_extension.containing_type = "inference.ModelConfig"
        told = await ask(
            client,
            Asked(file_by_filename="nothing.proto"),
            Asked(file_containing_symbol="nothing"),
            Asked(all_extension_numbers_of_type="inference.ModelConfig"),
            extension,
            Asked(),
        )
        assert [each.error_response.error_code for each in told] == [5, 5, 12, 12, 12]

    serving(tmp_path, scenario)


def test_what_is_no_request_ends_the_dialogue_with_a_status(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        call = client.channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        )
        with pytest.raises(grpc.RpcError) as caught:
            await asyncio.to_thread(lambda: list(call(iter([b"\x0a\xff"]), timeout=15)))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert sums(await client.call("ModelInfer", matrix())) == [1.0]

    serving(tmp_path, scenario)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import x;", "'import' is not understood"),
        ('syntax = "proto2";', "where"),
        ("message A { B b = 1; }", "there is no B"),
        ("service S { option x = 1; }", "where a method should be"),
    ],
)
def test_a_file_beyond_the_subset_is_refused(source: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        described("x.proto", source)
