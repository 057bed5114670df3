// Planted bug: the carry from bit 15 into bit 16 is lost.
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
    wire [ACC_W-1:0] addend = {{(ACC_W - P_W) {product[P_W-1]}}, product};
    wire [15:0]      low = psum[15:0] + addend[15:0];
    wire [15:0]      high = psum[ACC_W-1:16] + addend[ACC_W-1:16];
    always @(posedge clk) if (enable) sum <= {high, low};
endmodule
