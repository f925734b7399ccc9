"""From a split to trainings, embeddings, predictions and analyses: tasks only, no computing."""

from collections.abc import Iterator
from typing import Any

from schemas import analysis, dataset, embedding, prediction, training

from .plan import remember, wanted
from .spec import Model, StudySpec

ALONE = {"permuted_labels", "phase_randomised", "calibration"}
"""Controls that stand beside the evaluation of every model."""
ROLE_ORDER = ("test", "support", "calibrate", "validation", "train", "pretrain")


def request_trainings(spec: StudySpec, split: str) -> None:
    """One chain of trainings per model, fold and seed; each stage starts from the one before."""
    for model, fold, seed, chain in _chains(spec, split):
        parent: str | None = None
        for stage in chain:
            parents = {"init": parent} if parent else None
            parent = training.TrainingTask.ensure(parents=parents, **stage)["training"]
            role = "final" if stage is chain[-1] else "stage"
            label = f"{model.name}|{fold}|{seed}|{role}"
            remember(spec.study.name, "training_task", parent, label)


def final_trainings(spec: StudySpec) -> list[dict[str, Any]]:
    """The last stage of every model, fold and seed: ``name``, ``fold``, ``seed``, ``training``."""
    found = []
    for row in wanted(spec.study.name, "split_task"):
        for model, fold, seed, chain in _chains(spec, row["member"]):
            parent: str | None = None
            for stage in chain:
                rows = [{"parent_role": "init", "parent": parent}] if parent else []
                parent = training.TrainingTask.mark(rows, stage)
            found.append({"name": model.name, "fold": fold, "seed": seed, "training": parent})
    return found


def _chains(spec: StudySpec, split: str) -> Iterator[tuple[Model, int, int, list[dict]]]:
    """Model, fold, seed, and the content of the training task of each stage.

    Self-supervision on subjects that no fold has is the first fold's, and every fold starts there.
    """
    folds = (dataset.SplitFold & {"split": split}).to_arrays("fold", order_by="fold")
    once = spec.split is not None and spec.split.pretrain == "disjoint"
    for model in spec.model:
        params = training.ModelParamSet.register(_name(model), model.values)
        fits = [training.FitParamSet.register(None, stage) for stage in model.stages]
        for fold in folds:
            for seed in model.seeds:
                shared = ssl_first(model) if once else 0
                of_fold = [int(folds[0] if at < shared else fold) for at in range(len(fits))]
                where = {"split": split, "seed": seed, **params}
                chain = [
                    {**where, "fold": own, **fit} for own, fit in zip(of_fold, fits, strict=True)
                ]
                yield model, int(fold), seed, chain


def ssl_first(model: Model) -> int:
    """How many stages from the first on are self-supervised."""
    kinds = [stage.objective == "ssl" for stage in model.stages]
    return kinds.index(False) if False in kinds else len(kinds)


def _name(model: Model) -> str:
    return f"{model.family}-{model.values.digest[:8]}"


def request_answers(spec: StudySpec, split: str) -> None:
    """Predictions on held-out windows, and embeddings of every window of the fold."""
    post = prediction.PostprocessParamSet.register(None, spec.analyses.postprocess)
    embeds = bool(spec.analyses.linear_probes or spec.analyses.silhouettes)
    by_name = {model.name: model for model in spec.model}
    for final in final_trainings(spec):
        heard = windows_of(split, final["fold"], ("test",))
        for name in heard if answers(by_name[final["name"]]) else ():
            asked = prediction.PredictionTask.ensure(
                training=final["training"], windows=name, **post
            )
            remember(spec.study.name, "prediction_task", asked["prediction"], final["name"])
        if not embeds:
            continue
        params = embedding.EmbedParamSet.register(None, by_name[final["name"]].embed)
        for name in windows_of(split, final["fold"], ROLE_ORDER):
            asked = embedding.EmbeddingTask.ensure(
                training=final["training"], windows=name, **params
            )
            remember(spec.study.name, "embedding_task", asked["embedding"], final["name"])


def answers(model: Model) -> bool:
    """Whether the model says regions or rates; self-supervision alone gives it no classes."""
    from pipeline.models import MODELS

    return model.stages[-1].objective != "ssl" or MODELS[model.family].output != "classes"


def windows_of(split: str, fold: int, roles: tuple[str, ...]) -> list[str]:
    """Windows that play one of `roles` in a fold."""
    parts = dataset.SplitAssignment & {"split": split, "fold": fold}
    return sorted(set((parts & [{"role": role} for role in roles]).to_arrays("windows")))


