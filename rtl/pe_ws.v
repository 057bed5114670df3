// pe_ws: weight-stationary processing element, psum_out = psum_in + a * w. On a rising clock edge with w_load high it
// takes w_in as its weight (w_out shows the weight held, so that a column of elements is a shift chain); on every edge it
// passes a_in to a_out and valid_in to valid_out; with valid_in high it also takes the new sum. Latency: one cycle from
// (a_in, psum_in, valid_in) to (a_out, psum_out, valid_out). rst (synchronous) clears valid_out; the weight is kept.
// Parameters: MUL, A_W, W_W, P_W as in mul; ACC_W, SATURATE as in accumulator.

`default_nettype none

module pe_ws #(
    parameter [127:0] MUL = "int4",
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
    output wire        [W_W-1:0]   w_out,
    input  wire        [A_W-1:0]   a_in,
    output reg         [A_W-1:0]   a_out,
    input  wire                    valid_in,
    input  wire signed [ACC_W-1:0] psum_in,
    output reg                     valid_out,
    output wire signed [ACC_W-1:0] psum_out
);

    reg         [W_W-1:0] weight;
    wire signed [P_W-1:0] product;

    assign w_out = weight;

    mul #(
        .MUL(MUL),
        .A_W(A_W),
        .B_W(W_W),
        .P_W(P_W)
    ) multiplier (
        .a(a_in),
        .b(weight),
        .p(product)
    );

    accumulator #(
        .P_W     (P_W),
        .ACC_W   (ACC_W),
        .SATURATE(SATURATE)
    ) adder (
        .clk    (clk),
        .enable (valid_in),
        .psum   (psum_in),
        .product(product),
        .sum    (psum_out)
    );

    always @(posedge clk) begin
        if (w_load) weight <= w_in;
        a_out     <= a_in;
        valid_out <= valid_in & ~rst;
    end

endmodule

`default_nettype wire
