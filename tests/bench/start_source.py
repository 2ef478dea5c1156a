"""Sends one message."""

from dora import Node

Node().send_output("x", b"first")
