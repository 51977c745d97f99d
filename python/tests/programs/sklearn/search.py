# SPDX-License-Identifier: MIT
"""GridSearchCV and cross_val_score on joblib's multiprocessing backend, with an estimator of the script's own."""
import joblib
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier


class Own(KNeighborsClassifier):
    pass


class Constant(ClassifierMixin, BaseEstimator):
    def __init__(self, answer=0):
        self.answer = answer

    def fit(self, x, y):
        self.classes_ = sorted(set(y))
        return self

    def predict(self, x):
        return [self.answer] * len(x)


if __name__ == "__main__":
    x, y = load_iris(return_X_y=True)
    with joblib.parallel_backend("multiprocessing", n_jobs=2):
        search = GridSearchCV(Own(), {"n_neighbors": [1, 3, 5, 7], "weights": ["uniform", "distance"]}, cv=3)
        search.fit(x, y)
        print(search.best_params_, f"{search.best_score_:.6f}")
        print([f"{score:.6f}" for score in search.cv_results_["mean_test_score"]])
        print(cross_val_score(Constant(1), x, y, cv=3).tolist())
