"""Views as text for a terminal: tables and trees of rich, plain where there is no colour."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from trimtab.domain.names import short
from trimtab.domain.plurals import many
from trimtab.domain.signature import Column, Output
from trimtab.views import demo_shapes, places, words
from trimtab.views import sent_shapes as sent
from trimtab.views import shapes as s
from trimtab.views.terminal import TONES, marked, pairs, quiet, render, table
from trimtab.views.verdicts_text import judged
from trimtab.views.words import Mark

__all__ = ["render"]


@render.register
def _(view: s.StatusView) -> RenderableType:
    parts: list[RenderableType] = [_deployment(each, view.at) for each in view.deployments]
    if not parts:
        parts.append(Text("no deployments yet: add a [deployment.NAME] table to trimtab.toml"))
    if view.journal_broken:
        parts.insert(0, Text(words.broken(view.journal_broken), style=TONES["bad"]))
    if view.disk_left_mib is not None:
        tone = TONES["warn" if view.disk_left_mib else "bad"]
        parts.insert(0, Text(words.crowded(view.disk_left_mib), style=tone))
    return Group(*parts)


def _deployment(view: s.DeploymentView, now: datetime | None) -> Tree:
    head = Text.assemble((view.name, "bold"), "  ", marked(words.HEALTH[view.state], view.state))
    head.append(f"  {view.reason}", style="dim")
    tree = Tree(head, guide_style="dim")
    for role, serving in (("stable", view.stable), ("candidate", view.candidate)):
        if serving is not None:
            tree.add(_serving(role, serving))
    if view.rollout is not None:
        tree.add(_rollout(view.rollout, view.at))
    elif view.last_rollout is not None:
        tree.add(_ended(view.last_rollout, view.at))
    tree.add(_traffic(view))
    if view.scale is not None:
        tree.add(_scale(view.scale))
    tree.add(_rollback(view.rollback))
    if view.incidents:
        tree.add(Text(f"incidents  {', '.join(view.incidents)}", style=TONES["bad"]))
    if view.run or view.offered:
        tree.add(Text(f"retraining  {view.run or f'{view.offered} is offered'}"))
    if view.blocks is not None:
        tree.add(quiet(f"blocks  {words.blocks(view)}"))
    if view.verdicts:
        tree.add(quiet("verdicts")).add(judged(view.verdicts))
    return tree


def _serving(role: str, view: s.ServingView) -> Text:
    line = Text.assemble(f"{role}  ", (view.release, "bold"), f" {short(view.digest)}")
    line.append(f"  {words.percent(view.weight_ratio)} of requests", style="")
    workers = f"  {view.ready_workers}/{view.workers} workers ready"
    line.append(workers, style="" if view.ready_workers == view.workers else TONES["warn"])
    whole = view.ready_batch_workers == view.batch_workers
    line.append(words.for_batch(view), style="" if whole else TONES["warn"])
    if view.problem:
        line.append(f"  ⚠ {view.problem}", style=TONES["warn"])
    return line


def _rollout(view: s.RolloutView, now: datetime | None) -> Group:
    steps = " → ".join(
        f"[{words.percent(step)}]"
        if view.state == "canary" and at == view.step
        else words.percent(step)
        for at, step in enumerate(view.steps)
    )
    age = words.ago(view.since, now)
    line = Text(f"rollout {view.id}  {'‖ paused in ' if view.paused else ''}{view.state}")
    line.append(f" {age}" if age else "")
    line.append(f"  steps {steps}" if view.strategy in ("canary", "steps") else "", style="dim")
    parts: list[RenderableType] = [line]
    if view.waiting_for:
        parts.append(Text(f"why not yet: {view.waiting_for}", style=TONES["held"]))
    return Group(*parts)


def _ended(view: s.RolloutView, now: datetime | None) -> Text:
    outcome = view.outcome or "ended"
    line = Text(f"last rollout {view.id}  {view.release} ")
    line.append_text(marked(words.OUTCOME.get(outcome, words.QUIET), outcome))
    return line.append(f"  {words.ago(view.since, now)}", style="dim")


def _traffic(view: s.DeploymentView) -> Text:
    counts, latency = view.requests, view.latency
    line = Text(f"requests  {counts.total} total, ")
    line.append(f"{counts.failed} failed", style=TONES["bad"] if counts.failed else "")
    line.append(f", {counts.rate_per_second:.1f}/s")
    if latency.p50_seconds is not None and latency.p99_seconds is not None:
        line.append(f"  p50 {words.span(latency.p50_seconds)}")
        line.append(f"  p99 {words.span(latency.p99_seconds)}")
    if behind := words.judged_late(counts):
        line.append(f"  {behind}", style=TONES["warn"])
    if counts.unreadable_segments:
        line.append(f"  {words.unread(counts.unreadable_segments)}", style=TONES["warn"])
    if counts.damaged_files:
        line.append(f"  {words.damaged(counts.damaged_files)}", style=TONES["warn"])
    return line


def _scale(view: s.ScaleView) -> Text:
    if view.asleep:
        return quiet(f"workers  asleep (of {view.min}–{view.max}): {view.why}")
    ready = "" if view.ready_workers == view.workers else f"{view.ready_workers}/"
    line = Text(f"workers  {ready}{view.workers} (of {view.min}–{view.max}): ")
    return line.append(view.why, style="" if view.limit in ("", "scale.min") else TONES["warn"])


def _rollback(view: s.RollbackView) -> Text:
    if view.target is None:
        return quiet(f"rollback  {words.NO_TARGET}")
    if not view.ready:
        return Text(f"rollback  ⚠ {view.target} has no ready worker", style=TONES["warn"])
    took = f" (last took {words.span(view.seconds)})" if view.seconds is not None else ""
    return Text(f"rollback  ready: {view.target}{took}")


@render.register
def _(view: s.DeployView) -> RenderableType:
    if not view.changed:
        rollout = view.rollout if view.action == "deploy" else None
        so = f"{rollout.release} is in {rollout.state} already" if rollout else "already so"
        return Text(f"{view.deployment}: {so}, nothing changed")
    outcome = view.rollout.outcome if view.rollout is not None else None
    failed = view.action == "deploy" and outcome not in (None, "promoted")
    mark, tone = ("✖", TONES["bad"]) if failed else ("✔", TONES["good"])
    parts = [Text(f"{mark} {view.action} {view.deployment}", style=tone)]
    if view.rollout is not None and outcome is not None:
        parts.append(Text(f"  {view.rollout.release} {words.plain(outcome)}"))
    elif view.rollout is not None:
        rollout = view.rollout
        phase = f"{rollout.state}{', paused' if rollout.paused else ''}"
        parts.append(Text(f"  {rollout.release}: rollout {rollout.id} in {phase}"))
    if view.run:
        parts.append(Text(f"  run {view.run}"))
    parts.append(quiet(f"  took {words.span(view.seconds)}"))
    if view.undo:
        parts.append(Text(f"  undo: {view.undo}"))
    return Group(*parts)


@render.register
def _(view: s.WhyView) -> RenderableType:
    parts: list[RenderableType] = [_incident(incident) for incident in view.incidents]
    if not parts:
        parts.append(Text("no incidents: nothing needed an explanation so far"))
    if view.earlier is not None:
        parts.append(quiet(f"older ones: trimtab why --before {view.earlier}"))
    if view.scaling:
        lines = ((words.clock(each.at), each.summary, quiet(each.reason)) for each in view.scaling)
        parts.append(table(("workers (UTC)", "what", "why"), lines))
    return Group(*parts)


def _incident(view: s.IncidentView) -> Tree:
    mark = words.TIER[view.tier]
    head = Text.assemble(marked(mark, view.tier), "  ", (view.id, "bold"))
    head.append(f"  {view.deployment} {view.release}")
    state = f"closed {words.clock(view.closed_at)}" if view.closed_at else "open"
    head.append(f"  {state}", style="dim" if view.closed_at else TONES["bad"])
    tree = Tree(head, guide_style="dim")
    tree.add(Text(view.severity))
    tree.add(quiet(_timeline(view)))
    for cause in view.causes:
        branch = tree.add(Text(f"{cause.rank}. {words.plain(cause.cause)}", style="bold"))
        for sentence in cause.evidence:
            branch.add(Text(sentence))
    for sentence in words.in_rows(view.concentration, view.shown):
        tree.add(Text(sentence))
    for excluded in view.ruled_out:
        tree.add(quiet(f"not {words.plain(excluded.cause)}: {excluded.by}"))
    if view.action:
        tree.add(Text(f"action: {view.action}"))
    if view.undo:
        tree.add(Text(f"undo: {view.undo}"))
    if view.bound:
        tree.add(quiet(view.bound))
    if view.verdicts:
        tree.add(quiet(f"more requests that show it: trimtab samples {view.id}"))
    return tree


def _timeline(view: s.IncidentView) -> str:
    delay = words.span(max(0.0, (view.opened_at - view.first_evidence_at).total_seconds()))
    return (
        f"first evidence {words.clock(view.first_evidence_at)}, "
        f"found {words.clock(view.opened_at)} ({delay} later)"
    )


@render.register
def _(view: s.HistoryView) -> RenderableType:
    if not view.events:
        return Text("the journal has no such entry")
    shown = table(
        (">seq", "at (UTC)", "deployment", "what", "who", "why"),
        (
            (
                str(event.seq),
                words.clock(event.at),
                event.deployment,
                event.summary,
                event.actor,
                quiet(event.reason),
            )
            for event in view.events
        ),
    )
    if view.earlier is None:
        return shown
    return Group(quiet(f"older entries: trimtab history --before {view.earlier}"), shown)


@render.register
def _(view: s.ReleasesView) -> RenderableType:
    if not view.releases:
        return Text("no releases yet: trimtab build NAME --model FILE")
    return table(
        ("release", "digest", "format", "made (UTC)", "is"),
        (
            (
                Text(release.release, style="bold"),
                short(release.digest),
                release.format,
                words.clock(release.created_at),
                ", ".join(release.roles),
            )
            for release in view.releases
        ),
    )


@render.register
def _(view: s.ShowView) -> RenderableType:
    lock = view.environment
    head = pairs(
        (
            ("release", Text(view.release, style="bold")),
            ("digest", view.digest),
            ("made", f"{words.clock(view.created_at)} UTC by {view.source or 'build'}"),
            ("is", ", ".join(view.roles) or "not deployed"),
            ("model", f"{view.format}, features {view.features or 'none'}"),
            ("engine", _engine(view.engine, view.compiled)),
            (
                "environment",
                f"Python {lock.python} on {lock.platform}, {len(lock.packages)} pinned",
            ),
            ("data", _data(view.data)),
            ("golden set", _golden(view.golden)),
        )
    )
    shown = Group(head, Text(), _columns(view))
    return Group(shown, Text(), _tolerances(view.tolerances)) if view.tolerances else shown


def _tolerances(tolerances: Sequence[s.ToleranceView]) -> Table:
    return table(
        ("signal", ">reference", ">harmless", "learned from"),
        (
            (
                each.signal,
                words.number(each.reference),
                "" if each.tolerance is None else f"±{each.tolerance:.2g}",
                quiet(each.basis),
            )
            for each in tolerances
        ),
    )


def _data(view: s.DataView | None) -> str:
    if view is None:
        return "none"
    span = f", {view.since} to {view.until}" if view.since and view.until else ""
    return f"{view.name}, {view.rows} rows{span}"


def _golden(view: s.GoldenView) -> str:
    how = "bit-stable" if view.bit_stable else f"tolerance {view.tolerance:.3g}"
    return f"{view.rows} rows, {how}"


def _engine(name: str, compiled: s.CompiledView | None) -> str:
    if compiled is None:
        return name
    faster = ", ".join(
        f"{speed.times_ratio:.1f} times faster by {'one row' if speed.rows == 1 else speed.rows}"
        for speed in compiled.speeds
    )
    return (
        f"{name}: {faster}; differs from the model by {compiled.difference:.1e} at most "
        f"(tolerance {compiled.tolerance:.1e}, {compiled.rows:,} rows)"
    )


def _columns(view: s.ShowView) -> Table:
    inputs = (
        (
            "in",
            column.name,
            _typed(column) + ("?" if column.nullable else ""),
            words.interval(column.minimum, column.maximum)
            or (f"{len(column.categories)} categories" if column.categories else ""),
        )
        for column in view.signature.inputs
    )
    outputs = (("out", output.name, _typed(output), "") for output in view.signature.outputs)
    return table(("", "column", "type", "seen at build"), (*inputs, *outputs))


def _typed(each: Column | Output) -> str:
    """Datatype, and the shape of a row where it is no single value."""
    shape = ", ".join(map(str, each.shape))
    return f"{each.datatype.value}[{shape}]" if shape else each.datatype.value


@render.register
def _(view: s.RunsView) -> RenderableType:
    if not view.runs:
        return Text("no runs yet: trimtab retrain NAME")
    shown = table(
        ("run", "state", "cause", "asked (UTC)", ">seconds", "release", ""),
        (
            (
                run.id,
                marked(words.RUN[run.state], run.state),
                run.cause,
                words.clock(run.requested_at),
                words.number(run.seconds),
                run.release or "–",
                quiet(run.error),
            )
            for run in view.runs
        ),
    )
    if view.earlier is None:
        return shown
    return Group(shown, quiet(f"older ones: trimtab runs --before {view.earlier}"))


def _made(view: s.BuildView) -> str:
    seconds = words.span(view.seconds)
    if view.new:
        return f"✔ built {view.release} in {seconds}"
    return f"✔ this is {view.release} already, no other release was made (in {seconds})"


@render.register
def _(view: s.BuildView) -> RenderableType:
    columns = len(view.signature.inputs)
    return Group(
        Text(_made(view), style=TONES["good"]),
        Text(f"  {view.digest}"),
        quiet(f"  {many(columns, 'input column')}, {view.signature.task}"),
        quiet(f"  engine {_engine(view.engine, view.compiled)}"),
    )


@render.register
def _(view: s.PlanView) -> RenderableType:
    parts: list[RenderableType] = [pairs(_planned(view))]
    if view.outlooks:
        parts += [
            Text(),
            table(("load", ">workers", ">queue", "ends before"), map(_outlook, view.outlooks)),
        ]
    if view.ends:
        parts += [Text(), table(("what ends", ">at", ">times today"), map(_end, view.ends))]
    parts += [quiet(f"not known: {sentence}") for sentence in view.unknown]
    return Group(*parts)


def _planned(view: s.PlanView) -> Iterable[tuple[str, RenderableType]]:
    promised = f"p{view.quantile * 100:g} within {words.span(view.objective_seconds)}"
    yield "deployment", Text(f"{view.deployment} ({view.release or 'no release'}), {promised}")
    if view.rate_per_second is not None:
        busiest = f"{words.rate(view.rate_per_second)} in the busiest minute"
        batch = f" and {view.batch_workers} for batch work" if view.batch_workers else ""
        yield "today", f"{busiest}, {many(view.workers, 'worker')}{batch}"
    if view.cost is not None:
        cost, rows = view.cost, view.cost.rows_per_request
        each = f"{words.span(cost.batch_seconds)} a batch + {words.span(cost.row_seconds)} a row"
        yield "cost", f"{each}, {words.figure(rows)} row{'' if rows == 1 else 's'} a request"
    if view.cores is not None and view.free_bytes is not None:
        worker = f", {view.worker_bytes / 2**20:,.0f} MiB a worker" if view.worker_bytes else ""
        free = f"{view.free_bytes / 2**20:,.0f} MiB free{worker}"
        yield "machine", f"{view.cores:g} cores, {free}"
    if view.gateway_seconds is not None:
        yield "gateway", f"{words.span(view.gateway_seconds)} of a core for each request"


def _outlook(view: s.OutlookView) -> Sequence[RenderableType]:
    workers = "too many" if view.workers is None else str(view.workers)
    wait = "–" if view.wait_seconds is None else words.span(view.wait_seconds)
    load = f"{view.factor:g}× ({words.rate(view.rate_per_second)})"
    return load, workers, wait, Text(", ".join(view.beyond), style=TONES["warn"])


def _end(view: s.EndView) -> Sequence[RenderableType]:
    factor = "–" if view.factor is None else words.figure(view.factor)
    return view.resource, words.rate(view.rate_per_second), factor


@render.register
def _(view: s.ReproduceView) -> RenderableType:
    difference = words.number(view.max_difference)
    return pairs(
        (
            ("release", Text(view.release, style="bold")),
            ("integrity", marked(_agree(view.integrity == "ok"), view.integrity)),
            (
                "environment",
                marked(
                    _agree(view.environment in ("identical", "equivalent")),
                    view.environment or "not built",
                ),
            ),
            (
                "behaviour",
                marked(_agree(view.ok), words.plain(view.behaviour)),
            ),
            ("difference", f"{difference} at most (tolerance {words.number(view.tolerance)})"),
            *((f"by {each.engine}", _replay(each)) for each in view.engines[1:]),
            ("retrain", words.plain(view.retrain or "not asked for")),
            *(("because", problem) for problem in view.problems),
        )
    )


def _replay(view: s.ReplayView) -> str:
    seen = words.number(view.max_difference)
    said = f"{seen} at most (tolerance {words.number(view.tolerance)})"
    return f"{words.plain(view.behaviour)}, {said}"


def _agree(good: bool) -> Mark:
    return words.VERDICT["ok" if good else "bad"]


@render.register
def _(view: demo_shapes.DemoView) -> RenderableType:
    acts = table(
        ("act", "result", "facts"),
        (
            (
                act.act,
                marked(_agree(act.ok), "as it should" if act.ok else "not as it should"),
                _act_told(act),
            )
            for act in view.acts
        ),
    )
    facts: list[tuple[str, RenderableType]] = [
        ("requests", f"{view.requests.total} total, {view.requests.failed} failed"),
        ("false alarms", str(view.false_alarms)),
    ]
    if view.rollback is not None:
        back = view.rollback
        facts.append(("rollback", _caught(back)))
    releases = render(s.ReleasesView(view.releases))
    incidents = render(s.WhyView(view.incidents))
    verdict = marked(_agree(view.ok), f"demo {'done' if view.ok else 'failed'}")
    verdict.append(f" in {words.span(view.seconds)}")
    return Group(acts, Text(), releases, Text(), incidents, Text(), pairs(facts), verdict)


def _caught(view: demo_shapes.DemoRollbackView) -> str:
    """What the bad release cost, from its first request to its last."""
    left = "none of them came after that"
    if view.restore_seconds:
        left = f"the last of them came {words.span(view.restore_seconds)} after that"
    exposed = many(view.requests_exposed, "request")
    return f"{exposed} exposed, decided {words.span(view.detect_seconds)} after the first; {left}"


_TOLD_ELSEWHERE = ("digest", "incident", "served", "ruled_out", "detect_", "restore_")


def _act_told(act: demo_shapes.ActView) -> str:
    """An act's facts for people, without what the lists below the table tell."""
    return ", ".join(
        _fact_told(name, value)
        for name, value in act.facts.items()
        if not name.startswith(_TOLD_ELSEWHERE) and value is not None
    )


