"""`python -m trimtab.gateway`: the entry of a gateway process, and so its composition root."""

import argparse
import sys
from pathlib import Path

import msgspec

from trimtab.backends.spool import SpoolLog
from trimtab.domain import layout
from trimtab.domain.otel import Export
from trimtab.gateway.main import GatewayOptions, serve


def main(arguments: list[str] | None = None) -> int:
    """Read the arguments and serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trimtab.gateway")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--fd", type=int, required=True, help="an inherited listening socket")
    parser.add_argument("--grpc-fd", type=int, default=None, help="the same for gRPC")
    parser.add_argument("--flush-seconds", type=float, default=0.5)
    parser.add_argument("--parent-fd", type=int, default=None)
    given = parser.parse_args(arguments)
    options = GatewayOptions(
        home=given.home,
        index=given.index,
        listener=given.fd,
        grpc=given.grpc_fd,
        flush_seconds=given.flush_seconds,
        parent=given.parent_fd,
        export=_export(given.home / layout.GATEWAY_EXPORT),
    )
    return serve(options, SpoolLog)


def _export(path: Path) -> Export:
    """What the agent says of sending spans and metrics; nothing is sent when it says nothing."""
    return msgspec.json.decode(path.read_bytes(), type=Export) if path.exists() else Export()


if __name__ == "__main__":
    sys.exit(main())
