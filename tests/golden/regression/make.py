# SPDX-License-Identifier: Apache-2.0
"""Writes predictions.json: what scikit-learn predicts after 1, 2, ... examples.   python make.py > predictions.json   (scikit-learn 1.9.1)"""
import json
import sys

import numpy
from sklearn.linear_model import Lasso, LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor

ALPHAS = [1, 0.1, 0.01, 0.001, 0.0001]
# (dimensions, points, coordinates of w that are not 0, deviation of the noise)
CASES = [(5, 12, 5, 0.0), (6, 14, 3, 0.0), (4, 9, 4, 0.5)]


def drawn(seed, dims, points, kept, noise):
    random = numpy.random.default_rng(seed)
    w = random.standard_normal(dims)
    w[random.permutation(dims)[kept:]] = 0
    x = random.standard_normal((points, dims)).round(3)
    return x, (x @ w + noise * random.standard_normal(points)).round(5)


def predictions(make, x, y):
    """What `make(examples)` predicts for each x from those before it."""
    return [0.0] + [round(float(make(i).fit(x[:i], y[:i]).predict(x[i : i + 1])[0]), 9) for i in range(1, len(x))]


def main():
    rows = []
    for seed, case in enumerate(CASES):
        x, y = drawn(seed, *case)
        lasso = {str(alpha): predictions(lambda i, a=alpha: Lasso(alpha=a, fit_intercept=False, tol=1e-13, max_iter=10_000_000), x, y) for alpha in ALPHAS}
        rows.append({"x": x.tolist(), "y": y.tolist(), "lasso": lasso,
                     "least_squares": predictions(lambda i: LinearRegression(fit_intercept=False), x, y),
                     "ridge": predictions(lambda i: Ridge(alpha=0.25, fit_intercept=False), x, y),
                     "nearest": predictions(lambda i: KNeighborsRegressor(min(i, 3)), x, y)})
    json.dump(rows, sys.stdout, separators=(",", ":"))
    print()


main()
