// dot_fused: truncated fused dot product of floating-point operands, d = c + a[0] b[0] + .. + a[L-1] b[L-1], as tensor
// cores form it. Products are exact and not renormalised; they and c are aligned to the largest exponent among them (or
// FLOOR, if that is larger), each cut toward zero at F bits below it, added exactly, and rounded once. Combinational
// (latency 0). Element k of a is in bits [k*(1+EA+MA) +: 1+EA+MA], of b likewise; c and d have a sign, CE exponent and CM
// mantissa bits. Any NaN, 0 times infinity, or infinities of both signs give a d with all bits below the sign set; a
// zero d is +0; what is too large is infinite. Parameters: L, at least 1; F, at least 1; FLOOR; EA, MA, NAN_A and EB, MB,
// NAN_B, the formats of a and b, each with bias 2**(E-1)-1 and NAN as in mul_float; CE, CM; DM, mantissa bits that d
// keeps, at most CM; NEAREST, 0 to cut d toward zero, 1 to round it to nearest even; anything else stops elaboration.

`default_nettype none

module dot_fused #(
    parameter L       = 32,
    parameter F       = 13,
    parameter integer FLOOR   = -133,
    parameter EA      = 4,
    parameter MA      = 3,
    parameter NAN_A   = 1,
    parameter EB      = 4,
    parameter MB      = 3,
    parameter NAN_B   = 1,
    parameter CE      = 8,
    parameter CM      = 23,
    parameter DM      = 13,
    parameter NEAREST = 0
) (
    input  wire [L*(1+EA+MA)-1:0] a,
    input  wire [L*(1+EB+MB)-1:0] b,
    input  wire [CE+CM:0]         c,
    output wire [CE+CM:0]         d
);

    // an instance of a module that does not exist stops elaboration
    generate
        if (L < 1 || F < 1 || DM > CM || DM < 1) begin : g_impossible
            dot_fused_needs_L_F_DM_of_1_or_more_and_DM_of_CM_or_less impossible ();
        end
        if (NAN_A < 0 || NAN_A > 2 || NAN_B < 0 || NAN_B > 2) begin : g_unknown
            dot_fused_needs_NAN_0_1_or_2 impossible ();
        end
        if (NEAREST != 0 && NEAREST != 1) begin : g_rounding
            dot_fused_needs_NEAREST_0_or_1 impossible ();
        end
    endgenerate

    localparam A_W    = 1 + EA + MA;
    localparam B_W    = 1 + EB + MB;
    localparam BIAS   = (1 << (EA - 1)) + (1 << (EB - 1)) - 2;  // of a product
    localparam BIAS_C = (1 << (CE - 1)) - 1;
    localparam LEAST  = 1 - BIAS_C;                             // exponent of the smallest normal d
    localparam FRAC   = MA + MB;                                // fraction bits of a product
    localparam PAD    = F > FRAC ? F - FRAC : 0;
    localparam CUT    = F > FRAC ? 0 : FRAC - F;
    localparam PAD_C  = F > CM ? F - CM : 0;
    localparam CUT_C  = F > CM ? 0 : CM - F;
    localparam SUM_W  = F + 4 + $clog2(L + 1);                  // a sum and its sign
    localparam T_W    = PAD + FRAC + 2 > PAD_C + CM + 1 ? PAD + FRAC + 2 : PAD_C + CM + 1;
    localparam W      = SUM_W > T_W ? SUM_W : T_W;              // of every aligned term

    /* verilator lint_off WIDTH */
    integer k, top, shift;
    integer exponent[0:L-1];
    integer exp_a, exp_b, exp_c;
    reg [W-1:0] term[0:L-1];
    reg [L-1:0] minus;
    reg         a_zero, a_last, a_frac, a_inf, b_zero, b_last, b_frac, b_inf, c_zero, c_last, c_frac;
    reg         is_nan, plus_inf, minus_inf;
    reg [A_W-1:0]        x;
    reg [B_W-1:0]        y;
    reg [W-1:0]          term_c, magnitude;
    reg signed [W-1:0]   sum;
    reg signed [15:0]    unit;

    always @* begin
        // what each product is: its exact significand, its exponent, its sign
        c_zero    = c[CE+CM-1:0] == 0;
        c_last    = &c[CM+:CE];
        c_frac    = |c[CM-1:0];
        exp_c     = c[CM+:CE] == 0 ? LEAST : c[CM+:CE] - BIAS_C;
        is_nan    = c_last & c_frac;
        plus_inf  = c_last & ~c_frac & ~c[CE+CM];
        minus_inf = c_last & ~c_frac & c[CE+CM];
        top       = c_zero | c_last | exp_c < FLOOR ? FLOOR : exp_c;
        for (k = 0; k < L; k = k + 1) begin
            x      = a[k*A_W+:A_W];
            y      = b[k*B_W+:B_W];
            a_zero = x[EA+MA-1:0] == 0;
            b_zero = y[EB+MB-1:0] == 0;
            a_frac = |x[MA-1:0];
            b_frac = |y[MB-1:0];
            a_last = NAN_A == 2 ? &x[MA+:EA] : NAN_A == 1 ? &x[EA+MA-1:0] : 1'b0;
            b_last = NAN_B == 2 ? &y[MB+:EB] : NAN_B == 1 ? &y[EB+MB-1:0] : 1'b0;
            a_inf  = NAN_A == 2 ? a_last & ~a_frac : 1'b0;
            b_inf  = NAN_B == 2 ? b_last & ~b_frac : 1'b0;
            exp_a  = x[MA+:EA] == 0 ? 1 : x[MA+:EA];
            exp_b  = y[MB+:EB] == 0 ? 1 : y[MB+:EB];

            minus[k]    = x[A_W-1] ^ y[B_W-1];
            exponent[k] = exp_a + exp_b - BIAS;
            term[k]     = {|x[MA+:EA], x[MA-1:0]} * {{(W - MB - 1) {1'b0}}, |y[MB+:EB], y[MB-1:0]};
            if (a_last | b_last) begin
                is_nan    = is_nan | (a_last & ~a_inf) | (b_last & ~b_inf) | (a_inf & b_zero) | (b_inf & a_zero);
                plus_inf  = plus_inf | (a_inf & ~b_zero | b_inf & ~a_zero) & ~minus[k];
                minus_inf = minus_inf | (a_inf & ~b_zero | b_inf & ~a_zero) & minus[k];
                term[k]   = 0;
            end
            if (term[k] != 0 && exponent[k] > top) top = exponent[k];
        end

        // aligned to the largest exponent, cut toward zero, added
        shift  = top - exp_c;
        term_c = {c[CM+:CE] != 0, c[CM-1:0]};
        term_c = c_last | shift > F + 2 ? 0 : ((term_c << PAD_C) >> CUT_C) >> shift;
        sum    = c[CE+CM] ? -term_c : term_c;
        for (k = 0; k < L; k = k + 1) begin
            shift     = top - exponent[k];
            magnitude = term[k] == 0 || shift > F + 2 ? 0 : ((term[k] << PAD) >> CUT) >> shift;
            sum       = minus[k] ? sum - magnitude : sum + magnitude;
        end
        unit = top - F;
    end
    /* verilator lint_on WIDTH */

    wire [CE+CM:0] rounded;

    round_float #(
        .W      (W),
        .CE     (CE),
        .CM     (CM),
        .DM     (DM),
        .NEAREST(NEAREST)
    ) result (
        .sum (sum),
        .unit(unit),
        .d   (rounded)
    );

    assign d = is_nan | plus_inf & minus_inf ? {1'b0, {(CE + CM) {1'b1}}} :
        plus_inf | minus_inf ? {minus_inf, {CE{1'b1}}, {CM{1'b0}}} : rounded;

endmodule

`default_nettype wire
