// mul_uint8_int4: exact product of one uint8 and one int4 operand. Combinational (latency 0). Codes a (8 bits) and b (4
// bits), signed product p (12 bits, -2040..1785, LSB 1). No parameters. Emitted by python -m hwsim.verify.emit from the
// catalog of formats; do not edit.

`default_nettype none

module mul_uint8_int4 (
    input  wire [7:0]           a,
    input  wire [3:0]           b,
    output wire signed [11:0]   p
);

    wire signed [11:0] x = {{4{1'b0}}, a};
    wire signed [11:0] y = {{8{b[3]}}, b};

    assign p = x * y;

endmodule

`default_nettype wire
