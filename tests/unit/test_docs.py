"""The documentation says what the code does."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from trimtab import docs, errors
from trimtab.cli.group import VERBS, trimtab
from trimtab.domain import settings, telemetry
from trimtab.domain.config import parse_config
from trimtab.views import demo_shapes, report_shapes, samples, sent_shapes, shapes

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"(?:^|[|&;]) *trimtab ([a-z]+)([^|;&#\n]*)", re.MULTILINE)


def page_name(path: Path) -> str:
    """How a page is called in a test's id."""
    return path.relative_to(ROOT).as_posix()


def slugs(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Verb and arguments of every trimtab command in code of a page."""
    code = [block for language, block in FENCE.findall(text) if language == "sh"]
    code += SPAN.findall(FENCE.sub("", text))
    for match in COMMAND.finditer("\n".join(code).replace("\\\n", " ")):
        yield match[1], match[2]


def options_of(verb: str) -> set[str]:
    """Every option that a verb takes."""
    command = trimtab.get_command(click.Context(trimtab), verb)
    assert command is not None
    return {name for param in command.params for name in (*param.opts, *param.secondary_opts)}


def test_generated_pages_are_up_to_date() -> None:
    """`python -m trimtab.docs` would change nothing."""
    assert docs.stale(ROOT) == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there, and an anchor names a heading of it."""
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        name, _, anchor = link.partition("#")
        if "://" in name:
            continue
        target = (page.parent / name) if name else page
        missing = not target.exists()
        if missing or (anchor and anchor not in slugs(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_name_existing_verbs_and_options(page: Path) -> None:
    """What a page tells to type is what the command line takes."""
    wrong = []
    for verb, rest in commands(page.read_text(encoding="utf-8")):
        if verb not in VERBS:
            wrong.append(verb)
            continue
        flags = {word for word in shlex.split(rest, posix=False) if word.startswith("-")} - {"-"}
        wrong += [f"{verb} {flag}" for flag in sorted(flags - options_of(verb))]
    assert wrong == []


def test_the_readme_and_the_quickstart_show_commands() -> None:
    """The test above reads what it is meant to read."""
    for name in ("README.md", "docs/quickstart.md"):
        verbs = {verb for verb, _ in commands((ROOT / name).read_text(encoding="utf-8"))}
        assert verbs >= {"init", "build", "up", "deploy", "label", "status"}


def test_every_verb_has_its_row_in_the_json_shapes() -> None:
    """Whoever parses `--json` finds each verb, and no shape that is not there."""
    text = (ROOT / "docs/cli-json.md").read_text(encoding="utf-8")
    rows = " ".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))
    assert set(VERBS) - {"completion"} <= set(re.findall(r"[a-z]+", rows))
    assert [
        name
        for name in re.findall(r"\b[A-Z]\w+View\b", text)
        if not any(
            hasattr(m, name) for m in (shapes, demo_shapes, sent_shapes, report_shapes, samples)
        )
    ] == []


def test_every_error_code_is_described() -> None:
    """Each declared code, and no other, says what it means and what to do."""
    told = docs.read_meanings(ROOT / docs.MEANINGS)
    assert told.keys() == {entry.code for entry in errors.registry()}
    assert [code for code, meaning in told.items() if not meaning.means or not meaning.do] == []


def test_a_code_without_a_description_is_refused(tmp_path: Path) -> None:
    """A new code cannot be forgotten."""
    path = tmp_path / "errors.toml"
    path.write_text('[TT-999]\nmeans = "a"\ndo = "b"\n')
    with pytest.raises(ValueError, match=r"TT-101.*TT-999"):
        docs.read_meanings(path)


@pytest.mark.parametrize(
    ("table", "setting"),
    [(table, setting) for table, each in settings.TABLES.items() for setting in each],
    ids=lambda value: value.key if isinstance(value, settings.Setting) else str(value),
)
def test_examples_and_defaults_can_be_pasted(table: str, setting: settings.Setting) -> None:
    """What the settings page shows is what the parser takes."""
    shown = [setting.kind.example, docs.default_of(table, setting).strip("`")]
    for text in shown:
        if text not in ("required", "not set", "the deployment's name"):
            setting.kind.parse(tomllib.loads(f"value = {text}")["value"])


def test_pasting_every_default_changes_nothing() -> None:
    """The defaults on the page are those that hold without a file."""
    values = {
        setting.key: tomllib.loads(f"value = {text.strip('`')}")["value"]
        for setting in settings.DEPLOYMENT
        if (text := docs.default_of("deployment", setting)).startswith("`")
    }
    plain = parse_config({"deployment": {"a": {}}}, {})
    nested: dict[str, object] = {}
    for key, value in values.items():
        outer, _, inner = key.partition(".")
        if inner:
            group = nested.setdefault(outer, {})
            assert isinstance(group, dict)
            group[inner] = value
        else:
            nested[outer] = value
    assert parse_config({"deployment": {"a": nested}}, {}) == plain


def test_the_schema_knows_every_key() -> None:
    """An editor accepts what the parser accepts."""
    properties = docs.schema()["properties"]
    assert isinstance(properties, dict)
    for table, each in settings.TABLES.items():
        found = properties[table]
        found = (
            found["properties"]
            if table in ("server", "telemetry")
            else found["additionalProperties"]["properties"]
        )
        for setting in each:
            outer, _, inner = setting.key.partition(".")
            place = found[outer]["properties"][inner] if inner else found[outer]
            assert place["description"] == setting.help
            kind = setting.kind
            if kind.pattern and "pattern" in place:
                assert re.fullmatch(place["pattern"], kind.example.strip('"'))


def test_dashboard_and_alerts_ask_for_metrics_that_exist() -> None:
    """A renamed metric cannot leave an empty panel or a silent alert behind."""
    known = {metric.name for metric in telemetry.METRICS}
    asked = [query for metric in telemetry.METRICS for query, _ in docs.queries(metric)]
    asked += [alert.expression for alert in docs.ALERTS]
    named = {
        name.removesuffix("_bucket") for text in asked for name in re.findall(r"trimtab_\w+", text)
    }
    assert named <= known


def test_the_check_fails_when_a_page_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` writes nothing and says what is old; without it the page is written."""
    meanings = tmp_path / docs.MEANINGS
    meanings.parent.mkdir(parents=True)
    meanings.write_bytes((ROOT / docs.MEANINGS).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert docs.main(["--check"]) == 1
    assert "settings.md is out of date" in capsys.readouterr().err
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
