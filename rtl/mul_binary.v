// mul_binary: exact product of two binary operands. Combinational (latency 0). Codes a (1 bits) and b (1 bits), signed
// product p (2 bits, -1..1, LSB 1). Equal bits give +1, unequal ones -1 (XNOR). No parameters. Emitted by python -m
// hwsim.verify.emit from the catalog of formats; do not edit.

`default_nettype none

module mul_binary (
    input  wire [0:0]           a,
    input  wire [0:0]           b,
    output wire signed [1:0]    p
);

    assign p = (a ~^ b) ? 2'sd1 : -2'sd1;

endmodule

`default_nettype wire
