// Planted bug: the lane that should wait two cycles waits one, so one column drains a cycle too early.
module delay #(
    parameter CYCLES = 1,
    parameter WIDTH  = 1
) (
    input  wire             clk,
    input  wire             rst,
    input  wire [WIDTH-1:0] in,
    output wire [WIDTH-1:0] out
);
    localparam WAIT = (CYCLES == 2) ? 1 : CYCLES;
    reg [WIDTH-1:0] held[0:WAIT];
    integer i;
    always @(posedge clk)
        for (i = 1; i <= WAIT; i = i + 1) held[i] <= rst ? {WIDTH{1'b0}} : (i == 1) ? in : held[i-1];
    generate
        if (WAIT == 0) assign out = in;
        else assign out = held[WAIT];
    endgenerate
endmodule
