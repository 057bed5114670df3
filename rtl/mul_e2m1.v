// mul_e2m1: exact product of two fp4_e2m1 operands. Combinational (latency 0). Codes a (4 bits) and b (4 bits), signed
// product p (9 bits, -144..144, LSB 2**-2). No parameters. Emitted by python -m hwsim.verify.emit from the catalog of
// formats; do not edit.

`default_nettype none

module mul_e2m1 (
    input  wire [3:0]           a,
    input  wire [3:0]           b,
    output wire signed [8:0]    p
);

    wire special;
    wire unused = special;

    mul_float #(.E(2), .M(1), .NAN(0), .P_W(9)) m (
        .a(a), .b(b), .p(p), .special(special)
    );

endmodule

`default_nettype wire
