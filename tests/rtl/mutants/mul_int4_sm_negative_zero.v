// Planted bug: negative zero (0x8) is read as the two's complement -8.
module mul_int4_sm (
    input  wire [3:0]        a,
    input  wire [3:0]        b,
    output wire signed [7:0] p
);
    wire signed [7:0] x = (a == 4'h8) ? -8'sd8 : a[3] ? -$signed({5'b0, a[2:0]}) : $signed({5'b0, a[2:0]});
    wire signed [7:0] y = (b == 4'h8) ? -8'sd8 : b[3] ? -$signed({5'b0, b[2:0]}) : $signed({5'b0, b[2:0]});
    assign p = x * y;
endmodule
