"""A configuration is either understood whole or refused with a hint."""

import tomllib

import pytest

from trimtab import errors
from trimtab.domain.config import parse_config
from trimtab.domain.deployment import MonitorPlan, ProjectConfig
from trimtab.domain.processes import WorkerLimits

WHOLE = """
[server]
inference = "127.0.0.1:9000"

[deployment.flight-delay]
slo      = { latency_p99 = "50ms", availability = 0.999 }
rollout  = { strategy = "canary", steps = ["1%", "5%", "25%", "50%"], bake = "1h" }
scale    = { min = 1, max = 4, batch = 2, idle = "keep" }
monitor  = { false_alarms = "1 per month", segments = ["carrier"], quality = "roc_auc" }
retrain  = { when = ["quality", "drift"], approve = "auto", cooldown = 86400 }

[model.flight-delay]
pipeline = "pipeline.py"
steps = ["dataset", "model"]
requirements = "requirements.txt"
params = { depth = 6 }
"""


def parsed(text: str, **environment: str) -> ProjectConfig:
    return parse_config(tomllib.loads(text), environment)


def refused(text: str) -> errors.TrimtabError:
    with pytest.raises(errors.Usage) as caught:
        parsed(text)
    return caught.value


def test_the_designs_example_is_understood() -> None:
    config = parsed(WHOLE)
    deployment = config.deployments[0]
    assert deployment.model == "flight-delay"
    assert (deployment.objective.latency_quantile, deployment.objective.latency_seconds) == (
        0.99,
        0.05,
    )
    assert deployment.rollout.steps == (100, 500, 2500, 5000)
    assert deployment.rollout.bake_seconds == 3600
    assert (deployment.scale.max, deployment.scale.batch) == (4, 2)
    assert deployment.monitor.false_alarms_per_year == 12
    assert deployment.retrain.cooldown_seconds == 86_400
    assert config.pipelines[0].params == {"depth": "6"}
    assert config.server.inference == "127.0.0.1:9000"


def limits(text: str) -> WorkerLimits:
    return parsed(f"[deployment.d]\nlimits = {{ {text} }}").deployments[0].limits


@pytest.mark.parametrize(
    ("text", "size"),
    [("2 GiB", 2 << 30), ("1.5MB", 1_500_000), ("900B", 900), ("64 KiB", 65_536)],
)
def test_a_size_is_bytes_in_thousands_or_in_powers_of_two(text: str, size: int) -> None:
    assert limits(f'memory = "{text}"') == WorkerLimits(memory_bytes=size)


@pytest.mark.parametrize(
    ("text", "per_year"),
    [
        ("1 per month", 12.0),
        ("one per month", 12.0),
        ("once a month", 12.0),
        ("twice every year", 2.0),
        ("0.5 per quarter", 2.0),
        ("three per week", 156.5325),
        ("one an hour", 8766.0),
    ],
)
def test_false_alarms_are_a_number_or_a_word_and_a_period(text: str, per_year: float) -> None:
    found = parsed(f"[deployment.x]\nmonitor = {{ false_alarms = '{text}' }}")
    assert found.deployments[0].monitor.false_alarms_per_year == pytest.approx(per_year)


def test_groups_have_bounds_and_tolerances_by_measure() -> None:
    found = parsed(
        "[deployment.x]\nmonitor.groups = ['sex']\nmonitor.bias = { selection = 0.1 }\n"
        "monitor.tolerances = { 'bias:tpr' = 0.2 }\n"
    )
    monitor = found.deployments[0].monitor
    assert (monitor.groups, monitor.bias) == (("sex",), {"selection": 0.1})
    assert monitor.tolerances == {"bias:tpr": 0.2}


def test_tolerances_of_single_signals_are_numbers_by_name() -> None:
    found = parsed("[deployment.x.monitor.tolerances]\nerrors = 0.01\n'input:a b' = 0.2")
    assert found.deployments[0].monitor.tolerances == {"errors": 0.01, "input:a b": 0.2}


