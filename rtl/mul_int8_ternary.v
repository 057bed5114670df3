// mul_int8_ternary: exact product of one int8 and one ternary operand. Combinational (latency 0). Codes a (8 bits) and
// b (2 bits), signed product p (10 bits, -254..256, LSB 1). No parameters. Emitted by python -m hwsim.verify.emit from
// the catalog of formats; do not edit.

`default_nettype none

module mul_int8_ternary (
    input  wire [7:0]           a,
    input  wire [1:0]           b,
    output wire signed [9:0]    p
);

    wire signed [9:0] x = {{2{a[7]}}, a};
    wire signed [9:0] y = {{8{b[1]}}, b};

    assign p = x * y;

endmodule

`default_nettype wire
