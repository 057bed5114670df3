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
        end else begin : g_chain
            genvar t;
            for (t = 0; t < CYCLES; t = t + 1) begin : g_stage
                reg [WIDTH-1:0] held;
                if (t == 0) begin : g_first
                    always @(posedge clk) held <= rst ? {WIDTH{1'b0}} : in;
                end else begin : g_next
                    always @(posedge clk) held <= rst ? {WIDTH{1'b0}} : g_stage[t-1].held;
                end
            end
            assign out = g_stage[CYCLES-1].held;
        end
    endgenerate

endmodule

`default_nettype wire
