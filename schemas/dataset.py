"""Studies, datasets and splits: who is trained on and who is held out."""

import datajoint as dj

from . import anatomy, recording, windows
from ._guard import Guarded
from ._jobs import Leased
from ._params import ParamSet, Task

schema = dj.Schema()


@schema
class Study(Guarded, dj.Manual):
    definition = """
    # One TOML file as it was run.
    study : varchar(64)
    ---
    study_title : varchar(255)
    question = null : varchar(1024)
    toml : json                          # the parsed file
    study_digest : char(64)              # sha256 of the canonical content
    package_version : varchar(32)
    study_added : datetime               # (UTC)
    """


@schema
class StudyMember(Guarded, dj.Manual):
    definition = """
    # Which study asked for which task.
    -> Study
    member_table : varchar(64)           # task table, in snake case
    member : char(64)                    # its digest key
    ---
    member_name = null : varchar(128)    # what the study calls it
    """


@schema
class Dataset(Task):
    definition = """
    # Windows with labels, put together for one question.
    dataset : char(64)                   # sha256 of members, labels, scheme and regions
    ---
    dataset_name : varchar(64)
    -> [nullable] anatomy.LabelScheme
    counted_regions = null : json        # of the scheme, those that count; NULL counts all
    """
    key = "dataset"


@schema
class DatasetMember(Guarded, dj.Manual):
    definition = """
    # One session's windows in a dataset, with the labels that count.
    -> Dataset
    -> windows.WindowsTask
    ---
    -> [nullable] recording.LabelSet
    """


@schema
class SplitParamSet(ParamSet):
    definition = """
    # How a dataset is split.
    split_params : varchar(64)
    ---
    split_params_digest : char(64)       # sha256 of the values
    split_params_json : json
    split_by : varchar(16)               # subject | session | lab | time
    unique index (split_params_digest)
    """
    key = "split_params"
    promoted = {"split_by": "by"}

    @classmethod
    def params_class(cls, values):
        from pipeline.preprocessing.splits import SplitParams

        return SplitParams


@schema
class SplitTask(Task):
    definition = """
    # Asked for: this dataset split in this way.
    split : char(64)                     # sha256 of dataset and parameters
    ---
    -> Dataset
    -> SplitParamSet
    """
    key = "split"


@schema
class Split(Leased, dj.Computed):
    definition = """
    # A dataset split into folds.
    -> SplitTask
    ---
    n_folds : int32
    assignment_digest : char(64)         # sha256 of every assignment
    """

    @property
    def key_source(self):
        """Tasks whose members all have windows."""
        missing = SplitTask * DatasetMember.proj() - windows.Windows.proj()
        return SplitTask.proj() - dj.U("split").aggr(missing, n="count(*)")

    def make(self, key, **options):
        from ._split import split

        split(self, key)


@schema
class SplitFold(Guarded, dj.Manual):
    definition = """
    # One fold.
    -> Split
    fold : int32
    ---
    fold_name : varchar(128)             # what is held out
    transductive : bool                  # pretraining saw a test subject's signal
    within_subject : bool                # train and test share a subject
    """


@schema
class SplitAssignment(Guarded, dj.Manual):
    definition = """
    # The part one session's windows play in a fold.
    -> SplitFold
    -> windows.WindowsTask
    role : varchar(16)                   # what it is used for: train, test, …
    block : int32                        # several stretches may play one part
    ---
    block_start_s = null : float64       # from here (s, session clock)
    block_stop_s = null : float64        # to here (s, session clock)
    max_windows = null : int32           # at most so many per channel
    """
