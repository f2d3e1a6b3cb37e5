"""Putting a graph together and cutting it down to what is asked of it."""

from collections.abc import Sequence
from typing import Any

from .contract import Shown, Unconvertible
from .forest import DOMAIN, VERSION
from .nodes import LATER

OPSET = 21
IR_VERSION = 10
"""Versions that ONNX Runtime has known since 2024, so that a release may pin an older one."""


def column_inputs(shown: Shown) -> list[Any]:
    """The declared inputs `numbers` and `texts` for the columns that are shown."""
    from onnx import TensorProto, helper

    kinds = (
        ("numbers", TensorProto.DOUBLE, shown.numbers),
        ("texts", TensorProto.STRING, shown.texts),
    )
    return [
        helper.make_tensor_value_info(name, kind, [None, len(columns)])
        for name, kind, columns in kinds
        if columns
    ]


def assembled(nodes: Sequence[Any], constants: dict[str, Any], inputs: Sequence[Any]) -> Any:
    """A model of `nodes` whose output is the first output of the last node."""
    from onnx import TensorProto, helper, numpy_helper

    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.DOUBLE, None)
    held = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(list(nodes), "trimtab", list(inputs), [output], held)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, VERSION)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def only(model: Any, output: str) -> Any:
    """Cut `model` down to the nodes that `output` needs, so that no label is computed for nobody.

    Raises `Unconvertible` when there is no such output."""
    from onnx import TensorProto, helper

    graph = model.graph
    if output not in {each.name for each in graph.output}:
        raise Unconvertible(f"its graph has no output {output!r}")
    wanted, kept = {output}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    answer = helper.make_node("Cast", [output], ["answer"], to=TensorProto.DOUBLE)
    _replace(graph.node, [*kept[::-1], answer])
    _replace(graph.initializer, [each for each in graph.initializer if each.name in wanted])
    # skl2onnx declares the types that its own converters would have given.
    del graph.value_info[:]
    _replace(graph.output, [helper.make_tensor_value_info("answer", TensorProto.DOUBLE, None)])
    _date(model)
    return model


def _date(model: Any) -> None:
    """Give the nodes that skl2onnx must not know the domain and version that they are of."""
    from onnx import helper

    for node in model.graph.node:
        node.domain = DOMAIN if node.domain == LATER else node.domain
    kept = [each for each in model.opset_import if each.domain not in {LATER, DOMAIN}]
    _replace(model.opset_import, [*kept, helper.make_opsetid(DOMAIN, VERSION)])
    model.ir_version = IR_VERSION


def _replace(field: Any, values: Sequence[Any]) -> None:
    copies = [type(each)() for each in values]
    for copy, each in zip(copies, values, strict=True):
        copy.CopyFrom(each)
    del field[:]
    field.extend(copies)


def noted(model: Any, key: str, text: str) -> bytes:
    """The bytes of the model with a note in its metadata."""
    entry = model.metadata_props.add()
    entry.key, entry.value = key, text
    written: bytes = model.SerializeToString(deterministic=True)
    return written