def _fact_told(name: str, value: s.Fact) -> str:
    if value is None or isinstance(value, bool | str):
        return f"{words.plain(name)} {value}"
    if name.endswith("seconds"):
        what = words.plain(name.removesuffix("seconds").removesuffix("_")) or "took"
        return f"{what} {words.span(value)}"
    text = f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:.3g}"
    return f"{words.plain(name)} {text}"


@render.register
def _(view: s.InitView) -> RenderableType:
    files = [Text(f"  {name}") for name in view.files]
    steps = [Text(f"  {step}", style="bold") for step in view.next]
    return Group(Text(f"✔ made {view.folder}", style=TONES["good"]), *files, Text("next:"), *steps)


@render.register
def _(view: s.UpView) -> RenderableType:
    return Text(places.told(view))


@render.register
def _(view: sent.LabelView) -> RenderableType:
    labels = many(view.accepted, "label")
    line = f"✔ {labels} of {view.deployment} stored in {words.span(view.seconds)}"
    return Text(line, style=TONES["good"])


@render.register
def _(view: sent.ParityView) -> RenderableType:
    line = f"{view.compared:,} answers of {view.deployment} compared in {words.span(view.seconds)}"
    rows = [
        (f"{view.repeated:,} rows", "their answer was compared before"),
        (f"{view.unmatched:,} rows", "they name no answer in the log at that time"),
    ]
    told = [row for row, n in zip(rows, (view.repeated, view.unmatched), strict=True) if n]
    mark, tone = ("✔", TONES["good"]) if view.compared else ("–", TONES["warn"])
    return Group(Text(f"{mark} {line}", style=tone), pairs(told))


