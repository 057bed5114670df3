// tb_multipliers: every multiplier at the same operands (simulation only), so that one build drives all of them through
// every operand pair. Combinational (latency 0). Codes a and b, of which each multiplier takes its low bits; product
// p_<name>, and special_<name> where there is one. No parameters. Emitted by python -m hwsim.verify.emit from the
// catalog of formats; do not edit.

`default_nettype none

module tb_multipliers (
    input  wire [7:0] a,
    input  wire [7:0] b,
    output wire signed [7:0] p_int4,
    output wire signed [7:0] p_int4_sm,
    output wire signed [8:0] p_uint4,
    output wire signed [7:0] p_uint4_int4,
    output wire signed [15:0] p_int8,
    output wire signed [11:0] p_int8_int4,
    output wire signed [11:0] p_uint8_int4,
    output wire signed [9:0] p_int8_ternary,
    output wire signed [3:0] p_int2,
    output wire signed [3:0] p_ternary,
    output wire signed [1:0] p_binary,
    output wire signed [8:0] p_e2m1,
    output wire signed [36:0] p_e4m3,
    output wire special_e4m3,
    output wire signed [64:0] p_e5m2,
    output wire special_e5m2
);

    mul_int4 m_int4 (.a(a[3:0]), .b(b[3:0]), .p(p_int4));
    mul_int4_sm m_int4_sm (.a(a[3:0]), .b(b[3:0]), .p(p_int4_sm));
    mul_uint4 m_uint4 (.a(a[3:0]), .b(b[3:0]), .p(p_uint4));
    mul_uint4_int4 m_uint4_int4 (.a(a[3:0]), .b(b[3:0]), .p(p_uint4_int4));
    mul_int8 m_int8 (.a(a[7:0]), .b(b[7:0]), .p(p_int8));
    mul_int8_int4 m_int8_int4 (.a(a[7:0]), .b(b[3:0]), .p(p_int8_int4));
    mul_uint8_int4 m_uint8_int4 (.a(a[7:0]), .b(b[3:0]), .p(p_uint8_int4));
    mul_int8_ternary m_int8_ternary (.a(a[7:0]), .b(b[1:0]), .p(p_int8_ternary));
    mul_int2 m_int2 (.a(a[1:0]), .b(b[1:0]), .p(p_int2));
    mul_ternary m_ternary (.a(a[1:0]), .b(b[1:0]), .p(p_ternary));
    mul_binary m_binary (.a(a[0:0]), .b(b[0:0]), .p(p_binary));
    mul_e2m1 m_e2m1 (.a(a[3:0]), .b(b[3:0]), .p(p_e2m1));
    mul_e4m3 m_e4m3 (.a(a[7:0]), .b(b[7:0]), .p(p_e4m3), .special(special_e4m3));
    mul_e5m2 m_e5m2 (.a(a[7:0]), .b(b[7:0]), .p(p_e5m2), .special(special_e5m2));

endmodule

`default_nettype wire
