// requantizer: an integer sum becomes a code of the next layer: clamp, multiply, shift right with rounding, add the zero
// point, saturate. code = saturate(((min(max(acc, low), high) * multiplier) >> shift) + zero). Combinational (latency 0).
// acc, low, high: ACC_W-bit sums; multiplier: unsigned, MUL_W bits; shift: 1..63; zero: OUT_W+1 signed bits. code: OUT_W
// bits, two's complement or, for LEAST of 0 or more, unsigned; zero comes out as +0. Parameters: ACC_W, MUL_W with
// ACC_W + MUL_W at most 63; OUT_W; LEAST, MOST, the integers that code stops at; ROUND, 0 for halves up, 1 for halves to
// even; SIGN_MAGNITUDE, 1 for a code of a sign above OUT_W-1 magnitude bits; anything else stops elaboration.

`default_nettype none

module requantizer #(
    parameter ACC_W          = 32,
    parameter MUL_W          = 31,
    parameter OUT_W          = 4,
    parameter integer LEAST  = -8,
    parameter integer MOST   = 7,
    parameter ROUND          = 0,
    parameter SIGN_MAGNITUDE = 0
) (
    input  wire signed [ACC_W-1:0] acc,
    input  wire signed [ACC_W-1:0] low,
    input  wire signed [ACC_W-1:0] high,
    input  wire        [MUL_W-1:0] multiplier,
    input  wire        [5:0]       shift,
    input  wire signed [OUT_W:0]   zero,
    output wire        [OUT_W-1:0] code
);

    // an instance of a module that does not exist stops elaboration
    generate
        if (ACC_W + MUL_W > 63) begin : g_wide
            requantizer_needs_ACC_W_plus_MUL_W_of_63_or_less impossible ();
        end
        if (LEAST >= MOST || ROUND < 0 || ROUND > 1 || SIGN_MAGNITUDE < 0 || SIGN_MAGNITUDE > 1) begin : g_unknown
            requantizer_needs_LEAST_below_MOST_ROUND_0_or_1_SIGN_MAGNITUDE_0_or_1 impossible ();
        end
    endgenerate

    wire signed [ACC_W-1:0] raised  = acc < low ? low : acc;
    wire signed [ACC_W-1:0] clamped = raised > high ? high : raised;
    wire signed [63:0]      product = {{(64-ACC_W) {clamped[ACC_W-1]}}, clamped} * {{(64 - MUL_W) {1'b0}}, multiplier};
    wire        [63:0]      half    = (64'd1 << shift) >> 1;
    wire signed [63:0]      up      = $signed(product + half) >>> shift;

    // a tie is a product whose bits below the cut are just the half; rounded up to an odd number, it was even below
    wire                    tie     = ((product ^ half) & ((half << 1) - 64'd1)) == 64'd0;
    wire signed [63:0]      rounded = (ROUND == 1 && tie && up[0]) ? up - 64'sd1 : up;
    wire signed [63:0]      moved   = rounded + {{(63 - OUT_W) {zero[OUT_W]}}, zero};
    /* verilator lint_off WIDTH */
    wire signed [63:0]      least   = LEAST;
    wire signed [63:0]      most    = MOST;
    /* verilator lint_on WIDTH */
    wire signed [63:0]      q       = moved < least ? least : moved > most ? most : moved;
    wire        [63:0]      size    = q < 0 ? -q : q;

    generate
        if (SIGN_MAGNITUDE == 1) begin : g_sign_magnitude
            assign code = {q[63], size[OUT_W-2:0]};
            wire unused = &{size, q};
        end else begin : g_twos_complement
            assign code = q[OUT_W-1:0];
            wire unused = &{size, q};
        end
    endgenerate

endmodule

`default_nettype wire
