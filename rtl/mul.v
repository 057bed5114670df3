// mul: the multiplier of a processing element, chosen by name, so that one PE serves every format. Combinational
// (latency 0). Parameters: MUL names the multiplier, one of "int4", "int4_sm", "uint4", "uint4_int4", "int8",
// "int8_int4", "uint8_int4", "int8_ternary", "int2", "ternary", "binary", "e2m1", "e4m3", "e5m2"; A_W and B_W are the
// operand code widths and P_W the width of the signed product, which must be what the named multiplier has, or
// elaboration stops. Operands must be numbers: the product of an infinity or NaN is 0 here (mul_<format> says which
// those are). A new multiplier is one line in hwsim/verify/multipliers.py. Emitted by python -m hwsim.verify.emit from
// the catalog of formats; do not edit.

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

    localparam [127:0] INT4 = "int4";
    localparam [127:0] INT4_SM = "int4_sm";
    localparam [127:0] UINT4 = "uint4";
    localparam [127:0] UINT4_INT4 = "uint4_int4";
    localparam [127:0] INT8 = "int8";
    localparam [127:0] INT8_INT4 = "int8_int4";
    localparam [127:0] UINT8_INT4 = "uint8_int4";
    localparam [127:0] INT8_TERNARY = "int8_ternary";
    localparam [127:0] INT2 = "int2";
    localparam [127:0] TERNARY = "ternary";
    localparam [127:0] BINARY = "binary";
    localparam [127:0] E2M1 = "e2m1";
    localparam [127:0] E4M3 = "e4m3";
    localparam [127:0] E5M2 = "e5m2";

    // an instance of a module that does not exist stops elaboration
    generate
        if (MUL == INT4) begin : g_int4
            if (A_W != 4 || B_W != 4 || P_W != 8) begin : g_widths
                mul_needs_A_W_4_B_W_4_P_W_8 impossible ();
            end else begin : g_fits
                mul_int4 m (.a(a), .b(b), .p(p));
            end
        end else if (MUL == INT4_SM) begin : g_int4_sm
            if (A_W != 4 || B_W != 4 || P_W != 8) begin : g_widths
                mul_needs_A_W_4_B_W_4_P_W_8 impossible ();
            end else begin : g_fits
                mul_int4_sm m (.a(a), .b(b), .p(p));
            end
        end else if (MUL == UINT4) begin : g_uint4
            if (A_W != 4 || B_W != 4 || P_W != 9) begin : g_widths
                mul_needs_A_W_4_B_W_4_P_W_9 impossible ();
            end else begin : g_fits
                mul_uint4 m (.a(a), .b(b), .p(p));
            end
        end else if (MUL == UINT4_INT4) begin : g_uint4_int4
            if (A_W != 4 || B_W != 4 || P_W != 8) begin : g_widths
                mul_needs_A_W_4_B_W_4_P_W_8 impossible ();
            end else begin : g_fits
                mul_uint4_int4 m (.a(a), .b(b), .p(p));
            end
        end else if (MUL == INT8) begin : g_int8
            if (A_W != 8 || B_W != 8 || P_W != 16) begin : g_widths
                mul_needs_A_W_8_B_W_8_P_W_16 impossible ();
            end else begin : g_fits
                mul_int8 m (.a(a), .b(b), .p(p));
            end
        end else if (MUL == INT8_INT4) begin : g_int8_int4
            if (A_W != 8 || B_W != 4 || P_W != 12) begin : g_widths
                mul_needs_A_W_8_B_W_4_P_W_12 impossible ();
            end else begin : g_fits
                mul_int8_int4 m (.a(a), .b(b), .p(p));
            end
        end else if (MUL == UINT8_INT4) begin : g_uint8_int4
            if (A_W != 8 || B_W != 4 || P_W != 12) begin : g_widths
                mul_needs_A_W_8_B_W_4_P_W_12 impossible ();
            end else begin : g_fits
                mul_uint8_int4 m (.a(a), .b(b), .p(p));
            end
        end else if (MUL == INT8_TERNARY) begin : g_int8_ternary
            if (A_W != 8 || B_W != 2 || P_W != 10) begin : g_widths
                mul_needs_A_W_8_B_W_2_P_W_10 impossible ();
            end else begin : g_fits
                mul_int8_ternary m (.a(a), .b(b), .p(p));
            end
        end else if (MUL == INT2) begin : g_int2
            if (A_W != 2 || B_W != 2 || P_W != 4) begin : g_widths
                mul_needs_A_W_2_B_W_2_P_W_4 impossible ();
            end else begin : g_fits
                mul_int2 m (.a(a), .b(b), .p(p));
            end
        end else if (MUL == TERNARY) begin : g_ternary
            if (A_W != 2 || B_W != 2 || P_W != 4) begin : g_widths
                mul_needs_A_W_2_B_W_2_P_W_4 impossible ();
            end else begin : g_fits
                mul_ternary m (.a(a), .b(b), .p(p));
            end
        end else if (MUL == BINARY) begin : g_binary
            if (A_W != 1 || B_W != 1 || P_W != 2) begin : g_widths
                mul_needs_A_W_1_B_W_1_P_W_2 impossible ();
            end else begin : g_fits
                mul_binary m (.a(a), .b(b), .p(p));
            end
        end else if (MUL == E2M1) begin : g_e2m1
            if (A_W != 4 || B_W != 4 || P_W != 9) begin : g_widths
                mul_needs_A_W_4_B_W_4_P_W_9 impossible ();
            end else begin : g_fits
                mul_e2m1 m (.a(a), .b(b), .p(p));
            end
        end else if (MUL == E4M3) begin : g_e4m3
            if (A_W != 8 || B_W != 8 || P_W != 37) begin : g_widths
                mul_needs_A_W_8_B_W_8_P_W_37 impossible ();
            end else begin : g_fits
                wire special;
                wire unused = special;
                mul_e4m3 m (.a(a), .b(b), .p(p), .special(special));
            end
        end else if (MUL == E5M2) begin : g_e5m2
            if (A_W != 8 || B_W != 8 || P_W != 65) begin : g_widths
                mul_needs_A_W_8_B_W_8_P_W_65 impossible ();
            end else begin : g_fits
                wire special;
                wire unused = special;
                mul_e5m2 m (.a(a), .b(b), .p(p), .special(special));
            end
        end else begin : g_unknown
            mul_needs_a_MUL_of_the_list_in_mul_v impossible ();
        end
    endgenerate

endmodule

`default_nettype wire
