// mul: the multiplier of a processing element, chosen by name, so that one PE serves every format. Combinational
// (latency 0). Parameters: MUL names the format, one of "int4" (two's complement) and "int4_sm" (sign-magnitude); A_W and
// B_W are the operand code widths and P_W the width of the signed product, which must be what the named format has, or
// elaboration stops. A new format is one module mul_<format> and one branch here.

`default_nettype none

module mul #(
    parameter [127:0] MUL = "int4",
    parameter A_W = 4,
    parameter B_W = 4,
    parameter P_W = 8
) (
    input  wire [A_W-1:0]        a,
    input  wire [B_W-1:0]        b,
    output wire signed [P_W-1:0] p
);

    localparam [127:0] INT4 = "int4", INT4_SM = "int4_sm";

    // an instance of a module that does not exist stops elaboration
    generate
        if (A_W != 4 || B_W != 4 || P_W != 8) begin : g_widths
            mul_needs_A_W_4_B_W_4_P_W_8 impossible ();
        end else if (MUL == INT4) begin : g_int4
            mul_int4 m (.a(a), .b(b), .p(p));
        end else if (MUL == INT4_SM) begin : g_int4_sm
            mul_int4_sm m (.a(a), .b(b), .p(p));
        end else begin : g_unknown
            mul_needs_MUL_int4_or_int4_sm impossible ();
        end
    endgenerate

endmodule

`default_nettype wire