@render.register
def _(view: sent.AuditView) -> RenderableType:
    line = (
        f"{view.rate_ratio:.2%} of {view.predictions:,} predictions of {view.deployment} are "
        f"audited: {view.asked:,}, of which {view.labelled:,} have a label"
    )
    rows = [(each.id, str(each.row), words.clock(each.at)) for each in view.waiting]
    return Group(Text(line), table(("id", ">row", "at"), rows))


@render.register
def _(view: sent.ScoreView) -> RenderableType:
    line = f"✔ {view.rows:,} rows of {view.deployment} scored in {words.span(view.seconds)}"
    rows = [
        ("result", view.output),
        ("rate", f"{view.rows_per_second:,.0f} rows a second"),
        *((release, f"{count:,} rows") for release, count in sorted(view.releases.items())),
    ]
    if view.resumed_rows:
        rows.append(("kept from before", f"{view.resumed_rows:,} rows"))
    if view.refusals:
        rows.append(("sent again later", f"{view.refusals:,} requests"))
    return Group(Text(line, style=TONES["good"]), pairs(rows))


@render.register
def _(view: s.CheckView) -> RenderableType:
    if view.ok:
        deployments = many(len(view.deployments), "deployment")
        models = many(len(view.models), "model")
        line = f"✔ trimtab.toml is in order: {deployments}, {models} with a pipeline"
        return Text(line, style=TONES["good"])
    parts: list[RenderableType] = []
    for problem in view.problems:
        parts.append(Text(f"✖ {problem.subject}: {problem.message}", style=TONES["bad"]))
        parts.append(Text(f"  hint: {problem.hint}"))
    return Group(*parts)
