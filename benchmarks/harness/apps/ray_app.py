"""A Ray Serve application with dynamic batching, in a cluster of this process's own."""

import os
import signal
import threading

import joblib
import numpy as np
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

processes = int(os.environ["BENCH_PROCESSES"])


@serve.deployment(
    num_replicas=processes,
    max_ongoing_requests=512,
    ray_actor_options={"num_cpus": 0.5},
)
class Classifier:
    """One model per replica."""

    def __init__(self, path: str) -> None:
        self.model = joblib.load(path)

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001)
    async def predict(self, inputs: list[np.ndarray]) -> list[list[float]]:
        """Probabilities of the positive class, per request."""
        scores = self.model.predict_proba(np.concatenate(inputs))[:, 1]
        begins = np.cumsum([len(rows) for rows in inputs])[:-1]
        return [part.tolist() for part in np.split(scores, begins)]

    async def __call__(self, request: Request) -> JSONResponse:
        """The answer; a response of its own kind, so that it has a Content-Length."""
        body = await request.json()
        return JSONResponse({"scores": await self.predict(np.array(body["rows"]))})


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])})
    serve.run(Classifier.bind(os.environ["BENCH_MODEL"]), route_prefix="/predict")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()
    ray.shutdown()
