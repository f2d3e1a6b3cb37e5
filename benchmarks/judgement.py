"""The judgement on real streams, beside other products, dummies, and the best there can be.

Run: scripts/bench judgement [--only errors|tolerance|whole|tables ...] [--quick] [--write]

Everything is seeded, so the same command gives the same figures. What other products said is kept
in `.venv-peers/answers`. `--write` puts each part that was run into docs/benchmarks/judgement.md.
"""

import argparse
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

# A small model is fitted and asked often; threads of it would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from judgement import chunks, errors, faults, tolerance, whole
from judgement.alarms import Delays, Rate, delay
from judgement.streams import census

PROCESSES = int(os.environ.get("PROCESSES", os.cpu_count() or 1))
PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "judgement.md"

INTRO = """\
# The judgement beside peers

<!-- Written by `scripts/bench judgement --write`; each part by `--only PART --write`. -->

How often monitors are wrong where nothing is, and how soon they see what is: on real rows, beside
other products by their defaults and tuned to the same false alarms, beside dummies, and beside the
best test there can be. Seeded: the same command gives the same figures. Speed is in
[monitor](README.md), estimates without labels in [label-free](label-free.md).

    scripts/bench judgement --write

What it says of one stream: the promise holds with much to spare. By its defaults trimtab has as
few false alarms as ADWIN has by its own, and sees every dose sooner, the smallest one five times
as soon. Tuned to all that is granted (2.7 and 2 false alarms a year came of it) the two are level
from 2 points up, and trimtab is twice as soon at 1 point. Targets that are missed: 1.3 times the
best possible holds from 2 points up by the defaults, not at 1 point, and not at 3 points when
tuned, where ADWIN is also 10 % sooner. Three things cost that: eight stakes share the evidence;
the timid half of them may not sum up past blocks, so that a deployment at the border keeps quiet
for longer than it must; and trimtab looks once an hour, the others after each row.

Of the harmless census: no page, ticket or note, where Evidently against 1,000 rows alerts in every
chunk, NannyML too, and fifty ADWINs eight times. The price is paid at small harm: by the defaults
`auto` watches the AUC, with .02 of tolerance, so four of five times three points more of errors
are not paged within 8,000 rows; the fifty ADWINs miss one of four, with 24 false alarms a year.
That target (half of the best peer's delay over a whole deployment) is missed; what
`quality = "error"` with a tolerance of half a point would do there is not measured.
Large harm pages within an hour to half a day of rows; a column of which half goes missing is only
noted; and harm to a group of 6 % is hardly seen by anyone (no group was declared to trimtab).
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

WHOLE = """\
A model of our own on the census (fitted on half of 2015), sixteen inputs, score and labels, in
hours of 250 rows; a year has {year:,} rows. trimtab watches everything by its defaults, and at the
largest multiple of its budget with no more alarms of any tier on a null than the fifty ADWINs.
Beside it {streams} streams of the same rows (error, score, age, the commonest categories), each
with a detector of its own, tuned so that all of them together have no more alarms on a null than
trimtab's budget of pages. *Null*: reference and live rows from the same years in random order.
*Census*: 2015 against the years after it; the error moves by at most half a point, so every alarm
there is one about nothing that harms.
"""

INJECTED = """\
Each fault at {times} random times. *Harm* is what the fault does to the error, in points. Delays
in rows, median / 90 %, with the missed share after {patience:,} rows; *named first / in three*:
the column of the fault (or `error`) is the first that the alarms name, or among the first three.
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
            "default" if each.tolerance is None else f"{100 * each.tolerance:g} points",
            f"{each.border:.2%}",
            f"{each.alarms} in {each.rows:,} rows",
            shown(each.delays),
        ]
        for each in tolerance.lines(passes)
    ]
    return told + "\n" + table(["Tolerance", "Border", "Alarms", "Delay"], body) + "\n"


