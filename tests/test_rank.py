"""Ranking of kernel configurations: learning from measurements, objectives, files, the command."""

from __future__ import annotations

import itertools
import json
import runpy
import threading
import tomllib
from pathlib import Path

import numpy as np
import pytest
from rank_spaces import GEMM, HALF, sgemm

import perfmodel
from perfmodel._resources import data_path
from perfmodel.cli import main
from perfmodel.errors import InputError, PredictorError
from perfmodel.hardware import load_device
from perfmodel.rank import Ranker, rank, space
from perfmodel.rank.lookup import Tables
from perfmodel.rank.physics import REASONS, Physics
from perfmodel.rank.posterior import Posterior, Prior, Process
from perfmodel.rank.pretrained import NOTHING, Pretrained, Source, load, save
from perfmodel.rank.space import ROLES


def test_a_process_is_that_of_the_textbook() -> None:
    """Mean and variance after three measurements against the closed form with the whole matrix."""
    rng = np.random.default_rng(1)
    x, opinions, mean = rng.normal(size=(12, 3)), rng.normal(size=(12, 2)), rng.normal(size=12)
    prior = Prior(0.2, 0.3, 0.1, 0.4, 0.8, noise=0.01)
    process = Process(x, opinions, mean, prior)
    covariance = np.empty((12, 12))
    for i, j in itertools.product(range(12), range(12)):
        near = [float(np.exp(-((x[i, d] - x[j, d]) ** 2) / (2 * 0.8**2))) for d in range(3)]
        pairs = (near[0] * near[1] + near[0] * near[2] + near[1] * near[2]) / 3
        whole = 0.3 * sum(near) / 3 + 0.1 * pairs + 0.4 * near[0] * near[1] * near[2]
        covariance[i, j] = 25.0 + 0.2 * float(opinions[i] @ opinions[j]) + whole
    at, times = [2, 7, 9], np.array([0.5, -0.2, 1.0])
    for place, value in zip(at, times, strict=True):
        process.add(place, float(value))
    inverse = np.linalg.inv(covariance[np.ix_(at, at)] + 0.01 * np.eye(3))
    between = covariance[:, at]
    assert process.mean == pytest.approx(mean + between @ inverse @ (times - mean[at]), abs=1e-3)
    assert process.variance == pytest.approx(
        np.diag(covariance) - np.einsum("ij,jk,ik->i", between, inverse, between), abs=1e-3
    )


