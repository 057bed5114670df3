// scale_add: block scaling. d = c + dot[0] sa[0] sb[0] + .. , for TERMS exact dot products of scaled elements and the scales
// of their blocks, as FP4 tensor cores form it: each term is multiplied exactly by both significands; all are aligned to
// the largest sum of scale exponents (or c's exponent, or FLOOR), cut toward zero at F bits below it, added exactly and
// cut to FP32. Combinational (latency 0). dot[k]: D_W signed bits in units of 2**-LSB; any[k]: some product in it is not
// zero (a term without one takes no part in the alignment; a sum of 0 by cancellation does); sa[k], sb[k]: 8-bit codes
// of which the low SE+SM count: UE4M3 (NVFP4, SE 4, SM 3) or E8M0 (MX, SE 8, SM 0). A scale of all ones is NaN and makes
// d NaN; c and d are FP32; a zero d is +0, a NaN has all bits below the sign set. With enable low d means nothing, and none
// of the logic switches. Parameters: TERMS, D_W, F, SE at least 1;
// SE+SM at most 8; LSB, SM at least 0; F at least LSB + 2 SM; FLOOR; anything else stops elaboration.

`default_nettype none

module scale_add #(
    parameter TERMS = 1,
    parameter D_W   = 13,
    parameter LSB   = 2,
    parameter F     = 25,
    parameter integer FLOOR = -133,
    parameter SE    = 4,
    parameter SM    = 3
) (
    input  wire                 enable,
    input  wire [TERMS*D_W-1:0] dot,
    input  wire [TERMS-1:0]     any,
    input  wire [TERMS*8-1:0]   sa,
    input  wire [TERMS*8-1:0]   sb,
    input  wire [31:0]          c,
    output wire [31:0]          d
);

    // an instance of a module that does not exist stops elaboration
    generate
        if (TERMS < 1 || D_W < 2 || LSB < 0 || SE < 1 || SM < 0 || SE + SM > 8) begin : g_impossible
            scale_add_needs_TERMS_D_W_SE_of_1_or_more_and_SE_SM_of_8_bits_or_less impossible ();
        end
        if (F < LSB + 2 * SM) begin : g_coarse
            scale_add_needs_F_of_LSB_plus_2_SM_or_more impossible ();
        end
    endgenerate

    localparam BIAS   = (1 << (SE - 1)) - 1;
    localparam BITS   = SE + SM;
    localparam PAD    = F - LSB - 2 * SM;           // from units of a term to those of the sum
    localparam PAD_C  = F > 23 ? F - 23 : 0;
    localparam CUT_C  = F > 23 ? 0 : 23 - F;
    localparam T_W    = D_W + 2 * SM + 2 + PAD;     // of a term
    localparam C_W    = 24 + PAD_C;
    localparam W      = (T_W > C_W ? T_W : C_W) + $clog2(TERMS + 1) + 2;
    localparam [31:0] NAN = 32'h7fffffff;

    /* verilator lint_off WIDTH */
    integer k, top, shift, exp_c;
    integer exponent[0:TERMS-1];
    reg signed [W-1:0] term[0:TERMS-1];
    reg signed [W-1:0] sum;
    reg [W-1:0]        magnitude;
    reg [BITS-1:0]     x, y;
    reg [SE:0]         exp_x, exp_y;
    reg [SM:0]         sig_x, sig_y;
    reg                is_nan, c_zero, c_last;
    reg signed [15:0]  unit;
    reg signed [D_W-1:0] part;

    always @* begin
        c_zero = c[30:0] == 0;
        c_last = &c[30:23];
        exp_c  = c[30:23] == 0 ? -126 : c[30:23] - 127;
        is_nan = c_last & |c[22:0];
        top    = c_zero | c_last | exp_c < FLOOR ? FLOOR : exp_c;
        sum    = 0;
        shift  = 0;
        magnitude = 0;
        part   = 0;
        {x, y, exp_x, exp_y, sig_x, sig_y} = 0;
        for (k = 0; k < TERMS; k = k + 1) begin
            term[k]     = 0;
            exponent[k] = 0;
        end
        if (enable) begin
            for (k = 0; k < TERMS; k = k + 1) begin
                x     = sa[k*8+:BITS];
                y     = sb[k*8+:BITS];
                // without mantissa bits (E8M0) there is neither zero nor subnormal
                exp_x = x >> SM;
                exp_y = y >> SM;
                sig_x = SM == 0 ? 1 : exp_x == 0 ? x : {1'b1, {SM{1'b0}}} | (x & ((1 << SM) - 1));
                sig_y = SM == 0 ? 1 : exp_y == 0 ? y : {1'b1, {SM{1'b0}}} | (y & ((1 << SM) - 1));
                if (SM != 0 && exp_x == 0) exp_x = 1;
                if (SM != 0 && exp_y == 0) exp_y = 1;
                is_nan = is_nan | &x | &y;

                part        = dot[k*D_W+:D_W];
                exponent[k] = exp_x + exp_y;
                exponent[k] = exponent[k] - 2 * BIAS;
                term[k]     = part;
                term[k]     = term[k] * $signed({1'b0, sig_x}) * $signed({1'b0, sig_y});
                if (any[k] && sig_x != 0 && sig_y != 0 && exponent[k] > top) top = exponent[k];
            end

            // aligned, cut toward zero, added
            shift     = top - exp_c;
            magnitude = {c[30:23] != 0, c[22:0]};
            magnitude = c_last ? 0 : ((magnitude << PAD_C) >> CUT_C) >> shift;
            sum       = c[31] ? -magnitude : magnitude;
            for (k = 0; k < TERMS; k = k + 1) begin
                shift     = top - exponent[k];
                magnitude = term[k] < 0 ? -term[k] : term[k];
                magnitude = shift < 0 ? 0 : (magnitude << PAD) >> shift;  // below 0 only where the term is 0
                sum       = term[k] < 0 ? sum - magnitude : sum + magnitude;
            end
        end
        unit = top - F;
    end
    /* verilator lint_on WIDTH */

    wire [31:0] rounded;

    round_float #(
        .W      (W),
        .CE     (8),
        .CM     (23),
        .DM     (23),
        .NEAREST(0)
    ) result (
        .sum (sum),
        .unit(unit),
        .d   (rounded)
    );

    assign d = is_nan ? NAN : c_last ? c : rounded;

endmodule

`default_nettype wire