def part_whole(quick: bool) -> str:
    """A deployment."""
    told = WHOLE.format(year=whole.YEARLY, streams=whole.STREAMS)
    granted = 12.0 * len(whole.null(1)[1]) / whole.YEARLY
    peers = [whole.Setting("ADWIN", "defaults", {}), whole.tuned(1, granted)]
    nulls = [whole.null(seed) for seed in ([2] if quick else [2, 3])]
    worlds = [*nulls, whole.natural(0)]
    begins = whole.times(4 if quick else 20, 1)
    # The model and its answers are there before, so that each process finds them.
    budget = whole.tuned_budget(1, len(peers[0].watch([whole.null(1)[1]])[0]))
    tuned = f"as loud as ADWIN: {budget / whole.BUDGET:g} times the budget"
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("fork")) as pool:
        ours = [
            Ours(
                said,
                list(pool.map(partial(whole.over, budget=each), worlds)),
                list(pool.map(partial(whole.trial, budget=each), begins)),
            )
            for said, each in (("defaults", whole.BUDGET), (tuned, budget))
        ]
    head = ["Detector", "Setting", "Null: alarms a year (95 %)", "Census: alarms"]
    rows = [line for each in ours for line in each.quiet_lines(worlds)]
    rows += [theirs_quiet(each, worlds) for each in peers]
    begun = INJECTED.format(times=len(begins), patience=whole.PATIENCE)
    broken = injected(begins, ours, peers)
    return "\n".join([told, table(head, rows), "", begun, broken, ""])


Worlds = Sequence[tuple[pd.DataFrame, pd.DataFrame]]


@dataclass(frozen=True)
class Ours:
    """trimtab at a setting: what it raised where nothing is wrong, and after each fault."""

    said: str
    quiet: Sequence[list[whole.Raised]]
    trials: Sequence[list[list[whole.Raised]]]

    def quiet_lines(self, worlds: Worlds) -> Iterator[list[object]]:
        """What is raised where nothing is wrong, by tier."""
        for tier in ("page", "ticket", "note"):
            counts = [sum(alarm.tier == tier for alarm in alarms) for alarms in self.quiet]
            yield ["trimtab", f"{self.said}, {tier}s", *quiet_cells(counts, worlds)]

    def found(self, place: int) -> list[object]:
        """The cells of one fault."""
        found = whole.found(faults.FAULTS[place], [each[place] for each in self.trials])
        told = f"{shown(found.first)}; page {shown(found.page)}"
        return [f"trimtab, {self.said}", told, named(found)]


def theirs_quiet(setting: whole.Setting, worlds: Worlds) -> list[object]:
    """What fifty detectors raise."""
    counts = [len(alarms) for alarms in setting.watch([live for _, live in worlds])]
    return [setting.name, setting.said, *quiet_cells(counts, worlds)]


def quiet_cells(counts: Sequence[int], worlds: Worlds) -> list[object]:
    """A rate on the nulls; a count on the census, which comes last."""
    years = sum(len(live) for _, live in worlds[:-1]) / whole.YEARLY
    return [Rate(sum(counts[:-1]), years), f"{counts[-1]} in {len(worlds[-1][1]):,} rows"]


def injected(begins: Sequence[int], ours: Sequence[Ours], peers: Sequence[whole.Setting]) -> str:
    """Every fault under every detector, and how often the right column was named."""
    runs = [[whole.injected(fault, since) for since in begins] for fault in faults.FAULTS]
    theirs = [each.after([run for mine in runs for run in mine]) for each in peers]
    made: list[list[object]] = []
    for place, fault in enumerate(faults.FAULTS):
        lines = [each.found(place) for each in ours]
        mine = slice(place * len(begins), (place + 1) * len(begins))
        for each, alarms in zip(peers, theirs, strict=True):
            found = whole.found(fault, alarms[mine])
            lines.append([f"{each.name}, {each.said}", shown(found.first), named(found)])
        harm = float(np.mean([run.harm for run in runs[place]]))
        heads = [[fault.name, f"{100 * harm:+.1f}"]] + [["", ""]] * (len(lines) - 1)
        made += [[*head, *line] for head, line in zip(heads, lines, strict=True)]
    return table(["Fault", "Harm", "Detector", "Delay", "Named first / in three"], made)


