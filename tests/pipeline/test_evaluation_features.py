import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from pipeline.evaluation import FeatureMapping, read_feature_file

MAPPING = FeatureMapping(
    features=("power", "theta"), source="=a lab", subject="mouse", channel="site", region="place"
)


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "power": [1.0, np.nan, 3.0, np.inf, 5.0],
            "theta": [5, 4, 3, 2, 1],
            "mouse": ["m1", "m1", "m1", "m2", "m2"],
            "site": [7, 7, 7, 8, 8],
            "place": ["CA1", "CA1", "CA1", None, "DG"],
        }
    )


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_rows_get_their_roles_and_rows_with_gaps_are_counted_out(frame, tmp_path, kind):
    path = tmp_path / f"features.{kind}"
    frame.to_parquet(path) if kind == "parquet" else frame.to_csv(path, index=False)
    table = read_feature_file(path, MAPPING)
    assert table.dropped == 2
    assert table.features.tolist() == [[1, 5], [3, 3], [5, 1]]
    assert table.names == ("power", "theta")
    assert table.rows["source"].tolist() == ["a lab"] * 3
    assert table.rows["session"].tolist() == ["m1", "m1", "m2"]
    assert table.rows["channel"].tolist() == ["7", "7", "8"]
    assert table.rows["window"].tolist() == [0, 1, 0]


def test_a_vector_per_row_is_one_feature_per_element(tmp_path):
    path = tmp_path / "vectors.parquet"
    pd.DataFrame({"v": [[1.0, 2.0], [3.0, 4.0]], "who": ["a", "b"]}).to_parquet(path)
    table = read_feature_file(path, FeatureMapping(features=("v",), subject="who"))
    assert table.names == ("v[0]", "v[1]")
    assert table.features.tolist() == [[1, 2], [3, 4]]
    assert table.rows["region"].isna().all()


def test_a_mapping_is_a_toml_table_and_must_say_who_was_recorded(tmp_path):
    path = tmp_path / "mapping.toml"
    path.write_text('[mapping]\nfeatures = ["power"]\nsubject = "mouse"\ntransform = "log"\n')
    assert FeatureMapping.from_toml(path) == FeatureMapping(
        features=("power",), subject="mouse", transform="log"
    )
    with pytest.raises(ValidationError, match="who was recorded"):
        FeatureMapping(features=("power",))


def test_a_column_that_is_not_there_is_named_with_those_that_are(frame, tmp_path):
    path = tmp_path / "features.parquet"
    frame.to_parquet(path)
    with pytest.raises(KeyError, match="delta.*theta"):
        read_feature_file(path, FeatureMapping(features=("delta",), subject="mouse"))
    with pytest.raises(ValueError, match=r"parquet, .csv or .npz"):
        read_feature_file(tmp_path / "features.mat", MAPPING)


def test_arrays_of_other_lengths_are_refused(tmp_path):
    path = tmp_path / "features.npz"
    np.savez(path, x=np.ones((4, 2)), who=np.array(["a"] * 3))
    with pytest.raises(ValueError, match="other lengths than 4"):
        read_feature_file(path, FeatureMapping(features=("x",), subject="who"))


WINDOWED = MAPPING.model_copy(update={"window": "trial"})


@pytest.mark.parametrize(
    ("change", "mapping", "said"),
    [
        (lambda f: f.assign(power=["high", "low", "1", "2", "3"]), MAPPING, "'power' is no number"),
        (lambda f: f.assign(power=[[1.0], [1.0, 2.0], [1.0], [1.0], [1.0]]), MAPPING, "one length"),
        (lambda f: f.assign(power=np.nan), MAPPING, "none of 5 rows"),
        (lambda f: f.iloc[:0], MAPPING, "holds no row"),
        (lambda f: pd.concat([f, f.iloc[[2]]]), MAPPING, "1 rows are there twice.*row 5.*mouse|m1"),
        (lambda f: f.assign(trial=[1, 1, 1, 1, 1]), WINDOWED, "twice, the first is row 1"),
        (lambda f: f.assign(trial=[1, 1, 2, 1, None]), WINDOWED, "row 4 has no window number"),
        (lambda f: f.assign(place=["CA1", "CA1", "DG", None, "DG"]), MAPPING, "several regions"),
        (
            lambda f: f.assign(at="noon"), MAPPING.model_copy(update={"start_s": "at"}),
            "start_s .column 'at'. is no time",
        ),
    ],
)  # fmt: skip
def test_a_file_that_would_mislead_is_refused_with_the_place(
    frame, tmp_path, change, mapping, said
):
    path = tmp_path / "features.parquet"
    changed = change(frame)
    if mapping is WINDOWED:
        changed = changed.assign(power=1.0)
    changed.to_parquet(path)
    with pytest.raises(ValueError, match=said):
        read_feature_file(path, mapping)


def test_equal_vectors_of_different_windows_are_no_copies(frame, tmp_path):
    path = tmp_path / "features.parquet"
    frame.assign(power=1.0, theta=1.0, trial=[1, 2, 3, 1, 2]).to_parquet(path)
    assert len(read_feature_file(path, WINDOWED).rows) == 5


def test_a_study_is_a_mapping_too(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('[study]\nname = "s"\n[data.mapping]\nfeatures = ["v"]\nsubject = "m"\n')
    assert FeatureMapping.from_toml(path) == FeatureMapping(features=("v",), subject="m")


@pytest.mark.real
def test_the_real_ecog_spectra_are_read_with_one_window_shared_by_four_regions(real_data):
    mapping = FeatureMapping(
        features=("spectra",), source="=AJILE12", subject="patient", region="region",
        window="window", transform="log",
    )  # fmt: skip
    table = read_feature_file(real_data / "features" / "ajile12_psd.npz", mapping)
    assert table.features.shape == (7700, 123)
    assert table.dropped == 0
    counts = table.rows.groupby(["subject", "window"])["region"].nunique()
    assert (counts == 4).all()


def test_what_is_said_of_the_vectors_is_text_and_leaves_stored_digests_as_they_were():
    bare = {"features": ["v"], "subject": "m"}
    before = FeatureMapping(**bare)
    assert not {"model", "licence", "origin"} & set(before.to_json())
    said = FeatureMapping(**bare, model="=NDT\n mini", licence=" ", origin="doi:10.1/x")
    assert (said.model, said.licence, said.origin) == ("NDT mini", None, "doi:10.1/x")
    assert said.to_json() == before.to_json() | {"model": "NDT mini", "origin": "doi:10.1/x"}
    assert FeatureMapping.from_json(said.to_json()) == said
