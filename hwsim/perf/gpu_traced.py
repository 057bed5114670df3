"""What kernels of PyTorch, cuDNN and cuBLAS do beside their arithmetic, read off a profiler's traces of one H100
(tests/data/h100/held_kernels.csv: nine networks at 30 sizes) and off products measured alone.

Rates are in lanes or cycles of an SM, so they follow the chip and its clock; times in seconds are latencies.
"""

from __future__ import annotations

LANE_OPERATIONS = {"Softmax": 134, "CausalSoftmax": 134, "Activation": 35}
"""Lane-cycles for an element where a kernel is slower than its published operations say: PyTorch's softmax and GELU,
from their measured rates; they include reductions across lanes."""

EAGER_LANE_OPERATIONS = {
    **{"BatchNormalization": 56, "MaxPool": 570, "Copy": 84},
    **dict.fromkeys(("GatedActivation", "GatedMul", "BroadcastMul"), 100),
}
"""The same for kernels that only a framework runs so: a batch norm of its own, pooling 3 x 3, and kernels on strided
halves of a tensor or with one value a channel, which read an element at a time."""

STREAM_SHARE = 0.45
"""Of the L2's rate to products, that elementwise kernels reach (additions of 7 to 19 MB: 4e12 B/s)."""

POOL_S = 5.5e-6
"""More than an elementwise kernel that a mean over all positions takes, whose threads each walk through one channel
(ResNet-50 and MobileNetV2: 5.5 to 8.2 us from 1 to 64 images)."""

BATCH_NORM_S, NORM_SETUP_KERNELS, NORM_SETUP_S = 1.7e-6, 2, 0.5e-6
"""A batch norm's kernel takes so much longer than an addition's; before each, PyTorch makes 1 / sqrt(variance +
epsilon) and copies the mean."""

NORM_ROW_CYCLES, NORM_S, NORM_ELEMENT_S = 560, 1.2e-6, 7e-10
"""One block of the layer norm's kernel takes a row: cycles of an SM for a row, whatever its width, and the time of the
first row, a part of it for each element (widths of 768, 2048 and 4096)."""

IMAGE_KERNELS, IMAGE_TILE, IMAGE_RATE = 2, 128, 0.0406
"""A network's first convolution is of an image of three channels: two kernels turn and pad it, and a block's tile of
the product reaches a small share of the tensor rate (ViT's patches take 80, 83 and 414 us at batches 1, 8 and 64)."""

STEM_RATE, STEM_FILTERS, STEM_INPUTS = 0.12, 64, 256
"""For 64 filters of up to 7 x 7 cuDNN has a kernel of its own (ResNet-50)."""

DEPTHWISE_OPERATIONS = 9
"""Lane operations for each multiply-accumulate of a depthwise convolution (MobileNetV2 at batches 8 and 64)."""

QUERY_BLOCK, KEY_BLOCK, BLOCK_CYCLES = 128, 128, 2200
"""Rows of queries and of keys of a tile of the attention kernel, and what a block takes before and after its tiles
(ViT and BERT at five sizes)."""

EXPONENTIALS_PER_CYCLE = 16
"""Of an SM's special function units (CUDA C++ Programming Guide, throughput of native instructions)."""

CAUSAL_ROWS, CAUSAL_MORE = 256, 1.5
"""A causal mask saves whole blocks of so many rows and keys, but for the diagonal and so many more (little gain at 512
tokens, 0.65 of the time at 2048)."""

KEY_BYTES_PER_CYCLE, BLOCKS_TOGETHER, SPLIT_KEYS = 20, 4, 512
"""Keys and values that one block of the decoding attention kernel reads in a cycle, such blocks on an SM, and keys from
which blocks share a head (Llama-2-7B, Llama-3.2-1B and GPT-2, one sequence each)."""

GROUP_ROWS = 64
"""Rows that a warp group's instruction always takes; its columns go in steps, up to 256 (PTX ISA, wgmma shapes)."""

COLUMN_STEP = 8

STEP_BYTES, STEP_CYCLES = 128, 170
"""Of k, that a warp-group kernel's pipeline takes at a time from each row of an operand (nvjet kernels: 64 FP16, 128
FP8), and the least time of such a step, in which loads, barrier and instruction follow each other (88 to 102 ns for
tiles of 64 x 8 to 64 x 40 in FP8 and FP16)."""

EVEN_LAST = 0.25
"""Part of the SMs that a second wave of tiles would fill, below which kernels that can share tiles out do so (names of
240 TF32 kernels)."""

SPLIT_STEPS, LEAST_SPLIT = 1.0, 48
"""A product is cut along k where it has so many steps for each 64 x 64 tile (64 x 128 up to 16 rows), and so many at
least: the rule that best separates the kernels that cuBLAS took."""

OLDER_TILE, OLDER_STEP_CYCLES, OLDER_REDUCE_S = (64, 64), 665, 2.3e-6
"""Small TF32 products run in warp kernels of the generation before, k cut so that most SMs have a block: result tile,
cycles of a step of STEP_BYTES, and the time of a second kernel that adds the parts (80 products of 12 to 130 tiles)."""

CLEAR_S = 1.6e-6
"""A warp-group kernel with more than two tiles for an SM hands them out by a counter, which a kernel before it clears
(0.8 us and the gap between kernels)."""

ALIGNED_BYTES, UNALIGNED_RATE, UNALIGNED_LOADS = 16, 0.629, 1 / 2
"""Where rows of an operand or of the result start at fewer bytes than 16, warp kernels of older generations run, at
their share of the tensor rate at most (62.9%: Luo et al., arXiv 2402.13499), and half of the memory rate (GPT-2's 50257
columns)."""

SHORT_COPIES, SHORT_COPY_BYTES, SHORT_OPERATIONS = 2.5, 4, 25
"""Copies of an operand's few bytes that an SM makes in a cycle, whatever their size; the largest such copy; and lane
operations that each takes in address and store (nine products of odd sizes: 2.3 to 3.0 in FP16, BF16, TF32, INT8)."""

UNALIGNED_TILES, UNALIGNED_CUTS = ((128, 128), (256, 128), (128, 256)), (1, 2, 3, 4, 6, 8)
"""Result tiles of those kernels, the one for copies below 4 bytes first; and parts that k is cut in."""

UNALIGNED_REDUCE_BYTES_PER_S = 5e12
"""At which the parts are written, read and added."""

SMALL_TILE, SMALL_CLUSTER = 64 * 64, 4
"""Results of a tile up to which kernels come in clusters of four blocks or eight, and not of two (names of 500
kernels)."""

FRAGMENT_ROWS, FRAGMENT_COLUMNS = 16, 8
"""Result tile of a dequantizing block: one m16n8 instruction (PyTorch's tinygemm)."""
