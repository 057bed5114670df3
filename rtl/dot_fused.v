// dot_fused: truncated fused dot product of floating-point operands, d = c + a[0] b[0] + .. + a[L-1] b[L-1], as tensor
// cores form it. Products are exact and not renormalised; they and c are aligned to the largest exponent among them (or
// FLOOR, if that is larger), each cut toward zero at F bits below it, added exactly, and rounded once. Combinational
// (latency 0). Element k of a is in bits [k*(1+EA+MA) +: 1+EA+MA], of b likewise; c and d have a sign, CE exponent and CM
// mantissa bits. Any NaN, 0 times infinity, or infinities of both signs give a d with all bits below the sign set; a
// zero d is +0; what is too large is infinite. Parameters: L, F, at least 1; FLOOR; EA, MA, NAN_A and EB, MB, NAN_B, the
// formats of a and b, E at least 2, each with bias 2**(E-1)-1 and NAN as in mul_float; CE, CM; DM, mantissa bits that d
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
        if (L < 1 || F < 1 || EA < 2 || EB < 2 || DM > CM || DM < 1) begin : g_impossible
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
    localparam BIASES = (1 << (EA - 1)) + (1 << (EB - 1)) - 2;  // of a product
    localparam BIAS_C = (1 << (CE - 1)) - 1;
    localparam FRAC   = MA + MB;                                // fraction bits of a product
    localparam PAD    = F > FRAC ? F - FRAC : 0;
    localparam CUT    = F > FRAC ? 0 : FRAC - F;
    localparam PAD_C  = F > CM ? F - CM : 0;
    localparam CUT_C  = F > CM ? 0 : CM - F;
    localparam W      = F + 3 + $clog2(L + 1);                  // of the sum; a term has F + 2 bits, c has F + 1

    // exponents: of products LOW to HIGH, of c LOW_C to HIGH_C; shifts are what the largest is above the least
    localparam LOW    = 2 - BIASES;
    localparam HIGH   = (1 << EA) + (1 << EB) - 2 - BIASES;
    localparam LOW_C  = 1 - BIAS_C;
    localparam HIGH_C = BIAS_C + 1;
    localparam LEAST  = LOW < LOW_C ? LOW : LOW_C;
    localparam MOST   = HIGH > HIGH_C ? HIGH : HIGH_C;
    localparam LOWEST = LEAST < FLOOR ? LEAST : FLOOR;
    localparam X_W    = $clog2(MOST + 1 > -LOWEST ? MOST + 1 : -LOWEST) + 1;
    localparam S_W    = $clog2(MOST - LEAST + 1);
    localparam U_W    = X_W + 1;

    /* verilator lint_off WIDTH */
    integer k;
    reg signed [X_W-1:0] top, exp_c;
    reg signed [X_W-1:0] exponent[0:L-1];
    reg [FRAC+1:0]       size[0:L-1];
    reg [L-1:0]          minus;
    reg                  a_zero, a_last, a_inf, b_zero, b_last, b_inf, c_last, c_frac;
    reg                  is_nan, plus_inf, minus_inf;
    reg [A_W-1:0]        x;
    reg [B_W-1:0]        y;
    reg [S_W-1:0]        shift;
    reg [F+1:0]          placed;
    reg [F:0]            placed_c;
    reg signed [W-1:0]   sum;
    reg signed [U_W-1:0] unit;

    always @* begin
        // what each product is: its exact significand, its exponent, its sign; a subnormal has the least exponent
        c_last    = &c[CM+:CE];
        c_frac    = |c[CM-1:0];
        exp_c     = $signed({1'b0, c[CM+1+:CE-1], c[CM] | c[CM+:CE] == 0}) - BIAS_C;
        is_nan    = c_last & c_frac;
        plus_inf  = c_last & ~c_frac & ~c[CE+CM];
        minus_inf = c_last & ~c_frac & c[CE+CM];
        top       = c[CE+CM-1:0] == 0 || FLOOR > LOW_C && exp_c < FLOOR ? FLOOR : exp_c;
        for (k = 0; k < L; k = k + 1) begin
            x      = a[k*A_W+:A_W];
            y      = b[k*B_W+:B_W];
            a_zero = x[EA+MA-1:0] == 0;
            b_zero = y[EB+MB-1:0] == 0;
            a_last = NAN_A == 2 ? &x[MA+:EA] : NAN_A == 1 ? &x[EA+MA-1:0] : 1'b0;
            b_last = NAN_B == 2 ? &y[MB+:EB] : NAN_B == 1 ? &y[EB+MB-1:0] : 1'b0;
            a_inf  = NAN_A == 2 ? a_last & ~|x[MA-1:0] : 1'b0;
            b_inf  = NAN_B == 2 ? b_last & ~|y[MB-1:0] : 1'b0;

            minus[k]    = x[A_W-1] ^ y[B_W-1];
            exponent[k] = {x[MA+1+:EA-1], x[MA] | x[MA+:EA] == 0} + {y[MB+1+:EB-1], y[MB] | y[MB+:EB] == 0} - BIASES;
            size[k]     = {x[MA+:EA] != 0, x[MA-1:0]} * {y[MB+:EB] != 0, y[MB-1:0]};
            is_nan      = is_nan | (a_last & ~a_inf) | (b_last & ~b_inf) | (a_inf & b_zero) | (b_inf & a_zero);
            plus_inf    = plus_inf | (a_inf | b_inf) & ~minus[k];
            minus_inf   = minus_inf | (a_inf | b_inf) & minus[k];
            if (!a_zero && !b_zero && exponent[k] > top) top = exponent[k];
        end

        // aligned to the largest exponent, cut toward zero, added; what is 0 stays 0 however far it is shifted, and sums
        // with an infinity or a NaN in them are not looked at
        shift    = top - exp_c;
        placed_c = {c[CM+:CE] != 0, c[CM-1:0], {PAD_C{1'b0}}} >> CUT_C;
        placed_c = placed_c >> shift;
        sum      = c[CE+CM] ? -$signed({1'b0, placed_c}) : $signed({1'b0, placed_c});
        for (k = 0; k < L; k = k + 1) begin
            shift  = top - exponent[k];
            placed = {size[k], {PAD{1'b0}}} >> CUT;
            placed = placed >> shift;
            sum    = minus[k] ? sum - placed : sum + placed;
        end
        unit = top - F;
    end
    /* verilator lint_on WIDTH */

    wire [CE+CM:0] rounded;

    round_float #(
        .W      (W),
        .U_W    (U_W),
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
