// round_float: a sum in fixed point becomes a floating-point number, rounded once: d = round(sum * 2**unit). Combinational
// (latency 0). sum: W signed bits; unit: the exponent of its lowest bit, signed; d: a sign, CE exponent and CM mantissa
// bits. A zero is +0; what is too large is infinite; what is below the smallest normal number is subnormal. Parameters: W,
// at least 2; CE, at least 2; CM; DM, mantissa bits that d keeps, 1 to CM, those below being 0; NEAREST, 0 to cut toward
// zero, 1 to round to nearest even; anything else stops elaboration.

`default_nettype none

module round_float #(
    parameter W       = 28,
    parameter CE      = 8,
    parameter CM      = 23,
    parameter DM      = 23,
    parameter NEAREST = 0
) (
    input  wire signed [W-1:0]   sum,
    input  wire signed [15:0]    unit,
    output reg         [CE+CM:0] d
);

    // an instance of a module that does not exist stops elaboration
    generate
        if (W < 2 || CE < 2 || DM < 1 || DM > CM) begin : g_impossible
            round_float_needs_W_CE_of_2_or_more_and_DM_of_1_to_CM impossible ();
        end
        if (NEAREST != 0 && NEAREST != 1) begin : g_rounding
            round_float_needs_NEAREST_0_or_1 impossible ();
        end
    endgenerate

    localparam BIAS  = (1 << (CE - 1)) - 1;
    localparam LEAST = 1 - BIAS;       // exponent of the smallest normal d
    localparam LAST  = (1 << CE) - 1;  // exponent field of what is not a number
    localparam R_W   = W + DM + 2;     // of the sum as it is rounded

    /* verilator lint_off WIDTH */
    integer k, lead, exponent, shift;
    reg [W-1:0]     magnitude;
    reg [R_W-1:0]   low;
    /* verilator lint_off UNUSEDSIGNAL */
    reg [R_W-1:0]   scaled;  // has no bits above DM: the leading one is there or below
    /* verilator lint_on UNUSEDSIGNAL */
    reg [CE+DM:0]   rounded;

    always @* begin
        magnitude = sum < 0 ? -sum : sum;
        lead      = 0;
        exponent  = LEAST;
        shift     = 0;
        low       = 0;
        scaled    = 0;
        rounded   = 0;
        d         = 0;
        if (magnitude != 0) begin  // a zero needs none of this, and nothing in it switches
            for (k = 0; k < W; k = k + 1) if (magnitude[k]) lead = k;
            exponent = unit + lead < LEAST ? LEAST : unit + lead;
            shift = exponent - DM - unit;  // the last bit kept, in bits of the sum
            low   = {{(R_W - W) {1'b0}}, magnitude};
            if (shift <= 0) begin
                scaled = low << -shift;
                low    = 0;
            end else if (shift > W) begin
                scaled = 0;
                low    = low != 0;  // less than half of the last bit: only that it is there counts
            end else begin
                scaled = low >> shift;
                low    = low << (R_W - shift);
            end
            rounded = scaled[DM:0];
            if (NEAREST == 1 && low[R_W-1] && (scaled[0] || low[R_W-2:0] != 0)) rounded = rounded + 1;
            rounded = rounded + ((exponent + BIAS - 1) << DM);

            if (exponent > BIAS || rounded >> DM >= LAST) d = {sum < 0, {CE{1'b1}}, {CM{1'b0}}};
            else if (rounded != 0)
                d = {sum < 0, {CM{1'b0}}, rounded[CE+DM-1:0]} << (CM - DM) | {sum < 0, {(CE + CM) {1'b0}}};
        end
    end
    /* verilator lint_on WIDTH */

endmodule

`default_nettype wire
