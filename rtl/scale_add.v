// scale_add: block scaling. d = c + dot[0] sa[0] sb[0] + .. , for TERMS exact dot products of scaled elements and the scales
// of their blocks, as FP4 tensor cores form it: each term is multiplied exactly by both significands; all are aligned to
// the largest sum of scale exponents (or c's exponent, or FLOOR), cut toward zero at F bits below it, added exactly and
// cut to FP32. Combinational (latency 0). dot[k]: D_W signed bits in units of 2**-LSB, above -2**(D_W-1); any[k]: some product
// in it is not zero (a term without one takes no part in the alignment; a sum of 0 by cancellation does); sa[k], sb[k]: 8-bit codes
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
        if (F < LSB + 2 * SM || FLOOR < -255 || FLOOR > 127) begin : g_coarse
            scale_add_needs_F_of_LSB_plus_2_SM_or_more_and_FLOOR_of_minus_255_to_127 impossible ();
        end
    endgenerate

    localparam BITS   = SE + SM;
    localparam BIASES = (1 << SE) - 2;               // of both scales
    localparam PAD    = F - LSB - 2 * SM;            // from units of a term to those of the sum
    localparam PAD_C  = F > 23 ? F - 23 : 0;
    localparam CUT_C  = F > 23 ? 0 : 23 - F;
    localparam SIG_W  = SM == 0 ? 1 : 2 * SM + 2;    // of both significands, multiplied
    localparam T_W    = D_W - 1 + SIG_W + PAD;       // sizes of a term and of c, in units of the sum
    localparam C_W    = 24 + PAD_C - CUT_C;
    localparam W      = (T_W > C_W ? T_W : C_W) + $clog2(TERMS + 1) + 1;
    localparam [31:0] NAN = 32'h7fffffff;

    // exponents: of terms LOW to HIGH, of c -126 to 128; shifts are what the largest is above the least
    localparam LOW    = (SM == 0 ? 0 : 2) - BIASES;
    localparam HIGH   = (2 << SE) - 2 - BIASES;
    localparam LEAST  = LOW < -126 ? LOW : -126;
    localparam MOST   = HIGH > 128 ? HIGH : 128;
    localparam X_W    = $clog2(MOST + 1 > 1 - FLOOR ? MOST + 1 : 1 - FLOOR) + 1;
    localparam S_W    = $clog2(MOST - LEAST + 1);
    localparam U_W    = X_W + 1;

    /* verilator lint_off WIDTH */
    integer k;
    reg signed [X_W-1:0] top, exp_c;
    reg signed [X_W-1:0] exponent[0:TERMS-1];
    reg [D_W-1+SIG_W-1:0] size[0:TERMS-1];
    reg [TERMS-1:0]      minus;
    reg [S_W-1:0]        shift;
    reg [T_W-1:0]        placed;
    reg [C_W-1:0]        placed_c;
    reg signed [W-1:0]   sum;
    reg signed [U_W-1:0] unit;
    reg [BITS-1:0]       x, y;
    reg [SE-1:0]         exp_x, exp_y;
    reg [SM:0]           sig_x, sig_y;
    reg [SIG_W-1:0]      both;
    reg [D_W-2:0]        part;
    reg                  is_nan, c_last;

    always @* begin
        c_last = &c[30:23];
        is_nan = c_last & |c[22:0];
        // a subnormal c has the exponent of the smallest normal number
        exp_c  = $signed({1'b0, c[30:24], c[23] | c[30:23] == 0}) - 127;
        top    = c[30:0] == 0 || FLOOR > -126 && exp_c < FLOOR ? FLOOR : exp_c;
        {sum, shift, placed, placed_c, x, y, exp_x, exp_y, sig_x, sig_y, both, part, minus} = 0;
        for (k = 0; k < TERMS; k = k + 1) begin
            size[k]     = 0;
            exponent[k] = 0;
        end
        if (enable) begin
            for (k = 0; k < TERMS; k = k + 1) begin
                x     = sa[k*8+:BITS];
                y     = sb[k*8+:BITS];
                exp_x = x[SM+:SE];
                exp_y = y[SM+:SE];
                sig_x = x[SM:0];
                sig_y = y[SM:0];
                // without mantissa bits (E8M0) there is neither zero nor subnormal
                sig_x[SM] = SM == 0 || exp_x != 0;
                sig_y[SM] = SM == 0 || exp_y != 0;
                if (SM != 0 && exp_x == 0) exp_x = 1;
                if (SM != 0 && exp_y == 0) exp_y = 1;
                is_nan = is_nan | &x | &y;

                both        = sig_x * sig_y;
                minus[k]    = dot[k*D_W+D_W-1];
                part        = minus[k] ? -dot[k*D_W+:D_W-1] : dot[k*D_W+:D_W-1];
                size[k]     = part * both;
                exponent[k] = exp_x + exp_y - BIASES;
                if (any[k] && both != 0 && exponent[k] > top) top = exponent[k];
            end

            // aligned, cut toward zero, added; what is 0 stays 0 however far it is shifted
            shift    = top - exp_c;
            placed_c = {c[30:23] != 0, c[22:0]} << PAD_C >> CUT_C;
            placed_c = placed_c >> shift;
            sum      = c[31] ? -$signed({1'b0, placed_c}) : $signed({1'b0, placed_c});
            for (k = 0; k < TERMS; k = k + 1) begin
                shift  = top - exponent[k];
                placed = {size[k], {PAD{1'b0}}} >> shift;
                sum    = minus[k] ? sum - placed : sum + placed;
            end
        end
        unit = top - F;
    end
    /* verilator lint_on WIDTH */

    wire [31:0] rounded;

    round_float #(
        .W      (W),
        .U_W    (U_W),
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
