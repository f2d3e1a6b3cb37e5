"""From the sums of a forest to what the model answers."""

from typing import TYPE_CHECKING, Any

from .contract import Shown, Unconvertible
from .forest import DOMAIN, Forest
from .graphs import assembled, column_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINKS = ("identity", "sigmoid", "softmax", "exp")


def linked(
    forest: Forest,
    link: str,
    shown: Shown,
    base: "NDArray[Any] | None" = None,
    single: bool = False,
) -> Any:
    """A model of a forest alone: its sums, `base` added, through the link, as float64.

    `single` means a model that computes in float32 throughout, as XGBoost does: it sees its inputs
    rounded to that, and so does its link.
    """
    from onnx import TensorProto, helper

    make, dtype = helper.make_node, "float32" if single else "float64"
    nodes = [make("Cast", ["numbers"], ["rounded"], to=TensorProto.FLOAT)] if single else []
    features = "rounded" if single else "numbers"
    nodes.append(
        make("TreeEnsemble", [features], ["sums"], domain=DOMAIN, **forest.attributes(dtype))
    )
    constants: dict[str, Any] = {}
    last = "sums"
    if base is not None:
        constants["base"] = base.astype(dtype)
        nodes.append(make("Add", ["sums", "base"], ["margins"]))
        last = "margins"
    if single:
        nodes.append(make("Cast", [last], ["widened"], to=TensorProto.DOUBLE))
        last = "widened"
    nodes.append(link_node(link, last, "answer"))
    return assembled(nodes, constants, column_inputs(shown))


def link_node(link: str, source: str, target: str) -> Any:
    """The node that a link is."""
    from onnx import helper

    kinds = {"identity": "Identity", "sigmoid": "Sigmoid", "softmax": "Softmax", "exp": "Exp"}
    if link not in kinds:
        raise Unconvertible(f"the link {link!r} has no exact converter")
    options = {"axis": 1} if link == "softmax" else {}
    return helper.make_node(kinds[link], [source], [target], **options)
