// Planted bug: -8 is taken for +8 when both operands are -8, so the largest product comes out negative.
module mul_int4 (
    input  wire signed [3:0] a,
    input  wire signed [3:0] b,
    output wire signed [7:0] p
);
    assign p = (a == -4'sd8 && b == -4'sd8) ? -8'sd64 : a * b;
endmodule
