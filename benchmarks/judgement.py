"""The judgement on real streams, beside other products, dummies, and the best there can be.

Run: scripts/bench judgement [--only PART ...] [--quick] [--write]

Parts are `errors`, `tolerance`, a case each of `judgement.cases`, `race`, `tables` and `cost`;
`streams` stands for the cases beyond the census and `race`. Everything but `cost`, which needs a
quiet machine, is seeded, so the same command gives the same figures. What other products said is
kept in `.venv-peers/answers`. `--write` puts each part into docs/benchmarks/judgement.md.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

# A small model is fitted and asked often; threads of it would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from judgement import chunks, cost, errors, faults, lines, tolerance
from judgement.alarms import Delays, delay
from judgement.case import Case
from judgement.cases import CASES
from judgement.streams import Stream, census

CHUNK = 5_000
SMALL = 1_000
"""Rows of a reference at which Evidently's defaults are p-values, not distances."""

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "judgement.md"

INTRO = """\
# The judgement beside peers

<!-- Written by `scripts/bench judgement --write`; each part by `--only PART --write`. -->

How often monitors are wrong where nothing is, and how soon they see what is: on real rows, beside
other products by their defaults and tuned to the same false alarms, beside dummies, and beside the
best test there can be. Seeded: the same command gives the same figures. Speed is in
[monitor](monitor.md), estimates without labels in [label-free](label-free.md).

    scripts/bench judgement --write

What it says of one stream: the promise holds (1.7 false alarms a year at the very border, where
4.2 are granted), and by the defaults every dose is seen within 1.07 to 1.29 times the best
possible at as many false alarms. ADWIN, tuned to about as many, needs 2.8 times as long for 1
point and as long for 2, and is 20 % sooner at 3. Tuned to all that is granted trimtab is level at
3 points, and 14 % later than ADWIN at 5: its eight stakes share the evidence, and it looks once an
hour, not after each row. A deployment inside its tolerance has hardly any false alarm: none in the
years of the census.

Of the harmless census: no page, ticket or note, where Evidently against 1,000 rows alerts in every
chunk, NannyML too, and fifty ADWINs eight times. By the defaults `auto` watches AUC and error, each
within a zone as wide as the reference knows it, at least half a point of error
([why](../decisions/0031-quality-by-auc-and-error.md)). Three points more of errors are paged after
3,499 rows, one of twenty not within 8,000; fifty ADWINs take 4,479 and miss one of four, with 16
false alarms a year on the null and eight on the census, where trimtab has none. At thirty times the
budget it has still none there, and takes 1,999 rows: less than half of theirs, the target.
Large harm pages within an hour to six; a column of which half goes missing is noted within the hour
and paged within five. A quarter more of errors in a group of 6 %, which nobody declared, opens a
ticket after 3,499 rows in every case, before the oracle that watches the error of all; fifty ADWINs
miss nine of ten.

Of five other models, three points more of errors are seen within .99 to 1.37 times the oracle's
delay by the defaults, with no to 1.5 false alarms a year; ADWIN by its defaults takes 1.2 to 1.8
times as long as trimtab. Both tuned to what is granted (2 to 9 and 1.5 to 5.5 were measured),
trimtab takes .71 to 1.07 times as long. Whole deployments: of flights of 2001 three points are
paged after 3,199 rows in every case (36 ADWINs: 4,159, one in twenty missed, and 1,812 alarms in
four months of ordinary seasons, where trimtab has none); of flights of 2013 and of police stops,
of which there are few, 30 % and 80 % are not seen within the rows that are left. Page-Hinkley sees
them, at 244 and 200 false alarms a year.
"""

ERRORS = """\
The errors of the census model (US Census employment, Massachusetts 2016–2018, {pool:,} rows,
{value:.2%} wrong), drawn without their order, so that nothing ever changes; faults turn labels
around from a random row on ({faults} of each dose). 100 rows make an hour, the block of the
defaults; a year has {year:,} rows. trimtab is its family `quality` with tolerance zero, the border
at the true error. Of the default budget (one page a month) quality may spend {promised:.2g} a
year. *Tuned* is the quickest setting with no more than that on a null of {years:.3g} years; the
alarms that are told are those on another null of as many. An alarm of a detector that also looks
downwards counts only at a rise. The oracle is Page's test with the errors before and after known,
on both nulls at as many false alarms as trimtab had by its defaults, or as granted; × is the
median against the oracle of the same false alarms. Delays in rows, median / 90 %.
"""

