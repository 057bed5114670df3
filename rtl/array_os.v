// array_os: output-stationary systolic array of ROWS x COLS processing elements, D = A * W, with skew inside, so that
// every port carries whole rows or columns. All inputs are taken on a rising clock edge.
//
//   stream   k_valid, a_col, w_row: for one k, ROWS activations A[.,k], row i in bits [i*A_W +: A_W], and COLS weights
//            W[k,.], column j in bits [j*W_W +: W_W]. One k a cycle; cycles with k_valid low are gaps. k_first marks the
//            first k of a tile, where sums start from zero; k_last the last, after which the array drains by itself.
//            Sums run in the order of k. A next tile may begin in the cycle that shows the last result row.
//   results  valid_out, psum_out: COLS sums, column j in bits [j*ACC_W +: ACC_W]; result row ROWS-1 comes first, then
//            ROWS-2, down to 0, one a cycle, the first of them ROWS+COLS cycles after k_last.
//   rst      synchronous, one cycle is enough: drops the tile in flight.
//
// A tile, first k presented to last result row visible, takes 2*ROWS + COLS + K - 2 cycles without gaps. Parameters:
// ROWS, COLS at least 1; ACC_W, SATURATE as in accumulator; MUL, A_W, W_W, P_W as in mul; anything else stops elaboration.

`default_nettype none

module array_os #(
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
    input  wire                  k_valid,
    input  wire                  k_first,
    input  wire                  k_last,
    input  wire [ROWS*A_W-1:0]   a_col,
    input  wire [COLS*W_W-1:0]   w_row,
    output reg                   valid_out,
    output reg  [COLS*ACC_W-1:0] psum_out
);

    // an instance of a module that does not exist stops elaboration
    generate
        if (ROWS < 1 || COLS < 1) begin : g_impossible
            array_os_needs_ROWS_COLS_of_1_or_more impossible ();
        end
    endgenerate

    localparam LANE_W = A_W + 2;  // an activation travels with its valid bit and the mark of a first k

    // the last element has its sum ROWS+COLS-1 cycles after the last k; ROWS rows then leave through the bottom
    wire            full;
    reg  [ROWS-1:0] leaving;  // one bit, which goes down with the rows
    wire [ROWS:0]   next  = {full, leaving};
    wire            drain = |leaving;
    wire            unused_end = next[0];

    delay #(.CYCLES(ROWS + COLS - 2), .WIDTH(1)) finished (.clk(clk), .rst(rst), .in(k_valid & k_last), .out(full));

    always @(posedge clk) begin
        valid_out <= drain & ~rst;
        leaving   <= rst ? {ROWS{1'b0}} : next[ROWS:1];
    end

    genvar r, c;
    generate
        for (r = 0; r < ROWS; r = r + 1) begin : g_skew_a
            wire [LANE_W-1:0] lane;
            delay #(.CYCLES(r), .WIDTH(LANE_W)) d (
                .clk(clk), .rst(rst), .in({k_valid, k_first, a_col[r*A_W+:A_W]}), .out(lane)
            );
        end

        for (c = 0; c < COLS; c = c + 1) begin : g_skew_w
            wire [W_W-1:0] lane;
            delay #(.CYCLES(c), .WIDTH(W_W)) d (.clk(clk), .rst(rst), .in(w_row[c*W_W+:W_W]), .out(lane));
        end

        for (r = 0; r < ROWS; r = r + 1) begin : g_row
            for (c = 0; c < COLS; c = c + 1) begin : g_col
                wire             valid_in, first_in, valid_next, first_next;
                wire [A_W-1:0]   a_in, a_next;
                wire [W_W-1:0]   w_in, w_next;
                wire [ACC_W-1:0] above, sum;

                if (c == 0) begin : g_left
                    assign {valid_in, first_in, a_in} = g_skew_a[r].lane;
                end else begin : g_inner
                    assign valid_in = g_row[r].g_col[c-1].valid_next;
                    assign first_in = g_row[r].g_col[c-1].first_next;
                    assign a_in     = g_row[r].g_col[c-1].a_next;
                end

                if (r == 0) begin : g_top
                    assign w_in  = g_skew_w[c].lane;
                    assign above = {ACC_W{1'b0}};
                end else begin : g_below
                    assign w_in  = g_row[r-1].g_col[c].w_next;
                    assign above = g_row[r-1].g_col[c].sum;
                end

                pe_os #(
                    .MUL     (MUL),
                    .A_W     (A_W),
                    .W_W     (W_W),
                    .P_W     (P_W),
                    .ACC_W   (ACC_W),
                    .SATURATE(SATURATE)
                ) pe (
                    .clk      (clk),
                    .rst      (rst),
                    .drain    (drain),
                    .valid_in (valid_in),
                    .first_in (first_in),
                    .a_in     (a_in),
                    .w_in     (w_in),
                    .sum_above(above),
                    .valid_out(valid_next),
                    .first_out(first_next),
                    .a_out    (a_next),
                    .w_out    (w_next),
                    .sum      (sum)
                );

                if (c == COLS - 1) begin : g_right
                    wire unused = &{valid_next, first_next, a_next};
                end
                if (r == ROWS - 1) begin : g_bottom
                    wire unused = &w_next;
                    always @(posedge clk) psum_out[c*ACC_W+:ACC_W] <= sum;
                end
            end
        end
    endgenerate

endmodule

`default_nettype wire
