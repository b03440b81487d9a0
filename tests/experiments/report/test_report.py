"""The run's page: what is in it, that it asks for nothing, and that a browser draws it and answers the mouse."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.report import LiveReport, collect, render, write_report
from experiments.run.folder import RunFolder
from tests.helpers.browser import Page, browser, find_browser
from tests.helpers.run_folders import ODD, made_up_run

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_run(tmp_path_factory.mktemp("runs") / "mine", 60)


@pytest.fixture(scope="module")
def odd_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_run(tmp_path_factory.mktemp("runs") / "<b>'odd' & \"run\"", 14, name=ODD)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium on this machine; Debian has it as `chromium`")
    pytest.importorskip("websocket", reason="websocket-client is not installed")
    with browser(program) as tab:
        yield tab


def embedded(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_page_holds_the_run(run_dir: Path, scalenas: Run) -> None:
    status, out, err = scalenas("report", run_dir)
    assert (status, out.strip()) == (0, str(run_dir / "report.html")), err
    data = embedded((run_dir / "report.html").read_text())
    assert len(data["story"]) == 4
    assert data["story"][0].startswith("Take digits ")
    assert "60 trials of 2 epochs, 59 of which are finished" in data["story"][1]
    assert [row[0] for row in data["search"]["rows"]] == list(range(60))
    assert [(row["kind"], row["number"]) for row in data["failures"]] == [("oom", 39)]
    assert sum(stage["macs"] for stage in data["architectures"][0]["stages"]) == data["architectures"][0]["macs"]
    assert data["cost"][0]["seconds"] == pytest.approx(59 * 2.5 + 1.5)
    assert data["commands"][0]["command"] == "scalenas run 'digits'"
    assert sum(choice["share"] for choice in data["importance"]) <= 1 + 1e-9


def test_importance_finds_the_choice_that_matters() -> None:
    import optuna  # noqa: PLC0415

    from experiments.report.importance import importance  # noqa: PLC0415

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(60):
        trial = study.ask()
        good, idle = trial.suggest_int("good", 0, 3), trial.suggest_int("idle", 0, 3)
        trial.set_user_attr("accuracy", 0.2 + 0.2 * good + 1e-3 * idle)
        study.tell(trial, 0.0)
    first = importance(study)[0]
    assert first["name"] == "good"
    assert first["share"] > 0.7
    assert [value["value"] for value in first["values"]] == ["0", "1", "2", "3"]


def test_the_policy_admits_the_page_alone(run_dir: Path) -> None:
    html = render(collect(RunFolder(run_dir)))
    script = html[html.rindex("<script>") + 8 : html.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; script-src 'sha256-{digest}'" in html
    for address in re.findall(r"(?:src|href)=\"([^\"]*)\"", html):
        assert address.startswith("data:")
    assert "innerHTML" not in html


def test_names_cannot_leave_their_texts(odd_dir: Path) -> None:
    html = render(collect(RunFolder(odd_dir)))
    assert "<script>alert" not in html
    assert html.count("<script") == 2
    assert "\u2028" not in html
    assert embedded(html)["environment"][0] == ["data", ODD]


def test_a_report_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "run.json").write_text("{")
    LiveReport(RunFolder(tmp_path), said.append).results_written()
    assert len(said) == 1
    assert "run.json" in said[0]


@pytest.mark.parametrize("trials", [0, 1, 2, 12])
def test_young_runs_have_a_page(tmp_path: Path, page: Page, trials: int) -> None:
    folder = made_up_run(tmp_path / "young", trials)
    page.trouble.clear()
    page.open(write_report(RunFolder(folder)))
    assert page.trouble == []
    assert page.value("document.querySelectorAll('section').length") >= 4


def test_what_could_not_be_read_is_on_the_page(tmp_path: Path, page: Page) -> None:
    folder = made_up_run(tmp_path / "damaged", 12)
    (folder / "family.json").write_text("[{}]")
    page.trouble.clear()
    page.open(write_report(RunFolder(folder)))
    assert page.trouble == []
    told = "family.json could not be read: not a run's family: [0].phi is missing; "
    assert page.text("#story .caution").startswith(told)


def test_a_full_training_writes_its_page(tmp_path: Path, page: Page, scalenas: Run) -> None:
    folder = tmp_path / "trained"
    asked = ("--devices", "cpu", "--train-images", "100", "--epochs", "1", "--resolution", "8", "--target-macs", "300k")
    status, _, err = scalenas("train", "efficientnet_b0", "digits", "--run", folder, *asked)
    assert status == 0, err
    page.trouble.clear()
    page.open(folder / "report.html")
    assert page.trouble == []
    assert "was trained for 1 epoch of recipe fast" in page.text("#story")
    assert "The network trained in full" in page.text("#architecture")


@pytest.mark.parametrize("width", [1400, 400])
def test_a_browser_draws_it_and_asks_for_nothing(run_dir: Path, page: Page, width: int) -> None:
    page.trouble.clear()
    page.requests.clear()
    page.open(write_report(RunFolder(run_dir)), width)
    assert page.trouble == []
    assert [address for address in page.requests if not address.startswith(("file:", "data:"))] == []
    assert page.value("document.documentElement.scrollWidth") <= width
    right = "(s) => s.getBBox().x + s.getBBox().width - s.viewBox.baseVal.width"
    assert page.value(f"Math.max(...[...document.querySelectorAll('.arch svg')].map({right}))") <= 0  # nothing is cut


def test_hover_shows_and_a_click_pins(run_dir: Path, page: Page) -> None:
    page.open(write_report(RunFolder(run_dir)))
    card = "#frontier-chart .card"
    assert page.value(f"document.querySelector('{card}').hidden") is True
    page.move("#frontier-chart .mark:last-child")
    assert "digits 0" in page.text(card)
    assert "channels" not in page.text("#story")
    page.move("#frontier-chart .mark:last-child", press=True)
    page.move("h1")
    assert "digits 0" in page.text(card)
    page.press("Escape")
    page.move("h1")
    assert page.value(f"document.querySelector('{card}').hidden") is True


def test_the_table_sorts_and_filters(run_dir: Path, page: Page) -> None:
    page.open(write_report(RunFolder(run_dir)))
    first = "#trials-table tbody tr:first-child td:first-child"
    rows = embedded((run_dir / "report.html").read_text())["search"]["rows"]
    scores = {row[0]: row[2] for row in rows if row[2] is not None}
    assert page.text(first) == str(max(scores, key=lambda number: scores[number]))
    page.move("#trials-table th:first-child button", press=True)
    assert page.text(first) == "59"
    page.move("#trials-table th:first-child button", press=True)
    assert page.text(first) == "0"
    page.move("#trials-table input", press=True)
    page.type("fail oom")
    assert page.text("#trials-table .count") == "1 of 60 rows"
    page.value("document.querySelector('#trials-table input').value = ''")
    page.move("#trials-table input", press=True)
    limit = sorted(row[4] for row in rows)[10]
    page.type(f"macs<{limit}")
    assert page.text("#trials-table .count") == "10 of 60 rows"


def test_odd_names_appear_as_text(odd_dir: Path, page: Page) -> None:
    page.trouble.clear()
    page.open(write_report(RunFolder(odd_dir)))
    assert page.trouble == []
    assert page.value("document.querySelectorAll('script').length") == 2
    assert '<script>alert("1")</script>' in page.text("#environment")
    assert '<script>alert("1")</script>' in page.text("#frontier-table")
    assert page.text("h1").startswith("<b>'odd' & \"run\": <script>")


def test_five_thousand_trials_stay_small_and_fast(run_dir: Path, page: Page, tmp_path: Path) -> None:
    data = collect(RunFolder(run_dir))
    rows = data["search"]["rows"]
    data["search"]["rows"] = [[i, *rows[i % 60][1:]] for i in range(5000)]
    path = tmp_path / "large.html"
    path.write_text(render(data))
    assert path.stat().st_size < 6e6
    page.trouble.clear()
    page.open(path)
    assert page.trouble == []
    assert page.text("#trials-table .count") == "5000 rows"
    # The work of opening it, apart from what else the machine is doing.
    page.call("Performance.enable", timeDomain="threadTicks")
    page.open(path)
    metrics = {each["name"]: each["value"] for each in page.call("Performance.getMetrics")["metrics"]}
    assert metrics["ScriptDuration"] + metrics["LayoutDuration"] + metrics["RecalcStyleDuration"] < 3
