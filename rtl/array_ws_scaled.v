// array_ws_scaled: weight-stationary array with block scales, D = C + (A sa) * (W sw): the array of array_ws with ROWS rows
// as one block along K, exact sums inside it, and a scale_add below each column that multiplies a finished block by its
// two scales and adds it to an FP32 sum. Ports and times are those of array_ws, and further:
//
//   w_scale  with w_row: COLS scale codes, column j in bits [j*8 +: 8]; those of the last weight row presented count.
//   a_scale  with a_row: the scale code of that row's block.
//   psum_in, psum_out  are FP32: what earlier blocks of K added up to enters with the row and meets it below the array.
//
// A block whose products are all zero takes no part in the alignment, so each column keeps which of its weights are not
// zero. A fold takes 2*ROWS + COLS + M - 2 cycles. Parameters: ROWS, the block size; COLS; MUL, A_W, W_W, P_W as in mul, of
// a format of a sign above its magnitude; LSB, F, FLOOR, SE, SM as in scale_add; what those refuse stops elaboration.

`default_nettype none

module array_ws_scaled #(
    parameter ROWS  = 16,
    parameter COLS  = 16,
    parameter [127:0] MUL = "e2m1",
    parameter A_W   = 4,
    parameter W_W   = 4,
    parameter P_W   = 9,
    parameter LSB   = 2,
    parameter F     = 25,
    parameter integer FLOOR = -133,
    parameter SE    = 4,
    parameter SM    = 3
) (
    input  wire                clk,
    input  wire                rst,
    input  wire                w_valid,
    input  wire [COLS*W_W-1:0] w_row,
    input  wire [COLS*8-1:0]   w_scale,
    input  wire                a_valid,
    input  wire [ROWS*A_W-1:0] a_row,
    input  wire [7:0]          a_scale,
    input  wire [COLS*32-1:0]  psum_in,
    output wire                valid_out,
    output wire [COLS*32-1:0]  psum_out
);

    localparam D_W  = P_W + $clog2(ROWS);
    localparam WAIT = ROWS + COLS - 1;

    wire [COLS*D_W-1:0] dots;
    wire [ROWS-1:0]     counts_in, counts;
    wire [7:0]          scale;
    wire [COLS*32-1:0]  sums;
    reg  [COLS*8-1:0]   scales;

    array_ws #(
        .ROWS    (ROWS),
        .COLS    (COLS),
        .ACC_W   (D_W),
        .MUL     (MUL),
        .A_W     (A_W),
        .W_W     (W_W),
        .P_W     (P_W),
        .SATURATE(0)
    ) array (
        .clk      (clk),
        .rst      (rst),
        .w_valid  (w_valid),
        .w_row    (w_row),
        .a_valid  (a_valid),
        .a_row    (a_row),
        .psum_in  ({COLS * D_W{1'b0}}),
        .valid_out(valid_out),
        .psum_out (dots)
    );

    delay #(
        .CYCLES(WAIT),
        .WIDTH (ROWS + 8 + COLS * 32)
    ) waiting (
        .clk(clk),
        .rst(rst),
        .in ({counts_in, a_scale, psum_in}),
        .out({counts, scale, sums})
    );

    always @(posedge clk) if (w_valid) scales <= w_scale;

    genvar r, c;
    generate
        for (r = 0; r < ROWS; r = r + 1) begin : g_row
            assign counts_in[r] = |a_row[r*A_W+:A_W-1];
        end

        for (c = 0; c < COLS; c = c + 1) begin : g_col
            wire            arrives = |w_row[c*W_W+:W_W-1];
            wire [ROWS-1:0] held;

            // the row for array row ROWS-1 comes first, as in the array
            if (ROWS == 1) begin : g_one
                reg last;
                always @(posedge clk) if (w_valid) last <= arrives;
                assign held = last;
            end else begin : g_chain
                reg [ROWS-1:0] chain;
                always @(posedge clk) if (w_valid) chain <= {chain[ROWS-2:0], arrives};
                assign held = chain;
            end

            scale_add #(
                .TERMS(1),
                .D_W  (D_W),
                .LSB  (LSB),
                .F    (F),
                .FLOOR(FLOOR),
                .SE   (SE),
                .SM   (SM)
            ) scaling (
                .enable(valid_out),
                .dot(dots[c*D_W+:D_W]),
                .any(|(held & counts)),
                .sa (scale),
                .sb (scales[c*8+:8]),
                .c  (sums[c*32+:32]),
                .d  (psum_out[c*32+:32])
            );
        end
    endgenerate

endmodule

`default_nettype wire
