"""skops: scikit-learn objects without pickle. Types beyond its own list must be named."""

import zipfile

from ..config import WorkerConfig
from .estimator import Estimator
from .formats import model_file, wrong_format


def load(config: WorkerConfig) -> Estimator:
    """Load a `.skops` file, trusting the types in the setting `skops_trusted` and no others."""
    path = model_file(config)
    with zipfile.ZipFile(path) as archive:
        if "schema.json" not in archive.namelist():
            raise wrong_format(config, "a zip archive without skops' schema.json")
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    trusted = [name.strip() for name in config.settings.get("skops_trusted", "").split(",")]
    try:
        return Estimator(skops.io.load(path, trusted=[name for name in trusted if name]))
    except UntrustedTypesFoundException as error:
        found = ",".join(sorted(skops.io.get_untrusted_types(file=path)))
        raise ValueError(
            f"the file holds types that are not trusted; if they are yours, set "
            f'skops_trusted = "{found}" in the config of the model'
        ) from error
