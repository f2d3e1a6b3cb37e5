"""What one release has answered, as statistics tell it."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counted:
    """Requests answered by one release since this process started.

    `rows` are those of its answered attempts, `batches` how often its workers were asked, for
    whatever deployment. `timed` has the seconds that its attempts spent in each layer.
    """

    success: int = 0
    fail: int = 0
    rows: int = 0
    batches: int = 0
    timed: dict[str, float] = field(default_factory=dict)

    @property
    def spent(self) -> tuple[tuple[str, int, int], ...]:
        """Triton's names of what is counted, how often it was, and in how many nanoseconds.

        Times are those of attempts that succeeded.
        """
        layers = {"queue": "queue", "compute_input": "features", "compute_infer": "model"}
        layers |= {"compute_output": "encode"}
        return (
            ("success", self.success, self._nanoseconds("total")),
            ("fail", self.fail, 0),
            *((name, self.success, self._nanoseconds(layer)) for name, layer in layers.items()),
        )

    def _nanoseconds(self, layer: str) -> int:
        return round(self.timed.get(layer, 0.0) * 1e9)
