// mul_int2: exact product of two int2 operands. Combinational (latency 0). Codes a (2 bits) and b (2 bits), signed
// product p (4 bits, -2..4, LSB 1). No parameters. Emitted by python -m hwsim.verify.emit from the catalog of formats;
// do not edit.

`default_nettype none

module mul_int2 (
    input  wire [1:0]           a,
    input  wire [1:0]           b,
    output wire signed [3:0]    p
);

    wire signed [3:0] x = {{2{a[1]}}, a};
    wire signed [3:0] y = {{2{b[1]}}, b};

    assign p = x * y;

endmodule

`default_nettype wire
