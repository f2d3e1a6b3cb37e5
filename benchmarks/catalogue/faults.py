"""The catalogue: each fault with its doses, its true cause, and whether anybody is harmed."""

from dataclasses import dataclass

import numpy as np

from catalogue import drawn, fourth, incidents, postmortems, production, unseen
from catalogue import effects as fx
from trimtab.domain.verdicts import Cause

HOUR = 3600.0


@dataclass(frozen=True)
class Fault:
    """One entry. `causes` are those that are right (empty: nothing should be told); where there
    are two, `either` says why. Doses are drawn evenly on a logarithmic scale.

    `harmful` is whether clients or decisions suffer, but for data sets that are `spared`, as was
    measured over all their rows. `mark` is † for a fault that nothing
    knew when it was first let loose, ‡ for one of which was learned since.
    """

    name: str
    effect: type[fx.Effect]
    doses: tuple[float, float]
    causes: tuple[Cause, ...] = ()
    harmful: bool = True
    either: str = ""
    mark: str = ""
    spared: tuple[str, ...] = ()

    def harms(self, data: str) -> bool:
        """Whether anybody suffers from it on a data set."""
        return self.harmful and data not in self.spared

    @property
    def about(self) -> str:
        """What happens, in a sentence."""
        return (self.effect.__doc__ or "").partition("\n\n")[0].replace("\n    ", " ")

    @property
    def blind(self) -> bool:
        """Whether nothing was changed for its sake."""
        return self.mark == "†"

    @property
    def null(self) -> bool:
        """Whether nothing is wrong."""
        return not self.causes

    def dose(self, generator: np.random.Generator) -> float:
        """How strong it is this time."""
        low, high = self.doses
        return float(low * (high / low) ** generator.random())


_BREAK = (Cause.UPSTREAM_BREAK,)
_RELEASE = (Cause.BAD_RELEASE,)
_PLACE = (Cause.INFRASTRUCTURE,)
_WORKER = (Cause.BAD_WORKER,)
_CLIENT = (Cause.HOSTILE_CLIENT,)
_LABELS = (Cause.LABEL_FAULT,)
_SKEW = (Cause.TRAINING_SERVING_SKEW,)