TOLERANCE = """\
The same errors in the order of the years, each year shuffled, against the 2015 of the model
({value:.2%} on {rows:,} rows): years of {years}, which harm nobody. Alarms over {passes} passes,
and delays of {dose:.0%} more errors put in at a random row of each.
"""

CASE = """\
{about}. trimtab watches everything by its defaults{groups}. *Null*: reference and live rows in
random order, {block} an hour, {years:.2g} years over two samples of the reference; alarms a year
with 95 % interval. *In time*: alarms in the order of time, in brackets those about harm, as the
error of the rows before was above that of the reference ({value:.2%}) by more than {tolerance:.1%}.
Then faults at {times} random times, with what they do to the error in points; delays in rows,
median / 90 %, with what is missed after {patience:,}. *Right*: of the alarms in time, and of the
faults with an alarm, the share with harm. *Named*: the column of the fault (or `error`) first, or
among the first three. Tables are compared in chunks of {chunk:,} rows, after {fewer} of the times.
"""

RACE = """\
Errors of the models of these data, in random order, {faults} faults of 3 points each. False alarms
a year of {year:,} rows; delays in rows, median / 90 %, trimtab's against the oracle's of the same
false alarms.
"""

COST = """\
What it costs to watch the rows of {name} ({columns} columns): time of the processor a row, from
{few:,} rows to {many:,}; the peak of resident memory at both. Tables are read whole by their
programs, trimtab's too; what it costs in service, and from files, is in [monitor](monitor.md).
"""

TABLES = """\
Products that compare tables, by their defaults, on the census in chunks of {size:,} rows: alerts
about columns (of {columns}), and about the realised accuracy. Then with 3 points more of errors
from row {since:,} on.
"""


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; the first column is left, the others right."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def shown(delays: Delays) -> str:
    """Median and 90 % quantile, and what was missed."""
    return f"{delays}" + (f" ({delays.missed:.0%} missed)" if delays.missed else "")


def part_errors(quick: bool) -> str:
    """One stream."""
    rows = census()[1]
    pool = (rows["y_true"] != rows["y_pred"]).to_numpy()
    plan = errors.QUICK if quick else errors.Plan()
    race = errors.Race(pool, plan, 1)
    lines = list(race.lines())
    told = ERRORS.format(
        pool=pool.size,
        value=pool.mean(),
        faults=plan.faults,
        year=errors.YEARLY,
        promised=errors.PROMISED,
        years=race.years,
    )
    head = ["Detector", "Setting", "False alarms a year (95 %)"]
    head += [f"+{dose:.0%}".replace("%", " points") for dose in plan.doses]
    body = [
        [line.name, line.setting, line.false, *cells(line, lines, plan.doses)] for line in lines
    ]
    return told + "\n" + table(head, body) + "\n"


def cells(line: errors.Line, lines: Sequence[errors.Line], doses: Sequence[float]) -> Iterator[str]:
    """Delays by dose; trimtab's also against the oracle of the same false alarms."""
    oracles = [each for each in lines if each.name == errors.ORACLE]
    against = oracles[0 if line.setting == "defaults" else 1]
    for dose in doses:
        if not line.delays:
            yield "–"
            continue
        best = against.delays[dose].quantile(0.5)
        times = f" × {line.delays[dose].quantile(0.5) / best:.2f}"
        yield shown(line.delays[dose]) + (times if line.name == "trimtab" else "")


def part_tolerance(quick: bool) -> str:
    """What a tolerance costs."""
    reference, live = census()
    passes = 5 if quick else 20
    by_year = (live["y_true"] != live["y_pred"]).groupby(live["year"]).mean()
    told = TOLERANCE.format(
        value=(reference["y_true"] != reference["y_pred"]).mean(),
        rows=len(reference),
        years=", ".join(f"{value:.2%}" for value in by_year),
        passes=passes,
        dose=tolerance.DOSE,
    ).replace("3%", "3 points")
    body = [
        [
            "default" if each.tolerance is None else points(each.tolerance),
            f"{each.border:.2%}",
            f"{each.alarms} in {each.rows:,} rows",
            shown(each.delays),
        ]
        for each in tolerance.lines(passes)
    ]
    return told + "\n" + table(["Tolerance", "Border", "Alarms", "Delay"], body) + "\n"


