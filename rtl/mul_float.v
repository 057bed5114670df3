// mul_float: exact product of two small floating-point operands of one format as a signed fixed-point number, which is
// what the mul_e<E>m<M> modules are made of. Combinational (latency 0). a and b are codes: a sign, E exponent bits, M
// mantissa bits, subnormal where the exponent is 0; p counts in the square of the least subnormal. special is high where
// an operand is an infinity or NaN; p is then 0. Parameters: E, at least 2; M, at least 1; NAN, which codes are not
// numbers: 0 none, 1 those with all bits below the sign set, 2 those with all exponent bits set; P_W, the width of p, at
// least twice the largest exponent field of a number plus M, and 1; anything else stops elaboration.

`default_nettype none

module mul_float #(
    parameter E   = 4,
    parameter M   = 3,
    parameter NAN = 1,
    parameter P_W = 37
) (
    input  wire [E+M:0]          a,
    input  wire [E+M:0]          b,
    output wire signed [P_W-1:0] p,
    output wire                  special
);

    localparam MOST = NAN == 2 ? (1 << E) - 2 : (1 << E) - 1;  // the largest exponent field of a number

    // an instance of a module that does not exist stops elaboration
    generate
        if (E < 2 || M < 1) begin : g_small
            mul_float_needs_E_of_2_M_of_1_or_more impossible ();
        end
        if (NAN < 0 || NAN > 2) begin : g_unknown
            mul_float_needs_NAN_0_1_or_2 impossible ();
        end
        if (P_W < 2 * (MOST + M) + 1) begin : g_narrow
            mul_float_needs_a_wider_P_W impossible ();
        end
    endgenerate

    // a subnormal has the exponent of the smallest normal number, and no leading one
    wire [E-1:0]   exp_a = a[M+:E];
    wire [E-1:0]   exp_b = b[M+:E];
    wire [M:0]     sig_a = {|exp_a, a[M-1:0]};
    wire [M:0]     sig_b = {|exp_b, b[M-1:0]};
    wire [E:0]     shift = {1'b0, exp_a} + {1'b0, exp_b} - {{E{1'b0}}, |exp_a} - {{E{1'b0}}, |exp_b};
    wire [2*M+1:0] product = {{(M + 1) {1'b0}}, sig_a} * {{(M + 1) {1'b0}}, sig_b};
    wire [P_W-1:0] magnitude = {{(P_W - 2 * M - 2) {1'b0}}, product} << shift;

    assign special = (NAN == 1) ? &a[E+M-1:0] | &b[E+M-1:0] : (NAN == 2) ? &exp_a | &exp_b : 1'b0;
    assign p       = special ? {P_W{1'b0}} : (a[E+M] ^ b[E+M]) ? -magnitude : magnitude;

endmodule

`default_nettype wire
