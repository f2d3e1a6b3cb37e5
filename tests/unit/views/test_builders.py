"""What screens say about a state, by table."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from rich.console import Console
from tests.support.scenes import (
    NAME,
    NOW,
    PLACE,
    SEEN,
    MemorySystem,
    configured,
    digest,
    in_canary,
    incident,
    release,
    serving,
    standing,
    verdict,
    with_rehearsal,
)
from tests.support.traffic import profile

from trimtab import errors
from trimtab.domain import events as e
from trimtab.domain.events import kind_of
from trimtab.domain.reproduction import Reproduction
from trimtab.views import demo_shapes, svg, text, words
from trimtab.views import samples as _samples  # noqa: F401, so that the screen knows the view
from trimtab.views import sent_shapes as sent
from trimtab.views import shapes as s
from trimtab.views.encode import to_json
from trimtab.views.journal import (
    build_concentration,
    build_history,
    build_one,
    build_runs,
    build_shown,
    build_traffic,
    build_why,
    summary,
)
from trimtab.views.orders import build_order
from trimtab.views.releases import build_releases, build_show
from trimtab.views.reproduction import build_reproduction
from trimtab.views.sample_shapes import SamplesView
from trimtab.views.seen import Blocks, TrafficCounts, moment
from trimtab.views.status import build_status


def paused() -> MemorySystem:
    system = in_canary()
    system.tell(e.RolloutPaused("r2"))
    return system


def stopped() -> MemorySystem:
    system = serving()
    system.workers = {}
    return system


def with_page() -> MemorySystem:
    system = serving()
    system.tell(e.IncidentOpened(incident()))
    return system


def with_bad_verdict() -> MemorySystem:
    system = in_canary()
    system.verdicts[NAME] = (verdict("quality", verdict="bad", reason="outside its zone"),)
    return system


def with_ticket() -> MemorySystem:
    system = serving()
    system.tell(e.IncidentOpened(incident(tier="ticket")))
    return system


def read_late(seconds: float = 41.0) -> MemorySystem:
    system = serving()
    system.traffic[NAME] = TrafficCounts(12_408, behind_seconds=seconds, unreadable=2)
    return system


@pytest.mark.parametrize(
    ("scene", "state", "reason"),
    [
        (configured, "down", "nothing is deployed yet: trimtab deploy flight-delay"),
        (serving, "healthy", "flight-delay@1 serves all requests"),
        (in_canary, "progressing", "flight-delay@2 is in canary"),
        (paused, "paused", "flight-delay@2 is paused in canary"),
        (stopped, "down", "flight-delay@1 has no ready worker"),
        (with_page, "degraded", "incident flight-delay-i1: upstream break"),
        (with_bad_verdict, "degraded", "quality: outside its zone"),
        (with_ticket, "healthy", "flight-delay@1 serves all requests"),
        (
            read_late,
            "degraded",
            "requests are judged 41 s late: the control loop lacks processor time",
        ),
    ],
)
def test_a_deployment_has_one_word_and_one_reason(
    scene: Callable[[], MemorySystem], state: str, reason: str
) -> None:
    view = build_status(scene().seen()).deployments[0]
    assert (view.state, view.reason) == (state, reason)


@pytest.mark.parametrize(("files", "said"), [(0, ""), (1, "a file of the"), (3, "3 files of the")])
def test_files_of_the_log_that_were_set_aside_are_counted(files: int, said: str) -> None:
    system = serving()
    system.traffic[NAME] = TrafficCounts(12_408, damaged=files)
    told = as_text(build_status(system.seen()))
    assert (f"{said} request log, damaged and set aside" in told) is bool(files)


def test_shares_of_stable_and_candidate_sum_to_one() -> None:
    view = build_status(in_canary().seen()).deployments[0]
    assert view.stable is not None
    assert view.candidate is not None
    assert (view.stable.weight_ratio, view.candidate.weight_ratio) == (0.95, 0.05)


def test_in_bake_the_candidate_is_stable_and_no_longer_listed_beside_it() -> None:
    system = in_canary()
    system.tell(e.RolloutAdvanced("r2", "bake", 0, 10_000, NOW))
    view = build_status(system.seen()).deployments[0]
    assert view.stable is not None
    assert (view.stable.release, view.candidate) == ("flight-delay@2", None)
    assert view.rollback.target == "flight-delay@1"
    assert view.rollback.ready


def test_a_rehearsed_rollback_says_how_long_it_took() -> None:
    view = build_status(with_rehearsal(serving().seen())).deployments[0]
    assert view.rollback.seconds == 0.42


def test_the_loudest_verdict_comes_first_and_names_its_release() -> None:
    system = in_canary()
    system.verdicts[NAME] += (verdict("drift", verdict="bad", release=digest(1)),)
    first = build_status(system.seen()).deployments[0].verdicts[0]
    assert (first.signal, first.release) == ("drift", "flight-delay@1")


def test_numbers_that_json_cannot_say_are_bounded() -> None:
    system = serving()
    system.verdicts[NAME] = (verdict(evidence_log10=float("inf"), upper=float("inf")),)
    first = build_status(system.seen()).deployments[0].verdicts[0]
    assert (first.evidence_log10, first.upper) == (9999.0, None)


def test_an_unknown_deployment_is_not_found() -> None:
    with pytest.raises(errors.NotFound, match="no deployment"):
        build_status(serving().seen(), "other")


def test_an_incident_is_shown_as_it_was_last_recorded() -> None:
    system = serving()
    system.tell(e.IncidentOpened(incident(release=digest(1))))
    system.tell(e.IncidentUpdated(incident(release=digest(1), action="hold")))
    system.tell(e.IncidentClosed("flight-delay-i1", NOW))
    told = build_why(system.journal, system.names).incidents[0]
    assert (told.action, told.release) == ("hold", "flight-delay@1")
    assert told.closed_at == datetime.fromtimestamp(NOW, UTC)
    (one,) = build_one(system.journal, system.names, told.id).incidents
    assert one == told
    with pytest.raises(errors.NotFound, match="no incident"):
        build_one((), system.names, "i9")


def as_text(view: object) -> str:
    console = Console(width=250, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(text.render(view))
    return capture.get()


def test_an_incident_shows_requests_their_share_and_the_segment() -> None:
    system = serving()
    unseen = msgspec.structs.replace(SEEN, signal="labels", of=0, share=None, samples=())
    system.tell(e.IncidentOpened(incident(shown=(SEEN, unseen), concentration=PLACE)))
    view = build_why(system.journal, system.names)
    (told,) = view.incidents
    assert told.concentration is not None
    assert told.concentration.rows_ratio == 0.33
    assert [each.request_id for each in told.shown[0].samples] == ["req-<7>", "req-8"]
    seen = as_text(view)
    assert (
        "97 % [90 %, 100 %] of the excess lies in origin 'JFK', which is 33 % of the rows" in seen
    )
    assert "39 % of 1,200 rows; there are more, the newest were looked at" in seen
    assert "such as req-<7> (missing), req-8 row 3 (missing)" in seen
    assert "labels: " not in seen


def test_samples_of_an_incident_are_a_table_for_each_signal() -> None:
    found = SamplesView(
        incident="i1",
        deployment=NAME,
        release=f"{NAME}@1",
        since=moment(NOW - 60),
        until=None,
        signals=(build_shown(SEEN), build_shown(msgspec.structs.replace(SEEN, samples=()))),
        concentration=build_concentration(PLACE),
    )
    seen = as_text(found)
    assert "to now (UTC)" in seen
    assert seen.count("req-8") == 1
    assert "of the excess lies in origin" in seen
    alone = as_text(msgspec.structs.replace(found, until=moment(NOW), concentration=None))
    assert "of the harm" not in alone


def test_runs_are_told_by_how_they_ended() -> None:
    system = serving()
    for run in ("run1", "run2", "run3"):
        system.tell(e.RunRequested(run, NAME, "quality", NOW))
    system.tell(e.RunSucceeded("run1", standing(3), 12.5))
    system.tell(e.RunFailed("run2", "step model: no labels"))
    told = {view.id: (view.state, view.release) for view in build_runs(system.journal).runs}
    assert told == {
        "run3": ("running", None),
        "run2": ("failed", None),
        "run1": ("succeeded", "flight-delay@3"),
    }


def before_the_first_event() -> MemorySystem:
    """`@1` went out on event time before any event came; the guard found a page meanwhile."""
    system = configured()
    system.tell(e.RolloutStarted("r1", standing(1), "now", 0.0), f"{NAME}@1")
    system.tell(e.RolloutAdvanced("r1", "bake", 0, 10_000, 0.0))
    system.tell(e.IncidentOpened(incident(opened_at=0.0, first_evidence_at=0.0)))
    return system


def test_a_clock_that_has_not_begun_is_never_shown_as_a_time() -> None:
    system = before_the_first_event()
    views = (
        build_status(replace(system.seen(), clocks={NAME: 0.0})),
        build_why(system.journal, system.names),
        build_history(system.journal, system.names),
        build_traffic(system.journal, system.deployment(NAME), 0.0),
    )
    assert not [view for view in views if b"1970" in to_json(view)]
    rollout = views[0].deployments[0].rollout
    assert rollout is not None
    assert (rollout.started_at, rollout.since) == (None, None)
    system.tell(e.IncidentClosed("flight-delay-i1", 0.0))
    system.tell(e.RolloutEnded("r1", standing(1), "promoted", 0.0))
    assert b"1970" not in to_json(build_why(system.journal, system.names))
    assert b"1970" not in to_json(build_status(system.seen()))


def test_traffic_begins_with_the_first_event_on_the_share_set_before_it() -> None:
    system = before_the_first_event()
    assert build_traffic(system.journal, system.deployment(NAME), 0.0).points == ()
    waiting = build_traffic(system.journal, system.deployment(NAME), NOW)
    assert [(point.at, point.shares) for point in waiting.points] == [
        (datetime.fromtimestamp(NOW, UTC), {"flight-delay@1": 1.0})
    ]
    system.tell(e.RolloutEnded("r1", standing(1), "promoted", NOW - 500))
    system.tell(e.RolloutStarted("r2", standing(2), "steps", NOW - 400))
    system.tell(e.RolloutAdvanced("r2", "canary", 0, 100, NOW - 300))
    view = build_traffic(system.journal, system.deployment(NAME), NOW)
    assert [point.at.timestamp() for point in view.points] == [NOW - 500, NOW - 300]
    assert view.points[0].shares == {"flight-delay@1": 1.0}
    assert "1970" not in svg.traffic(view)


def test_traffic_is_read_from_the_journal_and_marks_how_rollouts_end() -> None:
    system = in_canary()
    system.finish("rolled_back")
    view = build_traffic(system.journal, system.deployment(NAME), NOW + 60)
    last = view.points[-1]
    assert [point.shares.get("flight-delay@2") for point in view.points] == [None, 0.01, 0.05, None]
    assert (last.note, last.shares) == ("rolled back", {"flight-delay@1": 1.0})
    assert view.until == datetime.fromtimestamp(NOW + 60, UTC)


def test_traffic_of_a_part_of_the_past_begins_where_it_is_known_what_served() -> None:
    system = in_canary()
    system.finish("rolled_back")
    state, every = system.deployment(NAME), build_traffic(system.journal, system.deployment(NAME))
    assert build_traffic(system.journal, state, whole=False) == every
    assert build_traffic(system.journal[-4:], state, whole=False).points == ()
    rollout = [place for place, entry in enumerate(system.journal) if entry.release == f"{NAME}@2"]
    since = build_traffic(system.journal[rollout[0] :], state, whole=False)
    assert (
        since.points == build_traffic(system.journal[rollout[0] - 1 :], state, whole=False).points
    )
    assert since.points[1:] == every.points[1:]


def test_what_is_left_out_is_told_with_the_command_that_shows_it() -> None:
    system = in_canary()
    system.tell(e.RunRequested("run1", NAME, "quality", NOW))
    for verb, cut, whole in (
        ("why", build_why((), {}, earlier=7), build_why((), {})),
        ("history", build_history(system.journal, {}, 7), build_history(system.journal, {})),
        ("runs", build_runs(system.journal, 7), build_runs(system.journal)),
    ):
        assert f"trimtab {verb} --before 7" in as_text(cut)
        assert "--before" not in as_text(whole)


def test_a_damaged_journal_is_told_first_and_with_what_to_do() -> None:
    seen = replace(serving().seen(), journal_broken="entry 5 does not match the hash chain")
    told = as_text(build_status(seen))
    assert told.startswith("✖ the journal is damaged: entry 5 does not match the hash chain")
    assert "restore control.db" in told
    assert "damaged" not in as_text(build_status(serving().seen()))


@pytest.mark.parametrize(
    ("free", "told"),
    [
        (0, "✖ the disk of the state folder is full: requests are answered but not logged"),
        (100 << 20, "⚠ 100 MiB are left on the disk of the state folder"),
    ],
)
def test_a_disk_without_room_is_told_first_and_what_it_means(free: int, told: str) -> None:
    status = build_status(replace(serving().seen(), free_bytes=free))
    assert as_text(status).startswith(told)
    assert status.disk_left_mib == free >> 20


def test_a_disk_with_room_is_no_news() -> None:
    assert build_status(replace(serving().seen(), free_bytes=1 << 40)).disk_left_mib is None


def test_every_kind_of_event_has_a_name_and_a_sentence() -> None:
    told: dict[str, e.AnyEvent] = {
        "proven": e.Proven(standing(1), NOW),
        "rolled_back_to": e.RolledBackTo(standing(2), standing(1), NOW),
        "rollout_paused": e.RolloutPaused("r"),
        "rollout_resumed": e.RolloutResumed("r"),
        "incident_closed": e.IncidentClosed("i", NOW),
        "run_failed": e.RunFailed("run1", "why"),
    }
    for kind, event in told.items():
        assert kind_of(event) == kind
        assert len(summary(event)) > 5


def test_roles_say_what_a_release_is_to_each_deployment() -> None:
    system = in_canary()
    roles = {view.release: view.roles for view in build_releases(system.seen()).releases}
    assert roles["flight-delay@1"] == ("flight-delay: stable",)
    assert roles["flight-delay@2"] == ("flight-delay: candidate",)
    assert roles["flight-delay@3"] == ()
    assert build_releases(system.seen(), "other").releases == ()


def test_an_order_tells_what_changed_and_the_way_back() -> None:
    before, after = serving(), in_canary()
    view = build_order("deploy", NAME, before.seen(), after.seen(), 0.1)
    assert (view.changed, view.undo) == (True, "trimtab abort flight-delay")
    same = build_order("pause", NAME, after.seen(), after.seen(), 0.1)
    assert (same.changed, same.undo) == (False, "")


def demo() -> demo_shapes.DemoView:
    system = in_canary()
    system.tell(e.IncidentOpened(incident()))
    return demo_shapes.DemoView(
        ok=True,
        acts=(demo_shapes.ActView("build", True, {"seconds": 12.0}),),
        requests=demo_shapes.TotalsView(1000, 0),
        rollback=demo_shapes.DemoRollbackView(40, 1.5, 0.2),
        incidents=build_why(system.journal, system.names).incidents,
        false_alarms=0,
        releases=build_releases(system.seen()).releases,
        seconds=200.0,
    )


def every_view() -> list[msgspec.Struct]:
    system = in_canary()
    system.tell(e.IncidentOpened(incident()))
    system.tell(e.RunRequested("run1", NAME, "quality", NOW))
    seen, entries = system.seen(), system.journal
    return [
        build_status(seen),
        build_status(MemorySystem().seen()),
        build_status(serving().seen()),
        build_why(entries, system.names),
        build_why((), {}),
        build_history(entries, system.names),
        build_history((), {}),
        build_runs(entries),
        build_runs(()),
        build_releases(seen),
        build_releases(MemorySystem().seen()),
        build_show(release(1), seen, None),
        build_show(release(1), seen, profile()),
        build_order("deploy", NAME, serving().seen(), seen, 0.2),
        build_order("pause", NAME, seen, seen, 0.2),
        build_reproduction(
            Reproduction(release="m@1", integrity="ok", behaviour="divergent", problems=("no",))
        ),
        demo(),
        s.BuildView(
            release="m@1",
            model="m",
            number=1,
            digest=digest(1),
            engine="native",
            signature=release(1).manifest.signature,
            seconds=1.0,
            new=False,
        ),
        s.InitView("p", ("trimtab.toml",), ("cd p",)),
        s.UpView("http://a", "http://b", 1, "p/.trimtab"),
        sent.LabelView("d", 3, 0.1),
        sent.AuditView(
            deployment="d",
            rate_ratio=0.01,
            predictions=300,
            asked=3,
            labelled=2,
            waiting=(sent.AskedView("r-1", 0, moment(5.0)),),
        ),
        sent.ParityView("d", 3, 1, 1, 0.1),
        sent.ParityView("d", 0, 0, 4, 0.1),
        sent.ScoreView("d", "out.parquet", 30, 10, 200.0, 1, {"m@1": 20}, 0.1),
        s.CheckView(False, "p", ("d",), (), (s.ProblemView("TT-102", "x", "wrong", "fix"),)),
        s.CheckView(True, "p", (), (), ()),
    ]


@pytest.mark.parametrize("view", every_view(), ids=lambda view: type(view).__name__)
def test_every_view_has_a_text_and_survives_json(view: msgspec.Struct) -> None:
    console = Console(width=200, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(text.render(view))
    assert capture.get().strip()
    assert msgspec.json.decode(to_json(view), type=type(view)) == view


def test_text_says_states_with_icon_and_word() -> None:
    console = Console(width=200, no_color=True)
    with console.capture() as capture:
        console.print(text.render(build_status(in_canary().seen())))
    shown = capture.get()
    assert "flight-delay  ◌ progressing" in shown
    assert "why not yet: about 2 400 more requests" in shown
    assert "[5 %]" in shown


def test_text_says_that_nobody_judges_what_cannot_be_read() -> None:
    console = Console(width=200, no_color=True)
    with console.capture() as capture:
        console.print(text.render(build_status(read_late(2.0).seen())))
    assert "healthy" in capture.get()
    assert "2 segments of the request log cannot be read" in capture.get()
    assert words.unread(1).startswith("a segment of the request log cannot be read")


def test_what_is_no_view_has_no_text() -> None:
    with pytest.raises(TypeError, match="no text"):
        text.render(object())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 s"),
        (2e-6, "2 µs"),
        (0.85, "850 ms"),
        (1.52, "1.5 s"),
        (42.0, "42 s"),
        (7200.0, "2 h"),
    ],
)
def test_durations_have_one_unit(seconds: float, said: str) -> None:
    assert words.span(seconds) == said


HOUR, DAY = 3600.0, 86_400.0


@pytest.mark.parametrize(
    ("blocks", "since", "closes"),
    [
        (Blocks(60.0), NOW, "2023-11-14 22:14:00"),
        (Blocks(HOUR), NOW, "2023-11-14 23:00:00"),
        (Blocks(DAY), NOW, "2023-11-15 00:00:00"),
        (Blocks(DAY, whole=True), NOW, "2023-11-16 00:00:00"),
        (Blocks(DAY, whole=True), NOW - DAY, "2023-11-15 00:00:00"),
        (Blocks(DAY, whole=True), None, "2023-11-15 00:00:00"),
    ],
)
def test_the_next_block_is_the_first_to_close_that_may_be_evidence(
    blocks: Blocks, since: float | None, closes: str
) -> None:
    """Where days are compared with days, that in which the release began to serve is left out."""
    seen = replace(serving().seen(), blocks={NAME: blocks})
    state = msgspec.structs.replace(seen.state.deployments[NAME], serving_since=since)
    seen = replace(seen, state=msgspec.structs.replace(seen.state, deployments={NAME: state}))
    view = build_status(seen).deployments[0]
    assert view.blocks is not None
    assert (view.blocks.seconds, words.clock(view.blocks.closes_at)) == (blocks.seconds, closes)


def test_a_status_says_how_long_it_is_until_the_next_block_closes() -> None:
    seen = replace(serving().seen(), blocks={NAME: Blocks(HOUR)})
    told = as_text(build_status(seen))
    assert "blocks  of 60 min; the next closes at 2023-11-14 23:00:00 (UTC), in 47 min" in told


def test_a_status_says_why_blocks_are_as_long_as_they_are() -> None:
    seen = replace(serving().seen(), blocks={NAME: Blocks(DAY, whole=True, reason="as said")})
    told = as_text(build_status(seen))
    assert "blocks  of 24 h, as said; the next closes at " in " ".join(told.split(" "))


def test_how_long_event_time_takes_is_not_said() -> None:
    view = build_status(replace(serving().seen(), blocks={NAME: Blocks(HOUR)})).deployments[0]
    view = msgspec.structs.replace(view, clock="event")
    assert words.blocks(view).endswith("closes at 2023-11-14 23:00:00 (UTC)")


@pytest.mark.parametrize("clocks", [{}, {NAME: 0.0}])
def test_before_its_clock_began_a_deployment_has_no_block(clocks: dict[str, float]) -> None:
    seen = replace(serving().seen(), blocks={NAME: Blocks(HOUR)}, clocks=clocks)
    view = build_status(seen).deployments[0]
    assert view.blocks is None
    assert words.blocks(view) == ""


def test_an_unknown_deployment_is_told_with_those_that_there_are() -> None:
    with pytest.raises(errors.NotFound, match=r"no deployment has that name \(there are: flight"):
        build_status(serving().seen(), "flight")
    with pytest.raises(errors.NotFound, match="there are: none"):
        build_status(MemorySystem().seen(), "flight")


@pytest.mark.parametrize(
    ("restore", "said"),
    [
        (0.2, "40 requests exposed, decided 1.5 s after the first; the last of them came 200 ms"),
        (0.0, "40 requests exposed, decided 1.5 s after the first; none of them came after that"),
    ],
)
def test_a_demo_says_from_where_to_where_it_counted(restore: float, said: str) -> None:
    facts: dict[str, s.Fact] = {"detect_seconds": 1.5, "restore_seconds": restore}
    told = as_text(
        msgspec.structs.replace(
            demo(),
            rollback=demo_shapes.DemoRollbackView(40, 1.5, restore),
            acts=(demo_shapes.ActView("4 a bad release", True, facts),),
        )
    )
    assert said in told
    assert "restore" not in told


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (sent.LabelView(NAME, 1, 0.1), "✔ 1 label of"),
        (sent.LabelView(NAME, 2000, 0.1), "✔ 2,000 labels of"),
        (s.CheckView(True, ".", ("a",), ("m",), ()), "1 deployment, 1 model with a pipeline"),
        (s.CheckView(True, ".", (), ("m", "n"), ()), "0 deployments, 2 models with a pipeline"),
    ],
)
def test_one_thing_is_said_in_the_singular(view: msgspec.Struct, said: str) -> None:
    assert said in as_text(view)


def test_what_was_not_reproduced_is_told_with_its_reason() -> None:
    found = Reproduction(release="m@1", integrity="ok", behaviour="not_run", problems=("no set",))
    told = as_text(build_reproduction(found))
    assert "✖ not run" in told
    assert "because      no set" in told


@pytest.mark.parametrize(("weight", "share"), [(50, "0.5%"), (1, "0.01%"), (1000, "10%")])
def test_a_small_share_of_a_canary_is_no_none(weight: int, share: str) -> None:
    entered = e.RolloutAdvanced("r2", "canary", 0, weight, 0.0)
    assert summary(entered) == f"rollout entered canary at {share}"
