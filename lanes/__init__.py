"""The sizing arithmetic: five lanes and a fan-in, pure functions of (inputs, params).

No module here touches a clock, dice, disk, socket or the environment, and none imports another part of VIOLET.
"""
