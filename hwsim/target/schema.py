"""What a target file may say: the pydantic models. Strict, frozen, no unknown keys; units are in the names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from hwsim.target.machines import AnalogMachine, GpuMachine, SystolicMachine
from hwsim.target.quantities import Count, Energy, Name, Natural, Positive, Quantity, Source, Sourced, Strict


class TensorFormat(Strict):
    """How a tensor is stored: a format name, and what shares one scale."""

    format: Name
    granularity: Literal["per_tensor", "per_channel", "per_group"]
    group_size: Natural | None = None
    symmetric: bool


class CubeBlock(Strict):
    """The block that a cube unit multiplies in one cycle: [m, k] x [k, n]."""

    m: Count
    k: Count
    n: Count


class TileChoice(Sourced):
    """A result tile (``128x256``, either side along the rows) and when the library takes it: the first whose conditions
    hold; those without any compete in speed.

    Attributes:
        least_waves, most_waves: its blocks over the cores.
        least_k, most_k: length of the sums.
        rows: the side along the rows of the result, where the library has no other; ``128x64`` with 64 has 128 columns.
        step_cycles: that a block takes for 128 bytes of k beside the arithmetic, in copies and barriers.
        even_k: length of the sums from which its kernels share tiles out evenly, in parts of k, where a second wave
            would leave most cores idle; never where absent.
        together: blocks that share a core and hide those of each other; 1 where absent.
    """

    tile: Annotated[str, Field(pattern=r"^[1-9]\d{0,3}x[1-9]\d{0,3}$")]
    least_waves: Positive | None = None
    most_waves: Positive | None = None
    least_k: Natural | None = None
    most_k: Natural | None = None
    rows: Natural | None = None
    step_cycles: Natural | None = None
    together: Natural | None = None
    even_k: Natural | None = None

    @property
    def sides(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns, each way round that there is."""
        one, other = (int(side) for side in self.tile.split("x"))
        return tuple(side for side in ((one, other), (other, one)) if self.rows in (None, side[0]))

    @property
    def free(self) -> bool:
        """Whether it has no conditions."""
        return (self.least_waves, self.most_waves, self.least_k, self.most_k) == (None,) * 4


class SparseWeights(Strict):
    """What a unit makes of weights stored 2:4.

    Attributes:
        rate: of products with such weights, over that with dense ones; 1 where a decompressor before the unit puts the
            zeros back.
        codes_per_cycle: codes, zeros included, that a core's decompressor gives in a cycle, beside the arithmetic; as
            many as the unit takes where absent.
    """

    rate: Count
    codes_per_cycle: Count | None = None


class Precision(Sourced):
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


class VectorUnit(Strict):
    """The unit for everything that is not a matrix product, one a core: scalar operations a cycle, all lanes
    together."""

    operations_per_cycle: Count


class EnergyTable(Strict):
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


class Constraints(Strict):
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


class Target(Strict):
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
