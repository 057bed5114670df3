// dot_scaled: block-scaled dot product of FP4 operands, d = c + sum over k of a[k] sa[k / BLOCK] b[k] sb[k / BLOCK], as
// FP4 tensor cores form it: GROUP products are added exactly, then scaled, aligned and added by scale_add. Combinational
// (latency 0). Element k of a and b is in bits [k*(1+E+M) +: 1+E+M], scale j in bits [j*8 +: 8]; c and d are FP32. Special
// values as in scale_add. Parameters: L, products; GROUP, products that are summed exactly, a divisor of L and of BLOCK;
// BLOCK, elements that share a scale, a divisor of L; E, M, the elements' format (finite numbers only, as in mul_float);
// P_W, LSB, width and unit of a product; F, FLOOR, SE, SM as in scale_add; anything else stops elaboration.

`default_nettype none

module dot_scaled #(
    parameter L     = 64,
    parameter GROUP = 16,
    parameter BLOCK = 16,
    parameter E     = 2,
    parameter M     = 1,
    parameter P_W   = 9,
    parameter LSB   = 2,
    parameter F     = 35,
    parameter integer FLOOR = -139,
    parameter SE    = 4,
    parameter SM    = 3
) (
    input  wire [L*(1+E+M)-1:0] a,
    input  wire [L*(1+E+M)-1:0] b,
    input  wire [L/BLOCK*8-1:0] sa,
    input  wire [L/BLOCK*8-1:0] sb,
    input  wire [31:0]          c,
    output wire [31:0]          d
);

    // an instance of a module that does not exist stops elaboration
    generate
        if (GROUP < 1 || BLOCK < GROUP || L < BLOCK || L % BLOCK != 0 || BLOCK % GROUP != 0) begin : g_impossible
            dot_scaled_needs_L_a_multiple_of_BLOCK_and_BLOCK_of_GROUP impossible ();
        end
    endgenerate

    localparam A_W   = 1 + E + M;
    localparam TERMS = L / GROUP;
    localparam D_W   = P_W + $clog2(GROUP);

    wire [TERMS*D_W-1:0] dot;
    wire [TERMS-1:0]     any;
    wire [TERMS*8-1:0]   term_sa, term_sb;

    genvar g, k;
    generate
        for (g = 0; g < TERMS; g = g + 1) begin : g_term
            wire [GROUP*D_W-1:0] chain;
            wire [GROUP-1:0]     counts;
            for (k = 0; k < GROUP; k = k + 1) begin : g_product
                wire [A_W-1:0]        x = a[(g*GROUP+k)*A_W+:A_W];
                wire [A_W-1:0]        y = b[(g*GROUP+k)*A_W+:A_W];
                wire signed [P_W-1:0] p;
                wire                  special;
                wire                  unused = special;
                mul_float #(
                    .E  (E),
                    .M  (M),
                    .NAN(0),
                    .P_W(P_W)
                ) multiplier (
                    .a      (x),
                    .b      (y),
                    .p      (p),
                    .special(special)
                );
                assign counts[k] = |x[E+M-1:0] & |y[E+M-1:0];
                if (k == 0) begin : g_first
                    assign chain[0+:D_W] = {{(D_W - P_W) {p[P_W-1]}}, p};
                end else begin : g_next
                    assign chain[k*D_W+:D_W] = chain[(k-1)*D_W+:D_W] + {{(D_W - P_W) {p[P_W-1]}}, p};
                end
            end
            assign dot[g*D_W+:D_W]  = chain[(GROUP-1)*D_W+:D_W];
            assign any[g]           = |counts;
            assign term_sa[g*8+:8] = sa[g*GROUP/BLOCK*8+:8];
            assign term_sb[g*8+:8] = sb[g*GROUP/BLOCK*8+:8];
        end
    endgenerate

    scale_add #(
        .TERMS(TERMS),
        .D_W  (D_W),
        .LSB  (LSB),
        .F    (F),
        .FLOOR(FLOOR),
        .SE   (SE),
        .SM   (SM)
    ) scaling (
        .enable(1'b1),
        .dot(dot),
        .any(any),
        .sa (term_sa),
        .sb (term_sb),
        .c  (c),
        .d  (d)
    );

endmodule

`default_nettype wire
