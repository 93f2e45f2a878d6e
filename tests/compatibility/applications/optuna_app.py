"""Optuna: studies, trials, parameters and values of an optimisation."""

import sys

import optuna


def write(storage: optuna.storages.RDBStorage) -> None:
    """Studies of two directions, infinite and missing values, failed trials, and a study that is deleted."""
    study = optuna.create_study(storage=storage, directions=["minimize", "maximize"])
    study.optimize(_measure, n_trials=10)
    other = optuna.create_study(storage=storage)
    other.optimize(_report, n_trials=4)
    other.optimize(_fail, n_trials=2, catch=(ValueError,))
    names = optuna.get_all_study_names(storage)
    if len(names) > 2:
        optuna.delete_study(study_name=names[0], storage=storage)


def _measure(trial: optuna.Trial) -> tuple[float, float]:
    x = trial.suggest_float("x", -1e300, 1e300)
    k = trial.suggest_int("k", 0, 10)
    trial.suggest_categorical("c", ["a", "b", None, 1.5])
    trial.set_user_attr("note", {"a": [1, 2.5, "ü"]})
    return x, float(k)


def _report(trial: optuna.Trial) -> float:
    trial.report(float("inf"), 1)
    trial.report(float("nan"), 2)
    return trial.suggest_float("y", 1e-300, 1, log=True)


def _fail(_: optuna.Trial) -> float:
    raise ValueError("on purpose")


if __name__ == "__main__":
    step, url = sys.argv[1:]
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    storage = optuna.storages.RDBStorage(url)
    if step == "write":
        write(storage)