def points(share: float) -> str:
    """A tolerance in words."""
    return "1 point" if share == 0.01 else f"{100 * share:g} points"


def part_case(name: str, quick: bool) -> str:
    """A deployment."""
    trial = lines.Trial(name, 100, 2) if quick else lines.Trial(name, 1_095, 20)
    case = trial.case
    told = CASE.format(
        about=case.stream.about[:1].upper() + case.stream.about[1:],
        groups=f", `{case.groups[0]}` a protected column" if case.groups else "",
        block=case.block,
        years=trial.years,
        value=trial.value,
        tolerance=trial.tolerance,
        times=trial.times,
        fewer=trial.fewer,
        patience=case.patience,
        chunk=lines.DAY * case.block,
    )
    head = ["Detector", "Null", *(["In time"] if trial.timed else []), *heads(trial)]
    body = [cells_of(line, trial) for line in trial.lines()]
    return told + "\n" + table(head, body) + "\n"


def heads(trial: lines.Trial) -> Iterator[str]:
    """The faults with their harm, and what follows."""
    for fault, runs in zip(trial.case.faults, trial.runs, strict=True):
        yield f"{fault.name} ({100 * np.mean([run.harm for run in runs]):+.1f})"
    yield from ("Right", "Named")


def cells_of(line: lines.Line, trial: lines.Trial) -> list[object]:
    """A row of the table."""
    first = f"{line.name}, {line.setting}" if line.setting else line.name
    row: list[object] = [first, "–" if line.null is None else line.null]
    if trial.timed:
        row.append("–" if line.natural is None else "{} ({})".format(*line.natural))
    row += ["–" if each is None else shown(each.delays) for each in line.faults]
    right = "–" if line.precision is None else f"{line.precision:.0%}"
    return [*row, right, named(line, trial)]


def named(line: lines.Line, trial: lines.Trial) -> str:
    """How often the right column was named, over all faults."""
    known = [each for each in line.faults if each is not None and not np.isnan(each.top)]
    if len(known) < len(trial.case.faults):
        return "–"
    return f"{np.mean([x.top for x in known]):.0%} / {np.mean([x.three for x in known]):.0%}"


def part_race(quick: bool) -> str:
    """One stream of errors, of each of the further data sets."""
    plan = errors.Plan(
        null_rows=errors.YEARLY // 10 if quick else 2 * errors.YEARLY,
        faults=3 if quick else 20,
        doses=(errors.DOSE,),
    )
    made: dict[tuple[str, str], list[str]] = {}
    names = [name for name in CASES if name != "census"]
    for place, name in enumerate(names):
        pool = errors.lost(CASES[name]().pool)
        found = list(errors.Race(pool, plan, 1).lines())
        for line in found:
            setting = "tuned" if line.setting.startswith("tuned") else line.setting
            cells_made = made.setdefault((line.name, setting), ["–"] * 2 * len(names))
            cells_made[2 * place : 2 * place + 2] = [
                str(line.false),
                next(iter(cells(line, found, plan.doses))),
            ]
    told = RACE.format(faults=plan.faults, year=errors.YEARLY)
    head = ["Detector", *(f"{name}: {part}" for name in names for part in ("false", "delay"))]
    body = [[", ".join(filter(None, key)), *row] for key, row in made.items()]
    return told + "\n" + table(head, body) + "\n"


def part_cost(quick: bool) -> str:
    """Time and memory."""
    case = CASES["flights 2001"]()
    sizes = (2_400, 12_000) if quick else cost.SIZES
    told = COST.format(
        name=case.stream.name, columns=len(case.stream.inputs) + 1, few=sizes[0], many=sizes[1]
    )
    head = ["Detector", "Streams", "µs a row", "µs a row and stream", "MB, few rows", "MB, many"]
    body = [
        [
            each.name,
            each.streams,
            f"{each.micros:.3g}",
            f"{each.micros / each.streams:.3g}",
            f"{each.few_bytes / 1e6:.0f}",
            f"{each.many_bytes / 1e6:.0f}",
        ]
        for each in cost.costs(case, sizes)
    ]
    return told + "\n" + table(head, body) + "\n"