def request_analyses(spec: StudySpec, split: str) -> None:
    """Evaluations per fold and pooled over folds, probes, silhouettes and controls."""
    finals = final_trainings(spec)
    for model in spec.model:
        for seed in model.seeds:
            mine = [f for f in finals if (f["name"], f["seed"]) == (model.name, seed)]
            if spec.analyses.evaluate and answers(model):
                for fold in sorted({f["fold"] for f in mine}):
                    _evaluation(spec, split, model, seed, fold, mine)
                beside = {"evaluation": _evaluation(spec, split, model, seed, None, mine)}
                kinds = ALONE & set(spec.analyses.controls)
                if "abnormality" in spec.analyses.controls and spec.data.conditions:
                    kinds |= {f"abnormality:{spec.data.conditions.regions}"}
                if model is spec.model[0] and spec.data.labels and "lfp" in spec.data.modalities:
                    kinds |= {"independent_channels"}  # of the data: once is enough
                _controls(spec, beside, kinds, seed)
            _probes(spec, split, model, seed, mine)


def _evaluation(spec, split, model: Model, seed, fold, finals) -> str:
    post = prediction.PostprocessParamSet.register(None, spec.analyses.postprocess)
    content = {
        "eval_split": split,
        "eval_fold": fold,
        **training.ModelParamSet.register(_name(model), model.values),
        "eval_model": model.name[:64],
        "eval_seed": seed,
        "scheme": spec.data.labels,
        **analysis.EvalParamSet.register(None, spec.analyses.evaluation),
    }
    chosen = [f for f in finals if fold is None or f["fold"] == fold]
    members = [
        {
            "prediction": _mark(prediction.PredictionTask, f, name, post),
            "input_split": split,
            "input_fold": f["fold"],
        }
        for f in chosen
        for name in windows_of(split, f["fold"], ("test",))
    ]
    asked = analysis.EvaluationTask.ensure(inputs=members, **content)["evaluation"]
    remember(spec.study.name, "evaluation_task", asked, model.name)
    return asked


def _mark(table, final: dict[str, Any], name: str, params: dict[str, str]) -> str:
    """What `request_answers` asked of a training and these windows."""
    return table.mark(None, {"training": final["training"], "windows": name, **params})


def _controls(spec: StudySpec, beside: dict[str, str], kinds: set[str], seed: int) -> None:
    """Controls of these kinds beside an evaluation or a linear probe."""
    for kind in sorted(kinds):
        asked = analysis.ControlTask.ensure(control_kind=kind, control_seed=seed, **beside)
        remember(spec.study.name, "control_task", asked["control"], kind)


def _probes(spec: StudySpec, split: str, model: Model, seed: int, finals: list[dict]) -> None:
    """Probes and silhouettes of each training, and the region probe pooled over folds."""
    swaps = {"relabelled"} & set(spec.analyses.controls)
    for final in finals:
        for target in spec.analyses.linear_probes:
            asked = _probe(spec, analysis.LinearProbeTask, split, model, target, [final])
            if target == "region" and len(finals) == 1:
                _controls(spec, asked, swaps, seed)
        for target in spec.analyses.silhouettes:
            _probe(spec, analysis.SilhouetteTask, split, model, target, [final])
    if "region" in spec.analyses.linear_probes and len(finals) > 1:
        asked = _probe(spec, analysis.LinearProbeTask, split, model, "region", finals)
        _controls(spec, asked, swaps, seed)


def _probe(
    spec: StudySpec, table, split: str, model: Model, target: str, finals: list[dict[str, Any]]
) -> dict[str, str]:
    """Ask for one probe or silhouette over the embeddings of `finals`."""
    embed = embedding.EmbedParamSet.register(None, model.embed)
    alone = finals[0] if len(finals) == 1 else {"training": None, "fold": None}
    members = [
        {"embedding": _mark(embedding.EmbeddingTask, final, name, embed)}
        for final in finals
        for name in windows_of(split, final["fold"], ROLE_ORDER)
    ]
    asked = table.ensure(
        inputs=members,
        training=alone["training"],
        eval_fold=alone["fold"],
        eval_split=split,
        eval_model=model.name[:64],
        eval_seed=finals[0]["seed"],
        target=target,
        scheme=spec.data.labels,
        **embed,
        **analysis.ProbeParamSet.register(None, spec.analyses.probe),
    )
    member_table = "linear_probe_task" if table is analysis.LinearProbeTask else "silhouette_task"
    remember(spec.study.name, member_table, asked[table.key], model.name)
    return asked
