// prove_array_os: what array_os must do, as one output that may never be high, for a bounded proof with any operands.
// After one cycle of rst any cycle may bring one k of a tile, or a gap, until K of them came; the sums of the tile are
// formed at once in plain accumulators of their own. Result row ROWS-1 is due ROWS+COLS cycles after the last k, then
// the rows above it, one a cycle; wrong is high where the array shows no row, another row, or one that is not due.
// Parameters: K, at least 1; ROWS at least 2; the others are those of array_os. Products are those of mul, which
// elements are proved to have. Registers start at any value but step, which counts cycles.

`default_nettype none

module prove_array_os #(
    parameter ROWS     = 2,
    parameter COLS     = 2,
    parameter K        = 2,
    parameter ACC_W    = 9,
    parameter [127:0] MUL = "int4",
    parameter A_W      = 4,
    parameter W_W      = 4,
    parameter P_W      = 8,
    parameter SATURATE = 0
) (
    input  wire                clk,
    input  wire                k_valid,
    input  wire [ROWS*A_W-1:0] a_col,
    input  wire [COLS*W_W-1:0] w_row,
    output wire                wrong
);

    // Operands of one sign are extended to the width of the result, or compared at it; lint calls that a mismatch.
    /* verilator lint_off WIDTH */
    localparam LATENCY = ROWS + COLS;

    reg [7:0] step;
    initial step = 8'd0;
    reg [7:0] count;
    always @(posedge clk) begin
        step  <= step + 8'd1;
        count <= rst ? 8'd0 : count + sent;
    end

    wire rst   = step == 8'd0;
    wire sent  = k_valid && !rst && count < K;
    wire first = count == 8'd0;
    wire last  = count == K - 1;

    wire                  valid_out;
    wire [COLS*ACC_W-1:0] psum_out;

    array_os #(
        .ROWS(ROWS), .COLS(COLS), .ACC_W(ACC_W), .MUL(MUL), .A_W(A_W), .W_W(W_W), .P_W(P_W), .SATURATE(SATURATE)
    ) dut (
        .clk(clk), .rst(rst), .k_valid(sent), .k_first(first), .k_last(last), .a_col(a_col), .w_row(w_row),
        .valid_out(valid_out), .psum_out(psum_out)
    );

    localparam signed [ACC_W:0] MOST  = {2'b00, {(ACC_W - 1) {1'b1}}};
    localparam signed [ACC_W:0] LEAST = {2'b11, {(ACC_W - 1) {1'b0}}};

    wire [ROWS*COLS*ACC_W-1:0] sums;
    genvar r, c;
    generate
        for (r = 0; r < ROWS; r = r + 1) begin : g_row
            for (c = 0; c < COLS; c = c + 1) begin : g_col
                reg signed  [ACC_W-1:0] sum;
                wire signed [P_W-1:0]   product;
                wire signed [ACC_W-1:0] start = first ? {ACC_W{1'b0}} : sum;
                wire signed [ACC_W:0]   exact = start + product;
                wire signed [ACC_W:0]   stop  = exact > MOST ? MOST : exact < LEAST ? LEAST : exact;
                wire signed [ACC_W:0]   kept  = SATURATE == 1 ? stop : exact;
                wire                    unused = kept[ACC_W];  // once more the sign, or lost in wrapping
                mul #(
                    .MUL(MUL), .A_W(A_W), .B_W(W_W), .P_W(P_W)
                ) m (
                    .a(a_col[r*A_W+:A_W]), .b(w_row[c*W_W+:W_W]), .p(product)
                );
                always @(posedge clk) if (sent) sum <= kept[ACC_W-1:0];
                assign sums[(r*COLS+c)*ACC_W+:ACC_W] = sum;
            end
        end
    endgenerate

    // marks[t]: the last k came t + 1 cycles ago
    reg [LATENCY+ROWS-2:0] marks;
    always @(posedge clk) marks <= rst ? {(LATENCY + ROWS - 1) {1'b0}} : {marks[LATENCY+ROWS-3:0], sent && last};

    reg                  due;
    reg [COLS*ACC_W-1:0] right;
    integer i;
    always @* begin
        due   = 1'b0;
        right = {COLS * ACC_W{1'b0}};
        for (i = 0; i < ROWS; i = i + 1)
            if (marks[LATENCY-1+i]) begin
                due   = 1'b1;
                right = right | sums[(ROWS-1-i)*COLS*ACC_W+:COLS*ACC_W];
            end
    end

    assign wrong = !rst && (valid_out != due || due && psum_out != right);

    /* verilator lint_on WIDTH */

endmodule

`default_nettype wire
