"""Where spans and metrics go: the table, the standard variables, and which of them goes first."""

import tomllib

import pytest

from trimtab import errors
from trimtab.domain.config import parse_config
from trimtab.domain.otel import Destination, Export, is_url

URL = "http://collector:4318"
TABLE = f'[telemetry]\nendpoint = "{URL}"\n'


def parsed(text: str = "", **environment: str) -> Export:
    return parse_config(tomllib.loads(text), environment).telemetry


def refused(text: str, **environment: str) -> errors.TrimtabError:
    with pytest.raises(errors.Usage) as caught:
        parsed(text, **environment)
    assert caught.value.code == errors.BAD_VALUE
    return caught.value


def urls(export: Export) -> tuple[str | None, ...]:
    found = (export.traces, export.metrics)
    return tuple(each.url if each else None for each in found)


def test_nothing_is_sent_unasked() -> None:
    assert parsed() == Export()
    assert parsed("[telemetry]\nsample = 0.5") == Export()


def test_an_endpoint_gets_both_signals_at_their_paths() -> None:
    export = parsed(TABLE)
    assert export == Export(
        Destination(f"{URL}/v1/traces"),
        Destination(f"{URL}/v1/metrics"),
        {"service.name": "trimtab"},
    )
    assert (export.ratio, export.parent_based, export.metrics_seconds) == (1.0, True, 60.0)


def test_the_table_says_what_is_sent_of_whom_and_how_much() -> None:
    more = 'service = "risk"\nsignals = ["traces"]\nsample = 0.25\nmetrics_every = "15s"'
    export = parsed(TABLE + more)
    assert urls(export) == (f"{URL}/v1/traces", None)
    assert export.attributes == {"service.name": "risk"}
    assert (export.ratio, export.metrics_seconds) == (0.25, 15.0)


def test_standard_variables_go_before_the_file_and_trimtabs_own_before_both() -> None:
    other = parsed(TABLE, OTEL_EXPORTER_OTLP_ENDPOINT="https://other/otlp/")
    assert urls(other) == ("https://other/otlp/v1/traces", "https://other/otlp/v1/metrics")
    mine = parsed(
        TABLE,
        OTEL_EXPORTER_OTLP_ENDPOINT="https://other",
        OTEL_SERVICE_NAME="theirs",
        TRIMTAB_TELEMETRY_ENDPOINT="http://mine",
        TRIMTAB_TELEMETRY_SERVICE="mine",
        TRIMTAB_TELEMETRY_SAMPLE="0.5",
        TRIMTAB_TELEMETRY_SIGNALS="metrics, traces",
    )
    assert urls(mine) == ("http://mine/v1/traces", "http://mine/v1/metrics")
    assert mine.attributes == {"service.name": "mine"}
    assert mine.ratio == 0.5


