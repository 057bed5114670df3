// mul_int4_sm: exact product of two sign-magnitude INT4 operands (bit 3 is the sign, bits 2..0 the magnitude 0..7).
// Combinational (latency 0). Negative zero, code 0x8, multiplies as zero, so p never depends on a zero's sign. p is the
// signed 8-bit product in two's complement (-49..49, LSB 1). No parameters.

`default_nettype none

module mul_int4_sm (
    input  wire [3:0]        a,
    input  wire [3:0]        b,
    output wire signed [7:0] p
);

    wire [7:0] magnitude = {5'b0, a[2:0]} * {5'b0, b[2:0]};

    assign p = (a[3] ^ b[3]) ? -magnitude : magnitude;

endmodule

`default_nettype wire
