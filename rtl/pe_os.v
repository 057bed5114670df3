// pe_os: output-stationary processing element, sum = sum + a * w. On a rising clock edge with valid_in high it adds the
// product of a_in and w_in to its sum, or starts a sum with it where first_in is high; with drain high it takes the sum
// of the element above instead, so that a column of elements is a shift chain. On every edge it passes a_in, valid_in and
// first_in on to the right, and w_in on below. Latency: one cycle. rst (synchronous) clears valid_out; sums are kept.
// Parameters: MUL, A_W, W_W, P_W as in mul; ACC_W, SATURATE as in accumulator.

`default_nettype none

module pe_os #(
    parameter [127:0] MUL = "int4",
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
    output wire signed [ACC_W-1:0] sum
);

    wire signed [P_W-1:0] product;

    mul #(
        .MUL(MUL),
        .A_W(A_W),
        .B_W(W_W),
        .P_W(P_W)
    ) multiplier (
        .a(a_in),
        .b(w_in),
        .p(product)
    );

    accumulator #(
        .P_W     (P_W),
        .ACC_W   (ACC_W),
        .SATURATE(SATURATE)
    ) adder (
        .clk    (clk),
        .enable (valid_in | drain),
        .psum   (drain ? sum_above : first_in ? {ACC_W{1'b0}} : sum),
        .product(drain ? {P_W{1'b0}} : product),
        .sum    (sum)
    );

    always @(posedge clk) begin
        a_out     <= a_in;
        w_out     <= w_in;
        first_out <= first_in;
        valid_out <= valid_in & ~rst;
    end

endmodule

`default_nettype wire
