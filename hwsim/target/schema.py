"""What a target file may say: the pydantic models. Strict, frozen, no unknown keys; units are in the names.

A number about a chip is never bare: it is a :class:`Quantity` or a :class:`Count` with the kind of its evidence and a
key into the file's ``sources``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["silicon", "rtl", "published", "derived", "assumed"]
KINDS: tuple[Kind, ...] = ("silicon", "rtl", "published", "derived", "assumed")
"""Evidence, strongest first."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Natural = Annotated[int, Field(ge=1)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Source(_Model):
    """Where numbers come from: a document, a measurement, a file. ``read`` is the date (YYYY-MM-DD) it was read or
    measured."""

    title: Name
    section: Name | None = None
    url: Name | None = None
    read: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class _Sourced(_Model):
    kind: Kind
    source: Name
    note: Name | None = None


class Quantity(_Sourced):
    """A positive real number; ``low`` and ``high``, where given, are the band that its makers or we believe it lies
    in."""

    value: Positive
    low: Positive | None = None
    high: Positive | None = None


class Count(_Sourced):
    """A positive whole number."""

    value: Natural


class Energy(_Sourced):
    """Energy of one action, pJ, with its band."""

    value_pj: Positive
    low_pj: Positive | None = None
    high_pj: Positive | None = None


class TensorFormat(_Model):
    """How a tensor is stored: a format name, and what shares one scale."""

    format: Name
    granularity: Literal["per_tensor", "per_channel", "per_group"]
    group_size: Natural | None = None
    symmetric: bool


class CubeBlock(_Model):
    """The block that a cube unit multiplies in one cycle: [m, k] x [k, n]."""

    m: Count
    k: Count
    n: Count


class TileChoice(_Sourced):
    """A result tile (``128x256``, either side along the rows) and when the library takes it: the first whose conditions
    hold; those without any compete in speed.

    Attributes:
        least_waves, most_waves: its blocks over the cores.
        least_k, most_k: length of the sums.
    """

    tile: Annotated[str, Field(pattern=r"^[1-9]\d{0,3}x[1-9]\d{0,3}$")]
    least_waves: Positive | None = None
    most_waves: Positive | None = None
    least_k: Natural | None = None
    most_k: Natural | None = None

    @property
    def sides(self) -> tuple[int, int]:
        one, other = self.tile.split("x")
        return int(one), int(other)

    @property
    def free(self) -> bool:
        """Whether it has no conditions."""
        return (self.least_waves, self.most_waves, self.least_k, self.most_k) == (None,) * 4


class SparseWeights(_Model):
    """What a unit makes of weights stored 2:4.

    Attributes:
        rate: of products with such weights, over that with dense ones; 1 where a decompressor before the unit puts the
            zeros back.
        codes_per_cycle: codes, zeros included, that a core's decompressor gives in a cycle, beside the arithmetic; as
            many as the unit takes where absent.
    """

    rate: Count
    codes_per_cycle: Count | None = None


class Precision(_Sourced):
    """One way to run a network on the chip.

    Attributes:
        unit: matrix unit, a name in ``hwsim.units``.
        weights, activations: how they are stored.
        requantize: ``fp32`` multiplies accumulators by a float32 scale; ``fixed_point`` by an int32 multiplier and a
            right shift; ``tflite_reference``, ``litert_reference`` and ``litert_xnnpack`` as those kernels of
            TensorFlow Lite do, which also add, pool and take softmax on codes (``hwsim.emulate.tflite``).
        vector_format: what values between vector operations are stored in.
        attention: precision of the same target in which products of two run-time values run (queries by keys,
            probabilities by values), and whose activations say how those are stored; this one where absent.
        cache: how keys and values, the second operands of those products, are stored; as the first where absent.
        macs_per_cycle: multiply-accumulates a core (an SM) does in a cycle; needed by ``gpu`` machines.
        multicast: neighbouring thread blocks that fetch a common operand once (Hopper's clusters); ``gpu`` only.
        launch_s: of its products, where it is not the machine's; ``gpu`` only.
        store_share: part of the time to write results that no arithmetic hides; all of it where absent; ``gpu`` only.
        dram_load_share: of the memory rate, that operands of products come at; the machine's ``dram_matrix_share``
            where absent; ``gpu`` only.
        tiles: the library's result tiles where they are few; every size up to the machine's largest tile where absent;
            ``gpu`` only.
        operand_bytes_per_cycle: where a core's tensor unit takes operands from registers, the rate at which they reach
            those, in series with the arithmetic; absent where it reads shared memory itself; ``gpu`` only.
        block: what a ``cube`` does in a cycle; needed by ``systolic`` machines of dataflow ``cube``.
        macs_per_element: multiply-accumulates an array element does in a cycle, along k; 1 where absent.
        sparse_2to4: the rate with weights stored 2:4; absent where the chip does not take them.
        mac_pj: energy of one multiply-accumulate with its operand registers; of ``analog`` machines, of one cell in
            one step with its share of the row's driver.
    """

    unit: Name
    weights: TensorFormat
    activations: TensorFormat
    requantize: Literal["fp32", "fixed_point", "tflite_reference", "litert_reference", "litert_xnnpack"]
    vector_format: Literal["fp32", "fp16", "bf16"]
    attention: Name | None = None
    cache: TensorFormat | None = None
    macs_per_cycle: Count | None = None
    multicast: Count | None = None
    launch_s: Quantity | None = None
    store_share: Quantity | None = None
    dram_load_share: Quantity | None = None
    tiles: Annotated[tuple[TileChoice, ...], Field(strict=False, min_length=1)] | None = None
    operand_bytes_per_cycle: Quantity | None = None
    block: CubeBlock | None = None
    macs_per_element: Count | None = None
    sparse_2to4: SparseWeights | None = None
    mac_pj: Energy


