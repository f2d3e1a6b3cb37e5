"""Where a running system listens, in plain lines.

The process that tells it stays: rich would hold 4 MB of it as long as the system runs.
"""

from trimtab.views.shapes import UpView


def told(view: UpView) -> str:
    """Names with their values, a line each."""
    grpc = (("gRPC", view.grpc),) if view.grpc else ()
    places = (("dashboard", view.admin), ("state", view.home), ("limits", view.limits))
    named = (("models", view.inference), *grpc, *places)
    width = max(len(name) for name, _ in named) + 2
    return "\n".join(f"{name:{width}}{value}".rstrip() for name, value in named)
