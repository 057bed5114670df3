"""Record qonnx 1.0.0's golden files, and what its executor answers to the super-resolution models it ships.

    python tests/data/make_qonnx_golden.py

Run from the repository root where qonnx is installed. Writes qonnx/*.onnx (copies), qonnx/golden.npz, qonnx/odd.npz.
"""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.general.bipolar_quant import binary_quant
from qonnx.custom_op.general.intquant import int_quant
from qonnx.custom_op.general.trunc import trunc_v1, trunc_v2
from qonnx.util.cleanup import cleanup_model

from tests.io.qonnx_cases import ODD, odd_input, truncated_input

HERE = Path(__file__).parent / "qonnx"


def main() -> None:
    HERE.mkdir(exist_ok=True)
    shipped = Path(str(files("qonnx"))) / "data" / "onnx"
    exact = shipped / "floatquant_exec"
    shutil.copy(exact / "qonnx_act_weight_fp8.onnx", HERE / "floatquant.onnx")
    held = {key: np.load(exact / "test_data" / f"{key}.npy") for key in ("input", "output")}
    for key, value in np.load(exact / "test_data" / "activation.npz").items():
        held[f"activation_{key}"] = value
    sharp = shipped / "bsd300x3-espcn"
    x = numpy_helper.to_array(onnx.TensorProto.FromString((sharp / "test_data" / "input_0.pb").read_bytes()))
    held["espcn_input"] = np.rint(x * 255).astype(np.uint8)
    assert np.array_equal(held["espcn_input"].astype(np.float32) / np.float32(255), x)
    for name in ("subpixel", "nn_resize"):
        shutil.copy(sharp / name / "quant_model.onnx", HERE / f"espcn_{name}.onnx")
        model = cleanup_model(ModelWrapper(str(sharp / name / "quant_model.onnx")))
        found = execute_onnx(model, {model.graph.input[0].name: x})[model.graph.output[0].name]
        last = next(n for n in model.graph.node if n.output[0] == model.graph.output[0].name)
        held[f"espcn_{name}"] = np.rint(found / model.get_initializer(last.input[1])).astype(np.uint8)
    np.savez_compressed(HERE / "golden.npz", **held)
    np.savez_compressed(HERE / "odd.npz", **{name: answer(*case) for name, case in ODD.items()})


def answer(op: str, inputs: tuple[Any, ...], attrs: dict[str, Any]) -> np.ndarray:
    """What qonnx's own function gives."""
    held = [np.asarray(v, np.float32) for v in inputs]
    if op == "BipolarQuant":
        return binary_quant(odd_input(), *held)
    if op == "Quant":
        return int_quant(odd_input(), *held, attrs["signed"], attrs["narrow"], attrs["rounding_mode"])
    if len(held) == 4:
        return trunc_v1(truncated_input(), *held, attrs["rounding_mode"])
    ranges = (attrs["narrow"], attrs["signed"])
    return trunc_v2(truncated_input(), *held[:3], *ranges, *held[3:], attrs["rounding_mode"])


if __name__ == "__main__":
    main()
