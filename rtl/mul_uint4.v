// mul_uint4: exact product of two uint4 operands. Combinational (latency 0). Codes a (4 bits) and b (4 bits), signed
// product p (9 bits, 0..225, LSB 1). No parameters. Emitted by python -m hwsim.verify.emit from the catalog of formats;
// do not edit.

`default_nettype none

module mul_uint4 (
    input  wire [3:0]           a,
    input  wire [3:0]           b,
    output wire signed [8:0]    p
);

    wire signed [8:0] x = {{5{1'b0}}, a};
    wire signed [8:0] y = {{5{1'b0}}, b};

    assign p = x * y;

endmodule

`default_nettype wire
