"""trimtab keeps machine-learning models dependable in production.

It packs a trained model into an immutable release, serves it, watches it, judges it and acts –
rolls back, scales, retrains – in one control loop.
"""

from trimtab.client import Client, Label, Prediction

__version__ = "0.1.0"

__all__ = ["Client", "Label", "Prediction", "__version__"]
