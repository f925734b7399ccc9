"""What a model is worth: every score with its chance level, n and interval."""

import datajoint as dj

from . import anatomy, dataset, embedding, prediction, training
from ._guard import Guarded
from ._jobs import Leased
from ._params import ParamSet, Task

schema = dj.Schema()

SCORE = """
    # One number. NULL where undefined, with the reason.
    -> master
    score : int32
    ---
    level : varchar(16)                  # window | channel | post-processed | unit
    metric : varchar(48)
    detail = null : varchar(255)         # class, role or repetition it is about
    value = null : float64
    chance = null : float64              # what guessing gives on the same rows
    n : int64                            # rows scored
    n_groups = null : int32              # subjects (or what the interval resamples)
    low = null : float64                 # 95 percent interval
    high = null : float64                # 95 percent interval
    score_reason = null : varchar(512)   # why value or interval is NULL
    """


class _Analysis(Leased):
    """Key source shared by the analyses: tasks all of whose inputs are there."""

    @property
    def key_source(self):
        missing = self.inputs - self.input_table.proj()
        return (self.tasks & self.inputs.proj()).proj() - missing.proj(self.tasks.key)

    def make_fetch(self, key, **options):
        from ._analyse import request

        return (request(self.tasks, self.inputs, key),)

    def make_insert(self, key, row, scores, *others, **options):
        self.insert1({**key, **row})
        self.Score.insert([{**key, "score": i, **score} for i, score in enumerate(scores)])


@schema
class EvalParamSet(ParamSet):
    definition = """
    # Levels, bootstrap draws and seed of an evaluation.
    eval_params : varchar(64)
    ---
    eval_params_digest : char(64)        # sha256 of the values
    eval_params_json : json
    unique index (eval_params_digest)
    """
    key = "eval_params"

    @classmethod
    def params_class(cls, values):
        from pipeline.evaluation import EvalParams

        return EvalParams


@schema
class ProbeParamSet(ParamSet):
    definition = """
    # How linear probes and silhouettes are made.
    probe_params : varchar(64)
    ---
    probe_params_digest : char(64)       # sha256 of the values
    probe_params_json : json
    unique index (probe_params_digest)
    """
    key = "probe_params"

    @classmethod
    def params_class(cls, values):
        from pipeline.evaluation import ProbeParams

        return ProbeParams


@schema
class EvaluationTask(Task):
    definition = """
    # Asked for: held-out answers of one fold, or of all folds pooled, scored.
    evaluation : char(64)                # sha256 of folds, predictions and parameters
    ---
    -> dataset.SplitTask.proj(eval_split="split")
    -> [nullable] dataset.SplitFold.proj(eval_split="split", eval_fold="fold")
    -> training.ModelParamSet
    eval_model : varchar(64)             # what the study calls the model
    eval_seed : int32
    -> [nullable] anatomy.LabelScheme
    -> EvalParamSet
    """
    key = "evaluation"


@schema
class EvaluationInput(Guarded, dj.Manual):
    definition = """
    # A prediction that enters an evaluation, and the fold it was held out in.
    -> EvaluationTask
    -> prediction.PredictionTask
    ---
    -> dataset.SplitFold.proj(input_split="split", input_fold="fold")
    """


EvaluationTask.inputs = EvaluationInput


@schema
class Evaluation(_Analysis, dj.Computed):
    definition = """
    # Scores of held-out answers.
    -> EvaluationTask
    ---
    n_subjects : int32
    n_sessions : int32
    """

    class Score(dj.Part):
        definition = SCORE

    class Confusion(dj.Part):
        definition = """
        # Counts of true against predicted region.
        -> master
        level : varchar(16)                  # window | channel | post-processed
        true_region : varchar(64)
        predicted_region : varchar(64)
        ---
        n_confused : int64
        """

    tasks, inputs, input_table = EvaluationTask(), EvaluationInput(), prediction.Prediction()

    def make_compute(self, key, asked, **options):
        from ._analyse import evaluate

        return evaluate(asked)

    def make_insert(self, key, row, scores, confusion, **options):
        super().make_insert(key, row, scores)
        self.Confusion.insert([{**key, **cell} for cell in confusion])


@schema
class LinearProbeTask(Task):
    definition = """
    # Asked for: a linear read-out of region, session, insertion or laboratory from embeddings.
    linear_probe : char(64)              # sha256 of embeddings, target and parameters
    ---
    -> [nullable] training.TrainingTask
    -> embedding.EmbedParamSet
    -> dataset.SplitTask.proj(eval_split="split")
    -> [nullable] dataset.SplitFold.proj(eval_split="split", eval_fold="fold")
    target : varchar(16)                 # region | session | insertion | lab
    eval_model : varchar(64)             # what the study calls the model
    eval_seed : int32                    # of the trainings
    -> [nullable] anatomy.LabelScheme
    -> ProbeParamSet
    """
    key = "linear_probe"


