"""The shapes of `--json` and `/api` are a contract: what is promised is there, under its name."""

import json
from typing import Any

import pytest
from tests.support.scenes import NAME, in_canary, incident, serving
from tests.unit.views.test_builders import demo

from trimtab import errors
from trimtab.domain import events as e
from trimtab.domain.reproduction import Reproduction
from trimtab.views.encode import error_view, to_json
from trimtab.views.journal import build_history, build_why
from trimtab.views.orders import build_order
from trimtab.views.reproduction import build_reproduction
from trimtab.views.status import build_status

SERVING = {"release", "digest", "weight_ratio", "workers", "ready_workers"}
ROLLOUT = {"id", "strategy", "state", "step", "outcome"}
PROMISED: dict[str, Any] = {
    "status": {
        "deployments": [
            {
                "name": str,
                "state": str,
                "stable": dict.fromkeys(SERVING),
                "candidate": dict.fromkeys(SERVING),
                "rollout": dict.fromkeys(ROLLOUT),
                "rollback": dict.fromkeys({"ready", "target", "seconds", "rehearsed_at"}),
                "verdicts": [
                    dict.fromkeys(
                        {
                            *("signal", "scope", "tier", "verdict", "reason", "evidence_log10"),
                            *("threshold_log10", "estimate", "lower", "upper", "tolerance"),
                            *("n", "since"),
                        }
                    )
                ],
                "requests": dict.fromkeys({"total", "failed", "rate_per_second"}),
                "latency": dict.fromkeys({"p50_seconds", "p99_seconds"}),
                "incidents": [None],
            }
        ]
    },
    "deploy": {"deployment": None, "release": None, "rollout": dict.fromkeys(ROLLOUT), "undo": ""},
    "why": {
        "incidents": [
            {
                **dict.fromkeys(
                    {
                        *("id", "deployment", "release", "opened_at", "first_evidence_at"),
                        *("closed_at", "tier", "severity", "action", "undo"),
                    }
                ),
                "signals": [None],
                "causes": [dict.fromkeys({"cause", "rank", "evidence"})],
                "ruled_out": [dict.fromkeys({"cause", "by"})],
            }
        ]
    },
    "history": {
        "events": [
            dict.fromkeys(
                {
                    *("seq", "at", "kind", "actor", "deployment", "release"),
                    *("reason", "evidence", "hash"),
                }
            )
        ]
    },
    "reproduce": dict.fromkeys(
        {
            *("release", "integrity", "environment", "behaviour"),
            *("max_difference", "tolerance", "retrain"),
        }
    ),
    "demo": {
        "ok": None,
        "acts": [dict.fromkeys({"act", "ok", "facts"})],
        "requests": dict.fromkeys({"total", "failed"}),
        "rollback": dict.fromkeys({"requests_exposed", "detect_seconds", "restore_seconds"}),
        "incidents": [{}],
        "false_alarms": None,
        "releases": [{}],
        "seconds": None,
    },
    "error": {
        "error": dict.fromkeys(
            {
                *("code", "operation", "subject", "message", "causes"),
                *("unchanged", "hint", "retryable"),
            }
        )
    },
}


def made() -> dict[str, Any]:
    system = in_canary()
    system.tell(e.IncidentOpened(incident()))
    views = {
        "status": build_status(system.seen()),
        "deploy": build_order("deploy", NAME, serving().seen(), system.seen(), 0.1),
        "why": build_why(system.journal, system.names),
        "history": build_history(system.journal, system.names),
        "reproduce": build_reproduction(Reproduction(release="m@1", integrity="ok")),
        "demo": demo(),
        "error": error_view(errors.Usage(errors.BAD_NAME, "name", "x", "wrong")),
    }
    return {name: json.loads(to_json(view)) for name, view in views.items()}


def missing(promised: Any, found: Any, path: str) -> list[str]:
    """Paths that are promised and not found."""
    if isinstance(promised, list):
        assert isinstance(found, list)
        return missing(promised[0], found[0], f"{path}[]")
    if not isinstance(promised, dict):
        return []
    absent = [f"{path}.{name}" for name in promised if name not in found]
    inner = (name for name in promised if name in found)
    return absent + [gap for name in inner for gap in missing(promised[name], found[name], name)]


@pytest.mark.parametrize("name", PROMISED)
def test_what_is_promised_is_there(name: str) -> None:
    assert missing(PROMISED[name], made()[name], name) == []


def test_times_are_rfc_3339_in_utc() -> None:
    assert made()["history"]["events"][0]["at"] == "2023-11-14T22:13:20Z"


def test_the_same_view_is_the_same_bytes() -> None:
    assert to_json(build_status(in_canary().seen())) == to_json(build_status(in_canary().seen()))
