"""Bad surroundings: full disks, interrupts at every stage, two at once, tables that unpack without end, names of markup."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import FrameType
from typing import Any

import numpy as np
import pytest
from fake_predictions import prediction

import perfmodel
from perfmodel.cli import main
from perfmodel.datasets import parquet, schema
from perfmodel.errors import PerfmodelError, PredictorError, TraceError
from perfmodel.files import write_whole
from perfmodel.models import artefact

ROOT = Path(__file__).parent.parent
RESNET = str(ROOT / "examples" / "resnet18.onnx")
MLP = str(ROOT / "examples" / "mlp.mlir")
PREDICT = ["predict", RESNET, "--device", "h100-sxm", "--dim", "batch=8", "--predictor", "analytical"]
TRACES = "op,dtype,m,n,k,batch,device,software,source,cache,latency_s\n" + "".join(
    f"gemm,fp32,{m},{n},{k},1,local-cpu,mine-1,test,warm,{m * n * k * 1e-10 + 1e-5}\n"
    for m in (64, 128, 256) for n in (64, 128, 192) for k in (64, 256)
)  # fmt: skip


def left_over(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if ".tmp" in p.name)


# ------------------------------------------------------------------------------------------------------------ disks
@contextmanager
def full_disk() -> Iterator[None]:
    """No file may become longer than 100 bytes: the operating system refuses, as it does when a disk is full.

    No fixture: its limit would hold while pytest writes its own output.
    """
    resource = pytest.importorskip("resource", reason="no limits of files here")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


WRITING = {
    "json": [*PREDICT, "--json", "{}/out.json"],
    "trace": [*PREDICT, "--trace", "{}/out.json"],
    "table": [*PREDICT, "--table", "{}/out.csv"],
    "annotated": [*PREDICT, "--annotate", "{}/out.onnx"],
    "template": ["devices", "--template", "--like", "l40s", "-o", "{}/out.toml"],
}


@pytest.mark.parametrize("name", WRITING)
def test_a_full_disk_gives_one_line_and_leaves_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with full_disk():
        code = main([a.format(tmp_path) for a in WRITING[name]])
    said = capsys.readouterr().err.splitlines()
    assert code == 2
    assert "perfmodel: error: " in said[-1]
    assert "out." in said[-1]
    assert not any("Traceback" in line for line in said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRITING)
def test_a_folder_that_takes_no_file_gives_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    # /proc takes none, whoever asks: permissions do not bind root, in whose name tests may run.
    if not Path("/proc/self").is_dir():
        pytest.skip("no /proc here")
    assert main([a.format("/proc/self") for a in WRITING[name]]) == 2
    said = capsys.readouterr().err.splitlines()
    assert "perfmodel: error: " in said[-1]
    assert not any("Traceback" in line for line in said)


# ------------------------------------------------------------------------------------------------------- interrupts
class Interrupted:
    """Raises KeyboardInterrupt at the n-th call of a function of perfmodel, as Ctrl-C would; counts them."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.calls = at, 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(ROOT / "perfmodel")):
            self.calls += 1
            if self.calls == self.at:
                sys.setprofile(None)
                raise KeyboardInterrupt

    def during(self, work: Callable[[], Any]) -> Any:
        sys.setprofile(self)
        try:
            return work()
        finally:
            sys.setprofile(None)


LONG = {
    "predict": ["predict", MLP, "--device", "h100-sxm", "--trace", "{}/out.json", "--table", "{}/out.csv"],
    "compare": ["compare", MLP, "--device", "h100-sxm,l40s", "--json", "{}/out.json"],
    "evaluate": ["evaluate", "{}/traces.csv", "--device", "local-cpu", "--json", "{}/out.json"],
    "train": ["train", "{}/traces.csv", "--base", "default", "-o", "{}/mine"],
    "report": ["report", MLP, "--device", "h100-sxm", "--no-what-if", "-o", "{}/out.html"],
    "calibrate": ["calibrate", "--device", "a100-sxm-80gb", "--traces", "{}/gpu.csv", "-o", "{}/out.toml", "--force"],
}
NEEDS = {"evaluate": "xgboost", "train": "xgboost", "calibrate": "scipy", "report": "vl_convert"}


