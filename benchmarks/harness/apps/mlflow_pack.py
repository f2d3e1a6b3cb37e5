"""Write the model as an MLflow model whose prediction is the probabilities."""

import sys

import joblib
import mlflow.sklearn

path, folder = sys.argv[1:]
mlflow.sklearn.save_model(
    joblib.load(path),
    folder,
    serialization_format="cloudpickle",
    pyfunc_predict_fn="predict_proba",
    pip_requirements=["scikit-learn"],
)
