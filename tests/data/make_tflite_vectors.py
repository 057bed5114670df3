"""Record what TensorFlow Lite's interpreters store: a sha256 of every tensor's codes, for ``tests/io/test_tflite.py``.

    python make_tflite_vectors.py tflite/vectors.json MODEL.tflite ...      # once in each environment

with ai-edge-litert 2.3.0 (rules ``litert_reference`` and ``litert_xnnpack``) and with tflite-runtime 2.14.0 and
numpy < 2 (``tflite_reference``). What the file already holds stays.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

COUNT = 4


def noise(count, shape, dtype):
    """The same bytes everywhere: the high byte of a linear congruential sequence."""
    size = count * int(np.prod(shape))
    state = (np.arange(1, size + 1, dtype=np.uint64) * np.uint64(6364136223846793005)) ^ np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (state >> np.uint64(56)).astype(np.int64).reshape(count, *shape)
    return (found - 128).astype(np.int8) if dtype == np.int8 else found.astype(np.float32)


def record(path, rule, kind, module):
    """Name of each int8 tensor that an operator makes -> sha256 of its codes for all inputs."""
    make = module.Interpreter(
        str(path), experimental_op_resolver_type=kind, experimental_preserve_all_tensors=True, num_threads=1
    )
    make.allocate_tensors()
    given = make.get_input_details()[0]
    made = {}
    for x in noise(COUNT, tuple(given["shape"][1:]), given["dtype"]):
        make.set_tensor(given["index"], x[None])
        make.invoke()
        for out in {op["outputs"][0] for op in make._get_ops_details()}:  # a delegate names its last one again
            made.setdefault(out, []).append(make.get_tensor(out).copy())
    names = {t["index"]: t["name"] for t in make.get_tensor_details()}
    # 2.14 lets these operators write over an input, whatever it was asked to preserve.
    over = set()
    for op in make._get_ops_details():
        if op["op_name"] in ("ADD", "SOFTMAX"):
            over |= {i for i in op["inputs"] if i in made and np.array_equal(made[i], made[op["outputs"][0]])}
    kept = {i: np.stack(v) for i, v in made.items() if v[0].dtype == np.int8 and i not in over}
    return {names[i]: hashlib.sha256(v.tobytes()).hexdigest() for i, v in kept.items()}


def main():
    out, models = Path(sys.argv[1]), [Path(p) for p in sys.argv[2:]]
    held = json.loads(out.read_text()) if out.is_file() else {}
    try:
        from ai_edge_litert import interpreter as module
    except ImportError:
        from tflite_runtime import interpreter as module

        rules = {"tflite_reference": module.OpResolverType.BUILTIN_REF}
    else:
        rules = {
            "litert_reference": module.OpResolverType.BUILTIN_REF,
            "litert_xnnpack": module.OpResolverType.AUTO,
        }
    for path in models:
        for rule, kind in rules.items():
            held.setdefault(path.stem, {})[rule] = record(path, rule, kind, module)
    out.write_text(json.dumps(held, indent=1) + "\n")


if __name__ == "__main__":
    main()