class Dram(_Model):
    """Memory chips: capacity, the rate all cores share, and the time from a request to its first byte."""

    capacity_bytes: Count
    bytes_per_s: Quantity
    latency_s: Quantity


class SharedMemory(_Model):
    """On-chip memory that all cores share (an L2 cache, a system buffer)."""

    capacity_bytes: Count
    bytes_per_s: Quantity


class HostLink(_Model):
    """The way from the host: a network's input and output cross it, before and after the work."""

    bytes_per_s: Quantity


class Scratchpads(_Model):
    """Memories of one core. Each is split in two halves when ``double_buffered``: one fills while the other is read.

    ``activations_bytes``, ``weights_bytes`` hold operand tiles, ``accumulators_bytes`` partial sums.
    ``staging_bytes``, where a chip has it, lies between them and the rest of the chip, and then bounds the tiles
    (Ascend's L1).
    """

    activations_bytes: Count
    weights_bytes: Count
    accumulators_bytes: Count
    staging_bytes: Count | None = None
    double_buffered: bool


class SystolicMachine(_Model):
    """Cores with one array each.

    Attributes:
        dataflow: ``ws``, ``os``, ``is`` (which operand stays in the array) or ``cube`` (a block a cycle).
        rows, cols: size of the array; of ``cube``, absent (the block is in each precision).
        fold_overlap: ``none``: a fold starts when the one before has drained; ``full``: the next fold's stationary
            operand loads, and the last fold's results drain, while this one streams.
        pipeline_cycles: of ``cube``, from a block's operands to its sum; absent otherwise.
        launch_s: time from one operation's end to the next one's start, where a scheduler dispatches each; absent where
            a fixed sequence runs without gaps.
        host: where a network's input and output come over a link of their own, and not from ``dram``.
        barrier: a product starts only when the results of the one before have left the vector unit, so the last result
            tile's way through it is not hidden.
        resident_weights_bytes: networks with weights up to this size keep them on the chip from pass to pass.
        whole_tiles: weights are stored and moved in tiles as large as the array, filled up with zeros.
    """

    kind: Literal["systolic"]
    dataflow: Literal["ws", "os", "is", "cube"]
    cores: Count
    rows: Count | None = None
    cols: Count | None = None
    fold_overlap: Literal["none", "full"]
    pipeline_cycles: Count | None = None
    launch_s: Quantity | None = None
    clock_hz: Quantity
    memory: Scratchpads
    shared: SharedMemory | None = None
    dram: Dram
    host: HostLink | None = None
    barrier: bool = False
    whole_tiles: bool = False
    resident_weights_bytes: Count | None = None


class Dequantizer(_Model):
    """Kernels that multiply 4-bit weights, widened on the way, with 16-bit activations.

    Attributes:
        weights_per_cycle: weights that a core widens in a cycle.
        fragment_bytes_per_cycle: activation bytes that come to a core's registers in a cycle, used or not.
        fetched_per_byte: bytes that come for one that is used (cache sectors are wider than fragments).
        operations_per_weight: of the vector lanes, to widen and scale one weight.
        cache_bytes: a core's cache, from which blocks on one core share activations.
    """

    weights_per_cycle: Quantity
    fragment_bytes_per_cycle: Quantity
    fetched_per_byte: Quantity
    operations_per_weight: Quantity
    cache_bytes: Count


