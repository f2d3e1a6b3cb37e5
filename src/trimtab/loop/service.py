"""The verbs that the admin API calls: read the catalog, ask the judge, record, wake the loop."""

import asyncio
from functools import partial

from trimtab import errors
from trimtab.domain.deployment import DeploymentSpec, ProjectConfig
from trimtab.domain.names import Digest, ReleaseRef
from trimtab.domain.processes import NodeStatus
from trimtab.domain.records import Comparison
from trimtab.domain.release import Release
from trimtab.domain.rollout import Standing
from trimtab.domain.signature import Signature
from trimtab.domain.state import DeploymentState, SystemState
from trimtab.domain.telling import Telling
from trimtab.judge import verbs
from trimtab.judge.draft import Author, Observation
from trimtab.loop.controller import Controller
from trimtab.loop.store import standing
from trimtab.ports.requestlog import RequestLog
from trimtab.views.status import no_such_deployment

STRATEGIES = ("canary", "steps", "shadow", "now")


class Control:
    """People's side of the controller. Every order carries its author; all raise `TrimtabError`."""

    def __init__(self, controller: Controller, log: RequestLog) -> None:
        self._controller = controller
        self._log = log
        self._store = controller.store
        self._pipelines: frozenset[str] = frozenset()

    async def apply(self, config: ProjectConfig, author: Author) -> SystemState:
        """Bring all deployments of a configuration to their specs; others stay as they are."""
        self._pipelines = frozenset(pipeline.model for pipeline in config.pipelines)
        for spec in config.deployments:
            await self.configure(spec, author)
        return self._store.state

    async def configure(self, spec: DeploymentSpec, author: Author) -> DeploymentState:
        """Set one deployment's desired state."""
        state = self._store.deployments.get(spec.name)
        seen = self._seen(spec.name)
        return self._controller.record(spec.name, verbs.apply_spec(state, spec, seen, author))

    async def register(self, digest: Digest, author: Author) -> Release:
        """Register a built release by the digest of its manifest; idempotent."""
        return self._store.register(digest, author)

    async def deploy(
        self, name: str, release: str, author: Author, strategy: str | None = None
    ) -> DeploymentState:
        """Begin a rollout of `release` (`model@7` or a digest prefix)."""
        if strategy is not None and strategy not in STRATEGIES:
            raise errors.Usage(
                errors.BAD_VALUE,
                "deploy",
                name,
                f"{strategy!r} is no strategy",
                unchanged="what serves is as it was",
                hint=f"one of {', '.join(STRATEGIES)}",
            )
        state = self.deployment(name)
        found = self._store.find(ReleaseRef.parse(release))
        candidate = standing(found)
        verbs.check_fit(state.spec, found.model, candidate)
        verbs.check_loss(state.spec, candidate, found.manifest.signature)
        if state.stable is not None and strategy != "now":
            old = self._store.releases[state.stable.digest].manifest.signature
            verbs.check_callers(candidate, found.manifest.signature, old)
        decision = verbs.deploy(state, self._seen(name), author, candidate, strategy)
        return self._controller.record(name, decision)

    async def promote(
        self, name: str, author: Author, *, full: bool = False, override: bool = False
    ) -> DeploymentState:
        """Go to the next step now, or with `full` to all traffic."""
        state, seen = self.deployment(name), self._seen(name)
        decision = verbs.promote(state, seen, author, full=full, override=override)
        return self._controller.record(name, decision)

    async def pause(self, name: str, author: Author) -> DeploymentState:
        """Stop advancing; the guard stays on."""
        decision = verbs.pause(self.deployment(name), self._seen(name), author)
        return self._controller.record(name, decision)

    async def resume(self, name: str, author: Author) -> DeploymentState:
        """Allow advancing again."""
        decision = verbs.resume(self.deployment(name), self._seen(name), author)
        return self._controller.record(name, decision)

    async def abort(self, name: str, author: Author) -> DeploymentState:
        """Give the rollout up; stable keeps serving."""
        decision = verbs.abort(self.deployment(name), self._seen(name), author)
        return self._controller.record(name, decision)

    async def rollback(self, name: str, author: Author, to: str | None = None) -> DeploymentState:
        """Go back now, to a proven and ready release."""
        state = self.deployment(name)
        target: Standing | None = None
        if to is not None:
            target = standing(self._store.find(ReleaseRef.parse(to)))
        decision = verbs.rollback(state, self._seen(name), author, target)
        return self._controller.record(name, decision)

    async def retrain(self, name: str, author: Author) -> DeploymentState:
        """Make the deployment's release again through its pipeline."""
        state = self.deployment(name)
        if state.spec.model not in self._pipelines:
            raise errors.NotFound(
                errors.NO_PIPELINE,
                "retrain",
                name,
                f"model {state.spec.model} has no pipeline",
                unchanged="what serves is as it was",
                hint=f"add a [model.{state.spec.model}] table to trimtab.toml",
            )
        return self._controller.record(name, verbs.retrain(state, self._seen(name), author))

    async def compare(self, name: str, telling: Telling) -> Comparison:
        """Compare told values with what was answered; the log keeps the pairs, durably.

        Raises `Usage` TT-803 when they cannot be compared, and `Refused` TT-803 when nothing
        serves."""
        state = self.deployment(name)
        if state.stable is None:
            raise errors.Refused(
                errors.BAD_PARITY,
                "compare",
                name,
                "no release serves under that name",
                unchanged="nothing was compared",
                hint=f"trimtab deploy {name}",
            )
        signature = self._store.releases[state.stable.digest].manifest.signature
        compare = partial(_compare, self._log, name, telling)
        made = await asyncio.to_thread(compare, signature, state.spec.monitor.key)
        self._controller.wake()
        return made

    def deployment(self, name: str) -> DeploymentState:
        """One deployment. Raises `NotFound` TT-601."""
        state = self._store.deployments.get(name)
        if state is None:
            raise no_such_deployment(name, self._store.deployments)
        return state

    def snapshot(self) -> SystemState:
        """The state as it is recorded."""
        return self._store.state

    def node(self) -> NodeStatus:
        """Workers, jobs and gateways as the agent last reported them."""
        return self._controller.health.status

    def releases(self, model: str | None = None) -> tuple[Release, ...]:
        """Registered releases, oldest first."""
        return self._store.catalog.releases(model)

    def _seen(self, name: str) -> Observation:
        return self._controller.observe(name)


def _compare(
    log: RequestLog, name: str, telling: Telling, signature: Signature, key: str | None
) -> Comparison:
    told = telling.checked(signature, key)
    try:
        return log.compare(name, told, telling.within)
    except OSError as cause:
        raise errors.Permanent(
            errors.LOG_FAILED,
            "compare",
            name,
            "the pairs cannot be written",
            unchanged="none of these rows was compared",
            hint="free some space on the disk, and tell them again",
        ) from cause
