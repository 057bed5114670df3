// tb_array_ws: streams a job from files through array_ws at the simulator's own speed (simulation only). A job is CHAINS
// chains of FOLDS folds of M rows: the first fold of a chain takes its psum_in from c.bin, each later one the rows that
// the fold before it produced, and the rows of the last one go to out.bin. A bench sets chains, folds and m, lets rst
// fall, and waits for done.
//
// It acts on falling edges: in the middle of a clock cycle it sees what the array shows in that cycle and sets what the
// array takes at the end of it. So the first weight row of a fold is presented in the very cycle that shows the last row
// of the fold before, and every count is of the array's own valid_out; none is assumed.
//
// In:  w.bin, a.bin, c.bin: rows as big-endian bit vectors of whole bytes (what $fread takes).
// Out: out.bin: for each result row a little-endian 32-bit word that is 1 where the row holds an X, then the row as such
//      words. folds.bin: for each fold two such words, the cycle that presents its first weight row and the cycle that
//      shows its last result row. stray counts result rows that came when none was due.
// Parameters: those of array_ws, and DEPTH, the rows that the memory for partial sums holds (m must not exceed it).

`default_nettype none

module tb_array_ws #(
    parameter ROWS     = 16,
    parameter COLS     = 16,
    parameter ACC_W    = 32,
    parameter [127:0] MUL = "int4",
    parameter A_W      = 4,
    parameter W_W      = 4,
    parameter P_W      = 8,
    parameter SATURATE = 0,
    parameter DEPTH    = 1024
) (
    input  wire        clk,
    input  wire        rst,
    input  wire [31:0] chains,
    input  wire [31:0] folds,
    input  wire [31:0] m,
    output reg         done,
    output reg  [31:0] stray
);

    localparam LOAD = 2'd0, STREAM = 2'd1, DRAIN = 2'd2, DONE = 2'd3;

    reg                   w_valid, a_valid;
    reg  [COLS*W_W-1:0]   w_row;
    reg  [ROWS*A_W-1:0]   a_row;
    reg  [COLS*ACC_W-1:0] psum_in;
    wire                  valid_out;
    wire [COLS*ACC_W-1:0] psum_out;

    array_ws #(
        .ROWS    (ROWS),
        .COLS    (COLS),
        .ACC_W   (ACC_W),
        .MUL     (MUL),
        .A_W     (A_W),
        .W_W     (W_W),
        .P_W     (P_W),
        .SATURATE(SATURATE)
    ) dut (
        .clk      (clk),
        .rst      (rst),
        .w_valid  (w_valid),
        .w_row    (w_row),
        .a_valid  (a_valid),
        .a_row    (a_row),
        .psum_in  (psum_in),
        .valid_out(valid_out),
        .psum_out (psum_out)
    );

    reg [COLS*ACC_W-1:0] partial[0:DEPTH-1];
    reg [1:0]            state;
    reg [31:0]           cycle, chain, fold, sent, shown, began;
    integer              w_file, a_file, c_file, out_file, folds_file;
    /* verilator lint_off UNUSEDSIGNAL */
    integer              got;  // bytes that $fread took: not asked for
    /* verilator lint_on UNUSEDSIGNAL */

    initial begin
        w_file     = $fopen("w.bin", "rb");
        a_file     = $fopen("a.bin", "rb");
        c_file     = $fopen("c.bin", "rb");
        out_file   = $fopen("out.bin", "wb");
        folds_file = $fopen("folds.bin", "wb");
    end

    // a bench acts step by step, so its assignments are blocking
    /* verilator lint_off BLKSEQ */
    always @(negedge clk) begin
        if (rst) begin
            {cycle, chain, fold, sent, shown, began} = 192'd0;
            {done, w_valid, a_valid} = 3'd0;
            stray = 0;
            state = LOAD;
        end else begin
            // what the array shows in this cycle
            cycle = cycle + 1;
            if (valid_out) begin
                if ((state == STREAM || state == DRAIN) && shown < m) begin
                    partial[shown] = psum_out;
                    if (fold == folds - 1) $fwrite(out_file, "%u%u", {31'd0, ^psum_out === 1'bx}, psum_out);
                    shown = shown + 1;
                end else stray = stray + 1;
            end
            if (state == DRAIN && shown == m) begin
                $fwrite(folds_file, "%u%u", began, cycle);
                shown = 0;
                sent  = 0;
                fold  = fold + 1;
                if (fold == folds) begin
                    fold  = 0;
                    chain = chain + 1;
                end
                state = (chain == chains) ? DONE : LOAD;
            end

            // what the array takes at the end of it
            w_valid = (state == LOAD);
            a_valid = (state == STREAM);
            if (state == LOAD) begin
                if (sent == 0) began = cycle;
                got  = $fread(w_row, w_file);
                sent = sent + 1;
                if (sent == ROWS) begin
                    sent  = 0;
                    state = STREAM;
                end
            end else if (state == STREAM) begin
                got = $fread(a_row, a_file);
                if (fold == 0) got = $fread(psum_in, c_file);
                else psum_in = partial[sent];
                sent = sent + 1;
                if (sent == m) state = DRAIN;
            end else if (state == DONE && !done) begin
                $fflush(out_file);
                $fflush(folds_file);
                done = 1;
            end
        end
    end
    /* verilator lint_on BLKSEQ */

endmodule

`default_nettype wire
