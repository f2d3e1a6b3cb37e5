"""A terminal that texts of others cannot steer."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from trimtab.cli.steering import unsteered


class Terminal(Console):
    """A console that drops control characters out of texts, which rich lets pass.

    A category, a request id or an error may hold what a client sent, and no more than be read: the
    sequences that clear a screen or name a window begin with such a character. Rich gives them no
    width, so a table without them is as wide."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Segments, of which those that are the console's own stay as they are."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(unsteered(segment.text), segment.style)
