"""`perfmodel collect`: what is finished stays, whatever ends it, and the same command goes on."""

from __future__ import annotations

import errno
import importlib.util
import itertools
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from perfmodel.collect.anchor import AnchorTimes
from perfmodel.collect.onnxruntime_cpu import OnnxRuntimeCpu, dimension_names, random_inputs
from perfmodel.errors import InputError, PerfmodelError, TraceError, UnboundDimensionError
from perfmodel.files import write_whole

pd = pytest.importorskip("pandas", reason="traces need the extra train")
pytest.importorskip("onnxruntime", reason="the extra collect is not installed")

from perfmodel.collect.sweeps.families import usual_weights  # noqa: E402
from perfmodel.collecting.choice import MOST_CHANGE, chain_weights, kernel_spread  # noqa: E402
from perfmodel.collecting.journal import MOST_STARTS, Journal, about_table, check_names  # noqa: E402
from perfmodel.collecting.pieces import dims_of_inputs  # noqa: E402
from perfmodel.collecting.session import Wanted, collect, paces, per_event_s  # noqa: E402
from perfmodel.datasets.schema import read_traces  # noqa: E402
from perfmodel.hardware import load_device  # noqa: E402

BENCH = Path(__file__).parent / "bench"


class Steady:
    """An anchor that takes as long every time, or drifts by a factor each time."""

    def __init__(self, drift: float = 1.0) -> None:
        self._times = (AnchorTimes(3e-3 * drift**i, 4e-3) for i in itertools.count())

    def times(self, repeats: int = 5) -> AnchorTimes:
        """The next."""
        return next(self._times)


def run(
    output: Path, steps: float, *, minutes: float = 1.0, anchor: Steady | None = None, report=lambda line: None, **more
):
    """Collects for so many looks at the clock, of which there are a few a piece."""
    ticks = itertools.count(step=60.0 * minutes / steps)
    wanted = Wanted("local-cpu", output, minutes=minutes, **more)
    runtime = OnnxRuntimeCpu(seconds=1e-3, warm_up=1)
    return collect(wanted, report, runtime=runtime, anchor=anchor or Steady(), clock=lambda: float(next(ticks)))


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """A table of some pieces, and what was reported meanwhile."""
    output = tmp_path_factory.mktemp("collected") / "traces.parquet"
    lines: list[str] = []
    found = run(output, 24, report=lines.append)
    return found, lines


def test_a_table_is_traces_with_what_a_run_took(collected):
    found, lines = collected
    table = read_traces(found.output)
    assert len(table) == found.rows > 20
    assert table["collection"].nunique() == found.pieces >= 2
    assert {"run_bytes", "contiguous_elements", "run_s", "run_events", "pace", "kernel", "fused"} <= set(table.columns)
    assert (table["source"] == "sweep").all()
    assert (table["device"] == "local-cpu").all()
    about = about_table(found.output)
    assert about["machine"]["onnxruntime"]
    assert about["pieces"] == found.pieces
    assert any("kernels of" in line for line in lines)


def test_the_same_command_goes_on(collected, tmp_path):
    import shutil

    found, _ = collected
    for part in found.output.parent.iterdir():
        (shutil.copytree if part.is_dir() else shutil.copy)(part, tmp_path / part.name)
    before = pd.read_parquet(tmp_path / "traces.parquet")
    again = run(tmp_path / "traces.parquet", 16, minutes=30.0)
    after = pd.read_parquet(tmp_path / "traces.parquet")
    assert again.pieces > found.pieces
    keys = ["collection", "node"]
    assert set(map(tuple, before[keys].to_numpy())) < set(map(tuple, after[keys].to_numpy()))


def test_another_device_or_seed_is_refused(collected):
    found, _ = collected
    with pytest.raises(InputError, match="choose another output"):
        run(found.output, 4, seed=5)


def test_time_that_was_spent_counts(collected):
    found, _ = collected
    lines: list[str] = []
    run(found.output, 4, minutes=1e-4, report=lines.append)
    assert lines == [f"{found.seconds / 60:.1f} minutes were measured already: --minutes asks for more"]


