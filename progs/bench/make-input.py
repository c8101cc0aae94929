#!/usr/bin/env python3
"""Writes the packet that the programs of this folder are measured with: input.pcap, one UDP packet of 1514 bytes.

The payload is random but always the same, so every engine has to give the same results (README.md). Bytes 100 to 103
are 0: the map programs count in them.
"""
import random
import struct
from pathlib import Path

LENGTH = 1514
random.seed(7)
ethernet = bytes.fromhex("020000000001 020000000002 0800")
ip = bytearray(struct.pack(">BBHHHBBH4s4s", 0x45, 0, LENGTH - 14, 0x1234, 0x4000, 64, 17, 0,
                           bytes([10, 1, 2, 3]), bytes([10, 9, 8, 7])))
total = sum(struct.unpack(">10H", ip))
total = (total & 0xFFFF) + (total >> 16)
ip[10:12] = struct.pack(">H", 0xFFFF ^ ((total & 0xFFFF) + (total >> 16)))
udp = struct.pack(">HHHH", 40000, 53, LENGTH - 34, 0)
payload = bytearray(random.randrange(256) for _ in range(LENGTH - 42))
payload[100 - 42:104 - 42] = bytes(4)
packet = ethernet + ip + udp + payload

header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)  # microseconds, Ethernet
record = struct.pack("<IIII", 0, 0, len(packet), len(packet))
Path(__file__).with_name("input.pcap").write_bytes(header + record + packet)
