"""What perfmodel reads, each with seeds, with damage that fits, and with a function that reads one file.

A function returns what the file came to, in one word. It raises what perfmodel raised, other than one clear line
(:func:`fuzz.base.refused`), and AssertionError where a result is none that perfmodel promises.
"""

from __future__ import annotations

from fuzz import importers, kept, models, mutations, others, pages, predictors, tables
from fuzz.base import Target

_JSON, _TOML, _TABLE, _LINES = mutations.of_json, mutations.of_toml, mutations.of_table, mutations.of_lines
_JSONL, _PARQUET = mutations.of_json_lines, mutations.of_parquet

_MODELS = (
    Target("onnx", models.onnx_seeds, models.read_onnx, (models.damaged_nodes,)),
    Target("onnx-annotated", models.onnx_seeds, models.annotated_onnx, (models.damaged_nodes, models.hostile_names)),
    Target(
        "onnx-external", models.onnx_seeds, models.read_onnx_in_a_folder, (models.external_data, models.damaged_nodes)
    ),
    Target("mlir-text", models.mlir_seeds, models.read_mlir, (models.damaged_text,)),
    Target("mlir-bytecode", models.bytecode_seeds, models.read_mlir, (models.bytecode_of,), needs="mlir"),
    Target("characterise", models.linalg_seeds, models.characterised, (models.damaged_text,)),
    Target("report", pages.seeds, pages.read_for_report, (pages.damaged,)),
)
_TABLES = (
    Target("traces-csv", lambda: (tables.TRACES, tables.RUNS), tables.read_traces_as(".csv"), (_TABLE,)),
    Target("traces-parquet", tables.trace_seeds, tables.read_traces_as(".parquet"), (_PARQUET,)),
    Target("configs-csv", lambda: (tables.CONFIGS,), tables.read_configs_as(".csv"), (_TABLE,)),
    Target("configs-parquet", tables.config_seeds, tables.read_configs_as(".parquet"), (_PARQUET,)),
    Target("meter-recording", others.recording_seeds, others.read_recording, (_JSONL,)),
    Target("collect-resume", kept.recording_seeds, kept.read_recording, (_JSONL,)),
    Target("collect-pieces", kept.piece_seeds, kept.read_piece, (_PARQUET,)),
    Target("train-resume", kept.resume_seeds, kept.read_resumed, (kept.behind_the_first_line,)),
    Target("tuning-measurements", kept.nest_seeds, kept.read_nests, (_JSON,)),
    Target("data-set-archive", kept.archive_seeds, kept.read_archive, (kept.behind_the_first_line,)),
    Target("data-set-tables", kept.upstream_seeds, kept.read_upstream, (kept.upstream_damaged,)),
)
_PREDICTORS = (
    Target("device-toml", predictors.device_seeds, predictors.read_device, (_TOML,)),
    Target("predictor-manifest", predictors.manifest_seeds, predictors.read_manifest, (_JSON,)),
    Target("predictor-booster", predictors.booster_seeds, predictors.read_crafted_booster, (_JSON,)),
    Target("predictor-correction", predictors.correction_seeds, predictors.read_correction, (_JSON,)),
    Target("predictor-shipped", predictors.shipped_seeds, predictors.read_shipped_manifest, (_JSON,)),
    Target("predictor-ranker", predictors.ranker_seeds, predictors.read_ranker, (_JSON,)),
    Target("predictor-characteriser", predictors.characteriser_seeds, predictors.read_characteriser, (_JSON,)),
)
_IMPORTS = (
    Target(
        "import-nsight-systems",
        importers.importing_seeds("kern_sum.csv", "trace.csv"),
        importers.importing("nsight-systems"),
        (_TABLE,),
    ),
    Target(
        "import-nsight-compute",
        importers.importing_seeds("ncu.csv", "raw.csv"),
        importers.importing("nsight-compute"),
        (_TABLE,),
    ),
    Target(
        "import-cutlass", importers.importing_seeds("cutlass.csv"), importers.importing("cutlass-profiler"), (_TABLE,)
    ),
    Target("import-autotvm", importers.importing_seeds("tune.log"), importers.importing("autotvm"), (_JSONL,)),
    Target(
        "import-meta-schedule",
        importers.importing_seeds("database_tuning_record.json"),
        importers.importing("tvm-meta-schedule"),
        (_JSONL,),
    ),
    Target("import-kernel-tuner", importers.kernel_tuner_seeds, importers.importing("kernel-tuner"), (_JSON,)),
    Target("import-onednn", importers.onednn_seeds, importers.importing("onednn-verbose"), (_LINES, _TABLE)),
    Target("import-torch", importers.chrome_seeds, importers.importing("torch-profiler"), (_JSON,)),
    Target("import-onnxruntime", importers.onnxruntime_seeds, importers.importing("onnxruntime"), (_JSON,)),
)
_OTHERS = (
    Target("rank-serve", others.serve_seeds, others.serve, (_JSONL,)),
    Target("rank-space", others.space_seeds, others.read_space, (_TOML,)),
    Target("dtype-map", others.dtype_map_seeds, others.read_dtype_map, (_TOML,)),
    Target("options", others.option_seeds, others.read_options, (_LINES,)),
)
TARGETS = {t.name: t for t in (*_MODELS, *_TABLES, *_PREDICTORS, *_IMPORTS, *_OTHERS)}