def test_quality_is_one_metric_or_several_and_costs_go_with_them() -> None:
    assert monitor('quality = ["f1", "recall", "f1"]').quality == ("f1", "recall")
    assert monitor('quality = ["f1"]').quality == "f1"
    priced = monitor("costs = { yes = { no = 1 }, no = { yes = 20 } }")
    assert priced.costs == {"yes": {"no": 1.0}, "no": {"yes": 20.0}}
    assert monitor("audit = 0.02").audit == 0.02


def test_a_loss_is_a_formula_with_its_bound() -> None:
    found = parsed(
        "[deployment.x]\nmonitor = { loss = 'abs(label - prediction)', loss_bound = 60 }"
    )
    plan = found.deployments[0].monitor
    assert (plan.loss, plan.loss_bound) == ("abs(label - prediction)", 60.0)
    made = parsed(
        "[model.m]\npipeline = 'p.py'\nsteps = ['a']\nrequirements = 'r.txt'\n"
        "loss = 'score'\nloss_bound = 2"
    ).pipelines[0]
    assert (made.loss, made.loss_bound) == ("score", 2.0)


def monitor(text: str) -> MonitorPlan:
    """The monitor plan of a deployment that sets one key."""
    return parsed(f"[deployment.x]\nmonitor.{text}").deployments[0].monitor


def test_the_longest_time_of_a_request_is_the_deployments() -> None:
    found, other = parsed('[deployment.x]\nslo.deadline = "2m"\n[deployment.y]').deployments
    assert (found.objective.deadline_seconds, other.objective.deadline_seconds) == (120.0, 10.0)


@pytest.mark.parametrize("text", ["0", '"0s"', '"soon"', "-1"])
def test_a_request_has_to_be_given_some_time(text: str) -> None:
    told = refused(f"[deployment.x]\nslo.deadline = {text}")
    assert (told.code, told.hint) == (errors.BAD_VALUE, 'for example: deadline = "30s"')


@pytest.mark.parametrize("text", ["0", '"0s"'])
def test_a_block_lasts_some_time(text: str) -> None:
    assert refused(f"[deployment.x]\nmonitor.block = {text}").code == errors.BAD_VALUE
    assert monitor('block = "1ms"').block_seconds == 0.001


def test_limits_are_of_one_worker() -> None:
    assert limits("cpus = 0.5, processes = 9") == WorkerLimits(cpus=0.5, processes=9)
    assert limits('gpus = ["0", "GPU-b"]') == WorkerLimits(gpus=("0", "GPU-b"))


@pytest.mark.parametrize("text", ['memory = "2"', 'memory = "0 B"', "memory = 5", "cpus = 0"])
def test_a_limit_without_a_unit_or_of_nothing_is_refused(text: str) -> None:
    assert refused(f"[deployment.d]\nlimits = {{ {text} }}").code == errors.BAD_VALUE


def test_an_empty_file_is_all_defaults() -> None:
    assert parsed("") == ProjectConfig()


