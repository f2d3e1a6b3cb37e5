"""The pages of the dashboard, each with a `.json` twin and the command that shows the same."""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from trimtab import errors
from trimtab.domain.names import short
from trimtab.domain.verdicts import Word
from trimtab.views import svg, words
from trimtab.views.journal import build_history, build_why
from trimtab.views.shapes import DeploymentView, IncidentView, VerdictView
from trimtab.views.status import build_status
from trimtab.web.answers import failed
from trimtab.web.live import Live
from trimtab.web.policy import Policy, Routes
from trimtab.web.reads import live_of, open_incidents, traffic_of

routes = Routes()
STATIC = {"style.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}
LOOP_LATE_SECONDS = 15.0
SHOWN_EVENTS = 12
SHOWN_INCIDENTS = 8
SHOWN_CHARTS = 6
_DEPLOYMENT_PAGE = re.compile(r"/deployments/([^/]+)")


@dataclass(frozen=True, slots=True)
class Button:
    """An order on a page: where it posts, what with, and what it will lead to."""

    label: str
    path: str
    body: str
    consequence: str
    command: str
    tone: str = ""


@cache
def templates() -> jinja2.Environment:
    """The templates, escaping everything, refusing unknown names."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("trimtab.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=words, short=short, charts=_Charts())
    return environment


class _Charts:
    """Drawings that templates may place unescaped: they escape their own texts."""

    traffic = staticmethod(lambda view: Markup(svg.traffic(view)))
    evidence = staticmethod(lambda series: Markup(svg.evidence(series)))
    interval = staticmethod(lambda verdict: Markup(svg.interval(verdict)))
    legend = staticmethod(svg.legend)


@routes.get("/", policy=Policy.READ)
async def overview(request: Request) -> Response:
    """All deployments."""
    main = overview_html(live_of(request))
    return _page(main, "Overview", "/", "trimtab status", "/index.json")


@routes.get("/index.json", policy=Policy.READ)
async def overview_twin(request: Request) -> Response:
    """The overview as JSON."""
    return RedirectResponse("/api/status")


@routes.get("/deployments/{name}.json", policy=Policy.READ)
async def deployment_twin(request: Request) -> Response:
    """A deployment as JSON."""
    name = request.path_params["name"]
    build_status(live_of(request).look(), name)
    return RedirectResponse(f"/api/status/{name}")


@routes.get("/deployments/{name}", policy=Policy.READ)
async def deployment(request: Request) -> Response:
    """One deployment."""
    name = request.path_params["name"]
    try:
        main = deployment_html(live_of(request), name)
    except errors.NotFound as error:
        body = templates().get_template("missing.html").render(error=error, title=name)
        return HTMLResponse(body, 404)
    path = f"/deployments/{name}"
    return _page(main, name, path, f"trimtab status {name}", f"{path}.json")


@routes.get("/static/{name}", policy=Policy.READ)
async def static(request: Request) -> Response:
    """A file of the dashboard; the names are fixed, so no path can be made of one."""
    name = request.path_params["name"]
    if name not in STATIC:
        missing = errors.NotFound(errors.BAD_REQUEST, "GET", name, "there is no such file")
        return failed(missing)
    headers = {"Cache-Control": "no-cache"}
    return Response(static_file(name), media_type=STATIC[name], headers=headers)


@cache
def static_file(name: str) -> bytes:
    """The bytes of a packaged file."""
    return resources.files("trimtab.web").joinpath("static", name).read_bytes()


def fragment(live: Live, path: str) -> str:
    """The changing part of the page at `path`. Raises `NotFound`."""
    if path == "/":
        return overview_html(live)
    match = _DEPLOYMENT_PAGE.fullmatch(path)
    if match is None:
        raise errors.NotFound(errors.BAD_REQUEST, "follow", path, "there is no such page")
    return deployment_html(live, match[1])


def overview_html(live: Live) -> str:
    """The overview's changing part."""
    seen = live.look()
    names = seen.names()
    told = live.history.told({*open_incidents(seen), *live.history.closed()})
    incidents = build_why(told, names).incidents
    last = build_history(live.history.last(seen.state.deployments), names).events
    return (
        templates()
        .get_template("overview_live.html")
        .render(
            status=build_status(seen),
            loop_late=_loop_late(seen.now, seen.observed_at),
            open_incidents=[incident for incident in incidents if incident.closed_at is None],
            last_closed=_last_closed(incidents),
            newest={event.deployment: event for event in last},
        )
    )


def deployment_html(live: Live, name: str) -> str:
    """The changing part of a deployment's page. Raises `NotFound` TT-601."""
    seen = live.look()
    status = build_status(seen, name)
    view = status.deployments[0]
    names, series = seen.names(), live.trace.view(name).series
    told = live.history.incidents(SHOWN_INCIDENTS, name, beside=open_incidents(seen, name))
    events = live.history.events(SHOWN_EVENTS, name).entries
    return (
        templates()
        .get_template("deployment_live.html")
        .render(
            view=view,
            status=status,
            loop_late=_loop_late(seen.now, seen.observed_at),
            buttons=buttons(view),
            judged=Judged(view.verdicts),
            traffic=traffic_of(live, seen, name),
            evidence=series[:SHOWN_CHARTS],
            more_evidence=series[SHOWN_CHARTS:],
            incidents=build_why(told.entries, names).incidents,
            older_incidents=told.earlier,
            events=tuple(reversed(build_history(events, names).events)),
        )
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts of a page: what is bad, what would page, the rest, and what is not known."""

    verdicts: tuple[VerdictView, ...]

    @property
    def bad(self) -> list[VerdictView]:
        """Those in alarm."""
        return self._of("bad")

    @property
    def pages(self) -> list[VerdictView]:
        """Those that are ok and wake somebody when they are not."""
        return [each for each in self._of("ok") if each.tier == "page"]

    @property
    def others(self) -> list[VerdictView]:
        """Those that are ok and wake nobody: of a wide table, hundreds."""
        return [each for each in self._of("ok") if each.tier != "page"]

    @property
    def unknown(self) -> list[tuple[str, str]]:
        """Signals of which nothing can be said, with the reason."""
        return words.unknown(self.verdicts)

    def _of(self, word: Word) -> list[VerdictView]:
        return [each for each in self.verdicts if each.verdict == word]


def _loop_late(now: float, observed_at: float | None) -> str:
    """How long ago the control loop looked, when that is too long."""
    if observed_at is None or now - observed_at < LOOP_LATE_SECONDS:
        return ""
    return words.span(now - observed_at)


def _last_closed(incidents: tuple[IncidentView, ...]) -> IncidentView | None:
    closed = [incident for incident in incidents if incident.closed_at is not None]
    return max(closed, key=lambda incident: incident.closed_at or incident.opened_at, default=None)


def _page(main: str, title: str, path: str, command: str, twin: str) -> Response:
    body = (
        templates()
        .get_template("page.html")
        .render(
            main=Markup(main),
            title=title,
            path=path,
            command=command,
            twin=twin,
        )
    )
    return HTMLResponse(body, headers={"Cache-Control": "no-store"})


def buttons(view: DeploymentView) -> tuple[Button, ...]:
    """The orders that make sense now, with their consequence in a sentence."""
    made = _rollout_buttons(view) if view.rollout is not None else ()
    back = view.rollback
    if view.rollout is None and back.target is not None and view.stable is not None:
        text = f"All requests go to {back.target} again; {view.stable.release} is kept."
        made += (_button(view, "Roll back", "rollback", text, tone="danger"),)
    if view.run is None and view.stable is not None:
        text = f"The pipeline of {view.model} runs on all labels known by now; what serves stays."
        made += (_button(view, "Retrain", "retrain", text),)
    return made


def _rollout_buttons(view: DeploymentView) -> tuple[Button, ...]:
    rollout = view.rollout
    assert rollout is not None
    release = rollout.release
    text = f"{release} goes to its next step without waiting; missing evidence still holds it."
    made = [_button(view, "Promote", "promote", text)]
    if rollout.paused:
        text = f"{release} advances again when the evidence allows."
        made.append(_button(view, "Resume", "resume", text))
    else:
        text = f"{release} stays at its share; the guard stays on."
        made.append(_button(view, "Pause", "pause", text))
    if rollout.state == "bake":
        target = view.rollback.target or "the release before"
        text = f"All requests go to {target} again at once."
        made.append(_button(view, "Roll back", "rollback", text, tone="danger"))
    else:
        stable = view.stable.release if view.stable else "nothing"
        text = f"{release} loses its traffic; {stable} keeps serving."
        made.append(_button(view, "Abort", "abort", text, tone="danger"))
    return tuple(made)


def _button(
    view: DeploymentView, label: str, verb: str, consequence: str, tone: str = ""
) -> Button:
    name = view.name
    group = "models" if verb == "retrain" else "deployments"
    path = f"/api/{group}/{name}/{verb}"
    return Button(label, path, "{}", consequence, f"trimtab {verb} {name}", tone)
