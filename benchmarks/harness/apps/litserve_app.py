"""A LitServe API with batching: as many workers and API servers as processes are asked for."""

import os

import joblib
import litserve as ls
import numpy as np


class Classifier(ls.LitAPI):
    """The steps that LitServe names; a request may hold several rows."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    def decode_request(self, request: dict[str, list[list[float]]]) -> np.ndarray:
        """The matrix of a request."""
        return np.array(request["rows"])

    def batch(self, inputs: list[np.ndarray]) -> tuple[np.ndarray, list[int]]:
        """All rows, and where each request but the first begins."""
        return np.concatenate(inputs), np.cumsum([len(rows) for rows in inputs])[:-1].tolist()

    def predict(self, batch: tuple[np.ndarray, list[int]]) -> list[np.ndarray]:
        """Probabilities of the positive class, per request."""
        rows, begins = batch
        return np.split(self.model.predict_proba(rows)[:, 1], begins)

    def unbatch(self, output: list[np.ndarray]) -> list[np.ndarray]:
        """One answer per request."""
        return output

    def encode_response(self, output: np.ndarray) -> dict[str, list[float]]:
        """The answer."""
        return {"scores": output.tolist()}


if __name__ == "__main__":
    processes = int(os.environ["BENCH_PROCESSES"])
    server = ls.LitServer(
        Classifier(max_batch_size=64, batch_timeout=0.001),
        accelerator="cpu",
        workers_per_device=processes,
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        num_api_servers=processes,
        log_level="warning",
        generate_client_file=False,
    )
