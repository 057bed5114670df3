// mac_tile_axis: a MAC array with K accumulation behind AXI4-Stream: tile_controller and array_ws (or array_ws_scaled).
// Names and handshakes are AXI's: aclk, aresetn (synchronous, active low); a beat moves in a cycle with tvalid and tready.
//
//   s_axis_w  weight rows, packets of ROWS beats, the row for array row ROWS-1 first; column j in bits [j*W_W +: W_W].
//             SCALED: above the codes, COLS scale codes of 8 bits, those of the last beat counting.
//   s_axis_a  activation rows, packets of M beats (1 to DEPTH); array row i in bits [i*A_W +: A_W]. SCALED: above them the
//             row's scale code. tuser[0]: first fold of a tile (sums start from 0), tuser[1]: its last (results leave);
//             the same in every beat of a packet.
//   m_axis    results, packets of M beats, one for each tile; column j in bits [j*ACC_W +: ACC_W].
//   error     until reset: a malformed packet (see tile_controller).
//
// One weight packet, then one activation packet, is a fold. Without gaps or stalls F folds take F * (2*ROWS + COLS + M - 2)
// + 1 cycles, first weight beat to last result beat. Data buses are padded to whole bytes. Parameters: those of array_ws and
// tile_controller; SCALED, 0, or 1 for array_ws_scaled, with its LSB, F, FLOOR, SE, SM and an ACC_W of 32; anything else
// stops elaboration.

`default_nettype none

module mac_tile_axis #(
    parameter ROWS     = 16,
    parameter COLS     = 16,
    parameter ACC_W    = 32,
    parameter [127:0] MUL = "int4",
    parameter A_W      = 4,
    parameter W_W      = 4,
    parameter P_W      = 8,
    parameter SATURATE = 0,
    parameter DEPTH    = 256,
    parameter SCALED   = 0,
    parameter LSB      = 2,
    parameter F        = 25,
    parameter integer FLOOR    = -133,
    parameter SE       = 4,
    parameter SM       = 3
) (
    input  wire                                             aclk,
    input  wire                                             aresetn,
    input  wire [(COLS*(W_W+(SCALED==1?8:0))+7)/8*8-1:0]    s_axis_w_tdata,
    input  wire                                             s_axis_w_tvalid,
    output wire                                             s_axis_w_tready,
    input  wire                                             s_axis_w_tlast,
    input  wire [(ROWS*A_W+(SCALED==1?8:0)+7)/8*8-1:0]      s_axis_a_tdata,
    input  wire                                             s_axis_a_tvalid,
    output wire                                             s_axis_a_tready,
    input  wire                                             s_axis_a_tlast,
    input  wire [1:0]                                       s_axis_a_tuser,
    output wire [(COLS*ACC_W+7)/8*8-1:0]                    m_axis_tdata,
    output wire                                             m_axis_tvalid,
    input  wire                                             m_axis_tready,
    output wire                                             m_axis_tlast,
    output wire                                             error
);

    // an instance of a module that does not exist stops elaboration
    generate
        if (SCALED < 0 || SCALED > 1 || (SCALED == 1 && (ACC_W != 32 || SATURATE != 0))) begin : g_impossible
            mac_tile_axis_needs_SCALED_0_or_1_with_ACC_W_32_and_SATURATE_0 impossible ();
        end
    endgenerate

    wire                  rst = !aresetn;
    wire                  w_valid, a_valid, valid_out;
    wire [COLS*ACC_W-1:0] psum_in, psum_out, r_row;

    tile_controller #(
        .ROWS (ROWS),
        .COLS (COLS),
        .ACC_W(ACC_W),
        .DEPTH(DEPTH)
    ) controller (
        .clk      (aclk),
        .rst      (rst),
        .w_offered(s_axis_w_tvalid),
        .w_last   (s_axis_w_tlast),
        .w_ready  (s_axis_w_tready),
        .w_valid  (w_valid),
        .a_offered(s_axis_a_tvalid),
        .a_first  (s_axis_a_tuser[0]),
        .a_emit   (s_axis_a_tuser[1]),
        .a_last   (s_axis_a_tlast),
        .a_ready  (s_axis_a_tready),
        .a_valid  (a_valid),
        .psum_in  (psum_in),
        .valid_out(valid_out),
        .psum_out (psum_out),
        .r_valid  (m_axis_tvalid),
        .r_last   (m_axis_tlast),
        .r_row    (r_row),
        .r_ready  (m_axis_tready),
        .error    (error)
    );

    generate
        if (SCALED == 1) begin : g_scaled
            array_ws_scaled #(
                .ROWS (ROWS),
                .COLS (COLS),
                .MUL  (MUL),
                .A_W  (A_W),
                .W_W  (W_W),
                .P_W  (P_W),
                .LSB  (LSB),
                .F    (F),
                .FLOOR(FLOOR),
                .SE   (SE),
                .SM   (SM)
            ) array (
                .clk      (aclk),
                .rst      (rst),
                .w_valid  (w_valid),
                .w_row    (s_axis_w_tdata[0+:COLS*W_W]),
                .w_scale  (s_axis_w_tdata[COLS*W_W+:COLS*8]),
                .a_valid  (a_valid),
                .a_row    (s_axis_a_tdata[0+:ROWS*A_W]),
                .a_scale  (s_axis_a_tdata[ROWS*A_W+:8]),
                .psum_in  (psum_in),
                .valid_out(valid_out),
                .psum_out (psum_out)
            );
        end else begin : g_plain
            array_ws #(
                .ROWS    (ROWS),
                .COLS    (COLS),
                .ACC_W   (ACC_W),
                .MUL     (MUL),
                .A_W     (A_W),
                .W_W     (W_W),
                .P_W     (P_W),
                .SATURATE(SATURATE)
            ) array (
                .clk      (aclk),
                .rst      (rst),
                .w_valid  (w_valid),
                .w_row    (s_axis_w_tdata[0+:COLS*W_W]),
                .a_valid  (a_valid),
                .a_row    (s_axis_a_tdata[0+:ROWS*A_W]),
                .psum_in  (psum_in),
                .valid_out(valid_out),
                .psum_out (psum_out)
            );
        end
    endgenerate

    // the bits that fill the buses up to whole bytes
    wire unused = &{1'b0, s_axis_w_tdata, s_axis_a_tdata};

    generate
        if (COLS * ACC_W % 8 == 0) begin : g_whole
            assign m_axis_tdata = r_row;
        end else begin : g_padded
            assign m_axis_tdata = {{(8 - COLS * ACC_W % 8) {1'b0}}, r_row};
        end
    endgenerate

endmodule

`default_nettype wire
