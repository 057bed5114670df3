// prove_array_ws: what array_ws must do, as one output that may never be high, for a bounded proof with any operands.
// After one cycle of rst, ROWS cycles load whatever weights are presented; then any cycle may bring a row of
// activations and sums, or a gap. Each row's sums are formed at once, one product after the other from row 0, in a
// plain accumulator of their own, and wait ROWS+COLS-1 cycles beside the array; wrong is high where the array then
// shows no row, another row, or a row that nobody sent. Parameters: those of array_ws, ROWS at least 2. Products are
// those of mul, which elements are proved to have. Registers start at any value but step, which counts cycles.

`default_nettype none

module prove_array_ws #(
    parameter ROWS     = 2,
    parameter COLS     = 2,
    parameter ACC_W    = 9,
    parameter [127:0] MUL = "int4",
    parameter A_W      = 4,
    parameter W_W      = 4,
    parameter P_W      = 8,
    parameter SATURATE = 0
) (
    input  wire                  clk,
    input  wire                  a_valid,
    input  wire [ROWS*A_W-1:0]   a_row,
    input  wire [COLS*W_W-1:0]   w_row,
    input  wire [COLS*ACC_W-1:0] psum_in,
    output wire                  wrong
);

    // Operands of one sign are extended to the width of the result, or compared at it; lint calls that a mismatch.
    /* verilator lint_off WIDTH */
    localparam LATENCY = ROWS + COLS - 1;

    reg [7:0] step;
    initial step = 8'd0;
    always @(posedge clk) step <= step + 8'd1;

    wire rst  = step == 8'd0;
    wire load = !rst && step <= ROWS;
    wire sent = a_valid && step > ROWS;

    wire                  valid_out;
    wire [COLS*ACC_W-1:0] psum_out;

    array_ws #(
        .ROWS(ROWS), .COLS(COLS), .ACC_W(ACC_W), .MUL(MUL), .A_W(A_W), .W_W(W_W), .P_W(P_W), .SATURATE(SATURATE)
    ) dut (
        .clk(clk), .rst(rst), .w_valid(load), .w_row(w_row), .a_valid(sent), .a_row(a_row), .psum_in(psum_in),
        .valid_out(valid_out), .psum_out(psum_out)
    );

    // the row for array row ROWS-1 comes first and ends in the highest place
    reg [ROWS*COLS*W_W-1:0] weights;
    always @(posedge clk) if (load) weights <= {weights[(ROWS-1)*COLS*W_W-1:0], w_row};

    localparam signed [ACC_W:0] MOST  = {2'b00, {(ACC_W - 1) {1'b1}}};
    localparam signed [ACC_W:0] LEAST = {2'b11, {(ACC_W - 1) {1'b0}}};

    wire [COLS*ACC_W-1:0] sums;
    genvar r, c;
    generate
        for (c = 0; c < COLS; c = c + 1) begin : g_col
            for (r = 0; r < ROWS; r = r + 1) begin : g_row
                wire signed [P_W-1:0]   product;
                wire signed [ACC_W-1:0] start;
                wire signed [ACC_W:0]   exact = start + product;
                wire signed [ACC_W:0]   stop  = exact > MOST ? MOST : exact < LEAST ? LEAST : exact;
                wire signed [ACC_W:0]   kept  = SATURATE == 1 ? stop : exact;
                wire                    unused = kept[ACC_W];  // once more the sign, or lost in wrapping
                mul #(
                    .MUL(MUL), .A_W(A_W), .B_W(W_W), .P_W(P_W)
                ) m (
                    .a(a_row[r*A_W+:A_W]), .b(weights[(r*COLS+c)*W_W+:W_W]), .p(product)
                );
                if (r == 0) begin : g_first
                    assign start = psum_in[c*ACC_W+:ACC_W];
                end else begin : g_next
                    assign start = g_row[r-1].kept[ACC_W-1:0];
                end
            end
            assign sums[c*ACC_W+:ACC_W] = g_row[ROWS-1].kept[ACC_W-1:0];
        end
    endgenerate

    reg [LATENCY-1:0]            due;
    reg [LATENCY*COLS*ACC_W-1:0] waiting;
    always @(posedge clk) begin
        due     <= rst ? {LATENCY{1'b0}} : {due[LATENCY-2:0], sent};
        waiting <= {waiting[(LATENCY-1)*COLS*ACC_W-1:0], sums};
    end

    wire                  now   = due[LATENCY-1];
    wire [COLS*ACC_W-1:0] right = waiting[(LATENCY-1)*COLS*ACC_W+:COLS*ACC_W];

    assign wrong = !rst && (valid_out != now || now && psum_out != right);

    /* verilator lint_on WIDTH */

endmodule

`default_nettype wire
