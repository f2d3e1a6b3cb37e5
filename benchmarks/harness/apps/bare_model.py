"""What one row costs in the model alone: the median time of predict_proba, in seconds."""

import sys
import time

import joblib
import numpy as np

model = joblib.load(sys.argv[1])
row = np.linspace(-1.0, 1.0, 30).reshape(1, 30)
times = []
for _ in range(int(sys.argv[2])):
    begun = time.perf_counter()
    model.predict_proba(row)
    times.append(time.perf_counter() - begun)
print(float(np.median(times[len(times) // 5 :])))
