// mul_int8: exact product of two int8 operands. Combinational (latency 0). Codes a (8 bits) and b (8 bits), signed
// product p (16 bits, -16256..16384, LSB 1). No parameters. Emitted by python -m hwsim.verify.emit from the catalog of
// formats; do not edit.

`default_nettype none

module mul_int8 (
    input  wire [7:0]           a,
    input  wire [7:0]           b,
    output wire signed [15:0]   p
);

    wire signed [15:0] x = {{8{a[7]}}, a};
    wire signed [15:0] y = {{8{b[7]}}, b};

    assign p = x * y;

endmodule

`default_nettype wire
