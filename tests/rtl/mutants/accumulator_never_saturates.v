// Planted bug: SATURATE is ignored.
module accumulator #(
    parameter P_W      = 8,
    parameter ACC_W    = 32,
    parameter SATURATE = 0
) (
    input  wire                    clk,
    input  wire                    enable,
    input  wire signed [ACC_W-1:0] psum,
    input  wire signed [P_W-1:0]   product,
    output reg  signed [ACC_W-1:0] sum
);
    always @(posedge clk) if (enable) sum <= psum + product;
endmodule