class ChipLink(_Model):
    """Links from one chip to the others of a host.

    Attributes:
        bytes_per_s: of a chip, in each direction.
        launch_s: of a collective, with the wait for the other chips.
        reduce_share, gather_share: of the rate, that a ring all-reduce and a ring all-gather sustain.
        pj_per_byte: of a byte from one chip to the next, both ends and switches between them.
    """

    bytes_per_s: Quantity
    launch_s: Quantity
    reduce_share: Quantity
    gather_share: Quantity
    pj_per_byte: Energy


class GpuMachine(_Model):
    """Streaming multiprocessors behind one L2. Shares are parts of a rate that kernels of a kind sustain; 1 where
    absent.

    Attributes:
        sms: how many.
        clock_hz: the highest clock, which it holds until power limits it.
        tile_m, tile_n: sides of the largest result tile of a matrix product; smaller ones exist.
        launch_s: from one kernel's end to the next one's work, inside a captured graph, for matrix products.
        vector_launch_s: the same for small kernels without a pipeline to fill; ``launch_s`` where absent.
        network_launch_s: the same for matrix products that follow kernels of other kinds, in networks.
        attention_launch_s, convolution_launch_s: the same for the fused attention kernel, and for convolutions;
            ``launch_s`` where absent.
        power_limit_w: mean power that the part never passes; the clock falls until it is met.
        voltage_slope: part of the voltage lost per part of the clock lost; 0 where absent.
        active_w: power of clock trees and schedulers while kernels follow each other, at the highest clock, above the
            static power of the energy table; 0 where absent.
        matrix_share: of the tensor rate, in matrix products.
        attention_share: of that, in the fused attention kernel.
        dram_matrix_share, dram_stream_share, dram_read_share: of the memory rate, in matrix products, in kernels that
            read and write, and in those that only read.
        port_bytes_per_cycle: from the shared memory into one core; unlimited where absent.
        link: to the other chips of a host; absent where nothing is known of it.
        dequantize: the kernels for 4-bit weights; absent where weights are widened at no cost.
    """

    kind: Literal["gpu"]
    sms: Count
    clock_hz: Quantity
    tile_m: Count
    tile_n: Count
    launch_s: Quantity
    vector_launch_s: Quantity | None = None
    network_launch_s: Quantity | None = None
    attention_launch_s: Quantity | None = None
    convolution_launch_s: Quantity | None = None
    power_limit_w: Quantity
    voltage_slope: Quantity | None = None
    active_w: Quantity | None = None
    matrix_share: Quantity | None = None
    attention_share: Quantity | None = None
    dram_matrix_share: Quantity | None = None
    dram_stream_share: Quantity | None = None
    dram_read_share: Quantity | None = None
    port_bytes_per_cycle: Quantity | None = None
    dequantize: Dequantizer | None = None
    link: ChipLink | None = None
    shared: SharedMemory
    dram: Dram


class Drift(_Model):
    """Conductance falls as (seconds / first_s) ** -exponent after a cell is written.

    Attributes:
        exponent, spread: mean and standard deviation over cells.
        first_s, seconds: the time of the first read, and of use.
        compensated: a gain for the whole array makes up for the mean.
    """

    exponent: Quantity
    spread: Quantity
    first_s: Quantity
    seconds: Quantity
    compensated: bool


class AnalogErrors(_Model):
    """What analog arithmetic does to results; without it, an analog target computes exact integers.

    Attributes:
        encoding: ``differential``: a pair of cells, or light's phase, holds a weight with its sign; ``offset``: cells
            hold slices of weight + 2 ** (bits - 1).
        adc_range: what a conversion covers, in products of the largest input and the largest cell; sums beyond clip.
        programming_noise: standard deviation of a written cell, of the fullest.
        drift: of cells with time.
        read_noise: standard deviation of a sum before its conversion, in the unit of ``adc_range``.
        loss_db: of light between modulator and detector; the receiver makes up for it, and noise grows by it.
        seed: of every draw.
    """

    encoding: Literal["differential", "offset"]
    adc_range: Quantity
    programming_noise: Quantity | None = None
    drift: Drift | None = None
    read_noise: Quantity | None = None
    loss_db: Quantity | None = None
    seed: Annotated[int, Field(ge=0)] = 0


