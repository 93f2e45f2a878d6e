"""MLflow: experiments, runs with metrics of every kind, traces with spans and assessments, registered models."""

import os
import secrets
import sys
import tempfile

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

os.environ |= {"GIT_PYTHON_REFRESH": "quiet", "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false"}


def write(url: str, folder: str) -> None:
    """All of it, and one of each kind deleted, restored or renamed."""
    mlflow.set_tracking_uri(url)
    client, mark = mlflow.MlflowClient(url, url), secrets.token_hex(4)
    experiment = client.create_experiment(f"Zoë 🎉 {mark}", artifact_location=folder, tags={"n": "1"})
    other = client.create_experiment(f"other {mark}", artifact_location=folder)
    _runs(client, experiment, mark)
    _traces(client, experiment)
    _models(client, folder, mark)
    _datasets(client, experiment, mark)
    client.delete_experiment(other)
    client.rename_experiment(experiment, f"renamed {mark}")


def _runs(client: mlflow.MlflowClient, experiment: str, mark: str) -> None:
    extremes = [0.1, -0.0, float("nan"), float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308]
    for number in range(5):
        run = client.create_run(experiment, run_name=f"run {mark}").info.run_id
        metrics = [Metric(f"m{place % 3}", value, 1000 + place, place) for place, value in enumerate(extremes)]
        client.log_batch(run, metrics, [Param("p", "it's\n" * 50)], [RunTag("ü", "🎉")])
        client.log_metric(run, "m0", number / 3)
        client.set_tag(run, "ü", "changed")
        client.delete_tag(run, "ü")
        client.log_inputs(run, [DatasetInput(Dataset(f"set {mark}", "d1", "local", "{}"), [InputTag("k", "ü")])])
        client.set_terminated(run, "FAILED" if number % 2 else "FINISHED")
    client.delete_run(run)
    client.restore_run(run)
    client.delete_run(run)


def _traces(client: mlflow.MlflowClient, experiment: str) -> None:
    mlflow.set_experiment(experiment_id=experiment)
    for number in range(3):
        with mlflow.start_span("outer") as outer:
            outer.set_inputs({"question": "Zoë 🎉", "n": number})
            with mlflow.start_span("inner") as inner:
                inner.set_attributes({"half": number / 2})
            outer.set_outputs(["an answer"])
        mlflow.set_trace_tag(outer.trace_id, "k", "v")
        given = mlflow.log_feedback(trace_id=outer.trace_id, name="good", value=bool(number % 2), rationale="because")
        mlflow.update_assessment(outer.trace_id, given.assessment_id, mlflow.entities.Feedback("good", value=0.25))
        mlflow.log_expectation(trace_id=outer.trace_id, name="expected", value={"a": [1, None]})
    client.delete_traces(experiment, trace_ids=[outer.trace_id])


def _datasets(client: mlflow.MlflowClient, experiment: str, mark: str) -> None:
    """Models that runs made, datasets to evaluate them with, prompts."""
    for number in range(3):
        model = client.create_logged_model(experiment, f"logged-{number}", tags={"t": "ü"}, params={"depth": "3"})
        client.finalize_logged_model(model.model_id, "READY")
        dataset = client.create_dataset(f"evaluation {mark} {number}", experiment_id=[experiment], tags={"k": "v"})
        dataset.merge_records(
            [{"inputs": {"q": f"Zoë {n}"}, "expectations": {"a": [n, None, 0.1]}, "tags": {"n": "1"}} for n in range(4)]
        )
        client.register_prompt(f"prompt-{mark}-{number}", "Hello {{name}}, it's 🎉")
    client.delete_logged_model(model.model_id)
    client.delete_dataset(dataset.dataset_id)


def _models(client: mlflow.MlflowClient, folder: str, mark: str) -> None:
    for number in range(3):
        name = f"model {mark} {number}"
        client.create_registered_model(name, tags={"t": "ü"}, description="Zoë")
        for _ in range(2):
            client.create_model_version(name, source=folder)
        client.set_registered_model_alias(name, "champion", "1")
        client.set_model_version_tag(name, "2", "k", "v")
        client.delete_model_version(name, "2")
    client.rename_registered_model(name, f"{name} renamed")
    client.delete_registered_model(f"model {mark} 0")


if __name__ == "__main__":
    step, url = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        Tracking(url, folder)
        Registry(url)
        if step == "write":
            write(url, folder)