@schema
class LinearProbeInput(Guarded, dj.Manual):
    definition = """
    # An embedding that enters a linear probe.
    -> LinearProbeTask
    -> embedding.EmbeddingTask
    """


LinearProbeTask.inputs = LinearProbeInput


@schema
class LinearProbe(_Analysis, dj.Computed):
    definition = """
    # What a linear model reads from embeddings.
    -> LinearProbeTask
    ---
    probe_scheme : varchar(64)           # what was held out
    """

    class Score(dj.Part):
        definition = SCORE

    tasks, inputs, input_table = LinearProbeTask(), LinearProbeInput(), embedding.Embedding()

    def make_compute(self, key, asked, **options):
        from ._probe import probe

        return probe(asked)


@schema
class SilhouetteTask(Task):
    definition = """
    # Asked for: how embeddings cluster by region, session, insertion or laboratory.
    silhouette : char(64)                # sha256 of embeddings, target and parameters
    ---
    -> [nullable] training.TrainingTask
    -> embedding.EmbedParamSet
    -> dataset.SplitTask.proj(eval_split="split")
    -> [nullable] dataset.SplitFold.proj(eval_split="split", eval_fold="fold")
    target : varchar(16)                 # region | session | insertion | lab
    eval_model : varchar(64)             # what the study calls the model
    eval_seed : int32                    # of the trainings
    -> [nullable] anatomy.LabelScheme
    -> ProbeParamSet
    """
    key = "silhouette"


@schema
class SilhouetteInput(Guarded, dj.Manual):
    definition = """
    # An embedding that enters a silhouette.
    -> SilhouetteTask
    -> embedding.EmbeddingTask
    """


SilhouetteTask.inputs = SilhouetteInput


@schema
class Silhouette(_Analysis, dj.Computed):
    definition = """
    # Exact silhouette of embeddings.
    -> SilhouetteTask
    ---
    n_scored : int64                     # embeddings, after drawing
    """

    class Score(dj.Part):
        definition = SCORE

    tasks, inputs, input_table = SilhouetteTask(), SilhouetteInput(), embedding.Embedding()

    def make_compute(self, key, asked, **options):
        from ._silhouette import silhouette

        return silhouette(asked)


@schema
class ControlTask(Task):
    definition = """
    # Asked for: a control beside an evaluation or a linear probe.
    control : char(64)                   # sha256 of what it stands beside, kind and seed
    ---
    -> [nullable] EvaluationTask
    -> [nullable] LinearProbeTask
    control_kind : varchar(32)           # permuted_labels | relabelled | independent_channels ...
    control_seed : int32
    """
    key = "control"


@schema
class Control(Leased, dj.Computed):
    definition = """
    # What the score would be if the model had nothing to go on.
    -> ControlTask
    ---
    control_text : varchar(1024)         # what was changed, in words
    """

    class Score(dj.Part):
        definition = SCORE

    tasks = ControlTask()

    @property
    def key_source(self):
        """Tasks whose evaluation or probe is there."""
        waiting = (ControlTask & "evaluation is not null") - Evaluation.proj()
        return (
            ControlTask.proj()
            - waiting.proj()
            - ((ControlTask & "linear_probe is not null") - LinearProbe.proj()).proj()
        )

    def make_fetch(self, key, **options):
        return ((ControlTask & key).fetch1(),)

    def make_compute(self, key, task, **options):
        from ._control import control

        return control(task, **options)

    def make_insert(self, key, row, scores, **options):
        self.insert1({**key, **row})
        self.Score.insert([{**key, "score": i, **score} for i, score in enumerate(scores)])


@schema
class LabelScoreTask(Task):
    definition = """
    # Asked for: a stored prediction scored against labels of its session, whenever they came.
    label_score : char(64)               # sha256 of prediction, labels and parameters
    ---
    -> prediction.PredictionTask
    -> anatomy.LabelTask
    -> EvalParamSet
    """
    key = "label_score"


@schema
class LabelScore(Leased, dj.Computed):
    definition = """
    # Scores of one stored prediction against one label set.
    -> LabelScoreTask
    ---
    n_labelled : int32                   # predicted channels that have a label
    heard : varchar(16)                  # what the training had of it: nothing | subject | session
    """

    class Score(dj.Part):
        definition = SCORE

    tasks = LabelScoreTask()

    @property
    def key_source(self):
        """Tasks whose prediction and labels are there."""
        ready = LabelScoreTask & prediction.Prediction.proj() & anatomy.ChannelLabel.proj()
        return ready.proj()

    def make_fetch(self, key, **options):
        return ((LabelScoreTask & key).fetch1(),)

    def make_compute(self, key, task, **options):
        from ._label_score import score_labels

        return score_labels(task)

    def make_insert(self, key, row, scores, **options):
        self.insert1({**key, **row})
        self.Score.insert([{**key, "score": i, **score} for i, score in enumerate(scores)])