@pytest.mark.parametrize("name", LONG)
def test_an_interrupt_at_any_stage_ends_it_quietly(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason="the extra train or report is not installed")
    (tmp_path / "traces.csv").write_text(TRACES)
    (tmp_path / "gpu.csv").write_text(TRACES.replace("local-cpu", "a100-sxm-80gb").replace("fp32", "bf16"))
    arguments = [a.format(tmp_path) for a in LONG[name]]
    whole = Interrupted()
    assert whole.during(lambda: main(arguments)) == 0
    for at in np.linspace(20, 0.98 * whole.calls, 3 if name in ("evaluate", "train") else 6).astype(int):
        capsys.readouterr()
        shutil.rmtree(tmp_path / "mine", ignore_errors=True)
        stopped = Interrupted(int(at))
        assert stopped.during(lambda stopped=stopped: main(arguments)) in (130, 0), at  # type: ignore[misc]
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert left_over(tmp_path) == []
        for path, end in ((tmp_path / "out.html", "</html>\n"), (tmp_path / "out.toml", "\n")):
            assert not path.exists() or path.read_text(encoding="utf-8").endswith(end)  # whole, or not there
            path.unlink(missing_ok=True)
        if (tmp_path / "mine" / "manifest.json").exists():
            perfmodel.load(tmp_path / "mine")  # whole, or not there


# ------------------------------------------------------------------------------------------------------- two at once
def test_two_writers_of_one_file_leave_one_of_the_two(tmp_path: Path) -> None:
    path = tmp_path / "file"
    texts = [bytes([65 + i]) * 200_000 for i in range(4)]
    failed: list[BaseException] = []

    def write(text: bytes) -> None:
        try:
            for _ in range(15):
                write_whole(path, text)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(t,)) for t in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert path.read_bytes() in texts
    assert left_over(tmp_path) == []


def test_two_processes_write_one_prediction(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "perfmodel",
        "predict",
        MLP,
        "--device",
        "h100-sxm",
        "--json",
        str(tmp_path / "out.json"),
    ]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT) for _ in range(2)]
    for process in both:
        process.communicate()
    assert [p.returncode for p in both] == [0, 0]
    assert json.loads((tmp_path / "out.json").read_text())["device"] == "h100-sxm"
    assert left_over(tmp_path) == []


# ------------------------------------------------------------------------------------------------------- bombs, paths
def test_a_table_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa = pytest.importorskip("pyarrow", reason="traces need the extra train")
    import pyarrow.parquet as pq

    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({f"c{i}": pa.array(np.zeros(1_000_000, dtype=np.int8)) for i in range(3)}), path)
    assert path.stat().st_size < 20_000  # 150 cells a byte
    monkeypatch.setattr(parquet, "MOST_CELLS", 2_000_000)
    with pytest.raises(TraceError, match=r"unpacks to 3,000,000 cells"):
        schema.read_table(path)
    with pytest.raises(TraceError, match=r"unpacks to 3,000,000 cells"):
        perfmodel.rank(perfmodel.Gemm(m=64, n=64, k=64, dtype="fp32"), path, "rtx-3090")


@pytest.mark.parametrize("packed", [True, False], ids=["each text once", "each text in full"])
def test_a_table_of_few_long_texts_is_refused_unread(
    packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pa = pytest.importorskip("pyarrow", reason="traces need the extra train")
    import pandas
    import pyarrow.parquet as pq

    path = tmp_path / "bomb.parquet"
    texts = pa.array(["x" * 100_000, "y", None] * 300)
    table = pa.table({"op": pa.array(["gemm"] * 900), "note": texts.cast(pa.large_string())})
    pq.write_table(table, path, use_dictionary=packed, compression="zstd", row_group_size=400)
    assert path.stat().st_size < 200_000  # 30 MB
    assert len(schema.read_table(path)) == 900
    monkeypatch.setattr(parquet, "MOST_TEXT_BYTES", 30_000_000)
    monkeypatch.setattr(pandas, "read_parquet", lambda path: pytest.fail("it was unpacked"))
    for read in (
        schema.read_table,
        lambda p: perfmodel.rank(perfmodel.Gemm(m=64, n=64, k=64, dtype="fp32"), p, "rtx-3090"),
    ):
        with pytest.raises(TraceError, match=r"column 'note' its texts unpack to more than 30,000,000 bytes"):
            read(path)


def test_tables_with_lists_and_wide_cells_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa = pytest.importorskip("pyarrow", reason="traces need the extra train")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"op": ["gemm"], "note": [[0] * 1000]}), tmp_path / "lists.parquet")
    with pytest.raises(TraceError, match=r"column 'note\.list\.element' holds lists"):
        schema.read_table(tmp_path / "lists.parquet")
    monkeypatch.setattr(parquet, "MOST_TEXT_BYTES", 1000)
    pq.write_table(pa.table({"op": pa.array([b"x" * 600] * 2, pa.binary(600))}), tmp_path / "wide.parquet")
    with pytest.raises(TraceError, match=r"column 'op' its texts unpack to more than 1,000"):
        schema.read_table(tmp_path / "wide.parquet")