def test_an_interrupted_call_keeps_what_it_measured(tmp_path):
    output = tmp_path / "traces.parquet"

    class Impatient(Steady):
        def times(self, repeats: int = 5) -> AnchorTimes:
            if (tmp_path / "traces.parquet.pieces").is_dir() and list(
                (tmp_path / "traces.parquet.pieces").glob("*.parquet")
            ):
                raise KeyboardInterrupt
            return super().times(repeats)

    with pytest.raises(KeyboardInterrupt):
        run(output, 1e6, anchor=Impatient())
    assert len(read_traces(output)) > 0


@pytest.mark.parametrize("problem", [errno.ENOSPC, errno.EROFS, errno.EFBIG])
def test_a_disk_that_fills_ends_it_in_one_line_and_the_same_command_goes_on(tmp_path, monkeypatch, problem):
    output, written = tmp_path / "traces.parquet", []

    def full(path: Path, data: bytes) -> None:
        if len(written) >= 3:  # the first piece, the table, the second piece
            raise OSError(problem, os.strerror(problem), str(path))
        written.append(path)
        write_whole(path, data)

    monkeypatch.setattr("perfmodel.collecting.journal.write_whole", full)
    with pytest.raises(PerfmodelError, match=r"2 finished pieces are kept .*: the same command goes on") as caught:
        run(output, 1e6)
    assert os.strerror(problem) in str(caught.value)
    assert "\n" not in str(caught.value)
    safe = read_traces(output)
    assert not list(tmp_path.rglob("*.tmp"))
    assert not list(tmp_path.rglob("*.started")), "the disk, not the piece, ended the process"
    monkeypatch.undo()
    after = read_traces(run(output, 12, minutes=30.0).output)
    assert set(safe["node"] + safe["collection"].astype(str)) < set(after["node"] + after["collection"].astype(str))


def test_where_nothing_can_be_written_it_says_so_before_it_measures(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PerfmodelError, match=r"Not a directory; nothing is measured yet"):
        run(tmp_path / "file" / "traces.parquet", 1e6)


def test_a_model_that_was_interrupted_often_is_measured_all_the_same(tmp_path):
    path = tmp_path / "small.onnx"
    onnx_model(path)

    class Interrupting(Steady):
        def times(self, repeats: int = 5) -> AnchorTimes:
            raise KeyboardInterrupt

    for _ in range(MOST_STARTS + 1):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "t.parquet", 1e6, models=[(path, {"batch": 2})], sweep=False, anchor=Interrupting())
    assert run(tmp_path / "t.parquet", 8, models=[(path, {"batch": 2})], sweep=False).pieces == 1


def test_a_model_is_measured_when_it_is_told_what_it_lacked(tmp_path):
    path = tmp_path / "small.onnx"
    onnx_model(path)
    for _ in range(MOST_STARTS + 1):
        with pytest.raises(PerfmodelError, match=r"small: .*open dimensions batch"):
            run(tmp_path / "t.parquet", 8, models=[(path, {})], sweep=False)
    assert run(tmp_path / "t.parquet", 8, models=[(path, {"batch": 2})], sweep=False).pieces == 1


def test_a_model_that_killed_the_process_is_named(tmp_path):
    path = tmp_path / "small.onnx"
    onnx_model(path)
    for _ in range(MOST_STARTS):
        Journal(tmp_path / "t.parquet").start("model-small")
    with pytest.raises(PerfmodelError, match="small: it ended this command 2 times"):
        run(tmp_path / "t.parquet", 8, models=[(path, {"batch": 2})], sweep=False)


def test_a_drifting_anchor_is_noted(tmp_path):
    found = run(tmp_path / "t.parquet", 8, anchor=Steady(1.1))
    table = read_traces(found.output)
    assert table["note"].str.contains(r"the anchor moved by \+10.0%").all()


def test_a_table_that_it_did_not_begin_is_kept_unless_it_may_be_replaced(tmp_path):
    output = tmp_path / "traces.parquet"
    output.write_bytes(b"somebody's measurements")
    (tmp_path / "traces.parquet.pieces").mkdir()
    with pytest.raises(InputError, match=r"exists, and no pieces .* take another output, or replace it with --force"):
        run(output, 6)
    assert output.read_bytes() == b"somebody's measurements"
    first = run(output, 6, overwrite=True)
    assert len(read_traces(output)) == first.rows
    assert run(output, 4, minutes=1e-4).rows == first.rows  # its own, with which it goes on unasked