def test_the_endpoint_of_one_signal_is_used_as_it_is() -> None:
    export = parsed(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://t:1/here")
    assert urls(export) == ("http://t:1/here", None)
    export = parsed(TABLE, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="http://m:1/there")
    assert urls(export) == (f"{URL}/v1/traces", "http://m:1/there")


def test_settings_of_one_signal_go_before_those_of_all() -> None:
    export = parsed(
        TABLE,
        OTEL_EXPORTER_OTLP_HEADERS="api-key=a%20b , x=1",
        OTEL_EXPORTER_OTLP_TRACES_HEADERS="api-key=t",
        OTEL_EXPORTER_OTLP_TIMEOUT="2500",
        OTEL_EXPORTER_OTLP_METRICS_TIMEOUT="500",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_EXPORTER_OTLP_METRICS_COMPRESSION="none",
        OTEL_EXPORTER_OTLP_CERTIFICATE="/ca.pem",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
    )
    assert export.traces == Destination(f"{URL}/v1/traces", {"api-key": "t"}, 2.5, True, "/ca.pem")
    assert export.metrics == Destination(
        f"{URL}/v1/metrics", {"api-key": "a b", "x": "1"}, 0.5, False, "/ca.pem"
    )


def test_the_resource_is_named_and_described_by_variables() -> None:
    export = parsed(TABLE, OTEL_RESOURCE_ATTRIBUTES="service.name=a,deployment.environment=prod,")
    assert export.attributes == {"service.name": "a", "deployment.environment": "prod"}
    named = parsed(
        TABLE, OTEL_RESOURCE_ATTRIBUTES="service.name=a", OTEL_SERVICE_NAME="b"
    ).attributes
    assert named == {"service.name": "b"}


@pytest.mark.parametrize(
    ("sampler", "argument", "ratio", "parent_based"),
    [
        ("always_on", "", 1.0, False),
        ("always_off", "", 0.0, False),
        ("traceidratio", "0.25", 0.25, False),
        ("traceidratio", "", 1.0, False),
        ("parentbased_always_on", "0.1", 1.0, True),
        ("parentbased_always_off", "", 0.0, True),
        ("parentbased_traceidratio", "0", 0.0, True),
    ],
)
def test_samplers_have_their_standard_names(
    sampler: str, argument: str, ratio: float, parent_based: bool
) -> None:
    export = parsed(
        TABLE + "sample = 0.5",
        OTEL_TRACES_SAMPLER=sampler,
        OTEL_TRACES_SAMPLER_ARG=argument,
    )
    assert (export.ratio, export.parent_based) == (ratio, parent_based)


def test_the_interval_of_metrics_is_a_variable() -> None:
    assert parsed(TABLE, OTEL_METRIC_EXPORT_INTERVAL="5000").metrics_seconds == 5.0


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"TRIMTAB_TELEMETRY_ENDPOINT": "off"},
        {
            "TRIMTAB_TELEMETRY_ENDPOINT": "off",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        },
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    ],
)
def test_sending_is_switched_off(environment: dict[str, str]) -> None:
    assert parsed(TABLE, **environment) == Export()


def test_one_signal_is_switched_off() -> None:
    assert urls(parsed(TABLE, OTEL_METRICS_EXPORTER="none")) == (f"{URL}/v1/traces", None)
    assert urls(parsed(TABLE, OTEL_TRACES_EXPORTER="none")) == (None, f"{URL}/v1/metrics")


def test_empty_variables_are_as_good_as_none() -> None:
    names = ("ENDPOINT", "HEADERS", "TIMEOUT", "PROTOCOL", "COMPRESSION", "TRACES_ENDPOINT")
    empty = {f"OTEL_EXPORTER_OTLP_{name}": "" for name in names}
    assert parsed(TABLE, **empty, OTEL_TRACES_SAMPLER="") == parsed(TABLE)


def test_variables_of_others_mean_nothing_where_nothing_is_sent() -> None:
    assert parsed(OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_TRACES_SAMPLER="odd") == Export()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "novalue"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b%0d%0aHost: c"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "=1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "often"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "²"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_its_name(name: str, value: str) -> None:
    problem = refused(TABLE, **{name: value})
    assert problem.subject == name
    assert problem.hint == "export TRIMTAB_TELEMETRY_ENDPOINT=off"


@pytest.mark.parametrize("argument", ["2", "-0.1", "half", "nan"])
def test_a_ratio_is_a_number_from_0_to_1(argument: str) -> None:
    problem = refused(TABLE, OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG=argument)
    assert problem.subject == "OTEL_TRACES_SAMPLER_ARG"


@pytest.mark.parametrize(
    "text",
    ['endpoint = "collector:4318"', "sample = 2", 'sample = "10%"', 'signals = ["logs"]'],
)
def test_wrong_values_in_the_table_are_refused(text: str) -> None:
    assert refused(f"[telemetry]\n{text}").subject.startswith("telemetry.")


def test_a_wrong_endpoint_in_a_variable_is_refused() -> None:
    assert refused("", OTEL_EXPORTER_OTLP_ENDPOINT="collector").subject == "telemetry.endpoint"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "ftp://a",
        "http://",
        "http:///v1",
        "http://a:99999",
        "http://a b",
        "http://a\r\n",
        "[::1",
    ],
)
def test_a_url_names_a_host_over_http(value: str) -> None:
    assert not is_url(value)


@pytest.mark.parametrize("value", ["http://a", "https://a.b:4318/x/", "http://[::1]:4318"])
def test_a_url_may_have_a_port_and_a_path(value: str) -> None:
    assert is_url(value)