@pytest.mark.skipif(not Path("/dev/zero").is_char_device(), reason="no endless file here")
def test_files_that_never_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``stat`` says of a device is 0 bytes; a link in a folder from elsewhere may lead to one."""
    from perfmodel.features.mlir import source

    monkeypatch.setattr(source, "MAX_FILE_BYTES", 10_000_000)
    for name in (
        "m.mlir",
        "m.onnx",
        "manifest.json",
        "ranker.json",
        "space.toml",
        "map.toml",
        "t.csv",
        "t.parquet",
        "d.toml",
    ):
        (tmp_path / name).symlink_to("/dev/zero")
    gemm = perfmodel.Gemm(m=64, n=64, k=64, dtype="fp32")
    configs = {"MWG": [64]}
    for attempt in (
        lambda: perfmodel.predict(tmp_path / "m.mlir", "h100-sxm"),
        lambda: perfmodel.predict(tmp_path / "m.onnx", "h100-sxm"),
        lambda: perfmodel.predict(MLP, tmp_path / "d.toml"),
        lambda: perfmodel.load(tmp_path),
        lambda: perfmodel.rank(gemm, configs, "rtx-3090", pretrained=str(tmp_path)),
        lambda: perfmodel.rank(gemm, configs, "rtx-3090", space=tmp_path / "space.toml"),
        lambda: perfmodel.rank(gemm, tmp_path / "t.csv", "rtx-3090"),
        lambda: perfmodel.rank(gemm, tmp_path / "t.parquet", "rtx-3090"),
        lambda: schema.read_table(tmp_path / "t.csv"),
    ):
        with pytest.raises(PerfmodelError) as error:
            attempt()
        assert "\n" not in str(error.value)
    assert main(["predict", MLP, "--device", "h100-sxm", "--dtype-map", str(tmp_path / "map.toml")]) == 2


@pytest.mark.parametrize(
    "name", [r"..\outside", r"gemm\..\..\outside", r"C:\outside", r"\\server\share\outside", "C:outside"]
)
def test_paths_of_windows_in_a_manifest_lead_nowhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "outside").write_bytes(b"x")
    with pytest.raises(PredictorError, match=r"outside the predictor's folder|cannot be read"):
        artefact.read_file(tmp_path / "mine", name, "0" * 64)


def test_what_is_stored_has_paths_of_every_system() -> None:
    """Names in shipped manifests: with slashes alone, and the same files to Windows, macOS and Linux."""
    names = [
        e["file"]
        for m in sorted((ROOT / "models").glob("*/manifest.json"))
        for e in json.loads(m.read_text()).get("boosters", [])
    ]
    assert names
    for name in names:
        assert PureWindowsPath(name).parts == PurePosixPath(name).parts
        assert re.fullmatch(r"[a-z0-9._/-]+", name), name  # no two that a folder without letter case takes for one
        assert not {p.split(".")[0] for p in PurePosixPath(name).parts} & {"con", "prn", "aux", "nul"}


# ---------------------------------------------------------------------------------------------------------- markup
HOSTILE = "<img src=x onerror=alert(1)>\"'</script><script>alert(1)</script>"


def test_names_are_never_markup_in_a_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfmodel.report import vega
    from perfmodel.report.comparing import comparison_html

    monkeypatch.setattr(vega, "check_installed", lambda: None)
    monkeypatch.setattr(vega, "script", lambda: "")
    title = {"model": HOSTILE, "dims": {HOSTILE: 3}, "asked": {HOSTILE: HOSTILE}}
    page = comparison_html([prediction(model=HOSTILE, warnings=(HOSTILE,))], ["h100-sxm"], title, None, None)
    assert "onerror" in page
    assert "<img src=x" not in page
    assert "<script>alert" not in page


def test_names_are_never_markup_in_an_annotated_module(tmp_path: Path) -> None:
    """A name with quotes and line ends in a location stays one string of the text."""
    from perfmodel.exchange.mlir_text import annotated

    text = (
        "module { func.func @main(%a: tensor<4x8xf32>, %b: tensor<8x4xf32>) -> tensor<4x4xf32> {\n"
        '  %0 = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0] {name = "</script>\\22}"} '
        ': (tensor<4x8xf32>, tensor<8x4xf32>) -> tensor<4x4xf32> loc("<img src=x>\\22")\n  return %0 : tensor<4x4xf32>\n} }\n'
    )
    (tmp_path / "m.mlir").write_text(text)
    new, _ = annotated(tmp_path / "m.mlir", perfmodel.predict(tmp_path / "m.mlir", "h100-sxm"))
    assert "perfmodel.latency" in new
    (tmp_path / "again.mlir").write_text(new)
    again = perfmodel.predict(tmp_path / "again.mlir", "h100-sxm")
    assert again.latency_s == perfmodel.predict(tmp_path / "m.mlir", "h100-sxm").latency_s
