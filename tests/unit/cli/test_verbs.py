"""The verbs, called as a person would, against the real admin app on a loopback port."""

import errno
import http.server
import io
import json
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import click
import msgspec
import pytest
from click.testing import CliRunner, Result
from tests.support.admin import Listener, admin
from tests.support.scenes import NAME, incident, serving, standing

from trimtab import errors
from trimtab.agent.lock import hold_home
from trimtab.cli import follow, names, screen
from trimtab.cli.api import Api
from trimtab.cli.group import VERBS, main, trimtab
from trimtab.cli.screen import Screen, verb
from trimtab.cli.verbs.build import following
from trimtab.cli.verbs.status import Lines
from trimtab.client import Client, LabelWarning
from trimtab.domain import events as e
from trimtab.views.shapes import StatusView
from trimtab.views.status import build_status


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without a server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRIMTAB_HOME", raising=False)
    (tmp_path / "trimtab.toml").write_text("")
    (tmp_path / ".trimtab" / "run").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def listener(folder: Path) -> Iterator[Listener]:
    """The project's server, with `@1` serving."""
    with admin(serving()) as running:
        point(folder, running.url)
        yield running


def point(folder: Path, url: str) -> None:
    facts = {"pid": 1, "inference": url, "admin": url, "started_at": 0.0}
    (folder / ".trimtab/run/agent.json").write_text(json.dumps(facts))


def call(*arguments: str, data: str | None = None) -> Result:
    return CliRunner().invoke(trimtab, arguments, input=data)


def test_help_lists_every_verb_with_its_own_first_sentence() -> None:
    shown = call("--help").stdout
    for name, sentence in VERBS.items():
        command = trimtab.get_command(click.Context(trimtab), name)
        assert command is not None
        assert str(command.help).split("\n\n")[0].startswith(sentence.removesuffix("."))
        assert f"  {name} " in shown


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_takes_json(name: str) -> None:
    command = trimtab.get_command(click.Context(trimtab), name)
    assert command is not None
    assert {"as_json", "verbose", "no_color"} <= {option.name for option in command.params}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("frobnicate", ""),
        ("stauts", " Did you mean 'status'?"),
        ("journal", " Did you mean 'history'?"),
        ("dashboard", " Did you mean 'up'?"),
    ],
)
def test_of_an_unknown_verb_it_is_said_which_was_meant(typed: str, meant: str) -> None:
    result = call(typed)
    assert result.exit_code == 2
    assert result.stderr.endswith(f"No such verb '{typed}'.{meant}\n")


@pytest.mark.parametrize(
    ("words", "path", "message"),
    [
        (("show",), "trimtab show", "Missing argument 'RELEASE'"),
        (("status", "--frob"), "trimtab status", "No such option '--frob'"),
        (("stauts",), "trimtab", "No such verb 'stauts'. Did you mean 'status'?"),
        (("history", "--limit", "x"), "trimtab history", "Invalid value for '--limit': "),
        (("promote", "d", "--override"), "trimtab promote", "--override needs a --reason"),
    ],
)
def test_misuse_is_the_error_shape_where_json_is_asked_for(
    words: tuple[str, ...], path: str, message: str
) -> None:
    plain, told = call(*words), call(*words, "--json")
    assert plain.stdout == ""
    assert (told.exit_code, told.stderr) == (plain.exit_code, plain.stderr)
    assert told.exit_code == 2
    error = json.loads(told.stdout)["error"]
    assert (error["code"], error["subject"]) == ("TT-117", path)
    assert error["message"].startswith(message)
    assert error["hint"] == f"{path} --help"