def hidden(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Seconds of an imagined device whose switches cost what no physics says."""
    return 1e-3 * (1 + columns["SA"]) * (3 - 2 * columns["SB"]) * (1 + 64 / columns["MWG"]) * (1 + 0.1 * columns["VWM"])


def test_a_search_learns_what_the_physics_does_not_say() -> None:
    columns = sgemm()
    seconds = hidden(columns)
    ranker = Ranker(GEMM, columns, "rtx-3090", pretrained="none")
    measured: list[int] = []
    for _ in range(30):
        [row] = ranker.suggest()
        ranker.observe([int(row)], [seconds[row]])
        measured.append(int(row))
    assert len(set(measured)) == 30
    assert seconds[measured].min() == seconds.min()
    ranking = ranker.ranking()
    assert ranking.source == "observed"
    assert ranking.observed == 30
    # Rank correlation with the truth, of all candidates, most of them not measured.
    places = np.argsort(np.argsort(seconds[ranking.rows], kind="stable"), kind="stable")
    assert np.corrcoef(places, np.arange(len(places)))[0, 1] > 0.9
    assert (ranking.latency_low_s <= ranking.latency_s).all()
    assert (ranking.latency_s <= ranking.latency_high_s).all()
    low, high = ranker.interval(measured[0])
    assert low <= seconds[measured[0]] <= high
    assert high / low < 1.4


def test_the_same_calls_give_the_same_answers_from_any_thread() -> None:
    columns = sgemm()
    seconds = hidden(columns)

    def run() -> list[int]:
        ranker, rows = Ranker(GEMM, columns, "rtx-3090"), []
        for _ in range(8):
            [row] = ranker.suggest()
            ranker.observe({n: v[[row]] for n, v in columns.items()}, seconds[row])
            rows.append(int(row))
        return rows

    expected = run()
    results: list[list[int]] = []
    threads = [threading.Thread(target=lambda: results.append(run())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 3
    shared = Ranker(GEMM, columns, "rtx-3090")
    threads = [threading.Thread(target=shared.observe, args=([i], [seconds[i]])) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared.observed == 8


def test_failures_are_learned_and_faulty_measurements_refused() -> None:
    ranker = Ranker(GEMM, sgemm(), "rtx-3090", pretrained="none")
    [first] = ranker.suggest()
    ranker.observe([int(first)], [float("nan")])
    second = ranker.suggest(3)
    assert first not in second
    ranker.observe(second, [1e-3, 2e-3, 3e-3])
    ranking = ranker.ranking()
    assert first not in ranking.rows
    assert ranking.refused == {"failed when it was measured": 1}
    assert len(ranking) == len(sgemm()["MWG"]) - 1
    with pytest.raises(InputError, match=r"wanted seconds, 1e-12 to 1e\+09, or NaN"):
        ranker.observe([0], [0.0])
    with pytest.raises(InputError, match="2 configurations were measured but 1"):
        ranker.observe([0, 1], [1.0])
    with pytest.raises(InputError, match="row 9999 is no candidate"):
        ranker.observe([9999], [1.0])
    with pytest.raises(InputError, match="MWG 33"):
        ranker.observe({n: np.where(n == "MWG", 33, v[:1]) for n, v in sgemm().items()}, [1.0])
    with pytest.raises(InputError, match="at least 1"):
        ranker.suggest(0)


def test_a_failure_that_is_overcome_is_forgotten() -> None:
    """The configuration is ranked again, and everything learned is as if it had not failed."""
    once, again = (Ranker(GEMM, sgemm(), "rtx-3090", pretrained="none") for _ in range(2))
    again.observe([3, 5, 7], [float("nan"), 1e-3, float("nan")])
    assert again.failed == (3, 7)
    assert again.ranking().failed == (3, 7)
    again.observe([3], [0.9e-3])
    assert list(again.failed) == [7]
    assert 3 in again.ranking().rows
    assert again.ranking().refused["failed when it was measured"] == 1
    assert again.observed == 3
    once.observe([5, 7, 3], [1e-3, float("nan"), 0.9e-3])
    assert again.ranking().latency_s.tolist() == once.ranking().latency_s.tolist()
    again.observe([3], [float("inf")])  # the last word counts
    assert again.failed == (3, 7)


def test_what_is_learned_anew_is_seen_when_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread that asks in the middle waits."""
    ranker = Ranker(GEMM, sgemm(), "rtx-3090", pretrained="none")
    ranker.observe([3, 5, 7], [float("nan"), 1e-3, 2e-3])
    seen: list[int] = []
    other = threading.Thread(target=lambda: seen.append(ranker.observed))
    add = Posterior.add

    def slow(self: Posterior, place: int, value: float) -> None:
        if not other.ident:
            other.start()
            other.join(0.2)
        add(self, place, value)

    monkeypatch.setattr(Posterior, "add", slow)
    ranker.observe([3], [0.9e-3])  # it runs after all
    other.join()
    assert seen == [3]


def test_intervals_widen_where_they_missed() -> None:
    """A miss widens by exp(0.5 x 0.9), a hit narrows by exp(0.5 x 0.1), never below the model's own."""
    ranker = Ranker(GEMM, sgemm(), "rtx-3090", pretrained="none")

    def deviations() -> float:
        low, high = ranker.interval(100)
        _, variance = ranker._learner().moments()
        return float(np.log(high / low) / 2 / np.sqrt(variance[ranker._place_of_row[100]]))

    ranker.observe([0], [1e-3])  # sets the level: no forecast was missed
    assert deviations() == pytest.approx(1.645)
    ranker.observe([1], [1e3])
    assert deviations() == pytest.approx(1.645 * 1.5683, rel=1e-3)
    low, high = ranker.interval(2)
    ranker.observe([2], [(low * high) ** 0.5])
    assert deviations() == pytest.approx(1.645 * 1.4918, rel=1e-3)
    ranker.observe([0], [float("nan")])  # a failure has no forecast
    assert deviations() == pytest.approx(1.645 * 1.4918, rel=1e-3)


def test_a_first_batch_shows_every_region() -> None:
    """Two switches and the outputs of a thread: of 2n suggestions at least n show another of them, the likeliest comes
    first."""
    columns = sgemm()
    ranker = Ranker(GEMM, columns, "rtx-3090", pretrained="none")
    rows = ranker.suggest(24)
    assert rows[0] == ranker.ranking(1).rows[0]
    assert len(set(rows.tolist())) == 24
    outputs = columns["MWG"] * columns["NWG"] / (columns["MDIMC"] * columns["NDIMC"])
    region = np.stack([columns["SA"], columns["SB"], outputs])
    assert len(np.unique(region[:, rows], axis=1).T) >= 12
    assert len(np.unique(region[:, ranker.ranking(24).rows], axis=1).T) < 12


def test_a_number_format_that_nobody_measured_is_analytical() -> None:
    """The shipped tables are of fp32 kernels."""
    fp32 = rank(GEMM, sgemm(), "rtx-3080")
    assert (fp32.source, len(fp32.taught_by)) == ("learned", 2)
    int4 = rank(perfmodel.Gemm(m=1024, n=1024, k=1024, dtype="int4"), sgemm(), "rtx-3080")
    assert (int4.source, int4.taught_by) == ("analytical", ())


def test_power_limits_without_effect_are_said() -> None:
    assert rank(GEMM, sgemm(), "rtx-3090", power_limit_w=200).warnings == ()
    [above] = rank(GEMM, sgemm(), "rtx-3090", power_limit_w=900).warnings
    assert "900 W is above the 350 W of rtx-3090" in above
    [low] = rank(GEMM, sgemm(), "a100-sxm-80gb", power_limit_w=80).warnings  # 0.28 of 400 W are 112
    assert "a driver may refuse a power limit of 80 W" in low
    with pytest.raises(InputError, match=r"is not above the .* W that rtx-3090 draws when idle"):
        rank(GEMM, sgemm(), "rtx-3090", power_limit_w=5)
    with pytest.raises(InputError, match="wanted watts above 0"):
        rank(GEMM, sgemm(), "rtx-3090", power_limit_w=-3)


def test_energy_and_a_cap_order_by_what_was_asked_for() -> None:
    columns = sgemm()
    for objective in ("latency", "energy", "edp"):
        for limit in (None, 150.0):
            r = rank(GEMM, columns, "rtx-3090", objective=objective, power_limit_w=limit)
            assert r.power_w is not None
            assert r.energy_j is not None
            assert r.energy_j == pytest.approx(r.power_w * r.latency_s)
            assert (r.power_w <= (limit or 350.0) + 1e-9).all()
            value = {"latency": r.latency_s, "energy": r.energy_j, "edp": r.energy_j * r.latency_s}[objective]
            assert (np.diff(value) >= -1e-12 * value[1:]).all()
    free, capped = (rank(GEMM, columns, "rtx-3090", power_limit_w=w) for w in (None, 150.0))
    by_row = dict(zip(free.rows.tolist(), free.latency_s.tolist(), strict=True))
    assert all(
        s >= by_row[row] * (1 - 1e-9) for row, s in zip(capped.rows.tolist(), capped.latency_s.tolist(), strict=True)
    )
    ranker = Ranker(GEMM, columns, "rtx-3090", objective="energy")
    ranker.observe([0, 1], [1e-3, 1.1e-3])
    assert len(ranker.suggest(2)) == 2


def test_tile_choice_moves_time_and_power_as_published() -> None:
    """GPPerf's paper: the choice of tiles moves performance 3.2 times and power by 22 %. The power model is to agree in order
    of magnitude; no tuning space has labels."""
    table = itertools.product((32, 64, 128, 256), (32, 64, 128, 256), (32, 64), (4, 8), (2, 3, 4))
    names = ("BLOCK_SIZE_M", "BLOCK_SIZE_N", "BLOCK_SIZE_K", "num_warps", "num_stages")
    columns = dict(zip(names, np.array(list(table)).T, strict=True))
    ranking = rank(HALF, columns, "a100-sxm-80gb")
    assert ranking.power_w is not None
    assert ranking.power_source == ranking.to_dict("a100")["power_source"] == "analytical"
    assert 3.2 / 3 < ranking.latency_s.max() / ranking.latency_s.min() < 3.2 * 3
    assert 0.22 / 3 < ranking.power_w.max() / ranking.power_w.min() - 1 < 0.22 * 3


def test_the_front_is_what_nothing_beats_in_both() -> None:
    ranking = rank(GEMM, sgemm(), "rtx-3080", power_limit_w=150.0)
    front = ranking.front()
    assert ranking.energy_j is not None
    pairs = list(zip(ranking.latency_s.tolist(), ranking.energy_j.tolist(), strict=True))
    kept = {(s, j) for s, j in pairs if not any(a <= s and b <= j and (a, b) != (s, j) for a, b in pairs)}
    assert {pairs[i] for i in front} == kept
    assert len(front) == len(kept)
    assert (np.diff(ranking.latency_s[front]) >= 0).all()


def test_the_first_of_many_are_those_of_the_whole_order() -> None:
    columns = {n: np.tile(v, 100) for n, v in sgemm().items()}
    whole, first = rank(GEMM, columns, "rtx-3080"), rank(GEMM, columns, "rtx-3080", top_k=7)
    assert whole.rows[:7].tolist() == first.rows.tolist()
    assert len(whole) + whole.screened_out + sum(whole.refused.values()) == whole.configurations == len(columns["MWG"])
    assert whole.screened_out > 0


def test_a_ranker_is_read_as_it_was_written_and_refused_when_changed(tmp_path: Path) -> None:
    tables = Tables(0.25, ("MWG",), (np.array([64.0]),), ((0,),), (np.array([0.5, -0.5], dtype=np.float32),))
    made = Pretrained((Source("clblast_sgemm", "rtx-2080ti", {"m": 1, "dtype": "fp32"}, 30, tables),), 0.4, 0.2)
    save(made, tmp_path, {"seed": 0})
    read = load(tmp_path)
    assert read.sources[0].tables.predict_one({"MWG": 63.0}) == 0.75
    assert read.sources[0].tables.predict_one({"MWG": 64.0}) == -0.25
    assert (read.level_log_std, read.shape_log_std) == (0.4, 0.2)
    file = tmp_path / "clblast_sgemm" / "rtx-2080ti.json.gz"
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(PredictorError, match="does not match its hash"):
        load(tmp_path)
    (tmp_path / "ranker.json").write_text('{"schema": 99}')
    with pytest.raises(PredictorError, match="upgrade"):
        load(tmp_path)
    with pytest.raises(PredictorError, match="is no ranker"):
        load(tmp_path / "nowhere")


def test_a_device_that_was_measured_is_its_own_source() -> None:
    assert rank(GEMM, sgemm(), "rtx-3090", top_k=1).taught_by == ("rtx-3090",)
    other = rank(GEMM, sgemm(), "rtx-3080", top_k=1)
    assert other.taught_by == ("rtx-2080ti", "rtx-3090")
    assert other.source == "learned"
    assert rank(GEMM, sgemm(), "rtx-3080", pretrained=NOTHING).source == "analytical"


def test_the_shipped_ranker_orders_measured_spaces(shared: Path) -> None:
    """It was trained on them: it must at least know them. None of what ran may be refused."""
    from perfmodel.datasets import load as load_data
    from perfmodel.rank.training import measured_spaces

    best = []
    for m in measured_spaces(load_data("benchmark_hub", shared / "data" / "benchmark_hub")):
        ranking = rank(m.op, m.columns, m.device, space=m.space)
        assert len(ranking) == len(m.latency_s)
        assert ranking.refused == {}
        best.append(np.nanmin(m.latency_s) / np.nanmin(m.latency_s[ranking.rows[:8]]))
    assert len(best) == 5
    assert min(best) > 0.9


def test_the_example_finds_a_good_one(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(data_path("examples", "rank_plain_loop.py")))
    shown = capsys.readouterr().out
    # Its made-up device takes 2.25 ms at best: 1e-3 x 1.5 x 1.5 x 1 x 1.
    assert "26,244 candidates, 30 measured; the best: 2.250 ms" in shown
    assert "cannot run: {'the tile is no multiple of threads times vector width': 7200" in shown


def test_the_roles_of_the_page_are_those_of_the_code() -> None:
    page = (Path(__file__).parent.parent / "docs" / "ranking.md").read_text(encoding="utf-8")
    assert all(f"| `{role}` | {meaning} |" in page for role, meaning in ROLES.items())
    example = page.split("```toml\n")[1].split("```")[0]
    mine = space(tomllib.loads(example))
    configs = {"bm": [128, 64, 20], "bn": [128, 64, 64], "bk": [32, 32, 32]}
    ranking = rank(HALF, configs, "h100-sxm", space=mine)
    assert ranking.rows.tolist() == [0, 1]
    assert ranking.refused == {"no multiple of the instruction's shape": 1}


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pandas = pytest.importorskip("pandas")
    configs = tmp_path / "configs.csv"
    columns = {n: np.append(v, 33 if n == "MWG" else v[0]) for n, v in sgemm().items()}
    pandas.DataFrame(columns).to_csv(configs, index=False)
    out, result = tmp_path / "ranked.parquet", tmp_path / "r.json"
    common = ["rank", str(configs), "--op", "gemm", "--dtype", "fp32", "--device", "rtx-3080"]
    shape = ["--shape", "m=1024,n=1024,k=1024"]
    assert main([*common, *shape, "--top", "3", "-o", str(out), "--json", str(result)]) == 0
    shown = capsys.readouterr().out
    assert "refused: 1 the tile is no multiple of threads times vector width" in shown
    written, answer = pandas.read_parquet(out), json.loads(result.read_text())
    expected = rank(GEMM, columns, "rtx-3080", top_k=3)
    assert written["row"].tolist() == expected.rows.tolist() == [r["row"] for r in answer["ranked"]]
    assert answer["ranked"][0]["latency_s"]["low"] < answer["ranked"][0]["latency_s"]["value"]
    assert answer["configurations"] == len(columns["MWG"])
    # Parameters are what a kernel is compiled with: 32, not 32.0.
    assert [type(answer["ranked"][0][f"cfg_{n}"]) for n in ("MWG", "SA")] == [int, int]
    assert written["cfg_MWG"].dtype.kind == "i"
    before = configs.read_bytes()
    assert main([*common, *shape, "-o", str(configs)]) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert configs.read_bytes() == before
    assert main([*common, *shape, "-o", str(out), "--force"]) == 0
    for wrong, message in (
        (["--shape", "m=1,n=1,q=2"], "names 'q'"),
        (["--shape", "m=1,n=1"], "lacks k of gemm"),
        (["--shape", "m=one"], "whole number"),
        (["--shape", "m=1,n=1,k=1,m=2"], "names m twice"),
        ([*shape, "-o", "x.xlsx"], "is neither .csv nor .parquet"),
        ([*shape, "-o", str(tmp_path / "none" / "x.csv")], "there is no folder"),
        ([*shape, "--force"], "--force is for -o FILE"),
        ([*shape, "--space", "nothing"], "there is no configuration space"),
    ):
        assert main([*common, *wrong]) == 2
        assert message in capsys.readouterr().err


def test_reasons_of_devices_come_before_those_of_spaces() -> None:
    assert REASONS[0] == "feasible"
    assert Physics.of(space("triton_gemm"), HALF, load_device("h100-sxm")).reasons[: len(REASONS)] == REASONS


def test_a_misspelt_column_is_seen() -> None:
    columns = sgemm()
    rows = len(columns["MWG"])
    found = rank(GEMM, columns | {"KWg": np.full(rows, 16)}, "rtx-3090", top_k=1)
    assert found.ignored == ("KWg",)
    assert found.assumed["KWG"] == 32
    assert set(found.assumed).isdisjoint(columns)
    right = rank(GEMM, columns | {"KWG": np.full(rows, 16)}, "rtx-3090", top_k=1)
    assert right.ignored == ()
    assert "KWG" not in right.assumed
