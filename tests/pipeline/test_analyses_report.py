"""The report as a reader and as a hostile file name meet it."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from pipeline.analyses.locate_report import render_locate
from pipeline.analyses.report import render_report
from pipeline.analyses.report_data import (
    Confusion,
    EmbeddingMap,
    Headline,
    InsertionReport,
    ReportData,
)
from pipeline.analyses.report_opening import verdict
from pipeline.analyses.report_scores import distinct_names, overall_scores
from pipeline.analyses.report_sections import draw

EVIL = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Text, tags and every address of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.addresses, self.open = [], [], [], []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("img", "source", "meta", "br", "col"):
            self.open.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "srcset", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def insertion(n=12, *, session="ses-1", depth=True, predicted=True):
    rng = np.random.default_rng(0)
    freqs = np.arange(0, 251.0)
    regions = ["DG"] * (n // 2) + ["CA1"] * (n - n // 2)
    depths = np.arange(n) * 40.0 if depth else np.full(n, np.nan)
    channels = pd.DataFrame({"depth_um": depths, "shank": 0})
    if predicted:
        channels["region_pred"] = pd.Series(["unknown", *regions[1:]], dtype=object)
        channels["confidence"] = np.linspace(0.3, 0.9, n)
        channels["region_file"] = pd.Series(regions, dtype=object)
        channels["evidence"] = "target"
    power = rng.gamma(20, 0.05, (n, 251)) / np.maximum(freqs, 1)
    return InsertionReport(session, "probe-A", "mouse-7", freqs, power, channels, model="tiny")


def score(model, fold, value, **more):
    row = {"study": "s", "model": model, "split": "subject", "fold": fold, "seed": 0}
    row |= {"level": "window", "scheme": "lfp2vec5", "metric": "balanced accuracy"}
    row |= {"value": value, "chance": 0.25, "n": 100, "low": None, "high": None}
    return row | {"published": None, "reason": None} | more


@pytest.fixture(scope="module")
def html(data):
    return render_report(data)


@pytest.fixture(scope="module")
def data():
    scores = [
        score("tiny", None, 0.6123, low=0.5511, high=0.6602, published=0.6450),
        score("tiny", 0, 0.5837),
        score("tiny", 1, 0.6409),
        score("band power", 0, 0.4112),
        score("band power", 1, 0.4514),
        score("tiny", None, 0.3377, metric="recall CA3", chance=None),
    ]
    rows = {"low": None, "high": None, "n": 100, "reason": None, "model": "tiny"}
    silhouettes = [{**rows, "grouping": "region", "value": 0.2718}]
    probes = [
        {**rows, "target": "session", "metric": "accuracy", "value": 0.4669, "chance": 0.1429},
        {**rows, "target": "region", "value": None, "reason": "one class only"},
    ]
    controls = [{**rows, "control": "permuted labels", "metric": "balanced accuracy",
                 "value": 0.2491, "chance": 0.25, "observed": 0.6123}]  # fmt: skip
    curves = pd.DataFrame({"model": "tiny", "stage": "ssl", "epoch": [0, 1, 2],
                           "train_loss": [6.5, 5.25, 4.125], "validation": None})  # fmt: skip
    xy = np.random.default_rng(1).normal(size=(30, 2))
    return ReportData(
        study="demo",
        question="Where is each channel?",
        answer="In the hippocampus, mostly.",
        headline=Headline("balanced accuracy", "window", 0.6123, 0.25, 0.5511, 0.6602, 7, 2131),
        not_to_conclude=["That it works in another laboratory."],
        synthetic=False,
        insertions=[insertion()],
        scores=pd.DataFrame(scores),
        confusions=[
            Confusion(
                "tiny",
                "window",
                ["CA1", "DG"],
                ["CA1", "DG", "unknown"],
                np.array([[801, 12, 3], [44, 705, 9]]),
            )
        ],  # fmt: skip
        silhouettes=pd.DataFrame(silhouettes),
        probes=pd.DataFrame(probes),
        controls=pd.DataFrame(controls),
        curves=curves,
        embeddings=[EmbeddingMap("tiny", xy, ["CA1", "DG", None] * 10, ["a", "b"] * 15)],
        notes=["low-pass skipped at 200 Hz"],
        provenance=[("headline", '(schemas.Evaluation & {"study": "demo"}).to_pandas()')],
        generated={"version": "9.8.7", "database": "postgresql"},
    )


def test_every_number_given_can_be_read(html):
    text = Page(html).text
    for number in ("0.61", "0.55 to 0.66", "2,131", "0.612", "0.551 to 0.660", "0.645", "−0.033",
                   "0.584", "0.641", "0.338", "0.431", "801", "705", "0.272", "0.467", "0.143",
                   "0.249", "4.125", "9.8.7"):  # fmt: skip
        assert number in text, number


def test_the_first_screen_answers_before_anything_else(data, html):
    opening = Page(html[html.index("<header") : html.index("<nav")]).text
    for said in ("Real recordings", data.question, data.answer, "Chance", "0.25", "Subjects", "7",
                 "0.55 to 0.66", "What not to conclude", data.not_to_conclude[0],
                 "The whole interval lies above chance."):  # fmt: skip
        assert said in opening


def test_names_from_files_cannot_become_markup(data):
    evil = replace(
        data,
        study=EVIL, question=EVIL, answer=EVIL, not_to_conclude=[EVIL], notes=[EVIL], data=EVIL,
        insertions=[replace(insertion(session=EVIL), probe=EVIL, subject=EVIL, notes=[EVIL])],
        provenance=[(EVIL, EVIL)], generated={EVIL: EVIL}, watermark=EVIL,
        scores=data.scores.assign(model=EVIL, reason=EVIL),
        confusions=[Confusion(EVIL, EVIL, [EVIL], [EVIL], np.array([[1]]))],
    )  # fmt: skip
    html = render_report(evil)
    assert "<script" not in html
    page = Page(html)
    assert "script" not in page.tags
    assert page.text.count(EVIL) > 10


def test_the_page_asks_the_network_for_nothing(html):
    page = Page(html)
    assert all(a.startswith(("data:", "#")) for a in page.addresses)
    assert not re.search(r"https?://|@import|url\((?!data:)", html)


def test_every_link_inside_the_page_has_its_target(html):
    for address in Page(html).addresses:
        if address.startswith("#"):
            assert f'id="{address[1:]}"' in html


def test_every_picture_says_what_it_shows_and_every_table_what_it_holds(html):
    assert all('alt="' in tag for tag in re.findall(r"<img[^>]*>", html))
    assert html.count("<table>") == html.count("<caption>") > 5
    assert "predicted regions: unknown, DG, CA1" in html


def test_synthetic_data_are_marked_even_when_nobody_asked(data, html):
    assert "body::after{background-image" not in html
    html = render_report(replace(data, synthetic=True))
    page = Page(html)
    assert "SYNTHETIC DATA" in page.text
    assert "<title>SYNTHETIC" in html
    assert "body::after{background-image" in html
    assert "Real recordings" not in page.text


def test_insertions_that_do_not_fit_are_named_instead(data):
    many = ReportData("s", "?", "!", data.headline, [], False,
                      insertions=[insertion(session=f"ses-{n}") for n in range(3)])  # fmt: skip
    whole = render_report(many)
    limit = len(whole.encode()) - 1000
    html = render_report(many, max_bytes=limit)
    assert len(html.encode()) <= limit
    assert "Not drawn, to keep this file under its size: ses-2 probe-A" in Page(html).text
    with pytest.raises(ValueError, match="leave out embeddings or confusions"):
        render_report(many, max_bytes=5_000)


def test_fifty_neuropixels_insertions_fit_when_drawn_coarsely(data):
    one, colours = insertion(384), {"CA1": "#7ed04b", "DG": "#196c00"}
    fine, light = draw(one, data, colours), draw(one, data, colours, light=True)
    assert "image/png" in light
    assert 50 * len(light.encode()) < 9_500_000 < 50 * len(fine.encode())


def test_an_empty_study_still_makes_a_page():
    empty = ReportData("s", "What?", "Nothing yet.", Headline("accuracy", "window", None,
                       reason="no fold has two classes"), [], False)  # fmt: skip
    text = Page(render_report(empty)).text
    assert "no fold has two classes" in text
    assert "undefined" in text


def test_the_same_data_give_the_same_page(data, html):
    assert render_report(data) == html


def test_folds_without_a_pooled_row_are_averaged_and_say_so(data):
    overall = overall_scores(data.scores).set_index(["model", "metric"])
    row = overall.loc[("band power", "balanced accuracy")]
    assert row["value"] == pytest.approx((0.4112 + 0.4514) / 2)
    assert (row["fold"], row["n"]) == ("mean of 2", 200)
    assert pd.isna(row["low"])
    assert overall.loc[("tiny", "balanced accuracy"), "value"] == 0.6123


def test_raw_accuracy_stands_in_no_table_with_another_metric(data):
    raw = [score("tiny", fold, 0.7654 + fold / 1e4, metric="accuracy", chance=0.4321)
           for fold in (0, 1)]  # fmt: skip
    both = pd.concat([data.scores, pd.DataFrame(raw)])
    html = render_report(replace(data, scores=both))
    tables = [table for table in html.split("<table")[1:] if "0.432<" in table.split("</table>")[0]]
    assert len(tables) == 2  # means, and every row
    for table in tables:
        assert "Raw: every sample counts alike" in table
        assert "0.612" not in table.split("</table>")[0]
    before = [html[: html.index(table)][-300:] for table in tables]
    assert "<summary>Accuracy</summary>" in before[0]
    assert "<h3>Accuracy</h3>" in before[1]


def test_rows_of_one_model_are_named_apart_by_what_differs():
    rows = pd.DataFrame(
        {"model": "m", "seed": [0, 1, 0], "split": ["a", "a", "b"], "level": "window"}
    )
    assert distinct_names(rows, ("level",)).tolist() == ["m · a · 0", "m · a · 1", "m · b · 0"]
    assert distinct_names(rows[:1], ("level",)).tolist() == ["m"]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.3, 0.4, "lies above chance"),
        (0.1, 0.2, "lies below chance"),
        (0.2, 0.3, "includes chance"),
        (None, None, "No interval"),
    ],
)
def test_the_verdict_follows_the_interval(low, high, said):
    assert said in verdict(Headline("accuracy", "window", 0.26, 0.25, low, high, 5))


def test_one_subject_is_never_a_population():
    assert "With one subject" in verdict(Headline("accuracy", "window", 0.6, 0.2, 0.5, 0.7, 1))


def test_locate_draws_a_png_with_warnings_first_and_runs_from_the_top():
    report = render_locate(insertion(), {}, warnings=["far from training"], watermark="SYNTHETIC")
    assert report.png.startswith(b"\x89PNG")
    assert report.notes[:2] == ["SYNTHETIC", "far from training"]
    assert report.runs["region"].tolist() == ["CA1", "DG", "unknown"]
    assert report.runs["n_channels"].tolist() == [6, 5, 1]
    assert (report.runs["from_um"][0], report.runs["to_um"][0]) == (240, 440)
    plain = render_locate(insertion(), {}, warnings=["far from training"])
    assert plain.png != report.png


def test_locate_without_model_or_depth_draws_what_it_can_and_says_so():
    report = render_locate(insertion(depth=False, predicted=False), {})
    assert report.runs.empty
    assert report.notes == ["No channel has a depth in the file: drawn in file order."]


def test_half_known_depths_are_drawn_apart():
    half = insertion()
    half.channels.loc[3:5, "depth_um"] = np.nan
    report = render_locate(half, {})
    assert "3 channels without a depth in the file" in report.notes[0]
    assert set(report.runs["shank"]) == {"", "no depth"}


def _silent(one):
    one.power[:] = np.nan


def _all_bad(one):
    one.channels["bad"] = True


def _unpredicted(one):
    one.channels["region_pred"], one.channels["confidence"] = None, np.nan


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("spoil", [_silent, _all_bad, _unpredicted])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_a_probe_with_next_to_nothing_is_still_drawn(spoil, n):
    one = insertion(n)
    spoil(one)
    assert render_locate(one, {}, dpi=30).png.startswith(b"\x89PNG")
