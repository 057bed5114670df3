// tile_controller: runs tiles through array_ws or array_ws_scaled fold by fold, and keeps the sums of a tile between folds
// of K. A fold is ROWS weight rows, then M activation rows (1 to DEPTH), with any gaps. Rows are taken in a cycle in which
// they are offered and ready is high.
//
//   weights      w_offered, w_last -> w_ready; taken ones go to the array in the same cycle (w_valid).
//   activations  a_offered, a_first, a_emit, a_last -> a_ready, a_valid. a_first: the tile's first fold, sums start from 0,
//                else from what the fold before left; a_emit: its last fold, sums leave as results, else they stay. Both
//                hold for the whole fold; a_last marks its last row.
//   array        psum_in with a_valid; valid_out, psum_out come back, once for each row sent.
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
    localparam ROWS_LOG  = ROWS > 1 ? $clog2(ROWS) : 1;
    localparam DEPTH_LOG = DEPTH > 1 ? $clog2(DEPTH) : 1;
    localparam COUNT_W   = $clog2(DEPTH + 1);

    /* verilator lint_off WIDTH */
    localparam [ROWS_LOG-1:0] LAST_ROW = ROWS - 1;
    localparam [COUNT_W-1:0]  FULL     = DEPTH;
    /* verilator lint_on WIDTH */

    reg [1:0]            state;
    reg                  emit;
    reg [ROWS_LOG-1:0]   loaded;        // weight rows of this fold
    reg [COUNT_W-1:0]    sent, rows;    // activation rows of this fold, and of the tile's first
    reg [DEPTH_LOG-1:0]  shown;         // rows of this fold that came back
    reg [QUEUE_LOG-1:0]  flying;        // rows in the array
    reg [COLS*ACC_W-1:0] partial[0:DEPTH-1];
    reg [COLS*ACC_W:0]   queue[0:QUEUE-1];
    reg [QUEUE_LOG-1:0]  head, tail;
    reg [QUEUE_LOG:0]    held;

    // the array takes the first weight row in the cycle in which it shows the last row
    wire ends   = state == DRAIN && valid_out && flying == 1;
    wire filled = loaded == LAST_ROW;
    wire room   = {1'b0, held} + {2'b00, flying} < QUEUE;
    wire push   = valid_out && emit;
    wire pull   = r_valid && r_ready;
    wire [COUNT_W-1:0] next = sent + 1'b1;

    assign w_ready = state == LOAD || ends;
    assign w_valid = w_offered && w_ready && !rst;
    assign a_ready = state == STREAM && (room || !a_emit);
    assign a_valid = a_offered && a_ready && !rst;
    assign psum_in = a_first ? {COLS * ACC_W{1'b0}} : partial[sent[DEPTH_LOG-1:0]];
    assign r_valid = held != 0;
    assign {r_last, r_row} = queue[head];

    always @(posedge clk) begin
        if (rst) begin
            state  <= LOAD;
            loaded <= {ROWS_LOG{1'b0}};
            flying <= {QUEUE_LOG{1'b0}};
            head   <= {QUEUE_LOG{1'b0}};
            tail   <= {QUEUE_LOG{1'b0}};
            held   <= {(QUEUE_LOG + 1) {1'b0}};
            error  <= 1'b0;
        end else begin
            if (ends) state <= LOAD;
            if (w_valid) begin
                if (w_last != filled) error <= 1'b1;
                loaded <= filled ? {ROWS_LOG{1'b0}} : loaded + 1'b1;
                if (filled) state <= STREAM;
            end
            if (a_valid) begin
                if (sent == FULL) error <= 1'b1;
                if (a_last) begin
                    state <= DRAIN;
                    if (!a_first && rows != next) error <= 1'b1;
                end
            end
            flying <= flying + {{(QUEUE_LOG - 1) {1'b0}}, a_valid} - {{(QUEUE_LOG - 1) {1'b0}}, valid_out};
            if (push) tail <= tail + 1'b1;
            if (pull) head <= head + 1'b1;
            held <= held + {{QUEUE_LOG{1'b0}}, push} - {{QUEUE_LOG{1'b0}}, pull};
        end
    end

    // what is written before it is read needs no reset
    always @(posedge clk) begin
        if (a_valid) begin
            emit <= a_emit;
            sent <= next;
            if (a_first && a_last) rows <= next;
        end
        if (valid_out) begin
            partial[shown] <= psum_out;
            shown          <= shown + 1'b1;
        end
        if (push) queue[tail] <= {ends, psum_out};
        if (w_valid && filled) begin
            sent  <= {COUNT_W{1'b0}};
            shown <= {DEPTH_LOG{1'b0}};
        end
    end

endmodule

`default_nettype wire
