// Planted bug: rst does not clear the valid bit, so rows in flight come out after a reset.
module pe_ws #(
    parameter [127:0] MUL = "int4",
    parameter A_W = 4, W_W = 4, P_W = 8, ACC_W = 32, SATURATE = 0
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
    output reg  signed [ACC_W-1:0] psum_out
);
    reg signed [W_W-1:0] weight;
    assign w_out = weight;
    always @(posedge clk) begin
        if (w_load) weight <= w_in;
        a_out     <= a_in;
        valid_out <= valid_in;
        if (valid_in) psum_out <= psum_in + $signed(a_in) * weight;
    end
endmodule