def test_a_folder_is_no_table(tmp_path):
    (tmp_path / "traces.parquet").mkdir()
    for overwrite in (False, True):
        with pytest.raises(InputError, match="is a folder; wanted a file"):
            run(tmp_path / "traces.parquet", 6, overwrite=overwrite)


def test_a_table_of_another_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no \.parquet file"):
        run(tmp_path / "traces.csv", 4)


def onnx_model(path: Path) -> None:
    """A small model, written."""
    import onnx
    from onnx_models import small_model

    onnx.save(small_model(), str(path))


def test_a_model_is_measured_under_its_name(tmp_path):
    onnx_model(tmp_path / "small.onnx")
    found = run(tmp_path / "t.parquet", 8, models=[(tmp_path / "small.onnx", {"batch": 2})], sweep=False)
    table = read_traces(found.output)
    assert set(table["collection"]) == {"small"}
    assert set(table["source"]) == {"model"}
    assert (table["run_s"] > 0).all()


def test_a_model_that_is_another_than_the_measured_one_is_not_passed_over(tmp_path):
    path, output = tmp_path / "small.onnx", tmp_path / "t.parquet"
    onnx_model(path)

    def again(**dims: int) -> int:
        return run(output, 8, minutes=5.0, models=[(path, dims)], sweep=False).pieces

    assert again(batch=2) == 1
    assert again(batch=2, sequence=7) == 1  # which is a dimension of some other model
    with pytest.raises(InputError, match=r"holds small with batch=2, not with batch=8: give .*, or remove .* anew$"):
        again(batch=8)
    with pytest.raises(InputError, match=r"holds small with batch=2, not without --dim: "):
        again()
    path.write_bytes(path.read_bytes() + b"\x32\x01x")  # a doc_string
    with pytest.raises(InputError, match=r"holds small from another file than .*small\.onnx: give .* another name"):
        again(batch=2)
    # Earlier versions kept neither.
    journal = Journal(output)
    (piece,) = journal.done
    about = {name: value for name, value in piece.about.items() if name not in ("model_sha256", "dims")}
    assert len(about) == len(piece.about) - 2
    journal.add(piece.name, piece.rows(), about)
    assert again(batch=8) == 1


def test_models_that_cannot_be_measured_are_named(tmp_path):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"nothing at all")
    (tmp_path / "more").mkdir()
    other = tmp_path / "more" / "bad.onnx"
    other.write_bytes(b"nothing at all")
    with pytest.raises(PerfmodelError, match=r"no model could be measured; bad: .*onnxruntime cannot load it"):
        run(tmp_path / "none.parquet", 8, models=[(bad, {})], sweep=False)
    assert run(tmp_path / "t.parquet", 24, models=[(bad, {})]).passed_over.keys() == {"bad"}
    # Before anything is measured:
    with pytest.raises(InputError, match=r"nothere\.onnx is no file"):
        run(tmp_path / "u.parquet", 8, models=[(tmp_path / "nothere.onnx", {})])
    with pytest.raises(InputError, match="both called 'bad'"):
        run(tmp_path / "u.parquet", 8, models=[(bad, {}), (other, {})])
    capital = tmp_path / "more" / "Bad.onnx"
    with pytest.raises(InputError, match="both called 'Bad'"):
        check_names([bad, capital])
    check_names([bad, capital], {"bad", "Bad"})  # as they lie there, measured
    assert not (tmp_path / "u.parquet").exists()


# ------------------------------------------------------------------------------------------------------------- journal
def rows(count: int, name: str):
    return pd.DataFrame({"collection": [name] * count, "node": [f"n{i}" for i in range(count)], "value": range(count)})


def test_a_journal_is_what_its_folder_holds(tmp_path):
    one = Journal(tmp_path / "t.parquet")
    one.add("b", rows(2, "b"), {"seconds": 1.5})
    one.add("a", rows(3, "a"), {"seconds": 2.0})
    again = Journal(tmp_path / "t.parquet")
    assert [d.name for d in again.done] == ["a", "b"]
    assert again.seconds == 3.5
    assert len(again.done[0].rows()) == 3
    assert "a" in again
    assert "c" not in again


def test_what_was_cut_short_is_no_piece(tmp_path):
    journal = Journal(tmp_path / "t.parquet")
    journal.add("a", rows(3, "a"), {})
    (journal.folder / ".b.parquet.123.tmp").write_bytes(b"PAR1 cut short")
    assert len(Journal(tmp_path / "t.parquet")) == 1


