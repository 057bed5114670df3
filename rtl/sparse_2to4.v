// sparse_2to4: decompressor of 2:4 structured sparsity. Of every four codes along K at most two are kept, each with a 2-bit
// place; the others are code 0. Combinational (latency 0). Group g of four: kept codes 2g and 2g+1 in bits [2g*W +: W] and
// [(2g+1)*W +: W] of kept, their places in bits [4g +: 2] and [4g+2 +: 2] of place, the first below the second (as NVIDIA's
// sparse mma has its metadata); code k goes to bits [k*W +: W] of dense. Places that are equal or descend are malformed:
// malformed[g] is high and the group is four zeros. Parameters: GROUPS, W, at least 1; anything else stops elaboration.

`default_nettype none

module sparse_2to4 #(
    parameter GROUPS = 8,
    parameter W      = 4
) (
    input  wire [GROUPS*2*W-1:0] kept,
    input  wire [GROUPS*4-1:0]   place,
    output wire [GROUPS*4*W-1:0] dense,
    output wire [GROUPS-1:0]     malformed
);

    // an instance of a module that does not exist stops elaboration
    generate
        if (GROUPS < 1 || W < 1) begin : g_impossible
            sparse_2to4_needs_GROUPS_W_of_1_or_more impossible ();
        end
    endgenerate

    genvar g, k;
    generate
        for (g = 0; g < GROUPS; g = g + 1) begin : g_group
            wire [1:0] first = place[4*g+:2];
            wire [1:0] second = place[4*g+2+:2];
            assign malformed[g] = first >= second;
            for (k = 0; k < 4; k = k + 1) begin : g_code
                assign dense[(4*g+k)*W+:W] = malformed[g] ? {W{1'b0}} :
                    first == k ? kept[2*g*W+:W] : second == k ? kept[(2*g+1)*W+:W] : {W{1'b0}};
            end
        end
    endgenerate

endmodule

`default_nettype wire
