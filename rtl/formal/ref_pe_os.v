// ref_pe_os: what pe_os must do, for the proof that it does it whatever it is fed and wherever it starts. The product
// comes out of product_table, which is written from the catalog of formats; sums wrap, or stop at the ends, by plain
// comparison. Ports, parameters (but for MUL) and latency are those of pe_os.

`default_nettype none

module ref_pe_os #(
    parameter A_W      = 4,
    parameter W_W      = 4,
    parameter P_W      = 8,
    parameter ACC_W    = 32,
    parameter SATURATE = 0
) (
    input  wire                    clk,
    input  wire                    rst,
    input  wire                    drain,
    input  wire                    valid_in,
    input  wire                    first_in,
    input  wire        [A_W-1:0]   a_in,
    input  wire        [W_W-1:0]   w_in,
    input  wire signed [ACC_W-1:0] sum_above,
    output reg                     valid_out,
    output reg                     first_out,
    output reg         [A_W-1:0]   a_out,
    output reg         [W_W-1:0]   w_out,
    output reg  signed [ACC_W-1:0] sum
);

    // Operands of one sign are extended to the width of the result, or compared at it; lint calls that a mismatch.
    /* verilator lint_off WIDTH */
    localparam signed [ACC_W:0] MOST  = {2'b00, {(ACC_W - 1) {1'b1}}};
    localparam signed [ACC_W:0] LEAST = {2'b11, {(ACC_W - 1) {1'b0}}};

    wire signed [P_W-1:0] product;
    product_table table_of_products (.a(a_in), .b(w_in), .p(product));

    wire signed [ACC_W-1:0] start = first_in ? {ACC_W{1'b0}} : sum;
    wire signed [ACC_W:0]   exact  = start + product;

    always @(posedge clk) begin
        a_out     <= a_in;
        w_out     <= w_in;
        first_out <= first_in;
        valid_out <= rst ? 1'b0 : valid_in;
        if (drain) sum <= sum_above;
        else if (valid_in) begin
            if (SATURATE == 1 && exact > MOST) sum <= MOST[ACC_W-1:0];
            else if (SATURATE == 1 && exact < LEAST) sum <= LEAST[ACC_W-1:0];
            else sum <= exact[ACC_W-1:0];
        end
    end

    /* verilator lint_on WIDTH */

endmodule

`default_nettype wire
