"""Which installed libraries a release will import, told by its format, frame and lock alone.

What a release's own code imports besides is not known before that code runs, so it is not here.
"""

from collections.abc import Mapping

from trimtab.backends.shim import PACKAGE
from trimtab.domain.release import Manifest

_ESTIMATORS = ("sklearn.pipeline", "sklearn.compose", "sklearn.ensemble", "sklearn.linear_model")
_MODULES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "skops": {"skops": ("skops.io",)},
    "onnx": {"onnxruntime": ("onnxruntime",)},
    "xgboost": {"xgboost": ("xgboost",)},
    "lightgbm": {"lightgbm": ("lightgbm",)},
    "joblib": {"joblib": ("joblib",), "scikit-learn": _ESTIMATORS},
    "pickle": {"scikit-learn": _ESTIMATORS},
}
"""By format and then by the distribution that must be in the lock."""


def libraries(manifest: Manifest) -> tuple[str, ...]:
    """Modules worth importing before a worker is forked for the release, in that order."""
    compiled = manifest.compiled is not None
    framed = manifest.frame == "pandas" and not (compiled and manifest.features is None)
    frames = {"pandas": ("pandas",)} if framed else {}
    loader = "onnx" if compiled else manifest.format
    wanted = {"numpy": ("numpy.random",), **frames, **_MODULES.get(loader, {})}
    locked = {package.name for package in manifest.environment.packages}
    found = [module for name in wanted if name in locked for module in wanted[name]]
    return (f"{PACKAGE}.loaders.{'compiled' if compiled else manifest.format}", *found)