def named(found: whole.Found) -> str:
    """How often the right column was named."""
    return f"{found.top:.0%} / {found.three:.0%}"


def part_tables(quick: bool) -> str:
    """Products that compare tables."""
    reference, live = whole.known(), whole.natural(0)[1]
    live = live.iloc[: 20_000 if quick else 50_000]
    since = len(live) // 2
    worse = live.copy()
    generator = np.random.default_rng(5)
    worse.iloc[since:] = faults.FAULTS[0].change(live.iloc[since:], generator)
    told = TABLES.format(size=chunks.SIZE, columns=len(chunks.COLUMNS), since=since)
    small = reference.sample(chunks.SMALL, random_state=0)
    body = [
        ["Evidently, reference of 1,000 rows", *evidently(small, live, worse, since)],
        ["Evidently, reference of all rows", *evidently(reference, live, worse, since)],
        ["NannyML, chunks of 5,000", *nannyml(reference, live, worse, since, chunks.SIZE)],
        ["NannyML, its default of ten chunks", *nannyml(reference, live, worse, since, 0)],
        ["trimtab", *trimtab(reference, live, worse, since)],
    ]
    head = ["Product", "Alerts about columns", "about accuracy", "rows to see 3 points"]
    return told + "\n" + table(head, body) + "\n"


def evidently(
    reference: pd.DataFrame, live: pd.DataFrame, worse: pd.DataFrame, since: int
) -> list[str]:
    """Its row of the table."""
    found = chunks.evidently(reference, live)
    late = chunks.evidently(reference, worse)
    ends = [(place + 1) * chunks.SIZE - 1 for place, each in enumerate(late) if each[2]]
    return [chunks.told(found, 0), chunks.told(found, 2), rows_to_see(ends, since)]


def nannyml(
    reference: pd.DataFrame, live: pd.DataFrame, worse: pd.DataFrame, since: int, size: int
) -> list[str]:
    """Its row of the table."""
    found = chunks.nannyml(reference, live, size)
    ends = [each[2] for each in chunks.nannyml(reference, worse, size) if each[1]]
    return [chunks.told(found, 0), chunks.told(found, 1), rows_to_see(ends, since)]


def trimtab(
    reference: pd.DataFrame, live: pd.DataFrame, worse: pd.DataFrame, since: int
) -> list[str]:
    """Ours: notes and tickets about columns, pages about quality."""
    found = whole.over((reference, live))
    pages = [each for each in found if each.tier == "page"]
    late = [each.row for each in whole.over((reference, worse)) if each.tier == "page"]
    columns = f"{len(found) - len(pages)} tickets and notes"
    return [columns, f"{len(pages)} pages", rows_to_see(late, since)]


def rows_to_see(ends: Sequence[int], since: int) -> str:
    """Rows from the fault to the first alert after it."""
    rows = delay(ends, since)
    return "never" if rows is None else f"{rows + 1:,}"


PARTS: dict[str, tuple[str, Callable[[bool], str]]] = {
    "errors": ("One stream: more errors", part_errors),
    "tolerance": ("What a tolerance costs", part_tolerance),
    "whole": ("A whole deployment", part_whole),
    "tables": ("Products that compare tables", part_tables),
}


def written(page: str, name: str, text: str) -> str:
    """The page with the text of a part in its place."""
    sections = {title: "" for title, _ in PARTS.values()}
    for each in page.split("\n## ")[1:]:
        title, _, body = each.partition("\n\n")
        sections[title] = body.strip()
    sections[PARTS[name][0]] = text.strip()
    kept = [f"## {title}\n\n{body}\n" for title, body in sections.items() if body]
    return "\n".join([INTRO, *kept])


def main() -> None:
    """Print the parts, and with `--write` put them into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", choices=PARTS, help="may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    for name in given.only or PARTS:
        text = PARTS[name][1](given.quick)
        print(f"## {PARTS[name][0]}\n\n{text}", flush=True)
        if given.write:
            page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
            PAGE.write_text(written(page, name, text), encoding="utf-8")


if __name__ == "__main__":
    main()