CATALOGUE: tuple[Fault, ...] = (
    Fault("unit-change", fx.UnitChange, (4.0, 1000.0), _BREAK),
    Fault("sentinel", fx.Sentinel, (0.4, 1.0), _BREAK),
    Fault("stale-feed", fx.Frozen, (0.1, 0.9), _BREAK),
    Fault("null-burst", fx.NullBurst, (0.6, 1.0), _BREAK),
    Fault("category-rename", fx.Renamed, (0.9, 1.0), _BREAK),
    Fault("covariate-harmless", fx.HarmlessShift, (0.7, 1.5), (Cause.DATA_DRIFT,), harmful=False),
    Fault("covariate-harmful", fx.HarmfulShift, (5.0, 10.0), (Cause.DATA_DRIFT,)),
    Fault(
        "prior-shift",
        fx.PriorShift,
        (3.0, 8.0),
        (Cause.CONCEPT_DRIFT, Cause.DATA_DRIFT),
        either="more positives move the inputs, and what a score means",
    ),
    Fault("concept-flip", fx.ConceptFlip, (0.15, 0.4), (Cause.CONCEPT_DRIFT,)),
    Fault("concept-flip-segment", fx.SegmentFlip, (0.5, 1.0), (Cause.CONCEPT_DRIFT,)),
    Fault("labels-stop", fx.LabelsStop, (0.6, 1.0), _LABELS),
    Fault("labels-late", fx.LabelsLate, (1.5, 4.0), _LABELS),
    Fault("label-flood", fx.LabelFlood, (2.0, 10.0), _LABELS, harmful=False),
    Fault(
        "labels-forged",
        fx.ForgedLabels,
        (0.25, 0.6),
        (Cause.LABEL_FAULT, Cause.HOSTILE_CLIENT),
        either="the labels are false, and one sender is why",
    ),
    Fault("feature-mismatch", fx.OnlineFeature, (0.7, 1.5), _SKEW),
    Fault("library-upgrade", fx.Environment, (0.7, 2.0), (Cause.ENVIRONMENT_MISALIGNMENT,)),
    Fault("library-upgrade-same", fx.SameLibrary, (1.0, 1.0), harmful=False),
    Fault("blas-change", fx.OtherBlas, (1e-14, 1e-10), harmful=False),
    Fault("node-fails", fx.WorkerFails, (0.1, 0.6), _WORKER),
    Fault("node-slow", fx.WorkerSlow, (20.0, 60.0), _WORKER),
    Fault(
        "node-wrong",
        fx.WorkerWrong,
        (0.5, 1.0),
        (Cause.BAD_WORKER, Cause.ENVIRONMENT_MISALIGNMENT),
        either="the golden set fails on one worker only",
    ),
    Fault("memory-leak", fx.MemoryLeak, (0.05, 0.15), _PLACE),
    Fault("cpu-starvation", fx.Starved, (10.0, 40.0), _PLACE),
    Fault("slow-dependency", fx.SlowDependency, (0.06, 0.3), _PLACE),
    Fault("batch-interference", fx.BatchInterference, (0.06, 0.3), _PLACE),
    Fault("release-fails", fx.ReleaseFails, (0.05, 0.4), _RELEASE),
    Fault("release-fails-at-once", fx.ReleaseFailsAtOnce, (0.05, 0.4), _RELEASE),
    Fault("release-slow", fx.ReleaseSlow, (15.0, 40.0), _RELEASE),
    Fault("release-worse", fx.ReleaseWorse, (0.35, 0.45), _RELEASE),
    Fault("release-unfair", fx.ReleaseUnfair, (1.5, 3.0), _RELEASE),
    Fault("release-good", fx.ReleaseGood, (1.0, 1.0), harmful=False),
    Fault("client-garbage", fx.ClientGarbage, (0.3, 0.5), _CLIENT),
    Fault("client-crashes", fx.ClientCrashes, (0.05, 0.4), _CLIENT),
    Fault("clock-jump", fx.ClockJump, (12 * HOUR, 72 * HOUR), harmful=False),
    Fault("nothing", fx.Nothing, (1.0, 1.0), harmful=False),
    Fault("unit-in-segment", drawn.UnitInSegment, (4.0, 1000.0), _BREAK, mark="‡"),
    Fault("column-lost", drawn.ColumnLost, (0.4, 1.0), _BREAK, mark="‡"),
    Fault("joined-wrongly", drawn.JoinedWrongly, (0.4, 1.0), _SKEW, mark="‡"),
    Fault("concept-moves", drawn.ConceptMoves, (0.5, 1.0), (Cause.CONCEPT_DRIFT,), mark="‡"),
    Fault("node-of-two", drawn.NodeFails, (0.1, 0.6), _WORKER, mark="‡"),
    Fault("disk-stalls", drawn.DiskStalls, (0.06, 0.3), _PLACE, mark="‡"),
    Fault("client-undefined", drawn.ClientUndefined, (0.1, 0.4), _CLIENT, mark="‡"),
    Fault("labels-taken-back", drawn.LabelsTakenBack, (0.3, 0.6), _LABELS, mark="‡"),
    Fault("stale-in-segment", unseen.StaleInSegment, (0.1, 0.9), _BREAK, mark="‡"),
    Fault("words-in-range", unseen.WordsInRange, (0.5, 0.8), _BREAK, mark="‡"),
    Fault("concept-in-range", unseen.ConceptInRange, (0.5, 1.0), (Cause.CONCEPT_DRIFT,), mark="†"),
    Fault("skew-in-segment", unseen.SkewInSegment, (0.7, 1.5), _SKEW, mark="†"),
    Fault("node-of-two-slow", unseen.NodeSlow, (20.0, 60.0), _WORKER, mark="†"),
    Fault("lookup-stalls", unseen.LookupStalls, (0.1, 0.6), _PLACE, mark="†"),
    Fault("release-worse-in-segment", unseen.ReleaseWorseInSegment, (0.6, 0.9), _RELEASE, mark="†"),
    Fault("labels-denied", unseen.LabelsDenied, (0.5, 1.0), _LABELS, mark="‡"),
    Fault("columns-swapped", production.Swapped, (0.5, 1.0), _BREAK, mark="†"),
    Fault("comes-and-goes", production.ComesAndGoes, (0.6, 1.0), _SKEW, mark="†"),
    Fault("rounded", production.Rounded, (1.0, 3.0), _BREAK, mark="†"),
    Fault("words-cut", production.WordsCut, (0.4, 1.0), _BREAK, mark="‡"),
    Fault("codes-shuffled", production.CodesShuffled, (0.8, 1.0), _BREAK, mark="‡"),
    Fault(
        "sensor-drifts",
        production.SensorDrifts,
        (1.0, 3.0),
        (Cause.UPSTREAM_BREAK, Cause.DATA_DRIFT),
        either="a slow move of a number has no instant that tells a sensor from the world",
        mark="†",
    ),
    Fault(
        "labels-redefined",
        production.Redefined,
        (0.2, 0.4),
        (Cause.CONCEPT_DRIFT, Cause.LABEL_FAULT),
        either="what is asked of the model has changed, and only labels say so",
        mark="†",
    ),
    Fault("positives-late", production.PositivesLate, (1.5, 4.0), _LABELS, mark="‡"),
    Fault("annotator-errs", production.AnnotatorErrs, (0.6, 1.0), _LABELS, mark="‡"),
    Fault(
        "candidate-misreads",
        production.CandidateMisreads,
        (0.6, 1.0),
        _RELEASE,
        mark="†",
        spared=("flights", "stops"),
    ),
    Fault("pauses", production.Pauses, (0.03, 0.15), _PLACE, mark="†"),
    Fault("retry-loop", production.RetryLoop, (0.3, 0.6), _CLIENT, harmful=False, mark="‡"),
    Fault(
        "campaign",
        production.Campaign,
        (1.5, 3.0),
        (Cause.DATA_DRIFT,),
        harmful=False,
        mark="†",
    ),
    Fault("traffic-falls", production.TrafficFalls, (0.2, 0.5), harmful=False, mark="†"),
    Fault("caller-moves-in", production.CallerMovesIn, (0.3, 0.6), harmful=False, mark="†"),
    Fault("labels-confirmed", production.LabelsConfirmed, (0.3, 0.8), harmful=False, mark="‡"),
    Fault("single-precision", production.SinglePrecision, (1.0, 1.0), harmful=False, mark="‡"),
    Fault("hours-in-utc", postmortems.HoursInUtc, (4.0, 12.0), _SKEW, mark="†"),
    Fault("sensor-clips", postmortems.SensorClips, (0.3, 0.7), _BREAK, mark="‡"),
    Fault("defaults-filled", postmortems.DefaultsFilled, (0.3, 0.9), _BREAK, mark="‡"),
    Fault("rows-shifted", postmortems.RowsShifted, (1.0, 1.0), _BREAK, mark="†"),
    Fault("client-reorders", postmortems.ClientReorders, (0.15, 0.4), _CLIENT, mark="†"),
    Fault("scraper", postmortems.Scraper, (0.2, 0.45), _CLIENT, mark="‡"),
    Fault("labels-of-accepted", postmortems.LabelsOfAccepted, (0.8, 1.0), _LABELS, mark="†"),
    Fault("labels-echoed", postmortems.LabelsEchoed, (0.6, 1.0), _LABELS, mark="‡"),
    Fault("labels-premature", postmortems.LabelsPremature, (0.3, 0.7), _LABELS, mark="‡"),
    Fault(
        "node-in-utc",
        postmortems.NodeInUtc,
        (4.0, 12.0),
        (Cause.BAD_WORKER, Cause.ENVIRONMENT_MISALIGNMENT),
        either="a setting of the environment is wrong, on one node only",
        mark="‡",
    ),
    Fault("worker-pauses", postmortems.WorkerPauses, (0.1, 0.4), _WORKER, mark="†"),
    Fault("lookups-fail", postmortems.LookupsFail, (0.05, 0.4), _PLACE, mark="‡"),
    Fault(
        "concept-in-rarity",
        postmortems.ConceptInRarity,
        (0.7, 1.0),
        (Cause.CONCEPT_DRIFT,),
        mark="†",
    ),
    Fault("decay", postmortems.Decay, (0.15, 0.4), (Cause.CONCEPT_DRIFT,), mark="†"),
    Fault("release-rebalanced", postmortems.ReleaseRebalanced, (4.0, 10.0), _RELEASE, mark="†"),
    Fault(
        "backfill",
        postmortems.Backfill,
        (1.5, 4.0),
        (Cause.DATA_DRIFT,),
        harmful=False,
        mark="‡",
    ),
    Fault(
        "launch",
        postmortems.Launch,
        (0.1, 0.3),
        (Cause.DATA_DRIFT,),
        harmful=False,
        mark="†",
    ),
    Fault("keys-rotated", postmortems.KeysRotated, (1.0, 1.0), harmful=False, mark="†"),
    Fault("labels-sooner", postmortems.LabelsSooner, (0.2, 0.5), harmful=False, mark="†"),
    Fault("scale-reversed", incidents.ScaleReversed, (0.5, 1.0), _BREAK, mark="†"),
    Fault("app-sends-zero", incidents.AppSendsZero, (0.3, 0.8), _BREAK, mark="†"),
    Fault("window-longer", incidents.WindowLonger, (0.6, 0.95), _SKEW, mark="†"),
    Fault("cached-by-caller", incidents.CachedByCaller, (0.6, 1.0), _SKEW, mark="†"),
    Fault("branch-unlabelled", incidents.BranchUnlabelled, (0.8, 1.0), _LABELS, mark="‡"),
    Fault("negatives-sampled", incidents.NegativesSampled, (0.6, 0.9), _LABELS, mark="‡"),
    Fault("labels-misjoined", incidents.LabelsMisjoined, (0.5, 1.0), _LABELS, mark="‡"),
    Fault(
        "caller-lies",
        incidents.CallerLies,
        (0.2, 0.45),
        (Cause.LABEL_FAULT, Cause.HOSTILE_CLIENT),
        either="the labels are false, and one caller is why",
        mark="‡",
    ),
    Fault("release-leaked", incidents.ReleaseLeaked, (1.0, 3.0), _RELEASE, mark="†"),
    Fault("release-filtered", incidents.ReleaseFiltered, (0.2, 0.3), _RELEASE, mark="†"),
    Fault(
        "worker-old-columns",
        incidents.WorkerOldColumns,
        (1.0, 1.0),
        (Cause.BAD_WORKER, Cause.ENVIRONMENT_MISALIGNMENT),
        either="a file of the environment is an old one, on one worker only",
        mark="†",
    ),
    Fault("latency-creeps", incidents.LatencyCreeps, (10.0, 40.0), _PLACE, mark="†"),
    Fault("region-fails", incidents.RegionFails, (0.1, 0.6), _PLACE, mark="†"),
    Fault(
        "concept-half-day",
        incidents.ConceptHalfDay,
        (0.3, 0.6),
        (Cause.CONCEPT_DRIFT,),
        mark="†",
    ),
    Fault(
        "unsure-in-category",
        incidents.UnsureInCategory,
        (4.0, 15.0),
        (Cause.DATA_DRIFT,),
        mark="†",
    ),
    Fault("heavy-caller", incidents.HeavyCaller, (0.1, 0.3), _CLIENT, mark="‡"),
    Fault("requests-twice", incidents.RequestsTwice, (0.3, 1.0), harmful=False, mark="†"),
    Fault("labels-batched", incidents.LabelsBatched, (0.05, 0.25), harmful=False, mark="†"),
    Fault("source-renamed", incidents.SourceRenamed, (1.0, 1.0), harmful=False, mark="†"),
    Fault("hardware-faster", incidents.HardwareFaster, (0.2, 0.5), harmful=False, mark="†"),
    Fault(
        "words-merged",
        fourth.WordsMerged,
        (0.9, 1.0),
        _BREAK,
        mark="†",
        spared=("flights", "stops"),
    ),
    Fault("counter-wraps", fourth.CounterWraps, (0.5, 0.8), _BREAK, mark="†", spared=("stops",)),
    Fault(
        "mimicry", fourth.Mimicry, (0.3, 0.6), (Cause.CONCEPT_DRIFT,), mark="†", spared=("stops",)
    ),
    Fault("hard-market-grows", fourth.HardMarketGrows, (6.0, 15.0), (Cause.DATA_DRIFT,), mark="†"),
    Fault("labels-respelt", fourth.LabelsRespelt, (0.5, 1.0), _LABELS, mark="‡"),
    Fault("labels-inverted", fourth.LabelsInverted, (0.9, 1.0), _LABELS, mark="‡"),
    Fault(
        "counted-so-far",
        fourth.CountedSoFar,
        (0.6, 1.0),
        _SKEW,
        mark="†",
        spared=("flights", "stops"),
    ),
    Fault(
        "release-truncated",
        fourth.ReleaseTruncated,
        (0.01, 0.03),
        _RELEASE,
        mark="†",
        spared=("stops",),
    ),
    Fault("worker-mixes-up", fourth.WorkerMixesUp, (0.6, 1.0), _WORKER, mark="†"),
    Fault(
        "engine-rounds",
        fourth.EngineRounds,
        (2.0, 4.0),
        (Cause.ENVIRONMENT_MISALIGNMENT,),
        mark="†",
    ),
    Fault("rebuilt-at-noon", fourth.RebuiltAtNoon, (2.0, 4.0), _PLACE, mark="†"),
    Fault("flood", fourth.Flood, (1.0, 3.0), _CLIENT, mark="‡"),
    Fault(
        "goes-together",
        fourth.GoesTogether,
        (0.5, 1.0),
        (Cause.DATA_DRIFT,),
        harmful=False,
        mark="†",
    ),
    Fault("backlog", fourth.Backlog, (0.5, 1.0), harmful=False, mark="†"),
)

BY_NAME = {fault.name: fault for fault in CATALOGUE}
