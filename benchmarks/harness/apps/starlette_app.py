"""The same API tuned by hand: Starlette's request and response alone, orjson both ways."""

import gc
import os

import joblib
import numpy as np
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

model = joblib.load(os.environ["BENCH_MODEL"])


async def predict(request: Request) -> Response:
    """Probabilities of the positive class."""
    rows = np.array(orjson.loads(await request.body())["rows"])
    scores = np.ascontiguousarray(model.predict_proba(rows)[:, 1])
    body = orjson.dumps({"scores": scores}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json")


app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
gc.collect()
gc.freeze()
