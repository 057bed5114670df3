"""What a target file may say of what a chip is made of: arrays, memories, links."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hwsim.target.quantities import Count, Energy, Quantity, Strict


class Dram(Strict):
    """Memory chips: capacity, the rate all cores share, and the time from a request to its first byte."""

    capacity_bytes: Count
    bytes_per_s: Quantity
    latency_s: Quantity


class SharedMemory(Strict):
    """On-chip memory that all cores share (an L2 cache, a system buffer)."""

    capacity_bytes: Count
    bytes_per_s: Quantity


class HostLink(Strict):
    """The way from the host: a network's input and output cross it, before and after the work."""

    bytes_per_s: Quantity


class Scratchpads(Strict):
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


class SystolicMachine(Strict):
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


class Dequantizer(Strict):
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


class ChipLink(Strict):
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


class GpuMachine(Strict):
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


class Drift(Strict):
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


class AnalogErrors(Strict):
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


class AnalogMachine(Strict):
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
