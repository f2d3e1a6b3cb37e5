"""How long to wait before a process is started again."""

from dataclasses import dataclass

from trimtab.agent.options import Patience


@dataclass(slots=True)
class Backoff:
    """Restart at once, but ever more slowly when the process dies young again and again."""

    patience: Patience
    quick_deaths: int = 0

    def pause(self, lived: float) -> float:
        """Seconds to wait after a process that lived `lived` seconds."""
        if lived >= self.patience.settled:
            self.quick_deaths = 0
            return 0.0
        self.quick_deaths += 1
        if self.quick_deaths == 1:
            return 0.0
        pause = self.patience.shortest_pause * 2.0 ** min(self.quick_deaths - 2, 30)
        return float(min(self.patience.longest_pause, pause))
