// delay: out is in, CYCLES clock cycles ago: one lane of the skew and deskew of an array. CYCLES 0 is a wire. rst
// (synchronous) clears every stage. Parameters: CYCLES, at least 0; WIDTH, at least 1; anything else stops elaboration.

`default_nettype none

module delay #(
    parameter CYCLES = 1,
    parameter WIDTH  = 1
) (
    input  wire             clk,
    input  wire             rst,
    input  wire [WIDTH-1:0] in,
    output wire [WIDTH-1:0] out
);

    // an instance of a module that does not exist stops elaboration
    generate
        if (CYCLES < 0 || WIDTH < 1) begin : g_impossible
            delay_needs_CYCLES_of_0_or_more_WIDTH_of_1_or_more impossible ();
        end else if (CYCLES == 0) begin : g_wire
            wire unused = clk & rst;
            assign out = in;
        end else if (CYCLES == 1) begin : g_one
            reg [WIDTH-1:0] held;
            always @(posedge clk) held <= rst ? {WIDTH{1'b0}} : in;
            assign out = held;
        end else begin : g_chain
            reg [CYCLES*WIDTH-1:0] held;
            always @(posedge clk) held <= rst ? {CYCLES * WIDTH{1'b0}} : {held[(CYCLES-1)*WIDTH-1:0], in};
            assign out = held[(CYCLES-1)*WIDTH+:WIDTH];
        end
    endgenerate

endmodule

`default_nettype wire
