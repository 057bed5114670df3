// accumulator: on a rising clock edge with enable high, sum becomes psum + product; otherwise it holds. Latency: one
// cycle. No reset: a sum means something only where its valid bit says so. Parameters: P_W, the width of the signed
// product; ACC_W, the width of the signed sums, at least P_W; SATURATE, 0 to wrap modulo 2**ACC_W, 1 to clamp each new
// sum to -2**(ACC_W-1) .. 2**(ACC_W-1)-1; anything else stops elaboration.

`default_nettype none

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

    // Both operands are signed, so they are sign-extended to the width of the result; lint calls that a width mismatch.
    /* verilator lint_off WIDTH */
    generate
        if (ACC_W < P_W) begin : g_narrow  // an instance of a module that does not exist stops elaboration
            accumulator_needs_ACC_W_of_P_W_or_more impossible ();
        end else if (SATURATE == 0) begin : g_wrap
            always @(posedge clk) if (enable) sum <= psum + product;
        end else if (SATURATE == 1) begin : g_saturate
            // one bit more than a sum: its two top bits differ exactly where the sum does not fit
            wire signed [ACC_W:0] wide = psum + product;
            wire                  fits = wide[ACC_W] == wide[ACC_W-1];
            always @(posedge clk)
                if (enable) sum <= fits ? wide[ACC_W-1:0] : {wide[ACC_W], {(ACC_W - 1) {~wide[ACC_W]}}};
        end else begin : g_unknown
            accumulator_needs_SATURATE_0_or_1 impossible ();
        end
    endgenerate
    /* verilator lint_on WIDTH */

endmodule

`default_nettype wire
