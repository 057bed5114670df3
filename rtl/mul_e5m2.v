// mul_e5m2: exact product of two fp8_e5m2 operands. Combinational (latency 0). Codes a (8 bits) and b (8 bits), signed
// product p (65 bits, -14123288431433875456..14123288431433875456, LSB 2**-32). special is high where an operand is an
// infinity or NaN; p is then 0. No parameters. Emitted by python -m hwsim.verify.emit from the catalog of formats; do
// not edit.

`default_nettype none

module mul_e5m2 (
    input  wire [7:0]           a,
    input  wire [7:0]           b,
    output wire signed [64:0]   p,
    output wire                 special
);

    mul_float #(.E(5), .M(2), .NAN(2), .P_W(65)) m (
        .a(a), .b(b), .p(p), .special(special)
    );

endmodule

`default_nettype wire