class AnalogMachine(_Model):
    """Arrays that multiply where the weights are held: memory crossbars, or meshes of light. Rows take inputs, columns
    give sums.

    Attributes:
        medium: ``resistive`` cells keep their weights; ``photonic`` meshes are set before use.
        arrays, rows, cols: how many, and the size of each.
        cell_bits: of a weight that one column holds; wider weights take several columns.
        input_bits: of an input that one step drives; wider inputs take several steps.
        columns_per_adc: columns that take turns at one converter.
        adc_hz: conversions a second of one converter; a step takes ``columns_per_adc`` of them.
        adc_bits: of a conversion.
        write_row_s: time to write one row of every array at once; absent where inputs and weights are both driven anew
            at each step.
        buffer_bytes: on-chip memory for activations.
        errors: noise, drift and conversion in the arithmetic; exact where absent.
    """

    kind: Literal["analog"]
    medium: Literal["resistive", "photonic"]
    arrays: Count
    rows: Count
    cols: Count
    cell_bits: Count
    input_bits: Count
    columns_per_adc: Count
    adc_hz: Quantity
    adc_bits: Count
    write_row_s: Quantity | None = None
    buffer_bytes: Count
    errors: AnalogErrors | None = None
    shared: None = None
    dram: Dram


class VectorUnit(_Model):
    """The unit for everything that is not a matrix product, one a core: scalar operations a cycle, all lanes
    together."""

    operations_per_cycle: Count


class EnergyTable(_Model):
    """Energy of each action; ``mac_pj`` is in each precision.

    Attributes:
        node_nm: technology that the table speaks of.
        accumulate_pj: one partial sum read, added and written back outside the array; absent where mac_pj has it. Of
            ``analog`` machines, one conversion of a column with its shift and add.
        scratchpad_pj_per_byte: a byte into or out of a core's memory; absent where mac_pj has it.
        shared_pj_per_byte: a byte into or out of the shared memory; absent where there is none.
        vector_pj: one scalar operation of the vector unit, registers included.
        dram_pj_per_byte: a byte over the memory interface, device included.
        static_w: power that flows whatever the chip does.
    """

    node_nm: Quantity
    accumulate_pj: Energy | None = None
    scratchpad_pj_per_byte: Energy | None = None
    shared_pj_per_byte: Energy | None = None
    vector_pj: Energy
    dram_pj_per_byte: Energy
    static_w: Quantity


class Constraints(_Model):
    """What a use of the chip allows; each is optional, and every estimate is held against those that are given.

    Attributes:
        power_w: mean power of the chip with its memory.
        latency_s: time of one batch.
        memory_bytes: weights, the largest layer's activations and cached keys and values; where absent, the chip's own
            memory is the limit.
    """

    power_w: Quantity | None = None
    latency_s: Quantity | None = None
    memory_bytes: Count | None = None


class Target(_Model):
    """One chip.

    Attributes:
        validated: what of its numbers was held against what, a sentence each; empty: the peak rate alone.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]
    title: Name
    vendor: Name
    description: Annotated[str, Field(min_length=1, max_length=2000)]
    sources: Annotated[dict[str, Source], Field(min_length=1)]
    precisions: Annotated[dict[str, Precision], Field(min_length=1)]
    default_precision: Name
    machine: Annotated[SystolicMachine | GpuMachine | AnalogMachine, Field(discriminator="kind")]
    vector: VectorUnit
    energy: EnergyTable
    constraints: Constraints | None = None
    validated: Annotated[tuple[Name, ...], Field(strict=False)] = ()

    def precision(self, name: str | None = None) -> Precision:
        """The named precision, or the default one.

        Raises:
            TargetError: the chip has no such precision; names the nearest.
        """
        from hwsim.errors import TargetError, unknown

        wanted = name or self.default_precision
        if wanted not in self.precisions:
            raise unknown(TargetError, f"precision of {self.name}", wanted, self.precisions)
        return self.precisions[wanted]

    def quantities(self) -> Iterator[tuple[str, Quantity | Count | Energy]]:
        """Every sourced number with its dotted path (``machine.dram.bytes_per_s``)."""
        yield from _walk("", self)


def _walk(path: str, node: object) -> Iterator[tuple[str, Quantity | Count | Energy]]:
    if isinstance(node, Quantity | Count | Energy):
        yield path, node
    elif isinstance(node, BaseModel):
        for key in type(node).model_fields:
            yield from _walk(f"{path}.{key}" if path else key, getattr(node, key))
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _walk(f"{path}.{key}", value)
