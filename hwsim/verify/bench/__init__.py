"""Test modules that cocotb runs inside the simulator; nothing else imports them."""
