// Planted bug: the weight is read as an unsigned number.
module mul_int4 (
    input  wire signed [3:0] a,
    input  wire        [3:0] b,
    output wire signed [7:0] p
);
    assign p = a * $signed({1'b0, b});
endmodule