def test_the_environment_goes_over_the_file() -> None:
    config = parsed(WHOLE, TRIMTAB_SERVER_INFERENCE="127.0.0.1:1", TRIMTAB_SERVER_GATEWAYS="3")
    assert (config.server.inference, config.server.gateways) == ("127.0.0.1:1", 3)


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("[servr]", errors.UNKNOWN_KEY, "did you mean server?"),
        ("[deployment.x]\nrolout = { bake = '1h' }", errors.UNKNOWN_KEY, "did you mean rollout?"),
        ("[deployment.x]\nrollout = { bak = '1h' }", errors.UNKNOWN_KEY, "rollout.bake?"),
        ("[server]\nzzzzzz = 1", errors.UNKNOWN_KEY, "known keys: inference"),
        ("[deployment.x]\nrollout = { bake = '1 hour' }", errors.BAD_VALUE, 'bake = "90s"'),
        ("[deployment.x]\nrollout = { bake = -1 }", errors.BAD_VALUE, "bake"),
        ("[deployment.x]\nrollout = { steps = ['5%', '1%'] }", errors.BAD_VALUE, "steps"),
        ("[deployment.x]\nrollout = { steps = ['120%'] }", errors.BAD_VALUE, "steps"),
        ("[deployment.x]\nrollout = { strategy = 'blue' }", errors.BAD_VALUE, "canary"),
        ("[deployment.x]\nmonitor = { false_alarms = 'never' }", errors.BAD_VALUE, "per month"),
        (
            "[deployment.x]\nmonitor = { false_alarms = '0 per year' }",
            errors.BAD_VALUE,
            "per month",
        ),
        (
            "[deployment.x]\nmonitor.tolerances = { eror = 0.1 }",
            errors.BAD_VALUE,
            "errors = ",
        ),
        (
            "[deployment.x]\nmonitor.tolerances = { errors = 2 }",
            errors.BAD_VALUE,
            "input:temp",
        ),
        ("[deployment.x]\nmonitor.quality = ['auto', 'f1']", errors.BAD_VALUE, "recall"),
        ("[deployment.x]\nmonitor.quality = 'cost'", errors.BAD_VALUE, "costs = "),
        ("[deployment.x]\nmonitor.costs = { yes = { no = -1 } }", errors.BAD_VALUE, "yes = "),
        ("[deployment.x]\nmonitor.costs = { yes = { no = 0 } }", errors.BAD_VALUE, "yes = "),
        ("[deployment.x]\nmonitor.costs = { yes = 1 }", errors.BAD_VALUE, "yes = "),
        ("[deployment.x]\nmonitor.costs = { yes = { no = true } }", errors.BAD_VALUE, "yes = "),
        ("[deployment.x]\nmonitor.loss = 'label +* 2'", errors.BAD_VALUE, "where(label > pred"),
        ("[deployment.x]\nmonitor.loss = 7", errors.BAD_VALUE, "where(label > pred"),
        ("[deployment.x]\nmonitor = { loss_bound = 0 }", errors.BAD_VALUE, "1.5"),
        ("[deployment.x]\nmonitor.quality = 'loss'", errors.BAD_VALUE, "loss = "),
        (
            "[model.m]\npipeline = 'p'\nsteps = ['a']\nrequirements = 'r'\nloss = 'open(label)'",
            errors.BAD_VALUE,
            "where(label > pred",
        ),
        ("[deployment.x]\nmonitor.audit = 0", errors.BAD_VALUE, "audit = 0.01"),
        ("[deployment.x]\nretrain = { when = ['rain'] }", errors.BAD_VALUE, "quality"),
        ("[deployment.x]\nslo = { availability = 2 }", errors.BAD_VALUE, "0.999"),
        ("[deployment.x]\nscale = { min = 0 }", errors.BAD_VALUE, "min = 1"),
        ("[deployment.x]\nscale = { batch = -1 }", errors.BAD_VALUE, "batch = 1"),
        ("[server]\ninference = '127.0.0.1:99999'", errors.BAD_VALUE, "127.0.0.1:8080"),
        ("[deployment.X]", errors.BAD_NAME, "'x'"),
        ("[model.m]\nsteps = ['a']", errors.BAD_VALUE, "add pipeline"),
        ("server = 1", errors.BAD_VALUE, "[server]"),
    ],
)
def test_what_is_not_understood_is_refused_with_a_hint(text: str, code: str, hint: str) -> None:
    error = refused(text)
    assert error.code == code
    assert hint in error.hint


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ('deployment = "d"', "deployment", "write [deployment.NAME] on a line of its own"),
        ('[deployment]\nmodel = "m"', "deployment.model", "write [deployment.NAME] on"),
        ("server = 1", "server", "write [server] on a line of its own"),
        ('[deployment.d]\nslo = "50ms"', "deployment.d.slo", "slo = { latency_p50 = "),
    ],
)
def test_one_value_in_the_place_of_a_table_is_told_how_the_table_is_written(
    text: str, where: str, hint: str
) -> None:
    error = refused(text)
    assert (error.code, error.subject, error.message) == (
        errors.BAD_VALUE,
        where,
        "it must be a table",
    )
    assert hint in error.hint
