"""skops: scikit-learn objects without pickle. Types beyond its own list must be named."""

import zipfile

from ..config import WorkerConfig
from .estimator import Estimator
from .formats import model_file, wrong_format

HARMLESS = ("numpy.dtype",)
"""Not on skops' own list, but in every one-hot encoder; it is read by numpy without pickle."""


def load(config: WorkerConfig) -> Estimator:
    """Load a `.skops` file, trusting skops' own list and the types in `skops_trusted`."""
    path = model_file(config)
    with zipfile.ZipFile(path) as archive:
        if "schema.json" not in archive.namelist():
            raise wrong_format(config, "a zip archive without skops' schema.json")
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    named = [name.strip() for name in config.settings.get("skops_trusted", "").split(",")]
    trusted = [*HARMLESS, *(name for name in named if name)]
    try:
        return Estimator(skops.io.load(path, trusted=trusted))
    except UntrustedTypesFoundException as error:
        found = ",".join(sorted({*skops.io.get_untrusted_types(file=path)} - {*HARMLESS}))
        raise ValueError(
            "the file holds types that are not trusted; if they are yours, build with "
            f'--set skops_trusted={found} (config = {{ skops_trusted = "…" }} in [model.NAME])'
        ) from error