def part_tables(quick: bool) -> str:
    """Products that compare tables."""
    case = CASES["census"]()
    live = case.stream.live.iloc[: 20_000 if quick else 50_000]
    since = len(live) // 2
    worse = live.copy()
    generator = np.random.default_rng(5)
    worse.iloc[since:] = faults.FAULTS[0].change(live.iloc[since:], generator)
    told = TABLES.format(size=CHUNK, columns=len(case.stream.inputs) + 1, since=since)
    small = replace(case.stream, reference=case.stream.reference.sample(SMALL, random_state=0))
    body = [
        ["Evidently, reference of 1,000 rows", *peer("evidently", small, (live, worse), CHUNK)],
        ["Evidently, reference of all", *peer("evidently", case.stream, (live, worse), CHUNK)],
        ["NannyML, chunks of 5,000", *peer("nannyml", case.stream, (live, worse), CHUNK)],
        ["NannyML, its default of ten chunks", *peer("nannyml", case.stream, (live, worse), 0)],
        ["trimtab", *trimtab(case, live, worse)],
    ]
    head = ["Product", "Alerts about columns", "about accuracy", "rows to see 3 points"]
    return told + "\n" + table(head, body) + "\n"


def peer(
    product: str, stream: Stream, both: tuple[pd.DataFrame, pd.DataFrame], size: int
) -> list[str]:
    """A product's row of the table."""
    found, late = chunks.said(product, [chunks.Asked(stream, live, size) for live in both])
    columns = chunks.told([len(each.columns) for each in found])
    accuracy = chunks.told([int(each.accuracy) for each in found])
    ends = [each.end for each in late if each.accuracy]
    return [columns, accuracy, rows_to_see(ends, len(both[0]) // 2)]


def trimtab(case: Case, live: pd.DataFrame, worse: pd.DataFrame) -> list[str]:
    """Ours: notes and tickets about columns, pages about quality."""
    quiet, late = (case.over(replace(case.stream, live=each)) for each in (live, worse))
    pages = [each for each in quiet if each.tier == "page"]
    seen = rows_to_see([each.row for each in late if each.tier == "page"], len(live) // 2)
    return [f"{len(quiet) - len(pages)} tickets and notes", f"{len(pages)} pages", seen]


def rows_to_see(ends: Sequence[int], since: int) -> str:
    """Rows from the fault to the first alert after it."""
    rows = delay(ends, since)
    return "never" if rows is None else f"{rows + 1:,}"


def part_of(name: str) -> str:
    """A case as the command line has it."""
    return name.replace(" ", "-").lower()


def title_of(name: str) -> str:
    """The heading of a case; the census came first."""
    return "A whole deployment" + ("" if name == "census" else f": {name}")


PARTS: dict[str, tuple[str, Callable[[bool], str]]] = {
    "errors": ("One stream: more errors", part_errors),
    "tolerance": ("What a tolerance costs", part_tolerance),
    **{part_of(name): (title_of(name), partial(part_case, name)) for name in CASES},
    "race": ("One stream: more errors of five models", part_race),
    "cost": ("What it costs", part_cost),
    "tables": ("Products that compare tables", part_tables),
}


GROUPS = {"streams": [*(part_of(name) for name in CASES if name != "census"), "race"]}
"""Names for several parts."""


def written(page: str, name: str, text: str) -> str:
    """The page with the text of a part in its place."""
    sections = {title: "" for title, _ in PARTS.values()}
    for each in page.split("\n## ")[1:]:
        title, _, body = each.partition("\n\n")
        # What no part writes any more is dropped.
        if title in sections:
            sections[title] = body.strip()
    sections[PARTS[name][0]] = text.strip()
    kept = [f"## {title}\n\n{body}\n" for title, body in sections.items() if body]
    return "\n".join([INTRO, *kept])


def main() -> None:
    """Print the parts, and with `--write` put them into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only", action="append", choices=[*PARTS, *GROUPS], help="may be repeated"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    asked = given.only or [name for name in PARTS if name != "cost"]
    for name in (part for each in asked for part in GROUPS.get(each, [each])):
        text = PARTS[name][1](given.quick)
        print(f"## {PARTS[name][0]}\n\n{text}", flush=True)
        if given.write:
            page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
            PAGE.write_text(written(page, name, text), encoding="utf-8")


if __name__ == "__main__":
    main()