def test_a_piece_that_kills_is_passed_over(tmp_path):
    for _ in range(MOST_STARTS):
        assert Journal(tmp_path / "t.parquet").start("a")
    assert not Journal(tmp_path / "t.parquet").start("a")
    journal = Journal(tmp_path / "t.parquet")
    journal.start("b")
    journal.add("b", rows(1, "b"), {})
    assert journal.start("b"), "a finished piece may begin again"


def test_a_foreign_file_is_named(tmp_path):
    folder = tmp_path / "t.parquet.pieces"
    folder.mkdir()
    rows(1, "x").to_parquet(folder / "x.parquet")
    with pytest.raises(TraceError, match="not written by `perfmodel collect`"):
        Journal(tmp_path / "t.parquet")


# -------------------------------------------------------------------------------------------------- pace, costs, choice
def test_pace_is_relative_to_the_usual_one():
    assert paces({"a": {"pace_s": [2e-5, 1]}, "b": {"pace_s": [4e-5, 1]}, "c": {"pace_s": [2e-5, 1]}, "d": {}}) == {
        "a": 1.0, "b": 2.0, "c": 1.0, "d": 1.0,
    }  # fmt: skip


def test_the_profilers_share_is_the_weighted_median():
    """Of 100 events in 1 ms: (1.194 + 0.006 - 1.0) ms / 100 = 2 us; a long model with few events has little say."""
    small = {"sum_s": 1.194e-3, "run_s": 1e-3, "events": 100, "status": "ok"}
    long = {"sum_s": 0.5, "run_s": 0.4, "events": 10, "status": "ok"}
    assert per_event_s([small, long]) == pytest.approx(2e-6)
    assert per_event_s([{**small, "status": "moved"}]) == pytest.approx(1.4e-6)


def test_chains_whose_kernels_scatter_are_drawn_more(collected):
    found, _ = collected
    table = read_traces(found.output)
    device = load_device("local-cpu")
    spread = kernel_spread(table, device)
    assert set(spread) == set(table["kernel"])
    assert all(v > 0 for v in spread.values())
    kernel = max(spread, key=lambda name: spread[name])
    calm = min(spread, key=lambda name: spread[name])
    scattered, settled = table[table["kernel"] == kernel], table[table["kernel"] == calm]
    weights = chain_weights([(("linear",), scattered), (("attention",), settled), (("batched",), settled)], device)
    usual = usual_weights()
    assert weights["linear"] / usual["linear"] > weights["attention"] / usual["attention"]
    ratios = [weights[n] / usual[n] for n in usual]
    assert max(ratios) / min(ratios) <= MOST_CHANGE**2 * 1.0001
    assert sum(weights.values()) == pytest.approx(1.0)


def test_dimensions_by_any_of_their_names():
    assert dimension_names("x", 2, "p.2") == ("p.2", "p_2", "x_2")
    assert dimension_names("x.y", 1, None)[0] == "x_y_1"
    item = SimpleNamespace(name="x", type="tensor(float)", shape=["?", 3, "a.b"])
    assert random_inputs([item], {"x_0": 2, "a_b": 5}, 0)["x"].shape == (2, 3, 5)


def test_a_question_mark_names_no_dimension(tmp_path):
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    # Two open dimensions that have nothing to do with each other, as Paddle's converter leaves them.
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["?", 3, "?"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    onnx.save(helper.make_model(graph), tmp_path / "g.onnx")
    assert dims_of_inputs(tmp_path / "g.onnx", {"x_0": 2, "x_2": 7}) == {"x_0": 2, "x_2": 7}
    item = SimpleNamespace(name="x", type="tensor(float)", shape=["?", 3, "?"])
    assert random_inputs([item], {"x_0": 2, "x_2": 7}, 0)["x"].shape == (2, 3, 7)
    with pytest.raises(UnboundDimensionError, match="x_0, x_2"):
        random_inputs([item], {"?": 2}, 0)


# ---------------------------------------------------------------------------------------------------------------- kills
def test_killed_three_times_nothing_is_lost(tmp_path):
    """The benchmark does it 50 times."""
    spec = importlib.util.spec_from_file_location("collect_kills", BENCH / "collect_kills.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    left = module.kill_often(3, seed=0, folder=tmp_path, longest_s=1.0)
    assert left["rows"] > 0
    assert left["reports"] >= 3
