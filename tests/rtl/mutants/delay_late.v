// Planted bug: every lane of skew and deskew is one cycle late, so results are right and drain two cycles too late.
module delay #(
    parameter CYCLES = 1,
    parameter WIDTH  = 1
) (
    input  wire             clk,
    input  wire             rst,
    input  wire [WIDTH-1:0] in,
    output wire [WIDTH-1:0] out
);
    reg [WIDTH-1:0] held[0:CYCLES];
    integer i;
    always @(posedge clk)
        for (i = 0; i <= CYCLES; i = i + 1) held[i] <= rst ? {WIDTH{1'b0}} : (i == 0) ? in : held[i-1];
    assign out = held[CYCLES];
endmodule
