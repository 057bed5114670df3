// ref_pe_ws: what pe_ws must do, for the proof that it does it whatever it is fed and wherever it starts. The product
// comes out of product_table, which is written from the catalog of formats; sums wrap, or stop at the ends, by plain
// comparison. Ports, parameters (but for MUL) and latency are those of pe_ws.

`default_nettype none

module ref_pe_ws #(
    parameter A_W      = 4,
    parameter W_W      = 4,
    parameter P_W      = 8,
    parameter ACC_W    = 32,
    parameter SATURATE = 0
) (
    input  wire                    clk,
    input  wire                    rst,
    input  wire                    w_load,
    input  wire        [W_W-1:0]   w_in,
    output reg         [W_W-1:0]   w_out,
    input  wire        [A_W-1:0]   a_in,
    output reg         [A_W-1:0]   a_out,
    input  wire                    valid_in,
    input  wire signed [ACC_W-1:0] psum_in,
    output reg                     valid_out,
    output reg  signed [ACC_W-1:0] psum_out
);

    // Operands of one sign are extended to the width of the result, or compared at it; lint calls that a mismatch.
    /* verilator lint_off WIDTH */
    localparam signed [ACC_W:0] MOST  = {2'b00, {(ACC_W - 1) {1'b1}}};
    localparam signed [ACC_W:0] LEAST = {2'b11, {(ACC_W - 1) {1'b0}}};

    wire signed [P_W-1:0] product;
    product_table table_of_products (.a(a_in), .b(w_out), .p(product));

    wire signed [ACC_W:0] exact = psum_in + product;

    always @(posedge clk) begin
        a_out     <= a_in;
        valid_out <= rst ? 1'b0 : valid_in;
        if (w_load) w_out <= w_in;
        if (valid_in) begin
            if (SATURATE == 1 && exact > MOST) psum_out <= MOST[ACC_W-1:0];
            else if (SATURATE == 1 && exact < LEAST) psum_out <= LEAST[ACC_W-1:0];
            else psum_out <= exact[ACC_W-1:0];
        end
    end

    /* verilator lint_on WIDTH */

endmodule

`default_nettype wire
