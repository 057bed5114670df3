// round_float: a sum in fixed point becomes a floating-point number, rounded once: d = round(sum * 2**unit). Combinational
// (latency 0). sum: W signed bits; unit: the exponent of its lowest bit, U_W signed bits; d: a sign, CE exponent and CM
// mantissa bits. A zero is +0; what is too large is infinite; what is below the smallest normal number is subnormal.
// Parameters: W, U_W, CE, at least 2; CM; DM, mantissa bits that d keeps, 1 to CM, those below being 0; NEAREST, 0 to cut
// toward zero, 1 to round to nearest even; anything else stops elaboration.

`default_nettype none

module round_float #(
    parameter W       = 28,
    parameter U_W     = 16,
    parameter CE      = 8,
    parameter CM      = 23,
    parameter DM      = 23,
    parameter NEAREST = 0
) (
    input  wire signed [W-1:0]   sum,
    input  wire signed [U_W-1:0] unit,
    output wire        [CE+CM:0] d
);

    // an instance of a module that does not exist stops elaboration
    generate
        if (W < 2 || U_W < 2 || CE < 2 || DM < 1 || DM > CM) begin : g_impossible
            round_float_needs_W_U_W_CE_of_2_or_more_and_DM_of_1_to_CM impossible ();
        end
        if (NEAREST != 0 && NEAREST != 1) begin : g_rounding
            round_float_needs_NEAREST_0_or_1 impossible ();
        end
    endgenerate

    localparam BIAS = (1 << (CE - 1)) - 1;
    localparam LOG  = $clog2(W);
    localparam K_W  = DM + 2;           // what d keeps of a sum with its leading one on top, and the bit below
    localparam S_W  = $clog2(K_W + 1);  // counts the places that such a sum goes down, as a subnormal d
    localparam X_W  = W > K_W ? W : K_W;
    localparam C_W  = CE > S_W ? CE : S_W;
    localparam M_W  = LOG > C_W ? LOG : C_W;
    localparam E_W  = (U_W > M_W ? U_W : M_W + 1) + 1;  // of the exponent of the leading one

    // the leading one goes to the top: by 2**k places in step k, where as many bits on top are 0
    wire [W-1:0]   magnitude = sum < 0 ? -sum : sum;
    wire [LOG-1:0] zeros;
    genvar k;
    generate
        for (k = LOG - 1; k >= 0; k = k - 1) begin : g_step
            wire [W-1:0] from, moved;
            if (k == LOG - 1) begin : g_first
                assign from = magnitude;
            end else begin : g_next
                assign from = g_step[k+1].moved;
            end
            assign zeros[k] = ~|from[W-1-:(1<<k)];
            assign moved    = zeros[k] ? {from[W-(1<<k)-1:0], {(1 << k) {1'b0}}} : from;
        end
    endgenerate

    wire [X_W-1:0] top;
    wire           tail;  // something is below the bits kept
    wire           any = top[X_W-1];
    generate
        if (W > K_W) begin : g_long
            assign top  = g_step[0].moved;
            assign tail = |top[X_W-K_W-1:0];
        end else begin : g_short
            assign top  = g_step[0].moved << (X_W - W);
            assign tail = 1'b0;
        end
    endgenerate

    /* verilator lint_off WIDTH */
    localparam signed [E_W-1:0] MOST = BIAS, LEAST = 1 - BIAS, VANISHED = LEAST - K_W, TOP = W - 1;
    localparam [S_W-1:0] ALL  = K_W;
    localparam [CE-1:0]  LESS = BIAS - 1;
    wire signed [E_W-1:0] exponent = unit + TOP - $signed({1'b0, zeros});
    wire               tiny     = exponent < LEAST;
    wire [S_W-1:0]     short    = LEAST[S_W-1:0] - exponent[S_W-1:0];
    wire [S_W-1:0]     down     = !tiny ? 0 : exponent < VANISHED ? ALL : short;
    wire [2*K_W-1:0]   placed   = {top[X_W-1-:K_W], {K_W{1'b0}}} >> down;
    wire [DM:0]        kept     = placed[2*K_W-1-:DM+1];
    wire               half     = placed[K_W];
    wire               below    = tail | |placed[K_W-1:0];
    wire               up       = NEAREST == 1 && half && (kept[0] || below);

    // the leading one of a normal number adds 1 to its exponent's field, and so does a carry out of its mantissa
    wire [CE-1:0]    field   = tiny || !any ? 0 : exponent[CE-1:0] + LESS;
    wire [CE+DM-1:0] rounded = {field, {DM{1'b0}}} + kept + up;
    /* verilator lint_on WIDTH */

    wire minus = sum < 0;
    assign d = any && exponent > MOST ? {minus, {CE{1'b1}}, {CM{1'b0}}} :
        {minus && rounded != 0, rounded, {(CM - DM) {1'b0}}};

endmodule

`default_nettype wire
