// zero_point: zero-point correction. What an array of codes must start from, so that its sums are those of numbers less
// their zero points: start[j] = bias[j] - za sum_k w[k,j] - zw[j] sum_k a[k] + depth za zw[j], since that and sum_k a[k]
// w[k,j] make bias[j] + sum_k (a[k] - za)(w[k,j] - zw[j]). It watches the weights on their way into array_ws: on a rising
// edge with w_valid high it adds w_row to its column sums, with w_first it starts them again. start follows a_row without
// a clock edge (latency 0) and goes to psum_in; each fold of K corrects its own part, and only the first has a bias.
// depth: rows of the fold that hold numbers, the others being filled with code 0. Column j is in lane j; za and zw are
// signed, Z_W bits; sums wrap. Parameters: ROWS, COLS at least 1; A_W, W_W, ACC_W, Z_W, widths; A_SIGNED, W_SIGNED, 1 for
// two's complement codes, 0 for unsigned ones; an ACC_W below A_W + W_W + Z_W stops elaboration, as anything else does.

`default_nettype none

module zero_point #(
    parameter ROWS     = 16,
    parameter COLS     = 16,
    parameter A_W      = 4,
    parameter W_W      = 4,
    parameter Z_W      = 5,
    parameter ACC_W    = 32,
    parameter A_SIGNED = 0,
    parameter W_SIGNED = 1
) (
    input  wire                      clk,
    input  wire                      w_valid,
    input  wire                      w_first,
    input  wire [COLS*W_W-1:0]       w_row,
    input  wire [ROWS*A_W-1:0]       a_row,
    input  wire signed [Z_W-1:0]     za,
    input  wire [COLS*Z_W-1:0]       zw,
    input  wire [$clog2(ROWS+1)-1:0] depth,
    input  wire [COLS*ACC_W-1:0]     bias,
    output wire [COLS*ACC_W-1:0]     start
);

    // an instance of a module that does not exist stops elaboration
    generate
        if (ROWS < 1 || COLS < 1 || ACC_W < A_W + W_W + Z_W) begin : g_impossible
            zero_point_needs_ROWS_COLS_of_1_or_more_and_ACC_W_of_A_W_W_W_Z_W_or_more impossible ();
        end
        if (A_SIGNED < 0 || A_SIGNED > 1 || W_SIGNED < 0 || W_SIGNED > 1) begin : g_unknown
            zero_point_needs_A_SIGNED_W_SIGNED_0_or_1 impossible ();
        end
    endgenerate

    integer k;
    reg signed [ACC_W-1:0] row_sum;
    wire signed [ACC_W-1:0] offset = {{(ACC_W - Z_W) {za[Z_W-1]}}, za};
    wire signed [ACC_W-1:0] filled = {{(ACC_W - $clog2(ROWS + 1)) {1'b0}}, depth};

    always @* begin
        row_sum = {ACC_W{1'b0}};
        for (k = 0; k < ROWS; k = k + 1)
            row_sum = row_sum + {{(ACC_W - A_W) {A_SIGNED == 1 && a_row[k*A_W+A_W-1]}}, a_row[k*A_W+:A_W]};
    end

    genvar c;
    generate
        for (c = 0; c < COLS; c = c + 1) begin : g_col
            wire [W_W-1:0]          code = w_row[c*W_W+:W_W];
            wire signed [ACC_W-1:0] w = {{(ACC_W - W_W) {W_SIGNED == 1 && code[W_W-1]}}, code};
            wire signed [ACC_W-1:0] z = {{(ACC_W - Z_W) {zw[c*Z_W+Z_W-1]}}, zw[c*Z_W+:Z_W]};
            reg signed [ACC_W-1:0]  sum;

            always @(posedge clk) if (w_valid) sum <= w_first ? w : sum + w;

            assign start[c*ACC_W+:ACC_W] =
                $signed(bias[c*ACC_W+:ACC_W]) - offset * sum - z * (row_sum - filled * offset);
        end
    endgenerate

endmodule

`default_nettype wire
