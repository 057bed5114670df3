// booth_mul: an example of a module of one's own for hwsim verify, with a planted bug. A radix-4 Booth multiplier of two
// 4-bit signed numbers: x and y are taken on a rising clock edge, product shows their 8-bit product after it. Latency: one
// cycle. The bug: a multiple is kept in 5 bits, where -2 * x of x = -8 needs 6. No parameters.

`default_nettype none

module booth_mul (
    input  wire              clk_i,
    input  wire signed [3:0] x,
    input  wire signed [3:0] y,
    output reg  signed [7:0] product
);

    wire signed [4:0] low;
    wire signed [4:0] high;

    assign low  = multiple({y[1:0], 1'b0});
    assign high = multiple(y[3:1]);

    // signed operands are extended to the width of the product; lint calls that a width mismatch
    /* verilator lint_off WIDTH */
    always @(posedge clk_i) product <= low + (high <<< 2);

    function automatic signed [4:0] multiple;
        input [2:0] digit;
        case (digit)
            3'b001, 3'b010: multiple = x;
            3'b011: multiple = x <<< 1;
            3'b100: multiple = -(x <<< 1);
            3'b101, 3'b110: multiple = -x;
            default: multiple = 5'd0;
        endcase
    endfunction
    /* verilator lint_on WIDTH */

endmodule

`default_nettype wire
