"""What an order to a deployment led to, and how to undo it."""

from trimtab.domain.rollout import Standing
from trimtab.domain.state import DeploymentState
from trimtab.views.seen import Seen
from trimtab.views.shapes import DeployView
from trimtab.views.status import build_ended, build_rollout, no_such_deployment


def build_order(action: str, name: str, before: Seen, after: Seen, seconds: float) -> DeployView:
    """The difference an order made. Raises `NotFound` TT-601."""
    old, new = before.state.deployments.get(name), after.state.deployments.get(name)
    if new is None:
        raise no_such_deployment(name, after.state.deployments)
    rollout = build_rollout(new, after)
    ended = old is not None and old.rollout is not None and rollout is None
    release = new.rollout.candidate if new.rollout else new.stable
    return DeployView(
        action=action,
        deployment=name,
        release=release.name if release else None,
        rollout=build_ended(new.last_rollout) if ended else rollout,
        changed=old != new,
        run=new.run.id if new.run else None,
        undo=undo(action, old, new) if old != new else "",
        seconds=seconds,
    )


def undo(action: str, old: DeploymentState | None, new: DeploymentState) -> str:
    """The command that takes the order back; empty when none does."""
    name = new.spec.name
    match action:
        case "deploy":
            return f"trimtab abort {name}"
        case "promote":
            in_bake = new.rollout is not None and new.rollout.phase == "bake"
            return f"trimtab rollback {name}" if in_bake else f"trimtab abort {name}"
        case "pause":
            return f"trimtab resume {name}"
        case "resume":
            return f"trimtab pause {name}"
        case "abort" | "rollback":
            left = _left(old)
            return f"trimtab deploy {name} --release {left.name}" if left else ""
        case _:
            return ""


def _left(old: DeploymentState | None) -> Standing | None:
    if old is None:
        return None
    return old.rollout.candidate if old.rollout else old.stable
