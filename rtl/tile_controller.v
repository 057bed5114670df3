// tile_controller: runs tiles through array_ws or array_ws_scaled fold by fold, and keeps the sums of a tile between folds
// of K. A fold is ROWS weight rows, then M activation rows (1 to DEPTH), with any gaps. Rows are taken in a cycle in which
// they are offered and ready is high.
//
//   weights      w_offered, w_last -> w_ready; taken ones go to the array in the same cycle (w_valid).
//   activations  a_offered, a_first, a_emit, a_last -> a_ready, a_valid. a_first: the tile's first fold, sums start from 0,
//                else from what the fold before left; a_emit: its last fold, sums leave as results, else they stay. Both
//                hold for the whole fold; a_last marks its last row.
//   array        psum_in with a_valid; valid_out, psum_out come back.
//   results      r_valid, r_row, r_last (the tile's last row) -> r_ready, through a queue: one cycle after the array shows a
//                row. A row is taken only where the queue has room for what is on its way, so no result is ever lost.
//   error        until rst: w_last not with weight row ROWS, more than DEPTH rows, or a fold of another M than the first.
//   rst          synchronous, one cycle: drops the tile and whatever is queued.
//
// Without gaps F folds take F * (2*ROWS + COLS + M - 2) cycles from the first weight row to the last row shown. Parameters:
// ROWS, COLS of the array; ACC_W of a sum; DEPTH, rows of the memory for sums; one below 1 stops elaboration.

`default_nettype none

module tile_controller #(
    parameter ROWS  = 16,
    parameter COLS  = 16,
    parameter ACC_W = 32,
    parameter DEPTH = 256
) (
    input  wire                  clk,
    input  wire                  rst,
    input  wire                  w_offered,
    input  wire                  w_last,
    output wire                  w_ready,
    output wire                  w_valid,
    input  wire                  a_offered,
    input  wire                  a_first,
    input  wire                  a_emit,
    input  wire                  a_last,
    output wire                  a_ready,
    output wire                  a_valid,
    output wire [COLS*ACC_W-1:0] psum_in,
    input  wire                  valid_out,
    input  wire [COLS*ACC_W-1:0] psum_out,
    output wire                  r_valid,
    output wire                  r_last,
    output wire [COLS*ACC_W-1:0] r_row,
    input  wire                  r_ready,
    output reg                   error
);

    // an instance of a module that does not exist stops elaboration
    generate
        if (ROWS < 1 || COLS < 1 || ACC_W < 1 || DEPTH < 1) begin : g_impossible
            tile_controller_needs_ROWS_COLS_ACC_W_DEPTH_of_1_or_more impossible ();
        end
    endgenerate

    localparam [1:0] LOAD = 2'd0, STREAM = 2'd1, DRAIN = 2'd2;
    localparam QUEUE_LOG = $clog2(ROWS + COLS + 2);  // room for every row in flight, so that it never slows the array
    localparam QUEUE     = 1 << QUEUE_LOG;

    reg [1:0]            state;
    reg                  emit;
    reg [31:0]           loaded, sent, shown, rows, flying;
    reg [COLS*ACC_W-1:0] partial[0:DEPTH-1];
    reg [COLS*ACC_W:0]   queue[0:QUEUE-1];
    reg [QUEUE_LOG-1:0]  head, tail;
    reg [QUEUE_LOG:0]    held;

    // the array takes the first weight row in the cycle in which it shows the last row
    wire ends = state == DRAIN && valid_out && flying == 32'd1;
    wire room = {{(31 - QUEUE_LOG) {1'b0}}, held} + flying < QUEUE;
    wire push = valid_out && emit && flying != 32'd0;
    wire pull = r_valid && r_ready;

    assign w_ready = state == LOAD || ends;
    assign w_valid = w_offered && w_ready && !rst;
    assign a_ready = state == STREAM && (room || !a_emit);
    assign a_valid = a_offered && a_ready && !rst;
    assign psum_in = a_first ? {COLS * ACC_W{1'b0}} : partial[sent];
    assign r_valid = held != 0;
    assign {r_last, r_row} = queue[head];

    always @(posedge clk) begin
        if (rst) begin
            state  <= LOAD;
            emit   <= 1'b0;
            loaded <= 32'd0;
            sent   <= 32'd0;
            shown  <= 32'd0;
            flying <= 32'd0;
            head   <= {QUEUE_LOG{1'b0}};
            tail   <= {QUEUE_LOG{1'b0}};
            held   <= {(QUEUE_LOG + 1) {1'b0}};
            error  <= 1'b0;
        end else begin
            if (ends) begin
                state  <= LOAD;
                loaded <= 32'd0;
            end
            if (w_valid) begin
                if (w_last != ((ends ? 32'd0 : loaded) == ROWS - 1)) error <= 1'b1;
                loaded <= (ends ? 32'd0 : loaded) + 32'd1;
                if ((ends ? 32'd0 : loaded) == ROWS - 1) begin
                    state <= STREAM;
                    sent  <= 32'd0;
                    shown <= 32'd0;
                end
            end
            if (a_valid) begin
                emit <= a_emit;
                sent <= sent + 32'd1;
                if (sent >= DEPTH) error <= 1'b1;
                if (a_last) begin
                    state <= DRAIN;
                    if (a_first) rows <= sent + 32'd1;
                    else if (rows != sent + 32'd1) error <= 1'b1;
                end
            end
            if (valid_out && flying != 32'd0) begin
                partial[shown] <= psum_out;
                shown          <= shown + 32'd1;
            end
            flying <= flying + {31'd0, a_valid} - {31'd0, valid_out && flying != 32'd0};
            if (push) begin
                queue[tail] <= {ends, psum_out};
                tail        <= tail + 1'b1;
            end
            if (pull) head <= head + 1'b1;
            held <= held + {{QUEUE_LOG{1'b0}}, push} - {{QUEUE_LOG{1'b0}}, pull};
        end
    end

endmodule

`default_nettype wire