def test_labels_that_judge_nothing_are_a_warning_and_a_count(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def label(self: Client, *_: object, **__: object) -> int:
        self.unusable += 1
        warnings.warn("1 of the labels is no class", LabelWarning, stacklevel=2)
        return 2

    monkeypatch.setattr(Client, "label", label)
    told = call("label", NAME, "-", "--json", data="key,label\na,1\nb,7\n")
    assert json.loads(told.stdout)["unusable"] == 1
    assert (told.exit_code, told.stderr) == (0, "warning: 1 of the labels is no class\n")


def test_a_word_after_the_options_is_no_wish_for_json() -> None:
    assert call("status", "--frob", "--", "--json").stdout == ""


def test_after_a_build_it_is_said_what_lets_the_release_out(listener: Listener) -> None:
    order = f"trimtab deploy {NAME} --release m@2"
    assert following("m@2", "m", [NAME]) == order
    again = following("m@2", "m", ["other"])
    assert again.startswith("start trimtab up again, and in a second terminal: trimtab deploy")
    assert "[deployment.m]" in following("m@2", "m", [])


def test_a_release_that_nothing_could_serve_yet_needs_a_server_first(folder: Path) -> None:
    told = following("m@2", "m", ["m"])
    assert told == "trimtab up, and in a second terminal: trimtab deploy m --release m@2"


def test_status_shows_what_serves(listener: Listener) -> None:
    result = call("status")
    assert result.exit_code == 0
    assert "flight-delay  ✔ healthy" in result.stdout
    assert result.stderr == ""


def test_status_ends_with_1_when_something_is_unhealthy(listener: Listener) -> None:
    listener.system.workers = {}
    result = call("status", NAME, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["deployments"][0]["state"] == "down"


def test_a_watched_status_is_shown_again_only_when_it_changes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    system = serving()
    lines = Lines(Screen(as_json=True), build_status(system.seen()))
    system.now += 1
    lines(build_status(system.seen()))
    system.workers.clear()
    lines(build_status(system.seen()))
    shown = [json.loads(line)["deployments"][0] for line in capsys.readouterr().out.splitlines()]
    assert [view["state"] for view in shown] == ["healthy", "down"]


def test_a_watch_ends_with_its_timeout(listener: Listener) -> None:
    result = call("status", "-w", "--timeout", "0.01")
    assert (result.exit_code, result.stdout.count("flight-delay  ✔ healthy")) == (0, 1)


def test_without_a_server_a_verb_ends_with_3_and_a_hint(folder: Path) -> None:
    result = call("status")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith("error: reach server")
    assert result.stderr.endswith("unchanged: nothing was changed\nhint: trimtab up\n")


def test_a_server_of_another_project_is_not_asked_in_the_place_of_one_that_was_killed(
    listener: Listener, folder: Path
) -> None:
    with hold_home(folder / ".trimtab"):
        assert call("status").exit_code == 0
    told = call("status")
    assert (told.exit_code, "no trimtab server runs on this project" in told.stderr) == (3, True)


def test_an_empty_variable_names_no_state_folder(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMTAB_HOME", "")
    assert call("status").exit_code == 0


def test_a_server_that_is_gone_ends_with_3(folder: Path) -> None:
    point(folder, "http://127.0.0.1:9")
    assert call("history").exit_code == 3


@pytest.mark.parametrize("verb", ["status", "show", "deploy", "why", "plan", "rollback"])
def test_a_name_that_is_empty_is_wrong_usage(listener: Listener, verb: str) -> None:
    result = call(verb, "")
    assert (result.exit_code, "a name is empty (TT-117)" in result.stderr) == (2, True)


def test_bytes_that_are_no_text_are_no_deployment(listener: Listener) -> None:
    result = call("status", "\udcff")
    assert (result.exit_code, "no deployment has that name" in result.stderr) == (1, True)
    assert call("history", "\udcff").exit_code == 1


def test_another_program_on_the_admin_port_is_told_as_such(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html></html>")

        def log_message(self, format: str, *args: object) -> None:
            """Be silent."""

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as other:
        point(folder, f"http://127.0.0.1:{other.server_port}")
        threading.Thread(target=other.handle_request).start()
        result = call("status")
    assert (result.exit_code, "another program may use" in result.stderr) == (1, True)


def test_outside_a_project_a_verb_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRIMTAB_HOME", raising=False)
    result = call("status")
    assert (result.exit_code, "TT-103" in result.stderr) == (2, True)


def test_errors_of_the_api_are_the_errors_of_the_verb(listener: Listener) -> None:
    result = call("pause", NAME, "--json")
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert (error["code"], error["unchanged"]) == ("TT-603", "what serves is as it was")
    assert "error: pause flight-delay: no rollout is in progress (TT-603)" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in call("pause", NAME, "-v").stderr


def test_a_deploy_that_is_not_followed_returns_at_once(listener: Listener) -> None:
    result = call("deploy", NAME, "--release", "flight-delay@2", "--no-wait")
    assert result.exit_code == 0
    assert "undo: trimtab abort flight-delay" in result.stdout


def test_a_deploy_takes_the_newest_release_by_itself(listener: Listener) -> None:
    told = json.loads(call("deploy", NAME, "--json", "--no-wait").stdout)
    assert told["release"] == "flight-delay@3"


@pytest.mark.parametrize(("outcome", "code"), [("promoted", 0), ("rolled_back", 5), ("aborted", 1)])
def test_a_followed_deploy_ends_as_the_rollout_does(
    listener: Listener, outcome: str, code: int
) -> None:
    system = listener.system

    def play() -> None:
        while system.deployment(NAME).rollout is None:
            threading.Event().wait(0.01)
        system.finish(outcome)

    player = threading.Thread(target=play)
    player.start()
    result = call("deploy", NAME, "--release", "flight-delay@2", "--wait", "--json")
    player.join()
    assert result.exit_code == code
    assert json.loads(result.stdout)["rollout"]["outcome"] == outcome


def test_a_deploy_given_again_says_where_the_rollout_is_and_follows_it_to_its_end(
    listener: Listener,
) -> None:
    call("deploy", NAME, "--release", "flight-delay@2", "--no-wait")
    again = call("deploy", NAME, "--release", "flight-delay@2", "--no-wait")
    assert "flight-delay@2 is in " in again.stdout
    followed = call("deploy", NAME, "--release", "flight-delay@2", "--wait", "--timeout", "0.1")
    assert followed.exit_code == 4


def test_a_deploy_that_lasts_too_long_ends_with_4(listener: Listener) -> None:
    result = call("deploy", NAME, "--wait", "--timeout", "0.1")
    assert (result.exit_code, "the rollout goes on" in result.stderr) == (4, True)


@pytest.mark.parametrize(("timeout", "looks"), [(None, 3), (100.0, 8), (5.0, 2)])
def test_a_server_that_is_away_is_waited_for_as_long_as_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, timeout: float | None, looks: int
) -> None:
    now, asked = [0.0], []

    def away(*_: object) -> StatusView:
        asked.append(now[0])
        raise errors.Unavailable(errors.NOT_RUNNING, "ask", "server", "it is away")

    def pass_by(_: float) -> None:
        now[0] += 16.0

    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=pass_by)
    monkeypatch.setattr(follow, "time", clock)
    api = Api("http://127.0.0.1:1")
    monkeypatch.setattr(api, "get", away)
    with pytest.raises(errors.TimedOut if timeout == 5.0 else errors.Unavailable):
        follow.Follower(api, Screen(), NAME, "r1").wait(timeout)
    assert len(asked) == looks


@pytest.mark.parametrize(("takes", "looks"), [(1, 1), (3, 3), (1000, 6)])
def test_a_rollout_is_over_once_the_next_request_is_answered_by_it(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, takes: int, looks: int
) -> None:
    """But for gateways that hang nobody waits long."""
    api = Api(listener.url)
    status = api.get(StatusView, "status", NAME)
    now, asked = [0.0], []

    def ended(*_: object) -> StatusView:
        asked.append(now[0])
        return msgspec.structs.replace(status, routed=len(asked) >= takes)

    def pass_by(_: float) -> None:
        now[0] += 1.0

    monkeypatch.setattr(follow, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=pass_by))
    monkeypatch.setattr(api, "get", ended)
    assert follow.Follower(api, Screen(), NAME, "r0").wait(None).outcome
    assert len(asked) == looks
    now[0], asked[:] = 0.0, []
    assert follow.Follower(api, Screen(), NAME, "r0").wait(2.0).outcome
    assert len(asked) == min(looks, 3)


CHANGES = {
    ("deploy", "--no-wait"): "deploy flight-delay@3 to flight-delay?",
    ("rollback",): "roll flight-delay back from flight-delay@",
    ("promote",): "take the rollout of flight-delay to its next step?",
    ("promote", "--full"): "take the rollout of flight-delay to all requests?",
    ("abort",): "give the rollout of flight-delay up?",
}


@pytest.mark.parametrize(("words", "question"), CHANGES.items())
def test_what_changes_who_answers_asks_a_person_and_nobody_else(
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    question: str,
) -> None:
    verb_name, *options = words
    recorded = len(listener.system.journal)
    monkeypatch.setattr(screen, "at_terminal", lambda: True)
    refused = call(verb_name, NAME, *options, data="n\n")
    assert (refused.exit_code, question in refused.stderr) == (1, True)
    assert "TT-115" in refused.stderr
    assert len(listener.system.journal) == recorded
    for unasked in ("--yes", "--json"):
        assert question not in call(verb_name, NAME, *options, unasked).stderr
    monkeypatch.setattr(screen, "at_terminal", lambda: False)
    assert question not in call(verb_name, NAME, *options).stderr


def test_a_person_goes_back_to_what_the_question_named_whatever_serves_by_then(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of two on call would otherwise bring back what the first one took away."""
    system = listener.system
    system.tell(e.RolloutStarted("r2", standing(2), "now", system.now - 500), f"{NAME}@2")
    system.tell(e.RolloutAdvanced("r2", "bake", 0, 10_000, system.now - 490))
    system.tell(e.RolloutEnded("r2", standing(2), "promoted", system.now - 400))
    system.tell(e.Proven(standing(2), system.now - 400))
    before = build_status(system.seen(), NAME).deployments[0]
    assert before.stable is not None
    assert before.rollback.target is not None
    asked: list[str] = []

    def meanwhile(text: str, **_: object) -> bool:
        asked.append(text)
        if len(asked) == 1:
            assert call("rollback", NAME, "--yes").exit_code == 0
        return True

    monkeypatch.setattr(screen, "at_terminal", lambda: True)
    monkeypatch.setattr(click, "confirm", meanwhile)
    late = call("rollback", NAME)
    names = before.stable.release, before.rollback.target
    assert asked == [f"roll {NAME} back from {names[0]} to {names[1]}?"]
    assert (late.exit_code, "nothing to go back from" in late.stderr) == (1, True)
    after = build_status(system.seen(), NAME).deployments[0]
    assert after.stable is not None
    assert after.stable.release == names[1]


def test_orders_go_through_with_their_author_and_reason(listener: Listener) -> None:
    system = listener.system
    call("deploy", NAME, "--release", "flight-delay@2", "--no-wait")
    assert call("pause", NAME, "--reason", "lunch").exit_code == 0
    assert system.journal[-1].reason == "lunch"
    assert system.journal[-1].actor not in ("", "dashboard")
    assert "already so" in call("pause", NAME).stdout
    assert call("resume", NAME).exit_code == 0
    assert call("promote", NAME).exit_code == 0
    assert call("abort", NAME).exit_code == 0
    assert call("rollback", NAME, "--to", "flight-delay@3").exit_code == 1
    assert "run flight-delay-run1" in call("retrain", NAME).stdout


def test_an_override_needs_a_reason(listener: Listener) -> None:
    assert call("promote", NAME, "--override").exit_code == 2


def test_why_takes_an_incident_or_a_deployment(listener: Listener) -> None:
    assert "no incidents" in call("why").stdout
    listener.system.tell(e.IncidentOpened(incident()))
    for arguments in ((), (NAME,), ("flight-delay-i1",)):
        shown = call("why", *arguments).stdout
        assert "1. upstream break" in shown
        assert "not data drift: the change is a jump" in shown
    assert call("why", "i9").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("history", NAME, "--limit", "1"), "flight-delay@1 is proven"),
        (("releases",), "flight-delay: stable"),
        (("show", "flight-delay@1"), "golden set"),
        (("runs",), "no runs yet"),
    ],
)
def test_verbs_that_read(listener: Listener, arguments: tuple[str, ...], shown: str) -> None:
    assert shown in call(*arguments).stdout
    assert json.loads(call(*arguments, "--json").stdout)


def test_names_are_completed_while_the_server_runs(listener: Listener) -> None:
    context, parameter = click.Context(trimtab), click.Argument(["name"])
    assert names.deployments(context, parameter, "fl") == [NAME]
    assert names.deployments(context, parameter, "x") == []
    assert "flight-delay@3" in names.releases(context, parameter, "")


def test_nothing_is_completed_without_a_server(folder: Path) -> None:
    context, parameter = click.Context(trimtab), click.Argument(["name"])
    assert names.deployments(context, parameter, "") == []
    assert names.releases(context, parameter, "") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    assert "_TRIMTAB_COMPLETE" in call("completion", shell).stdout


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("build m --reference r.csv", "--reference goes with --model"),
        ("build m --loss-bound 1", "--loss-bound goes with --model"),
        ("build m --set a=b", "--set goes with --model"),
        ("monitor d --false-alarms 1 --block 1d", "--false-alarms goes with --reference"),
        ("monitor --reference r.csv --live l.csv --since 7d", "--since goes with a deployment"),
    ],
)
def test_an_option_that_would_change_nothing_is_wrong_usage(
    folder: Path, line: str, told: str
) -> None:
    result = call(*line.split())
    assert (result.exit_code, told in result.stderr) == (2, True)


def test_fewer_rows_than_none_are_wrong_usage(folder: Path) -> None:
    assert call("samples", "i1", "--rows", "-3").exit_code == 2


def test_a_comparison_within_no_duration_is_wrong_usage(listener: Listener) -> None:
    result = call("parity", NAME, "told.csv", "--within", "soon", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "TT-102"


@pytest.mark.parametrize(
    ("cause", "told", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on device", "df -h ."),
        (
            PermissionError(errno.EACCES, "Permission denied", "a/b"),
            "permission denied",
            "ls -ld a",
        ),
    ],
)
def test_a_file_that_the_system_will_not_give_is_told_in_four_parts(
    cause: OSError, told: str, hint: str
) -> None:
    @verb("write")
    def command(screen: Screen) -> None:
        raise cause

    result = CliRunner().invoke(command)
    assert result.exit_code == 1
    assert f"{told} (TT-116)" in result.stderr
    assert "  unchanged: what was finished before stays" in result.stderr
    assert result.stderr.endswith(f"hint: {hint}\n")


@pytest.mark.parametrize(
    "cause",
    [
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
    ],
)
def test_a_reader_or_a_server_that_is_gone_is_no_fault_of_a_file(cause: OSError) -> None:
    @verb("tell")
    def command(screen: Screen) -> None:
        raise cause

    result = CliRunner().invoke(command)
    assert result.exit_code != 0
    assert "TT-116" not in result.stderr


def test_a_terminal_of_few_letters_shows_what_it_can(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    with pytest.raises(SystemExit) as ended:
        main(["status"])
    sys.stdout.flush()
    assert (ended.value.code, b"? healthy" in written.getvalue()) == (0, True)


class Full(io.StringIO):
    """A file on a disk without room."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_has_no_room_for_json_is_told_on_the_other_stream(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout", Full())
    with pytest.raises(SystemExit) as ended:
        main(["status", "--json"])
    assert ended.value.code == 1
    assert "no space left on device" in capsys.readouterr().err
