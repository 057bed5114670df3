// mul_int4: exact product of two two's-complement INT4 operands. Combinational (latency 0). a and b are 4-bit codes
// (-8..7), p is their signed 8-bit product (-56..64, LSB 1). No parameters.

`default_nettype none

module mul_int4 (
    input  wire signed [3:0] a,
    input  wire signed [3:0] b,
    output wire signed [7:0] p
);

    assign p = a * b;

endmodule

`default_nettype wire
