// mul_e4m3: exact product of two fp8_e4m3fn operands. Combinational (latency 0). Codes a (8 bits) and b (8 bits),
// signed product p (37 bits, -52613349376..52613349376, LSB 2**-18). special is high where an operand is an infinity or
// NaN; p is then 0. No parameters. Emitted by python -m hwsim.verify.emit from the catalog of formats; do not edit.

`default_nettype none

module mul_e4m3 (
    input  wire [7:0]           a,
    input  wire [7:0]           b,
    output wire signed [36:0]   p,
    output wire                 special
);

    mul_float #(.E(4), .M(3), .NAN(1), .P_W(37)) m (
        .a(a), .b(b), .p(p), .special(special)
    );

endmodule

`default_nettype wire
