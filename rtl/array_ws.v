// array_ws: weight-stationary systolic array of ROWS x COLS processing elements, D = C + A * W, with skew and deskew
// inside, so that every port carries whole rows. All inputs are taken on a rising clock edge.
//
//   weights  w_valid, w_row: COLS codes, column j in bits [j*W_W +: W_W]. The rows go down a shift chain: present the row
//            for array row ROWS-1 first and for array row 0 last, ROWS cycles in all. No row of activations may be in
//            flight meanwhile, save one whose result is visible in the cycle in which the first weight row is presented.
//   stream   a_valid, a_row: ROWS codes, array row i in bits [i*A_W +: A_W], and psum_in: COLS sums that enter at the top
//            (zero, a bias, or what an earlier fold of K produced). One row a cycle; cycles with a_valid low are gaps.
//            The sum of a column runs from the top: psum_in first, then rows 0, 1, .. ROWS-1.
//   results  valid_out, psum_out: COLS sums, column j in bits [j*ACC_W +: ACC_W]; rows leave in the order they came, each
//            ROWS+COLS-1 cycles after it entered. valid_out travels with the sums, through the same registers.
//   rst      synchronous, one cycle is enough: drops every row in flight; the weights are kept.
//
// A fold, first weight row presented to last result row visible, takes 2*ROWS + COLS + M - 2 cycles for M rows without
// gaps. Parameters: ROWS, COLS at least 1; ACC_W, SATURATE as in accumulator; MUL, A_W, W_W, P_W as in mul; anything else
// stops elaboration.

`default_nettype none

module array_ws #(
    parameter ROWS     = 16,
    parameter COLS     = 16,
    parameter ACC_W    = 32,
    parameter [127:0] MUL = "int4",
    parameter A_W      = 4,
    parameter W_W      = 4,
    parameter P_W      = 8,
    parameter SATURATE = 0
) (
    input  wire                  clk,
    input  wire                  rst,
    input  wire                  w_valid,
    input  wire [COLS*W_W-1:0]   w_row,
    input  wire                  a_valid,
    input  wire [ROWS*A_W-1:0]   a_row,
    input  wire [COLS*ACC_W-1:0] psum_in,
    output wire                  valid_out,
    output reg  [COLS*ACC_W-1:0] psum_out
);

    // an instance of a module that does not exist stops elaboration
    generate
        if (ROWS < 1 || COLS < 1) begin : g_impossible
            array_ws_needs_ROWS_COLS_of_1_or_more impossible ();
        end
    endgenerate

    localparam SUM_W = ACC_W + 1;  // a sum and its valid bit travel together

    wire [COLS-1:0] valid_column;
    assign valid_out = &valid_column;

    genvar r, c;
    generate
        for (r = 0; r < ROWS; r = r + 1) begin : g_skew_a
            wire [A_W-1:0] lane;
            delay #(.CYCLES(r), .WIDTH(A_W)) d (.clk(clk), .rst(rst), .in(a_row[r*A_W+:A_W]), .out(lane));
        end

        for (c = 0; c < COLS; c = c + 1) begin : g_skew_sum
            wire             valid;
            wire [ACC_W-1:0] sum;
            delay #(.CYCLES(c), .WIDTH(SUM_W)) d (
                .clk(clk), .rst(rst), .in({a_valid, psum_in[c*ACC_W+:ACC_W]}), .out({valid, sum})
            );
        end

        for (r = 0; r < ROWS; r = r + 1) begin : g_row
            for (c = 0; c < COLS; c = c + 1) begin : g_col
                wire [A_W-1:0]   a_in, a_out;
                wire [W_W-1:0]   w_in, w_out;
                wire [ACC_W-1:0] sum_in, sum_out;
                wire             valid_in, valid_sum;

                if (c == 0) begin : g_left
                    assign a_in = g_skew_a[r].lane;
                end else begin : g_inner
                    assign a_in = g_row[r].g_col[c-1].a_out;
                end

                if (r == 0) begin : g_top
                    assign w_in     = w_row[c*W_W+:W_W];
                    assign valid_in = g_skew_sum[c].valid;
                    assign sum_in   = g_skew_sum[c].sum;
                end else begin : g_below
                    assign w_in     = g_row[r-1].g_col[c].w_out;
                    assign valid_in = g_row[r-1].g_col[c].valid_sum;
                    assign sum_in   = g_row[r-1].g_col[c].sum_out;
                end

                pe_ws #(
                    .MUL     (MUL),
                    .A_W     (A_W),
                    .W_W     (W_W),
                    .P_W     (P_W),
                    .ACC_W   (ACC_W),
                    .SATURATE(SATURATE)
                ) pe (
                    .clk      (clk),
                    .rst      (rst),
                    .w_load   (w_valid),
                    .w_in     (w_in),
                    .w_out    (w_out),
                    .a_in     (a_in),
                    .a_out    (a_out),
                    .valid_in (valid_in),
                    .psum_in  (sum_in),
                    .valid_out(valid_sum),
                    .psum_out (sum_out)
                );

                if (c == COLS - 1) begin : g_right
                    wire [A_W-1:0] unused = a_out;
                end
            end
        end

        for (c = 0; c < COLS; c = c + 1) begin : g_deskew
            wire [W_W-1:0]   unused = g_row[ROWS-1].g_col[c].w_out;
            wire [ACC_W-1:0] sum;
            delay #(.CYCLES(COLS - 1 - c), .WIDTH(SUM_W)) d (
                .clk(clk),
                .rst(rst),
                .in({g_row[ROWS-1].g_col[c].valid_sum, g_row[ROWS-1].g_col[c].sum_out}),
                .out({valid_column[c], sum})
            );
            always @* psum_out[c*ACC_W+:ACC_W] = sum;
        end
    endgenerate

endmodule

`default_nettype wire
